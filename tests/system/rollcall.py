#!/usr/bin/env python3
"""The roll call at the start: rollcall.py PATH_TO_lockstep

Ranks that differ are made for real: an MPMD command line gives them other options, other programs, other BLAS kernels, or, in
mount namespaces, other files under one name. Each is refused by all ranks with one message that names the rank and both sides,
nothing is written, and what is merely unusual (equal copies, a plain process in a batch script) is let through. Needs root (for
the mount namespaces).
"""
import os
import platform
import re
import shutil
import subprocess

import h5py

import common
from common import check, run, same_bytes

DIFFER, USAGE = 9, 2


def mpmd(*parts, directory):
    """Parts are (ranks, command), all of them one job. Words like A=B before the command are environment."""
    words = []
    for ranks, command in parts:
        words += [":"] if words else []
        words += ["-n", ranks, "env", *command]
    return run("mpirun", ["--bind-to", "none", *words], directory=directory)


def refused(r, what, patterns, code=DIFFER):
    """All ranks leave with the code, and rank 0 alone has spoken."""
    check(r.code == code, what, "exit code %d expected:" % code, r)
    messages = r.messages()
    if check(len(messages) == 1, what, "one message expected:", r):
        for pattern in patterns:
            check(re.search(pattern, messages[0]), what, "no '%s' in the message:" % pattern, r)
    check(not r.orphans(), what, "processes left behind:", r.orphans())


def accepted(r, what):
    check(r.code == 0, what, "should be accepted:", r)
    check(not r.messages(), what, "no message expected:", r)


def options(lockstep, directory):
    train = [lockstep, "train", "a.h5", "--hidden", "2,2", "--verbose", "0", "-o", "m.h5"]
    for what, one, other, patterns in (
            ("a number", [], ["--epochs", 3], ["rank 2 differs", "'--epochs 3' on rank 2", "'--epochs 1' on rank 0"]),
            ("a list", [], ["--hidden", "2,3"], ["'--hidden 2,3' on rank 2", "'--hidden 2,2' on rank 0"]),
            ("a real number", [], ["--learning-rate", "0.010000000000000002"],
             [r"'--learning-rate 0.01000000000000000[23]\d*' on rank 2"]),
            ("a flag", ["--checkpoint-dir", "c"], ["--checkpoint-dir", "c", "--resume"], ["'--resume true' on rank 2"]),
            ("a word", [], ["--shuffle", "none"], ["'--shuffle none' on rank 2", "'--shuffle epoch' on rank 0"]),
            ("an output", [], ["-o", "other.h5"], ["'--output other.h5' on rank 2", "'--output m.h5' on rank 0"]),
            ("an option that is wrong", [], ["--epoch", "3"], ["rank 2 differs", "unknown option '--epoch'"])):
        refused(mpmd((2, train + one), (1, train + other), directory=directory), what, patterns + ["same command line"])
    refused(mpmd((1, train), (2, train + ["--seed", 5]), directory=directory), "two ranks", ["ranks 1, 2 differ"])
    refused(mpmd((1, train), (1, [lockstep, "train", "b.h5", *train[3:]]), directory=directory), "another file",
            ["'b.h5' on rank 1", "'a.h5' on rank 0"])
    refused(mpmd((1, train), (1, [lockstep, "summary", "a.h5"]), directory=directory), "another subcommand",
            ["'lockstep summary' on rank 1", "'lockstep train' on rank 0"])
    refused(mpmd((1, train), (1, [lockstep]), directory=directory), "no subcommand", ["rank 1 differs"])
    refused(mpmd((1, train), (1, [lockstep, "trian"]), directory=directory), "a misspelt one",
            ["unknown subcommand 'trian'.* on rank 1"])
    for command in (["evaluate", "model.h5", "a.h5", "--json"], ["predict", "model.h5", "a.h5", "-o", "m.h5"],
                    ["split", "a.h5:/train", "-o", "m.h5"], ["generate", "-o", "m.h5"]):
        other = [lockstep, *command, *(["--x", "/train/X"] if command[0] != "generate" else ["--shift", "1,2"])]
        refused(mpmd((1, [lockstep, *command]), (1, other), directory=directory), command[0], ["rank 1 differs"])
    check(not os.path.exists(directory + "/m.h5"), "a refused job wrote its output")
    check(not os.path.exists(directory + "/c"), "a refused job made its directory")
    # A wrong command line that all ranks share is still one message, whoever is the first to leave.
    for _ in range(5):
        r = run(lockstep, ["train", "a.h5", "--epoch", 3], ranks=4, directory=directory)
        check(r.code == USAGE, "exit code 2 expected:", r)
        check(len(r.messages()) == 1 and "unknown option '--epoch'" in r.messages()[0], "one message expected:", r)


def elsewhere(mounts, command):
    """The command where other files lie under the names: [(file, name)]."""
    script = " && ".join("mount --bind '%s' '%s'" % pair for pair in mounts)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script + ' && exec "$@"', "sh", *command]


def inputs(lockstep, directory):
    def altered(name, change):
        shutil.copyfile(directory + "/a.h5", directory + "/" + name)
        with h5py.File(directory + "/" + name, "r+") as f:
            change(f["train"])

    def last_value(train):
        train["X"][-1, -1] += 1

    def first_label(train):
        train["y"][0] = 1 - train["y"][0]

    def shorter(train):
        for array in ("X", "y"):
            values = train[array][:-1]
            del train[array]
            train[array] = values

    train = [lockstep, "train", "a.h5", "--verbose", "0", "-o", "m.h5"]
    shutil.copyfile(directory + "/a.h5", directory + "/copy.h5")
    os.utime(directory + "/copy.h5", (0, 0))
    cases = [("other data", "b.h5", ["a.h5:/train/X", "on rank 1", "on rank 0", "directory that all nodes share"])]
    for name, change, pattern in (("last.h5", last_value, "a.h5:/train/X.*digest"),
                                  ("first.h5", first_label, "a.h5:/train/y.*digest"),
                                  ("shorter.h5", shorter, "959 x 3 values.*on rank 1.*960 x 3 values.*on rank 0")):
        altered(name, change)
        cases.append((name, name, [pattern]))
    for what, name, patterns in cases:
        refused(mpmd((1, train), (1, elsewhere([(name, "a.h5")], train)), directory=directory), what, patterns)
    refused(mpmd((2, train), (1, elsewhere([("/dev/null", "a.h5")], train)), directory=directory),
            "a file that one rank cannot read", ["a.h5", "on rank 2", "rank 0 can read it"], code=3)
    for command in (["evaluate", "model.h5", "a.h5"], ["predict", "model.h5", "a.h5", "-o", "m.h5"],
                    ["split", "a.h5:/train", "-o", "m.h5"]):
        command = [lockstep, *command]
        refused(mpmd((1, command), (1, elsewhere([("b.h5", "a.h5")], command)), directory=directory), command[1],
                ["a.h5:/train/X", "on rank 1"])
    check(not os.path.exists(directory + "/m.h5"), "a refused job wrote its output")
    accepted(mpmd((1, train), (1, elsewhere([("copy.h5", "a.h5")], train)), directory=directory), "an equal copy")
    check(os.path.exists(directory + "/m.h5"), "an accepted job wrote nothing")
    os.remove(directory + "/m.h5")


def programs(lockstep, directory):
    """Another build differs in its build id, which a copy does not."""
    with open(lockstep, "rb") as f:
        program = bytearray(f.read())
    note = program.find(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0")  # sizes of name and content, type, name
    if not check(note > 0, "the program has no build id"):
        return
    for name, change in (("same", 0), ("other", 1)):
        program[note + 16] ^= change
        with open("%s/%s" % (directory, name), "wb") as f:
            f.write(program)
        os.chmod("%s/%s" % (directory, name), 0o755)
    train = ["train", "a.h5", "--verbose", "0", "-o", "m.h5"]
    refused(mpmd((2, [lockstep, *train]), (1, [directory + "/other", *train]), directory=directory), "another build",
            [r"'lockstep [\d.]+, build %s' on rank 2" % program[note + 16:note + 36].hex(), "build .* on rank 0",
             "same files on all nodes"])
    check(not os.path.exists(directory + "/m.h5"), "a refused job wrote its output")
    accepted(mpmd((1, [lockstep, *train]), (1, [directory + "/same", *train]), directory=directory), "an equal copy")


def processors(lockstep, directory):
    """OpenBLAS takes the kernels that it is told to."""
    version = run(lockstep, ["--version"]).stdout
    older = {"x86_64": ("Nehalem", "Core2"), "aarch64": ("ARMV8", "CORTEXA53")}[platform.machine()]
    kernels = older[older[0] in version]
    train = [lockstep, "train", "a.h5", "--hidden", "3", "--verbose", "0", "-o"]
    mixed = lambda variable, *words: mpmd((1, [*train, *words]), (1, [variable, *train, *words]), directory=directory)
    # The simd engine calls no BLAS, and gives the same bits with all of its own kernels.
    accepted(run(lockstep, [*train[1:], "plain.h5"], directory=directory), "the plain job")
    for variable in ("OPENBLAS_CORETYPE=" + kernels, "LOCKSTEP_SIMD=portable"):
        accepted(mixed(variable, "mixed.h5"), variable)
        check(same_bytes(directory + "/mixed.h5", directory + "/plain.h5"), variable + " changed the model")
    # The blas engine does.
    variable = "OPENBLAS_CORETYPE=" + kernels
    refused(mixed(variable, "m.h5", "--engine", "blas"), "other kernels",
            ["kernels %s' on rank 1" % kernels, "kernels .*' on rank 0", "--allow-other-cpu"])
    r = mixed(variable, "mixed.h5", "--engine", "blas", "--allow-other-cpu")
    check(r.code == 0, "other kernels that are allowed:", r)
    check(len(r.messages()) == 1 and kernels in r.messages()[0] and "allowed" in r.messages()[0], "one notice expected:", r)


def resumed_elsewhere(lockstep, directory):
    """A run that goes on with other kernels: the blas engine refuses, the simd engine gives the same bits."""
    older = {"x86_64": ("Nehalem", "Core2"), "aarch64": ("ARMV8", "CORTEXA53")}[platform.machine()]
    kernels = older[older[0] in run(lockstep, ["--version"]).stdout]
    for engine, variable, value in (("blas", "OPENBLAS_CORETYPE", kernels), ("simd", "LOCKSTEP_SIMD", "portable")):
        words = ["train", "a.h5", "--hidden", "3", "--verbose", 0, "--engine", engine, "--checkpoint-dir", engine]
        elsewhere_run = lambda *more: common.Run(lockstep, [*words, "--epochs", 4, "--resume", "-o", "resumed.h5", *more],
                                                 environment={variable: value}, directory=directory).wait()
        accepted(run(lockstep, [*words, "--epochs", 2], directory=directory), engine + ", the first half")
        r = elsewhere_run()
        if engine == "blas":
            check(r.code == USAGE and len(r.messages()) == 1, "kernels of another processor:", r)
            check("arithmetic" in r.stderr and kernels in r.stderr and "--allow-other-cpu" in r.stderr, "the message:", r)
            r = elsewhere_run("--allow-other-cpu")
            check(r.code == 0, "other kernels that are allowed:", r)
        else:
            check(r.code == 0, "the simd engine on another processor:", r)
            accepted(run(lockstep, [*words[:-2], "--epochs", 4, "-o", "straight.h5"], directory=directory), "straight through")
            check(same_bytes(directory + "/resumed.h5", directory + "/straight.h5"), "another instruction set changed the model")


def unknown_processor(lockstep, directory):
    """An OpenBLAS older than the processor takes the oldest kernels: the program starts itself anew with the right ones."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "old_blas.c")
    library = directory + "/old_blas.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    flags = open("/proc/cpuinfo", encoding="utf-8").read()
    wanted = "SkylakeX" if "avx512dq" in flags else "Haswell" if "avx2" in flags else None
    text = common.Run(lockstep, ["--version"], environment={"LD_PRELOAD": library}).wait().stdout
    check(("kernels %s, for OpenBLAS had taken Prescott" % wanted in text) == bool(wanted), "an unknown processor:", text)
    text = common.Run(lockstep, ["--version"], environment={"LD_PRELOAD": library, "OPENBLAS_CORETYPE": "Nehalem"}).wait().stdout
    check("had taken" not in text, "kernels that the user chose:", text)


def launchers(lockstep, directory):
    """What a process sees that a launcher of another MPI has started: its variables, and no other rank."""
    train = ["train", "a.h5", "--verbose", "0", "-o", "single.h5"]
    step = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    for what, variables, rank in (("srun without --mpi", step, "SLURM_PROCID"),
                                  ("a launcher that speaks PMI", {"PMI_SIZE": "2"}, "PMI_RANK"),
                                  ("mpirun", {"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_RANK")):
        jobs = [common.Run(lockstep, train, environment={**variables, rank: str(i)}, directory=directory)
                for i in range(2)]
        jobs = [job.wait() for job in jobs]
        check([job.code for job in jobs] == [USAGE, USAGE], what, "both refuse:", *jobs)
        check([len(job.messages()) for job in jobs] == [1, 0], what, "one of them says so:", *jobs)
        text = jobs[0].stderr
        check("started 2 processes" in text and "unset " in text and ("srun --mpi=pmix" in text or "mpirun" in text), what,
              "the remedy is named:", text)
    check(not os.path.exists(directory + "/single.h5"), "a refused job wrote its output")
    batch = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NODEID": "0"}
    for what, variables in (("a plain process in a batch script", batch),
                            ("a step of one rank", {**batch, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}),
                            ("mpirun -n 1", {"OMPI_COMM_WORLD_SIZE": "1"})):
        accepted(run(lockstep, train, environment=variables, directory=directory), what)
    r = run("mpirun", ["-n", 1, "env", *("%s=%s" % item for item in step.items()), lockstep, *train], directory=directory)
    accepted(r, "mpirun -n 1 in a step of several tasks")
    r = run(lockstep, train, ranks=2, environment=batch, directory=directory)
    accepted(r, "mpirun in a batch script")


def cores(lockstep, directory):
    cpus = sorted(os.sched_getaffinity(0))
    train = [lockstep, "train", "a.h5", "--verbose", "0"]
    on = lambda cpu: ["taskset", "-c", str(cpus[cpu % len(cpus)]), *train]
    r = mpmd((3, on(0)), directory=directory)
    check(r.code == 0, "ranks on one core:", r)
    if os.cpu_count() > 1:  # otherwise there is nothing to be done about it
        check(len(r.messages()) == 1 and "warning: 3 of the ranks 0 to 2" in r.messages()[0] and "--bind-to" in r.messages()[0],
              "one warning expected:", r)
    if len(cpus) > 1:
        accepted(mpmd((1, on(0)), (1, on(1)), directory=directory), "ranks on two cores")
        r = mpmd((1, on(0)), (2, on(1)), directory=directory)
        check(len(r.messages()) == 1 and "bound to 2 of its" in r.messages()[0], "one warning expected:", r)
    accepted(mpmd((3, train), directory=directory), "ranks that are not bound")


def main():
    lockstep = common.arguments(__doc__).lockstep
    directory = common.temporary_directory()
    for name, seed in (("a.h5", 1), ("b.h5", 2)):
        common.expect(0, lockstep, ["generate", "-o", name, "--n-samples", 1200, "--n-features", 3, "--n-informative", 3,
                                    "--n-redundant", 0, "--random-state", seed, "--train-size", 0.8], directory=directory)
    common.expect(0, lockstep, ["train", "a.h5", "--verbose", 0, "-o", "model.h5"], directory=directory)
    groups = (options, inputs, programs, processors, resumed_elsewhere, unknown_processor, launchers, cores)
    common.run_groups(**{group.__name__: lambda group=group: group(lockstep, directory) for group in groups})
    common.finish()


if __name__ == "__main__":
    main()
