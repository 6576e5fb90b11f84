# SPDX-License-Identifier: MIT
"""agent_rules.py - the greeting, and the rules of agent/protocol.h with their breaking. See agent.py."""

import errno
import os
import random
import struct
import threading
import time

import agent_client as A
from agent_case import SEED, error_of, here, test, wait_gone
from agent_client import s, u16, u32, u64


@test
def the_agent_says_its_version_and_when_it_served(agent, c):
    lowest, highest, program, times = c.agent
    assert lowest == highest == A.VERSION and program.startswith(b"capsa-agent ")
    assert times == sorted(times) and times[0] > 0


@test
def who_does_not_say_hello_first_hears_hello_and_is_closed(agent, c):
    for kind, payload in ((A.INFO, b""), (A.HELLO, A.hello(magic=1)), (A.HELLO, b""), (A.HELLO, A.hello(lowest=2, highest=1)),
                          (77, b"x" * 100)):
        other = agent.client(greet=False)
        other.send(0 if kind == A.HELLO else 1, kind, payload)
        try:
            other.wait(lambda: False)
        except A.Gone:
            pass
        assert other.agent and not other.channels


@test
def a_client_without_a_version_in_common_hears_ours_and_is_closed(agent, c):
    other = agent.client(greet=False)
    other.send(0, A.HELLO, A.hello(lowest=7, highest=9))
    try:
        other.wait(lambda: False)
    except A.Gone:
        pass
    assert other.agent[:2] == (A.VERSION, A.VERSION)


@test
def a_newer_client_that_also_speaks_ours_is_welcome(agent, c):
    other = agent.client(greet=False)
    other.send(0, A.HELLO, A.hello(highest=9) + b"more of a later version")
    assert other.run(["true"]).exit == (A.EXITED, 0, 0)


@test
def a_frame_in_single_bytes_is_understood(agent, c):
    payload = A.execute(["echo", "slow"])
    channel = c.channels[1000] = A.Channel(c, 1000)
    for b in struct.pack("<IIHH", len(payload), 1000, A.EXEC, 0) + payload:
        c.socket.sendall(bytes([b]))
    assert channel.done().out == b"slow\n"


def broken(channel):
    return channel.done().result[0] == errno.EPROTO


@test
def a_frame_against_the_rules_ends_its_channel_and_nothing_else(agent, c):
    bystander = c.open(A.EXEC, A.execute(["cat"]))
    bystander.wait(lambda r: r.pid)
    frames = (
        (A.DATA, b"x", A.OUTPUT),
        (A.DATA, b"x", 9),
        (A.DATA, b"x" * (A.DATA_MAX + 1), A.INPUT),
        (A.END, b"", A.OUTPUT),
        (A.WINDOW_ADD, u32(1), A.INPUT),
        (A.WINDOW_ADD, b"", A.OUTPUT),
        (A.WINDOW_ADD, u32(1), 9),
        (A.CLOSE, b"", A.INPUT),
        (A.CLOSE, b"", 77),
        (A.SIGNAL, u32(0), 0),
        (A.SIGNAL, u32(65), 0),
        (A.SIGNAL, b"\1", 0),
        (A.RESIZE, b"", 0),
        (A.SIGNAL, u32(1), 1),
        (A.STARTED, u32(1), 0),
        (A.EXIT, u32(1), 0),
        (A.RESULT, u32(1), 0),
        (A.HELLO, A.hello(), 0),
        (A.EXEC, A.execute(["true"]), 0),
        (A.STAT, s("/") + u32(0), 0),
        (12345, b"?", 0),
        (0, b"", 0),
        (12345, b"y" * (A.FRAME_MAX + 5), 0),
        (A.SIGNAL, b"z" * (3 * A.FRAME_MAX), 0),
    )
    for kind, payload, stream in frames:
        r = c.open(A.EXEC, A.execute(["sleep", "1000"]))
        r.wait(lambda r: r.pid)
        r.send(kind, payload, stream)
        assert broken(r), (kind, stream)
        wait_gone(r.pid)
    bystander.feed(b"still here")
    assert bystander.done().out == b"still here" and bystander.exit == (A.EXITED, 0, 0)


@test
def more_than_the_credit_breaks_the_channel(agent, c):
    r = c.open(A.EXEC, A.execute(["sleep", "1000"]))
    for _ in range(20):
        if not r.final:
            r.send(A.DATA, b"x" * A.DATA_MAX, A.INPUT)
    assert broken(r)


@test
def data_behind_the_end_breaks_the_channel(agent, c):
    for kind in (A.DATA, A.END):
        r = c.open(A.WRITE, s("/dev/full") + u32(0) + u32(0))
        fifo = here("fifo-%d" % kind)
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        r = c.open(A.WRITE, s(fifo) + u32(0o600) + u32(0))
        for _ in range(3):
            r.send(A.DATA, b"x" * A.DATA_MAX, A.INPUT)  # more than a pipe holds
        r.send(A.END, b"", A.INPUT)
        r.send(kind, b"", A.INPUT)
        assert broken(r)
        os.close(reader)


@test
def frames_for_channels_that_are_not_open_are_ignored_but_for_requests(agent, c):
    for kind in (A.DATA, A.END, A.WINDOW_ADD, A.CLOSE, A.SIGNAL, A.RESIZE, A.CANCEL, A.STARTED, A.EXIT, A.RESULT, 999, 0):
        c.send(4242, kind, b"")
        c.send(4242, kind, b"x" * 70000)
    c.send(4242, A.DATA, b"x" * 2000000)
    c.send(0, A.HELLO, A.hello())
    assert c.run(["true"]).exit[1] == 0  # an answer on 4242 would have been met with a KeyError
    for kind in range(A.EXEC, A.NETWORK + 1):
        if kind in (A.INFO, ):
            continue
        assert broken(c.open(kind, b"")), kind
        if kind not in (A.SHUTDOWN, A.CLOCK):  # those are numbers, if strange ones
            assert broken(c.open(kind, b"\xff" * 100)), kind
        assert broken(c.open(kind, b"x" * (A.FRAME_MAX + 1))), kind
    assert broken(c.open(A.INFO, b"", number=0))


@test
def strings_with_a_nul_or_too_long_are_malformed(agent, c):
    assert broken(c.open(A.EXEC, A.execute(["a\0b"])))
    assert broken(c.open(A.EXEC, A.execute(["true"], env=["A=\0"])))
    assert broken(c.open(A.EXEC, A.execute([])))
    assert broken(c.open(A.STAT, s("/a\0b") + u32(0)))
    assert broken(c.open(A.STAT, s("/" * 5000) + u32(0)))
    assert broken(c.open(A.EXEC, u32(0) + u16(0) + u16(0) + u64(0) + s("") + s("") + u32(0xFFFFFFFF)))


@test
def what_a_later_version_appends_is_ignored(agent, c):
    r = c.open(A.EXEC, A.execute(["echo", "ok"]) + b"more")
    assert r.done().out == b"ok\n"
    assert error_of(c.ask(A.STAT, s("/") + u32(0) + b"more")) == 0


@test
def one_channel_too_many_is_refused(agent, c):
    os.mkfifo(here("many"))
    writer = os.open(here("many"), os.O_RDWR)
    k = agent.client()
    runs = [k.open(A.READ, s(here("many")) + u64(0) + u64(0)) for _ in range(A.CHANNELS_MAX)]
    r = k.ask(A.READ, s(here("many")) + u64(0) + u64(0))
    assert error_of(r) == errno.EMFILE
    runs[0].send(A.CANCEL)
    runs[0].done()
    assert k.run(["true"]).exit[1] == 0
    k.close()
    os.close(writer)


@test
def ten_thousand_requests_in_one_piece_are_all_answered(agent, c):
    k = agent.client()
    payload = s("/usr") + u32(0)
    blob = b""
    for i in range(1, 10001):
        k.channels[i] = A.Channel(k, i)
        blob += struct.pack("<IIHH", len(payload), i, A.STAT, 0) + payload
    t = threading.Thread(target=k.socket.sendall, args=(blob,))
    t.start()
    k.wait(lambda: all(ch.final for ch in k.channels.values()))
    t.join()
    assert all(error_of(ch) == 0 for ch in k.channels.values())
    k.close()


@test
def thousands_of_short_connections_leave_nothing_behind(agent, c):
    c.run(["true"])
    before, memory = agent.descriptors(), agent.memory()
    for i in range(2000):
        k = agent.client(greet=i % 3 != 0)
        if i % 3 == 1:
            k.open(A.EXEC, A.execute(["true"]))
        elif i % 3 == 2:
            k.socket.sendall(b"\1\2\3")
        k.close()
    c.run(["true"])
    deadline = time.monotonic() + A.LIMIT
    while agent.descriptors() > before and time.monotonic() < deadline:
        c.run(["true"])
    assert agent.descriptors() == before
    assert agent.memory() - memory < 4 << 20


@test
def random_frames_harm_nobody(agent, c):
    rnd = random.Random(SEED)
    kinds = list(range(A.EXEC, A.CLOCK)) + [A.SIGNAL, A.RESIZE, A.CANCEL, A.DATA, A.END, A.WINDOW_ADD, A.CLOSE, 1, 80, 81, 82, 7]
    kinds.remove(A.MOUNT)
    kinds.remove(A.SHUTDOWN)
    target = here("fuzz")
    os.mkdir(target)
    samples = [
        A.execute(["cat"]), A.execute(["true"], flags=A.TTY), A.execute(["yes"]), s("/etc/passwd") + u64(0) + u64(0),
        s(target + "/f") + u32(0o600) + u32(0), s("/etc"), s("/etc") + u32(0), u32(5), b"", u32(0xFFFFFFFF), s(target) + s("t"),
        A.execute(["sleep", "1000"], timeout=5), A.execute(["no-such"]), s("/usr/share"),
    ]
    bystander = c.open(A.EXEC, A.execute(["cat"]))
    for _ in range(int(os.environ.get("FUZZ", "40"))):
        k = agent.client()
        k.socket.settimeout(A.LIMIT)
        reader = threading.Thread(target=drain, args=(k,))
        reader.start()
        try:
            for _ in range(200):
                payload = bytearray(rnd.choice(samples))
                for _ in range(rnd.choice((0, 0, 0, 1, 3))):
                    if payload:
                        payload[rnd.randrange(len(payload))] = rnd.randrange(256)
                if rnd.random() < 0.1:
                    payload = payload[: rnd.randrange(len(payload) + 1)]
                if rnd.random() < 0.02:
                    payload += b"x" * rnd.randrange(200000)
                kind = rnd.choice(kinds) if rnd.random() < 0.97 else rnd.randrange(65536)
                if kind == A.REMOVE or kind == A.MKDIR or kind == A.WRITE:
                    payload = bytearray(s(target + "/%d" % rnd.randrange(5)) + u32(rnd.randrange(8)) + u32(rnd.randrange(8)))
                if kind == A.EXEC and rnd.random() < 0.8:
                    payload = bytearray(rnd.choice(samples[:3] + samples[11:13]))
                elif kind == A.EXEC and b"cat" not in payload and b"true" not in payload:
                    continue
                if kind in (A.TREE_WRITE, A.CLOCK, A.MOUNT, A.SHUTDOWN):
                    payload = bytearray(rnd.randbytes(rnd.randrange(3)))
                k.send(rnd.randrange(6), kind, bytes(payload), rnd.choice((0, 0, 0, 0, 1, 2, 3)))
            if rnd.random() < 0.5:
                k.socket.sendall(rnd.randbytes(rnd.randrange(100)))
        except OSError:
            pass  # it closes what says no HELLO, or was cut
        try:
            k.socket.shutdown(2)
        except OSError:
            pass
        reader.join()
        k.close()
        assert agent.process.poll() is None
    bystander.feed(b"alive")
    assert bystander.done().out == b"alive"


@test
def garbage_instead_of_frames_harms_nobody(agent, c):
    rnd = random.Random(SEED)
    for i in range(50):
        k = agent.client(greet=i % 2 == 0)
        reader = threading.Thread(target=drain, args=(k,))
        reader.start()
        try:
            k.socket.sendall(rnd.randbytes(100000))
            k.socket.shutdown(2)
        except OSError:
            pass
        reader.join()
        k.close()
    assert c.run(["echo", "alive"]).out == b"alive\n"


def drain(k):
    try:
        while k.socket.recv(1 << 16):
            pass
    except OSError:
        pass
