#!/usr/bin/env python3
"""Validation and what follows from it against the real Keras: validation_split, EarlyStopping, ReduceLROnPlateau and
ModelCheckpoint(save_best_only) on the same rows, order and initial weights must stop in the same epoch with the same
learning rates, measures and weights (float64 1e-11, after up to 40 epochs). And --normalize against Normalization.adapt
and scikit-learn's StandardScaler: the same statistics, a file that Keras reads, trains on and predicts alike, both ways.

usage: keras_callbacks.py LOCKSTEP         (the Python that runs it must have keras, tensorflow, scikit-learn, h5py)
"""
import csv
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import common
from common import check, error, read_weights

keras = common.start_keras("float64")
BOUND = 1e-11

# What is asked of both: epochs, learning rate, and the callbacks by lockstep's options.
CASES = {
    "no patience": dict(epochs=40, rate=0.3, stop=0),
    "best weights": dict(epochs=40, rate=0.05, stop=4, best=True, save=True),
    "best weights of all epochs": dict(epochs=12, rate=0.5, stop=30, best=True),
    "least change": dict(epochs=40, rate=0.1, stop=2, delta=0.01, best=True),
    "a measure that rises": dict(epochs=40, rate=0.2, stop=4, best=True, save=True, monitor="val_binary_accuracy"),
    "a measure of the training": dict(epochs=20, rate=2.5, stop=2, monitor="loss"),
    "smaller rate": dict(epochs=18, rate=2.0, reduce=0.3, wait=2, cooldown=2, least=0.05),
    "all of it": dict(epochs=40, rate=0.1, stop=9, best=True, reduce=0.5, wait=3, cooldown=1, delta=1e-4),
}


def make_rows():
    """Noisy labels, so that the validation loss turns."""
    rng = np.random.RandomState(5)
    x = rng.normal(size=(300, 5))
    y = (np.tanh(x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(size=300) > 0).astype("float64")
    return x, y


def fit(model, weights, x, y, case, folder):
    """What Keras makes of it: history, learning rates, weights, best weights."""
    monitor = case.get("monitor", "val_loss")
    model.set_weights(weights)
    model.compile(optimizer=keras.optimizers.SGD(case["rate"]), loss="binary_crossentropy", metrics=[
        "binary_accuracy", keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")],
        steps_per_execution=14)
    callbacks = []
    if "reduce" in case:
        callbacks.append(keras.callbacks.ReduceLROnPlateau(
            monitor, factor=case["reduce"], patience=case["wait"], min_delta=case.get("delta", 1e-4),
            cooldown=case.get("cooldown", 0), min_lr=case.get("least", 0)))
    if "stop" in case:
        callbacks.append(keras.callbacks.EarlyStopping(
            monitor, min_delta=case.get("delta", 0), patience=case["stop"],
            restore_best_weights=case.get("best", False)))
    if case.get("save"):
        callbacks.append(keras.callbacks.ModelCheckpoint(folder + "/keras.weights.h5", monitor, save_best_only=True,
                                                         save_weights_only=True))
    history = model.fit(x, y[:, None], batch_size=16, epochs=case["epochs"], shuffle=False, verbose=0,
                        validation_split=0.3, callbacks=callbacks).history
    final = model.get_weights()
    if case.get("save"):
        model.load_weights(folder + "/keras.weights.h5")
    return history, final, model.get_weights()


def options_of(case, folder):
    options = ["--epochs", str(case["epochs"]), "--learning-rate", repr(case["rate"]), "--batch-size", "16",
               "--shuffle", "none", "--validation-split", "0.3", "--monitor", case.get("monitor", "val_loss")]
    for key, option in (("stop", "early-stopping"), ("delta", "min-delta"), ("reduce", "reduce-lr"),
                        ("wait", "reduce-lr-patience"), ("cooldown", "cooldown"), ("least", "min-lr")):
        if key in case:
            options += ["--" + option, str(case[key])]
    if case.get("best"):
        options += ["--restore-best"]
    if case.get("save"):
        options += ["--save-best", folder + "/best.h5"]
    return options


def train(lockstep, folder, options, output, ranks=1):
    command = common.on_ranks(ranks) + [lockstep, "train", folder + "/data.h5", "--init", folder + "/init.h5", "--verbose", "0",
                                         "--history", folder + "/history.csv", "-o", output] + options
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit("%s\n%s" % (" ".join(command), result.stderr))
    with open(folder + "/history.csv") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name not in ("seconds", "samples_per_second")}


def compare(lockstep, name, case, model, weights, x, y, folder):
    theirs, final, best = fit(model, weights, x, y, case, folder)
    options = options_of(case, folder)
    ours = train(lockstep, folder, options, folder + "/model.h5")
    epochs = len(theirs["loss"])
    check(name + ": epochs", len(ours["loss"]) == epochs, "%d, Keras %d" % (len(ours["loss"]), epochs))
    if len(ours["loss"]) != epochs:
        return
    for measure in theirs:
        # Keras' quotients of counts are float32.
        bound = 1e-6 if measure.split("_", 1)[-1] in ("binary_accuracy", "accuracy", "precision", "recall") else BOUND
        bound = 1e-6 if measure in ("binary_accuracy", "precision", "recall") else bound
        worst = np.max(np.abs(np.array(ours[measure]) - theirs[measure]))
        check("%s: %s" % (name, measure), worst <= bound, "differs by %.1e" % worst)
    check(name + ": weights", error(read_weights(folder + "/model.h5"), final) <= BOUND,
          "error %.1e" % error(read_weights(folder + "/model.h5"), final))
    if case.get("save"):
        worst = error(read_weights(folder + "/best.h5"), best)
        check(name + ": best weights", worst <= BOUND, "error %.1e" % worst)
    print("%-28s %2d epochs" % (name, epochs), flush=True)


def predict(lockstep, folder, model):
    subprocess.run([lockstep, "predict", folder + "/" + model, folder + "/data.h5", "-o", folder + "/p.h5", "--verbose", "0"],
                   check=True, capture_output=True)
    with h5py.File(folder + "/p.h5") as file:
        return file["train/y_pred"][...]


def compare_normalization(lockstep, x, y, folder):
    """Columns of very different sizes, one far from 0, one that never changes."""
    from sklearn.preprocessing import StandardScaler
    scaled = np.c_[x * [1e-3, 1, 1e5, 10, 1] + [5, 0, -1e6, 1e7, 0.25], np.full(len(x), 0.1)]
    with h5py.File(folder + "/data.h5", "w") as file:
        file["train/X"] = scaled
        file["train/y"] = y.astype("u1")
    layer = keras.layers.Normalization()
    layer.adapt(scaled)
    model = keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(4, activation="tanh"),
                              keras.layers.Dense(1, activation="sigmoid")])
    model.save(folder + "/init.h5")
    model.compile(optimizer=keras.optimizers.SGD(0.3), loss="binary_crossentropy", metrics=["binary_accuracy"])
    check("normalization of Keras' file", np.max(np.abs(predict(lockstep, folder, "init.h5")
                                                         - model.predict(scaled, verbose=0))) < 1e-12)
    # Keras trains on what its layer makes of the rows; ours on what --normalize finds out.
    model.fit(scaled, y[:, None], batch_size=16, epochs=5, shuffle=False, verbose=0)
    options = ["--epochs", "5", "--learning-rate", "0.3", "--batch-size", "16", "--shuffle", "none"]
    train(lockstep, folder, options + ["--normalize"], folder + "/ours.weights.h5")
    bits = open(folder + "/ours.weights.h5", "rb").read()
    train(lockstep, folder, options + ["--normalize"], folder + "/again.h5", ranks=3)
    check("normalization on 3 ranks: the bits of 1 rank", open(folder + "/again.h5", "rb").read() == bits)
    train(lockstep, folder, options, folder + "/kept.h5")  # the statistics of Keras' layer stay
    check("normalization: trained with Keras' statistics",
          error(read_weights(folder + "/kept.h5")[3:], model.get_weights()[3:]) < 1e-9)
    ours = keras.models.load_model(folder + "/ours.weights.h5")
    mean, variance = (np.array(w) for w in ours.get_weights()[:2])
    scaler = StandardScaler().fit(scaled)
    check("normalization: mean", np.allclose(mean, scaler.mean_, rtol=1e-14, atol=1e-16), "%s" % (mean / scaler.mean_ - 1))
    check("normalization: variance", np.allclose(variance, scaler.var_, rtol=1e-11, atol=1e-20),
          "%s" % (variance - scaler.var_))
    check("normalization: a constant feature", mean[5] == 0.1 and variance[5] == 0)
    # The mean of 1e7 has another last digit in each of them.
    check("normalization: trained", error(ours.get_weights()[3:], model.get_weights()[3:]) < 1e-6,
          "%.1e" % error(ours.get_weights()[3:], model.get_weights()[3:]))
    theirs = ours.predict(scaled, verbose=0)
    check("normalization: prediction of our file by Keras",
          np.max(np.abs(theirs - predict(lockstep, folder, "ours.weights.h5"))) < 1e-12)
    fresh = keras.models.clone_model(model)
    fresh.load_weights(folder + "/ours.weights.h5")
    check("normalization: our weights in Keras' model", np.array_equal(fresh.predict(scaled, verbose=0), theirs))
    given = keras.Sequential([keras.Input((6,)), keras.layers.Normalization(mean=mean.tolist(), variance=variance.tolist()),
                              *ours.layers[1:]])
    given.save(folder + "/given.h5")
    check("normalization: statistics in the configuration",
          np.max(np.abs(predict(lockstep, folder, "given.h5") - theirs)) < 1e-12)


def main(lockstep):
    keras.utils.set_random_seed(3)
    x, y = make_rows()
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(folder + "/data.h5", "w") as file:
            file["train/X"] = x
            file["train/y"] = y.astype("u1")
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(6, activation="tanh"),
                                  keras.layers.Dense(1, activation="sigmoid")])
        model.save(folder + "/init.h5")
        weights = model.get_weights()
        for name, case in CASES.items():
            compare(lockstep, name, case, model, weights, x, y, folder)
        compare_normalization(lockstep, x, y, folder)
    common.finish()


if __name__ == "__main__":
    main(sys.argv[1])
