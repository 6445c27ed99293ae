"""What it costs to send a message of 100 bytes to every subscriber, single and in a stream."""
import subprocess
from functools import partial

from measure import MUXCAT, NULL, ROUNDS, Load, Server, free_port, fresh_rounds, ref

SIZE = 100
SELECT_LIMIT = 1000 # ncat's


class Pair:
	"""A server, and the load that gives it messages and takes them."""

	def end(self):
		self.server.end() # first, so that TIME_WAIT keeps its port and not those of all clients
		self.load.end()


class Fed(Pair):
	"""A server that publishes what it reads from stdin."""

	def __init__(self, command, subscribers, mode):
		self.server = Server(command, stdin=subprocess.PIPE)
		self.load = Load("subscribers", self.server.port, subscribers, SIZE, mode, "stdout",
			stdout=self.server.process.stdin)


class Broker(Pair):
	"""A server that publishes what one of its clients sends."""

	def __init__(self, command, subscribers, mode):
		port = free_port()
		command = [port if word == "PORT" else word for word in command]
		self.server = Server(command, port=port)
		self.load = Load("subscribers", port, subscribers, SIZE, mode, "connection", stdout=NULL)


def measure(messages, subscribers):
	def once(pair):
		before = pair.server.nanoseconds()
		(wall,) = pair.load.run(str(messages))
		sent = messages * subscribers
		return (pair.server.nanoseconds() - before) / sent, wall / sent
	return once


def starts_of(subscribers, mode):
	starts = {
		"muxcat": partial(Fed, [MUXCAT, "fanout", "--port-file=/dev/stdout", "--min-clients=%d" % subscribers,
			"127.0.0.1", "0"], subscribers, mode),
		"send loop": partial(Fed, [ref("send_loop"), str(subscribers)], subscribers, mode),
		"muxcat --broker": partial(Broker, [MUXCAT, "fanout", "--broker", "127.0.0.1", "PORT"], subscribers, mode),
	}
	if subscribers < SELECT_LIMIT:
		starts["ncat --broker"] = partial(Broker, ["ncat", "--broker", "-l", "-m", "1000", "127.0.0.1", "PORT"],
			subscribers, mode)
	return starts


def run(_folder):
	rows = []
	for subscribers in (10, 100, 800, 5000):
		for mode, sent in (("single", 400000), ("stream", 20000000)):
			messages = sent // subscribers
			figures = fresh_rounds(starts_of(subscribers, mode), measure(messages, subscribers), ROUNDS,
				("muxcat", "send loop", "muxcat --broker")) # ncat takes long to accept
			for name, (processor, wall) in figures.items():
				rows.append([subscribers, mode, name, "%.1f" % processor, "%.1f" % wall,
					*("%.2f" % figures.ratio(name, *to) for to in ((0,), (1,), (1, "muxcat --broker")))])
	return ["subscribers", "messages", "program", "server's processor ns a message and subscriber",
		"ns a message and subscriber", "muxcat costs so many times less", "muxcat is so many times as fast",
		"muxcat --broker is so many times as fast"], rows
