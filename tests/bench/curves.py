#!/usr/bin/env python3
"""How time and memory of a job grow with its size, and answers of srqd with its queue (TAP).

usage: curves.py [--only NAME] [--history N] [--csv FILE]

Each curve doubles one thing and keeps the others. Its order is the slope of its last two points on double logarithmic
axes: 0 does not grow, 1 in proportion, 2 as the square. A curve fails where it is above its order by more than a quarter.
  blocks, width, tokens, iterations   tuning by signround, with random weights: seconds of all blocks, peak memory
  candidates                          seconds of scoring, allocating and rounding
  history, waiting, clients           95th percentile of job.list and of job.submit, where so many are there
Needs $top_builddir and $top_srcdir: `make curves` gives both; CURVES_ARGS= are further arguments. Some minutes, on a
machine with nothing else to do.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import Place, SOURCE, demo_job, report  # noqa: E402
from srqd_client import Daemon, spec, wait_state  # noqa: E402

MIB = 1 << 20
SLACK = 0.25  # of an order
NOISE_S = 0.002  # below it a time is the machine's, not srq's

p = argparse.ArgumentParser(usage=next(t[7:] for t in __doc__.split("\n\n") if t.startswith("usage: ")))
p.add_argument("--only", metavar="NAME", help="one curve")
p.add_argument("--history", type=int, default=10000, help="jobs that have ended, at most")
p.add_argument("--csv", metavar="FILE")
args = p.parse_args()


def a_model(place, blocks, hidden):
    folder = place.path("model-%d-%d" % (blocks, hidden))
    if not os.path.exists(folder):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--alike", "--blocks",
                        str(blocks), "--hidden", str(hidden), "--mlp", str(3 * hidden)], check=True)
    return folder


def run(place, job):
    path = place.write_job("job", dict(job, output=place.path("out"), force=True))
    subprocess.run(["rm", "-rf", place.path("out.srq-job"), place.env["SRQ_CACHE_DIR"]], check=True)
    place.run(place.env["SRQ_WORKER"], "--spec", path)
    return report(place.path("out"))


def tuned(place, blocks=4, hidden=256, samples=16, iterations=20):
    job = demo_job("w4g64", nsamples=samples, seqlen=128, batch=8, checkpoint_s=3600, refine=0, resample=0,
                   signround__iters=iterations)
    written = run(place, dict(job, model=a_model(place, blocks, hidden)))
    return {"seconds": written["timing"]["tune_s"], "MiB": written["memory"]["peak_rss_bytes"] / MIB}


def scored(place, candidates):
    job = demo_job("w4g64", nsamples=16, seqlen=128, deltaloss__nsamples=4, deltaloss__seqlen=128, deltaloss__batch=4)
    del job["scheme"]
    names = ["w2g64", "w4g64", "w8g64", "w3g64", "w5g64", "w6g64", "w7g64", "w2g32"][:candidates]
    job.update(model=a_model(place, 4, 256), method="deltaloss,knapsack,rtn", budget={"bits": 3.5, "candidates": names})
    written = run(place, job)
    seconds = written["timing"]["total_s"] - written["timing"]["load_s"]
    return {"seconds": seconds, "MiB": written["memory"]["peak_rss_bytes"] / MIB}


def timed(call):
    before = time.monotonic()
    call()
    return time.monotonic() - before


def answers(d, c):
    """95th percentiles, in seconds."""
    def high(values):
        return sorted(values)[int(0.95 * (len(values) - 1))]

    lists = [timed(lambda: c.call("job.list", limit=20)) for _ in range(100)]
    submits = []
    for n in range(20):
        made = []
        submits.append(timed(lambda: made.append(c.call("job.submit", spec=spec(d.top, "timed"), paused=True)["job"])))
        c.call("job.cancel", job=made[0])
        c.call("job.delete", job=made[0])
    return {"list s": high(lists), "submit s": high(submits)}


def queue(history=0, waiting=0, clients=0):
    d = Daemon("[limits]\nmax_running = 8\nuser_max_queued = 0\n[retention]\nkeep_jobs = 100000\n").start()
    try:
        c = d.client(timeout=600)
        for first in range(0, history, 50):
            jobs = [c.call("job.submit", spec=spec(d.top, "h%d" % n, steps=1, step_ms=0))["job"]
                    for n in range(first, min(first + 50, history))]
            for job in jobs:
                wait_state(c, job, "done", timeout=600)
        for n in range(waiting):
            c.call("job.submit", spec=spec(d.top, "w%d" % n), paused=True)
        others = [d.client() for _ in range(clients)]
        for other in others:
            other.call("job.list", limit=20)
        return answers(d, c)
    finally:
        d.stop()


def points(most, least=10):
    made = [most]
    while len(made) < 2 or made[0] / 10 >= least:
        made.insert(0, max(made[0] // 10, 1))
    return made


# name: (what is doubled, of which order every figure is at most, how one point is measured)
CURVES = {
    "blocks": ([2, 4, 8, 16], {"seconds": 1, "MiB": 0}, lambda place, x: tuned(place, blocks=x)),
    "width": ([128, 256, 512, 1024], {"seconds": 2, "MiB": 2}, lambda place, x: tuned(place, hidden=x, iterations=5)),
    "tokens": ([2048, 4096, 8192, 16384], {"seconds": 1, "MiB": 1}, lambda place, x: tuned(place, samples=x // 128)),
    "iterations": ([10, 20, 40, 80], {"seconds": 1, "MiB": 0}, lambda place, x: tuned(place, iterations=x)),
    "candidates": ([2, 4, 8], {"seconds": 1, "MiB": 0}, scored),
    "history": (points(args.history, 100), {"list s": 0, "submit s": 0}, lambda place, x: queue(history=x)),
    "waiting": ([10, 100], {"list s": 0, "submit s": 0}, lambda place, x: queue(waiting=x)),
    "clients": ([8, 64], {"list s": 0, "submit s": 0}, lambda place, x: queue(clients=x)),
}


def order(xs, ys):
    """Slope of the last two points; times too short to tell count as that length."""
    a, b = (max(y, NOISE_S) for y in ys[-2:])
    return math.log(b / a) / math.log(xs[-1] / xs[-2])


def main():
    names = [n for n in CURVES if args.only in (None, n)]
    if not names:
        sys.exit("curves.py: there is no curve %s; there are: %s" % (args.only, ", ".join(CURVES)))
    print("1..%d" % sum(len(CURVES[n][1]) for n in names), flush=True)
    lines, n, failed = ["curve,x,figure,value"], 0, 0
    with Place() as place:
        for name in names:
            xs, orders, measure = CURVES[name]
            got = [measure(place, x) for x in xs]
            for figure, most in orders.items():
                ys = [g[figure] for g in got]
                is_of, n = order(xs, ys), n + 1
                right = is_of <= most + SLACK
                failed += not right
                lines += ["%s,%d,%s,%.6g" % (name, x, figure, y) for x, y in zip(xs, ys)]
                print("# %s: %s" % (name, "  ".join("%d: %.4g" % (x, y) for x, y in zip(xs, ys))))
                print("%s %d - %s by %s is of order %.2f, at most %d" % ("ok" if right else "not ok", n, figure, name,
                                                                        is_of, most), flush=True)
    if args.csv:
        with open(args.csv, "w") as f:
            f.write("\n".join(lines) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
