# What the tests of TLS share: certificates, made once a file, and other programs.

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
	begin_tls
}

begin_tls() {
	! on_windows || begin_wine
	make_certificates >/dev/null 2>&1
}

# instead of helper.bash's
setup() {
	begin_test
	needs_tls
}

# Some random bytes, more than one record of TLS.
small() {
	head -c 300000 /dev/urandom
}

cut_short() {
	cat "$1"
	[[ $(<"$1") =~ ^muxcat:\ recv\ [^\ ]*:\ cut\ short:\ the\ end\ came\ without\ TLS\'s\ close_notify$ ]]
}

listens() {
	ss -Hltn "sport = :$1" | grep -q .
}
