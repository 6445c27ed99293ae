#!/usr/bin/env bats
# echo: every byte goes back to its sender, whoever else is there.

load helper


PEER=$BATS_TEST_DIRNAME/peers/echo_crowd.py

# An echo server on a free port of 127.0.0.1, in $port and $server.
server() {
	rm -f port
	begin echo --port-file port "$@"
	server=$pid
	port=$(port_of port)
}

# An echo server that may open no more than so many descriptors.
limited() {
	not_on_windows "limit of open handles"
	rm -f port
	(
		ulimit -n "$1" || exit
		exec "$MUXCAT" $MUXCAT_FLAGS echo --port-file port 127.0.0.1 0
	) </dev/null 2>err 3>&- 4>&- &
	server=$!
	started+=("$server")
	port=$(port_of port)
}

# The CPU time a process has used, in hundredths of a second.
cpu() {
	awk '{print $14 + $15}' "/proc/$1/stat"
}

# Sends a datagram of so many bytes, and prints how many come back unchanged.
datagram() {
	python3 - "$@" <<-'P'
		import os, socket, sys
		size, *address = sys.argv[1:]
		if len(address) == 1:
		    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		    s.bind("client%d" % os.getpid())
		    s.connect(address[0].replace("@", "\0", 1))
		else:
		    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    s.connect((address[0], int(address[1])))
		s.settimeout(10)
		data = os.urandom(int(size))
		s.send(data)
		back = s.recv(100000)
		print(len(back), "same" if back == data else "other")
	P
}

@test "every byte comes back over tcp, and then the end of file" {
	head -c 5000000 /dev/urandom >data
	server 127.0.0.1 0 2>err
	mc connect 127.0.0.1 "$port" <data >got
	cmp data got
	run -0 mc connect 127.0.0.1 "$port" </dev/null
	equal "$output" ""
	equal "$(<err)" ""
}

echo_at() {
	head -c 3000000 /dev/urandom >data
	begin echo -v "$1" 2>err
	eventually grep -q listening err
	mc connect "$1" <data >got
	cmp data got
}

@test "every byte comes back over a Unix socket" {
	needs_unix_sockets
	echo_at unix:socket
	[ -S socket ]
}

@test "every byte comes back over an abstract Unix socket" {
	not_on_windows "abstract Unix sockets"
	echo_at unix:@muxcat-$$-$RANDOM
	[ "$(find . -type s | wc -l)" = 0 ]
}

@test "every datagram comes back as it was: small, empty, large" {
	local size
	server -u 127.0.0.1 0 2>err
	for size in 5 0 1 1472 60000 0; do
		run -0 datagram $size 127.0.0.1 "$port"
		equal "$output" "$size same"
	done
	equal "$(<err)" ""
}

@test "every datagram comes back over a Unix datagram socket" {
	not_on_windows "Unix datagram sockets"
	local size address
	for address in socket @muxcat-$$-$RANDOM; do
		begin echo -v unixgram:$address 2>err
		eventually grep -q listening err
		for size in 5 0 60000 3; do
			run -0 datagram $size $address
			equal "$output" "$size same"
		done
	done
}

@test "datagram clients are served at the same time" {
	server -u 127.0.0.1 0
	local i
	for i in {1..10}; do
		begin connect -u -q 0.5 127.0.0.1 "$port" <<<"client $i" >got$i
	done
	for i in "${started[@]:1}"; do
		status_of "$i"
		equal $status 0
	done
	for i in {1..10}; do
		equal "$(<got$i)" "client $i"
	done
}

@test "--discard sends nothing back, and ends with the client" {
	head -c 3000000 /dev/zero >data
	server --discard -v 127.0.0.1 0 2>err
	run -0 mc connect 127.0.0.1 "$port" <data
	equal "$output" ""
	eventually grep -q "closed" err
}

@test "-i closes the idle client and not the busy one" {
	mkfifo feed
	exec 4<>feed
	server -i 0.5 127.0.0.1 0
	begin connect 127.0.0.1 "$port" <feed >busy
	local busy=$pid i
	begin connect -d 127.0.0.1 "$port" >idle 2>err
	local idle=$pid
	for i in {1..10}; do
		echo $i >&4
		read -rt 0.1 <> <(:) || true
	done
	status_of "$idle"
	kill -0 "$busy"
	exec 4>&-
	status_of "$busy"
	equal "$status $(tail -1 busy)" "0 10"
}

# The third of those who come to a server with -m 2 and the given options.
third_waits() {
	mkfifo feed
	exec 4<>feed
	server -m 2 -v "$@" 127.0.0.1 0 2>err
	begin connect 127.0.0.1 "$port" <feed >got1
	local first=$pid
	begin connect -d 127.0.0.1 "$port" >got2
	eventually lines_with 2 accepted err
	head -c 500000 /dev/urandom >data
	begin connect 127.0.0.1 "$port" <data >got3
	local third=$pid
	echo hello >&4
	eventually grep -q hello got1
	lines_with 2 accepted err
	[ ! -s got3 ]
	kill "$first"
	status_of "$third"
	equal $status 0
	cmp data got3
}

@test "-m 2: the third is served only once one leaves, and nothing is lost" {
	third_waits
}

@test "-m 2 counts the clients of all threads" {
	third_waits --threads=3
}

@test "-w ends with 3 when nobody comes, and has no say once somebody came" {
	run -3 mc echo -w 0.2 127.0.0.1 0
	equal "${#lines[@]}" 1
	[[ $output == "muxcat: listen 127.0.0.1:0: "* ]]
	server -w 2 127.0.0.1 0
	mc connect -z 127.0.0.1 "$port"
	read -rt 2.2 <> <(:) || true
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
}

@test "--port-file is replaced at once, and no temporary file stays" {
	mkdir new
	echo stale >new/port
	chmod 600 new/port
	ln new/port old # a rename leaves the old file as it was
	begin echo --port-file new/port 127.0.0.1 0
	eventually eval '[ "$(<new/port)" != stale ]'
	equal "$(<old)" stale
	equal "$(ls new)" port
	mc connect -z 127.0.0.1 "$(<new/port)"
}

@test "--port-file through a link, as /dev/stdout is: the link stays" {
	not_on_windows "links in the tests' folders"
	ln -s target link
	begin echo --port-file link 127.0.0.1 0
	eventually test -s target
	[ -L link ]
	mc connect -z 127.0.0.1 "$(<target)"
	begin echo --port-file /dev/stdout 127.0.0.1 0 >out
	eventually test -s out
	[ -L /dev/stdout ]
	mc connect -z 127.0.0.1 "$(<out)"
}

@test "500 clients at the same time, 20 round trips each" {
	! on_windows || own_wine # a server killed with many sockets can end Wine's, too
	server 127.0.0.1 0 2>err
	run -0 python3 "$PEER" crowd "$port" 500 20
	equal "$output" "all served"
	equal "$(<err)" ""
}

@test "a client that never reads does not stop others" {
	server 127.0.0.1 0 2>err
	begin connect 127.0.0.1 "$port" </dev/zero >stuck
	local stuck=$pid
	eventually test -s stuck
	kill -STOP "$stuck"
	python3 - "$port" <<-'P' 4>&- &
		import socket, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
		s.settimeout(0.3)
		try:
		    while True:
		        s.send(b"x" * 100000)  # and nothing read
		except socket.timeout:
		    open("full", "w").write("full")
		    s.settimeout(20)
		    s.send(b"x" * 10000000)
	P
	started+=($!)
	eventually test -s full
	run -0 python3 "$PEER" crowd "$port" 20 20
	equal "$output" "all served"
	# what waits for a stuck client is bounded
	[ "$(awk '/VmRSS/ {print $2}' "/proc/$server/status")" -lt 60000 ]
}

@test "a client that resets leaves the others alone" {
	server 127.0.0.1 0 2>err
	mkfifo feed
	exec 4<>feed
	begin connect 127.0.0.1 "$port" <feed >got
	echo one >&4
	eventually grep -q one got
	begin connect 127.0.0.1 "$port" </dev/zero >stuck
	eventually test -s stuck
	kill -KILL "$pid"
	status_of "$pid" || true
	echo two >&4
	eventually grep -q two got
}

@test "out of descriptors: no busy loop, one warning, and service goes on when some are free" {
	local used
	limited 30
	mkfifo feed
	exec 4<>feed
	python3 "$PEER" slots "$port" 40 <feed >slots 3>&- 4>&- &
	started+=($!)
	eventually test -s slots
	echo "first: $(<slots)"
	[[ $(<slots) =~ ^served\ ([0-9]+)\ refused\ 0$ ]]
	[ "${BASH_REMATCH[1]}" -ge 10 ] && [ "${BASH_REMATCH[1]}" -lt 30 ]
	used=$(cpu "$server")
	read -rt 1 <> <(:) || true
	used=$(($(cpu "$server") - used))
	echo "CPU time: $used hundredths"
	[ $used -lt 30 ]
	equal "$(wc -l <err)" 1
	[[ $(<err) == "muxcat: "*"Too many open files"* ]]
	echo go on >&4
	eventually grep -q 'then served' slots
	grep -q "then served $((40 - BASH_REMATCH[1])) refused 0" slots
}

@test "out of descriptors: service goes on when the last client leaves" {
	limited 14
	run -0 python3 "$PEER" slots "$port" 30 </dev/null
	[[ $output == "served "* ]]
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
}

@test "select beyond FD_SETSIZE refuses and says so, and serves the others" {
	has_fd_setsize || skip "this is about select"
	[ "$(ulimit -n)" -gt 1200 ] || skip "too few descriptors allowed"
	server 127.0.0.1 0 2>err
	mkfifo feed
	exec 4<>feed
	python3 "$PEER" slots "$port" 1100 <feed >slots 3>&- 4>&- &
	started+=($!)
	eventually test -s slots
	grep -q FD_SETSIZE err
	[[ $(head -1 err) == "muxcat: "* ]]
	[[ $(<slots) =~ ^served\ ([0-9]+)\ refused\ ([0-9]+)$ ]]
	[ "${BASH_REMATCH[1]}" -gt 900 ] && [ "${BASH_REMATCH[1]}" -lt 1024 ]
	equal $((BASH_REMATCH[1] + BASH_REMATCH[2])) 1100
	exec 4>&-
	eventually mc connect -z 127.0.0.1 "$port"
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
}

@test "those beyond FD_SETSIZE are reset: what they get is no end" {
	has_fd_setsize || skip "this is about select"
	[ "$(ulimit -n)" -gt 1200 ] || skip "too few descriptors allowed"
	server 127.0.0.1 0 2>err
	run -0 python3 "$PEER" silent "$port" 1040
	equal "$output" reset
}

@test "1100 clients are served where the backend has no such limit" {
	! has_fd_setsize || skip "select stops at FD_SETSIZE"
	[ "$(ulimit -n)" -gt 1200 ] || skip "too few descriptors allowed"
	! on_windows || own_wine # a server killed with many sockets can end Wine's, too
	server 127.0.0.1 0 2>err
	run -0 python3 "$PEER" crowd "$port" 1100 2
	equal "$(<err)" ""
}
