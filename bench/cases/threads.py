"""Processor time of a round trip by one thread and by two, and how the connections are spread."""
import os

from measure import MUXCAT, Load, Server, rounds

TRIPS = 100000
OWN = 2 # a loop's listener and what wakes it


def connections(process):
	"""How many each loop has: what is in its epoll set (proc(5), fdinfo)."""
	folder = "/proc/%d/fdinfo" % process.pid
	counts = []
	for name in os.listdir(folder):
		with open(os.path.join(folder, name)) as file:
			counts.append(file.read().count("tfd:"))
	return [count - OWN for count in counts if count]


class Pair:
	def __init__(self, threads, clients):
		self.server = Server([MUXCAT, "echo", "--threads=%d" % threads, "--port-file=/dev/stdout", "127.0.0.1", "0"])
		self.load = Load("round_trips", self.server.port, 0, clients, TRIPS, 64)

	def measure(self):
		before = self.server.nanoseconds()
		wall, _, p99 = self.load.run()
		return (self.server.nanoseconds() - before) / TRIPS, wall / TRIPS, p99

	def end(self):
		self.load.end()
		self.server.end()


def run(_folder):
	rows = []
	for clients in (100, 1000):
		pairs = {threads: Pair(threads, clients) for threads in (1, 2)}
		figures = rounds(pairs, Pair.measure)
		spread = {threads: connections(pair.server.process) for threads, pair in pairs.items()}
		for pair in pairs.values():
			pair.end()
		for threads, (processor, wall, p99) in figures.items():
			rows.append([clients, threads, *("%.0f" % f for f in (processor, wall, p99)),
				"%.2f" % figures.ratio(threads, 0, to=1), " + ".join(map(str, spread[threads]))])
	return ["clients", "threads", "server's processor ns a round trip", "ns a round trip", "p99 latency ns",
		"processor time to one thread's", "connections"], rows
