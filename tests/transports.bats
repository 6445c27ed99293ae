#!/usr/bin/env bats
# UDP, Unix sockets of both kinds, abstract names, and every way to write an address.

load helper

holds() {
	[ "$(<"$1")" = "$2" ]
}

@test "every form of an address reaches the server that it names" {
	server echo
	local form
	for form in "127.0.0.1 $port" "127.0.0.1:$port" "tcp:127.0.0.1:$port" ":$port" "$port" "tcp:$port" \
		"localhost:$port" "-4 localhost $port" "[127.0.0.1]:$port"; do
		run -0 mc connect $form <<<hello
		equal "$form: $output" "$form: hello"
	done
	rm port
	begin echo --port-file port "[::1]:0"
	port=$(port_of port)
	for form in "::1 $port" "[::1]:$port" "tcp:[::1]:$port" "[::1] $port" "-6 $port"; do
		run -0 mc connect $form <<<hello
		equal "$form: $output" "$form: hello"
	done
}

@test "every form of an address names what a server listens on" {
	local form
	while read -r form; do
		rm -f port
		begin echo -v --port-file port $form 2>err
		port=$(port_of port)
		read -r _ _ _ where <err
		case $form in
		*127.0.0.1* | *localhost*) equal "$form $where" "$form 127.0.0.1:$port (${form%%:*})" ;;
		*::1*) equal "$form $where" "$form [::1]:$port (${form%%:*})" ;;
		*) equal "$form $where" "$form [::]:$port (${form%%:*})" ;;
		esac
		kill "$pid"
	done <<-'E'
		tcp:127.0.0.1:0
		udp:127.0.0.1:0
		tcp:[::1]:0
		udp:[::1]:0
		tcp:0
		udp::0
		tcp::0
	E
}

@test "-u sets the scheme of an address without one" {
	rm -f port
	begin echo -v -u --port-file port 0 2>err
	port=$(port_of port)
	grep -q "(udp)" err
	local form
	for form in "-u 127.0.0.1 $port" "-u 127.0.0.1:$port" "udp:127.0.0.1:$port" "-u :$port" "-u udp:$port"; do
		run -0 mc connect -q 0.1 $form <<<hello
		equal "$form: $output" "$form: hello"
	done
}

@test "-U sets the scheme of an address without one" {
	needs_unix_sockets
	local form
	begin echo -U socket
	eventually accepts socket
	for form in "-U socket" "unix:socket" "-U unix:socket" "unix:./socket" "-U $PWD/socket" "unix:$PWD/socket"; do
		run -0 mc connect $form <<<hello
		equal "$form: $output" "$form: hello"
	done
}

@test "-u with -U sets the scheme of an address without one" {
	not_on_windows "Unix datagram sockets"
	local form
	begin echo -u -U datagrams
	eventually test -S datagrams
	for form in "-u -U datagrams" "-uU datagrams" "unixgram:datagrams"; do
		run -0 mc connect -q 0.1 $form <<<hello
		equal "$form: $output" "$form: hello"
	done
}

@test "the kind of the socket has to fit" {
	not_on_windows "Unix datagram sockets"
	begin echo unix:stream
	begin echo unixgram:datagrams
	eventually accepts stream
	eventually test -S datagrams
	run -1 mc connect unixgram:stream <<<hello
	equal "$output" "muxcat: connect unixgram:stream: Protocol wrong type for socket"
	run -1 mc connect unix:datagrams <<<hello
	equal "$output" "muxcat: connect unix:datagrams: Protocol wrong type for socket"
}

# listen and connect join at a Unix address.
join_at() {
	echo "from the server" >in
	begin listen -v "$1" <in >out 2>err
	eventually grep -q listening err
	run -0 mc connect "$1" <<<"from the client"
	equal "$output" "from the server"
	ended "$pid" 0
	equal "$(<out)" "from the client"
	[ ! -e socket ]
}

@test "listen and connect join over a Unix socket" {
	needs_unix_sockets
	join_at unix:socket
}

@test "listen and connect join over an abstract Unix socket" {
	not_on_windows "abstract Unix sockets"
	join_at unix:@muxcat-$$-$RANDOM
}

@test "Unix sockets of a kind that the system has not: one line, exit 1" {
	on_windows || skip "Linux has them all"
	local kinds=(unixgram:socket) address
	has_unix_sockets || kinds+=(unix:socket)
	for address in "${kinds[@]}"; do
		run -1 mc listen "$address" </dev/null
		equal "$output" "muxcat: listen $address: Address family not supported by this system"
		run -1 mc connect "$address" </dev/null
		equal "$output" "muxcat: connect $address: Address family not supported by this system"
		[ ! -e socket ]
	done
}

@test "a udp listener answers to the peer that came" {
	mkfifo feed feed2
	exec 4<>feed 5<>feed2
	server listen -u <feed >out 2>err
	begin connect -u 127.0.0.1 "$port" <feed2 >got
	echo question >&5
	eventually holds out question
	echo answer >&4
	eventually holds got answer
	echo more >&5
	eventually holds out $'question\nmore'
	equal "$(<err)" ""
}

@test "what stdin has before a udp peer came is not lost" {
	server listen -u <<<greeting >out
	run -0 mc connect -u -q 0.3 127.0.0.1 "$port" <<<hello
	equal "$output" greeting
	eventually holds out hello
}

@test "after stdin's end, udp listens on for -q" {
	server echo -u
	local linger before took
	for linger in 0.3 1; do
		before=${EPOCHREALTIME/./}
		# 1 is how long it is without
		# shellcheck disable=SC2046 # nothing, then
		mc connect -vv -u $([ $linger = 1 ] || echo "-q $linger") 127.0.0.1 "$port" <<<hello >out 2>err
		took=$((${EPOCHREALTIME/./} - before))
		equal "$(<out)" hello
		grep -q "leaving in $linger s" err
		awk "BEGIN { exit !($took >= 0.9e6 * $linger) }"
	done
}

@test "nobody at a udp port is an error" {
	server echo -u
	kill "$server"
	status_of "$server"
	run -1 mc connect -u -q 5 127.0.0.1 "$port" <<<hello
	[[ $output == "muxcat: "*"127.0.0.1:$port: Connection refused" ]]
}

@test "nobody at a Unix datagram socket is an error" {
	not_on_windows "Unix datagram sockets"
	run -1 mc connect unixgram:nobody <<<hello
	equal "$output" "muxcat: connect unixgram:nobody: No such file or directory"
}

@test "listen -u -k has several peers: each gets stdin, and stdout gets them all" {
	mkfifo feed feed2 feed3
	exec 4<>feed 5<>feed2 6<>feed3
	server listen -u -k -v <feed >out 2>err 6>&-
	begin connect -u 127.0.0.1 "$port" <feed2 >got1 6>&-
	begin connect -u 127.0.0.1 "$port" <feed3 >got2 6>&-
	echo one >&5
	eventually grep -q one out
	echo two >&6
	eventually grep -q two out
	lines_with 2 accepted err
	echo answer >&4
	eventually holds got1 answer
	eventually holds got2 answer
	echo again >&5
	eventually grep -q again out
	lines_with 2 accepted err
}

@test "listen -u -k -m 1 has one peer" {
	mkfifo feed
	exec 4<>feed
	server listen -u -k -m 1 -v </dev/null >out 2>err
	begin connect -u 127.0.0.1 "$port" <feed
	echo one >&4
	eventually grep -q one out
	mc connect -u -q 0.1 127.0.0.1 "$port" <<<other
	echo two >&4
	eventually grep -q two out
	lines_with 0 other out
	lines_with 1 accepted err
}

@test "a Unix datagram listener answers, and the client leaves no socket file" {
	not_on_windows "Unix datagram sockets"
	mkfifo feed feed2
	exec 4<>feed 5<>feed2
	begin listen unixgram:socket <feed >out 2>err
	local server=$pid
	eventually test -S socket
	begin connect unixgram:socket <feed2 >got
	local client=$pid
	echo question >&5
	eventually holds out question
	echo answer >&4
	eventually holds got answer
	exec 5>&-
	ended "$client" 0
	# without -k the listener is closed once a peer has come; nothing else is left
	[[ $(find . -type s) =~ ^(./socket)?$ ]]
	stop "$server"
	equal "$(find . -type s)" ""
}

@test "a datagram stays a datagram, also an empty one" {
	server listen -u </dev/null >out
	python3 - "$port" <<-'P'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.connect(("127.0.0.1", int(sys.argv[1])))
		for data in b"one", b"", b"two" * 10000, b"":
		    s.send(data)
		s.send(b"end")
	P
	eventually eval '[ "$(wc -c <out)" = 30006 ]'
	kill -0 "$server"
}

@test "an abstract name is on no disk, and is free at the end" {
	not_on_windows "abstract Unix sockets"
	local name=@muxcat-$$-$RANDOM
	begin echo -v unix:$name 2>err
	eventually grep -q listening err
	equal "$(<err)" "muxcat: listening on $name (unix)"
	run -0 mc connect unix:$name <<<hello
	equal "$output" hello
	equal "$(find . -type s)" ""
	run -1 mc listen unix:$name </dev/null
	equal "$output" "muxcat: listen unix:$name: Address already in use"
	stop "$pid"
	run -1 mc connect unix:$name </dev/null
	equal "$output" "muxcat: connect unix:$name: Connection refused"
}

@test "the Unix socket file is removed at the end, also after an error" {
	needs_unix_sockets
	begin listen unix:socket <<<hello >out
	eventually accepts socket
	run -0 mc connect unix:socket </dev/null
	ended "$pid" 0
	[ ! -e socket ]
	run -3 mc listen -w 0.1 unix:socket </dev/null
	[ ! -e socket ]
}

@test "the Unix datagram socket's file is removed after an error" {
	not_on_windows "Unix datagram sockets"
	run -3 mc listen -w 0.1 unixgram:socket </dev/null
	[ ! -e socket ]
}

# Serves at $path by $command, until the file is there; its permissions are in $mode.
mode_of_socket() {
	begin $command "$@" $path </dev/null
	eventually test -S "${path#*:}"
	mode=$(stat -c %a "${path#*:}")
	stop "$pid"
}

@test "the permissions of a Unix socket's file are those of --mode, whatever the umask is" {
	not_on_windows "permissions of sockets"
	local command path mode mask
	for command in listen "listen -k" "listen --to=unix:x" echo "echo --threads=2" fanout; do
		for mask in 000 077; do
			umask $mask
			path=unix:socket
			mode_of_socket --mode=0660
			equal "$command, $mask: $mode" "$command, $mask: 660"
		done
	done
	for command in listen "listen -k" "listen --to=unix:x" echo; do
		path=unixgram:socket
		mode_of_socket --mode 777
		equal "$command: $mode" "$command: 777"
	done
}

@test "without --mode the permissions of a Unix socket's file are what the umask leaves" {
	not_on_windows "permissions of sockets"
	local command=echo path mode
	umask 027
	for path in unix:socket unixgram:socket; do
		mode_of_socket
		equal "$path: $mode" "$path: 750"
	done
}

@test "--mode leaves the umask as it was" {
	not_on_windows "permissions of sockets"
	umask 0007
	begin echo --mode=600 unix:socket
	eventually accepts socket
	equal "$(awk '/^Umask/ { print $2 }' "/proc/$pid/status")" 0007
}

# strace holds the server up in the very call that makes the file.
@test "a Unix socket's file has the permissions of --mode from its first moment on" {
	not_on_windows "permissions of sockets"
	local path mode
	umask 000
	for path in unix:stream unixgram:datagrams; do
		ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o trace -e trace=bind,chmod,fchmodat \
			-e inject=bind:delay_exit=300000 "$MUXCAT" $MUXCAT_FLAGS listen -w 0.2 --mode=600 $path </dev/null 2>err 3>&- &
		pid=$!
		started+=("$pid")
		eventually test -S ${path#*:}
		mode=$(stat -c %a ${path#*:})
		ended "$pid" 3
		equal "$path: $mode" "$path: 600"
		equal "$(wc -l <trace)" 1
	done
}

@test "the Unix socket's file is removed where its listen fails" {
	not_on_windows "strace"
	ASAN_OPTIONS=detect_leaks=0 run -1 timeout "$PATIENCE" strace -f -qq -o /dev/null -e trace=listen -e inject=listen:error=EOPNOTSUPP \
		"$MUXCAT" $MUXCAT_FLAGS echo unix:socket
	equal "$output" "muxcat: listen unix:socket: Operation not supported"
	[ ! -e socket ]
}

@test "a file that is in the way is never removed" {
	needs_unix_sockets
	echo precious >file
	mkdir directory
	ln -s nowhere link
	local command path
	for command in listen echo fanout; do
		for path in file directory link; do
			run -1 mc $command unix:$path </dev/null
			equal "$output" "muxcat: listen unix:$path: Address already in use"
		done
	done
	if ! on_windows; then
		run -1 mc echo unixgram:file
		equal "$output" "muxcat: listen unixgram:file: Address already in use"
	fi
	equal "$(<file)" precious
	[ -d directory ]
	[ -L link ]
}

@test "a socket that nobody listens on any more, and a link to one, are never removed" {
	needs_unix_sockets
	local path
	begin echo unix:abandoned
	eventually accepts abandoned
	kill -KILL "$pid"
	status_of "$pid" || true
	ln -s abandoned link
	for path in abandoned link; do
		run -1 mc listen -w 5 --mode 600 unix:$path </dev/null
		equal "$output" "muxcat: listen unix:$path: Address already in use"
	done
	[ -S abandoned ]
	[ -L link ]
}

@test "another server's socket is never removed, and goes on working" {
	needs_unix_sockets
	begin echo -v unix:socket 2>err
	eventually grep -q listening err
	run -1 mc echo unix:socket
	equal "$output" "muxcat: listen unix:socket: Address already in use"
	run -1 mc listen unixgram:socket </dev/null
	run -0 mc connect unix:socket <<<hello
	equal "$output" hello
}

@test "what somebody else put in the place of our socket is not removed" {
	needs_unix_sockets
	local server what
	for what in "echo precious" "mkdir" "ln -s elsewhere" "begin echo"; do
		begin echo unix:socket
		server=$pid
		eventually accepts socket
		mv socket elsewhere
		case $what in
		echo*) echo precious >socket ;;
		begin*) begin echo unix:socket && eventually accepts socket ;;
		*) $what socket ;;
		esac
		stop "$server"
		case $what in
		echo*) equal "$(<socket)" precious ;;
		mkdir) [ -d socket ] ;;
		ln*) [ -L socket ] && [ -S elsewhere ] ;;
		begin*)
			run -0 mc connect unix:socket <<<hello
			equal "$output" hello
			;;
		esac
		rm -rf socket elsewhere
	done
}

@test "the socket file of a folder that is not there is an error" {
	needs_unix_sockets
	run -1 mc listen unix:nowhere/socket </dev/null
	equal "$output" "muxcat: listen unix:nowhere/socket: No such file or directory"
}
