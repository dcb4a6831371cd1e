#!/usr/bin/env python3
"""Optimizers, clipping, schedules and penalties against the real Keras, in float64, and their state in files.

usage: keras_optimizers.py LOCKSTEP      (the Python that runs it must have keras, tensorflow, h5py)

Each case trains from the same weights with the same batches in Keras and by the command: weights, slots and the losses
of the epochs agree within 1e-12. Then Keras goes on from our file and we go on from Keras' file, one more epoch each:
both must end where an uninterrupted training ends. Keras computes schedules in float32 unless their numbers are NumPy's.
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

BOUND, ROWS, BATCH, EPOCHS, FEATURES, UNITS = 1e-12, 76, 8, 2, 3, (4, 3)
STEPS = -(-ROWS // BATCH)
worst = 0.0


def near(name, found, expected, bound=BOUND):
    global worst
    found, expected = [np.asarray(a, "f8") for a in found], [np.asarray(a, "f8") for a in expected]
    if [a.shape for a in found] != [a.shape for a in expected]:
        return check(name + ": shapes", False, f"{[a.shape for a in found]}, Keras {[a.shape for a in expected]}")
    error = max((np.abs(a - b).max() / max(1, np.abs(b).max()) for a, b in zip(found, expected)), default=0)
    worst = max(worst, error) if bound == BOUND else worst
    check(name, error <= bound, f"error {error:.1e}")


def make_cases(optimizers, schedules):
    """Name, options of the command, Keras' optimizer, (l1, l2)."""
    n = np.float64
    return [
        ("sgd", "", optimizers.SGD, None),
        ("momentum", "--momentum 0.9", lambda: optimizers.SGD(momentum=0.9), None),
        ("nesterov", "--momentum 0.8 --nesterov", lambda: optimizers.SGD(momentum=0.8, nesterov=True), None),
        ("rmsprop", "--optimizer rmsprop", optimizers.RMSprop, None),
        ("rmsprop with all", "--optimizer rmsprop --centered --momentum 0.5 --epsilon 1e-5",
         lambda: optimizers.RMSprop(momentum=0.5, centered=True, epsilon=1e-5), None),
        ("adagrad", "--optimizer adagrad --learning-rate 0.01", lambda: optimizers.Adagrad(0.01), None),
        ("adam", "--optimizer adam", optimizers.Adam, None),
        ("adam otherwise", "--optimizer adam --beta-1 0.8 --beta-2 0.99 --epsilon 1e-6 --learning-rate 0.02",
         lambda: optimizers.Adam(0.02, beta_1=0.8, beta_2=0.99, epsilon=1e-6), None),
        ("adamw", "--optimizer adamw", optimizers.AdamW, None),
        ("weight decay of sgd", "--momentum 0.9 --weight-decay 0.1", lambda: optimizers.SGD(momentum=0.9, weight_decay=0.1),
         None),
        ("clipnorm", "--optimizer adam --clipnorm 0.1", lambda: optimizers.Adam(clipnorm=0.1), None),
        ("global_clipnorm", "--global-clipnorm 0.2", lambda: optimizers.SGD(global_clipnorm=0.2), None),
        ("clipvalue", "--optimizer rmsprop --clipvalue 0.05", lambda: optimizers.RMSprop(clipvalue=0.05), None),
        ("l2", "--optimizer adam --l2 0.01", optimizers.Adam, (0, 0.01)),
        ("l1, l2 and clipnorm", "--momentum 0.9 --l1 0.002 --l2 0.02 --clipnorm 0.1",
         lambda: optimizers.SGD(momentum=0.9, clipnorm=0.1), (0.002, 0.02)),
        ("step", "--schedule step --decay-steps 7 --decay-rate 0.5 --learning-rate 0.1",
         lambda: optimizers.SGD(schedules.ExponentialDecay(n(0.1), 7, n(0.5), staircase=True)), None),
        ("exponential", "--optimizer adam --schedule exponential --decay-steps 20 --decay-rate 0.9",
         lambda: optimizers.Adam(schedules.ExponentialDecay(n(0.001), 20, n(0.9))), None),
        ("cosine", "--momentum 0.9 --schedule cosine --decay-steps 22 --alpha 0.1",
         lambda: optimizers.SGD(schedules.CosineDecay(n(0.01), 22, alpha=0.1), momentum=0.9), None),
        ("piecewise", "--optimizer adam --schedule piecewise --boundaries 5,9,16 --factors 0.5,2,0.125 --learning-rate 0.004",
         lambda: optimizers.Adam(schedules.PiecewiseConstantDecay([5, 9, 16], [n(0.004), n(0.002), n(0.008), n(0.0005)])),
         None),
        ("cosine after a warm-up", "--optimizer adamw --schedule cosine --decay-steps 12 --warmup-steps 7",
         lambda: optimizers.AdamW(schedules.CosineDecay(n(0), 12, warmup_target=n(0.001), warmup_steps=7)), None),
    ]


def build(keras, optimizer, penalty):
    kernel = (lambda: keras.regularizers.L1L2(*penalty)) if penalty else lambda: None
    model = keras.Sequential([keras.Input((FEATURES,))] +
                             [keras.layers.Dense(u, "tanh", kernel_regularizer=kernel()) for u in UNITS] +
                             [keras.layers.Dense(1, "sigmoid", kernel_regularizer=kernel())])
    model.compile(optimizer=optimizer(), loss=keras.losses.BinaryCrossentropy())
    return model


def fit(model, x, y, epochs):
    """Keras' fit without shuffling, as short as it gets; returns the mean loss of each epoch."""
    import tensorflow
    means = []
    for _ in range(epochs):
        total = 0.0
        for begin in range(0, ROWS, BATCH):
            rows = slice(begin, min(begin + BATCH, ROWS))
            with tensorflow.GradientTape() as tape:
                loss = model.loss(y[rows], model(x[rows]))
                for penalty in model.losses:
                    loss += penalty
            model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            total += float(loss) * (rows.stop - rows.start)
        means.append(total / ROWS)
    return means


def slots(model):
    return [v.numpy() for v in model.optimizer.variables if v.name.split("/")[-1] not in ("iteration", "learning_rate")]


def read_ours(path):
    with h5py.File(path) as f:
        weights = [f["model_weights"][layer][name][()] for layer in f["model_weights"].attrs["layer_names"]
                   for name in f["model_weights"][layer].attrs["weight_names"]]
        state = f["optimizer/vars"]
        arrays = [state[str(i)][()] for i in range(len(state))]
    return weights, int(arrays[0]), [a for a in arrays[1:] if np.ndim(a)]


def train(lockstep, *arguments, ranks=0):
    done = subprocess.run([*common.on_ranks(ranks), lockstep, "train", *map(str, arguments), "--verbose", "0"],
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr}")
    return done.stderr


def compare(keras, lockstep, folder, case, x, y):
    name, options, optimizer, penalty = case
    options = options.split()
    names = {n: f"{folder}/{n}" for n in ("data.h5", "init.h5", "ours.h5", "ours.weights.h5", "keras.h5", "on.h5", "h.csv")}
    settings = [names["data.h5"], "--batch-size", BATCH, "--shuffle", "none"]
    # The schedules' numbers are NumPy's, which Keras cannot write into a file.
    writes = "--schedule" not in options
    keras.utils.set_random_seed(5)
    plain = build(keras, keras.optimizers.SGD, penalty)
    plain.save(names["init.h5"])
    model = build(keras, optimizer, penalty)
    model.set_weights(plain.get_weights())
    losses = fit(model, x, y, EPOCHS)
    report = train(lockstep, *settings, "--init", names["init.h5"], *options, "--epochs", EPOCHS, "-o", names["ours.h5"],
                   "--history", names["h.csv"])
    check(f"{name}: nothing to go on with", "goes on" not in report, report)
    weights, iterations, state = read_ours(names["ours.h5"])
    near(f"{name}: weights", weights, model.get_weights())
    near(f"{name}: slots", state, slots(model))
    check(f"{name}: iterations", iterations == EPOCHS * STEPS, iterations)
    lines = [line.split(",") for line in open(names["h.csv"]).read().split()]
    column = lines[0].index("loss")
    near(f"{name}: losses", [[float(line[column]) for line in lines[1:]]], [losses])
    if penalty:
        measures = subprocess.run([lockstep, "evaluate", names["ours.h5"], names["data.h5"], "--json"], check=True,
                                  capture_output=True, text=True).stdout
        near(f"{name}: evaluate", [json.loads(measures)["train"]["loss"]],
             [model.evaluate(x, y, batch_size=ROWS, verbose=0)], 1e-7)

    # Keras goes on with our file.
    loaded = keras.models.load_model(names["ours.h5"])
    loaded.optimizer.build(loaded.trainable_variables)
    os.rename(names["ours.h5"], names["ours.weights.h5"])
    loaded.load_weights(names["ours.weights.h5"])
    near(f"{name}: our weights in Keras", loaded.get_weights(), weights, 0)
    near(f"{name}: our slots in Keras", slots(loaded), state, 0)
    check(f"{name}: our optimizer in Keras", int(loaded.optimizer.iterations.numpy()) == iterations)
    theirs, ours_config = model.optimizer.get_config(), loaded.optimizer.get_config()
    for key in set(theirs) - {"name"} - (set() if writes else {"learning_rate"}):
        check(f"{name}: {key}", ours_config[key] == theirs[key], f"{ours_config[key]}, Keras {theirs[key]}")
    loaded.loss = model.loss
    if writes:
        model.save(names["keras.h5"])
    fit(model, x, y, 1)
    fit(loaded, x, y, 1)
    near(f"{name}: Keras after us", loaded.get_weights(), model.get_weights(), BOUND if writes else 1e-8)
    # We go on with ours, on any number of ranks, and with Keras'.
    runs = [("ours.weights.h5", 0)] + [("ours.weights.h5", 3)] * ("norm" in name) + [("keras.h5", 0)] * writes
    for file, ranks in runs:
        report = train(lockstep, *settings, "--init", names[file], *options, "--epochs", 1, "-o", names["on.h5"], ranks=ranks)
        check(f"{name}: says that it goes on with {file}", f"goes on with its state after {iterations} steps" in report, report)
        again = read_ours(names["on.h5"])
        near(f"{name}: we after {file}", again[0], model.get_weights())
        near(f"{name}: slots after {file}", again[2], slots(model))
        check(f"{name}: iterations after {file}", again[1] == (EPOCHS + 1) * STEPS)
        if ranks:
            check(f"{name}: bits of {ranks} ranks", open(names["on.h5"], "rb").read() == alone)
        alone = open(names["on.h5"], "rb").read()
    return weights


def main():
    keras = common.start_keras("float64")
    lockstep = os.path.abspath(sys.argv[1])
    r = np.random.default_rng(3)
    x = r.normal(size=(ROWS, FEATURES))
    y = (x.sum(1) + r.normal(size=ROWS) > 0.2).astype("f8")[:, None]
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(folder + "/data.h5", "w") as f:
            f["train/X"], f["train/y"] = x, y[:, 0].astype("u1")
        found = [compare(keras, lockstep, folder, case, x, y)
                 for case in make_cases(keras.optimizers, keras.optimizers.schedules)]
    # No option may be without effect.
    for i, a in enumerate(found):
        check("cases differ", all(max(np.abs(u - v).max() for u, v in zip(a, b)) > 1e-9 for b in found[:i]), i)
    common.finish("%d cases, largest error %.1e: " % (len(found), worst))


main()
