#!/usr/bin/env python3
"""Stopped anywhere and resumed on another number of ranks: resume.py PATH_TO_lockstep [--long] [--seed N]

Chains of stops (signals to one rank or to mpirun, SIGKILL of one rank or of mpirun, a smaller number of epochs) at random steps, in the
middle of epochs too, end with the files of the uninterrupted run, byte by byte: of a plain training, and of one with everything at once
(classes, weights, dropout, Adam, early stopping and more), with other vector instructions from run to run. What decides the result must
not change on the way, what does not may. --long makes ten times as many chains.
"""
import csv
import json
import os
import random
import re
import shutil
import signal
import time

import h5py
import numpy as np

import common
from common import Run, check, expect, has_handlers, same_bytes

ROWS, BATCH, EPOCHS = 903, 32, 40
STEPS = -(-ROWS // BATCH)  # of an epoch
RANKS = (0, 1, 2, 3, 4, 5, 7, 8)


class Job:
    """A training that is stopped and resumed: the plain one, or one with everything at once, which stops early by itself."""

    def __init__(self, lockstep, directory, everything=False):
        self.lockstep, self.directory = lockstep, directory
        self.data, self.reference = directory + "/data.h5", directory + "/reference"
        self.options = {"--hidden": "16,8", "--batch-size": BATCH, "--epochs": EPOCHS, "--seed": 5, "--learning-rate": 0.05}
        self.more = common.EVERYTHING if everything else []
        if everything:
            common.make_classes(lockstep, self.data, ROWS)
        else:
            expect(0, lockstep, ["generate", "-o", self.data, "--n-samples", ROWS + 100, "--n-features", 5, "--n-informative", 3,
                                 "--n-redundant", 0, "--random-state", 3, "--train-size", ROWS])
        r = expect(0, lockstep, self.arguments(self.reference, every="1epochs", resume=False))
        self.end = steps_in(self.reference + "/ck")[-1]
        stops = re.findall(r"early stopping|on a plateau", r.stderr)
        check((stops.count("early stopping") == 1 and len(stops) > 2 and EPOCHS * STEPS // 2 < self.end < EPOCHS * STEPS)
              if everything else self.end == EPOCHS * STEPS, "ends after", self.end / STEPS, "epochs:", r)

    def arguments(self, directory, every="5steps", resume=True, data=None, **changed):
        os.makedirs(directory, exist_ok=True)
        options = dict(self.options, **{"--" + name.replace("_", "-"): value for name, value in changed.items()})
        options.update({"--output": directory + "/m.h5", "--history": directory + "/h.csv", "--checkpoint-dir": directory + "/ck",
                        "--checkpoint-every": every})
        result = ["train", data or self.data, "--verbose", 0] + (["--resume"] if resume else [])
        for name, value in options.items():
            if value is not None:
                result += [name, value]
        return result + self.more

    def compare(self, directory, *what):
        check(same_bytes(self.reference + "/m.h5", directory + "/m.h5"), "the model file differs", *what)
        check(measures(self.reference + "/h.csv") == measures(directory + "/h.csv"), "the history differs", *what)
        name = "/ck/checkpoint-%012d.weights.h5" % self.end
        check(same_bytes(self.reference + name, directory + name), "the last checkpoint differs", *what)


def measures(path):
    """The history without its times."""
    with open(path, newline="") as f:
        return [row[:-2] for row in csv.reader(f)]


def steps_in(directory):
    """The steps of the checkpoints, oldest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = [re.fullmatch(r"checkpoint-(\d{12})\.weights\.h5", name) for name in names]
    return sorted(int(m.group(1)) for m in found if m)


def wait_for_step(run, directory, step):
    """Waits until a checkpoint of that step or a later one is there; False if the run ended before."""
    while run.running():
        if (steps_in(directory) or [-1])[-1] >= step:
            return True
        time.sleep(0.001)
    return False


STOPS = ("SIGUSR1 rank", "SIGTERM rank", "SIGUSR1 mpirun", "SIGKILL rank", "SIGKILL mpirun", "epochs")


def stop(choose, job, directory, kind, ranks, every, step):
    """Runs the job up to about step; True if it was stopped there."""
    memory = (None, "0", "20k")[step % 3]  # rows kept, streamed, or some of either
    arguments = job.arguments(directory, every, memory=memory)
    environment = {"LOCKSTEP_SIMD": choose.choice(common.simd_sets())}
    if kind == "epochs":
        arguments = job.arguments(directory, every, memory=memory, epochs=min(EPOCHS, step // STEPS + 1))
        r = Run(job.lockstep, arguments, ranks, environment).wait()
        check(r.code == 0, kind, r)
        return check(steps_in(directory + "/ck")[-1] == min(EPOCHS, step // STEPS + 1) * STEPS, kind, r)
    r = Run(job.lockstep, arguments, ranks, environment)
    stopped = wait_for_step(r, directory + "/ck", step)
    if stopped:
        name, whom = kind.split()
        pids = r.rank_pids()
        while name != "SIGKILL" and r.running() and not all(map(has_handlers, pids.values())):
            time.sleep(0.001)
        target = r.pid if whom == "mpirun" else choose.choice(list(pids.values()) or [r.pid])
        try:
            os.kill(target, getattr(signal, name))
        except ProcessLookupError:
            stopped = False
    r.wait()
    if r.code == 0:
        return False  # it was at the end before the signal came
    if kind.startswith("SIGKILL"):
        return check(r.code not in (0, None, 75), kind, r)
    if check(r.code == 75, kind, "must leave with 75:", r):
        said = re.search(r"stopped by a signal in epoch (\d+) after step (\d+); its checkpoint is in", r.stderr)
        check(said and (int(said.group(1)) - 1) * STEPS + int(said.group(2)) == steps_in(directory + "/ck")[-1],
              "newest checkpoint", steps_in(directory + "/ck"), "of", r)
        said = [line for line in r.messages() if "on a plateau" not in line]
        check(len(said) == 2 and re.search("resumed from|starting anew", said[0]), "messages of", r)
    return True


def chains(job, choose, n):
    before = common.n_checks, common.n_failed
    n_stops, kinds = 0, {}
    for i in range(n):
        directory = job.directory + "/chain"
        shutil.rmtree(directory, ignore_errors=True)
        steps = sorted(choose.sample(range(1, job.end * 3 // 4), choose.randint(1, 3)))
        said = []
        for j, step in enumerate(steps):
            kind = STOPS[(i + j * 5) % len(STOPS)]
            ranks = choose.choice(RANKS[1:] if "mpirun" in kind else RANKS)
            every = choose.choice(("1steps", "3steps", "7steps", "0.01s", "1epochs"))
            said.append("%s near step %d on %d ranks, every %s" % (kind, step, ranks, every))
            if stop(choose, job, directory, kind, ranks, every, step):
                n_stops += 1
                kinds[kind] = kinds.get(kind, 0) + 1
        ranks = choose.choice(RANKS)
        # A checkpoint each epoch, so that the last one is of the end as the reference's.
        r = expect(0, job.lockstep, job.arguments(directory, "1epochs"), ranks, message="resumed from .*, after epoch")
        job.compare(directory, *said, r)
    check(n_stops >= n, "too few stops came before the end:", kinds)
    print("chains%s: %d with %d stops (%s): %d checks, %d failed"
          % (" with everything at once" if job.more else "", n, n_stops, ", ".join("%d %s" % (c, k) for k, c in sorted(kinds.items())), common.n_checks - before[0],
             common.n_failed - before[1]))


def copy_with(source, target, change):
    shutil.copy(source, target)
    with h5py.File(target, "r+") as f:
        change(f)
    return target


def changed_x(f):
    """As little as the model's float32 shows."""
    f["train/X"][417, 2] = np.nextafter(np.float32(f["train/X"][417, 2]), np.float32(10))


def changed_y(f):
    f["train/y"][902] = 1 - f["train/y"][902]


def one_row_less(f):
    for name in ("X", "y"):
        values = f["train/" + name][:-1]
        del f["train/" + name]
        f["train/" + name] = values


def one_feature_less(f):
    values = f["train/X"][:, :-1]
    del f["train/X"]
    f["train/X"] = values


def refusals(job):
    """Everything that decides the result must be as it was; what is not is named, with both values."""
    before = common.n_checks, common.n_failed
    directory = job.directory + "/refused"
    expect(0, job.lockstep, job.arguments(directory, "10steps", False, epochs=2))
    present = {n: open(directory + "/ck/" + n, "rb").read() for n in os.listdir(directory + "/ck")}
    init = job.directory + "/other.weights.h5"
    expect(0, job.lockstep, ["train", job.data, "--hidden", "16,8", "--verbose", 0, "--seed", 9, "-o", init])
    d = job.directory
    cases = [
        (dict(batch_size=31), r"batch_size was 32 .* is 31 now"),
        (dict(learning_rate=0.06), r"learning_rate was 0\.05\S* .* is 0\.0\S* now"),
        (dict(seed=6), r"seed was 5 .* is 6 now"),
        (dict(shuffle="none"), r"shuffle was true .* is false now"),
        (dict(shards=16), r"shards was 8 .* is 16 now"),
        (dict(hidden="16,9"), r"hidden was 16,8 .* is 16,9 now"),
        (dict(hidden="16"), r"hidden was 16,8 .* is 16 now"),
        (dict(hidden=""), r"hidden was 16,8 .* is none now"),
        (dict(activation="relu"), r"activation was tanh .* is relu now"),
        (dict(dtype="float64"), r"dtype was float32 .* is float64 now"),
        (dict(init=init), r"initial weights was \"\w+\" .* is \"\w+\" now"),
        (dict(reduction="mpi"), r"reduction was \"tree\" .* is \"mpi\" now"),
        (dict(data=copy_with(job.data, d + "/x.h5", changed_x)), r"training data was \"\w+\" .* is \"\w+\" now"),
        (dict(data=copy_with(job.data, d + "/y.h5", changed_y)), r"training data was \"\w+\" .* is \"\w+\" now"),
        (dict(data=copy_with(job.data, d + "/rows.h5", one_row_less)), r"n_samples was 903 .* is 902 now"),
        (dict(data=copy_with(job.data, d + "/columns.h5", one_feature_less)), r"n_features was 5 .* is 4 now"),
        (dict(epochs=1), r"is already in epoch 3, after the 1 epochs asked for"),
    ]
    for i, (changed, message) in enumerate(cases):
        r = expect(2, job.lockstep, job.arguments(directory, **changed), 3 if i % 3 == 0 else 0, message=message)
        check(len(r.messages()) == 1, "one message:", r)
        check(re.search(r"checkpoint-000000000058\.weights\.h5: ", r.stderr), "the file is not named:", r)
    r = expect(2, job.lockstep, job.arguments(directory, resume=False), message="holds 2 checkpoints of an earlier run")
    expect(2, job.lockstep, ["train", job.data, "--resume"], message="--resume needs --checkpoint-dir")
    check(present == {n: open(directory + "/ck/" + n, "rb").read() for n in os.listdir(directory + "/ck")},
          "a refused run changed the checkpoints:", os.listdir(directory + "/ck"))
    # These may change, and the data may lie elsewhere.
    moved = shutil.copy(job.data, job.directory + "/moved.h5")
    expect(0, job.lockstep, job.arguments(directory, "3epochs", data=moved, keep=7, verify_every=5, stall_timeout=100), 3,
           message="resumed from .*58.weights.h5, after epoch 2, step 0")
    job.compare(directory, "with other checkpoint options")
    print("refusals: %d differences: %d checks, %d failed" % (len(cases), common.n_checks - before[0], common.n_failed - before[1]))


def periods_and_keep(job):
    before = common.n_checks, common.n_failed
    total = 3 * STEPS
    sevens = list(range(7, total, 7))
    for every, keep, expected in (
            ("7steps", 1, [total]), ("7steps", 3, sevens[-2:] + [total]), ("7steps", 1000, sevens + [total]),
            ("1epochs", 2, [2 * STEPS, total]), ("2epochs", 5, [2 * STEPS, total]), ("100000steps", 2, [total]),
            ("100000s", 2, [total]), ("0.000000001s", 100000, list(range(1, total + 1)))):
        for ranks in (0, 3):
            directory = job.directory + "/keep"
            shutil.rmtree(directory, ignore_errors=True)
            r = expect(0, job.lockstep, job.arguments(directory, every, False, epochs=3, keep=keep), ranks)
            check(steps_in(directory + "/ck") == expected, every, keep, steps_in(directory + "/ck"), r)
    print("periods, keep: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def ends(job):
    """Resumed where there is nothing, and where everything is done."""
    before = common.n_checks, common.n_failed
    for ranks in (0, 3):
        directory = job.directory + "/ends"
        shutil.rmtree(directory, ignore_errors=True)
        expect(0, job.lockstep, job.arguments(directory), ranks, message="ck: no checkpoint yet, starting anew")
        job.compare(directory, "started anew with --resume")
        written = os.stat(directory + "/ck/checkpoint-%012d.weights.h5" % job.end).st_mtime_ns
        os.unlink(directory + "/m.h5")
        r = expect(0, job.lockstep, job.arguments(directory), ranks, message="resumed from .*, after epoch %d, step 0" % EPOCHS)
        job.compare(directory, "resumed at the end", r)
        check(os.stat(directory + "/ck/checkpoint-%012d.weights.h5" % job.end).st_mtime_ns == written,
              "the last checkpoint was written again", r)
        check("finished model" in r.stdout, "results at the end:", r)
        # More epochs than at first.
        expect(0, job.lockstep, job.arguments(directory, epochs=EPOCHS + 3), ranks)
        expect(0, job.lockstep, job.arguments(directory + "/whole", resume=False, epochs=EPOCHS + 3), 2)
        check(same_bytes(directory + "/m.h5", directory + "/whole/m.h5"), "more epochs differ")
    print("ends: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def keras_layout(job):
    """A checkpoint in the middle of an epoch is a Keras model file."""
    before = common.n_checks, common.n_failed
    directory = job.directory + "/layout"
    expect(0, job.lockstep, job.arguments(directory, "10steps", False, epochs=1))
    with h5py.File(directory + "/ck/checkpoint-%012d.weights.h5" % 20) as f:
        config = json.loads(f.attrs["model_config"])
        layers = [layer["config"] for layer in config["config"]["layers"] if layer["class_name"] == "Dense"]
        check(config["class_name"] == "Sequential" and [c["units"] for c in layers] == [16, 8, 1], "model_config", config)
        check([c["activation"] for c in layers] == ["tanh", "tanh", "sigmoid"], "activations", config)
        training = json.loads(f.attrs["training_config"])
        check(training["optimizer_config"]["class_name"] == "SGD", "training_config", training)
        shapes = []
        for layer in f["model_weights"].attrs["layer_names"]:
            group = f["model_weights"][layer.decode() if isinstance(layer, bytes) else layer]
            for weight in group.attrs.get("weight_names", []):
                shapes.append(group[weight.decode() if isinstance(weight, bytes) else weight].shape)
        check(shapes == [(5, 16), (16,), (16, 8), (8,), (8, 1), (1,)], "weights", shapes)
    # It serves as a model, as it is.
    expect(0, job.lockstep, ["summary", directory + "/ck/checkpoint-%012d.weights.h5" % 20])
    expect(0, job.lockstep, ["evaluate", directory + "/ck/checkpoint-%012d.weights.h5" % 20, job.data], 2)
    print("layout: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def main():
    options = common.arguments(__doc__)
    choose = random.Random(options.seed)
    job = Job(options.lockstep, common.temporary_directory())
    keras_layout(job)
    refusals(job)
    periods_and_keep(job)
    ends(job)
    chains(job, choose, 60 if options.long else 7)
    chains(Job(options.lockstep, common.temporary_directory(), everything=True), choose, 60 if options.long else 5)
    common.finish()


main()
