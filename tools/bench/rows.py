"""The rows of the benchmark: which network on which data, and how long."""
import json
import os
import subprocess
from typing import NamedTuple

import h5py
import numpy as np

RATE = 0.01
EPSILON = 1e-8  # of Adam; PyTorch's and scikit-learn's default, so small that its place in the formula does not matter
TOLERANCE = 1e-5


class Row(NamedTuple):
    name: str
    title: str
    hidden: tuple
    features: int
    batch: int
    samples: int       # rows that an epoch goes through
    epochs: int        # of every system; the losses of the last of these are compared
    fast_epochs: int   # of systems that take microseconds: one epoch would be too short to measure
    ranks: tuple
    unit: str          # what the table shows: us/step, samples/s, or s for the whole fit
    metrics: bool = False  # Keras also computes the notebook's four measures, as lockstep always does
    classes: int = 2       # two: one sigmoid output and binary cross-entropy; more: softmax and categorical cross-entropy
    optimizer: str = "sgd"  # or "adam", with EPSILON
    rate: float = RATE
    dropout: float = 0     # of each hidden layer's outputs
    l2: float = 0          # times the squares of all kernels, added to the loss
    tolerance: float = TOLERANCE  # of the losses, relative to lockstep's

    @property
    def steps(self):
        return self.samples // self.batch

    @property
    def is_plain(self):
        """Whether systems that only know the notebook's training can do it."""
        return self.classes == 2 and self.optimizer == "sgd" and not self.dropout and not self.l2

    @property
    def options(self):
        """Of lockstep train, beside the network's."""
        adam = ["--epsilon", EPSILON] if self.optimizer == "adam" else []
        return ["--learning-rate", self.rate, "--optimizer", self.optimizer, *adam]


ROWS = (
    Row("tiny-8", "[2,2], N=2, batch 8", (2, 2), 2, 8, 16000, 3, 40, (1, 2), "us/step"),
    Row("tiny-8000", "[2,2], N=2, batch 8000", (2, 2), 2, 8000, 800000, 4, 12, (1,), "samples/s"),
    Row("middle-8", "[64,64], N=2, batch 8", (64, 64), 2, 8, 16000, 3, 8, (1,), "us/step"),
    Row("middle-1024", "[64,64], N=2, batch 1024", (64, 64), 2, 1024, 102400, 3, 8, (1,), "samples/s"),
    Row("higgs", "4 x 300, N=28, batch 1024", (300,) * 4, 28, 1024, 20480, 3, 3, (1, 2), "samples/s"),
    Row("wide", "3 x 1024, N=1024, batch 1024", (1024,) * 3, 1024, 1024, 4096, 3, 3, (1, 2), "samples/s"),
    Row("course", "4 x 16, N=6, 3 classes, Adam, batch 32", (16,) * 4, 6, 32, 64000, 3, 8, (1,), "us/step", classes=3,
        optimizer="adam", rate=1e-3),
    # Everybody drops other outputs: other seeds move the loss by 0.5 %, no dropout by 4 %, half as much by 2 %, no L2 by 40 %.
    Row("regularised", "4 x 300, N=28, Adam, dropout, L2, batch 1024", (300,) * 4, 28, 1024, 20480, 3, 3, (1, 2), "samples/s",
        optimizer="adam", rate=1e-3, dropout=0.2, l2=1e-4, tolerance=1e-2),
    Row("notebook", "the notebook's fit, 40 000 steps", (2, 2), 2, 8, 80000, 4, 4, (1,), "s", metrics=True),
)


def prepare(row, lockstep, directory):
    """Writes what every system reads: data.h5 by lockstep generate, init.h5 with the initial weights, case.json, and both
    once more as plain float32 for C programs."""
    os.makedirs(directory, exist_ok=True)
    path = lambda name: os.path.join(directory, name)

    def run(*words):
        subprocess.run([str(word) for word in (lockstep, *words)], check=True, stdout=subprocess.DEVNULL)

    run("generate", "-o", path("data.h5"), "--n-samples", row.samples, "--n-features", row.features,
        "--n-informative", 2 * (row.classes - 1), "--n-redundant", 0, "--n-classes", row.classes, "--class-sep", 1.5,
        "--flip-y", 0.01, "--random-state", 7, "--dtype", "float32")
    # One step so short that no weight changes is how to get the initial weights; the biases become 1e-31 instead of 0.
    run("train", path("data.h5"), "--hidden", ",".join(map(str, row.hidden)), "--seed", 1, "--batch-size", row.samples,
        "--dropout", row.dropout, "--l2", row.l2, "--learning-rate", 1e-30, "--verbose", 0, "-o", path("init.h5"))
    with open(path("case.json"), "w") as f:
        json.dump(dict(row._asdict(), epsilon=EPSILON), f)
    with h5py.File(path("data.h5")) as f:
        f["train/X"][:].tofile(path("x.f32"))
        f["train/y"][:].astype(np.float32).tofile(path("y.f32"))
    # FANN's order: for each unit the weights of its inputs, then its bias.
    flat = [np.append(kernel, bias[None, :], axis=0).T.ravel() for kernel, bias in read_weights(path("init.h5"))]
    np.concatenate(flat).tofile(path("w.f32"))


def read_weights(path):
    """(kernel, bias) of each layer of a model file."""
    with h5py.File(path) as f:
        dense = [name for name in f["layers"] if name.startswith("dense")]
        names = ["dense"] + ["dense_%d" % i for i in range(1, len(dense))]
        return [(f["layers"][name]["vars/0"][:], f["layers"][name]["vars/1"][:]) for name in names]
