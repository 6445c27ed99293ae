"""peer.py listen|dial|udp WHERE ACTION...: a scripted peer.

listen FILE   accepts one TCP connection; its port is written to FILE
dial PORT     connects to a TCP port
udp FILE      a bound UDP socket, its port written to FILE, joined to the first that sends to it

send=TEXT     send TEXT
talk=TEXT     send TEXT again and again, until 0.2 s after the other side has ended
flood=N       send N bytes of the numbered pattern
read=N        receive N bytes, copied to stdout
read-eof      receive to the end, copied to stdout
reset-follows the other side resets, whatever is sent or received
datagram      receive one datagram, copied to stdout
quiet=SECS    for so long neither a byte nor the end may come
pause=SECS    a delay of the peer's own
acked         wait until the other system has everything that was sent
fin, close    half-close; close
reset         close with a reset
mark=FILE     create FILE
await=FILE    wait for FILE
repeat=N,ACTION,ACTION...
"""
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import time

from joined import PATIENCE, pattern, require, write_port


def until(condition, what):
	deadline = time.monotonic() + PATIENCE
	while not condition():
		require(time.monotonic() < deadline, "gave up waiting for " + what)
		time.sleep(0.01)


def outq(peer):
	return struct.unpack("i", fcntl.ioctl(peer, termios.TIOCOUTQ, b"\0" * 4))[0]


def has_ended(peer):
	"""Its end has come, read or not."""
	state = select.poll()
	state.register(peer, select.POLLRDHUP)
	return bool(state.poll(0))


def copy(peer, limit):
	while limit > 0:
		data = peer.recv(min(limit, 65536))
		os.write(1, data)
		if not data:
			return False
		limit -= len(data)
	return True


def act(peer, action):
	name, _, value = action.partition("=")
	if name == "send":
		peer.sendall(value.encode())
	elif name == "talk":
		peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is held back meets no reset
		over = None
		while not over or time.monotonic() < over:
			peer.sendall(value.encode())
			time.sleep(0.005)
			over = over or (time.monotonic() + 0.2 if has_ended(peer) else None)
	elif name == "flood":
		peer.sendall(pattern(0, int(value)))
	elif name == "read":
		require(copy(peer, int(value)), "the end came before %s bytes" % value)
	elif name == "read-eof":
		copy(peer, 1 << 62)
	elif name == "reset-follows":
		try:
			copy(peer, 1 << 62)
			sys.exit("FAILED: an end and no reset")
		except ConnectionResetError:
			pass
	elif name == "datagram":
		data, sender = peer.recvfrom(65536)
		os.write(1, data)
		peer.connect(sender)
	elif name == "quiet":
		require(not select.select([peer], [], [], float(value))[0], "something came")
	elif name == "pause":
		time.sleep(float(value))
	elif name == "acked":
		until(lambda: outq(peer) == 0, "the acknowledgement")
	elif name == "fin":
		peer.shutdown(socket.SHUT_WR)
	elif name == "reset":
		peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		peer.close()
	elif name == "close":
		peer.close()
	elif name == "mark":
		open(value, "w").close()
	elif name == "await":
		until(lambda: os.path.exists(value), value)
	elif name == "repeat":
		times, *actions = value.split(",")
		for _ in range(int(times)):
			for each in actions:
				act(peer, each)
	else:
		sys.exit("no such action: " + action)


def main():
	how, where, *actions = sys.argv[1:]
	if how == "dial":
		peer = socket.create_connection(("127.0.0.1", int(where)), PATIENCE)
	elif how == "udp":
		peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		peer.bind(("127.0.0.1", 0))
		write_port(where, peer.getsockname()[1])
	else:
		with socket.create_server(("127.0.0.1", 0)) as server:
			server.settimeout(PATIENCE)
			write_port(where, server.getsockname()[1])
			peer = server.accept()[0]
	peer.settimeout(PATIENCE)
	for action in actions:
		act(peer, action)


if __name__ == "__main__":
	main()
