#!/usr/bin/python3
"""Draws a search of lockstep tune: what each value of each setting gave, and how good the trials became.

    tools/plot_search.py search -o search.png
    tools/plot_search.py search --boundaries data.h5 -o boundaries.png

SEARCH is the directory of the search. The first picture has a panel for the trials in their order, and one for each setting: a dot is a
trial, the line the best for each value. The second one, of a search with --save-models on data of two features, shows the samples and the
boundary between the classes that each trial has learnt, side by side; where the settings have several seeds, a column is one of them.
"""
import argparse
import json
import os
import sys

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)

import plot_boundary  # noqa: E402  (beside this file)
from plot_boundary import InputError  # noqa: E402

MAX_PANELS, MAX_WORDS = 400, 24
SAMPLES = 2000  # that a small panel shows


def read_search(directory):
    """results.json of a search."""
    path = os.path.join(directory, "results.json")
    try:
        with open(path, encoding="utf-8") as file:
            search = json.load(file)
        for trial in search["trials"]:
            trial["settings"], trial["objective"], trial["executions"], trial["status"]
        search["objective"], search["direction"]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: is the search complete?") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not the results of a search") from None
    if not search["trials"]:
        raise InputError(f"{path}: there is no trial in it")
    return search


def word(value):
    """A setting as the axes name it."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def epochs_of(trial):
    return max(execution["epochs"] for execution in trial["executions"])


def limits(values):
    """Of an axis of objectives: all of them but such as are far from most."""
    low, high = np.min(values), np.max(values)
    quarter, half, rest = np.percentile(values, [25, 50, 75])
    reach = 6 * (rest - quarter) or 1
    low, high = max(low, half - reach), min(high, half + reach)
    return (low, high) if low < high else (low - 1, high + 1)


def draw_trials(axes, search, trials, best):
    numbers, values = [trial["trial"] for trial in trials], [trial["shown"] for trial in trials]
    running = best.accumulate(values)
    dots = axes.scatter(numbers, values, c=[epochs_of(trial) for trial in trials], cmap="viridis", s=18, zorder=3)
    axes.step(numbers, running, where="post", color="C3", label="best so far")
    others = [trial for trial in search["trials"] if trial["objective"] is None]
    if others:
        axes.plot([trial["trial"] for trial in others], [0.02] * len(others), "x", color="C3", transform=axes.get_xaxis_transform(),
                  label="diverged or failed")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.set_title("trials")
    axes.legend(fontsize=8)
    if len({epochs_of(trial) for trial in trials}) > 1:
        axes.figure.colorbar(dots, ax=axes, label="epochs")


def draw_setting(axes, name, trials, best):
    values, objectives = [trial["settings"][name] for trial in trials], [trial["shown"] for trial in trials]
    words = len({word(value) for value in values}) <= MAX_WORDS
    if all(isinstance(value, (int, float)) for value in values) and (not words or isinstance(values[0], float)):
        places = values
        if min(values) > 0 and max(values) / min(values) > 20:
            axes.set_xscale("log")
    else:
        names = list(dict.fromkeys(word(value) for value in sorted(values, key=lambda v: (str(type(v)), v))))
        places = [names.index(word(value)) for value in values]
        if len(names) <= MAX_WORDS:
            axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 4 else 0, ha="right" if len(names) > 4 else "center",
                            fontsize=8)
        group = [[o for o, place in zip(objectives, places) if place == i] for i in range(len(names))]
        axes.plot(range(len(names)), [best.reduce(values) for values in group], color="C3", label="best")
    axes.scatter(places, objectives, s=18, zorder=3)
    axes.set_title(name)


def draw_search(search, output):
    trials = [trial for trial in search["trials"] if trial["objective"] is not None]
    if not trials:
        raise InputError("no trial has a result: there is nothing to draw")
    best = np.minimum if search["direction"] == "min" else np.maximum
    low, high = limits([trial["objective"] for trial in trials])
    for trial in trials:
        trial["shown"] = min(max(trial["objective"], low), high)  # what lies beyond stands at the edge
        units = trial["settings"].get("hidden")
        if units is not None and len({word(other["settings"]["hidden"]) for other in trials}) > MAX_WORDS:
            trial["settings"] = dict(trial["settings"], **{"hidden layers": len(units), "units in all": sum(units)})
    names = [name for name in trials[0]["settings"] if len({word(trial["settings"][name]) for trial in trials}) > 1]
    if "hidden layers" in trials[0]["settings"]:
        names.remove("hidden")
    columns = min(3, len(names) + 1)
    rows = -(-(len(names) + 1) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(5 * columns, 3.6 * rows), squeeze=False, sharey=True,
                                  constrained_layout=True)
    draw_trials(panels[0][0], search, trials, best)
    for axes, name in zip(panels.flat[1:], names):
        draw_setting(axes, name, trials, best)
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(names) + 1:]:
        axes.set_visible(False)
    for row in panels:
        row[0].set_ylabel(search["objective"])
    margin = 0.03 * (high - low)
    panels[0][0].set_ylim(low - margin, high + margin)
    winner = min(trials, key=lambda trial: trial["rank"])
    settings = " ".join(f"{name}={word(value)}" for name, value in winner["settings"].items() if " " not in name)
    figure.suptitle(f"best: trial {winner['trial']}, {search['objective']} {winner['objective']:.6g}, {settings}", fontsize=10)
    figure.savefig(output, dpi=100)


def boundary_panels(search):
    """The panels by rows: (title, file of the model, trial); seeds side by side."""
    rows = {}
    for trial in search["trials"]:
        other = " ".join(word(value) for name, value in trial["settings"].items() if name != "seed")
        for number, execution in enumerate(trial["executions"]):
            value = execution["measures"].get(search["objective"])
            title = "diverged" if value is None else f"{value:.4f}"
            if "seed" in trial["settings"] and len(rows) <= (other in rows):
                title = f"seed {trial['settings']['seed']}\n{title}"
            rows.setdefault(other, []).append((title, f"trial-{trial['trial']:06d}-{number}.h5", value is not None))
    return rows


def draw_boundaries(directory, search, data, output):
    sets = plot_boundary.read_sets(data)
    _, x, y = sets[-1]
    rows = boundary_panels(search)
    columns = max(map(len, rows.values()))
    if columns == 1:  # no seeds: as a square
        columns = int(np.ceil(np.sqrt(len(rows))))
        panels = [(f"{name}: {title}", *rest) for name, [(title, *rest)] in rows.items()]
        table = [("", panels[i:i + columns]) for i in range(0, len(panels), columns)]
    else:
        table = list(rows.items())
    if len(table) * columns > MAX_PANELS:
        raise InputError(f"{directory}: {len(table) * columns} panels: can draw {MAX_PANELS}")
    limit = plot_boundary.LIMIT
    grid = np.linspace(-limit, limit, 121)
    first, second = np.meshgrid(grid, grid)
    points = np.column_stack([first.ravel(), second.ravel()])
    figure, axes = plt.subplots(len(table), columns, figsize=(1.3 * columns + 1, 1.35 * len(table)), squeeze=False,
                                constrained_layout=True)
    for row, (name, panels) in zip(axes, table):
        row[0].set_ylabel(name.replace(" ", "\n"), rotation=0, ha="right", va="center", fontsize=7)
        for panel in row:
            panel.set_xticks([])
            panel.set_yticks([])
            panel.set_visible(False)
        for panel, (title, file, exists) in zip(row, panels):
            panel.set_visible(True)
            panel.set_title(title, fontsize=6, pad=2)
            panel.set_aspect("equal")
            plane = None
            if exists:
                plane = plot_boundary.predict(plot_boundary.read_model(os.path.join(directory, "models", file)), points)
            n_classes = plot_boundary.count_classes(sets, plane[0] if exists else y)
            for label in range(n_classes):
                shown = x[:SAMPLES][y[:SAMPLES] == label]
                panel.plot(shown[:, 0], shown[:, 1], f"C{label % plot_boundary.N_COLOURS}.", ms=0.8, rasterized=True)
            panel.set_xlim(-limit, limit)
            panel.set_ylim(-limit, limit)
            if exists:
                plot_boundary.draw_classes(panel, grid, *plane, n_classes, 0.4, 0.7)
    figure.suptitle(f"{search['objective']} of each training", fontsize=9)
    figure.savefig(output, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", metavar="SEARCH", help="directory of lockstep tune")
    parser.add_argument("-o", "--output", metavar="PICTURE", required=True, help="picture to write (.png, .pdf, .svg)")
    parser.add_argument("--boundaries", metavar="DATA", help="draw the boundary of each training between these samples")
    parser.error = lambda message: sys.exit(f"plot_search.py: {message}")
    arguments = parser.parse_args()
    try:
        search = read_search(arguments.search)
        if arguments.boundaries:
            draw_boundaries(arguments.search, search, arguments.boundaries, arguments.output)
        else:
            draw_search(search, arguments.output)
    except InputError as error:
        sys.exit(f"plot_search.py: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"plot_search.py: {arguments.output}: cannot be written: {error}")


if __name__ == "__main__":
    main()
