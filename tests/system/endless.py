"""A job without end, for the tests that end it otherwise: started, hit, looked at and resumed."""
import copy
import os
import re
import shutil
import signal
import time

import common
from common import Run, check, expect

ROWS, BATCH = 320, 32
STEPS = ROWS // BATCH
measured = {}  # name: seconds


class Job:
    def __init__(self, lockstep, directory):
        self.lockstep, self.directory = lockstep, directory
        self.data, self.checkpoints = directory + "/data.h5", directory + "/ck"
        expect(0, lockstep, ["generate", "-o", self.data, "--n-samples", ROWS, "--n-features", 4, "--n-redundant", 0,
                             "--random-state", 3])

    def beside(self, name):
        """The same job with checkpoints of its own."""
        other = copy.copy(self)
        other.checkpoints = "%s/ck-%s" % (self.directory, name)
        return other

    def arguments(self, *more, epochs=1000000, data=None, checkpoints=True):
        result = ["train", data or self.data, "--hidden", "8", "--batch-size", BATCH, "--epochs", epochs, "--verbose", 0]
        if checkpoints:
            result += ["--checkpoint-dir", self.checkpoints, "--checkpoint-every", "100steps", "--resume"]
        return result + list(more)

    def start(self, ranks, *more, until=1, fresh=True, **options):
        """A run without end that has written a checkpoint."""
        if fresh:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        r = Run(self.lockstep, self.arguments(*more, **options), ranks)
        while until and r.running() and self.newest() < until:
            time.sleep(0.005)
        check(len(r.rank_pids()) == max(ranks, 1), "did not start:", r.command)
        return r

    def newest(self):
        try:
            return max([int(n[11:23]) for n in os.listdir(self.checkpoints) if n.startswith("checkpoint-")], default=-1)
        except FileNotFoundError:
            return -1

    def resumable(self, ranks, at_least, *what):
        """Goes on from the newest checkpoint to the end of its epoch."""
        newest = self.newest()
        check(newest >= at_least, "the newest checkpoint is of step", newest, "not", at_least, *what)
        expect(0, self.lockstep, self.arguments(epochs=newest // STEPS + 1), ranks,
               message=r"resumed from .*%012d.weights.h5, after" % newest)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end(name, r):
    """Waits for the end of a run that has just been hit; nothing of it may be left."""
    begin = time.monotonic()
    r.wait()
    orphans = r.orphans()
    measured[name] = max(measured.get(name, 0), time.monotonic() - begin)
    check(r.code is not None, name, "did not end:", r)
    check(not orphans, name, "left processes behind:", orphans, r)


def group(text):
    """Prints the checks of a function, and the seconds of its ends."""
    def decorate(function):
        def wrapped(*arguments):
            before = common.n_checks, common.n_failed
            measured.clear()
            function(*arguments)
            print("%s: %d checks, %d failed%s" % (
                text, common.n_checks - before[0], common.n_failed - before[1],
                "".join("; %s: %.1f s" % item for item in measured.items())), flush=True)
        return wrapped
    return decorate


def leaves_with_75(job, name, r):
    """Waits for the end of a run that a signal has stopped: its newest checkpoint is of the step that it tells."""
    end(name, r)
    check(r.code == 75, name, "must leave with 75:", r)
    said = re.search(r"stopped by a signal in epoch (\d+) after step (\d+); its checkpoint is in", r.stderr)
    if check(said, name, "no message:", r):
        step = (int(said.group(1)) - 1) * STEPS + int(said.group(2))
        check(step == job.newest(), name, "stopped after step", step, "the newest checkpoint is of", job.newest(), r)
    check(len([m for m in r.messages() if "stopped" in m]) == 1, "one message:", r)
    check(not any(n.startswith(".checkpoint") for n in os.listdir(job.checkpoints)), "temporary files:", os.listdir(job.checkpoints))
