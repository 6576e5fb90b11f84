#!/bin/sh
# SPDX-License-Identifier: MIT
# The agent on a UNIX socket, spoken to by a client in Python: agent.py.
command -v python3 >/dev/null || {
	echo "1..0 # SKIP python3 is missing"
	exit 0
}
exec python3 "${CAPSA_SOURCE:-.}/tests/unit/agent.py" "$@"
