"""What the cases have in common: programs that take turns, and what they cost."""
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", os.path.join(HERE, "..", "build"))
MUXCAT = os.path.join(BUILD, "muxcat")
ROUNDS = int(os.environ.get("ROUNDS", "7"))
NULL = subprocess.DEVNULL


def ref(name):
	return os.path.join(BUILD, "ref", name)


def free_port():
	with socket.create_server(("127.0.0.1", 0)) as s:
		return str(s.getsockname()[1])


def await_listener(port):
	"""Connecting would be a connection: /proc knows too."""
	wanted = ":%04X 00000000:0000 0A " % int(port)
	deadline = time.monotonic() + 20
	while time.monotonic() < deadline:
		with open("/proc/net/tcp") as file:
			if wanted in file.read():
				return
		time.sleep(0.002)
	sys.exit("nobody listens on " + port)


def keep_to(processor):
	"""Server and load each keep to a processor, where the scheduler might put both on one."""
	allowed = sorted(os.sched_getaffinity(0))
	return lambda: os.sched_setaffinity(0, {allowed[processor % len(allowed)]})


class Server:
	"""A server on a processor of its own. It prints its port, unless it is told one."""

	def __init__(self, command, stdin=NULL, port=None):
		self.process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=NULL,
			preexec_fn=keep_to(0))
		if port:
			await_listener(port)
		self.port = port or self.process.stdout.readline().decode().strip()

	def nanoseconds(self):
		"""Processor time so far, all threads (proc(5))."""
		total = 0
		for thread in os.listdir("/proc/%d/task" % self.process.pid):
			with open("/proc/%d/task/%s/schedstat" % (self.process.pid, thread)) as file:
				total += int(file.read().split()[0])
		return total

	def end(self):
		self.process.kill()
		self.process.communicate()


class Load:
	"""One of bench/loads, on the other processor; it answers on stdout or, if that is taken, on stderr."""

	def __init__(self, name, *arguments, stdout=subprocess.PIPE):
		taken = stdout != subprocess.PIPE
		self.process = subprocess.Popen([os.path.join(BUILD, "loads", name), *map(str, arguments)],
			stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE if taken else None, preexec_fn=keep_to(1))
		self.answers = self.process.stderr if taken else self.process.stdout
		self.answers.readline()

	def run(self, line="go"):
		"""The numbers that it answers."""
		self.process.stdin.write(line.encode() + b"\n")
		self.process.stdin.flush()
		answer = self.answers.readline().decode()
		if not answer.startswith("done"):
			sys.exit("the load failed: " + answer)
		return [int(number) for number in answer.split()[1:]]

	def end(self):
		self.process.kill()
		self.process.communicate()


def wait_all(processes, limit=120):
	"""Waits for all; the processor time of each. (Popen.wait with a time-out polls, by as much as 50 ms.)"""
	signal.alarm(limit)
	seconds = []
	for process in processes:
		_, status, usage = os.wait4(process.pid, 0)
		process.returncode = os.waitstatus_to_exitcode(status)
		seconds.append(usage.ru_utime + usage.ru_stime)
	signal.alarm(0)
	return seconds


class Figures(dict):
	"""The medians of a case, column by column, as {name: tuple}."""

	def __init__(self, taken):
		super().__init__({name: tuple(map(statistics.median, zip(*figures.values()))) for name, figures in taken.items()})
		self.taken = taken # by name and round

	def ratio(self, name, column, to="muxcat"):
		"""Round by round, since a slow spell of the machine takes in a whole round; the median."""
		ones, others = self.taken[name], self.taken[to]
		return statistics.median(ones[turn][column] / others[turn][column] for turn in ones if turn in others)


def rounds(programs, measure):
	"""What measure(program) returns for each, taken in turns."""
	taken = {name: {} for name in programs}
	for turn in range(ROUNDS):
		for name, program in programs.items():
			taken[name][turn] = measure(program)
	return Figures(taken)


def fresh_rounds(starts, measure, many=ROUNDS, often=None):
	"""The same with start() a program for each turn. Where the kernel has put the memory of one decides what its
	caches cost it, by a tenth among thousands of clients, and for as long as it lives. Those of `often` (all) take part
	in each of so many rounds, the others in every third."""
	taken = {name: {} for name in starts}
	for turn in range(many):
		for name, start in starts.items():
			if often and name not in often and turn % 3:
				continue
			program = start()
			taken[name][turn] = measure(program)
			program.end()
	return Figures(taken)
