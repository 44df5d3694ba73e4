"""Requests that must be refused: the status, the end of the connection, and that nothing of them
reached the origin. Each is sent whole and once more in small pieces, since a parser that resumes can
go wrong where one that sees everything does not."""

import select
import time
import unittest

from http1 import Bad, Cut
from lab import CONFIG, Lab
from origin import Origin, answer

EXTRA = """
    - host: strict.test
      path: /getonly
      methods: [GET]
      upstream: odd
limits:
    body_bytes: 1000
    head_bytes: 4096
    target_bytes: 1024
    fields: 32
timeouts:
    head_ms: 600
    body_ms: 600
    idle_ms: 1500
"""
TEXT = CONFIG.replace("upstream: web", "upstream: odd")

H = b"Host: api.test\r\n"


def get(lines=b"", target=b"/x", host=H):
    return b"GET " + target + b" HTTP/1.1\r\n" + host + lines + b"\r\n"


def post(lines, body=b""):
    return b"POST /x HTTP/1.1\r\n" + H + lines + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


# A second request that a smuggler hides; nothing may ever answer it.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: api.test\r\n\r\n"

# name, bytes, status
HEADS = [
    # --- field lines (RFC 9112 5) ---
    ("obs-fold with SP", get(b"X-A: 1\r\n 2\r\n"), 400),
    ("obs-fold with HTAB", get(b"X-A: 1\r\n\t2\r\n"), 400),
    ("obs-fold that hides a length", post(b"X-A: 1\r\n Content-Length: 3\r\n", b"abc"), 400),
    ("SP before the first field", b"GET /x HTTP/1.1\r\n Host: api.test\r\n\r\n", 400),
    ("bare CR in a value", get(b"X-A: 1\r2\r\n"), 400),
    ("bare CR before CRLF", get(b"X-A: 1\r\r\n"), 400),
    ("bare CR in a name", get(b"X\rA: 1\r\n"), 400),
    ("bare CR instead of CRLF", get(b"X-A: 1\rX-B: 2\r\n"), 400),
    ("bare LF ends a field", get(b"X-A: 1\nX-B: 2\r\n"), 400),
    ("bare LF ends the request line", b"GET /x HTTP/1.1\nHost: api.test\r\n\r\n", 400),
    ("bare LF everywhere", b"GET /x HTTP/1.1\nHost: api.test\n\n", 400),
    ("bare LF for the empty line", b"GET /x HTTP/1.1\r\nHost: api.test\r\n\n", 400),
    ("LF before the request", b"\nGET /x HTTP/1.1\r\nHost: api.test\r\n\r\n", 400),
    ("CR before the request", b"\rGET /x HTTP/1.1\r\nHost: api.test\r\n\r\n", 400),
    ("two empty lines before the request", b"\r\n\r\n" + get(), 400),
    ("SP before the colon", get(b"X-A : 1\r\n"), 400),
    ("HTAB before the colon", get(b"X-A\t: 1\r\n"), 400),
    ("SP before the colon of Host", get(host=b"Host : api.test\r\n"), 400),
    ("SP before the colon of Content-Length", post(b"Content-Length : 3\r\n", b"abc"), 400),
    ("no colon", get(b"X-A 1\r\n"), 400),
    ("no colon at all in the only line", get(host=b"nonsense\r\n"), 400),
    ("empty name", get(b": 1\r\n"), 400),
    ("name with SP", get(b"X A: 1\r\n"), 400),
    ("name in quotes", get(b'"X-A": 1\r\n'), 400),
    ("name with brackets", get(b"X[A]: 1\r\n"), 400),
    ("name with a byte above 127", get(b"X-\xe4: 1\r\n"), 400),
    ("NUL in a value", get(b"X-A: 1\x002\r\n"), 400),
    ("NUL in a name", get(b"X\x00A: 1\r\n"), 400),
    ("NUL in the target", get(target=b"/x\x00y"), 400),
    ("NUL at the begin", b"\x00" + get(), 400),
    ("control byte in a value", get(b"X-A: 1\x012\r\n"), 400),
    ("escape in a value", get(b"X-A: \x1b[31m\r\n"), 400),
    ("vertical tab in a value", get(b"X-A: 1\x0b\r\n"), 400),
    ("DEL in a value", get(b"X-A: 1\x7f\r\n"), 400),
    ("DEL in a name", get(b"X\x7f: 1\r\n"), 400),
    # --- body length (RFC 9112 6) ---
    ("two different lengths", post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"), 400),
    ("two equal lengths", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), 400),
    ("lengths in a list", post(b"Content-Length: 3, 3\r\n", b"abc"), 400),
    ("different lengths in a list", post(b"Content-Length: 3, 4\r\n", b"abcd"), 400),
    ("length with a sign", post(b"Content-Length: +3\r\n", b"abc"), 400),
    ("negative length", post(b"Content-Length: -3\r\n", b"abc"), 400),
    ("hexadecimal length", post(b"Content-Length: 0x3\r\n", b"abc"), 400),
    ("length with SP within", post(b"Content-Length: 3 3\r\n", b"abc"), 400),
    ("length with a point", post(b"Content-Length: 3.0\r\n", b"abc"), 400),
    ("length with an underscore", post(b"Content-Length: 1_0\r\n", b"abcdefghij"), 400),
    ("empty length", post(b"Content-Length:\r\n", b"abc"), 400),
    ("length of 2^63", post(b"Content-Length: 9223372036854775808\r\n", b"abc"), 400),
    ("length that wraps to 3", post(b"Content-Length: 18446744073709551619\r\n", b"abc"), 400),
    ("length in quotes", post(b'Content-Length: "3"\r\n', b"abc"), 400),
    ("length and chunked", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                                b"0\r\n\r\n"), 400),
    ("chunked and length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                                b"0\r\n\r\n"), 400),
    ("CL.TE", post(b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (5 + len(HIDDEN)),
                   b"0\r\n\r\n" + HIDDEN), 400),
    ("TE.CL", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                   b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)), 400),
    ("CL.TE, the coding spelled oddly", post(
        b"Content-Length: 4\r\nTransfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + HIDDEN), 400),
    ("CL.TE, SP before the colon", post(
        b"Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", b"0\r\n\r\n" + HIDDEN), 400),
    ("CL.TE, coding in a fold", post(
        b"Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + HIDDEN), 400),
    ("CL.TE, behind a bare LF", post(
        b"Content-Length: 5\r\nX: 1\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN), 400),
    ("CL.TE, behind a bare CR", post(
        b"Content-Length: 5\r\nX: 1\rTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HIDDEN), 400),
    ("TE.TE, two fields", post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b"0\r\n\r\n" + HIDDEN), 400),
    ("TE.TE, identity", post(
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked, identity\r\n",
        b"0\r\n\r\n" + HIDDEN), 400),
    ("coding with a control byte", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    ("coding in quotes", post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400),
    ("chunked with a parameter", post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"), 400),
    ("chunked twice", post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 400),
    ("chunked not last", post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), 400),
    ("unknown coding", post(b"Transfer-Encoding: foo\r\n", b"0\r\n\r\n"), 400),
    ("gzip alone", post(b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n"), 400),
    ("identity", post(b"Transfer-Encoding: identity\r\n", b"abc"), 400),
    ("empty coding", post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n"), 400),
    # RFC 9112 6.1: a coding that is not understood, before a final chunked.
    ("unknown coding before chunked", post(b"Transfer-Encoding: foo, chunked\r\n",
                                           b"0\r\n\r\n"), 501),
    ("chunked in HTTP/1.0", b"POST /x HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"
     b"0\r\n\r\n", 400),
    # --- Host (RFC 9112 3.2) ---
    ("no Host", get(host=b""), 400),
    ("two Hosts", get(host=H + b"Host: other.test\r\n"), 400),
    ("the same Host twice", get(host=H + H), 400),
    ("empty Host", get(host=b"Host:\r\n"), 400),
    ("Host with a path", get(host=b"Host: api.test/x\r\n"), 400),
    ("Host with a user", get(host=b"Host: me@api.test\r\n"), 400),
    ("Host with SP", get(host=b"Host: api.test b\r\n"), 400),
    ("Host with a bad port", get(host=b"Host: api.test:80a\r\n"), 400),
    ("Host with port 65536", get(host=b"Host: api.test:65536\r\n"), 400),
    ("Host with half an IPv6 address", get(host=b"Host: [fd78::\r\n"), 400),
    ("bad Host beside absolute-form", get(target=b"http://api.test/x", host=b"Host: a b\r\n"), 400),
    ("no Host beside absolute-form", get(target=b"http://api.test/x", host=b""), 400),
    # --- request line (RFC 9112 3) ---
    ("HTTP/2.0", b"GET /x HTTP/2.0\r\n" + H + b"\r\n", 505),
    ("HTTP/0.9", b"GET /x HTTP/0.9\r\n" + H + b"\r\n", 505),
    ("HTTP/3.1", b"GET /x HTTP/3.1\r\n" + H + b"\r\n", 505),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("HTTP/0.9 request", b"GET /x\r\n", 400),
    ("version without minor", b"GET /x HTTP/1\r\n" + H + b"\r\n", 400),
    ("version in lower case", b"GET /x http/1.1\r\n" + H + b"\r\n", 400),
    ("version of two digits", b"GET /x HTTP/1.10\r\n" + H + b"\r\n", 400),
    ("version with a sign", b"GET /x HTTP/+1.1\r\n" + H + b"\r\n", 400),
    ("SP behind the version", b"GET /x HTTP/1.1 \r\n" + H + b"\r\n", 400),
    ("two SP before the target", b"GET  /x HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("two SP behind the target", b"GET /x  HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("HTAB in the request line", b"GET\t/x\tHTTP/1.1\r\n" + H + b"\r\n", 400),
    ("SP before the method", b" GET /x HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("no method", b"/x HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("no target", b"GET HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("method that is no token", b"G@T /x HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("method with a colon", b"GET: /x HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("target without a slash", get(target=b"x"), 400),
    ("target *, not OPTIONS", get(target=b"*"), 400),
    ("target with a fragment", get(target=b"/x#y"), 400),
    ("target with a byte above 127", get(target=b"/\xc3\xa4"), 400),
    ("target with DEL", get(target=b"/\x7f"), 400),
    ("half an escape in the target", get(target=b"/%4"), 400),
    ("no hex in an escape", get(target=b"/%zz"), 400),
    ("NUL as an escape", get(target=b"/x%00y"), 400),
    ("dot segments", get(target=b"/a/../x"), 400),
    ("dot segments as escapes", get(target=b"/a/%2e%2E/x"), 400),
    ("dot segment at the end", get(target=b"/a/.."), 400),
    ("dot segments by an encoded slash", get(target=b"/a/..%2fx"), 400),
    ("dot segments by a backslash", get(target=b"/a/..%5cx"), 400),
    ("absolute-form without a host", get(target=b"http:///x"), 400),
    ("absolute-form of another scheme", get(target=b"ftp://api.test/x"), 400),
    ("absolute-form with a user", get(target=b"http://me@api.test/x"), 400),
    ("CONNECT without a port", b"CONNECT api.test HTTP/1.1\r\n" + H + b"\r\n", 400),
    ("TLS hello", bytes.fromhex("16030100c6010000c20303") + bytes(range(180)), 400),
    ("SSH hello", b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    ("noise", bytes((i * 167 + 13) % 256 for i in range(1000)), 400),
    # --- limits ---
    ("target too long", get(target=b"/" + b"x" * 1024), 414),
    ("target much too long", get(target=b"/" + b"x" * 20000), 414),
    ("one field too long", get(b"X-A: " + b"x" * 5000 + b"\r\n"), 431),
    ("a head that never ends", b"GET /x HTTP/1.1\r\n" + H + b"X: y\r\n" * 20 + b"X-A: "
     + b"x" * 8000, 431),
    ("too many fields", get(b"".join(b"X-%d: 1\r\n" % i for i in range(40))), 431),
    ("body too long by its length", post(b"Content-Length: 1001\r\n", b"x" * 1001), 413),
    ("body of 2^63 - 1", post(b"Content-Length: 9223372036854775807\r\n", b"x"), 413),
    ("unknown expectation", post(b"Content-Length: 3\r\nExpect: a-pony\r\n", b"abc"), 417),
]

# What is wrong comes behind a good head: the origin may have begun to read, but never gets a whole
# request. Its connection ends, so that it cannot take the rest for one.
BODIES = [
    ("chunk size that is no number", chunked(b"z\r\nabc\r\n0\r\n\r\n"), 400),
    ("empty chunk size", chunked(b"\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size with 0x", chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size with a sign", chunked(b"+3\r\nabc\r\n0\r\n\r\n"), 400),
    ("negative chunk size", chunked(b"-3\r\nabc\r\n0\r\n\r\n"), 400),
    ("SP before the chunk size", chunked(b" 3\r\nabc\r\n0\r\n\r\n"), 400),
    # Above the limit by its first digits already; without a limit: test_http.
    ("chunk size above 2^64", chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n"), 413),
    ("chunk size ends with LF", chunked(b"3\nabc\r\n0\r\n\r\n"), 400),
    ("chunk size ends with CR", chunked(b"3\rabc\r\n0\r\n\r\n"), 400),
    ("chunk longer than its size", chunked(b"3\r\nabcd\r\n0\r\n\r\n"), 400),
    ("chunk ends with LF", chunked(b"3\r\nabc\n0\r\n\r\n"), 400),
    ("chunk without an end", chunked(b"3\r\nabc0\r\n\r\n"), 400),
    ("NUL in a chunk extension", chunked(b"3;a=\x00\r\nabc\r\n0\r\n\r\n"), 400),
    ("LF in a chunk extension", chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), 400),
    ("trailer without a colon", chunked(b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n"), 400),
    ("trailer in a fold", chunked(b"3\r\nabc\r\n0\r\nX: 1\r\n 2\r\n\r\n"), 400),
    ("trailer with LF", chunked(b"3\r\nabc\r\n0\r\nX: 1\n\r\n"), 400),
    ("second request behind a bad chunk", chunked(b"3\r\nabc" + HIDDEN), 400),
    ("chunks beyond the limit", chunked(b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n"), 413),
    ("one chunk beyond the limit", chunked(b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"), 413),
    ("chunk size of 2^62", chunked(b"4000000000000000\r\nabc"), 413),
]

# Well-formed, yet not done; the connection may stay.
REFUSED = [
    ("unknown method", b"FOO /x HTTP/1.1\r\n" + H + b"\r\n", 501),
    ("method in lower case", b"get /x HTTP/1.1\r\n" + H + b"\r\n", 501),
    # A method that is known, and allowed on no route.
    ("TRACE", b"TRACE /x HTTP/1.1\r\n" + H + b"\r\n", 405),
    ("CONNECT", b"CONNECT api.test:443 HTTP/1.1\r\n" + H + b"\r\n", 501),
    ("method of 100 letters", b"A" * 100 + b" /x HTTP/1.1\r\n" + H + b"\r\n", 501),
    ("unknown host", get(host=b"Host: other.test\r\n"), 404),
    # RFC 3986 3.2.2: a registered name may hold a comma. It is no list of two.
    ("Host with a comma", get(host=b"Host: api.test,other.test\r\n"), 404),
    ("method that the route does not take",
     b"DELETE /getonly HTTP/1.1\r\nHost: strict.test\r\n\r\n", 405),
]


class Malformed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(config=TEXT, extra=EXTRA).start()
        cls.origin = Origin(cls.lab)
        cls.origin.on("/good", answer("good", 200, "Cache-Control: max-age=600"))
        assert cls.lab.get("/good").body == b"good"

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.lab.stop()

    def setUp(self):
        self.origin.forget()

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def refused(self, data, status, piece=None, must_close=True):
        with self.lab.client(timeout=4) as c:
            if piece is None:
                c.send(data)
            else:
                try:
                    for at in range(0, len(data), piece):
                        c.send(data[at:at + piece])
                        if piece > 1:
                            time.sleep(0.0005)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # refused before its end
            r = c.response("GET")
            self.assertEqual(r.status, status, r.raw)
            if must_close:
                self.assertTrue(r.closes, r.raw)
            if must_close or r.closes:
                self.assertTrue(c.ended(), "the connection stays open")
        with self.lab.client(timeout=4) as c:
            r = c.ask("/good")
            self.assertEqual((r.status, r.body, r.hit), (200, b"good", True))

    def table(self, cases, piece=None, must_close=True):
        names = [name for name, _, _ in cases]
        self.assertEqual(len(names), len(set(names)))
        for name, data, status in cases:
            with self.subTest(name, piece=piece):
                try:
                    self.refused(data, status, piece, must_close)
                except (Bad, Cut, OSError) as e:
                    self.fail(f"{name}: {e!r}")

    def test_heads(self):
        self.table(HEADS)
        self.assertEqual([r.raw for r in self.origin.seen(whole=False)], [])

    def test_heads_in_pieces(self):
        self.table([c for c in HEADS if len(c[1]) < 2000], piece=7)
        self.assertEqual([r.raw for r in self.origin.seen(whole=False)], [])

    def test_heads_byte_by_byte(self):
        self.table([c for c in HEADS if len(c[1]) < 300], piece=1)
        self.assertEqual([r.raw for r in self.origin.seen(whole=False)], [])

    def test_bodies(self):
        self.table(BODIES)
        self.assertEqual([r.raw for r in self.origin.seen()], [])

    def test_bodies_in_pieces(self):
        self.table(BODIES, piece=7)
        self.assertEqual([r.raw for r in self.origin.seen()], [])

    def test_refused_in_good_form(self):
        self.table(REFUSED, must_close=False)
        self.assertEqual([r.raw for r in self.origin.seen(whole=False)], [])

    def test_enough_cases(self):
        self.assertGreaterEqual(len(HEADS) + len(BODIES), 60)

    def test_good_request_before_a_bad_one(self):
        """The first is answered, the second refused, and the third is never looked at."""
        with self.lab.client(timeout=4) as c:
            c.send(get(target=b"/good") + get(b"X : 1\r\n") + HIDDEN)
            self.assertEqual(c.response().body, b"good")
            r = c.response()
            self.assertEqual((r.status, r.closes), (400, True))
            self.assertTrue(c.ended())
        self.assertEqual(self.origin.count(), 0)

    def test_slow_head(self):
        for part in (b"G", b"GET /x HTTP/1.1\r\nHo", b"GET /x HTTP/1.1\r\nHost: api.test\r\n"):
            with self.subTest(part), self.lab.client(timeout=4) as c:
                began = time.monotonic()
                c.send(part)
                r = c.response()
                self.assertEqual((r.status, r.closes), (408, True))
                self.assertTrue(c.ended())
                self.assertGreater(time.monotonic() - began, 0.5)
        self.assertEqual(self.origin.count(), 0)

    def test_dripping_head(self):
        """A byte now and then does not move the deadline."""
        with self.lab.client(timeout=4) as c:
            began = time.monotonic()
            for b in get(b"X-A: " + b"x" * 100 + b"\r\n", target=b"/drip"):
                c.send(bytes([b]))
                if select.select([c.sock], [], [], 0.05)[0]:
                    break
            self.assertLess(time.monotonic() - began, 1.5)
            self.assertEqual(c.response().status, 408)
            self.assertTrue(c.ended())
        # What an earlier test cut off may come late.
        self.assertEqual(self.origin.count("/drip"), 0)

    def test_slow_body(self):
        for data in (post(b"Content-Length: 10\r\n", b"abc"), chunked(b"5\r\nab"),
                     chunked(b"3\r\nabc\r\n")):
            with self.subTest(data), self.lab.client(timeout=4) as c:
                c.send(data)
                r = c.response()
                self.assertEqual((r.status, r.closes), (408, True))
                self.assertTrue(c.ended())
        self.assertEqual(self.origin.seen(), [])

    def test_idle_connection_is_closed_without_a_word(self):
        for first in (b"", get(target=b"/good")):
            with self.subTest(first), self.lab.client(timeout=6) as c:
                c.send(first)
                if first:
                    self.assertEqual(c.response().status, 200)
                began = time.monotonic()
                self.assertTrue(c.ended())
                self.assertGreater(time.monotonic() - began, 0.7)

    def test_cut_request(self):
        """A client that goes away within its request is not an error of ours."""
        for data in (b"GET /x HT", get()[:-2], post(b"Content-Length: 10\r\n", b"abc"),
                     chunked(b"5\r\nab")):
            with self.subTest(data), self.lab.client(timeout=4) as c:
                c.send(data).shut()
                try:
                    r = c.response()
                    self.assertIn(r.status, (400, 408))
                except Cut as e:
                    self.assertNotIn("in time", str(e))
        self.assertEqual(self.origin.seen(), [])

    def test_answer_is_readable_though_the_body_goes_on(self):
        """RFC 9112 9.6: a close while bytes come in must not destroy the answer by a reset."""
        for lines in (b"Content-Length: 400000\r\n", b"Content-Length: 3, 4\r\n"):
            with self.subTest(lines), self.lab.client(timeout=5) as c:
                try:
                    c.send(post(lines, b"x" * 400000))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                time.sleep(0.2)
                r = c.response()
                self.assertIn(r.status, (400, 413))
        self.assertEqual(self.origin.count(), 0)

    def test_many_bad_ones_at_once(self):
        socks = []
        try:
            for i in range(300):
                s = self.lab.connect(timeout=5)
                s.sendall(HEADS[i % len(HEADS)][1][:3000])
                socks.append(s)
            for s in socks:
                try:
                    self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 "))
                except ConnectionResetError:
                    pass
        finally:
            for s in socks:
                s.close()
        self.assertEqual(self.lab.get("/good").body, b"good")
        self.assertEqual(self.origin.count(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
