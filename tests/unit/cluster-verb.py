# SPDX-License-Identifier: MIT
"""cluster-verb.py - `capsa cluster ls` and `show` without a switch.

A Switch is a process that has a cluster's socket and answers the first packet of each client as it is told to. Speaks TAP.
"""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

CAPSA = os.path.join(os.environ.get("CAPSA_BUILD", "."), "capsa")
LIMIT = 60  # seconds: nothing here takes as long, but a hang must end
WORK = tempfile.mkdtemp(prefix="capsa-clusters.")
os.environ["XDG_RUNTIME_DIR"] = WORK
CLUSTERS = os.path.join(WORK, "capsa", ".shared", "clusters")
SHOW, TEXT, VERSION = 7, 8, 1
MEMBER = {"name": "vm1", "pid": 71, "mac": "52:54:00:00:00:01", "address": "10.0.3.2", "address6": "fd00:ca:b5b::2",
          "rate": 0, "rx_packets": 12, "rx_bytes": 3456, "tx_packets": 78, "tx_bytes": 9012, "malformed": 0, "spoofed": 3,
          "rate_dropped": 0, "peers_dropped": 0, "full_dropped": 4}
OTHER = dict(MEMBER, name="a-longer-name", pid=72, mac="52:54:00:00:00:02", address="10.0.3.3", address6=None, spoofed=0,
             full_dropped=0)
LAB = {"name": "lab", "pid": 4711, "subnet": "10.0.3.0/24", "subnet6": "fd00:ca:b5b::/64", "uplink": None,
       "members": [MEMBER, OTHER],
       "macs": [{"mac": "52:54:00:00:00:01", "port": "vm1", "age_ms": 1500}]}


def packet(data, kind=TEXT, version=VERSION):
    return struct.pack("=II", kind, version) + data


def pieces(answer, size=100):
    """As many packets as it takes."""
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return [packet(data[at:at + size]) for at in range(0, len(data), size)]


class Switch:
    """packets: an iterable of what is sent; then the connection is closed, or held open."""

    running = set()

    def __init__(self, name, packets, hold=False):
        folder = os.path.join(CLUSTERS, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, mode=0o700)
        os.chmod(os.path.dirname(CLUSTERS), 0o700)
        os.chmod(os.path.join(WORK, "capsa"), 0o700)
        self.folder = folder
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(os.path.join(folder, "switch.sock"))
        listener.listen(8)
        self.pid = os.fork()
        if self.pid:
            listener.close()
            Switch.running.add(self.pid)
            return
        held = []
        while True:
            client = listener.accept()[0]
            try:
                asked = client.recv(100)
                if asked == packet(b"", SHOW):
                    for p in packets:
                        client.send(p)
                elif asked:
                    client.send(packet(b"what?"))
            except OSError:
                pass
            if hold:
                held.append(client)
            else:
                client.close()

    def kill(self):
        Switch.end(self.pid)

    @staticmethod
    def end(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        Switch.running.remove(pid)

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder)


def capsa(*words):
    done = subprocess.run([CAPSA, "cluster", *words], capture_output=True, text=True, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


def without_a_cluster_there_is_none():
    assert capsa("ls") == (0, "NAME       PID  MEMBERS\n", ""), capsa("ls")
    assert json.loads(capsa("ls", "--json")[1]) == {"clusters": []}
    status, out, err = capsa("show", "lab")
    assert (status, out) == (1, "") and "no cluster \"lab\"" in err and "--cluster NAME" in err, err
    assert os.stat(os.path.dirname(CLUSTERS)).st_mode & 0o7777 == 0o700


def ls_lists_who_is_in_which():
    lab, small, dead = Switch("lab", pieces(LAB)), Switch("a", pieces(dict(LAB, pid=5, members=[]))), Switch("dead", [])
    dead.kill()
    os.makedirs(os.path.join(CLUSTERS, "without-socket"))
    os.makedirs(os.path.join(CLUSTERS, ".hidden"))
    open(os.path.join(CLUSTERS, "file"), "w").close()
    assert capsa("ls") == (0, "NAME       PID  MEMBERS\na            5  -\nlab       4711  vm1, a-longer-name\n", ""), capsa("ls")
    assert json.loads(capsa("ls", "--json")[1]) == {"clusters": [
        {"name": "a", "pid": 5, "members": []}, {"name": "lab", "pid": 4711, "members": ["vm1", "a-longer-name"]}]}


def show_tells_all_of_one():
    lab = Switch("lab", pieces(LAB, 7))
    status, out, err = capsa("show", "lab")
    assert (status, err) == (0, "") and out == """\
cluster  lab
pid      4711
subnet   10.0.3.0/24
subnet6  fd00:ca:b5b::/64
uplink   none

MEMBER             PID  MAC                      SENT          BYTES    RECEIVED          BYTES   DROPPED  ADDRESS
vm1                 71  52:54:00:00:00:01          12           3456          78           9012         7  10.0.3.2, fd00:ca:b5b::2
         lost: spoofed 3, full_dropped 4
a-longer-name       72  52:54:00:00:00:02          12           3456          78           9012         0  10.0.3.3

MAC                BEHIND  SEEN
52:54:00:00:00:01  vm1     1.5s ago
""", out
    status, out, err = capsa("show", "lab", "--json")
    assert (status, err) == (0, "") and json.loads(out) == LAB, out
    lab.remove()


def an_uplink_is_shown_as_it_is_told():
    lab = Switch("lab", pieces(dict(LAB, uplink={"to": "vxlan:7@192.0.2.1,192.0.2.2", "sent": 5, "parts": [1]})))
    out = capsa("show", "lab")[1]
    assert "uplink   to vxlan:7@192.0.2.1,192.0.2.2, sent 5\n" in out, out
    lab.remove()


def a_cluster_without_members_is_told_from_none():
    lab, dead = Switch("lab", pieces(LAB)), Switch("dead", [])
    dead.kill()
    assert capsa("show", "dead") == (
        1, "", "capsa: no member of the cluster \"dead\" runs; these have members: lab\n"), capsa("show", "dead")
    os.unlink(os.path.join(dead.folder, "switch.sock"))
    assert capsa("show", "dead")[2] == "capsa: no member of the cluster \"dead\" runs; these have members: lab\n"
    assert capsa("show", "none") == (
        1, "", "capsa: there is no cluster \"none\"; these have members: lab\n"), capsa("show", "none")
    for name in "../clusters/lab", ".", "", "a\033[2Jb", "x" * 64:
        status, out, err = capsa("show", "--", name)
        assert (status, out) == (1, "") and "no such cluster; these have members: lab" in err and "\033" not in err, err
    lab.remove()
    assert "nor is there another" in capsa("show", "dead")[2]


def what_it_says_does_not_reach_the_terminal():
    evil = "\033]0;x\007\u009b31m\x7f\\"
    lab = Switch("lab", pieces(dict(LAB, subnet=evil, uplink={evil: evil}, members=[dict(MEMBER, name=evil, address=evil)],
                                    macs=[{"mac": evil, "port": evil, "age_ms": 1}])))
    for words in ("show", "lab"), ("show", "lab", "--json"), ("ls",), ("ls", "--json"):
        status, out, err = capsa(*words)
        assert status == 0 and all(c == "\n" or 0x20 <= ord(c) < 0x7f or (c == "\x7f" and "--json" in words)
                                   for c in out), (words, out)
        assert "x" in out
    assert "\\x1b]0;x\\x07\\xc2\\x9b31m\\x7f\\x5c" in capsa("show", "lab")[1]
    lab.remove()


def answers_that_cannot_be_are_refused():
    late = packet(b"{}", TEXT, 2)
    for packets in ([], pieces(b"no json"), pieces(b"[1]"), [packet(b"{}", SHOW)], [b"1234567"], pieces(LAB)[:-1],
                    [packet(b"x" * 70000)]):
        lab = Switch("lab", packets)
        status, out, err = capsa("show", "lab")
        assert (status, out) == (1, "") and "no proper answer" in err, (packets, out, err)
        lab.remove()
    lab = Switch("lab", [late])
    assert "another release" in capsa("show", "lab")[2]
    lab.remove()
    # Types that are others than those agreed on are nothing.
    lab = Switch("lab", pieces({"members": [1, {"name": 7, "pid": "x", "rx_packets": -5}], "macs": {"a": 1}, "pid": []}))
    status, out, err = capsa("show", "lab")
    assert (status, err) == (0, "") and "pid      0\n" in out and out.count("\n-  ") == 2, out
    lab.remove()


def one_that_has_no_end_is_cut_off():
    def endless():
        while True:
            yield packet(b" " * 65000)

    # 4 MiB are as much as it may say.
    most = 4 << 20
    for size, good in (most, True), (most + 1, False):
        lab = Switch("lab", pieces(b" " * (size - 2) + b"{}", 65000))
        status, out, err = capsa("show", "lab", "--json")
        assert (status == 0 and out == "{}\n") if good else (status, out) == (1, ""), (status, out, err)
        lab.remove()
    lab = Switch("lab", endless())
    status, out, err = capsa("show", "lab")
    assert (status, out) == (1, "") and "more than can be meant" in err, err
    lab.remove()


def one_that_hangs_is_not_waited_for_for_long():
    hung, fine = Switch("hung", pieces(LAB)[:1], hold=True), Switch("lab", pieces(LAB))
    begin = time.monotonic()
    status, out, err = capsa("show", "hung")
    assert (status, out) == (1, "") and "does not answer" in err, err
    assert 4.5 < time.monotonic() - begin < LIMIT / 2
    status, out, err = capsa("ls")
    assert status == 0 and "hung         -  not answering\n" in out and "lab       4711  vm1" in out, out
    listed = json.loads(capsa("ls", "--json")[1])["clusters"]
    assert listed[0] == {"name": "hung", "state": "not answering"} and listed[1]["pid"] == 4711, listed
    hung.remove()
    fine.remove()


def wrong_usage_is_told():
    for words in ([], ["x"], ["ls", "x"], ["show"], ["show", "a", "b"], ["ls", "--jso"]):
        status, out, err = capsa(*words)
        assert status == 2 and out == "" and "usage: capsa cluster" in err, (words, err)
    status, out, err = capsa("--help")
    lines = out.splitlines()
    assert status == 0 and len(lines) <= 24 and max(map(len, lines)) <= 100, out


def main():
    tests = [without_a_cluster_there_is_none, ls_lists_who_is_in_which, show_tells_all_of_one,
             an_uplink_is_shown_as_it_is_told, a_cluster_without_members_is_told_from_none,
             what_it_says_does_not_reach_the_terminal, answers_that_cannot_be_are_refused, one_that_has_no_end_is_cut_off,
             one_that_hangs_is_not_waited_for_for_long, wrong_usage_is_told]
    failed = False
    print("1..%d" % len(tests), flush=True)
    for number, test in enumerate(tests, 1):
        try:
            test()
            print("ok %d - %s" % (number, test.__name__.replace("_", " ")), flush=True)
        except Exception:
            failed = True
            print("not ok %d - %s" % (number, test.__name__.replace("_", " ")))
            print("".join("# %s\n" % line for line in traceback.format_exc().splitlines()), end="", flush=True)
        finally:
            for pid in list(Switch.running):
                Switch.end(pid)
            shutil.rmtree(CLUSTERS, ignore_errors=True)
    shutil.rmtree(WORK)
    return failed


sys.exit(main())
