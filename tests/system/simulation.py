#!/usr/bin/env python3
"""Many ranks, by SimGrid's SMPI in one process: simulation.py PATH_TO_lockstep

Builds the tree that this script belongs to with the preset simulation, in the directory simulation below the build that lockstep
is in. There the model file and the checkpoints of up to 64 ranks must be those of lockstep's one process, byte by byte; sums over
up to 128 ranks must be those of the definition, with few messages and little memory for each rank; and a small study must give
the times that were put in, and points that tools/scaling_study.py reads."""
import csv
import math
import os
import re
import subprocess
import sys

import common
from common import check, expect, same_bytes

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(SOURCE, "tools")
sys.path.insert(0, TOOLS)
sys.dont_write_bytecode = True
from scaling_points import read_points  # noqa: E402
from simulated_cluster import Cluster  # noqa: E402

CLUSTER = Cluster(cores=8)
TRAIN = ["train", "data.h5", "--hidden", "5,3", "--batch-size", 600, "--shards", 64, "--epochs", 3, "--seed", 2, "--verbose", 0]


def step(what, *command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=SOURCE)
    if not check(done.returncode == 0, what, "failed:", done.stdout[-6000:]):
        common.finish()
    return done.stdout


def build(lockstep):
    beside = os.path.dirname(lockstep)
    directory = beside + "/simulation" if os.path.exists(beside + "/CMakeCache.txt") else common.temporary_directory()
    # The bits do not depend on how well the compiler optimizes, the time that it takes does.
    step("configuration", "cmake", "--preset", "simulation", "-B", directory, "-DCMAKE_C_FLAGS_RELEASE=-O1 -w")
    step("build", "cmake", "--build", directory)
    return directory


def run(directory, ranks, words, step_seconds="64:1e-5:2e-5"):
    done = CLUSTER.run(directory, ranks, words, step_seconds)
    check(done.returncode == 0, f"{ranks} ranks failed:", words, done.stdout[-3000:])
    return done.stdout


def same_files(lockstep, program, directory):
    expect(0, lockstep, ["generate", "-o", "data.h5", "--n-samples", 2001, "--n-features", 4, "--random-state", 3],
           directory=directory)
    expect(0, lockstep, TRAIN + ["-o", "one.h5", "--checkpoint-dir", "c1", "--checkpoint-every", "2steps"], directory=directory)
    for ranks in (64, 24, 3):
        checkpoints = f"c{ranks}"
        run(directory, ranks, [program, *TRAIN, "-o", "many.h5", "--checkpoint-dir", checkpoints, "--checkpoint-every", "2steps"])
        check(same_bytes(directory + "/one.h5", directory + "/many.h5"), f"the model of {ranks} ranks differs from that of one")
        names = sorted(os.listdir(directory + "/c1"))
        check(len(names) >= 2 and names == sorted(os.listdir(f"{directory}/{checkpoints}")), "other checkpoints:", names)
        for name in names:
            check(same_bytes(f"{directory}/c1/{name}", f"{directory}/{checkpoints}/{name}"), f"{name} of {ranks} ranks differs")
        os.remove(directory + "/many.h5")


def sums(build_directory, directory):
    """Messages grow with the logarithm of the ranks, memory by 4 bytes a rank."""
    program = directory + "/tree_at_scale"
    pkg_config = step("pkg-config", "pkg-config", "--cflags", "--libs", "jansson", "libxxhash", "openblas").split()
    with open(build_directory + "/build.ninja", encoding="utf-8") as file:
        hdf5 = re.search(r"\S*/libhdf5\.so", file.read()).group(0)
    step("tree_at_scale", "smpicc", "-D_GNU_SOURCE", "-DSMPI_NO_OVERRIDE_MALLOC", "-I", SOURCE + "/src", "-I", SOURCE + "/include", "-O1",
         "-o", program, SOURCE + "/tests/system/tree_at_scale.c", build_directory + "/liblockstep.a", hdf5, *pkg_config, "-lm",
         "-Wl,--wrap=MPI_Isend")
    least = {}
    for ranks in (2, 8, 13, 24, 64, 96, 127, 128):
        lines = [line for line in run(directory, ranks, [program]).splitlines() if re.fullmatch(r"[\d ]+", line)]
        check(len(lines) == 2, f"two lines expected on {ranks} ranks:", lines)
        for line in lines:
            found, size, n_messages, n_bytes = map(int, line.split())
            check(found == ranks, f"{found} ranks came up instead of {ranks}")
            # Up to the owner of a block the subtrees that a rank cannot add itself; two for each level among the owners; the total.
            levels, subtrees = math.floor(math.log2(ranks)), math.ceil(math.log2(128 / ranks))
            check(1 <= n_messages <= subtrees + 2 * levels + 2, f"{n_messages} messages of a rank of {ranks}")
            growth = n_bytes - least.setdefault(size, n_bytes)
            # malloc may give each block some more than was asked for.
            check(growth <= 4 * (ranks - 2) + 1024, f"{growth} bytes more on {ranks} ranks than on 2")


def study(lockstep, program, directory):
    command = [sys.executable, TOOLS + "/simulate_scaling.py", "study", "--lockstep", lockstep, "--simulated", program, "--ranks", "1",
               "4", "6", "--hidden", "3", "--n-features", "2", "--batch-size", "512", "--shards", "16", "--epochs", "1",
               "--ranks-per-node", "4"]
    os.mkdir(directory + "/study")
    # What was measured beforehand is not measured again.
    shares = [("3", rows, shards, 1e-6 * shards) for rows in (32, 5, 21) for shards in (1, 2, 4, 8, 16)]
    with open(directory + "/study/shares.csv", "w", newline="", encoding="ascii") as file:
        csv.writer(file).writerows(shares)
    for _ in range(2):  # the second time nothing is left to do
        done = subprocess.run(command, cwd=directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(done.returncode == 0, "the study failed:", done.stdout[-3000:])
        points = read_points(directory + "/study")
        check(len(points) == 12 and all(point["simulated"] == 1 for point in points), "12 simulated points expected:", points)
        check(done.stdout.count("| 6 | ") == 2, "no table of tree and mpi on 6 ranks:", done.stdout)
    check(len({point["digest"] for point in points if point["scaling"] == "strong" and point["digest"]}) == 1,
          "the ranks did not train the same model:", points)
    for point in points:
        rest = point["seconds_of_steps"] / point["steps"] - 1e-6 * math.ceil(16 / point["ranks"])
        # Two hops inside a node at least; between nodes rank 0 may have begun later than those that it waits for.
        least, most = {1: (-1e-7, 1e-7), 4: (0.6e-6, 10e-6), 6: (0.6e-6, 20e-6)}[point["ranks"]]
        check(least <= rest <= most, f"{rest} s of a step were exchange:", point)


def main():
    lockstep = common.arguments(__doc__).lockstep
    build_directory = build(lockstep)
    directory = common.temporary_directory()
    same_files(lockstep, build_directory + "/lockstep", directory)
    sums(build_directory, directory)
    study(lockstep, build_directory + "/lockstep", directory)
    common.finish()


if __name__ == "__main__":
    main()
