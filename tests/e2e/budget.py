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


def tiny_model(p, mlp=128):
    folder = p.path("tiny%d" % mlp)
    if not os.path.exists(folder):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--blocks", "3", "--hidden", "64",
                        "--mlp", str(mlp)], check=True)
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
            said = [e["text"].split(", ")[1] for e in events(folder, "log") if e["text"].startswith("scored ")]
            assert [text[:text.rindex(" ")] for text in said] == [
                "where all layers are %s and the loss is" % point for point in ("w4g32", "w4g32", "w4g32", "w8g32")], said
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


def odd_job(p, name, bits, candidates, **more):
    """On a model with rows of 160 in down_proj, which groups of 64 do not divide."""
    return job(p, name, bits, model=tiny_model(p, 160), scheme="w4g64", budget={"bits": bits, "candidates": candidates}, **more)


def only_what_no_candidate_suits_is_announced_to_stay():
    with Place() as p:
        use_cache(p, "cache")
        made = odd_job(p, "chosen", 5, ["w2g64", "w4g32", "w8"])
        planned = plan(p, made)
        assert not planned["warnings"] and not any(l.get("why") for l in planned["plan"]["layers"]), planned["warnings"]
        assert {l["scheme"] for l in planned["plan"]["layers"] if "down_proj" in l["name"]} == {"w4g32"}
        assert "error" not in plan(p, dict(made, incompatible="refuse"))
        run(p, "chosen", made)
        assert all(l["source"] == "allocator" for l in report(p.path("chosen"))["layers"])
        # A pin that cannot be held is one, whatever the candidates are.
        pinned = plan(p, dict(made, output=p.path("pinned"), layers=[{"pattern": "*.1.mlp.down_proj", "scheme": "w2g64"}]))
        assert len(pinned["warnings"]) == 1 and "1.mlp.down_proj stays in 16 bits" in pinned["warnings"][0], pinned["warnings"]
        made = odd_job(p, "kept", 7, ["w2g64", "w4g64"])
        words = plan(p, made)["warnings"]
        assert any("0.mlp.down_proj and 2 more stay in 16 bits: group 64 does not divide" in w for w in words), words
        assert any("no candidate suits model.layers.0.mlp.down_proj and 2 more, which are stored as bf16" in w for w in words), words
        run(p, "kept", made)
        of = {l["name"]: l["source"] for l in report(p.path("kept"))["layers"]}
        assert all(source == ("default" if "down_proj" in name else "allocator") for name, source in of.items()), of
        # The default of such a layer may be one that it can hold.
        made = odd_job(p, "whole", 5, ["w2g64", "w4g64"])
        made["scheme"] = "w8"
        words = plan(p, made)["warnings"]
        assert words == ["no candidate suits model.layers.0.mlp.down_proj and 2 more, which are stored as w8"], words
        made["budget"]["bits"] = 2.5
        error = plan(p, made)["error"]
        assert error["message"].endswith("no candidate suits model.layers.0.mlp.down_proj and 2 more, which count as w8"), error


def candidates_that_no_layer_can_hold_are_named_and_not_scored():
    with Place() as p:
        use_cache(p, "cache")
        made = job(p, "some", 4, model=tiny_model(p))
        made["budget"]["candidates"] = ["w5g32", "w2g32", "nvfp4", "w4g32"]
        words = plan(p, made)["warnings"]
        assert len(words) == 2 and "candidate w5g32 is left out" in words[0] and "not 5" in words[0], words
        assert "candidate nvfp4 is left out" in words[1] and "q_proj: auto_round holds integer grids only" in words[1], words
        run(p, "some", made)
        assert {e["scheme"] for e in events(p.path("some.job"), "layer.scored")} == {"w2g32", "w4g32"}
        assert report(p.path("some"))["allocation"]["candidates"] == ["w2g32", "w4g32"]
        made = job(p, "none", 4, model=tiny_model(p), budget={"bits": 4, "candidates": ["w5g32", "nvfp4"]})
        error = plan(p, made)["error"]
        assert error["field"] == "budget.candidates" and "no layer can hold any of the candidates" in error["message"], error
        assert "w5g32: model.layers.0.self_attn.q_proj: the GPTQ v2 layout holds" in error["message"], error
        # One that pinned layers could hold is not left out: pins may be taken back.
        pinned = job(p, "pinned", 4.625, model=tiny_model(p), layers=[{"pattern": "*", "scheme": "w4g32"}])
        pinned["budget"]["candidates"] = ["w5g32", "w8g32"]
        words = plan(p, pinned)["warnings"]
        assert len(words) == 1 and "candidate w5g32 is left out" in words[0], words
        # The default that follows from candidates may be one that is left out.
        made = job(p, "near", 5.7, model=tiny_model(p))
        made["budget"]["candidates"] = ["w5g32", "w2g32", "w8g32"]
        planned = plan(p, made)
        assert {l["scheme"] for l in planned["plan"]["layers"]} <= {"w2g32", "w8g32", "bf16"}, planned["plan"]["layers"]
        assert not any(l.get("why") for l in planned["plan"]["layers"]), planned["warnings"]


def bounds_that_are_told_are_possible():
    with Place() as p:
        use_cache(p, "cache")
        for candidates in (["w2g64", "w4g64"], ["w4g64"], ["w3g32", "w4gt"]):
            message = plan(p, odd_job(p, "no", 60, candidates))["error"]["message"]
            words = message.split("allow ")[1].split()
            for bits in (float(words[0]), float(words[2])):
                assert "error" not in plan(p, odd_job(p, "no", bits, candidates)), (message, bits)


def changes_before_layers_are_scored_are_held_against_the_budget():
    with Place() as p:
        made = job(p, "out", 4, model=tiny_model(p), budget={"bits": 4, "candidates": ["w2g32", "w4g32", "w8"]})
        at = p.ctl("submit", "--job", p.write_job("out", made), "--paused")["job"]
        wide = {"pattern": "re:layers.[0-1].mlp", "scheme": "bf16"}
        refused = plan(p, dict(made, layers=[wide]))["error"]["message"]
        assert "a budget of 4 bits is not possible" in refused, refused

        def ctl(*words, code=0):
            return p.run(p.env["SRQ_CTL"], *words, code=code)

        assert refused in ctl("pin", at, wide["pattern"] + "=bf16", code=1)
        for bits in ("2", "9"):
            refused = plan(p, dict(made, budget=dict(made["budget"], bits=float(bits))))["error"]["message"]
            assert refused in ctl("budget", at, bits, code=1), refused
        said = p.ctl("pin", at, "model.layers.0.mlp.down_proj", "w8")
        assert said["size"]["after_bytes"] is None and said["size_now"]["average_bits"] is None, said
        assert "size" not in ctl("pin", at, "model.layers.1.mlp.down_proj", "w8")
        told = p.ctl("show", at)
        assert told["after_bytes"] is None and told["average_bits"] is None, told
        assert "bits a weight" not in ctl("plan", at)
        assert p.ctl("plan", at)["size"]["average_bits"] is None
        assert p.ctl("budget", at, "4.5")["applied"]
        assert "chosen once layers are scored, at most 4.50 bits a weight" in ctl("show", at), ctl("show", at)
        p.ctl("resume", at)
        p.wait(at)
        assert "chosen once" not in ctl("show", at) and "bits a weight" in ctl("show", at), ctl("show", at)
        assert report(p.path("out"))["allocation"]["target_bits"] == 4.5
        told = p.ctl("show", at)
        assert told["average_bits"] == report(p.path("out"))["size"]["average_bits"] <= 4.5, told


def k_quants_have_stand_ins_where_rows_are_no_super_blocks():
    """Rows of down_proj are super-blocks, those of the others have 64 weights."""
    with Place() as p:
        use_cache(p, "cache")
        made = job(p, "k", 5.6, model=tiny_model(p, 256), budget={"bits": 5.6, "candidates": ["q3_k", "q4_k", "q6_k"]})
        planned = plan(p, made)
        assert planned["spec"]["formats"] == ["gguf"] and "error" not in planned, planned
        run(p, "k", made)
        told = report(p.path("k"))
        assert told["allocation"]["candidates"] == ["q3_k", "q4_k", "q6_k", "w4g32", "w5g32", "w8g32"]
        assert told["size"]["average_bits"] <= 5.6 and os.path.exists(os.path.join(p.path("k"), "model.gguf"))
        for l in told["layers"]:
            assert l["source"] == "allocator", l
            assert (l["scheme"][0] == "q") == ("down_proj" in l["name"]), l


if __name__ == "__main__":
    run_tests([a_budget_is_kept_and_what_was_chosen_is_exported, a_pin_is_a_constraint,
               layers_that_stay_in_16_bits_count_against_the_budget, a_kill_while_layers_are_scored_leaves_no_trace, another_budget_takes_its_scores_from_the_cache,
               what_cannot_be_is_refused_when_planned, only_what_no_candidate_suits_is_announced_to_stay,
               candidates_that_no_layer_can_hold_are_named_and_not_scored,
               k_quants_have_stand_ins_where_rows_are_no_super_blocks, bounds_that_are_told_are_possible,
               changes_before_layers_are_scored_are_held_against_the_budget])
