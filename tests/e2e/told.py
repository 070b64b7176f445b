#!/usr/bin/env python3
"""Networks that are told a text (UNet2DConditionModel) with the real programs: Stable Diffusion 1.5 in its real shapes is
opened and planned; what needs a text encoder is refused, and what does not is done."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from make_stable_diffusion import make, shapes  # noqa: E402
from real_jobs import SOURCE, Place, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors  # noqa: E402

TOLD = os.path.join(SOURCE, "tests/reference/unets/told")
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
SAYS = "is told a text (UNet2DConditionModel), and srq runs no text encoder"


def words(model, out, *more, method="diffusion-ptq", scheme="w8a8"):
    return ["submit", model, "-m", method, "-s", scheme, "-F", "fake", "-o", out, *more]


def stable_diffusion_is_opened_in_its_real_shapes():
    with Place() as p:
        folder = p.path("sd15")
        make(folder)
        about = p.ctl("inspect", folder)
        assert about["family"] == "UNet2DConditionModel" and about["parameters"] == 859520964, about["parameters"]
        assert about["pictures"] == {"height": 64, "width": 64, "channels": 4, "out_channels": 4}
        assert not about["warnings"], about["warnings"]
        convs = [l for l in about["layers"] if l["kernel"]]
        assert (len(convs), len(about["layers"]) - len(convs)) == (98, 184)
        assert sum(l["out"] * l["in"] for l in convs) == 589027840 and about["blocks"] == 47
        want = {n[:-7]: s for n, s in shapes().items() if n.endswith(".weight") and len(s) > 1}
        assert {l["name"]: l["out"] for l in about["layers"]} == {n: s[0] for n, s in want.items()}


def stable_diffusion_is_planned_with_its_memory():
    with Place() as p:
        folder, out = p.path("sd15"), p.path("out")
        make(folder)
        plan = p.ctl(*words(folder, out, "--dry-run", "--set", "threads=2", "--set", "max_memory=200000000000"))
        rows = {r["name"]: r["bytes"] for r in plan["memory"]["rows"]}
        assert len(plan["layers"]) == 282 and any(SAYS in w for w in plan["warnings"]), plan["warnings"]
        assert rows["train: weights, gradients and optimizer"] > 6.8e9, rows
        # a training step keeps weights, gradients, two moments and an average of each of 860 million numbers
        text = p.run(p.env["SRQ_CTL"], *words(folder, out, "--dry-run", "--set", "max_memory=24000000000",
                                              method="diffusion-qat"), code=1)
        assert "of memory and may have 22.4 GiB: train: weights, gradients and optimizer 16.0 GiB" in text, text


def what_needs_a_text_encoder_is_refused():
    with Place() as p:
        text = p.run(p.env["SRQ_CTL"], *words(TOLD, p.path("out")), code=1)
        assert SAYS in text, text
        spec = p.write_job("job", {"model": TOLD, "method": "diffusion-ptq", "scheme": "w8a8", "formats": ["fake"],
                                   "output": p.path("out")})
        text = p.run(p.env["SRQ_WORKER"], "--spec", spec, code=1)
        assert SAYS in text, text
        text = p.run(p.env["SRQ_CTL"], "sample", TOLD, "-o", p.path("x.png"), code=1)
        assert SAYS in text, text
        assert not os.path.exists(p.path("out"))


def weights_are_rounded_without_one():
    with Place() as p:
        spec = p.write_job("job", {"model": TOLD, "method": "rtn", "scheme": "w4", "formats": ["fake"],
                                   "output": p.path("out"), "options": {"samples": 0, "threads": 2}})
        p.run(p.env["SRQ_WORKER"], "--spec", spec)
        assert p.ctl("inspect", p.path("out"))["family"] == "UNet2DConditionModel"
        assert report(p.path("out"))["size"]["average_bits"] < 9

        was, now = (read_tensors(os.path.join(folder, WEIGHTS)) for folder in (TOLD, p.path("out")))
        assert was.keys() == now.keys()
        name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        assert was[name] != now[name] and was["conv_norm_out.weight"] == now["conv_norm_out.weight"]


def other_networks_are_refused_by_their_part():
    cases = [
        ("addition_embed_type", "text_time"), ("transformer_layers_per_block", [1, 2]), ("only_cross_attention", True),
        ("dual_cross_attention", True), ("encoder_hid_dim_type", "text_proj"), ("num_class_embeds", 10),
        ("class_embed_type", "timestep"), ("conv_in_kernel", 1), ("mid_block_type", "UNetMidBlock2DSimpleCrossAttn"),
        ("attention_head_dim", 3), ("cross_attention_dim", [6, 6]), ("attention_type", "gated"),
        ("time_embedding_type", "fourier"), ("down_block_types", ["SimpleCrossAttnDownBlock2D", "DownBlock2D"]),
        ("resnet_out_scale_factor", 2), ("time_cond_proj_dim", 256), ("layers_per_block", [1, 2]),
        ("cross_attention_norm", "layer_norm"),
    ]
    with Place() as p:
        for key, value in cases:
            folder = p.path("model")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(TOLD, folder)
            with open(os.path.join(folder, "unet/config.json")) as f:
                config = json.load(f)
            with open(os.path.join(folder, "unet/config.json"), "w") as f:
                json.dump(dict(config, **{key: value}), f)
            text = p.run(p.env["SRQ_CTL"], "inspect", folder, code=1)
            assert key in text and text.count("\n") == 1, (key, text)


if __name__ == "__main__":
    run_tests([
        stable_diffusion_is_opened_in_its_real_shapes,
        stable_diffusion_is_planned_with_its_memory,
        what_needs_a_text_encoder_is_refused,
        weights_are_rounded_without_one,
        other_networks_are_refused_by_their_part,
    ])
