"""The points of a scaling study: one line of points*.csv for each run, and how they form series."""
import csv
import glob
import math
import os
import re
import statistics
from typing import NamedTuple

POINTS = "points*.csv"
PARTS = ("compute", "communication", "waiting", "io")
SPREAD = ("min", "mean", "max")  # over the ranks of a run
SETTINGS = ("scaling", "simulated", "machine", "hidden", "n_features", "n_samples", "batch_size", "epochs", "options")
COLUMNS = SETTINGS + ("ranks", "nodes", "oversubscribed", "repetition", "shards", "message_bytes", "steps", "seconds",
                      "seconds_of_steps") + tuple(f"{part}_{which}" for part in PARTS for which in SPREAD) + (
                          "digest", "refused")
WHOLE = ("simulated", "n_features", "n_samples", "batch_size", "epochs", "ranks", "nodes", "oversubscribed", "repetition",
         "shards", "message_bytes", "steps")
REAL = ("seconds", "seconds_of_steps") + tuple(f"{part}_{which}" for part in PARTS for which in SPREAD)

ABOVE_ZERO = ("n_features", "n_samples", "batch_size", "epochs", "ranks", "shards", "steps", "seconds_of_steps")


class InputError(Exception):
    """What is wrong with a file of points, in one line."""


class Series(NamedTuple):
    """Runs that differ in nothing but the ranks. n_samples and batch_size are those of a rank if scaling is weak."""
    scaling: str
    simulated: int
    machine: str
    hidden: str
    n_features: int
    n_samples: int
    batch_size: int
    epochs: int
    options: str

    def title(self):
        each = " a rank" if self.scaling == "weak" else ""
        text = (f"{self.scaling} scaling, {layers(self.hidden)}, {self.n_samples} samples x {self.n_features}{each}, "
                f"batch {self.batch_size}{each}")
        return text + (", simulated" if self.simulated else "")

    def name(self):
        """For files."""
        words = [self.scaling, self.hidden.replace(",", "x") or "0", f"n{self.n_samples}", f"b{self.batch_size}"]
        return "-".join(words + (["simulated"] if self.simulated else []))


def count(n, word):
    return f"{n} {word}{'' if n == 1 else 's'}"


def layers(hidden):
    return f"[{hidden}]" if hidden else "no hidden layer"


def parse(row, place):
    """A line of the file with its numbers as numbers; those of a refused run are missing."""
    point = dict(row)
    for names, kind in ((WHOLE, int), (REAL, float)):
        for name in names:
            if row[name] == "" and row["refused"] and name not in SETTINGS + ("ranks", "repetition"):
                continue
            try:
                point[name] = kind(row[name])
            except ValueError:
                raise InputError(f"{place}: {name}: '{row[name]}' is not a number") from None
            least = "above 0" if name in ABOVE_ZERO else "0 or more"
            if not math.isfinite(point[name]) or point[name] < 0 or (point[name] == 0 and name in ABOVE_ZERO):
                raise InputError(f"{place}: {name}: '{row[name]}' must be {least}")
    if point["scaling"] not in ("strong", "weak"):
        raise InputError(f"{place}: scaling: '{row['scaling']}' must be strong or weak")
    if not re.fullmatch(r"(\d+(,\d+)*)?", point["hidden"]):
        raise InputError(f"{place}: hidden: '{row['hidden']}' must be units like 64,32")
    return point


def read_file(path):
    """The points of one file. A last line without its end was being written when the study was stopped: it is passed over."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise InputError(f"{path}: it is not a text file") from None
    lines = text[:text.rfind("\n") + 1].splitlines()
    points = []
    for number, row in enumerate(csv.DictReader(lines), 2):
        place = f"{path}: line {number}"
        missing = [name for name in COLUMNS if row.get(name) is None]
        if missing or None in row:
            raise InputError(f"{place}: {'no ' + missing[0] if missing else 'too many values'}")
        points.append(parse(row, place))
    return points


def read_points(directory):
    """All points of a study: those of points.csv and of any points-NAME.csv beside it."""
    paths = sorted(glob.glob(os.path.join(directory, POINTS)))
    return [point for path in paths for point in read_file(path)]


def identity(point):
    """What tells one run from another; a run with the same is not done again."""
    return tuple(point[name] for name in SETTINGS + ("ranks", "repetition"))


class PointFile:
    """Appends points to a file, each at once and whole."""

    def __init__(self, path):
        is_new = not os.path.exists(path) or os.path.getsize(path) == 0
        if not is_new:
            with open(path, "rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
                is_new = file.tell() == 0 or os.path.getsize(path) == 0
        self.file = open(path, "a", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, COLUMNS, restval="", lineterminator="\n")
        if is_new:
            self.writer.writeheader()
            self.flush()

    def flush(self):
        self.file.flush()
        os.fsync(self.file.fileno())

    def append(self, point):
        self.writer.writerow(point)
        self.flush()


def series_of(point):
    values = {name: point[name] for name in SETTINGS}
    if point["scaling"] == "weak":
        values["n_samples"] //= point["ranks"]
        values["batch_size"] //= point["ranks"]
    return Series(**values)


class Level(NamedTuple):
    """The runs of a series on one number of ranks."""
    ranks: int
    runs: list

    def values(self, name):
        return [run[name] for run in self.runs]

    def median(self, name):
        return statistics.median(self.values(name))

    @property
    def time(self):
        return self.median("seconds_of_steps")

    @property
    def step(self):
        return self.time / self.runs[0]["steps"]


def make_series(points):
    """{Series: [Level]} in the order in which they appear, ranks ascending; refused runs are left out."""
    series = {}
    for point in points:
        levels = series.setdefault(series_of(point), {})
        if not point["refused"]:
            levels.setdefault(point["ranks"], []).append(point)
    return {key: [Level(ranks, levels[ranks]) for ranks in sorted(levels)] for key, levels in series.items()}


def refusals(points):
    """{Series: {ranks: message}}"""
    refused = {}
    for point in points:
        if point["refused"]:
            refused.setdefault(series_of(point), {})[point["ranks"]] = point["refused"]
    return refused


def digest_errors(points):
    """A line for each set of runs that should have trained the same model and did not, and for each without a digest. A strong
    series is one set, on whatever machine, really or in a simulation; of a weak one the runs on one number of ranks are, for
    others have other data."""
    sets = {}
    for point in points:
        if point["refused"]:
            continue
        same = tuple(point[name] for name in SETTINGS if name not in ("simulated", "machine"))
        sets.setdefault(same, []).append(point)
    errors = []
    for runs in sets.values():
        title = series_of(runs[0]).title()
        if any(not run["digest"] and not run["simulated"] for run in runs):
            errors.append(f"{title}: a run has no digest of its model")
        digests = {}
        for run in runs:
            if run["digest"]:
                digests.setdefault(run["digest"], set()).add(run["ranks"])
        if len(digests) > 1:
            found = "; ".join(f"{digest} on {', '.join(map(str, sorted(ranks)))} ranks" for digest, ranks in digests.items())
            errors.append(f"{title}: the runs did not train the same model: {found}")
    return errors
