#!/usr/bin/python3
"""Puts labelled data into the HDF5 layout that lockstep trains on: /train, /validation and /test with X and y.

    tools/to_hdf5.py people.csv --target income --split 0.7,0.2,0.1 --random-state 1 --stratify -o data.h5
    tools/to_hdf5.py arrays.npz --split 0.8,0.2 -o data.h5      # arrays X and y, or X_train, y_train, X_test, y_test, ...
    tools/to_hdf5.py digits -o data.h5                          # breast_cancer, digits, wine, diabetes: those of scikit-learn

A CSV file has a sample in each line; a first line that is no sample names the columns. The target is the last column unless --target
names it or counts it (from 0, or from the end: -1). Class names, or class numbers that are not 0, 1, 2, ..., become 0, 1, 2, ... in
their order; the attribute class_names of each y has them. A target of other numbers is a regression.

--split gives the shares of train and test, or of train, validation and test. The rows are those of scikit-learn's train_test_split with
this random_state: for the training data first, and for the two others again out of the rest. It needs numpy and h5py; scikit-learn only
for its named sets.
"""
import argparse
import csv
import os
import sys

import h5py
import numpy as np

NAMED = ("breast_cancer", "digits", "wine", "diabetes")
SETS = ("train", "validation", "test")
MAX_CLASSES = 100  # of whole numbers that nobody has called classes


class InputError(Exception):
    """What is wrong, in one line."""


def number(text):
    """The number that a cell of a CSV file holds, None if it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def find_column(target, names, n_columns, option="--target"):
    """The number of a column, as the option says it; of the target without one."""
    if target is None:
        return n_columns - 1
    if names and target in names:
        return names.index(target)
    try:
        column = int(target)
    except ValueError:
        known = ", ".join(names[:20]) if names else f"they have no names: count it, 0 to {n_columns - 1}"
        raise InputError(f"{option}: there is no column '{target}': {known}") from None
    if not -n_columns <= column < n_columns:
        raise InputError(f"{option}: there is no column {column}: there are {n_columns}")
    return column % n_columns


def read_csv(path, target, delimiter, drop):
    """X, y and the names of the features of a CSV file."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        lines = [(reader.line_num, row) for row in reader if row]
    if not lines:
        raise InputError(f"{path}: is empty")
    first = lines[0][1]
    n_columns = len(first)
    if n_columns < 2:
        raise InputError(f"{path}: has one column: features and target must be separated by '{delimiter}' (--delimiter)")
    # A line of names has a word where the next line has a number, or nothing but words.
    others = lines[1][1] if len(lines) > 1 else []
    named = any(number(a) is None and number(b) is not None for a, b in zip(first, others)) or all(
        number(cell) is None for cell in first)
    names = [name.strip() for name in first] if named else []
    lines = lines[named:]
    column = find_column(target, names, n_columns)
    # A name may hold a comma itself.
    drop = [name for text in drop for name in ([text] if text in names else text.split(","))]
    left_out = {column} | {find_column(name, names, n_columns, "--drop") for name in drop}
    kept = [i for i in range(n_columns) if i not in left_out]
    if not kept or not lines:
        raise InputError(f"{path}: has no {'features' if lines else 'samples'}")
    x = np.empty((len(lines), len(kept)))
    for i, (line, row) in enumerate(lines):
        if len(row) != n_columns:
            raise InputError(f"{path}: line {line}: has {len(row)} columns, the first has {n_columns}")
        for k, c in enumerate(kept):
            value = number(row[c])
            if value is None or not np.isfinite(value):
                where = f"column {names[c] if names else c}"
                what = f"'{row[c]}' is no number: encode it, or leave it out by --drop" if row[c].strip() else "is empty"
                raise InputError(f"{path}: line {line}: {where}: {what}")
            x[i, k] = value
    cells = [row[column].strip() for _, row in lines]
    for (line, _), cell in zip(lines, cells):
        if not cell:
            raise InputError(f"{path}: line {line}: the target is empty")
    values = [number(cell) for cell in cells]
    y = np.array(cells if any(value is None for value in values) else values)
    return x, y, [names[i] for i in kept] if names else None


def read_npz(path):
    """The arrays of an .npz file: {"": (X, y)}, or those of each set."""
    try:
        arrays = np.load(path)
        names = arrays.files
    except (ValueError, OSError, AttributeError) as error:
        raise InputError(f"{path}: not an .npz file: {error}") from None
    found = {name: {letter: arrays[f"{letter}_{name}"] for letter in "Xy" if f"{letter}_{name}" in names} for name in SETS}
    found = {name: pair for name, pair in found.items() if pair}
    if not found:
        found = {"": {letter: arrays[letter] for letter in "Xy" if letter in names}}
    for name, pair in found.items():
        suffix = f"_{name}" if name else ""
        for letter in "Xy":
            if letter not in pair:
                raise InputError(f"{path}: has no array {letter}{suffix}, only {', '.join(names) or 'none'}")
        if pair["y"].ndim == 2 and pair["y"].shape[1] == 1:
            pair["y"] = pair["y"][:, 0]
        x, y = pair["X"], pair["y"]
        if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
            raise InputError(f"{path}: X{suffix} has the shape {x.shape}, y{suffix} {y.shape}: they must be (samples, features) "
                             f"and (samples)")
        if x.dtype.kind not in "fiub" or not np.isfinite(x).all():
            raise InputError(f"{path}: X{suffix} must be finite numbers")
    return {name: (pair["X"], pair["y"]) for name, pair in found.items()}


def load_named(name):
    """X, y, the names of the features and of the classes (None for a regression) of a set of scikit-learn."""
    try:
        from sklearn import datasets
    except ImportError:
        raise InputError(f"{name}: is a set of scikit-learn: install it (python3-sklearn)") from None
    data = getattr(datasets, f"load_{name}")()
    classes = None if name == "diabetes" else [str(label) for label in data.target_names]
    return data.data, data.target, [str(feature) for feature in data.feature_names], classes


def label(y, task):
    """y as numbers, and the names of its classes, None for a regression."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InputError("the target must be finite numbers or class names")
    whole = y.dtype.kind in "iub" or (y.dtype.kind == "f" and (y == np.floor(y)).all())
    if y.dtype.kind not in "iubfUSO":
        raise InputError(f"the target has the type {y.dtype}: it must be numbers or class names")
    if task == "auto":
        is_class = y.dtype.kind in "bUSO" or (whole and len(np.unique(y)) <= MAX_CLASSES)
        task = "classification" if is_class else "regression"
    if task == "regression":
        if y.dtype.kind in "USO":
            raise InputError("a regression needs numbers, the target has words")
        return y.astype(float), None
    if y.dtype.kind == "f" and whole:
        y = y.astype(np.int64)
    names, numbers = np.unique(y.astype(str) if y.dtype.kind in "SO" else y, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"all samples are of the class {names[0]}: there is nothing to learn")
    return numbers.astype(np.uint8 if len(names) <= 256 else np.int64), [str(name) for name in names]


def approximate_mode(counts, n_draws, random):
    """scikit-learn's _approximate_mode: how many of each class n_draws are, ties by chance."""
    continuous = counts / counts.sum() * n_draws
    floored = np.floor(continuous)
    missing = int(n_draws - floored.sum())
    remainder = continuous - floored
    for value in np.sort(np.unique(remainder))[::-1]:
        if missing <= 0:
            break
        (which,) = np.where(remainder == value)
        which = random.choice(which, size=min(len(which), missing), replace=False)
        floored[which] += 1
        missing -= len(which)
    return floored.astype(int)


def split_rows(n_first, y, seed, stratify):
    """The rows of the two sets of train_test_split(train_size=n_first, random_state=seed), of n = len(y) rows."""
    random = np.random.RandomState(seed)
    n, n_second = len(y), len(y) - n_first
    if not stratify:
        order = random.permutation(n)
        return order[n_second:], order[:n_second]
    classes, numbers = np.unique(y, return_inverse=True)
    counts = np.bincount(numbers)
    if counts.min() < 2 or min(n_first, n_second) < len(classes):
        raise InputError(f"--stratify: {counts.min()} samples of the class {classes[counts.argmin()]}, sets of {n_first} and "
                         f"{n_second} for {len(classes)} classes: too few to have each class in both")
    of_class = np.split(np.argsort(numbers, kind="mergesort"), np.cumsum(counts)[:-1])
    n_i = approximate_mode(counts, n_first, random)
    t_i = approximate_mode(counts - n_i, n_second, random)
    first, second = [], []
    for i, rows in enumerate(of_class):
        shuffled = rows.take(random.permutation(counts[i]), mode="clip")
        first.extend(shuffled[:n_i[i]])
        second.extend(shuffled[n_i[i]:n_i[i] + t_i[i]])
    return random.permutation(first), random.permutation(second)


def parse_split(text):
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError:
        shares = []
    if not 1 <= len(shares) <= 3 or any(not 0 < share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        raise InputError(f"--split: '{text}': give two or three shares whose sum is 1, like 0.8,0.2 or 0.7,0.2,0.1")
    return shares


def split(y, shares, seed, stratify):
    """The rows of each set, {name: rows}."""
    n = len(y)
    if len(shares) == 1:
        return {"train": np.arange(n)}
    counts = [int(np.floor(share * n + 1e-9)) for share in shares[:-1]]
    if min(counts) < 1 or sum(counts) >= n:
        raise InputError(f"--split: {n} samples are too few for {len(shares)} sets")
    train, rest = split_rows(counts[0], y, seed, stratify)
    if len(shares) == 2:
        return {"train": train, "test": rest}
    first, second = split_rows(counts[1], y[rest], seed, stratify)
    return {"train": train, "validation": rest[first], "test": rest[second]}


def write(path, sets, features, classes):
    """Writes {name: (X, y)} whole or not at all."""
    temporary = f"{path}.tmp-{os.getpid()}"
    text = h5py.string_dtype()
    try:
        with h5py.File(temporary, "w") as file:
            for name, (x, y) in sets.items():
                stored = file.create_dataset(f"{name}/X", data=x)
                if features:
                    stored.attrs.create("feature_names", features, dtype=text)
                stored = file.create_dataset(f"{name}/y", data=y)
                if classes:
                    stored.attrs.create("class_names", classes, dtype=text)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def convert(arguments):
    shares = parse_split(arguments.split)
    features, names, task, source = None, None, arguments.task, arguments.source
    if source in NAMED and not os.path.exists(source):
        x, y, features, names = load_named(source)
        task = "regression" if names is None else "classification"
        sets = {"": (x, y)}
    elif not os.path.isfile(source):
        raise InputError(f"{source}: {'is no file' if os.path.exists(source) else 'does not exist'}; sets of scikit-learn are "
                         f"{', '.join(NAMED)}")
    elif source.endswith(".npz"):
        sets = read_npz(source)
    else:
        x, y, features = read_csv(source, arguments.target, arguments.delimiter, arguments.drop or [])
        sets = {"": (x, y)}
    numbers, classes = label(np.concatenate([y for _, y in sets.values()]), task)
    if list(sets) == [""]:
        if arguments.stratify and classes is None:
            raise InputError("--stratify: a regression has no classes")
        x = sets[""][0]
        rows = split(numbers, shares, arguments.random_state, arguments.stratify)
        result = {name: (x[which], numbers[which]) for name, which in rows.items()}
    else:
        ends = np.cumsum([len(y) for _, y in sets.values()])[:-1]
        result = {name: (x, y) for (name, (x, _)), y in zip(sets.items(), np.split(numbers, ends))}
    write(arguments.output, result, features, names or classes)
    kind = "a regression" if classes is None else f"{len(classes)} classes: {' '.join((names or classes)[:10])}"
    print(f"{arguments.output}: " + ", ".join(f"/{name} {x.shape[0]} x {x.shape[1]}" for name, (x, _) in result.items()) + f"; {kind}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", help="CSV file, .npz file, or a set of scikit-learn: " + ", ".join(NAMED))
    parser.add_argument("-o", "--output", metavar="DATA", required=True, help="HDF5 file to write")
    parser.add_argument("--split", default="0.8,0.2", metavar="SHARES", help="of train,test or train,validation,test; 1 for train "
                        "alone (default: 0.8,0.2)")
    parser.add_argument("--random-state", type=int, default=0, metavar="SEED", help="of the split (default: 0)")
    parser.add_argument("--stratify", action="store_true", help="as many of each class in all sets")
    parser.add_argument("--task", choices=("auto", "classification", "regression"), default="auto",
                        help="auto: words, and at most %d different whole numbers, are classes" % MAX_CLASSES)
    parser.add_argument("--target", metavar="COLUMN", help="of a CSV file: name or number (default: the last)")
    parser.add_argument("--drop", action="append", metavar="COLUMN,...", help="of a CSV file: leave them out; may be repeated")
    parser.add_argument("--delimiter", default=",", help="of a CSV file (default: a comma)")
    parser.error = lambda message: sys.exit(f"to_hdf5.py: {message}")
    arguments = parser.parse_args()
    if not 0 <= arguments.random_state < 2**32:
        sys.exit("to_hdf5.py: --random-state: must be within 0 .. 4294967295")
    if len(arguments.delimiter) != 1:
        sys.exit("to_hdf5.py: --delimiter: must be one character")
    try:
        convert(arguments)
    except (InputError, UnicodeDecodeError, csv.Error, PermissionError) as error:
        sys.exit(f"to_hdf5.py: {error}")


if __name__ == "__main__":
    main()
