"""What the system tests share: running the command plainly or under mpirun, looking at processes, counting checks."""
import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_rmaps_base_oversubscribe="1", OPENBLAS_NUM_THREADS="1")
TIMEOUT = 300  # seconds; a guard only
MARK = "LOCKSTEP_SYSTEM_TEST"  # in the environment of every process of this test, to find those left behind

n_checks = n_failed = 0
_marks = []


def arguments(description, **options):
    """The parsed command line: lockstep, long and what options add (NAME=HELP, flags)."""
    import argparse
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lockstep")
    parser.add_argument("--long", action="store_true", help="many more cases")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices")
    for name, text in options.items():
        parser.add_argument("--" + name, action="store_true", help=text)
    result = parser.parse_args()
    result.lockstep = os.path.abspath(result.lockstep)
    return result


def check(ok, *what):
    """Counts one check; a failed one prints what was run and seen."""
    global n_checks, n_failed
    n_checks += 1
    if not ok:
        n_failed += 1
        print("FAILED:", *what, flush=True)
    return bool(ok)


def run_groups(**groups):
    """Runs functions, given by their names with _ for blanks, and prints the checks and seconds of each."""
    for name, group in groups.items():
        before, begin = n_checks, time.monotonic()
        group()
        print("%s: %d checks, %.0f s" % (name.replace("_", " "), n_checks - before, time.monotonic() - begin), flush=True)


def finish():
    """Looks for processes left behind, prints the summary and leaves with the exit code of the script."""
    end = time.monotonic() + 20  # ranks whose mpirun was killed take a moment
    while any(processes_of(mark) for mark in _marks) and time.monotonic() < end:
        time.sleep(0.05)
    left = [pid for mark in _marks for pid in processes_of(mark)]
    check(not left, "processes left behind:", [command_line(pid) for pid in left])
    print("%d checks, %d failed" % (n_checks, n_failed), flush=True)
    sys.exit(1 if n_failed or not n_checks else 0)


def temporary_directory(parent=None):
    """A directory that is gone when the script ends, however it ends."""
    path = tempfile.mkdtemp(prefix="lockstep-system-", dir=parent)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@atexit.register
def _kill_all():
    for mark in _marks:
        for pid in processes_of(mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a stopped test cleans up


def _environment_of(pid):
    try:
        with open("/proc/%d/environ" % pid, "rb") as f:
            return dict(entry.split(b"=", 1) for entry in f.read().split(b"\0") if b"=" in entry)
    except OSError:
        return {}


def state_of(pid):
    """The letter of ps, '' if there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return "%d %s %s" % (pid, state_of(pid), f.read().replace(b"\0", b" ").decode())
    except OSError:
        return "%d gone" % pid


def processes_of(mark):
    """All processes of one run that are not dead, mpirun included."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if _environment_of(pid).get(MARK.encode()) == mark.encode() and state_of(pid) not in ("Z", "X", "")]


def ranks_of(mark):
    """{rank: pid} of the processes that run lockstep itself, without mpirun."""
    ranks = {}
    for pid in processes_of(mark):
        environment = _environment_of(pid)
        for name in (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK", b"PMIX_RANK"):
            if name in environment:
                ranks[int(environment[name])] = pid
                break
    return ranks


def has_handlers(pid):
    """Are those of SIGUSR1 and SIGTERM in place? The dynamic loader takes some 10 ms before any program can have them."""
    try:
        with open("/proc/%d/status" % pid) as f:
            caught = int(re.search(r"SigCgt:\s*(\w+)", f.read()).group(1), 16)
    except (OSError, AttributeError):
        return False
    return all(caught >> (number - 1) & 1 for number in (signal.SIGUSR1, signal.SIGTERM))


class Run:
    """One lockstep command, plain (ranks=0) or on ranks processes. It runs in a process group of its own."""

    def __init__(self, lockstep, arguments, ranks=0, environment=None, directory=None, mpirun=()):
        self.command = [lockstep] + [str(a) for a in arguments]
        if ranks:
            self.command = ["mpirun", "-n", str(ranks), *mpirun] + self.command
        self.ranks = ranks
        self.mark = "%d-%d" % (os.getpid(), len(_marks))
        _marks.append(self.mark)
        self.output, self.errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.errors, cwd=directory,
            env=dict(ENVIRONMENT, **{MARK: self.mark}, **(environment or {})), start_new_session=True)
        self.pid, self.code, self.seconds = self.process.pid, None, None

    def rank_pids(self, timeout=60):
        """{rank: pid} once all of them exist; fewer if the run ends before."""
        end = time.monotonic() + timeout
        while True:
            if not self.ranks:
                return {0: self.pid}
            ranks = ranks_of(self.mark)
            if len(ranks) == self.ranks or self.process.poll() is not None or time.monotonic() > end:
                return ranks
            time.sleep(0.002)

    def running(self):
        return self.process.poll() is None

    def kill(self):
        for pid in processes_of(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def wait(self, timeout=TIMEOUT):
        """Waits for its end. A run that takes too long is killed and has the code None."""
        try:
            self.code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()
            self.code = None
        self.seconds = time.monotonic() - self.begin
        self.stdout, self.stderr = self._read(self.output), self._read(self.errors)
        return self

    @staticmethod
    def _read(file):
        file.seek(0)
        text = file.read().decode(errors="replace")
        file.close()
        return text

    def messages(self):
        """The lines of stderr that lockstep itself wrote, without mpirun's."""
        return [line for line in self.stderr.splitlines() if line.startswith("lockstep")]

    def orphans(self, timeout=20):
        """Processes of this run that are still there after its end; they get a moment to leave."""
        end = time.monotonic() + timeout
        while processes_of(self.mark) and time.monotonic() < end:
            time.sleep(0.05)
        return [command_line(pid) for pid in processes_of(self.mark)]

    def __str__(self):
        text = " ".join(self.command) + "\n  exit code %s after %.1f s" % (self.code, self.seconds or 0)
        for name in ("stdout", "stderr"):
            lines = getattr(self, name, "").strip().splitlines()
            text += "".join("\n  %s: %s" % (name, line) for line in lines[-12:])
        return text


def run(lockstep, arguments, ranks=0, timeout=TIMEOUT, **options):
    """Runs to the end."""
    return Run(lockstep, arguments, ranks, **options).wait(timeout)


def expect(code, lockstep, arguments, ranks=0, message=None, **options):
    """Runs to the end and checks the exit code and, if given, a pattern in lockstep's message."""
    r = run(lockstep, arguments, ranks, **options)
    check(r.code == code, "exit code %d expected:" % code, r)
    if message is not None:
        check(re.search(message, r.stderr), "no message like '%s':" % message, r)
    return r


def simd_sets():
    """What LOCKSTEP_SIMD can name on this processor: the vector instructions of the engine simd."""
    flags = set()
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("flags"):
                flags = set(line.split())
                break
    needed = {"avx512": {"avx512f", "avx512vl", "avx512dq", "avx512bw"}, "avx2": {"avx2", "fma"}, "portable": set()}
    return [name for name in needed if needed[name] <= flags]


# Options of a training with everything that the data of make_classes allow. It is on a plateau several times and stops early.
EVERYTHING = ["--optimizer", "adam", "--learning-rate", 0.008, "--clipnorm", 1, "--l2", 1e-4, "--dropout", 0.2,
              "--label-smoothing", 0.1, "--class-weight", "1,2,0.5", "--validation", "test", "--early-stopping", 6,
              "--restore-best", "--reduce-lr", 0.5, "--reduce-lr-patience", 2, "--normalize"]


def make_classes(lockstep, path, n_samples):
    """Data of three classes, features of other sizes and weighted samples, with a set for validation; returns path."""
    import h5py
    import numpy as np
    expect(0, lockstep, ["generate", "-o", path, "--n-samples", n_samples + 100, "--n-features", 4, "--n-classes", 3,
                         "--n-informative", 3, "--n-redundant", 0, "--flip-y", 0.05, "--random-state", 6, "--scale", "1,1000,0.01,1",
                         "--train-size", n_samples])
    rng = np.random.RandomState(7)
    with h5py.File(path, "r+") as f:
        for part in ("train", "test"):
            f[part + "/sample_weight"] = rng.uniform(0, 2, len(f[part + "/y"]))
    return path


def same_bytes(a, b):
    with open(a, "rb") as f, open(b, "rb") as g:
        return f.read() == g.read()
