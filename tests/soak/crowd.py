"""The clients of a soak: one event loop, what they send, and what all of them have in common."""
import bisect
import heapq
import itertools
import os
import random
import re
import select
import socket
import struct
import time

from joined import PATIENCE


class Failed(Exception):
	"""Something is not as it must be."""


def require(true, message):
	if not true:
		raise Failed(message)


def some(chance, limit):
	"""1 to limit, small more often than big."""
	return int(limit ** chance.random())


def numbers(message):
	"""The two with which it begins."""
	match = re.match(rb"(\d+) (\d+) ", message)
	return (int(match[1]), int(match[2])) if match else (-1, -1)


class Text:
	"""Numbered lines without end: behind the last of them comes the first again. No two places look
	alike, and a line's number tells where it stands."""

	LENGTH = 4 << 20
	PIECE = 1 << 20  # which can be had at once
	NUMBER = 8  # digits

	def __init__(self, seed):
		chance = random.Random(seed)
		lines = []
		length = 0
		self.starts = []
		while length < self.LENGTH:
			self.starts.append(length)
			lines.append(b"%08d %s\n" % (len(lines), chance.randbytes(some(chance, 1500)).hex().encode()))
			length += len(lines[-1])
		once = b"".join(lines)
		self.length = length
		self.bytes = once + once[:self.PIECE]

	def piece(self, position, n):
		position %= self.length
		return self.bytes[position:position + n]

	def line(self, number):
		end = self.starts[number + 1] if number + 1 < len(self.starts) else self.length
		return self.bytes[self.starts[number]:end]

	def number_at(self, position):
		"""Of the line that a position is in."""
		return bisect.bisect(self.starts, position % self.length) - 1

	def begun_line(self, position):
		"""What of that line stands before the position."""
		return self.bytes[self.starts[self.number_at(position)]:position % self.length]


class Crowd:
	"""Calls its clients when their sockets are ready, and whatever else when its time has come."""

	def __init__(self, seed):
		self.seed = seed
		self.text = Text(seed)
		self.chance = random.Random(seed)
		self.epoll = select.epoll()
		self.watched = {}
		self.timers = []
		self.order = itertools.count()
		self.numbers = itertools.count(1)
		self.hurried = False  # nobody pauses any more

	def watch(self, client, fd, events):
		if fd not in self.watched:
			if events:
				self.epoll.register(fd, events)
				self.watched[fd] = client
		elif events:
			self.epoll.modify(fd, events)
		else:
			self.epoll.unregister(fd)
			del self.watched[fd]

	def after(self, seconds, call):
		due = 0 if self.hurried else time.monotonic() + seconds
		heapq.heappush(self.timers, (due, next(self.order), call))

	def every(self, seconds, call):
		"""Until the call returns False."""
		def again():
			if call() is not False:
				heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), again))
		again()

	def hurry(self):
		"""All who pause go on at once."""
		self.hurried = True
		self.timers = [(0, order, call) for _, order, call in self.timers]
		heapq.heapify(self.timers)

	def run_until(self, condition, state=lambda: ""):
		deadline = time.monotonic() + PATIENCE
		while not condition():
			require(time.monotonic() < deadline, "it takes too long: " + state())
			self.turn()

	def turn(self):
		now = time.monotonic()
		while self.timers and self.timers[0][0] <= now:
			heapq.heappop(self.timers)[2]()
		wait = min(0.05, max(0, self.timers[0][0] - now)) if self.timers else 0.05
		for fd, events in self.epoll.poll(wait):
			if fd in self.watched:  # still, after those before it
				self.watched[fd].ready(events)


def source_address(number):
	"""Each client comes from an address of its own, by which muxcat's report can be told apart."""
	return "127.%d.%d.%d" % (1 + (number >> 16), number >> 8 & 255, number & 255)


def name_of(number):
	"""The same for Unix sockets: a name in the abstract name space."""
	return "\0muxcat-soak-%d-%d" % (os.getpid(), number)


class Client:
	"""One connection. Its script follows from the seed and its number."""

	shaking = False  # hands, before it can write
	missing = 0  # lines that were not sent to it

	def __init__(self, service, small=False):
		self.service = service
		self.crowd = service.crowd
		self.number = next(self.crowd.numbers)
		self.chance = random.Random("%d/%d" % (self.crowd.seed, self.number))
		self.sent = self.received = 0
		self.here = True
		self.reading, self.writing = True, False
		self.interest = 0
		self.below = service.dial(self.number, small)
		self.socket = self.below

	def ready(self, events):
		if self.reading and events & ~select.EPOLLOUT:
			self.attempt(self.read)
		if self.here and self.writing and events & select.EPOLLOUT:
			self.attempt(self.write)

	def watch(self):
		if not self.here:
			return
		writing = self.writing and not self.shaking
		events = (select.EPOLLIN if self.reading else 0) | (select.EPOLLOUT if writing else 0)
		if events != self.interest:
			self.interest = events
			self.crowd.watch(self, self.below.fileno(), events)

	def after(self, seconds, call):
		"""Unless it has left by then."""
		def later():
			if self.here:
				self.attempt(call)
		self.crowd.after(seconds, later)

	def attempt(self, call):
		try:
			call()
		except BlockingIOError:
			pass
		except OSError as error:
			self.wrong(str(error))
		self.watch()

	def pause_reading(self, seconds):
		def resume():
			self.reading = True
			self.ready(select.EPOLLIN)
		self.reading = False
		self.after(seconds, resume)

	def wrong(self, what):
		raise Failed("client %d of %s: %s, with %d bytes sent and %d received"
			% (self.number, self.service.name, what, self.sent, self.received))

	def reset(self):
		self.below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		self.service.resets += 1
		self.leave()

	def leave(self, whole=False):
		"""Closes. `whole`: all it sent was taken, and all that was for it has come."""
		self.here = False
		if self.interest:
			self.crowd.watch(self, self.below.fileno(), 0)
		self.below.close()
		self.service.left(self, whole)
