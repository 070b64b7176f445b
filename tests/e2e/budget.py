#!/usr/bin/env python3
"""Jobs with a budget, run by srq-worker alone: schemes are chosen inside it and exported, scores outlive a kill and serve other
jobs, and what cannot be is refused when the job is planned."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, LIMIT_S, MODEL, SOURCE, Place, differing, events, report, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

CANDIDATES = ["w2g32", "w3g32", "w4g32", "w8g32"]
SHORT = {"threads": 2, "deltaloss.nsamples": 4, "deltaloss.seqlen": 64, "deltaloss.batch": 2}


def tiny_model(p):
    folder = p.path("tiny")
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--blocks", "3", "--hidden", "64",
                    "--mlp", "128"], check=True)
    return folder


def job(p, name, bits, **more):
    made = {"model": MODEL, "method": "rtn", "calib": [CALIB], "output": p.path(name), "options": dict(SHORT),
            "budget": {"bits": bits, "candidates": CANDIDATES}}
    made.update(more)
    return made


def start(p, name, made):
    """srq-worker --spec in a job directory of its own; scores go to this place's cache."""
    return subprocess.Popen([p.env["SRQ_WORKER"], "--spec", p.write_job(name, made), "--dir", p.path(name + ".job")],
                            env=p.env, cwd=p.top, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def run(p, name, made):
    worker = start(p, name, made)
    _, complaints = worker.communicate(timeout=LIMIT_S)
    assert worker.returncode == 0, complaints[-2000:].decode()


def plan(p, made):
    done = subprocess.run([p.env["SRQ_WORKER"], "--plan"], input=json.dumps(made).encode(), env=p.env, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def use_cache(p, name):
    p.env["SRQ_CACHE_DIR"] = p.path(name)


def exported_bits(folder):
    """{layer: bits} of the exported configuration; layers without a word of their own have the common bits."""
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)["quantization_config"]
    extra = config.get("extra_config", {})
    return lambda layer: extra.get(layer, {}).get("bits", config["bits"])


def check_result(p, name, bits):
    r = report(p.path(name))
    allocation = r["allocation"]
    assert r["size"]["average_bits"] <= bits, r["size"]
    assert abs(r["size"]["average_bits"] - allocation["average_bits"]) < 1e-9
    assert allocation["target_bits"] == bits and allocation["candidates"] == CANDIDATES
    assert allocation["bound"] <= allocation["loss"] and abs(allocation["gap"]) < 1e-9
    front = allocation["front"]
    assert all(a["average_bits"] < b["average_bits"] and a["loss"] > b["loss"] for a, b in zip(front, front[1:]))
    of = exported_bits(p.path(name))
    for row in r["layers"]:
        if row["scheme"] == "bf16":
            continue
        assert row["source"] == "allocator" and row["scheme"] in CANDIDATES, row
        assert of(row["name"]) == int(row["scheme"][1]), row
    assert abs(sum(row["score"] for row in r["layers"]) - allocation["loss"]) < 1e-6 * allocation["loss"]
    return r


def a_budget_is_kept_and_what_was_chosen_is_exported():
    with Place() as p:
        use_cache(p, "cache")
        for name, bits, more in (("demo", 3.7, {}), ("small", 4.2, {"model": tiny_model(p)})):
            run(p, name, job(p, name, bits, **more))
            r = check_result(p, name, bits)
            assert len({row["scheme"] for row in r["layers"]}) > 1, "one scheme for all layers shows nothing"
            for block in range(3):  # what runtimes fuse has one scheme
                of = {row["name"].split(".", 3)[3]: row["scheme"] for row in r["layers"]
                      if row["name"].startswith("model.layers.%d." % block)}
                assert of["self_attn.q_proj"] == of["self_attn.k_proj"] == of["self_attn.v_proj"]
                assert of["mlp.gate_proj"] == of["mlp.up_proj"]
            folder = p.path(name + ".job")
            assert len(events(folder, "layer.scored")) == len(r["layers"]) * len(CANDIDATES)
            assert len(events(folder, "plan.allocated")) == 1
            stages = [e["stage"] for e in events(folder, "stage.progress")]
            order = sorted(set(stages), key=stages.index)
            assert order[:5] == ["load", "calibrate", "score", "allocate", "quantize"], order


def a_pin_is_a_constraint():
    with Place() as p:
        use_cache(p, "cache")
        pins = [{"pattern": "*.1.self_attn.q_proj", "scheme": "w8g32"}]
        run(p, "pinned", job(p, "pinned", 3.9, layers=pins))
        r = report(p.path("pinned"))
        assert r["size"]["average_bits"] <= 3.9
        of = {row["name"]: row for row in r["layers"]}
        for module in ("q_proj", "k_proj", "v_proj"):
            row = of["model.layers.1.self_attn." + module]
            assert row["scheme"] == "w8g32" and row["source"] == "pin", row


def layers_that_stay_in_16_bits_count_against_the_budget():
    """A pin splits what runtimes fuse, so that the layout keeps all of it in 16 bits; what is left pays for that."""
    with Place() as p:
        use_cache(p, "cache")
        split = [{"pattern": "model.layers.0.self_attn.q_proj", "scheme": "w8g32", "untied": True}]
        few = {"candidates": ["w2g32", "w3g32", "w4g32"]}
        model = tiny_model(p)
        made = job(p, "split", 4.6, model=model, layers=split, budget=dict(few, bits=4.6))
        run(p, "split", made)
        r = report(p.path("split"))
        assert r["size"]["average_bits"] <= 4.6, r["size"]
        assert abs(r["size"]["average_bits"] - r["allocation"]["average_bits"]) < 1e-9, (r["size"], r["allocation"])
        kept = [row["name"] for row in r["layers"] if row["why"]]
        assert [name.split(".")[-1] for name in kept] == ["q_proj", "k_proj", "v_proj"], kept
        # Where the others may have the pin's scheme too, they are stored with it.
        made = job(p, "joined", 4.6, model=model, layers=split, budget={"bits": 4.6, "candidates": CANDIDATES})
        run(p, "joined", made)
        r = report(p.path("joined"))
        assert r["size"]["average_bits"] <= 4.6 and not [row for row in r["layers"] if row["why"]], r["size"]
        # Less than the smallest plan that can be stored is refused before any work.
        error = plan(p, job(p, "no", 3, model=model, layers=split, budget=dict(few, bits=3)))["error"]
        assert error["field"] == "budget.bits" and "budget of 3 bits is not possible" in error["message"], error


def a_kill_while_layers_are_scored_leaves_no_trace():
    with Place() as p:
        made = job(p, "calm", 3.7, options=dict(SHORT, **{"deltaloss.nsamples": 16, "deltaloss.batch": 4}))
        use_cache(p, "cache-calm")
        run(p, "calm", made)
        p.env["SRQ_CACHE_DIR"] = ""  # a resume must find its own scores, not those of the cache
        made["output"] = p.path("killed")
        worker = start(p, "killed", made)
        folder = p.path("killed.job")
        wait_until("the first scores", lambda: os.path.exists(folder) and events(folder, "layer.scored"), pause=0.005)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        before = {e["scheme"] for e in events(folder, "layer.scored")}
        assert not events(folder, "plan.allocated"), "the kill came too late to show anything"
        assert 0 < len(before) < len(CANDIDATES), before
        run(p, "killed", made)
        assert not differing(p.path("calm"), p.path("killed")), differing(p.path("calm"), p.path("killed"))
        a, b = report(p.path("calm")), report(p.path("killed"))
        assert a["allocation"] == b["allocation"] and a["layers"] == b["layers"]
        with open(os.path.join(p.path("calm.job"), "ckpt/scores.json")) as x, open(os.path.join(folder, "ckpt/scores.json")) as y:
            assert x.read() == y.read()
        said = [e["text"] for e in events(folder, "log") if e["text"].startswith("scored ")]
        # A candidate is told before it is stored: the one at which the kill came may be measured twice.
        assert len(said) <= len(CANDIDATES) + 1, "finished candidates were measured again: %s" % said


def another_budget_takes_its_scores_from_the_cache():
    with Place() as p:
        use_cache(p, "cache")
        run(p, "first", job(p, "first", 3.7))
        run(p, "second", job(p, "second", 5))
        check_result(p, "second", 5)
        said = [e["text"] for e in events(p.path("second.job"), "log")]
        assert sum("are known from an earlier job" in text for text in said) == len(CANDIDATES), said
        assert not any(text.startswith("scored ") for text in said), said
        other = job(p, "third", 5, options=dict(SHORT, **{"deltaloss.seqlen": 32}))
        run(p, "third", other)
        said = [e["text"] for e in events(p.path("third.job"), "log")]
        assert not any("are known from an earlier job" in text for text in said), said


def what_cannot_be_is_refused_when_planned():
    with Place() as p:
        use_cache(p, "cache")
        for bits in (2, 9):
            error = plan(p, job(p, "no", bits))["error"]
            assert error["field"] == "budget.bits" and "2.5625" in error["message"] and "8.7500" in error["message"], error
        uniform = job(p, "no", 4.4, formats=["auto_awq"])
        uniform["budget"]["candidates"] = ["w4g32z", "w4g64z"]
        error = plan(p, uniform)["error"]
        assert error["field"] == "formats" and "mixes schemes" in error["message"], error
        error = plan(p, job(p, "no", 4, method="deltaloss,rtn", budget=None, scheme="w4g32"))["error"]
        assert error["field"] == "method" and "budget" in error["message"], error
        error = plan(p, job(p, "no", 4, method="knapsack,deltaloss,rtn"))["error"]
        assert error["field"] == "method" and "comes first" in error["message"], error
        error = plan(p, job(p, "no", 4, method="rtn,knapsack"))["error"]
        assert error["field"] == "method" and "not a quantizer" in error["message"], error
        made = job(p, "no", 4)
        del made["calib"]
        assert plan(p, made)["error"]["field"] == "calib"
        planned = plan(p, job(p, "no", 4))
        assert planned["spec"]["method"] == "deltaloss,knapsack,rtn"
        assert plan(p, planned["spec"])["spec"] == planned["spec"], "a normalised job is its own normal form"


if __name__ == "__main__":
    run_tests([a_budget_is_kept_and_what_was_chosen_is_exported, a_pin_is_a_constraint,
               layers_that_stay_in_16_bits_count_against_the_budget, a_kill_while_layers_are_scored_leaves_no_trace, another_budget_takes_its_scores_from_the_cache,
               what_cannot_be_is_refused_when_planned])
