"""The tables of perf/README.md: which commands each is made of, and how their figures are shown.

A row's figure is a format over the figures of one command; where a command ran several times it shows
the median, and the lowest and highest when they differ.
"""

import re
import statistics

FIELD = re.compile(r"{(\w+)(?::([^}]*))?}")


class Rows:
    """A table of single figures: (what, format, command)."""

    def __init__(self, times, rows):
        self.rows = rows
        self.commands = {}
        for _, _, command in rows:
            self.commands[command] = times

    def make(self, kept):
        lines = ["| what | figure | command |", "|---|---|---|"]
        for what, form, command in self.rows:
            runs = [r["figures"] for r in kept[command]["runs"]]
            lines.append(f"| {what} | {show(form, runs)} | `{command}` |")
        return "\n".join(lines) + "\n"


def show(form, runs):
    def one(m):
        values = sorted(r[m.group(1)] for r in runs)
        spec = m.group(2) or ",.0f"
        texts = [format(v, spec) for v in (statistics.median(values), values[0], values[-1])]
        if texts[1] == texts[2]:
            return texts[0]
        return f"{texts[0]} ({texts[1]} to {texts[2]})"
    return FIELD.sub(one, form)


class Cases:
    """One row for each figure of a command, as it names it."""

    def __init__(self, command, head, times=1):
        self.command, self.head, self.commands = command, head, {command: times}

    def make(self, kept):
        lines = [f"| {self.head[0]} | {self.head[1]} |", "|---|---|"]
        runs = [r["figures"] for r in kept[self.command]["runs"]]
        for name in runs[0]:
            lines.append(f"| {name} | {show('{' + name + ':,.0f}', runs)} |")
        return "\n".join(lines) + "\n"


class AgainstLinux:
    """perf/tcp_vs_linux: a row for each round trip and loss, both directions in it."""

    POINT = re.compile(r"down_trip(\d+)ms_loss([\d_]+)pct_ratio$")

    def __init__(self, command):
        self.command, self.commands = command, {command: 1}

    def make(self, kept):
        f = kept[self.command]["runs"][0]["figures"]
        lines = ["| round trip | loss | download: Sluice, Linux, ratio (95 % interval), timeouts a MB | "
                 "upload: the same |", "|---|---|---|---|"]
        for key in f:
            m = self.POINT.match(key)
            if m:
                point = f"trip{m[1]}ms_loss{m[2]}pct"
                loss = float(m[2].replace("_", "."))
                lines.append(f"| {m[1]} ms | {loss:g} % | {self.way(f, 'down_' + point)} | "
                             f"{self.way(f, 'up_' + point)} |")
        return "\n".join(lines) + "\n"

    @staticmethod
    def way(f, key):
        if f"{key}_ratio" not in f:
            return "-"
        return (f"{f[key + '_sluice_mbit_per_s']:.1f}, {f[key + '_linux_mbit_per_s']:.1f}, "
                f"**{f[key + '_ratio']:.2f}** ({f[key + '_ratio_low']:.2f} to "
                f"{f[key + '_ratio_high']:.2f}), {f[key + '_sluice_rtos_per_mb']:.2f} and "
                f"{f[key + '_linux_rtos_per_mb']:.2f}")


class SideBySide:
    """Path "veth" of perf/side_by_side: a case a row, a server a column."""

    SERVERS = ("sluice", "nginx", "nginx return", "haproxy", "varnish")

    def __init__(self, command, cases, kind):
        self.command, self.commands = command, {command: 1}
        self.cases, self.cell = cases, getattr(self, kind)

    def make(self, kept):
        found = kept[self.command]["runs"][0]["veth"]
        names = [n for n in self.SERVERS if any(n in case for case in found.values())]
        lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for case, title in self.cases.items():
            if case in found:
                row = [self.cell(found[case], name) for name in names]
                lines.append(f"| {title} | " + " | ".join(row) + " |")
        return "\n".join(lines) + "\n"

    @staticmethod
    def rate(case, name):
        if name not in case:
            return ""
        v = case[name]["rate"]
        text = f"{v['median']:,.0f} ({v['lowest']:,.0f} to {v['highest']:,.0f})"
        if name != "sluice" and "sluice" in case:
            text += f", **{case['sluice']['rate']['median'] / v['median']:.2f}**"
        if case[name]["client_share"]["median"] > 0.9:
            text += ", client-bound"
        if case[name]["errors"]["highest"]:
            text += f", {case[name]['errors']['highest']:.0f} errors"
        return text

    @staticmethod
    def cycles(case, name):
        if name not in case or case[name].get("cycles", {}).get("median") is None:
            return ""
        text = f"{case[name]['cycles']['median']:,.0f}"
        own = case[name].get("own_cycles", {}).get("median")
        return text if own is None else f"{text}, outside the driver {own:,.0f}"

    @staticmethod
    def p99(case, name):
        if name not in case:
            return ""
        v = case[name]
        return (f"{v['p99_us']['median']:,.0f} us at {v['offered']['median']:,.0f}/s "
                f"({v['p99_us']['lowest']:,.0f} to {v['p99_us']['highest']:,.0f})")


class Memif:
    """perf/hit_memif: a case a row."""

    def __init__(self, command):
        self.command, self.commands = command, {command: 1}

    def make(self, kept):
        found = kept[self.command]["runs"][0]["memif"]
        lines = ["| case | a second | Gbit/s | cycles a request | p50, p99 us | client busy |",
                 "|---|---|---|---|---|---|"]
        for case in found.values():
            f = case["sluice"]
            title = case["title"]
            if "kept" in case:
                title += f": **{case['kept']:.2f}** of the rate without"
            if "kept_of_many" in case:
                title += f", **{case['kept_of_many']:.2f}** of that with as many connections"
            rate = f["rate"]
            lines.append(
                f"| {title} | {rate['median']:,.0f} ({rate['lowest']:,.0f} to {rate['highest']:,.0f}) | "
                f"{self.median(f, 'gbit_per_s', '.2f')} | {self.median(f, 'cycles', ',.0f')} | "
                f"{self.median(f, 'p50_us', ',.1f')}, {self.median(f, 'p99_us', ',.1f')} | "
                f"{self.median(f, 'client_share', '.0%')} |")
        return "\n".join(lines) + "\n"

    @staticmethod
    def median(f, key, spec):
        if key not in f or f[key]["median"] is None:
            return "-"
        return format(f[key]["median"], spec)


HIT, CHAN, CONNS = "bench_hit", "bench_chan", "bench_conns"
HOT, EVICT, TCP, ROUTE, HTTP = "bench_hot --reserve", "bench_evict", "bench_tcp", "bench_route", "bench_http"

FRONT, SIDE = "front_memif", "side_by_side --path veth --rounds 2 --seconds 1"

TABLES = {
    "parts": Rows(3, [
        ("hit, packet to packet, bursts of 32 (goal: 700 cycles)", "{hit_cycles} cycles", HIT),
        ("hit, one at a time", "{hit_alone_cycles} cycles", HIT),
        ("stages: nic_rx, net_input, tcp_input",
         "{stage_nic_rx_cycles}, {stage_net_input_cycles}, {stage_tcp_input_cycles} cycles", HIT),
        ("stages: parse to reply, tcp_output, nic_tx",
         "{stage_parse_lookup_reply_cycles}, {stage_tcp_output_cycles}, {stage_nic_tx_cycles} cycles",
         HIT),
        ("a hit with `stages` off, sampled, all",
         "{stages_off_cycles}, {stages_sampled_cycles}, {stages_all_cycles} cycles", HIT),
        ("request head of 40 B, AVX2", "{avx2_wrk_ns} ns, {avx2_wrk_gb_per_s:.1f} GB/s", HTTP),
        ("request head of 674 B, AVX2", "{avx2_browser_ns} ns, {avx2_browser_gb_per_s:.1f} GB/s", HTTP),
        ("request head of 674 B, SSE4.2", "{sse42_browser_ns} ns, {sse42_browser_gb_per_s:.1f} GB/s",
         HTTP),
        ("request head of 6,455 B, AVX2", "{avx2_large_ns} ns, {avx2_large_gb_per_s:.1f} GB/s", HTTP),
        ("get in a burst, 10 k entries, huge pages", "{10k_huge_burst_get_ns} ns", HOT),
        ("get in a burst, 1 M entries, huge pages (goal: 40 ns)", "{1000k_huge_burst_get_ns} ns", HOT),
        ("get in a burst, 4 M entries, huge pages", "{4000k_huge_burst_get_ns} ns", HOT),
        ("get one by one, 1 M entries, huge pages", "{1000k_huge_single_get_ns} ns", HOT),
        ("hit ratio, Zipf 1.0, room for 1 %: hot table, S3-FIFO by object, LRU",
         "{zipf10_1pct_hot_hit_ratio:.2f}, {zipf10_1pct_s3fifo_hit_ratio:.2f}, "
         "{zipf10_1pct_lru_hit_ratio:.2f}", EVICT),
        ("the same, room for 10 %",
         "{zipf10_10pct_hot_hit_ratio:.2f}, {zipf10_10pct_s3fifo_hit_ratio:.2f}, "
         "{zipf10_10pct_lru_hit_ratio:.2f}", EVICT),
        ("with 20 % scans, room for 1 %",
         "{scan_1pct_hot_hit_ratio:.2f}, {scan_1pct_s3fifo_hit_ratio:.2f}, "
         "{scan_1pct_lru_hit_ratio:.2f}", EVICT),
        ("channel message, bursts of 1, 8, 32",
         "{one_way_burst1_ns}, {one_way_burst8_ns}, {one_way_burst32_ns} ns", CHAN),
        ("channel round trip, p50, p99", "{round_trip_p50_ns}, {round_trip_p99_ns} ns", CHAN),
        ("TCP in and out for a request and its answer, 1,024 connections, software checksum",
         "{sw_csum_1024_conns_request_cycles} cycles", TCP),
        ("the same with 32,768 connections, round robin",
         "{sw_csum_32768_conns_request_cycles} cycles", TCP),
        ("an idle connection, after a request: all of its memory, 1 M of them",
         "{1000000_lazy_conn_bytes} B", CONNS),
        ("connection table of 1 M, memory there ahead: insert, lookup, remove",
         "{1000000_ahead_insert_ns}, {1000000_ahead_lookup_ns}, {1000000_ahead_remove_ns} ns", CONNS),
        ("the same, worst of a million",
         "{1000000_ahead_insert_worst_us}, {1000000_ahead_lookup_worst_us}, "
         "{1000000_ahead_remove_worst_us} us", CONNS),
        ("worst of an empty loop in the same run", "{machine_nothing_worst_us} us", CONNS),
        ("choosing among 1, 64, 1,024 routes", "{route_1_ns}, {route_64_ns}, {route_1024_ns} ns", ROUTE),
    ]),
    "instructions": Cases("instructions", ("way of a request", "instructions of the core"), 1),
    "connections": Rows(1, [
        ("opened a second, a request on each: the first 10,000, up to 1,000,000",
         "{open_10000_per_s}, {open_1000000_per_s}", FRONT),
        ("round trip with 10,000 connections, 100,000 requests a second: p50, p99, worst",
         "{exchange_at_10000_p50_us:.1f}, {exchange_at_10000_p99_us:,.0f}, "
         "{exchange_at_10000_max_us} us", FRONT),
        ("the same with 1,000,000 connections",
         "{exchange_at_1000000_p50_us:.1f}, {exchange_at_1000000_p99_us:,.0f}, "
         "{exchange_at_1000000_max_us} us", FRONT),
        ("SYN flood that the port took", "{flood_syns_per_s} a second", FRONT),
        ("answers that 1,000 established connections keep in it", "{flood_kept_ratio:.2f}", FRONT),
        ("new clients served in it", "{flood_new_served_ratio:.4f} of {flood_new_clients}", FRONT),
        ("growth of resident memory each, up to 1,000,000, without huge pages",
         "{memory_each_at_1000000_bytes} B", FRONT + " --no-huge"),
    ]),
    "tcp_vs_linux": AgainstLinux("tcp_vs_linux --rounds 14 --seed 3"),
    "memif": Memif("hit_memif --rounds 2 --seconds 1"),
    "veth_rates": SideBySide(SIDE, {
        "hit_100": "hits, 100 B", "hit_1k": "hits, 1 KiB", "hit_16k": "hits, 16 KiB",
        "hit_64k": "hits, 64 KiB", "miss": "misses, 100 B",
        "connect": "a new connection a request, 100 B",
        "many": "10,000 connections, 1 % active, 100 B"}, "rate"),
    "veth_cycles": SideBySide(SIDE, {
        "hit_100": "hits, 100 B", "hit_1k": "hits, 1 KiB", "hit_16k": "hits, 16 KiB",
        "hit_64k": "hits, 64 KiB", "miss": "misses, 100 B",
        "connect": "a new connection a request, 100 B"}, "cycles"),
    "veth_latency": SideBySide(SIDE, {
        "p99_at_30": "p99 at 30 % of its own maximum",
        "p99_at_70": "p99 at 70 % of its own maximum"}, "p99"),
}
