#!/usr/bin/env python3
"""What the fixed tree costs: seconds of --reduction tree over those of --reduction mpi, as a Markdown table.

    tools/bench/reduction.py build/lockstep [--rounds N] [--ranks 1,2,4]

The two take turns, so that a busy machine slows both. A run counts by its fastest epoch in history.csv but the first, which
warms up. The table has the median of each over the rounds, in microseconds a step, the median of the rounds' ratios with their
quartiles, and the ratio of the fastest runs. With one rank nothing is reduced, so its row tells how far to believe the others.
"""
import argparse
import csv
import os
import statistics
import subprocess
import tempfile

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1")
# hidden layers, features, batch size, rows, epochs
NETWORKS = (("2,2", 2, 8, 80000, 30), ("64,64", 32, 1024, 16384, 6), ("256,256,256", 64, 1024, 2048, 4))


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)


def seconds_per_step(lockstep, directory, network, ranks, reduction):
    hidden, features, batch, rows, epochs = network
    data, history = "%s/%d-%d.h5" % (directory, features, rows), directory + "/history.csv"
    if not os.path.exists(data):
        run(lockstep, "generate", "-o", data, "--n-samples", rows, "--n-features", features, "--n-informative", 2,
            "--n-redundant", 0, "--dtype", "float32")
    run("mpirun", "-n", ranks, lockstep, "train", data, "--hidden", hidden, "--batch-size", batch, "--epochs", epochs, "--verbose",
        0, "--reduction", reduction, "--history", history)
    with open(history, newline="") as f:
        times = [float(row["seconds"]) for row in csv.DictReader(f)]
    return min(times[1:]) * batch / rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ranks", default="1,2,4")
    options = parser.parse_args()
    lockstep = os.path.abspath(options.lockstep)
    print("| hidden layers | batch | ranks | tree, us/step | mpi, us/step | tree / mpi | quartiles | fastest |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as directory:
        for network in NETWORKS:
            for ranks in map(int, options.ranks.split(",")):
                times = {"tree": [], "mpi": []}
                for i in range(options.rounds):
                    for reduction in ("tree", "mpi") if i % 2 == 0 else ("mpi", "tree"):
                        times[reduction].append(seconds_per_step(lockstep, directory, network, ranks, reduction))
                tree, mpi = (statistics.median(times[name]) * 1e6 for name in ("tree", "mpi"))
                ratios = [a / b for a, b in zip(times["tree"], times["mpi"])]
                quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
                print("| %s | %d | %d | %.2f | %.2f | %.3f | %.3f .. %.3f | %.3f |" % (
                    network[0], network[2], ranks, tree, mpi, statistics.median(ratios), quartiles[0], quartiles[2],
                    min(times["tree"]) / min(times["mpi"])), flush=True)


if __name__ == "__main__":
    main()
