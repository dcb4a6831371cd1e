#!/usr/bin/env python3
"""Measures lockstep's steps beside the limits that the machine sets for them; limits.sh prepares what it needs.

    tools/bench/limits.sh [--rounds N] [--rows NAME,...] [--output DIRECTORY]

In a round lockstep and its limit take turns. The table has the medians, and the median of the rounds' ratios with quartiles.
Exit code 1 if the hand-written loop does not get lockstep's losses and precision.
"""
import argparse
import csv
import os
import re
import statistics
import subprocess
import sys

from bench import BUILD, LOCKSTEP, Failure, Lockstep, cpu_info, describe_machine, environment, number, relative, versions
from rows import RATE, ROWS, TOLERANCE, prepare

ALL_ROWS = {row.name: row for row in ROWS}
MESSAGE_REST = 64  # bytes of a step's message beside the gradient: the loss sum, counts, flags


class Limits:
    """Each method returns the seconds of a step."""

    def __init__(self, cores):
        self.cores, self.commands = cores, {}
        # What lockstep would choose; one BLAS thread a rank.
        text = subprocess.run([LOCKSTEP, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        core = re.search(r"(\w+) MAX_THREADS", text)
        self.variables = {"OPENBLAS_NUM_THREADS": "1"}
        if core:
            self.variables["OPENBLAS_CORETYPE"] = os.environ.get("OPENBLAS_CORETYPE", core[1])

    def run(self, ranks, *words):
        launch = ["taskset", "-c", str(self.cores[0])] if ranks == 1 else ["mpirun", "-n", str(ranks), "--bind-to", "core"]
        words = launch + [os.path.join(BUILD, words[0])] + [str(word) for word in words[1:]]
        variables = self.variables if "gemm" in words else {}
        self.commands[" ".join(["%s=%s" % item for item in variables.items()] + [relative(words)])] = True
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=dict(environment(), **variables)).stdout

    def gemms(self, row, ranks):
        return float(self.run(ranks, "limit_parts", "gemm", row.batch // ranks,
                              ",".join(map(str, (row.features, *row.hidden)))))

    def allreduce(self, row, ranks):
        widths = (row.features, *row.hidden, 1)
        parameters = sum((n + 1) * m for n, m in zip(widths, widths[1:]))
        return float(self.run(ranks, "limit_parts", "allreduce", (4 * parameters + 7) // 8 * 8 + MESSAGE_REST))

    def loop(self, row, directory, lockstep, simd):
        output = self.run(1, "limit_tiny_" + simd, directory, row.batch, row.samples, row.fast_epochs, RATE)
        seconds, losses, precision = zip(*(map(float, line.split()) for line in output.splitlines()))
        for name, found, wanted in (("loss", losses, lockstep.losses), ("precision", precision, lockstep.precision)):
            if any(abs(a - b) > TOLERANCE * b for a, b in zip(found, wanted)):
                raise Failure("%s: the hand-written loop's %s %s is not lockstep's %s" % (
                    row.name, name, found[-1], wanted[-1]))
        return statistics.median(seconds[1:]) / row.steps


class Entry:
    """One line: what of lockstep, beside which limit. measure() returns the seconds of both."""

    def __init__(self, row, ranks, ours, limit, measure):
        self.row, self.ranks, self.ours, self.limit, self.measure = ALL_ROWS[row], ranks, ours, limit, measure
        self.pairs = []


def make_entries(cores):
    limits = Limits(cores)
    directory = lambda row: os.path.join(BUILD, "cases", row.name)

    def step(row, ranks, *options, **variables):
        system = Lockstep("lockstep", ranks, cores, options, variables)
        run = system.fit(row, directory(row))
        limits.commands[system.commands[row.name]] = True
        run.precision = system.precision
        return run, run.value(row)

    def loop(simd):
        def measure(row):
            run, seconds = step(row, 1, LOCKSTEP_SIMD=simd)
            # A batch of 8 is one vector of AVX2.
            return seconds, limits.loop(row, directory(row), run, simd if row.batch >= 16 else "avx2")
        return measure

    def loop_and_allreduce(row):
        _, seconds = step(row, 2)
        run, _ = step(row, 1)
        return seconds, limits.loop(row, directory(row), run, "avx2") + limits.allreduce(row, 2)

    def exchange(row):
        _, seconds = step(row, 2)
        half = row._replace(batch=row.batch // 2)
        return seconds - step(half, 1)[1], limits.allreduce(row, 2)

    def gemms(ranks, *options):
        def measure(row):
            reduction = limits.allreduce(row, ranks) if ranks > 1 else 0
            return step(row, ranks, *options)[1], limits.gemms(row, ranks) + reduction
        return measure

    def scaling(row):
        return step(row, 2)[1], step(row, 1)[1] / 2

    flags = cpu_info().get("flags", "").split()
    entries = []
    for simd in [name for name, flag in (("avx512", "avx512bw"), ("avx2", "avx2")) if flag in flags]:
        for row in ("tiny-8", "tiny-8000"):
            entries.append(Entry(row, 1, "a step with " + simd, "hand-written loop", loop(simd)))
    if len(cores) > 1:
        if "avx2" in flags:
            entries.append(Entry("tiny-8", 2, "a step", "hand-written loop, then MPI_Allreduce", loop_and_allreduce))
        entries.append(Entry("tiny-8", 2, "a step less a step of half the batch on one rank", "MPI_Allreduce", exchange))
    entries.append(Entry("middle-8", 1, "a step", "matrix products", gemms(1)))
    for row in ("middle-1024", "higgs", "wide"):
        entries.append(Entry(row, 1, "a step", "matrix products", gemms(1)))
        entries.append(Entry(row, 1, "a step, --shards 1", "matrix products", gemms(1, "--shards", "1")))
        if len(cores) > 1 and row != "middle-1024":
            entries.append(Entry(row, 2, "a step", "matrix products of half the batch, then MPI_Allreduce", gemms(2)))
            entries.append(Entry(row, 2, "a step", "half of a step on one rank", scaling))
    return entries, limits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="tiny-8,tiny-8000,middle-8,middle-1024,higgs,wide")
    parser.add_argument("--output", default=os.path.join(BUILD, "results"))
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    entries, limits = make_entries(cores)
    entries = sorted((entry for entry in entries if entry.row.name in options.rows.split(",")),
                     key=lambda entry: list(ALL_ROWS).index(entry.row.name))
    for row in dict.fromkeys(entry.row for entry in entries):
        prepare(row, LOCKSTEP, os.path.join(BUILD, "cases", row.name))
    for i in range(options.rounds):
        for entry in entries:
            ours, limit = entry.measure(entry.row)
            entry.pairs.append((ours, limit))
            print("round %d  %-12s %d rank(s)  %-30s %12.3f us   %-50s %12.3f us" % (
                i + 1, entry.row.name, entry.ranks, entry.ours, 1e6 * ours, entry.limit, 1e6 * limit), flush=True)

    lines = ["| work | ranks | lockstep | us | limit | us | lockstep reaches |", "|---|---|---|---|---|---|---|"]
    os.makedirs(options.output, exist_ok=True)
    with open(os.path.join(options.output, "limits.csv"), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(("row", "ranks", "what", "seconds", "limit", "limit_seconds", "reached", "lower_quartile",
                      "upper_quartile"))
        for entry in entries:
            ours, limit = (statistics.median(values) for values in zip(*entry.pairs))
            reached = [b / a for a, b in entry.pairs]
            middle = statistics.median(reached)
            low, _, high = statistics.quantiles(reached, n=4, method="inclusive") if len(reached) > 1 else reached * 3
            lines.append("| %s | %d | %s | %s | %s | %s | %.0f %% (%.0f..%.0f) |" % (
                entry.row.title, entry.ranks, entry.ours, number(1e6 * ours), entry.limit, number(1e6 * limit), 100 * middle,
                100 * low, 100 * high))
            out.writerow((entry.row.name, entry.ranks, entry.ours, "%.6g" % ours, entry.limit, "%.6g" % limit, "%.4g" % middle,
                          "%.4g" % low, "%.4g" % high))
    triad = ["%.1f GB/s on %d core%s" % (1e-9 * float(limits.run(n, "limit_parts", "triad", 256)), n, "s" * (n > 1))
             for n in range(1, len(cores) + 1)]
    text = ["# lockstep beside its limits", "",
            "Medians of %d round(s) in which lockstep and the limit take turns (quartiles)." % options.rounds, "", *lines, "",
            "- Hand-written loop: C for this network alone, with the same measures; its losses are lockstep's (limit_tiny.c).",
            "- Matrix products: cblas_sgemm for a rank's batch, forward and backward, no output layer (limit_parts.c).",
            "- MPI_Allreduce: of as many bytes as the message of a step has.",
            "- Memory, a = b + s c: %s." % ", ".join(triad), "", "Machine: " + describe_machine(cores), "",
            "Versions: " + "; ".join(versions()), "", "Commands, from the clone:", "```",
            "tools/bench/limits.sh " + " ".join(sys.argv[1:]), *limits.commands, "```"]
    with open(os.path.join(options.output, "limits.md"), "w") as f:
        f.write("\n".join(text) + "\n")
    print("\n" + "\n".join(text))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit("limits.py: %s" % failure)
