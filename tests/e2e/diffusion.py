#!/usr/bin/env python3
"""Jobs on diffusion models with the real worker: what training gains, that kills leave no trace, live pins, what is exported,
what is refused. The model is a tiny one of tests/reference/unets, whose pictures are 8 x 8."""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, MODEL, Failed, Place, differing, events, report, results_of, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors, write_tensors  # noqa: E402

UNETS = os.path.join(os.path.abspath(os.environ.get("top_srcdir", ".")), "tests/reference/unets")
UNET = os.path.join(UNETS, "plain")  # small, and never trained: for what is right whatever the pictures are
DEMO = os.path.join(os.path.abspath(os.environ.get("top_srcdir", ".")), "share/models/demo-ddpm")
SMALL = dict(samples=16, sample_steps=10, nsamples=16, threads=2)
PTQ = dict(SMALL, diffusion_ptq__batches=8, diffusion_ptq__batch=16)
FEW = dict(samples=8, sample_steps=8, nsamples=8, threads=2)  # of the demo model, which takes its time
QAT = dict(SMALL, diffusion_qat__steps=60, diffusion_qat__batch=16, diffusion_qat__warmup=8, diffusion_qat__lr=1e-3)


def job(method, scheme, model=UNET, formats=("fake",), layers=None, **options):
    j = {"model": model, "method": method, "scheme": scheme, "formats": list(formats),
         "options": {k.replace("__", ".").replace("diffusion_", "diffusion-"): v for k, v in options.items()}}
    if layers:
        j["layers"] = [{"pattern": p, "scheme": s} for p, s in layers]
    return j


def worker(p, name, j, code=0):
    path = p.write_job(name, dict(j, output=p.path(name)))
    return p.run(p.env["SRQ_WORKER"], "--spec", path, "--dir", p.path(name + ".job"), code=code)


def npy(path, n, height, width, value=lambda i: (i * 37) % 256):
    """n gray pictures."""
    head = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d), }" % (n, height, width)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        f.write(bytes(value(i) for i in range(n * height * width)))
    return path


def mean_sqnr(d):
    return sum(d["step_sqnr"]) / len(d["step_sqnr"])


def sampled(p, name, *words):
    """What srqctl sample makes of a model as the jobs here do, and what it says."""
    path = p.path(name + ".npy")
    answer = json.loads(p.run(p.env["SRQ_CTL"], "sample", *words, "--steps", "6", "--seed", "42", "-n", "4", "--npy", path,
                              "--json").splitlines()[-1])
    with open(path, "rb") as f:
        data = f.read()
    data = data[data.index(b"\n") + 1:]
    return struct.unpack("<%df" % (len(data) // 4), data), answer


def difference(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b)) / len(a)


def training_is_nearer_to_the_original_than_calibration():
    """Acceptance test 6."""
    with Place() as p:
        worker(p, "ptq", job("diffusion-ptq", "w4a8", DEMO, **dict(FEW, diffusion_ptq__batches=8, diffusion_ptq__batch=8)))
        worker(p, "qat", job("diffusion-qat", "w4a8", DEMO, **dict(
            FEW, diffusion_qat__steps=30, diffusion_qat__warmup=8, diffusion_qat__batch=8, diffusion_qat__lr=5e-5)))
        a, b = report(p.path("ptq"))["diffusion"], report(p.path("qat"))["diffusion"]
        print("# calibrated: %.2f dB a step, pair_mse %.5f; trained: %.2f dB, %.5f" % (
            mean_sqnr(a), a["pair_mse"]["quantized"], mean_sqnr(b), b["pair_mse"]["quantized"]))
        assert mean_sqnr(b) > mean_sqnr(a) + 1, (a, b)
        assert b["pair_mse"]["quantized"] < a["pair_mse"]["quantized"], (a, b)
        assert b["train_steps"] == 30 and b["trainer"] == "diffusion-qat" and len(b["step_sqnr"]) == 8
        assert b["pair_mse"]["full"] is None and b["hp_first"] == b["hp_last"] == 1
        points = events(p.path("qat.job"), "transform.point")
        assert len(points) == 30 and all(p["loss"] > 0 for p in points), points
        told = {e["which"]: e for e in events(p.path("qat.job"), "sample.result")}
        assert told["quantized"]["pair_mse"] == b["pair_mse"]["quantized"]


def eight_bits_are_nearly_the_original_and_all_high_steps_are_it():
    """Acceptance tests 4 and 7: a grid that is fine enough changes nothing to speak of; 2K >= N leaves no quantized step."""
    with Place() as p:
        worker(p, "w8", job("diffusion-ptq", "w8a8", DEMO, **dict(
            FEW, diffusion_ptq__batches=8, diffusion_ptq__batch=8, hp_first=4, hp_last=4, hp_dtype="f32")))
        d = report(p.path("w8"))["diffusion"]
        assert d["pair_mse"]["mixed"] == 0 and d["hp_dtype"] == "f32", d
        assert d["pair_mse"]["quantized"] < 0.02 and mean_sqnr(d) > 25, d
        worker(p, "none", job("rtn", "bf16", **SMALL))
        d = report(p.path("none"))["diffusion"]
        assert d["pair_mse"]["quantized"] == 0, d


def given_pictures_are_learned_from_and_compared_with():
    with Place() as p:
        pictures = npy(p.path("pictures.npy"), 40, 8, 8)
        j = dict(job("diffusion-qat", "w8a8", **dict(QAT, diffusion_qat__steps=5)), calib=[pictures])
        worker(p, "out", j)
        assert report(p.path("out"))["diffusion"]["trainer"] == "diffusion-qat"
        wrong = npy(p.path("wrong.npy"), 4, 6, 8)
        text = worker(p, "no", dict(j, calib=[wrong]), code=1)
        assert "are 6 x 8 with 1 channels; the model's are 8 x 8 with 1" in text, text
        text = worker(p, "no", job("diffusion-qat", "w8a8", **dict(QAT, diffusion_qat__calib="uniform_t")), code=1)
        assert 'give "calib" a set of them' in text, text


def pictures_on_the_way_change_nothing():
    """Told as often as asked for, of equal noise, at most a share of the time unless asked for, and the result is the same
    bytes with and without."""
    j = job("diffusion-qat", "w4a8", **QAT)
    told = {}
    with Place() as p:
        for name, more in (("default", {}), ("none", {"preview": 0}), ("three", {"preview": 3}), ("nine", {"preview": 9})):
            worker(p, name, dict(j, options=dict(j["options"], **more)))
            told[name] = events(p.path(name + ".job"), "sample.pictures")
            assert not differing(p.path("default"), p.path(name)), name
        results = {n: [e for e in rows if e["train_step"] is None] for n, rows in told.items()}
        ways = {n: [e for e in rows if e["train_step"] is not None] for n, rows in told.items()}
        for rows in results.values():
            assert [e["which"] for e in rows] == ["full", "quantized", "mixed"], rows
            assert rows == results["none"] and rows[1]["steps"] == len(rows[1]["step_sqnr"]) == 10, rows
        assert not ways["none"] and len(ways["default"]) >= 3, ways
        for name, want in (("three", [0, 30, 60]), ("nine", [0, 7, 15, 22, 30, 37, 45, 52, 60])):
            assert [e["which"] for e in ways[name]] == ["full"] + ["quantized"] * len(want), ways[name]
            assert [e["train_step"] for e in ways[name][1:]] == want, ways[name]
        pictures = {e["train_step"]: e["pixels"] for e in ways["nine"][1:]}
        assert len(set(pictures.values())) > 3, "the student does not change"
        assert all(e["hp_first"] == e["hp_last"] == 1 and e["sample_steps"] == 10 for e in told["nine"])
        text = worker(p, "no", dict(j, options=dict(j["options"], preview=-1)), code=1)
        assert "option preview" in text and "from 0 to 1000" in text, text


def told_to_finish_it_keeps_what_it_has_learned():
    """While it is trained, and at once: then ranges are observed first."""
    for name, when in (("late", lambda d: len(events(d, "transform.point")) > 5), ("soon", lambda d: os.path.exists(d))):
        with Place() as p:
            j = p.submit(name, job("diffusion-qat", "w4a8", **dict(QAT, diffusion_qat__steps=100000)))
            wait_until("the job to have begun", lambda: when(p.job_dir(j)))
            p.ctl("finish", j)
            p.wait(j)
            d = report(p.path(name))["diffusion"]
            points = events(p.job_dir(j), "transform.point")
            assert d["train_steps"] < 100000 and len(points) < 400 and d["pair_mse"]["mixed"] is not None, (len(points), d)
            assert mean_sqnr(d) > 5, d
            last = [e for e in events(p.job_dir(j), "sample.pictures") if e["train_step"] is not None][-1]
            assert last["train_step"] < 99999, last


def blocks_are_distilled_too():
    """Alone, their error falls; beside the whole network's it is a part of the loss, which says so."""
    alone = {"diffusion-qat.kd_layers": "mid_block.*,up_blocks.0.*", "diffusion-qat.kd_weight": 0}
    with Place() as p:
        j = job("diffusion-qat", "w3a8", **dict(QAT, diffusion_qat__steps=120, diffusion_qat__lr=1e-4))
        j["options"].update(alone)
        worker(p, "alone", j)
        points = events(p.path("alone.job"), "transform.point")
        parts = [e["kd_layers"] for e in points]
        assert sum(parts[-20:]) < 0.8 * sum(parts[:20]), parts
        assert all(abs(e["loss"] - e["kd_layers"]) < 1e-12 for e in points)
        for e in points:  # kd of a batch is the mean of those of its pictures
            told = [v for v in e["kd_by_time"] if v is not None]
            assert len(e["kd_by_time"]) == 10 and told and min(told) <= e["kd"] <= max(told), e
        j["options"].update({"diffusion-qat.kd_weight": 1, "diffusion-qat.kd_layers_weight": 0.5})
        worker(p, "both", j)
        for e in events(p.path("both.job"), "transform.point"):
            assert abs(e["loss"] - e["kd"] - 0.5 * e["kd_layers"]) < 1e-6 * e["loss"], e
        j["options"]["diffusion-qat.kd_layers"] = "mid_block.*,nosuch.*"
        text = worker(p, "no", j, code=1)
        assert 'kd_layers "nosuch.*" names no block' in text and "time_embedding" in text, text
        j["options"].update({"diffusion-qat.kd_layers": "", "diffusion-qat.kd_weight": 0})
        assert "trains for nothing" in worker(p, "no", j, code=1)


def kills_leave_no_trace():
    j = job("diffusion-qat", "w4a8", **dict(QAT, checkpoint_s=0, diffusion_qat__steps=100,
                                             diffusion_qat__kd_layers="mid_block.*"))

    def ready(folder, n):
        return len(events(folder, "checkpoint")) >= 20 * n

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
        a, b = report(p.path("calm"))["diffusion"], report(p.path("killed"))["diffusion"]
        for d in (a, b):
            d.pop("latency")
        assert a == b, (a, b)


def a_pin_during_training_is_obeyed_from_then_on():
    j = job("diffusion-qat", "w4a8", **dict(QAT, checkpoint_s=0.05, diffusion_qat__steps=100))

    with Place() as p:
        path, folder = p.write_job("out", dict(j, output=p.path("out"))), p.path("out.job")
        w = subprocess.Popen([p.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=p.env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("a checkpoint", lambda: len(events(folder, "checkpoint")) >= 2 or w.poll() is not None)
        w.send_signal(signal.SIGTERM)
        assert w.wait() == 10
        ask = {"op": "pin", "by": "a test", "pins": [{"pattern": "*.downsamplers.0.conv", "scheme": "w8a8"}]}
        r = subprocess.run([p.env["SRQ_WORKER"], "--change", folder], env=p.env, input=json.dumps(ask), capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr
        p.run(p.env["SRQ_WORKER"], "--job", folder)
        layers = {row["name"]: row for row in report(p.path("out"))["layers"]}
        pinned = layers["down_blocks.0.downsamplers.0.conv"]
        assert pinned["scheme"] == "w8a8" and pinned["source"] == "pin", pinned
        assert layers["mid_block.resnets.0.conv1"]["scheme"] == "w4a8"


def paused(p, name, j, when):
    """The folder of a job whose worker was told to stop once `when(folder)`."""
    path, folder = p.write_job(name, dict(j, output=p.path(name))), p.path(name + ".job")
    w = subprocess.Popen([p.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=p.env,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("the place to pause at", lambda: when(folder) or w.poll() is not None)
    w.send_signal(signal.SIGTERM)
    assert w.wait() == 10, "it was over before it was paused"
    return folder


def change(p, folder, code=0, **ask):
    r = subprocess.run([p.env["SRQ_WORKER"], "--change", folder], env=p.env, input=json.dumps(dict(ask, by="a test")),
                       capture_output=True, text=True)
    assert (r.returncode == 0) == (code == 0), r.stdout + r.stderr
    return r.stdout + r.stderr


def a_layer_that_gets_activation_bits_late_was_observed():
    """Its range is known from calibration though nothing of it was rounded then."""
    j = job("diffusion-ptq", "w8", formats=("int8",), **dict(PTQ, sample_steps=400))
    with Place() as p:
        folder = paused(p, "out", j, lambda d: os.path.exists(d + "/ckpt/trained.safetensors"))
        change(p, folder, op="pin", pins=[{"pattern": "mid_block.resnets.0.conv1", "scheme": "w8a8"}])
        p.run(p.env["SRQ_WORKER"], "--job", folder)
        name = next(os.path.join(d, f) for d, _, files in os.walk(p.path("out")) for f in files
                    if f.startswith("srq_activations"))
        assert list(read_tensors(name)) == ["mid_block.resnets.0.conv1.input"], list(read_tensors(name))
        assert report(p.path("out"))["diffusion"]["integer_layers"] == 1


def what_a_skip_brings_has_a_range_of_its_own():
    """Nearer to the original than one range for both; the export says where it begins, and is sampled as the job did."""
    with Place() as p:
        few = dict(FEW, diffusion_ptq__batches=4, diffusion_ptq__batch=8)
        worker(p, "one", job("diffusion-ptq", "w8a6", DEMO, **few))
        worker(p, "two", job("diffusion-ptq", "w8a6", DEMO, formats=("int8",), **dict(few, diffusion_ptq__split_skip=True)))
        one, two = (report(p.path(n))["diffusion"] for n in ("one", "two"))
        assert two["pair_mse"]["quantized"] < 0.9 * one["pair_mse"]["quantized"], (one, two)
        assert two["integer_layers"] < one["integer_layers"], (one, two)
        name = next(os.path.join(d, f) for d, _, files in os.walk(p.path("two")) for f in files
                    if f.startswith("srq_activations"))
        grids = read_tensors(name)
        rest = [n for n in grids if n.endswith(".input_rest")]
        assert rest and all(n.startswith("up_blocks.") for n in rest), list(grids)
        split = {n: struct.unpack("<4f", grids[n][2])[3] for n in rest}
        assert split["up_blocks.0.resnets.0.conv1.input_rest"] > 0, split
        full, _ = sampled(p, "full", DEMO)
        a, _ = sampled(p, "a", p.path("two"))
        b, _ = sampled(p, "b", p.path("one"))
        assert difference(a, full) < difference(b, full)
        n = rest[0]
        grids[n][2] = struct.pack("<4f", *struct.unpack("<4f", grids[n][2])[:3], split[n] + 1)
        write_tensors(name, grids)
        said = p.run(p.env["SRQ_CTL"], "sample", p.path("two"), "-o", p.path("x.png"), code=1)
        assert n in said and "no second part" in said, said


def a_model_that_is_told_classes_goes_the_whole_way():
    """Trained and sampled with classes in turn; pictures of one class are those of that class in turn."""
    model = os.path.join(UNETS, "classes")
    with Place() as p:
        worker(p, "out", job("diffusion-qat", "w8a8", model, formats=("int8",), **QAT))
        assert mean_sqnr(report(p.path("out"))["diffusion"]) > 25
        turns, answer = sampled(p, "turns", p.path("out"))
        one, told = sampled(p, "one", p.path("out"), "--class", "1")
        full, _ = sampled(p, "full", model)
        n = len(turns) // 4
        assert answer["class"] is None and told["class"] == 1, (answer, told)
        assert turns[n:2 * n] == one[n:2 * n] and turns[:n] != one[:n] and turns[2 * n:3 * n] != one[2 * n:3 * n]
        assert difference(turns, full) < 0.1 * difference(one, full)
        assert "none of 0 to 2" in p.run(p.env["SRQ_CTL"], "sample", model, "--class", "3", "-o", p.path("x.png"), code=1)
        given = dict(job("diffusion-ptq", "w8a8", model, **PTQ), calib=[npy(p.path("given.npy"), 16, 8, 8)])
        assert "given pictures have none" in worker(p, "given", given, code=1)
        worker(p, "blocks", job("signround", "w4", model, signround__iters=5, **SMALL))


def options_are_changed_while_it_runs():
    """The learning rate from that step on, the steps of high precision whenever; kills leave no trace of it either."""
    j = job("diffusion-qat", "w4a8", **dict(QAT, checkpoint_s=0, diffusion_qat__steps=100))
    asked = {"lr": 1e-5, "hp_first": 0, "hp_last": 2}
    with Place() as p:
        folder = paused(p, "calm", j, lambda d: len(events(d, "transform.point")) > 10)
        for options, said in (({"hp_first": 11}, "more than the 10 steps"), ({"steps": 5}, "there are: lr, hp_first, hp_last"),
                              ({"lr": 2}, "not between 0 and 1"), ({}, "at least one")):
            assert said in change(p, folder, code=1, op="set", options=options), said
        assert "already" in change(p, folder, op="set", options={"lr": None})
        at = len(events(folder, "transform.point"))
        assert json.loads(change(p, folder, op="set", options=asked))["options"] == asked
        shutil.copytree(folder, p.path("killed.job"))
        p.run(p.env["SRQ_WORKER"], "--job", folder)
        told = [e["lr"] for e in events(folder, "transform.point")]
        assert told[:at] == [1e-3] * at and set(told[at:]) == {1e-5}, told
        d = report(p.path("calm"))["diffusion"]
        assert (d["hp_first"], d["hp_last"]) == (0, 2), d
        assert [e["options"] for e in events(folder, "plan.changed")][-1] == asked
        # the same once more, killed on the way
        os.rename(p.path("calm"), p.path("kept"))
        before = len(events(p.path("killed.job"), "checkpoint"))
        w = subprocess.Popen([p.env["SRQ_WORKER"], "--job", p.path("killed.job")], env=p.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        wait_until("a place to kill at",
                   lambda: len(events(p.path("killed.job"), "checkpoint")) > before + 5 or w.poll() is not None)
        w.send_signal(signal.SIGKILL)
        assert w.wait() == -signal.SIGKILL, "it was over before it was killed"
        p.run(p.env["SRQ_WORKER"], "--job", p.path("killed.job"))
        assert not differing(p.path("kept"), p.path("calm")), differing(p.path("kept"), p.path("calm"))
        folder = paused(p, "ptq", job("diffusion-ptq", "w8a8", **dict(PTQ, sample_steps=400)),
                        lambda d: os.path.exists(d + "/ckpt/trained.safetensors"))
        assert "trains nothing" in change(p, folder, code=1, op="set", options={"lr": 0.1})


def other_high_steps_are_taken_while_it_samples():
    """Through the daemon, as a user does; the learning rate is refused by then."""
    with Place() as p:
        j = p.submit("out", job("diffusion-qat", "w8a8", **dict(QAT, sample_steps=300)))
        wait_until("sampling to begin", lambda: os.path.exists(p.job_dir(j) + "/ckpt/trained.safetensors"))
        assert "training of job" in p.run(p.env["SRQ_CTL"], "set", j, "lr=1e-4", code=1)
        assert "hp_first 7" in p.run(p.env["SRQ_CTL"], "set", j, "hp_first=7", "hp_last=default")
        p.wait(j)
        d = report(p.path("out"))["diffusion"]
        assert (d["hp_first"], d["hp_last"]) == (7, 30), d
        assert p.ctl("plan", j)["options"] == {"lr": None, "hp_first": 7, "hp_last": None}


def edges_keep_eight_bits_unless_told_otherwise():
    with Place() as p:
        worker(p, "out", job("diffusion-ptq", "w4a4", layers=[("conv_out", "w4a4")], **PTQ))
        schemes = {row["name"]: row["scheme"] for row in report(p.path("out"))["layers"]}
        for name, want in (("conv_in", "w8a8"), ("time_embedding.linear_1", "w8a8"), ("conv_out", "w4a4"),
                           ("mid_block.resnets.0.time_emb_proj", "w8a8"), ("mid_block.resnets.0.conv1", "w4a4")):
            assert schemes[name] == want, (name, schemes[name])


def an_export_is_a_diffusers_folder_on_its_grid():
    with Place() as p:
        few = dict(FEW, samples=2, diffusion_ptq__batches=2, diffusion_ptq__batch=4)
        worker(p, "out", job("diffusion-ptq", "w4a8", DEMO, layers=[("conv_out", "bf16")], **few))
        out = p.path("out")
        have = sorted(os.path.relpath(os.path.join(d, f), out) for d, _, files in os.walk(out) for f in files)
        assert have == ["model_index.json", "report.json", "samples.png", "scheduler/scheduler_config.json",
                        "srq_activations.safetensors", "srq_plan.json", "srq_sampling.json", "unet/config.json",
                        "unet/diffusion_pytorch_model.safetensors"], have
        about = json.loads(p.run(p.env["SRQ_WORKER"], "--inspect", out))
        assert about["family"] == "UNet2DModel"
        names = list(read_tensors(os.path.join(out, "srq_activations.safetensors")))
        assert "conv_in.input" in names and "conv_out.input" not in names and not any(x.endswith(".output") for x in names)
        # what comes out is on its grid already: rounding it again changes nothing
        worker(p, "again", job("diffusion-ptq", "w4a8", model=out, layers=[("conv_out", "bf16")], **few))
        weights = "unet/diffusion_pytorch_model.safetensors"
        assert open(os.path.join(out, weights), "rb").read() == open(p.path("again", weights), "rb").read()


def an_export_is_sampled_as_the_job_did():
    """Acceptance test 8: weights and grids of the folder are those of the job, up to sums in another order."""
    with Place() as p:
        few = dict(FEW, samples=4, sample_steps=6, diffusion_ptq__batches=2, diffusion_ptq__batch=4)
        worker(p, "out", job("diffusion-ptq", "w4a8", DEMO, **few))
        want = report(p.path("out"))["diffusion"]["pair_mse"]
        pictures = {}
        for name, words in (("full", [DEMO]), ("quantized", [p.path("out")]),
                            ("mixed", [p.path("out"), "--high", DEMO, "--hp-first", "1", "--hp-last", "1", "--high-dtype",
                                       "bf16"])):
            pictures[name], answer = sampled(p, name, *words)
            assert answer["integer_layers"] == 0, answer
        for name in ("quantized", "mixed"):
            mse = difference(pictures[name], pictures["full"])
            print("# %s: the job says %.6f, its export gives %.6f" % (name, want[name], mse))
            assert abs(mse - want[name]) < 0.1 * want[name], (name, mse, want)  # the job computed on integers


def int8_is_computed_on_integers_and_mixed_as_the_job_said():
    """The folder has its codes a byte, and the original's weights in BF16 for the first and last steps."""
    with Place() as p:
        few = dict(FEW, samples=4, sample_steps=6, hp_first=2, hp_last=1, diffusion_ptq__batches=2, diffusion_ptq__batch=4)
        worker(p, "out", job("diffusion-ptq", "w8a8", DEMO, formats=("fake", "int8"), **few))
        d, fake, out = report(p.path("out"))["diffusion"], p.path("out/fake"), p.path("out/int8")
        size = {x: os.path.getsize(os.path.join(x, "unet/diffusion_pytorch_model.safetensors"))
                for x in (fake, out, out + "/high")}
        assert size[out] < 0.28 * size[fake] and size[out + "/high"] < 0.52 * size[fake], size
        about = json.loads(p.run(p.env["SRQ_WORKER"], "--inspect", out))
        assert about["quantized"] == "srq-int8", about
        full, _ = sampled(p, "full", DEMO)
        mixed, answer = sampled(p, "mixed", out)
        assert answer["integer_layers"] == d["integer_layers"] == len(report(p.path("out"))["layers"]), (answer, d)
        assert answer["high"] == out + "/high" and answer["high_dtype"] == "bf16", answer
        assert (answer["hp_first"], answer["hp_last"]) == (d["hp_first"], d["hp_last"]) == (2, 1), answer
        integers, answer = sampled(p, "integers", out, "--hp-first", "0")
        assert answer["high"] is None, answer
        simulated, answer = sampled(p, "simulated", fake)
        assert answer["integer_layers"] == 0 and answer["high"] is None, answer
        other, answer = sampled(p, "other", fake, "--high", out + "/high", "--hp-first", "2", "--hp-last", "1",
                                "--high-dtype", "bf16")
        for name, pictures in (("quantized", integers), ("mixed", mixed)):
            mse = difference(pictures, full)
            print("# %s: the job says %.6f, its export gives %.6f" % (name, d["pair_mse"][name], mse))
            assert abs(mse - d["pair_mse"][name]) < 0.03 * d["pair_mse"][name], (name, mse, d)
        # rounding sets them apart from the original, integers from their simulation hardly
        print("# integers and simulation: %.6f, mixed %.6f" % (difference(integers, simulated), difference(mixed, other)))
        assert difference(integers, simulated) < 0.5 * difference(integers, full)
        assert difference(mixed, other) < difference(mixed, full)


def steps_of_high_precision_are_exported_without_training_too():
    with Place() as p:
        for name, more, there in (("mixed", dict(hp_first=1, hp_last=2), True), ("pure", dict(hp_first=0, hp_last=0), False),
                                  ("unsampled", dict(samples=0), None)):
            options = dict({"samples": 4, "sample_steps": 4, "threads": 1}, **more)
            path = p.write_job(name, {"model": UNET, "method": "rtn", "scheme": "w8", "formats": ["int8"],
                                      "output": p.path(name), "options": options})
            p.run(p.env["SRQ_WORKER"], "--spec", path)
            assert os.path.exists(p.path(name, "srq_sampling.json")) == (there is not None), name
            assert os.path.exists(p.path(name, "high")) == bool(there), name
        with open(p.path("mixed", "srq_sampling.json")) as f:
            told = json.load(f)
        assert (told["hp_first"], told["hp_last"]) == (1, 2), told
        answer = json.loads(p.run(p.env["SRQ_CTL"], "sample", p.path("mixed"), "--steps", "4", "-n", "2", "-o", p.path("a.png"), "--json"))
        assert answer["high"] == p.path("mixed", "high") and answer["hp_first"] == 1, answer


def steps_of_high_precision_follow_from_what_is_measured():
    with Place() as p:
        few = dict(FEW, samples=4, sample_steps=6, diffusion_ptq__batches=2, diffusion_ptq__batch=4, hp_dtype="f32")
        worker(p, "all", job("diffusion-ptq", "w4a8", DEMO, **dict(few, hp_sqnr=300)))
        d = report(p.path("all"))["diffusion"]
        assert (d["hp_first"], d["hp_last"], d["pair_mse"]["mixed"]) == (3, 3, 0), d
        bound = sorted(d["step_sqnr"])[2] - 1e-6  # two steps are below
        worker(p, "some", job("diffusion-ptq", "w4a8", DEMO, **dict(few, hp_sqnr=bound)))
        d = report(p.path("some"))["diffusion"]
        low = [i for i, v in enumerate(d["step_sqnr"]) if v < bound]
        assert len(low) == 2, d
        assert d["hp_first"] == max([i + 1 for i in low if i < 3], default=0), d
        assert d["hp_last"] == max([6 - i for i in low if i >= 3], default=0), d
        with open(p.path("some/srq_sampling.json")) as f:
            assert json.load(f) == {"hp_first": d["hp_first"], "hp_last": d["hp_last"], "hp_dtype": "f32"}
        worker(p, "given", job("diffusion-ptq", "w4a8", DEMO, **dict(few, hp_sqnr=300, hp_first=0)))
        d = report(p.path("given"))["diffusion"]
        assert (d["hp_first"], d["hp_last"]) == (0, 3), d


def folders_of_codes_that_lie_are_refused():
    with Place() as p:
        few = dict(SMALL, samples=0, diffusion_ptq__batches=2, diffusion_ptq__batch=4)
        worker(p, "out", job("diffusion-ptq", "w8a8", formats=("int8",), **few))
        weights = p.path("out/unet/diffusion_pytorch_model.safetensors")
        stored = read_tensors(weights)

        def refused(part, tensors=stored, path=None, text=None):
            write_tensors(weights, tensors)
            if path:
                with open(path, "w") as f:
                    f.write(text)
            said = p.run(p.env["SRQ_CTL"], "sample", p.path("out"), "-o", p.path("x.png"), "--steps", "4", code=1)
            assert part in said and not os.path.exists(p.path("x.png")), (part, said)

        dtype, shape, scales = stored["conv_in.weight_scale"]
        for other, says in (([dtype, shape, struct.pack("<f", float("nan")) + scales[4:]], "conv_in.weight_scale"),
                            (["I32", shape, scales], "conv_in.weight_scale is not F32")):
            refused(says, dict(stored, **{"conv_in.weight_scale": other}))
        refused("no tensor conv_in.weight_scale",
                {k.replace("conv_in.weight_scale", "conv_in.other"): v for k, v in stored.items()})
        refused("version", path=p.path("out/unet/config.json"), text=json.dumps(dict(
            json.load(open(p.path("out/unet/config.json"))), quantization_config={"quant_method": "srq-int8", "version": 9})))
        for text, part in (("[]", "not an object"), ('{"hp_first": -1}', "hp_first"), ('{"hp_first": 1, "hp_last": 1e99}', "hp_last"),
                           ('{"hp_first": 1, "hp_last": 1, "hp_dtype": "f8"}', "hp_dtype")):
            refused(part, path=p.path("out/srq_sampling.json"), text=text)


def what_does_not_fit_is_refused_in_a_sentence():
    with Place() as p:
        refused = [
            (job("signround", "w4", **SMALL), {"calib": [CALIB]}, "is no set of pictures: a folder of PNG"),
            (job("rtn", "w8a8", **SMALL), {}, "before it (diffusion-ptq,rtn)"),
            (job("rtn", "w4", formats=("auto_round",), **SMALL), {}, 'format auto_round is one of language models, give "fake" or "int8"'),
            (job("rtn", "w8", model=MODEL, formats=("int8",)), {"calib": [CALIB]}, "compressed-tensors holds int8 of language"),
            (job("diffusion-ptq", "w8za8", formats=("int8",), **PTQ), {}, "int8 holds symmetric integers"),
            (job("teq,rtn", "w4", **SMALL), {"calib": [CALIB]}, "teq scales layers of language models only"),
            (job("diffusion-qat", "w8a8", model=MODEL, **QAT), {}, "diffusion-qat trains diffusion models"),
            (job("diffusion-qat", "fp8", **QAT), {}, "rounded to integers"),
            (job("diffusion-ptq,diffusion-qat", "w8a8", **SMALL), {}, "both train"),
            (job("diffusion-qat", "w8a8", **dict(QAT, sample_steps=5000)), {}, "more than the 1000 times"),
            (job("diffusion-qat", "w8a8", **dict(QAT, diffusion_qat__kd_weight=0)), {}, "trains for nothing"),
        ]
        for j, more, says in refused:
            text = worker(p, "no", dict(j, **more), code=1)
            assert says in text, (says, text)
            assert not os.path.exists(p.path("no"))


def every_form_of_a_folder_is_the_same_model():
    """As diffusers and hubs have written them: variants, shards, everything at the root."""
    full = "diffusion_pytorch_model.safetensors"

    def rename(name):
        return lambda unet, folder: os.rename(os.path.join(unet, full), os.path.join(unet, name))

    def shards(index):
        def apply(unet, folder):
            tensors = read_tensors(os.path.join(unet, full))
            os.remove(os.path.join(unet, full))
            names = sorted(tensors)
            places = {}
            for i, part in enumerate((names[::2], names[1::2])):
                file = "diffusion_pytorch_model-%05d-of-00002.safetensors" % (i + 1)
                write_tensors(os.path.join(unet, file), {n: tensors[n] for n in part})
                places.update({n: file for n in part})
            with open(os.path.join(unet, index), "w") as f:
                json.dump({"metadata": {}, "weight_map": places}, f)
        return apply

    def to_root(unet, folder):
        for name in os.listdir(unet):
            os.rename(os.path.join(unet, name), os.path.join(folder, name))
        os.rename(os.path.join(folder, "scheduler/scheduler_config.json"), os.path.join(folder, "scheduler_config.json"))
        os.rmdir(unet)
        os.rmdir(os.path.join(folder, "scheduler"))

    def beside(unet, folder):  # the variant says other things: it is not what counts
        tensors = {n: [dtype, shape, bytes(len(data))]
                   for n, (dtype, shape, data) in read_tensors(os.path.join(unet, full)).items()}
        write_tensors(os.path.join(unet, "diffusion_pytorch_model.fp16.safetensors"), tensors)

    forms = [rename("diffusion_pytorch_model.fp16.safetensors"), rename("diffusion_pytorch_model.bf16.safetensors"),
             shards(full + ".index.json"), shards("diffusion_pytorch_model.safetensors.index.fp16.json"),
             shards("diffusion_pytorch_model.fp16.safetensors.index.json"), to_root, beside]
    few = dict(samples=2, sample_steps=4, nsamples=4, threads=2, diffusion_ptq__batches=2, diffusion_ptq__batch=4)
    with Place() as p:
        worker(p, "want", job("diffusion-ptq", "w8a8", **few))
        want = read_tensors(p.path("want", "unet", full))
        for i, apply in enumerate(forms):
            folder = p.path("model%d" % i)
            shutil.copytree(UNET, folder)
            apply(os.path.join(folder, "unet"), folder)
            worker(p, "out%d" % i, job("diffusion-ptq", "w8a8", model=folder, **few))
            assert read_tensors(p.path("out%d" % i, "" if apply is to_root else "unet", full)) == want, i


def broken_folders_are_refused_by_name():
    def change(name, key, value):
        def apply(folder):
            path = os.path.join(folder, name)
            with open(path) as f:
                config = json.load(f)
            config[key] = value
            with open(path, "w") as f:
                json.dump(config, f)
        return apply

    def drop(name):
        return lambda folder: os.remove(os.path.join(folder, name))

    def rename(name):
        return lambda folder: os.rename(os.path.join(folder, "unet/diffusion_pytorch_model.safetensors"),
                                        os.path.join(folder, "unet", name))

    unet, scheduler = "unet/config.json", "scheduler/scheduler_config.json"
    cases = [
        (change(unet, "down_block_types", ["DownBlock2D", "CrossAttnDownBlock2D"]), 'block type "CrossAttnDownBlock2D"'),
        (change(unet, "time_embedding_type", "fourier"), 'time_embedding_type "fourier"'),
        (change(unet, "act_fn", "gelu"), 'act_fn "gelu"'),
        (change(unet, "sample_size", None), "sample_size"),
        (change(unet, "sample_size", 9), "cannot be halved"),
        (change(unet, "norm_num_groups", 3), "norm_num_groups: 3 does not divide"),
        (change(unet, "num_class_embeds", 10), "class_embedding.weight"),
        (change(unet, "class_embed_type", "timestep"), "class_embed_type"),
        (change(unet, "block_out_channels", [8, 8]), "config.json makes it"),
        (change(unet, "layers_per_block", 2), "is missing from"),
        (change(unet, "attention_head_dim", 64), "attention_head_dim: 64 is more than"),
        (change("model_index.json", "_class_name", "StableDiffusionXLPipeline"), 'pipeline "StableDiffusionXLPipeline"'),
        (change("model_index.json", "unet", None), "names no unet"),
        (change(scheduler, "_class_name", "PNDMScheduler"), "PNDMScheduler"),
        (change(scheduler, "variance_type", "learned"), "learned"),
        (change("model_index.json", "_class_name", None), "names no pipeline"),
        (drop(scheduler), "has no scheduler_config.json"),
        (rename("diffusion_pytorch_model.bin"), "holds its weights as diffusion_pytorch_model.bin only"),
        (rename("diffusion_pytorch_model.non_ema.safetensors"), "diffusion_pytorch_model.non_ema.safetensors, a name that"),
        (drop(unet), "config.json"),
        (drop("unet/diffusion_pytorch_model.safetensors"), "safetensors"),
    ]
    with Place() as p:
        for i, (apply, says) in enumerate(cases):
            folder = p.path("model%d" % i)
            shutil.copytree(UNET, folder)
            apply(folder)
            text = worker(p, "no", job("diffusion-ptq", "w8a8", model=folder, **PTQ), code=1)
            assert says in text, (says, text)
        # keys that nobody knows are no objection, but are told of
        folder = p.path("fine")
        shutil.copytree(UNET, folder)
        change(unet, "a_key_of_tomorrow", [1, 2])(folder)
        worker(p, "yes", job("diffusion-ptq", "w8a8", model=folder, **PTQ))
        assert any('"a_key_of_tomorrow", which was not looked at' in e["text"] for e in events(p.path("yes.job"), "log"))
        for model in (UNET, os.path.join(UNETS, "classes"), DEMO):
            said = p.run(p.env["SRQ_CTL"], "inspect", model)
            assert "not looked at" not in said and "carried along" not in said, said


if __name__ == "__main__":
    run_tests([
        training_is_nearer_to_the_original_than_calibration,
        eight_bits_are_nearly_the_original_and_all_high_steps_are_it,
        given_pictures_are_learned_from_and_compared_with,
        pictures_on_the_way_change_nothing,
        told_to_finish_it_keeps_what_it_has_learned,
        blocks_are_distilled_too,
        kills_leave_no_trace,
        a_pin_during_training_is_obeyed_from_then_on,
        a_layer_that_gets_activation_bits_late_was_observed,
        what_a_skip_brings_has_a_range_of_its_own,
        a_model_that_is_told_classes_goes_the_whole_way,
        options_are_changed_while_it_runs,
        other_high_steps_are_taken_while_it_samples,
        edges_keep_eight_bits_unless_told_otherwise,
        an_export_is_a_diffusers_folder_on_its_grid,
        an_export_is_sampled_as_the_job_did,
        int8_is_computed_on_integers_and_mixed_as_the_job_said,
        steps_of_high_precision_are_exported_without_training_too,
        steps_of_high_precision_follow_from_what_is_measured,
        folders_of_codes_that_lie_are_refused,
        what_does_not_fit_is_refused_in_a_sentence,
        every_form_of_a_folder_is_the_same_model,
        broken_folders_are_refused_by_name,
    ])
