"""Clients of echo -u: what comes back is what they sent, each once, but for what the kernel has dropped."""
import socket

from crowd import Client, numbers, some

ROOM = 60_000
BURST = 40
PAUSE = 0.2


def dropped(addresses):
	"""By the receive buffers of UDP sockets, as proc(5) counts it; each address is (host, port)."""
	wanted = {"%08X:%04X" % (int.from_bytes(socket.inet_aton(host), "little"), port)
		for host, port in addresses}
	with open("/proc/net/udp") as table:
		rows = [row.split() for row in table][1:]
	return sum(int(row[-1]) for row in rows if row[1] in wanted)


class DatagramTalker(Client):
	def __init__(self, service):
		super().__init__(service)
		self.under_way = {}  # where the text of each begins, and how long it is
		self.count = 0
		self.burst()
		self.watch()

	def datagram(self, count, begin, length):
		return b"%d %d %s" % (self.number, count, self.crowd.text.piece(begin, length))

	def burst(self):
		"""More than fits, now and then. Those that have not come back after a pause do not come any more."""
		if self.crowd.hurried:
			return
		for _ in range(some(self.chance, BURST)):
			text = self.chance.randrange(self.crowd.text.length), some(self.chance, ROOM)
			data = self.datagram(self.count, *text)
			try:
				self.below.send(data)
			except BlockingIOError:
				break
			self.under_way[self.count] = text
			self.count += 1
			self.service.bytes += len(data)
		self.after(self.chance.expovariate(1 / PAUSE), self.burst)

	def read(self):
		for _ in range(BURST):
			data = self.below.recv(65536)
			number, count = numbers(data)
			if number != self.number or count not in self.under_way:
				self.wrong("datagram %d of client %d came, or came twice" % (count, number))
			if data != self.datagram(count, *self.under_way.pop(count)):
				self.wrong("wrong bytes")
			self.received += 1

	def lost(self):
		return len(self.under_way)
