#!/usr/bin/env python3
"""srqctl compare with the real programs: rows, refusals, results found again, what is written, Ctrl-C."""
import csv
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, EVAL, MODEL, Place, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

WORDS = ["compare", MODEL, "--calib", CALIB, "--eval", EVAL, "--set", "batch=2", "--set", "nsamples=8", "--set", "seqlen=64", "--set",
         "eval.windows=4", "--set", "threads=1", "--set", "refine=0", "--set", "signround.iters=3"]


def rows_are_measured_and_found_again():
    with Place() as p:
        words = WORDS + ["-m", "rtn,hqq,short=signround:signround.iters=20", "-s", "w3g64,w3g64z", "--seeds", "2", "-o",
                         p.path("cmp")]
        files = ["--csv", p.path("t.csv"), "--html", p.path("t.html"), "--png", p.path("t.png")]
        said = json.loads(p.run(p.env["SRQ_CTL"], *words, "--dry-run", "--json"))
        assert all(r["state"] == "stopped" for r in said["rows"]) and not os.path.exists(p.path("cmp", "runs"))
        named = p.ctl(*WORDS[:-2], "-m", "rtn,rtn:rtn.opt=on,opt=rtn:rtn.opt=on", "-s", "w3g64", "-o", p.path("cmp"), "--dry-run")["rows"]
        assert [r["label"] for r in named] == ["rtn", "rtn:rtn.opt=on", "opt"], named
        first = json.loads(p.run(p.env["SRQ_CTL"], *words, *files, "--json", code=1))  # hqq takes no symmetric scheme
        rows = {(r["label"], r["scheme"]): r for r in first["rows"]}
        assert len(rows) == 6 and rows["short", "w3g64"]["method"] == "signround"
        refused = rows.pop(("hqq", "w3g64"))
        assert refused["state"] == "refused" and "asymmetric" in refused["reason"] and refused["perplexity"] is None
        for name, r in rows.items():
            assert r["state"] == "done" and [x["seed"] for x in r["runs"]] == [42, 43], (name, r)
            assert r["perplexity_low"] < r["perplexity"] < r["perplexity_high"], r
            assert 1e6 < r["bytes"] < first["original_bytes"] / 2, "the size is that of the schemes, not of the format fake"
            assert 3 < r["average_bits"] < 4 and r["peak_rss_bytes"] > 1e6 and r["seconds"] > 0, r
            assert sorted(os.listdir(r["runs"][0]["folder"])) == ["report.json"], "models are not kept"
        rtn = rows["rtn", "w3g64z"]
        assert rtn["loss_to_rounding"] == 0 and rtn["perplexity_deviation"] == 0 and rtn["to_rounding"] == "same", rtn
        assert rows["short", "w3g64z"]["perplexity_deviation"] > 0
        with open(p.path("t.csv"), newline="") as f:
            table = list(csv.DictReader(f))
        assert len(table) == 6 and abs(float(table[1]["perplexity"]) - rtn["perplexity"]) < 1e-9, table[1]
        with open(p.path("t.html")) as f:
            page = f.read()
        assert "<svg" in page and "short" in page and "<script" not in page and "asymmetric" in page
        with open(p.path("t.png"), "rb") as f:
            assert f.read(8) == b"\x89PNG\r\n\x1a\n"
        ran = [j["job"] for j in p.ctl("list")["jobs"]]
        again = json.loads(p.run(p.env["SRQ_CTL"], *words, "--json", code=1))
        assert [j["job"] for j in p.ctl("list")["jobs"]] == ran and len(ran) > 0, "what was measured is run again"
        assert all(r["state"] == "reused" for r in again["rows"] if r["label"] != "hqq" or r["scheme"] == "w3g64z")
        assert [r["perplexity"] for r in again["rows"]] == [r["perplexity"] for r in first["rows"]]
        out = p.run(p.env["SRQ_CTL"], *words, code=1)
        assert "TO ROUNDING" in out and "hqq w3g64 refused: hqq fits ranges" in out, out


def a_row_asked_for_twice_is_run_once():
    with Place() as p:
        rows = p.ctl(*WORDS[:-2], "-m", "rtn,again=rtn", "-s", "w4g64,w4g64", "-o", p.path("cmp"))["rows"]
        assert len(rows) == 4 and all(r["state"] == "done" for r in rows), rows
        assert len({r["perplexity"] for r in rows}) == 1 and len(p.ctl("list")["jobs"]) == 1, rows


def another_file_behind_an_option_is_another_result():
    with Place() as p:
        p.wait(p.submit("scales", {"model": MODEL, "method": "teq", "scheme": "w3g64", "formats": ["fake"], "calib": [CALIB],
                                   "options": {"teq.init": "smooth", "teq.steps": 0, "nsamples": 8, "seqlen": 64}}))
        scales = p.path("loaded.safetensors")
        shutil.copyfile(p.path("scales", "srq_scales.st"), scales)
        words = WORDS[:-2] + ["-m", "teq+rtn", "-s", "w3g64", "--set", "teq.load=" + scales, "-o", p.path("cmp")]
        first = p.ctl(*words)["rows"][0]
        assert first["state"] == "done" and p.ctl(*words)["rows"][0]["state"] == "reused", first
        p.wait(p.submit("others", {"model": MODEL, "method": "teq", "scheme": "w3g64", "formats": ["fake"], "calib": [CALIB],
                                   "options": {"teq.init": "sqrtw", "teq.steps": 0, "nsamples": 8, "seqlen": 64}}))
        shutil.copyfile(p.path("others", "srq_scales.st"), scales)
        now = p.ctl(*words)["rows"][0]
        assert now["state"] == "done" and now["perplexity"] != first["perplexity"], (first, now)


def another_text_in_a_folder_is_another_result_and_force_runs_again():
    with Place() as p:
        os.mkdir(p.path("texts"))
        shutil.copyfile(CALIB, p.path("texts", "a.txt"))
        at = WORDS.index(CALIB)
        words = WORDS[:at] + [p.path("texts")] + WORDS[at + 1:-2] + ["-m", "gptq", "-s", "w3g64", "-o", p.path("cmp")]
        first = p.ctl(*words)["rows"][0]
        assert first["state"] == "done" and p.ctl(*words)["rows"][0]["state"] == "reused", first
        again = p.ctl(*words, "--force")["rows"][0]
        assert again["state"] == "done" and again["perplexity"] == first["perplexity"], again
        with open(p.path("texts", "a.txt"), "r+b") as f:
            f.seek(10)
            f.write(b"x" * 390)
        now = p.ctl(*words)["rows"][0]
        assert now["state"] == "done" and now["perplexity"] != first["perplexity"], (first, now)


def what_is_no_table_or_page_is_not_replaced():
    with Place() as p:
        text = p.path("notes.txt")
        for option in ("--csv", "--html", "--png"):
            with open(text, "w") as f:
                f.write("notes")
            said = p.run(p.env["SRQ_CTL"], *WORDS[:-2], "-m", "rtn", "-s", "w4g64", "-o", p.path("cmp"), option, text, code=1)
            assert "notes.txt exists and is no" in said and open(text).read() == "notes", said
        assert p.ctl("list")["jobs"] == [], "refused before any work"
        words = [*WORDS[:-2], "-m", "rtn,again=rtn", "-s", "w4g64", "-o", p.path("cmp"), "--csv", p.path("t.csv")]
        assert "1 jobs, 0 of them" in p.run(p.env["SRQ_CTL"], *words, "--dry-run")
        for _ in range(2):
            p.run(p.env["SRQ_CTL"], *words)
        assert "original: perplexity" in p.run(p.env["SRQ_CTL"], *words) and os.path.getsize(p.path("t.csv")) > 100


def models_are_kept_on_request():
    with Place() as p:
        got = p.ctl(*WORDS, "-m", "signround", "-s", "w4g64", "-o", p.path("cmp"), "--keep", "--format", "auto_round")
        assert "model.safetensors" in os.listdir(got["rows"][0]["runs"][0]["folder"])


def schemes_with_activations_are_compared_like_any_other():
    with Place() as p:
        rows = {(r["label"], r["scheme"]): r for r in p.ctl(*WORDS[:-2], "-m", "rtn,smoothquant+rtn", "-s", "w8,w8a4", "-o", p.path("cmp"))["rows"]}
        assert all(r["state"] == "done" for r in rows.values()), rows
        assert rows["rtn", "w8a4"]["kl"] > 100 * rows["rtn", "w8"]["kl"], rows
        assert rows["rtn", "w8a4"]["average_bits"] == rows["rtn", "w8"]["average_bits"], "nothing of it is stored"


def words_that_make_no_sense_are_refused():
    with Place() as p:
        for words, part in ((["-s", "w4g64"], "--methods"), (["-m", "rtn"], "--schemes"),
                            (["-m", "signround:x", "-s", "w4g64"], "x is not KEY=VALUE"), (["-m", "=rtn", "-s", "w4g64"], "names no method"),
                            (["-m", "a=rtn,a=hqq", "-s", "w4g64"], "two methods are called \"a\""),
                            (["-m", "rtn,signround", "-s", "w4g64", "--seeds", "0"], "seeds"),
                            (["-m", "rtn", "-s", "w4g64"], "none of the methods has a plugin signround")):
            said = p.run(p.env["SRQ_CTL"], *WORDS, *words, "-o", p.path("cmp"), code=2)
            assert part in said, said
        said = p.run(p.env["SRQ_CTL"], "compare", MODEL, "-m", "rtn", "-s", "w4g64", code=2)
        assert "--eval" in said, said


def control_c_cancels_what_has_not_ended():
    with Place() as p:
        words = [p.env["SRQ_CTL"], *WORDS, "-m", "rtn,long=signround:signround.iters=100000", "-s", "w3g64", "-o", p.path("cmp")]
        c = subprocess.Popen(words, env=p.env, cwd=p.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        wait_until("the long job", lambda: any(j["state"] == "running" and j["method"] == "signround"
                                               for j in p.ctl("list")["jobs"]) or c.poll() is not None)
        seen = ""
        for line in c.stdout:  # it has the short job's end when it speaks of the long one
            seen += line
            if line.startswith("2 of 2: "):
                break
        c.send_signal(signal.SIGINT)
        out, complaints = c.communicate(timeout=60)
        out = seen + out
        assert c.returncode == 130, (c.returncode, out, complaints)
        assert "1 job is canceled" in complaints and "rtn" in out, (out, complaints)
        assert "goes on;" not in complaints and "long w3g64 stopped: interrupted" in out, (out, complaints)
        wait_until("the cancellation", lambda: all(j["state"] in ("done", "canceled") for j in p.ctl("list")["jobs"]))


if __name__ == "__main__":
    run_tests([
        rows_are_measured_and_found_again,
        a_row_asked_for_twice_is_run_once,
        another_file_behind_an_option_is_another_result,
        another_text_in_a_folder_is_another_result_and_force_runs_again,
        what_is_no_table_or_page_is_not_replaced,
        models_are_kept_on_request,
        schemes_with_activations_are_compared_like_any_other,
        words_that_make_no_sense_are_refused,
        control_c_cancels_what_has_not_ended,
    ])
