#!/usr/bin/env bats
# TLS with other programs, both roles: data, ends, versions, sessions.

load tls_helper

# speaking VERSION COMMAND...: a program that uses OpenSSL, and no other version of TLS.
speaking() {
	cat >only.cnf <<-END
		openssl_conf = all
		[all]
		ssl_conf = ssl
		[ssl]
		system_default = only
		[only]
		MinProtocol = TLSv$1
		MaxProtocol = TLSv$1
	END
	OPENSSL_CONF=only.cnf exec "${@:2}" 3>&-
}

same_size() {
	[ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ]
}

# With -quiet it takes no letter of the data for a command.
@test "openssl s_server as the server: both ways, and each end in order" {
	local version
	small >answer
	small >sent
	for version in tls1_2 tls1_3; do
		mkfifo ask.$version feed.$version
		port=$(python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" free)
		openssl s_server -accept "127.0.0.1:$port" -cert "$CERTIFICATES/good.pem" -naccept 1 -quiet -$version \
			<>ask.$version >asked 2>server.err 3>&- &
		started+=($!)
		eventually listens "$port"
		exec 4<>feed.$version
		begin connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$port" <feed.$version >got 2>err 4>&-
		cat sent >&4
		eventually cmp -s sent asked
		cat answer >ask.$version
		eventually cmp -s answer got
		exec 4>&- # our end, which it answers with its own
		ended "$pid" 0
		cmp answer got
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

@test "openssl s_client as the client: its end is one" {
	local version server
	small >sent
	for version in tls1_2 tls1_3; do
		rm -f port
		begin listen --recv-only --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 >got 2>err
		server=$pid
		timeout "$PATIENCE" openssl s_client -connect "127.0.0.1:$(port_of port)" -$version -nocommands \
			<sent >client.out 2>client.err 3>&-
		ended "$server" 0
		cmp sent got
	done
}

# ncat 7.93 ends its side without close_notify: nothing is lost, but nobody can know.
@test "ncat as the client: both ways, and its end is told for what it is" {
	local version server
	small >sent
	for version in 1.2 1.3; do
		rm -f port
		begin listen --tls --cert "$CERTIFICATES/good.pem" --port-file port 127.0.0.1 0 <sent >got 2>err
		server=$pid
		(speaking $version timeout "$PATIENCE" ncat --ssl --ssl-verify --ssl-trustfile "$CERTIFICATES/ca.pem" localhost \
			"$(port_of port)") <sent >answer
		ended "$server" 1
		cut_short err
		cmp sent got
		cmp sent answer
	done
}

@test "ncat as the server: both ways, and its end is told for what it is" {
	local version ncat
	small >sent
	small >answer
	for version in 1.2 1.3; do
		free=$(python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" free)
		speaking $version ncat --ssl --ssl-cert "$CERTIFICATES/good.crt" --ssl-key "$CERTIFICATES/good.key" \
			-l 127.0.0.1 "$free" <answer >got &
		ncat=$!
		started+=("$ncat")
		eventually listens "$free"
		mkfifo feed.$version
		exec 4<>feed.$version
		begin connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$free" <feed.$version >heard 2>err 4>&-
		cat sent >&4
		eventually same_size answer heard # it sends nothing more once it has our end
		exec 4>&-
		status_of "$pid"
		if ((status)); then # it may have seen our end first, and then says close_notify
			equal "$status" 1
			cut_short err
		else
			[ ! -s err ]
		fi
		ended "$ncat" 0
		cmp sent got
		cmp answer heard
	done
}

@test "socat as the client and as the server" {
	local version
	small >sent
	server echo --tls --cert "$CERTIFICATES/good.pem" -v 2>err
	for version in 1.2 1.3; do
		(speaking $version socat -t 20 STDIO "OPENSSL:localhost:$port,cafile=$CERTIFICATES/ca.pem") <sent >got
		cmp sent got
		eventually grep -q "TLSv$version" err
		free=$(python3 -B "$BATS_TEST_DIRNAME/peers/listen_peer.py" free)
		speaking $version socat -t 20 "OPENSSL-LISTEN:$free,bind=127.0.0.1,cert=$CERTIFICATES/good.pem,verify=0" \
			"SYSTEM:cat >got2; echo done" &
		started+=($!)
		eventually listens "$free"
		run -0 mc connect --tls --ca "$CERTIFICATES/ca.pem" localhost "$free" <sent
		equal "$output" "done"
		cmp sent got2
	done
}

@test "a session is resumed" {
	local version
	server echo -v --tls --cert "$CERTIFICATES/good.pem" 2>err
	for version in tls1_2 tls1_3; do
		echo hello | timeout "$PATIENCE" openssl s_client -connect "127.0.0.1:$port" -$version -sess_out session -ign_eof \
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
