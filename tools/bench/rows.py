"""The rows of the benchmark: which network on which data, and how long."""
import json
import os
import subprocess
from typing import NamedTuple

import h5py
import numpy as np


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

    @property
    def steps(self):
        return self.samples // self.batch


ROWS = (
    Row("tiny-8", "[2,2], N=2, batch 8", (2, 2), 2, 8, 16000, 3, 40, (1, 2), "us/step"),
    Row("tiny-8000", "[2,2], N=2, batch 8000", (2, 2), 2, 8000, 800000, 4, 12, (1,), "samples/s"),
    Row("middle-8", "[64,64], N=2, batch 8", (64, 64), 2, 8, 16000, 3, 8, (1,), "us/step"),
    Row("middle-1024", "[64,64], N=2, batch 1024", (64, 64), 2, 1024, 102400, 3, 8, (1,), "samples/s"),
    Row("higgs", "4 x 300, N=28, batch 1024", (300,) * 4, 28, 1024, 20480, 3, 3, (1, 2), "samples/s"),
    Row("wide", "3 x 1024, N=1024, batch 1024", (1024,) * 3, 1024, 1024, 4096, 3, 3, (1, 2), "samples/s"),
    Row("notebook", "the notebook's fit, 40 000 steps", (2, 2), 2, 8, 80000, 4, 4, (1,), "s", metrics=True),
)
RATE = 0.01


def prepare(row, lockstep, directory):
    """Writes what every system reads: data.h5 by lockstep generate, init.h5 with the initial weights, case.json, and both
    once more as plain float32 for C programs."""
    os.makedirs(directory, exist_ok=True)
    path = lambda name: os.path.join(directory, name)

    def run(*words):
        subprocess.run([str(word) for word in (lockstep,) + words], check=True, stdout=subprocess.DEVNULL)

    run("generate", "-o", path("data.h5"), "--n-samples", row.samples, "--n-features", row.features, "--n-informative", 2,
        "--n-redundant", 0, "--class-sep", 1.5, "--flip-y", 0.01, "--random-state", 7, "--dtype", "float32")
    # One step so short that no weight changes is how to get the initial weights; the biases become 1e-31 instead of 0.
    run("train", path("data.h5"), "--hidden", ",".join(map(str, row.hidden)), "--seed", 1, "--batch-size", row.samples,
        "--learning-rate", 1e-30, "--verbose", 0, "-o", path("init.h5"))
    with open(path("case.json"), "w") as f:
        json.dump(dict(row._asdict(), rate=RATE), f)
    with h5py.File(path("data.h5")) as f:
        f["train/X"][:].tofile(path("x.f32"))
        f["train/y"][:].astype(np.float32).tofile(path("y.f32"))
    # FANN's order: for each unit the weights of its inputs, then its bias.
    flat = [np.append(kernel, bias[None, :], axis=0).T.ravel() for kernel, bias in read_weights(path("init.h5"))]
    np.concatenate(flat).tofile(path("w.f32"))


def read_weights(path):
    """(kernel, bias) of each layer of a model file."""
    with h5py.File(path) as f:
        names = ["dense"] + ["dense_%d" % i for i in range(1, len(f["layers"]))]
        return [(f["layers"][name]["vars/0"][:], f["layers"][name]["vars/1"][:]) for name in names]
