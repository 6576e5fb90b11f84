#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# capsa started in surroundings that lack something: descriptors, room, limits. It says so, or does without; nothing is left.
set -u
build=${CAPSA_BUILD:-.}
build=$(realpath "$build")
if [ ! -x "$build/tests/unit/kernel_files" ]; then
	echo "1..0 # SKIP cmocka is missing"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-environment.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
CAPSA_CACHE=$work/cache XDG_RUNTIME_DIR=$work
export CAPSA_CACHE XDG_RUNTIME_DIR
"$build/tests/unit/kernel_files" || exit 99
echo 'boot = { kernel = "bzimage"; };' >vm.conf
for fd in 0 1; do
	echo "boot = { kernel = \"/proc/self/fd/$fd\"; };" >fd$fd.conf
done
capsa=$build/capsa

n=0
# result OK WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2" && cat messages; fi
}

echo 1..11
"$capsa" -n -c fd0.conf <&- 2>messages
[ $? = 2 ] && grep -q 'a special file, no kernel' messages
result $? "a closed standard input: nothing of capsa's gets its number"
"$capsa" -n -c fd1.conf >&- 2>messages
[ $? = 2 ] && grep -q 'a special file, no kernel' messages
result $? "a closed standard output: nothing of capsa's gets its number"
rm -rf cache
"$capsa" -n -v -c vm.conf <&- >&- 2>&- && "$capsa" -n -v -c vm.conf 2>messages | grep -q '^cache .*cache/kernels/'
result $? "all three closed: it works, and its cache is whole"

"$capsa" -n -v -c vm.conf >/dev/full 2>messages
[ $? = 1 ] && grep -qx 'capsa: cannot write to standard output: No space left on device' messages
result $? "a standard output without room: said, status 1"
"$capsa" --help >/dev/full 2>messages
[ $? = 1 ] && grep -q 'cannot write' messages
result $? "the same for --help"
"$capsa" plugin ls >/dev/full 2>messages
[ $? = 1 ] && grep -q 'cannot write' messages
result $? "the same for a verb"

rm -rf cache
(ulimit -f 8 && exec "$capsa" -n -v -c vm.conf) >out 2>messages
[ $? = 0 ] && grep -q 'does not go into the cache: File too large' messages && grep -q 'ok$' out
result $? "a limit on the size of files: said, done without the cache"
[ -z "$(find cache -type f ! -name lock)" ]
result $? "a limit on the size of files: nothing left behind"

# Whatever number of descriptors is too few: one line, and never a crash. libevent ends the process where it finds no
# room for its own; what is lost then is no leak.
fine=0
for limit in 4 5 6 7 8 9 10 11 12; do
	(ulimit -n $limit && ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 exec "$capsa" -n -q -c vm.conf) >out 2>messages
	status=$?
	[ $status = 0 ] || { [ $status -le 2 ] && [ "$(wc -l <messages)" = 1 ]; } || [ $status = 127 ] || {
		echo "limit $limit: status $status" >>messages
		fine=1
		break
	}
done
result $fine "few descriptors: one line that says why"

fine=0
while read -r word says; do
	"$capsa" "$word" >out 2>messages </dev/null
	[ $? = 2 ] && [ "$(cat messages)" = "capsa: $says; \`capsa --help\` tells the options" ] || {
		fine=1
		break
	}
done <<'E'
-x no option -x, or not in that form
-nx no option -x, or not in that form
--nonsense no option --nonsense, or not in that form
--check=1 no option --check=1, or not in that form
E
result $fine "options that there are not: one line"
"$capsa" -c >out 2>messages </dev/null
[ $? = 2 ] && [ "$(cat messages)" = 'capsa: what shall -c be? `capsa --help` tells the options' ]
result $? "an option without its argument: one line"
