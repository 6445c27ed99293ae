#!/usr/bin/env bats
# stdin and stdout of every kind: what passes is complete, and they are left as they were found.

load helper
export MUXCAT MUXCAT_FLAGS

SIZE=300000

# A peer that reads to the end into the file asked, then sends the pattern and ends. Its port is
# in $port, its process in $server. The file pattern holds the same.
answering() {
	peer listen port read-eof flood=$SIZE >asked
	server=$pid
	port=$(port_of port)
	seq -f '%015.0f' 0 20000 | head -c $SIZE >pattern
}

one_line() {
	cat err
	[ "$(wc -l <err)" = 1 ]
	grep -q "^muxcat: .*$1" err
}

# The peer has got what it was sent, and has ended well.
asked() {
	status_of "$server"
	equal "$status" 0
	cmp "$1" asked
}

@test "regular files: complete both ways" {
	answering
	head -c $SIZE /dev/urandom >file
	mc connect 127.0.0.1 "$port" <file >out
	cmp pattern out
	asked file
}

@test "a regular file from amid it: complete, and left at its end" {
	answering
	seq 400000 >file
	{
		read -r _
		mc connect 127.0.0.1 "$port" >out
		run -1 read -r _
	} <file
	cmp pattern out
	asked <(tail -n +2 file)
}

# 1 MiB of a file is being sent, less than is mapped at a time, to a peer that has read one byte and
# goes on once `go` is there; muxcat's process id is in $pid.
amid_a_file() {
	head -c 1M /dev/urandom >file
	peer listen port read=1 mark=begun await=go read-eof >asked
	server=$pid
	begin connect -O 4k 127.0.0.1 "$(port_of port)" <file >out 2>err
	eventually test -e begun
}

@test "a regular file that becomes longer while it is sent: complete" {
	amid_a_file
	head -c 1M /dev/urandom >>file
	touch go
	ended "$pid" 0
	asked file
}

@test "a regular file that becomes shorter while it is sent: an error, and no end for the peer" {
	not_on_windows "files are read there, not mapped"
	local size
	for size in 0 500000 1048000; do
		rm -f begun go port
		amid_a_file
		truncate -s $size file
		touch go
		ended "$pid" 1
		equal "$(<err)" "muxcat: stdin: the file became shorter while it was sent"
		status_of "$server"
		equal "$status" 1
	done
}

@test "a regular file that becomes shorter, and a stop: no zeros with an end behind them" {
	not_on_windows "files are read there, not mapped"
	amid_a_file
	truncate -s 1048000 file
	kill -TERM "$pid"
	touch go
	ended "$pid" 143
	status_of "$server"
	equal "$status" 1
}

@test "a regular file with holes: complete, and not filled" {
	not_on_windows "du"
	local sparse
	answering
	sparse=$(mktemp -p /dev/shm)
	truncate -s 8M "$sparse"
	echo hello >>"$sparse"
	local blocks
	blocks=$(stat -c %b "$sparse")
	mc connect 127.0.0.1 "$port" <"$sparse" >out
	cp --sparse=always "$sparse" file
	equal "$(stat -c %b "$sparse")" "$blocks"
	rm "$sparse"
	asked file
}

# Sends a file of 4 MiB while strace(1) lets calls fail, as its options say.
send_injected() {
	head -c 4M /dev/urandom >file
	# shellcheck disable=SC2086 # a list of options
	ASAN_OPTIONS=detect_leaks=0 timeout -k 1 "$PATIENCE" strace -o trace "$@" \
		"$MUXCAT" $MUXCAT_FLAGS connect 127.0.0.1 "$port" <file >out 2>err
}

@test "a regular file that cannot be mapped is read" {
	not_on_windows "strace"
	answering
	send_injected -P file -e inject=mmap:error=ENODEV
	grep -q 'mmap.*INJECTED' trace
	asked file
}

@test "a regular file whose page cannot be read from the disk: an error, and no end for the peer" {
	not_on_windows "strace"
	local status=0
	answering
	send_injected -e inject=sendto:error=EFAULT:when=2+ || status=$?
	grep -q 'sendto.*INJECTED' trace
	equal "$status" 1
	equal "$(<err)" "muxcat: stdin: Input/output error"
	status_of "$server"
	equal "$status" 1
}

@test "a regular file that two read from: each byte goes to one of them" {
	local n ports=() servers=()
	seq -f '%015.0f' 0 1000000 >file
	for n in 1 2; do
		rm -f port
		peer listen port read-eof >asked$n
		servers+=("$pid")
		ports+=("$(port_of port)")
	done
	{
		start connect 127.0.0.1 "${ports[0]}" >out
		local first=$pid
		mc connect 127.0.0.1 "${ports[1]}" >out
	} <file
	ended "$first" 0
	ended "${servers[0]}" 0
	ended "${servers[1]}" 0
	sort asked1 asked2 | cmp - file
}

@test "pipes that do not fill stay as big as they were" {
	not_on_windows "F_GETPIPE_SZ"
	peer listen port read=6 send=answer read-eof
	mkfifo feed answer
	exec 4<>feed 5<>answer
	begin connect 127.0.0.1 "$(port_of port)" <feed >answer
	echo hello >&4
	head -c 6 <&5
	for fd in 4 5; do
		equal "$(python3 -c "import fcntl; print(fcntl.fcntl($fd, 1032))")" 65536
	done
	kill "$pid"
}

@test "pipes: complete both ways" {
	answering
	head -c $SIZE /dev/urandom >file
	dd if=file bs=777 status=none | mc connect 127.0.0.1 "$port" | cat >out
	cmp pattern out
	asked file
}

@test "stdin a named pipe with several writers: complete" {
	answering
	mkfifo fifo
	{
		echo one
		(echo two)
		echo three
	} >fifo 3>&- &
	started+=("$!")
	mc connect 127.0.0.1 "$port" <fifo >out
	cmp pattern out
	asked <(printf 'one\ntwo\nthree\n')
}

@test "stdin a terminal: what is typed and its ^D arrive" {
	answering
	# shellcheck disable=SC2086
	driver on_pty --type $'one\ntwo\n^D' "$MUXCAT" $MUXCAT_FLAGS connect 127.0.0.1 "$port" >out
	cmp pattern out
	asked <(printf 'one\ntwo\n')
}

@test "stdout a terminal: complete" {
	peer listen port flood=$SIZE fin read-eof
	seq -f '%015.0f' 0 20000 | head -c $SIZE >pattern
	# shellcheck disable=SC2086
	driver on_pty --all "$MUXCAT" $MUXCAT_FLAGS connect 127.0.0.1 "$(port_of port)" >out
	cmp pattern out
}

@test "stdin /dev/null: the end at once, and the answer is heard" {
	answering
	mc connect 127.0.0.1 "$port" </dev/null >out
	cmp pattern out
	asked /dev/null
}

@test "stdout /dev/null: exit 0" {
	answering
	echo question >file
	mc connect 127.0.0.1 "$port" <file >/dev/null
	asked file
}

@test "stdin an endless device: sent for as long as the peer reads" {
	peer listen port read=2000000 reset >asked
	status=0
	mc connect 127.0.0.1 "$(port_of port)" </dev/zero >out 2>err || status=$?
	equal "$status" 1
	one_line
	cmp <(head -c 2000000 /dev/zero) asked
}

@test "stdin closed: the end at once, and the answer is heard" {
	not_on_windows "closed descriptors"
	answering
	mc connect 127.0.0.1 "$port" <&- >out
	cmp pattern out
	asked /dev/null
}

@test "listen, stdin closed: the end at once, and the answer is heard" {
	not_on_windows "closed descriptors"
	# shellcheck disable=SC2086
	"$MUXCAT" $MUXCAT_FLAGS listen --port-file=port 127.0.0.1 0 <&- >out 3>&- &
	local server=$!
	started+=("$server")
	peer dial "$(port_of port)" read-eof send=answer >asked
	status_of "$server"
	equal "$status" 0
	equal "$(<out)" answer
	[ ! -s asked ]
}

@test "stdout closed: exit 1 and one line when data arrives" {
	not_on_windows "closed descriptors"
	answering
	echo question >file
	status=0
	mc connect 127.0.0.1 "$port" <file >&- 2>err || status=$?
	equal "$status" 1
	one_line
	# it was neither lost nor answered with what came in
	status_of "$server" || true
	head -c 9 asked | cmp - file
	equal "$(wc -c <asked)" 9
}

@test "stdout closed: exit 0 when no data arrives" {
	not_on_windows "closed descriptors"
	peer listen port read-eof >asked
	server=$pid
	echo question >file
	mc connect 127.0.0.1 "$(port_of port)" <file >&-
	asked file
}

@test "stderr closed: no message gets into the connection or onto stdout" {
	not_on_windows "closed descriptors"
	answering
	echo question >file
	mc -vv connect 127.0.0.1 "$port" <file >out 2>&-
	cmp pattern out
	asked file
}

@test "all three closed: the end at once, and no message in the connection" {
	not_on_windows "closed descriptors"
	peer listen port read-eof >asked
	server=$pid
	mc -vv connect 127.0.0.1 "$(port_of port)" <&- >&- 2>&-
	asked /dev/null
}

@test "stdin a directory: one line, exit 1" {
	not_on_windows "directories to read from"
	peer listen port read-eof
	status=0
	mc connect 127.0.0.1 "$(port_of port)" </ >out 2>err || status=$?
	equal "$status" 1
	one_line 'Is a directory'
}

@test "stdin not open for reading: one line, exit 1" {
	peer listen port read-eof
	status=0
	mc connect 127.0.0.1 "$(port_of port)" 0>file >out 2>err || status=$?
	equal "$status" 1
	one_line 'Bad file descriptor'
}

@test "stdout not open for writing: one line, exit 1" {
	answering
	status=0
	mc connect 127.0.0.1 "$port" </dev/null 1</dev/null 2>err || status=$?
	equal "$status" 1
	one_line 'Bad file descriptor'
}

@test "stdout /dev/full: one line, exit 1" {
	answering
	status=0
	mc connect 127.0.0.1 "$port" </dev/null >/dev/full 2>err || status=$?
	equal "$status" 1
	one_line 'No space left on device'
}

@test "stdout /dev/full with a stdin that stays open: one line, exit 1" {
	peer listen port flood=$SIZE read-eof
	mkfifo quiet
	status=0
	mc connect 127.0.0.1 "$(port_of port)" <>quiet >/dev/full 2>err || status=$?
	equal "$status" 1
	one_line 'No space left on device'
}

# The status of a muxcat whose stdout's reader takes a byte and goes; SIGPIPE as the caller has it.
reader_goes() {
	mkfifo quiet
	{
		status=0
		mc connect 127.0.0.1 "$1" <>quiet 2>err || status=$?
		echo "$status" >status
	} | head -c 1 >out
	equal "$(<out)" 0
}

@test "stdout's reader goes away: ends by SIGPIPE, silently" {
	not_on_windows "SIGPIPE"
	peer listen port repeat=10000,flood=4096
	# whatever SIGPIPE is here, python gives its child the default
	port_of port
	mkfifo quiet
	# shellcheck disable=SC2086,SC2016
	python3 -c 'import subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
process.stdout.read(1)
process.stdout.close()
print(process.wait(20))' "$MUXCAT" $MUXCAT_FLAGS connect 127.0.0.1 "$(<port)" <>quiet >out 2>err
	equal "$(<out)" -13
	[ ! -s err ]
}

@test "stdout's reader goes away, with SIGPIPE ignored: one line, exit 1" {
	peer listen port repeat=10000,flood=4096
	trap '' PIPE
	reader_goes "$(port_of port)"
	equal "$(<status)" 1
	one_line 'Broken pipe'
}

@test "stdout a file opened for appending: what it held is kept" {
	answering
	echo before >out
	mc connect 127.0.0.1 "$port" </dev/null >>out
	cmp <(echo before && cat pattern) out
}

@test "stdout a file shared with other commands: each goes on where the last one ended" {
	answering
	{
		echo before
		mc connect 127.0.0.1 "$port" </dev/null
		echo after
	} >out
	cmp <(echo before && cat pattern && echo after) out
}

@test "stdin a file of which a part is read: only the rest is sent" {
	answering
	printf 'one\ntwo\nthree\n' >file
	{
		read -r _
		mc connect 127.0.0.1 "$port" >out
	} <file
	asked <(printf 'two\nthree\n')
}

# The flags of shared descriptions, before, during and after; a stdout that nobody reads

@test "connect: pipes are left as they are, and a full stdout does not stop stdin" {
	driver stdio_case connect pipe
}

@test "connect: sockets are left as they are, and a full stdout does not stop stdin" {
	driver stdio_case connect socket
}

@test "connect: one socket for both is left as it is, and being full does not stop stdin" {
	driver stdio_case connect one-socket
}

@test "connect: a terminal is left as it is, and being full does not stop stdin" {
	not_on_windows "flags of a shared terminal"
	driver stdio_case connect pty
}

@test "listen: pipes are left as they are, and a full stdout does not stop stdin" {
	driver stdio_case listen pipe
}

@test "listen: sockets are left as they are, and a full stdout does not stop stdin" {
	driver stdio_case listen socket
}

@test "listen: one socket for both is left as it is, and being full does not stop stdin" {
	driver stdio_case listen one-socket
}

@test "listen: a terminal is left as it is, and being full does not stop stdin" {
	not_on_windows "flags of a shared terminal"
	driver stdio_case listen pty
}
