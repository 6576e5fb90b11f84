#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Machines that talk to each other, as an ordinary user: `capsa run/start --cluster`, `capsa cluster`, and files with
# cluster-switch. This host and another one are as far.bash has them; nobody reaches them without `nat = true`.
here=$(dirname "$(realpath "$0")")

# make_files DIR: an initramfs for raw machines, with ssh and VLANs
make_files() {
	local program library words=()
	mkdir -p "$1" || return
	for program in dropbear dbclient; do
		program=$(PATH=$PATH:/usr/sbin command -v $program) || return
		words+=(-a "$program:/bin/${program##*/}")
		for library in $(ldd "$program" | grep -oE '/[^ ]+ \(0x' | cut -d ' ' -f 1); do
			words+=(-a "$(realpath "$library"):$library")
		done
	done
	"$top/packaging/mkinitramfs" -k "$kernels/cloud" -o "$1/cluster.initrd" -z none "${words[@]}" \
		-m 'virtio_pci virtio_console virtio_net af_packet 8021q' -M 'virtio-rng button evdev ipv6 pvpanic-pci'
}

if [ "${1-}" = prepare ]; then
	. "$here/lib.sh"
	make_files "$build/tests/guest"
	exit
fi
. "$here/far.bash"

memory=160M
"$capsa" image build -q || exit
# More than sockets, pipes and windows on the way hold together.
head -c $((24 << 20)) /dev/urandom >"$work/sent"

start() {
	timeout "$limit" "$capsa" start -q --name "$1" --memory $memory "${@:2}" >/dev/null
}

run() {
	timeout "$limit" "$capsa" run -q --memory $memory "$@" </dev/null
}

# at NAME COMMAND...: in a machine that runs
at() {
	timeout "$limit" "$capsa" exec "$1" -- "${@:2}" </dev/null
}

# Of the guest: wget of a static busybox dies with -T.

# wait_until COMMAND...: it succeeds, within half a minute
wait_until() {
	local end=$((SECONDS + 30))
	until "$@"; do [ $SECONDS -lt $end ] || return; done
}

# shown FILTER [OPTION...]: of what `capsa cluster show lab` knows
shown() {
	"$capsa" cluster show lab --json | jq -re "${@:2}" "$1"
}

# sandbox NAME KEYS: writes $work/NAME.conf, a machine for commands with such a card
sandbox() {
	printf 'name = "%s"; memory = "%s"; sandbox = true;\ndevices = ( { plugin = "cluster-switch"; %s } );\n' "$1" $memory "$2" >"$work/$1.conf"
}

# It has the file, and a server for it.
serves() {
	"$capsa" exec "$1" -- sh -c 'mkdir -p /www && cat >/www/file && httpd -p 80 -h /www' <"$work/sent"
}

# moved FROM TO [EVENT...]: the file arrives as it was sent; EVENT comes when a part of it is there
moved() {
	local from=$1 to=$2
	shift 2
	at "$to" wget -qO- "http://$from/file" | {
		head -c $((1 << 20)) && { [ $# = 0 ] || "$@" >"$work/event.txt" 2>&1; } && cat
	} >"$work/got"
	cmp "$work/sent" "$work/got"
}

three_join() {
	local name
	start vm1 --cluster lab,address=10.0.3.11/24 && start vm2 --cluster lab,address=10.0.3.12/24 && start vm3 --cluster lab || return
	for name in vm1 vm2 vm3; do
		follow_console $name
	done
	[ "$(shown '[.members[].name] | sort | join(" ")')" = "vm1 vm2 vm3" ] && serves vm1 && serves vm2
}

# Who carries frames waits until who has the processor sleeps or has had its share (schedule.h); vCPUs do not.
carriers_run_in_batches() {
	local task threads
	threads=$(for task in /proc/"$(shown .pid)"/task/* /proc/"$(shown '.members[0].pid')"/task/*; do
		echo "$(tr -d 0-9 <"$task/comm") $(chrt -p "${task##*/}" | sed -n 's/.*policy: //p')"
	done | sort -u)
	echo "$threads"
	[[ $threads == *'capsa-switch SCHED_BATCH'* && $threads == *'cluster-switch SCHED_BATCH'* && $threads == *'vcpu SCHED_OTHER'* &&
		$threads != *'capsa SCHED_BATCH'* ]]
}

by_address() {
	local three six
	three=$(shown '.members[] | select(.name == "vm3").address') && six=$(shown '.members[] | select(.name == "vm2").address6') || return
	[[ $three == 10.0.3.* ]] && at vm1 sh -c "ping -c 1 10.0.3.12 && ping -c 1 $three && ping -6 -c 1 $six" && at vm3 ping -c 1 10.0.3.11
}

by_name() {
	at vm1 sh -c 'ping -c 1 vm2 && ping -c 1 vm3 && ping -6 -c 1 vm2 && ping -6 -c 1 vm3' && at vm3 sh -c 'ping -c 1 vm1 && ping -6 -c 1 vm1'
}

both_ways() {
	moved vm1 vm2 && moved vm2 vm1
}

# Whoever serves this host, however the guest tries; a name of the world is none.
nothing_leaves() {
	local server status
	timeout "$limit" python3 -m http.server --bind :: 8999 >/dev/null 2>&1 &
	server=$!
	until curl -so /dev/null http://$host:8999/; do kill -0 $server || return; done
	curl -so /dev/null http://$far/ || return
	at vm1 sh -c "ip route add default via 10.0.3.1; ip -6 route add default dev eth0
		for to in 127.0.0.1:8999 $host:8999 10.0.3.1:8999 $far:80 [$host6]:8999 [$far6]:80; do
			timeout 8 wget -qO- http://\$to/ && echo reached \$to &
		done
		for to in $host $far; do ping -c 1 -w 8 \$to >/dev/null && echo reached \$to & done
		nslookup web.test >/tmp/lookup 2>&1 && echo resolved
		wait; ip route del default; ip -6 route del default dev eth0; ping -c 1 vm2 && echo whole" >"$work/console.txt" 2>&1
	status=$?
	kill $server
	[ $status = 0 ] && says '^whole' && ! grep -E '^(reached|resolved)' "$work/console.txt"
}

# Same cluster, another file: there is nothing to be set up for a way out.
way_out() {
	local server status
	sandbox out 'cluster = "out"; subnet = "10.0.4.0/24"; nat = true;'
	timeout "$limit" python3 -m http.server --bind 0.0.0.0 8999 >/dev/null 2>&1 &
	server=$!
	until curl -so /dev/null http://$host:8999/; do kill -0 $server || return; done
	run -c "$work/out.conf" -- sh -c "wget -qO- http://$far/ && wget -qO- http://web.test/ && wget -qO- http://[$far6]/ || exit
		for to in 127.0.0.1 10.0.4.1 $host; do timeout 20 wget -qO- http://\$to:8999/ && exit 1; done; true" >"$work/console.txt" 2>&1
	status=$?
	kill $server
	[ $status = 0 ] && says "^far $far" "^far $far for web.test" "^far $far6"
}

taken() {
	local mac
	! start vm5 --cluster lab,address=10.0.3.11/24 2>"$work/console.txt" && says '10\.0\.3\.11.*vm1|vm1.*10\.0\.3\.11' 'vm5' || return
	mac=$(shown '.members[] | select(.name == "vm2").mac') || return
	machine vm6 "devices = ( { plugin = \"cluster-switch\"; cluster = \"lab\"; mac = \"$mac\"; } );"
	! run_machine vm6 && cp "$work/messages.txt" "$work/console.txt" && says "$mac.*vm2|vm2.*$mac" 'vm6'
}

ls_and_show() {
	"$capsa" cluster ls >"$work/console.txt" && says '^lab ' || return
	"$capsa" cluster show lab >"$work/console.txt" && says '^vm1 .*10\.0\.3\.11' '^vm2 ' '^vm3 ' || return
	[ "$(shown '[.members[].mac] | unique | length')" = 3 ] && shown '.members[] | select(.name == "vm1") | .rx_packets > 100 and .tx_packets > 100' || return
	! "$capsa" cluster show nowhere 2>"$work/console.txt" && says '^capsa: .*nowhere.*lab'
}

joins_and_leaves() {
	run --cluster lab --name vm4 -- sh -c 'ping -c 1 vm1 && ping -c 1 vm2' && is_no_member vm4
}

is_no_member() {
	! shown ".members[] | select(.name == \"$1\")" >/dev/null
}

kill_switch() {
	switch=$(shown .pid) && kill -KILL "$switch"
}

switch_is_killed() {
	# moved() runs the event in a pipeline.
	switch=$(shown .pid) && moved vm1 vm2 kill_switch || return
	! kill -0 "$switch" 2>/dev/null && [ "$(shown .pid)" != "$switch" ] &&
		[ "$(shown '[.members[].name] | sort | join(" ")')" = "vm1 vm2 vm3" ] && at vm3 ping -c 1 vm1
}

member_is_killed() {
	local status
	start vm4 --cluster lab,address=10.0.3.14/24 && at vm1 ping -c 1 vm4 || return
	kill -KILL "$(cat "$XDG_RUNTIME_DIR/capsa/vm4/lock")" && wait_until is_no_member vm4 || return
	! at vm1 nslookup vm4 && at vm1 ping -c 1 vm2 || return
	start vm4 --cluster lab,address=10.0.3.14/24 && at vm1 ping -c 1 vm4
	status=$?
	"$capsa" stop vm4 && return $status
}

# Its peers are a list of its own, too.
without_offloads() {
	local status
	sandbox plain 'cluster = "lab"; offloads = false; peers = [ "vm1" ];'
	timeout "$limit" "$capsa" start -q -c "$work/plain.conf" >/dev/null && serves plain && moved plain vm1 && moved vm1 plain &&
		! at plain ping -c 1 -w 3 10.0.3.12
	status=$?
	"$capsa" stop plain && return $status
}

# Addresses and names as DHCP gives them; the first line that does not work ends the script.
# shellcheck disable=SC2016
raw_script='set -e
	mkdir -p /etc /root /run
	echo "root::0:0:root:/root:/bin/sh" >/etc/passwd
	printf "#!/bin/sh\n[ \$1 = bound ] || exit 0\nip addr add \$ip/\$mask dev \$interface\necho nameserver \$dns >/etc/resolv.conf\n" >/bin/lease
	chmod +x /bin/lease
	ip link set lo up; ip link set eth0 up
	udhcpc -i eth0 -f -q -n -s /bin/lease
	ip link add link eth0 name v7 type vlan id 7; ip link set v7 up'

raw() {
	machine "$1" "boot = { kernel = \"$kernels/cloud/vmlinuz\"; initrd = \"$initrd\"; };" \
		"devices = ( { plugin = \"console\"; backend = \"stdio\"; }, { plugin = \"rng\"; }, { plugin = \"cluster-switch\"; cluster = \"raw\"; } );"
}

# Of two machines without any agent: DHCP, ping, ssh both ways, a VLAN.
raw_machines() {
	raw raw1
	raw raw2
	attended raw1 --append "quiet $(run_words "$raw_script"'
		ip addr add 10.7.0.1/24 dev v7
		mkdir /etc/dropbear /www; head -c 8000000 /dev/urandom >/www/file; httpd -h /www; dropbear -R -B
		echo ready; read line')"
	hear '^ready' || return
	# shellcheck disable=SC2016
	guest raw2 "$raw_script"'
		ip addr add 10.7.0.2/24 dev v7
		ping -c 1 raw1; ping -c 1 10.7.0.1; ping -c 1 -s 1472 10.7.0.1
		there=$(dbclient -y -y root@raw1 "uname -n; sha256sum </www/file" </dev/null)
		echo "there: $there"
		[ "$(dbclient -y -y root@raw1 "cat /www/file" </dev/null | tee /tmp/file | sha256sum)" = "${there#*
}" ] && echo fetched
		[ "$(dbclient -y -y root@raw1 sha256sum </tmp/file)" = "${there#*
}" ] && echo sent
		[ "$(wget -qO- http://10.7.0.1/file | sha256sum)" = "${there#*
}" ] && echo tagged' quiet
	local status=$?
	tell '' && hear '^capsa.run exit 0' && wait "$pid" || return
	[ $status = 0 ] || return
}

raw_pass() {
	raw_machines && says fetched sent tagged
}

all_leave() {
	local pids pid
	pids="$(shown .pid) $(pgrep -x capsa-guardian -u "$(id -u)")"
	"$capsa" stop vm1 && "$capsa" stop vm2 && "$capsa" stop vm3 || return
	for pid in $pids; do
		timeout 30 tail --pid="$pid" -f /dev/null || return
	done
	! "$capsa" cluster show lab
}

initrd=$build/tests/guest/cluster.initrd
[ "$initrd" -nt "$0" ] && [ "$initrd" -nt "$kernels/cloud/vmlinuz" ] || {
	initrd=$work/cluster.initrd
	make_files "$work" >"$work/prepare.txt" 2>&1 || initrd=''
}

check "three machines join, each by a word at the prompt" three_join
check "they ping each other by address, IPv4 and IPv6" by_address
check "... and by name" by_name
check "those who carry frames are scheduled in batches, and nobody else" carriers_run_in_batches
check "24 MiB arrive as they were sent, both ways" both_ways
check "nothing leaves: neither this host nor another is reached, by no way" nothing_leaves
check "an address or a MAC that is taken is refused, with both names" taken
check "capsa cluster ls and show" ls_and_show
check "a member joins and leaves while others transfer" moved vm1 vm2 joins_and_leaves
check "the switch is killed during a transfer: it goes on" switch_is_killed
check "a member is killed: its port, its address and its name are free" member_is_killed
check "a member without offloads transfers both ways; who is not its peer does not reach it" without_offloads
check "the last one leaves: no process is left" all_leave
check "nat = true: far hosts by address and name, and still not this one" way_out
if [ -n "$initrd" ]; then
	check "machines of their own: DHCP, names, ssh both ways, a VLAN" raw_pass
else
	skip "machines of their own" "no dropbear"
fi
for name in vm1 vm2 vm3 vm4 plain; do
	"$capsa" kill $name 2>/dev/null
done
kill "$other_host_PID"
finish
