#!/usr/bin/env python3
"""MPI calls that fail: mpi_faults.py PATH_TO_lockstep [--long] [--seed N]

The program, built with LOCKSTEP_FAULTS, is told to take an MPI call of one rank (or of all) for failed: one of the first, in
the middle of training, anywhere. Without MPI the ranks cannot agree on anything, so the job must end as a whole, soon, with
one message and the exit code for it; what was written is whole, and a training goes on from its last checkpoint.
"""
import os
import random
import shutil

import common
from common import check, expect, run, same_bytes

LS_E_MPI = 6
ALWAYS_REACHED = 10  # so many MPI calls has every rank of every command

# Sets the plan on the ranks whose numbers are in $0, then becomes the program.
ON_RANKS = ("case \" $0 \" in *\" ${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}} \"*) ;; *) unset LOCKSTEP_FAULT_PLAN ;; esac; "
            "exec \"$@\"")


def run_with_fault(lockstep, arguments, ranks, failing, first):
    return run("/bin/sh", ["-c", ON_RANKS, " ".join(map(str, failing)), lockstep] + arguments, ranks,
               environment={"LOCKSTEP_FAULT_PLAN": "mpi:%d" % first})


class Commands:
    """The commands, each with its output file and the number of calls among which one is chosen."""

    def __init__(self, directory):
        data, model = directory + "/data.h5", directory + "/model.h5"
        self.directory, self.output = directory, directory + "/out.h5"
        self.checkpoints = directory + "/checkpoints"
        output = ["-o", self.output]
        generate = ["generate", "--n-samples", 500, "--n-features", 3, "--n-redundant", 0, "--train-size", 0.8]
        training = ["train", data, "--epochs", 4, "--hidden", "3", "--batch-size", 16, "--verbose", 0, "--learning-rate", 0.1]
        self.setup = (generate + ["-o", data], training + ["-o", model])
        self.all = {"generate": (generate + output, 60), "split": (["split", data + ":/train"] + output, 60),
                    "train": (training + ["--checkpoint-dir", self.checkpoints, "--checkpoint-every", "10steps"] + output, 150),
                    "evaluate": (["evaluate", model, data], 40), "predict": (["predict", model, data] + output, 50),
                    "summary": (["summary", model], 20)}

    def clean(self):
        for name in os.listdir(self.directory):
            if name not in ("data.h5", "model.h5") and not name.endswith(".wanted"):
                path = os.path.join(self.directory, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def wanted(self, name):
        return "%s/%s.wanted" % (self.directory, name)


def prepare(lockstep, commands):
    """Makes the input, and each command's output as it is when nothing fails."""
    for arguments in commands.setup:
        expect(0, lockstep, arguments)
    for name, (arguments, _) in commands.all.items():
        commands.clean()
        expect(0, lockstep, arguments)
        if os.path.exists(commands.output):
            os.rename(commands.output, commands.wanted(name))


def is_output_whole(commands, name):
    return not os.path.exists(commands.output) or same_bytes(commands.output, commands.wanted(name))


def try_one(lockstep, commands, name, ranks, failing, first, resume_on):
    """One run with a fault, gone on with on resume_on ranks (None: not at all); whether the call was reached."""
    commands.clean()
    arguments = commands.all[name][0]
    r = run_with_fault(lockstep, arguments, ranks, failing, first)
    what = "%s, call %d of rank(s) %s of %d:" % (name, first, failing, ranks)
    check(r.code is not None and not r.orphans(), what, "the job does not end:", r)
    check(is_output_whole(commands, name), what, "the output is half written:", r)
    if r.code == 0:
        check(first > ALWAYS_REACHED, what, "nothing fails (is the program built with -DLOCKSTEP_FAULTS=ON?):", r)
        return False
    check(r.code == LS_E_MPI, what, "exit code %d expected:" % LS_E_MPI, r)
    messages = r.messages()
    check(len(messages) == 1 and ": MPI_" in messages[0] and
          (len(failing) > 1 or messages[0].startswith("lockstep: rank %d: MPI_" % failing[0])),
          what, "one message of that rank that names the call expected:", r)
    if resume_on is not None:
        expect(0, lockstep, arguments + ["--resume"], resume_on)
        check(is_output_whole(commands, name) and os.path.exists(commands.output), what, "resuming gives another model")
    return True


def main():
    options = common.arguments(__doc__)
    choose = random.Random(options.seed)
    commands = Commands(common.temporary_directory())
    prepare(options.lockstep, commands)
    for group in ("the first calls", "any call", "on all ranks"):
        before, n_reached = (common.n_checks, common.n_failed), 0
        n_runs = {"the first calls": 12, "any call": 36, "on all ranks": 6}[group] * (10 if options.long else 1)
        for i in range(n_runs):
            name = list(commands.all)[i % len(commands.all)] if choose.random() < 0.6 else "train"
            ranks = choose.choice((2, 2, 3, 4))
            failing = list(range(ranks)) if group == "on all ranks" else [choose.randrange(ranks)]
            if group == "the first calls":
                first = choose.randint(1, ALWAYS_REACHED)
            elif group == "any call":
                first = choose.randint(1, commands.all[name][1])
            else:
                first = 20  # behind the start, so that the ranks of a node know of each other
            n_reached += try_one(options.lockstep, commands, name, ranks, failing, first,
                                 choose.choice((0, 2, 3)) if name == "train" and i % 3 == 0 else None)
        check(n_reached > n_runs / 2, group, "only %d of %d faults were reached" % (n_reached, n_runs))
        print("%s: %d runs, %d ended by the fault, %d checks, %d failed" % (
            group, n_runs, n_reached, common.n_checks - before[0], common.n_failed - before[1]), flush=True)
    common.finish()


if __name__ == "__main__":
    main()
