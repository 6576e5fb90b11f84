# SPDX-License-Identifier: MIT
"""common.py - what the benches share: where things are, machines that are spoken to on their console, turns, tables.

The programs beside this import it; it does nothing by itself. Times are seconds.
"""
import base64
import contextlib
import os
import pathlib
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CAPSA_BUILD", TOP / "build"))
TICK = os.sysconf("SC_CLK_TCK")
CMDLINE = "console=hvc0 reboot=t panic=-1"
LIMIT = int(os.environ.get("CAPSA_BENCH_LIMIT", "300"))  # s: a machine that is silent for longer has failed


def kernels():
    """The folder of the kernels that kernel-fetch brought."""
    return pathlib.Path(subprocess.check_output([TOP / "packaging/kernel-fetch", "-p"], text=True).strip())


def environment(work):
    """For capsa: the plugins that were built here, and nothing of this bench left behind outside of `work`."""
    env = dict(os.environ)
    env.setdefault("CAPSA_PLUGIN_PATH", f"{BUILD}/plugins")
    env.setdefault("CAPSA_CACHE", str(work / "cache"))
    env["XDG_RUNTIME_DIR"] = str(work)
    work.chmod(0o700)
    return env


def microvm(kernel, initrd, words, memory, cpus=1, machine="", more=()):
    """QEMU's command for the machine that is nearest to capsa's, its console on stdio; memory in MiB."""
    return ["qemu-system-x86_64", "-M", f"microvm,pcie=on,pit=off,pic=off,isa-serial=off,rtc=off{machine}", "-enable-kvm",
            "-cpu", "host", "-smp", str(cpus), "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-name", "bench,debug-threads=on", "-kernel", str(kernel), "-initrd", str(initrd), "-append", f"{CMDLINE} {words}",
            "-chardev", "stdio,id=c,signal=off", "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=c",
            "-object", "rng-random,id=r,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=r", *more]


def needs(program):
    found = shutil.which(program)
    if not found:
        sys.exit(f"{program} is missing (apt-get install {program})")
    return pathlib.Path(found)


def libraries(program):
    """[path as the loader asks for it]; nothing for a static one."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(?:=> )?(/\S+) \(0x", text)


def take(root, path, at=None):
    """A copy of a file of the host, at its own place or at another one. Merged /usr: one of them for all."""
    at = str(at or path)
    for short in ("/lib/", "/bin/", "/sbin/"):
        if at.startswith(short):
            at = "/usr" + at
    to = root / at.lstrip("/")
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(path), to)


def has_xattrs(folder):
    try:
        os.setxattr(folder, "user.capsa", b"1")
        return True
    except OSError:
        return False


@contextlib.contextmanager
def root_folder(work):
    """A root file system as a directory: busybox, and whom root is. On a file system with user xattrs, if that can be."""
    disk = work / "disk"
    disk.mkdir()
    mounted = False
    if not has_xattrs(disk) and os.geteuid() == 0 and shutil.which("mkfs.ext4"):
        image = work / "disk.img"
        with open(image, "wb") as f:
            f.truncate(2 << 30)
        subprocess.run(["modprobe", "-q", "loop"], check=False)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True)
        mounted = True
    try:
        root = disk / "root"
        for folder in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"):
            (root / folder).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or sys.exit("busybox is missing: install busybox-static"), root / "bin")
        for applet in subprocess.check_output([root / "bin/busybox", "--list"], text=True).split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="ascii")
        (root / "etc/group").write_text("root:x:0:\n", encoding="ascii")
        yield root
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=False)


def ticks(path, waited_for=False):
    """CPU time in a /proc/.../stat; with that of the children that have been waited for."""
    fields = pathlib.Path(path).read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15 if waited_for else 13]))


def descendants(pid):
    """The process and all that it has started, as far as they live."""
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError): # it, or a thread of it, has ended meanwhile
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += descendants(int(child))
    return found


class Guest:
    """A machine whose init does what it is told on its console, a line at a time, after it said "guest is ready"."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        self.output = b""
        try:
            self.hear(rb"guest is ready")
        except BaseException:
            self.end()
            raise

    def hear(self, pattern):
        """Waits for the pattern and forgets the output up to its end; the match."""
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.output)):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                sys.exit(f"no {pattern!r} from {self.process.args[0]}:\n{self.output.decode(errors='replace')}")
            self.output += data
        self.output = self.output[found.end():]
        return found

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def cpu(self):
        return ticks(f"/proc/{self.process.pid}/stat") / TICK

    def vcpus(self):
        """CPU time of the threads that run the guest."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text(encoding="ascii", errors="replace").startswith(("vcpu", "CPU ")):
                total += ticks(task / "stat")
        return total / TICK

    def end(self):
        self.process.kill()
        self.process.wait()


class Shell:
    """A side that is a shell: says "status N" behind each line that it was told."""

    def __init__(self, name, shell):
        self.name, self.shell = name, shell

    def finish(self):
        """What was printed from what was heard last to the end of the command; the bench ends if that failed."""
        found = self.shell.hear(rb"(?s)(.*?)status (\d+)\r?\n")
        said = found[1].decode(errors="replace")
        if found[2] != b"0":
            sys.exit(f"{self.name}: failed with status {int(found[2])}:\n{said}")
        return said

    def run(self, line):
        """All that the shell line printed."""
        self.shell.tell(line)
        return self.finish()


LOOP_INIT = r'''
export PATH=/usr/bin:/bin HOME=/tmp LC_ALL=C
stty -echo
ip link set lo up
echo guest is ready
while read -r line; do
	eval "$line" </dev/null
	echo "status $?"
done
'''
LOOP = "capsa.run=" + base64.b64encode(b"exec /usr/bin/bash /usr/lib/bench-loop").decode()  # on the kernel's command line


def loop_initrd(initrd, kernel, programs, since):
    """An initramfs for a Shell on LOOP, with a card and {name: path of a program}; anew where it is older than the file `since`."""
    newest = max(pathlib.Path(path).stat().st_mtime for path in (since, __file__))
    if initrd.exists() and initrd.stat().st_mtime > newest:
        return
    initrd.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="capsa-bench.") as work:
        root = pathlib.Path(work) / "root"
        for name, program in programs.items():
            take(root, program, f"/usr/bin/{name}")
            for library in libraries(program):
                take(root, library)
        (root / "usr/lib/bench-loop").write_text(LOOP_INIT, encoding="ascii")
        subprocess.run([TOP / "packaging/mkinitramfs", "-k", kernel.parent, "-o", initrd, "-z", "none",
                        "-m", "virtio_pci virtio_console virtio_net", "-M", "virtio-rng button evdev",
                        "-a", f"{root}/usr:/usr", "-a", f"{root}/lib64:/lib64"], check=True)


def found(name, pattern, said):
    """What the last match of the pattern has in its parentheses; the side of this name has lost where there is none."""
    match = re.findall(pattern, said)
    if not match:
        sys.exit(f"{name}: not what was expected:\n{said}")
    return match[-1]


def iperf_said(name, said, streams):
    """(Mbit/s, GiB) that arrived, as `iperf3 -f k` says."""
    sum_of = r"\[SUM\]" if streams > 1 else r"\[ *\d+\]"
    number, scale, kbits = found(name, sum_of + r" .*?sec +([\d.]+) ([KMG]?)Bytes +([\d.]+) Kbits/sec +receiver", said)
    gib = float(number) / {"": 1 << 30, "K": 1 << 20, "M": 1 << 10, "G": 1}[scale]
    return float(kbits) / 1000, max(gib, 1e-3)


LOST = (SystemExit, BrokenPipeError, subprocess.TimeoutExpired)


class Player:
    """A side that takes part, and how to begin it again: an emulated host loses a guest now and then.

    `begin(folder)` is (side, ""), or (None, why it cannot be)."""

    def __init__(self, name, begin, work):
        self.name, self.begin, self.work, self.lives, self.side = name, begin, work, 0, None
        try:
            self.why = self.start()
        except LOST:
            self.why = self.start()

    def start(self):
        self.lives += 1
        folder = self.work / f"{self.name}-{self.lives}"
        folder.mkdir(parents=True)
        self.side, why = self.begin(folder)
        return why

    def end(self):
        if self.side:
            self.side.end()
        self.side = None

    def turn(self, row):
        """(value, CPU), or None where two machines were lost on it."""
        for _ in range(2):
            try:
                if not self.side:
                    self.start()
                return row.once(self.side)
            except LOST as e:
                print(f"  {self.name}, {row.title}: not counted, another machine takes over: {' '.join(str(e).split())[:300]}", flush=True)
                self.end()
        return None


def players(sides, without, begin, work, stack, title):
    """A Player for each of `sides` that can be, ended by `stack`; says which cannot. `begin(name, folder)` as above."""
    take_part = []
    for name in sides:
        if name in without:
            continue
        player = Player(name, lambda folder, name=name: begin(name, folder), work)
        if player.side:
            stack.callback(player.end)
            take_part.append(player)
        else:
            print(f"{title}: {name}: left out: {player.why}")
    return take_part


def turns(taking_part, row, runs):
    """({name: [value, ...]}, {name: [CPU, ...]}) of row.once(), each in turn, after one that is not counted."""
    values, cpu = {p.name: [] for p in taking_part}, {p.name: [] for p in taking_part}
    for run in range(runs + 1):
        for player in taking_part:
            result = player.turn(row)
            if run and result:
                values[player.name].append(result[0])
                cpu[player.name].append(result[1])
    return values, cpu


def alternate(sides, runs, measure):
    """{name: [value, ...]}: each side in turn, `runs` times; one run each before, to warm caches."""
    for side in sides.values():
        measure(side)
    values = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            values[name].append(measure(side))
    return values


class Wanted:
    """What the ratio of one side's median to the baseline's is to be; `names`: of these sides (default: all others)."""

    def __init__(self, number, at_least=False, names=None):
        self.number, self.at_least, self.names = number, at_least, names

    def text(self, name, ratio):
        if self.names and name not in self.names:
            return ""
        met = ratio >= self.number if self.at_least else ratio <= self.number
        return f"  (wanted: at {'least' if self.at_least else 'most'} {self.number:.2f}: {'yes' if met else 'NO'})"


def table(title, values, unit, baseline, scale=1.0, wanted=None, notes=None):
    """Median, least and most of {name: [value, ...]}, and the ratio of each median to that of `baseline`, if it is there.

    Values are multiplied by `scale` to be in `unit`; `notes` is {name: text at the end of its line}."""
    values = {name: v for name, v in values.items() if v}
    if not values:
        return
    base = statistics.median(values[baseline]) if baseline in values else None
    print(f"\n{title}")
    print(f"  {'':34} {'median':>10} {'min':>10} {'max':>10} {unit:6} runs" + (f"  ratio to {baseline}" if base else ""))
    for name, v in values.items():
        m = statistics.median(v)
        line = f"  {name:34} {m * scale:10.2f} {min(v) * scale:10.2f} {max(v) * scale:10.2f} {'':6} {len(v):4}"
        if base:
            line += f"  {m / base:6.3f}"
        if base and wanted and name != baseline:
            line += wanted.text(name, m / base)
        if notes and name in notes:
            line += f"  {notes[name]}"
        print(line)
    sys.stdout.flush()
