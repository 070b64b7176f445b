#!/usr/bin/env python3
"""What one user of srqd has of it: places, subscriptions, output that waits, plans. Nobody has all of it, and who says
nothing goes."""
import contextlib
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import (FAST, Client, as_user, children, program_for_all, refused, run_tests, second_user,  # noqa: E402
                         spec, wait_state, wait_until, with_daemon)

SYSTEM = FAST + "[access]\nsocket_group = *\n"


def system(config, **kw):
    return with_daemon(SYSTEM + config, start=False, args=["--system"], **kw)


def plain(d):
    """A connection that is open and says nothing."""
    return Client(d.socket, hello=False, timeout=60)


class Other:
    """Code that goes on as another user until its standard input ends; it prints one JSON value when it is ready."""

    def __init__(self, uid, code, d, *args):
        with open(os.path.join(os.environ.get("top_srcdir", "."), "tests/lib/srqd_client.py")) as f:
            source = f.read()
        full = source + "\nimport sys, json\n" + code + "\nsys.stdout.flush()\nsys.stdin.read()\n"
        self.process = subprocess.Popen(
            ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-c", full, d.socket]
            + list(args), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        self.process.wait()


def count(d):
    return d.client().call("daemon.info")["clients"]


# ---- places ---------------------------------------------------------------------------------------------------------


@with_daemon(FAST + "[daemon]\nhello_timeout_s = 1\n")
def a_connection_that_says_nothing_ends_and_leaves_its_place(d):
    watcher = d.client(timeout=60)
    silent = [plain(d) for _ in range(7)]
    for c in silent:
        got = c.read_message()["error"]
        assert got["data"]["code"] == "timeout" and "no hello came within 1 s (hello_timeout_s)" in got["message"], got
        assert c.read_message() is None
    assert watcher.call("daemon.info")["clients"] == 1, "who said hello stays, however long it is silent"
    d.client().call("daemon.info")


@with_daemon(FAST)
def what_comes_before_hello_is_short(d):
    c = plain(d)
    c.send_raw(b"x" * 20000)
    got = c.read_message()["error"]
    assert got["data"]["code"] == "limit" and "16384 bytes came, and no hello" in got["message"], got
    assert c.read_message() is None


TAKE = """
got, refusal = [], None
for _ in range(int(sys.argv[2])):
    c = Client(sys.argv[1], hello=False, timeout=60)
    try:
        c.send_raw(b'{"jsonrpc":"2.0","id":"h","method":"hello","params":{"major":1,"minor":0,"client":"t"}}\\n')
    except OSError:  # it has closed already, after it said why
        pass
    m = c.read_message()
    if "error" in m:
        refusal = m["error"]
        break
    got.append(c)
print(json.dumps([len(got), refusal and refusal["data"]["field"], refusal and refusal["message"]]))
"""


@system("[daemon]\nmax_clients = 32\nuser_max_clients = 5\n")
def one_user_has_some_of_the_places(d):
    uid, reason = second_user()
    if reason:
        return reason
    d.start()
    with Other(uid, TAKE, d, "30") as other:
        assert other.said[:2] == [5, "user_max_clients"] and "uid %d has 5 connections already" % uid in other.said[2], \
            other.said
        assert count(d) == 6, "root comes in, and so may others"
        assert len([d.client() for _ in range(10)]) == 10, "root has no share of its own"


@system("[daemon]\nmax_clients = 32\nadmin_clients = 8\nuser_max_clients = 0\n")
def some_places_are_kept_for_root(d):
    uid, reason = second_user()
    if reason:
        return reason
    d.start()
    wait_until("an empty house", lambda: count(d) == 1)
    with Other(uid, TAKE, d, "40") as other:
        assert other.said[:2] == [24, "admin_clients"] and "the last 8 places" in other.said[2], other.said
        assert count(d) == 25


@with_daemon(FAST + "[daemon]\nmax_clients = 8\n")
def who_knocks_without_end_does_not_fill_the_log(d):
    held = [d.client() for _ in range(8)]
    for _ in range(200):
        got = plain(d).read_message()["error"]
        assert got["data"]["field"] == "max_clients"
    assert 0 < d.read_log().count("client refused") < 50, "a line every ten seconds"
    last = held.pop()
    for c in held:
        c.close()
    wait_until("the others to be gone", lambda: last.call("daemon.info")["clients"] == 1)


# ---- subscriptions and output -----------------------------------------------------------------------------------------


@with_daemon(FAST + "[daemon]\nuser_max_subscriptions = 5\n")
def subscriptions_are_counted_by_user(d):
    a, b = d.client(), d.client()
    names = [(a if n % 2 else b).call("events.subscribe")["subscription"] for n in range(5)]
    e = refused(a, "limit", "uid %d has 5 subscriptions already" % os.geteuid(), "events.subscribe")
    assert e.field == "user_max_subscriptions"
    b.call("events.unsubscribe", subscription=names[0])
    a.call("events.subscribe")
    refused(b, "limit", "5 subscriptions", "events.subscribe")
    a.close()
    wait_until("what a had is free", lambda: b.call("daemon.info")["clients"] == 1)
    b.call("events.subscribe")


@with_daemon(FAST + "[daemon]\nuser_output_max = 1M\n[limits]\nmax_running = 4\n")
def what_waits_for_all_clients_of_a_user_is_bounded_and_the_slowest_goes(d):
    lazy = [d.client(timeout=60) for _ in range(8)]
    for c in lazy:
        c.call("events.subscribe")
    c = d.client(timeout=60)
    job = c.call("job.submit", spec=spec(d.top, steps=4000, step_ms=0, checkpoint_every=100000))["job"]
    wait_state(c, job, "done", timeout=300)
    for n in range(40):  # each answer is long, and nobody reads it
        with contextlib.suppress(OSError):
            lazy[n % 8].send_raw(b"".join(b'{"jsonrpc":"2.0","id":"%d-%d","method":"job.series","params":'
                                          b'{"job":"%s","block":0,"limit":4000}}\n' % (n, k, job.encode())
                                          for k in range(10)))
    wait_until("one of them is dropped", lambda: "(user_output_max); dropped" in d.read_log())
    assert c.call("job.get", job=job)["state"] == "done", "who reads stays"


# ---- half-closed peers ------------------------------------------------------------------------------------------------


def ask_and_shut(d, *requests):
    c = plain(d)
    c.send_raw(b'{"jsonrpc":"2.0","id":"h","method":"hello","params":{"major":1,"minor":0,"client":"t"}}\n')
    for n, (method, params) in enumerate(requests):
        c.send_raw(json.dumps({"jsonrpc": "2.0", "id": str(n), "method": method, "params": params}).encode() + b"\n")
    c.sock.shutdown(socket.SHUT_WR)
    return c


@with_daemon(FAST)
def a_peer_that_sends_no_more_gets_the_answers_under_way(d):
    c = ask_and_shut(d, ("job.submit", {"paused": True, "spec": spec(d.top, plan_s=0.5)}), ("plugin.list", {}),
                     ("daemon.info", {}))
    answers = {}
    while (m := c.read_message()) is not None:
        answers[m["id"]] = m["result"]
    assert set(answers) == {"h", "0", "1", "2"}, answers
    assert d.client().call("job.get", job=answers["0"]["job"])["state"] == "paused"
    wait_until("its place is free", lambda: count(d) == 1)


@with_daemon(FAST)
def a_peer_that_sends_no_more_hears_what_it_subscribed_to_until_it_goes(d):
    other = d.client()
    job = other.call("job.submit", spec=spec(d.top, steps=2), paused=True)["job"]
    c = ask_and_shut(d, ("events.subscribe", {"events": ["job.state"]}))
    wait_until("its subscription", lambda: "result" in (c.read_message() or {}) and c.next_id == 0)
    other.call("job.resume", job=job)
    while True:
        m = c.read_message()
        assert m is not None, "the connection stays"
        if m.get("params", {}).get("state") == "done":
            break
    c.close()
    wait_until("it has gone", lambda: other.call("daemon.info")["clients"] == 1)


# ---- plans ------------------------------------------------------------------------------------------------------------

MANY_PLANS = """
c = Client(sys.argv[1])
top = sys.argv[2]
for n in range(int(sys.argv[3])):
    c = Client(sys.argv[1]) if n % 10 == 0 else c
    globals().setdefault("all", []).append(c)
    c.send_raw(json.dumps({"jsonrpc": "2.0", "id": "p%d" % n, "method": "job.plan_spec", "params": {"spec": {
        "model": "/", "output": "/tmp/never-%d" % n, "options": {"fake.plan_s": 60}}}}).encode() + b"\\n")
print(json.dumps(True))
"""


@system("[daemon]\nplan_timeout_s = 120\n")
def plans_of_one_user_leave_a_place_for_another(d):
    """They hang, so that a user behind them would wait for their time to run out."""
    uid, reason = second_user()
    if reason:
        return reason
    program_for_all(d)
    d.start()
    with Other(uid, MANY_PLANS, d, d.top, "60"):
        wait_until("the first of them", lambda: children(d.process.pid, "--plan"))
        c = d.client(timeout=60)
        for n in range(4):
            assert c.call("job.submit", spec=spec(d.top, "out%d" % n), paused=True)["state"] == "paused"
        assert len(children(d.process.pid, "--plan")) == 1, "the one that hangs"
        for pid in children(d.process.pid, "--plan"):
            os.kill(pid, 9)


@system("[daemon]\nplan_timeout_s = 120\nuser_max_plans = 4\n")
def plans_of_one_user_that_wait_are_counted(d):
    uid, reason = second_user()
    if reason:
        return reason
    program_for_all(d)
    d.start()
    got = as_user(uid, """
cs = [Client(sys.argv[1]) for _ in range(6)]
for n, one in enumerate(cs):
    one.send_raw(json.dumps({"jsonrpc": "2.0", "id": "p", "method": "job.plan_spec", "params": {"spec": {
        "model": "/", "output": "/tmp/never-%d" % n, "options": {"fake.plan_s": 60}}}}).encode() + b"\\n")
    if n < 5:
        one.call("daemon.info")
print(json.dumps(cs[5].read_message()["error"]))
""", d)
    assert got["data"] == {"code": "busy", "field": "user_max_plans"} and "4 jobs of uid %d wait" % uid in got["message"]
    for pid in children(d.process.pid, "--plan"):
        os.kill(pid, 9)


@with_daemon(FAST + "[daemon]\nplan_timeout_s = 120\nplans_at_once = 3\n")
def programs_that_describe_plugins_wait_their_turn_too(d):
    cs = [d.client(timeout=60) for _ in range(5)]
    for c in cs:
        c.send_raw(b'{"jsonrpc":"2.0","id":"d","method":"plugin.info","params":{"name":"slow"}}\n')
    for c in cs:
        c.call("daemon.info")
        assert len(children(d.process.pid, "--describe")) <= 3
    for c in cs:
        c.close()


run_tests([a_connection_that_says_nothing_ends_and_leaves_its_place, what_comes_before_hello_is_short,
           one_user_has_some_of_the_places, some_places_are_kept_for_root, who_knocks_without_end_does_not_fill_the_log,
           subscriptions_are_counted_by_user,
           what_waits_for_all_clients_of_a_user_is_bounded_and_the_slowest_goes,
           a_peer_that_sends_no_more_gets_the_answers_under_way,
           a_peer_that_sends_no_more_hears_what_it_subscribed_to_until_it_goes,
           plans_of_one_user_leave_a_place_for_another, plans_of_one_user_that_wait_are_counted,
           programs_that_describe_plugins_wait_their_turn_too])
