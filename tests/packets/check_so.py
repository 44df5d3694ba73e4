#!/usr/bin/env python3
"""Drives libsluice_tcp.so by packetdrill_interface_init as packetdrill --so_filename does: a table of
functions by their place alone, packets by netdev_send and netdev_receive, a second thread for a call
that blocks, and a main thread that waits for a time by polling gettimeofday. Needs no packetdrill."""

import argparse
import ctypes
import os
import socket
import struct
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from runner import stack as stack_lib  # noqa: E402
from runner import wire  # noqa: E402

# The order of struct packetdrill_interface.
PLACES = """userdata free socket bind listen accept connect read readv recv recvfrom recvmsg write writev
send sendto sendmsg fcntl ioctl close shutdown getsockopt setsockopt poll netdev_send netdev_receive
usleep gettimeofday epoll_create epoll_ctl epoll_wait pipe splice""".split()
LOCAL, REMOTE = "192.168.44.7", "192.0.2.1"


class Table:
    def __init__(self, path, flags):
        # packetdrill adds RTLD_DEEPBIND, which a sanitizer's runtime refuses.
        deep = 0 if stack_lib.preload_for(path) else os.RTLD_DEEPBIND
        lib = ctypes.CDLL(path, use_errno=True,
                          mode=os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_NODELETE | deep)
        self.slots = (ctypes.c_void_p * (len(PLACES) + 1))()
        self.slots[len(PLACES)] = 0x5a5a
        lib.packetdrill_interface_init(flags, self.slots)
        assert self.slots[len(PLACES)] == 0x5a5a, "the table is longer than the ABI"
        assert all(self.slots[i] for i in range(len(PLACES))), "a function is missing"

    def __getattr__(self, name):
        kind = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, *[ctypes.c_void_p] * 0,
                                use_errno=True)

        def call(*args):
            f = ctypes.cast(self.slots[PLACES.index(name)], kind)
            r = f(self.slots[0], *args)
            return ctypes.c_int(r).value
        return call

    def now_us(self):
        tv = (ctypes.c_int64 * 2)()
        assert self.gettimeofday(tv, None) == 0
        return tv[0] * 1000000 + tv[1]

    def wait_until(self, us):
        """As packetdrill: sleeps till shortly before, then polls."""
        if us - self.now_us() > 20:
            self.usleep(us - self.now_us() - 20)
        polls = 0
        while self.now_us() < us:
            polls += 1
            assert polls < 1000, "the clock stands still"

    def receive(self):
        buf, count, at = ctypes.create_string_buffer(4096), ctypes.c_size_t(4096), ctypes.c_int64()
        assert self.netdev_receive(buf, ctypes.byref(count), ctypes.byref(at)) == 0
        return buf.raw[:count.value], at.value

    def packet(self, **h):
        src, dst = wire.address(REMOTE), wire.address(LOCAL)
        head = {"sport": 40000, "dport": 8080, "ack": 0, "win": 65535, "urg": 0, "options": [],
                "payload": b"", **h}
        p = wire.ip_packet(src, dst, wire.TCP, wire.tcp_bytes(src, dst, head), {})
        assert self.netdev_send(p, ctypes.c_size_t(len(p))) == 0


def tcp_of(packet):
    return wire.read_frame(b"\0" * 12 + b"\x08\0" + packet)


def exchange(t):
    """A server's handshake with accept() in another thread, data both ways, a retransmission."""
    addr = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(8080), wire.address(LOCAL))
    fd = t.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    assert fd >= 3 and t.bind(fd, addr, len(addr)) == 0 and t.listen(fd, 1) == 0
    got = []
    peer, size = ctypes.create_string_buffer(16), ctypes.c_uint(16)
    thread = threading.Thread(target=lambda: got.append(t.accept(fd, peer, ctypes.byref(size))))
    thread.start()
    start = t.now_us()
    t.wait_until(start + 100000)
    assert not got, "accept() returned without a connection"
    t.packet(seq=7000, flags=2, options=[("mss", (1460,))])
    p, at = t.receive()
    syn = tcp_of(p)
    assert syn["flags"] == 18 and syn["ack"] == 7001, syn
    assert 0 <= at - start - 100000 < 100, at - start
    t.packet(seq=7001, ack=syn["seq"] + 1, flags=16)
    thread.join(10)
    assert got and got[0] >= 3, "accept() did not return in the other thread"
    assert peer.raw[4:8] == wire.address(REMOTE) and peer.raw[2:4] == struct.pack("!H", 40000)
    assert t.write(got[0], b"hello", ctypes.c_size_t(5)) == 5
    first, at = t.receive()
    again, later = t.receive()
    assert tcp_of(first)["payload"] == tcp_of(again)["payload"] == b"hello"
    assert 190000 <= later - at <= 210000, later - at
    t.packet(seq=7001, ack=syn["seq"] + 6, flags=24, payload=b"abc")
    buf = ctypes.create_string_buffer(16)
    assert t.read(got[0], buf, ctypes.c_size_t(16)) == 3 and buf.raw[:3] == b"abc"
    assert t.close(got[0]) == 0 and t.close(fd) == 0
    assert t.close(fd) == -1 and ctypes.get_errno() == 9
    assert t.epoll_create(1) == -1 and ctypes.get_errno() == 38


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", required=True, metavar="FOLDER")
    build = p.parse_args().build
    path = os.path.join(os.path.abspath(build), "tests", "packets", "libsluice_tcp.so")
    need = stack_lib.preload_for(path)
    if need and os.environ.get("LD_PRELOAD", "") != ":".join(need):
        os.environ.update(LD_PRELOAD=":".join(need), ASAN_OPTIONS="detect_leaks=0")
        os.execv(sys.executable, [sys.executable] + sys.argv)
    t = Table(path, b"block_ms=60000")
    exchange(t)
    while t.receive()[0]:
        pass  # acknowledgments and FINs; ends when nothing comes for a virtual minute
    t.free()
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
