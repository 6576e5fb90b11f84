#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An agent that answers `capsa cp` and `capsa exec` with what it must not: hostile-agent.py SOCKET.

What it does to a connection is the last component of the path, or the first word of the command, that is asked for.
"""
import os
import socket
import struct
import sys
import threading

HELLO, EXEC, STAT, TREE_READ = 1, 16, 20, 23
DATA, END, WINDOW_ADD, CLOSE, STARTED, EXIT, RESULT = 64, 65, 66, 67, 80, 81, 82
FOLDER, FILE, LINK, HARD, FIFO, NODE, CHUNK, LEAVE, TREE_END = range(1, 10)


def frame(kind, payload=b"", channel=1, stream=0):
    return struct.pack("<IIHH", len(payload), channel, kind, stream) + payload


def string(text):
    return struct.pack("<I", len(text)) + text


def name(text):
    return struct.pack("<H", len(text)) + text


def entry(kind, text, mode=0o755):
    return bytes([kind]) + name(text) + struct.pack("<IIIqI", mode, 0, 0, 0, 0)


def file(text, content, size=None):
    head = entry(FILE, text, 0o644) + struct.pack("<Q", len(content) if size is None else size)
    return head + bytes([CHUNK]) + struct.pack("<QI", 0, len(content)) + content


def whole_file(text, content):
    return file(text, content) + bytes([LEAVE])


def inside(records):
    """A root with these in it."""
    return entry(FOLDER, b"root") + records + bytes([LEAVE, TREE_END])


def link(text, target):
    return entry(LINK, text, 0o777) + name(target)


def hard(text, *way):
    return bytes([HARD]) + name(text) + struct.pack("<I", len(way)) + b"".join(name(w) for w in way)


TREES = {
    "dots": inside(whole_file(b"..", b"evil")),
    "up": inside(whole_file(b"../evil", b"evil")),
    "root": inside(whole_file(b"/evil", b"evil")),
    "nul": inside(whole_file(b"a\0b", b"evil")),
    "empty": inside(whole_file(b"", b"evil")),
    "through": inside(link(b"out", b"..") + entry(FOLDER, b"out") + whole_file(b"evil", b"evil") + bytes([LEAVE])),
    "over": inside(link(b"evil", b"../evil") + file(b"evil", b"evil")),
    "hard-up": inside(hard(b"mine", b"..", b"secret")),
    "hard-link": inside(link(b"out", b"..") + hard(b"mine", b"out", b"secret")),
    "leave": entry(FOLDER, b"root") + bytes([LEAVE]) + whole_file(b"evil", b"evil"),
    "two": whole_file(b"root", b"one") + whole_file(b"evil", b"evil") + bytes([TREE_END]),
    "node": inside(entry(NODE, b"null", 0o20666) + struct.pack("<Q", 0x103)),
    "controls": inside(whole_file(b"\x1b]0;evil\x07\n/", b"evil")),
    "noise": os.urandom(5000),
    "deep": entry(FOLDER, b"d") * 2000,
    "big": file(b"root", b"evil", 1 << 62),
    "cut": file(b"root", b"half", 100),
    "gone": file(b"root", b"half", 100),
    "stuck": file(b"root", b"half", 100),
}


def data(content):
    return b"".join(frame(DATA, content[i : i + 60000], stream=1) for i in range(0, len(content), 60000))


def answer(peer, kind, what):
    result = frame(RESULT, struct.pack("<II", 0, 0) + string(b""))
    if what in TREES:
        peer.sendall(data(TREES[what]))
        if what == "stuck":
            return peer.recv(1 << 20)  # until the client has had enough
        if what == "gone":
            return None
        return peer.sendall(frame(END, stream=1) + result)
    if what == "flood":
        return peer.sendall(data(file(b"root", b"x" * 60000, 1 << 40) * 20))
    if what == "exit":
        return peer.sendall(frame(EXIT, struct.pack("<III", 0, 0, 0)))
    if what == "words":
        return peer.sendall(frame(RESULT, struct.pack("<II", 5, 0) + string(b"\x1b]0;evil\x07 words")))
    if what == "twice":
        return peer.sendall(frame(STARTED, struct.pack("<I", 1)) + frame(EXIT, struct.pack("<III", 0, 0, 0)) * 2)
    if what == "again":
        return peer.sendall(frame(STARTED, struct.pack("<I", 1)) * 2)
    return peer.sendall(result)


def receive(peer, length):
    got = b""
    while len(got) < length:
        more = peer.recv(length - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def receive_frame(peer):
    length, _, kind, _ = struct.unpack("<IIHH", receive(peer, 12))
    return kind, receive(peer, length)


def serve(peer):
    try:
        receive_frame(peer)
        peer.sendall(frame(HELLO, struct.pack("<IHH", 0x53504143, 1, 1) + string(b"evil"), channel=0))
        kind, payload = receive_frame(peer)
        at = 0
        if kind == EXEC:
            at = 16
            for _ in range(2):
                at += 4 + struct.unpack_from("<I", payload, at)[0]
            at += 4
        length = struct.unpack_from("<I", payload, at)[0]
        what = os.path.basename(payload[at + 4 : at + 4 + length].decode())
        answer(peer, kind, what)
        if what != "gone":
            while peer.recv(1 << 20):
                pass
    except (EOFError, OSError):
        pass
    peer.close()


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer,), daemon=True).start()


main()
