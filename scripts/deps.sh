#!/bin/sh
# Brings what building (build), testing (check), measuring (bench) or linting (lint) needs, by Debian's packages.
# Does nothing when nothing is missing. Without root or passwordless sudo: prints the line to run.
set -eu

# command-or-header:package
build="cc:gcc /usr/include/stdio.h:libc6-dev make:make /usr/include/openssl/ssl.h:libssl-dev"
check="$build bats:bats nc:netcat-openbsd ncat:ncat socat:socat python3:python3 strace:strace valgrind:valgrind
	clang:clang tmux:tmux script:bsdutils mandoc:mandoc
	openssl:openssl ip:iproute2 ss:iproute2 pkill:procps unshare:util-linux /usr/include/cmocka.h:libcmocka-dev /etc/services:netbase
	pod2man:perl x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64 /usr/lib/wine/wine64:wine64 wineserver:wine"
bench="$check /usr/include/uv.h:libuv1-dev gnuplot:gnuplot-nox"
lint="$bench clang-format:clang-format clang-tidy:clang-tidy cppcheck:cppcheck
	shellcheck:shellcheck"

case "${1:-}" in
build) wanted=$build ;;
check) wanted=$check ;;
bench) wanted=$bench ;;
lint) wanted=$lint ;;
*)
	echo "usage: scripts/deps.sh build|check|bench|lint" >&2
	exit 2
	;;
esac

missing=
for pair in $wanted; do
	thing=${pair%%:*}
	case $thing in
	/*) [ -e "$thing" ] || missing="$missing ${pair##*:}" ;;
	*) command -v "$thing" >/dev/null 2>&1 || missing="$missing ${pair##*:}" ;;
	esac
done
[ -z "$missing" ] && exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	as_root=sudo
	sudo -n true 2>/dev/null || as_root=
fi
if [ ! -e /etc/debian_version ] || { [ "$(id -u)" != 0 ] && [ -z "$as_root" ]; }; then
	echo "Missing packages. Run this, then try again:" >&2
	echo "  sudo apt-get install$missing" >&2
	exit 1
fi

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
install() {
	# shellcheck disable=SC2086 # a list of words
	$as_root apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! install; then
	$as_root apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
	install || { cat "$log" >&2; exit 1; }
fi
