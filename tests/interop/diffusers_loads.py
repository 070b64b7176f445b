#!/usr/bin/env python3
"""Exports of diffusion models in diffusers: a pipeline loads them as they are, and from the same noise it makes the pictures
that srqctl sample makes."""
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

MODEL = os.path.join(tap.TOP, "share/models/demo-ddpm")
WORKER = os.path.join(os.path.abspath(tap.BUILD), "daemon/srq-worker/srq-worker")
CTL = os.path.join(os.path.abspath(tap.BUILD), "tui/srqctl/srqctl")
ENV = dict(os.environ, SRQ_WORKER=WORKER, SRQ_PLUGIN_DIR="/nonexistent", SRQ_PLUGIN_PATH=":".join(
    os.path.join(os.path.abspath(tap.BUILD), "plugins", name, ".libs")
    for name in sorted(os.listdir(os.path.join(tap.BUILD, "plugins")))))
STEPS, COUNT = 10, 4


def export(top, method, scheme, **options):
    out = os.path.join(top, "out")
    job = {"model": os.path.abspath(MODEL), "method": method, "scheme": scheme, "formats": ["fake"], "output": out,
           "options": dict(options, samples=0)}
    path = os.path.join(top, "job.json")
    with open(path, "w") as f:
        json.dump(job, f)
    subprocess.run([WORKER, "--spec", path, "--dir", os.path.join(top, "job")], env=ENV, check=True, capture_output=True)
    return out


def by_srq(top, model, *words):
    import numpy

    paths = [os.path.join(top, name) for name in ("pictures.npy", "noise.npy")]
    subprocess.run([CTL, "sample", model, "--steps", str(STEPS), "-n", str(COUNT), "--npy", paths[0], "--noise", paths[1],
                    "--force", *words], env=ENV, check=True, capture_output=True)
    return [numpy.load(p).reshape(COUNT, 28, 28) for p in paths]


def by_diffusers(pipeline, noise):
    """The denoising loop of its DDIM pipeline, from this noise."""
    import torch
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(STEPS)
    x = torch.tensor(noise).view(COUNT, 1, 28, 28)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(pipeline.unet(x, t).sample, t, x).prev_sample
    return x.numpy().reshape(COUNT, 28, 28)


def agree(method, scheme, **options):
    tap.need("torch")
    tap.need("numpy")
    tap.need("diffusers")
    from diffusers import DiffusionPipeline

    with tempfile.TemporaryDirectory() as top:
        out = export(top, method, scheme, **options)
        grids = os.path.join(out, "srq_activations.safetensors")
        if os.path.exists(grids):
            os.unlink(grids)  # diffusers computes with the weights alone: so is srq to
        pictures, noise = by_srq(top, out, "--hp-first", "0")
        original, _ = by_srq(top, os.path.abspath(MODEL))
        pipeline = DiffusionPipeline.from_pretrained(out)
        theirs = by_diffusers(pipeline, noise)
        off = abs(theirs - pictures).max()
        print("# largest difference %.2g; the original's pictures are %.2g away" % (off, abs(original - pictures).max()))
        assert off < 1e-3 and off < 0.1 * abs(original - pictures).max(), off


@tap.test
def a_rounded_model_makes_the_same_pictures():
    agree("rtn", "w4")


@tap.test
def a_trained_model_makes_the_same_pictures():
    agree("diffusion-qat", "w4a8", nsamples=4, sample_steps=5,
          **{"diffusion-qat.steps": 5, "diffusion-qat.warmup": 2, "diffusion-qat.batch": 4, "diffusion-qat.lr": 1e-4})


@tap.test
def the_original_for_the_high_steps_loads_too():
    tap.need("torch")
    tap.need("diffusers")
    from diffusers import DiffusionPipeline

    with tempfile.TemporaryDirectory() as top:
        out = os.path.join(top, "out")
        job = {"model": os.path.abspath(MODEL), "method": "diffusion-ptq", "scheme": "w8a8", "formats": ["int8"], "output": out,
               "options": {"samples": 0, "nsamples": 4, "sample_steps": 5, "diffusion-ptq.batches": 2, "diffusion-ptq.batch": 4}}
        path = os.path.join(top, "job.json")
        with open(path, "w") as f:
            json.dump(job, f)
        subprocess.run([WORKER, "--spec", path, "--dir", os.path.join(top, "job")], env=ENV, check=True, capture_output=True)
        pipeline = DiffusionPipeline.from_pretrained(os.path.join(out, "high"))
        assert sum(p.numel() for p in pipeline.unet.parameters()) == 1112801
        try:
            DiffusionPipeline.from_pretrained(out)
            raise AssertionError("diffusers opened codes as if they were weights")
        except (ValueError, OSError, TypeError, KeyError, NotImplementedError) as e:
            print("# diffusers says of the codes: %s" % str(e).splitlines()[0])


tap.done()
