# SPDX-License-Identifier: BSD-2-Clause
"""Rules with match: pattern, before an origin that says what it read, that lies, that changes, and that
writes nonsense: one answer for many resources, never one for other values, and a lie is found."""

import json
import threading
import time
import unittest

from lab import CONFIG, Lab, wait_until
from origin import Origin, answer

HOST = "api.test"

RULES = """
rules:
  - {{name: said, match: pattern, reads: [origin], check_one_in: 1000000, ttl_s: 60}}
  - {{name: listed, match: pattern, reads: [query.page, header.accept-language],
     check_one_in: 1000000, ttl_s: 60}}
  - {{name: watched, match: pattern, reads: [origin], check_one_in: 1, ttl_s: 60}}
  - {{name: watched-too, match: pattern, reads: [query.page], check_one_in: 1, ttl_s: 60}}
  - {{name: stale, match: pattern, reads: [origin], check_one_in: 1000000}}
  - {{name: update, purges: ["pattern:listed"]}}
routes:
  - {{path: "/said/{{id}}", methods: [GET, HEAD, PUT], upstream: web, cache: {{rule: said}}}}
  - {{path: "/also/{{id}}", upstream: web, methods: [GET], cache: {{rule: said}}}}
  - {{path: "/listed/{{id}}", methods: [GET], upstream: web, cache: {{rule: listed}}}}
  - {{path: "/listed/{{id}}", methods: [PUT], upstream: web, cache: {{rule: update}}}}
  - {{path: "/watched/{{id}}", upstream: web, methods: [GET], cache: {{rule: watched}}}}
  - {{path: "/too/{{id}}", upstream: web, methods: [GET], cache: {{rule: watched-too}}}}
  - {{path: "/stale/{{id}}", upstream: web, methods: [GET],
     cache: {{rule: stale, stale_while_revalidate_s: 60}}}}
"""


def config():
    """The lab's, with the rules, and the origin of the test behind them."""
    head = CONFIG[:CONFIG.index("routes:")]
    return head.replace("127.0.0.1:{origin}", "127.0.0.1:18081") + RULES


class Reading(dict):
    """An origin that makes its answer of what reads says (names of the read set), and says so."""

    def __init__(self):
        super().__init__()
        self.says = "query.page"     # the field; None: it says nothing
        self.reads = ("query.page",)  # what it reads in truth
        self.more = ()
        self.version = lambda: ""
        self.status = 200

    def get(self, path, default=None):
        return super().get(path, self.tell)

    def tell(self, r, peer):
        _, _, query = r.target.partition("?")
        values = dict(p.partition("=")[::2] for p in query.split("&") if p)
        seen = {}
        for name in self.reads:
            kind, _, key = name.partition(".")
            seen[name] = values.get(key) if kind == "query" else r.path if kind == "path" else r[key]
        said = [f"Sluice-Read-Set: {self.says}"] if self.says is not None else []
        body = json.dumps([seen, self.version()])
        peer.send(answer("" if r.method == "HEAD" else body, self.status, "Cache-Control: max-age=60",
                         *said, *self.more))


def setUpModule():
    Pattern.lab = Lab(config=config()).start(nginx=False)
    Pattern.origin = Origin(Pattern.lab)


def tearDownModule():
    Pattern.origin.stop()
    Pattern.lab.stop()


class Pattern(unittest.TestCase):
    def setUp(self):
        for rule in ("watched", "watched-too"):
            self.lab.ctl("cache", "rules", "enable", rule)
            wait_until(lambda rule=rule: self.off(rule) == 0, 5, "on")
        self.say = self.origin.scripts = Reading()
        self.lab.ctl("cache", "purge", "--all")
        self.origin.forget()

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def ask(self, path, *headers, **kw):
        r = self.lab.get(path, headers=headers, host=HOST, **kw)
        self.assertNotIn("sluice-read-set", {k.lower() for k, _ in r.fields}, path)
        return r

    def hit(self, path, *headers, **kw):
        r = self.ask(path, *headers, **kw)
        self.assertEqual(r.status, 200, path)
        return r.hit

    def keys(self, store=False):
        args = ("--store",) if store else ()
        return {e["key"] for e in self.lab.ctl_json("cache", "list", *args)["entries"]}

    def checks(self, rule, result):
        return self.lab.metric("sluice_cache_rule_checks_total", rule=rule, result=result)

    def off(self, rule):
        return self.lab.metric("sluice_cache_rule_disabled", rule=rule)

    # --- one answer for many ---

    def test_many_resources_one_answer(self):
        first = self.ask("/said/1?page=2&x=1")
        self.assertFalse(first.hit)
        for path in ("/said/1?page=2&x=1", "/said/2?page=2", "/said/3?y=1&page=2", "/said/4?p%61ge=2"):
            r = self.ask(path)
            self.assertTrue(r.hit, path)
            self.assertEqual(r.body, first.body)
        self.assertTrue(self.ask("/said/9?page=2", method="HEAD").hit)
        self.assertFalse(self.hit("/said/1?page=3"))
        self.assertFalse(self.hit("/said/1"))
        self.assertTrue(self.hit("/said/5"))
        self.assertEqual(self.origin.count(), 3)
        self.assertIn("pattern:said|h=api.test|r=/said/{id} query.page=2", self.keys())
        # Another route is another program, whatever it says.
        self.assertFalse(self.hit("/also/1?page=2"))

    def test_doubt_is_not_shared(self):
        self.hit("/said/1?page=2")
        for path in ("/said/2?page=2&page=2", "/said/3?Page=2&page=2", "/said/4?page=2;x"):
            self.assertFalse(self.hit(path), path)
        self.assertFalse(self.hit("/said/5?PAGE=2"))
        self.assertFalse(self.hit("/said/6"))

    def test_scope(self):
        people = [(), ("X-Tenant-Id: a",), ("X-Tenant-Id: b",), ("X-Tenant-Id: a", "X-Policy-Hash: 1"),
                  ("Authorization: a",), ("Authorization: b",), ("Cookie: s=1",)]
        for who in people:
            self.assertFalse(self.hit("/said/1?page=2", *who), who)
        for who in people:
            self.assertTrue(self.hit("/said/2?page=2", *who), who)

    def test_without_a_word(self):
        for says in (None, "", "oops", "query.page,", "(query.page)", '"query.page', "body.a", "path.nope",
                     "query.page\r\nSluice-Read-Set: ?1", "header.host", "header.x-forwarded-for"):
            self.lab.ctl("cache", "purge", "--all")
            self.say.says = says
            self.assertFalse(self.hit("/said/1?page=2"), says)
            self.assertFalse(self.hit("/said/2?page=2"), says)
            self.assertTrue(self.hit("/said/1?page=2"), says)
            self.assertTrue(self.hit("/said/2?page=2"), says)
            self.assertFalse(any(k.startswith("pattern:") for k in self.keys(store=True)), says)

    def test_private_is_not_shared(self):
        self.say.more = ("Cache-Control: private",)
        self.say.says = "none"
        for i in range(3):
            self.assertFalse(self.hit(f"/said/{i}"))

    def test_nothing_read(self):
        self.say.says, self.say.reads = "none", ()
        self.assertFalse(self.hit("/said/1"))
        for path in ("/said/2?a=1", "/said/3"):
            self.assertTrue(self.hit(path))

    def test_list_grows(self):
        """Answers that read different things: nobody gets one for values that it did not compare."""
        self.say.says, self.say.reads = "query.page", ("query.page",)
        self.hit("/said/1?page=1")
        self.assertTrue(self.hit("/said/2?page=1", "X-Lang: de"))
        self.say.says, self.say.reads = "query.page, header.x-lang", ("query.page", "header.x-lang")
        for lang in ("de", "en", "de", "en", "de", "en"):
            r = self.ask("/said/3?page=2", f"X-Lang: {lang}")
            self.assertEqual(json.loads(r.body)[0]["header.x-lang"], lang)
        self.assertTrue(self.hit("/said/4?page=2", "X-Lang: de"))
        self.assertFalse(self.hit("/said/4?page=2", "X-Lang: fr"))
        # Less said later changes nothing.
        self.say.says, self.say.reads = "none", ()
        self.assertFalse(self.hit("/said/4?page=7", "X-Lang: fr"))
        self.assertFalse(self.hit("/said/4?page=7", "X-Lang: de"))

    def test_vary_is_read_too(self):
        self.say.reads = ("query.page", "header.accept")
        self.say.more = ("Vary: Accept",)
        for accept in ("a/a", "b/b"):
            self.assertFalse(self.hit("/said/1?page=1", f"Accept: {accept}"))
        for accept in ("a/a", "b/b"):
            r = self.ask("/said/2?page=1", f"Accept: {accept}")
            self.assertTrue(r.hit)
            self.assertEqual(json.loads(r.body)[0]["header.accept"], accept)

    def test_explain(self):
        url = f"http://{HOST}/said/2?page=2"
        self.assertRegex(self.lab.ctl_json("cache", "explain", "GET", url)["shared"], "^nothing: no answer")
        self.hit("/said/1?page=2")
        x = self.lab.ctl_json("cache", "explain", "GET", url)
        self.assertEqual((x["rule"], x["shared"], x["verdict"]),
                         ("said", "pattern:said|h=api.test|r=/said/{id} query.page=2", "answered out of the cache"))
        self.assertTrue(all(t["shared"] for t in x["tiers"]))
        self.assertIn("Shared: pattern:said", self.lab.ctl("cache", "explain", "GET", url).stdout)
        self.lab.ctl("cache", "rules", "disable", "said")
        self.assertRegex(self.lab.ctl_json("cache", "explain", "GET", url)["shared"], "off")
        self.assertFalse(self.hit("/said/2?page=2"))
        self.assertRegex(self.lab.ctl("cache", "rules").stdout, r"said +OFF +pattern")
        self.lab.ctl("cache", "rules", "enable", "said")
        for args in (("enable",), ("enable", "nobody"), ("enable", "update"), ("what", "said")):
            self.assertNotEqual(self.lab.ctl("cache", "rules", *args, check=False).returncode, 0, args)

    def test_rules_list(self):
        self.say.says = None
        self.say.reads = ("query.page", "header.accept-language")
        self.assertFalse(self.hit("/listed/1?page=1", "Accept-Language: de"))
        self.assertTrue(self.hit("/listed/2?page=1", "Accept-Language: de"))
        self.assertFalse(self.hit("/listed/2?page=1", "Accept-Language: en"))

    def test_together(self):
        """Many wait for one fetch, though each asks for a resource of its own."""
        self.hit("/said/0?page=0")
        gate = threading.Event()

        def script(r, peer):
            gate.wait(10)
            self.say.tell(r, peer)
        got = []
        threads = []
        for i in range(8):
            self.origin.on(f"/said/{i}", script)
            threads.append(threading.Thread(target=lambda i=i: got.append(
                self.ask(f"/said/{i}?page=5"))))
        for t in threads:
            t.start()
        wait_until(lambda: self.lab.metric("sluice_fetch_joined_total") >= 7, 5, "all joined")
        gate.set()
        for t in threads:
            t.join()
        self.assertEqual([json.loads(r.body)[0]["query.page"] for r in got], ["5"] * 8)
        self.assertEqual(len([r for r in self.origin.seen() if r.target.endswith("page=5")]), 1)

    def test_joined_for_another(self):
        """Who waited for an answer that then depends on more gets its own."""
        self.hit("/said/0?page=0")
        self.say.says, self.say.reads = "query.page, path", ("query.page", "path")
        gate = threading.Event()

        def script(r, peer):
            gate.wait(10)
            self.say.tell(r, peer)
        got = {}
        threads = []
        joined = self.lab.metric("sluice_fetch_joined_total")
        for i in range(4):
            self.origin.on(f"/said/{i}", script)
            threads.append(threading.Thread(target=lambda i=i: got.setdefault(
                i, self.ask(f"/said/{i}?page=6"))))
        for t in threads:
            t.start()
        wait_until(lambda: self.lab.metric("sluice_fetch_joined_total") >= joined + 3, 5, "joined")
        gate.set()
        for t in threads:
            t.join()
        for i, r in got.items():
            self.assertEqual(json.loads(r.body)[0]["path"], f"/said/{i}")

    def test_purges(self):
        for how in (("pattern:said",), ("pattern:said*",), ("--rule", "said"),
                    ("pattern:said|h=api.test|r=/said/{id} query.page=2",)):
            self.hit("/said/1?page=2")
            self.assertTrue(self.hit("/said/2?page=2"))
            self.lab.ctl("cache", "purge", *(h if h != "pattern:said" else "pattern:said|*" for h in how))
            self.assertFalse(self.hit("/said/2?page=2"), how)
        # A change of any of the resources, and what its rule says.
        self.assertTrue(self.hit("/said/3?page=2"))
        self.assertEqual(self.ask("/said/7", method="PUT", body=b"{}").status, 200)
        self.assertFalse(self.hit("/said/3?page=2"))
        self.hit("/listed/1?page=1")
        self.assertTrue(self.hit("/listed/2?page=1"))
        self.assertEqual(self.ask("/listed/3", method="PUT", body=b"{}").status, 200)
        self.assertFalse(self.hit("/listed/2?page=1"))

    def test_stale(self):
        """stale-while-revalidate of what is shared; and never another resource's validators."""
        self.say.more = ('ETag: "a"', "Cache-Control: max-age=1")
        self.say.says, self.say.reads = "none", ()
        self.say.version = lambda: str(self.origin.count())
        self.origin.scripts = self.say

        def tell(r, peer):
            self.assertIsNone(r["if-none-match"])
            body = json.dumps([{}, self.say.version()])
            peer.send(answer(body, 200, 'ETag: "a"', "Cache-Control: max-age=1", "Sluice-Read-Set: none"))
        self.say.tell = tell
        first = self.ask("/stale/1").body
        self.assertEqual(self.ask("/stale/2").body, first)
        time.sleep(2.1)
        self.assertEqual(self.ask("/stale/3").body, first)
        wait_until(lambda: self.origin.count() == 2, 5, "fetched behind")
        wait_until(lambda: self.ask("/stale/4").body != first, 5, "the new answer")

    # --- checks ---

    def ask_until_checked(self, rule, result, *paths):
        before = self.checks(rule, result)

        def done():
            for p in paths:
                self.ask(*p) if isinstance(p, tuple) else self.ask(p)
            return self.checks(rule, result) > before
        wait_until(done, 10, f"a check of {rule}: {result}")

    def test_check_finds_nothing(self):
        self.hit("/watched/1?page=1")
        self.ask_until_checked("watched", "same", "/watched/2?page=1")
        # With the fields of who asked, and not for a client.
        self.ask("/watched/3?page=1", "X-Odd: 7")
        wait_until(lambda: any(r["x-odd"] == "7" for r in self.origin.seen()), 5, "a check")
        self.assertEqual(self.off("watched"), 0)

    def test_lie_is_found(self):
        """The origin reads a field that it does not name: found, off at once, told, and on again."""
        self.say.reads = ("query.page", "header.x-group")
        size = self.lab.log_size("control")
        self.hit("/watched/1?page=1", "X-Group: a")
        before = self.checks("watched", "mismatch")
        self.assertTrue(self.hit("/watched/2?page=1", "X-Group: b"))
        wait_until(lambda: self.off("watched") == 1, 5, "the alarm")
        self.assertEqual(self.checks("watched", "mismatch"), before + 1)
        for i in range(3):
            r = self.ask(f"/watched/{i}?page=1", "X-Group: b")
            self.assertEqual(json.loads(r.body)[0]["header.x-group"], "b")
        # The exact level goes on.
        self.assertTrue(self.hit("/watched/2?page=1", "X-Group: b"))
        log = self.lab.log("control")[size:]
        self.assertIn("cache rule 'watched' is off", log)
        self.assertIn("/watched/2?page=1", log)
        # Another rule is not touched.
        self.assertEqual(self.off("said"), 0)
        rows = {r["name"]: r for r in self.lab.ctl_json("cache", "rules")["rules"]}
        self.assertTrue(rows["watched"]["off"])
        self.assertFalse(rows["said"]["off"])
        self.lab.ctl("cache", "rules", "enable", "watched")
        wait_until(lambda: self.off("watched") == 0, 5, "on again")
        self.lab.ctl("cache", "purge", "--all")
        self.say.reads = ("query.page",)
        self.hit("/watched/1?page=1")
        self.assertTrue(self.hit("/watched/2?page=1"))
        # Caught again, and on again with a reload.
        self.say.reads = ("query.page", "path")
        self.lab.ctl("cache", "purge", "--all")
        self.hit("/watched/1?page=1")
        self.hit("/watched/2?page=1")
        wait_until(lambda: self.off("watched") == 1, 5, "the alarm")
        self.lab.ctl("config", "reload")
        wait_until(lambda: self.off("watched") == 0, 5, "on again")

    def test_lie_of_the_rule(self):
        """So is a list in the rule that is too short; and a status counts."""
        self.say.says = None
        self.say.reads = ("query.page",)
        self.origin.on("/too/2", answer("no", 403, "Cache-Control: max-age=60"))
        self.hit("/too/1?page=1")
        self.assertTrue(self.hit("/too/2?page=1"))
        wait_until(lambda: self.off("watched-too") == 1, 5, "the alarm")
        self.assertEqual(self.ask("/too/2?page=1").status, 403)

    def test_change_is_no_lie(self):
        version = [0]
        self.say.version = lambda: version[0]
        self.hit("/watched/1?page=1")
        mismatches = self.checks("watched", "mismatch")
        for n in range(1, 4):
            version[0] = n
            self.ask_until_checked("watched", "changed", "/watched/2?page=1", "/watched/3?page=1")
            wait_until(lambda n=n: json.loads(self.ask("/watched/4?page=1").body)[1] == n, 5, "the new one")
        self.assertEqual(self.checks("watched", "mismatch"), mismatches)
        self.assertEqual(self.off("watched"), 0)

    def test_change_all_the_time(self):
        """It changes while one looks: nothing can be said at first, and what cannot be checked for
        long is not shared."""
        counter = iter(range(1 << 30))
        self.say.version = lambda: next(counter)
        mismatches = self.checks("watched", "mismatch")
        self.ask_until_checked("watched", "unsettled", "/watched/1?page=1", "/watched/2?page=1")
        self.assertEqual(self.off("watched"), 0)

        def off():
            self.ask("/watched/1?page=1")
            self.ask("/watched/2?page=1")
            return self.off("watched") == 1
        wait_until(off, 20, "off")
        self.assertEqual(self.checks("watched", "mismatch"), mismatches)

    def test_failing_origin_is_no_lie(self):
        self.hit("/watched/1?page=1")
        self.say.status = 503
        self.ask_until_checked("watched", "failed", "/watched/2?page=1")
        self.assertEqual(self.off("watched"), 0)

    def test_counters(self):
        def count(result, match):
            return self.lab.metric("sluice_cache_rule_requests_total", rule="said", result=result, match=match)
        before = [count("hit", "pattern"), count("hit", "exact"), count("miss", "pattern")]
        self.say.says = None
        self.ask("/said/1")
        self.ask("/said/1")
        self.say.says = "query.page"
        for i in range(2, 5):
            self.ask(f"/said/{i}?page=9")
        wait_until(lambda: [count("hit", "pattern"), count("hit", "exact"), count("miss", "pattern")] ==
                   [before[0] + 2, before[1] + 1, before[2] + 2], 5, "counters by level")


if __name__ == "__main__":
    unittest.main(verbosity=2)
