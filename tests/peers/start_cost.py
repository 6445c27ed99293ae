"""start_cost.py PROGRAM OTHER ROUNDS: what `connect -z` costs with PROGRAM, as a multiple of OTHER's.

The processor time of whole processes, taken in turns; the median of what pairs differ by.
"""
import os
import socket
import statistics
import subprocess
import sys


def cost(program, port):
	process = subprocess.Popen([program, "connect", "-z", "127.0.0.1", port])
	_, status, usage = os.wait4(process.pid, 0)
	process.returncode = status
	assert status == 0, "exit status %d" % status
	return usage.ru_utime + usage.ru_stime


listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
port = str(listener.getsockname()[1])
programs = sys.argv[1:3]
totals = []
for _ in range(int(sys.argv[3])):
	block = [0.0, 0.0]
	for _ in range(10):
		for i, program in enumerate(programs):
			block[i] += cost(program, port)
			listener.accept()[0].close()
	totals.append(block[0] / block[1])
print("%.3f" % statistics.median(totals))
