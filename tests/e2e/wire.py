# SPDX-License-Identifier: BSD-2-Clause
"""A lab with a bad wire between the client and the front door.

The wire (wire.c, compiled when first wanted) lives in a namespace between the two. On the server's end
of it are Sluice, at DOOR, and the kernel's own TCP, at KERNEL, so that both can be asked over the same
wire. Segments have real checksums and real sizes on it: the offloads that would hide corruption and
send 64 KiB frames are off.
"""

import concurrent.futures
import ctypes
import fcntl
import os
import socket
import struct
import subprocess

import lab as e2e

HERE = os.path.dirname(os.path.abspath(__file__))
SIOCETHTOOL = 0x8946
OFFLOADS = (0x17, 0x1f, 0x21, 0x24, 0x2c)  # transmit checksums, TSO, UFO, GSO, GRO


def compile_wire(folder):
    out = os.path.join(folder, "wire")
    subprocess.run([os.environ.get("CC", "cc").split()[0], "-O2", "-std=gnu17", "-D_GNU_SOURCE",
                    "-Wall", "-Wextra", "-o", out, os.path.join(HERE, "wire.c")], check=True)
    return out


def offloads_off(sock, dev):
    """Through any socket of the device's namespace."""
    for cmd in OFFLOADS:
        value = ctypes.create_string_buffer(struct.pack("=II", cmd, 0), 8)
        try:
            fcntl.ioctl(sock, SIOCETHTOOL,
                        struct.pack("=16sQ16x", dev.encode(), ctypes.addressof(value)))
        except OSError:
            if cmd in (0x17, 0x1f, 0x24):
                raise


class WireLab(e2e.Lab):
    def __init__(self, *args, seed=1, **kw):
        super().__init__(*args, **kw)
        self.mid = self.tag + "w"
        self.seed = seed
        self.wire = None

    def _net(self):
        for ns in (self.srv, self.cli, self.mid):
            self.sh("ip", "netns", "add", ns)
            self.sh("ip", "-n", ns, "link", "set", "lo", "up")
        self.sh("ip", "netns", "exec", self.mid, "sysctl", "-qw",
                "net.ipv6.conf.default.disable_ipv6=1")
        for ns, dev, addr, addr6, far in (
                (self.srv, "front0", e2e.KERNEL, "fd78::1", "w1"),
                (self.cli, "eth0", e2e.CLIENT, "fd78::2", "w0")):
            self.sh("ip", "-n", ns, "link", "add", dev, "numrxqueues", "1", "numtxqueues", "1",
                    "type", "veth", "peer", "name", far, "netns", self.mid, "numrxqueues", "1",
                    "numtxqueues", "1")
            with self.socket_in(ns, kind=socket.SOCK_DGRAM) as s:
                offloads_off(s, dev)
            self.sh("ip", "-n", ns, "addr", "add", addr + "/24", "dev", dev)
            self.sh("ip", "-n", ns, "addr", "add", addr6 + "/64", "dev", dev, "nodad")
            self.sh("ip", "-n", ns, "link", "set", dev, "up")
            self.sh("ip", "-n", self.mid, "link", "set", far, "up")
        self.wire = subprocess.Popen(
            ["ip", "netns", "exec", self.mid, compile_wire(self.run_dir), "w0", "w1",
             str(self.seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.impair()

    def impair(self, **how):
        """Sets the wire: loss, dup, reorder, corrupt in percent, delay_ms one way, rate_mbit. With seed
        its chances begin anew, the same for the same seed. Returns what it did since the last time."""
        ppm = [round(how.get(k, 0) * 10000) for k in ("loss", "dup", "reorder", "corrupt")]
        rate_kbit = round(how.get("rate_mbit", 0) * 1000)
        # A queue of 100 ms, as cheap switches have
        queue = how.get("queue_bytes", max(rate_kbit * 100 // 8, 65536))
        self.wire.stdin.write(" ".join(str(v) for v in (
            *ppm, round(how.get("delay_ms", 0) * 1000), rate_kbit, queue,
            *([how["seed"]] if "seed" in how else []))) + "\n")
        self.wire.stdin.flush()
        line = self.wire.stdout.readline()
        if not line:
            raise AssertionError("the wire ended")
        return dict(zip(("carried", "lost", "repeated", "reordered", "corrupted"),
                        map(int, line.split())))

    def stop(self):
        if self.wire:
            self.wire.stdin.close()
            self.wire.stdout.close()
            self.wire.wait(5)
            self.wire = None
        super().stop()
        self.sh("ip", "netns", "del", self.mid, check=False)

    def raw_socket_in(self, ns):
        """Sends TCP segments as they are given to it."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(self._raw_socket, ns).result()

    @staticmethod
    def _raw_socket(ns):
        with open(f"/run/netns/{ns}", "rb") as f:
            e2e._setns(f.fileno())  # this thread ends with the call
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)

    def sysctl(self, ns, **values):
        """sysctl(ns, tcp_sack=0): of net.ipv4, in one namespace."""
        for name, value in values.items():
            self.sh("ip", "netns", "exec", ns, "sysctl", "-qw", f"net.ipv4.{name}={value}")
