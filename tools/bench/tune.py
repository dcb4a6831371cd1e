#!/usr/bin/env python3
"""A whole search by lockstep tune, beside KerasTuner on the same trials; tune.sh prepares it.

    tools/bench/tune.sh [--rounds N] [--trials N] [--epochs N] [--output DIRECTORY]

README's exercise (tools/course_space.json, three classes, Adam, early stopping): lockstep does all of it as a process, on one rank
and on two in turn; the tables of both must be the same. KerasTuner takes an hour for that: it does the first trials (--trials 3, one
execution, --epochs 3, which early stopping does not shorten), trains the best anew and judges it, and so does lockstep. What the whole
would take is extrapolated from the time of its later epochs, the rest of its time for each training, and the epochs that lockstep has
done. KerasTuner may use all cores. Then a step of Adam beside one of SGD. Exit code 1 if tables differ, or the accuracies on /test
of the same trials by more than 0.1.
"""
import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from bench import BUILD, LOCKSTEP, Failure, describe_machine, environment, number, times

SPACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "course_space.json")
DATA = ["--n-samples", 100000, "--n-features", 6, "--n-informative", 6, "--n-redundant", 0, "--n-classes", 3, "--random-state", 7,
        "--train-size", 0.9]
SPLIT, PATIENCE, BATCH, TOLERANCE = 0.22222, 2, 32, 0.1
TABLES = ("results.csv", "trials.csv", "results.json", "best.h5")


def run(words):
    """Returns the seconds of the process, its stdout and its stderr."""
    begin = time.perf_counter()
    result = subprocess.run(list(map(str, words)), text=True, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        raise Failure("exit code %d of %s\n%s" % (result.returncode, " ".join(map(str, words)), result.stderr))
    return time.perf_counter() - begin, result.stdout, result.stderr


class Search:
    """One search by lockstep: seconds of the process and of the trials alone, trials in their order, number of trainings and of their
    epochs with those of the best anew, accuracy on /test."""

    def __init__(self, directory, data, ranks, options):
        history = directory + ".csv"
        self.directory = directory
        self.seconds, output, log = run([
            "mpirun", "-n", ranks, "--bind-to", "core", LOCKSTEP, "tune", data, "--space", SPACE, "--dir", directory, "--validation-split",
            SPLIT, "--optimizer", "adam", "--early-stopping", PATIENCE, "--restore-best", "--batch-size", BATCH, "--seed", 1, "--history",
            history, *options])
        amount, unit = re.search(r", ([0-9.]+) (ms|s) in all", log).groups()
        self.trials_alone = float(amount) * (1e-3 if unit == "ms" else 1)
        with open(os.path.join(directory, "results.json")) as f:
            self.trials = json.load(f)["trials"]
        trainings = [execution["epochs"] for trial in self.trials for execution in trial["executions"]]
        with open(history) as f:
            trainings.append(len(f.readlines()) - 1)
        self.trainings, self.epochs = len(trainings), sum(trainings)
        self.accuracy = next(float(line.split()[1]) for line in output.splitlines() if line.startswith("test "))


def digest(search):
    tables = []
    for name in TABLES:
        with open(os.path.join(search.directory, name), "rb") as f:
            tables.append(f.read())
    return tables


def rounds_of(directory, data, name, options, n_rounds):
    """{ranks: [Search of each round]}, in turn."""
    searches = {1: [], 2: []}
    for number_of_round in range(n_rounds):
        for ranks, found in searches.items():
            found.append(Search(os.path.join(directory, "%s-%d-%d" % (name, ranks, number_of_round)), data, ranks, options))
            print("%s, %d rank%s: %.2f s, %d epochs" % (name, ranks, "s" * (ranks > 1), found[-1].seconds, found[-1].epochs), flush=True)
    if any(digest(search) != digest(searches[1][0]) for found in searches.values() for search in found):
        raise Failure("%s: the tables of one rank and of two differ" % name)
    return searches


def kerastuner(directory, data, trials, epochs):
    """What tune_kerastuner.py prints, and the seconds of its process."""
    path = os.path.join(directory, "case.json")
    with open(path, "w") as f:
        json.dump({"data": data, "trials": [trial["settings"] for trial in trials], "epochs": epochs, "batch": BATCH, "patience": PATIENCE,
                   "validation_split": SPLIT}, f)
    seconds, output, _ = run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tune_kerastuner.py"), path])
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


def median(searches):
    return statistics.median(search.seconds for search in searches)


def gain(searches, seconds):
    """How many times as fast two ranks are as one, in turn."""
    return statistics.median(seconds(a) / seconds(b) for a, b in zip(searches[1], searches[2]))


def line(title, theirs, searches):
    ours = [median(searches[ranks]) for ranks in (1, 2)]
    ratio = gain(searches, lambda search: search.seconds)
    return "| %s | %s s | %.2f s | %.2f s | %s | %.2f |" % (title, number(theirs), *ours, times(theirs / ours[1]), ratio)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of lockstep (default: 5)")
    parser.add_argument("--trials", type=int, default=3, help="that KerasTuner does (default: 3)")
    parser.add_argument("--epochs", type=int, default=3, help="of each of these (default: 3)")
    parser.add_argument("--output", default=os.path.join(BUILD, "results"), help="directory for tune.md")
    options = parser.parse_args()
    if not 2 <= options.epochs <= PATIENCE + 1:
        parser.error("--epochs must be 2 or 3: early stopping shortens more")
    os.makedirs(options.output, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as directory:
        data = os.path.join(directory, "data.h5")
        run([LOCKSTEP, "generate", "-o", data, *DATA, "--verbose", 0])
        whole = rounds_of(directory, data, "the exercise", ["--trials", 20, "--executions-per-trial", 2, "--epochs", 50], options.rounds)
        few = rounds_of(directory, data, "a few trials", ["--trials", options.trials, "--epochs", options.epochs], options.rounds)
        theirs = kerastuner(directory, data, few[1][0].trials, options.epochs)
        steps = optimizers(directory, data, options.rounds)
    first, all_of_it = few[1][0], whole[1][0]
    if len(theirs["epochs"]) != first.epochs:
        raise Failure("KerasTuner has done %d epochs, lockstep %d" % (len(theirs["epochs"]), first.epochs))
    if abs(theirs["accuracy"] - first.accuracy) > TOLERANCE:
        raise Failure("accuracy on /test: KerasTuner %.4f, lockstep %.4f" % (theirs["accuracy"], first.accuracy))
    later = [seconds for (before, _), (training, seconds) in zip(theirs["epochs"], theirs["epochs"][1:]) if training == before]
    epoch = statistics.mean(later)
    once = (theirs["process"] - epoch * first.epochs) / first.trainings
    extrapolated = epoch * all_of_it.epochs + once * all_of_it.trainings
    text = "\n".join((
        "# A search for the settings, beside KerasTuner", "", describe_machine(sorted(os.sched_getaffinity(0))), "",
        "| work | KerasTuner | lockstep, 1 rank | lockstep, 2 ranks | 2 ranks beside KerasTuner | 2 ranks beside 1 |",
        "|---|---|---|---|---|---|",
        line("%d trials and the best anew, %d epochs in all" % (options.trials, first.epochs), theirs["process"], few),
        line("the whole exercise, %d trainings, %d epochs" % (all_of_it.trainings, all_of_it.epochs), extrapolated, whole), "",
        "Whole processes; lockstep: medians over %d rounds. KerasTuner's whole exercise is extrapolated: %d epochs of %.2f s and %d "
        "trainings that take %.2f s more, as measured in the first line." % (
            options.rounds, all_of_it.epochs, epoch, all_of_it.trainings, once),
        "The trials of the whole exercise without the start of the processes and the best anew: %.2f s on one rank, %.2f s on two, %.2f "
        "times as fast." % (*(statistics.median(search.trials_alone for search in whole[ranks]) for ranks in (1, 2)),
                            gain(whole, lambda search: search.trials_alone)),
        "Accuracy on /test in the first line: KerasTuner %.4f, lockstep %.4f; of the whole exercise: lockstep %.4f." % (
            theirs["accuracy"], first.accuracy, all_of_it.accuracy), "",
        "A step of [16,16,16,16] with three classes, batch %d, one rank: SGD %s us, Adam %s us, %.2f times." % (
            BATCH, *(number(statistics.median(steps[name])) for name in ("sgd", "adam")),
            statistics.median(a / b for a, b in zip(steps["adam"], steps["sgd"]))), ""))
    print(text)
    with open(os.path.join(options.output, "tune.md"), "w") as f:
        f.write(text)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit("tune.py: %s" % failure)
