#!/usr/bin/env bats
# muxcat's own instructions do not become more by the way: bench/bench.py instructions records them.

load helper

# A round trip's instructions are at most 1.05 times those recorded.
no_more_than_recorded() {
	case $MUXCAT_BUILD in *asan | *tsan | *no-tls) skip "recorded for the build that is installed" ;; esac
	not_on_windows "valgrind"
	run -0 driver instructions "$1" "${MUXCAT_FLAGS#--backend=}"
	echo "$1, now and recorded: $output"
	[[ $output != recorded* ]] || skip "$output"
	awk -v figures="$output" 'BEGIN { split(figures, f); exit !(f[1] <= 1.05 * f[2]) }'
}

@test "echo: the instructions of a round trip" {
	no_more_than_recorded echo
}

@test "relay: the instructions of a round trip" {
	no_more_than_recorded relay
}
