#!/usr/bin/env python3
"""Holds the folder rules of docs/ARCHITECTURE.md: who may include whom, and which file may see which
foreign header. Prints each breach as FILE:LINE and exits 1 when there is one."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Own folders that the files of a folder may include from.
MAY = {
    "lib": {"lib"},
    "cache": {"cache", "lib"},
    "dataplane": {"dataplane", "cache", "lib", "ebpf"},
    "control": {"control", "cache", "lib", "ebpf"},
    "ebpf": {"ebpf"},
}

# Pattern of a foreign header, and the paths that may include it.
ROOMS = [
    (r"rte_.*", ["dataplane/dpdk/"]),
    (r"lz4\.h", ["cache/l3_value.c"]),
    (r"liburing.*", ["lib/loop.c", "lib/doorbell.c"]),
    (r"hiredis.*", ["cache/l3_redis"]),
    (r"cyaml.*|yaml\.h", ["lib/config"]),
    (r"xxhash.*", ["lib/hash.c"]),
    (r"bpf/.*|linux/bpf.*|xdp/.*", ["dataplane/dpdk/", "ebpf/"]),
    (r"jansson.*", ["control/admin/", "control/cli/", "control/metrics/"]),
    (r"microhttpd.*", ["control/metrics/"]),
    (r"jemalloc.*", ["control/main.c"]),
    (r"openssl/.*", ["lib/pfsig.c"]),
    (r"libpq.*|sqlite3.*|curl/.*|nghttp2/.*|p11-kit.*", []),
]

# Names of DPDK's, outside of its room, even without the header.
RTE = re.compile(r"\brte_[a-z]")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def sources():
    for top in MAY:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield top, os.path.relpath(os.path.join(folder, name), ROOT)


def check_include(top, path, kind, header):
    if kind == '"':
        owner = header.split("/")[0]
        if owner not in MAY:
            return f'"{header}" is not written from the root'
        if owner not in MAY[top]:
            return f'{top}/ may not include from {owner}/ ("{header}")'
        return None
    for pattern, rooms in ROOMS:
        if re.fullmatch(pattern, header) and not any(path.startswith(r) for r in rooms):
            return f"<{header}> belongs to {', '.join(rooms) or 'no file yet'}"
    return None


def main():
    bad = []
    count = 0
    for top, path in sources():
        count += 1
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = INCLUDE.match(line)
                why = check_include(top, path, *m.groups()) if m else None
                if not why and RTE.search(line) and not path.startswith("dataplane/dpdk/"):
                    why = "a name of DPDK's outside of dataplane/dpdk/"
                if why:
                    bad.append(f"{path}:{number}: {why}")
    if count == 0:
        bad.append("no source files found")
    print("\n".join(bad) if bad else f"{count} files keep the layering")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
