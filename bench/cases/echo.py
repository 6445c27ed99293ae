"""Processor time of a server for a round trip, and the round trip's own, among busy clients."""
from functools import partial

from measure import MUXCAT, ROUNDS, Load, Server, fresh_rounds, ref

TRIPS = 100000
SERVERS = {
	"muxcat": [MUXCAT, "echo", "--port-file=/dev/stdout", "127.0.0.1", "0"],
	"muxcat, edge": [MUXCAT, "echo", "--edge", "--port-file=/dev/stdout", "127.0.0.1", "0"],
	"epoll loop": [ref("epoll_echo")],
	"libuv": [ref("uv_echo"), "guide"],
	"libuv, uv_try_write": [ref("uv_echo"), "try"],
}


class Pair:
	def __init__(self, command, clients, size):
		self.server = Server(command)
		self.load = Load("round_trips", self.server.port, 0, clients, TRIPS, size)

	def measure(self):
		before = self.server.nanoseconds()
		wall, median, p99 = self.load.run()
		return (self.server.nanoseconds() - before) / TRIPS, wall / TRIPS, median, p99

	def end(self):
		self.server.end() # first, so that TIME_WAIT keeps its port and not those of all clients
		self.load.end()


def run(_folder):
	rows = []
	for size in (64, 16384):
		for clients in (100, 1000):
			starts = {name: partial(Pair, command, clients, size) for name, command in SERVERS.items()}
			figures = fresh_rounds(starts, Pair.measure, 3 * ROUNDS, ("muxcat", "epoll loop")) # a p99 varies
			for name, (processor, wall, median, p99) in figures.items():
				rows.append([size, clients, name, *("%.0f" % f for f in (processor, wall, median, p99)),
					"%.3f" % (1 / figures.ratio(name, 0)), "%.3f" % (figures["muxcat"][3] / p99)])
	return ["bytes", "clients", "program", "server's processor ns a round trip", "ns a round trip",
		"median latency ns", "p99 latency ns", "muxcat's processor time relative", "muxcat's p99 relative"], rows
