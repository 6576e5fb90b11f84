#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sixteen small machines in one cluster.
. "$(dirname "$(realpath "$0")")/lib.sh"

if [ -n "${CAPSA_LAB-}" ] && [ -z "${LONG-}" ]; then
	skip "sixteen join, each pings each by its name, and leave" "on emulated processors only with --long; cluster-many has sixteen members without guests"
	finish
fi
limit=400
"$capsa" image build -q || exit

# each COMMAND [ARG...]: with the number of each machine behind, four at a time: an emulated host loses guests that begin
# all at once.
each() {
	local i wrong=0
	for i in $(seq 16); do
		[ "$i" -le 4 ] || wait -n || wrong=1
		{ "$@" "$i" || { echo "number $i: status $?" && false; }; } >>"$work/each.txt" 2>&1 &
	done
	for i in 1 2 3 4; do
		wait -n || wrong=1
	done
	return $wrong
}

begin() {
	timeout $limit "$capsa" start -q --name "n$1" --memory 96M --cluster sixteen
}

pings_all() {
	# shellcheck disable=SC2016
	timeout $limit "$capsa" exec "n$1" -- sh -c 'for i in $(seq 16); do ping -c 1 -W 30 n$i || exit; done' </dev/null
}

leave() {
	"$capsa" stop "n$1"
}

sixteen() {
	local switch
	each begin || return
	"$capsa" cluster show sixteen --json >"$work/show.txt" || return
	[ "$(jq -r '[.members[].address] | unique | length' "$work/show.txt")" = 16 ] && each pings_all || return
	switch=$(jq -r .pid "$work/show.txt")
	each leave && timeout 60 tail --pid="$switch" -f /dev/null
}

check "sixteen join, each pings each by its name, and leave" sixteen
for i in $(seq 16); do
	"$capsa" kill "n$i" 2>/dev/null
done
finish
