#!/usr/bin/env python3
"""Makes tests/reference/unets/told and told_flat: tiny UNet2DConditionModel folders as diffusers writes them, and what
diffusers says they compute.

Run with a Python that has torch and diffusers:  python tests/reference/condition_reference.py
Each has the network (F16) and reference.safetensors: x [2, C, H, W], t [2], text [2, 77, width] and y [2, C', H, W] of the
network in F32; and of its first transformer, down_blocks.0.attentions.0, with the same text: block.h [2, C, H, W],
block.y, block.g (the gradient of y) and block.dh, block.dtext, block.d.NAME of the tensors NAME.
"""
import json
import pathlib
import shutil

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "unets"
PLAIN = dict(sample_size=8, in_channels=4, out_channels=4, block_out_channels=(4, 8), norm_num_groups=2,
             attention_head_dim=2, layers_per_block=1, cross_attention_dim=6,
             down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
MODELS = {"told": PLAIN,  # as Stable Diffusion 1, and as 2
          "told_flat": dict(PLAIN, attention_head_dim=(1, 4), use_linear_projection=True)}
TENSORS = ["norm.weight", "norm.bias", "proj_in.weight", "proj_in.bias", "proj_out.weight"] + [
    "transformer_blocks.0." + n for n in (
        "norm1.weight", "norm3.bias", "attn1.to_q.weight", "attn1.to_v.weight", "attn1.to_out.0.bias", "attn2.to_q.weight",
        "attn2.to_k.weight", "attn2.to_v.weight", "ff.net.0.proj.weight", "ff.net.0.proj.bias", "ff.net.2.weight")]


def block(net, text):
    b = net.down_blocks[0].attentions[0]
    h = torch.randn(2, net.config.block_out_channels[0], 8, 8, requires_grad=True)
    text = text.clone().requires_grad_()
    y = b(h, encoder_hidden_states=text).sample
    g = torch.randn_like(y)
    y.backward(g)
    named = dict(b.named_parameters())
    return {"h": h.detach(), "y": y.detach(), "g": g, "dh": h.grad, "dtext": text.grad} | {
        "d." + n: named[n].grad.clone() for n in TENSORS}


def make(name, config):
    torch.manual_seed(sum(map(ord, name)))
    net = UNet2DConditionModel(**config).eval()
    with torch.no_grad():
        for p in net.parameters():  # norms and biases that say something
            if p.dim() == 1:
                p.add_(0.2 * torch.randn_like(p))
            p.copy_(p.half().float())
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([3, 771])
    text = torch.randn(2, 77, config["cross_attention_dim"])
    with torch.no_grad():
        out = {"x": x, "t": t.float(), "text": text, "y": net(x, t, encoder_hidden_states=text).sample}
    out |= {"block." + k: v.contiguous() for k, v in block(net, text).items()}
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    net.half().save_pretrained(folder / "unet")
    DDIMScheduler(num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                  clip_sample=False, set_alpha_to_one=False, steps_offset=1).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(
        {"_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"],
         "unet": ["diffusers", "UNet2DConditionModel"]}))
    save_file(out, folder / "reference.safetensors")
    for f in folder.rglob("*.json"):  # no version of the writer: a new one changes nothing
        value = json.loads(f.read_text())
        value.pop("_diffusers_version", None)
        value.pop("_name_or_path", None)
        f.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    for name, config in MODELS.items():
        make(name, config)
