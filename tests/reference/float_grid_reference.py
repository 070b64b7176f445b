#!/usr/bin/env python3
"""Makes float_grid_reference.txt: fake-quantized weights, codes and straight-through gradients of the floating-point
grids, and of the symmetric integer grid from a searched scale.

Every case is differentiated operator by operator with torch.autograd from the formulas of the grids' definition: elements
are found among the list of all of them, not by arithmetic on exponents. Run with a Python that has torch:
    python3 float_grid_reference.py > float_grid_reference.txt
"""
import torch

from straight import rne, through, to_half

torch.manual_seed(11)
TAU = torch.tensor(1e-5).half().float()
OUT, WIDTH = 3, 64


E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = torch.arange(127, dtype=torch.uint8).view(torch.float8_e4m3fn).float()


def nearest(t, table):
    """The value of least distance; of two equally near ones that with the even code."""
    d = (t.detach().abs()[..., None].double() - table.double()).abs()
    least = d.min(-1, keepdim=True).values
    code = torch.arange(len(table)).expand(d.shape)
    rank = torch.where(d == least, code % 2, 2)
    return rank.argmin(-1)


def element(t, table):
    """(y, its code with the sign on top); derivative 1."""
    code = nearest(t, table)
    y = table[code] * torch.sign(t.detach())
    return t + (y - t).detach(), y, code + (y < 0) * (8 if len(table) == 8 else 128)


floor = through(torch.floor)
e4m3 = through(lambda x: x.to(torch.float8_e4m3fn).float())


def mx(w, v, beta, start, bits):
    table, emax, least, top = (E2M1, 2, 0, 6) if bits == 4 else (E4M3, 8, -6, 448)
    amax = w.abs().amax(1) * beta * start
    e = floor(torch.log2(torch.where(amax == 0, torch.ones_like(amax), amax)))
    s = torch.pow(torch.tensor(2.0), e - emax)
    t = torch.clamp(w / s[:, None] + v, -top, top)
    p = floor(torch.log2(torch.where(t == 0, torch.ones_like(t), t.abs())))
    p = torch.clamp(p, min=float(least))
    # round(t 2^(m-p)) 2^(p-m), differentiated as it stands; its value is looked up in the table
    m = 1 if bits == 4 else 3
    u = t / torch.pow(torch.tensor(2.0), p) * 2 ** m
    _, y, code = element(t, table)
    exact = y / torch.pow(torch.tensor(2.0), p.detach()) * 2 ** m
    r = u + (exact - u).detach()
    return s[:, None] * (r / 2 ** m * torch.pow(torch.tensor(2.0), p)), code, s


def nvfp4(w, v, beta, start, gs):
    want = gs * (w.abs().amax(1) * beta * start / 6)
    stored = e4m3(torch.clamp(want, max=448))
    held = stored == 0
    stored = torch.where(held, torch.full_like(stored, 2.0 ** -9), stored)
    s = stored / gs
    t = torch.clamp(w / s[:, None] + v, -6, 6)
    y, _, code = element(t, E2M1)
    return s[:, None] * y, code, stored


def fp8(w, v, beta, start):
    s = torch.clamp(w.abs().amax(1) * beta / 448, min=1 / (448 * 512))
    t = torch.clamp(w / s[:, None] + v, -448, 448)
    y, _, code = element(t, E4M3)
    return s[:, None] * y, code, s


def int_sym(w, v, beta, start, bits):
    most = 2 ** (bits - 1)
    s = to_half(start * beta)
    s = torch.where(s < 0, torch.clamp(s, max=-TAU), torch.clamp(s, min=TAU))
    q = torch.clamp(rne(w / s[:, None] + v), -most, most - 1)
    return s[:, None] * q, q + most, s


def show(name, x):
    print(name, x.numel(), *("%.9g" % y for y in x.detach().flatten().tolist()))


def case(name, w, v, g, group, tensor_scale, function, start, *more):
    units = OUT * WIDTH // group if group > 0 else OUT if group < 0 else 1
    shape = (units, -1)
    beta = (torch.rand(units) * 0.9 + 0.4).requires_grad_()
    vv = v.clone().requires_grad_()
    deq, codes, scale = function(w.reshape(shape), vv.reshape(shape), beta, start, *more)
    deq.backward(g.reshape(shape))
    print("case", name, "%.9g" % tensor_scale, int(torch.is_tensor(start)))
    show("beta", beta)
    show("start", start if torch.is_tensor(start) else torch.ones(units))
    show("fake", deq)
    show("codes", codes)
    show("scale", scale)
    show("gv", vv.grad)
    show("gb", beta.grad if beta.grad is not None else torch.zeros(units))


def main():
    w = torch.randn(OUT, WIDTH) * 0.2
    w[0, :32] = 0                       # a group of zeros
    w[1, :16] *= 1e-7                   # a scale of NVFP4 that would round to zero
    w[2] *= 5
    w[2, 7] = 7.9
    w[0, 40:48] = torch.tensor([0.25, -0.75, 1.25, 1.75, -2.5, 3.5, 5, 6])  # ties
    w = w.bfloat16().float()
    v = torch.rand(OUT, WIDTH) * 1.2 - 0.6
    v[0, 40:48] = 0
    v[1, 50:52] = 0
    g = torch.randn(OUT, WIDTH)
    gs = 448 * 6 / w.abs().max()
    print("# floating-point grids: made by float_grid_reference.py with torch", torch.__version__)
    show("weight", w)
    show("v", v)
    show("grad", g)
    for searched in (False, True):
        factor = torch.tensor([0.5, 1, 2, 1, 0.5, 2]) if searched else 1.0
        case("mxfp4", w, v, g, 32, 1, mx, factor, 4)
        case("mxfp8", w, v, g, 32, 1, mx, factor, 8)
        case("nvfp4", w, v, g, 16, gs, nvfp4, torch.rand(12) + 0.5 if searched else 1.0, gs)
    case("fp8", w, v, g, -1, 1, fp8, 1.0)
    case("fp8t", w, v, g, 0, 1, fp8, 1.0)
    for bits in (2, 3, 4):
        start = -w.reshape(-1, 16).amax(1) / (2 ** (bits - 1) * 0.8)
        case(f"w{bits}g16", w, v, g, 16, 1, int_sym, start, bits)


main()
