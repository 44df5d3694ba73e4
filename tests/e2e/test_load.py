"""Load on the hit path: nothing is lost across a reload and a kill of control, and memory is steady.

wrk keeps a request under way on each connection, so a connection that the server drops is a read error
there; the server's count of accepted connections tells whether one was opened anew.
"""

import os
import re
import subprocess
import threading
import time
import unittest

from http1 import Cut
from lab import DOOR, Lab, rss_kib, wait_until
from origin import Origin, answer

PIPELINE = """
local batch
function init(args)
    local one = wrk.format("GET", args[1] or "/hot")
    local all = {}
    for i = 1, 32 do all[i] = one end
    batch = table.concat(all)
end
function request() return batch end
"""
GOAL_REQUESTS = 10_000_000
MOST_SECONDS = 60
GROWTH_KIB = 4096
WRK_CONNECTIONS = 1000 + 1  # wrk tries the address once before it begins


def wrk_figures(text):
    """What wrk printed, as numbers; errors that it does not print are 0."""
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "socket_errors": sum(int(x) for x in errors.groups()) if errors else 0,
        "bad": int(bad[1]) if bad else 0,
    }


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().start()
        cls.origin = Origin(cls.lab)
        cls.lab.put("/hot", "x" * 100)
        cls.script = os.path.join(cls.lab.run_dir, "pipeline.lua")
        with open(cls.script, "w", encoding="ascii") as f:
            f.write(PIPELINE)

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.lab.stop()

    def setUp(self):
        # The object lives 60 s; each test begins with a fresh one.
        self.lab.ctl("cache", "purge", "api.test/hot")
        self.lab.get("/hot")
        self.assertTrue(self.lab.get("/hot").hit)

    def tearDown(self):
        self.lab.alive()

    def accepted(self):
        """The page is a moment old: read until it says the same for a while."""
        was = -1
        while True:
            now = self.lab.metric("sluice_tcp_connections_total", event="accepted")
            if now == was:
                return now
            was = now
            time.sleep(0.7)

    def start_wrk(self, *args, path="/hot"):
        return subprocess.Popen(
            self.lab.in_cli("wrk", *args, "-H", "Host: api.test", f"http://{DOOR}{path}"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def under_load(self, seconds, happen=lambda: None, more=0):
        """1,000 connections for so long, while happen() does what it does by `more` connections of its
        own."""
        before = self.accepted()
        p = self.start_wrk("-t1", "-c1000", f"-d{seconds}s", "--timeout", "2s")
        try:
            happen()
            text = p.communicate(timeout=seconds + 20)[0]
        finally:
            p.kill()
            p.wait()
        figures = wrk_figures(text)
        self.assertEqual((figures["socket_errors"], figures["bad"]), (0, 0), text)
        self.assertGreater(figures["requests"], 1000 * seconds, text)
        self.assertEqual(self.accepted() - before, WRK_CONNECTIONS + more,
                         "connections were opened anew")
        return figures

    def test_plain(self):
        self.under_load(5)

    def test_reloads(self):
        def reload(extra):
            self.lab.write_config(extra)
            self.lab.ctl("config", "reload")

        def added():
            reload("""
    - host: added.test
      path: /*
      upstream: web
""")
            self.assertEqual(self.lab.get("/hot", host="added.test").status, 200)

        def happen():
            time.sleep(2)
            added()
            for _ in range(5):
                time.sleep(0.5)
                reload("")
        self.under_load(10, happen, more=1)

    def test_kill_of_control(self):
        def happen():
            time.sleep(2)
            self.lab.kill("control")
            time.sleep(3)
            self.assertTrue(self.lab.get("/hot").hit)
            self.lab.start_control()
            self.assertIn("fwd=", self.miss()["cache-status"])
        self.under_load(10, happen, more=2)

    def miss(self):
        path = f"/odd/miss{time.monotonic_ns()}"
        self.origin.on(path, answer(path, 200, "Cache-Control: no-store"))
        r = self.lab.get(path)
        self.assertEqual((r.status, r.body), (200, path.encode()))
        return r

    def test_misses_beside_hits(self):
        """Misses are answered right while 1,000 connections ask for hits."""
        wrong = []
        done = threading.Event()
        count = [0]

        def misses():
            while not done.is_set():
                try:
                    self.miss()
                    count[0] += 1
                except (AssertionError, OSError) as e:
                    wrong.append(repr(e))
        p = self.start_wrk("-t1", "-c1000", "-d5s", "--timeout", "2s")
        t = threading.Thread(target=misses)
        t.start()
        try:
            text = p.communicate(timeout=30)[0]
        finally:
            p.kill()
            p.wait()
            done.set()
            t.join()
        figures = wrk_figures(text)
        self.assertEqual((figures["socket_errors"], figures["bad"], wrong), (0, 0, []), text)
        self.assertGreater(count[0], 20)

    def test_misses_alone(self):
        """The whole way to nginx and back on 200 connections."""
        self.lab.put("/nostore/m", "m" * 1000)
        p = self.start_wrk("-t1", "-c200", "-d5s", "--timeout", "5s", path="/nostore/m")
        figures = wrk_figures(p.communicate(timeout=30)[0])
        self.assertEqual((figures["socket_errors"], figures["bad"]), (0, 0))
        self.assertGreater(figures["requests"], 1000)

    def rss(self):
        return {n: rss_kib(self.lab.pid(n)) for n in ("dataplane", "control")}

    def test_memory_is_steady_on_hits(self):
        began = time.monotonic()
        self.lab.wrk("-t1", "-c100", "-d2s", "-s", self.script, path="/hot")
        before = self.rss()
        first = self.lab.metric("http_requests_total")
        total = 0
        while total < GOAL_REQUESTS and time.monotonic() - began < MOST_SECONDS - 10:
            text = self.lab.wrk("-t1", "-c100", "-d8s", "-s", self.script, path="/hot")
            figures = wrk_figures(text)
            self.assertEqual((figures["socket_errors"], figures["bad"]), (0, 0), text)
            total = self.lab.metric("http_requests_total") - first
            # A hit that turned into a miss would hide what is measured here.
            if self.lab.get("/hot", headers=["Cache-Control: only-if-cached"]).status != 200:
                self.lab.get("/hot")
        after = self.rss()
        print(f"{total:.0f} requests, {before} -> {after} KiB", end=" ", flush=True)
        self.assertGreater(total, 1_000_000)
        for name, kib in after.items():
            self.assertLess(kib - before[name], GROWTH_KIB, name)

    def test_memory_is_steady_on_misses(self):
        self.lab.put("/nostore/m", "m" * 1000)
        self.lab.wrk("-t1", "-c100", "-d3s", path="/nostore/m")
        before = self.rss()
        text = self.lab.wrk("-t1", "-c100", "-d8s", path="/nostore/m")
        figures = wrk_figures(text)
        after = self.rss()
        print(f"{figures['requests']} misses, {before} -> {after} KiB", end=" ", flush=True)
        self.assertEqual((figures["socket_errors"], figures["bad"]), (0, 0), text)
        for name, kib in after.items():
            self.assertLess(kib - before[name], GROWTH_KIB, name)

    def test_many_short_connections(self):
        """A connection for each request: the table of connections neither fills nor leaks."""
        before = self.rss()
        wrong = []

        def one():
            for _ in range(400):
                try:
                    r = self.lab.get("/hot", headers=["Connection: close"])
                    if r.status != 200:
                        wrong.append(r.status)
                except (Cut, OSError) as e:
                    wrong.append(repr(e))
        ts = [threading.Thread(target=one) for _ in range(5)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        self.assertEqual(wrong, [])
        wait_until(lambda: not [c for c in self.lab.ctl_json("conns")["conns"]
                                if c["state"] == "established"], 5, "all closed")
        for name, kib in self.rss().items():
            self.assertLess(kib - before[name], 2 * GROWTH_KIB, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
