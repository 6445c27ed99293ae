#!/usr/bin/env bats
# listen and connect: one connection, many, relays, deadlines, addresses.

load helper

PEER=$BATS_TEST_DIRNAME/peers/listen_peer.py

# A listener on a free port of 127.0.0.1, in $port.
listener() {
	rm -f port
	begin listen --port-file port "$@"
	port=$(port_of port)
}

same() {
	cmp -s "$1" "$2"
}

@test "listen joins one connection with stdin and stdout" {
	echo "from the server" >in
	listener 127.0.0.1 0 <in >out 2>err
	run -0 mc connect 127.0.0.1 "$port" <<<"from the client"
	equal "$output" "from the server"
	ended "$pid" 0
	equal "$(<out)" "from the client"
	equal "$(<err)" ""
}

@test "a few megabytes pass both ways at the same time" {
	head -c 5000000 /dev/urandom >one
	head -c 7000000 /dev/urandom >two
	listener 127.0.0.1 0 <one >out
	mc connect 127.0.0.1 "$port" <two >got
	ended "$pid" 0
	cmp one got
	cmp two out
}

@test "without -k the listener is closed once the connection is accepted" {
	mkfifo feed
	exec 4<>feed
	listener 127.0.0.1 0 <feed >out
	local first=$pid
	begin connect -d 127.0.0.1 "$port" >got
	echo hello >&4
	eventually grep -q hello got
	run -1 mc connect -z 127.0.0.1 "$port"
	equal "$output" "muxcat: connect 127.0.0.1:$port: Connection refused"
	exec 4>&-
	ended "$pid" 0
	ended "$first" 0
}

@test "-v tells of listening, the connection and its end, on stderr" {
	listener -v 127.0.0.1 0 </dev/null >out 2>err
	mc connect -v 127.0.0.1 "$port" <<<hello >got 2>err.client
	ended "$pid" 0
	equal "$(head -1 err)" "muxcat: listening on 127.0.0.1:$port (tcp)"
	local from
	from=$(sed -n 's/^muxcat: accepted \(127.0.0.1:[0-9]*\).*/\1/p' err)
	[ -n "$from" ]
	grep -q "^muxcat: closed $from\b" err
	grep -q "^muxcat: connected to 127.0.0.1:$port\b" err.client
	grep -q "^muxcat: closed 127.0.0.1:$port\b" err.client
	equal "$(wc -l <err)" 3
	equal "$(wc -l <err.client)" 2
	equal "$(<out)" hello
	equal "$(<got)" ""
}

@test "-vv tells of each half that ended as well" {
	listener -vv 127.0.0.1 0 </dev/null >out 2>err
	mc connect -vv 127.0.0.1 "$port" <<<hello 2>err.client
	ended "$pid" 0
	[ "$(wc -l <err)" -gt 3 ]
	[ "$(wc -l <err.client)" -gt 2 ]
	run -1 grep -v "^muxcat: " err err.client
}

@test "-vv with --to tells which side ended, and what became of the other" {
	begin listen --port-file target 127.0.0.1 0 <<<answer >out
	local target
	target=$(port_of target)
	listener -vv --to=127.0.0.1:"$target" 127.0.0.1 0 2>err
	mc connect 127.0.0.1 "$port" <<<question >got
	ended "$pid" 0
	equal "$(<out)$(<got)" questionanswer
	local client
	client=$(sed -n 's/^muxcat: accepted \(127.0.0.1:[0-9]*\).*/\1/p' err)
	grep -qx "muxcat: $client: has ended; 127.0.0.1:$target half-closed" err
	grep -qx "muxcat: 127.0.0.1:$target: has ended; $client half-closed" err
}

@test "without -v nothing is told" {
	listener -k 127.0.0.1 0 </dev/null >out 2>err
	mc connect 127.0.0.1 "$port" <<<hello 2>err.client
	eventually grep -q hello out
	stop "$pid"
	equal "$(<err)$(<err.client)" ""
}

@test "the port file holds the port and nothing else, and no temporary file stays" {
	mkdir new
	begin listen --port-file new/port -v 127.0.0.1 0 </dev/null 2>err
	port_of new/port
	[[ $(<new/port) =~ ^[0-9]+$ ]]
	equal "$(ls new)" port
	grep -q "listening on 127.0.0.1:$(<new/port) (tcp)" err
}

@test "a port file that cannot be written is an error" {
	run -1 mc listen --port-file nowhere/port 127.0.0.1 0 </dev/null
	[[ $output == "muxcat: "*nowhere/port*"No such file or directory" ]]
}

@test "with -k stdin goes to every client and nobody's leaving disturbs the others" {
	mkfifo feed
	exec 4<>feed
	listener -k -v 127.0.0.1 0 <feed >out 2>err
	local server=$pid clients=() i
	for i in 1 2 3; do
		begin connect -d 127.0.0.1 "$port" >got$i
		clients+=("$pid")
	done
	python3 "$PEER" reset "$port" 3>&- 4>&- &
	local reset=$!
	python3 "$PEER" drop "$port" 3>&- 4>&- &
	local drop=$!
	started+=("$reset" "$drop")
	eventually lines_with 5 accepted err
	echo one >&4
	eventually lines_with 1 one got1
	eventually lines_with 1 one got2
	kill -KILL "${clients[0]}"
	wait "$reset" "$drop"
	echo two >&4
	eventually eval 'echo three >&4; lines_with 3 closed err'
	eventually lines_with 1 two got2
	eventually lines_with 1 two got3
	exec 4>&-
	ended "${clients[1]}" 0
	ended "${clients[2]}" 0
	equal "$(uniq got2)" $'one\ntwo\nthree'
	cmp got2 got3
	eventually grep -q "from a reset" out
	eventually grep -q "from a drop" out
	stop "$server"
}

@test "with -k what any client sends goes to stdout" {
	listener -k 127.0.0.1 0 </dev/null >out 2>err
	local server=$pid i clients=()
	for i in {1..20}; do
		begin connect 127.0.0.1 "$port" <<<"client $i"
		clients+=("$pid")
	done
	for i in "${clients[@]}"; do
		ended "$i" 0
	done
	eventually lines_with 20 client out
	equal "$(sort out)" "$(printf 'client %d\n' {1..20} | sort)"
	equal "$(<err)" ""
}

@test "with -k a client that never reads does not keep another from sending" {
	head -c 30000000 /dev/zero >big
	mkfifo unread
	exec 5<>unread
	listener -k -v 127.0.0.1 0 <big >out 2>err
	begin connect -d 127.0.0.1 "$port" >unread
	eventually lines_with 1 accepted err
	mc connect --send-only 127.0.0.1 "$port" <<<hello
	eventually grep -q hello out
	kill -0 "$pid"
}

@test "with -k -m 2 the third client is served once one leaves" {
	mkfifo feed
	exec 4<>feed
	listener -k -m 2 -v 127.0.0.1 0 </dev/null >out 2>err
	local server=$pid
	begin connect 127.0.0.1 "$port" <feed
	local first=$pid
	mkfifo feed2
	exec 5<>feed2
	begin connect 127.0.0.1 "$port" <feed2
	eventually lines_with 2 accepted err
	begin connect 127.0.0.1 "$port" <<<third
	local third=$pid
	echo first >&4
	echo second >&5
	eventually grep -q first out
	eventually grep -q second out
	lines_with 0 third out
	lines_with 2 accepted err
	exec 4>&-
	ended "$first" 0
	ended "$third" 0
	eventually grep -q third out
}

@test "listen -w ends with 3 when nobody comes" {
	run -3 mc listen -w 0.2 127.0.0.1 0 </dev/null
	[[ $output == "muxcat: listen 127.0.0.1:0: "* ]]
	equal "${#lines[@]}" 1
	run -3 mc listen -k -w 0.2 127.0.0.1 0 </dev/null
}

@test "listen -w has no say once somebody came" {
	listener -w 0.5 127.0.0.1 0 </dev/null >out
	{ read -rt 1 <> <(:) || echo late; } | mc connect 127.0.0.1 "$port"
	ended "$pid" 0
	equal "$(<out)" late
}

@test "connect -w ends with 3 when the peer does not answer" {
	mkfifo feed
	exec 4<>feed
	python3 "$PEER" full <feed >full 3>&- 4>&- &
	local peer=$!
	started+=("$peer")
	port=$(port_of full)
	local before=${EPOCHREALTIME/./}
	run -3 mc connect -w 0.4 127.0.0.1 "$port" </dev/null
	local took=$((${EPOCHREALTIME/./} - before))
	[[ $output == "muxcat: connect 127.0.0.1:$port: "* ]]
	equal "${#lines[@]}" 1
	echo "took $took us"
	[ $took -ge 400000 ]
	run -3 mc connect -z -w 0.4 127.0.0.1 "$port"
	exec 4>&-
	wait "$peer"
}

@test "connect -w has no say once connected" {
	mkfifo feed
	exec 4<>feed
	listener 127.0.0.1 0 <feed >out
	begin connect -w 0.3 -d 127.0.0.1 "$port" >got
	local client=$pid
	echo one >&4
	eventually grep -q one got
	read -rt 0.6 <> <(:) || true
	echo two >&4
	exec 4>&-
	ended "$client" 0
	equal "$(<got)" $'one\ntwo'
}

@test "-z tells whether somebody accepts, and sends nothing" {
	listener -v 127.0.0.1 0 </dev/null >out 2>err
	run -0 mc connect -z -v 127.0.0.1 "$port" <<<secret
	[[ $output =~ ^"muxcat: connected to 127.0.0.1:$port (tcp)"$'\n'"muxcat: closed 127.0.0.1:$port: 0 bytes in, 0 bytes out, ".*", -z"$ ]]
	status_of "$pid"
	equal "$(<out)" ""
	run -1 mc connect -z 127.0.0.1 "$port"
	equal "$output" "muxcat: connect 127.0.0.1:$port: Connection refused"
}

@test "a refused connection is one line and status 1" {
	port=$(python3 "$PEER" free)
	run -1 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" "muxcat: connect 127.0.0.1:$port: Connection refused"
}

@test "a Unix socket that is not there is one line and status 1" {
	needs_unix_sockets
	run -1 mc connect unix:nobody </dev/null
	equal "$output" "muxcat: connect unix:nobody: No such file or directory"
}

@test "a name that does not exist is an error with its reason" {
	local command
	for command in "connect nosuch.invalid 80" "listen nosuch.invalid 0" "echo nosuch.invalid 0" \
		"fanout nosuch.invalid 0" "fanout --to=nosuch.invalid:80"; do
		run -1 mc $command </dev/null
		equal "${#lines[@]}" 1
		[[ $output =~ ^"muxcat: ".*nosuch.invalid.*": "(Name or service not known|Temporary failure in name resolution)$ ]]
	done
}

@test "a port in use is an error with its reason" {
	listener -k 127.0.0.1 0 </dev/null
	local command
	for command in listen echo fanout; do
		run -1 mc $command 127.0.0.1 "$port" </dev/null
		equal "$output" "muxcat: listen 127.0.0.1:$port: Address already in use"
	done
}

@test "a port is free again at once after a server that had connections" {
	listener 127.0.0.1 0 <<<hello >out
	local first=$port
	mc connect 127.0.0.1 "$port" </dev/null
	ended "$pid" 0
	rm port
	begin listen --port-file port 127.0.0.1 "$first" </dev/null
	equal "$(port_of port)" "$first"
}

@test "a reset: what had arrived is written, one line, status 1" {
	listener 127.0.0.1 0 <<<x >out 2>err
	python3 "$PEER" reset "$port"
	ended "$pid" 1
	equal "$(<out)" "from a reset"
	equal "$(wc -l <err)" 1
	[[ $(<err) == "muxcat: "*127.0.0.1:*"Connection reset by peer" ]]
}

@test "--to relays one connection, and each half ends on its own" {
	mkfifo feed feed2
	exec 4<>feed
	exec 5<>feed2
	listener 127.0.0.1 0 <feed >out
	local target=$pid
	listener --to=127.0.0.1:"$port" 127.0.0.1 0 >junk 2>err
	local relay=$pid
	begin connect 127.0.0.1 "$port" <feed2 >got
	local client=$pid
	echo question >&5
	eventually grep -q question out
	exec 5>&- # the client's end of file reaches the target, which goes on sending
	echo answer >&4
	eventually grep -q answer got
	exec 4>&-
	ended "$target" 0
	ended "$client" 0
	ended "$relay" 0
	equal "$(<err)$(<junk)" ""
}

@test "--to passes the target's end of file on while the client goes on sending" {
	mkfifo feed2
	exec 5<>feed2
	listener 127.0.0.1 0 <<<greeting >out
	local target=$pid
	listener --to=127.0.0.1:"$port" 127.0.0.1 0
	local relay=$pid
	# shellcheck disable=SC2094
	begin connect -v 127.0.0.1 "$port" <feed2 >got
	local client=$pid
	eventually grep -q greeting got
	echo more >&5
	eventually grep -q more out
	exec 5>&-
	ended "$client" 0
	ended "$target" 0
	ended "$relay" 0
}

@test "--to without -k serves one, with -k any number at the same time" {
	head -c 300000 /dev/urandom >data
	rm -f port
	begin echo --port-file port 127.0.0.1 0
	local target
	target=$(port_of port)
	listener --to=127.0.0.1:"$target" 127.0.0.1 0
	mc connect 127.0.0.1 "$port" <data >got
	cmp data got
	ended "$pid" 0
	listener -k --to 127.0.0.1:"$target" 127.0.0.1 0 2>err
	local relay=$pid i clients=()
	for i in {1..10}; do
		begin connect 127.0.0.1 "$port" <data >got$i
		clients+=("$pid")
	done
	for i in {1..10}; do
		ended "${clients[i - 1]}" 0
		cmp data got$i
	done
	equal "$(<err)" ""
	stop "$relay"
}

@test "--to a target that refuses is an error, and with -k only of that connection" {
	local nobody
	nobody=$(python3 "$PEER" free)
	listener --to=127.0.0.1:"$nobody" 127.0.0.1 0 2>err
	mc connect 127.0.0.1 "$port" </dev/null >got 2>&1 || true
	ended "$pid" 1
	equal "$(<err)" "muxcat: connect 127.0.0.1:$nobody: Connection refused"
	listener -k -v --to=127.0.0.1:"$nobody" 127.0.0.1 0 2>err
	local relay=$port
	mc connect 127.0.0.1 "$relay" </dev/null >got 2>&1 || true
	eventually grep -q "^muxcat: closed 127.0.0.1:.*, no target$" err
	grep -q "^muxcat: connect 127.0.0.1:$nobody: Connection refused" err
	rm port
	begin echo --port-file port 127.0.0.1 "$nobody"
	port_of port
	run -0 mc connect 127.0.0.1 "$relay" <<<hello
	equal "$output" hello
}

@test "--quiet, -k and --to: the failure of one connection is not told" {
	local nobody
	nobody=$(python3 "$PEER" free)
	listener -k --quiet --to=127.0.0.1:"$nobody" 127.0.0.1 0 2>err
	run -1 mc connect 127.0.0.1 "$port" </dev/null
	stop "$pid"
	equal "$(<err)" ""
}

@test "--to a Unix socket that is not there concerns only that connection with -k" {
	needs_unix_sockets
	listener -k --to=unix:target 127.0.0.1 0 2>err
	mc connect 127.0.0.1 "$port" </dev/null >got 2>&1 || true
	eventually grep -q "^muxcat: connect unix:target: No such file" err
	begin echo unix:target
	eventually accepts target
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
}

@test "--to relays unix to tcp and tcp to unix" {
	needs_unix_sockets
	head -c 200000 /dev/urandom >data
	rm -f port
	begin echo --port-file port 127.0.0.1 0
	port=$(port_of port)
	begin listen -k --to=127.0.0.1:"$port" unix:front
	eventually accepts front
	listener -k --to=unix:front 127.0.0.1 0
	mc connect 127.0.0.1 "$port" <data >got
	cmp data got
}

@test "--to relays datagrams" {
	begin echo -u --port-file port 127.0.0.1 0
	port=$(port_of port)
	listener -u --to=udp:127.0.0.1:"$port" 127.0.0.1 0
	run -0 mc connect -u -q 0.3 127.0.0.1 "$port" <<<hello
	equal "$output" hello
	rm port
	begin echo -u --port-file port 127.0.0.1 0
	port=$(port_of port)
	listener -k -u --to=udp:127.0.0.1:"$port" 127.0.0.1 0
	run -0 mc connect -u -q 0.3 127.0.0.1 "$port" <<<one
	equal "$output" one
	run -0 mc connect -u -q 0.3 127.0.0.1 "$port" <<<two
	equal "$output" two
}

@test "-i ends a connection on which nothing moves with 3, not one that is in use" {
	mkfifo feed
	exec 4<>feed
	listener -i 0.4 127.0.0.1 0 <feed >out 2>err
	local server=$pid
	begin connect -d 127.0.0.1 "$port" >got
	local i
	for i in {1..8}; do
		echo $i >&4
		read -rt 0.1 <> <(:) || true
	done
	lines_with 1 8 got
	ended "$server" 3
	equal "$(wc -l <err)" 1
	[[ $(<err) == "muxcat: "* ]]
	equal "$(<got)" "$(printf '%d\n' {1..8})"
	listener -k -d 127.0.0.1 0
	run -3 mc connect -i 0.2 -d 127.0.0.1 "$port"
}

@test "-k -i closes the idle client and goes on serving" {
	mkfifo feed
	exec 4<>feed
	listener -k -i 0.3 -v 127.0.0.1 0 <feed >out 2>err
	begin connect -d 127.0.0.1 "$port" >got
	status_of "$pid"
	eventually lines_with 1 closed err
	run -0 mc connect --send-only 127.0.0.1 "$port" <<<hello
	eventually grep -q hello out
}

@test "-s and -p choose what the peer sees" {
	local source datagrams=127.0.0.3
	! on_windows || datagrams=127.0.0.1 # Wine binds them to an interface's address or to any
	source=$(python3 "$PEER" free)
	listener -v 127.0.0.1 0 </dev/null 2>err
	mc connect -s 127.0.0.2 -p "$source" 127.0.0.1 "$port" </dev/null
	grep "^muxcat: accepted 127.0.0.2:$source\b" err
	listener -v ::1 0 </dev/null 2>err
	mc connect -p "$source" ::1 "$port" </dev/null
	grep "^muxcat: accepted \[::1\]:$source\b" err
	listener -u -v 127.0.0.1 0 </dev/null 2>err >out
	mc connect -u -q 0.1 -s $datagrams -p "$source" 127.0.0.1 "$port" <<<hello
	eventually grep "^muxcat: accepted $datagrams:$source\b" err
}

@test "-s that this system has not is an error" {
	run -1 mc connect -s 192.0.2.77 127.0.0.1 1 </dev/null
	[[ $output == "muxcat: "*"Cannot assign requested address" ]]
}

@test "a listener without HOST serves IPv4 and IPv6" {
	listener -k -v 0 </dev/null >out 2>err
	equal "$(<err)" "muxcat: listening on [::]:$port (tcp)"
	mc connect 127.0.0.1 "$port" <<<four
	mc connect ::1 "$port" <<<six
	mc connect :"$port" <<<none
	eventually lines_with 1 four out
	eventually lines_with 1 six out
	eventually lines_with 1 none out
	grep -q "accepted 127.0.0.1:" err
	grep -q "accepted \[::1\]:" err
}

@test "-4 and -6 restrict a listener without HOST" {
	listener -k -4 -v 0 </dev/null 2>err
	equal "$(<err)" "muxcat: listening on 0.0.0.0:$port (tcp)"
	mc connect -z 127.0.0.1 "$port"
	run -1 mc connect -z ::1 "$port"
	listener -k -6 -v 0 </dev/null 2>err
	equal "$(<err)" "muxcat: listening on [::]:$port (tcp)"
	mc connect -z ::1 "$port"
	run -1 mc connect -z 127.0.0.1 "$port"
}

# Runs a command with a hosts file in which localhost is both loopback addresses.
with_hosts() {
	printf '::1 localhost\n127.0.0.1 localhost\n' >hosts
	unshare -m sh -c 'mount --bind hosts /etc/hosts && exec "$@"' sh "$@"
}

@test "localhost reaches a server of either family, and -4 and -6 choose" {
	with_hosts true 2>/dev/null || skip "no right to make a mount namespace"
	local address
	for address in ::1 127.0.0.1; do
		listener -k $address 0 </dev/null
		run -0 with_hosts timeout "$PATIENCE" "$MUXCAT" $MUXCAT_FLAGS connect -v -z localhost "$port"
		[[ $output == *"connected to "*"$address"*":$port"* ]]
		if [ $address = ::1 ]; then
			run -0 with_hosts "$MUXCAT" $MUXCAT_FLAGS connect -6 -z localhost "$port"
			run -1 with_hosts "$MUXCAT" $MUXCAT_FLAGS connect -4 -z localhost "$port"
		else
			run -0 with_hosts "$MUXCAT" $MUXCAT_FLAGS connect -4 -z localhost "$port"
			run -1 with_hosts "$MUXCAT" $MUXCAT_FLAGS connect -6 -z localhost "$port"
		fi
		equal "${#lines[@]}" 1
	done
}

@test "--port-file writes into what is no regular file" {
	not_on_windows "named pipes among its files"
	begin echo --port-file >(cat >got) 127.0.0.1 0
	eventually test -s got
	run -0 mc connect -z 127.0.0.1 "$(<got)"
	mkfifo fifo
	begin echo --port-file fifo 127.0.0.1 0
	run -0 mc connect -z 127.0.0.1 "$(<fifo)"
	[ -p fifo ]
}

@test "a client of a relay whose target cannot be reached is reset" {
	local closed
	closed=$(python3 -c "import socket
s = socket.socket()
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1])")
	listener -k --to 127.0.0.1:"$closed" 127.0.0.1 0 2>err
	run -1 mc connect -d 127.0.0.1 "$port"
	# it may come before the client has seen that it is connected
	[[ $output == "muxcat: "*"127.0.0.1:$port: Connection reset by peer" ]]
}

@test "a client that comes too late is reset, and does not take it for an end" {
	start listen -d --port-file port 127.0.0.1 0 >out 2>err
	local server=$pid late
	port_of port
	kill -STOP "$server"
	peer dial "$(<port)" send=hello mark=first await=end
	eventually test -e first
	start connect -v --recv-only 127.0.0.1 "$(<port)" >got 2>late.err
	late=$pid
	eventually grep -q connected late.err
	kill -CONT "$server"
	ended "$late" 1
	grep -q "recv 127.0.0.1:$(<port): Connection reset by peer" late.err
	touch end
	ended "$server" 0
	equal "$(<out)" hello
}
