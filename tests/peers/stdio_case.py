"""stdio_case.py ROLE KIND: stdin and stdout of KIND, shared with us, are left as they are.

KIND  pipe; socket: a socketpair each; one-socket: one socketpair for both; pty: one terminal for both

Their flags are the same before, during (idle, in the middle of a transfer, with a stdout that
nobody reads, which does not stop stdin) and after the run.
"""
import fcntl
import os
import select
import socket
import sys
import termios
import tty

from joined import Joined, fill, pattern, ready, require


class Ends:
	"""muxcat's two descriptors, and ours at their other ends."""

	def __init__(self, kind):
		if kind == "pipe":
			self.stdin, self.writer = os.pipe()
			self.reader, self.stdout = os.pipe()
		elif kind == "socket":
			self.stdin, self.writer = [end.detach() for end in socket.socketpair()]
			self.reader, self.stdout = [end.detach() for end in socket.socketpair()]
		elif kind == "one-socket":
			self.stdin, self.writer = [end.detach() for end in socket.socketpair()]
			self.reader, self.stdout = os.dup(self.writer), self.stdin
		else:
			self.writer, self.stdin = os.openpty()
			tty.setraw(self.stdin)
			self.reader, self.stdout = self.writer, self.stdin
			self.terminal = termios.tcgetattr(self.stdin)
		self.kind = kind
		self.was = self.flags()

	def flags(self):
		return [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (self.stdin, self.stdout)]

	def check(self, when):
		require(self.flags() == self.was, "flags %s: %r, were %r" % (when, self.flags(), self.was))
		if self.kind == "pty":
			require(termios.tcgetattr(self.stdin) == self.terminal, "terminal modes " + when)

	def end(self):
		if self.kind == "one-socket":
			with socket.socket(fileno=os.dup(self.writer)) as end:
				end.shutdown(socket.SHUT_WR)
		elif self.kind != "pty":  # which has no end in raw mode: the peer's is enough there
			os.close(self.writer)

	def read(self, size):
		data = b""
		while len(data) < size:
			ready(self.reader, "read")
			piece = os.read(self.reader, size - len(data))
			require(piece, "the end after %d bytes" % len(data))
			data += piece
		return data


def main():
	role, kind = sys.argv[1:]
	ends = Ends(kind)
	with Joined(role, stdin=ends.stdin, stdout=ends.stdout) as joined:
		def out(text, when):
			os.write(ends.writer, text)
			ready(joined.socket, "read")
			found = joined.socket.recv(100)
			require(found == text, "out, %s: %r" % (when, found))
			ends.check(when)

		out(b"a", "idle")
		joined.socket.sendall(b"b")
		require(ends.read(1) == b"b", "in")
		ends.check("after a byte each way")

		filled = fill(joined.socket.send, joined.socket.fileno())
		ends.check("with a full stdout")
		out(b"c", "with a full stdout")

		half = filled // 2
		require(ends.read(half) == pattern(0, half), "the first half of the flood")
		out(b"d", "in a transfer")
		require(ends.read(filled - half) == pattern(half, filled - half), "the rest of the flood")

		ends.end()
		if kind != "pty":
			require(joined.socket.recv(1) == b"", "no EOF for the peer")
		joined.socket.shutdown(socket.SHUT_WR)
		require(joined.status() == 0, "exit %d" % joined.process.returncode)
		ends.check("after the run")
		if kind != "pty":
			os.close(ends.stdout)
			require(os.read(ends.reader, 1) == b"", "something more on stdout")
		else:
			require(not select.select([ends.reader], [], [], 0)[0], "something more on stdout")


main()
