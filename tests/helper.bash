# Loaded by every test file. MUXCAT_BUILD is the build folder, MUXCAT_FLAGS the backend's options.
#
# The rules: no sleep to wait for something, no fixed port, every process started is waited for or
# ended by its id, everything is written below $BATS_TEST_TMPDIR.

bats_require_minimum_version 1.5.0

MUXCAT_BUILD=${MUXCAT_BUILD:-$BATS_TEST_DIRNAME/../build}
MUXCAT=${MUXCAT_EXE:-$MUXCAT_BUILD/muxcat} # on Windows a script that runs it under Wine
MUXCAT_FLAGS=${MUXCAT_FLAGS:---backend=epoll}

# Every wait for something ends after this many seconds, and whatever a test runs after $AT_MOST: so many
# that only a hang takes them, on a machine that is shared, too. Wine takes 7 s for 64 MiB alone, and a
# minute beside three more on its processor.
PATIENCE=${PATIENCE:-${MUXCAT_EXE:+240}}
export PATIENCE=${PATIENCE:-120}
export AT_MOST=$((${BATS_TEST_TIMEOUT:-270} - 20))

setup_file() {
	! on_windows || begin_wine
}

teardown_file() {
	! on_windows || end_wine
}

setup() {
	begin_test
}

begin_test() {
	cd "$BATS_TEST_TMPDIR" || return 1
	started=()
	BATS_TEST_RETRIES=${RETRIES:-0}
	# Wine loses a program's last words now and then (1 test in 600): check.sh shows each of those
	! on_windows || BATS_TEST_RETRIES=1
}

teardown() {
	local pid
	for pid in "${started[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ -z "${has_own_wine:-}" ] || end_wine
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 ./*err* 2>/dev/null || true # of a test that failed
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tell_of_retry
	# what a sanitizer has to say fails the test
	if grep -lE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:' ./*err* 2>/dev/null; then
		cat ./*err*
		return 1
	fi
}

tell_of_retry() {
	[ "${BATS_TEST_TRY_NUMBER:-2}" -le "${BATS_TEST_RETRIES:-0}" ] && [ -n "${results:-}" ] || return 0
	{
		echo "$MUXCAT_FLAGS, $(basename "$BATS_TEST_FILENAME"): $BATS_TEST_DESCRIPTION"
		tail -n 15 "$BATS_OUT" | sed 's/^/    /'
	} >>"$results/tried-again"
}

# muxcat with the backend under test. Bounded, so that a hang is a failure.
mc() {
	# shellcheck disable=SC2086 # a list of options
	timeout -k 1 "$PATIENCE" "$MUXCAT" $MUXCAT_FLAGS "$@"
}

# Runs a command in the background, with its own stdin, stdout and stderr as redirected by the
# caller; its process id is in $pid. `status PID` waits for it.
start() {
	# shellcheck disable=SC2086
	"$MUXCAT" $MUXCAT_FLAGS "$@" <&0 3>&- &
	pid=$!
	started+=("$pid")
}

# Waits until a command succeeds.
eventually() {
	local deadline=$((SECONDS + PATIENCE))
	until "$@"; do
		if ((SECONDS >= deadline)); then
			echo "gave up waiting for: $*" >&2
			return 1
		fi
		read -rt 0.02 <> <(:) || true
	done
}

# The port of a server that was started with --port-file FILE.
port_of() {
	eventually test -s "$1"
	cat "$1"
}

# Waits for a started process to end, and gives its exit status in $status.
status_of() {
	local deadline=$((SECONDS + PATIENCE))
	while kill -0 "$1" 2>/dev/null && ((SECONDS < deadline)); do
		read -rt 0.02 <> <(:) || true
	done
	if kill -0 "$1" 2>/dev/null; then
		echo "process $1 has not ended" >&2
		status=still-running
		return 1
	fi
	status=0
	wait "$1" || status=$?
}

# The test's own assertion with a message.
equal() {
	if [ "$1" != "$2" ]; then
		echo "expected: $2" >&2
		echo "found:    $1" >&2
		return 1
	fi
}

# start, without the feeds of the test's shell (descriptors 4 to 6), so that closing one is its end.
begin() {
	start "$@" 4>&- 5>&- 6>&-
}

# Waits for a started process and checks its exit status.
ended() {
	local status
	status_of "$1"
	equal "$status" "$2"
}

# So many lines of a file hold a word.
lines_with() {
	[ "$(grep -c -- "$2" "$3")" = "$1" ]
}

# The Windows build is under test, run by Wine.
on_windows() {
	[ -n "${MUXCAT_EXE:-}" ]
}

# Makes a Wine of the one that check.sh set up, and has the muxcats run in it from here on.
make_wine() {
	mkdir "$1"
	cp -a "$MUXCAT_BUILD"/windows/wine/{*.reg,.update-timestamp,dosdevices} "$1"
	ln -s "$MUXCAT_BUILD/windows/wine/drive_c" "$1/drive_c"
	export WINEPREFIX=$1
}

# A file's tests have one, whose server and services stay from test to test.
begin_wine() {
	make_wine "$BATS_FILE_TMPDIR/wine"
	(
		close_descriptors
		exec </dev/null >/dev/null 2>&1
		timeout -k 1 "$PATIENCE" wineserver -p
		timeout -k 1 "$PATIENCE" "$MUXCAT" --version
	)
}

# All but stdin, stdout, stderr and the shell's own (255): bats waits for whoever has one of its own.
close_descriptors() {
	local fd
	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		((fd < 3 || fd == 255)) || exec {fd}>&-
	done
}

# Ends Wine's server, and what is left of its services where the server has crashed.
end_wine() {
	local environment pid
	timeout -k 1 "$PATIENCE" wineserver -k 3>&- || true # which may have gone already
	while read -r environment; do
		pid=${environment//[!0-9]/}
		[[ $(readlink "/proc/$pid/exe") != */wine/* ]] || kill -KILL "$pid" 2>/dev/null || true
	done < <(grep -lsFxz "WINEPREFIX=$WINEPREFIX" /proc/[0-9]*/environ)
}

# From here on the test's muxcats have a Wine of their own, until the test's end.
own_wine() {
	make_wine "$PWD/wine"
	has_own_wine=yes
}

# Skips a test of something that Windows itself has not.
not_on_windows() {
	! on_windows || skip "Windows has no $1"
}

# The backend under test holds no descriptor beyond FD_SETSIZE; Windows' select has no such limit.
has_fd_setsize() {
	[[ $MUXCAT_FLAGS == *select* ]] && ! on_windows
}

# The system has Unix sockets; Windows before 10, and Wine, have none.
has_unix_sockets() {
	on_windows || return 0
	local answer=$BATS_FILE_TMPDIR/unix-sockets
	[ -e "$answer" ] || mc listen -w 0.1 unix:unix-sockets </dev/null >"$answer" 2>&1 || true
	! grep -q "Address family not supported" "$answer"
}

needs_unix_sockets() {
	has_unix_sockets || skip "Windows has no Unix sockets here"
}

needs_tls() {
	! "$MUXCAT" --version | grep -q "^TLS: none" || skip "this build has no TLS"
}

# What stop sends: Windows has Ctrl-C, which is what SIGINT becomes under Wine.
STOP=TERM
! on_windows || STOP=INT

# Checks that a started process ends by a signal: ended_by SIGNAL PID. Ctrl-C is 0xc000013a on
# Windows, of which Wine gives the last byte.
ended_by() {
	local want=58
	on_windows || want=$((128 + $(kill -l "$1")))
	ended "$2" $want
}

# Asks a started process to end, and checks that it does.
stop() {
	kill -$STOP "$1"
	ended_by $STOP "$1"
}

# A command on a free port of 127.0.0.1, in $port and $server.
server() {
	rm -f port
	begin "$@" --port-file port 127.0.0.1 0
	server=$pid
	port=$(port_of port)
}

# A Unix socket is there and, unless -u says that it takes datagrams, accepts: its file is there a
# moment before. accepts PATH [-u]
accepts() {
	[ -S "$1" ] && { [ "${2:-}" = -u ] || grep -q " 00010000 0001 .* $1\$" /proc/net/unix; }
}

# A scripted peer in the background; see peers/peer.py.
peer() {
	python3 -B "$BATS_TEST_DIRNAME/peers/peer.py" "$@" 3>&- &
	pid=$!
	started+=("$pid")
}

# A scripted case of muxcat and its peers together: peers/NAME.py.
driver() {
	local name=$1
	shift
	python3 -B "$BATS_TEST_DIRNAME/peers/$name.py" "$@"
}
