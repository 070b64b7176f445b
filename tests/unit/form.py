#!/usr/bin/env python3
"""How sources look: lines of at most 120 columns, functions of at most 8 parameters, and all as clang-format with the
.clang-format at the root writes it (where the version that the file is for is installed).

Copies of old headers that tests/e2e keep, and what is built, are left as they are."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PARTS = ["core", "daemon", "plugins", "tui", "tests"]
COLUMNS, PARAMETERS, VERSION = 120, 8, "14"
NAMED = re.compile(r"^(?!typedef|return|#)[A-Za-z_][\w \t*]*?\b(\w+)\(([^;{}]*?)\)[\w\s(),]*[;{]", re.M)
POINTED = re.compile(r"^[ \t]*(?:typedef )?[A-Za-z_][\w \t*]*\(\*(\w+)\)\(([^;{}]*?)\)[\w\s(),]*;", re.M)


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


def parameters_of(text):
    """[(name, count)] of the functions that are declared or defined, and of those that types and members point to: a
    name and a list in parentheses that a brace or a semicolon follows."""
    bare = re.sub(r"/\*.*?\*/|\"(?:[^\"\\\n]|\\.)*\"", "", text, flags=re.S)
    found = []
    for match in [*NAMED.finditer(bare), *POINTED.finditer(bare)]:
        depth, count = 0, 1
        for c in match[2]:
            depth += (c == "(") - (c == ")")
            count += c == "," and depth == 0
        found.append((match[1], count))
    return found


def lines_fit():
    long = [f"{path}:{n}: {len(line)} columns" for path, text in sorted(read_sources().items())
            for n, line in enumerate(text.split("\n"), 1) if len(line) > COLUMNS]
    assert not long, "\n".join(long)


def functions_take_few_parameters():
    many = [f"{path}: {name} takes {count}" for path, text in sorted(read_sources().items())
            for name, count in parameters_of(text) if count > PARAMETERS and not name.endswith("_")]  # LAPACK's own
    assert not many, "\n".join(many)


def parameters_are_counted():
    text = """int f(int a, void (*b)(int, int),
      char *c) /* of h(int, int) { */
{
    return g(a, a, a, a);
}
static void g(void) __attribute__((noreturn));
typedef int (*h)(int a, int b);
struct s {
    const char *(*k)(void *ctx, int a,
                     int b, const char *c); /* one, two */
};
"""
    assert parameters_of(text) == [("f", 3), ("g", 1), ("h", 2), ("k", 4)], parameters_of(text)


def all_is_formatted():
    tool = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout if tool else ""
    if not re.search(rf"version {VERSION}\.", said):
        return f"clang-format {VERSION} is not installed"
    files = [os.path.join(TOP, path) for path in sorted(read_sources())]
    answer = subprocess.run([tool, "--dry-run", "-Werror", *files], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[:4000]
    return None


TESTS = [lines_fit, functions_take_few_parameters, parameters_are_counted, all_is_formatted]


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
