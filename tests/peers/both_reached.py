"""both_reached.py NAME: both addresses of a name take up the connection before muxcat can look. One
gets the stream, and the other a reset: it shall not take nothing for a stream that has ended.
"""
import os
import signal
import socket
import subprocess
import sys

from joined import PATIENCE, muxcat, require
from peer import until

SYN_SENT = "02"


def full(family, address, port):
	"""A listener whose backlog is full, and who fills it."""
	listener = socket.create_server((address, port), family=family, backlog=0)
	filler = socket.create_connection(listener.getsockname()[:2], PATIENCE)
	listener.settimeout(PATIENCE)
	return listener, filler


def attempts(port):
	"""How many connections to that port have not been answered, by proc(5)."""
	count = 0
	for table in "/proc/net/tcp", "/proc/net/tcp6":
		with open(table) as file:
			rows = [line.split() for line in file][1:]
		count += sum(row[2].endswith(":%04X" % port) and row[3] == SYN_SENT for row in rows)
	return count


def received(peer):
	peer.settimeout(PATIENCE)
	try:
		return peer.recv(100)
	except ConnectionResetError:
		return "a reset"


def main():
	ipv6, filler6 = full(socket.AF_INET6, "::1", 0)
	port = ipv6.getsockname()[1]
	ipv4, filler4 = full(socket.AF_INET, "127.0.0.1", port)
	with subprocess.Popen(muxcat("connect", sys.argv[1], str(port)), stdin=subprocess.PIPE) as process:
		try:
			process.stdin.write(b"hello")
			process.stdin.close()
			until(lambda: attempts(port) == 2, "two attempts")
			os.kill(process.pid, signal.SIGSTOP)
			for listener in ipv6, ipv4:
				listener.accept()[0].close()  # the filler, and there is room
			reached = [listener.accept()[0] for listener in (ipv6, ipv4)]
			os.kill(process.pid, signal.SIGCONT)
			found = [received(peer) for peer in reached]
			for peer in reached:
				peer.close()
			require(found in ([b"hello", "a reset"], ["a reset", b"hello"]), "they got %r" % found)
			require(process.wait(PATIENCE) == 0, "exit %d" % process.returncode)
		finally:
			process.kill()
	filler6.close()
	filler4.close()


main()
