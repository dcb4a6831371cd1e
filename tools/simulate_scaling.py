#!/usr/bin/python3
"""Simulates how training would scale on a cluster that is only described.

    tools/simulate_scaling.sh study                          # a tiny and a wide network on up to 1024 ranks
    tools/simulate_scaling.sh study --ranks 1 8 64 --hidden 64,64 --batch-size 8192 --shards 128

The real trainer computes, on ranks that SimGrid's SMPI runs in one process; what they send takes the time that it would take on
the cluster described by the options, and a step's arithmetic the time that it takes here, measured beforehand by a lone process
(memory that the cores of a node share may make it longer). What a rank adds on receiving is not counted, for the tree no more
than for MPI_Allreduce. Ranks of a node exchange messages, too: the memory that they share in earnest is not simulated.

Each point is simulated with lockstep's fixed tree and with MPI_Allreduce as Open MPI chooses its algorithms. The directory gets
points-simulated.csv, which tools/scaling_study.py reports among the points of a study, the tables that are printed, and
shares.csv with the times of a step's arithmetic (layers, rows of a shard, shards, seconds). What is in these files is not
done again.
"""
import argparse
import csv
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys

from scaling_points import PARTS, SPREAD, PointFile, identity, read_points
from simulated_cluster import Cluster

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REDUCTIONS = ("tree", "mpi")
STEPS_PER_EPOCH = 4
CALIBRATION_SECONDS, CALIBRATIONS = 0.1, 3
DEFAULT_RANKS = [1, 2, 4, 8, 16, 32, 64, 96, 128, 256, 384, 512, 768, 1024]


class Failure(Exception):
    """What went wrong, in words for the user."""


def run(words):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failure(f"exit code {done.returncode}: {' '.join(map(str, words))}\n{done.stdout[-1000:]}")


def training(point, data, model, times):
    return ["train", data, "--hidden", point["hidden"], "--batch-size", point["batch_size"], "--epochs", point["epochs"],
            "--seed", 1, "--verbose", 0, "-o", model, "--times", times, *point["options"].split()]


class Simulation:
    """Where the points are simulated, and how."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.directory = os.path.abspath(arguments.directory)
        self.cluster = Cluster(arguments.ranks_per_node, arguments.latency, arguments.bandwidth, arguments.node_latency,
                               arguments.node_bandwidth)
        os.makedirs(self.path("data"), exist_ok=True)
        self.shares = {}  # seconds of a step of a lone rank: {(hidden, rows of a shard, shards): seconds}
        if os.path.exists(self.path("shares.csv")):
            with open(self.path("shares.csv"), newline="", encoding="ascii") as file:
                for hidden, rows, shards, seconds in csv.reader(file):
                    self.shares[hidden, int(rows), int(shards)] = float(seconds)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def points(self):
        a = self.arguments
        return [{"scaling": scaling, "simulated": 1, "machine": self.cluster.name(), "hidden": hidden, "n_features": n_features,
                 "n_samples": batch_size * STEPS_PER_EPOCH, "batch_size": batch_size, "epochs": a.epochs,
                 "options": f"--shards {a.shards} --reduction {reduction}", "ranks": ranks, "repetition": 0}
                for hidden, n_features in zip(a.hidden, a.n_features) for scaling in a.scaling for ranks in a.ranks
                for batch_size in [a.batch_size if scaling == "strong" else a.batch_size // max(a.ranks) * ranks]
                if ranks <= a.shards <= batch_size for reduction in REDUCTIONS]

    def data(self, n_samples, n_features):
        path = self.path("data", f"n{n_samples}-f{n_features}.h5")
        if not os.path.exists(path):
            run([self.arguments.lockstep, "generate", "-o", path, "--rng", "philox", "--n-samples", n_samples, "--n-features",
                 n_features, "--n-informative", 2, "--n-redundant", 0, "--class-sep", 1.5, "--dtype", "float32"])
        return path

    def cpu_seconds(self, point, rows, shards, epochs):
        """Of a lone process that trains on so many shards of so many rows."""
        alone = dict(point, batch_size=rows * shards, epochs=epochs, options=f"--shards {shards}")
        data = self.data(rows * shards * STEPS_PER_EPOCH, point["n_features"])
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        run([self.arguments.lockstep, *training(alone, data, self.path("model.h5"), self.path("times.json"))])
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    def measure(self, point, rows, shards):
        """Seconds of a step of a lone process: what some epochs more take. By the process' own time, for other programs may
        run on the core as well; the median of several."""
        epochs, found = 1, []
        while len(found) < CALIBRATIONS:
            seconds = self.cpu_seconds(point, rows, shards, 1 + epochs) - self.cpu_seconds(point, rows, shards, 1)
            if seconds < CALIBRATION_SECONDS / 2:
                epochs = int(epochs * min(100, max(2, CALIBRATION_SECONDS / max(seconds, 1e-6))))
            else:
                found.append(seconds / (epochs * STEPS_PER_EPOCH))
        return statistics.median(found)

    def share(self, point, shards):
        """Seconds of a step of a rank with so many shards; between powers of two in proportion."""
        rows = point["batch_size"] // self.arguments.shards
        low = 1 << (shards.bit_length() - 1)
        found = []
        for count in (low, 2 * low) if shards > low else (low,):
            key = (point["hidden"], rows, count)
            if key not in self.shares:
                self.shares[key] = self.measure(point, rows, count)
                with open(self.path("shares.csv"), "a", newline="", encoding="ascii") as file:
                    csv.writer(file, lineterminator="\n").writerow([*key, self.shares[key]])
            found.append(self.shares[key])
        return found[0] + (found[-1] - found[0]) * (shards - low) / low

    def simulate(self, point):
        ranks, shards = point["ranks"], self.arguments.shards
        low = shards // ranks
        cost = f"{shards}:{self.share(point, low):.9g}:{self.share(point, low + (shards % ranks > 0)):.9g}"
        model, times = self.path("model.h5"), self.path("times.json")
        for path in (model, times):
            if os.path.exists(path):
                os.remove(path)
        words = training(point, self.data(point["n_samples"], point["n_features"]), model, times)
        done = self.cluster.run(self.directory, ranks, [self.arguments.simulated, *words], cost)
        if done.returncode != 0 or not os.path.exists(times):
            raise Failure(f"exit code {done.returncode}: {done.stdout[-1000:]}")
        with open(times, encoding="utf-8") as file:
            found = json.load(file)
        # The bits of MPI_Allreduce depend on the ranks: nothing to compare.
        digest = ""
        if point["options"].endswith("tree"):
            with open(model, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()[:16]
        values = {f"{part}_{which}": found[part][which] for part in PARTS for which in SPREAD}
        values.update({name: found[name] for name in ("shards", "message_bytes", "steps", "seconds", "seconds_of_steps")})
        return dict(point, nodes=self.cluster.n_nodes(ranks), oversubscribed=0, digest=digest, **values)

    def run_all(self):
        done = {identity(point) for point in read_points(self.directory)}
        points = [point for point in self.points() if identity(point) not in done]
        file = PointFile(self.path("points-simulated.csv"))
        for number, point in enumerate(points, 1):
            point = self.simulate(point)
            file.append(point)
            print(f"[{number}/{len(points)}] {point['scaling']}, [{point['hidden']}], {point['options']}, ranks {point['ranks']}: "
                  f"{1e6 * point['seconds_of_steps'] / point['steps']:.4g} us a step", flush=True)

    def tables(self):
        """Markdown: a table for each network and scaling, tree beside mpi."""
        found = {}
        for point in read_points(self.directory):
            if point["simulated"] and point["machine"] == self.cluster.name():
                each = point["batch_size"] // (point["ranks"] if point["scaling"] == "weak" else 1)
                series = found.setdefault((point["hidden"], point["scaling"], each, point["message_bytes"]), {})
                series.setdefault(point["ranks"], {})[point["options"].split()[-1]] = point
        lines = [f"Simulated, not measured: {self.cluster.name()}."]
        for (hidden, scaling, batch_size, size), levels in found.items():
            each = " a rank" if scaling == "weak" else ""
            lines += ["", f"[{hidden}], {scaling} scaling, batch {batch_size}{each}, {size} bytes a message", "",
                      "| ranks | compute us | tree us | mpi us | mpi / tree | speed-up | efficiency |", "|---" * 7 + "|"]
            first = min(levels)
            for ranks, both in sorted(levels.items()):
                if set(both) != set(REDUCTIONS):
                    continue
                tree, mpi = (1e6 * both[name]["seconds_of_steps"] / both[name]["steps"] for name in REDUCTIONS)
                base = 1e6 * levels[first]["tree"]["seconds_of_steps"] / levels[first]["tree"]["steps"]
                speed_up = base / tree * (ranks / first if scaling == "weak" else 1)
                compute = 1e6 * self.share(both["tree"], -(-self.arguments.shards // ranks))
                lines.append(f"| {ranks} | {compute:.4g} | {tree:.4g} | {mpi:.4g} | {mpi / tree:.2f} | {speed_up:.1f} | "
                             f"{100 * speed_up * first / ranks:.0f} % |")
        return "\n".join(lines) + "\n"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="of the study; made if it is not there")
    parser.add_argument("--scaling", nargs="+", choices=("strong", "weak"), default=["strong", "weak"], help="(default: both)")
    parser.add_argument("--ranks", nargs="+", type=int, default=DEFAULT_RANKS, metavar="R",
                        help=f"(default: {' '.join(map(str, DEFAULT_RANKS))})")
    parser.add_argument("--hidden", nargs="+", default=["2,2", "256,256,256"], metavar="U,U",
                        help="networks (default: 2,2 256,256,256)")
    parser.add_argument("--n-features", nargs="+", type=int, default=[2, 64], metavar="N", help="of each network (default: 2 64)")
    parser.add_argument("--batch-size", type=int, default=65536, metavar="B",
                        help="in strong scaling, and of the most ranks in weak scaling, where ranks with too few rows for the shards "
                        "are left out (default: 65536)")
    parser.add_argument("--shards", type=int, default=1024, metavar="S", help="(default: 1024)")
    parser.add_argument("--epochs", type=int, default=2, help=f"of {STEPS_PER_EPOCH} steps (default: 2)")
    parser.add_argument("--ranks-per-node", type=int, default=32, help="(default: 32)")
    parser.add_argument("--latency", type=float, default=1.3, metavar="US", help="between nodes (default: 1.3 us)")
    parser.add_argument("--bandwidth", type=float, default=100, metavar="GBITS", help="of a node's link (default: 100 Gbit/s)")
    parser.add_argument("--node-latency", type=float, default=0.3, metavar="US", help="inside a node (default: 0.3 us)")
    parser.add_argument("--node-bandwidth", type=float, default=80, metavar="GBITS", help="inside a node (default: 80 Gbit/s)")
    parser.add_argument("--lockstep", default=os.path.join(ROOT, "build", "lockstep"), help="(default: build/lockstep)")
    parser.add_argument("--simulated", default=os.path.join(ROOT, "build-simulation", "lockstep"),
                        help="build for simulated ranks (default: build-simulation/lockstep)")
    arguments = parser.parse_args()
    for program in (arguments.lockstep, arguments.simulated, "smpirun"):
        if not shutil.which(program):
            parser.error(f"there is no {program}: tools/simulate_scaling.sh installs and builds what is needed")
    if len(arguments.hidden) != len(arguments.n_features):
        parser.error("--n-features must have a number for each network of --hidden")
    if arguments.shards & (arguments.shards - 1) or arguments.batch_size % arguments.shards:
        parser.error("--shards must be a power of two that divides --batch-size")
    if min(arguments.ranks) < 1 or max(arguments.ranks) > arguments.shards:
        parser.error("--ranks must be from 1 to --shards")
    return arguments


def main():
    simulation = Simulation(parse_arguments())
    try:
        simulation.run_all()
    except Failure as failure:
        print(f"simulate_scaling.py: {failure}", file=sys.stderr)
        return 1
    tables = simulation.tables()
    with open(simulation.path("simulated.md"), "w", encoding="utf-8") as file:
        file.write(tables)
    print("\n" + tables, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
