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


HIT, CHAN, CONNS = "bench_hit", "bench_chan", "bench_conns"
HOT, EVICT, TCP, ROUTE, HTTP = "bench_hot --reserve", "bench_evict", "bench_tcp", "bench_route", "bench_http"

TABLES = {
    "parts": Rows(3, [
        ("hit, packet to packet, bursts of 32 (goal: 700 cycles)", "{hit_cycles} cycles", HIT),
        ("hit, one at a time", "{hit_alone_cycles} cycles", HIT),
        ("stages: nic_rx, net_input, tcp_input",
         "{stage_nic_rx_cycles}, {stage_net_input_cycles}, {stage_tcp_input_cycles} cycles", HIT),
        ("stages: parse to reply, tcp_output, nic_tx",
         "{stage_parse_lookup_reply_cycles}, {stage_tcp_output_cycles}, {stage_nic_tx_cycles} cycles",
         HIT),
        ("request head of 40 B, AVX2", "{avx2_wrk_ns} ns, {avx2_wrk_gb_per_s:.1f} GB/s", HTTP),
        ("request head of 674 B, AVX2", "{avx2_browser_ns} ns, {avx2_browser_gb_per_s:.1f} GB/s", HTTP),
        ("request head of 674 B, SSE4.2", "{sse42_browser_ns} ns, {sse42_browser_gb_per_s:.1f} GB/s",
         HTTP),
        ("request head of 6,455 B, AVX2", "{avx2_large_ns} ns, {avx2_large_gb_per_s:.1f} GB/s", HTTP),
        ("get in a burst, 10 k entries, huge pages", "{10k_huge_burst_get_ns} ns", HOT),
        ("get in a burst, 1 M entries, huge pages (goal: 40 ns)", "{1m_huge_burst_get_ns} ns", HOT),
        ("get in a burst, 4 M entries, huge pages", "{4m_huge_burst_get_ns} ns", HOT),
        ("get one by one, 1 M entries, huge pages", "{1m_huge_single_get_ns} ns", HOT),
        ("hit ratio, Zipf 1.0, room for 1 %: hot table, S3-FIFO by object, LRU",
         "{zipf1_1pct_hot_hit_ratio:.2f}, {zipf1_1pct_s3fifo_hit_ratio:.2f}, "
         "{zipf1_1pct_lru_hit_ratio:.2f}", EVICT),
        ("the same, room for 10 %",
         "{zipf1_10pct_hot_hit_ratio:.2f}, {zipf1_10pct_s3fifo_hit_ratio:.2f}, "
         "{zipf1_10pct_lru_hit_ratio:.2f}", EVICT),
        ("with 20 % scans, room for 1 %",
         "{zipf1_scan20_1pct_hot_hit_ratio:.2f}, {zipf1_scan20_1pct_s3fifo_hit_ratio:.2f}, "
         "{zipf1_scan20_1pct_lru_hit_ratio:.2f}", EVICT),
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
}
