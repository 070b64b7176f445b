#!/usr/bin/env python3
"""Whether jobs still give the tensors that they gave when their hashes were stored (TAP).

usage: same_results.py [--store] [--only NAME]

Every job has all its settings written out, so that a new default changes none of them, and computes with the plain
kernels, whose results do not depend on the processor. Of the model in $SRQ_SMOLLM2 config and tokenizer have to be
those that the hashes were stored with: conversions of one model differ in them. A hash covers names, types, shapes and
bytes of all tensors of the exported folder. `--store` writes same_results.json anew: after a result was changed on
purpose. Needs $SRQ_WORKER and $SRQ_PLUGIN_PATH; $SRQ_SMOLLM2 for the jobs on that model. `make same-results` gives all
that."""
import argparse
import hashlib
import json
import os
import platform
import signal
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
SHARE = os.path.abspath(os.path.join(TOP, "share"))
STORED = os.path.join(TOP, "tests/reference/same_results.json")
SMOLLM2 = os.environ.get("SRQ_SMOLLM2", "")

DATA = {"nsamples": 8, "seqlen": 64, "batch": 4, "seed": 42, "threads": 2, "compute": "f32", "probe_every": 5,
        "probe_samples": 4, "refine": 0, "resample": 0, "eval.windows": 4, "eval.seqlen": 64}
FIRST = {"signround.recipe": "default", "signround.iters": 20, "signround.alg_ext": False, "signround.decay": "linear",
         "signround.range_pace": 1}
SECOND = FIRST | {"signround.alg_ext": True, "signround.decay": "cosine", "signround.range_pace": 0.25}
SCORES = {"deltaloss.nsamples": 4, "deltaloss.seqlen": 32}
BITS = {"bits": 3.8, "candidates": ["w2g64", "w3g64", "w4g64"]}
PIN = [{"pattern": "*.down_proj", "scheme": "w4g64"}, {"pattern": "model.layers.2.*", "scheme": "w8"}]

# name: (specification, options, killed and resumed)
DEMO = {
    "rtn": ({"method": "rtn", "scheme": "w3g64z"}, {}, False),
    "signround": ({"method": "signround", "scheme": "w3g64"}, FIRST, False),
    "signround-z": ({"method": "signround", "scheme": "w4g128z"}, FIRST, False),
    "signround2": ({"method": "signround", "scheme": "w2g64"}, SECOND, False),
    "signround2-killed": ({"method": "signround", "scheme": "w2g64"}, SECOND | {"checkpoint_s": 0.05}, True),
    "refined": ({"method": "signround", "scheme": "w2g64"}, SECOND | {"refine": 2, "resample": 1024}, False),
    "refined-killed": ({"method": "signround", "scheme": "w2g64"},
                       SECOND | {"refine": 2, "resample": 1024, "checkpoint_s": 0.05}, True),
    "budget": ({"method": "deltaloss,knapsack,signround", "budget": BITS}, FIRST | SCORES, False),
    "budget-pins": ({"method": "deltaloss,knapsack,signround", "budget": BITS, "layers": PIN}, FIRST | SCORES, False),
    "pins-killed": ({"method": "signround", "scheme": "w3g64", "layers": PIN}, FIRST | {"checkpoint_s": 0.05}, True),
    "teq": ({"method": "teq,rtn", "scheme": "w3g64"}, {"teq.steps": 6, "teq.objective": "kd"}, False),
    "gptq": ({"method": "gptq", "scheme": "w3g64"}, {}, False),
    "awq": ({"method": "awq,rtn", "scheme": "w3g64"}, {}, False),
    "nvfp4": ({"method": "signround", "scheme": "nvfp4", "formats": ["compressed-tensors"]}, FIRST, False),
}
FEW = {"nsamples": 2, "seqlen": 32, "batch": 2, "probe_samples": 2, "eval.windows": 1, "eval.seqlen": 32,
       "signround.iters": 2}
LARGE = {
    "smollm2-rtn": ({"method": "rtn", "scheme": "w4g64"}, {}, False),
    "smollm2-signround": ({"method": "signround", "scheme": "w4g64"}, FIRST | FEW, False),
    "smollm2-signround2": ({"method": "signround", "scheme": "w2g64"}, SECOND | FEW, False),
}


def hash_of(folder):
    total = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        header.pop("__metadata__", None)
        for tensor, t in sorted(header.items()):
            first, last = t["data_offsets"]
            total.update(f"{tensor} {t['dtype']} {t['shape']}\n".encode())
            total.update(data[8 + size + first:8 + size + last])
    return total.hexdigest()


def input_of(model):
    """What a result depends on beside the weights, and differs between conversions of one model."""
    total = hashlib.sha256()
    for name in ("config.json", "tokenizer.json"):
        with open(os.path.join(model, name), "rb") as f:
            total.update(f.read())
    return total.hexdigest()


def iterations(job):
    try:
        with open(os.path.join(job, "journal.ndjson"), encoding="utf-8") as f:
            return f.read().count('"tune.point"')
    except FileNotFoundError:
        return 0


def run(tmp, name, model, text, spec, options, killed):
    """The hash of one job's result."""
    out, job = os.path.join(tmp, name), os.path.join(tmp, name + ".job")
    path = out + ".json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"model": model, "output": out, "formats": ["auto_round"], "calib": [f"{text}-calib.txt"],
                   "eval": [f"{text}-eval.txt"]} | spec | {"options": DATA | options}, f)
    env = os.environ | {"SRQ_GEMM": "plain", "SRQ_KERNELS": "base", "SRQ_CACHE_DIR": ""}
    command = [os.environ["SRQ_WORKER"], "--spec", path, "--dir", job]
    for at in (15, 45, 70) if killed else ():
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
            while worker.poll() is None and iterations(job) < at:
                time.sleep(0.005)
            worker.send_signal(signal.SIGKILL)
    answer = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RuntimeError((answer.stdout + answer.stderr)[-500:])
    return hash_of(out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--store", action="store_true")
    p.add_argument("--only")
    a = p.parse_args()
    known = {}
    if os.path.exists(STORED):
        with open(STORED, encoding="utf-8") as f:
            known = json.load(f)
    if not a.store and known.get("machine") != platform.machine():
        print(f"1..0 # SKIP the hashes are of {known.get('machine')}, this is {platform.machine()}")
        return 0
    jobs = {n: (os.path.join(SHARE, "models/demo-lm"), *j) for n, j in DEMO.items()}
    jobs |= {n: (SMOLLM2, *j) for n, j in LARGE.items() if SMOLLM2}
    jobs = {n: j for n, j in jobs.items() if a.only in (None, n)}
    hashes, failed = known.get("hashes", {}), 0
    large = input_of(SMOLLM2) if SMOLLM2 else None
    other = not a.store and large not in (None, known.get("large"))
    print(f"1..{len(jobs)}", flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        for number, (name, (model, *job)) in enumerate(jobs.items(), 1):
            if other and name in LARGE:
                print(f"ok {number} - {name} # SKIP config or tokenizer of {model} are not those of the hashes")
                continue
            try:
                got = run(tmp, name, model, os.path.join(SHARE, "text/demo"), *job)
            except RuntimeError as e:
                got = f"failed: {e}"
            if a.store and not got.startswith("failed"):
                hashes[name] = got
            wanted = hashes.get(name)
            good = got == wanted
            failed += not good
            if not good:
                print(f"# {name}: {got}, stored is {wanted}")
            print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)
    if a.store:
        with open(STORED, "w", encoding="utf-8") as f:
            large = large or known.get("large")
            json.dump({"machine": platform.machine(), "large": large, "hashes": hashes}, f, indent=1)
            f.write("\n")
    return failed > 0


sys.exit(main())
