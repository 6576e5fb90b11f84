#!/bin/sh
# SPDX-License-Identifier: MIT
# Bad input at the command line: each bad-input-pairs/NAME.conf is given to `capsa -c` and `capsa -n -c`, and the answer is
# the one line of bad-input-pairs/NAME.expected, to the letter (@HERE@ is the folder that it lies in, @...@ others), with
# status 2, before KVM is asked for anything, and with nothing left behind. The parser's own pairs lie in config/ (config_test.c).
set -u
umask 022 # what is made here is read by another user
build=${CAPSA_BUILD:-.} source=${CAPSA_SOURCE:-.}
build=$(realpath "$build") source=$(realpath "$source")
pairs=$source/tests/unit/bad-input-pairs
if [ ! -x "$build/tests/unit/kernel_files" ]; then
	echo "1..0 # SKIP cmocka is missing"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-bad-input.XXXXXX") || exit 99
work=$(realpath "$work")
trap 'chmod -R u+rwX "$work"; rm -rf "$work"' EXIT

mkdir "$work/here" "$work/run" "$work/cache" "$work/tmp" "$work/bin" "$work/plugins"
chmod 700 "$work/run"
cd "$work/here" || exit 99
cp "$pairs"/*.conf . && cp -R "$pairs/parts" . && chmod -R u+w . || exit 99
"$build/tests/unit/kernel_files" || exit 99
cp "$build/plugins/rng/.libs/rng.so" shared.so
cp "$build/tests/unit/plugins/.libs/tagged.so" .
head -c 700 bzimage >truncated-in-header
head -c -64 bzimage >truncated
cut=$(stat -c %s truncated) whole=$(stat -c %s bzimage)
head -c 20000 vmlinux >truncated-vmlinux
echo "no kernel, no plugin, no initrd" >text
cp vmlinux arm64 && printf '\267' | dd of=arm64 bs=1 seek=18 conv=notrunc 2>/dev/null # e_machine: EM_AARCH64
{ printf MZ && head -c 2000 /dev/zero; } >application.efi
gzip -c vmlinux >packed.gz
: >empty
mkdir folder
mkfifo fifo
ln -s nothing dangling
echo secret >unreadable && chmod 000 unreadable
truncate -s 20M 20MiB
truncate -s 64M 64MiB

# Root may read everything: capsa runs as nobody then, with a copy of the program, whose own folder may be private.
user=
cp "$build/capsa" "$build/tests/unit/plugins/.libs/kvm-shim.so" "$work/bin/"
cp "$build/plugins/console/.libs/console.so" "$build/plugins/rng/.libs/rng.so" "$build/plugins/virtio-fs/.libs/virtio-fs.so" "$work/plugins/"
if [ "$(id -u)" = 0 ]; then
	user="setpriv --reuid=65534 --regid=65534 --clear-groups"
	chown -R 65534:65534 "$work"
fi
CAPSA_PLUGIN_PATH=$work/plugins
XDG_RUNTIME_DIR=$work/run CAPSA_CACHE=$work/cache TMPDIR=$work/tmp
export CAPSA_PLUGIN_PATH XDG_RUNTIME_DIR CAPSA_CACHE TMPDIR
# Whoever asks for KVM gets an answer that no test expects.
shim=$work/bin/kvm-shim.so
case $(ldd "$build/capsa") in *libasan*) ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS-} && export ASAN_OPTIONS ;; esac

# capsa, as that user, on a host whose KVM is what TEST_KVM says
capsa()
{
	# shellcheck disable=SC2086 # a command, or nothing
	timeout 60 $user env LD_PRELOAD="$shim" TEST_KVM="$kvm" "$work/bin/capsa" "$@" </dev/null
}

# Everything that a start could leave: kernels in the cache are meant to stay.
list()
{
	find "$work" ! -path "$work/cache/kernels/lock" ! -name '*.kernel' ! -name '*.file' \
		! -path "$work/out" ! -path "$work/err" ! -path "$work/before" ! -path "$work/after" \
		-printf '%P %y %m %s\n' | grep -v '^cache/kernels d\|^cache d\|^ d\|^run d' | sort
}

n=0
# result OK WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# want STATUS EXPECTED-FILE WORDS ARGUMENT...: capsa says that and no more, ends so, and leaves nothing.
want()
{
	status=$1 expected=$2 words=$3 good=0
	shift 3
	list >"$work/before"
	capsa "$@" >"$work/out" 2>"$work/err"
	found=$?
	list >"$work/after"
	sed "s|@HERE@|$work/here|g; s|@PLUGINS@|$work/plugins, $folder|g; s|@CUT@|$cut|; s|@WHOLE@|$whole|" "$expected" >"$work/tmp/expected"
	[ "$found" = "$status" ] || { good=1 && echo "# status $found instead of $status"; }
	cmp -s "$work/err" "$work/tmp/expected" || {
		good=1
		sed 's/^/# said: /' "$work/err"
		sed 's/^/# not:  /' "$work/tmp/expected"
	}
	[ ! -s "$work/out" ] || { good=1 && sed 's/^/# on standard output: /' "$work/out"; }
	cmp -s "$work/before" "$work/after" || { good=1 && diff "$work/before" "$work/after" | sed 's/^/# left: /'; }
	rm -f "$work/tmp/expected"
	result $good "$words"
}

folder=$(TEST_KVM='' "$work/bin/capsa" plugin show no-such-plugin 2>&1 | sed -n 's/.* \([^ ]*\))$/\1/p')
set -- *.conf
echo "1..$((2 * $# + 8))"
kvm=errno:77
for file; do
	name=${file%.conf}
	want 2 "$pairs/$name.expected" "$name: refused" -c "$file"
	want 2 "$pairs/$name.expected" "$name: refused by a mere check" -n -c "$file"
done
want 2 "$pairs/missing-file.expected" "a file that is not there: refused" -c not-there.conf
want 2 "$pairs/missing-file.expected" "a file that is not there: refused by a mere check" -n -c not-there.conf

# What only the host can tell, so not with -n.
cat >cpus.conf <<'E'
boot = { kernel = "vmlinux"; };
cpus = 8;
E
echo 'capsa: cpus.conf:2: key "cpus": this host'"'"'s KVM takes at most 4, found 8' >"$work/tmp/words"
kvm=vcpus:4
want 2 "$work/tmp/words" "more CPUs than the host's KVM takes: refused" -c cpus.conf

kvm=errno:2
echo "capsa: Backend unavailable: KVM device /dev/kvm not accessible: it does not exist: is the module loaded? sudo modprobe kvm-intel or kvm-amd (virtualisation must be on in the firmware setup); in a VM: enable nested virtualisation on its host; in a container: pass --device /dev/kvm" >"$work/tmp/words"
want 1 "$work/tmp/words" "no /dev/kvm: said with the remedy, nothing left" -c cpus.conf
kvm=lacks:32 # KVM_CAP_IRQFD
echo "capsa: Backend unavailable: KVM device /dev/kvm not accessible: this host's KVM lacks KVM_CAP_IRQFD (0 of 1), needed for device interrupts without an exit: Linux 4.20 or later is required; \`capsa doctor\` shows all that is missing" >"$work/tmp/words"
want 1 "$work/tmp/words" "a KVM that lacks a capability: said, nothing left" -c cpus.conf

# A machine of that name runs: its lock is held.
kvm=vcpus:8
mkdir -p "$work/run/capsa/cpus"
echo 4242 >"$work/run/capsa/cpus/lock"
: >"$work/run/capsa/.lock"
chmod 700 "$work/run/capsa" "$work/run/capsa/cpus"
[ -z "$user" ] || chown -R 65534:65534 "$work/run"
echo 'capsa: a machine named "cpus" runs already (process 4242); give this one another name' >"$work/tmp/words"
exec 9<>"$work/run/capsa/cpus/lock"
flock 9
want 1 "$work/tmp/words" "a second machine of one name: refused, the first one's folder stays" -c cpus.conf
exec 9>&-

# Late failures: sockets, links and folders that were made by then are gone again.
cat >late.conf <<'E'
boot = { kernel = "vmlinux"; };
devices = (
	{ plugin = "console"; backend = "socket"; path = "console.sock"; },
	{ plugin = "console"; backend = "pty"; path = "tty"; },
	{ plugin = "console"; backend = "socket"; },
	{ plugin = "console"; backend = "file"; path = "nowhere/log"; }
);
E
echo 'capsa: late.conf:6: console3: cannot open @HERE@/nowhere/log: No such file or directory' >"$work/tmp/words"
want 1 "$work/tmp/words" "a device that cannot be opened: nothing is left of the others" -q -c late.conf
sed -i '/nowhere/d; s/"socket"; },$/"socket"; }/' late.conf
echo 'capsa: KVM makes no virtual machine: Input/output error' >"$work/tmp/words"
want 1 "$work/tmp/words" "a KVM that makes no machine: nothing is left of the devices" -q -c late.conf
