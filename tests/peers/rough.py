"""rough.py CASE: peers that reset, dribble, flood, stop and die, and a muxcat that stops and dies."""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from fault import dial, listener, path, receive, receive_all, serve, start, started, wait_for
from joined import PATIENCE, WINDOWS, fill, pattern
from short_run import in_pipe

NULL = subprocess.DEVNULL
PIECES = (0, 1, 5000, 60000)  # after which the peer resets


def reset(s):
	s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	s.close()


def signal_to(process, number):
	os.kill(process.pid, number)


def join(command, **streams):
	"""muxcat connect or listen, with its standard streams, and the socket of its peer."""
	if command == "listen":
		process, port = serve("listen", **streams)
		return process, dial(port)
	with socket.create_server(("127.0.0.1", 0)) as server:
		server.settimeout(PATIENCE)
		process = start("connect", "127.0.0.1", str(server.getsockname()[1]), **streams)
		peer = server.accept()[0]
	peer.settimeout(PATIENCE)
	return process, peer


# ---- peers ----

def resets():
	"""What had come is written; one line, exit 1."""
	for command in ("connect", "listen"):
		for n in PIECES:
			if WINDOWS and command == "listen" and not n:
				continue  # who resets before he was accepted has never been there, and it waits on
			process, peer = join(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
				stderr=subprocess.PIPE)
			peer.sendall(pattern(0, n))
			wait_for(lambda: in_pipe(process.stdout.fileno()) == n, "the bytes")
			reset(peer)
			assert process.wait(PATIENCE) == 1, (command, n, process.returncode)
			assert process.stdout.read() == pattern(0, n), (command, n)
			lines = process.stderr.read().splitlines()
			# one that comes and goes at once may have no name any more
			told = b"muxcat: recv 127.0.0.1:" if n else b"muxcat: (recv|connect) "
			assert len(lines) == 1 and re.match(told, lines[0]), lines


def resets_beside_others():
	"""The others notice nothing: their bytes come back, or they get the input, whole."""
	server, port = serve("echo")
	for n in PIECES:
		rude, other = dial(port), dial(port)
		rude.sendall(pattern(0, n))
		other.sendall(b"hello")
		reset(rude)
		assert receive(other, 5) == b"hello"
		other.sendall(pattern(0, 60000))
		other.shutdown(socket.SHUT_WR)
		assert receive_all(other) == pattern(0, 60000)
	assert server.poll() is None
	for n in PIECES[1 if WINDOWS else 0:]:  # as above
		server, port = serve("fanout", "--min-clients=2", stdin=subprocess.PIPE)
		rude, other = dial(port), dial(port)
		server.stdin.write(pattern(0, 60000))
		server.stdin.flush()
		receive(rude, n)
		reset(rude)
		server.stdin.write(pattern(60000, 60000))
		server.stdin.close()
		assert receive_all(other) == pattern(0, 120000)
		assert server.wait(PATIENCE) == 0


def dribbles():
	"""A byte at a time, both ways."""
	text = pattern(0, 1000)
	for command in ("connect", "listen"):
		process, peer = join(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
		peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		for i in range(len(text)):
			peer.sendall(text[i:i + 1])
			assert process.stdout.read(1) == text[i:i + 1], (command, i)
			process.stdin.write(text[i:i + 1])
			assert peer.recv(1) == text[i:i + 1], (command, i)
		peer.close()
		process.stdin.close()
		assert process.wait(PATIENCE) == 0
	_, port = serve("echo")
	client = dial(port)
	client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	for i in range(len(text)):
		client.sendall(text[i:i + 1])
		if i % 3 == 2:  # several are under way
			assert receive(client, 3) == text[i - 2:i + 1]


def floods():
	"""Who only sends is held back, and when he reads has every byte back."""
	_, port = serve("echo", "-I", "64k", "-O", "64k")
	client = dial(port, 65536)
	sent = fill(client.send, client.fileno())
	other = dial(port)
	other.sendall(b"hello")
	assert receive(other, 5) == b"hello", "a flood holds up the others"
	assert receive(client, sent) == pattern(0, sent)


# ---- stopped, and going on ----

def stop_and_continue(processes, until):
	"""Each in turn, until the work is done."""
	times = 0
	while not until():
		for process in processes:
			signal_to(process, signal.SIGSTOP)
			time.sleep(0.01)
			signal_to(process, signal.SIGCONT)
			times += 1
		time.sleep(0.005)
	return times


def write_input(size):
	with open(path("input"), "wb") as file:
		file.write(pattern(0, size))
	return open(path("input"), "rb")


def read_file(name):
	with open(path(name), "rb") as file:
		return file.read()


def stops_in_transfer():
	"""muxcat and its peer, another muxcat: nothing is lost either way."""
	size = 8 << 20
	with write_input(size) as to_listen, open(path("input"), "rb") as to_connect, \
		open(path("heard"), "wb") as heard, open(path("answer"), "wb") as answer:
		server, port = serve("listen", "-I", "16k", "-O", "16k", stdin=to_listen, stdout=heard)
		client = start("connect", "-I", "16k", "-O", "16k", "127.0.0.1", str(port),
			stdin=to_connect, stdout=answer)
		both = [server, client]
		times = stop_and_continue(both, lambda: any(p.poll() is not None for p in both))
		assert times > 2, "it was over before"
		assert [p.wait(PATIENCE) for p in both] == [0, 0]
	assert read_file("heard") == read_file("answer") == read_file("input")


def stops_in_echo():
	size = 4 << 20
	server, port = serve("echo", "-I", "16k", "-O", "16k")
	client = dial(port, 16384)
	got = []

	def send():
		client.sendall(pattern(0, size))
		client.shutdown(socket.SHUT_WR)

	threads = [threading.Thread(target=send), threading.Thread(target=lambda: got.append(receive_all(client)))]
	for thread in threads:
		thread.start()
	times = stop_and_continue([server], lambda: not threads[1].is_alive())
	for thread in threads:
		thread.join()
	assert times > 2, "it was over before"
	assert got == [pattern(0, size)]


def stops_in_fanout():
	"""The one that sends, and one of its subscribers."""
	size = 8 << 20
	with write_input(size) as stdin, open(path("heard"), "wb") as heard, open(path("answer"), "wb") as answer:
		server, port = serve("fanout", "--min-clients=2", "-O", "16k", stdin=stdin)
		clients = [start("connect", "-d", "-I", "16k", "127.0.0.1", str(port), stdout=out)
			for out in (heard, answer)]
		everybody = [server, *clients]
		times = stop_and_continue(everybody[:2], lambda: any(p.poll() is not None for p in everybody))
		assert times > 2, "it was over before"
		assert [p.wait(PATIENCE) for p in everybody] == [0, 0, 0]
	assert read_file("heard") == read_file("answer") == read_file("input")


def stops_for_long():
	"""For longer than a subscriber may hold up a fanout, which takes nothing meanwhile: it is not cut off."""
	size = 4 << 20
	with write_input(size) as stdin:
		server, port = serve("fanout", "--stall=1", "--queue=64k", "-O", "16k", stdin=stdin)
	subscriber = dial(port)
	heard = subscriber.recv(1000)
	signal_to(server, signal.SIGSTOP)
	time.sleep(1.5)
	signal_to(server, signal.SIGCONT)
	heard += receive_all(subscriber)
	assert heard == read_file("input"), len(heard)
	assert server.wait(PATIENCE) == 0


# ---- killed ----

def peer_is_killed():
	"""A peer that is killed in mid-transfer ends, or resets: what had come is written, and it ends."""
	with open("/dev/zero", "rb") as zero:
		peer, port = serve("listen", stdin=zero, stdout=NULL)
	client = start("connect", "127.0.0.1", str(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
		stderr=subprocess.PIPE)
	assert client.stdout.read(100000) == b"\0" * 100000
	peer.kill()
	rest = client.stdout.read()
	assert not rest.strip(b"\0")
	client.stdin.close()
	assert client.wait(PATIENCE) in (0, 1)
	assert len(client.stderr.read().splitlines()) == client.returncode


def clients_are_killed():
	"""Those of an echo and a fanout: the others notice nothing."""
	_, port = serve("echo")
	for _ in range(5):
		with open("/dev/zero", "rb") as zero:
			client = start("connect", "127.0.0.1", str(port), stdin=zero, stdout=subprocess.PIPE)
		other = dial(port)
		client.stdout.read(100000)
		client.kill()
		other.sendall(pattern(0, 60000))
		other.shutdown(socket.SHUT_WR)
		assert receive_all(other) == pattern(0, 60000)
	with write_input(8 << 20) as stdin:
		server, port = serve("fanout", "--min-clients=2", "-O", "16k", stdin=stdin)
	client = start("connect", "-d", "127.0.0.1", str(port), stdout=subprocess.PIPE)
	other = dial(port, 16384)
	client.stdout.read(100000)
	client.kill()
	assert receive_all(other) == read_file("input")
	assert server.wait(PATIENCE) == 0


def muxcat_is_killed():
	"""Its peers are not left waiting: they see an end, or a reset where it had not read everything."""
	for command in (["listen"], ["listen", "-k"], ["echo"], ["fanout"]):
		server, port = serve(*command, stdin=subprocess.PIPE, stdout=NULL)
		client = dial(port)
		if command == ["echo"]:
			client.sendall(b"hello")
		else:
			server.stdin.write(b"hello")
			server.stdin.flush()
		assert receive(client, 5) == b"hello"
		server.kill()
		try:
			assert client.recv(1) == b""
		except ConnectionResetError:
			pass
	s, address = listener("target")
	client = start("connect", address, stdin=subprocess.PIPE)
	peer = s.accept()[0]
	client.kill()
	assert peer.recv(1) == b""


def killed_at_a_file():
	"""The socket's file stays, and is never removed but by hand; then the next takes its place."""
	address = "unix:" + path("socket")
	server = start("echo", address)
	wait_for(lambda: os.path.exists(path("socket")), "the socket")
	server.kill()
	server.wait()
	assert os.path.exists(path("socket"))
	second = start("echo", address, stderr=subprocess.PIPE)
	assert second.wait(PATIENCE) == 1
	assert second.stderr.read() == b"muxcat: listen %s: Address already in use\n" % address.encode()
	os.unlink(path("socket"))
	start("echo", address)
	wait_for(lambda: os.path.exists(path("socket")), "the socket")
	client = start("connect", address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
	assert client.communicate(b"hello", PATIENCE)[0] == b"hello"


if __name__ == "__main__":
	try:
		globals()[sys.argv[1]]()
	finally:
		for process in started:
			process.kill()
			process.wait()
