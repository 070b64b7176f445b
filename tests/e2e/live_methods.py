#!/usr/bin/env python3
"""The plan of a job with a transform is changed while that is trained, while GPTQ and SignRound behind it run, and the
worker is killed at each of these places: what was asked for is what comes out, to the same bytes."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from live import RUNS_MAX, Job, Missed, make_model, name, spec, tensors  # noqa: E402
from real_jobs import Place, differing, events  # noqa: E402
from srqd_client import run_tests  # noqa: E402

BLOCKS = 6
TEQ = {"teq.steps": 60, "teq.batch": 2, "teq.seqlen": 48, "teq.nsamples": 12, "teq.holdout": 4, "teq.probe_every": 10, "teq.lr": 0.004}
SOME = {name(1, "mlp.down_proj"): "w8g32", name(2, "self_attn.o_proj"): "w3g32"}
LATE = {name(BLOCKS - 1, "mlp.down_proj"): "w8g32", name(BLOCKS - 1, "self_attn.o_proj"): "w3g32"}


def training(job, points):
    """Some more steps of the transform are done."""
    seen = len([line for line in job.seen if line["event"] == "transform.point"])
    job.until("steps of the transform", lambda line: line["event"] == "transform.point" and
              len([x for x in job.seen if x["event"] == "transform.point"]) >= seen + points)
    if any(line["event"] == "block.begin" for line in job.seen):
        raise Missed("the transform was over before its change")


def run(place, label, model, method, options, kills, more):
    """Changes while scales are trained and while the quantizer is in its first blocks, with kills where they are asked for."""
    for attempt in range(RUNS_MAX):
        place.env["SRQ_CACHE_DIR"] = place.path("cache-%s%d" % (label, attempt))  # every job trains its own scales
        made = spec(model, "rtn", **more)
        made["method"] = method
        made["options"].update(TEQ, **options)
        job = Job(place, "%s%d" % (label, attempt), made)
        job.start()
        try:
            training(job, 2)
            if "transform" in kills:
                job.kill()
                training(job, 1)
            job.pin(None, SOME)
            if "pinned" in kills:
                job.kill()
                training(job, 1)
            if more:
                job.change("budget", None, bits=5.5)
            job.until("the end of block 0", lambda line: line["event"] == "block.end")
            if "quantizer" in kills:
                job.kill()
            late = job.pin(None, LATE)
            if late["retunes"] or late["restarts"] is not None or {c["state"] for c in late["changes"]} != {"pending"}:
                raise Missed("the last block had begun before its change")
            if "late" in kills:
                job.kill()
            job.end()
        except Missed as e:
            print("# %s" % e, flush=True)
            if job.process.poll() is None:
                job.process.kill()
                job.process.wait()
            continue
        assert job.kills == len(kills), (job.kills, kills)
        return job
    raise AssertionError("%d runs, and something was always over before its change" % RUNS_MAX)


def check(job, model, budget):
    with open(os.path.join(job.out, "srq_plan.json")) as f:
        rows = {row["name"]: row for row in json.load(f)["layers"]}
    with open(os.path.join(job.out, "report.json")) as f:
        report = json.load(f)
    original, found = tensors(model), tensors(job.out)
    for layer, scheme in dict(SOME, **LATE).items():
        assert rows[layer]["scheme"] == scheme and rows[layer]["source"] == "pin", rows[layer]
        words, columns = found[layer + ".qweight"][1][0], original[layer + ".weight"][1][1]
        assert words * 32 == columns * int(scheme[1]), (layer, words)
    assert report["transform"]["plugin"] == "teq" and report["transform"]["fold_error"] <= 1e-5, report["transform"]
    assert report["transform"]["steps"] == TEQ["teq.steps"], report["transform"]
    if budget:
        assert report["allocation"]["target_bits"] == 5.5, report["allocation"]
    else:
        assert rows[name(0, "mlp.down_proj")]["scheme"] == "w4g32", rows


def compare(method, options, **more):
    with Place() as place:
        model = make_model(place, "--blocks", str(BLOCKS), "--hidden", "128", "--mlp", "256")
        calm = run(place, "calm", model, method, options, set(), more)
        check(calm, model, bool(more))
        for kills in ({"transform", "quantizer"}, {"pinned", "late"}):
            killed = run(place, "-".join(sorted(kills)), model, method, options, kills, more)
            check(killed, model, bool(more))
            assert not differing(calm.out, killed.out), (kills, differing(calm.out, killed.out))
            changes = [c["op"] for c in events(killed.folder, "plan.changed")]
            assert changes == [c["op"] for c in events(calm.folder, "plan.changed")], changes


def gptq_behind_teq_obeys_and_kills_leave_the_same_bytes():
    compare("teq,gptq", {"nsamples": 256, "seqlen": 64})


def signround_behind_teq_obeys_and_kills_leave_the_same_bytes():
    compare("teq,signround", {"signround.iters": 60})


def a_budget_may_change_while_scales_are_trained():
    compare("teq,gptq", {"nsamples": 256, "seqlen": 64}, budget={"bits": 4.5, "candidates": ["w2g32", "w3g32", "w4g32", "w8g32"]})


if __name__ == "__main__":
    run_tests([gptq_behind_teq_obeys_and_kills_leave_the_same_bytes,
               signround_behind_teq_obeys_and_kills_leave_the_same_bytes,
               a_budget_may_change_while_scales_are_trained])
