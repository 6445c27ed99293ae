#!/usr/bin/env bats
# Wrong command lines end with status 2 and one line, before anything is opened.

load helper


# `refused WORD ARGUMENT...`: exit 2, nothing on stdout, one line on stderr that names WORD.
refused() {
	local word=$1 status=0
	shift
	timeout -k 1 "$PATIENCE" "$MUXCAT" "$@" </dev/null >out 2>err || status=$?
	if [ $status != 2 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] ||
		[[ $(<err) != "muxcat: "* ]] || [[ $(<err) != *"$word"* ]]; then
		printf 'muxcat %s: status %s\nstdout: %s\nstderr: %s\nwanted: 2 and one line with %s\n' \
			"$*" $status "$(<out)" "$(<err)" "$word" >&2
		return 1
	fi
}

# This system's backends, the default first, and one of another system.
backends=(epoll poll select)
foreign=iocp
! on_windows || backends=(iocp poll select) foreign=epoll

# So many a's.
letters() {
	printf '%*s' "$1" '' | tr ' ' a
}

@test "an unknown backend is refused, and those of this build are listed" {
	refused "'kqueue2'" listen --backend=kqueue2 0
	local name
	for name in "${backends[@]}"; do
		grep -qw $name err
	done
	refused $foreign echo --backend=$foreign 0
	refused "''" echo --backend= 0
}

@test "--edge with a backend that is level-triggered only is refused" {
	local name
	for name in "${backends[@]}"; do
		[ $name != epoll ] || continue
		refused --edge listen --edge --backend=$name 0
		refused $name listen --edge --backend=$name 0
	done
	refused --edge --backend=select echo --edge 0
	refused select echo 0 --edge --backend=select
}

@test "a command that is missing or unknown is refused" {
	refused command
	refused command --backend=poll
	refused serve serve 0
	refused serve help serve
	refused list list 0
}

@test "what no later step could make good is refused at once" {
	refused --min-clients fanout -m 1 --min-clients 2 0
	refused --from fanout --from h:1 --from h:2 0
	refused ::1 connect -s ::1 127.0.0.1 80
	refused 127.0.0.1 connect -s 127.0.0.1 ::1 80
	refused "more than one" --ver
	refused seconds connect -w 9999999999 h 1
	needs_tls
	local option
	for option in cert key ca client-ca port-file; do
		refused "--$option" echo --tls "--$option=" 0
	done
	refused "','" listen --tls --alpn , 0
	refused "'a,,b'" listen --tls --alpn a,,b 0
	refused "'a,'" listen --tls --alpn a, 0
	refused "''" listen --tls --alpn "" 0
	refused --alpn listen --tls --alpn "$(letters 256)" 0
}

@test "an unknown option is refused, as is one of another command" {
	refused --nonsense listen --nonsense 0
	refused --nonsense listen 0 --nonsense=3
	refused --nonsense --nonsense listen 0
	refused -Y echo -Y 0
	refused -Y connect -vY 127.0.0.1 1
	refused -k connect -k 127.0.0.1 1
	refused -z listen -z 0
	refused --chat echo --chat 0
	refused --discard fanout --discard 0
	refused -1 connect 127.0.0.1 -1
	refused "-Y: no such option" listen --edge -Yk 0
	refused "-Y: no such option" --edge -Yk listen 0
	refused "aaaaaaa: no such option" listen "--$(letters 600)" 0
}

@test "an option that needs a value is refused without one, and a flag with one" {
	local option
	for option in --port-file -m -w --max-conns --timeout -i -I -O --backend; do
		refused "$option" listen 0 "$option"
	done
	refused --source connect 127.0.0.1 1 --source
	refused -p connect 127.0.0.1 1 -p
	refused --slow fanout 0 --slow
	refused --to fanout --to
	refused "--edge=1: this option takes no value" listen --edge=1 0
	refused "--keep-open=yes: this option takes no value" listen --keep-open=yes 0
}

@test "missing operands are refused" {
	local command
	for command in listen connect echo fanout; do
		refused $command $command
		refused $command $command -v
	done
	refused localhost connect localhost
	refused 127.0.0.1: connect 127.0.0.1:
	refused "[::1]" listen "[::1]"
	refused port listen ""
	refused unix: listen unix:
	refused unix:@ listen unix:@
}

@test "too many operands are refused" {
	refused three listen 127.0.0.1 1 three
	refused three connect 127.0.0.1 1 three
	refused three echo 127.0.0.1 1 three
	refused three fanout 127.0.0.1 1 three
	refused 127.0.0.1 fanout --to=127.0.0.1:1 127.0.0.1 0
	refused more help listen more
}

@test "a port that is none is refused" {
	local port
	for port in 65536 70000 99999999999999999999 +80 0x50 8o nosuch-service; do
		refused "$port" listen $port
		refused "$port" connect 127.0.0.1 $port
		refused "$port" echo 127.0.0.1:$port
		refused "$port" fanout --to=127.0.0.1:$port
		refused "$port" fanout --from=127.0.0.1:$port 0
		refused "$port" listen --to=127.0.0.1:$port 0
	done
}

@test "port 0 cannot be connected to" {
	refused 0 connect 127.0.0.1 0
	refused 0 connect 127.0.0.1:0
	refused 0 connect -u 127.0.0.1 0
	refused 0 fanout --to=127.0.0.1:0
	refused 0 fanout --from=127.0.0.1:0 0
	refused 0 listen --to=127.0.0.1:0 0
}

@test "a malformed IPv6 address is refused" {
	refused "[::1" listen "[::1"
	refused "[::1" connect "[::1"
	refused "[::1]1" connect "[::1]1"
	refused "1:2:3" connect 1:2:3
}

@test "a Unix path of more than 107 bytes is refused" {
	refused aaaaaaa echo unix:"$(letters 108)"
	refused aaaaaaa connect -U "$(letters 108)"
	refused aaaaaaa listen unixgram:"$(letters 500)"
	refused aaaaaaa listen unix:@"$(letters 108)"
	refused aaaaaaa fanout --to=unix:"$(letters 108)"
}

@test "a Unix path of 107 bytes is not refused" {
	needs_unix_sockets
	run -1 mc connect unix:"$(letters 107)" </dev/null
	equal "$output" "muxcat: connect unix:$(letters 107): No such file or directory"
}

@test "options that contradict each other are refused, and both are named" {
	local command
	for command in listen connect echo fanout; do
		refused -4 $command -4 -6 127.0.0.1 1
		refused -6 $command -4 -6 127.0.0.1 1
		refused --quiet $command -v --quiet 127.0.0.1 1
		refused -v $command --quiet -v 127.0.0.1 1
	done
	for command in listen connect; do
		refused --send-only $command --send-only -d 127.0.0.1 1
		refused -d $command --send-only --no-stdin 127.0.0.1 1
		refused --send-only $command --send-only --recv-only 127.0.0.1 1
		refused --recv-only $command --recv-only --send-only 127.0.0.1 1
	done
	refused --from fanout --from=127.0.0.1:1 --broker 0
	refused --broker fanout --from=127.0.0.1:1 --broker 0
	refused --chat fanout --from=127.0.0.1:1 --chat 0
	refused -z connect -z -u 127.0.0.1 1
	refused --port-file fanout --port-file=port --to=127.0.0.1:1
	refused --to listen --to=127.0.0.1:1 -d 0
	refused --min-clients fanout --min-clients=2 --to=127.0.0.1:1
}

@test "an address that contradicts -4, -6, -u or -U is refused" {
	refused 127.0.0.1 connect -6 127.0.0.1 1
	refused ::1 connect -4 ::1 1
	refused "[::1]" listen -4 "[::1]:0"
	refused unix:x connect -4 unix:x
	refused unix:x listen -u unix:x
	refused tcp:0 listen -u tcp:0
	refused udp:127.0.0.1:1 connect -U udp:127.0.0.1:1
}

@test "-s, -p and --port-file have no place with a Unix socket" {
	refused -s connect -s 127.0.0.1 unix:x
	refused -p connect -p 4000 -U x
	refused --port-file listen --port-file=port unix:x
	refused --port-file echo --port-file=port -U x
	refused --port-file fanout --port-file=port unixgram:x
	[ ! -e port ]
	[ ! -e x ]
}

@test "--mode takes permissions of a Unix socket's file" {
	local bad command
	not_on_windows "permissions of sockets"
	for bad in x 8 0 000 1000 -1 +7 0x1ff 66o 600.0 u=rw "" 99999999999999999999; do
		for command in listen echo fanout; do
			refused "'$bad'" $command --mode="$bad" unix:x
		done
	done
	refused --mode connect --mode=600 unix:x
	refused --mode listen --mode=600 0
	refused --mode listen --mode=600 --to=unix:x 0
	refused --mode echo -u --mode=600 0
	refused --mode fanout --mode=600 --from=unix:x 0
	refused --mode fanout --mode=600 --to=unix:x
	refused --mode listen --mode=600 unix:@x
	refused --mode listen --mode=600 unixgram:@x
	refused --mode listen -U x --mode
	[ ! -e x ]
}

@test "Windows' sockets have no permissions" {
	on_windows || skip "Linux' have"
	refused --mode listen --mode=600 unix:x
}

@test "-s takes an IP address of the right family" {
	refused nowhere connect -s nowhere 127.0.0.1 1
	refused 127.0.0.1 connect -6 -s 127.0.0.1 localhost 1
	refused ::1 connect -4 -s ::1 localhost 1
}

@test "sizes, seconds and counts that are none are refused" {
	local bad
	for bad in x 1x -1 0 "" 1kk 99999999999999999999 4G; do
		refused "'$bad'" listen -I "$bad" 0
		refused "'$bad'" echo -O "$bad" 0
	done
	for bad in x 1.5k 0 -1 "" 99999999999999999999G; do
		refused "'$bad'" fanout --queue="$bad" 0
		refused "'$bad'" fanout --replay="$bad" 0
	done
	for bad in x 1s -1 0 "" nan inf 1e999; do
		refused "'$bad'" listen -w "$bad" 0
		refused "'$bad'" connect -i "$bad" 127.0.0.1 1
		refused "'$bad'" fanout --stall="$bad" 0
	done
	for bad in x 0 -1 1.5 "" 99999999999999999999; do
		refused "'$bad'" echo -m "$bad" 0
		refused "'$bad'" connect -p "$bad" 127.0.0.1 1
	done
	refused "'70000'" connect -p 70000 127.0.0.1 1
	refused "'many'" fanout --min-clients=many 0
	refused "'-2'" connect -q -2 127.0.0.1 1
	refused "'sometimes'" fanout --slow=sometimes 0
}

@test "-n refuses a name and takes a number" {
	refused localhost connect -n localhost 1
	refused localhost listen -n localhost 0
	refused localhost fanout -n --to=localhost:1
	run -1 mc connect -n 127.0.0.1 1 </dev/null
	equal "$output" "muxcat: connect 127.0.0.1:1: Connection refused"
}

@test "a wrong word is shown on one line, whatever is in it" {
	refused muxcat $'li\nsten' 0
	refused muxcat listen $'80\n81'
	refused muxcat listen $'--non\nsense' 0
	refused muxcat listen -w $'1\n2' 0
	refused muxcat connect $'a\x1b[2Jb\r' 70000
	[[ $(<err) != *$'\x1b'* ]]
}

@test "nothing is opened before the command line is known to be right" {
	refused --nonsense listen --port-file=port 127.0.0.1 0 --nonsense
	refused 70000 fanout --port-file=port --from=127.0.0.1:70000 127.0.0.1 0
	refused --send-only listen --port-file=port 127.0.0.1 0 --send-only --recv-only
	[ ! -e port ]
	refused --quiet listen unix:socket -v --quiet
	[ ! -e socket ]
	# a file in the way, a port in use: neither is looked at
	echo precious >file
	refused --nonsense echo unix:file --nonsense
	equal "$(<file)" precious
}

@test "a refused command line makes no socket" {
	not_on_windows "strace"
	command -v strace >/dev/null || skip "strace is missing"
	local status=0
	# LeakSanitizer cannot work under another tracer
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=network -o trace "$MUXCAT" listen --to=127.0.0.1:70000 127.0.0.1 0 </dev/null 2>err || status=$?
	equal $status 2
	equal "$(<trace)" ""
}

@test "--help of every command is on stdout, with status 0" {
	local command
	for command in "" listen connect echo fanout; do
		run -0 --separate-stderr "$MUXCAT" $command --help
		[[ $output == *"Usage: muxcat "* ]]
		[[ $output == *$command* ]]
		equal "$stderr" ""
	done
	for command in listen connect echo fanout; do
		"$MUXCAT" $command --help >one
		"$MUXCAT" help $command >two
		cmp one two
		grep -q -- --backend one
	done
	run -0 "$MUXCAT" help
	equal "$output" "$("$MUXCAT" --help)"
	# whatever else is said
	run -0 --separate-stderr "$MUXCAT" listen 127.0.0.1 0 --help
	[[ $output == *"Usage: muxcat listen"* ]]
}

@test "--version names the version, the backends with the default first, and the TLS library" {
	run -0 --separate-stderr "$MUXCAT" --version
	equal "$stderr" ""
	[[ ${lines[0]} =~ ^muxcat\ [0-9]+\.[0-9]+ ]]
	equal "${lines[1]/ (--edge)/}" "backends: ${backends[*]}"
	[[ ${lines[2]} == "TLS: none" || ${lines[2]} == "TLS: OpenSSL 3."* ]]
}

@test "a build without TLS says so" {
	[[ $("$MUXCAT" --version) == *"TLS: none"* ]] || skip "this build has TLS"
	local what
	for what in "connect --tls h 1" "connect tls:h:1" "listen --tls 0" "echo tls:0" "fanout --to tls:h:1"; do
		run -2 mc $what
		equal "$what: $output" "$what: muxcat: TLS: this build has none"
	done
}

@test "help that cannot be written is an error" {
	[ -e /dev/full ] || skip "/dev/full is missing"
	local option status
	for option in --help --version "help echo"; do
		status=0
		"$MUXCAT" $option >/dev/full 2>err || status=$?
		equal "$option $status" "$option 1"
		[[ $(<err) == "muxcat: "*"No space left on device" ]]
	done
}

@test "options stand before the command, before the operands and after them" {
	local message="muxcat: connect 127.0.0.1:1: Connection refused"
	run -1 mc -n -4 -i 3 connect 127.0.0.1 1 </dev/null
	equal "$output" "$message"
	run -1 mc connect -n -i3 --recv-buffer=64k -- 127.0.0.1 1 </dev/null
	equal "$output" "$message"
	run -1 mc connect 127.0.0.1 -w 5 1 -n4 </dev/null
	equal "$output" "$message"
	run -1 mc connect 127.0.0.1 1 --timeout=5 -z </dev/null
	equal "$output" "$message"
	refused -4 -4 connect localhost 1 -6
	refused --quiet -v connect localhost 1 --quiet
}

@test "an echo of datagrams has no connections to count or to find idle" {
	refused -m echo -u -m 2 127.0.0.1 0
	refused -i echo -u -i 2 127.0.0.1 0
}

@test "seconds are decimal numbers" {
	local value
	for value in 0x10 inf nan +1 . '' 1e3; do
		refused "'$value'" connect -w "$value" 127.0.0.1 1
	done
}

# What bash would offer for the last word: offered WORD...
offered() {
	# shellcheck disable=SC2016 # for the inner shell
	bash -uc 'compopt() { :; }
		. "$0"
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_muxcat "$1"
		echo "${COMPREPLY[*]}"' "$BATS_TEST_DIRNAME/../completions/muxcat.bash" "$MUXCAT" "$@"
}

@test "bash completes the commands, all their options, and values that are a choice or a file" {
	local command
	for command in listen connect echo fanout; do
		run -0 comm -3 <(mc "$command" --help | sed -nE 's/^ +(-., )?(--[a-z0-9-]+=?).*/\2/p' | sort) \
			<(offered "$command" -- | tr ' ' '\n' | sort)
		equal "$output" ""
	done
	touch one.pem two.pem
	equal "$(offered "")" "listen connect echo fanout help"
	equal "$(offered -i "")" ""
	equal "$(offered -i 3 li)" listen
	equal "$(offered -U ec)" echo
	equal "$(offered echo --cert = one)" one.pem
	equal "$(offered echo -U tw)" two.pem
	equal "$(offered --tls-min = "")" "1.2 1.3"
	[[ " $(offered --backend = "") " == *" poll "* ]]
}
