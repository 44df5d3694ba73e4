"""Medians, spreads and ratios of rounds, as a table for people and as figures for programs."""

import statistics


class Cell:
    """What one server did in one case, over the rounds."""

    def __init__(self):
        self.rounds = []

    def add(self, figures):
        self.rounds.append(figures)

    def values(self, key):
        return [r[key] for r in self.rounds if r.get(key) is not None]

    def median(self, key):
        v = self.values(key)
        return statistics.median(v) if v else None

    def spread(self, key):
        v = self.values(key)
        return (min(v), max(v)) if v else (None, None)


def number(v, digits=0):
    return "-" if v is None else f"{v:,.{digits}f}"


def ratio(a, b):
    return "-" if not a or not b else f"{a / b:.2f}"


def columns(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        yield "  " + r[0].ljust(widths[0]) + "".join(
            "  " + c.rjust(w) for c, w in zip(r[1:], widths[1:]))


def print_rates(title, cells, ours="sluice"):
    """A case in closed loop: each server's rate, and ours against it."""
    print(f"\n{title}")
    rows = [("", "req/s", "lowest", "highest", f"{ours} / it", "cycles/req", f"{ours} / its", "p99 us",
             "errors", "client busy")]
    us = cells.get(ours)
    for name, cell in cells.items():
        low, high = cell.spread("rate")
        rows.append((name, number(cell.median("rate")), number(low), number(high),
                     "" if us is None or name == ours else ratio(us.median("rate"), cell.median("rate")),
                     number(cell.median("cycles")),
                     "" if us is None or name == ours else ratio(us.median("cycles"),
                                                                 cell.median("cycles")),
                     number(cell.median("p99_us")), number(sum(cell.values("errors"))),
                     share(cell)))
    for line in columns(rows):
        print(line)


def share(cell):
    v = cell.median("client_share")
    if v is None:
        return "-"
    return f"{v * 100:.0f} %" + (" (the limit)" if v > 0.9 else "")


def print_latencies(title, cells, ours="sluice"):
    """A case in open loop at a part of each server's own maximum."""
    print(f"\n{title}")
    rows = [("", "offered", "answered/s", "p50 us", "p99 us", "lowest p99", "highest p99",
             f"its / {ours}", "errors", "client busy")]
    us = cells.get(ours)
    for name, cell in cells.items():
        low, high = cell.spread("p99_us")
        rows.append((name, number(cell.median("offered")), number(cell.median("rate")),
                     number(cell.median("p50_us")), number(cell.median("p99_us")), number(low),
                     number(high),
                     "" if us is None or name == ours else ratio(cell.median("p99_us"),
                                                                 us.median("p99_us")),
                     number(sum(cell.values("errors"))), share(cell)))
    for line in columns(rows):
        print(line)


def as_json(cells):
    out = {}
    for name, cell in cells.items():
        out[name] = {key: {"median": cell.median(key), "lowest": cell.spread(key)[0],
                           "highest": cell.spread(key)[1]}
                     for key in sorted({k for r in cell.rounds for k in r})}
    return out
