"""Either process is killed with -9, fifty times at random, while clients check every byte.

The body of each answer names its URL and the version that the origin gave it, and is as long as its
URL says: an answer of another request, of a mixture of two, or of a part taken for the whole cannot
pass. SLUICE_SEED=n repeats a run, SLUICE_KILLS=n changes its length.
"""

import hashlib
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from http1 import Bad, Client, Cut, request  # noqa: E402
from lab import CONFIG, Lab, wait_until  # noqa: E402
from origin import Origin, answer, chunked  # noqa: E402

SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))
KILLS = int(os.environ.get("SLUICE_KILLS", "50"))
CLIENTS = 12
ANSWER_WITHIN_S = 8
BACK_WITHIN_S = 6
TEXT = CONFIG.replace("upstream: web", "upstream: odd")
EXTRA = """
    - host: api.test
      path: /up/*
      upstream: odd
timeouts:
    miss_grace_ms: 1500
    miss_ms: 5000
"""


def body_of(target, version):
    """What the answer to the target says: its name, its version, then bytes that follow from both."""
    size = int(target.rsplit("-", 1)[1])
    head = f"{target} v{version}\n".encode()
    seed = hashlib.sha256(head).digest()
    return head + (seed * (size // 32 + 1))[:size]


def check_body(target, body):
    """Returns the version; raises when the body is not one of the target's, whole."""
    head, _, _ = body.partition(b"\n")
    name, _, version = head.decode("latin1").rpartition(" v")
    if name != target:
        raise Bad(f"asked for {target}, got {head[:100]!r}")
    if body != body_of(target, int(version)):
        raise Bad(f"{target}: {len(body)} bytes are not the whole answer")
    return int(version)


class Store:
    """The origin's side: versions grow, so that an answer that goes back in time is found."""

    def __init__(self, lab):
        self.origin = Origin(lab)
        self.origin.scripts = self
        self.version = 0
        self.lock = threading.Lock()

    def get(self, path):
        return self.answer if path.startswith(("/hot/", "/cold/", "/slow/")) else self.upload

    def next(self):
        with self.lock:
            self.version += 1
            return self.version

    def answer(self, r, peer):
        version = self.next()
        if r.path.startswith("/slow/"):
            time.sleep(0.3)
        body = body_of(r.target, version)
        cc = "max-age=600" if r.path.startswith("/hot/") else "no-store"
        if version % 3 == 0 and r.method == "GET":
            half = len(body) // 2
            peer.send(chunked(body[:half], body[half:], headers=["Cache-Control: " + cc])
                      if half else answer(body, 200, "Cache-Control: " + cc))
        else:
            peer.send(answer(body, 200, "Cache-Control: " + cc))

    @staticmethod
    def upload(r, peer):
        peer.send(answer(r.digest.hexdigest() + " " + r.target, 200, "Cache-Control: no-store"))


class Worker(threading.Thread):
    """A client that asks for hits, misses, slow ones, large ones and uploads, for ever."""

    def __init__(self, test, number):
        super().__init__(daemon=True)
        self.test, self.rnd = test, random.Random(SEED * 1000 + number)
        self.client = None
        self.number = number
        self.counts = {}
        self.opened = self.began = 0
        self.what, self.half = "", False
        self.uploads = 0

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def target(self):
        rnd = self.rnd
        kind = rnd.random()
        if kind < 0.5:
            return f"/hot/{rnd.randrange(40)}-{rnd.choice((0, 100, 1000, 20000))}"
        if kind < 0.8:
            return f"/cold/{rnd.randrange(10 ** 9)}-{rnd.choice((0, 100, 5000, 70000))}"
        if kind < 0.9:
            return f"/cold/{rnd.randrange(10 ** 9)}-{rnd.choice((500000, 2000000))}"
        return f"/slow/{rnd.randrange(10 ** 9)}-1000"

    def run(self):
        while not self.test.done.is_set():
            try:
                self.turn()
            except Bad as e:
                self.test.wrong.append(f"client {self.number}: {e}")
                self.drop()
            except (Cut, OSError) as e:
                self.cut(e)
                self.drop()
                time.sleep(0.02)
        self.drop()

    def patience(self):
        """Who only waits sends nothing that a new dataplane could refuse: it learns of the death of
        the old one by its own timeout, and that is no fault. Any other wait has an end."""
        return (not self.test.front_killed_since(self.opened)
                and time.monotonic() - self.began < ANSWER_WITHIN_S)

    def cut(self, e):
        """A connection may end only when a process was killed; and never may an answer hang."""
        self.count("cut")
        if self.test.front_killed_since(self.opened):
            return
        if "in time" in str(e) or isinstance(e, TimeoutError):
            self.test.wrong.append(f"client {self.number}: {self.what}: hangs: {e}")
        elif not self.test.killed_since(self.began) or not self.half:
            self.test.wrong.append(f"client {self.number}: {self.what}: {e!r}")

    def drop(self):
        if self.client is not None:
            self.client.close()
            self.client = None

    def turn(self):
        self.began = time.monotonic()
        self.what, self.half = "connect", False
        if self.client is None:
            self.opened = self.began
            sock = self.test.lab.connect(timeout=ANSWER_WITHIN_S)
            sock.settimeout(0.2)
            self.client = Client(sock, self.patience)
        # A new connection may have waited for a dataplane that was away.
        self.began = time.monotonic()
        if self.rnd.random() < 0.1:
            self.upload()
            return
        targets = [self.target() for _ in range(self.rnd.choice((1, 1, 1, 4)))]
        self.client.send(b"".join(request(t) for t in targets))
        for t in targets:
            # A kill of control may cut an answer that has begun, but not one from the hot table.
            self.what, self.half = t, not self.test.is_hot(t)
            r = self.client.response()
            self.answered(t, r)
            if r.closes:
                self.drop()
                break

    def answered(self, target, r):
        self.count(r.status)
        if r.status == 200:
            version = check_body(target, r.body)
            self.test.saw(target, version, r)
        elif r.status not in (502, 503, 504):
            raise Bad(f"{target}: status {r.status}")
        elif not self.test.killed_since(self.began - 1):
            self.test.refusals.append(f"{target}: {r.status} {r.raw!r}")

    def upload(self):
        data = self.rnd.randbytes(self.rnd.choice((10, 5000, 300000)))
        target = f"/up/{self.number}-{self.uploads}"
        self.uploads += 1
        self.what, self.half = f"upload of {len(data)}", True
        self.client.sock.settimeout(ANSWER_WITHIN_S)
        self.client.send(request(target, method="PUT", body=data))
        self.client.sock.settimeout(0.2)
        r = self.client.response()
        self.count(r.status)
        if r.status == 200:
            want = f"{hashlib.sha256(data).hexdigest()} {target}"
            if r.body.decode() != want:
                raise Bad(f"upload: {r.body!r}, not {want}")
        elif r.status not in (408, 502, 503, 504):
            raise Bad(f"upload: status {r.status}")
        if r.closes:
            self.drop()


class Kill(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}", flush=True)
        self.lab = Lab(config=TEXT, extra=EXTRA).start(nginx=False)
        self.store = Store(self.lab)
        self.done = threading.Event()
        self.wrong, self.refusals = [], []
        self.kills = []  # (when, back at or None, which)
        self.lock = threading.Lock()
        self.newest = {}

    def tearDown(self):
        self.done.set()
        self.store.origin.stop()
        self.lab.stop()

    # --- what the workers ask ---
    def killed_since(self, when, which=("dataplane", "control")):
        return any(w in which and (back is None or back >= when) for _, back, w in self.kills)

    def front_killed_since(self, when):
        return self.killed_since(when, ("dataplane",))

    def life(self, target):
        """The target in the table of the dataplane that is now."""
        return target, len([1 for k in self.kills if k[2] == "dataplane"])

    def is_hot(self, target):
        return self.life(target) in self.newest

    def saw(self, target, version, r):
        """Without a purge a version never goes back: not on a hit either, but for a new dataplane."""
        if not target.startswith("/hot/") or not r.hit:
            return
        with self.lock:
            key = self.life(target)
            if version < self.newest.get(key, 0):
                self.wrong.append(f"{target}: v{version} after v{self.newest[key]}")
            self.newest[key] = max(version, self.newest.get(key, 0))

    def ask(self, target):
        r = self.lab.get(target, timeout=3)
        if r.status == 200:
            check_body(target, r.body)
        return r

    def works(self, n):
        """A hit and a miss, both right."""
        try:
            hit = self.ask(f"/hot/works{n}-100")
            return hit.status == 200 and self.ask(f"/cold/{time.monotonic_ns()}-3000").status == 200
        except (Cut, OSError):
            return False

    def kill(self, rnd, n):
        which = rnd.choice((("dataplane",), ("control",), ("control",), ("dataplane", "control")))
        entries = []
        for name in which:
            entries.append([time.monotonic(), None, name])
            self.kills.append(entries[-1])
            self.lab.kill(name)
        time.sleep(rnd.choice((0, 0.05, 0.3, 0.8)))
        if which == ("control",):
            # Hits go on without control, on an old connection and on a new one.
            self.assertTrue(self.ask("/hot/always-100").hit, f"kill {n}: hit without control")
        start = list(which)
        rnd.shuffle(start)
        if start == ["control", "dataplane"]:
            start.reverse()  # start_control waits for a dataplane
        for name in start:
            getattr(self.lab, "start_" + name)()
        wait_until(lambda: self.works(n), BACK_WITHIN_S, f"kill {n} of {which}: all works again")
        if "dataplane" in which:
            self.ask("/hot/always-100")
        now = time.monotonic()
        for e in entries:
            e[1] = now

    def test_fifty_kills(self):
        rnd = random.Random(SEED)
        self.ask("/hot/always-100")
        workers = [Worker(self, i) for i in range(CLIENTS)]
        for w in workers:
            w.start()
        for n in range(KILLS):
            time.sleep(rnd.uniform(0.05, 0.6))
            self.kill(rnd, n)
            self.assertEqual(self.wrong, [], f"kill {n}, seed {SEED}")
            self.lab.alive()
        time.sleep(1)
        self.done.set()
        for w in workers:
            w.join(ANSWER_WITHIN_S + 2)
        self.assertEqual([w.number for w in workers if w.is_alive()], [], "clients hang")
        counts = {}
        for w in workers:
            for k, v in w.counts.items():
                counts[k] = counts.get(k, 0) + v
        kinds = [w for _, _, w in self.kills]
        print(f"{kinds.count('dataplane')} kills of the dataplane, {kinds.count('control')} of "
              f"control; answers {counts}", end=" ", flush=True)
        self.assertEqual(self.wrong, [], f"seed {SEED}")
        self.assertEqual(self.refusals, [], f"seed {SEED}")
        self.assertGreater(counts.get(200, 0), 20 * KILLS)
        self.assertEqual(self.store.origin.faults, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
