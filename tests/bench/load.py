#!/usr/bin/env python3
"""What one user of srqd can do to another: latencies under load, and a soak of small jobs (TAP).

usage: load.py [--idle 1000] [--slow 64] [--flood 64] [--seconds 20] [--jobs 300] [--plan 0.1]
               [--places shipped|all] [--json FILE]

One user opens idle connections, clients that ask for long answers and do not read them, and clients that ask without end.
Meanwhile another (root) lists jobs and submits them:
  list     95th percentile at most 50 ms
  submit   median at most 3 times that without load
  memory   of the daemon, at the end at most 32 MiB above that after the first tenth of the time
Then that many small jobs run, each deleted when it is done; memory and descriptors are compared between the first third
and the end. Planning is a stand-in's, which takes --plan seconds where srq-worker would read headers. --places all opens
the limits by user, so that all connections get in; with the shipped limits most are refused. Needs root, setpriv, $top_builddir and $top_srcdir: `make load` gives all that; LOAD_ARGS= are further arguments.
"""
import argparse
import json
import os
import selectors
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import Client, Daemon, program_for_all, second_user, spec, wait_state  # noqa: E402

p = argparse.ArgumentParser(usage=next((t[7:] for t in __doc__.split("\n\n") if t.startswith("usage: ")), None))
p.add_argument("--idle", type=int, default=1000)
p.add_argument("--slow", type=int, default=64)
p.add_argument("--flood", type=int, default=64)
p.add_argument("--seconds", type=float, default=20)
p.add_argument("--jobs", type=int, default=300)
p.add_argument("--listed", type=int, default=100, help="jobs of the busy user, which it lists")
p.add_argument("--plan", type=float, default=0.1, help="seconds that planning a job takes, as srq-worker needs them")
p.add_argument("--places", choices=("shipped", "all"), default="shipped")
p.add_argument("--json")
p.add_argument("--attack", metavar="SOCKET", help=argparse.SUPPRESS)
args = p.parse_args()

HELLO = b'{"jsonrpc":"2.0","id":"h","method":"hello","params":{"major":1,"minor":0,"client":"load"}}\n'
LIST = b'{"jsonrpc":"2.0","id":"l","method":"job.list","params":{"limit":500}}\n'
INFO = b'{"jsonrpc":"2.0","id":"i","method":"daemon.info"}\n'
PLAN = (b'{"jsonrpc":"2.0","id":"p","method":"job.plan_spec","params":{"spec":{"model":"/","output":"/tmp/never",'
        b'"options":{"fake.plan_s":0.2}}}}\n')


def attack(path):
    """Runs as the busy user until its standard input ends; prints how many connections it has."""
    places = selectors.DefaultSelector()
    have = {"idle": [], "slow": [], "flood": []}

    def connect(kind, first):
        c = Client(path, hello=False, timeout=60)
        c.sock.setblocking(False)
        c.first = first
        have[kind].append(c)

    for n in range(max(args.slow, args.flood)):  # in turn, so that both are among those that get in
        if n < args.slow:
            connect("slow", HELLO + LIST * 400)
        if n < args.flood:
            connect("flood", HELLO + (PLAN * 20 if n % 8 == 0 else b"") + (LIST + INFO) * 200)
    for _ in range(args.idle):
        connect("idle", b"")
    for c in have["slow"] + have["flood"]:
        try:
            c.sock.send(c.first)
        except OSError:
            pass
    for c in have["flood"]:
        places.register(c.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
    print(json.dumps({k: len(v) for k, v in have.items()}), flush=True)
    os.set_blocking(0, False)
    more, back = (LIST + INFO) * 50, 0
    while True:
        for key, what in places.select(0.2):
            try:
                if what & selectors.EVENT_READ and not key.fileobj.recv(1 << 20):
                    places.unregister(key.fileobj)
                    back += 1
                elif what & selectors.EVENT_WRITE:
                    key.fileobj.send(more)
            except BlockingIOError:
                pass
            except OSError:
                places.unregister(key.fileobj)
                back += 1
        if not places.get_map():
            time.sleep(0.1)
        try:
            if os.read(0, 1) == b"":
                return
        except BlockingIOError:
            pass


def memory(d):
    with open("/proc/%d/status" % d.process.pid) as f:
        return int(next(l for l in f if l.startswith("VmRSS")).split()[1]) << 10


def descriptors(d):
    return len(os.listdir("/proc/%d/fd" % d.process.pid))


def timed(call):
    before = time.monotonic()
    call()
    return time.monotonic() - before


def lists(d, c, seconds):
    """Times of `list` over a connection that is there, and over a new one."""
    old, new, until = [], [], time.monotonic() + seconds
    while time.monotonic() < until:
        old.append(timed(lambda: c.call("job.list", limit=20)))
        new.append(timed(lambda: Client(d.socket, timeout=120).call("job.list", limit=20)))
        time.sleep(0.02)
    return old, new


def submits(d, c, count, tag):
    return [timed(lambda: c.call("job.submit", spec=spec(d.top, "%s%d" % (tag, n), plan_s=args.plan),
                                  paused=True)) for n in range(count)]


def ms(seconds):
    return "%.1f ms" % (1000 * seconds)


def high(values):
    return sorted(values)[int(0.95 * (len(values) - 1))]


def load(d, uid, found):
    c = Client(d.socket, timeout=120)
    busy = "c = Client(sys.argv[1])\nfor n in range(%d):\n    c.call('job.submit', spec=spec('/tmp/load', str(n)), paused=True)"
    with open(os.path.join(os.environ.get("top_srcdir", "."), "tests/lib/srqd_client.py")) as f:
        library = f.read()
    as_busy = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-c"]
    subprocess.run(as_busy + [library + "\nimport sys\n" + busy % args.listed, d.socket], cwd="/", check=True)
    alone_submit = submits(d, c, 20, "alone")
    alone_list = lists(d, c, 2)
    with open(__file__) as f:
        source = library + "\n" + f.read().replace("from srqd_client import", "# from srqd_client import")
    attacker = subprocess.Popen(as_busy + [source, "--attack", d.socket, "--idle", str(args.idle), "--slow",
                                           str(args.slow), "--flood", str(args.flood)],
                                cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    opened = json.loads(attacker.stdout.readline())
    time.sleep(args.seconds / 10)
    first, clients = memory(d), c.call("daemon.info")["clients"]
    old, new = lists(d, c, 0.9 * args.seconds)
    loaded_submit = submits(d, c, 20, "loaded")
    last, clients_last = memory(d), c.call("daemon.info")["clients"]
    attacker.stdin.close()
    attacker.wait()
    found.update(opened=opened, clients=[clients, clients_last], list_alone=high(alone_list[0]),
                 list_p95=high(old), list_most=max(old), list_new_p95=high(new), list_new_most=max(new), lists=len(old),
                 submit_alone=statistics.median(alone_submit), submit=statistics.median(loaded_submit),
                 submit_most=max(loaded_submit), memory=[first, last])
    print("# tried: %(opened)s; connected at the beginning and the end: %(clients)s" % found)
    print("# list: alone p95 %s; loaded p95 %s, most %s; with a new connection p95 %s, most %s (%d each)" % (
        ms(found["list_alone"]), ms(found["list_p95"]), ms(found["list_most"]), ms(found["list_new_p95"]),
        ms(found["list_new_most"]), len(old)))
    print("# submit: alone %s, loaded %s, most %s (medians of 20)" % (
        ms(found["submit_alone"]), ms(found["submit"]), ms(found["submit_most"])))
    print("# memory: %.1f MiB after a tenth of the time, %.1f MiB at the end" % (first / 2 ** 20, last / 2 ** 20))
    return [("list within 50 ms beside %d idle, %d slow and %d flooding clients" % (args.idle, args.slow, args.flood),
             high(old) <= 0.05 and high(new) <= 0.05),
            ("submit within 3 times its time alone", found["submit"] <= 3 * found["submit_alone"]),
            ("memory is flat under load", last <= first + (32 << 20))]


def soak(d, found):
    c = Client(d.socket, timeout=120)
    seen = []
    for n in range(args.jobs):
        job = c.call("job.submit", spec=spec(d.top, "soak%d" % n, steps=3, step_ms=0))["job"]
        wait_state(c, job, "done", timeout=120)
        for method in ("job.plan", "job.log", "job.get"):
            c.call(method, job=job)
        c.call("job.delete", job=job)
        if n + 1 in (args.jobs // 3, args.jobs):
            time.sleep(2)
            seen.append((memory(d), descriptors(d)))
    found.update(soak=seen)
    print("# soak: after %d jobs %.2f MiB and %d descriptors, after %d jobs %.2f MiB and %d" % (
        args.jobs // 3, seen[0][0] / 2 ** 20, seen[0][1], args.jobs, seen[1][0] / 2 ** 20, seen[1][1]))
    return [("memory is flat over %d jobs" % args.jobs, seen[1][0] <= seen[0][0] + (2 << 20)),
            ("descriptors are flat over %d jobs" % args.jobs, seen[1][1] <= seen[0][1])]


def main():
    uid, reason = second_user()
    if reason:
        print("1..0 # SKIP " + reason)
        return
    config = "[access]\nsocket_group = *\n[limits]\nmax_running = 2\nuser_max_queued = 0\n"
    if args.places == "all":
        config += "[daemon]\nmax_clients = 4096\nuser_max_clients = 4000\nhello_timeout_s = 3600\nuser_output_max = 1G\n"
    d, found = Daemon(config, args=["--system"]), {"args": vars(args)}
    program_for_all(d)
    try:
        d.start()
        results = load(d, uid, found) + (soak(d, found) if args.jobs > 2 else [])
    finally:
        d.stop()
    print("1..%d" % len(results))
    for n, (what, right) in enumerate(results, 1):
        print("%s %d - %s" % ("ok" if right else "not ok", n, what))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(found, f, indent=1)
    sys.exit(0 if all(right for _, right in results) else 1)


if args.attack:
    attack(args.attack)
else:
    main()
