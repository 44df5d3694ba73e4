"""The shared store (cache/l3.h) against real Redis servers, a real cluster, and servers that lie."""

import os
import re
import shutil
import subprocess
import time
import unittest

from lab import CONTROL, CTL, wait_until
from redis_lab import Bad, Client, Cluster, Redis, Wire, folder, why_not

ROUND_MS = 50  # no round of the loop is longer, whatever the server does


class Case(unittest.TestCase):
    """One server in a folder of its own; clients are ended, and must end well."""

    @classmethod
    def setUpClass(cls):
        cls.folder = folder()
        cls.redis = Redis(cls.folder).start()

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()
        shutil.rmtree(cls.folder)

    def setUp(self):
        self.clients = []

    def tearDown(self):
        ends = [c.stop() for c in self.clients]
        self.assertEqual(ends, [0] * len(ends))

    def client(self, *settings, address=None, ns=None):
        c = Client(address or self.redis.path, *settings, ns=ns)
        self.clients.append(c)
        return c

    def rounds_short(self, *clients):
        for c in clients:
            self.assertLess(c.round_ms(), ROUND_MS)


class Single(Case):
    def setUp(self):
        super().setUp()
        self.redis.cli("FLUSHALL")

    def test_values_come_back(self):
        a, b = self.client().ready(), self.client().ready()
        for key, size, seed in (("empty", 0, 2), ("small", 100, 2), ("packed", 50000, 2),
                                ("random", 50001, 3), ("large", 3000000, 5)):
            a.say(f"put {key} {size} {seed}")
            self.assertEqual(a.get(key)[0], "ok")  # in the order of the connection
            self.assertEqual(b.get(key), ("ok", b.body(size, seed) if size else "0" * 16))
            self.assertGreater(int(self.redis.cli("PTTL", "t:" + key)), 50000)
        self.assertLess(int(self.redis.cli("STRLEN", "t:packed")), 5000)
        self.assertEqual(b.get("none")[0], "not found")
        a.say("del small")
        self.assertEqual(a.get("small")[0], "not found")
        self.assertEqual(b.get("small")[0], "not found")
        self.assertEqual(b.counts()["hits"], 5)

    def test_batch(self):
        c = self.client().ready()
        c.say("batch 500")
        self.assertEqual(c.hear("batch")[1:], ["500", "0", "0"])
        self.rounds_short(c)

    def reads(self):
        """How often this server read from a connection."""
        return int(re.search(r"total_reads_processed:(\d+)", self.redis.cli("INFO", "stats"))[1])

    def test_a_round_goes_in_one_piece(self):
        """Gets of one round, whoever calls: one send of ours, and what the server reads at a time."""
        c = self.client().ready()
        c.say("batch 200")
        self.assertEqual(c.hear("batch")[1:], ["200", "0", "0"])
        for n in (1, 10, 200):
            took = []
            for _ in range(5):  # once a second the reader of purges has a round of its own
                sends, reads = c.counts()["sends"], self.reads()
                c.say(f"each {n}")
                self.assertEqual(c.hear("batch")[1:], [str(n), "0", "0"])
                # redis-cli costs two: its command, and its end.
                took.append((c.counts()["sends"] - sends, self.reads() - reads - 2))
            self.assertEqual(min(took), (1, 1), (n, took))

    def test_in_flight_is_bounded(self):
        c = self.client("in_flight=64").ready()
        self.redis.hang()
        try:
            c.say("batch 200")
            words = c.hear("batch")
        finally:
            self.redis.go_on()
        self.assertEqual(words[1:3], ["0", "0"])
        # 64 puts fill it; the other puts and all gets are refused.
        self.assertEqual(c.counts()["refused"], 136 + 200)
        c = self.client("pending_bytes=1000000").ready()
        for i in range(10):
            c.say(f"put big{i} 300000 3")
        self.assertEqual(c.counts()["refused"], 7)

    def test_hostile_values(self):
        """Whatever lies under a key: not sound is counted, and nothing is answered."""
        c = self.client().ready()
        c.say("put right 3000 2")
        self.assertEqual(c.get("right")[0], "ok")
        with open("/dev/urandom", "rb") as f:
            noise = f.read(3000)
        size = int(self.redis.cli("STRLEN", "t:right"))
        bad = {
            "noise": lambda: self.redis.cli("-x", "SET", "t:noise", stdin=noise),
            "none": lambda: self.redis.cli("SET", "t:none", ""),
            # The value of another key.
            "stolen": lambda: self.redis.cli("COPY", "t:right", "t:stolen"),
            "cut": lambda: self.cut("t:cut", size - 10),
            "head": lambda: self.cut("t:head", 60),
            "flip": lambda: (self.redis.cli("COPY", "t:right", "t:flip"),
                             self.redis.cli("SETRANGE", "t:flip", str(size // 2), "~~~~")),
            "long": lambda: (self.redis.cli("COPY", "t:right", "t:long"),
                             self.redis.cli("APPEND", "t:long", "x" * 100)),
        }
        for i, (key, make) in enumerate(bad.items()):
            make()
            self.assertEqual(c.get(key)[0], "invalid argument", key)
            self.assertEqual(c.counts()["corrupt"], i + 1, key)
        self.redis.cli("LPUSH", "t:list", "x")
        self.assertEqual(c.get("list")[0], "closed by the other side")
        self.assertEqual(c.get("right")[0], "ok")
        self.assertEqual(c.counts()["opened"], 0)

    def cut(self, key, size):
        """What COPY and GETRANGE cannot do in one: the value's first bytes, by a script."""
        self.redis.cli("EVAL", "redis.call('SET',KEYS[2],redis.call('GETRANGE',KEYS[1],0,ARGV[1]))",
                       "2", "t:right", key, str(size))

    def test_password(self):
        # What docs/L3.md says that a user needs.
        self.redis.cli("ACL", "SETUSER", "sluice", "on", ">secret", "~t:*", "~{t:}purges",
                       *("+get +set +del +ping +xadd +xread +xrange +xlen +cluster|slots "
                         "+asking").split())
        try:
            c = self.client("user=sluice", "password=secret").ready()
            c.say("put a 10 2")
            self.assertEqual(c.get("a")[0], "ok")
            c.say("purge 0 a")
            self.assertEqual(c.get("a")[0], "not found")
            late = self.client("user=sluice", "password=secret").ready()
            self.assertEqual(late.heard(1), ["0 a"])
            self.assertEqual([c.counts()["errors"], late.counts()["errors"]], [0, 0])
            bad = self.client("user=sluice", "password=wrong")
            bad.until(lambda n: n["connects"] >= 3)
            self.assertEqual(bad.get("a"), ("closed by the other side", "once"))
            self.assertEqual(bad.counts()["open"], 1)
        finally:
            self.redis.cli("ACL", "DELUSER", "sluice")


class Faults(Case):
    def test_hang_and_recovery(self):
        c = self.client("timeout_ms=50").ready()
        c.load(300)
        self.assertGreater(c.loaded()["ok"], 100)
        c.load()
        c.until(lambda n: n["in_flight"] > 0)
        self.redis.hang()
        n = c.until(lambda n: n["open"] == 1 and n)
        self.assertGreaterEqual(n["timeouts"], 5)
        self.assertEqual(n["in_flight"], 0, "an open circuit has nothing in flight")
        refused = n["refused"]
        c.until(lambda n: n["refused"] > refused + 100)
        got = c.unload()
        self.assertGreater(got["closed"], 100, "refused while it hangs")
        self.assertEqual(got["wrong"] + got["invalid"], 0)
        connects = c.counts()["connects"]
        time.sleep(1)  # the tries of a second: one after 50 ms, doubled, each up to connect_ms
        self.assertLess(c.counts()["connects"] - connects, 4)
        self.redis.go_on()
        c.ready()
        c.load(300)
        got = c.loaded()
        self.assertGreater(got["ok"], 100)
        self.assertEqual(got["wrong"], 0)
        self.rounds_short(c)

    def test_death_and_restart(self):
        c = self.client().ready()
        c.load()
        c.until(lambda n: n["hits"] > 100)
        self.redis.kill()
        c.until(lambda n: n["open"] == 1)
        self.redis.start()
        c.ready()
        got = c.unload()
        self.assertGreater(got["ok"], 100)
        self.assertGreater(got["closed"], 10)
        self.assertEqual(got["wrong"] + got["invalid"], 0)
        self.assertEqual(c.counts()["opened"], 1)
        self.rounds_short(c)

    def test_starts_without_a_server(self):
        path = os.path.join(self.folder, "later.sock")
        c = self.client(address=path)
        self.assertEqual(c.get("a"), ("closed by the other side", "once"))
        later = Redis(self.folder, "later").start()
        try:
            c.ready()
            c.say("put a 10 2")
            self.assertEqual(c.get("a")[0], "ok")
        finally:
            later.stop()

    def test_slow(self):
        """A server whose answers come late: each get ends in its time."""
        c = self.client("timeout_ms=50", "failures=1000", "retry_ms=100").ready()
        self.redis.cli("SET", "t:x", "y")
        for _ in range(3):
            self.redis.hang()
            for _ in range(3):
                began = time.monotonic()
                self.assertEqual(c.get("x")[0], "timed out")
                self.assertLess(time.monotonic() - began, 1)
            self.redis.go_on()
            # The late answer is nobody's: the next one is its own command's.
            wait_until(lambda: c.get("x")[0] == "invalid argument", 5, "it answers again")
        self.assertEqual(c.counts()["opened"], 0)
        self.rounds_short(c)


def greeted(conn):
    """Reads the PING, answers it, and waits for a command."""
    conn.recv(4096)
    conn.sendall(b"+PONG\r\n")
    conn.recv(65536)


def noise(conn):
    greeted(conn)
    conn.sendall(os.urandom(5000))
    conn.recv(1)


def web_server(conn):
    conn.recv(4096)
    conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def unasked(conn):
    conn.recv(4096)
    conn.sendall(b"+PONG\r\n" * 1000)
    conn.recv(1)


def flood(conn):
    greeted(conn)
    conn.sendall(b"$2000000000\r\n")
    for _ in range(2000):
        conn.sendall(b"x" * 65536)


def huge_array(conn):
    greeted(conn)
    conn.sendall(b"*2147483647\r\n")
    conn.recv(1)


def deep_array(conn):
    greeted(conn)
    conn.sendall(b"*1\r\n" * 100000)
    conn.recv(1)


def half_answer(conn):
    greeted(conn)
    conn.sendall(b"$100\r\nabc")


def dripping(conn):
    greeted(conn)
    for _ in range(300):
        conn.sendall(b"$")
        time.sleep(0.01)


def no_line_end(conn):
    greeted(conn)
    for _ in range(200):
        conn.sendall(b"+" + b"y" * 65536)


def wrong_kind(conn):
    greeted(conn)
    while True:
        conn.sendall(b":1\r\n")
        if not conn.recv(65536):
            return


def errors(conn):
    greeted(conn)
    while True:
        conn.sendall(b"-ERR no such thing\r\n")
        if not conn.recv(65536):
            return


def moved_nowhere(conn):
    greeted(conn)
    while True:
        conn.sendall(b"-MOVED 99999 nowhere:-1\r\n")
        if not conn.recv(65536):
            return


def silent(conn):
    conn.recv(4096)
    conn.recv(1)


def closes(conn):
    conn.recv(4096)


LIARS = (noise, web_server, unasked, flood, huge_array, deep_array, half_answer, dripping,
         no_line_end, wrong_kind, errors, moved_nowhere, silent, closes)


class Liars(Case):
    def lied_to(self, cluster):
        """Each server that lies, and a client of it, all at once."""
        bad = [Bad(self.folder, serve) for serve in LIARS]
        clients = [self.client("timeout_ms=50", "connect_ms=100", "retry_ms=20", "failures=3",
                               f"cluster={cluster}", address=b.path) for b in bad]
        for c in clients:
            c.load(700, width=20, keys=50)
        got = [c.loaded() for c in clients]
        for b in bad:
            b.stop()
        return zip(LIARS, clients, got)

    def test_servers_that_lie(self):
        """No answer, no crash, no long round, no memory; and the circuit is open in between."""
        for cluster in (0, 1):
            for serve, c, got in self.lied_to(cluster):
                with self.subTest(serve.__name__, cluster=cluster):
                    n = c.counts()
                    self.assertEqual(got["ok"] + got["wrong"] + got["invalid"], 0, got)
                    self.assertGreater(got["closed"] + got["timeout"], 5, got)
                    self.assertGreaterEqual(n["connects"], 1)
                    self.assertLess(n["connects"], 30, "it backs off")
                    self.assertLess(n["rss_kib"], 60000)
                    self.rounds_short(c)


KEY, PATTERN, TAG, ALL = range(4)


class Purges(Case):
    def setUp(self):
        super().setUp()
        self.redis.cli("FLUSHALL")

    def wait_read(self, *clients):
        """Each has read what the stream had at the start, and waits in the server."""
        wait_until(lambda: self.redis.cli("INFO", "clients").count(
            f"blocked_clients:{len(clients)}"), 10, "they wait for purges")

    def test_purges_reach_others_and_void(self):
        for kind, text, status in ((KEY, "p/a", "not found"), (PATTERN, "p/*", "invalid argument"),
                                   (TAG, "tag:fixture", "invalid argument"),
                                   (ALL, "", "invalid argument")):
            with self.subTest(text):
                self.redis.cli("FLUSHALL")
                a, b = self.client().ready(), self.client().ready()
                self.wait_read(a, b)
                for key in ("p/a", "q/a"):
                    a.say(f"put {key} 100 2 5000")  # asked 5 s ago: the skew is over
                    self.assertEqual([a.get(key)[0], b.get(key)[0]], ["ok", "ok"])
                a.say(f"purge {kind} {text}")
                self.assertEqual(b.heard(1), [f"{kind} {text}".strip()])
                for c in (a, b):
                    self.assertEqual(c.get("p/a")[0], status)
                    self.assertEqual(c.get("q/a")[0], "ok" if kind in (KEY, PATTERN) else status)
                # What left for the origin before the purge is not stored by either.
                for c in (a, b):
                    c.say("put p/a 100 2 5000")
                    self.assertEqual(c.counts()["puts"], 2 if c is a else 0)
                self.assertEqual([a.counts()["purges_seen"], b.counts()["purges_seen"]], [0, 1])
                # A node that starts now knows of it too.
                late = self.client().ready()
                self.assertEqual(late.heard(1), [f"{kind} {text}".strip()])
                self.assertEqual(late.get("q/a")[0], "ok" if kind in (KEY, PATTERN) else status)
                while self.clients:
                    self.assertEqual(self.clients.pop().stop(), 0)

    def test_partition(self):
        """A node that was cut off reads what it missed, in order; or is told that it cannot."""
        wire = Wire(self.folder, self.redis.path)
        self.addCleanup(wire.stop)
        self.redis.cli("CONFIG", "SET", "stream-node-max-entries", "10")
        a = self.client("purges_kept=100").ready()
        b = self.client("purges_kept=100", address=wire.path).ready()
        self.wait_read(a, b)
        a.say("purge 0 first")
        self.assertEqual(b.heard(1), ["0 first"])
        wire.cut()
        for i in range(50):
            a.say(f"purge 1 k{i}/*")
        a.until(lambda n: n["purges_sent"] == 51)
        b.until(lambda n: n["open"] == 1)
        wire.mend()
        self.assertEqual(b.heard(50), [f"1 k{i}/*" for i in range(50)])
        a.say("put old/x 100 2 5000")
        b.ready()
        self.assertEqual(b.get("old/x")[0], "ok")
        wire.cut()
        for i in range(300):
            a.say(f"purge 2 tag:{i}")
        a.until(lambda n: n["purges_sent"] == 351)
        wire.mend()
        self.assertEqual(b.heard(1), ["lost"])
        got = b.heard(100)  # at least what the stream keeps
        self.assertEqual(got[-1].split(":")[0], "2 tag")
        b.ready()
        self.assertEqual(b.get("old/x")[0], "invalid argument", "from before what was lost")
        self.assertEqual(a.get("old/x")[0], "ok", "nothing was lost here")
        self.assertEqual(b.counts()["purges_lost"], 1)
        # A node that starts now cannot know what was purged before the oldest entry.
        late = self.client("purges_kept=100").ready()
        late.heard(100)
        self.assertEqual(late.get("old/x")[0], "invalid argument")

    def test_server_away(self):
        """Purges wait for the server; too many become one of everything."""
        a = self.client().ready()
        self.redis.kill()
        a.until(lambda n: n["open"] == 1)
        for i in range(20):
            a.say(f"purge 0 k{i}")
        self.redis.start()
        a.until(lambda n: n["purges_sent"] == 20)
        b = self.client().ready()
        self.assertEqual(b.heard(20), [f"0 k{i}" for i in range(20)])
        self.redis.kill()
        for c in (a, b):
            c.until(lambda n: n["open"] == 1)
        for i in range(5000):
            a.say(f"purge 0 k{i}")
        self.redis.start()
        # The stream went with the server: b cannot know what it missed.
        self.assertEqual(b.heard(1), ["lost"])
        self.assertEqual(b.heard(1), ["3"])
        n = a.until(lambda n: n["purges_sent"] > 20 and n)
        self.assertGreaterEqual(n["purges_lost"], 4096)

    def test_others_write_to_the_stream(self):
        a = self.client().ready()
        self.wait_read(a)
        for value in ("x", "x" * 5000, ""):
            self.redis.cli("XADD", "{t:}purges", "*", "p", value)
        self.redis.cli("XADD", "{t:}purges", "18446744073709551614-1", "other", "x", "p", "y")
        a.until(lambda n: n["corrupt"] == 4)
        self.redis.cli("DEL", "{t:}purges")
        self.redis.cli("SET", "{t:}purges", "x")
        a.until(lambda n: n["errors"] >= 3)
        a.say("purge 0 x")
        a.until(lambda n: n["errors"] >= 4)
        self.redis.cli("DEL", "{t:}purges")
        a.until(lambda n: n["purges_sent"] == 1)
        self.assertEqual(a.counts()["opened"], 0)


@unittest.skipUnless(os.geteuid() == 0, "a cluster's ports need a network namespace: run as root")
class InCluster(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder()
        cls.cluster = Cluster(cls.folder)
        try:
            cls.cluster.start()
        except BaseException:
            cls.cluster.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        shutil.rmtree(cls.folder)

    def member(self, *settings, seeds="127.0.0.1:7001"):
        return self.client("cluster=1", *settings, address=seeds, ns=self.cluster.ns)

    def whole(self, c):
        """It knows all servers, and takes commands for each slot."""
        c.until(lambda n: n["servers"] == 3 and n["servers_open"] == 0)
        wait_until(lambda: self.batch(c, 300) == [300, 0, 0], 10, "each slot has a server")
        return c

    @staticmethod
    def batch(c, n):
        c.say(f"batch {n}")
        return [int(w) for w in c.hear("batch")[1:]]

    def batch_moved(self, c, n):
        moved = c.counts()["moved"]
        self.assertEqual(self.batch(c, n), [n, 0, 0])
        return c.counts()["moved"] - moved

    def test_batches_go_to_each_node(self):
        c = self.whole(self.member())
        keys = [int(n.cli("DBSIZE")) for n in self.cluster.nodes]
        self.assertGreaterEqual(sum(keys), 300)
        self.assertTrue(all(k > 50 for k in keys), keys)
        n = c.counts()
        self.assertEqual([n["moved"], n["asked"], n["errors"], n["corrupt"]], [0, 0, 0, 0])
        took = []
        for _ in range(5):
            sends = c.counts()["sends"]
            c.say("each 300")
            self.assertEqual(c.hear("batch")[1:], ["300", "0", "0"])
            took.append(c.counts()["sends"] - sends)
        self.assertEqual(min(took), 3, took)
        self.rounds_short(c)

    def test_slot_moves_under_load(self):
        """MOVED and ASK are followed: nothing is lost, nothing is wrong."""
        c = self.whole(self.member("timeout_ms=1000"))
        a, b = self.cluster.nodes[:2]
        slot = next(s for s in (int(a.cli("CLUSTER", "KEYSLOT", f"t:b{i}")) for i in range(300))
                    if s <= 5460)
        a_id, b_id = a.cli("CLUSTER", "MYID"), b.cli("CLUSTER", "MYID")
        moves = 0
        while c.counts()["moved"] == 0:
            # The map may be asked for just when the slot has gone: then nothing is MOVED.
            self.assertLess(moves, 8, "each move went unnoticed")
            src, dst, src_id, dst_id = ((a, b, a_id, b_id), (b, a, b_id, a_id))[moves % 2]
            moves += 1
            c.load(width=30, keys=300)
            dst.cli("CLUSTER", "SETSLOT", str(slot), "IMPORTING", src_id)
            src.cli("CLUSTER", "SETSLOT", str(slot), "MIGRATING", dst_id)
            keys = src.cli("CLUSTER", "GETKEYSINSLOT", str(slot), "100").split()
            self.assertTrue(keys)
            asked = c.counts()["asked"]
            for key in keys:
                src.cli("MIGRATE", "127.0.0.1", str(dst.port), key, "0", "5000")
            # The keys are there, the slot still here: each get is asked for.
            c.until(lambda n: n["asked"] > asked)
            dst.cli("CLUSTER", "SETSLOT", str(slot), "NODE", dst_id)
            src.cli("CLUSTER", "SETSLOT", str(slot), "NODE", dst_id)
            self.cluster.nodes[2].cli("CLUSTER", "SETSLOT", str(slot), "NODE", dst_id)
            hits = c.counts()["hits"]
            c.until(lambda n: n["hits"] > hits + 600)  # each key twice
            got = c.unload()
            self.assertGreater(got["ok"], 100)
            self.assertEqual([got[k] for k in ("miss", "timeout", "closed", "full", "invalid",
                                               "wrong")], [0] * 6, got)
            # The map is asked for anew, at most every 100 ms: then nothing is redirected.
            wait_until(lambda: self.batch_moved(c, 300) == 0, 5, "the map is new")
        self.rounds_short(c)

    def test_node_dies(self):
        """Its slots are refused at once, the others go on; all is well when it is back."""
        c = self.whole(self.member("timeout_ms=200", seeds="127.0.0.1:7001,127.0.0.1:7003"))
        victim = self.cluster.nodes[2]
        hits = c.counts()["hits"]
        c.load(width=30, keys=300)
        c.until(lambda n: n["hits"] > hits + 100)
        victim.kill()
        n = c.until(lambda n: n["servers_open"] >= 1 and n)
        self.assertEqual(n["open"], 0)
        began = time.monotonic()
        ok, miss, other = self.batch(c, 300)
        self.assertLess(time.monotonic() - began, 0.5, "no waiting for a node that is known dead")
        self.assertGreater(ok, 150)
        self.assertGreater(other, 50)
        self.assertEqual(miss, 0)
        refused = c.counts()["refused"]
        c.until(lambda n: n["refused"] > refused + 100)
        got = c.unload()
        self.assertGreater(got["ok"], 100)
        self.assertGreater(got["closed"], 100)
        self.assertEqual(got["wrong"] + got["invalid"], 0)
        victim.start()
        wait_until(self.cluster.whole, 20, "the cluster is whole again")
        self.whole(c)
        self.rounds_short(c)

    def test_purges_travel(self):
        a = self.whole(self.member())
        b = self.whole(self.member(seeds="127.0.0.1:7002"))
        self.assertEqual(b.purges.qsize(), 0)
        for i in range(10):
            a.say(f"purge 0 b{i}")
        self.assertEqual(b.heard(10), [f"0 b{i}" for i in range(10)])
        # The slot of the stream goes to another node: both follow.
        slot = self.cluster.nodes[0].cli("CLUSTER", "KEYSLOT", "{t:}purges")
        ids = [n.cli("CLUSTER", "MYID") for n in self.cluster.nodes]
        src = next(i for i in range(3) if int(self.cluster.nodes[i].cli(
            "CLUSTER", "COUNTKEYSINSLOT", slot)) > 0)
        dst = (src + 1) % 3
        s, d = self.cluster.nodes[src], self.cluster.nodes[dst]
        d.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[src])
        s.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[dst])
        for key in s.cli("CLUSTER", "GETKEYSINSLOT", slot, "100").split():
            s.cli("MIGRATE", "127.0.0.1", str(d.port), key, "0", "5000")
        for n in (d, s, self.cluster.nodes[(src + 2) % 3]):
            n.cli("CLUSTER", "SETSLOT", slot, "NODE", ids[dst])
        for i in range(10):
            a.say(f"purge 0 c{i}")
        self.assertEqual(b.heard(10), [f"0 c{i}" for i in range(10)])
        self.assertEqual(b.counts()["purges_lost"], 0)

    def test_seeds_that_are_away(self):
        c = self.member(seeds="127.0.0.1:7009,127.0.0.1:7002")
        c.until(lambda n: n["servers"] == 4 and n["servers_open"] == 1)
        wait_until(lambda: self.batch(c, 100) == [100, 0, 0], 10, "each slot has a server")

    def test_not_a_cluster(self):
        """A single server where a cluster should be, and a cluster where one should be."""
        single = Redis(self.folder, "single").start()
        try:
            c = self.client("cluster=1", address=single.path)
            c.until(lambda n: n["errors"] >= 1)
            self.assertEqual(c.get("a")[0], "closed by the other side")
        finally:
            single.stop()
        c = self.client("cluster=0", address="127.0.0.1:7001", ns=self.cluster.ns).ready()
        self.assertEqual(self.batch(c, 300)[1], 0)
        self.assertGreater(c.counts()["errors"], 0)

    CONFIG = """
node: l3test
run_dir: {run}
memory: {{store_bytes: {store_bytes}}}
admin: {{socket: {run}/admin.sock, metrics_port: 9900}}
listeners: [{{address: 192.0.2.10}}]
ports: [{{type: memif, device: {run}/memif.sock}}]
upstreams: [{{name: web, addresses: ["127.0.0.1:80"]}}]
routes: [{{upstream: web}}]
cache:
  l3:
    backend: redis
    addresses: ["127.0.0.1:7001"]
    cluster: on
    password_file: {run}/password
    timeout_ms: {timeout_ms}
"""

    def write_config(self, store_bytes=1 << 26, **values):
        with open(os.path.join(self.folder, "sluice.yaml"), "w", encoding="utf-8") as f:
            f.write(self.CONFIG.format(run=self.folder, store_bytes=store_bytes, **values))

    def ctl(self, *words):
        r = subprocess.run([CTL, "--socket", os.path.join(self.folder, "admin.sock"), *words],
                           capture_output=True, text=True, check=False)
        return r.stdout + r.stderr

    def test_in_control(self):
        """The section of the configuration, the metrics, status, and what a reload says."""
        node = self.cluster.nodes[0]
        cmd = node.enter(CONTROL, "--config", os.path.join(self.folder, "sluice.yaml"))
        self.write_config(timeout_ms=50, store_bytes=0)
        r = subprocess.run(cmd, capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"cannot read cache.l3.password_file {self.folder}/password", r.stderr)
        self.assertIn("memory.store_bytes is 0: what the shared store has", r.stderr)
        self.write_config(timeout_ms=50)
        r = subprocess.run(cmd, capture_output=True, text=True, check=False)
        self.assertNotIn("memory.store_bytes", r.stderr)
        with open(os.path.join(self.folder, "password"), "w", encoding="ascii") as f:
            f.write("secret\n")
        for n in self.cluster.nodes:
            n.cli("CONFIG", "SET", "requirepass", "secret")
        proc = subprocess.Popen(cmd, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: self.metric("sluice_l3_servers") == 3 and
                       self.metric("sluice_l3_servers_open") == 0, 10, "three servers")
            self.assertRegex(self.ctl("status"), r"shared store +redis, 0 of 0 gets were hits")
            self.assertRegex(self.ctl("status"), r"  servers +3\n")
            self.write_config(timeout_ms=60)
            self.assertIn("restart needed for: cache.l3", self.ctl("config", "reload"))
            proc.terminate()
            self.assertEqual(proc.wait(10), 0)
        finally:
            if proc.poll() is None:
                proc.kill()
                proc.wait()
            for n in self.cluster.nodes:
                n.cli("-a", "secret", "CONFIG", "SET", "requirepass", "")

    def metric(self, name):
        r = subprocess.run(self.cluster.nodes[0].enter("curl", "-s", "127.0.0.1:9900/metrics"),
                           capture_output=True, text=True, check=False)
        for line in r.stdout.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return None


if __name__ == "__main__":
    reason = why_not()
    if reason:
        print("skipped:", reason)
    else:
        unittest.main(verbosity=2)
