# SPDX-License-Identifier: BSD-2-Clause
"""Sluice's TCP against a Linux client over a wire that loses, repeats, reorders, corrupts and delays."""

import concurrent.futures
import hashlib
import json
import os
import select
import socket
import struct
import time
import unittest

from lab import CLIENT, DOOR, DOOR6, wait_until
from origin import Origin
from wire import WireLab

MIB = 1 << 20
BAD = (("loss", {"loss": 1}),
       ("heavy loss", {"loss": 5}),
       ("reordering", {"reorder": 20}),
       ("repetition", {"dup": 20}),
       ("corruption", {"corrupt": 2}),
       ("delay", {"delay_ms": 20}),
       ("all of it", {"loss": 1, "reorder": 5, "dup": 2, "corrupt": 1, "delay_ms": 3}))


def url_host(door):
    return f"[{door}]" if ":" in door else door


class Tcp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = WireLab(seed=7)
        cls.lab.start()
        cls.origin = Origin(cls.lab)
        cls.data = os.urandom(2 * MIB)
        cls.lab.put("/big/f", cls.data)
        cls.lab.put("/big/slow", os.urandom(8 * MIB))
        cls.lab.put("/hot", "hot")
        cls.upload = os.path.join(cls.lab.run_dir, "upload")
        with open(cls.upload, "wb") as f:
            f.write(cls.data[:MIB])

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.lab.stop()

    def setUp(self):
        self.lab.impair()

    def tearDown(self):
        self.lab.alive()
        self.lab.impair()

    # --- helpers ------------------------------------------------------------------------------
    def open_conns(self, *states):
        """Connections by sluicectl, those in TIME-WAIT aside unless asked for."""
        rows = self.lab.ctl_json("conns")
        rows = rows.get("conns", rows) if isinstance(rows, dict) else rows
        return [r for r in rows if (r["state"] in states if states else r["state"] != "time_wait")]

    def download(self, door=DOOR, timeout=30):
        status, _, body = self.lab.curl("/big/f", door=url_host(door), timeout=timeout)
        self.assertEqual((status, len(body)), (200, len(self.data)))
        self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(self.data).digest())

    def put(self, door=DOOR, timeout=30):
        status, _, body = self.lab.curl("/odd/put", "-T", self.upload, "-H", "Expect:",
                                        door=url_host(door), timeout=timeout)
        told = json.loads(body)
        self.assertEqual((status, told["body_len"], told["sha256"]),
                         (200, MIB, hashlib.sha256(self.data[:MIB]).hexdigest()))

    def both_ways(self, door=DOOR):
        self.download(door)
        self.put(door)

    # --- the wire -----------------------------------------------------------------------------
    def test_bodies_are_exact_over_a_bad_wire(self):
        for i, (name, how) in enumerate(BAD):
            with self.subTest(name):
                self.lab.impair(**how)
                self.both_ways(DOOR6 if i & 1 else DOOR)
                did = self.lab.impair()
                for key, count in (("loss", "lost"), ("dup", "repeated"),
                                   ("reorder", "reordered"), ("corrupt", "corrupted")):
                    if key in how:
                        self.assertGreater(did[count], 0, did)

    def test_what_the_wire_did_is_counted(self):
        names = ("sluice_tcp_retransmits_total", "sluice_tcp_out_of_order_total",
                 "sluice_tcp_duplicate_data_total", "sluice_tcp_dupacks_total")
        before = {n: self.lab.metric(n) for n in names}
        bad = self.lab.metric("sluice_drops_total", reason="tcp_csum")
        self.lab.impair(loss=2, dup=5, corrupt=2)
        self.both_ways()
        for n in names:
            self.assertGreater(self.lab.metric(n), before[n], n)
        self.assertGreater(self.lab.metric("sluice_drops_total", reason="tcp_csum"), bad)

    def test_many_small_requests_under_loss(self):
        self.lab.get("/hot")
        self.lab.impair(loss=2)

        def ask(n):
            with self.lab.client(timeout=30) as c:
                return sum(c.ask("/hot").body == b"hot" for _ in range(n))
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertEqual(sum(pool.map(ask, [60] * 16)), 960)

    # --- other clients ------------------------------------------------------------------------
    def test_clients_without_options(self):
        for off in ({"tcp_timestamps": 0}, {"tcp_sack": 0}, {"tcp_window_scaling": 0},
                    {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0}):
            with self.subTest(str(off)):
                self.lab.sysctl(self.lab.cli, **off)
                try:
                    self.lab.impair(loss=1)
                    self.download(DOOR)
                    self.put(DOOR6)
                finally:
                    self.lab.sysctl(self.lab.cli, **{k: 1 for k in off})

    def test_clients_with_a_tiny_mss(self):
        for mss in (536, 88):
            with self.subTest(mss):
                for dev, ip, net in (("-4", None, "10.78.0.0/24"), ("-6", None, "fd78::/64")):
                    self.lab.sh("ip", dev, "-n", self.lab.cli, "route", "replace", net, "dev", "eth0",
                                "advmss", str(mss))
                try:
                    self.lab.impair(loss=0.5)
                    self.both_ways()
                    self.lab.impair()
                    self.download(DOOR6)
                finally:
                    for dev, net in (("-4", "10.78.0.0/24"), ("-6", "fd78::/64")):
                        self.lab.sh("ip", dev, "-n", self.lab.cli, "route", "replace", net, "dev",
                                    "eth0", "advmss", "1460" if dev == "-4" else "1440")

    # --- ends and pauses ----------------------------------------------------------------------
    def test_half_close(self):
        with self.lab.connect() as s:
            s.sendall(b"GET /big/f HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: s.recv(65536), b""))
        self.assertTrue(got.endswith(self.data))
        wait_until(lambda: not self.open_conns(), 5, "the half-closed connection is gone")

    def test_reset_in_the_middle(self):
        before = self.lab.metric("sluice_tcp_resets_total", dir="in")
        for _ in range(8):
            s = self.lab.connect(rcvbuf=8192)
            s.sendall(b"GET /big/slow HTTP/1.1\r\nHost: api.test\r\n\r\n")
            s.recv(4096)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        s = self.lab.connect()
        s.sendall(b"PUT /odd/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 9000\r\n\r\n" + b"x" * 80)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        wait_until(lambda: not self.open_conns(), 5, "reset connections are gone")
        self.assertGreaterEqual(self.lab.metric("sluice_tcp_resets_total", dir="in"), before + 9)

    def test_reader_that_stops(self):
        """The window closes for seconds and opens again, without the loss and with it."""
        probes = self.lab.metric("sluice_tcp_zero_window_probes_total")
        conns = []
        for _ in range(4):
            s = self.lab.connect(rcvbuf=16384, timeout=30)
            s.sendall(b"GET /big/f HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")
            conns.append(s)
        wait_until(lambda: self.lab.metric("sluice_tcp_zero_window_probes_total") >= probes + 8, 10,
                   "probes of the closed windows")
        self.assertEqual(len(self.open_conns("established")), 4)
        self.lab.impair(loss=2)
        for s in conns:
            with s:
                got = b"".join(iter(lambda s=s: s.recv(65536), b""))
            self.assertEqual(got[-len(self.data):], self.data)

    def test_stray_segment_is_refused(self):
        """An ACK of no connection is answered with a reset at its number (RFC 9293 3.10.7.1)."""
        src, dst = socket.inet_aton(CLIENT), socket.inet_aton(DOOR)
        seg = struct.pack("!HHIIHHHH", 19999, 80, 1000, 0x12345678, 0x5010, 1024, 0, 0)
        words = struct.unpack("!16H", src + dst + struct.pack("!HH", 6, len(seg)) + seg)
        total = sum(words)
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        seg = seg[:16] + struct.pack("!H", ~total & 0xffff) + seg[18:]
        with self.lab.raw_socket_in(self.lab.cli) as s:
            s.settimeout(3)
            s.sendto(seg, (DOOR, 0))
            while True:
                got = s.recv(2048)[20:]
                if struct.unpack("!HH", got[:4]) == (80, 19999):
                    break
        self.assertEqual(struct.unpack("!I", got[4:8])[0], 0x12345678)
        self.assertTrue(got[13] & 4, "RST")

    def test_idle_connection_still_works(self):
        """Keep-alive probes of the client are answered, and the connection is as good as before."""
        with self.lab.client() as c:
            self.assertEqual(c.ask("/hot").body, b"hot")
            s = c.sock
            for opt, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                               (socket.TCP_KEEPCNT, 2)):
                s.setsockopt(socket.IPPROTO_TCP, opt, value)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # Two probes without an answer would end it within three seconds.
            self.assertEqual(select.select([s], [], [], 4)[0], [])
            self.assertEqual(c.ask("/hot").body, b"hot")

    def test_many_short_connections(self):
        """More connections than the client has ports: each port is used again within TIME-WAIT."""
        self.lab.get("/hot")
        self.lab.sysctl(self.lab.cli, ip_local_port_range="20000 20499")
        try:
            before = self.lab.metric("sluice_tcp_connections_total", event="accepted")
            ask = b"GET /hot HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"

            def once(_):
                with self.lab.connect() as s:
                    s.sendall(ask)
                    return b"".join(iter(lambda: s.recv(4096), b"")).endswith(b"hot")
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                self.assertEqual(sum(pool.map(once, range(3000))), 3000)
            after = self.lab.metric("sluice_tcp_connections_total", event="accepted")
            self.assertEqual(after - before, 3000)
        finally:
            self.lab.sysctl(self.lab.cli, ip_local_port_range="32768 60999")

    def test_conns_are_reported(self):
        with self.lab.client() as c:
            c.ask("/hot")
            # A connection of an earlier test may still wait for a FIN that the wire lost.
            mine = f"{CLIENT}:{c.sock.getsockname()[1]}"
            rows = [r for r in self.open_conns("established") if r["remote"] == mine]
            self.assertEqual([r["local"] for r in rows], [f"{DOOR}:80"])


if __name__ == "__main__":
    unittest.main()
