"""Decodes packed exports with numpy, from the description of the layouts alone: every field is cut out of the whole
sequence of bits, where the C code packs words. Reads safetensors files without any library."""
import json
import math
import os
import re
import struct

import numpy as np

DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I32": "<i4", "U8": "u1", "I64": "<i8", "F8_E4M3": "u1"}


def read_safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        data = np.frombuffer(raw, dtype=DTYPES[t["dtype"]], offset=8 + size + begin, count=math.prod(t["shape"]))
        assert data.nbytes == end - begin, name
        out[name] = data.reshape(t["shape"])
    return out


def read_folder(path):
    single = os.path.join(path, "model.safetensors")
    if os.path.exists(single):
        return read_safetensors(single)
    with open(single + ".index.json") as f:
        files = sorted(set(json.load(f)["weight_map"].values()))
    out = {}
    for name in files:
        out.update(read_safetensors(os.path.join(path, name)))
    return out


def bits_of(words):
    """The bits of 32-bit words along the first axis, lowest first: [n, ...] -> [32 n, ...]."""
    words = words.astype(np.uint32)
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32).reshape(1, 32, *[1] * (words.ndim - 1))) & 1
    return bits.reshape(-1, *words.shape[1:])


def fields(words, bits):
    """Unsigned fields of `bits` bits along the first axis of a bit stream."""
    stream = bits_of(words)
    stream = stream.reshape(-1, bits, *stream.shape[1:])
    weights = (1 << np.arange(bits)).reshape(1, bits, *[1] * (stream.ndim - 2))
    return (stream * weights).sum(1)


def awq_columns(words):
    """[rows, n] words -> [rows, 8 n] nibbles in column order: slots 0..7 hold columns 0,2,4,6,1,3,5,7."""
    nibbles = fields(words.T.reshape(-1, 1, words.shape[0]).reshape(words.shape[1], -1), 4)
    nibbles = nibbles.reshape(words.shape[1], 8, words.shape[0])
    columns = np.empty_like(nibbles)
    columns[:, [0, 2, 4, 6, 1, 3, 5, 7]] = nibbles
    return columns.reshape(-1, words.shape[0]).T


def settings(config, layer):
    """(bits, group, sym) of a layer, or None where it is not quantized."""
    q = config["quantization_config"]
    s = {"bits": q["bits"], "group_size": q["group_size"], "sym": q.get("sym", not q.get("zero_point", False))}
    if q["quant_method"] == "auto-round":
        if not layer.startswith(q["block_name_to_quantize"] + ".") and layer not in q.get("extra_config", {}):
            return None
        s.update(q.get("extra_config", {}).get(layer, {}))
        if s["bits"] >= 16:
            return None
    if q["quant_method"] == "gptq":
        for key, value in q.get("dynamic", {}).items():
            if re.match(key[2:], layer):
                if key.startswith("-:"):
                    return None
                s.update(value)
                break
    if q["quant_method"] == "awq" and any(n in layer for n in q["modules_to_not_convert"]):
        return None
    return s["bits"], s["group_size"], s["sym"]


def layout(config):
    """("gptq" or "awq", what is added to a stored zero-point)."""
    q = config["quantization_config"]
    if q["quant_method"] == "awq":
        return "awq", 0
    if q["quant_method"] == "gptq":
        return "gptq", {"gptq": 1, "gptq_v2": 0}[q["checkpoint_format"]]
    return {"auto_round:auto_gptq": ("gptq", 1), "auto_round:auto_awq": ("awq", 0), "auto_round": ("gptq", 0)}[
        q["packing_format"]]


def unpack(config, tensors, layer):
    """(codes [out, in], scale [out, groups] f32, zero [out, groups], weight [out, in] f32) of a packed layer."""
    kind, add = layout(config)
    bits, group, _ = settings(config, layer)
    qweight, qzeros = tensors[layer + ".qweight"], tensors[layer + ".qzeros"]
    scale = tensors[layer + ".scales"].astype(np.float32).T
    if kind == "awq":
        codes, zero = awq_columns(qweight).T, awq_columns(qzeros).T
    else:
        codes, zero = fields(qweight, bits).T, fields(qzeros.T, bits) + add
    n_in = codes.shape[1]
    group = n_in if group == -1 else group
    index = np.arange(n_in) // group
    if layer + ".g_idx" in tensors:
        assert (tensors[layer + ".g_idx"] == index).all(), layer
    weight = scale[:, index] * (codes.astype(np.float32) - zero[:, index].astype(np.float32))
    return codes, scale, zero, weight
