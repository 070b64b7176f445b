#!/usr/bin/env python3
"""srqd runs jobs: submission, progress, crashes, pauses, limits, its own death. The workers are stand-ins."""
import json
import os
import select
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import (FAST, alive, children, goes_on, journal_lines, refused, run_tests, spec,  # noqa: E402
                         wait_state, wait_until, with_daemon)


@with_daemon()
def a_job_runs_to_its_end_and_its_events_arrive(d):
    c = d.client()
    c.call("events.subscribe")
    r = c.call("job.submit", spec=spec(d.top, steps=12))
    assert r["state"] == "queued" and r["warnings"] == ["only a fake"], r
    states = []
    while not states or states[-1] != "done":
        states.append(c.wait_event("job.state", job=r["job"])["state"])
    assert states[-3:] == ["starting", "running", "done"], states
    got = c.call("job.get", job=r["job"])
    assert got["exit_code"] == 0 and got["pid"] is None and got["ended"] >= got["started"], got
    with open(os.path.join(r["directory"], "spec.json")) as f:
        assert '"scheme":"w4g128"' in f.read()


@with_daemon()
def events_have_ascending_numbers_and_all_points(d):
    c = d.client()
    c.call("events.subscribe", events=["tune.point"])
    job = c.call("job.submit", spec=spec(d.top, steps=8))["job"]
    points = [c.wait_event("tune.point", job=job) for _ in range(8)]
    assert [p["iter"] for p in points] == list(range(8)), points
    assert all(a["seq"] < b["seq"] for a, b in zip(points, points[1:]))


@with_daemon()
def what_the_planner_refuses_is_an_error_of_submit(d):
    c = d.client()
    s = spec(d.top)
    s["model"] = "/no/such/model"
    e = refused(c, "not_found", "no such model", "job.submit", spec=s)
    assert e.field == "model"
    refused(c, "io", "killed by signal 6", "job.submit", spec=spec(d.top, plan_crash=1))
    refused(c, "format", "no text \"model\"", "job.submit", spec=spec(d.top, plan_nonsense=1))
    assert c.call("job.list")["total"] == 0
    assert os.listdir(os.path.join(d.state, "jobs")) == []


@with_daemon("[daemon]\nplan_timeout_s = 1\n")
def planning_has_a_time_cap(d):
    c = d.client()
    refused(c, "timeout", "longer than 1 s", "job.submit", spec=spec(d.top, plan_s=3600))


@with_daemon()
def a_slow_plan_keeps_nobody_else_waiting(d):
    a, b = d.client(), d.client()
    a.send_raw(b'{"jsonrpc":"2.0","id":"9","method":"job.submit","params":{"spec":{"model":"/","output":"/x",'
               b'"options":{"fake.plan_s":3600}}}}\n')
    planner = wait_until("the planner", lambda: children(d.process.pid, "--plan"))[0]
    b.call("daemon.info")
    assert alive(planner) and not select.select([a.sock], [], [], 0)[0], "the answer came while the plan was being made"
    os.kill(planner, signal.SIGKILL)


@with_daemon()
def an_unwilling_directory_gives_back_no_half_job(d):
    if os.geteuid() == 0:
        return "root may write everywhere"
    c = d.client()
    os.chmod(os.path.join(d.state, "jobs"), 0o500)
    refused(c, "io", "cannot make", "job.submit", spec=spec(d.top))
    assert c.call("job.list")["total"] == 0


@with_daemon()
def a_crash_is_followed_by_a_restart_from_the_checkpoint(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=20, crash_at=12, checkpoint_every=5))["job"]
    got = wait_state(c, job, "done")
    assert got["restarts"] == 1, got
    with open(os.path.join(c.call("job.get", job=job)["directory"], "journal.ndjson")) as f:
        told = [e["data"]["iter"] for e in map(json.loads, f) if e["event"] == "tune.point" and e["data"]["block"] == 0]
    assert told.count(11) == 2, "steps after the checkpoint at 10 run again"
    assert told.count(9) == 1, "steps before it do not"
    points = c.call("job.series", job=job, block=0)["points"]
    assert [p["iter"] for p in points] == list(range(20)), "the curve is that of one run"


@with_daemon()
def three_deaths_without_progress_fail_the_job_and_name_the_cause(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=9, crash_at=2, crashes=99))["job"]
    got = wait_state(c, job, "failed")
    assert got["restarts"] == 2 and got["signal"] == signal.SIGABRT, got
    for part in ("3 times", "signal 6", "about to crash on purpose"):
        assert part in got["reason"], got["reason"]


@with_daemon()
def deaths_with_progress_in_between_do_not_add_up(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=400, step_ms=10, checkpoint_every=1))["job"]
    for _ in range(4):
        got = wait_state(c, job, "running")
        goes_on(d, job, 2)
        os.kill(got["pid"], signal.SIGKILL)
        wait_state(c, job, "starting")
    got = wait_state(c, job, "running")
    assert got["restarts"] == 4


@with_daemon()
def a_failure_that_a_retry_would_not_change_is_not_retried(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=2, exit=1))["job"]
    got = wait_state(c, job, "failed")
    assert got["restarts"] == 0 and got["reason"] == "the fake was told to fail", got


@with_daemon()
def cancel_ends_a_running_and_a_waiting_job(d):
    c = d.client()
    a = c.call("job.submit", spec=spec(d.top, "a", steps=10000))["job"]
    b = c.call("job.submit", spec=spec(d.top, "b", steps=10000))["job"]
    wait_state(c, a, "running")
    assert c.call("job.cancel", job=b)["state"] == "canceled"
    c.call("job.cancel", job=a)
    got = wait_state(c, a, "canceled")
    assert got["exit_code"] == 11
    refused(c, "state", "is canceled and cannot be canceled", "job.cancel", job=a)


@with_daemon("[worker]\ncancel_grace_s = 1\n")
def a_worker_that_ignores_cancel_is_killed(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=10000, deaf=1))["job"]
    pid = wait_state(c, job, "running")["pid"]
    c.call("job.cancel", job=job)
    wait_state(c, job, "canceled")
    assert not alive(pid)


@with_daemon()
def pause_frees_the_worker_and_resume_goes_on_where_it_was(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=60, step_ms=50, checkpoint_every=0))["job"]
    pid = wait_state(c, job, "running")["pid"]
    goes_on(d, job)
    c.call("job.pause", job=job)
    got = wait_state(c, job, "paused")
    assert got["pid"] is None and not alive(pid) and got["exit_code"] == 10
    assert got["stage"] == "quantize" and got["done"] > 0 and got["total"] == 60, got
    d.kill()
    d.start()
    c = d.client()
    where = ("stage", "unit", "done", "total")
    again = c.call("job.get", job=job)
    assert [again[k] for k in where] == [got[k] for k in where], again
    c.call("job.resume", job=job)
    wait_state(c, job, "done")
    iters = [p["iter"] for b in range(4) for p in c.call("job.series", job=job, block=b)["points"]]
    assert sorted(iters) == list(range(60)), iters


@with_daemon("[limits]\ntime_limit_s = 1\n")
def a_job_whose_time_is_over_fails_and_can_go_on(d):
    c = d.client(timeout=60)
    job = c.call("job.submit", spec=spec(d.top, steps=1000000, checkpoint_every=1))["job"]
    got = wait_state(c, job, "failed", timeout=60)
    assert "it ran for the 1 s that a job may run at a stretch (time_limit_s)" in got["reason"], got
    assert got["restarts"] == 0 and got["exit_code"] == 10, got
    d.configure("")
    c.call("daemon.reload")
    before = journal_lines(d, job)
    c.call("job.resume", job=job)
    wait_state(c, job, "running")
    wait_until("it goes on", lambda: journal_lines(d, job) > before + 5)
    c.call("job.cancel", job=job)


@with_daemon()
def a_job_may_have_a_time_limit_of_its_own(d):
    c = d.client(timeout=60)
    job = c.call("job.submit", spec=dict(spec(d.top, steps=1000000, checkpoint_every=1), time_limit_s=1))["job"]
    other = c.call("job.submit", spec=spec(d.top, "other", steps=1))["job"]
    got = wait_state(c, job, "failed", timeout=60)
    assert "it ran for the 1 s that it may run at a stretch (time_limit_s)" in got["reason"], got
    wait_state(c, other, "done")
    d.kill()
    d.start()
    c = d.client(timeout=60)
    c.call("job.resume", job=job)  # it is remembered
    assert "that it may run" in wait_state(c, job, "failed", timeout=60)["reason"]


def used_disk(c, job):
    return c.call("job.get", job=job).get("disk_used_bytes", 0)


@with_daemon("[limits]\nmax_running = 10\nuser_max_disk = 3M\n")
def the_folders_of_a_users_jobs_share_its_disk(d):
    """What is there counts, of a running job what was planned too; what would never fit is refused at once."""
    mib = 1 << 20
    c = d.client()
    refused(c, "limit", "user_max_disk = 3.00 MiB", "job.submit", spec=spec(d.top, "x", disk=4 * mib))
    a = c.call("job.submit", spec=spec(d.top, "a", steps=10000, disk=2 * mib))["job"]
    wait_state(c, a, "running")
    b = c.call("job.submit", spec=spec(d.top, "b", steps=1, disk=2 * mib, leaves=2 * mib))["job"]
    got = wait_until("a reason", lambda: (lambda j: j["reason"] and j)(c.call("job.get", job=b)))
    assert got["state"] == "queued" and got["reason"].startswith("waits for 2.00 MiB of disk: 2.00 MiB of 3.00 MiB"), got
    small = c.call("job.submit", spec=spec(d.top, "c", steps=1, disk=1000))["job"]
    wait_state(c, small, "done")  # it goes past one that only its user's share holds back
    c.call("job.cancel", job=a)
    wait_state(c, b, "done")
    wait_until("what it takes", lambda: 2 * mib <= used_disk(c, b) < 3 * mib)
    assert c.call("daemon.info")["in_use"]["disk_bytes"] >= 2 * mib
    assert c.call("daemon.info")["limits"]["user_max_disk_bytes"] == 3 * mib
    last = c.call("job.submit", spec=spec(d.top, "d", steps=1, disk=2 * mib))["job"]
    got = wait_until("a reason", lambda: (lambda j: j["reason"] and j)(c.call("job.get", job=last)))
    assert "ended jobs (srqctl delete, srqctl gc)" in got["reason"], got
    d.kill()
    d.start()
    c = d.client()
    wait_until("it is measured again", lambda: used_disk(c, b) >= 2 * mib)
    assert c.call("job.get", job=last)["state"] == "queued"
    c.call("job.delete", job=b)
    wait_state(c, last, "done")


@with_daemon()
def finish_ends_a_job_early_but_well(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=100000))["job"]
    wait_state(c, job, "running")
    refused(c, "state", "its report comes when it is done", "job.report", job=job)
    c.call("job.finish", job=job)
    wait_state(c, job, "done")
    r = c.call("job.report", job=job)
    assert r["report"]["finished_early"] is True and r["total"] == 2 and len(r["layers"]) == 2


@with_daemon()
def a_job_submitted_paused_waits_for_resume(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=1), paused=True)["job"]
    after = c.call("job.submit", spec=spec(d.top, "after", steps=1))["job"]
    wait_state(c, after, "done")  # the queue has gone past the first
    assert c.call("job.get", job=job)["state"] == "paused"
    c.call("job.resume", job=job)
    wait_state(c, job, "done")


@with_daemon()
def higher_priority_goes_first_then_order_of_submission(d):
    c = d.client()
    first = c.call("job.submit", spec=spec(d.top, "first", steps=10000))["job"]
    wait_state(c, first, "running")
    low = c.call("job.submit", spec=dict(spec(d.top, "low", steps=1), priority=-5))["job"]
    mid = c.call("job.submit", spec=spec(d.top, "mid", steps=1))["job"]
    mid2 = c.call("job.submit", spec=spec(d.top, "mid2", steps=1))["job"]
    high = c.call("job.submit", spec=spec(d.top, "high", steps=1))["job"]
    c.call("job.priority", job=high, priority=7)
    assert [c.call("job.get", job=j)["position"] for j in (high, mid, mid2, low)] == [1, 2, 3, 4]
    c.call("job.cancel", job=first)
    for j in (high, mid, mid2, low):
        wait_state(c, j, "done")
    starts = [c.call("job.get", job=j)["started"] for j in (first, high, mid, mid2, low)]
    assert starts == sorted(starts), starts


@with_daemon("[limits]\nmax_running = 10\nmax_threads = 4\nmax_memory = 1K\n")
def limits_hold_in_sum_and_waiting_jobs_say_why(d):
    c = d.client()
    a = c.call("job.submit", spec=spec(d.top, "a", steps=10000, threads=3, memory=100))["job"]
    wait_state(c, a, "running")
    b = c.call("job.submit", spec=spec(d.top, "b", steps=1, threads=2, memory=100))["job"]
    small = c.call("job.submit", spec=spec(d.top, "c", steps=1, threads=1, memory=100))["job"]
    got = wait_until("a reason", lambda: (lambda j: j["reason"] and j)(c.call("job.get", job=b)))
    wait_until("a reason", lambda: c.call("job.get", job=small)["reason"])
    assert got["state"] == "queued" and "threads" in got["reason"] and "3 of 4" in got["reason"], got
    assert b in c.call("job.get", job=small)["reason"], "a small job does not overtake a large one for ever"
    refused(c, "limit", "max_threads = 4", "job.submit", spec=spec(d.top, "x", threads=9, memory=1))
    refused(c, "limit", "max_memory", "job.submit", spec=spec(d.top, "x", threads=1, memory=5000))
    used = c.call("daemon.info")["in_use"]
    assert (used["running"], used["threads"], used["memory_bytes"]) == (1, 3, 100), used
    c.call("job.cancel", job=a)
    assert wait_state(c, small, "done")["started"] >= wait_state(c, b, "done")["started"]


def in_use(c):
    return c.call("daemon.info")["in_use"]["memory_bytes"]


@with_daemon("[limits]\nmax_running = 10\nuser_max_memory = 1K\n")
def a_worker_over_its_plan_counts_with_what_it_uses(d):
    """Also after a restart of srqd, which learns it from the journal; the next job waits and says why."""
    c = d.client()
    a = c.call("job.submit", spec=spec(d.top, "a", steps=10000, memory=300, uses=900))["job"]
    wait_state(c, a, "running")
    until = time.monotonic() + 20
    while in_use(c) != 900:
        assert time.monotonic() < until, in_use(c)
        time.sleep(0.02)
    b = c.call("job.submit", spec=spec(d.top, "b", steps=1, memory=300))["job"]
    time.sleep(0.3)
    got = c.call("job.get", job=b)
    assert got["state"] == "queued" and "900 B of 1.00 KiB" in got["reason"], got
    d.kill()
    d.start()
    c = d.client()
    assert wait_state(c, a, "running")["memory_bytes"] == 300, "the plan stays what it was"
    assert in_use(c) == 900
    assert c.call("job.get", job=b)["state"] == "queued"
    c.call("job.cancel", job=a)
    wait_state(c, b, "done")
    assert in_use(c) == 0


@with_daemon("[limits]\nuser_max_queued = 2\n")
def a_user_may_not_fill_the_queue(d):
    c = d.client()
    for n in "ab":
        c.call("job.submit", spec=spec(d.top, n), paused=True)
    refused(c, "limit", "2 unfinished jobs", "job.submit", spec=spec(d.top, "c"))


@with_daemon()
def two_unfinished_jobs_never_share_an_output(d):
    c = d.client()
    a = c.call("job.submit", spec=spec(d.top), paused=True)["job"]
    e = refused(c, "exists", a, "job.submit", spec=spec(d.top))
    assert e.field == "output"
    c.call("job.cancel", job=a)
    c.call("job.submit", spec=spec(d.top), paused=True)


@with_daemon()
def a_killed_daemon_finds_its_worker_again(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=80, step_ms=50, checkpoint_every=0))["job"]
    pid = wait_state(c, job, "running")["pid"]
    goes_on(d, job)
    d.kill()
    before = journal_lines(d, job)
    wait_until("what the worker does alone", lambda: journal_lines(d, job) > before + 2)
    assert alive(pid)
    d.start()
    c = d.client()
    got = wait_state(c, job, "running")
    assert got["pid"] == pid and got["restarts"] == 0
    wait_until("the worker's link", lambda: c.call("job.get", job=job)["attached"])
    c.call("events.subscribe", job=job, since_seq=0, events=["tune.point"])
    assert [c.wait_event("tune.point")["iter"] for _ in range(80)] == list(range(80)), "no point lost, none twice"
    got = wait_state(c, job, "done")
    assert got["restarts"] == 0


@with_daemon()
def a_worker_that_ended_meanwhile_is_recorded_as_it_ended(d):
    c = d.client()
    ok = c.call("job.submit", spec=spec(d.top, "a", steps=25))["job"]
    pid = wait_state(c, ok, "running")["pid"]
    d.kill()
    while alive(pid):
        time.sleep(0.05)
    d.start()
    c = d.client()
    got = wait_state(c, ok, "done")
    assert got["restarts"] == 0 and got["exit_code"] is None
    bad = c.call("job.submit", spec=spec(d.top, "b", steps=25, exit=1))["job"]
    pid = wait_state(c, bad, "running")["pid"]
    d.kill()
    while alive(pid):
        time.sleep(0.05)
    d.start()
    c = d.client()
    assert wait_state(c, bad, "failed")["reason"] == "the fake was told to fail"


@with_daemon()
def a_worker_that_died_meanwhile_is_started_again(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=60, step_ms=50, checkpoint_every=1))["job"]
    pid = wait_state(c, job, "running")["pid"]
    goes_on(d, job, 2)
    d.kill()
    os.kill(pid, signal.SIGKILL)
    d.start()
    got = wait_state(d.client(), job, "done")
    assert got["restarts"] == 1


@with_daemon()
def twenty_kills_of_daemon_and_worker_lose_nothing_and_run_nothing_twice(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=200, step_ms=10, checkpoint_every=1))["job"]
    for n in range(20):
        c = d.client()
        got = c.call("job.get", job=job)
        if got["state"] == "done":
            break
        if n % 2 == 0:
            d.kill()
            d.start()
        elif got["pid"]:
            os.kill(got["pid"], signal.SIGKILL)
        time.sleep(0.02 * (n % 5))
    c = d.client()
    wait_state(c, job, "done", timeout=40)
    states = [m for m in open(os.path.join(d.state, "jobs", job, "journal.ndjson")) if '"job.state"' in m]
    assert '"done"' in states[-1] and sum('"done"' in s for s in states) == 1


@with_daemon()
def sigterm_leaves_workers_running(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=10000))["job"]
    pid = wait_state(c, job, "running")["pid"]
    assert d.terminate() == 0
    assert alive(pid) and not os.path.exists(d.socket)
    d.start()
    assert wait_state(d.client(), job, "running")["pid"] == pid


@with_daemon()
def stop_with_jobs_checkpoints_them_and_the_next_start_goes_on(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=60, step_ms=50, checkpoint_every=0))["job"]
    pid = wait_state(c, job, "running")["pid"]
    goes_on(d, job)
    assert c.call("daemon.stop", jobs=True)["workers"] == 1
    assert d.process.wait(timeout=20) == 0
    assert not alive(pid)
    d.start()
    c = d.client()
    wait_state(c, job, "done")
    iters = [p["iter"] for b in range(4) for p in c.call("job.series", job=job, block=b)["points"]]
    assert sorted(iters) == list(range(60))


@with_daemon()
def a_drained_daemon_starts_nothing_new(d):
    c = d.client()
    c.call("daemon.drain")
    job = c.call("job.submit", spec=spec(d.top, steps=1))["job"]
    wait_until("the reason", lambda: "drained" in (c.call("job.get", job=job)["reason"] or ""))
    assert c.call("job.get", job=job)["state"] == "queued"
    c.call("daemon.drain", on=False)
    wait_state(c, job, "done")


@with_daemon()
def delete_and_gc_remove_ended_jobs_only(d):
    c = d.client()
    a = c.call("job.submit", spec=spec(d.top, "a", steps=1))["job"]
    directory = c.call("job.get", job=a)["directory"]
    wait_state(c, a, "done")
    b = c.call("job.submit", spec=spec(d.top, "b"), paused=True)["job"]
    refused(c, "state", "cancel it first", "job.delete", job=b)
    c.call("job.delete", job=a)
    refused(c, "not_found", a, "job.get", job=a)
    wait_until("the end of its directory",
               lambda: not os.path.exists(directory) and not os.path.exists(directory + ".del"))
    c.call("job.cancel", job=b)
    assert c.call("job.gc") == {"deleted": []}, "young jobs are kept"
    d.configure("[retention]\nkeep_days = 0\nkeep_jobs = 0\n")
    c.call("daemon.reload")
    assert c.call("job.gc", dry_run=True) == {"deleted": [b]}
    assert c.call("job.gc") == {"deleted": [b]} and c.call("job.list")["total"] == 0


@with_daemon()
def the_on_end_command_learns_how_it_ended(d):
    c = d.client()
    s = spec(d.top, steps=1)
    note = os.path.join(d.top, "note")
    s["on_end"] = "echo $SRQ_JOB $SRQ_STATE $SRQ_OUTPUT $NOTIFY_SOCKET > %s.t; mv %s.t %s" % (note, note, note)
    job = c.call("job.submit", spec=s)["job"]
    wait_state(c, job, "done")
    wait_until("the note", lambda: os.path.exists(note))
    assert open(note).read().split() == [job, "done", s["output"]]


@with_daemon()
def curves_plan_and_logs_are_paged(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=3, spam=800, layers=25))["job"]
    wait_state(c, job, "done")
    p = c.call("job.series", job=job, block=1, limit=100)
    assert (len(p["points"]), p["total"], p["next_offset"]) == (100, 600, 100), p["total"]
    p = c.call("job.series", job=job, block=1, offset=-10)
    assert len(p["points"]) == 10 and p["next_offset"] is None and p["points"][-1]["iter"] == 2
    p = c.call("job.plan", job=job, offset=20, limit=10)
    assert [l["block"] for l in p["layers"]] == [20, 21, 22, 23, 24] and p["next_offset"] is None
    log = c.call("job.log", job=job)["lines"]
    assert [l["text"] for l in log] == ["all done"] and log[0]["level"] == "info"
    refused(c, "invalid", "either a block or a layer", "job.series", job=job)
    refused(c, "invalid", 'has no layer "nope"; it has ', "job.series", job=job, layer="nope")
    refused(c, "invalid", "has no block 25; it has 0 to 24", "job.series", job=job, block=25)
    refused(c, "invalid", "has no block 99; it has 0 to 24", "job.series", job=job, block=99)


@with_daemon()
def the_plan_of_a_huge_model_comes_in_pages_under_the_frame_cap(d):
    c = d.client()
    s = spec(d.top, layers=9000)
    names, offset = [], 0
    while offset is not None:
        r = c.call("job.plan_spec", spec=s, offset=offset, limit=5000)
        names += [l["name"] for l in r["layers"]]
        offset = r["next_offset"]
    assert names == ["model.layers.%d.mlp.down_proj" % i for i in range(9000)]
    assert c.call("job.list")["total"] == 0


@with_daemon()
def hostile_job_files_give_errors_not_crashes(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=2))["job"]
    where = wait_state(c, job, "done")["directory"]
    os.remove(where + "/plan.json")
    os.symlink("/etc/passwd", where + "/plan.json")
    refused(c, "invalid", "plan.json", "job.plan", job=job)
    os.remove(where + "/report.json")
    os.mkfifo(where + "/report.json")
    refused(c, "format", "not a regular file", "job.report", job=job)
    with open(where + "/journal.ndjson", "ab") as f:
        f.write(b'{"seq":1e300,"time":1,"event":"tune.point","data":{}}\n\xff\xfe\n{"torn')
        f.write(b"x" * (2 << 20) + b"\n")
    assert c.call("job.series", job=job, block=0)["total"] == 2
    with open(where + "/worker.log", "wb") as f:
        f.write(b"\x1b[31mred\xff\n" + b"y" * 100000 + b"\n")
    lines = c.call("job.log", job=job, source="worker")["lines"]
    assert lines[0]["text"] == "\\x1b[31mred\\xff" and len(lines[1]["text"]) == 4000
    with open(where + "/plan.json.2", "w") as f:
        f.write('{"revision":0,"layers":[{"name":7}]}')
    os.replace(where + "/plan.json.2", where + "/plan.json")
    refused(c, "format", "damaged", "job.plan", job=job)


@with_daemon()
def plugins_are_described_by_the_worker_program(d):
    c = d.client()
    assert [p["name"] for p in c.call("plugin.list")["plugins"]] == ["fake"]
    assert c.call("plugin.info", name="fake")["options"][0]["name"] == "steps"
    refused(c, "not_found", "nope", "plugin.info", name="nope")


@with_daemon()
def a_missing_worker_program_is_named(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top), paused=True)["job"]
    d.kill()
    d.env["SRQ_WORKER"] = "/no/such/worker"
    d.start()
    c = d.client()
    refused(c, "not_found", "/no/such/worker", "job.submit", spec=spec(d.top, "b"))
    c.call("job.resume", job=job)
    assert "/no/such/worker" in wait_state(c, job, "failed")["reason"]


@with_daemon()
def only_listed_variables_reach_a_worker_and_no_descriptor(d):
    d.kill()
    d.env.update(SECRET_TOKEN="1", NOTIFY_SOCKET="/nowhere", OMP_NUM_THREADS="3")
    r, w = os.pipe()
    os.set_inheritable(w, True)
    d.start()
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=10000))["job"]
    pid = wait_state(c, job, "running")["pid"]
    with open("/proc/%d/environ" % pid) as f:
        names = {e.split("=")[0] for e in f.read().split("\0") if e}
    assert "SECRET_TOKEN" not in names and "NOTIFY_SOCKET" not in names and "OMP_NUM_THREADS" in names
    targets = [os.readlink("/proc/%d/fd/%s" % (pid, n)) for n in os.listdir("/proc/%d/fd" % pid)]
    assert not any(d.state + "/srqd" in t or t.startswith("pipe:") for t in targets), targets
    assert os.getsid(pid) == pid
    os.close(r)
    os.close(w)


run_tests([v for v in list(globals().values()) if callable(v) and getattr(v, "__qualname__", "").endswith(".test")])
