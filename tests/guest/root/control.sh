#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, to be somebody else: no other user gets into a machine's control socket, whatever the files would allow.
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

stranger() {
	setpriv --reuid=4711 --regid=4711 --clear-groups curl -sS --max-time 60 --unix-socket "$socket" "$@" http://machine/vm
}

another_user_is_refused() {
	machine mine 'boot = { kernel_entry = "compressed"; };' # quick: nothing to unpack
	attended mine --append quiet
	socket=$XDG_RUNTIME_DIR/capsa/mine/control.sock
	until [ -S "$socket" ]; do kill -0 "$pid" || return; done
	chmod 711 "$work"
	[ "$(stat -c '%a %U' "$socket")" = '600 root' ] || return
	stranger >"$work/said.txt" 2>&1 && return 1
	grep -q 'connect' "$work/said.txt" || return
	# As if somebody had opened all doors: then the kernel says who it is.
	chmod 711 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/capsa" "$XDG_RUNTIME_DIR/capsa/mine"
	chmod 666 "$socket"
	stranger -w '%{http_code}' >"$work/body.txt" || return
	grep -q "another user's" "$work/body.txt" && [ "$(tail -n 1 "$work/body.txt")" = 403 ] || return
	curl -sS --unix-socket "$socket" http://machine/vm | grep -q '"state": "running"' || return
	stop_machine
}

if command -v curl >/dev/null; then
	check "another user is refused" another_user_is_refused
else
	skip "another user is refused" "curl is missing"
fi
finish
