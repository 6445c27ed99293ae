"""A muxcat under load, seen from outside: what the system knows of it, and what it reports with -v."""
import collections
import functools
import os
import re
import struct
import subprocess
import time

from crowd import require
from joined import PATIENCE, STOP, ended_by, muxcat

LINE = re.compile(
	r"muxcat: (?:(accepted|connected to|closed|accept) (\S+?)(?: \(.*\)|: (.*))|(\d+) records dropped .*"
	r"|listening on (?:.*?)(?::(\d+))? \(\w+\)|a self-signed certificate.*|(?:recv|send) .*)")
COUNTS = re.compile(r"(\d+) bytes in, (\d+) bytes out, [\d.]+ s, (.*)")

LEAVING = 2.0  # seconds: muxcat's grace of one, and another for a busy machine

Closed = collections.namedtuple("Closed", "peer bytes_in bytes_out dropped why")
Memory = collections.namedtuple("Memory", "blocks bytes resident")  # the first two of the heap: live_heap.c


@functools.cache
def has_sanitizer():
	"""Which keeps what is freed."""
	libraries = subprocess.run(["ldd", os.environ["MUXCAT"]], capture_output=True, text=True).stdout
	return bool(re.search("lib[at]san", libraries))


class Served:
	def __init__(self, folder, name, command, *arguments, stdin=subprocess.DEVNULL):
		self.name = name
		self.peak = 0
		self.accepted = self.connected = self.closed = 0
		self.unsettled = []  # what was told of each that was closed,
		self.rejected = []  # and the peers that were not let in
		self.listening = False
		self.port = None
		self.dropped = 0  # by the one that closes next
		self.unread = ""
		path = os.path.join(folder, name)
		self.heap_file = path + ".heap"
		environment = dict(os.environ)
		if not has_sanitizer():  # which will be the first to be loaded
			environment.update(LIVE_HEAP=self.heap_file,
				LD_PRELOAD=os.path.join(os.environ["MUXCAT_BUILD"], "live_heap.so"))
		with open(path + ".err", "w") as errors:
			self.process = subprocess.Popen(muxcat(command, "-v", *arguments), stdin=stdin,
				stdout=subprocess.DEVNULL, stderr=errors, env=environment)
		self.report = open(path + ".err")

	def proc(self, name):
		with open("/proc/%d/%s" % (self.process.pid, name)) as file:
			return file.read()

	def descriptors(self):
		require(self.process.poll() is None, self.name + " has ended: " + self.last_words())
		count = len(os.listdir("/proc/%d/fd" % self.process.pid))
		self.peak = max(self.peak, count)
		return count

	def memory(self):
		rss = re.search(r"^RssAnon:\s*(\d+) kB", self.proc("status"), re.M)
		blocks, size = 0, 0
		if not has_sanitizer():
			with open(self.heap_file, "rb") as file:
				blocks, size = struct.unpack("qq", file.read())
		return Memory(blocks, size, int(rss.group(1)) << 10)

	def time_run(self):
		"""Nanoseconds on a processor, over all threads."""
		tasks = os.listdir("/proc/%d/task" % self.process.pid)
		return sum(int(self.proc("task/%s/schedstat" % task).split()[0]) for task in tasks)

	def last_words(self):
		with open(self.report.name) as file:
			return " / ".join(file.read().splitlines()[-3:])

	def read_report(self):
		"""What has been reported since the last time."""
		*lines, self.unread = (self.unread + self.report.read()).split("\n")
		for line in lines:
			self.take(line)

	def take(self, line):
		match = LINE.fullmatch(line)
		require(match, "%s says: %s" % (self.name, line))
		event, peer, rest, dropped, port = match.groups()
		if line.startswith("muxcat: listening"):
			self.listening = True
			self.port = port and int(port)
		if event == "accepted":
			self.accepted += 1
		elif event == "connected to":
			self.connected += 1
		elif event == "accept":
			self.rejected.append(peer)
		elif event == "closed":
			counts = COUNTS.fullmatch(rest)
			require(counts, "%s says: %s" % (self.name, line))
			self.closed += 1
			self.unsettled.append(Closed(peer, int(counts[1]), int(counts[2]), self.dropped, counts[3]))
			self.dropped = 0
		elif dropped:
			self.dropped = int(dropped)

	def is_there(self):
		"""It listens, and waits for what comes."""
		require(self.process.poll() is None, self.name + " has ended: " + self.last_words())
		self.read_report()
		return self.listening and self.proc("stat").rpartition(")")[2].split()[0] == "S"

	def all_closed(self):
		self.read_report()
		return self.closed == self.accepted

	def ended(self, want):
		try:
			status = self.process.wait(PATIENCE)
		except subprocess.TimeoutExpired:
			status = "still there"
		require(status == want, "%s ended by %s: %s" % (self.name, status, self.last_words()))

	def stop(self):
		begin = time.monotonic()
		self.process.send_signal(STOP)
		self.ended(ended_by(STOP))
		took = time.monotonic() - begin
		require(took < LEAVING, "%s took %.1f s to stop" % (self.name, took))

	def kill(self):
		if self.process.poll() is None:
			self.process.kill()
			self.process.wait()
		self.report.close()
