"""Processor time of a round trip among 100 busy clients, beside idle ones."""
from measure import MUXCAT, Load, Server, rounds

TRIPS = 20000
BUSY = 100
IDLE = (0, 100, 300, 800, 2000, 5000, 10000)
SELECT_LIMIT = 1000 # FD_SETSIZE, less what else is open and those that are busy
BACKENDS = ("select", "poll", "epoll", "epoll --edge")


class Pair:
	def __init__(self, backend, idle):
		self.server = Server([MUXCAT, "echo", *("--backend=" + backend).split(), "--port-file=/dev/stdout",
			"127.0.0.1", "0"])
		self.load = Load("round_trips", self.server.port, idle, BUSY, TRIPS, 64)

	def measure(self):
		before = self.server.nanoseconds()
		self.load.run()
		return ((self.server.nanoseconds() - before) / TRIPS,)

	def end(self):
		self.load.end()
		self.server.end()


def run(_folder):
	rows = []
	for idle in IDLE:
		pairs = {backend: Pair(backend, idle) for backend in BACKENDS
			if backend != "select" or idle + BUSY < SELECT_LIMIT}
		figures = rounds(pairs, Pair.measure)
		for pair in pairs.values():
			pair.end()
		rows.append([idle, *("%.0f" % figures[backend][0] if backend in figures else "" for backend in BACKENDS)])
	return ["idle clients", *BACKENDS], rows
