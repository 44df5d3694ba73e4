"""HTTP/1.1 as a proxy and shared cache must speak it, seen from both ends: a strict client, and an
origin that shows what arrived and answers as oddly as the test wants."""

import hashlib
import json
import os
import re
import threading
import time
import unittest

from http1 import Client, Cut, request
from lab import CLIENT, CONFIG, Lab, wait_until
from origin import Origin, answer, chunked, slow

EXTRA = """
    - host: api.test
      path: /lame/*
      upstream: lame
    - host: api.test
      path: /nocache/*
      upstream: odd
      cache:
          mode: "off"
limits:
    object_bytes: 65536
timeouts:
    miss_ms: 8000
"""
TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace("routes:\n", """\
    - name: lame
      addresses: ["127.0.0.1:18081"]
      request_timeout_ms: 400
routes:
""")
FRESH = "Cache-Control: max-age=600"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def setUpModule():
    Http.lab = Lab(config=TEXT, extra=EXTRA).start(nginx=False)
    Http.origin = Origin(Http.lab)


def tearDownModule():
    Http.origin.stop()
    Http.lab.stop()


class Http(unittest.TestCase):

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])
        self.origin.faults.clear()

    def path(self, script=None, prefix=""):
        """A path of this test's own."""
        p = f"{prefix}/{self._testMethodName}"
        if script is not None:
            self.origin.on(p, script)
        return p

    def get(self, path, *headers, **kw):
        return self.lab.get(path, headers=headers, **kw)

    def cached(self, path, hit=True):
        """Is it stored? Asked without touching the origin."""
        r = self.get(path, "Cache-Control: only-if-cached")
        self.assertEqual(r.status, 200 if hit else 504)
        return r


class Connections(Http):
    def test_keep_alive(self):
        p = self.path(answer("x", 200, FRESH))
        with self.lab.client() as c:
            for i in range(50):
                r = c.ask(p)
                self.assertEqual((r.status, r.body, r.hit), (200, b"x", i > 0))
                self.assertFalse(r.closes)
        self.assertEqual(self.origin.count(p), 1)

    def test_close(self):
        p = self.path(answer("x", 200, FRESH))
        for token in ("close", "Close", "x-foo, close", "keep-alive, close"):
            for _ in range(2):
                with self.subTest(token), self.lab.client() as c:
                    r = c.ask(p, headers=["Connection: " + token])
                    self.assertEqual((r.status, r.closes), (200, True))
                    self.assertTrue(c.ended())

    def test_pipeline_of_hits_and_misses(self):
        hits = [f"/pipe/hit{i}" for i in range(10)]
        misses = [f"/pipe/miss{i}" for i in range(10)]
        for p in hits:
            self.origin.on(p, answer(p, 200, FRESH))
            self.get(p)
        for i, p in enumerate(misses):
            # Later ones are faster: the order must be that of the requests all the same.
            self.origin.on(p, slow(0.05 * (10 - i) / 10, answer(p, 200, "Cache-Control: no-store")))
        order = [p for pair in zip(hits, misses) for p in pair]
        for data in (b"".join(request(p) for p in order),):
            with self.lab.client() as c:
                c.send(data)
                for p in order:
                    r = c.response()
                    self.assertEqual((r.status, r.body), (200, p.encode()))
                    self.assertEqual(r.hit, p in hits)

    def test_pipeline_cut_anywhere(self):
        p = self.path(answer("0123456789", 200, FRESH))
        self.get(p)
        data = b"".join(request(p, headers=[f"X-N: {i}"]) for i in range(4))
        for cut in range(1, len(data), 5):
            with self.lab.client() as c:
                c.send(data[:cut])
                if cut % 2:
                    time.sleep(0.001)
                c.send(data[cut:])
                for _ in range(4):
                    self.assertEqual(c.response().body, b"0123456789")

    def test_pipeline_of_a_thousand(self):
        p = self.path(answer("a" * 100, 200, FRESH))
        self.get(p)
        with self.lab.client() as c:
            t = threading.Thread(target=c.send, args=(request(p) * 1000,))
            t.start()
            for _ in range(1000):
                r = c.response()
                self.assertEqual((r.status, r.body), (200, b"a" * 100))
            t.join()

    def test_pipeline_behind_a_post(self):
        p = self.path(answer("x", 200, FRESH))
        with self.lab.client() as c:
            c.send(request("/echo", method="POST", body=b"GET / HTTP/1.1\r\n\r\n")
                   + request("/echo", headers=["Transfer-Encoding: chunked"], method="PUT")
                   + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n" + request(p))
            self.assertEqual(json.loads(c.response().body)["body_len"], 18)
            told = json.loads(c.response().body)
            self.assertEqual(told["sha256"], hashlib.sha256(b"hello world").hexdigest())
            self.assertEqual(c.response().body, b"x")

    def test_empty_line_behind_a_body(self):
        with self.lab.client() as c:
            c.send(request("/echo", method="POST", body=b"abc") + b"\r\n" + request("/echo"))
            self.assertEqual(c.response().status, 200)
            self.assertEqual(c.response().status, 200)

    def test_http10(self):
        p = self.path(answer("x", 200, FRESH))
        for headers, stays in (([], False), (["Connection: keep-alive"], True),
                               (["Connection: close"], False)):
            for _ in range(2):
                with self.subTest(headers), self.lab.client() as c:
                    r = c.ask(p, headers=headers, version="1.0")
                    self.assertEqual((r.status, r.body), (200, b"x"))
                    self.assertNotIn("transfer-encoding", r)
                    if stays:
                        self.assertEqual(r["connection"].lower(), "keep-alive")
                        self.assertEqual(c.ask(p, version="1.0").body, b"x")
                    self.assertTrue(c.ended())

    def test_http10_error_and_miss_with_keep_alive(self):
        with self.lab.client() as c:
            r = c.ask("/x", host="other.test", headers=["Connection: keep-alive"], version="1.0")
            self.assertEqual(r.status, 404)
            if not r.closes and (r["connection"] or "").lower() == "keep-alive":
                self.assertEqual(c.ask("/echo", version="1.0").status, 200)
            self.assertTrue(c.ended())

    def test_half_closing_client(self):
        """nc -N: request, FIN, and then it still wants its answer."""
        miss = self.path(slow(0.3, answer("slow", 200, "Cache-Control: no-store")))
        hit = self.path(answer("hit", 200, FRESH), "/half")
        self.get(hit)
        for p, body in ((miss, b"slow"), (hit, b"hit")):
            with self.subTest(p), self.lab.client() as c:
                c.send(request(p)).shut()
                self.assertEqual(c.response().body, body)
                self.assertTrue(c.ended())

    def test_half_closing_client_with_a_pipeline(self):
        miss = self.path(slow(0.1, answer("slow", 200, "Cache-Control: no-store")))
        hit = self.path(answer("hit", 200, FRESH), "/half")
        self.get(hit)
        with self.lab.client() as c:
            c.send(request(hit) + request(miss) + request(hit) + request(miss)).shut()
            for body in (b"hit", b"slow", b"hit", b"slow"):
                self.assertEqual(c.response().body, body)
            self.assertTrue(c.ended())

    def test_half_closing_client_with_a_large_answer(self):
        body = os.urandom(1 << 20)
        p = self.path(answer(body, 200, "Cache-Control: no-store"))
        with self.lab.client() as c:
            c.send(request(p)).shut()
            self.assertEqual(c.response().body, body)
            self.assertTrue(c.ended())

    def test_client_that_goes_away(self):
        """While its miss is under way; what was its answer must reach nobody."""
        mine = self.path(slow(0.3, answer("mine", 200, "Cache-Control: no-store")))
        for _ in range(20):
            with self.lab.client() as c:
                c.send(request(mine))
        for i in range(20):
            r = self.get(f"/echo?{i}")
            self.assertEqual(json.loads(r.body)["target"], f"/echo?{i}")


class Messages(Http):
    def test_head(self):
        p = self.path(lambda r, peer: peer.send(answer(b"" if r.method == "HEAD" else "12345", 200,
                                                       FRESH, "Content-Length: 5", length=False)))
        with self.lab.client() as c:
            r = c.ask(p, method="HEAD")
            self.assertEqual((r.status, r["content-length"], r.body), (200, "5", b""))
            self.assertEqual(c.ask(p).body, b"12345")
            r = c.ask(p, method="HEAD")
            self.assertEqual((r.status, r["content-length"], r.hit), (200, "5", True))
            self.assertEqual(c.ask(p).body, b"12345")

    def test_head_does_not_fill(self):
        p = self.path(lambda r, peer: peer.send(answer(b"" if r.method == "HEAD" else "12345", 200,
                                                       FRESH)))
        self.get(p, method="HEAD")
        self.cached(p, False)
        self.assertEqual(self.get(p).body, b"12345")

    def test_head_of_a_chunked_answer(self):
        def script(r, peer):
            full = chunked(b"12345")
            peer.send(full[:full.index(b"\r\n\r\n") + 4] if r.method == "HEAD" else full)
        p = self.path(script)
        with self.lab.client() as c:
            for _ in range(2):
                self.assertEqual(c.ask(p, method="HEAD").status, 200)
                self.assertEqual(c.ask(p).body, b"12345")

    def test_expect_continue(self):
        with self.lab.client() as c:
            c.send(request("/echo", method="POST",
                           headers=["Expect: 100-continue", "Content-Length: 5"]))
            head = b""
            while b"\r\n\r\n" not in head:
                head += c.sock.recv(1000)
            self.assertRegex(head, rb"\AHTTP/1\.1 100 [^\r\n]*\r\n\r\n\Z")
            c.send(b"hello")
            told = json.loads(c.response().body)
            self.assertEqual(told["body_len"], 5)
            self.assertNotIn("expect", [k.lower() for k, _ in told["fields"]])

    def test_expect_continue_refused(self):
        """A final answer instead of 100; then no body is read as a request."""
        with self.lab.client() as c:
            c.send(request("/x", method="POST", host="other.test",
                           headers=["Expect: 100-continue", "Content-Length: 5"]))
            r = c.response()
            self.assertEqual((r.status, r.interim), (404, []))
            if not r.closes:
                c.send(b"GET /" + request("/echo"))
                self.assertEqual(c.response().status, 200)

    def test_expect_continue_with_the_body_at_once(self):
        with self.lab.client() as c:
            c.send(request("/echo", method="POST", headers=["Expect: 100-continue"],
                           body=b"hello"))
            self.assertEqual(json.loads(c.response().body)["body_len"], 5)
            self.assertEqual(c.ask("/echo").status, 200)

    def test_expect_continue_of_http10_is_not_answered(self):
        with self.lab.client() as c:
            c.send(request("/echo", method="POST", headers=["Expect: 100-continue"],
                           body=b"hello", version="1.0"))
            r = c.response()
            self.assertEqual((r.status, r.interim), (200, []))

    def test_expect_continue_by_curl(self):
        data = os.urandom(300000)
        name = os.path.join(self.lab.run_dir, "up.bin")
        with open(name, "wb") as f:
            f.write(data)
        status, _, body = self.lab.curl("/echo", "-H", "Expect: 100-continue", "--data-binary",
                                        "@" + name)
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body)["sha256"], hashlib.sha256(data).hexdigest())

    def test_chunked_upload(self):
        data = os.urandom(500000)
        with self.lab.client() as c:
            for sizes in ((1, 2, 3), (16384,), (16383, 1), (65536, 7), (499999, 1)):
                c.send(request("/echo", method="POST", headers=["Transfer-Encoding: chunked"]))
                at = i = 0
                while at < len(data):
                    part = data[at:at + sizes[i % len(sizes)]]
                    if sizes == (1, 2, 3) and at > 3000:
                        part = data[at:]
                    c.send(b"%x\r\n%s\r\n" % (len(part), part))
                    at += len(part)
                    i += 1
                c.send(b"0\r\n\r\n")
                told = json.loads(c.response().body)
                self.assertEqual((told["body_len"], told["sha256"]),
                                 (len(data), hashlib.sha256(data).hexdigest()))
                self.assertTrue(told["chunked"])

    def test_chunked_upload_without_a_body(self):
        with self.lab.client() as c:
            c.send(request("/echo", method="POST", headers=["Transfer-Encoding: chunked"])
                   + b"0\r\n\r\n")
            self.assertEqual(json.loads(c.response().body)["body_len"], 0)
            self.assertEqual(c.ask("/echo").status, 200)

    def test_chunk_size_overflow(self):
        for size in (b"10000000000000003", b"fffffffffffffffff", b"0" * 40 + b"g"):
            with self.subTest(size), self.lab.client() as c:
                c.send(request("/overflow", method="POST", headers=["Transfer-Encoding: chunked"])
                       + size + b"\r\nabc\r\n0\r\n\r\n")
                r = c.response()
                self.assertEqual((r.status, r.closes), (400, True))
        self.assertEqual(self.origin.seen("/overflow"), [])

    def test_post_without_a_body(self):
        for headers in (["Content-Length: 0"], []):
            r = self.get("/echo", *headers, method="POST")
            told = json.loads(r.body)
            self.assertEqual((told["method"], told["body_len"]), ("POST", 0))
            self.assertIn(["Content-Length", "0"], told["fields"])

    def test_get_with_a_body(self):
        p = self.path(lambda r, peer: peer.send(answer(r.tell(), 200, FRESH)))
        for text in (b"one", b"two"):
            r = self.get(p, body=text)
            self.assertEqual(json.loads(r.body)["sha256"], hashlib.sha256(text).hexdigest())
        self.cached(p, False)

    def test_early_answer_to_an_upload(self):
        """The origin answers and closes before it read the body; the client gets the answer."""
        def script(r, peer):
            peer.send(answer("no", 403, "Connection: close"))
            time.sleep(0.2)
            peer.close()
        p = self.path(script)
        self.origin.early.add(p)
        with self.lab.client() as c:
            try:
                c.send(request(p, method="POST", body=b"x" * 3000000))
            except (BrokenPipeError, ConnectionResetError):
                pass
            r = c.response()
            self.assertEqual((r.status, r.body), (403, b"no"))

    def test_options_star(self):
        for data in (request("*", method="OPTIONS"), request("http://api.test", method="OPTIONS")):
            with self.lab.client() as c:
                r = c.send(data).response()
                self.assertIn(r.status, (200, 204))
                self.assertEqual(r.body, b"")
                self.assertEqual(c.ask("/echo").status, 200)

    def test_max_forwards(self):
        """RFC 9110 7.6.2: counted down for OPTIONS, answered here at 0, and nothing to other methods."""
        for method, said, told in (("OPTIONS", "5", "4"), ("OPTIONS", "1", "0"), ("OPTIONS", "x", "x"),
                                   ("GET", "0", "0"), ("GET", "5", "5")):
            r = self.get("/echo", f"Max-Forwards: {said}", method=method)
            self.assertIn(["Max-Forwards", told], json.loads(r.body)["fields"], method)
        r = self.get("/echo", "Max-Forwards: 0", method="OPTIONS")
        self.assertEqual((r.status, r.body), (204, b""))

    def test_options_of_a_path_is_forwarded(self):
        self.assertEqual(json.loads(self.get("/echo", method="OPTIONS").body)["method"], "OPTIONS")

    def test_methods_are_forwarded(self):
        for method in ("PUT", "PATCH", "DELETE"):
            told = json.loads(self.get("/echo", method=method, body=b"abc").body)
            self.assertEqual((told["method"], told["body_len"]), (method, 3))

    def test_absolute_form(self):
        r = self.get("http://api.test/echo?a=1", host="api.test")
        told = json.loads(r.body)
        self.assertEqual(told["target"], "/echo?a=1")
        # RFC 9112 3.2.2: the target outranks Host.
        r = self.get("http://api.test/echo", host="other.test")
        self.assertEqual(r.status, 200)
        hosts = [v for k, v in json.loads(r.body)["fields"] if k.lower() == "host"]
        self.assertEqual(hosts, ["api.test"])
        self.assertEqual(self.get("http://other.test/echo", host="api.test").status, 404)
        self.assertEqual(json.loads(self.get("HTTP://API.TEST:80/echo").body)["target"], "/echo")

    def test_host_in_any_case_and_with_a_port(self):
        p = self.path(answer("x", 200, FRESH))
        self.get(p)
        for host in ("API.TEST", "Api.Test:80"):
            self.assertEqual(self.get(p, host=host).body, b"x")

    def test_fields_at_the_origin(self):
        r = self.get("/echo", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https",
                     "User-Agent: a b  c", "X-Empty:", "X-Twice: 1", "X-Twice: 2")
        told = json.loads(r.body)
        fields = {}
        for k, v in told["fields"]:
            fields.setdefault(k.lower(), []).append(v)
        self.assertEqual(told["version"], "HTTP/1.1")
        self.assertEqual(fields["host"], ["api.test"])
        self.assertEqual(fields["via"], ["1.1 testnode"])
        self.assertEqual(fields["x-forwarded-for"], [f"192.0.2.7, {CLIENT}"])
        self.assertEqual(fields["x-forwarded-proto"], ["http"])
        self.assertEqual(fields["user-agent"], ["a b  c"])
        self.assertEqual(fields["x-empty"], [""])
        self.assertEqual(fields["x-twice"], ["1", "2"])
        self.assertEqual(len(fields["x-request-id"]), 1)
        self.assertRegex(fields["x-request-id"][0], r"^[0-9a-f]{32}$")
        self.assertEqual(r["via"], "1.1 testnode")

    def test_request_id_differs_and_is_kept(self):
        ids = set()
        for _ in range(20):
            fields = dict(json.loads(self.get("/echo").body)["fields"])
            ids.add(fields["X-Request-Id"])
        self.assertEqual(len(ids), 20)
        fields = dict(json.loads(self.get("/echo", "X-Request-Id: mine").body)["fields"])
        self.assertEqual(fields["X-Request-Id"], "mine")

    def test_via_of_http10_and_of_another_proxy(self):
        with self.lab.client() as c:
            told = json.loads(c.ask("/echo", version="1.0", headers=["Via: 1.1 edge"]).body)
        vias = [v for k, v in told["fields"] if k.lower() == "via"]
        self.assertEqual(", ".join(vias), "1.1 edge, 1.0 testnode")

    def test_hop_by_hop_to_the_origin(self):
        r = self.get("/echo", "Connection: x-foo, X-Bar, keep-alive", "X-Foo: 1", "x-bar: 2",
                     "Keep-Alive: timeout=5", "TE: trailers", "Trailer: X-T", "Upgrade: websocket",
                     "Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive", "X-Stay: 3")
        names = [k.lower() for k, _ in json.loads(r.body)["fields"]]
        for name in ("x-foo", "x-bar", "keep-alive", "te", "trailer", "upgrade",
                     "proxy-authorization", "proxy-connection"):
            self.assertNotIn(name, names)
        self.assertIn("x-stay", names)

    def test_connection_cannot_remove_what_the_proxy_says(self):
        """RFC 9110 7.6.1 names options; a client may not switch off our own fields by it."""
        r = self.get("/echo", "Connection: host, x-forwarded-for, via, x-request-id, content-length",
                     method="POST", body=b"abc")
        told = json.loads(r.body)
        names = [k.lower() for k, _ in told["fields"]]
        for name in ("host", "x-forwarded-for", "via", "x-request-id", "content-length"):
            self.assertEqual(names.count(name), 1, name)
        self.assertEqual(told["body_len"], 3)

    def test_hop_by_hop_to_the_client(self):
        p = self.path(answer("x", 200, FRESH, "Connection: x-foo, keep-alive", "X-Foo: 1",
                             "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Upgrade: h2c",
                             "Trailer: X-T", "X-Stay: 2"))
        for hit in (False, True):
            r = self.get(p)
            self.assertEqual((r.status, r.hit), (200, hit))
            for name in ("x-foo", "keep-alive", "proxy-authenticate", "upgrade", "trailer"):
                self.assertNotIn(name, r)
            self.assertEqual(r["x-stay"], "2")
            self.assertIn(r["connection"], (None, "keep-alive"))

    def test_duplicate_response_fields_are_kept(self):
        p = self.path(answer("x", 200, FRESH, "Link: <a>", "Link: <b>", "X-Empty:"))
        for _ in range(2):
            r = self.get(p)
            self.assertEqual(r.all("link"), ["<a>", "<b>"])
            self.assertEqual(r["x-empty"], "")


class Answers(Http):
    def test_chunked(self):
        p = self.path(chunked(b"hello", b" ", b"world" * 5000, headers=["Cache-Control: no-store"],
                              trailer=b"X-T: 1\r\n"))
        want = b"hello " + b"world" * 5000
        with self.lab.client() as c:
            for _ in range(3):
                r = c.ask(p)
                self.assertEqual((r.status, r.body), (200, want))
                self.assertNotIn("x-t", r)

    def test_chunked_is_stored_with_its_length(self):
        p = self.path(chunked(b"hello", b" world", headers=[FRESH]))
        self.assertEqual(self.get(p).body, b"hello world")
        r = self.get(p)
        self.assertEqual((r.body, r.hit, r["content-length"]), (b"hello world", True, "11"))

    def test_chunked_to_http10(self):
        p = self.path(chunked(b"hello", b" world", headers=["Cache-Control: no-store"]))
        for headers in ([], ["Connection: keep-alive"]):
            with self.lab.client() as c:
                r = c.ask(p, version="1.0", headers=headers)
                self.assertEqual((r.status, r.body, r.to_end), (200, b"hello world", True))
                self.assertNotIn("transfer-encoding", r)

    def test_chunked_in_many_pieces(self):
        def script(_, peer):
            for b in chunked(b"hello", b" world", headers=["Cache-Control: no-store"]):
                peer.send(bytes([b]))
        self.assertEqual(self.get(self.path(script)).body, b"hello world")

    def test_close_delimited(self):
        def script(_, peer):
            peer.send(answer(b"", 200, FRESH, length=False) + b"part one, ")
            time.sleep(0.05)
            peer.send(b"part two")
            peer.close()
        p = self.path(script)
        with self.lab.client() as c:
            r = c.ask(p)
            self.assertEqual((r.status, r.body), (200, b"part one, part two"))
        with self.lab.client() as c:
            r = c.ask(p, version="1.0")
            self.assertEqual((r.status, r.body), (200, b"part one, part two"))

    def test_http10_origin(self):
        def script(_, peer):
            peer.send(b"HTTP/1.0 200 OK\r\nCache-Control: max-age=600\r\n\r\nold")
            peer.close()
        p = self.path(script)
        r = self.get(p)
        self.assertEqual((r.status, r.body, r.version), (200, b"old", "HTTP/1.1"))
        self.assertEqual(r["via"], "1.0 testnode")

    def test_204_and_304_have_no_body(self):
        p = self.path(answer(b"", 204, FRESH, length=False))
        with self.lab.client() as c:
            for _ in range(3):
                r = c.ask(p)
                self.assertEqual((r.status, r.body), (204, b""))
                self.assertNotIn("content-length", r)
                self.assertNotIn("transfer-encoding", r)
            self.assertEqual(c.ask("/echo").status, 200)

    def test_304_of_the_origin(self):
        """To a condition that was the client's, passed on where nothing is stored."""
        p = self.path(answer(b"", 304, 'ETag: "e"', length=False), "/nocache")
        with self.lab.client() as c:
            r = c.ask(p, headers=['If-None-Match: "e"'])
            self.assertEqual((r.status, r.body), (304, b""))
            self.assertEqual(c.ask("/echo").status, 200)

    def test_empty_body(self):
        p = self.path(answer(b"", 200, FRESH))
        with self.lab.client() as c:
            for hit in (False, True, True):
                r = c.ask(p)
                self.assertEqual((r.status, r.body, r["content-length"], r.hit),
                                 (200, b"", "0", hit))

    def test_interim_answers(self):
        p = self.path(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                      + answer("final", 200, FRESH))
        with self.lab.client() as c:
            for _ in range(2):
                r = c.ask(p)
                self.assertEqual((r.status, r.body), (200, b"final"))
            r = c.ask("/echo")
            self.assertEqual(r.status, 200)

    def test_100_of_the_origin_without_a_question(self):
        p = self.path(b"HTTP/1.1 100 Continue\r\n\r\n" + answer("final", 200, FRESH))
        self.assertEqual(self.get(p, method="POST", body=b"abc").body, b"final")

    def test_every_status_passes(self):
        for status in (200, 201, 202, 203, 206, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404,
                       405, 406, 409, 410, 412, 415, 418, 422, 429, 451, 500, 501, 502, 503, 504,
                       511, 599):
            p = self.origin.on(f"/status/{status}", answer(f"body {status}", status,
                                                           "Location: /y"))
            r = self.get(p)
            self.assertEqual((r.status, r.body), (status, b"body %d" % status))
            self.assertEqual(r["location"], "/y")

    def cut(self, data, reset=False):
        def script(_, peer):
            peer.send(data)
            time.sleep(0.05)
            if reset:
                peer.reset()
            peer.close()
        return script

    def check_cut(self, script, **kw):
        """The client must be able to tell, and nobody may get it from the cache."""
        p = self.path(script)
        version = kw.pop("version", "1.1")
        for _ in range(2):
            with self.lab.client() as c:
                try:
                    r = c.ask(p, version=version)
                    self.assertIn(r.status, (502, 504), r.raw + r.body[:50])
                except Cut:
                    pass
        self.cached(p, False)
        self.assertGreaterEqual(self.origin.count(p), 2)

    def test_cut_body(self):
        self.check_cut(self.cut(answer("0123456789", 200, FRESH)[:-3]))

    def test_cut_large_body(self):
        self.check_cut(self.cut(answer("x" * 200000, 200, FRESH)[:-3]))

    def test_cut_body_by_reset(self):
        self.check_cut(self.cut(answer("0123456789", 200, FRESH)[:-3], reset=True))

    def test_cut_chunked_body(self):
        self.check_cut(self.cut(chunked(b"hello", b"world", headers=[FRESH])[:-5]))

    def test_cut_last_line_of_a_chunked_body(self):
        self.check_cut(self.cut(chunked(b"hello", b"world", headers=[FRESH])[:-2]))

    def test_cut_chunked_body_to_http10(self):
        """The end of the connection is the end of the body: only a reset can tell the cut."""
        self.check_cut(self.cut(chunked(b"hello", b"world", headers=[FRESH])[:-5]), version="1.0")

    def test_cut_close_delimited_body_by_reset(self):
        self.check_cut(self.cut(answer("", 200, FRESH, length=False) + b"hello", reset=True))

    def test_cut_head(self):
        self.check_cut(self.cut(answer("0123456789", 200, FRESH)[:30]))

    def test_no_answer(self):
        self.check_cut(self.cut(b""))

    def test_bad_chunks_of_the_origin(self):
        bad = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=600\r\n\r\n"
        for i, body in enumerate((b"zz\r\n", b"5\r\nhelloXX", b"5\nhello\r\n0\r\n\r\n",
                                  b"-5\r\nhello\r\n0\r\n\r\n")):
            with self.subTest(body):
                p = self.origin.on(f"/badchunk/{i}", self.cut(bad + body))
                try:
                    self.assertIn(self.get(p).status, (502, 504))
                except Cut:
                    pass
                self.cached(p, False)

    def test_bad_heads_of_the_origin(self):
        ok = b"Content-Length: 2\r\nCache-Control: max-age=600\r\n"
        bad = [
            b"nonsense\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 99 Low\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 600 High\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 20 OK\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 200 OK\r\n" + ok + b"Content-Length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\n" + ok + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-A : 1\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 200 OK\r\nX-A: \x00\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\n" + ok + b"\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 200 + ok + b"\r\nok",
            b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 20000 + b"\r\n" + ok + b"\r\nok",
            # No end of a head will come of these, and the origin waits for us.
            b"hello world",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            lambda r, peer: [(peer.send(b), time.sleep(0.02)) for b in (b"HT", b"TP/", b"2")],
        ]
        for i, data in enumerate(bad):
            with self.subTest(i=i, data=data[:80] if isinstance(data, bytes) else "pieces"):
                p = self.origin.on(f"/badhead/{i}", data)
                self.assertEqual(self.get(p).status, 502)
                self.cached(p, False)

    def test_bytes_behind_the_answer(self):
        """They are nobody's: not of the next request on that connection to the origin."""
        p = self.path(answer("x", 200, "Cache-Control: no-store")
                      + answer("POISON", 200, "Cache-Control: max-age=600"))
        for i in range(20):
            self.assertEqual(self.get(p).body, b"x")
            told = self.get(f"/echo?{i}")
            self.assertEqual(json.loads(told.body)["target"], f"/echo?{i}")

    def test_late_bytes_behind_the_answer(self):
        def script(_, peer):
            peer.send(answer("x", 200, "Cache-Control: no-store"))
            time.sleep(0.1)
            peer.send(answer("POISON", 200, "Cache-Control: max-age=600"))
        p = self.path(script)
        for i in range(10):
            self.assertEqual(self.get(p).body, b"x")
            time.sleep(0.15)
            told = self.get(f"/echo?{i}")
            self.assertEqual(json.loads(told.body)["target"], f"/echo?{i}")

    def test_large_response_head(self):
        fields = [f"X-{i}: {'v' * 100}" for i in range(80)]
        p = self.path(answer("x", 200, FRESH, *fields))
        for hit in (False, True):
            r = self.get(p)
            self.assertEqual((r.status, r.body, r.hit), (200, b"x", hit))
            self.assertEqual([r[f"x-{i}"] for i in range(80)], ["v" * 100] * 80)

    def test_origin_is_slow(self):
        p = self.path(slow(1.2, answer("late", 200, FRESH)), "/lame")
        began = time.monotonic()
        r = self.get(p)
        self.assertEqual(r.status, 504)
        self.assertLess(time.monotonic() - began, 1.1)
        self.cached(p, False)

    def test_origin_stops_within_its_body(self):
        def script(_, peer):
            peer.send(answer("0123456789", 200, FRESH)[:-3])
            time.sleep(1.5)
            peer.close()
        p = self.path(script, "/lame")
        began = time.monotonic()
        with self.assertRaises(Cut):
            self.get(p)
        self.assertLess(time.monotonic() - began, 1.2)
        self.cached(p, False)

    def test_origin_is_slow_yet_moves(self):
        """request_timeout_ms is between two pieces: a steady drip is no timeout."""
        def script(_, peer):
            data = answer("0123456789", 200, "Cache-Control: no-store")
            peer.send(data[:-10])
            for b in data[-10:]:
                time.sleep(0.1)
                peer.send(bytes([b]))
        self.assertEqual(self.get(self.path(script, "/lame")).body, b"0123456789")

    def test_dead_origin(self):
        r = self.get("/dead/x")
        self.assertEqual(r.status, 502)
        self.assertEqual(self.get("/dead/x", method="POST", body=b"abc").status, 502)

    def test_stale_pooled_connection(self):
        """The origin closes after each answer without saying so: GETs are asked again."""
        def script(_, peer):
            peer.send(answer("x", 200, "Cache-Control: no-store"))
            peer.close()
        p = self.path(script)
        for _ in range(50):
            r = self.get(p)
            self.assertEqual((r.status, r.body), (200, b"x"))

    def test_post_is_not_sent_twice(self):
        def script(_, peer):
            peer.close()
        p = self.path(script)
        self.get("/echo")
        for i in range(5):
            try:
                self.assertIn(self.get(p, method="POST", body=b"abc").status, (502, 504))
            except Cut:
                pass
            self.assertEqual(self.origin.count(p), i + 1)

    def test_large_object(self):
        """More than object_bytes: not for the hot table, but for the node's store."""
        for i, size in enumerate((65536 + 1, 200000, 3000000)):
            body = os.urandom(size)
            p = self.origin.on(f"/large/{i}", answer(body, 200, FRESH))
            c = self.origin.on(f"/large/c{i}", chunked(body[:100], body[100:], headers=[FRESH]))
            for path in (p, c):
                for lower in (False, True, True):
                    r = self.get(path)
                    self.assertEqual(r.body, body)
                    self.assertEqual("; detail=L2" in r["cache-status"], lower)
                self.cached(path, True)

    def test_sizes_at_the_edges(self):
        for size in (1, 511, 512, 513, 1447, 1448, 1449, 4096, 16383, 16384, 16385, 32768, 60000):
            body = os.urandom(size)
            for kind, data in (("l", answer(body, 200, FRESH)),
                               ("c", chunked(body, headers=[FRESH]))):
                p = self.origin.on(f"/size/{kind}{size}", data)
                with self.lab.client() as c:
                    for hit in (False, True, True):
                        r = c.ask(p)
                        self.assertEqual((r.body == body, r.hit), (True, hit), p)


class Caching(Http):
    def body_of(self, *headers):
        """A script that counts: each answer differs."""
        n = iter(range(1, 1000000))
        return lambda _, peer: peer.send(answer(f"v{next(n)}", 200, *headers))

    def bodies(self, p, *headers, n=2):
        return [self.get(p, *headers).body for _ in range(n)]

    def test_what_is_stored(self):
        now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 600))
        table = [
            (True, "Cache-Control: max-age=60"),
            (True, "Cache-Control: public, max-age=60"),
            (True, "cache-control:MAX-AGE=60"),
            (True, "Cache-Control: s-maxage=60"),
            (True, "Cache-Control: max-age=0, s-maxage=60"),
            (True, "Cache-Control: max-age=60, must-revalidate"),
            (True, f"Expires: {soon}"),
            (True, f"Expires: {soon}", f"Date: {now}"),
            (True, "Cache-Control: max-age=60", "Expires: 0"),
            (True, "Cache-Control: max-age=60", "Age: 30"),
            (False, "Cache-Control: max-age=60, s-maxage=0"),
            (False, "Cache-Control: no-store"),
            (False, "Cache-Control: no-store, max-age=60"),
            (False, "Cache-Control: max-age=60", "Cache-Control: no-store"),
            (False, "Cache-Control: private, max-age=60"),
            (False, "Cache-Control: no-cache, max-age=60"),
            (False, "Cache-Control: max-age=0"),
            (False, "Cache-Control: max-age=60", "Age: 60"),
            (False, "Cache-Control: max-age=60", "Age: 61"),
            (False, "Expires: 0"),
            (False, f"Expires: {DATE}"),
            (True, "Cache-Control: max-age=60", "Vary: Accept"),
            (False, "Cache-Control: max-age=60", "Vary: *"),
            (False, "Cache-Control: max-age=60", "Set-Cookie: a=b"),
            (False, f"Date: {DATE}", "Cache-Control: max-age=60"),
            (False,),
        ]
        for i, (stored, *headers) in enumerate(table):
            with self.subTest(headers):
                p = self.origin.on(f"/stored/{i}", self.body_of(*headers))
                first, second = self.get(p), self.get(p)
                self.assertEqual(first.body, b"v1")
                self.assertEqual(second.body, b"v1" if stored else b"v2")
                self.assertEqual(second.hit, stored)

    def test_statuses_stored(self):
        for status, headers, stored in ((404, (FRESH,), True), (301, (FRESH,), True),
                                        (410, (FRESH,), True), (302, (FRESH,), True),
                                        (302, (), False), (500, (), False), (206, (FRESH,), False)):
            with self.subTest((status, headers)):
                p = self.origin.on(f"/kept/{status}{len(headers)}",
                                   answer("x", status, *headers))
                self.get(p)
                r = self.get(p)
                self.assertEqual((r.status, r.hit), (status, stored))

    def test_request_directives(self):
        p = self.path(self.body_of(FRESH))
        self.assertEqual(self.get(p).body, b"v1")
        self.assertEqual(self.get(p).body, b"v1")
        r = self.get(p, "Cache-Control: no-cache")
        self.assertEqual((r.body, r.hit), (b"v2", False))
        self.assertEqual(self.get(p).body, b"v2")  # and it took the old one's place
        self.assertEqual(self.get(p, "Pragma: no-cache").body, b"v3")
        r = self.get(p, "Cache-Control: only-if-cached")
        self.assertEqual((r.status, r.body), (200, b"v3"))
        self.assertEqual(self.get(p, "Cache-Control: max-age=1000").body, b"v3")
        self.assertEqual(self.get(p, "Cache-Control: min-fresh=1000").body, b"v4")

    def test_request_max_age_0(self):
        p = self.path(self.body_of(FRESH))
        self.get(p)
        time.sleep(1.1)
        self.assertEqual(self.get(p, "Cache-Control: max-age=0").body, b"v2")

    def test_request_no_store(self):
        p = self.path(self.body_of(FRESH))
        self.assertEqual(self.get(p, "Cache-Control: no-store").body, b"v1")
        self.cached(p, False)

    def test_only_if_cached(self):
        r = self.get("/never/seen", "Cache-Control: only-if-cached")
        self.assertEqual(r.status, 504)
        self.assertEqual(self.origin.count("/never/seen"), 0)

    def test_authorization_is_not_shared(self):
        p = self.path(self.body_of(FRESH))
        self.assertEqual(self.get(p, "Authorization: Bearer a").body, b"v1")
        self.assertEqual(self.get(p, "Authorization: Bearer b").body, b"v2")
        self.cached(p, False)
        p = self.path(self.body_of("Cache-Control: public, max-age=60"), "/auth")
        self.assertEqual(self.bodies(p, "Authorization: Bearer a"), [b"v1", b"v1"])

    def test_authorization_is_not_coalesced(self):
        p = self.path(slow(0.3, answer("x", 200, FRESH)))
        ts = [threading.Thread(target=self.get, args=(p, f"Authorization: Bearer {i}"))
              for i in range(4)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        self.assertEqual(self.origin.count(p), 4)

    def test_ttl_route(self):
        for i, (stored, *headers) in enumerate((
                (True,), (True, "Cache-Control: max-age=0"), (False, "Cache-Control: no-store"),
                (False, "Cache-Control: private"), (False, "Set-Cookie: a=b"))):
            with self.subTest(headers):
                p = self.origin.on(f"/ttl/{i}", self.body_of(*headers))
                self.get(p)
                r = self.get(p)
                self.assertEqual((r.body, r.hit), (b"v1" if stored else b"v2", stored))
        m = re.search(r"ttl=(\d+)", self.get("/ttl/0")["cache-status"])
        self.assertTrue(50 <= int(m[1]) <= 60, m[0])

    def test_cache_off(self):
        p = self.path(self.body_of(FRESH), "/nocache")
        self.assertEqual(self.bodies(p), [b"v1", b"v2"])

    def test_expiry(self):
        p = self.path(self.body_of("Cache-Control: max-age=1"))
        self.assertEqual(self.get(p).body, b"v1")
        began = time.monotonic()
        with self.lab.client() as c:
            wait_until(lambda: c.ask(p).body == b"v2", 5, "expired")
        took = time.monotonic() - began
        self.assertTrue(0.5 < took < 2.5, took)

    def test_age_grows(self):
        p = self.path(answer("x", 200, FRESH, "Age: 100"))
        self.assertEqual(self.get(p)["age"], "100")
        self.assertIn(self.get(p)["age"], ("100", "101"))
        with self.lab.client() as c:
            wait_until(lambda: int(c.ask(p)["age"]) >= 102, 4, "age 102")

    def test_date_is_the_origins(self):
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 20))
        p = self.path(answer("x", 200, FRESH, f"Date: {date}"))
        for hit in (False, True):
            r = self.get(p)
            self.assertEqual((r["date"], r.hit), (date, hit))
        self.assertIn(int(self.get(p)["age"]), (20, 21, 22))

    def test_not_modified(self):
        p = self.path(answer("x", 200, FRESH, 'ETag: "abc"', f"Last-Modified: {DATE}",
                             "X-Stay: 1"))
        self.get(p)
        table = [
            (304, 'If-None-Match: "abc"'),
            (304, 'If-None-Match: W/"abc"'),
            (304, "If-None-Match: *"),
            (304, 'If-None-Match: "x", "abc", "y"'),
            (304, 'If-None-Match:"x",W/"abc"'),
            (304, 'If-None-Match: "a,b" , "abc"'),
            (200, 'If-None-Match: "ab"'),
            (200, 'If-None-Match: "abcd"'),
            (200, "If-None-Match: abc"),
            (200, 'If-None-Match: "x, abc"'),
            (200, 'If-None-Match: ""'),
            (200, 'If-None-Match: "ABC"'),
            (304, f"If-Modified-Since: {DATE}"),
            (304, "If-Modified-Since: Sun, 06 Nov 2005 08:49:37 GMT"),
            (304, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"),
            (304, "If-Modified-Since: Sun Nov  6 08:49:37 1994"),
            (200, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"),
            (200, "If-Modified-Since: nonsense"),
            (200, 'If-None-Match: "x"', f"If-Modified-Since: {DATE}"),
            (304, 'If-None-Match: "abc"', "If-Modified-Since: Sun, 06 Nov 1990 08:49:37 GMT"),
        ]
        with self.lab.client() as c:
            for status, *headers in table:
                with self.subTest(headers):
                    for method in ("GET", "HEAD"):
                        r = c.ask(p, headers=headers, method=method)
                        self.assertEqual((r.status, r.hit), (status, True))
                        self.assertEqual(r["etag"], '"abc"')
                        if status == 304:
                            self.assertNotIn("x-stay", r)
                            for name in ("date", "cache-control"):
                                self.assertIn(name, r)
        self.assertEqual(self.origin.count(p), 1)

    def test_not_modified_on_a_miss(self):
        """The condition is kept from the origin, the object stored, the client told 304."""
        p = self.path(answer("x" * 5000, 200, FRESH, 'ETag: "abc"'))
        with self.lab.client() as c:
            r = c.ask(p, headers=['If-None-Match: "abc"'])
            self.assertEqual((r.status, r.body), (304, b""))
            r = c.ask(p)
            self.assertEqual((r.status, r.body, r.hit), (200, b"x" * 5000, True))
        self.assertIsNone(self.origin.seen(p)[0]["if-none-match"])

    def test_weak_etag(self):
        p = self.path(answer("x", 200, FRESH, 'ETag: W/"abc"'))
        self.get(p)
        for tag in ('"abc"', 'W/"abc"'):
            self.assertEqual(self.get(p, "If-None-Match: " + tag).status, 304)

    def test_range_goes_to_the_origin(self):
        p = self.path(lambda r, peer: peer.send(
            answer("23", 206, FRESH, "Content-Range: bytes 2-3/10") if r["range"]
            else answer("0123456789", 200, FRESH)))
        self.get(p)
        r = self.get(p, "Range: bytes=2-3")
        self.assertIn((r.status, r.body), ((206, b"23"), (200, b"0123456789")))
        r = self.get(p)
        self.assertEqual((r.body, r.hit), (b"0123456789", True))

    def test_range_first(self):
        p = self.path(lambda r, peer: peer.send(
            answer("23", 206, FRESH, "Content-Range: bytes 2-3/10") if r["range"]
            else answer("0123456789", 200, FRESH)))
        self.assertEqual(self.get(p, "Range: bytes=2-3").status, 206)
        r = self.get(p)
        self.assertEqual((r.status, r.body), (200, b"0123456789"))

    def test_query_is_part_of_the_key(self):
        script = lambda r, peer: peer.send(answer(r.target, 200, FRESH))
        p = self.path(script)
        for target in (p, p + "?", p + "?a=1", p + "?a=2", p + "?b=1&a=1", p + "?a=1&b=1",
                       p + "?a=1%20", p + "?A=1"):
            for _ in range(2):
                self.assertEqual(self.get(target).body, target.encode())
        self.assertTrue(self.get(p + "?a=1").hit)

    def test_path_in_another_case_is_another(self):
        for p in ("/case/a", "/case/A", "/case/a/", "/case//a", "/case/%61"):
            self.origin.on(p, answer(p, 200, FRESH))
        for _ in range(2):
            for p in ("/case/a", "/case/A", "/case/a/", "/case//a"):
                self.assertEqual(self.get(p).body, p.encode())

    def test_post_is_not_cached(self):
        p = self.path(self.body_of(FRESH))
        for n in (1, 2):
            self.assertEqual(self.get(p, method="POST", body=b"x").body, b"v%d" % n)
        self.cached(p, False)

    def test_purge(self):
        base = self.path()
        script = self.body_of(FRESH)
        for name in ("a", "b", "c?q=1"):
            self.origin.on(f"{base}/{name.split('?')[0]}", script)
            self.get(f"{base}/{name}")
            self.cached(f"{base}/{name}")
        self.lab.ctl("cache", "purge", f"api.test{base}/a")
        self.cached(f"{base}/a", False)
        self.cached(f"{base}/b")
        self.lab.ctl("cache", "purge", f"api.test{base}/*")
        self.cached(f"{base}/b", False)
        self.cached(f"{base}/c?q=1", False)
        self.get(f"{base}/a")
        self.cached(f"{base}/a")

    def test_fill_that_began_before_a_purge_is_not_stored(self):
        for i, key in enumerate(("api.test/late/0", "api.test/late/*")):
            p = self.origin.on(f"/late/{i}", slow(0.5, answer("old", 200, FRESH)))
            t = threading.Thread(target=self.get, args=(p,))
            t.start()
            wait_until(lambda: self.origin.count(p) == 1, 5, "asked")
            self.lab.ctl("cache", "purge", key)
            t.join()
            self.cached(p, False)

    def test_joining_a_fetch_that_a_purge_overtook(self):
        """Who asks after the purge must get what the origin says after it."""
        n = iter(range(1, 100))

        def script(_, peer):
            body = f"v{next(n)}"
            time.sleep(0.5)
            peer.send(answer(body, 200, FRESH))
        p = self.path(script)
        t = threading.Thread(target=self.get, args=(p,))
        t.start()
        wait_until(lambda: self.origin.count(p) == 1, 5, "asked")
        self.lab.ctl("cache", "purge", "api.test" + p)
        self.assertEqual(self.get(p).body, b"v2")
        t.join()
        self.assertEqual(self.cached(p).body, b"v2")

    def gather(self, p, n, seconds=10):
        """n connections ask for p at the same time; all their answers."""
        clients = [Client(self.lab.connect(timeout=seconds)) for _ in range(n)]
        try:
            for c in clients:
                c.send(request(p))
            return [c.response() for c in clients]
        finally:
            for c in clients:
                c.close()

    def test_coalescing(self):
        p = self.path(slow(0.7, answer("one for all", 200, FRESH)))
        answers = self.gather(p, 300)
        self.assertEqual({(r.status, r.body) for r in answers}, {(200, b"one for all")})
        self.assertEqual(self.origin.count(p), 1)
        self.assertTrue(self.get(p).hit)

    def test_coalescing_of_a_large_answer(self):
        body = os.urandom(400000)
        p = self.path(slow(0.5, answer(body, 200, FRESH)))
        answers = self.gather(p, 40)
        self.assertTrue(all(r.body == body for r in answers))

    def test_coalescing_of_what_may_not_be_shared(self):
        """Those who waited for what turns out private must each get their own."""
        n = iter(range(1, 1000))
        lock = threading.Lock()

        def script(_, peer):
            with lock:
                body = f"for {next(n)}"
            time.sleep(0.3)
            peer.send(answer(body, 200, "Cache-Control: private"))
        p = self.path(script)
        answers = self.gather(p, 8)
        self.assertEqual(len({r.body for r in answers}), 8)

    def test_coalescing_and_a_failure(self):
        """The origin breaks off: nobody hangs, nobody gets a half answer for a whole one."""
        def script(_, peer):
            time.sleep(0.4)
            peer.send(answer("0123456789", 200, FRESH)[:-3])
            peer.close()
        p = self.path(script)
        clients = [Client(self.lab.connect(timeout=8)) for _ in range(20)]
        try:
            for c in clients:
                c.send(request(p))
            for c in clients:
                try:
                    self.assertGreaterEqual(c.response().status, 502)
                except Cut as e:
                    self.assertNotIn("in time", str(e))
        finally:
            for c in clients:
                c.close()
        self.cached(p, False)

    def test_coalescing_when_the_first_goes_away(self):
        p = self.path(slow(0.5, answer("x", 200, FRESH)))
        first = self.lab.client()
        first.send(request(p))
        wait_until(lambda: self.origin.count(p) == 1, 5, "asked")
        with self.lab.client() as second:
            second.send(request(p))
            time.sleep(0.1)
            first.close()
            self.assertEqual(second.response().body, b"x")

    def test_table_full_of_objects(self):
        """More than the hot table holds: old ones go, none is ever wrong."""
        body = b"0123456789abcdef" * 3000
        script = lambda r, peer: peer.send(answer(r.target.encode() + body, 200, FRESH))
        p = self.path(script)
        with self.lab.client() as c:
            for i in list(range(900)) + list(range(0, 900, 9)):
                r = c.ask(f"{p}?{i}")
                self.assertEqual(r.body, f"{p}?{i}".encode() + body)


if __name__ == "__main__":
    unittest.main(verbosity=2)
