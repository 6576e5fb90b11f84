# SPDX-License-Identifier: MIT
"""machine-verbs.py - `capsa ls`, `info`, `stop` and `kill` without a machine.

A Machine is a process with a run-time folder, its lock, and a control socket on which it answers as capsa does, or not at
all. Speaks TAP.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback

CAPSA = os.path.join(os.environ.get("CAPSA_BUILD", "."), "capsa")
LIMIT = 60  # seconds: nothing here takes as long, but a hang must end
WORK = tempfile.mkdtemp(prefix="capsa-verbs.")
os.environ["XDG_RUNTIME_DIR"] = WORK
RUNTIME = os.path.join(WORK, "capsa")
VM = {"name": "", "state": "running", "cpus": 2, "memory": 256 << 20, "kernel": "/boot/vmlinuz", "cmdline": "quiet",
      "uptime_seconds": 3723.5, "paused_seconds": 0, "devices": [{"name": "rng0", "plugin": "rng"}], "agent": "none"}
FLOW = {"protocol": "udp", "far": "198.51.100.1:53", "tx_bytes": 5}
DEVICES = [{"name": "rng0", "plugin": "rng", "info": {}},
           {"name": "net0", "plugin": "net-nat", "info": {
               "network": {"mac": "02:00:00:00:00:05", "mtu": 1500, "addresses": ["10.0.2.2/24", "fd00::2/64"], "search": []},
               "flow_count": 30, "flows": [FLOW] * 30}}]
TIMELINE = [{"name": "process start", "ts_ns": 1000000}, {"name": "a <mark>", "ts_ns": 3500000}]


def serve(connection, name, end):
    """Answers until it is asked for the end: that closes everything and answers last. Returns whether it ended."""
    stream = connection.makefile("rwb")
    while True:
        words = stream.readline().decode().split()
        if not words:
            return False
        while stream.readline().strip():
            pass
        path = " ".join(words[:2])
        if path == "GET /vm/end":
            if end == "never":
                signal.pause()
            shutil.rmtree(os.path.join(RUNTIME, name))
        body = {"GET /vm": dict(VM, name=name, pid=os.getpid()), "GET /vm/timeline": TIMELINE, "GET /devices": DEVICES,
                "GET /vm/end": {"end": end, "text": "" if end == "powered-off" else "the guest's kernel panicked",
                                "console": ""}}.get(path, {"state": "stopping"})
        body = json.dumps(body).encode()
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        stream.flush()
        if path == "GET /vm/end":
            return True


class Machine:
    """end: how it ends when it is asked to; "never"; None: it never answers anything."""

    def __init__(self, name, end="powered-off"):
        self.name, self.folder = name, os.path.join(RUNTIME, name)
        shutil.rmtree(self.folder, ignore_errors=True)  # what an earlier one of the name left
        ready, said = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(said)
            assert os.read(ready, 1) == b"x"
            os.close(ready)
            return
        try:
            os.makedirs(self.folder, mode=0o700)
            lock = open(os.path.join(self.folder, "lock"), "w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            print(os.getpid(), file=lock, flush=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(os.path.join(self.folder, "control.sock"))
            listener.listen(8)
            os.write(said, b"x")
            if end is None:
                signal.pause()
            while not serve(listener.accept()[0], name, end):
                pass
        finally:
            os._exit(0)

    def wait(self):
        """Its status: the number of the signal that ended it, or 0."""
        return os.waitpid(self.pid, 0)[1]

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.wait()


def capsa(*words):
    done = subprocess.run([CAPSA, *words], capture_output=True, text=True, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


def ls_lists_what_runs():
    assert capsa("ls") == (0, "NAME       PID  STATE          CPUS    MEMORY  UPTIME\n", ""), capsa("ls")
    b, a, dead = Machine("b"), Machine("a-longer-name"), Machine("dead")
    dead.kill()
    status, out, _ = capsa("ls")
    lines = out.splitlines()
    assert status == 0 and len(lines) == 3, out
    assert lines[1].split() == ["a-longer-name", str(a.pid), "running", "2", "256M", "1h", "2m"], out
    assert lines[2].split()[:2] == ["b", str(b.pid)], out
    assert not os.path.exists(dead.folder)
    listed = json.loads(capsa("ls", "--json")[1])["machines"]
    assert [m["name"] for m in listed] == ["a-longer-name", "b"] and listed[0]["memory"] == 256 << 20, listed
    a.kill()
    b.kill()
    assert json.loads(capsa("ls", "--json")[1]) == {"machines": []}


def ls_does_not_wait_for_one_that_hangs():
    hung, fine = Machine("hung", None), Machine("fine")
    status, out, _ = capsa("ls")
    assert status == 0 and "hung  %8d  not answering\n" % hung.pid in out and "running" in out, out
    listed = json.loads(capsa("ls", "--json")[1])["machines"]
    assert [m["state"] for m in listed] == ["running", "not answering"], listed
    hung.kill()
    fine.kill()


def info_tells_and_draws():
    box = Machine("box")
    status, out, _ = capsa("info", "box")
    assert status == 0 and "state    running\n" in out and "device   rng0: rng\n" in out, out
    assert "     2.50 ms  a <mark>\n" in out, out
    assert """device   net0: net-nat
         network
           mac 02:00:00:00:00:05
           mtu 1500
           addresses 10.0.2.2/24, fd00::2/64
         flow_count 30
         flows
           protocol udp, far 198.51.100.1:53, tx_bytes 5
""" in out and out.count("protocol udp") == 20 and "           ... and 10 more: --json\n" in out, out
    status, out, _ = capsa("info", "box", "--json")
    assert status == 0 and json.loads(out)["timeline"] == TIMELINE, out
    assert json.loads(out)["devices"] == DEVICES, out
    svg, trace = os.path.join(WORK, "start.svg"), os.path.join(WORK, "start.json")
    assert capsa("info", "box", "--plot", svg, "--trace", trace) == (0, "", "")
    assert "a &lt;mark&gt;" in open(svg).read()
    assert json.load(open(trace))["traceEvents"][1]["dur"] == 2500
    status, _, err = capsa("info", "box", "--plot", WORK + "/none/start.svg")
    assert status == 1 and err == "capsa: cannot write %s/none/start.svg: No such file or directory\n" % WORK, err
    box.kill()


def stop_waits_for_all():
    a, b = Machine("a"), Machine("b", "panicked")
    assert capsa("stop", "a", "b") == (0, "", "capsa: b: the guest's kernel panicked\n")
    assert a.wait() == 0 and b.wait() == 0


def stop_tells_who_does_not():
    deaf, fine = Machine("deaf", "never"), Machine("fine")
    status, _, err = capsa("stop", "deaf", "--timeout", "0.2", "fine")
    assert status == 1, err
    assert "capsa: the guest of \"deaf\" did not power off within 0.2 s; `capsa kill deaf` ends it\n" in err, err
    assert fine.wait() == 0
    deaf.kill()


def kill_ends_what_answers_and_what_does_not():
    fine, deaf, hung = Machine("fine"), Machine("deaf", "never"), Machine("hung", None)
    assert capsa("kill", "fine", "deaf", "hung") == (0, "", "")
    assert fine.wait() == 0 and deaf.wait() == signal.SIGKILL and hung.wait() == signal.SIGKILL
    assert not any(os.path.exists(machine.folder) for machine in (fine, deaf, hung))
    stopped = Machine("stopped")
    os.kill(stopped.pid, signal.SIGSTOP)
    assert capsa("kill", "--", "stopped") == (0, "", "")
    assert stopped.wait() == signal.SIGKILL


def a_machine_that_is_not_there_is_told():
    box = Machine("box")
    for verb in "info", "stop", "kill":
        status, out, err = capsa(verb, "none")
        assert (status, out) == (1, "") and err == "capsa: no machine \"none\" runs; these do: box\n", err
        assert capsa(verb, "../box")[0] == 1
    box.kill()
    status, _, err = capsa("stop", "box")
    assert status == 1 and "was killed" in err, err


def wrong_usage_is_told():
    for words in (["ls", "x"], ["ls", "--jso"], ["info"], ["info", "a", "b"], ["info", "a", "--plot"], ["stop"],
                  ["stop", "a", "--timeout", "x"], ["stop", "a", "--timeout", "-1"], ["stop", "--force", "a"], ["kill"],
                  ["kill", "-9", "a"]):
        status, out, err = capsa(*words)
        assert status == 2 and out == "" and "usage: capsa " + words[0] in err, (words, err)


def main():
    tests = [ls_lists_what_runs, ls_does_not_wait_for_one_that_hangs, info_tells_and_draws, stop_waits_for_all,
             stop_tells_who_does_not, kill_ends_what_answers_and_what_does_not, a_machine_that_is_not_there_is_told,
             wrong_usage_is_told]
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
    shutil.rmtree(WORK)
    return failed


sys.exit(main())
