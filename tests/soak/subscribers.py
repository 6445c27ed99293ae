"""Who publishes through a fanout, and who subscribes to it."""
import os
import socket

from crowd import Client, some

STAY = 4  # seconds on average
PAUSE = 0.1
TICK = 0.02


class Publisher:
	"""Writes the text to a pipe, cut anywhere, at a pace."""

	def __init__(self, crowd, pipe, rate):
		self.text = crowd.text
		os.set_blocking(pipe.fileno(), False)
		self.pipe = pipe
		self.rate = rate
		self.position = 0
		self.paused = True
		self.chance = crowd.chance
		crowd.every(TICK, self.publish)

	def publish(self):
		if self.pipe.closed:
			return False
		n = 0 if self.paused else self.chance.randrange(int(2 * self.rate * TICK))
		try:
			self.position += os.write(self.pipe.fileno(), self.text.piece(self.position, n))
		except BlockingIOError:
			pass  # who is slow holds it up
		return True

	def end(self):
		self.pipe.close()


class Subscriber(Client):
	"""Gets every line from where it began; where too much is dropped, whole lines, and it counts those that
	are missing."""

	def __init__(self, service, stays=False):
		super().__init__(service, small=service.drops)
		self.drops = service.drops
		self.position = None  # in the text
		self.rest = b""  # of a line that has not been recognised yet
		if not stays:
			self.after(self.chance.expovariate(1 / STAY), self.come_to_end)
		self.after(self.chance.expovariate(1 / STAY), self.talk)
		self.watch()

	def talk(self):
		"""What subscribers send is dropped."""
		data = self.crowd.text.piece(self.chance.randrange(1 << 20), some(self.chance, 10_000))
		self.sent += self.below.send(data)
		if self.chance.random() < 0.3:
			self.below.shutdown(socket.SHUT_WR)  # and it listens on

	def come_to_end(self):
		if self.chance.random() < 0.5:
			self.reset()
		else:
			self.leave()

	def read(self):
		data = self.below.recv(262144)
		if not data:
			self.check_end()
			self.leave(whole=True)
			return
		self.received += len(data)
		self.service.bytes += len(data)
		if self.rest or self.position is None or not self.goes_on(data):
			self.take_lines(self.rest + data)
		if self.chance.random() < 0.02:
			self.pause_reading(self.chance.expovariate(1 / (5 * PAUSE if self.drops else PAUSE)))

	def goes_on(self, data):
		if self.crowd.text.piece(self.position, len(data)) != data:
			return False
		self.position = (self.position + len(data)) % self.crowd.text.length
		return True

	def take_lines(self, data):
		"""What is not simply the text's next bytes: its first, or lines behind a gap."""
		text = self.crowd.text
		if self.position is not None:
			data = text.begun_line(self.position) + data
		*lines, self.rest = data.split(b"\n")
		for line in lines:
			digits = line[:text.NUMBER]
			number = int(digits) % len(text.starts) if digits.isdigit() else 0
			if text.line(number) != line + b"\n":
				self.wrong("a torn line")
			if self.position is not None:
				self.missing += (number - text.number_at(self.position)) % len(text.starts)
			self.position = (text.starts[number] + len(line) + 1) % text.length
		if self.missing and not self.drops:
			self.wrong("a line is missing")
		if self.position is not None and self.goes_on(self.rest):
			self.rest = b""

	def check_end(self):
		if self.rest or self.position != self.service.publisher.position % self.crowd.text.length:
			self.wrong("the end came too early")
