#!/usr/bin/env bats
# SIGINT, SIGTERM and SIGHUP: stop accepting, flush, remove Unix socket files, end by that signal.

load helper

# Those that end it, if it wants to or not. Windows has Ctrl-C: what else comes to a process under Wine
# ends it unasked.
SIGNALS="INT TERM HUP"
! on_windows || SIGNALS=INT

# An asynchronous command of a shell without job control ignores SIGINT, and an ignored signal stays
# ignored through exec: env undoes that.
begin() {
	env --default-signal=INT,QUIT,HUP "$MUXCAT" $MUXCAT_FLAGS "$@" <&0 3>&- 4>&- 5>&- &
	pid=$!
	started+=("$pid")
}

ends_by() {
	kill -"$1" "$2"
	ended_by "$1" "$2"
}

# Sends a process signals until it has ended, as long as one waits for anything.
insist() {
	local deadline=$((SECONDS + PATIENCE))
	while kill -"$1" "$2" 2>/dev/null; do
		((SECONDS < deadline)) || return 1
		read -rt 0.1 <> <(:) || true
	done
}

@test "a server without connections ends by the signal, silently" {
	local signal command
	for signal in $SIGNALS; do
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
	for signal in $SIGNALS; do
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
	python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" full <>/dev/zero >full 3>&- &
	started+=($!)
	port=$(port_of full)
	for signal in $SIGNALS; do
		begin connect -vv 127.0.0.1 "$port" </dev/null 2>err
		eventually test -s err
		ends_by $signal "$pid"
	done
}

@test "a server with connections open ends by the signal, and its clients see an end" {
	local signal command client
	mkfifo feed
	exec 4<>feed
	for signal in $SIGNALS; do
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
	for signal in $SIGNALS; do
		server listen -k --to=127.0.0.1:"$target"
		begin connect 127.0.0.1 "$port" <feed >got$signal 2>err
		echo hello >&4
		eventually grep -q hello got$signal
		ends_by $signal "$server"
		kill -KILL "$pid"
		wait "$pid" 2>/dev/null || true
	done
}

# So many bytes wait in the pipe that this shell has as a descriptor.
waiting() {
	python3 -c '
import array, fcntl, sys, termios
n = array.array("i", [0])
fcntl.ioctl(int(sys.argv[1]), termios.FIONREAD, n)
sys.exit(n[0] != int(sys.argv[2]))' "$@"
}

@test "what was received is written out before the end" {
	local signal
	mkfifo feed pipe
	exec 4<>feed 5<>pipe
	head -c 20000 /dev/urandom >data
	for signal in $SIGNALS; do
		server listen -v <feed >pipe 2>err
		"$MUXCAT" connect --send-only 127.0.0.1 "$port" <data
		eventually waiting 5 20000
		ends_by $signal "$server"
		head -c 20000 <&5 | cmp - data
	done
}

@test "what waits for a slow client is flushed at the signal" {
	local signal
	mkfifo feed
	exec 4<>feed
	head -c 900000 /dev/urandom >data
	for signal in $SIGNALS; do
		server fanout -v -O 16k <feed 2>err
		begin connect -d -I 16k 127.0.0.1 "$port" >got
		local client=$pid
		eventually grep -q accepted err
		kill -STOP "$client"
		cat data >&4
		eventually waiting 4 0
		kill -$signal "$server"
		kill -CONT "$client"
		ended_by $signal "$server"
		status_of "$client"
		cmp data got
	done
}

@test "a second signal ends at once what the first could not flush" {
	local signal
	head -c 30000000 /dev/zero >data
	mkfifo unread
	exec 5<>unread
	for signal in $SIGNALS; do
		server fanout --stall=60 --queue=20M -v <data 2>err
		begin connect -d 127.0.0.1 "$port" >unread 2>err.client
		eventually grep -q accepted err
		insist $signal "$server"
		ended_by $signal "$server"
		insist $signal "$pid" # its stdout is full
		ended_by $signal "$pid"
	done
}

@test "the Unix socket file is removed" {
	needs_unix_sockets
	local signal command
	for signal in $SIGNALS; do
		for command in listen "listen -k" echo "echo -u" fanout "listen --to=unix:x"; do
			begin $command -U socket </dev/null
			eventually accepts socket ${command#echo}
			ends_by $signal "$pid"
			[ ! -e socket ]
		done
	done
}

@test "the Unix socket file is removed with a connection open" {
	needs_unix_sockets
	local signal
	mkfifo feed
	exec 4<>feed
	for signal in $SIGNALS; do
		begin echo -v unix:socket 2>err
		local server=$pid
		eventually accepts socket
		begin connect unix:socket <feed >got
		eventually grep -q accepted err
		ends_by $signal "$server"
		[ ! -e socket ]
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
	stop "$one"
	stop "$two"
}

@test "a signal that was ignored at the start stays ignored" {
	not_on_windows "signals that are ignored through exec"
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
	stop "$pid"
}

@test "-v tells who was there when it was stopped" {
	local command feed=$BATS_TEST_TMPDIR/feed
	mkfifo "$feed"
	exec 6<>"$feed"
	server echo
	local behind=$port
	for command in "listen" "listen -k" "listen -k --to=127.0.0.1:$behind" "echo" "fanout" "fanout --broker"; do
		server $command -v <"$feed" >/dev/null 2>err
		mc connect -d 127.0.0.1 "$port" >/dev/null 3>&- 4>&- 5>&- 6>&- &
		started+=($!)
		eventually grep -q accepted err
		[[ $command != *--to=* ]] || eventually grep -q connected err
		ends_by $STOP "$server"
		grep -q "closed .*, stopped$" err || { cat err; false; }
	done
}
