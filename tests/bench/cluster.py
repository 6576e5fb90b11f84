#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares machines on capsa's cluster-switch with QEMU's that have no root's help either, in alternating runs; prints medians.

  tests/bench/cluster.py prepare                  makes the guests' initramfs (faster outside of an emulator)
  tests/bench/cluster.py [-n RUNS] [--mtu 1500] [--seconds N] [--without SIDE]... [ROW...]

Rows: tcp, tcp8 (iperf3, one and eight streams, from one machine to another), udp (packets of 64 bytes that arrive, of a sender
that does not wait), ping (the median round trip), members (how the sum of 1, 2, 4 and 8 pairs grows, for capsa; --growth for others).
Needs a KVM that works, root to see everybody's CPU time, qemu-system-x86_64, iperf3, ping and cc; vde2 for that side. Where KVM does not work:

  tests/bench/cluster.py prepare; tests/lab/lab -t 3000 -- tests/bench/cluster.py

A side is two machines that stay up for all rows of an MTU, all with the same kernel, initramfs, memory and vCPUs: capsa; `qemu-stream`
and `qemu-dgram` (QEMU's microvm, -netdev of that name over UNIX sockets, from one to the other); `vde2` (the same, -netdev vde, and a
vde_switch). `members` has machines of its own, one CPU each, which join two, four and eight at a time.

CPU: of all processes of a side (machines with their vCPUs, the switch), for a GiB, for a million packets, for a thousand pings.
The first run of each side is not counted. Compare only inside one run. CAPSA_BUILD is the folder that capsa was built in (default: build/).
"""
import argparse
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from common import (BUILD, LOOP, LOST, TICK, TOP, Guest, Shell, Wanted, environment, found, iperf_said, kernels, loop_initrd, microvm,
                    needs, players, table, ticks, turns)

KERNEL = kernels() / "cloud/vmlinuz"
INITRD = BUILD / "tests/bench/cluster/initrd"
FLOOD = BUILD / "tests/bench/cluster/udp-flood"
CAPSA, STREAM, DGRAM, VDE = "capsa", "qemu-stream", "qemu-dgram", "vde2"
GOAL = 2.0
PINGS = 300
GROWTH = (2, 4, 8, 16)
VDE_MTU = 1500  # a vde_switch drops what is longer


def prepare():
    source = TOP / "tests/bench/udp-flood.c"
    FLOOD.parent.mkdir(parents=True, exist_ok=True)
    if not FLOOD.exists() or FLOOD.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-static", "-O2", "-Wall", "-D_GNU_SOURCE", "-o", FLOOD, source], check=True)
    programs = {name: needs(name) for name in ("bash", "iperf3", "ping")}
    loop_initrd(INITRD, KERNEL, {**programs, "udp-flood": FLOOD}, source if source.stat().st_mtime > pathlib.Path(__file__).stat().st_mtime
                else __file__)


# ---- sides ----

class Machine(Shell):
    def __init__(self, name, command, env, address, mtu):
        self.address = address
        super().__init__(name, Guest(command, env))
        try:
            self.run(f"ip link set eth0 mtu {mtu} up && ip addr add {address}/24 dev eth0 && {{ iperf3 -s >/dev/null 2>&1 & }}")
        except BaseException:
            self.end()
            raise

    def end(self):
        self.shell.end()


class Segment:
    """Machines of one side; `command(n)` is that of the n-th, from 0. All that belongs to it runs with its run-time folder."""

    def __init__(self, name, folder, mtu, command, helpers=()):
        self.name, self.folder, self.mtu, self.command, self.helpers, self.machines = name, folder, mtu, command, helpers, []

    def grow(self, members):
        try:
            while len(self.machines) < members:
                n = len(self.machines)
                self.machines.append(Machine(f"{self.name}, machine {n + 1}", self.command(n), environment(self.folder), f"10.0.3.{11 + n}",
                                             self.mtu))
        except BaseException:
            self.end()
            raise
        return self

    def cpu(self):
        """Of a switch that nobody here has started, too; it has its environment from the machine that did."""
        word = f"XDG_RUNTIME_DIR={self.folder}".encode() + b"\0"
        total = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if word in path.read_bytes():
                    total += ticks(path.parent / "stat")
        return total / TICK

    def end(self):
        for machine in self.machines:
            machine.end()
        for process in self.helpers:
            process.kill()
            process.wait()
        self.machines, self.helpers = [], ()


def qemu(options, n, *more):
    return microvm(KERNEL, INITRD, f"quiet {LOOP}", options.memory, options.cpus, "",
                   [*more, "-device", f"virtio-net-pci,netdev=n,mac=52:54:00:12:34:{n + 1:02x}"])


def capsa_segment(options, folder, mtu):
    def command(n):
        conf = folder / f"{n}.conf"
        conf.write_text(f'''name = "vm{n + 1}"; cpus = {options.cpus}; memory = "{options.memory}M";
boot = {{ kernel = "{KERNEL}"; initrd = "{INITRD}"; }};
devices = ( {{ plugin = "console"; backend = "stdio"; }}, {{ plugin = "rng"; }},
            {{ plugin = "cluster-switch"; cluster = "bench"; address = "10.0.3.{11 + n}/24"; mtu = {mtu}; {options.capsa} }} );
''', encoding="utf-8")
        return [BUILD / "capsa", "-q", "-c", conf, "--append", f"quiet {LOOP}"]
    return Segment(CAPSA, folder, mtu, command), ""


def stream_segment(options, folder, mtu):
    """The first one listens, the second one connects."""
    return Segment(STREAM, folder, mtu, lambda n: qemu(
        options, n, "-netdev", f"stream,id=n,server={'off' if n else 'on'},addr.type=unix,addr.path={folder}/stream")), ""


def dgram_segment(options, folder, mtu):
    return Segment(DGRAM, folder, mtu, lambda n: qemu(
        options, n, "-netdev", f"dgram,id=n,local.type=unix,local.path={folder}/dgram{n},remote.type=unix,remote.path={folder}/dgram{1 - n}")), ""


def vde_segment(options, folder, mtu):
    program = next((path for path in ("/usr/bin/vde_switch", "/usr/sbin/vde_switch") if os.access(path, os.X_OK)), None)
    if not program:
        return None, "no vde_switch: apt-get install vde2"
    if "vde" not in subprocess.run([needs("qemu-system-x86_64"), "-netdev", "help"], capture_output=True, text=True, check=False).stdout.split():
        return None, "this QEMU is built without it"
    if mtu > VDE_MTU:
        return None, f"its MTU is {VDE_MTU}"
    # It ends at the end of its input, which is its prompt.
    switch = subprocess.Popen([program, "-s", folder / "vde"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(folder))
    while not (folder / "vde/ctl").is_socket():
        if switch.poll() is not None:
            return None, f"{program} ends with status {switch.returncode}"
    return Segment(VDE, folder, mtu, lambda n: qemu(options, n, "-netdev", f"vde,id=n,sock={folder}/vde"), [switch]), ""


SIDES = {CAPSA: capsa_segment, STREAM: stream_segment, DGRAM: dgram_segment, VDE: vde_segment}


def pair(options, name, folder, mtu):
    segment, why = SIDES[name](options, folder, mtu)
    return (segment.grow(2) if segment else None), why


# ---- rows ----

class Row:
    """play(segment) -> (value, how much of `per` that was)"""

    def __init__(self, title, unit, per, play):
        self.title, self.unit, self.per, self.play = title, unit, per, play
        self.at_least = unit != "µs"
        self.arrived = {}  # {name of a side: [share of what was sent, ...]}, where that is not all

    def once(self, segment):
        """(value, CPU seconds for each `per`)"""
        before = segment.cpu()
        value, amount = self.play(segment)
        return value, (segment.cpu() - before) / amount

    def wanted(self):
        return Wanted(GOAL if self.at_least else 1 / GOAL, self.at_least, [CAPSA])


def tcp(options, streams, pairs=1):
    """From the first of each two machines to the second, all pairs at once."""
    def play(segment):
        couples = [segment.machines[2 * i:2 * i + 2] for i in range(pairs)]
        for near, far in couples:
            near.shell.tell(f"iperf3 -c {far.address} -t {options.seconds} -P {streams} -f k")
        results = [iperf_said(near.name, near.finish(), streams) for near, _ in couples]
        return sum(mbits for mbits, _ in results), sum(gib for _, gib in results)
    return Row(f"iperf3, {streams} stream{'s' if streams > 1 else ''}", "Mbit/s", "GiB", play)


def udp(options):
    """Nobody waits for anybody: what a side cannot carry, it loses."""
    def play(segment):
        near, far = segment.machines[:2]
        far.shell.tell("udp-flood count")
        far.shell.hear(rb"counting")
        sent = found(segment.name, r"(\d+) packets sent", near.run(f"udp-flood send {far.address} {options.seconds}"))
        packets, seconds = found(segment.name, r"(\d+) packets in ([\d.]+) s", far.finish())
        row.arrived.setdefault(segment.name, []).append(int(packets) / int(sent))
        return int(packets) / float(seconds) / 1000, int(packets) / 1e6
    row = Row("UDP, packets of 64 bytes that arrive", "k/s", "million packets", play)
    return row


def latency():
    def play(segment):
        near, far = segment.machines[:2]
        # One after the other (-A), so that idle processors' waking up is not all there is to see. What is printed on the console
        # meanwhile would be measured, too.
        said = near.run(f"ping -A -c {PINGS} {far.address} >/tmp/ping && sed -n 's/.* time=/time=/p' /tmp/ping")
        times = [float(t) for t in re.findall(r"time=([\d.]+) ms", said)]
        if len(times) < PINGS // 2:
            sys.exit(f"{segment.name}: {len(times)} answers to {PINGS} pings")
        return statistics.median(times) * 1000, len(times) / 1000
    return Row("ping, median round trip", "µs", "1000 pings", play)


def rows(options):
    return {"tcp": tcp(options, 1), "tcp8": tcp(options, 8), "udp": udp(options), "ping": latency()}


def compare(taking_part, row, options, mtu):
    values, cpu = turns(taking_part, row, options.runs)
    notes = {name: f"CPU {statistics.median(v):.2f} s/{row.per}" for name, v in cpu.items() if v}
    for name, shares in row.arrived.items():
        notes[name] = f"{notes.get(name, '')}, {statistics.median(shares):.0%} of what was sent"
    row.arrived.clear()
    peers = [name for name in (STREAM, DGRAM, VDE) if values.get(name)]
    best = (max if row.at_least else min)(peers, key=lambda name: statistics.median(values[name])) if peers else CAPSA
    table(f"MTU {mtu}: {row.title}", values, row.unit, best, wanted=row.wanted(), notes=notes)


def growth(options, name, work, mtu):
    """How the sum of all pairs grows with their number."""
    options = argparse.Namespace(**{**vars(options), "cpus": 1, "memory": options.growth_memory})
    values, notes, segment, lives = {}, {}, None, 0
    try:
        for members in GROWTH:
            row = tcp(options, 1, members // 2)
            title, mbits, cpu = f"{name}, {members} members", [], []
            while len(mbits) < options.runs + 1 and lives < 4:
                try:
                    if not segment:
                        lives += 1
                        folder = work / f"{name}-members-{lives}"
                        folder.mkdir(parents=True)
                        segment, why = SIDES[name](options, folder, mtu)
                        if not segment:
                            print(f"members: {name}: left out: {why}")
                            return
                    value, used = row.once(segment.grow(members))
                    mbits.append(value)
                    cpu.append(used)
                except LOST as e:
                    print(f"  {title}: not counted, other machines take over: {' '.join(str(e).split())[:300]}", flush=True)
                    if segment:
                        segment.end()
                    segment = None
            values[title] = mbits[1:]
            if mbits[1:]:
                notes[title] = f"CPU {statistics.median(cpu[1:]):.2f} s/GiB"
    finally:
        if segment:
            segment.end()
    table(f"MTU {mtu}: the sum of iperf3 from one half of the members to the other", values, "Mbit/s", f"{name}, {GROWTH[0]} members", notes=notes)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", dest="runs", type=int, default=3)
    parser.add_argument("--mtu", default="1500", help="one or more, with commas (default: 1500)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (default: 3)")
    parser.add_argument("--capsa", metavar="KEYS", default="", help="more keys of capsa's device, as in a file")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--memory", type=int, default=256, help="MiB")
    parser.add_argument("--growth", action="append", choices=(CAPSA, VDE), default=[], help="sides of the row `members` (default: capsa)")
    parser.add_argument("--growth-memory", type=int, default=160, help="MiB of each of its machines")
    parser.add_argument("--without", action="append", choices=tuple(SIDES), default=[])
    parser.add_argument("what", nargs="*", help="prepare, or rows: tcp tcp8 udp ping members")
    return parser.parse_args()


def main():
    options = parse_options()
    if options.what == ["prepare"]:
        prepare()
        return
    every = rows(options)
    wanted = options.what or [*every, "members"]
    for name in wanted:
        if name not in every and name != "members":
            sys.exit(f"{name}: no such row: {' '.join(every)} members")
    prepare()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="capsa-bench.")))
        print(f"Linux {KERNEL.resolve().parent.name}, {options.cpus} CPUs, {options.memory} MiB, {options.runs} alternating runs of "
              f"{options.seconds} s after one to warm up", flush=True)
        for mtu in map(int, options.mtu.split(",")):
            with contextlib.ExitStack() as machines:
                if any(name in every for name in wanted):
                    taking_part = players(SIDES, options.without, lambda name, folder, mtu=mtu: pair(options, name, folder, mtu),
                                          work / str(mtu), machines, f"MTU {mtu}")
                for name in wanted:
                    if name in every:
                        compare(taking_part, every[name], options, mtu)
            if "members" in wanted:
                for name in options.growth or [CAPSA]:
                    growth(options, name, work / str(mtu), mtu)


main()
