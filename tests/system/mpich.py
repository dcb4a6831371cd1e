#!/usr/bin/env python3
"""The same sources under MPICH: mpich.py PATH_TO_lockstep [--long]

Builds the tree that this script belongs to against MPICH (mpicc.mpich, mpiexec.mpich; packages mpich and libmpich-dev), in the
directory mpich below the build that lockstep is in, with less optimization, which must not change a bit. There the unit tests that
use MPI must pass on 1 to 4 ranks, and datasets, models, checkpoints, measures and predictions must be those of lockstep, which
another MPI runs, byte by byte; a run that one MPI has begun goes on under the other; and a program that the launcher of the other
MPI starts refuses to work. --long also runs the other unit tests and the command-line cases (with the Python that runs this script,
which needs what they need).
"""
import csv
import glob
import os
import re
import signal
import subprocess
import sys
import time

import common
from common import check, run, same_bytes

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MPIEXEC = "mpiexec.mpich"


def step(what, *command, timeout=1200, needed=True, **environment):
    """A command of the build: its output is shown if it fails, and nothing more is done if it is needed."""
    r = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env=dict(common.ENVIRONMENT, **environment), timeout=timeout)
    text = r.stdout.decode(errors="replace")
    if not check(r.returncode == 0, what, "failed:", " ".join(map(str, command)), "\n", text[-6000:]) and needed:
        common.finish()
    return text


def build(lockstep, long):
    beside = os.path.dirname(lockstep)
    directory = beside + "/mpich" if os.path.exists(beside + "/CMakeCache.txt") else common.temporary_directory()
    step("configuration", "cmake", "-S", SOURCE, "-B", directory, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
         "-DLOCKSTEP_WERROR=ON", "-DMPI_C_COMPILER=mpicc.mpich", "-DMPIEXEC_EXECUTABLE=" + MPIEXEC,
         "-DLOCKSTEP_TEST_PYTHON=" + sys.executable, "-DLOCKSTEP_SANITIZED_BUILD=", "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG -Wno-maybe-uninitialized")
    tests = [os.path.splitext(os.path.basename(path))[0] for path in glob.glob(SOURCE + "/tests/unit/test_*_mpi.c")]
    targets = [name for name in sorted(tests) if not name.startswith("test_faults")]  # which want a build of their own
    step("build", "cmake", "--build", directory, *([] if long else ["--target", "lockstep", *targets]))
    # One MPI only: no include path and no library of another.
    with open(directory + "/compile_commands.json") as f:
        check("openmpi" not in f.read(), "the build for MPICH sees headers of Open MPI")
    libraries = step("libraries", "ldd", directory + "/lockstep")
    check("libmpich" in libraries and "open-rte" not in libraries and "hdf5_serial" in libraries,
          "MPICH and serial HDF5 expected:", libraries)
    version = run(directory + "/lockstep", ["--version"])
    check(re.search(r"^MPI: +MPICH Version: 4", version.stdout, re.M), "MPICH 4 expected:", version)
    return directory


def unit_tests(directory, long):
    which = ["-L", "unit|cli"] if long else ["-R", "^unit/.*_mpi/"]
    library = directory + "/patient_ucx.so"
    step("patient_ucx", "cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE + "/tests/system/patient_ucx.c", "-ldl")
    text = step("unit tests", "ctest", "--test-dir", directory, *which, "--output-on-failure", needed=False, LD_PRELOAD=library)
    found = re.search(r"100% tests passed, 0 tests failed out of (\d+)", text)
    check(found and int(found.group(1)) >= 20, "too few unit tests:", text[-2000:])
    for ranks in (1, 2, 3, 4):
        check(re.search(r"unit/\w+_mpi/%d \.+ +Passed" % ranks, text), "no unit test ran on %d ranks" % ranks)


def without_times(path):
    with open(path, newline="") as f:
        return [row[:-2] for row in csv.reader(f)]


class Job:
    """All commands of the product on so many ranks of one MPI, in a directory of their own."""

    def __init__(self, name, launcher, program, ranks):
        self.name, self.launcher, self.program, self.ranks = "%s-%d" % (name, ranks), launcher, program, ranks
        self.directory = ""

    def start(self, *words):
        if self.ranks == 0:
            return common.Run(self.program, words, directory=self.directory)
        r = common.Run(self.launcher, ["-n", self.ranks, self.program, *words], directory=self.directory)
        r.ranks = self.ranks
        return r

    def do(self, *words):
        r = self.start(*words).wait()
        check(r.code == 0, self.name, "failed:", r)
        return r.stdout

    def all(self, parent):
        self.directory = "%s/%s" % (parent, self.name)
        os.mkdir(self.directory)
        self.do("generate", "-o", "own.h5", "--n-samples", 700, "--n-features", 9, "--random-state", 3)
        self.do("split", "own.h5:/train", "-o", "data.h5", "--train-size", 501, "--random-state", 4)
        self.printed = []
        for dtype in ("float32", "float64"):
            self.do("train", "data.h5", "--hidden", "7,3", "--dtype", dtype, "--batch-size", 50, "--epochs", 3, "--seed", 2,
                    "--learning-rate", 0.1, "--verbose", 0, "--checkpoint-dir", "checkpoints-" + dtype, "--checkpoint-every",
                    "4steps", "--verify-every", 3, "--history", "history-%s.csv" % dtype, "-o", "model-%s.h5" % dtype)
            self.do("predict", "model-%s.h5" % dtype, "data.h5", "-o", "predictions-%s.h5" % dtype)
            self.printed.append(self.do("evaluate", "model-%s.h5" % dtype, "data.h5", "--json"))
        return self

    def files(self):
        return sorted(os.path.relpath(os.path.join(at, name), self.directory)
                      for at, _, names in os.walk(self.directory) for name in names)


def same_files(lockstep, program):
    parent = common.temporary_directory()
    plain = Job("plain", "", lockstep, 0).all(parent)
    n_files = len(plain.files())
    check(n_files >= 12, "files of the plain job:", plain.files())
    jobs = [Job("openmpi", "mpirun", lockstep, 3), Job("mpich-plain", "", program, 0)]
    jobs += [Job("mpich", MPIEXEC, program, ranks) for ranks in (2, 3)]
    for job in jobs:
        job.all(parent)
        check(job.files() == plain.files(), job.name, "other files:", job.files(), plain.files())
        check(job.printed == plain.printed, job.name, "other measures:", job.printed, plain.printed)
        for name in plain.files():
            one, other = plain.directory + "/" + name, job.directory + "/" + name
            same = without_times(one) == without_times(other) if name.endswith(".csv") else same_bytes(one, other)
            check(same, job.name, name, "differs from that of the plain job")


def resumed_elsewhere(lockstep, program):
    """A signal at one rank stops a run under one MPI; the other takes it up on another number of ranks."""
    parent = common.temporary_directory()
    train = ["train", "../data.h5", "--hidden", "4", "--batch-size", 8, "--epochs", 400, "--verbose", 0, "--checkpoint-dir", "c",
             "-o", "model.h5", "--resume"]
    plain = Job("plain", "", lockstep, 0)
    plain.directory = parent
    plain.do("generate", "-o", "data.h5", "--n-samples", 2000, "--n-features", 4, "--random-state", 3)
    jobs = []
    for first, second in ((Job("mpich", MPIEXEC, program, 3), Job("openmpi", "mpirun", lockstep, 2)),
                          (Job("openmpi", "mpirun", lockstep, 2), Job("mpich", MPIEXEC, program, 3))):
        first.directory = second.directory = "%s/%s" % (parent, first.name)
        os.mkdir(first.directory)
        r = first.start(*train)
        ranks = r.rank_pids()
        while r.running() and not os.path.isdir(first.directory + "/c"):
            time.sleep(0.01)
        if check(len(ranks) == first.ranks and r.running(), "ran to its end before the signal:", r):
            os.kill(ranks[first.ranks - 1], signal.SIGUSR1)
        r.wait()
        check(r.code == 75, "exit code 75 after a signal expected:", r)
        check("start again with --resume" in r.stderr, "no word of the checkpoint:", r)
        check(not r.orphans(), "processes left behind:", r.orphans())
        second.do(*train)
        jobs.append(second)
    check(same_bytes(jobs[0].directory + "/model.h5", jobs[1].directory + "/model.h5"), "the resumed models differ")
    os.mkdir(parent + "/whole")
    plain.directory = parent + "/whole"
    plain.do(*train)
    check(same_bytes(jobs[0].directory + "/model.h5", plain.directory + "/model.h5"), "resumed and whole run differ")


def wrong_launcher(lockstep, program):
    directory = common.temporary_directory()
    for launcher, wrong, variable in ((MPIEXEC, lockstep, "PMI_SIZE"), ("mpirun", program, "OMPI_COMM_WORLD_SIZE")):
        r = run(launcher, ["-n", 3, wrong, "generate", "-o", "data.h5"], directory=directory)
        check(r.code == 2, "exit code 2 expected:", r)
        check(len(r.messages()) == 1 and variable in r.messages()[0] and "started 3 processes" in r.messages()[0],
              "one message that names %s expected:" % variable, r)
        check(not os.listdir(directory), "single ranks wrote", os.listdir(directory))
    # The roll call works there as it does here.
    r = run(MPIEXEC, ["-n", 1, program, "generate", "-o", "a.h5", ":", "-n", 2, program, "generate", "-o", "b.h5"],
            directory=directory)
    check(r.code == 9, "exit code 9 expected:", r)
    check(len(r.messages()) == 1 and "ranks 1, 2 differ" in r.messages()[0], "one message expected:", r)
    check(not os.listdir(directory), "a refused job wrote", os.listdir(directory))


def main():
    options = common.arguments(__doc__)
    begin = time.monotonic()
    directory = build(options.lockstep, options.long)
    program = directory + "/lockstep"
    print("build: %d checks, %.0f s" % (common.n_checks, time.monotonic() - begin), flush=True)
    common.run_groups(unit_tests=lambda: unit_tests(directory, options.long),
                      same_files=lambda: same_files(options.lockstep, program),
                      resumed_elsewhere=lambda: resumed_elsewhere(options.lockstep, program),
                      wrong_launcher=lambda: wrong_launcher(options.lockstep, program))
    common.finish()


if __name__ == "__main__":
    main()
