#!/usr/bin/env python3
"""The same bits on any number of ranks: same_bits.py PATH_TO_lockstep [--long] [--seed N]

Model files, checkpoints, histories, measures and predictions of the same job as a plain process and on 1 2 3 4 5 7 8 ranks
are compared byte by byte, over types, orders of the rows, batch sizes, shards, architectures and kinds of data files, for every
engine that the command offers. Each case runs on three of these numbers of ranks; types, orders and engines meet all of them, and any two
numbers meet in a case. The plain process keeps all rows in memory; half of the others stream them, and data that can be made on the fly
are. Trainings with everything at once (classes, weights, dropout, optimizers, validation, early stopping, normalised inputs) also change
the vector instructions. --long runs each case on all of them and adds random combinations, four times as many.
"""
import csv
import os
import random
import re
import shutil

import h5py
import numpy as np

import common
from common import check, expect, run, same_bytes

RANKS = (1, 2, 3, 4, 5, 7, 8)
MADE = ["--n-samples", 1200, "--n-features", 4, "--random-state", 9, "--train-size", 0.8, "--weights", "0.3,0.7", "--shift", "none"]


LINE = (0, 1, 3)  # moved round, seven such lines hold each pair of seven once


def some_ranks(i, long):
    return RANKS if long else [RANKS[(i + step) % len(RANKS)] for step in LINE]


class Case:
    def __init__(self, data, dtype="float32", shuffle="epoch", batch=32, shards=None, hidden="", activation="tanh", epochs=2,
                 every="7steps", extra=()):
        self.__dict__.update(locals())

    def train(self, directory, ranks):
        rows = ["--generate"] + MADE if ranks in (3, 7) and "made" in self.data else [self.data]
        memory = {0: "256M", 1: "0", 3: "20k", 5: "0", 8: "40k"}.get(ranks)
        options = ["train"] + rows + (["--memory", memory] if memory else [])
        options += ["--dtype", self.dtype, "--shuffle", self.shuffle, "--batch-size", self.batch, "--hidden", self.hidden,
                    "--activation", self.activation, "--epochs", self.epochs, "--seed", 3, "--learning-rate", 0.1, "--verbose", 0,
                    "-o", directory + "/m.h5", "--history", directory + "/h.csv", *self.extra]
        if self.every:
            options += ["--checkpoint-dir", directory + "/ck", "--checkpoint-every", self.every, "--keep", 3]
        return options + (["--shards", self.shards] if self.shards else [])

    def __str__(self):
        return "%s %s shuffle=%s batch=%s shards=%s hidden=%r %s %s" % (
            os.path.basename(self.data), self.dtype, self.shuffle, self.batch, self.shards, self.hidden, self.activation,
            " ".join(map(str, self.extra)))


def make_data(lockstep, directory):
    """Even and uneven numbers of rows, few and many features, and files as others write them."""
    files = {}
    for name, rows, features, dtype in (("even", 960, 4, "float64"), ("uneven", 1003, 5, "float64"),
                                        ("tiny", 11, 3, "float64"), ("wide", 301, 100, "float32")):
        files[name] = directory + "/%s.h5" % name
        expect(0, lockstep, ["generate", "-o", files[name], "--n-samples", rows + 50, "--n-features", features,
                             "--n-informative", 3, "--n-redundant", 0, "--random-state", 5, "--train-size", rows, "--dtype", dtype])
    for name, dtype in (("made", "float64"), ("made32", "float32")):
        files[name] = directory + "/%s.h5" % name
        expect(0, lockstep, ["generate", "-o", files[name], "--rng", "philox", "--dtype", dtype] + MADE)
    files["gzip"] = directory + "/gzip.h5"
    with h5py.File(files["uneven"]) as source, h5py.File(files["gzip"], "w") as target:
        for part in ("train", "test"):
            x, y = source[part]["X"][...], source[part]["y"][...]
            target.create_dataset(part + "/X", data=x.astype(">f4"), chunks=(37, 2), compression="gzip", shuffle=True)
            target.create_dataset(part + "/y", data=y.reshape(-1, 1).astype("i8"), chunks=(50, 1), compression="gzip")
    return files


def without_times(path):
    with open(path, newline="") as f:
        rows = list(csv.reader(f))
    check(rows[0][-2:] == ["seconds", "samples_per_second"], "columns of the history", rows[0])
    return [row[:-2] for row in rows]


def train(lockstep, case, directory, ranks, engine, **options):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    return expect(0, lockstep, case.train(directory, ranks) + engine, ranks, **options)


def compare(case, r, reference, directory):
    check(same_bytes(reference + "/m.h5", directory + "/m.h5"), "model file differs:", case, r)
    check(without_times(reference + "/h.csv") == without_times(directory + "/h.csv"), "history differs:", case, r)
    if not case.every:
        return
    names = sorted(n for n in os.listdir(reference + "/ck") if n.endswith(".h5"))
    check(1 <= len(names) <= 3, "checkpoints kept:", names, case)
    if check(names == sorted(n for n in os.listdir(directory + "/ck") if n.endswith(".h5")), "other checkpoints:", case, r):
        for name in names:
            check(same_bytes("%s/ck/%s" % (reference, name), "%s/ck/%s" % (directory, name)), name, "differs:", case, r)


def random_case(choose, files):
    batch = choose.choice((8, 10, 37, 64, 100, 256, 999, 5000))
    smallest = 8  # shards for 8 ranks
    return Case(files[choose.choice(("even", "uneven", "gzip", "wide"))], choose.choice(("float32", "float64")),
                choose.choice(("epoch", "none")), batch, choose.choice([s for s in (8, 16, 64, 256) if s >= smallest]),
                ",".join(str(choose.randint(1, 40)) for _ in range(choose.randint(0, 4))),
                choose.choice(("tanh", "relu", "sigmoid", "linear")))


def trained(lockstep, directory, all_cases, engines, long):
    for i, engine in enumerate(engines):
        before = common.n_checks, common.n_failed
        cases = all_cases if i == 0 else all_cases[i::2]  # the first one is the default
        met = set()
        for j, case in enumerate(cases):
            reference = directory + "/reference"
            train(lockstep, case, reference, 0, engine)
            for ranks in some_ranks(j, long):
                met |= {(case.dtype, ranks), (case.shuffle, ranks)} if i == 0 else {(engine[-1], ranks)}
                compare(case, train(lockstep, case, directory + "/other", ranks, engine), reference, directory + "/other")
        check(len(met) == (4 if i == 0 else 1) * len(RANKS), "not all pairs have been met:", sorted(met))
        print("train%s: %d cases on %s ranks: %d checks, %d failed"
              % ("".join(" " + e for e in engine), len(cases), RANKS, common.n_checks - before[0], common.n_failed - before[1]))


def everything(lockstep, directory, engines):
    """What may go into a training, at once; with simd, whose bits are the same on every processor, also other instructions."""
    before = common.n_checks, common.n_failed
    reference, other, sets = directory + "/reference", directory + "/other", common.simd_sets()
    numbers = directory + "/numbers.h5"
    rng = np.random.RandomState(8)
    with h5py.File(numbers, "w") as f:
        x = rng.normal(size=(411, 3)).astype("f4")
        f["train/X"], f["train/y"] = x, x @ rng.normal(size=(3, 2)) + rng.normal(size=(411, 2))
        f["train/sample_weight"] = rng.uniform(0, 3, 411)
    cases = [
        Case(common.make_classes(lockstep, directory + "/classes.h5", 411), hidden="7,5", epochs=60, every="1epochs",
             extra=common.EVERYTHING),
        Case(numbers, "float64", batch=50, shards=16, hidden="6", activation="leaky_relu", epochs=60,
             extra=["--loss", "huber", "--optimizer", "rmsprop", "--learning-rate", 0.05, "--momentum", 0.5, "--centered",
                    "--global-clipnorm", 1, "--l1", 1e-4, "--dropout", 0.1, "--schedule", "cosine", "--warmup-steps", 9,
                    "--validation-split", 0.3, "--monitor", "val_mean_absolute_error", "--early-stopping", 4, "--normalize"])]
    for engine in engines:
        for i, case in enumerate(cases):
            r = train(lockstep, case, reference, 0, engine, message="early stopping, .* was best in epoch")
            check(4 < len(without_times(reference + "/h.csv")) < case.epochs, "not stopped on the way:", case, r)
            for j, ranks in enumerate((1, 2, 3, 5) if engine[-1] == "simd" else (2 + i,)):
                compare(case, train(lockstep, case, other, ranks, engine, environment={"LOCKSTEP_SIMD": sets[(i + j) % len(sets)]}
                                    if engine[-1] == "simd" else None), reference, other)
    print("everything at once: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def measured(lockstep, directory, cases, engines, long):
    before = common.n_checks, common.n_failed
    for case, line in zip(cases, (0, 4, 6)):  # lines through one point: they hold all
        train(lockstep, case, directory + "/reference", 0, engines[0])
        model, outputs = directory + "/reference/m.h5", {}
        for ranks in [0, *some_ranks(line, long)]:
            r = expect(0, lockstep, ["evaluate", model, case.data, "--json"], ranks)
            predictions = directory + "/p.h5"
            expect(0, lockstep, ["predict", model, case.data, "-o", predictions], ranks)
            with open(predictions, "rb") as f:
                outputs[ranks] = r.stdout, f.read()
            check(outputs[ranks][0] == outputs[0][0], "measures differ:", case, r)
            check(outputs[ranks][1] == outputs[0][1], "predictions differ:", case, ranks)
    print("evaluate, predict: %d cases: %d checks, %d failed"
          % (len(cases), common.n_checks - before[0], common.n_failed - before[1]))


def weights(path):
    with h5py.File(path) as f:
        values = []
        f["model_weights"].visititems(lambda _, o: values.append(o[...].ravel()) if isinstance(o, h5py.Dataset) else None)
    return np.concatenate(values)


def other_modes(lockstep, directory, files):
    """What must not change the bits, and the reduction that may."""
    before = common.n_checks, common.n_failed
    reference, other = directory + "/reference", directory + "/other"
    for case in (Case(files["uneven"], "float32", batch=37, shards=8, hidden="7,3"), Case(files["even"], "float64", batch=100, hidden="5")):
        train(lockstep, case, reference, 0, [])
        for ranks in (2, 3, 5, 8):
            compare(case, train(lockstep, case, other, ranks, ["--verify-every", 3]), reference, other)
            r = train(lockstep, case, other, ranks, ["--reduction", "mpi", "--verify-every", 1])
            # Another order of the sums: near, but not the same.
            tree, plain = weights(reference + "/m.h5"), weights(other + "/m.h5")
            error = np.max(np.abs(tree - plain)) / np.max(np.abs(tree))
            check(error < (1e-3 if case.dtype == "float32" else 1e-11), "--reduction mpi differs by", error, case, r)
            check(len(without_times(other + "/h.csv")) == case.epochs + 1, "epochs of the history:", r)
    # The comparison itself must be able to fail.
    train(lockstep, Case(files["even"], batch=64), reference, 0, [])
    train(lockstep, Case(files["even"], batch=64), other, 2, ["--shards", 64])
    check(not same_bytes(reference + "/m.h5", other + "/m.h5"), "other shards gave the same file")
    print("verify, mpi: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def main():
    options = common.arguments(__doc__)
    lockstep, directory = options.lockstep, common.temporary_directory()
    files = make_data(lockstep, directory)
    found = re.search(r"--engine ([a-z|0-9]+)", run(lockstep, ["train", "--help"]).stdout)
    check(found, "no engines in train --help")
    engines = [["--engine", e] for e in found.group(1).split("|") if e != "auto"]
    cases = [
        Case(files["even"], "float32", "epoch", 8),
        Case(files["uneven"], "float64", "none", 10, hidden="2,2"),
        Case(files["uneven"], "float32", "none", 37, 16, "20,10", "relu"),
        Case(files["uneven"], "float64", "epoch", 100, 8, "30", "sigmoid"),
        Case(files["even"], "float32", "epoch", 256, 64, "64,64"),
        Case(files["uneven"], "float32", "epoch", 10, 64, "2,2"),  # shards without rows
        Case(files["gzip"], "float64", "none", 256, 256, "3"),
        Case(files["gzip"], "float32", "epoch", 100, 32, "5,5,5"),
        Case(files["made"], "float64", "epoch", 50, 8, "3"),
        Case(files["made32"], "float32", "none", 37, 16, "2,2"),
        Case(files["tiny"], "float32", "epoch", 8, hidden="2,2", epochs=9),
        Case(files["uneven"], "float64", "epoch", 5000, hidden="2", every="1epochs"),  # one batch, larger than the data
        Case(files["wide"], "float32", "epoch", 100, 8, "150", every=None),
    ]
    if options.long:
        choose = random.Random(options.seed)
        cases += [random_case(choose, files) for _ in range(4 * len(cases))]
    trained(lockstep, directory, cases, engines, options.long)
    everything(lockstep, directory, engines)
    measured(lockstep, directory, [cases[0], cases[6], cases[12]], engines, options.long)
    other_modes(lockstep, directory, files)
    common.finish()


main()
