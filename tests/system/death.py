#!/usr/bin/env python3
"""Deaths and signals: death.py PATH_TO_lockstep [--long] [--seed N]

A rank that dies ends the job; a signal at one rank or at mpirun lets all ranks write a checkpoint of one step and leave with 75, from the
first moment on. After each of them no process is left and the job can be resumed. --long repeats everything five times.
"""
import os
import random
import re
import shutil
import signal
import time

import h5py
import numpy as np

import common
from common import Run, check, expect, has_handlers
from endless import Job, end, group, leaves_with_75, measured, send


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
        for test in (killed, signals, at_mpirun, first_moments):
            test(job, choose)
    pipes(job, choose)
    common.finish()


main()
