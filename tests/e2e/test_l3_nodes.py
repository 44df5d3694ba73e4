# SPDX-License-Identifier: BSD-2-Clause
"""Two nodes, each both processes in namespaces of its own, share one Redis: what one fetched the
other need not, and neither fails a request when the Redis hangs, dies or lies."""

import fcntl
import shutil
import signal
import struct
import termios
import threading
import time
import unittest

from lab import CONFIG, Lab, wait_until
from origin import Origin, answer
from redis_lab import Redis, folder, why_not

L3 = """
cache:
    l3:
        backend: redis
        addresses: ["{path}"]
        timeout_ms: 200
        retry_ms: 100
"""


# Changes of what lies there are written through.
WRITES = CONFIG.replace("path: /odd/*\n      upstream: odd\n",
                        "path: /odd/*\n      upstream: odd\n      cache: {{write_through: always}}\n")


def node(tag, redis):
    lab = Lab(config=WRITES, extra=L3.format(path=redis.path))
    lab.srv, lab.cli = lab.tag + tag + "s", lab.tag + tag + "c"
    return lab.start()


class Nodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder()
        cls.labs = []
        cls.redis = Redis(cls.folder).start()
        try:
            for tag in "ab":
                cls.labs.append(node(tag, cls.redis))
        except BaseException:
            cls.tearDownClass()
            raise
        cls.a, cls.b = cls.labs

    @classmethod
    def tearDownClass(cls):
        for lab in cls.labs:
            lab.stop()
        cls.redis.stop()
        shutil.rmtree(cls.folder)

    def setUp(self):
        for lab in self.labs:
            self.ready(lab)

    def tearDown(self):
        for lab in self.labs:
            lab.alive()

    def ready(self, lab):
        wait_until(lambda: self.open_circuits(lab) == 0, 20, "the Redis is there")

    @staticmethod
    def open_circuits(lab):
        """As of now; the page of metrics may be a second old."""
        return lab.ctl_json("status")["l3"]["servers_open"]

    def put(self, path, body):
        for lab in self.labs:
            lab.put(path, body)

    def metric_is(self, lab, name, value):
        """The page is up to a second old."""
        wait_until(lambda: lab.metric(name) == value, 5, f"{name} is {value}")

    def asked_once(self, path):
        """nginx writes its log once the answer is out."""
        wait_until(lambda: self.b.origin_hits(path) == 1, 5, f"the origin was asked for {path}")

    def stored(self, path):
        return wait_until(lambda: self.redis.cli("KEYS", f"*{path}"), 5, "stored")

    def hits(self):
        return self.b.ctl_json("status")["l3"]["hits"]

    def test_one_fetch_for_both(self):
        hits = self.hits()
        for path, body in (("/l3/small", b"hello"), ("/l3/text", b"words " * 20000),
                           ("/l3/bytes", bytes(range(256)) * 100)):
            self.put(path, body)
            r = self.a.get(path)
            self.assertEqual((r.status, r.body), (200, body))
            self.stored(path)
            r = self.b.get(path)
            self.assertEqual((r.status, r.body), (200, body))
            self.assertIn("detail=L3", r["cache-status"])
            self.assertEqual(r["content-type"], "application/json")
            self.assertEqual(self.b.origin_hits(path), 0)
            # From then on it is the node's own.
            r = self.b.get(path)
            self.assertNotIn("detail=L3", r["cache-status"])
            self.assertIn("hit", r["cache-status"])
        self.assertEqual(self.hits() - hits, 3)
        wait_until(lambda: self.b.metric("sluice_l3_hits_total") == hits + 3, 5, "the metric too")

    def test_warming_asks_it_first(self):
        """What another node fetched is warmed from there, and the rest from the origin."""
        paths = [f"/l3/warm{i}" for i in range(6)]
        for path in paths:
            self.put(path, path.encode())
        for path in paths[:4]:
            self.assertEqual(self.a.get(path).status, 200)
            self.stored(path)
        with open(f"{self.b.run_dir}/list", "w", encoding="ascii") as f:
            f.write("".join(f"http://api.test{p}\n" for p in paths))
        report = self.b.ctl_json("cache", "warm", f"{self.b.run_dir}/list")
        self.assertEqual(report["results"], {"shared": 4, "origin": 2})
        self.assertEqual(report["stored"], 6)
        for path in paths:
            r = self.b.get(path)
            self.assertEqual((r.status, r.body), (200, path.encode()))
            self.assertIn("detail=L2", r["cache-status"])
        wait_until(lambda: all(self.b.origin_hits(p) for p in paths[4:]), 5, "nginx has its log")
        self.assertEqual([self.b.origin_hits(p) for p in paths], [0] * 4 + [1] * 2)

    def test_uncacheable_is_not_shared(self):
        self.put("/nostore/l3", b"mine")
        self.assertEqual(self.a.get("/nostore/l3").status, 200)
        self.assertEqual(self.b.get("/nostore/l3").status, 200)
        self.asked_once("/nostore/l3")
        self.assertEqual(self.redis.cli("KEYS", "*/nostore/l3"), "")

    def test_damaged_value_is_a_miss(self):
        self.put("/l3/damaged", b"right")
        self.a.get("/l3/damaged")
        self.redis.cli("SETRANGE", self.stored("/l3/damaged"), "150", "wrong")
        r = self.b.get("/l3/damaged")
        self.assertEqual((r.status, r.body), (200, b"right"))
        self.asked_once("/l3/damaged")
        self.metric_is(self.b, "sluice_l3_corrupt_total", 1)

    def test_only_if_cached(self):
        """RFC 9111 5.2.1.7: what the shared store has is stored; without it the origin is not asked."""
        self.put("/l3/only", b"stored")
        only = ("Cache-Control: only-if-cached",)
        self.assertEqual(self.b.get("/l3/only", headers=only).status, 504)
        self.a.get("/l3/only")
        self.stored("/l3/only")
        r = self.b.get("/l3/only", headers=only)
        self.assertEqual((r.status, r.body), (200, b"stored"))
        self.assertIn("detail=L3", r["cache-status"])
        self.assertEqual(self.b.origin_hits("/l3/only"), 0)

    def test_misses_of_a_round_go_together(self):
        """Control is stopped while they come, so that it finds all of them at once."""
        n = 40
        for i in range(n):
            self.a.put(f"/l3/burst{i}", b"%d" % i)
            self.a.get(f"/l3/burst{i}")
        wait_until(lambda: len(self.redis.cli("KEYS", "*/l3/burst*").split()) == n, 5, "stored")
        before = self.counted(self.b)
        socks = [self.b.connect() for _ in range(n)]
        control = self.b.procs["control"]
        control.send_signal(signal.SIGSTOP)
        try:
            for i, s in enumerate(socks):
                s.sendall(f"GET /l3/burst{i} HTTP/1.1\r\nHost: api.test\r\n\r\n".encode())
            wait_until(lambda: all(self.unacknowledged(s) == 0 for s in socks), 5, "all have come")
        finally:
            control.send_signal(signal.SIGCONT)
        for i, s in enumerate(socks):
            got = s.recv(4096)
            self.assertTrue(got.endswith(b"\r\n\r\n%d" % i), got)
            s.close()
        wait_until(lambda: self.counted(self.b)["hits"] - before["hits"] == n, 5, "counted")
        # The reader of purges has a send of its own once a second.
        self.assertLessEqual(self.counted(self.b)["sends"] - before["sends"], 8)

    @staticmethod
    def unacknowledged(sock):
        return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]

    @staticmethod
    def counted(lab):
        return {n: lab.metric(f"sluice_l3_{n}_total") for n in ("sends", "hits")}

    def test_writes_are_shared(self):
        """Later, and only what is still there; at once the other's copy is void."""
        origins = [Origin(lab) for lab in self.labs]
        versions = {"now": "v1"}

        def script(r, peer):
            peer.send(answer(versions["now"], 200, "Cache-Control: max-age=600"))
        try:
            for o in origins:
                for p in ("/odd/w", "/odd/purged"):
                    o.on(p, script)
            for lab in self.labs:
                self.assertEqual(lab.get("/odd/w").body, b"v1")
            versions["now"] = "v2"
            for p in ("/odd/w", "/odd/purged"):
                self.assertEqual(self.a.get(p, method="PUT", body=b"x").body, b"v2")
            versions["now"] = "wrong"
            r = self.a.get("/odd/w")
            self.assertEqual((r.body, r.hit), (b"v2", True))
            self.b.ctl("cache", "purge", "api.test/odd/purged")
            self.stored("/odd/w")
            r = self.b.get("/odd/w")
            self.assertEqual(r.body, b"v2")
            self.assertIn("detail=L3", r["cache-status"])
            self.metric_is(self.a, "sluice_fetch_writes_shared_total", 1)
            self.metric_is(self.a, "sluice_fetch_writes_unshared_total", 1)
            self.assertEqual(self.redis.cli("KEYS", "*/odd/purged"), "")
        finally:
            for o in origins:
                o.stop()

    def restart_control(self, lab):
        lab.kill("control")
        lab.start_control()
        wait_until(lambda: '"attached": true' in lab.ctl("status", "-o", "json", check=False).stdout,
                   10, "attached")
        self.ready(lab)

    def is_hot(self, lab, path):
        """A core has it, and answers without control."""
        r = lab.get(path)
        return r.hit and "detail" not in r["cache-status"]

    def test_control_restarts(self):
        """It reads again which purges there were: what the cores got since stays, what is older goes."""
        self.put("/l3/kept", b"kept")
        self.put("/l3/gone", b"gone")
        self.b.ctl("cache", "purge", "--all")
        self.b.ctl("cache", "purge", "--tag", "none")
        began = time.monotonic()
        # A node's own clock and the server's may be a second apart, and the stream may lag by one.
        wait_until(lambda: time.monotonic() - began > 2.1, 5, "purges are of long ago")
        for _ in range(2):
            for p in ("/l3/kept", "/l3/gone"):
                self.assertEqual(self.a.get(p).status, 200)
        self.a.kill("control")
        self.b.ctl("cache", "purge", "api.test/l3/gone")
        wait_until(lambda: "l3/gone" in self.redis.cli("XREVRANGE", "{sluice:}purges", "+", "-"), 5,
                   "the purge is in the stream")
        self.assertTrue(self.is_hot(self.a, "/l3/gone"), "nobody could tell the core")
        self.restart_control(self.a)
        wait_until(lambda: not self.is_hot(self.a, "/l3/gone") or
                   self.a.origin_hits("/l3/gone") == 2, 5, "it was purged")
        self.assertTrue(self.is_hot(self.a, "/l3/kept"))
        self.assertEqual(self.a.origin_hits("/l3/kept"), 1)

    def test_z_no_request_fails(self):
        """The Redis hangs, dies and comes back while each request is a miss. The last one: that its
        purges are gone makes everything void, some time later."""
        for i in range(2000):
            self.b.put(f"/l3/many{i}", b"%d" % i)
        bad, slow, done = [], [], threading.Event()
        count = [0]

        def ask():
            with self.b.client() as c:
                while not done.is_set() and count[0] < 2000:
                    i = count[0]
                    count[0] += 1
                    began = time.monotonic()
                    r = c.ask(f"/l3/many{i}", host="api.test")
                    if (r.status, r.body) != (200, b"%d" % i):
                        bad.append((i, r.status, r.body))
                    slow.append(time.monotonic() - began)
                    done.wait(0.005)
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            self.redis.hang()
            wait_until(lambda: self.open_circuits(self.b) == 1, 10, "it hangs")
            self.redis.go_on()
            self.ready(self.b)
            self.redis.kill()
            wait_until(lambda: self.open_circuits(self.b) == 1, 10, "it died")
            at = count[0]
            wait_until(lambda: count[0] > at + 20, 10, "requests go on")
            self.redis.start()
            self.ready(self.b)
            back = count[0]
            wait_until(lambda: count[0] > back + 20, 10, "requests go on with it")
        finally:
            done.set()
            asking.join()
        self.assertEqual(bad, [])
        self.assertLess(max(slow), 2, "a miss waits for the store's timeout at most")
        for name in ("sluice_l3_timeouts_total", "sluice_l3_refused_total"):
            wait_until(lambda n=name: self.b.metric(n) > 0, 5, f"{name} counts")


if __name__ == "__main__":
    reason = why_not()
    if reason:
        print("skipped:", reason)
    else:
        unittest.main(verbosity=2)
