#!/usr/bin/env python3
"""Folders that are quantized already: what eval computes of them, and what is told of them."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import EVAL, MODEL, Failed, Place, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_folder, write_folder  # noqa: E402

SHORT = {"eval.windows": 2, "eval.seqlen": 64}
QUICK = [word for key, value in dict(SHORT, compute="f32").items() for word in ("--set", "%s=%s" % (key, value))]


def changed(place, folder, change):
    """A copy of a folder after change(tensors, config)."""
    copy = place.path("changed")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    tensors, config = read_folder(copy)
    change(tensors, config)
    write_folder(copy, tensors, config)
    return copy


def untied(place):
    """The trained demo model with a head of its own, which has the embedding's values."""
    def change(tensors, config):
        config["tie_word_embeddings"] = False
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]

    os.rename(changed(place, MODEL, change), place.path("untied"))
    return place.path("untied")


def perplexity(place, folder):
    return place.ctl("eval", folder, "--eval", EVAL, *QUICK)["perplexity"]


def a_quantized_head_is_decoded_whatever_its_tensor_is_called():
    with Place() as p:
        model = untied(p)
        for scheme in ("fp8", "fp8t", "mxfp8", "w8a8", "mxfp4", "w4g32"):
            p.ctl("submit", "--job", p.write_job(scheme, {
                "model": model, "method": "rtn", "scheme": scheme, "quant_lm_head": True, "eval": [EVAL],
                "formats": ["compressed-tensors", "fake"], "output": p.path(scheme), "options": dict(SHORT, compute="f32")}), "--wait")
            want = report(p.path(scheme))["eval"]["after"]["perplexity"]
            got = perplexity(p, p.path(scheme, "compressed-tensors"))
            assert abs(got - want) < 1e-3 * want, (scheme, got, want)
            fake = perplexity(p, p.path(scheme, "fake"))
            assert abs(got - fake) < 1e-2 * fake, (scheme, got, fake)


def what_does_not_fit_together_is_told_of_packed_folders_too():
    bias = "model.layers.0.self_attn.q_proj.bias"
    lone = "tensor %s is nothing that a llama model of this config.json has: it is not used" % bias

    def surplus(tensors, config):
        tensors[bias] = ["BF16", [256], bytes(512)]

    def tie(tensors, config):
        config["tie_word_embeddings"] = True

    def other_head(tensors, config):
        config["tie_word_embeddings"] = True
        tensors["lm_head.weight"][2] = bytes(len(tensors["lm_head.weight"][2]))

    def no_head(tensors, config):
        del tensors["lm_head.weight"]

    formats = ["auto_round", "auto_gptq", "compressed-tensors"]
    with Place() as p:
        model = untied(p)
        parameters = p.ctl("inspect", model)["parameters"]
        for name, more in (("plain", {}), ("head", {"quant_lm_head": True})):
            p.ctl("submit", "--job", p.write_job(name, dict({"model": model, "method": "rtn", "scheme": "w4g32", "formats": formats,
                                                             "output": p.path(name)}, **more)), "--wait")
        for scheme in ("nvfp4", "fp8t", "w8g32z"):
            p.ctl("submit", "--job", p.write_job(scheme, {"model": model, "method": "rtn", "scheme": scheme, "output": p.path(scheme),
                                                          "formats": ["compressed-tensors"], "quant_lm_head": True}), "--wait")
            about = p.ctl("inspect", p.path(scheme))
            assert about["warnings"] == [] and about["parameters"] == parameters, (scheme, about)
        for form in formats:
            out, packed = p.path("plain", form), p.path("head", form)
            assert p.ctl("inspect", out)["warnings"] == p.ctl("inspect", packed)["warnings"] == [], form
            assert p.ctl("inspect", changed(p, out, surplus))["warnings"] == [lone], form
            for folder, change, words in ((out, other_head, "lm_head.weight has other values than model.embed_tokens.weight"),
                                          (packed, tie, "but config.json ties the head to model.embed_tokens.weight"),
                                          (out, no_head, "there is no lm_head.weight")):
                said = p.ctl("inspect", changed(p, folder, change))["warnings"]
                assert len(said) == 1 and words in said[0] and "carried" not in said[0], (form, said)


def a_tensor_that_is_not_finite_is_named():
    def nan_in(name):
        def change(tensors, config):
            tensors[name][2] = b"\xc0\x7f" + tensors[name][2][2:]
        return change

    def refusal(place, *words):
        try:
            place.ctl("eval", *words, "--eval", EVAL, *QUICK)
        except Failed as e:
            return e.text
        raise AssertionError("it was evaluated")

    with Place() as p:
        p.ctl("submit", "--job", p.write_job("packed", {"model": MODEL, "method": "rtn", "scheme": "w4g32", "output": p.path("packed"),
                                                        "formats": ["compressed-tensors"]}), "--wait")
        for folder in MODEL, p.path("packed"):
            for name in "model.norm.weight", "model.layers.2.input_layernorm.weight":
                said = refusal(p, changed(p, folder, nan_in(name)))
                assert "tensor %s has NaN or Inf at element 0" % name in said, said
        said = refusal(p, p.path("packed"), "--reference", changed(p, MODEL, nan_in("model.norm.weight")))
        assert "tensor model.norm.weight has NaN or Inf at element 0" in said, said


if __name__ == "__main__":
    run_tests([a_quantized_head_is_decoded_whatever_its_tensor_is_called,
               what_does_not_fit_together_is_told_of_packed_folders_too, a_tensor_that_is_not_finite_is_named])
