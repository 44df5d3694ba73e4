# SPDX-License-Identifier: BSD-2-Clause
"""Cases of caching for test_cache_http.py: what an origin says, what a client asks, who must answer.

A case is a list of steps on a path of its own. Each step is one request; the origin knows by its Step
field which step asks, and gives that step's answer, in which Step-Was says whose it is. So a client can
tell from whom its answer came, and the test what the origin was asked.
"""

import time
from email.utils import formatdate

# Who answers.
HIT = "hit"        # the cache alone
ORIGIN = "origin"  # the origin, asked for the whole
VALID = "valid"    # the cache, after the origin said 304
STALE = "stale"    # the cache, and the origin is asked behind the client's back
NONE = "none"      # 504: only-if-cached
FAILED = "failed"  # an error of the gateway's own
ANY = "any"

CASES = {}


class Step:
    def __init__(self, *fields, expect=HIT, req=(), method="GET", status=200, body=None, want=None,
                 code=None, text=None, wait=0, fail=False, asks=None, at="", host="api.test", send=None,
                 length=True, before=b"", interim=None):
        self.fields = fields  # of the origin's answer
        self.expect = expect
        self.req = req        # of the request
        self.method = method
        self.status = status  # of the origin's answer
        self.body = body      # of the origin's answer; None: one that tells case and step
        self.want = want or {}  # fields of the client's answer: text, None (absent), or a function
        self.code = code      # status of the client's answer
        self.text = text      # body of the client's answer
        self.wait = wait      # seconds before it is sent
        self.fail = fail      # the origin closes instead of answering
        self.asks = asks or {}  # fields of the request that the origin gets, likewise
        self.at = at          # behind the case's path
        self.host = host
        self.send = send      # body of the request
        self.length = length
        self.before = before  # interim answers
        self.interim = interim  # status and fields of those that the client must get


def case(name, rfc, *steps, prefix="/c"):
    assert name not in CASES, name
    CASES[name] = (rfc, prefix, steps)


def first(*fields, **kw):
    kw.setdefault("expect", ORIGIN)
    return Step(*fields, **kw)


def http_date(delta=0):
    return formatdate(time.time() + delta, usegmt=True)


def cc(value):
    return "Cache-Control: " + value


DATE = "Date: " + http_date()
FRESH = cc("max-age=3600")
SHORT = cc("max-age=1")
OLD = "Last-Modified: " + http_date(-86400)
ETAG = 'ETag: "a"'
GONE = 2.1  # seconds: an answer with SHORT is stale for sure


def pair(name, rfc, fields, expect, **kw):
    """One answer with these fields; who answers the same request again?"""
    status = kw.pop("status", 200)
    prefix = kw.pop("prefix", "/c")
    steps = [first(*fields, status=status, body=kw.pop("body", None)), Step(expect=expect, **kw)]
    case(name, rfc, *steps, prefix=prefix)


# --- freshness (4.2) ------------------------------------------------------------------------------

pair("none", "3", [], ORIGIN)
pair("max-age", "5.2.2.1", [FRESH], HIT)
pair("max-age-0", "5.2.2.1", [cc("max-age=0")], ORIGIN)
pair("max-age-negative", "4.2.1", [cc("max-age=-3600")], ORIGIN)
pair("max-age-zeros", "1.2.2", [cc("max-age=003600")], HIT)
pair("max-age-2^31", "1.2.2", [cc("max-age=2147483648")], HIT)
pair("max-age-huge", "1.2.2", [cc("max-age=99999999999")], HIT)
pair("max-age-quoted", "5.2", [cc('max-age="3600"')], HIT)
pair("max-age-single-quoted", "4.2.1", [cc("max-age='3600'")], ORIGIN)
pair("max-age-case", "5.2", [cc("MaX-aGe=3600")], HIT)
pair("max-age-extension", "5.2.3", [cc("foo, max-age=3600, bar=baz")], HIT)
pair("max-age-letters", "4.2.1", [cc("max-age=a3600")], ORIGIN)
pair("max-age-trailing-letters", "4.2.1", [cc("max-age=3600a")], ORIGIN)
pair("max-age-space-before", "4.2.1", [cc("max-age =3600")], ORIGIN)
pair("max-age-space-behind", "4.2.1", [cc("max-age= 3600")], ORIGIN)
pair("max-age-decimal", "4.2.1", [cc("max-age=3600.5")], ORIGIN)
pair("max-age-in-quotes", "5.2", [cc('x="max-age=3600", max-age=1')], ORIGIN, wait=GONE)
pair("max-age-in-quotes-behind", "5.2", [cc('max-age=1, x="max-age=3600"')], ORIGIN, wait=GONE)
pair("max-age-twice", "4.2.1", [cc("max-age=1, max-age=3600")], ORIGIN, wait=GONE)
pair("max-age-ends", "4.2", [SHORT], ORIGIN, wait=GONE)
pair("max-age-over-expires", "5.3", [FRESH, DATE, "Expires: " + http_date(-1000)], HIT)
pair("max-age-over-bad-expires", "5.3", [FRESH, "Expires: 0"], HIT)
pair("max-age-0-over-expires", "5.3", [cc("max-age=0"), "Expires: " + http_date(1000)], ORIGIN)
pair("s-maxage", "5.2.2.10", [cc("s-maxage=3600")], HIT)
pair("s-maxage-over-max-age", "5.2.2.10", [cc("max-age=3600, s-maxage=0")], ORIGIN)
pair("s-maxage-over-max-age-0", "5.2.2.10", [cc("max-age=0"), cc("s-maxage=3600")], HIT)
pair("expires", "5.3", [DATE, "Expires: " + http_date(1000)], HIT)
pair("expires-past", "5.3", [DATE, "Expires: " + http_date(-1000)], ORIGIN)
pair("expires-now", "5.3", [DATE, "Expires: " + http_date()], ORIGIN)
pair("expires-0", "5.3", [DATE, "Expires: 0"], ORIGIN)
pair("expires-bad", "5.3", [DATE, "Expires: tomorrow"], ORIGIN)
pair("expires-utc", "5.3", [DATE, "Expires: Thu, 18 Aug 2050 02:01:18 UTC"], ORIGIN)
pair("expires-far", "5.3", [DATE, "Expires: Thu, 18 Aug 2050 02:01:18 GMT"], HIT)
pair("expires-without-date", "4.2.1", ["Expires: " + http_date(1000)], HIT)
pair("expires-old-date", "4.2.3", ["Date: " + http_date(-500), "Expires: " + http_date(-100)], ORIGIN)
pair("expires-twice", "4.2.1", [DATE, "Expires: " + http_date(99), "Expires: " + http_date(999)], ORIGIN)
pair("age-counts", "4.2.3", [DATE, FRESH, "Age: 7200"], ORIGIN)
pair("age-counts-expires", "4.2.3", [DATE, "Expires: " + http_date(1000), "Age: 7200"], ORIGIN)
pair("age-below", "4.2.3", [DATE, FRESH, "Age: 1800"], HIT, want={"age": lambda v: 1800 <= int(v) < 1830})
pair("age-letters", "5.1", [DATE, FRESH, "Age: abc"], HIT)
pair("age-first", "5.1", [DATE, FRESH, "Age: 0, 7200"], HIT)
pair("age-first-old", "5.1", [DATE, FRESH, "Age: 7200, 0"], ORIGIN)
pair("age-huge", "1.2.2", [DATE, FRESH, "Age: 99999999999"], ORIGIN)
pair("age-of-date", "4.2.3", ["Date: " + http_date(-7200), FRESH], ORIGIN)
pair("age-is-told", "5.1", [FRESH], HIT, wait=GONE, want={"age": lambda v: 2 <= int(v) < 30})
pair("age-is-told-once", "5.1", [FRESH, "Age: 30"], HIT, want={"age": lambda v: 30 <= int(v) < 60})
pair("date-stays", "5.1", [FRESH, "Date: " + http_date(-100)], HIT, want={"date": http_date(-100)})
pair("pragma-in-response", "5.4", [FRESH, "Pragma: no-cache"], HIT)
pair("pragma-other", "5.4", [FRESH, "Pragma: other"], HIT)

# --- heuristics (4.2.2), off and on -----------------------------------------------------------------

pair("heuristic-off", "4.2.2", [DATE, OLD], ORIGIN)
for code in (200, 203, 204, 404, 405, 410, 414, 501):
    pair(f"heuristic-{code}", "4.2.2", [DATE, OLD], HIT, prefix="/heur", status=code, code=code,
         body=b"" if code == 204 else None)
for code in (201, 202, 403, 502, 503, 504, 599):
    pair(f"heuristic-not-{code}", "4.2.2", [DATE, OLD], ORIGIN, prefix="/heur", status=code)
pair("heuristic-public", "5.2.2.9", [DATE, OLD, cc("public")], HIT, prefix="/heur", status=599, code=599)
pair("heuristic-recent", "4.2.2", [DATE, "Last-Modified: " + http_date()], ORIGIN, prefix="/heur")
pair("heuristic-no-store", "5.2.2.5", [DATE, OLD, cc("no-store")], ORIGIN, prefix="/heur")

# --- negative answers, the route's own lifetimes ----------------------------------------------------

for code in (404, 405, 410, 414, 500, 501, 503):
    pair(f"negative-{code}", "rule", [], HIT, prefix="/neg", status=code, code=code)
for code in (200, 302, 400, 403):
    pair(f"negative-not-{code}", "rule", [], ORIGIN, prefix="/neg", status=code)
pair("negative-off", "rule", [], ORIGIN, status=404)
pair("negative-no-store", "rule", [cc("no-store")], ORIGIN, prefix="/neg", status=404)
pair("negative-ends", "rule", [], ORIGIN, prefix="/neg", status=404, wait=GONE + 2)
pair("ttl", "rule", [], HIT, prefix="/ttl")
pair("ttl-no-store", "rule", [cc("no-store")], ORIGIN, prefix="/ttl")
pair("off", "rule", [FRESH], ORIGIN, prefix="/off")

# --- what may be stored (3) -------------------------------------------------------------------------

pair("no-store", "5.2.2.5", [cc("no-store")], ORIGIN)
pair("no-store-case", "5.2.2.5", [cc("No-StOrE, max-age=100")], ORIGIN)
pair("no-store-fresh", "5.2.2.5", [cc("max-age=100, no-store"), DATE, "Expires: " + http_date(99)], ORIGIN)
pair("private", "5.2.2.7", [cc("private, max-age=100")], ORIGIN)
pair("must-understand", "5.2.2.3", [cc("max-age=100, must-understand, no-store")], HIT)
pair("must-understand-not", "5.2.2.3", [cc("max-age=100, must-understand, no-store")], ORIGIN, status=599)
pair("must-revalidate-fresh", "5.2.2.2", [cc("max-age=100, must-revalidate"), ETAG], HIT)
pair("set-cookie", "7.3", [FRESH, "Set-Cookie: a=b"], ORIGIN)
pair("set-cookie-public", "7.3", [cc("public, max-age=100"), "Set-Cookie: a=b"], HIT)
pair("cookie-in-request", "3", [FRESH], HIT, req=["Cookie: a=b"])
pair("content-disposition", "3", [FRESH, "Content-Disposition: attachment"], HIT)
pair("to-the-end", "3.3", [FRESH], HIT, method="GET")
case("query-same", "4", first(FRESH, at="?a=1"), Step(at="?a=1"))
case("query-other", "4", first(FRESH, at="?a=1"), Step(expect=ORIGIN, at="?a=2"))
case("host-other", "4", first(FRESH), Step(expect=ORIGIN, host="other.test"))
case("old-and-no-store", "5.2.2.5", first(SHORT), Step(cc("no-store"), expect=ORIGIN, wait=GONE),
     Step(expect=ORIGIN))
for code in (200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599):
    body = b"" if code == 204 else None
    pair(f"status-{code}", "3", [FRESH], HIT, status=code, code=code, body=body)
    pair(f"status-{code}-stale", "3", [DATE, FRESH, "Age: 7200"], ORIGIN, status=code, body=body)

# Fields that are not stored (3.1, 5.2.2.4, 5.2.2.7); the client that asked first gets them.
case("listed-no-cache", "5.2.2.4",
     first(cc('no-cache="a, b"'), "A: 1", "B: 2", "C: 3", FRESH, want={"a": "1", "b": "2", "c": "3"}),
     Step(want={"a": None, "b": None, "c": "3"}))
case("listed-private", "5.2.2.7",
     first(cc('private="Set-Cookie"'), "Set-Cookie: a=b", "C: 3", FRESH, want={"set-cookie": "a=b"}),
     Step(want={"set-cookie": None, "c": "3"}))
case("listed-connection", "3.1",
     first("Connection: a, b", "A: 1", "B: 2", "C: 3", FRESH, want={"a": None, "b": None, "c": "3"}),
     Step(want={"a": None, "b": None, "c": "3", "connection": None}))
for name in ("Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Connection",
             "Upgrade"):
    case(f"hop-{name}", "3.1", first(FRESH, f"{name}: x", want={name: None}), Step(want={name: None}))
for name, value in (("Test-Header", "x"), ("Content-Type", "text/plain"), ("X-Frame-Options", "deny"),
                    ("Strict-Transport-Security", "max-age=5"), ("Clear-Site-Data", "cookies"),
                    ("Content-Language", "de"), ("WWW-Authenticate", "Basic")):
    case(f"kept-{name}", "3.1", first(FRESH, f"{name}: {value}"), Step(want={name: value}))

# --- Authorization (3.5) ----------------------------------------------------------------------------

AUTH = ["Authorization: Basic eDp5"]
for name, fields, expect in (("plain", [FRESH], ORIGIN), ("expires", [DATE, "Expires: " + http_date(99)], ORIGIN),
                             ("public", [cc("max-age=100, public")], HIT),
                             ("must-revalidate", [cc("max-age=100, must-revalidate")], HIT),
                             ("s-maxage", [cc("s-maxage=100")], HIT)):
    case(f"auth-{name}", "3.5", first(*fields, req=AUTH, asks={"authorization": "Basic eDp5"}), Step(expect=expect))

# --- targeted fields (RFC 9213) ---------------------------------------------------------------------

for who in ("CDN", "Sluice"):
    f = f"{who}-Cache-Control: "
    n = who.lower()
    pair(f"{n}-max-age", "RFC 9213 2", [f + "max-age=100"], HIT)
    pair(f"{n}-max-age-huge", "RFC 9213 2", [f + "max-age=99999999999"], HIT)
    pair(f"{n}-max-age-0", "RFC 9213 2", [f + "max-age=0"], ORIGIN)
    pair(f"{n}-age", "RFC 9213 2", [f + "max-age=100", "Age: 200"], ORIGIN)
    pair(f"{n}-longer", "RFC 9213 2.2", [cc("max-age=0"), f + "max-age=100"], HIT)
    pair(f"{n}-shorter", "RFC 9213 2.2", [FRESH, f + "max-age=0"], ORIGIN)
    pair(f"{n}-expires", "RFC 9213 2.2", [f + "max-age=100", "Expires: 0"], HIT)
    pair(f"{n}-0-expires", "RFC 9213 2.2", [f + "max-age=0", "Expires: " + http_date(99)], ORIGIN)
    pair(f"{n}-private", "RFC 9213 2.2", [f + "private", FRESH], ORIGIN)
    pair(f"{n}-no-cache", "RFC 9213 2.2", [f + "no-cache", FRESH], ORIGIN)
    pair(f"{n}-no-store", "RFC 9213 2.2", [f + "no-store", FRESH], ORIGIN)
    pair(f"{n}-over-no-store", "RFC 9213 2.2", [cc("no-store"), f + "max-age=100"], HIT)
    pair(f"{n}-extension", "RFC 9213 2.1", [f + "foo, max-age=100"], HIT)
    pair(f"{n}-bad-syntax", "RFC 9213 2.1", [f + "max-age=100, &&&", cc("no-store")], ORIGIN)
    pair(f"{n}-bad-syntax-then-cc", "RFC 9213 2.1", [f + "max-age=0, &&&", FRESH], HIT)
    pair(f"{n}-wrong-type", "RFC 9213 2.1", [f + 'max-age="100"', cc("no-store")], ORIGIN)
    pair(f"{n}-spaces", "RFC 9213 2.1", [f + "max-age =100", cc("max-age=0")], ORIGIN)
    pair(f"{n}-upper-case", "RFC 9213 2.1", [f + "Max-Age=100", cc("max-age=0")], ORIGIN)
    pair(f"{n}-empty", "RFC 9213 2.1", [f, FRESH], HIT)
pair("sluice-over-cdn", "RFC 9213 2.2", ["CDN-Cache-Control: no-store", "Sluice-Cache-Control: max-age=9"], HIT)
case("cdn-is-passed-on", "RFC 9213 3.1", first("CDN-Cache-Control: max-age=9", want={"cdn-cache-control": "max-age=9"}),
     Step(want={"cdn-cache-control": "max-age=9"}))
case("sluice-is-not-passed-on", "RFC 9213 3.1",
     first("Sluice-Cache-Control: max-age=9", want={"sluice-cache-control": None}),
     Step(want={"sluice-cache-control": None}))
case("surrogate-key-is-not-passed-on", "tags", first(FRESH, "Surrogate-Key: a", want={"surrogate-key": None}),
     Step(want={"surrogate-key": None}))

# --- requests' directives (5.2.1, 5.4) --------------------------------------------------------------


def asked(name, rfc, fields, req, expect, **kw):
    case(f"asked-{name}", rfc, first(*fields), Step(expect=expect, req=[req], **kw))


asked("max-age-0", "5.2.1.1", [FRESH], cc("max-age=0"), ORIGIN, wait=GONE)
asked("max-age-1", "5.2.1.1", [FRESH], cc("max-age=1"), ORIGIN, wait=GONE)
asked("max-age-enough", "5.2.1.1", [FRESH], cc("max-age=60"), HIT)
asked("max-age-aged", "5.2.1.1", [FRESH, "Age: 1800"], cc("max-age=600"), ORIGIN)
asked("max-stale", "5.2.1.2", [SHORT], cc("max-stale=1000"), HIT, wait=GONE)
asked("max-stale-any", "5.2.1.2", [SHORT], cc("max-stale"), HIT, wait=GONE)
asked("max-stale-short", "5.2.1.2", [SHORT], cc("max-stale=0"), ORIGIN, wait=GONE)
asked("max-stale-revalidate", "5.2.2.2", [cc("max-age=1, must-revalidate")], cc("max-stale"), ORIGIN, wait=GONE)
asked("max-stale-s-maxage", "5.2.2.10", [cc("s-maxage=1")], cc("max-stale"), ORIGIN, wait=GONE)
asked("max-stale-proxy", "5.2.2.8", [cc("max-age=1, proxy-revalidate")], cc("max-stale"), ORIGIN, wait=GONE)
asked("min-fresh", "5.2.1.3", [FRESH], cc("min-fresh=4000"), ORIGIN)
asked("min-fresh-enough", "5.2.1.3", [FRESH], cc("min-fresh=3000"), HIT)
asked("min-fresh-aged", "5.2.1.3", [FRESH, "Age: 1000"], cc("min-fresh=3000"), ORIGIN)
asked("no-cache", "5.2.1.4", [FRESH], cc("no-cache"), ORIGIN)
asked("no-cache-pragma", "5.4", [FRESH], "Pragma: no-cache", ORIGIN)
asked("pragma-other", "5.4", [FRESH], "Pragma: other", HIT)
asked("only-if-cached", "5.2.1.7", [FRESH], cc("only-if-cached"), HIT)
asked("only-if-cached-stale", "5.2.1.7", [SHORT], cc("only-if-cached"), NONE, wait=GONE)
case("asked-only-if-cached-none", "5.2.1.7", Step(expect=NONE, req=[cc("only-if-cached")]))
case("asked-no-store", "5.2.1.5", first(FRESH, req=[cc("no-store")]), Step(expect=ORIGIN))
case("asked-no-cache-stores", "5.2.1.4", first(FRESH, body=b"1"), Step(FRESH, expect=ORIGIN, req=[cc("no-cache")], body=b"2"),
     Step(text=b"2"))
case("asked-no-cache-validates", "5.2.1.4", first(FRESH, ETAG),
     Step(FRESH, ETAG, status=304, expect=VALID, req=[cc("no-cache")], asks={"if-none-match": '"a"'}))
case("asked-no-cache-validates-date", "5.2.1.4", first(FRESH, OLD),
     Step(FRESH, OLD, status=304, expect=VALID, req=[cc("no-cache")], asks={"if-modified-since": OLD[15:]}))

# --- validation and 304 (4.3) -----------------------------------------------------------------------

case("no-cache-validates", "5.2.2.4", first(cc("no-cache"), ETAG), Step(cc("no-cache"), ETAG, status=304, expect=VALID),
     Step(cc("no-cache"), ETAG, status=304, expect=VALID))
case("no-cache-fresh-validates", "5.2.2.4", first(cc("no-cache, max-age=100"), ETAG), Step(ETAG, status=304, expect=VALID))
case("no-cache-case", "5.2.2.4", first(cc("No-CaChE, max-age=100")), Step(expect=ORIGIN))
case("must-revalidate-stale", "5.2.2.2", first(cc("max-age=1, must-revalidate"), ETAG),
     Step(ETAG, status=304, expect=VALID, wait=GONE))
case("etag-strong", "4.3.1", first(SHORT, ETAG), Step(ETAG, status=304, expect=VALID, wait=GONE, asks={"if-none-match": '"a"'}))
case("etag-weak", "4.3.1", first(SHORT, 'ETag: W/"a"'),
     Step('ETag: W/"a"', status=304, expect=VALID, wait=GONE, asks={"if-none-match": 'W/"a"'}))
case("last-modified", "4.3.1", first(SHORT, OLD),
     Step(OLD, status=304, expect=VALID, wait=GONE, asks={"if-modified-since": OLD[15:], "if-none-match": None}))
case("both-validators", "4.3.1", first(SHORT, OLD, ETAG),
     Step(ETAG, status=304, expect=VALID, wait=GONE, asks={"if-modified-since": OLD[15:], "if-none-match": '"a"'}))
case("validated-is-fresh", "4.3.4", first(SHORT, ETAG), Step(FRESH, ETAG, status=304, expect=VALID, wait=GONE), Step(),
     Step(wait=GONE))
case("validated-changed", "4.3.3", first(SHORT, ETAG), Step(FRESH, 'ETag: "b"', expect=ANY, wait=GONE, code=200,
                                                             asks={"if-none-match": '"a"'}), Step(want={"etag": '"b"'}))
case("validated-error", "4.3.3", first(SHORT, ETAG), Step(expect=ANY, status=503, code=503, wait=GONE),
     Step(ETAG, status=304, expect=VALID))
case("validated-gone", "4.3.3", first(SHORT, ETAG), Step(FRESH, expect=ANY, status=404, code=404, wait=GONE),
     Step(code=404))
case("validated-other-etag", "4.3.4", first(SHORT, ETAG, body=b"old"),
     Step(FRESH, 'ETag: "b"', status=304, body=b"new", expect=ANY, wait=GONE, code=200, text=b"new"))
case("validated-vary", "4.3.1", first(SHORT, ETAG, "Vary: Abc", req=["Abc: 1"]),
     Step(ETAG, status=304, expect=VALID, wait=GONE, req=["Abc: 1"], asks={"abc": "1"}))
case("validated-client-304", "4.3.2", first(SHORT, OLD),
     Step(OLD, status=304, expect=VALID, wait=GONE, req=["If-Modified-Since: " + OLD[15:]], code=304, text=b""))
case("validated-client-etag-304", "4.3.2", first(SHORT, ETAG),
     Step(ETAG, FRESH, status=304, expect=VALID, wait=GONE, req=['If-None-Match: "a"'], code=304, text=b""), Step(code=200))
case("validated-client-other-etag", "4.3.2", first(SHORT, ETAG),
     Step(ETAG, FRESH, status=304, expect=VALID, wait=GONE, req=['If-None-Match: "x"'], code=200))
case("validated-set-cookie", "7.3", first(SHORT, ETAG),
     Step(ETAG, FRESH, "Set-Cookie: a=b", status=304, expect=ANY, code=200, wait=GONE, want={"set-cookie": "a=b"}),
     Step(expect=ORIGIN, want={"set-cookie": None}))
case("validated-no-store", "4.3.4", first(SHORT, ETAG), Step(ETAG, cc("no-store"), status=304, expect=ANY, code=200, wait=GONE),
     Step(expect=ORIGIN))
case("validated-targeted", "RFC 9213", first(cc("max-age=0"), "Sluice-Cache-Control: max-age=3", ETAG),
     Step(ETAG, status=304, expect=VALID, wait=GONE + 2), Step())
for name, a, b in (("Test-Header", "1", "2"), ("Content-Type", "text/plain", "text/plain;charset=utf-8"),
                   ("Content-Location", "/foo", "/bar"), ("Content-Security-Policy", "default-src 'self'", "default-src x"),
                   ("X-Frame-Options", "deny", "sameorigin"), ("Content-Foo", "1", "2")):
    case(f"304-updates-{name}", "3.2", first(SHORT, ETAG, f"{name}: {a}"),
         Step(FRESH, ETAG, f"{name}: {b}", status=304, expect=VALID, wait=GONE, want={name: b}), Step(want={name: b}))
for name, a, b in (("Content-Encoding", "x", "y"), ("Connection-Test", "1", None)):
    case(f"304-keeps-{name}", "3.2", first(SHORT, ETAG, f"{name}: {a}"),
         Step(*[FRESH, ETAG] + ([f"{name}: {b}"] if b else []), status=304, expect=VALID, wait=GONE, want={name: a}),
         Step(want={name: a}))
case("304-length-stays", "3.2", first(SHORT, ETAG, body=b"12345"),
     Step(FRESH, ETAG, "Content-Length: 10", status=304, length=False, expect=VALID, wait=GONE, text=b"12345",
          want={"content-length": "5"}), Step(text=b"12345"))
case("304-date", "3.2", first(SHORT, ETAG, "Date: " + http_date(-1)),
     Step(FRESH, ETAG, "Date: " + http_date(7), status=304, expect=VALID, wait=GONE, want={"date": http_date(7)}))
case("304-age", "4.2.3", first(SHORT, ETAG), Step(FRESH, ETAG, "Age: 3000", status=304, expect=VALID, wait=GONE),
     Step(want={"age": lambda v: int(v) >= 3000}))

case("validated-digest", "RFC 9530 2", first(SHORT, ETAG, "Content-Digest: a", "Content-MD5: a", "Repr-Digest: a"),
     Step(FRESH, ETAG, "Content-Digest: b", "Content-MD5: b", "Repr-Digest: b", status=304, expect=VALID, wait=GONE,
          want={"content-digest": "a", "content-md5": "a", "repr-digest": "b"}))

# --- conditions on fresh answers (4.3.2, RFC 9110 13) -----------------------------------------------


def cond(name, rfc, fields, req, code, **kw):
    case(f"cond-{name}", rfc, first(FRESH, *fields), Step(req=req if isinstance(req, list) else [req], code=code, **kw))


INM = "If-None-Match: "
IMS = "If-Modified-Since: "
cond("etag", "4.3.2", [ETAG], INM + '"a"', 304, text=b"", want={"etag": '"a"', "cache-control": "max-age=3600"})
cond("etag-other", "4.3.2", [ETAG], INM + '"b"', 200)
cond("etag-weak", "RFC 9110 8.8.3.2", ['ETag: W/"a"'], INM + 'W/"a"', 304)
cond("etag-weak-strong", "RFC 9110 8.8.3.2", ['ETag: W/"a"'], INM + '"a"', 304)
cond("etag-strong-weak", "RFC 9110 8.8.3.2", [ETAG], INM + 'W/"a"', 304)
cond("etag-first", "RFC 9110 13.1.2", [ETAG], INM + '"a", "b", "c"', 304)
cond("etag-middle", "RFC 9110 13.1.2", [ETAG], INM + '"b", "a", "c"', 304)
cond("etag-last", "RFC 9110 13.1.2", [ETAG], INM + '"b", "c", "a"', 304)
cond("etag-any", "RFC 9110 13.1.2", [ETAG], INM + "*", 304)
cond("etag-any-without", "RFC 9110 13.1.2", [], INM + "*", 304)
cond("etag-unquoted", "RFC 9110 8.8.3", [ETAG], INM + "a", 200)
cond("etag-comma", "RFC 9110 8.8.3", ['ETag: "a,b"'], INM + '"a,b"', 304)
cond("etag-first-of-both", "RFC 9110 13.2.2", [ETAG, OLD], [INM + '"a"', IMS + http_date(-90000)], 304)
cond("etag-over-date", "RFC 9110 13.2.2", [ETAG, OLD], [INM + '"b"', IMS + OLD[15:]], 200)
cond("date", "RFC 9110 13.1.3", [OLD], IMS + OLD[15:], 304, want={"last-modified": OLD[15:]})
cond("date-later", "RFC 9110 13.1.3", [OLD], IMS + http_date(-80000), 304)
cond("date-earlier", "RFC 9110 13.1.3", [OLD], IMS + http_date(-90000), 200)
cond("date-bad", "RFC 9110 13.1.3", [OLD], IMS + "yesterday", 200)
cond("date-of-answer", "4.3.2", [DATE], IMS + http_date(60), 304)
cond("date-before-answer", "4.3.2", [DATE], IMS + http_date(-60), 200)
case("cond-404", "RFC 9110 13.2.1", first(FRESH, ETAG, status=404), Step(req=[INM + '"a"'], code=404))
case("cond-head", "RFC 9110 13.1.2", first(FRESH, ETAG), Step(method="HEAD", req=[INM + '"a"'], code=304))
case("cond-miss", "4.3.2", first(FRESH, ETAG, req=[INM + '"a"'], code=304), Step(code=200))
case("cond-if-match", "4.3.2", first(FRESH, ETAG), Step(expect=ORIGIN, req=['If-Match: "a"'], asks={"if-match": '"a"'}))
case("cond-if-unmodified", "4.3.2", first(FRESH, OLD),
     Step(expect=ORIGIN, req=["If-Unmodified-Since: " + OLD[15:]], asks={"if-unmodified-since": OLD[15:]}))

# --- Vary (4.1) -------------------------------------------------------------------------------------


def vary(name, names, a, b, expect):
    case(f"vary-{name}", "4.1", first(FRESH, f"Vary: {names}", req=a), Step(FRESH, f"Vary: {names}", expect=expect, req=b))


vary("same", "Foo", ["Foo: 1"], ["Foo: 1"], HIT)
vary("other", "Foo", ["Foo: 1"], ["Foo: 2"], ORIGIN)
vary("absent", "Foo", ["Foo: 1"], [], ORIGIN)
vary("both-absent", "Foo", [], [], HIT)
vary("unlisted", "Foo", ["Foo: 1", "Other: 2"], ["Foo: 1", "Other: 3"], HIT)
vary("2-same", "Foo, Bar", ["Foo: 1", "Bar: a"], ["Foo: 1", "Bar: a"], HIT)
vary("2-other", "Foo, Bar", ["Foo: 1", "Bar: a"], ["Foo: 2", "Bar: a"], ORIGIN)
vary("2-absent", "Foo, Bar", ["Foo: 1"], [], ORIGIN)
vary("3-order", "Foo, Bar, Baz", ["Foo: 1", "Bar: a", "Baz: 7"], ["Baz: 7", "Foo: 1", "Bar: a"], HIT)
vary("3-omitted", "Foo, Bar, Baz", ["Foo: 1", "Baz: 7"], ["Foo: 1", "Baz: 7"], HIT)
vary("swapped", "Foo, Bar", ["Foo: 1", "Bar: 2"], ["Foo: 2", "Bar: 1"], ORIGIN)
vary("space", "Foo", ["Foo: 1,2"], ["Foo:  1, 2 "], HIT)
vary("lines", "Foo", ["Foo: 1, 2"], ["Foo: 1", "Foo: 2"], HIT)
vary("case-of-name", "foo", ["FOO: 1"], ["foo: 1"], HIT)
vary("language-case", "Accept-Language", ["Accept-Language: en, DE"], ["Accept-Language: EN, de"], HIT)
vary("encoding-order", "Accept-Encoding", ["Accept-Encoding: gzip, br"], ["Accept-Encoding: br,gzip"], HIT)
vary("encoding-other", "Accept-Encoding", ["Accept-Encoding: gzip"], ["Accept-Encoding: br"], ORIGIN)
for name, value in (("star", "*"), ("star-star", "*, *"), ("empty-star", ", *"), ("star-foo", "*, Foo"), ("foo-star", "Foo, *")):
    vary(name, value, ["Foo: 1"], ["Foo: 1"], ORIGIN)
case("vary-two-lines-star", "4.1", first(FRESH, "Vary: Foo", "Vary: *", req=["Foo: 1"]), Step(expect=ORIGIN, req=["Foo: 1"]))
case("vary-empty", "4.1", first(FRESH, "Vary: "), Step())
case("vary-keeps-both", "4.1", first(FRESH, "Vary: Foo", req=["Foo: 1"], body=b"1"),
     Step(FRESH, "Vary: Foo", req=["Foo: 2"], body=b"2", expect=ORIGIN), Step(req=["Foo: 1"], text=b"1"),
     Step(req=["Foo: 2"], text=b"2"))
case("vary-validators", "4.1", first(SHORT, ETAG, "Vary: Foo", req=["Foo: 1"]),
     Step(FRESH, "Vary: Foo", req=["Foo: 2"], expect=ORIGIN, asks={"if-none-match": None}, wait=GONE))
case("vary-ends", "4.1", first(SHORT, "Vary: Foo", req=["Foo: 1"]), Step(expect=ORIGIN, req=["Foo: 1"], wait=GONE))
case("vary-changes", "4.1", first(SHORT, "Vary: Foo", req=["Foo: 1"]), Step(FRESH, "Vary: Bar", req=["Foo: 1", "Bar: 1"], expect=ORIGIN, wait=GONE),
     Step(req=["Foo: 9", "Bar: 1"]), Step(expect=ORIGIN, req=["Foo: 1", "Bar: 2"]))

# --- stale answers (4.2.4, RFC 5861) ----------------------------------------------------------------

SIE = cc("max-age=1, stale-if-error=60")
SWR = cc("max-age=1, stale-while-revalidate=60")
case("stale-close", "4.2.4", first(SHORT), Step(fail=True, expect=FAILED, wait=GONE))
case("stale-503", "4.2.4", first(SHORT), Step(expect=ORIGIN, status=503, code=503, wait=GONE))
case("sie-close", "RFC 5861 4", first(SIE), Step(fail=True, expect=ANY, code=200, want={"step-was": "0"}, wait=GONE))
for code in (500, 502, 503, 504):
    case(f"sie-{code}", "RFC 5861 4", first(SIE), Step(status=code, expect=ANY, code=200, want={"step-was": "0"}, wait=GONE))
for code in (404, 501, 403):
    case(f"sie-not-{code}", "RFC 5861 4", first(SIE), Step(status=code, expect=ORIGIN, code=code, wait=GONE))
case("sie-ended", "RFC 5861 4", first(cc("max-age=1, stale-if-error=0")), Step(status=503, expect=ORIGIN, code=503, wait=GONE))
case("sie-request", "RFC 5861 4", first(SHORT), Step(status=503, req=[cc("stale-if-error=60")], expect=ANY, code=200,
                                                    want={"step-was": "0"}, wait=GONE))
case("sie-rule", "rule", first(SHORT), Step(status=503, expect=ANY, code=200, want={"step-was": "0"}, wait=GONE), prefix="/stale")
case("sie-recovers", "RFC 5861 4", first(SIE), Step(status=503, expect=ANY, code=200, wait=GONE), Step(FRESH, expect=ORIGIN), Step())
case("sie-validated", "RFC 5861 4", first(cc("max-age=1, stale-if-error=60"), ETAG),
     Step(status=503, expect=ANY, code=200, want={"step-was": "0"}, asks={"if-none-match": '"a"'}, wait=GONE))
for name, value in (("must-revalidate", "must-revalidate"), ("proxy-revalidate", "proxy-revalidate"), ("no-cache", "no-cache"),
                    ("s-maxage", "s-maxage=1")):
    v = f"max-age=1, stale-if-error=60, stale-while-revalidate=60, {value}"
    case(f"stale-never-{name}", "4.2.4", first(cc(v), ETAG), Step(fail=True, expect=FAILED, wait=GONE))
    case(f"disconnected-{name}", "5.2.2.2", first(cc(v), ETAG), Step(fail=True, expect=FAILED, code=504, wait=GONE))
    case(f"stale-never-503-{name}", "4.2.4", first(cc(v), ETAG), Step(status=503, expect=ANY, code=503, wait=GONE))
case("swr", "RFC 5861 3", first(SWR), Step(FRESH, expect=STALE, wait=GONE), Step(wait=2, want={"step-was": "1"}))
case("swr-304", "RFC 5861 3", first(SWR, ETAG), Step(FRESH, ETAG, status=304, expect=STALE, wait=GONE, asks={"if-none-match": '"a"'}),
     Step(wait=2, want={"step-was": "1"}))
case("swr-ended", "RFC 5861 3", first(cc("max-age=1, stale-while-revalidate=0")), Step(expect=ORIGIN, wait=GONE))
case("swr-max-age-0", "RFC 5861 3", first(cc("max-age=0, stale-while-revalidate=60")), Step(expect=STALE))
case("swr-rule", "rule", first(SHORT), Step(FRESH, expect=STALE, wait=GONE), prefix="/stale")
case("swr-client-max-age", "5.2.1.1", first(SWR), Step(expect=ORIGIN, req=[cc("max-age=600")], wait=GONE))
case("swr-fails", "RFC 5861 3", first(SWR), Step(status=503, expect=STALE, wait=GONE), Step(status=503, expect=ANY, code=200))

CREDENTIALS = ["Authorization: Basic eDp5"]
case("swr-other-credentials", "3.5", first(SWR), Step(FRESH, req=CREDENTIALS, expect=STALE, wait=GONE, asks={"authorization": None}),
     Step(wait=2, want={"step-was": "1"}))
case("swr-same-credentials", "3.5", first(cc("public, max-age=1, stale-while-revalidate=60"), req=CREDENTIALS),
     Step(cc("public, max-age=100"), req=CREDENTIALS, expect=STALE, wait=GONE, asks={"authorization": "Basic eDp5"}),
     Step(wait=2, want={"step-was": "1"}))

# --- invalidation (4.4) -----------------------------------------------------------------------------

for method in ("POST", "PUT", "DELETE", "PATCH"):
    m = {"method": method, "expect": ORIGIN, "send": b"abc"}
    case(f"void-{method}", "4.4", first(FRESH), Step(**m), Step(expect=ORIGIN))
    case(f"void-{method}-redirect", "4.4", first(FRESH), Step(status=303, **m), Step(expect=ORIGIN))
    case(f"void-{method}-failed", "4.4", first(FRESH), Step(status=500, **m), Step())
    case(f"void-{method}-refused", "4.4", first(FRESH), Step(status=403, **m), Step())
    for name in ("Location", "Content-Location"):
        case(f"void-{method}-{name}", "4.4", first(FRESH, at="/b"), Step(f"{name}: @/b", at="/a", **m), Step(expect=ORIGIN, at="/b"))
for method in ("M-SEARCH", "PROPPATCH", "LOCK", "X"):
    case(f"void-{method}", "4.4", first(FRESH), Step(method=method, expect=ORIGIN, send=b"abc"), Step(expect=ORIGIN), prefix="/any")
    case(f"void-{method}-failed", "4.4", first(FRESH), Step(method=method, expect=ORIGIN, status=500, send=b"abc"), Step(), prefix="/any")
for method in ("QUERY", "PROPFIND", "REPORT", "SEARCH"):
    case(f"void-not-{method}", "RFC 9110 9.2.1", first(FRESH), Step(FRESH, method=method, expect=ORIGIN, send=b"abc"),
         Step(FRESH, method=method, expect=ORIGIN, send=b"abc"), Step(), prefix="/any")
case("method-not-taken", "RFC 9110 15.5.6", Step(method="PROPFIND", code=405, expect=ANY, want={"allow": lambda v: "PUT" in v and "LOCK" not in v}))
case("method-not-known", "RFC 9110 15.6.2", Step(method="M-SEARCH", code=501, expect=ANY))
case("method-in-other-case", "RFC 9110 9.1", first(method="get", send=b""), first(method="Post", send=b"1"), prefix="/any")
case("method-never", "RFC 9110 9.3.8", Step(method="TRACE", code=405, expect=ANY), prefix="/any")
case("void-location-relative", "4.4", first(FRESH, at="/b"), Step("Location: b", at="/a", method="POST", expect=ORIGIN, send=b""),
     Step(expect=ORIGIN, at="/b"))
case("void-location-absolute", "4.4", first(FRESH, at="/b"),
     Step("Location: http://api.test@/b", at="/a", method="POST", expect=ORIGIN, send=b""), Step(expect=ORIGIN, at="/b"))
case("void-location-other-origin", "4.4", first(FRESH, at="/b"),
     Step("Location: http://other.test@/b", at="/a", method="POST", expect=ORIGIN, send=b""), Step(at="/b"))
case("void-location-failed", "4.4", first(FRESH, at="/b"),
     Step("Location: @/b", at="/a", method="POST", expect=ORIGIN, status=500, send=b""), Step(at="/b"))
case("void-variants", "4.4", first(FRESH, "Vary: Foo", req=["Foo: 1"]), Step(method="POST", expect=ORIGIN, send=b""),
     Step(expect=ORIGIN, req=["Foo: 1"]))
case("void-not-by-options", "4.4", first(FRESH), Step(method="OPTIONS", expect=ORIGIN), Step())
case("void-group", "RFC 9875 3", first(FRESH, 'Cache-Groups: "@"', at="/b"),
     Step('Cache-Group-Invalidation: "@"', at="/a", method="POST", expect=ORIGIN, send=b""), Step(expect=ORIGIN, at="/b"))
case("void-group-other", "RFC 9875 3", first(FRESH, 'Cache-Groups: "@"', at="/b"),
     Step('Cache-Group-Invalidation: "@x"', at="/a", method="POST", expect=ORIGIN, send=b""), Step(at="/b"))
case("void-group-by-get", "RFC 9875 3", first(FRESH, 'Cache-Groups: "@"', at="/b"),
     Step('Cache-Group-Invalidation: "@"', at="/a", expect=ORIGIN), Step(at="/b"))

# --- HEAD (4, 4.3.5) --------------------------------------------------------------------------------

case("head-from-get", "4", first(FRESH, body=b"12345"), Step(method="HEAD", want={"content-length": "5"}))
case("head-is-not-stored", "4", first(FRESH, method="HEAD"), Step(expect=ORIGIN))
case("head-stale", "4.3.5", first(SHORT), Step(method="HEAD", expect=ORIGIN, wait=GONE))
case("head-freshens", "4.3.5", first(SHORT, ETAG, "A: 1", body=b"12345"),
     Step(FRESH, ETAG, "A: 2", method="HEAD", body=b"12345", expect=ORIGIN, wait=GONE), Step(want={"a": "2"}, text=b"12345"))
case("head-voids", "4.3.5", first(FRESH, ETAG, body=b"12345"),
     Step(FRESH, 'ETag: "b"', method="HEAD", req=[cc("min-fresh=9999")], body=b"12345", expect=ORIGIN),
     Step(expect=ANY, want={"step-was": "2"}))

case("head-no-cache-freshens", "4.3.5", first(FRESH, ETAG, "A: 1", body=b"12345"),
     Step(FRESH, ETAG, "A: 2", method="HEAD", req=[cc("no-cache")], body=b"12345", expect=ORIGIN), Step(want={"a": "2"}, text=b"12345"))
case("head-no-cache-voids", "4.3.5", first(FRESH, ETAG, body=b"12345"),
     Step(FRESH, ETAG, method="HEAD", req=[cc("no-cache")], body=b"123456", expect=ORIGIN), Step(expect=ORIGIN))
case("head-no-store", "5.2.1.5", first(FRESH, ETAG, "A: 1", body=b"12345"),
     Step(FRESH, 'ETag: "b"', method="HEAD", req=[cc("no-cache, no-store")], body=b"123456", expect=ORIGIN), Step(want={"a": "1"}))
case("head-no-cache-failed", "4.3.5", first(FRESH, ETAG, body=b"12345"),
     Step(status=404, method="HEAD", req=[cc("no-cache")], body=b"", expect=ORIGIN, code=404), Step(text=b"12345"))

# --- ranges (RFC 9110 14) ---------------------------------------------------------------------------

TEN = b"0123456789"


def part(name, rng, code, text, *extra, **kw):
    case(f"range-{name}", "RFC 9110 14", first(FRESH, ETAG, OLD, "A: 1", body=TEN),
         Step(req=["Range: " + rng, *extra], code=code, text=text, **kw))


part("first", "bytes=0-1", 206, b"01", want={"content-range": "bytes 0-1/10", "content-length": "2", "a": "1", "etag": '"a"'})
part("open", "bytes=3-", 206, TEN[3:], want={"content-range": "bytes 3-9/10"})
part("suffix", "bytes=-3", 206, TEN[7:], want={"content-range": "bytes 7-9/10"})
part("beyond", "bytes=5-99", 206, TEN[5:])
part("none", "bytes=10-", 416, None, want={"content-range": "bytes */10"})
part("bad", "bytes=5-4", 200, TEN)
part("other-unit", "lines=0-1", 200, TEN)
part("if-range", "bytes=0-1", 206, b"01", 'If-Range: "a"')
part("if-range-other", "bytes=0-1", 200, TEN, 'If-Range: "b"')
part("if-range-date", "bytes=0-1", 206, b"01", "If-Range: " + OLD[15:])
part("if-none-match", "bytes=0-1", 304, b"", 'If-None-Match: "a"')
PART = [FRESH, "Content-Range: bytes 0-1/10"]
case("range-miss-is-passed-on", "RFC 9110 14", first(*PART, status=206, body=b"01", req=["Range: bytes=0-1"], asks={"range": "bytes=0-1"}, code=206),
     Step(expect=ORIGIN), prefix="/parts")
case("range-miss-fills", "RFC 9110 14.2", Step(FRESH, ETAG, body=TEN, req=["Range: bytes=2-3"], expect=ANY, asks={"range": None}, code=206, text=b"23",
                                               want={"content-range": "bytes 2-3/10", "etag": '"a"'}),
     Step(text=TEN), Step(req=["Range: bytes=-1"], code=206, text=b"9"))
case("range-miss-beyond", "RFC 9110 14.2", Step(FRESH, body=TEN, req=["Range: bytes=10-"], expect=ANY, code=416), Step(text=TEN))
case("range-miss-if-range", "RFC 9110 13.1.5", Step(FRESH, ETAG, body=TEN, req=["Range: bytes=2-3", 'If-Range: "b"'], expect=ANY, code=200, text=TEN),
     Step(text=TEN))
case("range-miss-chunked", "RFC 9110 14.2", Step(FRESH, "Transfer-Encoding: chunked", length=False, body=b"3\r\n012\r\n0\r\n\r\n", expect=ANY,
                                                 req=["Range: bytes=1-1"], code=200, text=b"012"), Step(req=["Range: bytes=1-1"], code=206, text=b"1"))
case("range-miss-no-store", "5.2.2.5", Step(cc("no-store"), body=TEN, req=["Range: bytes=2-3"], expect=ANY, asks={"range": None}, code=206, text=b"23"),
     # It is known by now that the whole is of no use.
     Step(*PART, status=206, body=b"01", req=["Range: bytes=0-1"], expect=ORIGIN, asks={"range": "bytes=0-1"}, code=206, text=b"01"))
for name, fields in (("end", ["Range: bytes=-2"]), ("parts", ["Range: bytes=0-0,2-2"]), ("far", ["Range: bytes=1048576-"]),
                     ("authorization", ["Range: bytes=0-1", "Authorization: Basic eDp5"])):
    case(f"range-miss-{name}", "RFC 9110 14.2", first(*PART, status=206, body=b"01", req=fields, asks={"range": fields[0][7:]}, code=206),
         Step(expect=ORIGIN))
case("range-stale", "4.3.1", first(SHORT, ETAG, body=TEN),
     Step(FRESH, ETAG, status=304, req=["Range: bytes=2-3"], expect=VALID, code=206, text=b"23", wait=GONE, asks={"if-none-match": '"a"'}),
     Step(text=TEN))
case("range-unasked-206", "RFC 9110 15.3.7", Step(*PART, status=206, body=b"01", req=["Range: bytes=0-1"], expect=ANY, code=206, text=b"01"),
     Step(expect=ORIGIN))
case("range-field-of-200", "RFC 9110 14.4", first(FRESH, "Content-Range: bytes 0-3/9", body=TEN),
     Step(want={"content-range": "bytes 0-3/9"}, text=TEN),
     Step(req=["Range: bytes=2-3"], code=206, text=b"23", want={"content-range": "bytes 2-3/10"}),
     Step(req=["Range: bytes=2-3,5-6"], code=206, want={"content-range": None}))
case("range-206-is-not-stored", "3.3", first(FRESH, "Content-Range: bytes 0-1/10", status=206, body=b"01", req=["Range: bytes=0-1"], code=206),
     Step(expect=ORIGIN, req=["Range: bytes=0-1"]), prefix="/parts")

# --- interim answers, ETags that are made, keys -----------------------------------------------------

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: a\r\nA: 1\r\n\r\n"
HINTED = (103, {"link": "</x>", "a": None, "connection": None, "content-length": None})
case("interim-103", "RFC 9110 15.2", first(FRESH, before=HINT, code=200, interim=[HINTED]), Step(code=200, interim=[]))
case("interim-102", "RFC 9110 15.2", first(FRESH, before=b"HTTP/1.1 102 Processing\r\n\r\n", code=200, interim=[(102, {})]),
     Step(code=200, interim=[]))
case("interim-several", "RFC 9110 15.2",
     first(FRESH, before=b"HTTP/1.1 102 Processing\r\n\r\n" + HINT + HINT, interim=[(102, {}), HINTED, HINTED]), Step(interim=[]))
case("interim-100", "RFC 9110 15.2.1", first(FRESH, before=b"HTTP/1.1 100 Continue\r\n\r\n", code=200, interim=[]), Step(code=200))
case("interim-unknown", "RFC 9110 15.2", first(FRESH, before=b"HTTP/1.1 199 x\r\n\r\n", code=200, interim=[(199, {})]), Step())
case("interim-101", "RFC 9110 15.2.2", first(FRESH, before=b"HTTP/1.1 101 Switching\r\n\r\n", expect=FAILED, code=502), Step(expect=ORIGIN))
case("interim-and-304", "RFC 9110 15.2", first(SHORT, ETAG), Step(FRESH, ETAG, status=304, before=HINT, interim=[HINTED], expect=VALID, wait=GONE))
case("interim-POST", "RFC 9110 15.2", first(before=HINT, method="POST", send=b"x", interim=[HINTED]))
case("etag-made-weak", "rule", first(FRESH, OLD), Step(want={"etag": lambda v: v.startswith('W/"')}), prefix="/weak")
case("etag-made-strong", "rule", first(FRESH), Step(want={"etag": lambda v: v.startswith('"')}), prefix="/strong")
case("etag-made-is-not-asked", "4.3.1", first(SHORT, OLD),
     Step(FRESH, OLD, status=304, expect=VALID, wait=GONE, asks={"if-none-match": None, "if-modified-since": OLD[15:]},
          want={"etag": lambda v: v.startswith('W/"')}), Step(), prefix="/weak")
case("etag-made-not", "rule", first(FRESH, ETAG), Step(want={"etag": '"a"'}), prefix="/strong")

# --- what a case is about, for perf/cache_semantics ---------------------------------------------------

# RFCs leave these to the cache, and Sluice has chosen.
CHOICES = {"none", "heuristic-off", "max-age-letters", "max-age-trailing-letters", "max-age-space-before",
           "max-age-space-behind", "max-age-decimal", "max-age-twice", "expires-twice", "expires-utc", "age-letters",
           "age-first", "age-first-old", "pragma-in-response", "set-cookie", "set-cookie-public", "must-understand",
           "must-understand-not", "old-and-no-store", "listed-no-cache", "listed-private", "negative-off",
           "validated-set-cookie", "range-miss-is-passed-on", "range-206-is-not-stored", "range-if-none-match",
           "cond-if-match", "cond-if-unmodified", "cond-etag-unquoted", "head-is-not-stored", "head-voids",
           "vary-encoding-other", "range-field-of-200", "range-unasked-206", "range-stale", "validated-digest",
           "swr-other-credentials", "swr-same-credentials"}


# What RFCs recommend, or a feature.
OWN = ("cdn-", "sluice-", "surrogate-", "void-group", "disconnected-", "range-miss-", "interim-", "method-", "head-no-")


def kind(name):
    """own: a choice, or a feature of Sluice's; must: an answer that may not be used; may: one that can."""
    _, prefix, steps = CASES[name]
    if prefix != "/c" or name in CHOICES or name.startswith(OWN):
        return "own"
    # Directives of requests are advice (5.2.1).
    if name.startswith("asked-") or name == "swr-client-max-age":
        return "may"
    return "must" if steps[-1].expect in (ORIGIN, FAILED, NONE) else "may"
