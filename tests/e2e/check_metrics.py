#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Strict check of Prometheus text format 0.0.4.

Reads a page from a file, from a URL, or from standard input ("-"). Prints every fault with its line
and exits 1; prints a summary and exits 0 when there is none. Asks for more than a scraper does:
HELP and TYPE exactly once and before the samples of a family, families in one piece, no sample twice,
counters that end in _total (or are named so by custom) and are whole and not negative, histograms whose
buckets grow with le, end in +Inf and agree with _count.
"""

import argparse
import math
import re
import sys
import urllib.request

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: (-?\d+))?\Z")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class Page:
    def __init__(self, text):
        self.faults = []
        self.families = {}  # name: {"help", "type", "samples": [(name, labels, value)]}
        self.closed = set()
        self.current = None
        self.seen = set()
        if text and not text.endswith("\n"):
            self.fault(0, "the last line has no line feed")
        for number, line in enumerate(text.split("\n"), 1):
            self.line(number, line)
        for name, family in self.families.items():
            self.family_check(name, family)

    def fault(self, number, what):
        self.faults.append(f"line {number}: {what}" if number else what)

    def line(self, number, line):
        if line == "":
            return
        if line.startswith("#"):
            self.comment(number, line)
        else:
            self.sample(number, line)

    def open_family(self, number, name):
        if name != self.current:
            if self.current is not None:
                self.closed.add(self.current)
            self.current = name
            if name in self.closed:
                self.fault(number, f"family {name} is not in one piece")
        return self.families.setdefault(name, {"help": 0, "type": None, "samples": []})

    def comment(self, number, line):
        parts = line.split(" ", 3)
        if len(parts) < 4 or parts[0] != "#" or parts[1] not in ("HELP", "TYPE"):
            self.fault(number, f"neither HELP nor TYPE: {line!r}")
            return
        _, kind, name, rest = parts
        if not NAME.match(name):
            self.fault(number, f"bad metric name {name!r}")
        family = self.open_family(number, name)
        if family["samples"]:
            self.fault(number, f"{kind} of {name} stands behind its samples")
        if kind == "HELP":
            if family["help"]:
                self.fault(number, f"HELP of {name} twice")
            if rest.strip() == "":
                self.fault(number, f"HELP of {name} is empty")
            if re.search(r"\\(?![\\n])", re.sub(r"\\\\", "", rest)):
                self.fault(number, f"bad escape in HELP of {name}")
            family["help"] += 1
            return
        if family["type"]:
            self.fault(number, f"TYPE of {name} twice")
        if rest not in TYPES:
            self.fault(number, f"unknown type {rest!r} of {name}")
        family["type"] = rest

    def labels(self, number, text):
        found = []
        pos = 0
        while pos < len(text):
            match = LABEL.match(text, pos)
            if not match:
                self.fault(number, f"bad labels {text!r}")
                return tuple(found)
            found.append((match.group(1), match.group(2)))
            pos = match.end()
            if pos < len(text):
                if text[pos] != "," or pos + 1 == len(text):
                    self.fault(number, f"bad labels {text!r}")
                    return tuple(found)
                pos += 1
        if len({name for name, _ in found}) != len(found):
            self.fault(number, f"a label twice in {text!r}")
        return tuple(found)

    def family_of(self, name):
        for suffix in ("_bucket", "_sum", "_count"):
            base = name[: -len(suffix)]
            if name.endswith(suffix) and self.families.get(base, {}).get("type") == "histogram":
                return base
        return name

    def sample(self, number, line):
        match = SAMPLE.match(line)
        if not match:
            self.fault(number, f"not a sample: {line!r}")
            return
        name, label_text, value_text, _ = match.groups()
        labels = self.labels(number, label_text or "")
        try:
            value = float(value_text)
        except ValueError:
            self.fault(number, f"bad value {value_text!r}")
            return
        base = self.family_of(name)
        if not self.families.get(base, {}).get("type"):
            self.fault(number, f"sample of {name} before its TYPE")
        family = self.open_family(number, base)
        if (name, frozenset(labels)) in self.seen:
            self.fault(number, f"sample twice: {line!r}")
        self.seen.add((name, frozenset(labels)))
        if family["type"] in ("counter", "histogram") and not value >= 0:
            self.fault(number, f"a {family['type']} below zero or not a number: {line!r}")
        family["samples"].append((name, labels, value))

    def family_check(self, name, family):
        if family["help"] != 1:
            self.fault(0, f"{name} has {family['help']} HELP lines")
        if family["type"] is None:
            self.fault(0, f"{name} has no TYPE")
        if family["type"] == "counter" and not name.endswith("_total"):
            self.fault(0, f"counter {name} does not end in _total")
        if family["type"] == "gauge" and name.endswith("_total"):
            self.fault(0, f"gauge {name} ends in _total")
        if family["type"] == "histogram":
            self.histogram_check(name, family["samples"])

    def histogram_check(self, name, samples):
        series = {}
        for sample, labels, value in samples:
            key = frozenset(pair for pair in labels if pair[0] != "le")
            parts = series.setdefault(key, {"buckets": [], "sum": None, "count": None})
            if sample == name + "_bucket":
                le = dict(labels).get("le")
                if le is None:
                    self.fault(0, f"a bucket of {name} has no le")
                    continue
                parts["buckets"].append((float(le), value))
            elif sample in (name + "_sum", name + "_count"):
                parts[sample[len(name) + 1 :]] = value
            else:
                self.fault(0, f"{sample} has no place in histogram {name}")
        for key, parts in series.items():
            self.series_check(f"{name}{dict(key)}", parts)

    def series_check(self, name, parts):
        bounds = [bound for bound, _ in parts["buckets"]]
        counts = [count for _, count in parts["buckets"]]
        if any(a >= b for a, b in zip(bounds, bounds[1:])):
            self.fault(0, f"{name}: le does not grow")
        if any(a > b for a, b in zip(counts, counts[1:])):
            self.fault(0, f"{name}: a bucket is smaller than the one before")
        if not bounds or not math.isinf(bounds[-1]):
            self.fault(0, f"{name}: no bucket +Inf at the end")
        elif counts[-1] != parts["count"]:
            self.fault(0, f"{name}: bucket +Inf is {counts[-1]}, _count {parts['count']}")
        if parts["sum"] is None:
            self.fault(0, f"{name}: no _sum")


def page_read(source):
    if source == "-":
        return sys.stdin.buffer.read().decode()
    if source.startswith("http://"):
        with urllib.request.urlopen(source, timeout=10) as answer:
            kind = answer.headers["Content-Type"]
            if not kind.startswith("text/plain; version=0.0.4"):
                sys.exit(f"{source}: Content-Type is {kind!r}")
            return answer.read().decode()
    with open(source, encoding="utf-8") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser(description="Checks a page of Prometheus text format 0.0.4.")
    parser.add_argument("source", help="file, http:// URL, or -")
    parser.add_argument("--need", action="append", default=[], metavar="NAME",
                        help="a metric that must have a sample; may be repeated")
    args = parser.parse_args()
    page = Page(page_read(args.source))
    for name in args.need:
        if not page.families.get(name, {}).get("samples"):
            page.fault(0, f"no sample of {name}")
    for fault in page.faults:
        print(fault)
    samples = sum(len(family["samples"]) for family in page.families.values())
    if not samples:
        print("no samples at all")
    if page.faults or not samples:
        return 1
    print(f"ok: {len(page.families)} families, {samples} samples")
    return 0


if __name__ == "__main__":
    sys.exit(main())
