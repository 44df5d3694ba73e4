"""The first things a user sees: miss, hit, condition, purge, errors, and the kernel beside us."""

import socket
import subprocess
import threading
import unittest

from lab import DOOR, DOOR6, KERNEL, Lab

GETONLY = """
    - host: strict.test
      path: /getonly
      methods: [GET]
      upstream: web
"""


class Basic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(extra=GETONLY).start()
        for name in "abcd":
            cls.lab.put(f"/{name}.json", '{"a":1}')
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
        self.assertEqual(lab.origin_hits("/a.json"), 2)

    def test_head_and_keepalive(self):
        out = self.lab.raw(b"HEAD /b.json HTTP/1.1\r\nHost: api.test\r\n\r\n"
                           b"GET /b.json HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
        self.assertEqual(out.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertEqual(out.count(b'{"a":1}'), 1)

    def test_no_store_is_not_stored(self):
        for _ in range(2):
            status, h, body = self.lab.curl("/nostore/x")
            self.assertEqual((status, body), (200, b"secret"))
            self.assertNotIn("hit", h["cache-status"])

    def test_unknown_host(self):
        self.assertEqual(self.lab.curl("/c.json", host="other.test")[0], 404)

    def test_method_that_no_route_of_the_host_takes(self):
        status, h, _ = self.lab.curl("/getonly", "-X", "DELETE", host="strict.test")
        self.assertEqual(status, 405)
        self.assertEqual(h["allow"], "GET, HEAD")

    def test_method_falls_through_to_a_wider_pattern(self):
        self.lab.put("/getonly", "x")
        # nginx refuses DELETE of a file with 405, but has no Allow of ours.
        status, h, _ = self.lab.curl("/getonly", "-X", "DELETE")
        self.assertEqual(status, 405)
        self.assertNotIn("allow", h)

    def test_dead_origin(self):
        self.assertEqual(self.lab.curl("/dead/x")[0], 502)

    def test_ipv6(self):
        status, _, body = self.lab.curl("/d.json", "-g", door=f"[{DOOR6}]")
        self.assertEqual((status, body), (200, b'{"a":1}'))

    def test_kernel_keeps_its_own_address(self):
        lab = self.lab
        # A TCP service of the kernel's on the same interface, on the very port of the front door.
        with lab.socket_in(lab.srv) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((KERNEL, 80))
            s.listen(8)

            def serve():
                peer, _ = s.accept()
                with peer:
                    peer.sendall(b"from the kernel: " + peer.recv(100))
            t = threading.Thread(target=serve)
            t.start()
            r = subprocess.run(lab.in_cli("nc", "-N", "-w", "3", KERNEL, "80"), input=b"hello",
                               capture_output=True, check=False)
            t.join(5)
        self.assertEqual((r.returncode, r.stdout), (0, b"from the kernel: hello"))
        for addr in (KERNEL, DOOR):
            subprocess.run(lab.in_cli("ping", "-c", "2", "-i", "0.2", "-W", "2", addr), check=True,
                           stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
