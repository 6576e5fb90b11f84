#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Both ends of nat-peers.sh: a server that misbehaves, and the programs in the guest that bear it.

    nat-peer.py serve              says "ready" when all ports below listen, serves until it is killed
    nat-peer.py CASE [ARGUMENT]..  one of the functions near_CASE() below; status 0: it went as its name says

What is sent is always the same endless text, so that the receiver knows what must come. The end without a shell, far,
does what is awkward when the near end tells it to, by a word on a connection of its own: nothing here waits for time to
pass, except to find that nothing moves. Few modules are imported, because an emulator takes its time for each.
"""
import errno
import select
import socket
import struct
import sys
import time

WORDS, LATE, DRIBBLE, HALF, RESET, DEAF, STREAM = range(7000, 7007)
PIECE = 1 << 16
PERIOD = (1 << 18) + 24  # no multiple of a segment, so misplaced bytes show
TEXT = b"".join(b"%08x" % (i * 2654435761 & 0xffffffff) for i in range((PERIOD + PIECE) // 8))
TEXT = TEXT[:PERIOD] + TEXT[:PIECE]
DRIBBLED = 2000
HALF_FIRST, HALF_REST = 100_000, 4 << 20
IP_RECVERR, IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h
STILL = 0.5       # seconds without a byte: it has stalled
PATIENCE = 60


def text(offset, size):
    at = offset % PERIOD
    return TEXT[at:at + min(size, PIECE)]


class Reader:
    """What arrived, compared as it comes."""

    def __init__(self):
        self.got, self.good = 0, True

    def take(self, data):
        for at in range(0, len(data), PIECE):
            piece = data[at:at + PIECE]
            self.good = self.good and piece == text(self.got, len(piece))
            self.got += len(piece)

    def __str__(self):
        return f"{self.got} {'good' if self.good else 'BAD'}"


def abort(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive(connection):
    """To its end: how much, and whether it was good."""
    reader = Reader()
    while data := connection.recv(PIECE * 4):
        reader.take(data)
    return str(reader)


def send(connection, size, stop=lambda: False):
    sent = 0
    while sent < size and not stop():
        piece = text(sent, size - sent)
        connection.sendall(piece)
        sent += len(piece)


def dribble(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(DRIBBLED):
        connection.sendall(text(i, 1))
    connection.shutdown(socket.SHUT_WR)


# ---- far: a thread for each connection ----

class Far:
    def __init__(self):
        import queue
        import threading
        self.thread = threading.Thread
        cases = ("late", "dribble", "half", "reset", "deaf")
        self.told = {case: queue.Queue() for case in cases}     # by the near end: "go CASE N"
        self.results = {case: queue.Queue() for case in cases}  # for it: "report CASE"

    def begin(self, function, *words):
        thread = self.thread(target=function, args=words, daemon=True)
        thread.start()
        return thread

    def words(self, connection):
        word, case, number = connection.recv(100).decode().split()
        if word == "go":
            self.told[case].put(int(number))
            answer = "gone"
        else:
            answer = self.results[case].get()
        connection.sendall(answer.encode())

    def dribble(self, connection):
        dribbling = self.begin(dribble, connection)
        self.results["dribble"].put(receive(connection))
        dribbling.join()

    def half(self, connection):
        send(connection, HALF_FIRST)
        connection.shutdown(socket.SHUT_WR)
        self.results["half"].put(receive(connection))

    def reset(self, connection):
        """r: resets while the near end receives, s: while it sends; n: the near end does."""
        how = connection.recv(1)
        if how == b"r":
            send(connection, PIECE)
            self.told["reset"].get()
        elif how == b"s":
            for _ in range(4):
                connection.recv(PIECE)
        else:
            try:
                self.results["reset"].put(receive(connection))
            except ConnectionResetError:
                self.results["reset"].put("reset")
        abort(connection)

    def deaf(self, connection):
        self.told["deaf"].get()
        self.results["deaf"].put(receive(connection))

    def stream(self, connection):
        """u: takes all, then tells what it got; d: sends until it is told that this is enough."""
        if connection.recv(1) == b"u":
            connection.sendall(receive(connection).encode())
            return
        enough = self.begin(connection.recv, 1)
        send(connection, 1 << 62, lambda: not enough.is_alive())
        connection.shutdown(socket.SHUT_WR)

    def listen(self, port, backlog):
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog)

    def serve_one(self, handle, connection):
        with connection:
            try:
                handle(connection)
            except ConnectionError as error:
                print(handle.__name__, error, flush=True)

    def serve(self, listener, handle):
        while True:
            connection, _ = listener.accept()
            self.begin(self.serve_one, handle, connection)

    def serve_late(self, listener):
        """Accepts nobody, and has place for one, until it is told to serve so many."""
        while number := self.told["late"].get():
            for _ in range(number):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(connection.recv(100))

    def run(self):
        for port, handle in ((WORDS, self.words), (DRIBBLE, self.dribble), (HALF, self.half), (RESET, self.reset),
                             (DEAF, self.deaf), (STREAM, self.stream)):
            self.begin(self.serve, self.listen(port, 128), handle)
        late = self.listen(LATE, 0)
        print("ready", flush=True)
        self.serve_late(late)


# ---- near ----

def connect(address, port):
    return socket.create_connection((address, port), PATIENCE)


def tell(address, word, case, number=1):
    with connect(address, WORDS) as connection:
        connection.sendall(f"{word} {case} {number}".encode())
        return connection.recv(100).decode()


def must(what, expected):
    if what != expected:
        sys.exit(f"{what!r}, not {expected!r}")


def moves(connection, event, seconds=PATIENCE):
    poll = select.poll()
    poll.register(connection, event)
    return bool(poll.poll(seconds * 1000))


def near_late(address):
    """Some wait to be accepted, at least one for its place in the backlog; all are served in the end."""
    connections, waiting = [], None
    while not waiting:
        if len(connections) == 8:
            sys.exit("the backlog is never full")
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        connections.append(connection)
        connection.setblocking(False)
        must(connection.connect_ex((address, LATE)), errno.EINPROGRESS)
        if moves(connection, select.POLLOUT, STILL):
            must(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
        else:
            waiting = connection
    must(tell(address, "go", "late", len(connections)), "gone")
    for i, connection in enumerate(connections):
        connection.settimeout(PATIENCE)
        must(moves(connection, select.POLLOUT), True)
        connection.sendall(b"number %d" % i)
        must(connection.recv(100), b"number %d" % i)
        must(connection.recv(100), b"")
        connection.close()
    print(len(connections), "connections, the last had to wait")


def near_dribble(address):
    import threading
    with connect(address, DRIBBLE) as connection:
        sending = threading.Thread(target=dribble, args=(connection,))
        sending.start()
        must(receive(connection), f"{DRIBBLED} good")
        sending.join()
    must(tell(address, "report", "dribble"), f"{DRIBBLED} good")


def near_half(address):
    with connect(address, HALF) as connection:
        must(receive(connection), f"{HALF_FIRST} good")
        send(connection, HALF_REST)
    must(tell(address, "report", "half"), f"{HALF_REST} good")


def near_reset(address):
    with connect(address, RESET) as connection:
        connection.sendall(b"r")
        reader = Reader()
        while reader.got < PIECE:
            reader.take(connection.recv(PIECE))
        must(tell(address, "go", "reset"), "gone")
        try:
            sys.exit(f"no reset while it receives: {connection.recv(1)}")
        except ConnectionResetError:
            must(str(reader), f"{PIECE} good")
    with connect(address, RESET) as connection:
        connection.sendall(b"s")
        try:
            send(connection, 1 << 30)
            sys.exit("no reset while it sends")
        except (ConnectionResetError, BrokenPipeError):
            pass
    connection = connect(address, RESET)
    connection.sendall(b"n")
    send(connection, PIECE)
    abort(connection)
    must(tell(address, "report", "reset"), "reset")


def near_deaf(address):
    size, sent, stalled = 48 << 20, 0, 0
    with connect(address, DEAF) as connection:
        connection.setblocking(False)
        while sent < size:
            if not moves(connection, select.POLLOUT, PATIENCE if stalled else STILL):
                must(stalled, 0)
                stalled = sent
                must(tell(address, "go", "deaf"), "gone")
                continue
            sent += connection.send(text(sent, size - sent))
    if not stalled:
        sys.exit("it never stalled")
    must(tell(address, "report", "deaf"), f"{size} good")
    print("stalled at", stalled)


def near_connect(address, port, expected, seconds):
    """Ends like that, an error's name or "ok" or "-": has not ended, within so many seconds."""
    begin, said = time.monotonic(), "ok"
    try:
        socket.create_connection((address, int(port)), float(seconds)).close()
    except TimeoutError as error:
        said = errno.errorcode[error.errno] if error.errno else "-"
    except OSError as error:
        said = errno.errorcode[error.errno]
    print(address, said, f"{time.monotonic() - begin:.3f} s")
    must(said in expected.split("|"), True)


def near_datagram(address, port, expected):
    """Is answered by that error; without RECVERR only a closed port would be told (udp(7))."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        if ":" in address:
            s.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        s.settimeout(PATIENCE)
        s.connect((address, int(port)))
        s.send(b"x")
        try:
            sys.exit(f"an answer: {s.recv(100)}")
        except OSError as error:
            print(address, error)
            must(errno.errorcode.get(error.errno, "-"), expected)


def near_text(size):
    """Writes so much of it."""
    sent = 0
    while sent < int(size):
        sent += sys.stdout.buffer.write(text(sent, int(size) - sent))
    sys.stdout.flush()
    sys.exit()


def near_transfer(address, size):
    """So much each way, or a little more, compared."""
    size, told = int(size), False
    with connect(address, STREAM) as connection:
        connection.sendall(b"u")
        send(connection, size)
        connection.shutdown(socket.SHUT_WR)
        must(connection.recv(100).decode(), f"{size} good")
    with connect(address, STREAM) as connection:
        connection.sendall(b"d")
        reader = Reader()
        while data := connection.recv(PIECE * 4):
            reader.take(data)
            if reader.got >= size and not told:
                told = True
                connection.sendall(b"e")
    must(told and reader.good, True)


class Progress:
    """Says "moves" after the first 16 MiB, "stalled", "moves again", and is over after another 16."""

    def __init__(self):
        self.at, self.stalled = 0, None
        self.said = False

    def is_over(self):
        return self.stalled is not None and self.at >= self.stalled + (16 << 20)

    def add(self, n):
        if self.at == self.stalled:
            print("moves again", flush=True)
        self.at += n
        if self.at >= 16 << 20 and not self.said:
            self.said = True
            print("moves", flush=True)

    def wait(self, connection, event):
        if moves(connection, event, STILL):
            return True
        if self.said and self.stalled is None:
            self.stalled = self.at
            print("stalled", flush=True)
        return moves(connection, event)


def near_stream_up(address):
    progress = Progress()
    with connect(address, STREAM) as connection:
        connection.sendall(b"u")
        connection.setblocking(False)
        while not progress.is_over() and progress.wait(connection, select.POLLOUT):
            progress.add(connection.send(text(progress.at, PIECE)))
        must(progress.is_over(), True)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(PATIENCE)
        must(connection.recv(100).decode(), f"{progress.at} good")


def near_stream_down(address):
    progress, reader, told = Progress(), Reader(), False
    with connect(address, STREAM) as connection:
        connection.sendall(b"d")
        while progress.wait(connection, select.POLLIN):
            data = connection.recv(PIECE * 4)
            if not data:
                break
            progress.add(len(data))
            reader.take(data)
            if progress.is_over() and not told:
                told = True
                connection.sendall(b"e")
    must(told, True)
    must(str(reader), f"{progress.at} good")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        Far().run()
    else:
        globals()["near_" + sys.argv[1].replace("-", "_")](*sys.argv[2:])
        print(sys.argv[1], "done", flush=True)
