"""eof_case.py ROLE DIRECTION OTHER [tls]: one case of the end-of-file matrix.

Data, one byte at a time, and then EOF pass in DIRECTION, whatever the other way is doing.
ROLE       connect, listen
DIRECTION  out: stdin to the network; in: the network to stdout
OTHER      the other way is quiet, filled to a standstill, or done
"""
import os
import socket
import sys
import time

from joined import Joined, fill, pattern, ready, require


class In:
	"""From the network to stdout."""
	name = "in"

	def __init__(self, joined):
		self.joined = joined
		self.fd = joined.socket.fileno()

	def write(self, data):
		return self.joined.socket.send(data)

	def end(self):
		self.joined.socket.shutdown(socket.SHUT_WR)

	def read(self):
		return self.joined.read()


class Out:
	"""From stdin to the network."""
	name = "out"

	def __init__(self, joined):
		self.joined = joined
		self.fd = joined.stdin.fileno()

	def write(self, data):
		return os.write(self.fd, data)

	def end(self):
		self.joined.stdin.close()

	def read(self):
		ready(self.joined.socket, "read")
		return self.joined.socket.recv(65536)


def expect(way, data, when):
	while data:
		found = way.read()
		require(found and data.startswith(found),
			"%s, %s: found %r.. instead of %r.." % (way.name, when, found[:32], data[:32]))
		data = data[len(found):]


def expect_end(way, when):
	found = way.read()
	require(found == b"", "%s, %s: found %r.. instead of EOF" % (way.name, when, found[:32]))


def check(joined, way, other, state):
	def pass_byte(byte):
		way.write(byte)
		expect(way, byte, "the other way " + state)

	filled = 0
	if state == "filled":
		# A segment from the peer may let the system's send buffer grow: until it does no more.
		while (now := fill(other.write, other.fd, filled)) > filled:
			filled = now
			pass_byte(b"-")
	elif state == "done":
		other.end()
		expect_end(other, "before the test")

	for byte in b"one by one":
		pass_byte(bytes([byte]))

	before, begin = joined.cpu(), time.monotonic()
	time.sleep(0.3)  # nothing moves now: it must not spin
	spent, took = joined.cpu() - before, time.monotonic() - begin
	require(spent < took / 2, "%.2f s of processor time in %.2f s without work" % (spent, took))

	way.end()
	expect_end(way, "the other way " + state)

	# and the other way is none the worse
	if state != "done":
		if state == "quiet":
			other.write(b"later")
			expect(other, b"later", "after this one's EOF")
		expect(other, pattern(0, filled), "after the standstill")
		other.end()
		expect_end(other, "at last")
	require(joined.status() == 0, "exit %d" % joined.process.returncode)


def main():
	role, direction, state = sys.argv[1:4]
	with Joined(role, tls=sys.argv[4:] == ["tls"]) as joined:
		ways = [In(joined), Out(joined)]
		if direction == "out":
			ways.reverse()
		check(joined, *ways, state)


main()
