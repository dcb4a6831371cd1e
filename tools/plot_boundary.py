#!/usr/bin/python3
"""Draws labelled data of two features and the class that a model gives to every point of the plane.

    tools/plot_boundary.py model.h5 data.h5 -o boundary.png

The model is a Keras HDF5 file of dense layers with one sigmoid output, from lockstep or from Keras; the data are
/train/X and /train/y of an HDF5 file, and /test/X and /test/y if it has them. The two features are the axes. A point
belongs to class 1 where the output is >= 0.5, as in the notebook's predict_class.
"""
import argparse
import json
import sys

import h5py
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

LIMIT = 6
CLASS_COLOURS = ("C0", "C1")


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


ACTIVATIONS = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": sigmoid,
}


class InputError(Exception):
    """What is wrong with a file, in one line."""


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def open_hdf5(path):
    try:
        with open(path, "rb"):
            pass
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'not an HDF5 file'}") from None


def read_model(path):
    """The layers of a Keras model file, in order: (kernel [inputs][units], bias [units], activation)."""
    with open_hdf5(path) as file:
        try:
            configs = [
                layer["config"]
                for layer in json.loads(text(file.attrs["model_config"]))["config"]["layers"]
                if layer["class_name"] != "InputLayer"
            ]
            groups = file["model_weights"]
            weights = []
            for name in groups.attrs["layer_names"]:
                group = groups[text(name)]
                arrays = [np.asarray(group[text(weight)], float) for weight in group.attrs["weight_names"]]
                if arrays:
                    weights.append(arrays)
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: not a Keras model file: {error}") from None
    layers = []
    if not weights or len(weights) != len(configs):
        raise InputError(f"{path}: weights for {len(weights)} of {len(configs)} layers: can draw dense layers only")
    n_inputs = 2
    for config, arrays in zip(configs, weights):
        name = config.get("name", "dense")
        activation = config.get("activation", "linear")
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise InputError(f"{path}: layer {name}: activation {activation}: can draw {' '.join(ACTIVATIONS)}")
        shapes = [array.shape for array in arrays]
        if len(shapes) != 2 or len(shapes[0]) != 2 or shapes[1] != shapes[0][1:]:
            raise InputError(f"{path}: layer {name}: arrays of shapes {shapes}: expected a kernel and a bias")
        if not layers and shapes[0][0] != 2:
            raise InputError(f"{path}: the model has {shapes[0][0]} features: the picture needs 2")
        if shapes[0][0] != n_inputs:
            raise InputError(f"{path}: layer {name}: a kernel of {shapes[0][0]} inputs after {n_inputs} units")
        n_inputs = shapes[0][1]
        layers.append((*arrays, activation))
    if n_inputs != 1:
        raise InputError(f"{path}: the model has {n_inputs} outputs: the picture needs 1")
    return layers


def predict(layers, x):
    """The model's output for the rows of x."""
    for kernel, bias, activation in layers:
        x = ACTIVATIONS[activation](x @ kernel + bias)
    return x[:, 0]


def read_sets(path):
    """The sets that the file has: (title, X [rows][2], y [rows])."""
    sets = []
    with open_hdf5(path) as file:
        for title, name in (("training", "train"), ("test", "test")):
            if f"{name}/X" not in file:
                continue
            if f"{name}/y" not in file:
                raise InputError(f"{path}: /{name}/y is missing")
            x, y = np.asarray(file[f"{name}/X"]), np.asarray(file[f"{name}/y"]).ravel()
            if x.ndim != 2 or x.shape[1] != 2:
                raise InputError(f"{path}: /{name}/X has the shape {x.shape}: the picture needs two features")
            if len(x) != len(y):
                raise InputError(f"{path}: /{name}: {len(x)} rows in X, {len(y)} in y")
            sets.append((title, x, y))
    if not sets:
        raise InputError(f"{path}: there is no /train/X or /test/X")
    return sets


def draw_panel(figure, axes, grid, outputs, title, x, y):
    classes = (outputs >= 0.5).astype(float)
    shades = axes.contourf(grid, grid, classes, levels=[-0.5, 0.5, 1.5], vmin=0, vmax=1, cmap="RdBu_r", alpha=0.55)
    for label, colour in enumerate(CLASS_COLOURS):
        points = x[y == label]
        axes.plot(points[:, 0], points[:, 1], colour + "o", ms=1, label=f"y = {label}")
    if classes.min() < classes.max():
        # The boundary once more, above the points that would hide it.
        axes.contour(grid, grid, outputs, levels=[0.5], colors="black", linewidths=1, zorder=3)
    bar = figure.colorbar(shades, ax=axes, ticks=[0, 1])
    bar.set_label("predicted class")
    axes.set_aspect("equal")
    axes.set_xlim(-LIMIT, LIMIT)
    axes.set_ylim(-LIMIT, LIMIT)
    axes.set_title(f"{title}: {x.shape}")
    axes.set_xlabel("feature 1")
    axes.set_ylabel("feature 2")
    axes.legend(loc="upper right", markerscale=5)


def draw(layers, sets, output):
    grid = np.linspace(-LIMIT, LIMIT, 241)
    first, second = np.meshgrid(grid, grid)
    outputs = predict(layers, np.column_stack([first.ravel(), second.ravel()])).reshape(first.shape)
    figure, panels = plt.subplots(1, len(sets), figsize=(6 * len(sets), 5), squeeze=False, constrained_layout=True)
    for axes, (title, x, y) in zip(panels[0], sets):
        draw_panel(figure, axes, grid, outputs, title, x, y)
    figure.savefig(output, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="Keras HDF5 model file")
    parser.add_argument("data", metavar="DATA", help="HDF5 file with /train/X and /train/y")
    parser.add_argument("-o", "--output", metavar="PICTURE", required=True, help="picture to write (.png, .pdf, .svg)")
    parser.error = lambda message: sys.exit(f"plot_boundary.py: {message}")
    arguments = parser.parse_args()
    try:
        layers, sets = read_model(arguments.model), read_sets(arguments.data)
        draw(layers, sets, arguments.output)
    except InputError as error:
        sys.exit(f"plot_boundary.py: {error}")
    except (OSError, ValueError) as error:
        # Only the picture's own name can still be wrong: its folder, or an ending that matplotlib does not know.
        sys.exit(f"plot_boundary.py: {arguments.output}: cannot be written: {error}")


if __name__ == "__main__":
    main()
