#!/usr/bin/env python3
"""Memory planned before the work and memory used, for every kind of job: they agree, depth does not count, who goes over
the plan says so, and too little is refused at once."""
import json
import os
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, EVAL, MODEL, Place, SOURCE, demo_job, events, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402

ABOVE, LEAST = 0.03, 0.8  # shares of the plan by which the peak may be above it, and that it must reach
DEPTH = 0.01              # share by which plan and peak of a deep model may be above a shallow one's
MIB = 1024 * 1024
SLACK = 2 * MIB

SMALL = dict(nsamples=16, seqlen=128, batch=8, threads=2, checkpoint_s=3600)
TUNE = dict(SMALL, signround__iters=2)


def job(method, scheme, formats=("auto_round",), eval_windows=0, **options):
    more = dict(options, eval__windows=eval_windows) if eval_windows else options
    return dict(demo_job(scheme, formats, evaluate=eval_windows > 0, **more), method=method)


def budget(method, **options):
    made = job(method, "w4g64", **dict(SMALL, deltaloss__nsamples=4, deltaloss__seqlen=64, deltaloss__batch=2, **options))
    del made["scheme"]
    return dict(made, budget={"bits": 4.5, "candidates": ["w2g32", "w4g32", "w8g32"]})


# What is done on the model of four blocks; methods, schemes, formats and options that take memory of their own.
KINDS = {
    "tuned": job("signround", "w4g64", eval_windows=8, **TUNE),
    "tuned, then its scales end to end": job("signround", "w4g64", **dict(TUNE, refine=2)),
    "tuned with checkpoints": job("signround", "w4g64", **dict(SMALL, signround__iters=20, checkpoint_s=0.1)),
    "tuned in F32": job("signround", "w4g64", compute="f32", **TUNE),
    "tuned by one thread": job("signround", "w4g64", **dict(TUNE, threads=1)),
    "tuned by one thread in F32": job("signround", "w4g64", compute="f32", **dict(TUNE, threads=1)),
    "tuned on long samples": job("signround", "w4g64", **dict(TUNE, seqlen=512)),
    "tuned with importance": job("signround", "w2g64", signround__alg_ext=True, **TUNE),
    "tuned, activations on disk": job("signround", "w4g64", compute="f32", **dict(TUNE, nsamples=32, max_memory="34M")),
    "tuned ranges": job("omniquant", "w4g64z", ["auto_awq"], omniquant__iters=2, **SMALL),
    "tuned to fp8": job("signround", "fp8", ["compressed-tensors"], **TUNE),
    "tuned to mxfp4": job("signround", "mxfp4", ["compressed-tensors"], **TUNE),
    "tuned to nvfp4": job("signround", "nvfp4", ["compressed-tensors"], **TUNE),
    "tuned to q4_k": job("signround", "q4_k", ["gguf"], **TUNE),
    "exported in four formats": job("signround", "w4g64", ["auto_round", "auto_gptq", "compressed-tensors", "fake"], **TUNE),
    "exported as gguf": job("signround", "w4g32", ["gguf"], **TUNE),
    "rounded to gguf": job("rtn", "w4g32", ["gguf"], threads=2),
    "rounded": job("rtn", "w4g64", threads=2),
    "rounded and evaluated": job("rtn", "w4g64", eval_windows=8, threads=2),
    "rounded with searched scales": job("rtn", "w4g64", rtn__opt="on", **SMALL),
    "gptq": job("gptq", "w4g64", **SMALL),
    "gptq in F32": job("gptq", "w4g64", compute="f32", **SMALL),
    "hqq": job("hqq", "w4g64z", threads=2),
    "awq": job("awq", "w4g64z", ["auto_awq"], **SMALL),
    "awq before gptq": job("awq,gptq", "w4g64", **SMALL),
    "smoothquant": job("smoothquant,rtn", "w8g64", **SMALL),
    "teq before tuning": job("teq,signround", "w4g64", teq__steps=2, **TUNE),
    "teq before rounding": job("teq,rtn", "w4g64", teq__steps=2, **SMALL),
    "a budget, rounded": budget("deltaloss,knapsack,rtn"),
    "a budget, tuned": budget("deltaloss,knapsack,signround", signround__iters=2),
}


def within(name, what, planned, peak):
    """One line that says what is wrong, or none."""
    if peak > planned * (1 + ABOVE) + SLACK or peak < planned * LEAST:
        return ["%s: %.2f MiB used, %.2f MiB %s" % (name, peak / MIB, planned / MIB, what)]
    return []


def plan(place, path):
    """Bytes that srq-worker --plan answers, which is what srqd asks for; in the worker's own environment, so that a masked
    instruction set is masked for both."""
    with open(path) as f:
        done = subprocess.run([place.env["SRQ_WORKER"], "--plan"], stdin=f, stdout=subprocess.PIPE, env=place.env,
                              check=True)
    return json.loads(done.stdout)["memory"]["planned_bytes"]


def figures(place, name, made):
    """Runs a job by its worker alone; (planned before the work, planned with the texts read, peak) in bytes."""
    out = name.replace(" ", "-").replace(",", "")
    place.env["SRQ_CACHE_DIR"] = place.path(out + ".cache")  # scores and scales of another job would save the work
    path = place.write_job(out, dict(made, output=place.path(out)))
    planned = plan(place, path)
    place.run(place.env["SRQ_WORKER"], "--spec", path)
    memory = report(place.path(out))["memory"]
    peak, again = memory["peak_rss_bytes"], memory["planned_bytes"]
    print("# %s: %.2f MiB planned before the work, %.2f MiB with the texts read, %.2f MiB used (%+.1f %%)"
          % (name, planned / MIB, again / MIB, peak / MIB, 100 * (peak / again - 1)), flush=True)
    assert (memory["over_plan_bytes"] > 0) == (peak > again * (1 + ABOVE) + SLACK), memory
    return planned, again, peak


def near(name, planned, again, peak):
    wrong = within(name, "planned before the work", planned, peak) + within(name, "planned", again, peak)
    assert not wrong, "; ".join(wrong)


def a_model(place, blocks):
    folder = place.path("model%d" % blocks)
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--blocks", str(blocks),
                    "--hidden", "256", "--mlp", "768", "--alike"], check=True)
    return folder


def every_kind_of_job_stays_at_its_plan():
    """All are run, so that one failure shows what it has in common with others."""
    wrong = []
    with Place() as p:
        model = a_model(p, 4)
        for name, made in KINDS.items():
            planned, again, peak = figures(p, name, dict(made, model=model))
            wrong += within(name, "planned before the work", planned, peak) + within(name, "planned", again, peak)
    assert not wrong, "; ".join(wrong)


def a_long_text_is_planned_for():
    """Read at once, as plain text is; rows are read one by one."""
    with Place() as p:
        with open(CALIB) as f:
            text = f.read()
        with open(p.path("long.txt"), "w") as f:
            f.write(text * 20)
        made = dict(job("rtn", "w4g64", eval_windows=4, threads=2), eval=[p.path("long.txt")])
        near("a long text", *figures(p, "a long text", made))


def memory_does_not_grow_with_the_number_of_blocks():
    """Without checkpoints, whose copies are held so briefly that the worker's own measurement may miss them."""
    with Place() as p:
        got = {}
        for blocks in (6, 30):
            made = dict(job("signround", "w4g64", eval_windows=8, **TUNE), model=a_model(p, blocks))
            got[blocks] = figures(p, "%d blocks" % blocks, made)
            near("%d blocks" % blocks, *got[blocks])
        for few, many in zip(got[6], got[30]):
            assert many <= few * (1 + DEPTH) + SLACK / 4, got


def the_shipped_model_stays_at_its_plan():
    with Place() as p:
        made = demo_job("w4g64", ["auto_round", "fake"], evaluate=True, eval__windows=16, signround__iters=4,
                        **dict(SMALL, checkpoint_s=0.1, refine=2))
        near("the shipped model", *figures(p, "the shipped model", made))


def evaluation_stays_at_its_plan_where_it_needs_the_most():
    with Place() as p:
        near("evaluated", *figures(p, "evaluated", {
            "model": MODEL, "method": "rtn", "scheme": "w4g64", "eval": [EVAL], "formats": ["auto_round"],
            "options": {"threads": 2, "eval.windows": 32, "eval.seqlen": 256}}))


def a_worker_over_its_plan_says_so_and_where():
    """By a plugin that takes 128 MiB of which nobody knows; a machine short of memory takes part of it back at once."""
    with Place() as p:
        subprocess.run(shlex.split(os.environ.get("CC", "cc")) + [
            "-std=c17", "-O1", "-fPIC", "-shared", "-I" + os.path.join(SOURCE, "core/include"), "-o", p.path("hungry.so"),
            os.path.join(SOURCE, "tests/e2e/hungry_plugin.c")], check=True)
        p.env["SRQ_PLUGIN_PATH"] += ":" + p.top
        made = p.submit("over", {"model": MODEL, "method": "hungry", "scheme": "w4g64", "formats": ["fake"],
                                 "options": {"threads": 2}})
        p.wait(made)
        folder = p.job_dir(made)
        memory = report(p.path("over"))["memory"]
        assert memory["over_plan_bytes"] == memory["peak_rss_bytes"] - memory["planned_bytes"] > 24 * MIB, memory
        assert memory["over_plan_stage"] == "quantize", memory
        said = [e["text"] for e in events(folder, "log") if e["level"] == "warning"]
        assert any("stage quantize uses" in text for text in said), said
        told = events(folder, "job.memory")
        assert told[0]["used_bytes"] < told[0]["planned_bytes"] + SLACK, told
        assert told[-1]["stage"] == "quantize" and told[-1]["used_bytes"] > 24 * MIB, told
        page = p.run(p.env["SRQ_CTL"], "report", made)
        assert "over the plan in stage quantize" in page, page


def too_little_memory_is_refused_with_the_table_before_any_work():
    with Place() as p:
        job = dict(demo_job("w4g64", nsamples=16, seqlen=128, batch=8, threads=2, max_memory="4M"),
                   output=p.path("small"))
        path = p.write_job("small", job)
        answer = p.run(p.env["SRQ_CTL"], "submit", "--job", path, code=1)
        for part in ("may have 4.00 MiB", "block parameters", "tuner: parameters", "KiB"):
            assert part in answer, answer
        assert p.ctl("list")["jobs"] == [], "no job was taken"
        answer = p.run(p.env["SRQ_WORKER"], "--spec", path, code=1)
        assert "tuner: parameters" in answer, answer
        assert not os.path.exists(p.path("small"))
        journal = p.path("small.srq-job", "journal.ndjson")
        assert not os.path.exists(journal) or '"stage.progress"' not in open(journal).read(), "no stage had begun"


if __name__ == "__main__":
    run_tests([
        every_kind_of_job_stays_at_its_plan,
        a_long_text_is_planned_for,
        memory_does_not_grow_with_the_number_of_blocks,
        the_shipped_model_stays_at_its_plan,
        evaluation_stays_at_its_plan_where_it_needs_the_most,
        a_worker_over_its_plan_says_so_and_where,
        too_little_memory_is_refused_with_the_table_before_any_work,
    ])
