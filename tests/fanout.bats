#!/usr/bin/env bats
# fanout: one input, every subscriber, none of whom can hold up another.

load helper

PEER=$BATS_TEST_DIRNAME/peers/fanout_subs.py

# A fanout on a free port of 127.0.0.1, in $port and $server.
fanout() {
	rm -f port
	begin fanout --port-file port "$@" 127.0.0.1 0
	server=$pid
	port=$(port_of port)
}

# A subscriber that sends nothing, whose end of file comes first; it writes to the file $1.
subscribe() {
	begin connect 127.0.0.1 "$port" </dev/null >"$1"
}

holds() {
	[ "$(<"$1")" = "$2" ]
}

@test "every subscriber gets stdin, then the end of file, and the exit is 0" {
	head -c 3000000 /dev/urandom >data
	fanout --min-clients=5 <data 2>err
	run -0 python3 "$PEER" crowd "$port" 5 data
	equal "$output" "5 complete"
	ended "$server" 0
	equal "$(<err)" ""
}

@test "the last record needs no newline" {
	printf 'one\ntwo' >data
	fanout --min-clients=2 <data
	subscribe got1
	run -0 mc connect 127.0.0.1 "$port" </dev/null
	equal "$output" $'one\ntwo'
	ended "$server" 0
	ended "$pid" 0
	cmp data got1
}

@test "empty input: the end of file only" {
	fanout </dev/null
	run -0 mc connect -d 127.0.0.1 "$port"
	equal "$output" ""
	ended "$server" 0
}

@test "--min-clients holds the input back until so many are there" {
	echo hello >data
	fanout -v --min-clients=3 <data 2>err
	subscribe got1
	subscribe got2
	eventually lines_with 2 accepted err
	[ ! -s got1 ] && [ ! -s got2 ]
	kill -0 "$server"
	run -0 mc connect 127.0.0.1 "$port" </dev/null
	equal "$output" hello
	ended "$server" 0
	cmp data got1
	cmp data got2
}

@test "without --min-clients the input waits for the first" {
	echo hello >data
	fanout <data
	run -0 mc connect 127.0.0.1 "$port" </dev/null
	equal "$output" hello
	ended "$server" 0
	run -0 mc fanout --min-clients=0 127.0.0.1 0 <data
}

@test "a live line goes on at once, and who leaves or resets disturbs nobody" {
	mkfifo feed
	exec 4<>feed
	fanout -v <feed 2>err
	subscribe got1
	local first=$pid
	subscribe got2
	local second=$pid
	eventually lines_with 2 accepted err
	echo one >&4
	eventually holds got1 one
	eventually holds got2 one
	kill -KILL "$first"
	ended "$first" 137
	echo two >&4
	eventually holds got2 $'one\ntwo'
	subscribe got3
	eventually lines_with 3 accepted err
	echo three >&4
	exec 4>&-
	ended "$server" 0
	ended "$second" 0
	ended "$pid" 0
	equal "$(<got2)" $'one\ntwo\nthree'
	equal "$(<got3)" three
}

@test "a late subscriber starts at a record boundary" {
	mkfifo feed
	exec 4<>feed
	fanout -v <feed 2>err
	subscribe got1
	eventually lines_with 1 accepted err
	printf 'one\nhalf of ' >&4
	eventually grep -q one got1
	subscribe late
	eventually lines_with 2 accepted err
	printf 'two\nthree\n' >&4
	exec 4>&-
	ended "$server" 0
	ended "$pid" 0
	# the record that was under way, as a whole or not at all
	[ "$(<late)" = three ] || equal "$(<late)" $'half of two\nthree'
	eventually holds got1 $'one\nhalf of two\nthree'
}

@test "--replay gives a late subscriber the last records, from a boundary" {
	mkfifo feed
	exec 4<>feed
	fanout -v --replay=1000 <feed 2>err
	subscribe got1
	printf 'this is line %d\n' {1000..1999} >data
	cat data >&4
	eventually cmp -s data got1
	subscribe late
	eventually grep -q 1999 late
	echo last >&4
	exec 4>&-
	ended "$server" 0
	ended "$pid" 0
	[[ $(head -1 late) =~ ^"this is line "1[0-9][0-9][0-9]$ ]]
	# 1000 bytes hold 55 lines of 18 bytes
	equal "$(wc -l <late)" 56
	echo last >>data
	tail -56 data | cmp - late
}

@test "--replay of a short history gives all of it" {
	mkfifo feed
	exec 4<>feed
	fanout --replay=1M <feed
	subscribe got1
	printf 'one\ntwo\n' >&4
	eventually holds got1 $'one\ntwo'
	subscribe late
	eventually holds late $'one\ntwo'
	echo three >&4
	exec 4>&-
	ended "$server" 0
	ended "$pid" 0
	equal "$(<late)" $'one\ntwo\nthree'
}

@test "--from: the input is dialled" {
	head -c 500000 /dev/urandom >data
	begin listen -v --port-file source 127.0.0.1 0 <data
	local source
	source=$(port_of source)
	fanout --from=127.0.0.1:"$source" -v --min-clients=3 2>err
	run -0 python3 "$PEER" crowd "$port" 3 data
	ended "$server" 0
	grep -q "^muxcat: closed 127.0.0.1:$source: 500000 bytes in, 0 bytes out, .*, end of file$" err
}

@test "--from: the input is dialled at a Unix socket" {
	needs_unix_sockets
	head -c 500000 /dev/urandom >data
	begin listen unix:source.socket <data
	eventually accepts source.socket
	fanout --from=unix:source.socket
	run -0 python3 "$PEER" crowd "$port" 1 data
	ended "$server" 0
}

@test "--from that refuses is an error" {
	run -1 mc fanout --from=127.0.0.1:1 127.0.0.1 0
	equal "$output" "muxcat: connect 127.0.0.1:1: Connection refused"
}

@test "--from a Unix socket that is not there is an error" {
	needs_unix_sockets
	run -1 mc fanout --from=unix:nobody 127.0.0.1 0
	equal "$output" "muxcat: connect unix:nobody: No such file or directory"
}

@test "--broker: what one sends goes to all others, not to itself" {
	mkfifo feed1 feed2
	exec 4<>feed1
	exec 5<>feed2
	fanout -v --broker </dev/null 2>err
	begin connect 127.0.0.1 "$port" <feed1 >got1
	begin connect 127.0.0.1 "$port" <feed2 >got2
	subscribe got3
	local third=$pid
	eventually lines_with 3 accepted err
	echo "from one" >&4
	eventually holds got2 "from one"
	eventually holds got3 "from one"
	echo "from two" >&5
	eventually holds got1 "from two"
	eventually holds got3 $'from one\nfrom two'
	equal "$(<got2)" "from one"
	kill "$third"
	echo again >&4
	eventually holds got2 $'from one\nagain'
	stop "$server"
}

@test "--chat: each line carries its user, and halves of lines do not mix" {
	mkfifo feed1 feed2
	exec 4<>feed1
	exec 5<>feed2
	fanout -v --chat </dev/null 2>err
	begin connect 127.0.0.1 "$port" <feed1 >got1
	eventually lines_with 1 accepted err
	begin connect 127.0.0.1 "$port" <feed2 >got2
	eventually lines_with 2 accepted err
	subscribe got3
	eventually lines_with 3 accepted err
	printf 'hel' >&4
	printf 'good ' >&5
	printf 'lo\n' >&4
	eventually grep -q lo got3
	printf 'day\nbye\n' >&5
	eventually grep -q bye got3
	[[ $(<got3) =~ ^"<user"([0-9]+)"> hello"$'\n'"<user"([0-9]+)"> good day"$'\n'"<user"([0-9]+)"> bye"$ ]]
	[ "${BASH_REMATCH[1]}" != "${BASH_REMATCH[2]}" ]
	equal "${BASH_REMATCH[3]}" "${BASH_REMATCH[2]}"
	eventually lines_with 2 user got1
	equal "$(<got2)" "<user${BASH_REMATCH[1]}> hello"
}

# Subscribers of every kind: TCP, UDP, and the addresses given.
dials_subscribers() {
	local address
	printf 'line %d\n' {1..50} >data
	begin listen -d --port-file tcp 127.0.0.1 0 >got.tcp
	begin listen -d -u --port-file udp 127.0.0.1 0 >got.udp
	for address; do
		begin listen -d "$address" >"got.${address%%:*}"
		eventually accepts "${address#*:}"
	done
	run -0 mc fanout --to=127.0.0.1:"$(port_of tcp)" "${@/#/--to=}" --to=udp:127.0.0.1:"$(port_of udp)" <data
	equal "$output" ""
	for address in got.*; do
		eventually cmp -s data "$address"
	done
}

@test "--to dials its subscribers: tcp and udp" {
	dials_subscribers
}

@test "--to dials its subscribers: tcp, unix and udp" {
	needs_unix_sockets
	dials_subscribers unix:socket
}

@test "--to half-closes its subscribers at the end, and waits for a slow start" {
	head -c 4000000 /dev/urandom >data
	begin listen --port-file tcp 127.0.0.1 0 >got1 </dev/null
	local first=$pid
	mc fanout --to=127.0.0.1:"$(port_of tcp)" <data
	ended "$first" 0
	cmp data got1
}

@test "--to one that refuses is an error" {
	run -1 mc fanout --to=127.0.0.1:1 <<<hello
	equal "${lines[0]}" "muxcat: connect 127.0.0.1:1: Connection refused"
}

@test "a Unix socket serves subscribers" {
	needs_unix_sockets
	head -c 500000 /dev/urandom >data
	begin fanout --min-clients=2 unix:socket <data
	server=$pid
	eventually accepts socket
	begin connect unix:socket </dev/null >got1
	mc connect unix:socket </dev/null >got2
	ended "$server" 0
	ended "$pid" 0
	cmp data got1
	cmp data got2
	[ ! -e socket ]
}

@test "datagrams have no subscribers, only --to sends them" {
	run -2 mc fanout -u 127.0.0.1 0 </dev/null
	equal "${#lines[@]}" 1
	[[ $output == "muxcat: "*--to* ]]
}

@test "800 subscribers get everything" {
	printf 'this is line %d\n' {1..2000} >data
	fanout --min-clients=800 <data 2>err
	run -0 python3 "$PEER" crowd "$port" 800 data
	equal "$output" "800 complete"
	ended "$server" 0
	equal "$(<err)" ""
}

@test "--slow=wait: one that never reads is cut off after --stall, and the others get everything" {
	head -c 20000000 /dev/zero | tr '\0' '\n' >data
	fanout --slow=wait --stall=1 --min-clients=4 -O 64k <data 2>err
	local before=${EPOCHREALTIME/./}
	run -0 python3 "$PEER" stuck "$port" 3 data
	local took=$((${EPOCHREALTIME/./} - before))
	equal "$output" "3 complete"
	[ $took -ge 900000 ]
	ended "$server" 0
	equal "$(wc -l <err)" 1
	[[ $(<err) == "muxcat: 127.0.0.1:"*": cut off, it took nothing for 1 s" ]]
}

@test "--slow=wait: the input waits for the slowest, who gets everything" {
	head -c 8000000 /dev/urandom >data
	mkfifo unread
	exec 4<>unread
	fanout --stall=20 --min-clients=2 --queue=64k -O 64k -v <data 2>err
	begin connect -I 64k 127.0.0.1 "$port" </dev/null >unread
	local slow=$pid
	begin connect 127.0.0.1 "$port" </dev/null >got
	local fast=$pid
	eventually test -s got
	# the fast one has come to a stop, far from the end
	local size=-1
	settled() {
		local was=$size
		size=$(stat -c %s got)
		[ "$size" = "$was" ] && read -rt 0.2 <> <(:)
		[ "$(stat -c %s got)" = "$was" ]
	}
	eventually settled
	[ "$(stat -c %s got)" -lt 4000000 ]
	kill -0 "$server"
	cat unread >got.slow 4>&- &
	local reader=$!
	started+=("$reader")
	eventually test -s got.slow
	exec 4>&-
	ended "$server" 0
	ended "$fast" 0
	ended "$slow" 0
	wait "$reader"
	cmp data got
	cmp data got.slow
}

# Four readers and one that never reads, of a live source: $1 is the policy.
live() {
	mkfifo feed
	exec 4<>feed
	fanout -v --slow="$1" --queue=6M -O 64k --min-clients=5 <feed 2>err
	# slow enough for the queue to bear a reader that a busy machine holds up for three seconds
	python3 "$PEER" pace 2 5 >feed 2>paced 3>&- 4>&- &
	started+=($!)
	local pacer=$!
	python3 "$PEER" live "$port" 4 >seen 3>&- 4>&- &
	local reader=$!
	started+=("$reader")
	wait "$pacer"
	exec 4>&-
	wait "$reader"
	cat paced seen
	ended "$server" 0
	grep -q "^complete 4 lines 10000$" seen
	local delay took
	delay=$(sed -n 's/^delay \(.*\) ms/\1/p' seen)
	took=$(sed -n 's/^10000 lines in \(.*\) s/\1/p' paced)
	awk "BEGIN { exit !($delay / 1000 < $took / 2) }"
}

@test "--slow=close: one that never reads is cut off at once, the others notice nothing" {
	live close
	# it is cut off before the end: a reset, or an early end of file
	[[ $(tail -1 seen) =~ ^slow\ ([0-9]+)\ (reset|end|whole)$ ]]
	[ "${BASH_REMATCH[1]}" -lt 8500 ]
	grep -v -e accepted -e listening err
	eventually lines_with 5 "^muxcat: closed" err
}

@test "--slow=drop: one that never reads misses whole records, counted, the others notice nothing" {
	live drop
	[[ $(tail -1 seen) =~ ^slow\ ([0-9]+)\ whole$ ]]
	[ "${BASH_REMATCH[1]}" -gt 0 ] && [ "${BASH_REMATCH[1]}" -lt 8500 ]
	# what is told to be dropped and what came is everything
	grep -E "(dropped|skipped)" err
	grep -qw $((10000 - BASH_REMATCH[1])) err
}

@test "--slow=drop and close read no faster than the fastest takes it" {
	# from a file, all are as fast as they can: nobody is cut off or misses a byte
	printf 'this is line %d\n' {1..200000} >data
	local policy
	for policy in drop close; do
		fanout --slow=$policy --min-clients=1 --queue=64k <data 2>err
		run -0 mc connect 127.0.0.1 "$port" </dev/null
		[ "$output" = "$(<data)" ]
		ended "$server" 0
		equal "$(<err)" ""
	done
}

@test "-m: a subscriber beyond is served once one has left" {
	mkfifo feed
	exec 4<>feed
	fanout -v -m 1 <feed 2>err
	subscribe got1
	local first=$pid
	echo one >&4
	eventually holds got1 one
	subscribe got2
	echo two >&4
	eventually holds got1 $'one\ntwo'
	lines_with 1 accepted err
	kill "$first"
	eventually eval 'echo more >&4; lines_with 2 accepted err'
	echo last >&4
	exec 4>&-
	ended "$server" 0
	ended "$pid" 0
	equal "$(tail -1 got2)" last
	lines_with 0 one got2
}

@test "a subscriber that has left frees its place, though nothing was sent to find out" {
	needs_unix_sockets
	begin fanout --chat -v -m 1 unix:socket 2>err
	eventually accepts socket
	run -0 mc connect -z unix:socket
	begin connect -d unix:socket >got
	eventually lines_with 2 accepted err
}
