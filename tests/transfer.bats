#!/usr/bin/env bats
# Much data both ways at once arrives as it was sent: among muxcats, and with other tools.

load helper

setup_file() {
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/one"
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/other"
	# Tiny socket buffers make for tiny steps.
	head -c 8M "$BATS_FILE_TMPDIR/one" >"$BATS_FILE_TMPDIR/one-less"
	head -c 8M "$BATS_FILE_TMPDIR/other" >"$BATS_FILE_TMPDIR/other-less"
	head -c 1M "$BATS_FILE_TMPDIR/one" >"$BATS_FILE_TMPDIR/one-least"
	head -c 1M "$BATS_FILE_TMPDIR/other" >"$BATS_FILE_TMPDIR/other-least"
}

# Both ways: what the client sends, what the server sends.
files() {
	one=$BATS_FILE_TMPDIR/one$1
	other=$BATS_FILE_TMPDIR/other$1
}

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
# both_ways tcp|unix direct|relay SIZE [OPTION]...
both_ways() {
	local kind=$1 between=$2 server
	files "$3"
	shift 3
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
	files "$2"
	shift 2
	input=/dev/null serve "$kind" echo echo "$@"
	mc connect "$@" "$address" <"$one" >client.out
	cmp "$one" client.out
}

@test "tcp: 64 MiB both ways through listen and connect" {
	both_ways tcp direct ""
}

@test "unix: 64 MiB both ways through listen and connect" {
	both_ways unix direct ""
}

@test "tcp: 64 MiB through echo" {
	through_echo tcp ""
}

@test "unix: 64 MiB through echo" {
	through_echo unix ""
}

@test "tcp: 64 MiB both ways through a relay" {
	both_ways tcp relay ""
}

@test "unix: 64 MiB both ways through a relay" {
	both_ways unix relay ""
}

@test "tcp, tiny socket buffers: both ways through listen and connect" {
	both_ways tcp direct "$LESS" -I 4k -O 4k
}

@test "unix, tiny socket buffers: both ways through listen and connect" {
	both_ways unix direct "$LESS" -I 4k -O 4k
}

@test "tcp, tiny socket buffers: through echo" {
	through_echo tcp "$LESS" -I 4k -O 4k
}

@test "unix, tiny socket buffers: through echo" {
	through_echo unix "$LESS" -I 4k -O 4k
}

@test "tcp, tiny socket buffers: both ways through a relay" {
	both_ways tcp relay "$LESS" -I 4k -O 4k
}

@test "unix, tiny socket buffers: both ways through a relay" {
	both_ways unix relay "$LESS" -I 4k -O 4k
}
