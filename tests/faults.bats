# Faults that were found once: each must not come back.

load helper

FAULT=$BATS_TEST_DIRNAME/peers/fault.py

fault() {
	MUXCAT=$MUXCAT MUXCAT_FLAGS=$MUXCAT_FLAGS timeout -k 1 "$AT_MOST" python3 "$FAULT" "$@" 2>err 3>&- || {
		cat err
		return 1
	}
}

# What becomes of a connection when one descriptor more cannot be had, whichever it is.
@test "too few descriptors: the peer has everything, or no end" {
	not_on_windows "ulimit"
	MUXCAT=$MUXCAT timeout -k 1 "$AT_MOST" python3 -B "$BATS_TEST_DIRNAME/peers/few_descriptors.py"
}

@test "many chat lines in one write cut nobody off that reads, and stop no server" {
	fault chat_in_one_write
}

@test "listen -k: a client that is cut off while its bytes wait for stdout" {
	fault idle_while_stdout_waits
}

@test "broker: those held back go on when another subscriber has made room" {
	fault broker_goes_on
}

@test "a Unix datagram peer that does not read holds up nobody and costs no time" {
	not_on_windows "Unix datagram sockets"
	fault unread_datagrams
}

@test "a datagram that is too long is not passed on in part" {
	not_on_windows "Unix datagram sockets"
	fault long_datagram
}

@test "urgent data hides nothing that comes behind it" {
	fault urgent_data
}

@test "-q and -i together end as -q says" {
	fault linger_and_idle
}

@test "listen -k -q: what was queued is sent before the time counts" {
	fault linger_after_flush
}

@test "a backend that cannot hold its own descriptor says so" {
	has_fd_setsize || skip "only select has such a limit"
	fault high_descriptors
}

@test "SIGINT and then SIGTERM end it at once" {
	fault two_signals
}

@test "fanout --to: one target's leaving does not end the dialling of another" {
	fault target_leaves
}

@test "fanout --to: a target that is not there before the input's end is an error" {
	fault target_too_late
}

@test "a server that is stopped resets those who have not been sent everything" {
	fault stopped_before_the_end
}

@test "a relay that is stopped before its target is reached resets the client" {
	fault stopped_while_dialling
}

# Runs muxcat with system calls that fail as told; LeakSanitizer cannot work under another tracer.
injected() {
	local inject=$1
	shift
	not_on_windows "strace"
	# shellcheck disable=SC2086 # a list of options
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e trace="${inject%%:*}" -e inject="$inject" \
		"$MUXCAT" $MUXCAT_FLAGS "$@" 3>&- &
	pid=$!
	started+=("$pid")
}

# Ends what strace runs, and so strace.
end_injected() {
	local child
	read -r child _ <"/proc/$pid/task/$pid/children" || true
	kill -KILL "$child"
	wait "$pid" || true
}

@test "a connection that was aborted before it was accepted does not concern the next" {
	local error
	for error in ECONNABORTED EPROTO EINTR; do
		rm -f port
		injected accept4:error=$error:when=1..3 echo --port-file port 127.0.0.1 0
		port_of port
		run -0 mc connect 127.0.0.1 "$(<port)" <<<$error
		equal "$output" $error
		end_injected
	done
}

@test "interrupted calls are made again" {
	injected recvfrom,sendto,epoll_wait,poll,select,pselect6:error=EINTR:when=2+3 echo --port-file port 127.0.0.1 0
	port_of port
	head -c 1000000 /dev/urandom >data
	mc connect 127.0.0.1 "$(<port)" <data >got
	cmp data got
	end_injected
}

@test "what connect's result says is reported" {
	local port
	port=$(python3 -c "import socket
s = socket.socket()
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1])")
	run -1 mc connect 127.0.0.1 "$port"
	equal "$output" "muxcat: connect 127.0.0.1:$port: Connection refused"
}
