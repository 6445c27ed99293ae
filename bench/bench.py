#!/usr/bin/env python3
"""Measures muxcat beside its peers: bench.py [CASE]...

All programs of a case take turns in one run, several rounds, and the median counts: machines are shared
and noisy, and only what was measured together can be compared. Writes results/CASE.csv beside this file.

tls  1 GiB from a file to /dev/null, over loopback, by TLS
"""
import csv
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MUXCAT = os.environ.get("MUXCAT", os.path.join(HERE, "..", "build", "muxcat"))
ROUNDS = int(os.environ.get("ROUNDS", "7"))


def free_port():
	with socket.create_server(("127.0.0.1", 0)) as s:
		return str(s.getsockname()[1])


def await_listener(port):
	"""Connecting would be a connection: /proc knows too."""
	wanted = ":%04X 00000000:0000 0A " % int(port)
	deadline = time.monotonic() + 20
	while time.monotonic() < deadline:
		with open("/proc/net/tcp") as file:
			if wanted in file.read():
				return
		time.sleep(0.002)
	sys.exit("nobody listens on " + port)


def transfer(port, server, client, path):
	"""Seconds from the client's start to the end of both, and the processor time of both."""
	null = subprocess.DEVNULL
	before = resource.getrusage(resource.RUSAGE_CHILDREN)
	receiver = subprocess.Popen(server, stdin=null, stdout=null, stderr=null)
	await_listener(port)
	begin = time.monotonic()
	with open(path, "rb") as file:
		sender = subprocess.Popen(client, stdin=file, stdout=null, stderr=null)
	try:
		sender.wait(120)
		receiver.wait(120)
	finally:
		sender.kill()
		receiver.kill()
	took = time.monotonic() - begin
	after = resource.getrusage(resource.RUSAGE_CHILDREN)
	return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def tls(folder):
	path, pem, key = (os.path.join(folder, name) for name in ("file", "cert.pem", "key.pem"))
	with open(path, "wb") as file:
		for _ in range(1024):
			file.write(os.urandom(1 << 20))
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

	def measure(name):
		port = free_port()
		return transfer(port, *programs(port)[name], path)

	return {name: (lambda name=name: measure(name)) for name in programs("0")}


CASES = {"tls": tls}


def run(name):
	with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
		measures = CASES[name](folder)
		figures = {program: [] for program in measures}
		for _ in range(ROUNDS):
			for program, measure in measures.items():
				figures[program].append(measure())
	os.makedirs(os.path.join(HERE, "results"), exist_ok=True)
	with open(os.path.join(HERE, "results", name + ".csv"), "w", newline="") as file:
		rows = csv.writer(file)
		rows.writerow(["program", "seconds", "processor seconds"])
		first = None
		for program, taken in figures.items():
			seconds, processor = (statistics.median(column) for column in zip(*taken))
			first = first or seconds
			rows.writerow([program, "%.3f" % seconds, "%.3f" % processor])
			print("%-4s %-8s %.3f s, %.3f s of processor time; muxcat is %.2f times as fast"
				% (name, program, seconds, processor, seconds / first))


for case in sys.argv[1:] or CASES:
	run(case)
