#!/usr/bin/env bats
# Much data both ways at once arrives as it was sent: among muxcats, and with other tools.

load helper

setup_file() {
	! on_windows || begin_wine
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/one"
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/other"
	head -c 1M "$BATS_FILE_TMPDIR/one" >"$BATS_FILE_TMPDIR/one-less"
	head -c 1M "$BATS_FILE_TMPDIR/other" >"$BATS_FILE_TMPDIR/other-less"
}

# What the client sends, and what the server sends.
one=$BATS_FILE_TMPDIR/one
other=$BATS_FILE_TMPDIR/other

# serve tcp|unix NAME COMMAND [OPTION]...: starts a server, with stdin from the file in $input
# and stdout to NAME.out. Its process id is in $pid, the operand to reach it in $address.
serve() {
	local kind=$1 name=$2
	shift 2
	# shellcheck disable=SC2086
	if [ "$kind" = unix ]; then
		"$MUXCAT" $MUXCAT_FLAGS -v "$@" "unix:$name" <"$input" >"$name.out" 2>"$name.err" 3>&- &
		address=unix:$name
	else
		"$MUXCAT" $MUXCAT_FLAGS -v "$@" --port-file="$name.port" 127.0.0.1:0 <"$input" >"$name.out" 2>"$name.err" 3>&- &
	fi
	pid=$!
	started+=("$pid")
	eventually grep -q '^muxcat: listening on' "$name.err"
	[ "$kind" = unix ] || address=127.0.0.1:$(port_of "$name.port")
}

# Both ways at once through listen and connect, and whatever is between them.
# both_ways tcp|unix direct|relay [OPTION]...
both_ways() {
	local kind=$1 between=$2 server
	shift 2
	input=$other serve "$kind" end listen "$@"
	server=$pid
	if [ "$between" = relay ]; then
		input=/dev/null serve "$kind" relay listen -k "$@" --to "$address"
	fi
	mc connect "$@" "$address" <"$one" >client.out
	status_of "$server"
	equal "$status" 0
	cmp "$one" end.out
	cmp "$other" client.out
}

through_echo() {
	local kind=$1
	shift
	input=/dev/null serve "$kind" echo echo "$@"
	mc connect "$@" "$address" <"$one" >client.out
	cmp "$one" client.out
}

@test "tcp: 64 MiB both ways through listen and connect" {
	both_ways tcp direct
}

@test "unix: 64 MiB both ways through listen and connect" {
	needs_unix_sockets
	both_ways unix direct
}

@test "tcp: 64 MiB through echo" {
	through_echo tcp
}

@test "unix: 64 MiB through echo" {
	needs_unix_sockets
	through_echo unix
}

@test "tcp: 64 MiB both ways through a relay" {
	both_ways tcp relay
}

@test "unix: 64 MiB both ways through a relay" {
	needs_unix_sockets
	both_ways unix relay
}

@test "tcp, tiny socket buffers: 64 MiB both ways through listen and connect" {
	both_ways tcp direct -I 4k -O 4k
}

@test "unix, tiny socket buffers: 64 MiB both ways through listen and connect" {
	needs_unix_sockets
	both_ways unix direct -I 4k -O 4k
}

@test "tcp, tiny socket buffers: 64 MiB through echo" {
	through_echo tcp -I 4k -O 4k
}

@test "unix, tiny socket buffers: 64 MiB through echo" {
	needs_unix_sockets
	through_echo unix -I 4k -O 4k
}

@test "tcp, tiny socket buffers: 64 MiB both ways through a relay" {
	both_ways tcp relay -I 4k -O 4k
}

@test "unix, tiny socket buffers: 64 MiB both ways through a relay" {
	needs_unix_sockets
	both_ways unix relay -I 4k -O 4k
}

# Other tools: a MiB each way, in both roles

# muxcat_serves COMMAND...: a client, in whose operands PORT stands for the port.
muxcat_serves() {
	local server
	input=$other-less serve tcp end listen
	server=$pid
	timeout "$PATIENCE" "${@//PORT/${address#*:}}" <"$one-less" >client.out 3>&-
	status_of "$server"
	equal "$status" 0
	cmp "$one-less" end.out
	cmp "$other-less" client.out
}

listening_port() {
	ss -Hltnp | sed -n "s/.*127\.0\.0\.1:\([1-9][0-9]*\) .*pid=$1,.*/\1/p" >port
	[ -s port ]
}

# muxcat_dials COMMAND...: a server that listens on a free port.
muxcat_dials() {
	local server
	"$@" <"$other-less" >end.out 3>&- &
	server=$!
	started+=("$server")
	eventually listening_port "$server"
	mc connect 127.0.0.1 "$(<port)" <"$one-less" >client.out
	status_of "$server"
	equal "$status" 0
	cmp "$one-less" end.out
	cmp "$other-less" client.out
}

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "no $tool"
	done
}

@test "nc as the client of an echo: 64 MiB" {
	need nc
	input=/dev/null serve tcp echo echo
	timeout "$PATIENCE" nc -N 127.0.0.1 "${address#*:}" <"$one" >client.out 3>&-
	cmp "$one" client.out
}

@test "nc as the client: a MiB each way" {
	need nc
	muxcat_serves nc -N 127.0.0.1 PORT
}

@test "ncat as the client: a MiB each way" {
	need ncat
	muxcat_serves ncat 127.0.0.1 PORT
}

@test "socat as the client: a MiB each way" {
	need socat
	muxcat_serves socat -t 10 - TCP:127.0.0.1:PORT
}

@test "nc as the server: a MiB each way" {
	need nc ss
	muxcat_dials nc -N -l 127.0.0.1 0
}

@test "ncat as the server: a MiB each way" {
	need ncat ss
	muxcat_dials ncat -l 127.0.0.1 0
}

@test "socat as the server: a MiB each way" {
	need socat ss
	muxcat_dials socat -t 10 - TCP-LISTEN:0,bind=127.0.0.1
}
