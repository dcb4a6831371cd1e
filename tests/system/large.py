#!/usr/bin/env python3
"""More than 2^31 samples, counted one by one. The file is a hole but for its last rows, so that it takes no space.

large.py PATH_TO_lockstep [--long]
"""
import json

import h5py
import numpy as np

from common import arguments, check, expect, finish, temporary_directory

N_SAMPLES, N_ONES = 2 ** 31 + 1000, 700  # the last rows are (1) with label 1, all others (0) with label 0

options = arguments(__doc__)
folder = temporary_directory()


def add_array(file, name, shape):
    """An array of bytes whose place is taken and whose values are not written."""
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    array = h5py.Dataset(h5py.h5d.create(file.id, name, h5py.h5t.STD_U8LE, h5py.h5s.create_simple(shape), create, links))
    array[-N_ONES:] = 1


with h5py.File(folder + "/large.h5", "w") as file:
    add_array(file, b"/train/X", (N_SAMPLES, 1))
    add_array(file, b"/train/y", (N_SAMPLES,))
with h5py.File(folder + "/small.h5", "w") as file:
    file["train/X"] = np.arange(64.0)[:, None] % 2
    file["train/y"] = np.arange(64) % 2

expect(0, options.lockstep, ["train", "small.h5", "--epochs", 200, "--batch-size", 8, "--learning-rate", 0.5, "--verbose", 0,
                             "-o", "model.h5"], directory=folder)
run = expect(0, options.lockstep, ["evaluate", "model.h5", "large.h5", "--json", "--progress", "lines"], ranks=2,
             directory=folder)
measures = json.loads(run.stdout)["train"]
check(measures["samples"] == N_SAMPLES, "samples", measures)
check(measures["confusion_matrix"] == [[N_SAMPLES - N_ONES, 0], [0, N_ONES]], "counts", measures)
check("evaluate train: %d/%d samples" % (N_SAMPLES, N_SAMPLES) in run.stderr, "progress", run)
finish()
