#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long a purge takes from its order until every core has confirmed that it is in effect.

One purge after the other over the admin socket, so each figure holds the way of the order to control,
through the rings to all cores, and of their confirmations back. It is more than the time to the
effect, never less.

    perf/purge_latency.py BUILD [--purges N] [--short] [--limit-us US]

Needs root: it makes network namespaces (tests/e2e/lab.py).
"""

import argparse
import json
import os
import socket
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def order(stream, kind, name):
    stream.write(json.dumps({"cmd": "cache purge", "args": {kind: name, "no_count": True}}) + "\n")
    stream.flush()
    answer = json.loads(stream.readline())
    if not answer.get("ok"):
        raise RuntimeError(answer)


def measure(path, purges):
    """Microseconds of each purge, by kind."""
    times = {"key": [], "tag": [], "pattern": []}
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        stream = s.makefile("rw")
        for i in range(purges):
            kind = ("key", "tag", "pattern")[i % 3]
            began = time.perf_counter_ns()
            order(stream, kind, f"api.test/none/{i % 50}")
            times[kind].append((time.perf_counter_ns() - began) / 1000)
    return times


def print_times(times):
    print(f"{'':10} {'purges':>7} {'p50':>8} {'p90':>8} {'p99':>8} {'p99.9':>8} {'most':>8}  us")
    worst = 0
    for kind, values in (*times.items(), ("all", sum(times.values(), []))):
        values = sorted(values)
        at = [values[min(len(values) - 1, int(len(values) * q))] for q in (0.5, 0.9, 0.99, 0.999)]
        print(f"{kind:10} {len(values):7} " + " ".join(f"{v:8.0f}" for v in (*at, values[-1])))
        worst = at[2]
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--purges", type=int, default=3000)
    parser.add_argument("--short", action="store_true", help="300 purges: does it run at all?")
    parser.add_argument("--limit-us", type=float, default=0, help="fail when the p99 is above")
    args = parser.parse_args()
    os.environ["SLUICE_BUILD"] = os.path.abspath(args.build)
    sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
    from lab import Lab  # pylint: disable=import-outside-toplevel

    with Lab() as lab:
        lab.put("/a.json", "{}")
        lab.curl("/a.json")
        times = measure(os.path.join(lab.run_dir, "admin.sock"), 300 if args.short else args.purges)
    worst = print_times(times)
    if 0 < args.limit_us < worst:
        sys.exit(f"p99 is {worst:.0f} us, more than {args.limit_us:.0f}")


if __name__ == "__main__":
    main()
