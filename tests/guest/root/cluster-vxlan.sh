#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for a TAP device and network namespaces: a cluster's uplink (plugins/cluster-switch/vxlan.c) against the kernel's
# vxlan device. tests/bench/bridge-tap.c is a cluster whose one member is the network stack here. No outside network.
# Runs without KVM.
#
#   here: cluster0 10.0.3.1 ── bridge-tap, 192.0.2.1, 2001:db8:1::1
#     ├─ near0 ── veth ── far0 192.0.2.2, 2001:db8:1::2          far: vxlan0 10.0.3.2, fd00:3::2
#     └─ near1 ── veth ── third0 198.51.100.3, 2001:db8:2::3   third: vxlan0 10.0.3.3, fd00:3::3; mostly not listed
if [ -z "${CLUSTER_VXLAN_INSIDE-}" ]; then
	CLUSTER_VXLAN_INSIDE=1 exec unshare -nm -- "$0" "$@"
fi
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

bridge_tap=$build/tests/bench/bridge-tap
peer=(python3 -IS "$tests/root/nat-peer.py")
helper=(python3 -IS "$tests/root/cluster-vxlan.py")
much=$((64 << 20))
vni=7
# shellcheck disable=SC2034 # by name
declare -A near=([4]=192.0.2.1 [6]=2001:db8:1::1) far=([4]=192.0.2.2 [6]=2001:db8:1::2) third=([4]=198.51.100.3 [6]=2001:db8:2::3)

# ---- the world ----

# in_host far|third COMMAND...
in_host() {
	local name=$1
	shift
	nsenter --net="/proc/${hosts[$name]}/ns/net" -- "$@"
}

# In the background, as the job that the end of the test ends.
host_server() {
	exec nsenter --net="/proc/${hosts[$1]}/ns/net" -- "${@:2}"
}

declare -A hosts
tap=''

# connect NAME INTERFACE PEER IPV4-NET IPV6-NET: a cable from here, whose end there has what the tables above say
connect() {
	ip link add "$2" type veth peer name "$3" netns "${hosts[$1]}" && ip link set "$2" up || return
	ip address add "$4.1/24" dev "$2" && ip address add "$5::1/64" dev "$2" nodad || return
	declare -n addresses=$1
	in_host "$1" sh -e -c 'ip link set lo up
		ip link set "$1" up
		ip address add "$2/24" dev "$1"
		ip address add "$3/64" dev "$1" nodad
		ip route add default via "$4.1"
		ip route add default via "$5::1"' sh "$3" "${addresses[4]}" "${addresses[6]}" "$4" "$5" || return
	# Else its kernel takes us for a card behind the cable, that does the checksums of what is in the tunnel.
	in_host "$1" "${helper[@]}" tx-off "$3"
}

# make_host NAME: a namespace, which lives as long as somebody is in it
make_host() {
	unshare -n sh -c 'echo made; exec sleep infinity' >"$work/$1.made" &
	hosts[$1]=$!
	pid=$! wait_for_line "$work/$1.made" made
}

make_world() {
	make_host far && make_host third || return
	ip link set lo up
	connect far near0 far0 192.0.2 2001:db8:1 && connect third near1 third0 198.51.100 2001:db8:2 || return
	host_server far "${peer[@]}" serve >"$work/peer.log" 2>&1 &
	pid=$! wait_for_line "$work/peer.log" '^ready'
}

# tunnel HOST FAMILY MTU [OPTION...]: its kernel's vxlan device, as if we were the only other one
tunnel() {
	declare -n addresses=$1
	local number=2
	[ "$1" = far ] || number=3
	in_host "$1" sh -c 'ip link del vxlan0 2>/dev/null
		vni=$1 local=$2 remote=$3 mtu=$4 number=$5 && shift 5
		ip link add vxlan0 type vxlan id "$vni" local "$local" remote "$remote" dstport 4789 "$@" && ip link set vxlan0 mtu "$mtu" up &&
		ip address add "10.0.3.$number/24" dev vxlan0 && ip address add "fd00:3::$number/64" dev vxlan0 nodad' \
		sh "$vni" "${addresses[$2]}" "${near[$2]}" "$3" "$number" "${@:4}"
}

# uplink FAMILY HOST...
uplink() {
	local family=$1 text host
	shift
	text=vxlan:$vni@${near[$family]}
	for host in "$@"; do
		declare -n addresses=$host
		text+=,${addresses[$family]}
	done
	echo "$text"
}

# begin FAMILY HOST...: the cluster, with these peers. Its counters are in $work/tap.txt after `end`
begin() {
	[ -z "$tap" ] || end >/dev/null # of a check that has failed
	"$bridge_tap" --uplink "$(uplink "$@")" --address 10.0.3.1 --prefix6 fd00:3::/64 >"$work/tap.txt" 2>"$work/messages.txt" &
	tap=$!
	pid=$tap wait_for_line "$work/tap.txt" '^ready' || return
	ip address add 10.0.3.1/24 dev cluster0 && ip address add fd00:3::1/64 dev cluster0 nodad
}

end() {
	local pid=$tap
	tap=''
	kill -TERM "$pid" && wait "$pid" && ! grep . "$work/messages.txt" && [ "$(counted send_failed)" = 0 ]
}

# counted NAME
counted() {
	sed -n "s/^$1 //p" "$work/tap.txt"
}

# received HOST: frames that its vxlan device has had from us
received() {
	in_host "$1" cat /proc/net/dev | awk '/vxlan0:/ { print $3 }'
}

# pings ADDRESS [COMMAND...]: ten come back, of small packets and of large ones; from where COMMAND is
pings() {
	local address=$1
	shift
	for size in 56 1350 9000; do
		"$@" ping -q -c 10 -i 0.01 -w 10 -s "$size" "$address" || return
	done
}

# ---- checks ----

# ping_both_ways FAMILY MTU [OPTION...]
ping_both_ways() {
	tunnel far "$@" && begin "$1" far || return
	for net in 10.0.3. fd00:3::; do
		pings "${net}2" && pings "${net}1" in_host far || return
	done
	end && [ "$(counted sent)" -gt 100 ] && [ "$(counted received)" -gt 100 ]
}

# transfers FAMILY MTU: compared at both ends
transfers() {
	tunnel far "$1" "$2" && begin "$1" far || return
	"${peer[@]}" transfer 10.0.3.2 "$much" && "${peer[@]}" transfer fd00:3::2 "$much" && end
}

# set_path MTU: of the cable to the far host
set_path() {
	ip link set near0 mtu "$1" && in_host far ip link set far0 mtu "$1"
}

# smaller_path FAMILY: than it was when the tunnel began
smaller_path() {
	tunnel far "$1" 1500 && begin "$1" far && set_path 1400 || return
	"${peer[@]}" transfer 10.0.3.2 $((8 << 20)) && set_path 1500 && end
}

# tags FAMILY: VLANs of both kinds of numbers, priorities, and priority alone
tags() {
	tunnel far "$1" 1450 && begin "$1" far || return
	host_server far "${helper[@]}" echo-tagged vxlan0 >"$work/echo.txt" 2>&1 &
	local echo=$!
	pid=$echo wait_for_line "$work/echo.txt" '^ready' || return
	timeout "$limit" "${helper[@]}" ask-tagged cluster0 1 4094 $((7 << 13 | 100)) $((3 << 13)) || return
	kill "$echo"
	end
}

# Its tunnel is right but for that we do not list it.
who_is_not_listed() {
	tunnel far "$1" 1450 && tunnel third "$1" 1450 && begin "$1" far || return
	! in_host third ping -q -c 5 -i 0.01 -w 1 10.0.3.1 && ! ping -q -c 5 -i 0.01 -w 1 10.0.3.3 && pings 10.0.3.2 || return
	end && [ "$(counted foreign)" -gt 0 ] && [ "$(received third)" = 0 ]
}

# They are a full mesh by themselves, or would be.
from_peer_to_peer() {
	tunnel far "$1" 1450 && tunnel third "$1" 1450 && begin "$1" far third || return
	pings 10.0.3.2 && pings 10.0.3.3 && ! in_host third ping -q -c 5 -i 0.01 -w 1 10.0.3.2 || return
	end && [ "$(counted foreign)" = 0 ]
}

# What is known is sent to the one only.
learned() {
	local before
	tunnel far "$1" 1450 && tunnel third "$1" 1450 && begin "$1" far third && pings 10.0.3.2 || return
	before=$(received third)
	ping -q -c 200 -i 0.002 -w 10 10.0.3.2 && [ "$(($(received third) - before))" -lt 100 ] && end
}

other_vni() {
	vni=8 tunnel far "$1" 1450 && begin "$1" far || return
	! in_host far ping -q -c 5 -i 0.01 -w 1 10.0.3.1 || return
	end && [ "$(counted malformed)" -gt 0 ] && [ "$(counted received)" = 0 ]
}

# Somebody there has the address of our member: neither is our member's frames' way changed, nor it is heard.
stolen_mac() {
	tunnel far "$1" 1450 && begin "$1" far && pings 10.0.3.2 || return
	in_host far sh -c 'ip link set vxlan0 down && ip link set vxlan0 address 02:00:00:00:00:01 up' || return
	! in_host far ping -q -c 5 -i 0.01 -w 1 10.0.3.1 || return
	end
}

[ -x "$bridge_tap" ] || make -s -C "$build" tests/bench/bridge-tap || exit
if [ ! -e /dev/net/tun ]; then
	skip "a cluster's tunnel with the kernel's" "no /dev/net/tun"
	finish
fi
modprobe -q vxlan
if ! ip link add vxlan0 type vxlan id 1 dstport 4789 2>/dev/null; then
	skip "a cluster's tunnel with the kernel's" "this kernel has no vxlan"
	finish
fi
ip link del vxlan0
make_world >"$work/setup.log" 2>&1 || {
	echo "not ok - the network"
	tail -n 20 "$work"/*.log
	exit 1
}
for family in 4 6; do
	check "IPv$family below: ping both ways, both families" ping_both_ways $family 1450
	check "... and where no packet fits the path: in fragments" ping_both_ways $family 1500
	check "... and without checksums of the tunnel's" ping_both_ways $family 1450 noudpcsum udp6zerocsumtx
	check "... $((much >> 20)) MiB of TCP each way, both families, are what they were" transfers $family 1430
	check "... and by members that know nothing of the tunnel's headers" transfers $family 1500
	check "... and when the path's MTU shrinks" smaller_path $family
	check "... frames with VLAN tags keep them" tags $family
	check "... a host that is not listed is not heard, and gets nothing" who_is_not_listed $family
	check "... nothing passes from peer to peer" from_peer_to_peer $family
	check "... unicast goes to the peer that has the address" learned $family
	check "... another VNI is not heard" other_vni $family
	check "... nor is a host with a member's MAC address" stolen_mac $family
done
finish
