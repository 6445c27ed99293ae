#!/bin/bash
# Looks at everything that is written here with the tools that know its language, and ends with
# what has been found. "scripts/deps.sh lint" brings the tools; clang-format is version 14's.
set -u
cd "$(dirname "$0")/.." || exit 1
shopt -s nullglob

posix=(src/*.c src/posix/*.c src/openssl/*.c src/no_openssl/*.c)
windows=(src/windows/*.c tests/wine/give.c)
tests=(tests/*.c bench/ref/*.c bench/loads/*.c tests/unit/*.c tests/fuzz/*.c tests/wine/handles_only.c)
sim=(tests/sim/*.c)
failed=()

# `look NAME COMMAND...`: one tool; what it prints is shown only if it fails.
look() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "ok      $name"
	else
		echo "FAILED  $name"
		printf '%s\n' "$out"
		failed+=("$name")
	fi
}

# One file a run: in a run of several, clang-tidy 14 takes every va_list but the first file's for
# uninitialised. Its stderr only counts the warnings in system headers.
# tidy CHECKS FLAGS FILE...
tidy() {
	local checks=$1 flags=$2
	shift 2
	# shellcheck disable=SC2016 # for the inner shell
	printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" sh -c \
		'clang-tidy --quiet --checks="$0" "$2" -- -std=c11 -D_GNU_SOURCE -Isrc $1 2>/dev/null' \
		"$checks" "$flags"
}
mingw="-Isrc/windows --target=x86_64-w64-mingw32 -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000007"

# Which manuals the machine has is no fault of ours.
lint_manual() {
	! mandoc -Tlint man/muxcat.1 2>&1 | grep -v 'mandoc.db'
}

# ctuuninitvar: build_tables in cli.c fills in what it is passed, which is why that is unfilled.
check_with_cppcheck() {
	cppcheck --enable=warning,portability,performance --std=c11 --language=c --quiet \
		--error-exitcode=1 --inline-suppr -D_GNU_SOURCE -Isrc \
		--suppress=ctuuninitvar:src/cli.c "$@"
}

# What is left out:
#   SC2015         `a && b || c` where b is a test, too
# and in the tests
#   SC1010         "done" as an argument
#   SC2016         $ within quotes is for an inner shell
#   SC2030 SC2031  each @test is a process of its own, and its variables are meant to stay there
#   SC2034 SC2154  variables that tests and helper.bash share: `load` is not followed
#   SC2086         numbers, and lists of options
#   SC2094         a file that is read while it grows
shell="-e SC2015"
bats="-s bats -e SC1010,SC2015,SC2016,SC2030,SC2031,SC2034,SC2086,SC2094,SC2154"
scripts=(scripts/*.sh scripts/muxcat-wine)
[ ! -e .ci/run ] || scripts+=(.ci/run)

look clang-format clang-format --dry-run -Werror src/*.[ch] src/*/*.[ch] "${tests[@]}" tests/unit/*.h tests/fuzz/*.h tests/sim/*.[ch] tests/wine/give.c
look "clang-tidy, src" tidy "" "-Isrc/posix" "${posix[@]}"
look "clang-tidy, Windows" tidy "" "$mingw" "${windows[@]}"
# cmocka's assertions do not return when they fail, which the analyzer does not know; and a string in
# a table may be longer than a line
not_in_tests="-clang-analyzer-core.*,-bugprone-suspicious-missing-comma"
[ ${#tests[@]} = 0 ] || look "clang-tidy, tests" tidy "$not_in_tests" "-Isrc/posix -Itests/unit -Itests/sim" "${tests[@]}"
[ ${#sim[@]} = 0 ] || look "clang-tidy, simulation" tidy "$not_in_tests" "-Itests/sim" "${sim[@]}"
look cppcheck check_with_cppcheck -Isrc/posix "${posix[@]}"
look "cppcheck, Windows" check_with_cppcheck -Isrc/windows --platform=win64 -D_WIN32 "${windows[@]}"
# shellcheck disable=SC2086 # lists of words
{
	look shellcheck shellcheck $shell "${scripts[@]}"
	look "shellcheck, completion" shellcheck $shell -s bash completions/*.bash
	look "shellcheck, bats" shellcheck $bats tests/*.bash tests/*.bats
}
look mandoc lint_manual

if [ ${#failed[@]} != 0 ]; then
	echo "lint: ${#failed[@]} failed"
	exit 1
fi
echo "lint: nothing found"
