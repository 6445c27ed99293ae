#!/usr/bin/env bats
# TLS: the rules of a stream hold through it, it works with other programs, and nobody is trusted who
# has not proved who it is.

load helper
export MUXCAT MUXCAT_FLAGS
export CERTIFICATES=$BATS_FILE_TMPDIR/certificates

# issue NAME SUBJECT-ALTERNATIVE-NAMES [OPTION]...: NAME.pem, certificate and key, by the test's CA.
issue() {
	local name=$1 names=$2
	shift 2
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
		-keyout "$name.key" -out "$name.csr"
	openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$name.crt" \
		-extfile <(echo "subjectAltName=$names") "$@"
	cat "$name.crt" "$name.key" >"$name.pem"
}

# A certificate authority: NAME.pem and NAME.key.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -days 2 \
		-keyout "$1.key" -out "$1.pem"
}

make_certificates() {
	mkdir "$CERTIFICATES"
	cd "$CERTIFICATES" || return 1
	authority ca
	authority other-ca
	issue good DNS:localhost,IP:127.0.0.1,IP:::1 -days 2
	issue client DNS:client -days 2
	issue elsewhere DNS:elsewhere.example -days 2
	issue expired DNS:localhost -days -1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost -keyout self.key -out self.crt
	cat self.crt self.key >self.pem
	openssl ec -in good.key -aes128 -passout pass:secret -out locked.key
}

setup_file() {
	! on_windows || begin_wine
	make_certificates >/dev/null 2>&1
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/one"
	head -c 64M /dev/urandom >"$BATS_FILE_TMPDIR/other"
}

# instead of helper.bash's
setup() {
	begin_test
	! "$MUXCAT" --version | grep -q "^TLS: none" || skip "this build has no TLS"
}


# ---- the end-of-file matrix ----

matrix() {
	local state
	for state in quiet filled "done"; do
		driver eof_case "$1" "$2" $state tls
	done
}

@test "connect: data and EOF come in, whatever the other way does" {
	matrix connect in
}

@test "connect: data and EOF go out, whatever the other way does" {
	matrix connect out
}

@test "listen: data and EOF come in, whatever the other way does" {
	matrix listen in
}

@test "listen: data and EOF go out, whatever the other way does" {
	matrix listen out
}

# ---- bytes ----

# Both ways at once between listen and connect, with the given options.
both_ways() {
	start listen --tls --cert "$CERTIFICATES/good.pem" --port-file port "$@" 127.0.0.1 0 \
		<"$BATS_FILE_TMPDIR/other" >end.out 2>err
	local server=$pid
	mc connect --tls --ca "$CERTIFICATES/ca.pem" "$@" localhost "$(port_of port)" \
		<"$BATS_FILE_TMPDIR/one" >client.out
	ended "$server" 0
	cmp "$BATS_FILE_TMPDIR/one" end.out
	cmp "$BATS_FILE_TMPDIR/other" client.out
}

@test "64 MiB both ways at once" {
	both_ways
}

@test "64 MiB both ways at once, tiny socket buffers" {
	both_ways -I 4k -O 4k
}

@test "both ways at once, a byte at each receive" {
	[[ $MUXCAT_FLAGS != *--edge* ]] || skip "edge-triggered, a short receive means that nothing is left"
	[[ ! $MUXCAT_BUILD =~ asan|tsan ]] || skip "a sanitizer wants to be loaded first"
	local size=4M
	[ -z "${LONG:-}" ] || size=64M
	head -c $size "$BATS_FILE_TMPDIR/one" >one
	head -c $size "$BATS_FILE_TMPDIR/other" >other
	export LD_PRELOAD=$MUXCAT_BUILD/one_byte.so
	start listen --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 <other >end.out
	local server=$pid
	start connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$(port_of port)" <one >client.out
	unset LD_PRELOAD
	PATIENCE=250 ended "$pid" 0
	ended "$server" 0
	cmp one end.out
	cmp other client.out
}

@test "64 MiB through echo, by TLS 1.2 and 1.3" {
	local version
	server echo --tls --cert "$CERTIFICATES/good.pem"
	for version in 1.2 1.3; do
		start connect --tls-min=$version --ca "$CERTIFICATES/ca.pem" "tls:localhost:$port" \
			<"$BATS_FILE_TMPDIR/one" >out
		ended "$pid" 0
		cmp "$BATS_FILE_TMPDIR/one" out
	done
}

@test "a relay ends TLS, and another begins it" {
	server echo
	local echo=$port
	server listen -k --tls --cert "$CERTIFICATES/good.pem" --to "tcp:127.0.0.1:$echo"
	local terminator=$port
	server listen -k --ca "$CERTIFICATES/ca.pem" --to "tls:localhost:$terminator"
	mc connect 127.0.0.1 "$port" <"$BATS_FILE_TMPDIR/one" >out
	cmp "$BATS_FILE_TMPDIR/one" out
}

@test "over a Unix socket" {
	needs_unix_sockets
	start echo --tls --cert "$CERTIFICATES/good.pem" -U socket </dev/null
	eventually accepts socket
	run -0 mc connect --ca "$CERTIFICATES/ca.pem" --server-name localhost tls:unix:socket <<<hello
	equal "$output" hello
	run -0 mc connect -U --tls --ca "$CERTIFICATES/ca.pem" --server-name localhost socket <<<hello
	equal "$output" hello
	run -2 mc connect tls:unix:socket
	equal "$output" "muxcat: TLS over a Unix socket: --server-name says whom to expect"
}

@test "fanout: subscribers, --from and --to" {
	head -c 8M "$BATS_FILE_TMPDIR/one" >data
	start fanout --tls --cert "$CERTIFICATES/good.pem" --min-clients=2 --port-file fan 127.0.0.1 0 <data
	local fan=$pid
	start connect --tls --ca "$CERTIFICATES/ca.pem" -d localhost "$(port_of fan)" >got1
	local first=$pid
	start listen -d --tls --cert "$CERTIFICATES/good.pem" --port-file sink 127.0.0.1 0 >got2 </dev/null
	local sink=$pid
	start fanout --ca "$CERTIFICATES/ca.pem" --from "tls:localhost:$(port_of fan)" \
		--to "tls:localhost:$(port_of sink)"
	ended "$pid" 0
	ended "$fan" 0
	ended "$first" 0
	ended "$sink" 0
	cmp data got1
	cmp data got2
}

# ---- with other programs ----

small() {
	head -c 300k "$BATS_FILE_TMPDIR/one"
}

@test "openssl s_server as the server" {
	local version
	for version in tls1_2 tls1_3; do
		small >answer
		mkfifo ask.$version
		openssl s_server -accept 127.0.0.1:0 -cert "$CERTIFICATES/good.pem" -naccept 1 -$version \
			<>ask.$version >asked.$version 2>&1 3>&- &
		started+=($!)
		eventually grep -q "^ACCEPT" asked.$version
		port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' asked.$version)
		run -0 mc connect -q 0.5 -v --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello-$version
		eventually grep -q "hello-$version" asked.$version
	done
}

@test "openssl s_client as the client: what is sent comes back whole" {
	local version
	server echo --tls --cert "$CERTIFICATES/good.pem"
	for version in tls1_2 tls1_3; do
		mkfifo feed.$version
		openssl s_client -connect "127.0.0.1:$port" -CAfile "$CERTIFICATES/ca.pem" -verify_return_error \
			-$version -quiet <feed.$version >got.$version 2>err.$version 3>&- &
		started+=($!)
		exec 4>feed.$version # it stays until all has come back
		small | tee sent >&4
		eventually same_size sent got.$version
		exec 4>&-
		cmp sent got.$version
	done
}

same_size() {
	[ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ]
}

# ncat 7.93 ends its side without close_notify: nothing is lost, but nobody can know.
@test "ncat as the client: both ways, and its end is told for what it is" {
	small >sent
	begin listen --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 <sent >got 2>err
	local server=$pid
	timeout 20 ncat --ssl --ssl-verify --ssl-trustfile "$CERTIFICATES/ca.pem" localhost \
		"$(port_of port)" <sent >answer 3>&-
	ended "$server" 1
	cut_short err
	cmp sent got
	cmp sent answer
}

@test "ncat as the server: the same" {
	small >sent
	free=$(python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" free)
	ncat --ssl --ssl-cert "$CERTIFICATES/good.crt" --ssl-key "$CERTIFICATES/good.key" --recv-only \
		-l 127.0.0.1 "$free" </dev/null >got 3>&- &
	started+=($!)
	local ncat=$!
	eventually listens "$free"
	status=0
	mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$free" <sent 2>err || status=$?
	equal "$status" 1
	cut_short err
	ended "$ncat" 0
	cmp sent got
}

cut_short() {
	cat "$1"
	[[ $(<"$1") =~ ^muxcat:\ recv\ [^\ ]*:\ cut\ short:\ the\ end\ came\ without\ TLS\'s\ close_notify$ ]]
}

@test "socat as the client and as the server" {
	small >sent
	server echo --tls --cert "$CERTIFICATES/good.pem"
	socat -t 20 STDIO "OPENSSL:localhost:$port,cafile=$CERTIFICATES/ca.pem" <sent >got 3>&-
	cmp sent got
	free=$(python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" free)
	socat -t 20 "OPENSSL-LISTEN:$free,bind=127.0.0.1,cert=$CERTIFICATES/good.pem,verify=0" \
		"SYSTEM:cat >got2; echo done" 3>&- &
	started+=($!)
	eventually listens "$free"
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$free" <sent
	equal "$output" "done"
	cmp sent got2
}

listens() {
	ss -Hltn "sport = :$1" | grep -q .
}

# ---- whom to trust ----

# refuses STATUS WORDS OPTION...: connect to the server at $port ends so, with one line that has the
# words, and none of its stdin has been sent.
refuses() {
	local want=$1 words=$2
	shift 2
	status=0
	mc connect "$@" "$port" <<<secret >out 2>err || status=$?
	cat err
	equal "$status" "$want"
	lines_with 1 . err
	grep -qF -- "$words" err
	[ ! -s out ]
}

@test "a certificate that does not hold: one line says which check, exit 4, nothing is sent" {
	local ca=(--tls --ca "$CERTIFICATES/ca.pem")
	begin listen -k --tls --cert "$CERTIFICATES/elsewhere.pem" --port-file port1 127.0.0.1 0 </dev/null >got 2>server.err
	port=$(port_of port1)
	refuses 4 "the certificate of localhost: hostname mismatch" "${ca[@]}" localhost
	refuses 4 "the certificate of 127.0.0.1: IP address mismatch" "${ca[@]}" 127.0.0.1
	run -0 mc connect "${ca[@]}" --server-name elsewhere.example -z localhost "$port"
	begin listen -k --tls --cert "$CERTIFICATES/expired.pem" --port-file port2 127.0.0.1 0 </dev/null >>got 2>server.err
	port=$(port_of port2)
	refuses 4 "the certificate of localhost: certificate has expired" "${ca[@]}" localhost
	begin listen -k --tls --cert "$CERTIFICATES/self.pem" --port-file port3 127.0.0.1 0 </dev/null >>got 2>server.err
	port=$(port_of port3)
	refuses 4 "the certificate of localhost: self-signed certificate" "${ca[@]}" localhost
	begin listen -k --tls --cert "$CERTIFICATES/good.pem" --port-file port4 127.0.0.1 0 </dev/null >>got 2>server.err
	port=$(port_of port4)
	refuses 4 "the certificate of localhost: " --tls --ca "$CERTIFICATES/other-ca.pem" localhost
	refuses 4 "the certificate of localhost: " --tls localhost # whom the system trusts
	eventually grep -q "accept 127.0.0.1:.*: TLS handshake: .*unknown ca" server.err
	[ ! -s got ]
}

# A server by another program with the certificate of a name: on a free port, in $port.
other_server() {
	local program=$1 name=$CERTIFICATES/$2
	port=$(python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" free)
	case $program in # each in the place of the shell, whose process id is known
	openssl) exec openssl s_server -accept "127.0.0.1:$port" -cert "$name.pem" -quiet "${@:3}" ;;
	ncat) exec ncat -k --ssl --ssl-cert "$name.crt" --ssl-key "$name.key" -l 127.0.0.1 "$port" ;;
	socat) exec socat "OPENSSL-LISTEN:$port,bind=127.0.0.1,fork,cert=$name.pem,verify=0" STDOUT ;;
	esac </dev/zero >heard 2>other.err 3>&- &
	started+=($!)
	eventually listens "$port"
}

@test "the certificates of other programs are checked as well" {
	local program ca=(--tls --ca "$CERTIFICATES/ca.pem")
	for program in "openssl" ncat socat; do
		other_server $program elsewhere
		refuses 4 "the certificate of localhost: hostname mismatch" "${ca[@]}" localhost
		other_server $program expired
		refuses 4 "the certificate of localhost: certificate has expired" "${ca[@]}" localhost
		other_server $program self
		refuses 4 "the certificate of localhost: self-signed certificate" "${ca[@]}" localhost
		other_server $program good
		refuses 4 "the certificate of localhost: " --tls --ca "$CERTIFICATES/other-ca.pem" localhost
		[ ! -s heard ]
		# and this is how one that holds differs
		run -0 mc connect "${ca[@]}" -z localhost "$port"
	done
}

@test "openssl s_server asks for our certificate, by TLS 1.2 and 1.3" {
	local version tls=(--tls --ca "$CERTIFICATES/ca.pem" --send-only)
	for version in tls1_2 tls1_3; do
		other_server openssl good -$version -CAfile "$CERTIFICATES/ca.pem" -Verify 1 -verify_return_error
		run -0 mc connect "${tls[@]}" --cert "$CERTIFICATES/client.pem" localhost "$port" <<<$version
		eventually grep -q $version heard
		run -1 mc connect "${tls[@]}" -q 5 localhost "$port" <<<secret
		! grep -q secret heard
		run -1 mc connect "${tls[@]:0:3}" -z localhost "$port"
	done
}

@test "an address is checked as one, however it is written" {
	local host
	server echo --tls --cert "$CERTIFICATES/good.pem"
	for host in 127.0.0.1 127.1 localhost; do
		run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" "$host" "$port" <<<hello
		equal "$output" hello
	done
	rm port
	begin echo --tls --cert "$CERTIFICATES/good.pem" --port-file port ::1 0
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" 0:0::1 "$(port_of port)" <<<hello
	equal "$output" hello
}

@test "a name that would be any name is refused, and a port alone means this host" {
	server echo --tls --cert "$CERTIFICATES/elsewhere.pem"
	run -2 mc connect --tls --ca "$CERTIFICATES/ca.pem" --server-name "" localhost "$port" <<<secret
	equal "$output" "muxcat: '': --server-name takes the name of a host"
	run -2 mc connect --tls --ca "$CERTIFICATES/ca.pem" --server-name .example localhost "$port" <<<secret
	server echo --tls --cert "$CERTIFICATES/good.pem"
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" "$port" <<<hello
	equal "$output" hello
}

@test "a certificate by somebody who took the authority's name is refused with 4" {
	(
		cd "$CERTIFICATES"
		mkdir -p false
		cd false
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -days 2 \
			-addext "subjectKeyIdentifier=none" -keyout ca.key -out ca.pem
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout key -out csr
		openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -out crt -days 2 \
			-extfile <(echo subjectAltName=DNS:localhost)
		cat crt key >forged.pem
	) 2>/dev/null
	server echo --tls --cert "$CERTIFICATES/false/forged.pem"
	refuses 4 "the certificate of localhost: " --tls --ca "$CERTIFICATES/ca.pem" localhost
}

@test "a subscriber that takes little at a time makes progress, and is not cut off" {
	python3 -c 'print("x" * 9999999)' >data
	begin fanout --tls --cert "$CERTIFICATES/good.pem" --stall 4 -O 4k --port-file port 127.0.0.1 0 <data 2>err
	local server=$pid
	mkfifo slow
	exec 5<>slow
	begin connect -I 4k --tls --ca "$CERTIFICATES/ca.pem" -d localhost "$(port_of port)" >slow
	python3 -c '
import os, time
fd = os.open("slow", os.O_RDONLY)
os.read(fd, 65536)
begin = time.monotonic()
taken = 0
while taken < 90000:  # at 10 kB/s: less than a buffer of 64 KiB within --stall, more than a record
    time.sleep(max(0, begin + taken / 10000 - time.monotonic()))
    taken += len(os.read(fd, 1000))' 3>&-
	exec 5>&-
	[ ! -s err ]
	kill -0 "$server"
}

@test "fanout --from a stream that was cut short: no subscriber takes it for the whole" {
	small >sent
	python3 -B "$BATS_TEST_DIRNAME/peers/tls_cut.py" sent listen source >asked 3>&- &
	started+=($!)
	port_of source
	begin fanout --ca "$CERTIFICATES/ca.pem" --from "tls:localhost:$(<source)" --port-file port 127.0.0.1 0 2>err
	local server=$pid
	status=0
	mc connect 127.0.0.1 "$(port_of port)" </dev/null >got 2>client.err || status=$?
	equal "$status" 1
	grep -q "Connection reset by peer" client.err
	cmp sent got
	ended "$server" 1
	cut_short err
}

@test "--ca takes a folder, and --insecure checks nothing but says so" {
	mkdir trusted
	cp "$CERTIFICATES/ca.pem" "trusted/$(openssl x509 -hash -noout -in "$CERTIFICATES/ca.pem").0"
	server echo --tls --cert "$CERTIFICATES/good.pem"
	run -0 mc connect --tls --ca trusted localhost "$port" <<<hello
	equal "$output" hello
	server echo --tls --cert "$CERTIFICATES/self.pem"
	run -0 --separate-stderr mc connect --tls --insecure localhost "$port" <<<hello
	equal "$output" hello
	equal "$stderr" "muxcat: --insecure: nobody checks who the server is"
}

@test "a server without a certificate makes one, and tells its fingerprint" {
	server echo --tls 2>err
	local fingerprint
	fingerprint=$(openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint -sha256)
	grep -qF "SHA-256 ${fingerprint#*=}" err
}

@test "client certificates: the right one is let in, no other is" {
	start listen -k -d -v --tls --cert "$CERTIFICATES/good.pem" --client-ca "$CERTIFICATES/ca.pem" \
		--port-file port 127.0.0.1 0 </dev/null >got 2>server.err
	port=$(port_of port)
	local tls=(--tls --ca "$CERTIFICATES/ca.pem")
	mc connect "${tls[@]}" --cert "$CERTIFICATES/client.pem" localhost "$port" <<<welcome
	mc connect "${tls[@]}" --cert "$CERTIFICATES/client.crt" --key "$CERTIFICATES/client.key" localhost "$port" <<<again
	eventually lines_with 2 . got
	grep -q 'accepted .*peer CN = client, verified' server.err
	# by TLS 1.3 a client learns of it with its first receive, by 1.2 in the handshake
	run -1 mc connect "${tls[@]}" localhost "$port" <<<secret
	[[ $output == *"certificate required"* ]]
	run -1 mc connect "${tls[@]}" --cert "$CERTIFICATES/self.pem" localhost "$port" <<<secret
	eventually grep -q "the certificate of the client: self-signed certificate" server.err
	equal "$(<got)" $'welcome\nagain'
	timeout 20 openssl s_client -connect "127.0.0.1:$port" -cert "$CERTIFICATES/client.pem" \
		-CAfile "$CERTIFICATES/ca.pem" -quiet <<<openssl 2>/dev/null 3>&- &
	started+=($!)
	eventually grep -q openssl got
}

@test "files that cannot be used: one line, and nothing is opened" {
	local what
	for what in "--cert nowhere" "--cert $CERTIFICATES/ca.pem" "--cert $CERTIFICATES/good.crt --key $CERTIFICATES/client.key" \
		"--client-ca nowhere" "--alpn ,"; do
		run -1 mc listen --tls $what 127.0.0.1 0 </dev/null
		equal "${#lines[@]}" 1
		[[ $output == "muxcat: TLS: "* ]]
	done
	run -1 mc connect --tls --ca nowhere 127.0.0.1 1 </dev/null
	equal "$output" "muxcat: TLS: nowhere: No such file or directory"
}

@test "options that contradict each other or have no TLS to belong to" {
	local what
	for what in "--cert x" "--tls -u" "--tls --key x" "--tls --ca x" "--insecure --ca x tls:h:1" "--alpn h2" "--tls-min 1.1 --tls" \
		"--tls-min 1.3" "tls:udp:h:1" "tls:unixgram:x"; do
		run -2 mc listen $what 127.0.0.1 0 </dev/null
		equal "${#lines[@]}" 1
	done
	run -2 mc connect --client-ca x --tls h 1
	run -2 mc echo --tls --insecure 0
}

# ---- what else a server or a client may be asked ----

@test "an encrypted key is asked for on the terminal" {
	status=0
	script -qec "$MUXCAT $MUXCAT_FLAGS listen -w 1 --tls --cert $CERTIFICATES/good.crt \
		--key $CERTIFICATES/locked.key 127.0.0.1 0" /dev/null <<<secret >out || status=$?
	cat out
	equal "$status" 3
	grep -q "pass phrase" out
}

@test "a client that stalls in the handshake is cut off, counts, and disturbs nobody" {
	start echo -m 2 --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 </dev/null 2>err
	port=$(port_of port)
	exec 5<>"/dev/tcp/127.0.0.1/$port" # says nothing
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
	exec 6<>"/dev/tcp/127.0.0.1/$port"
	# the two are all that -m allows, until the first has been cut off
	local begin=$SECONDS
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
	((SECONDS - begin >= 5))
	grep -q "accept 127.0.0.1:.*: its TLS handshake takes too long" err
	exec 5>&- 6>&-
}

@test "an end without close_notify was cut short: all that came is on stdout, all of stdin goes out, exit 1" {
	small >sent
	python3 -B "$BATS_TEST_DIRNAME/peers/tls_cut.py" sent listen port >asked 3>&- &
	started+=($!)
	local peer=$!
	status=0
	mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$(port_of port)" <sent >got 2>err || status=$?
	equal "$status" 1
	cut_short err
	cmp sent got
	ended "$peer" 0
	cmp sent asked
}

@test "listen -k and fanout go on sending to a client whose end was cut short" {
	local command
	mkfifo feed
	echo hello >sent
	for command in "listen -k" "fanout --broker"; do
		exec 4<>feed
		begin $command -v --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 <feed >out 2>err
		local server=$pid
		port=$(port_of port)
		python3 -B "$BATS_TEST_DIRNAME/peers/tls_cut.py" sent dial "$port" >got 3>&- 4>&- &
		local client=$!
		started+=("$client")
		eventually grep -q accepted err
		if [ "$command" = "listen -k" ]; then
			eventually grep -q "cut short" err
			echo later >&4
		else
			mc connect --tls --ca "$CERTIFICATES/ca.pem" -q 0.1 localhost "$port" <<<later
		fi
		eventually grep -q later got
		exec 4>&-
		stop "$server"
		ended "$client" 0 || ended "$client" 1
		rm port
	done
}

@test "a session is resumed" {
	local version
	server echo -v --tls --cert "$CERTIFICATES/good.pem" 2>err
	for version in tls1_2 tls1_3; do
		echo hello | timeout 20 openssl s_client -connect "127.0.0.1:$port" -$version -sess_out session -ign_eof \
			>out 2>&1 3>&- &
		started+=($!)
		eventually test -s session
		openssl s_client -connect "127.0.0.1:$port" -$version -sess_in session </dev/null >again 2>&1
		grep -q "^Reused, " again
		eventually grep -q "accepted .*resumed" err
		rm session
	done
}

@test "renegotiation is refused" {
	server echo -v --tls --cert "$CERTIFICATES/good.pem" 2>err
	grep -q "^muxcat: listening on 127.0.0.1:$port (tls)$" err
	mkfifo feed
	exec 4<>feed
	openssl s_client -tls1_2 -connect "127.0.0.1:$port" <feed >out 2>&1 3>&- 4>&- &
	started+=($!)
	eventually grep -q "Extended master secret" out
	echo R >&4 # its command for that
	eventually grep -q "no renegotiation" out
	exec 4>&-
}

@test "--alpn agrees on what both have, by the server's preference" {
	server echo -v --tls --cert "$CERTIFICATES/good.pem" --alpn h2,http/1.1 2>err
	run -0 mc connect -v --tls --ca "$CERTIFICATES/ca.pem" --alpn http/1.1,h2 localhost "$port" </dev/null
	[[ $output == *", verified, ALPN h2)"* ]]
	grep -q "ALPN h2)" err
	run -1 mc connect --tls --ca "$CERTIFICATES/ca.pem" --alpn smtp localhost "$port" </dev/null
	[[ $output == *"no application protocol"* ]]
}

@test "--tls-min 1.3 speaks to no older peer" {
	server echo --tls --tls-min 1.3 --cert "$CERTIFICATES/good.pem"
	run ! openssl s_client -connect "127.0.0.1:$port" -tls1_2 </dev/null
	run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
}

@test "-v tells protocol, cipher, peer and verification" {
	server echo --tls --cert "$CERTIFICATES/good.pem"
	run -0 mc connect -v --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" </dev/null
	[[ ${lines[0]} =~ ^muxcat:\ connected\ to\ 127.0.0.1:[0-9]+\ \(tls:\ TLSv1.3,\ TLS_[A-Z0-9_]+,\ peer\ CN\ =\ good,\ verified\)$ ]]
}

@test "SSLKEYLOGFILE is honoured, with a warning" {
	server echo --tls --cert "$CERTIFICATES/good.pem"
	SSLKEYLOGFILE=keys run -0 --separate-stderr mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
	equal "$stderr" "muxcat: SSLKEYLOGFILE: whoever reads keys can read what is sent"
	grep -q "^CLIENT_TRAFFIC_SECRET_0 " keys
	equal "$(stat -c %a keys)" 600
}

@test "a run without TLS costs no more than in a build without it" {
	case $MUXCAT_BUILD in *asan | *tsan) skip "a sanitizer's build costs what it costs" ;; esac
	[ -x "$MUXCAT_BUILD/no-tls/muxcat" ] || skip "there is no build without TLS beside this one"
	run -0 driver start_cost "$MUXCAT" "$MUXCAT_BUILD/no-tls/muxcat" 15
	echo "$output times"
	awk -v ratio="$output" 'BEGIN { exit !(ratio <= 1.1) }'
}
