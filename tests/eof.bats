#!/usr/bin/env bats
# End of file and back-pressure: each way on its own.

load helper
export MUXCAT MUXCAT_FLAGS

# mc with its status in $status, its output in the files out and err.
run_mc() {
	status=0
	mc "$@" >out 2>err || status=$?
}

# The same with a stdin that is open and says nothing.
run_mc_quiet() {
	mkfifo quiet
	run_mc "$@" <>quiet
}

# `start` with its stdin from a file; 7 is the test's own hold on it.
start_with() {
	local file=$1
	shift
	# shellcheck disable=SC2086
	"$MUXCAT" $MUXCAT_FLAGS "$@" <"$file" 3>&- 7>&- &
	pid=$!
	started+=("$pid")
}

one_line() {
	cat err
	[ "$(wc -l <err)" = 1 ]
	grep -q "^muxcat: $1" err
}

# Milliseconds since the given time in microseconds.
since() {
	echo $(((${EPOCHREALTIME/./} - $1) / 1000))
}

# The matrix: role, the way under test, and what the other way is doing.

@test "connect: data and EOF come in while stdin is quiet" {
	driver eof_case connect in quiet
}

@test "connect: data and EOF come in while sending is blocked" {
	driver eof_case connect in filled
}

@test "connect: data and EOF come in after stdin's EOF" {
	driver eof_case connect in done
}

@test "connect: data and EOF go out while the peer is quiet" {
	driver eof_case connect out quiet
}

@test "connect: data and EOF go out while stdout is blocked" {
	driver eof_case connect out filled
}

@test "connect: data and EOF go out after the peer's EOF" {
	driver eof_case connect out done
}

@test "listen: data and EOF come in while stdin is quiet" {
	driver eof_case listen in quiet
}

@test "listen: data and EOF come in while sending is blocked" {
	driver eof_case listen in filled
}

@test "listen: data and EOF come in after stdin's EOF" {
	driver eof_case listen in done
}

@test "listen: data and EOF go out while the peer is quiet" {
	driver eof_case listen out quiet
}

@test "listen: data and EOF go out while stdout is blocked" {
	driver eof_case listen out filled
}

@test "listen: data and EOF go out after the peer's EOF" {
	driver eof_case listen out done
}

# Resets and errors

@test "a reset in mid-transfer: what came before is on stdout, exit 1" {
	peer listen port flood=50000 acked reset
	run_mc_quiet connect 127.0.0.1 "$(port_of port)"
	equal "$status" 1
	one_line '.*Connection reset by peer'
	peer listen port2 flood=50000
	mc connect 127.0.0.1 "$(port_of port2)" </dev/null >wanted
	cmp wanted out
}

@test "a reset while stdout is blocked loses nothing: connect" {
	driver reset_case connect
}

@test "a reset while stdout is blocked loses nothing: listen" {
	driver reset_case listen
}

@test "sending to a peer that has gone: one line, exit 1" {
	peer listen port read=100000 reset
	run_mc connect 127.0.0.1 "$(port_of port)" < <(yes)
	equal "$status" 1
	one_line
}

# Half-close

@test "a server that answers a second after the client's FIN is heard" {
	peer listen port read-eof pause=1 send=answer
	run_mc connect 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	equal "$(<out)" answer
	[ ! -s err ]
}

@test "a client that answers a second after the server's FIN is heard" {
	echo question >file
	start_with file listen --port-file=port 127.0.0.1 0 >out 2>err
	local server=$pid
	peer dial "$(port_of port)" read-eof pause=1 send=answer >asked
	status_of "$server"
	equal "$status" 0
	equal "$(<asked)" question
	equal "$(<out)" answer
}

@test "-N is accepted" {
	peer listen port read-eof send=answer >asked
	run_mc connect -N 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	equal "$(<asked)" question
	equal "$(<out)" answer
}

@test "--no-shutdown: the peer sees no EOF until muxcat ends" {
	peer listen port read=9 quiet=0.5 send=answer fin read-eof mark=end >asked
	local peer=$pid
	run_mc connect --no-shutdown 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	equal "$(<out)" answer
	status_of "$peer"
	equal "$status" 0
	equal "$(<asked)" question
	[ -e end ]
}

@test "listen --no-shutdown: the peer sees no EOF until muxcat ends" {
	start listen --no-shutdown --port-file=port 127.0.0.1 0 >out 2>err
	local server=$pid
	peer dial "$(port_of port)" quiet=0.5 send=answer fin read-eof
	local peer=$pid
	status_of "$server"
	equal "$status" 0
	status_of "$peer"
	equal "$status" 0
	equal "$(<out)" answer
}

@test "--exit-on-eof: the peer's EOF ends it, and everything received is on stdout" {
	peer listen port flood=300000 fin await=end
	run_mc_quiet connect --exit-on-eof 127.0.0.1 "$(port_of port)"
	equal "$status" 0
	equal "$(wc -c <out)" 300000
	touch end
}

@test "listen --exit-on-eof: the peer's EOF ends it" {
	mkfifo quiet
	exec 7<>quiet
	start_with quiet listen --exit-on-eof --port-file=port 127.0.0.1 0 >out 2>err
	local server=$pid
	peer dial "$(port_of port)" send=hello fin await=end
	status_of "$server"
	touch end
	equal "$status" 0
	equal "$(<out)" hello
}

@test "listen -k --exit-on-eof: whoever ends before it has everything is reset" {
	mkfifo many
	exec 7<>many
	start_with many listen -k -v --exit-on-eof -O 64k --port-file=port 127.0.0.1 0 >out 2>err
	local server=$pid
	# who has all by the time his end is heard has an end: he reads after that
	peer dial "$(port_of port)" await=taken fin await=left reset-follows >/dev/null
	eventually grep -q accepted err
	head -c 800000 /dev/zero >&7 # more than both ends' buffers and the pipe hold
	touch taken
	eventually grep -q closed err
	touch left
	ended "$pid" 0
	stop "$server"
}

@test "stdin a terminal: the peer's EOF ends it" {
	peer listen port send=bye fin await=end
	status=0
	# shellcheck disable=SC2086
	driver on_pty "$MUXCAT" $MUXCAT_FLAGS connect 127.0.0.1 "$(port_of port)" >out 2>err || status=$?
	touch end
	equal "$status" 0
	equal "$(<out)" bye
}

@test "stdin not a terminal: the peer's EOF does not end it" {
	mkfifo stdin
	peer listen port send=bye fin read-eof >asked
	local peer=$pid
	exec 7<>stdin
	start_with stdin connect 127.0.0.1 "$(port_of port)" >out 2>err
	local client=$pid
	eventually grep -q bye out
	echo later >&7
	eventually grep -q later asked
	exec 7>&-
	status_of "$peer"
	status_of "$client"
	equal "$status" 0
	equal "$(<asked)" later
}

# Options

@test "-d reads no stdin and sends no end" {
	peer listen port quiet=0.5 send=hello fin read-eof >asked
	local peer=$pid
	echo untouched >file
	{
		mc connect -d 127.0.0.1 "$(port_of port)" >out 2>err
		cat >rest
	} <file
	equal "$(<out)" hello
	equal "$(<rest)" untouched
	status_of "$peer"
	equal "$status" 0
	[ ! -s asked ]
}

@test "--recv-only sends nothing" {
	peer listen port send=hello fin read-eof >asked
	local peer=$pid
	run_mc connect --recv-only 127.0.0.1 "$(port_of port)" <<<unsent
	equal "$status" 0
	equal "$(<out)" hello
	status_of "$peer"
	[ ! -s asked ]
}

@test "connect --send-only: a peer that never stops talking loses nothing" {
	driver send_only connect
}

@test "listen --send-only: a peer that never stops talking loses nothing" {
	driver send_only listen
}

@test "-q SECS: done so long after stdin's EOF, whatever the peer says" {
	peer listen port read-eof repeat=1000,send=x,pause=0.1 mark=said-all
	local port begin took
	port=$(port_of port)
	begin=${EPOCHREALTIME/./}
	run_mc connect -q 1 127.0.0.1 "$port" </dev/null
	took=$(since "$begin")
	echo "$took ms"
	((took >= 950))
	[ ! -e said-all ]
	equal "$status" 0
	[ ! -s err ]
	grep -q xxxx out
}

@test "-q 0: done at stdin's EOF" {
	peer listen port read-eof await=end >asked
	local peer=$pid
	run_mc connect -q 0 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	touch end
	status_of "$peer"
	equal "$(<asked)" question
}

@test "-q 0: a peer that reads late gets everything" {
	peer listen port pause=0.5 read-eof >asked
	local peer=$pid
	head -c 6000000 /dev/urandom >file
	run_mc connect -q 0 127.0.0.1 "$(port_of port)" <file
	equal "$status" 0
	status_of "$peer"
	cmp file asked
}

# A peer that still talks when everything has come, and reads after that, has the question and the end.
hears_after_talking() {
	local status peer
	rm -f port talks
	peer listen port send=chatter mark=talks talk=chatter read-eof >asked
	peer=$pid
	exec 7<>stdin
	start_with stdin connect "$@" 127.0.0.1 "$(port_of port)" >out 2>err
	eventually test -e talks
	echo question >&7
	exec 7>&-
	ended "$pid" 0
	status_of "$peer"
	[ "$status" = 0 ] && [ "$(<asked)" = question ]
}

@test "-q 0, --send-only: a peer that talks before it reads is not reset" {
	mkfifo stdin
	# a busy machine may hold up the peer, which then seems to have ceased
	PATIENCE=60 eventually hears_after_talking -q 0
	PATIENCE=60 eventually hears_after_talking --send-only
}

@test "-q 0: a peer that talks for ever is left" {
	peer listen port read-eof repeat=1000,send=x,pause=0.05 mark=said-all >asked
	run_mc connect -q 0 127.0.0.1 "$(port_of port)" <<<question
	[ ! -e said-all ]
	equal "$status" 0
	equal "$(<asked)" question
}

@test "--send-only: a peer that resets instead of reading is an error" {
	peer listen port pause=0.3 reset
	head -c 6000000 /dev/urandom >file
	run_mc connect --send-only 127.0.0.1 "$(port_of port)" <file
	equal "$status" 1
	one_line '[a-z]* 127.0.0.1:[0-9]*: \(Connection reset by peer\|Broken pipe\)'
}

@test "-q -1: waits for ever" {
	peer listen port read-eof pause=1.5 send=answer
	run_mc connect -q -1 127.0.0.1 "$(port_of port)" </dev/null
	equal "$status" 0
	equal "$(<out)" answer
}

@test "-i: a connection on which nothing moves: one line, exit 3" {
	peer listen port read-eof
	run_mc_quiet connect -i 0.5 127.0.0.1 "$(port_of port)"
	equal "$status" 3
	one_line
}

@test "listen -i: a connection on which nothing moves: one line, exit 3" {
	mkfifo quiet
	exec 7<>quiet
	start_with quiet listen -i 0.5 --port-file=port 127.0.0.1 0 >out 2>err
	local server=$pid
	peer dial "$(port_of port)" send=hello read-eof await=end
	status_of "$server"
	touch end
	equal "$status" 3
	one_line
	equal "$(<out)" hello
}

@test "-i: what moves one way only is not idle" {
	peer listen port repeat=10,send=x,pause=0.2 fin
	run_mc connect -i 1 127.0.0.1 "$(port_of port)" </dev/null
	equal "$status" 0
	equal "$(<out)" xxxxxxxxxx
}

# UDP has no EOF

@test "UDP: a reply 0.3 s after stdin's EOF is heard, exit 0" {
	peer udp port datagram pause=0.3 send=answer
	run_mc connect -u 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	equal "$(<out)" answer
	[ ! -s err ]
}

@test "UDP: every reply gives the next one another -q SECS" {
	peer udp port datagram repeat=4,pause=0.5,send=x
	run_mc connect -u -q 1 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	equal "$(<out)" xxxx
}

@test "UDP: -q -1 waits for ever" {
	peer udp port datagram pause=1.5 send=answer
	echo question >file
	start_with file connect -u -q -1 127.0.0.1 "$(port_of port)" >out 2>err
	local client=$pid
	eventually grep -q answer out
	kill -0 "$client"
}

@test "UDP: -q 0 sends what stdin had" {
	peer udp port datagram >asked
	local peer=$pid
	run_mc connect -u -q 0 127.0.0.1 "$(port_of port)" <<<question
	equal "$status" 0
	status_of "$peer"
	equal "$(<asked)" question
}
