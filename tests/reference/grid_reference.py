#!/usr/bin/env python3
"""Makes grid_reference.txt: fake-quantized weights, codes and straight-through gradients of the integer grids.

Every case is differentiated operator by operator with torch.autograd from the formulas of the grids' definition, so that
the closed forms in core/grid are compared with something they were not derived from. Run with a Python that has torch:
    python3 grid_reference.py > grid_reference.txt
"""
import torch

from straight import rne, to_half

torch.manual_seed(7)
TAU = torch.tensor(1e-5).half().float()


def grouped(x, group):
    """[out, in] -> [units, length], rows padded with zeros."""
    out, width = x.shape
    if group == 0:
        return x.reshape(1, -1)
    if group < 0 or width < group:
        return x
    return torch.nn.functional.pad(x, (0, -width % group)).reshape(-1, group)


def ungrouped(x, out, width):
    return x.reshape(out, -1)[:, :width]


def fake(w, v, alpha, beta, bits, sym, group):
    wg, vg = grouped(w, group), grouped(v, group)
    m = torch.clamp(wg.min(1).values, max=0).detach()
    top = torch.clamp(wg.max(1).values, min=0).detach()
    if sym:
        half = 2 ** (bits - 1)
        p, n = -(m * alpha), top * beta
        r = torch.where(n < p, 1.0, -1.0) * torch.max(p, n)
        s = to_half(r / half)
        s = torch.where(s < 0, torch.clamp(s, max=-TAU), torch.clamp(s, min=TAU))
        q = torch.clamp(rne(wg / s[:, None] + vg), -half, half - 1)
        stored, zero, deq = q + half, torch.full_like(s, half), s[:, None] * q
    else:
        most = 2 ** bits - 1
        s = torch.clamp(to_half((top * beta - m * alpha) / most), min=TAU)
        z = rne(-(m * alpha) / s)
        q = torch.clamp(rne(wg / s[:, None] + vg) + z[:, None], 0, most)
        stored, zero, deq = q, z, s[:, None] * (q - z[:, None])
    return ungrouped(deq, *w.shape), ungrouped(stored, *w.shape), s, zero


def show(name, x):
    print(name, x.numel(), *("%.9g" % y for y in x.detach().flatten().tolist()))


def main():
    out, width = 3, 21
    w = (torch.randn(out, width) * 0.2).bfloat16().float()
    w[1] = w[1].abs() + 0.01          # all positive: negative scale, m = 0
    w[2, :8] = w[2, :8] * 1e-7        # a group whose scale is floored
    w[0, 8:16] = torch.tensor([0.5, -0.5, 0.25, 0.125, -0.1, 0.3, -0.45, 0.0])  # a tie
    w = w.bfloat16().float()
    v = torch.rand(out, width) * 1.2 - 0.6
    g = torch.randn(out, width)
    print("# grids: made by grid_reference.py with torch", torch.__version__)
    show("weight", w)
    show("v", v)
    show("grad", g)
    for bits in (2, 3, 4, 5, 8):
        for sym in (1, 0):
            for group in (8, 64, 0):
                if group != 8 and bits in (3, 5):
                    continue
                units = grouped(w, group).shape[0]
                alpha = (torch.rand(units) * 0.5 + 0.5).requires_grad_()
                beta = (torch.rand(units) * 0.5 + 0.5).requires_grad_()
                if group == 8:
                    with torch.no_grad():
                        alpha[1] = beta[1] = 0.875
                vv = v.clone().requires_grad_()
                deq, codes, s, z = fake(w, vv, alpha, beta, bits, sym, group)
                deq.backward(g)
                print("case", bits, sym, group)
                show("alpha", alpha)
                show("beta", beta)
                show("fake", deq)
                show("codes", codes)
                show("scale", s)
                show("zero", z)
                show("gv", vv.grad)
                show("ga", alpha.grad if alpha.grad is not None else torch.zeros(units))
                show("gb", beta.grad if beta.grad is not None else torch.zeros(units))


main()
