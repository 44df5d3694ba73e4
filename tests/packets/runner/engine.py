"""Runs the events of one script against one stack."""

import fcntl
import re
import select
import socket
import struct

from . import show, wire
from .script import ANY, ScriptError
from .stack import Stack, StackError

LOCAL = {4: "192.168.0.1", 6: "fd3d:fa7b:d17d::1"}
REMOTE = {4: "192.0.2.1", 6: "2001:db8::1"}
ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}
LOCAL_PORT, REMOTE_PORT, CONNECT_PORT = 8080, 40000, 8080
PATIENCE = 7200.0  # virtual seconds that an expectation at any time waits
WRAP_AFTER = 1000
TS_SLACK = 2       # ticks of the stack's timestamp clock
STATES = ["CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
          "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"]
ACK, SYN, PSH = (wire.FLAG_BITS[c] for c in ".SP")


def start_for_wrap(isn):
    """Microseconds that the stack must begin later, for its numbers to wrap after WRAP_AFTER bytes
    when without they begin with isn: they follow a clock of 4.096 us (RFC 6528)."""
    return (((1 << 32) - WRAP_AFTER - isn) % (1 << 32)) * 4096 // 1000


class Failure(Exception):
    """The stack did not do what the script expects."""


class Flow:
    """One connection as its peer sees it."""

    def __init__(self, rport, lport, remote_isn):
        self.rport, self.lport = rport, lport
        self.remote_isn, self.local_isn = remote_isn, None
        self.fresh = True     # the stack's next SYN tells its initial number
        self.ts_base = None   # the stack's timestamp that the script calls ts_name
        self.ts_name = 0
        self.ts_last = 0
        self.cookie = b""     # of fast open
        self.written = bytearray()
        self.syn_seq = 0      # of the peer's last SYN
        self.read = 0         # the next byte's place in the peer's numbers, from 0
        self.own_bytes = False  # the script sent bytes of its own choice


def pattern(first, count, salt):
    """The bytes of a stream from an offset on; the same offset always has the same byte."""
    return bytes(((i * 0x9e3779b1 + salt) >> 13) & 255 for i in range(first, first + count))


def constant(text):
    """The value of SO_LINGER, O_RDWR|O_NONBLOCK, 3 and the like."""
    value = 0
    for word in text.split("|"):
        word = word.strip()
        for where in (socket, select, fcntl):
            if hasattr(where, word):
                value |= int(getattr(where, word))
                break
        else:
            extra = {"SIOCINQ": 0x541b, "FIONREAD": 0x541b, "SIOCOUTQ": 0x5411,
                     "O_RDWR": 2, "O_NONBLOCK": 0o4000, "TCP_CONGESTION": 13, "POLLRDHUP": 0x2000,
                     "TCP_INFO": 11, "TCP_FASTOPEN": 23, "MSG_FASTOPEN": 0x20000000}
            try:
                value |= extra[word] if word in extra else int(word, 0)
            except ValueError:
                raise ValueError(f"unknown constant {word!r}") from None
    return value


def packed(text):
    """The bytes of [1], [1, 0] or "text"."""
    if text.startswith('"'):
        return text.strip('"').encode()
    if text.startswith("["):
        values = [constant(v) for v in text.strip("[]").split(",") if v.strip()]
        return struct.pack(f"={len(values)}i", *values)
    return struct.pack("=i", constant(text))


class Engine:
    def __init__(self, stack_so, script, out=None, start_us=0):
        self.script, self.version, self.out = script, script.version, out
        self.v6 = script.version == 6
        self.log = []
        flags = [f"local={LOCAL[4]}", f"local={LOCAL[6]}", f"mtu={script.mtu}", "nonblock=1",
                 f"start_ms={1000000 + start_us // 1000}", f"start_us={start_us % 1000}"]
        try:
            self.stack = Stack(stack_so, ",".join(flags + script.flags))
        except StackError as e:
            raise ScriptError(f"{script.path}: set: {e}") from None
        self.src, self.dst = wire.address(REMOTE[self.version]), wire.address(LOCAL[self.version])
        self.first_isn = None  # the stack's first initial sequence number
        self.flows = {}
        self.current = None   # flow of a segment that names no port
        self.fd_flow = {}
        self.held = None      # a frame that was looked at and not expected yet
        self.last = 0.0       # time of the last event
        self.event = None
        self.counters = {}
        for e in script.events:
            if e.kind == "assert" and e.fd is None:
                for name, _, _ in e.checks:
                    self.counters[name] = self.guard(self.stack.counter, name)

    @staticmethod
    def guard(call, *args):
        try:
            return call(*args)
        except StackError as e:
            raise ScriptError(str(e)) from None

    # --- messages -----------------------------------------------------------------------------------
    def fail(self, why):
        raise Failure(f"{self.script.path}:{self.event.line}: {why}")

    def note(self, text):
        line = f"{self.stack.now():12.6f} {text}"
        self.log.append(line)
        if self.out:
            print(line, file=self.out)

    def describe(self, p):
        if p["kind"] == "tcp":
            f = self.flow_of(p)
            # A reset that answers an ACK of a connection unknown to us shows that ACK's number.
            return show.tcp_text(p, f.local_isn or 0 if f else 0, f.remote_isn if f else 0)
        return show.icmp_text(p) if p["kind"] == "icmp" else show.other_text(p)

    # --- flows --------------------------------------------------------------------------------------
    def flow_of(self, p):
        f = self.flows.get(p["dport"])
        if f and f.lport is None and p["flags"] & SYN:
            f.lport = p["sport"]
        if f is None or f.lport != p["sport"]:
            return None
        if p["flags"] & SYN and f.fresh:
            f.local_isn, f.fresh = p["seq"], False
            self.first_isn = p["seq"] if self.first_isn is None else self.first_isn
        return f

    def flow_for(self, mods):
        """The flow that a segment of the script belongs to."""
        rport = mods.get("rport", self.current.rport if self.current else REMOTE_PORT)
        if rport not in self.flows:
            lport = mods.get("lport", LOCAL_PORT)
            self.flows[rport] = Flow(rport, lport, self.script.remote_isn)
        if self.current is None:
            self.current = self.flows[rport]
        return self.flows[rport]

    # --- time ---------------------------------------------------------------------------------------
    def window(self, time):
        if time.base == "any":
            return self.last, self.last + PATIENCE
        base = self.last if time.base == "rel" else 0.0
        return base + time.low, base + time.high

    def advance(self, t):
        """To the time of something that we do; nothing may be sent until then."""
        now = self.stack.now()
        if t < now - self.script.tolerance:  # less is what a packet before came late
            self.fail(f"time goes back: it is {now:.6f} already, and this is due at {t:.6f}")
        if self.sent_until(t):
            at, data = self.take_frame()
            text = self.describe(self.read_frame(data))
            self.note("> " + text)
            self.fail(f"unexpected at {at:.6f}: > {text}")

    def receive(self):
        """The next frame within the event's time, read."""
        low, high = self.window(self.event.time)
        slack = self.script.tolerance
        if not self.sent_until(max(high + slack, self.stack.now())):
            self.fail(f"nothing was sent until {high + slack:.6f}; expected: {self.wanted_text()}")
        at, data = self.take_frame()
        p = self.read_frame(data)
        self.note("> " + self.describe(p))
        if at < low - slack or at > high + slack:
            when = f"{low:.6f}" if low == high else f"{low:.6f} to {high:.6f}"
            self.fail(f"expected at {when}, came at {at:.6f} "
                      f"({at - (low if at < low else high):+.6f} s): > {self.describe(p)}")
        return p

    def read_frame(self, data):
        try:
            return wire.read_frame(data)
        except wire.Bad as e:
            return self.fail(f"the stack sent a malformed frame: {e}: {data.hex()}")

    def wanted_text(self):
        e = self.event
        if e.kind == "expect":
            return "> " + self.segment_text(e.segment)
        return f"> icmp {e.icmp}"

    def segment_text(self, s):
        """As the script has it, with * for what it leaves free."""
        flags = "*" if s.flags is None else show.flags_text(s.flags)
        seq = "*" if s.seq is None else f"{s.seq}:{s.seq + s.len}({s.len})"
        text = f"{flags} {seq}"
        if s.ack is not None:
            text += f" ack {s.ack}"
        if s.win is not None:
            text += f" win {s.win}" if not isinstance(s.win, tuple) else " win %d~%d" % s.win
        if s.options is ANY:
            return text + " <...>"
        if s.options:
            text += " <" + ",".join(show.option_text(n, a, 0) for n, a in s.options) + ">"
        return text

    # --- sending ------------------------------------------------------------------------------------
    def own_options(self, flow, options):
        out = []
        for name, args in options:
            if name == "sack":
                args = tuple((lo + (flow.local_isn or 0), hi + (flow.local_isn or 0))
                             for lo, hi in args)
            elif name == "TS":
                ecr = flow.ts_last if args[1] == "last" else \
                    args[1] if flow.ts_base is None else args[1] - flow.ts_name + flow.ts_base
                args = (args[0], ecr)
            elif name == "FO" and args[0] == "last":
                args = (flow.cookie,)
            out.append((name, args))
        return out

    def tcp_body(self, s):
        flow = self.flow_for(s.mods)
        seq, size = s.seq or 0, s.len or 0
        payload = s.payload
        if payload is None:
            payload = pattern(seq + (1 if (s.flags or 0) & SYN else 0) - 1, size, 1)
        elif payload:
            flow.own_bytes = True
        ack = 0 if s.ack is None else s.ack + (flow.local_isn or 0)
        if (s.flags or 0) & (SYN | ACK) == SYN:
            flow.fresh, flow.syn_seq = True, seq
        win = s.win if isinstance(s.win, int) else 65535
        h = {"sport": flow.rport, "dport": s.mods.get("lport", flow.lport or LOCAL_PORT),
             "seq": seq + flow.remote_isn, "ack": ack, "flags": s.flags or 0, "win": win,
             "urg": s.urg or 0, "options": self.own_options(flow, s.options),
             "payload": payload, "doff": s.mods.get("doff"),
             "reserved": s.mods.get("reserved", 0), "badsum": s.mods.get("badsum")}
        src = wire.address(s.mods["src"]) if "src" in s.mods else self.src
        dst = wire.address(s.mods["dst"]) if "dst" in s.mods else self.dst
        return src, dst, wire.tcp_bytes(src, dst, h)

    def inject(self, packets, mods):
        for packet in packets:
            data = wire.frame(packet, mods.get("vlan")) + b"\0" * mods.get("pad", 0)
            if not self.stack.send_frame(data):
                self.fail(f"a frame of {len(data)} bytes is too long for the MTU")

    def do_send(self, e):
        self.advance(self.window(e.time)[0])
        src, dst, body = self.tcp_body(e.segment)
        self.note("< " + self.segment_text(e.segment))
        m = e.segment.mods
        packets = wire.fragments(src, dst, wire.TCP, body, m) if "frag" in m else \
            [wire.ip_packet(src, dst, wire.TCP, body, m)]
        self.inject(packets, m)

    def do_send_raw(self, e):
        self.advance(self.window(e.time)[0])
        self.note(f"< raw {e.data.hex()}")
        self.stack.send_frame(e.data)

    def quoted(self, s):
        """A segment of ours as a router would quote it: sent by the stack, numbers as in >."""
        flow = self.flow_for(s.mods)
        h = {"sport": flow.lport or LOCAL_PORT, "dport": flow.rport,
             "seq": (s.seq or 0) + (flow.local_isn or 0),
             "ack": (s.ack or 0) + flow.remote_isn, "flags": s.flags or 0, "win": 65535, "urg": 0,
             "options": [], "payload": pattern(0, s.len or 0, 2)}
        return wire.ip_packet(self.dst, self.src, wire.TCP,
                              wire.tcp_bytes(self.dst, self.src, h), s.mods)

    def do_send_icmp(self, e):
        self.advance(self.window(e.time)[0])
        kind = wire.ICMP_KINDS[e.icmp][1 if self.v6 else 0]
        if kind is None:
            raise ScriptError(f"{self.script.path}:{e.line}: IPv6 has no icmp {e.icmp}")
        f = e.fields
        kind = (kind[0], f.get("code", kind[1]))
        if "id" in f or "seq" in f or e.icmp.startswith("echo"):
            rest = struct.pack("!HH", f.get("id", 0), f.get("seq", 0))
        elif self.v6:
            rest = struct.pack("!I", f.get("mtu", 0))
        else:
            rest = struct.pack("!HH", 0, f.get("mtu", 0))
        body = b"\xa5" * f.get("len", 0)
        if e.quote:
            head = 40 if self.v6 else 20
            body = self.quoted(e.quote)[:head + f.get("bytes", 64 if self.v6 else 8)]
        self.note(f"< icmp {e.icmp} {f}")
        self.inject([wire.icmp_packet(self.src, self.dst, kind, rest, body, e.mods)], e.mods)

    # --- expecting ----------------------------------------------------------------------------------
    def do_expect(self, e):
        p = self.receive()
        if p["kind"] != "tcp":
            self.fail(f"expected: {self.wanted_text()}\n    came:     > {self.describe(p)}")
        wanted = self.flow_for(e.segment.mods)
        flow = self.flow_of(p)
        if flow is not wanted:
            self.fail(f"expected from port {wanted.lport} to {wanted.rport}, "
                      f"came from {p['sport']} to {p['dport']}: > {self.describe(p)}")
        diff = list(self.differences(e.segment, p, flow))
        self.learn(p, flow, e.segment)
        if diff:
            self.fail("\n    ".join(
                [f"expected: {self.wanted_text()}", f"came:     > {self.describe(p)}"]
                + [f"{name}: expected {want}, came {came}" for name, want, came in diff]))

    def do_allow(self, e):
        """The next frame may be this one; when it is not, or is not sent in time, it stays."""
        low, high = self.window(e.time)
        slack = self.script.tolerance
        if not self.sent_until(max(high + slack, self.stack.now())):
            return
        self.held = self.take_frame()
        at, data = self.held
        p = self.read_frame(data)
        if p["kind"] != "tcp" or not low - slack <= at <= high + slack:
            return
        flow = self.flow_of(p)
        if flow and flow is self.flow_for(e.segment.mods) and \
                not list(self.differences(e.segment, p, flow)):
            self.note("> " + self.describe(p))
            self.learn(p, flow, e.segment)
            self.held = None

    def take_frame(self):
        """The frame that an event before had looked at, or the next one."""
        held, self.held = self.held, None
        return held or self.stack.receive_frame()

    def sent_until(self, t):
        return self.held is not None or self.stack.run_until(t)

    @staticmethod
    def learn(p, flow, s):
        for name, args in p["options"]:
            if name == "TS":
                flow.ts_last = args[0]
                if flow.ts_base is None:
                    flow.ts_base = args[0]
                    wants = [] if s is None or s.options is ANY else [a for n, a in s.options if n == "TS"]
                    flow.ts_name = wants[0][0] if wants and wants[0][0] != "*" else 0
            if name == "FO":
                flow.cookie = args[0]

    def differences(self, s, p, flow):
        own = flow.local_isn or 0
        ignored = 0 if p["payload"] else PSH
        if s.flags is not None and s.flags | ignored != p["flags"] | ignored:
            yield "flags", show.flags_text(s.flags), show.flags_text(p["flags"])
        seq = show.signed(p["seq"] - own)
        if s.seq is not None and (s.seq, s.len) != (seq, len(p["payload"])):
            yield "seq", f"{s.seq}:{s.seq + s.len}({s.len})", \
                f"{seq}:{seq + len(p['payload'])}({len(p['payload'])})"
        ack = show.signed(p["ack"] - flow.remote_isn)
        if s.ack is not None and (not p["flags"] & ACK or s.ack != ack):
            yield "ack", s.ack, ack if p["flags"] & ACK else "none"
        low, high = s.win if isinstance(s.win, tuple) else (s.win, s.win)
        if low is not None and not low <= p["win"] <= high:
            yield "win", low if low == high else f"{low}~{high}", p["win"]
        if (s.urg or 0) != p["urg"]:
            yield "urg", s.urg or 0, p["urg"]
        yield from self.option_differences(s, p, flow)
        yield from self.payload_differences(s, p, flow, seq)
        for name in ("ecn", "vlan", "ttl", "df", "tos"):
            if name in s.mods and s.mods[name] != p[name]:
                yield name, s.mods[name], p[name]

    def option_differences(self, s, p, flow):
        if s.options is ANY:
            return
        want = [n for n, _ in s.options]
        came = [n for n, _ in p["options"]]
        came_text = ",".join(show.option_text(n, a, flow.remote_isn) for n, a in p["options"])
        if want != came:
            yield "options", f"<{','.join(show.option_text(n, a, 0) for n, a in s.options)}>", \
                f"<{came_text}>"
            return
        for (name, w), (_, c) in zip(s.options, p["options"]):
            if not self.option_equal(name, w, c, flow):
                yield "option", show.option_text(name, w, 0), \
                    show.option_text(name, c, flow.remote_isn)

    @staticmethod
    def option_equal(name, want, came, flow):
        if want == "*" or want == ("*",):
            return True
        if name == "sack":
            isn = flow.remote_isn
            return [tuple(map(show.signed, (lo - isn, hi - isn))) for lo, hi in came] == list(want)
        if name == "TS":
            base = came[0] if flow.ts_base is None else flow.ts_base
            val_ok = want[0] == "*" or flow.ts_base is None or \
                abs(show.signed(came[0] - base) - (want[0] - flow.ts_name)) <= TS_SLACK
            return val_ok and want[1] in ("*", came[1])
        return want == came

    def payload_differences(self, s, p, flow, seq):
        came = p["payload"]
        if not came:
            return
        at = seq - 1 + (1 if p["flags"] & SYN else 0)
        want = s.payload if s.payload is not None else bytes(flow.written[at:at + len(came)])
        if want != came:
            first = next((i for i, (a, b) in enumerate(zip(want, came)) if a != b),
                         min(len(want), len(came)))
            yield "payload", f"{want[first:first + 16].hex()}... from byte {first}", \
                f"{came[first:first + 16].hex()}..."

    def do_expect_icmp(self, e):
        p = self.receive()
        kind = wire.ICMP_KINDS[e.icmp][1 if self.v6 else 0]
        if p["kind"] != "icmp" or p["type"] != kind[0] or p["code"] != e.fields.get("code", kind[1]):
            self.fail(f"expected: > icmp {e.icmp}\n    came:     > {self.describe(p)}")
        ident, seq = struct.unpack("!HH", p["rest"])
        for name, came in (("id", ident), ("seq", seq), ("len", len(p["body"])), ("mtu", seq)):
            if name in e.fields and e.fields[name] != came:
                self.fail(f"icmp {e.icmp}: {name}: expected {e.fields[name]}, came {came}")

    def do_expect_raw(self, e):
        low, high = self.window(e.time)
        if not self.sent_until(max(high + self.script.tolerance, self.stack.now())):
            self.fail(f"nothing was sent until {high:.6f}; expected a frame")
        at, data = self.take_frame()
        want, more = e.pattern
        self.note(f"> raw {data.hex()}")
        if at < low - self.script.tolerance:
            self.fail(f"expected at {low:.6f}, came at {at:.6f}")
        if len(data) < len(want) or (len(data) > len(want) and not more):
            self.fail(f"expected a frame of {len(want)} bytes, came one of {len(data)}")
        for i, (a, b) in enumerate(zip(want, data)):
            if a is not None and a != b:
                self.fail(f"byte {i} of the frame: expected {a:02x}, came {b:02x}: {data.hex()}")

    # --- the rest -----------------------------------------------------------------------------------
    def do_quiet(self, e):
        self.advance(self.window(e.time)[1])

    def do_acks(self, e):
        """Bare ACKs, as many as come until then; the last of them counts for ecr last."""
        until = self.window(e.time)[1]
        while self.sent_until(max(until, self.stack.now())):
            at, data = self.take_frame()
            p = self.read_frame(data)
            text = self.describe(p)
            self.note("> " + text)
            flow = self.flow_of(p) if p["kind"] == "tcp" else None
            if flow is None or p["flags"] != ACK or p["payload"]:
                self.fail(f"unexpected at {at:.6f}, where only ACKs may come: > {text}")
            self.learn(p, flow, None)

    def do_print(self, e):
        self.advance(self.window(e.time)[0])
        names = self.stack.stack_so.state_names
        self.note(f"fd {e.fd}: " + " ".join(f"{n}={self.guard(self.stack.state, e.fd, n)}"
                                            for n in names))

    def do_assert(self, e):
        self.advance(self.window(e.time)[0])
        for name, op, text in e.checks:
            if e.fd is None:
                came = self.guard(self.stack.counter, name) - self.counters[name]
            else:
                came = self.field(e.fd, name)
            want = STATES.index(text) if text in STATES else int(text, 0)
            ok = {"==": came == want, "!=": came != want, "<": came < want, ">": came > want,
                  "<=": came <= want, ">=": came >= want}[op]
            if not ok:
                came = STATES[came] if name == "state" else came
                self.fail(f"{name}: expected {op} {text}, is {came}")

    def field(self, fd, name):
        if name in ("cwnd", "ssthresh"):
            mss = self.guard(self.stack.state, fd, "mss")
            return self.guard(self.stack.state, fd, name + "_bytes") // max(mss, 1)
        return self.guard(self.stack.state, fd, name)

    def run(self):
        try:
            for self.event in self.script.events:
                getattr(self, "do_" + self.event.kind)(self.event)
                self.last = self.stack.now()
            self.advance(self.stack.now())
        except ValueError as e:
            raise ScriptError(f"{self.script.path}:{self.event.line}: {e}") from None
        finally:
            self.stack.free()

    # --- socket calls -------------------------------------------------------------------------------
    def do_call(self, e):
        self.advance(self.window(e.time)[0])
        call = getattr(self, "call_" + e.name, None)
        if call is None:
            raise ScriptError(f"{self.script.path}:{e.line}: no such call: {e.name}")
        self.note(f"  {e.name}({', '.join(e.args)})")
        came, error = call(e.args)
        if e.result != "*" and (constant(e.result) != came or e.error != error):
            want = e.result + (f" {e.error}" if e.error else "")
            self.fail(f"{e.name}: expected {want}, returned {came}" + (f" {error}" if error else ""))

    def port_of(self, args, at, default):
        m = re.match(r":(\d+)$", args[at]) if len(args) > at else None
        return int(m[1]) if m else default

    def call_socket(self, args):
        kind = constant(args[1]) if len(args) > 1 else socket.SOCK_STREAM
        return self.stack.socket(self.v6, kind, 0)

    def call_bind(self, args):
        return self.stack.bind(int(args[0]), LOCAL[self.version],
                               self.port_of(args, 1, LOCAL_PORT))

    def call_listen(self, args):
        return self.stack.listen(int(args[0]), int(args[1]))

    def call_accept(self, args):
        r, error, rport = self.stack.accept(int(args[0]))
        if r >= 0:
            flow = self.fd_flow[r] = self.flows.get(rport)
            if flow:
                flow.read, flow.written = flow.syn_seq, bytearray()
        return r, error

    def peer_flow(self, args, at):
        """A flow for a connection that we open; its port is learned from the SYN."""
        port = self.port_of(args, at, CONNECT_PORT)
        self.flows[port] = Flow(port, None, self.script.remote_isn)
        if self.current is None or self.current.rport == port:
            self.current = self.flows[port]
        return port

    def call_connect(self, args):
        port = self.peer_flow(args, 1)
        self.fd_flow[int(args[0])] = self.flows[port]
        return self.stack.connect(int(args[0]), REMOTE[self.version], port)

    def flags_arg(self, args):
        return constant(args[3]) if len(args) > 3 else 0

    def call_read(self, args):
        fd = int(args[0])
        flow = self.fd_flow.get(fd)
        r, error, data = self.stack.recv(fd, int(args[2]), self.flags_arg(args))
        if r > 0 and flow:
            if args[1].startswith('"'):
                want = args[1][1:-1].encode().decode("unicode_escape").encode("latin-1")
            elif flow.own_bytes:
                want = data
            else:
                want = pattern(flow.read, r, 1)
            if want != data:
                self.fail(f"read: expected the bytes {want[:24]!r}, came {data[:24]!r}")
            if not self.flags_arg(args) & socket.MSG_PEEK:
                flow.read += r
        return r, error

    call_recv = call_read

    def call_write(self, args):
        fd, count = int(args[0]), int(args[2])
        flow = self.fd_flow.get(fd)
        at = len(flow.written) if flow else 0
        data = args[1][1:-1].encode().decode("unicode_escape").encode("latin-1") \
            if args[1].startswith('"') else pattern(at, count, 2)
        if flow:
            flow.written += data
        r, error = self.stack.send(fd, data[:count], self.flags_arg(args))
        if flow:
            del flow.written[at + max(r, 0):]
        return r, error

    call_send = call_write

    def call_sendto(self, args):
        """connect() and write() in one: sendto(3, ..., 100, MSG_FASTOPEN, ..., ...)"""
        fd, count = int(args[0]), int(args[2])
        port = self.peer_flow(args, 4)
        flow = self.fd_flow[fd] = self.flows[port]
        flow.written = bytearray(pattern(0, count, 2))
        return self.stack.sendto(fd, bytes(flow.written), self.flags_arg(args),
                                 REMOTE[self.version], port)

    def call_shutdown(self, args):
        return self.stack.shutdown(int(args[0]), constant(args[1]))

    def call_close(self, args):
        return self.stack.close(int(args[0]))

    def call_fcntl(self, args):
        return self.stack.fcntl(int(args[0]), constant(args[1]),
                                constant(args[2]) if len(args) > 2 else 0)

    def call_ioctl(self, args):
        r, error, value = self.stack.ioctl(int(args[0]), constant(args[1]))
        if r == 0 and len(args) > 2 and args[2] != "..." and constant(args[2].strip("[]")) != value:
            self.fail(f"ioctl {args[1]}: expected {args[2]}, is {value}")
        return r, error

    def call_setsockopt(self, args):
        return self.stack.setsockopt(int(args[0]), constant(args[1]), constant(args[2]),
                                     packed(args[3]))

    def call_getsockopt(self, args):
        r, error, data = self.stack.getsockopt(int(args[0]), constant(args[1]), constant(args[2]),
                                               256)
        if r == 0 and args[3] not in ("...", "[*]"):
            want = packed(args[3])
            if not args[3].startswith("["):
                data = data.rstrip(b"\0")
            if data != want:
                self.fail(f"getsockopt {args[2]}: expected {args[3]}, is "
                          f"{list(struct.unpack('=%di' % (len(data) // 4), data)) if len(data) % 4 == 0 else data}")
        return r, error

    def call_poll(self, args):
        r, error, revents = self.stack.poll(int(args[0]), constant(args[1]))
        return (revents if r >= 0 else r), error
