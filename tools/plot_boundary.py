#!/usr/bin/python3
"""Draws labelled data of two features and the class that a model gives to every point of the plane.

    tools/plot_boundary.py model.h5 data.h5 -o boundary.png

The model is a Keras HDF5 file of dense layers with one sigmoid output or several softmax outputs, from lockstep or from Keras;
the data are /train/X and /train/y of an HDF5 file, and /test/X and /test/y if it has them. The two features are the axes. A
point belongs to class 1 where the output is >= 0.5, as in the notebook's predict_class, or to the most probable of several.
"""
import argparse
import json
import math
import sys

import h5py
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

LIMIT = 6
N_COLOURS = 10  # "C0" to "C9"
EPSILON = 1e-7  # Keras'


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def softmax(z):
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


HIDDEN = {
    "linear": lambda z: z,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": sigmoid,
    "elu": elu,
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * elu(z)),
    "gelu": lambda z: 0.5 * z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
    "softplus": lambda z: np.logaddexp(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.2 * z),
}
OUTPUT = {"sigmoid": sigmoid, "softmax": softmax}


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


def read_arrays(path):
    """The configuration and the arrays of each layer that does something to the inputs, in order."""
    with open_hdf5(path) as file:
        try:
            layers = json.loads(text(file.attrs["model_config"]))["config"]["layers"]
            groups = file["model_weights"]
            found = []
            for layer in layers:
                if layer["class_name"] in ("InputLayer", "Dropout"):
                    continue
                group = groups[layer["config"]["name"]]
                found.append((layer["class_name"], layer["config"],
                              [np.asarray(group[text(name)], float) for name in group.attrs["weight_names"]]))
            return found
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: not a Keras model file: {error}") from None


def read_model(path):
    """The layers of a Keras model file, in order: (matrix [inputs][units], what is added [units], activation)."""
    layers, n_inputs, found = [], 2, read_arrays(path)
    for number, (kind, config, arrays) in enumerate(found):
        name = config["name"]
        shapes = [array.shape for array in arrays]
        if kind == "Normalization" and number == 0 and shapes[:2] == [(2,), (2,)]:
            scale = 1 / np.maximum(np.sqrt(arrays[1]), EPSILON)
            layers.append((np.diag(scale), -arrays[0] * scale, HIDDEN["linear"]))
            continue
        if kind != "Dense":
            raise InputError(f"{path}: layer {name}: is of the kind {kind}: can draw dense layers only")
        activations = OUTPUT if number == len(found) - 1 else HIDDEN
        activation = config.get("activation", "linear")
        if not isinstance(activation, str) or activation not in activations:
            place = "an output layer" if activations is OUTPUT else "a hidden layer"
            raise InputError(f"{path}: layer {name}: activation {activation}: can draw {' '.join(activations)} of {place}")
        if len(shapes) != 2 or len(shapes[0]) != 2 or shapes[1] != shapes[0][1:]:
            raise InputError(f"{path}: layer {name}: arrays of shapes {shapes}: expected a kernel and a bias")
        if all(before != "Dense" for before, _, _ in found[:number]) and shapes[0][0] != 2:
            raise InputError(f"{path}: the model has {shapes[0][0]} features: the picture needs 2")
        if shapes[0][0] != n_inputs:
            raise InputError(f"{path}: layer {name}: a kernel of {shapes[0][0]} inputs after {n_inputs} units")
        n_inputs = shapes[0][1]
        layers.append((*arrays, activations[activation]))
    if not found or found[-1][0] != "Dense":
        raise InputError(f"{path}: does not end with a dense layer")
    if (n_inputs == 1) != (found[-1][1].get("activation") == "sigmoid"):
        raise InputError(f"{path}: {n_inputs} outputs with {found[-1][1]['activation']}: can draw one with sigmoid, several with softmax")
    return layers


def predict(layers, x):
    """For the rows of x the class, and for each boundary a number that changes its sign there."""
    for matrix, bias, activation in layers:
        x = activation(x @ matrix + bias)
    if x.shape[1] == 1:
        return (x[:, 0] >= 0.5).astype(int), [x[:, 0] - 0.5]
    leads = [x[:, i] - np.delete(x, i, axis=1).max(axis=1) for i in range(x.shape[1])]
    return x.argmax(axis=1), leads


def count_classes(sets, classes):
    return int(max(2, classes.max() + 1, *(y.max() + 1 for _, _, y in sets)))


def draw_classes(axes, grid, classes, boundaries, n_classes, alpha, linewidth):
    """Shades the plane by class, and draws the boundaries once more, above the points that would hide them."""
    classes = classes.reshape(len(grid), len(grid))
    levels = np.arange(n_classes + 1) - 0.5
    if n_classes == 2:
        shades = axes.contourf(grid, grid, classes, levels=levels, vmin=0, vmax=1, cmap="RdBu_r", alpha=alpha)
    else:
        colours = [f"C{i % N_COLOURS}" for i in range(n_classes)]
        shades = axes.contourf(grid, grid, classes, levels=levels, colors=colours, alpha=0.7 * alpha)
    for boundary in boundaries:
        if boundary.min() < 0 <= boundary.max():
            axes.contour(grid, grid, boundary.reshape(len(grid), len(grid)), levels=[0], colors="black", linewidths=linewidth, zorder=3)
    return shades


def read_sets(path):
    """The sets that the file has: (title, X [rows][2], y [rows])."""
    sets = []
    with open_hdf5(path) as file:
        for title, name in (("training", "train"), ("test", "test")):
            if f"{name}/X" not in file:
                continue
            if f"{name}/y" not in file:
                raise InputError(f"{path}: /{name}/y is missing")
            x, y = np.asarray(file[f"{name}/X"]), np.asarray(file[f"{name}/y"])
            y = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.ravel()  # a column for each class
            if x.ndim != 2 or x.shape[1] != 2:
                raise InputError(f"{path}: /{name}/X has the shape {x.shape}: the picture needs two features")
            if len(x) != len(y):
                raise InputError(f"{path}: /{name}: {len(x)} rows in X, {len(y)} in y")
            if len(y) == 0 or y.min() < 0 or (y != y.astype(int)).any():
                raise InputError(f"{path}: /{name}/y holds other numbers than those of classes: the picture is of classes")
            sets.append((title, x, y))
    if not sets:
        raise InputError(f"{path}: there is no /train/X or /test/X")
    return sets


def draw_panel(figure, axes, grid, plane, n_classes, title, x, y):
    shades = draw_classes(axes, grid, *plane, n_classes, 0.55, 1)
    for label in range(n_classes):
        points = x[y == label]
        axes.plot(points[:, 0], points[:, 1], f"C{label % N_COLOURS}o", ms=1, label=f"y = {label}")
    bar = figure.colorbar(shades, ax=axes, ticks=range(n_classes))
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
    plane = predict(layers, np.column_stack([first.ravel(), second.ravel()]))
    figure, panels = plt.subplots(1, len(sets), figsize=(6 * len(sets), 5), squeeze=False, constrained_layout=True)
    for axes, (title, x, y) in zip(panels[0], sets):
        draw_panel(figure, axes, grid, plane, count_classes(sets, plane[0]), title, x, y)
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
