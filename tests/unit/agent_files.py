# SPDX-License-Identifier: MIT
"""agent_files.py - files, folders, trees, and what concerns the machine. See agent.py."""

import errno
import os
import stat
import time

import agent_client as A
from agent_case import ROOT, WORK, error_of, get, here, put, test
from agent_client import s, u16, u32, u64


@test
def a_file_is_read_whole_or_in_part(agent, c):
    data = os.urandom(1000003)
    path = put("read-me", data)
    for offset, length in ((0, 0), (0, 10), (10, 20), (1000000, 0), (1000000, 100), (2000000, 0), (0, 2000000)):
        r = c.ask(A.READ, s(path) + u64(offset) + u64(length))
        assert error_of(r) == 0 and r.out == data[offset : offset + length if length else None]
        assert A.OUTPUT in r.ended


@test
def what_cannot_be_read_is_said(agent, c):
    for path, want in ((here("nothing"), errno.ENOENT), (WORK, errno.EISDIR), ("", errno.ENOENT), ("/etc/passwd/x", errno.ENOTDIR)):
        r = c.ask(A.READ, s(path) + u64(0) + u64(0))
        assert error_of(r) == want and path in r.result[2], (path, r.result)
    assert error_of(c.ask(A.READ, s("/etc/passwd") + u64(1 << 63) + u64(0))) == errno.EINVAL


@test
def a_fifo_is_read_when_there_is_something_and_can_be_given_up(agent, c):
    os.mkfifo(here("fifo"))
    writer = os.open(here("fifo"), os.O_RDWR)
    r = c.open(A.READ, s(here("fifo")) + u64(0) + u64(0))
    assert c.run(["true"]).exit[1] == 0
    os.write(writer, b"late")
    r.wait(lambda r: r.out == b"late")
    r.send(A.CANCEL)
    assert error_of(r.done()) == errno.ECANCELED
    r = c.open(A.READ, s("/dev/zero") + u64(0) + u64(0), greedy=False)
    r.wait(lambda r: len(r.out) == A.WINDOW)
    r.send(A.CLOSE, b"", A.OUTPUT)
    assert error_of(r.done()) == 0
    os.close(writer)


@test
def a_file_is_written_with_its_mode_and_replaces_what_was_there(agent, c):
    data = os.urandom(700001)
    r = c.open(A.WRITE, s(here("w1")) + u32(0o751) + u32(0)).feed(data).done()
    assert error_of(r) == 0 and get("w1") == data and stat.S_IMODE(os.stat(here("w1")).st_mode) == 0o751
    r = c.open(A.WRITE, s(here("w1")) + u32(0o644) + u32(0)).feed(b"short").done()
    assert get("w1") == b"short"
    c.open(A.WRITE, s(here("w1")) + u32(0o644) + u32(A.APPEND)).feed(b"er").done()
    assert get("w1") == b"shorter"
    r = c.open(A.WRITE, s(here("w1")) + u32(0o644) + u32(A.EXCLUSIVE)).feed(b"x").done()
    assert error_of(r) == errno.EEXIST and get("w1") == b"shorter"
    r = c.open(A.WRITE, s(here("new/er/w2")) + u32(0o644) + u32(A.PARENTS)).feed(b"x").done()
    assert error_of(r) == 0 and get("new/er/w2") == b"x"
    r = c.open(A.WRITE, s(here("none/w2")) + u32(0o644) + u32(0)).feed(b"x").done()
    assert error_of(r) == errno.ENOENT and "none/w2" in r.result[2]
    assert error_of(c.ask(A.WRITE, s(here("w3")) + u32(0) + u32(1 << 10))) == errno.EINVAL


@test
def no_space_is_said_and_the_rest_of_the_data_dropped(agent, c):
    r = c.open(A.WRITE, s("/dev/full") + u32(0o644) + u32(0))
    r.feed(b"x" * 600000).done()
    assert r.result[0] == errno.ENOSPC and "/dev/full" in r.result[2] and "No space left" in r.result[2]
    assert c.run(["true"]).exit[1] == 0


@test
def a_folder_is_listed_with_all_that_stat_says(agent, c):
    os.mkdir(here("l"))
    put("l/file", b"12345", 0o640)
    os.symlink("file", here("l/link"))
    os.mkdir(here("l/folder"))
    r = c.ask(A.LIST, s(here("l")))
    assert error_of(r) == 0
    t, found = A.Take(r.out), {}
    while t.at < len(t.raw):
        record = t.record()
        found[record["name"]] = record
    assert set(found) == {"file", "link", "folder"}
    st = os.stat(here("l/file"))
    f = found["file"]
    assert (f["mode"], f["size"], f["inode"], f["mtime"]) == (st.st_mode, 5, st.st_ino, int(st.st_mtime))
    assert f["mtime_ns"] == st.st_mtime_ns % 1000000000 and (f["uid"], f["gid"]) == (st.st_uid, st.st_gid)
    assert found["link"]["target"] == "file" and stat.S_ISLNK(found["link"]["mode"])
    assert stat.S_ISDIR(found["folder"]["mode"])
    assert error_of(c.ask(A.LIST, s(here("nothing")))) == errno.ENOENT
    assert error_of(c.ask(A.LIST, s(here("l/file")))) == errno.ENOTDIR


@test
def a_big_folder_is_listed_in_whole_records_within_the_credit(agent, c):
    os.mkdir(here("big"))
    names = {"%0200d" % i for i in range(1200)}
    for n in names:
        open(here("big/" + n), "w").close()
    r = c.channels[77] = A.Channel(c, 77, greedy=False)
    frames = []
    on = r.on

    def record(kind, stream, payload):
        if kind == A.DATA:
            frames.append(payload)
        on(kind, stream, payload)

    r.on = record
    r.send(A.LIST, s(here("big")))
    r.wait(lambda r: len(r.out) > A.WINDOW - 8192)
    assert len(r.out) <= A.WINDOW
    r.send(A.WINDOW_ADD, u32(1 << 24), A.OUTPUT)
    r.done()
    found = set()
    for f in frames:
        t = A.Take(f)
        while t.at < len(f):
            found.add(t.record()["name"])
    assert found == names and error_of(r) == 0


@test
def stat_follows_a_link_only_where_told(agent, c):
    put("target", b"123")
    os.symlink("target", here("a-link"))
    st = c.ask(A.STAT, s(here("a-link")) + u32(0)).rest().record()
    assert stat.S_ISLNK(st["mode"]) and st["target"] == "target" and st["name"] == "a-link"
    st = c.ask(A.STAT, s(here("a-link")) + u32(1)).rest().record()
    assert stat.S_ISREG(st["mode"]) and st["size"] == 3 and st["target"] == ""
    assert c.ask(A.STAT, s("/")  + u32(0)).rest().record()["name"] == "/"
    assert c.ask(A.STAT, s("/usr//")  + u32(0)).rest().record()["name"] == "usr"
    assert c.ask(A.STAT, s("/dev/null") + u32(0)).rest().record()["device"] == os.stat("/dev/null").st_rdev
    r = c.ask(A.STAT, s(here("nothing")) + u32(0))
    assert error_of(r) == errno.ENOENT and here("nothing") in r.result[2]


@test
def a_folder_is_made_with_its_mode_and_its_parents_where_told(agent, c):
    assert error_of(c.ask(A.MKDIR, s(here("m1")) + u32(0o1777) + u32(0))) == 0
    assert stat.S_IMODE(os.stat(here("m1")).st_mode) == 0o1777
    assert error_of(c.ask(A.MKDIR, s(here("m1")) + u32(0o755) + u32(0))) == errno.EEXIST
    assert error_of(c.ask(A.MKDIR, s(here("m2/a")) + u32(0o755) + u32(0))) == errno.ENOENT
    assert error_of(c.ask(A.MKDIR, s(here("m2//a/b/")) + u32(0o700) + u32(1))) == 0
    assert stat.S_IMODE(os.stat(here("m2/a/b")).st_mode) == 0o700 and stat.S_IMODE(os.stat(here("m2")).st_mode) == 0o755
    assert error_of(c.ask(A.MKDIR, s(here("m2/a/b")) + u32(0o700) + u32(1))) == 0
    put("m3")
    assert error_of(c.ask(A.MKDIR, s(here("m3")) + u32(0o700) + u32(1))) == errno.ENOTDIR
    assert error_of(c.ask(A.MKDIR, s(here("m3/x")) + u32(0o700) + u32(1))) == errno.ENOTDIR


@test
def files_links_and_empty_folders_are_removed_and_nothing_behind_a_link(agent, c):
    put("r-target")
    os.mkdir(here("r-folder"))
    put("r-folder/inside")
    os.symlink(here("r-folder"), here("r-link"))
    os.mkdir(here("r-empty"))
    assert error_of(c.ask(A.REMOVE, s(here("r-link")) + u32(0))) == 0
    assert error_of(c.ask(A.REMOVE, s(here("r-target")) + u32(0))) == 0
    assert error_of(c.ask(A.REMOVE, s(here("r-empty")) + u32(0))) == 0
    assert error_of(c.ask(A.REMOVE, s(here("r-folder")) + u32(0))) == errno.ENOTEMPTY
    assert error_of(c.ask(A.REMOVE, s(here("r-none")) + u32(0))) == errno.ENOENT
    assert error_of(c.ask(A.REMOVE, s(here("r-none")) + u32(1))) == errno.ENOENT
    assert os.path.exists(here("r-folder/inside")) and not os.path.lexists(here("r-link"))


@test
def a_whole_tree_is_removed_but_nothing_behind_its_links(agent, c):
    os.mkdir(here("keep"))
    put("keep/me")
    os.makedirs(here("t/" + "/".join(["d"] * 40)))
    for i in range(1000):
        put("t/f%d" % i)
    os.symlink(here("keep"), here("t/link"))
    os.symlink(here("keep"), here("t/d/d/link"))
    os.mkfifo(here("t/fifo"))
    assert error_of(c.ask(A.REMOVE, s(here("t/d/..")) + u32(1))) == errno.EINVAL
    assert error_of(c.ask(A.REMOVE, s("/") + u32(1))) == errno.EBUSY
    assert error_of(c.ask(A.REMOVE, s(here("t") + "/") + u32(1))) == 0
    assert not os.path.exists(here("t")) and os.path.exists(here("keep/me"))
    os.symlink(here("keep"), here("just-a-link"))
    assert error_of(c.ask(A.REMOVE, s(here("just-a-link")) + u32(1))) == 0
    assert os.path.exists(here("keep/me"))


@test
def a_tree_travels_there_and_back(agent, c):
    os.makedirs(here("src/sub"))
    put("src/sub/file", b"data" * 100000, 0o600)
    os.symlink("sub/file", here("src/link"))
    with open(here("src/sparse"), "wb") as f:
        f.truncate(1 << 30)
        f.seek(1 << 29)
        f.write(b"middle")
    os.mkdir(here("dst"))
    r = c.ask(A.TREE_READ, s(here("src")))
    assert error_of(r) == 0 and len(r.out) < 1 << 20
    w = c.open(A.TREE_WRITE, s(here("dst")) + s("copy")).feed(r.out).done()
    assert error_of(w) == 0, w.result
    assert get("dst/copy/sub/file") == b"data" * 100000 and os.readlink(here("dst/copy/link")) == "sub/file"
    assert os.stat(here("dst/copy/sparse")).st_blocks < 10000 and os.stat(here("dst/copy/sparse")).st_size == 1 << 30
    # Through a command's worth of bad input, each an end of its own.
    w = c.open(A.TREE_WRITE, s(here("dst")) + s("half")).feed(r.out[:1000]).done()
    assert error_of(w) == errno.EPIPE
    w = c.open(A.TREE_WRITE, s(here("dst")) + s("junk")).feed(b"junk" * 1000).done()
    assert error_of(w) != 0
    assert error_of(c.ask(A.TREE_READ, s(here("nothing")))) == errno.ENOENT
    assert error_of(c.ask(A.TREE_WRITE, s(here("nothing")) + s(""))) == errno.ENOENT


# ---- the machine ----


@test
def info_says_what_the_machine_is(agent, c):
    r = c.ask(A.INFO)
    pairs = [os.fsdecode(w) for w in r.rest().list()]
    keys = pairs[0::2]
    info = dict(zip(keys, pairs[1::2]))
    u = os.uname()
    assert info["kernel"] == u.release and info["hostname"] == u.nodename
    assert int(info["cpus"]) == len(os.sched_getaffinity(0))
    assert 0 < int(info["memory_available"]) < int(info["memory_total"])
    assert float(info["uptime"]) > 0 and abs(float(info["time"]) - time.time()) < 60
    assert info["agent"].startswith("capsa-agent ") and "mount" in keys


@test
def what_needs_an_init_is_refused_without_one(agent, c):
    assert error_of(c.ask(A.SHUTDOWN, u32(0) + u32(0))) == errno.EPERM
    assert error_of(c.ask(A.SHUTDOWN, u32(9) + u32(0))) == errno.EINVAL


@test
def a_file_system_that_cannot_be_mounted_is_said(agent, c):
    r = c.ask(A.MOUNT, s("none") + s(here("mnt")) + s("nosuchfs") + s("ro,data=x"))
    assert error_of(r) in (errno.ENODEV, errno.EPERM), r.result
    if ROOT and error_of(r) == errno.ENODEV:
        assert "nosuchfs" in r.result[2]
