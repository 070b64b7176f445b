#!/usr/bin/env python3
"""Memory planned before the work and memory used: they agree, depth does not count, and too little is refused at once."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import EVAL, MODEL, Place, SOURCE, demo_job, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402

NEAR = 0.15   # share by which peak and plan may differ
DEPTH = 0.05  # share by which the peak of a deep model may be above a shallow one's
MIB = 1024 * 1024
peaks = {}


def figures(place, name, job):
    """Runs a job by its worker alone; (planned, peak) bytes from its report."""
    path = place.write_job(name, dict(job, output=place.path(name)))
    planned = place.ctl("submit", "--job", path, "--dry-run")["memory"]["planned_bytes"]
    place.run(place.env["SRQ_WORKER"], "--spec", path)
    memory = report(place.path(name))["memory"]
    print("# %s: %.1f MiB planned before the work, %.1f MiB with the texts read, %.1f MiB used (%+.1f %%)"
          % (name, planned / MIB, memory["planned_bytes"] / MIB, memory["peak_rss_bytes"] / MIB,
             100 * (memory["peak_rss_bytes"] / memory["planned_bytes"] - 1)), flush=True)
    return planned, memory["planned_bytes"], memory["peak_rss_bytes"]


def near(planned, again, peak):
    assert abs(peak - planned) <= NEAR * planned, "%d bytes used, %d planned before the work" % (peak, planned)
    assert abs(peak - again) <= NEAR * again, "%d bytes used, %d planned" % (peak, again)


def a_model(place, blocks):
    folder = place.path("model%d" % blocks)
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--blocks", str(blocks),
                    "--hidden", "256", "--mlp", "768", "--alike"], check=True)
    return folder


def of_blocks(blocks):
    """Without checkpoints, whose copies are held so briefly that the worker's own measurement may miss them."""
    with Place() as p:
        job = dict(demo_job("w4g64", evaluate=True, nsamples=16, seqlen=128, batch=8, threads=2,
                            checkpoint_s=3600, eval__windows=8, signround__iters=2), model=a_model(p, blocks))
        got = figures(p, "blocks%d" % blocks, job)
        near(*got)
        peaks[blocks] = got


def six_blocks_stay_near_the_plan():
    of_blocks(6)


def thirty_blocks_stay_near_the_plan():
    of_blocks(30)


def memory_does_not_grow_with_the_number_of_blocks():
    assert peaks[30][1] <= peaks[6][1] * (1 + DEPTH), peaks
    assert peaks[30][2] <= peaks[6][2] * (1 + DEPTH), peaks


def the_shipped_model_stays_near_the_plan():
    with Place() as p:
        near(*figures(p, "tuned", demo_job("w4g64", ["auto_round", "fake"], evaluate=True, nsamples=16, seqlen=128,
                                           batch=8, threads=2, checkpoint_s=0.1, eval__windows=16,
                                           signround__iters=4)))


def evaluation_stays_near_the_plan_where_it_needs_the_most():
    with Place() as p:
        near(*figures(p, "evaluated", {"model": MODEL, "method": "rtn", "scheme": "w4g64", "eval": [EVAL],
                                       "formats": ["auto_round"],
                                       "options": {"threads": 2, "eval.windows": 32, "eval.seqlen": 256}}))


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
        six_blocks_stay_near_the_plan,
        thirty_blocks_stay_near_the_plan,
        memory_does_not_grow_with_the_number_of_blocks,
        the_shipped_model_stays_near_the_plan,
        evaluation_stays_near_the_plan_where_it_needs_the_most,
        too_little_memory_is_refused_with_the_table_before_any_work,
    ])
