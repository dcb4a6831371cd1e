#!/usr/bin/python3
"""Checks what tools/quickstart.sh left in the current directory: check_quickstart.py PATH_TO_lockstep"""
import csv
import json
import subprocess
import sys

import h5py
import matplotlib.image
import numpy as np

EPOCHS = 4
SAMPLES = {"train": 80000, "test": 20000}


def check(what, ok, found):
    print(f"ok     {what}" if ok else f"FAILED {what} (found: {found})")
    return bool(ok)


def near(pixels, colour):
    """Number of pixels within a little of a colour that is given as #rrggbb."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int(np.sum(np.abs(pixels - wanted).max(axis=-1) <= 8))


def check_picture(name, width, height, colours):
    with open(name, "rb") as file:
        signature = file.read(8)
    ok = check(f"{name} is a PNG file", signature == b"\x89PNG\r\n\x1a\n", signature)
    pixels = np.rint(matplotlib.image.imread(name)[..., :3] * 255).astype(int)
    ok &= check(f"{name} has {width} x {height} pixels", pixels.shape[:2] == (height, width), pixels.shape)
    for meaning, colour, least in colours:
        # In both halves: the two panels.
        for side, half in (("left", pixels[:, : width // 2]), ("right", pixels[:, width // 2 :])):
            found = near(half, colour)
            ok &= check(f"{name} shows {meaning} on the {side}", found >= least, f"{found} such pixels")
    return ok


def main():
    ok = check_picture(
        "boundary.png",
        1200,
        500,
        [("samples of class 0", "#1f77b4", 1000), ("samples of class 1", "#ff7f0e", 1000), ("the boundary", "#000000", 300)],
    )
    ok &= check_picture("history.png", 1200, 500, [("axes and text", "#000000", 300)])

    with h5py.File("model.h5") as file:
        layers = [name if isinstance(name, str) else name.decode() for name in file["model_weights"].attrs["layer_names"]]
    ok &= check("model.h5 holds three layers", len(layers) == 3, layers)
    with h5py.File("data.h5") as file:
        for name, samples in SAMPLES.items():
            shapes = file[name + "/X"].shape, file[name + "/y"].shape
            ok &= check(f"data.h5 has {samples} samples in /{name}", shapes == ((samples, 2), (samples,)), shapes)
    with h5py.File("predictions.h5") as file:
        arrays = []
        file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
        lengths = {len(array) for array in arrays}
    ok &= check("predictions.h5 has a value for every sample", lengths == set(SAMPLES.values()), lengths)
    with open("history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ok &= check(f"history.csv has {EPOCHS} epochs", [row["epoch"] for row in rows] == [str(i) for i in range(EPOCHS)], rows)

    done = subprocess.run(
        [sys.argv[1], "evaluate", "model.h5", "data.h5", "--json"], capture_output=True, text=True, check=True
    )
    for name, values in json.loads(done.stdout).items():
        ok &= check(f"{name}: {SAMPLES[name]} samples", values["samples"] == SAMPLES[name], values)
        accuracy = values["binary_accuracy"]
        ok &= check(f"{name}: accuracy {accuracy:.4f} > 0.9", accuracy > 0.9, accuracy)
    sys.exit(not ok)


if __name__ == "__main__":
    main()
