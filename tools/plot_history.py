#!/usr/bin/python3
"""Draws the history of a training: the loss and the measures over the epochs.

    tools/plot_history.py history.csv -o history.png

Reads the columns that lockstep train --history and Keras' CSVLogger write: epoch (from 0), loss and any of
binary_accuracy, accuracy, precision, recall, mean_absolute_error, mean_squared_error, the same with val_ in front, seconds,
samples_per_second. Values are the running means of an epoch, as Keras shows them.
"""
import argparse
import csv
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)
from matplotlib.ticker import MaxNLocator  # noqa: E402

MEASURES = {"binary_accuracy": "accuracy", "accuracy": "accuracy", "precision": "precision (PPV)", "recall": "recall (TPR)",
            "mean_absolute_error": "mean absolute error", "mean_squared_error": "mean squared error"}


class InputError(Exception):
    """What is wrong with the file, in one line."""


def read_history(path):
    """The columns of the file by name, each a list with one number for an epoch."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'not a CSV file'}") from None
    if not rows or "epoch" not in rows[0] or "loss" not in rows[0]:
        raise InputError(f"{path}: the first line does not name the columns epoch and loss")
    if len(rows) < 2:
        raise InputError(f"{path}: there is no epoch in it")
    columns = {name: [] for name in rows[0]}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}: line {number}: {len(row)} values under {len(rows[0])} columns")
        for name, value in zip(rows[0], row):
            try:
                columns[name].append(float(value))
            except ValueError:
                raise InputError(f"{path}: line {number}: {name}: '{value}' is not a number") from None
    return columns


def draw_column(axes, epochs, columns, name, label, colour):
    axes.plot(epochs, columns[name], marker="o", color=colour, label=label)
    if "val_" + name in columns:
        axes.plot(epochs, columns["val_" + name], marker="s", ls="--", color=colour, label=label + ", validation")


def draw(columns, output):
    # Counted from 1, as the progress line counts; the file counts from 0, as CSVLogger does.
    epochs = [epoch + 1 for epoch in columns["epoch"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), constrained_layout=True)
    draw_column(left, epochs, columns, "loss", "loss", "C3")
    left.set_title("loss (binary cross-entropy)" if "binary_accuracy" in columns else "loss")
    for number, (name, label) in enumerate(MEASURES.items()):
        if name in columns:
            draw_column(right, epochs, columns, name, label, f"C{number}")
    right.set_title("measures at threshold 0.5" if "binary_accuracy" in columns else "measures")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(epochs) == 1:
            axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    title = f"{len(epochs)} epoch{'s' if len(epochs) > 1 else ''}"
    if "seconds" in columns:
        title += f", {sum(columns['seconds']):.3g} s"
    if "samples_per_second" in columns:
        title += f", at best {max(columns['samples_per_second']):,.0f} samples/s"
    figure.suptitle(title)
    figure.savefig(output, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("history", metavar="HISTORY", help="history.csv of lockstep train --history")
    parser.add_argument("-o", "--output", metavar="PICTURE", required=True, help="picture to write (.png, .pdf, .svg)")
    parser.error = lambda message: sys.exit(f"plot_history.py: {message}")
    arguments = parser.parse_args()
    try:
        columns = read_history(arguments.history)
        draw(columns, arguments.output)
    except InputError as error:
        sys.exit(f"plot_history.py: {error}")
    except (OSError, ValueError) as error:
        # Only the picture's own name can still be wrong: its folder, or an ending that matplotlib does not know.
        sys.exit(f"plot_history.py: {arguments.output}: cannot be written: {error}")


if __name__ == "__main__":
    main()
