#!/usr/bin/env python3
"""Writes diffusion_reference.txt: what the DDPM and DDIM schedulers of diffusers give for some configurations: alpha_bar,
the times of N steps, and single steps.

Pictures are made by formula (see fill), so that the test can make them too. Schedules are diffusers' own F32 tensors;
steps are computed by diffusers' code in F64 from those, so that nothing of its rounding is in them.

usage: diffusion_reference.py > tests/reference/diffusion_reference.txt
needs: torch, diffusers
"""
import json

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm

N, PIXELS = 2, 6


def fill(amplitude, begin, stride):
    """[N, 1, 2, 3]"""
    v = amplitude * np.sin(begin + stride * np.arange(N * PIXELS))
    return torch.from_numpy(v.astype(np.float32)).double().reshape(N, 1, 2, 3)


X, SAID, Z = fill(1.5, 1.0, 0.7), fill(1.1, 0.3, 1.1), fill(1.2, 2.0, 1.3)
scheduling_ddpm.randn_tensor = scheduling_ddim.randn_tensor = lambda *_, **__: Z

DDPM, DDIM = {"_class_name": "DDPMScheduler"}, {"_class_name": "DDIMScheduler"}
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
      "clip_sample": False, "set_alpha_to_one": False}
CASES = [
    DDPM,
    DDPM | {"variance_type": "fixed_large", "clip_sample": False, "timestep_spacing": "linspace"},
    DDPM | {"variance_type": "fixed_small_log", "prediction_type": "v_prediction", "beta_schedule": "squaredcos_cap_v2"},
    DDPM | {"beta_schedule": "sigmoid", "prediction_type": "sample", "clip_sample_range": 0.7},
    DDPM | {"thresholding": True, "sample_max_value": 1.7, "dynamic_thresholding_ratio": 0.9, "num_train_timesteps": 400},
    DDPM | {"trained_betas": [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7], "num_train_timesteps": 7},
    DDIM | SD,
    DDIM | {"clip_sample": False},
    DDIM | SD | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    DDIM | {"prediction_type": "sample", "rescale_betas_zero_snr": True, "timestep_spacing": "linspace",
            "beta_schedule": "linear"},
]


def numbers(values):
    return " ".join(f"{v:.12g}" for v in values)


def make(cls, config, steps):
    keys = {k: v for k, v in config.items() if k != "_class_name"}
    if cls is DDPMScheduler:
        keys.pop("set_alpha_to_one", None)
    else:
        keys.pop("variance_type", None)
        if keys.get("beta_schedule") == "sigmoid":  # which diffusers' DDIM does not know by name
            keys |= {"beta_schedule": "linear", "trained_betas": DDPMScheduler(beta_schedule="sigmoid").betas.tolist()}
    s = cls(**keys)
    s.set_timesteps(steps)
    s.alphas_cumprod = s.alphas_cumprod.double()
    if cls is DDPMScheduler:
        s.one = s.one.double()
    else:
        s.final_alpha_cumprod = s.final_alpha_cumprod.double()
    return s


print("# made by diffusion_reference.py with diffusers' schedulers")
for config in CASES:
    own = DDPMScheduler if config["_class_name"] == "DDPMScheduler" else DDIMScheduler
    T = config.get("num_train_timesteps", 1000)
    print("case " + json.dumps(config))
    bars = make(own, config, 1).alphas_cumprod
    for t in sorted({0, 1, 2, T // 10, T // 2, T - 2, T - 1}):
        print(f"alpha {t} {bars[t].item():.12g}")
    for steps in sorted({1, 2, min(7, T), T // 11 + 1, T // 3}):
        print(f"times {steps} " + " ".join(str(t.item()) for t in make(own, config, steps).timesteps[:12]))
    steps = min(20, T)
    for i in (0, 1, steps // 2, steps - 1):
        t = make(own, config, steps).timesteps[i]
        out = make(DDPMScheduler, config, steps).step(SAID, t, X).prev_sample
        print(f"ddpm {steps} {i} 0 " + numbers(out.flatten().tolist()))
        for eta in (0, 0.5, 1):
            out = make(DDIMScheduler, config, steps).step(SAID, t, X, eta=eta).prev_sample
            print(f"ddim {steps} {i} {eta} " + numbers(out.flatten().tolist()))
