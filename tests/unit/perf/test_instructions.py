#!/usr/bin/env python3
"""perf/instructions: what it takes for growth, and when it compares nothing. Nothing is counted here."""

import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import os
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def load(path):
    loader = importlib.machinery.SourceFileLoader("instructions", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


sut = load(os.path.join(ROOT, "perf", "instructions"))
HERE = {"compiler": "gcc 12.2", "build": {"b_lto": True, "c_args": []}, "libc": "glibc 2.36",
        "machine": "x86_64"}


def failed(runs, old):
    """(cases that failed, what was printed) for one case with this baseline."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        base = None if old is None else {"cases": {"hit": old} if old else {}}
        cases = sut.table({"hit": "a hit"}, {"hit": runs}, base)
    return cases, out.getvalue()


class Compare(unittest.TestCase):
    def test_growth(self):
        for value, old, bad in ((1000, 1000, False), (1030, 1000, False), (1030.2, 1000, True),
                                (2000, 1000, True), (900, 1000, False)):
            with self.subTest(value=value):
                cases, out = failed([value], old)
                self.assertEqual(cases, ["hit"] if bad else [])
                self.assertEqual("--update, and commit" in out, bad)

    def test_cheaper_is_told(self):
        self.assertIn("cheaper", failed([960], 1000)[1])
        self.assertNotIn("cheaper", failed([980], 1000)[1])

    def test_case_without_baseline(self):
        """A new case must come with its baseline; without any, there is nothing to fail."""
        self.assertEqual(failed([1000], 0)[0], ["hit"])
        self.assertEqual(failed([1000], None)[0], [])

    def test_spread(self):
        self.assertIn("2.000%", failed([990, 1010], 1000)[1])

    def test_reasons(self):
        self.assertIsNone(sut.reason_not_to_compare(HERE, HERE))
        for key, value, says in (("compiler", "clang 14.0", "clang 14.0, the baseline's gcc 12.2"),
                                 ("libc", "glibc 2.40", "glibc 2.40"),
                                 ("machine", "aarch64", "aarch64")):
            self.assertIn(says, sut.reason_not_to_compare({**HERE, key: value}, HERE))
        other = copy.deepcopy(HERE)
        other["build"]["b_lto"] = False
        self.assertIn("b_lto is False", sut.reason_not_to_compare(other, HERE))


if __name__ == "__main__":
    unittest.main()
