"""The first things a user sees: miss, hit, condition, purge, errors, and the kernel beside us."""

import subprocess
import unittest

from lab import DOOR6, KERNEL, Lab


class Basic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().start()
        cls.lab.put("/a.json", '{"a":1}')
        cls.lab.put("/nostore/x", "secret")

    @classmethod
    def tearDownClass(cls):
        cls.lab.stop()

    def test_miss_hit_condition_purge(self):
        lab = self.lab
        status, h, body = lab.curl("/a.json")
        self.assertEqual((status, body), (200, b'{"a":1}'))
        self.assertIn("fwd=uri-miss", h["cache-status"])
        status, h, body = lab.curl("/a.json")
        self.assertEqual((status, body), (200, b'{"a":1}'))
        self.assertIn("; hit", h["cache-status"])
        self.assertRegex(h["age"], r"^\d+$")
        self.assertIn("date", h)
        status, h2, body = lab.curl("/a.json", "-H", "If-None-Match: " + h["etag"])
        self.assertEqual((status, body), (304, b""))
        self.assertEqual(h2["etag"], h["etag"])
        self.assertEqual(lab.origin_hits("/a.json"), 1)
        lab.ctl("cache", "purge", "api.test/a.json")
        status, h, body = lab.curl("/a.json")
        self.assertIn("fwd=uri-miss", h["cache-status"])

    def test_head_and_keepalive(self):
        out = self.lab.raw(b"HEAD /a.json HTTP/1.1\r\nHost: api.test\r\n\r\n"
                           b"GET /a.json HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
        self.assertEqual(out.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertEqual(out.count(b'{"a":1}'), 1)

    def test_no_store_is_not_stored(self):
        for _ in range(2):
            status, h, body = self.lab.curl("/nostore/x")
            self.assertEqual((status, body), (200, b"secret"))
            self.assertNotIn("hit", h["cache-status"])

    def test_unknown_host_and_method(self):
        self.assertEqual(self.lab.curl("/a.json", host="other.test")[0], 404)
        status, h, _ = self.lab.curl("/getonly", "-X", "DELETE")
        self.assertEqual(status, 405)
        self.assertEqual(h["allow"], "GET, HEAD")

    def test_dead_origin(self):
        self.assertEqual(self.lab.curl("/dead/x")[0], 502)

    def test_ipv6(self):
        status, _, body = self.lab.curl("/a.json", "-g", door=f"[{DOOR6}]")
        self.assertEqual((status, body), (200, b'{"a":1}'))

    def test_kernel_keeps_its_own_address(self):
        lab = self.lab
        # A TCP service of the kernel's on the same interface, on the very port of the front door.
        p = subprocess.Popen(lab.in_srv("nc", "-l", "-N", KERNEL, "80"), stdin=subprocess.PIPE)
        try:
            for _ in range(50):
                r = subprocess.run(lab.in_cli("nc", "-w", "2", KERNEL, "80"), input=b"",
                                   capture_output=True, check=False)
                if r.returncode == 0:
                    break
            self.assertEqual(r.returncode, 0)
        finally:
            p.kill()
            p.wait()
        for addr in (KERNEL, "10.78.0.10"):
            subprocess.run(lab.in_cli("ping", "-c", "2", "-i", "0.2", "-W", "2", addr), check=True,
                           stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
