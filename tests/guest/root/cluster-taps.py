#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Members of a cluster without guests: each is tests/bench/cluster-tap on a TAP device in a network namespace of its own, so
cards, rings, guardians and the switch are the real ones. For cluster-many.sh and cluster-kill.sh, in namespaces of the test's own.

    cluster-taps.py PROGRAM many MEMBERS        each pings each, one is flooded by all, transfers of all pairs at once
    cluster-taps.py PROGRAM tags                frames with VLAN tags
    cluster-taps.py PROGRAM plain               transfers between members with offloads and without
    cluster-taps.py PROGRAM kill ROUNDS SEED    one to three processes are killed a round, any of them; transfers go on
    cluster-taps.py PROGRAM growth SECONDS RUNS no test: prints the sum of iperf3 in all pairs of 2, 4, 8 and 16 members (iperf3)
    cluster-taps.py send ADDRESS | receive      the ends of a transfer, in a member's namespace: until standard input ends

Status 0 if all of that went well, and nothing is left of it: no process, no socket.
"""
import contextlib
import ctypes
import hashlib
import os
import pathlib
import random
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

PATIENCE = float(os.environ.get("LIMIT", "120")) / 2  # s: what takes longer has failed
CLUSTER = "taps"
PORT = 5400
BLOCK = 1 << 16
STEP = 1 << 20   # bytes between two words of a receiver
PROOF = 8 << 20  # more than a receiver's stack may have had already
CLONE_NEWNET, ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA = 0x40000000, 3, 263, 8
FILLING = random.Random(4711).randbytes(BLOCK - 8)


class Failed(Exception):
    pass


# ---- the ends of a transfer ----

def connection_for(address, kind):
    if kind == "send":
        return socket.create_connection((address, PORT), PATIENCE)
    with socket.create_server(("", PORT)) as listener:
        print("listening", flush=True)
        listener.settimeout(PATIENCE)
        return listener.accept()[0]


def send(address):
    """Numbered blocks, so that one that is missing, repeated or misplaced shows in the digest."""
    digest, number = hashlib.sha256(), 0
    with connection_for(address, "send") as connection:
        connection.settimeout(PATIENCE)
        while not select.select([sys.stdin], [], [], 0)[0]:
            block = number.to_bytes(8, "little") + FILLING
            digest.update(block)
            connection.sendall(block)
            number += 1
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # the receiver has had all
    print(number * BLOCK, digest.hexdigest(), flush=True)


def receive():
    digest, got, said = hashlib.sha256(), 0, 0
    with connection_for(None, "receive") as connection:
        connection.settimeout(PATIENCE)
        while data := connection.recv(4 * BLOCK):
            digest.update(data)
            got += len(data)
            if got - said >= STEP:
                said = got
                print("at", got, flush=True)
    print(got, digest.hexdigest(), flush=True)


class Words:
    """Lines of a process, waited for."""

    def __init__(self, process):
        self.process, self.rest = process, b""

    def next(self, until):
        """The next line, or None where the time is over; Failed at the end."""
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failed(f"{self.process.args}: ended with {self.process.wait()}")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def find(self, pattern):
        until = time.monotonic() + PATIENCE
        while (line := self.next(until)) is not None:
            if found := re.match(pattern, line):
                return found
        raise Failed(f"{self.process.args}: did not say {pattern}")


# ---- members ----

def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=PATIENCE, **more)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Member:
    """The namespace and its TAP stay when the member is killed: to its stack that is a cable that was pulled."""

    def __init__(self, program, number, *options):
        self.name, self.number, self.address, self.options = f"m{number}", number, f"10.0.3.{10 + number}", options
        self.space = f"capsa-{self.name}"
        self.process = None
        run("ip", "netns", "add", self.space)
        for words in (["link", "set", "lo", "up"], ["tuntap", "add", "eth0", "mode", "tap"], ["addr", "add", f"{self.address}/24", "dev", "eth0"]):
            run("ip", "-n", self.space, *words)
        self.command = [program, "--namespace", f"/run/netns/{self.space}", "--machine", self.name,
                        "--options", f'cluster = "{CLUSTER}"; address = "{self.address}/24";', *options]

    def begin(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        Words(self.process).find("ready")

    def inside(self, *words):
        return ["ip", "netns", "exec", self.space, *words]

    def run(self, *words):
        return run(*self.inside(*words))

    def end(self):
        """As a machine does that is told to."""
        self.process.terminate()
        if self.process.wait(PATIENCE):
            raise Failed(f"{self.name}: ended with {self.process.returncode}")
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()


def comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def ours(name):
    """Processes of that name that have this test's run-time folder."""
    word = f"XDG_RUNTIME_DIR={os.environ['XDG_RUNTIME_DIR']}".encode() + b"\0"
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if comm(path.parent.name) == name and word in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(found)


def switches():
    return ours("capsa-switch")


def guardians():
    return ours("capsa-guardian")


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def ends(pid):
    """Waits for a process that is no child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], PATIENCE)[0])
    finally:
        os.close(fd)


def all_end(members):
    """Who is told to ends well, and so does what nobody has told."""
    for member in members:
        member.end()
    for pid in switches() + guardians():
        if not ends(pid):
            raise Failed(f"{comm(pid)} {pid} is left over")
    left = pathlib.Path(os.environ["XDG_RUNTIME_DIR"]).rglob("*.sock")
    if names := list(left):
        raise Failed(f"left over: {names}")


# ---- many ----

def each_pings_each(members):
    for member in members:
        for other in members:
            if other is not member:
                member.run("ping", "-q", "-c", "1", "-W", "5", other.address)


def floods(members):
    """Who is flooded by all others drops and lives; each link is whole afterwards."""
    targets = [(m, members[0]) for m in members[1:]]
    running = [subprocess.Popen(m.inside("ping", "-q", "-f", "-s", "1400", "-w", "2", to.address), stdout=subprocess.PIPE, text=True)
               for m, to in targets]
    for process in running:
        said = process.communicate(timeout=PATIENCE)[0]
        if not re.search(r" [1-9]\d* received", said):
            raise Failed(f"nothing came back:\n{said}")
    each_pings_each(members[:3])


class Transfer:
    def __init__(self, source, target):
        me = os.path.realpath(__file__)
        self.source, self.target = source, target
        self.to = Words(subprocess.Popen(target.inside(me, "receive"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        self.to.find("listening")
        self.out = Words(subprocess.Popen(source.inside(me, "send", target.address), stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.at = 0

    def hear(self, until):
        """False: nothing was said."""
        line = self.to.next(until)
        if line is None:
            return False
        self.at = int(re.match(r"at (\d+)", line)[1])
        return True

    def move(self, size):
        """Until so many bytes more have come than had been when it was called."""
        while self.hear(0):
            pass
        begin, until = self.at, time.monotonic() + PATIENCE
        while self.at - begin < size:
            if not self.hear(until):
                raise Failed(f"{self.source.name} to {self.target.name}: stands still at {self.at} bytes")

    def end(self):
        self.out.process.stdin.close()
        sent, got = self.out.find(r"(\d+ \w{64})$")[1], self.to.find(r"(\d+ \w{64})$")[1]
        if sent != got:
            raise Failed(f"{self.source.name} sent {sent}, {self.target.name} got {got}")
        for words in (self.out, self.to):
            if words.process.wait(PATIENCE):
                raise Failed(f"{words.process.args}: status {words.process.returncode}")


def transfers(couples, size):
    """All at once."""
    moving = [Transfer(a, b) for a, b in couples]
    for transfer in moving:
        transfer.move(size)
    for transfer in moving:
        transfer.end()


@contextlib.contextmanager
def in_space(member):
    """This thread is in the member's network namespace: sockets that are made are there, and stay."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{member.space}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise Failed(f"{member.space}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def raw_socket(member):
    with in_space(member):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        raw.bind(("eth0", ETH_P_ALL))
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    raw.settimeout(PATIENCE)
    return raw


def tags(program):
    """A frame as long as may be with a tag, and one with two, from one member to the other and to all."""
    members = begin_all(program, 2)
    near, far = map(raw_socket, members)
    mac = {raw: raw.getsockname()[4] for raw in (near, far)}
    for target in (mac[far], b"\xff" * 6):
        for inner, payload in ((b"\x88\xb5", bytes(range(250)) * 6), (b"\x81\x00\x00\x09\x88\xb5", bytes(range(250)) * 4)):
            near.send(target + mac[near] + b"\x81\x00" + struct.pack("!H", 0xA007) + inner + payload)
            while True:
                frame, notes, _, _ = far.recvmsg(2048, 128)
                if frame[:12] == target + mac[near] and frame.endswith(payload):
                    break
            # The kernel has taken the outer tag off.
            tci = [struct.unpack("=IIIHHHH", data)[5] for _, kind, data in notes if kind == PACKET_AUXDATA]
            if frame[12:] != inner + payload or tci != [0xA007]:
                raise Failed(f"sent with tag a007 and {inner.hex()}, came with {tci} and {frame[12:20].hex()}")
    return members


def begin_all(program, number, *options):
    members = [Member(program, n + 1, *options) for n in range(number)]
    for member in members:
        member.begin()
    return members


def many(program, number):
    members = begin_all(program, number)
    each_pings_each(members)
    floods(members)
    transfers([(members[i], members[i + 1]) for i in range(0, number - 1, 2)], 4 * PROOF)
    return members


def plain(program):
    """A member without checksums or segmentation, one without segmentation, and one with both: each to each."""
    members = [Member(program, 1), Member(program, 2, "--no-csum"), Member(program, 3, "--no-gso")]
    for member in members:
        member.begin()
    for couple in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
        transfers([[members[i] for i in couple]], 2 * PROOF)
    return members


# ---- growth ----

def iperf_sum(couples, seconds):
    """Gbit/s that arrive, of all at once."""
    servers = [subprocess.Popen(far.inside("iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE) for _, far in couples]
    for server in servers:
        Words(server).find(r"Server listening")
    clients = [subprocess.Popen(near.inside("iperf3", "-c", far.address, "-t", str(seconds), "-f", "k"), stdout=subprocess.PIPE, text=True)
               for near, far in couples]
    said = [client.communicate(timeout=PATIENCE + seconds)[0] for client in clients]
    for server in servers:
        server.wait(PATIENCE)
    rates = [re.search(r"([\d.]+) Kbits/sec +receiver", text) for text in said]
    if not all(rates):
        raise Failed(f"not what iperf3 says: {said}")
    return sum(float(rate[1]) for rate in rates) / 1e6


def growth(program, seconds, runs):
    members = []
    for number in (2, 4, 8, 16):
        for n in range(len(members), number):
            members.append(Member(program, n + 1))
            members[-1].begin()
        couples = [(members[i], members[i + 1]) for i in range(0, number, 2)]
        iperf_sum(couples, 1)  # warm
        sums = [iperf_sum(couples, seconds) for _ in range(runs)]
        print(f"{number:3} members: {statistics.median(sums):6.2f} Gbit/s in all (least {min(sums):.2f}, most {max(sums):.2f})", flush=True)
    return members


# ---- kill ----

def settled(members, moving):
    """Each transfer has gone on, there is one switch, and each member has a guardian."""
    until = time.monotonic() + PATIENCE
    for transfer in moving:
        transfer.move(PROOF)
    while len(switches()) != 1 or len(guardians()) != len(members):
        if time.monotonic() > until:
            raise Failed(f"switches: {switches()}, guardians: {guardians()} of {len(members)} members")
        moving[0].move(PROOF)


def rounds(program, number, seed):
    chance = random.Random(seed)
    members = begin_all(program, 4)
    moving = [Transfer(members[0], members[1]), Transfer(members[3], members[2])]
    killed = {"switch": 0, "guardian": 0, "member": 0}
    settled(members, moving)
    for n in range(number):
        everybody = {"switch": switches(), "guardian": guardians(), "member": members}
        kinds = chance.choices(list(everybody), k=chance.randint(1, 3))
        victims = list(dict.fromkeys((kind, chance.choice(everybody[kind])) for kind in kinds))
        for kind, victim in victims:
            killed[kind] += 1
            if kind == "member":
                victim.kill()
            else:
                kill(victim)
        try:
            for kind, victim in victims:
                if kind == "member":
                    victim.begin()
            settled(members, moving)
        except Failed as e:
            raise Failed(f"round {n + 1}, killed: {[v.name if k == 'member' else f'{k} {v}' for k, v in victims]}: {e}") from e
    for transfer in moving:
        transfer.end()
    print(f"{number} rounds, killed: {killed}, transferred: {[t.at for t in moving]} bytes")
    return members


def main():
    if sys.argv[1] == "send":
        send(sys.argv[2])
        return
    if sys.argv[1] == "receive":
        receive()
        return
    program, what, *numbers = sys.argv[1:]
    try:
        all_end({"many": many, "tags": tags, "plain": plain, "kill": rounds, "growth": growth}[what](program, *map(int, numbers)))
    finally:
        # Where that has failed; a switch may be forked while we look.
        for name in ("cluster-tap", "capsa-guardian", "capsa-switch"):
            for pid in ours(name):
                kill(pid)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(str(failure))
