"""memcheck.py [--tls] COMMAND...: a short run of each under valgrind, which must have nothing to say."""
import sys

import short_run

VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect"]


def main():
	tls = "--tls" in sys.argv
	for command in sys.argv[2 if tls else 1:]:
		with short_run.Run(tls=tls) as run:
			run.under = [*VALGRIND, "--log-file=" + run.file("log")]
			getattr(short_run, command)(run)
			run.check()
			run.check_told(None)
			assert run.is_whole()
			with open(run.file("log")) as file:
				# it warns with -- of the filters that it does not know, and of nothing else here
				found = "".join(line for line in file if not line.startswith("--"))
			if found:
				sys.exit("FAILED: %s: %s" % (command, found))


main()
