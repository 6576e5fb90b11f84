#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shares when things happen: a guest that resets amid requests, files cut on the host, locks of two machines.
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=shares.bash
. "$tests/shares.bash"

# The second life finds its share working, and what the first had written before.
a_reset_amid_requests() {
	mkdir "$work/reset" && echo seed >"$work/reset/seed" || return
	with_shares reset stdio "$(share s "$work/reset" 'locks = "host";')" 'cpus = 2;' 'on_reboot = "restart";'
	guest reset '
		mkdir -p /mnt; mount -t virtiofs s /mnt || exit
		if [ -e /mnt/second ]; then
			file-checks try posix /mnt/held; file-checks /mnt names unlinked renames; cat /mnt/seed
		else
			echo x >/mnt/second; sync
			file-checks hold posix /mnt/held </dev/hvc0 &
			for i in 1 2 3 4; do dd if=/dev/zero of=/mnt/w$i bs=1M count=4000 & done 2>/dev/null
			for i in 1 2; do while cat /mnt/w$i /mnt/seed >/dev/null; do ls -lR /mnt; done >/dev/null 2>&1 & done
			until [ -s /mnt/w1 ] && [ -s /mnt/w4 ]; do :; done
			reboot -f
		fi' || return
	says '^free' '^checked names' '^checked unlinked' '^checked renames' '^seed' &&
		[ "$(grep ^capsa: "$work/messages.txt")" = 'capsa: guest reset' ]
}

# DAX: the page is in the window, and nothing is behind it any more.
a_file_cut_under_a_mapping() {
	mkdir "$work/cut" && head -c 512K /dev/zero >"$work/cut/file" || return
	with_shares cut stdio "$(share s "$work/cut" 'dax = "16M";')"
	attended cut --append "$(run_words 'mkdir -p /mnt; mount -t virtiofs -o dax=always s /mnt || exit
		file-checks touch /mnt/file; cat /mnt/file | wc -c; file-checks /mnt mapped sparse; read line
		cat /mnt/file | tr -d "\\0" | head -c 5; wc -c </mnt/file')"
	hear '^mapped 0' || return
	truncate -s 4096 "$work/cut/file"
	tell ''
	# Zero or a signal to the program, as the guest's kernel has it; then life goes on.
	hear '^(SIGBUS|touched 0)' && hear '^checked mapped' && hear '^checked sparse' || return
	head -c 4M /dev/zero | tr '\0' 'g' >"$work/cut/file"
	tell ''
	hear '^ggggg' && hear 'capsa.run exit 0' && wait "$pid"
}

two_machines_lock_one_file() {
	local second
	mkdir "$work/locks" || return
	with_shares first stdio "$(share s "$work/locks" 'locks = "host";')"
	with_shares second stdio "$(share s "$work/locks" 'locks = "host";')"
	attended first --append "$(run_words 'mkdir -p /mnt; mount -t virtiofs s /mnt || exit
		file-checks hold flock /mnt/flock && echo | file-checks hold posix /mnt/posix')"
	hear '^held' || return
	# The host's own processes are kept out, too.
	[ "$("$checks" try flock "$work/locks/flock")" = busy ] || return
	timeout "$limit" "$capsa" -c "$work/second.conf" --append "$(run_words 'mkdir -p /mnt; mount -t virtiofs s /mnt || exit
		file-checks try flock /mnt/flock; file-checks try flock /mnt/other; echo waits; file-checks wait flock /mnt/flock')" \
		</dev/null >"$work/second.txt" 2>&1 &
	second=$!
	pid=$second wait_for_line "$work/second.txt" '^waits' || return
	tell ''
	wait $second && hear 'capsa.run exit 0' && wait "$pid" || return
	grep -q '^busy' "$work/second.txt" && grep -q '^free' "$work/second.txt" && grep -q '^waited' "$work/second.txt"
}

prepare_or_skip fs-life
check "a guest that resets amid requests" a_reset_amid_requests
check "a file that the host cuts under a mapping of the guest's" a_file_cut_under_a_mapping
check "two machines and the host exclude each other with locks" two_machines_lock_one_file
finish
