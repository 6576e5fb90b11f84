#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Folders of this host in a sandbox: --share, --root, and `mount` in a file. What the file system itself can do is tested
# elsewhere; here it is mounted in time, where it was wanted, as it was wanted, and again after a reboot.
. "$(dirname "$(realpath "$0")")/lib.sh"

memory=256M
"$capsa" image build -q || exit

run() {
	timeout "$limit" "$capsa" run --memory "$memory" "$@" </dev/null
}

# status WANTED COMMAND...
status() {
	local wanted=$1 is=0
	shift
	"$@" || is=$?
	[ $is = "$wanted" ] || {
		echo "status $is, not $wanted: $*"
		return 1
	}
}

# A folder $work/NAME with a file in it.
folder() {
	rm -rf "${work:?}/$1"
	mkdir -p "$work/$1/sub"
	echo "of $1" >"$work/$1/file"
}

# The second word of the guest's script is run on what only the guest sees; what it leaves on this host is looked at.
two_shares_at_once() {
	folder one && folder two && folder 'odd: ,name' || return
	(
		cd "$work" || exit
		run --share one:/src --share "$work/two:/deep/er:ro" --share 'odd\: \,name:/src/sub,tag=odd' -- sh -c '
			cat /src/file /deep/er/file /src/sub/file
			echo written >/src/new && mkdir /src/made && mv /src/new /src/made/moved
			echo x >/deep/er/new || echo refused; rm /deep/er/file || echo refused
			grep virtiofs /proc/mounts' >"$work/console.txt" 2>"$work/error.txt"
	) || return
	says '^of one$' '^of two$' '^of odd: ,name$' '^share0 /src virtiofs rw' '^share1 /deep/er virtiofs ro' '^odd /src/sub virtiofs rw' &&
		[ "$(grep -c '^refused$' "$work/console.txt")" = 2 ] && grep -q 'Read-only file system' "$work/error.txt" || return
	[ "$(cat "$work/one/made/moved")" = written ] && [ "$(cat "$work/two/file")" = "of two" ] && [ ! -e "$work/two/new" ]
}

a_window_for_mapped_files() {
	folder one
	run --share "$work/one:/src:ro,dax=64M" -- sh -c 'cat /src/file; grep virtiofs /proc/mounts' >"$work/console.txt" || return
	# `dax` or `dax=always`, as the kernel words it.
	says '^of one$' '^share0 /src virtiofs ro.*dax'
}

# This host's own programs, on its own files, none of which the guest can change.
the_root_of_the_host() {
	local before
	before=$(stat -c '%i %s %Y' /etc/passwd /etc /usr/bin/env)
	folder one
	run --root / --share "$work/one:/srv/new/one" --workdir /usr --user nobody -- \
		sh -c 'pwd; id -un; bash --version; cat /srv/new/one/file; test -c /dev/null && test -d /proc/self' >"$work/console.txt" || return
	says '^/usr$' '^nobody$' '^GNU bash' '^of one$' || return
	run --root / -- sh -c 'echo more >>/etc/passwd && rm /usr/bin/env && mkdir /etc/capsa-test && mv /etc/capsa-test /etc/capsa-moved &&
		mv /usr/share /usr/shared && tail -n 1 /etc/passwd && ls -d /etc/capsa-moved; hostname; stat -f -c %T /tmp
		grep -c capsa-lower /proc/mounts; cut -d " " -f 2,3 /proc/mounts' >"$work/console.txt" || return
	says '^more$' '^/etc/capsa-moved$' '^run-[0-9]+$' '^tmpfs$' '^/ overlay$' '^/proc proc$' '^/run tmpfs$' &&
		[ "$(stat -c '%i %s %Y' /etc/passwd /etc /usr/bin/env)" = "$before" ] && [ ! -e /etc/capsa-test ] && [ -d /usr/share ]
}

# exec and cp of a machine that lives see that root, too.
a_root_that_is_empty() {
	mkdir -p "$work/empty"
	[ "$(timeout "$limit" "$capsa" start --name hollow --memory "$memory" --root "$work/empty")" = hollow ] || return
	status 127 "$capsa" exec hollow -- /bin/true 2>"$work/error.txt" </dev/null && grep -q 'command not found' "$work/error.txt" &&
		timeout "$limit" "$capsa" cp "$(command -v busybox)" hollow:/busybox &&
		timeout "$limit" "$capsa" exec hollow -- /busybox ls / </dev/null >"$work/console.txt" || return
	says '^busybox$' '^proc$' '^tmp$' && [ -z "$(ls -A "$work/empty")" ] && "$capsa" kill hollow
}

mounts_that_fail() {
	folder one
	status 125 run --share "$work/one:/proc/here" -- true 2>"$work/error.txt" &&
		grep -q "the share \"$work/one\" cannot be mounted at \"/proc/here\" in the guest: /proc/here: No such file" "$work/error.txt" &&
		[ "$(wc -l <"$work/error.txt")" = 1 ] || return
	status 1 "$capsa" start --name never --memory "$memory" --share "$work/one:/proc/here" 2>"$work/error.txt" </dev/null &&
		grep -q 'cannot be mounted at "/proc/here"' "$work/error.txt" && [ ! -e "$XDG_RUNTIME_DIR/capsa/never" ]
}

# until_it_says WORD COMMAND...: the agent of a guest that comes up again is waited for, or the guest refuses for a moment
until_it_says() {
	local word=$1 end=$((SECONDS + limit))
	shift
	until [ "$(timeout "$limit" "$capsa" exec lasting -- "$@" 2>>"$work/again.txt" </dev/null)" = "$word" ]; do
		[ $SECONDS -lt $end ] && kill -0 "$pid" || return
	done
}

a_reboot_mounts_again() {
	folder one
	printf '%s\n' 'name = "lasting";' 'sandbox = true;' "memory = \"$memory\";" 'on_reboot = "restart";' \
		'devices = ( { plugin = "virtio-fs"; path = "one"; tag = "src"; mount = "/src"; },' \
		'            { plugin = "virtio-fs"; path = "one"; tag = "not"; } );' >"$work/lasting.conf"
	"$capsa" -q -c "$work/lasting.conf" </dev/null >"$work/out.txt" 2>"$work/messages.txt" &
	pid=$!
	until [ -S "$XDG_RUNTIME_DIR/capsa/lasting/agent.sock" ]; do kill -0 $pid || return; done
	# The first command comes after the mounts, without being asked twice.
	[ "$(timeout "$limit" "$capsa" exec lasting -- cat /src/file </dev/null)" = "of one" ] || return
	# An agent that was killed comes back to what is mounted, and mounts it no second time.
	timeout "$limit" "$capsa" exec lasting -- sh -c 'kill -KILL $PPID; sleep 1000' 2>"$work/error.txt" </dev/null
	until_it_says 1 grep -c virtiofs /proc/mounts || return
	timeout "$limit" "$capsa" exec lasting -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; touch /old; echo b >/proc/sysrq-trigger; sleep 1000' \
		2>"$work/error.txt" </dev/null
	until_it_says "of one" sh -c 'test ! -e /old && cat /src/file' || return
	kill -TERM $pid
	wait $pid && [ ! -s "$work/messages.txt" ]
}

check "two shares at once, each as it was wanted, and seen from both sides" two_shares_at_once
check "a share with a window is mounted for it" a_window_for_mapped_files
check "--root / runs this host's programs, which change nothing here" the_root_of_the_host
check "an empty root has no commands, but an agent" a_root_that_is_empty
check "a mount that fails ends run and start, and is told" mounts_that_fail
check "a file's shares are mounted after a reboot, and not twice after the agent was killed" a_reboot_mounts_again
finish
