#!/usr/bin/env bats
# Many clients, at the same time and one after the other: all are served, and nothing is left over.

load helper

@test "500 clients at the same time, each 1,000 round trips: none is lost" {
	local trips=1000
	! on_windows || own_wine # whose server nobody else keeps busy
	start echo --port-file port 127.0.0.1 0 </dev/null >out 2>err
	timeout "$AT_MOST" "$MUXCAT_BUILD/loads/round_trips" "$(port_of port)" 0 500 $((500 * trips)) 64 <<<go >trips 3>&-
	cat trips
	grep -q ^done trips
	[ ! -s err ]
	stop "$pid"
}

# The process that keeps Wine's handles, if it is Wine that runs the program.
keeper() {
	! on_windows || pgrep -f "^/usr/lib/wine/wineserver64" -u "$(id -u)" |
		while read -r pid; do
			tr '\0' '\n' <"/proc/$pid/environ" | grep -q "^WINEPREFIX=$WINEPREFIX\$" && echo "$pid"
		done
}

@test "listen -k: 10,000 clients in turn leave no descriptor and no memory behind" {
	[[ ! $MUXCAT_BUILD =~ asan|tsan ]] || skip "a sanitizer keeps what is freed, and has its own word on leaks"
	local status=0
	! on_windows || own_wine # with the handles of nobody else
	start listen -k --port-file port 127.0.0.1 0 </dev/null >out 2>err
	# shellcheck disable=SC2046 # a list of process ids
	timeout "$AT_MOST" python3 -B "$BATS_TEST_DIRNAME/peers/in_turn.py" "$(port_of port)" 10000 \
		"$pid" $(keeper) 3>&- || status=$?
	equal "$status" 0
	eventually lines_with 10000 client out
	[ ! -s err ]
	stop "$pid"
}
