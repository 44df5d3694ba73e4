#!/usr/bin/env python3
"""Lists files over 600 lines and functions over 70 that do not say why. A file says so with "Long:" in
its first comment, a function with "Long:" in the comment in front of it. Exits 1 when one is listed."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE_MAX = 600
FUNCTION_MAX = 70
FOLDERS = ("lib", "cache", "dataplane", "control", "ebpf", "tests", "perf")


def functions(lines):
    """(name, first line, length) of each: Linux braces, so a body is "{" to "}" in column 0."""
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            head = start - 1
            while head > 0 and re.match(r"^\s", lines[head]):
                head -= 1
            yield lines[head], head, i - head + 1
            start = None


def comment_above(lines, at):
    text = ""
    i = at - 1
    while i >= 0 and re.match(r"^\s*(/\*|\*|//| \*)", lines[i]):
        text += lines[i]
        i -= 1
    return text


def main():
    bad = []
    count = 0
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if not name.endswith((".c", ".h")):
                    continue
                full = os.path.join(folder, name)
                path = os.path.relpath(full, ROOT)
                count += 1
                with open(full, encoding="utf-8") as f:
                    lines = f.read().split("\n")
                if len(lines) > FILE_MAX and "Long:" not in "".join(lines[:20]):
                    bad.append(f"{path}: {len(lines)} lines")
                for head, at, length in functions(lines):
                    if length > FUNCTION_MAX and "Long:" not in comment_above(lines, at):
                        bad.append(f"{path}:{at + 1}: {length} lines: {head}")
    if count == 0:
        bad.append("no source files found")
    print("\n".join(bad) if bad else f"{count} files keep their size")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
