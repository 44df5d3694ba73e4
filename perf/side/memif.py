"""Path "memif" of side_by_side: Sluice by memif, the load tool's own TCP on the other core, no kernel
between them; and the packet limit of the same memif, with testpmd in Sluice's place.

The client is sluice-bench with the DPDK transport, but for the million idle connections, which a
scripted client keeps (perf/memif_client.c). Cycles a request are the TSC cycles of the server's rounds
that did something, over the requests that it read.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import table  # noqa: E402
from memif_door import BUSY, DOOR, MemifDoor, wait_until  # noqa: E402

HUGE = "/proc/sys/vm/nr_hugepages"
HUGE_PAGES = 1536  # of 2 MiB: two tables of a million connections, and packet buffers
SIZES = {"hit_100": 100, "hit_1k": 1024, "hit_16k": 16384, "hit_64k": 65536}
TITLES = {"hit_100": "hits, 100 B", "hit_1k": "hits, 1 KiB", "hit_16k": "hits, 16 KiB",
          "hit_64k": "hits, 64 KiB"}
CONNECT_RATE = 400000
PARTS = {"p99_at_30": 0.3, "p99_at_70": 0.7}
MANY = 10000  # connections that an open loop opens when the server falls behind
OVERLOADS = {"overload_100": "hit_100", "overload_16k": "hit_16k"}
IDLE = 1000000
ACTIVE = 128
FRAMES = (128, 320)  # bytes: a small request and its answer, about
WINDOW = 512
CASES = [*SIZES, "connect", "connect_400k", "connect_800k", *PARTS, "noise", *OVERLOADS, "idle",
         "packets"]
TESTPMD = "dpdk-testpmd"

CLIENT = """
node: client
run_dir: {run}
log_level: warn
listeners:
    - address: 10.91.0.1
ports:
    - type: memif
      device: {run}/memif.sock
      role: client
      cores: [{cpu}]
memory:
    huge_pages: "off"
    packet_buffers: 16384
upstreams:
    - name: none
      addresses: ["127.0.0.1:9"]
routes:
    - upstream: none
"""


@contextlib.contextmanager
def huge_pages(count):
    """So many more of them, given back at the end."""
    with open(HUGE, encoding="ascii") as f:
        had = int(f.read())
    try:
        with open(HUGE, "w", encoding="ascii") as f:
            f.write(str(had + count))
        with open(HUGE, encoding="ascii") as f:
            have = int(f.read())
        if have < had + count:
            raise RuntimeError(f"the machine has room for {have - had} more huge pages, and {count} "
                               "are needed; --no-huge does without")
        yield
    finally:
        with open(HUGE, "w", encoding="ascii") as f:
            f.write(str(had))


class Scripted:
    """perf/memif_client: one command a line, one JSON object in answer."""

    def __init__(self, door):
        self.door = door
        path = door.path("client.yaml")
        with open(path, "w", encoding="ascii") as f:
            f.write(CLIENT.format(run=door.run_dir, cpu=door.client_cpu))
        with open(door.path("client.log"), "ab") as log:
            self.p = subprocess.Popen([os.path.join(door.build, "perf", "memif_client"), path, DOOR],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                      text=True)

    def __enter__(self):
        self._answer()
        return self

    def __exit__(self, *exc):
        self.p.stdin.close()
        try:
            self.p.wait(20)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()

    def _answer(self):
        line = self.p.stdout.readline()
        if not line:
            raise RuntimeError("memif_client ended: " + self.door.log("client")[-2000:])
        return json.loads(line)

    def ask(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()
        return self._answer()


class Swapper:
    """testpmd as the memif's server, on the server's CPU: it swaps MAC addresses and sends back."""

    def __init__(self, run_dir, cpu, other_cpu, huge):
        # A name of its own: the one before may have left its socket behind.
        self.socket = os.path.join(tempfile.mkdtemp(dir=run_dir), "swap.sock")
        memory = ["--in-memory"] if huge else ["--no-huge", "-m", "256"]
        self.log_path = os.path.join(run_dir, "testpmd.log")
        self.log = open(self.log_path, "wb")
        self.p = subprocess.Popen(
            ["stdbuf", "-oL", TESTPMD, "--lcores", f"0@{other_cpu},1@{cpu}", "--no-pci", *memory, "--no-telemetry",
             "--file-prefix", f"swap{os.getpid()}", "--log-level", "*:error", "--vdev",
             f"net_memif0,role=server,socket={self.socket},socket-abstract=no,rsize=10", "--", "-i",
             "--forward-mode=macswap", "--nb-cores=1", "--total-num-mbufs=16384", "--txd=1024",
             "--rxd=1024"], stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, text=True)

    def __enter__(self):
        self.p.stdin.write("start\n")
        self.p.stdin.flush()
        try:
            wait_until(self._forwards, 30, "testpmd forwards")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _forwards(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        if self.p.poll() is not None:
            raise RuntimeError("testpmd ended: " + text[-1000:])
        return "nb forwarding cores" in text and os.path.exists(self.socket)

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.p.stdin.write("stop\nquit\n")
            self.p.stdin.close()
        try:
            self.p.wait(20)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
        self.log.close()


class Run:
    def __init__(self, args, door, huge):
        self.args, self.door, self.huge = args, door, huge
        self.found = {}

    def say(self, text):
        if not self.args.json:
            print(text, file=sys.stderr, flush=True)

    def wanted(self, case):
        return not self.args.cases or case in self.args.cases

    def needed(self, *cases):
        return any(self.wanted(c) for c in cases)

    def measure(self, size, *options):
        before = self.door.counters()
        report = self.door.bench("-d", f"{self.args.seconds}s", "--warmup", "200ms", *options,
                                 path=f"/bytes/{size}")
        now = self.door.counters()
        grew = {k: now[k] - before[k] for k in now}
        counts, f = report["total"]["counts"], report["figures"]
        requests = grew["http_requests"]
        seconds = report["total"]["duration_ns"] / 1e9
        return {
            "rate": f["rate_per_s"],
            "gbit_per_s": counts["bytes_in"] * 8 / 1e9 / seconds,
            "cycles": grew[BUSY] / requests if requests else None,
            "p50_us": f.get("p50_ns", 0) / 1000,
            "p99_us": f.get("p99_ns", 0) / 1000,
            "sent_per_s": counts["sent"] / seconds,
            "connected_per_s": counts["connected"] / seconds,
            "errors": sum(counts["errors"].values()) - counts["errors"].get("unsent", 0),
            "unsent": counts["errors"].get("unsent", 0),
            "client_share": report["run"]["client_share"],
            "client_bound": report["run"]["client_bound"],
            "server_shed_tx": grew["shed_tx"],
            "server_retransmits": grew["tcp_rexmit"],
        }

    def rounds(self, case, title, once):
        cell = table.Cell()
        for n in range(self.args.rounds):
            f = once()
            cell.add(f)
            self.say(f"  {title}, round {n + 1} of {self.args.rounds}: {f['rate']:,.0f}/s")
        self.found[case] = {"title": title, "cell": cell}
        return cell

    def closed(self):
        conns = self.args.connections
        for case, size in SIZES.items():
            if self.wanted(case) or (case == "hit_100" and self.needed(*PARTS)) or \
                    self.needed(*(over for over, of in OVERLOADS.items() if of == case)):
                self.rounds(case, f"{TITLES[case]}, {conns} connections",
                            lambda s=size: self.measure(s, f"-c{conns}"))

    def connects(self):
        if self.wanted("connect"):
            self.rounds("connect", f"a new connection a request, {self.args.connections} at a time",
                        lambda: self.measure(100, f"-c{self.args.connections}", "--new-connections"))
        for case, rate in (("connect_400k", CONNECT_RATE), ("connect_800k", 2 * CONNECT_RATE)):
            if self.wanted(case):
                self.rounds(case, f"a new connection a request, {rate:,}/s offered",
                            lambda r=rate: self.offered(100, r, "--new-connections"))

    def offered(self, size, rate, *options):
        f = self.measure(size, "-r", f"{rate:.0f}", *options)
        f["offered"] = rate
        return f

    def most(self, case):
        return self.found[case]["cell"].median("rate")

    def open_loops(self):
        conns = self.args.connections
        for case, part in PARTS.items():
            if self.wanted(case):
                rate = self.most("hit_100") * part
                self.rounds(case, f"{part * 100:.0f} % of the maximum, open loop, {conns} connections",
                            lambda r=rate: self.offered(100, r, f"-c{conns}", "--poisson"))
    def noise(self):
        """Sluice must be gone: its core would be the noise."""
        self.rounds("noise", "70 % of 4,000,000/s, a client and a server that nothing but the machine "
                    "delays (bench_noise)", self.noise_once)

    def noise_once(self):
        r = subprocess.run([os.path.join(self.args.build, "perf", "bench_noise"), "--json",
                            *(["--short"] if self.args.short else []), str(self.args.server_cpu),
                            str(self.args.client_cpu)], capture_output=True, text=True, check=True,
                           timeout=60)
        f = json.loads(r.stdout)["figures"]
        return {"rate": f["at_70_rate_per_s"], "p50_us": f["at_70_p50_us"], "p99_us": f["at_70_p99_us"],
                "errors": 0}

    def overloads(self):
        """The pool grows to MANY connections when the server falls behind, so the maximum with as many
        is measured too: what is lost against that is lost to the overload, the rest to memory."""
        for case, of in OVERLOADS.items():
            if not self.wanted(case):
                continue
            size, many = SIZES[of], f"{of}_many"
            self.rounds(many, f"{TITLES[of]}, {MANY:,} connections",
                        lambda s=size: self.measure(s, f"-c{MANY}"))
            rate = 2 * self.most(of)
            cell = self.rounds(case, f"twice the maximum offered, {TITLES[of]}, up to {MANY:,} connections",
                               lambda r=rate, s=size: self.offered(s, r))
            self.found[case]["kept"] = cell.median("rate") / self.most(of)
            self.found[case]["kept_of_many"] = cell.median("rate") / self.most(many)

    def idle(self):
        """The scripted client: as fast as it goes on a few connections, alone and beside many."""
        many = self.args.idle_memif
        ms = int(self.args.seconds * 1000)
        cells = {"idle_alone": table.Cell(), "idle": table.Cell()}
        with Scripted(self.door) as client:
            client.ask("open", 1)  # which fills the hot table
            for case, conns in (("idle_alone", ACTIVE), ("idle", many)):
                opened = client.ask("open", conns)
                if opened["conns"] < 0.999 * conns:
                    raise RuntimeError(f"{conns} connections were asked for: {opened}")
                for n in range(self.args.rounds):
                    cells[case].add(self.exchange(client, ms))
                    self.say(f"  {ACTIVE} active of {conns:,} connections, round {n + 1}: "
                             f"{cells[case].rounds[-1]['rate']:,.0f}/s")
        self.found["idle_alone"] = {"title": f"{ACTIVE} connections, scripted client",
                                    "cell": cells["idle_alone"]}
        self.found["idle"] = {"title": f"the same beside {many - ACTIVE:,} idle ones",
                              "cell": cells["idle"],
                              "kept": cells["idle"].median("rate") / cells["idle_alone"].median("rate")}

    def exchange(self, client, ms):
        before = self.door.counters()
        r = client.ask("exchange", ACTIVE, 50000000, ms)
        now = self.door.counters()
        requests = now["http_requests"] - before["http_requests"]
        return {"rate": r["answers"] / r["seconds"], "p50_us": r["p50_ns"] / 1000,
                "p99_us": r["p99_ns"] / 1000, "errors": r["resets"],
                "cycles": (now[BUSY] - before[BUSY]) / requests if requests else None}


def packets(args, run, huge):
    """Frames there and back, with nothing done to them; the server's place is taken by testpmd."""
    program = os.path.join(args.build, "perf", "memif_packets")
    with tempfile.TemporaryDirectory(prefix="sluice-memif-") as run_dir:
        for size in FRAMES:
            cell = table.Cell()
            for n in range(args.rounds):
                with Swapper(run_dir, args.server_cpu, args.client_cpu, huge) as swap:
                    r = subprocess.run([program, swap.socket, str(args.client_cpu),
                                        str(int(args.seconds * 1000)), str(size), str(WINDOW),
                                        *(["huge"] if huge else [])],
                                       capture_output=True, text=True, check=False, timeout=args.seconds + 20)
                if r.returncode != 0:
                    raise RuntimeError(f"memif_packets: {r.stderr.strip()}")
                got = json.loads(r.stdout)
                cell.add({"rate": got["per_s"], "errors": got["lost"]})
                run.say(f"  packets of {size} B, round {n + 1} of {args.rounds}: {got['per_s']:,.0f}/s")
            run.found[f"packets_{size}"] = {
                "title": f"packets of {size} B there and back, testpmd macswap", "cell": cell}


def show(run):
    rows = [("", "per s", "lowest", "highest", "Gbit/s", "cycles/req", "p50 us", "p99 us", "errors",
             "unsent", "client busy")]
    for entry in run.found.values():
        cell = entry["cell"]
        low, high = cell.spread("rate")
        rows.append((entry["title"], table.number(cell.median("rate")), table.number(low),
                     table.number(high), table.number(cell.median("gbit_per_s"), 2),
                     table.number(cell.median("cycles")), table.number(cell.median("p50_us"), 1),
                     table.number(cell.median("p99_us"), 1), table.number(sum(cell.values("errors"))),
                     table.number(sum(cell.values("unsent"))), table.share(cell)))
    for line in table.columns(rows):
        print(line)
    for entry in run.found.values():
        if "kept" in entry:
            print(f"  {entry['title']}: {entry['kept']:.2f} of the rate without")
        if "kept_of_many" in entry:
            print(f"    and {entry['kept_of_many']:.2f} of that with {MANY:,} connections")


def as_json(run):
    out = {}
    for case, entry in run.found.items():
        out[case] = {"title": entry["title"], **table.as_json({"sluice": entry["cell"]})}
        for key in ("kept", "kept_of_many"):
            if key in entry:
                out[case][key] = entry[key]
    return out


def ratios(found):
    """The figures for the one-line object of a benchmark."""
    out = {}
    for case, entry in found.items():
        f = entry["sluice"]
        out[f"memif_{case}_per_s"] = round(f["rate"]["median"])
        for key in ("cycles", "p99_us"):
            if f.get(key) and f[key]["median"] is not None:
                out[f"memif_{case}_{key}"] = round(f[key]["median"], 1)
        for key in ("kept", "kept_of_many"):
            if key in entry:
                out[f"memif_{case}_{key}"] = round(entry[key], 3)
    return out


def run(args):
    """args as of side_by_side; no_huge and idle_memif may be missing."""
    huge = not (args.short or getattr(args, "no_huge", False))
    if not hasattr(args, "idle_memif"):
        args.idle_memif = 20000 if args.short else IDLE
    if not args.json:
        print(f"\nOver memif, DPDK client: keep-alive, no pipelining, {args.rounds} rounds of "
              f"{args.seconds} s; server on CPU {args.server_cpu}, client on CPU {args.client_cpu}, "
              f"huge pages {'on' if huge else 'off'}.")
    with contextlib.ExitStack() as stack:
        if huge:
            stack.enter_context(huge_pages(HUGE_PAGES))
        with MemifDoor(args.build, args.server_cpu, args.client_cpu, huge, 1048576) as door:
            r = Run(args, door, huge)
            door.warm(*SIZES.values())
            r.closed()
            r.connects()
            r.open_loops()
            r.overloads()
            if r.wanted("idle"):
                r.idle()
        if r.wanted("noise"):
            r.noise()
        if r.wanted("packets"):
            packets(args, r, huge)
    if not args.json:
        show(r)
    return as_json(r)
