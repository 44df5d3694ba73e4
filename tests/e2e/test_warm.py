# SPDX-License-Identifier: BSD-2-Clause
"""Answers fetched ahead of clients: by an operator's list, by the node's own list of before a restart,
by a peer's. What reaches the origin is counted there; what clients make of it, in `cache stats`."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from lab import CONFIG, CTL, Lab, wait_until
from origin import Origin, answer, slow

FRESH = "Cache-Control: max-age=600"
RELAY_PORT, HOSTILE_PORT = 9911, 9912
TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace("upstreams:\n", f"""\
cache:
    warm:
        on_start: on
        save_s: 1
        share: on
        peers: {{peers}}
        peer_ms: 1000
        peer_bytes: 100000
rules:
    - {{{{name: whose, key: "mine:{{{{path.id}}}}", ttl_s: 600}}}}
upstreams:
    - name: few
      addresses: ["127.0.0.1:18082"]
      max_connections: 4
""", 1).replace("routes:\n", """\
routes:
    - {{host: api.test, path: "/mine/{{id}}", methods: [GET], upstream: odd, cache: {{rule: whose}}}}
    - {{host: api.test, path: "/few/*", upstream: few}}
    - {{host: api.test, path: "/off/*", upstream: odd, cache: {{mode: "off"}}}}
""")


def hot_list(*lines):
    """A whole one."""
    text = "".join(s + "\n" for s in ("# sluice hot list 1", *lines)).encode()
    xxhash = ctypes.CDLL("libxxhash.so.0")
    xxhash.XXH3_64bits.restype = ctypes.c_uint64
    xxhash.XXH3_64bits.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    return text + b"# end %d %016x\n" % (len(lines), xxhash.XXH3_64bits(text, len(text)))


def node(tag, peers="[]", control=True):
    lab = Lab(config=TEXT.replace("{peers}", peers))
    lab.srv, lab.cli = lab.tag + tag + "s", lab.tag + tag + "c"
    return lab.start(nginx=False, control=control)


def setUpModule():
    Warm.lab = node("a")
    Warm.origin = Origin(Warm.lab)
    Warm.few = Origin(Warm.lab, 18082)


def tearDownModule():
    Warm.origin.stop()
    Warm.few.stop()
    Warm.lab.stop()


def page(lab, path):
    return subprocess.run(lab.in_srv("curl", "-s", f"http://127.0.0.1:9900{path}"),
                          capture_output=True, text=True, check=True).stdout


def source(lab, name):
    for row in lab.ctl_json("cache", "stats")["warm"]["sources"]:
        if row["source"] == name:
            return row
    raise AssertionError(name)


class Case(unittest.TestCase):
    """Each test has paths of its own, so that they need no order."""

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def warm(self, lines, *args, check=None):
        """(exit code, report, what was said of bad lines); the list is a file."""
        path = f"{self.lab.run_dir}/list"
        with open(path, "wb") as f:
            f.write(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
        r = self.lab.sh(CTL, "-s", f"{self.lab.run_dir}/admin.sock", "-o", "json", "cache", "warm",
                        path, *args, check=False)
        report = json.loads(r.stdout) if r.stdout else None
        if check is not None:
            self.assertEqual(r.returncode, check, r.stderr)
        return r.returncode, report, r.stderr

    def paths(self, name, count, script=None):
        made = []
        for i in range(count):
            made.append(self.origin.on(f"/{name}/{i}", script or answer(f"{name}{i}", 200, FRESH)))
        return made


class Warm(Case):
    def test_outcomes(self):
        """Every outcome once, and each bad line by its number."""
        o = self.origin
        o.on("/w/good", answer("good", 200, FRESH))
        o.on("/w/fresh", answer("fresh", 200, FRESH))
        o.on("/w/never", answer("never", 200, "Cache-Control: no-store"))
        o.on("/w/cookie", answer("cookie", 200, FRESH, "Set-Cookie: a=b"))
        o.on("/w/vary", answer("vary", 200, FRESH, "Vary: *"))
        o.on("/w/gone", answer("gone", 404))
        o.on("/mine/7", answer("mine", 200))
        o.on("/w/error", answer("error", 500))
        o.on("/w/reset", lambda _, peer: peer.reset())
        o.on("/w/lang", lambda r, peer: peer.send(answer(r["accept-language"] or "none", 200, FRESH,
                                                         "Vary: Accept-Language")))
        self.assertEqual(self.lab.get("/w/fresh").body, b"fresh")
        code, report, said = self.warm([
            "# a comment", "", "http://api.test/w/good", "GET http://api.test/w/fresh",
            "api.test/w/never", "GET http://api.test/w/cookie", "http://api.test/w/vary",
            "http://api.test/w/gone", "http://api.test/w/error", "http://api.test/w/reset",
            "GET http://api.test/w/lang\tAccept-Language: de",
            "GET http://api.test/w/lang  Accept-Language: fr",
            "http://api.test/mine/7\tX-Tenant-Id: acme",
            "POST http://api.test/w/good", "HEAD http://api.test/w/good", "http://other.test/",
            "http://api.test/w/../x", "http://api.test/w/good\tno field",
            "http://api.test/w/good\tAuthorization: Basic eDp5", "http://api.test/w/b\tCookie: a=1",
            "http://api.test/w/b\tX-Forwarded-Host: evil", "https://api.test/w/good", "/only/path",
            "http://api.test/off/x", "GET http://api.test/w/good\tCache-Control: no-store",
            "http://api.test/w/good\tRange: bytes=0-1", "nonsense here now", "x" * 9000])
        self.assertEqual(code, 1)
        self.assertEqual(report["results"], {
            "origin": 4, "fresh": 1, "forbidden": 1, "cookie": 1, "vary": 1, "status": 1,
            "failed": 2, "bad": 14})
        self.assertEqual((report["asked"], report["stored"], report["failed"]), (25, 4, 16))
        lines = [int(s.split(":")[1]) for s in said.splitlines()]
        self.assertEqual(lines, list(range(14, 29)))
        self.assertTrue(all(s.startswith(f"{self.lab.run_dir}/list:") for s in said.splitlines()))
        for word in ("write GET", "no route", "'..'", "Accept-Language: en", "who asks", "not cached",
                     "Range", "longer than 8192"):
            self.assertIn(word, said)
        # What is all there ends at once, though nothing was sent that could come back.
        o.forget()
        _, report, _ = self.warm(["api.test/w/good", "api.test/w/fresh"], "--seconds", "60", check=0)
        self.assertEqual(report["results"], {"fresh": 2})
        self.assertLess(report["ms"], 30000)
        # Clients are answered by the store alone.
        for path, fields, body in (("/w/good", (), b"good"),
                                   ("/w/lang", ("Accept-Language: de",), b"de"),
                                   ("/w/lang", ("Accept-Language: fr",), b"fr")):
            r = self.lab.get(path, headers=fields)
            self.assertEqual((r.status, r.body), (200, body))
            self.assertIn("detail=L2", r["cache-status"])
        self.assertEqual(o.count(), 0)
        self.assertEqual(self.lab.get("/mine/7", headers=("X-Tenant-Id: other",)).status, 200)
        self.assertEqual(o.count(), 1, "another tenant's is not the warmed one")

    def test_precision(self):
        """Used, expired unused, purged unused, waiting: to the answer."""
        before = source(self.lab, "list")
        self.paths("p", 6)
        self.origin.on("/p/short", answer("short", 200, "Cache-Control: max-age=1", 'ETag: "a"'))
        self.warm([f"http://api.test/p/{i}" for i in range(6)] + ["http://api.test/p/short"], check=0)
        for path in ("/p/0", "/p/1", "/p/1"):
            self.assertEqual(self.lab.get(path).status, 200)
        self.lab.ctl("cache", "purge", "api.test/p/2")
        time.sleep(1.1)  # its lifetime; to look for it would be to use it
        self.lab.get("/p/short")
        self.assertEqual(self.origin.count("/p/short"), 2)
        now = source(self.lab, "list")
        self.assertEqual([now[k] - before[k] for k in ("stored", "used", "unused", "waiting")],
                         [7, 2, 2, 3])
        used, unused = now["used"], now["unused"]
        self.assertAlmostEqual(now["precision"], used / (used + unused))
        for use, count in (("used", used), ("unused", unused)):
            wait_until(lambda u=use, c=count: self.lab.metric(
                "sluice_warm_answers_total", source="list", use=u) == c, 5, use)
        self.assertEqual(self.lab.metric("sluice_warm_answers_waiting", source="list"),
                         now["waiting"])

    def test_client_joins(self):
        """A client that comes while its answer is warmed waits for that, and makes it a used one."""
        before = source(self.lab, "list")
        go = threading.Event()

        def script(_, peer):
            go.wait(10)
            peer.send(answer("joined", 200, FRESH))
        self.origin.on("/j/one", script)
        with open(f"{self.lab.run_dir}/one", "w", encoding="ascii") as f:
            f.write("http://api.test/j/one\n")
        job = self.lab.ctl_json("cache", "warm", f"{self.lab.run_dir}/one", "--no-wait")["job"]
        wait_until(lambda: self.origin.count("/j/one") == 1, 5, "it is asked for")
        got = []
        client = threading.Thread(target=lambda: got.append(self.lab.get("/j/one")))
        client.start()
        wait_until(lambda: self.lab.metric("sluice_fetch_joined_total") > 0, 5, "it waits")
        go.set()
        client.join()
        self.assertEqual((got[0].status, got[0].body), (200, b"joined"))
        self.assertEqual(self.origin.count("/j/one"), 1)
        wait_until(lambda: self.lab.ctl_json("cache", "warm", "--job", str(job))["ended"], 5, "end")
        now = source(self.lab, "list")
        self.assertEqual([now[k] - before[k] for k in ("stored", "used", "waiting")], [1, 1, 0])

    def arrivals(self, name, count, script, *args):
        """When each request arrived and, by the origin's word, how many were there at a time."""
        times, at_once, lock = [], [0, 0], threading.Lock()

        def count_in(r, peer):
            with lock:
                times.append(time.monotonic())
                at_once[0] += 1
                at_once[1] = max(at_once)
            script(r, peer)
            with lock:
                at_once[0] -= 1
        self.paths(name, count, count_in)
        _, report, _ = self.warm([f"http://api.test/{name}/{i}" for i in range(count)], *args)
        return times, at_once[1], report

    def test_rate(self):
        good = answer("rate", 200, FRESH)
        times, _, report = self.arrivals("rate", 50, lambda _, p: p.send(good), "--rate", "60")
        self.assertEqual((len(times), report["stored"]), (50, 50))
        # 49 gaps of 16.7 ms; what a late look missed may be made up for 10 ms long.
        self.assertGreater(times[-1] - times[0], 49 / 60 - 0.05)
        for i, t in enumerate(times):
            self.assertLessEqual(sum(1 for u in times[i:] if u < t + 0.5), 60 * 0.5 + 2)

    def test_concurrency(self):
        _, most, report = self.arrivals("conc", 12, slow(0.1, answer("c", 200, FRESH)), "--rate",
                                        "10000", "--concurrency", "3")
        self.assertEqual((most, report["stored"]), (3, 12))

    def test_bytes_and_time(self):
        big = answer(b"b" * 10000, 200, FRESH)
        times, _, report = self.arrivals("bytes", 20, lambda _, p: p.send(big), "--bytes", "50000",
                                         "--concurrency", "1")
        self.assertEqual((len(times), report["stored"], report["results"]["cut"]), (5, 5, 15))
        times, _, report = self.arrivals("time", 50, lambda _, p: p.send(big), "--seconds", "1",
                                         "--rate", "10")
        self.assertTrue(8 <= len(times) <= 11, len(times))
        self.assertEqual(report["results"]["cut"], 50 - len(times))

    def test_stop(self):
        self.paths("stop", 50)
        with open(f"{self.lab.run_dir}/stop", "w", encoding="ascii") as f:
            f.write("".join(f"http://api.test/stop/{i}\n" for i in range(50)))
        job = self.lab.ctl_json("cache", "warm", f"{self.lab.run_dir}/stop", "--rate", "10",
                                "--no-wait")["job"]
        self.lab.ctl("cache", "warm", "--job", str(job), "--stop")
        report = wait_until(lambda: (lambda r: r["ended"] and r)(
            self.lab.ctl_json("cache", "warm", "--job", str(job))), 5, "it ended")
        self.assertEqual(report["results"]["cut"] + report["stored"], 50)
        self.assertGreater(report["results"]["cut"], 40)

    def test_clients_first(self):
        """While half of the origin's connections are a client's, nothing is warmed from it."""
        go = threading.Event()

        def script(r, peer):
            if r.path.startswith("/few/client"):
                go.wait(10)
            peer.send(answer("few", 200, FRESH))
        for path in ["/few/client1", "/few/client2"] + [f"/few/{i}" for i in range(5)]:
            self.few.on(path, script)
        clients = [threading.Thread(target=self.lab.get, args=(f"/few/client{i}",)) for i in (1, 2)]
        for c in clients:
            c.start()
        wait_until(lambda: self.few.count() == 2, 5, "the clients wait")
        self.paths("many", 20)
        with open(f"{self.lab.run_dir}/few", "w", encoding="ascii") as f:
            f.write("".join(f"http://api.test/few/{i}\n" for i in range(5)))
        job = self.lab.ctl_json("cache", "warm", f"{self.lab.run_dir}/few", "--no-wait")["job"]
        # As much as another origin's takes at the same rate.
        self.warm([f"http://api.test/many/{i}" for i in range(20)], check=0)
        self.assertEqual(self.few.count(), 2)
        go.set()
        for c in clients:
            c.join()
        wait_until(lambda: self.lab.ctl_json("cache", "warm", "--job", str(job))["stored"] == 5, 5,
                   "now it is warmed")

    def test_dataplane_dies(self):
        """What was under way is asked for again, by the next dataplane's connections."""
        go = threading.Event()

        def script(_, peer):
            go.wait(10)
            peer.send(answer("again", 200, FRESH))
        paths = self.paths("again", 6, script)
        with open(f"{self.lab.run_dir}/again", "w", encoding="ascii") as f:
            f.write("".join(f"http://api.test{p}\n" for p in paths))
        job = self.lab.ctl_json("cache", "warm", f"{self.lab.run_dir}/again", "--no-wait",
                                "--concurrency", "3")["job"]
        wait_until(lambda: sum(self.origin.count(p) for p in paths) == 3, 5, "three are under way")
        self.lab.kill("dataplane")
        go.set()
        self.lab.start_dataplane()
        report = wait_until(lambda: (lambda r: r["ended"] and r)(
            self.lab.ctl_json("cache", "warm", "--job", str(job))), 10, "it ended")
        self.assertEqual((report["asked"], report["stored"]), (6, 6))
        for path in paths:
            self.assertIn("detail=L2", self.lab.get(path)["cache-status"])

    # --- the node's own list -------------------------------------------------------------------
    def list_file(self):
        """Empty before it was written first."""
        try:
            with open(f"{self.lab.run_dir}/hot-list", encoding="latin1") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def restart(self, sig):
        self.lab.kill("control", sig)
        self.origin.forget()
        mark = self.lab.log_size("control")
        self.lab.start_control()
        return mark

    def start_job(self):
        jobs = self.lab.ctl_json("cache", "stats")["warm"]["jobs"]
        saved = [j for j in jobs if j["source"] == "saved"]
        return saved[0] if saved and saved[0]["ended"] else None

    def test_restart(self):
        """What clients asked for is there again, without them; nothing that only credentials open."""
        for sig, name in ((signal.SIGTERM, "term"), (signal.SIGKILL, "kill")):
            paths = self.paths(name, 5)
            self.origin.on(f"/{name}/lang", lambda r, peer: peer.send(answer(
                r["accept-language"], 200, FRESH, "Vary: Accept-Language, X-Other")))
            self.origin.on(f"/{name}/secret", answer("s", 200, "Cache-Control: public, max-age=600"))
            self.origin.on("/mine/" + name, answer("mine", 200))
            for path in paths:
                self.assertEqual(self.lab.get(path, headers=("User-Agent: not-kept",)).status, 200)
            lang = ("Accept-Language: it", "Cookie: not-kept=1")
            self.lab.get(f"/{name}/lang", headers=lang)
            self.lab.get(f"/{name}/secret", headers=("Authorization: Bearer not-kept",))
            self.lab.get("/mine/" + name, headers=("Authorization: Bearer not-kept",))
            self.lab.get("/mine/" + name, headers=("X-Tenant-Id: acme", "X-User-Id: not-kept"))
            if sig == signal.SIGKILL:
                wait_until(lambda n=name: f"/mine/{n}" in self.list_file(), 10, "it was written")
            self.restart(sig)
            text = self.list_file()
            self.assertNotIn("not-kept", text)
            self.assertIn(f"GET http://api.test/{name}/lang\tAccept-Language: it\n", text)
            self.assertIn(f"GET http://api.test/mine/{name}\tX-Tenant-Id: acme\n", text)
            self.assertNotIn(f"/{name}/secret", text)
            self.assertTrue(text.startswith("# sluice hot list 1\n"))
            job = wait_until(self.start_job, 20, "warmed")
            self.assertEqual(job["trouble"], None)
            self.assertEqual(job["failed"], job["results"].get("cut", 0))
            for path in paths:
                self.assertEqual(self.origin.count(path), 1)
            self.origin.forget()
            # The cores may have it as well; the origin is not asked.
            for path in paths:
                self.assertIn("hit", self.lab.get(path)["cache-status"])
            self.assertEqual(self.lab.get(f"/{name}/lang", headers=lang).body, b"it")
            r = self.lab.get("/mine/" + name, headers=("X-Tenant-Id: acme",))
            self.assertEqual(r.body, b"mine")
            self.assertEqual(self.origin.count(), 0)

    def test_files_that_are_none(self):
        good = ("# sluice hot list 1\nGET http://api.test/torn/1\nGET http://api.test/torn/2\n"
                "# end 2 0123456789abcdef\n")
        for text, what in ((good, "does not fit"), (good[:60], "has no end"),
                           (good[:good.index("# end")], "'# end'"), ("", "no hot list"),
                           ("root:x:0:0::/root:/bin/sh\n" * 10, "no hot list"),
                           ("\0\xff" * 500, "no hot list"), ("x" * 100001, "longer than")):
            self.lab.kill("control", signal.SIGKILL)
            with open(f"{self.lab.run_dir}/hot-list", "w", encoding="latin1") as f:
                f.write(text)
            self.origin.forget()
            mark = self.lab.log_size("control")
            self.lab.start_control()
            wait_until(lambda w=what, m=mark: w in self.lab.log("control")[m:], 5, what)
            self.assertIn(f"{self.lab.run_dir}/hot-list", self.lab.log("control")[mark:])
            self.assertEqual(self.origin.count(), 0)

    def test_hottest_first(self):
        """The cores' own hits count, though control does not see them."""
        self.paths("heat", 3)
        for i in range(3):
            self.lab.get(f"/heat/{i}")
        for _ in range(4):
            self.lab.get("/heat/1")

        def first():
            lines = [s for s in self.list_file().splitlines() if "/heat/" in s]
            return len(lines) == 3 and lines[0] == "GET http://api.test/heat/1"
        wait_until(first, 10, "the one with the most hits stands first")

    def test_no_place_to_write(self):
        """It is said once, counted each time, and nothing else comes of it."""
        self.paths("place", 1)
        self.lab.get("/place/0")
        wait_until(lambda: "/place/0" in self.list_file(), 10, "it is written")
        os.unlink(f"{self.lab.run_dir}/hot-list")
        os.mkdir(f"{self.lab.run_dir}/hot-list")  # no mode would stop root
        try:
            wait_until(lambda: self.lab.metric("sluice_warm_save_errors_total") >= 2, 10, "counted")
            self.assertEqual(self.lab.log("control").count("cannot write the hot list"), 1)
            self.assertEqual(self.lab.get("/place/0").status, 200)
        finally:
            os.rmdir(f"{self.lab.run_dir}/hot-list")
        wait_until(lambda: "/place/0" in self.list_file(), 10, "it is written again")

    # --- peers ---------------------------------------------------------------------------------
    def peer(self, port, *args):
        r = self.lab.sh(CTL, "-s", f"{self.lab.run_dir}/admin.sock", "-o", "json", "cache", "warm",
                        "--peer", f"http://127.0.0.1:{port}", *args, check=False)
        return r.returncode, json.loads(r.stdout) if r.stdout else r.stderr

    def test_hostile_peers(self):
        head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

        def drip(_, peer):
            for _ in range(100):
                peer.send(b"x")
                time.sleep(0.1)

        def endless(_, peer):
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                peer.send(b"# sluice hot list 1\n" * 1000)
        hostile = Origin(self.lab, HOSTILE_PORT)
        try:
            for script, what in (
                    (answer("no", 404), "404"), (b"garbage\r\n\r\n" * 9, "not speak HTTP"),
                    ((head % 5000).encode() + b"# sluice", "broke off"), (drip, "in time"),
                    (endless, "longer than"), (answer("# sluice hot list 1\nx\n"), "torn"),
                    (answer(""), "no hot list"), (lambda _, peer: peer.reset(), "reset"),
                    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "coding")):
                def closing(r, peer, s=script):
                    if callable(s):
                        s(r, peer)
                    else:
                        peer.send(s)
                    peer.close()
                hostile.on("/hot-list", closing)
                began = time.monotonic()
                code, report = self.peer(HOSTILE_PORT)
                self.assertLess(time.monotonic() - began, 5)
                self.assertEqual(code, 1, report)
                self.assertIn(what, report["trouble"])
                self.assertEqual(report["asked"], 0)
            # Whole, but hardly a line of it is any good: the rest reaches no origin.
            self.paths("hostile", 1)
            self.origin.forget()
            hostile.on("/hot-list", answer(hot_list(
                *["http://elsewhere.test/"] * 2000, "x" * 9000, "DELETE http://api.test/hostile/0",
                "http://api.test/hostile/1\tAuthorization: Basic eDp5",
                "http://api.test/hostile/2\tX-Forwarded-Host: evil", "http://api.test/hostile/0")))
            code, report = self.peer(HOSTILE_PORT)
            self.assertEqual((code, report["trouble"]), (0, None))
            self.assertEqual((report["asked"], report["results"]), (2005, {"origin": 1, "bad": 2004}))
            self.assertEqual([r.target for r in self.origin.seen()], ["/hostile/0"])
        finally:
            hostile.stop()
        code, report = self.peer(HOSTILE_PORT)
        self.assertIn("refused", report["trouble"])

    def test_share_off(self):
        """A reload takes the list from peers at once."""
        path = self.paths("share", 1)[0]
        self.assertEqual(self.lab.get(path).status, 200)
        wait_until(lambda: path in page(self.lab, "/hot-list"), 10, "the list has it")
        try:
            self.lab.write_config(text=self.lab.config_text.replace("share: on", "share: off"))
            self.lab.ctl("config", "reload")
            self.assertNotIn("sluice hot list", page(self.lab, "/hot-list"))
        finally:
            self.lab.write_config()
            self.lab.ctl("config", "reload")
        self.assertIn(path, page(self.lab, "/hot-list"))

    def test_peer(self):
        """A second node starts with what the first one's clients ask for."""
        paths = self.paths("peer", 5)
        for path in paths:
            self.assertEqual(self.lab.get(path).status, 200)
        self.lab.get("/mine/peer", headers=("Authorization: Bearer not-kept",))
        wait_until(lambda: paths[-1] in page(self.lab, "/hot-list"), 10, "the list has them")
        served = self.lab.ctl_json("cache", "stats")["warm"]["list"]["served"]
        other = node("b", f'["http://127.0.0.1:{HOSTILE_PORT}", "http://127.0.0.1:{RELAY_PORT}"]',
                     control=False)
        origin = Origin(other)
        origin.scripts = self.origin.scripts
        stop = self.relay(other)
        try:
            other.start_control()

            def warmed():
                jobs = other.ctl_json("cache", "stats")["warm"]["jobs"]
                return len(jobs) == 2 and all(j["ended"] for j in jobs) and jobs
            last, first = wait_until(warmed, 20, "warmed from the peer")
            self.assertIn("refused", first["trouble"])
            self.assertEqual((last["source"], last["trouble"]), ("peer", None))
            for path in paths:
                self.assertEqual(origin.count(path), 1)
            origin.forget()
            for path in paths:
                self.assertIn("detail=L2", other.get(path)["cache-status"])
            self.assertEqual(origin.count(), 0)
            row = source(other, "peer")
            self.assertEqual((row["used"], row["unused"]), (5, 0))
            self.assertEqual(row["precision"], 1)
            self.assertEqual([r.path for r in origin.seen("/mine/peer")], [])
        finally:
            stop()
            origin.stop()
            other.stop()
        self.assertEqual(self.lab.ctl_json("cache", "stats")["warm"]["list"]["served"], served + 1)

    def relay(self, other):
        """A port of the other's namespace that leads to this one's metrics."""
        door = other.socket_in(other.srv)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", RELAY_PORT))

        def serve():
            door.listen(8)
            while True:
                try:
                    s, _ = door.accept()
                except OSError:
                    return
                with s, self.lab.socket_in(self.lab.srv) as there:
                    there.connect(("127.0.0.1", 9900))
                    there.sendall(s.recv(65536))
                    while data := there.recv(65536):
                        s.sendall(data)
        time_to_listen = threading.Thread(target=serve, daemon=True)
        time_to_listen.start()

        def stop():
            door.shutdown(socket.SHUT_RDWR)
            door.close()
        return stop


if __name__ == "__main__":
    unittest.main(verbosity=2)
