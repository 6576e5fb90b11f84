#!/bin/sh
# SPDX-License-Identifier: MIT
# `capsa plugin`: what it prints for people and programs, and how it exits.
set -u
build=${CAPSA_BUILD:-.}
capsa=$build/capsa
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0

# want STATUS WORDS ARGUMENT...: `capsa plugin ARGUMENT...` exits so, and its output and errors have those words.
want()
{
	status=$1 words=$2
	shift 2
	n=$((n + 1))
	"$capsa" plugin "$@" >"$work/out" 2>&1
	found=$?
	name=$(echo "plugin $* says \"$words\" and exits $status" | sed "s|$work|.|g; s|$build|.|g")
	if [ $found -eq "$status" ] && grep -qF -- "$words" "$work/out"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed "s/^/# $found: /" "$work/out"
	fi
}

if ! "$capsa" plugin --help 2>/dev/null | grep -q 'check FILE'; then
	echo "1..0 # SKIP this capsa has no verb plugin"
	exit 0
fi
# refuse FILE WORDS: `capsa plugin check FILE` says that line, to the letter, and exits 1.
refuse()
{
	n=$((n + 1))
	"$capsa" plugin check "$1" >"$work/out" 2>&1
	found=$?
	echo "capsa: $1$2" >"$work/expected"
	[ "${3-}" != whole ] || echo "capsa: $2" >"$work/expected"
	if [ $found = 1 ] && cmp -s "$work/out" "$work/expected"; then
		echo "ok $n - plugin check $(basename "$1"): refused with the reason"
	else
		echo "not ok $n - plugin check $(basename "$1"): refused with the reason"
		sed "s/^/# $found: /" "$work/out" "$work/expected"
	fi
}

bad=$build/tests/unit/plugins/.libs
# number NAME: out of the header
number()
{
	sed -n "s/^#define $1 \([0-9]*\)u$/\1/p" "${CAPSA_SOURCE:-.}/include/capsa-plugin.h"
}
version=$(number CAPSA_PLUGIN_API_VERSION) revision=$(number CAPSA_PLUGIN_API_REVISION)
if [ -e "$bad/bad-newer.so" ]; then echo 1..34; else echo 1..22; fi
CAPSA_PLUGIN_PATH=$work/plugins:$build/plugins/rng/.libs
export CAPSA_PLUGIN_PATH
mkdir "$work/plugins" "$work/folder.so"
mkfifo "$work/fifo.so"
echo "no plugin" >"$work/plugins/text.so"

want 0 "random numbers for the guest" ls
want 0 "cannot be used: $work/plugins/text.so is not a shared object" ls
want 0 '"name": "rng"' ls --json
want 0 '"error": ' ls --json
want 0 "entropy source (virtio device 4)" show rng
want 0 "size 0..1T" show rng
want 0 '"default": "0"' show --json rng
want 0 '"max": 1099511627776' show --json rng
want 1 'did you mean "rng"?' show rgn
want 0 "ok: $build/plugins/rng/.libs/rng.so is the plugin rng" check "$build/plugins/rng/.libs/rng.so"
want 0 '"ok": true' check --json "$build/plugins/rng/.libs/rng.so"
want 1 "is not a shared object" check "$work/plugins/text.so"
want 1 '"ok": false' check --json "$work/plugins/text.so"
want 1 "no plugin file ./missing.so" check missing.so
want 2 "plugin needs to know what to do"
want 2 "plugin knows ls, show and check" dance
want 2 "show needs the name" show
want 2 "check needs a file" check
want 2 "--json" ls --colour

refuse "$work/plugins/text.so" " is not a shared object"
refuse "$work/folder.so" " is not a shared object but a folder"
refuse "$work/fifo.so" " is not a shared object but a special file"
if [ -e "$bad/bad-newer.so" ]; then
	refuse "$bad/bad-newer.so" " was built for plugin interface $((version + 1)).0; this capsa has $version.$revision: install a newer capsa, or build the plugin with this one's header"
	refuse "$bad/bad-size.so" ": struct_size is 16, too small for a struct capsa_plugin (use CAPSA_PLUGIN_HEADER)"
	refuse "$bad/bad-callback.so" ": the mandatory callback reset() is missing"
	refuse "$bad/bad-symbol.so" "cannot load the plugin $bad/bad-symbol.so: undefined symbol: capsa_function_that_is_nowhere" whole
	refuse "$bad/bad-entry.so" " is no capsa plugin: it does not export capsa_plugin_entry()"
	refuse "$bad/bad-null.so" ": capsa_plugin_entry() returned NULL: the plugin refuses to be used"
	head -c 6000 "$bad/bad-null.so" >"$work/short.so"
	refuse "$work/short.so" " is cut short: install it again"
	refuse "$bad/hostile-crash.so" " ends whoever loads it (Segmentation fault): a fault of the plugin"
	refuse "$bad/hostile-exit.so" " ends whoever loads it (exit status 0): a fault of the plugin"
	refuse "$bad/hostile-hang.so" " does not load within 5 seconds: a fault of the plugin"
	ln -s "$bad/hostile-crash.so" "$work/plugins/crash.so"
	want 0 "cannot be used: crash ends whoever loads it (Segmentation fault)" ls
	want 0 "random numbers for the guest" ls
fi
