#!/usr/bin/env python3
"""Builds and runs every test, one after the other but for unit tests, which share the CPUs; prints a
line each and a count at the end.

The order is from simple to complex: rules of the tree, builds, units, simulator, fuzzers, end to end,
crash, quick start. A test that cannot run here is printed with its reason and counted as skipped.
"""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(ROOT, "build-test")
GCC_ASAN = os.path.join(ROOT, "build-asan")
CLANG_FUZZ = os.path.join(ROOT, "build-fuzz")
CLANG_TSAN = os.path.join(ROOT, "build-tsan")
FUZZ_SECONDS = 6


class Runner:
    def __init__(self, args):
        self.args = args
        self.passed = 0
        self.failed = []
        self.skipped = []

    def wanted(self, name):
        return not self.args.only or self.args.only in name

    def run(self, name, cmd, timeout=300, env=None):
        """One test: passes when the command exits with 0. Its output is shown when it does not."""
        if not self.wanted(name):
            return False
        if self.args.list:
            print(name)
            return False
        began = time.monotonic()
        try:
            r = subprocess.run(cmd, cwd=ROOT, timeout=timeout, check=False, text=True,
                               errors="replace", stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, **(env or {})})
            ok, out = r.returncode == 0, r.stdout
        except subprocess.TimeoutExpired as e:
            ok, out = False, (e.stdout or b"").decode(errors="replace") if isinstance(
                e.stdout, bytes) else (e.stdout or "")
            out += f"\nno end within {timeout} s"
        return self.result(name, ok, time.monotonic() - began, out)

    def result(self, name, ok, took, out):
        print(f"{'ok  ' if ok else 'FAIL'} {name} ({took:.1f} s)", flush=True)
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
            print("\n".join("     | " + line for line in out.splitlines()[-60:]), flush=True)
        return ok

    def skip(self, name, why):
        if self.wanted(name) and not self.args.list:
            self.skipped.append(name)
            print(f"skip {name}: {why}", flush=True)

    # --- parts --------------------------------------------------------------------------------
    def build(self, name, folder, *options, env=None):
        """Configures if it must, and builds; a warning is an error in every build."""
        if self.args.list:
            return True
        cmd = f"""set -e
            [ -f {folder}/build.ninja ] || meson setup {folder} {' '.join(options)}
            ninja -C {folder}"""
        return self.run(name, ["bash", "-c", cmd], timeout=900, env=env) or (
            not self.wanted(name) and subprocess.run(["bash", "-c", cmd], cwd=ROOT, check=False,
                                                     stdout=subprocess.DEVNULL,
                                                     env={**os.environ, **(env or {})}).returncode == 0)

    def meson_tests(self, folder, prefix, suite, env=None):
        """The tests of one suite, by meson, as many at a time as there are CPUs; each counts."""
        listing = subprocess.run(["meson", "test", "-C", folder, "--list", "--suite", suite],
                                 check=False, cwd=ROOT, capture_output=True, text=True)
        names = [line.rsplit("/", 1)[-1].strip() for line in listing.stdout.splitlines()
                 if re.fullmatch(r"(.* / )?" + suite + r"[\w-]*", line.strip())]
        if listing.returncode != 0 or not names:
            if not self.args.list and self.wanted(prefix + suite):
                self.failed.append(prefix + suite)
                print(f"FAIL {prefix}{suite}: no tests in {folder}")
            return
        names = [name for name in names if self.wanted(prefix + name)]
        if self.args.list:
            print("\n".join(prefix + name for name in names))
        elif names:
            self.meson_results(folder, prefix, self.meson_log(folder, suite, names, env), names)

    @staticmethod
    def meson_log(folder, suite, names, env):
        """What meson writes of each test, a JSON object a line; none of an earlier run."""
        log = os.path.join(folder, "meson-logs", "testlog.json")
        if os.path.exists(log):
            os.unlink(log)
        # Each test has a time limit of its own there.
        subprocess.run(["meson", "test", "-C", folder, "--no-rebuild", "--quiet", "--num-processes",
                        str(os.cpu_count()), "--suite", suite, *names], check=False, cwd=ROOT,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                       env={**os.environ, **(env or {})})
        if not os.path.exists(log):
            return {}
        with open(log, encoding="utf-8", errors="replace") as f:
            rows = [json.loads(line) for line in f]
        return {row["name"].rsplit("/", 1)[-1].strip(): row for row in rows}

    def meson_results(self, folder, prefix, rows, names):
        for name in names:
            row = rows.get(name, {"result": f"not in the log of meson in {folder}", "duration": 0})
            self.result(prefix + name, row["result"] == "OK", row["duration"],
                        f"{row.get('stdout', '')}\n{row.get('stderr', '')}\n{row['result']}")

    def packets(self, folder, prefix):
        """The packet scripts, each folder of them a test, after the runner's own check."""
        here = os.path.join(ROOT, "tests", "packets")
        self.run(prefix + "runner", ["/usr/bin/python3", os.path.join(here, "check_runner.py"),
                                     "--build", folder])
        self.run(prefix + "so", ["/usr/bin/python3", os.path.join(here, "check_so.py"), "--build",
                                 folder])
        for path in sorted(glob.glob(os.path.join(here, "scripts", "*", ""))):
            self.run(prefix + os.path.basename(os.path.dirname(path)),
                     ["/usr/bin/python3", os.path.join(here, "pktscript"), "--quiet", "--build",
                      folder, path])
        # Where the port cuts segments, the wire looks the same.
        self.run(prefix + "all-tso", ["/usr/bin/python3", os.path.join(here, "pktscript"), "--quiet",
                                      "--set", "large_buffers=16", "--build", folder])

    def thread_tests(self):
        """The tests whose threads share memory, under ThreadSanitizer."""
        tests = ("cache_hot_share_threads", "cache_hot_threads")
        programs = [f"tests/unit/cache/test_{t}" for t in tests]
        cmd = f"""set -e
            [ -f {CLANG_TSAN}/build.ninja ] || CC=clang-14 meson setup {CLANG_TSAN} -Db_lto=false \\
                -Dbuildtype=debugoptimized -Dsanitize=thread -Db_lundef=false
            ninja -C {CLANG_TSAN} {' '.join(programs)}"""
        if self.run("build-tsan", ["bash", "-c", cmd], timeout=900) or self.args.list:
            for test, program in zip(tests, programs):
                self.run("tsan-" + test, [f"{CLANG_TSAN}/{program}"], timeout=120)

    def fuzz(self):
        for exe in sorted(glob.glob(f"{CLANG_FUZZ}/tests/fuzz/fuzz_*")):
            if os.path.isdir(exe) or not os.access(exe, os.X_OK):
                continue
            name = os.path.basename(exe)[len("fuzz_"):]
            corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
            new = os.path.join(CLANG_FUZZ, "corpus-" + name)
            os.makedirs(new, exist_ok=True)
            self.run(f"fuzz-{name}", [exe, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10",
                                      "-rss_limit_mb=4096", "-print_final_stats=0", "-verbosity=0",
                                      f"-artifact_prefix={CLANG_FUZZ}/", new]
                     + ([corpus] if os.path.isdir(corpus) else []), timeout=120)

    def python_tests(self, folder, prefix, timeout):
        for path in sorted(glob.glob(os.path.join(ROOT, "tests", folder, "test_*.py"))):
            name = prefix + os.path.basename(path)[len("test_"):-3]
            self.run(name, ["/usr/bin/python3", path], timeout=timeout,
                     env={"SLUICE_BUILD": RELEASE, "PYTHONPATH": os.path.join(ROOT, "tests", "e2e")})

    def instructions(self):
        """No request may cost more than its baseline says."""
        cmd = ["/usr/bin/python3", "perf/instructions", "--build", RELEASE]
        if self.args.list or not self.wanted("perf-instructions"):
            self.run("perf-instructions", cmd)
            return
        r = subprocess.run([*cmd, "--reason"], cwd=ROOT, check=False, text=True,
                           capture_output=True)
        if r.returncode == 0 and r.stdout:
            self.skip("perf-instructions", r.stdout.strip())
        else:
            self.run("perf-instructions", cmd, timeout=600)

    def perf_smoke(self):
        """Every program under perf/ answers --json with one object that has figures."""
        listing = subprocess.run(["meson", "introspect", "--targets", RELEASE], check=False, cwd=ROOT,
                                 capture_output=True, text=True)
        if listing.returncode != 0:
            return
        check = ("import json,sys,subprocess;"
                 "o=json.loads(subprocess.run(sys.argv[1:],check=True,capture_output=True).stdout);"
                 "assert o['name'] and o['figures'] and o['machine'] and o['command'],o")
        for t in json.loads(listing.stdout):
            if t["type"] == "executable" and re.match(r"bench_|cache_mix$", t["name"]):
                self.run("perf-" + t["name"], ["/usr/bin/python3", "-c", check, t["filename"][0],
                                               "--json", "--short"], timeout=180)
        self.instructions()
        self.run("perf-load_vs_wrk", ["/usr/bin/python3", "-c", check, "perf/load_vs_wrk", "--json",
                                      "--short", "--build", RELEASE], timeout=180)
        for name in ("side_by_side", "tcp_vs_linux", "front_memif", "cache_semantics",
                     "purge_latency"):
            if os.geteuid() == 0:
                self.run("perf-" + name, ["/usr/bin/python3", "-c", check, f"perf/{name}",
                                          "--json", "--short", "--build", RELEASE], timeout=400)
            else:
                self.skip("perf-" + name, "it needs root for network namespaces; run with sudo")


def all_tests(r):
    for path in sorted(glob.glob(os.path.join(ROOT, "tests", "style", "check_*.py"))):
        r.run("style-" + os.path.basename(path)[len("check_"):-3], ["/usr/bin/python3", path])
    r.build("build-gcc", RELEASE)
    r.meson_tests(RELEASE, "", "unit")
    r.meson_tests(RELEASE, "", "sim")
    r.packets(RELEASE, "packets-")
    if r.args.quick:
        r.skip("build-asan, build-tsan, build-fuzz", "--quick")
    else:
        if r.build("build-asan", GCC_ASAN, "-Db_lto=false", "-Dbuildtype=debugoptimized",
                   "-Dsanitize=address,undefined"):
            r.meson_tests(GCC_ASAN, "asan-", "unit")
            r.meson_tests(GCC_ASAN, "asan-", "sim", env={"SLUICE_SIM_SHORT": "1"})
            r.run("sim-same-everywhere", ["/usr/bin/python3", "tests/sim/check_sim.py", "digests",
                                          *(f"{b}/tests/sim/sim" for b in (RELEASE, GCC_ASAN))])
            r.packets(GCC_ASAN, "asan-packets-")
        r.thread_tests()
        if r.build("build-clang-fuzz", CLANG_FUZZ, "-Db_lto=false", "-Dbuildtype=debugoptimized",
                   "-Dsanitize=address,undefined", "-Dfuzz=true", "-Db_lundef=false",
                   env={"CC": "clang-14"}):
            r.fuzz()
    r.perf_smoke()
    if os.geteuid() != 0:
        r.skip("e2e, crash, quickstart", "they need root for network namespaces; run with sudo")
        return
    r.python_tests("e2e", "e2e-", 420)
    r.python_tests("crash", "crash-", 420)
    r.run("quickstart-once", ["scripts/quickstart", "--once"], timeout=600)
    r.run("quickstart-once-no-huge", ["scripts/quickstart", "--once", "--no-huge"], timeout=300)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--only", metavar="WORD", help="tests whose name holds WORD")
    p.add_argument("--list", action="store_true", help="print the names and run nothing")
    p.add_argument("--quick", action="store_true",
                   help="without the builds by clang and with sanitizers")
    r = Runner(p.parse_args())
    began = time.monotonic()
    all_tests(r)
    if r.args.list:
        return 0
    print(f"took {time.monotonic() - began:.0f} s")
    if r.failed:
        print("failed: " + ", ".join(r.failed))
    print(f"{r.passed} passed, {len(r.failed)} failed"
          + (f", {len(r.skipped)} skipped" if r.skipped else ""))
    return 1 if r.failed or r.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
