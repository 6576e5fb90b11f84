#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares capsa's net-nat with the user-mode networks of QEMU, and with TAP and vhost-net, in alternating runs; prints medians.

  tests/bench/nat.py prepare                      makes the guests' initramfs (faster outside of an emulator)
  tests/bench/nat.py [-n RUNS] [--mtu 1500,65520] [--seconds N] [--passt PATH] [--msb PATH] [--without SIDE]... [ROW...]

Rows: up, up8, down, down8 (iperf3, one and eight streams, from and to the guest), web (requests a second of wrk against nginx),
connect (the same with a connection for each request), ping. Needs root, a KVM that works, qemu-system-x86_64, iproute2, and
iperf3, wrk, nginx and ping; passt for that side. Where KVM does not work:

  tests/bench/nat.py prepare; tests/lab/lab -t 3000 -- tests/bench/nat.py

The servers are in a network namespace of their own, behind a veth pair of the bench's; all machines have the same kernel, initramfs,
memory and vCPUs, and stay up for all rows of an MTU. Sides: capsa; `passt` (QEMU with -netdev stream); `passt-vu` (a passt that
knows vhost-user, with --passt); `slirp` (QEMU with -netdev user, always at MTU 1500); `msb` (microsandbox, with --msb as for sandbox.py: its own kernel,
MTU 1500 only); `tap` (QEMU with vhost-net on a routed TAP: what needs root, the ceiling).

CPU: that of the VMM with its vCPUs, of passt, and of vhost's kernel thread, for a GiB or for a second of the row. The first
run of each side is not counted. Compare only inside one run. CAPSA_BUILD is the folder that capsa was built in (default: build/).
"""
import argparse
import contextlib
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile

from common import (BUILD, LIMIT, LOOP, TICK, Guest, Shell, Wanted, descendants, environment, found, has_xattrs, iperf_said, kernels,
                    libraries, loop_initrd, microvm, needs, players, root_folder, table, take, ticks, turns)

KERNEL = kernels() / "cloud/vmlinuz"
INITRD = BUILD / "tests/bench/nat/initrd"
PROGRAMS = ("bash", "iperf3", "wrk", "ping")
CAPSA, PASST, PASST_VU, SLIRP, MSB, TAP = "capsa", "passt", "passt-vu", "slirp", "msb", "tap"
FAR = "192.0.2.2"                           # the servers, behind
HERE, THERE = "203.0.113.1", "203.0.113.2"  # the ends of the veth pair (passt takes its gateway for the host itself)
WEB = 8080
GOAL = {1500: 2.0, 65520: 1.0}


def prepare():
    loop_initrd(INITRD, KERNEL, {name: needs(name) for name in PROGRAMS}, __file__)


# ---- the world outside ----

def ip(*words):
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def servers(work):
    """iperf3 and nginx at FAR, and a way there."""
    far = f"capsa-far-{os.getpid()}"
    (work / "www").mkdir()
    (work / "www/index.html").write_text("x" * 1024, encoding="ascii")
    (work / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3; uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  server {{ listen {FAR}:{WEB} backlog=4096; root {work}/www; }} }}
""", encoding="ascii")
    ip("link", "set", "lo", "up")
    ip("netns", "add", far)
    processes = []
    try:
        ip("link", "add", "capsa-bench0", "type", "veth", "peer", "name", "eth0", "netns", far)
        ip("addr", "add", f"{HERE}/24", "dev", "capsa-bench0")
        ip("link", "set", "capsa-bench0", "mtu", "65520", "up")
        ip("-n", far, "addr", "add", f"{THERE}/24", "dev", "eth0")
        ip("-n", far, "addr", "add", f"{FAR}/32", "dev", "eth0")
        ip("-n", far, "link", "set", "eth0", "mtu", "65520", "up")
        ip("-n", far, "link", "set", "lo", "up")
        ip("-n", far, "route", "add", "default", "via", HERE)
        ip("route", "add", "default", "via", THERE)  # passt wants one to take its addresses from
        for name, value in (("ip_forward", "1"), ("ping_group_range", "0 2147483647"), ("ip_local_port_range", "1024 65535"),
                            ("tcp_tw_reuse", "1")):
            pathlib.Path(f"/proc/sys/net/ipv4/{name}").write_text(value, encoding="ascii")
        for command in ([needs("iperf3"), "-s"], [needs("nginx"), "-c", work / "nginx.conf"]):
            processes.append(subprocess.Popen(["ip", "netns", "exec", far, *command], stdout=subprocess.DEVNULL,
                                              stdin=subprocess.DEVNULL))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        ip("netns", "del", far)
        subprocess.run(["ip", "link", "del", "capsa-bench0"], check=False, stderr=subprocess.DEVNULL)


# ---- sides ----

class Side(Shell):
    """A machine with a card, set up without DHCP: the same for all."""

    def __init__(self, name, command, env, address, gateway, mtu, helpers=()):
        super().__init__(name, Guest(command, env))
        self.helpers = helpers
        self.run(f"ip link set eth0 mtu {mtu} up && ip addr add {address} dev eth0 && ip route add default via {gateway}")

    def vhost(self):
        """CPU time of the kernel's thread that serves this machine's card."""
        name = f"vhost-{self.shell.process.pid}"
        total = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                if path.read_text(encoding="ascii", errors="replace").strip() == name:
                    total += ticks(path.parent / "stat")
        return total / TICK

    def cpu(self):
        return self.shell.cpu() + self.vhost() + sum(ticks(f"/proc/{p.pid}/stat") for p in self.helpers) / TICK

    def end(self):
        self.shell.end()
        for process in self.helpers:
            process.kill()
            process.wait()


def capsa_side(options, work, mtu):
    conf = work / "capsa.conf"
    conf.write_text(f'''name = "nat-{os.getpid()}-{mtu}"; cpus = {options.cpus}; memory = "{options.memory}M";
boot = {{ kernel = "{KERNEL}"; initrd = "{INITRD}"; }};
devices = ( {{ plugin = "console"; backend = "stdio"; }}, {{ plugin = "rng"; }},
            {{ plugin = "net-nat"; mtu = {mtu}; {options.capsa} }} );
''', encoding="utf-8")
    return Side(CAPSA, [BUILD / "capsa", "-q", "-c", conf, "--append", f"quiet {LOOP}"], environment(work),
                "10.0.2.2/24", "10.0.2.1", mtu), ""


def qemu(options, more, machine=""):
    return microvm(KERNEL, INITRD, f"quiet {LOOP}", options.memory, options.cpus, machine, more)


def passt(options, work, mtu, *words):
    """(server, its socket, ""), or (None, None, why not)."""
    program = options.passt or pathlib.Path("/usr/bin/passt")
    if not os.access(program, os.X_OK):
        return None, None, "no passt: apt-get install passt, or say --passt PATH"
    path = work / "passt.sock"
    server = subprocess.Popen([program, *words, "-f", "-q", "-s", path, "-m", str(mtu), "--runas", "0"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.is_socket():
        if server.poll() is not None:
            return None, None, f"{program} ends with status {server.returncode}"
    return server, path, ""


def passt_side(options, work, mtu):
    server, path, why = passt(options, work, mtu)
    if not server:
        return None, why
    more = ["-netdev", f"stream,id=n,server=off,addr.type=unix,addr.path={path}", "-device", "virtio-net-pci,netdev=n"]
    return Side(PASST, qemu(options, more), environment(work), f"{HERE}/24", THERE, mtu, [server]), ""


def passt_vu_side(options, work, mtu):
    server, path, why = passt(options, work, mtu, "--vhost-user")
    if not server:
        return None, why
    more = ["-object", f"memory-backend-memfd,id=ram,size={options.memory}M,share=on", "-chardev", f"socket,id=s,path={path}",
            "-netdev", "vhost-user,id=n,chardev=s", "-device", "virtio-net-pci,netdev=n"]
    return Side(PASST_VU, qemu(options, more, ",memory-backend=ram"), environment(work), f"{HERE}/24", THERE, mtu, [server]), ""


def slirp_side(options, work, mtu):
    return Side(SLIRP, qemu(options, ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]), environment(work),
                "10.0.2.15/24", "10.0.2.2", min(mtu, 1500)), ""


def tap_side(options, work, mtu):
    for module in ("tun", "vhost_net"):
        subprocess.run(["modprobe", "-q", module], check=False)
    if not os.path.exists("/dev/vhost-net"):
        return None, "no /dev/vhost-net"
    name = f"capsa-tap{mtu % 1000}"
    subprocess.run(["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)
    ip("tuntap", "add", name, "mode", "tap")
    ip("addr", "add", "198.51.100.1/24", "dev", name)
    ip("link", "set", name, "mtu", str(mtu), "up")
    more = ["-netdev", f"tap,id=n,ifname={name},script=no,downscript=no,vhost=on", "-device", "virtio-net-pci,netdev=n"]
    return Side(TAP, qemu(options, more), environment(work), "198.51.100.2/24", "198.51.100.1", mtu), ""


class Sandbox:
    """A side that is told its lines by `msb exec`; as a Side as far as rows see it."""
    name = MSB

    def __init__(self, program, root, env, options):
        self.program, self.env, self.machine = program, env, f"nat-{os.getpid()}"
        subprocess.run([program, "create", "--quiet", "--pull", "never", "--cpus", str(options.cpus), "--memory", f"{options.memory}M",
                        "--net-default", "allow", "--name", self.machine, root], env=env, stdin=subprocess.DEVNULL, check=True)
        # The machine's process is nobody's child any more by now; it is known by its name.
        self.pids = [int(p.parent.name) for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")
                     if self.machine.encode() in p.read_bytes() and b"msb" in p.read_bytes()]
        if not self.pids:
            sys.exit(f"msb: no process of {self.machine} is to be found")

    def run(self, line):
        done = subprocess.run([self.program, "exec", "--quiet", self.machine, "--", "/bin/sh", "-c", line], env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LIMIT)
        if done.returncode:
            sys.exit(f"msb: failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def cpu(self):
        return sum(ticks(f"/proc/{pid}/stat") for first in self.pids for pid in descendants(first)) / TICK

    def end(self):
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run([self.program, "remove", "--quiet", "--force", self.machine], env=self.env, check=False, timeout=LIMIT)


def msb_side(options, work, mtu):
    if not options.msb:
        return None, "no --msb PATH"
    if mtu != 1500:
        return None, "its MTU is 1500"
    root = options.stack.enter_context(root_folder(work))
    if not has_xattrs(root):
        return None, "it needs a file system with user xattrs"
    for name in PROGRAMS:
        take(root, needs(name), f"/usr/bin/{name}")
        for library in libraries(needs(name)):
            take(root, library)
    (root / "lib").symlink_to("usr/lib")
    home = root.parent / "msb"
    home.mkdir()
    return Sandbox(options.msb, root, {**os.environ, "MSB_HOME": str(home), "MSB_BACKEND": "local"}, options), ""


SIDES = {CAPSA: capsa_side, PASST: passt_side, PASST_VU: passt_vu_side, SLIRP: slirp_side, MSB: msb_side, TAP: tap_side}


# ---- rows ----

class Row:
    """measure(side) -> (value, GiB that were moved or 0)"""

    def __init__(self, title, unit, at_least, command, read, seconds):
        self.title, self.unit, self.at_least, self.command, self.read, self.seconds = title, unit, at_least, command, read, seconds

    def once(self, side):
        """(value, CPU seconds for each GiB, or each second of the row)"""
        before = side.cpu()
        said = side.run(self.command)
        used = side.cpu() - before
        value, amount = self.read(side, said)
        return value, used / amount


def iperf(options, title, streams, down):
    command = f"iperf3 -c {FAR} -t {options.seconds} -P {streams} -f k {'-R' if down else ''}"

    def read(side, said):
        return iperf_said(side.name, said, streams)
    return Row(title, "Mbit/s", True, command, read, options.seconds)


def web(options, title, close):
    def read(side, said):
        errors = re.search(r"Socket errors: (.*)", said)
        if errors:
            print(f"  {side.name}: {errors[1]}")
        return float(found(side.name, r"Requests/sec: +([\d.]+)", said)), options.seconds
    header = "-H 'Connection: close'" if close else ""
    return Row(title, "1/s", True, f"wrk -t 1 -c {16 if close else 32} -d {options.seconds} --latency {header} http://{FAR}:{WEB}/", read,
               options.seconds)


def latency(options):
    def read(side, said):
        return float(found(side.name, r"= [\d.]+/([\d.]+)/", said)) * 1000, 2.0
    return Row("ping, round trip", "µs", False, f"ping -q -i 0.01 -c 200 {FAR}", read, 2)


def request(options):
    """One request at a time: the latency of a connection that is there."""
    def read(side, said):
        return 1e6 / float(found(side.name, r"Requests/sec: +([\d.]+)", said)), options.seconds
    return Row("nginx, one request at a time", "µs", False, f"wrk -t 1 -c 1 -d {options.seconds} http://{FAR}:{WEB}/", read,
               options.seconds)


def rows(options):
    return {
        "up": iperf(options, "iperf3, from the guest, 1 stream", 1, False),
        "up8": iperf(options, "iperf3, from the guest, 8 streams", 8, False),
        "down": iperf(options, "iperf3, to the guest, 1 stream", 1, True),
        "down8": iperf(options, "iperf3, to the guest, 8 streams", 8, True),
        "web": web(options, "nginx, 32 connections of wrk", False),
        "connect": web(options, "nginx, a connection for each request", True),
        "request": request(options),
        "ping": latency(options),
    }


def measure(taking_part, row, runs, mtu):
    values, cpu = turns(taking_part, row, runs)
    per = "GiB" if row.unit == "Mbit/s" else "s"
    notes = {name: f"CPU {statistics.median(v):.2f} s/{per}" for name, v in cpu.items() if v}
    peers = [name for name in (PASST, PASST_VU, SLIRP, MSB) if values.get(name)]
    better = max if row.at_least else min
    best = better(peers, key=lambda name: statistics.median(values[name])) if peers else TAP
    goal = GOAL.get(mtu, 1.0) if row.unit == "Mbit/s" else 1.0
    table(f"MTU {mtu}: {row.title}", values, row.unit, best, wanted=Wanted(goal, row.at_least, [CAPSA]), notes=notes)
    if values.get(TAP) and values.get(CAPSA):
        print(f"  capsa to the ceiling (tap): {statistics.median(values[CAPSA]) / statistics.median(values[TAP]):.3f}", flush=True)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", dest="runs", type=int, default=3)
    parser.add_argument("--mtu", default="1500,65520", help="one or more, with commas (default: 1500,65520)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (default: 3)")
    parser.add_argument("--passt", metavar="PATH", help="another one than the installed one")
    parser.add_argument("--msb", metavar="PATH", type=pathlib.Path, help="bin/msb of its npm package")
    parser.add_argument("--capsa", metavar="KEYS", default="", help="more keys of capsa's device, as in a file")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--memory", type=int, default=512, help="MiB")
    parser.add_argument("--without", action="append", choices=tuple(SIDES), default=[])
    parser.add_argument("what", nargs="*", help="prepare, or rows: up up8 down down8 web connect request ping")
    return parser.parse_args()


def main():
    options = parse_options()
    if options.what == ["prepare"]:
        prepare()
        return
    every = rows(options)
    for name in options.what:
        if name not in every:
            sys.exit(f"{name}: no such row: {' '.join(every)}")
    if os.geteuid() != 0:
        sys.exit("this bench makes network namespaces and TAP devices: run it as root")
    prepare()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="capsa-bench.")))
        stack.enter_context(servers(work))
        print(f"Linux {KERNEL.resolve().parent.name}, {options.cpus} CPUs, {options.memory} MiB, {options.runs} alternating runs of "
              f"{options.seconds} s after one to warm up", flush=True)
        for mtu in map(int, options.mtu.split(",")):
            with contextlib.ExitStack() as machines:
                options.stack = machines
                taking_part = players(SIDES, options.without, lambda name, folder, mtu=mtu: SIDES[name](options, folder, mtu), work / str(mtu),
                                      machines, f"MTU {mtu}")
                for name in options.what or every:
                    measure(taking_part, every[name], options.runs, mtu)


main()
