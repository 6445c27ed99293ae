"""instructions.py WORKLOAD BACKEND: a round trip's instructions, and those recorded in bench/results/instructions.csv.

bench/bench.py instructions records them anew. Prints "NOW RECORDED", or "recorded with COMPILER" of another one.
"""
import csv
import os
import sys

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench")
os.environ["BUILD"] = os.environ["MUXCAT_BUILD"]
sys.path[:0] = [BENCH, os.path.join(BENCH, "cases")]

import instructions # pylint: disable=wrong-import-position

workload, backend = sys.argv[1:]
with open(os.path.join(BENCH, "results", "instructions.csv")) as file:
	recorded = {(row["workload"], row["backend"]): row for row in csv.DictReader(file)}[workload, backend]
if recorded["compiler"] != instructions.compiler():
	print("recorded with", recorded["compiler"])
else:
	print("%.0f" % instructions.of_a_round_trip(workload, backend), recorded["instructions"])
