#!/usr/bin/env python3
"""GGUF files as models, with the real programs: the same bytes as from the folder that the file was made of, blocks
decoded to what their codes stand for, and what is wrong named by its key or tensor."""
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
import gguf_file as gg  # noqa: E402
from real_jobs import CALIB, EVAL, MODEL, SOURCE, Place  # noqa: E402
from srqd_client import run_tests, wait_until  # noqa: E402
from tensor_folder import read_folder, write_folder  # noqa: E402

SHORT = {"eval.windows": 2, "eval.seqlen": 32, "threads": 2}
QUICK = [w for k, v in SHORT.items() if k != "threads" for w in ("--set", "%s=%s" % (k, v))]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}


def worker(p, name, model, scheme, formats=("gguf",), method="rtn", code=0, **more):
    job = dict({"model": model, "method": method, "scheme": scheme, "formats": list(formats), "output": p.path(name),
                "eval": [EVAL], "options": SHORT}, **more)
    return p.run(p.env["SRQ_WORKER"], "--spec", p.write_job(name, job), code=code)


def exported(p, name, model, scheme="bf16", **more):
    worker(p, name, model, scheme, **more)
    return p.path(name, "model.gguf")


def random_model(p, name, *words, config=None, more=None):
    """A small model; `more`: {tensor: elements} that it has beside those of llama, in F32."""
    folder = p.path(name)
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, *words], check=True)
    tensors, said = read_folder(folder)
    rng = random.Random(7)
    for tensor, count in (more or {}).items():
        tensors[tensor] = ["F32", [count], struct.pack("<%df" % count, *[rng.uniform(0.5, 1.5) for _ in range(count)])]
    write_folder(folder, tensors, dict(said, **(config or {})))
    return folder


def of_blocks(**counts):
    return {"model.layers.%d.%s" % (b, name.replace("__", ".")): n for b in range(2) for name, n in counts.items()}


def families(p):
    """Folders of every architecture, with what each has that others lack."""
    qkv = of_blocks(self_attn__q_proj__bias=64, self_attn__k_proj__bias=32, self_attn__v_proj__bias=32)
    yield "llama", random_model(p, "llama", "--untied", "--dtype", "F16", config={"rope_scaling": LLAMA3})
    yield "biases", random_model(
        p, "biases", config={"attention_bias": True, "mlp_bias": True, "rope_scaling": YARN},
        more=dict(qkv, **of_blocks(self_attn__o_proj__bias=64, mlp__gate_proj__bias=128, mlp__up_proj__bias=128,
                                   mlp__down_proj__bias=64)))
    yield "mistral", random_model(p, "mistral", config={"model_type": "mistral", "architectures": ["MistralForCausalLM"],
                                                        "rope_scaling": {"rope_type": "linear", "factor": 2.0}})
    yield "qwen2", random_model(p, "qwen2", "--dtype", "F32", config={"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]},
                                more=qkv)
    yield "qwen3", random_model(p, "qwen3", config={"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 16},
                                more=of_blocks(self_attn__q_norm__weight=16, self_attn__k_norm__weight=16))
    yield "gemma", random_model(p, "gemma", "--family", "gemma")


def same_file(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def made_folder(p):
    found, = glob.glob(p.path("cache", "gguf-*"))
    return found


def perplexity(p, model):
    return p.ctl("eval", model, "--eval", EVAL, *QUICK)["perplexity"]


def every_family_gives_the_same_bytes_as_its_folder():
    with Place() as p:
        for name, folder in families(p):
            file = exported(p, name + "-16", folder)
            a, b = exported(p, name + "-a", folder, "w4g32"), exported(p, name + "-b", file, "w4g32")
            assert same_file(a, b), name
            assert perplexity(p, folder) == perplexity(p, file), name
            shutil.rmtree(p.path("cache"))


def the_demo_model_is_tuned_from_its_file():
    """In the formats of Hugging Face too, with a tokenizer; its head of the embedding, its words and its positions."""
    tuned = dict(method="signround", calib=[CALIB], options=dict(SHORT, **{
        "nsamples": 4, "seqlen": 64, "signround.iters": 3, "refine": 0}))
    with Place() as p:
        file = exported(p, "plain", MODEL)
        for name, model in (("a", MODEL), ("b", file)):
            worker(p, name, model, "w4g32", ("gguf", "auto_round"), **tuned)
        assert same_file(p.path("a/gguf/model.gguf"), p.path("b/gguf/model.gguf"))
        assert perplexity(p, p.path("a/auto_round")) == perplexity(p, p.path("b/auto_round"))
        with open(p.path("b/auto_round/config.json")) as f:
            config = json.load(f)
        assert config["architectures"] == ["LlamaForCausalLM"] and config["rope_theta"] == 10000 and config["tie_word_embeddings"]


def blocks_are_what_their_codes_stand_for():
    with Place() as p:
        parameters = p.ctl("inspect", MODEL)["parameters"]
        for scheme in ("w4g32", "w5g32", "w8g32", "mxfp4", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"):
            worker(p, scheme, MODEL, scheme, ("gguf", "fake"))
            file, fake = p.path(scheme, "gguf/model.gguf"), p.path(scheme, "fake")
            about = p.ctl("inspect", file)
            assert about["quantized"] == "gguf" and about["parameters"] == parameters, about
            words = ["--eval", EVAL, *QUICK, "--set", "compute=f32"]
            got, want = (p.ctl("eval", m, *words)["perplexity"] for m in (file, fake))
            assert abs(got - want) < 2e-3 * want, (scheme, got, want)  # fake weights are rounded to bf16
            said = worker(p, "again", file, "w4g32", code=1)
            assert "is already quantized (quant_method gguf); give the original model" in said, said
        # the embedding in blocks as well: it becomes F32
        values, tensors = gg.read(p.path("w8g32/gguf/model.gguf"))
        kind, shape, data = tensors["token_embd.weight"]
        rows, bits = shape[0], struct.unpack("<%dH" % (shape[0] * shape[1]), data)
        wide = struct.unpack("<%df" % len(bits), b"".join(struct.pack("<I", b << 16) for b in bits))
        packed = b""
        for i in range(0, len(wide), 32):
            d = struct.unpack("<e", struct.pack("<e", max(map(abs, wide[i:i + 32])) / 127))[0]
            packed += struct.pack("<e32b", d, *[max(-127, min(127, round(w / d))) if d else 0 for w in wide[i:i + 32]])
        assert kind == gg.BF16 and len(packed) == rows * shape[1] // 32 * 34
        file = gg.write(p.path("embedded.gguf"), values, dict(tensors, **{"token_embd.weight": [8, shape, packed]}))
        got, want = perplexity(p, file), perplexity(p, p.path("w8g32/gguf/model.gguf"))
        assert got != want and abs(got - want) < 0.01 * want, (got, want)


def an_embedding_in_blocks_is_what_was_measured():
    """In the file it is of its type, and whoever reads it has the perplexity of the report; so has a job that was killed."""
    f32 = dict(SHORT, compute="f32")
    words = ["--eval", EVAL, *QUICK, "--set", "compute=f32"]
    with Place() as p:
        gemma = random_model(p, "gemma", "--family", "gemma", "--hidden", "256", "--dtype", "F32")
        untied = random_model(p, "untied", "--untied")
        for name, model, embedding, kind in (("demo", MODEL, "q6_k", 14), ("demo4", MODEL, "q4_k", 12), ("gemma", gemma, "q8_0", 8),
                                             ("untied", untied, "q4_k", 6)):  # rows of 64 are no super-blocks
            worker(p, name + "-out", model, "w8g32", embedding=embedding, options=f32)
            file = p.path(name + "-out", "model.gguf")
            tensors = gg.read(file)[1]
            assert tensors["token_embd.weight"][0] == kind, tensors["token_embd.weight"][0]
            assert ("output.weight" in tensors) == (model == untied)
            with open(p.path(name + "-out", "report.json")) as f:
                report = json.load(f)
            assert report["embedding"] == {"q4_k": "w5g32" if model == untied else "q4_k", "q8_0": "w8g32"}.get(embedding, embedding)
            measured = report["eval"]
            assert measured["before"]["perplexity"] == p.ctl("eval", model, *words)["perplexity"], name
            got = p.ctl("eval", file, *words, "--reference", model)
            want = measured["after"]
            assert abs(got["perplexity"] - want["perplexity"]) < 1e-9 * want["perplexity"], (name, got, want)
            assert abs(got["kl"] - want["kl"]) < 1e-9 and got["kl"] > 0 and got["top1"] == want["top1"], (name, got, want)
        said = p.run(p.env["SRQ_CTL"], "submit", untied, "-m", "rtn", "-s", "w8g32", "-F", "gguf", "--embedding", "q4_k", "-o",
                     p.path("x"), "--dry-run")
        assert "embedding: rows of 64 are no whole super-blocks of q4_k, so it gets w5g32" in said, said
        # tuned on it, killed in the midst, to the same bytes
        tuned = dict(method="signround", calib=[CALIB], embedding="q6_k", options=dict(f32, **{
            "nsamples": 4, "seqlen": 64, "signround.iters": 30, "refine": 1}))
        worker(p, "whole", MODEL, "q4_k", **tuned)
        spec = p.write_job("killed", dict(tuned, model=MODEL, scheme="q4_k", formats=["gguf"], output=p.path("killed"), eval=[EVAL]))
        words = [p.env["SRQ_WORKER"], "--spec", spec]
        run = subprocess.Popen(words, env=p.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("a block is tuned", lambda: glob.glob(p.path("killed.srq-job", "ckpt", "block-*")) or run.poll() is not None)
        run.kill()
        assert run.wait() == -9
        p.run(*words)
        assert same_file(p.path("whole/model.gguf"), p.path("killed/model.gguf"))
        # what cannot be
        for more, says in (({"embedding": "q6_k", "formats": ["auto_round"]}, "auto_round stores an embedding as it is"),
                           ({"embedding": "q6_k", "formats": ["gguf", "fake"]}, "fake stores an embedding as it is"),
                           ({"embedding": "w3g32"}, "no type of gguf holds w3g32"),
                           ({"embedding": "w8a8"}, "an embedding is looked up"), ({"embedding": "w8g48"}, "in rows of 64"),
                           ({"embedding": "q9"}, 'unknown scheme "q9"')):
            said = worker(p, "no", untied, "w4g32", code=1, **dict({"formats": ["gguf"]}, **more))
            assert says in said, (says, said)


def a_file_is_found_where_a_folder_or_an_archive_has_one():
    with Place() as p:
        folder = random_model(p, "model")
        file = exported(p, "out", folder)
        want = p.ctl("inspect", file)
        assert want["path"] == file and want["family"] == "llama" and not want["quantized"]
        assert dict(p.ctl("inspect", p.path("out")), path=file) == want
        with zipfile.ZipFile(p.path("a.zip"), "w") as z:
            z.write(file, "models/some name.gguf")
        assert dict(p.ctl("inspect", p.path("a.zip")), path=file) == want
        assert os.path.basename(made_folder(p)).startswith("gguf-")  # one, by its content
        os.rename(file, p.path("no suffix"))
        assert dict(p.ctl("inspect", p.path("no suffix")), path=file) == want
        shutil.copy(p.path("no suffix"), p.path("out/a.gguf"))
        shutil.copy(p.path("no suffix"), p.path("out/b.gguf"))
        said = p.run(p.env["SRQ_CTL"], "inspect", p.path("out"), code=1)
        assert "holds 2 GGUF files: give one of them" in said, said
        # the daemon takes it, and says by its name what is wrong with it
        job = {"model": p.path("no suffix"), "method": "rtn", "scheme": "w4g32", "formats": ["gguf"], "options": SHORT}
        p.wait(p.submit("queued", job))
        worker(p, "straight", folder, "w4g32", eval=[])
        assert same_file(p.path("queued/model.gguf"), p.path("straight/model.gguf"))
        # a change of the file is another model
        values, tensors = gg.read(p.path("no suffix"))
        tensors["blk.0.attn_q.weight"][2] = tensors["blk.1.attn_q.weight"][2]
        gg.write(p.path("no suffix"), values, tensors)
        before = perplexity(p, folder)
        assert perplexity(p, p.path("no suffix")) != before
        assert len(glob.glob(p.path("cache", "gguf-*"))) == 2


def what_the_file_says_otherwise_is_computed_or_told():
    with Place() as p:
        folder = random_model(p, "model")
        values, tensors = gg.read(exported(p, "out", folder))
        # a rule of llama3 with ones is none, the key of the head's size may be missing, other keys are told
        del values["llama.attention.key_length"]
        values["llama.some.thing"] = (gg.U32, 3)
        values["llama.another"] = (gg.BOOL, True)
        tensors["rope_freqs.weight"] = [gg.F32, [8], struct.pack("<8f", *[1] * 8)]
        tensors["extra.weight"] = [gg.F32, [4], bytes(16)]
        file = gg.write(p.path("m.gguf"), values, tensors)
        said = p.ctl("inspect", file)["warnings"]
        assert any("nothing is known of the keys llama.another and 1 more of the GGUF file" in s for s in said), said
        assert any("tensor extra.weight is nothing that a llama model" in s for s in said), said
        assert perplexity(p, folder) == perplexity(p, file)
        shown = tensors["token_embd.weight"][1][0]
        other = dict(values, **{"llama.vocab_size": (gg.U32, shown + 5), "llama.attention.value_length": (gg.U32, 16)})
        said = p.ctl("inspect", gg.write(p.path("other.gguf"), other, tensors))["warnings"]
        assert any("llama.vocab_size of the GGUF file is %d, and token_embd.weight has %d rows: the latter counts; nothing"
                   % (shown + 5, shown) in s for s in said), said
        other["llama.attention.value_length"] = (gg.U32, 8)
        said = p.run(p.env["SRQ_CTL"], "inspect", gg.write(p.path("other.gguf"), other, tensors), code=1)
        assert "llama.attention.value_length asks for values of another length than keys" in said, said
        # what is put before a text, and the template of chats
        values["tokenizer.ggml.bos_token_id"] = (gg.U32, 5)
        values["tokenizer.ggml.add_bos_token"] = (gg.BOOL, True)
        values["tokenizer.chat_template"] = (gg.TEXT, "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}")
        shutil.rmtree(p.path("cache"))
        p.ctl("inspect", gg.write(p.path("chat.gguf"), values, tensors))
        with open(os.path.join(made_folder(p), "tokenizer_config.json")) as f:
            config = json.load(f)
        first = values["tokenizer.ggml.tokens"][2][5]
        assert config["bos_token"] == first and config["chat_template"].startswith("{{ bos_token }}"), config
        with open(os.path.join(made_folder(p), "tokenizer.json")) as f:
            single = json.load(f)["post_processor"]["single"]
        assert single[0] == {"SpecialToken": {"id": first, "type_id": 0}} and len(single) == 2, single


def what_is_wrong_is_named():
    def key(name, *value):
        return lambda v, t: v.update({name: value}) if value else v.pop(name)

    def tensor(name, *value):
        return lambda v, t: t.update({name: list(value)}) if value else t.pop(name)

    def cut(name, count):
        return lambda v, t: v.update({name: v[name][:2] + (v[name][2][:count],)})

    cases = [
        (key("general.architecture"), "key general.architecture is missing"),
        (key("general.architecture", gg.TEXT, "mamba"), 'general.architecture "mamba" is not one that srq knows (llama, qwen2, qwen3, gemma)'),
        (key("general.architecture", gg.U32, 1), "key general.architecture is not a text"),
        (key("split.count", gg.U32, 3), "is one of 3 parts of a model"),
        (key("llama.block_count"), "key llama.block_count is missing"),
        (key("llama.block_count", gg.FLOAT, 2.0), "key llama.block_count is not an integer"),
        (key("llama.block_count", gg.U32, 3), "tensor model.layers.2.self_attn.q_proj.weight is missing"),
        (key("llama.attention.head_count", gg.U32, 0), "num_attention_heads"),
        (key("llama.attention.head_count", gg.U32, 3), "tensor blk.0.attn_q.weight has 64 rows, which 3 heads do not share"),
        (key("llama.attention.head_count", gg.ARRAY, gg.U32, [4, 4]), "key llama.attention.head_count is not an integer"),
        (key("llama.attention.layer_norm_rms_epsilon"), "key llama.attention.layer_norm_rms_epsilon is missing"),
        (key("llama.attention.layer_norm_rms_epsilon", gg.FLOAT, float("nan")), "is not finite"),
        (key("llama.rope.dimension_count", gg.U32, 8), "positions in a part of each head"),
        (key("llama.rope.scaling.type", gg.TEXT, "longrope"), "key llama.rope.scaling.type asks for frequencies"),
        (key("llama.rope.scaling.type", gg.TEXT, "yarn"), "key llama.rope.scaling.factor is missing"),
        (key("llama.expert_count", gg.U32, 8), "key llama.expert_count asks for experts"),
        (key("llama.attention.causal", gg.BOOL, False), "key llama.attention.causal asks for attention to later tokens"),
        (key("llama.logit_scale", gg.FLOAT, 2.0), "key llama.logit_scale asks for scaled logits"),
        (key("tokenizer.ggml.model"), "key tokenizer.ggml.model is missing"),
        (key("tokenizer.ggml.model", gg.TEXT, "bert"), 'tokenizer.ggml.model "bert" is not one that srq knows (gpt2, llama)'),
        (key("tokenizer.ggml.pre", gg.TEXT, "default"), 'tokenizer.ggml.pre "default" is not one that srq knows (gpt-2, smollm'),
        (key("tokenizer.ggml.tokens", gg.ARRAY, gg.I32, [1, 2]), "key tokenizer.ggml.tokens is not an array of texts"),
        (key("tokenizer.ggml.tokens", gg.ARRAY, gg.TEXT, ["a"] * 999), "key tokenizer.ggml.tokens has 999 elements, and the embedding rows 320"),
        (key("tokenizer.ggml.tokens", gg.ARRAY, gg.TEXT, ["a"] * 320), 'token "a" is there twice'),
        (key("tokenizer.ggml.tokens", gg.ARRAY, gg.TEXT, [b"\xff"] * 320), "element 0 of key tokenizer.ggml.tokens is not a text"),
        (cut("tokenizer.ggml.token_type", 7), "key tokenizer.ggml.token_type has 7 elements, and tokenizer.ggml.tokens 320"),
        (key("tokenizer.ggml.token_type", gg.ARRAY, gg.I32, [9] * 320), "element 0 of key tokenizer.ggml.token_type is 9"),
        (key("tokenizer.ggml.eos_token_id", gg.U32, 4096), "tokenizer.ggml.eos_token_id is 4096, and there are 320 tokens"),
        (tensor("token_embd.weight"), "has no tensor token_embd.weight"),
        (tensor("token_embd.weight", gg.F32, [64], bytes(256)), "has no tensor token_embd.weight of two dimensions"),
        (tensor("output_norm.weight"), "tensor model.norm.weight is missing"),
        (tensor("blk.1.ffn_up.weight"), "tensor model.layers.1.mlp.up_proj.weight is missing"),
        (tensor("blk.1.ffn_up.weight", gg.F32, [2, 64], bytes(512)), "tensor model.layers.1.mlp.up_proj.weight has shape [2, 64]"),
        (tensor("blk.1.ffn_up.weight", gg.F32, [2, 2, 64], bytes(1024)), "tensor blk.1.ffn_up.weight has 3 dimensions"),
        (tensor("blk.1.ffn_up.weight", 26, [128, 64], bytes(128 * 64 * 4)), "tensor model.layers.1.mlp.up_proj.weight is missing"),
        (tensor("blk.0.attn_norm.weight", 8, [64], bytes(68)), "tensor blk.0.attn_norm.weight is Q8_0; vectors must be"),
        (tensor("rope_freqs.weight", gg.F32, [8], struct.pack("<8f", *range(1, 9))), "tensor rope_freqs.weight holds divisors of frequencies that"),
        (tensor("rope_freqs.weight", gg.F32, [9], bytes(36)), "tensor rope_freqs.weight is not F32 [8]"),
        (tensor("blk.0.ffn_up.weight", 8, [128, 64], b"\0\x7e" + bytes(128 * 68 - 2)), "is already quantized (quant_method gguf)"),
    ]
    with Place() as p:
        values, tensors = gg.read(exported(p, "out", random_model(p, "model")))
        for change, says in cases:
            v, t = dict(values), {name: list(one) for name, one in tensors.items()}
            change(v, t)
            shutil.rmtree(p.path("cache"), ignore_errors=True)
            said = worker(p, "refused", gg.write(p.path("m.gguf"), v, t), "w4g32", code=1)
            assert says in said, (says, said)
            assert not glob.glob(p.path("cache", "part-*")), (says, os.listdir(p.path("cache")))
        # a scale that is no number, in blocks
        v, t = dict(values), {name: list(one) for name, one in tensors.items()}
        cases[-1][0](v, t)
        said = p.run(p.env["SRQ_CTL"], "eval", gg.write(p.path("nan.gguf"), v, t), "--eval", EVAL, *QUICK, code=1)
        assert "row 0 of model.layers.0.mlp.up_proj is not finite" in said, said
        # half a file
        with open(gg.write(p.path("m.gguf"), values, tensors), "rb") as f:
            data = f.read()
        for at in (3, 30, 3000, len(data) // 2, len(data) - 40):
            with open(p.path("cut.gguf"), "wb") as f:
                f.write(data[:at])
            said = worker(p, "refused", p.path("cut.gguf"), "w4g32", code=1)
            assert p.path("cut.gguf") in said, said


if __name__ == "__main__":
    run_tests([
        every_family_gives_the_same_bytes_as_its_folder,
        the_demo_model_is_tuned_from_its_file,
        blocks_are_what_their_codes_stand_for,
        an_embedding_in_blocks_is_what_was_measured,
        a_file_is_found_where_a_folder_or_an_archive_has_one,
        what_the_file_says_otherwise_is_computed_or_told,
        what_is_wrong_is_named,
    ])
