#!/usr/bin/python3
"""Puts the results of a sweep into one table.

    tools/sweep_table.py sweep-1234 --runs 6 -o sweep-1234/table.csv

Each subdirectory of the sweep is a run: settings.json holds what was varied (one line of the table begins with it) and
evaluation.json what `lockstep evaluate --json` printed, once the run is finished. Columns are named by set and measure,
as test_binary_accuracy. The best run by test (or else training) loss comes first. A run without a result is named on stderr and
makes the exit code 1, as does any number of results other than --runs; the table then holds those that there are.
"""
import argparse
import csv
import json
import os
import sys

EXIT_INCOMPLETE, EXIT_USAGE = 1, 2


def read_object(path):
    """The JSON object in a file, None if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def row_of(settings, evaluation):
    """The line of a run: its settings, then the measures of each set."""
    row = dict(settings)
    for name, measures in evaluation.items():
        for measure, value in measures.items():
            if measure == "confusion_matrix" and len(value) == 2:
                (row[f"{name}_tn"], row[f"{name}_fp"]), (row[f"{name}_fn"], row[f"{name}_tp"]) = value
            else:  # of several classes, as JSON
                row[f"{name}_{measure}"] = json.dumps(value) if isinstance(value, (list, dict)) else value
    return row


def by_loss(row):
    """Sorts by loss, a loss that is not finite (null in JSON) last."""
    loss = row.get("test_loss", row.get("train_loss"))
    return (loss is None, loss or 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", help="directory of the sweep")
    parser.add_argument("--runs", type=int, help="how many there must be")
    parser.add_argument("-o", "--output", help="CSV file to write (default: stdout)")
    arguments = parser.parse_args()
    try:
        names = sorted(entry.name for entry in os.scandir(arguments.sweep) if entry.is_dir())
    except OSError as error:
        print(f"sweep_table.py: {arguments.sweep}: {error.strerror}", file=sys.stderr)
        return EXIT_USAGE

    rows, complete = [], True
    for name in names:
        directory = os.path.join(arguments.sweep, name)
        settings = read_object(os.path.join(directory, "settings.json"))
        evaluation = read_object(os.path.join(directory, "evaluation.json"))
        if settings is None or evaluation is None:
            missing = "settings.json" if settings is None else "evaluation.json"
            print(f"sweep_table.py: {directory}: no result: {missing} is missing or damaged", file=sys.stderr)
            complete = False
        else:
            rows.append(row_of(settings, evaluation))
    if arguments.runs is not None and len(rows) != arguments.runs:
        print(f"sweep_table.py: {arguments.sweep}: {len(rows)} of {arguments.runs} runs have a result", file=sys.stderr)
        complete = False

    rows.sort(key=by_loss)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(arguments.output, "w", newline="", encoding="utf-8") if arguments.output else sys.stdout as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return 0 if complete else EXIT_INCOMPLETE


if __name__ == "__main__":
    sys.exit(main())
