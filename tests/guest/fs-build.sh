#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Work in a share: this project's sources are cloned, built and tested there, by the host's programs, which the guest has
# as a second, readonly share.
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=shares.bash
. "$tests/shares.bash"

# It takes a minute on emulated processors, and four where they are shared.
limit=$((2 * limit))

# What is built: one library and one test of it.
makefile='
CFLAGS = -std=gnu11 -I. -D_GNU_SOURCE -O1
all: arena_check
arena_check: arena.o error.o arena_check.o
arena.o: core/base/arena.c
	$(CC) $(CFLAGS) -c -o $@ $<
error.o: core/base/error.c
	$(CC) $(CFLAGS) -c -o $@ $<
'
program='
#include <stdio.h>
#include <string.h>
#include "core/base/arena.h"
int main(void)
{
	struct arena *arena = arena_new();
	int bad = 0;
	for (int i = 0; i < 1000; i++) {
		char *text = arena_format(arena, "number %d", i);
		bad += !text || strlen(text) < 8;
	}
	arena_free(arena);
	printf("arena_check %d bad\n", bad);
	return bad != 0;
}
'

clone_build_test() {
	local script
	mkdir -p "$work/share" "$work/origin" || return
	# Of an archive without its history as well.
	(cd "$top" && tar -c core plugins include configure.ac Makefile.am) | tar -x -C "$work/origin" &&
		git -C "$work/origin" init -q && git -C "$work/origin" add -A &&
		git -C "$work/origin" -c user.name=t -c user.email=t@localhost commit -qm 'All of it' || return
	printf '%s' "$makefile" >"$work/share/Makefile"
	printf '%s' "$program" >"$work/share/arena_check.c"
	script="
		$tell_of_waiting; mkdir -p /host; mount -t virtiofs -o ro host /host || exit
		mount -t virtiofs share /host/mnt && mount -t proc proc /host/proc && mount -t devtmpfs dev /host/dev && mount -t tmpfs tmp /host/tmp || exit
		mkdir /host/tmp/origin; mount -t virtiofs origin /host/tmp/origin || exit
		chroot /host /bin/sh -ec '
			export PATH=/usr/bin:/bin HOME=/tmp
			git config --global safe.directory \"*\"
			cd /mnt; git clone -q --no-hardlinks file:///tmp/origin project; cd project
			git fsck --no-progress && git status --porcelain && echo cloned
			cp ../Makefile ../arena_check.c .; make -j2 && ./arena_check && make && echo built
			git add -A && git -c user.name=t -c user.email=t@localhost commit -qm \"Results\" && git rm -q --cached arena.o
			git reset -q --hard && git status --porcelain; echo \"clean: \$?\"
			find . -type f -exec sha256sum {} +'"
	with_shares build stdio "$(share host / 'readonly = true; cache = "always";')$(share share "$work/share" 'cache = "always"; writeback = true;')$(
		share origin "$work/origin" 'readonly = true; cache = "always";'
	)" 'cpus = 2;' 'memory = "512M";'
	guest build "$script"
	local status=$?
	cp "$work/console.txt" "$work/console.saved"
	[ $status = 0 ] && says '^cloned' '^arena_check 0 bad' '^built' '^clean: 0' && is_silent
}

the_host_has_the_same() {
	sums "$work/console.saved" >"$work/guest.txt"
	(cd "$work/share/project" && find . -type f -exec sha256sum {} + | sort) >"$work/host.txt"
	[ "$(wc -l <"$work/host.txt")" -gt 100 ] && diff "$work/guest.txt" "$work/host.txt" | head -n 20 && [ "${PIPESTATUS[0]}" = 0 ] || return
	git -C "$work/share/project" fsck --no-progress && [ "$("$work/share/project/arena_check")" = 'arena_check 0 bad' ]
}

prepare_or_skip fs-build
if ! command -v git >/dev/null || ! command -v make >/dev/null; then
	skip "git clone, make and a test in a share" "git or make is missing"
	finish
fi
check "git clone, make and a test in a share" clone_build_test
check "every file is the same on the host, and git finds no fault" the_host_has_the_same
finish
