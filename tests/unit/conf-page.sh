#!/bin/sh
# SPDX-License-Identifier: MIT
# capsa.conf(5) is true: every key of core/config/config.c and of each plugin stands in the page with its type, limits
# and default, no other does, and what is in conf/ and in the page's example passes the program's own check.
set -u
build=${CAPSA_BUILD:-.} source=${CAPSA_SOURCE:-.}
build=$(realpath "$build") source=$(realpath "$source")
page=$source/doc/capsa.conf.5
if ! command -v jq >/dev/null; then
	echo "1..0 # SKIP jq is missing"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-conf-page.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
CAPSA_PLUGIN_PATH=$(printf '%s:' "$build"/plugins/*/.libs) CAPSA_CACHE=$work/cache
export CAPSA_PLUGIN_PATH CAPSA_CACHE

n=0
# result OK WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# section NAME: the page's keys there as "NAME TYPE [MIN to MAX] [default: VALUE]", without roff
section()
{
	awk -v name="$1" '
		$1 == ".Ss" { inside = substr($0, 5) == name }
		inside && /^\.It Cm / { print substr($0, 8) }' "$page" |
		sed 's/ Pq / /; s/ Q[oc] */ /g; s/ Q[qc] / /g; s/ Sy / /g; s/  */ /g; s/ ;/;/g; s/ ,/,/g; s/\.$//'
}

# The tables of the program: `{ { .name = "cpus", .type = CAPSA_TYPE_INT, .min = 1, .max = 254 }, take_cpus },`
rules()
{
	sed -n "/^static const struct rule $1\[/,/^};/p" "$source/core/config/config.c" | tr -d '\n' | tr '{' '\n' |
		sed -n 's/^ *\.name = "\([^"]*\)", \.type = CAPSA_TYPE_\([A-Z]*\)\(.*\)$/\1 \2 \3/p'
}

# compare TABLE SECTION: names, types and limits
compare()
{
	good=0
	section "$2" >"$work/page"
	rules "$1" >"$work/rules"
	[ -s "$work/rules" ] || good=1
	while read -r key type rest; do
		case $type in
		BOOL) want='boolean;' ;;
		INT) want="integer $(echo "$rest" | sed 's/.*\.min = \([0-9]*\), \.max = \([0-9]*\).*/\1 to \2[;,]/')" ;;
		SIZE) want='size 32M to 16T;' ;;
		STRING) want='\(string\|path\);' ;;
		PATH) want='path;' ;;
		CHOICE) want='choice ' ;;
		*) want='' ;;
		esac
		grep -q "^$key $want" "$work/page" || { good=1 && echo "# not in the page as \"$key $want\"" && grep "^$key " "$work/page" | sed 's/^/# there: /'; }
	done <"$work/rules"
	while read -r key _; do
		grep -q "^$key " "$work/rules" || { good=1 && echo "# the program has no key $key"; }
	done <"$work/page"
	result $good "$2: every key of the program, and no other"
}

# plugin NAME: its keys are as it declares them
plugin()
{
	good=0
	section "plugin = Qq $1" >"$work/page"
	"$build/capsa" plugin show --json "$1" >"$work/plugin.json" || good=1
	jq -r '.keys[] | [.name, .type, (if .min then "\(.min) to \(.max)" else "" end), (if .required then "required" else "default: \(.default // "none")" end)] | join("|")' \
		"$work/plugin.json" | sed 's/0 to 1099511627776/0 to 1T/; s/0 to 1125899906842624/0 to 1024T/' >"$work/keys"
	[ -s "$work/keys" ] || good=1
	while IFS='|' read -r key type limits default; do
		grep -qxF "$key $type${limits:+ $limits}; $default" "$work/page" || {
			good=1
			echo "# not in the page: $key $type${limits:+ $limits}; $default"
			grep "^$key " "$work/page" | sed 's/^/# there: /'
		}
	done <"$work/keys"
	[ "$(wc -l <"$work/keys")" = "$(wc -l <"$work/page")" ] || { good=1 && echo "# more keys in the page"; }
	result $good "plugin $1: every key with type, limits and default"
}

# shellcheck disable=SC2046 # names without spaces
set -- $("$build/capsa" plugin ls --json | jq -r --arg b "$build/" '.plugins[] | select(.file // "" | startswith($b)) | .name')
echo "1..$(($# + 7))"
compare top_rules "The machine"
compare boot_rules boot
compare vsock_rules vsock
compare vsock_port_rules "vsock ports"
for name; do
	plugin "$name"
done

# A key that the error message of an unknown one leaves out is one that nobody finds.
good=0
echo 'zzzzzzzz = 1;' >"$work/a.conf"
echo 'boot = { zzzzzzzz = 1; };' >"$work/b.conf"
echo 'vsock = { zzzzzzzz = 1; };' >"$work/v.conf"
echo 'vsock = { ports = ( { zzzzzzzz = 1; } ); };' >"$work/p.conf"
"$build/capsa" -n -c "$work/a.conf" 2>"$work/a"
"$build/capsa" -n -c "$work/b.conf" 2>"$work/b"
"$build/capsa" -n -c "$work/v.conf" 2>"$work/v"
"$build/capsa" -n -c "$work/p.conf" 2>"$work/p"
for key in $(rules top_rules | cut -d' ' -f1); do
	grep -qw "$key" "$work/a" || { good=1 && echo "# not told: $key"; }
done
for key in $(rules boot_rules | cut -d' ' -f1); do
	grep -qw "$key" "$work/b" || { good=1 && echo "# not told: $key"; }
done
for key in $(rules vsock_rules | cut -d' ' -f1); do
	grep -qw "$key" "$work/v" || { good=1 && echo "# not told: $key"; }
done
for key in $(rules vsock_port_rules | cut -d' ' -f1); do
	grep -qw "$key" "$work/p" || { good=1 && echo "# not told: $key"; }
done
result $good "the error about an unknown key names all that there are"

# The default kernel and a static busybox are not everywhere: a file is good here when nothing but these is missing.
passes()
{
	"$build/capsa" -n -q -c "$1" >"$work/said" 2>&1 || grep -q 'no kernel was given and none found\|no such kernel\|busybox-static is missing' "$work/said" || {
		sed 's/^/# /' "$work/said"
		return 1
	}
}

# The agent of a sanitizer build is not static, as one must be in an image: a program that is stands in for it.
if ldd "$build/agent/capsa-agent" 2>/dev/null | grep -q '=>'; then
	CAPSA_AGENT=/bin/busybox
	export CAPSA_AGENT
fi
good=0
for file in "$source"/conf/*.conf; do
	passes "$file" || good=1
done
result $good "every file in conf/ passes capsa -n -c"
sed -n '/^\.Bd -literal/,/^\.Ed/{/^\./!p}' "$page" >"$work/example.conf"
[ -s "$work/example.conf" ] && passes "$work/example.conf"
result $? "so does the example of the page"
