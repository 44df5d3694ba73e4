# SPDX-License-Identifier: BSD-2-Clause
"""HTTP caching as a client sees it: variants, stale answers, parts and conditions of what only control's
store holds, what Cache-Status and Age tell. The origin is scripted and counts what reaches it."""

import os
import re
import threading
import time
import unittest

from lab import CONFIG, Lab, wait_until
from origin import Origin, answer

TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace("upstreams:\n", """\
limits:
    object_bytes: 65536
timeouts:
    miss_grace_ms: 500
    refresh_ms: 60000
upstreams:
""")
FRESH = "Cache-Control: max-age=600"
BIG = 300000


def setUpModule():
    Cache.lab = Lab(config=TEXT).start(nginx=False)
    Cache.origin = Origin(Cache.lab)


def tearDownModule():
    Cache.origin.stop()
    Cache.lab.stop()


class Cache(unittest.TestCase):
    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def path(self, script):
        return self.origin.on(f"/{self._testMethodName}", script)

    def get(self, path, *headers, **kw):
        return self.lab.get(path, headers=headers, **kw)

    def ours(self, r):
        """Our member of Cache-Status; those of caches before us come first."""
        return r.all("cache-status")[-1]

    def until_stale(self, path):
        """Waits for the end of its lifetime, by the client's word that it takes what is stale."""
        def stale():
            return "; ttl=-" in self.ours(self.get(path, "Cache-Control: max-stale"))
        wait_until(stale, 10, "the answer became stale")

    # --- variants -----------------------------------------------------------------------------
    def test_variants(self):
        def script(r, peer):
            peer.send(answer(f"{r['accept-encoding']} {r['x-kind']}", 200, FRESH,
                             "Vary: Accept-Encoding", "Vary: X-Kind"))
        p = self.path(script)
        rows = [("Accept-Encoding: gzip, br", "X-Kind: a"), ("Accept-Encoding: br", "X-Kind: a"),
                ("Accept-Encoding: br", "X-Kind: b"), ("X-Kind: a",), ()]
        first = [self.get(p, *row) for row in rows]
        self.assertIn("fwd=uri-miss; stored", self.ours(first[0]))
        for r in first[1:]:
            self.assertIn("fwd=vary-miss; stored", self.ours(r))
        self.assertEqual(len({r.body for r in first}), len(rows))
        for row, was in zip(rows, first):
            r = self.get(p, *row)
            self.assertEqual(r.body, was.body)
            self.assertRegex(self.ours(r), r"^testnode; hit; ttl=\d+$")
        # The same codings in another order are the same request (RFC 9111 4.1).
        self.assertEqual(self.get(p, "Accept-Encoding: br,  GZIP", "X-Kind: a").body, first[0].body)
        self.assertEqual(self.origin.count(p), len(rows))
        # A purge of the key is one of all that lies behind it.
        self.lab.ctl("cache", "purge", f"api.test{p}")
        for n, row in enumerate(rows):
            self.assertIn("fwd=" + ("vary-miss" if n else "uri-miss"), self.ours(self.get(p, *row)))
        self.assertEqual(self.origin.count(p), 2 * len(rows))

    def test_variants_change(self):
        """The origin begins to look at another field: nobody gets an answer by the old list."""
        vary = ["X-A"]

        def script(r, peer):
            peer.send(answer(f"{r['x-a']} {r['x-b']}", 200, "Cache-Control: max-age=1",
                             "Vary: " + ", ".join(vary)))
        p = self.path(script)
        self.assertEqual(self.get(p, "X-A: 1", "X-B: 1").body, b"1 1")
        self.assertEqual(self.get(p, "X-A: 1", "X-B: 2").body, b"1 1")
        vary.append("X-B")
        wait_until(lambda: self.get(p, "X-A: 1", "X-B: 2").body == b"1 2", 10, "it was fetched anew")
        self.assertEqual(self.get(p, "X-A: 1", "X-B: 3").body, b"1 3")
        self.assertEqual(self.get(p, "X-A: 1", "X-B: 2").body, b"1 2")

    def test_vary_any(self):
        p = self.path(answer("x", 200, FRESH, "Vary: *"))
        for _ in range(2):
            self.assertNotIn("stored", self.ours(self.get(p)))
        self.assertEqual(self.origin.count(p), 2)

    # --- stale --------------------------------------------------------------------------------
    def test_stale_while_it_is_fetched(self):
        go = threading.Event()
        version = [1]

        def script(_, peer):
            if version[0] > 1:
                go.wait(20)
            peer.send(answer(f"v{version[0]}", 200, "Cache-Control: max-age=1, stale-while-revalidate=600"))
        p = self.path(script)
        try:
            self.assertEqual(self.get(p).body, b"v1")
            version[0] = 2
            self.until_stale(p)
            before = self.lab.metric("sluice_cache_refreshes_total", event="suppressed")
            # The origin does not answer, and no client waits for it; it is asked once.
            for _ in range(20):
                r = self.get(p, timeout=5)
                self.assertEqual(r.body, b"v1")
                self.assertRegex(self.ours(r),
                                 r"^testnode; hit; ttl=-\d+; detail=stale-while-revalidate$")
            wait_until(lambda: self.origin.count(p) == 2, 5, "the origin was asked")
            self.assertGreaterEqual(
                self.lab.metric("sluice_cache_refreshes_total", event="suppressed") - before, 19)
        finally:
            go.set()
        wait_until(lambda: self.get(p).body == b"v2", 5, "the new version is there")
        self.assertEqual(self.origin.count(p), 2)

    def test_stale_for_who_takes_it(self):
        p = self.path(answer("x", 200, "Cache-Control: max-age=1"))
        self.get(p)
        self.until_stale(p)
        self.assertEqual(self.origin.count(p), 1)
        r = self.get(p, "Cache-Control: max-stale=600")
        self.assertRegex(self.ours(r), r"; hit; ttl=-\d+; detail=max-stale$")
        self.assertGreater(int(r["age"]), 0)
        self.assertIn("fwd=stale", self.ours(self.get(p)))
        self.assertEqual(self.origin.count(p), 2)

    def test_stale_without_control(self):
        soft = self.path(answer("soft", 200, "Cache-Control: max-age=1, stale-if-error=600"))
        hard = self.origin.on("/hard", answer("hard", 200, "Cache-Control: max-age=1, must-revalidate"))
        fresh = self.origin.on("/fresh", answer("fresh", 200, FRESH))
        for p in (soft, hard, fresh):
            self.get(p)
        self.until_stale(soft)
        self.lab.kill("control")
        try:
            wait_until(lambda: "stale-if-error" in self.ours(self.get(soft)), 10,
                       "the core knows that control is away")
            r = self.get(soft)
            self.assertEqual((r.status, r.body), (200, b"soft"))
            self.assertEqual(self.get(hard).status, 503)
            self.assertEqual(self.get(fresh).body, b"fresh")
            self.assertEqual(self.get("/none", "Cache-Control: only-if-cached").status, 504)
        finally:
            self.lab.start_control()
        self.assertEqual(self.get(hard).body, b"hard")

    # --- what only control's store has --------------------------------------------------------
    def test_parts_of_large_bodies(self):
        body = os.urandom(BIG)
        p = self.path(answer(body, 200, FRESH, 'ETag: "e"', "Content-Type: a/b"))
        self.assertEqual(self.get(p).body, body)
        rows = [("bytes=0-0", 206, body[:1]), ("bytes=-7", 206, body[-7:]),
                ("bytes=100000-199999", 206, body[100000:200000]), ("bytes=299999-", 206, body[-1:]),
                (f"bytes={BIG}-", 416, None), ("bytes=0-9,20-29", 200, body)]
        with self.lab.client() as c:
            for value, status, want in rows * 2:
                r = c.ask(p, headers=[f"Range: {value}"])
                self.assertEqual(r.status, status, value)
                self.assertRegex(self.ours(r), r"; hit; ttl=\d+; detail=L2$")
                if want is not None:
                    self.assertEqual(r.body, want)
                if status == 416:
                    self.assertEqual(r["content-range"], f"bytes */{BIG}")
            r = c.ask(p, headers=["Range: bytes=1-2", 'If-Range: "other"'])
            self.assertEqual((r.status, r.body), (200, body))
            r = c.ask(p, headers=['If-None-Match: "e"'])
            self.assertEqual((r.status, r.body, r["etag"]), (304, b"", '"e"'))
            r = c.ask(p, method="HEAD")
            self.assertEqual((r.status, r["content-length"]), (200, str(BIG)))
            self.assertEqual(c.ask(p).body, body)
        self.assertEqual(self.origin.count(p), 1)

    def test_only_if_cached(self):
        small = self.path(answer("small", 200, FRESH))
        big = self.origin.on("/only/big", answer(b"b" * BIG, 200, FRESH))
        for p in (small, big):
            self.assertEqual(self.get(p, "Cache-Control: only-if-cached").status, 504)
            self.assertEqual(self.origin.count(p), 0)
            self.get(p)
            r = self.get(p, "Cache-Control: only-if-cached")
            self.assertEqual(r.status, 200)
            self.assertIn("; hit", self.ours(r))
            self.assertEqual(self.origin.count(p), 1)

    def test_age_goes_on(self):
        """What was old when it came is older now, in each tier."""
        for p, body in (("/age/small", b"s"), ("/age/big", b"b" * BIG)):
            self.origin.on(p, answer(body, 200, FRESH, "Age: 100"))
            began = time.time()
            first = int(self.get(p)["age"])
            self.assertIn(first, (100, 101))
            ages = []

            def older(path=p, to=ages, least=first + 1):
                to.append(int(self.get(path)["age"]))
                return to[-1] >= least
            wait_until(older, 5, "it grew older")
            self.assertEqual(ages, sorted(ages))
            self.assertLessEqual(ages[-1] - first, time.time() - began + 1)
            ttl = int(re.search(r"ttl=(\d+)", self.ours(self.get(p)))[1])
            self.assertLess(ttl, 500)

    # --- the rest -----------------------------------------------------------------------------
    def test_status_of_the_origin_stays(self):
        p = self.path(answer("x", 200, FRESH, "Cache-Status: inner; fwd=miss, outer; hit"))
        for ours in ("fwd=uri-miss; stored", "; hit"):
            r = self.get(p)
            self.assertEqual(r.all("cache-status")[0], "inner; fwd=miss, outer; hit")
            self.assertEqual(len(r.all("cache-status")), 2)
            self.assertIn(ours, self.ours(r))

    def test_not_for_sharing(self):
        p = self.path(answer("mine", 200, "Cache-Control: private"))
        self.assertEqual(self.ours(self.get(p)), "testnode; fwd=uri-miss")
        wait_until(lambda: self.ours(self.get(p)) == "testnode; fwd=miss; detail=pass", 5,
                   "the remark is in the hot table")
        self.assertGreater(self.lab.metric("sluice_cache_pass_total"), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
