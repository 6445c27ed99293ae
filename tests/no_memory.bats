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
	timeout -k 1 "$AT_MOST" python3 -B "$BATS_TEST_DIRNAME/peers/no_memory.py" "$@"
}

# Some of OpenSSL's many thousand allocations; all of them in make check-long.
without_memory_for_tls() {
	local step=499
	[ -z "${LONG:-}" ] || step=1
	needs_tls
	without_memory --tls --step $step "$@"
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

@test "fanout --broker and --chat without memory: what is lost is told of" {
	without_memory broker chat
}

@test "echo --threads without memory: who was turned away is told of, and the next is served" {
	without_memory echo_threads
}

@test "fanout --slow=drop without memory: a subscriber that lags gets whole lines, or is cut off" {
	without_memory slow
}

@test "no memory from some moment on: it ends, and fools nobody" {
	without_memory --for-ever connect connect_udp listen listen_many echo
}

@test "connect by TLS without memory" {
	without_memory_for_tls connect
}

@test "listen by TLS without memory" {
	without_memory_for_tls listen relay
}

@test "echo and fanout by TLS without memory: who was turned away is told of, and the next is served" {
	without_memory_for_tls echo fanout
}
