#!/usr/bin/env python3
"""Every tensor of exports against the codes that they were made from, by an unpacker that shares nothing with srq."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

CASES = [
    ("auto_round", "w4g32", []),
    ("auto_round", "w4g64z", []),
    ("auto_round", "w3g32z", ["model.layers.1.mlp.down_proj=w8g64z", "model.layers.2.self_attn.o_proj=bf16"]),
    ("auto_round", "w2g64", ["model.layers.0.mlp.down_proj=w8"]),
    ("auto_gptq", "w2g32", []),
    ("auto_gptq", "w3g128", ["model.layers.5.mlp.down_proj=bf16"]),
    ("auto_gptq", "w4g64z", ["model.layers.4.mlp.gate_proj=w8g64", "model.layers.4.mlp.up_proj=w8g64"]),
    ("auto_gptq", "w8", []),
    ("auto_awq", "w4g64", []),
    ("auto_awq", "w4g32z", ["model.layers.3.mlp.down_proj=bf16"]),
    ("compressed-tensors", "w4g32", []),
    ("compressed-tensors", "w4g64z", ["model.layers.2.self_attn.o_proj=bf16"]),
    ("compressed-tensors", "w8", []),
    ("compressed-tensors", "w8g32z", []),
    ("compressed-tensors", "mxfp4", []),
    ("compressed-tensors", "mxfp8", ["model.layers.1.mlp.down_proj=bf16"]),
    ("compressed-tensors", "nvfp4", []),
    ("compressed-tensors", "fp8", []),
    ("compressed-tensors", "fp8t", []),
    ("compressed-tensors", "mxfp4", ["model.layers.1.mlp.down_proj=mxfp8", "model.layers.2.self_attn.o_proj=bf16",
                                     "model.layers.3.mlp.down_proj=w8g32", "model.layers.4.mlp.down_proj=nvfp4",
                                     "model.layers.5.mlp.down_proj=fp8"]),
]


def export(folder, fmt, scheme, more):
    out, codes = os.path.join(folder, "out"), os.path.join(folder, "codes.safetensors")
    tool = os.path.join(tap.BUILD, "tests/interop/export_tool")
    subprocess.run([tool, tap.DEMO, fmt, scheme, out, codes, *more], check=True)
    return out, codes


def compare(fmt, scheme, more):
    tap.need("numpy")
    import numpy as np
    import unpack
    import unpack_ct

    decode = unpack_ct.unpack if fmt == "compressed-tensors" else unpack.unpack
    with tempfile.TemporaryDirectory() as folder:
        out, codes = export(folder, fmt, scheme, more)
        with open(os.path.join(out, "config.json")) as f:
            config = json.load(f)
        tensors, want = unpack.read_folder(out), unpack.read_safetensors(codes)
        source = unpack.read_folder(tap.DEMO)
        layers = sorted(n[: -len(".codes")] for n in want if n.endswith(".codes"))
        assert layers
        for layer in layers:
            got = decode(config, tensors, layer)
            for what, a in zip(("codes", "scale", "zero"), got):
                b = want[f"{layer}.{what}"]
                assert a.shape == b.shape and (a == b).all(), f"{layer}.{what}"
            w = source[layer + ".weight"].astype(np.uint32) << 16
            error = np.abs(got[3] - w.view(np.float32)).max() / np.abs(w.view(np.float32)).max()
            assert error < 0.6, f"{layer}: {error}"  # 2 bits: half of a step is half of the largest weight
        for name, t in source.items():
            if name.endswith(".weight") and name[: -len(".weight")] in layers:
                assert name not in tensors or name + "_scale" in tensors, name
            elif fmt in ("auto_round", "compressed-tensors"):
                assert (tensors[name] == t).all(), name
            else:
                wide = (t.astype(np.uint32) << 16).view(np.float32)
                assert tensors[name].dtype == np.float16 and (tensors[name] == wide.astype(np.float16)).all(), name


for case in CASES:
    def run(case=case):
        compare(*case)
    run.__name__ = "_".join([case[0], case[1], "unpacks_to_its_codes"] + (["in_mixed_widths"] if case[2] else []))
    tap.test(run)
tap.done()
