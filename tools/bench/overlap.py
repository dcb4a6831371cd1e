#!/usr/bin/env python3
"""What sending a layer's gradient during backpropagation would bring between two hosts, as a Markdown table.

    tools/bench/overlap.py build-bench/limit_overlap [--gigabits 0,10]

Hosts are network namespaces; 0 gigabits is a bridge as fast as the processor copies, other numbers are what a queue in the
kernel lets through. Needs root and iproute2. limit_overlap.c says what is measured.
"""
import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "system"))
import tcp_cluster  # noqa: E402

# local batch, chunks of 256 rows, widths
NETWORKS = ((512, 2, "1024,1024,1024,1024"), (512, 2, "300,300,300,300"), (256, 1, "1024,1024,1024,1024"))


def limit_rate(network, gigabits):
    for host in network.hosts:
        tcp_cluster.ip("netns", "exec", network.name(host), "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate",
                       "%ggbit" % gigabits, "burst", "1mb", "latency", "50ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--gigabits", default="0,10")
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    print("| local batch | widths | Gbit/s | products | exchange | after, ms | between, ms | between / after |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as directory:
        network = tcp_cluster.Network(2, directory)
        for gigabits in map(float, options.gigabits.split(",")):
            if gigabits:
                limit_rate(network, gigabits)
            for batch, chunks, widths in NETWORKS:
                r = network.start({1: 1, 2: 1}, [program, str(batch), str(chunks), widths], directory=directory,
                                  options=("-x", "OPENBLAS_NUM_THREADS", "-x", "OPENBLAS_CORETYPE")).wait()
                if r.code:
                    sys.exit("%s: exit code %d\n%s" % (program, r.code, r.stderr))
                after, between, alone, bare = (1e3 * float(word) for word in r.stdout.split())
                print("| %d | %s | %s | %.1f | %.2f | %.1f | %.1f | %.3f |" % (
                    batch, widths, "%g" % gigabits if gigabits else "unlimited", bare, alone, after, between, between / after),
                    flush=True)


if __name__ == "__main__":
    main()
