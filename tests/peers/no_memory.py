"""no_memory.py [--step N] [--tls] [--for-ever] COMMAND...: a short run of each, without memory.

The first allocation fails, then the second, and so on, until a run has no more of them; with --step
only every so many of them. Each run works in full, or fails with one line and its status; a server
that goes on has told of whom it has turned away. With --for-ever all allocations after that one fail
too: then it only has to end, and to fool nobody.
"""
import argparse
import os
import sys

import short_run


def check(run, options):
	for party in run.parties:
		# TLS: without memory close_notify may be missing, and its receiver takes that for a cut
		if options.tls and party.got == party.due:
			party.end = None
	if options.tls and run.status == 4:  # OpenSSL takes what it could not check for untrusted
		run.status = 1
	told = [line for line in run.lines if not is_usual(line)]
	run.lines = [line for line in told if ": closed " not in line]
	if options.for_ever:
		del run.lines[1:]
	run.check()
	assert told or run.is_whole() and not run.turned_away, "nothing is told"


def without(number, command, options):
	"""Whether there was an allocation of that number."""
	environ = {"LD_PRELOAD": os.environ["NO_MEMORY"], "NO_MEMORY_AT": str(number)}
	if options.for_ever:
		environ["NO_MEMORY_FOR"] = "ever"
	with short_run.Run(environ=environ, tls=options.tls, options=["-v"] if command in TELL else []) as run:
		environ["NO_MEMORY_TOLD"] = run.file("told")
		try:
			getattr(short_run, command)(run)
			check(run, options)
		except (AssertionError, TimeoutError) as error:
			sys.exit("FAILED: %s, allocation %d: %s" % (command, number, error))
		return os.path.getsize(run.file("told")) > 0


# whoever serves many tells of one client's failure with -v only
TELL = ("echo", "echo_threads", "fanout", "slow", "broker", "chat")


def is_usual(line):
	return any(word in line for word in (": listening on", ": accepted", "end of file", ": stopped", "records dropped"))


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--step", type=int, default=1)
	parser.add_argument("--tls", action="store_true")
	parser.add_argument("--for-ever", action="store_true")
	parser.add_argument("commands", nargs="+")
	options = parser.parse_args()
	for command in options.commands:
		number = 1
		while without(number, command, options):
			number += options.step
		if number == 1:
			sys.exit("FAILED: %s: no allocation has failed" % command)
		print(command, number)


main()
