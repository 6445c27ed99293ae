#!/bin/bash
# Builds each tests/fuzz/fuzz_NAME.c with libFuzzer, ASan and UBSan, and runs it for FUZZ_SECONDS (60) from
# the inputs kept in tests/fuzz/corpus/NAME and those found before. TARGETS="hub sim" picks some.
#   scripts/fuzz.sh          what is found is left in build/libfuzzer/found, what fails in .../failed
#   scripts/fuzz.sh keep     takes what was found into tests/fuzz/corpus, as few and small as can be;
#                            an input with a name of its own stays, whatever it reaches
set -u
cd "$(dirname "$0")/.." || exit 1
B=build/libfuzzer
make -j"$(nproc)" CC=clang CFLAGS="-O2 -g -fno-omit-frame-pointer" B=$B FUZZER=-fsanitize=fuzzer \
	SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined" \
	fuzz-programs || exit 1

# getopt_long(3) compares where libFuzzer does not see it: the words of a command line, each with its end.
options_dictionary() {
	sed -n 's/^\t{ "\([a-z0-9-]*\)", .*/\1/p' src/cli_table.c | sort -u | while read -r name; do
		printf '"--%s\\x00"\n"--%s="\n' "$name" "$name"
	done
	printf '"%s\\x00"\n' listen connect echo fanout help 80 0 localhost ::1 127.0.0.1 tls:h:1 tcp:h:1 udp:h:1 \
		unix:x tls:unix:x unixgram:x wait drop close 1.2 1.3 poll select epoll -1 0.5 1k 2M 1000000
}

fuzz() {
	local name=$1 longest=1024 dictionary=()
	case $name in
	sim | tls) longest=4096 ;;
	options)
		options_dictionary >"$B/options.dict"
		dictionary=(-dict="$B/options.dict")
		;;
	esac
	mkdir -p "$B/found/$name" "$B/failed"
	echo "fuzzing $name for ${FUZZ_SECONDS:-60} s"
	"$B/fuzz/fuzz_$name" -max_len=$longest "${dictionary[@]}" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=20 \
		-verbosity=0 -print_final_stats=1 -artifact_prefix="$B/failed/$name-" \
		"$B/found/$name" "tests/fuzz/corpus/$name" >"$B/$name.log" 2>&1 </dev/null
}

# What reaches each line once will do, except where the same lines are all there is to reach.
keep() {
	local name=$1 kept=tests/fuzz/corpus/$1 merged=$B/merged/$1 counters=0
	local hashed=(-regextype egrep -regex '.*/[0-9a-f]{40}') # of no name of its own
	case $name in chat | hub) counters=1 ;; esac
	rm -rf "$merged"
	mkdir -p "$merged" "$B/found/$name" "$kept"
	find "$kept" "${hashed[@]}" -o -type f -exec cp -t "$merged" {} +
	"$B/fuzz/fuzz_$name" -set_cover_merge=1 -use_counters=$counters -timeout=20 "$merged" "$kept" "$B/found/$name" \
		>"$B/$name.log" 2>&1 </dev/null || return
	find "$kept" "${hashed[@]}" -delete
	cp "$merged"/* "$kept"
	echo "$kept: $(find "$kept" -type f | wc -l) inputs"
}

bad=0
for name in ${TARGETS:-$(sed -n 's/.*fuzz_\(.*\)\.c$/\1/p' <(printf '%s\n' tests/fuzz/*.c))}; do
	if [ "${1:-}" = keep ]; then
		keep "$name" || bad=1
	elif fuzz "$name"; then
		awk '/executed_units/ { units = $2 } /exec_per_sec/ { print units " inputs, " $2 " a second" }' "$B/$name.log"
	else
		bad=1
		grep -v '^stat::' "$B/$name.log" | tail -n 40
		failed=$(sed -n 's/.*Test unit written to //p' "$B/$name.log")
		echo "$name has failed. Again: $B/fuzz/fuzz_$name $failed"
		echo "Keep it: cp $failed tests/fuzz/corpus/$name/WHAT-IT-SHOWS"
	fi
done
exit $bad
