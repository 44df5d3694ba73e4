# SPDX-License-Identifier: BSD-2-Clause
"""Cache rules: docs/examples/rules.yaml, all of it, before an origin that counts and tells what reached
it. Keys as the operator sees them, requests of equal meaning, tenants apart, bodies as keys, cascades."""

import json
import os
import re
import threading
import unittest
from hashlib import sha256

from lab import CONFIG, ROOT, Lab, wait_until
from origin import Origin, answer

HOST = "api.example.com"
ACME = ("X-Tenant-Id: acme", "X-Policy-Hash: cdd01ef066bc6cf2")
OTHER = ("X-Tenant-Id: other", "X-Policy-Hash: cdd01ef066bc6cf2")
UUID = "550e8400-e29b-41d4-a716-446655440000"
JSON = "Content-Type: application/json"


def example():
    """The example with the lab's address, port and origin in the place of its own."""
    with open(os.path.join(ROOT, "docs", "examples", "rules.yaml"), encoding="ascii") as f:
        text = f.read()
    text = text[text.index("upstreams:"):].replace("127.0.0.1:8080", "127.0.0.1:18081")
    head = CONFIG[:CONFIG.index("upstreams:")]
    # One that no part of the API has.
    text = text.replace("\nroutes:\n", """
  - {name: adaptive, key: adaptive, ttl_s: 100, ttl_min_s: 50, ttl_max_s: 400}

routes:
  - {path: /adaptive, methods: [GET], upstream: api, cache: {rule: adaptive}}
""")
    return head + text.replace("{", "{{").replace("}", "}}")


class Telling(dict):
    """Every path is answered with what reached the origin, and says nothing of caching."""

    def get(self, path, default=None):
        return super().get(path, self.tell)

    @staticmethod
    def tell(r, peer):
        peer.send(answer(b"" if r.method == "HEAD" else r.tell(), 200, JSON))


def setUpModule():
    Rules.lab = Lab(config=example()).start(nginx=False)
    Rules.origin = Origin(Rules.lab)
    Rules.origin.scripts = Telling()


def tearDownModule():
    Rules.origin.stop()
    Rules.lab.stop()


# Path, the key without its scope.
KEYS = (
    ("/api/v1/risks?page=2&severity=HIGH&status=open",
     "risk:list:page=2:severity=high:status=open"),
    ("/api/v1/risks", "risk:list:page=1:severity=:status="),
    (f"/api/v1/risks/{UUID.upper()}", f"risk:id:{UUID}"),
    ("/api/v1/risks/search?q=b&a=1", r"risk:search:[0-9a-f]{32}"),
    ("/api/v1/risks/matrix?period=quarter", "risk:matrix:period=90d"),
    ("/api/v1/dashboard/stats", "dashboard:stats:period=30d"),
    ("/api/v1/dashboard/matrix", "dashboard:matrix"),
    ("/api/v1/dashboard/timeline?days=2w", "dashboard:timeline:days=14"),
    ("/api/v1/marketplace/connectors?category=CRM&status=live",
     "marketplace:connectors:category=crm:status=live"),
    (f"/api/v1/marketplace/connectors/{UUID}", f"marketplace:connector:{UUID}"),
    (f"/api/v1/marketplace/apps/{UUID}", f"marketplace:app:{UUID}"),
    ("/api/v1/overview", "overview:all"),
    ("/api/v1/reports/q3?b=2&a=1", "report:q3:a=1&b=2"),
    ("/api/v1/capabilities?resource=/Doc/77/&context=eu", "cap:%2Fdoc%2F{id}:alice:eu"),
    ("/api/v1/evidence/s1/AB12", "evid:s1:ab12"),
    ("/api/v1/sessions/s1", "session:s1"),
    ("/api/v1/constitution/v2/hash", "const:/api/v1/constitution/v2/hash"),
)
PUBLIC = ("marketplace:",)


class Rules(unittest.TestCase):
    def setUp(self):
        self.lab.ctl("cache", "purge", "--all")

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def ask(self, path, *headers, **kw):
        return self.lab.get(path, headers=headers, host=HOST, **kw)

    def hits(self, path, *headers, **kw):
        r = self.ask(path, *headers, **kw)
        self.assertEqual(r.status, 200, path)
        return r.hit

    def keys(self):
        return {e["key"] for e in self.lab.ctl_json("cache", "list")["entries"]}

    def decide(self, body, *headers, text=JSON):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("/api/v1/decisions", text, *headers, method="POST", body=data)

    def test_keys(self):
        for path, base in KEYS:
            base = base if "[0-9" in base else re.escape(base)
            before = self.keys()
            self.assertFalse(self.hits(path, *ACME, "X-User-Id: alice"), path)
            self.assertTrue(self.hits(path, *ACME, "X-User-Id: alice"), path)
            new = self.keys() - before
            self.assertEqual(len(new), 1, (path, new))
            scope = r"\|h=api\.example\.com"
            if not base.startswith(PUBLIC):
                scope += r"\|t=acme\|p=cdd01ef066bc6cf2"
            self.assertRegex(new.pop(), f"^{base}{scope}$")

    def test_lifetimes(self):
        for path, seconds in (("/api/v1/risks", 300), ("/api/v1/dashboard/stats", 600),
                              ("/api/v1/marketplace/connectors", 900), ("/api/v1/overview", 30),
                              (f"/api/v1/marketplace/apps/{UUID}", 1200),
                              ("/api/v1/capabilities?resource=a&context=b", 3600),
                              ("/api/v1/constitution/x", 1800)):
            self.ask(path)
            status = self.ask(path)["cache-status"]
            ttl = int(re.search(r"ttl=(-?\d+)", status).group(1))
            self.assertTrue(seconds - 10 <= ttl <= seconds, (path, status))

    def test_equal_meaning(self):
        for first, *same in (
                ("/api/v1/risks?page=1&severity=critical&status=open",
                 "/api/v1/risks?status=Open&severity=CRIT", "/api/v1/risks?severity=sev1&page=01&status=open",
                 "/api/v1/risks?severity=sev1&page=1&status=open&utm_source=mail",
                 "/api/v1/risks?%73everity=%43ritical&status=open"),
                ("/api/v1/risks/search?a=1&b=2", "/api/v1/risks/search?b=2&a=1"),
                ("/api/v1/dashboard/timeline?days=14", "/api/v1/dashboard/timeline?days=2w"),
                ("/api/v1/capabilities?resource=/doc/1&context=x",
                 f"/api/v1/capabilities?resource=/DOC/{UUID}/&context=x")):
            self.assertFalse(self.hits(first, *ACME))
            for path in same:
                self.assertTrue(self.hits(path, *ACME), path)

    def test_no_key(self):
        """What two readers could understand differently goes to the origin each time."""
        for path in ("/api/v1/risks?page=1&page=2", "/api/v1/risks?page=1&Page=2", "/api/v1/risks?debug=1",
                     "/api/v1/risks?page=1;page=2", "/api/v1/overview?x=1"):
            self.assertFalse(self.hits(path, *ACME))
            self.assertFalse(self.hits(path, *ACME), path)
        for fields in (("X-Tenant-Id: a", "X-Tenant-Id: b"),
                       ("X-Tenant-Id: a", "Connection: X-Tenant-Id")):
            self.assertFalse(self.hits("/api/v1/risks", *fields))
            self.assertFalse(self.hits("/api/v1/risks", *fields), fields)

    def test_write_through(self):
        """The risk as its change left it, for the tenant that changed it; the cascade goes first."""
        path = "/api/v1/risks/W1"
        for who in (ACME, OTHER):
            self.ask("/api/v1/risks", *who)
            self.ask(path, *who)
        self.origin.on(path, answer("changed", 200, f"Content-Location: {path}"))
        try:
            self.assertEqual(self.ask(path, *ACME, method="PUT", body=b"{}").body, b"changed")
        finally:
            del self.origin.scripts[path]
        r = self.ask("/api/v1/risks/w1", *ACME)
        self.assertEqual((r.body, r.hit), (b"changed", True))
        r = self.ask(path, *OTHER)
        self.assertTrue(r.hit)
        self.assertNotEqual(r.body, b"changed")
        self.assertFalse(self.hits("/api/v1/risks", *ACME))
        self.lab.ctl("cache", "purge", "--tag", "risk-w1")
        self.assertNotEqual(self.ask(path, *ACME).body, b"changed")

    def test_write_through_variants(self):
        """A list of variants that the change emptied does not keep it out."""
        path = self.origin.on("/api/v1/risks/W2", answer("old", 200, "Vary: Accept-Language"))
        try:
            self.assertEqual(self.ask(path, *ACME, "Accept-Language: de").body, b"old")
            self.origin.on(path, answer("changed", 200, f"Content-Location: {path}"))
            self.ask(path, *ACME, method="PUT", body=b"{}")
        finally:
            del self.origin.scripts[path]
        for fields in ((), ("Accept-Language: de",)):
            r = self.ask(path, *ACME, *fields)
            self.assertEqual((r.body, r.hit), (b"changed", True))

    def test_tenants(self):
        """Each gets its own answer, whoever asks first; the origin tells who asked."""
        people = [ACME, OTHER, (*ACME, "Authorization: Bearer a"), (*ACME, "Authorization: Bearer b"),
                  (*ACME, "Cookie: s=1"), ("X-Tenant-Id: acme", "X-Policy-Hash: 00"), (),
                  ("X-Tenant-Id: acme|p=cdd01ef066bc6cf2",)]
        for _ in range(2):
            for who in people:
                r = self.ask("/api/v1/risks/77", *who)
                sent = [f"{k}: {v}" for k, v in json.loads(r.body)["fields"]]
                for field in who:
                    self.assertIn(field, sent)
                self.assertEqual(sum(f.startswith(("X-Tenant", "Auth", "Cookie", "X-Pol"))
                                     for f in sent), len(who))
        self.assertEqual(self.origin.count("/api/v1/risks/77"), len(people))
        # Not so what is public.
        self.assertFalse(self.hits("/api/v1/marketplace/connectors", *ACME))
        self.assertTrue(self.hits("/api/v1/marketplace/connectors", *OTHER))

    def test_decisions(self):
        ask = {"resource": "/Docs/17/", "capability": "read", "context": {"zone": "eu", "n": 1}}
        self.assertFalse(self.decide(ask, *ACME).hit)
        self.assertTrue(self.decide(ask, *ACME).hit)
        key = "dec:%2Fdocs%2F{id}:read:!%7B%22zone%22%3A%22eu%22%2C%22n%22%3A1%7D"
        self.assertIn(key, {k.split("|")[0] for k in self.keys()})
        self.assertTrue(self.decide({**ask, "resource": "/docs/99", "more": [1]}, *ACME).hit)
        self.assertTrue(self.decide(json.dumps(ask, indent=2).encode(), *ACME).hit)
        self.assertFalse(self.decide(ask, *OTHER).hit)
        self.assertFalse(self.decide({**ask, "capability": "write"}, *ACME).hit)
        self.assertFalse(self.decide({**ask, "context": {"zone": "eu", "n": "1"}}, *ACME).hit)

    def decide_together(self, asks, script):
        """At a time, while script holds the first back; the answers in the order of asks."""
        gate, got, threads = threading.Event(), {}, []

        def held(r, peer):
            gate.wait(10)
            script(r, peer)
        self.origin.on("/api/v1/decisions", held)
        self.origin.forget()
        before = self.lab.metric("sluice_fetch_requests_total")
        for i, ask in enumerate(asks):
            threads.append(threading.Thread(
                target=lambda i=i, ask=ask: got.setdefault(i, self.decide(ask, *ACME))))
            threads[-1].start()
        wait_until(lambda: self.lab.metric("sluice_fetch_requests_total") >= before + len(asks), 5, "all there")
        gate.set()
        for t in threads:
            t.join()
        del self.origin.scripts["/api/v1/decisions"]
        return [got[i] for i in range(len(asks))]

    def test_decisions_wait_for_each_other(self):
        """One question to the origin for as many as mean the same; and what is for one alone is asked
        for each, with its own body."""
        asks = [{"resource": "/docs/1", "capability": "read", "note": n} for n in range(6)]
        for r in self.decide_together(asks, Telling.tell):
            self.assertEqual(r.status, 200)
        self.assertEqual(self.origin.count("/api/v1/decisions"), 1)
        asks = [{"resource": "/docs/2", "capability": "own", "note": "x" * n * 700} for n in range(6)]
        answers = self.decide_together(asks, lambda r, peer: peer.send(
            answer(r.tell(), 200, JSON, "Cache-Control: private")))
        for ask, r in zip(asks, answers):
            self.assertEqual(json.loads(r.body)["sha256"], sha256(json.dumps(ask).encode()).hexdigest())
        self.assertEqual(self.origin.count("/api/v1/decisions"), 6)
        asks = [{"resource": "/docs/3", "capability": c} for c in ("a", "b", "a", "b")]
        for ask, r in zip(asks, self.decide_together(asks, Telling.tell)):
            self.assertEqual(json.loads(r.body)["sha256"], sha256(json.dumps(ask).encode()).hexdigest())
        self.assertEqual(self.origin.count("/api/v1/decisions"), 2)

    def test_decisions_without_a_key(self):
        for body, kind in ((b'{"resource":"a","resource":"b"}', JSON), (b"resource=a", JSON),
                           (b'{"resource":"a"}', "Content-Type: text/plain"),
                           (json.dumps({"resource": "x" * 20000}).encode(), JSON)):
            for _ in range(2):
                r = self.decide(body, text=kind)
                self.assertEqual((r.status, r.hit), (200, False))
                self.assertEqual(json.loads(r.body)["body_len"], len(body))

    def test_a_body_in_pieces(self):
        body = json.dumps({"resource": "a", "capability": "c", "note": "x" * 3000}).encode()
        head = (f"POST /api/v1/decisions HTTP/1.1\r\nHost: {HOST}\r\n{JSON}\r\n"
                f"Content-Length: {len(body)}\r\n").encode()
        for n in range(2):
            with self.lab.client() as c:
                c.sock.sendall(head + b"\r\n" + body[:100])
                for at in range(100, len(body), 700):
                    c.sock.sendall(body[at:at + 700])
                r = c.response("POST")
                self.assertEqual((r.status, r.hit), (200, n == 1))
                # The connection goes on behind the body.
                self.assertEqual(c.ask("/api/v1/overview", host=HOST).status, 200)
        with self.lab.client() as c:
            c.sock.sendall(head + b"Expect: 100-continue\r\n\r\n")
            c.sock.settimeout(5)
            self.assertEqual(c.sock.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            c.sock.sendall(body)
            self.assertTrue(c.response("POST").hit)

    def test_cascades(self):
        reads = {"id": "/api/v1/risks/7", "id8": "/api/v1/risks/8", "list": "/api/v1/risks?page=3",
                 "stats": "/api/v1/dashboard/stats", "matrix": "/api/v1/dashboard/matrix",
                 "report": "/api/v1/reports/q3", "overview": "/api/v1/overview"}
        gone = {("POST", "/api/v1/risks"): {"list", "stats"},
                ("PUT", "/api/v1/risks/7"): {"id", "list", "stats", "matrix"},
                ("PATCH", "/api/v1/risks/8"): {"id8", "list", "stats", "matrix"},
                ("DELETE", "/api/v1/risks/7"): {"id", "list", "stats", "matrix", "report"}}
        for who in (ACME, OTHER):
            for path in reads.values():
                self.ask(path, *who)
        for (method, path), names in gone.items():
            self.assertEqual(self.ask(path, *ACME, "Authorization: Bearer admin", method=method,
                                      body=b"{}").status, 200)
            for name, read in reads.items():
                self.assertEqual(self.hits(read, *ACME), name not in names, (method, path, name))
                self.assertTrue(self.hits(read, *OTHER), (method, path, name))
        # What fails changes nothing.
        self.origin.on("/api/v1/risks/7", lambda r, peer: peer.send(
            answer("no", 409) if r.method == "PUT" else answer("yes", 200)))
        self.ask(reads["id"], *ACME)
        self.assertEqual(self.ask("/api/v1/risks/7", *ACME, method="PUT", body=b"{}").status, 409)
        self.assertTrue(self.hits(reads["id"], *ACME))
        # Without a tenant it is every tenant's.
        self.ask("/api/v1/risks", method="POST", body=b"{}")
        for who in (ACME, OTHER):
            self.assertFalse(self.hits(reads["list"], *who))

    def test_adaptive(self):
        """Twice as long after each 304, half as long after a change, within the bounds."""
        state = {"etag": '"a"', "asked": 0}

        def script(r, peer):
            state["asked"] += 1
            tag = f"ETag: {state['etag']}"
            if r["if-none-match"] == state["etag"]:
                peer.send(f"HTTP/1.1 304 Same\r\n{tag}\r\n\r\n".encode())
            else:
                peer.send(answer("x", 200, tag))

        def ttl():
            r = self.ask("/adaptive", "Cache-Control: no-cache")
            self.assertEqual(r.status, 200)
            return int(re.search(r"ttl=(-?\d+)", self.ask("/adaptive")["cache-status"]).group(1))

        self.origin.on("/adaptive", script)
        for etag, want in (('"a"', 100), ('"a"', 200), ('"a"', 400), ('"a"', 400), ('"b"', 200),
                           ('"c"', 100), ('"d"', 50), ('"e"', 50), ('"e"', 100)):
            state["etag"] = etag
            self.assertLessEqual(abs(ttl() - want), 5, (etag, want))
        self.assertEqual(state["asked"], 9)

    def test_explain(self):
        """Rule, key and fields as a core takes them, and keys that are made of a body."""
        def explain(*args, **kw):
            return json.loads(self.lab.ctl("-o", "json", "cache", "explain", *args, **kw).stdout)
        self.ask("/api/v1/risks/7", *ACME)
        key = next(k for k in self.keys() if k.startswith("risk:id:7|"))
        x = explain("GET", f"http://{HOST}/api/v1/risks/7", "-H", ACME[0], "-H", ACME[1])
        self.assertEqual((x["rule"], x["key"], x["verdict"]), ("risk", key, "answered out of the cache"))
        x = explain("GET", f"http://{HOST}/api/v1/risks/7", "-H", ACME[0])
        self.assertNotEqual(x["key"], key)
        ask = {"resource": "/Docs/17/", "capability": "read"}
        self.decide(ask, *ACME)
        key = next(k for k in self.keys() if k.startswith("dec:"))
        for more in (("-d", json.dumps(ask)), ("--data", json.dumps(ask, indent=1), "-H", JSON),
                     ("--data-file", self.write(json.dumps(ask)))):
            x = explain("POST", f"http://{HOST}/api/v1/decisions", "-H", ACME[0], "-H", ACME[1], *more)
            self.assertEqual((x.get("key"), x["verdict"]), (key, "answered out of the cache"), more)
        for more in ((), ("-d", "resource=a"), ("-d", "{}", "-H", "Content-Type: text/plain")):
            x = explain("POST", f"http://{HOST}/api/v1/decisions", *more)
            self.assertRegex(x["verdict"], "^past the cache", more)
        self.assertNotEqual(self.lab.ctl("cache", "explain", "POST", f"http://{HOST}/", "--data-file",
                                         "/nonexistent", check=False).returncode, 0)

    def write(self, text):
        name = os.path.join(self.lab.run_dir, "body")
        with open(name, "w", encoding="ascii") as f:
            f.write(text)
        return name

    def test_by_hand(self):
        for path in ("/api/v1/risks/7", "/api/v1/risks", "/api/v1/dashboard/matrix"):
            self.ask(path, *ACME)
        self.lab.ctl("cache", "purge", "risk:*")
        self.assertFalse(self.hits("/api/v1/risks/7", *ACME))
        self.assertFalse(self.hits("/api/v1/risks", *ACME))
        self.assertTrue(self.hits("/api/v1/dashboard/matrix", *ACME))

    def test_counters(self):
        def count(rule, result):
            return self.lab.metric("sluice_cache_rule_requests_total", rule=rule, result=result)
        before = [count("session", r) for r in ("hit", "miss", "bypass")]
        for _ in range(3):
            self.ask("/api/v1/sessions/counted")
        self.ask("/api/v1/sessions/counted?x=1")
        wait_until(lambda: [count("session", r) for r in ("hit", "miss", "bypass")] ==
                   [before[0] + 2, before[1] + 1, before[2] + 1], 5, "counters of the rule")
        self.assertGreater(self.lab.metric("sluice_cache_rule_requests_total", match="exact"), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
