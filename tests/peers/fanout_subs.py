"""Inputs and subscribers of muxcat fanout: fanout_subs.py ROLE ...

pace RATE SECONDS          writes numbered lines of 1000 bytes with the time in them, RATE megabytes a second
crowd PORT N FILE          N subscribers, each of whom has to get FILE and the end of file
live PORT N                N subscribers of pace, and one that reads nothing before they have ended. Tells
                           how much each side got, and the longest time a line was under way
stuck PORT N FILE          N subscribers that have to get FILE, and one that never reads
"""
import os
import select
import socket
import sys
import time

from joined import PATIENCE

role, args = sys.argv[1], sys.argv[2:]
LIMIT = time.monotonic() + PATIENCE


def dial(port, small=False):
	s = socket.socket()
	s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192) if small else None
	s.settimeout(PATIENCE)
	s.connect(("127.0.0.1", int(port)))
	return s


def gather(sockets, each):
	"""Reads all to their end; each(socket, bytes) for what comes."""
	poll = select.epoll()
	names = {s.fileno(): s for s in sockets}
	for fd in names:
		poll.register(fd, select.EPOLLIN)
	while names:
		assert time.monotonic() < LIMIT, "%d have had no end of file" % len(names)
		for fd, _ in poll.poll(1):
			data = names[fd].recv(262144)
			if data:
				each(names[fd], data)
			else:
				poll.unregister(fd)
				del names[fd]


def pace(rate, seconds):
	line, begin, chunk = 0, time.monotonic(), 100
	while line < int(rate) * 1000 * float(seconds):
		stamp = time.monotonic()
		text = b"".join(b"%08d %017.6f %s\n" % (n, stamp, b"x" * 972) for n in range(line, line + chunk))
		while text:
			text = text[os.write(1, text):]
		line += chunk
		time.sleep(max(0, begin + line / (int(rate) * 1000) - time.monotonic()))
	sys.stderr.write("%d lines in %.2f s\n" % (line, time.monotonic() - begin))


def crowd(port, n, path, stuck=0):
	idle = [dial(port, True) for _ in range(stuck)]
	want = open(path, "rb").read()
	got = {}
	sockets = [dial(port) for _ in range(int(n))]

	def each(s, data):
		at = got.get(s, 0)
		assert want[at:at + len(data)] == data, "wrong bytes at %d" % at
		got[s] = at + len(data)

	gather(sockets, each)
	assert all(got.get(s, 0) == len(want) for s in sockets), "not everything: %s" % sorted(got.values())[:5]
	print("%d complete" % len(sockets))


def live(port, n):
	stuck, rest, count, worst = dial(port, True), {}, {}, 0.0
	sockets = [dial(port) for _ in range(int(n))]

	def each(s, data):
		nonlocal worst
		now = time.monotonic()
		lines = (rest.get(s, b"") + data).split(b"\n")
		rest[s] = lines.pop()
		for line in lines:
			assert len(line) == 999, "a torn line"
			assert int(line[:8]) == count.get(s, 0), "a gap after %d" % count.get(s, 0)
			count[s] = int(line[:8]) + 1
		worst = max(worst, now - float(lines[0][9:26])) if lines else worst

	gather(sockets, each)
	print("complete %d lines %d" % (len(sockets), min(count.get(s, 0) for s in sockets)))
	print("delay %d ms" % (worst * 1000), flush=True)
	data, end = b"", "end"
	try:
		while True:
			part = stuck.recv(262144)
			if not part:
				break
			data += part
	except ConnectionResetError:
		end = "reset"
	lines = data.split(b"\n")
	if end == "end" and lines[-1] == b"":
		end = "whole"
	numbers = [int(line[:8]) for line in lines[:-1]]
	assert all(len(line) == 999 for line in lines[:-1]), "a torn line for the slow one"
	assert numbers == sorted(set(numbers)), "out of order for the slow one"
	print("slow %d %s" % (len(numbers), end))


if role == "stuck":
	crowd(*args, stuck=1)
else:
	{"pace": pace, "crowd": crowd, "live": live}[role](*args)
