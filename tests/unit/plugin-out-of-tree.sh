#!/bin/sh
# SPDX-License-Identifier: MIT
# A plugin is built with nothing but what capsa installs: the header, found by pkg-config. And what is installed
# as a plugin is NAME.so alone.
set -u
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
build=${CAPSA_BUILD:-.} source=${CAPSA_SOURCE:-.} cc=${CC:-cc}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0

# result STATUS WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

echo 1..8

make -s -C "$build" install-includeHEADERS install-pkgconfigDATA DESTDIR="$work/root" >"$work/log" 2>&1
result $? "header and pkg-config file are installed"
pc=$(find "$work/root" -name capsa-plugin.pc)
PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$work/root
# With --prefix=/usr the include folder would be left out as the compiler's own.
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_ALLOW_SYSTEM_CFLAGS
cflags=$(pkg-config --cflags capsa-plugin)
[ -n "$cflags" ] && [ -n "$(pkg-config --variable=plugindir capsa-plugin)" ]
result $? "pkg-config knows the compiler's flags and the folder for plugins"

mkdir "$work/mine"
cp "$source/plugins/rng/rng.c" "$work/mine/"
(cd "$work/mine" && $cc -Wall -Wextra -Werror -shared -fPIC $cflags rng.c -o rng.so) >"$work/log" 2>&1
status=$?
sed 's/^/# /' "$work/log"
result $status "a plugin is built out of the tree"

# The first block of C in the tutorial is a whole plugin.
sed -n '/^```c$/,/^```$/p;' "$source/doc/plugin-authors.md" | sed '1d;/^```$/,$d' >"$work/mine/dice.c"
(cd "$work/mine" && $cc -Wall -Wextra -Werror -shared -fPIC $cflags dice.c -o dice.so) >"$work/log" 2>&1
status=$?
sed 's/^/# /' "$work/log"
[ $status -eq 0 ] && nm -D "$work/mine/dice.so" 2>"$work/log" | grep -q ' T capsa_plugin_entry$'
result $? "so is the tutorial's"

echo '#include <capsa-plugin.h>' >"$work/mine/only.c"
(cd "$work/mine" && $cc -std=c11 -pedantic-errors -Wall -Wextra -Werror $cflags -fsyntax-only only.c) >"$work/log" 2>&1
status=$?
sed 's/^/# /' "$work/log"
result $status "the header stands alone as strict C11"

if c++ --version >/dev/null 2>&1; then
	(cd "$work/mine" && c++ -pedantic-errors -Wall -Wextra -Werror $cflags -fsyntax-only -x c++ only.c) >"$work/log" 2>&1
	status=$?
	sed 's/^/# /' "$work/log"
	result $status "and as C++"
else
	skip "and as C++" "no c++"
fi

if "$build/capsa" plugin --help 2>/dev/null | grep -q 'check FILE'; then
	"$build/capsa" plugin check "$work/mine/rng.so" | grep -q '^ok: .* is the plugin rng '
	result $? "capsa plugin check takes it"
else
	skip "capsa plugin check takes it" "this capsa has no verb plugin"
fi

make -s -C "$build" install-pluginLTLIBRARIES install-data-hook DESTDIR="$work/root" >"$work/log" 2>&1 &&
	[ -n "$(find "$work/root" -name rng.so)" ] && [ -z "$(find "$work/root" -name '*.la' -o -name '*.a')" ]
result $? "plugins are installed as .so and nothing else"
