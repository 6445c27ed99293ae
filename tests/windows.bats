#!/usr/bin/env bats
# What only Windows has: pipes of messages, processes without standard handles.

load helper

# give HOW ARGUMENT...: muxcat as tests/wine/give.c starts it.
give() {
	local how=$1
	shift
	# shellcheck disable=SC2086
	timeout -k 1 "$PATIENCE" /usr/lib/wine/wine64 "$MUXCAT_BUILD/windows/give.exe" "$how" \
		"Z:${MUXCAT_BUILD//\//\\}\\windows\\muxcat.exe" $MUXCAT_FLAGS "$@" 3>&-
}

@test "a write of nothing into stdin's pipe is not its end" {
	on_windows || skip "Linux has no such pipes"
	peer listen port read-eof >asked
	give bytes connect 127.0.0.1 "$(port_of port)" >out 2>err
	ended "$pid" 0
	equal "$(<asked)" abcdef
}

@test "stdin a pipe read by messages: a long one is passed whole" {
	on_windows || skip "Linux has no such pipes"
	peer listen port read-eof >asked
	give messages connect 127.0.0.1 "$(port_of port)" >out 2>err
	ended "$pid" 0
	cmp <(printf abc && head -c 100000 /dev/zero | tr '\0' y && printf def) asked
}

@test "no standard handles: stdin is at its end, and what arrives for stdout fails" {
	on_windows || skip "on Linux stdio.bats closes the descriptors"
	local status=0
	peer listen port read-eof flood=8000 fin >asked
	give nothing connect 127.0.0.1 "$(port_of port)" 2>err || status=$?
	equal "$status" 1
	equal "$(<err)" "muxcat: stdout: Permission denied"
	[ ! -s asked ]
}
