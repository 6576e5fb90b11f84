# SPDX-License-Identifier: MIT
"""init.py - init and agent in a real guest, by init.sh. Speaks TAP."""

import lzma
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback

here = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(here, "..", "unit"))
sys.dont_write_bytecode = True
import agent_client as A
from agent_client import s, u16, u32, u64

WORK, CAPSA, BUILD, KERNEL = (os.environ[name] for name in ("WORK", "CAPSA", "BUILD", "KERNEL"))
A.LIMIT = int(os.environ["LIMIT"])
PORT = 52


class Image:
    """An initramfs: newc records, put together here, because a hundred processes take long in the lab."""

    def __init__(self):
        self.raw = bytearray()
        self.names = set()

    def add(self, name, mode, data=b""):
        folder = os.path.dirname(name)
        if folder and folder not in self.names:
            self.add(folder, 0o40755)
        if name in self.names:
            return
        self.names.add(name)
        numbers = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        self.raw += b"070701" + b"".join(b"%08x" % n for n in numbers) + name.encode() + b"\0"
        self.raw += bytes(-len(self.raw) % 4) + data
        self.raw += bytes(-len(self.raw) % 4)

    def modules(self, key, *names):
        """A line of /lib/capsa/modules, and the files."""
        line = key
        version = os.listdir(KERNEL + "/lib/modules")[0]
        for name in names:
            shown = subprocess.run(["modprobe", "-C", "/dev/null", "-d", KERNEL, "-S", version, "--show-depends", name],
                                   check=True, capture_output=True, text=True).stdout
            for path in (words[1] for words in map(str.split, shown.splitlines()) if words[0] == "insmod"):
                with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
                    inside = "lib/modules/" + os.path.basename(path).split(".")[0] + ".ko"
                    self.add(inside, 0o100644, f.read())
                line += " /" + inside
        return line + "\n"

    def write(self, path):
        with open(os.path.join(BUILD, "agent", "capsa-agent"), "rb") as f:
            self.add("init", 0o100755, f.read())
        busybox = os.environ.get("BUSYBOX") or shutil.which("busybox")
        with open(busybox, "rb") as f:
            self.add("bin/busybox", 0o100755, f.read())
        for applet in subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split():
            self.add("bin/" + applet, 0o120777, b"busybox")
        self.add("etc/passwd", 0o100644, b"root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/home:/bin/sh\n")
        self.add("lib/capsa/modules", 0o100644, (
            "# as `capsa image build` writes it\n"
            + self.modules("virtio:3", "virtio_console")
            + "virtio:63 /lib/modules/none.ko\n"
            + self.modules("acpi:button", "button", "evdev")
            + self.modules("always", "virtio_pci")
            + self.modules("virtio:19", "vmw_vsock_virtio_transport")
            + self.modules("later:virtio:4", "virtio-rng")
            + self.modules("fs:overlay", "overlay")
            + "pci:ffff:ffff /lib/modules/none.ko\nunknown:key /lib/modules/none.ko\n").encode())
        self.add("TRAILER!!!", 0)
        with open(path, "wb") as f:
            f.write(self.raw)


class Link(A.Client):
    """A connection to the agent, from either side: sock is connected."""

    def __init__(self, sock):
        self.socket = sock
        self.raw, self.channels, self.number, self.agent = bytearray(), {}, 0, None
        self.send(0, A.HELLO, A.hello())
        self.wait(lambda: self.agent)


class Machine:
    def __init__(self, name):
        self.path = os.path.join(WORK, name)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("%s.vsock_%d" % (self.path, PORT))
        self.listener.listen(8)
        self.listener.settimeout(A.LIMIT)
        with open(self.path + ".conf", "w") as f:
            f.write('name = "%s"; cpus = 2; memory = "256M"; vsock = { socket = "%s.vsock"; };\n' % (name, self.path))
            f.write('boot = { initrd = "%s/initrd"; cmdline = [ "quiet", "capsa.hostname=box" ]; };\n' % WORK)
            f.write('devices = ( { plugin = "console"; backend = "file"; path = "%s.console"; }, { plugin = "rng"; } );\n' % self.path)
        with open(self.path + ".messages", "wb") as f:
            self.process = subprocess.Popen([CAPSA, "-c", self.path + ".conf"], stdin=subprocess.DEVNULL, stderr=f)
        self.link = self.accept()

    def accept(self):
        """The agent's own connection: it is ready."""
        sock, _ = self.listener.accept()
        return Link(sock)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(A.LIMIT)
        sock.connect(self.path + ".vsock")
        sock.sendall(b"CONNECT %d\n" % PORT)
        answer = b""
        while not answer.endswith(b"\n"):
            byte = sock.recv(1)
            assert byte, "refused"
            answer += byte
        assert answer.startswith(b"OK ")
        return Link(sock)

    def said(self, name):
        with open(self.path + "." + name, errors="replace") as f:
            return f.read()

    def console(self):
        return self.said("console")

    def messages(self):
        return self.said("messages")

    def end(self):
        return self.process.wait(A.LIMIT)

    def sh(self, script, **how):
        return self.link.run(["sh", "-c", script], **how)


def the_guest_is_ready_with_all_that_init_mounts(m):
    began, mounted, served, now = m.link.agent[3]
    print("# init began %.1f ms after the kernel's clock, mounted and loaded after %.1f ms, served after %.1f ms, connected after %.1f ms"
          % tuple(t / 1e6 for t in (began, mounted - began, served - began, now - began)))
    r = m.sh("for d in /dev /proc /sys /dev/pts /dev/shm /run /tmp; do grep -q \" $d \" /proc/mounts || echo missing $d; done; "
             "hostname; cat /sys/class/net/lo/operstate; ls -d /dev/hvc0; until [ -e /dev/hwrng ]; do :; done; id -u; ls -ld /tmp /dev/shm | cut -c1-10; ping -c1 -w1 127.0.0.1 >/dev/null && echo lo")
    assert r.exit == (A.EXITED, 0, 0), (r.exit, r.out, r.err)
    assert r.out.split() == b"box unknown /dev/hvc0 0 drwxrwxrwt drwxrwxrwt lo".split(), r.out


def modules_of_devices_that_are_not_there_are_not_loaded(m):
    loaded = {line.split()[0] for line in m.link.run(["lsmod"]).out.splitlines()}
    assert {b"vmw_vsock_virtio_transport", b"virtio_console", b"virtio_pci"} <= loaded and b"overlay" not in loaded
    assert "none.ko" not in m.console() and "no_such" not in m.console(), m.console()


def a_file_system_is_mounted_with_its_module_and_options(m):
    m.sh("mkdir -p /lower /over; echo low >/lower/f; mount -t tmpfs none /over; mkdir /over/u /over/w")
    r = m.link.ask(A.MOUNT, s("overlay") + s("/a/b/merged") + s("overlay") + s("nosuid,lowerdir=/lower,upperdir=/over/u,workdir=/over/w"))
    assert r.result[0] == 0, r.result
    r = m.sh("cat /a/b/merged/f; echo new >/a/b/merged/f; cat /lower/f /over/u/f; grep merged /proc/mounts")
    assert r.out.startswith(b"low\nlow\nnew\n") and b"nosuid" in r.out, r.out
    r = m.link.ask(A.MOUNT, s("/lower") + s("/bound") + s("") + s("bind,ro"))
    assert r.result[0] == 0, r.result
    assert m.sh("cat /bound/f && ! touch /bound/g").exit[1] == 0
    r = m.link.ask(A.MOUNT, s("none") + s("/x") + s("nosuchfs") + s(""))
    assert r.result[0] == 19 and "nosuchfs" in r.result[2]


def the_clock_is_set(m):
    assert m.link.ask(A.CLOCK, u64(1700000000 * 10**9 + 5)).result[0] == 0
    assert m.sh("date +%s").out[:8] == b"17000000"


def commands_run_as_users_on_terminals_and_have_no_privilege_of_the_agents(m):
    r = m.link.run(["sh", "-c", "id -u; cat /proc/self/oom_score_adj; tty; stty size"], user="guest", flags=A.TTY, rows=20, columns=70)
    assert r.out.split() == b"1000 0 /dev/pts/0 20 70".split(), r.out
    assert m.sh("cat /proc/1/oom_score_adj; cat /proc/$PPID/oom_score_adj; ulimit -n").out.split() == b"0 -1000 1024".split()


def orphans_are_reaped_by_init(m):
    r = m.sh("(sleep 0.01 & sleep 0.01 &) ; exit 0")
    assert r.exit[1] == 0
    m.sh("while ps -o stat,comm | grep -q '^[RSZD].*sleep'; do :; done")


def no_space_is_an_error_and_no_memory_is_told(m):
    assert m.link.ask(A.MOUNT, s("tmpfs") + s("/small") + s("tmpfs") + s("size=64k")).result[0] == 0
    r = m.link.open(A.WRITE, s("/small/file") + u32(0o644) + u32(0)).feed(b"x" * 100000).done()
    assert r.result[0] == 28 and "No space left" in r.result[2]
    r = m.link.run(["sh", "-c", "x=y; while :; do x=$x$x; done"])
    assert r.exit == (A.SIGNALLED, 9, 1), (r.exit, r.err)
    assert m.link.run(["true"]).exit == (A.EXITED, 0, 0)


def many_clients_and_commands_at_once(m):
    clients = [m.connect() for _ in range(20)]
    runs = [k.open(A.EXEC, A.execute(["cat"])) for k in clients for _ in range(5)]
    for i, r in enumerate(runs):
        r.feed(b"%d\n" % i * 1000)
    for i, r in enumerate(runs):
        assert r.done().out == b"%d\n" % i * 1000
    for k in clients:
        k.close()
    began = time.monotonic()
    r = m.link.run(["head", "-c", "8388608", "/dev/zero"])
    assert len(r.out) == 8 << 20
    took = [time.monotonic() - began]
    for _ in range(21):
        began = time.monotonic()
        assert m.link.run(["/bin/true"]).exit == (A.EXITED, 0, 0)
        took.append(time.monotonic() - began)
    print("# 8 MiB from a command in %.0f ms; /bin/true and back in %.1f ms (median)" % (took[0] * 1e3, sorted(took[1:])[10] * 1e3))


def an_agent_that_was_killed_ends_its_commands_and_comes_back(m):
    r = m.link.open(A.EXEC, A.execute(["sh", "-c", "sleep 1000 & kill -9 $PPID; sleep 1000"]))
    try:
        r.done()
        raise AssertionError("still connected")
    except A.Gone:
        pass
    m.link = m.accept()
    assert m.link.run(["pidof", "sleep"]).exit == (A.EXITED, 1, 0)
    assert "agent was killed by signal 9" in m.console()


def another_root_is_that_of_all_commands_and_of_the_next_agent(m):
    m.sh("mkdir /upper; mount -t tmpfs none /upper; mkdir /upper/u /upper/w; echo old >/only-below")
    r = m.link.ask(A.MOUNT, s("overlay") + s("/") + s("overlay") + s("lowerdir=/,upperdir=/upper/u,workdir=/upper/w"))
    assert r.result[0] == 0, r.result
    for _ in range(2):
        r = m.sh("grep -q '^overlay / overlay ' /proc/mounts && cat /only-below && touch /written && ls /dev/null /dev/pts/ptmx /sys/kernel /tmp >/dev/null"
                 " && unshare -U true && echo fine")
        assert r.out == b"old\nfine\n", (r.out, r.err, m.console())
        assert m.link.ask(A.STAT, s("/written") + u32(0)).result[0] == 0
        r = m.link.open(A.EXEC, A.execute(["sh", "-c", "kill -9 $PPID"]))
        try:
            r.done()
        except A.Gone:
            pass
        m.link = m.accept()


def what_runs_is_told_before_the_machine_powers_off(m):
    k = m.connect()
    r = k.open(A.EXEC, A.execute(["sh", "-c", "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.01; done"]))
    r.wait(lambda r: b"up" in r.out)
    done = m.link.ask(A.SHUTDOWN, u32(0) + u32(60000))
    assert done.result[0] == 0
    began = time.monotonic()
    r.done()
    assert r.exit == (A.EXITED, 3, 0) and b"told" in r.out
    assert m.end() == 0
    print("# powered off %.2f s after the word" % (time.monotonic() - began))


def the_power_button_powers_off(m):
    assert m.sh("until ls -l /proc/1/fd | grep -q /dev/input/event; do :; done").exit[1] == 0
    m.process.send_signal(signal.SIGTERM)
    assert m.end() == 0
    assert "did not power off" not in m.messages()


FIRST = [the_guest_is_ready_with_all_that_init_mounts, modules_of_devices_that_are_not_there_are_not_loaded,
         a_file_system_is_mounted_with_its_module_and_options, the_clock_is_set,
         commands_run_as_users_on_terminals_and_have_no_privilege_of_the_agents, orphans_are_reaped_by_init,
         no_space_is_an_error_and_no_memory_is_told, many_clients_and_commands_at_once,
         an_agent_that_was_killed_ends_its_commands_and_comes_back, another_root_is_that_of_all_commands_and_of_the_next_agent, what_runs_is_told_before_the_machine_powers_off]


def attempt(test, machine):
    name = test.__name__.replace("_", " ")
    try:
        test(machine)
        print("ok - " + name, flush=True)
        return True
    except Exception:
        print("not ok - " + name, flush=True)
        for line in (traceback.format_exc() + machine.messages() + machine.console()).splitlines()[-40:]:
            print("  | " + line, flush=True)
        return False


def main():
    Image().write(os.path.join(WORK, "initrd"))
    machine = Machine("agent")
    passed = [attempt(test, machine) for test in FIRST]
    if machine.process.poll() is None:
        machine.process.kill()
    machine = Machine("button")
    passed.append(attempt(the_power_button_powers_off, machine))
    if machine.process.poll() is None:
        machine.process.kill()
    return 0 if all(passed) else 1


sys.exit(main())
