#!/usr/bin/env python3
"""srqtop with the real daemon on a diffusion model: pictures of teacher and student while it is trained, bits changed by
keys, the training told to finish, what was measured in the end; in 24-bit colours, in 256, and in none."""
import base64
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests", "lib"))
from real_jobs import BUILD, Place, events, report, wait_until  # noqa: E402
from tmux import Terminal, Timeout  # noqa: E402

TOP = os.environ.get("SRQ_TOP") or os.path.join(BUILD, "tui", "srqtop", "srqtop")
UNET = os.path.join(os.path.abspath(os.environ["top_srcdir"]), "tests/reference/unets/plain")
STEPS = 100000  # more than it will do: it is told to finish
number = 0
failed = False


def check(name, condition, seen=""):
    global number, failed
    number += 1
    print(f"{'ok' if condition else 'not ok'} {number} - {name}")
    if not condition:
        failed = True
        for line in str(seen).splitlines():
            print("#", line)
    sys.stdout.flush()


def known(place, job):
    out = place.run(TOP, "--once", "--json", "--job", job)
    return next(j for j in json.loads(out)["jobs"] if j["job"] == job)


def pixels(sampled):
    p = sampled["pictures"]
    data = base64.b64decode(p["pixels"], validate=True)
    assert len(data) == p["count"] * p["height"] * p["width"] * p["channels"], p
    return data


if not Terminal.there():
    print("1..0 # SKIP there is no tmux")
    sys.exit(0)

with Place() as place:
    job = place.submit("out", {
        "model": UNET, "method": "diffusion-qat", "scheme": "w4a8", "formats": ["fake"],
        "options": {"nsamples": 16, "samples": 8, "sample_steps": 10, "threads": 1, "preview": 1000, "checkpoint_s": 1,
                    "diffusion-qat.steps": STEPS, "diffusion-qat.batch": 4, "diffusion-qat.warmup": 8,
                    "diffusion-qat.lr": 1e-3}})
    env = dict(place.env, PATH=os.environ["PATH"])
    env.pop("COLORTERM", None)
    env.pop("NO_COLOR", None)
    with Terminal(place.top, 120, 36, env=env) as t:
        try:
            t.run("clear; COLORTERM=truecolor %s --job %s --panel diffusion" % (TOP, job))
            t.until(r"student, step \d+", 60)
            t.until(r"[●▲■] kd ", 60)  # a screen that is read while it is drawn has not all of it
            seen = t.until("scores come when the result is sampled", 60)
            check("teacher and student are there while it is trained, in half blocks",
                  "teacher" in seen and seen.count("▀") >= 2 * 8 * 4, seen)
            check("with the rule, the error of each step and the parts of the loss",
                  "full precision: first 1, last 1 of 10 steps" in seen and "SQNR of each step" in seen and
                  re.search(r"[●▲■] kd ", seen) is not None, seen)
            check("what is not there yet says when it comes", "scores come when the result is sampled" in seen, seen)
            first = int(re.search(r"student, step (\d+)", seen).group(1))
            check("pixels have colours of 24 bits", "48;2;" in t.tmux("capture-pane", "-p", "-e"))
            wait_until("pictures of a later step",
                       lambda: int(re.search(r"student, step (\d+)", t.screen() + "student, step 0").group(1)) > first, 60)
            check("they are refreshed", True)
            for width, height in ((40, 10), (10, 5), (200, 50), (80, 24)):
                t.resize(width, height)
                t.until("▀", 10)
            t.until(r"student, step \d+", 20)
            check("it keeps up with the terminal's size", True)
            j = known(place, job)["diffusion"]
            a, b = pixels(j["full"]), pixels(j["quantized"])
            check("as JSON they are the same event", len(a) == len(b) == 4 * 8 * 8 and a != b and
                  len(j["step_sqnr"]) == 10 and len(j["kd"]) > 0 and j["hp_first"] == 1, j)

            t.keys("F2")
            t.until(r"block / layer", 10)
            t.type("/mid_block.resnets.0.conv1")
            t.keys("Enter")
            t.until(r"(?<!/)resnets\.0\.conv1|(?<!/)conv1", 10)
            t.keys("8")
            t.until(r"size .* → .*", 20)
            t.keys("Enter")
            t.until(r"revision 1\b", 20)
            check("bits are changed by keys while it is trained", True)
            at = known(place, job)["transform"]["iter"]
            wait_until("a step with the new bits", lambda: known(place, job)["transform"]["iter"] > at, 60)
            t.type(":finish")
            t.keys("Enter")
            t.until(r"\(y/n\)|told to finish|finish", 10)
            t.keys("y")
            place.wait(job)
            t.keys("F6")
            seen = t.until(r"mixed +\d", 30)
            check("in the end full, quantized and mixed are compared", "pair MSE" in seen and "quantized" in seen, seen)
            t.keys("q")
            t.until(r"^@ *$")

            t.run("clear; %s --job %s --panel diffusion" % (TOP, job))
            t.until(r"mixed +\d", 30)
            colours = t.tmux("capture-pane", "-p", "-e")
            check("in 256 colours pictures are half blocks too", "▀" in colours and "48;5;" in colours and
                  "48;2;" not in colours)
            t.keys("q")
            t.until(r"^@ *$")
            t.run("clear; NO_COLOR=1 %s --job %s --panel diffusion" % (TOP, job))
            seen = t.until(r"mixed +\d", 30)
            check("without colours they are characters", "▀" not in seen and len(set(seen) & set(".:-=+*#%@")) > 3, seen)
            t.keys("q")
            t.until(r"^@ *$")
        except (Timeout, TimeoutError) as e:
            check("what was waited for came", False, str(e) + "\n" + t.screen())
    out = place.run(TOP, "--once", "--job", job, "--panel", "diffusion", "--width", "120", "--height", "30")
    check("--once prints the panel", "pair MSE" in out and "mixed" in out and len(set(out) & set(".:-=+*#%@")) > 3, out)
    r = report(place.path("out"))
    layers = {row["name"]: row for row in r["layers"]}
    points = events(place.job_dir(job), "transform.point")
    check("it ended early, with what it had learned", 0 < len(points) and points[-1]["iter"] < STEPS - 1, len(points))
    check("and exported with the bits that were asked for",
          layers["mid_block.resnets.0.conv1"]["scheme"] == "w8a8" and r["diffusion"]["pair_mse"]["mixed"] is not None,
          layers["mid_block.resnets.0.conv1"])

print(f"1..{number}")
sys.exit(1 if failed else 0)
