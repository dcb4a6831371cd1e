#!/usr/bin/env python3
"""Stuck ranks: stuck.py PATH_TO_lockstep [--long] [--seed N]

A rank that is stopped, that a dead file system holds or that does not go on with its data is named and ends the job, which leaves no
process and can be resumed; a suspended job is not stuck. While a job waits for its limit the next one starts. --long repeats everything
five times. Needs cc for the file system.
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
from common import Run, check
from endless import Job, end, leaves_with_75, send

LIMIT = 3  # seconds


def read_bytes(pid):
    try:
        with open("/proc/%d/io" % pid) as f:
            return int(re.search(r"rchar: (\d+)", f.read()).group(1))
    except (OSError, AttributeError):
        return 0


def is_reported(name, r, stuck, operation):
    """One report of exit code 8 that marks these ranks and no other."""
    end(name, r)
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


# Each of these starts a job and brings it to where it is stuck; it returns what looks at the end.


def stopped(job, ranks, victims):
    r = job.start(ranks, "--stall-timeout", LIMIT)
    newest = job.newest()
    pids = r.rank_pids()
    for victim in victims:
        send(pids[victim], signal.SIGSTOP)

    def look():
        steps = is_reported("stopped rank, limit %d s" % LIMIT, r, victims, "")
        check(min(steps.values()) >= newest and max(steps.values()) - min(steps.values()) <= 1, "steps of the report:", r)
        check("does not run" in r.stderr, r)
        job.resumable(3, newest, r)
    return look


def stopped_with_a_short_limit(job):
    r = job.start(3, "--stall-timeout", 0.5)
    send(r.rank_pids()[1], signal.SIGSTOP)
    return lambda: is_reported("limit 0.5 s", r, [1], "")


def stopped_while_reading(job, data):
    r = Run(job.lockstep, job.arguments("--stall-timeout", LIMIT, data=data, checkpoints=False), 3)
    pid = r.rank_pids()[1]
    while r.running() and read_bytes(pid) < 8e6:
        time.sleep(0.001)
    send(pid, signal.SIGSTOP)
    return lambda: is_reported("while reading", r, [1], "reading data")


def on_a_dead_file_system(job, library):
    """The 5th fsync of rank 0 does not come back."""
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    r = Run(job.lockstep, job.arguments("--stall-timeout", LIMIT), 3, environment={"LD_PRELOAD": library, "HANG_FSYNC": "5"})

    def look():
        is_reported("fsync hangs", r, [0], "writing a checkpoint")
        job.resumable(2, 100, r)
    return look


def suspended(job):
    r = job.start(2, "--stall-timeout", LIMIT)
    pids = list(r.rank_pids().values())
    for pid in pids:
        send(pid, signal.SIGSTOP)
    until = time.monotonic() + LIMIT + 2

    def look():
        time.sleep(max(0, until - time.monotonic()))
        for pid in pids:
            send(pid, signal.SIGCONT)
        time.sleep(1)
        for pid in pids:
            send(pid, signal.SIGUSR1)
        leaves_with_75(job, "after a suspension", r)
    return look


def stuck(job, choose, data, library):
    looks = [stopped(job.beside("stopped-%d" % i), ranks, victims) for i, (ranks, victims) in enumerate(
        ((2, [1]), (3, [0]), (3, [1]), (4, [2, 3]), (5, [choose.randrange(5)])))]
    looks.append(stopped_with_a_short_limit(job.beside("short")))
    looks.append(stopped_while_reading(job, data))
    looks.append(suspended(job.beside("suspended")))
    looks.append(on_a_dead_file_system(job.beside("dead"), library))
    for look in looks:
        look()


def main():
    options = common.arguments(__doc__)
    choose = random.Random(options.seed)
    job = Job(options.lockstep, common.temporary_directory())
    large = job.directory + "/large.h5"
    with h5py.File(large, "w") as f:
        x = np.random.RandomState(1).standard_normal((700000, 8))
        f.create_dataset("train/X", data=x, chunks=(1000, 8), compression="gzip", compression_opts=1)
        f["train/y"] = (x[:, 0] > 0).astype("u1")
    library = job.directory + "/hang.so"
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hang.c")
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True, text=True)
    check(built.returncode == 0, "cc:", built.stderr)
    for _ in range(5 if options.long else 1):
        stuck(job, choose, large, library)
    common.finish()


main()
