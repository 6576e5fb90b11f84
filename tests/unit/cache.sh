#!/bin/sh
# SPDX-License-Identifier: MIT
# The cache of unpacked kernels as users meet it: whatever happens to it, `capsa -c` goes on with a whole kernel, and
# nothing is left but whole entries. (boot_cache_test.c has the cases that need code.)
set -u
build=${CAPSA_BUILD:-.}
build=$(realpath "$build")
if [ ! -x "$build/tests/unit/kernel_files" ]; then
	echo "1..0 # SKIP cmocka is missing"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-cache.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
CAPSA_CACHE=$work/cache XDG_RUNTIME_DIR=$work
export CAPSA_CACHE XDG_RUNTIME_DIR
"$build/tests/unit/kernel_files" || exit 99
echo 'boot = { kernel = "bzimage"; };' >vm.conf

n=0
# result OK WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# start: a start as far as it goes without KVM
start()
{
	"$build/capsa" -n -v -c vm.conf >out 2>messages
}

# whole: the last start used a cache entry, it is like the first one ever, and nothing else is there
whole()
{
	entry=$(sed -n 's/^cache *//p' out)
	[ -n "$entry" ] && cmp "$entry" first && [ "$(stat -c %a "$entry")" = 400 ] && [ ! -s messages ] &&
		[ "$(find cache -type f | wc -l)" = 2 ] # the entry and the lock
}

# after WORDS COMMAND...: what the command does to the entry harms nobody
after()
{
	words=$1
	shift
	"$@"
	start && whole
	result $? "$words: built anew"
}

same_size()
{
	size=$(stat -c %s "$entry")
	rm -f "$entry"
	yes foreign | head -c "$size" >"$entry"
	chmod 400 "$entry"
}

another()
{
	rm -f "$entry"
	cp vmlinux "$entry"
	chmod 400 "$entry"
}

cut()
{
	chmod 600 "$entry"
	truncate -s -"$1" "$entry"
	chmod 400 "$entry"
}

longer()
{
	chmod 600 "$entry"
	echo more >>"$entry"
	chmod 400 "$entry"
}

empty_trailer()
{
	chmod 600 "$entry"
	truncate -s -4096 "$entry"
	truncate -s +4096 "$entry"
	chmod 400 "$entry"
}

echo 1..13
start && entry=$(sed -n 's/^cache *//p' out) && cp "$entry" first && whole
result $? "the first start fills the cache"
inode=$(stat -c %i "$entry")
start && whole && [ "$(stat -c %i "$entry")" = "$inode" ]
result $? "the second one uses what it finds"
after "an entry that is a byte short" cut 1
after "an entry cut to its first page" cut "$(($(stat -c %s "$entry") - 4096))"
after "an empty entry" cut "$(stat -c %s "$entry")"
after "an entry with something behind" longer
after "an entry without its trailer" empty_trailer
after "a file of the same size that is no entry" same_size
after "another file under its name" another
after "an entry that others may write to" chmod 666 "$entry"

rm -rf cache
for i in 1 2 3 4 5 6 7 8; do
	"$build/capsa" -n -v -c vm.conf >"out$i" 2>"messages$i" || echo "status $?" >>"messages$i" &
done
wait
cat messages? >messages
cp out1 out
whole && [ "$(cat out? | grep -c "^cache *$entry$")" = 8 ]
result $? "eight starts at once: one entry, which all use"

# A tmpfs in a mount namespace of its own; not every place allows that.
cat >full.sh <<'E'
mount -t tmpfs -o size=24k,mode=700 full "$CAPSA_CACHE" && "$1" -n -v -c vm.conf >out 2>messages
echo "$?" >status
find "$CAPSA_CACHE" -type f ! -name lock >left
E
rm -rf cache && mkdir -m 700 cache
if unshare -r -m sh -c 'mount -t tmpfs full "$CAPSA_CACHE"' 2>/dev/null; then
	unshare -r -m sh full.sh "$build/capsa"
	[ "$(cat status)" = 0 ] && grep -q 'the unpacked kernel does not go into the cache: No space left on device' messages &&
		grep -q '^kernel .*unpacked by capsa' out && ! grep -q '^cache' out
	result $? "a full disk: said, done without"
	[ ! -s left ]
	result $? "a full disk: nothing left behind"
else
	n=$((n + 1)) && echo "ok $n - a full disk: said, done without # SKIP no mount namespace"
	n=$((n + 1)) && echo "ok $n - a full disk: nothing left behind # SKIP no mount namespace"
fi
