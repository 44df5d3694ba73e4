# SPDX-License-Identifier: BSD-2-Clause
"""Two cores of one dataplane on other ports than that of test_cores.py, and what is refused."""

import subprocess
import unittest

from lab import CLIENT, CONFIG, DATAPLANE, DOOR, Lab, wait_until
from origin import Origin
from swarm import Swarm, cores_of
from test_cores import AF_XDP, CPUS, Version
from test_tso import TapLab


def setUpModule():
    if len(CPUS) < 2:
        raise unittest.SkipTest("two cores need two CPUs")


class TapCores(TapLab):
    def __init__(self, config):
        Lab.__init__(self, config=config)


class TwoLinks(Lab):
    """A second veth pair, on which there is the address FAR."""

    FAR = "10.79.0.10"

    def _net(self):
        super()._net()
        one = ("numrxqueues", "1", "numtxqueues", "1")
        self.sh("ip", "-n", self.srv, "link", "add", "front1", *one, "type", "veth", "peer", "name",
                "eth1", "netns", self.cli, *one)
        for ns, dev, addr in ((self.srv, "front1", "10.79.0.1"), (self.cli, "eth1", "10.79.0.2")):
            self.sh("ip", "-n", ns, "addr", "add", addr + "/24", "dev", dev)
            self.sh("ip", "-n", ns, "link", "set", dev, "up")


class Ports(unittest.TestCase):
    def run_on(self, lab, doors):
        """Connections to each door; returns on how many cores they are."""
        lab.start(nginx=False)
        try:
            origin = Origin(lab)
            self.addCleanup(origin.stop)
            v = Version()
            origin.on("/a", v)
            lab.get("/a")
            cores = set()
            for door, address in doors:
                with Swarm(lab, 32, "/a", door=door) as swarm:
                    ports = swarm.ports()
                    wait_until(lambda s=swarm: len(s.log) > 500 or s.fault, 10, "answers")
                    cores |= set(cores_of(lab, ports, address).values())
                self.assertEqual(swarm.ends, [])
                self.assertEqual({a.response.body for a in swarm.log}, {b"v1"})
            lab.alive()
            self.assertEqual(v.asked, 1)
            self.assertEqual(lab.metric("sluice_tcp_resets_total", dir="out"), 0)
        finally:
            lab.stop()
        return cores

    def text(self, old, new):
        text = CONFIG.replace("upstream: web", "upstream: odd").replace("hot_table_bytes: 33554432",
                                                                        "hot_table_bytes: 8388608")
        self.assertIn(old, text)
        return text.replace(old, new)

    def test_tap(self):
        lab = TapCores(self.text(
            AF_XDP, f"    - type: tap\n      interface: front0\n      cores: {CPUS}"))
        self.assertEqual(self.run_on(lab, [(DOOR, CLIENT)]), {0, 1})

    def test_two_ports(self):
        """Of AF_XDP with one core each; what one fetched is a hit on the other."""
        text = self.text(AF_XDP, "".join(
            f"    - type: af_xdp\n      interface: front{n}\n      cores: [{CPUS[n]}]\n"
            for n in (0, 1)).rstrip("\n")).replace(
            "listeners:\n", f"listeners:\n    - address: {TwoLinks.FAR}\n      port: 80\n")
        lab = TwoLinks(config=text)
        self.assertEqual(self.run_on(lab, [(DOOR, CLIENT), (TwoLinks.FAR, "10.79.0.2")]), {0, 1})

    def test_refused(self):
        """More cores than the port has queues, or one CPU for two: said before anything runs."""
        rows = ((f"    - type: af_xdp\n      interface: front0\n      cores: {CPUS}",
                 "no combined channels, so that AF_XDP can use one queue of it, and the port has 2 cores"),
                ("    - type: af_packet\n      interface: front0\n      cores: [0, 0]",
                 "ports[0].cores: CPU 0 polls queue 0 of ports[0] already; each queue needs its own"),
                ("    - type: af_packet\n      interface: front0\n      cores: [0, 1000]",
                 "CPU 1000 does not exist or is not available to this process"))
        for port, words in rows:
            lab = Lab(config=self.text(AF_XDP, port))
            try:
                lab.start_net()
                lab.write_config()
                r = subprocess.run(lab.in_srv(DATAPLANE, "--config", lab.config_path),
                                   capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual(r.returncode, 1)
                self.assertIn(words, r.stderr)
            finally:
                lab.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
