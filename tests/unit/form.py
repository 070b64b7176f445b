#!/usr/bin/env python3
"""How sources look: lines of at most 120 columns, and all as clang-format with the
.clang-format at the root writes it (where the version that the file is for is installed).

Copies of old headers that tests/e2e keep, and what is built, are left as they are."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PARTS = ["core", "daemon", "plugins", "tui", "tests"]
COLUMNS, VERSION = 120, "14"


def read_sources():
    """{file: its text}"""
    sources = {}
    for part in PARTS:
        for folder, _, names in os.walk(os.path.join(TOP, part)):
            if re.search(r"abi_\d|/models/|/tokenizers", folder):
                continue
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        sources[os.path.relpath(path, TOP)] = f.read()
    assert len(sources) > 300, f"only {len(sources)} sources under {TOP}"
    return sources


def lines_fit():
    long = [f"{path}:{n}: {len(line)} columns" for path, text in sorted(read_sources().items())
            for n, line in enumerate(text.split("\n"), 1) if len(line) > COLUMNS]
    assert not long, "\n".join(long)


def all_is_formatted():
    tool = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout if tool else ""
    if not re.search(rf"version {VERSION}\.", said):
        return f"clang-format {VERSION} is not installed"
    files = [os.path.join(TOP, path) for path in sorted(read_sources())]
    answer = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[:4000]
    return None


TESTS = [lines_fit, all_is_formatted]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        try:
            skipped = test()
            print(f"ok {number} - {test.__name__}{f' # SKIP {skipped}' if skipped else ''}")
        except AssertionError as e:
            failed += 1
            for line in str(e).split("\n"):
                print(f"# {line}")
            print(f"not ok {number} - {test.__name__}")
    return failed > 0


sys.exit(main())
