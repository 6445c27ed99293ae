"""Peers that misbehave: listen_peer.py ROLE [PORT]

reset PORT     sends a line, waits for a byte, and resets the connection
drop PORT      the same, and closes in order
full           listens, and leaves its queue full: a further connect hangs. Prints its port
free           prints a port that was free a moment ago, at every address
"""
import socket
import struct
import sys

from joined import PATIENCE

role = sys.argv[1]
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
if role in ("reset", "drop"):
	s = socket.create_connection(("127.0.0.1", port))
	s.sendall(b"from a " + role.encode() + b"\n")
	s.settimeout(PATIENCE)
	s.recv(1)
	if role == "reset":
		s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	s.close()
elif role == "full":
	s = socket.socket()
	s.bind(("127.0.0.1", 0))
	s.listen(0)
	queued = []
	while len(queued) < 16:
		c = socket.socket()
		c.settimeout(0.2)
		queued.append(c)
		try:
			c.connect(s.getsockname())
		except socket.timeout:
			break
	print(s.getsockname()[1], flush=True)
	sys.stdin.read()
elif role == "free":
	s = socket.socket(socket.AF_INET6)
	s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
	s.bind(("::", 0))
	print(s.getsockname()[1])
