#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `capsa exec` and `capsa cp` without a machine: the agent serves a UNIX socket on this host, in a run-time folder that looks
# like that of a machine. So "the guest" below is this host, and each case takes milliseconds.
set -u
capsa=$CAPSA_BUILD/capsa
agent=$CAPSA_BUILD/agent/capsa-agent
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; chmod -R u+rwX "$work"; rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work/run
box=$XDG_RUNTIME_DIR/capsa/box
mkdir -p "$box"
chmod 700 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/capsa" "$box"
cd "$work" || exit
n=0

ok() {
	n=$((n + 1))
	echo "ok $n - $1"
}
not_ok() {
	n=$((n + 1))
	echo "not ok $n - $1"
	shift
	printf '%s\n' "$@" | sed 's/^/# /'
}
# check NAME FUNCTION
check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "$output"
	fi
}
# status WANTED COMMAND...
status() {
	local wanted=$1 is=0
	shift
	"$@" || is=$?
	[ $is = "$wanted" ] || {
		echo "status $is, not $wanted: $*"
		return 1
	}
}
# refused PATTERN COMMAND...
refused() {
	local pattern=$1
	shift
	if timeout 60 "$@" >refused.txt 2>&1 </dev/null; then
		echo "went well: $*"
		return 1
	fi
	grep -qE -- "$pattern" refused.txt || {
		cat refused.txt
		return 1
	}
}

# The folder's lock is held, as by a machine.
echo $$ >"$box/lock"
exec 8>>"$box/lock"
flock -n 8 || exit
"$agent" --socket "$box/agent.sock" 8>&- 2>agent.txt &
until [ -S "$box/agent.sock" ]; do kill -0 $! || exit; done

in_box() {
	timeout 60 "$capsa" exec box -- "$@"
}

streams_are_separate() {
	[ "$(in_box sh -c 'echo out; echo err >&2' 2>err.txt </dev/null)" = out ] && [ "$(cat err.txt)" = err ]
}
bytes_are_kept() {
	head -c 5000000 /dev/urandom >in
	in_box cat <in | cmp - in && in_box cat "$work/in" </dev/null >out && cmp in out
}
statuses() {
	status 0 in_box true </dev/null && status 7 in_box sh -c 'exit 7' </dev/null &&
		status 137 in_box sh -c 'kill -9 $$' </dev/null && status 127 in_box no-such 2>/dev/null </dev/null &&
		status 126 in_box /etc/passwd 2>/dev/null </dev/null && status 126 in_box / 2>/dev/null </dev/null &&
		status 125 "$capsa" exec box --workdir /nowhere true 2>err.txt </dev/null && grep -q /nowhere err.txt &&
		status 125 "$capsa" exec box --user nobody-of-that-name true 2>err.txt </dev/null && grep -q nobody-of-that-name err.txt
}
time_is_limited() {
	status 124 "$capsa" exec box --timeout 0.2 -- sh -c 'sleep 1000 & wait' 2>err.txt </dev/null &&
		grep -q 'sh: ended after 0.2 s' err.txt
}
words_are_kept() {
	[ "$(in_box printf '<%s>' 'a b' '' '*' '$HOME' '"')" = '<a b><><*><$HOME><">' ] &&
		[ "$(A=1 timeout 60 "$capsa" exec box -e A -e B=2 -e HOME sh -c 'echo "$A$B"' </dev/null)" = 12 ]
}
# Names and options in any order, up to the command.
options_stand_anywhere() {
	[ "$(timeout 60 "$capsa" exec -e X=1 box -w / sh -c 'echo $X; pwd' </dev/null)" = $'1\n/' ]
}
long_arguments() {
	local long
	long=$(head -c 100000 /dev/zero | tr '\0' x)
	[ "$(in_box sh -c 'echo ${#1}' sh "$long" </dev/null)" = 100000 ] || return
	# More than a frame holds.
	refused 'too long' "$capsa" exec box true "$long" "$long" "$long" "$long" "$long" "$long" "$long" "$long" "$long" "$long" "$long"
}
closed_descriptors() {
	status 0 in_box echo x >&- </dev/null && status 0 in_box sh -c 'echo x >&2' 2>&- </dev/null && status 0 in_box cat <&-
}
full_disk() {
	status 125 in_box echo x >/dev/full 2>err.txt </dev/null && grep -q 'cannot write standard output: No space left' err.txt
}
reader_leaves() {
	in_box yes </dev/null | head -n 1 >first.txt
	[ "${PIPESTATUS[0]}" = 141 ]
}
writer_is_ended() {
	yes | in_box true
	[ "${PIPESTATUS[0]}" = 141 ]
}
# timeout(1) and the like send one signal: a reader that takes nothing does not hold us.
readers_that_take_nothing() {
	local pid
	mkfifo stuck
	exec 6<>stuck
	env --default-signal "$capsa" exec box -- yes >&6 6>&- </dev/null &
	pid=$!
	while dd if=/dev/zero of=stuck bs=4096 count=1 oflag=nonblock status=none 2>/dev/null; do :; done
	kill -TERM $pid
	wait $pid
	[ $? = 143 ]
}
# What the command does not read stays for the next program.
input_is_left() {
	seq 200000 >numbers
	{
		in_box head -n 1 >first.txt
		cat >rest.txt
	} <numbers
	[ "$(cat first.txt)" = 1 ] && [ "$(wc -c <rest.txt)" -gt 500000 ]
}
signals_are_handed_on() {
	local line
	coproc it { exec env --default-signal "$capsa" exec box -- sh -c 'trap "echo usr1; exit 3" USR1; echo ready; while :; do sleep 0.01; done'; }
	read -rt 60 line <&"${it[0]}" && kill -USR1 "$it_PID" && read -rt 60 line <&"${it[0]}" && [ "$line" = usr1 ] || return
	wait "$it_PID"
	[ $? = 3 ]
}
deaf_commands_are_left() {
	local line pid
	coproc deaf { exec env --default-signal "$capsa" exec box -- sh -c 'trap "" INT; echo ready; exec sleep 1000'; }
	pid=$deaf_PID
	read -rt 60 line <&"${deaf[0]}" || return
	while kill -INT "$pid" 2>/dev/null; do :; done
	wait "$pid"
	[ $? = 130 ]
}
killed_clients_end_commands() {
	local line pid
	coproc gone { exec "$capsa" exec box -- sh -c 'echo $$; exec sleep 1000'; }
	pid=$gone_PID
	read -rt 60 line <&"${gone[0]}" || return
	kill -KILL "$pid"
	timeout 60 tail --pid="$line" -f /dev/null
}
a_terminal_is_one() {
	TERM=xterm script -qec "stty rows 33 cols 77; $capsa exec -t box -- sh -c 'tty; stty size'" /dev/null </dev/null >tty.txt
	tr -d '\r' <tty.txt >plain.txt
	grep -q '/dev/pts/' plain.txt && grep -q '33 77$' plain.txt
}

copies_files() {
	chmod 751 in
	"$capsa" cp in "box:$work/there" && cmp in there && [ "$(stat -c %a there)" = 751 ] &&
		"$capsa" cp "box:$work/there" back && cmp in back && "$capsa" cp - "box:$work/piped" <in && cmp in piped &&
		"$capsa" cp "box:$work/piped" - | cmp - in
}
copies_trees() {
	mkdir -p tree/deep/er into
	echo one >tree/one
	ln -s ../one tree/deep/link
	ln tree/one tree/deep/er/same
	truncate -s 3G tree/sparse
	chmod 500 tree/deep/er
	"$capsa" cp tree "box:$work/into" && "$capsa" cp "box:$work/into/tree" again || return
	[ "$(readlink again/deep/link)" = ../one ] && [ again/one -ef again/deep/er/same ] &&
		[ "$(stat -c %s again/sparse)" = 3221225472 ] && [ "$(stat -c %b again/sparse)" -lt 1000 ] &&
		[ "$(stat -c %a again/deep/er)" = 500 ] || return
	# Contents, into a folder that is there and into one that is not; a folder's own name where it has none.
	mkdir dest
	"$capsa" cp tree/. "box:$work/dest" && [ -e dest/one ] && "$capsa" cp "box:$work/tree/." new && [ -e new/one ] &&
		mkdir here && (cd here && "$capsa" cp "box:$work/tree/." .) && [ -e here/one ] &&
		(cd tree && "$capsa" cp . "box:$work/fresh") && [ -e fresh/one ] && (cd tree/deep && "$capsa" cp .. "box:$work/dest/") &&
		[ -e dest/tree/one ]
}
bad_copies() {
	refused 'nowhere: No such file' "$capsa" cp nowhere "box:$work/x" &&
		refused 'nowhere in the guest: .*No such file' "$capsa" cp "box:$work/nowhere" x && [ ! -e x ] &&
		refused 'no/where' "$capsa" cp in "box:$work/no/where" && refused 'no such folder' "$capsa" cp in "box:$work/newly/" &&
		refused 'no machine "bux" runs; these do: box' "$capsa" cp in bux:/x && refused 'must be in a machine' "$capsa" cp in x &&
		refused 'must be here' "$capsa" cp box:/a box:/b && refused 'which path' "$capsa" cp in box: &&
		refused 'directory|folder' "$capsa" cp "box:$work/tree" - && refused 'folder|directory' "$capsa" cp tree "box:$work/in" &&
		refused 'cannot write standard output' sh -c "exec '$capsa' cp 'box:$work/in' - >/dev/full"
}
interrupted_copies_leave_nothing() {
	local pid
	mkfifo fifo
	exec 7<>fifo
	env --default-signal "$capsa" cp - "box:$work/half" <fifo 7>&- &
	pid=$!
	head -c 100000 /dev/zero >&7
	until [ -n "$(find . -maxdepth 1 -name '*half*')" ]; do kill -0 $pid || return; done
	kill -TERM $pid
	wait $pid
	[ $? = 143 ]
}
names_are_told() {
	refused 'no machine "other" runs; these do: box' "$capsa" exec other true &&
		refused 'in which machine' "$capsa" exec && refused 'which command' "$capsa" exec box &&
		refused 'no option|unrecognized|invalid' "$capsa" exec box --bogus true
}
execs_at_once() {
	local i pids=() wrong=0
	for i in $(seq 200); do
		in_box sh -c "exit $((i % 100))" </dev/null &
		pids+=($!)
	done
	for i in $(seq 200); do
		wait "${pids[i - 1]}"
		[ $? = $((i % 100)) ] || wrong=$((wrong + 1))
	done
	[ $wrong = 0 ] || echo "$wrong of 200 had another status"
	[ $wrong = 0 ]
}
# A reader that does not read and does not leave: the command cannot end, but the user can.
full_pipes_do_not_hold_signals() {
	local pid
	mkfifo full
	exec 6<>full
	env --default-signal "$capsa" exec box -- sh -c "echo >$work/began; exec yes" >full 6>&- </dev/null &
	pid=$!
	until [ -e began ]; do kill -0 $pid || return; done
	while kill -TERM $pid 2>/dev/null; do :; done
	wait $pid
	[ $? = 143 ]
}
# From a terminal: whoever reads from it in the background is stopped by the kernel.
background_is_not_stopped() {
	cat >background.sh <<-END
		set -m
		"$capsa" exec box -- true &
		wait \$!
		echo "status \$?"
		"$capsa" exec box -- sh -c 'echo output; exit 3' &
		wait \$!
		echo "status \$?"
	END
	timeout 60 script -qec "bash background.sh" /dev/null </dev/null >background.txt || return
	tr -d '\r' <background.txt | grep -E '^(status|output)' | tr '\n' ' ' | grep -q 'status 0 output status 3'
}
stopped() {
	[ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = T ]
}
stopped_and_continued() {
	local line pid
	coproc stop { exec env --default-signal "$capsa" exec box -- sh -c 'echo ready; read x; echo "got $x"; exit 4'; }
	pid=$stop_PID
	read -rt 60 line <&"${stop[0]}" && kill -STOP "$pid" || return
	until stopped "$pid"; do kill -0 "$pid" || return; done
	echo word >&"${stop[1]}"
	kill -CONT "$pid"
	read -rt 60 line <&"${stop[0]}" && [ "$line" = 'got word' ] || return
	wait "$pid"
	[ $? = 4 ]
}
# As a shell does with ^Z and fg; the terminal is as it was while the command is stopped, and afterwards.
stopped_with_a_terminal() {
	cat >stop.py <<-'END'
		import os, pty, re, signal, sys, termios
		capsa, work = sys.argv[1:]
		leader, fd = pty.fork()
		if leader == 0:
		    signal.pthread_sigmask(signal.SIG_SETMASK, [])
		    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
		    before = termios.tcgetattr(0)
		    job = os.fork()
		    if job == 0:
		        os.setpgid(0, 0)
		        os.tcsetpgrp(0, os.getpid())
		        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
		        os.execv(capsa, [capsa, "exec", "-t", "box", "--", "sh", "-c", "echo ready; read x; echo got $x; exit 5"])
		    def state(text):
		        print(text, "as before" if termios.tcgetattr(0) == before else "raw", flush=True)
		    os.read(int(os.environ["GO"]), 1)
		    state("runs:")
		    os.kill(job, signal.SIGTSTP)
		    _, status = os.waitpid(job, os.WUNTRACED)
		    os.tcsetpgrp(0, os.getpgrp())
		    state("stopped: %s," % os.WIFSTOPPED(status))
		    os.tcsetpgrp(0, job)
		    os.kill(job, signal.SIGCONT)
		    _, status = os.waitpid(job, 0)
		    os.tcsetpgrp(0, os.getpgrp())
		    state("ended: %d," % os.WEXITSTATUS(status))
		    os._exit(0)
		seen, told, written = b"", False, False
		while True:
		    try:
		        piece = os.read(fd, 4096)
		    except OSError:
		        break
		    seen += piece
		    if b"ready" in seen and not told:
		        os.write(int(os.environ["TELL"]), b"x")
		        told = True
		    if re.search(rb"stopped: .*\n", seen) and not written:
		        os.write(fd, b"word\r")
		        written = True
		sys.stdout.write(seen.decode().replace("\r", ""))
	END
	mkfifo go
	exec 5<>go
	GO=5 TELL=5 timeout 60 python3 stop.py "$capsa" "$work" >stop.txt
	exec 5>&-
	grep -q '^runs: raw' stop.txt && grep -q '^stopped: True, as before' stop.txt && grep -q '^got word' stop.txt &&
		grep -q '^ended: 5, as before' stop.txt || {
		cat stop.txt
		return 1
	}
}
nohup_is_kept() {
	local pid
	mkfifo nohup.pipe
	exec 4<>nohup.pipe
	(
		trap '' INT HUP
		exec "$capsa" cp - "box:$work/kept" <nohup.pipe 4>&-
	) &
	pid=$!
	echo one >&4
	until [ -n "$(find . -maxdepth 1 -name '*kept*')" ]; do kill -0 $pid || return; done
	kill -INT $pid && kill -HUP $pid
	exec 4>&-
	wait $pid && [ "$(cat kept)" = one ]
}
odd_copies() {
	# Onto itself; into folders that take nothing; names of all sorts.
	"$capsa" cp in "box:$work/in" && [ "$(stat -c %s in)" = 5000000 ] && "$capsa" cp "box:$work/in" in &&
		[ "$(stat -c %s in)" = 5000000 ] || return
	refused '/proc/x|/proc' "$capsa" cp in box:/proc/x && refused '/proc' "$capsa" cp "box:$work/in" /proc/x || return
	echo odd >$'new\nline'
	"$capsa" cp $'new\nline' "box:$work/again/" && [ "$(cat again/$'new\nline')" = odd ] &&
		"$capsa" cp "box:$work/"$'new\nline' back.odd && [ "$(cat back.odd)" = odd ] || return
	refused 'no such folder' "$capsa" cp "box:$work/in" newly/ && [ ! -e newly ] || return
	mkfifo tube
	"$capsa" cp tube "box:$work/tube2" && [ -p tube2 ] && "$capsa" cp "box:$work/tube" tube3 && [ -p tube3 ] || return
	# Nobody reads what comes: as of cat, without a word.
	"$capsa" cp "box:$work/in" - 2>err.txt | head -c 1 >first.txt
	[ "${PIPESTATUS[0]}" = 141 ] && [ ! -s err.txt ]
}
large_files() {
	truncate -s 5G large
	echo end >>large
	"$capsa" cp large "box:$work/large2" && "$capsa" cp "box:$work/large2" large3 && [ "$(stat -c %s large3)" = 5368709124 ] &&
		[ "$(tail -c 4 large3)" = end ] && [ "$(stat -c %b large3)" -lt 1000 ]
}
# One that needs no file to say EAGAIN.
files_that_are_none() {
	[ -r /proc/kmsg ] || return 0
	timeout 60 "$capsa" cp /proc/kmsg "box:$work/kmsg" </dev/null >err.txt 2>&1
	[ $? -le 1 ]
}

begin_hostile_agent() {
	evil=$XDG_RUNTIME_DIR/capsa/evil
	mkdir -m 700 "$evil"
	echo $$ >"$evil/lock"
	exec 9>>"$evil/lock"
	flock -n 9 || exit
	python3 "$CAPSA_SOURCE/tests/unit/hostile-agent.py" "$evil/agent.sock" 8>&- 9>&- &
	until [ -S "$evil/agent.sock" ]; do kill -0 $! || exit; done
}
hostile_trees_stay_inside() {
	local tree went wrong=0
	for tree in dots up root nul empty through over hard-up hard-link leave two node controls noise deep big cut gone exit flood; do
		rm -rf jail
		mkdir -p jail/dest
		echo secret >jail/secret
		timeout 60 "$capsa" cp "evil:/$tree" jail/dest/copy >evil.txt 2>&1 </dev/null
		went=$?
		# What was whole before the stream went wrong may stay.
		[ $tree = two ] && rm -f jail/dest/copy
		if [ $went != 1 ]; then
			echo "$tree: status $went"
			wrong=1
		elif [ "$(ls -A jail)" != $'dest\nsecret' ] || [ -e /evil ] || [ "$(stat -c %h jail/secret)" != 1 ] ||
			[ -n "$(find jail -name '.capsa*' -o -type f ! -name secret ! -path 'jail/dest/copy/*')" ]; then
			echo "$tree: left"
			find jail
			wrong=1
		elif LC_ALL=C grep -q $'[\x01-\x09\x0b-\x1f]' evil.txt || [ "$(wc -l <evil.txt)" != 1 ]; then
			echo "$tree: said"
			cat -v evil.txt
			wrong=1
		fi
	done
	return $wrong
}
hostile_answers_are_told() {
	refused '^capsa: .*no command' "$capsa" cp in evil:/exit && refused '^capsa: .*evil. words' "$capsa" cp evil:/words x &&
		refused 'keep to the protocol' "$capsa" exec evil again && [ ! -e x ] || return
	# The command had ended.
	status 0 "$capsa" exec evil twice </dev/null
}
interrupted_copies_out_leave_nothing() {
	local pid
	mkdir half.out
	env --default-signal "$capsa" cp evil:/stuck half.out/copy &
	pid=$!
	until [ -n "$(ls -A half.out)" ]; do kill -0 $pid || return; done
	kill -INT $pid
	wait $pid
	[ $? = 130 ] && [ -z "$(ls -A half.out)" ]
}
# Last: the agent goes.
lost_agents_are_told() {
	local pid line
	coproc lost { exec "$capsa" exec box -- sh -c 'echo ready; exec sleep 1000' 2>lost.txt; }
	pid=$lost_PID
	read -rt 60 line <&"${lost[0]}" || return
	kill -KILL "$(jobs -p | head -n 1)" || return
	wait "$pid"
	[ $? = 125 ] && grep -q 'the agent in the guest was killed' lost.txt || return
	refused 'has no agent' "$capsa" exec box true
}

check "streams are separate" streams_are_separate
check "bytes are kept, through pipes and files" bytes_are_kept
check "statuses are the command's, 128 + signal, 127, 126, 125" statuses
check "--timeout ends the command and what it started" time_is_limited
check "arguments and environment arrive as they are" words_are_kept
check "options may stand before the name and behind it" options_stand_anywhere
check "arguments may be long, and too long" long_arguments
check "closed descriptors are none" closed_descriptors
check "a full disk is told" full_disk
check "a reader that leaves is SIGPIPE for the command" reader_leaves
check "a writer is ended by a command that does not read" writer_is_ended
check "input that is not wanted is left" input_is_left
check "a signal ends a command whose reader takes nothing" readers_that_take_nothing
check "signals are handed on" signals_are_handed_on
check "a command that ignores signals is left after some" deaf_commands_are_left
check "a client that is killed takes its command along" killed_clients_end_commands
check "a terminal is one, of the same size" a_terminal_is_one
check "cp: files, through pipes too" copies_files
check "cp: trees" copies_trees
check "cp: what is wrong is told" bad_copies
check "cp: interrupted" interrupted_copies_leave_nothing
check "mistakes are told" names_are_told
check "200 commands at once" execs_at_once
check "a reader that does not read holds no signals" full_pipes_do_not_hold_signals
check "in the background of a terminal nothing is stopped" background_is_not_stopped
check "stopped and continued" stopped_and_continued
check "stopped and continued, with a terminal" stopped_with_a_terminal
check "cp: ignored signals stay ignored" nohup_is_kept
check "cp: onto itself, odd names, odd files, a reader that leaves" odd_copies
check "cp: a file larger than 4 GiB" large_files
check "cp: a file that gives nothing yet" files_that_are_none
begin_hostile_agent
check "cp: hostile trees stay inside, whole or not" hostile_trees_stay_inside
check "hostile answers are told" hostile_answers_are_told
check "cp: interrupted, out of the machine" interrupted_copies_out_leave_nothing
check "an agent that is lost is told" lost_agents_are_told
echo "1..$n"
