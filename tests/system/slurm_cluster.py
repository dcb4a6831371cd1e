#!/usr/bin/python3
"""A real SLURM on this host alone: one slurmctld, a slurmd for each of two nodes n1 and n2, and their munged.

As a module: `with Cluster() as cluster:`, see the class. By hand, as root:

    tests/system/slurm_cluster.py                        a shell in which sbatch, srun, squeue... speak to the cluster
    tests/system/slurm_cluster.py sbatch --wait jobs/notebook.sbatch
                                                         runs a command and ends the cluster after it

The daemons need no systemd and nothing under /etc. All they write lies in one temporary directory, they listen on
ports that were free, and they end with this process: whatever descends from it is killed, jobs included. Debian's
packages slurm-wlm and munge must be installed; without them it fails and says so. Root, for slurmd must be root.

What differs from a usual cluster: both nodes are this host, so nothing is bound to cores and each node says that it has
--cpus processors; SLURM looks for lost nodes after 10 seconds instead of 300, waits 10 instead of 30 between SIGTERM and
SIGKILL, and a requeued job may start after 5 seconds instead of 120.
"""
import argparse
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

NODES = ("n1", "n2")

CONFIGURATION = """\
ClusterName=lockstep
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller_port}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/%n/spool
TmpFS={directory}/%n/tmp
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/%n/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=pmix
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,bf_interval=1
SlurmdTimeout=10
KillWait=10
CompleteWait=0
MinJobAge=100000
ReturnToService=2
"""

# Of prctl: orphans become children of the caller, so none can hide from stop(); a signal when the parent dies.
PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG = 36, 1


class ClusterError(Exception):
    """SLURM did not do what it must; the text says what and shows the daemon's last words."""


def prctl(option, value):
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def free_ports(n):
    """n different TCP ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def processes():
    """{pid: (parent's pid, state letter)} of all processes."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found[int(name)] = (int(parent), state)
    return found


def descendants(of):
    """Living processes that descend from the process `of`, itself not included."""
    parents = processes()
    found, before = {of}, 0
    while len(found) > before:
        before = len(found)
        found |= {pid for pid, (parent, state) in parents.items() if parent in found and state not in "ZX"}
    return found - {of}


def kill_all(find):
    """SIGKILL to the processes that find() names, again until it finds none."""
    for _ in range(100):
        found = find()
        if not found:
            return
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    raise ClusterError(f"processes {sorted(found)} do not die")


class Cluster:
    """Starts on entry to a with statement, ends on leaving it, also by an exception.

    directory    where everything lies, removed at the end
    environment  for clients: SLURM_CONF leads them here
    """

    def __init__(self, cpus=4):
        self.cpus = cpus
        self.directory = None
        self.environment = None
        self.daemons = {}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        for program in ("munged", "slurmctld", "slurmd", "sbatch"):
            if not shutil.which(program, path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
                raise ClusterError(f"{program} is missing: install Debian's packages slurm-wlm and munge")
        if os.geteuid() != 0:
            raise ClusterError("slurmd must be root: run this as root")
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.directory = tempfile.mkdtemp(prefix="lockstep-slurm-")
        os.chmod(self.directory, 0o755)
        for name in ("munge", "state", *(f"{node}/{part}" for node in NODES for part in ("spool", "tmp"))):
            os.makedirs(f"{self.directory}/{name}")
        ports = free_ports(1 + len(NODES))
        host = socket.gethostname().partition(".")[0]
        with open(f"{self.directory}/slurm.conf", "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(host=host, directory=self.directory, controller_port=ports[0]))
            for node, port in zip(NODES, ports[1:]):
                file.write(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus}\n")
            file.write(f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE\n")
        # What an outer job or cluster left in the environment must not reach this one.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "PMIX_"))}
        self.environment["SLURM_CONF"] = f"{self.directory}/slurm.conf"
        self.environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")

        key = f"{self.directory}/munge/key"
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o400), "wb") as file:
            file.write(os.urandom(1024))
        self._launch("munged", "munged", "--foreground", "--key-file=" + key,
                     *(f"--{name}-file={self.directory}/munge/{name}" for name in ("log", "pid", "seed")),
                     f"--socket={self.directory}/munge/socket")
        self._wait(lambda: os.path.exists(f"{self.directory}/munge/socket"), "munged", "open its socket")
        self._launch("slurmctld", "slurmctld", "-D")
        self._wait(lambda: self.call("scontrol", "ping", check=False).returncode == 0, "slurmctld", "answer")
        for node in NODES:
            self.start_node(node)

    def stop(self):
        """Kills all that descends from this process, clients as well, and removes the directory."""
        kill_all(lambda: descendants(os.getpid()))
        for daemon in self.daemons.values():
            daemon.wait()
        self.daemons = {}
        if self.directory:
            shutil.rmtree(self.directory)
            self.directory = None

    def start_node(self, node):
        """Starts the slurmd of node ("n1" or "n2") and waits until SLURM would give it work."""
        self._launch(node, "slurmd", "-D", "-N", node)
        self._wait(lambda: self.node_state(node) in ("IDLE", "MIXED", "ALLOCATED"), node, "come up")

    def kill_slurmd(self, node):
        """SIGKILL to the slurmd of node. What it started goes on running, out of SLURM's reach."""
        self.daemons[node].kill()
        self.daemons[node].wait()

    def kill_node(self, node):
        """Ends everything on node at once, as a loss of power would: SIGKILL, and its local files are gone."""
        self.kill_slurmd(node)
        kill_all(lambda: self.node_processes(node))
        for part in ("spool", "tmp"):
            shutil.rmtree(f"{self.directory}/{node}/{part}")
            os.mkdir(f"{self.directory}/{node}/{part}")

    def node_processes(self, node):
        """Processes of the job steps on node: the managers and all they started."""
        found = set()
        log = f"{self.directory}/{node}/slurmd.log"
        for pid in descendants(os.getpid()) - {daemon.pid for daemon in self.daemons.values()}:
            # A manager has its node's log open, and nothing else tells whose it is.
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                    manages = file.read().startswith("slurmstepd")
                logs = [os.readlink(f"/proc/{pid}/fd/{descriptor}") for descriptor in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            if manages and log in logs:
                found |= {pid} | descendants(pid)
        return found

    def node_state(self, node):
        """SLURM's word for the state of node without its flags: IDLE, MIXED, ALLOCATED, DOWN..."""
        text = self.call("scontrol", "show", "node", "-o", node).stdout
        return re.search(r"State=([A-Z]+)\S*", text).group(1) if "+NOT_RESPONDING" not in text else "DOWN"

    def job(self, job_id):
        """What SLURM knows about a job: the fields of scontrol show job, {} if there is no such job."""
        shown = self.call("scontrol", "show", "job", "-o", str(job_id), check=False)
        return dict(re.findall(r"(\S+?)=(\S*)", shown.stdout.partition("\n")[0]))

    def call(self, *command, check=True, environment=None, **more):
        """Runs a command of SLURM, or another one, as a client of the cluster."""
        done = subprocess.run(command, env=environment or self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", errors="replace", timeout=120, check=False,
                              **more)
        if check and done.returncode != 0:
            raise ClusterError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}{done.stdout}")
        return done

    def last_words(self, name):
        """The end of a daemon's output."""
        with open(f"{self.directory}/{name}.out", encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])

    def _launch(self, name, *command):
        with open(f"{self.directory}/{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL,
                                                  stdout=output, stderr=output, start_new_session=True,
                                                  preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL))

    def _wait(self, reached, name, what, seconds=60):
        end = time.monotonic() + seconds
        while not reached():
            if self.daemons[name].poll() is not None:
                raise ClusterError(f"{name} ended with {self.daemons[name].returncode}:\n{self.last_words(name)}")
            if time.monotonic() > end:
                raise ClusterError(f"{name} did not {what} within {seconds} seconds:\n{self.last_words(name)}")
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpus", type=int, default=4, help="processors that each node says it has (default: 4)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="runs it instead of a shell")
    arguments = parser.parse_args()
    # So that the cluster ends with a terminal or a time-out, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        with Cluster(arguments.cpus) as cluster:
            print(f"SLURM runs: {cluster.environment['SLURM_CONF']}; it ends with this command", file=sys.stderr)
            command = arguments.command or [os.environ.get("SHELL", "/bin/sh")]
            return subprocess.call(command, env=cluster.environment)
    except ClusterError as error:
        print(f"slurm_cluster.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
