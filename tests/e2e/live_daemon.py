#!/usr/bin/env python3
"""The live plan through the whole chain: srqctl and plain clients, srqd, a real worker on a small random model."""
import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, LIMIT_S, SOURCE, Failed, Place, events, report  # noqa: E402
from srqd_client import Client, Refused, run_tests, wait_state  # noqa: E402

BLOCKS = 4
DOWN = "model.layers.%d.mlp.down_proj"
Q = "model.layers.%d.self_attn.q_proj"


def job_of(place, iters, **more):
    where = place.path("model")
    if not os.path.exists(where):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), where, "--blocks", str(BLOCKS)],
                       check=True)
    options = {"nsamples": 4, "seqlen": 48, "batch": 2, "threads": 1, "probe_every": 10, "probe_samples": 2, "seed": 7,
               "signround.iters": iters}
    return dict({"model": where, "method": "signround", "scheme": "w4g32", "formats": ["auto_round"], "calib": [CALIB],
                 "options": options}, **more)


def rows(client, job):
    return {l["name"]: l for l in client.call("job.plan", job=job)["layers"]}


def heat(client, job, by):
    return {c["layer"]: c["value"] for c in client.call("job.heatmap", job=job, by=by)["cells"]}


def refusal(fn, *args, **kw):
    try:
        fn(*args, **kw)
    except Refused as e:
        return e
    raise AssertionError("it was not refused")


def a_running_job_obeys_and_everybody_hears_of_it():
    with Place() as place:
        job = place.submit("out", job_of(place, 1500))  # long enough for all that follows
        a, b, watcher = (Client(place.socket, timeout=LIMIT_S) for _ in range(3))
        watcher.call("events.subscribe", job=job, since_seq=0)
        watcher.wait_event("block.end", timeout=LIMIT_S, block=0)
        watcher.wait_event("block.begin", timeout=LIMIT_S, block=1)
        dry = json.loads(place.run(place.env["SRQ_CTL"], "pin", job, DOWN % 3, "w8g32", "--dry-run", "--json"))
        assert (dry["applied"], dry["matched"], dry["changed"]) == (False, 1, 1), dry
        assert dry["size"]["after_bytes"] > dry["size_now"]["after_bytes"], dry
        revision = dry["revision"]
        assert rows(a, job)[DOWN % 3]["scheme"] == "w4g32", "a dry run changes nothing"

        # Two at once, both having seen the same plan: one is refused with both revisions.
        got = []

        def change(client, layer):
            try:
                got.append(client.call("job.pin", job=job, pins=[{"pattern": layer, "scheme": "w8g32"}], revision=revision))
            except Refused as e:
                got.append(e)
        both = [threading.Thread(target=change, args=(c, DOWN % 3)) for c in (a, b)]
        [t.start() for t in both]
        [t.join() for t in both]
        assert sorted(isinstance(g, dict) for g in got) == [False, True], [str(g) for g in got]
        won, lost = sorted(got, key=lambda g: isinstance(g, Refused))
        assert won["revision"] == revision + 1 and won["applied"], won
        assert (lost.code, lost.field) == ("state", "revision"), lost.text
        assert str(revision) in lost.text and str(revision + 1) in lost.text, lost.text
        told = watcher.wait_event("plan.changed", timeout=LIMIT_S, revision=revision + 1)
        assert "(uid %d)" % os.getuid() in told["by"] and told["size"] == won["size"], told

        # A finished block is tuned again; q, k and v change together.
        text = place.run(place.env["SRQ_CTL"], "pin", job, Q % 0, "w3g32")
        assert text.startswith("revision %d: 3 layers changed\n" % (revision + 2)) and "tuned again     block 0\n" in text, text
        plan = rows(a, job)
        assert plan[Q % 0]["state"] == "stale" and plan[Q % 0]["pin"] and plan[Q % 0]["bits"] == 3, plan[Q % 0]
        assert a.call("job.get", job=job)["after_bytes"] == a.call("job.plan", job=job)["size"]["after_bytes"]
        e = refusal(a.call, "job.budget", job=job, bits=3.5)
        assert "no sensitivity scores" in e.text and "--budget" in e.text, e.text
        assert refusal(a.call, "job.unpin", job=job, patterns=["model.layers.99.*"]).code == "not_found"

        watcher.wait_event("block.begin", timeout=LIMIT_S, block=0, again=True)
        place.wait(job)
        with open(place.path("out", "srq_plan.json")) as f:
            kept = json.load(f)
        told = {l["name"]: l["scheme"] for l in kept["layers"]}
        plan = rows(a, job)
        assert told == {n: l["scheme"] for n, l in plan.items()}, "the export has the plan's schemes"
        assert plan[DOWN % 3]["scheme"] == "w8g32" and plan[Q % 0]["scheme"] == "w3g32"
        assert {l["state"] for l in plan.values()} == {"finished"}
        # The heatmap is what the report says of the same layers.
        layers = {l["name"]: l for l in report(place.path("out"))["layers"]}
        done = {e["layer"]: e for e in events(place.job_dir(job), "layer.done")}
        loss, gain = heat(a, job, "loss"), heat(a, job, "gain")
        assert set(loss) == set(plan) and set(done) == {n for n in plan if loss[n] is not None}
        for name, d in done.items():
            assert loss[name] == d["error_best"] == layers[name]["error_best"], name
            assert abs(gain[name] - (1 - d["error_best"] / d["error_first"])) < 1e-12, name
        assert heat(a, job, "bits")[DOWN % 3] == 8
        e = refusal(a.call, "job.retune", job=job, patterns=["*"])
        assert "is done; its plan cannot be changed any more" in e.text


def a_paused_job_is_changed_without_a_worker():
    with Place() as place:
        path = place.write_job("later", dict(job_of(place, 50), output=place.path("later")))
        job = place.ctl("submit", "--job", path, "--paused")["job"]
        c = Client(place.socket, timeout=LIMIT_S)
        reply = place.ctl("pin", job, DOWN % 1 + "=w8g32", DOWN % 2 + "=bf16")
        assert reply["applied"] and reply["changed"] == 2 and reply["restarts"] is None and reply["retunes"] == [], reply
        plan = c.call("job.plan", job=job)
        assert plan["revision"] == reply["revision"] and [p["scheme"] for p in plan["pins"]] == ["w8g32", "bf16"], plan["pins"]
        assert plan["size"] == reply["size"] and rows(c, job)[DOWN % 1]["state"] == "pending"
        assert [e["revision"] for e in events(place.job_dir(job), "plan.changed")] == [reply["revision"]]
        back = place.ctl("unpin", job, DOWN % 2)
        assert back["changed"] == 1 and rows(c, job)[DOWN % 2]["scheme"] == "w4g32", back
        try:
            place.run(place.env["SRQ_CTL"], "pin", job, DOWN % 1, "w5g7x")
        except Failed as e:
            assert e.code == 1 and "w5g7x" in e.text, e.text
        else:
            raise AssertionError("a scheme that does not exist was taken")
        c.call("job.resume", job=job)
        wait_state(c, job, "done", timeout=LIMIT_S)
        with open(place.path("later", "srq_plan.json")) as f:
            kept = {l["name"]: (l["scheme"], l["source"]) for l in json.load(f)["layers"]}
        assert kept[DOWN % 1] == ("w8g32", "pin") and kept[DOWN % 2] == ("w4g32", "default"), kept


def a_budget_is_solved_again_and_the_heatmap_shows_the_scores():
    with Place() as place:
        path = place.write_job("out", dict(job_of(place, 400), output=place.path("out")))
        job = place.ctl("submit", "--job", path, "--budget", "5", "--candidates", "w2g32,w4g32,w8g32")["job"]
        c = Client(place.socket, timeout=LIMIT_S)
        c.call("events.subscribe", job=job, since_seq=0)
        found = c.wait_event("plan.allocated", timeout=LIMIT_S)
        assert found["target_bits"] == 5 and found["average_bits"] <= 5 and found["front"], found
        c.wait_event("block.begin", timeout=LIMIT_S, block=0)
        plan = c.call("job.plan", job=job)
        assert plan["budget"] == {"bits": 5, "candidates": ["w2g32", "w4g32", "w8g32"]}, plan["budget"]
        assert plan["size"]["average_bits"] == found["average_bits"], (plan["size"], found)
        scores = {(e["layer"], e["scheme"]): e["score"] for e in events(place.job_dir(job), "layer.scored")}
        assert len(scores) == 3 * len(plan["layers"]), len(scores)
        shown = heat(c, job, "sensitivity")
        for l in plan["layers"]:
            assert l["source"] == "allocator" and l["score"] == shown[l["name"]] == scores[l["name"], l["scheme"]], l
        dry = place.ctl("budget", job, "4", "--dry-run")
        assert not dry["applied"] and dry["size"]["average_bits"] <= 4 and dry["changed"] > 0, dry
        assert dry["forecast"]["then"] > dry["forecast"]["now"], "fewer bits, more loss"
        assert dry["moved"] == dry["changed"] and dry["forecast_missing"] is None, dry
        odd = place.ctl("pin", job, "model.layers.0.mlp.down_proj", "w3g32", "--dry-run")
        assert odd["forecast"] is None and "was not scored as w3g32" in odd["forecast_missing"], odd
        # In the same state a dry run and the change say the same, unless a block began between them.
        text = place.run(place.env["SRQ_CTL"], "budget", job, "4")
        assert "predicted loss" in text and text.startswith("revision "), text
        after = c.call("job.plan", job=job)
        assert after["budget"]["bits"] == 4 and after["revision"] == plan["revision"] + 1
        assert after["size"]["average_bits"] < plan["size"]["average_bits"]
        assert c.call("job.get", job=job)["average_bits"] == after["size"]["average_bits"]
        place.wait(job)
        assert report(place.path("out"))["size"]["average_bits"] == c.call("job.plan", job=job)["size"]["average_bits"]


run_tests([a_running_job_obeys_and_everybody_hears_of_it, a_paused_job_is_changed_without_a_worker,
           a_budget_is_solved_again_and_the_heatmap_shows_the_scores])
