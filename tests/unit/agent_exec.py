# SPDX-License-Identifier: MIT
"""agent_exec.py - commands: streams, ends, users. See agent.py."""

import errno
import os
import re
import signal
import threading

import agent_client as A
from agent_case import ROOT, Skip, WORK, error_of, here, lives, put, test, wait_gone
from agent_client import s, u16, u32, u64


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
    assert c.run(["pwd"], cwd="usr/bin/..").out == b"/usr\n"
    assert c.run(["pwd"]).exit == (A.EXITED, 0, 0)
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
    blocked, ignored = (int(re.search(name + r":\s+(\w+)", status).group(1), 16) for name in ("SigBlk", "SigIgn"))
    # But for 32 and 33, which are the C library's own: who runs this may ignore them, and no call changes that.
    assert blocked == 0 and ignored & ~(3 << 31) == 0
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
    r = c.open(A.EXEC, A.execute(["sh", "-c", "exec <&-; exec sleep 1000"]))
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
