#!/usr/bin/env python3
"""Files as users bring them: written by h5py, PyTables and pandas, read by `lockstep split`, compared with
scikit-learn's train_test_split of the same arrays; and files that are wrong in every way we know.

    foreign_files.py PATH_TO_lockstep [--ranks 1,3] [--only TEXT]

Needs numpy, scikit-learn, h5py, tables and pandas, and the right to mount a tmpfs (root, or sudo without a
password)."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import pandas
import tables
from sklearn.model_selection import train_test_split

ROWS, COLUMNS = 1013, 4
EXIT_INPUT, EXIT_OUTPUT = 3, 4


class Runner:
    """Runs the command as a plain process or under mpirun."""

    def __init__(self, lockstep, ranks):
        self.ranks = ranks
        launcher = [] if ranks == 1 else ["mpirun", "-n", str(ranks)]
        self.command = [*launcher, os.path.abspath(lockstep)]
        self.environment = os.environ | {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
        }

    def split(self, file, x, y, output):
        names = [word for name, value in (("--x", x), ("--y", y)) if value for word in (name, value)]
        return subprocess.run(
            [*self.command, "split", str(file), *names, "--train-size", "0.75", "--random-state", "3",
             "-o", str(output)],
            env=self.environment, capture_output=True, text=True, timeout=60)


def features(dtype):
    """Values that every type holds exactly, negative ones where there is a sign."""
    dtype = np.dtype(dtype)
    values = np.random.default_rng(5).integers(0, 2 if dtype.kind == "b" else 100, (ROWS, COLUMNS))
    if dtype.kind in "if":
        values = values - 50
    return values.astype(dtype)


def labels(dtype="u1"):
    return np.random.default_rng(6).integers(0, 2, ROWS).astype(dtype)


def good_files(directory):
    """Yields (name, file, x, y, X, y) of each case."""
    path = directory / "h5py.h5"
    y = labels()
    cases = []
    with h5py.File(path, "w") as file:

        def add(name, x_array, y_array=y, **options):
            file.create_dataset(f"{name}/X", data=x_array, **options)
            file.create_dataset(f"{name}/y", data=y_array)
            cases.append((f"h5py {name}", path, f"/{name}/X", f"/{name}/y", x_array, y_array))

        for kind in "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split():
            add(kind, features("?" if kind == "b1" else kind), labels("?" if kind == "b1" else kind))
        for kind in (">i2", ">i8", ">u4", ">f2", ">f4", ">f8"):
            add("big-endian " + kind[1:], features(kind), labels(kind))
        add("one column of labels", features("f8"), y.reshape(-1, 1))
        add("classes", features("f8"), features("u2")[:, 0].astype("i4"))
        add("negative numbers", features("f8"), features("i2")[:, 0])
        add("halves", features("f8"), features("f4")[:, 0] / 2)
        add("columns of targets", features("f8"), features("f8")[:, 1:])
        add("one feature as a vector", features("f8")[:, 0])
        add("chunked", features("f8"), chunks=(100, 3))
        add("automatic chunks", features("f4"), chunks=True)
        add("gzip", features("f4"), chunks=(64, 2), compression="gzip")
        add("gzip, shuffle, checksum", features("i4"), chunks=(100, 4), compression="gzip", shuffle=True,
            fletcher32=True)
        add("scale-offset", features("i4"), chunks=(100, 4), scaleoffset=0)
        add("growing", features("f8"), chunks=(10, 4), maxshape=(None, 4))
        add("external storage", features("f8"), external=[(str(directory / "raw.bin"), 0, h5py.h5f.UNLIMITED)])
        record = np.zeros(ROWS, dtype=[("id", "i8"), ("values", "f4", (COLUMNS,)), ("label", "?"), ("one", "f8")])
        record["values"], record["label"], record["one"] = features("f4"), y, features("f8")[:, 1]
        file["records"] = record
        cases.append(("h5py record", path, "/records:values", "/records:label", record["values"], y))
        cases.append(("h5py scalar field", path, "/records:one", "/records:label", record["one"], y))
        file["soft"] = h5py.SoftLink("/f8/X")
        file["outside"] = h5py.ExternalLink("latest.h5", "/X")
        cases.append(("h5py soft link", path, "/soft", "/f8/y", features("f8"), y))
        cases.append(("h5py external link", path, "/outside", "/f8/y", features("f8"), y))
        layout = h5py.VirtualLayout((ROWS, COLUMNS), "f8")
        layout[:] = h5py.VirtualSource("latest.h5", "X", (ROWS, COLUMNS))
        file.create_virtual_dataset("virtual", layout)
        cases.append(("h5py virtual dataset", path, "/virtual", "/f8/y", features("f8"), y))
    with h5py.File(directory / "latest.h5", "w", libver="latest", userblock_size=1024) as file:
        file["X"], file["y"] = features("f8"), y
    cases.append(("h5py, newest format", directory / "latest.h5", "/X", "/y", features("f8"), y))
    cases.append(("two files", path, "/f8/X", f"{directory}/latest.h5:/y", features("f8"), y))
    cases.append(("a group as the set", f"{path}:/f8", None, None, features("f8"), y))

    path = directory / "pytables.h5"
    with tables.open_file(path, "w") as file:
        zlib = tables.Filters(complevel=5, complib="zlib", shuffle=True, fletcher32=True)
        x64 = features("f8")
        file.create_array("/", "X", x64)
        file.create_array("/", "booleans", y.astype(bool))
        file.create_carray("/", "compressed", obj=x64, filters=zlib, chunkshape=(50, 4))
        growing = file.create_earray("/", "growing", tables.Float32Atom(), (0, COLUMNS), filters=zlib)
        growing.append(features("f4"))
        table = file.create_table("/", "table", {
            "name": tables.StringCol(8), "values": tables.Float64Col(shape=(COLUMNS,)), "label": tables.BoolCol(),
            "small": tables.Int8Col()})
        row = table.row
        for values, label in zip(x64, y):
            row["values"], row["label"], row["small"] = values, label, label
            row.append()
    for x in ("/X", "/compressed", "/growing", "/table:values"):
        for label in ("/booleans", "/table:label", "/table:small"):
            cases.append((f"PyTables {x} {label}", path, x, label, x64, y))

    path = directory / "pandas.h5"
    frame = pandas.DataFrame(features("f8"), columns=list("abcd"))
    frame["y"] = y.astype("i8")
    frame.to_hdf(path, key="fixed", format="fixed")
    frame.to_hdf(path, key="df", format="table")
    frame.to_hdf(path, key="columns", format="table", data_columns=["y"], complevel=5, complib="zlib")
    pandas.DataFrame(features("f8"), columns=list("abcd")).to_hdf(path, key="x_only")
    pandas.Series(y.astype(bool)).to_hdf(path, key="y_only")
    x64 = features("f8")
    cases.append(("pandas fixed", path, "/fixed/block0_values", "/fixed/block1_values", x64, y))
    cases.append(("pandas table", path, "/df/table:values_block_0", "/df/table:values_block_1", x64, y))
    cases.append(("pandas data columns", path, "/columns/table:values_block_0", "/columns/table:y", x64, y))
    cases.append(("pandas frame and series", path, "/x_only/block0_values", "/y_only/values", x64, y))
    return cases


def bad_files(directory):
    """(name, file, x, y, words of the message)"""
    path = directory / "bad.h5"
    x, y = features("f8"), labels()
    with h5py.File(path, "w") as file:
        file["X"], file["y"], file["short"] = x, y, y[:-1]
        file["group/inner"] = x
        file["cube"] = np.zeros((ROWS, 2, 2))
        file["scalar"] = 1.0
        file["none"] = np.zeros((0, COLUMNS))
        file["empty"] = h5py.Empty("f8")
        file["complex"] = x.astype("c16")
        file["text"] = np.array([b"one"] * ROWS)
        file["strings"] = ["one"] * ROWS
        file["records"] = np.zeros(ROWS, dtype=[("id", "i8"), ("values", "f4", (COLUMNS,))])
        file["dangling"] = h5py.SoftLink("/nowhere")
        file.create_dataset("lzf", data=x, compression="lzf")
        layout = h5py.VirtualLayout((ROWS, COLUMNS), "f8")
        layout[:] = h5py.VirtualSource("gone.h5", "X", (ROWS, COLUMNS))
        file.create_virtual_dataset("virtual", layout)
        for name, row, column, value in (("nan", 17, 2, np.nan), ("inf", 1012, 3, -np.inf)):
            file[name] = x
            file[name][row, column] = value
        file["nan_label"] = y.astype("f8")
        file["nan_label"][99] = np.nan
    whole = path.read_bytes()
    for n in (100, len(whole) // 2, len(whole) - 1):
        (directory / f"cut{n}.h5").write_bytes(whole[:n])
    (directory / "text.h5").write_text("these are no numbers\n" * 100)
    (directory / "no-bytes.h5").write_bytes(b"")
    with tables.open_file(directory / "blosc.h5", "w") as file:
        file.create_carray("/", "X", obj=x, filters=tables.Filters(complevel=5, complib="blosc"))
    names = "--x FILE:/PATH --y FILE:/PATH"
    cases = [
        ("missing file", directory / "missing.h5", None, None, ["missing.h5", "No such file"]),
        ("directory", directory, None, None, ["is a directory"]),
        ("empty file", directory / "no-bytes.h5", None, None, ["no-bytes.h5", "is empty"]),
        ("text file", directory / "text.h5", None, None, ["text.h5", "not an HDF5 file"]),
        ("missing dataset", path, "/train/X", "/y", ["/train/X", f"/X ({ROWS} x {COLUMNS} float64)", names]),
        ("missing labels", path, "/X", "/label", ["bad.h5:/label", "no such dataset"]),
        ("group", path, "/group", "/y", ["/group", "is a group", names]),
        ("dangling link", path, "/dangling", "/y", ["/dangling", "leads nowhere"]),
        ("lengths", path, "/X", "/short", [f"has {ROWS} rows", f"has {ROWS - 1}"]),
        ("three dimensions", path, "/cube", "/y", ["/cube", "3 dimensions"]),
        ("scalar", path, "/scalar", "/y", ["/scalar", "a single value"]),
        ("no rows", path, "/none", "/y", ["/none", "no rows"]),
        ("no dataspace", path, "/empty", "/y", ["/empty", "empty"]),
        ("complex", path, "/complex", "/y", ["/complex", "complex"]),
        ("bytes", path, "/text", "/y", ["/text", "text"]),
        ("strings", path, "/strings", "/y", ["/strings", "text"]),
        ("table without field", path, "/records", "/y", ["/records", "id, values", "FILE:/PATH:FIELD"]),
        ("no such field", path, "/records:vals", "/y", ["no such field", "id, values"]),
        ("missing filter", path, "/lzf", "/y", ["lzf", "h5repack"]),
        ("missing filter of PyTables", directory / "blosc.h5", "/X", "/X", ["blosc", "h5repack"]),
        ("missing source of a virtual dataset", path, "/virtual", "/y", ["/virtual", "gone.h5"]),
        ("NaN", path, "/nan", "/y", ["/nan", "row 17, column 2 (counted from 0)", "nan"]),
        ("Inf", path, "/inf", "/y", ["/inf", "row 1012, column 3 (counted from 0)", "-inf"]),
        ("label NaN", path, "/X", "/nan_label", ["/nan_label", "row 99", "nan"]),
    ]
    for n in (100, len(whole) // 2, len(whole) - 1):
        cases.append((f"file cut at {n}", directory / f"cut{n}.h5", "/X", "/y", [f"cut{n}.h5"]))
    return cases


class Report:
    def __init__(self):
        self.n_passed = self.n_failed = 0

    def check(self, name, problem):
        if problem:
            self.n_failed += 1
            print(f"FAILED {name}: {problem}", flush=True)
        else:
            self.n_passed += 1


def compare_split(output, x, y):
    """What differs between the output and scikit-learn's split, None if nothing does."""
    y = np.asarray(y)
    y = y.reshape(-1) if y.ndim == 1 or y.shape[1] == 1 else y
    are_classes = np.array_equal(y, y.astype("u1"))
    expected = train_test_split(x.astype("f8").reshape(len(x), -1), y.astype("u1" if are_classes else "f8"),
                                train_size=0.75, random_state=3)
    with h5py.File(output) as file:
        for name, array in zip(("train/X", "test/X", "train/y", "test/y"), expected):
            found = file[name][()]
            if found.dtype != array.dtype:
                return f"{name} is {found.dtype}, not {array.dtype}"
            if not np.array_equal(found, array):
                return f"{name} differs"
    return None


def check_good(runner, directory, cases, report):
    bytes_of = {}
    for name, file, x_name, y_name, x, y in cases:
        output = directory / "split.h5"
        run = runner.split(file, x_name, y_name, output)
        problem = f"exit {run.returncode}: {run.stderr}" if run.returncode else compare_split(output, x, y)
        report.check(f"{name}, {runner.ranks} ranks", problem)
        bytes_of[name] = output.read_bytes() if output.exists() else None
        output.unlink(missing_ok=True)
    return bytes_of


def check_bad(runner, directory, cases, report):
    for name, file, x, y, words in cases:
        output = directory / "out" / "split.h5"
        output.parent.mkdir(exist_ok=True)
        run = runner.split(file, x, y, output)
        problem = None
        if run.returncode != EXIT_INPUT:
            problem = f"exit {run.returncode}: {run.stderr}"
        elif missing := [word for word in words if word not in run.stderr]:
            problem = f"no {missing} in: {run.stderr}"
        elif left := list(output.parent.iterdir()):
            problem = f"left {left}"
        report.check(f"{name}, {runner.ranks} ranks", problem)


def check_full_disk(runner, directory, report):
    """The output does not fit: nothing is left, and an older output stays as it was."""
    administrator = [] if os.geteuid() == 0 else ["sudo", "-n"]
    disk = directory / "disk"
    disk.mkdir(exist_ok=True)
    source = directory / "large.h5"
    with h5py.File(source, "w") as file:
        file["X"], file["y"] = np.zeros((60000, 4)), np.arange(60000) % 2
    subprocess.run([*administrator, "mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", disk], check=True)
    try:
        for fill, name in ((0, "full disk"), (1 << 20, "not one byte left")):
            old = disk / "split.h5"
            old.write_bytes(b"old")
            if fill:
                with open(disk / "filler", "wb", buffering=0) as filler:
                    try:
                        while filler.write(b"f" * 4096):
                            pass
                    except OSError:
                        pass
            before = sorted(disk.iterdir())
            run = runner.split(source, None, None, old)
            problem = None
            if run.returncode != EXIT_OUTPUT:
                problem = f"exit {run.returncode}: {run.stderr}"
            elif "No space left" not in run.stderr or "split.h5" not in run.stderr:
                problem = f"message: {run.stderr}"
            elif sorted(disk.iterdir()) != before or old.read_bytes() != b"old":
                problem = f"left {sorted(disk.iterdir())}"
            report.check(f"{name}, {runner.ranks} ranks", problem)
    finally:
        subprocess.run([*administrator, "umount", disk], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("lockstep")
    parser.add_argument("--ranks", default="1,3")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-foreign-"))
    report = Report()
    try:
        good = [case for case in good_files(directory) if options.only in case[0]]
        bad = [case for case in bad_files(directory) if options.only in case[0]]
        first = None
        for ranks in map(int, options.ranks.split(",")):
            runner = Runner(options.lockstep, ranks)
            outputs = check_good(runner, directory, good, report)
            first = first or outputs
            for name, content in outputs.items():
                report.check(f"{name}, {ranks} ranks", None if content == first[name] else "other bytes")
            check_bad(runner, directory, bad, report)
            check_full_disk(runner, directory, report)
    finally:
        shutil.rmtree(directory)
    print(f"foreign files: {report.n_passed} checks passed, {report.n_failed} failed")
    sys.exit(1 if report.n_failed or not report.n_passed else 0)


if __name__ == "__main__":
    main()
