#!/usr/bin/env python3
"""Losses, activations, several outputs and weights against the real Keras, and their model files both ways.

usage: keras_losses.py LOCKSTEP      (the Python that runs it must have keras, tensorflow, h5py)

Keras makes each model and saves it; Keras and lockstep train it on the same rows in the same order; then Keras opens
what lockstep has written. In float64 weights, losses and measures agree within 1e-10, predictions within 1e-12, except after gelu and leaky_relu,
for which TensorFlow rounds the root of 2 and the slope 0.2 to float32: within 1e-7. A training without its sample
weights must differ.
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import common
from common import check

ROWS, FEATURES, EPOCHS, BATCH, RATE = 203, 5, 3, 16, 0.05


def make_cases(keras):
    losses = keras.losses
    activations = ["tanh", "elu", "selu", "gelu", "softplus", "leaky_relu", "sigmoid", "linear"]

    def case(name, loss, outputs, output_activation, target, hidden="tanh", weights=False, class_weight=None, split=0):
        return dict(name=name, loss=loss, outputs=outputs, output_activation=output_activation, target=target,
                    hidden=hidden, weights=weights, class_weight=class_weight, split=split)

    cases = [case("hidden " + a, "mean_squared_error", 2, "linear", "numbers", hidden=a) for a in activations]
    cases += [
        case("binary, weighted", "binary_crossentropy", 1, "sigmoid", "binary", weights=True),
        case("binary, class weights", "binary_crossentropy", 1, "sigmoid", "binary", class_weight=[1, 2.5]),
        # Rows to validate on have sample weights, but those of classes are for training alone.
        case("split, class weights", "binary_crossentropy", 1, "sigmoid", "binary", class_weight=[1, 2.5], split=0.25),
        case("split, weights", "sparse_categorical_crossentropy", 3, "softmax", "classes", weights=True, split=0.25),
        case("binary, smoothed", losses.BinaryCrossentropy(label_smoothing=0.1), 1, "sigmoid", "binary"),
        case("labels", "binary_crossentropy", 3, "sigmoid", "labels"),
        case("labels, smoothed", losses.BinaryCrossentropy(label_smoothing=0.1), 4, "sigmoid", "labels", weights=True,
             split=0.25),
        case("classes", "sparse_categorical_crossentropy", 4, "softmax", "classes"),
        case("classes, weighted", "sparse_categorical_crossentropy", 3, "softmax", "classes", weights=True,
             class_weight=[1, 0.5, 3]),  # Keras does not take both: it gets their product
        case("class columns", "categorical_crossentropy", 3, "softmax", "columns"),
        case("class columns, smoothed", losses.CategoricalCrossentropy(label_smoothing=0.2), 5, "softmax", "columns",
             weights=True),
        case("absolute errors", "mean_absolute_error", 3, "linear", "numbers", weights=True),
        case("huber", "huber", 2, "linear", "numbers"),
        case("squares of tanh", "mean_squared_error", 2, "tanh", "numbers"),
    ]
    return cases


def make_rows(case, rng):
    x = rng.normal(size=(ROWS, FEATURES))
    y = {"binary": lambda: rng.integers(0, 2, ROWS).astype("u1"),
         "classes": lambda: np.r_[np.arange(case["outputs"]), rng.integers(0, case["outputs"], ROWS - case["outputs"])],
         "labels": lambda: rng.integers(0, 2, (ROWS, case["outputs"])).astype("u1"),
         "columns": lambda: np.eye(case["outputs"], dtype="u1")[rng.integers(0, case["outputs"], ROWS)],
         "numbers": lambda: rng.normal(size=(ROWS, case["outputs"])) + x[:, :1]}[case["target"]]()
    weights = rng.uniform(0, 3, ROWS).round(2) if case["weights"] else None
    return x, y, weights


def metrics_of(case):
    return {"binary": ["binary_accuracy"], "labels": ["binary_accuracy"],
            "numbers": ["mean_absolute_error", "mean_squared_error"]}.get(case["target"], ["accuracy"])


def differences(ours, theirs):
    return max(float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-3) for a, b in zip(ours, theirs))


def run(*arguments):
    result = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if result.returncode:
        print(result.stderr)
    return result


def read_history(path):
    lines = [line.split(",") for line in open(path).read().splitlines()]
    return {name: [float(line[i]) if line[i] else float("nan") for line in lines[1:]]
            for i, name in enumerate(lines[0])}


def compare(keras, lockstep, folder, number, case, rng):
    name = case["name"]
    x, y, weights = make_rows(case, rng)
    data, init, out, csv = (os.path.join(folder, "%d.%s" % (number, end)) for end in ("data.h5", "init.h5", "h5", "csv"))
    with h5py.File(data, "w") as f:
        f["train/X"], f["train/y"] = x, y
        if weights is not None:
            f["train/sample_weight"] = weights
    keras.utils.set_random_seed(number)
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(6, activation=case["hidden"]),
                              keras.layers.Dense(4, activation=case["hidden"]),
                              keras.layers.Dense(case["outputs"], activation=case["output_activation"])])
    model.compile(optimizer=keras.optimizers.SGD(RATE), loss=case["loss"], metrics=metrics_of(case))
    model.save(init)
    classes = case["class_weight"]
    both = weights is not None and classes
    history = model.fit(x, y, sample_weight=weights * np.array(classes)[y] if both else weights,
                        class_weight=dict(enumerate(classes)) if classes and not both else None,
                        epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0, validation_split=case["split"]).history
    bound = 1e-7 if case["hidden"] in ("gelu", "leaky_relu") else 1e-10
    command = [lockstep, "train", data, "--init", init, "--epochs", EPOCHS, "--batch-size", BATCH, "--learning-rate", RATE,
               "--shuffle", "none", "-o", out, "--history", csv, "--verbose", "0"]
    if classes:
        command += ["--class-weight", ",".join(map(str, classes))]
    if case["split"]:
        command += ["--validation-split", case["split"]]
    check(name + ": trains", run(*command).returncode == 0)
    if not os.path.exists(out):
        return
    ours = keras.models.load_model(out)
    error = differences(ours.get_weights(), model.get_weights())
    check(name + ": weights", error < bound, "%.2g" % error)
    told = read_history(csv)
    for key, values in history.items():
        same = key in told and np.allclose(told[key], values, rtol=bound, atol=bound)
        check(name + ": history of " + key, same, "%s %s" % (told.get(key), values))
    again = ours.evaluate(x, y, verbose=0, return_dict=True)
    result = run(lockstep, "evaluate", out, data, "--json")
    told = json.loads(result.stdout)["train"] if result.returncode == 0 else {}
    for key, value in again.items():
        check(name + ": evaluate, " + key, key in told and abs(told[key] - value) < bound, "%s %s" % (told, value))
    predictions = os.path.join(folder, "p.h5")
    check(name + ": predicts", run(lockstep, "predict", out, data, "-o", predictions).returncode == 0)
    with h5py.File(predictions) as f:
        error = float(np.abs(f["train/y_pred"][:] - ours.predict(x, verbose=0)).max())
        check(name + ": predictions", error < max(1e-12, bound / 100 if bound < 1e-8 else bound), "%.2g" % error)
        if case["target"] == "labels":
            check(name + ": classes", (f["train/class"][:] == (f["train/y_pred"][:] >= 0.5)).all())
        if case["target"] in ("classes", "columns"):
            check(name + ": classes", (f["train/class"][:] == f["train/y_pred"][:].argmax(1)).all())
    if weights is not None:
        with h5py.File(data, "a") as f:
            del f["train/sample_weight"]
        run(*command)
        error = differences(keras.models.load_model(out).get_weights(), model.get_weights())
        check(name + ": without its weights it differs", error > 1e-4, "%.2g" % error)


def check_dropout(keras, lockstep, folder):
    """Keras' files with Dropout layers, and ours in Keras: masks differ, so only what does not depend on them is compared."""
    rng = np.random.default_rng(5)
    data, init, out = (os.path.join(folder, name) for name in ("drop.data.h5", "drop.init.h5", "drop.h5"))
    x, y = rng.normal(size=(400, FEATURES)), rng.integers(0, 3, 400)
    with h5py.File(data, "w") as f:
        f["train/X"], f["train/y"] = x, y
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(7, activation="relu"), keras.layers.Dropout(0.25),
                              keras.layers.Dense(5, activation="tanh"), keras.layers.Dropout(0.5),
                              keras.layers.Dense(3, activation="softmax")])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.save(init)
    result = run(lockstep, "train", data, "--init", init, "--epochs", 2, "-o", out)
    check("dropout: a file of Keras trains", result.returncode == 0, result.stderr)
    ours = keras.models.load_model(out)
    rates = [layer.rate for layer in ours.layers if isinstance(layer, keras.layers.Dropout)]
    check("dropout: Keras finds the layers", rates == [0.25, 0.5], str(rates))
    ours.fit(x, y, epochs=1, verbose=0)
    told = json.loads(run(lockstep, "evaluate", out, data, "--json").stdout)["train"]
    again = keras.models.load_model(out).evaluate(x, y, verbose=0)
    again = again[0] if isinstance(again, list) else again
    check("dropout: not in evaluation", abs(told["loss"] - again) < 1e-10, "%s %s" % (told, again))


def main():
    keras = common.start_keras("float64")
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(make_cases(keras)):
            compare(keras, sys.argv[1], folder, number, case, rng)
        check_dropout(keras, sys.argv[1], folder)
    common.finish(least=150)


if __name__ == "__main__":
    main()
