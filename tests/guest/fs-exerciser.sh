#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Random operations on a file of a share, against a copy in the guest's memory: plain, mapped, O_DIRECT. OPERATIONS: how
# many of each kind (with LONG 100,000).
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=shares.bash
. "$tests/shares.bash"

operations=${OPERATIONS:-${LONG:+100000}}
operations=${operations:-300}
limit=$((limit + operations / 20)) # of a check as well: who takes longer is looked at as one that hangs

# exercised KEYS MOUNT-OPTIONS KIND...
exercised() {
	local keys=$1 options=$2 kind script
	shift 2
	rm -rf "$work/share" && mkdir "$work/share" || return
	script="$tell_of_waiting; mkdir -p /mnt; mount -t virtiofs $options s /mnt || exit"
	for kind in "$@"; do
		script+="
			file-exerciser -n $operations $kind /mnt/file || exit; sha256sum /mnt/file"
	done
	with_shares exerciser stdio "$(share s "$work/share" "$keys")"
	guest exerciser "$script" || return
	is_silent && [ "$(grep -c "exerciser $operations ok" "$work/console.txt")" = $# ] || return
	# The host has what the guest saw last.
	[ "$(sums "$work/console.txt" | wc -l)" = $# ] && says "$(sha256sum <"$work/share/file" | cut -d' ' -f1)  /mnt/file"
}

prepare_or_skip fs-exerciser
check "plain, mapped and O_DIRECT, cache auto" exercised '' '' '' -m -d
check "plain and mapped, written back by the guest" exercised 'cache = "always"; writeback = true;' '' '' -m
check "plain and O_DIRECT, no cache" exercised 'cache = "none";' '' '' -d
check "plain and mapped, DAX" exercised 'dax = "4M";' '-o dax=always' '' -m
finish
