#!/usr/bin/env python3
"""Searches by `lockstep tune`: tune.py PATH_TO_lockstep [--long] [--seed N]

The tables and the best model are the same, byte by byte, on any number of ranks and in groups of several; also when the search was
killed or stopped by a signal again and again and resumed on another number of ranks. What is done is not done again. --long makes ten
times as many stops.
"""
import csv
import json
import os
import random
import shutil
import signal
import time

import common
from common import Run, check, expect, has_handlers, same_bytes

TABLES = ("trials.csv", "results.csv", "results.json", "best.h5")
SPACE = {"layers": {"min": 1, "max": 2}, "units": [2, 5, 8], "activation": ["tanh", "relu"],
         "learning_rate": {"min": 0.01, "max": 1e4, "sampling": "log"}, "batch_size": [8, 64]}


class Job:
    def __init__(self, lockstep, directory):
        self.lockstep, self.directory = lockstep, directory
        self.data, self.space = directory + "/data.h5", directory + "/space.json"
        expect(0, lockstep, ["generate", "-o", self.data, "--n-samples", 3000, "--n-features", 4, "--random-state", 3, "--train-size", 0.8])
        with open(self.space, "w") as f:
            json.dump(SPACE, f)

    def arguments(self, name, *more, space=None):
        where = self.directory + "/" + name
        return ["tune", self.data, "--space", space or self.space, "--dir", where, "--seed", 5,
                "--verbose", 2, *more]

    def search(self, name, ranks, *more, **options):
        return expect(0, self.lockstep, self.arguments(name, *more, **options), ranks)

    def compare(self, name, other, *what):
        for table in TABLES:
            check(same_bytes("%s/%s/%s" % (self.directory, name, table), "%s/%s/%s" % (self.directory, other, table)),
                  table, "differs:", name, other, *what)

    def rows(self, name, table="trials.csv"):
        with open("%s/%s/%s" % (self.directory, name, table), newline="") as f:
            return list(csv.DictReader(f))

    def journal(self, name):
        """Its lines but the first, without their digests; what a kill has torn is left out."""
        with open("%s/%s/journal" % (self.directory, name)) as f:
            return [json.loads(line.split(" ", 1)[1]) for line in f.read().split("\n")[1:-1]]


STOPPING = ("--epochs", 40, "--early-stopping", 1, "--restore-best", "--validation-split", 0.25, "--normalize", "--class-weight", "1,2")


def same_on_any_ranks(job):
    kinds = {"random": ("--trials", 14, "--executions-per-trial", 2, "--epochs", 3),
             "halving": ("--search", "halving", "--trials", 9, "--epochs", 9, "--objective", "val_accuracy"),
             "stopping": ("--trials", 8, "--executions-per-trial", 2, *STOPPING)}
    for name, options in kinds.items():
        job.search(name + "-0", 0, *options)
        for ranks, more in ((2, ()), (3, ("--memory", "1k")), (5, ("--ranks-per-trial", 2))):
            other = "%s-%d" % (name, ranks)
            job.search(other, ranks, *options, *more)
            job.compare(name + "-0", other)
    rows = job.rows("random-0")
    status = [row["status"] for row in rows]
    check(len(rows) == 14 and "diverged" in status and "finished" in status, "statuses", status)
    check(all((row["val_loss"] == "") == (row["status"] == "diverged") for row in rows), "a loss for each finished one", rows)
    ranked = [float(row["val_loss"]) for row in job.rows("random-0", "results.csv") if row["val_loss"]]
    check(ranked == sorted(ranked), "results are not sorted", ranked)
    check(len({(row["hidden"], row["learning_rate"], row["batch_size"]) for row in rows}) == 14, "a point twice", rows)
    search = results(job, "random-0")
    seeds = {execution["seed"] for trial in search["trials"] for execution in trial["executions"]}
    check(len(seeds) == 28 and search["best"]["seed"] not in seeds, "seeds", seeds, search["best"])


def results(job, name):
    with open("%s/%s/results.json" % (job.directory, name)) as f:
        return json.load(f)


def finished(job, name):
    """The trials of a search that have a result, the best first."""
    return sorted((t for t in results(job, name)["trials"] if t["status"] == "finished"), key=lambda t: t["rank"])


def by_hand(job, trial, execution, *options):
    model, history = job.directory + "/by-hand.h5", job.directory + "/by-hand.csv"
    settings = trial["settings"]
    expect(0, job.lockstep, ["train", job.data, "--hidden", ",".join(map(str, settings["hidden"])), "--activation", settings["activation"],
                             "--learning-rate", repr(settings["learning_rate"]), "--batch-size", settings["batch_size"], "--seed",
                             execution["seed"], "-o", model, "--history", history, *options], 2)
    with open(history, newline="") as f:
        return model, [{key: float(value) for key, value in row.items()} for row in csv.DictReader(f)]


def a_row_is_what_train_gives(job):
    """The seed and the settings of a row are all that it takes to train it by hand."""
    trial = finished(job, "random-0")[-1]
    for execution in trial["executions"]:
        model, _ = by_hand(job, trial, execution, "--epochs", 3)
        result = expect(0, job.lockstep, ["evaluate", model, job.data, "--json"])
        loss = json.loads(result.stdout)["test"]["loss"]
        check(abs(loss - execution["measures"]["val_loss"]) < 1e-12, "val_loss by hand", loss, execution)
    stopped = [trial for trial in finished(job, "stopping-0") if trial["executions"][0]["epochs"] < 40]
    check(stopped, "no trial stopped early")
    # With early stopping it is the best epoch's.
    trial = finished(job, "stopping-0")[0]
    for execution in trial["executions"]:
        model, history = by_hand(job, trial, execution, *STOPPING)
        best = min(history, key=lambda row: row["val_loss"])
        check(all(best[name] == value for name, value in execution["measures"].items()), "the best epoch by hand", best, execution)
        check(len(history) == execution["epochs"], "epochs by hand", len(history), execution)
    # The best one anew, byte by byte.
    best = results(job, "stopping-0")["best"]
    check(best["trial"] == trial["trial"], "best", best, trial)
    model, _ = by_hand(job, trial, best, *STOPPING)
    check(same_bytes(model, job.directory + "/stopping-0/best.h5"), "the best model by hand")


def courses_exercise(job):
    """README's exercise, smaller: three classes, Adam, early stopping, the best model trained anew and judged once."""
    data = job.directory + "/course.h5"
    space = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/course_space.json")
    expect(0, job.lockstep, ["generate", "-o", data, "--n-samples", 3000, "--n-features", 6, "--n-informative", 6, "--n-redundant", 0,
                             "--n-classes", 3, "--n-clusters-per-class", 1, "--class-sep", 2, "--random-state", 7, "--train-size", 0.9])
    for ranks in (1, 2):
        run = expect(0, job.lockstep, ["tune", data, "--space", space, "--dir", "%s/course-%d" % (job.directory, ranks), "--seed", 1,
                                       "--validation-split", 0.22222, "--optimizer", "adam", "--early-stopping", 2, "--restore-best",
                                       "--trials", 6, "--executions-per-trial", 2, "--epochs", 12, "--verbose", 0], ranks)
    job.compare("course-1", "course-2")
    _, accuracy, loss = run.stdout.splitlines()[-2].split()
    check(float(accuracy) > 0.9 and float(loss) < 0.4, "the best model on /test", run.stdout)
    values = [[execution["measures"]["val_loss"] for execution in trial["executions"]] for trial in finished(job, "course-1")]
    check(len(values) == 6 and sorted(map(sum, values)) == list(map(sum, values)), "the best trial first", values)


def halving_promotes(job):
    rows = job.rows("halving-0")
    epochs = sorted(int(row["epochs"]) for row in rows if row["status"] != "diverged")
    check([epochs.count(n) for n in (3, 9)][-1] == 1 and epochs.count(3) == 2, "epochs", epochs)
    best_of_rung = {}
    for line in job.journal("halving-0"):
        best_of_rung.setdefault(line["epochs"], []).append((-(line["measures"]["val_binary_accuracy"] or 0), line["trial"]))
    for few, more in ((1, 3), (3, 9)):
        best = sorted(best_of_rung[few])[:len(best_of_rung[more])]
        check({trial for _, trial in best} == {trial for _, trial in best_of_rung[more]}, "promoted", best_of_rung)


def grid_is_complete(job):
    space = job.directory + "/grid.json"
    with open(space, "w") as f:
        json.dump({"hidden": [[], [2], [3, 3]], "seed": [1, 2], "learning_rate": {"min": 0.01, "max": 1, "sampling": "log", "step": 10}}, f)
    job.search("grid", 3, "--search", "grid", space=space)
    rows = job.rows("grid")
    check(len(rows) == 18 == len({(row["hidden"], row["seed"], row["learning_rate"]) for row in rows}), "grid", rows)
    check({row["status"] for row in rows} == {"finished"}, "grid", rows)
    best = results(job, "grid")["best"]
    check(best["seed"] == finished(job, "grid")[0]["settings"]["seed"], "a seed of the space", best)
    # Asked for more than there are, a random search takes each once.
    with open(space, "w") as f:
        json.dump({"hidden": [[], [2]], "seed": [1, 2]}, f)
    job.search("few", 2, space=space)
    check(len(job.rows("few")) == 4, "points", job.rows("few"))


def stopped_again_and_again(job, random_numbers, n_stops, name, options):
    """Ends with the tables of the uninterrupted search."""
    job.search(name, 0, *options)
    other = name + "-stopped"
    stops, done = 0, 0
    while True:
        ranks = random_numbers.choice((1, 2, 3))
        how = random_numbers.choice(("kill rank", "signal rank", "signal mpirun", "kill all"))
        run = Run(job.lockstep, job.arguments(other, *options, "--resume"), ranks)
        pids = run.rank_pids()
        end = time.monotonic() + 60
        # At work: the journal has grown, or after a while anyway.
        while stops < n_stops and run.running() and time.monotonic() < end:
            try:
                if len(job.journal(other)) > done + random_numbers.randrange(3) and all(map(has_handlers, pids.values())):
                    break
            except OSError:
                pass
            time.sleep(0.001)
        if stops < n_stops and run.running() and len(pids) == ranks:
            pid = run.pid if how.endswith("mpirun") else random_numbers.choice(list(pids.values()))
            for pid in list(pids.values()) if how == "kill all" else [pid]:
                try:
                    os.kill(pid, signal.SIGKILL if how.startswith("kill") else signal.SIGUSR1)
                except ProcessLookupError:
                    pass
        run.wait()
        stops += 1
        now = len(job.journal(other))
        check(now >= done, "the journal became shorter", run)
        done = now
        if run.code == 0:
            break
        check(run.code == 75 or how.startswith("kill"), "exit code after", how, run)
        check(stops <= n_stops, "does not end", run)
        if stops > n_stops:
            return
    job.compare(name, other, how)
    lines = [(line["trial"], line["execution"], line["rung"]) for line in job.journal(other)]
    check(len(lines) == len(set(lines)), "done twice", lines)
    check(not [entry for entry in os.listdir(job.directory + "/" + other) if entry.startswith("trial-")], "left directories")


def journals_are_checked(job):
    shutil.copytree(job.directory + "/random-0", job.directory + "/torn")
    path = job.directory + "/torn/journal"
    with open(path, "rb") as f:
        text = f.read()
    lines = text.split(b"\n")
    options = ("--trials", 14, "--executions-per-trial", 2, "--epochs", 3)
    expect(2, job.lockstep, job.arguments("torn", *options), 2, message="journal: is that of an earlier search")
    expect(2, job.lockstep, job.arguments("torn", *options[:-1], 4, "--resume"), 2, message="epochs was 3 when .* and is 4 now")
    expect(2, job.lockstep, job.arguments("torn", *options, "--resume", "--learning-rate", 0.5), message="learning_rate was")
    for cut in (len(text) - 1, len(text) - 40, len(text) - len(lines[-2]) - 1, len(lines[0]) + 5, len(lines[0]), 3, 0):
        with open(path, "wb") as f:
            f.write(text[:cut])
        job.search("torn", 2, *options, "--resume")
        job.compare("random-0", "torn", "cut", cut)
        check(len(job.journal("torn")) == 28, "lines of the journal cut at", cut)
    for place in (len(lines[0]) // 2, len(lines[0]) + 30):
        with open(path, "wb") as f:
            f.write(text[:place] + bytes([text[place] ^ 1]) + text[place + 1:])
        expect(3, job.lockstep, job.arguments("torn", *options, "--resume"), 2, message="journal: line [12] is damaged")
    with open(path, "wb") as f:
        f.write(text + lines[1] + b"\n")
    expect(3, job.lockstep, job.arguments("torn", *options, "--resume"), 2, message="line 30: a second result of execution 0")


def main():
    options = common.arguments(__doc__)
    job = Job(options.lockstep, common.temporary_directory())
    random_numbers = random.Random(options.seed)
    n = 10 if options.long else 1
    same_on_any_ranks(job)
    a_row_is_what_train_gives(job)
    courses_exercise(job)
    halving_promotes(job)
    grid_is_complete(job)
    journals_are_checked(job)
    for i in range(n):
        stopped_again_and_again(job, random_numbers, 4, "long-%d" % i, ("--trials", 12, "--epochs", 100, "--batch-size", 8))
        stopped_again_and_again(job, random_numbers, 3, "halved-%d" % i, ("--search", "halving", "--trials", 12, "--epochs", 300))
    common.finish()


if __name__ == "__main__":
    main()
