"""Latency, bandwidth and compute from the times of steps, by least squares."""
import math
from typing import NamedTuple

import numpy as np

TEXT = """\
The time of a step on R ranks is taken to be

    step = rows x compute + fixed + ceil(log2 R) x (latency + bytes / bandwidth)

where rows is the busiest rank's share of the batch (the batch times the most shards of a rank over all shards), bytes is the
message of a step (gradients and measures), and the last part counts the doublings after which a sum has reached all ranks.
compute and fixed belong to a network, latency and bandwidth to the machine: one pair for all doublings, whether inside a node
or between nodes. All are found together by least squares of the relative residuals, none below zero. Runs on more ranks than
cores take no part."""


class Sample(NamedTuple):
    network: str
    ranks: int
    rows: float   # of the busiest rank
    bytes: float  # of a message
    step: float   # seconds

    @property
    def doublings(self):
        return math.ceil(math.log2(self.ranks))


class Fit(NamedTuple):
    compute: dict  # seconds of a row, by network
    fixed: dict    # seconds of a step, by network; empty where the points do not tell it from the rest
    latency: float
    seconds_per_byte: float  # 0 where messages of one length do not tell it from latency
    has_bandwidth: bool
    n_samples: int
    n_unknowns: int

    def step(self, sample):
        return (sample.rows * self.compute[sample.network] + self.fixed.get(sample.network, 0) +
                sample.doublings * (self.latency + sample.bytes * self.seconds_per_byte))


def sample_of(network, ranks, shards, batch_size, message_bytes, step=math.nan):
    return Sample(network, ranks, math.ceil(shards / ranks) / shards * batch_size, message_bytes, step)


def nonnegative(matrix, target):
    """Least squares with no unknown below zero: the most negative one becomes zero until none is left."""
    free = list(range(matrix.shape[1]))
    result = np.zeros(matrix.shape[1])
    while free:
        values = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
        if values.min() >= 0:
            result[free] = values
            break
        del free[int(values.argmin())]
    return result


def fit(samples):
    """A Fit, or None where there are fewer points than unknowns."""
    networks = list(dict.fromkeys(sample.network for sample in samples))
    exchanging = [sample for sample in samples if sample.ranks > 1]
    has_bandwidth = len({sample.bytes for sample in exchanging}) > 1
    machine = ([lambda s: s.doublings] if exchanging else []) + ([lambda s: s.doublings * s.bytes] if has_bandwidth else [])
    compute = [lambda s, n=n: s.rows * (s.network == n) for n in networks]
    fixed = [lambda s, n=n: float(s.network == n) for n in networks]
    for columns in (compute + machine + fixed, compute + machine):
        # Relative residuals; columns of one length, so that their units do not matter.
        matrix = np.array([[column(sample) / sample.step for column in columns] for sample in samples])
        if not matrix.size:
            return None
        lengths = np.linalg.norm(matrix, axis=0)
        if len(samples) > len(columns) and np.linalg.matrix_rank(matrix / lengths, tol=1e-6) == len(columns):
            values = nonnegative(matrix / lengths, np.ones(len(samples))) / lengths
            break
    else:
        return None
    n, m = len(networks), len(machine)
    return Fit(dict(zip(networks, values[:n])), dict(zip(networks, values[n + m:])), values[n] if exchanging else 0.0,
               values[n + 1] if has_bandwidth else 0.0, has_bandwidth, len(samples), len(columns))
