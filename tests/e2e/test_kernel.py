"""The front door and the kernel share an interface: what is not the front door's reaches the kernel,
and comes back, as if nothing were there."""

import os
import re
import socket
import struct
import subprocess
import threading
import time
import unittest

from http1 import request
from lab import CLIENT, DOOR, DOOR6, KERNEL, Lab, wait_until
from origin import Origin, answer

KERNEL6 = "fd78::1"
FRESH = "Cache-Control: max-age=600"


class Kernel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().start(nginx=False)
        cls.origin = Origin(cls.lab)
        cls.origin.on("/odd/hot", answer("hot", 200, FRESH))

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.lab.stop()

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.lab.get("/odd/hot").body, b"hot")

    def server(self, address, port, handler, kind=socket.SOCK_STREAM):
        """A service of the kernel's; ends with the test."""
        s = self.lab.socket_in(self.lab.srv, socket.AF_INET6 if ":" in address else socket.AF_INET,
                               kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        if kind == socket.SOCK_STREAM:
            s.listen(64)

        def run():
            try:
                while True:
                    handler(s)
            except OSError:
                pass
        t = threading.Thread(target=run, daemon=True)
        t.start()

        def stop():
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
            t.join(2)
        self.addCleanup(stop)

    @staticmethod
    def echo(s):
        peer, _ = s.accept()

        def serve():
            with peer:
                while b := peer.recv(65536):
                    peer.sendall(b)
        threading.Thread(target=serve, daemon=True).start()

    def talk(self, address, port, size=1 << 20):
        """ssh-like: both sides speak for a while, and every byte comes back."""
        data = os.urandom(size)
        with self.lab.connect(door=address, port=port, timeout=10) as s:
            t = threading.Thread(target=s.sendall, args=(data,))
            t.start()
            back = b""
            while len(back) < size:
                b = s.recv(1 << 18)
                self.assertTrue(b, "closed")
                back += b
            t.join()
        self.assertEqual(back, data)

    def test_tcp_to_the_kernels_address(self):
        for address, port in ((KERNEL, 22), (KERNEL, 80), (KERNEL6, 22), (KERNEL6, 80)):
            with self.subTest(address=address, port=port):
                self.server(address, port, self.echo)
                self.talk(address, port)

    def test_tcp_beside_load_on_the_front_door(self):
        self.server(KERNEL, 2222, self.echo)
        p = subprocess.Popen(self.lab.in_cli("wrk", "-t1", "-c50", "-d3s", "-H", "Host: api.test",
                                             f"http://{DOOR}/odd/hot"), stdout=subprocess.PIPE,
                             text=True)
        try:
            time.sleep(0.5)
            for _ in range(5):
                self.talk(KERNEL, 2222, 200000)
            text = p.communicate(timeout=15)[0]
        finally:
            p.kill()
            p.wait()
            p.stdout.close()
        self.assertNotIn("Socket errors", text)

    def test_tcp_from_the_kernel(self):
        """The server's own connections to the outside work too."""
        s = self.lab.socket_in(self.lab.cli)
        with s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((CLIENT, 8080))
            s.listen(1)
            with self.lab.socket_in(self.lab.srv) as c:
                c.settimeout(5)
                c.connect((CLIENT, 8080))
                peer, addr = s.accept()
                with peer:
                    self.assertEqual(addr[0], KERNEL)
                    c.sendall(b"out")
                    self.assertEqual(peer.recv(10), b"out")
                    peer.sendall(b"back")
                    self.assertEqual(c.recv(10), b"back")

    def test_udp(self):
        def echo(s):
            data, addr = s.recvfrom(65536)
            if not addr:
                raise OSError("shut down")
            s.sendto(data, addr)
        for address, port in ((KERNEL, 53), (KERNEL, 80), (KERNEL6, 53)):
            # 20,000 bytes come as fragments.
            with self.subTest(address=address, port=port):
                self.server(address, port, echo, socket.SOCK_DGRAM)
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with self.lab.socket_in(self.lab.cli, family, socket.SOCK_DGRAM) as c:
                    c.settimeout(5)
                    for size in (0, 1, 1400, 20000):
                        data = os.urandom(size)
                        c.sendto(data, (address, port))
                        self.assertEqual(c.recv(65536), data)

    def ping(self, address, *args):
        return subprocess.run(self.lab.in_cli("ping", "-c", "3", "-i", "0.2", "-W", "2", *args,
                                              address), capture_output=True, text=True, check=False)

    def test_ping(self):
        for address in (KERNEL, KERNEL6, DOOR, DOOR6):
            for size in (0, 56, 1400):
                with self.subTest(address=address, size=size):
                    r = self.ping(address, "-s", str(size))
                    self.assertIn(" 0% packet loss", r.stdout)

    def test_large_ping_to_the_kernel(self):
        self.assertIn(" 0% packet loss", self.ping(KERNEL, "-s", "8000").stdout)

    def test_ping_with_a_pattern(self):
        """The echo has the bytes that were sent."""
        r = self.ping(DOOR, "-p", "c0ffee", "-s", "1000")
        self.assertIn(" 0% packet loss", r.stdout)
        self.assertNotIn("wrong data", r.stdout)

    def neighbour(self, address):
        """The hardware address that the client learned, asked anew."""
        six = ["-6"] if ":" in address else []
        self.lab.sh("ip", *six, "-n", self.lab.cli, "neigh", "flush", "dev", "eth0")
        self.assertIn(" 0% packet loss", self.ping(address).stdout)
        out = self.lab.sh("ip", *six, "-n", self.lab.cli, "neigh", "show", address).stdout
        return re.search(r"lladdr (\S+)", out)[1]

    def test_arp_and_ndp_for_both_addresses(self):
        link = self.lab.sh("ip", "-n", self.lab.srv, "link", "show", "front0").stdout
        mac = re.search(r"link/ether (\S+)", link)[1]
        for address in (KERNEL, DOOR, KERNEL6, DOOR6):
            self.assertEqual(self.neighbour(address), mac, address)

    def test_nobody_answers_for_a_third_address(self):
        for address in ("10.78.0.77", "fd78::77"):
            r = self.ping(address, "-c", "1", "-W", "1")
            self.assertIn("100% packet loss", r.stdout)

    def test_other_port_of_the_front_door(self):
        """It is not ours, so it is the kernel's, which has no such address: never an answer from
        the front door, and no harm to it."""
        for door in (DOOR, DOOR6):
            with self.subTest(door):
                began = time.monotonic()
                with self.assertRaises(OSError):
                    self.lab.connect(door=door, port=81, timeout=1).close()
                self.assertLess(time.monotonic() - began, 3)

    def test_udp_to_the_front_door(self):
        with self.lab.socket_in(self.lab.cli, kind=socket.SOCK_DGRAM) as c:
            c.settimeout(0.5)
            for _ in range(100):
                c.sendto(b"x" * 100, (DOOR, 80))
            try:
                self.fail(f"an answer: {c.recv(100)!r}")
            except (TimeoutError, ConnectionRefusedError):
                pass

    def raw(self, script):
        subprocess.run(self.lab.in_cli("python3", "-c", script), check=True, timeout=20)

    def test_noise(self):
        """Frames of all kinds, many malformed, from a seed: nothing dies, and all goes on."""
        script = """
import random, socket, struct, sys
rnd = random.Random(20260101)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
mac = bytes.fromhex(sys.argv[1].replace(":", "")) if len(sys.argv) > 1 else b"\\xff" * 6
mine = s.getsockname()[4]
door, me = socket.inet_aton("10.78.0.10"), socket.inet_aton("10.78.0.2")
def csum(b):
    b += b"\\0" * (len(b) % 2)
    t = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while t >> 16: t = (t & 0xffff) + (t >> 16)
    return ~t & 0xffff
def ip(proto, payload, dst=door, src=me, good=True, frag=0, opts=b"", length=None):
    n = 20 + len(opts)
    h = struct.pack("!BBHHHBBH4s4s", 0x40 | n // 4, 0, n + len(payload) if length is None else length,
                    rnd.randrange(65536), frag, 64, proto, 0, src, dst) + opts
    c = csum(h) if good else rnd.randrange(65536)
    return h[:10] + struct.pack("!H", c) + h[12:] + payload
def tcp(flags, payload=b"", off=5, port=80, good=True, opts=b""):
    h = struct.pack("!HHIIBBHHH", rnd.randrange(1024, 65536), port, rnd.randrange(1 << 32),
                    rnd.randrange(1 << 32), off << 4, flags, rnd.randrange(65536), 0, 0) + opts
    p = me + door + struct.pack("!BBH", 0, 6, len(h) + len(payload))
    c = csum(p + h + payload) if good else 0x1234
    return h[:16] + struct.pack("!H", c) + h[18:] + payload
def eth(kind, payload, dst=mac): return dst + mine + struct.pack("!H", kind) + payload
for i in range(6000):
    k = i % 16
    r = rnd.randbytes(rnd.randrange(0, 200))
    if k == 0: f = eth(0x800, r)
    elif k == 1: f = eth(0x800, ip(6, r))
    elif k == 2: f = eth(0x800, ip(6, tcp(rnd.randrange(256), r)))
    elif k == 3: f = eth(0x800, ip(6, tcp(rnd.randrange(256), r, off=rnd.randrange(16))))
    elif k == 4: f = eth(0x800, ip(6, tcp(2, opts=rnd.randbytes(20), off=10)))
    elif k == 5: f = eth(0x800, ip(6, tcp(16, r), good=False))
    elif k == 6: f = eth(0x800, ip(6, tcp(16, r, good=False)))
    elif k == 7: f = eth(0x800, ip(6, tcp(2), frag=rnd.randrange(65536)))
    elif k == 8: f = eth(0x800, ip(1, r))
    elif k == 9: f = eth(0x800, ip(1, bytes([8, 0]) + r))
    elif k == 10: f = eth(0x806, r)
    elif k == 11: f = eth(0x806, struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mine + me + b"\\0" * 6 + door + r)
    elif k == 12: f = eth(0x86dd, b"\\x60" + rnd.randbytes(3) + struct.pack("!HBB", len(r), rnd.choice((6, 58, 0, 43, 44)), 255)
                          + socket.inet_pton(10, "fd78::2") + socket.inet_pton(10, "fd78::10") + r)
    elif k == 13: f = eth(rnd.randrange(65536), r)
    elif k == 14: f = eth(0x800, ip(6, tcp(2), length=rnd.randrange(65536)))
    else: f = eth(0x800, ip(6, tcp(2), src=rnd.choice((door, b"\\xff" * 4, b"\\0" * 4, b"\\x7f\\0\\0\\1", b"\\xe0\\0\\0\\1"))))
    if len(f) < 14: continue
    try: s.send(f[:1514])
    except OSError: pass
"""
        link = self.lab.sh("ip", "-n", self.lab.srv, "link", "show", "front0").stdout
        mac = re.search(r"link/ether (\S+)", link)[1]
        subprocess.run(self.lab.in_cli("python3", "-c", script, mac), check=True, timeout=30)
        self.lab.alive()
        for _ in range(20):
            self.assertEqual(self.lab.get("/odd/hot").body, b"hot")
        self.assertEqual(self.neighbour(DOOR), mac)

        def adds_up():
            t = self.lab.ctl_json("stats")["total"]
            ends = sum(v for k, v in t.items() if k.startswith("drop_")
                       or k in ("rx_tcp", "rx_arp", "rx_ndp", "rx_icmp", "rx_fragment"))
            return t["rx_packets"] == ends
        wait_until(adds_up, 5, "every packet ended in one counter")

    def test_syn_flood_and_open_connections(self):
        """From many addresses that never answer: who is connected stays so and is answered."""
        self.flood(False)

    def test_syn_flood_and_new_connections(self):
        """A new client still gets through."""
        self.flood(True)

    def flood(self, fresh):
        script = """
import random, socket, struct, sys, time
rnd = random.Random(1)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
mac, mine = bytes.fromhex(sys.argv[1].replace(":", "")), s.getsockname()[4]
def csum(b):
    t = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while t >> 16: t = (t & 0xffff) + (t >> 16)
    return ~t & 0xffff
door = socket.inet_aton("10.78.0.10")
end = time.monotonic() + 3
while time.monotonic() < end:
    src = struct.pack("!BBBB", 10, 78, 1, rnd.randrange(1, 255))
    h = struct.pack("!HHIIBBHHH", rnd.randrange(1024, 65536), 80, rnd.randrange(1 << 32), 0, 0x50, 2, 64000, 0, 0)
    c = csum(src + door + struct.pack("!BBH", 0, 6, 20) + h)
    i = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, src, door)
    i = i[:10] + struct.pack("!H", csum(i)) + i[12:]
    s.send(mac + mine + b"\\x08\\0" + i + h[:16] + struct.pack("!H", c) + h[18:])
"""
        link = self.lab.sh("ip", "-n", self.lab.srv, "link", "show", "front0").stdout
        mac = re.search(r"link/ether (\S+)", link)[1]
        with self.lab.client() as old:
            old.ask("/odd/hot")
            p = subprocess.Popen(self.lab.in_cli("python3", "-c", script, mac))
            try:
                time.sleep(0.5)
                good = 0
                while p.poll() is None:
                    self.assertEqual(old.ask("/odd/hot").body, b"hot")
                    if not fresh:
                        time.sleep(0.01)
                        good += 1
                        continue
                    try:
                        good += self.lab.get("/odd/hot", timeout=0.5).body == b"hot"
                    except OSError:
                        pass
                self.assertEqual(p.returncode, 0)
                self.assertGreater(good, 3, "answers during the flood")
            finally:
                p.kill()
                p.wait()
                # The backlog is the dataplane's, and this flood must not be the next test's.
                self.lab.kill("dataplane")
                self.lab.start_dataplane()
                wait_until(lambda: self.lab.ctl_json("status")["dataplane"]["attached"], 5,
                           "attached")

    def test_vlan_and_jumbo_frames_pass(self):
        """Frames of no concern to us go to the kernel; nothing else changes."""
        self.raw("""
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
for k in (b"\\x81\\x00\\x00\\x05\\x08\\x00", b"\\x88\\xcc", b"\\x88\\x8e", b"\\x00\\x20"):
    s.send(b"\\xff" * 6 + s.getsockname()[4] + k + b"x" * 60)
""")

    def test_dead_dataplane_leaves_the_interface_usable(self):
        self.server(KERNEL, 2223, self.echo)
        self.lab.kill("dataplane")
        try:
            self.assertIn(" 0% packet loss", self.ping(KERNEL).stdout)
            self.talk(KERNEL, 2223, 200000)
        finally:
            self.lab.start_dataplane()
        wait_until(lambda: self.lab.ctl_json("status")["dataplane"]["attached"], 5, "attached")
        self.talk(KERNEL, 2223, 200000)

    def test_new_connections_right_after_a_restart(self):
        """Old connections of the dead dataplane are reset when they speak."""
        with self.lab.client(timeout=5) as c:
            c.ask("/odd/hot")
            self.lab.kill("dataplane")
            self.lab.start_dataplane()
            wait_until(lambda: self.lab.ctl_json("status")["dataplane"]["attached"], 5, "attached")
            c.send(request("/odd/hot"))
            self.assertTrue(c.ended(), "a reset, soon")


if __name__ == "__main__":
    unittest.main(verbosity=2)
