#!/usr/bin/env python3
"""Counts the instructions per sample of a training run for each kernel; instructions.sh prepares what it needs.

    tools/bench/instructions.sh [--update] [CASE...]

Each case runs twice under callgrind, for different numbers of epochs; the difference leaves out the start and the end of the
process. Exit code 1 if a count differs from that in instructions.csv by more than TOLERANCE, in either direction: after a
change that is meant to be, --update writes the new counts. Valgrind has no AVX-512, so the kernels are those of AVX2.
"""
import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOCKSTEP = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build-bench", "lockstep")
STORED = os.path.join(HERE, "instructions.csv")
TOLERANCE = 0.03
TRIES = 2  # of a count that is too high
SIMD, BLAS = {"LOCKSTEP_SIMD": "avx2"}, {"LOCKSTEP_SIMD": "avx2", "OPENBLAS_CORETYPE": "Haswell"}
# name: features, rows, options, variables
CASES = {
    "tiny-8": (2, 4096, "--hidden 2,2 --batch-size 8", SIMD),
    "tiny-8-shuffled": (2, 4096, "--hidden 2,2 --batch-size 8 --shuffle epoch", SIMD),
    "tiny-1024": (2, 4096, "--hidden 2,2 --batch-size 1024", SIMD),
    "tiny-1024-float64": (2, 4096, "--hidden 2,2 --batch-size 1024 --dtype float64", SIMD),
    "tiny-1024-portable": (2, 4096, "--hidden 2,2 --batch-size 1024", {"LOCKSTEP_SIMD": "portable"}),
    "tiny-8-reference": (2, 4096, "--hidden 2,2 --batch-size 8 --engine reference", SIMD),
    "relu-32": (2, 4096, "--hidden 16,8,4,2 --activation relu --batch-size 32", SIMD),
    "sigmoid-32": (2, 4096, "--hidden 16,8,4,2 --activation sigmoid --batch-size 32", SIMD),
    "logistic-32": (16, 4096, "--batch-size 32", SIMD),
    "middle-8": (2, 512, "--hidden 64,64 --batch-size 8", SIMD),
    "middle-1024": (2, 1024, "--hidden 64,64 --batch-size 1024", SIMD),
    "wide-128": (28, 128, "--hidden 300,300 --batch-size 128", BLAS),
    "wide-128-float64": (28, 128, "--hidden 300,300 --batch-size 128 --dtype float64", BLAS),
}


def count(data, epochs, options, variables):
    words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", LOCKSTEP, "train", data, "--shuffle", "none",
             "--epochs", str(epochs), "--verbose", "0", *options.split()]
    done = subprocess.run(words, env=dict(os.environ, OPENBLAS_NUM_THREADS="1", **variables), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    found = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode or not found:
        sys.exit("instructions.py: %s\nended with code %d:\n%s" % (" ".join(words), done.returncode, done.stdout))
    return int(found[1])


def per_sample(name, directory):
    features, rows, options, variables = CASES[name]
    data = os.path.join(directory, "%d-%d.h5" % (features, rows))
    if not os.path.exists(data):
        subprocess.run([LOCKSTEP, "generate", "-o", data, "--n-samples", str(rows), "--n-features", str(features),
                        "--n-informative", "2", "--n-redundant", "0"], check=True, stdout=subprocess.DEVNULL)
    short, long = (count(data, epochs, options, variables) for epochs in (1, 3))
    return (long - short) / (2 * rows)


def compiler():
    with open(os.path.join(os.path.dirname(LOCKSTEP), "CMakeCache.txt")) as f:
        path = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", f.read(), re.MULTILINE)[1]
    return subprocess.run([path, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("cases", nargs="*", metavar="CASE", default=list(CASES))
    options = parser.parse_args()
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error("no such case: %s; the cases are %s" % (", ".join(unknown), ", ".join(CASES)))
    stored = {}
    if os.path.exists(STORED):
        with open(STORED, newline="") as f:
            stored = {row["case"]: row for row in csv.DictReader(f)}
    failed, compiled_by = [], compiler()
    with tempfile.TemporaryDirectory(prefix="lockstep-instructions-") as directory:
        for name in options.cases:
            before = float(stored[name]["instructions_per_sample"]) if name in stored else None
            now = per_sample(name, directory)
            # Training looks at the clock after so many steps, and these are fewer while the machine is busy.
            for _ in range(TRIES - 1):
                if options.update or before is None or now > before * (1 + TOLERANCE):
                    now = min(now, per_sample(name, directory))
            change = "new" if before is None else "%+.1f %%" % (100 * (now / before - 1))
            wrong = before is None or abs(now / before - 1) > TOLERANCE
            mark = "  !" if wrong and not options.update else ""
            print("%-20s %10.1f instructions per sample   %s%s" % (name, now, change, mark), flush=True)
            if wrong:
                failed.append(name)
            if options.update:
                stored[name] = {"case": name, "instructions_per_sample": "%.1f" % now, "compiler": compiled_by}
    if options.update:
        with open(STORED, "w", newline="") as f:
            out = csv.DictWriter(f, ("case", "instructions_per_sample", "compiler"), lineterminator="\n")
            out.writeheader()
            out.writerows(stored[name] for name in CASES if name in stored)
        return 0
    if failed:
        others = sorted({stored[name]["compiler"] for name in failed if name in stored} - {compiled_by})
        print("instructions.py: more than %g %% away from instructions.csv: %s%s" % (
            100 * TOLERANCE, ", ".join(failed), "".join("\n(counted there with %s, here with %s)" % (other, compiled_by)
                                                        for other in others)), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
