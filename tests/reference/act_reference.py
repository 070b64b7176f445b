#!/usr/bin/env python3
"""Writes act_reference.txt: what numpy computes in double for the demo model on the windows of eval_reference.txt when
weights are rounded plainly, a group a row, and the input of every linear layer token by token (spec signround 2.1, 9.4).

usage: act_reference.py TOP_SRCDIR > tests/reference/act_reference.txt
needs: numpy. The model written down here is checked first: without rounding its loss is PyTorch's of eval_reference.txt.
"""
import json
import os
import sys

import numpy as np

top = sys.argv[1]
folder = os.path.join(top, "share/models/demo-lm")
with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
    config = json.load(f)
with open(os.path.join(folder, "model.safetensors"), "rb") as f:
    header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    data = f.read()
known = {}
with open(os.path.join(top, "tests/reference/eval_reference.txt"), encoding="utf-8") as f:
    for line in f:
        key, *values = line.split()
        known[key] = values
windows, seqlen = map(int, known["shape"])
ids = np.array(known["ids"], int).reshape(windows, seqlen)
HEADS, KV, WIDTH = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]


def tensor(name):
    begin, end = header[name]["data_offsets"]
    assert header[name]["dtype"] == "BF16"
    bits = np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32).astype(np.float64).reshape(header[name]["shape"])


def rounded(rows, bits):
    """Each row to symmetric integers: the larger end lies on the lowest code, the scale is one of half precision."""
    half = 2 ** (bits - 1)
    low, high = np.maximum(-rows.min(-1, keepdims=True), 0), np.maximum(rows.max(-1, keepdims=True), 0)
    scale = (np.where(high < low, low, -high) / half).astype(np.float16).astype(np.float64)
    scale = np.where(scale < 0, np.minimum(scale, -1e-5), np.maximum(scale, 1e-5))
    return scale * np.clip(np.round(rows / scale), -half, half - 1)


def norm(x, name):
    return tensor(name) * x / np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"])


def turn(x):
    """Rotary positions; x [windows, seqlen, heads, WIDTH]."""
    angle = np.arange(seqlen)[:, None] / 10000.0 ** (np.arange(0, WIDTH, 2) / WIDTH)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b = x[..., : WIDTH // 2], x[..., WIDTH // 2:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def log_probs(weight_bits, act_bits):
    def linear(x, name):
        w = tensor(name + ".weight")
        if weight_bits:
            w = rounded(w, weight_bits)
        return (rounded(x, act_bits) if act_bits else x) @ w.T

    x = tensor("model.embed_tokens.weight")[ids]
    for b in range(config["num_hidden_layers"]):
        at = f"model.layers.{b}."
        h = norm(x, at + "input_layernorm.weight")
        q, k, v = (linear(h, at + f"self_attn.{n}_proj").reshape(windows, seqlen, -1, WIDTH) for n in "qkv")
        q, k = turn(q), turn(k).repeat(HEADS // KV, 2)
        s = np.einsum("wthd,wshd->whts", q, k) / np.sqrt(WIDTH)
        s = np.where(np.tril(np.ones((seqlen, seqlen), bool)), s, -np.inf)
        s = np.exp(s - s.max(-1, keepdims=True))
        s /= s.sum(-1, keepdims=True)
        o = np.einsum("whts,wshd->wthd", s, v.repeat(HEADS // KV, 2)).reshape(windows, seqlen, -1)
        x = x + linear(o, at + "self_attn.o_proj")
        h = norm(x, at + "post_attention_layernorm.weight")
        gate, up = linear(h, at + "mlp.gate_proj"), linear(h, at + "mlp.up_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * up, at + "mlp.down_proj")
    z = (norm(x, "model.norm.weight") @ tensor("model.embed_tokens.weight").T)[:, :-1]
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def loss(lp):
    return -np.take_along_axis(lp, ids[:, 1:, None], -1).mean()


full = log_probs(0, 0)
assert abs(loss(full) - float(known["loss"][0])) < 1e-5, (loss(full), known["loss"])
print(f"# made by act_reference.py: demo model, the windows of eval_reference.txt; scheme, loss, kl")
for weight_bits, act_bits in ((8, 8), (8, 4), (4, 6)):
    lp = log_probs(weight_bits, act_bits)
    print(f"w{weight_bits}a{act_bits} {loss(lp):.9f} {(np.exp(full) * (full - lp)).sum(-1).mean():.9f}")
