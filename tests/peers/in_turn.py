"""in_turn.py PORT COUNT PID...: COUNT clients, one after the other, each a line and its end.

Then the servers' processes hold no more descriptors, and hardly more memory, than after a tenth of
them.
"""
import os
import re
import socket
import sys
import time

from joined import PATIENCE, WINDOWS

port, count = int(sys.argv[1]), int(sys.argv[2])
pids = sys.argv[3:]


def descriptors():
	return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def resident_bytes():
	return sum(
		1024 * int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
		for pid in pids
	)


def client(number):
	with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
		s.sendall(b"client %d\n" % number)
		s.shutdown(socket.SHUT_WR)
		assert s.recv(1) == b"", "bytes that nobody sent"


for i in range(count // 10):
	client(i)
before = descriptors(), resident_bytes()
for i in range(count // 10, count):
	client(i)
most = before[0] + (16 if WINDOWS else 2)  # Wine's server has its own
deadline = time.monotonic() + PATIENCE
while descriptors() > most and time.monotonic() < deadline:
	time.sleep(0.02)  # the last to be closed
after = descriptors(), resident_bytes()
print(f"descriptors {before[0]} -> {after[0]}, resident bytes {before[1]} -> {after[1]}")
assert after[0] <= most, "descriptors grow"
assert after[1] <= before[1] + 64 * count, "memory grows"
