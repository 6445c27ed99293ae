#!/usr/bin/env python3
"""Measures muxcat beside its peers: bench.py [CASE]...

All programs of a case take turns in one run, several rounds, and the median counts: machines are shared
and noisy, and only what was measured together can be compared. Writes results/CASE.csv beside this file.

echo  processor time of a server for a round trip: 64 B and 16 KiB, 100 and 1,000 busy clients
tls   1 GiB from a file to /dev/null, over loopback, by TLS
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
BUILD = os.environ.get("BUILD", os.path.join(HERE, "..", "build"))
MUXCAT = os.path.join(BUILD, "muxcat")
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


def keep_to(processor):
	"""Server and load each keep to a processor, where the scheduler might put both on one."""
	allowed = sorted(os.sched_getaffinity(0))
	return lambda: os.sched_setaffinity(0, {allowed[processor % len(allowed)]})


class EchoServer:
	"""A server, and a load whose `clients` are connected to it for as long as it lasts."""

	def __init__(self, command, clients, trips, size):
		self.trips = trips
		self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
			preexec_fn=keep_to(0))
		port = self.server.stdout.readline().decode().strip()
		self.load = subprocess.Popen([os.path.join(BUILD, "load"), port, "0", *map(str, (clients, trips, size))],
			stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=keep_to(1))
		self.load.stdout.readline()

	def nanoseconds(self):
		with open("/proc/%d/schedstat" % self.server.pid) as file:
			return int(file.read().split()[0])

	def round_trip(self):
		before = self.nanoseconds()
		self.load.stdin.write(b"go\n")
		self.load.stdin.flush()
		answer = self.load.stdout.readline()
		if not answer.startswith(b"done"):
			sys.exit("the load failed")
		return (self.nanoseconds() - before) / self.trips, int(answer.split()[1]) / self.trips

	def end(self):
		for process in (self.load, self.server):
			process.kill()
			process.wait()


ECHO_SERVERS = {
	"muxcat": [MUXCAT, "echo", "--port-file=/dev/stdout", "127.0.0.1", "0"],
	"epoll": [os.path.join(BUILD, "bench", "epoll_echo")],
	"libuv": [os.path.join(BUILD, "bench", "uv_echo")],
}


def echo(_folder):
	trips = 100000
	figures = {}
	for size in (64, 16384):
		for clients in (100, 1000):
			servers = {name: EchoServer(command, clients, trips, size) for name, command in ECHO_SERVERS.items()}
			for _ in range(ROUNDS):
				for name, server in servers.items():
					figures.setdefault((size, clients, name), []).append(server.round_trip())
			for server in servers.values():
				server.end()
	rows = []
	for (size, clients, name), taken in figures.items():
		processor, wall = (statistics.median(column) for column in zip(*taken))
		ours = statistics.median(column[0] for column in figures[size, clients, "muxcat"])
		rows.append([size, clients, name, "%.0f" % processor, "%.0f" % wall, "%.3f" % (ours / processor)])
	return ["bytes", "clients", "program", "server's processor ns a round trip", "ns a round trip",
		"muxcat's processor time relative to it"], rows


def one_way(programs):
	"""Columns and rows for what takes turns: {program: a function that gives its seconds}."""
	figures = {program: [] for program in programs}
	for _ in range(ROUNDS):
		for program, measure in programs.items():
			figures[program].append(measure())
	rows = []
	for program, taken in figures.items():
		seconds, processor = (statistics.median(column) for column in zip(*taken))
		rows.append([program, "%.3f" % seconds, "%.3f" % processor])
	first = float(rows[0][1])
	for row in rows:
		row.append("%.2f" % (float(row[1]) / first))
	return ["program", "seconds", "processor seconds", "muxcat is so many times as fast"], rows


CASES = {"echo": echo, "tls": lambda folder: one_way(tls(folder))}


def run(name):
	with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
		columns, rows = CASES[name](folder)
	os.makedirs(os.path.join(HERE, "results"), exist_ok=True)
	with open(os.path.join(HERE, "results", name + ".csv"), "w", newline="") as file:
		csv.writer(file).writerows([columns, *rows])
	for row in rows:
		print(name + ": " + ", ".join("%s %s" % pair for pair in zip(columns, row)))


for case in sys.argv[1:] or CASES:
	run(case)
