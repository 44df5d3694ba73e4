"""Bodies that are larger than any buffer: byte-exact both ways, with bounded memory in both processes,
and without harm to others when a client or an origin is slow."""

import hashlib
import json
import os
import subprocess
import threading
import time
import unittest

from http1 import Client, Cut, request
from lab import DOOR, Lab, rss_kib, wait_until
from origin import Origin, answer

GIB = 1 << 30
GROWTH_KIB = 64 * 1024
BLOCK = 1 << 20
EXTRA = """
timeouts:
    send_ms: 3000
    stall_ms: 800
"""


def pattern_file(path, size):
    """Data that differs from block to block; returns its sha256."""
    digest = hashlib.sha256()
    base = os.urandom(BLOCK - 8)
    with open(path, "wb") as f:
        for i in range(size // BLOCK):
            block = i.to_bytes(8, "big") + base
            f.write(block)
            digest.update(block)
    return digest.hexdigest()


class Sampler:
    """Peak resident memory of both processes while something runs."""

    def __init__(self, lab):
        self.lab = lab
        self.stopped = threading.Event()
        self.first = {n: rss_kib(lab.pid(n)) for n in ("dataplane", "control")}
        self.peak = dict(self.first)
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stopped.wait(0.05):
            for n in self.peak:
                self.peak[n] = max(self.peak[n], rss_kib(self.lab.pid(n)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join()

    def growth_kib(self):
        return {n: self.peak[n] - self.first[n] for n in self.peak}


class Stream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(extra=EXTRA).start()
        cls.origin = Origin(cls.lab)
        cls.big = "/big/gib"
        cls.lab.put(cls.big, b"")
        cls.file = cls.lab.run_dir + "/www" + cls.big
        cls.sha = pattern_file(cls.file, GIB)
        cls.lab.put("/hot", "hot")
        cls.lab.get("/hot")

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.lab.stop()

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def check_growth(self, sampler):
        for name, kib in sampler.growth_kib().items():
            self.assertLess(kib, GROWTH_KIB, name)

    def test_download_of_1_gib(self):
        with Sampler(self.lab) as s:
            curl = subprocess.Popen(
                self.lab.in_cli("curl", "-sS", "--max-time", "100", "-H", "Host: api.test",
                                f"http://{DOOR}{self.big}"), stdout=subprocess.PIPE)
            digest = hashlib.sha256()
            size = 0
            with curl.stdout as out:
                while block := out.read(BLOCK):
                    digest.update(block)
                    size += len(block)
            self.assertEqual(curl.wait(), 0)
        self.assertEqual((size, digest.hexdigest()), (GIB, self.sha))
        self.check_growth(s)

    def upload(self, *args):
        with Sampler(self.lab) as s:
            r = subprocess.run(
                self.lab.in_cli("curl", "-sS", "--max-time", "100", "-H", "Host: api.test", *args,
                                f"http://{DOOR}/odd/upload"), capture_output=True, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        told = json.loads(r.stdout)
        self.assertEqual((told["body_len"], told["sha256"]), (GIB, self.sha))
        self.check_growth(s)
        return told

    def test_upload_of_1_gib(self):
        self.assertFalse(self.upload("-T", self.file)["chunked"])

    def test_upload_of_1_gib_in_chunks(self):
        self.assertTrue(self.upload("-T", self.file, "-H", "Transfer-Encoding: chunked")["chunked"])

    def test_slow_origin_holds_back_the_upload(self):
        """The origin reads nothing for a while: memory is bounded, and all arrives in the end."""
        gate = threading.Event()

        def script(r, peer):
            gate.wait(20)
            peer.body(r)
            peer.send(answer(r.tell()))
        path = "/odd/gated"
        self.origin.on(path, script)
        self.origin.early.add(path)
        data = os.urandom(1 << 20) * 64
        with Sampler(self.lab) as s, self.lab.client(timeout=30) as c:
            t = threading.Thread(target=c.send, args=(request(path, method="PUT", body=data),))
            t.start()
            wait_until(lambda: self.origin.count(path) == 1, 5, "begun")
            time.sleep(1)
            self.assertTrue(t.is_alive(), "64 MiB went somewhere while nobody reads")
            self.assertEqual(self.lab.get("/hot").body, b"hot")
            self.assertEqual(self.lab.get("/odd/echo").status, 200)
            gate.set()
            told = json.loads(c.response().body)
            t.join()
        self.assertEqual(told["sha256"], hashlib.sha256(data).hexdigest())
        for name, kib in s.growth_kib().items():
            self.assertLess(kib, 32 * 1024, name)

    def latencies(self, seconds):
        out = []
        end = time.monotonic() + seconds
        with self.lab.client(timeout=5) as c:
            while time.monotonic() < end:
                began = time.monotonic()
                r = c.ask("/hot")
                out.append(time.monotonic() - began)
                assert r.hit and r.body == b"hot"
                time.sleep(0.002)
        return sorted(out)

    def test_slow_reader_beside_hits(self):
        with Sampler(self.lab) as s:
            curl = subprocess.Popen(
                self.lab.in_cli("curl", "-sS", "--max-time", "30", "--limit-rate", "2m", "-o",
                                "/dev/null", "-H", "Host: api.test", f"http://{DOOR}{self.big}"))
            try:
                took = self.latencies(3)
                self.assertIsNone(curl.poll())
            finally:
                curl.kill()
                curl.wait()
        self.assertLess(took[int(len(took) * 0.95)], 0.05)
        for name, kib in s.growth_kib().items():
            self.assertLess(kib, 32 * 1024, name)

    def test_fifty_slow_readers(self):
        """None of them reads; misses go on, and those that resume get every byte."""
        size = 8 << 20
        body = os.urandom(1 << 20) * 8
        self.lab.put("/nostore/eight", body)
        clients = [Client(self.lab.connect(timeout=20, rcvbuf=16384)) for _ in range(50)]
        try:
            with Sampler(self.lab) as s:
                for c in clients:
                    c.send(request("/nostore/eight"))
                time.sleep(1)
                for i in range(50):
                    r = self.lab.get(f"/odd/echo?{i}", timeout=5)
                    self.assertEqual(json.loads(r.body)["target"], f"/odd/echo?{i}")
                    self.assertTrue(self.lab.get("/hot", timeout=5).hit)
                for c in clients[:3]:
                    digest = hashlib.sha256()
                    r = c.response(sink=digest.update)
                    self.assertEqual(int(r["content-length"]), size)
                    self.assertEqual(digest.hexdigest(), hashlib.sha256(body).hexdigest())
            self.check_growth(s)
        finally:
            for c in clients:
                c.close()
        self.assertEqual(self.lab.get("/odd/echo").status, 200)

    def test_reader_that_stops_is_dropped(self):
        """send_ms without progress: reset, and its memory is free for others."""
        before = self.lab.metric("sluice_tcp_connections")
        clients = [Client(self.lab.connect(timeout=20, rcvbuf=8192)) for _ in range(20)]
        try:
            for c in clients:
                c.send(request(self.big))
            wait_until(lambda: self.lab.metric("sluice_tcp_connections") >= before + 20, 5, "open")
            wait_until(lambda: self.lab.metric("sluice_tcp_connections") <= before + 2, 15,
                       "connections that do not read are dropped")
            for c in clients:
                with self.assertRaises(Cut):
                    c.response(sink=lambda b: None)
        finally:
            for c in clients:
                c.close()

    def test_crowd_that_reads_nothing(self):
        """More of them than the channel has blocks for: they go after stall_ms, others are served."""
        before = self.lab.metric("sluice_shed_total", reason="slow_reader")
        self.lab.put("/stored", os.urandom(1 << 20))
        self.assertEqual(self.lab.get("/stored").status, 200)
        clients = [Client(self.lab.connect(timeout=20, rcvbuf=8192)) for _ in range(600)]
        try:
            for c in clients:
                c.send(request("/stored"))
            wait_until(lambda: self.lab.metric("sluice_shed_total", reason="slow_reader") > before,
                       2.8, "clients that read nothing are reset before send_ms")
            r = wait_until(lambda: (r := self.lab.get("/odd/echo")).status == 200 and r, 5, "a miss")
            self.assertEqual(json.loads(r.body)["target"], "/odd/echo")
        finally:
            for c in clients:
                c.close()

    def test_clients_that_go_away_within_a_body(self):
        """Down and up; blocks come back, and the next ones work."""
        for _ in range(30):
            with self.lab.client() as c:
                c.send(request(self.big))
                c.sock.recv(100000)
            with self.lab.client() as c:
                c.send(request("/odd/upload", method="PUT",
                               headers=["Content-Length: 100000000"]) + b"x" * 50000)
        data = os.urandom(3 << 20)
        for _ in range(5):
            r = self.lab.get("/odd/upload", method="PUT", body=data)
            self.assertEqual(json.loads(r.body)["sha256"], hashlib.sha256(data).hexdigest())

    def test_both_ways_at_once(self):
        """Many uploads and downloads of odd sizes side by side, each checked."""
        wrong = []

        def one(i):
            try:
                data = os.urandom(100000 + i * 7919)
                for _ in range(5):
                    r = self.lab.get(f"/odd/up?{i}", method="POST", body=data, timeout=30)
                    if json.loads(r.body)["sha256"] != hashlib.sha256(data).hexdigest():
                        wrong.append(f"upload {i}")
                    p = f"/odd/down{i}"
                    self.origin.on(p, answer(data, 200, "Cache-Control: no-store"))
                    if self.lab.get(p, timeout=30).body != data:
                        wrong.append(f"download {i}")
            except Exception as e:  # pylint: disable=broad-except
                wrong.append(f"{i}: {e!r}")
        ts = [threading.Thread(target=one, args=(i,)) for i in range(24)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
