#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for a TAP device and network namespaces: net-nat between a real network stack as its guest (tests/bench/nat-tap.c)
# and programs that people use, a server that misbehaves (nat-peer.py), and a network that does. No outside network.
# Runs without KVM. With NAT_PEERS=netem, as nat-netem.sh sets it: what takes tc-netem(8), and only that.
#
#   guest ── nat-tap ── here: near0 203.0.113.1 ── veth ── far0 203.0.113.80: the far side
#                                                         └─ 198.51.100.0/24, 2001:db8:1::/64: what is behind it
if [ -z "${NAT_PEERS_INSIDE-}" ]; then
	NAT_PEERS_INSIDE=1 exec unshare -nm -- "$0" "$@"
fi
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

nat_tap=$build/tests/bench/nat-tap
peer=(python3 -IS "$tests/root/nat-peer.py")
far4=203.0.113.80 far6=2001:db8::80
behind4=198.51.100.80 behind6=2001:db8:1::80
much=$((64 << 20))

# ---- the world ----

far() {
	nsenter --net="/proc/$far_pid/ns/net" -- "$@"
}

# In the background, as the job that the end of the test ends.
far_server() {
	exec nsenter --net="/proc/$far_pid/ns/net" -- "$@"
}

# set_value FILE VALUE: of /proc/sys/net, here
set_value() {
	echo "$2" >"/proc/sys/net/$1"
}

make_world() {
	# A namespace lives as long as somebody is in it.
	coproc far_side { exec unshare -n sh -c 'echo made; exec cat'; }
	# shellcheck disable=SC2154 # coproc sets it
	read -r _ <&"${far_side[0]}"
	far_pid=$far_side_PID
	ip link set lo up
	ip link add near0 type veth peer name far0 netns "$far_pid" || return
	set_value ipv4/ping_group_range "0 2147483647"
	set_value ipv6/conf/near0/keep_addr_on_down 1
	set_value ipv4/neigh/near0/retrans_time_ms 200
	set_value ipv6/neigh/near0/retrans_time_ms 200
	ip link set near0 up
	ip address add 203.0.113.1/24 dev near0
	ip address add 2001:db8::1/64 dev near0 nodad
	far sh -e -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
		echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
		ip link set lo up
		ip link set far0 up
		ip address add "$1/24" dev far0
		ip address add "$2/64" dev far0 nodad
		ip address add "$3/32" dev lo
		ip address add "$4/128" dev lo
		for kind in blackhole:1 unreachable:2 prohibit:3; do
			ip route add "${kind%:*}" "198.51.100.${kind#*:}"
			ip route add "${kind%:*}" "2001:db8:1::${kind#*:}"
		done' sh $far4 $far6 $behind4 $behind6 || return
	make_routes
}

make_routes() {
	ip route add default via $far4 && ip route add default via $far6 dev near0
}

# An account whose home is the test's own, for dropbear.
make_account() {
	mkdir -p "$work/home/.ssh" && chmod 755 "$work/home" && chmod 700 "$work/home/.ssh" || return
	echo "root:x:0:0:root:$work/home:/bin/sh" >"$work/passwd"
	dropbearkey -t ed25519 -f "$work/host.key" && dropbearkey -t ed25519 -f "$work/user.key" || return
	dropbearkey -y -f "$work/user.key" | grep '^ssh-' >"$work/home/.ssh/authorized_keys"
	chmod 600 "$work/home/.ssh/authorized_keys"
	mount --bind "$work/passwd" /etc/passwd
}

start_servers() {
	mkdir -p "$work/www/up" "$work/nginx" && "${peer[@]}" text $much >"$work/www/file" && head -c $((8 << 20)) "$work/www/file" >"$work/some" || return
	echo "a page" >"$work/www/page"
	cat >"$work/nginx.conf" <<-END
		daemon off; master_process off; worker_processes 1; pid $work/nginx/pid; error_log stderr crit;
		events { worker_connections 1024; }
		http {
			access_log off; client_max_body_size 1g; client_body_temp_path $work/nginx/t1;
			proxy_temp_path $work/nginx/t2; fastcgi_temp_path $work/nginx/t3; uwsgi_temp_path $work/nginx/t4; scgi_temp_path $work/nginx/t5;
			server { listen 80; listen [::]:80; root $work/www; location /up/ { dav_methods PUT; } }
		}
	END
	far_server nginx -c "$work/nginx.conf" 2>"$work/nginx.log" &
	far_server iperf3 -s >"$work/iperf3.log" 2>&1 &
	far_server dropbear -F -E -r "$work/host.key" -p 22 -P "$work/dropbear.pid" 2>"$work/dropbear.log" &
	far_server "${peer[@]}" serve >"$work/peer.log" 2>&1 &
	pid=$! wait_for_line "$work/peer.log" '^ready' && wait_until far_listens 80 && wait_until far_listens 5201 && wait_until far_listens 22
}

far_listens() {
	far ss -Hltn "sport = :$1" | grep -q .
}

# wait_until COMMAND...: it succeeds, within ten seconds
wait_until() {
	local end=$((SECONDS + 10))
	until "$@"; do [ $SECONDS -lt $end ] || return; done
}

# ---- the guest ----

# begin_tap [OPTION...]: nat-tap in the background, $pid; the guest's namespace in $inside
begin_tap() {
	"$nat_tap" --setup --counters "$@" >"$work/tap.txt" 2>"$work/messages.txt" &
	pid=$!
	wait_for_line "$work/tap.txt" '^ready' || return
	inside=$(sed -n 's/^namespace //p' "$work/tap.txt")
	idle=$(descriptors)
}

descriptors() {
	find "/proc/$pid/fd" -type l | wc -l
}

is_idle() {
	[ "$(descriptors)" = "$idle" ]
}

# Of no connection a descriptor is left. It ends well, and has said nothing.
end_tap() {
	wait_until is_idle || echo "left: $(ss -antp | grep nat-tap)"
	is_idle && end_tap_at_once
}

# Conversations without an end, of UDP and ping, have descriptors until they expire.
end_tap_at_once() {
	kill -TERM "$pid" && wait "$pid" && ! grep . "$work/messages.txt" && grep '^malformed 0' "$work/tap.txt"
}

in_guest() {
	nsenter --net="$inside" -- timeout "$limit" "$@"
}

# both_families CASE: of nat-peer.py
both_families() {
	begin_tap && in_guest "${peer[@]}" "$1" $far4 && in_guest "${peer[@]}" "$1" $far6 && end_tap
}

# ---- programs ----

pings() {
	begin_tap || return
	for address in $far4 $far6 $behind4 $behind6; do
		in_guest ping -q -c 10 -i 0.01 $address | tee "$work/ping.txt" && grep -q ' 10 received' "$work/ping.txt" || return
	done
	end_tap_at_once
}

fetches() {
	begin_tap || return
	for host in $far4 "[$far6]"; do
		in_guest curl -sS --fail -o "$work/fetched" "http://$host/file" && cmp "$work/www/file" "$work/fetched" || return
	done
	end_tap
}

# Each line of the answers: status, bytes, and whether a connection had to be made.
many_requests() {
	begin_tap || return
	for host in $far4 "[$far6]"; do
		in_guest curl -sS --parallel --parallel-max 20 -o /dev/null -w '%{http_code} %{size_download} %{num_connects}\n' "http://$host/page?[1-200]" \
			>"$work/answers.txt" || return
		[ "$(grep -c '^200 7 ' "$work/answers.txt")" = 200 ] && [ "$(grep -c ' 0$' "$work/answers.txt")" -ge 150 ] || return
	done
	end_tap
}

uploads() {
	begin_tap || return
	for host in $far4 "[$far6]"; do
		rm -f "$work/www/up/file"
		in_guest curl -sS --fail -T "$work/www/file" "http://$host/up/file" && cmp "$work/www/file" "$work/www/up/file" || return
	done
	end_tap
}

# ssh_moves COMMAND...: a client's command line, up to the host: a command's status, and 8 MiB there and back
ssh_moves() {
	"$@" 'cat; exit 7' <"$work/some" >"$work/back"
	[ $? = 7 ] && cmp "$work/some" "$work/back"
}

ssh_out() {
	begin_tap || return
	for host in $far4 $far6; do
		ssh_moves in_guest dbclient -y -y -i "$work/user.key" root@$host || return
	done
	end_tap
}

# listening_port ADDRESS: $port, the one that is open there
listening_port() {
	port=$(ss -Hltn | awk -v a="$1" '{ gsub(/[][]/, "", $4); n = match($4, /:[0-9]+$/) } substr($4, 1, n - 1) == a { print substr($4, n + 1) }')
	[ -n "$port" ]
}

ssh_in() {
	local server host port
	begin_tap --options 'forward = [ "tcp:127.0.0.1:0:22", "tcp:[::1]:0:22" ];' || return
	nsenter --net="$inside" -- dropbear -F -E -r "$work/host.key" -p 22 -P "$work/dropbear2.pid" 2>"$work/dropbear2.log" &
	server=$!
	wait_until in_guest sh -c 'ss -Hltn "sport = :22" | grep -q .' || return
	for host in 127.0.0.1 ::1; do
		listening_port $host && ssh_moves dbclient -y -y -i "$work/user.key" -p "$port" root@$host || return
	done
	kill $server
	end_tap
}

throughput() {
	local host
	begin_tap || return
	for host in $far4 $far6; do
		in_guest iperf3 -c $host -P 8 -t 1 >"$work/up.txt" && in_guest iperf3 -c $host -P 8 -t 1 -R >"$work/down.txt" || return
		grep '^iperf Done' "$work/up.txt" "$work/down.txt" | wc -l | grep -qx 2 || return
	done
	end_tap
}

# ---- a server that misbehaves ----

refused() {
	begin_tap || return
	for host in $far4 $far6; do
		in_guest "${peer[@]}" connect $host 9 ECONNREFUSED 5 && in_guest "${peer[@]}" datagram $host 9 ECONNREFUSED || return
	done
	end_tap_at_once
}

# No route behind, a filter behind, nobody there on the cable.
unreachable() {
	begin_tap || return
	in_guest "${peer[@]}" connect 198.51.100.2 80 EHOSTUNREACH 5 && in_guest "${peer[@]}" connect 2001:db8:1::2 80 'EHOSTUNREACH|ENETUNREACH' 5 &&
		in_guest "${peer[@]}" connect 198.51.100.3 80 'EHOSTUNREACH|EACCES' 5 && in_guest "${peer[@]}" connect 2001:db8:1::3 80 'EHOSTUNREACH|EACCES' 5 &&
		in_guest "${peer[@]}" connect 203.0.113.99 80 EHOSTUNREACH 5 && in_guest "${peer[@]}" connect 2001:db8::99 80 EHOSTUNREACH 5 &&
		end_tap
}

# of_black_holes EXPECTED SECONDS: nat-peer.py's connect, of both families at once
of_black_holes() {
	local other
	in_guest "${peer[@]}" connect 2001:db8:1::1 80 "$@" &
	other=$!
	in_guest "${peer[@]}" connect 198.51.100.1 80 "$@" && wait $other
}

# The guest gives up after one second, this host's kernel after three.
black_hole() {
	begin_tap && set_value ipv4/tcp_syn_retries 1 && of_black_holes - 1 && end_tap
}

# The guest's own patience is a minute and more.
black_hole_is_told() {
	begin_tap && set_value ipv4/tcp_syn_retries 1 && of_black_holes EHOSTUNREACH 30 && end_tap
}

# ---- a network that misbehaves ----

have_netem() {
	modprobe -q sch_netem
	tc qdisc add dev near0 root netem limit 1000 2>/dev/null && tc qdisc del dev near0 root
}

# through ADDRESS NETEM...: 64 MiB each way while both ends of the cable do that
through() {
	local address=$1 status
	shift
	begin_tap && tc qdisc add dev near0 root netem limit 10000 "$@" && far tc qdisc add dev far0 root netem limit 10000 "$@" || return
	in_guest "${peer[@]}" transfer "$address" $much
	status=$?
	{
		tc -s qdisc show dev near0
		far tc -s qdisc show dev far0
	} >"$work/netem.txt"
	tc qdisc del dev near0 root && far tc qdisc del dev far0 root && [ $status = 0 ] && end_tap
}

through_loss() {
	through "$@" && grep -E 'dropped [1-9]' "$work/netem.txt"
}

# through_netem NAME CHECK ADDRESS NETEM...
through_netem() {
	local name=$1
	shift
	if [ -n "$netem" ]; then
		check "$name" "$@"
	else
		skip "$name" "the kernel has no sch_netem"
	fi
}

# cable_out_and_in DIRECTION ADDRESS: while bytes stream
cable_out_and_in() {
	local tap streaming
	begin_tap || return
	tap=$pid
	in_guest "${peer[@]}" "stream-$1" "$2" >"$work/stream.txt" 2>&1 &
	streaming=$!
	pid=$streaming wait_for_line "$work/stream.txt" '^moves' && ip link set near0 down && pid=$streaming wait_for_line "$work/stream.txt" '^stalled' || return
	ip link set near0 up && restore_routes && wait $streaming || return
	pid=$tap
	end_tap
}

# The kernel takes them away with the link.
restore_routes() {
	ip route replace default via $far4 && ip route replace default via $far6 dev near0
}

no_route_and_back() {
	begin_tap && in_guest "${peer[@]}" connect $behind4 80 ok 5 && in_guest "${peer[@]}" connect $behind6 80 ok 5 || return
	ip route del default && ip -6 route del default || return
	in_guest "${peer[@]}" connect $behind4 80 'ENETUNREACH|EHOSTUNREACH' 5 && in_guest "${peer[@]}" connect $behind6 80 'ENETUNREACH|EHOSTUNREACH' 5 &&
		in_guest "${peer[@]}" datagram $behind4 9 ENETUNREACH || return
	restore_routes
	in_guest "${peer[@]}" connect $behind4 80 ok 5 && in_guest "${peer[@]}" connect $behind6 80 ok 5 && in_guest "${peer[@]}" datagram $behind4 9 ECONNREFUSED && end_tap_at_once
}

no_address_and_back() {
	begin_tap || return
	ip address flush dev near0 && ip -6 route flush dev near0 || return # IPv6 would try without an address
	in_guest "${peer[@]}" connect $far4 80 'ENETUNREACH|EHOSTUNREACH' 5 && in_guest "${peer[@]}" connect $far6 80 'ENETUNREACH|EHOSTUNREACH' 5 || return
	ip address add 203.0.113.7/24 dev near0 && ip address add 2001:db8::7/64 dev near0 nodad && restore_routes || return
	in_guest "${peer[@]}" connect $far4 80 ok 5 && in_guest "${peer[@]}" connect $far6 80 ok 5 && in_guest "${peer[@]}" connect $behind4 80 ok 5 && end_tap
}

[ -x "$nat_tap" ] || make -s -C "$build" tests/bench/nat-tap || exit
if [ ! -e /dev/net/tun ]; then
	skip "net-nat with peers" "no /dev/net/tun"
	finish
fi
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH # python3 may be a wrapper of a user's elsewhere, which an emulator takes its time for
for program in nginx curl iperf3 dropbear dbclient; do
	if ! command -v $program >/dev/null; then
		skip "net-nat with peers" "no $program"
		finish
	fi
done
{ make_world && make_account && start_servers; } >"$work/setup.log" 2>&1 || {
	echo "not ok - the network and its servers"
	tail -n 20 "$work"/*.log
	exit 1
}
if [ "${NAT_PEERS-}" = netem ]; then
	netem=''
	! have_netem || netem=1
	through_netem "64 MiB each way through 1 % of loss" through_loss $far4 loss 1%
	through_netem "64 MiB each way through 50 ms" through $far6 delay 50ms
	through_netem "64 MiB each way in another order" through $far4 delay 5ms reorder 75% 50%
	through_netem "64 MiB each way through 1 % of loss, some ms and another order, IPv6" through_loss $far6 loss 1% delay 2ms 1ms
	finish
fi
check "ping of far hosts, both families" pings
check "nginx: 64 MiB are fetched as they are" fetches
check "nginx: 200 requests of 20 connections at a time, which are kept" many_requests
check "nginx: 64 MiB that are put arrive whole" uploads
check "ssh to a far host: a command's status, and 8 MiB there and back" ssh_out
check "ssh to the guest, by a published port: the same" ssh_in
check "iperf3, 8 streams, both directions" throughput
check "a server that accepts late, and whose backlog is full: all are served" both_families late
check "bytes that come and go one at a time are all there" both_families dribble
check "a server ends its half first: what the guest sends then arrives" both_families half
check "a reset reaches the other side, whoever resets, whoever sends" both_families reset
check "a server that does not read stalls its own connection only, and gets all when it does" both_families deaf
check "a closed port is refused at once" refused
check "no route, a filter, nobody there: the guest is told at once" unreachable
check "a black hole: what the guest has given up leaves nothing behind" black_hole
check "a black hole: the guest is told when this host gives up" black_hole_is_told
set_value ipv4/tcp_syn_retries 6
check "the cable is out for a while: what the guest sends goes on" cable_out_and_in up $far4
check "... and what it receives" cable_out_and_in down $far4
check "... and by IPv6" cable_out_and_in up $far6
check "no route for a while: the guest is told at once, and then it works again" no_route_and_back
check "no address for a while, then another one: the same" no_address_and_back
finish
