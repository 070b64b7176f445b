#!/usr/bin/env python3
"""Compares srq's perplexities with the anchor figures of another implementation, row by row (TAP).

usage: fidelity.py [--model demo-lm|smollm2] [--scheme NAME] [--alg-ext] [--iters N] [--set KEY=VALUE]...

Runs `srq-worker --spec` with each row's settings and token files. A row passes when
  full precision   is within 0.1 % of the row's,
  plain rounding   within 0.3 % (5 % where it is more than twice full precision's),
  SignRound        has ln(ppl/ppl_fp) at most 1.05 times the row's + 0.001.
Needs $SRQ_WORKER, $SRQ_PLUGIN_PATH, the shared assets ($SRQ_SHARED), and $SRQ_SMOLLM2 for the rows of that model.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time

p = argparse.ArgumentParser()
p.add_argument("--model")
p.add_argument("--scheme")
p.add_argument("--alg-ext", action="store_true", help="only rows of SignRoundV2 (default: only rows of version 1)")
p.add_argument("--iters", type=int, help="override the row's iterations (for a quick look; the check is skipped)")
p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
               help="an option beside the row's, as for srqctl submit (signround.decay=linear)")
p.add_argument("--keep", help="keep outputs in this folder")
a = p.parse_args()

shared = os.environ.get("SRQ_SHARED", "")
anchors = os.path.join(shared, "assets", "anchors.json")
if not os.path.isfile(anchors):
    print("1..0 # SKIP the anchor figures are not on this machine (SRQ_SHARED)")
    sys.exit(0)
rows = [r for r in json.load(open(anchors))["language"] if r["alg_ext"] == a.alg_ext]
rows = [r for r in rows if a.model in (None, r["model"]) and a.scheme in (None, r["scheme"])]
print(f"1..{len(rows) * 3}")
n = failed = 0
PARTS = ("full precision", "plain rounding", "SignRound")


def result(good, what):
    global n, failed
    n += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {n} - {what}", flush=True)


def run_row(r, model, tmp):
    """The eval table of one job with the row's settings, or None after printing why not."""
    out = os.path.join(a.keep or tmp, r["model"] + "-" + r["scheme"])
    text = os.path.join(shared, "assets", "text")
    spec = {
        "model": model, "method": "signround", "scheme": r["scheme"], "calib": [os.path.join(text, r["calib"])],
        "eval": [os.path.join(text, r["eval"])], "formats": ["fake"], "output": out, "force": True,
        "options": {"nsamples": r["nsamples"], "seqlen": r["seqlen"], "batch": r["batch"],
                    "eval.windows": r["eval_windows"], "signround.iters": a.iters or r["iters"],
                    "signround.alg_ext": r["alg_ext"]},
    }
    spec["options"].update(pair.split("=", 1) for pair in a.set)
    path = os.path.join(tmp, "job.json")
    with open(path, "w") as f:
        json.dump(spec, f)
    run = subprocess.run([os.environ["SRQ_WORKER"], "--spec", path, "--dir", os.path.join(tmp, "job")],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0:
        print("# " + "\n# ".join(run.stdout.splitlines()[-15:]))
        return None
    with open(os.path.join(out, "report.json")) as f:
        return json.load(f)["eval"]


for r in rows:
    model = os.path.join(shared, "assets", "demo-lm") if r["model"] == "demo-lm" else os.environ.get("SRQ_SMOLLM2", "")
    label = f"{r['model']} {r['scheme']} {r['iters']} iterations"
    if not os.path.isdir(model):
        for what in PARTS:
            n += 1
            print(f"ok {n} - {label}: {what} # SKIP no folder of {r['model']} (SRQ_SMOLLM2)")
        continue
    began = time.time()
    with tempfile.TemporaryDirectory() as tmp:
        ev = run_row(r, model, tmp)
    if ev is None:
        for what in PARTS:
            result(False, f"{label}: {what}")
        continue
    fp, rtn, tuned = (ev[k]["perplexity"] for k in ("before", "rtn", "after"))
    result(abs(fp / r["ppl_fp"] - 1) <= 0.001, f"{label}: full precision {fp:.4f}, anchor {r['ppl_fp']:.4f}")
    tol = 0.05 if r["ppl_rtn"] > 2 * r["ppl_fp"] else 0.003
    result(abs(rtn / r["ppl_rtn"] - 1) <= tol, f"{label}: plain rounding {rtn:.4f}, anchor {r['ppl_rtn']:.4f}")
    ours, theirs = math.log(tuned / fp), math.log(r["ppl_tuned"] / r["ppl_fp"])
    what = (f"{label}: SignRound {tuned:.4f}, anchor {r['ppl_tuned']:.4f}; excess {ours:.5f} against {theirs:.5f}, "
            f"ratio {ours / theirs:.3f}, {time.time() - began:.0f} s")
    if a.iters:
        n += 1
        print(f"ok {n} - {what} # SKIP iterations overridden")
    else:
        result(ours <= 1.05 * theirs + 0.001, what)
sys.exit(1 if failed else 0)
