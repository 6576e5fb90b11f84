#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ACPI's own compiler understands every table of ours, and finds no fault when it compiles the DSDT again.
set -u
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-acpi.XXXXXX")
trap 'rm -rf "$work"' EXIT
status=0

result() {
	local good=$1 name=$2
	if [ "$good" = 0 ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/said.txt"
		status=1
	fi
	n=$((n + 1))
}

if [ ! -x "$CAPSA_BUILD/tests/unit/acpi_test" ] || ! command -v iasl >/dev/null; then
	echo "1..0 # SKIP needs iasl (package acpica-tools) and cmocka"
	exit 0
fi
n=1
echo 1..5
mkdir "$work/tables"
"$CAPSA_BUILD/tests/unit/acpi_test" dump "$work/tables" || exit
cd "$work/tables" || exit
for table in DSDT FACP APIC MCFG; do
	iasl -d "$table.aml" >"$work/said.txt" 2>&1 && ! grep -qiE 'error|invalid|incorrect' "$work/said.txt"
	result $? "iasl reads the $table"
done
iasl -we -p "$work/again" DSDT.dsl >"$work/said.txt" 2>&1
result $? "iasl compiles the DSDT without a warning"
exit $status
