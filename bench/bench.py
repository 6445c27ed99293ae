#!/usr/bin/env python3
"""Measures muxcat beside its peers: bench.py [CASE]...

All programs of a case take turns in one run, several rounds, and the median counts: machines are shared
and noisy, and only what was measured together can be compared. A case is a file of cases/; its figures go
to results/CASE.csv and into docs/performance.md, and plots/*.gnuplot draw them.
"""
import csv
import glob
import importlib
import os
import subprocess
import sys
import tempfile

import tables
from measure import BUILD, HERE

sys.path.insert(0, os.path.join(HERE, "cases"))
RESULTS = os.path.join(HERE, "results")


def run(name):
	case = importlib.import_module(name)
	print("%s: %s" % (name, case.__doc__.splitlines()[0]), flush=True)
	with tempfile.TemporaryDirectory(dir=BUILD) as folder:
		columns, rows = case.run(folder)
	with open(os.path.join(RESULTS, name + ".csv"), "w", newline="") as file:
		csv.writer(file).writerows([columns, *rows])
	tables.fill(name)
	for row in rows:
		print("  " + ", ".join("%s %s" % pair for pair in zip(columns, row)), flush=True)
	plot = os.path.join(HERE, "plots", name + ".gnuplot")
	if os.path.exists(plot):
		subprocess.run(["gnuplot", plot], cwd=RESULTS, check=True)


cases = sorted(os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "cases", "*.py")))
for wanted in sys.argv[1:] or cases:
	if wanted not in cases:
		sys.exit("there is no case " + wanted + "; there are " + ", ".join(cases))
	run(wanted)
