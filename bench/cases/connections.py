"""Accepting and closing connections, and the longest wait in a burst of 5,000 at the same time."""
from measure import MUXCAT, Load, Server, ref, rounds

SERVERS = {
	"muxcat": [MUXCAT, "echo", "--port-file=/dev/stdout", "127.0.0.1", "0"],
	"epoll loop": [ref("epoll_echo")],
	"libuv": [ref("uv_echo"), "guide"],
}


def run(_folder):
	rows = []
	for at_once, count in ((50, 20000), (5000, 5000)):
		pairs = {}
		for name, command in SERVERS.items():
			server = Server(command)
			pairs[name] = server, Load("connections", server.port, count, at_once)

		def measure(pair, count=count):
			server, load = pair
			before = server.nanoseconds()
			wall, longest = load.run()
			return (server.nanoseconds() - before) / count, wall / count, longest / 1e6

		figures = rounds(pairs, measure)
		for server, load in pairs.values():
			load.end()
			server.end()
		for name, (processor, wall, longest) in figures.items():
			rows.append([at_once, name, "%.0f" % processor, "%.0f" % wall, "%.1f" % longest,
				"%.2f" % figures.ratio(name, 0), "%.2f" % figures.ratio(name, 1)])
	return ["at once", "program", "server's processor ns a connection", "ns a connection", "longest ms",
		"muxcat costs so many times less", "muxcat is so many times as fast"], rows
