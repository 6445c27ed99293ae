#!/usr/bin/env bats
# What waits costs nothing: there is no polling period, and no event that comes again and again.

load helper
export MUXCAT MUXCAT_FLAGS

@test "connect: nothing wakes it while nothing moves" {
	driver quiet connect idle
}

@test "listen: nothing wakes it while nothing moves" {
	driver quiet listen idle
}

@test "a send that is blocked wakes nobody after the peer's end" {
	driver quiet connect ended
}

@test "a send that is blocked wakes nobody after urgent data" {
	driver quiet connect urgent
}
