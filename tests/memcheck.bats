#!/usr/bin/env bats
# Short runs of each command under valgrind, which has nothing to say: for one backend, and in
# make check-long for all, and by TLS.

load tls_helper

setup_file() {
	[ -z "${LONG:-}" ] || "$MUXCAT" --version | grep -q "^TLS: none" || make_certificates >/dev/null 2>&1
}

teardown_file() {
	:
}

setup() {
	not_on_windows "valgrind"
	case $MUXCAT_BUILD in *asan | *tsan | *no-tls) skip "for the build that is installed" ;; esac
	[ -n "${LONG:-}" ] || [ "$MUXCAT_FLAGS" = --backend=epoll ] || skip "in make check-long"
	begin_test
}

memcheck() {
	timeout -k 1 "$AT_MOST" python3 -B "$BATS_TEST_DIRNAME/peers/memcheck.py" "$@"
}

@test "connect and listen use memory as they should" {
	memcheck connect listen listen_many
}

@test "echo, a relay and fanout use memory as they should" {
	memcheck echo relay fanout
}

@test "datagrams and what is dialled use memory as they should" {
	[ -n "${LONG:-}" ] || skip "in make check-long"
	memcheck connect_udp listen_udp echo_udp fanout_to
}

@test "a broker and threads use memory as they should" {
	[ -n "${LONG:-}" ] || skip "in make check-long"
	memcheck broker chat echo_threads
}

@test "TLS uses memory as it should" {
	[ -n "${LONG:-}" ] || skip "in make check-long"
	needs_tls
	memcheck --tls connect listen echo relay fanout
}
