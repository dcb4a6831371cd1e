"""Compares `lockstep generate` with the real scikit-learn: sklearn_data.py LOCKSTEP [--random-cases N] [--seed S]

For every case both make the same data. y and the split must be equal element by element, and so must all bits of X
where NumPy's BLAS runs the kernels whose order of summation lockstep follows (AVX-512); the notebook's data also with
any other kernels that fuse multiplication and addition. Elsewhere X may differ by n_informative * 2^-53 of the column's
scale (its largest magnitude), or 4 units in the scale's last place. Then parameters that scikit-learn rejects are
tried, and the comparison itself is shown to notice small damage. Ends with a summary; exit code 1 after any difference.
"""

import os

# With several threads OpenBLAS deals the rows of a matrix-vector product out to them, and the last rows of each share
# are summed in another order: scikit-learn's last bits then depend on the number of cores. One thread is well-defined.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import concurrent.futures
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import sklearn
import threadpoolctl
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

PROCESSES = 4  # they mostly wait while MPI starts
FEW_ROWS = 20  # too few to tell a column's scale: the largest of all columns stands in
NOTEBOOK_SEEDS = (7, 21, 24, 25, 29, 33, 38)
DEFAULTS = dict(n_samples=100, n_features=20, n_informative=2, n_redundant=2, n_repeated=0, n_classes=2,
                n_clusters_per_class=2, weights=None, flip_y=0.01, class_sep=1.0, hypercube=True, shift=0.0, scale=1.0,
                shuffle=True, random_state=0)


def word(value):
    """A parameter's value as one word of a command line."""
    if value is None:
        return "none"
    if isinstance(value, (list, tuple, np.ndarray)):
        return ",".join(repr(float(v)) for v in value)
    return repr(value)


def arguments(parameters, split):
    """The words of `lockstep generate` for keyword arguments of make_classification and train_test_split."""
    words = []
    for name, value in parameters.items():
        if name in ("hypercube", "shuffle"):
            words += [] if value else [f"--no-{name}"]
        elif not (name == "weights" and value is None):
            words.append(f"--{name.replace('_', '-')}={word(value)}")
    if split:
        words += [f"--train-size={word(split['train_size'])}", f"--split-random-state={split['random_state']}"]
    return words


def generate(lockstep, words, path):
    return subprocess.run([lockstep, "generate", "-o", path, *words], capture_output=True, text=True)


def expected(parameters, split):
    """What scikit-learn makes: {"train": (X, y), "test": (X, y)}. Arrays, not lists, because Python 3.12 and newer
    sum a list of weights with another rounding."""
    arrays = {k: np.array(v) for k, v in parameters.items() if isinstance(v, (list, tuple))}
    x, y = make_classification(**{**parameters, **arrays})
    if not split:
        return {"train": (x, y)}
    x_train, x_test, y_train, y_test = train_test_split(x, y, **split)
    return {"train": (x_train, y_train), "test": (x_test, y_test)}


def read(path):
    with h5py.File(path) as file:
        sets = {name: (file[name]["X"][...], file[name]["y"][...]) for name in file}
        return sets, dict(file.attrs)


class Comparison:
    """Differences of one case, and how far X is off."""

    def __init__(self, sets, found, n_informative, exact):
        self.problems, self.bit_equal, self.deviation = [], True, 0.0
        if sets.keys() != found.keys():
            self.problems.append(f"sets {sorted(found)} instead of {sorted(sets)}")
            return
        columns = np.vstack([x for x, _ in sets.values()])
        scale = np.abs(columns).max(axis=0)
        if len(columns) < FEW_ROWS:
            scale = np.full_like(scale, scale.max())
        for name, (x, y) in sets.items():
            self.compare_set(name, x, y, *found[name], scale, n_informative, exact)

    def compare_set(self, name, x, y, found_x, found_y, scale, n_informative, exact):
        if found_x.shape != x.shape or found_y.shape != y.shape:
            self.problems.append(f"{name}: shapes {found_x.shape} {found_y.shape} instead of {x.shape} {y.shape}")
            return
        if found_x.dtype != np.float64 or found_y.dtype != (np.uint8 if y.max() < 256 else np.int64):
            self.problems.append(f"{name}: types {found_x.dtype} {found_y.dtype}")
            return
        if not np.array_equal(found_y, y):
            self.problems.append(f"{name}: {np.sum(found_y != y)} labels differ")
        if np.array_equal(found_x.view(np.uint64), x.view(np.uint64)):
            return
        self.bit_equal = False
        difference = np.abs(found_x - x)
        self.deviation = max(self.deviation, np.max(difference / scale))
        allowed = np.maximum(n_informative * 2.0**-53 * scale, 4 * np.spacing(scale))
        differ = found_x.view(np.uint64) != x.view(np.uint64)
        wrong = differ if exact else ~(difference <= allowed)
        if np.any(wrong):
            row, column = np.argwhere(wrong)[0]
            self.problems.append(f"{name}: {np.sum(wrong)} values of X differ, first row {row}, column {column}: "
                                 f"{found_x[row, column]!r} instead of {x[row, column]!r}")


def attribute_problems(attributes, parameters, split):
    wanted = {**DEFAULTS, **parameters, "generator": "sklearn.datasets.make_classification",
              "sklearn_version": sklearn.__version__,
              "train_size": split["train_size"] if split else None,
              "split_random_state": split["random_state"] if split else None}
    problems = []
    for name, value in wanted.items():
        if name not in attributes:
            problems.append(f"attribute {name} is missing")
            continue
        found = attributes[name]
        found = found.decode() if isinstance(found, bytes) else found
        value = "None" if value is None else value
        if isinstance(value, str) or isinstance(found, str):
            same = isinstance(found, str) and found == value
        else:
            same = np.array_equal(np.atleast_1d(found), np.atleast_1d(value))
        if not same:
            problems.append(f"attribute {name} is {found!r} instead of {value!r}")
    return problems


def notebook_cases():
    for seed in NOTEBOOK_SEEDS:
        yield (dict(n_samples=100000, n_features=2, n_informative=2, n_redundant=0, n_classes=2,
                    n_clusters_per_class=2, class_sep=1.5, flip_y=0.01, random_state=seed),
               dict(train_size=0.8, random_state=0))


def chosen_cases():
    """Shapes where NumPy, BLAS or the sampling of corners takes another path, and parameters at their limits."""
    only = dict(n_redundant=0)
    yield dict(), None
    yield dict(random_state=2**32 - 1), dict(train_size=0.5, random_state=2**32 - 1)
    # One feature, one sample, one class.
    yield dict(n_features=1, n_informative=1, n_clusters_per_class=1, **only), dict(train_size=0.7, random_state=1)
    yield dict(n_samples=1, n_features=7, n_informative=3, n_redundant=2, n_repeated=1), None
    yield dict(n_samples=1, n_features=20, n_informative=17, n_redundant=1, shift=None), None
    yield dict(n_samples=1, n_features=60, n_informative=53, n_redundant=1), None
    yield dict(n_samples=1, n_features=2, n_informative=1, n_redundant=1, n_classes=1), None
    yield dict(n_samples=1, n_features=4, n_informative=1, n_redundant=3, n_classes=1), None
    yield dict(n_samples=50, n_features=4, n_informative=1, n_redundant=3, n_clusters_per_class=1), None
    yield dict(n_samples=50, n_features=4, n_informative=1, n_redundant=1, n_clusters_per_class=1), None
    yield dict(n_classes=1, n_clusters_per_class=1), dict(train_size=99, random_state=3)
    yield dict(n_samples=2, n_features=3, n_informative=3, **only), dict(train_size=1, random_state=0)
    # Fewer samples than clusters, clusters of one sample (a vector times a matrix).
    yield dict(n_samples=5, n_features=6, n_informative=4, n_clusters_per_class=8), None
    for informative in (2, 3, 4, 5, 9, 18, 35):
        yield dict(n_samples=6, n_features=40, n_informative=informative, n_redundant=3, n_clusters_per_class=2), None
    # How corners are sampled: a few of many, almost all, all.
    yield dict(n_features=30, n_informative=12, n_classes=4, n_clusters_per_class=3), None
    yield dict(n_samples=3000, n_features=12, n_informative=8, n_classes=17, n_clusters_per_class=15), None
    yield dict(n_samples=3000, n_features=9, n_informative=7, n_classes=127, n_clusters_per_class=1, **only), None
    yield dict(n_samples=3000, n_features=9, n_informative=8, n_classes=16, n_clusters_per_class=16, **only), None
    yield dict(n_samples=2000, n_features=12, n_informative=10, n_classes=300, n_clusters_per_class=2), None
    # Long hypercubes, with and without their regular shape.
    for informative in (29, 30, 31, 32, 45, 64, 100):
        yield (dict(n_samples=333, n_features=100, n_informative=informative, n_redundant=0, n_classes=3,
                    hypercube=informative % 2 == 0), dict(train_size=0.8, random_state=informative))
    # Matrix-vector products (one redundant feature) of all remainders, small and large matrix products.
    for n_samples in (64, 65, 66, 67, 20001):
        yield dict(n_samples=n_samples, n_features=25, n_informative=19, n_redundant=1, shuffle=False), None
    for informative, redundant in ((16, 4), (17, 3), (50, 9), (60, 40), (20, 12)):
        yield dict(n_samples=2003, n_features=100, n_informative=informative, n_redundant=redundant), None
    yield dict(n_samples=60011, n_features=30, n_informative=20, n_redundant=4, n_classes=3), None
    # Shares of the classes: one left out, too little, too much, negative, zero.
    for weights in ([0.2, 0.8], [0.3], [0.1, 0.2], [0.9, 0.9], [-0.5], [0.0, 1.0], [1.5, -0.5], [0.0, 0.0]):
        yield dict(n_samples=103, weights=weights), dict(train_size=0.8, random_state=5)
    yield dict(n_samples=1001, n_classes=3, n_informative=5, weights=[0.5, 0.3]), None
    yield dict(n_samples=1001, n_classes=3, n_informative=5, weights=[0.1, 0.7, 0.1]), None
    # Shift and scale: numbers, one per feature, random.
    features = np.linspace(-3, 4, 20)
    for shift, scale in ((None, None), (1.5, 0.1), (features, features**2 + 0.5), (None, -features), (-2.25, None)):
        yield dict(shift=shift, scale=scale, n_repeated=3), None
    # Labels: none flipped, half, all.
    for flip_y in (0.0, 0.5, 1.0):
        yield dict(n_samples=997, n_classes=4, n_informative=5, flip_y=flip_y), dict(train_size=0.25, random_state=9)
    yield dict(shuffle=False, hypercube=False), dict(train_size=0.8, random_state=2)
    yield dict(class_sep=1e-3), dict(train_size=0.999, random_state=2)


def random_case(random):
    """A valid set of parameters, all of them drawn."""
    informative = int(random.choice([1, 2, 3, 4, 5, 8, 12, 16, 20, 33, 60]))
    redundant = int(random.choice([0, 1, 2, 3, 5, 9]))
    repeated = int(random.choice([0, 0, 1, 4]))
    features = informative + redundant + repeated + int(random.choice([0, 0, 1, 7, 20]))
    largest = 2 ** min(informative, 7)
    classes = int(random.integers(1, min(largest, 6) + 1))
    clusters = int(random.integers(1, max(1, min(largest // classes, 5)) + 1))
    samples = int(random.choice([1, 2, 3, 7, 30, 101, 500, 1234, 5001, 20000]))
    parameters = dict(n_samples=samples, n_features=features, n_informative=informative, n_redundant=redundant,
                      n_repeated=repeated, n_classes=classes, n_clusters_per_class=clusters,
                      flip_y=float(random.choice([0.0, 0.01, 0.5, 0.123])),
                      class_sep=float(random.choice([0.5, 1.0, 1.1, 1.5, 3.7])),
                      hypercube=bool(random.integers(2)), shuffle=bool(random.integers(4)),
                      random_state=int(random.integers(2**32)))
    if random.integers(2) and classes > 1:
        shares = random.dirichlet(np.ones(classes))
        parameters["weights"] = shares.tolist()[:classes - int(random.integers(2))]
    for name, low in (("shift", -5.0), ("scale", 0.1)):
        kind = random.integers(4)
        if kind:
            parameters[name] = (None, float(random.uniform(low, 5)),
                                random.uniform(low, 5, features).tolist())[kind - 1]
    split = None
    if samples > 2 and random.integers(3):
        rows = int(random.integers(1, samples))
        split = dict(train_size=float(random.choice([0.5, 0.8])) if random.integers(2) else rows,
                     random_state=int(random.integers(2**32)))
    return parameters, split


def rejected_cases():
    """(parameter to be named, parameters, split): what scikit-learn refuses."""
    nan, inf = float("nan"), float("inf")
    for name in ("n_samples", "n_features", "n_informative", "n_classes", "n_clusters_per_class"):
        for value in (0, -1, 1.5):
            yield name, {name: value}, None
    for name in ("n_redundant", "n_repeated"):
        for value in (-1, 0.5):
            yield name, {name: value}, None
    for name, values in dict(flip_y=(-0.01, 1.01, nan, inf), class_sep=(0.0, -1.0, nan, inf), shift=(nan, inf, -inf),
                             scale=(0.0, -1.0, nan, inf), random_state=(-1, 2**32, 0.5)).items():
        for value in values:
            yield name, {name: value}, None
    yield "n_informative", dict(n_features=4, n_informative=3), None
    yield "n_repeated", dict(n_features=4, n_repeated=1), None
    yield "n_redundant", dict(n_features=2, n_informative=2, n_redundant=1), None
    yield "n_classes", dict(n_classes=3), None
    yield "n_clusters_per_class", dict(n_clusters_per_class=3), None
    yield "n_clusters_per_class", dict(n_informative=10, n_classes=2, n_clusters_per_class=513), None
    yield "n_classes", dict(n_informative=1, n_redundant=0, n_classes=3, n_clusters_per_class=1), None
    for weights in ([0.2, 0.3, 0.5], [0.1, 0.2, 0.3, 0.4], [nan, 0.5], [nan], [inf, 0.5], [0.5, -inf]):
        yield "weights", dict(weights=weights), None
    yield "weights", dict(n_classes=3, n_informative=4, weights=[0.5]), None
    for name in ("shift", "scale"):
        yield name, {name: [1.0, 2.0, 3.0]}, None
        yield name, {name: [1.0] * 21}, None
    for train_size in (-0.1, 1.5, 100, 101, -1, 0, nan, inf, 0.001):
        yield "train_size", dict(), dict(train_size=train_size, random_state=0)
    yield "train_size", dict(n_samples=1), dict(train_size=0.5, random_state=0)
    yield "split_random_state", dict(), dict(train_size=0.5, random_state=-1)
    yield "split_random_state", dict(), dict(train_size=0.5, random_state=2**32)


def test_rejected(lockstep, directory):
    """Both refuse; lockstep names the parameter and leaves no file."""
    failures, cases = [], list(rejected_cases())
    path = os.path.join(directory, "rejected.h5")
    for parameters, split in (case[1:] for case in cases):
        try:
            expected(parameters, split)
        except (ValueError, OverflowError, TypeError):
            continue
        failures.append(f"scikit-learn accepts {parameters} {split}")
    with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
        results = pool.map(lambda case: generate(lockstep, arguments(*case[1:]), path), cases)
    for (name, parameters, split), result in zip(cases, results):
        if result.returncode == 0:
            failures.append(f"accepted: {parameters} {split}")
        elif name not in result.stderr and name.replace("_", "-") not in result.stderr:
            failures.append(f"{parameters} {split}: the message does not name {name}: {result.stderr.strip()}")
    if os.listdir(directory):
        failures.append(f"rejected parameters left {os.listdir(directory)}")
    too_large = generate(lockstep, ["--n-samples=30000000", "--n-features=20"], os.path.join(directory, "large.h5"))
    if too_large.returncode == 0 or str(2**29) not in too_large.stderr or "philox" not in too_large.stderr:
        failures.append(f"too many values: {too_large.returncode} {too_large.stderr.strip()}")
    return failures, len(cases) + 1


def test_mutations(lockstep, directory):
    """Damage that the comparison has to notice, each in a copy of a case that agrees."""
    parameters = dict(n_samples=500, n_features=8, n_informative=4, random_state=3)
    split = dict(train_size=0.8, random_state=4)
    sets = expected(parameters, split)
    path = os.path.join(directory, "mutation.h5")

    def made(other_parameters, other_split):
        result = generate(lockstep, arguments(other_parameters, other_split), path)
        if result.returncode:
            raise SystemExit(result.stderr)
        found, _ = read(path)
        os.remove(path)
        return found

    def damaged(change):
        found = made(parameters, split)
        change(*found["train"])
        return found

    def next_number(x, y):
        x[17, 3] = np.nextafter(x[17, 3], np.inf)

    def far_number(x, y):
        x[17, 3] += 1e-12

    def label(x, y):
        y[11] = 1 - y[11]

    def rows(x, y):
        x[[4, 5]] = x[[5, 4]]

    mutations = (("seed", made({**parameters, "random_state": 4}, split), False),
                 ("seed of the split", made(parameters, {**split, "random_state": 5}), False),
                 ("no split", made(parameters, None), False),
                 ("unit in the last place", damaged(next_number), True),
                 ("1e-12", damaged(far_number), False),
                 ("label", damaged(label), False),
                 ("order of two rows", damaged(rows), False))
    failures = [f"not noticed: {name}" for name, found, exact in mutations
                if not Comparison(sets, found, parameters["n_informative"], exact).problems]
    if Comparison(sets, made(parameters, split), parameters["n_informative"], False).problems:
        failures.append("the case without damage differs")
    return failures, len(mutations)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep", help="path of the command")
    parser.add_argument("--random-cases", type=int, default=60, help="number of drawn parameter sets (60)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the drawing (1)")
    options = parser.parse_args()
    lockstep = os.path.abspath(options.lockstep)

    kernels = next(lib["architecture"] for lib in threadpoolctl.threadpool_info()
                   if lib["user_api"] == "blas" and "numpy" in lib["filepath"])
    followed = kernels.lower() in ("skylakex", "cooperlake", "sapphirerapids")
    fused = followed or kernels.lower() in ("haswell", "zen")

    random = np.random.default_rng(options.seed)
    cases = [(p, s, fused) for p, s in notebook_cases()]
    cases += [(p, s, followed) for p, s in chosen_cases()]
    cases += [(*random_case(random), followed) for _ in range(options.random_cases)]

    failures, bit_equal, deviation = [], 0, 0.0
    with tempfile.TemporaryDirectory() as directory:
        def make(number, parameters, split):
            path = os.path.join(directory, f"{number}.h5")
            return path, generate(lockstep, arguments(parameters, split), path)

        with concurrent.futures.ThreadPoolExecutor(PROCESSES) as pool:
            made = list(pool.map(make, range(len(cases)), *list(zip(*cases))[:2]))
        for (parameters, split, exact), (path, result) in zip(cases, made):
            if result.returncode:
                failures.append(f"{parameters} {split}: {result.stderr.strip()}")
                continue
            found, attributes = read(path)
            os.remove(path)
            informative = {**DEFAULTS, **parameters}["n_informative"]
            comparison = Comparison(expected({**DEFAULTS, **parameters}, split), found, informative, exact)
            bit_equal += comparison.bit_equal
            deviation = max(deviation, comparison.deviation)
            problems = comparison.problems + attribute_problems(attributes, parameters, split)
            failures += [f"{parameters} {split}: {problem}" for problem in problems]
        rejected_failures, n_rejected = test_rejected(lockstep, directory)
        mutation_failures, n_mutations = test_mutations(lockstep, directory)
    failures += rejected_failures + mutation_failures
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"scikit-learn {sklearn.__version__}, NumPy {np.__version__} with {kernels} kernels: {len(cases)} cases, "
          f"{bit_equal} bit-equal in X, largest deviation {deviation:.2e} of the column's scale; {n_rejected} rejected "
          f"parameter sets; {n_mutations} mutations; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
