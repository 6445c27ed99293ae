"""A muxcat server under load, and what it costs: CPU time, memory, system calls."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

from joined import PATIENCE, WINDOWS, muxcat, pattern
from short_run import in_pipe

BUILD = os.environ["MUXCAT_BUILD"]


def pin(processor):
	"""Server and load each keep to a processor, where the scheduler might put both on one."""
	allowed = sorted(os.sched_getaffinity(0))
	return lambda: os.sched_setaffinity(0, {allowed[processor % len(allowed)]})


class Server:
	"""muxcat echo, or another command, on a free port."""

	def __init__(self, *options, command="echo", stdin=None):
		self.dir = tempfile.TemporaryDirectory()
		port_file = os.path.join(self.dir.name, "port")
		self.process = subprocess.Popen(
			muxcat(command, *options, "--port-file", port_file, "127.0.0.1", "0"),
			stdin=stdin, preexec_fn=pin(0))
		deadline = time.monotonic() + PATIENCE
		while not os.path.exists(port_file):
			assert time.monotonic() < deadline, "no port file"
			time.sleep(0.005)
		with open(port_file) as file:
			self.port = int(file.read())

	def cpu_ns(self):
		"""CPU time used so far, in nanoseconds (proc(5), schedstat)."""
		with open(f"/proc/{self.process.pid}/schedstat") as file:
			return int(file.read().split()[0])

	def resident_bytes(self):
		with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
			return int(re.search(r"^Rss: +(\d+) kB", file.read(), re.M).group(1)) * 1024

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.process.kill()
		self.process.wait()
		self.dir.cleanup()


class Load:
	"""Connections to it: `idle` silent ones, and `busy` ones that do `trips` round trips at a go."""

	def __init__(self, server, idle, busy, trips, size=64):
		self.trips = trips
		self.process = subprocess.Popen(
			[BUILD + "/loads/round_trips", *map(str, (server.port, idle, busy, trips, size))],
			stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pin(1))
		assert self.process.stdout.readline() == "ready\n", "the load did not connect"

	def run(self):
		self.process.stdin.write("go\n")
		self.process.stdin.flush()
		assert self.process.stdout.readline().startswith("done"), "the load failed"

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.process.stdin.close()
		self.process.kill()
		self.process.wait()


def memory(idle):
	"""At most 1 KiB for each of `idle` clients."""
	with Server() as server:
		with Load(server, 0, 1, 1):
			empty = server.resident_bytes()
		with Load(server, idle, 1, 1):
			each = (server.resident_bytes() - empty) / idle
	print(f"{each:.0f} bytes for each of {idle} idle clients")
	assert each <= 1024, "over 1 KiB"


def growth_behind(count, size):
	"""By how much a fanout grows that has so many subscribers, each `size` bytes behind."""
	with Server("--queue=8M", "--stall=60", "--min-clients=%d" % count, "-O", "4k", command="fanout",
			stdin=subprocess.PIPE) as server:
		subscribers = [socket.socket() for _ in range(count)]
		for subscriber in subscribers:
			subscriber.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
			subscriber.connect(("127.0.0.1", server.port))
		before = server.resident_bytes()
		stdin = server.process.stdin
		stdin.write(pattern(0, size))
		stdin.flush()
		deadline = time.monotonic() + PATIENCE
		while in_pipe(stdin.fileno()):
			assert time.monotonic() < deadline, "it does not read"
			time.sleep(0.01)
		return server.resident_bytes() - before


def behind(count):
	"""What subscribers have not taken is stored once, and each has a cursor in it."""
	size = 4 << 20
	few = growth_behind(10, size)
	many = growth_behind(count, size)
	each = (many - few) / (count - 10)
	print(f"{few:,} bytes for 10 subscribers, {each:.0f} for each more")
	assert few >= size, "it is not behind"
	assert each <= 4096, "over 4 KiB"


def cost(idles):
	"""CPU time of the server for a round trip among 100 busy clients, beside `idles` idle ones."""
	trips, rounds = 20000, 7
	best = {idle: float("inf") for idle in idles}
	servers = {idle: Server() for idle in idles}
	loads = {idle: Load(servers[idle], idle, 100, trips) for idle in idles}
	for _ in range(rounds):  # in turn, so that a change of the machine's speed meets them all
		for idle in idles:
			before = servers[idle].cpu_ns()
			loads[idle].run()
			best[idle] = min(best[idle], (servers[idle].cpu_ns() - before) / trips)
	for idle in idles:
		loads[idle].__exit__()
		servers[idle].__exit__()
		print(f"{idle:6} idle: {best[idle]:.0f} ns CPU a round trip")
	return [best[idle] for idle in idles]


def flat(idle):
	none, many = cost([0, idle])
	limit = 1.5 if WINDOWS else 1.10  # Wine's own share changes more; looking at each would be many times
	assert many <= limit * none, f"{many / none:.2f} times the cost with none idle"


def grows(idle):
	none, many = cost([0, idle])
	assert many >= 1.2 * none, f"only {many / none:.2f} times the cost with none idle"


def calls():
	"""System calls a round trip with 100 busy clients, counted by strace."""
	trips = 20000
	with Server() as server, Load(server, 0, 100, trips) as load:
		with tempfile.NamedTemporaryFile("r") as report:
			strace = subprocess.Popen(
				["strace", "-c", "-f", "-p", str(server.process.pid), "-o", report.name],
				stderr=subprocess.PIPE, text=True)
			assert "attached" in strace.stderr.readline()
			load.run()
			strace.terminate()
			strace.wait()
			table = report.read()
	counts = {name: int(n) for n, name in re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", table, re.M)}
	counts.pop("total", None)
	each = sum(counts.values()) / trips
	print(f"{each:.3f} system calls a round trip: {counts}")
	assert counts, "strace counted nothing:\n" + table
	assert each <= 2.2, "over 2.2"
	assert "epoll_ctl" not in counts, "epoll_ctl on the path of a byte"


if __name__ == "__main__":
	function, *arguments = sys.argv[1:]
	globals()[function](*map(int, arguments))
