"""A front door in network namespaces of its own, for end-to-end tests.

One namespace holds the dataplane, control and the origins; another holds the client. They meet on a
veth pair. Everything is made by Lab.start and taken away by Lab.stop, also when a test fails. Needs
root. No traffic leaves the namespaces.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from http1 import Client

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", os.path.join(ROOT, "build-test"))
DATAPLANE = os.path.join(BUILD, "dataplane", "sluice-dataplane")
CONTROL = os.path.join(BUILD, "control", "sluice-control")
CTL = os.path.join(BUILD, "control", "cli", "sluicectl")

DOOR = "10.78.0.10"
DOOR6 = "fd78::10"
KERNEL = "10.78.0.1"
CLIENT = "10.78.0.2"
ORIGIN_PORT = 18080


def wait_until(check, seconds, what):
    """Polls check() until it is true; returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def rss_kib(pid):
    """Resident memory; the channel's shared pages count in both processes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


CONFIG = """
node: testnode
run_dir: {run}
memory:
    huge_pages: "off"
    hot_table_bytes: 33554432
admin:
    socket: {run}/admin.sock
    metrics_port: 9900
listeners:
    - address: {door}
      port: 80
    - address: "{door6}"
      port: 80
ports:
    - type: af_xdp
      interface: front0
upstreams:
    - name: web
      addresses: ["127.0.0.1:{origin}"]
    - name: odd
      addresses: ["127.0.0.1:18081"]
    - name: dead
      addresses: ["127.0.0.1:18099"]
      connect_timeout_ms: 500
routes:
    - host: api.test
      path: /*
      upstream: web
    - host: api.test
      path: /ttl/{{name}}
      upstream: odd
      cache:
          mode: ttl
          ttl_s: 60
    - host: api.test
      path: /odd/*
      upstream: odd
    - host: api.test
      path: /dead/*
      upstream: dead
    - host: api.test
      path: /getonly
      methods: [GET]
      upstream: web
{extra}
"""


def nginx_config(servers, access_log="off", more=""):
    """One nginx in a run's folder; what is in braces is for start_nginx to fill in."""
    return f"""
worker_processes 1;
daemon on;
pid {{run}}/nginx.pid;
error_log {{run}}/nginx.log warn;
events {{{{ worker_connections 16384; }}}}
http {{{{
    access_log {access_log};
    keepalive_requests 100000000;
    client_body_temp_path {{run}}/tmp;
    proxy_temp_path {{run}}/tmp;
    fastcgi_temp_path {{run}}/tmp;
    uwsgi_temp_path {{run}}/tmp;
    scgi_temp_path {{run}}/tmp;
    {more}
{servers}}}}}
"""


NGINX = nginx_config("""\
    server {{
        listen 127.0.0.1:{origin} backlog=16384;
        root {run}/www;
        default_type application/json;
        location / {{ add_header Cache-Control "public, max-age=60"; }}
        location /big/ {{ add_header Cache-Control "no-store"; }}
        location /nostore/ {{ add_header Cache-Control "no-store"; }}
    }}
""", access_log="{run}/access.log", more="client_max_body_size 0;")


_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def _setns(fd):
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Lab:
    def __init__(self, config=CONFIG, extra="", build=None):
        self.tag = f"sl{os.getpid() % 100000}"
        self.srv = self.tag + "s"
        self.cli = self.tag + "c"
        self.run_dir = tempfile.mkdtemp(prefix="sluice-test-", dir="/run")
        self.config_text = config
        self.extra = extra
        self.procs = {}
        self.origins = []
        self.build = build or BUILD

    # --- set-up -------------------------------------------------------------------------------
    def sh(self, *cmd, check=True):
        r = subprocess.run(cmd, capture_output=True, text=True, check=False)
        if check and r.returncode != 0:
            raise RuntimeError(f"{' '.join(cmd)}: {r.stderr.strip()}")
        return r

    def in_srv(self, *cmd):
        return ["ip", "netns", "exec", self.srv, *cmd]

    def in_cli(self, *cmd):
        return ["ip", "netns", "exec", self.cli, *cmd]

    def start(self, control=True, nginx=True):
        try:
            self._net()
            if nginx:
                self.start_nginx()
            self.write_config(self.extra)
            self.start_dataplane()
            if control:
                self.start_control()
        except BaseException:
            self.stop()
            raise
        return self

    def start_net(self):
        """The namespaces alone, without Sluice."""
        try:
            self._net()
        except BaseException:
            self.stop()
            raise

    def _net(self):
        for ns in (self.srv, self.cli):
            self.sh("ip", "netns", "add", ns)
            self.sh("ip", "-n", ns, "link", "set", "lo", "up")
        self.sh("ip", "-n", self.srv, "link", "add", "front0", "numrxqueues", "1", "numtxqueues", "1",
                "type", "veth", "peer", "name", "eth0", "netns", self.cli, "numrxqueues", "1",
                "numtxqueues", "1")
        for ns, dev, addr, addr6 in ((self.srv, "front0", KERNEL, "fd78::1"),
                                     (self.cli, "eth0", CLIENT, "fd78::2")):
            self.sh("ip", "-n", ns, "addr", "add", addr + "/24", "dev", dev)
            self.sh("ip", "-n", ns, "addr", "add", addr6 + "/64", "dev", dev, "nodad")
            self.sh("ip", "-n", ns, "link", "set", dev, "up")

    def write_config(self, extra="", text=None):
        self.config_path = os.path.join(self.run_dir, "sluice.yaml")
        with open(self.config_path, "w", encoding="ascii") as f:
            f.write((text or self.config_text).format(
                run=self.run_dir, door=DOOR, door6=DOOR6, origin=ORIGIN_PORT, extra=extra))

    def start_nginx(self, text=NGINX, **kw):
        os.makedirs(os.path.join(self.run_dir, "www"), exist_ok=True)
        os.makedirs(os.path.join(self.run_dir, "tmp"), exist_ok=True)
        os.chmod(self.run_dir, 0o755)
        os.chmod(os.path.join(self.run_dir, "tmp"), 0o777)
        conf = os.path.join(self.run_dir, "nginx.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(text.format(run=self.run_dir, origin=ORIGIN_PORT, **kw))
        self.sh(*self.in_srv("nginx", "-c", conf))
        wait_until(lambda: os.path.exists(f"{self.run_dir}/nginx.pid"), 5, "nginx started")

    def put(self, path, data):
        """A file of the origin's."""
        full = os.path.join(self.run_dir, "www", path.lstrip("/"))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())

    def origin_hits(self, path):
        """How often nginx was asked for the path."""
        with open(f"{self.run_dir}/access.log", encoding="latin1") as f:
            return sum(1 for line in f if f" {path} HTTP" in line)

    def spawn(self, name, cmd):
        log = open(f"{self.run_dir}/{name}.log", "ab")
        self.procs[name] = subprocess.Popen(self.in_srv(*cmd), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        log.close()
        return self.procs[name]

    def start_dataplane(self):
        mark = self.log_size("dataplane")
        p = self.spawn("dataplane", [os.path.join(self.build, "dataplane", "sluice-dataplane"),
                                     "--config", self.config_path])

        def ready():
            if p.poll() is not None:
                raise AssertionError("dataplane ended: " + self.log("dataplane")[-2000:])
            return "ready" in self.log("dataplane")[mark:]
        wait_until(ready, 30, "dataplane ready")

    def start_control(self):
        p = self.spawn("control", [os.path.join(self.build, "control", "sluice-control"),
                                   "--config", self.config_path])

        def ready():
            if p.poll() is not None:
                raise AssertionError("control ended: " + self.log("control")[-2000:])
            r = self.ctl("status", "-o", "json", check=False)
            return r.returncode == 0 and '"attached": true' in json.dumps(json.loads(r.stdout))
        wait_until(ready, 20, "control attached")

    def log_size(self, name):
        try:
            return os.path.getsize(f"{self.run_dir}/{name}.log")
        except FileNotFoundError:
            return 0

    def log(self, name):
        try:
            with open(f"{self.run_dir}/{name}.log", encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def python(self, name, script, *args):
        """A Python origin or helper of the test in the server's namespace."""
        return self.spawn(name, ["python3", script, *args])

    # --- tear-down ----------------------------------------------------------------------------
    def kill(self, name, sig=signal.SIGKILL, wait=10):
        p = self.procs.pop(name, None)
        if p is None:
            return
        p.send_signal(sig)
        try:
            p.wait(wait)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()

    def pid(self, name):
        return self.procs[name].pid

    def stop(self):
        for name in ("control", "dataplane"):
            self.kill(name)
        # Servers with workers of their own take these along only when they are asked to end.
        for name in list(self.procs):
            self.kill(name, signal.SIGTERM, wait=3)
        self.stop_nginx()
        for ns in (self.srv, self.cli):
            self.sh("ip", "netns", "del", ns, check=False)
        if os.environ.get("SLUICE_KEEP"):
            print("kept", self.run_dir)
        else:
            shutil.rmtree(self.run_dir, ignore_errors=True)

    def read_pid(self, name):
        with open(f"{self.run_dir}/{name}.pid", encoding="ascii") as f:
            return int(f.read())

    def stop_nginx(self, name="nginx"):
        """By its master's pid file; a master that is killed would leave its workers behind."""
        try:
            pid = self.read_pid(name)
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 10, f"{name} stopped")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            pass

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    # --- clients ------------------------------------------------------------------------------
    def socket_in(self, ns, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        """A socket of this process that lives in a namespace; it stays there, the thread does not."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{ns}", os.O_RDONLY)
        try:
            _setns(there)
            try:
                return socket.socket(family, kind)
            finally:
                _setns(home)
        finally:
            os.close(there)
            os.close(home)

    def connect(self, door=DOOR, port=80, timeout=10, rcvbuf=None):
        """A TCP connection from the client's namespace."""
        s = self.socket_in(self.cli, socket.AF_INET6 if ":" in door else socket.AF_INET)
        s.settimeout(timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        try:
            s.connect((door, port))
        except BaseException:
            s.close()
            raise
        return s

    def client(self, **kw):
        """An HTTP client on a connection of its own; use it in a with."""
        return Client(self.connect(**kw))

    def get(self, path, headers=(), method="GET", host="api.test", body=None, timeout=10):
        """One request on a new connection; returns http1.Response."""
        with self.client(timeout=timeout) as c:
            return c.ask(path, headers=headers, method=method, host=host, body=body)

    def alive(self, *names):
        """Raises when a process has ended, with the end of its log."""
        for name in names or ("dataplane", "control"):
            p = self.procs.get(name)
            if p is None or p.poll() is not None:
                raise AssertionError(f"{name} ended: {p and p.returncode}: {self.log(name)[-3000:]}")

    def ctl(self, *args, check=True):
        return self.sh(os.path.join(self.build, "control", "cli", "sluicectl"), "-s",
                       f"{self.run_dir}/admin.sock", *args, check=check)

    def ctl_json(self, *args):
        return json.loads(self.ctl("-o", "json", *args).stdout)

    def metric(self, name, **labels):
        """Sum over cores of a metric whose labels match."""
        text = subprocess.run(self.in_srv("curl", "-s", "http://127.0.0.1:9900/metrics"),
                              capture_output=True, text=True, check=True).stdout
        total = 0.0
        for line in text.splitlines():
            if line.startswith(name) and line[len(name):len(name) + 1] in ("{", " "):
                if all(f'{k}="{v}"' in line for k, v in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def curl(self, path, *args, host="api.test", timeout=20, door=DOOR):
        """GET through the front door: (status, headers in lower case, body)."""
        out = tempfile.NamedTemporaryFile(dir=self.run_dir, delete=False)
        head = out.name + ".head"
        cmd = self.in_cli("curl", "-sS", "--max-time", str(timeout), "-D", head, "-o", out.name,
                          "-H", f"Host: {host}", *args, f"http://{door}{path}")
        r = subprocess.run(cmd, capture_output=True, text=True, check=False)
        if r.returncode != 0:
            raise AssertionError(f"curl {path}: exit {r.returncode}: {r.stderr.strip()}")
        with open(head, encoding="latin1") as f:
            blocks = [b for b in f.read().replace("\r", "").split("\n\n") if b]
        lines = blocks[-1].split("\n")
        headers = {}
        for line in lines[1:]:
            k, _, v = line.partition(":")
            headers[k.strip().lower()] = v.strip()
        with open(out.name, "rb") as f:
            body = f.read()
        os.unlink(out.name)
        os.unlink(head)
        return int(lines[0].split()[1]), headers, body

    def raw(self, data, door=DOOR, port=80, timeout=5, shut=False):
        """Sends bytes from the client's namespace, returns all bytes until the peer closes."""
        script = (
            "import socket,sys\n"
            "s=socket.create_connection((sys.argv[1],int(sys.argv[2])),float(sys.argv[3]))\n"
            "d=sys.stdin.buffer.read()\n"
            "s.sendall(d)\n"
            "if sys.argv[4]=='1': s.shutdown(socket.SHUT_WR)\n"
            "out=b''\n"
            "try:\n"
            "    while True:\n"
            "        b=s.recv(65536)\n"
            "        if not b: break\n"
            "        out+=b\n"
            "except socket.timeout: out+=b'<TIMEOUT>'\n"
            "except ConnectionResetError: out+=b'<RESET>'\n"
            "sys.stdout.buffer.write(out)\n")
        r = subprocess.run(self.in_cli("python3", "-c", script, door, str(port), str(timeout),
                                       "1" if shut else "0"), input=data, capture_output=True,
                           check=False)
        if r.returncode != 0:
            raise AssertionError(r.stderr.decode())
        return r.stdout

    def wrk(self, *args, path="/"):
        return subprocess.run(self.in_cli("wrk", *args, "-H", "Host: api.test",
                                          f"http://{DOOR}{path}"),
                              capture_output=True, text=True, check=True).stdout
