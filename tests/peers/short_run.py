"""A short run of each command between peers of ours, for a fault to be brought into.

What must hold whatever fails: nobody gets a wrong byte or takes a part for the whole; who has not
had everything belongs to a failure that has its line and its status; and nothing hangs.
"""
import fcntl
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import time
from concurrent.futures import ThreadPoolExecutor

from joined import PATIENCE, muxcat, pattern
from tls_socket import TlsSocket, path

INPUT = pattern(0, 50000)  # a pipe holds it
SENT = pattern(1 << 20, 60000)
TALK = [b"one", b"two" * 500, b"three"]  # datagrams


def is_gone(peer):
	"""It has reset the connection, or both sides have ended theirs."""
	state = select.poll()
	state.register(peer, 0)
	return bool(state.poll(0))


def in_pipe(end):
	return struct.unpack("i", fcntl.ioctl(end, termios.FIONREAD, b"\0" * 4))[0]


class Party:
	"""Whom muxcat sends to: what it is due, what it has got, and whether it saw an end or a reset."""

	def __init__(self, due):
		self.due, self.got, self.end = due, b"", None
		self.was_reset = False

	def is_whole(self):
		return self.got == self.due and self.end != "reset"

	def is_untouched(self):
		return not self.got and self.end != "end"

	def read(self, peer):
		try:
			while piece := peer.recv(65536):
				self.got += piece
			self.end = "reset" if self.was_reset else "end"
		except (ConnectionError, ssl.SSLError):
			self.end = "reset"

	def send(self, peer, data):
		"""All of it, and our end. A reset that is told here is not told again."""
		try:
			while data:
				data = data[peer.send(data):]
			# OpenSSL ends with what has come unread as an error
			while isinstance(peer, TlsSocket) and peer.has_received():
				self.got += peer.recv(65536)
			peer.shutdown(socket.SHUT_WR)
		except (BrokenPipeError, ssl.SSLError):
			pass
		except OSError:
			self.was_reset = True

	def exchange(self, peer, data):
		"""Without data it sends nothing, and no end either."""
		if data:
			self.send(peer, data)
		self.read(peer)


class Run:
	"""muxcat in a folder of its own, after the words of `under`; `environ` is added to its environment."""

	def __init__(self, under=(), environ=None, tls=False, options=()):
		self.under, self.environ = list(under), environ or {}
		self.tls, self.options = tls, list(options)
		self.threads = 1
		self.parties, self.is_server = [], False
		self.turned_away = 0  # clients that came again
		self.input, self.output = os.pipe(), os.pipe()
		self.out = None
		self.process, self.status, self.lines = None, None, []
		self.folder = tempfile.TemporaryDirectory()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		if self.process and self.process.poll() is None:
			os.kill(self.pid(), signal.SIGKILL)
			self.process.wait()
		for end in (*self.input, *self.output):
			try:
				os.close(end)
			except OSError:
				pass
		self.folder.cleanup()

	def file(self, name):
		return os.path.join(self.folder.name, name)

	def party(self, due):
		self.parties.append(Party(due))
		return self.parties[-1]

	# ---- muxcat ----

	def start(self, *arguments, stdin=INPUT, stdout=SENT):
		"""stdin is what is in its pipe, None if that is to be written yet; stdout is what is due there."""
		if self.tls:
			arguments += (("--tls", "--ca", path("ca.pem"), "--server-name=localhost")
				if arguments[0] == "connect" else ("--tls", "--cert", path("good.pem")))
		self.out = self.party(stdout)
		os.write(self.input[1], stdin or b"")
		with open(self.file("err"), "wb") as err:
			self.process = subprocess.Popen([*self.under, *muxcat(*arguments, *self.options)],
				stdin=self.input[0], stdout=self.output[1], stderr=err,
				env={**os.environ, **self.environ})
		for end in (self.input[0], self.output[1]):
			os.close(end)
		if stdin is not None:
			os.close(self.input[1])

	def pid(self):
		"""muxcat's own, also where `under` has made it its child."""
		pid = self.process.pid
		with open(f"/proc/{pid}/task/{pid}/children") as file:
			children = file.read().split()
		return int(children[0]) if children else pid

	def serve(self, *arguments, **streams):
		self.start(*arguments, "--port-file", self.file("port"), "127.0.0.1", "0", **streams)
		self.wait_for(lambda: os.path.exists(self.file("port")))

	def told(self):
		with open(self.file("err"), errors="replace") as file:
			return file.read()

	def has_refused(self):
		"""A client, which may hear of it before we do; it waits for the next."""
		deadline = time.monotonic() + 0.5
		while not self.has_ended() and time.monotonic() < deadline:
			if self.told().count("muxcat: accept ") > self.turned_away:
				return True
			time.sleep(0.005)
		return False

	def has_ended(self):
		return self.process.poll() is not None

	def wait_for(self, condition):
		"""Until then, or until muxcat has ended."""
		deadline = time.monotonic() + PATIENCE
		while not condition() and not self.has_ended():
			assert time.monotonic() < deadline, "it hangs"
			time.sleep(0.002)

	def connections(self):
		"""How many it has taken up: a server's sockets but its listener."""
		try:
			folder = "/proc/%d/fd" % self.pid()
			names = [os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)]
		except OSError:  # it has closed one, or has ended
			return 0
		return sum(name.startswith("socket:") for name in names) - 1

	def finish(self):
		"""It ends by itself, or has done so."""
		try:
			self.process.wait(PATIENCE)
		except subprocess.TimeoutExpired:
			raise AssertionError("it hangs") from None
		self.collect()

	def stop(self):
		self.is_server = True
		if not self.has_ended() and "muxcat: std" not in self.told():  # else it ends by itself
			os.kill(self.pid(), signal.SIGTERM)
		self.finish()

	def finish_if_served(self):
		"""One that has turned away all who came still waits for somebody."""
		if self.turned_away > 1 and not self.has_ended():
			self.stop()
		else:
			self.finish()

	def collect(self):
		self.status = self.process.returncode
		self.out.got = os.read(self.output[0], 1 << 20)
		self.lines = self.told().splitlines()

	# ---- its peers ----

	def port(self):
		"""0 if it has ended before it had one."""
		if not os.path.exists(self.file("port")):
			return 0
		with open(self.file("port")) as file:
			return int(file.read())

	def dial(self):
		"""A connection to the server, or None."""
		try:
			below = socket.create_connection(("127.0.0.1", self.port()), PATIENCE)
			return TlsSocket(below, False) if self.tls else below
		except (OSError, ssl.SSLError):
			return None

	def accept(self, listener, given_up=lambda: False, tls=False):
		"""A connection of muxcat's, or None."""
		listener.settimeout(0)
		accepted = []

		def came():
			try:
				accepted.append(listener.accept()[0])
			except BlockingIOError:
				pass
			return accepted

		self.wait_for(lambda: came() or given_up())
		if not came():
			return None
		accepted[0].settimeout(PATIENCE)
		try:
			return TlsSocket(accepted[0], True) if tls else accepted[0]
		except (ConnectionError, ssl.SSLError):
			return None

	def client(self, due, data):
		"""A client's whole talk. One that was refused comes again, once."""
		for attempt in range(2):
			party = self.party(due)
			peer = self.dial()
			if peer:
				party.exchange(peer, data)
			else:
				party.end = "reset"
			if not party.is_untouched() or not self.has_refused():
				return
			self.turned_away += 1
			if not attempt:
				self.parties.remove(party)

	def is_cut(self, due):
		"""Those who are due so much have had an end that is none."""
		return any(party.due == due and party.end == "reset" for party in self.parties if party is not self.out)

	# ---- what must hold ----

	def is_whole(self):
		return all(party.is_whole() for party in self.parties if party is not self.out or self.status is not None)

	def has_failed(self):
		return self.status not in ((0, -signal.SIGTERM) if self.is_server else (0,))

	def check(self):
		"""Whatever was brought about."""
		for party in self.parties:
			assert party.due.startswith(party.got), "wrong bytes"
			assert party.is_whole() or party.end != "end", "a part is taken for the whole"
		for line in self.lines:
			assert line.startswith("muxcat: ") and len(line) > 12, "no clear line: " + repr(line)
		if self.has_failed():
			assert self.status == 1, "it ended with %d" % self.status
			assert len(self.lines) == 1, "not one line: %r" % self.lines
		elif not self.is_server:
			assert self.is_whole(), "exit 0, and not everybody has everything"

	def check_told(self, line):
		"""One line on stderr, or none."""
		wanted = ["muxcat: " + line] if line else []
		assert len(self.lines) == len(wanted), "on stderr: %r" % self.lines
		assert all(map(re.fullmatch, wanted, self.lines)), "on stderr: %r" % self.lines


# ---- the commands ----

def at_the_same_time(*functions):
	with ThreadPoolExecutor() as pool:
		for done in [pool.submit(function) for function in functions]:
			done.result()


def connect(run):
	with socket.create_server(("127.0.0.1", 0)) as listener:
		run.start("connect", "127.0.0.1", str(listener.getsockname()[1]))
		peer = run.accept(listener, tls=run.tls)
	party = run.party(INPUT)
	if peer:
		party.exchange(peer, SENT)
	run.finish()


def listen(run):
	run.serve("listen")
	run.client(INPUT, SENT)
	run.finish_if_served()


def listen_many(run):
	run.serve("listen", "-k")
	run.client(INPUT, SENT)
	if run.is_whole():
		run.wait_for(lambda: in_pipe(run.output[0]) == len(SENT) or "recv" in run.told())
	run.stop()


def listen_at_file(run):
	"""Its socket's file is gone when it has ended, however that was."""
	run.start("listen", "-k", "unix:" + run.file("socket"), stdout=b"")
	run.wait_for(lambda: os.path.exists(run.file("socket")))
	run.stop()
	assert not os.path.exists(run.file("socket")), "the socket's file is left"


def relay_one(run, listener):
	"""A client's whole talk with the target; false: it was turned away."""
	to_client, to_target = run.party(INPUT), run.party(SENT)
	client = run.dial()
	if not client:
		return not run.has_refused()
	to_client.send(client, SENT)
	target = run.accept(listener, lambda: to_client.was_reset or is_gone(client))
	if target:
		to_target.exchange(target, INPUT)
	to_client.read(client)
	return bool(target) or not run.has_refused()


def relay(run):
	with socket.create_server(("127.0.0.1", 0)) as listener:
		run.serve("listen", "--to", "tcp:127.0.0.1:%d" % listener.getsockname()[1], stdout=b"")
		if not relay_one(run, listener):
			run.turned_away += 1
			del run.parties[-2:]
			run.turned_away += not relay_one(run, listener)
	run.finish_if_served()


def echo(run):
	run.serve("echo", stdout=b"")
	for _ in range(3):
		run.client(SENT, SENT)
	run.stop()


def echo_threads(run):
	run.options.append("--threads=%d" % run.threads)
	echo(run)


def fanout(run):
	run.serve("fanout", "--min-clients=2", stdout=b"")
	at_the_same_time(lambda: run.client(INPUT, None), lambda: run.client(INPUT, None))
	run.is_server = True  # of whoever stays
	run.finish_if_served()


def slow(run):
	"""A fanout's subscriber that does not read misses whole lines, and nothing else."""
	run.serve("fanout", "--min-clients=2", "--slow=drop", "--queue=10k", "-O", "4k", stdin=None, stdout=b"")
	quick, lazy = run.dial(), socket.socket()
	lazy.settimeout(2)
	lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
	party = run.party(INPUT)
	try:
		lazy.connect(("127.0.0.1", run.port()))
		quick.settimeout(1)
		for at in range(0, len(INPUT), 1001):
			os.write(run.input[1], INPUT[at:at + 1001])
			while len(party.got) < min(at + 1001, len(INPUT)):
				piece = quick.recv(65536)
				assert piece
				party.got += piece
	except (OSError, AttributeError, AssertionError):  # one was refused or cut off, or all has failed
		run.parties.remove(party)
		run.stop()
		return
	os.close(run.input[1])
	lines = Party(b"")
	party.read(quick)
	lines.read(lazy)
	run.is_server = True
	run.finish()
	if lines.end == "end":
		numbers = lines.got.splitlines()
		assert all(len(number) == 15 for number in numbers), "half a line"
		assert numbers == sorted(set(numbers)), "a line again"


def heard(run):
	"""What has come to each of a broker's listeners, by a chat without the names before each line."""
	return {party: re.sub(rb"<[^>\n]*(> |$)", b"", party.got) for party in run.parties if party.due == SENT}


def broker(run, *options):
	"""What one subscriber says, and two others hear, who may come later."""
	run.serve("fanout", *(options or ["--broker"]), "--replay=200k", stdout=b"")

	def is_all_heard():
		"""Or whoever speaks was cut off, when the others are there."""
		waiting = [party for party, got in heard(run).items() if not party.end and len(got) < len(SENT)]
		return len(heard(run)) == 2 and (not waiting or run.is_cut(b"") and run.connections() >= len(waiting))

	def stop_when_all_is_heard():
		run.wait_for(is_all_heard)
		run.stop()

	at_the_same_time(lambda: run.client(SENT, None), lambda: run.client(SENT, None),
		lambda: run.client(b"", SENT), stop_when_all_is_heard)
	for party, got in heard(run).items():
		party.got = got
		if run.is_cut(b"") and SENT.startswith(got):  # the rest has not been said
			party.due = got


def chat(run):
	broker(run, "--chat")


def target(run, listener):
	party = run.party(INPUT)
	peer = run.accept(listener)
	if peer:
		party.exchange(peer, None)


def fanout_to(run):
	with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
		run.start("fanout", *("--to=127.0.0.1:%d" % s.getsockname()[1] for s in (first, second)), stdout=b"")
		at_the_same_time(lambda: target(run, first), lambda: target(run, second))
	run.finish()


def talk(run, peer, address):
	"""Datagrams to a server; each is answered, or sent again."""
	party = run.party(b"".join(TALK))
	peer.settimeout(0.5)
	if run.has_ended():
		return
	for datagram in TALK:
		for _ in range(3):
			try:
				peer.sendto(datagram, address)
				answer = peer.recv(65536)
				break
			except (TimeoutError, ConnectionError):
				answer = b""
		party.got += answer


def echo_udp(run):
	run.serve("echo", "-u", stdout=b"")
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
		talk(run, peer, ("127.0.0.1", run.port()))
	run.stop()


def connect_udp(run):
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
		peer.bind(("127.0.0.1", 0))
		peer.settimeout(0.02)
		run.start("connect", "-u", "-q", "0.1", "127.0.0.1", str(peer.getsockname()[1]),
			stdin=b"question", stdout=b"answer")
		party = run.party(b"question")
		while not party.got and not run.has_ended():
			try:
				party.got, address = peer.recvfrom(65536)
				peer.sendto(b"answer", address)
			except TimeoutError:
				pass
		run.finish()


def listen_udp(run):
	run.serve("listen", "-u", "-q", "0.1", stdin=b"answer", stdout=b"question")
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
		peer.settimeout(0.02)
		party = run.party(b"answer")
		if not run.has_ended():
			peer.sendto(b"question", ("127.0.0.1", run.port()))
		while not party.got and not run.has_ended():
			try:
				party.got = peer.recv(65536)
			except TimeoutError:
				pass
		run.finish()
