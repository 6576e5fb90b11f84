# SPDX-License-Identifier: MIT
"""agent_mounts.py - AGENT_MOUNT where mounts are allowed: an agent with a root and a mount namespace of its own.

The root is a tmpfs with this host's programs in it, and /dev, /proc, /sys, /run and /tmp, as a guest's. See agent.py.
"""

import errno
import os
import subprocess
import tempfile

import agent_client as A
from agent_case import PROGRAM, ROOT, WORK, Skip, error_of, here, test
from agent_client import s, u32

ONCE, OVERLAY = 1, 2

# $1: the root, a folder; $2: the folder of the socket, /socket inside; $3: the agent.
PREPARE = """
set -e
mount -t tmpfs none "$1"
cd "$1"
mkdir -p dev proc sys run tmp lower/etc lower/opt lower/sub again socket
for d in /bin /sbin /lib* /usr; do
    [ -L "$d" ] && cp -P "$d" . && continue
    mkdir ".$d" && mount --rbind "$d" ".$d"
done
for d in bin sbin lib lib64 usr; do [ ! -e "$d" ] || ln -s "/.old/$d" "lower/$d"; done
mount --rbind /proc proc
mount --rbind /dev dev
for d in sys run tmp; do mount -t tmpfs "own-$d" "$d"; done
mount --bind "$2" socket
cp "$3" agent
echo below >lower/etc/file
echo below >lower/opt/file
ln -s /sub lower/tmp
"""


class Box(A.Agent):
    def __init__(self):
        folder, root = tempfile.mkdtemp(dir=WORK), tempfile.mkdtemp(dir=WORK)
        program = here("boxed-agent")
        with open(program, "w") as f:
            f.write("#!/bin/sh\nexec unshare -m sh -c '%s\nexec chroot . /agent --socket /socket/agent.sock' sh %s %s %s\n"
                    % (PREPARE, root, folder, PROGRAM))
        os.chmod(program, 0o755)
        super().__init__(program, folder)


def boxed(f):
    def run(agent, c):
        if not ROOT or subprocess.call(["unshare", "-m", "true"], stderr=subprocess.DEVNULL):
            raise Skip("it takes a user who may mount")
        box = Box()
        try:
            k = box.client()
            f(k)
            k.close()
        finally:
            assert box.stop() == 0

    run.__name__ = f.__name__
    return test(run)


def mount(c, source, target, kind="", options="bind", flags=None, fallback=None):
    payload = s(source) + s(target) + s(kind) + s(options)
    if flags is not None:
        payload += u32(flags)
    if fallback is not None:
        payload += s(fallback)
    return c.ask(A.MOUNT, payload)


def done(r):
    assert error_of(r) == 0, r.result
    return r.rest().number("I")


def names(c, path):
    r = c.ask(A.LIST, s(path))
    assert error_of(r) == 0, r.result
    t, found = A.Take(r.out), set()
    while t.at < len(t.raw):
        found.add(t.record()["name"])
    return found


def read(c, path):
    r = c.ask(A.READ, s(path) + A.u64(0) + A.u64(0))
    return r.out if error_of(r) == 0 else error_of(r)


def write(c, path, data):
    return error_of(c.open(A.WRITE, s(path) + u32(0o644) + u32(0)).feed(data).done())


def mounts(c):
    r = c.ask(A.INFO)
    words = r.rest().list()
    return [line.split()[:3] for key, line in zip(words[::2], words[1::2]) if key == b"mount"]


@boxed
def what_is_mounted_once_is_not_mounted_twice(c):
    assert done(mount(c, "one", "/new/er", "tmpfs", "size=64k", ONCE)) == 0
    assert write(c, "/new/er/file", b"1") == 0
    before = mounts(c)
    assert done(mount(c, "one", "/new/er", "tmpfs", "size=64k", ONCE)) == 0
    assert mounts(c) == before and read(c, "/new/er/file") == b"1"
    # Another source is another matter, and so is a client that did not say so.
    assert done(mount(c, "two", "/new/er", "tmpfs", "", ONCE)) == 0
    assert names(c, "/new/er") == set()
    assert done(mount(c, "two", "/new/er", "tmpfs", "")) == 0
    assert len(mounts(c)) == len(before) + 2


@boxed
def names_with_blanks_are_known_again(c):
    for _ in range(2):
        assert done(mount(c, "a b", "/c d\\e", "tmpfs", "", ONCE)) == 0
    assert [m[0] for m in mounts(c)].count(b"a\\040b") == 1


@boxed
def options_that_are_not_taken_have_a_second_try(c):
    assert error_of(mount(c, "one", "/mnt/a", "tmpfs", "nosuchoption", 0)) == errno.EINVAL
    assert error_of(mount(c, "one", "/mnt/a", "tmpfs", "nosuchoption", 0, "nosuchone")) == errno.EINVAL
    assert done(mount(c, "one", "/mnt/a", "tmpfs", "nosuchoption", 0, "size=64k")) == 1
    assert done(mount(c, "one", "/mnt/b", "tmpfs", "size=64k", 0, "nosuchoption")) == 0
    r = mount(c, "one", "/proc/nowhere", "tmpfs", "", 0, "ro")
    assert error_of(r) == errno.ENOENT and r.result[2].startswith("/proc/nowhere: "), r.result
    r = mount(c, "one", "/mnt/c", "nosuchfs", "", 0, "ro")
    assert error_of(r) == errno.ENODEV and "nosuchfs" in r.result[2]


@boxed
def changes_of_an_overlay_stay_above_it(c):
    assert done(mount(c, "/lower", "/again", flags=OVERLAY)) == 0
    assert read(c, "/again/etc/file") == b"below\n"
    assert write(c, "/again/etc/file", b"above") == 0 and write(c, "/again/new", b"above") == 0
    assert read(c, "/again/etc/file") == b"above"
    assert read(c, "/lower/etc/file") == b"below\n" and "new" not in names(c, "/lower")
    # A folder of the lower one has another name from now on.
    assert c.run(["mv", "/again/opt", "/again/moved"]).exit[:2] == (0, 0)
    assert read(c, "/again/moved/file") == b"below\n" and "opt" in names(c, "/lower")
    # Nothing but the overlay is to be seen.
    assert [m[1:] for m in mounts(c) if b"capsa" in m[1]] == []
    assert not any(n.startswith(".capsa") for n in names(c, "/"))
    before = mounts(c)
    assert done(mount(c, "/lower", "/again", flags=OVERLAY | ONCE)) == 0
    assert mounts(c) == before


@boxed
def an_overlay_that_fails_leaves_nothing(c):
    r = mount(c, "/nowhere", "/again", flags=OVERLAY)
    assert error_of(r) == errno.ENOENT and "/nowhere" in r.result[2]
    r = mount(c, "x", "/again", "nosuchfs", "", OVERLAY)
    assert error_of(r) == errno.ENODEV and "nosuchfs" in r.result[2]
    assert not any(n.startswith(".capsa") for n in names(c, "/"))


@boxed
def an_overlay_becomes_the_root(c):
    r = mount(c, "/lower", "/", flags=OVERLAY | ONCE)
    assert error_of(r) == 0, r.result
    # The folders that every machine has are there: made, or through the tree's own links, which lead nowhere else.
    assert {"dev", "proc", "sys", "run", "tmp", "etc", "sub"} <= names(c, "/")
    where = {m[1]: m[0] for m in mounts(c)}
    assert where[b"/"] == b"/lower" and where[b"/sys"] == b"own-sys" and where[b"/run"] == b"own-run"
    assert where[b"/sub"] == b"own-tmp"
    assert read(c, "/etc/file") == b"below\n" and write(c, "/etc/file", b"above") == 0
    assert not any(b"capsa" in m[1] for m in mounts(c))
    # Shares come on top, and on folders that are made in it.
    assert done(mount(c, "share", "/home/of/it", "tmpfs", "", ONCE)) == 0
    before = mounts(c)
    assert done(mount(c, "/lower", "/", flags=OVERLAY | ONCE)) == 0 and mounts(c) == before
