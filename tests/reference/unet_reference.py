#!/usr/bin/env python3
"""Makes tests/reference/unets: tiny UNet2DModel folders as diffusers writes them, and what diffusers says they compute.

Run with a Python that has torch and diffusers:  python tests/reference/unet_reference.py [MODEL ...]
Every folder has the network (F16) and reference.safetensors: x [2, C, H, W], t [2] and y [2, C', H, W] of the network in
F32; the DDIM trajectory of its scheduler from `start`, 10 steps, eta 0, is `end`. Pictures 0 and 1 are of the classes 0
and 1, where there are any.
"""
import json
import pathlib
import shutil
import sys

import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).parent / "unets"
PLAIN = dict(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(4, 8), norm_num_groups=2,
             attention_head_dim=4, layers_per_block=1, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
             up_block_types=("AttnUpBlock2D", "UpBlock2D"))
MODELS = {
    # heads * dim < C (one head of 5 in 8 channels), padding after, the names that older checkpoints have
    "narrow": dict(PLAIN, attention_head_dim=5, downsample_padding=0, in_channels=3, out_channels=3),
    "plain": PLAIN,
    # time that scales, scaled middle, centred input, google's sinusoid, a wider picture, two layers
    "shifted": dict(PLAIN, sample_size=(4, 8), resnet_time_scale_shift="scale_shift", mid_block_scale_factor=1.5,
                    center_input_sample=True, flip_sin_to_cos=False, freq_shift=1, attn_norm_num_groups=4,
                    block_out_channels=(8, 8), layers_per_block=2),
    # no norm before the middle's attention
    "bare": dict(PLAIN, resnet_time_scale_shift="scale_shift"),
    "headless": dict(PLAIN, attention_head_dim=None, add_attention=False),
    # is told one of three classes
    "classes": dict(PLAIN, num_class_embeds=3),
}
LEGACY = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def rename(path):
    """The names of attention projections in older checkpoints."""
    tensors = {}
    for name, value in load_file(path).items():
        for new, old in LEGACY.items():
            name = name.replace(f".{new}.", f".{old}.")
        tensors[name] = value
    save_file(tensors, path)


def make(name, config):
    torch.manual_seed(sum(map(ord, name)))
    net = UNet2DModel(**config).eval()
    with torch.no_grad():
        for p in net.parameters():  # norms and biases that say something
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
            p.copy_(p.half().float())
    size = config["sample_size"]
    size = (size, size) if isinstance(size, int) else size
    told = {"class_labels": torch.tensor([0, 1])} if "num_class_embeds" in config else {}
    x = torch.randn(2, config["in_channels"], *size)
    t = torch.tensor([3, 771])
    scheduler = (DDIMScheduler if name == "plain" else DDPMScheduler)(num_train_timesteps=1000)
    ddim = DDIMScheduler.from_config(scheduler.config)
    ddim.set_timesteps(10)
    with torch.no_grad():
        y = net(x, t, **told).sample
        start = torch.randn(2, config["in_channels"], *size)
        end = start
        for step in ddim.timesteps:
            end = ddim.step(net(end, step, **told).sample, step, end).prev_sample
    folder = OUT / name
    (DDIMPipeline if name == "plain" else DDPMPipeline)(unet=net.half(), scheduler=scheduler).save_pretrained(folder)
    if name == "narrow":
        rename(folder / "unet" / "diffusion_pytorch_model.safetensors")
    save_file({"x": x, "t": t.float(), "y": y, "start": start, "end": end}, folder / "reference.safetensors")
    for f in folder.rglob("*.json"):  # no version of the writer: a new one changes nothing
        text = json.loads(f.read_text())
        text.pop("_diffusers_version", None)
        text.pop("_name_or_path", None)
        f.write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    for name, config in ((n, c) for n, c in MODELS.items() if n in sys.argv[1:] or len(sys.argv) == 1):
        shutil.rmtree(OUT / name, ignore_errors=True)
        make(name, config)
