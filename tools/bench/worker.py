"""What the Python systems share: a process that stays, reads a request per line of stdin and answers with a line of JSON.

Staying keeps imports and compiling out of the rounds, and lets the systems take turns."""
import functools
import json
import os
import sys
import time
from types import SimpleNamespace

import h5py
import numpy as np

from rows import read_weights


@functools.cache
def read_case(directory):
    """Without the rows."""
    with open(os.path.join(directory, "case.json")) as f:
        case = SimpleNamespace(directory=directory, **json.load(f))
    case.weights = read_weights(os.path.join(directory, "init.h5"))
    return case


@functools.cache
def load_case(directory):
    case = read_case(directory)
    with h5py.File(os.path.join(directory, "data.h5")) as f:
        case.x = f["train/X"][:]
        case.y = f["train/y"][:].astype(np.float32)[:, None] if case.classes == 2 else f["train/y"][:].astype(np.int64)
    case.steps = case.samples // case.batch
    return case


def peak():
    """Most resident memory of this process so far, in bytes."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def serve(train, started, load=load_case):
    """train(case, epochs) returns the seconds and the mean loss of each epoch, and the seconds of compiling before them;
    started is time.time() of the first line of the system's script; load reads the case."""
    # Libraries print to stdout: the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps({"ready_after": time.time() - started}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        seconds, losses, compiling = train(load(request["directory"]), request["epochs"])
        print(json.dumps({"seconds": seconds, "losses": losses, "compiling": compiling, "peak": peak()}), file=answers,
              flush=True)
