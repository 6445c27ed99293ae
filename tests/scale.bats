# What many clients cost a server. CPU times are compared within one run, best of several.

load helper

case_of() {
	case $MUXCAT_BUILD in
	*asan | *tsan) skip "a sanitizer's build costs what it costs" ;;
	esac
	! on_windows || own_wine # a server killed with many sockets can end Wine's, too
	MUXCAT=$MUXCAT MUXCAT_BUILD=$MUXCAT_BUILD MUXCAT_FLAGS=$MUXCAT_FLAGS \
		timeout "$AT_MOST" python3 "$BATS_TEST_DIRNAME/peers/scale.py" "$@" 3>&-
}

@test "10,000 idle clients take at most 1 KiB of resident memory each" {
	! has_fd_setsize || skip "select holds FD_SETSIZE descriptors"
	# Wine's select and WSAPoll take too long with more
	if on_windows && [[ $MUXCAT_FLAGS != *iocp* ]]; then case_of memory 3000; else case_of memory 10000; fi
}

@test "400 subscribers that are 4 MiB behind take hardly more memory than 10" {
	not_on_windows "smaps"
	case_of behind 400
}

@test "epoll and iocp: a round trip costs the same beside 10,000 idle clients" {
	[[ $MUXCAT_FLAGS =~ epoll|iocp ]] || skip "poll and select look at every descriptor"
	case_of flat 10000
}

@test "Linux's poll and select: a round trip costs more beside idle clients" {
	not_on_windows "the cost that is Linux's"
	[[ ! $MUXCAT_FLAGS =~ epoll|iocp ]] || skip "epoll and iocp do not"
	case_of grows 800
}

@test "a round trip takes at most 2.2 system calls, and no epoll_ctl" {
	[[ $MUXCAT_FLAGS == *epoll* ]] || skip "the promise is epoll's"
	case_of calls
}
