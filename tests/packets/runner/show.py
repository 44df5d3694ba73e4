"""Packets as text, in the words of the script language."""

import socket
import struct

from . import wire


def flags_text(bits):
    return "".join(c for c, b in wire.FLAG_BITS.items() if bits & b) or "-"


def option_text(name, args, peer_isn):
    if name == "sack" and args != "*":
        return "sack " + " ".join(f"{signed(lo - peer_isn)}:{signed(hi - peer_isn)}"
                                  for lo, hi in args)
    if name == "TS":
        return f"TS val {args[0]} ecr {args[1]}"
    if name == "FO":
        return "FO " + (args[0] if isinstance(args[0], str) else args[0].hex())
    if name == "opt":
        return f"opt {args[0]} {args[1].hex()}"
    return " ".join([name] + [str(a) for a in (args if args != "*" else "*")])


def signed(n):
    """A sequence number relative to another, as the smaller of the two ways round."""
    n &= 0xffffffff
    return n - (1 << 32) if n >= 1 << 31 else n


def tcp_text(p, own_isn, peer_isn):
    """p as read from the wire; sequence numbers relative to these."""
    seq = signed(p["seq"] - own_isn)
    mods = []
    if p.get("ecn"):
        mods.append({v: k for k, v in wire.ECN_BITS.items()}[p["ecn"]])
    if p.get("vlan") is not None:
        mods.append(f"vlan {p['vlan']}")
    text = f"[{', '.join(mods)}] " if mods else ""
    text += f"{flags_text(p['flags'])} {seq}:{seq + len(p['payload'])}({len(p['payload'])})"
    if p["flags"] & wire.FLAG_BITS["."]:
        text += f" ack {signed(p['ack'] - peer_isn)}"
    text += f" win {p['win']}"
    if p["urg"]:
        text += f" urg {p['urg']}"
    if p["options"]:
        text += " <" + ",".join(option_text(n, a, peer_isn) for n, a in p["options"]) + ">"
    return text


def icmp_text(p):
    v6 = p["proto"] == wire.ICMPV6
    for name, kinds in wire.ICMP_KINDS.items():
        kind = kinds[1 if v6 else 0]
        if kind and kind[0] == p["type"] and (kind[1] == p["code"] or name == "packet_too_big"):
            break
    else:
        name = f"type {p['type']} code {p['code']}"
    return f"icmp {name} id {struct.unpack('!H', p['rest'][:2])[0]} " \
           f"seq {struct.unpack('!H', p['rest'][2:])[0]} len {len(p['body'])}"


def other_text(p):
    if "src" in p:
        family = socket.AF_INET6 if len(p["src"]) == 16 else socket.AF_INET
        return f"IP {socket.inet_ntop(family, p['src'])} > " \
               f"{socket.inet_ntop(family, p['dst'])} protocol {p['proto']}"
    return f"frame of type {p['ethertype']:#06x}, {len(p['bytes'])} bytes: {p['bytes'][14:54].hex()}"
