"""Real Redis servers, a cluster of them, servers that misbehave, and l3_client, for test_l3.py.

Single servers listen on a Unix socket in a temporary folder. A cluster needs ports, so it lives on
the loopback of a network namespace of its own (root). Everything started here is ended by stop().
"""

import collections
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from lab import BUILD, wait_until

CLIENT = os.path.join(BUILD, "tests", "l3_client")


def why_not():
    """The reason why these tests cannot run here, or None."""
    for name in ("redis-server", "redis-cli"):
        if shutil.which(name) is None:
            return f"{name} is missing: scripts/deps --tests"
    return None


def netns():
    return f"l3-{os.getpid()}"


class Redis:
    """One server. args: more of its configuration, as on its command line."""

    def __init__(self, folder, name="redis", port=0, ns=None, args=()):
        self.folder, self.port, self.ns = folder, port, ns
        self.path = os.path.join(folder, name + ".sock")
        self.log = os.path.join(folder, name + ".log")
        self.dir = os.path.join(folder, name)
        self.args = args
        self.proc = None
        os.makedirs(self.dir, exist_ok=True)

    def enter(self, *cmd):
        return (["ip", "netns", "exec", self.ns] if self.ns else []) + list(cmd)

    def start(self):
        self.proc = subprocess.Popen(
            self.enter("redis-server", "--port", str(self.port), "--unixsocket", self.path,
                       "--dir", self.dir, "--save", "", "--logfile", self.log, *self.args),
            stdin=subprocess.DEVNULL)
        wait_until(lambda: self.ping() or self.proc.poll() is not None, 10, "Redis is up")
        if self.proc.poll() is not None:
            with open(self.log, encoding="utf-8") as f:
                raise AssertionError("Redis ends: " + f.read()[-500:])
        return self

    def ping(self):
        r = subprocess.run(["redis-cli", "-s", self.path, "PING"], check=False,
                           capture_output=True, text=True)
        return "PONG" in r.stdout or "NOAUTH" in r.stdout

    def cli(self, *words, stdin=None):
        r = subprocess.run(["redis-cli", "-s", self.path, *words], check=True, input=stdin,
                           capture_output=True, timeout=20)
        return r.stdout.decode(errors="replace").strip()

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def hang(self):
        self.proc.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.proc.send_signal(signal.SIGCONT)

    def stop(self):
        if self.proc is not None and self.proc.poll() is None:
            self.go_on()
            self.kill()


class Cluster:
    """Three masters on 127.0.0.1:7001 to 7003 of a namespace."""

    def __init__(self, folder):
        self.ns = netns()
        self.nodes = [Redis(folder, f"node{i}", 7001 + i, self.ns,
                            ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
                             "--cluster-require-full-coverage", "no", "--bind", "127.0.0.1"))
                      for i in range(3)]

    def start(self):
        subprocess.run(["ip", "netns", "add", self.ns], check=True)
        subprocess.run(["ip", "-n", self.ns, "link", "set", "lo", "up"], check=True)
        for n in self.nodes:
            n.start()
        subprocess.run(self.nodes[0].enter("redis-cli", "--cluster", "create",
                                           *(f"127.0.0.1:{n.port}" for n in self.nodes),
                                           "--cluster-yes"), check=True, capture_output=True)
        wait_until(self.whole, 20, "the cluster is whole")
        return self

    def whole(self):
        return all("cluster_state:ok" in n.cli("CLUSTER", "INFO") and
                   "cluster_slots_ok:16384" in n.cli("CLUSTER", "INFO") for n in self.nodes)

    def stop(self):
        for n in self.nodes:
            n.stop()
        subprocess.run(["ip", "netns", "del", self.ns], check=False)


class Client:
    """An l3_client, and its lines."""

    def __init__(self, address, *settings, ns=None):
        cmd = (["ip", "netns", "exec", ns] if ns else []) + [CLIENT, address, *settings]
        self.proc = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
        self.answers = collections.defaultdict(queue.Queue)  # by their first word
        self.purges = queue.Queue()
        self.log = []
        self.readers = [threading.Thread(target=self.read, args=a, daemon=True) for a in (
            (self.proc.stdout, self.sort), (self.proc.stderr, self.log.append))]
        for t in self.readers:
            t.start()

    @staticmethod
    def read(stream, sink):
        for line in stream:
            sink(line.rstrip("\n"))

    def sort(self, line):
        """Answers, and what comes unasked."""
        word = line.split()[0]
        (self.purges if word in ("purge", "lost") else self.answers[word]).put(line)

    def say(self, line):
        self.proc.stdin.write(line + "\n")
        self.proc.stdin.flush()

    def hear(self, start, seconds=10):
        """The words of the next answer that begins so."""
        try:
            return self.answers[start].get(timeout=seconds).split()
        except queue.Empty:
            raise AssertionError(f"no '{start}' within {seconds} s; exit {self.proc.poll()}; "
                                 f"log: {self.log[-5:]}") from None

    def heard(self, n, seconds=10):
        """The next n purges, each "KIND TEXT", or "lost"."""
        try:
            return [self.purges.get(timeout=seconds).removeprefix("purge").strip()
                    for _ in range(n)]
        except queue.Empty:
            raise AssertionError(f"not {n} purges; log: {self.log[-5:]}") from None

    def get(self, key):
        """(status, hash of the body)"""
        self.say(f"get {key}")
        words = self.hear("got")
        return " ".join(words[2:-2]), words[-1]

    def body(self, size, seed):
        self.say(f"body {size} {seed}")
        return self.hear("body")[1]

    def counts(self):
        self.say("counts")
        return {k: int(v) for k, v in (w.split("=") for w in self.hear("counts")[1:])}

    def load(self, ms=0, width=50, keys=500):
        self.say(f"load {ms} {width} {keys}")

    def unload(self):
        self.say("unload")
        return self.loaded()

    def loaded(self):
        names = ("ok", "miss", "timeout", "closed", "full", "invalid", "wrong")
        return dict(zip(names, map(int, self.hear("load", seconds=30)[1:])))

    def round_ms(self):
        self.say("round")
        return int(self.hear("round")[1]) / 1000

    def until(self, check, seconds=10, what="counts"):
        return wait_until(lambda: check(self.counts()), seconds, what)

    def ready(self):
        self.until(lambda c: c["servers_open"] == 0 and c["ready"] == 1,
                   what="every server takes commands")
        return self

    def stop(self):
        """Ends it as a program would, and says how it ended."""
        if self.proc.poll() is None:
            try:
                self.say("quit")
            except BrokenPipeError:
                pass
        try:
            rc = self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            rc = self.proc.wait()
        for t in self.readers:
            t.join()
        for stream in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            stream.close()
        return rc


class Bad:
    """Answers each connection by a function of (socket); what a Redis in trouble would send."""

    def __init__(self, folder, serve):
        self.path = os.path.join(folder, f"bad-{serve.__name__}.sock")
        self.serve = serve
        self.ended = False
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(64)
        self.sock.settimeout(0.1)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while not self.ended:
            try:
                conn, _ = self.sock.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self.one, args=(conn,), daemon=True).start()

    def one(self, conn):
        conn.settimeout(5)
        try:
            self.serve(conn)
        except OSError:
            pass
        conn.close()

    def stop(self):
        self.ended = True
        self.thread.join()
        self.sock.close()
        os.unlink(self.path)


class Wire:
    """Passes bytes between a socket of its own and a server's, until it is cut."""

    def __init__(self, folder, to):
        self.path = os.path.join(folder, "wire.sock")
        self.to = to
        self.whole = True
        self.ended = False
        self.conns = []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(64)
        self.sock.settimeout(0.1)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while not self.ended:
            try:
                near, _ = self.sock.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if not self.whole:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self.to)
            self.conns += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    @staticmethod
    def carry(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        a.close()  # the other direction closes b

    def cut(self):
        self.whole = False
        for s in self.conns:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.conns = []

    def mend(self):
        self.whole = True

    def stop(self):
        self.ended = True
        self.cut()
        self.thread.join()
        self.sock.close()


def folder():
    return tempfile.mkdtemp(prefix="l3-", dir="/tmp")
