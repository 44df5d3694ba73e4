# SPDX-License-Identifier: BSD-2-Clause
"""Compression for clients: each answer once from the origin, coded here as each client likes it, decoded
by the codings' own tools and compared with the origin's bytes."""

import gzip
import random
import subprocess
import threading
import time
import unittest
import zlib

from lab import CONFIG, DOOR, Lab, wait_until
from origin import Origin, answer, chunked

CODINGS = ("br", "zstd", "gzip")
TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace("""\
    - host: api.test
      path: /odd/*
      upstream: odd
""", """\
    - host: api.test
      path: /odd/*
      upstream: odd
    - host: api.test
      path: /z/*
      upstream: odd
      cache:
          stale_if_error_s: 60
      compress:
          encodings: [br, zstd, gzip]
          max_bytes: 8388608
    - host: api.test
      path: /strong/*
      upstream: odd
      cache:
          etag: strong
      compress:
          encodings: [gzip]
""")
FRESH = "Cache-Control: max-age=600"
JSON = "Content-Type: application/json"
WORDS = [random.Random(i).randbytes(4).hex().encode() for i in range(400)]


def text_of(n, seed=1):
    """n bytes that compress well, others for each seed."""
    r = random.Random(seed)
    out = bytearray(b"%d " % seed)
    while len(out) < n:
        out += r.choice(WORDS) + b' "key": '
    return bytes(out[:n])


def tool(name, data):
    return subprocess.run([name, "-dc"], input=data, capture_output=True, check=True).stdout


def decode(coding, data):
    if coding == "gzip":
        d = zlib.decompressobj(31)
        out = d.decompress(data) + d.flush()
        assert d.eof and not d.unused_data, "one whole gzip member"
        return out
    return tool({"br": "brotli", "zstd": "zstd"}[coding], data) if coding else data


def setUpModule():
    Compress.lab = Lab(config=TEXT).start(nginx=False)
    Compress.origin = Origin(Compress.lab)


def tearDownModule():
    Compress.origin.stop()
    Compress.lab.stop()


class Changing:
    """An answer with a strong ETag that changes when the test says so; 304 for that ETag alone."""

    def __init__(self, control, size=5000, head=()):
        self.control, self.size, self.head = control, size, head
        self.version, self.fail, self.answers = 1, False, []

    def body(self, version=None):
        return text_of(self.size, version or self.version)

    def __call__(self, r, peer):
        etag = f'"v{self.version}"'
        if self.fail:
            peer.close()
        same = r["if-none-match"] == etag
        self.answers.append(304 if same else 200)
        peer.send(answer(b"" if same else self.body(), 304 if same else 200, self.control, JSON,
                         f"ETag: {etag}", *self.head, length=not same))


class Compress(unittest.TestCase):
    lab = origin = None

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def get(self, path, coding=None, *headers, accept=None, method="GET", body=None):
        accept = accept if accept is not None else coding
        ae = [f"Accept-Encoding: {accept}"] if accept else []
        return self.lab.get(path, [*ae, *headers], method=method, body=body)

    def check(self, path, coding, want, *headers, **kw):
        """The answer in that coding, and its bytes are right."""
        r = self.get(path, coding, *headers, **kw)
        self.assertEqual((r.status, r["content-encoding"]), (200, coding), r.raw)
        self.assertEqual(decode(coding, r.body), want)
        if coding:
            self.assertLess(len(r.body), len(want))
            for gone in ("content-md5", "repr-digest", "content-digest", "accept-ranges"):
                self.assertNotIn(gone, r)
        return r

    def metric_becomes(self, name, value):
        """Metrics are a picture of a moment ago."""
        wait_until(lambda: self.lab.metric(name) >= value, 5, name)
        self.assertEqual(self.lab.metric(name), value)

    def test_codings(self):
        """One request to the origin serves them all; each is a hit when it is asked for again."""
        body = text_of(20000)
        path = self.origin.on("/z/codings", answer(body, 200, FRESH, JSON, 'ETag: "one"', "Accept-Ranges: bytes",
                                                   "Content-MD5: x", "Repr-Digest: x", "Content-Digest: x"))
        first = self.check(path, "gzip", body)
        self.assertIn("stored", first["cache-status"])
        self.assertEqual(first["content-length"], str(len(first.body)))
        plain = self.check(path, None, body)
        self.assertEqual(plain["etag"], '"one"')
        self.assertEqual(plain["repr-digest"], "x")
        self.assertEqual(plain["vary"], "Accept-Encoding")
        for coding in CODINGS * 2:
            r = self.check(path, coding, body)
            self.assertTrue(r.hit, r.raw)
            self.assertEqual((r["etag"], r["vary"]), ('W/"one"', "Accept-Encoding"))
            self.assertEqual(r["content-length"], str(len(r.body)))
        self.assertEqual(self.origin.count(path), 1)
        self.assertEqual(self.origin.seen(path)[0]["accept-encoding"], "identity")
        # By then the cores have them.
        for coding in CODINGS:
            self.assertNotIn("detail=L2", self.check(path, coding, body)["cache-status"])

    def test_accept(self):
        body = text_of(4000)
        path = self.origin.on("/z/accept", answer(body, 200, FRESH, JSON))
        for accept, coding in (("gzip, deflate, br, zstd", "br"), ("gzip, deflate", "gzip"),
                               ("br;q=0.5, gzip", "gzip"), ("*", "br"), ("br;q=0, *", "zstd"),
                               ("identity;q=1, *;q=0", None), ("gzip;q=0", None), ("X-GZIP", "gzip"),
                               ("deflate", None), ("identity, zstd;q=0.3", None), ("ZSTD", "zstd")):
            with self.subTest(accept):
                self.check(path, coding, body, accept=accept)
        self.check(path, None, body, "Cache-Control: no-transform", accept="gzip")
        self.assertEqual(self.origin.count(path), 1)

    def test_explain(self):
        path = self.origin.on("/z/explain", answer(text_of(4000), 200, FRESH, JSON))
        self.check(path, None, text_of(4000))
        for _ in range(2):
            x = self.lab.ctl_json("cache", "explain", "GET", "http://api.test" + path, "--header",
                                  "Accept-Encoding: gzip")
            self.assertEqual(x["verdict"], "answered out of the cache", x)
            self.assertIn("=gzip", x["variant"])
            self.assertEqual([(t["age_s"], t["fresh_ms"]) for t in x["tiers"] if "list" in t["what"]],
                             [(None, None)] * 2)
            self.check(path, "gzip", text_of(4000))

    def test_cache_get(self):
        """A list of variants has no age, no lifetime and no fields; its variants do."""
        path = self.origin.on("/z/get", answer(text_of(4000), 200, FRESH, JSON))
        self.check(path, "gzip", text_of(4000))
        for row in self.lab.ctl_json("cache", "get", "api.test" + path)["entries"]:
            self.assertEqual([row[k] for k in ("kind", "age_s", "fresh_ms", "fields")],
                             ["variants", None, None, []])
        self.assertIn("are variants", self.lab.ctl("cache", "get", "api.test" + path).stdout)
        key = next(e["key"] for e in self.lab.ctl_json("cache", "list", "--store")["entries"]
                   if path in e["key"] and e["key"].endswith("=gzip"))
        row = self.lab.ctl_json("cache", "get", key)["entries"][0]
        self.assertEqual(row["kind"], "answer")
        self.assertIn("Content-Encoding: gzip", row["fields"])

    def test_curl(self):
        body = text_of(30000, 2)
        path = self.origin.on("/z/curl", answer(body, 200, FRESH, JSON))
        for _ in range(2):
            status, head, got = self.lab.curl(path, "--compressed")
            self.assertEqual((status, got), (200, body))
            self.assertIn(head["content-encoding"], CODINGS)

    def test_left_alone(self):
        body = text_of(4000)
        coded = gzip.compress(body)
        for name, want, *fields in (
                ("type", body, "Content-Type: image/png"), ("none", body), ("small", body[:1023], JSON),
                ("forbidden", body, JSON, "Cache-Control: max-age=60, no-transform"),
                ("coded", coded, JSON, "Content-Encoding: gzip"),
                ("events", body, "Content-Type: text/event-stream"),
                ("large", text_of(8388609), JSON)):
            with self.subTest(name):
                path = self.origin.on("/z/" + name, answer(want, 200, *([FRESH] * (name != "forbidden")), *fields,
                                                           'ETag: "a"'))
                for _ in range(2):
                    r = self.get(path, accept="br, gzip")
                    self.assertEqual(r.body, want)
                    self.assertEqual(r["etag"], '"a"')
                    self.assertNotIn("vary", r)
                    self.assertEqual(r["content-encoding"], "gzip" if name == "coded" else None)
                self.assertEqual(self.origin.count(path), 1)
        path = self.origin.on("/z/missing", answer(body, 404, FRESH, JSON))
        self.assertEqual(self.get(path, accept="br").body, body)
        # Routes that do not ask for it
        path = self.origin.on("/odd/off", answer(body, 200, FRESH, JSON))
        self.assertEqual(self.get(path, accept="br").body, body)
        self.assertEqual(self.origin.seen(path)[0]["accept-encoding"], "br")

    def test_useless(self):
        """What does not get smaller goes out as it is, and is not tried again and again."""
        body = random.Random(3).randbytes(3000)
        path = self.origin.on("/z/useless", answer(body, 200, FRESH, "Content-Type: text/plain"))
        self.get(path)
        before = self.lab.metric("sluice_compress_skipped_useless_total")
        for _ in range(3):
            for coding in CODINGS:
                self.check(path, None, body, accept=coding)
        self.metric_becomes("sluice_compress_skipped_useless_total", before + 1)
        self.assertEqual(self.origin.count(path), 1)

    def test_large(self):
        """Longer than what is coded at a time, than what fits a core's table, and than the window."""
        body = text_of(5 << 20, 4)
        path = self.origin.on("/z/long", answer(body, 200, FRESH, JSON))
        for coding in (*CODINGS, None, *CODINGS):
            self.check(path, coding, body)
        self.assertEqual(self.origin.count(path), 1)
        parts = [body[i:i + 50000] for i in range(0, len(body), 50000)]
        path = self.origin.on("/z/chunks", chunked(*parts, headers=(FRESH, JSON)))
        for coding in (*CODINGS, None, *CODINGS):
            self.check(path, coding, body)
        self.assertEqual(self.origin.count(path), 1)

    def test_head(self):
        body = text_of(3000)
        path = self.origin.on("/z/head", answer(body, 200, FRESH, JSON, 'ETag: "h"'))
        got = self.check(path, "br", body)
        for coding in ("br", "gzip"):
            r = self.get(path, coding, method="HEAD")
            self.assertEqual((r.status, r["content-encoding"], r["etag"], r.body),
                             (200, coding, 'W/"h"', b""))
            self.assertIn(r["content-length"], (None, str(len(got.body))) if coding == "br" else (None,))
        self.assertEqual(self.get(path, method="HEAD")["content-length"], "3000")
        self.assertEqual(self.origin.count(path), 1)

    def test_head_of_origin(self):
        def script(r, peer):
            peer.send(answer(text_of(3000), 200, "Cache-Control: no-store", JSON, 'ETag: "h"')
                      if r.method == "GET" else answer(b"", 200, "Cache-Control: no-store", JSON, 'ETag: "h"',
                                                       "Content-Length: 3000", length=False))
        path = self.origin.on("/z/headless", script)
        r = self.get(path, "gzip", method="HEAD")
        self.assertEqual((r["content-encoding"], r["etag"], r["content-length"], r["vary"]),
                         ("gzip", 'W/"h"', None, "Accept-Encoding"))
        self.assertEqual(self.get(path, method="HEAD")["content-length"], "3000")

    def test_conditions(self):
        body = text_of(3000)
        path = self.origin.on("/z/cond", answer(body, 200, FRESH, JSON, 'ETag: "c"'))
        for coding in ("gzip", None, "zstd"):
            etag = self.check(path, coding, body)["etag"]
            for tag in (etag, 'W/"c"', '"c"', '"x", ' + etag, "*"):
                r = self.get(path, coding, "If-None-Match: " + tag)
                self.assertEqual((r.status, r.body, r["etag"]), (304, b"", etag), (coding, tag))
                self.assertEqual(r["vary"], "Accept-Encoding")
            self.assertEqual(self.get(path, coding, 'If-None-Match: "x"').status, 200)
        self.assertEqual(self.origin.count(path), 1)

    def test_ranges(self):
        """Parts are of the answer as it came; a coded one is given as a whole."""
        body = text_of(3000)
        path = self.origin.on("/z/range", answer(body, 200, FRESH, JSON, 'ETag: "r"'))
        self.check(path, "zstd", body)
        for _ in range(2):
            r = self.get(path, None, "Range: bytes=10-19")
            self.assertEqual((r.status, r.body), (206, body[10:20]))
            self.check(path, "br", body, "Range: bytes=10-19")
            self.check(path, "br", body, "Range: bytes=10-19", 'If-Range: W/"r"')
            r = self.get(path, None, "Range: bytes=10-19", 'If-Range: "r"')
            self.assertEqual((r.status, r.body), (206, body[10:20]))
        self.assertEqual(self.origin.count(path), 1)

    def test_range_passed_on(self):
        """A date cannot tell the coded form from the answer: the whole is asked for."""
        path = self.origin.on("/z/range/pass", answer(text_of(3000), 200, "Cache-Control: private", JSON))
        date = "Sat, 01 Jan 2000 00:00:00 GMT"
        for fields, wanted in ((["If-Range: " + date], None), (['If-Range: "a"'], "bytes=0-1"),
                               (['If-Range: W/"a"'], None), ([], "bytes=0-1")):
            self.origin.forget()
            self.get(path, "gzip", "Cache-Control: no-store", "Range: bytes=0-1", *fields)
            self.assertEqual(self.origin.seen(path)[0]["range"], wanted, fields)

    def test_not_stored(self):
        """What no store may keep is coded on its way, for each client alone."""
        body = text_of(200000, 7)
        for name, data in (("length", answer(body, 200, "Cache-Control: no-store", JSON, 'ETag: "p"')),
                           ("private", answer(body, 200, "Cache-Control: private", JSON, 'ETag: "p"')),
                           ("chunked", chunked(body[:70000], body[70000:],
                                               headers=("Cache-Control: no-store", JSON, 'ETag: "p"')))):
            path = self.origin.on("/z/pass/" + name, data)
            for n, coding in enumerate((*CODINGS, None), 1):
                r = self.check(path, coding, body)
                self.assertEqual(r["vary"], "Accept-Encoding")
                self.assertEqual(r["etag"], 'W/"p"' if coding else '"p"')
                self.assertEqual(self.origin.count(path), n)
        path = self.origin.on("/z/pass/post", answer(body, 200, JSON))
        self.check(path, "br", body, method="POST", body=b"{}")

    def test_stream_is_not_delayed(self):
        """A part that the origin has sent arrives before the origin sends the next."""
        for coding in CODINGS:
            go = threading.Event()

            def script(r, peer):
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n"
                          b"Cache-Control: no-store\r\n\r\n6\r\nfirst\n\r\n")
                peer.send(b"7\r\nsecond\n\r\n0\r\n\r\n" if go.wait(20) else b"bad")
            path = self.origin.on("/z/slow/" + coding, script)
            curl = subprocess.Popen(self.lab.in_cli(
                "curl", "-sSN", "--compressed", "-H", "Host: api.test", "-H", "Accept-Encoding: " + coding,
                "--max-time", "20", f"http://{DOOR}{path}"), stdout=subprocess.PIPE)
            with curl:
                self.assertEqual(curl.stdout.readline(), b"first\n", coding)
                self.assertFalse(go.is_set())
                go.set()
                self.assertEqual(curl.stdout.read(), b"second\n", coding)
            self.assertEqual(curl.returncode, 0)

    def test_one_fetch_for_all(self):
        """Clients of all codings at once, before anything is stored: one request to the origin."""
        for name, body, chunks in (("a", text_of(9000, 8), False), ("b", text_of(400000, 9), False),
                                   ("c", text_of(300000, 10), True)):
            go = threading.Event()
            data = (chunked(body, headers=(FRESH, JSON)) if chunks else answer(body, 200, FRESH, JSON))

            def script(r, peer, data=data, go=go):
                peer.send(data[:600])
                go.wait(20)
                peer.send(data[600:])
            path = self.origin.on("/z/all/" + name, script)
            wrong = []

            def ask(coding, path=path, body=body):
                try:
                    self.check(path, coding, body)
                except Exception as e:  # pylint: disable=broad-except
                    wrong.append((coding, e))
            threads = [threading.Thread(target=ask, args=(c,)) for c in (*CODINGS, None) * 10]
            for t in threads:
                t.start()
            wait_until(lambda: self.lab.ctl_json("stats") and
                       self.lab.metric("sluice_fetch_joined_total") +
                       self.lab.metric("sluice_compress_waited_total") > 0, 10, "requests that wait")
            time.sleep(0.3)
            go.set()
            for t in threads:
                t.join()
            self.assertEqual(wrong, [])
            self.assertEqual(self.origin.count(path), 1)

    def test_purge(self):
        script = Changing(FRESH)
        path = self.origin.on("/z/purge", script)
        for version, args in ((1, None), (2, ["api.test" + path]), (3, ["--pattern", "api.test/z/pur*"]),
                              (4, ["--all"])):
            script.version = version
            if args:
                self.lab.ctl("cache", "purge", *args)
            for coding in (*CODINGS, None) * 2:
                self.check(path, coding, script.body())
            self.assertEqual(len(script.answers), version)

    def test_validated(self):
        """A 304 for the origin's own ETag makes all forms fresh; another answer replaces them all."""
        script = Changing("Cache-Control: max-age=1")
        path = self.origin.on("/z/valid", script)
        time.sleep(1)
        coded = self.lab.metric("sluice_compress_in_bytes_total")
        for coding in (*CODINGS, None):
            self.check(path, coding, script.body())
        self.metric_becomes("sluice_compress_in_bytes_total", coded + 3 * script.size)
        time.sleep(2.1)
        for coding in ("gzip", "br", None):
            r = self.check(path, coding, script.body())
            self.assertEqual(r["etag"], 'W/"v1"' if coding else '"v1"')
        self.assertEqual(script.answers, [200, 304])
        self.assertEqual(self.origin.seen(path)[-1]["if-none-match"], '"v1"')
        script.version = 2
        time.sleep(2.1)
        # Not coded anew: they were the same still.
        self.assertEqual(self.lab.metric("sluice_compress_in_bytes_total"), coded + 3 * script.size)
        for coding in ("zstd", "gzip", "br", None):
            self.check(path, coding, script.body())
        self.assertEqual(script.answers, [200, 304, 200])

    def test_changed_early(self):
        """A client that wants a newer answer gets it; from then on no form of the old one is served."""
        script = Changing(FRESH)
        path = self.origin.on("/z/early", script)
        for _ in range(2):
            for coding in (*CODINGS, None):
                self.check(path, coding, script.body())
        script.version = 2
        self.check(path, None, script.body(), "Cache-Control: no-cache")
        for coding in (*CODINGS, None) * 2:
            self.check(path, coding, script.body())
        self.assertEqual(script.answers, [200, 200])

    def test_stale_while_revalidate(self):
        script = Changing("Cache-Control: max-age=1, stale-while-revalidate=60")
        path = self.origin.on("/z/swr", script)
        for coding in (*CODINGS, None):
            self.check(path, coding, script.body())
        script.version = 2
        time.sleep(2.1)
        for coding in ("br", "gzip", "zstd", None):
            r = self.get(path, coding)
            self.assertIn(decode(coding, r.body), (script.body(1), script.body(2)))
        wait_until(lambda: len(script.answers) > 1, 5, "the refresh")
        for coding in (*CODINGS, None):
            wait_until(lambda c=coding: decode(c, self.get(path, c).body) == script.body(2), 5, "the new answer")

    def test_origin_fails(self):
        script = Changing("Cache-Control: max-age=1")
        path = self.origin.on("/z/fails", script)
        for coding in ("gzip", None):
            self.check(path, coding, script.body())
        script.fail = True
        time.sleep(2.1)
        for coding in (*CODINGS, None):
            self.check(path, coding, script.body())

    def test_vary_of_the_origin(self):
        def script(r, peer):
            peer.send(answer(text_of(3000, int(r["user"])), 200, FRESH, JSON, "Vary: User, accept-encoding"))
        path = self.origin.on("/z/vary", script)
        for user in ("1", "2"):
            for coding in (*CODINGS, None) * 2:
                r = self.check(path, coding, text_of(3000, int(user)), "User: " + user)
                self.assertEqual(r.all("vary"), ["User, accept-encoding"])
        self.assertEqual(self.origin.count(path), 2)

    def test_strong_etag_made(self):
        body = text_of(3000)
        path = self.origin.on("/strong/a", answer(body, 200, FRESH, JSON))
        self.check(path, "gzip", body)
        strong = self.check(path, None, body)["etag"]
        self.assertEqual(self.check(path, "gzip", body)["etag"], "W/" + strong)
        self.assertEqual(self.get(path, "gzip", "If-None-Match: " + strong).status, 304)
        self.assertEqual(self.origin.count(path), 1)

    def test_broken_off(self):
        """The origin breaks off: so does what is coded, and nothing of it is kept."""
        body = text_of(200000, 11)
        whole = answer(body, 200, FRESH, JSON)
        for name, data, cut in (("length", whole, 100000), ("held", answer(body[:9000], 200, FRESH, JSON), 4000),
                                ("chunked", chunked(body, headers=(FRESH, JSON)), 100000)):
            tries = []

            def script(r, peer, data=data, cut=cut, tries=tries):
                tries.append(1)
                if len(tries) == 1:
                    peer.send(data[:cut])
                    peer.close()
                peer.send(data)
            path = self.origin.on("/z/broken/" + name, script)
            with self.assertRaises((AssertionError, OSError)):
                self.check(path, "gzip", body)
            self.check(path, "gzip", body[:9000] if name == "held" else body)

    def test_old_client(self):
        body = text_of(100000, 12)
        path = self.origin.on("/z/old", chunked(body, headers=("Cache-Control: no-store", JSON)))
        with self.lab.client() as c:
            r = c.ask(path, headers=["Accept-Encoding: gzip"], version="1.0")
        self.assertEqual((r["content-encoding"], decode("gzip", r.body)), ("gzip", body))


if __name__ == "__main__":
    unittest.main(verbosity=2)
