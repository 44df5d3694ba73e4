"""The servers that are compared, each on one core, tuned as its own manual says, all before the same
origin: nginx, HAProxy and Varnish on kernel TCP, Sluice on AF_XDP, on one veth.

A server has `urls`, a case's name to its URL; a case that it cannot serve is not in there.
"""

import os
import re
import resource
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import lab as e2e  # noqa: E402

HOST = "api.test"
SIZES = {"100": 100, "1k": 1024, "16k": 16384, "64k": 65536}
FILES = 66000  # descriptors of a process, where that many are allowed
TICKS = os.sysconf("SC_CLK_TCK")

ORIGIN = """
worker_processes 1;
worker_cpu_affinity {mask};
pid {run}/nginx.pid;
error_log {run}/nginx.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    open_file_cache max=100;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {run}/tmp;
    proxy_temp_path {run}/tmp;
    fastcgi_temp_path {run}/tmp;
    uwsgi_temp_path {run}/tmp;
    scgi_temp_path {run}/tmp;
    server {{
        listen 127.0.0.1:{origin} backlog=16384;
        default_type application/json;
        root {run}/www;
        location /hit/ {{ add_header Cache-Control "public, max-age=86400"; }}
        location /miss/ {{ add_header Cache-Control "no-store"; }}
    }}
}}
"""

NGINX = """
worker_processes 1;
worker_cpu_affinity {mask};
pid {run}/peer.pid;
error_log {run}/peer.log warn;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 3600s;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000;
    proxy_cache_path {run}/peer-cache keys_zone=z:10m;
    client_body_temp_path {run}/tmp;
    proxy_temp_path {run}/tmp;
    fastcgi_temp_path {run}/tmp;
    uwsgi_temp_path {run}/tmp;
    scgi_temp_path {run}/tmp;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 100000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    server {{
        listen {addr}:8080 backlog=16384;
        location /return {{ default_type application/json; return 200 "{body}"; }}
        location /hit/ {{
            proxy_pass http://origin;
            proxy_cache z;
            proxy_cache_valid 200 1d;
        }}
        location / {{ proxy_pass http://origin; }}
    }}
}}
"""

# Section 5 of HAProxy's configuration manual; the cache takes what fits max-object-size.
HAPROXY = """
global
    nbthread 1
    cpu-map auto:1/1 {cpu}
    maxconn 16384
    no strict-limits
defaults
    mode http
    no log
    option http-keep-alive
    http-reuse always
    timeout connect 10s
    timeout client 1h
    timeout server 30s
    timeout http-keep-alive 1h
cache objects
    total-max-size 64
    max-object-size 1000000
    max-age 86400
frontend front
    bind {addr}:8081 backlog 16384
    default_backend origin
backend origin
    http-request cache-use objects if {{ path_beg /hit/ }}
    http-response cache-store objects
    server origin 127.0.0.1:{origin} pool-max-conn 256
"""

VARNISH = """
vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{
    if (req.url ~ "^/miss/") {{ return (pass); }}
    return (hash);
}}
"""

SLUICE = """
node: side
run_dir: {{run}}
idle: adaptive
# Control has no core of its own: while it polls, nobody makes what it waits for.
control_spin_us: 0
memory:
    huge_pages: "auto"
    packet_buffers: 32768
    hot_table_bytes: 67108864
limits:
    connections: 65536
timeouts:
    idle_ms: 3600000
admin:
    socket: {{run}}/admin.sock
    metrics_port: 9900
listeners:
    - address: {{door}}
      port: 80
ports:
    - type: af_xdp
      interface: front0
      cores: [{cpu}]
upstreams:
    - name: web
      addresses: ["127.0.0.1:{{origin}}"]
      profile: production
routes:
    - path: /*
      upstream: web
"""


def cpu_seconds(pid):
    """User and system time of a process, its threads and its children that still run."""
    total = 0.0
    for p in [pid] + children(pid):
        try:
            with open(f"/proc/{p}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
        except FileNotFoundError:
            pass
    return total


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]
    except FileNotFoundError:
        return []


def pinned(lab, cpu, *cmd):
    return lab.in_srv("taskset", "-c", str(cpu), *cmd)


class Peer:
    """A server on kernel TCP; cycles are those of its processes."""

    def __init__(self, lab, name, pid, urls):
        self.lab, self.name, self.pid, self.urls = lab, name, pid, urls

    def busy_seconds(self):
        return cpu_seconds(self.pid)

    def driver_cycles(self):
        return None

    def stop(self):
        """It waits in the kernel when nobody asks, and takes nothing from the others."""

    def go(self):
        pass


class Sluice:
    """Its dataplane polls: what it was busy with is its own count of cycles, control's is CPU time."""

    name = "sluice"

    def __init__(self, lab, tsc_hz):
        self.lab, self.tsc_hz = lab, tsc_hz
        self.urls = {f"hit_{k}": f"http://{e2e.DOOR}/hit/{k}" for k in SIZES}
        self.urls["miss"] = f"http://{e2e.DOOR}/miss/100"

    def _signal(self, signal_number):
        for name in ("dataplane", "control"):
            os.kill(self.lab.pid(name), signal_number)

    def stop(self):
        """Its core polls and sleeps in turn: a tenth of the core that the others are measured on."""
        self._signal(signal.SIGSTOP)

    def go(self):
        self._signal(signal.SIGCONT)
        e2e.wait_until(lambda: self.lab.metric("sluice_up", process="dataplane") == 1, 10,
                       "control has the dataplane again")

    def busy_seconds(self):
        cycles = self.lab.metric("sluice_core_busy_cycles_total")
        return cycles / self.tsc_hz + cpu_seconds(self.lab.pid("control"))

    def driver_cycles(self):
        """(of the driver's calls, of all stages), both of the rounds that were timed."""
        of = "sluice_stage_timed_cycles_total"
        return (sum(self.lab.metric(of, stage=stage) for stage in ("rx", "tx")), self.lab.metric(of))


def tsc_hz():
    """Of the invariant TSC, as the kernel found it, else the model's."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        mhz = re.search(r"cpu MHz\s*:\s*([\d.]+)", f.read())
    return float(mhz.group(1)) * 1e6


class Servers:
    """All of them at once; those that are stopped cost the others nothing: `with Servers(...) as s`."""

    def __init__(self, build, cpu, origin_cpu, only=None):
        self.lab = e2e.Lab(build=build, config=SLUICE.format(cpu=cpu))
        self.cpu, self.origin_cpu, self.only = cpu, origin_cpu, only
        self.all = []
        self.missing = {}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        for server in self.all:
            server.go()
        self.lab.stop_nginx("peer")
        self.lab.stop()

    def wanted(self, name):
        return not self.only or name in self.only

    def _write(self, name, text, **kw):
        path = os.path.join(self.lab.run_dir, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text.format(run=self.lab.run_dir, origin=e2e.ORIGIN_PORT, addr=e2e.KERNEL,
                                cpu=self.cpu, mask=bin(1 << self.cpu)[2:], body="x" * 100, **kw))
        return path

    def _urls(self, port, *names):
        base = f"http://{e2e.KERNEL}:{port}"
        urls = {f"hit_{k}": f"{base}/hit/{k}" for k in SIZES}
        urls["miss"] = f"{base}/miss/100"
        return {k: v for k, v in urls.items() if not names or k in names}

    def _start(self):
        lab = self.lab
        # 10,000 connections in each server and the client
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, FILES), hard))
        lab.start_net()
        lab.start_nginx(ORIGIN, mask=bin(1 << self.origin_cpu)[2:])
        for kind in ("hit", "miss"):
            for name, size in SIZES.items():
                lab.put(f"/{kind}/{name}", "x" * size)
        for start in (self._sluice, self._nginx, self._haproxy, self._varnish):
            if self.wanted(start.__name__[1:]):
                start()

    def _sluice(self):
        self.lab.write_config()
        self.lab.start_dataplane()
        self.lab.start_control()
        subprocess.run(["taskset", "-a", "-p", "-c", str(self.cpu), str(self.lab.pid("control"))],
                       check=True, stdout=subprocess.DEVNULL)
        self.all.append(Sluice(self.lab, tsc_hz()))

    def _nginx(self):
        subprocess.run(self.lab.in_srv("nginx", "-c", self._write("peer.conf", NGINX)), check=True)
        pid = self.lab.read_pid("peer")
        self.all.append(Peer(self.lab, "nginx", pid, self._urls(8080)))
        self.all.append(Peer(self.lab, "nginx return", pid,
                             {"hit_100": f"http://{e2e.KERNEL}:8080/return"}))

    def _have(self, program):
        for folder in ("/usr/sbin", "/usr/bin"):
            if os.access(f"{folder}/{program}", os.X_OK):
                return f"{folder}/{program}"
        self.missing[program] = f"{program} is not installed: scripts/deps --tests"
        return None

    def _haproxy(self):
        program = self._have("haproxy")
        if program:
            p = self.lab.spawn("haproxy", ["taskset", "-c", str(self.cpu), program, "-db", "-f",
                                           self._write("haproxy.cfg", HAPROXY)])
            self.all.append(Peer(self.lab, "haproxy", p.pid, self._urls(8081)))

    def _varnish(self):
        program = self._have("varnishd")
        if program:
            p = self.lab.spawn("varnish", [
                "taskset", "-c", str(self.cpu), program, "-F", "-a", f"{e2e.KERNEL}:8082",
                "-f", self._write("side.vcl", VARNISH), "-s", "malloc,256m",
                "-n", f"{self.lab.run_dir}/varnish", "-t", "86400", "-p", "thread_pools=1",
                "-p", "thread_pool_min=200", "-p", "thread_pool_max=5000",
                "-p", "timeout_idle=3600", "-p", "listen_depth=16384"])
            self.all.append(Peer(self.lab, "varnish", p.pid, self._urls(8082)))

    def warm(self):
        """Every URL answers, and what can be kept is kept."""
        for server in self.all:
            for case, url in server.urls.items():
                try:
                    e2e.wait_until(lambda u=url: self._fetch(u) is not None, 10, f"{url} answers")
                except AssertionError as e:
                    raise RuntimeError(f"{server.name}: {e}: {self._logs()}") from e
                got = self._fetch(url)
                want = SIZES[case.split("_")[1]] if case.startswith("hit") else 100
                if got != want:
                    raise RuntimeError(f"{server.name} {case}: {got} bytes instead of {want}")

    def _fetch(self, url):
        """Bytes of the body, None when there was no good answer."""
        r = subprocess.run(self.lab.in_cli("curl", "-sf", "-o", "/dev/null", "-H", f"Host: {HOST}",
                                           "--max-time", "5", "-w", "%{size_download}", url),
                           capture_output=True, text=True, check=False)
        return int(r.stdout) if r.returncode == 0 else None

    def _logs(self):
        return " ".join(self.lab.log(name)[-500:] for name in ("haproxy", "varnish", "peer"))
