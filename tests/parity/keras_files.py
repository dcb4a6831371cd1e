#!/usr/bin/env python3
"""Model files exchanged with the real Keras, in both directions.

usage: keras_files.py LOCKSTEP      (the Python that runs it must have keras, tensorflow, h5py)

Ours: load_model, load_weights by both file names, load_model + optimizer.build + load_weights, more training; the
predictions and measures of Keras must be those of the command. Keras': files as Keras 2 and 3 and h5py lay them out
(names, shapes, dtypes, strings, compression, byte order) must predict the same; what we would compute otherwise
must be refused with exit code 3 and be named. Predictions agree within 1e-6 (float32) and 1e-12 (float64).
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import h5py
import numpy as np

import common
from common import check

ARCHITECTURES = [((), "tanh", 3), ((2, 2), "tanh", 2), ((7, 5), "relu", 9), ((4, 3, 2), "sigmoid", 5), ((6,), "linear", 1),
                 ((64, 4, 2, 4, 64), "tanh", 2)]
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
RATE, ROWS, BATCH = 0.01, 320, 8


def near(name, found, expected, tolerance):
    found, expected = np.asarray(found, "f8"), np.asarray(expected, "f8")
    error = np.abs(found - expected).max() if found.shape == expected.shape else np.inf
    check(name, error <= tolerance, f"difference {error:.2e}, allowed {tolerance:.0e}")


def run(*arguments, status=0):
    """Runs the command; returns its output, or with an expected failure its message."""
    done = subprocess.run([LOCKSTEP, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != status:
        check(f"exit code of {' '.join(map(str, arguments))}", False, f"{done.returncode}, not {status}: {done.stderr}")
    return done.stderr if status else done.stdout


def make_data(path, features, dtype):
    r = np.random.default_rng(features)
    sets = {}
    with h5py.File(path, "w") as f:
        for name, rows in (("train", ROWS), ("test", 111)):
            x = r.normal(size=(rows, features)).astype(dtype)
            y = (x.sum(1) + r.normal(size=rows) > 0.3).astype("u1")
            f[f"{name}/X"], f[f"{name}/y"] = x, y
            sets[name] = x, y.reshape(-1, 1).astype(dtype)
    return sets


def our_predictions(model, data, folder):
    output = f"{folder}/predictions.h5"
    run("predict", model, data, "-o", output)
    with h5py.File(output) as f:
        return {name: f[name]["y_pred"][()] for name in ("train", "test")}


def compare_predictions(name, keras_model, file, data, sets, folder, dtype):
    ours = our_predictions(file, data, folder)
    for part, (x, _) in sets.items():
        near(f"{name}: predictions of {part}", ours[part], keras_model.predict(x, verbose=0), TOLERANCE[dtype])


def plain(hidden, activation, features, names=False):
    """The same network, built by hand in Keras."""
    layers = [keras.Input((features,))]
    for i, units in enumerate(hidden):
        layers.append(keras.layers.Dense(units, activation, name=f"hidden.{i}-x" if names else None))
    layers.append(keras.layers.Dense(1, "sigmoid", name="Ausgang" if names else None))
    return keras.Sequential(layers)


def same_weights(name, model, expected):
    for i, (a, b) in enumerate(zip(model.get_weights(), expected, strict=True)):
        check(f"{name}: weight {i}", a.dtype == b.dtype and np.array_equal(a, b))


def ours_in_keras(hidden, activation, features, dtype, folder):
    tag = f"ours {dtype} {hidden} {activation}"
    data, file, other = f"{folder}/data.h5", f"{folder}/model.weights.h5", f"{folder}/model.h5"
    sets = make_data(data, features, dtype)
    run("train", data, "-o", file, "--hidden", ",".join(map(str, hidden)), "--activation", activation, "--epochs", 1,
        "--batch-size", BATCH, "--learning-rate", RATE, "--seed", 3, "--dtype", dtype, "--verbose", 0)
    shutil.copy(file, other)

    model = keras.models.load_model(file)
    weights = model.get_weights()
    check(f"{tag}: layers", [(l.units, l.activation.__name__, l.kernel.dtype) for l in model.layers] ==
          [(u, activation, dtype) for u in hidden] + [(1, "sigmoid", dtype)])
    check(f"{tag}: names", [l.name for l in model.layers] == ["dense"] + [f"dense_{i + 1}" for i in range(len(hidden))])
    check(f"{tag}: optimizer", type(model.optimizer).__name__ == "SGD" and model.optimizer.momentum == 0)
    near(f"{tag}: learning rate", float(model.optimizer.learning_rate.numpy()), RATE, 1e-9)
    compare_predictions(tag, model, file, data, sets, folder, dtype)
    measures = json.loads(run("evaluate", file, data, "--json"))
    for part, (x, y) in sets.items():
        found = model.evaluate(x, y, verbose=0, return_dict=True)
        check(f"{tag}: measures", set(found) == {"loss", "binary_accuracy", "precision", "recall"}, found)
        for key, value in found.items():
            near(f"{tag}: {key} of {part}", measures[part][key], value, 2e-6)

    with h5py.File(file) as f:  # one copy of every array, under both names
        for i in range(len(hidden) + 1):
            layer = "dense" + (f"_{i}" if i else "")
            check(f"{tag}: hard links", f[f"layers/{layer}/vars/0"] == f[f"model_weights/{layer}/{layer}/kernel"] and
                  f[f"layers/{layer}/vars/1"] == f[f"model_weights/{layer}/{layer}/bias"])
    for path in (file, other):
        fresh = plain(hidden, activation, features, names=True)
        fresh.load_weights(path)
        same_weights(f"{tag}: load_weights({os.path.basename(path)})", fresh, weights)

    model = keras.models.load_model(other)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(file)
    same_weights(f"{tag}: load_model and load_weights", model, weights)
    check(f"{tag}: iterations", int(model.optimizer.iterations.numpy()) == ROWS // BATCH, model.optimizer.iterations)
    x, y = sets["train"]
    losses = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0).history["loss"]
    check(f"{tag}: fit goes on", np.isfinite(losses).all() and losses[1] < losses[0] + 1e-3 and
          all((a != b).any() for a, b in zip(model.get_weights()[:2], weights)), losses)

    model.save(f"{folder}/back.h5")  # and back again
    compare_predictions(f"{tag}, saved by Keras", model, f"{folder}/back.h5", data, sets, folder, dtype)


def keras_in_ours(hidden, activation, features, dtype, folder):
    data = f"{folder}/data.h5"
    sets = make_data(data, features, dtype)
    x, y = sets["train"]
    schedules = keras.optimizers.schedules
    optimizers = {"not compiled": None, "SGD": keras.optimizers.SGD(0.1), "momentum": keras.optimizers.SGD(0.05, momentum=0.9),
                  "Adam": "adam", "schedule": keras.optimizers.SGD(schedules.ExponentialDecay(0.1, 9, 0.9)),
                  "piecewise": keras.optimizers.Adam(schedules.PiecewiseConstantDecay([2, 5], [0.1, 0.01, 0.03]))}
    for name, optimizer in optimizers.items():
        if optimizer and name != "SGD" and hidden != (2, 2):
            continue  # what is compiled does not depend on the layers
        tag = f"Keras' {dtype} {hidden} {activation} {name}"
        model = plain(hidden, activation, features, names=True)
        for layer in model.layers:
            layer.bias.assign(np.random.default_rng(5).normal(size=layer.bias.shape) / 5)
        if optimizer:
            model.compile(optimizer, keras.losses.BinaryCrossentropy(), metrics=["accuracy", keras.metrics.Precision()])
            model.fit(x, y, batch_size=32, verbose=0)
        model.save(f"{folder}/keras.h5")
        compare_predictions(tag, model, f"{folder}/keras.h5", data, sets, folder, dtype)
        if name == "piecewise":
            run("train", data, "--init", f"{folder}/keras.h5", "--optimizer", "adam", "--schedule", name, "--boundaries", "2,5",
                       "--factors", "0.1,0.3", "--learning-rate", 0.1, "-o", f"{folder}/next.h5", "--epochs", 1, "--verbose", 0)
            with h5py.File(f"{folder}/next.h5") as file:
                steps = int(file["optimizer/vars/0"][()])
            check(f"{tag}: the optimizer goes on", steps == 2 * -(-len(x) // 32), steps)
            config = keras.models.load_model(f"{folder}/next.h5").optimizer.get_config()["learning_rate"]["config"]
            back = config["boundaries"] == [2, 5] and np.allclose(config["values"], [0.1, 0.01, 0.03], rtol=1e-12)
            check(f"{tag}: the schedule comes back", back, config)

    # From Keras into ours and back: the layers keep their names, the new-style groups are numbered.
    run("train", data, "--init", f"{folder}/keras.h5", "-o", f"{folder}/next.weights.h5", "--epochs", 1, "--verbose", 0)
    loaded = keras.models.load_model(f"{folder}/next.weights.h5")
    tag = f"--init {dtype} {hidden} {activation}"
    check(f"{tag}: names", [l.name for l in loaded.layers] == [l.name for l in model.layers])
    fresh = plain(hidden, activation, features)
    fresh.load_weights(f"{folder}/next.weights.h5")
    same_weights(f"{tag}: load_weights", fresh, loaded.get_weights())
    compare_predictions(tag, loaded, f"{folder}/next.weights.h5", data, sets, folder, dtype)


def put_strings(holder, name, value, kind):
    """An attribute with a string or a list of strings, stored as kind says."""
    many = not isinstance(value, str)
    texts = [v.encode() for v in (value if many else [value])]
    if kind.startswith("variable"):
        attribute = h5py.string_dtype("utf-8" if kind.endswith("utf-8") else "ascii")
        holder.attrs.create(name, np.array(texts, object) if many else texts[0], dtype=attribute)
        return
    size = max(map(len, texts)) + (2 if kind.startswith("space") else 1)
    kind_of = h5py.h5t.C_S1.copy()
    kind_of.set_size(size)
    kind_of.set_strpad({"null-terminated": h5py.h5t.STR_NULLTERM, "null-padded": h5py.h5t.STR_NULLPAD,
                        "space-padded": h5py.h5t.STR_SPACEPAD}[kind])
    space = h5py.h5s.create_simple((len(texts),)) if many else h5py.h5s.create(h5py.h5s.SCALAR)
    attribute = h5py.h5a.create(holder.id, name.encode(), kind_of, space)
    fill = b" " if kind.startswith("space") else b"\0"
    attribute.write(np.array([t.ljust(size, fill) for t in texts], f"S{size}"), mtype=kind_of)


def write_layout(path, model, strings="variable", split=False, config=None, training=None, dataset=None,
                 value_type=None, weight_path="{name}/{kind}:0", at_root=False):
    """model as a full-model HDF5 file in another layout than the installed Keras would choose."""
    with h5py.File(path, "w") as f:
        put_strings(f, "model_config", json.dumps(config or {"class_name": "Sequential", "config": json_config(model)}), strings)
        if training:
            put_strings(f, "training_config", json.dumps(training), strings)
        group = f if at_root else f.create_group("model_weights")
        names = [layer.name for layer in model.layers]
        parts = {f"layer_names{i}": [n] for i, n in enumerate(names)} if split else {"layer_names": names}
        for attribute, part in parts.items():
            put_strings(group, attribute, part, strings)
        for layer in model.layers:
            paths = [weight_path.format(name=layer.name, kind=kind) for kind in ("kernel", "bias")]
            put_strings(group.create_group(layer.name), "weight_names", paths, strings)
            for where, values in zip(paths, layer.get_weights()):
                group[layer.name].create_dataset(where, data=values.astype(value_type or values.dtype), **(dataset or {}))


def json_config(model, shape="batch_input_shape", dtype=lambda d: d, activation=lambda a: a):
    """model_config as Keras 2 writes it."""
    features = model.layers[0].kernel.shape[0]
    layers = [{"class_name": "InputLayer", "config": {shape: [None, features], "dtype": "float32", "sparse": False,
                                                      "ragged": False, "name": "dense_input"}}]
    for layer in model.layers:
        layers.append({"class_name": "Dense", "config": {
            "name": layer.name, "trainable": True, "dtype": dtype(layer.kernel.dtype), "units": layer.units,
            "activation": activation(layer.activation.__name__), "use_bias": True, "kernel_constraint": None}})
    return {"name": "sequential", "layers": layers}


def layouts_in_ours(dtype, folder):
    data, file = f"{folder}/data.h5", f"{folder}/layout.h5"
    sets = make_data(data, 4, dtype)
    model = plain((5, 3), "relu", 4)

    def sequential(**options):
        return {"class_name": "Sequential", "config": json_config(model, **options)}

    def without_input(**config):
        layers = json_config(model)["layers"][1:]
        layers[0]["config"].update(config)
        return layers

    policy = {"class_name": "Policy", "config": {"name": dtype}}
    sgd = {"class_name": "Custom>SGD", "config": {"learning_rate": 0.10000000149011612}}
    layouts = {
        "null-terminated strings": dict(strings="null-terminated"), "null-padded strings": dict(strings="null-padded"),
        "space-padded strings": dict(strings="space-padded"), "UTF-8 strings": dict(strings="variable utf-8"),
        "split names": dict(split=True), "flat weights": dict(weight_path="{kind}"),
        "deep weights": dict(weight_path="sequential_7/{name}/a/{kind}"), "weights at the root": dict(at_root=True),
        "big-endian": dict(value_type=">f4" if dtype == "float32" else ">f8"),
        "compressed": dict(dataset=dict(compression="gzip", shuffle=True, fletcher32=True)),
        "chunked": dict(dataset=dict(chunks=True, maxshape=None)),
        "batch_shape": dict(config=sequential(shape="batch_shape")),
        "dtype policy": dict(config=sequential(dtype=lambda d: policy)),
        "functions": dict(config=sequential(activation=lambda a: {"class_name": "function", "config": a})),
        "no input layer": dict(config={"class_name": "Sequential", "config": {"layers": without_input()}}),
        "shape in the first layer": dict(config={"class_name": "Sequential", "config": {
            "layers": without_input(batch_input_shape=[None, 4])}}),
        "build_input_shape": dict(config={"class_name": "Sequential", "config": {
            "layers": without_input(), "build_input_shape": [None, 4]}}),
        "list of layers": dict(config={"class_name": "Sequential", "config": without_input()}),
        "Keras 2 compiled": dict(training={"loss": {"class_name": "BinaryCrossentropy", "config": {
            "reduction": "auto", "name": "binary_crossentropy", "from_logits": False}}, "loss_weights": None,
            "metrics": [[{"class_name": "MeanMetricWrapper", "config": {}}]], "optimizer_config": sgd}),
    }
    if dtype == "float32":
        layouts["float64 values"] = dict(value_type="f8")
        layouts["no dtype"] = dict(config=sequential(dtype=lambda d: None))
    else:  # only what has to do with the type of the values
        layouts = {name: layouts[name] for name in ("big-endian", "compressed", "dtype policy")}
    for name, options in layouts.items():
        write_layout(file, model, **options)
        compare_predictions(f"layout {dtype}: {name}", model, file, data, sets, folder, dtype)


def refused(folder):
    """What Keras can save and we would compute otherwise."""
    data, file = f"{folder}/data.h5", f"{folder}/refused.h5"
    make_data(data, 4, "float32")
    dense = keras.layers.Dense

    def out():
        return dense(1, "sigmoid", name="out")

    cases = [("layer drop: Dropout of the inputs", [keras.layers.Dropout(0.2, name="drop"), out()]),
             ("has the class BatchNormalization", [dense(3, name="a"), keras.layers.BatchNormalization(), out()]),
             ("layer a: activation silu", [dense(3, "silu", name="a"), out()]),
             ("layer a: use_bias is false", [dense(3, use_bias=False, name="a"), out()]),
             ("layer a: kernel_regularizer (OrthogonalRegularizer)",
              [dense(3, kernel_regularizer=keras.regularizers.OrthogonalRegularizer(), name="a"), out()]),
             ("layer a: bias_constraint (NonNeg)", [dense(3, bias_constraint="non_neg", name="a"), out()]),
             ("layer a: dtype mixed_float16", [dense(3, dtype="mixed_float16", name="a"), out()]),
             ("layer a: trainable is false", [dense(3, trainable=False, name="a"), out()]),
             ("Dense layer 1 is softmax: only the output layer can be", [dense(3, "softmax", name="a"), out()]),
             ("1 softmax unit", [dense(1, "softmax")])]
    for message, layers in cases:
        keras.Sequential([keras.Input((4,)), *layers]).save(file)
        text = run("predict", file, data, "-o", f"{folder}/none.h5", status=3)
        check(f"refused: {message}", message in text and "refused.h5" in text, text)
    inputs = keras.Input((4,))
    keras.Model(inputs, out()(inputs)).save(file)
    check("refused: Functional", "Functional" in run("evaluate", file, data, status=3))
    model = keras.Sequential([keras.Input((4,)), out()])
    model.compile("sgd", "mean_squared_logarithmic_error")
    model.save(file)
    check("refused: loss", "mean_squared_logarithmic_error" in (text := run("evaluate", file, data, status=3)), text)
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    model.save(file)
    check("refused: logits", "from_logits" in run("evaluate", file, data, status=3))
    model.save_weights(f"{folder}/only.weights.h5")
    text = run("evaluate", f"{folder}/only.weights.h5", data, status=3)
    check("refused: weights alone", "save the whole model" in text, text)
    model.save(f"{folder}/model.keras")
    check("refused: .keras", "zip archive" in run("evaluate", f"{folder}/model.keras", data, status=3))
    check("refused: data", "not a Keras model file" in run("evaluate", data, data, status=3))
    model.get_layer("out").bias.assign([np.nan])
    model.compile("sgd", "binary_crossentropy")
    model.save(file)
    check("refused: NaN", "out: bias[0] is nan" in run("evaluate", file, data, status=3))


def worker(dtype):
    with tempfile.TemporaryDirectory() as folder:
        for hidden, activation, features in ARCHITECTURES:
            keras.utils.clear_session()
            ours_in_keras(hidden, activation, features, dtype, folder)
            keras.utils.clear_session()
            keras_in_ours(hidden, activation, features, dtype, folder)
        layouts_in_ours(dtype, folder)
        if dtype == "float32":
            refused(folder)


if __name__ == "__main__":
    LOCKSTEP = os.path.abspath(sys.argv[1])
    if len(sys.argv) == 2:  # set_floatx must come first in a process
        codes = [subprocess.run([sys.executable, __file__, LOCKSTEP, dtype]).returncode for dtype in TOLERANCE]
        sys.exit(any(codes))
    keras = common.start_keras(sys.argv[2])
    warnings.simplefilter("error", UserWarning)  # Keras only warns when it skips an optimizer's state
    worker(sys.argv[2])
    common.finish(f"{sys.argv[2]}: ")
