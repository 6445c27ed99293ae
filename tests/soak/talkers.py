"""Clients of an echo, or of a relay to one: what they get is what they have sent."""
import select
import socket
import ssl

from crowd import Client, some
from tls_socket import TlsSocket

TOTAL = 400_000  # bytes of a client at most
PIECE = 200_000
PAUSE = 0.1  # seconds on average
IDLE = 10

# How a talker comes to its end, and how often.
ENDS = {
	"whole": 70,  # half-closes, and reads to the end
	"idle": 6,  # the same, after a long silence
	"reset": 12,
	"close": 12,  # whatever is on its way
}


class Talker(Client):
	def __init__(self, service):
		super().__init__(service)
		chance = self.chance
		self.begin = chance.randrange(self.crowd.text.length)
		self.total = 0 if chance.random() < 0.05 else some(chance, TOTAL)
		self.end = chance.choices(list(ENDS), ENDS.values())[0]
		if self.end in ("reset", "close"):
			self.total = chance.randrange(self.total + 1)
		self.piece_end = 0
		self.next_piece()
		self.watch()

	def next_piece(self):
		if self.sent == self.total:
			self.piece_end = None
			self.come_to_end()
			return
		self.piece_end = min(self.total, self.sent + some(self.chance, PIECE))
		if self.chance.random() < 0.2:
			self.writing = False
			self.after(self.chance.expovariate(1 / PAUSE), self.go_on)
		else:
			self.writing = True

	def go_on(self):
		self.writing = True

	def come_to_end(self):
		self.writing = False
		if self.end == "idle":
			self.end = "whole"
			self.after(self.chance.uniform(0, IDLE), self.come_to_end)
		elif self.end == "whole":
			self.writing = True  # the end, as soon as it can be sent
		elif self.end == "reset":
			self.reset()
		else:
			self.leave()

	def write(self):
		if self.piece_end is None:
			self.socket.shutdown(socket.SHUT_WR)
			self.writing = False
			return
		text = self.crowd.text.piece(self.begin + self.sent, self.piece_end - self.sent)
		n = self.socket.send(text)
		self.sent += n
		self.service.bytes += n
		if self.sent == self.piece_end:
			self.next_piece()

	def read(self):
		self.take(self.socket.recv(65536))

	def take(self, data):
		if not data:
			if self.piece_end is not None or self.writing or self.received != self.sent:
				self.wrong("the end came too early")
			self.leave(whole=True)
			return
		if self.crowd.text.piece(self.begin + self.received, len(data)) != data:
			self.wrong("wrong bytes")
		self.received += len(data)
		if self.received > self.sent:
			self.wrong("more than was sent")
		if self.chance.random() < 0.05:
			self.pause_reading(self.chance.expovariate(1 / PAUSE))


def any_certificate():
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
	context.check_hostname = False
	context.verify_mode = ssl.CERT_NONE
	return context


class TlsTalker(Talker):
	"""The same by TLS. The certificate is one that muxcat has made for the run."""

	CONTEXT = any_certificate()

	shaking = True

	def __init__(self, service):
		super().__init__(service)
		if self.here:
			self.socket = TlsSocket(self.below, False, self.CONTEXT, handshake=False)
			self.ready(select.EPOLLIN)

	def read(self):
		if self.shaking:
			self.socket.handshake()
			self.shaking = False
		while self.here and self.reading:  # what has come in may hold several records
			self.take(self.socket.recv(65536))

	def write(self):
		if self.piece_end is None:
			self.take_what_has_come()
		super().write()

	def take_what_has_come(self):
		"""OpenSSL's half-close reads once, and would take data for a fault."""
		try:
			while True:
				self.take(self.socket.recv(65536))
		except BlockingIOError:
			pass
