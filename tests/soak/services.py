"""What a soak has under load: each service is a muxcat (a relay two), its clients, and their accounts."""
import collections
import os
import re
import socket
import subprocess

from broker import Member, Witness
from crowd import name_of, require, source_address
from datagrams import DatagramTalker, dropped
from joined import PATIENCE
from served import Served
from subscribers import Publisher, Subscriber
from talkers import Talker, TlsTalker

AT_ONCE = 64  # new clients a turn of the loop
HUB_BLOCKS = 8  # of the heap, for the newest record

Account = collections.namedtuple("Account", "sent received whole missing")


def agree(closed, account):
	"""What muxcat has counted, and what its client has."""
	if account.whole:
		return closed.bytes_in == account.sent and closed.bytes_out == account.received \
			and closed.dropped == account.missing
	return closed.bytes_in <= account.sent and closed.bytes_out >= account.received \
		and closed.dropped >= account.missing


class Service:
	"""`share` of all clients are its own at any time. Clients of a stream call dial and left."""

	name = client = None
	share = 0
	blocks = 2  # of the heap that it may keep at times: what it receives into

	def __init__(self, crowd, folder):
		self.crowd = crowd
		self.folder = folder
		self.live = 0
		self.accounts = {}  # of clients that have left, by number, until they are settled
		self.count = self.resets = self.bytes = self.missing = 0
		self.muxcats = []  # first the one that the clients dial

	def start(self, clients):
		self.population = max(3, int(clients * self.share))
		self.open()
		self.descriptors = [muxcat.descriptors() for muxcat in self.muxcats]

	def open(self):
		"""Starts the muxcats."""
		raise NotImplementedError

	def serve(self, name, *arguments, at=("127.0.0.1", "0"), **rest):
		muxcat = Served(self.folder, name, *arguments, *at, **rest)
		self.muxcats.insert(0, muxcat)
		self.crowd.run_until(muxcat.is_there, lambda: name)
		return muxcat

	def begin(self):
		"""Who must be there before the others come."""

	def come(self):
		for _ in range(min(AT_ONCE, self.population - self.live)):
			self.client(self)

	def noted(self):
		"""What else there is to tell."""
		return ""

	def dial(self, number, small=False):
		client = socket.socket()
		if small:
			client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
		client.settimeout(PATIENCE)
		client.bind((source_address(number), 0))
		client.connect(("127.0.0.1", self.muxcats[0].port))
		client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		return self.have(client)

	def have(self, client):
		client.setblocking(False)
		self.live += 1
		self.count += 1
		return client

	def left(self, client, whole):
		self.live -= 1
		self.missing += client.missing
		self.accounts[client.number] = Account(client.sent, client.received, whole, client.missing)

	def state(self):
		served = self.muxcats[0]
		return "%d clients are here, %d accepted, %d closed, descriptors %s, once %s" % (self.live,
			served.accepted, served.closed,
			[muxcat.descriptors() for muxcat in self.muxcats], self.descriptors)

	# ---- after the load ----

	def is_drained(self):
		"""All clients have left; now muxcat must have seen it, too."""
		return all([muxcat.all_closed() for muxcat in self.muxcats]) and \
			self.descriptors == [muxcat.descriptors() for muxcat in self.muxcats]

	def finish(self):
		"""Ends the muxcats."""
		for muxcat in self.muxcats:
			muxcat.stop()

	def settle(self):
		"""What muxcat has told of a client, and what it knows itself, once both are there."""
		served = self.muxcats[0]
		served.read_report()
		unsettled, served.unsettled = served.unsettled, []
		for closed in unsettled:
			account = self.accounts.pop(self.number_of(closed.peer), None)
			if account:
				require(agree(closed, account), "%s: %s, but %s" % (self.name, closed, account))
			else:
				served.unsettled.append(closed)

	def check(self):
		"""Every client has been served once, or was not let in."""
		served = self.muxcats[0]
		self.settle()
		for peer in served.rejected:
			account = self.accounts.pop(self.number_of(peer), None)
			require(account and not account.whole, "%s was not let in, and served" % peer)
		require(not self.accounts and not served.unsettled
			and served.accepted == served.closed == self.count - len(served.rejected),
			"%s has served %d of %d: besides %s, and not %s" % (self.name, served.closed, self.count,
				served.unsettled[:3], list(self.accounts.items())[:3]))

	def number_of(self, peer):
		a, b, c = map(int, re.match(r"127\.(\d+)\.(\d+)\.(\d+):", peer).groups())
		return (a - 1) << 16 | b << 8 | c


class Echo(Service):
	name, client, share = "echo", Talker, 0.30

	def open(self):
		self.serve(self.name, "echo")


class EchoTls(Service):
	name, client, share = "echo-tls", TlsTalker, 0.08

	def open(self):
		self.serve(self.name, "echo", "--tls")


class EchoUnix(Service):
	name, client, share = "echo-unix", Talker, 0.17

	def open(self):
		self.path = os.path.join(self.folder, "socket")
		self.serve(self.name, "echo", at=["unix:" + self.path])

	def dial(self, number, small=False):
		client = socket.socket(socket.AF_UNIX)
		client.settimeout(PATIENCE)
		client.bind(name_of(number))
		client.connect(self.path)
		return self.have(client)

	def number_of(self, peer):
		return int(peer.rpartition("-")[2])

	def finish(self):
		super().finish()
		require(not os.path.exists(self.path), "the socket's file is left")


class Relay(Service):
	name, client, share = "relay", Talker, 0.25

	def open(self):
		behind = self.serve("behind", "echo")
		self.serve(self.name, "listen", "-k", "--to", "tcp:127.0.0.1:%d" % behind.port)

	def settle(self):
		super().settle()
		behind = self.muxcats[1]
		behind.read_report()
		for closed in behind.unsettled:
			require(closed.bytes_in == closed.bytes_out or closed.why != "end of file",
				"behind the relay: %s" % (closed,))
		behind.unsettled = []

	def check(self):
		super().check()
		relay, behind = self.muxcats
		require(relay.connected == relay.closed == behind.accepted == behind.closed,
			"relay: %d dialled, %d accepted there" % (relay.connected, behind.accepted))


class Datagrams(Service):
	name, client, share = "echo-udp", DatagramTalker, 0.01

	def open(self):
		self.serve(self.name, "echo", "-u")
		self.here = []
		self.lost = self.sent = 0

	def dial(self, number, small=False):
		client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		client.bind((source_address(number), 0))
		client.connect(("127.0.0.1", self.muxcats[0].port))
		return self.have(client)

	def dropped(self):
		ports = [client.below.getsockname() for client in self.here]
		return dropped([("127.0.0.1", self.muxcats[0].port), *ports])

	def begin(self):
		self.dropped_before = self.dropped()
		self.here = [DatagramTalker(self) for _ in range(self.population)]

	def come(self):
		"""They stay."""

	def is_drained(self):
		"""What has not come back has been dropped by the kernel, here or there."""
		lost = sum(client.lost() for client in self.here)
		if lost > self.dropped() - self.dropped_before:
			return False
		self.lost += lost
		self.sent += sum(client.count for client in self.here)
		for client in self.here:
			client.leave()
		self.here = []
		return True

	def state(self):
		return "%d datagrams lost, the kernel has dropped %d" % (
			sum(client.lost() for client in self.here), self.dropped() - self.dropped_before)

	def settle(self):
		"""Datagrams have no report."""

	def check(self):
		"""See is_drained."""

	def noted(self):
		return ", %d of %d datagrams lost" % (self.lost, self.sent)


class Fanout(Service):
	"""Its subscribers are seen to have left when something is sent to them."""

	rate = 200_000  # bytes a second
	blocks = HUB_BLOCKS
	client = Subscriber
	drops = False  # what is too much for a subscriber
	options = ()

	def open(self):
		served = self.serve(self.name, "fanout", "--min-clients", "0", "--stall", "60", *self.options,
			stdin=subprocess.PIPE)
		self.publisher = Publisher(self.crowd, served.process.stdin, self.rate)

	def begin(self):
		self.publisher.paused = False

	def is_drained(self):
		if self.muxcats[0].all_closed():
			self.publisher.paused = True
		return super().is_drained()

	def finish(self):
		"""At the input's end who is there gets all of it."""
		for _ in range(3):
			Subscriber(self, stays=True)
		enough = self.publisher.position + self.rate / 4
		self.publisher.paused = False
		self.crowd.run_until(lambda: self.publisher.position > enough)
		self.publisher.end()
		self.crowd.run_until(lambda: self.live == 0)
		self.muxcats[0].ended(0)


class FanoutWait(Fanout):
	name, share = "fanout", 0.05


class FanoutDrop(Fanout):
	name, share = "fanout-drop", 0.02
	rate = 600_000
	drops = True
	options = ("--slow=drop", "--queue", "64k", "--send-buffer", "16k")

	def noted(self):
		return ", %d lines skipped" % self.missing


class Broker(Service):
	name, client, share = "broker", Member, 0.02
	blocks = HUB_BLOCKS

	def open(self):
		self.serve(self.name, "fanout", "--broker", "--stall", "60")

	def begin(self):
		self.members = {}
		self.witness = Witness(self)

	def is_drained(self):
		if not self.witness:
			return super().is_drained()
		if self.live > 1 or not all(map(self.witness.has_heard, self.members.values())):
			return False
		self.muxcats[0].read_report()
		if self.muxcats[0].closed < self.muxcats[0].accepted - 1:
			self.witness.say()  # which shows muxcat who has left
		else:
			self.witness.reset()
			self.witness = None
		return False


def services():
	version = subprocess.run([os.environ["MUXCAT"], "--version"], capture_output=True, text=True, check=True)
	without_tls = "TLS: none" in version.stdout
	every = [Echo, EchoTls, EchoUnix, Relay, Datagrams, FanoutWait, FanoutDrop, Broker]
	return [each for each in every if not (without_tls and each is EchoTls)]
