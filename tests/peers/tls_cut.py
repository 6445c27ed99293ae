"""tls_cut.py FILE PORT-FILE: a TLS server that sends FILE and then ends without close_notify."""
import socket
import sys

from joined import PATIENCE, write_port
from tls_socket import TlsSocket

listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(PATIENCE)
write_port(sys.argv[2], listener.getsockname()[1])
tls = TlsSocket(listener.accept()[0], True)
with open(sys.argv[1], "rb") as file:
	while piece := file.read(16384):
		tls.send(piece)
tls.below.shutdown(socket.SHUT_WR)
while tls.below.recv(65536):
	pass
