#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares capsa with QEMU's microvm on the same kernel and initramfs, in alternating runs; prints tables of medians.

  tests/bench/bench.py [-n RUNS] [boot] [first-run] [exits] [memory] [console]

Needs a KVM that works, qemu-system-x86_64, and for `exits` root and tracefs. Where KVM does not work:
  tests/lab/lab -t 3000 -- tests/bench/bench.py        (as root, for the tracepoints)
CAPSA_BUILD is the folder that capsa was built in (default: build/).
"""
import argparse
import base64
import os
import pathlib
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

from common import BUILD, TOP, alternate, descendants, environment, kernels, microvm, table

WORK = pathlib.Path(tempfile.mkdtemp(prefix="capsa-bench."))
KERNELS = kernels()
KERNEL = KERNELS / "cloud/vmlinuz"
INITRD = KERNELS / "cloud/initrd.img"
GREETING = b"Welcome to capsa"
LIMIT = 180
TRACING = pathlib.Path("/sys/kernel/tracing")

ENV = environment(WORK)


def capsa(words, memory=256, cpus=1, name="bench"):
    conf = WORK / f"{name}.conf"
    conf.write_text(f'''name = "{name}-{os.getpid()}"; cpus = {cpus}; memory = "{memory}M";
boot = {{ kernel = "{KERNEL}"; initrd = "{INITRD}"; }};
devices = ( {{ plugin = "console"; backend = "stdio"; }}, {{ plugin = "rng"; }} );
''')
    return [str(BUILD / "capsa"), "-q", "-c", str(conf), "--append", words]


def qemu(words, kernel=KERNEL, memory=256, cpus=1):
    return microvm(kernel, INITRD, words, memory, cpus)


def unpacked():
    out = WORK / "vmlinux"
    if not out.exists():
        subprocess.run([TOP / "tests/guest/extract-vmlinux.py", KERNEL, out], check=True)
    return out


class Run:
    """One machine from exec to its end; .line is the time from exec to the first line of its console."""

    def __init__(self, command, env=None):
        self.begin = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env={**ENV, **(env or {})})
        self.output = b""

    def wait_for(self, pattern):
        """Reads until the console said pattern; returns the moment (CLOCK_MONOTONIC, s)."""
        end = self.begin + LIMIT
        while pattern not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            if not data:
                sys.exit(f"no {pattern!r} from {self.process.args[0]}:\n{self.output[-2000:].decode(errors='replace')}")
            # Only what a pattern may still match: a reader that slows down would measure itself.
            self.output = self.output[-256:] + data
        return time.monotonic()

    def finish(self):
        self.process.stdin.close()
        while os.read(self.process.stdout.fileno(), 65536):
            pass
        return self.process.wait(LIMIT)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def bench_boot(runs):
    def measure(make):
        run = Run(make())
        took = run.wait_for(GREETING) - run.begin
        run.finish()
        return took
    words = "capsa.demo=poweroff"
    values = alternate({"capsa": lambda: capsa(words), "QEMU microvm, bzImage": lambda: qemu(words),
                        "QEMU microvm, ELF (PVH)": lambda: qemu(words, unpacked())}, runs, measure)
    table("exec -> first line on hvc0 (cloud kernel, small initramfs, 1 vCPU, 256 MiB)", values, "ms",
          "QEMU microvm, bzImage", 1e3)
    ratio = statistics.median(values["capsa"]) / statistics.median(values["QEMU microvm, ELF (PVH)"])
    print(f"  capsa / QEMU with the same unpacked ELF: {ratio:.2f}")


def preload():
    out = WORK / "first-run.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", out, TOP / "tests/bench/first-run.c"], check=True)
    return str(out)


def traced_first_runs(sides, runs):
    """Wall clock from the kernel's own events: no shim's loading and no fork of ours is in it. Root only."""
    instance = TRACING / "instances/capsa-bench-first"
    instance.mkdir(exist_ok=True)
    entry = instance / "events/kvm/kvm_entry"
    (instance / "trace_clock").write_text("mono")
    (instance / "events/sched/sched_process_exec/enable").write_text("1")
    (entry / "enable").write_text("1")
    (entry / "trigger").write_text("traceoff")

    def measure(make):
        (instance / "trace").write_text("")
        (instance / "tracing_on").write_text("1")
        run = Run(make())
        while (instance / "tracing_on").read_text().strip() == "1" and time.monotonic() < run.begin + LIMIT:
            time.sleep(0.02)
        run.kill()
        text = (instance / "trace").read_text()
        begin = re.findall(r" ([0-9.]+): sched_process_exec: filename=\S*(?:capsa|qemu-system-x86_64) ", text)[-1]
        return float(re.search(r" ([0-9.]+): kvm_entry:", text)[1]) - float(begin)
    values = alternate(sides, runs, measure)
    (entry / "trigger").write_text("!traceoff")
    (entry / "enable").write_text("0")
    (instance / "events/sched/sched_process_exec/enable").write_text("0")
    instance.rmdir()
    return values


def bench_first_run(runs):
    shim, log = preload(), WORK / "first-run.log"
    cpu = {}

    def measure(make):
        log.unlink(missing_ok=True)
        run = Run(make(), {"LD_PRELOAD": shim, "FIRST_RUN_LOG": str(log), "FIRST_RUN_EXIT": "1"})
        run.finish()
        moment, used = map(int, log.read_text().split()[:2])
        cpu.setdefault(make, []).append(used)
        return moment * 1e-9 - run.begin
    sides = {"capsa": lambda: capsa(""), "QEMU microvm": lambda: qemu("")}
    shimmed = alternate(sides, runs, measure)
    if os.access(TRACING / "trace", os.W_OK):
        table("exec -> first entry into the guest (tracepoints)", traced_first_runs(sides, runs), "ms", "QEMU microvm", 1e3)
    table("fork -> first KVM_RUN, wall clock, with the shim that sees it", shimmed, "ms", "QEMU microvm", 1e3)
    table("exec -> first KVM_RUN, CPU of the process", {n: cpu[m][1:] for n, m in sides.items()}, "ms", "QEMU microvm", 1e-6)


def bench_exits(runs):
    if not os.access(TRACING / "trace", os.W_OK):
        print("\nexits: skipped, needs root and tracefs")
        return
    instance = TRACING / "instances/capsa-bench"
    instance.mkdir(exist_ok=True)
    (instance / "trace_clock").write_text("mono")
    (instance / "buffer_size_kb").write_text("16384")
    event = instance / "events/kvm/kvm_userspace_exit/enable"
    reasons = {}

    def measure(make):
        (instance / "trace").write_text("")
        event.write_text("1")
        run = Run(make())
        moment = run.wait_for(GREETING)
        event.write_text("0")
        run.finish()
        count = 0
        kinds = {}
        for line in (instance / "trace").read_text().splitlines():
            m = re.search(r" ([0-9]+\.[0-9]+): kvm_userspace_exit: reason (\S+)", line)
            if m and float(m[1]) <= moment:
                count += 1
                kinds[m[2]] = kinds.get(m[2], 0) + 1
        reasons[make] = kinds
        return count
    words = "capsa.demo=poweroff"
    sides = {"capsa": lambda: capsa(words), "QEMU microvm, bzImage": lambda: qemu(words),
             "QEMU microvm, ELF (PVH)": lambda: qemu(words, unpacked())}
    table("exits to user space, start -> first line on hvc0", alternate(sides, runs, measure), "", "QEMU microvm, bzImage")
    for name, make in sides.items():
        print(f"  {name}: {reasons[make]}")
    instance.rmdir()


def memory_of(pid, guest_bytes):
    """(private, resident) KiB of all mappings but the guest's RAM, over the process and all that it started."""
    private = resident = 0
    for p in descendants(pid):
        size = 0
        guest = False
        for line in open(f"/proc/{p}/smaps", encoding="utf-8"):
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+\s*(.*)", line)
            if head:
                size = int(head[2], 16) - int(head[1], 16)
                name = head[4]
                # The guest's RAM: its one big mapping, or pieces of it around the mapped kernel.
                guest = size >= guest_bytes // 16 or "/kernels/" in name or "pc.ram" in name
            elif not guest and (m := re.match(r"(Private_Clean|Private_Dirty|Rss): +(\d+) kB", line)):
                if m[1] == "Rss":
                    resident += int(m[2])
                else:
                    private += int(m[2])
    return private, resident


def bench_memory(runs):
    resident = {}

    def measure(make):
        run = Run(make())
        run.wait_for(b"memory settled")
        private, all_of_it = memory_of(run.process.pid, 256 << 20)
        resident.setdefault(make, []).append(all_of_it)
        run.kill()
        return private
    script = base64.b64encode(b"sleep 2; echo memory settled; sleep 1000").decode()
    sides = {"capsa": lambda: capsa(f"capsa.run={script}"), "QEMU microvm": lambda: qemu(f"capsa.run={script}")}
    table("private pages beside the guest's memory, idle, 1 vCPU, console + rng", alternate(sides, runs, measure), "MiB",
          "QEMU microvm", 1 / 1024)
    table("resident in all mappings beside the guest's memory", {n: resident[m] for n, m in sides.items()}, "MiB",
          "QEMU microvm", 1 / 1024)


def bench_console(runs):
    mib = 8
    script = base64.b64encode(b"stty raw -echo; echo begin-of-data; "
                              b"dd if=/dev/zero bs=64k count=%d 2>/dev/null; echo end-of-data" % (mib * 16)).decode()

    def measure(make):
        run = Run(make())
        begin = run.wait_for(b"begin-of-data")
        end = run.wait_for(b"end-of-data")
        run.finish()
        return mib / (end - begin)
    sides = {"capsa": lambda: capsa(f"capsa.run={script}"), "QEMU virtconsole": lambda: qemu(f"capsa.run={script}")}
    table(f"console throughput, guest -> host, {mib} MiB into a pipe", alternate(sides, runs, measure), "MiB/s", "QEMU virtconsole")


BENCHES = {"boot": bench_boot, "first-run": bench_first_run, "exits": bench_exits, "memory": bench_memory, "console": bench_console}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", dest="runs", type=int, default=5)
    parser.add_argument("what", nargs="*", choices=[[], *BENCHES])
    options = parser.parse_args()
    print(f"capsa and {subprocess.check_output(['qemu-system-x86_64', '--version'], text=True).splitlines()[0]}, "
          f"kernel {KERNEL.resolve().parent.name}, {options.runs} alternating runs after one to warm up")
    for what in options.what or BENCHES:
        BENCHES[what](options.runs)


main()
