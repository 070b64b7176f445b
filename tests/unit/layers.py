#!/usr/bin/env python3
"""Who includes whom: every #include "..." of the product's sources against a table of rooms.

An arrow to a room that the table does not allow is an error, and so is a circle of files in the rooms of the table,
where x.c and x.h count as one file."""
import os
import re
import sys

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PRODUCT = ["core", "daemon", "plugins", "tui"]

WIRE = ["core/base", "core/proto"]


def tiers(house, names, ground):
    """Rows of a house whose rooms stand in a row: each may look at those before it and at the ground."""
    rooms = [f"{house}/{name}" for name in names]
    return {room: rooms[:i] + ground for i, room in enumerate(rooms)} | {house: rooms + ground}


# Room: the rooms that its files may include from, besides itself. A file belongs to the longest name that its folder
# begins with. Rooms that stand in lists only are not looked at themselves.
ROOMS = {
    "core/base": [],
    "core/proto": ["core/base"],
    "core/tensor": ["core/base"],
    "core/format": ["core/base", "core/tensor", "core/math"],
    "core/budget": ["core/base", "core/grid", "core/model"],
    "core/eval": ["core/base", "core/grid", "core/math", "core/model", "core/text"],
    "tui/client": WIRE,
    "tui/srqctl": WIRE + ["tui/client"],
} | tiers("daemon/srqd", ["base", "store", "jobs", "workers", "clients"], WIRE)


def read_arrows(top):
    """{file: [files it includes]}"""
    arrows = {}
    for part in PRODUCT:
        for folder, _, names in os.walk(os.path.join(top, part)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        found = re.findall(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', f.read(), re.M)
                    arrows[os.path.relpath(path, top)] = found
    return arrows


def room_of(path, rooms):
    """The room, or "" where the table has none for it."""
    folder = os.path.dirname(path)
    while folder and folder not in rooms:
        folder = os.path.dirname(folder)
    return folder


def wrong_arrows(arrows, rooms):
    """["a/x.c includes b/y.h"] of all that go where the table does not allow it"""
    wrong = []
    known = set(rooms).union(*rooms.values())
    for path, includes in sorted(arrows.items()):
        room = room_of(path, rooms)
        for other in includes if room else []:
            if room_of(other, known) not in [room, *rooms[room]]:
                wrong.append(f"{path} includes {other}")
    return wrong


def circles(arrows, rooms):
    """[[x, y, ...]]: files, without their endings, of which each leads to each"""
    nodes = {}
    for path, includes in arrows.items():
        if room_of(path, rooms):
            node = nodes.setdefault(os.path.splitext(path)[0], set())
            node.update(os.path.splitext(other)[0] for other in includes if room_of(other, rooms))
    reached = {}
    for node in nodes:
        seen, todo = set(), [node]
        while todo:
            for other in nodes.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        reached[node] = seen
    found = {tuple(sorted({node} | {n for n in seen if node in reached.get(n, ())})) for node, seen in reached.items()}
    return [list(circle) for circle in sorted(found) if len(circle) > 1]


def every_file_included_is_there():
    arrows = read_arrows(TOP)
    assert len(arrows) > 100, f"only {len(arrows)} sources under {TOP}"
    gone = [f"{path} includes {other}" for path, includes in sorted(arrows.items())
            for other in includes if room_of(path, ROOMS) and other not in arrows]
    assert not gone, gone


def no_arrow_goes_against_the_order():
    arrows = read_arrows(TOP)
    for room in ROOMS:
        files = [p for p in arrows if room_of(p, ROOMS) == room]
        assert files, f"there is no file in {room}"
        print(f"# {room}: {len(files)} files, {sum(len(arrows[p]) for p in files)} includes")
    wrong = wrong_arrows(arrows, ROOMS)
    assert not wrong, wrong


def no_files_stand_in_a_circle():
    found = circles(read_arrows(TOP), ROOMS)
    assert not found, found


def a_wrong_arrow_is_named():
    rooms = tiers("h", ["low", "high"], ["g"])
    arrows = {"h/low/a.c": ["h/low/a.h", "h/high/b.h"], "h/low/a.h": ["g/g.h"], "h/high/b.h": ["h/low/a.h"],
              "h/main.c": ["h/high/b.h"], "h/high/b.c": ["elsewhere/c.h"], "elsewhere/c.h": ["h/high/b.h"]}
    assert wrong_arrows(arrows, rooms) == ["h/high/b.c includes elsewhere/c.h", "h/low/a.c includes h/high/b.h"]


def a_circle_is_named_and_its_followers_are_not():
    rooms = {"r": []}
    arrows = {"r/a.c": ["r/a.h", "r/b.h"], "r/b.c": ["r/c.h"], "r/c.h": ["r/a.h"], "r/d.c": ["r/a.h"], "r/e.h": [],
              "r/a.h": ["r/e.h"]}
    assert circles(arrows, rooms) == [["r/a", "r/b", "r/c"]]


TESTS = [every_file_included_is_there, no_arrow_goes_against_the_order, no_files_stand_in_a_circle,
         a_wrong_arrow_is_named, a_circle_is_named_and_its_followers_are_not]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}")
        except AssertionError as e:
            failed += 1
            for line in e.args[0] if e.args and isinstance(e.args[0], list) else [e]:
                print(f"# {' <-> '.join(line) if isinstance(line, list) else line}")
            print(f"not ok {number} - {test.__name__}")
    sys.exit(failed > 0)


main()
