#!/usr/bin/env python3
"""What making the samples costs: generate --rng philox beside bare pwrite by the same ranks, as a Markdown table.

    tools/bench/writing.py build/lockstep [--samples N] [--rounds N] [--ranks 1,2]
                           [--dtypes float32,float64] [--directory DIRECTORY]

The two take turns and write as many bytes, both up to the end of fsync. generate's seconds are those of its own last line:
without the start of MPI, with putting the file in place. The table has the medians over the rounds, and the median of the
rounds' ratios with quartiles. DIRECTORY (by default the program's) says which disk; limit_write.c beside this file is the
bare pwrite.
"""
import argparse
import os
import re
import statistics
import subprocess
import tempfile

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1")
FEATURES = 2
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}
LAST_LINE = re.compile(r"generate: (\d+)/\1 samples - \S+ in all - ([0-9.]+)([kMG]?) samples/s")


def run(ranks, *words):
    os.sync()  # what the one before has left
    return subprocess.run(["mpirun", "-n", str(ranks), "--bind-to", "core", *map(str, words)], check=True, text=True,
                          env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def generate(lockstep, path, samples, ranks, dtype):
    """Seconds, and the size of the file."""
    result = run(ranks, lockstep, "generate", "--rng", "philox", "-o", path, "--n-samples", samples, "--n-features", FEATURES,
                 "--n-informative", FEATURES, "--n-redundant", 0, "--dtype", dtype, "--progress", "lines")
    found = LAST_LINE.search(result.stderr)
    size = os.path.getsize(path)
    os.unlink(path)
    return samples / (float(found[2]) * UNITS[found[3]]), size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep")
    parser.add_argument("--samples", type=int, default=10 ** 8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--dtypes", default="float32,float64")
    parser.add_argument("--directory", help="where to write (default: beside the program)")
    options = parser.parse_args()
    lockstep = os.path.abspath(options.lockstep)
    print("| file | ranks | generate s | million samples/s | pwrite s | GB/s | generate reaches |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.directory or os.path.dirname(lockstep)) as directory:
        program, path = directory + "/limit_write", directory + "/file"
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "limit_write.c")
        subprocess.run(["mpicc", "-O2", "-o", program, source], check=True)
        for dtype in options.dtypes.split(","):
            for ranks in map(int, options.ranks.split(",")):
                pairs = []
                for _ in range(options.rounds):
                    seconds, size = generate(lockstep, path, options.samples, ranks, dtype)
                    pairs.append((seconds, float(run(ranks, program, path, round(size / 2 ** 20)).stdout)))
                ours, limit = (statistics.median(values) for values in zip(*pairs))
                reached = [b / a for a, b in pairs]
                low, _, high = statistics.quantiles(reached, n=4, method="inclusive") if len(reached) > 1 else reached * 3
                print("| %g x %d %s, %.2f GB | %d | %.2f | %.0f | %.2f | %.2f | %.0f %% (%.0f..%.0f) |" % (
                    options.samples, FEATURES, dtype, 1e-9 * size, ranks, ours, 1e-6 * options.samples / ours, limit,
                    1e-9 * size / limit, 100 * statistics.median(reached), 100 * low, 100 * high), flush=True)


if __name__ == "__main__":
    main()
