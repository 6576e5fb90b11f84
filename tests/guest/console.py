# SPDX-License-Identifier: MIT
"""console.py - the other end of a guest's console, for console.sh: terminals, and readers that take their time.

    console.py CHECK ARGUMENT...     runs one of the functions at the end; status 0 if it went well

Waits for what is said, never for time to pass; where a reader is slow, being slow is the point.
"""

import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

CAPSA = os.environ["CAPSA"]
LIMIT = float(os.environ.get("LIMIT", "120")) / 3  # so that it tells what it waited for before it is ended


class Screen:
    """What comes from a descriptor, as it comes."""

    def __init__(self, fd):
        self.fd = fd
        self.text = b""

    def more(self, limit=LIMIT):
        ready, _, _ = select.select([self.fd], [], [], limit)
        assert ready, f"nothing more came than {self.text[-800:]!r}"
        piece = os.read(self.fd, 65536)
        self.text += piece
        return piece

    def see(self, pattern):
        """Waits for it; what is behind it is for the next."""
        while not (found := re.search(pattern, self.text)):
            assert self.more(), f"ended with {self.text[-800:]!r}"
        self.text = self.text[found.end() :]
        return found

    def type(self, text):
        while text:
            text = text[os.write(self.fd, text) :]


class Terminal(Screen):
    """A command on a terminal of its own, as a terminal emulator would start it."""

    def __init__(self, argv, cols=80, rows=24, **streams):
        master, self.slave = pty.openpty()
        super().__init__(master)
        self.resize(cols, rows)
        self.before = termios.tcgetattr(self.slave)

        def own_it():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        streams = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, **streams}
        self.process = subprocess.Popen(argv, preexec_fn=own_it, **streams)

    def resize(self, cols, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def end(self):
        """The status of the command, which has restored the terminal."""
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end; the screen shows {self.text[-800:]!r}"
            if select.select([self.fd], [], [], 0.05)[0]:
                self.more()
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        return self.process.returncode


def size_is(screen, cols, rows):
    """The guest has heard of the size, sooner or later: it takes it in a work queue of its own."""
    screen.type(b'while [ "$(stty size)" != "%d %d" ]; do usleep 20000; done; echo size is $((%d)) $((%d))\r' % (rows, cols, cols, rows))
    screen.see(b"\nsize is %d %d\r" % (cols, rows))


def resident(pid):
    """KiB of memory that is not the guest's: of mappings that are smaller than any guest's."""
    kib = size = 0
    for line in open(f"/proc/{pid}/smaps"):
        if line.startswith("Size:"):
            size = int(line.split()[1])
        elif re.match(r"Private_(Clean|Dirty):", line) and size < 8192:
            kib += int(line.split()[1])
    return kib


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


# ---- the checks ----


def attach(name):
    """`capsa console NAME` on a terminal: keys, sizes, leaving, and a second look."""
    t = Terminal([CAPSA, "console", name], cols=90, rows=33)
    t.type(b"")
    t.see(b"\\^\\] leaves")
    t.type(b"\r")
    t.see(b"# ")
    assert t.is_raw()
    size_is(t, 90, 33)
    t.resize(132, 43)
    size_is(t, 132, 43)
    # ^C is the guest's affair, as every other key.
    t.type(b"sh -c 'echo be''gun; exec sleep 1000'\r")
    t.see(b"\nbegun\r")
    t.type(b"\x03")
    t.see(b"# ")
    second = subprocess.run([CAPSA, "console", name], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    assert second.returncode == 1 and "the console is in use" in second.stderr, second
    t.type(b"echo $((6*7))\r")
    t.see(b"\n42\r")
    t.type(b"\x1d")
    assert t.end() == 0, t.process.returncode
    t = Terminal([CAPSA, "console", name])
    t.see(b"leaves")
    t.type(b"echo $((7*7))\r")
    t.see(b"\n49\r")
    t.process.send_signal(signal.SIGTERM)
    assert t.end() == -signal.SIGTERM, t.process.returncode


def attended_end(name):
    """Who looks on is told of the machine's end."""
    t = Terminal([CAPSA, "console", name])
    t.see(b"leaves")
    t.type(b"poweroff -f\r")
    t.see(b"the machine has ended")
    assert t.end() == 0, t.process.returncode


def pull(path, pid, md5):
    """The guest sends blocks of a MiB; the reader is slow in places, and stops for a while."""
    s = connect(path)
    before = resident(pid)

    def blocks(n, pauses=()):
        """Reads n of them; returns the seconds, and capsa's memory while nobody read."""
        screen = Screen(s.fileno())
        screen.type(b"stty raw -echo; echo go; i=0; while [ $i -lt %d ]; do cat /blob; i=$((i+1)); done; stty sane; echo; echo done\r" % n)
        screen.see(rb"go\n")
        begin, slept, peak = time.monotonic(), 0.0, 0
        block = screen.text
        for i in range(n):
            if i in pauses:
                # The guest fills what there is between it and us, and stops.
                time.sleep(0.5)
                slept += 0.5
                peak = max(peak, resident(pid))
            parts = [block]
            left = (1 << 20) - len(block)
            while left > 0:
                part = s.recv(min(left, 65536 if i % 2 else 3000))
                assert part, "the machine has ended"
                parts.append(part)
                left -= len(part)
            block = b"".join(parts)
            assert hashlib.md5(block[: 1 << 20]).hexdigest() == md5, f"block {i} of {n} is another than was sent"
            block = block[1 << 20 :]
        seconds = time.monotonic() - begin - slept
        screen.text = block
        screen.see(rb"done\r\n.*# ")
        return seconds, peak

    seconds, _ = blocks(2)
    n = as_many_as_fit(seconds / 2, 25)
    seconds, peak = blocks(n, pauses=(1, n // 2, n - 1))
    print(f"{n} MiB in {seconds:.1f} s; private memory {before} KiB, while nobody read {peak} KiB")
    assert peak - before < 1024, "capsa stores what it cannot write"


def push(path):
    """The host sends; the guest says what it got."""
    s = connect(path)
    block = os.urandom(1 << 20)
    # On its console Linux takes ^O for the SysRq key, and two of them for one ^O.
    typed = block.replace(b"\x0f", b"\x0f\x0f")

    def blocks(n):
        screen = Screen(s.fileno())
        screen.type(b"stty raw -echo; echo go; head -c %d | md5sum; stty sane; echo; echo done\r" % (n << 20))
        screen.see(rb"go\n")
        total = hashlib.md5()
        begin = time.monotonic()
        for _ in range(n):
            total.update(block)
            s.sendall(typed)
        found = screen.see(rb"([0-9a-f]{32})")[1].decode()
        assert found == total.hexdigest(), (found, total.hexdigest())
        screen.see(rb"done\r\n.*# ")
        return time.monotonic() - begin

    n = as_many_as_fit(blocks(1), 12)
    print(f"{n} MiB in {blocks(n):.1f} s")


def as_many_as_fit(seconds, into):
    """Up to 64 blocks that take so long each; an emulator on a busy machine may be slow."""
    return 64 if os.environ.get("LONG") else max(4, min(64, int(into / seconds)))


def machine(conf, *options, **more):
    """A machine on a terminal of its own, up to its shell."""
    t = Terminal([CAPSA, "-c", conf, "--append", "quiet", *options], **more)
    t.see(b"Welcome to capsa")
    t.see(b"# ")
    return t


def stdio_serves(conf):
    """A terminal is the guest's, and its own again at the guest's power-off."""
    t = machine(conf, cols=100, rows=40)
    assert t.is_raw()
    size_is(t, 100, 40)
    t.resize(133, 44)
    size_is(t, 133, 44)
    t.type(b"sh -c 'echo be''gun; exec sleep 1000'\r")
    t.see(b"\nbegun\r")
    t.type(b"\x03")  # the guest's, not ours
    t.type(b"echo $((6*7))\r")
    t.see(b"\n42\r")
    t.type(b"\x1d?")
    t.see(b"after \\^\\]: q powers the machine off")
    t.type(b"poweroff -f\r")
    assert t.end() == 0, t.process.returncode


def stdio_escapes(conf):
    """^] q asks for power off."""
    t = machine(conf)
    t.type(b"\x1dq")
    assert t.end() == 0, t.process.returncode


def stdio_signalled(conf):
    """Each signal that asks for the end, and a second one of another kind: the terminal is restored."""
    for first, second in ((signal.SIGINT, signal.SIGHUP), (signal.SIGTERM, signal.SIGINT)):
        t = Terminal([CAPSA, "-c", conf])
        t.see(b"Welcome to capsa")
        assert t.is_raw()
        t.process.send_signal(first)
        t.see(b"asking the guest to power off")
        t.process.send_signal(second)
        assert t.end() == 0, t.process.returncode


def pty_serves(conf, link):
    """Who opens the pseudo-terminal finds the guest there, and may come again."""
    capsa = subprocess.Popen([CAPSA, "-c", conf, "--append", "quiet"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    news = Screen(capsa.stderr.fileno())
    slave = news.see(rb"the console is (/dev/pts/[0-9]+)")[1].decode()
    assert os.path.realpath(link) == slave, os.readlink(link)
    t = Screen(os.open(link, os.O_RDWR | os.O_NOCTTY))
    t.see(b"Welcome to capsa")
    t.see(b"# ")
    fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 101, 0, 0))
    size_is(t, 101, 41)
    t.type(b"echo la''ter; sleep 1; echo while nobody looked\r")
    t.see(b"\nlater\r")
    os.close(t.fd)
    t = Screen(os.open(link, os.O_RDWR | os.O_NOCTTY))
    t.see(b"while nobody looked\r")
    # Every byte is the guest's, control characters too.
    t.type(b"stty raw -echo; echo go; head -c 6 | hexdump -C; stty sane\r")
    t.see(b"go\n")
    t.type(b"\x03\x11\x13\x1a\x7f\xff")
    t.see(b"03 11 13 1a 7f ff")
    t.see(b"# ")
    t.type(b"poweroff -f\r")
    assert capsa.wait(LIMIT) == 0, capsa.returncode
    assert not os.path.lexists(link), "the link is still there"


def main():
    try:
        globals()[sys.argv[1]](*(int(a) if a.isdigit() else a for a in sys.argv[2:]))
    except AssertionError as failure:
        sys.exit(f"{sys.argv[1]}: {failure}")


main()
