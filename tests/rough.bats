#!/usr/bin/env bats
# Peers that reset, dribble, flood, stop and die; a muxcat that stops and dies; a disk that is full.

load helper
export MUXCAT MUXCAT_FLAGS

rough() {
	timeout -k 1 "$AT_MOST" python3 -B "$BATS_TEST_DIRNAME/peers/rough.py" "$@" 3>&-
}

@test "a peer that resets after no, one or many bytes: what had come is written, one line, exit 1" {
	rough resets
}

@test "a peer that resets leaves an echo's and a fanout's others alone" {
	rough resets_beside_others
}

@test "a peer that dribbles, a byte at a time" {
	rough dribbles
}

@test "a peer that floods is held back, and has every byte back when it reads" {
	rough floods
}

@test "SIGSTOP and SIGCONT of both sides in mid-transfer lose nothing" {
	not_on_windows "SIGSTOP"
	rough stops_in_transfer
}

@test "SIGSTOP and SIGCONT of an echo lose nothing" {
	not_on_windows "SIGSTOP"
	rough stops_in_echo
}

@test "SIGSTOP and SIGCONT of a fanout and a subscriber lose nothing" {
	not_on_windows "SIGSTOP"
	rough stops_in_fanout
}

@test "a fanout that is stopped for longer than --stall cuts nobody off" {
	not_on_windows "SIGSTOP"
	rough stops_for_long
}

@test "a peer that is killed: what had come is written, and no hang" {
	not_on_windows "SIGKILL"
	rough peer_is_killed
}

@test "clients that are killed leave the others alone" {
	not_on_windows "SIGKILL"
	rough clients_are_killed
}

@test "a muxcat that is killed leaves no peer waiting" {
	not_on_windows "SIGKILL"
	rough muxcat_is_killed
}

@test "a muxcat that is killed leaves its Unix socket's file, which nobody removes unasked" {
	not_on_windows "SIGKILL"
	rough killed_at_a_file
}

# Runs a function of this file beside a disk of 64 KiB, `disk`.
with_a_small_disk() {
	local own=(unshare --mount)
	"${own[@]}" true 2>/dev/null || own=(unshare --mount --map-root-user)
	"${own[@]}" true 2>/dev/null || skip "mount namespaces need root"
	not_on_windows "mount namespaces"
	export -f mc start port_of eventually ended status_of equal peer full "${1?}"
	export BATS_TEST_DIRNAME
	mkdir disk
	run timeout -k 1 "$AT_MOST" "${own[@]}" bash -euc '
		mount -t tmpfs -o size=64k none disk
		started=()
		'"$1"
	echo "$output"
	[ "$status" -eq 0 ]
}

# What fits is there, and it is told: full FILE.
full() {
	cat err
	cmp -n 65536 "$1" pattern
	equal "$(stat -c %s "$1")" 65536
	equal "$(<err)" "muxcat: stdout: No space left on device"
}

connect_to_a_full_disk() {
	seq -f "%015.0f" 0 20000 >pattern
	peer listen port flood=300000 reset-follows
	local flood=$pid status=0
	mc connect -d 127.0.0.1 "$(port_of port)" >disk/file 2>err || status=$?
	equal $status 1
	full disk/file
	ended "$flood" 0
}

@test "connect, stdout on a disk that fills: what fits is there, one line, exit 1, and a reset" {
	with_a_small_disk connect_to_a_full_disk
}

listen_on_a_full_disk() {
	seq -f "%015.0f" 0 20000 >pattern
	local options
	for options in "" -k; do
		rm -f port disk/file
		start listen -d $options --port-file port 127.0.0.1 0 >disk/file 2>err
		local server=$pid
		peer dial "$(port_of port)" flood=300000 reset-follows
		local flood=$pid
		ended "$server" 1
		full disk/file
		ended "$flood" 0
	done
}

@test "listen, stdout on a disk that fills: what fits is there, one line, exit 1, and a reset" {
	with_a_small_disk listen_on_a_full_disk
}
