# SPDX-License-Identifier: BSD-2-Clause
"""The semantics of HTTP caching through both processes: each case of cache_cases.py against an origin
that says what the case wants. All cases run side by side, since many wait for an answer to become stale.
"""

import concurrent.futures
import os
import time
import unittest

from cache_cases import CASES, http_date
from http1 import Client
from lab import CONFIG, Lab, wait_until
from origin import Origin

RULES = {
    "heur": "heuristic_percent: 10",
    "neg": "negative_ttl_s: 3",
    "ttl": "mode: ttl\n          ttl_s: 60",
    "off": "mode: \"off\"",
    "stale": "stale_if_error_s: 60\n          stale_while_revalidate_s: 60",
    "weak": "etag: weak",
    "strong": "etag: strong",
    "parts": "range_fill_bytes: 0",
}
ROUTES = "routes:\n" + "\n".join(f"""\
    - host: api.test
      path: /{name}/*
      upstream: odd
      cache:
          {rule}""" for name, rule in RULES.items()) + """
    - host: api.test
      path: /c/*
      upstream: odd
    - host: api.test
      path: /any/*
      methods: ["*"]
      upstream: odd
    - host: other.test
      path: /c/*
      upstream: odd
"""
TEXT = CONFIG[:CONFIG.index("routes:")] + ROUTES + "{extra}"
THREADS = int(os.environ.get("SLUICE_CASE_THREADS", "48"))


class Fault(AssertionError):
    pass


def field(fields, name):
    values = [v for k, v in fields if k.lower() == name.lower()]
    return ", ".join(values) if values else None


def fields_check(what, fields, wanted):
    for name, want in wanted.items():
        have = field(fields, name)
        good = have is not None and want(have) if callable(want) else have == want
        if not good:
            raise Fault(f"{what}: {name} is {have!r}, not {'right' if callable(want) else repr(want)}")


class Run:
    """One case. strict: as Sluice must do it; otherwise the origin's answers always have Date, and it may be
    asked conditionally where it gives a new answer."""

    def __init__(self, lab, origin, name, strict=True):
        self.lab, self.origin, self.name, self.strict = lab, origin, name, strict
        self.rfc, prefix, self.steps = CASES[name]
        self.path = f"{prefix}/{name}"
        self.bodies = {}
        for step in self.steps:
            origin.on(self.path + step.at.split("?")[0], self.answer)

    # --- the origin's side --------------------------------------------------------------------
    def answer(self, r, peer):
        n = int(r["step"])
        step = self.steps[n]
        if step.fail:
            peer.close()
        status = step.status
        if status == 304 and r["if-none-match"] is None and r["if-modified-since"] is None:
            status = 200
        body = b"" if status in (204, 304) else self.body(n)
        lines = [f"HTTP/1.1 {status} Status", f"Step-Was: {n}"]
        lines += [f.replace("@", self.path) for f in step.fields]
        if not self.strict and not any(f.startswith("Date:") for f in step.fields):
            lines.append("Date: " + http_date())
        if status not in (204, 304) and step.length:
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines).encode("latin1") + b"\r\n\r\n"
        peer.send(step.before + head + (b"" if r.method == "HEAD" else body))

    def body(self, n):
        given = self.steps[n].body
        return f"{self.name} {n}".encode() if given is None else given

    def asked(self, n):
        return [r for r in self.origin.seen(whole=False)
                if r.path.startswith(self.path) and r["step"] == str(n)
                and r.path in {self.path + s.at.split("?")[0] for s in self.steps}]

    # --- the client's side --------------------------------------------------------------------
    def run(self):
        for n, step in enumerate(self.steps):
            time.sleep(step.wait)
            with Client(self.lab.connect(timeout=15)) as c:
                r = c.ask(self.path + step.at, method=step.method, host=step.host, body=step.send,
                          headers=[f"Step: {n}", *step.req])
            try:
                self.check(n, step, r)
            except Fault as e:
                raise Fault(f"{self.name} ({self.rfc}), step {n}: {e}; {r.raw!r}") from None

    def check(self, n, step, r):
        getattr(self, "expect_" + step.expect)(n, step, r)
        fields_check("the client's answer", r.fields, step.want)
        if step.interim is not None:
            self.check_interim(step, r)
        if step.code is not None and r.status != step.code:
            raise Fault(f"status {r.status}, not {step.code}")
        if step.text is not None and r.body != step.text:
            raise Fault(f"body {r.body!r}, not {step.text!r}")
        if step.asks:
            for q in self.asked(n):
                fields_check("the origin's request", q.fields, step.asks)
            if not self.asked(n):
                raise Fault("the origin was not asked")

    def check_interim(self, step, r):
        if [i.status for i in r.interim] != [status for status, _ in step.interim]:
            raise Fault(f"interim answers {[i.status for i in r.interim]}")
        for have, (_, want) in zip(r.interim, step.interim):
            fields_check("an interim answer", have.fields, want)

    def served(self, r, n):
        was = r["step-was"]
        if r.status == 304:
            return None  # it has only what tells what has not changed (RFC 9110 15.4.5)
        if was is None:
            raise Fault("not an answer of the origin")
        return int(was) == n

    def not_asked(self, n):
        if self.asked(n):
            raise Fault(f"the origin was asked: {self.asked(n)[0].raw!r}")

    def asked_once(self, n):
        if len(self.asked(n)) != 1:
            raise Fault(f"the origin was asked {len(self.asked(n))} times")
        return self.asked(n)[0]

    def expect_any(self, n, step, r):
        pass

    def expect_hit(self, n, step, r):
        self.not_asked(n)
        if r.status != 416 and self.served(r, n):
            raise Fault("served by this very step")

    def expect_origin(self, n, step, r):
        q = self.asked_once(n)
        ours = ("if-none-match", "if-modified-since")
        sent = [h.split(":")[0].lower() for h in step.req]
        for name in ours:
            if self.strict and q[name] is not None and name not in sent:
                raise Fault(f"asked conditionally: {q.raw!r}")
        if self.served(r, n) is False:
            raise Fault("served by an earlier step")
        if step.method == "GET" and r.status not in (204, 304) and r.body != self.body(n):
            raise Fault(f"body {r.body!r}")

    def expect_valid(self, n, step, r):
        q = self.asked_once(n)
        if q["if-none-match"] is None and q["if-modified-since"] is None:
            raise Fault(f"not asked conditionally: {q.raw!r}")
        if step.code is None and (r.status != 200 or r.body not in [self.body(k) for k in range(n)]):
            raise Fault(f"{r.status} {r.body!r} is not what was stored")
        if self.served(r, n) is False:
            raise Fault("the fields of the 304 are not in it")

    def expect_stale(self, n, step, r):
        if self.served(r, n):
            raise Fault("served by this very step")
        wait_until(lambda: self.asked(n), 5, f"{self.name}: the origin is asked behind the client's back")

    def expect_none(self, n, step, r):
        self.not_asked(n)
        if r.status != 504:
            raise Fault(f"status {r.status}")

    def expect_failed(self, n, step, r):
        if r.status not in (502, 503, 504) or "step-was" in r:
            raise Fault(f"status {r.status}")


class CacheHttp(unittest.TestCase):
    """A test for each case is added below."""

    results = {}

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab(config=TEXT).start(nginx=False)
        cls.origin = None
        try:
            cls.origin = Origin(cls.lab)
            with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                # Those that wait begin first.
                order = sorted(CASES, key=lambda n: -sum(s.wait for s in CASES[n][2]))
                jobs = {n: pool.submit(Run(cls.lab, cls.origin, n).run) for n in order}
                for name, job in jobs.items():
                    cls.results[name] = job.exception()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.origin is not None:
            cls.origin.stop()
        cls.lab.stop()

    def test_processes_live(self):
        self.lab.alive()
        self.assertEqual(self.origin.faults, [])


def test_of(name):
    def test(self):
        fault = self.results[name]
        if isinstance(fault, AssertionError):
            self.fail(str(fault))
        elif fault is not None:
            raise fault
    return test


for case_name in CASES:
    setattr(CacheHttp, "test_" + case_name.replace("-", "_").replace("^", "_"), test_of(case_name))

if __name__ == "__main__":
    unittest.main()
