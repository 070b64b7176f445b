#!/usr/bin/env python3
"""Who includes whom: every #include "..." of the product's sources against a table of rooms.

An arrow to a room that the table does not allow is an error, and so is a circle of files, where x.c and x.h count as one
file. core computes and knows no process: what opens sockets, locks files or starts programs is an error there."""
import os
import re
import sys

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PRODUCT = ["core", "daemon", "plugins", "tui"]

PUBLIC = "core/include"
WIRE = [PUBLIC, "core/base", "core/proto"]


def tiers(house, names, ground):
    """Rows of a house whose rooms stand in a row: each may look at those before it and at the ground."""
    rooms = [f"{house}/{name}" for name in names]
    return {room: rooms[:i] + ground for i, room in enumerate(rooms)} | {house: rooms + ground}


def storeys(house, levels):
    """Rows of a house whose rooms stand in storeys: each may look at all below it, and at none beside it."""
    rows, below = {}, []
    for level in levels:
        rows |= {f"{house}/{name}": below for name in level}
        below = below + [f"{house}/{name}" for name in level]
    return rows


# text reads its files with what format has for hostile input.
CORE = storeys("core", [["include"], ["base"], ["tensor"], ["math"], ["tape", "grid", "format"], ["text"], ["model"],
                        ["flow"], ["tune", "eval", "budget"], ["diffusion"]])
PLUGINS = sorted(e.name for e in os.scandir(os.path.join(TOP, "plugins")) if e.is_dir())

# Room: the rooms that its files may include from, besides itself. A file belongs to the longest name that its folder
# begins with.
ROOMS = CORE | {
    "core/proto": [PUBLIC, "core/base"],
    "core/job": [*CORE, "core/proto"],
    "plugins": [PUBLIC],
    "daemon/srq-worker": [*CORE, "core/proto", "core/job"],
    "tui/client": WIRE,
    "tui/srqctl": WIRE + ["tui/client"],
    "tui/srqtop": WIRE + ["tui/client"],
} | {f"plugins/{name}": [PUBLIC, "plugins"] for name in PLUGINS} | tiers(
    "daemon/srqd", ["base", "store", "jobs", "workers", "clients"], WIRE)

# What belongs to a process.
PROCESS = (r"#[ \t]*include[ \t]+<sys/(socket|un|file)\.h>|\b(flock|lockf|v?fork|exec(l|v|le|lp|lpe|ve|vp|vpe|veat)"
           r"|posix_spawnp?|popen|system)[ \t]*\(|\bF_(OFD_)?SETLKW?\b")


def read_sources(top):
    """{file: its text}"""
    sources = {}
    for part in PRODUCT:
        for folder, _, names in os.walk(os.path.join(top, part)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        sources[os.path.relpath(path, top)] = f.read()
    return sources


def includes_of(text):
    """Files that it includes, of this project; its public headers by their place in it."""
    found = re.findall(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<(srq/[^>]+)>)', text, re.M)
    return [inside or f"{PUBLIC}/{public}" for inside, public in found]


def read_arrows(top):
    """{file: [files it includes]}"""
    return {path: includes_of(text) for path, text in read_sources(top).items()}


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


def every_source_has_a_room():
    homeless = [path for path in sorted(read_arrows(TOP)) if not room_of(path, ROOMS)]
    assert not homeless, homeless


def no_files_stand_in_a_circle():
    found = circles(read_arrows(TOP), ROOMS)
    assert not found, found


def core_knows_no_process():
    wrong = [f"{path}: {match[0]}" for path, text in sorted(read_sources(TOP).items()) if path.startswith("core/")
             for match in re.finditer(PROCESS, text)]
    assert not wrong, wrong


def a_wrong_arrow_is_named():
    rooms = tiers("h", ["low", "high"], ["g"])
    arrows = {"h/low/a.c": ["h/low/a.h", "h/high/b.h"], "h/low/a.h": ["g/g.h"], "h/high/b.h": ["h/low/a.h"],
              "h/main.c": ["h/high/b.h"], "h/high/b.c": ["elsewhere/c.h"], "elsewhere/c.h": ["h/high/b.h"]}
    assert wrong_arrows(arrows, rooms) == ["h/high/b.c includes elsewhere/c.h", "h/low/a.c includes h/high/b.h"]


def rooms_of_one_storey_do_not_look_at_each_other():
    rooms = storeys("h", [["low"], ["a", "b"], ["high"]])
    assert rooms == {"h/low": [], "h/a": ["h/low"], "h/b": ["h/low"], "h/high": ["h/low", "h/a", "h/b"]}


def public_headers_are_found_by_their_place():
    assert includes_of('#include "a/b.h"\n#include <stdio.h>\n# include <srq/error.h>\n') == [
        "a/b.h", "core/include/srq/error.h"]


def what_belongs_to_a_process_is_seen():
    for line in ["#include <sys/socket.h>", "#  include <sys/un.h>", "flock(fd, LOCK_EX)", "fcntl(fd, F_SETLK, &l)",
                 "pid = fork();", "execv(path, argv);", "execlp(a, b)", "posix_spawn(&pid, path)", "F_OFD_SETLKW"]:
        assert re.search(PROCESS, line), line
    for line in ["#include <sys/stat.h>", "a_fork(x)", "execute(job)", "srq_system(x)", "F_SETFD"]:
        assert not re.search(PROCESS, line), line


def a_circle_is_named_and_its_followers_are_not():
    rooms = {"r": []}
    arrows = {"r/a.c": ["r/a.h", "r/b.h"], "r/b.c": ["r/c.h"], "r/c.h": ["r/a.h"], "r/d.c": ["r/a.h"], "r/e.h": [],
              "r/a.h": ["r/e.h"]}
    assert circles(arrows, rooms) == [["r/a", "r/b", "r/c"]]


TESTS = [every_file_included_is_there, every_source_has_a_room, no_arrow_goes_against_the_order,
         no_files_stand_in_a_circle, core_knows_no_process, a_wrong_arrow_is_named,
         rooms_of_one_storey_do_not_look_at_each_other, public_headers_are_found_by_their_place,
         what_belongs_to_a_process_is_seen, a_circle_is_named_and_its_followers_are_not]


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
