"""The start and end of a whole program: connect -z to an open port."""
import os
import socket
import subprocess
import time

from measure import MUXCAT, NULL, rounds

TIMES = 50


def run(_folder):
	listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
	port = str(listener.getsockname()[1])
	programs = {
		"muxcat": [MUXCAT, "connect", "-z", "127.0.0.1", port],
		"nc": ["nc", "-z", "127.0.0.1", port],
		"ncat": ["ncat", "-z", "127.0.0.1", port],
		"socat": ["socat", "-u", "/dev/null", "TCP:127.0.0.1:" + port],
	}

	def measure(command):
		begin = time.monotonic()
		processor = 0
		for _ in range(TIMES):
			process = subprocess.Popen(command, stdin=NULL, stdout=NULL, stderr=NULL)
			_, status, usage = os.wait4(process.pid, 0)
			process.returncode = status
			processor += usage.ru_utime + usage.ru_stime
			listener.accept()[0].close()
		return (time.monotonic() - begin) / TIMES * 1000, processor / TIMES * 1000

	figures = rounds(programs, measure)
	return ["program", "ms", "processor ms", "muxcat is so many times as fast"], [
		[name, "%.3f" % wall, "%.3f" % processor, "%.2f" % figures.ratio(name, 0)]
		for name, (wall, processor) in figures.items()]
