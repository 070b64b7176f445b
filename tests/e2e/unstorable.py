#!/usr/bin/env python3
"""What a format cannot hold is found before the first block, named by its own layer and reason, and a pin lets the job go on."""
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, SOURCE, Failed, Place, events, report, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_folder, write_folder  # noqa: E402

UP = "model.layers.2.mlp.up_proj"
K = "model.layers.1.self_attn.k_proj"
HIDDEN = 64


def bf16(v):
    return struct.pack("<f", v)[2:]


def make_model(place, change):
    """A small model after change(tensors, config); tensors: {name: [dtype, shape, bytearray]}."""
    folder = place.path("model")
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder, "--blocks", "3"], check=True)
    tensors, config = read_folder(folder)
    for t in tensors.values():
        t[2] = bytearray(t[2])
    change(tensors, config)
    write_folder(folder, tensors, config)
    return folder


def huge_row(tensors, config):
    """Values that BF16 holds and whose scale is beyond F16."""
    for i in range(HIDDEN):
        tensors[UP + ".weight"][2][2 * (10 * HIDDEN + i):2 * (10 * HIDDEN + i) + 2] = bf16((-1) ** i * 3e6)


def huge_bias(tensors, config):
    config["attention_bias"] = True
    for b in range(3):
        for module, out in (("q_proj", HIDDEN), ("k_proj", HIDDEN // 2), ("v_proj", HIDDEN // 2), ("o_proj", HIDDEN)):
            tensors["model.layers.%d.self_attn.%s.bias" % (b, module)] = ["BF16", [out], bytearray(bf16(0.01) * out)]
    tensors[K + ".bias"][2][4:6] = bf16(1e5)


QUICK = {"nsamples": 4, "seqlen": 32, "batch": 2, "threads": 1}


def failure(place, name, **spec):
    """The job's last words; it must fail before any block."""
    spec = dict({"scheme": "w4g32", "output": place.path(name)}, **spec)
    try:
        place.ctl("submit", "--job", place.write_job(name, spec), "--wait")
    except Failed:
        job = place.ctl("list")["jobs"][0]["job"]
        folder = place.job_dir(job)
        assert not events(folder, "block.begin") and not events(folder, "block.end") and not events(folder, "layer.scored")
        return place.ctl("show", job)["reason"]
    raise AssertionError("it did not fail")


def a_scale_that_overflows_is_named_by_its_layer_before_any_work():
    with Place() as p:
        model = make_model(p, huge_row)
        calib = {"calib": [CALIB], "options": dict(QUICK, **{"signround.iters": 20})}
        for name, more in (("rtn", {"method": "rtn"}), ("signround", dict(calib, method="signround")),
                           ("gptq", dict(calib, method="gptq", options=QUICK)),
                           ("v2", dict(calib, method="signround", options=dict(QUICK, **{"signround.alg_ext": True}))),
                           ("budget", dict(calib, method="rtn", budget={"bits": 4, "candidates": ["w2g32", "w4g32"]},
                                           options={"threads": 1, "deltaloss.nsamples": 2, "deltaloss.seqlen": 32}))):
            said = failure(p, name, model=model, **more)
            assert "of " + UP + " is not finite" in said and "such as bf16" in said, (name, said)


def tiny_rows(tensors, config):
    """Two rows of up and one of k whose scale would be below the least that is stored."""
    for module, rows in ((UP, (3, 4)), (K, (0,))):
        for row in rows:
            for i in range(HIDDEN):
                at = 2 * (row * HIDDEN + i)
                tensors[module + ".weight"][2][at:at + 2] = bf16((-1) ** i * 4e-6)


def weights_that_rounding_would_erase_are_told():
    with Place() as p:
        model = make_model(p, tiny_rows)
        for name, scheme, groups in (("rows", "w4", 3), ("groups", "w4g32", 3 * HIDDEN // 32), ("floats", "mxfp4", 0)):
            spec = {"model": model, "method": "rtn", "scheme": scheme, "output": p.path(name),
                    "formats": ["fake"], "options": {"threads": 1}}
            job = p.ctl("submit", "--job", p.write_job(name, spec), "--wait")["job"]
            told = [e["text"] for e in events(p.job_dir(job), "log") if "all zero once rounded" in e["text"]]
            assert len(told) == (1 if groups else 0), told
            for words in ("%d groups of " % groups, " and 1 more", "at most 3.99e-06", "(bf16)") if groups else ():
                assert words in told[0], (words, told)


def a_failed_job_takes_a_pin_and_goes_on():
    with Place() as p:
        model = make_model(p, huge_row)
        spec = {"model": model, "method": "signround", "scheme": "w4g32", "calib": [CALIB], "output": p.path("out"),
                "options": dict(QUICK, **{"signround.iters": 20})}
        job = p.ctl("submit", "--job", p.write_job("job", spec))["job"]
        wait_until("its failure", lambda: p.ctl("show", job)["state"] == "failed")
        changed = p.ctl("pin", job, UP, "bf16")
        assert changed["applied"] and changed["changed"] == 2, "gate and up are fused: %s" % changed["changes"]
        p.ctl("resume", job)
        p.wait(job)
        of = {l["name"]: l for l in report(p.path("out"))["layers"]}
        assert of[UP]["scheme"] == "bf16" and of[UP]["source"] == "pin", of[UP]
        assert of[UP.replace("up", "down")]["scheme"] == "w4g32"


def a_bias_that_the_layout_cannot_hold_is_found_before_any_work():
    with Place() as p:
        model = make_model(p, huge_bias)
        said = failure(p, "gptq", model=model, method="signround", calib=[CALIB], formats=["fake", "auto_gptq"],
                       options=dict(QUICK, **{"signround.iters": 20}))
        assert K + ".bias holds 99840" in said and "65504" in said, said
        p.ctl("submit", "--job", p.write_job("fake", {"model": model, "method": "rtn", "scheme": "w4g32", "formats": ["fake"],
                                                      "output": p.path("fake")}), "--wait")


def a_reason_is_never_a_neighbours():
    """Rows that the group does not divide: of the fused layers each is told the real one."""
    with Place() as p:
        def change(tensors, config):
            pass
        model = make_model(p, change)
        plan = p.ctl("submit", model, "-m", "rtn", "-s", "w4g32", "-o", p.path("x"), "--dry-run", "--layer", K + "=w4g48")
        whys = {l["name"]: l["why"] for l in plan["layers"] if l.get("why")}
        assert len(whys) == 3, whys
        assert all("group 48 does not divide rows of 64" in why for why in whys.values()), whys


if __name__ == "__main__":
    run_tests([a_scale_that_overflows_is_named_by_its_layer_before_any_work, weights_that_rounding_would_erase_are_told,
               a_failed_job_takes_a_pin_and_goes_on,
               a_bias_that_the_layout_cannot_hold_is_found_before_any_work, a_reason_is_never_a_neighbours])
