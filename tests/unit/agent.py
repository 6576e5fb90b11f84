# SPDX-License-Identifier: MIT
"""agent.py - the agent as its clients see it: every request, every rule of agent/protocol.h, and what happens when a
client breaks them or goes away. Runs the agent natively on a UNIX socket. Speaks TAP.

Each test's name is what it proves. Arguments: words that the names of the tests to run contain.
"""

import errno
import os
import random
import re
import select
import shutil
import signal
import stat
import struct
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True
import agent_client as A
from agent_client import s, u16, u32, u64

BUILD = os.environ.get("CAPSA_BUILD", ".")
PROGRAM = os.environ.get("CAPSA_AGENT", os.path.join(BUILD, "agent", "capsa-agent"))
WORK = tempfile.mkdtemp(prefix="capsa-agent.")
ROOT = os.geteuid() == 0
SEED = int(os.environ.get("SEED", "1"))
TESTS = []
# A sanitizer keeps what was freed: not so much that it looks like a leak.
os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1:" + os.environ.get("ASAN_OPTIONS", "")


class Skip(Exception):
    pass


def test(f):
    TESTS.append(f)
    return f


def lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_gone(pid):
    """Until that process has ended. As an event: a descriptor of it."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(A.LIMIT * 1000), "process %d lives on" % pid
    os.close(fd)


def here(name):
    return os.path.join(WORK, name)


def put(name, data=b"", mode=0o644):
    with open(here(name), "wb") as f:
        f.write(data)
    os.chmod(here(name), mode)
    return here(name)


def get(name):
    with open(here(name), "rb") as f:
        return f.read()


def error_of(channel):
    return channel.result[0]


# ---- greeting ----


@test
def the_agent_says_its_version_and_when_it_served(agent, c):
    lowest, highest, program, times = c.agent
    assert lowest == highest == A.VERSION and program.startswith(b"capsa-agent ")
    assert times == sorted(times) and times[0] > 0


@test
def who_does_not_say_hello_first_hears_hello_and_is_closed(agent, c):
    for kind, payload in ((A.INFO, b""), (A.HELLO, A.hello(magic=1)), (A.HELLO, b""), (A.HELLO, A.hello(lowest=2, highest=1)),
                          (77, b"x" * 100)):
        other = agent.client(greet=False)
        other.send(0 if kind == A.HELLO else 1, kind, payload)
        try:
            other.wait(lambda: False)
        except A.Gone:
            pass
        assert other.agent and not other.channels


@test
def a_client_without_a_version_in_common_hears_ours_and_is_closed(agent, c):
    other = agent.client(greet=False)
    other.send(0, A.HELLO, A.hello(lowest=7, highest=9))
    try:
        other.wait(lambda: False)
    except A.Gone:
        pass
    assert other.agent[:2] == (A.VERSION, A.VERSION)


@test
def a_newer_client_that_also_speaks_ours_is_welcome(agent, c):
    other = agent.client(greet=False)
    other.send(0, A.HELLO, A.hello(highest=9) + b"more of a later version")
    assert other.run(["true"]).exit == (A.EXITED, 0, 0)


@test
def a_frame_in_single_bytes_is_understood(agent, c):
    payload = A.execute(["echo", "slow"])
    channel = c.channels[1000] = A.Channel(c, 1000)
    for b in struct.pack("<IIHH", len(payload), 1000, A.EXEC, 0) + payload:
        c.socket.sendall(bytes([b]))
    assert channel.done().out == b"slow\n"


# ---- exec ----


@test
def a_command_is_looked_for_in_path_and_its_status_comes_back(agent, c):
    for status in (0, 1, 3, 126, 127, 255):
        assert c.run(["sh", "-c", "exit %d" % status]).exit == (A.EXITED, status, 0)


@test
def arguments_arrive_as_they_are_without_a_shell(agent, c):
    args = ["", " ", "a b", "$HOME", "*", "'", '"', "\n", "\\", b"\xff\xfe", "-n"]
    r = c.run(["printf", "%s\\0"] + args)
    assert r.out == b"\0".join(os.fsencode(a) for a in args) + b"\0"


@test
def a_signal_that_ends_the_command_is_told(agent, c):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        assert c.run(["sh", "-c", "kill -%d $$" % number]).exit[:2] == (A.SIGNALLED, number)


@test
def a_command_that_is_not_there_is_told_from_one_that_cannot_be_run(agent, c):
    plain = put("plain", b"#!/bin/sh\n")
    junk = put("junk", b"\1\2\3\4junk", 0o755)
    wrong = put("wrong", b"#!/no/such/interpreter\n", 0o755)
    for argv, want in ((["no-such-command"], errno.ENOENT), ([here("none")], errno.ENOENT), ([""], errno.ENOENT),
                       ([plain], errno.EACCES), ([WORK], errno.EACCES), ([junk], errno.ENOEXEC), ([wrong], errno.ENOENT),
                       ([plain + "/x"], errno.ENOTDIR)):
        r = c.run(argv)
        assert r.result[:2] == (want, 2), (argv, r.result)
        assert argv[0] in r.result[2] and os.strerror(want) in r.result[2]


@test
def what_may_not_be_run_earlier_in_path_does_not_hide_what_may_later(agent, c):
    os.mkdir(here("p1"))
    os.mkdir(here("p2"))
    put("p1/tool", b"#!/bin/sh\necho one\n", 0o644)
    env = ["PATH=%s:/nowhere:%s:/bin" % (here("p1"), here("p2"))]
    assert c.run(["tool"], env=env).result[:2] == (errno.EACCES, 2)
    put("p2/tool", b"#!/bin/sh\necho two\n", 0o755)
    assert c.run(["tool"], env=env).out == b"two\n"


@test
def the_environment_is_the_agents_own_and_what_the_client_changes(agent, c):
    def env(changes, **how):
        return dict(line.split("=", 1) for line in os.fsdecode(c.run(["env"], env=changes, **how).out).replace("\r", "").split("\n") if line)

    plain = env([])
    assert set(plain) == {"PATH", "HOME", "USER"}
    assert plain["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    changed = env(["A=1", "A=2", "B=x=y", "HOME=/h", "USER", "C", "EMPTY="])
    assert changed == {"PATH": plain["PATH"], "HOME": "/h", "A": "2", "B": "x=y", "EMPTY": ""}
    assert env([], flags=A.TTY)["TERM"] == "linux"
    assert env(["TERM=xterm-256color"], flags=A.TTY)["TERM"] == "xterm-256color"


@test
def a_command_starts_in_the_folder_asked_for(agent, c):
    assert c.run(["pwd"], cwd="/usr").out == b"/usr\n"
    assert c.run(["pwd"], cwd="usr/bin/..").out.rstrip() in (b"/usr",)
    home = os.path.expanduser("~%d" % os.getuid()) if False else None
    assert c.run(["pwd"]).exit == (A.EXITED, 0, 0) and home is None
    r = c.run(["pwd"], cwd="/no/such")
    assert r.result[:2] == (errno.ENOENT, 1) and "/no/such" in r.result[2]
    r = c.run(["pwd"], cwd="/etc/passwd")
    assert r.result[:2] == (errno.ENOTDIR, 1)


@test
def streams_are_separate_and_binary(agent, c):
    data = bytes(range(256)) * 4096 + b"\0\r\n\x04\x03\x1a"
    r = c.run(["cat"], data)
    assert r.out == data and r.err == b"" and r.ended == {A.OUTPUT, A.ERROR}
    r = c.run(["sh", "-c", "cat >&2"], data)
    assert r.err == data and r.out == b""
    r = c.run(["sh", "-c", "echo out; echo err >&2"])
    assert (r.out, r.err) == (b"out\n", b"err\n")


@test
def a_command_has_nothing_of_the_agents_but_its_streams(agent, c):
    r = c.run(["ls", "/proc/self/fd"])
    assert r.out.split() == [b"0", b"1", b"2", b"3"], r.out  # 3: ls's own
    status = os.fsdecode(c.run(["cat", "/proc/self/status"]).out)
    assert re.search(r"SigBlk:\s+0+\n", status) and re.search(r"SigIgn:\s+0+\n", status)
    assert c.run(["sh", "-c", "umask"]).out == b"0022\n"


@test
def a_command_is_a_session_and_a_group_of_its_own(agent, c):
    r = c.run(["cat", "/proc/self/stat"])
    fields = r.out.rsplit(b")", 1)[1].split()
    assert int(fields[2]) == int(fields[3]) == r.pid


@test
def a_closed_output_is_a_broken_pipe_to_the_command(agent, c):
    r = c.open(A.EXEC, A.execute(["yes"]), greedy=False)
    r.wait(lambda r: len(r.out) > 0)
    r.send(A.CLOSE, b"", A.OUTPUT)
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGPIPE)
    r = c.open(A.EXEC, A.execute(["sh", "-c", "yes >&2"]), greedy=False)
    r.send(A.CLOSE, b"", A.ERROR)
    assert r.done().exit[1] in (signal.SIGPIPE, 128 + signal.SIGPIPE)


@test
def a_command_that_closes_its_input_says_so_to_the_client(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "exec <&-; echo closed; read x <&3 3<%s" % here("fifo2")]))
    r.wait(lambda r: r.refused)
    r.send(A.CANCEL)
    r.done()
    # And what it had not read is dropped, however much that is.
    r = c.run(["true"], b"x" * 1000000)
    assert r.exit == (A.EXITED, 0, 0)


@test
def end_of_input_reaches_the_command(agent, c):
    r = c.open(A.EXEC, A.execute(["wc", "-c"]))
    r.feed(b"x" * 300000)
    assert r.done().out.split() == [b"300000"]


@test
def input_that_a_command_does_not_read_waits_and_costs_its_window_only(agent, c):
    r = c.open(A.EXEC, A.execute(["sleep", "1000"]))
    sent = 0
    while r.credit > 0:
        n = min(r.credit, A.DATA_MAX)
        r.credit -= n
        r.send(A.DATA, b"x" * n, A.INPUT)
        sent += n
        c.run(["true"])  # whatever credit is granted for it has come before this one's end
    assert A.WINDOW <= sent <= 2 * A.WINDOW, sent
    r.send(A.CANCEL)
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGKILL)


@test
def a_producer_of_1_gib_stands_still_for_a_client_that_does_not_read(agent, c):
    total = 1 << 30
    r = c.open(A.EXEC, A.execute(["head", "-c", str(total), "/dev/zero"]), greedy=False)
    r.wait(lambda r: len(r.out) == A.WINDOW)
    before = agent.memory()
    # Credit, but a client that reads nothing: the socket fills up, then the agent's output.
    r.send(A.WINDOW_ADD, u32(total), A.OUTPUT)
    other = agent.client()
    assert other.run(["echo", "alive"]).out == b"alive\n"
    other.close()
    assert agent.memory() - before < 2 << 20, (before, agent.memory())
    got = A.WINDOW
    peak = 0
    r.data[A.OUTPUT].clear()
    while not r.final:
        c.receive()
        c.take()
        got += len(r.data[A.OUTPUT])
        r.data[A.OUTPUT].clear()
        if got & 0x3FFFFFF < 1 << 20:
            peak = max(peak, agent.memory())
    assert got == total and r.exit == (A.EXITED, 0, 0)
    assert peak - before < 2 << 20, (before, peak)


@test
def a_client_that_grants_nothing_gets_a_window_and_no_more(agent, c):
    r = c.open(A.EXEC, A.execute(["yes"]), greedy=False)
    r.wait(lambda r: len(r.out) == A.WINDOW)
    idle = agent.cpu()
    for _ in range(20):
        c.run(["true"])
    assert len(r.out) == A.WINDOW
    assert agent.cpu() - idle < 50
    r.send(A.WINDOW_ADD, u32(10), A.OUTPUT)
    r.wait(lambda r: len(r.out) == A.WINDOW + 10)
    r.send(A.CANCEL)
    r.done()


@test
def an_end_needs_no_credit(agent, c):
    r = c.open(A.EXEC, A.execute(["head", "-c", str(A.WINDOW), "/dev/zero"]), greedy=False)
    assert r.done().exit == (A.EXITED, 0, 0) and len(r.out) == A.WINDOW


@test
def a_time_out_kills_the_whole_group_and_says_so(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "sleep 1000 & echo $!; trap '' TERM; sleep 1000; true"], timeout=300))
    r.wait(lambda r: b"\n" in r.out)
    child = int(r.out)
    assert r.done().exit[:2] == (A.TIMED_OUT, signal.SIGKILL)
    wait_gone(child)
    wait_gone(r.pid)


@test
def a_command_that_ends_in_time_has_no_time_out(agent, c):
    assert c.run(["sh", "-c", "exit 5"], timeout=50000).exit == (A.EXITED, 5, 0)
    assert c.run(["true"], timeout=(1 << 64) - 1).exit == (A.EXITED, 0, 0)


@test
def signals_reach_the_whole_group(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "trap 'echo got; exit 7' USR1; (trap 'echo child; exit' USR1; echo up; while :; do sleep 0.01; done) & while :; do wait; done"]))
    r.wait(lambda r: b"up\n" in r.out)
    r.send(A.SIGNAL, u32(signal.SIGUSR1))
    assert r.done().exit == (A.EXITED, 7, 0)
    assert b"got\n" in r.out
    r = c.open(A.EXEC, A.execute(["sleep", "1000"]))
    r.wait(lambda r: r.pid)
    r.send(A.SIGNAL, u32(signal.SIGINT))
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGINT)


@test
def background_children_that_hold_the_pipes_are_not_waited_for(agent, c):
    r = c.run(["sh", "-c", "sleep 1000 & echo $!; echo err >&2; exit 4"])
    assert r.exit == (A.EXITED, 4, 0) and r.err == b"err\n"
    child = int(r.out)
    assert lives(child)
    os.kill(child, signal.SIGKILL)


@test
def a_background_child_that_goes_on_writing_does_not_keep_the_end_away(agent, c):
    r = c.run(["sh", "-c", "yes & echo $! >&2; exit 0"])
    assert r.exit == (A.EXITED, 0, 0)
    wait_gone(int(r.err))  # of a broken pipe


@test
def output_before_the_end_is_complete_however_slowly_it_is_read(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "head -c 320000 /dev/zero; kill -9 $$"]), greedy=False)
    r.wait(lambda r: len(r.out) == A.WINDOW)
    wait_for = 320000 - A.WINDOW
    for _ in range(0, wait_for, 1000):
        r.send(A.WINDOW_ADD, u32(1000), A.OUTPUT)
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGKILL) and len(r.out) == 320000


@test
def two_hundred_commands_run_at_once_on_one_connection(agent, c):
    runs = [c.open(A.EXEC, A.execute(["sh", "-c", "cat; exit %d" % (i % 100)])) for i in range(200)]
    for r in runs:
        r.wait(lambda r: r.pid)
    for i, r in enumerate(runs):
        r.feed(b"%d\n" % i)
    for i, r in enumerate(runs):
        r.done()
        assert r.exit == (A.EXITED, i % 100, 0) and r.out == b"%d\n" % i


@test
def two_hundred_clients_each_run_a_command_at_once(agent, c):
    clients = [agent.client() for _ in range(200)]
    runs = [k.open(A.EXEC, A.execute(["sh", "-c", "echo $0; cat", str(i)])) for i, k in enumerate(clients)]
    for i, r in enumerate(runs):
        r.feed(b"x" * 1000)
        assert r.done().out == b"%d\n" % i + b"x" * 1000
    for k in clients:
        k.close()


@test
def a_busy_channel_does_not_starve_the_others(agent, c):
    busy = [agent.client() for _ in range(4)]
    stop = threading.Event()

    def swallow(k):
        r = k.open(A.EXEC, A.execute(["yes"]), greedy=False)
        r.send(A.WINDOW_ADD, u32((1 << 32) - 1), A.OUTPUT)
        while not stop.is_set():
            k.receive()
            k.take()
            r.data[A.OUTPUT].clear()
        k.close()

    threads = [threading.Thread(target=swallow, args=(k,)) for k in busy]
    for t in threads:
        t.start()
    for _ in range(10):
        assert c.run(["cat"], b"y" * 100000).out == b"y" * 100000
    stop.set()
    for t in threads:
        t.join()


@test
def a_client_that_goes_away_ends_its_commands(agent, c):
    other = agent.client()
    r = other.open(A.EXEC, A.execute(["sh", "-c", "sleep 1000 & echo $!; sleep 1000; true"]))
    q = other.open(A.EXEC, A.execute(["sh", "-c", "trap '' HUP TERM INT; echo up; sleep 1000; true"], flags=A.TTY))
    y = other.open(A.EXEC, A.execute(["yes"]), greedy=False)
    r.wait(lambda r: b"\n" in r.out)
    q.wait(lambda q: b"\n" in q.out)
    y.wait(lambda y: len(y.out) == A.WINDOW)
    child = int(r.out)
    other.close()
    for pid in (r.pid, child, q.pid, y.pid):
        wait_gone(pid)


@test
def a_client_that_goes_away_with_its_output_full_ends_its_commands(agent, c):
    other = agent.client()
    y = other.open(A.EXEC, A.execute(["yes"]), greedy=False)
    y.wait(lambda y: y.pid)
    y.send(A.WINDOW_ADD, u32(1 << 30), A.OUTPUT)
    # Requests until nothing is read any more.
    other.socket.settimeout(0.5)
    try:
        for i in range(100000):
            other.send(100000 + i, A.STAT, s("/") + u32(0))
    except TimeoutError:
        pass
    other.close()
    wait_gone(y.pid)


@test
def the_jobs_of_a_shell_on_a_terminal_end_with_its_client(agent, c):
    other = agent.client()
    script = "set -m; (trap '' HUP; exec sleep 1000) & echo job $!; while :; do sleep 1000; done"
    r = other.open(A.EXEC, A.execute(["sh", "-c", script], flags=A.TTY))
    r.wait(lambda r: re.search(rb"job \d+\r\n", r.out))
    job = int(re.search(rb"job (\d+)", r.out).group(1))
    other.close()
    wait_gone(job)


@test
def a_cancelled_command_is_killed_and_its_exit_told(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "trap '' TERM; echo; sleep 1000; true"]))
    r.wait(lambda r: r.out)
    r.send(A.CANCEL)
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGKILL)


@test
def a_channel_number_is_free_again_after_its_end(agent, c):
    for i in range(20):
        r = c.open(A.EXEC, A.execute(["echo", str(i)]), number=5)
        assert r.done().out == b"%d\n" % i


@test
def written_back_is_written_before_the_exit(agent, c):
    assert c.run(["true"], flags=A.SYNC).exit == (A.EXITED, 0, 0)


@test
def unknown_flags_are_refused(agent, c):
    assert error_of(c.ask(A.EXEC, A.execute(["true"], flags=1 << 20))) == errno.EINVAL


@test
def a_request_to_exec_too_much_is_an_error_of_that_command(agent, c):
    r = c.run(["true", "x" * 200000])
    assert r.result[:2] == (errno.E2BIG, 2)
    r = c.ask(A.EXEC, A.execute(["true"], env=["A%d=" % i for i in range(5000)]))
    assert error_of(r) == errno.E2BIG


# ---- terminals ----


@test
def a_terminal_has_the_size_that_was_asked_for_and_can_be_resized(agent, c):
    script = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done"
    r = c.open(A.EXEC, A.execute(["sh", "-c", script], flags=A.TTY, rows=33, columns=101))
    r.wait(lambda r: b"ready\r\n" in r.out)
    assert r.out.startswith(b"33 101\r\n")
    r.send(A.RESIZE, u16(44) + u16(55))
    assert r.done().exit == (A.EXITED, 0, 0) and r.out.endswith(b"44 55\r\n")


@test
def a_terminal_is_the_controlling_one_of_its_own_session(agent, c):
    r = c.run(["sh", "-c", "exec 3<>/dev/tty && tty && ps -o sid= -p $$ && echo $$"], flags=A.TTY)
    lines = r.out.split()
    assert r.exit == (A.EXITED, 0, 0) and lines[0].startswith(b"/dev/pts/") and lines[-1] == lines[-2], r.out
    assert A.ERROR not in r.ended and r.err == b""


@test
def control_c_at_a_terminal_is_sigint(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "echo up; exec sleep 1000"], flags=A.TTY))
    r.wait(lambda r: b"up" in r.out)
    r.send(A.DATA, b"\x03", A.INPUT)
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGINT)


@test
def the_end_of_input_at_a_terminal_is_seen_even_in_the_middle_of_a_line(agent, c):
    assert c.run(["sh", "-c", "stty -echo; cat"], b"", flags=A.TTY).exit == (A.EXITED, 0, 0)
    assert c.run(["cat"], b"whole\n", flags=A.TTY).exit == (A.EXITED, 0, 0)
    r = c.run(["cat"], b"half", flags=A.TTY)
    assert r.exit == (A.EXITED, 0, 0) and b"half" in r.out


@test
def a_command_that_closes_its_terminal_before_it_ends_is_not_hung_up(agent, c):
    script = "exec <&- >&- 2>&-; sleep 0.1; exec >/dev/tty; echo again; exit 9"
    r = c.run(["sh", "-c", script], flags=A.TTY)
    assert r.exit == (A.EXITED, 9, 0) and r.out.endswith(b"again\r\n"), (r.exit, r.out)


@test
def all_that_a_command_said_to_its_terminal_arrives(agent, c):
    r = c.run(["sh", "-c", "stty -opost; head -c 3000000 /dev/zero; echo end"], flags=A.TTY)
    assert len(r.out) == 3000004 and r.out.endswith(b"end\n")


@test
def a_terminal_whose_output_is_closed_is_hung_up(agent, c):
    r = c.open(A.EXEC, A.execute(["sh", "-c", "echo up; exec sleep 1000"], flags=A.TTY))
    r.wait(lambda r: b"up" in r.out)
    r.send(A.CLOSE, b"", A.OUTPUT)
    assert r.done().exit[:2] == (A.SIGNALLED, signal.SIGHUP)


@test
def a_resize_of_what_has_no_terminal_changes_nothing(agent, c):
    r = c.open(A.EXEC, A.execute(["cat"]))
    r.send(A.RESIZE, u16(1) + u16(1))
    r.feed(b"ok")
    assert r.done().out == b"ok"


# ---- users ----


@test
def root_by_any_name_is_root(agent, c):
    if not ROOT:
        raise Skip("needs root")
    for user in ("", "root", "0", "0:0", "root:root"):
        assert c.run(["id", "-u"], user=user).out == b"0\n", user


@test
def a_command_runs_as_the_user_asked_for_with_all_its_groups(agent, c):
    if not ROOT:
        raise Skip("needs root")
    import grp, pwd

    someone = pwd.getpwnam("daemon")
    expected = sorted({someone.pw_gid} | {g.gr_gid for g in grp.getgrall() if "daemon" in g.gr_mem})
    r = c.run(["sh", "-c", "id -u; id -g; id -G; echo $HOME $USER; pwd"], user="daemon")
    uid, gid, groups, names, cwd = os.fsdecode(r.out).splitlines()
    assert (int(uid), int(gid)) == (someone.pw_uid, someone.pw_gid)
    assert sorted(map(int, groups.split())) == expected
    assert names == someone.pw_dir + " daemon" and cwd in (someone.pw_dir, "/")
    r = c.run(["sh", "-c", "id -u; id -g; id -G"], user="12345:23456")
    assert r.out.split() == [b"12345", b"23456", b"23456"]
    r = c.run(["sh", "-c", "id -u; id -G"], user="daemon:sys")
    assert r.out.split() == [b"%d" % someone.pw_uid, b"%d" % grp.getgrnam("sys").gr_gid]
    r = c.run(["tty"], user="daemon", flags=A.TTY)
    assert r.out.startswith(b"/dev/pts/")
    secret = put("secret", b"x", 0o600)
    assert c.run(["cat", secret], user="daemon").exit[1] == 1


@test
def a_user_that_is_not_there_is_said(agent, c):
    r = c.run(["true"], user="nobody-of-that-name")
    assert r.result[:2] == (errno.ENOENT, 1) and "nobody-of-that-name" in r.result[2]
    r = c.run(["true"], user="root:no-such-group")
    assert r.result[:2] == (errno.ENOENT, 1) and "group" in r.result[2]
    assert error_of(c.run(["true"], user="root:")) == errno.EINVAL
    assert c.run(["true"], user="4294967295").result[0] == errno.ENOENT


@test
def an_ordinary_users_agent_runs_commands_as_that_user_only(agent, c):
    if ROOT:
        raise Skip("needs not to be root")
    assert c.run(["id", "-u"]).out == b"%d\n" % os.geteuid()
    assert c.run(["id", "-u"], user=str(os.geteuid())).exit[1] == 0
    assert c.run(["true"], user="root").result[:2] == (errno.EPERM, 1)


# ---- files ----


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
    for path in (here("t") + "/", here("t/d/..")):
        pass
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


# ---- rules and their breaking ----


def broken(channel):
    return channel.done().result[0] == errno.EPROTO


@test
def a_frame_against_the_rules_ends_its_channel_and_nothing_else(agent, c):
    bystander = c.open(A.EXEC, A.execute(["cat"]))
    bystander.wait(lambda r: r.pid)
    frames = (
        (A.DATA, b"x", A.OUTPUT),
        (A.DATA, b"x", 9),
        (A.DATA, b"x" * (A.DATA_MAX + 1), A.INPUT),
        (A.END, b"", A.OUTPUT),
        (A.WINDOW_ADD, u32(1), A.INPUT),
        (A.WINDOW_ADD, b"", A.OUTPUT),
        (A.WINDOW_ADD, u32(1), 9),
        (A.CLOSE, b"", A.INPUT),
        (A.CLOSE, b"", 77),
        (A.SIGNAL, u32(0), 0),
        (A.SIGNAL, u32(65), 0),
        (A.SIGNAL, b"\1", 0),
        (A.RESIZE, b"", 0),
        (A.SIGNAL, u32(1), 1),
        (A.STARTED, u32(1), 0),
        (A.EXIT, u32(1), 0),
        (A.RESULT, u32(1), 0),
        (A.HELLO, A.hello(), 0),
        (A.EXEC, A.execute(["true"]), 0),
        (A.STAT, s("/") + u32(0), 0),
        (12345, b"?", 0),
        (0, b"", 0),
        (12345, b"y" * (A.FRAME_MAX + 5), 0),
        (A.SIGNAL, b"z" * (3 * A.FRAME_MAX), 0),
    )
    for kind, payload, stream in frames:
        r = c.open(A.EXEC, A.execute(["sleep", "1000"]))
        r.wait(lambda r: r.pid)
        r.send(kind, payload, stream)
        assert broken(r), (kind, stream)
        wait_gone(r.pid)
    bystander.feed(b"still here")
    assert bystander.done().out == b"still here" and bystander.exit == (A.EXITED, 0, 0)


@test
def more_than_the_credit_breaks_the_channel(agent, c):
    r = c.open(A.EXEC, A.execute(["sleep", "1000"]))
    for _ in range(20):
        if not r.final:
            r.send(A.DATA, b"x" * A.DATA_MAX, A.INPUT)
    assert broken(r)


@test
def data_behind_the_end_breaks_the_channel(agent, c):
    for kind in (A.DATA, A.END):
        r = c.open(A.WRITE, s("/dev/full") + u32(0) + u32(0))
        fifo = here("fifo-%d" % kind)
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        r = c.open(A.WRITE, s(fifo) + u32(0o600) + u32(0))
        for _ in range(3):
            r.send(A.DATA, b"x" * A.DATA_MAX, A.INPUT)  # more than a pipe holds
        r.send(A.END, b"", A.INPUT)
        r.send(kind, b"", A.INPUT)
        assert broken(r)
        os.close(reader)


@test
def frames_for_channels_that_are_not_open_are_ignored_but_for_requests(agent, c):
    for kind in (A.DATA, A.END, A.WINDOW_ADD, A.CLOSE, A.SIGNAL, A.RESIZE, A.CANCEL, A.STARTED, A.EXIT, A.RESULT, 999, 0):
        c.send(4242, kind, b"")
        c.send(4242, kind, b"x" * 70000)
    c.send(4242, A.DATA, b"x" * 2000000)
    c.send(0, A.HELLO, A.hello())
    assert c.run(["true"]).exit[1] == 0  # an answer on 4242 would have been met with a KeyError
    for kind in range(A.EXEC, A.CLOCK + 1):
        if kind in (A.INFO, ):
            continue
        assert broken(c.open(kind, b"")), kind
        if kind not in (A.SHUTDOWN, A.CLOCK):  # those are numbers, if strange ones
            assert broken(c.open(kind, b"\xff" * 100)), kind
        assert broken(c.open(kind, b"x" * (A.FRAME_MAX + 1))), kind
    assert broken(c.open(A.INFO, b"", number=0))


@test
def strings_with_a_nul_or_too_long_are_malformed(agent, c):
    assert broken(c.open(A.EXEC, A.execute(["a\0b"])))
    assert broken(c.open(A.EXEC, A.execute(["true"], env=["A=\0"])))
    assert broken(c.open(A.EXEC, A.execute([])))
    assert broken(c.open(A.STAT, s("/a\0b") + u32(0)))
    assert broken(c.open(A.STAT, s("/" * 5000) + u32(0)))
    assert broken(c.open(A.EXEC, u32(0) + u16(0) + u16(0) + u64(0) + s("") + s("") + u32(0xFFFFFFFF)))


@test
def what_a_later_version_appends_is_ignored(agent, c):
    r = c.open(A.EXEC, A.execute(["echo", "ok"]) + b"more")
    assert r.done().out == b"ok\n"
    assert error_of(c.ask(A.STAT, s("/") + u32(0) + b"more")) == 0


@test
def one_channel_too_many_is_refused(agent, c):
    os.mkfifo(here("many"))
    writer = os.open(here("many"), os.O_RDWR)
    k = agent.client()
    runs = [k.open(A.READ, s(here("many")) + u64(0) + u64(0)) for _ in range(A.CHANNELS_MAX)]
    r = k.ask(A.READ, s(here("many")) + u64(0) + u64(0))
    assert error_of(r) == errno.EMFILE
    runs[0].send(A.CANCEL)
    runs[0].done()
    assert k.run(["true"]).exit[1] == 0
    k.close()
    os.close(writer)


@test
def ten_thousand_requests_in_one_piece_are_all_answered(agent, c):
    k = agent.client()
    payload = s("/usr") + u32(0)
    blob = b""
    for i in range(1, 10001):
        k.channels[i] = A.Channel(k, i)
        blob += struct.pack("<IIHH", len(payload), i, A.STAT, 0) + payload
    t = threading.Thread(target=k.socket.sendall, args=(blob,))
    t.start()
    k.wait(lambda: all(ch.final for ch in k.channels.values()))
    t.join()
    assert all(error_of(ch) == 0 for ch in k.channels.values())
    k.close()


@test
def thousands_of_short_connections_leave_nothing_behind(agent, c):
    c.run(["true"])
    before, memory = agent.descriptors(), agent.memory()
    for i in range(2000):
        k = agent.client(greet=i % 3 != 0)
        if i % 3 == 1:
            k.open(A.EXEC, A.execute(["true"]))
        elif i % 3 == 2:
            k.socket.sendall(b"\1\2\3")
        k.close()
    c.run(["true"])
    deadline = time.monotonic() + A.LIMIT
    while agent.descriptors() > before and time.monotonic() < deadline:
        c.run(["true"])
    assert agent.descriptors() == before
    assert agent.memory() - memory < 4 << 20


@test
def random_frames_harm_nobody(agent, c):
    rnd = random.Random(SEED)
    kinds = list(range(A.EXEC, A.CLOCK)) + [A.SIGNAL, A.RESIZE, A.CANCEL, A.DATA, A.END, A.WINDOW_ADD, A.CLOSE, 1, 80, 81, 82, 7]
    kinds.remove(A.MOUNT)
    kinds.remove(A.SHUTDOWN)
    target = here("fuzz")
    os.mkdir(target)
    samples = [
        A.execute(["cat"]), A.execute(["true"], flags=A.TTY), A.execute(["yes"]), s("/etc/passwd") + u64(0) + u64(0),
        s(target + "/f") + u32(0o600) + u32(0), s("/etc"), s("/etc") + u32(0), u32(5), b"", u32(0xFFFFFFFF), s(target) + s("t"),
        A.execute(["sleep", "1000"], timeout=5), A.execute(["no-such"]), s("/usr/share"),
    ]
    bystander = c.open(A.EXEC, A.execute(["cat"]))
    for _ in range(int(os.environ.get("FUZZ", "40"))):
        k = agent.client()
        k.socket.settimeout(A.LIMIT)
        reader = threading.Thread(target=drain, args=(k,))
        reader.start()
        try:
            for _ in range(200):
                payload = bytearray(rnd.choice(samples))
                for _ in range(rnd.choice((0, 0, 0, 1, 3))):
                    if payload:
                        payload[rnd.randrange(len(payload))] = rnd.randrange(256)
                if rnd.random() < 0.1:
                    payload = payload[: rnd.randrange(len(payload) + 1)]
                if rnd.random() < 0.02:
                    payload += b"x" * rnd.randrange(200000)
                kind = rnd.choice(kinds) if rnd.random() < 0.97 else rnd.randrange(65536)
                if kind == A.REMOVE or kind == A.MKDIR or kind == A.WRITE:
                    payload = bytearray(s(target + "/%d" % rnd.randrange(5)) + u32(rnd.randrange(8)) + u32(rnd.randrange(8)))
                if kind == A.EXEC and rnd.random() < 0.8:
                    payload = bytearray(rnd.choice(samples[:3] + samples[11:13]))
                elif kind == A.EXEC and b"cat" not in payload and b"true" not in payload:
                    continue
                if kind in (A.TREE_WRITE, A.CLOCK, A.MOUNT, A.SHUTDOWN):
                    payload = bytearray(rnd.randbytes(rnd.randrange(3)))
                k.send(rnd.randrange(6), kind, bytes(payload), rnd.choice((0, 0, 0, 0, 1, 2, 3)))
            if rnd.random() < 0.5:
                k.socket.sendall(rnd.randbytes(rnd.randrange(100)))
        except OSError:
            pass  # it closes what says no HELLO, or was cut
        try:
            k.socket.shutdown(2)
        except OSError:
            pass
        reader.join()
        k.close()
        assert agent.process.poll() is None
    bystander.feed(b"alive")
    assert bystander.done().out == b"alive"


@test
def garbage_instead_of_frames_harms_nobody(agent, c):
    rnd = random.Random(SEED)
    for i in range(50):
        k = agent.client(greet=i % 2 == 0)
        reader = threading.Thread(target=drain, args=(k,))
        reader.start()
        try:
            k.socket.sendall(rnd.randbytes(100000))
            k.socket.shutdown(2)
        except OSError:
            pass
        reader.join()
        k.close()
    assert c.run(["echo", "alive"]).out == b"alive\n"


def drain(k):
    try:
        while k.socket.recv(1 << 16):
            pass
    except OSError:
        pass


@test
def told_to_leave_it_leaves_nothing_behind(agent, c):
    other = A.Agent(PROGRAM, tempfile.mkdtemp(dir=WORK))
    k = other.client()
    r = k.open(A.EXEC, A.execute(["sleep", "1000"]))
    r.wait(lambda r: r.pid)
    assert other.stop() == 0
    wait_gone(r.pid)
    assert not os.path.exists(other.path)


def main():
    if not os.access(PROGRAM, os.X_OK):
        print("1..0 # SKIP %s is not built" % PROGRAM)
        return 0
    chosen = [t for t in TESTS if not sys.argv[1:] or any(word in t.__name__ for word in sys.argv[1:])]
    print("1..%d" % (len(chosen) + 1), flush=True)
    folder = tempfile.mkdtemp(dir=WORK)
    agent = A.Agent(PROGRAM, folder)
    failed = False
    for n, t in enumerate(chosen, 1):
        name = t.__name__.replace("_", " ")
        began = time.monotonic()
        try:
            c = agent.client()
            t(agent, c)
            c.close()
            print("ok %d - %s" % (n, name), flush=True)
        except Skip as why:
            print("ok %d - %s # SKIP %s" % (n, name, why), flush=True)
        except Exception:
            failed = True
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print("not ok %d - %s" % (n, name), flush=True)
            if agent.process.poll() is not None:
                print("# the agent has ended with status %d" % agent.process.returncode, flush=True)
                agent = A.Agent(PROGRAM, folder)
        if os.environ.get("V"):
            print("# %.2f s" % (time.monotonic() - began), flush=True)
    ended = agent.stop()
    print("%sok %d - the agent ends with status 0, a sanitizer has nothing to say" % ("" if ended == 0 else "not ", len(chosen) + 1))
    return 1 if failed or ended else 0


try:
    status = main()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
