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
echo 1..19
CAPSA_PLUGIN_PATH=$work/plugins:$build/plugins/rng/.libs
export CAPSA_PLUGIN_PATH
mkdir "$work/plugins"
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
