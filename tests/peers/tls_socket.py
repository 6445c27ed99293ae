"""A TLS connection whose two ways end on their own, which Python's own ssl.SSLSocket does not offer.

The certificates are those that tls_helper.bash makes, in the folder CERTIFICATES.
"""
import os
import socket
import ssl


def path(name):
	return os.path.join(os.environ["CERTIFICATES"], name)


def own_context(server):
	if server:
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		context.load_cert_chain(path("good.pem"))
		return context
	return ssl.create_default_context(cafile=path("ca.pem"))


class TlsSocket:
	"""Over a connected socket; the peer of muxcat listen is a client, that of connect a server.

	If the socket does not block, each call raises BlockingIOError where it would have to wait."""

	def __init__(self, below, server, context=None, handshake=True):
		context = context or own_context(server)
		self.below = below
		self.received, self.to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
		self.ssl = context.wrap_bio(self.received, self.to_send, server_side=server,
			server_hostname=None if server else "localhost")
		self.unsent = b""
		self.ended = False
		if handshake:
			self.handshake()

	def handshake(self):
		self.wait_for(self.ssl.do_handshake)

	def wait_for(self, call):
		"""What a call of OpenSSL's returns when it has what it needs from the other side."""
		while True:
			try:
				return call()
			except ssl.SSLWantReadError:
				pass
			finally:
				self.flush_some()
			data = self.below.recv(65536)
			if data:
				self.received.write(data)
			else:
				self.received.write_eof()

	def flush(self):
		"""Raises BlockingIOError if not all can be sent now."""
		self.unsent += self.to_send.read()
		while self.unsent:
			self.unsent = self.unsent[self.below.send(self.unsent):]

	def flush_some(self):
		try:
			self.flush()
		except BlockingIOError:
			pass

	def send(self, data):
		"""Takes a record at most, of which nothing may have been sent yet."""
		self.flush()
		n = self.ssl.write(data[:16384])
		self.flush_some()
		return n

	def recv(self, size):
		try:
			return self.wait_for(lambda: self.ssl.read(size))
		except ssl.SSLZeroReturnError:
			return b""

	def shutdown(self, _how):
		if not self.ended:
			self.ended = True
			try:
				self.ssl.unwrap()
			except ssl.SSLWantReadError:
				pass
		self.flush()
		self.below.shutdown(socket.SHUT_WR)

	def has_received(self):
		return self.received.pending or self.ssl.pending()

	def fileno(self):
		return self.below.fileno()
