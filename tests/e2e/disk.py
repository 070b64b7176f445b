#!/usr/bin/env python3
"""What a job leaves on the disk, with the real programs: nothing that only a resume needs, once its output is there."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, SOURCE, Journal, Place, differing, events, files_of  # noqa: E402
from srqd_client import run_tests  # noqa: E402

SMALL = {"nsamples": 4, "seqlen": 48, "batch": 2, "threads": 1, "probe_every": 5, "probe_samples": 2, "signround.iters": 10}


def job(place, output, **options):
    model = place.path("model")
    if not os.path.exists(model):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), model], check=True)
    return {"model": model, "method": "signround", "scheme": "w4g32", "formats": ["auto_round"], "calib": [CALIB],
            "output": place.path(output), "options": dict(SMALL, **options)}


def run(place, output, folder, **options):
    place.run(place.env["SRQ_WORKER"], "--spec", place.write_job(folder, job(place, output, **options)), "--dir",
              place.path(folder))


def large(folder):
    """Names in ckpt/ of what is more than a fact."""
    return sorted(n for n in os.listdir(os.path.join(folder, "ckpt")) if not n.endswith(".json"))


def checkpoints_go_when_the_output_is_published():
    with Place() as p:
        run(p, "out", "job")
        assert large(p.path("job")) == [] and events(p.path("job"), "job.state")[-1]["state"] == "done"
        run(p, "other", "kept", keep_checkpoints=True)
        assert any(n.startswith("block-") for n in large(p.path("kept"))), large(p.path("kept"))
        assert not differing(p.path("out"), p.path("other"))
        p.run(p.env["SRQ_WORKER"], "--job", p.path("job"))  # of a job that has ended: nothing to do
        assert Journal(p.path("job")).read()[-1]["data"]["state"] == "done"


def a_kill_between_publishing_and_removing_is_made_good_by_the_next_run():
    """As such a kill leaves it: the output, some of the results, a journal that does not say done."""
    with Place() as p:
        run(p, "other", "kept", keep_checkpoints=True)
        run(p, "out", "job")
        folder, lines = p.path("job"), Journal(p.path("job")).read()
        assert lines[-1]["event"] == "job.state"
        with open(folder + "/journal.ndjson", "rb") as f:
            text = f.read().splitlines(keepends=True)
        with open(folder + "/journal.ndjson", "wb") as f:
            f.writelines(text[:-1])
        left = [n for n in large(p.path("kept")) if n.startswith("block-")][1:]
        for name in left:
            shutil.copy(p.path("kept/ckpt", name), folder + "/ckpt")
        before, made = files_of(p.path("out")), os.stat(p.path("out")).st_ino
        assert left and large(folder) == left
        p.run(p.env["SRQ_WORKER"], "--job", folder)
        assert large(folder) == []
        again = Journal(folder).read()[len(text) - 1:]
        assert again[-1]["data"]["state"] == "done", again[-1]
        assert not [line for line in again if line["event"] in ("block.begin", "block.end", "tune.point")], again
        assert before == files_of(p.path("out")) and made == os.stat(p.path("out")).st_ino, "published once"


def all_that_is_asked_of_a_job_that_is_done_is_still_answered():
    with Place() as p:
        j = p.submit("out", job(p, "out"))
        p.wait(j)
        assert large(p.job_dir(j)) == []
        layer = "model.layers.0.mlp.down_proj"
        assert p.ctl("show", j)["state"] == "done"
        assert p.ctl("report", j)["job"] == j
        assert p.ctl("series", j, "--layer", layer)
        for words in (["log", j], ["heatmap", j], ["plan", j, "--history"]):
            p.run(p.env["SRQ_CTL"], *words)
        assert "done" in p.run(p.env["SRQ_CTL"], "retune", j, layer, code=1)


run_tests([checkpoints_go_when_the_output_is_published,
           a_kill_between_publishing_and_removing_is_made_good_by_the_next_run,
           all_that_is_asked_of_a_job_that_is_done_is_still_answered])
