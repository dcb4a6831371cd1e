"""Hosts for the tests of several hosts: network namespaces that a bridge joins, each with a host name of its own. Needs root."""
import atexit
import os
import signal
import subprocess

import common

HEAD = 100  # host 0 in names and addresses
AGENT = """#!/bin/sh
# Open MPI's launch agent: ADDRESS COMMAND..., in place of ssh.
name={prefix}${{1##*.}}
shift
ip netns exec $name unshare --uts sh -c "hostname $name && exec $*"
code=$?
while [ -e {directory}/dark-$name ]; do sleep 0.1; done # nobody hears of a host that has lost its power
exit $code
"""


def ip(*words, check=True):
    subprocess.run(["ip", *map(str, words)], check=check, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=None if check else subprocess.DEVNULL)


class Network:
    """Hosts 1 .. n, and host 0, from where jobs start. Gone when the script ends, however it ends."""

    def __init__(self, n, directory):
        self.prefix = "lockstep%d-" % os.getpid()
        self.switch = self.prefix + "switch"
        self.directory = directory
        self.hosts = range(n + 1)
        atexit.register(self.remove)
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.switch, "link", "set", "bridge", "up")
        for host in self.hosts:
            name, port = self.name(host), "port%d" % host
            ip("netns", "add", name)
            ip("link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", port, "netns", self.switch)
            ip("-n", self.switch, "link", "set", port, "master", "bridge", "up")
            ip("-n", name, "address", "add", self.address(host) + "/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
            # Give up an answer that does not come after seconds, not a quarter of an hour: so long mpirun would wait for
            # the daemon of a host that cannot be reached, when the ranks have ended.
            ip("netns", "exec", name, "sh", "-c", "echo 4 >/proc/sys/net/ipv4/tcp_retries2")
        self.agent = directory + "/agent"
        with open(self.agent, "w") as f:
            f.write(AGENT.format(prefix=self.prefix, directory=directory))
        os.chmod(self.agent, 0o755)

    def name(self, host):
        return "%s%d" % (self.prefix, host or HEAD)

    @staticmethod
    def address(host):
        return "10.97.31.%d" % (host or HEAD)

    def cut(self, host):
        """Takes the cable out, on the side of the switch: neither side hears of the other any more."""
        ip("-n", self.switch, "link", "set", "port%d" % host, "down")

    def power_off(self, host):
        """All its processes are gone, and nobody hears of it."""
        with open("%s/dark-%s" % (self.directory, self.name(host)), "w"):
            self.cut(host)
            self.kill(host)

    def mend(self, hosts):
        """Cables and power for these, and for host 0."""
        for host in (0, *hosts):
            ip("-n", self.switch, "link", "set", "port%d" % host, "up")
            # Forget who could not be found while the cable was out.
            ip("-n", self.name(host), "neighbour", "flush", "dev", "eth0", check=False)
            if os.path.exists("%s/dark-%s" % (self.directory, self.name(host))):
                os.remove("%s/dark-%s" % (self.directory, self.name(host)))

    def received(self, host):
        """Bytes that have come to a host."""
        text = subprocess.run(["ip", "netns", "exec", self.name(host), "cat", "/sys/class/net/eth0/statistics/rx_bytes"],
                              stdout=subprocess.PIPE, check=True).stdout
        return int(text)

    def pids(self, host):
        """The processes on a host."""
        r = subprocess.run(["ip", "netns", "pids", self.name(host)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return [int(word) for word in r.stdout.split()]

    def kill(self, host):
        """Ends all its processes: the host is still there."""
        for pid in self.pids(host):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def start(self, slots, *commands, directory, options=()):
        """A job on {host: ranks}, whose messages travel by TCP only, started on host 0. With several commands each host has
        one of its own."""
        hosts = ["%s:%d" % (self.address(host), ranks) for host, ranks in slots.items()]
        if len(commands) == 1:
            parts = ["--host", ",".join(hosts), "-n", sum(slots.values()), *commands[0]]
        else:
            parts = []
            for host, ranks, command in zip(hosts, slots.values(), commands):
                parts += [*([":"] if parts else []), "--host", host, "-n", ranks, *command]
        words = ["netns", "exec", self.name(0), "unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh",
                 self.name(0), "mpirun", "--mca", "orte_tmpdir_base", self.directory, "--mca", "plm_rsh_agent", self.agent,
                 "--mca", "btl", "tcp,self", "--mca", "pml", "ob1", *options, *parts]
        r = common.Run("ip", words, directory=directory)  # each of these words becomes the next one: it is mpirun's process
        r.ranks = sum(slots.values())
        return r

    def remove(self):
        for host in self.hosts:
            self.kill(host)
            ip("netns", "del", self.name(host), check=False)
        ip("netns", "del", self.switch, check=False)
