# SPDX-License-Identifier: BSD-2-Clause
"""A small, strict HTTP/1.1 client on a socket, for tests that must see every byte.

It shares no code with the product and forgives nothing: an answer that is not framed as RFC 9112 says
raises Bad, one that breaks off raises Cut.
"""

import re
import socket


class Bad(AssertionError):
    """The answer is malformed."""


class Cut(AssertionError):
    """The connection ended within an answer, or before it."""


class Response:
    def __init__(self, status, version, fields, raw):
        self.status = status
        self.version = version
        self.fields = fields  # [(name, value)] as they came
        self.raw = raw
        self.body = b""
        self.interim = []
        self.chunked = False
        self.to_end = False  # delimited by the end of the connection

    def all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise Bad(f"{name} more than once: {self.raw!r}")
        return values[0] if values else None

    def __contains__(self, name):
        return bool(self.all(name))

    @property
    def hit(self):
        return "; hit" in (self["cache-status"] or "")

    @property
    def closes(self):
        return "close" in (self["connection"] or "").lower()


def parse_head(raw):
    """A response head with its empty line."""
    lines = raw[:-4].split(b"\r\n")
    m = re.fullmatch(rb"(HTTP/1\.[01]) (\d{3}) [ -~]*", lines[0])
    if not m:
        raise Bad(f"status line {lines[0]!r}")
    fields = []
    for line in lines[1:]:
        m2 = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)", line)
        if not m2:
            raise Bad(f"field line {line!r}")
        fields.append((m2[1].decode(), m2[2].decode("latin1").strip()))
    return Response(int(m[2]), m[1].decode(), fields, raw)


class Client:
    """patience: asked each time that the socket's timeout passes; False, or none, gives up."""

    def __init__(self, sock, patience=None):
        self.sock = sock
        self.buf = b""
        self.patience = patience

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def shut(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def more(self):
        """Reads what is there; False at the end."""
        while True:
            try:
                data = self.sock.recv(262144)
                self.buf += data
                return bool(data)
            except TimeoutError:
                if self.patience is None or not self.patience():
                    raise Cut(f"no answer in time; have {self.buf[:300]!r}") from None
            except ConnectionResetError:
                raise Cut("reset") from None

    def _head(self):
        while b"\r\n\r\n" not in self.buf:
            if len(self.buf) > 1 << 20:
                raise Bad("head without end")
            if not self.more():
                raise Cut(f"closed before the answer; have {self.buf[:300]!r}")
        end = self.buf.index(b"\r\n\r\n") + 4
        head, self.buf = self.buf[:end], self.buf[end:]
        return parse_head(head)

    def _exactly(self, n, sink):
        while n > 0:
            if not self.buf and not self.more():
                raise Cut(f"{n} bytes short")
            part, self.buf = self.buf[:n], self.buf[n:]
            n -= len(part)
            sink(part)

    def _line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise Cut("closed within a chunk line")
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def _chunks(self, sink):
        while True:
            line = self._line()
            if not re.fullmatch(rb"[0-9a-fA-F]+", line):
                raise Bad(f"chunk size {line!r}")
            n = int(line, 16)
            if n == 0:
                break
            self._exactly(n, sink)
            if self._line() != b"":
                raise Bad("no line end behind a chunk")
        while self._line() != b"":
            pass

    def response(self, method="GET", sink=None):
        """Reads one whole answer, 1xx before it included; sink(bytes) takes its body."""
        parts = []
        sink = sink or parts.append
        interim = []
        r = self._head()
        while 100 <= r.status < 200:
            interim.append(r)
            r = self._head()
        r.interim = interim
        te, cl = r["transfer-encoding"], r["content-length"]
        if te is not None and (te != "chunked" or cl is not None or r.status == 204):
            raise Bad(f"framing: {r.raw!r}")
        if cl is not None and (not cl.isdigit() or r.status == 204):
            raise Bad(f"length: {r.raw!r}")
        if method != "HEAD" and r.status not in (204, 304):
            if te:
                r.chunked = True
                self._chunks(sink)
            elif cl is not None:
                self._exactly(int(cl), sink)
            else:
                r.to_end = True
                while True:
                    if self.buf:
                        sink(self.buf)
                        self.buf = b""
                    if not self.more():
                        break
        r.body = b"".join(parts)
        return r

    def ask(self, path="/", headers=(), method="GET", host="api.test", body=None, version="1.1"):
        self.send(request(path, headers, method, host, body, version))
        return self.response(method)

    def ended(self):
        """True when the peer closes, with nothing more said; a reset counts as an end."""
        if self.buf:
            raise Bad(f"more than was asked for: {self.buf[:300]!r}")
        try:
            if self.more():
                raise Bad(f"more than was asked for: {self.buf[:300]!r}")
        except Cut as e:
            return str(e) == "reset"
        return True


def request(path="/", headers=(), method="GET", host="api.test", body=None, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += list(headers)
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin1") + b"\r\n\r\n" + (body or b"")
