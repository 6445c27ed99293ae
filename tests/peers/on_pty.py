"""on_pty.py [--type TEXT] [--all] COMMAND...: runs a command with a terminal as stdin (--all: and
as stdout, whose content is copied to ours). TEXT is typed; ^D in it is the end. Gives its status.

Of a terminal Wine makes a Windows console: a line ends with the Enter key, the end is Ctrl-Z at the
start of a line, and what is shown has CR LF and the sequences that move the cursor.
"""
import os
import re
import subprocess
import sys
import tty

from joined import PATIENCE, WINDOWS

args = sys.argv[1:]
typed, both = b"", False
while args[0].startswith("--"):
	option = args.pop(0)
	if option == "--type":
		typed = args.pop(0).encode().replace(b"^D", b"\x1a\n" if WINDOWS else b"\4")
	else:
		both = True

master, slave = os.openpty()
if both or WINDOWS:
	tty.setraw(slave)
os.write(master, typed.replace(b"\n", b"\r") if WINDOWS else typed)
process = subprocess.Popen(args, stdin=slave, stdout=slave if both else None)
os.close(slave)
try:
	shown = b""
	while both:
		try:
			shown += os.read(master, 65536)
		except OSError:  # EIO: the last one has closed the terminal
			break
	if WINDOWS:
		shown = re.sub(rb"\x1b\[[?0-9;]*[A-Za-z]", b"", shown).replace(b"\r\n", b"\n")
	sys.stdout.buffer.write(shown)
	status = process.wait(PATIENCE)
except subprocess.TimeoutExpired:
	process.kill()
	sys.exit("it has not ended")
sys.exit(128 - status if status < 0 else status)
