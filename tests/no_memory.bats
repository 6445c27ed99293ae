#!/usr/bin/env bats
# Short runs of each command in which an allocation fails: each in turn.

load tls_helper

setup_file() {
	on_windows || "$MUXCAT" --version | grep -q "^TLS: none" || make_certificates >/dev/null 2>&1
}

teardown_file() {
	:
}

setup() {
	not_on_windows "LD_PRELOAD"
	case $MUXCAT_BUILD in *asan | *tsan) skip "the sanitizers have an allocator of their own" ;; esac
	begin_test
	export NO_MEMORY=$MUXCAT_BUILD/no_memory.so
}

without_memory() {
	timeout -k 1 "${LONG:-100}" python3 -B "$BATS_TEST_DIRNAME/peers/no_memory.py" "$@"
}

# Every step-th allocation of OpenSSL's many thousands; all of them in make check-long.
without_memory_for_tls() {
	needs_tls
	without_memory --tls --step "${LONG:+1}${LONG:-$1}" "${@:2}"
}

@test "connect without memory: all bytes, or one line and exit 1" {
	without_memory connect connect_udp
}

@test "listen without memory: all bytes, or one line and exit 1" {
	without_memory listen listen_many listen_at_file relay listen_udp
}

@test "echo without memory: who was turned away is told of, and the next is served" {
	without_memory echo echo_udp
}

@test "fanout without memory: all bytes, or one line and exit 1" {
	without_memory fanout fanout_to
}

@test "no memory from some moment on: it ends, and fools nobody" {
	without_memory --for-ever connect connect_udp listen listen_many echo
}
