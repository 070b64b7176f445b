"""Decodes compressed-tensors exports with numpy, from the description of the formats alone: elements are looked up in
tables that are made from the definition of their bits, fields are cut out of whole sequences of bits."""
import re

import numpy as np

from unpack import fields

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def e4m3_table():
    bits = np.arange(256)
    exponent, mantissa = bits >> 3 & 15, bits & 7
    value = np.where(exponent == 0, mantissa * 2.0 ** -9, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    value[(bits & 0x7F) == 0x7F] = np.nan
    return np.where(bits & 128, -value, value).astype(np.float32)


E4M3 = e4m3_table()


def matches(names, layer):
    """3 by name, 2 by pattern, 1 by class, 0 not at all."""
    best = 0
    for n in names:
        fit = 2 if n.startswith("re:") and re.match(n[3:], layer) else 3 if n == layer else 1 if n == "Linear" else 0
        best = max(best, fit)
    return best


def settings(config, layer):
    """(format, weights) of a layer, or None where it is left alone."""
    q = config["quantization_config"]
    assert q["quant_method"] == "compressed-tensors" and q["quantization_status"] == "compressed"
    if matches(q["ignore"], layer):
        return None
    groups = [(matches(g["targets"], layer), g) for g in q["config_groups"].values()]
    fit, group = max(groups, key=lambda row: row[0])
    if not fit:
        return None
    assert [f for f, _ in groups].count(fit) == 1, f"{layer} is in two groups"
    return group.get("format", q["format"]), group["weights"]


def nibbles(packed):
    """Element 2k in the low half of byte k, 2k+1 in the high one."""
    out = np.empty((packed.shape[0], packed.shape[1] * 2), np.uint8)
    out[:, 0::2], out[:, 1::2] = packed % 16, packed // 16
    return out


def unpack(config, tensors, layer):
    """(codes [out, in], scale [out, groups] f32, zero [out, groups], weight [out, in] f32) of a packed layer."""
    kind, w = settings(config, layer)
    part = lambda name: tensors[f"{layer}.{name}"]  # noqa: E731
    assert w["dynamic"] is False
    if kind == "pack-quantized":
        bits = w["num_bits"]
        assert w["type"] == "int" and part("weight_packed").dtype == np.int32
        codes = fields(part("weight_packed").T, bits).T
        scale = part("weight_scale").astype(np.float32)
        assert list(part("weight_shape")) == list(codes.shape)
        if w["symmetric"]:
            zero = np.full(scale.shape, 2 ** (bits - 1))
        else:
            zero = fields(part("weight_zero_point"), bits)
        value, applied = codes.astype(np.float32), scale
    elif kind == "int-quantized":
        q, scale = part("weight"), part("weight_scale").astype(np.float32)
        assert q.dtype == np.int8 and w["type"] == "int" and w["symmetric"]
        zero = np.full(scale.shape, 2 ** (w["num_bits"] - 1))
        codes = (q.astype(np.int32) + 2 ** (w["num_bits"] - 1)).astype(np.uint8)
        value, applied = codes.astype(np.float32), scale
    elif kind == "float-quantized":
        codes, scale = part("weight"), part("weight_scale").astype(np.float32).reshape(-1, 1)
        assert part("weight_scale").shape == ((1,) if w["strategy"] == "tensor" else (codes.shape[0], 1))
        zero, value, applied = np.zeros(scale.shape), E4M3[codes], scale
    elif kind == "mxfp8-quantized":
        codes = part("weight")
        scale = 2.0 ** (part("weight_scale").astype(np.float64) - 127)
        zero, value, applied = np.zeros(scale.shape), E4M3[codes], scale.astype(np.float32)
    elif kind == "mxfp4-pack-quantized":
        codes = nibbles(part("weight_packed"))
        scale = 2.0 ** (part("weight_scale").astype(np.float64) - 127)
        zero, value, applied = np.zeros(scale.shape), E2M1[codes], scale.astype(np.float32)
    else:
        assert kind == "nvfp4-pack-quantized", kind
        codes, scale = nibbles(part("weight_packed")), E4M3[part("weight_scale")]
        assert part("weight_global_scale").shape == (1,)
        zero, value, applied = np.zeros(scale.shape), E2M1[codes], scale / part("weight_global_scale")[0]
    length = codes.shape[1] // scale.shape[1]
    assert w["group_size"] in (None, length), (w, length)
    index = np.arange(codes.shape[1]) // length
    rows = np.arange(codes.shape[0]) if scale.shape[0] > 1 else np.zeros(codes.shape[0], int)
    weight = applied[rows][:, index] * (value - zero[rows][:, index].astype(np.float32))
    return codes, scale, zero, weight.astype(np.float32)
