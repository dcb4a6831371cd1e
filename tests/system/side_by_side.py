#!/usr/bin/env python3
"""Many plain processes at the same time, as a sweep on one node starts them: none may disturb another.

side_by_side.py PATH_TO_lockstep [--long]
"""
import concurrent.futures
import filecmp
import subprocess

from common import ENVIRONMENT, arguments, check, finish, temporary_directory

options = arguments(__doc__)
folder = temporary_directory()


def run(*words):
    return subprocess.run([options.lockstep, *words], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)


check(run("generate", "-o", "data.h5", "--n-samples", "500", "--random-state", "1").returncode == 0, "generate")
n_runs = 1000 if options.long else 150


def train(i):
    return run("train", "data.h5", "--hidden", "3", "--verbose", "0", "-o", "model%d.h5" % i)


with concurrent.futures.ThreadPoolExecutor(12) as pool:
    for i, done in enumerate(pool.map(train, range(n_runs))):
        check(done.returncode == 0, "run", i, done)
        check(done.returncode != 0 or filecmp.cmp(folder + "/model0.h5", folder + "/model%d.h5" % i, False), "model", i)
print("%d runs, 12 at a time" % n_runs)
finish()
