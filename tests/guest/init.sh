#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The agent's binary as /init of a guest, with the modules that a machine of capsa's needs, spoken to over vsock.
. "$(dirname "$(realpath "$0")")/lib.sh"

machine probe 'vsock = { socket = "probe.vsock"; };'
"$capsa" -n -c "$work/probe.conf" >/dev/null 2>&1 || {
	skip "init and agent in a guest" "this capsa has no vsock"
	finish
}
WORK=$work CAPSA=$capsa BUILD=$build KERNEL=$kernels/cloud LIMIT=$limit PATH=$PATH:/usr/sbin:/sbin python3 "$tests/init.py"
