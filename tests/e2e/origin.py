# SPDX-License-Identifier: BSD-2-Clause
"""A scripted origin in threads of the test itself, listening in the lab's server namespace.

A test says what a path answers: bytes, or a function that gets the request and the connection and may
be slow, break off, reset, or write nonsense. What arrived is kept, so that a test can count it and
look at it. Without a script the answer tells the request as JSON.
"""

import hashlib
import json
import re
import socket
import struct
import threading
import time


class Request:
    def __init__(self, method, target, version, fields, raw, conn):
        self.method, self.target, self.version = method, target, version
        self.fields, self.raw, self.conn = fields, raw, conn
        self.path = target.split("?")[0]
        self.body, self.body_len = b"", 0
        self.digest = hashlib.sha256()
        self.whole = False
        self.chunked = False

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        return ", ".join(values) if values else None

    def take(self, data):
        self.digest.update(data)
        self.body_len += len(data)
        if self.body_len <= 1 << 20:
            self.body += data

    def tell(self):
        return json.dumps({"method": self.method, "target": self.target, "version": self.version,
                           "fields": self.fields, "body_len": self.body_len,
                           "chunked": self.chunked, "sha256": self.digest.hexdigest()}).encode()


def answer(body=b"", status=200, *headers, length=True):
    """A response as bytes."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Status", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*parts, headers=(), trailer=b""):
    out = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers]).encode()
    out += b"\r\n\r\n"
    for p in parts:
        out += b"%x\r\n%s\r\n" % (len(p), p)
    return out + b"0\r\n" + trailer + b"\r\n"


class Gone(Exception):
    pass


class Peer:
    """A connection from control."""

    def __init__(self, sock, number):
        self.sock, self.number, self.buf = sock, number, b""

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise Gone

    def close(self):
        raise Gone

    def fill(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise Gone
        self.buf += data

    def line(self):
        while b"\r\n" not in self.buf:
            self.fill()
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def exactly(self, n, sink):
        while n > 0:
            if not self.buf:
                self.fill()
            part, self.buf = self.buf[:n], self.buf[n:]
            n -= len(part)
            sink(part)

    def head(self):
        while b"\r\n\r\n" not in self.buf:
            self.fill()
        end = self.buf.index(b"\r\n\r\n") + 4
        raw, self.buf = self.buf[:end], self.buf[end:]
        lines = raw[:-4].decode("latin1").split("\r\n")
        method, target, version = lines[0].split(" ")
        fields = [tuple(x.strip() for x in line.split(":", 1)) for line in lines[1:]]
        return Request(method, target, version, fields, raw, self.number)

    def body(self, r):
        te, cl = r.all("transfer-encoding"), r.all("content-length")
        if te and cl or len(cl) > 1 or len(te) > 1:
            raise ValueError(f"ambiguous framing sent to the origin: {r.raw!r}")
        if cl:
            self.exactly(int(cl[0]), r.take)
        elif te:
            r.chunked = True
            while True:
                size = int(re.fullmatch(rb"[0-9a-fA-F]+", self.line())[0], 16)
                if size == 0:
                    break
                self.exactly(size, r.take)
                if self.line() != b"":
                    raise ValueError("no line end behind a chunk")
            while self.line() != b"":
                pass
        r.whole = True


class Origin:
    def __init__(self, lab, port=18081):
        self.scripts = {}
        self.begun = []   # requests whose head came
        self.faults = []  # what no client of an origin may send
        self.conns = 0
        self.early = set()  # paths answered before the body is read
        self.lock = threading.Lock()
        self.socks = set()
        self.stopped = False
        self.sock = lab.socket_in(lab.srv)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.sock.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, path, script):
        """script: bytes, or a function of (request, peer); peer.close() or .reset() end it."""
        self.scripts[path] = script
        return path

    def seen(self, path=None, whole=True):
        with self.lock:
            return [r for r in self.begun
                    if (path is None or r.path == path) and (r.whole or not whole)]

    def count(self, path=None):
        return len(self.seen(path, whole=False))

    def forget(self):
        with self.lock:
            self.begun.clear()

    def stop(self):
        self.stopped = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for s in list(self.socks):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while not self.stopped:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.conns += 1
            threading.Thread(target=self._serve, args=(s, self.conns), daemon=True).start()

    def _serve(self, sock, number):
        peer = Peer(sock, number)
        self.socks.add(sock)
        try:
            while not self.stopped:
                self._one(peer)
        except (Gone, ConnectionError, BrokenPipeError):
            pass
        except (OSError, ValueError, TypeError) as e:
            if not self.stopped:
                self.faults.append(repr(e))
        finally:
            self.socks.discard(sock)
            sock.close()

    def _one(self, peer):
        r = peer.head()
        with self.lock:
            self.begun.append(r)
        script = self.scripts.get(r.path)
        if r.path not in self.early:
            peer.body(r)
        if script is None:
            body = r.tell()
            peer.send(answer(b"" if r.method == "HEAD" else body, 200, "Cache-Control: no-store",
                             "Content-Type: application/json"))
        elif isinstance(script, bytes):
            peer.send(script)
        else:
            script(r, peer)


def slow(seconds, data):
    """A script that waits before it answers."""
    def script(_, peer):
        time.sleep(seconds)
        peer.send(data)
    return script
