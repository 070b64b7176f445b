#!/usr/bin/env python3
"""srqctl's verbs of the live plan against a real srqd whose workers are stand-ins."""
import csv
import io
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import run_tests, spec, wait_state, with_daemon  # noqa: E402

CTL = os.environ.get("SRQ_CTL", os.path.join(os.environ.get("top_builddir", "."), "tui/srqctl/srqctl"))


def ctl(d, *words, code=0, locale="C"):
    out = subprocess.run([CTL, *words], env=dict(d.env, SRQ_SOCKET=d.socket, LC_ALL=locale), capture_output=True, text=True,
                         timeout=60)
    assert out.returncode == code, "%s: code %d: %s%s" % (words, out.returncode, out.stdout, out.stderr)
    return out.stdout if code == 0 or "--json" in words else out.stderr


def paused(d, **options):
    return d.client().call("job.submit", spec=spec(d.top, steps=3, **options), paused=True)["job"]


@with_daemon()
def pin_shows_what_changes_before_and_after(d):
    job = paused(d)
    dry = ctl(d, "pin", job, "*.1.mlp.*", "w8", "--dry-run")
    assert dry.splitlines()[:2] == ["dry run at revision 0: 1 layer would change",
                                    "  model.layers.1.mlp.down_proj  w4g128 -> w8, pending"], dry
    assert "bits a weight   5.00 -> 5.17\n" in dry, dry
    assert ctl(d, "pin", job, "*.1.mlp.*=w8", "*.2.mlp.*=w3g64").startswith("revision 1: 2 layers changed\n")
    assert ctl(d, "pin", job, "*.1.mlp.*", "w8") == "revision 1: nothing to change in 1 layer\n" + \
        "size            300 B -> 300 B\nbits a weight   5.00 -> 5.00\n"
    plan = ctl(d, "plan", job)
    assert plan.startswith("revision 1, 4 layers"), plan
    rows = [line.split() for line in plan.splitlines()[1:]]
    assert rows[0] == ["blocks", "module", "shape", "scheme", "source", "state", "layers"], rows
    assert ["1", "mlp.down_proj", "8x8", "w8", "pin", "pending", "1"] in rows, rows
    assert json.loads(ctl(d, "unpin", job, "*", "--json"))["revision"] == 2
    assert "tuned again     blocks 0-3\n" in ctl(d, "retune", job, "*", "--dry-run")


@with_daemon()
def refusals_have_their_exit_codes_and_words(d):
    job = paused(d)
    ctl(d, "pin", job, "*", "w8")
    text = ctl(d, "pin", job, "*", "w2", "--revision", "0", code=1)
    assert "revision 1, not 0" in text, text
    error = json.loads(ctl(d, "pin", job, "*", "w2", "-r", "0", "--json", code=1))["error"]
    assert (error["code"], error["field"]) == ("state", "revision"), error
    assert "matches nothing" in ctl(d, "unpin", job, "nowhere", code=1)
    assert "submit it with --budget" in ctl(d, "budget", job, "3.2", code=1)
    assert "neither a number of bits" in ctl(d, "budget", job, "much", code=2)
    assert "is not PATTERN=SCHEME" in ctl(d, "pin", job, "*", code=2)
    assert "not a whole number" in ctl(d, "pin", job, "*", "w8", "--revision", "1.5", code=2)
    assert "no job" in ctl(d, "pin", "zzz", "*", "w8", code=4)
    c = d.client()
    c.call("job.resume", job=job)
    wait_state(c, job, "done")
    assert "is done; its plan cannot be changed" in ctl(d, "retune", job, "*", code=1)


@with_daemon()
def a_heatmap_is_drawn_and_written_as_csv_and_json(d):
    job = paused(d)
    ctl(d, "pin", job, "*.2.*", "w8")
    text = ctl(d, "heatmap", job)
    assert text.splitlines() == ["block  down ", "    0  .. ", "    1  .. ", "    2  @@!", "    3  .. ", "",
                                 "bits: . is 4, @ is 8; ! pinned, - not known"], text
    assert re.search(r"^    2 +8!$", ctl(d, "heatmap", job, "--numbers"), re.M)
    assert "█" in ctl(d, "heatmap", job, locale="C.UTF-8") and "█" not in ctl(d, "heatmap", job, "--ascii", locale="C.UTF-8")
    rows = list(csv.DictReader(io.StringIO(ctl(d, "heatmap", job, "--csv"))))
    assert [r["value"] for r in rows] == ["4", "4", "8", "4"] and rows[2]["pin"] == "true", rows
    assert json.loads(ctl(d, "heatmap", job, "--by", "loss", "--json"))["cells"][0]["value"] is None
    assert "nothing is known yet" in ctl(d, "heatmap", job, "--by", "sensitivity")


@with_daemon()
def a_series_is_written_as_csv(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top, steps=700))["job"]
    c.call("job.finish", job=job)
    wait_state(c, job, "done")
    rows = list(csv.DictReader(io.StringIO(ctl(d, "series", job, "--block", "0", "--csv"))))
    told = c.call("job.series", job=job, block=0)
    assert len(rows) == told["total"] and list(rows[0]) == ["iter", "value", "lr", "time"]
    assert [float(r["value"]) for r in rows] == [p["value"] for p in told["points"]]


@with_daemon()
def a_dry_run_of_a_model_with_many_layers_prints_all_of_them(d):
    with open(d.top + "/job.json", "w") as f:
        json.dump(spec(d.top, layers=1300), f)
    got = json.loads(ctl(d, "submit", "--job", d.top + "/job.json", "--dry-run", "--json"))
    assert len(got["layers"]) == got["total"] == 1300


@with_daemon()
def a_budget_reaches_the_specification(d):
    with open(d.top + "/job.json", "w") as f:
        json.dump(spec(d.top), f)
    got = json.loads(ctl(d, "submit", "--job", d.top + "/job.json", "--budget", "3.2", "--candidates", "w2g64,w4g64,w8",
                         "--dry-run", "--json"))
    assert got["spec"]["budget"] == {"bits": 3.2, "candidates": ["w2g64", "w4g64", "w8"]}, got["spec"]


run_tests([v for v in list(globals().values()) if callable(v) and getattr(v, "__qualname__", "").endswith(".test")])
