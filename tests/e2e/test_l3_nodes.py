# SPDX-License-Identifier: BSD-2-Clause
"""Two nodes, each both processes in namespaces of its own, share one Redis: what one fetched the
other need not, and neither fails a request when the Redis hangs, dies or lies."""

import shutil
import threading
import time
import unittest

from lab import CONFIG, Lab, wait_until
from redis_lab import Redis, folder, why_not

L3 = """
cache:
    l3:
        backend: redis
        addresses: ["{path}"]
        timeout_ms: 200
        retry_ms: 100
"""


def node(tag, redis):
    lab = Lab(config=CONFIG, extra=L3.format(path=redis.path))
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

    def test_one_fetch_for_both(self):
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
        self.metric_is(self.b, "sluice_l3_hits_total", 3)

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

    def test_no_request_fails(self):
        """The Redis hangs, dies and comes back while each request is a miss."""
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
