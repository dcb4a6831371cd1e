"""Compares `lockstep generate --rng philox` with the real scikit-learn: philox_data.py LOCKSTEP

1. Element by element. scikit-learn's make_classification runs on a RandomState that hands out the numbers which lockstep
   draws, computed here once more by NumPy: Philox4x32-10, Box and Muller's transform in float32, the dealing of the clusters.
   y must be equal, X within 1e-13 of the column's scale (its largest magnitude), for lockstep adds with fused operations in another order.
2. By statistics, with scikit-learn's own random numbers: means, variances and correlations of the clusters, shares of classes
   and of redrawn labels, noise. All seeds are fixed, so the outcome does not depend on chance; a Kolmogorov-Smirnov test must
   have p > 0.001, a mean or share lie within 5 standard deviations.
3. The file is the same for 1, 2, 3 and 5 ranks.

The comparisons are shown to notice small damage. Ends with a summary; exit code 1 after any difference.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import h5py
import numpy as np
import scipy.stats
import sklearn
from sklearn.datasets import make_classification

TOLERANCE = 1e-13  # of the column's scale
LEAST_P = 1e-3
DEVIATIONS = 5
RANKS = (1, 2, 3, 5)
MIXTURE, SAMPLES, LABELS = 6, 7, 8  # streams
(DEAL, CORNERS, CORNER_REST, CLUSTER_FACTORS, FEATURE_FACTORS, COVARIANCES, REDUNDANT, REPEATED, SHIFT, SCALE,
 COLUMNS) = range(11)  # what of the mixture
DEFAULTS = dict(n_samples=100, n_features=20, n_informative=2, n_redundant=2, n_repeated=0, n_classes=2,
                n_clusters_per_class=2, weights=None, flip_y=0.01, class_sep=1.0, hypercube=True, shift=0.0, scale=1.0,
                shuffle=True, random_state=0)
failures = []


def check(ok, what):
    if not ok:
        failures.append(what)


def philox(seed, stream, instance, index):
    """The four words for each index, as uint64."""
    index = np.asarray(index, dtype=np.uint64)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [index & low, index >> half, np.full_like(index, instance), np.full_like(index, stream)]
    key = [seed, 0]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> half) ^ c[1] ^ np.uint64(key[0]), p1 & low, (p0 >> half) ^ c[3] ^ np.uint64(key[1]), p0 & low]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return c


def uniform(seed, instance, shape):
    words = philox(seed, MIXTURE, instance, np.arange(np.prod(shape, dtype=int)))
    return (((words[0] << np.uint64(32) | words[1]) >> np.uint64(11)) * 2.0**-53).reshape(shape)


def fused(a, b, c):
    """a * b + c rounded once to float32: exact in 64 bits but for sums of very different sizes, which nearly never matters."""
    return (np.asarray(a, np.longdouble) * np.asarray(b, np.longdouble) + np.asarray(c, np.longdouble)).astype(np.float32)


def polynomial(x, coefficients):
    p = np.float32(float.fromhex(coefficients[0]))
    for c in coefficients[1:]:
        p = fused(p, x, np.float32(float.fromhex(c)))
    return p


def box_muller(radius, angle):
    """Two normal numbers for each pair of words, by lockstep's operations on float32; checked against those of NumPy."""
    m = (radius >> np.uint64(1)).astype(np.int64)
    quarter = angle.astype(np.uint32).astype(np.int32) >> 2
    v, rest = (fused(bits.astype(np.float32), 2.0**-31, 2.0**-32) for bits in (m, m ^ 0x7fffffff))
    base = np.float32(float.fromhex("0x1.6a09e6p-1")).view(np.int32)
    from_base = v.view(np.int32) - base
    scaled = ((from_base & 0x7fffff) + base).view(np.float32) - np.float32(1)
    f = np.where(from_base < 0, scaled, -rest)
    q = polynomial(f, ["-0x1.65c76ep-3", "0x1.250494p-2", "-0x1.318522p-2", "0x1.535d3p-2", "-0x1.98d2cp-2", "0x1.00049ap-1",
                       "-0x1.5556f4p-1", "0x1.fffffap-1"])
    q = fused(f * f, q, np.float32(-2) * f)
    length = np.sqrt(fused((from_base >> 23).astype(np.float32), -float.fromhex("0x1.62e43p+0"), q))
    g = quarter.astype(np.float32) * np.float32(2.0**-30)
    sine = g * polynomial(g * g, ["-0x1.2d9bb8p-8", "0x1.465ec6p-4", "-0x1.4abbbap-1", "0x1.921fb6p+0"])
    cosine = polynomial(g * g, ["0x1.d9f7bep-11", "-0x1.55c664p-6", "0x1.03c1dep-2", "-0x1.3bd3ccp+0", "0x1p+0"])
    turn = (angle & np.uint64(3)).astype(int)
    pair = (length * np.choose(turn, [cosine, -sine, -cosine, sine]), length * np.choose(turn, [sine, cosine, -sine, -cosine]))
    exact = np.sqrt(-2 * np.log((m + 0.5) * 2.0**-31))
    for found, function in zip(pair, (np.cos, np.sin)):
        error = np.abs(found - exact * function((turn + quarter * 2.0**-30) * np.pi / 2)).max()
        check(error < 1e-6, f"a normal number in float32 is off by {error:.3g}")
    return pair


def normals(seed, n_samples, n_columns):
    z = np.empty((n_samples + 1, n_columns + 1))
    for pair in range((n_columns + 1) // 2):
        w = philox(seed, SAMPLES, pair, np.arange((n_samples + 1) // 2))
        for half in range(2):
            to = z[half:n_samples + n_samples % 2:2]
            to[:, 2 * pair], to[:, 2 * pair + 1] = box_muller(w[2 * half], w[2 * half + 1])
    return z[:n_samples, :n_columns]


def deal(seed, n):
    """Where each sample lies among the clusters."""
    n_digits = 2
    while 2**(15 * n_digits) < n:
        n_digits += 1
    radix = 32
    while radix**n_digits < n:
        radix += 1
    radices = [max(32, -(-n // radix**(n_digits - 1)))] + [radix] * (n_digits - 1)
    words = philox(seed, MIXTURE, DEAL, np.arange(n_digits * (n_digits + 1)))
    keys, factors, low = (words[0] & np.uint64(0xffff)).astype(int), (words[1] & np.uint64(0xffff)).astype(int) | 1, 0xffff

    place = np.arange(n)
    pending = np.ones(n, dtype=bool)
    while pending.any():
        digits = np.array(np.unravel_index(place[pending], radices))
        for step in range(n_digits * (n_digits + 1)):
            k = step % n_digits
            h = (digits[k - 1] ^ keys[step]) * factors[step] & low
            h = (h ^ h >> 7) * 0x9E37 & low
            digits[k] = (digits[k] + (h * radices[k] >> 16)) % radices[k]
        place[pending] = np.ravel_multi_index(digits, radices)
        pending = place >= n
    return place


def corners(seed, n, dimensions):
    """Different corners of the hypercube: a Feistel network's images of 0 .. n-1 give the first 30 coordinates."""
    n_bits = min(dimensions, 30)
    half_bits = next(h for h in range(4, 32) if 2**(2 * h) >= 2**n_bits)
    w = philox(seed, MIXTURE, CORNERS, np.arange(8))
    keys = [int(high) << 32 | int(low) for high, low in zip(w[0], w[1])]
    mask, word = 2**half_bits - 1, 2**64 - 1

    def mix(value, key):
        value = (value ^ key) * 0xff51afd7ed558ccd & word
        value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53 & word
        return value ^ value >> 33

    def image(i):
        while True:
            left, right = i >> half_bits, i & mask
            for key in keys:
                left, right = right, left ^ mix(right, key) & mask
            i = left << half_bits | right
            if i < 2**n_bits:
                return i

    numbers = np.array([image(i) for i in range(n)])
    result = (uniform(seed, CORNER_REST, (n, dimensions)) >= 0.5).astype(float)
    result[:, :n_bits] = numbers[:, None] >> np.arange(n_bits) & 1
    return result


def permutation(seed, instance, n):
    """Fisher and Yates' shuffle with Lemire's bounded draws."""
    def all_words():
        block = 0
        while True:
            yield from (int(w[0]) for w in philox(seed, MIXTURE, instance, [block]))
            block += 1

    order, words = np.arange(n), all_words()
    for i in range(n, 1, -1):
        while True:
            product = next(words) * i
            if product % 2**32 >= 2**32 % i:
                break
        j = product >> 32
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


class Draws(np.random.RandomState):
    """Hands scikit-learn prepared arrays in the order in which it asks; another question is an error."""

    def prepare(self, answers):
        self.answers = list(answers)

    def answer(self, kind, shape):
        expected, values = self.answers.pop(0)
        assert expected == kind and values.shape == ((shape,) if np.isscalar(shape) else tuple(shape)), (kind, shape)
        return values

    def uniform(self, size):
        return self.answer("uniform", size)

    def standard_normal(self, size):
        return self.answer("normal", size)

    def randint(self, n, size):
        return self.answer("randint", size)

    def shuffle(self, array):
        array[:] = self.answer("shuffle", array.shape)


def expected(parameters):
    """What scikit-learn makes of lockstep's random numbers."""
    p = {**DEFAULTS, **parameters}
    seed, n, k, n_clusters = p["random_state"], p["n_samples"], p["n_informative"], p["n_classes"] * p["n_clusters_per_class"]
    n_noise = p["n_features"] - k - p["n_redundant"] - p["n_repeated"]
    place = deal(seed, n) if p["shuffle"] else np.arange(n)
    sample = np.argsort(place)  # at each place
    z = normals(seed, n, k + n_noise)[sample]
    words = np.stack(philox(seed, LABELS, 0, np.arange(-(-n // 4)))).T.ravel()[:n][sample]
    flip_below = int(p["flip_y"] * 2**32 + 0.5)
    redrawn = words[words < flip_below].astype(float) * (p["n_classes"] / max(flip_below, 1))
    answers = []
    if not p["hypercube"]:
        answers += [("uniform", uniform(seed, CLUSTER_FACTORS, (n_clusters, 1))),
                    ("uniform", uniform(seed, FEATURE_FACTORS, (1, k)))]
    answers.append(("normal", z[:, :k]))
    answers += [("uniform", matrix) for matrix in uniform(seed, COVARIANCES, (n_clusters, k, k))]
    if p["n_redundant"]:
        answers.append(("uniform", uniform(seed, REDUNDANT, (k, p["n_redundant"]))))
    if p["n_repeated"]:
        answers.append(("uniform", uniform(seed, REPEATED, (p["n_repeated"],))))
    if n_noise:
        answers.append(("normal", z[:, k:]))
    answers += [("uniform", words * 2.0**-32), ("randint", redrawn.astype(int))]
    answers += [("uniform", uniform(seed, draw, (p["n_features"],)))
                for name, draw in (("shift", SHIFT), ("scale", SCALE)) if p[name] is None]
    if p["shuffle"]:
        answers += [("shuffle", place), ("shuffle", permutation(seed, COLUMNS, p["n_features"]))]
    draws = Draws(0)
    draws.prepare(answers)
    with mock.patch("sklearn.datasets._samples_generator._generate_hypercube",
                    lambda samples, dimensions, rng: corners(seed, samples, dimensions)):
        x, y = make_classification(**{**p, "random_state": draws})
    assert not draws.answers
    return x, y


def word(value):
    if value is None:
        return "none"
    if isinstance(value, (list, np.ndarray)):
        return ",".join(repr(float(v)) for v in value)
    return repr(value)


def generate(lockstep, path, parameters, *more, ranks=0):
    words = [f"--{name.replace('_', '-')}={str(value).lower() if isinstance(value, bool) else word(value)}"
             for name, value in parameters.items() if not (name == "weights" and value is None)]
    launcher = [shutil.which("mpirun"), "-n", str(ranks)] if ranks else []
    subprocess.run([*launcher, lockstep, "generate", "-o", path, "--rng", "philox", *words, *more], check=True,
                   stdout=subprocess.DEVNULL)


def made(lockstep, directory, parameters, *more):
    """{"train": (X, y), ...} and the attributes."""
    path = os.path.join(directory, "data.h5")
    generate(lockstep, path, parameters, *more)
    with h5py.File(path) as file:
        sets, attributes = {name: (file[name]["X"][...], file[name]["y"][...]) for name in file}, dict(file.attrs)
    os.remove(path)
    return sets, attributes


def cases():
    features = np.linspace(-3, 4, 20)
    yield dict(n_samples=20011, n_features=2, n_redundant=0, class_sep=1.5, random_state=7)
    yield dict()
    yield dict(random_state=2**32 - 1, n_samples=1)
    yield dict(n_samples=17, n_features=1, n_informative=1, n_redundant=0, n_clusters_per_class=1, flip_y=1.0)
    yield dict(n_samples=5003, n_features=30, n_informative=12, n_redundant=5, n_repeated=4, n_classes=5,
               n_clusters_per_class=7, random_state=3, flip_y=0.3)
    yield dict(n_samples=3000, n_features=9, n_informative=3, n_classes=4, n_clusters_per_class=2, hypercube=False,
               shift=None, scale=None, random_state=4)
    yield dict(n_samples=1000, n_features=40, n_informative=33, n_redundant=3, n_classes=300, n_clusters_per_class=2,
               random_state=5)
    yield dict(n_samples=999, n_features=8, n_informative=4, n_repeated=1, shuffle=False, flip_y=0.0, random_state=6)
    yield dict(n_samples=1001, n_classes=3, n_informative=5, weights=[0.5, 0.3], shift=features, scale=features**2 + 0.5)
    yield dict(n_samples=1001, weights=[0.9, 0.9], shift=-2.25, scale=0.1, n_features=6, n_informative=4, random_state=8)


def difference(expected_set, found_set):
    """What is wrong with found, or None."""
    (x, y), (found_x, found_y) = expected_set, found_set
    if found_x.shape != x.shape or found_y.shape != y.shape:
        return f"shapes {found_x.shape} {found_y.shape} instead of {x.shape} {y.shape}"
    if not np.array_equal(found_y, y):
        return f"{np.sum(found_y != y)} labels differ"
    deviation = np.max(np.abs(found_x - x) / np.maximum(np.abs(x).max(axis=0), 1))
    return f"X differs by {deviation:.3g}" if not deviation <= TOLERANCE else None


def test_elements(lockstep, directory):
    n = 0
    for parameters in cases():
        n += 1
        x, y = expected(parameters)
        sets, attributes = made(lockstep, directory, parameters)
        problem = difference((x, y), sets["train"])
        check(problem is None, f"{parameters}: {problem}")
        check(attributes["rng"] == "philox" and "sklearn_version" not in attributes, f"{parameters}: attributes {attributes}")
        if len(x) < 100:
            continue
        # The split takes the first samples, other types are the rounded values.
        split, _ = made(lockstep, directory, parameters, "--train-size=0.8", "--dtype=float32")
        cut = int(0.8 * len(x))
        for name, part in (("train", slice(0, cut)), ("test", slice(cut, None))):
            check(np.array_equal(split[name][0], sets["train"][0][part].astype(np.float32)) and
                  np.array_equal(split[name][1], sets["train"][1][part]), f"{parameters}: {name} of the split")
        damaged_x, damaged_y = x.copy(), y.copy()
        damaged_x[len(x) // 2, 0] += 1e-11 * np.abs(x).max()
        damaged_y[len(x) // 3] += 1
        check(difference((x, y), (damaged_x, y)) and difference((x, y), (x, damaged_y)), f"{parameters}: damage not noticed")
    return n


def statistics(x, y, p):
    """Numbers about each cluster: they lie one after the other."""
    k, n_clusters = p["n_informative"], p["n_classes"] * p["n_clusters_per_class"]
    clusters = np.split(x, n_clusters)
    off_diagonal = np.triu_indices(k, 1)
    before = np.repeat(np.arange(n_clusters) % p["n_classes"], len(x) // n_clusters)
    return dict(means=np.array([c[:, :k].mean(axis=0) for c in clusters]),
                deviations=np.array([c[:, :k].std(axis=0) for c in clusters]),
                correlations=np.array([np.corrcoef(c[:, :k].T)[off_diagonal] for c in clusters]),
                volumes=np.array([np.linalg.slogdet(np.cov(c[:, :k].T))[1] for c in clusters]),
                redundant=np.array([c[:, k:k + p["n_redundant"]].std(axis=0) for c in clusters]),
                noise=x[:, k + p["n_redundant"]:], classes=np.bincount(y, minlength=p["n_classes"]) / len(y),
                changed=np.mean(y != before))


def test_statistics(lockstep, directory):
    p = dict(n_samples=128000, n_features=12, n_informative=6, n_redundant=3, n_classes=4, n_clusters_per_class=16,
             flip_y=0.2, class_sep=1.5, shuffle=False, random_state=1)
    real_x, real_y = make_classification(**p)
    sets, _ = made(lockstep, directory, p)
    real, found = statistics(real_x, real_y, p), statistics(*sets["train"], p)
    per_cluster = p["n_samples"] // (p["n_classes"] * p["n_clusters_per_class"])
    lines = []

    def similar(name, a, b, wanted=True):
        probability = scipy.stats.ks_2samp(np.ravel(a), np.ravel(b)).pvalue
        lines.append(f"{name} p = {probability:.3g}")
        check((probability > LEAST_P) == wanted, f"Kolmogorov-Smirnov of {name}: p = {probability:.3g}")

    for s in (real, found):
        error = np.abs(np.abs(s["means"]) - p["class_sep"]) / (s["deviations"] / np.sqrt(per_cluster))
        check(error.max() < DEVIATIONS, f"means of clusters: off by {error.max():.3g} standard deviations")
        check(len(np.unique(np.sign(s["means"]), axis=0)) == p["n_classes"] * p["n_clusters_per_class"], "corners repeat")
        share = 1 / p["n_classes"]
        error = np.abs(s["classes"] - share).max() / np.sqrt(p["flip_y"] * share / p["n_samples"])
        check(error < DEVIATIONS, f"shares of classes: off by {error:.3g} standard deviations")
        rate = p["flip_y"] * (1 - share)
        error = abs(s["changed"] - rate) / np.sqrt(rate * (1 - rate) / p["n_samples"])
        check(error < DEVIATIONS, f"share of changed labels: off by {error:.3g} standard deviations")
    for name in ("deviations", "correlations", "volumes"):
        similar(name, real[name], found[name])
    # One matrix serves all clusters, so many columns stand in for many clusters.
    small = {**p, "n_samples": 6400, "n_features": 100, "n_redundant": 90}
    real_x, real_y = make_classification(**small)
    sets, _ = made(lockstep, directory, small)
    similar("redundant", statistics(real_x, real_y, small)["redundant"].mean(axis=0),
            statistics(*sets["train"], small)["redundant"].mean(axis=0))
    for j in range(p["n_features"] - p["n_informative"] - p["n_redundant"]):
        similar(f"noise {j}", real["noise"][:, j], found["noise"][:, j])
        probability = scipy.stats.kstest(found["noise"][:, j], "norm").pvalue
        check(probability > LEAST_P, f"Kolmogorov-Smirnov of noise {j} and the normal distribution: p = {probability:.3g}")
    similar("noise 2 % too wide", real["noise"], found["noise"] * 1.02, wanted=False)
    similar("noise shifted by 0.02", real["noise"], found["noise"] + 0.02, wanted=False)
    # The whole, shuffled, where nothing is known about single clusters: both halves of the file are alike.
    shuffled = {**p, "shuffle": True}
    x, y = made(lockstep, directory, shuffled)[0]["train"]
    half = len(x) // 2
    for j in range(p["n_features"]):
        similar(f"halves of feature {j}", x[:half, j], x[half:, j])
    return lines


def test_ranks(lockstep, directory):
    if not shutil.which("mpirun"):
        raise SystemExit("mpirun is not there")
    parameters = dict(n_samples=70001, n_features=5, flip_y=0.1, random_state=11)
    for more in ((), ("--train-size=0.7", "--dtype=float32"), ("--train-size=69999", "--n-classes=4", "--n-informative=3")):
        paths = [os.path.join(directory, f"ranks{ranks}.h5") for ranks in RANKS]
        for ranks, path in zip(RANKS, paths):
            generate(lockstep, path, parameters, *more, ranks=ranks)
            check(filecmp.cmp(paths[0], path, shallow=False), f"{more}: file of {ranks} ranks differs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep")
    lockstep = os.path.abspath(parser.parse_args().lockstep)
    with tempfile.TemporaryDirectory(prefix="lockstep-philox-") as directory:
        n_cases = test_elements(lockstep, directory)
        lines = test_statistics(lockstep, directory)
        test_ranks(lockstep, directory)
    print("; ".join(lines))
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"scikit-learn {sklearn.__version__}: {n_cases} cases equal element by element, {len(lines)} distributions, "
          f"ranks {', '.join(map(str, RANKS))}; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
