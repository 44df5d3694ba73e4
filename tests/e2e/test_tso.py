"""Packets of several segments that the port cuts (tcp.segmentation_offload), on a real driver: DPDK's
tap port cuts them in software, and the kernel at its other end is the client."""

import hashlib
import os
import socket
import subprocess
import threading
import unittest

from lab import CLIENT, CONFIG, DATAPLANE, Lab

MIB = 1 << 20
MTU = 1486  # the most that a tap port may have
MSS = MTU - 20 - 32  # with timestamps
TAP = CONFIG.replace("    - type: af_xdp\n      interface: front0\n",
                     "    - type: tap\n      interface: front0\n      mtu: {mtu}\n")
SO_RCVBUFFORCE = 33  # of Linux; Python has no name for it
MOVED = "sluice_tcp_segmentation_offload_total"


class TapLab(Lab):
    """The tap interface appears with the dataplane, and then moves to the client."""

    def __init__(self, offload, mtu=MTU, large=1024):
        text = TAP.replace("{mtu}", str(mtu)).replace(
            "memory:\n", f"tcp:\n    segmentation_offload: \"{offload}\"\n"
            f"memory:\n    large_buffers: {large}\n")
        super().__init__(config=text)

    def _net(self):
        for ns in (self.srv, self.cli):
            self.sh("ip", "netns", "add", ns)
            self.sh("ip", "-n", ns, "link", "set", "lo", "up")

    def start_dataplane(self):
        super().start_dataplane()
        self.sh("ip", "-n", self.srv, "link", "set", "front0", "netns", self.cli)
        self.sh("ip", "-n", self.cli, "addr", "add", CLIENT + "/24", "dev", "front0")
        self.sh("ip", "-n", self.cli, "addr", "add", "fd78::2/64", "dev", "front0", "nodad")
        self.sh("ip", "-n", self.cli, "link", "set", "front0", "up")


class Listener:
    """Text of the segments that come out of the tap interface, in bytes."""

    def __init__(self, lab):
        self.sizes = []
        self.sock = lab.socket_in(lab.cli, socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 * MIB)
        self.sock.settimeout(0.2)
        self.sock.bind(("front0", 0x0800))
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        door = socket.inet_aton("10.78.0.10")
        while True:
            try:
                frame = self.sock.recv(64)
            except socket.timeout:
                if self.ended.is_set():
                    return
                continue
            if frame[26:30] == door:
                ip_bytes = int.from_bytes(frame[16:18], "big")
                self.sizes.append(ip_bytes - 20 - (frame[46] >> 4) * 4)

    def stop(self):
        """What is in the socket's buffer still counts."""
        self.ended.set()
        self.thread.join()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        self.sock.close()


class Tso(unittest.TestCase):
    def fetch(self, lab, door="10.78.0.10"):
        """16 MiB arrive as they are; returns the packets and segments that the port cut."""
        data = os.urandom(MIB) * 16
        lab.put("/big/x", data)
        before = [lab.metric(MOVED, what=w) for w in ("packets", "segments")]
        status, _, body = lab.curl("/big/x", door=door)
        self.assertEqual(status, 200)
        self.assertEqual(hashlib.sha256(body).digest(), hashlib.sha256(data).digest())
        lab.alive()
        return [lab.metric(MOVED, what=w) - b
                for w, b in zip(("packets", "segments"), before)]

    def test_tap_cuts(self):
        with TapLab("on") as lab, Listener(lab) as listener:
            packets, segments = self.fetch(lab)
            listener.stop()
            # Nearly all of it, and for the most part in tens; but on a busy machine the origin's
            # bytes come in pieces that are a single segment.
            self.assertGreater(segments, 16 * MIB / MSS * 0.5)
            self.assertGreater(segments / packets, 3)
            # A tail probe or two when the machine is busy; nothing that was spoilt on the way.
            self.assertLess(lab.metric("sluice_tcp_retransmits_total", kind="all"),
                            segments * 0.01)
            self.assertEqual(lab.metric("sluice_shed_total", reason="tx_full"), 0)
            self.assertGreater(len(listener.sizes), segments * 0.5)
            self.assertEqual(max(listener.sizes), MSS)
            # rte_gso knows IPv4 alone.
            self.assertEqual(self.fetch(lab, door="[fd78::10]"), [0, 0])

    def test_few_buffers(self):
        """Packets that wait in the transmit burst hold them; the rest leaves one by one."""
        with TapLab("on", large=2) as lab:
            packets, _ = self.fetch(lab)
            self.assertGreater(packets, 0)
            self.assertGreater(lab.metric("sluice_shed_total", reason="no_large_packet"), 0)

    def test_auto_and_off(self):
        """Software ports are not asked by themselves."""
        for offload in ("auto", "off"):
            with TapLab(offload) as lab:
                self.assertEqual(self.fetch(lab), [0, 0])

    def test_mtu_of_tap(self):
        lab = TapLab("on", mtu=1500)
        try:
            lab.start_net()
            lab.write_config()
            r = subprocess.run(lab.in_srv(DATAPLANE, "--config", lab.config_path),
                               capture_output=True, text=True, timeout=30, check=False)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn("MTU of 1486 at most", r.stderr)
        finally:
            lab.stop()


if __name__ == "__main__":
    unittest.main()
