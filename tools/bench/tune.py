#!/usr/bin/env python3
"""Whole searches by lockstep tune, beside KerasTuner on some of their trials; tune.sh prepares it.

    tools/bench/tune.sh [--rounds N] [--trials N] [--epochs N] [--output DIRECTORY]

Two searches of README: the exercise (tools/course_space.json, three classes, Adam, early stopping), and the notebook's 18 networks
with 7 seeds each (tools/notebook_space.json), whose boundaries are drawn. lockstep does all of it as a process, on one rank and on
two in turn; the tables of both must be the same. KerasTuner takes hours for that: it does the first trials (--trials 3 of the
exercise, one execution, --epochs 3, which early stopping does not shorten; one network of the notebook, 2 epochs), trains the best
anew and judges it, and so does lockstep. What the whole would take is extrapolated from the time of its later epochs, the rest of
its time for each training, and the epochs that lockstep has done. KerasTuner may use all cores. Then a step of Adam beside one of
SGD. Exit code 1 if tables differ, or the accuracies of the same trials by more than 0.1.
"""
import argparse
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from bench import BUILD, HERE, LOCKSTEP, ROOT, Failure, describe_machine, environment, number, times

SPLIT, PATIENCE, BATCH, TOLERANCE = 0.22222, 2, 32, 0.1
TABLES = ("results.csv", "trials.csv", "results.json", "best.h5")
TOOLS = os.path.join(ROOT, "tools")


class Work(NamedTuple):
    """A search: its data, what lockstep is told of it, and what KerasTuner is; the set on which the best one is judged."""
    title: str
    data: list
    space: str
    options: list
    keras: dict
    judged: str


COURSE = Work("the exercise", ["--n-informative", 6, "--n-features", 6, "--n-classes", 3, "--train-size", 0.9], "course_space.json",
              ["--validation-split", SPLIT, "--optimizer", "adam", "--early-stopping", PATIENCE, "--restore-best", "--batch-size", BATCH],
              {"optimizer": "adam", "rate": 1e-3, "batch": BATCH, "patience": PATIENCE, "validation_split": SPLIT}, "test")
NETWORKS = Work("the notebook's networks", ["--n-informative", 2, "--n-features", 2, "--class-sep", 1.5, "--train-size", 0.8],
                "notebook_space.json", ["--search", "grid", "--batch-size", 8, "--save-models"],
                {"optimizer": "sgd", "rate": 0.01, "batch": 8, "patience": None, "validation_split": 0}, "validation")


def run(words):
    """Returns the seconds of the process, its stdout and its stderr."""
    begin = time.perf_counter()
    result = subprocess.run(list(map(str, words)), text=True, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        raise Failure("exit code %d of %s\n%s" % (result.returncode, " ".join(map(str, words)), result.stderr))
    return time.perf_counter() - begin, result.stdout, result.stderr


class Search:
    """One search by lockstep: seconds of the process and of the trials alone, trials in their order, number of trainings and of their
    epochs with those of the best anew, and its accuracy."""

    def __init__(self, directory, data, ranks, work, space, options):
        history = directory + ".csv"
        self.directory = directory
        self.seconds, output, log = run([
            "mpirun", "-n", ranks, "--bind-to", "core", LOCKSTEP, "tune", data, "--space", space, "--dir", directory, "--seed", 1,
            "--history", history, *work.options, *options])
        amount, unit = re.search(r", ([0-9.]+) (ms|s) in all", log).groups()
        self.trials_alone = float(amount) * (1e-3 if unit == "ms" else 1)
        with open(os.path.join(directory, "results.json")) as f:
            self.trials = json.load(f)["trials"]
        trainings = [execution["epochs"] for trial in self.trials for execution in trial["executions"]]
        with open(history) as f:
            trainings.append(len(f.readlines()) - 1)
        self.trainings, self.epochs = len(trainings), sum(trainings)
        self.accuracy = next(float(line.split()[1]) for line in output.splitlines() if line.startswith(work.judged))


def digest(search):
    tables = []
    for name in TABLES:
        with open(os.path.join(search.directory, name), "rb") as f:
            tables.append(f.read())
    return tables


def rounds_of(directory, data, work, name, space, options, n_rounds):
    """{ranks: [Search of each round]}, in turn."""
    searches = {1: [], 2: []}
    for number_of_round in range(n_rounds):
        for ranks, found in searches.items():
            place = os.path.join(directory, "%s-%d-%d" % (name, ranks, number_of_round))
            found.append(Search(place, data, ranks, work, space, options))
            print("%s, %s, %d rank%s: %.2f s, %d epochs" % (
                work.title, name, ranks, "s" * (ranks > 1), found[-1].seconds, found[-1].epochs), flush=True)
    if any(digest(search) != digest(searches[1][0]) for found in searches.values() for search in found):
        raise Failure("%s: the tables of one rank and of two differ" % name)
    return searches


def kerastuner(directory, data, work, trials, epochs):
    """What tune_kerastuner.py prints, and the seconds of its process."""
    path = os.path.join(directory, "case.json")
    with open(path, "w") as f:
        json.dump({"data": data, "trials": [trial["settings"] for trial in trials], "epochs": epochs, **work.keras}, f)
    seconds, output, _ = run([sys.executable, os.path.join(HERE, "tune_kerastuner.py"), path])
    result = json.loads(output.splitlines()[-1])
    result["process"] = seconds
    return result


def optimizers(directory, data, n_rounds):
    """Microseconds of a step of SGD and of Adam, in turn: medians of the epochs but the first of each round."""
    history, found = os.path.join(directory, "history.csv"), {"sgd": [], "adam": []}
    for _ in range(n_rounds):
        for name, steps in found.items():
            run([LOCKSTEP, "train", data, "--hidden", "16,16,16,16", "--optimizer", name, "--batch-size", BATCH, "--epochs", 6, "--seed", 1,
                 "--validation", "none", "--history", history, "--verbose", 0])
            with open(history, newline="") as f:
                rates = [float(row["samples_per_second"]) for row in csv.DictReader(f)]
            steps.append(1e6 * BATCH / statistics.median(rates[1:]))
    return found


class Comparison:
    """A search by lockstep, whole and in part, and by KerasTuner in part."""

    def __init__(self, directory, work, whole, few, few_space, few_epochs, n_rounds):
        """whole and few: the options of each."""
        self.work, self.n_rounds = work, n_rounds
        directory = os.path.join(directory, work.space.split(".")[0])
        os.makedirs(directory)
        self.data = os.path.join(directory, "data.h5")
        run([LOCKSTEP, "generate", "-o", self.data, "--n-samples", 100000, "--n-redundant", 0, "--random-state", 7, *work.data,
             "--verbose", 0])
        space = os.path.join(TOOLS, work.space)
        if few_space:
            with open(os.path.join(directory, "few.json"), "w") as f:
                json.dump(few_space, f)
        self.whole = rounds_of(directory, self.data, work, "all", space, whole, n_rounds)
        self.few = rounds_of(directory, self.data, work, "some", f.name if few_space else space, [*few, "--epochs", few_epochs],
                             n_rounds)
        first = self.few[1][0]
        self.theirs = theirs = kerastuner(directory, self.data, work, first.trials, few_epochs)
        if len(theirs["epochs"]) != first.epochs:
            raise Failure("KerasTuner has done %d epochs, lockstep %d" % (len(theirs["epochs"]), first.epochs))
        if abs(theirs["accuracy"] - first.accuracy) > TOLERANCE:
            raise Failure("accuracy: KerasTuner %.4f, lockstep %.4f" % (theirs["accuracy"], first.accuracy))
        epochs = theirs["epochs"]
        later = [seconds for (before, _), (training, seconds) in zip(epochs, epochs[1:]) if training == before]
        self.epoch = statistics.mean(later)
        self.once = max(0, (theirs["process"] - self.epoch * first.epochs) / first.trainings)
        all_of_it = self.whole[1][0]
        self.extrapolated = self.epoch * all_of_it.epochs + self.once * all_of_it.trainings

    def rows(self):
        """(title, KerasTuner's seconds, whether they are extrapolated, searches)"""
        for name, theirs, searches in (("some", self.theirs["process"], self.few), ("all", self.extrapolated, self.whole)):
            first = searches[1][0]
            title = "%s, %s: %d trainings, %d epochs" % (self.work.title, name, first.trainings, first.epochs)
            yield title, theirs, name == "all", searches

    def text(self):
        trials_alone = [statistics.median(search.trials_alone for search in self.whole[ranks]) for ranks in (1, 2)]
        return ("%s: KerasTuner's whole is extrapolated: an epoch of %.2f s, and %.2f s more for a training. The trials of all alone, "
                "without the start of the processes and the best anew: %.2f s on one rank, %.2f s on two, %.2f times as fast. Accuracy "
                "on /%s of some: KerasTuner %.4f, lockstep %.4f; of all: lockstep %.4f." % (
                    self.work.title.capitalize(), self.epoch, self.once, *trials_alone,
                    gain(self.whole, lambda search: search.trials_alone), self.work.judged, self.theirs["accuracy"],
                    self.few[1][0].accuracy, self.whole[1][0].accuracy))


def median(searches):
    return statistics.median(search.seconds for search in searches)


def gain(searches, seconds):
    """How many times as fast two ranks are as one, in turn."""
    return statistics.median(seconds(a) / seconds(b) for a, b in zip(searches[1], searches[2]))


def line(title, theirs, searches):
    ours = [median(searches[ranks]) for ranks in (1, 2)]
    ratio = gain(searches, lambda search: search.seconds)
    return "| %s | %s s | %.2f s | %.2f s | %s | %.2f |" % (title, number(theirs), *ours, times(theirs / ours[1]), ratio)


def table_of_networks(search):
    """A line for each network: the accuracies of its seeds."""
    networks = {}
    for trial in search.trials:
        networks.setdefault(",".join(map(str, trial["settings"]["hidden"])), []).append(
            trial["executions"][0]["measures"]["val_binary_accuracy"])
    lines = ["| hidden layers | seeds | least accuracy | median | most |", "|---|---|---|---|---|"]
    for name, values in sorted(networks.items(), key=lambda item: -statistics.median(item[1])):
        lines.append("| %s | %d | %.4f | %.4f | %.4f |" % (name, len(values), min(values), statistics.median(values), max(values)))
    return lines


def write_csv(path, comparisons, steps):
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(("work", "system", "ranks", "unit", "median", "least", "most", "rounds", "extrapolated"))
        for comparison in comparisons:
            for title, theirs, extrapolated, searches in comparison.rows():
                out.writerow((title, "KerasTuner", "", "s", *["%.4g" % theirs] * 3, 1, int(extrapolated)))
                for ranks, found in searches.items():
                    seconds = [search.seconds for search in found]
                    out.writerow((title, "lockstep", ranks, "s", *("%.4g" % of(seconds) for of in (statistics.median, min, max)),
                                  len(seconds), 0))
        for name, found in steps.items():
            out.writerow(("a step of 4 x 16 units with " + name, "lockstep", 1, "us",
                          *("%.4g" % of(found) for of in (statistics.median, min, max)), len(found), 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of lockstep (default: 5)")
    parser.add_argument("--trials", type=int, default=3, help="of the exercise that KerasTuner does (default: 3)")
    parser.add_argument("--epochs", type=int, default=3, help="of each of these (default: 3)")
    parser.add_argument("--output", default=os.path.join(BUILD, "results"), help="directory for the results")
    options = parser.parse_args()
    if not 2 <= options.epochs <= PATIENCE + 1:
        parser.error("--epochs must be 2 or 3: early stopping shortens more")
    os.makedirs(options.output, exist_ok=True)
    in_output = lambda name: os.path.join(options.output, name)
    with tempfile.TemporaryDirectory(dir=BUILD) as directory:
        course = Comparison(directory, COURSE, ["--trials", 20, "--executions-per-trial", 2, "--epochs", 50],
                            ["--trials", options.trials], None, options.epochs, options.rounds)
        networks = Comparison(directory, NETWORKS, ["--epochs", 4], [], {"hidden": [[64, 64]]}, 2, options.rounds)
        steps = optimizers(directory, course.data, options.rounds)
        best = networks.whole[2][0]
        shutil.copyfile(os.path.join(best.directory, "trials.csv"), in_output("networks.csv"))
        run([sys.executable, os.path.join(TOOLS, "plot_search.py"), best.directory, "--boundaries", networks.data, "-o",
             in_output("networks.png")])
    text = "\n".join((
        "# Searches for the settings, beside KerasTuner", "", describe_machine(sorted(os.sched_getaffinity(0))), "",
        "| work | KerasTuner | lockstep, 1 rank | lockstep, 2 ranks | 2 ranks beside KerasTuner | 2 ranks beside 1 |",
        "|---|---|---|---|---|---|",
        *(line(title, theirs, searches) for comparison in (course, networks) for title, theirs, _, searches in comparison.rows()), "",
        "Whole processes, the best trained anew; lockstep: medians over %d rounds." % options.rounds, "",
        course.text(), "", networks.text(), "",
        "A step of [16,16,16,16] with three classes, batch %d, one rank: SGD %s us, Adam %s us, %.2f times." % (
            BATCH, *(number(statistics.median(steps[name])) for name in ("sgd", "adam")),
            statistics.median(a / b for a, b in zip(steps["adam"], steps["sgd"]))), "",
        "The notebook's networks on the validation data (networks.csv has all of them, networks.png their boundaries):", "",
        *table_of_networks(best), ""))
    print(text)
    with open(in_output("tune.md"), "w") as f:
        f.write(text)
    write_csv(in_output("tune.csv"), (course, networks), steps)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit("tune.py: %s" % failure)
