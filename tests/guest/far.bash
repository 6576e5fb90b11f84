# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# far.bash - lib.sh in a user and network namespace of the test's own. There is this host, 203.0.113.1 and 2001:db8:1::1,
# and behind a cable another one with a web server and a name server (net-far.py), which is also the router to
# 198.51.100.0/24. $other_host_PID is that one's process; a test ends it.
if [ -z "${CAPSA_FAR_INSIDE-}" ]; then
	if ! unshare -Urnm true 2>/dev/null || ! command -v ip >/dev/null || ! command -v python3 >/dev/null; then
		echo "ok - networks # SKIP it takes user namespaces, ip(8) and python3"
		exit 0
	fi
	CAPSA_FAR_INSIDE=1 exec unshare -Urnm "$0" "$@"
fi
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

host=203.0.113.1 far=203.0.113.80 other=203.0.113.81 beyond=198.51.100.80
host6=2001:db8:1::1 far6=2001:db8:1::80
ip link set lo up
echo 0 0 >/proc/sys/net/ipv4/ping_group_range
# A namespace lives as long as somebody is in it.
# shellcheck disable=SC2016
coproc other_host { exec unshare -n sh -c 'echo made; read -r go; ip link set lo up; ip link set far0 up
	for a in "$1" "$2"; do ip address add "$a/24" dev far0; done
	ip address add "$3/64" dev far0 nodad
	echo 1 >/proc/sys/net/ipv4/ip_forward && ip route add 198.51.100.0/24 dev far0
	exec python3 "$4/net-far.py" "$1" "$2" "$3" -- "web.test=$1" "other.test=$2" "sly.test=127.0.0.1" "six.test=$3"' \
	sh $far $other $far6 "$tests"; }
# shellcheck disable=SC2154 # coproc sets it
read -r _ <&"${other_host[0]}"
# shellcheck disable=SC2154
ip link add near0 type veth peer name far0 netns "$other_host_PID" && ip address add $host/24 dev near0 &&
	ip address add $host6/64 dev near0 nodad && ip link set near0 up && ip route add 198.51.100.0/24 via $far || exit
echo go >&"${other_host[1]}"
read -r line <&"${other_host[0]}" && [ "$line" = ready ] || exit
echo "nameserver $far" >"$work/resolv.conf"
mount --bind "$work/resolv.conf" /etc/resolv.conf || exit

# far_answers TEXT ADDRESS
far_answers() {
	[ "${1%% for*}" = "far $2" ] || {
		echo "not from $2: $1"
		return 1
	}
}
