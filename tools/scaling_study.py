#!/usr/bin/python3
"""Measures how training scales with ranks, and reports it with tables, pictures and a fit.

    tools/scaling_study.py study --ranks 1 2 4 --n-samples 100000 --batch-size 1024 --hidden 16,16 64,64
    tools/scaling_study.py study --report       # the report again, from the points that there are

Strong scaling: the same training on every number of ranks. Weak scaling: samples and batch grow with the ranks, --n-samples and
--batch-size are those of a rank. Every network is trained with every number of samples and batch size. All runs take turns
before any of them is repeated. The directory gets points.csv with a line for each run, report.md, a
picture for each series, and the data that were generated. A run that is in points.csv is not done again, so a study that was
stopped goes on with the same command, and one that is to have more ranks or repetitions is extended.

The report makes sure that all runs of a strong series trained the same model, by a digest of the model file. The exit code is 1
if they did not, and if a run failed.

Under SLURM: jobs/scaling.sbatch. Points from elsewhere, say a simulation (column simulated = 1), go into points-NAME.csv in the
same directory with the same columns; the report has them in a part of their own.
"""
import argparse
import fnmatch
import hashlib
import json
import os
import shlex
import subprocess
import sys

from scaling_points import PARTS, POINTS, SPREAD, InputError, PointFile, count, identity, read_points

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXIT_FAILED, EXIT_USAGE = 1, 2
REFUSED = 2  # lockstep's exit code for options that cannot be used
CODES = (*range(10), 75)  # all of lockstep's
ATTEMPTS = 3
DIGEST_SIZE = 16


class Failure(Exception):
    """What went wrong, in words for the user."""


def n_cores():
    return len(os.sched_getaffinity(0))


def machine_name():
    """The processor and how many cores of it a node has."""
    name = os.uname().machine
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                name = " ".join(line.split(":", 1)[1].split())
                break
    return f"{name}, {os.cpu_count()} cores a node"


def environment():
    """One thread a rank. Open MPI wants root to ask twice, and waiting ranks to leave a core that others need."""
    variables = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if os.getuid() == 0:
        variables.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return variables


class Study:
    """Where the runs are done, and how."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.directory = arguments.directory
        self.machine = arguments.machine or machine_name()
        os.makedirs(os.path.join(self.directory, "data"), exist_ok=True)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def points(self):
        """The settings of every run, in the order in which they are done."""
        a = self.arguments
        return [{"scaling": scaling, "simulated": 0, "machine": self.machine, "hidden": hidden, "n_features": a.n_features,
                 "n_samples": n_samples * (ranks if scaling == "weak" else 1),
                 "batch_size": batch_size * (ranks if scaling == "weak" else 1), "epochs": a.epochs, "options": a.options,
                 "ranks": ranks, "repetition": repetition}
                for repetition in range(a.repetitions) for scaling in a.scaling for hidden in a.hidden
                for n_samples in a.n_samples for batch_size in a.batch_size for ranks in a.ranks]

    def call(self, words):
        """(exit code, message) of lockstep. If it could not say anything, since MPI did not come up or a node was lost, it is
        tried again."""
        for _ in range(ATTEMPTS):
            done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=environment(), stdin=subprocess.DEVNULL)
            if done.returncode in CODES:
                break
        own = [line.removeprefix("lockstep: ") for line in done.stderr.splitlines() if line.startswith("lockstep: ")]
        return done.returncode, next((line for line in own if not line.startswith("warning: ")), done.stderr.strip()[-500:])

    def data(self, point):
        """The file of so many samples, made if it is not there; it is the same whoever makes it."""
        path = self.path("data", f"n{point['n_samples']}-f{point['n_features']}.h5")
        if not os.path.exists(path):
            code, message = self.call(self.launch(point["ranks"]) + [
                self.arguments.lockstep, "generate", "-o", path, "--rng", "philox", "--n-samples", point["n_samples"],
                "--n-features", point["n_features"], "--n-informative", min(2, point["n_features"]), "--n-redundant", 0,
                "--class-sep", 1.5, "--dtype", "float32"])
            if code != 0:
                raise Failure(f"generate: exit code {code}: {message}")
        return path

    def launch(self, ranks):
        nodes = self.nodes(ranks)
        words = [word.format(ranks=ranks, nodes=nodes) for word in shlex.split(self.arguments.launcher)]
        if self.is_crowded(ranks) and words[:1] == ["mpirun"]:
            words.append("--oversubscribe")
        return words

    def nodes(self, ranks):
        return -(-ranks // self.arguments.ranks_per_node) if self.arguments.ranks_per_node else 1

    def is_crowded(self, ranks):
        return not self.arguments.ranks_per_node and ranks > n_cores()

    def run(self, point):
        """The point with what was measured."""
        model, times = self.path(f"model-{os.getpid()}.h5"), self.path(f"times-{os.getpid()}.json")
        words = self.launch(point["ranks"]) + [
            self.arguments.lockstep, "train", self.data(point), "--hidden", point["hidden"], "--batch-size",
            point["batch_size"], "--epochs", point["epochs"], "--seed", 1, "--verbose", 0, "-o", model, "--times", times,
            *shlex.split(point["options"])]
        try:
            code, message = self.call(words)
            if code == REFUSED:
                return dict(point, refused=message)
            if code != 0:
                raise Failure(f"exit code {code}: {message}: {shlex.join(map(str, words))}")
            if not os.path.exists(times) or not os.path.exists(model):
                raise Failure(f"no training was done: {shlex.join(map(str, words))}")
            with open(times, encoding="utf-8") as file:
                found = json.load(file)
            with open(model, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()[:DIGEST_SIZE]
        finally:
            for path in (model, times):
                if os.path.exists(path):
                    os.remove(path)
        if found["ranks"] != point["ranks"]:
            raise Failure(f"{found['ranks']} ranks came up instead of {point['ranks']}: {shlex.join(map(str, words))}")
        values = {f"{part}_{which}": found[part][which] for part in PARTS for which in SPREAD}
        values.update({name: found[name] for name in ("shards", "message_bytes", "steps", "seconds", "seconds_of_steps")})
        return dict(point, nodes=self.nodes(point["ranks"]), oversubscribed=int(self.is_crowded(point["ranks"])), digest=digest,
                    **values)

    def run_all(self):
        """Does the runs that are missing. Returns how many failed."""
        done = {identity(point) for point in read_points(self.directory)}
        points = list({identity(point): point for point in self.points() if identity(point) not in done}.values())
        file = PointFile(self.path(self.arguments.points))
        n_failed = 0
        for number, point in enumerate(points, 1):
            what = (f"[{number}/{len(points)}] {point['scaling']}, [{point['hidden']}], n_samples {point['n_samples']}, "
                    f"batch_size {point['batch_size']}, ranks {point['ranks']}, repetition {point['repetition'] + 1}")
            try:
                point = self.run(point)
            except Failure as failure:
                n_failed += 1
                print(f"{what}: FAILED: {failure}", file=sys.stderr, flush=True)
                continue
            file.append(point)
            result = (f"refused: {point['refused']}" if point.get("refused") else
                      f"{point['seconds_of_steps']:.3g} s, {1e6 * point['seconds_of_steps'] / point['steps']:.3g} us a step")
            print(f"{what}: {result}", flush=True)
        return n_failed


def positive(text):
    """A whole number above 0, also as 1e6."""
    try:
        number = int(text) if text.isdecimal() else float(text)
        if number == int(number) and number >= 1:
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")


def units(text):
    """As --hidden of train: "64,32", "" for no hidden layer."""
    return ",".join(str(positive(word)) for word in text.split(",")) if text else ""


def command_words(text):
    """Words as for a shell, in one text."""
    try:
        shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error}") from None
    return text


def launcher(text):
    try:
        words = [word.format(ranks=1, nodes=1) for word in shlex.split(command_words(text))]
    except (ValueError, LookupError, AttributeError):
        words = None
    if not words:
        raise argparse.ArgumentTypeError(f"'{text}' is not a command in which {{ranks}} and {{nodes}} may stand")
    return text


def points_name(text):
    if os.path.basename(text) != text or not fnmatch.fnmatchcase(text, POINTS):
        raise argparse.ArgumentTypeError(f"'{text}' is not a name like {POINTS}, which the report looks for")
    return text


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="of the study; made if it is not there")
    parser.add_argument("--report", action="store_true", help="only write the report of the points that there are")
    parser.add_argument("--no-report", action="store_true", help="only do the runs (where there is no matplotlib)")
    parser.add_argument("--scaling", nargs="+", choices=("strong", "weak"), default=["strong"], help="(default: strong)")
    parser.add_argument("--ranks", nargs="+", type=positive, default=[1, 2], metavar="R", help="(default: 1 2)")
    parser.add_argument("--hidden", nargs="+", type=units, default=["16,16"], metavar="U,U", help="networks (default: 16,16)")
    parser.add_argument("--n-samples", nargs="+", type=positive, default=[100000], metavar="M", help="(default: 1e5)")
    parser.add_argument("--batch-size", nargs="+", type=positive, default=[1024], metavar="B", help="(default: 1024)")
    parser.add_argument("--n-features", type=positive, default=2, metavar="N", help="(default: 2)")
    parser.add_argument("--epochs", type=positive, default=5, help="of each run (default: 5)")
    parser.add_argument("--repetitions", type=positive, default=3, help="of each run (default: 3)")
    parser.add_argument("--options", type=command_words, default="",
                        help='more options of train, for example "--shuffle none --dtype float64"')
    parser.add_argument("--launcher", type=launcher, default="mpirun -n {ranks}",
                        help="how ranks are started; it may have {ranks} and {nodes} (default: mpirun -n {ranks})")
    parser.add_argument("--ranks-per-node", type=positive, help="how they are spread on a cluster (default: all on this node)")
    parser.add_argument("--machine", help="its name in the report (default: this node's processor)")
    parser.add_argument("--points", type=points_name, default="points.csv", metavar="NAME",
                        help=f"file of the runs in the directory, {POINTS} (default: points.csv)")
    parser.add_argument("--lockstep", default=os.path.join(ROOT, "build", "lockstep"), help="(default: build/lockstep)")
    return parser.parse_args()


def report(directory):
    """Writes it, says what it says. Returns whether there are no errors in it."""
    points = read_points(directory)
    if not points:
        raise Failure(f"{directory}: there are no points to report on")
    try:
        from scaling_report import write_report
    except ImportError as error:
        raise Failure(f"no report: {error}: on Debian, apt install python3-matplotlib; the runs are done, so    "
                      f"tools/scaling_study.py {directory} --report    makes it, here or elsewhere") from None
    errors = write_report(points, directory)
    for error in errors:
        print(f"scaling_study.py: ERROR: {error}", file=sys.stderr)
    print(f"{os.path.join(directory, 'report.md')}: {count(len(points), 'run')}" +
          ("" if errors else "; every strong series trained one and the same model"))
    return not errors


def main():
    arguments = parse_arguments()
    n_failed, is_good = 0, True
    try:
        if not arguments.report:
            if not os.access(arguments.lockstep, os.X_OK):
                raise Failure(f"{arguments.lockstep} is missing: build lockstep first, or give --lockstep")
            n_failed = Study(arguments).run_all()
        if not arguments.no_report:
            is_good = report(arguments.directory)
    except (Failure, InputError) as error:
        print(f"scaling_study.py: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"scaling_study.py: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("scaling_study.py: stopped; the same command goes on", file=sys.stderr)
        return EXIT_FAILED
    if n_failed:
        print(f"scaling_study.py: {count(n_failed, 'run')} failed; the same command tries again", file=sys.stderr)
    return EXIT_FAILED if n_failed or not is_good else 0


if __name__ == "__main__":
    sys.exit(main())
