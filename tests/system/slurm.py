#!/usr/bin/env python3
"""The scripts in jobs/ on a real SLURM: slurm.py PATH_TO_lockstep

Submits them to the cluster of slurm_cluster.py (root; Debian's slurm-wlm and munge) and compares what comes out, byte by
byte, with a plain process that nothing interrupts. Without SLURM it fails. Times of a cluster are shortened as written
there; --signal=B:USR1@20 with --time=1 lets the signal of the time limit come 10 to 40 seconds after the start, for SLURM
looks at limits every 30 seconds only. The rest of the waiting is for jobs in the queue, so most jobs wait together.

A training that is to be interrupted must not be over before, on any machine: as long as it has no checkpoint it has far
too many epochs, and when it has one as many as end the epoch after that of the checkpoint.

Debian 12's Open MPI under its SLURM crashes in MPI_Init now and then when there are several nodes (3 of 960 starts of a
program that does nothing else): train.sbatch starts again, so a job may have more restarts than it was interrupted.
"""
import contextlib
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
[ "$1" = train ] && [ "$SLURM_JOB_NAME" = broken ] && exit 1
epochs=interrupt/$SLURM_JOB_NAME
if [ "$1" != train ] || [ ! -e "$epochs" ]; then
    exec {lockstep} "$@"
fi
for word in "$@"; do
    [ "$previous" = --checkpoint-dir ] && directory=$word
    previous=$word
done
steps=$(ls "$directory" | sed -n 's/^checkpoint-0*\\([0-9]*\\)[.]weights[.]h5$/\\1/p' | sort -n | tail -n 1)
if [ -z "$steps" ]; then
    exec {lockstep} "$@" --epochs 20000
fi
if [ ! -s "$epochs" ]; then
    echo $((steps / {steps} + 2)) > "$epochs.$$"
    mv "$epochs.$$" "$epochs"
fi
exec {lockstep} "$@" --epochs "$(cat "$epochs")"
"""

# Stands before srun in PATH for a SLURM without PMIx.
SRUN_WITHOUT_PMIX = """\
#!/bin/sh
[ "$1" = --mpi=list ] && { echo none; exit; }
exec /usr/bin/srun "$@"
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
        os.mkdir(self.path("bin"))
        for name, text in (("build/lockstep", PROGRAM.format(lockstep=lockstep, steps=STEPS)), ("bin/srun", SRUN_WITHOUT_PMIX)):
            self.write(name, text)
            os.chmod(self.path(name), 0o755)

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

    def about(self):
        fields = {name: self.fields().get(name) for name in ("JobState", "Reason", "Restarts", "ExitCode", "NodeList")}
        lines = [line for line in self.log().splitlines() if not line.startswith("Epoch")]
        return f"{self.options} {fields}" + "".join("\n  log: " + line for line in lines[-30:])

    def check_ended(self, state, code):
        fields = self.wait_end()
        check(fields["ExitCode"] == f"{code}:0", f"job {self.name}: exit code {code} expected:", self.about())
        self.demand_state(state)

    def demand_state(self, state):
        if not check(self.wait_end()["JobState"] == state, f"job {self.name}: state {state} expected"):
            raise Lost(self.about())

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

    def check_resumed(self):
        """It ended well after being interrupted, on from its checkpoint, to the bits of a run without interruption."""
        self.check_ended("COMPLETED", 0)
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


@contextlib.contextmanager
def group(name):
    """Checks that are reported together, and that a lost job ends."""
    checks, failed = common.n_checks, common.n_failed
    try:
        yield
    except Lost as lost:
        check(False, lost)
    print("slurm: %s: %d checks, %d failed" % (name, common.n_checks - checks, common.n_failed - failed), flush=True)


TWO = ("--nodes=2", "--ntasks-per-node=1")


def check_srun(site):
    """How srun starts ranks, and what they know before MPI is up."""
    def srun(mpi, *arguments):
        for _ in range(3):
            done = site.cluster.call("srun", "--mpi=" + mpi, "--nodes=2", "--ntasks=2", site.lockstep, *arguments, check=False,
                                     environment=site.submitted, cwd=site.directory)
            if done.returncode != 128 + signal.SIGSEGV:
                break
        return done
    for mpi in ("pmix", "none"):
        done = srun(mpi, "--version")
        check(done.returncode == 0 and len(re.findall("^lockstep ", done.stdout, re.MULTILINE)) == 1,
              f"srun --mpi={mpi}: one version expected:", done)
    for arguments, message in ((["train", "data.h5", "--epoch", "3"], "unknown option '--epoch'"),
                               (["trian"], "unknown subcommand 'trian'")):
        done = srun("pmix", *arguments)
        check(done.returncode == 2 and done.stderr.count(message) == 1, "one message expected:", done)
    done = srun("none", "generate", "-o", "singletons.h5")
    # Open MPI sees it before lockstep can.
    check(done.returncode != 0 and "PMIx" in done.stderr and not os.path.exists(site.path("singletons.h5")),
          "two jobs of one rank each are not refused:", done)
    done = srun("pmix", "train", "data.h5", "--epochs", "1", "-o", "srun.h5")
    plain = run(site.lockstep, ["train", "data.h5", "--epochs", 1, "-o", "plain.h5"], directory=site.directory)
    check(done.returncode == 0 and plain.code == 0 and "ranks: 2" in done.stderr, "srun --mpi=pmix:", done, plain)
    check(done.returncode == 0 and same_bytes(site.path("srun.h5"), site.path("plain.h5")), "srun: another model:", done)


class Together:
    """What needs no dead node, side by side, for each job waits in the queue for most of its time."""

    def __init__(self, site):
        """Submits, and interrupts what is to be interrupted."""
        self.site = site

        def interrupted(name, *options, **variables):
            return Job(site, "train", name, *TWO, *options, interrupted=True, **variables)

        self.limit = interrupted("limit", "--time=1", "--signal=B:USR1@20")
        self.broken = Job(site, "train", "broken", *TWO)
        self.requeued = interrupted("requeued")
        self.terminated = interrupted("terminated")
        self.requeued.wait_checkpoint()
        site.cluster.call("scontrol", "requeue", self.requeued.id)
        self.terminated.wait_checkpoint()
        site.cluster.call("scancel", "--signal=TERM", self.terminated.id + ".0")

        self.signalled = interrupted("signalled")
        self.killed = interrupted("killed")
        self.signalled.wait_checkpoint()
        site.cluster.call("scancel", "--signal=USR1", "--batch", self.signalled.id)
        self.killed.wait_checkpoint()
        os.kill(self.killed.rank_on("n2"), signal.SIGKILL)

        self.cancelled = interrupted("cancelled")
        self.by_mpirun = interrupted("mpirun", PATH=f"{site.path('bin')}:{site.submitted['PATH']}")
        self.cancelled.wait_checkpoint()
        site.cluster.call("scancel", self.cancelled.id)
        self.by_mpirun.wait_checkpoint()
        site.cluster.call("scancel", "--signal=USR1", "--batch", self.by_mpirun.id)
        self.tune = submit_search(site)
        interrupt_search(site, self.tune)

        self.plain = Job(site, "train", "plain", "--nodes=2", "--ntasks-per-node=2", TRAINING=SETTINGS + " --epochs 2")
        self.missing = Job(site, "train", "missing", *TWO, DATA="missing.h5")
        self.sweep = Job(site, "sweep", "sweep", "--array=0-3", ARCHITECTURES="2 3,2", SEEDS="1 2", TRAINING="--epochs 2")
        self.beyond = Job(site, "sweep", "beyond", "--array=4", ARCHITECTURES="2 3,2", SEEDS="1 2")
        self.scaling = Job(site, "scaling", "scaling", *TWO, "--oversubscribe", RANKS="1 2", SCALING="strong", NETWORKS="3",
                           SAMPLES="2000", BATCHES="64 128", EPOCHS="2", REPETITIONS="1", TRAINING="--shuffle none")
        self.notebooks = [Job(site, "notebook", f"notebook-{n}", f"--ntasks={n}") for n in (1, 2)]

    def check_tune(self):
        check_search(self.site, self.tune)

    def check_plain(self):
        self.plain.check_ended("COMPLETED", 0)
        check("4 ranks on n[1-2], started by srun" in self.plain.log(), "not on two nodes:", self.plain.about())
        self.plain.check_result(SETTINGS + " --epochs 2")

    def check_missing(self):
        self.missing.check_ended("FAILED", 3)
        log = self.missing.log()
        check("missing.h5" in log and f"RUN={self.missing.run} sbatch jobs/train.sbatch" in log,
              "does not say what is missing and how to go on:", self.missing.about())

    def check_interrupted(self):
        for job in (self.requeued, self.terminated, self.signalled, self.killed):
            job.check_resumed()
        self.terminated.check_saved()
        self.signalled.check_saved()
        self.killed.check_saved(False)

    def check_by_mpirun(self):
        self.by_mpirun.check_resumed()
        self.by_mpirun.check_saved()
        check(self.by_mpirun.log().count("started by mpirun") == 2, "not started by mpirun:", self.by_mpirun.about())

    def check_cancelled(self):
        job = self.cancelled
        job.demand_state("CANCELLED")
        check(job.restarts() == 0, "a cancelled job goes on:", job.about())
        job.check_saved()
        settings = f"{SETTINGS} --epochs {job.checkpoints()[-1] // STEPS + 2}"
        again = Job(self.site, "train", "again", *TWO, RUN=job.run, TRAINING=settings)
        again.run = job.run
        again.check_ended("COMPLETED", 0)
        check(f"resumed from {again.run}/checkpoints" in again.log(), "does not go on:", again.about())
        again.check_result(settings)

    def check_notebooks(self):
        one, two = self.notebooks
        one.check_ended("COMPLETED", 0)
        two.check_ended("COMPLETED", 0)
        check(f"job {two.id}: 2 ranks on n" in two.log() and "started by srun" in two.log(), "not by srun:", two.about())
        for name in ("data.h5", "model.h5", "predictions.h5"):
            check(same_bytes(self.site.path(f"{one.run}/{name}"), self.site.path(f"{two.run}/{name}")),
                  f"notebook.sbatch: {name} is not the same on 1 and on 2 ranks:", two.about())

    def check_sweep(self):
        site, directory = self.site, f"sweep-{self.sweep.id}"

        def log_of_task(task):
            return site.read(f"{directory}_{task}.log")

        self.sweep.wait(lambda: "Submitted batch job" in log_of_task(0), "submit the last job")
        table = re.search(r"Submitted batch job (\d+)", log_of_task(0)).group(1)
        self.sweep.wait(lambda: site.cluster.job(table).get("JobState") not in ("PENDING", "RUNNING", "COMPLETING"),
                        "make the table")
        fields = site.cluster.job(table)
        check(fields["JobName"] == "sweep-table", "name of the table's job:", fields)
        if not check(fields["JobState"] == "COMPLETED", "the table's job:", fields):
            raise Lost(site.read(directory + "/table.log") + "".join(log_of_task(task) for task in range(4)))
        rows = list(csv.DictReader(site.read(directory + "/table.csv").splitlines()))
        settings = [(hidden, seed) for hidden in ("2", "3,2") for seed in (1, 2)]
        check(sorted((row["hidden"], int(row["seed"])) for row in rows) == settings, "rows of the table:", rows)
        losses = [float(row["test_loss"]) for row in rows]
        check(losses == sorted(losses), "the table does not begin with the best:", losses)
        for task, (hidden, seed) in enumerate(settings):
            model, run_directory = site.path(f"reference-sweep-{task}.h5"), f"{directory}/{task}"
            expect(0, site.lockstep, ["train", "data.h5", "--epochs", 2, "--hidden", hidden, "--seed", seed, "--verbose", 0,
                                      "-o", model], directory=site.directory)
            check(same_bytes(model, site.path(run_directory + "/model.h5")), f"{run_directory}: another model:",
                  log_of_task(task))
            measures = json.loads(site.read(run_directory + "/evaluation.json"))
            row = next(row for row in rows if row["task"] == str(task))
            check(all(float(row[f"{name}_{measure}"]) == measures[name][measure] for name in ("train", "test")
                      for measure in ("samples", "loss", "binary_accuracy", "f1")) and
                  row["test_fp"] == str(measures["test"]["confusion_matrix"][0][1]),
                  f"{run_directory}: the table says {row}, the evaluation {measures}")

        # What is not there is said, not passed over.
        os.remove(site.path(directory + "/1/evaluation.json"))
        done = site.cluster.call("tools/sweep_table.py", directory, "--runs", "4", check=False, cwd=site.directory)
        check(done.returncode == 1 and f"{directory}/1: no result" in done.stderr and "3 of 4 runs" in done.stderr and
              len(done.stdout.splitlines()) == 4, "table of an incomplete sweep:", done)
        check(self.beyond.wait_end()["ExitCode"] == "2:0" and
              "submit with --array=0-3" in site.read(f"sweep-{self.beyond.id}_4.log"), "a task too many:", self.beyond.about())

    def check_scaling(self):
        job = self.scaling
        job.check_ended("COMPLETED", 0)
        rows = list(csv.DictReader(self.site.read(f"{job.run}/points-{job.id}.csv").splitlines()))
        check(sorted((int(row["batch_size"]), int(row["ranks"]), int(row["nodes"]), row["oversubscribed"]) for row in rows) ==
              [(batch, n, n, "0") for batch in (64, 128) for n in (1, 2)], "points of the study:", rows, job.about())
        for batch in ("64", "128"):
            check(len({row["digest"] for row in rows if row["batch_size"] == batch}) == 1, "not one model:", rows)
        check(self.site.read(job.run + "/report.md").count("on 1, 2 ranks trained the same model, bit for bit") == 2 and
              os.path.exists(self.site.path(job.run + "/strong-3-n2000-b64.png")), "report of the study:", job.about())
        check("up to 2 ranks on n[1-2], started by srun" in job.log(), "not by srun:", job.about())

    def check_limit(self):
        self.limit.check_resumed()
        self.limit.check_saved()

    def check_broken(self):
        self.broken.check_ended("FAILED", 1)
        check(self.broken.restarts() == 3, "3 restarts expected:", self.broken.about())
        check("failed 4 times without getting on" in self.broken.log(), "gives up without saying so:",
              self.broken.about())


SEARCH = "--search random --trials 16 --epochs 1000 --batch-size 64 --seed 3"


def submit_search(site):
    site.write("space.json", '{"hidden": [[2], [3], [4]], "learning_rate": {"min": 0.001, "max": 1, "sampling": "log"}}')
    return Job(site, "tune", "tune", *TWO, SPACE="space.json", SEARCH=SEARCH)


def journal(site, job):
    return site.read(job.run + "/journal").splitlines()


def interrupt_search(site, job):
    """While most trials are still to come."""
    job.wait(lambda: len(journal(site, job)) > 1 or job.state() not in ("PENDING", "RUNNING"), "finish a trial")
    site.cluster.call("scancel", "--signal=USR1", "--batch", job.id)


def check_search(site, job):
    """Interrupted, it goes on to the tables of a plain process."""
    job.check_ended("COMPLETED", 0)
    check(job.restarts() > 0 and "stopped by a signal" in job.log() and "trainings have been done before" in job.log(),
          "the search does not go on:", job.about())
    check(len(journal(site, job)) == 17, "a line for each trial:", journal(site, job))
    expect(0, site.lockstep, ["tune", "data.h5", "--space", "space.json", *SEARCH.split(), "--dir", "search"], directory=site.directory)
    for ours, theirs in (("results.csv", "results.csv"), ("results.json", "results.json"), ("best.h5", "model.h5")):
        check(same_bytes(site.path("search/" + ours), site.path(f"{job.run}/{theirs}")), "the search under SLURM:", theirs)


def check_lost_slurmd(site):
    """slurmd dies, its job's processes live: SLURM notices after a while, ends what it reaches and requeues the job."""
    job = Job(site, "train", "slurmd", *TWO, interrupted=True)
    job.wait_checkpoint()
    site.cluster.kill_slurmd("n2")
    job.wait(lambda: job.restarts() > 0, "come back into the queue")
    site.cluster.start_node("n2")
    job.check_resumed()
    check_nothing_left(site, job)


def check_lost_node(site):
    """All of a node dies and it is back before SLURM looks: only the other rank can notice, by the stall timeout."""
    job = Job(site, "train", "node", *TWO, interrupted=True, STALL_TIMEOUT="5")
    job.wait_checkpoint()
    site.cluster.kill_node("n2")
    site.cluster.start_node("n2")
    # Now and then srun waits forever for the step that the node has forgotten: then a person says that the node was down.
    end = time.monotonic() + 30
    while job.restarts() == 0 and time.monotonic() < end:
        time.sleep(0.5)
    if job.restarts() == 0:
        for state in ("down", "resume"):
            site.cluster.call("scontrol", "update", "nodename=n2", "state=" + state, "reason=lost")
    job.check_resumed()
    check("no progress" in job.log(), "does not report what stalled:", job.about())
    check_nothing_left(site, job)


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
        with group("srun with and without PMIx"):
            check_srun(site)
        jobs = None
        with group("submitting a dozen jobs"):
            jobs = Together(site)
        for title, part in (("train.sbatch on two nodes", Together.check_plain),
                            ("wrong input", Together.check_missing),
                            ("scontrol requeue, SIGTERM to a step, SIGUSR1 to the script, SIGKILL to a rank",
                             Together.check_interrupted),
                            ("train.sbatch by mpirun, where SLURM has no PMIx", Together.check_by_mpirun),
                            ("scancel, and going on in another job", Together.check_cancelled),
                            ("notebook.sbatch on 1 and 2 ranks", Together.check_notebooks),
                            ("sweep.sbatch and its table", Together.check_sweep),
                            ("scaling.sbatch", Together.check_scaling),
                            ("tune.sbatch, interrupted and requeued", Together.check_tune),
                            ("time limit, signal, checkpoint, requeue", Together.check_limit),
                            ("a job that always fails gives up", Together.check_broken)):
            with group(title):
                if not jobs:
                    raise Lost("the jobs are not there")
                part(jobs)
        with group("slurmd of a node killed"):
            check_lost_slurmd(site)
        with group("a node killed"):
            check_lost_node(site)
    check(not descendants(os.getpid()), "processes left by the cluster:", descendants(os.getpid()))
    common.finish()


if __name__ == "__main__":
    main()
