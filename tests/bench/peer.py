#!/usr/bin/env python3
"""Time per block and iteration of SignRound, srq beside another implementation, on this machine, in turn (TAP).

usage: peer.py [MODEL_DIR] [--calib TEXT] [--scheme w4g64] [--nsamples 32] [--seqlen 256] [--batch 8] [--iters 10,70]
               [--rounds 3] [--threads N] [--peer COMMAND] [--modes eager,compiled] [--whole ITERS]
               [--set KEY=VALUE]... [--json FILE]

A time per block-iteration is the slope between two iteration counts, which leaves out loading, calibration, and
compilation; the counts lie far apart, since one compilation takes some seconds more or less than another. Each round
runs srq and the peer in every mode at both counts, one after the other; the ratio is taken round by round, and the
median with its spread is printed. The median may be at most
  0.7   times the peer's time, however that runs, where srq multiplies by AMX,
  0.85  times where it computes in BF16 without that,
  0.95  times elsewhere.
--whole runs both once more with so many iterations: srq's whole job, from its start to the exported model, may take at
most 0.45 times what the peer takes to quantize, its compilation included (nothing compiled before is kept for it), in at
most 0.2 times its memory.
The peer is a command like tools/autoround-run of the shared assets ($SRQ_SHARED), which prints
`RESULT {"quantize_s": ..., "blocks": ...}`, run by $SRQ_PYTHON; MODEL_DIR is $SRQ_SMOLLM2 where none is named.
Needs $SRQ_WORKER and $SRQ_PLUGIN_PATH. `make peer` gives all that; PEER_ARGS= are further arguments.
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

MODES = ("eager", "compiled")
MOST_WHOLE, MOST_MEMORY = 0.45, 0.2
MOST = {"amx": 0.7, "bf16": 0.85, "f32": 0.95}  # by who multiplies for srq, or else what blocks compute in
SHARED = os.environ.get("SRQ_SHARED", "")

p = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:])
p.add_argument("model", nargs="?", default=os.environ.get("SRQ_SMOLLM2", ""))
p.add_argument("--scheme", default="w4g64")
p.add_argument("--calib", default=os.path.join(SHARED, "assets/text/wiki-valid.txt"))
p.add_argument("--nsamples", type=int, default=32)
p.add_argument("--seqlen", type=int, default=256)
p.add_argument("--batch", type=int, default=8)
p.add_argument("--iters", default="10,70")
p.add_argument("--rounds", type=int, default=3)
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--peer")
p.add_argument("--modes", default="eager,compiled")
p.add_argument("--whole", type=int, metavar="ITERS", help="compare whole runs of ITERS iterations too")
p.add_argument("--set", action="append", default=[], help="further srq options, KEY=VALUE")
p.add_argument("--json")
a = p.parse_args()
counts = [int(x) for x in a.iters.split(",")]
modes = a.modes.split(",")
if any(mode not in MODES for mode in modes):
    p.error("--modes are of eager and compiled")


def absent():
    """Why nothing can be compared here, or None."""
    tool, python = os.path.join(SHARED, "tools/autoround-run"), os.environ.get("SRQ_PYTHON")
    if not os.path.isdir(a.model):
        return "no folder of a model (MODEL_DIR or SRQ_SMOLLM2)"
    if not os.path.isfile(a.calib):
        return "no calibration text (--calib or SRQ_SHARED)"
    if a.peer:
        return None
    if not os.path.isfile(tool):
        return "no tools/autoround-run in the shared assets (SRQ_SHARED)"
    if not python or subprocess.run([python, "-c", "import torch, transformers, auto_round"],
                                    stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode != 0:
        return "no Python with torch, transformers and auto_round (SRQ_PYTHON)"
    a.peer = shlex.join([python, tool])
    return None


def run_srq(iters):
    """From the job's own report: seconds of tuning and of all, the number of blocks, peak memory, who computed."""
    with tempfile.TemporaryDirectory(prefix="srq-peer-") as tmp:
        options = {"nsamples": a.nsamples, "seqlen": a.seqlen, "batch": a.batch, "threads": a.threads,
                   "signround.iters": iters}
        options.update(kv.split("=", 1) for kv in a.set)
        spec = {"model": os.path.abspath(a.model), "method": "signround", "scheme": a.scheme, "formats": ["fake"],
                "calib": [os.path.abspath(a.calib)], "output": os.path.join(tmp, "out"), "options": options}
        path = os.path.join(tmp, "job.json")
        with open(path, "w") as f:
            json.dump(spec, f)
        run = subprocess.run([os.environ["SRQ_WORKER"], "--spec", path, "--dir", os.path.join(tmp, "job")],
                             env=dict(os.environ, SRQ_CACHE_DIR=os.path.join(tmp, "cache")),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode != 0:
            sys.exit(run.stdout)
        with open(os.path.join(tmp, "out", "report.json")) as f:
            report = json.load(f)
    return {"tune_s": report["timing"]["tune_s"], "whole_s": report["timing"]["total_s"],
            "blocks": len(report["blocks"]), "mib": report["memory"]["peak_rss_bytes"] / 2**20,
            "by": (report["gemm_backend"], report["compute"])}


def run_peer(iters, mode, compiled):
    """`compiled`: where what was compiled is kept."""
    bits, group, asym = re.fullmatch(r"w(\d)g(\d+)(z?)", a.scheme).groups()
    cmd = shlex.split(a.peer) + [a.model, "--bits", bits, "--group", group, "--iters", str(iters), "--nsamples",
                                 str(a.nsamples), "--seqlen", str(a.seqlen), "--batch", str(a.batch), "--calib", a.calib,
                                 "--eval", a.calib, "--time-only", "--threads", str(a.threads)]
    cmd += ["--asym"] if asym else []
    cmd += ["--compile"] if mode == "compiled" else []
    run = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env=dict(os.environ, TORCHINDUCTOR_CACHE_DIR=compiled))
    found = re.search(r"^RESULT (\{.*\})$", run.stdout, re.M)
    if run.returncode != 0 or not found:
        sys.exit(run.stdout)
    r = json.loads(found.group(1))
    return {"tune_s": r["quantize_s"], "whole_s": r["quantize_s"], "blocks": r["blocks"], "mib": r["peak_rss_mib"]}


def slope(run):
    low, high = run(counts[0]), run(counts[1])
    return (high["tune_s"] - low["tune_s"]) / (counts[1] - counts[0]) / high["blocks"], high


why = absent()
if why:
    print("1..0 # SKIP " + why)
    sys.exit(0)
print(f"1..{len(modes) * (3 if a.whole else 1)}", flush=True)
rounds, kept = [], tempfile.TemporaryDirectory(prefix="srq-peer-")
for k in range(a.rounds):
    s, ours = slope(run_srq)
    backend, compute = ours["by"]
    row = {"srq_s": s, "srq_peak_mib": ours["mib"], "gemm_backend": backend, "compute": compute}
    print(f"# round {k + 1}: srq {s:.4f} s per block-iteration ({backend} in {compute}, {ours['mib']:.0f} MiB)",
          flush=True)
    for mode in modes:
        if mode == "compiled" and k == 0:  # else the first run compiles, and the second takes its code
            run_peer(counts[0], mode, kept.name)
        q, theirs = slope(lambda iters: run_peer(iters, mode, kept.name))
        row[mode] = {"peer_s": q, "peer_peak_mib": theirs["mib"], "ratio": s / q}
        print(f"# round {k + 1}: peer {mode} {q:.4f} s ({theirs['mib']:.0f} MiB), ratio {s / q:.3f}", flush=True)
    rounds.append(row)
summary = {"model": a.model, "scheme": a.scheme, "batch": a.batch, "seqlen": a.seqlen, "iters": counts,
           "threads": a.threads, "rounds": rounds}
tests = 0
failed = False


def check(what, value, most, more=""):
    """A peer that seems to take no time at all was not measured."""
    global tests, failed
    tests += 1
    good = 0 < value <= most
    failed |= not good
    print(f"{'ok' if good else 'not ok'} {tests} - {what} {value:.3f}{more}, at most {most:g}", flush=True)


for mode in modes:
    ratios = sorted(r[mode]["ratio"] for r in rounds)
    median = statistics.median(ratios)
    summary[mode] = {"min": ratios[0], "median": median, "max": ratios[-1]}
    check(f"time of srq to the peer's, {mode}: median", median, MOST.get(rounds[0]["gemm_backend"],
                                                                         MOST[rounds[0]["compute"]]),
          f", {ratios[0]:.3f} to {ratios[-1]:.3f}")
if a.whole:
    ours = run_srq(a.whole)
    print(f"# {a.whole} iterations: srq's job {ours['whole_s']:.1f} s, {ours['mib']:.0f} MiB", flush=True)
    for mode in modes:
        with tempfile.TemporaryDirectory(prefix="srq-peer-") as empty:
            theirs = run_peer(a.whole, mode, empty)
        print(f"# {a.whole} iterations: peer {mode} {theirs['whole_s']:.1f} s, {theirs['mib']:.0f} MiB", flush=True)
        summary[mode]["whole"] = {"iters": a.whole, "srq_s": ours["whole_s"], "peer_s": theirs["whole_s"],
                                  "srq_peak_mib": ours["mib"], "peer_peak_mib": theirs["mib"]}
        check(f"whole time to the peer's, {mode}:", ours["whole_s"] / theirs["whole_s"], MOST_WHOLE)
        check(f"peak memory to the peer's, {mode}:", ours["mib"] / theirs["mib"], MOST_MEMORY)
if a.json:
    with open(a.json, "w") as f:
        json.dump(summary, f, indent=1)
sys.exit(failed)
