#!/usr/bin/env python3
"""Measures what choosing schemes by sensitivity is worth: perplexity of the plan that deltaloss and knapsack choose under a
budget, of uniform plans that fit into it, and of random plans of the same size. All are rounded plainly.

usage: allocation.py WORKER PLUGINS MODEL CALIB EVAL [--bits 3.0,3.5] [--candidates w2g64,w3g64,w4g64,w8g64] [--random 20]
                     [--nsamples N] [--windows 32] [--seqlen 256] [--anchors FILE [--bound 0.9]] [--json FILE]

WORKER: the program srq-worker; PLUGINS: folders of plugins, separated by colons. Random plans give each group of fused
layers a random candidate, then change random groups until the average is just inside that of the chosen plan.
With --anchors (anchors.json of the shared assets) it is a test that speaks TAP: at each average of which there is an anchor
row, the chosen plan's ln(ppl/ppl_fp) is at most BOUND times that of the plan which the other implementation's search chose.
`make allocation` runs that on $SRQ_SMOLLM2; ALLOCATION_ARGS= are further arguments.
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile

p = argparse.ArgumentParser()
for name in ("worker", "plugins", "model", "calib", "eval"):
    p.add_argument(name)
p.add_argument("--bits", default="3.0,3.5")
p.add_argument("--candidates", default="w2g64,w3g64,w4g64,w8g64")
p.add_argument("--random", type=int, default=20)
p.add_argument("--windows", type=int, default=32)
p.add_argument("--seqlen", type=int, default=256)
p.add_argument("--nsamples", type=int, help="calibration samples (default: srq's own number)")
p.add_argument("--anchors")
p.add_argument("--bound", type=float, default=0.9)
p.add_argument("--json")
a = p.parse_args()
absent = next((path for path in (a.model, a.calib, a.eval, a.anchors or a.calib) if not os.path.exists(path)), None)
if a.anchors and absent is not None:
    print("1..0 # SKIP there is no %s (SRQ_SHARED, SRQ_SMOLLM2)" % (absent or "folder of the model"))
    sys.exit(0)
anchors = {}
if a.anchors:
    with open(a.anchors) as f:
        anchors = {r["average_bits"]: r for r in json.load(f)["allocation"] if r["candidates"] == a.candidates.split(",")}
    print("1..%d" % len([b for b in a.bits.split(",") if float(b) in anchors]), flush=True)
candidates = a.candidates.split(",")
env = dict(os.environ, SRQ_PLUGIN_PATH=a.plugins, OMP_WAIT_POLICY="passive")
rng = random.Random(1)


def call(args, text=None):
    done = subprocess.run([a.worker, *args], input=text, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit("srq-worker %s: %s %s" % (" ".join(args), done.stdout[-500:], done.stderr[-2000:]))
    return done.stdout


def perplexity(model):
    """Of a folder, stored weights, each window alone."""
    spec = {"model": model, "eval": [a.eval], "options": {"eval.windows": a.windows, "eval.seqlen": a.seqlen}}
    return json.loads(call(["--eval"], json.dumps(spec)))["perplexity"]


def run(job):
    """Rounds the model; returns its report and the perplexity of what was exported."""
    with tempfile.TemporaryDirectory(prefix="srq-allocation-") as d:
        out, spec = os.path.join(d, "out"), os.path.join(d, "job.json")
        with open(spec, "w") as f:
            json.dump(dict({"model": a.model, "method": "rtn", "output": out}, **job), f)
        call(["--spec", spec, "--dir", os.path.join(d, "job")])
        with open(os.path.join(out, "report.json")) as f:
            return json.load(f), perplexity(out)


def plan_of(job):
    return json.loads(call(["--plan"], json.dumps(dict({"model": a.model, "method": "rtn", "output": "/nonexistent/out"}, **job))))


def groups_of(layers):
    """Names of fused layers together."""
    groups = {}
    for row in layers:
        if row["block"] is not None:
            groups.setdefault((row["block"], row["tie"] or row["name"]), []).append(row)
    return list(groups.values())


def random_plan(groups, target):
    """A plan of at most `target` bits that is as near to it as random changes bring it."""
    cost = [[sum(r["out"] * r["in"] * per[c] for r in g) for c in candidates] for g in groups]
    at = [rng.randrange(len(candidates)) for _ in groups]
    total = sum(cost[i][k] for i, k in enumerate(at))
    best = None
    for _ in range(200000):
        if total <= target and total > 0.999 * target:
            best = list(at)
            break
        i, k = rng.randrange(len(groups)), rng.randrange(len(candidates))
        change = cost[i][k] - cost[i][at[i]]
        if (total > target and change < 0) or (total <= target and change > 0 and total + change <= target * 1.002):
            total += change
            at[i] = k
    if best is None:
        raise SystemExit("no random plan of this size was found")
    return [candidates[k] for k in best], total


results = {"model": os.path.basename(a.model), "windows": a.windows, "seqlen": a.seqlen, "full": perplexity(a.model),
           "budgets": []}
note = "# " if anchors else ""
print(note + "full precision: perplexity %.4f" % results["full"], flush=True)
uniform = {}
per = {}
for c in candidates:
    plan = plan_of({"scheme": c})
    per[c] = plan["size"]["average_bits"]
layers = plan["plan"]["layers"]
groups = groups_of(layers)
elements = sum(r["out"] * r["in"] for g in groups for r in g)
checked = failed = 0
for bits in map(float, a.bits.split(",")):
    row = {"bits": bits, "uniform": {}, "random": []}
    job = {"method": "deltaloss,knapsack,rtn", "budget": {"bits": bits, "candidates": candidates}, "calib": [a.calib],
           "options": dict({"seqlen": a.seqlen}, **({"nsamples": a.nsamples} if a.nsamples else {}))}
    report, row["chosen"] = run(job)
    row["average_bits"] = report["size"]["average_bits"]
    row["gap"] = report["allocation"]["gap"]
    print(note + "%.2f bits: chosen plan of %.4f bits, perplexity %.4f (gap %.3g)" %
          (bits, row["average_bits"], row["chosen"], row["gap"]), flush=True)
    for c in candidates:
        if per[c] <= bits:
            if c not in uniform:
                uniform[c] = run({"scheme": c})[1]
            row["uniform"][c] = uniform[c]
            print(note + "%.2f bits: uniform %s of %.4f bits, perplexity %.4f" % (bits, c, per[c], uniform[c]), flush=True)
    for n in range(a.random):
        plan, total = random_plan(groups, row["average_bits"] * elements)
        pins = [{"pattern": r["name"], "scheme": c} for g, c in zip(groups, plan) for r in g]
        report, ppl = run({"scheme": candidates[0], "layers": pins})
        row["random"].append({"average_bits": report["size"]["average_bits"], "perplexity": ppl})
        print(note + "%.2f bits: random plan %d of %.4f bits, perplexity %.4f" %
              (bits, n + 1, report["size"]["average_bits"], ppl), flush=True)
    results["budgets"].append(row)
    if bits in anchors:
        ours = math.log(row["chosen"] / results["full"])
        theirs = math.log(anchors[bits]["ppl"] / anchors[bits]["ppl_fp"])
        good = ours <= a.bound * theirs and row["average_bits"] <= bits
        checked += 1
        failed += not good
        print("%s %d - %.2f bits: excess %.4f of the plan of %.4f bits, anchor %.4f, ratio %.3f, at most %g" %
              ("ok" if good else "not ok", checked, bits, ours, row["average_bits"], theirs, ours / theirs, a.bound),
              flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(results, f, indent=1)
sys.exit(1 if failed else 0)
