"""One fault a function: muxcat is brought to where it once went wrong."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from joined import PATIENCE, STOP, WINDOWS, ended_by, muxcat

DIR = tempfile.TemporaryDirectory()
started = []


def path(name):
	return os.path.join(DIR.name, name)


def wait_for(condition, what):
	deadline = time.monotonic() + PATIENCE
	while not condition():
		assert time.monotonic() < deadline, "gave up waiting for " + what
		time.sleep(0.01)


def start(*arguments, **streams):
	process = subprocess.Popen(muxcat(*arguments), **streams)
	started.append(process)
	return process


def serve(*arguments, **streams):
	"""muxcat on a free port: the process and the port."""
	if os.path.exists(path("port")):
		os.unlink(path("port"))
	process = start(*arguments, "--port-file", path("port"), "127.0.0.1", "0", **streams)
	wait_for(lambda: os.path.exists(path("port")), "the port")
	with open(path("port")) as file:
		return process, int(file.read())


def dial(port, buffer=None):
	s = socket.socket()
	s.settimeout(PATIENCE)
	if buffer:
		s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
	s.connect(("127.0.0.1", port))
	return s


def receive(s, n):
	"""Exactly n bytes, or what came before the end."""
	data = b""
	while len(data) < n:
		piece = s.recv(min(65536, n - len(data)))
		if not piece:
			break
		data += piece
	return data


def receive_all(s):
	return receive(s, 1 << 40)


def cpu_seconds(process):
	with open(f"/proc/{process.pid}/schedstat") as file:
		return int(file.read().split()[0]) / 1e9


def tell():
	"""What a server that tells of its clients (-v) needs as its stderr for await_clients."""
	return open(path("told"), "wb")


def await_clients(count):
	"""Until it has accepted so many."""
	def accepted():
		with open(path("told"), "rb") as file:
			return file.read().count(b"accepted") == count

	wait_for(accepted, "%d clients" % count)


def chat_in_one_write():
	server, port = serve("fanout", "--chat", "--slow=close", "--queue=100", "-v", stderr=tell())
	a, b = dial(port), dial(port)
	await_clients(2)
	a.sendall(b"".join(b"line %d\n" % i for i in range(100)))
	lines = b""
	while lines.count(b"\n") < 100:
		piece = b.recv(65536)
		assert piece, "cut off"
		lines += piece
	assert [line.split(b"> ")[1] for line in lines.splitlines()] == [b"line %d" % i for i in range(100)]
	assert server.poll() is None, "the server has ended"


def idle_while_stdout_waits():
	with open(path("input"), "wb") as file:
		file.truncate(8 << 20)
	with open(path("input"), "rb") as file:
		server, port = serve("listen", "-k", "-i", "0.5", stdin=file, stdout=subprocess.PIPE)
	client = dial(port, 4096)
	client.settimeout(0.3)
	try:
		while True:
			client.sendall(b"x" * 65536)  # until nobody takes it any more
	except socket.timeout:
		client.settimeout(PATIENCE)
		try:
			receive_all(client)
			raise AssertionError("an end, where it was cut off")
		except ConnectionResetError:
			pass
	except ConnectionResetError:  # a busy machine: it was cut off before
		pass
	assert server.poll() is None, "the server has ended"


def broker_goes_on():
	server, port = serve("fanout", "--broker", "--slow=drop", "--queue=64k", "-O", "8k", "-I", "8k", "-v",
		stderr=tell())
	a, b = dial(port, 4096), dial(port, 4096)
	await_clients(2)
	for s in (a, b):
		s.setblocking(False)
	blocked = 0
	deadline = time.monotonic() + 5
	while blocked < 30 and time.monotonic() < deadline:
		moved = False
		for s in (a, b):
			try:
				moved = s.send(b"y" * 999 + b"\n") > 0 or moved
			except BlockingIOError:
				pass
		blocked = 0 if moved else blocked + 1
		time.sleep(0 if moved else 0.01)
	c = dial(port)
	await_clients(3)
	moved = {a: 0, b: 0, c: 0}
	deadline = time.monotonic() + PATIENCE
	for s in moved:
		s.setblocking(False)
	sent = {a: 0, b: 0}
	while min(sent.values()) < 200000 or min(moved.values()) < 50000:
		assert time.monotonic() < deadline, f"held back for ever: sent {sent.values()}, got {moved.values()}"
		for s in sent:
			try:
				sent[s] += s.send(b"z" * 999 + b"\n")
			except BlockingIOError:
				pass
		for s in moved:
			try:
				moved[s] += len(s.recv(65536))
			except BlockingIOError:
				pass


def unread_datagrams():
	server = start("echo", "unixgram:" + path("echo"))
	wait_for(lambda: os.path.exists(path("echo")), "the socket")
	deaf, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
	deaf.bind(path("deaf"))
	other.bind(path("other"))
	other.settimeout(PATIENCE)
	deaf.settimeout(2)
	for _ in range(100):
		deaf.sendto(b"hello", path("echo"))
	before = cpu_seconds(server)
	begin = time.monotonic()
	for i in range(5):
		other.sendto(b"%d" % i, path("echo"))
		assert other.recv(100) == b"%d" % i
		time.sleep(0.1)
	assert cpu_seconds(server) - before < 0.5 * (time.monotonic() - begin), "it spins"


def long_datagram():
	server = start("echo", "unixgram:" + path("echo"), stderr=subprocess.PIPE)
	wait_for(lambda: os.path.exists(path("echo")), "the socket")
	client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	client.bind(path("client"))
	client.settimeout(PATIENCE)
	client.sendto(b"x" * 100000, path("echo"))
	client.sendto(b"short", path("echo"))
	assert client.recv(200000) == b"short"
	assert server.stderr.readline().startswith(b"muxcat: recv " + path("client").encode())


def urgent_data():
	server, port = serve("echo")
	client = dial(port)
	client.sendall(b"ready")
	assert receive(client, 5) == b"ready"
	os.kill(server.pid, signal.SIGSTOP)
	client.sendall(b"abc")
	client.send(b"X", socket.MSG_OOB)
	client.sendall(b"def")
	os.kill(server.pid, signal.SIGCONT)
	assert receive(client, 6) == b"abcdef"


def linger_and_idle():
	listener = socket.create_server(("127.0.0.1", 0))
	client = start("connect", "-q", "0.5", "-i", "100", "127.0.0.1",
		str(listener.getsockname()[1]), stdin=subprocess.DEVNULL)
	listener.accept()
	assert client.wait(PATIENCE) == 0


def linger_after_flush():
	with open(path("input"), "wb") as file:
		file.write(b"q" * 900 * 1024)
	with open(path("input"), "rb") as file:
		server, port = serve("listen", "-k", "-q", "0", "-O", "8k", stdin=file, stdout=subprocess.DEVNULL)
	client = dial(port, 4096)
	time.sleep(1.5)  # longer than a stopped server takes to give up
	assert len(receive_all(client)) == 900 * 1024
	assert server.wait(PATIENCE) == 0


def high_descriptors():
	for _ in range(1030):
		os.open("/dev/null", os.O_RDONLY)
	everything = [int(fd) for fd in os.listdir("/dev/fd") if os.path.exists("/dev/fd/" + fd)]
	client = start("connect", "-d", "127.0.0.1", "1", stderr=subprocess.PIPE,
		pass_fds=[fd for fd in everything if fd > 2])
	assert client.wait(PATIENCE) == 1
	assert client.stderr.read() == b"muxcat: select: Too many open files\n"


def seconds_to_stop(*signals):
	"""How long a listen takes to end whose stdout is full, so that there is something to write out."""
	with open("/dev/zero", "rb") as zero:
		server, port = serve("listen", stdin=zero, stdout=subprocess.PIPE)
	client = dial(port)
	client.settimeout(0.3)
	try:
		while True:
			client.sendall(b"x" * 65536)
	except socket.timeout:
		pass
	begin = time.monotonic()
	for number in signals:
		server.send_signal(number)
		time.sleep(0.05)
	assert server.wait(PATIENCE) == ended_by(signals[-1])
	return time.monotonic() - begin


def two_signals():
	patient = seconds_to_stop(signal.SIGINT)
	assert seconds_to_stop(signal.SIGINT, STOP) < 0.7 * patient, "it took its time"


def stopped_before_the_end():
	with open(path("input"), "wb") as file:
		file.truncate(8 << 20)
	for command in (["fanout"], ["listen", "-k"], ["listen"]):
		with open(path("input"), "rb") as file:
			server, port = serve(*command, "-O", "8k", stdin=file, stdout=subprocess.DEVNULL)
		client = dial(port, 4096)
		assert client.recv(1) == b"\0"
		server.send_signal(STOP)
		assert server.wait(PATIENCE) == ended_by(STOP)
		try:
			receive_all(client)
			raise AssertionError(f"{command}: an end, where it was cut short")
		except ConnectionResetError:
			pass
	server, port = serve("echo", "-O", "8k")
	client = dial(port, 4096)
	client.sendall(b"x" * 60000)
	wait_for(lambda: blocked(server), "the echo to wait for its reader")
	server.send_signal(STOP)
	assert server.wait(PATIENCE) == ended_by(STOP)
	try:
		receive_all(client)
		raise AssertionError("echo: an end, where it was cut short")
	except ConnectionResetError:
		pass


def blocked(process):
	"""It has used no CPU time for a while, and its queues do not change."""
	before = cpu_seconds(process)
	time.sleep(0.2)
	return cpu_seconds(process) == before


def listener(name):
	"""A listener and its address: a Unix socket's, or TCP's where there is none."""
	if WINDOWS:
		s = socket.create_server(("127.0.0.1", 0))
		address = "127.0.0.1:%d" % s.getsockname()[1]
	else:
		s = socket.socket(socket.AF_UNIX)
		s.bind(path(name))
		s.listen()
		address = "unix:" + path(name)
	s.settimeout(PATIENCE)
	return s, address


def full_listener(name):
	"""One whose backlog is full, and what fills it: whoever dials it waits."""
	s, address = listener(name)
	s.listen(0)
	filler = socket.socket(s.family)
	filler.connect(s.getsockname())
	return s, address, filler


def stopped_while_dialling():
	_target, address, _filler = full_listener("target")
	server, port = serve("listen", "-k", "-v", "--to", address, stderr=tell())
	client = dial(port)
	await_clients(1)
	server.send_signal(STOP)
	assert server.wait(PATIENCE) == ended_by(STOP)
	try:
		receive_all(client)
		raise AssertionError("an empty answer that looks whole")
	except ConnectionResetError:
		pass


def two_targets(**streams):
	"""A fanout to a listener that accepts, the connection there, and to one that does not yet."""
	first, first_address = listener("first")
	second, second_address, filler = full_listener("second")
	fanout = start("fanout", "--min-clients=1", "--to", first_address, "--to", second_address,
		stdin=subprocess.PIPE, **streams)
	return fanout, first.accept()[0], second, second_address, filler


def target_leaves():
	fanout, a, second, _, _filler = two_targets()
	fanout.stdin.write(b"one\n")
	fanout.stdin.flush()
	assert receive(a, 4) == b"one\n"
	a.close()
	fanout.stdin.write(b"two\n")
	fanout.stdin.flush()
	time.sleep(0.3)
	assert fanout.poll() is None, "it gave up"
	second.accept()
	b, _ = second.accept()
	fanout.stdin.write(b"three\n")
	fanout.stdin.close()
	assert receive_all(b).endswith(b"three\n")
	assert fanout.wait(PATIENCE) == 1, "the first target has not had everything"


def target_too_late():
	fanout, a, _second, address, _filler = two_targets(stderr=subprocess.PIPE)
	fanout.stdin.write(b"hello\n")
	fanout.stdin.close()
	assert receive_all(a) == b"hello\n"
	a.close()
	assert fanout.wait(PATIENCE) == 1
	assert address.encode() + b": not there before the input's end" in fanout.stderr.read()


if __name__ == "__main__":
	try:
		globals()[sys.argv[1]]()
	finally:
		for process in started:
			process.kill()
			process.wait()
