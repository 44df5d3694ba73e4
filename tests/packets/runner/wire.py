"""Frames: building and reading Ethernet, IPv4, IPv6, TCP and ICMP by hand."""

import socket
import struct

PEER_MAC = bytes((2, 0, 0, 0, 0, 9))
OUR_MAC = bytes((2, 0, 0, 0, 0, 1))
TCP, ICMP, ICMPV6 = 6, 1, 58
# Header bits by the letter of the script language; "." is ACK as in tcpdump.
FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
ECN_BITS = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
# ICMP messages as (type, code) for IPv4 and for IPv6; None: that version has none.
ICMP_KINDS = {
    "net_unreachable": ((3, 0), (1, 0)), "host_unreachable": ((3, 1), (1, 3)),
    "proto_unreachable": ((3, 2), (4, 1)), "port_unreachable": ((3, 3), (1, 4)),
    "packet_too_big": ((3, 4), (2, 0)), "admin_prohibited": ((3, 13), (1, 1)),
    "source_quench": ((4, 0), None), "redirect": ((5, 1), (137, 0)),
    "time_exceeded": ((11, 0), (3, 0)), "param_problem": ((12, 0), (4, 0)),
    "echo": ((8, 0), (128, 0)), "echo_reply": ((0, 0), (129, 0)),
}


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def pseudo(src, dst, proto, length):
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, proto, length)
    return src + dst + struct.pack("!IHBB", length, 0, 0, proto)


# --- TCP options: a list of (name, arguments) -----------------------------------------------------
def option_bytes(name, args):
    if name == "nop":
        return b"\1"
    if name == "eol":
        return b"\0"
    if name == "mss":
        return struct.pack("!BBH", 2, 4, args[0])
    if name == "wscale":
        return struct.pack("!BBB", 3, 3, args[0])
    if name == "sackOK":
        return b"\4\2"
    if name == "sack":
        return struct.pack("!BB", 5, 2 + 8 * len(args)) + b"".join(
            struct.pack("!II", lo & 0xffffffff, hi & 0xffffffff) for lo, hi in args)
    if name == "TS":
        return struct.pack("!BBII", 8, 10, args[0] & 0xffffffff, args[1] & 0xffffffff)
    if name == "uto":
        return struct.pack("!BBH", 28, 4, args[0])
    if name == "FO":
        return struct.pack("!BB", 34, 2 + len(args[0])) + args[0]
    return struct.pack("!BB", args[0], 2 + len(args[1])) + args[1]  # opt KIND HEX


def options_bytes(options):
    b = b"".join(option_bytes(n, a) for n, a in options)
    return b + b"\0" * (-len(b) % 4)


def options_read(b):
    out, at = [], 0
    while at < len(b):
        kind = b[at]
        if kind == 0:
            if any(b[at:]):
                out.append(("eol", ()))
            break
        if kind == 1:
            out.append(("nop", ()))
            at += 1
            continue
        size = b[at + 1] if at + 1 < len(b) else 0
        body = b[at + 2:at + size]
        if size < 2 or at + size > len(b):
            out.append(("opt", (kind, b[at + 1:])))
            break
        if kind == 2 and size == 4:
            out.append(("mss", struct.unpack("!H", body)))
        elif kind == 3 and size == 3:
            out.append(("wscale", (body[0],)))
        elif kind == 4 and size == 2:
            out.append(("sackOK", ()))
        elif kind == 5 and size % 8 == 2:
            out.append(("sack", tuple(struct.unpack("!II", body[i:i + 8])
                                      for i in range(0, len(body), 8))))
        elif kind == 8 and size == 10:
            out.append(("TS", struct.unpack("!II", body)))
        elif kind == 28 and size == 4:
            out.append(("uto", struct.unpack("!H", body)))
        elif kind == 34:
            out.append(("FO", (body,)))
        else:
            out.append(("opt", (kind, body)))
        at += size
    return out


# --- building ---------------------------------------------------------------------------------------
def tcp_bytes(src, dst, h):
    """h: sport, dport, seq, ack, flags, win, urg, options, payload; doff, badsum, reserved."""
    options = options_bytes(h["options"])
    doff = h.get("doff")
    doff = (20 + len(options)) // 4 if doff is None else doff
    head = struct.pack("!HHIIBBHHH", h["sport"], h["dport"], h["seq"] & 0xffffffff,
                       h["ack"] & 0xffffffff, doff << 4 | h.get("reserved", 0), h["flags"],
                       h["win"], 0, h["urg"]) + options
    body = head + h["payload"]
    s = checksum(pseudo(src, dst, TCP, len(body)) + body)
    if h.get("badsum"):
        s ^= 0x5555
    return body[:16] + struct.pack("!H", s) + body[18:]


def ip_packet(src, dst, proto, body, m):
    """m: modifiers of the script (ttl, tos, ecn, df, badipsum, exthdr, ip_id)."""
    tos = m.get("tos", 0) & ~3 | m.get("ecn", 0)
    if len(src) == 16:
        if m.get("exthdr"):
            kind = {"hop": 0, "dest": 60}[m["exthdr"]]
            body = struct.pack("!BB6B", proto, 0, 1, 4, 0, 0, 0, 0) + body
            proto = kind
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), proto,
                           m.get("ttl", 64)) + src + dst + body
    options = b"\1" * 4 if m.get("exthdr") else b""
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(body),
                       m.get("ip_id", 1), m.get("frag_field", 0x4000 if m.get("df", True) else 0),
                       m.get("ttl", 64), proto, 0) + src + dst + options
    s = checksum(head) ^ (0x5555 if m.get("badipsum") else 0)
    return head[:10] + struct.pack("!H", s) + head[12:] + body


def fragments(src, dst, proto, body, m):
    """The packet in pieces of m["frag"] bytes of its payload, a multiple of 8."""
    size, out = m["frag"], []
    for at in range(0, len(body), size):
        part, more = body[at:at + size], at + size < len(body)
        if len(src) == 16:
            ext = struct.pack("!BBHI", proto, 0, at | (1 if more else 0), m.get("ip_id", 1))
            out.append(ip_packet(src, dst, 44, ext + part, m))
        else:
            field = at // 8 | (0x2000 if more else 0)
            out.append(ip_packet(src, dst, proto, part, {**m, "frag_field": field}))
    if m.get("frag_order") == "reverse":
        out.reverse()
    if m.get("frag_drop") is not None:
        del out[m["frag_drop"]]
    return out


def frame(packet, vlan=None):
    kind = 0x86dd if packet[0] >> 4 == 6 else 0x0800
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return OUR_MAC + PEER_MAC + tag + struct.pack("!H", kind) + packet


def icmp_packet(src, dst, kind, rest, body, m):
    """kind: (type, code); rest: the 4 bytes behind the checksum."""
    v6 = len(src) == 16
    proto = ICMPV6 if v6 else ICMP
    message = struct.pack("!BBH", kind[0], kind[1], 0) + rest + body
    s = checksum((pseudo(src, dst, proto, len(message)) if v6 else b"") + message)
    if m.get("badsum"):
        s ^= 0x5555
    return ip_packet(src, dst, proto, message[:2] + struct.pack("!H", s) + message[4:], m)


# --- reading ----------------------------------------------------------------------------------------
class Bad(Exception):
    """The stack sent something that is malformed, whatever the script says."""


def read_frame(data):
    """A dict of what is in a frame; kind is tcp, icmp or other."""
    p = {"kind": "other", "vlan": None, "bytes": data}
    kind, at = struct.unpack("!H", data[12:14])[0], 14
    if kind == 0x8100:
        p["vlan"], kind = struct.unpack("!HH", data[14:18])
        at = 18
    p["ethertype"] = kind
    if kind == 0x0800:
        ip = data[at:]
        total, field = struct.unpack("!H", ip[2:4])[0], struct.unpack("!H", ip[6:8])[0]
        if checksum(ip[:(ip[0] & 15) * 4]) != 0:
            raise Bad("IPv4 header checksum is wrong")
        p.update(src=ip[12:16], dst=ip[16:20], proto=ip[9], ttl=ip[8], tos=ip[1], ecn=ip[1] & 3,
                 df=bool(field & 0x4000), ip_len=total)
        body = ip[(ip[0] & 15) * 4:total]
    elif kind == 0x86dd:
        ip = data[at:]
        word, length = struct.unpack("!IH", ip[:6])
        p.update(src=ip[8:24], dst=ip[24:40], proto=ip[6], ttl=ip[7], tos=word >> 20 & 255,
                 ecn=word >> 20 & 3, df=True, ip_len=40 + length)
        body = ip[40:40 + length]
    else:
        return p
    if p["proto"] == TCP:
        read_tcp(p, body)
    elif p["proto"] in (ICMP, ICMPV6):
        over = pseudo(p["src"], p["dst"], ICMPV6, len(body)) if p["proto"] == ICMPV6 else b""
        if checksum(over + body) != 0:
            raise Bad("ICMP checksum is wrong")
        p.update(kind="icmp", type=body[0], code=body[1], rest=body[4:8], body=body[8:])
    return p


def read_tcp(p, body):
    if len(body) < 20:
        raise Bad("TCP header is cut off")
    if checksum(pseudo(p["src"], p["dst"], TCP, len(body)) + body) != 0:
        raise Bad("TCP checksum is wrong")
    sport, dport, seq, ack, off, flags, win, _, urg = struct.unpack("!HHIIBBHHH", body[:20])
    head = (off >> 4) * 4
    if head < 20 or head > len(body):
        raise Bad("TCP data offset is wrong")
    if off & 15:
        raise Bad("reserved bits of the TCP header are set")
    p.update(kind="tcp", sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, win=win, urg=urg,
             options=options_read(body[20:head]), payload=body[head:])
