#!/usr/bin/env python3
"""Time per block and iteration of SignRound, srq beside another implementation, on this machine, in turn.

usage: peer.py MODEL_DIR [--scheme w4g64] [--nsamples 32] [--seqlen 256] [--batch 8] [--iters 10,30] [--rounds 3]
       [--threads N] [--peer COMMAND] [--compile] [--json FILE]

A time per block-iteration is the slope between two iteration counts, which leaves out loading, calibration, and
compilation. Each round runs srq and the peer at both counts, one after the other; the ratio is taken round by round
and the median with its spread is printed. The peer is a command like the one of the shared tools that prints
`RESULT {"quantize_s": …, "blocks": …}`; without it only srq is timed.
Needs $SRQ_WORKER and $SRQ_PLUGIN_PATH.
"""
import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile

p = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:])
p.add_argument("model")
p.add_argument("--scheme", default="w4g64")
p.add_argument("--calib", required=True)
p.add_argument("--nsamples", type=int, default=32)
p.add_argument("--seqlen", type=int, default=256)
p.add_argument("--batch", type=int, default=8)
p.add_argument("--iters", default="10,30")
p.add_argument("--rounds", type=int, default=3)
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--peer")
p.add_argument("--compile", action="store_true")
p.add_argument("--set", action="append", default=[], help="further srq options, KEY=VALUE")
p.add_argument("--json")
a = p.parse_args()
counts = [int(x) for x in a.iters.split(",")]


def run_srq(iters):
    """Seconds of tuning and the number of blocks, from the job's own report."""
    with tempfile.TemporaryDirectory() as tmp:
        options = {"nsamples": a.nsamples, "seqlen": a.seqlen, "batch": a.batch, "threads": a.threads,
                   "signround.iters": iters}
        options.update(kv.split("=", 1) for kv in a.set)
        spec = {"model": os.path.abspath(a.model), "method": "signround", "scheme": a.scheme, "formats": ["fake"],
                "calib": [os.path.abspath(a.calib)], "output": os.path.join(tmp, "out"), "options": options}
        path = os.path.join(tmp, "job.json")
        with open(path, "w") as f:
            json.dump(spec, f)
        run = subprocess.run([os.environ["SRQ_WORKER"], "--spec", path, "--dir", os.path.join(tmp, "job")],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode != 0:
            sys.exit(run.stdout)
        with open(os.path.join(tmp, "out", "report.json")) as f:
            report = json.load(f)
    return report["timing"]["tune_s"], len(report["blocks"]), report["memory"]["peak_rss_bytes"] / 2**20, report["gemm_backend"]


def run_peer(iters):
    bits, group, asym = re.fullmatch(r"w(\d)g(\d+)(z?)", a.scheme).groups()
    cmd = shlex.split(a.peer) + [a.model, "--bits", bits, "--group", group, "--iters", str(iters), "--nsamples",
                                 str(a.nsamples), "--seqlen", str(a.seqlen), "--batch", str(a.batch), "--calib", a.calib,
                                 "--eval", a.calib, "--time-only", "--threads", str(a.threads)]
    cmd += ["--asym"] if asym else []
    cmd += ["--compile"] if a.compile else []
    run = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(r"^RESULT (\{.*\})$", run.stdout, re.M)
    if run.returncode != 0 or not found:
        sys.exit(run.stdout)
    r = json.loads(found.group(1))
    return r["quantize_s"], r["blocks"], r["peak_rss_mib"], "peer"


def slope(run):
    low, high = run(counts[0]), run(counts[1])
    return (high[0] - low[0]) / (counts[1] - counts[0]) / high[1], high[2], high[3]


rounds = []
for k in range(a.rounds):
    s, s_mib, backend = slope(run_srq)
    row = {"srq_s": s, "srq_peak_mib": s_mib, "gemm_backend": backend}
    text = f"round {k + 1}: srq {s:.4f} s per block-iteration ({backend}, {s_mib:.0f} MiB)"
    if a.peer:
        q, q_mib, _ = slope(run_peer)
        row.update(peer_s=q, peer_peak_mib=q_mib, ratio=s / q)
        text += f", peer {q:.4f} s ({q_mib:.0f} MiB), ratio {s / q:.3f}"
    rounds.append(row)
    print(text, flush=True)
summary = {"model": a.model, "scheme": a.scheme, "batch": a.batch, "seqlen": a.seqlen, "iters": counts,
           "threads": a.threads, "compiled": a.compile, "rounds": rounds}
if a.peer:
    ratios = sorted(r["ratio"] for r in rounds)
    summary["ratio"] = {"min": ratios[0], "median": statistics.median(ratios), "max": ratios[-1]}
    print(f"ratio: median {summary['ratio']['median']:.3f}, {ratios[0]:.3f} to {ratios[-1]:.3f}")
if a.json:
    with open(a.json, "w") as f:
        json.dump(summary, f, indent=1)
