#!/usr/bin/env bats
# System calls that fail, by strace(1): the table in peers/injected.py says what must happen.

load helper
export MUXCAT MUXCAT_FLAGS

setup_file() {
	:
}

teardown_file() {
	:
}

setup() {
	not_on_windows "strace"
	begin_test
}

# LeakSanitizer cannot work under another tracer.
injected() {
	local long=()
	[ -z "${LONG:-}" ] || long=(--long)
	ASAN_OPTIONS=detect_leaks=0 timeout -k 1 "$AT_MOST" \
		python3 -B "$BATS_TEST_DIRNAME/peers/injected.py" "${long[@]}" "$@"
}

@test "calls that fail: connect" {
	injected connect connect_udp
}

@test "calls that fail: listen" {
	injected listen listen_udp
}

@test "calls that fail: listen -k and listen --to" {
	injected listen_many relay
}

@test "calls that fail: echo" {
	injected echo echo_udp
}

@test "calls that fail: echo --threads" {
	injected echo_threads
}

@test "calls that fail: fanout" {
	injected fanout
}

@test "calls that fail: fanout --broker and --chat" {
	injected broker chat
}
