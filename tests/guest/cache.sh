#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whole machines whose cache of unpacked kernels is of no help: they boot all the same.
. "$(dirname "$(realpath "$0")")/lib.sh"

two_at_once() {
	local first second
	export CAPSA_CACHE=$work/empty
	machine one
	machine two
	timeout "$limit" "$capsa" -c "$work/one.conf" --append 'quiet capsa.demo=poweroff' </dev/null >"$work/one.txt" 2>&1 &
	first=$!
	timeout "$limit" "$capsa" -c "$work/two.conf" --append 'quiet capsa.demo=poweroff' </dev/null >"$work/two.txt" 2>&1 &
	second=$!
	wait $first || return
	wait $second || return
	grep -q 'Welcome to capsa' "$work/one.txt" && grep -q 'Welcome to capsa' "$work/two.txt" || return
	find "$CAPSA_CACHE" -type f >"$work/left.txt"
	[ "$(grep -c '\.kernel$' "$work/left.txt")" = 1 ] && ! grep -q '/new-' "$work/left.txt"
}

# Room for part of a kernel: 20 of some 60 MiB.
full_disk() {
	mkdir -m 700 "$work/full" || return
	machine full
	CAPSA_CACHE=$work/full unshare -r -m sh -c '
		mount -t tmpfs -o size=20m,mode=700 full "$CAPSA_CACHE" || exit
		"$1" -c "$2" --append "quiet capsa.demo=poweroff" </dev/null
		status=$?
		find "$CAPSA_CACHE" -type f ! -name lock
		exit $status' sh "$capsa" "$work/full.conf" >"$work/console.txt" 2>"$work/messages.txt" || return
	says 'Welcome to capsa' && grep -q 'does not go into the cache: No space left on device' "$work/messages.txt" &&
		! grep -q "$work/full" "$work/console.txt"
}

check "two machines that start at once with an empty cache boot, and leave one entry" two_at_once
check "a machine boots with its cache on a full disk, and leaves nothing there" full_disk
finish
