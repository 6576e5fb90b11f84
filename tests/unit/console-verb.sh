#!/bin/sh
# SPDX-License-Identifier: MIT
# `capsa console` against a console that is played by a script: console-verb.py.
command -v python3 >/dev/null || {
	echo "1..0 # SKIP python3 is missing"
	exit 0
}
exec python3 "${CAPSA_SOURCE:-.}/tests/unit/console-verb.py"
