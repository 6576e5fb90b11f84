#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vsock with a stock kernel: bytes and messages arrive in both directions, ends are clean, nothing is lost or left.
. "$(dirname "$(realpath "$0")")/lib.sh"

socket=$work/v.sock
size=$((64 << 20))

# make_files DIR: the peer, and an initramfs that has it
make_files() {
	mkdir -p "$1" && cc -static -O2 -o "$1/vsock-peer" "$tests/vsock-peer.c" &&
		"$top/packaging/mkinitramfs" -k "$kernels/cloud" -o "$1/vsock.initrd" -z none -a "$1/vsock-peer:/bin/vsock-peer" \
			-m 'virtio_pci virtio_console vmw_vsock_virtio_transport' -M 'virtio-rng button evdev pvpanic-pci'
}

# Where they were made before (`vsock.sh prepare`), which is faster outside of an emulator.
prepare() {
	local made=$build/tests/guest
	[ "$made/vsock.initrd" -nt "$tests/vsock-peer.c" ] && [ "$made/vsock.initrd" -nt "$kernels/cloud/vmlinuz" ] || {
		made=$work
		make_files "$made" || return
	}
	peer=$made/vsock-peer
	initrd=$made/vsock.initrd
}

# with_vsock NAME [LINE...]: a machine with the device
with_vsock() {
	local name=$1
	shift
	machine "$name" "boot = { kernel = \"$kernels/cloud/vmlinuz\"; initrd = \"$initrd\"; };" \
		"vsock = { socket = \"$socket\"; ports = (
			{ port = 3000; path = \"$work/stream\"; }, { port = 3001; path = \"$work/messages\"; type = \"seqpacket\"; },
			{ port = 3002; path = \"$work/app\"; mode = \"connect\"; } ); };" "$@"
}

# serve NAME WORD...: a peer of the host in the background, ready; $served is its process
serve() {
	local name=$1
	shift
	"$peer" "$@" >"$work/$name.txt" 2>&1 &
	served=$!
	pid=$served wait_for_line "$work/$name.txt" '^listening'
}

nothing_is_left() {
	local left
	left=$(find "$work" -type s ! -name 'v.sock_*' ! -name app)
	[ -z "$left" ] || {
		echo "left: $left"
		return 1
	}
}

guest_to_host() {
	with_vsock up
	serve sink -c listen "unix:${socket}_1000" sink || return
	guest up "vsock-peer -c connect vsock:2:1000 source $size" || return
	wait "$served" && grep "^sink $size " "$work/sink.txt" && nothing_is_left
}

# Into a listening port, by CONNECT, and out of the host's end of a guest's connection.
host_to_guest() {
	with_vsock down
	serve source -c listen "unix:$work/app" source $size || return
	attended down --append "$(run_words "vsock-peer -c listen vsock:4294967295:3000 sink && vsock-peer -c listen vsock:4294967295:77 sink &&
		vsock-peer -c connect vsock:2:3002 sink")"
	hear listening && "$peer" -c connect "unix:$work/stream" source $size || return
	hear listening && "$peer" -c connect "via:77:$socket" source $size || return
	hear 'capsa.run exit 0' && wait "$served" && wait "$pid" && nothing_is_left
}

# Back and forth, so both directions at once; with their boundaries.
messages_keep_their_boundaries() {
	with_vsock messages
	serve echo -s listen "unix:${socket}_1000" echo || return
	attended messages --append "$(run_words "vsock-peer -s connect vsock:2:1000 messages && vsock-peer -s listen vsock:4294967295:3001 echo")"
	hear listening && "$peer" -s connect "unix:$work/messages" messages || return
	hear 'capsa.run exit 0' && wait "$served" && wait "$pid"
}

# Each ends its direction first, waits for the answer and the end: half-closed connections in numbers.
short_connections() {
	local limit=$((4 * limit)) # each connection costs some twenty exits of the guest
	with_vsock short
	serve echo -n 10000 listen "unix:${socket}_1000" echo || return
	attended short --append "$(run_words "vsock-peer -n 10000 connect vsock:2:1000 short && vsock-peer -n 10000 listen vsock:4294967295:3000 echo")"
	hear 'short 10000 failed 0' && hear listening && "$peer" -n 10000 connect "unix:$work/stream" short || return
	hear 'capsa.run exit 0' && wait "$served" && wait "$pid"
}

nobody_listens() {
	with_vsock nobody
	attended nobody --append "$(run_words "vsock-peer connect vsock:2:4711 hold; vsock-peer connect vsock:9:4711 hold; echo ready; read line")"
	hear ready || return
	"$peer" connect "via:4711:$socket" hold && return 1
	tell '' && hear 'capsa.run' && wait "$pid"
	says 'Connection reset by peer'
}

a_peer_that_is_killed() {
	with_vsock killed
	serve hold listen "unix:${socket}_1000" hold || return
	attended killed --append "$(run_words 'vsock-peer connect vsock:2:1000 hold')"
	hear held || return
	kill -KILL "$served"
	hear released && hear 'capsa.run exit 0' && wait "$pid"
}

# The second life finds its device working, and the host's end of the first was closed.
a_reboot_with_open_connections() {
	with_vsock reboot 'on_reboot = "restart";'
	serve hold listen "unix:${socket}_1000" hold || return
	attended reboot --append "$(run_words 'until vsock-peer connect vsock:2:1001 source 1000; do
		vsock-peer connect vsock:2:1000 hold | while read line; do reboot -f; done; done 2>/dev/null')"
	wait "$served" && grep released "$work/hold.txt" || return
	serve sink listen "unix:${socket}_1001" sink || return
	hear 'capsa.run exit 0' && wait "$served" && wait "$pid" && nothing_is_left
}

a_socket_in_use() {
	with_vsock used
	serve other listen "unix:$socket" hold || return
	run_machine used && return 1
	kill "$served"
	rm -f "$socket"
	grep -q "used.conf:[0-9]*: vsock: another process listens on $socket" "$work/messages.txt"
}

if [ "${1-}" = prepare ]; then
	make_files "$build/tests/guest"
	exit
fi
if ! prepare >"$work/prepare.txt" 2>&1; then
	sed 's/^/  | /' "$work/prepare.txt"
	skip "vsock" "no static C library, or no kernel"
	finish
fi
check "guest to host: 64 MiB arrive as they were sent" guest_to_host
check "host to guest: 64 MiB arrive, three ways" host_to_guest
check "seqpacket: 500 messages each way keep their boundaries" messages_keep_their_boundaries
check "10,000 short connections each way, none lost" short_connections
check "ports that nobody listens to are refused" nobody_listens
check "a host's peer that is killed ends the guest's connection" a_peer_that_is_killed
check "a guest that reboots with open connections" a_reboot_with_open_connections
check "a socket that another process listens on is refused" a_socket_in_use
finish
