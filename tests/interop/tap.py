"""TAP for tests in Python, and where things are.

Importing this goes on under $SRQ_PYTHON, the Python that has torch and the loaders, where one is named."""
import os
import sys
import traceback

if os.environ.get("SRQ_PYTHON") and "SRQ_PYTHON_RUNS" not in os.environ:
    os.environ["SRQ_PYTHON_RUNS"] = "1"
    os.execv(os.environ["SRQ_PYTHON"], [os.environ["SRQ_PYTHON"]] + sys.argv)

TOP = os.environ.get("top_srcdir", ".")
BUILD = os.environ.get("top_builddir", ".")
DEMO = os.path.join(TOP, "share/models/demo-lm")
REAL = os.environ.get("SRQ_SMOLLM2", "")
TEXT = os.path.join(os.environ.get("SRQ_SHARED", os.path.join(TOP, "../shared")), "assets/text/wiki-test.txt")

_count = 0
_failed = False


class Skip(Exception):
    pass


def test(function):
    """Runs a test at once; its name, with blanks, is the TAP line."""
    global _count, _failed
    _count += 1
    name = function.__name__.replace("_", " ")
    try:
        function()
        print(f"ok {_count} - {name}")
    except Skip as why:
        print(f"ok {_count} - {name} # SKIP {why}")
    except Exception:
        _failed = True
        print(f"not ok {_count} - {name}")
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
    sys.stdout.flush()
    return function


def need(module):
    """The module, or a skipped test."""
    try:
        return __import__(module)
    except ImportError:
        raise Skip(f"this Python has no {module}") from None


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)
