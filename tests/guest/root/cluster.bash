# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# cluster.bash - what cluster-many.sh and cluster-kill.sh begin with: cluster-taps.py in namespaces of its own.
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH # python3 may be a wrapper of a user's elsewhere
cluster_tap=$build/tests/bench/cluster-tap
[ -x "$cluster_tap" ] || make -s -C "$build" tests/bench/cluster-tap || exit
if [ ! -e /dev/net/tun ]; then
	skip "members without guests" "no /dev/net/tun"
	finish
fi
export XDG_RUNTIME_DIR=$work/run LIMIT=$limit
mkdir -p "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR" && mkdir -p /run/netns || exit

# taps WORD...
taps() {
	local status
	# shellcheck disable=SC2016
	unshare -nm -- sh -c 'mount -t tmpfs tmpfs /run/netns && exec "$@"' sh "$tests/root/cluster-taps.py" "$cluster_tap" "$@"
	status=$?
	rm -rf "$XDG_RUNTIME_DIR/capsa"
	return $status
}
