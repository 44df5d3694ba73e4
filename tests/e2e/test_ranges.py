"""Ranges and conditions, asked by curl: of what is stored, against the same asked of nginx itself; and of
what is not, where the origin's word is passed on."""

import os
import random
import subprocess
import unittest

from lab import Lab, ORIGIN_PORT, wait_until

SIZE = 60000
PATH = "/range.bin"
ETAG_OTHER = '"0-0"'

# What curl -r takes. nginx and RFC 9110 agree on all of these.
SINGLE = ["0-0", "0-99", "1-511", "1-512", "1-513", "59999-", "0-", "-1", "-60000", "-70000", "100-70000",
          "30000-30001", "12345-54321"]
NONE = ["60000-", "60000-70000", "-0"]
SEVERAL = ["0-0,-1", "0-99,200-299", "5000-5999,0-9", "0-9,20-29,40-49,60-69,80-89,100-109,120-129,140-149",
           "0-20000,30000-59999", "10-19,60000-"]


def parts_of(headers, body):
    """[(first, last, total, type, bytes)] of a multipart/byteranges body (RFC 9110 14.6)."""
    kind, _, boundary = headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges", headers
    pieces = body.split(b"\r\n--" + boundary.strip('"').encode())
    assert pieces[0] == b"" and pieces[-1].strip() == b"--", (pieces[0][:80], pieces[-1][:80])
    out = []
    for piece in pieces[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode().strip().split("\r\n"))
        span, total = fields["content-range"].removeprefix("bytes ").split("/")
        first, last = map(int, span.split("-"))
        out.append((first, last, int(total), fields["content-type"], data))
    return out


class Ranges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().start()
        cls.data = random.Random(5).randbytes(SIZE)
        cls.lab.put(PATH, cls.data)
        status, cls.head, body = cls.lab.curl(PATH)
        assert (status, body) == (200, cls.data)
        assert "; stored" in cls.head["cache-status"], cls.head

    @classmethod
    def tearDownClass(cls):
        cls.lab.stop()

    def origin(self, path, *args):
        """(status, body) of nginx itself."""
        r = subprocess.run(self.lab.in_srv("curl", "-sS", "-w", "%{stderr}%{http_code}", *args,
                                           f"http://127.0.0.1:{ORIGIN_PORT}{path}"),
                           capture_output=True, check=True)
        return int(r.stderr), r.stdout

    def hit(self, *args):
        status, h, body = self.lab.curl(PATH, *args)
        self.assertIn("testnode; hit; ttl=", h["cache-status"], args)
        self.assertIn("age", h)
        return status, h, body

    def test_single(self):
        asked = self.lab.origin_hits(PATH)
        for r in SINGLE:
            with self.subTest(r):
                status, h, body = self.hit("-r", r)
                self.assertEqual((status, body), (206, self.origin(PATH, "-r", r)[1]))
                first, last = map(int, h["content-range"].removeprefix("bytes ").split("/")[0].split("-"))
                self.assertEqual(body, self.data[first:last + 1])
                self.assertEqual(h["content-range"], f"bytes {first}-{last}/{SIZE}")
                self.assertEqual(h["content-length"], str(len(body)))
                for name in ("etag", "last-modified", "date", "cache-control", "content-type"):
                    self.assertEqual(h[name], self.head[name])
                asked += 1  # nginx was asked by this test
        self.assertEqual(self.lab.origin_hits(PATH), asked)
        self.assertGreaterEqual(self.lab.metric("sluice_cache_ranges_total", result="partial"),
                                len(SINGLE))

    def test_none(self):
        for r in NONE:
            with self.subTest(r):
                status, h, _ = self.hit("-r", r)
                self.assertEqual((status, h["content-range"]), (416, f"bytes */{SIZE}"))
                self.assertEqual(self.origin(PATH, "-r", r)[0], 416)

    def test_several(self):
        boundaries = set()
        for r in SEVERAL:
            with self.subTest(r):
                status, h, body = self.hit("-r", r)
                want = []
                for spec in r.split(","):
                    first, last = spec.split("-")
                    if first == "":
                        first, last = SIZE - int(last), SIZE - 1
                    if int(first) < SIZE:
                        want.append((int(first), int(last)))
                self.assertEqual(status, 206)
                if len(want) == 1:
                    self.assertEqual(body, self.data[want[0][0]:want[0][1] + 1])
                    continue
                got = parts_of(h, body)
                self.assertEqual([(p[0], p[1]) for p in got], want)
                for first, last, total, kind, data in got:
                    self.assertEqual((total, kind), (SIZE, self.head["content-type"]))
                    self.assertEqual(data, self.data[first:last + 1])
                self.assertNotIn("content-range", h)
                boundaries.add(h["content-type"])
        self.assertEqual(len(boundaries), len(SEVERAL) - 1)

    def test_whole_instead(self):
        """Nine ranges, overlapping ones, another unit, nonsense: RFC 9110 14.2 lets us answer whole."""
        for r in (",".join(f"{i}-{i}" for i in range(0, 90, 10)), "0-99,50-149"):
            status, _, body = self.hit("-r", r)
            self.assertEqual((status, body), (200, self.data))
        for line in ("Range: lines=0-1", "Range: bytes=5-1", "Range: bytes", "Range: bytes=a-b"):
            status, _, body = self.hit("-H", line)
            self.assertEqual((status, body), (200, self.data), line)

    def test_if_range(self):
        rows = [(self.head["etag"], 206), (ETAG_OTHER, 200), ("W/" + self.head["etag"], 200),
                ("Sun, 06 Nov 1994 08:49:37 GMT", 200), ("nonsense", 200)]
        for value, want in rows:
            with self.subTest(value):
                status, _, body = self.hit("-r", "10-19", "-H", f"If-Range: {value}")
                self.assertEqual(status, want)
                self.assertEqual(body, self.data[10:20] if want == 206 else self.data)

    def test_conditions(self):
        etag, modified = self.head["etag"], self.head["last-modified"]
        rows = [("If-None-Match: " + etag, 304), ("If-None-Match: W/" + etag, 304), ("If-None-Match: *", 304),
                (f"If-None-Match: {ETAG_OTHER}, {etag}", 304), ("If-None-Match: " + ETAG_OTHER, 200),
                ("If-Modified-Since: " + modified, 304),
                ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200)]
        for line, want in rows:
            for more in ((), ("-r", "0-9")):
                with self.subTest(line=line, more=more):
                    status, h, body = self.hit("-H", line, *more)
                    self.assertEqual(status, 206 if want == 200 and more else want)
                    if want == 304:
                        self.assertEqual(body, b"")
                        self.assertEqual((h["etag"], h["date"], h["cache-control"]),
                                         (etag, self.head["date"], self.head["cache-control"]))
                        self.assertFalse({"content-type", "content-length", "content-range"} & set(h))
        # These are for the origin alone (RFC 9111 4.3.2).
        for line, want in (("If-Match: " + ETAG_OTHER, 412), ("If-Match: " + etag, 200),
                           ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 412)):
            status, h, _ = self.lab.curl(PATH, "-H", line)
            self.assertEqual(status, want, line)
            self.assertIn("fwd=request", h["cache-status"])

    def test_head(self):
        for args in ((), ("-r", "0-9")):
            status, h, _ = self.hit("-I", *args)
            self.assertEqual((status, h["content-length"]), (200, str(SIZE)))
            self.assertNotIn("content-range", h)
        status, h, _ = self.hit("-I", "-H", "If-None-Match: " + self.head["etag"])
        self.assertEqual(status, 304)

    def test_resume(self):
        """curl goes on where a download broke off."""
        path = os.path.join(self.lab.run_dir, "resumed")
        with open(path, "wb") as f:
            f.write(self.data[:23456])
        subprocess.run(self.lab.in_cli("curl", "-sS", "-C", "-", "-o", path, "-H", "Host: api.test",
                                       f"http://10.78.0.10{PATH}"), check=True)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), self.data)

    def test_miss(self):
        """Nothing is stored: a part that begins early fetches the whole, another is the origin's."""
        self.lab.put("/fresh.bin", self.data)
        status, h, body = self.lab.curl("/fresh.bin", "-r", "-10")
        self.assertEqual((status, body), (206, self.data[-10:]))
        self.assertNotIn("stored", h["cache-status"])
        status, h, body = self.lab.curl("/fresh.bin", "-r", "5-14")
        self.assertEqual((status, body), (206, self.data[5:15]))
        self.assertIn("fwd=uri-miss; stored", h["cache-status"])
        for args, want in ((("-r", "-10"), self.data[-10:]), ((), self.data)):
            status, h, body = self.lab.curl("/fresh.bin", *args)
            self.assertEqual(body, want)
            self.assertIn("; hit", h["cache-status"])
        self.assertEqual(self.lab.origin_hits("/fresh.bin"), 2)

    def test_miss_of_more_than_a_core_keeps(self):
        """The client has its part and goes; control fetches the rest for its store."""
        data = random.Random(6).randbytes(300000)
        self.lab.put("/large.bin", data)
        status, _, body = self.lab.curl("/large.bin", "-r", "5-14")
        self.assertEqual((status, body), (206, data[5:15]))
        wait_until(lambda: "/large.bin" in self.lab.ctl("cache", "list", "--store").stdout, 5, "stored")
        status, h, body = self.lab.curl("/large.bin", "-r", "200000-")
        self.assertEqual((status, body), (206, data[200000:]))
        self.assertIn("; hit", h["cache-status"])
        self.assertEqual(self.lab.origin_hits("/large.bin"), 1)

    def test_miss_of_more_than_is_stored(self):
        """Asked for whole once; then it is known that its parts are better asked for."""
        with open(self.lab.run_dir + "/www/huge.bin", "wb") as f:
            f.truncate(80 << 20)
        for k in range(3):
            status, h, body = self.lab.curl("/huge.bin", "-r", "5-14")
            self.assertEqual((status, body), (206, bytes(10)))
            self.assertIn("detail=pass" if k else "fwd=uri-miss", h["cache-status"])
        with open(self.lab.run_dir + "/access.log", encoding="latin1") as f:
            said = [line.split('"')[2].split() for line in f if " /huge.bin HTTP" in line]
        self.assertEqual([s[0] for s in said], ["200", "206", "206"])
        self.assertLess(int(said[0][1]), 80 << 20)

    def test_kept_connection(self):
        """Parts and wholes on one connection, each where it belongs."""
        rows = ["bytes=0-9", "bytes=-5", "bytes=0-0,2-2", "bytes=70000-", "bytes=100-30000"]
        with self.lab.client() as c:
            for r in rows * 5:
                a = c.ask(PATH, headers=[f"Range: {r}"], host="api.test")
                self.assertEqual(a.status, 416 if r == "bytes=70000-" else 206)
            a = c.ask(PATH, host="api.test")
            self.assertEqual((a.status, a.body), (200, self.data))
        wait_until(lambda: self.lab.metric("sluice_shed_total", reason="tx_queue") == 0, 2, "no reset")


if __name__ == "__main__":
    unittest.main(verbosity=2)
