# Clients that come, talk and leave at random, for some seconds; make soak does it for minutes.

load helper

@test "whatever clients do: each byte is accounted for, and nothing is left of them" {
	not_on_windows "/proc"
	MUXCAT=$MUXCAT MUXCAT_BUILD=$MUXCAT_BUILD MUXCAT_FLAGS=$MUXCAT_FLAGS \
		timeout "$AT_MOST" "$BATS_TEST_DIRNAME/soak/soak.py" 4 300 3>&-
}
