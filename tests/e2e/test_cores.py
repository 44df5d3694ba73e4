# SPDX-License-Identifier: BSD-2-Clause
"""Two cores of one dataplane, under traffic on both: an af_packet port, whose queues the kernel fills by
a hash of addresses and ports. What one core knows, purges, reloads and fetches must be so for both.

Each core has a CPU of its own, as the configuration demands; with less than two CPUs all is skipped."""

import hashlib
import os
import socket
import struct
import threading
import time
import unittest

from http1 import request
from lab import CONFIG, DOOR6, Lab, wait_until
from origin import Origin, answer
from rawtcp import ACK, PSH, RawTcp, Link, syn_frames
from swarm import Swarm, connect_all, cores_of, read_all, sockets
from wire import offloads_off

CROWD = 10000
FRESH = "Cache-Control: max-age=600"
CPUS = sorted(os.sched_getaffinity(0))[:2]
AF_XDP = "    - type: af_xdp\n      interface: front0"
TEXT = CONFIG.replace("upstream: web", "upstream: odd").replace(
    AF_XDP,
    f"    - type: af_packet\n      interface: front0\n      cores: {CPUS}").replace(
    "hot_table_bytes: 33554432", "hot_table_bytes: 33554432\n    up_blocks: 16384").replace(
    "ports:\n", "limits:\n    object_bytes: 65536\n    syn_backlog: 512\nip:\n    dad_transmits: 0\nports:\n", 1)


def setUpModule():
    if len(CPUS) < 2:
        raise unittest.SkipTest("two cores need two CPUs")
    Cores.lab = Lab(config=TEXT).start(nginx=False)
    # The kernel would pass on what the client's TCP leaves for a port to cut, and more than a packet
    # finds no room in the ring of an af_packet port.
    with Cores.lab.socket_in(Cores.lab.cli) as sock:
        offloads_off(sock, "eth0")
    Cores.origin = Origin(Cores.lab)


def tearDownModule():
    Cores.origin.stop()
    Cores.lab.stop()


class Version:
    """Answers with its number of now; what it was asked is counted."""

    def __init__(self, *fields):
        self.fields, self.now, self.asked = fields or (FRESH,), 1, 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, r, peer):
        self.asked += 1
        now = self.now
        self.gate.wait(20)
        peer.send(answer(f"v{now}", 200, *self.fields))


class Cores(unittest.TestCase):
    def setUp(self):
        self.base = f"/{self._testMethodName}"

    def tearDown(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])

    def on(self, name, script):
        return self.origin.on(f"{self.base}/{name}", script)

    def counters(self, *names):
        """[[core 0, core 1], ...] of these counters."""
        s = self.lab.ctl_json("stats")
        for n in names:
            self.assertEqual(s["total"][n], sum(c["counters"][n] for c in s["cores"]), n)
        return [[c["counters"][n] for c in s["cores"]] for n in names]

    def pair(self, stack, **kw):
        """A client on each core."""
        got = {}
        for _ in range(40):
            c = self.lab.client(**kw)
            stack.addCleanup(c.close)
            port = c.sock.getsockname()[1]
            found = wait_until(lambda: cores_of(self.lab, [port]), 5, "the connection is listed")
            got.setdefault(found[port], c)
            if len(got) == 2:
                return got[0], got[1]
        self.fail("40 connections, all on one core")

    def both(self, swarm):
        """The connections of each core; there must be some."""
        ports = swarm.ports()
        cores = wait_until(lambda: self.listed(ports), 5, "all connections are listed")
        sides = [{i for i, p in enumerate(ports) if cores[p] == n} for n in (0, 1)]
        self.assertTrue(all(sides), cores)
        return sides

    def listed(self, ports):
        cores = cores_of(self.lab, ports)
        return cores if len(cores) == len(ports) else None

    def answered(self, swarm, when, more=1):
        """Waits until each connection had answers to what it asked after when."""
        def enough():
            self.assertIsNone(swarm.fault)
            self.assertEqual(swarm.ends, [], "connections ended")
            counts = {}
            for a in swarm.since(when):
                counts[a.conn] = counts.get(a.conn, 0) + 1
            return len(counts) == len(swarm.socks) and min(counts.values()) >= more
        wait_until(enough, 10, "answers on each connection")

    # --- what the cores hold ------------------------------------------------------------------
    def test_connections_spread(self):
        """Several hundred connections lie on both cores, and what is reported of both adds up."""
        p = self.on("a", answer("x", 200, FRESH))
        names = ("tcp_accepted", "http_requests", "cache_hit", "http_2xx")
        self.lab.get(p)
        before = self.counters(*names)
        socks = sockets(self.lab, 400)
        connect_all(socks)
        ports = [s.getsockname()[1] for s in socks]
        cores = wait_until(lambda: self.listed(ports), 5, "all listed")
        for s in socks:
            s.sendall(request(p))
        self.assertEqual({r.status for r in read_all(socks)}, {200})
        sides = [sum(c == n for c in cores.values()) for n in (0, 1)]
        self.assertGreater(min(sides), 100, "each core has its part")
        status = self.lab.ctl_json("status")["dataplane"]["cores"]
        for n in (0, 1):
            self.assertGreaterEqual(status[n]["connections"], sides[n])
        after = self.counters(*names)
        for name, b, a in zip(names, before, after):
            self.assertEqual([a[n] - b[n] for n in (0, 1)], sides, name)
        for n in (0, 1):
            self.assertEqual(self.lab.metric("http_requests_total", core=n), after[1][n])
        self.assertEqual(self.lab.metric("http_requests_total"), sum(after[1]))
        self.assertEqual([c["cpu"] for c in self.lab.ctl_json("cores")["cores"]], CPUS)
        for s in socks:
            s.close()
        wait_until(lambda: not cores_of(self.lab, ports), 5, "closed on both")

    def test_reads(self):
        """What one core fetched is a hit on the other: by its owner, from there, or from a copy."""
        paths = [self.on(f"k{i}", Version()) for i in range(40)]
        names = ("cache_hit", "cache_hit_l0", "cache_hit_remote", "cache_copy", "cache_miss")
        clients = self.pair(self)
        rounds = (("fwd=uri-miss; stored", None), ("; hit", (0, 40)), ("; hit", (0, 40)))
        before = self.counters(*names)
        for i, p in enumerate(paths):
            self.assertIn("fwd=uri-miss; stored", clients[i % 2].ask(p)["cache-status"])
        for _ in range(3):
            for i, p in enumerate(paths):
                for side in (1, 0):
                    r = clients[(i + side) % 2].ask(p)
                    self.assertEqual((r.status, r.body), (200, b"v1"))
                    self.assertIn("; hit", r["cache-status"])
        self.assertEqual([self.origin.scripts[p].asked for p in paths], [1] * 40)
        hit, l0, remote, copies, miss = (
            [a - b for a, b in zip(*x)] for x in zip(self.counters(*names), before))
        self.assertEqual(hit, [120, 120])
        self.assertEqual(miss, [20, 20])
        self.assertGreater(min(remote), 0, "read from the other core")
        self.assertGreater(min(copies), 0, "copied when it was found twice")
        self.assertGreater(min(l0), 0, "read from the copy")
        own = [h - a - b for h, a, b in zip(hit, l0, remote)]
        self.assertGreater(min(own), 0, "each owns some")
        keys = {f"api.test{p}" for p in paths}
        rows = [e for e in self.lab.ctl_json("cache", "list", "--limit", "0")["entries"]
                if e["key"] in keys]
        self.assertEqual({e["key"] for e in rows}, keys)
        self.assertEqual({e["core"] for e in rows}, {0, 1})

    def test_large_bodies(self):
        """A mebibyte up and a mebibyte down, on both cores at the same time, each byte right."""
        data = [hashlib.shake_128(bytes([n])).digest(1 << 20) for n in range(8)]
        got = {}

        def echo(r, peer):
            peer.send(answer(r.digest.hexdigest().encode() + b" " + data[int(r.path[-1])], 200,
                             "Cache-Control: no-store"))

        paths = [self.on(str(n), echo) for n in range(8)]
        for p in paths:
            self.origin.scripts[p] = echo

        def talk(client, n):
            got[n] = [client.ask(paths[n], method="POST", body=data[(n + k) % 8]).body
                      for k in range(3)]
        clients = [c for _ in range(4) for c in self.pair(self)]
        threads = [threading.Thread(target=talk, args=(c, n)) for n, c in enumerate(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for n in range(8):
            for k in range(3):
                digest = hashlib.sha256(data[(n + k) % 8]).hexdigest().encode()
                self.assertTrue(got[n][k] == digest + b" " + data[n], (n, k))

    def test_port_reuse(self):
        """The same ports again, as soon as they may be, whoever closed first."""
        p = self.on("a", answer("x", 200, FRESH))
        closers = ((), ("Connection: close",))
        before = self.counters("tcp_accepted")[0]
        for n in range(6):
            socks = sockets(self.lab, 40)
            for i, s in enumerate(socks):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("10.78.0.2", 21000 + i))
            connect_all(socks, seconds=5)
            for s in socks:
                s.sendall(request(p, closers[n % 2]))
            self.assertEqual([r.status for r in read_all(socks)], [200] * 40)
            for s in socks:
                if n % 2:
                    s.setblocking(True)
                    s.settimeout(5)
                    self.assertEqual(s.recv(1), b"")
                else:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()
        after = self.counters("tcp_accepted")[0]
        self.assertEqual(sum(after) - sum(before), 240)
        self.assertGreater(min(a - b for a, b in zip(after, before)), 0)

    # --- one fetch for both -------------------------------------------------------------------
    def test_crowd(self):
        """10,000 at once for a key that nobody has: one goes to the origin."""
        v = Version()
        p = self.on("a", v)
        v.gate.clear()
        before = self.counters("miss_sent", "miss_answered", "cache_miss")
        socks = sockets(self.lab, CROWD)
        try:
            connect_all(socks)
            for s in socks:
                s.sendall(request(p))
            wait_until(lambda: sum(self.counters("miss_sent")[0]) - sum(before[0]) == CROWD, 20,
                       "all have asked control")
            self.assertEqual(v.asked, 1)
            v.gate.set()
            got = read_all(socks)
        finally:
            v.gate.set()
            for s in socks:
                s.close()
        wait_until(lambda: max(self.counters("tcp_conns")[0]) < 100, 10, "both cores are free again")
        self.assertEqual({(r.status, r.body) for r in got}, {(200, b"v1")})
        self.assertEqual(v.asked, 1)
        collapsed = sum("; collapsed" in r["cache-status"] for r in got)
        self.assertEqual(collapsed, CROWD - 1)
        sent, answers, _ = ([a - b for a, b in zip(*x)] for x in zip(
            self.counters("miss_sent", "miss_answered", "cache_miss"), before))
        self.assertEqual((sum(sent), answers), (CROWD, sent))
        self.assertGreater(min(sent), CROWD // 4, "both cores waited")

    def test_refresh_once(self):
        """Stale on both cores: both answer, and the origin is asked once."""
        v = Version("Cache-Control: max-age=1, stale-while-revalidate=600")
        p = self.on("a", v)
        clients = self.pair(self)
        for _ in range(2):
            for c in clients:
                self.assertEqual(c.ask(p).body, b"v1")
        v.gate.clear()
        v.now = 2
        wait_until(lambda: "; ttl=-" in clients[0].ask(p)["cache-status"], 5, "stale")
        wait_until(lambda: v.asked == 2, 5, "fetched behind")
        stale = self.counters("cache_stale_while")[0]
        for _ in range(20):
            for c in clients:
                self.assertEqual(c.ask(p).body, b"v1")
        self.assertEqual([a - b for a, b in zip(self.counters("cache_stale_while")[0], stale)],
                         [20, 20])
        v.fields = (FRESH,)
        v.gate.set()
        for c in clients:
            wait_until(lambda c=c: c.ask(p).body == b"v2", 5, "the new version")
        self.assertEqual(v.asked, 2)

    # --- purges -------------------------------------------------------------------------------
    def test_purges_under_load(self):
        """After the confirmation no core answers with what is older, by whatever name it went."""
        vs = [Version(FRESH, "Surrogate-Key: t") for _ in range(4)]
        paths = [self.on(f"p{n}", v) for n, v in enumerate(vs)]
        args = [["api.test" + p] for p in paths]
        ways = (lambda: [self.lab.ctl("cache", "purge", *a) for a in args],
                lambda: self.lab.ctl("cache", "purge", "--pattern", f"api.test{self.base}/*"),
                lambda: self.lab.ctl("cache", "purge", "--tag", "t"),
                lambda: self.lab.ctl("cache", "purge", "--tag", "t", "--soft"))
        with Swarm(self.lab, 32, *paths) as swarm:
            sides = self.both(swarm)
            self.answered(swarm, 0, 8)
            for _ in range(2):
                for way in ways:
                    for v in vs:
                        v.now += 1
                    least = b"v%d" % vs[0].now
                    way()
                    since = time.monotonic()
                    self.answered(swarm, since, 4)
                    late = [a for a in swarm.since(since) if a.response.body != least]
                    self.assertEqual([(a.conn, a.response.raw, a.response.body) for a in late], [])
            log = list(swarm.log)
        for side in sides:
            hits = sum(a.response.hit for a in log if a.conn in side)
            self.assertGreater(hits, 100, "the cores served out of their tables meanwhile")
        self.assertEqual({a.response.status for a in log}, {200})

    def test_changes_are_seen(self):
        """Who was told of a change on one core, and asks on the other, gets what is new: each time, while
        both are busy."""
        v = Version()

        def script(r, peer):
            if r.method == "POST":
                v.now += 1
                peer.send(answer("", 200))
            else:
                v(r, peer)
        p = self.on("a", script)
        busy = self.on("busy", Version())
        old = []
        with Swarm(self.lab, 16, busy) as swarm:
            clients = self.pair(self)
            for n in range(60):
                one, other = clients[n % 2], clients[1 - n % 2]
                for c in clients:
                    c.ask(p)
                self.assertEqual(one.ask(p, method="POST", body=b"x").status, 200)
                r = other.ask(p)
                if r.body != b"v%d" % v.now:
                    old.append((n, r.body, v.now, r["cache-status"]))
            self.answered(swarm, 0)
        self.assertEqual(old, [])

    def test_soft_purge(self):
        """Stale from now on both cores, and fetched anew once."""
        v = Version("Cache-Control: max-age=600, stale-while-revalidate=600")
        p = self.on("a", v)
        clients = self.pair(self)
        for _ in range(2):
            for c in clients:
                self.assertEqual(c.ask(p).body, b"v1")
        v.gate.clear()
        v.now = 2
        self.lab.ctl("cache", "purge", "--soft", "api.test" + p)
        for _ in range(5):
            for c in clients:
                r = c.ask(p)
                self.assertEqual(r.body, b"v1")
                self.assertIn("ttl=-", r["cache-status"])
        wait_until(lambda: v.asked == 2, 5, "fetched behind")
        v.gate.set()
        for c in clients:
            wait_until(lambda c=c: c.ask(p).body == b"v2", 5, "the new version")
        self.assertEqual(v.asked, 2)

    # --- faults -------------------------------------------------------------------------------
    def test_reload_under_load(self):
        """Routes change for both cores; no connection and no request is lost."""
        p = self.on("a", Version())
        q = self.on("new", answer("new", 200, FRESH))
        more = f"    - host: new.test\n      path: {q}\n      upstream: odd\n"
        clients = self.pair(self)
        try:
            with Swarm(self.lab, 32, p) as swarm:
                self.both(swarm)
                for n in range(6):
                    self.lab.write_config(more if n % 2 == 0 else "")
                    self.lab.ctl("config", "reload")
                    for c in clients:
                        self.assertEqual(c.ask(q, host="new.test").status, 404 if n % 2 else 200)
                    self.answered(swarm, time.monotonic())
                self.assertEqual({(a.response.status, a.response.body) for a in list(swarm.log)},
                                 {(200, b"v1")})
        finally:
            self.lab.write_config()
            self.lab.ctl("config", "reload")

    def attached(self):
        wait_until(lambda: self.lab.ctl_json("status")["dataplane"]["attached"], 10, "attached")

    def test_control_dies_under_load(self):
        """Hits go on on both cores; misses of both are answered by the next control."""
        hot = self.on("a", Version())
        cold = [self.on(f"c{n}", Version("Cache-Control: no-store")) for n in range(2)]
        self.lab.get(hot)
        with Swarm(self.lab, 32, hot) as swarm:
            sides = self.both(swarm)
            clients = self.pair(self)
            self.lab.kill("control")
            dead = time.monotonic()
            self.answered(swarm, dead, 5)
            for c, p in zip(clients, cold):
                c.send(request(p))
            self.lab.start_control()
            for c, p in zip(clients, cold):
                self.assertEqual(c.response().body, b"v1")
            self.attached()
            self.answered(swarm, time.monotonic())
            v = self.origin.scripts[hot]
            v.now = 2
            self.lab.ctl("cache", "purge", "api.test" + hot)
            since = time.monotonic()
            self.answered(swarm, since, 3)
            log = list(swarm.log)
        self.assertEqual({a.response.body for a in log if a.sent > since}, {b"v2"})
        for side in sides:
            self.assertTrue({a.conn for a in log if a.sent > dead} >= side)
        self.assertEqual({a.response.status for a in log}, {200})

    def test_dataplane_dies_under_load(self):
        """The next one has both cores again and starts with what the store has."""
        v = Version()
        p = self.on("a", v)
        with Swarm(self.lab, 32, p) as swarm:
            self.both(swarm)
            self.answered(swarm, 0, 3)
            self.lab.kill("dataplane")
            self.lab.start_dataplane()
            self.attached()
            wait_until(lambda: len(swarm.ends) == 32, 10, "a reset for each that speaks")
        with Swarm(self.lab, 32, p) as swarm:
            self.both(swarm)
            self.answered(swarm, 0, 3)
            self.assertEqual({(a.response.status, a.response.body) for a in list(swarm.log)},
                             {(200, b"v1")})
        self.assertEqual(v.asked, 1)

    # --- the link -----------------------------------------------------------------------------
    def test_ipv6(self):
        p = self.on("a", Version())
        with Swarm(self.lab, 32, p, door=DOOR6) as swarm:
            ports = swarm.ports()
            cores = wait_until(lambda: self.listed6(ports), 5, "listed")
            self.assertEqual(set(cores.values()), {0, 1})
            self.answered(swarm, 0, 10)

    def raw_pair(self, v6):
        """A connection of single frames on each core."""
        got = {}
        for port in range(30000 + 100 * v6, 30040 + 100 * v6):
            c = RawTcp(self.lab, port, v6).open()
            self.addCleanup(c.close)
            found = wait_until(lambda: cores_of(self.lab, [port], c.address), 5, "listed")
            got.setdefault(found[port], c)
            if len(got) == 2:
                return got[0], got[1]
        self.fail("40 connections, all on one core")

    def test_fragments(self):
        """A port knows no connection of a fragment: the core that joins them finds whose they are."""
        p = self.on("a", answer(b"x" * 64, 200, FRESH))
        question = request(p, ["X-Fill: " + "f" * 400])
        joined, elsewhere = self.counters("frag_joined", "rx_from_core")
        for v6 in (False, True):
            for c in self.raw_pair(v6):
                c.send(ACK | PSH, question, cut=64)
                got = wait_until(lambda c=c: next(iter([t for t in [c.take()] if t and t[3]]), None), 5,
                                 f"an answer, {c.address} {c.port}")
                self.assertIn(b"200 OK", got[3])
        joined2, elsewhere2 = self.counters("frag_joined", "rx_from_core")
        # Both questions of IPv6 come from one address, and so to one core. Fragments of IPv4 are
        # joined by the kernel, which is asked to by the port.
        self.assertEqual(sum(joined2) - sum(joined), 2)
        self.assertEqual(sum(elsewhere2) - sum(elsewhere), 1)

    def test_too_big(self):
        """A router's word reaches the connection, on whichever core it is."""
        p = self.on("a", answer(b"x" * 20000, 200, FRESH))
        self.lab.get(p)
        for v6, mtu in ((False, 1000), (True, 1300)):
            for c in self.raw_pair(v6):
                c.send(ACK | PSH, request(p))
                full = wait_until(lambda c=c: next(
                    iter([t for t in [c.take()] if t and len(t[4]) > mtu]), None), 5, "a full packet")
                c.too_big(full[4], mtu)

                def smaller(c=c, seq=full[1], size=len(full[4])):
                    t = c.take()
                    return t and t[1] == seq and len(t[4]) < size and t
                again = wait_until(smaller, 5, f"the same in less, {c.address} {c.port}")
                self.assertEqual(len(again[4]), mtu)

    def test_flood(self):
        """A flood on both cores: who comes meanwhile gets in by a cookie of the core that he comes to."""
        p = self.on("a", Version())
        self.lab.get(p)
        names = ("tcp_cookie_sent", "tcp_cookie_accepted")
        try:
            link = Link(self.lab)
            syn_frames(link, 4000, 0)
            before = self.counters(*names)
            self.assertGreater(min(before[0]), 0, "cookies of both")
            socks = sockets(self.lab, 200)
            connect_all(socks, seconds=5)
            for s in socks:
                s.sendall(request(p))
            self.assertEqual({r.status for r in read_all(socks)}, {200})
            accepted = [a - b for a, b in zip(self.counters(*names)[1], before[1])]
            self.assertGreater(min(accepted), 0)
            self.assertEqual(sum(accepted), 200)
            for s in socks:
                s.close()
            link.close()
        finally:
            self.lab.kill("dataplane")
            self.lab.start_dataplane()
            self.attached()

    def listed6(self, ports):
        cores = cores_of(self.lab, ports, "fd78::2")
        return cores if len(cores) == len(ports) else None


if __name__ == "__main__":
    unittest.main(verbosity=2)
