#!/usr/bin/env python3
"""Scales that outlive their job, run by srq-worker alone: the cache, files of scales, method lists that are refused."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, LIMIT_S, MODEL, SOURCE, Place, differing, events, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402

SHORT = {"threads": 2, "teq.steps": 12, "teq.batch": 2, "teq.seqlen": 64, "teq.nsamples": 12, "teq.holdout": 4,
         "teq.probe_every": 4, "teq.lr": 0.004}
OWN = {"srq_scales.st", "srq_plan.json"}  # files that tell how a model was made


def job(p, name, method="teq,rtn", **more):
    made = {"model": MODEL, "method": method, "scheme": "w3", "calib": [CALIB], "output": p.path(name), "formats": ["fake"],
            "options": dict(SHORT)}
    made.update(more)
    return made


def start(p, name, made):
    return subprocess.Popen([p.env["SRQ_WORKER"], "--spec", p.write_job(name, made), "--dir", p.path(name + ".job")],
                            env=p.env, cwd=p.top, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def run(p, name, made, code=0):
    worker = start(p, name, made)
    _, complaints = worker.communicate(timeout=LIMIT_S)
    words = complaints.decode(errors="replace")
    assert worker.returncode == code or (code and worker.returncode), "%d: %s" % (worker.returncode, words[-2000:])
    return words


def plan(p, made):
    done = subprocess.run([p.env["SRQ_WORKER"], "--plan"], input=json.dumps(made).encode(), env=p.env, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def said(p, name):
    return [e["text"] for e in events(p.path(name + ".job"), "log")]


def scales_are_taken_from_the_cache_and_from_a_file():
    with Place() as p:
        run(p, "first", job(p, "first"))
        assert not any("known from an earlier job" in text for text in said(p, "first"))
        run(p, "alone", job(p, "alone", "teq"))  # the same scales, nothing rounded
        assert any("scales of teq are known from an earlier job" in text for text in said(p, "alone"))
        assert report(p.path("alone"))["transform"] == report(p.path("first"))["transform"]
        run(p, "other", job(p, "other", "teq", scheme="w4"))
        assert not any("known from an earlier job" in text for text in said(p, "other"))
        with open(p.path("alone", "srq_scales.st"), "rb") as a, open(p.path("first", "srq_scales.st"), "rb") as b:
            assert a.read() == b.read()
        loaded = {"threads": 2, "teq.load": p.path("first", "srq_scales.st")}
        run(p, "loaded", job(p, "loaded", options=loaded))
        assert set(differing(p.path("first"), p.path("loaded"))) <= OWN, differing(p.path("first"), p.path("loaded"))


def a_file_of_scales_for_another_model_is_refused_by_name():
    with Place() as p:
        tiny = p.path("tiny")
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), tiny, "--blocks", "2", "--hidden", "64",
                        "--mlp", "128"], check=True)
        run(p, "first", job(p, "first", options=dict(SHORT, **{"teq.steps": 0, "teq.init": "sqrtw"})))
        path = p.path("first", "srq_scales.st")
        words = run(p, "tiny-job", job(p, "tiny-job", model=tiny, options={"threads": 2, "teq.load": path}), code=1)
        assert "model.layers.0.input_layernorm.scale" in words and path in words, words
        error = plan(p, job(p, "no", model=tiny, options={"threads": 2, "teq.load": path}))["error"]
        assert "model.layers.0.input_layernorm.scale" in error["message"] and path in error["message"], error
        words = run(p, "absent", job(p, "absent", options={"threads": 2, "teq.load": p.path("absent.st")}), code=1)
        assert "absent.st" in words, words


def lists_that_make_no_sense_are_refused():
    with Place() as p:
        for method, formats, part in (("rtn,teq", ["fake"], "teq"), ("teq,teq", ["fake"], "teq"),
                                      ("teq,rtn,signround", ["fake"], "rtn"), ("teq", ["auto_round"], "fake"),
                                      ("teq,smoothquant,rtn", ["fake"], "smoothquant")):
            error = plan(p, job(p, "no", method, formats=formats)).get("error")
            assert error and part in error["message"], "%s: %s" % (method, error)
        error = plan(p, dict(job(p, "no"), calib=[]))["error"]
        assert error["field"] == "calib", error
        for key, value in (("teq.pairs", "AX"), ("teq.pairs", "AA"), ("teq.load", "scales.st"), ("teq.holdout", 12)):
            error = plan(p, job(p, "no", options=dict(SHORT, **{key: value})))["error"]
            assert "teq" in error["message"], error


if __name__ == "__main__":
    run_tests([scales_are_taken_from_the_cache_and_from_a_file,
               a_file_of_scales_for_another_model_is_refused_by_name, lists_that_make_no_sense_are_refused])
