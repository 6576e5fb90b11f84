# SPDX-License-Identifier: MIT
"""console-verb.py - `capsa console` without a guest.

A Machine plays the other end: a run-time folder with its lock, the console's socket and its control socket, behind
which stands either the test itself (say, hear) or a real shell on a pseudo-terminal. Speaks TAP.
"""

import fcntl
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
import tty

BUILD = os.environ.get("CAPSA_BUILD", ".")
CAPSA = os.path.join(BUILD, "capsa")
LIMIT = 60  # seconds: nothing here takes as long, but a hang must end
WORK = tempfile.mkdtemp(prefix="capsa-console.")
os.environ["XDG_RUNTIME_DIR"] = WORK
os.environ["LC_ALL"] = "C.UTF-8"
# A sanitizer's own handler would turn a signal into an exit.
os.environ["ASAN_OPTIONS"] = "handle_segv=0:handle_abort=0:" + os.environ.get("ASAN_OPTIONS", "")


class Machine:
    """A machine that runs, as far as `capsa console` can tell."""

    def __init__(self, name, shell=None, backlog=b"", device="console"):
        self.folder = os.path.join(WORK, "capsa", name)
        os.makedirs(self.folder, mode=0o700)
        os.chmod(os.path.join(WORK, "capsa"), 0o700)
        self.lock = open(os.path.join(self.folder, "lock"), "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        print(os.getpid(), file=self.lock, flush=True)
        self.backlog = backlog
        self.changed = threading.Condition()
        self.heard = b""
        self.lines = []
        self.client = None
        self.clients = 0
        self.shell = self.spawn(shell) if shell else None
        path = os.path.join(self.folder, device + ".sock")
        self.data, self.control = self.listen(path), self.listen(path + ".ctl")
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def listen(path):
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen(4)
        return s

    def spawn(self, argv):
        pid, self.pty = pty.fork()
        if pid == 0:
            os.chdir("/")
            os.environ["PS1"] = "guest# "
            os.environ["TERM"] = "vt100"
            os.execvp(argv[0], argv)
        threading.Thread(target=self.pump, daemon=True).start()
        return pid

    def pump(self):
        """What the shell says."""
        while True:
            try:
                said = os.read(self.pty, 4096)
            except OSError:
                return
            if not said:
                return
            self.say(said)

    def serve(self):
        """One client after the other, as the plugin does."""
        while True:
            try:
                client, _ = self.data.accept()
                control, _ = self.control.accept()
            except OSError:
                return
            # What a client said before it left comes before what the next one says.
            if self.client and self.hung_up():
                self.ear.join()
            with self.changed:
                if self.client and not self.hung_up():
                    control.sendall(b"busy\n")
                    client.sendall(b"capsa: the console is in use\r\n")
                    client.close()
                    control.close()
                    continue
                try:
                    control.sendall(b"backlog %d\n" % len(self.backlog))
                    client.sendall(self.backlog)
                except OSError:
                    pass  # it said what it had to say, and is gone
                self.backlog = b""
                self.client = client
                self.clients += 1
                self.changed.notify_all()
            self.ear = threading.Thread(target=self.listen_to, args=(client,), daemon=True)
            self.ear.start()
            threading.Thread(target=self.obey, args=(control,), daemon=True).start()

    def hung_up(self):
        client = self.client
        if not client:
            return False
        poll = select.poll()
        poll.register(client, 0)
        return bool(poll.poll(0))

    def listen_to(self, client):
        while True:
            try:
                heard = client.recv(65536)
            except OSError:
                heard = b""
            if heard and self.shell:
                os.write(self.pty, heard)
            with self.changed:
                if not heard:
                    if self.client is client:
                        self.client = None
                    self.changed.notify_all()
                    return
                self.heard += heard
                self.changed.notify_all()

    def obey(self, control):
        try:
            for line in control.makefile():
                with self.changed:
                    self.lines.append(line.rstrip("\n"))
                    self.changed.notify_all()
        except OSError:
            pass  # it was killed

    def wait(self, condition):
        with self.changed:
            if not self.changed.wait_for(condition, LIMIT):
                raise AssertionError(f"heard {self.heard[-500:]!r}, lines {self.lines!r}")

    def hear(self, text):
        self.wait(lambda: text in self.heard)

    def attached(self):
        self.wait(lambda: self.client)

    def deserted(self):
        self.wait(lambda: not self.client)

    def say(self, text, piece=None):
        """To the client, or into the backlog; in pieces of so many bytes."""
        with self.changed:
            if not self.client:
                self.backlog += text
                return
            for at in range(0, len(text), piece or len(text) or 1):
                try:
                    self.client.sendall(text[at : at + (piece or len(text))])
                except OSError:
                    return

    def end(self):
        with self.changed:
            for s in (self.data, self.control, self.client):
                if s:
                    try:
                        s.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            if self.shell:
                try:
                    os.kill(self.shell, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            shutil.rmtree(self.folder)
            self.lock.close()


def start(*args, **more):
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([CAPSA, "console", *args], **more)


def finish(process):
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it hangs; said {out!r} and {err!r}")
    return process.returncode, out, (err or b"").decode()


def console(*args):
    return finish(start(*args))


def expect(found, wanted, where=""):
    assert found == wanted, f"{where}: found {found!r}, wanted {wanted!r}"


def status(answer, wanted):
    expect(answer[0], wanted, f"status; it said {answer[1]!r} and {answer[2]!r}")


def says(answer, *words):
    for word in words:
        assert word in answer[2], f"no {word!r} in {answer[2]!r}"


class Terminal:
    """`capsa console` on a terminal of its own, as a shell would start it."""

    def __init__(self, *args, **more):
        self.master, self.slave = pty.openpty()
        self.size(80, 24)
        self.before = termios.tcgetattr(self.slave)
        self.screen = b""

        def own_it():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        streams = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, **more}
        self.process = subprocess.Popen([CAPSA, "console", *args], preexec_fn=own_it, **streams)

    def size(self, cols, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, cols, rows):
        """A terminal emulator does this; the kernel sends SIGWINCH to the foreground."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def see(self, text):
        end = time.monotonic() + LIMIT
        while text not in self.screen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"the screen shows {self.screen[-500:]!r}"
            self.screen += os.read(self.master, 65536)

    def ready(self, machine):
        """Attached, and raw: the window is told after that."""
        machine.wait(lambda: any(line.startswith("winsize") for line in machine.lines))

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def leave(self):
        """Its status, once it has ended; the terminal must be as before."""
        try:
            found = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it does not end; the screen shows {self.screen[-500:]!r}") from None
        expect(termios.tcgetattr(self.slave), self.before, "terminal modes")
        os.close(self.slave)
        os.close(self.master)
        return found


# ---- attached ----


def bytes_go_both_ways_and_the_escape_key_leaves():
    m = Machine("both", backlog=b"from before\r\n")
    t = Terminal("both")
    t.see(b"from before")
    t.see(b"^] leaves")
    t.ready(m)
    t.type(b"\x03\x1a\x11\x13\r\n\x7f\x00\xff")
    m.hear(b"\x03\x1a\x11\x13\r\n\x7f\x00\xff")
    assert t.is_raw()
    m.say(b"one \xc3\xa4\r\n\x1b[1mbold", piece=1)
    t.see(b"one \xc3\xa4\r\n\x1b[1mbold")
    t.type(b"last\x1dnever")
    m.hear(b"last")
    expect(t.leave(), 0)
    m.deserted()
    assert b"never" not in m.heard, m.heard
    m.end()


def another_escape_key_or_none():
    m = Machine("escape")
    t = Terminal("escape", "--escape", "^A")
    t.see(b"^A leaves")
    t.ready(m)
    t.type(b"\x1d")
    m.hear(b"\x1d")
    t.type(b"\x01")
    expect(t.leave(), 0)
    m.deserted()
    m.lines.clear()
    t = Terminal("escape", "--escape", "none")
    t.ready(m)
    t.type(b"\x1d\x01")
    m.hear(b"\x1d\x01")
    t.process.terminate()
    expect(t.leave(), -signal.SIGTERM)
    m.end()


def every_signal_restores_the_terminal():
    for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV):
        m = Machine("signal")
        t = Terminal("signal")
        m.say(b"here")
        t.see(b"here")
        assert t.is_raw()
        t.process.send_signal(signo)
        expect(t.leave(), -signo, signo.name)
        m.end()


def the_end_of_the_machine_restores_it_too():
    m = Machine("ends")
    t = Terminal("ends")
    m.attached()
    m.say(b"last words")
    m.end()
    t.see(b"last words")
    t.see(b"the machine has ended")
    expect(t.leave(), 0)


def a_closed_standard_output_restores_it_too():
    m = Machine("closed")
    out, into = os.pipe()
    t = Terminal("closed", stdout=into)
    os.close(into)
    m.attached()
    os.close(out)
    m.say(b"nobody reads this")
    t.see(b"standard output: Broken pipe")
    expect(t.leave(), 1)
    m.end()


def the_window_is_told_and_its_changes():
    m = Machine("window")
    t = Terminal("window")
    m.wait(lambda: "winsize 80 24" in m.lines)
    t.resize(132, 50)
    m.wait(lambda: "winsize 132 50" in m.lines)
    t.type(b"\x1d")
    expect(t.leave(), 0)
    m.end()


def the_escape_key_works_while_the_guest_takes_nothing():
    m = Machine("deaf")
    m.listen_to = lambda client: None
    t = Terminal("deaf")
    t.ready(m)
    # More than sockets hold, from a terminal that is read as far as our own memory goes.
    blob = b"x" * 4000
    for _ in range(12):
        t.type(blob)
    t.type(b"\x1d")
    expect(t.leave(), 0)
    m.end()


def stopped_it_is_the_shells_and_continued_raw_again():
    m = Machine("stop")
    t = Terminal("stop")
    m.say(b"here")
    t.see(b"here")
    t.process.send_signal(signal.SIGTSTP)
    # Alone in its session nobody could continue it, so the kernel does not stop it; modes come and go all the same.
    m.say(b"more")
    t.see(b"more")
    t.process.send_signal(signal.SIGSTOP)
    os.waitpid(t.process.pid, os.WUNTRACED)
    termios.tcsetattr(t.slave, termios.TCSANOW, t.before)
    t.process.send_signal(signal.SIGCONT)
    m.say(b"again")
    t.see(b"again")
    t.type(b"\x03")
    m.hear(b"\x03")
    assert t.is_raw()
    t.type(b"\x1d")
    expect(t.leave(), 0)
    m.end()


def input_that_is_no_terminal_is_typed_and_its_end_is_not_ours():
    m = Machine("pipe")
    p = start("pipe", stdin=subprocess.PIPE)
    p.stdin.write(b"hello \x1d\n")
    p.stdin.close()
    p.stdin = None
    m.hear(b"hello \x1d\n")
    m.say(b"answer")
    m.end()
    answer = finish(p)
    status(answer, 0)
    expect(answer[1], b"answer")


# ---- driven ----


def text_is_sent_with_its_escapes():
    m = Machine("send")
    status(console("send", "--send", r"a\n\r\t\e\x03\\", "--send", "b"), 0)
    m.hear(b"a\n\r\t\x1b\x03\\b")
    m.deserted()
    m.end()


def a_literal_is_found_across_pieces():
    m = Machine("pieces")
    p = start("pieces", "--wait-for", "login: [now]")
    m.attached()
    m.say(b"\x1b[1mlog\x1b[0min: [now] ", piece=1)
    status(finish(p), 0)
    m.end()


def a_regular_expression_is_found_across_pieces():
    m = Machine("regex")
    p = start("regex", "--regex", "--wait-for", "^eth[0-9]+ (up|down)$", "--wait-for", "x{3}")
    m.attached()
    m.say(b"no eth0 up\r\neth12 up now\r\neth12 down\r\nxx xxx", piece=1)
    status(finish(p), 0)
    m.end()


def the_echo_is_no_answer():
    m = Machine("echo")
    # Longer than a match that may be an echo is held.
    p = start("echo", "--timeout", "0.6", "--send", "echo ready\n", "--wait-for", "ready")
    m.hear(b"echo ready\n")
    m.say(b"# echo ready\r\n", piece=3)
    status(finish(p), 124)
    m.deserted()
    m.heard = b""
    p = start("echo", "--send", "echo ready\n", "--wait-for", "ready")
    m.hear(b"echo ready\n")
    m.say(b"# echo ready\r\nready\r\n", piece=3)
    status(finish(p), 0)
    m.end()


def what_was_said_before_is_no_answer_to_what_is_sent():
    m = Machine("stale", backlog=b"old done\r\n# ")
    p = start("stale", "--timeout", "0.6", "--send", "make\n", "--wait-for", "done")
    m.hear(b"make\n")
    m.say(b"make\r\n")
    answer = finish(p)
    status(answer, 124)
    expect(answer[1], b"old done\r\n# make\r\n", "all that is said is shown")
    m.end()


def what_was_said_before_is_found_without_sending():
    m = Machine("before", backlog=b"guest login: ")
    status(console("before", "--wait-for", "login:", "--timeout", "0"), 0)
    m.deserted()
    m.wait(lambda: m.lines)
    expect(m.lines[-1], "consumed 12", "the blank behind it is for the next")
    m.end()


def time_out_is_124_with_the_last_lines():
    m = Machine("slow", backlog=b"".join(b"line %d\r\n" % i for i in range(30)))
    answer = console("slow", "--wait-for", "never", "--timeout", "0.2")
    status(answer, 124)
    says(answer, "never", "0.2 s", "line 29", "line 20\n")
    assert "line 19" not in answer[2], answer[2]
    m.end()


def a_chatty_guest_does_not_put_off_the_end_of_time():
    m = Machine("chatty")
    p = start("chatty", "--wait-for", "never", "--timeout", "1", stdout=subprocess.DEVNULL)
    m.attached()
    end = time.monotonic() + LIMIT
    while p.poll() is None and time.monotonic() < end and m.client:
        m.say(b"still talking\r\n" * 1000)
    status(finish(p), 124)
    m.end()


def a_held_match_counts_where_the_machine_ends():
    m = Machine("held")
    p = start("held", "--send", "reboot: Power down\n", "--wait-for", "reboot: Power")
    m.hear(b"down\n")
    m.say(b"reboot: Power")
    m.end()
    status(finish(p), 0)


# ---- errors ----


def no_such_machine_names_those_that_run():
    a, b = Machine("beta"), Machine("alpha")
    answer = console("gamma")
    status(answer, 1)
    expect(answer[2], 'capsa: no machine "gamma" runs; these do: alpha, beta\n')
    status(console("gamma", "--exec", "true"), 125)
    a.end()
    b.end()
    answer = console("gamma")
    says(answer, "nor any other; start one with")


def a_console_elsewhere_names_the_remedy():
    m = Machine("other")
    answer = console("other", "--device", "second")
    status(answer, 1)
    says(answer, "second.sock", 'backend = "socket"')
    m.end()


def a_second_client_is_refused():
    m = Machine("busy")
    first = start("busy", "--wait-for", "go")
    m.attached()
    answer = console("busy")
    status(answer, 1)
    expect(answer[1], b"")
    expect(answer[2], 'capsa: "busy": the console is in use: one client at a time\n')
    m.say(b"go\r\n")
    status(finish(first), 0)
    m.end()


def the_end_of_the_machine_is_an_error_of_the_step():
    m = Machine("gone")
    p = start("gone", "--wait-for", "never")
    m.attached()
    m.say(b"dying\r\n")
    m.end()
    answer = finish(p)
    status(answer, 1)
    expect(answer[1], b"dying\r\n")
    expect(answer[2], 'capsa: --wait-for "never": the machine has ended\n')


def wrong_usage_is_told_before_anything_is_sent():
    m = Machine("usage")
    for args, words in (
        (["--regex", "--wait-for", "a(b"], '"a(b" is no extended regular expression'),
        (["--wait-for", ""], "a pattern that is not empty"),
        (["--send", r"a\q"], "--send knows"),
        (["--timeout", "soon"], "--timeout wants seconds"),
        (["--escape", "ab"], "--escape wants"),
        (["--device", "a/b"], "--device wants"),
        (["another"], "which machine?"),
    ):
        answer = console("usage", "--send", "x", *args)
        status(answer, 2)
        says(answer, words)
    status(console(), 2)
    expect(m.clients, 0, "clients")
    m.end()


def interrupt_ends_a_wait():
    m = Machine("interrupt")
    p = start("interrupt", "--wait-for", "never")
    m.say(b"some words\r\n")
    m.attached()
    p.send_signal(signal.SIGINT)
    status(finish(p), -signal.SIGINT)
    m.end()


# ---- commands, in real shells ----

SHELLS = [s for s in (["busybox", "ash", "-i"], ["dash", "-i"], ["bash", "--norc", "--noprofile", "-i"]) if shutil.which(s[0])]


def with_each_shell(test):
    for shell in SHELLS:
        m = Machine("shell", shell=shell)
        try:
            console("shell", "--wait-for", "guest# ")
            test(m)
        except AssertionError as failure:
            raise AssertionError(f"{shell[0]}: {failure}") from failure
        finally:
            m.end()


def run(command, wanted_status, wanted_output):
    answer = console("shell", "--timeout", "20", "--exec", command)
    status(answer, wanted_status)
    expect(answer[1], wanted_output, command[:200])


def a_command_gives_output_and_status():
    def test(_):
        run("echo hello", 0, b"hello\n")
        run("printf 'no line end'; false", 1, b"no line end")
        run("exit 42", 42, b"")
        run("echo a; echo b >&2; (exit 7)", 7, b"a\nb\n")
        run("", 0, b"")
        run("printf 'a\\rb\\nc'", 0, b"a\rb\nc")
        # The end of one is not the beginning of the next.
        answer = console("shell", "--exec", "echo one", "--exec", "echo two", "--exec", "exit 3", "--exec", "echo never")
        status(answer, 3)
        expect(answer[1], b"one\ntwo\n")

    with_each_shell(test)


def odd_commands_arrive_as_they_are():
    def test(_):
        run("echo \"it's\" '\"' \\\\ '!x' $HOME% `echo tick` $(echo sub) \u00e4 # and a comment", 0,
            f"it's \" \\ !x {os.environ['HOME']}% tick sub \u00e4\n".encode())
        run("for i in 1 2\ndo\n\techo $i\tx\ndone\ncat <<'END'\n\there 'and' \"there\"\nEND", 0,
            b"1 x\n2 x\n\there 'and' \"there\"\n")
        run("echo " + "long " * 3000, 0, b"long " * 2999 + b"long\n")

    with_each_shell(test)


def a_syntax_error_has_a_status():
    def test(_):
        answer = console("shell", "--timeout", "20", "--exec", "if")
        assert answer[0] in (1, 2), answer
        run("set -e; false; echo never", 1, b"")
        run("echo fine", 0, b"fine\n")

    with_each_shell(test)


def the_command_itself_is_no_answer():
    def test(_):
        answer = console("shell", "--timeout", "20", "--exec", "echo first", "--send", "printf '%s\\\\n' ok$((40 + 2))\\n",
                         "--wait-for", "ok42", "--send", "echo READY\\n", "--wait-for", "READY\n", "--exec", "echo last")
        status(answer, 0)
        assert answer[1].endswith(b"last\n"), answer[1]

    with_each_shell(test)


def much_output_arrives():
    def test(_):
        answer = console("shell", "--timeout", "50", "--exec", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        status(answer, 0)
        expect(answer[1] == b"".join(b"line %d\n" % i for i in range(20000)), True, f"{len(answer[1])} bytes")

    with_each_shell(test)


def a_command_that_takes_too_long_is_stopped():
    def test(_):
        answer = console("shell", "--timeout", "0.5", "--exec", "echo begun; sleep 1000")
        status(answer, 124)
        expect(answer[1][:6], b"begun\n")
        says(answer, "not within 0.5 s", "begun")
        run("echo free again", 0, b"free again\n")

    with_each_shell(test)


def an_interrupted_command_is_interrupted_in_the_guest():
    def test(_):
        # Said by the process that is to be interrupted: bash can miss ^C while it starts one.
        p = start("shell", "--exec", "sh -c 'echo begun; exec sleep 1000'")
        assert p.stdout.read(6) == b"begun\n"
        p.send_signal(signal.SIGINT)
        status(finish(p), -signal.SIGINT)
        run("echo free again", 0, b"free again\n")

    with_each_shell(test)


def an_end_in_the_middle_of_a_command_is_125():
    m = Machine("middle")
    p = start("middle", "--exec", "reboot -f")
    m.hear(b"reboot")
    m.end()
    answer = finish(p)
    status(answer, 125)
    says(answer, '--exec "reboot -f": the machine has ended')


TESTS = [
    bytes_go_both_ways_and_the_escape_key_leaves,
    another_escape_key_or_none,
    every_signal_restores_the_terminal,
    the_end_of_the_machine_restores_it_too,
    a_closed_standard_output_restores_it_too,
    the_window_is_told_and_its_changes,
    the_escape_key_works_while_the_guest_takes_nothing,
    stopped_it_is_the_shells_and_continued_raw_again,
    input_that_is_no_terminal_is_typed_and_its_end_is_not_ours,
    text_is_sent_with_its_escapes,
    a_literal_is_found_across_pieces,
    a_regular_expression_is_found_across_pieces,
    the_echo_is_no_answer,
    what_was_said_before_is_no_answer_to_what_is_sent,
    what_was_said_before_is_found_without_sending,
    time_out_is_124_with_the_last_lines,
    a_chatty_guest_does_not_put_off_the_end_of_time,
    a_held_match_counts_where_the_machine_ends,
    no_such_machine_names_those_that_run,
    a_console_elsewhere_names_the_remedy,
    a_second_client_is_refused,
    the_end_of_the_machine_is_an_error_of_the_step,
    wrong_usage_is_told_before_anything_is_sent,
    interrupt_ends_a_wait,
    a_command_gives_output_and_status,
    odd_commands_arrive_as_they_are,
    a_syntax_error_has_a_status,
    the_command_itself_is_no_answer,
    much_output_arrives,
    a_command_that_takes_too_long_is_stopped,
    an_interrupted_command_is_interrupted_in_the_guest,
    an_end_in_the_middle_of_a_command_is_125,
]


def main():
    chosen = [t for t in TESTS if len(sys.argv) == 1 or t.__name__ in sys.argv[1:]]
    failed = 0
    print(f"1..{len(chosen)}")
    for n, test in enumerate(chosen, 1):
        begin = time.monotonic()
        try:
            test()
            result = "ok"
        except Exception:  # whatever it is, the next tests are to run
            result = "not ok"
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            shutil.rmtree(os.path.join(WORK, "capsa"), ignore_errors=True)
        print(f"{result} {n} - {test.__name__.replace('_', ' ')}", flush=True)
        if os.environ.get("V"):
            print(f"# {time.monotonic() - begin:.2f} s", flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # past the threads that still wait for a client


main()
