"""1 GiB one way, from a file to /dev/null and from a pipe to a pipe."""
import contextlib
import os
import subprocess
import tempfile
import time

from measure import MUXCAT, NULL, await_listener, free_port, ref, rounds, wait_all


def programs(port):
	socat = ["socat", "-u", "-b", "1048576"]
	return {
		"muxcat": ([MUXCAT, "listen", "-d", "127.0.0.1", port], [MUXCAT, "connect", "--send-only", "127.0.0.1", port]),
		"nc": (["nc", "-l", "-d", "127.0.0.1", port], ["nc", "-N", "127.0.0.1", port]),
		"ncat": (["ncat", "-l", "--recv-only", "127.0.0.1", port], ["ncat", "--send-only", "127.0.0.1", port]),
		"socat": (socat + ["TCP-LISTEN:%s,bind=127.0.0.1" % port, "STDOUT"], socat + ["STDIN", "TCP:127.0.0.1:" + port]),
		"copy loop": ([ref("copy"), "listen", port], [ref("copy"), "connect", port]),
	}


def file_to_null(path, port, server, client):
	"""Seconds from the client's start to the end of both, and their processor time."""
	receiver = subprocess.Popen(server, stdin=NULL, stdout=NULL, stderr=NULL)
	await_listener(port)
	begin = time.monotonic()
	with open(path, "rb") as file:
		sender = subprocess.Popen(client, stdin=file, stdout=NULL, stderr=NULL)
	processor = wait_all([sender, receiver])
	return time.monotonic() - begin, sum(processor)


def pipe_to_pipe(path, port, server, client):
	"""The same, from a cat and to a cat."""
	receiver = subprocess.Popen(server, stdin=NULL, stdout=subprocess.PIPE, stderr=NULL)
	sink = subprocess.Popen(["cat"], stdin=receiver.stdout, stdout=NULL)
	receiver.stdout.close()
	await_listener(port)
	begin = time.monotonic()
	source = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
	sender = subprocess.Popen(client, stdin=source.stdout, stdout=NULL, stderr=NULL)
	source.stdout.close()
	processor = wait_all([source, sender, receiver, sink])
	return time.monotonic() - begin, processor[1] + processor[2]


def big_file(folder):
	"""1 GiB of noise, on the disk and in the system's memory."""
	path = os.path.join(folder, "file")
	with open(path, "wb") as file:
		for _ in range(1024):
			file.write(os.urandom(1 << 20))
		os.fsync(file.fileno())
	return path


def compare(programs_at, ways):
	"""Columns and rows for programs_at(port), {name: (server, client)}, each way {name: (measure, file)} to send a file."""
	def measure(way, name):
		port = free_port()
		by, path = ways[way]
		return by(path, port, *programs_at(port)[name])

	rows = []
	for way in ways:
		figures = rounds({name: name for name in programs_at("0")}, lambda name, way=way: measure(way, name))
		for name, (seconds, processor) in figures.items():
			rows.append([way, name, "%.3f" % seconds, "%.3f" % processor, "%.2f" % figures.ratio(name, 0)])
	return ["way", "program", "seconds", "processor seconds, both ends", "muxcat is so many times as fast"], rows


def run(folder):
	path = big_file(folder)
	with contextlib.ExitStack() as stack:
		ways = {"file to /dev/null": (file_to_null, path), "pipe to pipe": (pipe_to_pipe, path)}
		if os.path.isdir("/dev/shm"):
			memory = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
			ways["tmpfs to /dev/null"] = file_to_null, big_file(memory)
		return compare(programs, ways)
