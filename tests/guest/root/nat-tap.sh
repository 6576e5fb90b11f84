#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for a TAP device and network namespaces: net-nat with a real network stack as its guest (tests/bench/nat-tap.c),
# through loss, repetition and another order between guest and plugin. No outside network.
# Runs without KVM.
if [ -z "${NAT_TAP_INSIDE-}" ]; then
	NAT_TAP_INSIDE=1 exec unshare -n -- "$0" "$@"
fi
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

nat_tap=$build/tests/bench/nat-tap
transfer=$tests/root/nat-transfer.py
# The gateway stands for the host's loopback.
allowed='policy = { rules = ( { action = "allow"; group = "loopback"; }, { action = "allow"; group = "host"; } ); };'
many=$((64 << 20)) much=$((1 << 30))
# An emulator is slow where each frame is one segment.
[ -z "${CAPSA_LAB-}" ] || [ -n "${LONG-}" ] || many=$((8 << 20)) much=$((8 << 20))
ip link set lo up

# begin_tap [OPTION...]: nat-tap in the background, $pid; the guest's namespace in $inside
begin_tap() {
	"$nat_tap" --setup --counters --options "$allowed" "$@" >"$work/tap.txt" 2>"$work/messages.txt" &
	pid=$!
	wait_for_line "$work/tap.txt" '^ready' || return
	inside=$(sed -n 's/^namespace //p' "$work/tap.txt")
}

# It ends well, and has said nothing.
end_tap() {
	kill -TERM "$pid" && wait "$pid" && ! grep . "$work/messages.txt"
}

in_guest() {
	nsenter --net="$inside" -- timeout "$limit" "$@"
}

# counted NAME: a counter, after end_tap
counted() {
	sed -n "s/^$1 //p" "$work/tap.txt"
}

pings() {
	begin_tap || return
	in_guest ping -q -c 20 -i 0.01 10.0.2.1 && in_guest ping -q -c 20 -i 0.01 fd00:ca:b5a::1 || return
	end_tap && [ "$(counted malformed)" = 0 ]
}

# transfers BYTES [OPTION...]: that many each way, compared
transfers() {
	local size=$1 port server
	shift
	begin_tap "$@" || return
	"$transfer" serve "$size" >"$work/port.txt" &
	server=$!
	wait_for_line "$work/port.txt" . || return
	port=$(cat "$work/port.txt")
	in_guest "$transfer" up 10.0.2.1 "$port" "$size" && in_guest "$transfer" down 10.0.2.1 "$port" "$size" || return
	wait "$server" && end_tap
}

# The test of the test: frames were lost, and our side sent segments again.
transfers_through_loss() {
	transfers "$@" || return
	grep -E 'lost [1-9]' "$work/tap.txt" && [ "$(counted tcp_retransmits)" -gt 0 ]
}

throughput() {
	begin_tap "$@" || return
	iperf3 -s -1 -B 127.0.0.1 -p 5201 >"$work/server.txt" 2>&1 &
	wait_for_port 5201 && in_guest iperf3 -c 10.0.2.1 -t 3 >"$work/up.txt" || return
	wait $!
	iperf3 -s -1 -B 127.0.0.1 -p 5201 >"$work/server.txt" 2>&1 &
	wait_for_port 5201 && in_guest iperf3 -c 10.0.2.1 -t 3 -R >"$work/down.txt" || return
	end_tap
}

# wait_for_port PORT: somebody listens on it
wait_for_port() {
	local end=$((SECONDS + 10))
	until ss -Hltn "sport = :$1" | grep -q .; do [ $SECONDS -lt $end ] || return; done
}

[ -x "$nat_tap" ] || make -s -C "$build" tests/bench/nat-tap || exit
if [ ! -e /dev/net/tun ]; then
	skip "net-nat with a real network stack" "no /dev/net/tun"
	finish
fi
check "a TAP for a guest: ping of the gateway, both families" pings
check "$((much >> 20)) MiB each way arrive as they were" transfers $much
check "... and at MTU 65520" transfers $much --mtu 65520
check "$((many >> 20)) MiB each way without segmentation or checksums on the card" transfers $many --no-csum
check "$((many >> 20)) MiB each way through 1 % of loss between guest and plugin" transfers_through_loss $many --no-gso --lose 1
check "$((many >> 20)) MiB each way through loss, repetition and another order" \
	transfers_through_loss $many --no-gso --lose 1 --duplicate 1 --reorder 1 --seed 7
check "$((many >> 18)) MiB each way through loss of whole 64 KiB" transfers_through_loss $((4 * many)) --lose 1 --seed 3
if command -v iperf3 >/dev/null; then
	check "iperf3, both directions" throughput
fi
finish
