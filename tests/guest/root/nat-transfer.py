#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Moves bytes through a connection and compares their checksums; the far and the near end of nat-tap.sh.

    nat-transfer.py serve BYTES          listens on loopback, prints its port, serves one connection of each direction
    nat-transfer.py up|down ADDRESS PORT BYTES

The first byte of a connection says the direction: u (the client sends) or d. The sender ends its half, the receiver
answers with the checksum of what it got, or checks that of the sender, which comes first.
"""
import hashlib
import random
import socket
import sys

PIECE = 1 << 16
PATIENCE = 300


def pieces(size):
    block = random.Random(4711).randbytes(PIECE * 16 + 17)  # no multiple of a segment, so misplaced bytes show
    while size > 0:
        piece = block[: min(size, len(block))]
        size -= len(piece)
        yield piece


def checksum_of(size):
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.digest()


def send(connection, size):
    for piece in pieces(size):
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)


def receive(connection, size):
    digest, got = hashlib.sha256(), 0
    while data := connection.recv(PIECE * 4):
        digest.update(data)
        got += len(data)
    return got == size and digest.digest() == checksum_of(size)


def read_exactly(connection, size):
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def serve(size):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    print(listener.getsockname()[1], flush=True)
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            if read_exactly(connection, 1) == b"d":
                send(connection, size)
                read_exactly(connection, 1)
            else:
                connection.sendall(b"+" if receive(connection, size) else b"-")


def main():
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
        return 0
    direction, address, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with socket.create_connection((address, port), PATIENCE) as connection:
        if direction == "up":
            connection.sendall(b"u")
            send(connection, size)
            good = read_exactly(connection, 1) == b"+"
        else:
            connection.sendall(b"d")
            good = receive(connection, size)
            if good:
                connection.sendall(b"+")
    print(direction, size, "good" if good else "BAD")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
