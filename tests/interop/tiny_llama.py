"""A llama model's forward pass with numpy, in double precision, from the published description: for small models, where
what goes into every layer is to be known without srq and without torch."""
import json
import os

import numpy as np
import unpack


def widen(t):
    """BF16 bits, F16 or F32 as double."""
    return (t.astype(np.uint32) << 16).view(np.float32).astype(np.float64) if t.dtype == np.uint16 else t.astype(np.float64)


class Model:
    """`instead`: {layer: weight [out, in]} used in place of the stored ones."""

    def __init__(self, folder, instead=None):
        with open(os.path.join(folder, "config.json")) as f:
            self.config = json.load(f)
        self.weights = {n[:-len(".weight")]: widen(t) for n, t in unpack.read_folder(folder).items()}
        self.weights.update(instead or {})
        self.inputs = {}  # of every linear layer in the last pass: [tokens, in]

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"]) * self.weights[name]

    def linear(self, x, name):
        self.inputs[name] = x.reshape(-1, x.shape[-1])
        return x @ self.weights[name].T

    def rotate(self, x):
        """x [samples, seq, heads, dim]; the halves of a head are the two parts of its pairs."""
        half = x.shape[-1] // 2
        angle = np.arange(x.shape[1])[:, None] * self.config["rope_theta"] ** (-np.arange(half) / half)[None]
        cos, sin = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def attention(self, x, name):
        heads, kv, dim = (self.config[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        split = lambda t, n: t.reshape(*x.shape[:2], n, dim)
        q = self.rotate(split(self.linear(x, name + ".q_proj"), heads))
        k = self.rotate(split(self.linear(x, name + ".k_proj"), kv)).repeat(heads // kv, 2)
        v = split(self.linear(x, name + ".v_proj"), kv).repeat(heads // kv, 2)
        scores = np.einsum("sqhd,skhd->shqk", q, k) / np.sqrt(dim)
        scores += np.triu(np.full(scores.shape[-2:], -np.inf), 1)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        y = np.einsum("shqk,skhd->sqhd", p / p.sum(-1, keepdims=True), v)
        return self.linear(y.reshape(*x.shape[:2], -1), name + ".o_proj")

    def final(self, ids):
        """What the head gets, after the final norm: [samples, seq, hidden]."""
        x = self.weights["model.embed_tokens"][ids]
        for b in range(self.config["num_hidden_layers"]):
            name = "model.layers.%d." % b
            x = x + self.attention(self.norm(x, name + "input_layernorm"), name + "self_attn")
            y = self.norm(x, name + "post_attention_layernorm")
            gate, up = self.linear(y, name + "mlp.gate_proj"), self.linear(y, name + "mlp.up_proj")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * up, name + "mlp.down_proj")
        return self.norm(x, "model.norm")
