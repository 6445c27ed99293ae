#!/usr/bin/env bats
# SIGINT and SIGTERM: stop accepting, flush, remove Unix socket files, end by that signal.

load helper

bats_require_minimum_version 1.5.0

# An asynchronous command of a shell without job control ignores SIGINT, and an ignored signal stays
# ignored through exec: env undoes that.
begin() {
	env --default-signal=INT,QUIT "$MUXCAT" $MUXCAT_FLAGS "$@" <&0 3>&- 4>&- 5>&- &
	pid=$!
	started+=("$pid")
}

# A server on a free port of 127.0.0.1, in $port and $server.
server() {
	rm -f port
	begin "$@" --port-file port 127.0.0.1 0
	server=$pid
	port=$(port_of port)
}

# Ends a process by a signal, and checks that it does end by it.
ends_by() {
	local status want=130
	[ "$1" = INT ] || want=143
	kill -"$1" "$2"
	status_of "$2"
	equal "$1 $status" "$1 $want"
}

@test "a server without connections ends by the signal, silently" {
	local signal command
	for signal in INT TERM; do
		for command in "listen" "listen -k" "listen --to=127.0.0.1:1" "echo" "echo -u" "listen -u" \
			"fanout" "fanout --broker"; do
			server $command </dev/null >out 2>err
			ends_by $signal "$server"
			equal "$command: $(<err)$(<out)" "$command: "
			run -1 "$MUXCAT" connect -z 127.0.0.1 "$port" # nobody is left
		done
	done
}

@test "connect ends by the signal, with stdin open and nothing to do" {
	local signal
	mkfifo feed
	exec 4<>feed
	server echo
	for signal in INT TERM; do
		begin connect 127.0.0.1 "$port" <feed >out 2>err
		echo hello >&4
		eventually grep -q hello out
		ends_by $signal "$pid"
		equal "$(<err)" ""
		equal "$(<out)" hello
	done
}

@test "connect that is still connecting ends by the signal" {
	local signal
	python3 -c '
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(0)
queued = []
for i in range(16):
    c = socket.socket()
    c.settimeout(0.2)
    queued.append(c)
    try:
        c.connect(s.getsockname())
    except socket.timeout:
        break
print(s.getsockname()[1], flush=True)
sys.stdin.read()' <>/dev/zero >full 3>&- &
	started+=($!)
	port=$(port_of full)
	for signal in INT TERM; do
		begin connect -vv 127.0.0.1 "$port" </dev/null 2>err
		eventually test -s err
		ends_by $signal "$pid"
	done
}

@test "a server with connections open ends by the signal, and its clients see an end" {
	local signal command client
	mkfifo feed
	exec 4<>feed
	for signal in INT TERM; do
		for command in "listen" "listen -k" "echo" "fanout"; do
			server $command -v <feed >out 2>err
			begin connect -d 127.0.0.1 "$port" >got 2>err.client
			client=$pid
			eventually grep -q accepted err
			ends_by $signal "$server"
			status_of "$client" || return 1
		done
	done
}

@test "a relay with a connection open ends by the signal" {
	local signal target
	mkfifo feed
	exec 4<>feed
	server echo
	target=$port
	for signal in INT TERM; do
		server listen -k --to=127.0.0.1:"$target"
		begin connect 127.0.0.1 "$port" <feed >got 2>err
		echo hello >&4
		eventually grep -q hello got
		ends_by $signal "$server"
		status_of "$pid"
	done
}

@test "what was read is written out before the end" {
	local signal
	mkfifo feed
	exec 4<>feed
	for signal in INT TERM; do
		# 300 kB from the client, a stdout that is read only after the signal
		rm -f pipe
		mkfifo pipe
		exec 5<>pipe
		server listen -v <feed >pipe 2>err
		head -c 20000 /dev/urandom >data
		"$MUXCAT" connect --send-only 127.0.0.1 "$port" <data
		eventually eval 'python3 -c "
import fcntl, struct, sys, termios
n = struct.unpack(\"i\", fcntl.ioctl(5, termios.FIONREAD, b\"0000\"))[0]
sys.exit(n != 20000)"'
		ends_by $signal "$server"
		head -c 20000 <&5 | cmp - data
		exec 5>&-
	done
}

@test "what waits for a slow client is flushed at the signal" {
	head -c 1000000 /dev/zero >data
	local signal
	for signal in INT TERM; do
		mkfifo pipe.$signal feed.$signal
		exec 4<>feed.$signal
		server fanout -v --min-clients=1 -O 16k <feed.$signal 2>err
		begin connect -d -I 16k 127.0.0.1 "$port" >pipe.$signal
		local client=$pid
		# the client stands still until its stdout is opened
		cat data >&4
		kill -"$signal" "$server"
		cat pipe.$signal >got
		status_of "$server"
		[ "$status" = 130 ] || [ "$status" = 143 ]
		status_of "$client"
		# a part of the input may never have been read; what was came through, and no byte is wrong
		[ -s got ]
		cmp -n "$(stat -c %s got)" got data
		exec 4>&-
	done
}

@test "a second signal ends at once what the first could not flush" {
	local signal
	head -c 30000000 /dev/zero >data
	for signal in INT TERM; do
		rm -f unread
		mkfifo unread
		exec 5<>unread
		server fanout --stall=60 --queue=20M --min-clients=1 -v <data 2>err
		begin connect -d 127.0.0.1 "$port" >unread 2>err.client
		local client=$pid
		eventually grep -q accepted err
		kill -$signal "$server"
		local before=$SECONDS
		until ! kill -0 "$server" 2>/dev/null || ((SECONDS > before + 5)); do
			kill -$signal "$server" 2>/dev/null || true
			read -rt 0.1 <> <(:) || true
		done
		((SECONDS <= before + 5))
		status_of "$server"
		[ "$status" = 130 ] || [ "$status" = 143 ]
		exec 5>&-
		kill -KILL "$client"
	done
}

@test "connect with a stdout that nobody reads ends at the second signal at the latest" {
	mkfifo unread
	exec 5<>unread
	head -c 10000000 /dev/zero >data
	server listen -k -v <data 2>err
	begin connect -d 127.0.0.1 "$port" >unread
	eventually grep -q accepted err
	kill -TERM "$pid"
	local before=$SECONDS
	until ! kill -0 "$pid" 2>/dev/null || ((SECONDS > before + 5)); do
		kill -TERM "$pid" 2>/dev/null || true
		read -rt 0.1 <> <(:) || true
	done
	((SECONDS <= before + 5))
	status_of "$pid"
	equal "$status" 143
}

@test "the Unix socket file is removed" {
	local signal command
	for signal in INT TERM; do
		for command in listen "listen -k" echo "echo -u" fanout "listen --to=unix:x"; do
			begin $command -U socket </dev/null
			eventually test -S socket
			ends_by $signal "$pid"
			[ ! -e socket ]
		done
	done
}

@test "the Unix socket file is removed with a connection open" {
	local signal
	mkfifo feed
	exec 4<>feed
	for signal in INT TERM; do
		begin echo -v unix:socket 2>err
		local server=$pid
		eventually test -S socket
		begin connect unix:socket <feed >got
		eventually grep -q accepted err
		ends_by $signal "$server"
		[ ! -e socket ]
		status_of "$pid"
	done
}

@test "a stdin shared with another process blocks nobody: both live, and end by the signal" {
	mkfifo feed
	exec 4<>feed
	server listen -k -v </dev/null >out 2>err
	begin connect --no-shutdown 127.0.0.1 "$port" <feed
	local one=$pid i
	begin connect --no-shutdown 127.0.0.1 "$port" <feed
	local two=$pid
	eventually eval '[ "$(grep -c accepted err)" = 2 ]'
	for i in {1..30}; do
		echo "line $i" >&4
		eventually grep -q "line $i\$" out
	done
	ends_by TERM "$one"
	ends_by TERM "$two"
}

@test "a signal that was ignored at the start stays ignored" {
	server echo
	(
		trap '' INT
		exec "$MUXCAT" $MUXCAT_FLAGS echo --port-file port2 127.0.0.1 0
	) 3>&- &
	pid=$!
	started+=("$pid")
	port=$(port_of port2)
	kill -INT "$pid"
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
	ends_by TERM "$pid"
}
