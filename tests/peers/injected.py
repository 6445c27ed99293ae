"""injected.py [--long] COMMAND...: short runs of each in which strace(1) lets system calls fail.

The table says what must happen for each command, call and error. With --long any call may fail, the
first time, the second and so on, with each of its errors: what holds for all runs must hold then.
"""
import errno
import os
import sys

import short_run

FLAGS = os.environ["MUXCAT_FLAGS"]
BACKEND = FLAGS.removeprefix("--backend=").split()[0]
EDGE = "--edge" in FLAGS

# one of a group may be missing on a processor, or for a C library
WAIT = "?epoll_wait,?epoll_pwait,?poll,?ppoll,?select,?pselect6"
MOVING = "recvfrom,sendto,recvmmsg,sendmmsg,accept4"
STDIN, STDOUT = "read,preadv2", "write"
MOST_CALLS = 500  # of WAIT and MOVING in a run; it takes about 100

THREADS = "echo_threads"
BROKERS = ["broker", "chat"]
SERVERS = ["listen", "listen_many", "relay", "echo", THREADS, "fanout", *BROKERS]
STREAMS = ["connect", *SERVERS]
DATAGRAMS = ["connect_udp", "listen_udp", "echo_udp"]
ALL = STREAMS + DATAGRAMS
WRITERS = ["connect", "listen", "listen_many", "listen_udp"]
READERS = [*WRITERS, "fanout"]
ADDRESS = PEER = r"127\.0\.0\.1:\d+"
RARE = ["ENOMEM", "ENOBUFS"]


# ---- what happens ----

class Outcome:
	"""All bytes and status 0; a line on stderr if one is given."""

	def __init__(self, line=None):
		self.line = line

	def check(self, run, reason):
		run.check()
		self.check_parties(run)
		run.check_told(self.line and self.line.replace("REASON", reason))

	def check_parties(self, run):
		assert not run.has_failed(), "it ended with %d, %r" % (run.status, run.lines)
		assert run.is_whole() and not run.turned_away, "not everybody has everything"


class OneIsCutOff(Outcome):
	"""And knows it; the others have everything, and the server goes on. One of each thread at most."""

	def check_parties(self, run):
		assert not run.has_failed(), "it ended with %d, %r" % (run.status, run.lines)
		hurt = sum(not party.is_whole() for party in run.parties if party is not run.out) + run.turned_away
		assert hurt <= run.threads, "%d were cut off" % hurt
		assert hurt or not run.is_whole(), "nobody was cut off"


class EachWaits(Outcome):
	"""The threads, of which each has its line and one at least has to wait."""

	def check(self, run, reason):
		del run.lines[1:run.threads]
		super().check(run, reason)


class Fails(Outcome):
	"""With status 1."""

	def check_parties(self, run):
		assert run.has_failed(), "it did not fail"


class EndsAtOnce(Fails):
	"""It cannot tell its peers of it any more."""

	def check(self, run, reason):
		assert run.status == 1, "it ended with %d" % run.status
		run.check_told(self.line.replace("REASON", reason))


GOES_ON = Outcome()
WAITS = Outcome("accept: REASON; waiting until there is room")
EACH_WAITS = EachWaits(WAITS.line)
CUT_OFF = OneIsCutOff()
CUT_OFF_AND_TOLD = OneIsCutOff("recv %s: REASON" % PEER)
RECV_FAILS, SEND_FAILS = Fails("recv %s: REASON" % PEER), Fails("send %s: REASON" % PEER)
STDIN_FAILS, STDOUT_FAILS = Fails("stdin: REASON"), Fails("stdout: REASON")
LISTEN_FAILS, CONNECT_FAILS = Fails("listen %s: REASON" % ADDRESS), Fails("connect %s: REASON" % ADDRESS)
LOOP_FAILS, THREAD_FAILS = Fails("%s: REASON" % BACKEND), Fails("--threads: REASON")

# commands, calls, errors, which of the calls, what happens
TABLE = [
	# signals, which come at any time
	(ALL, WAIT, ["EINTR"], "1+2", GOES_ON),
	(ALL, MOVING, ["EINTR"], "1+2", GOES_ON),
	(READERS, STDIN, ["EINTR"], "1+2", GOES_ON),
	(WRITERS, STDOUT, ["EINTR"], "1+2", GOES_ON),
	# readiness that was not, as select(2) has it; edges do not come again
	([] if EDGE else ALL, MOVING, ["EAGAIN"], "1+2", GOES_ON),
	(READERS, STDIN, ["EAGAIN"], "1+2", GOES_ON),
	(WRITERS, STDOUT, ["EAGAIN"], "1+2", GOES_ON),
	# accept(2): what became of a connection that was in the backlog
	(SERVERS, "accept4", ["ECONNABORTED", "EPROTO", "ENETDOWN"], "1..3", GOES_ON),
	(["echo"], "accept4", ["ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP",
		"ENETUNREACH"], "1..3", GOES_ON),
	# and what is wanting here
	(["listen"], "accept4", ["EMFILE"], "1", WAITS),
	(["listen_many"], "accept4", ["ENFILE"], "1", WAITS),
	(["relay"], "accept4", ["ENOBUFS"], "1", WAITS),
	(["echo"], "accept4", ["ENOMEM", "EMFILE", "ENFILE", "ENOBUFS"], "1", WAITS),
	(["fanout", *BROKERS], "accept4", ["EMFILE"], "1", WAITS),
	([THREADS], "accept4", ["EMFILE", "ENOMEM"], "1", EACH_WAITS),
	# a connection that fails, of one that is all there is, and of many
	(["connect", "listen", "relay"], "recvfrom", [*RARE, "ECONNRESET", "ETIMEDOUT"], "2", RECV_FAILS),
	(["connect", "listen", "relay"], "sendto", [*RARE, "ECONNRESET", "ETIMEDOUT"], "2", SEND_FAILS),
	(["listen_many"], "recvfrom", RARE, "2", CUT_OFF_AND_TOLD),
	(["echo", THREADS, *BROKERS], "recvfrom", RARE, "1", CUT_OFF),
	(BROKERS, "recvfrom", ["ECONNRESET"], "2", CUT_OFF),
	(["listen_many", "echo", THREADS, "fanout", *BROKERS], "sendto", RARE, "2", CUT_OFF),
	(BROKERS, "sendto", ["ECONNRESET", "EPIPE", "ETIMEDOUT"], "3", CUT_OFF),
	(["connect", "listen"], "sendto", ["ENOBUFS"], "1", SEND_FAILS),
	(["listen_many", "echo", THREADS, "fanout", *BROKERS], "sendto", ["ENOBUFS"], "1", CUT_OFF),
	# datagrams come singly, and one that is lost is lost
	(["echo_udp"], "recvmmsg", [*RARE, "ECONNREFUSED"], "1", GOES_ON),
	(["echo_udp"], "sendmmsg", [*RARE, "EPERM", "ENETUNREACH"], "1", GOES_ON),
	(["listen_udp"], "recvfrom", [*RARE, "ECONNREFUSED"], "1", GOES_ON),
	(["connect_udp"], "recvfrom", [*RARE, "ECONNREFUSED"], "1", RECV_FAILS),
	(["connect_udp", "listen_udp"], "sendto", [*RARE, "EPERM"], "1", SEND_FAILS),
	# files and disks
	(["connect", "listen", "listen_many", "fanout"], STDIN, ["EIO"], "1", STDIN_FAILS),
	(["connect", "listen", "listen_many"], STDOUT, ["EIO", "ENOSPC", "EDQUOT"], "1", STDOUT_FAILS),
	# before it has begun
	(SERVERS, "socket", ["ENFILE", *RARE, "EACCES"], "1", LISTEN_FAILS),
	(["listen", "echo", "listen_udp"], "getsockname", ["ENOBUFS"], "1", LISTEN_FAILS),
	(["listen", "echo_udp"], "bind", ["EADDRINUSE", "EACCES"], "1", LISTEN_FAILS),
	(["listen"], "listen", ["EADDRINUSE"], "1", LISTEN_FAILS),
	(["connect"], "socket", ["EMFILE", "ENFILE", *RARE], "1", CONNECT_FAILS),
	(["connect"], "connect", ["EACCES", "EADDRNOTAVAIL", "ENETUNREACH", "ETIMEDOUT", "EPERM"], "1",
		CONNECT_FAILS),
	(ALL, "?eventfd,?eventfd2", ["EMFILE"], "1", LOOP_FAILS),
	(["connect", "echo"], "?eventfd,?eventfd2", ["ENFILE", "ENOMEM"], "1", LOOP_FAILS),
	([THREADS], "?eventfd,?eventfd2", ["EMFILE"], "2", THREAD_FAILS),
	([THREADS], "socket", ["EMFILE", "ENOBUFS"], "2", LISTEN_FAILS),
]
if BACKEND == "epoll":
	TABLE += [
		(["connect", "echo"], "epoll_create1", ["EMFILE", "ENFILE", "ENOMEM"], "1", LOOP_FAILS),
		(["connect", "echo"], "epoll_ctl", ["ENOMEM", "ENOSPC"], "1", LOOP_FAILS),
		(["connect"], "epoll_ctl", ["ENOMEM", "ENOSPC"], "2", CONNECT_FAILS),
		(["echo"], "epoll_ctl", ["ENOSPC"], "2", WAITS),
	]
else:
	TABLE += [(["connect", "echo"], WAIT, ["ENOMEM"], "2", EndsAtOnce(LOOP_FAILS.line))]

# of the manual pages, for --long
ERRORS = [
	(WAIT, ["EINTR"]),
	("recvfrom,recvmmsg", ["EINTR", "ENOMEM", "ECONNREFUSED", "ENOTCONN"]),
	("sendto,sendmmsg", ["EINTR", "ENOBUFS", "ENOMEM", "EPIPE", "ECONNRESET", "EMSGSIZE", "EACCES"]),
	("accept4", ["EINTR", "ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM"]),
	("socket,bind,listen,connect", ["EACCES", "ENOBUFS", "ENOMEM", "EADDRINUSE"]),
	("getsockopt", ["ENOBUFS"]),
	("fcntl", ["EMFILE"]),
	("?epoll_create1,?epoll_ctl,?eventfd,?eventfd2", ["EMFILE", "ENFILE", "ENOMEM", "ENOSPC"]),
	(STDIN, ["EINTR", "EIO"]),
	(STDOUT, ["EINTR", "EIO", "ENOSPC"]),
]


# ---- bringing it about ----

def strace(run, calls, error, when):
	only = []
	if calls in (STDIN, STDOUT):
		end = run.input[0] if calls == STDIN else run.output[1]
		only = ["-P", os.readlink("/proc/self/fd/%d" % end)]
	if run.threads > 1:
		only += ["-f"]
	return ["strace", "-qq", "-o", run.file("trace"), *only, "-e", "trace=%s,%s,%s" % (WAIT, MOVING, calls),
		"-e", "inject=%s:error=%s:when=%s" % (calls, error, when)]


def injected(command, calls, error, when):
	"""A run in which that call has failed so; None if it was not made."""
	# little at a time, so that there are several calls; or all at once, for the first
	options = [] if command in DATAGRAMS or when == "1" else ["-I", "8k", "-O", "8k"]
	with short_run.Run(options=options) as run:
		run.threads = 2 if command == THREADS else 1
		run.under = strace(run, calls, error, when)
		getattr(short_run, command)(run)
		with open(run.file("trace"), errors="replace") as file:
			trace = file.read()
		assert trace.count("\n") < MOST_CALLS, "it spins: %d calls" % trace.count("\n")
		return run if "(INJECTED)" in trace else None


def tell(what, error):
	sys.exit("FAILED: %s: %s" % (" ".join(what), error))


def check_table(commands):
	count = 0
	for who, calls, errors, when, outcome in TABLE:
		for command in set(who) & set(commands):
			for error in errors:
				what = command, calls, error, when
				try:
					run = injected(*what)
					if run:
						count += 1
						outcome.check(run, os.strerror(getattr(errno, error)))
					# not every command makes every call of a group
					assert run or "," in calls, "the call was not made"
				except (AssertionError, TimeoutError) as problem:
					tell(what, problem)
	return count


def check_all(commands):
	"""Each call in its turn."""
	count = 0
	for command in commands:
		for calls, errors in ERRORS:
			if command == "fanout" and "epoll_ctl" in calls:
				continue  # it waits for another subscriber when one cannot be watched
			for error in errors:
				number = 1
				while True:
					what = command, calls, error, str(number)
					try:
						run = injected(*what)
						if not run:
							break
						run.check()
					except (AssertionError, TimeoutError) as problem:
						tell(what, problem)
					number += 1
				count += number - 1
	return count


if __name__ == "__main__":
	names = [name for name in sys.argv[1:] if name != "--long"]
	print((check_all if "--long" in sys.argv else check_table)(names), "runs")
