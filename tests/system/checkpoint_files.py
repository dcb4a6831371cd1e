#!/usr/bin/env python3
"""Files that survive: checkpoint_files.py PATH_TO_lockstep [--long] [--seed N]

SIGKILL at random moments while checkpoints are written, full disks, damaged files, two runs in one directory. There is always a complete
checkpoint, nothing valid goes before its successor is safe, and no half-written file stays. Mounts a small tmpfs, hence needs root.
--long kills ten times as often.
"""
import atexit
import os
import random
import re
import shutil
import signal
import subprocess
import time

import h5py

import common
from common import Run, check, expect, same_bytes

ROWS, BATCH = 64, 8
STEPS = ROWS // BATCH
NAME = re.compile(r"checkpoint-(\d{12})\.weights\.h5")


class Job:
    """Small steps and a large model: most of the time goes into checkpoints."""

    def __init__(self, lockstep, directory):
        self.lockstep, self.directory = lockstep, directory
        self.data, self.checkpoints = directory + "/data.h5", directory + "/ck"
        expect(0, lockstep, ["generate", "-o", self.data, "--n-samples", ROWS + 16, "--n-features", 4, "--n-redundant", 0,
                             "--random-state", 3, "--train-size", ROWS])

    def arguments(self, *more, epochs=1000000, every="1steps", keep=1, checkpoints=None, hidden="200,200"):
        return ["train", self.data, "--hidden", hidden, "--batch-size", BATCH, "--epochs", epochs, "--verbose", 0, "--resume",
                "--checkpoint-dir", checkpoints or self.checkpoints, "--checkpoint-every", every, "--keep", keep, *more]


def listing(directory):
    """Steps of the checkpoints, oldest first, and the names of all other files."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    steps = sorted(int(m.group(1)) for m in map(NAME.fullmatch, names) if m)
    return steps, sorted(n for n in names if not NAME.fullmatch(n) and n != ".lock")


def path_of(directory, step):
    return "%s/checkpoint-%012d.weights.h5" % (directory, step)


def is_complete(path):
    """Has it the length that its head says? (The command checks the digest.)"""
    with open(path, "rb") as f:
        head = f.read(512).decode(errors="replace")
    found = re.match(r"lockstep model 1\nbytes (\d+)\n", head)
    return bool(found) and int(found.group(1)) == os.path.getsize(path)


def report(name, before, more=""):
    print("%s: %d checks, %d failed%s" % (name, common.n_checks - before[0], common.n_failed - before[1], more), flush=True)


def killed_while_writing(job, choose, n, ranks, keep):
    before = common.n_checks, common.n_failed
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    newest, n_within, most = -1, 0, 0
    for _ in range(n):
        r = Run(job.lockstep, job.arguments(keep=keep), ranks)
        while r.running() and (listing(job.checkpoints)[0] or [-1])[-1] <= newest:
            time.sleep(0.0005)
        time.sleep(choose.random() * 0.02)
        r.kill()
        r.wait()
        r.orphans()
        steps, others = listing(job.checkpoints)
        said = re.search(r"resumed from .*/" + NAME.pattern, r.stderr)
        if newest >= 0:
            check(said and int(said.group(1)) == newest, "did not resume from the newest one, of step", newest, r)
        check(len(r.messages()) == 1, "messages:", r)
        check(1 <= len(steps) <= keep + 1, "complete checkpoints:", steps, r)
        check(all(is_complete(path_of(job.checkpoints, s)) for s in steps), "cut checkpoints:", steps, r)
        check(len(others) <= 1 and all(".tmp-" in name for name in others), "other files:", others)
        check((steps or [-1])[-1] > newest, "no progress:", steps, newest)
        n_within += bool(others)
        most = max(most, len(steps))
        newest = (steps or [-1])[-1]
    check(n_within > 0, "no kill came while a file was written")
    epochs = newest // STEPS + 1
    expect(0, job.lockstep, job.arguments("-o", job.directory + "/m.h5", epochs=epochs, every="1epochs"), ranks)
    expect(0, job.lockstep, job.arguments("-o", job.directory + "/whole.h5", epochs=epochs, every="100000steps",
                                          checkpoints=job.directory + "/whole"))
    check(same_bytes(job.directory + "/m.h5", job.directory + "/whole.h5"), "the end differs after", n, "kills")
    check(listing(job.checkpoints)[1] == [], "files left:", listing(job.checkpoints))
    shutil.rmtree(job.directory + "/whole")
    report("SIGKILL while writing", before, "; %d kills on %d ranks, %d of them within a file; %d steps; at most %d files with --keep %d"
           % (n, ranks, n_within, newest, most, keep))


class SmallDisk:
    """A tmpfs that can be filled."""

    def __init__(self, directory, size):
        self.path = directory + "/disk"
        os.makedirs(self.path, exist_ok=True)
        atexit.register(self.unmount)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", self.path], capture_output=True, text=True)
        check(mounted.returncode == 0, "mount:", mounted.stderr)

    def unmount(self):
        if os.path.ismount(self.path):
            subprocess.run(["umount", "-l", self.path])

    def fill(self, leave=0):
        """Leaves so many bytes free, in whole pages."""
        with open(self.path + "/filler", "ab", buffering=0) as f:
            free = os.statvfs(self.path).f_bavail * 4096 - leave
            while free > 0:
                try:
                    free -= f.write(b"x" * min(free, 1 << 16))
                except OSError:
                    break

    def empty(self):
        if os.path.exists(self.path + "/filler"):
            os.unlink(self.path + "/filler")


def full_disk(job):
    """The disk that is full in the midst: one message, the target as it was, nothing half-written, and on it goes with more space."""
    before = common.n_checks, common.n_failed
    disk = SmallDisk(job.directory, 8 << 20)
    whole = job.directory + "/whole.h5"
    expect(0, job.lockstep, job.arguments("-o", whole, epochs=3, checkpoints=job.directory + "/whole"))
    file_size = os.path.getsize(path_of(job.directory + "/whole", 3 * STEPS))
    for ranks in (0, 3):
        def refused(arguments, target, old=b"an older file"):
            """Fails with 4 on the full disk and leaves the target as it was."""
            for present in (None, old):
                if present is not None:
                    with open(target, "wb") as f:
                        f.write(present)
                disk.fill()
                r = expect(4, job.lockstep, arguments, ranks, message=r"lockstep: %s: .*No space left" % re.escape(target))
                check(len(r.messages()) == 1, "one message:", r)
                disk.empty()
                check((open(target, "rb").read() if os.path.exists(target) else None) == present, "the target has changed:", target, r)
                left = [n for n in os.listdir(disk.path) if n != os.path.basename(target)]
                check(left == [], "files left:", left, r)
            os.unlink(target)
            expect(0, job.lockstep, arguments, ranks)
            check(os.path.getsize(target) > 100, "written with space:", target)
            os.unlink(target)

        train = ["train", job.data, "--hidden", "200,200", "--verbose", 0]
        refused(train + ["-o", disk.path + "/m.h5"], disk.path + "/m.h5")
        refused(train + ["--history", disk.path + "/h.csv"], disk.path + "/h.csv")
        refused(["predict", whole, job.data, "-o", disk.path + "/p.h5"], disk.path + "/p.h5")
        refused(["generate", "-o", disk.path + "/d.h5", "--n-samples", 20000], disk.path + "/d.h5")
        refused(["split", job.data, "-o", disk.path + "/s.h5", "--x", "/train/X", "--y", "/train/y"], disk.path + "/s.h5")

        # Room for some of the checkpoints.
        checkpoints, model = disk.path + "/ck", job.directory + "/m.h5"
        disk.fill(leave=int(3.5 * file_size))
        r = expect(4, job.lockstep, job.arguments("-o", model, epochs=3, keep=1000, checkpoints=checkpoints), ranks,
                   message=r"lockstep: %s/checkpoint-0+4\.weights\.h5: .*No space left" % re.escape(checkpoints))
        steps, others = listing(checkpoints)
        check(steps == [1, 2, 3] and others == [], "left on the full disk:", steps, others, r)
        check(all(is_complete(path_of(checkpoints, s)) for s in steps), "cut checkpoints:", steps)
        check(not os.path.exists(model), "a model after a failure", r)
        # Still full: again refused, nothing lost.
        expect(4, job.lockstep, job.arguments("-o", model, epochs=3, keep=1000, checkpoints=checkpoints), ranks, message="No space left")
        check(listing(checkpoints) == (steps, []), "left after another attempt:", listing(checkpoints))
        disk.empty()
        r = expect(0, job.lockstep, job.arguments("-o", model, epochs=3, keep=2, checkpoints=checkpoints), ranks,
                   message="resumed from .*0003.weights.h5")
        check(same_bytes(model, whole), "the model after a full disk differs", r)
        os.unlink(model)
        shutil.rmtree(checkpoints)
    disk.unmount()
    shutil.rmtree(job.directory + "/whole")
    report("full disk", before)


def damaged(job, choose, n):
    before = common.n_checks, common.n_failed
    checkpoints, good, whole = job.directory + "/damaged", job.directory + "/good", job.directory + "/whole.h5"
    expect(0, job.lockstep, job.arguments(epochs=2, keep=2, checkpoints=good, hidden="5,3"))
    expect(0, job.lockstep, job.arguments("-o", whole, epochs=3, checkpoints=job.directory + "/whole", hidden="5,3"))
    newest, older = 2 * STEPS, 2 * STEPS - 1

    def resume(message, ranks=0, code=0, **more):
        r = expect(code, job.lockstep, job.arguments("-o", job.directory + "/m.h5", epochs=3, checkpoints=checkpoints, hidden="5,3", **more),
                   ranks, message=message)
        if code == 0:
            check(same_bytes(job.directory + "/m.h5", whole), "differs after", message, r)
        return r

    def start():
        shutil.rmtree(checkpoints, ignore_errors=True)
        shutil.copytree(good, checkpoints)
        return path_of(checkpoints, newest)

    size = os.path.getsize(path_of(good, newest))
    for i in range(n):
        path = start()
        with open(path, "r+b") as f:
            if i % 2:
                place = choose.randrange(size)
                f.seek(place)
                byte = f.read(1)[0]
                f.seek(place)
                f.write(bytes([byte ^ choose.randint(1, 255)]))
            else:
                place = choose.choice((0, 1, 511, 512, 513, size - 1, choose.randrange(size)))
                f.truncate(place)
        r = resume("resumed from %s" % re.escape(path_of(checkpoints, older)), 3 if i % 8 == 0 else 0)
        check(re.search(r"lockstep: %s: .*(damaged|cut|empty)" % re.escape(path), r.stderr), "not named, damaged at", place, r)
        check(len(r.messages()) == 2, "messages, damaged at", place, r)
        check(listing(checkpoints) == ([3 * STEPS], []), "after the end:", listing(checkpoints), r)
    # Both.
    for ranks in (0, 3):
        start()
        for step in (older, newest):
            os.truncate(path_of(checkpoints, step), 1000)
        r = resume("lockstep: %s: " % re.escape(path_of(checkpoints, older)), ranks, 3)
        check(listing(checkpoints) == ([older, newest], []), "a failed resume changed", listing(checkpoints), r)
    # Other things of that name: a model without a record, a directory, a dangling link.
    path = start()
    expect(0, job.lockstep, ["train", job.data, "--hidden", "5,3", "--verbose", 0, "-o", job.directory + "/plain.h5"])
    with h5py.File(job.directory + "/plain.h5") as source, h5py.File(path, "w") as target:
        for name, value in source.attrs.items():
            target.attrs[name] = value
        source.copy("model_weights", target)
    resume("%s: has no record of a training" % re.escape(path))
    for make in (os.mkdir, lambda p: os.symlink("/nowhere", p), os.mkfifo):
        path = start()
        os.unlink(path)
        make(path)
        resume("lockstep: %s: " % re.escape(path), every="100steps")
    shutil.rmtree(job.directory + "/whole")
    report("damaged files", before, "; %d of a checkpoint of %d bytes" % (n, size))


def two_runs(job):
    """The directory belongs to one run at a time."""
    before = common.n_checks, common.n_failed
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    first = Run(job.lockstep, job.arguments(keep=2), 2)
    while first.running() and not listing(job.checkpoints)[0]:
        time.sleep(0.01)
    second = expect(2, job.lockstep, job.arguments(keep=2), 3, message="%s: another run is writing its checkpoints here" % job.checkpoints)
    check(len(second.messages()) == 1, "one message:", second)
    check(first.running(), "the first run ended:", second)
    # One that comes while the other leaves waits for it.
    third = Run(job.lockstep, job.arguments(keep=2), 2)
    third.rank_pids()
    os.kill(first.rank_pids()[1], signal.SIGUSR1)
    first.wait()
    check(first.code == 75, "the first run:", first)
    step = int(re.search(r"after step (\d+)", first.stderr).group(1)) if "after step" in first.stderr else -1
    newest = listing(job.checkpoints)[0][-1]
    while third.running() and listing(job.checkpoints)[0][-1] <= newest + 2:
        time.sleep(0.01)
    os.kill(list(third.rank_pids().values())[0], signal.SIGTERM)
    third.wait()
    check(third.code == 75 and "resumed from" in third.stderr and step >= 0, "the third run:", third)
    check(listing(job.checkpoints)[1] == [], "files left:", listing(job.checkpoints))
    report("two runs", before)


def main():
    options = common.arguments(__doc__)
    choose = random.Random(options.seed)
    job = Job(options.lockstep, common.temporary_directory())
    times = 10 if options.long else 1
    full_disk(job)
    damaged(job, choose, 32 * times)
    two_runs(job)
    killed_while_writing(job, choose, 160 * times, 0, 1)
    killed_while_writing(job, choose, 40 * times, 2, 3)
    common.finish()


main()
