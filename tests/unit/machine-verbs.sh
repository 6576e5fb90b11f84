#!/bin/sh
# SPDX-License-Identifier: MIT
# `capsa ls`, `info`, `stop` and `kill` with machines that are played by a script: machine-verbs.py.
command -v python3 >/dev/null || {
	echo "1..0 # SKIP python3 is missing"
	exit 0
}
exec python3 "${CAPSA_SOURCE:-.}/tests/unit/machine-verbs.py"
