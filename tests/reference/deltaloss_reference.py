#!/usr/bin/env python3
"""Writes deltaloss_reference.txt: the DeltaLoss scores of every layer of two small models, by PyTorch's own differentiation.

usage: deltaloss_reference.py TOP_SRCDIR > tests/reference/deltaloss_reference.txt
needs: torch, transformers

score = sum over batches and runs of 64 weights of a row of |sum of dL/dW * (W - W^)|, L the mean next-token cross-entropy of
the batch where every layer of the blocks is plainly rounded under the scheme with 4 bits at least, W^ with the scheme's own;
arithmetic in F32 (after spec signround 7.1; 2.1, 2.2).
"""
import os
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from transformers import AutoModelForCausalLM

top = sys.argv[1]
# model, scheme: bits, group, asymmetric; samples, tokens, batch
CASES = [("demo-lm", "w3g32", 3, 32, False, 4, 48, 2), ("demo-lm", "w2g64z", 2, 64, True, 3, 48, 2),
         ("llama-default", "w4g16", 4, 16, False, 4, 20, 4), ("llama-default", "w2g32z", 2, 32, True, 4, 20, 3)]


def half(x):
    return x.to(torch.float16).to(torch.float32)


def fake(w, bits, group, asym):
    """Groups along rows, the last one padded with zeros."""
    out, n = w.shape
    g = torch.nn.functional.pad(w, (0, -n % group)).reshape(-1, group)
    lo, hi = g.amin(1, True).clamp(max=0), g.amax(1, True).clamp(min=0)
    if asym:
        top_code = 2**bits - 1
        s = half((hi - lo) / top_code).clamp(min=half(torch.tensor(1e-5)).item())
        z = torch.round(-lo / s)
        q = s * ((torch.round(g / s) + z).clamp(0, top_code) - z)
    else:
        half_codes = 2 ** (bits - 1)
        r = torch.where(hi < -lo, -lo, -hi)
        s = half(r / half_codes)
        tiny = half(torch.tensor(1e-5)).item()
        s = torch.where(s < 0, s.clamp(max=-tiny), s.clamp(min=tiny))
        q = s * torch.round(g / s).clamp(-half_codes, half_codes - 1)
    return q.reshape(out, -1)[:, :n]


def open_model(name):
    if name == "demo-lm":
        folder = os.path.join(top, "share/models/demo-lm")
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    models = os.path.join(top, "tests/reference/models")
    with tempfile.TemporaryDirectory() as d:
        os.symlink(os.path.join(models, "weights-plain.safetensors"), os.path.join(d, "model.safetensors"))
        with open(os.path.join(models, name + ".json")) as f, open(os.path.join(d, "config.json"), "w") as out:
            out.write(f.read())
        return AutoModelForCausalLM.from_pretrained(d, dtype=torch.float32, attn_implementation="eager").eval()


for name, scheme, bits, group, asym, samples, seq, batch in CASES:
    model = open_model(name)
    vocab = model.config.vocab_size
    ids = torch.tensor([(i * i * 7 + i * 31 + i // 5) % vocab for i in range(samples * seq)]).view(samples, seq)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and ".layers." in n}
    original = {n: m.weight.detach().clone() for n, m in layers.items()}
    score = dict.fromkeys(layers, 0.0)
    total = tokens = 0
    for n, m in layers.items():
        m.weight.data = fake(original[n], max(bits, 4), group, asym)
    for at in range(0, samples, batch):
        x = ids[at : at + batch]
        model.zero_grad()
        logits = model(x).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, vocab), x[:, 1:].reshape(-1))
        loss.backward()
        total += loss.item() * x[:, 1:].numel()
        tokens += x[:, 1:].numel()
        for n, m in layers.items():
            change = (m.weight.grad * (original[n] - fake(original[n], bits, group, asym))).double()
            runs = torch.nn.functional.pad(change, (0, -change.shape[1] % 64)).reshape(change.shape[0], -1, 64)
            score[n] += runs.sum(2).abs().sum().item()
    print(f"{name} {scheme} {samples} {seq} {batch} {len(layers)} {total / tokens:.9g}")
    for n in layers:
        print(f"{n} {score[n]:.9g}")
