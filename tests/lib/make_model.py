#!/usr/bin/env python3
"""Writes a small random llama or gemma model as a Hugging Face folder, with nothing but the standard library.

usage: make_model.py DIR [--blocks N] [--hidden N] [--heads N] [--kv N] [--mlp N] [--vocab N] [--untied] [--seed N]
       [--dtype BF16|F16|F32] [--family llama|gemma] [--alike] [--break WHAT]

The tokenizer is byte-level BPE over single bytes (no merges), so any text works; vocab must be at least 257.
--alike gives every block the values of the first: a deep model in little time, where values do not matter.
--break makes one defect for tests of bad input: nan, inf, shape, missing-tensor, no-tokenizer, family, quantized,
truncated, header-length, duplicate-key, overlap, dtype, auto-map, config-json, heads.
"""
import argparse
import json
import os
import random
import struct

p = argparse.ArgumentParser()
p.add_argument("dir")
p.add_argument("--blocks", type=int, default=2)
p.add_argument("--hidden", type=int, default=64)
p.add_argument("--heads", type=int, default=4)
p.add_argument("--kv", type=int, default=2)
p.add_argument("--mlp", type=int, default=128)
p.add_argument("--vocab", type=int, default=320)
p.add_argument("--positions", type=int, default=512)
p.add_argument("--untied", action="store_true")
p.add_argument("--seed", type=int, default=1)
p.add_argument("--dtype", default="BF16", choices=["BF16", "F16", "F32"])
p.add_argument("--family", default="llama", choices=["llama", "gemma"])
p.add_argument("--alike", action="store_true")
p.add_argument("--break", dest="defect", default="")
a = p.parse_args()
rng = random.Random(a.seed)
size = {"BF16": 2, "F16": 2, "F32": 4}[a.dtype]


def encode(values):
    if a.dtype == "F32":
        return struct.pack(f"<{len(values)}f", *values)
    if a.dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    raw = struct.pack(f"<{len(values)}f", *values)
    return b"".join(raw[i + 2:i + 4] for i in range(0, len(raw), 4))


def normal(shape, std):
    n = 1
    for d in shape:
        n *= d
    return encode([rng.gauss(0.0, std) for _ in range(n)])


hd = a.hidden // a.heads
gemma = a.family == "gemma"
tensors = {"model.embed_tokens.weight": ([a.vocab, a.hidden], a.hidden ** -0.5 if gemma else 1.0)}
gain = 0.2 if gemma else None  # gemma stores gains less 1; None: all are 1
for b in range(a.blocks):
    pre = f"model.layers.{b}."
    std = a.hidden ** -0.5
    for name, shape in {
        "self_attn.q_proj": [a.heads * hd, a.hidden], "self_attn.k_proj": [a.kv * hd, a.hidden],
        "self_attn.v_proj": [a.kv * hd, a.hidden], "self_attn.o_proj": [a.hidden, a.heads * hd],
        "mlp.gate_proj": [a.mlp, a.hidden], "mlp.up_proj": [a.mlp, a.hidden],
    }.items():
        tensors[pre + name + ".weight"] = (shape, std)
    tensors[pre + "mlp.down_proj.weight"] = ([a.hidden, a.mlp], a.mlp ** -0.5)
    tensors[pre + "input_layernorm.weight"] = ([a.hidden], gain)
    tensors[pre + "post_attention_layernorm.weight"] = ([a.hidden], gain)
tensors["model.norm.weight"] = ([a.hidden], gain)
if a.untied:
    tensors["lm_head.weight"] = ([a.vocab, a.hidden], a.hidden ** -0.5)

victim = "model.layers.0.mlp.up_proj.weight"
if a.defect == "missing-tensor":
    del tensors[victim]
first = {}
data, header, at = [], {"__metadata__": {"format": "pt"}}, 0
for name, (shape, std) in sorted(tensors.items()):
    kind = name.split(".", 3)[3] if a.alike and name.startswith("model.layers.") else name
    blob = first.get(kind) or (encode([1.0] * shape[0]) if std is None else normal(shape, std))
    first[kind] = blob
    if name == victim and a.defect in ("nan", "inf"):
        bad = {"BF16": {"nan": 0x7FC0, "inf": 0x7F80}, "F16": {"nan": 0x7E00, "inf": 0x7C00}}.get(a.dtype)
        blob = blob[:6] + struct.pack("<H", bad[a.defect]) + blob[8:]
    if name == victim and a.defect == "shape":
        shape = [shape[1], shape[0]]
    entry = {"dtype": a.dtype, "shape": shape, "data_offsets": [at, at + len(blob)]}
    if name == victim and a.defect == "overlap":
        entry["data_offsets"] = [at - size, at - size + len(blob)]
    if name == victim and a.defect == "dtype":
        entry["dtype"] = "F4"
    header[name] = entry
    data.append(blob)
    at += len(blob)
text = json.dumps(header, separators=(",", ":"))
if a.defect == "duplicate-key":
    text = text[:-1] + "," + json.dumps(victim) + ":" + json.dumps(header[victim]) + "}"
raw = text.encode()
raw += b" " * (-(8 + len(raw)) % 8)
length = 1 << 40 if a.defect == "header-length" else len(raw)
blob = struct.pack("<Q", length) + raw + b"".join(data)
if a.defect == "truncated":
    blob = blob[:-100]

config = {
    "architectures": [a.family.capitalize() + "ForCausalLM"], "model_type": a.family, "hidden_size": a.hidden,
    "intermediate_size": a.mlp,
    "num_hidden_layers": a.blocks, "num_attention_heads": a.heads, "num_key_value_heads": a.kv, "head_dim": hd,
    "vocab_size": a.vocab, "max_position_embeddings": a.positions, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "hidden_act": "gelu_pytorch_tanh" if gemma else "silu", "tie_word_embeddings": not a.untied,
    "attention_bias": False, "mlp_bias": False,
    "bos_token_id": 256, "eos_token_id": 256,
    "torch_dtype": {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[a.dtype],
}
if a.defect == "family":
    config["model_type"] = "mamba9"
if a.defect == "quantized":
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
if a.defect == "auto-map":
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_x.X"}
if a.defect == "heads":
    config["num_key_value_heads"] = 3

# the byte-level alphabet: printable bytes stand for themselves, the others for U+0100 and up
printable = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
mapped, extra = {}, 0
for b in range(256):
    mapped[b] = chr(b) if b in printable else chr(256 + extra)
    extra += b not in printable
tokenizer = {
    "version": "1.0", "truncation": None, "padding": None,
    "added_tokens": [{"id": 256, "content": "<|end|>", "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
              "vocab": {**{mapped[b]: b for b in range(256)}, "<|end|>": 256}, "merges": []},
}
os.makedirs(a.dir, exist_ok=True)
with open(os.path.join(a.dir, "model.safetensors"), "wb") as f:
    f.write(blob)
with open(os.path.join(a.dir, "config.json"), "w", encoding="utf-8") as f:
    f.write("{" if a.defect == "config-json" else json.dumps(config, indent=1))
if a.defect != "no-tokenizer":
    with open(os.path.join(a.dir, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(tokenizer, f, ensure_ascii=False)
