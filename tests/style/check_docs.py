#!/usr/bin/env python3
"""Checks that the pages name what exists. Lists each name that does not, with its page and line; exits 1
when there is one.

All pages: relative links and their headings; paths in backquotes that begin with a folder of the tree;
names of source files; keys of the configuration (`tcp.retries`); names of metrics (`sluice_...`).
docs/TCP.md and docs/NET.md besides: functions and other names in backquotes; in tables the column "where"
(files, and what is in them), and the columns that name tests (unit tests and their functions, packet
scripts, scenarios); every folder of packet scripts is named in one of the two, and every row of a table of
RFCs has all of its columns.
"""

import functools
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "perf/README.md",
         "tests/packets/README.md")
STRICT = ("docs/TCP.md", "docs/NET.md")
TOPS = ("lib", "cache", "dataplane", "control", "ebpf", "tests", "perf", "scripts", "docs")
SCRIPTS = "tests/packets/scripts"
SOURCE = r"[\w-]+\.(?:c|h|def|py|pkt|sim)"
WORDS = {"matrix": "tests/matrix/matrix.c", "fuzz_tcp": "tests/fuzz/fuzz_tcp.c",
         "fuzz_net_input": "tests/fuzz/fuzz_net_input.c", "simulator": "tests/sim/sim.c"}
TEST_COLUMNS = ("shown by", "unit tests", "scripts")


@functools.lru_cache(None)
def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


@functools.lru_cache(None)
def tree():
    """All files, from the root."""
    found = []
    for folder, names, files in os.walk(ROOT):
        names[:] = [n for n in names if not n.startswith((".", "build")) and n != "__pycache__"]
        found += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(found)


@functools.lru_cache(None)
def named(base):
    """Files with this name, those of the dataplane first."""
    return sorted((p for p in tree() if os.path.basename(p) == base),
                  key=lambda p: (not p.startswith("dataplane/"), p))


@functools.lru_cache(None)
def words_of(path):
    return set(re.findall(r"\w+", text_of(path)))


@functools.lru_cache(None)
def words_of_code():
    code = [p for p in tree() if p.endswith((".c", ".h", ".def", ".py")) and p.startswith(TOPS)]
    return set().union(*(words_of(p) for p in code))


@functools.lru_cache(None)
def config_keys():
    """{section: keys} of lib/params.def."""
    keys = {}
    for section, key in re.findall(r"^[A-Z0-9]+\((\w+), (\w+),", text_of("lib/params.def"), re.M):
        keys.setdefault(section, set()).add(key)
    return keys


def metrics():
    names = set()
    for path in tree():
        if path.startswith(("lib/", "control/metrics/", "docs/reference/")):
            names |= set(re.findall(r"\bsluice_\w+", text_of(path)))
    return names


@functools.lru_cache(None)
def headings(path):
    found = set()
    for line in text_of(path).split("\n"):
        if line.startswith("#"):
            line = re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower())
            found.add(line.strip().replace(" ", "-"))
    return found


def there(pattern):
    return bool(glob.glob(os.path.join(ROOT, pattern)))


class Page:
    def __init__(self, path):
        self.path = path
        self.bad = []
        self.line = 0

    def complain(self, what):
        self.bad.append(f"{self.path}:{self.line}: {what}")

    def check(self):
        header = []
        code = False
        for self.line, line in enumerate(text_of(self.path).split("\n"), 1):
            if line.startswith("```"):
                code = not code
            if code:
                continue
            self.links(line)
            self.names(line)
            if self.path not in STRICT:
                continue
            if not line.startswith("|"):
                header = []
                continue
            cells = [c.strip() for c in line.strip().strip("|").replace("\\*", "*").split("|")]
            if not header:
                header = cells
            elif not set(line) <= set("|-: "):
                self.row(header, cells)
        if self.path == STRICT[0]:
            self.line = 1
            self.folders()
        return self.bad

    # --- any page -----------------------------------------------------------------------------
    def links(self, line):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(self.path), path)) if path else self.path
            if not os.path.exists(os.path.join(ROOT, full)):
                self.complain(f"link to {target}: there is no {full}")
            elif anchor and full.endswith(".md") and anchor not in headings(full):
                self.complain(f"link to {target}: {full} has no such heading")

    def names(self, line):
        for quoted in re.findall(r"`([^`]+)`", line):
            for word in re.split(r"[\s,;]+", quoted):
                self.quoted(word.strip("()[]:."))
        for name in re.findall(r"(?<![\w*/.{}<-])" + SOURCE + r"\b(?!\.\w)", line):
            if not named(name) and not name.endswith((".pkt", ".sim")):
                self.complain(f"there is no file {name}")

    def quoted(self, word):
        path = word.split(":")[0].rstrip("/")
        top = path.split("/")[0]
        if top in TOPS and "/" in path and not re.search(r"[<>{}$]|[A-Z]{4,}(?!\.md)", path):
            if not there(path) and not there(path + ".[ch]"):
                self.complain(f"there is no {path}")
        key = re.fullmatch(r"(tcp|limits|timeouts|ip|memory)\.(\w+)", word)
        if key and key[2] not in config_keys()[key[1]]:
            self.complain(f"lib/params.def has no key {word}")
        metric = re.match(r"sluice_\w+", word)
        if metric and not word.endswith("_") and metric[0] not in metrics() | words_of_code():
            self.complain(f"there is no metric {metric[0]}")
        if self.path in STRICT and re.fullmatch(r"[a-z]\w*_\w+", word):
            if word not in words_of_code():
                self.complain(f"nothing in the code is called {word}")

    # --- TCP.md and NET.md --------------------------------------------------------------------
    def row(self, header, cells):
        if len(cells) != len(header):
            self.complain(f"a row of {len(cells)} columns below a head of {len(header)}")
            return
        for name, cell in zip(header, cells):
            if name == "where":
                self.where(cell)
            elif name in TEST_COLUMNS:
                self.tests(cell)
            if "RFC" in header and "scripts" in header and not cell:
                self.complain(f"nothing below \"{name}\"")

    def where(self, cell):
        path = None
        for piece in re.split(r"[,;]\s*", re.sub(r"\([^)]*\)", "", cell)):
            for word in piece.split():
                if re.fullmatch(SOURCE, word):
                    path = (named(word) or [None])[0]
                elif not re.fullmatch(r"\w+", word) or path is None:
                    self.complain(f"\"where\" names {word}, which is neither a file nor in one")
                elif word not in words_of(path):
                    self.complain(f"{path} has no {word}")

    def tests(self, cell):
        unit = None
        folder = None
        for piece in re.split(r"[,;]\s*", re.sub(r"\([^)]*\)", "", cell)):
            piece = re.sub(r"^unit:\s*", "", piece.strip())
            if piece.startswith("simulator:"):
                self.scenario(piece.partition(":")[2].strip())
                continue
            for word in piece.split():
                if word.endswith(".pkt"):
                    folder = os.path.dirname(word) or folder
                    self.script(f"{folder}/{os.path.basename(word)}")
                elif named(f"test_{word}.c"):
                    unit = named(f"test_{word}.c")[0]
                elif word in WORDS:
                    if not there(WORDS[word]):
                        self.complain(f"there is no {WORDS[word]}")
                elif unit and word in words_of(unit):
                    continue
                elif word != "-":
                    self.complain(f"{word} is no unit test, nor a function of {unit}")

    def script(self, path):
        if not there(f"{SCRIPTS}/{path}"):
            self.complain(f"there is no {SCRIPTS}/{path}")

    def scenario(self, name):
        if not there(f"tests/sim/scenarios/{name}.sim"):
            self.complain(f"there is no tests/sim/scenarios/{name}.sim")

    def folders(self):
        for folder in sorted(os.listdir(os.path.join(ROOT, SCRIPTS))):
            if not any(f"{folder}/" in text_of(page) for page in STRICT):
                self.complain(f"neither this page nor {STRICT[1]} names the scripts of {SCRIPTS}/{folder}")


def main():
    pages = [os.path.relpath(p, ROOT) for pattern in PAGES
             for p in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))]
    bad = [line for page in pages for line in Page(page).check()]
    if not pages:
        bad = ["no pages found"]
    print("\n".join(bad) if bad else f"{len(pages)} pages name what exists")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
