#!/usr/bin/env python3
"""Work of a size that one user chooses, and what others see of it: nothing. (tests/bench/load.py measures it.)"""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import FAST, Client, refused, run_tests, spec, wait_state, wait_until, with_daemon  # noqa: E402


def ask(c, method, **params):
    """Sends a request whose answer is read later."""
    c.send_raw(json.dumps({"jsonrpc": "2.0", "id": "later", "method": method, "params": params}).encode() + b"\n")


def answered(c):
    """Whether an answer to what was asked has come."""
    c.sock.setblocking(False)
    try:
        return len(c.sock.recv(1, 2)) > 0  # MSG_PEEK
    except BlockingIOError:
        return False
    finally:
        c.sock.settimeout(120)


def an_ended_job(d):
    c = d.client(timeout=60)
    job = c.call("job.submit", spec=spec(d.top, steps=1))["job"]
    wait_state(c, job, "done")
    return job, c.call("job.get", job=job)["directory"]


def write_journal(folder, event, data, megabytes):
    """A long journal whose every line is taken at its word."""
    with open(folder + "/journal.ndjson", "w") as f:
        n = 0
        while f.tell() < megabytes << 20:
            f.write("".join('{"seq":%d,"time":1.0,"event":"%s","data":%s,"sum":"0"}\n' % (n + k, event, data)
                            for k in range(1, 1001)))
            n += 1000
    return n


@with_daemon(FAST)
def others_are_answered_while_a_long_journal_is_read(d):
    """The log, a curve, the layers and a replay, asked for again and again by many."""
    job, folder = an_ended_job(d)
    lines = write_journal(folder, "log", '{"level":"info","text":"a line like many"}', 32)
    busy = [d.client(timeout=120) for _ in range(12)]
    for n, c in enumerate(busy):
        (ask(c, "job.log", job=job, limit=1) if n % 4 == 0 else
         ask(c, "job.series", job=job, block=0) if n % 4 == 1 else
         ask(c, "job.plan", job=job) if n % 4 == 2 else
         ask(c, "events.subscribe", job=job, events=["eval.result"], since_seq=0))
    other = d.client(timeout=120)
    for _ in range(20):
        other.call("job.list")
        other.call("daemon.info")
    assert not all(answered(c) for c in busy if c is not busy[3]), "the others came in between"
    got = json.loads(_line(busy[0]))["result"]
    assert got["total"] == lines, "and all of it was read"


def _line(c):
    while b"\n" not in c.buffer:
        c.buffer += c.sock.recv(65536)
    line, c.buffer = c.buffer.split(b"\n", 1)
    return line


def memory(d):
    with open("/proc/%d/status" % d.process.pid) as f:
        return int(next(l for l in f if l.startswith("VmHWM")).split()[1]) << 10


@with_daemon(FAST)
def a_plan_as_long_as_its_user_likes_holds_nobody_up(d):
    job, folder = an_ended_job(d)
    row = '{"name":"model.layers.%d.down_proj","block":%d,"module":"down_proj","out":8,"in":8,"scheme":"w4g128",' \
          '"source":"default","tie":null}'
    with open(folder + "/new", "w") as f:
        f.write('{"revision":3,"layers":[' + ",".join(row % (n, n) for n in range(40000)) + "]}")
    os.replace(folder + "/new", folder + "/plan.json")
    before, c, other = memory(d), d.client(timeout=120), d.client(timeout=120)
    ask(c, "job.plan", job=job, limit=2, offset=39997)
    other.call("job.list")
    assert not answered(c), "in steps"
    got = json.loads(_line(c))["result"]
    assert [got["revision"], got["total"]] == [3, 40000], got
    assert [l["name"] for l in got["layers"]] == ["model.layers.%d.down_proj" % n for n in (39997, 39998)]
    assert c.call("job.series", job=job, block=39999)["total"] == 0
    with open(folder + "/new", "w") as f:
        f.write('{"revision":3,"layers":[' + ",".join(["{}"] * 10000000) + "]}")
    os.replace(folder + "/new", folder + "/plan.json")
    for _ in range(3):
        refused(c, "limit", "has more than 200000 layers", "job.plan", job=job)
    assert memory(d) < before + (256 << 20), "%d MiB" % ((memory(d) - before) >> 20)


@with_daemon(FAST)
def a_client_that_asks_without_end_holds_nobody_up(d):
    flood = [d.client(timeout=120) for _ in range(16)]
    request = b'{"jsonrpc":"2.0","id":"f","method":"daemon.info"}\n'
    for c in flood:
        c.sock.setblocking(False)
        try:
            while True:
                c.sock.send(request * 1000)
        except BlockingIOError:
            pass
    other = d.client(timeout=120)
    for _ in range(50):
        other.call("job.list")
    for c in flood:  # what they asked for is answered too, once they read
        c.sock.settimeout(120)
        assert json.loads(_line(c))["id"] == "f"


def many_rows(d, count, state):
    """Jobs of an earlier life, straight into the store."""
    db = sqlite3.connect(d.state + "/srqd.db")
    names = [r[1] for r in db.execute("PRAGMA table_info(jobs)")]
    row = dict(zip(names, db.execute("SELECT * FROM jobs").fetchone()))
    del row["number"]
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    for n in range(count):
        ident = "z" + "".join(letters[n // 31 ** k % 31] for k in range(5))
        new = dict(row, id=ident, state=state, ended=1.0 if state == "done" else 0.0, output="/nowhere/" + ident)
        db.execute("INSERT INTO jobs(%s) VALUES(%s)" % (",".join(new), ",".join("?" * len(new))), list(new.values()))
    db.commit()
    db.close()


@with_daemon(FAST + "[retention]\nkeep_jobs = 10000\n")
def others_are_answered_while_thousands_of_jobs_are_deleted(d):
    an_ended_job(d)
    d.terminate()
    many_rows(d, 3000, "done")
    d.start()
    c, other = d.client(timeout=300), d.client(timeout=300)
    d.configure(FAST + "[retention]\nkeep_jobs = 0\nkeep_days = 1\n")
    c.call("daemon.reload")  # what srqd does of its own accord it has done at its start
    ask(c, "job.gc")
    left = [other.call("job.list", limit=1)["total"] for _ in range(5)]
    assert left[-1] > 1 and not answered(c), left
    got = json.loads(_line(c))["result"]["deleted"]
    assert len(got) == 3000 and other.call("job.list")["total"] == 1, "the one that has just ended stays"


@with_daemon(FAST + "[limits]\nuser_max_queued = 0\n", args=[])
def thousands_that_wait_have_their_places(d):
    an_ended_job(d)
    c = d.client(timeout=120)
    c.call("daemon.drain")
    d.terminate()
    many_rows(d, 3000, "queued")
    d.configure(FAST + "[limits]\nuser_max_queued = 0\nmax_threads = 1\n")
    db = sqlite3.connect(d.state + "/srqd.db")
    db.execute("UPDATE jobs SET threads = 2 WHERE state = 'queued'")  # none of them may ever start
    db.commit()
    db.close()
    d.start()
    c = d.client(timeout=120)
    seen = {}
    for at in range(0, 3001, 500):
        seen.update((j["job"], j["position"]) for j in c.call("job.list", offset=at, limit=500)["jobs"] if j["position"])
    assert sorted(seen.values()) == list(range(1, 3001))
    last = max(seen, key=seen.get)
    c.call("job.priority", job=last, priority=5)
    assert c.call("job.get", job=last)["position"] == 1


@with_daemon(FAST + "[limits]\nmax_running = 2\n")
def nothing_is_kept_of_clients_and_jobs_that_have_gone(d):
    def open_files():
        return len(os.listdir("/proc/%d/fd" % d.process.pid))

    c = d.client(timeout=120)
    before = None
    for n in range(24):
        job = c.call("job.submit", spec=spec(d.top, "out%d" % n, steps=1))["job"]
        for _ in range(10):
            one = Client(d.socket, timeout=120)
            one.call("events.subscribe", job=job, since_seq=0)
            one.call("job.plan", job=job)
            one.call("job.log", job=job)
            one.close()
        wait_state(c, job, "done")
        c.call("job.delete", job=job)
        if n == 3:
            wait_until("an empty house", lambda: c.call("daemon.info")["clients"] == 1)
            before = open_files()
    wait_until("an empty house", lambda: c.call("daemon.info")["clients"] == 1)
    wait_until("as few descriptors as at first: %d" % before, lambda: open_files() <= before, timeout=60)
    wait_until("an empty folder", lambda: not os.listdir(d.state + "/jobs"), timeout=60)


run_tests([others_are_answered_while_a_long_journal_is_read, a_plan_as_long_as_its_user_likes_holds_nobody_up,
           a_client_that_asks_without_end_holds_nobody_up,
           others_are_answered_while_thousands_of_jobs_are_deleted, thousands_that_wait_have_their_places,
           nothing_is_kept_of_clients_and_jobs_that_have_gone])
