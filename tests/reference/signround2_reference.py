#!/usr/bin/env python3
"""Makes signround2_reference.txt: layers tuned by SignRound version 2, step by step, with torch.autograd.

A layer W [4, 32] in groups of 16, its inputs' importance, and a target T: some steps of fixed length against the sign of
the gradient of sum (W_fake - T)^2 in the rounding offsets V and the factors beta, from a scale that the least weighted
error among the candidates gives. The scale is s0 beta in half precision.
Run with a Python that has torch:
    python3 signround2_reference.py > signround2_reference.txt
"""
import torch

from straight import rne, to_half

torch.manual_seed(11)
OUT, IN, GROUP, STEPS, LR = 4, 32, 16, 30, 1 / 30
TAU = torch.tensor(1e-5).half().float()


def int_scale(s0, beta):
    s = to_half(s0 * beta)
    return torch.where(s < 0, torch.clamp(s, max=-TAU), torch.clamp(s, min=TAU))


def int_fake(w, v, s, bits):
    half = 2 ** (bits - 1)
    q = torch.clamp(rne(w / s[:, None] + v), -half, half - 1)
    return s[:, None] * q, q + half


def int_start(w, h, bits):
    """The candidate of least weighted error for each group, errors taken with the scale as it would be stored."""
    half = 2 ** (bits - 1)
    start = []
    for row, weight in zip(w, h):
        top = row[row.abs().argmax()]
        if bits == 2:
            divisors = [2 - 0.01 * i for i in range(-90, 91)]
        else:
            divisors = [half - 0.0075 * half * i for i in range(-100, 101)]
        best, best_error = None, None
        for d in [float(half)] + divisors:
            s0 = -top / d
            s = int_scale(s0, torch.tensor(1.0))
            q = torch.clamp(torch.round(row / s), -half, half - 1)
            error = (weight * (s * q - row) ** 2).sum()
            if best is None or error < best_error:
                best, best_error = s0, error
        start.append(best)
    return torch.stack(start)


def tune(w, h, target, bits):
    s0 = int_start(w, h, bits)
    v = torch.zeros_like(w, requires_grad=True)
    beta = torch.ones(len(w), requires_grad=True)
    for t in range(STEPS):
        with torch.no_grad():
            beta.clamp_(0, 2)
        fake, _ = int_fake(w, v, int_scale(s0, beta), bits)
        loss = ((fake - target) ** 2).sum()
        loss.backward()
        with torch.no_grad():
            for p in (v, beta):
                p -= LR * (1 - t / STEPS) * torch.sign(p.grad)
                p.grad = None
    with torch.no_grad():
        beta.clamp_(0, 2)
    scale = int_scale(s0, beta)
    _, codes = int_fake(w, v, scale, bits)
    return s0, v, beta, scale, codes


def put(name, x):
    x = x.detach().flatten()
    print(name, len(x), *(f"{float(e):.9g}" for e in x))


print(f"# layers tuned by version 2: made by signround2_reference.py with torch {torch.__version__}")
w = torch.randn(OUT, IN) * 0.1
w[0, 3] = 0.6   # the largest is positive: a negative scale
w[1, 5] = -0.7
h = torch.rand(IN) * 4 + 0.05
h[4] = 60
put("weight", w)
put("importance", h)
for bits in (2, 3, 4):
    target = w + torch.randn(OUT, IN) * 0.08
    groups = w.reshape(-1, GROUP)
    weights = h.reshape(-1, GROUP).repeat(OUT, 1)
    s0, v, beta, scale, codes = tune(groups, weights, target.reshape(-1, GROUP), bits)
    print("case", bits)
    put("target", target)
    put("start", s0)
    put("v", v)
    put("beta", beta)
    put("scale", scale)
    put("codes", codes)
