#!/usr/bin/env python3
"""srqtop with the real daemon: a job's curves and tree as they grow, bits changed by keys while it runs, the daemon killed
and started again, and what was exported in the end."""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests", "lib"))
from real_jobs import BUILD, CALIB, Place, SOURCE, daemon_pid, kill, report, wait_until, workers  # noqa: E402
from tmux import Terminal, Timeout  # noqa: E402

TOP = os.environ.get("SRQ_TOP") or os.path.join(BUILD, "tui", "srqtop", "srqtop")
BLOCKS = 6
ITERS = 1500
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


def layer(block, module):
    return f"model.layers.{block}.{module}"


def known(place, job):
    """The job as srqtop --once --json knows it."""
    out = place.run(TOP, "--once", "--json", "--job", job)
    return next(j for j in json.loads(out)["jobs"] if j["job"] == job)


def schemes(place, job):
    rows = place.ctl("plan", job)["layers"]
    return {r["name"]: r["scheme"] for r in rows}


def go_to(t, name):
    """The cursor on a layer of the tree."""
    t.type("/" + name)
    t.keys("Enter")
    t.until(r"(?<!/)" + re.escape(name))


def change(t, name, digit, revision):
    """Bits by a digit, the preview, then Enter; the preview's line."""
    go_to(t, name)
    t.keys(digit)
    seen = t.until(r"size .* → .*bits", 20)
    t.keys("Enter")
    t.until(r"revision %d\b" % revision, 20)
    return seen


if not Terminal.there():
    print("1..0 # SKIP there is no tmux")
    sys.exit(0)

with Place() as place:
    place.run(sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), place.path("model"), "--blocks", str(BLOCKS))
    job = place.submit("out", {
        "model": place.path("model"), "method": "signround", "scheme": "w4g32", "formats": ["auto_round"], "calib": [CALIB],
        "options": {"nsamples": 8, "seqlen": 64, "batch": 4, "checkpoint_s": 1, "signround.iters": ITERS}})
    env = dict(place.env, PATH=os.environ["PATH"])
    with Terminal(place.top, 170, 45, env=env) as t:
        try:
            t.run("clear; %s --job %s" % (TOP, job))
            seen = t.until(r"layers\.0", 30)
            check("the tree of the job's blocks is there", all(f"layers.{b} " in seen for b in range(BLOCKS)), seen)
            seen = t.until(r"▶ *\d+/", 60)
            check("the running block shows its iteration", True)
            wait_until("a finished block", lambda: known(place, job)["blocks"][0]["state"] == "finished", 120, 0.3)
            j = known(place, job)
            check("its curves are there", len(j["blocks"][0]["loss"]) > 100 and
                  len(j["layers"][0]["errors"]) > 10 and j["blocks"][0]["loss_best"] <= j["blocks"][0]["loss_first"],
                  j["blocks"][0])
            before = j["average_bits"]

            # two pending layers to w8, one finished to w3: each a request of its own, as a user would
            seen = change(t, layer(BLOCKS - 1, "mlp.down_proj"), "8", 1)
            check("the preview says what size and bits would come", re.search(r"bits .*→", seen) is not None, seen)
            change(t, layer(BLOCKS - 2, "mlp.down_proj"), "8", 2)
            middle = known(place, job)
            check("two pending layers have 8 bits, and the average has risen",
                  schemes(place, job)[layer(BLOCKS - 1, "mlp.down_proj")] == "w8g32" and
                  schemes(place, job)[layer(BLOCKS - 2, "mlp.down_proj")] == "w8g32" and
                  middle["average_bits"] > before and middle["revision"] == 2, (before, middle["average_bits"]))
            seen = change(t, layer(0, "self_attn.o_proj"), "3", 3)
            check("the preview says that a finished block would be tuned again", "tunes again" in seen, seen)
            j = known(place, job)
            check("the finished block is stale, its layer has 3 bits, and the average has fallen",
                  j["blocks"][0]["state"] in ("stale", "running", "finished") and
                  schemes(place, job)[layer(0, "self_attn.o_proj")] == "w3g32" and
                  j["average_bits"] < middle["average_bits"], j["blocks"][0]["state"])

            # somebody else is faster
            go_to(t, layer(BLOCKS - 1, "mlp.up_proj"))
            t.keys("8")
            t.until(r"size .* → ")
            place.ctl("pin", job, layer(BLOCKS - 1, "self_attn.o_proj"), "w8g32")
            t.until(r"revision 4\b", 20)
            seen = t.until(r"changed the plan", 20)
            check("it says who changed what", re.search(r"uid \d+.*self_attn\.o_proj", seen) is not None, seen)
            t.keys("Enter")
            t.until(r"revision 5\b", 20)
            now = schemes(place, job)
            check("edits survive a change that somebody else made, and are committed on top of it",
                  now[layer(BLOCKS - 1, "mlp.up_proj")] == "w8g32" and
                  now[layer(BLOCKS - 1, "self_attn.o_proj")] == "w8g32", now)

            # what was one's own last change is taken back
            change(t, layer(1, "mlp.down_proj"), "8", 6)
            t.keys("u")
            t.until(r"revision 7\b", 20)
            check("u takes the last own change back, and nothing else", schemes(place, job) == now, schemes(place, job))

            # the daemon dies and comes back; the worker goes on meanwhile
            kill(daemon_pid(place.socket), signal.SIGKILL)
            t.until("trying again", 20)
            check("without the daemon it says so", True)
            place.ctl("list")  # starts one
            t.until(r"pid %d" % daemon_pid(place.socket), 30)
            check("it finds the daemon again", True)
            place.wait(job)
            t.until(r"✓.*export|done", 30)
            t.keys("q")
            t.until(r"^@ *$")
            j = known(place, job)
            check("in the end every block is finished", all(b["state"] == "finished" for b in j["blocks"]),
                  [b["state"] for b in j["blocks"]])
            check("no iteration is told twice", all(
                [p[0] for p in b["loss"]] == sorted({p[0] for p in b["loss"]}) for b in j["blocks"]))
        except (Timeout, TimeoutError) as e:
            check("what was waited for came", False, str(e) + "\n" + t.screen())

    want = {layer(BLOCKS - 1, "mlp.down_proj"): 8, layer(BLOCKS - 2, "mlp.down_proj"): 8,
            layer(0, "self_attn.o_proj"): 3, layer(BLOCKS - 1, "mlp.up_proj"): 8, layer(BLOCKS - 1, "mlp.gate_proj"): 8,
            layer(BLOCKS - 1, "self_attn.o_proj"): 8}
    plan = schemes(place, job)
    check("exactly the layers asked for, and those fused with them, have other bits",
          {n: int(re.match(r"w(\d+)", s).group(1)) for n, s in plan.items() if s != "bf16" and not s.startswith("w4")} == want,
          plan)
    r = report(place.path("out"))
    check("the report says where each scheme came from",
          {x["name"] for x in r["layers"] if x["source"] == "pin"} == set(want), [x for x in r["layers"] if x["source"] == "pin"])
    config = json.load(open(place.path("out", "config.json")))["quantization_config"]
    extra = config.get("extra_config") or {}
    check("the exported config has those bits", all(extra.get(n, {}).get("bits") == b for n, b in want.items()) and
          config["bits"] == 4, extra)
    weights = sum(os.path.getsize(p) for p in glob.glob(place.path("out", "*.safetensors")))
    check("the size forecast is that of the weights, headers aside",
          r["size"]["after_bytes"] <= weights < r["size"]["after_bytes"] + 65536, (r["size"], weights))
    check("srq_plan.json tells scheme and source of every layer",
          {x["name"]: x["scheme"] for x in json.load(open(place.path("out", "srq_plan.json")))["layers"]}.items() >=
          {n: plan[n] for n in want}.items())

    with Terminal(place.top, 120, 30, env=env) as t:
        try:
            t.run("clear; %s --job %s" % (TOP, job))
            t.until(r"layers\.0")
            t.type(":delete")
            t.keys("Enter")
            t.until(r"\(y/n\)")
            t.keys("y")
            t.until("is deleted")
            wait_until("an empty queue", lambda: place.ctl("list")["jobs"] == [], 20)
            t.until(r"no job", 30)
            t.keys("q")
            t.until(r"^@ *$")
            check("a deleted job goes, its output stays", os.path.exists(place.path("out", "config.json")))
        except (Timeout, TimeoutError) as e:
            check("a deleted job goes, its output stays", False, str(e) + "\n" + t.screen())

print(f"1..{number}")
sys.exit(failed)
