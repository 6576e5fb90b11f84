#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shares of an ordinary user: all that programs do with files, with each mode of caching, and what the host has then.
. "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=shares.bash
. "$tests/shares.bash"

modes=(auto none always writeback)

# One machine for all: its console is looked at by the checks behind it.
one_machine() {
	local script mode shares limit=$((3 * limit))
	mkdir -p "$work"/{auto,none,always,writeback,quota,readonly/sub} || return
	echo 'from the host' >"$work/auto/hello"
	echo 'not yours' >"$work/readonly/file"
	chmod 666 "$work/readonly/file"
	chmod 777 "$work/readonly" "$work/readonly/sub"
	mkdir "$work/auto/big" && "$checks" fill "$work/auto/big" 100000 || return
	shares=$(share auto "$work/auto")$(share none "$work/none" 'cache = "none";')$(
		share always "$work/always" 'cache = "always";'
	)$(
		share writeback "$work/writeback" 'cache = "always"; writeback = true; xattr = false;'
	)$(
		share quota "$work/quota" 'max_bytes = "1M"; max_inodes = 10;'
	)$(
		share readonly "$work/readonly" 'readonly = true;'
	)
	with_shares files stdio "$shares"
	script='
		for tag in auto none always writeback quota readonly; do mkdir -p /mnt/$tag; mount -t virtiofs $tag /mnt/$tag || exit 1; done
		echo "hello: $(cat /mnt/auto/hello)"
		for tag in auto none always writeback; do echo "mode $tag"; file-checks /mnt/$tag; done
		echo "mode end"
		file-checks list /mnt/auto/big
		umount /mnt/auto && mount -t virtiofs auto /mnt/auto && file-checks list /mnt/auto/big && echo again: $(cat /mnt/auto/hello)
		cd /mnt/readonly
		echo x 2>&1 >file; echo x 2>&1 >new; rm file 2>&1; mkdir new 2>&1; mv file other 2>&1; ln file hard 2>&1; chmod 600 file 2>&1
		rmdir sub 2>&1; ln -s file soft 2>&1; touch -d @1 file 2>&1; mount -o remount,rw /mnt/readonly; echo x 2>&1 >file
		echo "readonly: $(cat file)"
		cd /mnt/quota
		dd if=/dev/zero of=much bs=65536 count=32 2>&1; ls -l much
		rm much; dd if=/dev/zero of=less bs=65536 count=12 2>&1 && echo "quota: given back"
		for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo x >$i || echo "quota: stops at $i"; done 2>&1
		cd /mnt; sync
		find auto none always writeback -type f -name "keep-*" -size -4000 | xargs sha256sum
		umount /mnt/auto /mnt/none /mnt/always /mnt/writeback && echo "unmounted"'
	guest files "$script"
	local status=$?
	cp "$work/console.txt" "$work/console.saved"
	cp "$work/messages.txt" "$work/messages.saved"
	return $status
}

# of PATTERN...: the machine's console said so
of() {
	cp "$work/console.saved" "$work/console.txt"
	says "$@"
}

# All checks, in this mode
checked() {
	local all good
	sed -n "/^mode $1/,/^mode/p" "$work/console.saved" | tr -d '\r' >"$work/mode.txt"
	all=$(grep -cE '^\{ "|^checked|^failed' "$work/mode.txt")
	good=$(grep -c '^checked' "$work/mode.txt")
	[ "$all" = "$good" ] && [ "$good" = 19 ]
}

the_host_has_the_same() {
	sums "$work/console.saved" >"$work/guest.txt"
	(cd "$work" && find "${modes[@]}" -type f -name 'keep-*' -size -4000 -exec sha256sum {} + | sort) >"$work/host.txt"
	[ "$(wc -l <"$work/host.txt")" -ge $((6 * ${#modes[@]})) ] && diff "$work/guest.txt" "$work/host.txt"
}

no_other_owner() {
	[ -z "$(find "$work"/{auto,none,always,writeback,quota} '(' ! -uid "$(id -u)" -o ! -gid "$(id -g)" -o -perm /7000 ')' -print)" ] &&
		[ -z "$(find "$work"/{auto,none,always,writeback} -type p -o -type s -o -type c -o -type b)" ]
}

readonly_holds() {
	of '^readonly: not yours' && [ "$(cat "$work/readonly/file")" = 'not yours' ] || return
	[ "$(grep -c 'Read-only file system' "$work/console.saved")" -ge 9 ] || return
	[ "$(cd "$work/readonly" && echo *)" = 'file sub' ] && [ "$(stat -c %a "$work/readonly/file")" = 666 ]
}

quota_holds() {
	of 'Disk quota exceeded|No space left' '^quota: given back' '^quota: stops at' || return
	[ "$(du -sk "$work/quota" | cut -f1)" -le 1100 ] && [ "$(find "$work/quota" -mindepth 1 | wc -l)" -le 10 ]
}

messages_are_empty() {
	cp "$work/messages.saved" "$work/messages.txt"
	is_silent
}

if [ "${1-}" = prepare ]; then
	make_files "$build/tests/guest"
	exit
fi
prepare_or_skip fs
check "six shares in one machine, mounted, used, unmounted" one_machine
check "the guest reads what the host wrote, before and after a second mount" of '^hello: from the host' '^again: from the host'
for mode in "${modes[@]}"; do
	check "cache $mode: all that programs do with files" checked "$mode"
done
check "a directory of 100,000 entries, read twice" of '^listed 100000 4999950000'
check "what the guest wrote is the same on the host" the_host_has_the_same
check "on the host all belongs to capsa's user, without set-id bits or special files" no_other_owner
check "a readonly share stays as it was" readonly_holds
check "a quota holds, and gives back" quota_holds
check "capsa has nothing to say of it" messages_are_empty
check "unmounted" of '^unmounted'
finish
