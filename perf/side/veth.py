"""Path "veth" of side_by_side: the cases, measured in rounds that alternate between the servers."""

import contextlib
import sys
import time

import client
import servers
import table

# name: (title, URL of the server's, options of sluice-bench)
CLOSED = {
    "hit_100": ("hits, 100 B", "hit_100", ()),
    "hit_1k": ("hits, 1 KiB", "hit_1k", ()),
    "hit_16k": ("hits, 16 KiB", "hit_16k", ()),
    "hit_64k": ("hits, 64 KiB", "hit_64k", ()),
    "miss": ("misses to the same origin, 100 B", "miss", ()),
    "connect": ("a new connection a request, hits of 100 B", "hit_100", ("--new-connections",)),
}
PARTS = {"p99_at_30": 0.3, "p99_at_70": 0.7}
CASES = [*CLOSED, "many", *PARTS]


class Run:
    def __init__(self, args, s):
        self.args, self.servers = args, s
        self.bench = client.Bench(s.lab, args.build, args.client_cpu)
        self.cycles_per_s = servers.tsc_hz()

    def say(self, text):
        if not self.args.json:
            print(text, file=sys.stderr, flush=True)

    def wanted(self, case):
        return not self.args.cases or case in self.args.cases

    def measure(self, server, url, *options, connections=None, rate=None):
        before, driver_before = server.busy_seconds(), server.driver_cycles()
        f = self.bench.run(server.urls[url], servers.HOST, connections or self.args.connections,
                           self.args.seconds, *options, rate=rate)
        busy = server.busy_seconds() - before
        f["cycles"] = busy * self.cycles_per_s / f["answered"] if f["answered"] else None
        if driver_before is not None and f["cycles"]:
            driver, stages = (now - old for now, old in zip(server.driver_cycles(), driver_before))
            f["own_cycles"] = f["cycles"] * (1 - driver / stages) if stages else None
        time.sleep(0.2)  # the last connections of this round close
        return f

    def rounds(self, title, names, once):
        """once(server) for each server in turn, args.rounds times."""
        cells = {server.name: table.Cell() for server in names}
        for n in range(self.args.rounds):
            for server in names:
                server.go()
                try:
                    f = once(server)
                finally:
                    server.stop()
                if f is None:
                    continue
                cells[server.name].add(f)
                self.say(f"  {title}, round {n + 1} of {self.args.rounds}: {server.name:13s} "
                         f"{f['rate']:10,.0f}/s, p99 {f['p99_us']:,.0f} us")
        return cells

    def closed(self, case):
        title, url, options = CLOSED[case]
        names = [s for s in self.servers.all if url in s.urls]
        return self.rounds(title, names, lambda s: self.measure(s, url, *options))

    def many(self):
        """1 % of the connections are active."""
        active = max(1, self.args.idle // 99)
        names = [s for s in self.servers.all if s.name != "nginx return"]

        def once(server):
            idle = client.IdleConnections(self.servers.lab, server.urls["hit_100"], servers.HOST,
                                          self.args.idle)
            with idle:
                f = self.measure(server, "hit_100", connections=active)
                f["closed"] = idle.closed()
            return f
        return self.rounds(f"{self.args.idle + active:,} open connections, {active} active", names, once)

    def at_part(self, part, most):
        names = [s for s in self.servers.all if s.name in most]

        def once(server):
            rate = most[server.name] * part
            f = self.measure(server, "hit_100", rate=rate)
            f["offered"] = rate
            return f
        return self.rounds(f"{part * 100:.0f} % of its own maximum", names, once)


def run(args):
    out = {}
    with contextlib.ExitStack() as stack:
        s = stack.enter_context(servers.Servers(args.build, args.server_cpu, args.client_cpu,
                                                args.servers))
        for why in s.missing.values():
            print(f"side_by_side: {why}", file=sys.stderr)
        s.warm()
        for server in s.all:
            server.stop()
        r = Run(args, s)
        if not args.json:
            print(f"Over veth, kernel client: {args.connections} connections, keep-alive, no pipelining, "
                  f"{args.rounds} alternating rounds of {args.seconds} s; server on CPU "
                  f"{args.server_cpu}, client and origin on CPU {args.client_cpu}.")
        most = {}
        for case in CLOSED:
            parts_need_it = case == "hit_100" and any(r.wanted(p) for p in PARTS)
            if not r.wanted(case) and not parts_need_it:
                continue
            cells = r.closed(case)
            if case == "hit_100":
                most = {name: c.median("rate") for name, c in cells.items()}
            out[case] = table.as_json(cells)
            if not args.json:
                table.print_rates(CLOSED[case][0], cells)
        if r.wanted("many"):
            cells = r.many()
            out["many"] = table.as_json(cells)
            if not args.json:
                table.print_rates(f"{args.idle:,} idle connections and 1 % active, hits of 100 B", cells)
        for case, part in PARTS.items():
            if r.wanted(case):
                cells = r.at_part(part, most)
                out[case] = table.as_json(cells)
                if not args.json:
                    table.print_latencies(f"open loop at {part * 100:.0f} % of each one's own maximum, "
                                          "hits of 100 B", cells)
    return out


def ratios(found):
    """Rates of Sluice by each other's, and its p99 by each other's, as flat figures."""
    out = {}
    for case, cells in found.items():
        if "sluice" not in cells:
            continue
        key = "p99_us" if case in PARTS else "rate"
        us = cells["sluice"][key]["median"]
        for name, cell in cells.items():
            it = cell[key]["median"]
            if name != "sluice" and it:
                out[f"{case}_{key}_ratio_to_{name.replace(' ', '_')}"] = round(us / it, 3)
    return out
