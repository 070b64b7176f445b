#!/usr/bin/env python3
"""Writes eval_reference.txt: token ids of a few windows, and what PyTorch computes on them for the demo model, as it is
and plainly rounded (spec signround 2.1) to 3 bits in groups of 32.

usage: eval_reference.py TOP_SRCDIR > tests/reference/eval_reference.txt
needs: torch, transformers
"""
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

top = sys.argv[1]
model_dir = os.path.join(top, "share/models/demo-lm")
WINDOWS, SEQLEN, BITS, GROUP = 4, 48, 3, 32

tokenizer = AutoTokenizer.from_pretrained(model_dir)
text = open(os.path.join(top, "share/text/demo-eval.txt"), encoding="utf-8").read()
ids = tokenizer(text, add_special_tokens=False)["input_ids"][: WINDOWS * SEQLEN]
x = torch.tensor(ids).view(WINDOWS, SEQLEN)


def load():
    return AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()


def round_plainly(model):
    half = 2 ** (BITS - 1)
    for name, layer in model.named_modules():
        if not isinstance(layer, torch.nn.Linear) or name == "lm_head":
            continue
        w = layer.weight.data
        v = w.reshape(-1, GROUP)
        low = (-v.amin(1, keepdim=True)).clamp(min=0)
        high = v.amax(1, keepdim=True).clamp(min=0)
        scale = (torch.where(high < low, low, -high) / half).half().float()
        scale = torch.where(scale < 0, scale.clamp(max=-1e-5), scale.clamp(min=1e-5))
        layer.weight.data = (scale * torch.round(v / scale).clamp(-half, half - 1)).view_as(w)
    return model


@torch.no_grad()
def log_probs(model):
    return model(x).logits.double().log_softmax(-1)[:, :-1]


def loss(lp):
    return -lp.gather(-1, x[:, 1:, None]).mean().item()


full, rounded = log_probs(load()), log_probs(round_plainly(load()))
kl = (full.exp() * (full - rounded)).sum(-1).mean().item()
same = (full.argmax(-1) == rounded.argmax(-1)).double().mean().item()
print(f"# made by eval_reference.py: demo model, {WINDOWS} windows of {SEQLEN} tokens, plain rounding w{BITS}g{GROUP}")
print(f"shape {WINDOWS} {SEQLEN}")
print("ids " + " ".join(map(str, ids)))
print(f"loss {loss(full):.9f}")
print(f"rounded_loss {loss(rounded):.9f}")
print(f"rounded_kl {kl:.9f}")
print(f"rounded_top1 {same:.9f}")
