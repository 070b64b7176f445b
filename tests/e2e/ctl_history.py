#!/usr/bin/env python3
"""The history of a plan with the real programs: what each revision changed, the way back, changes without effect, pins that
nothing can hold, and what is told beside the export."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import SOURCE, Place  # noqa: E402
from srqd_client import run_tests  # noqa: E402

K = "model.layers.%d.self_attn.k_proj"


def paused(p, *words):
    """A job that waits, for a small model of two blocks."""
    p.env["LC_ALL"] = "C"
    if not os.path.exists(p.path("model")):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), p.path("model"), "--mlp", "96"], check=True)
    p.count = getattr(p, "count", 0) + 1
    return p.ctl("submit", "model", "-m", "rtn", "-s", "w4g32", "-o", p.path("out%d" % p.count), "--paused", *words)["job"]


def text(p, *words, code=0):
    return p.run(p.env["SRQ_CTL"], *words, code=code)


def decided(p, job):
    """What revert brings back: schemes, who decided, pins and budget."""
    plan = p.ctl("plan", job)
    return [(l["name"], l["scheme"], l["source"], l.get("untied")) for l in plan["layers"]], plan["pins"] or [], plan["budget"]


def every_revision_is_told_and_can_be_gone_back_to():
    with Place() as p:
        job = paused(p)
        plans = [decided(p, job)]
        for words in (["pin", job, "*.down_proj", "w8"], ["pin", job, "*.0.*=w8g32", K % 1 + "=w2g32"], ["unpin", job, "*.down_proj"]):
            p.ctl(*words)
            plans.append(decided(p, job))
        told = p.ctl("plan", job, "--history")
        assert told["revision"] == 3 and [r["revision"] for r in told["revisions"]] == [0, 1, 2, 3], told
        assert [(r["op"], r["what"]) for r in told["revisions"]] == [
            (None, None), ("pin", "*.down_proj=w8"), ("pin", "*.0.*=w8g32, " + K % 1 + "=w2g32"), ("unpin", "*.down_proj")]
        assert all(r["by"] and r["time"] > 1e9 for r in told["revisions"]), told
        assert told["revisions"][1]["changed"] == 2 and told["revisions"][1]["changes"][0] == {
            "layer": "model.layers.0.mlp.down_proj", "old": "w4g32", "new": "w8"}, told["revisions"][1]
        shown = text(p, "plan", job, "--history").splitlines()
        assert len(shown) == 5 and "pin *.down_proj=w8" in shown[2] and "w4g32 -> w8, and 1 more" in shown[2], shown
        for to in (1, 3, 0, 2):
            before = p.ctl("plan", job)["revision"]
            dry = p.ctl("plan", job, "--revert", str(to), "--dry-run")
            assert not dry["applied"] and dry["effect"] and dry["revision"] == before, dry
            assert p.ctl("plan", job, "--revert", str(to))["revision"] == before + 1
            assert decided(p, job) == plans[to], (to, decided(p, job), plans[to])
        last = p.ctl("plan", job, "--history")["revisions"][-1]
        assert (last["op"], last["what"]) == ("revert", "2"), last
        assert "no revision 99" in text(p, "plan", job, "--revert", "99", code=1)
        assert "goes with --revert" in text(p, "plan", job, "--dry-run", code=2)
        assert "revision 7 and no longer at 2" in text(p, "plan", job, "--revert", "0", "-r", "2", code=1)


def a_change_without_effect_makes_no_revision_and_says_why():
    with Place() as p:
        job = paused(p)
        p.ctl("pin", job, "*.down_proj", "w8")
        for words, why in ((["pin", job, "*.down_proj", "w8"], "the 2 layers that match are pinned so already"),
                           (["unpin", job, "*.q_proj"], "none of the 2 layers that match is pinned"),
                           (["budget", job, "none"], "there is no budget"),
                           (["retune", job, "*.down_proj"], "not been tuned to the end yet"),
                           (["plan", job, "--revert", "1"], "those of revision 1 already")):
            said = text(p, *words)
            assert said.startswith("revision 1: nothing changes\n") and why in said, said
            answer = p.ctl(*words)
            assert not answer["applied"] and not answer["effect"] and answer["revision"] == 1, answer
        assert p.ctl("plan", job)["revision"] == 1
        assert [r["revision"] for r in p.ctl("plan", job, "--history")["revisions"]] == [0, 1]


def a_pin_that_no_layer_can_hold_is_refused_with_the_reason():
    with Place() as p:
        job = paused(p)
        said = text(p, "pin", job, "*.k_proj", "w4g48", code=1)
        assert '"*.k_proj"' in said and "w4g48" in said and K % 0 in said and "64" in said, said
        assert p.ctl("plan", job)["revision"] == 0
        # one that some can hold is made, with a word for the others
        mixed = paused(p)
        answer = p.ctl("pin", mixed, "*", "w4g48")
        assert answer["applied"] and any("16 bits" in w for w in answer["warnings"]), answer


def the_plan_beside_each_export_tells_its_revisions():
    with Place() as p:
        job = paused(p, "-F", "auto_round,fake")
        p.ctl("pin", job, "*.down_proj", "w8")
        p.ctl("plan", job, "--revert", "0")
        p.ctl("pin", job, K % 0, "w8g32")
        p.ctl("resume", job)
        p.wait(job)
        for name in ("auto_round", "fake", "."):
            with open(p.path("out1", name, "srq_plan.json")) as f:
                told = json.load(f)
            assert told["revision"] == 3 and len(told["layers"]) == 14, (name, told["revision"])
            assert [(c["revision"], c["op"], c["what"]) for c in told["changes"]] == [
                (1, "pin", "*.down_proj=w8"), (2, "revert", "0"), (3, "pin", K % 0 + "=w8g32")], told["changes"]
            assert {"layer": K % 0, "old": "w4g32", "new": "w8g32"} in told["changes"][2]["layers"], told["changes"][2]
            assert not any("time" in c or "by" in c for c in told["changes"])


if __name__ == "__main__":
    run_tests([every_revision_is_told_and_can_be_gone_back_to, a_change_without_effect_makes_no_revision_and_says_why,
               a_pin_that_no_layer_can_hold_is_refused_with_the_reason, the_plan_beside_each_export_tells_its_revisions])
