#!/usr/bin/env python3
"""The scripts in jobs/ on a real SLURM: slurm.py PATH_TO_lockstep

Submits them to the cluster of slurm_cluster.py (root; Debian's slurm-wlm and munge) and compares what comes out, byte by
byte, with a plain process that nothing interrupts. Without SLURM it fails. Times of a cluster are shortened as written
there; --signal=B:USR1@20 with --time=1 lets the signal of the time limit come 10 to 40 seconds after the start, for SLURM
looks at limits every 30 seconds only. The rest of the waiting is for jobs in the queue, so most jobs wait together.

A training that is to be interrupted must not be over before, on any machine: the program that those jobs start has far
too many epochs at the first start, and at the next ones waits until the test, which has seen the checkpoint, says how many.
"""
import csv
import json
import os
import re
import signal
import time

import common
from common import check, expect, run, same_bytes
from slurm_cluster import NODES, Cluster, descendants

WAIT = 300  # seconds, a guard only
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETTINGS = "--hidden 2,2 --batch-size 8 --learning-rate 0.01 --seed 1"
STEPS = 2000  # of an epoch: 16000 rows by 8

# Stands where the scripts look for the program.
PROGRAM = """\
#!/bin/sh
if [ "$1" = train ] && [ -e "interrupt/$SLURM_JOB_NAME" ]; then
    epochs=20000
    if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ]; then
        while [ ! -s "interrupt/$SLURM_JOB_NAME" ]; do sleep 0.1; done
        epochs=$(cat "interrupt/$SLURM_JOB_NAME")
    fi
    exec {lockstep} "$@" --epochs "$epochs"
fi
if [ "$1" = train ] && [ "$SLURM_JOB_NAME" = broken ]; then exit 1; fi
exec {lockstep} "$@"
"""


class Lost(Exception):
    """A job does not come to the state that the test waits for; nothing further can be tested with it."""


class Site:
    """The submit directory, and the cluster."""

    def __init__(self, lockstep, cluster, directory):
        self.lockstep, self.cluster, self.directory = lockstep, cluster, directory
        self.submitted = dict(common.ENVIRONMENT, **cluster.environment,
                              # Both nodes are this host, which may have no other network.
                              OMPI_MCA_btl="self,tcp", OMPI_MCA_btl_tcp_if_include="lo")
        os.mkdir(self.path("build"))
        os.mkdir(self.path("interrupt"))
        for name in ("jobs", "tools"):
            os.symlink(os.path.join(REPOSITORY, name), self.path(name))
        with open(os.open(self.path("build/lockstep"), os.O_CREAT | os.O_WRONLY, 0o755), "w", encoding="utf-8") as file:
            file.write(PROGRAM.format(lockstep=lockstep))

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def write(self, name, text):
        with open(self.path(name + ".tmp"), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path(name + ".tmp"), self.path(name))


class Job:
    """One sbatch of a script in jobs/; variables override its top lines."""

    def __init__(self, site, script, name, *options, interrupted=False, **variables):
        self.site, self.name, self.options = site, name, options
        if interrupted:
            site.write("interrupt/" + name, "")
            variables = dict({"TRAINING": SETTINGS, "CHECKPOINT_EVERY": "1s"}, **variables)
        done = site.cluster.call("sbatch", "--parsable", "--job-name=" + name, *options, f"jobs/{script}.sbatch",
                                 environment=dict(site.submitted, **variables), cwd=site.directory)
        self.id = done.stdout.strip()
        self.log_name = f"{script}-{self.id}.log"
        self.run = f"{script}-{self.id}"

    def log(self):
        return self.site.read(self.log_name)

    def fields(self):
        return self.site.cluster.job(self.id)

    def state(self):
        return self.fields().get("JobState", "")

    def restarts(self):
        return int(self.fields().get("Restarts", 0))

    def wait(self, reached, what):
        """Until reached() is true."""
        end = time.monotonic() + WAIT
        while not reached():
            if time.monotonic() > end:
                raise Lost(f"job {self.name} does not {what} in {WAIT} s: {self.about()}")
            time.sleep(0.2)

    def wait_end(self):
        """Its fields when SLURM has done with it."""
        self.wait(lambda: self.state() not in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED"), "end")
        return self.fields()

    def checkpoints(self):
        """Steps of the checkpoints that there are."""
        try:
            names = os.listdir(self.site.path(self.run + "/checkpoints"))
        except OSError:
            return []
        return sorted(int(m.group(1)) for m in (re.fullmatch(r"checkpoint-(\d+)\.weights\.h5", n) for n in names) if m)

    def wait_checkpoint(self):
        self.wait(self.checkpoints, "write a checkpoint")

    def wait_back(self):
        """Until it is in the queue again; then lets its next start end one epoch after the one of the checkpoint."""
        self.wait(lambda: self.restarts() > 0 or self.state() in ("FAILED", "CANCELLED", "TIMEOUT"), "come back")
        self.site.write("interrupt/" + self.name, "%d" % (self.checkpoints()[-1] // STEPS + 2))

    def about(self):
        fields = {name: self.fields().get(name) for name in ("JobState", "Reason", "Restarts", "ExitCode", "NodeList")}
        lines = [line for line in self.log().splitlines() if not line.startswith("Epoch")]
        return f"{self.options} {fields}" + "".join("\n  log: " + line for line in lines[-30:])

    def check_ended(self, state, code, restarts=0):
        fields = self.wait_end()
        check(fields["JobState"] == state, f"job {self.name}: state {state} expected:", self.about())
        check(fields["ExitCode"] == f"{code}:0", f"job {self.name}: exit code {code} expected:", self.about())
        check(int(fields["Restarts"]) == restarts, f"job {self.name}: {restarts} restarts expected:", self.about())

    def check_result(self, settings):
        """The run's directory holds what a plain, uninterrupted process makes of these settings."""
        site = self.site
        model = site.path(f"reference-{self.name}.h5")
        expect(0, site.lockstep, ["train", "data.h5", *settings.split(), "--verbose", 0, "-o", model],
               directory=site.directory)
        check(same_bytes(model, site.path(self.run + "/model.h5")), f"job {self.name}: another model:", self.about())
        measures = run(site.lockstep, ["evaluate", model, "data.h5", "--json"], directory=site.directory)
        check(site.read(self.run + "/evaluation.json") == measures.stdout, f"job {self.name}: other measures:",
              site.read(self.run + "/evaluation.json"), measures)
        epochs = int(re.search(r"--epochs (\d+)", settings).group(1))
        history = list(csv.DictReader(site.read(self.run + "/history.csv").splitlines()))
        check([row["epoch"] for row in history] == [str(e) for e in range(epochs)],
              f"job {self.name}: epochs 0..{epochs - 1} expected in its history:", [row["epoch"] for row in history])

    def check_resumed(self, restarts=1):
        """It ended well after being interrupted, on from its checkpoint, to the bits of a run without interruption."""
        if restarts:
            self.check_ended("COMPLETED", 0, restarts)
        else:
            check(self.wait_end()["JobState"] == "COMPLETED", f"job {self.name}: must complete:", self.about())
            check(self.restarts() > 0, f"job {self.name}: was not interrupted:", self.about())
        log = self.log()
        check(log.count("no checkpoint yet, starting anew") == 1, f"job {self.name}: starts anew more than once:",
              self.about())
        check(f"resumed from {self.run}/checkpoints" in log, f"job {self.name}: does not resume:", self.about())
        check("job %s, start 2" % self.id in log, f"job {self.name}: the log does not hold both starts:", self.about())
        self.check_result(SETTINGS + " --epochs " + self.site.read("interrupt/" + self.name))

    def check_saved(self, yes=True):
        """A signal made it write a checkpoint."""
        check(("stopped by a signal" in self.log()) == yes, f"job {self.name}: saved on a signal: {yes} expected:",
              self.about())

    def rank_on(self, node):
        """The process of the job's rank on node."""
        for pid in self.site.cluster.node_processes(node):
            environment = common._environment_of(pid)
            if environment.get(b"SLURM_JOB_ID") == self.id.encode() and environment.get(b"SLURM_STEP_ID") == b"0":
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    if file.read().strip() == "lockstep":
                        return pid
        raise Lost(f"job {self.name}: no rank on {node}: {self.about()}")


def group(name, before):
    print("slurm: %s: %d checks, %d failed" % (name, common.n_checks - before[0], common.n_failed - before[1]), flush=True)
    before[:] = [common.n_checks, common.n_failed]


TWO = ("--nodes=2", "--ntasks-per-node=1")


def check_notebooks(one, two):
    for job in (one, two):
        job.check_ended("COMPLETED", 0)
    check("2 ranks on n[1-2], started by srun" in two.log(), "not on two nodes:", two.about())
    for name in ("data.h5", "model.h5", "predictions.h5"):
        check(same_bytes(one.site.path(f"{one.run}/{name}"), two.site.path(f"{two.run}/{name}")),
              f"notebook.sbatch: {name} is not the same on 1 and on 2 ranks:", two.about())


def check_sweep(site, sweep):
    settings = [(hidden, seed) for hidden in ("2", "3,2") for seed in (1, 2)]
    sweep.wait(lambda: re.search(r"Submitted batch job (\d+)", site.read(f"sweep-{sweep.id}_0.log")), "submit the last job")
    last = re.search(r"Submitted batch job (\d+)", site.read(f"sweep-{sweep.id}_0.log")).group(1)
    sweep.wait(lambda: site.cluster.job(last).get("JobState") not in ("PENDING", "RUNNING", "COMPLETING"), "make the table")
    state = site.cluster.job(last)
    check(state["JobState"] == "COMPLETED", "the table's job:", state, site.read(f"sweep-{sweep.id}/table.log"))
    check(state["JobName"] == "sweep-table", "name of the table's job:", state)
    rows = list(csv.DictReader(site.read(f"sweep-{sweep.id}/table.csv").splitlines()))
    check(sorted((row["hidden"], int(row["seed"])) for row in rows) == sorted(settings), "rows of the table:", rows)
    losses = [float(row["test_loss"]) for row in rows]
    check(losses == sorted(losses), "the table does not begin with the best:", losses)
    for task, (hidden, seed) in enumerate(settings):
        where = f"sweep-{sweep.id}/{task}"
        model = site.path(f"reference-sweep-{task}.h5")
        expect(0, site.lockstep, ["train", "data.h5", "--epochs", 2, "--hidden", hidden, "--seed", seed, "--verbose", 0, "-o", model],
               directory=site.directory)
        check(same_bytes(model, site.path(where + "/model.h5")), f"{where}: another model:",
              site.read(f"sweep-{sweep.id}_{task}.log"))
        measures = json.loads(site.read(where + "/evaluation.json") or "null")
        row = next((row for row in rows if row["task"] == str(task)), {})
        check(measures and all(float(row[f"{name}_{measure}"]) == measures[name][measure]
                               for name in ("train", "test") for measure in ("samples", "loss", "binary_accuracy", "f1")),
              f"{where}: the table says {row}, the evaluation {measures}")
        check(measures and row.get("test_fp") == str(measures["test"]["confusion_matrix"][0][1]), "confusion matrix:", row)
    # What is not there is said, not passed over.
    os.remove(site.path(f"sweep-{sweep.id}/1/evaluation.json"))
    done = site.cluster.call("tools/sweep_table.py", f"sweep-{sweep.id}", "--runs", "4", check=False, cwd=site.directory)
    check(done.returncode == 1 and f"sweep-{sweep.id}/1: no result" in done.stderr and "3 of 4 runs" in done.stderr
          and len(done.stdout.splitlines()) == 4, "table of an incomplete sweep:", done)


def check_together(site):
    """What needs no dead node, side by side, for each waits in the queue for most of its time."""
    before = [common.n_checks, common.n_failed]
    limit = Job(site, "train", "limit", *TWO, "--time=1", "--signal=B:USR1@20", interrupted=True)
    broken = Job(site, "train", "broken", *TWO, DATA="data.h5")
    requeued = Job(site, "train", "requeued", *TWO, interrupted=True)
    terminated = Job(site, "train", "terminated", *TWO, interrupted=True)
    requeued.wait_checkpoint()
    site.cluster.call("scontrol", "requeue", requeued.id)
    terminated.wait_checkpoint()
    site.cluster.call("scancel", "--signal=TERM", terminated.id + ".0")
    signalled = Job(site, "train", "signalled", *TWO, interrupted=True)
    killed = Job(site, "train", "killed", *TWO, interrupted=True)
    signalled.wait_checkpoint()
    site.cluster.call("scancel", "--signal=USR1", "--batch", signalled.id)
    killed.wait_checkpoint()
    os.kill(killed.rank_on("n2"), signal.SIGKILL)
    for job in (requeued, terminated, signalled, killed):
        job.wait_back()

    cancelled = Job(site, "train", "cancelled", *TWO, interrupted=True)
    plain = Job(site, "train", "plain", "--nodes=2", "--ntasks-per-node=2", TRAINING=SETTINGS + " --epochs 2")
    missing = Job(site, "train", "missing", *TWO, DATA="missing.h5")
    cancelled.wait_checkpoint()
    site.cluster.call("scancel", cancelled.id)
    sweep = Job(site, "sweep", "sweep", "--array=0-3", ARCHITECTURES="2 3,2", SEEDS="1 2", TRAINING="--epochs 2")
    beyond = Job(site, "sweep", "beyond", "--array=4", ARCHITECTURES="2 3,2", SEEDS="1 2")
    one = Job(site, "notebook", "notebook-1", "--nodes=1", "--ntasks=1")
    two = Job(site, "notebook", "notebook-2", "--nodes=2", "--ntasks=2")

    plain.check_ended("COMPLETED", 0)
    check("4 ranks on n[1-2], started by srun" in plain.log(), "not on two nodes:", plain.about())
    plain.check_result(SETTINGS + " --epochs 2")
    missing.check_ended("FAILED", 3)
    check("missing.h5" in missing.log() and f"RUN={missing.run} sbatch jobs/train.sbatch" in missing.log(),
          "does not say what is missing and how to go on:", missing.about())
    group("train.sbatch on two nodes, and with wrong input", before)

    for job in (terminated, signalled):
        job.check_resumed()
        job.check_saved()
    requeued.check_resumed()
    killed.check_resumed()
    killed.check_saved(False)
    group("scontrol requeue, SIGTERM to a step, SIGUSR1 to the script, SIGKILL to a rank", before)

    cancelled.wait_end()
    check(cancelled.state() == "CANCELLED" and cancelled.restarts() == 0, "a cancelled job goes on:", cancelled.about())
    cancelled.check_saved()
    epochs = cancelled.checkpoints()[-1] // STEPS + 2
    again = Job(site, "train", "again", *TWO, RUN=cancelled.run, TRAINING=f"{SETTINGS} --epochs {epochs}")
    again.run = cancelled.run
    again.check_ended("COMPLETED", 0)
    check(f"resumed from {again.run}/checkpoints" in again.log(), "does not go on:", again.about())
    again.check_result(f"{SETTINGS} --epochs {epochs}")
    group("scancel, and going on in another job", before)

    check_notebooks(one, two)
    group("notebook.sbatch on one and two nodes", before)

    check_sweep(site, sweep)
    check(beyond.wait_end()["ExitCode"] == "2:0", "a task too many:", beyond.about())
    check("submit with --array=0-3" in site.read(f"sweep-{beyond.id}_4.log"), "a task too many:",
          site.read(f"sweep-{beyond.id}_4.log"))
    group("sweep.sbatch and its table", before)

    limit.wait_back()
    limit.check_resumed()
    limit.check_saved()
    group("time limit, signal, checkpoint, requeue", before)

    broken.check_ended("FAILED", 1, restarts=3)
    check("failed 4 times without a new checkpoint" in broken.log(), "gives up without saying so:", broken.about())
    group("a job that always fails gives up", before)


def check_lost_slurmd(site):
    """slurmd dies, its job's processes live: SLURM notices after a while, ends what it reaches and requeues the job."""
    before = [common.n_checks, common.n_failed]
    job = Job(site, "train", "slurmd", *TWO, interrupted=True)
    job.wait_checkpoint()
    site.cluster.kill_slurmd("n2")
    job.wait_back()
    site.cluster.start_node("n2")
    job.check_resumed(restarts=None)
    check_nothing_left(site, job)
    group("slurmd of a node killed", before)


def check_lost_node(site):
    """All of a node dies and it is back before SLURM looks: only the other rank can notice, by the stall timeout."""
    before = [common.n_checks, common.n_failed]
    job = Job(site, "train", "node", *TWO, interrupted=True, STALL_TIMEOUT="5")
    job.wait_checkpoint()
    site.cluster.kill_node("n2")
    site.cluster.start_node("n2")
    job.wait_back()
    job.check_resumed(restarts=None)
    check("no progress" in job.log(), "does not report what stalled:", job.about())
    check_nothing_left(site, job)
    group("a node killed", before)


def check_nothing_left(site, job):
    def left():
        return [common.command_line(pid) for node in NODES for pid in site.cluster.node_processes(node)]
    end = time.monotonic() + 60
    while left() and time.monotonic() < end:
        time.sleep(0.2)
    check(not left(), f"job {job.name} leaves processes:", left())


def main():
    options = common.arguments(__doc__)
    with Cluster() as cluster:
        site = Site(options.lockstep, cluster, common.temporary_directory())
        expect(0, options.lockstep, ["generate", "-o", "data.h5", "--n-samples", 20000, "--n-features", 2, "--n-redundant", 0,
                                     "--random-state", 7, "--train-size", 0.8], directory=site.directory)
        for part in (check_together, check_lost_slurmd, check_lost_node):
            try:
                part(site)
            except Lost as lost:
                check(False, lost)
    check(not descendants(os.getpid()), "processes left by the cluster:", descendants(os.getpid()))
    common.finish()


if __name__ == "__main__":
    main()
