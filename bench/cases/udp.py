"""Echo of UDP datagrams of 64 bytes, of a server that always has some waiting."""
from measure import MUXCAT, Load, Server, ref, rounds

SERVERS = {
	"muxcat": [MUXCAT, "echo", "-u", "--port-file=/dev/stdout", "127.0.0.1", "0"],
	"recvfrom and sendto": [ref("udp_echo")],
}
UNDER_WAY = ((1, 1, 20000), (10, 10, 200000)) # sockets, datagrams of each, round trips


def run(_folder):
	rows = []
	for sockets, window, count in UNDER_WAY:
		pairs = {}
		for name, command in SERVERS.items():
			server = Server(command)
			pairs[name] = server, Load("datagrams", server.port, sockets, window, 64, count)

		def measure(pair, count=count):
			server, load = pair
			before = server.nanoseconds()
			wall, lost = load.run()
			return (server.nanoseconds() - before) / count, wall / count, lost

		figures = rounds(pairs, measure)
		for server, load in pairs.values():
			load.end()
			server.end()
		for name, (processor, wall, lost) in figures.items():
			rows.append([sockets * window, name, "%.0f" % processor, "%.0f" % wall, "%.0f" % lost,
				"%.2f" % figures.ratio(name, 0), "%.2f" % figures.ratio(name, 1)])
	return ["under way", "program", "server's processor ns a datagram", "ns a datagram", "lost",
		"muxcat costs so many times less", "muxcat is so many times as fast"], rows
