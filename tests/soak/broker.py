"""Clients of fanout --broker. Each says numbered messages and hears those of all others.

A member has one message under way at most: muxcat receives it in one piece, and so messages are not mixed.
The witness, who is there from the first to the last, hears all of them and lets their members go on."""
import socket

from crowd import Client, numbers

STAY = 4  # seconds on average
PAUSE = 0.5


def message(text, member, count):
	filler = text.piece(member * 7919 + count * 104729, (member + 37 * count) % 1500)
	return b"%d %d %s\n" % (member, count, filler.replace(b"\n", b"-"))


class Hearer(Client):
	def __init__(self, service):
		super().__init__(service)
		self.next = {}  # message of each other
		self.rest = b""
		self.said = 0
		self.watch()

	def read(self):
		data = self.below.recv(262144)
		if not data:
			self.wrong("the end came")
		self.received += len(data)
		self.service.bytes += len(data)
		*messages, self.rest = (self.rest + data).split(b"\n")
		for each in messages:
			member, count = numbers(each)
			if message(self.crowd.text, member, count) != each + b"\n":
				self.wrong("a torn message")
			self.hear(member, count)

	def hear(self, member, count):
		# of those who came before it, it has missed some
		expected = self.next.get(member, 0 if member > self.number else count)
		if count != expected:
			self.wrong("message %d of client %d for its %d" % (count, member, expected))
		self.next[member] = count + 1

	def say(self):
		data = message(self.crowd.text, self.number, self.said)
		if self.below.send(data) != len(data):
			self.wrong("a message was not taken")
		self.said += 1
		self.sent += len(data)


class Witness(Hearer):
	def hear(self, member, count):
		super().hear(member, count)
		if member in self.service.members:
			self.service.members[member].was_heard()

	def has_heard(self, member):
		"""All that it said, but for the last message if it reset its connection before that came."""
		missing = member.said - self.next.get(member.number, 0)
		return missing == 0 or (member.waiting and missing == 1)


class Member(Hearer):
	def __init__(self, service):
		super().__init__(service)
		self.waiting = False  # until its message has been heard
		self.silent = self.leaving = False
		service.members[self.number] = self
		self.after(self.chance.expovariate(1 / PAUSE), self.speak)
		self.after(self.chance.expovariate(1 / STAY), self.come_to_end)

	def speak(self):
		if not self.silent and not self.crowd.hurried:
			self.say()
			self.waiting = True

	def was_heard(self):
		self.waiting = False
		if not self.here:
			return
		if self.leaving:
			self.leave()
		else:
			self.after(self.chance.expovariate(1 / PAUSE), self.speak)

	def read(self):
		super().read()
		if self.chance.random() < 0.02:
			self.pause_reading(self.chance.expovariate(1 / PAUSE))

	def leave(self, whole=False):
		super().leave(whole)
		self.next.clear()

	def come_to_end(self):
		if not self.silent and self.chance.random() < 0.4:
			self.silent = True
			self.below.shutdown(socket.SHUT_WR)  # and it listens on
			self.after(self.chance.expovariate(1 / STAY), self.come_to_end)
		elif self.chance.random() < 0.5:
			self.reset()
		elif self.waiting:
			self.leaving = self.silent = True
		else:
			self.leave()
