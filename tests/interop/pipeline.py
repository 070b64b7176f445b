#!/usr/bin/env python3
"""Whole jobs through srqctl, srqd and srq-worker; what they export is loaded by transformers on the CPU and must give
the logits that `srqctl eval --logits` writes for the same folder. The loaders compute in F16, srq in F32."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("AR_LOG_LEVEL", "ERROR")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

SHARE = 0.998   # of positions where both name the same next token (tap.same_words)
WORST = 0.02    # of the largest logit: the loader rounds every product's result to 11 bits, block after block
TYPICAL = 0.002  # the same for the mean difference
WINDOW = 128
CTL = os.path.join(tap.BUILD, "tui/srqctl/srqctl")
CALIB = os.path.join(tap.TOP, "share/text/demo-calib.txt")
EVAL = os.path.join(tap.TOP, "share/text/demo-eval.txt")

top = tempfile.mkdtemp(prefix="srq-pipeline-")
os.mkdir(os.path.join(top, "run"), 0o700)
plugins = [os.path.join(tap.BUILD, "plugins", n, ".libs") for n in os.listdir(os.path.join(tap.BUILD, "plugins"))]
ENV = {k: v for k, v in os.environ.items() if not k.startswith("SRQ_")}
ENV.update(SRQ_SRQD=os.path.join(tap.BUILD, "daemon/srqd/srqd"),
           SRQ_WORKER=os.path.join(tap.BUILD, "daemon/srq-worker/srq-worker"), SRQ_PLUGIN_PATH=":".join(plugins),
           SRQ_PLUGIN_DIR="/nonexistent", XDG_CONFIG_HOME="/nonexistent", SRQ_CACHE_DIR=os.path.join(top, "cache"),
           SRQ_SOCKET=os.path.join(top, "s"), SRQ_STATE_DIR=os.path.join(top, "state"),
           SRQ_RUNTIME_DIR=os.path.join(top, "run"), OMP_WAIT_POLICY="passive")


def ctl(*args):
    p = subprocess.run([CTL, *args], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3000)
    assert p.returncode == 0, "srqctl %s: exit %d: %s%s" % (" ".join(args), p.returncode, p.stdout[-500:], p.stderr)
    return p.stdout


def compare(out, text, windows=8, packed=True):
    """Both readers of one folder on the same windows."""
    import numpy
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = out.rstrip("/") + ".npy"
    ctl("eval", out, "--eval", text, "--logits", file, "--set", "eval.seqlen=%d" % WINDOW,
        "--set", "eval.windows=%d" % windows)
    ours = numpy.load(file).astype(numpy.float32)
    os.unlink(file)
    with open(text, encoding="utf-8") as f:
        ids = AutoTokenizer.from_pretrained(out)(f.read(), add_special_tokens=False)["input_ids"]
    ids = torch.tensor(ids[:WINDOW * windows]).view(-1, WINDOW)
    model = AutoModelForCausalLM.from_pretrained(out, device_map="cpu", dtype=torch.float16).eval()
    if packed and not any(hasattr(m, "qweight") for m in model.modules()):
        raise tap.Skip("the loader has no processor for this packing on a CPU")
    with torch.no_grad():
        theirs = numpy.concatenate([model(w[None]).logits.float().numpy() for w in ids])
    ours = ours.reshape(theirs.shape)
    assert numpy.isfinite(ours).all() and numpy.isfinite(theirs).all()
    scale = float(numpy.abs(ours).max())
    same = tap.same_words(theirs, ours)
    worst, typical = float(numpy.abs(ours - theirs).max()) / scale, float(numpy.abs(ours - theirs).mean()) / scale
    print(f"# {os.path.basename(out)}: same next token at {same:.4f} of {ids.numel()} positions; difference of logits, "
          f"of the largest: {worst:.5f} at most, {typical:.6f} on average")
    assert same >= SHARE and worst < WORST and typical < TYPICAL, (same, worst, typical)


def need_loader(package):
    for module in "torch", "numpy", "transformers", package:
        tap.need(module)


# The F16 products of the loader are slow on many processors: fewer windows for a model of some size. It wants text that
# it knows: on the demo's text most tokens are near ties for it.
REAL_TEXT = tap.TEXT, int(os.environ.get("SRQ_PIPELINE_WINDOWS", "3"))


def need_real_text():
    if not os.path.exists(tap.TEXT):
        raise tap.Skip(f"no natural text at {tap.TEXT} (SRQ_SHARED)")


jobs = {}


def run_job(name, model, method, scheme, formats, *more):
    """One job of several formats, run once for all its cases."""
    if name not in jobs:
        out = os.path.join(top, name)
        ctl("submit", model, "-m", method, "-s", scheme, "-F", ",".join(formats), "-o", out, "--wait", *more)
        with open(os.path.join(out, "report.json")) as f:
            report = json.load(f)
        assert report["size"]["after_bytes"] < report["size"]["before_bytes"]
        jobs[name] = out
    return jobs[name]


def case(name, package, fmt, *job):
    def run():
        need_loader(package)
        out = run_job(*job)
        compare(os.path.join(out, fmt) if len(job[4]) > 1 else out, EVAL, packed=fmt != "fake")
    run.__name__ = name
    tap.test(run)


TUNED = ("tuned", tap.DEMO, "signround", "w4g128", ["auto_round", "auto_gptq"], "--calib", CALIB, "--set", "nsamples=16",
         "--set", "seqlen=64", "--set", "signround.iters=8")
ROUNDED = ("rounded", tap.DEMO, "rtn", "w4g64z", ["auto_round", "auto_awq"])
case("demo_tuned_symmetric_as_auto_round", "auto_round", "auto_round", *TUNED)
case("demo_tuned_symmetric_as_auto_gptq", "gptqmodel", "auto_gptq", *TUNED)
case("demo_rounded_asymmetric_as_auto_round", "auto_round", "auto_round", *ROUNDED)
case("demo_rounded_asymmetric_3_bits_as_auto_round", "auto_round", "auto_round", "rounded3", tap.DEMO, "rtn", "w3g64z",
     ["auto_round"])
case("demo_rounded_asymmetric_as_auto_awq", "awq", "auto_awq", *ROUNDED)
# Scales that were folded in: norms, weights and codes are other ones, the architecture is the same.
SCALED = ("scaled", tap.DEMO, "teq,gptq", "w3g64z", ["auto_round", "fake"], "--calib", CALIB, "--set", "nsamples=16", "--set",
          "seqlen=64", "--set", "teq.init=awq", "--set", "teq.steps=4", "--set", "teq.nsamples=16", "--set", "teq.holdout=4",
          "--set", "teq.seqlen=64")
case("demo_scaled_and_rounded_as_auto_round", "auto_round", "auto_round", *SCALED)
case("demo_scaled_and_rounded_as_weights", "transformers", "fake", *SCALED)


@tap.test
def real_model_rounded_as_auto_round():
    if not os.path.isdir(tap.REAL):
        raise tap.Skip("SRQ_SMOLLM2 names no model folder")
    need_real_text()
    need_loader("auto_round")
    compare(run_job("real", tap.REAL, "rtn", "w4g64", ["auto_round"]), *REAL_TEXT)


@tap.test
def real_output_given_by_hand():
    """A folder made elsewhere: SRQ_PIPELINE_OUT, with SRQ_PIPELINE_WINDOWS windows."""
    out = os.environ.get("SRQ_PIPELINE_OUT", "")
    if not os.path.isdir(out):
        raise tap.Skip("SRQ_PIPELINE_OUT names no exported folder")
    need_real_text()
    need_loader("auto_round")
    compare(out, *REAL_TEXT)


try:
    ctl("daemon", "stop", "--jobs")
except AssertionError:
    pass
shutil.rmtree(top, ignore_errors=True)
tap.done()
