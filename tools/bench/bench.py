#!/usr/bin/env python3
"""Measures lockstep, Keras, PyTorch, JAX, scikit-learn and FANN in turn on every row of rows.py; run.sh prepares what it needs.

    tools/bench/run.sh [--rounds N] [--rows NAME,...] [--systems NAME,...] [--output DIRECTORY]

A round of a row starts every system once. A round's time is the median of its epochs but the first; the table has the median
and the quartiles of the rounds, and the median of the rounds' ratios to lockstep. Exit code 1 if the losses of the systems
differ by more than a tolerance: then they did not do the same work.
"""
import argparse
import csv
import json
import os
import socket
import statistics
import subprocess
import sys
import time

from rows import ROWS, prepare

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build-bench")
LOCKSTEP = os.path.join(BUILD, "lockstep")
FANN_TOLERANCE = 2e-3  # its derivative of tanh is not exact
LONG = 15  # seconds: a system whose epochs take longer does the row once


class Failure(Exception):
    pass


def environment():
    variables = dict(os.environ)
    if os.getuid() == 0:
        variables.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return variables


def relative(words):
    """A command as a reader can type it: without the directory of this clone."""
    return " ".join(word.replace(ROOT + "/", "") if word else "''" for word in words)


class System:
    """One system on a number of ranks. fit() returns a Run; command is the last one that was started."""

    def __init__(self, name, ranks, cores):
        self.name, self.ranks, self.cores = name, ranks, cores
        self.commands = {}

    def epochs(self, row):
        return row.fast_epochs

    def close(self):
        pass


class Run:
    def __init__(self, seconds, losses, compiling=0.0, whole=None):
        self.seconds, self.losses, self.compiling, self.whole = seconds, losses, compiling, whole

    def value(self, row):
        """Seconds: of a step, or of the whole fit."""
        return sum(self.seconds) if row.unit == "s" else statistics.median(self.seconds[1:]) / row.steps


class Lockstep(System):
    def __init__(self, name, ranks, cores, options=(), variables=None):
        super().__init__(name, ranks, cores)
        self.options, self.variables = options, variables or {}

    def fit(self, row, directory):
        launch = ["taskset", "-c", str(self.cores[0])]
        if self.ranks > 1:
            launch = ["mpirun", "-n", str(self.ranks), "--bind-to", "core"]
        history = os.path.join(directory, "history.csv")
        words = launch + [LOCKSTEP, "train", directory + "/data.h5", "--init", directory + "/init.h5", "--batch-size",
                          str(row.batch), "--epochs", str(self.epochs(row)), *map(str, row.options), "--shuffle", "none",
                          "--verbose", "0", "--history", history, "-o", directory + "/model.h5", *self.options]
        self.commands[row.name] = " ".join(["%s=%s" % item for item in self.variables.items()] + [relative(words)])
        begin = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=dict(environment(), **self.variables))
        whole = time.perf_counter() - begin
        with open(history, newline="") as f:
            records = list(csv.DictReader(f))
        self.precision = [float(record.get("precision", "nan")) for record in records]
        # The rate has more digits than the seconds.
        return Run([row.samples / float(record["samples_per_second"]) for record in records],
                   [float(record["loss"]) for record in records], whole=whole)


class Fann(System):
    def fit(self, row, directory):
        words = ["taskset", "-c", str(self.cores[0]), os.path.join(BUILD, "system_fann"), directory, str(row.features),
                 ",".join(map(str, row.hidden)), str(row.batch), str(row.samples), str(self.epochs(row)), str(row.rate)]
        self.commands[row.name] = relative(words)
        begin = time.perf_counter()
        output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        whole = time.perf_counter() - begin
        seconds, losses = zip(*(map(float, line.split()) for line in output.splitlines()))
        return Run(seconds, losses, whole=whole)


class Python(System):
    """A script that stays and answers requests (worker.py); on several ranks one process for each."""

    def __init__(self, name, ranks, cores, script, fast=False):
        super().__init__(name, ranks, cores)
        self.script, self.fast, self.workers = script, fast, []

    def epochs(self, row):
        return row.fast_epochs if self.fast else row.epochs

    def start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank in range(self.ranks):
            variables = dict(os.environ)
            if self.ranks > 1:
                variables.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(self.ranks))
            words = ["taskset", "-c", str(self.cores[rank]), sys.executable, os.path.join(HERE, self.script)]
            self.commands[rank] = ("RANK=%d WORLD_SIZE=%d " % (rank, self.ranks) if self.ranks > 1 else "") + relative(words)
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.workers.append(subprocess.Popen(words, env=variables, **pipes))
        self.ready_after = [self.answer(worker) for worker in self.workers][0]["ready_after"]

    def answer(self, worker):
        line = worker.stdout.readline()
        if not line:
            raise Failure("%s ended with code %d" % (self.script, worker.wait()))
        return json.loads(line)

    def ask(self, directory, epochs):
        """The answers of all ranks."""
        if not self.workers:
            self.start()
        for worker in self.workers:
            print(json.dumps({"directory": directory, "epochs": epochs}), file=worker.stdin, flush=True)
        return [self.answer(worker) for worker in self.workers]

    def fit(self, row, directory):
        answers = self.ask(directory, self.epochs(row))
        losses = [statistics.fmean(values) for values in zip(*(answer["losses"] for answer in answers))]
        seconds, compiling = answers[0]["seconds"], answers[0]["compiling"]
        return Run(seconds, losses, compiling, self.ready_after + compiling + sum(seconds))

    def close(self):
        for worker in self.workers:
            worker.stdin.close()
            worker.wait()


def make_systems(cores):
    systems = [Lockstep("lockstep", 1, cores), Python("Keras", 1, cores, "system_keras.py"),
               Python("PyTorch", 1, cores, "system_pytorch.py"), Python("JAX", 1, cores, "system_jax.py", fast=True),
               Python("scikit-learn", 1, cores, "system_sklearn.py"), Fann("FANN", 1, cores)]
    if len(cores) > 1:
        systems += [Lockstep("lockstep", 2, cores), Python("PyTorch", 2, cores, "system_pytorch.py")]
    return systems


def takes_part(system, row):
    if system.name == "FANN" and (max(row.hidden) > 64 or not row.is_plain):
        return False  # minutes an epoch: it multiplies numbers one by one; and it has neither softmax nor Adam
    if system.name == "scikit-learn" and (row.dropout or row.l2):
        return False  # no dropout
    return system.ranks in row.ranks


def measure(row, systems, rounds, directory):
    """{system: [Run, ...]}"""
    runs = {system: [] for system in systems if takes_part(system, row)}
    long = set()
    for i in range(rounds):
        for system in runs:
            if system in long:
                continue
            run = system.fit(row, directory)
            runs[system].append(run)
            if sum(run.seconds) > LONG:
                long.add(system)
            print("%-12s round %d  %-12s %d rank%s %14.3f us/step   loss %.7f" % (
                row.name, i + 1, system.name, system.ranks, " " if system.ranks == 1 else "s",
                1e6 * run.value(row) / (row.steps * row.epochs if row.unit == "s" else 1), run.losses[row.epochs - 1]),
                flush=True)
    return runs


class Result:
    """Of a system on a row."""

    def __init__(self, row, system, runs, reference):
        values = [run.value(row) for run in runs]
        self.row, self.system, self.rounds = row, system, len(values)
        quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        self.low, self.median, self.high = quartiles
        # Neighbours in time, so that a busy machine slows both.
        self.ratio = statistics.median(run.value(row) / other.value(row) for run, other in zip(runs, reference))
        self.loss = runs[0].losses[row.epochs - 1]
        wanted = reference[0].losses[row.epochs - 1]
        self.loss_difference = max(abs(run.losses[row.epochs - 1] - wanted) / wanted for run in runs)
        self.loss_agrees = self.loss_difference <= (FANN_TOLERANCE if system.name == "FANN" else row.tolerance)
        self.compiling = runs[0].compiling
        self.whole = runs[0].whole

    def shown(self, seconds):
        if self.row.unit == "us/step":
            return 1e6 * seconds
        return self.row.batch / seconds if self.row.unit == "samples/s" else seconds

    def spread(self):
        return sorted(self.shown(seconds) for seconds in (self.low, self.high))


def number(value):
    """Three digits."""
    if value >= 1e6:
        return "%.3g M" % (value / 1e6)
    if value >= 1e3:
        return "%.3g k" % (value / 1e3) if value >= 1e4 else "%.0f" % value
    return "%.3g" % value


def cpu_info():
    """/proc/cpuinfo's lines about the first processor."""
    found = {}
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    return found


def times(ratio):
    return ("%.0fx" if ratio >= 100 else "%.3gx") % ratio


def describe_machine(cores):
    found = cpu_info()
    flags = found.get("flags", "").split()
    sets = [name for name, flag in (("AVX2", "avx2"), ("AVX-512", "avx512bw"), ("AMX", "amx_tile")) if flag in flags]
    return "%s (family %s, model %s; %s), %d cores, used: %s" % (
        found.get("model name", "unknown"), found.get("cpu family"), found.get("model"), ", ".join(sets), os.cpu_count(),
        ", ".join(map(str, cores)))


def versions():
    from importlib.metadata import version
    text = subprocess.run([LOCKSTEP, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [" ".join(line.split()) for line in text.splitlines()]
    found += ["Python %s" % sys.version.split()[0]]
    packages = ("keras", "tensorflow-cpu", "torch", "jax", "scikit-learn", "numpy", "h5py")
    found += ["%s %s" % (name, version(name)) for name in packages]
    fann = subprocess.run(["pkg-config", "--modversion", "fann"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return found + ["FANN %s" % fann]


def write_table(path, results, systems, cores, options):
    names = list(dict.fromkeys(system.name for system in systems))
    find = {(r.row.name, r.system.ranks, r.system.name): r for r in results}
    lines = ["| work | ranks | unit | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    losses = ["| work | ranks | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for row in options.rows:
        for ranks in row.ranks:
            measured = [find.get((row.name, ranks, name)) for name in names]
            if not any(measured):
                continue
            cells = []
            for r in measured:
                cell = "-"
                if r:
                    cell = number(r.shown(r.median))
                    cell += " (%s..%s)" % tuple(map(number, r.spread())) if r.rounds > 1 else " (once)"
                    cell += ", " + times(r.ratio) if r.system.name != "lockstep" else ""
                cells.append(cell)
            lines.append("| %s | %d | %s | %s |" % (row.title, ranks, row.unit, " | ".join(cells)))
            if row.unit == "s":
                whole = ["-" if r is None else "%.2f" % r.whole for r in measured]
                lines.append("| the same as a process, from its start | %d | s | %s |" % (ranks, " | ".join(whole)))
            cells = ["-" if r is None else "%.7f" % r.loss + ("" if r.loss_agrees else " **differs**") for r in measured]
            losses.append("| %s | %d | %s |" % (row.title, ranks, " | ".join(cells)))
    compiling = ", ".join("%.2f" % r.compiling for r in results if r.system.name == "JAX")
    text = ["# lockstep beside other systems", "",
            "Medians of %d round(s) in which the systems take turns (quartiles; once: too slow for more rounds), and how many" %
            options.rounds,
            "times lockstep's time a system takes. float32, tanh, rows in the file's order, plain SGD unless it is said.", "",
            *lines, "",
            "Mean loss of the last epoch that all systems do. They start from the same weights. The tolerance",
            "is %g of lockstep's loss, with dropout %g, for FANN %g: its derivative of tanh is never below 0.04." % (
                min(row.tolerance for row in ROWS), max(row.tolerance for row in ROWS), FANN_TOLERANCE),
            "", *losses, "",
            "- lockstep also counts accuracy, precision and recall in every step; Keras does in the notebook's fit only, the",
            "  others never.",
            "- JAX's times are without compiling, which took %s s for the rows in turn." % compiling,
            "- FANN goes through one sample after the other; its squared error is replaced by the cross-entropy. The wide rows",
            "  would take it minutes. It has neither softmax nor Adam, and scikit-learn no dropout.",
            "- PyTorch's L2 is the optimizer's weight_decay, twice as large a number; the loss shows it as everybody's does.",
            "- From its start: the process with its imports, reading the data and compiling. lockstep's includes MPI_Init and",
            "  writing the model file.",
            "", "Machine: " + describe_machine(cores), "", "Versions: " + "; ".join(versions()), "",
            "Commands, from the clone:", "```", "tools/bench/run.sh " + " ".join(sys.argv[1:])]
    for system in systems:
        text += system.commands.values()
    with open(path, "w") as f:
        f.write("\n".join(text) + "\n```\n")


def write_csv(path, results):
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(("row", "system", "ranks", "unit", "median", "lower_quartile", "upper_quartile", "rounds",
                      "ratio_to_lockstep", "loss", "loss_difference", "loss_agrees", "seconds_compiling",
                      "seconds_whole_process"))
        for r in results:
            out.writerow((r.row.name, r.system.name, r.system.ranks, r.row.unit, "%.6g" % r.shown(r.median),
                          *("%.6g" % value for value in r.spread()), r.rounds, "%.5g" % r.ratio, "%.9g" % r.loss,
                          "%.3g" % r.loss_difference, int(r.loss_agrees), "%.3g" % r.compiling, "%.4g" % r.whole))


def write_rounds(path, runs):
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(("row", "system", "ranks", "round", "epoch", "seconds", "loss"))
        for row, of_row in runs.items():
            for system, of_system in of_row.items():
                for i, run in enumerate(of_system):
                    for epoch, (seconds, loss) in enumerate(zip(run.seconds, run.losses)):
                        out.writerow((row.name, system.name, system.ranks, i, epoch, "%.9f" % seconds, "%.9g" % loss))


def draw(path, results, options):
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    present = {r.system.name for r in results}
    names = [name for name in ("FANN", "JAX", "scikit-learn", "PyTorch", "Keras") if name in present]
    groups = [(row, ranks) for row in options.rows for ranks in row.ranks
              if any(r.row == row and r.system.ranks == ranks and r.system.name != "lockstep" for r in results)]
    colours = {"FANN": "#8c8c8c", "JAX": "#4c72b0", "scikit-learn": "#55a868", "PyTorch": "#dd8452", "Keras": "#c44e52"}
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.75 * len(groups)))
    for g, (row, ranks) in enumerate(groups):
        for i, name in enumerate(names):
            for r in results:
                if r.row == row and r.system.ranks == ranks and r.system.name == name:
                    y = g + 0.8 * (i + 0.5) / len(names) - 0.4
                    axes.barh(y, r.ratio - 1, 0.8 / len(names), left=1, color=colours[name], label=name)
                    slower = r.ratio > 1
                    axes.text(r.ratio * 1.05 ** (1 if slower else -1), y, times(r.ratio), va="center", fontsize=7,
                              ha="left" if slower else "right")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, 1) / 1.5, right * 3)
    axes.set_yticks(range(len(groups)), [row.title + (", %d ranks" % ranks if ranks > 1 else "") for row, ranks in groups])
    axes.invert_yaxis()
    axes.set_xlabel("time, in multiples of lockstep's (the line; to the left of it: faster than lockstep)")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels())))
    axes.legend(handles.values(), handles.keys(), loc="center right")
    figure.savefig(path, dpi=120, bbox_inches="tight")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(row.name for row in ROWS))
    parser.add_argument("--systems", default="lockstep,Keras,PyTorch,JAX,scikit-learn,FANN")
    parser.add_argument("--output", default=os.path.join(BUILD, "results"))
    options = parser.parse_args()
    by_name = {row.name: row for row in ROWS}
    unknown = [name for name in options.rows.split(",") if name not in by_name]
    if unknown:
        parser.error("no such row: %s; the rows are %s" % (", ".join(unknown), ", ".join(by_name)))
    options.rows = [by_name[name] for name in options.rows.split(",")]
    options.systems = options.systems.split(",")
    return options


def main():
    options = parse_options()
    cores = sorted(os.sched_getaffinity(0))[:2]
    systems = [system for system in make_systems(cores) if system.name in options.systems or system.name == "lockstep"]
    runs, results = {}, []
    try:
        for row in options.rows:
            directory = os.path.join(BUILD, "cases", row.name)
            prepare(row, LOCKSTEP, directory)
            runs[row] = measure(row, systems, options.rounds, directory)
            for system, of_system in runs[row].items():
                reference = next(of_row for other, of_row in runs[row].items()
                                 if other.name == "lockstep" and other.ranks == system.ranks)
                results.append(Result(row, system, of_system, reference))
    finally:
        for system in systems:
            system.close()
    os.makedirs(options.output, exist_ok=True)
    write_table(os.path.join(options.output, "table.md"), results, systems, cores, options)
    write_csv(os.path.join(options.output, "results.csv"), results)
    write_rounds(os.path.join(options.output, "rounds.csv"), runs)
    draw(os.path.join(options.output, "picture.png"), results, options)
    with open(os.path.join(options.output, "table.md")) as f:
        print("\n" + f.read())
    differing = [r for r in results if not r.loss_agrees]
    for r in differing:
        print("bench.py: %s: the loss of %s on %d rank(s) is %.7f, %.2g of it away from lockstep's: not the same work" % (
            r.row.name, r.system.name, r.system.ranks, r.loss, r.loss_difference), file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit("bench.py: %s" % failure)
