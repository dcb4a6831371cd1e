#!/usr/bin/env python3
"""Hostile input: fuzz.py PATH_TO_lockstep [--long] [--seed N] [--corpus DIR]

Builds the fuzz targets (tests/fuzz/README.md) beside PATH_TO_lockstep with clang, replays the inputs that were found before,
and runs each target for a bounded number of inputs. Faults inside libhdf5 are counted apart: after one the target goes on
with another seed. --long runs twenty times as many inputs. --corpus DIR keeps the files that the targets begin from.
"""
import argparse
import os
import re
import shutil
import subprocess

import h5py
import numpy as np

import common
from common import check, expect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FUZZ = os.path.join(ROOT, "tests", "fuzz")
RUNS = {"source": 30000, "options": 15000, "config": 30000, "record": 60000, "model": 5000, "dataset": 5000}
MAX_LENGTH = {"model": 65536, "dataset": 65536}
MAX_HDF5_FAULTS = 8  # for each target, after which it has had its share of time
SECONDS_FOR_ONE = 5
LIMITS = ["-rss_limit_mb=2048", "-malloc_limit_mb=1024"]  # the targets themselves allow 256 MB at a time
ENVIRONMENT = {name: value for name, value in os.environ.items() if not re.match("[A-Z]*SAN_OPTIONS$", name)}


def build(lockstep):
    """The directory of the programs."""
    directory = os.path.join(os.path.dirname(lockstep), "fuzz")
    for command in (["cmake", "-S", ROOT, "-B", directory, "-G", "Ninja", "-DLOCKSTEP_FUZZ=ON", "-DCMAKE_C_COMPILER=clang",
                     "-DLOCKSTEP_WERROR=ON"], ["cmake", "--build", directory]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not check(done.returncode == 0, " ".join(command), done.stdout[-3000:]):
            common.finish()
    return os.path.join(directory, "tests", "fuzz")


def make_models(lockstep, directory):
    """Ours with a record, without one, behind no head, and one with layers and state of every kind."""
    data = directory + "/data"
    expect(0, lockstep, ["generate", "-o", data, "--n-samples", 12, "--n-features", 2, "--n-redundant", 0, "--train-size", 8])
    for dtype in ("float32", "float64"):
        expect(0, lockstep, ["train", data, "--hidden", "2", "--batch-size", 4, "--dtype", dtype, "--verbose", 0, "-o",
                             "%s/%s.h5" % (directory, dtype)])
    expect(0, lockstep, ["train", data, "--loss", "sparse_categorical_crossentropy", "--label-smoothing", 0.1, "--hidden", "2",
                         "--dropout", 0.2, "--normalize", "--optimizer", "adam", "--l2", 0.1, "--verbose", 0, "-o",
                         directory + "/everything.h5"])
    os.unlink(data)
    with open(directory + "/float32.h5", "rb") as source, open(directory + "/bare.h5", "wb") as target:
        target.write(source.read()[512:])
    for name in sorted(os.listdir(directory)):
        expect(0, lockstep, ["summary", os.path.join(directory, name)])


def make_datasets(lockstep, directory):
    """One small file for each kind of layout and type."""
    expect(0, lockstep, ["generate", "-o", directory + "/ours.h5", "--n-samples", 12, "--n-features", 2, "--n-redundant", 0,
                         "--train-size", 8])
    x, y = np.arange(24.0).reshape(8, 3) / 7, np.arange(8) % 2
    with h5py.File(directory + "/gzip.h5", "w") as file:
        file.create_dataset("train/X", data=x.astype(">f4"), chunks=(3, 2), compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("train/y", data=y.reshape(-1, 1).astype("i8"), chunks=(4, 1), compression="gzip")
    with h5py.File(directory + "/plain.h5", "w") as file:
        file["X"], file["y"] = x.astype("i2"), y.astype(bool)
    with h5py.File(directory + "/weighted.h5", "w") as file:
        file["train/X"], file["train/y"], file["train/sample_weight"] = x, np.arange(8) % 3, y + 0.5
    with h5py.File(directory + "/columns.h5", "w") as file:
        file["train/X"], file["train/y"] = x, x[:, :2]
    with h5py.File(directory + "/latest.h5", "w", libver="latest") as file:
        file.create_dataset("train/X", data=x, chunks=(4, 3), maxshape=(None, 3))
        file["train/y"], file["test/X"] = y.astype("u1"), x[:2]
    with h5py.File(directory + "/table.h5", "w") as file:
        rows = np.zeros(5, dtype=[("index", "i8"), ("x", "f4", (2,)), ("label", "u1")])
        rows["label"] = [0, 1, 0, 1, 1]
        file["table"] = rows
    with h5py.File(directory + "/odd.h5", "w") as file:
        file["train/X"], file["other/x"], file["train/y"] = h5py.SoftLink("/other/x"), x.astype("f2"), y
        file["names"], file["complex"], file["empty"] = ["a", "b"], np.zeros(3, complex), h5py.Empty("f")
        file.create_dataset("never written", shape=(5, 3), dtype="f4")
    layout = h5py.VirtualLayout(shape=(8, 3), dtype="f8")
    layout[...] = h5py.VirtualSource("plain.h5", "X", shape=(8, 3))
    with h5py.File(directory + "/virtual.h5", "w") as file:
        file.create_virtual_dataset("X", layout)
        file["y"] = y


def make_corpus(lockstep, directory):
    for target in RUNS:
        place = os.path.join(directory, target)
        seeds = os.path.join(FUZZ, "seeds", target)
        if os.path.isdir(seeds):
            shutil.copytree(seeds, place, dirs_exist_ok=True)
        else:
            os.makedirs(place, exist_ok=True)
    make_models(lockstep, os.path.join(directory, "model"))
    make_datasets(lockstep, os.path.join(directory, "dataset"))


class Report:
    """How a target ended."""

    def __init__(self, command, timeout=common.TIMEOUT * 4):
        self.command = command
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=ENVIRONMENT, timeout=timeout)
        self.ok, self.text = done.returncode == 0, done.stdout.decode(errors="replace")
        found = re.search(r"Test unit written to (\S+)", self.text)
        self.input = found and found.group(1)
        counts = [int(n) for n in re.findall(r"^(?:#|Done )(\d+)", self.text, re.MULTILINE)]
        self.n_runs = max(counts, default=0)

    def is_in_hdf5(self):
        """Whether the first frame of the stack that is HDF5's or ours is HDF5's."""
        for line in self.text.splitlines():
            if re.match(r"\s+#\d+ 0x", line):
                if "libhdf5" in line:
                    return True
                if re.search(r"%s/\S+\.[ch]:\d+" % re.escape(ROOT), line):
                    return False
        return False

    def is_timeout(self):
        return "libFuzzer: timeout" in self.text

    def __str__(self):
        lines = self.text.splitlines()
        begin = next((i for i, line in enumerate(lines) if "ERROR" in line or "runtime error" in line or "not true" in line), 0)
        return "%s\n  %s" % (" ".join(self.command), "\n  ".join(lines[begin:begin + 30]))


def is_only_slow(program, report):
    """On a machine that is busy or swaps an innocent input may take long, but not twice."""
    return report.is_timeout() and report.input and Report([program, "-timeout=%d" % (20 * SECONDS_FOR_ONE), report.input]).ok


def replay(programs, target):
    directory = os.path.join(FUZZ, "found", target)
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    program = os.path.join(programs, "fuzz_" + target)
    n_hdf5 = 0
    for name in names:
        report = Report([program, "-timeout=%d" % (20 * SECONDS_FOR_ONE if not name.startswith("hdf5-") else SECONDS_FOR_ONE),
                         os.path.join(directory, name)])
        hdf5 = not report.ok and report.is_in_hdf5()
        n_hdf5 += hdf5
        check(report.ok or (hdf5 and name.startswith("hdf5-")), "replaying a found input:", report)
    return len(names), n_hdf5


def fuzz(programs, target, corpus, artifacts, n_runs, seed):
    """Runs to the end, again and again after faults of HDF5. How many inputs were run, how many such faults came."""
    program = os.path.join(programs, "fuzz_" + target)
    done = n_hdf5 = 0
    own = os.path.join(artifacts, target)
    os.makedirs(own)
    while done < n_runs and n_hdf5 < MAX_HDF5_FAULTS * max(1, n_runs // RUNS[target]):
        report = Report([program, "-seed=%d" % (seed + n_hdf5), "-runs=%d" % (n_runs - done), "-timeout=%d" % SECONDS_FOR_ONE,
                         "-max_len=%d" % MAX_LENGTH.get(target, 4096), "-artifact_prefix=" + own + "/"] + LIMITS + [corpus])
        done += report.n_runs
        if report.ok:
            break
        n_hdf5 += 1
        if not report.is_in_hdf5() and not is_only_slow(program, report):
            kept = ""
            if report.input and os.path.exists(report.input):
                kept = os.path.join(os.path.dirname(programs), os.path.basename(report.input))
                shutil.copy(report.input, kept)
            check(False, "fuzz_%s: an input makes it fail, kept as %s:" % (target, kept), report)
            return done, n_hdf5 - 1
    check(done > n_runs / 10, "fuzz_%s: only %d of %d inputs" % (target, done, n_runs))
    return done, n_hdf5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus")
    options = parser.parse_args()
    lockstep = os.path.abspath(options.lockstep)
    programs = build(lockstep)
    ENVIRONMENT["TMPDIR"] = common.temporary_directory("/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    artifacts = common.temporary_directory()
    corpus = options.corpus or common.temporary_directory()
    make_corpus(lockstep, corpus)
    for target, n_runs in RUNS.items():
        n_failed = common.n_failed
        n_found, n_found_hdf5 = replay(programs, target)
        done, n_hdf5 = fuzz(programs, target, os.path.join(corpus, target), artifacts, n_runs * (20 if options.long else 1),
                            options.seed)
        check(True)
        print("%s: %d found inputs replayed, %d new inputs run, %d faults inside libhdf5, %d failed" % (
            target, n_found, done, n_found_hdf5 + n_hdf5, common.n_failed - n_failed), flush=True)
    common.finish()


if __name__ == "__main__":
    main()
