#!/usr/bin/env python3
"""Writes the shipped scenarios as a C table: embed.py OUT.c FILE.yaml..."""

import os
import sys


def c_text(line):
    out = ""
    for byte in line:
        c = chr(byte)
        out += c if c.isprintable() and byte < 128 and c not in '"\\?' else f"\\{byte:03o}"
    return f'"{out}"'


def main():
    out, files = sys.argv[1], sys.argv[2:]
    text = "/* Made by embed.py. */\n#include \"perf/load/scenario_shipped.h\"\n\n"
    text += "const struct shipped_scenario shipped_scenarios[] = {\n"
    for path in files:
        with open(path, "rb") as f:
            lines = f.read().splitlines(keepends=True)
        name = os.path.splitext(os.path.basename(path))[0]
        body = "\n\t ".join(c_text(line) for line in lines)
        text += f'\t{{"{name}",\n\t SPAN_LIT({body})}},\n'
    text += "\t{0},\n};\n"
    with open(out, "w", encoding="ascii") as f:
        f.write(text)


if __name__ == "__main__":
    main()
