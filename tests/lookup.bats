# Names and addresses that do not answer, in a network namespace of the test's own: everything that
# is not on its loopback goes into a virtual cable for a neighbour that is not there.

load helper

# Runs a function of this file in such a namespace, with hosts(5) and resolv.conf(5) of its own.
in_namespace() {
	unshare --net --mount true 2>/dev/null || skip "network namespaces need root"
	printf '%s\n' '127.0.0.1 here both two' '::1 two' '2001:db8::1 both gone' '192.0.2.1 gone4' >hosts
	echo 'nameserver 192.0.2.53' >resolv.conf
	! on_windows || own_wine # in the namespace, as it has the sockets
	export -f mc start port_of eventually stop ended_by ended status_of equal on_windows "${1?}"
	export MUXCAT MUXCAT_FLAGS STOP BATS_TEST_DIRNAME
	# shellcheck disable=SC2016 # expanded inside
	run timeout "$AT_MOST" unshare --net --mount bash -euc '
		mount --bind hosts /etc/hosts
		mount --bind resolv.conf /etc/resolv.conf
		ip link set lo up
		ip link add nowhere type veth peer name nobody
		ip addr add 192.0.2.100/24 dev nowhere
		ip -6 addr add 2001:db8::100/64 dev nowhere nodad
		ip link set nowhere up
		ip link set nobody up
		for host in 192.0.2.1 192.0.2.7 192.0.2.53 2001:db8::1; do
			ip neigh add "$host" lladdr 02:00:00:00:00:01 dev nowhere nud permanent
		done
		started=()
		'"$1"
	echo "$output"
	[ "$status" -eq 0 ]
}

race() {
	start echo --port-file port 127.0.0.1 0
	port_of port
	before=$EPOCHREALTIME
	echo hello | mc connect -v both "$(cat port)" >out 2>err
	after=$EPOCHREALTIME
	kill "$pid"
	cat err
	grep -q '^muxcat: connected to 127\.0\.0\.1:' err
	[ "$(cat out)" = hello ]
	# the IPv6 attempt alone would go on for minutes; IPv4 got its turn 250 ms after it
	awk "BEGIN { exit !($after - $before > 0.2) }"
}

@test "of a name with an IPv6 address that does not answer and an IPv4 one that does, IPv4 wins" {
	in_namespace race
}

both_reached() {
	python3 "$BATS_TEST_DIRNAME/peers/both_reached.py" two
}

@test "of two addresses that are reached at the same time one gets the stream, the other a reset" {
	not_on_windows "SIGSTOP"
	in_namespace both_reached
}

no_answer() {
	local name status=0
	for name in gone gone4 192.0.2.7; do
		mc connect -w 0.5 "$name" 80 </dev/null 2>err || status=$?
		cat err
		[ "$status" = 3 ]
		[ "$(cat err)" = "muxcat: connect $name:80: timed out" ]
	done
}

@test "an address that does not answer: -w ends it, exit 3" {
	in_namespace no_answer
}

slow_lookup() {
	local status=0
	mc connect -w 0.5 nobody.knows.example 80 </dev/null 2>err || status=$?
	cat err
	[ "$status" = 3 ]
}

@test "the deadline holds over a name server that does not answer" {
	in_namespace slow_lookup
}

slow_target() {
	start listen -k --to nobody.knows.example:80 --port-file port 127.0.0.1 0
	port_of port
	# one client waits for the look-up; a second is accepted meanwhile, and the signal is heard
	mc connect -d 127.0.0.1 "$(cat port)" >/dev/null 2>&1 &
	mc connect -z 127.0.0.1 "$(cat port)"
	stop "$pid"
}

@test "a look-up under way stops no other connection, and no signal" {
	in_namespace slow_target
}

threads() {
	start echo -vv --threads=3 --port-file port two 0 2>err
	port=$(port_of port)
	for address in 127.0.0.1 ::1; do
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			[ "$(echo hello | mc connect $address "$port")" = hello ]
		done
	done
	stop "$pid"
	cat err
	[ "$(grep -c "has served" err)" = 3 ]
	! grep -q "has served 20 " err
}

@test "of a name with two addresses, each thread of a server listens on both" {
	in_namespace threads
}
