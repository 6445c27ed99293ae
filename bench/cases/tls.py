"""1 GiB one way by TLS 1.3, from a file to /dev/null."""
import os
import subprocess

import transfer
from measure import MUXCAT


def run(folder):
	pem, key = (os.path.join(folder, name) for name in ("cert.pem", "key.pem"))
	subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", pem], check=True, stderr=subprocess.DEVNULL)

	def programs(port):
		socat = ["socat", "-u", "-b", "1048576"]
		return {
			"muxcat": ([MUXCAT, "listen", "-d", "--tls", "--cert", pem, "--key", key, "127.0.0.1", port],
				[MUXCAT, "connect", "--send-only", "--tls", "--insecure", "127.0.0.1", port]),
			"ncat": (["ncat", "-l", "--recv-only", "--ssl", "--ssl-cert", pem, "--ssl-key", key, "127.0.0.1", port],
				["ncat", "--send-only", "--ssl", "127.0.0.1", port]),
			"socat": (socat + ["OPENSSL-LISTEN:%s,bind=127.0.0.1,cert=%s,key=%s,verify=0" % (port, pem, key), "STDOUT"],
				socat + ["STDIN", "OPENSSL:127.0.0.1:%s,verify=0" % port]),
		}

	return transfer.compare(programs, {"file to /dev/null": (transfer.file_to_null, transfer.big_file(folder))})
