# SPDX-License-Identifier: MIT
"""agent_client.py - the client's side of agent/protocol.h, for tests: frames, channels, and an agent to speak to."""

import os
import select
import signal
import socket
import struct
import subprocess
import time

MAGIC, VERSION = 0x53504143, 1
FRAME_MAX, DATA_MAX, WINDOW, CHANNELS_MAX = 1 << 20, 64 << 10, 256 << 10, 1024
HELLO = 1
EXEC, READ, WRITE, LIST, STAT, REMOVE, MKDIR, TREE_READ, TREE_WRITE, INFO, MOUNT, SHUTDOWN, CLOCK, NETWORK = range(16, 30)
SIGNAL, RESIZE, CANCEL = 48, 49, 50
DATA, END, WINDOW_ADD, CLOSE = 64, 65, 66, 67
STARTED, EXIT, RESULT = 80, 81, 82
INPUT, OUTPUT, ERROR = 0, 1, 2
TTY, SYNC = 1, 2
APPEND, EXCLUSIVE, PARENTS = 1, 2, 4
EXITED, SIGNALLED, TIMED_OUT = 0, 1, 2
LIMIT = 60  # seconds: nothing takes as long, but a hang must end


def u16(v):
    return struct.pack("<H", v)


def u32(v):
    return struct.pack("<I", v)


def u64(v):
    return struct.pack("<Q", v)


def s(text):
    raw = text if isinstance(text, bytes) else os.fsencode(text)
    return u32(len(raw)) + raw


def words(items):
    return u32(len(items)) + b"".join(s(i) for i in items)


def hello(magic=MAGIC, lowest=VERSION, highest=VERSION, program="test 1"):
    return u32(magic) + u16(lowest) + u16(highest) + s(program)


def execute(argv, env=(), cwd="", user="", timeout=0, flags=0, rows=0, columns=0):
    return (u32(flags) + u16(rows) + u16(columns) + u64(timeout) + s(user) + s(cwd) + words(argv) + words(env))


class Take:
    """A payload, taken apart."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def number(self, fmt):
        (v,) = struct.unpack_from("<" + fmt, self.raw, self.at)
        self.at += struct.calcsize("<" + fmt)
        return v

    def bytes(self):
        n = self.number("I")
        v = self.raw[self.at : self.at + n]
        assert len(v) == n
        self.at += n
        return v

    def list(self):
        return [self.bytes() for _ in range(self.number("I"))]

    def record(self):
        keys = ("mode", "I"), ("uid", "I"), ("gid", "I"), ("size", "Q"), ("inode", "Q"), ("links", "Q"), ("mtime", "q"), \
            ("mtime_ns", "I"), ("device", "Q"), ("blocks", "Q")
        r = {"name": os.fsdecode(self.bytes())}
        for key, fmt in keys:
            r[key] = self.number(fmt)
        r["target"] = os.fsdecode(self.bytes())
        return r


class Gone(Exception):
    """The agent has closed the connection."""


class Channel:
    """What has come on a channel up to now. Credit is given back as it comes, unless `greedy` is off."""

    def __init__(self, client, number, greedy=True):
        self.client, self.number, self.greedy = client, number, greedy
        self.data = {OUTPUT: bytearray(), ERROR: bytearray()}
        self.ended = set()
        self.pid = None
        self.credit = WINDOW  # of our INPUT
        self.refused = False  # CLOSE came
        self.final = None  # its type, and the payload behind it
        self.payload = b""

    def send(self, kind, payload=b"", stream=0):
        self.client.send(self.number, kind, payload, stream)

    def on(self, kind, stream, payload):
        assert self.final is None, "a frame behind the final one"
        if kind == DATA:
            assert stream in self.data and stream not in self.ended and len(payload) <= DATA_MAX
            self.data[stream] += payload
            if self.greedy:
                self.send(WINDOW_ADD, u32(len(payload)), stream)
        elif kind == END:
            assert stream not in self.ended
            self.ended.add(stream)
        elif kind == STARTED:
            self.pid = Take(payload).number("I")
        elif kind == WINDOW_ADD:
            assert stream == INPUT
            self.credit += Take(payload).number("I")
        elif kind == CLOSE:
            assert stream == INPUT
            self.refused = True
        elif kind in (EXIT, RESULT):
            self.final, self.payload = kind, payload
        else:
            raise AssertionError("type %d" % kind)

    def wait(self, until):
        self.client.wait(lambda: until(self))
        return self

    def done(self):
        return self.wait(lambda c: c.final)

    def feed(self, data):
        """All of it, within the credit. Then END."""
        at = 0
        while at < len(data) and not self.refused and not self.final:
            self.wait(lambda c: c.credit > 0 or c.refused or c.final)
            n = min(len(data) - at, self.credit, DATA_MAX)
            if self.refused or self.final:
                break
            self.credit -= n
            self.send(DATA, data[at : at + n], INPUT)
            at += n
        if not self.final:
            self.send(END, b"", INPUT)
        return self

    @property
    def exit(self):
        """(how, status, flags)"""
        assert self.final == EXIT, (self.final, self.payload)
        return struct.unpack_from("<III", self.payload)

    @property
    def result(self):
        """(errno, stage, cause)"""
        assert self.final == RESULT, (self.final, self.payload)
        t = Take(self.payload)
        return t.number("I"), t.number("I"), os.fsdecode(t.bytes())

    def rest(self):
        """What a result has behind its cause."""
        t = Take(self.payload)
        t.number("I"), t.number("I"), t.bytes()
        return t

    @property
    def out(self):
        return bytes(self.data[OUTPUT])

    @property
    def err(self):
        return bytes(self.data[ERROR])


class Client:
    def __init__(self, path, greet=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.raw = bytearray()
        self.channels = {}
        self.number = 0
        self.agent = None
        if greet:
            self.send(0, HELLO, hello())
            self.wait(lambda: self.agent)

    def close(self):
        self.socket.close()

    def send(self, channel, kind, payload=b"", stream=0):
        try:
            self.socket.sendall(struct.pack("<IIHH", len(payload), channel, kind, stream) + payload)
        except (BrokenPipeError, ConnectionResetError):
            pass  # who reads next is told, behind what the agent had said before

    def open(self, kind, payload=b"", greedy=True, number=None):
        if number is None:
            self.number += 1
            number = self.number
        c = self.channels[number] = Channel(self, number, greedy)
        self.send(number, kind, payload)
        return c

    def take(self):
        """The frames that have come. False: none is whole."""
        found = False
        while len(self.raw) >= 12:
            length, channel, kind, stream = struct.unpack_from("<IIHH", self.raw)
            if len(self.raw) < 12 + length:
                break
            payload = bytes(self.raw[12 : 12 + length])
            del self.raw[: 12 + length]
            found = True
            if channel == 0 and kind == HELLO:
                t = Take(payload)
                assert t.number("I") == MAGIC
                self.agent = (t.number("H"), t.number("H"), t.bytes(), [t.number("Q") for _ in range(4)])
            else:
                self.channels[channel].on(kind, stream, payload)
        return found

    def receive(self, limit=LIMIT):
        self.socket.settimeout(limit)
        try:
            got = self.socket.recv(1 << 20)
        except ConnectionResetError:
            got = b""
        if not got:
            raise Gone()
        self.raw += got

    def wait(self, until):
        end = time.monotonic() + LIMIT
        self.take()
        while not until():
            self.receive(max(0.001, end - time.monotonic()))
            self.take()

    def run(self, argv, data=b"", **how):
        return self.open(EXEC, execute(argv, **how)).feed(data).done()

    def ask(self, kind, payload=b""):
        return self.open(kind, payload).done()


class Agent:
    """A process that serves a socket in `folder`."""

    def __init__(self, program, folder, **how):
        self.path = os.path.join(folder, "agent.sock")
        if os.path.exists(self.path):
            os.unlink(self.path)
        # Its socket appears right before it serves.
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_CLOEXEC)
        libc.inotify_add_watch(watch, os.fsencode(folder), 0x100)  # IN_CREATE
        self.process = subprocess.Popen([program, "--socket", self.path], stdin=subprocess.DEVNULL, **how)
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        assert poll.poll(LIMIT * 1000), "the agent does not serve"
        os.close(watch)

    def client(self, greet=True):
        end = time.monotonic() + LIMIT
        while True:
            try:
                return Client(self.path, greet)
            except ConnectionRefusedError:
                # Bound, not listening yet: the next call is listen(2).
                assert time.monotonic() < end and self.process.poll() is None
                os.sched_yield()

    def memory(self):
        """Bytes that are its own."""
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def cpu(self):
        """Ticks."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)
