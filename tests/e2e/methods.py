#!/usr/bin/env python3
"""One-shot methods and transforms as whole jobs of srq-worker: what they gain, that kills leave no trace, what is refused."""
import json
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, EVAL, MODEL, SOURCE, Place, differing, events, report, results_of, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

SMALL = dict(nsamples=8, seqlen=64, batch=4, threads=2, eval__windows=4, refine=0)
TEQ = dict(SMALL, teq__nsamples=24, teq__seqlen=64, teq__holdout=8, teq__batch=4, teq__probe_every=5)


def job(method, scheme, calib=True, formats=("auto_round",), evaluate=False, **options):
    j = {"model": MODEL, "method": method, "scheme": scheme, "formats": list(formats),
         "options": {k.replace("__", "."): v for k, v in options.items()}}
    if calib:
        j["calib"] = [CALIB]
    if evaluate:
        j["eval"] = [EVAL]
    return j


def worker(p, name, j, code=0):
    path = p.write_job(name, dict(j, output=p.path(name)))
    return p.run(p.env["SRQ_WORKER"], "--spec", path, "--dir", p.path(name + ".job"), code=code)


def gptq_hqq_and_awq_lose_less_than_plain_rounding():
    with Place() as p:
        more = dict(SMALL, nsamples=64, seqlen=128)
        for method, scheme in (("gptq", "w3g64"), ("gptq", "w2g64z"), ("awq", "w3g64z"), ("hqq", "w2g32z")):
            worker(p, method + scheme, job(method, scheme, evaluate=True, **more))
            e = report(p.path(method + scheme))["eval"]
            print("# %s %s: perplexity %.3f, plainly rounded %.3f, original %.3f" % (
                method, scheme, e["after"]["perplexity"], e["rtn"]["perplexity"], e["before"]["perplexity"]))
            assert e["after"]["kl"] < e["rtn"]["kl"], e


def scales_of_one_leave_the_codes_of_plain_rounding():
    """Spec teq 14.1."""
    with Place() as p:
        worker(p, "plain", job("rtn", "w3g64", calib=False, threads=2))
        worker(p, "ones", job("teq,rtn", "w3g64", **dict(TEQ, teq__steps=0)))
        assert set(differing(p.path("plain"), p.path("ones"))) <= {"srq_scales.st"}, differing(p.path("plain"), p.path("ones"))


def training_lowers_the_loss_on_samples_held_out():
    """Spec teq 14.6, in little."""
    with Place() as p:
        worker(p, "out", job("teq,rtn", "w3", evaluate=True, **dict(TEQ, teq__steps=30, teq__lr=0.005)))
        r = report(p.path("out"))
        t = r["transform"]
        print("# %s; perplexity %.3f, plainly rounded %.3f" % (t, r["eval"]["after"]["perplexity"], r["eval"]["rtn"]["perplexity"]))
        assert t["plugin"] == "teq" and t["steps"] == 30 and t["best_step"] > 0 and t["loss_best"] < t["loss_first"], t
        assert t["fold_error"] <= 1e-5 and t["scale_min"] < 1 < t["scale_max"], t
        points = events(p.path("out.job"), "transform.point")
        probes = events(p.path("out.job"), "transform.probe")
        assert len(points) == 30 and len(probes) == 7, (len(points), len(probes))
        assert probes[-1]["spread_max"] > probes[0]["spread_max"] == 0


def training_lowers_the_loss_of_k_quants_too():
    """Their ranges follow the scales as those of integers do; without that no step is better than none."""
    with Place() as p:
        worker(p, "out", job("teq,rtn", "q3_k", formats=("fake",), **dict(TEQ, teq__steps=30)))
        t = report(p.path("out"))["transform"]
        assert t["best_step"] > 0 and t["loss_best"] < t["loss_first"] and t["scale_min"] < 1 < t["scale_max"], t


def a_thousand_steps_end_below_plain_rounding():
    """Spec teq 14.6, in full: on text held out, and never worse than the start where the best is kept."""
    with Place() as p:
        few = dict(SMALL, nsamples=4, eval__windows=64, teq__batch=1, teq__seqlen=64, teq__nsamples=160, teq__holdout=16)
        thousand = dict(few, teq__steps=1000, teq__probe_every=50)
        worker(p, "long", job("teq,rtn", "w3", evaluate=True, **thousand))
        r = report(p.path("long"))
        t = r["transform"]
        print("# %s; perplexity %.3f, plainly rounded %.3f" % (t, r["eval"]["after"]["perplexity"], r["eval"]["rtn"]["perplexity"]))
        assert t["steps"] == 1000 and t["loss_best"] < t["loss_first"], t
        assert r["eval"]["after"]["perplexity"] < r["eval"]["rtn"]["perplexity"], r["eval"]
        # steps so large that they destroy the model: nothing of them is kept
        worker(p, "wild", job("teq,rtn", "w3", **dict(few, teq__steps=5, teq__lr=0.9, teq__warmup=0)))
        worker(p, "plain", job("rtn", "w3", calib=False, threads=2))
        t = report(p.path("wild"))["transform"]
        assert t["loss_best"] == t["loss_first"] and t["best_step"] == 0, t
        assert set(differing(p.path("plain"), p.path("wild"))) <= {"srq_scales.st"}, differing(p.path("plain"), p.path("wild"))


def check_kills(name, j, ready):
    with Place() as p:
        worker(p, "calm", j)
        path, folder = p.write_job("killed", dict(j, output=p.path("killed"))), p.path("killed.job")
        p.env["SRQ_CACHE_DIR"] = p.path("another-cache")  # what the calm job kept there is not to be found
        words = ["--spec", path, "--dir", folder]
        for n in (1, 2):
            w = subprocess.Popen([p.env["SRQ_WORKER"], *words], env=p.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until("a place for kill %d" % n, lambda: ready(folder, n) or w.poll() is not None)
            w.send_signal(signal.SIGKILL)
            assert w.wait() == -signal.SIGKILL, "it was over before it was killed"
            words = ["--job", folder]
        p.run(p.env["SRQ_WORKER"], *words)
        assert not differing(p.path("calm"), p.path("killed")), differing(p.path("calm"), p.path("killed"))
        assert results_of(p.path("calm")) == results_of(p.path("killed"))


def kills_leave_no_trace_on_trained_scales():
    def ready(folder, n):
        return len([e for e in events(folder, "checkpoint") if e["block"] is None]) >= 3 * n

    check_kills("teq", job("teq,gptq", "w3g64", **dict(TEQ, teq__steps=30, teq__init="awq", checkpoint_s=0.02)), ready)


def kills_leave_no_trace_on_feedback():
    check_kills("gptq", job("gptq", "w3g64", **dict(SMALL, nsamples=64, seqlen=128, gptq__act_order=True)),
                lambda folder, n: len(events(folder, "block.end")) >= 2 * n)


def make_gemma(folder):
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--family", "gemma", "--kv", "1"],
                   check=True)


def a_gemma_goes_the_same_ways():
    """Norms that store their gains less 1 take scales too, and what is measured against plain rounding is gained."""
    with Place() as p:
        make_gemma(p.path("gemma"))
        options = dict(TEQ, nsamples=32, teq__steps=40, signround__iters=40)
        for method, scheme in (("rtn", "w4g32"), ("gptq", "w3"), ("signround", "w2g32"), ("teq,gptq", "w3"), ("teq,signround", "w3g32"),
                               ("smoothquant,rtn", "w8a8")):
            formats = ["compressed-tensors" if scheme == "w8a8" else "auto_round"]
            own = {k: v for k, v in options.items() if "__" not in k or k.split("__")[0] in ("eval", *method.split(","))}
            worker(p, method, dict(job(method, scheme, evaluate=True, formats=formats, **own), model=p.path("gemma")))
            r = report(p.path(method))
            e, t = r["eval"], r.get("transform")
            print("# %s %s: KL %.5f, plainly rounded %.5f" % (method, scheme, e["after"]["kl"], e["rtn"]["kl"]))
            assert e["after"]["kl"] < e["rtn"]["kl"] or scheme in ("w4g32", "w8a8"), e
            assert ("," in method) == (t is not None) and (t is None or 0 < t["fold_error"] <= 1e-5), t


def kills_leave_no_trace_on_a_gemma():
    def ready(folder, n):
        at = [e["block"] for e in events(folder, "checkpoint")]
        return len(at) >= 3 if n == 1 else len(at) > 0 and at[-1] is not None

    with tempfile.TemporaryDirectory() as folder:
        make_gemma(os.path.join(folder, "gemma"))
        more = dict(TEQ, teq__steps=200, signround__iters=200, checkpoint_s=0.02)
        check_kills("gemma", dict(job("teq,signround", "w3g32", **more), model=os.path.join(folder, "gemma")), ready)


def scales_are_taken_from_an_earlier_output():
    with Place() as p:
        worker(p, "first", job("teq,rtn", "w3g64", **dict(TEQ, teq__steps=0, teq__init="awq")))
        scales = p.path("first", "srq_scales.st")
        worker(p, "again", job("teq,rtn", "w3g64", calib=False, threads=2, teq__load=scales))
        assert not differing(p.path("first"), p.path("again")), differing(p.path("first"), p.path("again"))
        with open(scales, "rb") as f:
            data = f.read()
        bad = p.path("bad.st")
        for what, content, part in (("cut", data[:len(data) // 2], "bad.st"), ("renamed", data.replace(b"input_layernorm", b"inputXlayernorm"), "scale"),
                                    ("empty", b"", "bad.st")):
            with open(bad, "wb") as f:
                f.write(content)
            said = worker(p, what, job("teq,rtn", "w3g64", calib=False, threads=2, teq__load=bad), code=1)
            assert part in said, (what, said[-300:])
            assert not os.path.exists(p.path(what))
        said = worker(p, "missing", job("teq,rtn", "w3g64", calib=False, threads=2, teq__load=p.path("nothing.st")), code=1)
        assert "nothing.st" in said, said[-300:]


def a_transform_alone_is_exported_as_weights():
    with Place() as p:
        worker(p, "out", job("awq", "w3g64", formats=["fake"], evaluate=True, **dict(SMALL, awq__clip="off")))
        worker(p, "alone", job("smoothquant", "w8", formats=["fake"], evaluate=True, **SMALL))
        e = report(p.path("alone"))["eval"]
        assert abs(e["after"]["perplexity"] / e["before"]["perplexity"] - 1) < 1e-4, e
        got = json.loads(p.run(p.env["SRQ_CTL"], "eval", p.path("alone"), "--eval", EVAL, "--set", "eval.windows=4", "--set",
                               "eval.seqlen=64", "--json"))
        assert abs(got["perplexity"] / e["before"]["perplexity"] - 1) < 2e-2, (got, e)


def activations_are_rounded_where_the_scheme_says_so():
    """The report's figures are those of the model as exported, whose configuration says what is done with inputs."""
    with Place() as p:
        kl = {}
        for method, scheme in (("rtn", "w8"), ("rtn", "w8a8"), ("smoothquant,rtn", "w8a8"), ("rtn", "w8a4"), ("gptq", "w4g64a8")):
            name = method + scheme
            worker(p, name, job(method, scheme, formats=["compressed-tensors"], evaluate=True, **dict(SMALL, eval__windows=8)))
            e = report(p.path(name))["eval"]
            got = json.loads(p.run(p.env["SRQ_CTL"], "eval", p.path(name), "--reference", MODEL, "--eval", EVAL, "--set", "threads=2",
                                   "--set", "eval.windows=8", "--set", "eval.seqlen=64", "--json"))
            assert abs(got["kl"] / e["after"]["kl"] - 1) < 1e-3, (name, got["kl"], e)
            kl[name] = e["after"]["kl"]
            with open(p.path(name, "config.json")) as f:
                q = json.load(f)["quantization_config"]
            inputs = q["config_groups"]["group_0"]["input_activations"]
            if scheme == "w8":
                assert inputs is None and q["format"] == "pack-quantized", q
            else:
                assert q["format"] == "int-quantized" and inputs["num_bits"] == int(scheme[-1]), q
                assert (inputs["strategy"], inputs["dynamic"], inputs["symmetric"]) == ("token", True, True), q
        print("# kl", kl)
        assert 4 * kl["rtnw8"] < kl["rtnw8a8"] < kl["rtnw8a4"] / 20, kl
        assert kl["smoothquant,rtnw8a8"] < kl["rtnw8a8"], kl
        noted = worker(p, "weights", dict(job("rtn", "w8a8", calib=False, formats=["fake"], threads=2)))
        assert any("fake holds the rounded weights alone" in e["text"] for e in events(p.path("weights.job"), "log")), noted
        worker(p, "default", {k: v for k, v in job("rtn", "w8a8", calib=False, threads=2).items() if k != "formats"})
        assert not differing(p.path("default"), p.path("rtnw8a8")), "compressed-tensors is what holds such a scheme"


def a_layer_alone_may_have_its_activations_rounded():
    with Place() as p:
        j = dict(job("rtn", "w8", calib=False, formats=["compressed-tensors"], evaluate=True, threads=2, eval__windows=4, eval__seqlen=64),
                 layers=[{"pattern": "*.mlp.down_proj", "scheme": {"bits": 8, "act_bits": 4}}])
        worker(p, "out", j)
        e = report(p.path("out"))["eval"]
        worker(p, "none", dict(j, layers=[]))
        assert e["after"]["kl"] > 4 * report(p.path("none"))["eval"]["after"]["kl"], e
        got = json.loads(p.run(p.env["SRQ_CTL"], "eval", p.path("out"), "--reference", MODEL, "--eval", EVAL, "--set", "threads=2",
                               "--set", "eval.windows=4", "--set", "eval.seqlen=64", "--json"))
        assert abs(got["kl"] / e["after"]["kl"] - 1) < 1e-3, (got["kl"], e)
        with open(p.path("out", "config.json")) as f:
            q = json.load(f)["quantization_config"]
        assert q["format"] == "mixed-precision" and len(q["config_groups"]) == 2, q


def what_makes_no_sense_is_refused_by_name():
    with Place() as p:
        for method, scheme, more, part in (
                ("rtn,teq", "w4g64", {}, "give teq,rtn"),
                ("teq,smoothquant,rtn", "w4g64", {}, "at most one"),
                ("teq", "w4g64", {}, "can only be exported as \"fake\""),
                ("gptq", "w4g64", {"calib": None}, "gptq needs calibration text"),
                ("teq,rtn", "w4g64", {"calib": None}, "teq needs calibration text"),
                ("gptq", "mxfp4", {"formats": ["fake"]}, "gptq rounds to integers"),
                ("hqq", "w4g64", {}, "asymmetric schemes"),
                ("rtn", "w8a8", {"formats": ["auto_gptq"]}, "auto_gptq: quantized activations are in compressed-tensors alone"),
                ("rtn", "w8za8", {"formats": ["compressed-tensors"]}, "symmetric integers only"),
                ("teq,rtn", "w4g64", {"options": {"teq.pairs": "AF"}}, "teq.pairs is \"AF\""),
                ("teq,rtn", "w4g64", {"options": {"teq.load": "scales.st"}}, "absolute path"),
                ("teq,rtn", "w4g64", {"options": {"teq.nsamples": 16, "teq.holdout": 16}}, "holds out 16")):
            j = {k: v for k, v in dict(job(method, scheme), **more).items() if v is not None}
            said = worker(p, "no", j, code=1)
            assert part in said, (method, said[-400:])


if __name__ == "__main__":
    run_tests([
        gptq_hqq_and_awq_lose_less_than_plain_rounding,
        scales_of_one_leave_the_codes_of_plain_rounding,
        training_lowers_the_loss_on_samples_held_out,
        training_lowers_the_loss_of_k_quants_too,
        a_thousand_steps_end_below_plain_rounding,
        kills_leave_no_trace_on_trained_scales,
        kills_leave_no_trace_on_feedback,
        a_gemma_goes_the_same_ways,
        kills_leave_no_trace_on_a_gemma,
        scales_are_taken_from_an_earlier_output,
        a_transform_alone_is_exported_as_weights,
        activations_are_rounded_where_the_scheme_says_so,
        a_layer_alone_may_have_its_activations_rounded,
        what_makes_no_sense_is_refused_by_name,
    ])
