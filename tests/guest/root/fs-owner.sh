#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for owner = "host" and for mounts: owners in both directions, file systems below a share, a disk that is full,
# records of owners on a file system that has attributes.
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"
# shellcheck source=../shares.bash
. "$tests/shares.bash"

# disk NAME SIZE: an ext4 of its own at $work/NAME
disk() {
	mkdir -p "$work/$1" && truncate -s "$2" "$work/$1.img" && mkfs.ext4 -q "$work/$1.img" &&
		mount -o loop "$work/$1.img" "$work/$1" || return
	mounted+=("$work/$1")
	chmod 755 "$work/$1"
}

mounted=()
unmount_all() {
	for dir in "${mounted[@]}"; do umount -l "$dir"; done
	mounted=()
}
trap 'kill $(jobs -p) 2>/dev/null; wait; unmount_all; rm -rf "$work"' EXIT

# is NAME EXPECTED: owner, group, mode, type of a file on the host
is() {
	local seen
	seen=$(stat -c '%u %g %a %F' "$work/$1")
	[ "$seen" = "$2" ] || {
		echo "$1: $seen, not $2"
		return 1
	}
}

host_owners() {
	disk host 64M || return
	mkdir -p "$work/host/below" "$work/host/checks" && mount -t tmpfs -o mode=755 none "$work/host/below" || return
	mounted=("$work/host/below" "${mounted[@]}")
	echo 'below a mount' >"$work/host/below/file"
	echo 'of 4711' >"$work/host/theirs" && chown 4711:4712 "$work/host/theirs"
	with_shares owners stdio "$(share s "$work/host" 'owner = "host";')"
	guest owners 'mkdir -p /mnt; mount -t virtiofs s /mnt && cd /mnt || exit
		file-checks /mnt/checks
		stat -c "theirs %u %g %a" theirs; cat below/file
		[ "$(stat -c %d .)" != "$(stat -c %d below)" ] && echo "another device"
		mkdir pub && chmod 1777 pub && mkdir grp && chown 0:50 grp && chmod 2777 grp
		adduser -D -H -u 33 www 2>/dev/null || { echo root:x:0:0::/:/bin/sh; echo www:x:33:33::/:/bin/sh; } >/etc/passwd
		su www -c "echo x >/mnt/pub/file; mkdir /mnt/pub/dir; ln -s x /mnt/pub/link; mkfifo /mnt/pub/fifo; mkdir /mnt/grp/dir; echo x >/mnt/grp/file"
		su www -c "rm -f /mnt/theirs; cat /mnt/theirs; echo x >/mnt/none; rm -rf /mnt/below/file"
		mknod null c 1 3; chown 1:2 null; cp /bin/busybox setid; chown 33:33 setid; chmod 6755 setid
		su www -c "echo >>/mnt/setid"' || return
	[ "$(grep -c ^checked "$work/console.txt")" = 19 ] || return
	says '^theirs 4711 4712 644' '^below a mount' '^another device' '^of 4711' && is_silent || return
	is host/pub/file '33 33 644 regular file' && is host/pub/dir '33 33 755 directory' && is host/pub/link '33 33 777 symbolic link' || return
	is host/pub/fifo '33 33 644 fifo' && is host/null '1 2 644 character special file' && is host/setid '33 33 755 regular file' || return
	is host/grp/dir '33 50 2755 directory' && is host/grp/file '33 50 644 regular file' || return
	[ -e "$work/host/below/file" ] && [ -e "$work/host/theirs" ] && [ ! -e "$work/host/none" ]
}

# What of it is where: by an ordinary user, on a disk of that user's.
squashed_owners() {
	disk squash 64M || return
	chown 4711:4711 "$work/squash" && chmod 711 "$work" || return
	mkdir -p "$work/home/run" "$work/home/bin" && cp "$capsa" "$build"/plugins/*/.libs/*.so "$work/home/bin/" && chown -R 4711:4711 "$work/home" || return
	chmod 700 "$work/home/run"
	with_shares squash stdio "$(share s "$work/squash" 'owner = "squash"; uid = 0;')"
	cp "$initrd" "$work/home/initrd" && sed -i "s#$initrd#$work/home/initrd#" "$work/squash.conf" || return
	XDG_RUNTIME_DIR=$work/home/run CAPSA_CACHE=$work/home/cache CAPSA_PLUGIN_PATH=$work/home/bin timeout "$limit" \
		setpriv --reuid=4711 --regid=4711 --groups="$(stat -c %g /dev/kvm)" "$work/home/bin/capsa" -c "$work/squash.conf" --append "$(run_words '
		mkdir -p /mnt; mount -t virtiofs s /mnt && mkdir /mnt/checks && file-checks /mnt/checks && cd /mnt || exit
		echo x >plain; echo x >owned; chown 33:44 owned; echo x >setid; chmod 4755 setid; mknod null c 1 3; mkdir dir; chmod 1777 dir
		cd /; umount /mnt; mount -t virtiofs s /mnt; cd /mnt; stat -c "%n %u %g %a %t:%T" plain owned setid null dir
		echo gone >null; echo "null: $(cat null)"')" </dev/null >"$work/console.txt" 2>"$work/messages.txt" || return
	[ "$(grep -c ^checked "$work/console.txt")" = 19 ] || return
	says '^plain 0 0 644' '^owned 33 44 644' '^setid 0 0 4755' '^null 0 0 644 1:3' '^dir 0 0 1777' '^null: *.?$' && is_silent || return
	[ -z "$(find "$work/squash" -mindepth 1 '(' ! -uid 4711 -o ! -gid 4711 -o -perm /7000 ')' ! -name lost+found)" ] || return
	python3 - "$work/squash" <<-'END'
		import os, sys
		os.chdir(sys.argv[1])
		def record(name):
		    try:
		        return os.getxattr(name, "user.capsa.owner").decode()
		    except OSError:
		        return None
		expected = {"plain": None, "owned": "1 33 44 - -", "setid": "1 - - 0104755 0:0", "null": "1 - - 020644 1:3",
		            "dir": "1 - - 041777 0:0"}
		seen = {name: record(name) for name in expected}
		print(seen)
		sys.exit(seen != expected)
	END
}

a_full_disk() {
	disk full 4M || return
	with_shares full stdio "$(share s "$work/full" 'owner = "host";')$(share w "$work/full" 'owner = "host"; cache = "always"; writeback = true;')"
	guest full 'mkdir -p /mnt /w; mount -t virtiofs s /mnt && mount -t virtiofs w /w && cd /mnt || exit
		dd if=/dev/zero of=big bs=64k count=200 2>&1; ls -l big | cut -c1-20; mkdir dir 2>&1; for i in 1 2 3; do echo x >$i; done 2>&1
		rm -f big; echo fits >small && cat small
		cd /w; dd if=/dev/zero of=back bs=64k count=200 conv=fsync 2>&1; rm -f back; echo fits >again; sync; cat again' || return
	[ "$(grep -c 'No space left on device' "$work/console.txt")" -ge 2 ] && [ "$(grep -c ^fits "$work/console.txt")" = 2 ] || return
	[ "$(cat "$work/full/small")" = fits ] && is_silent
}

prepare_or_skip fs-owner
if ! disk try 4M >"$work/try.log" 2>&1; then
	skip "owners on the host" "no loop device"
	finish
fi
check "owner = host: owners, groups, devices, set-id bits and a mount below are the host's" host_owners
unmount_all
check "owner = squash: everything is capsa's user's, and the guest's owners are recorded" squashed_owners
unmount_all
check "a disk that is full, and then is not" a_full_disk
unmount_all
finish
