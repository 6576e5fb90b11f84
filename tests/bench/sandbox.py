#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the sandbox of capsa with that of microsandbox (msb), in alternating runs; prints tables of medians.

  tests/bench/sandbox.py [--msb PATH] [-n RUNS] [--json FILE] [run] [start] [exec] [cp]

  run    `capsa run -- /bin/true`, cold: a machine of its own; with --root as well, on the directory that msb runs on
  start  `capsa start --name N` until it returns: the agent is ready
  exec   `capsa exec N -- /bin/true` on a running machine, four times RUNS
  cp     `capsa cp FILE N:/tmp/copy` and back, checked byte by byte; /tmp is the guest's memory on both sides

Needs a KVM that works. msb also needs a file system with user xattrs: where /tmp has none, root makes one in a loop
image. Where KVM does not work:
  for part in run start exec cp; do tests/lab/lab -t 600 -- tests/bench/sandbox.py --msb PATH $part; done
(a lab that dies repeats its command, so one part each). PATH is the program itself, bin/msb of the npm package
@superradcompany/microsandbox-linux-x64-gnu, with lib/ beside bin/; it is nothing that capsa needs or brings.
The first run of each side is not counted, it warms the caches up; before it, each side must prove that the command ran
in a kernel of its own with as many CPUs and as much memory as were asked for. A side that cannot be had is left out
and the reason is printed. The exit status is 1 if that was capsa, or if a counted run has failed on any side.
CAPSA_BUILD is the folder that capsa was built in (default: build/).
"""
import argparse
import contextlib
import filecmp
import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from common import BUILD, Wanted, environment, has_xattrs, root_folder, table

LIMIT = 180  # s: what takes longer has failed
NAME = f"bench-{os.getpid()}"
PROOF = "cat /proc/sys/kernel/random/boot_id; uname -r; grep -c ^processor /proc/cpuinfo; sed -n 1p /proc/meminfo; exit 7"
COPY = "/tmp/copy"


class Failed(Exception):
    """A command that did not do what it should; the text says which and how."""


def brief(command):
    """A command as a person would name it: without the folder of its program, and long scripts cut."""
    words = [pathlib.Path(command[0]).name, *map(str, command[1:])]
    return " ".join(w if len(w) < 60 else w[:57] + "..." for w in words)


def run(command, env, status=0):
    """(seconds from fork to the end, stdout). Output goes to files: a machine that stays behind may hold a pipe open."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        except OSError as e:
            raise Failed(f"{command[0]}: {e.strerror}") from e
        end = os.pidfd_open(process.pid)
        ended, _, _ = select.select([end], [], [], LIMIT)
        took = time.monotonic() - begin
        os.close(end)
        if not ended:
            process.kill()
        code = process.wait()
        if not ended or code != status:
            err.seek(0)
            said = b"; ".join(err.read()[-600:].split(b"\n")).decode(errors="replace").strip("; ")
            how = f"status {code}" if ended else f"no end after {LIMIT} s"
            raise Failed(f"{brief(command)}: {how}: {said}")
        out.seek(0)
        return took, out.read().decode(errors="replace")


class Capsa:
    """One side. Commands are lists of words; `run` is a machine for one command, all others need start()."""
    needed = True

    def __init__(self, options, work, root=None):
        self.name = "capsa run --root" if root else "capsa"
        self.words = str(options.capsa)
        self.size = ["--cpus", str(options.cpus), "--memory", f"{options.memory}M"]
        if root:
            self.size += ["--root", str(root)]
            self.needed = False
        self.env = environment(work)

    def version(self):
        return run([self.words, "version"], self.env)[1].split("\n")[0]

    def run(self, *command):
        return [self.words, "run", *self.size, "--", *command]

    def start(self):
        return [self.words, "start", *self.size, "--name", NAME]

    def exec(self, *command):
        return [self.words, "exec", NAME, "--", *command]

    def copy_in(self, file):
        return [self.words, "cp", str(file), f"{NAME}:{COPY}"]

    def copy_out(self, file):
        return [self.words, "cp", f"{NAME}:{COPY}", str(file)]

    def stop(self):
        run([self.words, "stop", NAME], self.env)

    def end(self):
        """After a failure: whatever is left."""
        run([self.words, "kill", NAME], self.env)


class Msb:
    """microsandbox. It has no daemon: a process for each machine, and its records in MSB_HOME, which is made for this run.

    The program finds libkrunfw, its kernel, in ../lib beside its own folder. A directory as root file system is shared,
    written to, and stays, so it must be one of ours; an image's name would be looked for in a registry (--pull never)."""
    name = "msb"
    needed = False

    def __init__(self, options, root):
        self.words = str(options.msb)
        self.root = str(root)
        self.size = ["--quiet", "--pull", "never", "--no-net", "--cpus", str(options.cpus), "--memory", f"{options.memory}M"]
        # Its root is the shared directory; capsa's /tmp is memory, so be this.
        self.tmpfs = ["--tmpfs", f"/tmp:{options.memory // 2}M"]
        home = pathlib.Path(root).parent / "msb"
        home.mkdir(exist_ok=True)
        self.env = {**os.environ, "MSB_HOME": str(home), "MSB_BACKEND": "local"}

    def version(self):
        return run([self.words, "--version"], self.env)[1].strip()

    def run(self, *command):
        return [self.words, "run", *self.size, self.root, "--", *command]

    def start(self):
        return [self.words, "create", *self.size, *self.tmpfs, "--name", NAME, self.root]

    def exec(self, *command):
        return [self.words, "exec", "--quiet", NAME, "--", *command]

    def copy_in(self, file):
        return [self.words, "copy", "--quiet", str(file), f"{NAME}:{COPY}"]

    def copy_out(self, file):
        return [self.words, "copy", "--quiet", f"{NAME}:{COPY}", str(file)]

    def stop(self):
        run([self.words, "stop", "--quiet", NAME], self.env)
        run([self.words, "remove", "--quiet", NAME], self.env)

    def end(self):
        run([self.words, "remove", "--quiet", "--force", NAME], self.env)


class Bench:
    """The sides that can be had, what was measured, and what was left out."""

    def __init__(self, options, work):
        self.options = options
        self.work = work
        self.failed = False
        self.report = {"cpus": options.cpus, "memory_mib": options.memory, "sides": {}, "left_out": {}, "tables": []}

    def leave_out(self, side, why):
        print(f"{side.name}: left out: {why}", flush=True)
        self.report["left_out"].setdefault(side.name, str(why))
        self.failed = self.failed or side.needed

    def prove(self, side, command, what=""):
        """Raises unless the command runs in a kernel of its own, of the size asked for, and gives its status back."""
        _, out = run(command, side.env, 7)
        try:
            boot, kernel, cpus, memory = out.split("\n")[:4]
            cpus, mib = int(cpus), int(re.sub(r"\D", "", memory)) / 1024
        except ValueError as e:
            raise Failed(f"{brief(command)}: not what it should print: {out[-300:]!r}") from e
        here = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        if boot == here:
            raise Failed("ran on the host's own kernel")
        if cpus != self.options.cpus or not self.options.memory * 0.8 < mib <= self.options.memory:
            raise Failed(f"{cpus} CPUs and {mib:.0f} MiB instead of {self.options.cpus} and {self.options.memory}")
        facts = {"kernel": kernel, "cpus": cpus, "memory_mib": round(mib)}
        print(f"  {side.name + what}: Linux {kernel}, {cpus} CPU, {mib:.0f} MiB", flush=True)
        self.report["sides"].setdefault(side.name, {}).update(facts)

    def alternate(self, sides, runs, measure):
        """({side's name: [value, ...]}, {name: failures}): each side in turn; one run each before, not counted."""
        values, failures, there = {}, {}, []
        for side in sides:
            try:
                measure(side)
                there.append(side)
                values[side.name] = []
            except Failed as e:
                self.leave_out(side, e)
        for _ in range(runs):
            for side in there:
                try:
                    values[side.name].append(measure(side))
                except Failed as e:
                    print(f"  failed: {e}", flush=True)
                    failures[side.name] = failures.get(side.name, 0) + 1
                    self.failed = True
        return values, failures

    def table(self, title, values, failures, unit, wanted, scale=1.0):
        """Medians, and capsa's ratio to msb with what the project wants it to be at most."""
        ours = [name for name in values if name != Msb.name]
        table(title, values, unit, Msb.name, scale, Wanted(wanted, names=ours) if wanted else None,
              {name: f"{n} more failed" for name, n in failures.items()})
        self.report["tables"].append({"title": title, "unit": "s", "wanted": wanted, "values": values, "failures": failures})
        self.save()

    def save(self):
        if self.options.json:
            self.options.json.write_text(json.dumps(self.report, indent=1) + "\n", encoding="utf-8")

    @contextlib.contextmanager
    def machines(self, sides):
        """Those sides whose machine runs, until the end of the block."""
        there = []
        try:
            for side in sides:
                try:
                    run(side.start(), side.env)
                    there.append(side)
                    self.prove(side, side.exec("/bin/sh", "-c", PROOF), " exec")
                except Failed as e:
                    if side in there:
                        there.remove(side)
                    with contextlib.suppress(Failed):
                        side.end()
                    self.leave_out(side, e)
            yield there
        finally:
            for side in there:
                try:
                    side.stop()
                except Failed as e:
                    print(f"  failed: {e}", flush=True)
                    self.failed = True
                    with contextlib.suppress(Failed):
                        side.end()


def bench_run(bench, sides, runs):
    there = []
    for side in sides:
        try:
            bench.prove(side, side.run("/bin/sh", "-c", PROOF))
            there.append(side)
        except Failed as e:
            bench.leave_out(side, e)
    values, failures = bench.alternate(there, runs, lambda side: run(side.run("/bin/true"), side.env)[0])
    bench.table("run -- /bin/true, fork -> exit, a new machine each", values, failures, "ms", 0.5, 1e3)


def bench_start(bench, sides, runs):
    def measure(side):
        try:
            took, _ = run(side.start(), side.env)
            run(side.exec("/bin/true"), side.env)
            side.stop()
            return took
        except Failed:
            with contextlib.suppress(Failed):
                side.end()
            raise
    values, failures = bench.alternate(sides, runs, measure)
    bench.table("start of a named machine, fork -> exit: it can be talked to", values, failures, "ms", None, 1e3)


def bench_exec(bench, sides, runs):
    with bench.machines(sides) as there:
        values, failures = bench.alternate(there, 4 * runs, lambda side: run(side.exec("/bin/true"), side.env)[0])
    bench.table("exec N -- /bin/true, fork -> exit, on a running machine", values, failures, "ms", 0.5, 1e3)


def write_file(path, mib):
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(os.urandom(1 << 20))


def stamp(path, number):
    """Another content for each copy, so that none can be an earlier one's."""
    with open(path, "r+b") as f:
        for whence in (os.SEEK_SET, os.SEEK_END):
            f.seek(0 if whence == os.SEEK_SET else -8, whence)
            f.write(number.to_bytes(8, "little"))


def bench_cp(bench, sides, runs):
    mib = bench.options.mib
    there, back = bench.work / "there", bench.work / "back"
    write_file(there, mib)
    outward, seen, count = {}, set(), 0

    def measure(side):
        nonlocal count
        count += 1
        stamp(there, count)
        took_in, _ = run(side.copy_in(there), side.env)
        if side not in seen: # once: what lies in the guest, as the guest sees it
            with open(there, "rb") as f:
                ours = hashlib.file_digest(f, "sha256").hexdigest()
            theirs = run(side.exec("sha256sum", COPY), side.env)[1].split(" ")[0]
            if ours != theirs:
                raise Failed(f"{side.name}: the copy in the guest differs: {theirs}")
            seen.add(side)
        back.unlink(missing_ok=True)
        took_out, _ = run(side.copy_out(back), side.env)
        if not filecmp.cmp(there, back, shallow=False):
            raise Failed(f"{side.name}: what came back differs")
        run(side.exec("rm", COPY), side.env)
        outward.setdefault(side.name, []).append(took_out)
        return took_in
    with bench.machines(sides) as machines:
        values, failures = bench.alternate(machines, runs, measure)
    there.unlink()
    back.unlink(missing_ok=True)
    bench.table(f"cp of {mib} MiB, host -> guest", values, failures, "s", 1.0)
    bench.table(f"cp of {mib} MiB, guest -> host", {n: outward[n][1:] for n in values}, failures, "s", 1.0)


BENCHES = {"run": bench_run, "start": bench_start, "exec": bench_exec, "cp": bench_cp}


def peer(options, root):
    """(msb, "") or (None, why not)."""
    if not options.msb:
        return None, "no --msb PATH, and no msb in PATH"
    if not os.access(options.msb, os.X_OK):
        return None, f"{options.msb}: no such program"
    if not has_xattrs(root):
        return None, "it needs a file system with user xattrs; /tmp has none, and making one needs root and mkfs.ext4"
    return Msb(options, root), ""


def size_in_mib(text):
    m = re.fullmatch(r"(\d+)([MG])", text)
    if not m:
        raise argparse.ArgumentTypeError(f"{text}: a number and M or G")
    return int(m[1]) << (10 if m[2] == "G" else 0)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", dest="runs", type=int, default=5)
    parser.add_argument("--msb", type=pathlib.Path, default=shutil.which("msb"), help="the peer (default: the one in PATH)")
    parser.add_argument("--capsa", type=pathlib.Path, default=BUILD / "capsa")
    parser.add_argument("--cpus", type=int, default=1, help="of each machine")
    parser.add_argument("--memory", type=size_in_mib, default=1024, help="of each machine (default: 1G)")
    parser.add_argument("--mib", type=int, default=256, help="size of the file for cp, at most half the memory")
    parser.add_argument("--json", type=pathlib.Path, help="all values, written to this file after each table")
    parser.add_argument("what", nargs="*", choices=[[], *BENCHES])
    return parser.parse_args()


def main():
    options = parse_options()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="capsa-bench.")))
        root = stack.enter_context(root_folder(work))
        bench = Bench(options, work)
        print(f"{options.cpus} CPU, {options.memory} MiB, {options.runs} alternating runs after one to warm up")
        msb, why = peer(options, root)
        sides = [Capsa(options, work)]
        if msb:
            sides.append(msb)
        else:
            print(f"{Msb.name}: left out: {why}")
            bench.report["left_out"][Msb.name] = why
        for side in list(sides):
            try:
                bench.report["sides"][side.name] = {"version": side.version()}
                print(f"{side.name}: {bench.report['sides'][side.name]['version']}")
            except Failed as e:
                sides.remove(side)
                bench.leave_out(side, e)
        for what in (options.what or BENCHES) if sides else ():
            print(f"\n{what}:", flush=True)
            rooted = [Capsa(options, work, root)] if what == "run" and isinstance(sides[0], Capsa) else []
            BENCHES[what](bench, sides[:1] + rooted + sides[1:], options.runs)
        bench.save()
    return int(bench.failed)


sys.exit(main())
