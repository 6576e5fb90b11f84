#!/bin/sh
# SPDX-License-Identifier: MIT
# What is made of a timeline is read by other programs: the picture by an XML parser, the trace by jq.
test=${CAPSA_BUILD:-build}/tests/unit/timeline_test
[ -x "$test" ] || {
	echo "1..0 # SKIP cmocka is missing"
	exit 0
}
folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
"$test" write "$folder" || exit

# result NAME STATUS
n=0
result() {
	n=$((n + 1))
	[ "$2" = 0 ] && echo "ok $n - $1" || echo "not ok $n - $1"
}

echo 1..2
if command -v python3 >/dev/null; then
	python3 - "$folder/start.svg" <<'END'
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
svg = "{http://www.w3.org/2000/svg}"
assert root.tag == svg + "svg"
assert len(root.findall(svg + "rect")) == 5
assert any("]]>--<!-- &amp;" in (text.text or "") for text in root.findall(svg + "text"))
END
	result "the picture is well-formed XML" $?
else
	n=1
	echo "ok 1 - the picture is well-formed XML # SKIP python3 is missing"
fi
if command -v jq >/dev/null; then
	jq -e '.traceEvents | length == 5 and all(.ph == "X" and .dur >= 0 and (.ts | type) == "number") and .[3].name == "'"'"'\"\\"' \
		"$folder/start.json" >/dev/null
	result "the trace is JSON" $?
else
	echo "ok 2 - the trace is JSON # SKIP jq is missing"
fi
