#!/usr/bin/env bats
# TLS: the rules of a stream hold through it: every byte, each way's end, back-pressure.

load tls_helper

# instead of tls_helper.bash's
setup_file() {
	begin_tls
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/one"
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/other"
}

# ---- the end-of-file matrix ----

matrix() {
	local state
	for state in quiet filled "done"; do
		driver eof_case "$1" "$2" $state tls
	done
}

@test "connect: data and EOF come in, whatever the other way does" {
	matrix connect in
}

@test "connect: data and EOF go out, whatever the other way does" {
	matrix connect out
}

@test "listen: data and EOF come in, whatever the other way does" {
	matrix listen in
}

@test "listen: data and EOF go out, whatever the other way does" {
	matrix listen out
}

# ---- bytes ----

# Both ways at once between listen and connect, with the given options.
both_ways() {
	start listen --tls --cert "$CERTIFICATES/good.pem" --port-file port "$@" 127.0.0.1 0 \
		<"$BATS_FILE_TMPDIR/other" >end.out 2>err
	local server=$pid
	mc connect --tls --ca "$CERTIFICATES/ca.pem" "$@" localhost "$(port_of port)" \
		<"$BATS_FILE_TMPDIR/one" >client.out
	ended "$server" 0
	cmp "$BATS_FILE_TMPDIR/one" end.out
	cmp "$BATS_FILE_TMPDIR/other" client.out
}

@test "64 MiB both ways at once" {
	both_ways
}

@test "64 MiB both ways at once, tiny socket buffers" {
	both_ways -I 4k -O 4k
}

@test "both ways at once, a byte at each receive" {
	[[ ! $MUXCAT_BUILD =~ asan|tsan ]] || skip "a sanitizer wants to be loaded first"
	local size=4M
	! on_windows || size=400k # Wine asks its server at each receive
	[ -z "${LONG:-}" ] || size=64M
	head -c $size "$BATS_FILE_TMPDIR/one" >one
	head -c $size "$BATS_FILE_TMPDIR/other" >other
	export LD_PRELOAD=$MUXCAT_BUILD/one_byte.so
	local tested=$MUXCAT flags=$MUXCAT_FLAGS
	! on_windows || MUXCAT=$MUXCAT_BUILD/muxcat MUXCAT_FLAGS= # one end under Wine takes long enough
	start listen --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 <other >end.out
	MUXCAT=$tested MUXCAT_FLAGS=$flags
	local server=$pid
	start connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$(port_of port)" <one >client.out
	unset LD_PRELOAD
	PATIENCE=$AT_MOST ended "$pid" 0
	ended "$server" 0
	cmp one end.out
	cmp other client.out
}

@test "64 MiB through echo, by TLS 1.2 and 1.3" {
	local version
	server echo --tls --cert "$CERTIFICATES/good.pem"
	for version in 1.2 1.3; do
		start connect --tls-min=$version --ca "$CERTIFICATES/ca.pem" "tls:localhost:$port" \
			<"$BATS_FILE_TMPDIR/one" >out
		ended "$pid" 0
		cmp "$BATS_FILE_TMPDIR/one" out
	done
}

@test "a relay ends TLS, and another begins it" {
	server echo
	local echo=$port
	server listen -k --tls --cert "$CERTIFICATES/good.pem" --to "tcp:127.0.0.1:$echo"
	local terminator=$port
	server listen -k --ca "$CERTIFICATES/ca.pem" --to "tls:localhost:$terminator"
	mc connect 127.0.0.1 "$port" <"$BATS_FILE_TMPDIR/one" >out
	cmp "$BATS_FILE_TMPDIR/one" out
}

@test "over a Unix socket" {
	needs_unix_sockets
	start echo --tls --cert "$CERTIFICATES/good.pem" -U socket </dev/null
	eventually accepts socket
	run -0 mc connect --ca "$CERTIFICATES/ca.pem" --server-name localhost tls:unix:socket <<<hello
	equal "$output" hello
	run -0 mc connect -U --tls --ca "$CERTIFICATES/ca.pem" --server-name localhost socket <<<hello
	equal "$output" hello
	run -2 mc connect tls:unix:socket
	equal "$output" "muxcat: TLS over a Unix socket: --server-name says whom to expect"
}

@test "fanout: subscribers, --from and --to" {
	head -c 8M "$BATS_FILE_TMPDIR/one" >data
	start fanout --tls --cert "$CERTIFICATES/good.pem" --min-clients=2 --port-file fan 127.0.0.1 0 <data
	local fan=$pid
	start connect --tls --ca "$CERTIFICATES/ca.pem" -d localhost "$(port_of fan)" >got1
	local first=$pid
	start listen -d --tls --cert "$CERTIFICATES/good.pem" --port-file sink 127.0.0.1 0 >got2 </dev/null
	local sink=$pid
	start fanout --ca "$CERTIFICATES/ca.pem" --from "tls:localhost:$(port_of fan)" \
		--to "tls:localhost:$(port_of sink)"
	ended "$pid" 0
	ended "$fan" 0
	ended "$first" 0
	ended "$sink" 0
	cmp data got1
	cmp data got2
}

@test "a subscriber that takes little at a time makes progress, and is not cut off" {
	python3 -c 'print("x" * 9999999)' >data
	begin fanout --tls --cert "$CERTIFICATES/good.pem" --stall 4 -O 4k --port-file port 127.0.0.1 0 <data 2>err
	local server=$pid
	mkfifo slow
	exec 5<>slow
	begin connect -I 4k --tls --ca "$CERTIFICATES/ca.pem" -d localhost "$(port_of port)" >slow
	python3 -c '
import os, time
fd = os.open("slow", os.O_RDONLY)
os.read(fd, 65536)
begin = time.monotonic()
taken = 0
while taken < 90000:  # at 10 kB/s: less than a buffer of 64 KiB within --stall, more than a record
    time.sleep(max(0, begin + taken / 10000 - time.monotonic()))
    taken += len(os.read(fd, 1000))' 3>&-
	[ ! -s err ]
	kill -0 "$server"
	exec 5>&-
}

# ---- ends that are none ----

@test "an end without close_notify was cut short: all that came is on stdout, all of stdin goes out, exit 1" {
	small >sent
	python3 -B "$BATS_TEST_DIRNAME/peers/tls_cut.py" sent listen port >asked 3>&- &
	started+=($!)
	local peer=$!
	status=0
	mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$(port_of port)" <sent >got 2>err || status=$?
	equal "$status" 1
	cut_short err
	cmp sent got
	ended "$peer" 0
	cmp sent asked
}

@test "listen -k and fanout go on sending to a client whose end was cut short" {
	local command
	mkfifo feed
	echo hello >sent
	for command in "listen -k" "fanout --broker"; do
		exec 4<>feed
		begin $command -v --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 <feed >out 2>err
		local server=$pid
		port=$(port_of port)
		python3 -B "$BATS_TEST_DIRNAME/peers/tls_cut.py" sent dial "$port" >got 3>&- 4>&- &
		local client=$!
		started+=("$client")
		eventually grep -q accepted err
		if [ "$command" = "listen -k" ]; then
			eventually grep -q "cut short" err
			echo later >&4
		else
			mc connect --tls --ca "$CERTIFICATES/ca.pem" -q 0.1 localhost "$port" <<<later
		fi
		eventually grep -q later got
		exec 4>&-
		stop "$server"
		ended "$client" 0 || ended "$client" 1
		rm port
	done
}

@test "fanout --from a stream that was cut short: no subscriber takes it for the whole" {
	small >sent
	python3 -B "$BATS_TEST_DIRNAME/peers/tls_cut.py" sent listen source >asked 3>&- &
	started+=($!)
	port_of source
	begin fanout --ca "$CERTIFICATES/ca.pem" --from "tls:localhost:$(<source)" --port-file port 127.0.0.1 0 2>err
	local server=$pid
	status=0
	mc connect 127.0.0.1 "$(port_of port)" </dev/null >got 2>client.err || status=$?
	equal "$status" 1
	grep -q "Connection reset by peer" client.err
	cmp sent got
	ended "$server" 1
	cut_short err
}

@test "a client that stalls in the handshake is cut off, counts, and disturbs nobody" {
	start echo -m 2 --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 </dev/null 2>err
	port=$(port_of port)
	exec 5<>"/dev/tcp/127.0.0.1/$port" # says nothing
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
	exec 6<>"/dev/tcp/127.0.0.1/$port"
	# the two are all that -m allows, until the first has been cut off
	local begin=$SECONDS
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
	((SECONDS - begin >= 5))
	grep -q "accept 127.0.0.1:.*: its TLS handshake takes too long" err
	exec 5>&- 6>&-
}

@test "a server that stalls in the handshake: -w covers it, and it may take 30 s without" {
	local limit seconds before after
	for limit in "-w 0.5" ${LONG:+"-d"}; do
		seconds=0
		[ "$limit" != -d ] || seconds=30
		rm -f port
		peer listen port pause=60
		before=$SECONDS
		# shellcheck disable=SC2086 # a list of options
		run -3 mc connect $limit --tls --insecure 127.0.0.1 "$(port_of port)" </dev/null
		after=$SECONDS
		kill "$pid"
		((after - before >= seconds))
		[[ ${lines[-1]} == "muxcat: "*"127.0.0.1:$(<port): "* ]]
		echo "${lines[-1]}"
	done
}

# ---- what it costs others ----

@test "a run without TLS costs no more than in a build without it" {
	case $MUXCAT_BUILD in *asan | *tsan) skip "a sanitizer's build costs what it costs" ;; esac
	not_on_windows "two builds to compare"
	[ -x "$MUXCAT_BUILD/no-tls/muxcat" ] || skip "there is no build without TLS beside this one"
	run -0 driver start_cost "$MUXCAT" "$MUXCAT_BUILD/no-tls/muxcat" 15
	echo "$output times"
	awk -v ratio="$output" 'BEGIN { exit !(ratio <= 1.1) }'
}
