#!/bin/bash
# Runs every test and ends with "N passed, N failed, N skipped" over all parts.
#   scripts/check.sh          the unit tests, and the command line's for each backend
#   scripts/check.sh no-tls   the command line's with the build without OpenSSL, for one backend
#   scripts/check.sh windows  the command line's with the Windows build under Wine, for each backend
#   scripts/check.sh asan     the same under AddressSanitizer and UBSan
#   scripts/check.sh tsan     the same under ThreadSanitizer
# A failed test is tried RETRIES times more, then once more alone; the log shows each try that failed.
# LONG=SECONDS lets a test take so long, and some do more then.
# TESTS="eof echo" picks tests/eof.bats and tests/echo.bats; BACKENDS="poll,select" picks backends.
set -u
cd "$(dirname "$0")/.." || exit 1

kind=${1:-plain}
case $kind in
plain | no-tls | windows) B=${B:-build} ;;
asan)
	B=build/asan
	export SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
	export CFLAGS="-O1 -g -fno-omit-frame-pointer"
	;;
tsan)
	B=build/tsan
	export SANITIZE="-fsanitize=thread"
	export CFLAGS="-O1 -g -fno-omit-frame-pointer"
	;;
*)
	echo "usage: scripts/check.sh [no-tls|windows|asan|tsan]" >&2
	exit 2
	;;
esac
make -j"$(nproc)" B="$B" test-programs || exit 1

export MUXCAT_BUILD=$PWD/$B
export ASAN_OPTIONS=detect_leaks=1
slow=270
[ "$kind" != windows ] || slow=540
export BATS_TEST_TIMEOUT=${LONG:-$slow}
export LIMIT=${LIMIT:-$((BATS_TEST_TIMEOUT + 330))}
export results=$PWD/$B/results
rm -rf "$results"
mkdir "$results"
passed=0 failed=0 skipped=0

# Adds the results of a TAP file to the counts, and shows what failed; the names once more at the end.
count() {
	local plan found
	if [ ! -s "$1" ]; then
		echo "$1: no results" | tee -a "$results/failed"
		failed=$((failed + 1))
		return
	fi
	found=$(grep -acE '^(not )?ok ' "$1")
	plan=$(sed -n 's/^1\.\.//p' "$1" | awk '{ sum += $1 } END { print sum + 0 }')
	skipped=$((skipped + $(grep -acE '^ok .*# skip' "$1")))
	passed=$((passed + $(grep -aE '^ok ' "$1" | grep -avc '# skip')))
	failed=$((failed + $(grep -ac '^not ok ' "$1")))
	if [ "$found" -ne "${plan:-0}" ] || [ "${plan:-0}" -eq 0 ]; then
		echo "$1: $found results of ${plan:-no plan}" | tee -a "$results/failed"
		failed=$((failed + 1))
	fi
	awk '/^not ok /{bad=1} /^ok /{bad=0} bad' "$1"
	grep -a '^not ok ' "$1" | sed "s|^not ok [0-9]*|$(basename "$1" .tap):|" >>"$results/failed"
}

# Runs a file of tests, or those of them whose names match: run_file KIND BACKEND FILE [NAMES]. One that
# has not ended after $LIMIT seconds is ended, and who was there then is told: a process that is left
# behind can keep bats waiting.
# Wine's programs wait for its server at every call, and another processor would have to wake for each
# answer: a file keeps to one, which takes a fifth of the time.
run_file() {
	local tap bats left=0 pin=()
	tap=$(results_of "$@")
	[ "$1" != windows ] || pin=(taskset -c $((${SLOT:-0} % $(nproc))))
	set -m # a process group of its own
	MUXCAT_FLAGS="--backend=$2" "${pin[@]}" bats --tap --filter "${4:-.}" "$3" >"$tap" 2>&1 </dev/null &
	bats=$!
	set +m
	trap 'kill -TERM -- "-$bats"; exit 130' INT TERM
	if ! timeout --foreground "$LIMIT" tail -s 0.1 --pid="$bats" -f /dev/null; then
		left=1
		ps -eHo pid,ppid,pgid,stat,etimes,wchan:20,args >"$tap.processes"
		kill -KILL -- "-$bats"
	fi
	wait "$bats" 2>/dev/null
	echo "$1, $2, $(basename "$3"): $(grep -acE '^ok ' "$tap") of $(sed -n 's/^1\.\.//p' "$tap") in $SECONDS s"
	[ "$left" -eq 0 ] || sed "s/^/did not end: /" "$tap.processes"
}
results_of() {
	echo "$results/$1.${2// /}.$(basename "$3" .bats).tap"
}

# A machine that is shared can be too busy for a test twice in a row: what has failed in a file is tried
# once more when nothing else runs, and its results take the place of the first: retry KIND BACKEND FILE.
retry() {
	local tap names
	tap=$(results_of "$@")
	names=$(sed -n 's/ # timeout after .*//; s/^not ok [0-9]* //p' "$tap" |
		sed 's/[][().*+?{}|^$\\]/\\&/g; s/.*/^&$/' | paste -sd '|')
	[ -n "$names" ] || return 0
	echo "$2, $(basename "$3"), once more alone:" >>"$results/tried-again"
	awk '/^(not )?ok /{ bad = /^not/ } bad { print "    " $0 }' "$tap" >>"$results/tried-again"
	mv "$tap" "$tap.first"
	run_file "$@" "$names"
	awk '
		function name(line) {
			sub(/^(not )?ok [0-9]+ /, "", line)
			sub(/ # timeout after .*/, "", line)
			return line
		}
		FILENAME == ARGV[1] { if (/^ok /) passed[name($0)]; next }
		/^(not )?ok / { mended = /^not/ && name($0) in passed }
		mended && sub(/^not /, "") || !mended' "$tap" "$tap.first" >"$tap.merged"
	mv "$tap.merged" "$tap"
}

# Runs the command line's tests for each backend of a list with commas that $BACKENDS, if it is set,
# has too: run_backends KIND LIST. Several files at a time: most tests wait more than they work.
run_backends() {
	local kind=$1 backends backend file before
	mapfile -t backends < <(tr ',' '\n' <<<"$2" | grep -xFf <(tr ',' '\n' <<<"${BACKENDS:-$2}"))
	for file in "${files[@]}"; do
		for backend in "${backends[@]}"; do
			printf '%s\0' "$kind" "$backend" "$file"
		done
	done | xargs -r --process-slot-var=SLOT -0 -n 3 -P "${JOBS:-4}" bash -c 'run_file "$@"' run_file
	for backend in "${backends[@]}"; do
		before=$passed/$failed/$skipped
		for file in "${files[@]}"; do
			[ "${RETRIES:-0}" -eq 0 ] || retry "$kind" "$backend" "$file"
			count "$(results_of "$kind" "$backend" "$file")" >"$results/report"
			sed "s/^/[$kind $backend] /" "$results/report"
		done
		echo "$kind, $backend: $before -> $passed/$failed/$skipped (passed/failed/skipped)"
	done
}
export -f run_file results_of

programs=("$B"/test_*)
[ "$kind" = tsan ] || programs+=("$B/sim/sim" "$B"/fuzz/fuzz_*) # which have no threads
for test in "${programs[@]}"; do
	case $kind in no-tls | windows) break ;; esac
	[ -x "$test" ] && [ ! -d "$test" ] || continue
	case $test in *.*) continue ;; esac
	tap=$results/unit.$(basename "$test").tap
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 120 "$test" >"$tap" 2>"$results/err"
	grep -q '^not ok' "$tap" && cat "$results/err"
	grep -qs 'ERROR: \|WARNING: ThreadSanitizer\|runtime error' "$results/err" && {
		tee -a "$results/failed" <"$results/err"
		failed=$((failed + 1))
	}
	count "$tap"
done

files=()
for name in ${TESTS:-$(cd tests && ls ./*.bats)}; do
	files+=("tests/$(basename "$name" .bats).bats")
done

run_no_tls() {
	make -j"$(nproc)" TLS=0 B="$B/no-tls" "$B/no-tls/muxcat" "$B/no-tls/loads/round_trips" test-libraries || exit 1
	MUXCAT_BUILD=$MUXCAT_BUILD/no-tls
	run_backends no-tls epoll
}

run_windows() {
	make -j"$(nproc)" B="$B" windows-test-programs || exit 1
	scripts/openssl-windows.sh "$B/windows" || exit 1
	export MUXCAT_EXE=$PWD/scripts/muxcat-wine WINEDEBUG=-all
	# of which each file of tests makes its own
	if [ ! -d "$B/windows/wine" ]; then
		export WINEPREFIX=$PWD/$B/windows/wine
		timeout -k 1 300 /usr/lib/wine/wine64 wineboot --init >/dev/null 2>&1
		timeout -k 1 60 wineserver -k # which writes its registry
		timeout -k 1 60 wineserver -w
	fi
	run_backends windows "iocp,poll,select"
}

case $kind in
no-tls) run_no_tls ;;
windows) run_windows ;;
*) run_backends "$kind" "epoll,epoll --edge,poll,select" ;;
esac

[ ! -e "$results/tried-again" ] || { echo "tried again:"; cat "$results/tried-again"; }
cat "$results/failed"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
