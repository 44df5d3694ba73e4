#!/usr/bin/env python3
"""Drives libsluice_tcp.so by packetdrill_interface_init as packetdrill --so_filename does: a table of
functions by their place alone, packets by netdev_send and netdev_receive, a second thread for a call
that blocks, and a main thread that waits for a time by polling gettimeofday. Needs no packetdrill."""

import argparse
import ctypes
import errno
import fcntl
import os
import select
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


def errno_of(result):
    assert result == -1, f"it returned {result}"
    return errno.errorcode[ctypes.get_errno()]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p),
                ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


def sockaddr(ip, port):
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), wire.address(ip))


def opened(t, port):
    """A server's connection from this port of the peer: (listener, connection, our number)."""
    one, a = ctypes.c_int(1), sockaddr(LOCAL, 8080)
    fd = t.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    assert t.setsockopt(fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, ctypes.byref(one), 4) == 0
    assert t.bind(fd, a, len(a)) == 0 and t.listen(fd, 5) == 0
    t.packet(sport=port, seq=100, flags=2)
    p, _ = t.receive()
    isn = tcp_of(p)["seq"]
    t.packet(sport=port, seq=101, ack=isn + 1, flags=16)
    c = t.accept(fd, None, None)  # does not block: the connection is there
    assert c > fd
    return fd, c, isn


def blocking(t):
    """Calls of the thread that made the stack let virtual time pass."""
    fd, c, isn = opened(t, 41000)
    buf = ctypes.create_string_buffer(64)
    before = t.now_us()
    entry = struct.pack("=ihh", c, select.POLLIN, 0)
    assert t.poll(entry, ctypes.c_ulong(1), 2500) == 0
    assert 2500000 <= t.now_us() - before <= 2500100
    assert errno_of(t.read(c, buf, ctypes.c_size_t(64))) == "EAGAIN"  # after block_ms
    assert t.now_us() - before >= 62000000
    assert errno_of(t.recv(c, buf, ctypes.c_size_t(64), socket.MSG_DONTWAIT)) == "EAGAIN"
    assert t.fcntl(c, fcntl.F_SETFL, os.O_RDWR | os.O_NONBLOCK) == 0
    assert t.fcntl(c, fcntl.F_GETFL) == os.O_RDWR | os.O_NONBLOCK
    assert errno_of(t.read(c, buf, ctypes.c_size_t(64))) == "EAGAIN"
    t.packet(sport=41000, seq=101, ack=isn + 1, flags=24, payload=b"abcdef")
    assert t.recv(c, buf, ctypes.c_size_t(3), socket.MSG_PEEK) == 3 and buf.raw[:3] == b"abc"
    vec = (Iovec * 2)(Iovec(ctypes.cast(buf, ctypes.c_char_p), 2),
                      Iovec(ctypes.cast(ctypes.addressof(buf) + 8, ctypes.c_char_p), 8))
    assert t.readv(c, ctypes.byref(vec), 2) == 6
    assert buf.raw[:2] == b"ab" and buf.raw[8:12] == b"cdef"
    out = (Iovec * 2)(Iovec(b"12", 2), Iovec(b"345", 3))
    msg = Msghdr(iov=ctypes.cast(out, ctypes.c_void_p), iovlen=2)
    assert t.sendmsg(c, ctypes.byref(msg), 0) == 5
    queued = ctypes.c_int()
    assert t.ioctl(c, ctypes.c_ulong(0x5411), ctypes.byref(queued)) == 0 and queued.value == 5
    s = t.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    a = sockaddr(REMOTE, 99)
    before = t.now_us()
    # block_ms is shorter than what the SYN is tried for.
    assert errno_of(t.connect(s, a, len(a))) == "EAGAIN" and t.now_us() - before >= 60000000
    for each in (s, c, fd):
        assert t.close(each) == 0


def refused(t):
    """What the stack has not is said by errno."""
    fd = t.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    buf, size, v = ctypes.create_string_buffer(256), ctypes.c_uint(256), ctypes.c_int(1)
    tcp = socket.IPPROTO_TCP
    assert errno_of(t.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)) == "EAFNOSUPPORT"
    assert errno_of(t.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)) == "EPROTONOSUPPORT"
    assert errno_of(t.read(fd, buf, ctypes.c_size_t(1))) == "ENOTCONN"
    assert errno_of(t.write(fd, buf, ctypes.c_size_t(1))) == "ENOTCONN"
    assert errno_of(t.shutdown(fd, socket.SHUT_WR)) == "ENOTCONN"
    assert errno_of(t.accept(fd, None, None)) == "EINVAL"
    assert errno_of(t.read(77, buf, ctypes.c_size_t(1))) == "EBADF"
    assert errno_of(t.setsockopt(fd, tcp, 9999, ctypes.byref(v), 4)) == "ENOPROTOOPT"
    assert errno_of(t.getsockopt(fd, tcp, 9999, buf, ctypes.byref(size))) == "ENOPROTOOPT"
    v.value = 0
    assert errno_of(t.setsockopt(fd, tcp, socket.TCP_NODELAY, ctypes.byref(v), 4)) == "EINVAL"
    assert errno_of(t.recv(fd, buf, ctypes.c_size_t(1), socket.MSG_OOB)) in ("EOPNOTSUPP", "ENOTSUP")
    assert t.getsockopt(fd, tcp, socket.TCP_INFO, buf, ctypes.byref(size)) == 0
    assert buf.raw[0] == 7  # TCP_CLOSE
    assert t.close(fd) == 0


def info(t):
    reno, name, length = b"reno\0", ctypes.create_string_buffer(16), ctypes.c_uint(16)
    s = t.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    assert t.setsockopt(s, socket.IPPROTO_TCP, 13, reno, len(reno)) == 0
    assert t.getsockopt(s, socket.IPPROTO_TCP, 13, name, ctypes.byref(length)) == 0
    assert name.value == b"reno"
    assert errno_of(t.setsockopt(s, socket.IPPROTO_TCP, 13, b"vegas", 5)) == "ENOENT"
    assert t.close(s) == 0
    fd, c, isn = opened(t, 42000)
    buf, size = ctypes.create_string_buffer(256), ctypes.c_uint(256)
    t.write(c, b"x" * 2000, ctypes.c_size_t(2000))
    assert t.getsockopt(c, socket.IPPROTO_TCP, socket.TCP_INFO, buf, ctypes.byref(size)) == 0
    mss, unacked = struct.unpack_from("=I", buf.raw, 16)[0], struct.unpack_from("=I", buf.raw, 24)[0]
    assert buf.raw[0] == 1 and mss == 536 and unacked == 4, (buf.raw[0], mss, unacked)
    assert t.close(c) == 0 and t.close(fd) == 0


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
    checks = (exchange, blocking, refused, info)
    for check in checks:
        check(t)
        while t.receive()[0]:
            pass  # acknowledgments and FINs; ends when nothing comes for a virtual minute
    t.free()
    print(f"{len(checks)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
