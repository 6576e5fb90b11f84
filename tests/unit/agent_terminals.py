# SPDX-License-Identifier: MIT
"""agent_terminals.py - commands on a terminal. See agent.py."""

import os
import signal

import agent_client as A
from agent_case import here, test
from agent_client import s, u16, u32, u64


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
    os.mkfifo(here("go"))
    script = "exec <&- >&- 2>&-; read x <%s; exec >/dev/tty; echo again; exit 9" % here("go")
    r = c.open(A.EXEC, A.execute(["sh", "-c", script], flags=A.TTY))
    with open(here("go"), "w") as fifo:  # opened by the command, which has closed its terminal
        for _ in range(3):
            c.run(["true"])  # and the agent has seen that
        fifo.write("go\n")
    r.done()
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
