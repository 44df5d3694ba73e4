# SPDX-License-Identifier: BSD-2-Clause
"""The node's store: what control keeps of answers, for all cores and over a restart of the dataplane;
how it is kept true, and what happens when the origin fails. The origin tells what reached it."""

import os
import resource
import threading
import time
import unittest

from lab import CONFIG, Lab, rss_kib, wait_until
from origin import Origin, answer, slow

STORE_BYTES = 24 << 20
# Room for 10,000 requests that wait at the same time.
TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace(
    "hot_table_bytes: 33554432", f"""hot_table_bytes: 33554432
    store_bytes: {STORE_BYTES}
    up_block_bytes: 8192
    up_blocks: 12288""").replace("upstreams:\n", """\
limits:
    object_bytes: 65536
timeouts:
    miss_ms: 60000
    miss_grace_ms: 10000
upstreams:
""").replace('addresses: ["127.0.0.1:18081"]', """addresses: ["127.0.0.1:18081"]
      request_timeout_ms: 60000""")
FRESH = "Cache-Control: max-age=600"


def setUpModule():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Store.lab = Lab(config=TEXT).start(nginx=False)
    Store.origin = Origin(Store.lab)


def tearDownModule():
    Store.origin.stop()
    Store.lab.stop()


class Changing:
    """An answer with an ETag that changes when the test says so; 304 where the client has it."""

    def __init__(self, control, body=b"body"):
        self.control, self.body, self.version, self.fail = control, body, 1, None
        self.answers = []

    def __call__(self, r, peer):
        etag = f'"v{self.version}"'
        fields = (f"Cache-Control: {self.control}", f"ETag: {etag}")
        if self.fail is not None:
            self.answers.append(self.fail)
            if self.fail == 0:
                peer.reset()
            peer.send(answer("failed", self.fail))
        elif r["if-none-match"] == etag:
            self.answers.append(304)
            peer.send("\r\n".join(("HTTP/1.1 304 Same", *fields, "", "")).encode())
        else:
            self.answers.append(200)
            peer.send(answer(self.body + b" %d" % self.version, 200, *fields))


class Store(unittest.TestCase):

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])
        self.origin.faults.clear()

    def path(self, script):
        return self.origin.on(f"/{self._testMethodName}", script)

    def get(self, path, *headers, **kw):
        return self.lab.get(path, headers=headers, **kw)

    def status(self, r, *parts):
        for part in parts:
            self.assertIn(part, r["cache-status"])

    def restart_dataplane(self):
        self.lab.kill("dataplane")
        self.lab.start_dataplane()
        wait_until(lambda: '"attached": true' in self.lab.ctl("status", "-o", "json",
                                                              check=False).stdout,
                   10, "control attached again")

    def test_dataplane_restarts(self):
        bodies = {f"/kept/{n}": os.urandom(n) for n in (0, 1, 5000, 60000, 400000)}
        for p, body in bodies.items():
            self.origin.on(p, answer(body, 200, FRESH))
            self.assertEqual(self.get(p).body, body)
        self.restart_dataplane()
        for p, body in bodies.items():
            r = self.get(p)
            self.assertEqual(r.body, body)
            self.status(r, "; hit", "; detail=L2")
            self.assertIsNotNone(r["age"])
            r = self.get(p)
            self.assertEqual(r.body, body)
            # The hot table has it now, unless it is too large for that.
            self.assertEqual("L2" in r["cache-status"], len(body) > 65536)
            self.assertEqual(self.origin.count(p), 1)

    def test_large_bodies(self):
        body = os.urandom(5 << 20)
        p = self.path(answer(body, 200, FRESH, 'ETag: "big"'))
        self.assertEqual(self.get(p).body, body)
        results = []

        def one():
            try:
                results.append(self.get(p, timeout=40).body == body)
            except OSError as e:
                results.append(repr(e))

        threads = [threading.Thread(target=one) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [True] * 8)
        r = self.get(p, "Range: bytes=4000000-4000099")
        self.assertEqual((r.status, r.body), (206, body[4000000:4000100]))
        self.assertEqual(self.get(p, 'If-None-Match: "big"').status, 304)
        r = self.get(p, method="HEAD")
        self.assertEqual((r.status, r["content-length"]), (200, str(len(body))))
        self.assertEqual(self.origin.count(p), 1)

    def test_slow_client_of_a_large_body(self):
        """It holds no more than its window, and nobody up."""
        body = os.urandom(5 << 20)
        p = self.path(answer(body, 200, FRESH))
        self.assertEqual(self.get(p).body, body)
        s = self.lab.connect(rcvbuf=4096)
        try:
            s.sendall(f"GET {p} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n".encode())
            s.recv(1000)
            self.assertEqual(self.get(p).body, body)
        finally:
            s.close()
        self.assertEqual(self.origin.count(p), 1)

    def test_304_freshens(self):
        script = Changing("max-age=0")
        p = self.path(script)
        self.assertEqual(self.get(p).body, b"body 1")
        for _ in range(3):
            r = self.get(p)
            self.assertEqual(r.body, b"body 1")
            self.status(r, "fwd=stale", "fwd-status=304")
        self.assertEqual(script.answers, [200, 304, 304, 304])
        script.version = 2
        self.assertEqual(self.get(p).body, b"body 2")
        self.assertEqual(self.get(p).body, b"body 2")
        self.assertEqual(script.answers, [200, 304, 304, 304, 200, 304])

    def test_client_demands_validation(self):
        script = Changing("max-age=600")
        p = self.path(script)
        self.get(p)
        self.assertTrue(self.get(p).hit)
        r = self.get(p, "Cache-Control: no-cache")
        self.assertEqual(r.body, b"body 1")
        self.assertEqual(script.answers, [200, 304])

    def test_stale_if_error(self):
        script = Changing("max-age=0, stale-if-error=600")
        p = self.path(script)
        self.assertEqual(self.get(p).body, b"body 1")
        for fail in (500, 502, 503, 504, 0):
            script.fail = fail
            r = self.get(p)
            self.assertEqual((r.status, r.body), (200, b"body 1"))
            self.status(r, "detail=stale-if-error")
        script.fail = 404
        self.assertEqual(self.get(p).status, 404)
        strict = Changing("max-age=0, must-revalidate, stale-if-error=600")
        p = self.origin.on("/strict", strict)
        self.get(p)
        strict.fail = 503
        self.assertEqual(self.get(p).status, 503)

    def test_stale_while_revalidate(self):
        script = Changing("max-age=1, stale-while-revalidate=600")
        p = self.path(script)
        self.get(p)
        script.version = 2
        seen = []

        def fresh():
            seen.append(self.get(p))
            return seen[-1].body == b"body 2"
        wait_until(fresh, 15, "the new version comes behind a stale answer")
        # Nobody waited for the origin: all of them were hits.
        self.assertEqual([r["cache-status"] for r in seen if not r.hit], [])
        self.assertTrue(any("detail=stale-while" in r["cache-status"] for r in seen))

    def test_variants(self):
        def script(r, peer):
            lang = r["accept-language"] or "none"
            peer.send(answer(f"in {lang}", 200, FRESH, "Vary: Accept-Language"))
        p = self.path(script)
        for round_ in range(3):
            if round_ == 2:
                self.restart_dataplane()
            for lang in ("de", "fr", "nl"):
                r = self.get(p, f"Accept-Language: {lang}")
                self.assertEqual(r.body, f"in {lang}".encode())
                self.assertEqual(r.hit, round_ > 0)
        self.assertEqual(self.get(p).body, b"in none")
        self.assertEqual(self.origin.count(p), 4)

    def test_purges(self):
        n = iter(range(1, 100))
        p = self.path(lambda _, peer: peer.send(answer(f"v{next(n)}", 200, FRESH)))
        self.assertEqual(self.get(p).body, b"v1")
        self.restart_dataplane()
        self.lab.ctl("cache", "purge", f"api.test{p}")
        self.assertEqual(self.get(p).body, b"v2")
        self.assertTrue(self.get(p).hit)
        self.assertEqual(self.get(p, method="DELETE").status, 200)
        self.assertNotEqual(self.get(p).body, b"v2")

    def test_hit_for_miss(self):
        """Answers that are not for sharing: requests for them do not wait for each other."""
        p = self.path(slow(0.5, answer("mine", 200, "Cache-Control: private")))
        self.get(p)
        began = time.monotonic()
        threads = [threading.Thread(target=self.get, args=(p,)) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(self.origin.count(p), 7)

    def test_10000_misses(self):
        """One key, all of them at once: the origin sees one request."""
        count = 10000
        go = threading.Event()

        def script(_, peer):
            go.wait(60)
            peer.send(answer("for all", 200, FRESH))
        p = self.path(script)
        before = self.lab.metric("sluice_fetch_joined_total")
        socks = []
        try:
            for _ in range(count):
                socks.append(self.lab.connect(timeout=60))
                socks[-1].sendall(f"GET {p} HTTP/1.1\r\nHost: api.test\r\n\r\n".encode())
            wait_until(lambda: self.lab.metric("sluice_fetch_joined_total") - before == count - 1,
                       60, "all requests wait for one fetch")
            go.set()
            for s in socks:
                data = s.recv(4096)
                self.assertTrue(data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"for all"),
                                data)
        finally:
            go.set()
            for s in socks:
                s.close()
        self.assertEqual(self.origin.count(p), 1)

    def test_memory_is_bounded(self):
        before = rss_kib(self.lab.pid("control"))
        evicted = self.lab.metric("sluice_store_evicted_total")
        with self.lab.client() as c:
            for i in range(70):
                body = os.urandom(500000)
                p = self.origin.on(f"/bounded/{i}", answer(body, 200, FRESH))
                self.assertEqual(c.ask(p).body, body)
                self.origin.scripts[p] = None
        wait_until(lambda: self.lab.metric("sluice_store_evicted_total") > evicted + 10, 5,
                   "entries made room")
        self.assertLessEqual(self.lab.metric("sluice_store_bytes"), STORE_BYTES)
        # The blocks of the channel count in control too once they were used.
        blocks = 4096 * 16
        self.assertLess(rss_kib(self.lab.pid("control")) - before,
                        STORE_BYTES * 1.25 / 1024 + blocks)

    def test_control_dies(self):
        """In the middle of fetches, with kill -9: the hot table answers, the next control fetches."""
        small = self.origin.on("/dies/small", answer("small", 200, FRESH))
        self.assertEqual(self.get(small).body, b"small")
        n = iter(range(1, 100))

        def script(_, peer):
            first = next(n) == 1
            body = os.urandom(200000) if first else b"whole"
            data = answer(body, 200, FRESH)
            peer.send(data[:100000] if first else data)
            if first:
                time.sleep(3)
                peer.close()
        p = self.origin.on("/dies/half", script)
        t = threading.Thread(target=lambda: self.lab.raw(
            f"GET {p} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n".encode()))
        t.start()
        wait_until(lambda: self.origin.count(p) == 1, 20, "a fetch is under way")
        self.lab.kill("control")
        self.assertTrue(self.get(small).hit)
        self.lab.start_control()
        t.join()
        self.assertEqual(self.get(p).body, b"whole")
        self.assertEqual(self.get(small).body, b"small")


if __name__ == "__main__":
    unittest.main(verbosity=2)
