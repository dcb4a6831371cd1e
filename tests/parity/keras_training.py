#!/usr/bin/env python3
"""Training against the real Keras: the same initial weights, rows, order and batches must give the same weights.

usage: keras_training.py LOCKSTEP [--full]      (the Python that runs it must have keras, tensorflow, scikit-learn, h5py)

Error of a tensor = max|difference| / max|weight|. Bounds:
  float64             1e-12 over the whole fit
  float32 tanh        1e-5 for [2,2], 1e-4 for every other network
  float32 relu        1e-5 over the first 100 steps, then the final loss within 1e-3: the order of a sum alone
                      moves the weights of deep relu networks
By default about 2000 steps a case, every fourth network for a pair of dtype and activation and one whole fit (40 000 steps) per
dtype; --full takes all networks and 40 000 steps for each.
Each kind of case is also run with a mistake (wrong order, last batch dropped, wrong scale), which the bound must catch.
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import common
from common import check, error, read_weights

NOTEBOOK = {  # hidden layers -> parameters for 2 features
    (64, 64): 4417, (64, 32, 16, 8, 4, 2): 2985, (64, 16, 4, 16, 64): 2533, (64, 4, 2, 4, 64): 859,
    (32, 16, 8, 4, 2): 809, (16, 16, 4, 2): 401, (16, 8, 4, 2): 233, (8, 8, 4, 2): 145, (5, 5, 5): 81,
    (5, 3, 2): 44, (5, 4): 44, (5, 3): 37, (8,): 33, (5, 2): 30, (5,): 21, (3, 2): 20, (2, 2): 15, (2,): 9,
}
RATE = 0.01


def make_cases(full):
    cases = []

    def add(hidden, activation, dtype, batch=8, rows=4000, epochs=4, features=2, mutate=False):
        if full:
            rows, epochs = 10000 * batch, 4
        cases.append(dict(hidden=list(hidden), activation=activation, dtype=dtype, batch=batch, rows=rows,
                          epochs=epochs, features=features, mutate=mutate))

    for dtype in ("float64", "float32"):
        for activation in ("tanh", "relu"):
            for number, hidden in enumerate(NOTEBOOK):
                # Each network with one type and one activation, the next with others; all together only in full.
                turn = 2 * (dtype == "float32") + (activation == "relu")
                if not full and number % 4 != turn and hidden != (5, 3):
                    continue
                if dtype == "float32" and activation == "relu" and not full:
                    add(hidden, activation, dtype, rows=800, epochs=1)  # the first 100 steps
                add(hidden, activation, dtype, mutate=hidden == (5, 3))
        add((2, 2), "tanh", dtype, batch=1, rows=2000, epochs=1, mutate=True)
        add((5, 3, 2), "tanh", dtype, batch=32, rows=20000, epochs=3, features=6, mutate=True)
        add((5, 4), "tanh", dtype, batch=37, rows=10007, epochs=4, features=3, mutate=True)
        add((), "tanh", dtype, batch=10, rows=4003, epochs=3, features=4)
        add((6, 4), "sigmoid", dtype, batch=10, rows=4003, epochs=3, features=4)
        add((6, 4), "linear", dtype, batch=10, rows=4003, epochs=3, features=4)
        if not full:
            add((2, 2), "tanh", dtype, batch=8, rows=80000, epochs=4)  # the notebook's fit
    for number, case in enumerate(cases):
        case["number"] = number
    return cases


def make_rows(case):
    from sklearn.datasets import make_classification
    features = case["features"]
    x, y = make_classification(n_samples=case["rows"], n_features=features, n_informative=min(features, 3),
                               n_redundant=0, n_clusters_per_class=2, class_sep=1.5, flip_y=0.01, random_state=7)
    return x.astype(case["dtype"]), y


def worker(folder, dtype):
    """In a process of its own, because set_floatx must come before anything else."""
    keras = common.start_keras(dtype)
    for case in json.load(open(folder + "/cases.json")):
        if case["dtype"] != dtype:
            continue
        x, y = make_rows(case)
        keras.utils.set_random_seed(case["number"])
        model = keras.Sequential([keras.Input((case["features"],))])
        for units in case["hidden"]:
            model.add(keras.layers.Dense(units, activation=case["activation"]))
        model.add(keras.layers.Dense(1, activation="sigmoid"))
        steps = -(-len(x) // case["batch"])
        model.compile(optimizer=keras.optimizers.SGD(RATE), loss=keras.losses.BinaryCrossentropy(from_logits=False),
                      metrics=["binary_accuracy", keras.metrics.Precision(name="precision"),
                               keras.metrics.Recall(name="recall")],
                      steps_per_execution=min(steps, 1000))
        path = "%s/%d" % (folder, case["number"])
        model.save(path + ".init.h5")
        history = model.fit(x, y[:, None].astype(dtype), epochs=case["epochs"], batch_size=case["batch"], verbose=0,
                            shuffle=False).history
        final = model.evaluate(x, y[:, None].astype(dtype), batch_size=4096, verbose=0, return_dict=True)
        np.savez(path + ".npz", parameters=model.count_params(), history=json.dumps(history), final=json.dumps(final),
                 **{"w%d" % i: w for i, w in enumerate(model.get_weights())})


def train(lockstep, folder, case, data, rate=RATE, ranks=1, shuffle="none"):
    out = folder + "/model.h5"
    command = common.on_ranks(ranks) + [
        lockstep, "train", data, "--init", "%s/%d.init.h5" % (folder, case["number"]),
        "--epochs", str(case["epochs"]), "--batch-size", str(case["batch"]), "--learning-rate", repr(rate),
        "--shuffle", shuffle, "--verbose", "0", "-o", out, "--history", folder + "/history.csv"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit("%s\n%s" % (" ".join(command), result.stderr))
    return read_weights(out)


def write_rows(path, x, y):
    with h5py.File(path, "w") as file:
        file["train/X"] = x
        file["train/y"] = y.astype("u1")


def compare(lockstep, folder, case, full):
    x, y = make_rows(case)
    data = folder + "/data.h5"
    write_rows(data, x, y)
    golden = np.load("%s/%d.npz" % (folder, case["number"]))
    theirs = [golden["w%d" % i] for i in range(2 * len(case["hidden"]) + 2)]
    steps = -(-len(x) // case["batch"]) * case["epochs"]
    name = "%s %s %s batch %d, %d steps" % (case["hidden"], case["activation"], case["dtype"], case["batch"], steps)
    if case["features"] == 2 and tuple(case["hidden"]) in NOTEBOOK:
        check(name + ": parameters", int(golden["parameters"]) == NOTEBOOK[tuple(case["hidden"])])
    only_loss = case["dtype"] == "float32" and case["activation"] == "relu" and steps > 100
    bound = 1e-12 if case["dtype"] == "float64" else 1e-5
    if case["dtype"] == "float32" and case["activation"] != "relu" and case["hidden"] != [2, 2]:
        bound = 1e-4

    ours = train(lockstep, folder, case, data)
    worst = error(ours, theirs)
    if not only_loss:
        check(name, worst <= bound, "error %.1e, bound %.0e" % (worst, bound))
    for ranks in (2, 3) if case["mutate"] and case["batch"] > 2 else ():
        on_ranks = train(lockstep, folder, case, data, ranks=ranks)
        check(name + " on %d ranks: the bits of 1 rank" % ranks,
              all(a.tobytes() == b.tobytes() for a, b in zip(on_ranks, ours)))

    measures = json.loads(subprocess.run([lockstep, "evaluate", folder + "/model.h5", data, "--json"], check=True,
                                         capture_output=True, text=True).stdout)["train"]
    final = json.loads(str(golden["final"]))
    loss_bound = 1e-3 if only_loss else 1e-9 if case["dtype"] == "float64" else 1e-5
    check(name + ": final loss", abs(measures["loss"] - final["loss"]) <= loss_bound * max(1, final["loss"]),
          "%.9f, Keras %.9f" % (measures["loss"], final["loss"]))
    for measure in ("binary_accuracy", "precision", "recall"):
        # Keras' quotients are float32; in float32 the weights differ enough to move a sample across p = 0.5.
        wide = 5e-3 if only_loss else 1e-6 if case["dtype"] == "float64" else 2e-4
        check(name + ": final " + measure, abs(measures[measure] - final[measure]) <= wide,
              "%.9f, Keras %.9f" % (measures[measure], final[measure]))
    lines = [line.split(",") for line in open(folder + "/history.csv").read().split()]
    history = json.loads(str(golden["history"]))
    for measure in ("loss", "binary_accuracy", "precision", "recall"):
        column = lines[0].index(measure)
        ours_by_epoch = np.array([float(line[column]) for line in lines[1:]])
        # Keras sums float32 measures in float32; one count may fall on the other side of p = 0.5 there.
        wide = 5e-3 if only_loss else 1e-9 if case["dtype"] == "float64" else 2e-4
        check(name + ": history of " + measure, np.allclose(ours_by_epoch, history[measure], rtol=0, atol=wide),
              "%s, Keras %s" % (ours_by_epoch, history[measure]))

    if not case["mutate"] or only_loss:
        return worst
    mistakes = {"wrong order": dict(shuffle="epoch"), "wrong scale": dict(rate=RATE * (1 + 1e-3))}
    if len(x) % case["batch"]:
        short = folder + "/short.h5"
        keep = len(x) // case["batch"] * case["batch"]
        write_rows(short, x[:keep], y[:keep])
        mistakes["last batch dropped"] = dict(data=short)
    for mistake, changes in mistakes.items():
        mistaken = error(train(lockstep, folder, case, changes.pop("data", data), **changes), theirs)
        check(name + ": catches " + mistake, mistaken > bound, "error %.1e" % mistaken)
    return worst


def main():
    if sys.argv[1] == "--worker":
        return worker(sys.argv[2], sys.argv[3])
    lockstep, full = os.path.abspath(sys.argv[1]), "--full" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        cases = make_cases(full)
        json.dump(cases, open(folder + "/cases.json", "w"))
        workers = [subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker", folder, dtype],
                                    stderr=open("%s/%s.log" % (folder, dtype), "w")) for dtype in ("float64", "float32")]
        for process, dtype in zip(workers, ("float64", "float32")):
            if process.wait():
                raise SystemExit("Keras failed:\n" + open("%s/%s.log" % (folder, dtype)).read())
        worst = {}
        for case in cases:
            kind = case["dtype"], case["activation"]
            measured = compare(lockstep, folder, case, full)
            worst[kind] = max(worst.get(kind, 0), measured)
        for kind, value in worst.items():
            print("%s %s: largest error of the weights %.1e" % (*kind, value))
    common.finish("%d networks: " % len(cases))


main()
