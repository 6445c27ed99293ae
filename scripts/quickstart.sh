#!/bin/sh
# Shows what muxcat does, and checks that it does: an echo server with a file sent through it, and
# one input to three subscribers. The servers take free ports and are ended here.
#   scripts/quickstart.sh build/muxcat
set -eu

if [ $# -ne 1 ] || [ ! -x "$1" ]; then
	echo "usage: scripts/quickstart.sh BINARY" >&2
	exit 2
fi
muxcat=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

folder=$(mktemp -d)
running=
clean_up() {
	for pid in $running; do
		kill "$pid" 2>/dev/null || true
	done
	rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
cd "$folder"

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

show() { printf '\n  $ %s\n' "$*"; }

# A server writes its port once it listens. Ten seconds are for a machine that is very busy.
wait_for() {
	tries=0
	until [ -s "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -le 200 ] || fail "$1 was never written"
		sleep 0.05
	done
}

same() { cmp "$1" "$2" || fail "$2 is not what was sent"; }

ended_well() {
	wait "$1" || fail "$2 ended with status $?"
}

"$muxcat" --version

show "muxcat echo --port-file echo.port 127.0.0.1 0 &"
"$muxcat" echo --port-file echo.port 127.0.0.1 0 &
echo_server=$!
running=$echo_server
wait_for echo.port
port=$(cat echo.port)
echo "  an echo server on port $port"

head -c 1048576 /dev/urandom >sent
show "muxcat connect 127.0.0.1 $port <sent >back"
"$muxcat" connect 127.0.0.1 "$port" <sent >back || fail "connect ended with status $?"
same sent back
echo "  $(wc -c <back | tr -d ' ') random bytes went there and came back the same"

seq 5000 >lines
show "muxcat fanout --min-clients 3 --port-file fanout.port 127.0.0.1 0 <lines &"
"$muxcat" fanout --min-clients 3 --port-file fanout.port 127.0.0.1 0 <lines &
fanout=$!
running="$running $fanout"
wait_for fanout.port
port=$(cat fanout.port)
show "muxcat connect -d 127.0.0.1 $port >subscriber1 &     (and 2, and 3)"
subscribers=
for n in 1 2 3; do
	"$muxcat" connect -d 127.0.0.1 "$port" >"subscriber$n" &
	subscribers="$subscribers $!"
	running="$running $!"
done
for pid in $subscribers; do
	ended_well "$pid" "a subscriber"
done
ended_well "$fanout" "fanout"
for n in 1 2 3; do
	same lines "subscriber$n"
done
running=$echo_server
echo "  three subscribers have got all $(wc -l <lines | tr -d ' ') lines"

printf '\nall good: try  muxcat help,  man ./man/muxcat.1,  make check\n'
