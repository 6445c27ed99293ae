"""few_descriptors.py: a connect with room for 4 descriptors, for 5 and so on, until there is enough."""
import sys

import short_run

MANY = 40

for limit in range(4, MANY):
	with short_run.Run(under=["prlimit", "--nofile=%d" % limit]) as run:
		try:
			short_run.connect(run)
			run.check()
		except (AssertionError, TimeoutError) as problem:
			sys.exit("FAILED: %d descriptors: %s" % (limit, problem))
		if not run.has_failed():
			break
else:
	sys.exit("FAILED: it never runs")
