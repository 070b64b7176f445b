#!/usr/bin/env python3
"""Writes a folder with the network of Stable Diffusion 1.5 in its real shapes, with nothing but the standard library: the
weights are a hole in a sparse file, so that 1.7 GB take a few kilobytes of disk.

usage: make_stable_diffusion.py DIR
"""
import json
import os
import struct
import sys

CONFIG = {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 8,
          "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": False, "cross_attention_dim": 768,
          "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "downsample_padding": 1,
          "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
          "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
          "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3}
SCHEDULER = {"_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
             "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
             "trained_betas": None, "clip_sample": False}


def shapes():
    """{name: shape} of all tensors."""
    t, c, n = {}, CONFIG["block_out_channels"], CONFIG["layers_per_block"]
    time, text = 4 * c[0], CONFIG["cross_attention_dim"]

    def put(name, *shape, bias=True):
        t[name + ".weight"] = shape
        if bias:
            t[name + ".bias"] = shape[:1]

    def resnet(name, i, o):
        put(name + ".norm1", i)
        put(name + ".conv1", o, i, 3, 3)
        put(name + ".time_emb_proj", o, time)
        put(name + ".norm2", o)
        put(name + ".conv2", o, o, 3, 3)
        if i != o:
            put(name + ".conv_shortcut", o, i, 1, 1)

    def transformer(name, w):
        b = name + ".transformer_blocks.0."
        put(name + ".norm", w)
        put(name + ".proj_in", w, w, 1, 1)
        put(name + ".proj_out", w, w, 1, 1)
        for k, source in (("attn1", w), ("attn2", text)):
            put(b + k + ".to_q", w, w, bias=False)
            put(b + k + ".to_k", w, source, bias=False)
            put(b + k + ".to_v", w, source, bias=False)
            put(b + k + ".to_out.0", w, w)
        for k in ("norm1", "norm2", "norm3"):
            put(b + k, w)
        put(b + "ff.net.0.proj", 8 * w, w)
        put(b + "ff.net.2", w, 4 * w)

    put("conv_in", c[0], CONFIG["in_channels"], 3, 3)
    put("time_embedding.linear_1", time, c[0])
    put("time_embedding.linear_2", time, time)
    skips = [c[0]]
    for i, o in enumerate(c):
        for j in range(n):
            resnet("down_blocks.%d.resnets.%d" % (i, j), skips[-1], o)
            if i < 3:
                transformer("down_blocks.%d.attentions.%d" % (i, j), o)
            skips.append(o)
        if i < 3:
            put("down_blocks.%d.downsamplers.0.conv" % i, o, o, 3, 3)
            skips.append(o)
    resnet("mid_block.resnets.0", c[3], c[3])
    transformer("mid_block.attentions.0", c[3])
    resnet("mid_block.resnets.1", c[3], c[3])
    w = c[3]
    for i, o in enumerate(reversed(c)):
        for j in range(n + 1):
            resnet("up_blocks.%d.resnets.%d" % (i, j), w + skips.pop(), o)
            w = o
            if i > 0:
                transformer("up_blocks.%d.attentions.%d" % (i, j), o)
        if i < 3:
            put("up_blocks.%d.upsamplers.0.conv" % i, o, o, 3, 3)
    put("conv_norm_out", c[0])
    put("conv_out", CONFIG["out_channels"], c[0], 3, 3)
    return t


def count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def write_json(folder, name, value):
    os.makedirs(os.path.dirname(os.path.join(folder, name)) or ".", exist_ok=True)
    with open(os.path.join(folder, name), "w") as f:
        json.dump(value, f)


def make(folder):
    write_json(folder, "model_index.json", {
        "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "unet": ["diffusers", "UNet2DConditionModel"]})
    write_json(folder, "scheduler/scheduler_config.json", SCHEDULER)
    write_json(folder, "unet/config.json", CONFIG)
    head, at = {}, 0
    for name, shape in shapes().items():
        head[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + 2 * count(shape)]}
        at += 2 * count(shape)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "unet/diffusion_pytorch_model.fp16.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(f.tell() + at)


if __name__ == "__main__":
    make(sys.argv[1])
