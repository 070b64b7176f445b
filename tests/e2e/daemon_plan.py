#!/usr/bin/env python3
"""srqd and the live plan: changes by the worker and without one, many at once, refusals; plans and heatmaps from journals."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import (FAST, Refused, as_user, children, program_for_all, refused, run_tests, second_user,  # noqa: E402
                         spec, wait_state, wait_until, with_daemon)

DOWN = "model.layers.%d.mlp.down_proj"


def pin(client, job, layer=1, scheme="w8", **more):
    return client.call("job.pin", job=job, pins=[{"pattern": DOWN % layer, "scheme": scheme}], **more)


def scheme_of(client, job, layer=1):
    return client.call("job.plan", job=job)["layers"][layer]


@with_daemon(FAST)
def a_running_jobs_worker_is_asked_and_told_who_asks(d):
    c = d.client()
    c.call("events.subscribe", events=["plan.changed"])
    job = c.call("job.submit", spec=spec(d.top, steps=10000))["job"]
    wait_state(c, job, "running")
    r = pin(c, job)
    assert (r["job"], r["revision"], r["applied"], r["changed"]) == (job, 1, True, 1), r
    assert r["changes"] == [{"layer": DOWN % 1, "old": "w4g128", "new": "w8", "source": "pin", "state": "pending"}]
    e = c.wait_event("plan.changed")
    assert e["job"] == job and e["revision"] == 1 and "(uid %d)" % os.getuid() in e["by"], e
    row = scheme_of(c, job)
    assert (row["scheme"], row["source"], row["pin"], row["bits"]) == ("w8", "pin", True, 8), row
    assert c.call("job.plan", job=job)["revision"] == 1
    assert c.call("job.get", job=job)["after_bytes"] == 310, "lists show the plan as it is"
    r = c.call("job.unpin", job=job, patterns=["*"])
    assert r["revision"] == 2 and r["matched"] == 4 and r["changed"] == 1, r


@with_daemon(FAST)
def a_job_without_worker_is_changed_in_its_directory(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=10000), paused=True)["job"]
    c.call("events.subscribe", job=job, since_seq=0)
    dry = pin(c, job, dry_run=True)
    assert (dry["applied"], dry["revision"], dry["changed"]) == (False, 0, 1), dry
    assert scheme_of(c, job)["scheme"] == "w4g128", "a dry run changes nothing"
    r = pin(c, job)
    assert r["applied"] and r["revision"] == 1
    e = c.wait_event("plan.changed")
    assert e["revision"] == 1 and e["changes"][0]["new"] == "w8"
    assert c.call("job.get", job=job)["after_bytes"] == 310
    # Its worker goes on with the journal, and nobody hears the line twice.
    c.call("job.resume", job=job)
    wait_state(c, job, "running")
    seqs, m = [], c.event()
    while m["method"] != "tune.point":
        if m["method"] != "job.state":
            seqs.append(m["params"]["seq"])
        m = c.event()
    assert seqs == sorted(set(seqs)) and e["seq"] not in seqs, seqs
    d.kill()
    d.start()
    assert d.client().call("job.get", job=job)["after_bytes"] == 310, "it is stored"


@with_daemon(FAST)
def a_stale_revision_is_refused_with_both_to_the_second_of_two_clients(d):
    a, b = d.client(), d.client()
    for paused in (True, False):
        job = a.call("job.submit", spec=spec(d.top, str(paused), steps=10000, change_s=0.2), paused=paused)["job"]
        wait_state(a, job, "paused" if paused else "running")
        got = []

        def change(client, layer):
            try:
                got.append(pin(client, job, layer=layer, revision=0)["revision"])
            except Refused as e:
                got.append((e.code, e.field, e.text))
        both = [threading.Thread(target=change, args=(x, n)) for n, x in enumerate((a, b))]
        [t.start() for t in both]
        [t.join() for t in both]
        got.sort(key=str)
        assert 1 in got and len(got) == 2, got
        code, field, text = next(g for g in got if g != 1)
        assert (code, field) == ("state", "revision") and "revision 1, not 0" in text, got
        assert a.call("job.plan", job=job)["revision"] == 1


@with_daemon(FAST)
def an_ended_jobs_plan_is_closed(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=1))["job"]
    wait_state(c, job, "done")
    for method, members in (("job.pin", {"pins": [{"pattern": "*", "scheme": "w8"}]}), ("job.unpin", {"patterns": ["*"]}),
                            ("job.budget", {"bits": 3}), ("job.retune", {"patterns": ["*"]})):
        e = refused(c, "state", "is done; its plan cannot be changed any more", method, job=job, **members)
        assert e.field == "job"


@with_daemon(FAST)
def what_the_worker_refuses_is_passed_on_with_code_and_field(d):
    c = d.client()
    for paused in (True, False):
        job = c.call("job.submit", spec=spec(d.top, str(paused), steps=10000), paused=paused)["job"]
        wait_state(c, job, "paused" if paused else "running")
        e = refused(c, "state", "has no sensitivity scores; submit it with --budget", "job.budget", job=job, bits=3.2)
        assert e.field == "job"
        refused(c, "not_found", "matches nothing", "job.retune", job=job, patterns=["nowhere.*"])


@with_daemon(FAST + "[daemon]\nplan_timeout_s = 1\n")
def a_worker_that_does_not_answer_costs_only_the_change(d):
    c, other = d.client(), d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=10000, change_mute=1))["job"]
    wait_state(c, job, "running")
    begin, answers, served = time.monotonic(), [], 0
    t = threading.Thread(target=lambda: answers.append(refused(c, "timeout", "did not answer within 1 s", "job.pin",
                                                               job=job, pins=[{"pattern": "*", "scheme": "w8"}])))
    t.start()
    while t.is_alive():
        other.call("job.list")
        served += 1
    t.join()
    assert served >= 5, "others were served %d times meanwhile" % served
    assert len(answers) == 1 and time.monotonic() - begin > 0.9
    assert c.call("job.get", job=job)["state"] == "running"


@with_daemon(FAST)
def a_worker_that_dies_over_a_change_is_told_and_restarted(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=10000, change_death=1))["job"]
    wait_state(c, job, "running")
    refused(c, "io", "went away before it answered", "job.pin", job=job, pins=[{"pattern": "*", "scheme": "w8"}])
    until = time.monotonic() + 20
    while c.call("job.get", job=job)["restarts"] < 1:
        assert time.monotonic() < until
        time.sleep(0.02)
    wait_state(c, job, "running")


@with_daemon(FAST)
def nonsense_from_a_worker_never_reaches_a_client(d):
    c = d.client()
    for paused in (True, False):
        job = c.call("job.submit", spec=spec(d.top, str(paused), steps=10000, change_nonsense=1), paused=paused)["job"]
        wait_state(c, job, "paused" if paused else "running")
        refused(c, "invalid", "missing", "job.pin", job=job, pins=[{"pattern": "*", "scheme": "w8"}])
    dead = c.call("job.submit", spec=spec(d.top, "dead", steps=10000, change_death=1), paused=True)["job"]
    refused(c, "io", "killed by signal 6", "job.pin", job=dead, pins=[{"pattern": "*", "scheme": "w8"}])
    assert c.call("job.plan", job=dead)["revision"] == 0


@with_daemon(FAST)
def many_changes_at_once_are_made_one_after_the_other(d):
    clients = [d.client() for _ in range(12)]
    jobs = [clients[0].call("job.submit", spec=spec(d.top, str(n), steps=10000), paused=n < 2)["job"] for n in range(3)]
    wait_state(clients[0], jobs[2], "running")
    failures = []

    def change(n):
        try:
            for turn in range(4):
                clients[n].call("job.pin", job=jobs[n % 3], pins=[{"pattern": DOWN % (n // 3), "scheme": "w%d" % (2 + turn)}])
        except BaseException as e:
            failures.append(e)
    threads = [threading.Thread(target=change, args=(n,)) for n in range(12)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failures, failures
    for job in jobs:
        plan = clients[0].call("job.plan", job=job)
        assert plan["revision"] == 16 and [l["scheme"] for l in plan["layers"]] == ["w5"] * 4, plan


@with_daemon(FAST)
def a_job_is_not_started_while_its_plan_is_being_changed(d):
    a, b = d.client(), d.client()
    job = a.call("job.submit", spec=spec(d.top, steps=10000, change_s=2), paused=True)["job"]
    t = threading.Thread(target=pin, args=(a, job))
    t.start()
    wait_until("the change", lambda: children(d.process.pid, "--change"))
    b.call("job.resume", job=job)
    wait_until("the job in the queue", lambda: "its plan is being changed" in (b.call("job.get", job=job)["reason"] or ""))
    assert b.call("job.get", job=job)["state"] == "queued"
    t.join()
    assert wait_state(b, job, "running")["restarts"] == 0
    assert b.call("job.plan", job=job)["revision"] == 1


@with_daemon(FAST + "[access]\nsocket_group = *\nlook_all = yes\n", start=False, args=["--system"])
def only_the_owner_changes_a_plan_that_others_may_look_at(d):
    uid, reason = second_user()
    if reason:
        return reason
    program_for_all(d)
    d.start()
    c = d.client()
    mine = c.call("job.submit", spec=spec(d.top, steps=2), paused=True)["job"]
    got = as_user(uid, """
mine = sys.argv[2]
def attempt(method, **p):
    try:
        c.call(method, **p)
        return "ok"
    except Refused as e:
        return e.code
s = {"model": "/", "output": "/tmp/x-%d" % os.getpid(), "options": {"fake.steps": 100000}}
own = c.call("job.submit", spec=s, paused=True)["job"]
r = c.call("job.pin", job=own, pins=[{"pattern": "*", "scheme": "w8"}])
print(json.dumps({"pin": attempt("job.pin", job=mine, pins=[{"pattern": "*", "scheme": "w8"}]),
    "dry": attempt("job.pin", job=mine, pins=[{"pattern": "*", "scheme": "w8"}], dry_run=True),
    "unpin": attempt("job.unpin", job=mine, patterns=["*"]), "budget": attempt("job.budget", job=mine, bits=None),
    "retune": attempt("job.retune", job=mine, patterns=["*"]), "heatmap": attempt("job.heatmap", job=mine, by="bits"),
    "own": r["revision"], "dir": c.call("job.get", job=own)["directory"], "id": own}))
""", d, mine)
    assert [got[k] for k in ("pin", "dry", "unpin", "budget", "retune", "heatmap", "own")] == ["permission"] * 5 + ["ok", 1], got
    assert os.stat(os.path.join(got["dir"], "plan.json")).st_uid == uid, "the program ran as the job's owner"
    # Root may change anybody's job; the program still runs as its owner.
    assert pin(c, got["id"], scheme="w3")["revision"] == 2
    assert os.stat(os.path.join(got["dir"], "plan.json")).st_uid == uid


# ---- what a plan and a heatmap say of a journal ------------------------------------------------------------------------

class Story:
    """A job's journal, written line by line."""

    def __init__(self, directory):
        self.file = open(os.path.join(directory, "journal.ndjson"), "ab", buffering=0)
        self.seq = 0

    def tell(self, event, **data):
        self.seq += 1
        line = {"seq": self.seq, "time": 1.0, "event": event, "data": data, "sum": "0" * 16}
        self.file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def begin(self, block):
        self.tell("block.begin", block=block, name="model.layers.%d" % block, layers=[DOWN % block], iters=200,
                  state="running")

    def end(self, block, state="finished"):
        self.tell("block.end", block=block, name="model.layers.%d" % block, loss_first=1, loss_best=0.5, best_iteration=7,
                  elapsed_s=3, state=state)

    def error(self, block, iter, error):
        self.tell("layer.error", block=block, layer=DOWN % block, iter=iter, error=error)


def heat(client, job, by):
    return [c["value"] for c in client.call("job.heatmap", job=job, by=by)["cells"]]


def states(client, job):
    rows = [l["state"] for l in client.call("job.plan", job=job)["layers"]]
    assert rows == [x["state"] for x in client.call("job.heatmap", job=job, by="bits")["cells"]]
    return rows


def told_job(d, **options):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, **options), paused=True)["job"]
    return c, job, Story(c.call("job.get", job=job)["directory"])


@with_daemon(FAST)
def heatmap_values_are_those_of_the_journal(d):
    c, job, s = told_job(d)
    for by in ("sensitivity", "loss", "gain", "saturation"):
        assert heat(c, job, by) == [None] * 4, "nothing is known, and that is not 0"
    assert heat(c, job, "bits") == [4] * 4
    s.tell("layer.scored", block=0, layer=DOWN % 0, scheme="w2g64", score=0.9)
    s.tell("layer.scored", block=0, layer=DOWN % 0, scheme="w4g128", score=0.125)
    s.tell("layer.scored", block=1, layer=DOWN % 1, scheme="w8", score=0.01)
    s.tell("layer.scored", block=1, layer=DOWN % 1, scheme="w3g64", score=0.5)
    s.tell("layer.scored", block=1, layer="no.such.layer", scheme="w3g64", score=7)
    # Of the present scheme, else of the lowest candidate.
    assert heat(c, job, "sensitivity") == [0.125, 0.5, None, None]
    assert c.call("job.plan", job=job)["layers"][0]["score"] == 0.125
    assert c.call("job.plan", job=job)["layers"][1]["score"] is None
    s.begin(0)
    for n, e in enumerate((0.4, 0.1, 0.2)):
        s.error(0, n * 10, e)
    assert heat(c, job, "loss")[0] == 0.2 and heat(c, job, "gain")[0] == 0.75
    s.tell("layer.done", block=0, layer=DOWN % 0, scheme="w4g128", error_first=0.5, error_best=0.1, saturation=0.03)
    s.end(0)
    assert heat(c, job, "loss") == [0.1, None, None, None] and heat(c, job, "gain")[0] == 0.8
    assert heat(c, job, "saturation") == [0.03, None, None, None]
    # Rounded plainly or left alone by now: what was known of it is of another scheme.
    s.tell("layer.done", block=0, layer=DOWN % 0, scheme="bf16", error_first=None, error_best=None, saturation=None)
    assert heat(c, job, "loss")[0] is None and heat(c, job, "gain")[0] is None and heat(c, job, "saturation")[0] is None
    # It begins again: its first error is another one.
    s.begin(0)
    s.error(0, 0, 0.3)
    s.error(0, 10, 0.15)
    assert heat(c, job, "gain")[0] == 0.5 and heat(c, job, "loss")[0] == 0.15
    cell = c.call("job.heatmap", job=job, by="bits", offset=3)
    assert cell["total"] == 4 and cell["next_offset"] is None and cell["cells"] == [
        {"layer": DOWN % 3, "block": 3, "module": "mlp.down_proj", "value": 4, "scheme": "w4g128", "pin": False,
         "state": "pending"}]


@with_daemon(FAST)
def a_curve_is_of_the_last_run(d):
    c, job, s = told_job(d)

    def points(n, first, factor):
        for i in range(first, n):
            s.tell("tune.point", block=0, iter=i, loss=factor * i, lr=0.1)

    def curve(**page):
        got = c.call("job.series", job=job, block=0, kind="loss", **page)
        return [(p["iter"], p["value"]) for p in got["points"]], got["total"]
    s.begin(0)
    points(40, 0, 1)
    assert curve() == ([(i, i) for i in range(40)], 40)
    points(30, 20, 2)  # from a checkpoint
    assert curve() == ([(i, i) for i in range(20)] + [(i, 2 * i) for i in range(20, 30)], 30)
    s.begin(0)
    points(10, 0, 3)
    assert curve() == ([(i, 3 * i) for i in range(10)], 10)
    assert curve(offset=2, limit=3) == ([(i, 3 * i) for i in range(2, 5)], 10)
    assert curve(offset=-4) == ([(i, 3 * i) for i in range(6, 10)], 10)


@with_daemon(FAST)
def block_states_are_what_the_journal_says_last(d):
    c, job, s = told_job(d)
    assert states(c, job) == ["pending"] * 4
    s.begin(0)
    assert states(c, job) == ["running"] + ["pending"] * 3
    s.end(0)
    s.begin(1)
    assert states(c, job) == ["finished", "running", "pending", "pending"]
    s.tell("plan.changed", revision=1, changes=[], by="somebody", retunes=[0], restarts=1,
           states=["stale", "running", "pending", "finished", "pending"])
    assert states(c, job) == ["stale", "running", "pending", "finished"]
    s.end(1, "stale")
    assert states(c, job) == ["stale", "stale", "pending", "finished"]


@with_daemon(FAST)
def a_journal_of_old_says_no_states_and_they_stay(d):
    c, job, s = told_job(d)
    s.end(0)
    s.tell("block.begin", block=0, name="model.layers.0", layers=[DOWN % 0], iters=200)
    s.tell("plan.changed", revision=1, changes=[], by="somebody", retunes=[0])
    s.tell("block.end", block=1, name="model.layers.1", loss_first=1, loss_best=0.5, best_iteration=7, elapsed_s=3)
    assert states(c, job) == ["finished"] + ["pending"] * 3


@with_daemon(FAST)
def a_journal_that_was_cut_or_lies_is_read_again(d):
    c, job, s = told_job(d)
    s.begin(0)
    s.end(0)
    s.begin(1)
    s.file.write(b'{"seq":4,"time":1.0,"event":"block.en')
    assert states(c, job) == ["finished", "running", "pending", "pending"]
    # The next worker cuts the torn tail and goes on.
    path = s.file.name
    os.truncate(path, os.path.getsize(path) - len(b'{"seq":4,"time":1.0,"event":"block.en'))
    s.end(1)
    assert states(c, job) == ["finished", "finished", "pending", "pending"]
    s.file.write(b'{"seq":5,"time":1,"event":"layer.scored","data":{"block":0,"layer":"x","scheme":7,"score":1}}\n'
                 b'{"seq":6,"time":1,"event":"plan.changed","data":{"revision":1,"by":null,"changes":[],"states":["stale",7]}}\n'
                 b'{"seq":7,"time":1,"event":"block.begin","data":{"block":1e15,"name":"","layers":[],"iters":1,"state":"stale"}}\n\xff\n')
    assert states(c, job) == ["finished", "finished", "pending", "pending"]
    os.truncate(path, 0)
    s.seq = 0
    s.begin(3)
    assert states(c, job) == ["pending", "pending", "pending", "running"]


def bytes_read(pid):
    """What a process has read in all."""
    with open("/proc/%d/io" % pid) as f:
        return int(f.readline().split()[1])


@with_daemon(FAST)
def the_heatmap_of_a_huge_model_comes_in_pages_and_a_second_look_is_cheap(d):
    c, job, s = told_job(d, layers=9000)
    cells, offset = [], 0
    while offset is not None:
        r = c.call("job.heatmap", job=job, by="bits", offset=offset, limit=10000)
        cells += [x["layer"] for x in r["cells"]]
        offset = r["next_offset"]
    assert cells == [DOWN % i for i in range(9000)]

    def look():
        """What the daemon reads for a look at one line more."""
        before = bytes_read(d.process.pid)
        s.error(5, 0, 0.125)
        assert c.call("job.heatmap", job=job, by="loss", offset=5, limit=1)["cells"][0]["value"] == 0.125
        return bytes_read(d.process.pid) - before
    look()
    short = look()
    for n in range(20000):
        s.tell("tune.point", block=0, iter=n, loss=0.5, lr=0.1)
        if n % 10 == 0:
            s.error(n % 7, n, 0.25)
    c.call("job.heatmap", job=job, by="loss", limit=1)
    assert look() <= short + 65536, "the journal is read from its beginning each time"


run_tests([v for v in list(globals().values()) if callable(v) and getattr(v, "__qualname__", "").endswith(".test")])
