"""A cluster for SimGrid's SMPI: its description, and lockstep on ranks of it, all of them in one process on this machine."""
import os
import subprocess

NODE_SPEED = "1Gf"  # of no consequence: nothing of the arithmetic is counted
EAGER_BYTES = 16384  # so short messages travel before they are asked for
# Latency and bandwidth are those of messages already, so the simulator is to take them as they are; the ranks' own arithmetic
# takes what LOCKSTEP_STEP_SECONDS says; collective calls are those of Open MPI. By its default for broadcasts the simulator
# looks for the nodes with R * R messages whenever a communicator is made.
OPTIONS = ("--log=root.thresh:warning", "--cfg=smpi/simulate-computation:no", "--cfg=smpi/privatization:dlopen",
           "--cfg=smpi/lat-factor:0:1", "--cfg=smpi/bw-factor:0:1", "--cfg=smpi/coll-selector:ompi",
           "--cfg=smpi/bcast:binomial_tree", f"--cfg=smpi/async-small-thresh:{EAGER_BYTES}",
           f"--cfg=smpi/send-is-detached-thresh:{EAGER_BYTES}")


class Cluster:
    """cores ranks on each node; the nodes on one switch. Latencies in microseconds, from one rank to another; bandwidths of a
    node's link and of a copy inside a node in Gbit/s."""

    def __init__(self, cores=32, latency=1.3, bandwidth=100, node_latency=0.3, node_bandwidth=80):
        self.cores, self.latency, self.bandwidth = cores, latency, bandwidth
        self.node_latency, self.node_bandwidth = node_latency, node_bandwidth

    def name(self):
        return (f"nodes of {self.cores} ranks, {self.bandwidth:g} Gbit/s and {self.latency:g} us between them, "
                f"{self.node_bandwidth:g} Gbit/s and {self.node_latency:g} us inside")

    def n_nodes(self, ranks):
        return -(-ranks // self.cores)

    def write(self, directory, ranks):
        """The two files that smpirun wants. Returns their names."""
        platform, hosts = os.path.join(directory, "platform.xml"), os.path.join(directory, "hosts")
        with open(platform, "w", encoding="ascii") as file:
            file.write(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" suffix="" radical="0-{self.n_nodes(ranks) - 1}" speed="{NODE_SPEED}" core="{self.cores}"
           bw="{self.bandwidth / 8}GBps" lat="{self.latency / 2}us"
           loopback_bw="{self.node_bandwidth / 8}GBps" loopback_lat="{self.node_latency}us"/>
</platform>
""")
        with open(hosts, "w", encoding="ascii") as file:
            file.writelines(f"node-{rank // self.cores}\n" for rank in range(ranks))
        return platform, hosts

    def run(self, directory, ranks, words, step_seconds):
        """Runs a program of a build for simulated ranks there. step_seconds is what LOCKSTEP_STEP_SECONDS is to say. Returns the
        completed process; relative paths among the words are below directory."""
        platform, hosts = self.write(directory, ranks)
        # Threads of a rank and memory that ranks share are unknown to the simulator, and a rank cannot start anew with other
        # kernels of BLAS.
        environment = dict(os.environ, LOCKSTEP_TRANSPORT="messages", OPENBLAS_CORETYPE="Prescott", OPENBLAS_NUM_THREADS="1",
                           LOCKSTEP_STEP_SECONDS=step_seconds)
        return subprocess.run(["smpirun", "-np", str(ranks), "-platform", os.path.abspath(platform), "-hostfile",
                               os.path.abspath(hosts), *OPTIONS, *map(str, words)], cwd=directory, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
