#!/usr/bin/env python3
"""Real data, as a user brings them: real_data.py PATH_TO_lockstep

tools/to_hdf5.py splits as scikit-learn's train_test_split does, element by element, and says what is wrong with a file; on scikit-learn's
own sets lockstep reaches what its MLPClassifier and MLPRegressor reach.
"""
import functools
import os
import subprocess
import sys
import tempfile
import warnings

import h5py
import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

LOCKSTEP = os.path.abspath(sys.argv[1])
TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
sys.path.insert(0, TOOLS)
import to_hdf5  # noqa: E402  (found by the line before)

n_checks = n_failed = 0


def check(ok, *what):
    global n_checks, n_failed
    n_checks += 1
    if not ok:
        n_failed += 1
        print("FAILED:", *what, flush=True)


def tool(*arguments, fails=None):
    result = subprocess.run([sys.executable, os.path.join(TOOLS, "to_hdf5.py"), *map(str, arguments)], capture_output=True, text=True)
    if fails is None:
        check(result.returncode == 0, "to_hdf5.py", arguments, result.stderr)
    else:
        check(result.returncode == 1 and result.stderr.startswith("to_hdf5.py: ") and fails in result.stderr
              and result.stderr.count("\n") == 1, "no message with", fails, ":", arguments, result.stderr)
        check(not os.path.exists("wrong.h5"), "a file was left by", arguments)
    return result.stdout


def lockstep(*arguments):
    result = subprocess.run([LOCKSTEP, *map(str, arguments)], capture_output=True, text=True)
    check(result.returncode == 0, arguments, result.stderr)
    return result.stdout


def splits_are_those_of_sklearn():
    random = np.random.RandomState(1)
    for n in (10, 33, 150, 569, 1797):
        for n_classes in (2, 3, 7):
            y = random.randint(n_classes, size=n)
            y[:2 * n_classes] = np.repeat(np.arange(n_classes), 2) if n >= 2 * n_classes else 0
            for seed in (0, 7, 12345):
                for stratify in (False, True):
                    for share in (0.8, 0.7, 0.5):
                        n_train = int(np.floor(share * n + 1e-9))
                        if stratify and min(np.bincount(y, minlength=n_classes).min() - 1, n_train - n_classes,
                                            n - n_train - n_classes) < 1:
                            continue
                        expected = train_test_split(np.arange(n), train_size=n_train, random_state=seed, stratify=y if stratify else None)
                        found = to_hdf5.split(y, [share, 1 - share], seed, stratify)
                        check(np.array_equal(found["train"], expected[0]) and np.array_equal(found["test"], expected[1]),
                              "split", n, n_classes, seed, stratify, share)
    rows = to_hdf5.split(y, [0.7, 0.2, 0.1], 3, True)
    train, rest = train_test_split(np.arange(n), train_size=int(0.7 * n), random_state=3, stratify=y)
    validation, test = train_test_split(rest, train_size=int(0.2 * n), random_state=3, stratify=y[rest])
    check(all(np.array_equal(rows[name], one) for name, one in zip(to_hdf5.SETS, (train, validation, test))), "three sets")


def read(path):
    with h5py.File(path) as file:
        return {name: (file[name + "/X"][()], file[name + "/y"][()]) for name in file}, {
            name: [text.decode() if isinstance(text, bytes) else text for text in file["train/y"].attrs[name]] for name in file["train/y"].attrs}


def put(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def files_are_read():
    put("a.csv", "size;colour;weight;kind\n" + "".join(f"{i};red;{i / 4};{'bca'[i % 3]}\n" for i in range(12)))
    tool("a.csv", "--delimiter", ";", "--drop", "colour", "--split", "0.5,0.25,0.25", "-o", "a.h5")
    sets, attributes = read("a.h5")
    check([len(y) for _, y in sets.values()] == [3, 6, 3], "sizes", sets)
    check(attributes == {"class_names": ["a", "b", "c"]}, "class names", attributes)
    check(all(((x[:, 0] % 3 + 1) % 3 == y).all() and (x[:, 1] == x[:, 0] / 4).all() and y.dtype == np.uint8 for x, y in sets.values()),
          "rows of a CSV file", sets)
    put("b.csv", "".join(f"{i % 2},{i / 7},{i + 0.5}\n" for i in range(10)))
    tool("b.csv", "--split", "1", "-o", "b.h5")
    sets, attributes = read("b.h5")
    check(list(sets) == ["train"] and attributes == {} and (sets["train"][1] == np.arange(10) + 0.5).all(), "a regression", sets)
    tool("b.csv", "--target", "0", "--split", "1", "-o", "b.h5")
    sets, attributes = read("b.h5")
    check(attributes == {"class_names": ["0", "1"]} and (sets["train"][1] == np.arange(10) % 2).all(), "the first column", sets)
    x, y = np.arange(20.0).reshape(10, 2), np.array([3, 8] * 5)
    np.savez("c.npz", X=x, y=y.reshape(10, 1))
    tool("c.npz", "-o", "c.h5")
    sets, attributes = read("c.h5")
    check(attributes == {"class_names": ["3", "8"]} and all((y == x[:, 0] / 2 % 2).all() for x, y in sets.values()), "an .npz file", sets)
    np.savez("d.npz", X_train=x, y_train=y, X_test=x[:4], y_test=y[:4])
    tool("d.npz", "-o", "d.h5")
    sets, _ = read("d.h5")
    check((sets["test"][0] == x[:4]).all() and (sets["train"][1] == [0, 1] * 5).all(), "an .npz file of sets", sets)


def errors_are_clear():
    np.savez("x.npz", X=np.ones((3, 2)))
    np.savez("shapes.npz", X=np.ones((3, 2)), y=np.ones(4))
    np.savez("nan.npz", X=np.full((3, 2), np.nan), y=np.ones(3))
    cases = {
        ("none.csv",): "none.csv: does not exist",
        (put("empty.csv", ""),): "empty.csv: is empty",
        (put("one.csv", "1\n2\n"),): "has one column",
        (put("short.csv", "1,2,a\n1,b\n"),): "line 2: has 2 columns, the first has 3",
        (put("word.csv", "a,b\n1,x\nred,y\n"),): "line 3: column a: 'red' is no number",
        (put("hole.csv", "a,b\n1,x\n,y\n"),): "line 3: column a: is empty",
        (put("label.csv", "a,b\n1,x\n2,\n"),): "line 3: the target is empty",
        (put("same.csv", "a,b\n1,x\n2,x\n"),): "all samples are of the class x",
        ("word.csv", "--target", "c"): "there is no column 'c': a, b",
        ("word.csv", "--target", "2"): "there is no column 2",
        ("word.csv", "--drop", "a,c"): "--drop: there is no column 'c': a, b",
        (put("few.csv", "1,x\n2,y\n"), "--split", "0.3,0.7"): "2 samples are too few for 2 sets",
        ("few.csv", "--stratify"): "1 samples of the class 0",
        ("few.csv", "--split", "0.8,0.1"): "--split: '0.8,0.1': give",
        ("few.csv", "--split", "a"): "--split: 'a': give",
        ("few.csv", "--task", "regression"): "a regression needs numbers",
        ("few.csv", "--delimiter", ""): "--delimiter: must be one character",
        ("few.csv", "--random-state", "-1"): "--random-state: must be within",
        ("x.npz",): "x.npz: has no array y, only X",
        ("shapes.npz",): "X has the shape (3, 2), y (4,)",
        ("nan.npz",): "X must be finite numbers",
        (put("text.npz", "hello"),): "text.npz: not an .npz file",
        (".",): ".: is no file",
    }
    for arguments, message in cases.items():
        tool(*arguments, "-o", "wrong.h5", fails=message)
    tool("b.csv", "-o", "nowhere/wrong.h5", fails="nowhere/wrong.h5: cannot be written")


# Set: its network and training, what to measure, and what may be missing to scikit-learn's value of it.
TRAININGS = {
    "breast_cancer": ((16,), {"learning_rate": 0.1, "epochs": 60, "batch_size": 16}, "accuracy", 0.02),
    "digits": ((32,), {"learning_rate": 0.1, "epochs": 30, "batch_size": 32}, "accuracy", 0.02),
    "wine": ((8,), {"learning_rate": 0.1, "epochs": 40, "batch_size": 8}, "accuracy", 0.03),
    "diabetes": ((8,), {"learning_rate": 0.01, "epochs": 40, "batch_size": 16}, "R2", 0.05),
}


def score(file, y, measure):
    """Of the predictions for /test."""
    with h5py.File(file) as predictions:
        if measure == "accuracy":
            return np.mean(predictions["test/class"][()] == y)
        return 1 - np.sum((predictions["test/y_pred"][()].ravel() - y) ** 2) / np.sum((y - y.mean()) ** 2)


def measures_are_those_of_sklearn():
    """On standardised features, as such networks want them (and standardised targets of a regression), over three seeds."""
    for name, (hidden, how, measure, tolerance) in TRAININGS.items():
        x, y = getattr(datasets, "load_" + name)(return_X_y=True)
        is_regression = measure == "R2"
        if is_regression:
            y = (y - y.mean()) / y.std()
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=0, stratify=None if is_regression else y)
        scale = StandardScaler().fit(x_train)
        np.savez(name + ".npz", X_train=x_train, y_train=y_train, X_test=x_test, y_test=y_test)
        tool(name + ".npz", "-o", name + ".h5")
        ours, theirs = [], []
        # scikit-learn halves the squared error.
        network = functools.partial(MLPRegressor if is_regression else MLPClassifier, hidden_layer_sizes=hidden, activation="tanh",
                                    solver="sgd", momentum=0, alpha=0, batch_size=how["batch_size"],
                                    learning_rate_init=how["learning_rate"] * (2 if is_regression else 1),
                                    max_iter=how["epochs"], n_iter_no_change=how["epochs"])
        for seed in range(3):
            lockstep("train", name + ".h5", "--hidden", ",".join(map(str, hidden)), "--activation", "tanh", "--normalize", "--seed", seed,
                     *(word for key, value in how.items() for word in ("--" + key.replace("_", "-"), value)), "-o", name + "-model.h5")
            lockstep("predict", name + "-model.h5", name + ".h5", "-o", "predictions.h5")
            ours.append(score("predictions.h5", y_test, measure))
            os.remove("predictions.h5")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs.append(network(random_state=seed).fit(scale.transform(x_train), y_train).score(scale.transform(x_test), y_test))
        print(f"{name}: {measure} {np.mean(ours):.4f}, scikit-learn's {np.mean(theirs):.4f}")
        check(np.mean(ours) >= np.mean(theirs) - tolerance, name, ours, theirs)


def named_sets_are_those_of_sklearn():
    for name in to_hdf5.NAMED:
        tool(name, "--split", "0.7,0.2,0.1", "-o", name + "-raw.h5")
        sets, attributes = read(name + "-raw.h5")
        x, y = getattr(datasets, "load_" + name)(return_X_y=True)
        n = int(np.floor(0.7 * len(y) + 1e-9))
        expected = train_test_split(x, y, train_size=n, random_state=0)
        check(np.array_equal(sets["train"][0], expected[0]) and np.array_equal(sets["train"][1], expected[2]), name, "rows")
        check(("class_names" in attributes) == (name != "diabetes"), name, attributes)
        check(sum(len(labels) for _, labels in sets.values()) == len(y), name, "samples")


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        splits_are_those_of_sklearn()
        files_are_read()
        errors_are_clear()
        named_sets_are_those_of_sklearn()
        measures_are_those_of_sklearn()
        os.chdir("/")
    print(f"{n_checks} checks, {n_failed} failed")
    sys.exit(1 if n_failed or not n_checks else 0)


if __name__ == "__main__":
    main()
