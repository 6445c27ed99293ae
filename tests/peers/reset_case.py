"""reset_case.py ROLE: the peer sends, and resets the connection while nobody reads stdout. What
had arrived comes out in full all the same, then muxcat ends with status 1 and one line.
"""
import socket
import struct
import subprocess
import sys

from joined import Joined, pattern, require
from peer import outq, until

SIZE = 150000  # more than the pipe holds, and muxcat reads at a time


def main():
	with Joined(sys.argv[1], stderr=subprocess.PIPE) as joined:
		joined.socket.sendall(pattern(0, SIZE))
		until(lambda: outq(joined.socket) == 0, "the acknowledgement")
		joined.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		joined.socket.close()
		found = b""
		while data := joined.read():
			found += data
		require(found == pattern(0, SIZE), "%d of %d bytes came out" % (len(found), SIZE))
		require(joined.status() == 1, "exit %d" % joined.process.returncode)
		lines = joined.process.stderr.read().splitlines()
		require(len(lines) == 1 and lines[0].startswith(b"muxcat: "), "on stderr: %r" % lines)


main()
