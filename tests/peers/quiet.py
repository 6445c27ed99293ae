"""quiet.py ROLE CASE: what has to wait does so without waking up.

idle      nothing moves, either way
ended     the peer has sent its end and reads nothing; sending is blocked
urgent    the peer has sent urgent data and reads nothing; sending is blocked
"""
import os
import socket
import sys
import time

from joined import Joined, fill, require

WINDOW = 1  # second


def wake_ups(joined):
	"""How often a thread of the process has begun to wait, so far."""
	folder = "/proc/%d/task" % joined.process.pid
	total = 0
	for thread in os.listdir(folder):
		with open("%s/%s/status" % (folder, thread)) as file:
			total += sum(int(line.split()[1]) for line in file if "_ctxt_switches" in line)
	return total


def through(joined):
	"""A byte each way, so that everything is connected and has been waited for."""
	os.write(joined.stdin.fileno(), b"o")
	require(joined.socket.recv(1) == b"o", "nothing came out")
	joined.socket.send(b"i")
	require(joined.read() == b"i", "nothing came in")


role, case = sys.argv[1:]
with Joined(role) as joined:
	through(joined)
	if case == "ended":
		joined.socket.shutdown(socket.SHUT_WR)
	elif case == "urgent":
		joined.socket.send(b"!", socket.MSG_OOB)
	if case != "idle":
		fill(lambda data: os.write(joined.stdin.fileno(), data), joined.stdin.fileno())
	time.sleep(0.2)  # what that has set off is over
	before = wake_ups(joined)
	time.sleep(WINDOW)
	woken = wake_ups(joined) - before
	require(woken <= 3, "woke up %d times in a second" % woken)
