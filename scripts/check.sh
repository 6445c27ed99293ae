#!/bin/bash
# Runs every test and ends with "N passed, N failed, N skipped" over all parts.
#   scripts/check.sh          the unit tests, and the command line's for each backend; then windows
#   scripts/check.sh windows  the command line's with the Windows build under Wine, for each backend
#   scripts/check.sh asan     the same under AddressSanitizer and UBSan
#   scripts/check.sh tsan     the same under ThreadSanitizer
# TESTS="eof echo" picks tests/eof.bats and tests/echo.bats; BACKENDS="poll,select" picks backends.
set -u
cd "$(dirname "$0")/.." || exit 1

kind=${1:-plain}
case $kind in
plain | windows) B=${B:-build} ;;
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
	echo "usage: scripts/check.sh [windows|asan|tsan]" >&2
	exit 2
	;;
esac
make -j"$(nproc)" B="$B" test-programs || exit 1

export MUXCAT_BUILD=$PWD/$B
export ASAN_OPTIONS=detect_leaks=1
export BATS_TEST_TIMEOUT=270
passed=0 failed=0 skipped=0

# Adds the results of a TAP file to the counts, and shows what failed.
count() {
	local plan results
	if [ ! -s "$1" ]; then
		echo "$1: no results"
		failed=$((failed + 1))
		return
	fi
	results=$(grep -acE '^(not )?ok ' "$1")
	plan=$(sed -n 's/^1\.\.//p' "$1" | awk '{ sum += $1 } END { print sum + 0 }')
	skipped=$((skipped + $(grep -acE '^ok .*# skip' "$1")))
	passed=$((passed + $(grep -aE '^ok ' "$1" | grep -avc '# skip')))
	failed=$((failed + $(grep -ac '^not ok ' "$1")))
	if [ "$results" -ne "${plan:-0}" ] || [ "${plan:-0}" -eq 0 ]; then
		echo "$1: $results results of ${plan:-no plan}"
		failed=$((failed + 1))
	fi
	awk '/^not ok /{bad=1} /^ok /{bad=0} bad' "$1"
}

# Runs the command line's tests for each backend of a list with commas that $BACKENDS, if it is set,
# has too: run_backends KIND LIST.
run_backend() {
	local name=${1// /}
	WINEPREFIX=$PWD/$B/windows/wine-$1 MUXCAT_FLAGS="--backend=$1" bats --tap "${files[@]}" >"$B/$kind.$name.tap" 2>&1
}
run_backends() {
	local kind=$1 backends backend i before
	mapfile -t backends < <(tr ',' '\n' <<<"$2" | grep -xFf <(tr ',' '\n' <<<"${BACKENDS:-$2}"))
	# Two at a time: most tests wait more than they work.
	for ((i = 0; i < ${#backends[@]}; i += 2)); do
		for backend in "${backends[@]:i:2}"; do
			run_backend "$backend" &
		done
		wait
		for backend in "${backends[@]:i:2}"; do
			before=$passed/$failed/$skipped
			count "$B/$kind.${backend// /}.tap" >"$B/report.txt"
			sed "s/^/[$kind $backend] /" "$B/report.txt"
			echo "$kind, $backend: $before -> $passed/$failed/$skipped (passed/failed/skipped)"
		done
	done
}

for test in "$B"/test_*; do
	[ "$kind" != windows ] || break
	[ -x "$test" ] && [ ! -d "$test" ] || continue
	case $test in *.*) continue ;; esac
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 120 "$test" >"$test.tap" 2>"$test.err"
	grep -q '^not ok' "$test.tap" && cat "$test.err"
	grep -qs 'ERROR: \|WARNING: ThreadSanitizer\|runtime error' "$test.err" && {
		cat "$test.err"
		failed=$((failed + 1))
	}
	count "$test.tap"
done

files=()
for name in ${TESTS:-$(cd tests && ls ./*.bats)}; do
	files+=("tests/$(basename "$name" .bats).bats")
done

[ "$kind" = windows ] || run_backends "$kind" "epoll,epoll --edge,poll,select"

# A Wine for each backend, made from one: its server is one process, and all its programs' fate.
make_wines() {
	local base=$PWD/$B/windows/wine backend
	if [ ! -d "$base" ]; then
		WINEPREFIX=$base /usr/lib/wine/wine64 wineboot --init >/dev/null 2>&1
		WINEPREFIX=$base wineserver -k # which writes its registry
		WINEPREFIX=$base wineserver -w
	fi
	for backend; do
		rm -rf "$base-$backend"
		mkdir "$base-$backend"
		cp -a "$base"/{*.reg,.update-timestamp,dosdevices} "$base-$backend"
		ln -s "$base/drive_c" "$base-$backend/drive_c"
		WINEPREFIX=$base-$backend wineserver -p # until the end, rather than anew for each test
	done
}

if [ "$kind" = plain ] || [ "$kind" = windows ]; then
	make -j"$(nproc)" B="$B" windows-test-programs || exit 1
	export MUXCAT_EXE=$PWD/scripts/muxcat-wine WINEDEBUG=-all
	make_wines iocp poll select
	run_backends windows "iocp,poll,select"
	for backend in iocp poll select; do
		WINEPREFIX=$PWD/$B/windows/wine-$backend wineserver -k
	done
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
