"""Puts what results/*.csv say into docs/performance.md, between <!-- CASE --> and <!-- end -->."""
import csv
import os
import re

from measure import HERE

DOCUMENT = os.path.join(HERE, "..", "docs", "performance.md")


def results(case):
	with open(os.path.join(HERE, "results", case + ".csv"), newline="") as file:
		return list(csv.DictReader(file))


def number(text):
	"""1234 as 1,234; words and small numbers as they are."""
	if not text.replace(".", "", 1).isdigit() or float(text) < 1000:
		return text
	return "{:,.0f}".format(float(text))


def micro(nanoseconds):
	return "%.2f" % (int(nanoseconds) / 1000) if nanoseconds else ""


def chosen(case, columns, show=number):
	"""A row of the results each: {their column: its name in the table}."""
	return list(columns.values()), [
		[show(row[column]) if "ns" in column.split() else number(row[column]) for column in columns] for row in results(case)]


def beside(case, keys, programs, value, show):
	"""All programs in one row: {what the keys are: [each program's value]}, as rows that can be added to."""
	rows = {}
	for row in results(case):
		rows.setdefault(tuple(row[key] for key in keys), {})[row["program"]] = row
	for key, measured in rows.items():
		cells = [show(measured[program][value]) if program in measured else "" for program in programs]
		yield [*map(number, key), *cells], measured


def echo():
	programs = {"muxcat": "muxcat, µs", "muxcat, edge": "--edge", "epoll loop": "epoll loop",
		"libuv": "libuv, guide", "libuv, uv_try_write": "libuv, try"}
	names = ["bytes", "clients", *programs.values(), "to the loop", "to libuv", "p99 to the loop"]
	rows = []
	for row, measured in beside("echo", ["bytes", "clients"], programs, "server's processor ns a round trip", micro):
		ratios = [measured["epoll loop"]["muxcat's processor time relative"],
			measured["libuv"]["muxcat's processor time relative"], measured["epoll loop"]["muxcat's p99 relative"]]
		rows.append(row + ["%.2f" % float(ratio) for ratio in ratios])
	return names, rows


def fanout():
	programs = ["muxcat", "send loop", "muxcat --broker", "ncat --broker"]
	value = "ns a message and subscriber"
	names = ["subscribers", "messages", "muxcat, ns", *programs[1:], "send loop's to muxcat's", "ncat's to muxcat's",
		"to --broker's"]
	rows = []
	for row, measured in beside("fanout", ["subscribers", "messages"], programs, value, number):
		ncat = measured.get("ncat --broker", {})
		rows.append(row + [measured["send loop"]["muxcat is so many times as fast"],
			ncat.get("muxcat is so many times as fast", ""), ncat.get("muxcat --broker is so many times as fast", "")])
	return names, rows


def idle():
	return ["idle clients", "select, µs", "poll", "epoll", "epoll --edge"], [
		[number(row["idle clients"]), *(micro(row[backend]) for backend in ("select", "poll", "epoll", "epoll --edge"))]
		for row in results("idle")]


TRANSFER = {"program": "", "seconds": "seconds", "processor seconds, both ends": "processor seconds, both ends",
	"muxcat is so many times as fast": "to muxcat's"}
TABLES = {
	"echo": echo,
	"fanout": fanout,
	"idle": idle,
	"transfer": lambda: chosen("transfer", {"way": "", **TRANSFER}),
	"tls": lambda: chosen("tls", TRANSFER),
	"connections": lambda: chosen("connections", {"at once": "at a time", "program": "",
		"server's processor ns a connection": "processor µs", "ns a connection": "µs", "longest ms": "longest, ms"}, micro),
	"start": lambda: chosen("start", {"program": "", "ms": "ms", "processor ms": "processor ms",
		"muxcat is so many times as fast": "to muxcat's"}),
	"threads": lambda: chosen("threads", {"clients": "clients", "threads": "threads",
		"server's processor ns a round trip": "processor µs", "ns a round trip": "µs", "p99 latency ns": "p99, µs",
		"processor time to one thread's": "to one thread's", "connections": "connections"}, micro),
	"udp": lambda: chosen("udp", {"under way": "under way", "program": "",
		"server's processor ns a datagram": "processor ns a datagram", "ns a datagram": "ns a datagram", "lost": "lost"}),
	"instructions": lambda: chosen("instructions", {"workload": "", "backend": "", "instructions": "instructions"}),
}


def markdown(names, rows):
	return "".join("| " + " | ".join(cells) + " |\n" for cells in [names, ["---"] * len(names), *rows])


def fill(case):
	if case not in TABLES:
		return
	with open(DOCUMENT) as file:
		text = file.read()
	table = "<!-- %s -->\n\n%s\n<!-- end -->" % (case, markdown(*TABLES[case]()))
	text, found = re.subn("<!-- %s -->.*?<!-- end -->" % case, lambda _: table, text, flags=re.S)
	assert found == 1, "no place for " + case
	with open(DOCUMENT, "w") as file:
		file.write(text)
