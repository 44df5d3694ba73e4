"""The script language: text to a list of events. The grammar is in ../README.md."""

import ast
import operator
import re

from . import wire


class ScriptError(Exception):
    """The script itself is wrong: file, line and why."""


ANY = "any"
HEADER = {"title", "rfc", "ip", "mtu", "remote_isn", "tolerance", "set", "broken"}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
             ast.Div: operator.floordiv, ast.Mod: operator.mod, ast.LShift: operator.lshift,
             ast.RShift: operator.rshift}


class Segment:
    """One TCP segment as written; None or ANY where the script leaves a field free."""

    def __init__(self):
        self.flags = None   # bits; None: any
        self.seq = None     # relative to the sender's initial number; None: any
        self.len = None
        self.ack = None
        self.win = None     # None, a number, or (low, high)
        self.urg = None
        self.options = []   # [(name, args)], ANY, with "*" for a free argument
        self.payload = None
        self.mods = {}


class Event:
    def __init__(self, line, time, kind, **fields):
        self.line = line
        self.time = time    # Time
        self.kind = kind    # send, expect, send_icmp, expect_icmp, call, assert, quiet, print
        self.__dict__.update(fields)


class Time:
    """When: base "abs", "rel" or "any"; from low to high seconds."""

    def __init__(self, base, low=0.0, high=0.0):
        self.base, self.low, self.high = base, low, high


class Script:
    def __init__(self, path, version):
        self.path, self.version = path, version
        self.title, self.rfc, self.broken = "", "", None
        self.versions = [4, 6]
        self.mtu, self.tolerance = 1500, 0.002
        self.remote_isn = 0xffffffff - 999  # so that numbers wrap after a thousand bytes
        self.flags = []
        self.events = []


def evaluate(text, names):
    """An integer expression of + - * / % << >>, names and whole numbers."""
    def walk(n):
        if isinstance(n, ast.Constant) and isinstance(n.value, int):
            return n.value
        if isinstance(n, ast.Name):
            if n.id not in names:
                raise ValueError(f"unknown name {n.id!r}")
            return names[n.id]
        if isinstance(n, ast.BinOp) and type(n.op) in OPERATORS:
            return OPERATORS[type(n.op)](walk(n.left), walk(n.right))
        if isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.USub):
            return -walk(n.operand)
        raise ValueError("only + - * / % << >> of whole numbers and names")
    try:
        return walk(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError) as e:
        raise ValueError(f"expression {{{text}}}: {e}") from None


def number(text):
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


# --- times ------------------------------------------------------------------------------------------
TIME = re.compile(r"(\*|\+?\d+(?:\.\d+)?(?:~\+?\d+(?:\.\d+)?)?)(?=\s)\s*(.*)$", re.S)


def parse_time(text):
    """(Time, rest of the line); without a time the event is at +0."""
    m = TIME.match(text)
    if not m:
        return Time("rel"), text
    word, rest = m.groups()
    if word == "*":
        return Time("any"), rest
    low, _, high = word.partition("~")
    base = "rel" if low.startswith("+") else "abs"
    low_s = float(low)
    return Time(base, low_s, float(high) if high else low_s), rest


# --- segments ---------------------------------------------------------------------------------------
def parse_mods(text):
    """[ect0, ttl 5, frag 24 reverse, ...]"""
    m = {}
    for item in filter(None, (i.strip() for i in text.split(","))):
        word, *args = item.split()
        if word in wire.ECN_BITS and not args:
            m["ecn"] = wire.ECN_BITS[word]
        elif word in ("badsum", "badipsum", "df", "nodf") and not args:
            m["df" if word == "nodf" else word] = word != "nodf"
        elif word in ("ttl", "vlan", "rport", "lport", "doff", "reserved", "tos", "ip_id",
                      "pad") and len(args) == 1:
            m[word] = number(args[0])
        elif word in ("src", "dst") and len(args) == 1:
            m[word] = args[0]
        elif word == "exthdr" and args in (["hop"], ["dest"]):
            m["exthdr"] = args[0]
        elif word == "frag" and args:
            m["frag"] = number(args[0])
            if m["frag"] % 8 or m["frag"] <= 0:
                raise ValueError("frag needs a multiple of 8")
            if args[1:2] == ["reverse"]:
                m["frag_order"] = "reverse"
            elif args[1:2] == ["without"] and len(args) == 3:
                m["frag_drop"] = number(args[2])
            elif args[1:]:
                raise ValueError(f"frag: {' '.join(args[1:])!r} is neither reverse nor without N")
        else:
            raise ValueError(f"unknown modifier {item!r}")
    return m


def parse_option(item):
    word, *args = item.split()

    def value(text):
        return "*" if text == "*" else number(text)
    if word in ("nop", "eol", "sackOK") and not args:
        return word, ()
    if word in ("mss", "wscale", "uto") and len(args) == 1:
        return word, (value(args[0]),)
    if word == "TS":
        if len(args) == 4 and args[0] == "val" and args[2] == "ecr":
            ecr = args[3] if args[3] == "last" else value(args[3])
            return word, (value(args[1]), ecr)
        raise ValueError("TS needs: TS val N ecr N")
    if word == "sack" and args:
        if args == ["*"]:
            return word, "*"
        return word, tuple(tuple(number(n) for n in a.split(":", 1)) for a in args)
    if word == "FO" and len(args) <= 1:
        if args == ["*"]:
            return word, ("*",)
        if args == ["last"]:
            return word, ("last",)
        return word, (bytes.fromhex(args[0]) if args else b"",)
    if word == "opt" and 1 <= len(args) <= 2:
        return word, (number(args[0]), bytes.fromhex(args[1]) if len(args) > 1 else b"")
    raise ValueError(f"unknown option {item!r}")


def parse_options(text):
    if text.strip() == "...":
        return ANY
    return [parse_option(i.strip()) for i in text.split(",") if i.strip()]


SEGMENT = re.compile(r"(?P<flags>[FSRPUEW.]+|-|\*)(?:\s+(?P<seq>\*|-?\d+:-?\d+\(\d+\)))?"
                     r"(?P<rest>.*)$", re.S)


def parse_fields(s, rest):
    """ack N win N urg N <options> payload "..." fill N"""
    pattern = re.compile(r'\s*(?:<(?P<opt>[^>]*)>|payload\s+"(?P<text>[^"]*)"|'
                         r"(?P<word>ack|win|urg|fill)\s+(?P<value>[\w.*~-]+))")
    while rest.strip():
        m = pattern.match(rest)
        if not m:
            raise ValueError(f"cannot read {rest.strip()!r} of the segment")
        rest = rest[m.end():]
        if m["opt"] is not None:
            s.options = parse_options(m["opt"])
        elif m["text"] is not None:
            s.payload = m["text"].encode().decode("unicode_escape").encode("latin-1")
        elif m["word"] == "fill":
            s.payload = number(m["value"])
        elif m["value"] == "*":
            continue
        elif m["word"] == "win" and "~" in m["value"]:
            s.win = tuple(number(v) for v in m["value"].split("~"))
        else:
            setattr(s, m["word"], number(m["value"]))


def parse_segment(text):
    s = Segment()
    m = re.match(r"\s*\[([^\]]*)\]\s*(.*)$", text, re.S)
    if m:
        s.mods = parse_mods(m[1])
        text = m[2]
    m = SEGMENT.match(text.strip())
    if not m:
        raise ValueError(f"a segment begins with its flags (of FSRPUEW. or -), not {text.strip()!r}")
    if m["flags"] != "*":
        s.flags = 0
        for letter in m["flags"].replace("-", ""):
            s.flags |= wire.FLAG_BITS[letter]
    if m["seq"] and m["seq"] != "*":
        lo, hi, size = (int(v) for v in re.match(r"(-?\d+):(-?\d+)\((\d+)\)", m["seq"]).groups())
        if hi - lo != size:
            raise ValueError(f"{m['seq']}: the end is not the beginning and the length")
        s.seq, s.len = lo, size
    parse_fields(s, m["rest"])
    if isinstance(s.payload, int):
        s.payload = bytes([s.payload & 255]) * (s.len or 0)
    if s.payload is not None and s.len is not None and len(s.payload) != s.len:
        raise ValueError(f"the payload has {len(s.payload)} bytes, the segment {s.len}")
    return s


def parse_icmp(text):
    """KIND [mtu N] [code N] [id N] [seq N] [len N] [quote SEGMENT] [bytes N]"""
    mods = {}
    m = re.match(r"\s*\[([^\]]*)\]\s*(.*)$", text, re.S)
    if m:
        mods, text = parse_mods(m[1]), m[2]
    text = text.strip()
    if text.startswith("icmp "):
        text = text[5:].strip()
    head, _, quote = text.partition(" quote ")
    word, *args = head.split()
    if word not in wire.ICMP_KINDS:
        raise ValueError(f"unknown ICMP message {word!r}; one of {', '.join(wire.ICMP_KINDS)}")
    if len(args) % 2:
        raise ValueError(f"icmp {word}: {' '.join(args)!r} are no pairs of name and number")
    fields = dict(zip(args[::2], (number(a) for a in args[1::2])))
    for name in fields:
        if name not in ("mtu", "code", "id", "seq", "len", "bytes"):
            raise ValueError(f"icmp {word}: unknown field {name!r}")
    return word, fields, parse_segment(quote) if quote else None, mods


# --- calls ------------------------------------------------------------------------------------------
CALL = re.compile(r"(\w+)\s*\((.*)\)\s*=\s*(\S+)(?:\s+(E[A-Z]+)(?:\s*\(.*\))?)?\s*$", re.S)


def split_args(text):
    out, depth, item, quoted = [], 0, "", False
    for c in text:
        if c == '"':
            quoted = not quoted
        if not quoted:
            depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0 and not quoted:
            out.append(item.strip())
            item = ""
        else:
            item += c
    return out + [item.strip()] if item.strip() or out else []


def parse_bytes(text):
    """[(byte or None for ..)] and True when more may follow."""
    words = text.split()
    more = words[-1:] == ["..."]
    digits = "".join(words[:-1] if more else words)
    pairs = [digits[i:i + 2] for i in range(0, len(digits), 2)]
    return [None if p == ".." else bytes.fromhex(p)[0] for p in pairs], more


def parse_assert(text):
    """assert(4) name op value, ...    or    counter name op value, ..."""
    m = re.match(r"assert\s*\((\d+)\)\s*(.*)$", text)
    fd, body = (int(m[1]), m[2]) if m else (None, text[len("counter"):])
    out = []
    for item in filter(None, (i.strip() for i in body.split(","))):
        m = re.match(r"(\w+)\s*(==|!=|<=|>=|<|>)\s*([\w.-]+)$", item)
        if not m:
            raise ValueError(f"cannot read the assertion {item!r}")
        out.append(m.groups())
    if not out:
        raise ValueError("nothing is asserted")
    return fd, out


def parse_event(line, text):
    time, body = parse_time(text)
    if body.startswith(("< icmp", "> icmp")) or re.match(r"[<>]\s*\[[^\]]*\]\s*icmp ", body):
        word, fields, quote, mods = parse_icmp(body[1:].replace("icmp ", "", 1))
        return Event(line, time, "send_icmp" if body[0] == "<" else "expect_icmp", icmp=word,
                     fields=fields, quote=quote, mods=mods)
    if body.startswith("< raw "):
        return Event(line, time, "send_raw", data=bytes.fromhex(body[6:].replace(" ", "")))
    if body.startswith("> raw "):
        return Event(line, time, "expect_raw", pattern=parse_bytes(body[6:]))
    if body.startswith(">?"):
        return Event(line, time, "allow", segment=parse_segment(body[2:]))
    if body.startswith(("<", ">")):
        return Event(line, time, "send" if body[0] == "<" else "expect",
                     segment=parse_segment(body[1:]))
    if body.startswith(("assert", "counter")):
        fd, checks = parse_assert(body)
        return Event(line, time, "assert", fd=fd, checks=checks)
    if body in ("quiet", "acks"):
        return Event(line, time, body)
    m = re.match(r"print\s*\((\d+)\)$", body)
    if m:
        return Event(line, time, "print", fd=int(m[1]))
    m = CALL.match(body)
    if not m:
        raise ValueError(f"this is no event: {body!r}")
    return Event(line, time, "call", name=m[1], args=split_args(m[2]), result=m[3], error=m[4])


# --- shorthands and loops ----------------------------------------------------------------------------
def expand_establish(text):
    """establish [fd N] [rport N] [rtt S] [win N] [<options>]: a server's handshake in full."""
    m = re.search(r"<([^>]*)>", text)
    options = m[1] if m else "mss 1460"
    words = re.sub(r"<[^>]*>", "", text).split()[1:]
    if len(words) % 2:
        raise ValueError("establish: names and values come in pairs")
    given = dict(zip(words[::2], words[1::2]))
    for name in given:
        if name not in ("fd", "rport", "rtt", "win"):
            raise ValueError(f"establish: unknown {name!r}")
    fd, win, rtt = int(given.get("fd", 4)), given.get("win", "65535"), given.get("rtt", "0")
    mod = f"[rport {given['rport']}] " if "rport" in given else ""
    ts = [o for o in options.split(",") if o.strip().startswith("TS ")]
    ack = " <nop,nop,TS val %s ecr last>" % ts[0].split()[2] if ts else ""
    out = []
    if fd == 4:
        out += ["socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
                "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0",
                "bind(3, ..., ...) = 0", "listen(3, 64) = 0"]
    return out + [f"< {mod}S 0:0(0) win {win} <{options}>",
                  f"+0 > {mod}S. 0:0(0) ack 1 <...>",
                  f"+{rtt} < {mod}. 1:1(0) ack 1 win {win}{ack}",
                  f"accept(3, ..., ...) = {fd}"]


class Parser:
    def __init__(self, path, text, version):
        self.script = Script(path, version)
        self.lines = text.split("\n")
        self.version = version
        self.names = {}
        self.line = 0

    def fail(self, why):
        raise ScriptError(f"{self.script.path}:{self.line}: {why}")

    def substitute(self, text, names):
        # A brace with a name or a number in it is an expression; [{fd=...}] of poll is not used.
        return re.sub(r"\{([^{}]*)\}", lambda m: str(evaluate(m[1], names)), text)

    def header(self, key, value):
        s = self.script
        if key == "ip":
            versions = {"v4": [4], "v6": [6], "both": [4, 6]}
            if value not in versions:
                self.fail("ip: is v4, v6 or both")
            s.versions = versions[value]
        elif key == "set":
            s.flags += [f.strip() for f in value.split(",") if f.strip()]
        elif key in ("mtu", "remote_isn"):
            setattr(s, key, number(value))
        elif key == "tolerance":
            s.tolerance = float(value)
        else:
            setattr(s, key, value)
        if key == "mtu":
            self.builtin_names()

    def builtin_names(self):
        head = 20 if self.version == 4 else 40
        self.names.update(MTU=self.script.mtu, IPHDR=head, MSS=self.script.mtu - head - 20,
                          V4=int(self.version == 4), V6=int(self.version == 6))

    def block_end(self, at):
        depth = 1
        for i in range(at, len(self.lines)):
            word = self.clean(self.lines[i])
            depth += word.startswith("for ") - (word == "end")
            if depth == 0:
                return i
        return self.fail("this for has no end")

    @staticmethod
    def clean(text):
        return re.sub(r"(^|\s)(//|#).*$", "", text).strip()

    def loop(self, text, at, names):
        m = re.match(r"for\s+(\w+)\s+in\s+(\S+)\.\.(\S+)$", self.substitute(text, names))
        if not m:
            self.fail("a loop is: for NAME in FIRST..LAST")
        end = self.block_end(at + 1)
        for i in range(number(m[2]), number(m[3]) + 1):
            self.run(at + 1, end, {**names, m[1]: i})
        return end + 1

    def statement(self, text, names):
        m = re.match(r"let\s+(\w+)\s*=\s*(.*)$", text)
        if m:
            self.names[m[1]] = evaluate(m[2].replace("{", "(").replace("}", ")"), names)
            names[m[1]] = self.names[m[1]]
            return
        m = re.match(r"(v4|v6)\s*:\s*(.*)$", text)
        if m:
            if int(m[1][1]) != self.version:
                return
            text = m[2]
        text = self.substitute(text, names)
        time, body = parse_time(text)
        if body.startswith("establish"):
            first = text[:len(text) - len(body)]
            for i, step in enumerate(expand_establish(body)):
                self.script.events.append(parse_event(self.line, first + step if i == 0 else step))
        else:
            self.script.events.append(parse_event(self.line, text))

    def run(self, at, end, names):
        while at < end:
            self.line = at + 1
            text = self.clean(self.lines[at])
            while text.endswith("\\") and at + 1 < end:
                at += 1
                text = text[:-1] + " " + self.clean(self.lines[at])
            key, colon, value = text.partition(":")
            try:
                if text.startswith("for "):
                    at = self.loop(text, at, names)
                    continue
                if colon and key in HEADER:
                    if self.script.events:
                        self.fail(f"{key}: must stand in front of the first event")
                    self.header(key, value.strip())
                    names.update(self.names)
                elif text:
                    self.statement(text, names)
            except (ValueError, IndexError) as e:
                self.fail(str(e))
            at += 1

    def parse(self):
        self.builtin_names()
        self.run(0, len(self.lines), dict(self.names))
        if not self.script.events:
            self.line = len(self.lines)
            self.fail("the script has no events")
        return self.script


def parse(path, text, version):
    return Parser(path, text, version).parse()
