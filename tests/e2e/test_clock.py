# SPDX-License-Identifier: BSD-2-Clause
"""The wall clock is set back and forward while answers are stored: none is used for longer than it
may be. The clock of both processes is shifted by tests/e2e/wall_shift.c."""

import struct
import unittest

from lab import CONFIG, Lab, wait_until
from origin import Origin, answer

HOUR = 3600


class ClockLab(Lab):
    def in_srv(self, *cmd):
        if not cmd[0].startswith(self.build):
            return super().in_srv(*cmd)
        return super().in_srv("env", f"LD_PRELOAD={self.build}/tests/wall_shift.so",
                              f"WALL_SHIFT_FILE={self.run_dir}/shift", *cmd)

    def set_clock(self, seconds):
        with open(f"{self.run_dir}/shift", "r+b" if self.procs else "wb") as f:
            f.write(struct.pack("=q", seconds * 10**9))


def setUpModule():
    Clock.lab = ClockLab(config=CONFIG.replace("upstream: web", "upstream: odd"))
    Clock.lab.set_clock(0)
    Clock.lab.start(nginx=False)
    Clock.origin = Origin(Clock.lab)


def tearDownModule():
    Clock.origin.stop()
    Clock.lab.stop()


class Clock(unittest.TestCase):
    def steps(self, direction):
        return self.lab.metric(f"sluice_clock_steps_{direction}_total")

    def set_clock(self, seconds, direction):
        before = self.steps(direction)
        self.lab.set_clock(seconds)
        wait_until(lambda: self.steps(direction) > before, 10, "the step was seen")

    def test_steps(self):
        p = self.origin.on("/kept", answer(b"x", 200, f"Cache-Control: max-age={10 * HOUR}"))

        def asked():
            return self.lab.get(p)["cache-status"]
        asked()
        self.assertIn("; hit", asked())
        # An hour later, it is an hour older.
        self.set_clock(HOUR, "forward")
        wait_until(lambda: self.lab.get(p)["age"] >= str(HOUR), 5, "the core has the new time")
        self.assertIn("; hit", asked())
        # What is stored now seems to be from the future when the clock is set right. It must not
        # stay for an hour more than it may, so it is asked for anew, until the cores have the time.
        self.lab.ctl("cache", "purge", "--all")
        asked()
        self.assertIn("; hit", asked())
        self.set_clock(0, "back")
        wait_until(lambda: "fwd=stale" in asked(), 5, "asked for anew")
        wait_until(lambda: "; hit" in asked() and self.origin.count(p) >= 3, 5, "stored anew")
        self.assertIn("set back by 3600.0 s", self.lab.log("control"))
        self.assertEqual((self.steps("back"), self.steps("forward")), (1, 1))
        self.lab.alive()


if __name__ == "__main__":
    unittest.main()
