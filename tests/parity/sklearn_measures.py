#!/usr/bin/env python3
"""The measures of evaluate against scikit-learn's, on 1, 2 and 3 ranks: sklearn_measures.py PATH_TO_lockstep

Of few classes and of thousands: the confusion matrix, precision, recall and F1 of each class and their mean, exactly. Of several
labels: the area under each one's ROC curve.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from scipy.sparse import coo_array
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

import common
from common import check

LOCKSTEP = os.path.abspath(sys.argv[1])
N_SAMPLES, N_FEATURES, DENSE = 2000, 16, 512


def lockstep(*arguments, ranks=1):
    result = subprocess.run([*common.on_ranks(ranks), LOCKSTEP, *map(str, arguments)], capture_output=True, text=True)
    check(f"lockstep {arguments} on {ranks} ranks", result.returncode == 0, result.stderr)
    return result.stdout


def measures(name, x, y, *options):
    """What evaluate tells of a model of these data, the same on any number of ranks, and what it predicts."""
    with h5py.File("data.h5", "w") as file:
        file["train/X"], file["train/y"] = x, y
    lockstep("train", "data.h5", "--hidden", "", "--optimizer", "adam", "--learning-rate", 0.05, "--epochs", 2, "--batch-size", 256,
             "-o", "model.h5", "--verbose", 0)
    lockstep("predict", "model.h5", "data.h5", "-o", "predicted.h5", "--verbose", 0)
    told = [lockstep("evaluate", "model.h5", "data.h5", "--json", "--verbose", 0, *options, ranks=ranks) for ranks in (1, 2, 3)]
    check(f"{name}: the same on 1, 2, 3 ranks", told[0] == told[1] == told[2])
    with h5py.File("predicted.h5") as file:
        return json.loads(told[0])["train"], file["train/y_pred"][:], file["train/class"][:]


def classes(n, random):
    y = np.r_[n - 1, 0, random.integers(0, n, N_SAMPLES - 2)].astype("i4")
    x = random.normal(size=(n, N_FEATURES))[y] + random.normal(size=(N_SAMPLES, N_FEATURES))
    told, probabilities, predicted = measures(f"{n} classes", x, y)
    check(f"{n} classes: predicted", (predicted == probabilities.argmax(1)).all() and (predicted == y).mean() > 0.01)
    wanted = confusion_matrix(y, predicted, labels=range(n))
    if n <= DENSE:
        found = told["confusion_matrix"]
    else:
        cells = told["confusion_cells"]
        places = list(zip(cells["real"], cells["predicted"]))
        check(f"{n} classes: cells in order, none empty", places == sorted(set(places)) and min(cells["samples"]) > 0)
        found = coo_array((cells["samples"], (cells["real"], cells["predicted"])), (n, n)).toarray()
    check(f"{n} classes: confusion", np.array_equal(found, wanted))
    scores = np.array([[c["precision"], c["recall"], c["f1"], c["samples"]] for c in told["classes"]]).T
    wanted = precision_recall_fscore_support(y, predicted, labels=range(n), zero_division=0)
    check(f"{n} classes: each class", np.allclose(scores, wanted, 1e-14, 0))
    mean = [told["mean_of_classes"][key] for key in ("precision", "recall", "f1")]
    wanted = precision_recall_fscore_support(y, predicted, average="macro", zero_division=0)[:3]
    check(f"{n} classes: mean", np.allclose(mean, wanted, 1e-12, 0), (mean, wanted))


def labels(random):
    x = random.normal(size=(N_SAMPLES, N_FEATURES)).round(1)
    y = (x[:, :5] + random.normal(size=(N_SAMPLES, 5)) > [0, 1, 2, 0, 9]).astype("u1")  # nobody has the last one
    told, probabilities, _ = measures("labels", x, y, "--roc-auc")
    wanted = roc_auc_score(y[:, :4], probabilities[:, :4], average=None)
    areas = told["roc_auc_labels"]
    check("labels: areas", np.allclose(areas[:4], wanted, 1e-14, 0) and areas[4] is None, (areas, wanted))
    check("labels: mean area", abs(told["roc_auc"] - wanted.mean()) < 1e-14, told["roc_auc"])


def text_is_short():
    """Thousands of classes on a terminal."""
    lines = lockstep("evaluate", "model.h5", "data.h5", "--verbose", 0, ranks=3).splitlines()
    check("lines of 80 columns, on a screen", len(lines) < 40 and max(map(len, lines)) <= 80, lines)
    for pattern in (r"  class   samples  precision    recall        F1", r"  \(the lowest F1 of 5000 classes; --json has all\)",
                    r"   mean      2000(   0\.\d{6})(  0\.\d{6}){2}", r"  most frequent confusions \(--json has the whole matrix\)",
                    r"   real   pred   samples  % of real", r"  +\d+ +\d+ +\d+ +\d+\.\d{3}"):
        check("a line like " + pattern, any(re.fullmatch(pattern, line) for line in lines), lines)


def main():
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        labels(random)
        for n in (3, 600, 5000):
            classes(n, random)
        text_is_short()
        os.chdir("/")
    common.finish()


if __name__ == "__main__":
    main()
