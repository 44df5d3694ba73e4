# SPDX-License-Identifier: BSD-2-Clause
"""Purges: by key, pattern, tag, group and all; hard and soft; by the operator, by the method PURGE and
by what unsafe requests change. What was purged is served by no tier, whatever was under way. And what they
write, where the route says so (write_through)."""

import json
import os
import signal
import socket
import subprocess
import threading
import unittest

from lab import CONFIG, DOOR6, Lab, wait_until
from origin import Origin, answer

TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace(
    "metrics_port: 9900", "purge_from: [10.78.0.2, 10.99.0.0/16]\n    metrics_port: 9900").replace(
    "routes:\n", """rules:
  - {{name: doc, key: "doc:{{path.id|lower}}:{{query.lang|'en'}}", ignore_query: [n], ttl_s: 600}}
  - {{name: asks, key: "asks:{{body.a}}", ttl_s: 600}}
routes:
    - {{host: api.test, path: "/doc/{{id}}", methods: [GET], upstream: odd, cache: {{rule: doc}}}}
    - {{host: api.test, path: "/doc/{{id}}", methods: [PUT, POST, PATCH], upstream: odd, cache: {{write_through: always}}}}
    - {{host: api.test, path: "/say/*", upstream: odd, cache: {{write_through: "on"}}}}
    - {{host: api.test, path: "/always/*", upstream: odd, cache: {{write_through: always}}}}
    - {{host: api.test, path: /asks, methods: [POST], upstream: odd, cache: {{rule: asks, write_through: always}}}}
""")
FRESH = "Cache-Control: max-age=600"


def setUpModule():
    Purge.lab = Lab(config=TEXT).start(nginx=False)
    Purge.origin = Origin(Purge.lab)


def tearDownModule():
    Purge.origin.stop()
    Purge.lab.stop()


def stands_still(pid):
    states = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
            states.append(f.read().rpartition(")")[2].split()[0])
    return set(states) == {"T"}


class Versions:
    """Each answer has the next version, so that a client sees which one it got."""

    def __init__(self, *fields):
        self.fields, self.n, self.fail = fields, 0, False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, r, peer):
        if self.fail:
            peer.send(answer("failed", 503))
            return
        self.n += 1
        n = self.n
        self.gate.wait(20)
        peer.send(answer(f"v{n}", 200, *self.fields))


class Purge(unittest.TestCase):

    def setUp(self):
        self.base = f"/{self._testMethodName}"

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])
        self.origin.faults.clear()

    def on(self, name, *fields):
        v = Versions(*(fields or (FRESH,)))
        v.path = self.origin.on(f"{self.base}/{name}", v)
        return v

    def get(self, v, *headers, **kw):
        return self.lab.get(v.path, headers=headers, **kw)

    def sees(self, v, n):
        r = self.get(v)
        self.assertEqual((r.status, r.body), (200, b"v%d" % n), r["cache-status"])
        return r

    def kept(self, v, n):
        """Stored in every tier: from the origin, then from the hot table."""
        self.sees(v, n)
        self.assertIn("; hit", self.sees(v, n)["cache-status"])

    def purge(self, *args):
        return self.lab.ctl_json("cache", "purge", *args)

    def test_kinds(self):
        """Of four answers exactly those go that the purge names."""
        vs = [self.on("a"), self.on("b", FRESH, "Surrogate-Key: x y"),
              self.on("b2", FRESH, 'Cache-Groups: "g"', "Surrogate-Key: z"), self.on("c")]
        rows = ((("api.test" + vs[0].path,), "1000", 1),
                (("--pattern", f"api.test{self.base}/b*"), "0110", 2),
                (("--tag", "y"), "0100", 1),
                (("--tag", "none"), "0000", 0),
                (("--group", "http://api.test:80 g"), "0010", 1),
                ((f"*{self.base}/c",), "0001", 1),
                (("--exact", f"*{self.base}/c"), "0000", 0),
                (("--all",), "1111", None))
        for v in vs:
            self.kept(v, 1)
        for args, hit, count in rows:
            for v in vs:
                self.sees(v, v.n)
            before = [v.n for v in vs]
            got = self.purge(*args)
            self.assertTrue(got["counted"])
            if count is not None:
                self.assertEqual(got["purged"], count, args)
            for v, h, n in zip(vs, hit, before):
                self.sees(v, n + (h == "1"))
                self.assertEqual(v.n, n + (h == "1"), (args, v.path))

    def test_soft(self):
        """Stale from now: still there for when the origin fails; a hard purge leaves nothing."""
        for args in (("--tag", "soft"), ("api.test{0}",), ("--pattern", "api.test{0}*")):
            v = self.on("stale" + args[0].strip("-{}"),
                        FRESH + ", stale-if-error=600", "Surrogate-Key: soft")
            args = [a.format(v.path) for a in args]
            self.kept(v, 1)
            self.assertTrue(self.purge(*args, "--soft")["soft"])
            v.fail = True
            r = self.sees(v, 1)
            self.assertIn("fwd=stale", r["cache-status"])
            v.fail = False
            self.sees(v, 2)
            self.sees(v, 2)
            self.purge(*args)
            v.fail = True
            self.assertEqual(self.get(v).status, 503)

    def test_soft_refreshes_behind(self):
        v = self.on("while", FRESH + ", stale-while-revalidate=600")
        self.kept(v, 1)
        self.purge("api.test" + v.path, "--soft")
        self.sees(v, 1)
        wait_until(lambda: self.get(v).body == b"v2", 5, "the new version")
        self.assertEqual(v.n, 2)

    def test_fill_in_progress(self):
        """What left the origin before the purge reaches its client, and no store."""
        for i, args in enumerate((("api.test{0}",), ("--pattern", "api.test{0}*"), ("--tag", "late"),
                                  ("--all",), ("api.test{0}", "--soft"))):
            v = self.on(f"late{i}", FRESH, "Surrogate-Key: late")
            v.gate.clear()
            got = []
            t = threading.Thread(target=lambda: got.append(self.get(v).body))
            t.start()
            wait_until(lambda: v.n == 1, 5, "asked")
            self.purge(*(a.format(v.path) for a in args))
            v.gate.set()
            t.join()
            self.assertEqual(got, [b"v1"])
            self.kept(v, 2)

    def test_variants_go_with_their_key(self):
        v = self.on("vary", FRESH, "Vary: X-A")
        for a in "12":
            for _ in range(2):
                self.assertEqual(self.get(v, "X-A: " + a).body, b"v" + a.encode())
        self.purge("api.test" + v.path)
        self.assertEqual(self.get(v, "X-A: 2").body, b"v3")
        self.assertEqual(self.get(v, "X-A: 1").body, b"v4")

    def ask_purge(self, path, *args, door=None):
        kw = {"door": door} if door else {}
        return self.lab.curl(path, "-g", "-X", "PURGE", *args, **kw)[0]

    def test_method(self):
        a, b = self.on("a"), self.on("b", FRESH + ", stale-if-error=600", "Surrogate-Key: m1 m2")
        self.kept(a, 1)
        self.kept(b, 1)
        self.assertEqual(self.ask_purge(a.path), 204)
        self.sees(a, 2)
        self.sees(b, 1)
        self.assertEqual(self.ask_purge("/", "-H", "Surrogate-Key: other m2"), 204)
        self.sees(a, 2)
        self.sees(b, 2)
        self.assertEqual(self.ask_purge("/", "-H", "Cache-Tag: m1, x", "-H", "Sluice-Purge: soft"), 204)
        b.fail = True
        self.sees(b, 2)
        b.fail = False

    def test_method_refused(self):
        """From an address that is not in admin.purge_from, or with a body."""
        v = self.on("a")
        self.kept(v, 1)
        self.assertEqual(self.ask_purge(v.path, door=f"[{DOOR6}]"), 403)
        self.assertEqual(self.ask_purge(v.path, "-d", "x"), 400)
        self.assertEqual(self.lab.curl(v.path, "-X", "PURGEX")[0], 501)
        self.sees(v, 1)
        self.assertEqual(v.n, 1)

    def test_unsafe_requests(self):
        """RFC 9111 4.4 and RFC 9875: target, Location, Content-Location, groups of the answer."""
        names = ("target", "loc", "content", "group", "other")
        vs = {n: self.on(n, FRESH, f'Cache-Groups: "{n}"') for n in names}
        for v in vs.values():
            self.kept(v, 1)
        self.origin.on(f"{self.base}/target", answer(
            "", 201, f"Location: {self.base}/loc",
            f"Content-Location: http://api.test{self.base}/content",
            'Cache-Group-Invalidation: "group"'))
        self.assertEqual(self.lab.get(vs["target"].path, method="POST", body=b"x").status, 201)
        self.origin.on(f"{self.base}/target", vs["target"])
        for n in names:
            self.sees(vs[n], 1 if n == "other" else 2)

    def test_locations_of_rules(self):
        """What Location names goes under the key of its rule, also where it writes the port out."""
        v = self.on("plain")
        doc = Versions(FRESH)
        doc.path = self.origin.on("/doc/Loc1", doc)
        for n, at in enumerate(("/doc/LOC1?n=1", "http://api.test/doc/loc1", "http://API.test:80/doc/loc1",
                                "//api.test:/doc/loc1")):
            self.kept(doc, n + 1)
            p = self.origin.on(f"{self.base}/maker{n}", answer("", 201, f"Location: {at}"))
            self.assertEqual(self.lab.get(p, method="POST", body=b"x").status, 201)
            self.kept(doc, n + 2)
        self.kept(v, 1)
        p = self.origin.on(f"{self.base}/other", answer("", 201, f"Location: http://api.test:80{v.path}"))
        self.lab.get(p, method="POST", body=b"x")
        self.kept(v, 2)
        p = self.origin.on(f"{self.base}/port", answer("", 201, f"Location: http://api.test:81{v.path}"))
        self.lab.get(p, method="POST", body=b"x")
        self.kept(v, 2)

    def attached(self, is_so):
        text = '"attached": true' if is_so else '"attached": false'
        wait_until(lambda: text in self.lab.ctl("status", "-o", "json", check=False).stdout,
                   10, "attached or not")

    def restart_control(self):
        self.lab.kill("control")
        self.lab.start_control()
        self.attached(True)

    def test_control_restarts(self):
        """Numbers go on above those of the process before: neither do old purges hit what is new,
        nor is one of the new process too low for what is stored."""
        a, b = self.on("a", FRESH, "Surrogate-Key: r"), self.on("b", FRESH, "Surrogate-Key: r")
        self.kept(a, 1)
        self.purge("api.test" + a.path)
        self.kept(a, 2)
        self.kept(b, 1)
        self.restart_control()
        self.assertIn("; hit", self.sees(a, 2)["cache-status"])
        self.purge("--tag", "r")
        self.kept(a, 3)
        self.kept(b, 2)

    def test_ordered_before_control_dies(self):
        """The dataplane stands still when the purge comes, and control dies before it goes on."""
        vs = [self.on("a"), self.on("b"), self.on("c", FRESH, "Surrogate-Key: d")]
        for v in vs:
            self.kept(v, 1)
        pid = self.lab.pid("dataplane")
        subprocess.run(["kill", "-STOP", str(pid)], check=True)
        wait_until(lambda: stands_still(pid), 5, "stopped")
        try:
            for args in (("api.test" + vs[0].path,), ("--pattern", f"*{self.base}/b"), ("--tag", "d")):
                r = self.lab.ctl("cache", "purge", "--no-count", *args, check=False)
                self.assertIn("Not every core confirmed", r.stderr)
            self.lab.kill("control", signal.SIGKILL)
        finally:
            subprocess.run(["kill", "-CONT", str(pid)], check=True)
        self.lab.start_control()
        self.attached(True)
        for v in vs:
            self.sees(v, 2)

    def test_while_the_dataplane_is_away(self):
        """The store is purged, and the next dataplane starts with what is left."""
        a, b = self.on("a"), self.on("b")
        self.kept(a, 1)
        self.kept(b, 1)
        self.lab.kill("dataplane")
        self.attached(False)
        self.assertEqual(self.purge("api.test" + a.path)["cores"], 0)
        self.lab.start_dataplane()
        self.attached(True)
        self.sees(a, 2)
        self.assertIn("detail=L2", self.sees(b, 1)["cache-status"])

    def explain(self, method, url, *header):
        args = ("--header", "\n".join(header)) if header else ()
        return self.lab.ctl_json("cache", "explain", method, url, *args)

    def test_explain(self):
        v = self.on("a", FRESH, "Vary: X-A")
        url = "http://api.test" + v.path
        self.assertIn("origin", self.explain("GET", url)["verdict"])
        self.get(v, "X-A: 1")
        got = self.explain("GET", url, "X-A: 1")
        self.assertEqual(got["key"], "api.test" + v.path)
        self.assertIn("answered", got["verdict"])
        self.assertEqual({t["tier"] for t in got["tiers"]}, {"hot", "store"})
        self.assertIn("origin", self.explain("GET", url, "X-A: 2")["verdict"])
        for method, at, header, words in (
                ("GET", "http://none.test/", (), "404"), ("POST", url, (), "method"),
                ("GET", url, ("Cache-Control: no-store, no-cache",), "forbids"),
                ("GET", url + "?" + "q" * 2030, (), "too long")):
            self.assertIn(words, self.explain(method, at, *header)["verdict"])
        for args in (("NONSENSE", url), ("GET", "ftp://x/"), ("GET", "http:///a"),
                     ("GET", url, "--header", "no colon")):
            self.assertNotEqual(self.lab.ctl("cache", "explain", *args, check=False).returncode, 0)
        self.assertIn("Verdict: ", self.lab.ctl("cache", "explain", "GET", url).stdout)

    def test_list_and_get_tell_the_tier(self):
        v = self.on("a")
        self.kept(v, 1)
        key = "api.test" + v.path
        for args, tiers in ((("get", key), ["hot", "store"]), (("list", "--limit", "0"), ["hot"]),
                            (("list", "--store", "--limit", "0"), ["store"])):
            rows = [e for e in self.lab.ctl_json("cache", *args)["entries"] if e["key"] == key]
            self.assertEqual([e["tier"] for e in rows], tiers, args)
        self.purge(key)
        self.assertNotIn(key, self.lab.ctl("cache", "list", "--store").stdout)
        self.assertNotIn(key, self.lab.ctl("cache", "list").stdout)

    def test_many_at_once(self):
        """More than the logs and rings remember, without a pause: all in effect at the end."""
        vs = [self.on(f"m{i}", FRESH, f"Surrogate-Key: many{i}") for i in range(20)]
        for v in vs:
            self.kept(v, 1)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{self.lab.run_dir}/admin.sock")
            out = s.makefile("rw")
            for i in range(3000):
                kind = ("tag", "key", "pattern")[i % 3]
                out.write('{"cmd": "cache purge", "args": {"%s": "many%d", "no_count": true}}\n'
                          % (kind, i % 20))
                if i % 50 == 49:
                    out.flush()
                    for _ in range(50):
                        self.assertTrue(json.loads(out.readline())["ok"])
        for v in vs:
            self.sees(v, 2)


class Write(unittest.TestCase):
    """Write-through: the answer to a change is the answer to the next GET, or nothing is."""

    def setUp(self):
        self.lab, self.origin = Purge.lab, Purge.origin

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])
        self.origin.faults.clear()

    def write(self, path, *fields, status=200, method="PUT", body="new", headers=()):
        """The origin answers the change so, and GET with "old"; what GET gets then."""
        at = path.split("?")[0]

        def script(r, peer):
            if r.method == method:
                peer.send(answer(body, status, *fields))
            else:
                peer.send(answer("old", 200, FRESH))
        self.origin.on(at, script)
        r = self.lab.get(path, method=method, body=b"x", headers=headers)
        self.assertEqual((r.status, r.body), (status, body.encode()))
        return self.lab.get(path)

    def test_what_is_written(self):
        here = "Content-Location: {}"
        later = "Date: Thu, 01 Jan 2026 00:00:00 GMT", "Expires: Thu, 01 Jan 2099 00:00:00 GMT"
        rows = (
            # path, fields, more, is it what GET gets
            ("/say/a", (FRESH, here), {}, True),
            ("/say/a1", (FRESH, "Content-Location: http://api.test:80{}"), {}, True),
            ("/say/a2", (*later, here), {}, True),
            ("/say/a3", (FRESH, here), {"method": "PATCH"}, True),
            ("/say/a4", (FRESH, here), {"method": "POST"}, True),
            ("/say/a5", (FRESH, here), {"status": 201}, True),
            ("/say/a6", (FRESH, here), {"headers": ['If-Match: "1"']}, True),
            ("/say/b", (FRESH,), {}, False),
            ("/say/b1", (here,), {}, False),
            ("/say/b2", ("Cache-Control: no-store", here), {}, False),
            ("/say/b3", ("Cache-Control: private, max-age=600", here), {}, False),
            ("/say/b4", (FRESH, here, "Vary: X-A"), {}, False),
            ("/say/b5", (FRESH, "Content-Location: /say/other"), {}, False),
            ("/say/b6", (FRESH, "Content-Location: http://other{}"), {}, False),
            ("/say/b7", (FRESH, here), {"status": 202}, False),
            ("/say/b8", (FRESH, here), {"status": 404}, False),
            ("/say/b9", (FRESH, here), {"body": ""}, False),
            ("/say/c", (FRESH, here), {"headers": ["Cache-Control: no-store"]}, False),
            ("/say/c1", (FRESH, here), {"headers": ["Content-Range: bytes 0-0/3"]}, False),
            ("/say/c2", (FRESH, here, "Set-Cookie: a=b"), {}, False),
            ("/say/c3", (FRESH, here), {"headers": ["Authorization: Bearer a"]}, False),
            ("/say/c4", (FRESH, here), {"method": "DELETE"}, False),
            ("/always/a", (FRESH,), {}, True),
            ("/always/a1", (FRESH,), {"method": "PATCH"}, True),
            ("/always/b", (FRESH,), {"method": "POST"}, False),
            ("/always/b1", (FRESH, "Content-Location: /receipt"), {}, False),
            ("/doc/A1", (), {}, True),  # its rule has a lifetime
            ("/doc/A2?lang=de", (), {}, True),
            ("/doc/A3?x=1", (), {}, False),  # no key
            ("/odd/a", (FRESH, here), {}, False),  # a route that does not ask for it
        )
        for path, fields, more, written in rows:
            fields = [f.format(path) for f in fields]
            r = self.write(path, *fields, **more)
            self.assertEqual((r.body, r.hit), (b"new", True) if written else (b"old", False),
                             (path, fields, more, r["cache-status"]))
            if written:
                self.assertEqual((r.status, self.lab.get(path).body), (200, b"new"))
                self.assertEqual(sum(q.method == "GET" for q in self.origin.seen(path.split("?")[0])), 0)

    def test_under_the_key_of_get(self):
        """Its rule's, with what the request says; and purges by what the rule's answers have."""
        for who in (("X-Tenant-Id: t1",), ("Authorization: Bearer w",)):
            self.write("/doc/K1", "ETag: \"k\"", "Location: /doc/K1", headers=who)
            self.assertEqual(self.lab.get("/doc/K1").body, b"old")
            r = self.lab.get("/doc/k1?n=7", headers=who)
            self.assertEqual((r.body, r.hit, r["etag"], r["location"]), (b"new", True, '"k"', None))
        self.lab.ctl("cache", "purge", "--rule", "doc")
        r = self.lab.get("/doc/K1", headers=who)
        self.assertEqual((r.body, r.hit), (b"old", False))

    def test_made_by_post(self):
        """201 with Location and Content-Location: what was made is what GET gets there."""
        self.origin.on("/say/list", answer("made", 201, FRESH, "Location: /say/list/1",
                                           "Content-Location: /say/list/1"))
        self.assertEqual(self.lab.get("/say/list", method="POST", body=b"x").status, 201)
        r = self.lab.get("/say/list/1")
        self.assertEqual((r.status, r.body, r.hit), (200, b"made", True))

    def test_replaces_what_was_there(self):
        for n in range(3):
            self.assertEqual(self.write("/say/again", FRESH, "Content-Location: /say/again",
                                        body=f"new{n}").body, b"new%d" % n)
        self.lab.ctl("cache", "purge", "api.test/say/again")
        self.assertEqual(self.lab.get("/say/again").body, b"old")

    def overlapping(self, path, order, purge=None):
        """Two changes whose effects come as 0, 1 and whose answers come in order."""
        gates = [threading.Event(), threading.Event()]
        state = {"now": None, "seen": 0}

        def script(r, peer):
            if r.method == "GET":
                peer.send(answer(state["now"], 200, FRESH))
                return
            state["now"] = body = f"v{r.body.decode()}"
            state["seen"] += 1
            gates[int(r.body)].wait(10)
            peer.send(answer(body, 200, FRESH))
        self.origin.on(path, script)
        threads = []
        for n in range(2):
            t = threading.Thread(target=self.lab.get, args=(path,),
                                 kwargs={"method": "PUT", "body": b"%d" % n})
            t.start()
            threads.append(t)
            wait_until(lambda n=n: state["seen"] == n + 1, 5, "its effect is there")
        if purge:
            self.lab.ctl("cache", "purge", purge)
        for n in order:
            gates[n].set()
            threads[n].join()
        return self.lab.get(path)

    def test_changes_that_overlap(self):
        """Whatever the order of the answers: nobody sees the older one, and the next GET asks."""
        for i, order in enumerate(((0, 1), (1, 0))):
            r = self.overlapping(f"/always/both{i}", order)
            self.assertEqual((r.body, r.hit), (b"v1", False), order)
            r = self.overlapping(f"/always/purged{i}", order, f"api.test/always/purged{i}")
            self.assertEqual((r.body, r.hit), (b"v1", False), order)

    def test_purged_while_the_body_comes(self):
        gate = threading.Event()

        def script(r, peer):
            if r.method == "GET":
                peer.send(answer("old", 200, FRESH))
                return
            data = answer("x" * 1000, 200, FRESH)
            peer.send(data[:-10])
            gate.wait(10)
            peer.send(data[-10:])
        path = self.origin.on("/always/long", script)
        with self.lab.client() as c:
            c.sock.sendall(f"PUT {path} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1\r\n\r\nx".encode())
            got = c.sock.recv(200)
            self.lab.ctl("cache", "purge", "api.test" + path)
            gate.set()
            while got.count(b"x") < 1000:
                got += c.sock.recv(65536)
        self.assertEqual(self.lab.get(path).body, b"old")

    def test_z_counted(self):
        for name in ("writes", "writes_unfit", "writes_overlapped"):
            wait_until(lambda n=name: self.lab.metric(f"sluice_fetch_{n}_total") > 0, 5, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
