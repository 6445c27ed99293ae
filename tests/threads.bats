#!/usr/bin/env bats
# echo --threads: several loops serve at the same time, and a user sees one server.

load helper

CROWD=$BATS_TEST_DIRNAME/peers/echo_crowd.py

# How many connections each thread has served, as it tells with -vv at the end.
shares() {
	sed -n 's/.*a thread has served \([0-9]*\) connections/\1/p' "$1"
}

# Connects so many times, one after the other: connect_times PORT N
connect_times() {
	python3 - "$@" <<-'P'
		import socket, sys
		for _ in range(int(sys.argv[2])):
		    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as s:
		        s.sendall(b"x")
		        assert s.recv(1) == b"x"
	P
}

# Nobody's share differs by more than so many hundredths from an equal one: spread FILE THREADS HUNDREDTHS
spread() {
	shares "$1"
	shares "$1" | awk -v n="$2" -v most="$3" '{ sum += $1; share[NR] = $1 }
		END { for (i in share) if (share[i] < sum / n * (1 - most / 100) || share[i] > sum / n * (1 + most / 100)) exit 1
			exit NR != n || !sum }'
}

@test "connections are spread over the threads within 20%" {
	server echo -vv --threads=2 2>err
	connect_times "$port" 1000
	stop "$server"
	equal "$(shares err | awk '{ sum += $1 } END { print sum }')" 1000
	spread err 2 20
}

@test "connections that are dealt out are spread evenly" {
	server echo -vv --threads=4 -m 100 2>err
	connect_times "$port" 100
	stop "$server"
	grep -q "deals out" err
	equal "$(shares err | sort -u)" 25
}

@test "500 clients of four threads at the same time: every byte comes back" {
	! on_windows || own_wine # a server killed with many sockets can end Wine's, too
	local option
	for option in "" "-m 1000"; do
		# shellcheck disable=SC2086 # a list of options
		server echo --threads=4 $option 2>err
		run -0 python3 "$CROWD" crowd "$port" 500 20
		equal "$output" "all served"
		equal "$(<err)" ""
		stop "$server"
	done
}

@test "every byte comes back over a Unix socket, whichever thread serves" {
	needs_unix_sockets
	local i
	head -c 1000000 /dev/urandom >data
	begin echo -vv --threads=3 unix:socket 2>err
	server=$pid
	eventually accepts socket
	for i in 1 2 3; do
		mc connect unix:socket <data >got
		cmp data got
	done
	stop "$server"
	equal "$(shares err | xargs)" "1 1 1"
	[ ! -e socket ]
}

@test "every byte comes back by TLS, also where the handshakes are dealt out" {
	needs_tls
	local option i pids=()
	head -c 1000000 /dev/urandom >data
	for option in "" "-m 4"; do
		# shellcheck disable=SC2086 # a list of options
		server echo --tls --threads=3 $option 2>err
		for i in {1..8}; do
			begin connect --tls --insecure --quiet 127.0.0.1 "$port" <data >got$i
			pids[i]=$pid
		done
		for i in {1..8}; do
			ended "${pids[i]}" 0
			cmp data got$i
		done
		stop "$server"
	done
}

@test "-m counts those whose TLS handshake fails out again" {
	needs_tls
	local i
	server echo --tls --threads=2 -m 1 -v 2>err
	for i in 1 2 3; do
		echo no TLS | mc connect --quiet 127.0.0.1 "$port" >got || true
		eventually lines_with $i "accept 127" err
	done
	run -0 mc connect --tls --insecure --quiet 127.0.0.1 "$port" <<<hello
	equal "$output" hello
}

@test "-w ends with 3 when nobody comes, and not when another thread has somebody" {
	run -3 mc echo --threads=2 -w 0.2 127.0.0.1 0
	equal "${#lines[@]}" 1
	[[ $output == "muxcat: listen 127.0.0.1:0: "* ]]
	server echo --threads=2 -w 2
	connect_times "$port" 20
	read -rt 2.2 <> <(:) || true
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
}

@test "a port on which somebody listens is in use, with threads or without" {
	local first second
	for first in 1 2; do
		server echo --threads=$first
		for second in 1 2; do
			run -1 mc echo --threads=$second 127.0.0.1 "$port"
			equal "$output" "muxcat: listen 127.0.0.1:$port: Address already in use"
		done
		run -0 mc connect 127.0.0.1 "$port" <<<hello
		equal "$output" hello
		stop "$server"
	done
}

@test "a stop ends the connections of all threads in order, and a stuck one does not keep it" {
	local i pids=()
	server echo -v --threads=3 -m 100 2>err
	for i in {1..6}; do
		begin connect -d 127.0.0.1 "$port" >got$i
		pids[i]=$pid
	done
	eventually lines_with 6 accepted err
	stop "$server"
	for i in {1..6}; do
		ended "${pids[i]}" 0
	done
	lines_with 6 "stopped" err
	server echo --threads=3
	for i in {1..6}; do
		begin connect 127.0.0.1 "$port" </dev/zero >stuck$i
		eventually test -s stuck$i
		kill -STOP "$pid"
	done
	stop "$server"
}

@test "a thread that cannot be had: one line, exit 1, and nobody listens" {
	not_on_windows "strace"
	# shellcheck disable=SC2086 # a list of options
	ASAN_OPTIONS=detect_leaks=0 run -1 timeout -k 1 "$PATIENCE" strace -f -qq -o trace -e inject=clone,clone3:error=EAGAIN:when=2 \
		"$MUXCAT" $MUXCAT_FLAGS echo --threads=4 --port-file port 127.0.0.1 0
	equal "$output" "muxcat: --threads: Resource temporarily unavailable"
	[ ! -e port ]
}

@test "a port file that cannot be written ends all threads" {
	run -1 mc echo --threads=4 --port-file no-such-folder/port 127.0.0.1 0
	equal "${#lines[@]}" 1
	[[ $output == "muxcat: no-such-folder/port: "* ]]
}

@test "a port file that cannot be written ends the threads that serve already, stuck clients or not" {
	not_on_windows "strace"
	# the write takes long enough for clients to come
	# shellcheck disable=SC2086 # a list of options
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o trace -P /dev/full -e inject=write:delay_enter=3000000 \
		"$MUXCAT" $MUXCAT_FLAGS echo -v --threads=3 --port-file /dev/full 127.0.0.1 0 2>err 3>&- &
	server=$!
	started+=("$server")
	eventually grep -q listening err
	port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\) .*/\1/p' err)
	python3 - "$port" <<-'P' &
		import select, socket, sys, time
		clients = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(12)]
		for s in clients:
		    s.setblocking(False)
		while ready := select.select([], clients, [], 0.3)[1]:
		    for s in ready:
		        s.send(b"x" * 100000)  # and nothing is read
		open("full", "w").close()
		time.sleep(1000)
	P
	started+=("$!")
	eventually test -e full
	grep -q accepted err
	ended "$server" 1
	grep -q "^muxcat: /dev/full: No space left on device" err
}

@test "usage: a number of threads from 1 to 256, of echo, and not of datagrams" {
	local bad
	for bad in 0 257 -1 two ""; do
		run -2 mc echo --threads="$bad" 0
		[[ $output == "muxcat: '$bad': --threads takes "* ]]
	done
	run -2 mc echo --threads=2 -u 0
	equal "$output" "muxcat: --threads: an echo of datagrams has no connections"
	for bad in listen connect fanout; do
		run -2 mc $bad --threads=2 127.0.0.1 1
		equal "$output" "muxcat: --threads=2: no such option here"
	done
}
