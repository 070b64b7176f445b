#!/usr/bin/env python3
"""Makes k_reference.txt: super-blocks of k-quants as bytes with the values that the package gguf reads out of them, and
fake-quantized weights, codes and straight-through gradients of k-quants, differentiated operator by operator with
torch.autograd. Run with a Python that has torch and gguf:
    python3 k_reference.py > k_reference.txt
"""
import gguf
import numpy as np
import torch

from straight import rne

torch.manual_seed(5)
ROWS, WIDTH = 2, 256
#        bits: group, minima, multiples of scales, of minima
TYPES = {2: (16, True, (1, 15), 15), 3: (16, False, (-32, 31), 0), 4: (32, True, (1, 63), 63),
         5: (32, True, (1, 63), 63), 6: (16, False, (-128, 127), 0)}
PLACES = {2: (80, 82), 3: (108,), 4: (0, 2), 5: (0, 2), 6: (208,)}  # of the numbers of half precision


def multiples(x, base, least, most):
    """x as whole multiples of base, 0 left out where least is not 0; derivative 1."""
    n = torch.round((x / base).clamp(least, most))
    if least != 0:
        n = torch.where(n == 0, torch.where(x / base < 0, -1.0, 1.0), n)
    return x + (base * n - x).detach()


def k_quant(w, v, alpha, beta, start, start_min, bits):
    group, minima, (least, most), top = TYPES[bits]
    w, v = w.reshape(-1, 256 // group, group), v.reshape(-1, 256 // group, group)
    alpha, beta = alpha.reshape(w.shape[:2]), beta.reshape(w.shape[:2])
    low, high = w.amin(2).clamp(max=0) * alpha, w.amax(2).clamp(min=0) * beta
    if start is not None:
        s, m = start.reshape(low.shape) * beta, start_min.reshape(low.shape) * alpha
    elif minima:
        s, m = (high - low) / (2 ** bits - 1), -low
    else:
        s, m = torch.where(high < -low, -low, -high) / 2 ** (bits - 1), torch.zeros_like(low)
    largest = s.gather(1, s.abs().argmax(1, keepdim=True))
    d = (largest / (most if minima else least)).half().float().detach()
    d = torch.where(d.abs() < 2.0 ** -24, torch.full_like(d, 2.0 ** -24), d)
    s = multiples(s, d, least, most)[..., None]
    if minima:
        dmin = (m.amax(1, keepdim=True) / top).half().float().detach()
        m = multiples(m, torch.where(dmin > 0, dmin, torch.ones_like(dmin)), 0, top)
        m = torch.where(dmin > 0, m, m * 0)[..., None]
        e = torch.clamp(rne((w + m) / s + v), 0, 2 ** bits - 1)
        return s * e - m, e, s
    half = 2 ** (bits - 1)
    e = torch.clamp(rne(w / s + v), -half, half - 1)
    return s * e, e + half, s


def show(name, x):
    print(name, x.numel(), *("%.9g" % y for y in x.detach().flatten().tolist()))


def blocks(bits):
    kind = getattr(gguf.GGMLQuantizationType, f"Q{bits}_K")
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = np.random.default_rng(bits).integers(0, 256, (2, size), dtype=np.uint8)
    for i, at in enumerate(PLACES[bits]):
        data[:, at:at + 2] = np.array([[0.0371], [-0.52 if i == 0 else 0.11]], np.float16).view(np.uint8)
    print("blocks", f"q{bits}_k", data.tobytes().hex())
    show("values", torch.from_numpy(gguf.quants.dequantize(data, kind).copy()))


def case(bits, w, v, g, searched):
    count = ROWS * WIDTH // TYPES[bits][0]
    alpha = (torch.rand(count) * 0.5 + 0.5).requires_grad_()
    beta = (torch.rand(count) * 0.5 + 0.5).requires_grad_()
    vv = v.clone().requires_grad_()
    start = start_min = None
    if searched:
        start, start_min = torch.rand(count) * 0.1 + 0.02, torch.rand(count) * 0.2
        start_min = start_min if TYPES[bits][1] else torch.zeros(count)
        start = start if TYPES[bits][1] else -start
    fake, codes, scale = k_quant(w, vv, alpha, beta, start, start_min, bits)
    fake.backward(g.reshape(fake.shape))
    print("case", f"q{bits}_k", int(searched))
    show("alpha", alpha)
    show("beta", beta)
    show("start", start if searched else torch.ones(1))
    show("start_min", start_min if searched else torch.zeros(1))
    show("fake", fake)
    show("codes", codes)
    show("scale", scale)
    show("gv", vv.grad)
    show("ga", alpha.grad if alpha.grad is not None else torch.zeros(count))
    show("gb", beta.grad if beta.grad is not None else torch.zeros(count))


def main():
    w = torch.randn(ROWS, WIDTH) * 0.2
    w[0, :32] = 0                    # groups of zeros
    w[0, 64:96] = w[0, 64:96].abs()  # no minimum
    w[1] = w[1].abs() * 1e-3          # a small super-block without a minimum
    w = w.bfloat16().float()
    v = torch.rand(ROWS, WIDTH) * 1.2 - 0.6
    g = torch.randn(ROWS, WIDTH)
    print("# k-quants: made by k_reference.py with torch", torch.__version__, "and the package gguf")
    for bits in TYPES:
        blocks(bits)
    show("weight", w)
    show("v", v)
    show("grad", g)
    for bits in TYPES:
        case(bits, w, v, g, False)
        case(bits, w, v, g, True)


main()
