#!/usr/bin/env python3
"""soak.py SECONDS CLIENTS [SEED]: muxcat under the load of CLIENTS at the same time, for SECONDS in all.

They connect, talk, pause, half-close, reset and leave by the numbers of SEED, and check each byte that they
get. Each backend has its turn, or only the options in MUXCAT_FLAGS have. MUXCAT is the program, and
MUXCAT_BUILD its build folder.
"""
import os
import random
import resource
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))

from crowd import Crowd, Failed, require
from served import has_sanitizer
from services import services

BACKENDS = ["--backend=epoll", "--backend=epoll --edge", "--backend=poll", "--backend=select"]
SELECT_CLIENTS = 1500  # so that a relay, with two descriptors for each of its own, stays below FD_SETSIZE
WARM = 0.25  # of the time, after which a muxcat has allocated what it keeps
QUIET = 1.0  # seconds

# How much more a muxcat may have in the end, beside the blocks that its service may keep: a table grows with the
# number of those that are there at the same time, and TLS leaves holes between what its clients had.
BYTES = 256 << 10
RESIDENT = 8 << 20


class Turn:
	"""All services under one backend. When the load has gone they must be as they were before it."""

	def __init__(self, seed, clients, folder):
		self.crowd = Crowd(seed)
		self.services = []
		self.folder, self.clients = folder, clients

	def start(self):
		for kind in services():
			service = kind(self.crowd, self.folder)
			self.services.append(service)
			service.start(self.clients)

	def muxcats(self):
		return [muxcat for service in self.services for muxcat in service.muxcats]

	def load(self, seconds):
		end = time.monotonic() + seconds
		self.crowd.hurried = False
		for service in self.services:
			service.begin()
		self.crowd.every(0.5, lambda: time.monotonic() < end and self.look())
		while time.monotonic() < end:
			for service in self.services:
				service.come()
			self.crowd.turn()
		self.crowd.hurry()
		for service in self.services:
			self.crowd.run_until(service.is_drained, lambda s=service: s.name + ": " + s.state())

	def look(self):
		"""Now and then, so that what is to be remembered does not grow with the time."""
		for service in self.services:
			service.settle()
		return [muxcat.descriptors() for muxcat in self.muxcats()]

	def check_memory(self, before):
		for service in self.services:
			for each in service.muxcats:
				now, then = each.memory(), before[each]
				require(now.blocks <= then.blocks + service.blocks and now.bytes <= then.bytes + BYTES
					and now.resident <= then.resident + RESIDENT,
					"%s has grown: %s, before %s" % (each.name, now, then))

	def check_quiet(self):
		"""Nobody is there, so no muxcat runs at all."""
		before = [each.time_run() for each in self.muxcats()]
		time.sleep(QUIET)
		for each, then in zip(self.muxcats(), before):
			ran = each.time_run() - then
			require(ran == 0, "%s ran for %d ns when nobody was there" % (each.name, ran))

	def run(self, seconds):
		self.start()
		self.load(seconds * WARM)
		before = {each: each.memory() for each in self.muxcats()}
		self.load(seconds * (1 - WARM))
		after = {each: each.memory() for each in self.muxcats()}
		if not has_sanitizer():  # which keeps what is freed
			self.check_memory(before)
		self.check_quiet()
		for service in self.services:
			service.finish()
			service.check()
			self.tell(service, before, after)

	def tell(self, service, before, after):
		muxcat = service.muxcats[0]
		then, now = before[muxcat], after[muxcat]
		print("  %-11s %7d clients, %6d reset, %8.1f MB%s; at most %d descriptors; "
			"heap: %d blocks, %d KiB, then %d, %d; resident: %d KiB, then %d" % (
			service.name, service.count, service.resets, service.bytes / 1e6, service.noted(), muxcat.peak,
			then.blocks, then.bytes >> 10, now.blocks, now.bytes >> 10,
			then.resident >> 10, now.resident >> 10), flush=True)

	def kill(self):
		for muxcat in self.muxcats():
			muxcat.kill()


def soak(seconds, clients, seed):
	backends = [os.environ["MUXCAT_FLAGS"]] if os.environ.get("MUXCAT_FLAGS") else BACKENDS
	limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
	resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
	for backend in backends:
		os.environ["MUXCAT_FLAGS"] = backend
		here = min(clients, limit // 2, SELECT_CLIENTS if "select" in backend else clients)
		print("%s, %d clients at the same time" % (backend, here), flush=True)
		with tempfile.TemporaryDirectory() as folder:
			turn = Turn(seed, here, folder)
			try:
				turn.run(seconds / len(backends))
			finally:
				turn.kill()


def main():
	seconds, clients = float(sys.argv[1]), int(sys.argv[2])
	seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
	signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
	print("seed %d" % seed, flush=True)
	try:
		soak(seconds, clients, seed)
	except Failed as failure:
		sys.exit("FAILED, seed %d: %s" % (seed, failure))
	print("all accounted for")


if __name__ == "__main__":
	main()
