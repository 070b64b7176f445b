#!/usr/bin/env python3
"""Makes tests/reference/picture_reference.safetensors: what PyTorch computes for the tape's operations on pictures.

    picture_reference.py [FILE]      (needs torch, safetensors)

All F32. CASE.x, .w, .b: inputs; CASE.y: output; CASE.g: its gradient; CASE.dx, .dw, .db: theirs. Pictures are [batch,
height, width, channels], weights of convolutions as in checkpoints. The names of cases say their numbers:
    conv-KERNEL-STRIDE-PAD_BEFORE-PAD_AFTER, norm-GROUPS, silu, upsample,
    attention-HEADS (x, w, b: query, key, value [batch, seq, heads, head_dim])
The file is committed, so that the C tests need no Python; the script is what it can be made again with.
"""
import os
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file


def last(x):
    return x.permute(0, 2, 3, 1)


def first(x):
    return x.permute(0, 3, 1, 2)


def conv(kernel, stride, before, after):
    def run(x, w, b):
        return last(F.conv2d(F.pad(first(x), (before, after, before, after)), w, b, stride=stride))
    return run, [(2, 7, 5, 6), (4, 6, kernel, kernel), (4,)]


def attention(q, k, v):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


CASES = {f"conv-{k}-{s}-{a}-{b}": conv(k, s, a, b) for k, s, a, b in
         ((3, 1, 1, 1), (3, 2, 1, 1), (3, 2, 0, 1), (1, 1, 0, 0), (1, 2, 0, 0), (3, 1, 0, 0))} | {
    "norm-4": (lambda x, w, b: last(F.group_norm(first(x), 4, w, b, 1e-5)), [(2, 5, 3, 8), (8,), (8,)]),
    "silu": (F.silu, [(1, 3, 5, 4)]),
    "upsample": (lambda x: last(F.interpolate(first(x), scale_factor=2.0, mode="nearest")), [(2, 3, 5, 4)]),
    "attention-2": (attention, [(2, 19, 2, 6)] * 3),
}


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                              "picture_reference.safetensors")
    torch.manual_seed(11)
    out = {}
    for case, (run, shapes) in CASES.items():
        inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
        y = run(*inputs)
        g = torch.randn(y.shape)
        y.backward(g)
        for part, x in zip("xwb", inputs):
            out[f"{case}.{part}"] = x.detach()
            out[f"{case}.d{part}"] = x.grad
        out |= {f"{case}.y": y.detach(), f"{case}.g": g}
    save_file({k: v.contiguous() for k, v in out.items()}, name)


main()
