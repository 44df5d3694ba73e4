"""The operator's side of a live system: commands, metrics, reload, drain, and starts that must fail."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from http1 import Cut, request
from lab import CONFIG, CONTROL, CTL, DATAPLANE, DOOR, Lab, wait_until
from origin import Origin, answer, slow

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = CONFIG.replace("upstream: web", "upstream: odd")
FRESH = "Cache-Control: max-age=600"
ADDED = """
    - host: added.test
      path: /*
      upstream: odd
"""


class Admin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(config=TEXT).start(nginx=False)
        cls.origin = Origin(cls.lab)
        cls.origin.on("/hot", answer("hot", 200, FRESH, 'ETag: "e"'))

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.lab.stop()

    def setUp(self):
        self.lab.get("/hot")

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    # --- commands -----------------------------------------------------------------------------
    def test_status(self):
        s = self.lab.ctl_json("status")
        self.assertEqual(s["control"]["pid"], self.lab.pid("control"))
        self.assertEqual(s["dataplane"]["pid"], self.lab.pid("dataplane"))
        self.assertTrue(s["dataplane"]["attached"])
        self.assertEqual(s["dataplane"]["cores"][0]["snapshot"], s["control"]["snapshot"])
        self.assertIn("attached", self.lab.ctl("status").stdout)

    def test_every_command_as_table_and_as_json(self):
        for args in (["status"], ["stats"], ["conns"], ["drops"], ["drops", "--all"],
                     ["cores"], ["cores", "--seconds=5"], ["cores", "--total"],
                     ["cache", "get", "api.test/hot"], ["cache", "list"], ["upstream", "list"],
                     ["config", "show"], ["version"], ["cache", "purge", "api.test/none"]):
            with self.subTest(args):
                table = self.lab.ctl(*args)
                self.assertGreater(len(table.stdout), 5)
                self.assertEqual(table.stderr, "")
                json.loads(self.lab.ctl("-o", "json", *args).stdout)

    def stages(self, *args):
        """Of the only core: itself, and its stages by name."""
        core = self.lab.ctl_json("cores", *args)["cores"][0]
        return core, {s["stage"]: s for s in core["stages"]}

    def test_cores(self):
        before, old = self.stages("--total")
        with self.lab.client() as c:
            for _ in range(300):
                self.assertTrue(c.ask("/hot").hit)
            c.ask("/echo")
        core, new = self.stages("--total")
        grown = {name: s["items"] - old[name]["items"] for name, s in new.items()}
        for name in ("rx", "net", "tcp", "request", "tx"):
            self.assertGreaterEqual(grown[name], 301, name)
        for name in ("completion", "flush"):
            self.assertGreaterEqual(grown[name], 1, name)
        for s in new.values():
            self.assertLessEqual(s["calls"], s["items"])
            self.assertLessEqual(s["timed_items"], s["items"])
        self.assertEqual(sum(b["count"] for b in core["bursts"]), new["rx"]["calls"])
        self.assertAlmostEqual(sum(s["share"] for s in new.values()), 1, places=6)
        self.assertEqual(core["timed"], "sampled")
        self.assertGreater(core["seconds"], before["seconds"])
        self.assertGreater(core["cycles_per_request"], 100)
        self.assertTrue(0 < core["busy_ratio"] <= 1 and 0 < core["empty_ratio"] < 1, core)
        self.assertEqual(core["cpu"], self.lab.ctl_json("status")["dataplane"]["cores"][0]["cpu"])

    def test_cores_of_the_last_seconds(self):
        """What was done before the interval is in the total alone."""
        self.lab.get("/hot")

        def quiet():
            core, stages = self.stages()
            return 1 <= core["seconds"] < 4 and stages["request"]["items"] == 0 and (core, stages)

        core, stages = wait_until(quiet, 10, "a whole second without a request")
        self.assertEqual(core["requests_per_s"], 0)
        self.assertGreater(stages["housekeep"]["items"], 0)
        self.assertGreater(self.stages("--total")[1]["request"]["items"], 0)

    def test_cores_as_configured(self):
        """A reload switches the times on and off; off counts nothing."""
        try:
            for mode in ("all", "off"):
                self.lab.write_config(text=self.lab.config_text + f"\nstages: \"{mode}\"\n")
                self.lab.ctl("config", "reload")
                wait_until(lambda m=mode: self.stages("--total")[0]["timed"] == m, 5, mode)
                old = self.stages("--total")[1]
                self.lab.get("/hot")

                def grown(before=old, wanted=mode == "all"):
                    """Times follow at the end of their round, which may just be under way."""
                    now = self.stages("--total")[1]
                    n = [sum(now[s][i] - before[s][i] for s in ("rx", "net", "tcp", "tx"))
                         for i in ("items", "timed_items")]
                    return n[0] == n[1] and (n[0] > 0) == wanted
                wait_until(grown, 5, f"stages: {mode}")
        finally:
            self.lab.write_config()
            self.lab.ctl("config", "reload")

    def test_wrong_use(self):
        for args, code in ((["nonsense"], 2), (["cache"], 2), (["cache", "get"], 2),
                           (["status", "more"], 2), (["drain", "--timeout-ms=x"], 2),
                           (["conns", "--state=nonsense"], 1), (["cache", "get", "none"], 1),
                           (["cores", "--seconds=0"], 1), (["cores", "--seconds=x"], 2)):
            with self.subTest(args):
                r = self.lab.ctl(*args, check=False)
                self.assertEqual(r.returncode, code, r)
                self.assertTrue(r.stderr.startswith("sluicectl"), r.stderr)
                self.assertEqual(r.stdout, "")

    def test_no_control(self):
        r = subprocess.run([CTL, "-s", "/run/no-such.sock", "status"], capture_output=True,
                           text=True, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("/run/no-such.sock", r.stderr)

    def test_stats_count(self):
        before = self.lab.ctl_json("stats")["total"]
        with self.lab.client() as c:
            for _ in range(100):
                c.ask("/hot")
            c.ask("/hot", host="other.test")

        def counted():
            now = self.lab.ctl_json("stats")["total"]
            return {k: now[k] - before[k] for k in now}
        wait_until(lambda: counted()["http_requests"] >= 101, 3, "counted")
        d = counted()
        self.assertEqual((d["http_requests"], d["cache_hit"], d["http_2xx"], d["http_4xx"],
                          d["http_no_route"], d["http_body_out"] >= 300),
                         (101, 100, 100, 1, 1, True))

    def test_received_packets_add_up(self):
        """Every received packet ends in exactly one counter."""
        with self.lab.client() as c:
            for _ in range(50):
                c.ask("/hot")
        subprocess.run(self.lab.in_cli("ping", "-c", "3", "-i", "0.2", DOOR), check=True,
                       stdout=subprocess.DEVNULL)

        def adds_up():
            t = self.lab.ctl_json("stats")["total"]
            ends = sum(v for k, v in t.items() if k.startswith("drop_")
                       or k in ("rx_tcp", "rx_arp", "rx_ndp", "rx_icmp", "rx_fragment"))
            return t["rx_packets"] == ends and ends > 50
        wait_until(adds_up, 3, "rx_packets is the sum of its ends")

    def test_conns(self):
        with self.lab.client() as a, self.lab.client() as b:
            a.ask("/hot")
            b.ask("/hot")
            want = {f"{s.getsockname()[0]}:{s.getsockname()[1]}" for s in (a.sock, b.sock)}
            rows = self.lab.ctl_json("conns", "--state=established")["conns"]
            self.assertTrue(want <= {r["remote"] for r in rows}, rows)
            self.assertEqual({r["local"] for r in rows}, {f"{DOOR}:80"})

    def test_conns_of_many_pages(self):
        socks = [self.lab.connect() for _ in range(1500)]
        try:
            rows, cursor = [], []
            while True:
                page = self.lab.ctl_json("conns", "--limit=400", *cursor)
                rows += page["conns"]
                if page["next"] is None:
                    break
                cursor = [f"--cursor={page['next']}"]
            mine = {f"{s.getsockname()[0]}:{s.getsockname()[1]}" for s in socks}
            found = [r["remote"] for r in rows]
            self.assertEqual(len(found), len(set(found)), "listed twice")
            self.assertTrue(mine <= set(found))
            self.assertGreaterEqual(len(self.lab.ctl_json("conns", "--limit=0")["conns"]), 1500)
        finally:
            for s in socks:
                s.close()

    def test_cache_list_of_many_pages(self):
        body = answer("x", 200, FRESH)
        want = set()
        with self.lab.client() as c:
            for i in range(1500):
                self.origin.on("/list", body)
                c.ask(f"/list?{i}")
                want.add(f"api.test/list?{i}")
        rows, cursor = [], []
        while True:
            page = self.lab.ctl_json("cache", "list", "--limit=300", *cursor)
            rows += [e["key"] for e in page["entries"]]
            if page["next"] is None:
                break
            cursor = [f"--cursor={page['next']}"]
        self.assertTrue(want <= set(rows))
        self.assertEqual(self.lab.ctl_json("cache", "purge", "api.test/list?*")["purged"], 1500)

    def test_cache_get(self):
        e = self.lab.ctl_json("cache", "get", "api.test/hot")["entries"][0]
        self.assertEqual((e["status"], e["body_bytes"], e["etag"]), (200, 3, '"e"'))

    def test_drops(self):
        before = self.drop("drop_tcp_closed")
        # Nobody listens for an ACK without a connection: counted, and answered with a reset.
        script = ("import socket,struct;s=socket.socket(socket.AF_INET,socket.SOCK_RAW,6);"
                  "h=struct.pack('!HHIIBBHHH',1234,80,1,1,0x50,0x10,100,0,0);"
                  "p=socket.inet_aton('10.78.0.2')+socket.inet_aton('10.78.0.10')+"
                  "struct.pack('!BBH',0,6,20);t=sum(struct.unpack('!16H',p+h));"
                  "t=(t&0xffff)+(t>>16);t=(t&0xffff)+(t>>16);"
                  "h=h[:16]+struct.pack('!H',~t&0xffff)+h[18:];s.sendto(h,('10.78.0.10',0))")
        subprocess.run(self.lab.in_cli("python3", "-c", script), check=True)
        wait_until(lambda: self.drop("drop_tcp_closed") == before + 1, 3, "counted")

    def drop(self, name):
        rows = self.lab.ctl_json("drops", "--all")["drops"]
        return next(r["total"] for r in rows if r["id"] == name)

    def test_upstreams(self):
        self.lab.get("/odd/echo")
        self.lab.get("/dead/x")
        rows = {r["upstream"]: r for r in self.lab.ctl_json("upstream", "list")["upstreams"]}
        self.assertGreaterEqual(rows["odd"]["requests"], 1)
        self.assertGreaterEqual(rows["dead"]["connect_errors"], 1)

    def test_raw_socket(self):
        """Bad requests on the admin socket get an error, and harm nobody else."""
        def ask(data):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(f"{self.lab.run_dir}/admin.sock")
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                out = b""
                try:
                    while b := s.recv(65536):
                        out += b
                except ConnectionResetError:
                    pass  # closed before all was read, and behind its answer
                return out
        self.assertTrue(json.loads(ask(b'{"cmd": "version"}\n'))["ok"])
        two = ask(b'{"cmd": "version"}\n{"cmd": "drops"}\n').splitlines()
        self.assertEqual([json.loads(x)["ok"] for x in two], [True, True])
        for bad in (b"nonsense\n", b"{}\n", b'{"cmd": 5}\n', b'{"cmd": "nonsense"}\n', b"[]\n",
                    b'{"cmd": "conns", "args": {"limit": -1}}\n',
                    b'{"cmd": "conns", "args": {"limit": "x"}}\n',
                    b'{"cmd": "conns", "args": {"cursor": "zzz"}}\n',
                    b'{"cmd": "conns", "args": {"nonsense": 1}}\n', b"\x00\xff\n",
                    b'{"cmd": "cache get", "args": {}}\n', b"[" * 20000 + b"\n",
                    b'{"cmd": "cache purge", "args": {"key": "' + b"x" * 20000 + b'"}}\n'):
            with self.subTest(bad[:60]):
                told = json.loads(ask(bad).splitlines()[0])
                self.assertFalse(told["ok"], told)
                self.assertTrue(told["error"])
        told = ask(b"x" * 30000 + b"y" * 30000).splitlines()
        self.assertEqual([json.loads(x)["ok"] for x in told], [False])
        self.assertEqual(self.lab.ctl("status").returncode, 0)

    def test_socket_is_for_owner_and_group(self):
        mode = os.stat(f"{self.lab.run_dir}/admin.sock").st_mode
        self.assertEqual(mode & 0o777, 0o660)

    def test_metrics_page(self):
        self.lab.get("/odd/echo")
        r = subprocess.run(self.lab.in_srv(
            sys.executable, os.path.join(HERE, "check_metrics.py"), "http://127.0.0.1:9900/metrics",
            "--need", "http_requests_total", "--need", "cache_requests_total"),
            capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)

    def test_metrics_page_while_control_is_killed_and_back(self):
        self.lab.kill("control")
        self.assertTrue(self.lab.get("/hot").hit)
        self.lab.start_control()
        wait_until(lambda: self.lab.metric("http_requests_total") > 0, 5, "counters again")

    # --- reload -------------------------------------------------------------------------------
    def test_reload_adds_a_route(self):
        with self.lab.client() as c:
            self.assertEqual(c.ask("/echo", host="added.test").status, 404)
            before = self.lab.ctl_json("status")["control"]["snapshot"]
            self.lab.write_config(ADDED)
            try:
                self.lab.ctl("config", "reload")
                self.assertEqual(c.ask("/echo", host="added.test").status, 200)
                self.assertTrue(c.ask("/hot").hit, "a reload loses no stored answer")
                after = self.lab.ctl_json("status")
                self.assertNotEqual(after["control"]["snapshot"], before)
                self.assertEqual(after["dataplane"]["cores"][0]["snapshot"],
                                 after["control"]["snapshot"])
            finally:
                self.lab.write_config()
                self.lab.ctl("config", "reload")
            self.assertEqual(c.ask("/echo", host="added.test").status, 404)

    def test_reload_during_a_miss(self):
        """What is under way keeps the route that it began with."""
        p = self.origin.on("/slowly", slow(0.6, answer("done", 200, "Cache-Control: no-store")))
        with self.lab.client() as c:
            self.lab.write_config(ADDED)
            self.lab.ctl("config", "reload")
            c.send(request(p, host="added.test"))
            wait_until(lambda: self.origin.count(p) == 1, 3, "asked")
            self.lab.write_config()
            self.lab.ctl("config", "reload")
            self.assertEqual(c.response().body, b"done")
            self.assertEqual(c.ask(p, host="added.test").status, 404)

    def test_reload_of_a_broken_file(self):
        before = self.lab.ctl_json("status")["control"]["snapshot"]
        good = self.lab.config_text
        for what, where in (
                ("routes: [\n", r":\d+:\d+: "),
                (good.replace("node: testnode", "nodee: x"), r":2:1: .*nodee"),
                (good.replace("port: 80", "port: 80000"), r":\d+:\d+: .*80000"),
                (good.replace("      upstream: odd", "      upstream: none"), r":\d+:\d+: .*none"),
                (good.replace("routes:", "routes: []\nx:"), r":\d+:\d+: "),
                ("", r":\d+:\d+: ")):
            with self.subTest(where + what[:20]):
                self.write(what)
                try:
                    r = self.lab.ctl("config", "reload", check=False)
                    check = subprocess.run([CTL, "config", "check", self.lab.config_path],
                                           capture_output=True, text=True, check=False)
                finally:
                    self.lab.write_config()
                self.assertEqual((r.returncode, check.returncode), (1, 1))
                for text in (r.stderr, check.stderr + check.stdout):
                    self.assertRegex(text, re.escape(self.lab.config_path) + where)
                self.assertTrue(self.lab.get("/hot").hit)
                self.assertEqual(self.lab.get("/odd/echo").status, 200)
        self.assertEqual(self.lab.ctl_json("status")["control"]["snapshot"], before)
        r = self.lab.ctl("config", "reload")
        self.assertEqual(r.returncode, 0)

    def write(self, template):
        if template:
            self.lab.write_config(text=template)
        else:
            with open(self.lab.config_path, "w", encoding="ascii"):
                pass

    def test_reload_without_the_file(self):
        os.rename(self.lab.config_path, self.lab.config_path + ".away")
        try:
            r = self.lab.ctl("config", "reload", check=False)
        finally:
            os.rename(self.lab.config_path + ".away", self.lab.config_path)
        self.assertEqual(r.returncode, 1)
        self.assertIn(self.lab.config_path, r.stderr)
        self.assertEqual(self.lab.get("/odd/echo").status, 200)

    def test_reload_of_what_needs_a_restart(self):
        """Applied in part would be worse than told: the answer names what a restart needs."""
        self.lab.write_config(text=self.lab.config_text.replace("33554432", "67108864"))
        try:
            r = self.lab.ctl("config", "reload", check=False)
        finally:
            self.lab.write_config()
        self.assertIn("memory", r.stdout + r.stderr)
        self.lab.ctl("config", "reload")

    def test_reload_changes_limits_and_upstreams(self):
        text = self.lab.config_text.replace('"127.0.0.1:18099"', '"127.0.0.1:18081"')
        self.lab.write_config("limits:\n    target_bytes: 64\n", text=text)
        try:
            self.lab.ctl("config", "reload")
            self.assertEqual(self.lab.get("/" + "x" * 100).status, 414)
            self.assertEqual(self.lab.get("/dead/x").status, 200)
        finally:
            self.lab.write_config()
            self.lab.ctl("config", "reload")
        self.assertEqual(self.lab.get("/" + "x" * 100).status, 200)
        self.assertEqual(self.lab.get("/dead/x").status, 502)

    def test_many_reloads_under_load(self):
        wrong, done = [], threading.Event()

        def client():
            with self.lab.client() as c:
                while not done.is_set():
                    for path in ("/hot", "/odd/echo"):
                        r = c.ask(path)
                        if r.status != 200:
                            wrong.append(r.raw)
        ts = [threading.Thread(target=client) for _ in range(4)]
        for t in ts:
            t.start()
        try:
            for i in range(40):
                self.lab.write_config(ADDED if i % 2 else "")
                self.lab.ctl("config", "reload")
        finally:
            done.set()
            for t in ts:
                t.join()
            self.lab.write_config()
            self.lab.ctl("config", "reload")
        self.assertEqual(wrong, [])

    def test_refusals_are_no_hits(self):
        """What a core refuses is not in the times of hits, which would look better for it."""
        def hits():
            return self.lab.metric("http_request_duration_ms_count", result="hit")
        self.assertTrue(wait_until(lambda: self.lab.get("/hot").hit, 5, "a hit"))
        time.sleep(1.2)  # the page is a moment old
        before = hits()
        for _ in range(10):
            self.assertEqual(self.lab.get("/hot", host="nobody.test").status, 404)
            self.assertEqual(self.lab.get("/a b").status, 400)
        self.assertTrue(self.lab.get("/hot").hit)
        wait_until(lambda: hits() > before, 5, "the hit is counted")
        self.assertEqual(hits() - before, 1)

    # --- drain --------------------------------------------------------------------------------
    def refused(self):
        try:
            with self.lab.client(timeout=1) as c:
                c.ask("/hot")
                return False
        except (Cut, OSError):
            return True

    def test_drain_and_undo(self):
        p = self.origin.on("/draining", slow(1.0, answer("done", 200, "Cache-Control: no-store")))
        idle, busy = self.lab.client(), self.lab.client()
        with idle, busy:
            idle.ask("/hot")
            busy.send(request(p))
            wait_until(lambda: self.origin.count(p) == 1, 3, "asked")
            self.lab.ctl("drain", "--timeout-ms=5000")
            try:
                self.assertTrue(idle.ended(), "an idle connection is closed")
                self.assertTrue(self.refused(), "a new connection is refused")
                r = busy.response()
                self.assertEqual((r.status, r.body, r.closes), (200, b"done", True))
                self.assertTrue(busy.ended())
                self.assertTrue(self.lab.ctl_json("status")["dataplane"]["cores"][0]["draining"])
            finally:
                self.lab.ctl("drain", "--undo")
        wait_until(lambda: not self.refused(), 5, "connections are taken again")
        self.assertFalse(self.lab.ctl_json("status")["dataplane"]["cores"][0]["draining"])
        self.assertEqual(self.lab.get("/odd/echo").status, 200)

    def test_drain_has_an_end(self):
        p = self.origin.on("/forever", slow(6, answer("done", 200, "Cache-Control: no-store")))
        with self.lab.client() as c:
            c.send(request(p))
            wait_until(lambda: self.origin.count(p) >= 1, 3, "asked")
            began = time.monotonic()
            self.lab.ctl("drain", "--timeout-ms=500")
            try:
                with self.assertRaises(Cut):
                    c.response()
                self.assertLess(time.monotonic() - began, 3)
            finally:
                self.lab.ctl("drain", "--undo")
        wait_until(lambda: not self.refused(), 5, "connections are taken again")

    # --- starts that fail ---------------------------------------------------------------------
    def start(self, program, text, name="other.yaml"):
        path = os.path.join(self.lab.run_dir, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        r = subprocess.run(self.lab.in_srv(program, "--config", path), capture_output=True,
                           text=True, timeout=20, check=False)
        return r.returncode, r.stdout + r.stderr

    def config(self, **changes):
        """This lab's file with a run_dir of its own and some texts changed."""
        with open(self.lab.config_path, encoding="ascii") as f:
            text = f.read()
        text = text.replace(self.lab.run_dir, self.lab.run_dir + "/other")
        for old, new in changes.values():
            self.assertIn(old, text)
            text = text.replace(old, new)
        return text

    def fails(self, program, text, says):
        code, out = self.start(program, text)
        self.assertEqual(code, 1, out)
        self.assertRegex(out, says)
        self.assertNotRegex(out, r"(?i)assert|segmentation|core dumped|==\d+==")
        # Whoever fails to start must do no harm to those that run.
        self.assertEqual(self.lab.get("/hot").body, b"hot")
        self.assertEqual(self.lab.get("/odd/echo").status, 200)

    def test_start_with_a_wrong_file(self):
        for program in (DATAPLANE, CONTROL):
            for text, says in (("node: [\n", r"other\.yaml:\d+:\d+: "),
                               (self.config(a=("node:", "nodee:")), r"other\.yaml:2:1: .*nodee"),
                               (self.config(a=("type: af_xdp", "type: token_ring")),
                                r"other\.yaml:\d+:\d+: .*token_ring")):
                with self.subTest(program=program, says=says):
                    self.fails(program, text, says)

    def test_start_without_a_file(self):
        for program in (DATAPLANE, CONTROL):
            r = subprocess.run([program, "--config", "/nonexistent.yaml"], capture_output=True,
                               text=True, check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("/nonexistent.yaml", r.stderr)

    def test_start_on_a_missing_interface(self):
        self.fails(DATAPLANE, self.config(a=("front0", "nosuch0")), "nosuch0")

    @contextlib.contextmanager
    def spare(self):
        """An interface that no dataplane has."""
        self.lab.sh("ip", "-n", self.lab.srv, "link", "add", "spare0", "type", "veth", "peer",
                    "name", "spare1")
        try:
            self.lab.sh("ip", "-n", self.lab.srv, "link", "set", "spare0", "up")
            yield
        finally:
            self.lab.sh("ip", "-n", self.lab.srv, "link", "del", "spare0")

    def test_start_with_a_cpu_that_is_not_there(self):
        with self.spare():
            self.fails(DATAPLANE, self.config(a=("interface: front0",
                                                 "interface: spare0\n      cores: [1000]")), "1000")

    def test_start_without_huge_pages(self):
        with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as f:
            if int(f.read()) > 0:
                self.skipTest("there are huge pages")
        with self.spare():
            self.fails(DATAPLANE, self.config(a=('huge_pages: "off"', 'huge_pages: "on"'),
                                              b=("front0", "spare0")), r"(?i)huge.?page")

    def test_second_dataplane(self):
        """On the same interface, and with the same run_dir: refused, and the first goes on."""
        self.fails(DATAPLANE, self.config(), "front0")
        with open(self.lab.config_path, encoding="ascii") as f:
            self.fails(DATAPLANE, f.read(), r"front0|run_dir|dataplane\.sock")
        other = self.config().replace(self.lab.run_dir + "/other", self.lab.run_dir)
        with self.spare():
            self.fails(DATAPLANE, other.replace("front0", "spare0").replace(DOOR, "10.99.0.1"),
                       r"run_dir|dataplane\.sock")

    def test_second_control(self):
        with open(self.lab.config_path, encoding="ascii") as f:
            self.fails(CONTROL, f.read(), r"admin\.sock")
        self.assertEqual(self.lab.ctl("status").returncode, 0)

    def test_metrics_port_in_use(self):
        self.fails(CONTROL, self.config(), "9900")

    # --- ends ---------------------------------------------------------------------------------
    def test_control_first(self):
        """Control waits for a dataplane, and says so."""
        self.lab.kill("control")
        self.lab.kill("dataplane")
        p = self.lab.spawn("control", [CONTROL, "--config", self.lab.config_path])
        wait_until(lambda: self.lab.ctl("status", check=False).returncode == 0, 5, "answers")
        self.assertFalse(self.lab.ctl_json("status")["dataplane"]["attached"])
        self.lab.start_dataplane()
        wait_until(lambda: self.lab.ctl_json("status")["dataplane"]["attached"], 5, "attached")
        self.assertIsNone(p.poll())
        self.assertEqual(self.lab.get("/hot").body, b"hot")

    def test_terminate_dataplane(self):
        """SIGTERM: what is under way is answered, then it ends with 0 and gives all back. A client
        that keeps its side open after it was told the end is not waited for."""
        p = self.origin.on("/ending", slow(0.7, answer("done", 200, "Cache-Control: no-store")))
        proc = self.lab.procs["dataplane"]
        try:
            with self.lab.client() as c, self.lab.client() as idle:
                self.assertEqual(idle.ask("/hot").status, 200)
                c.send(request(p))
                wait_until(lambda: self.origin.count(p) == 1, 3, "asked")
                proc.send_signal(signal.SIGTERM)
                r = c.response()
                self.assertEqual((r.status, r.body), (200, b"done"))
                self.assertEqual(proc.wait(10), 0)
            link = self.lab.sh("ip", "-n", self.lab.srv, "link", "show", "front0").stdout
            self.assertNotIn("xdp", link)
        finally:
            self.lab.kill("dataplane")
            self.lab.start_dataplane()
            wait_until(lambda: self.lab.ctl_json("status")["dataplane"]["attached"], 5, "attached")
        self.assertEqual(self.lab.get("/hot").status, 200)

    def test_signals_of_habit(self):
        """Daemons get HUP, USR1 and USR2 for a reload or new logs: no reason to drop anybody."""
        with self.lab.client() as c:
            self.assertEqual(c.ask("/hot").status, 200)
            for name in ("dataplane", "control"):
                for sig in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                    self.lab.procs[name].send_signal(sig)
            wait_until(lambda: self.lab.log("dataplane").count("does nothing here") >= 3 and
                       self.lab.log("control").count("does nothing here") >= 2, 3, "it says so")
            self.lab.alive()
            self.assertEqual(c.ask("/hot").status, 200)
            self.assertEqual(c.ask("/odd/echo").status, 200)

    def test_terminate_control(self):
        proc = self.lab.procs["control"]
        proc.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(proc.wait(10), 0)
            self.assertTrue(self.lab.get("/hot").hit)
        finally:
            self.lab.kill("control")
            self.lab.start_control()


if __name__ == "__main__":
    unittest.main(verbosity=2)
