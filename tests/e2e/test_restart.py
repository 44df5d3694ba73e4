"""Control is told to stop and started again, while requests come: nobody is turned away. An interface
is taken away under the dataplane."""

import signal
import threading
import time
import unittest

from lab import DOOR, DOOR6, Lab, wait_until


class Restart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().start()
        cls.lab.put("/nostore/x", "secret")
        cls.lab.put("/big/slow", b"s" * (64 << 20))

    @classmethod
    def tearDownClass(cls):
        cls.lab.stop()

    def test_requests_wait_for_the_next_control(self):
        """Also behind a long download, which may not keep the old control for the whole drain."""
        lab = self.lab
        answers = []
        slow = threading.Thread(target=self.download)
        slow.start()
        time.sleep(0.5)  # the download is under way; nothing tells from outside
        old = lab.procs.pop("control")
        old.send_signal(signal.SIGTERM)
        asks = [threading.Thread(target=lambda: answers.append(lab.curl("/nostore/x")[0]))
                for _ in range(5)]
        began = time.monotonic()
        for t in asks:
            t.start()
        old.wait(10)
        self.assertLess(time.monotonic() - began, 6, "the old control lingers")
        lab.start_control()
        for t in asks:
            t.join()
        self.assertEqual(answers, [200] * 5)
        slow.join()

    def download(self):
        try:
            self.lab.curl("/big/slow", "--limit-rate", "1M", timeout=12)
        except AssertionError:
            pass  # cut by the restart, as it may be


class Interface(unittest.TestCase):
    def test_taken_away(self):
        """The driver does not notice; the log does, and the processes stay for whoever asks them."""
        lab = Lab().start(nginx=False)
        try:
            self.assertNotIn("address of this host", lab.log("dataplane"))
            lab.sh("ip", "-n", lab.srv, "link", "del", "front0")
            wait_until(lambda: "interface front0 was taken away" in lab.log("dataplane"), 5, "said")
            self.assertEqual(lab.log("dataplane").count("taken away"), 1)
            lab.alive()
        finally:
            lab.stop()


    def test_addresses_of_the_kernel(self):
        lab = Lab()
        lab.start_net()
        try:
            lab.write_config()
            for address in (DOOR + "/32", DOOR6 + "/128"):
                lab.sh("ip", "-n", lab.srv, "addr", "add", address, "dev", "lo")
            lab.start_dataplane()
            for address in (DOOR, DOOR6):
                self.assertIn(f"listener {address} is an address of this host (lo)",
                              lab.log("dataplane"))
        finally:
            lab.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
