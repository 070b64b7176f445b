#!/usr/bin/env python3
"""srqctl's verbs for jobs against a real srqd whose workers are stand-ins: what they say, what they take for JOB, what they
ask before."""
import json
import os
import pty
import select
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import LIMIT_S, Refused, run_tests, spec, wait_state, wait_until, with_daemon  # noqa: E402

CTL = os.environ.get("SRQ_CTL", os.path.join(os.environ.get("top_builddir", "."), "tui/srqctl/srqctl"))


def environment(d):
    return dict(d.env, SRQ_SOCKET=d.socket, LC_ALL="C")


def ctl(d, *words, code=0):
    out = subprocess.run([CTL, *words], env=environment(d), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=LIMIT_S)
    assert out.returncode == code, "%s: code %d: %s%s" % (words, out.returncode, out.stdout, out.stderr)
    return out.stdout if code == 0 or "--json" in words else out.stderr


def answered(d, typed, *words):
    """(exit code, all that was shown) on a terminal where `typed` is typed once something is asked."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(CTL, [CTL, *words], environment(d))
    seen, sent = b"", False
    while True:
        select.select([terminal], [], [], LIMIT_S)
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
        if not sent and b"[y/N]" in seen:
            os.write(terminal, typed + b"\n")
            sent = True
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def submit(d, name=None, paused=True, **options):
    d.outputs = getattr(d, "outputs", 0) + 1
    wanted = dict(spec(d.top, "out%d" % d.outputs, **options), **({"name": name} if name else {}))
    return d.client().call("job.submit", spec=wanted, paused=paused)["job"]


def state(d, job):
    return d.client().call("job.get", job=job)["state"]


@with_daemon()
def a_negative_priority_needs_no_dashes(d):
    job = submit(d)
    assert ctl(d, "priority", job, "-5") == job + ": priority -5\n"
    assert ctl(d, "priority", job, "--", "-6") == job + ": priority -6\n"
    assert "not a whole number between -1000 and 1000" in ctl(d, "priority", job, "-2000", code=2)


@with_daemon()
def all_jobs_are_canceled_after_a_question(d):
    jobs = [submit(d, name="n%d" % i) for i in range(3)]
    assert "--yes" in ctl(d, "cancel", "--all", code=2)
    assert "not both" in ctl(d, "cancel", "--all", jobs[0], code=2)
    assert "JOB" in ctl(d, "cancel", code=2)
    code, seen = answered(d, b"n", "cancel", "--all")
    assert code == 1 and "cancel 3 jobs" in seen and "nothing was canceled" in seen, (code, seen)
    assert {state(d, j) for j in jobs} == {"paused"}
    code, seen = answered(d, b"y", "cancel", "--all")
    assert code == 0 and all(j + ": canceled" in seen for j in jobs), (code, seen)
    assert {state(d, j) for j in jobs} == {"canceled"}
    assert ctl(d, "cancel", "--all", "--yes") == "no jobs to cancel\n"


@with_daemon()
def what_is_under_way_is_said(d):
    job = submit(d, paused=False, steps=100000, step_ms=5, deaf=1)
    wait_state(d.client(), job, "running")
    assert ctl(d, "cancel", job) == job + ": canceling\n"
    assert "canceling" in ctl(d, "list")
    assert "state      running, canceling\n" in ctl(d, "show", job)
    assert d.client().call("job.get", job=job)["wish"] == "canceling"


@with_daemon()
def a_paused_job_keeps_its_stage(d):
    job = submit(d, paused=False, steps=100000, step_ms=5)
    wait_until("progress", lambda: d.client().call("job.get", job=job)["done"])
    assert ctl(d, "pause", job) == job + ": pausing\n"
    wait_state(d.client(), job, "paused")
    got = d.client().call("job.get", job=job)
    assert got["stage"] == "quantize" and got["done"] and got["wish"] is None, got


@with_daemon()
def jobs_are_called_by_name_too(d):
    one, two = submit(d, name="llama-w4"), submit(d, name="twice")
    other = submit(d, name="twice")
    listed = ctl(d, "ls")
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [[other, "twice"], [two, "twice"], [one, "llama-w4"]]
    assert ctl(d, "status", "llama-w4").startswith("job        %s\nname       llama-w4\n" % one)
    assert ctl(d, "cancel", "llama-w4") == one + ": canceled\n"
    said = ctl(d, "show", "twice", code=1)
    assert "several jobs are named \"twice\": %s, %s" % (two, other) in said, said
    assert "no job" in ctl(d, "show", "llama", code=4)  # the whole name
    last = submit(d, name=two[:4])  # the beginning of an id goes first
    assert json.loads(ctl(d, "show", two[:4], "--json"))["job"] == two
    ctl(d, "rm", one)
    assert last in ctl(d, "ls") and one not in ctl(d, "ls")
    try:
        d.client().call("job.get", job="")
    except Refused as e:
        assert e.field == "job", e.field


@with_daemon()
def a_log_is_followed_to_the_jobs_end(d):
    job = submit(d, paused=False, steps=20, step_ms=5, chatter=1)
    lines = ctl(d, "log", job, "-f").splitlines()
    assert lines == ctl(d, "log", job).splitlines() and len(lines) >= 20, lines
    follow = [json.loads(line) for line in ctl(d, "log", job, "--follow", "--json", "-n", "3").splitlines()]
    assert len(follow) == 3 and all(line["text"] for line in follow), follow
    failing = submit(d, paused=False, steps=2, exit=1)
    ctl(d, "log", "-f", failing, code=7)
    ctl(d, "log", "-f", "--worker", failing, code=7)


@with_daemon()
def a_command_at_the_end_that_fails_is_in_show(d):
    good, bad = spec(d.top, "a", steps=1), spec(d.top, "b", steps=1)
    note = os.path.join(d.top, "note")
    good["on_end"] = "echo \"$SRQ_NAME/$SRQ_STATE/$SRQ_REASON/$SRQ_OUTPUT\" > %s" % note
    bad["on_end"] = "echo no room >&2; exit 3"
    good["name"] = "good one"
    jobs = [d.client().call("job.submit", spec=s)["job"] for s in (good, bad)]
    c = d.client()
    wait_until("the failure", lambda: c.call("job.get", job=jobs[1])["on_end_failure"])
    wait_until("the note", lambda: os.path.exists(note) and os.path.getsize(note))
    assert "on end     ended with exit code 3; what it printed is in worker.log\n" in ctl(d, "show", jobs[1])
    assert "no room" in ctl(d, "log", jobs[1], "--worker")
    assert "on end" not in ctl(d, "show", jobs[0])
    with open(note) as f:
        assert f.read() == "good one/done//%s\n" % good["output"]
    d.terminate()
    d.start()
    assert "exit code 3" in d.client().call("job.get", job=jobs[1])["on_end_failure"]


@with_daemon()
def scripts_are_told_what_can_be_completed(d):
    other, job = submit(d, name="not one word"), submit(d, name="llama-w4")
    assert ctl(d, "completion", "jobs").splitlines() == ["@last", job, "llama-w4", other]
    assert ctl(d, "completion", "layers", job).splitlines()[1] == "model.layers.1.mlp.down_proj"
    assert ctl(d, "completion", "plugins").splitlines() == ["fake"]
    assert "fake.steps" in ctl(d, "completion", "keys").splitlines()
    assert "needs JOB" in ctl(d, "completion", "layers", code=2)
    assert "none of jobs, bash, zsh, fish, plugins, keys, layers" in ctl(d, "completion", "job", code=2)
    d.terminate()
    ctl(d, "completion", "jobs", code=3)
    assert not os.path.exists(d.socket)


if __name__ == "__main__":
    run_tests([a_negative_priority_needs_no_dashes, all_jobs_are_canceled_after_a_question, what_is_under_way_is_said,
               a_paused_job_keeps_its_stage, jobs_are_called_by_name_too, a_log_is_followed_to_the_jobs_end,
               a_command_at_the_end_that_fails_is_in_show, scripts_are_told_what_can_be_completed])
