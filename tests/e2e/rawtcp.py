# SPDX-License-Identifier: BSD-2-Clause
"""A TCP client made of single frames, on an address that the client's kernel does not have: a test says
what is acknowledged, what comes in fragments, and which ICMP error is told."""

import socket
import struct
import time

from lab import DOOR, DOOR6, wait_until

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def csum(data):
    data += b"\0" * (len(data) % 2)
    t = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while t >> 16:
        t = (t & 0xffff) + (t >> 16)
    return ~t & 0xffff


class Link:
    """Frames from the client's interface to the front door."""

    def __init__(self, lab):
        self.sock = lab.socket_in(lab.cli, socket.AF_PACKET, socket.SOCK_RAW)
        self.sock.bind(("eth0", 0))
        text = lab.sh("ip", "-n", lab.srv, "link", "show", "front0").stdout
        door = text.split("link/ether ")[1].split()[0]
        self.macs = bytes.fromhex(door.replace(":", "")) + self.sock.getsockname()[4]

    def close(self):
        self.sock.close()

    def ip(self, src, dst, proto, payload, cut=0):
        """One packet; with cut two fragments, the first of so many bytes, which 8 divides."""
        parts = [(0, payload)] if not cut else [(0, payload[:cut]), (cut, payload[cut:])]
        six = len(src) == 16
        ident = time.monotonic_ns() & 0xffff
        for at, part in parts:
            more = cut and at == 0
            if six:
                if cut:
                    part = struct.pack("!BBHI", proto, 0, at | more, ident) + part
                head = struct.pack("!IHBB", 6 << 28, len(part), 44 if cut else proto, 64) + src + dst
            else:
                head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), ident,
                                   at // 8 | (0x2000 if more else 0), 64, proto, 0, src, dst)
                head = head[:10] + struct.pack("!H", csum(head)) + head[12:]
            self.sock.send(self.macs + (b"\x86\xdd" if six else b"\x08\0") + head + part)


class RawTcp:
    """One connection. Nothing is sent but by a call; what comes is read by take()."""

    def __init__(self, lab, port, v6=False):
        self.link, self.port = Link(lab), port
        fam, door, me = ((socket.AF_INET6, DOOR6, "fd78::77") if v6
                         else (socket.AF_INET, DOOR, "10.78.0.77"))
        self.v6, self.address = v6, me
        self.door, self.me = socket.inet_pton(fam, door), socket.inet_pton(fam, me)
        self.seq, self.ack = port * 1000, 0
        self.rx = lab.socket_in(lab.cli, socket.AF_PACKET, socket.SOCK_RAW)
        self.rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.rx.bind(("eth0", 0x86dd if v6 else 0x0800))
        self.rx.settimeout(0.05)

    def close(self):
        self.send(RST | ACK)
        self.link.close()
        self.rx.close()

    def segment(self, flags, data=b""):
        mss = struct.pack("!BBH", 2, 4, 1440) if flags & SYN else b""
        h = struct.pack("!HHIIBBHHH", self.port, 80, self.seq & 0xffffffff, self.ack,
                        5 + len(mss) // 4 << 4, flags, 65535, 0, 0) + mss + data
        pseudo = self.me + self.door + struct.pack("!IBBH" if self.v6 else "!HBBH",
                                                   *((len(h), 0, 0, 6) if self.v6
                                                     else (len(h), 0, 6, 0)))
        return h[:16] + struct.pack("!H", csum(pseudo + h)) + h[18:]

    def send(self, flags, data=b"", cut=0):
        self.link.ip(self.me, self.door, 6, self.segment(flags, data), cut)
        self.seq += len(data) + (1 if flags & (SYN | FIN) else 0)

    def take(self):
        """(flags, seq, ack, text, the IP packet) of the next segment; None when there is none."""
        try:
            while True:
                packet = self.rx.recv(1 << 16)[14:]
                at = 40 if self.v6 else 20
                if packet[6 if self.v6 else 9] != 6 or packet[at - len(self.me):at] != self.me:
                    continue
                sport, dport, seq, ack, off, flags = struct.unpack("!HHIIBB", packet[at:at + 14])
                if (sport, dport) == (80, self.port):
                    end = 40 + struct.unpack("!H", packet[4:6])[0] if self.v6 else (
                        struct.unpack("!H", packet[2:4])[0])
                    return flags, seq, ack, packet[at + (off >> 4) * 4:end], packet
        except TimeoutError:
            return None

    def open(self):
        self.send(SYN)
        got = wait_until(self.take, 5, "SYN-ACK")
        assert got[0] & (SYN | ACK) == SYN | ACK, got
        self.ack = got[1] + 1 & 0xffffffff
        self.send(ACK)
        return self

    def too_big(self, packet, mtu):
        """A router says that the packet is too large for its next link."""
        if self.v6:
            body = struct.pack("!BBHI", 2, 0, 0, mtu) + packet[:1200]
            pseudo = self.me + self.door + struct.pack("!II", len(body), 58)
            self.link.ip(self.me, self.door, 58,
                         body[:2] + struct.pack("!H", csum(pseudo + body)) + body[4:])
        else:
            body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + packet[:28]
            self.link.ip(self.me, self.door, 1,
                         body[:2] + struct.pack("!H", csum(body)) + body[4:])


def syn_frames(link, count, seed):
    """Handshakes of clients that will never answer."""
    door = socket.inet_aton(DOOR)
    for n in range(count):
        src = struct.pack("!BBBB", 10, 78, 1 + seed, 1 + n % 250)
        h = struct.pack("!HHIIBBHHH", 1024 + n // 250 * 7 + seed, 80, n * 65537 & 0xffffffff, 0, 0x50,
                        SYN, 64000, 0, 0)
        c = csum(src + door + struct.pack("!HH", 6, len(h)) + h)
        link.ip(src, door, 6, h[:16] + struct.pack("!H", c) + h[18:])
