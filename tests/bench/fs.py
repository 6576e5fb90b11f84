#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares capsa's virtio-fs with QEMU and virtiofsd, and with no machine at all, in alternating runs; prints medians.

  tests/bench/fs.py prepare                    makes the guests' initramfs (faster outside of an emulator)
  tests/bench/fs.py [-n RUNS] [--cache none|auto|always] [--dax SIZE] [--virtiofsd PATH] [--files N] [ROW...]

Needs root (it mounts an image, drops caches), a KVM that works, qemu-system-x86_64 and virtiofsd for the peer, and fio,
git, make, bash and tcc, which it takes along into the guests. Where KVM does not work:
  tests/bench/fs.py prepare; tests/lab/lab -t 3000 -- tests/bench/fs.py

Every side has a folder of its own on the same file system (ext4 in a loop image, or --on FOLDER), the same initramfs,
kernel, memory and vCPUs, and stays up for all rows. Before each run the host makes what the row needs, in a folder that
the guest has never seen, and drops its caches; then the guest drops its own. A time is the guest's own clock around the
command and the `sync` of the share behind it, plus what the host then needs to bring the rest to its disk; so data are on
the disk in the end, whoever sent them there. fio's rows end in an fsync. What was written is compared on the host.
`make` also runs on the guest's tmpfs: what counts is the time above that. Machine-less runs use the same programs in a chroot.

CPU: that of the VMM with its vCPUs and of virtiofsd (for `native` of the command), for a GiB where a row has bytes (without
fio's own start), else for a run; KVM's polling before a vCPU sleeps is in it. "server" is what of a run's was not spent by threads
that run the guest: what no time at all would take off a row. "busy" is what the guest itself counts of its
processors, fio's start included: a row where that is nearly all of the time is bound by the guest. The first run of each
side is not counted. Compare times only inside one run, above all those of the lab.
CAPSA_BUILD is the folder that capsa was built in (default: build/).
"""
import argparse
import base64
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from common import (BUILD, TICK, TOP, Guest, Shell, Wanted, descendants, environment, kernels, libraries, microvm, needs, table, take,
                    ticks)

KERNEL = kernels() / "cloud/vmlinuz"
MADE = BUILD / "tests/bench/fs"
INITRD = MADE / "initrd"
TREE = MADE / "tree.tar"
PROGRAMS = ("bash", "fio", "git", "make", "tar", "tcc")
VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")
PEER, NATIVE, CAPSA = "virtiofsd", "native", "capsa"
GOAL = 1.5

# What commands of all sides may use. `timed` prints the microseconds that its argument took.
PRELUDE = r'''
export PATH=/usr/bin:/bin HOME=/tmp GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' LC_ALL=C
timed() {
	local begin=${EPOCHREALTIME/./} status
	eval "$1" >/tmp/said 2>&1
	status=$?
	echo "took $((${EPOCHREALTIME/./} - begin))"
	[ $status = 0 ] || tail -n 5 /tmp/said
	return $status
}
forget() { echo 3 >/proc/sys/vm/drop_caches; }
'''

# The far end: does what it is told.
LOOP = r'''
echo guest is ready
while read -r line; do
	eval "$line" </dev/null
	echo "status $?"
done
'''
INIT = PRELUDE + r'''
stty -echo
mkdir -p /mnt /dax
mount -t tmpfs -o size=80% tmpfs /tmp
mount -t virtiofs share /mnt || echo "cannot mount the share"
grep -q ' capsa.dax' /proc/cmdline && { mount -t virtiofs -o dax=always dax /dax || echo "cannot mount with dax"; }
''' + LOOP
GUEST = base64.b64encode(b"exec /usr/bin/bash /usr/lib/fs-loop").decode()


# ---- what the guests bring along ----

def multiarch():
    return subprocess.check_output(["cc", "-print-multiarch"], text=True).strip()


def headers():
    """What tcc reads for the generated project: the headers, and what a program is linked with."""
    folder = f"/usr/lib/{multiarch()}"
    with tempfile.NamedTemporaryFile(suffix=".c", mode="w") as f:
        f.write(SOURCE_HEAD)
        f.flush()
        text = subprocess.check_output(["tcc", "-E", f.name], text=True)
    found = {m for m in re.findall(r'^# \d+ "(/[^"]+)"', text, re.M) if not m.startswith(tempfile.gettempdir())}
    found |= {f"{folder}/{name}" for name in ("crt1.o", "crti.o", "crtn.o", "libc.so", "libc_nonshared.a")}
    found |= {str(p) for p in pathlib.Path(f"{folder}/tcc").rglob("*") if p.is_file()}
    return sorted(found)


def prepare(files):
    """The initramfs and the source tree, anew where they are older than this file."""
    if all(p.exists() and p.stat().st_mtime > pathlib.Path(__file__).stat().st_mtime for p in (INITRD, TREE)):
        return
    MADE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="capsa-bench.") as work:
        root = pathlib.Path(work) / "root"
        for name in PROGRAMS:
            program = needs(name)
            take(root, program, f"/usr/bin/{name}")
            for library in libraries(program):
                take(root, library)
        for path in headers():
            take(root, path)
        for library in libraries(needs("tcc")): # where tcc looks for what it links with
            take(root, library, f"/usr/lib/{multiarch()}/{pathlib.Path(library).name}")
        (root / "usr/lib/fs-loop").write_text(INIT, encoding="ascii")
        make_tree(pathlib.Path(work), files)
        # In libc.so, which is a script for linkers, libc.so.6 stands with its path.
        libc = f"/lib/{multiarch()}/libc.so.6"
        subprocess.run([TOP / "packaging/mkinitramfs", "-k", KERNEL.parent, "-o", INITRD, "-z", "none",
                        "-m", "virtio_pci virtio_console virtiofs", "-M", "virtio-rng button evdev",
                        "-a", f"{root}/usr:/usr", "-a", f"{root}/lib64:/lib64", "-a", f"{libc}:{libc}",
                        "-a", f"{TREE}:/tree.tar"], check=True)


# ---- what the rows work on ----

SOURCE_HEAD = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
SOURCE_FILES = 40


def make_tree(work, files):
    """A source tree of about so many files: this project's own, some times."""
    tree = work / "tree"
    n = 0
    while n < files:
        part = tree / f"part{n}"
        part.mkdir(parents=True)
        if (TOP / ".git").exists():
            archive = subprocess.run(["git", "-C", TOP, "archive", "HEAD"], stdout=subprocess.PIPE, check=True).stdout
            subprocess.run(["tar", "x", "-C", part], input=archive, check=True)
        else:
            for name in ("agent", "core", "doc", "plugins", "tests"):
                shutil.copytree(TOP / name, part / name, symlinks=True)
        n = sum(p.is_file() for p in tree.rglob("*"))
    subprocess.run(["tar", "cf", TREE, "-C", tree, "."], check=True)


def make_project(folder):
    """Small C files, a header, and a Makefile: `make CC=tcc` builds ./sum, which prints the sum of what they return."""
    folder.mkdir()
    names = [f"part{i:02}" for i in range(SOURCE_FILES)]
    (folder / "parts.h").write_text("".join(f"int {name}(int x);\n" for name in names), encoding="ascii")
    for i, name in enumerate(names):
        body = "".join(f'int {name}_{j}(int x) {{ char b[64]; snprintf(b, sizeof b, "%d", x + {j}); return atoi(b) + '
                       f'(int)strlen(b) * {i}; }}\n' for j in range(20))
        (folder / f"{name}.c").write_text(f'{SOURCE_HEAD}#include "parts.h"\n{body}int {name}(int x) {{ return x + {i}; }}\n',
                                          encoding="ascii")
    calls = " + ".join(f"{name}(0)" for name in names)
    (folder / "main.c").write_text(f'{SOURCE_HEAD}#include "parts.h"\nint main(void) {{ printf("%d\\n", {calls}); return 0; }}\n',
                                   encoding="ascii")
    (folder / "Makefile").write_text("OBJECTS = main.o " + " ".join(f"{name}.o" for name in names) + """
sum: $(OBJECTS)
\t$(CC) -o $@ $(OBJECTS)
%.o: %.c parts.h
\t$(CC) -c -o $@ $<
""", encoding="ascii")


def make_data(path, mib):
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(os.urandom(1 << 20))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "md5").hexdigest()


def tree_digest(folder):
    """Names, modes, contents."""
    sums = hashlib.md5()
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        sums.update(f"{path.relative_to(folder)} {st.st_mode:o}\n".encode())
        if path.is_symlink():
            sums.update(os.readlink(path).encode())
        elif path.is_file():
            sums.update(digest(path).encode())
    return sums.hexdigest()


# ---- sides ----

class Side(Shell):
    """Where commands run, a shell that is spoken to. `folder` is the share on the host, `at` the same for commands."""
    at = "/mnt"

    def __init__(self, name, folder, command, env, helpers=()):
        super().__init__(name, Guest(command, env))
        self.folder, self.helpers = folder, helpers

    def timed(self, line):
        """(seconds that it took, by the clock in there; all that was said)"""
        said = self.run(f"timed '{line}' && cat /tmp/said")
        return int(re.search(r"took (\d+)", said)[1]) / 1e6, said

    def cpu(self):
        """Seconds so far: of the VMM and the file server."""
        return self.shell.cpu() + sum(ticks(f"/proc/{p.pid}/stat") for p in self.helpers) / TICK

    def server(self):
        """The same without what runs the guest: what serves its files."""
        return self.cpu() - self.shell.vcpus()

    def busy(self):
        """Seconds that its processors were busy so far, as the system there counts them."""
        user, nice, system, _, _, irq, softirq = map(int, self.run("head -n 1 /proc/stat").split()[1:8])
        return (user + nice + system + irq + softirq) / 100

    def end(self):
        self.shell.end()
        for p in self.helpers:
            p.kill()
            p.wait()


class Native(Side):
    """No machine: the guests' files in a chroot on this kernel."""

    def __init__(self, folder, work):
        self.root = work / "root"
        self.root.mkdir()
        with open(INITRD, "rb") as f:
            subprocess.run(["cpio", "-id", "--quiet"], stdin=f, cwd=self.root, check=True)
        for name in ("mnt", "tmp", "proc", "dev"):
            (self.root / name).mkdir(exist_ok=True)
        for what, name in ((["-t", "tmpfs", "tmpfs"], "tmp"), (["--bind", folder], "mnt"), (["--bind", "/proc"], "proc"),
                           (["--bind", "/dev"], "dev")):
            subprocess.run(["mount", *what, self.root / name], check=True)
        super().__init__(NATIVE, folder, ["chroot", self.root, "/usr/bin/bash", "-c", PRELUDE + LOOP], dict(os.environ))

    def cpu(self):
        total = 0
        for pid in descendants(self.shell.process.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError): # it has ended, and is its parent's from now on
                total += ticks(f"/proc/{pid}/stat", waited_for=True)
        return total / TICK

    def server(self):
        return 0.0

    def busy(self):
        return 0.0 # who else runs here is none of its business

    def end(self):
        super().end()
        for name in ("dev", "proc", "mnt", "tmp"):
            subprocess.run(["umount", self.root / name], check=False)


def capsa_side(options, folder, work):
    plugin = BUILD / "plugins/virtio-fs.so"
    if not plugin.exists() and "CAPSA_PLUGIN_PATH" not in os.environ:
        return None, f"{plugin} is missing: build capsa, or say with CAPSA_BUILD where it was built"
    share = f'plugin = "virtio-fs"; path = "{folder}"; cache = "{options.cache}"; owner = "host";'
    devices = [f'{{ {share} tag = "share"; {"writeback = true;" if options.writeback else ""} }}']
    if options.dax:
        devices.append(f'{{ {share} tag = "dax"; dax = "{options.dax}"; }}')
    conf = work / "capsa.conf"
    conf.write_text(f'''name = "fs-{os.getpid()}"; cpus = {options.cpus}; memory = "{options.memory}M";
boot = {{ kernel = "{KERNEL}"; initrd = "{INITRD}"; }};
devices = ( {{ plugin = "console"; backend = "stdio"; }}, {{ plugin = "rng"; }}, {", ".join(devices)} );
''', encoding="utf-8")
    words = f"quiet {'capsa.dax ' if options.dax else ''}capsa.run={GUEST}"
    return Side(CAPSA, folder, [BUILD / "capsa", "-q", "-c", conf, "--append", words], environment(work)), ""


def start_virtiofsd(options, folder, work):
    """The server, listening already: it inherits the socket. None: there is none."""
    program = options.virtiofsd or next((p for p in VIRTIOFSD if os.access(p, os.X_OK)), None)
    if not program or not os.access(program, os.X_OK):
        return None, None
    rust = "--shared-dir" in subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    path = work / "virtiofsd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        words = [program, f"--fd={listener.fileno()}", f"--thread-pool-size={options.threads}"]
        if rust:
            cache = "never" if options.cache == "none" else options.cache
            words += ["--shared-dir", folder, "--cache", cache, "--sandbox", "chroot", "--log-level", "error"]
            words += ["--xattr"]  # as capsa has it by default: a guest's kernel asks for them at each new file
            words += ["--writeback"] if options.writeback else []
        else:
            words += ["-o", f"source={folder}", "-o", f"cache={options.cache}", "-o", "sandbox=chroot", "-o", "log_level=err"]
            words += ["-o", "xattr"]
            words += ["-o", "writeback"] if options.writeback else []
        # The C one's seccomp filter does not know the call by which malloc() counts processors.
        server = subprocess.Popen(words, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
                                  env={**os.environ, "MALLOC_ARENA_MAX": "8"})
    print(f"{PEER}: {program}, in {'Rust' if rust else 'C'}, thread pool of {options.threads}")
    return server, path


def peer_side(options, folder, work):
    server, path = start_virtiofsd(options, folder, work)
    if not server:
        return None, ("there is no virtiofsd: apt-get install qemu-system-common (Debian 12) or virtiofsd (later), "
                      "or say --virtiofsd PATH")
    more = ["-object", f"memory-backend-memfd,id=ram,size={options.memory}M,share=on",
            "-chardev", f"socket,id=fs,path={path}", "-device", "vhost-user-fs-pci,chardev=fs,tag=share,queue-size=1024"]
    command = microvm(KERNEL, INITRD, f"quiet capsa.run={GUEST}", options.memory, options.cpus, ",memory-backend=ram", more)
    return Side(PEER, folder, command, environment(work), [server]), ""


# ---- rows ----

class Bench:
    """The sides, the file system that they work on, and what is measured."""

    def __init__(self, options, disk):
        self.options, self.disk = options, disk
        self.sides = []
        self.count = 0

    def fresh(self, side):
        """A folder that no guest has seen: (on the host, for commands)."""
        self.count += 1
        name = f"run{self.count}"
        (side.folder / name).mkdir()
        return side.folder / name, f"{side.at}/{name}"

    def drop_caches(self, side):
        self.flush()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
        if side.name != NATIVE:
            side.run("forget")

    def flush(self):
        """The seconds until everything is on the disk."""
        begin = time.monotonic()
        subprocess.run(["sync", "-f", self.disk], check=True)
        return time.monotonic() - begin


class Row:
    """One kind of run. make() prepares on the host, go() is measured: (value, CPU seconds), check() looks at the result."""
    at_least = False  # more is better
    unit = "s"
    gib = 0.0  # of data a run, for the CPU time

    def __init__(self, title):
        self.title = title

    def once(self, bench, side):
        """(value, CPU seconds, those of the server, seconds that the guest was busy)"""
        host, at = bench.fresh(side)
        self.make(bench, side, host)
        bench.drop_caches(side)
        busy, server = side.busy(), side.server()
        value, cpu = self.go(bench, side, at)
        server, busy = side.server() - server, side.busy() - busy
        self.check(bench, side, host, at)
        shutil.rmtree(host)
        return value, cpu, server, busy

    def make(self, bench, side, host):
        pass

    def go(self, bench, side, at):
        raise NotImplementedError

    def check(self, bench, side, host, at):
        pass


class Fio(Row):
    """MiB/s or 1000 operations a second, by fio's own clock; writes end in an fsync."""
    at_least = True

    def __init__(self, title, how, mib, block, engine="psync", operations=0):
        super().__init__(f"{title}, {mib} MiB" + (f", {operations} operations" if operations else ""))
        self.how, self.mib, self.block, self.engine, self.operations = how, mib, block, engine, operations
        self.writes = "write" in how
        self.unit = "op/s" if operations else "MiB/s"
        self.gib = (operations * 4 / 1024 if operations else mib) / 1024

    def make(self, bench, side, host):
        if not self.writes or self.operations:
            make_data(host / "data", self.mib)
            self.before = digest(host / "data")

    def command(self, at):
        # fio says itself when it begins and ends, so that its start is in no CPU time.
        words = f"fio --name=row --filename={at}/data --rw={self.how} --bs={self.block} --size={self.mib}M " \
                f"--ioengine={self.engine} --invalidate=0 --randrepeat=0 --refill_buffers --minimal " \
                "--exec_prerun='echo row-begins >&3; true' --exec_postrun='echo row-ends >&3; true'"
        if self.operations:
            words += f" --io_size={4 * self.operations}k --norandommap"
        return words + (" --end_fsync=1" if self.writes else "") + " 3>&1"

    def go(self, bench, side, at):
        side.shell.tell(f"cd /tmp && {self.command(at)}")
        side.shell.hear(b"row-begins")
        before = side.cpu()
        side.shell.hear(b"row-ends")
        used = side.cpu() - before
        return self.value(side, side.finish()), used

    def value(self, side, said):
        line = next((w for w in said.replace("\r", "").split("\n") if w.startswith("3;fio-")), None)
        if not line:
            sys.exit(f"{side.name}: not what fio should print:\n{said}")
        at = 46 if self.writes else 5  # "terse" version 3: KiB, KiB/s, operations/s, ms
        kib, ms = int(line.split(";")[at]), int(line.split(";")[at + 3])
        return kib * 1000 / max(ms, 1) / (4 if self.operations else 1024)

    def check(self, bench, side, host, at):
        there = side.run(f"md5sum <{at}/data").split()[0]
        here = digest(host / "data")
        if here != there or (not self.writes and here != self.before):
            sys.exit(f"{side.name}: {self.title}: the file differs: {here} on the host, {there} for the reader")
        if self.writes and self.operations and here == self.before:
            sys.exit(f"{side.name}: {self.title}: nothing was written")


class Tool(Row):
    """Seconds of a command, with the sync of the share."""

    def __init__(self, title, line, writes):
        super().__init__(title)
        self.line, self.writes = line, writes

    def go(self, bench, side, at):
        line = f"cd {at} && {self.line}" + (f" && cd / && sync -f {at}" if self.writes else "")
        before = side.cpu()
        seconds, self.said = side.timed(line)
        return seconds + (bench.flush() if self.writes else 0), side.cpu() - before


def unpack(host):
    (host / "tree").mkdir()
    subprocess.run(["tar", "xf", TREE, "-C", host / "tree"], check=True)


class Untar(Tool):
    def __init__(self):
        super().__init__("tar x of a source tree", "mkdir tree && tar xf /tree.tar -C tree", True)
        self.right = None

    def check(self, bench, side, host, at):
        if self.right is None:
            unpack(bench.disk)
            self.right = tree_digest(bench.disk / "tree")
            shutil.rmtree(bench.disk / "tree")
        if tree_digest(host / "tree") != self.right:
            sys.exit(f"{side.name}: what was unpacked differs")


class Find(Tool):
    def __init__(self):
        super().__init__("find over it, with attributes", "find tree -type f -size +0 | wc -l", False)

    def make(self, bench, side, host):
        unpack(host)
        self.right = sum(p.is_file() and not p.is_symlink() and p.stat().st_size > 0 for p in (host / "tree").rglob("*"))

    def check(self, bench, side, host, at):
        if str(self.right) not in self.said.split():
            sys.exit(f"{side.name}: find: not {self.right} files:\n{self.said}")


class GitStatus(Tool):
    def __init__(self):
        super().__init__("git status", "git -C tree status --porcelain", False)

    def make(self, bench, side, host):
        unpack(host)
        env = {"PATH": os.environ["PATH"], "HOME": str(host), "GIT_CONFIG_NOSYSTEM": "1"}
        git = ["git", "-C", host / "tree", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "gc.auto=0"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            subprocess.run([*git, *words], check=True, env=env)
        # The index is as this side sees the files, so that none is read for its number or time.
        side.run(f"git -C {side.at}/{host.name}/tree status --porcelain")
        (host / "tree/new").write_text("x", encoding="ascii")

    def check(self, bench, side, host, at):
        if "?? new" not in self.said or self.said.count("??") != 1:
            sys.exit(f"{side.name}: git status: not what it should say:\n{self.said}")


class Remove(Tool):
    def __init__(self):
        super().__init__("rm -rf of it", "rm -rf tree", True)

    def make(self, bench, side, host):
        unpack(host)

    def check(self, bench, side, host, at):
        if (host / "tree").exists():
            sys.exit(f"{side.name}: rm -rf: it is still there")


class Make(Tool):
    """The time above that of the same build on the side's own tmpfs."""

    def __init__(self):
        super().__init__(f"make -j2 of {SOURCE_FILES} C files, the time above tmpfs", "make -C project -s -j2 CC=tcc", True)
        self.below = {}

    def make(self, bench, side, host):
        make_project(host / "project")

    def once(self, bench, side):
        value, cpu, server, busy = super().once(bench, side)
        host, at = bench.fresh(side)
        self.make(bench, side, host)
        side.run(f"rm -rf /tmp/project && cp -r {at}/project /tmp/project")
        bench.drop_caches(side)
        seconds, _ = side.timed("make -C /tmp/project -s -j2 CC=tcc")
        side.run("rm -rf /tmp/project")
        shutil.rmtree(host)
        self.below.setdefault(side.name, []).append(seconds)
        return value - seconds, cpu, server, busy

    def check(self, bench, side, host, at):
        right = sum(range(SOURCE_FILES))
        said = subprocess.run([host / "project/sum"], capture_output=True, text=True, check=False).stdout.strip()
        if said != str(right):
            sys.exit(f"{side.name}: make: the program says {said!r} instead of {right}")


def rows(options):
    mib, small, n = options.mib, max(options.mib // 2, 8), options.operations
    return {
        "write": Fio("sequential write, 1 MiB", "write", mib, "1M"),
        "read": Fio("sequential read, 1 MiB", "read", mib, "1M"),
        "randread": Fio("random read, 4 KiB", "randread", small, "4k", operations=n),
        "randwrite": Fio("random write, 4 KiB", "randwrite", small, "4k", operations=n),
        "mmapread": Fio("random read, 4 KiB, mmap", "randread", small, "4k", "mmap", n),
        "mmapwrite": Fio("random write, 4 KiB, mmap", "randwrite", small, "4k", "mmap", n),
        "tar": Untar(),
        "find": Find(),
        "git": GitStatus(),
        "make": Make(),
        "rm": Remove(),
    }


def measure(bench, row):
    """All sides in turn, the first round not counted."""
    values, cpu, server, busy = ({side.name: [] for side in bench.sides} for _ in range(4))
    for run in range(bench.options.runs + 1):
        for side in bench.sides:
            value, used, served, worked = row.once(bench, side)
            if run:
                values[side.name].append(value)
                cpu[side.name].append(used / (row.gib or 1))
                server[side.name].append(served)
                busy[side.name].append(worked)
    per = "GiB" if row.gib else "run"
    notes = {name: f"CPU {statistics.median(v):.2f} s/{per}"
             + (f", server {statistics.median(server[name]):.2f} s, guest busy {statistics.median(busy[name]):.2f} s" if name != NATIVE else "")
             for name, v in cpu.items() if v}
    for name, seconds in getattr(row, "below", {}).items():
        notes[name] += f", on tmpfs {statistics.median(seconds[1:]):.2f} s"
    wanted = Wanted(GOAL if row.at_least else 1 / GOAL, row.at_least, [CAPSA])
    table(row.title, values, row.unit, PEER, wanted=wanted, notes=notes)


def bench_dax(bench):
    """Mapped reads of capsa's window, a second time, against those of the guest's tmpfs. Not the peer's: it has none."""
    side = next((s for s in bench.sides if s.name == CAPSA), None)
    if not side or not bench.options.dax:
        return
    row = Fio("mapped reads with DAX, the second time", "randread", max(bench.options.mib // 2, 8), "4k", "mmap",
              40 * bench.options.operations)
    values = {"capsa, DAX": [], "guest tmpfs": []}
    for run in range(bench.options.runs + 1):
        host, at = bench.fresh(side)
        row.make(bench, side, host)
        bench.drop_caches(side)
        window = at.replace(side.at, "/dax", 1)
        side.run(f"cp {window}/data /tmp/data")
        for name, folder in (("capsa, DAX", window), ("guest tmpfs", "/tmp")):
            row.go(bench, side, folder)
            value, _ = row.go(bench, side, folder)
            if run:
                values[name].append(value)
        row.check(bench, side, host, window)
        side.run("rm /tmp/data")
        shutil.rmtree(host)
    table(row.title, values, row.unit, "guest tmpfs", wanted=Wanted(0.8, True))


@contextlib.contextmanager
def disk(options, work):
    """A file system that is not a tmpfs: the folder named, or ext4 in a loop image."""
    folder = work / "disk"
    if options.on:
        with tempfile.TemporaryDirectory(prefix="capsa-bench.", dir=options.on) as name:
            yield pathlib.Path(name)
        return
    folder.mkdir()
    image = work / "disk.img"
    with open(image, "wb") as f:
        f.truncate(2 << 30)
    subprocess.run(["modprobe", "-q", "loop"], check=False)
    subprocess.run([needs("mkfs.ext4"), "-q", "-F", "-E", "lazy_itable_init=1", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=False)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", dest="runs", type=int, default=3)
    parser.add_argument("--cache", choices=("none", "auto", "always"), default="auto", help="of both servers (default: auto)")
    parser.add_argument("--writeback", action="store_true", help="of both servers")
    parser.add_argument("--dax", metavar="SIZE", help="a window as well, for capsa's rows with DAX: 64M")
    parser.add_argument("--virtiofsd", metavar="PATH", help="the peer, in C or in Rust (default: where distributions put it)")
    parser.add_argument("--threads", type=int, default=0, help="virtiofsd's thread pool (default: 0, as both have it)")
    parser.add_argument("--cpus", type=int, default=2, help="of each machine")
    parser.add_argument("--memory", type=int, default=1024, help="of each machine, MiB")
    parser.add_argument("--mib", type=int, default=32, help="of the big file; the one for random accesses has half of that")
    parser.add_argument("--operations", type=int, default=1500, help="of each random row")
    parser.add_argument("--files", type=int, default=800, help="of the source tree, at least")
    parser.add_argument("--on", metavar="FOLDER", help="a folder on a disk, instead of an image")
    parser.add_argument("--without", action="append", choices=(CAPSA, PEER, NATIVE), default=[], help="leaves a side out")
    parser.add_argument("what", nargs="*", help="prepare, or rows: " + " ".join(rows(argparse.Namespace(mib=1, operations=1))))
    return parser.parse_args()


def main():
    options = parse_options()
    if options.what == ["prepare"]:
        prepare(options.files)
        return
    table_of_rows = rows(options)
    for name in options.what:
        if name not in table_of_rows and name != "dax":
            sys.exit(f"{name}: no such row: {' '.join(table_of_rows)} dax")
    if os.geteuid() != 0:
        sys.exit("this bench drops caches and mounts file systems: run it as root")
    prepare(options.files)
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="capsa-bench.")))
        bench = Bench(options, stack.enter_context(disk(options, work)))
        print(f"Linux {KERNEL.resolve().parent.name}, {options.cpus} CPUs, {options.memory} MiB, cache={options.cache}"
              f"{', writeback' if options.writeback else ''}, {options.runs} alternating runs after one to warm up", flush=True)
        for name, begin in ((CAPSA, capsa_side), (PEER, peer_side), (NATIVE, lambda o, f, w: (Native(f, w), ""))):
            if name in options.without:
                continue
            folder, private = bench.disk / name, work / name
            folder.mkdir()
            private.mkdir()
            side, why = begin(options, folder, private)
            if side:
                stack.callback(side.end)
                bench.sides.append(side)
            else:
                print(f"{name}: left out: {why}")
        for name in options.what or table_of_rows:
            if name != "dax":
                measure(bench, table_of_rows[name])
        if not options.what or "dax" in options.what:
            bench_dax(bench)


main()
