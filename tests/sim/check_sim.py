#!/usr/bin/env python3
"""Tests of the simulator itself.

  check_sim.py breaks SIM        each bug that --break plants is found, by the check that is meant to
  check_sim.py replay SIM        one seed makes one run, byte for byte; another seed makes another
  check_sim.py files SIM         scenario files: errors with file and line, and what --print writes
  check_sim.py shrink SIM        a failing run is made smaller, and the kept file fails again
  check_sim.py digests SIM SIM   two builds make the same runs
"""

import os
import re
import subprocess
import sys
import tempfile

# The bug, the scenario that shows it, and words of the check that finds it.
BREAKS = [
    ("byte", "loss", "wrong bytes sent"),
    ("arrived", "quirks", "wrong bytes from the server"),
    ("skip", "clean", "wrong bytes sent"),
    ("twice", "clean", "wrong bytes sent|did not write"),
    ("order", "clean", "wrong bytes sent"),
    ("received", "loss", "server: wrong bytes"),
    ("window", "clean", "beyond the client's window"),
    ("mss", "quirks", "above the client's MSS"),
    ("una", "clean", "snd_una is beyond snd_nxt"),
    ("flight", "clean", "more is in flight than was queued"),
    ("ack_back", "clean", "an ACK that goes back"),
    ("ack_ahead", "clean", "an ACK of what did not come"),
    ("offer_back", "clean", "a window taken back"),
    ("sack", "loss", "a SACK block of what did not come"),
    ("stamp", "clean", "a timestamp that goes back"),
    ("csum", "clean", "wrong checksum"),
    ("scoreboard", "clean", "scoreboard with a wrong sum"),
    ("leak_packet", "clean", "packet buffers are gone"),
    ("leak_conn", "clean", r"(\d+) \((?!\1\))\d+\) connections"),
    ("leak_rx", "clean", r"(\d+) \((?!\1\))\d+\) receive buffers"),
    ("leak_chunk", "clean", r"(\d+) \((?!\1\))\d+\) chunks"),
    ("leak_ref", "clean", r"(\d+) \((?!\1\))\d+\) descriptors"),
    ("leak_lent", "clean", "leaked: lent bytes"),
    ("leak_timer", "clean", "a deadline without a timer"),
    ("no_timer", "clean", "something to send and no deadline|a deadline without a timer|no timer"),
    ("memory", "bulk", "more queued than its owner may"),
    ("counter", "clean", "the counters know of"),
    ("stall", "recovery", "after the last fault"),
    ("stuck", "loss", "no progress for 300 s"),
]
REPLAYED = ["loss", "liars", "starved", "scarce", "web_loss", "web_faults"]
SMALL = {"SLUICE_SIM_SHORT": "1"}


def run(*cmd, env=None):
    r = subprocess.run(cmd, check=False, text=True, errors="replace", stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, timeout=280)
    return r.returncode, r.stdout


def want(ok, what, out=""):
    if not ok:
        print(f"FAILED: {what}\n{out}")
        sys.exit(1)


def digest(sim, *args):
    status, out = run(sim, *args, env=SMALL)
    found = re.search(r"digest ([0-9a-f]{16})", out)
    want(status == 0 and found, f"{sim} {' '.join(args)}: exit {status}", out)
    return found.group(1)


def breaks(sim):
    _, out = run(sim, "--break", "list")
    known = set(out.split())
    want(known == {b for b, _, _ in BREAKS} | {"chance"}, "a bug without a test, or the reverse",
         str(known ^ {b for b, _, _ in BREAKS}))
    for name, scenario, words in BREAKS:
        status, out = run(sim, "--scenario", scenario, "--break", name, "--conns", "1500")
        want(status == 1 and re.search(words, out), f"--break {name} is not found as it should", out)
    a, b = (digest(sim, "--scenario", "clean", "--break", "chance") for _ in range(2))
    want(a != b, "a run that does not follow from its seed looks as if it did")
    print(f"{len(BREAKS) + 1} bugs found")


def replay(sim):
    for scenario in REPLAYED:
        a, b = (digest(sim, "--scenario", scenario, "--seed", "7") for _ in range(2))
        want(a == b, f"{scenario}: two runs of one seed differ")
        want(digest(sim, "--scenario", scenario, "--seed", "8") != a,
             f"{scenario}: two seeds make the same run")
    print("same seed, same frames")


def files(sim):
    bad = {
        "loss: 1%\n": "x.sim:1: no such key",
        "\n# comment\nlink.loss 1%\n": 'x.sim:3: not as in "key: value"',
        "conns: 10\nlink.delay: 5\n": "x.sim:2: no unit of time",
        "link.loss: 120%\n": "x.sim:1: more than 100%",
        "link.loss: 1\n": "x.sim:1: no %",
        "link.los: 1%\n": "x.sim:1: no such key of a link",
        "lies: rst, nonsense\n": "x.sim:1: no such lie",
        "fault: flood at 1s for 1s\n": "x.sim:1: no such fault",
        "fault: partition from 1s\n": "x.sim:1: not as in",
        "level: ip\n": "x.sim:1: neither tcp nor web",
        "server.offload: maybe\n": "x.sim:1: neither true nor false",
        "link.mtu: 9000\n": "x.sim: an mtu is from 68 to 1500",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.sim")
        for text, error in bad.items():
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            status, out = run(sim, "--scenario", path)
            want(status == 2 and error in out, f"{text!r} should say {error!r}", out)
        status, out = run(sim, "--scenario", os.path.join(folder, "none.sim"))
        want(status == 2 and "No such file" in out, "a file that is not there", out)
        _, names = run(sim, "--list")
        for name in names.split():
            _, printed = run(sim, "--scenario", name, "--print")
            text = printed.split("\n", 1)[1]
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            _, again = run(sim, "--scenario", path, "--print")
            want(again.split("\n", 1)[1] == text, f"{name} printed and read is another", again)
        want(len(names.split()) > 20, "scenarios", names)
    status, out = run(sim, "--help")
    want(status == 0 and "--scenario" in out, "--help", out)
    print(f"{len(bad)} errors told, {len(names.split())} scenarios printed and read")


def shrink(sim):
    with tempfile.TemporaryDirectory() as folder:
        status, out = run(sim, "--scenario", "loss", "--conns", "300", "--seed", "3", "--break",
                          "received", "--shrink", "--keep", folder)
        kept = os.path.join(folder, "loss-3.sim")
        want(status == 1 and os.path.exists(kept), "no scenario was kept", out)
        text = open(kept, encoding="utf-8").read()
        conns = int(re.search(r"^conns: (\d+)", text, re.M).group(1))
        want(conns <= 30 and "link.loss" not in text and ".loss" not in text,
             "it did not become smaller", text)
        status, again = run(sim, "--scenario", kept, "--break", "received")
        want(status == 1 and "wrong bytes" in again, "the kept scenario does not fail", again)
        status, again = run(sim, "--scenario", kept)
        want(status == 0, "the kept scenario fails without the bug", again)
    print(f"kept with {conns} connections")


def digests(*sims):
    for scenario in REPLAYED:
        found = {sim: digest(sim, "--scenario", scenario, "--seed", "9") for sim in sims}
        want(len(set(found.values())) == 1, f"{scenario}: builds differ", str(found))
    print("same frames in every build")


if __name__ == "__main__":
    parts = {f.__name__: f for f in (breaks, replay, files, shrink, digests)}
    if len(sys.argv) < 3 or sys.argv[1] not in parts:
        sys.exit(__doc__)
    parts[sys.argv[1]](*sys.argv[2:])
