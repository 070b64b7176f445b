#!/usr/bin/env python3
"""Exports loaded by transformers on the CPU: logits against the same model with the weights that an independent
unpacker finds in the export. Loaders that are not installed are skipped by name."""
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("AR_LOG_LEVEL", "ERROR")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

DEMO_TEXT = os.path.join(tap.TOP, "share/text/demo-eval.txt")
SHARE = 0.998  # of positions where both name the same next token (tap.same_words)


def logits_of(model, ids):
    import torch

    with torch.no_grad():
        return model(ids).logits.float()


def expected(out, model_dir, ids):
    """Logits in F32 of the source model with every packed layer replaced by its decoded weight."""
    import torch
    import unpack
    import unpack_ct
    from transformers import AutoModelForCausalLM

    with open(os.path.join(out, "config.json")) as f:
        config = json.load(f)
    tensors = unpack.read_folder(out)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    replaced = 0
    for name, layer in model.named_modules():
        if name + ".qweight" in tensors:
            layer.weight.data = torch.tensor(unpack.unpack(config, tensors, name)[3])
            replaced += 1
        elif name + ".weight_scale" in tensors:
            layer.weight.data = torch.tensor(unpack_ct.unpack(config, tensors, name)[3])
            replaced += 1
    assert replaced > 0
    return logits_of(model, ids)


def check(model_dir, fmt, scheme, package, more=(), tokens=1024, text=DEMO_TEXT, dtype="float16"):
    torch = tap.need("torch")
    tap.need("numpy")
    tap.need("transformers")
    tap.need(package)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        tool = os.path.join(tap.BUILD, "tests/interop/export_tool")
        subprocess.run([tool, model_dir, fmt, scheme, out, os.path.join(folder, "codes.safetensors"), *more],
                       check=True)
        tokenizer = AutoTokenizer.from_pretrained(out)
        with open(text, encoding="utf-8") as f:
            ids = tokenizer(f.read(), add_special_tokens=False)["input_ids"][:tokens]
        ids = torch.tensor(ids).view(-1, 128)
        try:
            model = AutoModelForCausalLM.from_pretrained(out, device_map="cpu", dtype=getattr(torch, dtype)).eval()
        except RuntimeError as e:
            if fmt == "compressed-tensors" and scheme.endswith("z") and "mismatched" in str(e):
                raise tap.Skip("the loader makes room for unpacked zero-points, though it writes packed ones itself")
            raise
        if dtype == "bfloat16":  # the loader decodes these formats to BF16 only, in its first pass: then count in F32
            logits_of(model, ids[:1])
            model = torch.nn.Module.float(model)  # the class of quantized models refuses its own
        if not any(hasattr(m, "qweight") or hasattr(m, "weight_scale") for m in model.modules()):
            raise tap.Skip("the loader has no processor for this packing on a CPU")
        got, want = logits_of(model, ids), expected(out, model_dir, ids)
        same = tap.same_words(got.numpy(), want.numpy())
        off = (got - want).abs().max().item() / want.abs().max().item()
        print(f"# {fmt} {scheme}: same next token at {same:.4f} of positions, largest difference {off:.5f}")
        assert same >= SHARE and off < 0.02, (same, off)


def case(name, *args, **more):
    def run():
        check(*args, **more)
    run.__name__ = name
    tap.test(run)


case("auto_round_symmetric_loads_in_transformers", tap.DEMO, "auto_round", "w4g64", "auto_round")
case("auto_round_asymmetric_loads_in_transformers", tap.DEMO, "auto_round", "w4g32z", "auto_round")
case("auto_round_mixed_widths_load_in_transformers", tap.DEMO, "auto_round", "w4g64", "auto_round",
     more=["model.layers.1.mlp.down_proj=w8g64", "model.layers.2.self_attn.o_proj=bf16"])
case("auto_round_2_bits_load_in_transformers", tap.DEMO, "auto_round", "w2g32", "auto_round")
case("auto_round_3_bits_load_in_transformers", tap.DEMO, "auto_round", "w3g64", "auto_round")
case("auto_round_8_bits_asymmetric_loads_in_transformers", tap.DEMO, "auto_round", "w8g64z", "auto_round")
case("auto_gptq_loads_in_transformers", tap.DEMO, "auto_gptq", "w4g64", "gptqmodel")
case("auto_awq_loads_in_transformers", tap.DEMO, "auto_awq", "w4g64z", "awq")


for scheme in ("w4g64", "w4g32z", "w8", "mxfp4", "mxfp8", "nvfp4", "fp8", "fp8t"):
    case(f"compressed_tensors_{scheme}_loads_in_transformers", tap.DEMO, "compressed-tensors", scheme,
         "compressed_tensors", dtype="bfloat16" if scheme[:2] in ("mx", "nv") else "float32")
case("compressed_tensors_of_mixed_formats_loads_in_transformers", tap.DEMO, "compressed-tensors", "w4g64",
     "compressed_tensors", dtype="bfloat16",
     more=["model.layers.1.mlp.down_proj=fp8", "model.layers.2.self_attn.o_proj=bf16",
           "model.layers.3.mlp.down_proj=mxfp4", "model.layers.4.mlp.down_proj=nvfp4"])


@tap.test
def auto_round_of_a_gemma_loads_in_transformers():
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "gemma")
        subprocess.run([sys.executable, os.path.join(tap.TOP, "tests/lib/make_model.py"), model, "--family", "gemma"], check=True)
        with open(os.path.join(model, "tokenizer_config.json"), "w") as f:  # or the loader takes it for gemma's own
            json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, f)
        check(model, "auto_round", "w4g32", "auto_round")


@tap.test
def auto_round_of_a_real_model_loads_in_transformers():
    if not os.path.isdir(tap.REAL):
        raise tap.Skip("SRQ_SMOLLM2 names no model folder")
    if not os.path.exists(tap.TEXT):
        raise tap.Skip("SRQ_SHARED has no assets/text/wiki-test.txt")
    check(tap.REAL, "auto_round", "w4g64", "auto_round", text=tap.TEXT, tokens=512)


tap.done()
