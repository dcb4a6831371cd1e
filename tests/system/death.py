#!/usr/bin/env python3
"""Deaths, signals and stuck ranks: death.py PATH_TO_lockstep [--long] [--seed N]

A rank that dies ends the job; a signal at one rank or at mpirun lets all ranks write a checkpoint of one step and leave with 75, from the
first moment on; a rank that is stuck is named and ends the job. After each of them no process is left and the job can be resumed.
--long repeats everything five times. Needs cc for a file system that dies.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np

import common
from common import Run, check, expect, has_handlers

ROWS, BATCH = 320, 32
STEPS = ROWS // BATCH
measured = {}  # name: seconds


class Job:
    def __init__(self, lockstep, directory):
        self.lockstep, self.directory = lockstep, directory
        self.data, self.checkpoints = directory + "/data.h5", directory + "/ck"
        expect(0, lockstep, ["generate", "-o", self.data, "--n-samples", ROWS, "--n-features", 4, "--n-redundant", 0,
                             "--random-state", 3])

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


@group("SIGKILL")
def killed(job, choose):
    for ranks, victim in ((2, 1), (3, 0), (3, 1), (3, 2), (5, choose.randrange(5))):
        r = job.start(ranks)
        newest = job.newest()
        send(r.rank_pids()[victim], signal.SIGKILL)
        end("rank killed", r)
        check(r.code not in (0, 75), "a rank was killed:", r)
        job.resumable(choose.choice((0, 2, 4)), newest, r)
    r = job.start(3)
    newest = job.newest()
    send(r.pid, signal.SIGKILL)
    end("mpirun killed", r)
    job.resumable(2, newest, r)


def leaves_with_75(job, name, r):
    end(name, r)
    check(r.code == 75, name, "must leave with 75:", r)
    said = re.search(r"stopped by a signal in epoch (\d+) after step (\d+); its checkpoint is in", r.stderr)
    if check(said, name, "no message:", r):
        step = (int(said.group(1)) - 1) * STEPS + int(said.group(2))
        check(step == job.newest(), name, "stopped after step", step, "the newest checkpoint is of", job.newest(), r)
    check(len([m for m in r.messages() if "stopped" in m]) == 1, "one message:", r)
    check(not any(n.startswith(".checkpoint") for n in os.listdir(job.checkpoints)), "temporary files:", os.listdir(job.checkpoints))


@group("signals")
def signals(job, choose):
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        for victim in range(3):
            r = job.start(3)
            send(r.rank_pids()[victim], number)
            leaves_with_75(job, number.name + " at a rank", r)
        r = job.start(0)
        send(r.pid, number)
        leaves_with_75(job, number.name + " at a process", r)
    job.resumable(3, 1)
    r = job.start(4)
    send(r.pid, signal.SIGUSR1)
    leaves_with_75(job, "SIGUSR1 at mpirun", r)
    r = job.start(4)
    for pid in r.rank_pids().values():
        for number in (signal.SIGUSR1, signal.SIGTERM):
            send(pid, number)
    leaves_with_75(job, "both at all ranks", r)
    job.resumable(2, 1)
    # Nothing to come back to: said so.
    r = Run(job.lockstep, job.arguments(checkpoints=False), 2)
    pids = list(r.rank_pids().values())
    while r.running() and not all(map(has_handlers, pids)):
        time.sleep(0.01)
    for pid in pids:
        send(pid, signal.SIGUSR1)
    end("without checkpoints", r)
    check(r.code == 75 and "without --checkpoint-dir" in r.stderr, "without checkpoints", r)


@group("at mpirun")
def at_mpirun(job, choose):
    seen = []
    for number in (signal.SIGTERM, signal.SIGINT):
        for ranks in (2, 3):
            r = job.start(ranks)
            newest = job.newest()
            send(r.pid, number)
            end(number.name + " at mpirun", r)
            check(r.code != 0, number.name, r)
            seen.append("%s: exit code %d, %s" % (number.name, r.code, "last checkpoint" if "stopped by" in r.stderr else "killed"))
            job.resumable(3, newest, r)
    print("; ".join(seen))


@group("first moments")
def first_moments(job, choose):
    """As soon as the handlers are there, before MPI_Init, while it starts and reads, no signal is lost."""
    large = job.directory + "/large.h5"
    with h5py.File(large, "w") as f:
        x = np.random.RandomState(1).standard_normal((200000, 8)).astype("f4")
        f.create_dataset("train/X", data=x, chunks=(1000, 8), compression="gzip")
        f["train/y"] = (x[:, 0] > 0).astype("u1")
    delays = (0, 0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5)
    for i, delay in enumerate(delays):
        ranks = (0, 2, 3)[i % 3]
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        r = Run(job.lockstep, job.arguments(data=large), ranks)
        victim = choose.randrange(max(ranks, 1))
        pid = None
        while r.running() and (pid is None or not has_handlers(pid)):
            pid = r.pid if ranks == 0 else common.ranks_of(r.mark).get(victim)
        caught = time.monotonic() - r.begin
        time.sleep(delay)
        if pid:
            send(pid, (signal.SIGUSR1, signal.SIGTERM)[i % 2])
        r.wait()
        if ranks == 0:
            measured["handlers of a process in place after"] = caught
        check(r.code == 75 and "its checkpoint is in" in r.stderr, "a signal %.2f s after the handlers on %d ranks:" % (delay, ranks), r)
        check(not r.orphans(), r.orphans())
        check(job.newest() >= 1, "no checkpoint:", r)


def read_bytes(pid):
    try:
        with open("/proc/%d/io" % pid) as f:
            return int(re.search(r"rchar: (\d+)", f.read()).group(1))
    except (OSError, AttributeError):
        return 0


def is_reported(name, r, stuck, operation):
    """One report of exit code 8 that marks these ranks and no other."""
    check(r.code == 8, name, "exit code 8:", r)
    check(r.stderr.count("no progress for") == 1, name, "one report:", r)
    lines = re.findall(r"^  rank (\d+): step (\d+), (.*)$", r.stderr, re.M)
    check(len(lines) == r.ranks, name, "a line for each rank:", r)
    check(sorted(int(rank) for rank, _, text in lines if "STUCK" in text) == sorted(stuck), name, "ranks", stuck, "are stuck:", r)
    for rank, step, text in lines:
        if int(rank) in stuck:
            check(re.match(operation, text), name, "operation", operation, r)
        else:
            check(re.match("waiting", text), name, "the others wait:", r)
    return {int(rank): int(step) for rank, step, _ in lines}


@group("stuck")
def stuck(job, choose):
    for ranks, victims in ((2, [1]), (3, [0]), (3, [1]), (4, [2, 3]), (5, [choose.randrange(5)])):
        r = job.start(ranks, "--stall-timeout", 3)
        newest = job.newest()
        pids = r.rank_pids()
        for victim in victims:
            send(pids[victim], signal.SIGSTOP)
        end("stopped rank, limit 3 s", r)
        steps = is_reported("stopped rank", r, victims, "")
        check(min(steps.values()) >= newest and max(steps.values()) - min(steps.values()) <= 1, "steps of the report:", r)
        check("does not run" in r.stderr, r)
        job.resumable(3, newest, r)
    r = job.start(3, "--stall-timeout", 0.5)
    send(r.rank_pids()[1], signal.SIGSTOP)
    end("limit 0.5 s", r)
    is_reported("a short limit", r, [1], "")
    # While it reads.
    large = job.directory + "/stuck.h5"
    with h5py.File(large, "w") as f:
        x = np.random.RandomState(1).standard_normal((700000, 8))
        f.create_dataset("train/X", data=x, chunks=(1000, 8), compression="gzip", compression_opts=1)
        f["train/y"] = (x[:, 0] > 0).astype("u1")
    r = Run(job.lockstep, job.arguments("--stall-timeout", 3, data=large, checkpoints=False), 3)
    pid = r.rank_pids()[1]
    while r.running() and read_bytes(pid) < 8e6:
        time.sleep(0.001)
    send(pid, signal.SIGSTOP)
    end("while reading", r)
    is_reported("while reading", r, [1], "reading data")
    # A suspended job is not stuck.
    r = job.start(2, "--stall-timeout", 3)
    pids = list(r.rank_pids().values())
    for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1):
        for pid in pids:
            send(pid, number)
        time.sleep(5 if number == signal.SIGSTOP else 1)
    leaves_with_75(job, "after a suspension", r)


@group("a dead file system")
def dead_file_system(job, choose):
    """The 5th fsync of rank 0 does not come back."""
    library = job.directory + "/hang.so"
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hang.c")
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True, text=True)
    check(built.returncode == 0, "cc:", built.stderr)
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    r = Run(job.lockstep, job.arguments("--stall-timeout", 3), 3, environment={"LD_PRELOAD": library, "HANG_FSYNC": "5"})
    end("fsync hangs", r)
    is_reported("fsync hangs", r, [0], "writing a checkpoint")
    job.resumable(2, 100, r)


@group("pipes")
def pipes(job, choose):
    """Opening a pipe without a writer would wait for ever."""
    pipe = job.directory + "/pipe"
    os.mkfifo(pipe)
    for ranks in (0, 3):
        for code, arguments in ((3, ["train", pipe]), (3, ["train", job.data, "--x", pipe + ":/train/X"]),
                                (3, ["train", job.data, "--init", pipe]), (3, ["evaluate", pipe, job.data]),
                                (4, ["train", job.data, "-o", pipe]), (4, ["train", job.data, "--history", pipe]),
                                (4, ["train", job.data, "--checkpoint-dir", pipe]), (4, ["generate", "-o", pipe])):
            r = expect(code, job.lockstep, arguments, ranks, message=re.escape(pipe))
            check(len(r.messages()) == 1, "one message:", r)


def main():
    options = common.arguments(__doc__)
    choose = random.Random(options.seed)
    job = Job(options.lockstep, common.temporary_directory())
    for _ in range(5 if options.long else 1):
        for test in (killed, signals, at_mpirun, first_moments, stuck, dead_file_system):
            test(job, choose)
    pipes(job, choose)
    common.finish()


main()
