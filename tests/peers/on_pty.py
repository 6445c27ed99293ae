"""on_pty.py [--type TEXT] [--all] COMMAND...: runs a command with a terminal as stdin (--all: and
as stdout, whose content is copied to ours). TEXT is typed; ^D in it is the end. Gives its status.
"""
import os
import subprocess
import sys
import tty

from joined import PATIENCE

args = sys.argv[1:]
typed, both = b"", False
while args[0].startswith("--"):
	option = args.pop(0)
	if option == "--type":
		typed = args.pop(0).encode().replace(b"^D", b"\4")
	else:
		both = True

master, slave = os.openpty()
if both:
	tty.setraw(slave)
os.write(master, typed)
process = subprocess.Popen(args, stdin=slave, stdout=slave if both else None)
os.close(slave)
try:
	while both:
		try:
			data = os.read(master, 65536)
		except OSError:  # EIO: the last one has closed the terminal
			break
		os.write(1, data)
	status = process.wait(PATIENCE)
except subprocess.TimeoutExpired:
	process.kill()
	sys.exit("it has not ended")
sys.exit(128 - status if status < 0 else status)
