#!/usr/bin/env bats
# TLS: nobody is trusted who has not proved who it is, and our own keys stay ours.

load tls_helper

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
	timeout "$PATIENCE" openssl s_client -connect "127.0.0.1:$port" -cert "$CERTIFICATES/client.pem" \
		-CAfile "$CERTIFICATES/ca.pem" -quiet <<<openssl 2>/dev/null 3>&- &
	started+=($!)
	eventually grep -q openssl got
}

@test "files that cannot be used: one line, and nothing is opened" {
	local what
	for what in "--cert nowhere" "--cert $CERTIFICATES/ca.pem" "--cert $CERTIFICATES/good.crt --key $CERTIFICATES/client.key" \
		"--client-ca nowhere"; do
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

@test "an encrypted key is asked for on the terminal" {
	mkfifo typed
	exec 5<>typed
	script -qec "$MUXCAT $MUXCAT_FLAGS listen -w 1 --tls --cert $CERTIFICATES/good.crt \
		--key $CERTIFICATES/locked.key 127.0.0.1 0" /dev/null <typed >out 3>&- 5>&- &
	pid=$!
	started+=("$pid")
	eventually grep -qa "pass phrase" out
	printf 'secret\r' >&5
	ended "$pid" 3
}

@test "a pass phrase is never taken from what is to be sent" {
	printf 'secret\nhello\n' >data
	local certificate=(--cert "$CERTIFICATES/good.crt" --key "$CERTIFICATES/locked.key")
	run -1 setsid -w "$MUXCAT" $MUXCAT_FLAGS listen --tls "${certificate[@]}" 127.0.0.1 0 <data
	equal "$output" "muxcat: TLS: $CERTIFICATES/locked.key: encrypted, and no terminal to ask on"
}

@test "a file without what is looked for in it is told of in words" {
	run -1 mc listen --tls --cert "$CERTIFICATES/good.crt" 127.0.0.1 0 </dev/null
	equal "$output" "muxcat: TLS: $CERTIFICATES/good.crt: no private key in it"
	run -1 mc listen --tls --cert "$CERTIFICATES/good.key" 127.0.0.1 0 </dev/null
	equal "$output" "muxcat: TLS: $CERTIFICATES/good.key: no certificate in it"
	openssl genrsa -out rsa.key 2>/dev/null
	run -1 mc listen --tls --cert "$CERTIFICATES/good.crt" --key rsa.key 127.0.0.1 0 </dev/null
	equal "$output" "muxcat: TLS: rsa.key: not the key of that certificate"
}

@test "SSLKEYLOGFILE is honoured, with a warning" {
	server echo --tls --cert "$CERTIFICATES/good.pem"
	SSLKEYLOGFILE=keys run -0 --separate-stderr mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <<<hello
	equal "$output" hello
	equal "$stderr" "muxcat: SSLKEYLOGFILE: whoever reads keys can read what is sent"
	grep -q "^CLIENT_TRAFFIC_SECRET_0 " keys
	on_windows || equal "$(stat -c %a keys)" 600 # there the folder says who may read it
}
