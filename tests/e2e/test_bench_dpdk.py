# SPDX-License-Identifier: BSD-2-Clause
"""sluice-bench with its DPDK transport: over memif against the whole of Sluice, and over AF_XDP against
Sluice and nginx. What it says it did is what the server counted, in every mode; a server that dies gives
errors by kind and an end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab as e2e  # noqa: E402
from memif_door import DOOR, MemifDoor, wait_until  # noqa: E402

CLIENTS = "10.78.0.20-10.78.0.23"
NGINX = e2e.nginx_config("""\
    server {{
        listen 127.0.0.1:{origin};
        listen 10.78.0.1:80 backlog=4096;
        listen [fd78::1]:80 backlog=4096;
        location / {{ default_type text/plain; return 200 "{body}"; }}
        location /status {{ stub_status; }}
    }}
""")


def errors(report, but=()):
    return {k: v for k, v in report["total"]["counts"]["errors"].items() if v and k not in but}


class Memif(unittest.TestCase):
    """One door for all; each test measures by how much its counters grew."""

    @classmethod
    def setUpClass(cls):
        cls.door = MemifDoor(e2e.BUILD).start()
        cls.door.warm(100)

    @classmethod
    def tearDownClass(cls):
        cls.door.stop()

    def run_counted(self, *options):
        """(the report's counts, by how much the server's counters grew, the report)."""
        before = self.door.counters()
        report = self.door.bench(*options)
        now = self.door.counters()
        return report["total"]["counts"], {k: now[k] - before[k] for k in now}, report

    def check_same(self, counts, server, report, rate=None):
        # Of an open loop, what was due when the time was over and had no connection yet.
        self.assertEqual(errors(report, but=("unsent",) if rate else ()), {})
        if rate:
            self.assertEqual(counts["sent"] + counts["errors"]["unsent"], rate)
            self.assertGreater(counts["sent"], 0.8 * rate)
        self.assertEqual(report["run"]["transport"], "dpdk")
        self.assertEqual(counts["answered"], counts["sent"])
        self.assertEqual(server["http_requests"], counts["sent"])
        self.assertEqual(server["cache_hit"], counts["sent"])
        self.assertEqual(counts["status"], {"200": counts["sent"]})
        self.assertEqual(counts["hits"], counts["sent"])

    def test_closed(self):
        counts, server, report = self.run_counted("-c64", "-d5s")
        self.check_same(counts, server, report)
        self.assertGreater(counts["sent"], 5000)
        self.assertEqual((counts["connected"], server["tcp_accepted"]), (64, 64))

    def test_pipelining(self):
        counts, server, report = self.run_counted("-c16", "-p16", "-d2s")
        self.check_same(counts, server, report)
        self.assertEqual(server["tcp_accepted"], 16)

    def test_open(self):
        counts, server, report = self.run_counted("-c64", "-r2000", "-d5s")
        self.check_same(counts, server, report, rate=10000)

    def test_new_connections(self):
        """The server closes; the client resets; as many as are needed for a rate."""
        for options, rate in ((("-c32", "-d2s"), None), (("-c32", "-d2s", "--reset"), None),
                              (("-r1000", "-d2s"), 2000)):
            with self.subTest(options):
                counts, server, report = self.run_counted("--new-connections", *options)
                self.check_same(counts, server, report, rate)
                # At the end some are given up before the server knows that they were there.
                self.assertGreaterEqual(server["tcp_accepted"], counts["sent"])
                self.assertGreaterEqual(counts["connected"], server["tcp_accepted"])
                if not rate:
                    self.assertLessEqual(counts["connected"] - counts["sent"], 32)
        wait_until(lambda: self.door.counters()["tcp_conns"] <= 32768, 10, "connections ended")

    def test_next_run(self):
        """The server has what the run before left in TIME-WAIT, on half of one address's ports: where a
        later run meets it, its SYNs are newer by their timestamps, so that nobody waits a second for
        the next one."""
        options = ("-c32", "-d2s", "--new-connections")
        sent = []
        for _ in range(3):
            report = self.door.bench(*options, local="10.91.0.1")
            self.assertEqual(errors(report), {})
            sent.append(report["total"]["counts"]["sent"])
        self.assertGreater(min(sent), 1000)
        self.assertGreater(10 * min(sent), max(sent), f"connections of each run: {sent}")

    def test_one_worker(self):
        r = subprocess.run(self.door.bench_command("-c2", "-t2", "-d1s"), capture_output=True,
                           text=True, check=False, timeout=60)
        self.assertEqual(r.returncode, 3)
        self.assertIn("has one worker", r.stderr)

    def test_large(self):
        self.door.warm(65000)
        before = self.door.counters()
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            subprocess.run(self.door.bench_command("-c16", "-d2s", "--json", out.name,
                                                   path="/bytes/65000"), check=True, timeout=60)
            report = json.load(out)
        counts = report["total"]["counts"]
        self.assertEqual(errors(report), {})
        self.assertGreater(counts["bytes_in"], 65000 * counts["answered"])
        self.assertEqual(self.door.counters()["http_requests"] - before["http_requests"],
                         counts["sent"])


class Trouble(unittest.TestCase):
    def run_bad(self, *options, device="memif:/nowhere", url=f"http://{DOOR}/"):
        r = subprocess.run([os.path.join(e2e.BUILD, "perf", "load", "sluice-bench"), "--transport",
                            "dpdk", "--device", device, "--local", "10.91.0.1", "-d1s", "-q",
                            *options, url], capture_output=True, text=True, check=False, timeout=60)
        self.assertNotEqual(r.returncode, 0)
        return r.stderr

    def test_what_is_missing_is_said(self):
        with tempfile.NamedTemporaryFile() as plain:
            self.assertIn("is no socket", self.run_bad(device=f"memif:{plain.name}"))
        self.assertIn("does not exist", self.run_bad(device="af_xdp:nope0"))
        self.assertIn("not known", self.run_bad(device="eth0"))

    def test_no_server(self):
        began = time.monotonic()
        self.assertIn("no memif socket", self.run_bad(device="memif:/tmp/there-is-none"))
        self.assertLess(time.monotonic() - began, 30)

    def test_killed_dataplane(self):
        """In closed and in open loop."""
        for options in (("-c32",), ("-c32", "-r2000"), ("-c32", "--new-connections")):
            with self.subTest(options), MemifDoor(e2e.BUILD) as door:
                door.warm(100)
                with tempfile.NamedTemporaryFile(suffix=".json") as out:
                    before = door.counters()["http_requests"]
                    p = subprocess.Popen(door.bench_command(*options, "-d6s", "--timeout", "1s",
                                                            "--json", out.name),
                                         stderr=subprocess.PIPE, text=True)
                    wait_until(lambda: door.counters()["http_requests"] > before + 500, 20, "requests come")
                    door.dataplane.send_signal(signal.SIGKILL)
                    door.dataplane.wait()
                    _, err = p.communicate(timeout=60)
                    self.assertIn(p.returncode, (0, 1), err)
                    report = json.load(out)
                self.assertGreater(report["total"]["counts"]["answered"], 0)
                self.assertGreater(errors(report).get("timeout", 0) +
                                   errors(report).get("connect", 0), 0)


@unittest.skipIf(os.geteuid() != 0, "needs root for network namespaces")
class AfXdp(unittest.TestCase):
    """The client's end of a veth is the load tool's; its addresses are not the kernel's."""

    def setUp(self):
        self.lab = e2e.Lab()

    def tearDown(self):
        self.lab.stop()

    def bench(self, *options, url, local=CLIENTS):
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            cmd = self.lab.in_cli(os.path.join(e2e.BUILD, "perf", "load", "sluice-bench"),
                                  "--transport", "dpdk", "--device", "af_xdp:eth0", "--local", local,
                                  "-q", "--json", out.name, *options, url)
            r = subprocess.run(cmd, capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(r.returncode, 0, r.stderr)
            return json.load(out)

    def test_nginx(self):
        self.lab.start_net()
        self.lab.start_nginx(NGINX, body="x" * 100)
        for url, local in (("http://10.78.0.1/", CLIENTS), ("http://[fd78::1]/", "fd78::20-fd78::23")):
            for options in (("-c16", "-d1s"), ("-c16", "-p8", "-d1s"), ("-r500", "-c4", "-d1s"),
                            ("-c16", "-d1s", "--new-connections")):
                with self.subTest(url=url, options=options):
                    before = self.nginx_requests()
                    report = self.bench(*options, url=url, local=local)
                    counts = report["total"]["counts"]
                    self.assertEqual(errors(report), {})
                    self.assertGreater(counts["answered"], 100)
                    # Each look at the counter is a request too.
                    self.assertEqual(self.nginx_requests() - before - 1, counts["sent"])

    def nginx_requests(self):
        text = subprocess.run(self.lab.in_srv("curl", "-s", "http://10.78.0.1/status"),
                              capture_output=True, text=True, check=True).stdout
        return int(text.split("\n")[2].split()[2])

    def test_sluice(self):
        self.lab.start()
        self.lab.put("/hit", "x" * 100)
        before = self.lab.metric("http_requests_total")
        report = self.bench("-c16", "-d2s", "-H", "Host: api.test", url=f"http://{e2e.DOOR}/hit")
        self.assertEqual(errors(report), {})
        self.assertEqual(self.lab.metric("http_requests_total") - before,
                         report["total"]["counts"]["sent"])


if __name__ == "__main__":
    unittest.main()
