"""A front door behind a memif: dataplane, control and an origin, without a network interface.

Packets go through shared memory to whoever is the client at the socket; sluice-bench is one, with its
DPDK transport. Control's and the origin's traffic is on loopback. Needs no namespace; huge pages only
when they are asked for. Everything is made by start and taken away by stop.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOOR = "10.90.0.1"
CLIENTS = "10.91.0.1-10.91.0.64"
BUSY = "loop_busy_cycles"

CONFIG = """
node: front
run_dir: {run}
idle: busy
log_level: warn
admin:
    socket: {run}/admin.sock
    metrics_port: 0
listeners:
    - address: {door}
ports:
    - type: memif
      device: {run}/memif.sock
      role: server
      cores: [{cpu}]
memory:
    huge_pages: "{huge}"
    packet_buffers: 16384
limits:
    connections: {connections}
    object_bytes: 131072
timeouts:
    idle_ms: 3600000
tcp:
    keepalive_idle_ms: 3600000
upstreams:
    - name: origin
      addresses: ["127.0.0.1:{origin}"]
routes:
    - upstream: origin
      cache:
          mode: ttl
          ttl_s: 86400
"""


class Origin(BaseHTTPRequestHandler):
    """/bytes/N is a body of that many bytes, /hit one of a hundred."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        m = re.fullmatch(r"/bytes/(\d{1,8})", self.path.replace("/hit", "/bytes/100"))
        body = b"x" * int(m.group(1)) if m else b""
        self.send_response(200 if m else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def wait_until(check, seconds, what):
    """Polls check() until it is true; returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return value


class BenchFailed(RuntimeError):
    pass


class MemifDoor:
    def __init__(self, build, cpu=None, client_cpu=0, huge=False, connections=65536):
        self.build, self.huge, self.connections = build, huge, connections
        self.cpu = min(1, (os.cpu_count() or 1) - 1) if cpu is None else cpu
        self.client_cpu = client_cpu
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        self.stack.close()

    def path(self, name):
        return os.path.join(self.run_dir, name)

    def _spawn(self, name, *parts):
        with open(self.path(name + ".log"), "ab") as log:
            p = subprocess.Popen([os.path.join(self.build, *parts), "--config",
                                  self.path("front.yaml")], stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL)
        self.stack.callback(self._end, p)
        return p

    @staticmethod
    def _end(p):
        if p.poll() is not None:
            return
        # The second one does not wait for what is under way.
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()

    def _start(self):
        self.run_dir = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-memif-"))
        origin = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        origin.daemon_threads = True
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        self.stack.callback(origin.server_close)
        self.stack.callback(origin.shutdown)
        with open(self.path("front.yaml"), "w", encoding="ascii") as f:
            f.write(CONFIG.format(run=self.run_dir, door=DOOR, cpu=self.cpu,
                                  huge="on" if self.huge else "off",
                                  connections=self.connections, origin=origin.server_port))
        self.dataplane = self._spawn("dataplane", "dataplane", "sluice-dataplane")
        self.control = self._spawn("control", "control", "sluice-control")
        wait_until(self._attached, 30, "control is attached")

    def _attached(self):
        for name, p in (("dataplane", self.dataplane), ("control", self.control)):
            if p.poll() is not None:
                raise AssertionError(f"{name} ended: {self.log(name)[-2000:]}")
        r = self._ctl("status")
        return r.returncode == 0 and json.loads(r.stdout)["dataplane"].get("attached")

    def log(self, name):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def _ctl(self, *words):
        return subprocess.run([os.path.join(self.build, "control", "cli", "sluicectl"), "-s",
                               self.path("admin.sock"), "-o", "json", *words],
                              capture_output=True, text=True, check=False)

    def counters(self):
        """Of the core, by the names of lib/counters.def."""
        r = self._ctl("stats")
        if r.returncode != 0:
            raise AssertionError(f"sluicectl stats: {r.stderr}; dataplane "
                                 f"{self.dataplane.poll()}: {self.log('dataplane')[-2000:]}")
        return json.loads(r.stdout)["total"]

    def bench_command(self, *options, path="/bytes/100", local=CLIENTS):
        huge = ["--huge-pages"] if self.huge else []
        return [os.path.join(self.build, "perf", "load", "sluice-bench"), "--transport", "dpdk",
                "--device", "memif:" + self.path("memif.sock"), "--local", local, "--cpu",
                str(self.client_cpu), *huge, "--quiet", *options, f"http://{DOOR}{path}"]

    def bench(self, *options, timeout=120, **kw):
        """Runs sluice-bench to its end; its whole report. Errors of requests are figures."""
        with tempfile.NamedTemporaryFile(dir=self.run_dir, suffix=".json") as out:
            cmd = self.bench_command("--json", out.name, *options, **kw)
            r = subprocess.run(cmd, capture_output=True, text=True, check=False, timeout=timeout)
            if r.returncode not in (0, 1):
                raise BenchFailed(f"{' '.join(cmd)}: exit {r.returncode}: {r.stderr.strip()}")
            return json.load(out)

    def warm(self, *sizes):
        """These are in the hot table from now on."""
        for path in (f"/bytes/{size}" for size in sizes):
            self.bench("-c1", "-d500ms", path=path)
            before = self.counters()
            report = self.bench("-c1", "-d500ms", path=path)
            hits = self.counters()["cache_hit"] - before["cache_hit"]
            if hits != report["total"]["counts"]["sent"] or hits == 0:
                raise AssertionError(f"{path} does not come from the hot table")
