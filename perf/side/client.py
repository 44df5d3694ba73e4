"""The load of the side-by-side runs: sluice-bench with its socket transport, on a core of its own in the
client's namespace; the same kernel TCP for every server."""

import json
import os
import socket
import subprocess
import tempfile


class ClientFailed(RuntimeError):
    pass


class Bench:
    def __init__(self, lab, build, cpu):
        self.lab, self.cpu = lab, cpu
        self.program = os.path.join(build, "perf", "load", "sluice-bench")

    def run(self, url, host, connections, seconds, *options, rate=None):
        """One measurement; its errors are figures too."""
        with tempfile.NamedTemporaryFile(dir=self.lab.run_dir, suffix=".json") as out:
            cmd = [self.program, "-c", str(connections), "-d", f"{seconds}s", "-H", f"Host: {host}",
                   "--cpu", str(self.cpu), "--quiet", "--json", out.name, *options]
            if rate is not None:
                cmd += ["--rate", f"{rate:.0f}", "--poisson"]
            r = subprocess.run(self.lab.in_cli(*cmd, url), capture_output=True, text=True, check=False)
            if r.returncode not in (0, 1):
                raise ClientFailed(f"{' '.join(cmd)} {url}: exit {r.returncode}: {r.stderr.strip()}")
            report = json.load(out)
        return figures(report)


def figures(report):
    found, counts = report["figures"], report["total"]["counts"]
    return {
        "rate": found["rate_per_s"],
        "answered": counts["answered"],
        "errors": sum(counts["errors"].values()),
        "p50_us": found["p50_ns"] / 1000,
        "p99_us": found["p99_ns"] / 1000,
        "client_share": report["run"]["client_share"],
    }


class IdleConnections:
    """Connections that asked once and then stay open, from as many source ports."""

    def __init__(self, lab, url, host, count):
        self.lab, self.count = lab, count
        rest = url.split("//", 1)[1]
        where, path = rest.split("/", 1)
        self.addr, _, port = where.partition(":")
        self.port = int(port or 80)
        self.request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.socks = []

    def __enter__(self):
        for _ in range(self.count):
            s = self.lab.connect(self.addr, self.port)
            self.socks.append(s)
            s.sendall(self.request)
            got = b""
            while b"\r\n\r\n" not in got:
                piece = s.recv(65536)
                if not piece:
                    raise ClientFailed(f"{self.addr}:{self.port} closed connection {len(self.socks)}")
                got += piece
        return self

    def closed(self):
        """How many the server has closed meanwhile."""
        n = 0
        for s in self.socks:
            s.setblocking(False)
            try:
                n += s.recv(1, socket.MSG_PEEK) == b""
            except BlockingIOError:
                pass
            except OSError:
                n += 1
        return n

    def __exit__(self, *exc):
        for s in self.socks:
            s.close()
