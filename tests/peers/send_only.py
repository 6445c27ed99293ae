"""send_only.py ROLE: --send-only and a peer that never stops talking. Everything sent must arrive,
nothing is on stdout, and muxcat is done at its end, without the peer's having one.
"""
import sys
import threading
import time

from joined import Joined, STANDSTILL, pattern, require

SIZE = 4 << 20


def feed(stdin):
	text = pattern(0, SIZE)
	while text:
		text = text[stdin.write(text):]
	stdin.close()


def chat(peer):
	try:
		while True:
			peer.sendall(b"chatter " * 1000)
	except OSError:  # it has gone
		pass


def main():
	with Joined(sys.argv[1], "--send-only") as joined:
		chatter = threading.Thread(target=chat, args=[joined.socket], daemon=True)
		chatter.start()
		threading.Thread(target=feed, args=[joined.stdin], daemon=True).start()
		time.sleep(STANDSTILL)  # a peer slow to read
		found = b""
		while len(found) < SIZE:
			data = joined.socket.recv(65536)
			require(data, "the end came after %d of %d bytes" % (len(found), SIZE))
			found += data
		require(found == pattern(0, SIZE), "not what was sent")
		require(joined.status() == 0, "exit %d" % joined.process.returncode)
		require(joined.read() == b"", "something on stdout")


main()
