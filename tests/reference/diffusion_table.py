#!/usr/bin/env python3
"""What calibration and training make of the demo diffusion model: Fréchet distances and paired errors of full precision,
quantized and mixed sampling, as a table, with the bounds of issue and specification (spec diffusion-qat 14) as TAP.

Usage: SRQ_WORKER=… SRQ_PLUGIN_PATH=… diffusion_table.py [--model DIR] [--samples N] [--steps N] [--only SUBSTRING]
           [--set OPTION=VALUE] [--reference FILE] [--json FILE]

Without pictures to compare with (Debian's dataset-fashion-mnist, or --reference) the distances are left out."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

TOP = os.path.abspath(os.environ.get("top_srcdir", os.path.join(os.path.dirname(__file__), "../..")))
FASHION = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
WAYS = ("full", "quantized", "mixed")
# name: method, scheme, options
ROWS = [("%s %s" % (scheme, name), method, scheme, options)
        for scheme in ("w8a8", "w4a8", "w4a4")
        for name, method, options in (("post-training", "diffusion-ptq", {}), ("trained", "diffusion-qat", {}),
                                      ("trained, last weights", "diffusion-qat", {"diffusion-qat.ema": 0}))]


def read_words():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=os.path.join(TOP, "share/models/demo-ddpm"))
    p.add_argument("--features", default=os.path.join(TOP, "share/models/demo-features/model.safetensors"))
    p.add_argument("--samples", type=int, default=2000)
    p.add_argument("--steps", type=int, default=20, help="steps in which a picture is sampled")
    p.add_argument("--only", action="append", default=[], help="rows whose name has this in it, in the order given")
    p.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE")
    p.add_argument("--reference", default=FASHION if os.path.exists(FASHION) else None)
    p.add_argument("--json", help="file for the reports")
    return p.parse_args()


def run_row(words, method, scheme, options):
    with tempfile.TemporaryDirectory(prefix="srq-diffusion-") as top:
        own = {k: v for k, v in options.items() if k.startswith(method)}
        own.update(samples=words.samples, sample_steps=words.steps, **{
            k: v for k, v in (x.split("=", 1) for x in words.set) if not k.startswith("diffusion-") or k.startswith(method)})
        job = {"model": words.model, "method": method, "scheme": scheme, "formats": ["fake"], "options": own,
               "output": os.path.join(top, "out")}
        if words.reference:
            job.update(eval=[words.reference], features=words.features)
        path = os.path.join(top, "job.json")
        with open(path, "w") as f:
            json.dump(job, f)
        r = subprocess.run([os.environ["SRQ_WORKER"], "--spec", path, "--dir", os.path.join(top, "job")], text=True,
                           capture_output=True)
        if r.returncode != 0:
            sys.exit("diffusion_table.py: %s %s: %s" % (method, scheme, r.stderr[-2000:]))
        with open(os.path.join(top, "out", "report.json")) as f:
            return json.load(f)["diffusion"]


def cell(v, form):
    return form % v if v is not None else "-"


def print_row(name, d, seconds):
    """Distances, paired error with its interval, the mix's; how far off a step is; cost of the mix beside its counts."""
    low, high = d["pair_mse_interval"]["quantized"]
    low_m, high_m = d["pair_mse_interval"]["mixed"]
    at = d["latency"]
    k, n = d["hp_first"] + d["hp_last"], d["steps"]
    foreseen = (k * at["high"] + (n - k) * at["quantized"]) / n if at.get("high") else at["quantized"]
    sqnr = [v for v in d["step_sqnr"] if v is not None]
    print("# %-28s fid %s  pair_mse %.5f (%.5f to %.5f)  mixed %.5f (%.5f to %.5f)  dB a step %.1f, least %.1f  "
          "ms a step full %.2f quantized %.2f mixed %.2f, foreseen %.2f  %.0f s" % (
              name, " ".join(cell(d["fid"][w], "%.2f") for w in WAYS), d["pair_mse"]["quantized"], low, high,
              d["pair_mse"]["mixed"], low_m, high_m, sum(sqnr) / len(sqnr), min(sqnr), 1e3 * at["full"],
              1e3 * at["quantized"], 1e3 * at["mixed"], 1e3 * foreseen, seconds), flush=True)
    return foreseen


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def say(self, right, text):
        self.count += 1
        self.failed += not right
        print("%sok %d - %s" % ("" if right else "not ", self.count, text), flush=True)


def main():
    words, done, tap = read_words(), {}, Tap()
    rows = [r for only in words.only for r in ROWS if only in r[0]] if words.only else ROWS
    if words.reference is None:
        print("# no pictures to compare with: no distances (dataset-fashion-mnist has some)")
    for name, method, scheme, options in rows:
        since = time.time()
        done[name] = d = run_row(words, method, scheme, options)
        foreseen = print_row(name, d, time.time() - since)
        tap.say(d["pair_mse"]["mixed"] < d["pair_mse"]["quantized"], "%s: mixed is nearer than quantized everywhere" % name)
        tap.say(abs(d["latency"]["mixed"] - foreseen) < 0.25 * foreseen, "%s: the mix costs what its counts foresee" % name)
        if words.json:
            with open(words.json, "w") as f:
                json.dump(done, f, indent=1)
    for scheme, beyond in (("w4a8", True), ("w8a8", False)):
        a, b = done.get(scheme + " post-training"), done.get(scheme + " trained")
        if a and b and beyond:
            tap.say(b["pair_mse_interval"]["quantized"][1] < a["pair_mse_interval"]["quantized"][0],
                    "%s: trained is nearer than post-training, beyond the intervals" % scheme)
        elif a and b:
            tap.say(b["pair_mse"]["quantized"] <= a["pair_mse_interval"]["quantized"][1],
                    "%s: trained is not farther than post-training" % scheme)
    print("1..%d" % tap.count)
    return tap.failed > 0


if __name__ == "__main__":
    sys.exit(main())
