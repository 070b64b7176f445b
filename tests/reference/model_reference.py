#!/usr/bin/env python3
"""Makes tests/reference/models/: tiny random models and what transformers computes with them.

    model_reference.py [DIR]      (needs torch, transformers, safetensors; DIR: default tests/reference/models)

DIR then holds weights-NAME.safetensors (bf16, shared by several models; gptq: q_proj, o_proj and head packed), one
configuration CASE.json for each model, and expected.safetensors:
    ids                  I32 [2, seq]         token ids of two sequences
    positions            I32 [p]              the positions at which logits are kept
    logits.CASE          F32 [2, p, vocab]
    block.CASE.x, .target, .y, .loss, .dx     one block alone, [2, seq/2, hidden]; loss = mean((y - target)^2)
    block.CASE.MODULE    F32 [out, in]        dloss/dW of each linear of that block
The files are committed, so that the C tests need no Python; the script is what they can be made again with.
"""
import json
import os
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HIDDEN, INTER, HEADS, KV, VOCAB, LAYERS, SEQ = 32, 40, 4, 2, 64, 2, 20
POSITIONS = [1, 6, 11, 15, 18, 19]
GRADIENTS = {"llama-default": 1, "qwen3": 0, "gemma": 1}  # case: block


def random_weights(seed, head_dim, inter, biases, norms, head, gain=1, embed=1.0):
    """Weights large enough that attention is sharp and every term shows in the logits. gain: about which those of norms
    lie; embed: the size of embeddings."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=1.0):
        return (torch.randn(*shape, generator=g) * scale).to(torch.bfloat16)

    w = {"model.embed_tokens.weight": normal(VOCAB, HIDDEN, scale=embed),
         "model.norm.weight": gain + normal(HIDDEN, scale=0.2)}
    if head:
        w["lm_head.weight"] = normal(VOCAB, HIDDEN, scale=0.3)
    for n in range(LAYERS):
        shapes = {
            "self_attn.q_proj": (HEADS * head_dim, HIDDEN), "self_attn.k_proj": (KV * head_dim, HIDDEN),
            "self_attn.v_proj": (KV * head_dim, HIDDEN), "self_attn.o_proj": (HIDDEN, HEADS * head_dim),
            "mlp.gate_proj": (inter, HIDDEN), "mlp.up_proj": (inter, HIDDEN), "mlp.down_proj": (HIDDEN, inter),
        }
        for name, (o, i) in shapes.items():
            w[f"model.layers.{n}.{name}.weight"] = normal(o, i, scale=1.4 / i**0.5)
            if biases:
                w[f"model.layers.{n}.{name}.bias"] = normal(o, scale=0.3)
        for name in ("input_layernorm", "post_attention_layernorm"):
            w[f"model.layers.{n}.{name}.weight"] = gain + normal(HIDDEN, scale=0.2)
        if norms:
            for name in ("q_norm", "k_norm"):
                w[f"model.layers.{n}.self_attn.{name}.weight"] = 1.5 + normal(head_dim, scale=0.3)
    return w


def pack_int32(fields, bits):
    """Fields along the first axis as one little-endian stream of bits for each column: [n, c] -> [n*bits/32, c]."""
    n, columns = fields.shape
    stream = ((fields[:, None, :] >> np.arange(bits)[None, :, None]) & 1).reshape(n * bits // 32, 32, columns)
    words = (stream.astype(np.uint64) << np.arange(32, dtype=np.uint64)[None, :, None]).sum(1)
    return torch.from_numpy(words.astype(np.uint32).view(np.int32))


def quantize_gptq(weights, bits=4, group=16):
    """(packed, dequantized): q_proj, o_proj and head rounded to an asymmetric grid, packed as gptq_v2."""
    packed, plain = {}, {}
    for name, w in weights.items():
        base = name.removesuffix(".weight")
        if not base.endswith(("q_proj", "o_proj", "lm_head")):
            packed[name] = plain[name] = w
            continue
        out, width = w.shape
        g = w.float().reshape(out, width // group, group)
        low, high = g.amin(2).clamp(max=0), g.amax(2).clamp(min=0)
        scale = ((high - low) / (2**bits - 1)).half()
        zero = torch.round(-low / scale.float()).clamp(0, 2**bits - 1)
        code = (torch.round(g / scale.float()[..., None]) + zero[..., None]).clamp(0, 2**bits - 1)
        plain[name] = ((code - zero[..., None]) * scale.float()[..., None]).reshape(out, width)
        packed[base + ".qweight"] = pack_int32(code.reshape(out, width).T.numpy().astype(np.int64), bits)
        packed[base + ".qzeros"] = pack_int32(zero.numpy().astype(np.int64), bits).T.contiguous()
        packed[base + ".scales"] = scale.T.contiguous()
        packed[base + ".g_idx"] = (torch.arange(width, dtype=torch.int32) // group).to(torch.int32)
    return packed, plain


WEIGHTS = {
    "plain": lambda: random_weights(1, 8, INTER, biases=False, norms=False, head=True),
    "bias": lambda: random_weights(2, 8, INTER, biases=True, norms=False, head=False),
    "qwen3": lambda: random_weights(3, 16, 24, biases=False, norms=True, head=True),
    # gains less 1; embeddings that are of the size of a block's output once they are multiplied
    "gemma": lambda: random_weights(4, 16, 24, biases=False, norms=False, head=True, gain=0, embed=0.3),
}


def config(model_type, architecture, **more):
    c = {
        "architectures": [architecture], "model_type": model_type, "hidden_size": HIDDEN, "intermediate_size": INTER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV, "vocab_size": VOCAB,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
        "bos_token_id": 0, "eos_token_id": 1,
    }
    c.update(more)
    return c


def llama(**more):
    return config("llama", "LlamaForCausalLM", **more)


def gemma(**more):
    """Tied unless it says otherwise."""
    c = config("gemma", "GemmaForCausalLM", intermediate_size=24, head_dim=16)
    del c["tie_word_embeddings"]
    c.update(more)
    return c


def cases():
    """(case, weights, configuration); half of them in the old spelling of RoPE and dtype, half in the new one."""
    short = [1.0, 1.1, 1.3, 1.9]
    long = [1.0, 1.7, 3.5, 6.0]
    yield "llama-default", "plain", llama(rope_theta=500.0, torch_dtype="bfloat16")
    yield "llama-linear", "plain", llama(rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 3.0})
    yield "llama-dynamic", "plain", llama(
        max_position_embeddings=8, dtype="bfloat16",
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0})
    yield "llama-llama3", "plain", llama(
        rope_theta=10000.0,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                      "original_max_position_embeddings": 64})
    yield "llama-yarn", "plain", llama(
        max_position_embeddings=256,
        rope_parameters={"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0,
                         "original_max_position_embeddings": 64})
    yield "llama-yarn-mscale", "plain", llama(
        max_position_embeddings=256, rope_theta=100.0,
        rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 4.0,
                      "beta_slow": 0.5, "mscale": 1.5, "mscale_all_dim": 0.5, "truncate": False})
    yield "llama-longrope-long", "plain", llama(
        max_position_embeddings=64,
        rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": short, "long_factor": long,
                         "original_max_position_embeddings": 16})
    yield "llama-longrope-short", "plain", llama(
        max_position_embeddings=128, rope_theta=10000.0, original_max_position_embeddings=32,
        rope_scaling={"rope_type": "longrope", "short_factor": short, "long_factor": long})
    yield "llama-tied", "plain", llama(tie_word_embeddings=True, rope_theta=10000.0)
    yield "llama-bias", "bias", llama(tie_word_embeddings=True, attention_bias=True, mlp_bias=True, rope_theta=10000.0)
    yield "mistral", "plain", config("mistral", "MistralForCausalLM", rope_theta=10000.0, sliding_window=5)
    yield "mistral-full", "plain", config("mistral", "MistralForCausalLM", rope_theta=10000.0, sliding_window=None)
    yield "qwen2", "bias", config("qwen2", "Qwen2ForCausalLM", tie_word_embeddings=True, rope_theta=1000000.0,
                                  use_sliding_window=False, sliding_window=4, max_window_layers=0)
    yield "qwen2-window", "bias", config(
        "qwen2", "Qwen2ForCausalLM", tie_word_embeddings=True, use_sliding_window=True, sliding_window=6,
        max_window_layers=1, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    yield "qwen2-types", "bias", config(
        "qwen2", "Qwen2ForCausalLM", tie_word_embeddings=True, use_sliding_window=True, sliding_window=3,
        max_window_layers=1, layer_types=["sliding_attention", "full_attention"], rope_theta=1000000.0)
    yield "qwen3", "qwen3", config("qwen3", "Qwen3ForCausalLM", intermediate_size=24, head_dim=16,
                                   rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    yield "gemma", "gemma", gemma(hidden_act="gelu", hidden_activation=None, rope_theta=10000.0)
    yield "gemma-untied", "gemma", gemma(hidden_act="gelu_pytorch_tanh", tie_word_embeddings=False, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0})


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 16, "sym": False, "desc_act": False, "lm_head": True,
        "checkpoint_format": "gptq_v2"}


def load(weights, settings):
    """A head that is stored though tied is left out: srq ignores it, transformers 5 would use it instead of tying."""
    if settings.get("tie_word_embeddings", settings["model_type"] == "gemma"):
        weights = {name: w for name, w in weights.items() if name != "lm_head.weight"}
    with tempfile.TemporaryDirectory() as folder:
        save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(settings, f)
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def block_gradients(model, case, index, out):
    g = torch.Generator().manual_seed(9)
    seq = SEQ // 2
    x = torch.randn(2, seq, HIDDEN, generator=g).requires_grad_()
    target = torch.randn(2, seq, HIDDEN, generator=g)
    positions = torch.arange(seq)[None]
    mask = torch.full((seq, seq), float("-inf")).triu(1)[None, None]
    layer = model.model.layers[index]
    y = layer(x, attention_mask=mask, position_ids=positions, position_embeddings=model.model.rotary_emb(x, positions))
    y = y[0] if isinstance(y, tuple) else y
    loss = ((y - target) ** 2).mean()
    loss.backward()
    out[f"block.{case}.x"], out[f"block.{case}.target"] = x.detach(), target
    out[f"block.{case}.y"], out[f"block.{case}.loss"], out[f"block.{case}.dx"] = y.detach(), loss.detach(), x.grad
    for name, module in layer.named_modules():
        if isinstance(module, torch.nn.Linear):
            out[f"block.{case}.{name}"] = module.weight.grad


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
    os.makedirs(folder, exist_ok=True)
    weights = {name: make() for name, make in WEIGHTS.items()}
    for name, w in weights.items():
        save_file(w, os.path.join(folder, f"weights-{name}.safetensors"), metadata={"format": "pt"})
    packed, dequantized = quantize_gptq(weights["plain"])
    save_file(packed, os.path.join(folder, "weights-gptq.safetensors"), metadata={"format": "pt"})
    weights["gptq"] = dequantized
    ids = torch.randint(0, VOCAB, (2, SEQ), generator=torch.Generator().manual_seed(7), dtype=torch.int32)
    out = {"ids": ids, "positions": torch.tensor(POSITIONS, dtype=torch.int32)}
    for case, name, settings in [*cases(), ("llama-gptq", "gptq", llama(rope_theta=10000.0))]:
        model = load(weights[name], settings)
        with torch.no_grad():
            logits = model(ids.long(), use_cache=False).logits
        out[f"logits.{case}"] = logits[:, POSITIONS].contiguous()
        if case in GRADIENTS:
            block_gradients(model, case, GRADIENTS[case], out)
        if name == "gptq":
            settings["quantization_config"] = GPTQ
        with open(os.path.join(folder, f"{case}.json"), "w") as f:
            json.dump(settings, f)
            f.write("\n")
        print(f"{case}: logits rms {logits.square().mean().sqrt().item():.3f}")
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(folder, "expected.safetensors"),
              metadata={"format": "pt"})


if __name__ == "__main__":
    main()
