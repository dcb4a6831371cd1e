#!/usr/bin/env python3
"""Data larger than memory: streaming.py PATH_TO_lockstep [--long]

Resident memory stays within --memory whatever the number of samples is, from files and made on the fly; more than 2^31
samples train alike on any number of ranks; a file that is cut while it is read ends the job on all ranks. That streamed data
give the same bits is part of same_bits.py and resume.py. --long takes ten times the samples.
"""
import os
import re
import resource
import signal
import subprocess
import time

import common
from common import Run, check, expect, has_handlers, same_bytes

DATA = ["--n-features", 2, "--n-informative", 2, "--n-redundant", 0, "--class-sep", 1.5]
TRAIN = ["--hidden", "2,2", "--batch-size", 8192, "--verbose", 0]
SLACK = 6 << 20  # what the libraries take more or less of


def peak(command):
    """Most resident memory of a process that succeeds, in bytes."""
    process = subprocess.Popen([str(a) for a in command], stdout=subprocess.DEVNULL, env=common.ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    check(process.returncode == 0, "exit code", process.returncode, "of", command)
    return usage.ru_maxrss * 1024


def memory(lockstep, directory, large):
    """Of training by rows kept, streamed and made; of evaluating and predicting."""
    before = common.n_checks, common.n_failed
    files, model = {}, directory + "/m.h5"
    for n in (50000, large // 2, large):
        files[n] = directory + "/%d.h5" % n
        expect(0, lockstep, ["generate", "-o", files[n], "--rng", "philox", "--n-samples", n, "--dtype", "float32"] + DATA)
    least = peak([lockstep, "train", files[50000], "-o", model] + TRAIN)
    for shuffle in ("none", "epoch"):
        for bound in (12 << 20, 40 << 20):
            options = TRAIN + ["--shuffle", shuffle, "--memory", bound, "--epochs", 2]
            for n, source in ((large // 2, [files[large // 2]]), (large, [files[large]]),
                              (10 * large, ["--generate", "--n-samples", 10 * large] + DATA)):
                if n > large and bound > 12 << 20:
                    continue
                more = peak([lockstep, "train"] + source + options) - least
                check(more < bound + SLACK, "%d bytes more for %d samples with" % (more, n), options)
    for command in (["evaluate", model], ["predict", model, "-o", directory + "/p.h5"]):
        some, many = (peak([lockstep] + command + [files[n]]) for n in (large // 2, large))
        check(many - some < SLACK // 3, command[0], "takes", some, "bytes and for twice the samples", many)
    print("memory: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def billions(lockstep, directory, n_samples=5 * 10**9):
    """The first steps take rows from anywhere in the data: the same on 1 and 3 ranks, and after a stop."""
    before = common.n_checks, common.n_failed
    name = "/checkpoint-%012d.weights.h5"
    for ranks, steps in ((0, 6), (3, 2), (2, 6)):
        at = directory + ("/alone" if ranks == 0 else "/ranks")
        r = Run(lockstep, ["train", "--generate", "--n-samples", n_samples, "--checkpoint-dir", at, "--checkpoint-every",
                           "2steps", "--keep", 1000, "--resume"] + DATA + TRAIN + ["--batch-size", 65536], ranks)
        while r.running() and not os.path.exists(at + name % steps):
            time.sleep(0.01)
        pids = list(r.rank_pids().values())
        while r.running() and not all(map(has_handlers, pids)):
            time.sleep(0.01)
        os.kill(pids[-1], signal.SIGUSR1)
        r.wait()
        check(r.code == 75, "stopped by a signal:", r)
    check(same_bytes(directory + "/alone" + name % 6, directory + "/ranks" + name % 6),
          "6 steps on 0, and on 3 and 2 ranks differ")
    print("%d samples: %d checks, %d failed" % (n_samples, common.n_checks - before[0], common.n_failed - before[1]))


def cut(lockstep, directory):
    """A file becomes shorter while it is streamed: the ranks that read its end notice, and all leave."""
    before = common.n_checks, common.n_failed
    for ranks, shuffle in ((0, "none"), (3, "none"), (3, "epoch")):
        data = directory + "/cut.h5"
        expect(0, lockstep, ["generate", "-o", data, "--rng", "philox", "--n-samples", 300000, "--dtype", "float32"] + DATA)
        checkpoints = directory + "/cut-%d-%s" % (ranks, shuffle)
        r = Run(lockstep, ["train", data, "--memory", "100k", "--shuffle", shuffle, "--epochs", 10**6, "--checkpoint-dir",
                           checkpoints] + TRAIN, ranks)
        while r.running() and not (os.path.isdir(checkpoints) and len(os.listdir(checkpoints)) > 1):
            time.sleep(0.01)
        os.truncate(data, os.path.getsize(data) // 2)
        r.wait()
        check(r.code == 3, "exit code 3 expected:", r)
        messages = [m for m in r.messages() if "warning" not in m]
        said = r"cut\.h5:/train/[Xy]: rows \d+ to \d+ .* cannot be read: the file has become shorter"
        check(len(messages) == 1 and re.search(said, messages[0]), "one message about the file:", r)
        check(not r.orphans(), "left behind:", r.orphans())
    print("cut files: %d checks, %d failed" % (common.n_checks - before[0], common.n_failed - before[1]))


def main():
    options = common.arguments(__doc__)
    directory = common.temporary_directory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory(options.lockstep, directory, 40000000 if options.long else 4000000)
    billions(options.lockstep, directory)
    cut(options.lockstep, directory)
    common.finish()


main()
