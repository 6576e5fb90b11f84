#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for a TAP device, network namespaces and limits: very many connections through net-nat at once, with a real
# network stack as its guest (tests/bench/nat-tap.c), and what is left of them. No KVM, no outside network.
#
# Each connection takes a descriptor of three processes: who opens it, the plugin, who is connected to. So there are as
# many as the hard limit allows; in the lab root can raise it, elsewhere it may be less.
if [ -z "${NAT_FLOWS_INSIDE-}" ]; then
	NAT_FLOWS_INSIDE=1 exec unshare -n -- "$0" "$@"
fi
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

nat_tap=$build/tests/bench/nat-tap
nat_flows=$build/tests/bench/nat-flows
allowed='policy = { rules = ( { action = "allow"; group = "host"; } ); };'
port=700
wanted=100000
few=10000
addresses=()
plugin=
server=

# ---- limits ----

# The plugin keeps an eighth of the descriptors back. What cannot be raised stays as it is.
raise_limits() {
	local need=$(((wanted + 200) * 8 / 7))
	[ "$(cat /proc/sys/fs/nr_open)" -ge $need ] || sysctl -qw fs.nr_open=$need
	[ "$(cat /proc/sys/fs/file-max)" -ge $((4 * need)) ] || sysctl -qw fs.file-max=$((4 * need))
	ulimit -n $need || ulimit -n "$(ulimit -Hn)"
} 2>/dev/null

# How many connections fit.
room() {
	local limit
	limit=$(ulimit -n)
	limit=$((limit - limit / 8 - 100))
	echo $((limit < wanted ? limit : wanted))
}

# ---- who is there ----

set_up_host() {
	local i
	ip link set lo up
	for i in 1 2 3 4 5 6 7 8; do
		ip addr add 192.0.2.$i/32 dev lo
		addresses+=("192.0.2.$i")
	done
	# Of this namespace.
	sysctl -qw net.ipv4.ip_local_port_range='1024 65535' net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096
}

# begin FLOWS: server, plugin and its guest
begin() {
	local left
	for left in $plugin $server; do # of a test that failed
		kill -KILL "$left"
		wait "$left"
	done
	"$nat_flows" serve $port >"$work/server.txt" 2>&1 &
	server=$!
	pid=$server
	wait_for_line "$work/server.txt" '^ready' || return
	"$nat_tap" --setup --counters --small-pages --options "max_flows = $1; $allowed" >"$work/tap.txt" 2>"$work/messages.txt" &
	plugin=$!
	pid=$plugin
	wait_for_line "$work/tap.txt" '^ready' || return
	inside=$(sed -n 's/^namespace //p' "$work/tap.txt")
	nsenter --net="$inside" sysctl -qw net.ipv4.ip_local_port_range='1024 65535'
}

# open_guest COUNT: who opens that many, told by step()
open_guest() {
	exec {to_client}>&- {from_client}<&-
	coproc client { exec nsenter --net="$inside" -- "$nat_flows" open "$1" $port "${addresses[@]}" 2>&1; }
	# Copies: bash closes its own when the other end has ended.
	# shellcheck disable=SC2154 # coproc sets it
	exec {from_client}<&"${client[0]}" {to_client}>&"${client[1]}"
} 2>/dev/null

# step NAME PAST: one step of all connections; its lines are in $work/steps.txt
step() {
	local line
	echo "$1" >&"$to_client" || return
	while IFS= read -r line <&"$from_client"; do
		echo "$line" >>"$work/steps.txt"
		[[ $line != "$2 "* ]] || return 0
	done
	echo "no connection is $2"
	return 1
}

# It ends well, and has said nothing.
end() {
	kill -TERM "$plugin" && wait "$plugin" && ! grep . "$work/messages.txt" || return
	kill -TERM "$server"
	wait "$server"
	plugin=
	server=
	[ "$(counted malformed)" = 0 ] && [ "$(counted flows_refused)" = 0 ]
}

# counted NAME: a counter, after end()
counted() {
	sed -n "s/^$1 //p" "$work/tap.txt"
}

# ---- what it holds ----

# look: $flows and $sockets by its own account, $descriptors and $resident (KiB) by the kernel's, $info in microseconds
look() {
	local before
	before=$(grep -c '^flows' "$work/tap.txt")
	pid=$plugin
	kill -USR1 "$plugin" || return
	wait_for_lines "$work/tap.txt" '^flows' $((before + 1)) || return
	read -r flows sockets info < <(sed -n 's/^flows \([0-9]*\) sockets \([0-9]*\) info_us \([0-9]*\)/\1 \2 \3/p' \
		"$work/tap.txt" | tail -n 1)
	descriptors=$(find "/proc/$plugin/fd" -type l | wc -l)
	resident=$(awk '/^VmRSS/ { print $2 }' "/proc/$plugin/status")
}

# wait_for_lines FILE PATTERN COUNT: as wait_for_line
wait_for_lines() {
	[ "$(grep -m "$3" -cE -- "$2" <(timeout "$limit" tail -q -n +1 -s 0.1 --pid="$pid" -f "$1" 2>/dev/null))" = "$3" ]
}

# The guest's last acknowledgements may be on their way.
look_until_none() {
	local end=$((SECONDS + 30))
	until look && [ "$flows" = 0 ]; do
		[ $SECONDS -lt $end ] || return
	done
}

# What is the same with any number of them.
is_as_before() {
	[ "$flows" = 0 ] && [ "$sockets" = 0 ] && [ "$descriptors" = "$first_descriptors" ]
}

# milliseconds PAST: how long the last such step took
milliseconds() {
	sed -n "s/^$1 [0-9]* //p" "$work/steps.txt" | tail -n 1
}

# ---- tests ----

# opened_and_closed COUNT...: one number after the other; what the first of them leaves behind, as buffers that are kept
# for the next, may stay
opened_and_closed() {
	local first_resident count
	begin $(($(printf '%s\n' "$@" | sort -n | tail -n 1) + 100)) && look || return
	first_descriptors=$descriptors
	for count in "$@"; do
		open_guest "$count" && step open opened && look || return
		[ "$flows" = "$count" ] && [ "$descriptors" = $((first_descriptors + count)) ] || return
		step echo echoed && step close closed && look_until_none && is_as_before || return
		[ -n "${first_resident-}" ] || first_resident=$resident
	done
	echo "resident: $first_resident KiB after the first time, $resident after the last"
	[ "$resident" -le $((first_resident + 1024)) ] && end
}

# rate FROM TO: the most connections a second in any of those tenths. Others may use the machine, so it is the best of
# some, and what is said of them is coarse.
rate() {
	sed -n 's/^tenth [0-9]* //p' "$work/steps.txt" | sed -n "$1,$2p" | sort -n | tail -n 1
}

# at_once COUNT: all alive, then gone. Nothing depends on how many there are: neither time nor memory of each.
at_once() {
	local before each
	begin $(($1 + 100)) && look || return
	before=$resident
	first_descriptors=$descriptors
	open_guest "$1" && step open opened && look || return
	[ "$flows" = "$1" ] && [ "$descriptors" = $((first_descriptors + $1)) ] || return
	each=$(((resident - before) * 1024 / $1))
	measured="$(rate 1 5) connections/s in the first half, $(rate 6 10) in the second; $each bytes each; info $info us"
	step echo echoed && step close closed && look_until_none && is_as_before || return
	measured+="; byte there and back $(milliseconds echoed) ms, close $(milliseconds closed) ms"
	measured+="; resident $before KiB before, $resident after"
	echo "$measured"
	# Chunks for what is not acknowledged are kept for the next: 32 of 64 KiB.
	[ "$each" -le 1024 ] && [ "$resident" -le $((before + 8192)) ] && [ $((4 * $(rate 6 10))) -ge "$(rate 1 5)" ] && end
}

# ended_by_reset COUNT: the device is reset while they are there
ended_by_reset() {
	begin $(($1 + 100)) && open_guest "$1" && step open opened && end || return
	echo "all ended in $(counted reset_us) us"
}

for program in nat-tap nat-flows; do
	[ -x "$build/tests/bench/$program" ] || make -s -C "$build" "tests/bench/$program" || exit
done
if [ ! -e /dev/net/tun ]; then
	skip "very many connections" "no /dev/net/tun"
	finish
fi
raise_limits
set_up_host
many=$(room)
if [ "$many" -lt $few ]; then
	skip "very many connections" "the limit of descriptors is $(ulimit -Hn) and cannot be raised"
	finish
fi
check "$few connections opened, alive and closed leave no flow, descriptor or memory" opened_and_closed 1000 $few
check "$many connections at once, over eight destinations, each alive" at_once "$many"
echo "# $many at once: ${measured-nothing was measured}"
check "5000 connections end with their device" ended_by_reset 5000
finish
