#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `capsa run --net nat` and what belongs to it, as an ordinary user, with this host and another one as far.bash has them.
. "$(dirname "$(realpath "$0")")/far.bash"

memory=256M
"$capsa" image build -q || exit

run() {
	timeout "$limit" "$capsa" run -q --memory "$memory" "$@" </dev/null
}

# Of the guest: wget of a static busybox dies with -T; what is dropped ends by timeout(1), which is no 'refused'.

all_stands_before_the_command() {
	run --net nat --name netted -- sh -c 'ip -o addr; ip route; cat /etc/resolv.conf; hostname; ip -o link show lo' >"$work/console.txt" || return
	says 'eth0 +inet 10\.0\.2\.2/24' 'eth0 +inet6 fd00:ca:b5a::2/64' '^default via 10\.0\.2\.1 dev eth0' '^nameserver 10\.0\.2\.1' \
		'^netted$' 'lo: <LOOPBACK,UP' && ! grep 'fd00:ca:b5a::2/64.*tentative' "$work/console.txt"
}

nothing_without() {
	run -- ip -o link >"$work/console.txt" || return
	! grep eth0 "$work/console.txt" && says 'lo:' && run --net none -- sh -c '! grep -qw virtio_net /proc/modules'
}

far_host_by_address() {
	text=$(run --net nat -- wget -qO- http://$far/) && far_answers "$text" $far
}

far_host_by_name() {
	text=$(run --net nat -- wget -qO- http://web.test/) && far_answers "$text" $far
}

far_host_over_ipv6() {
	# By its address and by a name that has no other; this host is no more reached than by IPv4.
	run --net nat -- sh -c "wget -qO- http://[$far6]/ && wget -qO- http://six.test/ || exit
		for a in $host6 fd00:ca:b5a::1; do timeout 60 wget -qO- http://[\$a]/ && exit 1; done; true" >"$work/console.txt" 2>&1 &&
		says "^far $far6 for \\[$far6\\]" "^far $far6 for six.test" 'refused'
}

# Each router on the way under its own address: the gateway, and that of the test, which the packets end at.
routers_are_seen() {
	run --net nat -- sh -c "traceroute -n -q 1 -m 2 -w 5 $beyond && traceroute -I -n -q 1 -m 2 -w 5 $beyond && ping -c 1 $far" \
		>"$work/console.txt" 2>&1 || return
	[ "$(grep -cE '^ *1 +10\.0\.2\.1 ' "$work/console.txt")" = 2 ] &&
		[ "$(grep -cE "^ *2 +${far//./\\.} " "$work/console.txt")" = 2 ] && says "1 packets received|, 0% packet loss"
}

# Where they are looked for: on standard error though -q, and of a machine that was started in its info.
lines_that_were_asked_for() {
	printf '%s\n' "rules = ( { action = \"log\"; protocol = \"tcp\"; }, { action = \"deny\"; ip = \"$other\"; } );" >"$work/rules"
	run --policy "$work/rules" -- sh -c "wget -qO- http://$far/; timeout 60 wget -qO- http://$other/; true" >"$work/console.txt" 2>&1 || return
	says "^capsa: net-nat0: tcp 10\.0\.2\.2:[0-9]+ -> $far:80 allowed by default" "$other:80 denied by rule 2 " || return
	timeout "$limit" "$capsa" start -q --name logged --memory $memory --policy "$work/rules" >/dev/null || return
	timeout "$limit" "$capsa" exec logged -- wget -qO- http://$far/ </dev/null
	timeout "$limit" "$capsa" info logged >"$work/console.txt"
	"$capsa" stop logged && says "time 20.*, line tcp 10\.0\.2\.2:[0-9]+ -> $far:80 allowed"
}

the_gateway_answers_ping() {
	run --net nat -- sh -c 'ping -c 1 10.0.2.1 && ping -6 -c 1 fd00:ca:b5a::1'
}

root_of_the_host() {
	run --root / --net nat -- sh -c 'cat /etc/resolv.conf' >"$work/console.txt" || return
	says '^nameserver 10\.0\.2\.1' && [ "$(cat /etc/resolv.conf)" = "nameserver $far" ]
}

# this host itself is out of reach, whichever way
not_this_host() {
	timeout "$limit" python3 -m http.server --bind 0.0.0.0 8999 >/dev/null 2>&1 &
	server=$!
	until curl -so /dev/null http://$host:8999/; do kill -0 $server || return; done
	run --net nat -- sh -c "for a in $host 10.0.2.1 127.0.0.1; do timeout 60 wget -qO- http://\$a:8999/ && exit 1; done; wget -qO- http://$far/" >"$work/console.txt" 2>&1
	local status=$?
	kill $server
	[ $status = 0 ] && says 'refused' "^far $far"
}

denied_at_once() {
	run --deny ip:$far -- sh -c "time timeout 60 wget -qO- http://$far/ && exit 1; wget -qO- http://$other/" >"$work/console.txt" 2>&1 || return
	# A reset, not a time-out.
	says 'refused' "^far $other" '^real[[:space:]]*0m 0\.'
}

only_an_allowed_name() {
	run --allow domain:web.test -- sh -c "
		timeout 60 wget -qO- http://$other/ && exit 1
		timeout 60 wget -qO- http://other.test/ && exit 2
		nslookup other.test
		wget -qO- http://web.test/" >"$work/console.txt" 2>&1 || return
	says "^far $far for web.test" 'REFUSED|refused'
}

rules_of_a_file() {
	printf '%s\n' 'default = "deny";' "rules = ( { action = \"allow\"; ip = \"$other\"; port = 80; } );" >"$work/rules"
	run --policy "$work/rules" -- sh -c "timeout 60 wget -qO- http://$far/ && exit 1; wget -qO- http://$other/" >"$work/console.txt" 2>&1 || return
	says "^far $other" || return
	printf '%s\n' 'default = "deny";' 'rules = (' '  { action = "alow"; } );' >"$work/rules"
	! run --policy "$work/rules" -- true 2>"$work/console.txt" && says "$work/rules:3: .*alow"
}

published_port() {
	timeout "$limit" "$capsa" start -q --name published --memory $memory --publish 127.0.0.1:8080:80 >/dev/null || return
	timeout "$limit" "$capsa" exec published -- sh -c 'mkdir /www && head -c 3000000 /dev/urandom >/www/file && httpd -p 80 -h /www' </dev/null &&
		curl -sS --max-time 60 -o "$work/fetched" http://127.0.0.1:8080/file &&
		[ "$("$capsa" exec published -- sha256sum /www/file </dev/null | cut -c 1-64)" = "$(sha256sum <"$work/fetched" | cut -c 1-64)" ]
	local status=$?
	! run --publish 8080:80 -- true 2>"$work/console.txt" && says '8080' || status=1
	"$capsa" stop published || return
	return $status
}

rules_are_replaced() {
	local socket=$XDG_RUNTIME_DIR/capsa/ruled/control.sock status=1
	timeout "$limit" "$capsa" start -q --name ruled --memory $memory --deny ip:$far >/dev/null || return
	! "$capsa" exec ruled -- timeout 60 wget -qO- http://$far/ </dev/null &&
		curl -sS --fail-with-body --unix-socket "$socket" -X PUT http://capsa/devices/net-nat0/policy \
			-d "{ \"default\": \"deny\", \"rules\": [ { \"action\": \"allow\", \"ip\": \"$far\" } ] }" &&
		far_answers "$("$capsa" exec ruled -- timeout 60 wget -qO- http://$far/ </dev/null)" $far &&
		! "$capsa" exec ruled -- timeout 60 wget -qO- http://$other/ </dev/null &&
		status=0
	"$capsa" stop ruled && return $status
}

a_guest_with_a_client_of_its_own() {
	run --net nat -- sh -c 'ip addr flush dev eth0
		printf "#!/bin/sh\necho \$1 \$ip/\$mask \$router \$dns \$mtu\n" >/tmp/script && chmod +x /tmp/script
		udhcpc -i eth0 -f -q -n -s /tmp/script -O mtu' >"$work/console.txt" 2>&1 || return
	says '^bound 10\.0\.2\.2/24 10\.0\.2\.1 10\.0\.2\.1 1500$'
}

options_that_contradict() {
	! run --net none --publish 1:1 -- true 2>"$work/console.txt" && says '^capsa: .*--publish.*--net none' &&
		! run --allow port:1 --net none -- true 2>"$work/console.txt" && says '^capsa: --net none: .*--allow port:1' &&
		! run -c "$top/conf/nat.conf" --deny port:25 -- true 2>"$work/console.txt" && says 'nat\.conf:[0-9]+'
}

check "card, routes, name servers and host name stand before the command" all_stands_before_the_command
check "without a network there is none, and no module for it" nothing_without
check "the gateway answers ping" the_gateway_answers_ping
check "a far host is reached by its address" far_host_by_address
check "... and by its name" far_host_by_name
check "a far host is reached over IPv6, by address and by a name that has no other" far_host_over_ipv6
check "routers on the way are seen, and a far host answers ping" routers_are_seen
check "lines of a log rule appear where they are looked for" lines_that_were_asked_for
check "resolv.conf of a host's root is covered, not changed" root_of_the_host
check "this host is out of reach" not_this_host
check "what is denied fails at once" denied_at_once
check "--allow domain: that name, nothing else" only_an_allowed_name
check "--policy FILE decides, and errors name its lines" rules_of_a_file
check "a published port leads into the guest; one in use is told" published_port
check "rules are replaced while the machine runs" rules_are_replaced
check "a DHCP client of the guest's own gets the same" a_guest_with_a_client_of_its_own
check "options that contradict each other are told" options_that_contradict
kill "$other_host_PID"
finish
