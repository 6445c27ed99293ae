"""tls_cut.py FILE listen PORT-FILE | dial PORT: sends FILE by TLS and then ends without close_notify.
What it receives until the peer's own end goes to stdout.
"""
import socket
import sys

from joined import PATIENCE, write_port
from tls_socket import TlsSocket

path, role, where = sys.argv[1:]
if role == "listen":
	listener = socket.create_server(("127.0.0.1", 0))
	listener.settimeout(PATIENCE)
	write_port(where, listener.getsockname()[1])
	below = listener.accept()[0]
else:
	below = socket.create_connection(("127.0.0.1", int(where)))
below.settimeout(PATIENCE)
tls = TlsSocket(below, role == "listen")
with open(path, "rb") as file:
	while piece := file.read(16384):
		tls.send(piece)
below.shutdown(socket.SHUT_WR)
while data := tls.recv(65536):
	sys.stdout.buffer.write(data)
	sys.stdout.buffer.flush()
