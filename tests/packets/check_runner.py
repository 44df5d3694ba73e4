#!/usr/bin/env python3
"""The runner itself: scripts that must fail do fail, for the reason they should, and scripts that are
wrong are refused with their line. Arguments are passed on to pktscript (--build FOLDER)."""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OPEN = "0 establish <mss 1000,sackOK> rtt 0.05\n"


def tutorial():
    """The first script of the README, without its indentation."""
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as f:
        part = f.read().split("## A first script\n\n")[1].split("\n\n`<` goes")[0]
    return "\n".join(line[4:] for line in part.split("\n")) + "\n"


# (name, script, exit code, pattern in the output)
CASES = [
    ("tutorial", tutorial(), 0, "4 passed, 0 failed"),
    ("arithmetic", OPEN + "let X = {MSS / 2 * 2 - (1 << 3) + MSS % 7}\n1 write(4, ..., {X-X+5}) = 5\n"
     "1 > P. 1:{1+5}(5) ack 1  // a comment\n", 0, "4 passed, 0 failed"),
    ("passes", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > . 1:1(0) ack 11\n", 0, "4 passed, 0 failed"),
    ("wrong ack", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > . 1:1(0) ack 12\n", 1,
     r"t\.pkt:3: .*\n.*came: .*\n *ack: expected 12, came 11"),
    ("wrong seq", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > . 2:2(0) ack 11\n", 1, r"seq: expected 2:2"),
    ("wrong flags", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > F. 1:1(0) ack 11\n", 1,
     r"flags: expected F\., came \."),
    ("wrong window", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > . 1:1(0) ack 11 win 7\n", 1,
     "win: expected 7, came"),
    ("wrong options", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > . 1:1(0) ack 11 <nop>\n", 1,
     "options: expected <nop>"),
    ("options though none expected", "0 socket(..., SOCK_STREAM, 0) = 3\n0 bind(3, ..., ...) = 0\n"
     "0 listen(3, 1) = 0\n0 < S 0:0(0) win 9 <mss 1000>\n0 > S. 0:0(0) ack 1\n", 1,
     "options: expected <>, came <mss"),
    ("wrong ecn", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 > [ce] . 1:1(0) ack 11\n", 1, "ecn: expected 3"),
    ("wrong payload", OPEN + '1 write(4, "abc", 3) = 3\n1 > P. 1:4(3) ack 1 payload "abd"\n', 1,
     "payload: expected"),
    ("never sent", OPEN + "1 > . 1:1(0) ack 1\n", 1, "nothing was sent until 1.002"),
    ("too late", "set: delayed_ack_ms=0, min_rto_ms=300\n" + OPEN +
     "1 write(4, ..., 5) = 5\n1 > P. 1:6(5) ack 1\n+0.2~+0.29 > P. 1:6(5) ack 1\n", 1,
     "nothing was sent"),
    ("too early", "set: min_rto_ms=300\n" + OPEN +
     "1 write(4, ..., 5) = 5\n1 > P. 1:6(5) ack 1\n+0.4 > P. 1:6(5) ack 1\n", 1,
     r"expected at 1\.4\d+, came at 1\.3\d+"),
    ("unexpected packet", OPEN + "1 write(4, ..., 5) = 5\n1.1 read(4, ..., 1) = -1 EAGAIN\n", 1,
     r"t\.pkt:3: unexpected at 1\.0+: > P\. 1:6\(5\)"),
    ("unexpected at the end", OPEN + "1 write(4, ..., 5) = 5\n", 1, "unexpected at"),
    ("quiet is not", OPEN + "1 write(4, ..., 5) = 5\n1 quiet\n", 1, "unexpected at"),
    ("wrong result", OPEN + "1 read(4, ..., 5) = 5\n", 1, "read: expected 5, returned -1 EAGAIN"),
    ("wrong errno", OPEN + "1 read(4, ..., 5) = -1 EPIPE\n", 1, "expected -1 EPIPE, returned -1 EAGAIN"),
    ("wrong bytes read", OPEN + "1 < P. 1:4(3) ack 1 win 9\n1 > . 1:1(0) ack 4\n"
     '1 read(4, "abc", 9) = 3\n', 1, "read: expected the bytes"),
    ("wrong assertion", OPEN + "1 assert(4) state == CLOSED\n", 1, "state: expected == CLOSED, is EST"),
    ("wrong counter", OPEN + "1 counter tcp_rst_in == 1\n", 1, "tcp_rst_in: expected == 1, is 0"),
    ("wrong ioctl", OPEN + "1 ioctl(4, SIOCINQ, [5]) = 0\n", 1, "ioctl SIOCINQ: expected"),
    ("wrong getsockopt", OPEN + "1 getsockopt(4, SOL_SOCKET, SO_ERROR, [5]) = 0\n", 1, "SO_ERROR: expected"),
    ("wrong poll", OPEN + "1 poll(4, POLLIN|POLLOUT) = POLLIN\n", 1, "poll: expected"),
    ("wrong icmp", "0 < icmp echo id 1 seq 2 len 8\n0 > icmp echo_reply id 1 seq 3 len 8\n", 1,
     "icmp echo_reply: seq: expected 3, came 2"),
    ("allowed and sent", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 >? . 1:1(0) ack 11\n", 0, "4 passed"),
    ("allowed and not sent", OPEN + "1 >? . 1:1(0) ack 11\n1.1 quiet\n", 0, "4 passed"),
    ("another than allowed", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 >? . 1:1(0) ack 12\n", 1,
     r"unexpected at 1\.0+: > \. 1:1\(0\) ack 11"),
    ("another than allowed, expected", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 >? . 1:1(0) ack 12\n"
     "1 > . 1:1(0) ack 11\n", 0, "4 passed"),
    ("acks", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1 < P. 11:21(10) ack 1 win 9\n1.1 acks\n", 1,
     "unexpected at 1"),
    ("acks that are", OPEN + "1 < P. 1:11(10) ack 1 win 9\n1.1 acks\n", 0, "4 passed"),
    ("acks and more", OPEN + "1 write(4, ..., 5) = 5\n1 acks\n", 1, "where only ACKs may come"),
    ("wrong frame", "0 < raw ffffffffffff 020000000009 0806 0001 0800 06 04 0001 020000000009 c0000201 "
     "000000000000 c0a80001\n0 > raw 020000000009 020000000002 ...\n", 1,
     "byte 11 of the frame: expected 02, came 01"),
    ("time goes back", OPEN + "1 quiet\n0.5 quiet\n", 1, "time goes back"),
    ("broken and fails", "broken: a reason\n" + OPEN + "1 assert(4) state == CLOSED\n", 0, "known broken"),
    ("broken but passes", "broken: a reason\n" + OPEN, 1, "'broken: a reason' must go"),
    ("no event", OPEN + "1 hello\n", 2, r"t\.pkt:2: this is no event"),
    ("bad segment", OPEN + "\n1 < Q 1:1(0)\n", 2, r"t\.pkt:3: a segment begins with its flags"),
    ("bad length", OPEN + "1 < . 1:5(3) ack 1\n", 2, "the end is not"),
    ("bad field", OPEN + "1 < . 1:1(0) ack 1 wim 5\n", 2, "cannot read"),
    ("bad option", OPEN + "1 < . 1:1(0) ack 1 <mms 5>\n", 2, "unknown option 'mms 5'"),
    ("bad modifier", OPEN + "1 < [etc0] . 1:1(0) ack 1\n", 2, "unknown modifier 'etc0'"),
    ("bad expression", OPEN + "1 < . {MSX}:1(0) ack 1\n", 2, "unknown name 'MSX'"),
    ("bad number", OPEN + "1 < . 1:1(0) ack x\n", 2, "is no whole number"),
    ("bad icmp", "0 < icmp pong\n", 2, "unknown ICMP message 'pong'"),
    ("bad flag", "set: min_rto=5\n" + OPEN, 2, "unknown flag.*min_rto=5"),
    ("bad field name", OPEN + "1 assert(4) stat == 1\n", 2, "no such field"),
    ("bad counter", OPEN + "1 counter tcp_foo == 1\n", 2, "no such counter: tcp_foo"),
    ("bad call", OPEN + "1 frobnicate(4) = 0\n", 2, "no such call: frobnicate"),
    ("header too late", OPEN + "mtu: 1400\n", 2, "must stand in front"),
    ("loop without end", OPEN + "for i in 1..2\n1 quiet\n", 2, "this for has no end"),
    ("empty", "title: nothing\n", 2, "no events"),
]


def run(args, text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.pkt")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        r = subprocess.run([os.path.join(HERE, "pktscript"), *args, path], check=False, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return r.returncode, r.stdout


def main():
    failed = 0
    for name, text, code, pattern in CASES:
        got, out = run(sys.argv[1:], text)
        if got != code or not re.search(pattern, out):
            failed += 1
            print(f"FAIL {name}: exit {got} (expected {code}), output does not hold {pattern!r}:\n{out}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
