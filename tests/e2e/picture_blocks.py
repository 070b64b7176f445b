#!/usr/bin/env python3
"""Rounding of a diffusion model's weights learned block by block, with the real worker: that it is nearer to the original than
plain rounding, that kills leave no trace, live pins, given pictures, what is refused."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import Place, differing, events, report, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

TOP = os.path.abspath(os.environ.get("top_srcdir", "."))
UNET = os.path.join(TOP, "tests/reference/unets/plain")  # small, and never trained
TOLD = os.path.join(TOP, "tests/reference/unets/told")   # of the family that is told a text
DEMO = os.path.join(TOP, "share/models/demo-ddpm")
SMALL = dict(samples=8, sample_steps=8, nsamples=16, threads=2)


def job(scheme, method="signround", model=UNET, formats=(), calib=(), **options):
    j = {"model": model, "method": method, "scheme": scheme,
         "options": {k.replace("__", "."): v for k, v in dict(SMALL, **options).items()}}
    if formats:
        j["formats"] = list(formats)
    if calib:
        j["calib"] = list(calib)
    return j


def worker(p, name, j, code=0):
    path = p.write_job(name, dict(j, output=p.path(name)))
    return p.run(p.env["SRQ_WORKER"], "--spec", path, "--dir", p.path(name + ".job"), code=code)


def npy(path, n, height, width, factor=37):
    """n gray pictures."""
    head = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d), }" % (n, height, width)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + bytes((len(head) & 255, len(head) >> 8)) + head.encode())
        f.write(bytes((i * factor) % 256 for i in range(n * height * width)))
    return path


def learned_rounding_is_nearer_to_the_original_than_plain():
    with Place() as p:
        for scheme in ("w4", "w3"):
            plain, learned = scheme + "-rtn", scheme + "-signround"
            worker(p, plain, job(scheme, "rtn", DEMO, samples=16))
            worker(p, learned, job(scheme, model=DEMO, samples=16, signround__iters=20))
            a, b = report(p.path(plain))["diffusion"], report(p.path(learned))["diffusion"]
            print("# %s: pair_mse of plain rounding %.5f %s, learned %.5f %s" % (
                scheme, a["pair_mse"]["quantized"], a["pair_mse_interval"]["quantized"], b["pair_mse"]["quantized"],
                b["pair_mse_interval"]["quantized"]))
            assert b["pair_mse_interval"]["quantized"][1] < a["pair_mse_interval"]["quantized"][0], (scheme, a, b)
            assert sum(b["step_sqnr"]) > sum(a["step_sqnr"]) + 3 * len(a["step_sqnr"]), (a, b)
            blocks = report(p.path(learned))["blocks"]
            inner = [x for x in blocks if "s." in x["name"]]  # those of the edges have 8 bits, and little to gain
            assert len(inner) == 19 and all(x["loss_best"] <= x["loss_first"] for x in blocks), blocks
            assert all(x["loss_best"] < 0.9 * x["loss_first"] for x in inner), inner
        told = events(p.path("w4-signround.job"), "tune.probe")
        assert {e["block"] for e in told} == set(range(len(blocks))), told
        assert [e["iter"] for e in told if e["block"] == 5] == [0, 10, 20], told
        layers = [e["layer"] for e in events(p.path("w4-signround.job"), "layer.error") if e["block"] == 5 and e["iter"] == 20]
        assert layers == ["down_blocks.1.attentions.0." + x for x in ("to_q", "to_k", "to_v", "to_out.0")], layers
        assert os.path.exists(p.path("w4-signround/model_index.json"))  # nobody named a format: a diffusers folder


def kills_leave_no_trace():
    j = job("w3", checkpoint_s=0, signround__iters=40, signround__momentum=0.5)

    def ready(folder, n):
        return len(events(folder, "checkpoint")) >= 60 * n

    with Place() as p:
        worker(p, "calm", j)
        path, folder = p.write_job("killed", dict(j, output=p.path("killed"))), p.path("killed.job")
        words = ["--spec", path, "--dir", folder]
        for n in (1, 2, 3):
            w = subprocess.Popen([p.env["SRQ_WORKER"], *words], env=p.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until("a place for kill %d" % n, lambda: ready(folder, n) or w.poll() is not None)
            w.send_signal(signal.SIGKILL)
            assert w.wait() == -signal.SIGKILL, "it was over before it was killed"
            words = ["--job", folder]
        p.run(p.env["SRQ_WORKER"], *words)
        assert not differing(p.path("calm"), p.path("killed")), differing(p.path("calm"), p.path("killed"))


def activations_are_rounded_within_ranges_that_were_observed():
    """diffusion-ptq before it: blocks are tuned on rounded inputs, and kills leave no trace here either."""
    j = job("w4a8", "diffusion-ptq,signround", samples=32, checkpoint_s=0, signround__iters=40, formats=["fake", "int8"],
            **{"diffusion-ptq__batches": 8, "diffusion-ptq__batch": 16})
    few = {"samples": 48, "diffusion-ptq__batches": 8, "diffusion-ptq__batch": 8}

    def ready(folder, n):
        return len(events(folder, "checkpoint")) >= 60 * n

    with Place() as p:
        worker(p, "calm", j)
        path, folder = p.write_job("killed", dict(j, output=p.path("killed"))), p.path("killed.job")
        words = ["--spec", path, "--dir", folder]
        for n in (1, 2):
            w = subprocess.Popen([p.env["SRQ_WORKER"], *words], env=p.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until("a place for kill %d" % n, lambda: ready(folder, n) or w.poll() is not None)
            w.send_signal(signal.SIGKILL)
            assert w.wait() == -signal.SIGKILL, "it was over before it was killed"
            words = ["--job", folder]
        p.run(p.env["SRQ_WORKER"], *words)
        assert not differing(p.path("calm"), p.path("killed")), differing(p.path("calm"), p.path("killed"))
        assert report(p.path("calm"))["diffusion"]["integer_layers"] > 0
        assert os.path.exists(p.path("calm/fake/srq_activations.safetensors"))
        worker(p, "ptq", job("w4a8", "diffusion-ptq", DEMO, **few))
        worker(p, "both", job("w4a8", "diffusion-ptq,signround", DEMO, signround__iters=20, **few))
        a, b = report(p.path("ptq"))["diffusion"], report(p.path("both"))["diffusion"]
        print("# w4a8: pair_mse of ranges alone %.5f, with learned rounding %.5f" % (a["pair_mse"]["quantized"], b["pair_mse"]["quantized"]))
        assert b["pair_mse_interval"]["quantized"][1] < a["pair_mse_interval"]["quantized"][0], (a, b)
        assert all(y > x for x, y in zip(a["step_sqnr"], b["step_sqnr"])), (a, b)


def a_pin_meanwhile_holds_for_blocks_that_come_and_for_those_that_were():
    """The first block is tuned again, and all behind it on what comes through it then: as if it had been asked for at once."""
    pins = [{"pattern": "up_blocks.*.conv2", "scheme": "w8"}, {"pattern": "down_blocks.0.resnets.0.conv1", "scheme": "w8"}]
    j = job("w4", checkpoint_s=0, signround__iters=20)

    with Place() as p:
        worker(p, "before", dict(j, layers=pins))
        path, folder = p.write_job("out", dict(j, output=p.path("out"))), p.path("out.job")
        w = subprocess.Popen([p.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=p.env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("a block", lambda: len(events(folder, "block.end")) >= 6 or w.poll() is not None)
        w.send_signal(signal.SIGTERM)
        assert w.wait() == 10
        def ask(pins):
            request = {"op": "pin", "by": "a test", "pins": pins, "propagate": True}
            r = subprocess.run([p.env["SRQ_WORKER"], "--change", folder], env=p.env, input=json.dumps(request), capture_output=True, text=True)
            return r.returncode, r.stdout + r.stderr

        code, said = ask([{"pattern": "up_blocks.*.conv2", "scheme": "w8a8"}])
        assert code != 0 and "method signround observes none" in said, said
        code, said = ask(pins)
        assert code == 0, said
        p.run(p.env["SRQ_WORKER"], "--job", folder)
        layers = {row["name"]: row for row in report(p.path("out"))["layers"]}
        for name in ("up_blocks.0.resnets.0.conv2", "down_blocks.0.resnets.0.conv1"):
            assert layers[name]["scheme"] == "w8" and layers[name]["source"] == "pin", layers[name]
        assert layers["up_blocks.0.resnets.0.conv1"]["scheme"] == "w4"
        weights = "unet/diffusion_pytorch_model.safetensors"
        with open(p.path("before", weights), "rb") as a, open(p.path("out", weights), "rb") as b:
            assert a.read() == b.read()


def told_to_finish_it_keeps_what_it_has_learned():
    with Place() as p:
        j = p.submit("out", job("w4", signround__iters=100000, checkpoint_s=1))
        wait_until("a block to be tuned", lambda: len(events(p.job_dir(j), "tune.probe")) > 5)
        p.ctl("finish", j)
        p.wait(j)
        r = report(p.path("out"))
        assert r["diffusion"]["pair_mse"]["quantized"] is not None and len(r["blocks"]) == 17, r


def given_pictures_with_noise_are_learned_from():
    with Place() as p:
        pictures = npy(p.path("pictures.npy"), 40, 8, 8)
        j = job("w3", calib=[pictures], signround__iters=10, formats=["fake", "int8"])
        worker(p, "given", j)
        worker(p, "again", j)
        assert not differing(p.path("given"), p.path("again"))
        assert not events(p.path("given.job"), "log") or all("not read" not in e.get("text", "") for e in events(p.path("given.job"), "log"))
        worker(p, "own", dict(j, calib=[]))
        a, b = report(p.path("given")), report(p.path("own"))
        assert [x["loss_first"] for x in a["blocks"]] != [x["loss_first"] for x in b["blocks"]]

        # what was read is what a resume has to find
        path, folder = p.write_job("cut", dict(j, output=p.path("cut"))), p.path("cut.job")
        w = subprocess.Popen([p.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=p.env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("a block", lambda: len(events(folder, "block.end")) >= 2 or w.poll() is not None)
        w.send_signal(signal.SIGKILL)
        assert w.wait() == -signal.SIGKILL, "it was over before it was killed"
        npy(pictures, 40, 8, 8, factor=41)
        text = p.run(p.env["SRQ_WORKER"], "--job", folder, code=1)
        assert "cannot go on as it began: calibration was" in text, text
        wrong = npy(p.path("wrong.npy"), 4, 6, 8)
        text = worker(p, "no", dict(j, calib=[wrong]), code=1)
        assert "are 6 x 8 with 1 channels; the model's are 8 x 8 with 1" in text, text


def methods_that_look_at_inputs_see_pictures():
    """Of a model that was never trained there is no telling which is better: they run, and round otherwise than plainly."""
    with Place() as p:
        worker(p, "rtn", job("w3", "rtn"))
        first = report(p.path("rtn"))["diffusion"]["pair_mse"]["quantized"]
        for method in ("gptq", "omniquant"):
            worker(p, method, job("w3", method, **({"omniquant__iters": 10} if method == "omniquant" else {})))
            d = report(p.path(method))["diffusion"]
            assert 0 < d["pair_mse"]["quantized"] != first, (method, d)


def what_does_not_fit_is_refused_in_a_sentence():
    with Place() as p:
        for j, says in (
                (job("w4a8"), "method signround observes none; diffusion-ptq does, alone or before it (diffusion-ptq,signround)"),
                (job("w4a8", "signround,diffusion-ptq"), "give diffusion-ptq,signround"),
                (job("w4a8", "diffusion-qat,signround"), "signround behind it would round them otherwise"),
                (job("fp8", "diffusion-ptq,signround"), "rounded to integers"),
                (job("w4", formats=["auto_round"]), 'format auto_round is one of language models, give "fake" or "int8"'),
                (job("w4", model=TOLD, samples=0), "it is neither tuned, trained nor sampled"),
                (job("w4", sample_steps=5000), "more than the 1000 times"),
                (job("w4", "teq,signround"), "teq scales layers of language models only")):
            text = worker(p, "no", j, code=1)
            assert says in text, (says, text)
            assert not os.path.exists(p.path("no"))


if __name__ == "__main__":
    run_tests([
        learned_rounding_is_nearer_to_the_original_than_plain,
        kills_leave_no_trace,
        activations_are_rounded_within_ranges_that_were_observed,
        a_pin_meanwhile_holds_for_blocks_that_come_and_for_those_that_were,
        told_to_finish_it_keeps_what_it_has_learned,
        given_pictures_with_noise_are_learned_from,
        methods_that_look_at_inputs_see_pictures,
        what_does_not_fit_is_refused_in_a_sentence,
    ])
