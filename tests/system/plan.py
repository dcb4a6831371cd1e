#!/usr/bin/env python3
"""lockstep plan against trainings that follow: plan.py PATH_TO_lockstep

The size of model file and checkpoints must be the one told, to the byte; the greatest resident size of the ranks at most 8 MB
above what was told for rank 0, and at least 0.7 of it less 8 MB: the plan keeps room for buffers, and where malloc takes its
memory from differs from run to run by some megabytes."""
import json
import os
import sys
import tempfile

import common
from common import check, expect

# Runs a command, then leaves its greatest resident size in a file of its own: lines on stdout may mix under mpirun.
MEASURE = """\
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
with open(os.path.join(sys.argv[1], str(os.getpid())), "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)
"""
MB = 1000 * 1000
WIDE_BYTES = 512


def plan(lockstep, data, options, ranks, on):
    """The plan for some ranks, made by a plain process (on=0) or on several."""
    return json.loads(expect(0, lockstep, ["plan", *([data] if data else []), "--ranks", max(ranks, 1), "--json", *options], on).stdout)


def peaks(lockstep, data, options, ranks):
    """Greatest resident sizes of the ranks of a training, in no order."""
    directory = tempfile.mkdtemp(dir=os.path.dirname(data))
    expect(0, sys.executable, ["-c", MEASURE, directory, lockstep, "train", data, "--verbose", 0, *options], ranks)
    sizes = []
    for name in os.listdir(directory):
        with open(os.path.join(directory, name)) as f:
            sizes.append(int(f.read()))
    return sorted(sizes)


def check_memory(lockstep, data, model, ranks, options, is_wide=False):
    told = plan(lockstep, data, options, ranks, ranks)
    real = peaks(lockstep, data, [*options, "-o", model], ranks)
    most = told["rank_memory"]["rank_0"]
    what = f"{options} on {ranks} ranks: told {told['rank_memory']}, real {real}"
    check(len(real) == max(ranks, 1), "peaks of all ranks:", what)
    check(real[-1] <= most + 8 * MB, "more memory than told:", what)
    check(real[-1] >= 0.7 * most - 8 * MB, "far less memory than told:", what)
    # Of a wide network a narrower one is tried, whose file has shorter numbers in it.
    check(abs(os.path.getsize(model) - told["checkpoint_bytes"]) <= (WIDE_BYTES if is_wide else 0), "size of the model file:",
          os.path.getsize(model), what)
    if ranks == 0:
        return
    alone = plan(lockstep, data, options, ranks, 0)
    check(real[-1] <= alone["rank_memory"]["rank_0"] + 8 * MB, "more memory than a lone process told:", alone, what)
    same = ("checkpoint_bytes", "first_epoch_bytes", "rank_rows", "rank_batch_rows", "rank_shards", "steps", "max_ranks")
    check([told[name] for name in same] == [alone[name] for name in same], "another plan by a lone process:", alone, told)


def check_sizes(lockstep, data, directory):
    """Checkpoints as the history grows."""
    options = ["--hidden", "5,4", "--batch-size", 500, "--epochs", 60, "--checkpoint-dir", directory, "--keep", 60]
    told = plan(lockstep, data, options, 0, 0)
    expect(0, lockstep, ["train", data, "--verbose", 0, *options])
    sizes = [os.path.getsize(os.path.join(directory, name)) for name in sorted(os.listdir(directory)) if name.endswith(".h5")]
    check(len(sizes) == 60, "60 checkpoints:", len(sizes))
    check(sizes[0] == told["checkpoint_bytes"], "the first checkpoint's size:", sizes[0], told)
    check(sizes == sorted(sizes) and sizes[-1] <= told["last_checkpoint_bytes"] <= 1.3 * sizes[-1],
          "the last checkpoint's size:", sizes[-1], told)


def check_bytes(lockstep, data, n_samples, n_features):
    told = plan(lockstep, data, [], 0, 0)
    all_bytes = n_samples * (8 * n_features + 1)
    check(told["first_epoch_bytes"] == all_bytes and told["epoch_bytes"] == 0, "bytes to read:", told)
    half = plan(lockstep, data, ["--shuffle", "none", "--memory", n_samples * (n_features + 1) * 2, "--batch-size", 1000], 0, 0)
    check(0.45 * all_bytes < half["epoch_bytes"] < 0.55 * all_bytes, "bytes to read where half of the rows fit:", half)
    # Two thirds to train on come first; the others fit beside them, or not at all.
    split = ["--validation-split", 1 / 3, "--batch-size", 1000, "--shuffle", "none"]
    told = plan(lockstep, data, split, 0, 0)
    check(told["first_epoch_bytes"] == all_bytes and told["epoch_bytes"] == 0, "bytes to read with validation:", told)
    told = plan(lockstep, data, [*split, "--memory", n_samples * (n_features + 1) * 3], 0, 0)
    check(abs(told["epoch_bytes"] - all_bytes / 3) < 0.01 * all_bytes, "bytes to read where validation does not fit:", told)


def check_node(lockstep, data):
    """The sums of a wide network are as many times in a node's memory as the ranks have subtrees: warned of when too many."""
    options = ["--hidden", "512,512", "--batch-size", 65536, "--shards", 65536]
    for ranks in (1, 20001):
        told = plan(lockstep, data, options, ranks, 0)
        node = told["node"]
        check(node["ranks"] == min(ranks, os.cpu_count()), "ranks of a node:", node)
        check((node["needed"] > node["available"]) == any("more nodes" in text for text in told["warnings"]),
              "warning of the node's memory:", told)


def check_wide(lockstep, data, model):
    """What would take minutes to try is counted up from less, and says so."""
    check_memory(lockstep, data, model, 0, ["--hidden", "3000,1600", "--batch-size", 500], is_wide=True)
    told = plan(lockstep, data, ["--hidden", "3000,1600,3000", "--batch-size", 10 ** 6], 0, 0)
    times = told["estimated_seconds"]
    check(times["parameters_tried"] < 5e6 and told["checkpoint_bytes"] > 4 * 9.6e6, "a narrower network:", told)
    told = plan(lockstep, data, ["--hidden", "512,512", "--shards", 4, "--batch-size", 2000], 0, 0)
    check(told["estimated_seconds"]["share_of_rows_tried"] == 1, "a step that is short:", told)
    made = ["--generate", "--n-samples", 10 ** 8, "--hidden", "512,512", "--batch-size", 10 ** 7]
    times = plan(lockstep, None, made, 0, 0)["estimated_seconds"]
    check(times["share_of_rows_tried"] < 0.01 and times["computing"] > 0.1, "a share of a long step:", times)


def main():
    lockstep = common.arguments(__doc__).lockstep
    directory = common.temporary_directory()
    data, model = os.path.join(directory, "data.h5"), os.path.join(directory, "model.h5")
    expect(0, lockstep, ["generate", "-o", data, "--n-samples", 300000, "--n-features", 20, "--rng", "philox"])
    small = os.path.join(directory, "small.h5")
    expect(0, lockstep, ["generate", "-o", small, "--n-samples", 2000, "--n-features", 4])
    for ranks in (0, 3):
        check_memory(lockstep, data, model, ranks, ["--hidden", 8, "--batch-size", 1000, "--shuffle", "none"])
        check_memory(lockstep, data, model, ranks, ["--hidden", 8, "--batch-size", 1000])
        check_memory(lockstep, small, model, ranks, ["--hidden", "512,512", "--batch-size", 1000, "--dtype", "float64"])
    for shuffle in ("none", "epoch"):  # not all rows fit
        check_memory(lockstep, data, model, 0, ["--batch-size", 1000, "--shuffle", shuffle, "--memory", "16M"])
    check_memory(lockstep, data, model, 0, ["--batch-size", 1000, "--validation-split", 0.9])
    check_memory(lockstep, data, model, 0, ["--batch-size", 8, "--shuffle", "none", "--engine", "reference"])
    check_memory(lockstep, small, model, 2, ["--hidden", "128,128", "--batch-size", 256, "--engine", "blas"])
    check_bytes(lockstep, data, 300000, 20)
    check_sizes(lockstep, small, os.path.join(directory, "checkpoints"))
    check_node(lockstep, data)
    check_wide(lockstep, small, model)
    common.finish()


if __name__ == "__main__":
    main()
