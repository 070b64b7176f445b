#!/usr/bin/env python3
"""What decides the bytes of a result: the specification and the seed, not pauses; and what a resume refuses to go on with."""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, EVAL, Place, demo_job, differing, events, report, results_of, wait_for  # noqa: E402
from srqd_client import run_tests  # noqa: E402

SMALL = dict(nsamples=8, seqlen=64, batch=4, threads=2, checkpoint_s=0.1, probe_samples=4)
SHORT = dict(SMALL, signround__iters=20)
WEIGHTS = "model.safetensors"


def tensors_of(path):
    """{name: (type and shape, bytes)} of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: ((t["dtype"], t["shape"]), data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for name, t in header.items()}


def in_blocks(folder):
    """Whether the job has tuned for a while."""
    return len([e for e in events(folder, "checkpoint") if e["iter"] > 0]) > 0


def two_runs_with_one_seed_are_identical_and_another_seed_differs():
    with Place() as p:
        for name, seed in (("one", 7), ("two", 7), ("other", 8)):
            p.wait(p.submit(name, demo_job("w3g64", seed=seed, **SHORT)))
        assert not differing(p.path("one"), p.path("two"))
        assert results_of(p.path("one")) == results_of(p.path("two"))
        assert WEIGHTS in differing(p.path("one"), p.path("other"))
        assert report(p.path("other"))["seed"] == 8


def check_pauses(long):
    with Place() as p:
        p.wait(p.submit("calm", long))
        job = p.submit("paused", long)
        for _ in range(2):
            wait_for("a checkpoint", lambda: in_blocks(p.job_dir(job)))
            p.ctl("pause", job)
            wait_for("the pause", lambda: p.ctl("show", job)["state"] == "paused")
            assert p.ctl("show", job)["pid"] is None and not os.path.exists(p.path("paused"))
            p.ctl("resume", job)
        p.wait(job)
        assert any("goes on at iteration" in e["text"] for e in events(p.job_dir(job), "log")), "it paused inside a block"
        assert not differing(p.path("calm"), p.path("paused")), differing(p.path("calm"), p.path("paused"))
        assert results_of(p.path("calm")) == results_of(p.path("paused"))


def a_pause_and_a_resume_leave_no_trace():
    check_pauses(demo_job("w3g64", evaluate=True, **dict(SMALL, signround__iters=60, eval__windows=4)))


def a_pause_and_a_resume_leave_no_trace_on_searched_scales():
    check_pauses(demo_job("w2g64", **dict(SMALL, signround__iters=60, signround__alg_ext=True)))


def finish_exports_early_what_is_there_and_plain_rounding_for_the_rest():
    with Place() as p:
        long = demo_job("w4g64", **dict(SMALL, signround__iters=200))
        plain = {k: v for k, v in long.items() if k != "calib"}
        plain.update(method="rtn", options={"threads": 2})
        p.wait(p.submit("plain", plain))
        job = p.submit("early", long)
        wait_for("a block", lambda: events(p.job_dir(job), "block.end"))
        p.ctl("finish", job)
        p.wait(job)
        early, plain = (tensors_of(p.path(name, WEIGHTS)) for name in ("early", "plain"))
        assert early.keys() == plain.keys() and all(early[k][0] == plain[k][0] for k in early), "types and shapes"
        tuned = {k.split(".layers.")[1][0] for k in early if early[k] != plain[k]}
        assert "0" in tuned and "5" not in tuned, "blocks that are not plainly rounded: %s" % tuned
        assert p.ctl("eval", p.path("early"), "--eval", EVAL, "--set", "eval.windows=2", "--set",
                     "eval.seqlen=64")["perplexity"] < 200, "the shipped model has about 70"


def a_resume_with_other_calibration_text_is_refused_unless_drift_is_accepted():
    with Place() as p:
        text = p.path("text.txt")
        shutil.copyfile(CALIB, text)
        spec = dict(demo_job("w3g64", **dict(SMALL, signround__iters=60)), calib=[text], output=p.path("out"))
        refusing, accepting = p.path("refusing"), p.path("accepting")
        for folder, accept in ((refusing, False), (accepting, True)):
            path = p.write_job("job", dict(spec, accept_drift=accept))
            shutil.copyfile(CALIB, text)
            worker = subprocess.Popen([p.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=p.env,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for("a checkpoint", lambda: in_blocks(folder) or worker.poll() is not None)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait() == 10, "it paused"
            with open(CALIB) as f, open(text, "w") as g:
                g.write(f.read()[5000:])
            if not accept:
                answer = p.run(p.env["SRQ_WORKER"], "--job", folder, code=1)
                assert "calibration was" in answer, answer
                assert not os.path.exists(p.path("out"))
            else:
                p.run(p.env["SRQ_WORKER"], "--job", folder)
                assert any("calibration was" in e["text"] for e in events(folder, "log"))
                assert report(p.path("out"))["method"] == "signround"


def the_daemon_tells_a_refused_resume_with_the_field_that_drifted():
    with Place() as p:
        text = p.path("text.txt")
        shutil.copyfile(CALIB, text)
        job = p.submit("out", dict(demo_job("w3g64", **dict(SMALL, signround__iters=100000)), calib=[text]))
        wait_for("a checkpoint", lambda: in_blocks(p.job_dir(job)))
        p.ctl("pause", job)
        wait_for("the pause", lambda: p.ctl("show", job)["state"] == "paused")
        with open(text, "w") as f:
            f.write(open(CALIB).read()[5000:])
        p.ctl("resume", job)
        got = wait_for("the refusal", lambda: (lambda g: g if g["state"] == "failed" else None)(p.ctl("show", job)))
        assert "calibration was" in got["reason"], got["reason"]


if __name__ == "__main__":
    run_tests([
        two_runs_with_one_seed_are_identical_and_another_seed_differs,
        a_pause_and_a_resume_leave_no_trace,
        a_pause_and_a_resume_leave_no_trace_on_searched_scales,
        finish_exports_early_what_is_there_and_plain_rounding_for_the_rest,
        a_resume_with_other_calibration_text_is_refused_unless_drift_is_accepted,
        the_daemon_tells_a_refused_resume_with_the_field_that_drifted,
    ])
