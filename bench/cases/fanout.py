"""What it costs to send a message of 100 bytes to every subscriber, single and in a stream."""
import subprocess

from measure import MUXCAT, NULL, Load, Server, free_port, ref, rounds

SIZE = 100
SELECT_LIMIT = 1000 # ncat's


class Fed:
	"""A server that publishes what it reads from stdin."""

	def __init__(self, command, subscribers, mode):
		self.server = Server(command, stdin=subprocess.PIPE)
		self.load = Load("subscribers", self.server.port, subscribers, SIZE, mode, "stdout",
			stdout=self.server.process.stdin)


class Broker:
	"""A server that publishes what one of its clients sends."""

	def __init__(self, command, port, subscribers, mode):
		self.server = Server(command, port=port)
		self.load = Load("subscribers", port, subscribers, SIZE, mode, "connection", stdout=NULL)


def measure(messages, subscribers):
	def once(pair):
		before = pair.server.nanoseconds()
		(wall,) = pair.load.run(str(messages))
		sent = messages * subscribers
		return (pair.server.nanoseconds() - before) / sent, wall / sent
	return once


def pairs_of(subscribers, mode):
	pairs = {
		"muxcat": Fed([MUXCAT, "fanout", "--port-file=/dev/stdout", "--min-clients=%d" % subscribers,
			"127.0.0.1", "0"], subscribers, mode),
		"send loop": Fed([ref("send_loop"), str(subscribers)], subscribers, mode),
	}
	ports = free_port(), free_port()
	pairs["muxcat --broker"] = Broker([MUXCAT, "fanout", "--broker", "127.0.0.1", ports[0]], ports[0], subscribers,
		mode)
	if subscribers < SELECT_LIMIT:
		pairs["ncat --broker"] = Broker(["ncat", "--broker", "-l", "-m", "1000", "127.0.0.1", ports[1]], ports[1],
			subscribers, mode)
	return pairs


def run(_folder):
	rows = []
	for subscribers in (10, 100, 800, 5000):
		for mode, sent in (("single", 400000), ("stream", 20000000)):
			pairs = pairs_of(subscribers, mode)
			messages = sent // subscribers
			figures = rounds(pairs, measure(messages, subscribers))
			for pair in pairs.values():
				pair.load.end()
				pair.server.end()
			for name, (processor, wall) in figures.items():
				rows.append([subscribers, mode, name, "%.1f" % processor, "%.1f" % wall,
					*("%.2f" % figures.ratio(name, *to) for to in ((0,), (1,), (1, "muxcat --broker")))])
	return ["subscribers", "messages", "program", "server's processor ns a message and subscriber",
		"ns a message and subscriber", "muxcat costs so many times less", "muxcat is so many times as fast",
		"muxcat --broker is so many times as fast"], rows
