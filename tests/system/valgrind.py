#!/usr/bin/env python3
"""The serial parts under valgrind's memcheck: valgrind.py PATH_TO_lockstep [--long]

Takes the test programs beside PATH_TO_lockstep that need no MPI, and the commands of a small job as plain processes. A use of
memory that was never set, a wrong access or lost memory fails; memory that libraries still point to at the end does not, nor what
MPI loses while it starts and ends (tests/valgrind.supp). --long includes what takes longest.
"""
import glob
import os
import re
import subprocess

import common
from common import check

WITHOUT = ("test_numpy_dot", "test_simd")  # their oracle is long double, which valgrind computes in 64 bits
SLOW = ("test_order", "test_philox_statistics")
EXIT_CODE = 99
ENVIRONMENT = dict(os.environ, OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Haswell")  # valgrind knows no AVX-512


TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=%d" % EXIT_CODE, "--leak-check=full", "--num-callers=40",
            "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect",
            "--suppressions=" + os.path.join(TESTS, "valgrind.supp")]
OPEN_MPI = "/usr/share/openmpi/openmpi-valgrind.supp"
if os.path.exists(OPEN_MPI):
    VALGRIND.append("--suppressions=" + OPEN_MPI)


def under_valgrind(command, wanted=0):
    done = subprocess.run(VALGRIND + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=ENVIRONMENT, timeout=4 * common.TIMEOUT)
    check(done.returncode == wanted, " ".join(command), "exit code", done.returncode, "\n", done.stdout[:6000])
    return done.stdout


def test_programs(lockstep, long):
    programs = sorted(program for program in glob.glob(os.path.join(os.path.dirname(lockstep), "tests", "test_*"))
                      if os.access(program, os.X_OK) and not os.path.isdir(program) and not program.endswith("_mpi"))
    left_out = WITHOUT if long else WITHOUT + SLOW
    programs = [program for program in programs if os.path.basename(program) not in left_out]
    check(len(programs) >= 5, "serial test programs beside", lockstep, "found only", programs)
    n_tests = 0
    for program in programs:
        passed = re.search(r"\[  PASSED  \] (\d+) test", under_valgrind([program]))
        check(passed, program, "says nothing of passed tests")
        n_tests += int(passed.group(1)) if passed else 0
    print("%d tests of %d programs" % (n_tests, len(programs)), flush=True)


def commands(lockstep):
    """A whole job, and some that fail."""
    os.chdir(common.temporary_directory())
    train = "train d.h5 --hidden 3,2 --batch-size 16 --verbose 0 -o m.h5 --history h.csv --checkpoint-dir c --keep 1"
    runs = [("generate -o d.h5 --n-samples 150 --n-features 3 --n-redundant 0 --train-size 100", 0),
            ("split d.h5:/train -o s.h5 --train-size 0.5 --dtype float32", 0),
            (train + " --epochs 2 --checkpoint-every 3steps", 0),
            (train + " --epochs 3 --checkpoint-every 3steps --resume", 0),
            (train.replace("3,2", "2,2") + " --epochs 4 --resume", 2),
            ("train s.h5 --init m.h5 --dtype float64 --shuffle none --reduction mpi --verify-every 2 --verbose 2", 0),
            ("train d.h5 --hidden 3 --epochs 2 --verbose 0 --class-weight 1,2 --optimizer adam --dropout 0.2 --normalize "
             "--validation test --early-stopping 1 --restore-best", 0),
            ("evaluate m.h5 d.h5 --json", 0), ("predict m.h5 d.h5 -o p.h5", 0), ("summary m.h5 --weights", 0),
            ("summary d.h5", 3), ("evaluate m.h5 h.csv", 3), ("predict m.h5 d.h5 -o absent/p.h5", 4), ("train --epoch 3", 2)]
    for arguments, code in runs:
        under_valgrind([lockstep] + arguments.split(), code)
    print("%d commands" % len(runs), flush=True)


def main():
    options = common.arguments(__doc__)
    test_programs(options.lockstep, options.long)
    commands(options.lockstep)
    common.finish()


if __name__ == "__main__":
    main()
