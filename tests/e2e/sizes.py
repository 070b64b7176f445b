#!/usr/bin/env python3
"""The size that is forecast is the size that comes out: for every format, by plan, by live change, and in the report."""
import math
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
import gguf_file  # noqa: E402
from real_jobs import CALIB, SOURCE, Place, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors  # noqa: E402

Q = "model.layers.0.self_attn.q_proj"
SIDES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}


def tensor_bytes(folder):
    """Bytes of all tensors of an exported folder and those in it, from the headers of their files."""
    total = 0
    for path in (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names):
        if path.endswith(".gguf"):
            total += sum(len(data) for _, _, data in gguf_file.read(path)[1].values())
        if not path.endswith(".safetensors") or os.path.basename(path).startswith("srq_"):
            continue
        for name, (dtype, shape, data) in read_tensors(path).items():
            assert len(data) == SIDES.get(dtype, 1) * math.prod(shape), name
            total += len(data)
    return total


def model(place, *words):
    folder = place.path("model" + "".join(words))
    if not os.path.exists(folder):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--hidden", "128", "--mlp",
                        "256"] + list(words), check=True)
    return folder


def check(place, name, **spec):
    spec = dict({"method": "rtn", "model": model(place), "output": place.path(name)}, **spec)
    path = place.write_job(name, spec)
    forecast = place.ctl("submit", "--job", path, "--dry-run")["size"]
    job = place.ctl("submit", "--job", path)
    assert job["size"] == forecast, (job["size"], forecast)
    place.wait(job["job"])
    formats = spec.get("formats", ["auto_round"])
    first = place.path(name) if len(formats) == 1 else place.path(name, formats[0])
    size, real = report(place.path(name))["size"], tensor_bytes(first)
    assert size["after_bytes"] == real, "%s: %d reported, %d written" % (name, size["after_bytes"], real)
    assert forecast["after_bytes"] in (None, real), "%s: %s forecast, %d written" % (name, forecast, real)
    assert size["before_bytes"] == tensor_bytes(spec["model"])
    assert place.ctl("show", job["job"])["after_bytes"] == real
    return forecast, size


def every_format_is_forecast_to_the_byte():
    with Place() as p:
        for form, schemes in (("auto_round", ("w4g64", "w3g64", "w2g32z", "w8")), ("auto_gptq", ("w4g64", "w3g64")),
                              ("auto_awq", ("w4g64z",)), ("gguf", ("w4g64", "w5g32", "w8", "mxfp4", "q4_k")),
                              ("fake", ("w4g64", "w2g32")),
                              ("compressed-tensors", ("w4g64", "w8", "mxfp4", "mxfp8", "nvfp4", "fp8", "fp8t"))):
            for scheme in schemes:
                forecast, _ = check(p, form + scheme, formats=[form], scheme=scheme)
                assert forecast["after_bytes"] is not None
        wide = model(p, "--hidden", "256", "--mlp", "512")
        for scheme in ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k"):
            check(p, "wide" + scheme, model=wide, scheme=scheme, formats=["gguf"])
            check(p, "words" + scheme, model=wide, scheme=scheme, formats=["gguf"], embedding=scheme)
        check(p, "words", formats=["gguf"], scheme="w4g64", embedding="q6_k")  # rows of 128: w8g32
        check(p, "two", formats=["auto_gptq", "fake"], scheme="w4g64")
        check(p, "kept", formats=["auto_gptq"], scheme="w4g64", layers=[{"pattern": "*.mlp.down_proj", "scheme": "bf16"}])
        check(p, "untied", model=model(p, "--untied"), formats=["auto_gptq"], scheme="w4g64", quant_lm_head=True)


def a_transform_folds_into_the_size_that_was_forecast():
    with Place() as p:
        check(p, "smooth", method="smoothquant,rtn", formats=["auto_gptq"], scheme="w4g64", calib=[CALIB],
              options={"nsamples": 4, "seqlen": 32, "threads": 1})


def the_time_that_scales_take_is_forecast():
    with Place() as p:
        said = []
        for steps in (0, 400, 4000):
            path = p.write_job("scales", {"model": model(p), "method": "teq,rtn", "scheme": "w4g64", "calib": [CALIB],
                                          "output": p.path("scales"), "options": {"teq.steps": steps, "threads": 1}})
            said.append(p.ctl("submit", "--job", path, "--dry-run")["estimate_s"])
        assert said[1] > 2 * said[0] and 4 * said[1] < said[2] < 20 * said[1], said


def a_budget_has_no_size_before_it_is_solved():
    with Place() as p:
        budget = {"bits": 4, "candidates": ["w2g64", "w4g64", "w8g64"]}
        spec = {"formats": ["auto_gptq"], "budget": budget, "calib": [CALIB],
                "options": {"threads": 1, "deltaloss.nsamples": 2, "deltaloss.seqlen": 32}}
        forecast, size = check(p, "budget", **spec)
        assert forecast["after_bytes"] is None and forecast["average_bits"] is None, forecast
        assert size["average_bits"] <= 4
        path = p.write_job("again", dict(spec, model=model(p), method="rtn", output=p.path("again")))
        words = p.run(p.env["SRQ_CTL"], "submit", "--job", path, "--dry-run")
        assert "chosen once layers are scored, at most 4" in words, words


def a_live_change_forecasts_what_comes_out():
    with Place() as p:
        path = p.write_job("live", {"method": "rtn", "model": model(p), "scheme": "w4g64", "formats": ["auto_gptq"],
                                    "output": p.path("live")})
        job = p.ctl("submit", "--job", path, "--paused")["job"]
        said = p.ctl("pin", job, Q, "w8g64", "--dry-run")["size"]
        assert p.ctl("pin", job, Q, "w8g64")["size"] == said
        p.ctl("resume", job)
        p.wait(job)
        assert tensor_bytes(p.path("live")) == said["after_bytes"] == report(p.path("live"))["size"]["after_bytes"]


def the_model_for_steps_of_full_precision_counts():
    few = {"samples": 2, "preview": 0, "sample_steps": 4, "nsamples": 4, "threads": 1, "diffusion-ptq.batches": 1,
           "diffusion-ptq.batch": 2}
    original = os.path.join(SOURCE, "share/models/demo-ddpm")
    with Place() as p:
        for name, form, more in (("none", "int8", {"hp_first": 0}), ("bf16", "int8", {"hp_first": 2}),
                                 ("f32", "int8", {"hp_first": 2, "hp_dtype": "f32"}), ("rule", "int8", {"sample_steps": 6}),
                                 ("fake", "fake", {"hp_first": 2})):
            _, size = check(p, name, model=original, method="diffusion-ptq", scheme="w8a8", formats=[form], options=dict(few, **more))
            high = os.path.exists(p.path(name, "high"))
            assert high == (name not in ("none", "fake")), name
        check(p, "rtn", model=original, scheme="w8", formats=["int8"],
              options={k: v for k, v in dict(few, hp_first=2).items() if "." not in k})
        assert os.path.exists(p.path("rtn", "high"))
        spec = {"model": original, "method": "diffusion-ptq", "scheme": "w8a8", "formats": ["int8"], "output": p.path("found"),
                "options": dict(few, hp_sqnr=1)}  # no step is that bad, which is known once it is measured
        path = p.write_job("found", spec)
        forecast = p.ctl("submit", "--job", path, "--dry-run")["size"]["after_bytes"]
        p.ctl("submit", "--job", path, "--wait")
        assert report(p.path("found"))["size"]["after_bytes"] == tensor_bytes(p.path("found")) < forecast


def a_changed_plan_of_a_waiting_job_is_counted_as_what_it_needs_now():
    """As a job that was asked for so at once."""
    few = [{"pattern": "*", "scheme": "bf16"}, {"pattern": "model.layers.0.self_attn.o_proj", "scheme": "w4g64"}]
    with Place() as p:
        def spec(name, layers):
            return p.write_job(name, {"method": "signround", "model": model(p), "scheme": "w4g64", "formats": ["auto_gptq"],
                                      "calib": [CALIB], "output": p.path(name), "layers": layers,
                                      "options": {"nsamples": 4, "seqlen": 32, "batch": 2, "threads": 1, "signround.iters": 2}})
        want = p.ctl("submit", "--job", spec("all", [{"pattern": "*", "scheme": "w8g64"}]), "--dry-run")
        job = p.ctl("submit", "--job", spec("some", few), "--paused")["job"]
        before = p.ctl("show", job)
        assert before["memory_bytes"] < want["memory"]["planned_bytes"], (before["memory_bytes"], want["memory"])
        told = p.ctl("pin", job, "*", "w8g64")
        now = p.ctl("show", job)
        def planned(memory):
            """All but what is measured anew each time."""
            return [r for r in memory["rows"] if not r["name"].startswith("libraries")]
        assert planned(told["memory"]) == planned(want["memory"]) and told["disk"] == want["disk"], (told, want)
        assert now["memory_bytes"] == told["memory"]["planned_bytes"], (now["memory_bytes"], told["memory"])
        assert now["memory"] == told["memory"] and now["disk"] == want["disk"], (now["disk"], want["disk"])
        assert now["after_bytes"] == want["size"]["after_bytes"] == told["size"]["after_bytes"], now
        budget = p.ctl("submit", "--job", p.write_job("budget", {
            "method": "deltaloss,knapsack,rtn", "model": model(p), "formats": ["auto_gptq"], "calib": [CALIB],
            "output": p.path("budget"), "budget": {"bits": 4, "candidates": ["w2g64", "w4g64", "w8g64"]}}), "--paused")["job"]
        assert p.ctl("show", budget)["scheme"] == "within 4 bits"
        p.ctl("budget", budget, "5")
        assert p.ctl("show", budget)["scheme"] == "within 5 bits"
        p.ctl("budget", budget, "none")
        assert "within" not in p.ctl("show", budget)["scheme"]
        p.run(p.env["SRQ_CTL"], "daemon", "stop")
        assert p.ctl("show", job)["memory_bytes"] == now["memory_bytes"], "the next daemon counts so too"


def the_disk_forecast_holds_all_files_of_the_result():
    """Sizes beside the weights are no trifle: a tokenizer and a page of text are larger than a small model."""
    with Place() as p:
        folder = model(p, "--blocks", "3")
        with open(os.path.join(folder, "README.md"), "w") as f:
            f.write("x" * 300000)
        for name, more in (("one", {"formats": ["auto_gptq"]}),
                           ("two", {"formats": ["auto_round", "fake"], "options": {"archive": "tar"}})):
            path = p.write_job(name, dict({"method": "rtn", "model": folder, "scheme": "w4g32", "output": p.path(name)}, **more))
            rows = p.ctl("submit", "--job", path, "--dry-run")["disk"]["rows"]
            p.ctl("submit", "--job", path, "--wait")
            took = sum(os.path.getsize(os.path.join(at, n)) for at, _, names in os.walk(p.path(name)) for n in names)
            said = {r["name"]: r["bytes"] for r in rows if r["stage"] == "output"}
            assert name == "two" or said["output"] == tensor_bytes(p.path(name)), said
            assert took <= said["output"] + said["files beside the weights"] < 1.25 * took + 100000, (took, said)
            if name == "two":
                assert os.path.getsize(p.path(name + ".tar")) <= said["output, packed"], said


if __name__ == "__main__":
    run_tests([every_format_is_forecast_to_the_byte, the_time_that_scales_take_is_forecast, a_transform_folds_into_the_size_that_was_forecast,
               a_budget_has_no_size_before_it_is_solved, a_live_change_forecasts_what_comes_out,
               a_changed_plan_of_a_waiting_job_is_counted_as_what_it_needs_now,
               the_model_for_steps_of_full_precision_counts, the_disk_forecast_holds_all_files_of_the_result])
