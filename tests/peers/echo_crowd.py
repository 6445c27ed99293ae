"""Many clients of an echo server: echo_crowd.py crowd|slots|silent PORT CLIENTS [ROUNDS]

crowd  CLIENTS connections at the same time, each ROUNDS round trips, then both ends of file
slots  CLIENTS connections; tells how many are answered within a moment ("served N", "refused N"),
       then for each line of stdin closes those served and waits for as many others
silent CLIENTS connections that send nothing: those that are refused are reset, and some are
"""
import select
import socket
import sys
import time

from joined import PATIENCE

role, port, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 1
LIMIT = time.monotonic() + PATIENCE


def dial():
	s = socket.create_connection(("127.0.0.1", port), PATIENCE)
	s.setblocking(False)
	return s


def crowd():
	poll = select.epoll()
	state = {}
	for i in range(clients):
		s = dial()
		state[s.fileno()] = [s, i, 0, b""]
		poll.register(s, select.EPOLLIN)
	want = lambda i, n: (b"client %d round %d " % (i, n)) * (1 + i % 7)
	for s, i, n, got in state.values():
		s.sendall(want(i, 0))
	while state:
		assert time.monotonic() < LIMIT, "%d clients unserved" % len(state)
		for fd, _ in poll.poll(1):
			c = state[fd]
			data = c[0].recv(65536)
			if not data:
				assert c[2] == rounds and not c[3], "early end of file"
				poll.unregister(fd)
				c[0].close()
				del state[fd]
				continue
			c[3] += data
			assert want(c[1], c[2]).startswith(c[3]), "wrong bytes"
			if c[3] == want(c[1], c[2]):
				c[2], c[3] = c[2] + 1, b""
				if c[2] < rounds:
					c[0].sendall(want(c[1], c[2]))
				else:
					c[0].shutdown(socket.SHUT_WR)
	print("all served")


def slots():
	poll = select.epoll()
	waiting = {}
	served, refused = [], 0
	for i in range(clients):
		try:
			s = dial()
		except ConnectionResetError: # so soon that connect tells
			refused += 1
			continue
		try:
			s.send(b"x")
		except OSError:
			pass  # refused already; the poll below counts it
		waiting[s.fileno()] = s
		poll.register(s, select.EPOLLIN)

	def gather(patience, least):
		nonlocal refused
		end = time.monotonic() + patience
		while waiting and time.monotonic() < end:
			for fd, _ in poll.poll(0.05):
				s = waiting.pop(fd)
				poll.unregister(fd)
				try:
					data = s.recv(10)
				except OSError:
					data = b""
				if data == b"x":
					served.append(s)
				else:
					refused += 1
					s.close()
			if least and len(served) >= least:
				break

	gather(0.7, 0)
	print("served %d refused %d" % (len(served), refused), flush=True)
	for _ in sys.stdin:
		for s in served:
			s.close()
		served = []
		gather(10, len(waiting))
		print("then served %d refused %d" % (len(served), refused), flush=True)


def silent():
	everybody, reset = [], 0
	for _ in range(clients):
		try:
			everybody.append(dial())
		except ConnectionResetError:
			reset += 1
	poll = select.poll()
	for s in everybody:
		poll.register(s, select.POLLIN)
	while not reset or poll.poll(100):
		found = {fd for fd, _ in poll.poll(1000 * PATIENCE)}
		for s in [s for s in everybody if s.fileno() in found]:
			poll.unregister(s)
			try:
				sys.exit("refused by an end, and %r" % s.recv(10))
			except ConnectionResetError:
				reset += 1
	print("reset")


{"crowd": crowd, "slots": slots, "silent": silent}[role]()
