# SPDX-License-Identifier: BSD-2-Clause
"""Many client connections in one thread, so that a test asks on all of them at once.

crowd() opens connections and asks one question on each; Swarm keeps asking on a few and notes when each
question left and what came back.
"""

import errno
import os
import selectors
import socket
import threading
import time

from http1 import parse_head, request
from lab import CLIENT, DOOR, _setns


def sockets(lab, count, family=socket.AF_INET):
    """Sockets that live in the client's namespace; this process stays where it is."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{lab.cli}", os.O_RDONLY)
    out = []
    try:
        _setns(there)
        try:
            for _ in range(count):
                out.append(socket.socket(family))
        finally:
            _setns(home)
    finally:
        os.close(there)
        os.close(home)
    return out


def one_answer(buf):
    """(response, rest) when a whole answer with a Content-Length is there; else None."""
    end = buf.find(b"\r\n\r\n")
    if end < 0:
        return None
    r = parse_head(buf[:end + 4])
    length = int(r["content-length"] or 0)
    if len(buf) < end + 4 + length:
        return None
    r.body = buf[end + 4:end + 4 + length]
    return r, buf[end + 4 + length:]


def connect_all(socks, door=DOOR, seconds=20, batch=256):
    """Handshakes, some at a time; every one must succeed."""
    sel = selectors.EpollSelector()
    todo, waiting, end = list(socks), 0, time.monotonic() + seconds
    while todo or waiting:
        while todo and waiting < batch:
            s = todo.pop()
            s.setblocking(False)
            err = s.connect_ex((door, 80))
            if err == errno.EADDRNOTAVAIL:  # the last connection from this port is not over yet
                todo.insert(0, s)
                break
            if err not in (0, errno.EINPROGRESS):
                raise OSError(err, os.strerror(err))
            sel.register(s, selectors.EVENT_WRITE)
            waiting += 1
        for key, _ in sel.select(0.1):
            err = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if err:
                raise OSError(err, os.strerror(err))
            sel.unregister(key.fileobj)
            waiting -= 1
        if time.monotonic() > end:
            raise AssertionError(f"{waiting + len(todo)} handshakes are not done in {seconds} s")
    sel.close()


def read_all(socks, seconds=20):
    """One answer from each socket, in their order."""
    sel = selectors.EpollSelector()
    bufs, out, end = [b""] * len(socks), [None] * len(socks), time.monotonic() + seconds
    for i, s in enumerate(socks):
        sel.register(s, selectors.EVENT_READ, i)
    left = len(socks)
    while left:
        for key, _ in sel.select(0.1):
            i = key.data
            data = key.fileobj.recv(1 << 16)
            if not data:
                raise AssertionError(f"closed before the answer; have {bufs[i][:200]!r}")
            bufs[i] += data
            got = one_answer(bufs[i])
            if got:
                out[i] = got[0]
                sel.unregister(key.fileobj)
                left -= 1
        if time.monotonic() > end:
            raise AssertionError(f"{left} of {len(socks)} answers are missing after {seconds} s")
    sel.close()
    return out


class Ask:
    __slots__ = ("conn", "sent", "got", "response")

    def __init__(self, conn, sent, got, response):
        self.conn, self.sent, self.got, self.response = conn, sent, got, response


class Swarm:
    """Asks again and again on each connection, for the paths in turn. Use it in a with.

    A connection that ends is noted in ends and not opened again."""

    def __init__(self, lab, count, *paths, headers=(), door=DOOR):
        self.socks = sockets(lab, count, socket.AF_INET6 if ":" in door else socket.AF_INET)
        self.asks = [request(p, headers) for p in paths]
        self.door = door
        self.log, self.ends, self.fault = [], [], None
        self.stopping = False

    def __enter__(self):
        connect_all(self.socks, self.door)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        self.stopping = True
        self.thread.join()
        for s in self.socks:
            s.close()
        if self.fault:
            raise self.fault

    def ports(self):
        return [s.getsockname()[1] for s in self.socks]

    def _run(self):
        try:
            self._loop()
        except Exception as e:  # pylint: disable=broad-except; told in stop()
            self.fault = e

    def _send(self, i):
        n, self.turn[i] = self.turn[i], self.turn[i] + 1
        self.sent[i] = time.monotonic()
        try:
            self.socks[i].sendall(self.asks[n % len(self.asks)])
        except ConnectionError:
            pass  # reading tells

    def _read(self, i, sock):
        try:
            data = sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.ends.append(i)
            return False
        self.bufs[i] += data
        got = one_answer(self.bufs[i])
        if got:
            self.bufs[i] = got[1]
            self.log.append(Ask(i, self.sent[i], time.monotonic(), got[0]))
            if self.stopping:
                return False
            self._send(i)
        return True

    def _loop(self):
        sel = selectors.EpollSelector()
        self.turn = list(range(len(self.socks)))
        self.sent, self.bufs = [0.0] * len(self.socks), [b""] * len(self.socks)
        for i, s in enumerate(self.socks):
            sel.register(s, selectors.EVENT_READ, i)
            self._send(i)
        left, end = len(self.socks), None
        while left:
            for key, _ in sel.select(0.1):
                if not self._read(key.data, key.fileobj):
                    sel.unregister(key.fileobj)
                    left -= 1
            if self.stopping:
                end = end or time.monotonic() + 10
                if time.monotonic() > end:
                    raise AssertionError(f"{left} connections got no answer at the end")
        sel.close()

    def since(self, when):
        """What was asked after when, by time.monotonic(), and is answered."""
        return [a for a in list(self.log) if a.sent > when]


def cores_of(lab, ports, address=CLIENT):
    """The core of each connection by its client's port; those that are not listed are not there."""
    want, out = set(ports), {}
    for row in lab.ctl_json("conns", "--limit", "0")["conns"]:
        host, _, port = row["remote"].rpartition(":")
        if host.strip("[]") == address and int(port) in want:
            out[int(port)] = row["core"]
    return out
