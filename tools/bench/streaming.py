#!/usr/bin/env python3
"""Training on data larger than memory, beside training on rows in memory and beside other systems; streaming.sh prepares it.

    tools/bench/streaming.sh [--samples M] [--rounds N] [--ranks 1,2] [--memory BYTES] [--output DIRECTORY]

An epoch of [2,2] on N = 2, float32, batch 65536: rows kept in memory, streamed from a file in the page cache with --memory so
small that nothing is kept, and made on the fly, each in file order and shuffled; the last two also for 1e6, 1e7, ... samples up
to M. All take turns in each round. A run counts by the median of its epochs but the first; the table has the median and
quartiles of the rounds, and the median of the rounds' ratios. Memory is the most that a rank had resident in any round, beyond
a training on a single batch. Then Keras with tf.data and PyTorch with a DataLoader, which both read a batch at a time through
h5py, do one epoch in file order on the file of at most 1e7 rows; PyTorch also reads one batch row by row. Exit code 1 if models
differ by a bit, or losses of other systems by more than a tolerance.
"""
import argparse
import csv
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile

from bench import BUILD, LOCKSTEP, Failure, Python, describe_machine, environment, number, times, versions
from rows import RATE, TOLERANCE

BATCH, FEATURES, HIDDEN = 65536, 2, (2, 2)
COMPARED = 10 ** 7  # rows that other systems read
DATA = ["--n-features", FEATURES, "--n-informative", FEATURES, "--n-redundant", 0, "--class-sep", 1.5, "--random-state", 7]
SOURCES = {"memory": "in memory", "file": "streamed", "made": "on the fly"}
SYSTEMS = {"Keras, tf.data": "stream_keras.py", "PyTorch, DataLoader": "stream_pytorch.py"}
# Runs a rank, then leaves its most resident memory in a file; this Python takes less.
MEASURE = """\
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
with open(os.path.join(sys.argv[1], str(os.getpid())), "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)
"""


class Run:
    """seconds and losses of the epochs, the greatest resident size of a rank, and a digest of the model"""

    def __init__(self, seconds, losses, peak, digest=None):
        self.seconds, self.losses, self.peak, self.digest = seconds, losses, peak, digest


class Bench:
    def __init__(self, directory, options):
        self.directory, self.options = directory, options
        self.command = {}

    def path(self, name):
        return os.path.join(self.directory, name)

    def file(self, samples):
        return self.path("%d.h5" % samples)

    def run(self, words, ranks=1):
        launch = ["mpirun", "-n", str(ranks), "--bind-to", "core"]
        result = subprocess.run(launch + [str(word) for word in words], text=True, env=environment(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        if result.returncode:
            raise Failure("exit code %d of %s\n%s" % (result.returncode, " ".join(map(str, words)), result.stderr))

    def prepare(self, sizes):
        for samples in sizes:
            self.run([LOCKSTEP, "generate", "--rng", "philox", "-o", self.file(samples), "--n-samples", samples, *DATA,
                      "--dtype", "float32", "--verbose", 0], max(self.options.ranks))
        # As in rows.py: a step so short that no weight changes.
        self.run([LOCKSTEP, "train", self.file(BATCH), "--hidden", ",".join(map(str, HIDDEN)), "--seed", 1, "--batch-size",
                  BATCH, "--learning-rate", 1e-30, "--verbose", 0, "-o", self.path("init.h5")])

    def train(self, samples, source, ranks, shuffle, epochs):
        memory = 64 * samples + 2 ** 28 if source == "memory" else self.options.memory
        data = ["--generate", "--n-samples", samples, *DATA] if source == "made" else [self.file(samples)]
        if source != "made":
            with open(self.file(samples), "rb", buffering=0) as f:  # into the page cache, if it is not there any more
                while f.read(2 ** 20):
                    pass
        history, model = self.path("history.csv"), self.path("model.h5")
        words = [LOCKSTEP, "train", *data, "--init", self.path("init.h5"), "--batch-size", BATCH, "--epochs", epochs,
                 "--learning-rate", RATE, "--seed", 1, "--shuffle", shuffle, "--memory", memory, "--verbose", 0, "--history",
                 history, "-o", model]
        self.command[source, ranks] = " ".join(["mpirun -n %d build-bench/lockstep" % ranks] + [
            str(word).replace(self.directory + "/", "") for word in words[1:]])
        with tempfile.TemporaryDirectory(dir=self.directory) as peaks:
            self.run([sys.executable, "-c", MEASURE, peaks, *words], ranks)
            found = [os.path.join(peaks, name) for name in os.listdir(peaks)]
            if len(found) != ranks:
                raise Failure("%d ranks told their memory instead of %d" % (len(found), ranks))
            sizes = []
            for name in found:
                with open(name) as f:
                    sizes.append(int(f.read()))
        with open(history, newline="") as f:
            records = list(csv.DictReader(f))
        with open(model, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        return Run([samples / float(record["samples_per_second"]) for record in records],
                   [float(record["loss"]) for record in records], max(sizes), digest)

    def write_case(self, name, samples, loader):
        """What worker.read_case reads; returns the directory."""
        directory = self.path(name)
        os.makedirs(directory)
        os.symlink(self.path("init.h5"), os.path.join(directory, "init.h5"))
        with open(os.path.join(directory, "case.json"), "w") as f:
            json.dump({"data": self.file(samples), "samples": samples, "batch": BATCH, "features": FEATURES, "hidden": HIDDEN,
                       "rate": RATE, "loader": loader}, f)
        return directory


class Cell:
    """A line of the CSV: what was run, samples/s and peaks of the rounds."""

    def __init__(self, system, source, ranks, shuffle, samples, least):
        self.system, self.source, self.ranks, self.shuffle, self.samples = system, source, ranks, shuffle, samples
        self.least, self.rates, self.peaks, self.ratio = least, [], [], None
        self.loss, self.loss_difference = None, 0.0

    def add(self, run):
        counted = run.seconds[1:] or run.seconds
        self.rates.append(self.samples / statistics.median(counted))
        self.peaks.append(run.peak - self.least)
        self.loss = run.losses[0]

    def compare(self, other):
        """Neighbours in time, so that a busy machine slows both."""
        self.ratio = statistics.median(a / b for a, b in zip(self.rates, other.rates))

    def quartiles(self):
        return statistics.quantiles(self.rates, n=4, method="inclusive") if len(self.rates) > 1 else self.rates * 3

    def rate(self):
        low, median, high = self.quartiles()
        return number(median) + (" (%s..%s)" % (number(low), number(high)) if len(self.rates) > 1 else " (once)")

    def memory(self):
        return "%.1f" % (1e-6 * max(self.peaks))

    def show(self):
        print("%-20s %-10s %d rank%s  %-5s %10d samples  %12s samples/s %8s MB   loss %.7f" % (
            self.system, SOURCES.get(self.source, self.source), self.ranks, " " if self.ranks == 1 else "s", self.shuffle,
            self.samples, number(self.rates[-1]), "%.1f" % (1e-6 * self.peaks[-1]), self.loss), flush=True)


def measure_lockstep(bench, sizes, ranks, problems, digests):
    """The cells by (shuffle, samples, source)."""
    least = bench.train(BATCH, "file", ranks, "none", 1).peak
    cells = {}
    for shuffle in ("none", "epoch"):
        for samples in sizes:
            for source in SOURCES:
                if source != "memory" or samples == sizes[-1]:
                    cells[shuffle, samples, source] = Cell("lockstep", source, ranks, shuffle, samples, least)
    for _ in range(bench.options.rounds):
        for (shuffle, samples, source), cell in cells.items():
            run = bench.train(samples, source, ranks, shuffle, 3 + 2 * COMPARED // samples)
            cell.add(run)
            cell.show()
            if digests.setdefault((shuffle, samples), run.digest) != run.digest:
                problems.append("%s, %d ranks, --shuffle %s, %d samples: another model from the same rows" % (
                    SOURCES[source], ranks, shuffle, samples))
    for (shuffle, samples, source), cell in cells.items():
        cell.compare(cells[shuffle, sizes[-1], "memory"])
    return cells


def measure_systems(bench, samples, ranks, directories, problems):
    """Each of them gets as many cores as lockstep has ranks."""
    batch, whole, rows = directories
    first = bench.train(BATCH, "file", ranks, "none", 1)
    ours = Cell("lockstep", "file", ranks, "none", samples, first.peak)
    cells, systems = [ours], {}
    try:
        for name, script in SYSTEMS.items():
            systems[name] = Python(name, 1, [",".join(map(str, bench.options.cores[:ranks]))], script)
            # The first batch compiles; what is resident then is what the system takes anyway.
            cells.append(Cell(name, "batches", ranks, "none", samples, systems[name].ask(batch, 1)[0]["peak"]))
        for _ in range(bench.options.rounds):
            for cell in cells:
                if cell is ours:
                    cell.add(bench.train(samples, "file", ranks, "none", 1))
                else:
                    answer = systems[cell.system].ask(whole, 1)[0]
                    cell.add(Run(answer["seconds"], answer["losses"], answer["peak"]))
                cell.show()
        wanted = {cell: ours.loss for cell in cells}
        answer = systems["PyTorch, DataLoader"].ask(rows, 1)[0]
        cells.append(Cell("PyTorch, DataLoader", "rows", ranks, "none", BATCH, cells[-1].least))
        cells[-1].add(Run(answer["seconds"], answer["losses"], answer["peak"]))
        cells[-1].show()
        wanted[cells[-1]] = first.losses[0]
    finally:
        for system in systems.values():
            system.close()
    for cell in cells:
        cell.compare(ours)
        cell.loss_difference = abs(cell.loss - wanted[cell]) / wanted[cell]
        if cell.loss_difference > TOLERANCE:
            problems.append("%s on %d core(s), by %s: loss %.7f instead of %.7f: not the same work" % (
                cell.system, ranks, cell.source, cell.loss, wanted[cell]))
    return cells


def write_table(path, bench, sizes, of_lockstep, of_systems, problems):
    lines = ["# Data larger than memory", "",
             "An epoch of [2,2], N = 2, float32, batch %d: samples/s, medians of %d round(s) in turn (quartiles); MB: the most"
             % (BATCH, bench.options.rounds),
             "that a rank had resident beyond a training on a single batch. Streamed: from a file in the page cache, `--memory %s`." %
             bench.options.memory, "", "## %g samples" % sizes[-1], "",
             "| ranks | --shuffle | in memory | MB | streamed | of in memory | MB | on the fly | of in memory | MB |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for ranks, cells in of_lockstep.items():
        for shuffle in ("none", "epoch"):
            kept, file, made = (cells[shuffle, sizes[-1], source] for source in SOURCES)
            parts = [kept.rate(), kept.memory()]
            for cell in (file, made):
                parts += [cell.rate(), "%.0f %%" % (100 * cell.ratio), cell.memory()]
            lines.append("| %d | %s | %s |" % (ranks, shuffle, " | ".join(parts)))
    lines += ["", "## Time per sample and memory as the samples grow", "",
              "| ranks | --shuffle | rows | " + " | ".join("%g: ns | MB" % samples for samples in sizes) +
              " | ns: most / least |",
              "|---|---|---|" + "---|---|" * len(sizes) + "---|"]
    for ranks, cells in of_lockstep.items():
        for shuffle in ("none", "epoch"):
            for source in ("file", "made"):
                row = [cells[shuffle, samples, source] for samples in sizes]
                nanoseconds = [1e9 / cell.quartiles()[1] for cell in row]
                parts = ["%.2f | %s" % (ns, cell.memory()) for ns, cell in zip(nanoseconds, row)]
                lines.append("| %d | %s | %s | %s | %.2f |" % (ranks, shuffle, SOURCES[source], " | ".join(parts),
                                                               max(nanoseconds) / min(nanoseconds)))
    samples = of_systems[0].samples
    lines += ["", "## Beside other systems: %g rows of the same file, in its order" % samples, "",
              "| cores | system | reads | samples/s | time, in multiples of lockstep's | MB | loss |",
              "|---|---|---|---|---|---|---|"]
    for cell in of_systems:
        reads = {"file": "streams", "batches": "a batch at a time", "rows": "row by row (%d rows)" % BATCH}[cell.source]
        lines.append("| %d | %s | %s | %s | %s | %s | %.7f%s |" % (
            cell.ranks, cell.system, reads, cell.rate(), times(1 / cell.ratio), cell.memory(), cell.loss,
            "" if cell.loss_difference <= TOLERANCE else " **differs**"))
    lines += ["", "One epoch each, from the same weights; compiling is not in the times. lockstep has a rank on each core, the others",
              "one process with as many threads; with two cores another process of PyTorch's DataLoader reads: its start, about",
              "a second, is in the times, its memory is not counted. Row by row is another set of rows, so its loss is compared",
              "with lockstep's on that."]
    same = "Models: the same bytes in memory, streamed and on the fly, on all numbers of ranks."
    lines += ["", "**" + "; ".join(problems) + "**" if problems else same, "",
              "Machine: " + describe_machine(bench.options.cores[:max(of_lockstep)]), "",
              "Versions: " + "; ".join(versions()), "",
              "Commands (the last of each):", "```", "tools/bench/streaming.sh " + " ".join(sys.argv[1:]),
              *bench.command.values(), "```"]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


def write_csv(path, cells):
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(("system", "rows_from", "ranks_or_cores", "shuffle", "samples", "rounds", "samples_per_second",
                      "lower_quartile", "upper_quartile", "ratio_of_rates", "peak_bytes_beyond_one_batch", "first_loss"))
        for cell in cells:
            low, median, high = cell.quartiles()
            out.writerow((cell.system, cell.source, cell.ranks, cell.shuffle, cell.samples, len(cell.rates), "%.6g" % median,
                          "%.6g" % low, "%.6g" % high, "%.5g" % cell.ratio, max(cell.peaks), "%.9g" % cell.loss))


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=float, default=1e8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--memory", default="2M", help="of a rank, for rows that are streamed or made (default: %(default)s)")
    parser.add_argument("--output", default=os.path.join(BUILD, "results"))
    options = parser.parse_args()
    options.samples = int(options.samples)
    if options.samples < BATCH or options.rounds < 1:
        parser.error("at least %d samples and one round" % BATCH)
    try:
        options.ranks = sorted({int(word) for word in options.ranks.split(",")})
    except ValueError:
        parser.error("--ranks takes numbers: 1,2")
    options.cores = sorted(os.sched_getaffinity(0))
    if options.ranks[0] < 1 or options.ranks[-1] > len(options.cores):
        parser.error("--ranks: from 1 to %d, the cores here" % len(options.cores))
    return options


def main():
    options = parse_options()
    sizes = [10 ** k for k in range(6, 19) if 10 ** k < options.samples] + [options.samples]
    compared = max(samples for samples in sizes if samples <= COMPARED or samples == sizes[0])
    of_lockstep, of_systems, problems, digests = {}, [], [], {}
    os.makedirs(options.output, exist_ok=True)
    # Gigabytes: not left behind, by SIGTERM either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="streaming-", dir=BUILD) as directory:
        bench = Bench(directory, options)
        bench.prepare([BATCH] + [samples for samples in sizes if samples != BATCH])
        directories = (bench.write_case("batch", BATCH, "blocks"), bench.write_case("whole", compared, "blocks"),
                       bench.write_case("rows", BATCH, "rows"))
        for ranks in options.ranks:
            of_lockstep[ranks] = measure_lockstep(bench, sizes, ranks, problems, digests)
        for ranks in options.ranks:
            of_systems += measure_systems(bench, compared, ranks, directories, problems)
        path = os.path.join(options.output, "streaming.md")
        write_table(path, bench, sizes, of_lockstep, of_systems, problems)
    cells = [cell for of_ranks in of_lockstep.values() for cell in of_ranks.values()]
    write_csv(os.path.join(options.output, "streaming.csv"), cells + of_systems)
    with open(path) as f:
        print("\n" + f.read())
    for problem in problems:
        print("streaming.py: " + problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit("streaming.py: %s" % failure)
