"""muxcat joined to a socket of ours: what the drivers of this folder share.

MUXCAT and MUXCAT_FLAGS come from the environment, as helper.bash sets them.
"""
import os
import select
import signal
import socket
import subprocess
import sys
import time

from tls_socket import TlsSocket, path

PATIENCE = float(os.environ.get("PATIENCE", "120"))
WINDOWS = bool(os.environ.get("MUXCAT_EXE"))  # under Wine
STOP = signal.SIGINT if WINDOWS else signal.SIGTERM  # Windows has Ctrl-C
STANDSTILL = 0.3  # this long without progress is a standstill
TOO_MUCH = 64 << 20  # a flood that goes on beyond this meets no back-pressure


def muxcat(*args):
	return [os.environ["MUXCAT"], *os.environ.get("MUXCAT_FLAGS", "").split(), *args]


def ended_by(number):
	"""What wait() gives of a muxcat that a signal has ended. Ctrl-C is 0xc000013a on Windows, of
	which Wine gives the last byte."""
	return 58 if WINDOWS else -number


def require(true, message):
	if not true:
		sys.exit("FAILED: " + message)


def write_port(path, port):
	"""The file is there at once with all its content, or not at all."""
	with open(path + ".new", "w") as file:
		file.write("%d\n" % port)
	os.rename(path + ".new", path)


def read_port(path):
	deadline = time.monotonic() + PATIENCE
	while time.monotonic() < deadline:
		try:
			with open(path) as file:
				return int(file.read())
		except FileNotFoundError:
			time.sleep(0.01)
	sys.exit("FAILED: no port in " + path)


def ready(file, how):
	if isinstance(file, TlsSocket) and how == "read" and file.has_received():
		return
	reading, writing = ([file], []) if how == "read" else ([], [file])
	found = select.select(reading, writing, [], PATIENCE)
	require(found[0] or found[1], "nothing to %s in %g seconds" % (how, PATIENCE))


class Joined:
	"""A muxcat process and the socket of its peer.

	stdin and stdout: PIPE unless given; .stdin and .stdout are then raw, unbuffered files.
	"""

	def __init__(self, role, *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, tls=False,
			**rest):
		if tls:
			options += ("--tls", *(["--ca", path("ca.pem"), "--server-name", "localhost"]
				if role == "connect" else ["--cert", path("good.pem")]))

		def start(*args):
			self.process = subprocess.Popen(muxcat(role, *options, *args), bufsize=0,
				stdin=stdin, stdout=stdout, **rest)

		self.process = None
		try:
			self.join(role, start)
		except BaseException:
			self.__exit__()
			raise
		self.socket.settimeout(PATIENCE)
		if tls:
			self.socket = TlsSocket(self.socket, role == "connect")
		self.stdin, self.stdout = self.process.stdin, self.process.stdout

	def join(self, role, start):
		if role == "connect":
			server = socket.create_server(("127.0.0.1", 0))
			server.settimeout(PATIENCE)
			start("127.0.0.1", str(server.getsockname()[1]))
			try:
				self.socket = server.accept()[0]
			finally:
				server.close()
		else:
			path = "port-of-%d" % os.getpid()
			start("--port-file=" + path, "127.0.0.1", "0")
			self.socket = socket.create_connection(("127.0.0.1", read_port(path)), PATIENCE)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		if self.process and self.process.poll() is None:
			self.process.kill()
			self.process.wait()

	def read(self):
		"""What stdout has, b"" at its end."""
		ready(self.stdout, "read")
		return os.read(self.stdout.fileno(), 65536)

	def status(self):
		try:
			return self.process.wait(PATIENCE)
		except subprocess.TimeoutExpired:
			sys.exit("FAILED: muxcat has not ended")

	def cpu(self):
		"""Seconds of processor time so far."""
		with open("/proc/%d/stat" % self.process.pid) as file:
			fields = file.read().rpartition(")")[2].split()
		return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fill(write, fd, total=0):
	"""Writes the pattern from total on until nothing has moved for STANDSTILL seconds. Returns
	where it has stopped."""
	os.set_blocking(fd, False)
	while select.select([], [fd], [], STANDSTILL)[1]:
		try:
			total += write(pattern(total, 65536))
		except BlockingIOError:  # a pipe with too little room for a whole write
			time.sleep(STANDSTILL / 10)
		require(total < TOO_MUCH, "no back-pressure: %d bytes went in" % total)
	os.set_blocking(fd, True)
	return total


def pattern(start, length):
	"""A piece of an endless text in which no two places look alike: the lines are numbered."""
	first = start // 16
	lines = b"".join(b"%015d\n" % n for n in range(first, first + length // 16 + 2))
	return lines[start - first * 16:][:length]
