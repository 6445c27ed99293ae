"""Instructions of muxcat's own for a round trip of 64 bytes (valgrind --tool=callgrind), which no noise changes."""
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

from measure import BUILD, MUXCAT, NULL

BACKENDS = ("epoll", "epoll --edge", "poll", "select")
COLUMNS = ["workload", "backend", "instructions", "compiler"]
FEW, MANY = 1000, 3000


def compiler():
	"""Another makes other instructions of the same source."""
	version = subprocess.run(["cc", "-dumpfullversion"], capture_output=True, text=True, check=False)
	return "gcc %s, %s" % (version.stdout.strip(), platform.machine())


class Muxcat:
	"""muxcat, after the words of `under` if there are any; its port is in `port`."""

	def __init__(self, folder, *arguments, under=()):
		path = os.path.join(folder, arguments[0] + ".port")
		self.process = subprocess.Popen([*under, MUXCAT, *arguments, "--port-file=" + path, "127.0.0.1", "0"],
			stdin=NULL, stdout=NULL, stderr=NULL)
		deadline = time.monotonic() + 60
		while not os.path.exists(path):
			if time.monotonic() > deadline or self.process.poll() is not None:
				sys.exit("muxcat does not listen")
			time.sleep(0.01)
		with open(path) as file:
			self.port = file.read().strip()

	def end(self):
		self.process.terminate()
		self.process.communicate(timeout=60)


def total(workload, backend, trips):
	"""Of a whole run with so many round trips, one after the other."""
	with tempfile.TemporaryDirectory() as folder:
		out = os.path.join(folder, "out")
		echo = Muxcat(folder, "echo") if workload == "relay" else None
		what = ["listen", "-k", "--to", "tcp:127.0.0.1:" + echo.port] if echo else ["echo"]
		measured = Muxcat(folder, *what, *("--backend=" + backend).split(),
			under=("valgrind", "--tool=callgrind", "--callgrind-out-file=" + out))
		subprocess.run([os.path.join(BUILD, "loads", "round_trips"), measured.port, "0", "1", str(trips), "64"],
			input=b"go\n", check=True, stdout=NULL, timeout=120)
		measured.end()
		if echo:
			echo.end()
		with open(out) as file:
			return int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))


def of_a_round_trip(workload, backend):
	return (total(workload, backend, MANY) - total(workload, backend, FEW)) / (MANY - FEW)


def run(_folder):
	return COLUMNS, [[workload, backend, "%.0f" % of_a_round_trip(workload, backend), compiler()]
		for workload in ("echo", "relay") for backend in BACKENDS]
