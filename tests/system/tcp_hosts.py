#!/usr/bin/env python3
"""Several hosts that share nothing but a directory and a network: tcp_hosts.py PATH_TO_lockstep

Hosts are network namespaces with names of their own, joined by a bridge; ranks talk by Open MPI's tcp transport only. The files
of a job are those of a plain process, byte by byte, for several numbers of hosts and ranks; signals stop it in good order; a
host that dies, is cut off or stops ends it with a report of whom the others waited for, and it goes on from its checkpoint on
the hosts that are left. Needs root and iproute2.
"""
import os
import re
import signal
import time

import common
import tcp_cluster
from common import check, run, same_bytes

STALL = 4  # seconds


def without_times(path):
    with open(path) as f:
        return [line.split(",")[:-2] for line in f]


def commands(lockstep):
    """One job: all commands that read and write."""
    yield [lockstep, "generate", "-o", "own.h5", "--n-samples", 900, "--n-features", 8, "--random-state", 3]
    yield [lockstep, "split", "own.h5:/train", "-o", "data.h5", "--train-size", 701, "--random-state", 4]
    for dtype in ("float32", "float64"):
        yield [lockstep, "train", "data.h5", "--hidden", "30,5", "--dtype", dtype, "--batch-size", 64, "--epochs", 3, "--seed", 2,
               "--learning-rate", 0.1, "--verbose", 0, "--checkpoint-dir", "checkpoints-" + dtype, "--checkpoint-every", "4steps",
               "--verify-every", 3, "--history", "history-%s.csv" % dtype, "-o", "model-%s.h5" % dtype]
        yield [lockstep, "predict", "model-%s.h5" % dtype, "data.h5", "-o", "predictions-%s.h5" % dtype]
        yield [lockstep, "evaluate", "model-%s.h5" % dtype, "data.h5", "--json"]


def files_below(directory):
    return sorted(os.path.relpath(os.path.join(at, name), directory) for at, _, names in os.walk(directory) for name in names)


def same_bits(network, lockstep, directory):
    plain = directory + "/plain"
    os.mkdir(plain)
    printed = []
    for command in commands(lockstep):
        r = run(command[0], command[1:], directory=plain)
        check(r.code == 0, "failed:", r)
        printed.append(r.stdout)
    check(len(files_below(plain)) >= 12, "files of the plain job:", files_below(plain))
    for slots, options in (({1: 1, 2: 1}, ()), ({1: 2, 2: 2}, ("--map-by", "node")),
                           ({1: 2, 2: 1, 3: 2}, ()), ({1: 2, 2: 2, 3: 3}, ("--map-by", "node"))):
        there = directory + "/" + "-".join(map(str, slots.values()))
        os.mkdir(there)
        for command, text in zip(commands(lockstep), printed):
            before = {host: network.received(host) for host in slots}
            r = network.start(slots, command, directory=there, options=options).wait()
            check(r.code == 0, "failed:", r)
            check(r.stdout == text, slots, "prints something else:", r)
            if command[1] == "train":
                # 33 steps of 426 parameters must have come to every host by the network.
                size = 33 * 426 * (8 if "float64" in command else 4)
                came = {host: network.received(host) - before[host] for host in slots}
                check(min(came.values()) > size, slots, "bytes", came, "are too few for", size)
        check(files_below(there) == files_below(plain), slots, "other files:", files_below(there))
        for name in files_below(plain):
            one, other = plain + "/" + name, there + "/" + name
            check(without_times(one) == without_times(other) if name.endswith(".csv") else same_bytes(one, other),
                  slots, name, "differs from that of the plain process")


class Long:
    """A run that is stopped by something, and the model that it must come to in the end. Each has three hosts of its own."""

    made = 0

    def __init__(self, network, lockstep, directory):
        self.network, self.lockstep = network, lockstep
        self.hosts = range(3 * Long.made + 1, 3 * Long.made + 4)
        Long.made += 1
        self.directory = "%s/run%d" % (directory, Long.made)
        os.mkdir(self.directory)

    def start(self, slots, *more, **options):
        return self.network.start({self.hosts[i - 1]: ranks for i, ranks in slots.items()}, self.train(*more, **options),
                                  directory=self.directory)

    def train(self, *more, epochs=10 ** 7, checkpoints="c"):
        return [self.lockstep, "train", "../data.h5", "--hidden", 16, "--batch-size", 20, "--epochs", epochs, "--seed", 3,
                "--verbose", 0, "--checkpoint-dir", checkpoints, "--checkpoint-every", "200steps", "--stall-timeout", STALL, *more]

    def interrupt(self, what, slots, act):
        """Starts it and acts when it has written two checkpoints: all have heard of each other by then."""
        self.what, self.run = what, self.start(slots)
        self.ranks = self.run.rank_pids()
        while self.run.running() and self.steps_done() < 400:
            time.sleep(0.02)
        if check(len(self.ranks) == sum(slots.values()) and self.run.running(), what, "did not start well:", self.run):
            act(self.run, self.ranks, self.hosts)
        return self

    def end(self):
        """Waits for its end."""
        r, what = self.run.wait(180), self.what
        check(r.code not in (0, None), what, "the job should have ended, and not well:", r)
        end = time.monotonic() + 60
        while any(map(common.state_of, self.ranks.values())) and time.monotonic() < end:
            time.sleep(0.05)
        left = [common.command_line(pid) for pid in self.ranks.values() if common.state_of(pid)]
        check(not left, what, "ranks left behind:", left)
        self.network.mend(self.hosts)
        check(not r.orphans(), what, "processes left behind:", r.orphans())
        return r

    def steps_done(self):
        """The newest checkpoint's steps."""
        names = os.listdir(self.directory + "/c") if os.path.isdir(self.directory + "/c") else []
        return max((int(found.group(1)) for name in names if (found := re.match(r"checkpoint-(\d+)\.", name))), default=0)

    def resumed(self, slots):
        """Goes on to the end of the epoch in which the newest checkpoint is; the same as in one go."""
        epochs = self.steps_done() // 50 + 1
        r = self.start(slots, "-o", "model.h5", "--resume", epochs=epochs).wait()
        if not check(r.code == 0 and "resumed from" in r.stderr, self.what, "not resumed:", r):
            return
        r = run(self.lockstep, self.train("-o", "straight.h5", epochs=epochs, checkpoints="s")[1:], directory=self.directory)
        check(r.code == 0, "failed:", r)
        check(same_bytes(self.directory + "/model.h5", self.directory + "/straight.h5"), self.what,
              "the resumed model differs from that of one go")


def waited_for(r, what, ranks):
    """Somebody says that it waited for one of these ranks, or, caught while a checkpoint was agreed on, for all of them."""
    found = re.findall(r"rank \d+: step \d+, waiting in the reduction for rank (\d+)", r.stderr)
    check("no progress for %d s" % STALL in r.stderr, what, "no report:", r)
    for_all = "waiting for the other ranks' outcome" in r.stderr
    check(for_all or set(map(int, found)) & set(ranks), what, "nobody waited for", ranks, ":", r)


def signals(long):
    slots = {1: 1, 2: 2, 3: 1}
    jobs = [long().interrupt(what, slots, act) for what, act in (
        ("SIGUSR1 at a rank of the last host", lambda r, ranks, hosts: os.kill(ranks[3], signal.SIGUSR1)),
        ("SIGTERM at a rank of the second host", lambda r, ranks, hosts: os.kill(ranks[1], signal.SIGTERM)),
        ("SIGUSR1 at mpirun", lambda r, ranks, hosts: os.kill(r.pid, signal.SIGUSR1)))]
    for job in jobs:
        r = job.end()
        check(r.code == 75, job.what, "exit code 75 expected:", r)
        check(len(r.messages()) == 1 and "start again with --resume" in r.messages()[0], job.what, "one message expected:", r)
    job.resumed({1: 2, 3: 1})


def deaths(network, long):
    """While one job waits for its limit the next one starts. Of a cut cable neither side hears."""
    slots = {1: 1, 2: 2, 3: 1}
    cut = long().interrupt("a cable is cut", {1: 2, 2: 1, 3: 1}, lambda r, ranks, hosts: network.cut(hosts[2]))
    dark = long().interrupt("a host loses its power", {1: 2, 2: 1, 3: 1}, lambda r, ranks, hosts: network.power_off(hosts[1]))
    stopped = long().interrupt("a stopped rank", slots, lambda r, ranks, hosts: os.kill(ranks[2], signal.SIGSTOP))
    killed = long().interrupt("a killed rank", slots, lambda r, ranks, hosts: os.kill(ranks[2], signal.SIGKILL))
    gone = long().interrupt("a killed host", slots, lambda r, ranks, hosts: network.kill(hosts[1]))

    killed.end()
    gone.end()
    gone.resumed({1: 1, 3: 1})
    r = stopped.end()
    check(r.code == 8, "exit code 8 expected:", r)
    check(re.search(r"rank 2: .*STUCK \(the process does not run\)", r.stderr), "rank 2 is not named:", r)
    waited_for(r, stopped.what, [1, 2])
    waited_for(cut.end(), cut.what, [3])
    waited_for(dark.end(), dark.what, [2])
    dark.resumed({1: 1, 3: 2})


def differing(network, lockstep, directory):
    """The roll call names the hosts."""
    train = [lockstep, "train", "plain/data.h5", "--verbose", 0, "--epochs"]
    r = network.start({1: 1, 2: 1, 3: 1}, train + [2], train + [2], train + [3], directory=directory).wait()
    check(r.code == 9, "exit code 9 expected:", r)
    text = "rank 2 differs from rank 0: '--epochs 3' on rank 2 (%s), '--epochs 2' on rank 0 (%s)" % (network.name(3), network.name(1))
    check(text in r.stderr, "no '%s':" % text, r)


def main():
    lockstep = common.arguments(__doc__).lockstep
    directory = common.temporary_directory()
    network = tcp_cluster.Network(24, directory)
    r = run(lockstep, ["generate", "-o", "data.h5", "--n-samples", 1000, "--n-features", 5, "--random-state", 1], directory=directory)
    check(r.code == 0, "failed:", r)
    long = lambda: Long(network, lockstep, directory)
    common.run_groups(same_bits=lambda: same_bits(network, lockstep, directory), signals=lambda: signals(long),
                      deaths=lambda: deaths(network, long), differing_ranks=lambda: differing(network, lockstep, directory))
    common.finish()


if __name__ == "__main__":
    main()
