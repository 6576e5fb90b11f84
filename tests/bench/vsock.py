#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares capsa's vsock with QEMU's vhost-vsock, same kernel and guest program, in alternating runs; prints medians.

  tests/bench/vsock.py [-n RUNS] [-m MIB] [-c CONNECTIONS]

Needs root (/dev/vhost-vsock), qemu-system-x86_64, and what `tests/guest/vsock.sh prepare` makes. Where KVM does not work:
  tests/guest/vsock.sh prepare; tests/lab/lab -t 3000 -- tests/bench/vsock.py
A machine boots once and serves all runs of its side. The host's end is the same program (tests/guest/vsock-peer.c) on
capsa's UNIX sockets, and on AF_VSOCK for QEMU. CPU: of the machine's process with its vCPUs, and for QEMU that of
vhost's thread; the host's end is counted by itself.
CAPSA_BUILD is the folder that capsa was built in (default: build/).
"""
import argparse
import base64
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from common import BUILD, LIMIT, TICK, Guest, environment, kernels, microvm, ticks

WORK = pathlib.Path(tempfile.mkdtemp(prefix="capsa-bench."))
KERNEL = kernels() / "cloud/vmlinuz"
PEER = BUILD / "tests/guest/vsock-peer"
INITRD = BUILD / "tests/guest/vsock.initrd"
CID = 77
ENV = environment(WORK)

# The guest does what it is told on its console, a line at a time.
SCRIPT = base64.b64encode(b"stty -echo; echo guest is ready; while read line; do $line; done").decode()


class Machine(Guest):
    def cpu(self):
        """Seconds so far: the process, and the kernel's threads that work for it."""
        total = ticks(f"/proc/{self.process.pid}/stat")
        for stat in pathlib.Path("/proc").glob("[0-9]*/comm"):
            try:
                if stat.read_text().startswith(f"vhost-{self.process.pid}"):
                    total += ticks(stat.parent / "stat")
            except OSError:
                pass
        return total / TICK


class Capsa(Machine):
    name = "capsa"

    def __init__(self):
        conf = WORK / "bench.conf"
        conf.write_text(f'''name = "bench-{os.getpid()}"; cpus = 1; memory = "256M";
boot = {{ kernel = "{KERNEL}"; initrd = "{INITRD}"; }}; vsock = {{ cid = {CID}; socket = "{WORK}/v.sock"; }};
devices = ( {{ plugin = "console"; backend = "stdio"; }}, {{ plugin = "rng"; }} );
''')
        super().__init__([BUILD / "capsa", "-q", "-c", conf, "--append", f"quiet capsa.run={SCRIPT}"], ENV)

    def host_port(self, port):
        pathlib.Path(f"{WORK}/v.sock_{port}").unlink(missing_ok=True)
        return f"unix:{WORK}/v.sock_{port}"

    def guest_port(self, port):
        return f"via:{port}:{WORK}/v.sock"


class Qemu(Machine):
    name = "QEMU vhost-vsock"

    def __init__(self):
        super().__init__(microvm(KERNEL, INITRD, f"quiet capsa.run={SCRIPT}", 256,
                                 more=["-device", f"vhost-vsock-pci,guest-cid={CID}"]), ENV)

    def host_port(self, port):
        return f"vsock:4294967295:{port}"

    def guest_port(self, port):
        return f"vsock:{CID}:{port}"


def host_listens(address, *words):
    peer = subprocess.Popen([PEER, *words[:-1], "listen", address, *words[-1].split()], stdout=subprocess.PIPE, text=True)
    if peer.stdout.readline() != "listening\n":
        sys.exit(f"cannot listen on {address}")
    return peer


class Measure:
    """One kind of run: values and CPU seconds for each side."""

    def __init__(self, title, run, unit, per):
        self.title, self.run, self.unit, self.per = title, run, unit, per
        self.values, self.cpu, self.peer_cpu = {}, {}, {}

    def once(self, machine, keep):
        before, children = machine.cpu(), os.times()
        value, amount = self.run(machine)
        after = os.times()
        if keep:
            self.values.setdefault(machine.name, []).append(value)
            self.cpu.setdefault(machine.name, []).append((machine.cpu() - before) / amount)
            self.peer_cpu.setdefault(machine.name, []).append(
                (after.children_user + after.children_system - children.children_user - children.children_system) / amount)

    def print(self, baseline):
        base = statistics.median(self.values[baseline])
        print(f"\n{self.title}")
        print(f"  {'':20} {'median':>10} {'min':>10} {'max':>10} {self.unit:14} ratio   {'CPU s/' + self.per:>12} {'host end':>9}")
        for name, values in self.values.items():
            m = statistics.median(values)
            print(f"  {name:20} {m:10.1f} {min(values):10.1f} {max(values):10.1f} {'':14} {m / base:5.2f}   "
                  f"{statistics.median(self.cpu[name]):12.2f} {statistics.median(self.peer_cpu[name]):9.2f}")
        sys.stdout.flush()


def finish(peer):
    output = peer.stdout.read()
    if peer.wait(LIMIT):
        sys.exit(f"the host's end failed: {output}")
    return output


def guest_to_host(mib):
    def run(machine):
        peer = host_listens(machine.host_port(1000), "sink")
        machine.tell(f"vsock-peer connect vsock:2:1000 source {mib << 20}")
        seconds = float(machine.hear(rb"source \d+ ([0-9.]+) ")[1])
        finish(peer)
        return mib / seconds, mib / 1024
    return run


def host_to_guest(mib):
    def run(machine):
        machine.tell("vsock-peer listen vsock:4294967295:1000 sink")
        machine.hear(rb"listening")
        peer = subprocess.Popen([PEER, "connect", machine.guest_port(1000), "source", str(mib << 20)], stdout=subprocess.PIPE,
                                text=True)
        seconds = float(re.search(r"source \d+ ([0-9.]+) ", finish(peer))[1])
        machine.hear(rb"sink \d+ ")
        return mib / seconds, mib / 1024
    return run


def short_from_guest(count):
    def run(machine):
        peer = host_listens(machine.host_port(1001), "-n", str(count), "echo")
        machine.tell(f"vsock-peer -n {count} connect vsock:2:1001 short")
        found = machine.hear(rb"short \d+ failed (\d+) ([0-9.]+)")
        if int(found[1]):
            sys.exit(f"{machine.name}: {int(found[1])} connections of the guest were lost")
        finish(peer)
        return count / float(found[2]), count / 1000
    return run


def short_from_host(count):
    def run(machine):
        machine.tell(f"vsock-peer -n {count} listen vsock:4294967295:1001 echo")
        machine.hear(rb"listening")
        peer = subprocess.Popen([PEER, "-n", str(count), "connect", machine.guest_port(1001), "short"], stdout=subprocess.PIPE,
                                text=True)
        found = re.search(r"short \d+ failed (\d+) ([0-9.]+)", finish(peer))
        return count / float(found[2]), count / 1000
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", dest="runs", type=int, default=5)
    parser.add_argument("-m", dest="mib", type=int, default=256)
    parser.add_argument("-c", dest="connections", type=int, default=2000)
    parser.add_argument("--alone", action="store_true", help="capsa alone, for a profile")
    options = parser.parse_args()
    machines = [Capsa()] if options.alone else [Capsa(), Qemu()]
    baseline = machines[-1].name
    measures = [
        Measure(f"guest to host, {options.mib} MiB", guest_to_host(options.mib), "MiB/s", "GiB"),
        Measure(f"host to guest, {options.mib} MiB", host_to_guest(options.mib), "MiB/s", "GiB"),
        Measure(f"{options.connections} short connections of the guest", short_from_guest(options.connections), "a second", "1000"),
        Measure(f"{options.connections} short connections of the host", short_from_host(options.connections), "a second", "1000"),
    ]
    for measure in measures:
        for run in range(options.runs + 1):
            for machine in machines:
                measure.once(machine, run > 0)
        measure.print(baseline)
    for machine in machines:
        machine.end()


main()
