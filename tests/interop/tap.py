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


TIE = 0.002  # of the largest logit: two tokens as near as that are put in order by the loader's rounding to 11 bits


def same_words(got, want):
    """Of the positions of two arrays of logits [..., vocabulary], the share in which both name the same next token, or
    one that is as good as tied with it."""
    named = want.reshape(-1, want.shape[-1])
    named = named[range(len(named)), got.reshape(named.shape).argmax(-1)].reshape(want.shape[:-1])
    return float((want.max(-1) - named <= TIE * abs(want).max()).mean())


def done():
    print(f"1..{_count}")
    sys.exit(1 if _failed else 0)
