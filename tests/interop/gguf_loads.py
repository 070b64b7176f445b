#!/usr/bin/env python3
"""GGUF files read by others: blocks by the gguf package, whole models and their tokenizers by llama.cpp, and by
transformers; and files of llama.cpp read by srq. What is not installed is skipped by name."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

sys.path.insert(0, os.path.join(tap.TOP, "tests/reference"))
import tokenizer_cases as cases

del sys.path[0]  # its folder "tokenizers" would pass for the package

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(tap.BUILD, "daemon/srq-worker/srq-worker")
TEXT = os.path.join(tap.TOP, "share/text/demo-eval.txt")
top = tempfile.mkdtemp(prefix="srq-gguf-")
plugins = [os.path.join(tap.BUILD, "plugins", n, ".libs") for n in os.listdir(os.path.join(tap.BUILD, "plugins"))]
ENV = {k: v for k, v in os.environ.items() if not k.startswith("SRQ_")}
ENV.update(SRQ_PLUGIN_PATH=":".join(plugins), SRQ_PLUGIN_DIR="/nonexistent", SRQ_RUNTIME_DIR=top,
           SRQ_CACHE_DIR=os.path.join(top, "cache"), OMP_WAIT_POLICY="passive")
made = 0


def job(model, scheme, formats=("gguf",), code=0, **more):
    """The output of a job by plain rounding, or what it said where it had to fail."""
    global made
    made += 1
    out = os.path.join(top, "out%d" % made)
    spec = dict({"model": model, "method": "rtn", "scheme": scheme, "formats": list(formats), "output": out,
                 "options": {"threads": 1}}, **more)
    with open(out + ".json", "w") as f:
        json.dump(spec, f)
    p = subprocess.run([WORKER, "--spec", out + ".json"], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=600)
    assert p.returncode == code, "exit %d: %s" % (p.returncode, p.stderr[-2000:])
    return out if code == 0 else p.stderr


def llama(path, ids=(), texts=()):
    """(logits, tokens) by llama.cpp."""
    tap.need("cyllama")
    import numpy as np

    stored = os.path.join(top, "logits.npy")
    request = json.dumps({"model": path, "ids": list(ids), "texts": list(texts), "logits": stored})
    p = subprocess.run([sys.executable, os.path.join(HERE, "llama_runs.py")], input=request, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-3000:]
    return np.load(stored) if ids else None, json.loads(p.stdout.splitlines()[-1])["tokens"]


def transformers_logits(folder, ids, **more):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more).eval()
    with torch.no_grad():
        return model(torch.tensor(ids)).logits.numpy()


def demo_ids(tokens=1024, seqlen=128):
    from tokenizers import Tokenizer

    with open(TEXT, encoding="utf-8") as f:
        ids = Tokenizer.from_file(os.path.join(tap.DEMO, "tokenizer.json")).encode(f.read()).ids[:tokens]
    return [ids[i:i + seqlen] for i in range(0, tokens, seqlen)]


@tap.test
def blocks_decode_to_what_the_plain_weights_hold():
    tap.need("gguf")
    tap.need("torch")
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors.torch import load_file

    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    heads = {"attn_q": 8, "attn_k": 2}
    pins = [{"pattern": "*.1.mlp.*", "scheme": "w8g64"}, {"pattern": "*.2.self_attn.*", "scheme": "w5g32"},
            {"pattern": "*.3.*", "scheme": "mxfp4"}, {"pattern": "*.4.mlp.up_proj", "scheme": "bf16"},
            {"pattern": "*.5.*", "scheme": "w4"}, {"pattern": "*.0.self_attn.*", "scheme": "q2_k"},
            {"pattern": "*.0.mlp.*", "scheme": "q3_k"}, {"pattern": "*.1.self_attn.*", "scheme": "q4_k"},
            {"pattern": "*.2.mlp.*", "scheme": "q5_k"}, {"pattern": "*.4.self_attn.*", "scheme": "q6_k"}]
    out = job(tap.DEMO, "w4g32", ("gguf", "fake"), layers=pins)
    plain, seen = load_file(os.path.join(out, "fake/model.safetensors")), {}
    for t in GGUFReader(os.path.join(out, "gguf/model.gguf")).tensors:
        part = t.name.split(".")
        if part[0] != "blk" or part[2] not in names:
            continue
        got = dequantize(t.data, t.tensor_type)
        want = plain["model.layers.%s.%s.weight" % (part[1], names[part[2]])].float().numpy()
        n = heads.get(part[2])
        if n:  # the halves of a head are interleaved there
            want = want.reshape(n, 2, -1, want.shape[1]).swapaxes(1, 2).reshape(want.shape)
        assert (torch.tensor(got).bfloat16().float().numpy() == want).all(), t.name
        seen.setdefault(t.tensor_type.name, []).append(t.name)
    print("# %s" % {k: len(v) for k, v in seen.items()})
    # gate and up go together, as runtimes fuse them
    assert {k: len(v) for k, v in seen.items()} == {"Q4_0": 8, "Q8_0": 3, "Q5_0": 4, "MXFP4": 7, "BF16": 2, "Q2_K": 4,
                                                         "Q3_K": 3, "Q4_K": 4, "Q5_K": 3, "Q6_K": 4}, seen


def random_models():
    """(name, folder) of small models of every family that has them, with what each has that others lack."""
    tap.need("torch")
    tap.need("transformers")
    import torch
    import transformers as t

    common = dict(vocab_size=2048, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=256)

    def rope(kind, **more):
        return {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, **more}

    llama3 = rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
    rows = [
        ("llama", t.LlamaForCausalLM, t.LlamaConfig(**common, head_dim=32, attention_bias=True, mlp_bias=True,
                                                    rope_parameters=llama3)),
        ("llama tied, linear", t.LlamaForCausalLM, t.LlamaConfig(**common, tie_word_embeddings=True, rope_parameters=rope("linear"))),
        ("llama yarn", t.LlamaForCausalLM, t.LlamaConfig(**common, rope_parameters=rope("yarn", original_max_position_embeddings=64))),
        ("mistral", t.MistralForCausalLM, t.MistralConfig(**common, sliding_window=128)),
        ("qwen2", t.Qwen2ForCausalLM, t.Qwen2Config(**common)),
        ("qwen3", t.Qwen3ForCausalLM, t.Qwen3Config(**common, head_dim=32)),
        ("gemma", t.GemmaForCausalLM, t.GemmaConfig(**common, head_dim=32)),
    ]
    torch.manual_seed(3)
    for name, kind, config in rows:
        model, folder = kind(config).float(), os.path.join(top, name.replace(",", "").replace(" ", "-"))
        with torch.no_grad():
            for key, p in model.named_parameters():
                if p.ndim == 2:
                    p.normal_(0, 1.0 if "embed" in key else 2 / p.shape[1] ** 0.5)
                elif "norm" in key:
                    p.uniform_(-0.3, 0.3) if name == "gemma" else p.uniform_(0.5, 1.5)
                else:
                    p.normal_(0, 0.5)
        model.save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(tap.DEMO, file), folder)
        yield name, folder


@tap.test
def every_family_computes_in_llama_cpp_what_it_does_in_transformers():
    """Not quantized and in F32, so that nothing but names, orders and keys is tried."""
    tap.need("cyllama")
    import numpy as np

    ids = [[int(x) for x in np.random.default_rng(1).integers(0, 2048, 100)]]
    for name, folder in random_models():
        got, _ = llama(os.path.join(job(folder, "bf16"), "model.gguf"), ids)
        want = transformers_logits(folder, ids)
        off = float(abs(got - want).max() / abs(want).max())
        print("# %s: largest difference %.2g" % (name, off))
        assert off < (1e-3 if name == "gemma" else 5e-5), (name, off)  # llama.cpp takes GELU from a table of F16


@tap.test
def a_quantized_model_says_in_llama_cpp_what_its_plain_weights_say():
    """There inputs of products are rounded to 8 bits, so it is near, not the same."""
    tap.need("cyllama")
    tap.need("transformers")
    tap.need("torch")
    import numpy as np

    ids = demo_ids()

    def logp(logits):
        top_ = logits - logits.max(-1, keepdims=True)
        return top_ - np.log(np.exp(top_).sum(-1, keepdims=True))

    for scheme in ("w4g32", "w5g64", "w8g32", "mxfp4", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"):
        out = job(tap.DEMO, scheme, ("gguf", "fake"))
        got = logp(llama(os.path.join(out, "gguf/model.gguf"), ids)[0].astype(np.float64))
        want = logp(transformers_logits(os.path.join(out, "fake"), ids).astype(np.float64))
        kl = float((np.exp(want) * (want - got)).sum(-1).mean())
        print("# %s: KL to the plain weights %.2g" % (scheme, kl))
        assert kl < 1e-3, (scheme, kl)


@tap.test
def transformers_loads_the_file():
    tap.need("torch")
    tap.need("transformers")
    tap.need("gguf")
    import numpy as np

    ids = demo_ids(256)
    out = job(tap.DEMO, "w4g32", ("gguf", "fake"))
    got = transformers_logits(os.path.join(out, "gguf"), ids, gguf_file="model.gguf")
    want = transformers_logits(os.path.join(out, "fake"), ids)
    same = tap.same_words(got, want)
    print("# same next token at %.4f of positions" % same)
    assert same > 0.99 and np.abs(got - want).max() < 0.05 * np.abs(want).max(), same


# ---- files of others as models ----

def perplexity(model):
    request = {"model": model, "eval": [TEXT], "options": {"eval.windows": 4, "eval.seqlen": 64, "compute": "f32", "threads": 1}}
    p = subprocess.run([WORKER, "--eval"], input=json.dumps(request), env=ENV, capture_output=True, text=True, timeout=300)
    assert p.returncode == 0, p.stderr[-2000:]
    return json.loads(p.stdout.splitlines()[-1])["perplexity"]


def folder_of(file):
    """What the gguf package and the rules of names make of a file of the demo model: a folder in F32."""
    from gguf import GGUFReader, dequantize
    from safetensors.numpy import save_file

    outside = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
             "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    tensors, types = {}, set()
    for t in GGUFReader(file).tensors:
        w, part = dequantize(t.data, t.tensor_type), t.name.split(".")
        types.add(t.tensor_type.name)
        n = {"attn_q": 8, "attn_k": 2}.get(part[2] if part[0] == "blk" else "")
        if n:
            w = w.reshape(n, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        name = outside.get(part[0]) or "model.layers.%s.%s" % (part[1], parts[part[2]])
        tensors[name + ".weight"] = w.astype("float32").copy()
    folder = file + "-folder"
    shutil.copytree(tap.DEMO, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    return folder, types


@tap.test
def files_that_llama_cpp_quantized_are_what_gguf_decodes():
    """Its own types and mixes, the embedding included."""
    tap.need("cyllama")
    tap.need("gguf")
    tap.need("safetensors")
    import cyllama.llama.llama_cpp as llama_cpp

    plain, seen = os.path.join(job(tap.DEMO, "bf16"), "model.gguf"), set()
    for kind in (2, 3, 8, 9, 7, 10, 12, 15, 17, 18):  # Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K
        params, file = llama_cpp.LlamaModelQuantizeParams(), os.path.join(top, "theirs%d.gguf" % kind)
        params.ftype = kind
        try:
            llama_cpp.model_quantize(plain, file, params)
        except Exception as e:  # its binding takes the 0 of success for a failure
            print("# %s" % e)
        folder, types = folder_of(file)
        got, want = perplexity(file), perplexity(folder)
        print("# %s: perplexity %.6f, of the decoded weights %.6f" % (sorted(types), got, want))
        assert abs(got - want) <= 1e-6 * want, (types, got, want)
        seen |= types
    assert {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"} <= seen, seen


# ---- tokenizers ----

def byte_level(change=lambda t: None):
    with open(os.path.join(tap.DEMO, "tokenizer.json")) as f:
        t = json.load(f)
    change(t)
    return t


def pre(*steps):
    def change(t):
        t["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": list(steps)} if len(steps) > 1 else steps[0]
    return change


def cut(digits):
    regex = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits +
             r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
WORDS = dict(BYTES, use_regex=True)


def ignore_merges(t):
    t["model"]["ignore_merges"] = True


def composes(t):
    pre(cut(r"\p{N}"), BYTES)(t)
    t["normalizer"] = {"type": "NFC"}


def marks(t):
    """Two more added tokens in the place of the last two pieces, and one that is put before every text."""
    vocab = t["model"]["vocab"] = {k: v for k, v in t["model"]["vocab"].items() if v < 2046}
    t["added_tokens"] += [{"id": 2046 + special, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                           "normalized": False, "special": special}
                          for content, special in (("<think>", False), ("<|im_start|>", True))]
    t["model"]["merges"] = [m for m in t["model"]["merges"] if "".join(m) in vocab and all(part in vocab for part in m)]
    t["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                                                                    {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}}


def pieces(steps):
    """A tokenizer as SentencePiece's BPE is stored, trained on the demo's text."""
    from tokenizers import Tokenizer, models, normalizers, trainers

    first = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Replace(" ", "\u2581")
    with open(TEXT, encoding="utf-8") as f:
        lines = f.read().split("\n")
    t.train_from_iterator([w for line in lines for w in (" " + line).replace(" ", "\u2581 ").split(" ")][:40000],
                          trainers.BpeTrainer(vocab_size=1500, special_tokens=first, show_progress=False))
    made_ = json.loads(t.to_str())
    made_["added_tokens"] = [a for a in made_["added_tokens"] if a["content"] in first[:3]]
    made_.update(steps)
    return made_


REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
PREPEND = {"type": "Prepend", "prepend": "\u2581"}


def read_back(file):
    """The tokenizer that srq makes of a file."""
    from tokenizers import Tokenizer

    cache = os.path.join(top, "read-back")
    shutil.rmtree(cache, ignore_errors=True)
    p = subprocess.run([WORKER, "--inspect", file], env=dict(ENV, SRQ_CACHE_DIR=cache), capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-2000:]
    return Tokenizer.from_file(glob.glob(os.path.join(cache, "gguf-*", "tokenizer.json"))[0])


def agree(name, tokenizer, beside=False):
    """Texts that are cut otherwise. llama.cpp does not compose characters, so where the tokenizer does, texts are.
    beside: tokenizer_config.json has the added tokens at the end, not tokenizer.json."""
    from tokenizers import Tokenizer

    folder = os.path.join(top, "words-" + name.replace(" ", "-"))
    shutil.copytree(tap.DEMO, folder)
    last = [t for t in tokenizer["added_tokens"] if beside and t["id"] >= len(tokenizer["model"]["vocab"])]
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump(dict(tokenizer, added_tokens=[t for t in tokenizer["added_tokens"] if t not in last]), f)
    if last:
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
            json.dump({"bos_token": "<|endoftext|>", "added_tokens_decoder":
                       {str(t["id"]): {key: value for key, value in t.items() if key != "id"} for t in last}}, f)
    if tokenizer["model"].get("byte_fallback"):
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
            json.dump({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, f)
    theirs = Tokenizer.from_str(json.dumps(tokenizer))
    with open(TEXT, encoding="utf-8") as f:
        text = f.read()
    texts = [t for t in cases.TEXTS if t and "\0" not in t] + ["a<|im_start|>user <think> b"] + [text[i:i + 700] for i in range(0, 70000, 700)]
    if tokenizer["normalizer"] == {"type": "NFC"}:
        texts = [unicodedata.normalize("NFC", t) for t in texts]
    file = os.path.join(job(folder, "w4g32"), "model.gguf")
    _, tokens = llama(file, texts=texts)
    differ = [(t, a, theirs.encode(t).ids) for t, a in zip(texts, tokens) if a != theirs.encode(t).ids]
    again = read_back(file)
    for t, a in zip(texts, tokens):
        composed = again.normalizer.normalize_str(t) == t if type(again.normalizer).__name__ == "NFC" else True
        if composed and a != again.encode(t).ids:  # llama.cpp does not compose, whatever the file was made of
            differ.append((t, a, again.encode(t).ids))
    print("# %s: %d texts, %d cut otherwise" % (name, len(texts), len(differ)))
    return differ


@tap.test
def tokenizers_give_the_same_ids_in_llama_cpp():
    tap.need("cyllama")
    tap.need("tokenizers")
    for name, tokenizer in (("as shipped", byte_level()),
                            ("llama 3", byte_level(ignore_merges)),
                            ("qwen2", byte_level(pre(cut(r"\p{N}"), BYTES))),
                            ("qwen2 composed", byte_level(composes)),
                            ("gpt-2", byte_level(pre(WORDS))),
                            ("smollm", byte_level(pre({"type": "Digits", "individual_digits": True}, WORDS))),
                            ("marks", byte_level(marks)),
                            ("marks beside", byte_level(marks)),
                            ("gemma", pieces({"normalizer": REPLACE, "pre_tokenizer": None})),
                            ("llama 2", pieces({"normalizer": {"type": "Sequence", "normalizers": [PREPEND, REPLACE]},
                                                "pre_tokenizer": None}))):
        differ = agree(name, tokenizer, name.endswith("beside"))
        for d in differ[:3]:
            print("#   %r" % (d,))
        assert not differ, (name, differ[:3])


@tap.test
def what_gguf_has_no_words_for_is_refused_before_any_work():
    for scheme, says in (("w3g32", "no type of gguf holds w3g32 as it is"), ("w4g32z", "no type of gguf holds w4g32z as it is"),
                         ("w4g16", "a block of gguf is 32 weights"), ("w8a8", "gguf says nothing of how inputs are rounded")):
        text = job(tap.DEMO, scheme, code=1, incompatible="refuse")
        assert says in text, (says, text)
    folder = os.path.join(top, "odd")
    shutil.copytree(tap.DEMO, folder)
    for change, says in ((pre(dict(BYTES, use_regex=True, add_prefix_space=True)), "gguf has no word for its normalizer"),
                         (pre(cut(r"\p{N}{1,2}"), BYTES), "gguf has no word for its normalizer")):
        with open(os.path.join(folder, "tokenizer.json"), "w") as f:
            json.dump(byte_level(change), f)
        text = job(folder, "w4g32", code=1)
        assert says in text, (says, text)


shutil.rmtree(top, ignore_errors=True)
tap.done()
