# SPDX-License-Identifier: BSD-2-Clause
"""Purges: by key, pattern, tag, group and all; hard and soft; by the operator, by the method PURGE and
by what unsafe requests change. What was purged is served by no tier, whatever was under way."""

import json
import signal
import socket
import subprocess
import threading
import unittest

from lab import CONFIG, DOOR6, Lab, wait_until
from origin import Origin, answer

TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace(
    "metrics_port: 9900", "purge_from: [10.78.0.2, 10.99.0.0/16]\n    metrics_port: 9900")
FRESH = "Cache-Control: max-age=600"


def setUpModule():
    Purge.lab = Lab(config=TEXT).start(nginx=False)
    Purge.origin = Origin(Purge.lab)


def tearDownModule():
    Purge.origin.stop()
    Purge.lab.stop()


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


if __name__ == "__main__":
    unittest.main(verbosity=2)
