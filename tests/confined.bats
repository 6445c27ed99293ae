#!/usr/bin/env bats
# What a muxcat that has begun its work cannot do any more, by trying it in the process.

load helper

setup() {
	begin_test
	not_on_windows "seccomp filters"
	case $MUXCAT_BUILD in *asan | *tsan) skip "a sanitizer's build is not confined" ;; esac
	cp "$MUXCAT_BUILD/attempts.so" .
}

# begin, with attempts.c; what it can at its start is looked at.
begin_trying() {
	rm -f attempts
	ATTEMPTS=attempts LD_PRELOAD=$PWD/attempts.so begin "$@"
	eventually grep -qs end attempts
	! grep -E 'EPERM|ENOSYS' attempts
}

# Has a process try again; what came of it is in the file attempts.
try() {
	: >attempts
	kill -USR2 "$1"
	eventually grep -q end attempts
}

# So many filters have been set up in a process.
has_filters() {
	grep -q "^Seccomp_filters:.$2\$" "/proc/$1/status"
}

# Nothing is left to a process but what muxcat does, in whatever thread.
confined() {
	eventually has_filters "$1" 2
	try "$1"
	equal "$(grep -v EPERM attempts)" "clone3 ENOSYS
openat2 ENOSYS
read done
unlink ENOENT
end"
	grep -qx "execve EPERM" attempts
	equal "$(cat /proc/"$1"/task/*/status | grep -E '^(NoNewPrivs|Seccomp):' | sort -u | tr -s '\t\n' ' ')" \
		"NoNewPrivs: 1 Seccomp: 2 "
}

serves_confined() {
	rm -f port
	begin_trying "$@" --port-file port 127.0.0.1 0 </dev/null >out
	port=$(port_of port)
	confined "$pid"
}

@test "who has been served has been so by a confined process" {
	begin_trying echo --port-file port 127.0.0.1 0
	run -0 mc connect 127.0.0.1 "$(port_of port)" <<<hello
	has_filters "$pid" 2
}

@test "servers are confined" {
	local command
	for command in echo "echo --threads=3" "echo -u" "listen -k" "listen -ku" "listen --to=127.0.0.1:1" fanout \
		"fanout --broker"; do
		serves_confined $command
		stop "$pid"
	done
	begin_trying echo unix:socket
	eventually accepts socket
	confined "$pid"
	stop "$pid"
	[ ! -e socket ] # which it still can remove
}

@test "fanout that dials is confined" {
	mkfifo feed
	exec 4<>feed
	server echo
	begin_trying fanout --to=127.0.0.1:"$port" -v <feed 2>err
	eventually grep -q connected err
	confined "$pid"
	begin_trying fanout --from=127.0.0.1:"$port" -v 127.0.0.1 0 2>err
	eventually grep -q connected err
	confined "$pid"
}

@test "listen and connect are confined once they have opened stdin and stdout" {
	mkfifo feed feed2 back
	exec 4<>feed 5<>back 6<>feed2
	rm -f port
	begin_trying listen --port-file port 127.0.0.1 0 <feed >back
	local listen=$pid line
	port=$(port_of port)
	eventually has_filters "$listen" 1
	try "$listen"
	grep -qx "execve EPERM" attempts
	grep -qx "write done" attempts
	begin connect 127.0.0.1 "$port" <<<hello >/dev/null
	read -ru 5 -t "$PATIENCE" line
	equal "$line" hello
	confined "$listen"

	server echo
	begin_trying connect 127.0.0.1 "$port" <feed2 >back
	local connect=$pid
	echo again >&6
	read -ru 5 -t "$PATIENCE" line
	equal "$line" again
	confined "$connect"
}

@test "TLS and look-ups work in a confined process" {
	needs_tls
	server echo --tls 2>err
	local echo=$port
	rm -f port
	begin_trying listen -k --to=tls:localhost:"$echo" --insecure --port-file port 127.0.0.1 0 2>err.relay
	port=$(port_of port)
	run -0 mc connect 127.0.0.1 "$port" <<<hello
	equal "$output" hello
	confined "$pid"
	run -0 mc connect 127.0.0.1 "$port" <<<again
	equal "$output" again
}

@test "where the kernel has no filters it works without, and -vv tells" {
	local child
	strace -f -qq -o /dev/null -e trace=seccomp -e inject=seccomp:error=ENOSYS \
		"$MUXCAT" $MUXCAT_FLAGS echo -vv --port-file port 127.0.0.1 0 </dev/null 2>err 3>&- &
	pid=$!
	started+=("$pid")
	run -0 mc connect 127.0.0.1 "$(port_of port)" <<<hello
	read -r child _ <"/proc/$pid/task/$pid/children" || true
	kill "$child"
	ended_by TERM "$pid"
	equal "$output" hello
	equal "$(grep -c confined err)" 1
	grep -qx "muxcat: not confined: Function not implemented" err
}

@test "connect -z reads nothing, and pays for no filter" {
	server echo
	strace -f -qq -o trace -e trace=prctl,seccomp "$MUXCAT" $MUXCAT_FLAGS connect -z 127.0.0.1 "$port"
	equal "$(cut -d ' ' -f 2- trace | tr -d ' ')" "prctl(PR_SET_NO_NEW_PRIVS,1,0,0,0)=0"
}
