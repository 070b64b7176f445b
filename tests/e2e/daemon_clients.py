#!/usr/bin/env python3
"""srqd and its clients: hostile frames, authority, slow readers, configuration, locks, starting and ending."""
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import (FAST, Daemon, alive, as_user, journal_lines, program_for_all, refused, run_tests,  # noqa: E402
                         second_user, spec, wait_state, wait_until, with_daemon)


HELLO = b'{"jsonrpc":"2.0","id":"h","method":"hello","params":{"major":1,"minor":0,"client":"t"}}\n'

# Frame, code, part of the message, field, id of the answer.
HOSTILE = [
    (b"", "format", "ends where a value belongs", None, None),
    (b"hello", "format", "unexpected character", None, None),
    (b"{", "format", "no member name", None, None),
    (b"[]", "protocol", "one JSON object", None, None),
    (b"null", "protocol", "one JSON object", None, None),
    (b'{"jsonrpc":"2.0","id":"1","method":"daemon.info"} x', "format", "more text", None, None),
    (b'{"jsonrpc":"2.0","id":"1","id":"2","method":"daemon.info"}', "format", "given twice", "id", None),
    (b'{"jsonrpc":"2.0","id":"1","method":"daemon\xff.info"}', "format", "UTF-8", None, None),
    (b'{"jsonrpc":"2.0","id":"1","method":"daemon\\u0000.info"}', "format", "NUL", None, None),
    (b'{"jsonrpc":"2.0","id":"1","method":"daemon\x00.info"}', "format", "NUL", None, None),
    (b'{"jsonrpc":"2.0","id":"1","method":"a","params":' + b"[" * 40 + b"]" * 40 + b"}", "limit", "32 levels", None, None),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.priority","params":{"job":"a","priority":1e999}}', "format",
     "range of a double", None, None),
    (b'{"id":"1","method":"daemon.info"}', "protocol", "jsonrpc", "jsonrpc", "1"),
    (b'{"jsonrpc":"2.0","id":1,"method":"daemon.info"}', "protocol", "id must be a string", "id", None),
    (b'{"jsonrpc":"2.0","method":"daemon.info"}', "protocol", "with an id", None, None),
    (b'{"jsonrpc":"2.0","id":"1","result":{}}', "protocol", "only requests", None, "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"daemon.info","params":[1]}', "protocol", "named members", "params", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"daemon.info","uid":0}', "protocol", 'no member "uid"', "uid", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.shred"}', "unsupported", 'no method "job.shred"', "method", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"worker.pause"}', "unsupported", "no method", "method", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.pin"}', "invalid", 'member "job" is missing', "job", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.pin","params":{"job":"a","pins":[{"pattern":"x","scheme":""}]}}', "invalid",
     "length 0", "pins[0].scheme", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.budget","params":{"job":"a","bits":"3"}}', "invalid", "of type number",
     "bits", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"worker.change","params":{"op":"pin","by":"x"}}', "unsupported", "no method",
     "method", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.get"}', "invalid", 'member "job" is missing', "job", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.get","params":{"job":7}}', "invalid", "of type string", "job", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.get","params":{"job":"../../etc"}}', "not_found", "no job", "job", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.get","params":{"job":"a","uid":0}}', "invalid", "unknown member",
     "uid", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.list","params":{"limit":0}}', "invalid", "not between", "limit", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.list","params":{"states":["happy"]}}', "invalid", "happy", "states[0]", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.submit","params":{"spec":"x"}}', "invalid", "of type object", "spec", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"job.submit","params":{"spec":{}}}', "not_found", "no such model", "model", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"events.subscribe","params":{"events":["rain"]}}', "invalid", "rain",
     "events", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"events.subscribe","params":{"since_seq":3}}', "invalid", "needs a job",
     "since_seq", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"events.unsubscribe","params":{"subscription":"s9"}}', "not_found", "s9",
     "subscription", "1"),
    (b'{"jsonrpc":"2.0","id":"1","method":"plugin.info","params":{"name":"--plan"}}', "not_found", "no plugin",
     "name", "1"),
]


@with_daemon()
def every_hostile_frame_gets_its_message_and_the_daemon_lives(d):
    for frame, code, part, field, ident in HOSTILE:
        c = d.client(hello=False)
        c.send_raw(HELLO)
        assert "result" in c.read_message()
        c.send_raw(frame + b"\n")
        got = c.read_message()
        what = "%r: %r" % (frame[:100], got)
        assert got["error"]["data"] == {"code": code, "field": field} and part in got["error"]["message"], what
        assert got["id"] == ident, what
        c.send_raw(b'{"jsonrpc":"2.0","id":"z","method":"daemon.info"}\n')
        assert c.read_message()["id"] == "z", "the connection survives " + what
        c.close()


@with_daemon()
def a_client_that_sends_only_nonsense_is_shown_the_door(d):
    c = d.client()
    c.send_raw(b"nonsense\n" * 100)
    answers = 0
    while c.read_message() is not None:
        answers += 1
    assert answers == 16, answers


@with_daemon()
def an_oversized_frame_ends_the_connection_with_the_reason(d):
    c = d.client()
    try:
        c.send_raw(b'{"x":"' + b"y" * (1 << 20))
    except OSError:
        pass
    got = c.read_message()
    assert got["error"]["data"]["code"] == "limit" and "1048576 bytes" in got["error"]["message"], got
    assert c.read_message() is None
    d.client().call("daemon.info")


@with_daemon()
def random_bytes_never_hurt_the_daemon(d):
    import random
    seed = 7
    print("# seed %d" % seed)
    rng = random.Random(seed)
    for _ in range(150):
        c = d.client(hello=False)
        base = bytearray(HELLO * 3 + b'{"jsonrpc":"2.0","id":"1","method":"job.list","params":{"limit":5}}\n')
        for _ in range(rng.randrange(1, 12)):
            base[rng.randrange(len(base))] = rng.randrange(256)
        c.send_raw(bytes(base))
        c.close()
    assert d.client().call("daemon.info")["pid"] == d.process.pid


@with_daemon()
def hello_comes_first_and_a_wrong_major_is_told_both_versions(d):
    c = d.client(hello=False)
    refused(c, "protocol", "first call is hello", "daemon.info")
    c = d.client(hello=False)
    e = refused(c, "protocol", "protocol 1 is spoken here, the client speaks 9", "hello", major=9, minor=0, client="x")
    assert e.field == "major"
    assert c.read_message() is None


@with_daemon()
def sixtyfour_clients_watch_and_one_that_never_reads_hurts_nobody(d):
    watchers = [d.client() for _ in range(62)]
    for w in watchers:
        w.call("events.subscribe", events=["tune.point"])
    asker = d.client()
    slow = d.client()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.call("events.subscribe")
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=40, spam=250, step_ms=5))["job"]
    told, answered = threading.Event(), []

    def ask():
        while not told.is_set():
            asker.call("job.list")
            answered.append(told.is_set())
    thread = threading.Thread(target=ask)
    thread.start()
    for w in watchers:
        n = 0
        while n < 10000:
            n += 1 + w.wait_event("tune.point").get("skipped", 0)
        assert n == 10000
    told.set()
    thread.join()
    assert answered.count(False) >= 5, "%d requests were answered while samples were sent" % answered.count(False)
    wait_state(c, job, "done", timeout=60)
    seen, skipped, order = 0, 0, {}
    while True:
        m = slow.event()
        p = m["params"]
        if m["method"] == "tune.point":
            seen += 1
            skipped += p.get("skipped", 0)
            assert p["seq"] > order.get(p["block"], 0), "a series never runs backwards"
            order[p["block"]] = p["seq"]
        if seen + skipped == 10000:
            break
    assert skipped > 0, "the slow one was told what it missed"


@with_daemon()
def every_sample_is_sent_or_counted_also_of_very_many_series(d):
    c = d.client()
    for series in (9000, 3000):  # more than are held back at once, and fewer
        slow = d.client()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.call("events.subscribe", events=["tune.point"])
        job = c.call("job.submit", spec=spec(d.top, str(series), steps=6, spam=series, series=series))["job"]
        wait_state(c, job, "done", timeout=60)
        told, skipped = {}, 0
        while sum(told.values()) < 6 * series:
            p = slow.wait_event("tune.point")
            told[p["block"]] = told.get(p["block"], 0) + 1 + p.get("skipped", 0)
            skipped += p.get("skipped", 0)
        assert set(told.values()) == {6} and len(told) == series, sorted(set(told.values()))
        assert skipped > 0 or series > 4096
        slow.close()


@with_daemon("[daemon]\nclient_output_max = 300K\n")
def a_client_over_the_hard_limit_is_dropped(d):
    c, slow = d.client(), d.client()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.call("events.subscribe")
    # Log lines are never coalesced: each stays in line for who does not read.
    job = c.call("job.submit", spec=spec(d.top, steps=5, chatter=2000))["job"]
    assert wait_state(c, job, "done")["restarts"] == 0
    assert "does not read" in d.read_log()
    assert c.call("daemon.info")["clients"] == 1


@with_daemon()
def a_replay_gives_every_line_once_across_the_join_with_live_events(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=60, spam=20, step_ms=10))["job"]
    wait_state(c, job, "running")
    wait_until("a journal to join", lambda: journal_lines(d, job) > 100)
    c.call("events.subscribe", job=job, since_seq=0)
    seqs = []
    while True:
        m = c.event()
        if m["method"] == "job.state" and m["params"]["state"] == "done":
            break
        if m["params"]["seq"]:
            seqs.append(m["params"]["seq"])
    with open(os.path.join(d.state, "jobs", job, "journal.ndjson")) as f:
        lines = [json.loads(l) for l in f]
    wanted = [l["seq"] for l in lines if l["event"] != "job.state"]
    assert seqs == wanted, "%d lines, %d sent" % (len(wanted), len(seqs))
    again = d.client()
    again.call("events.subscribe", job=job, since_seq=wanted[-3])
    assert [again.wait_event(e["event"])["seq"] for e in lines if e["seq"] in wanted[-2:]] == wanted[-2:]


@with_daemon()
def an_unsubscribed_client_hears_no_more(d):
    c = d.client()
    s = c.call("events.subscribe")["subscription"]
    c.call("events.unsubscribe", subscription=s)
    job = c.call("job.submit", spec=spec(d.top, steps=2))["job"]
    wait_state(c, job, "done")
    assert c.events == []


@with_daemon()
def names_of_jobs_may_be_short(d):
    c = d.client()
    refused(c, "not_found", "no jobs", "job.get", job="@last")
    ids = [c.call("job.submit", spec=spec(d.top, str(n)), paused=True)["job"] for n in range(3)]
    assert c.call("job.get", job="@last")["job"] == ids[-1]
    for i in ids:
        n = next(n for n in range(1, 7) if sum(o.startswith(i[:n]) for o in ids) == 1)
        assert c.call("job.get", job=i[:n])["job"] == i
    assert c.call("job.list", limit=2)["next_offset"] == 2
    assert [j["job"] for j in c.call("job.list")["jobs"]] == ids[::-1]


TRY = """
def attempt(method, **p):
    try:
        c.call(method, **p)
        return "ok"
    except Refused as e:
        return e.code
"""


@with_daemon(FAST + "[access]\nsocket_group = *\n", start=False, args=["--system"])
def another_user_sees_and_changes_only_its_own_jobs(d):
    uid, reason = second_user()
    if reason:
        return reason
    program_for_all(d)
    d.start()
    c = d.client()
    mine = c.call("job.submit", spec=spec(d.top, steps=2))["job"]
    got = as_user(uid, TRY + """
mine = sys.argv[2]
print(json.dumps({m: attempt(m, job=mine) for m in
    ("job.get", "job.cancel", "job.pause", "job.resume", "job.finish", "job.delete", "job.plan", "job.log",
     "job.report", "events.subscribe")} |
    {"prio": attempt("job.priority", job=mine, priority=1), "drain": attempt("daemon.drain"),
     "stop": attempt("daemon.stop"), "reload": attempt("daemon.reload"),
     "list": len(c.call("job.list", all=True)["jobs"]), "total": sum(c.call("job.list")["counts"].values())}))
""", d, mine)
    assert got.pop("list") == 0 and got.pop("total") == 1
    assert set(got.values()) == {"permission"}, got


@with_daemon(FAST + "[access]\nsocket_group = *\n", start=False, args=["--system"])
def another_users_worker_runs_as_that_user_in_its_own_directory(d):
    uid, reason = second_user()
    if reason:
        return reason
    program_for_all(d)
    d.start()
    got = as_user(uid, """
s = {"model": "/", "output": "/tmp/x-%d" % os.getpid(), "options": {"fake.steps": 100000}, "on_end": "id -u"}
job = c.call("job.submit", spec=s)["job"]
try:
    c.call("job.submit", spec=dict(s, output="/tmp/y", priority=5))
except Refused as e:
    high = e.code
pid = wait_state(c, job, "running")["pid"]
got = c.call("job.get", job=job)
print(json.dumps({"job": job, "pid": pid, "dir": got["directory"], "owner": got["owner"], "high": high}))
""", d)
    with open("/proc/%d/status" % got["pid"]) as f:
        status = dict(l.split(":", 1) for l in f.read().splitlines() if ":" in l)
    assert status["Uid"].split() == [str(uid)] * 4 and status["Gid"].split()[0] != "0", status["Uid"]
    assert "0" not in status["Groups"].split(), status["Groups"]
    st = os.stat(got["dir"])
    assert st.st_uid == uid and stat.S_IMODE(st.st_mode) == 0o700
    assert got["owner"] == "nobody" and got["high"] == "permission"
    c = d.client()
    assert c.call("job.get", job=got["job"])["attached"] is True
    d.kill()
    d.start()
    c = d.client()
    assert wait_state(c, got["job"], "running")["pid"] == got["pid"]
    c.call("job.cancel", job=got["job"])
    wait_state(c, got["job"], "canceled")


@with_daemon(FAST)
def a_daemon_of_one_user_refuses_another(d):
    uid, reason = second_user()
    if reason:
        return reason
    os.chmod(d.socket, 0o666)
    out = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-c",
                          "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                          "print(s.recv(65536).decode())", d.socket], cwd="/", capture_output=True, text=True)
    assert "this daemon serves user 0 only" in out.stdout, (out.stdout, out.stderr)


@with_daemon(start=False)
def a_second_daemon_on_the_socket_or_the_state_is_refused(d):
    d.start()
    for args, part in ((["--socket", d.socket, "--state-dir", d.top + "/other"], "this socket"),
                       (["--socket", d.top + "/s2", "--state-dir", d.state], "this state folder")):
        out = subprocess.run([d.program, "--foreground", "--config", d.config] + args, env=d.env, capture_output=True,
                             text=True, timeout=20)
        assert out.returncode == 1 and part in out.stderr, out.stderr
    d.client().call("daemon.info")


@with_daemon(start=False)
def a_stale_socket_is_cleared_but_nothing_else(d):
    s = socket.socket(socket.AF_UNIX)
    s.bind(d.socket)
    s.close()
    d.start()
    assert stat.S_IMODE(os.stat(d.socket).st_mode) == 0o600
    d.terminate()
    with open(d.socket, "w") as f:
        f.write("precious")
    out = subprocess.run([d.program, "--foreground", "--socket", d.socket, "--state-dir", d.state, "--config",
                          d.config], env=d.env, capture_output=True, text=True, timeout=20)
    assert out.returncode == 1 and "is not a socket" in out.stderr, out.stderr
    assert open(d.socket).read() == "precious"


@with_daemon(start=False)
def the_configuration_is_strict_and_names_the_line(d):
    for text, part in (("[limits]\nmax_runing = 3\n", 'line 2: unknown key "max_runing"'),
                       ("[daemon]\nmax_running = 3\n", "line 2: max_running belongs in section [limits]"),
                       ("max_running = 3\n", "line 1: max_running belongs in section [limits]"),
                       ("[limits]\nmax_running = many\n", "line 2: max_running = many: not a whole number"),
                       ("[limits]\n\nmax_running = -1\n", "line 3: max_running = -1: not between 0"),
                       ("[limits]\nmax_memory = 3X\n", "a size is a number with K, M, G or T"),
                       ("[limits]\nmax_running = 1\nmax_running = 2\n", "line 3: max_running is set twice"),
                       ("[access]\nlook_all = true\n", "wants yes or no"),
                       ("[restart]\npauses_s =\n", "wants 1 to 16 numbers"),
                       ("[nonsense]\n", "line 1: unknown section [nonsense]"),
                       ("hello\n", "neither key = value nor [section]")):
        d.configure(text)
        out = subprocess.run([d.program, "--check-config", "--config", d.config, "--socket", d.socket, "--state-dir",
                              d.state], env=d.env, capture_output=True, text=True, timeout=20)
        assert out.returncode == 1 and part in out.stderr and d.config in out.stderr, (text, out.stderr)
    d.configure("[access]\nsocket_group = no-such-a\nadmin_group = no-such-b\n")
    for mode, code in (("--user", 0), ("--system", 1)):
        out = check_config(d, mode)
        assert out.returncode == code, out
        if code == 0:
            assert out.stdout == d.config + ": ok\n", out
            continue
        for line in ("socket_group = no-such-a: there is no such group", "admin_group = no-such-b: there is no such group"):
            assert d.config + ": " + line in out.stderr, out.stderr


def check_config(d, mode="--user", state=None):
    return subprocess.run([d.program, mode, "--check-config", "--config", d.config, "--socket", d.socket, "--state-dir",
                           state or d.state], env=d.env, capture_output=True, text=True, timeout=20)


@with_daemon(start=False)
def what_is_checked_is_told_at_once_and_left_as_it_is(d):
    """Folders that are missing are not made, and the first mistake does not hide the others."""
    before = sorted(os.listdir(d.top))
    out = check_config(d)
    assert out.returncode == 0 and sorted(os.listdir(d.top)) == before, (out, os.listdir(d.top))
    d.configure("[limits]\nmax_runing = 3\n")
    d.env["SRQ_WORKER"] = os.path.join(d.top, "no-worker")
    os.mkdir(d.state)
    os.chmod(d.state, 0o777)
    with open(d.runtime, "w") as f:
        f.write("not a folder")
    before = sorted(os.listdir(d.top))
    out = check_config(d)
    assert out.returncode == 1 and sorted(os.listdir(d.top)) == before, (out, os.listdir(d.top))
    for part in ("others can write in " + d.state, d.runtime + " is no folder", "no-worker", 'unknown key "max_runing"'):
        assert part in out.stderr, out.stderr
    out = check_config(d, state="/proc/state")
    assert out.returncode == 1 and "/proc/state is not there and cannot be made" in out.stderr or os.geteuid() == 0, out


@with_daemon(start=False)
def where_systemd_runs_each_worker_has_a_scope(d):
    """systemd is asked over its bus; a stand-in for busctl writes down what it is asked, and may refuse."""
    busctl, asked = os.path.join(d.top, "busctl"), os.path.join(d.top, "asked")
    with open(busctl, "w") as f:
        f.write('#!/bin/sh\nprintf "%%s\\n" "$@" > %s.new\nmv %s.new %s\n' % (asked, asked, asked))
    os.chmod(busctl, 0o755)
    d.env["SRQ_BUSCTL"] = busctl
    d.configure("[worker]\nslice = nets.slice\nmemory_high = 200\n")
    d.start()
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=100000, memory=1000))["job"]
    pid = wait_state(c, job, "running")["pid"]
    words = wait_until("systemd is asked", lambda: os.path.exists(asked) and open(asked).read().split("\n"))
    text = " ".join(words)
    assert "--user call org.freedesktop.systemd1 " in text and "StartTransientUnit ssa(sv)a(sa(sv))" in text, text
    assert words[words.index("ssa(sv)a(sa(sv))") + 1] == "srq-job-%s-%d.scope" % (job, pid), words
    assert "Slice s nets.slice" in text and "PIDs au 1 %d" % pid in text, text
    assert "MemoryHigh t %d 0" % (1000 // 100 * 200 + (256 << 20)) in text, text
    c.call("job.cancel", job=job)
    with open(busctl, "w") as f:
        f.write("#!/bin/sh\necho Access denied >&2\nexit 1\n")
    job = c.call("job.submit", spec=spec(d.top, "b", steps=1))["job"]
    wait_state(c, job, "done")
    wait_until("the log says so", lambda: "job %s: systemd makes no scope" % job in d.read_log())
    assert "Access denied" in d.read_log()
    os.remove(asked)
    d.configure("[worker]\nslice =\n")
    c.call("daemon.reload")
    job = c.call("job.submit", spec=spec(d.top, "c", steps=1))["job"]
    wait_state(c, job, "done")
    assert d.read_log().count("makes no scope") == 1


@with_daemon(start=False)
def a_configuration_that_comes_later_is_read_by_reload(d):
    """At the usual place, where there was none when the daemon started."""
    path = os.path.join(d.top, "config", "srq", "srqd.conf")
    d.config, d.env["XDG_CONFIG_HOME"] = None, os.path.join(d.top, "config")
    d.start()
    c = d.client()
    assert c.call("daemon.info")["config"] is None and c.call("daemon.reload")["config"] is None
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as f:
        f.write("[limits]\nmax_running = 5\n")
    assert c.call("daemon.reload")["config"] == path
    assert c.call("daemon.info")["limits"]["max_running"] == 5
    os.remove(path)
    assert c.call("daemon.reload")["config"] is None
    assert c.call("daemon.info")["limits"]["max_running"] != 5


@with_daemon()
def a_wrong_configuration_is_not_taken_by_reload(d):
    c = d.client()
    d.configure("[limits]\nmax_running = 5\n")
    c.call("daemon.reload")
    assert c.call("daemon.info")["limits"]["max_running"] == 5
    d.configure("[limits]\nmax_running = five\n")
    refused(c, "invalid", "line 2", "daemon.reload")
    d.process.send_signal(signal.SIGHUP)
    wait_until("the refusal in the log", lambda: "the old configuration stays" in d.read_log())
    assert c.call("daemon.info")["limits"]["max_running"] == 5


@with_daemon(start=False)
def arguments_are_checked_and_help_and_version_print(d):
    def run(*args):
        return subprocess.run([d.program] + list(args), env=d.env, capture_output=True, text=True, timeout=20)
    assert run("--nonsense").returncode == 2 and "--nonsense" in run("--nonsense").stderr
    assert run("--socket").returncode == 2
    assert run("--idle-exit", "soon").returncode == 2
    assert run("--version").stdout.startswith("srqd ")
    text = run("--help").stdout
    assert text.startswith("Usage: srqd") and len(text.splitlines()) <= 24


@with_daemon(start=False)
def without_foreground_it_returns_when_it_serves_and_says_why_when_not(d):
    args = [d.program, "--socket", d.socket, "--state-dir", d.state, "--config", d.config]
    out = subprocess.run(args, env=d.env, capture_output=True, text=True, timeout=20)
    assert out.returncode == 0, out.stderr
    c = d.client()
    pid = c.call("daemon.info")["pid"]
    assert os.getsid(pid) != os.getsid(0)
    out = subprocess.run(args, env=d.env, capture_output=True, text=True, timeout=20)
    assert out.returncode == 1 and "another srqd" in out.stderr
    c.call("daemon.stop")
    until = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not os.path.exists(d.socket) and os.path.exists(d.state + "/srqd.log")


@with_daemon(args=["--idle-exit", "1"])
def an_idle_daemon_ends_but_not_while_jobs_or_clients_need_it(d):
    def another_ends():
        """One that nothing needs, idle for less long than the daemon under test."""
        other = Daemon(args=["--idle-exit", "1"])
        try:
            other.start()
            assert other.process.wait(timeout=60) == 0
        finally:
            other.stop()

    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=100000))["job"]
    c.close()
    another_ends()
    assert d.process.poll() is None, "a job runs"
    c = d.client()
    c.call("job.cancel", job=job)
    wait_state(c, job, "canceled")
    another_ends()
    assert d.process.poll() is None, "a client is connected"
    c.close()
    assert d.process.wait(timeout=60) == 0


@with_daemon(start=False)
def the_service_manager_is_told(d):
    path = os.path.join(d.top, "notify")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    s.settimeout(10)
    d.env["NOTIFY_SOCKET"] = path
    d.start()
    assert s.recv(4096).startswith(b"READY=1\n")
    d.process.send_signal(signal.SIGHUP)
    first = s.recv(4096)
    assert first.startswith(b"RELOADING=1\nMONOTONIC_USEC="), first
    assert s.recv(4096) == b"READY=1"
    d.terminate()
    assert s.recv(4096) == b"STOPPING=1"


@with_daemon(start=False)
def a_full_disk_refuses_new_jobs_and_loses_no_accepted_one(d):
    if os.geteuid() != 0:
        return "needs root to mount a small file system"
    os.mkdir(d.state)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M,mode=755", "tmpfs", d.state],
                      capture_output=True).returncode != 0:
        return "cannot mount a tmpfs here"

    def stored_priority(job):
        with contextlib.closing(sqlite3.connect("file:%s/srqd.db?mode=ro" % d.state, uri=True)) as db:
            return db.execute("SELECT priority FROM jobs WHERE id = ?", (job,)).fetchone()[0]

    try:
        d.configure("[daemon]\nmin_free = 0\n" + FAST)
        d.start()
        c = d.client()
        job = c.call("job.submit", spec=spec(d.top, steps=1), paused=True)["job"]
        ballast = os.open(d.state + "/ballast", os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(ballast, b"x" * 4096)
        except OSError:
            os.close(ballast)
        refused(c, "no_space", "", "job.submit", spec=spec(d.top, "b"))
        assert c.call("job.list")["total"] == 1
        c.call("job.priority", job=job, priority=3)
        os.remove(d.state + "/ballast")
        wait_until("the priority in the store", lambda: stored_priority(job) == 3)
        d.kill()
        d.start()
        c = d.client()
        assert c.call("job.get", job=job)["priority"] == 3, "what the full disk could not take was written later"
        d.configure("[daemon]\nmin_free = 100M\n")
        c.call("daemon.reload")
        e = refused(c, "no_space", "min_free", "job.submit", spec=spec(d.top, "c"))
        assert "MiB free" in e.text
        wait_until("the refusal", lambda: "min_free" in (c.call("daemon.info")["refusing"] or ""))
        d.terminate()
    finally:
        subprocess.run(["umount", "-l", d.state])


@with_daemon(start=False)
def a_store_of_a_newer_version_is_left_alone(d):
    os.mkdir(d.state)
    db = sqlite3.connect(d.state + "/srqd.db")
    db.execute("PRAGMA user_version=999")
    db.commit()
    db.close()
    out = subprocess.run([d.program, "--foreground", "--socket", d.socket, "--state-dir", d.state, "--config",
                          d.config], env=d.env, capture_output=True, text=True, timeout=20)
    assert out.returncode == 1 and "schema version 999" in out.stderr


run_tests([v for v in list(globals().values()) if callable(v) and getattr(v, "__qualname__", "").endswith(".test")])
