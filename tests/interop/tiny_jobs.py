#!/usr/bin/env python3
"""Rare ways through a job, on tiny random models, through srq-worker: a head of its own that is tuned too, and a one-shot
quantizer that looks at data. What comes out is unpacked, and held against a forward pass, by code that shares nothing with
srq."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

sys.path.insert(0, os.path.join(tap.TOP, "tests/lib"))
WORKER = os.path.join(tap.BUILD, "daemon/srq-worker/srq-worker")
SAMPLES, SEQ, BLOCKS = 8, 32, 2
TEXT = "".join("Line %d: %s\n" % (i * i, "the quick brown fox jumps over lazy dogs"[i % 17:]) for i in range(60))

top = tempfile.mkdtemp(prefix="srq-tiny-")
plugins = [os.path.join(tap.BUILD, "plugins", n, ".libs") for n in os.listdir(os.path.join(tap.BUILD, "plugins"))]
ENV = {k: v for k, v in os.environ.items() if not k.startswith("SRQ_")}
ENV.update(SRQ_PLUGIN_PATH=":".join([top, *plugins]), SRQ_PLUGIN_DIR="/nonexistent", SRQ_RUNTIME_DIR=top,
           SRQ_CACHE_DIR=os.path.join(top, "cache"), OMP_WAIT_POLICY="passive")
with open(os.path.join(top, "calib.txt"), "w") as f:
    f.write(TEXT)


def model(name, *more):
    path = os.path.join(top, name)
    if not os.path.exists(path):
        subprocess.run([sys.executable, os.path.join(tap.TOP, "tests/lib/make_model.py"), path, "--blocks", str(BLOCKS),
                        "--mlp", "96", "--vocab", "288", *more], check=True)
    return path


def command(name, job, **options):
    job = {"formats": ["auto_round"], "calib": [os.path.join(top, "calib.txt")], "output": os.path.join(top, name), **job}
    job["options"] = {"nsamples": SAMPLES, "seqlen": SEQ, "batch": 4, "threads": 1, "compute": "f32", "cache": "f32",
                      "probe_samples": SAMPLES, **options}
    path = os.path.join(top, name + ".json")
    with open(path, "w") as f:
        json.dump(job, f)
    return [WORKER, "--spec", path]


def run(name, job, code=0, env=None, **options):
    p = subprocess.run(command(name, job, **options), env=dict(ENV, **(env or {})), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=300)
    assert p.returncode == code, "exit %d: %s" % (p.returncode, p.stderr[-2000:])
    return os.path.join(top, name)


def events(name, event):
    try:
        with open(os.path.join(top, name + ".srq-job", "journal.ndjson")) as f:
            lines = [json.loads(line) for line in f if line.endswith("\n")]
    except FileNotFoundError:
        return []
    return [line["data"] for line in lines if line["event"] == event]


def calibration():
    """Bytes are tokens: consecutive windows of the text."""
    import numpy as np

    return np.frombuffer(TEXT.encode()[:SAMPLES * SEQ], np.uint8).reshape(SAMPLES, SEQ)


def unpacked(out):
    """{layer: (codes, weight)} of an exported folder."""
    import unpack

    with open(os.path.join(out, "config.json")) as f:
        config = json.load(f)
    tensors = unpack.read_folder(out)
    return {n[:-len(".qweight")]: unpack.unpack(config, tensors, n[:-len(".qweight")])[0::3]
            for n in tensors if n.endswith(".qweight")}


HEAD = {"method": "signround", "scheme": "w3g32", "quant_lm_head": True}
ITERS = {"signround.iters": 20}


@tap.test
def an_untied_head_is_tuned_and_its_loss_is_what_it_is_said_to_be():
    tap.need("numpy")
    import numpy as np
    import tiny_llama

    source = model("untied", "--untied")
    out = run("head", dict(HEAD, model=source), **dict(ITERS, refine=0,  # or what comes before the head changes once more
                                                                    resample=0, **{"signround.alg_ext": False}))
    layers = unpacked(out)
    assert "lm_head" in layers and len(layers) == 7 * BLOCKS + 1, sorted(layers)
    full = tiny_llama.Model(source)
    tuned = tiny_llama.Model(source, {n: w.astype(np.float64) for n, (_, w) in layers.items()})
    want = full.final(calibration()) @ full.weights["lm_head"].T
    got = tuned.final(calibration()) @ tuned.weights["lm_head"].T
    loss = float(((got - want) ** 2).mean())
    end = [e for e in events("head", "block.end") if e["block"] == BLOCKS]
    assert len(end) == 1, "the head ends once"
    print("# loss of the head: %.6g first, %.6g kept; %.6g by the unpacked weights" %
          (end[0]["loss_first"], end[0]["loss_best"], loss))
    assert end[0]["loss_best"] < end[0]["loss_first"], "tuning gains"
    assert abs(loss - end[0]["loss_best"]) < 2e-3 * loss, (loss, end[0])
    with open(os.path.join(out, "report.json")) as f:
        row = [r for r in json.load(f)["layers"] if r["name"] == "lm_head"][0]
    assert row["scheme"] == "w3g32" and 0 < row["error_best"] < 1, row


@tap.test
def a_job_killed_while_its_head_is_tuned_gives_the_same_bytes():
    lib = os.path.join(tap.BUILD, "tests/fault/.libs/crash_at.so")
    if not os.path.exists(lib):
        raise tap.Skip("the preloaded library was not built")
    job, calls = dict(HEAD, model=model("untied", "--untied")), os.path.join(top, "calls")
    more = {"signround.iters": 6, "checkpoint_s": 0}
    preload = {"LD_PRELOAD": lib, "SRQ_CRASH_UNDER": top}
    whole = run("whole", job, env=dict(preload, SRQ_CRASH_LOG=calls), **more)
    with open(calls) as f:
        calls = [line.strip() for line in f]
    last = calls.index("rename block-%03d.safetensors" % (BLOCKS - 1))
    heads = [i for i, c in enumerate(calls) if c == "rename running.bin" and i > last]
    assert len(heads) == 5, "a checkpoint before every iteration of the head but the first: %s" % calls[last:]
    # near the middle of them: which snapshots are taken, and so how many calls there are before, depends on the time
    run("killed", job, code=-signal.SIGKILL, env=dict(preload, SRQ_CRASH_AT=str(heads[2] + 1)), **more)
    out = run("killed", job, **more)
    assert any("lm_head goes on at iteration " in e["text"] for e in events("killed", "log")), events("killed", "log")
    for name in sorted(os.listdir(whole)):
        if name != "report.json":
            with open(os.path.join(whole, name), "rb") as a, open(os.path.join(out, name), "rb") as b:
                assert a.read() == b.read(), name


@tap.test
def a_one_shot_quantizer_gets_the_importance_of_every_column():
    tap.need("numpy")
    import numpy as np
    import tiny_llama

    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-std=c17", "-O1", "-fPIC", "-shared", "-I", os.path.join(tap.TOP, "core/include"), "-o",
                    os.path.join(top, "columns.so"), os.path.join(tap.TOP, "tests/e2e/outside_importance.c")], check=True)
    source = model("tied")
    out = run("columns", {"method": "columns", "scheme": "w8g32", "model": source})
    layers = unpacked(out)
    full = tiny_llama.Model(source)
    full.final(calibration())
    assert sorted(layers) == sorted(full.inputs), sorted(layers)
    for name, x in full.inputs.items():
        importance = (x * x).sum(0)
        want, codes = importance / importance.max() * 255, layers[name][0]
        assert (codes == codes[0]).all(), name
        worst = float(np.abs(codes[0] - want).max())
        assert worst < 0.51, "%s: %g codes off" % (name, worst)  # half a code is rounding


@tap.test
def a_head_without_data_is_rounded_by_the_one_shot_part():
    """rtn on a head of its own: the nearest value of the grid everywhere."""
    tap.need("numpy")
    import numpy as np
    import tiny_llama

    source = model("untied", "--untied")
    out = run("rounded", {"method": "rtn", "scheme": "w4g32z", "quant_lm_head": True, "model": source, "calib": []})
    codes, weight = unpacked(out)["lm_head"]
    want = tiny_llama.Model(source).weights["lm_head"]
    groups = want.reshape(len(want), -1, 32)
    step = (np.maximum(groups.max(-1), 0) - np.minimum(groups.min(-1), 0)) / 15
    off = np.abs(weight - want).reshape(groups.shape).max(-1) / step
    # half a step, and at the ends what rounding the zero-point moved the range by
    assert off.max() < 1.02 and np.median(off) < 0.51, (off.max(), np.median(off))
    assert codes.min() == 0 and codes.max() == 15


@tap.test
def a_gemma_with_scales_folded_in_computes_in_transformers_what_it_did():
    """Every kind of pair, in F32: its norms are stored less 1 and its head is its own here (spec teq 14.2)."""
    torch = tap.need("torch")
    tap.need("transformers")
    from transformers import AutoModelForCausalLM

    source = model("gemma", "--family", "gemma", "--dtype", "F32", "--untied")
    out = run("folded", {"method": "teq", "scheme": "w3g32", "quant_lm_head": True, "model": source, "formats": ["fake"]},
              **{"teq.steps": 0, "teq.init": "awq", "teq.pairs": "ABCDE", "teq.nsamples": SAMPLES, "teq.holdout": 2,
                 "teq.seqlen": SEQ, "teq.batch": 2})
    ids = torch.tensor(calibration().astype("int64"))
    logits, gains = [], []
    for folder in (source, out):
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            logits.append(loaded(ids).logits)
        gains.append(torch.stack([loaded.model.norm.weight, loaded.model.layers[1].input_layernorm.weight]).detach())
    off = ((logits[1] - logits[0]).norm() / logits[0].norm()).item()
    print("# logits differ by %.2g, relative L2" % off)
    assert 0 < off <= 1e-5, off
    assert (gains[1] - gains[0]).abs().amax(1).min().item() > 0.01, "scales are in both norms"


shutil.rmtree(top, ignore_errors=True)
tap.done()
