#!/bin/bash
# Builds each tests/fuzz/fuzz_NAME.c with libFuzzer, ASan and UBSan, and runs it for FUZZ_SECONDS (60)
# from the inputs kept in tests/fuzz/corpus/NAME. What it finds is left in build/fuzz.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/build/fuzz
mkdir -p "$out"
mapfile -t core < <(find src -maxdepth 1 -name '*.c' ! -name 'cli*' ! -name 'cmd*' ! -name 'report.c')

for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	clang -g -O1 -std=c11 -pthread -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-D_GNU_SOURCE -Isrc -Isrc/posix -Itests/unit -o "$out/$name" \
		"$source" "${core[@]}" src/posix/*.c src/openssl/*.c -ldl
	mkdir -p "$out/corpus-$name"
	echo "fuzzing $name for ${FUZZ_SECONDS:-60} s"
	(cd "$out" && "./$name" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=20 -verbosity=0 \
		-print_final_stats=1 "corpus-$name" "$OLDPWD/tests/fuzz/corpus/$name")
done
