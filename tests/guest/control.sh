#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The control socket of a machine that runs: what it tells, pause and resume, and the ways to the end; ls, info, stop, kill.
. "$(dirname "$(realpath "$0")")/lib.sh"

# request NAME METHOD PATH: the body into $work/body.txt, the status into $status
request() {
	status=$(curl -sS --max-time 60 --unix-socket "$XDG_RUNTIME_DIR/capsa/$1/control.sock" -o "$work/body.txt" -w '%{http_code}' \
		-X "$2" "http://machine$3")
}

# body FILTER: the last answer, through jq
body() {
	jq -er "$1" "$work/body.txt"
}

# A guest that tells its clock for every line that it hears.
clock='echo settled; while read -r x; do echo "clock $x $(date +%s) $(cut -d. -f1 /proc/uptime)"; done'

# ask_clock WORD: $guest_time, $guest_uptime; the host's time was $asked_at before and $heard_at after
ask_clock() {
	local line
	asked_at=$EPOCHSECONDS
	tell "$1"
	hear "^clock $1" || return
	heard_at=$EPOCHSECONDS
	line=$(tr -d '\r' <"$work/console.txt" | grep "^clock $1 " | tail -n 1)
	read -r _ _ guest_time guest_uptime <<<"$line"
}

# The machine of the next checks.
starts() {
	machine box 'cpus = 2;'
	attended box --append "quiet $(run_words "$clock")"
	hear settled
}

is_described() {
	request box GET /vm || return
	[ "$status" = 200 ] && [ "$(body .name)" = box ] && [ "$(body .state)" = running ] && [ "$(body .pid)" = "$pid" ] &&
		[ "$(body .cpus)" = 2 ] && [ "$(body .memory)" = $((192 << 20)) ] && body '.uptime_seconds > 0' &&
		body '.cmdline | test("quiet capsa.run=")' && body '.kernel | test("vmlinuz")' &&
		[ "$(body '[.devices[] | .name + ":" + .plugin] | join(" ")')" = "console0:console rng0:rng" ]
}

tells_how_it_started() {
	request box GET /vm/timeline || return
	body '[.[].name] == ["process start", "file read", "plugins loaded", "kernel opened", "devices realized",
		"devices attached", "kernel mapped", "machine built", "first KVM_RUN"]' || return
	body '[.[].ts_ns] | . == sort' || return
	"$capsa" info box --plot "$work/start.svg" --trace "$work/start.json" || return
	python3 -c 'import sys, xml.etree.ElementTree as t; t.parse(sys.argv[1])' "$work/start.svg" || return
	jq -e '.traceEvents | length == 9 and all(.ph == "X")' "$work/start.json"
}

# Each line is a comment or a sample, each name has one TYPE above its samples.
metrics_are_prometheus() {
	request box GET /metrics || return
	python3 - "$work/body.txt" <<'END'
import re, sys
types, current, samples = {}, None, {}
for line in open(sys.argv[1]):
    comment = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)\n", line)
    if comment:
        kind, current, text = comment.groups()
        assert kind == "HELP" or (current not in types and text in ("counter", "gauge")), line
        if kind == "TYPE":
            types[current] = text
        continue
    name, label, value = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"\})? ([0-9.e+-]+)\n', line).groups()
    assert name == current and name in types, line
    samples[name + (label or "")] = float(value)
print(samples)
assert samples["process_cpu_seconds_total"] > 0.1
assert samples["process_resident_memory_bytes"] > samples["capsa_private_memory_bytes"] > 1 << 20
assert samples["capsa_vcpus"] == 2 and samples["capsa_memory_bytes"] == 192 << 20
assert samples['capsa_vcpu_exits_total{reason="io"}'] > 0
assert any(name.startswith("capsa_device_") and 'device="rng0"' in name for name in samples)
END
}

# The time that passes in the guest is the host's. Not the clocks themselves are compared: those of an emulated host under
# load may differ from the start by seconds.
pause_stops_the_guest_and_its_clock_is_right_after() {
	local guest uptime asked heard passed
	ask_clock before || return
	guest=$guest_time uptime=$guest_uptime asked=$asked_at heard=$heard_at
	for _ in 1 2; do
		request box PUT /vm/pause || return
		[ "$status" = 200 ] && [ "$(body .state)" = paused ] || return
	done
	[ "$("$capsa" ls --json | jq -r '.machines[0].state')" = paused ] || return
	tell paused
	# The guest has three seconds to show that it is not paused.
	if read -rt 3 -u "${console[0]}" line; then
		echo "the paused guest said: $line"
		return 1
	fi
	for _ in 1 2; do
		request box PUT /vm/resume || return
		[ "$status" = 200 ] && [ "$(body .state)" = running ] || return
	done
	hear '^clock paused' || return
	ask_clock after || return
	passed=$((guest_time - guest))
	echo "guest: $passed s (up $uptime, then $guest_uptime), host: $((asked_at - heard)) to $((heard_at - asked)) s"
	[ $passed -ge $((asked_at - heard - 2)) ] && [ $passed -le $((heard_at - asked + 2)) ] && [ $passed -ge 3 ] || return
	[ $((guest_uptime - uptime)) -ge 3 ] || return
	request box GET /vm && body '.paused_seconds >= 3'
}

many_pauses_lose_nothing() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		request box PUT /vm/pause && request box PUT /vm/resume || return
	done
	ask_clock many
}

verbs_tell_of_it() {
	"$capsa" ls >"$work/ls.txt" && "$capsa" info box >"$work/info.txt" || return
	grep -qE "^box +$pid  running +2 +192M  [0-9]" "$work/ls.txt" || return
	grep -q '^device   rng0: rng' "$work/info.txt" && grep -qE '^ +[0-9.]+ ms  first KVM_RUN' "$work/info.txt" || return
	"$capsa" info box --json >"$work/info.json" && jq -e '.name == "box" and (.timeline | length == 9)' "$work/info.json" || return
	# The console has spoken, and nothing of the rng's is left to do.
	jq -e '.devices | map({ (.plugin): .queues }) | add |
		(.console[1].notifications > 0) and (.rng[0] | .waiting == 0 and .in_flight == 0)' "$work/info.json"
}

# Two wait for the end, one of them as a verb.
stop_waits_for_the_end() {
	local waiter
	curl -sSv --unix-socket "$XDG_RUNTIME_DIR/capsa/box/control.sock" http://machine/vm/end >"$work/end.txt" 2>"$work/waiter.txt" &
	waiter=$!
	wait_for_line "$work/waiter.txt" '^> GET' || return
	"$capsa" stop box || return
	[ ! -e "$XDG_RUNTIME_DIR/capsa/box" ] || return
	wait $waiter || return
	wait "$pid" || return
	jq -e '.end == "powered-off" and .text == ""' "$work/end.txt" && ! grep -q 'is ended' "$work/messages.txt" || return
	! "$capsa" stop box 2>"$work/said.txt" && grep -q 'no machine "box" runs' "$work/said.txt"
}

# SIGTERM at a machine that stands still.
a_paused_one_powers_off() {
	machine still
	attended still --append "quiet $(run_words 'echo listening; read -r x; sleep 1000')"
	hear listening || return
	request still PUT /vm/pause && [ "$status" = 200 ] || return
	kill -TERM "$pid"
	wait "$pid" && grep -q 'asking the guest to power off' "$work/messages.txt" && ! grep -q 'is ended' "$work/messages.txt"
}

deaf='killall acpid; echo deaf; sleep 1000'

kill_ends_what_is_paused_deaf_or_stopped() {
	local status=0
	machine deaf 'stop_timeout = 1000;'
	attended deaf --append "quiet $(run_words "$deaf")"
	hear deaf || return
	"$capsa" stop deaf --timeout 1 2>"$work/said.txt" || status=$?
	[ $status = 1 ] && grep -q 'did not power off within 1 s' "$work/said.txt" || return
	request deaf PUT /vm/pause && [ "$status" = 409 ] || return
	"$capsa" kill deaf && [ ! -e "$XDG_RUNTIME_DIR/capsa/deaf" ] || return
	wait "$pid" || return
	# These two need not get far.
	machine still2
	attended still2 --append "quiet $(run_words "$deaf")"
	until [ -S "$XDG_RUNTIME_DIR/capsa/still2/control.sock" ]; do kill -0 "$pid" || return; done
	request still2 PUT /vm/pause && [ "$status" = 200 ] && "$capsa" kill still2 || return
	wait "$pid" || return
	attended still2 --append "quiet $(run_words "$deaf")"
	until [ -S "$XDG_RUNTIME_DIR/capsa/still2/control.sock" ]; do kill -0 "$pid" || return; done
	kill -STOP "$pid"
	"$capsa" ls >"$work/ls.txt" || return
	grep -qE "^still2 +$pid  not answering" "$work/ls.txt" || return
	"$capsa" kill still2 && [ ! -e "$XDG_RUNTIME_DIR/capsa/still2" ] || return
	! kill -0 "$pid" 2>/dev/null || ! wait "$pid"
}

for tool in curl jq python3; do
	command -v $tool >/dev/null || {
		skip "control socket" "$tool is missing"
		finish
	}
done
check "a machine starts" starts
check "GET /vm tells what it is" is_described
check "its start is told, drawn and traced" tells_how_it_started
check "its metrics are Prometheus text" metrics_are_prometheus
check "a paused guest stands still, and its clock is right afterwards" pause_stops_the_guest_and_its_clock_is_right_after
check "ten pauses in a row lose nothing" many_pauses_lose_nothing
check "ls and info tell of it" verbs_tell_of_it
check "stop returns when it has ended, and GET /vm/end tells how" stop_waits_for_the_end
check "a paused machine powers off at SIGTERM" a_paused_one_powers_off
check "kill ends a machine that is deaf, paused or stopped" kill_ends_what_is_paused_deaf_or_stopped
finish
