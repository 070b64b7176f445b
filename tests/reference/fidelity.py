#!/usr/bin/env python3
"""Compares srq's perplexities with the anchor figures of another implementation, row by row (TAP).

usage: fidelity.py [--model demo-lm|smollm2] [--scheme NAME] [--version 1|2] [--seeds N] [--bound X] [--slack X]
                   [--iters N] [--set KEY=VALUE]... [--keep DIR] [--jobs N]

Runs `srq-worker --spec` with each row's settings and token files, once for every seed (42, 43, ...). A row passes when
  full precision   is within 0.1 % of the row's,
  plain rounding   within 0.3 % (5 % where it is more than twice full precision's),
  SignRound        has ln(ppl/ppl_fp) of at most BOUND times AutoRound's + SLACK, in the mean over the seeds,
  KL               is, where a figure of ours is recorded below, at most that, in the mean over the seeds.
Needs $SRQ_WORKER, $SRQ_PLUGIN_PATH, the shared assets ($SRQ_SHARED), and $SRQ_SMOLLM2 for the rows of that model.
`make fidelity` gives all that; MODEL=, SCHEME=, VERSION=, SEEDS=, ITERS=, SET= and FIDELITY_BOUND= choose there.
"""
import argparse
import concurrent.futures
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

p = argparse.ArgumentParser()
p.add_argument("--model")
p.add_argument("--scheme")
p.add_argument("--version", type=int, choices=(1, 2), help="only rows of this version of SignRound")
p.add_argument("--seeds", type=int, default=3)
p.add_argument("--bound", type=float, default=0.95)
p.add_argument("--slack", type=float, default=0.0)
p.add_argument("--iters", type=int, help="override the row's iterations (for a quick look; their checks are skipped)")
p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
               help="an option beside the row's, as for srqctl submit (signround.decay=linear)")
p.add_argument("--keep", help="keep outputs in this folder")
p.add_argument("--jobs", type=int, help="jobs at a time, which share the processors (one for each processor where all rows "
               "are of the demo model, whose products are too small for a team; else 1, as others take gigabytes)")
a = p.parse_args()
a.set = [pair for text in a.set for pair in text.split()]  # make passes several in one word
if a.seeds < 1 or (a.jobs is not None and a.jobs < 1):
    p.error("--seeds and --jobs must be 1 or more")

# (model, scheme): KL to the original model that a row must not exceed, 1.15 times what seed 42 gave.
KL_MOST = {
    ("demo-lm", "w4g128"): 0.00212,
    ("demo-lm", "w3g128"): 0.00808,
    ("demo-lm", "w2g64"): 0.03401,
    ("demo-lm", "w4g128z"): 0.00223,
    ("demo-lm", "w3g128z"): 0.00887,
    ("smollm2", "w4g64"): 0.12512,
    ("smollm2", "w3g64"): 0.28734,
    ("smollm2", "w2g64"): 0.87411,
}
# (scheme, alg_ext): ln(ppl/ppl_fp) of AutoRound 0.16.1 (torch 2.13, eager, 2 threads) on the demo model with the rows'
# settings and seeds 42, 43 and, at 4 bits and w3g128z, 44. A row of anchors.json is one draw more, which at 4 bits
# may be half of the mean: the deviation is about that of sqrt(2 KL / tokens).
PEER = {
    ("w4g128", False): (0.00269, 0.00311, 0.00229),
    ("w4g128z", False): (0.00213, 0.00236, 0.00209),
    ("w3g128", False): (0.00848, 0.00758),
    ("w3g128z", False): (0.00960, 0.00868, 0.01034),
    ("w2g64", False): (0.03587, 0.03672),
    ("w3g128", True): (0.00878, 0.00786),
    ("w2g64", True): (0.03520, 0.03351),
}
PARTS = ("full precision", "plain rounding", "SignRound", "KL")

shared = os.environ.get("SRQ_SHARED", "")
anchors = os.path.join(shared, "assets", "anchors.json")
if not os.path.isfile(anchors):
    print("1..0 # SKIP the anchor figures are not on this machine (SRQ_SHARED)")
    sys.exit(0)
with open(anchors) as f:
    rows = json.load(f)["language"]
rows = [r for r in rows if a.model in (None, r["model"]) and a.scheme in (None, r["scheme"]) and
        a.version in (None, 2 if r["alg_ext"] else 1)]
if not rows:
    sys.exit("fidelity.py: no anchor row is of this model, scheme and version")
print(f"1..{len(rows) * len(PARTS)}", flush=True)
n = failed = 0
jobs = {}  # what is run, by its specification: rows of both versions may ask for the same one
told = set()
processors = len(os.sched_getaffinity(0))


def result(good, what, skip=None):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {what}{f' # SKIP {skip}' if skip else ''}", flush=True)


def spec_of(r, model, seed):
    """The job with a row's settings, without its output."""
    text = os.path.join(shared, "assets", "text")
    spec = {
        "model": model, "method": "signround", "scheme": r["scheme"], "calib": [os.path.join(text, r["calib"])],
        "eval": [os.path.join(text, r["eval"])], "formats": ["fake"], "force": True,
        "options": {"nsamples": r["nsamples"], "seqlen": r["seqlen"], "batch": r["batch"], "seed": seed,
                    "eval.windows": r["eval_windows"], "signround.iters": a.iters or r["iters"]},
    }
    if r["alg_ext"] and any(pair.startswith("signround.recipe=") for pair in a.set):
        spec["options"]["signround.alg_ext"] = True  # which the default recipe has anyway
    spec["options"].update(pair.split("=", 1) for pair in a.set)
    return spec


def run_job(spec, name, threads):
    """(eval table of a job, or None where it failed; its last words; seconds). No result depends on the threads."""
    spec = dict(spec, options=dict({"threads": threads}, **spec["options"]))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="srq-fidelity-") as tmp:
        out = os.path.join(a.keep or tmp, name)
        path = os.path.join(tmp, "job.json")
        with open(path, "w") as f:
            json.dump(dict(spec, output=out), f)
        run = subprocess.run([os.environ["SRQ_WORKER"], "--spec", path, "--dir", os.path.join(tmp, "job")],
                             env=dict(os.environ, SRQ_CACHE_DIR=os.path.join(tmp, "cache"), OMP_WAIT_POLICY="passive"),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        evals = None
        if run.returncode == 0:
            with open(os.path.join(out, "report.json")) as f:
                evals = json.load(f)["eval"]
    return evals, run.stdout.splitlines()[-15:], time.monotonic() - began


def job_of(r, model, seed):
    """The key in `jobs` of a row's job."""
    spec = spec_of(r, model, seed)
    key = json.dumps(spec, sort_keys=True)
    jobs.setdefault(key, (spec, f"{r['model']}-{r['scheme']}-{2 if r['alg_ext'] else 1}-{seed}"))
    return key


def begin_all(pool, at_once):
    """Futures of all jobs, which share the processors; those that are left for the last round share them among fewer."""
    rest = len(jobs) % at_once
    return {key: pool.submit(run_job, *job, max(1, processors // (at_once if i < len(jobs) - rest else rest)))
            for i, (key, job) in enumerate(jobs.items())}


def excess(tuned, full):
    return math.log(tuned / full)


def spread(values, digits):
    """Mean and deviation in words."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def check_row(r, label, evals):
    fp, rtn = (evals[0][k]["perplexity"] for k in ("before", "rtn"))
    result(abs(fp / r["ppl_fp"] - 1) <= 0.001, f"{label}: full precision {fp:.4f}, anchor {r['ppl_fp']:.4f}")
    tol = 0.05 if r["ppl_rtn"] > 2 * r["ppl_fp"] else 0.003
    result(abs(rtn / r["ppl_rtn"] - 1) <= tol, f"{label}: plain rounding {rtn:.4f}, anchor {r['ppl_rtn']:.4f}")

    anchor = excess(r["ppl_tuned"], r["ppl_fp"])
    draws = PEER.get((r["scheme"], r["alg_ext"])) if r["model"] == "demo-lm" else None
    theirs = statistics.mean(draws) if draws else anchor
    ours = [excess(ev["after"]["perplexity"], ev["before"]["perplexity"]) for ev in evals]
    mean = statistics.mean(ours)
    overridden = "iterations overridden" if a.iters else None
    limit = a.bound * theirs + a.slack
    result(bool(a.iters) or mean <= limit,
           f"{label}: SignRound excess {spread(ours, 5)}, at most {limit:.5f}; AutoRound "
           f"{spread(draws or [anchor], 5)}, ratio {mean / theirs:.3f}; anchor {anchor:.5f}, ratio {mean / anchor:.3f}",
           overridden)

    kl = [ev["after"]["kl"] for ev in evals]
    most = KL_MOST.get((r["model"], r["scheme"]))
    what = f"{label}: KL {spread(kl, 5)}, of plain rounding {evals[0]['rtn']['kl']:.5f}"
    if most is None:
        result(True, what, "no figure of this row is recorded")
    else:
        result(bool(a.iters) or statistics.mean(kl) <= most, f"{what}, at most {most:.5f}", overridden)


def model_of(r):
    """The folder of a row's model; "" where it is not on this machine."""
    folder = os.path.join(shared, "assets", "demo-lm") if r["model"] == "demo-lm" else os.environ.get("SRQ_SMOLLM2", "")
    return folder if os.path.isdir(folder) else ""


def show_row(r, label, measured):
    """Waits for a row's jobs, (key, future) for each seed, and holds them against its bounds."""
    evals = []
    for seed, (key, future) in enumerate(measured, 42):
        ev, said, seconds = future.result()
        if ev is None:
            print("# " + "\n# ".join(said))
            break
        if key in told:
            print("# as measured above")
        told.add(key)
        print(f"# {label}, seed {seed}: perplexity {ev['after']['perplexity']:.4f} (anchor {r['ppl_tuned']:.4f}), excess "
              f"{excess(ev['after']['perplexity'], ev['before']['perplexity']):.5f}, KL {ev['after']['kl']:.5f}, "
              f"{seconds:.0f} s", flush=True)
        evals.append(ev)
    if len(evals) == a.seeds:
        check_row(r, label, evals)
    else:
        for what in PARTS:
            result(False, f"{label}: {what}")


keys = [[job_of(r, model_of(r), seed) for seed in range(42, 42 + a.seeds)] if model_of(r) else [] for r in rows]
demo_alone = all(r["model"] == "demo-lm" for r in rows)
at_once = max(1, min(a.jobs or (processors if demo_alone else 1), len(jobs)))
with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
    futures = begin_all(pool, at_once)
    for r, own in zip(rows, keys):
        label = f"{r['model']} {r['scheme']} SignRoundV{2 if r['alg_ext'] else 1} {a.iters or r['iters']} iterations"
        if own:
            show_row(r, label, [(key, futures[key]) for key in own])
        else:
            for what in PARTS:
                result(True, f"{label}: {what}", f"no folder of {r['model']} (SRQ_SMOLLM2)")
sys.exit(1 if failed else 0)
