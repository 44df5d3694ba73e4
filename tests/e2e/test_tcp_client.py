# SPDX-License-Identifier: BSD-2-Clause
"""Sluice's TCP as a client of Linux's: active opens, both directions, half-close, refusal, a bad wire."""

import hashlib
import os
import socket
import struct
import subprocess
import threading
import unittest

import lab as e2e
from wire import WireLab

MIB = 1 << 20
CONFIG = """
node: cat
run_dir: {run}
log_level: warn
listeners:
    - address: "{addr}"
      port: {port}
ports:
    - type: af_xdp
      interface: front0
memory:
    huge_pages: "off"
upstreams:
    - name: none
      addresses: ["127.0.0.1:9"]
routes:
    - upstream: none
"""
SERVERS = ((e2e.DOOR, e2e.CLIENT), (e2e.DOOR6, "fd78::2"))
BAD = (("loss", {"loss": 1}),
       ("reordering", {"reorder": 20}),
       ("repetition", {"dup": 20}),
       ("corruption", {"corrupt": 2}),
       ("delay", {"delay_ms": 20}),
       ("all of it", {"loss": 1, "reorder": 5, "dup": 2, "corrupt": 1, "delay_ms": 3}))


class Server:
    """Takes one connection, in the client's namespace, and does with it what it is told."""

    def __init__(self, lab, addr, talk):
        family = socket.AF_INET6 if ":" in addr else socket.AF_INET
        self.sock = lab.socket_in(lab.cli, family)
        self.sock.bind((addr, 0))
        self.sock.listen(1)
        self.sock.settimeout(60)
        self.port = self.sock.getsockname()[1]
        self.talk, self.error = talk, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            conn = self.sock.accept()[0]
            with conn:
                conn.settimeout(60)
                self.talk(conn)
        except OSError as e:
            self.error = e

    def end(self):
        self.thread.join(60)
        self.sock.close()
        return self.error


def read_all(conn):
    got = hashlib.sha256()
    size = 0
    while piece := conn.recv(65536):
        got.update(piece)
        size += len(piece)
    return size, got.hexdigest()


class TcpClient(unittest.TestCase):
    port = 40000

    @classmethod
    def setUpClass(cls):
        cls.lab = WireLab(seed=11)
        cls.lab.start_net()
        link = cls.lab.sh("ip", "-n", cls.lab.cli, "-br", "link", "show", "eth0").stdout
        cls.mac = link.split()[2]
        cls.data = os.urandom(4 * MIB)

    @classmethod
    def tearDownClass(cls):
        cls.lab.stop()

    def setUp(self):
        self.lab.impair()

    def cat(self, server, addr, local, data=b""):
        """Runs tcp_cat with this input; (exit status, what it received)."""
        TcpClient.port += 1
        path = os.path.join(self.lab.run_dir, "cat.yaml")
        with open(path, "w", encoding="ascii") as f:
            f.write(CONFIG.format(run=self.lab.run_dir, addr=local, port=self.port))
        r = subprocess.run(self.lab.in_srv(os.path.join(self.lab.build, "tests", "tcp_cat"),
                                           path, addr, str(server), self.mac),
                           input=data, capture_output=True, timeout=150, check=False)
        self.assertNotIn(b"tcp_cat:", r.stderr)
        return r.returncode, r.stdout

    def upload(self, local, addr):
        told = []
        server = Server(self.lab, addr, lambda conn: told.append(read_all(conn)) or conn.sendall(
            told[0][1].encode()))
        status, out = self.cat(server.port, addr, local, self.data)
        self.assertIsNone(server.end())
        want = hashlib.sha256(self.data).hexdigest()
        self.assertEqual((status, told, out), (0, [(len(self.data), want)], want.encode()))

    def download(self, local, addr):
        server = Server(self.lab, addr, lambda conn: conn.sendall(self.data))
        status, out = self.cat(server.port, addr, local)
        self.assertIsNone(server.end())
        self.assertEqual((status, len(out)), (0, len(self.data)))
        self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(self.data).digest())

    def test_upload_then_answer(self):
        """Our FIN first: the server still answers into the half-closed connection."""
        for local, addr in SERVERS:
            with self.subTest(addr=addr):
                self.upload(local, addr)

    def test_download(self):
        for local, addr in SERVERS:
            with self.subTest(addr=addr):
                self.download(local, addr)

    def test_bad_wire(self):
        for name, how in BAD:
            with self.subTest(name):
                self.lab.impair(**how)
                self.upload(*SERVERS[0])
                self.download(*SERVERS[1])

    def test_refused(self):
        with self.lab.socket_in(self.lab.cli) as s:
            s.bind((e2e.CLIENT, 0))  # and does not listen
            status, out = self.cat(s.getsockname()[1], e2e.CLIENT, e2e.DOOR, b"x")
        self.assertEqual((status, out), (2, b""))

    def test_reset(self):
        def talk(conn):
            conn.recv(1)
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server = Server(self.lab, e2e.CLIENT, talk)
        status, _ = self.cat(server.port, e2e.CLIENT, e2e.DOOR, b"x" * MIB)
        self.assertIsNone(server.end())
        self.assertEqual(status, 2)

    def test_without_options(self):
        """A peer without timestamps, SACK and window scaling."""
        self.lab.sysctl(self.lab.cli, tcp_timestamps=0, tcp_sack=0, tcp_window_scaling=0)
        try:
            self.lab.impair(loss=1)
            self.upload(*SERVERS[0])
            self.download(*SERVERS[0])
        finally:
            self.lab.sysctl(self.lab.cli, tcp_timestamps=1, tcp_sack=1, tcp_window_scaling=1)


if __name__ == "__main__":
    unittest.main()
