#!/bin/sh
# SPDX-License-Identifier: MIT
# `capsa cluster` with switches that are played by a script: cluster-verb.py.
command -v python3 >/dev/null || {
	echo "1..0 # SKIP python3 is missing"
	exit 0
}
exec python3 "${CAPSA_SOURCE:-.}/tests/unit/cluster-verb.py"
