#!/usr/bin/env python3
"""What decides the bytes of a result: the specification and the seed, not pauses; and what a resume refuses to go on with."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, EVAL, MODEL, Place, demo_job, differing, events, report, results_of, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors  # noqa: E402

SMALL = dict(nsamples=8, seqlen=64, batch=4, threads=2, checkpoint_s=0.1, probe_samples=4)
SHORT = dict(SMALL, signround__iters=8)
WEIGHTS = "model.safetensors"


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


def what_was_found_by_timing_is_kept():
    """Where two kernels for BF16 run, which is the faster is measured; a run that goes on has to have the same."""
    with open("/proc/cpuinfo") as f:
        flags = f.read().split()
    if "avx512_bf16" not in flags or "amx_bf16" in flags or "avx512_fp16" in flags or os.environ.get("SRQ_GEMM") or os.environ.get("SRQ_KERNELS"):
        return "nothing is timed on this machine"
    with Place() as p:
        job = p.submit("out", demo_job("w3g64", compute="bf16", **dict(SHORT, signround__iters=2)))
        p.wait(job)
        with open(os.path.join(p.job_dir(job), "spec.json")) as f:
            kept = json.load(f)["options"]["gemm"]
        assert kept in ("avx512", "avx512_bf16"), kept
        assert kept in report(p.path("out"))["gemm_backend"], (kept, report(p.path("out"))["gemm_backend"])
        with open(os.path.join(p.job_dir(job), "fingerprint.json")) as f:
            ran = json.load(f)["gemm"]
        for other in ("avx512", "avx512_bf16"):
            again = p.submit(other, demo_job("w3g64", gemm=other, compute="bf16", **dict(SHORT, signround__iters=2)))
            p.wait(again)
            with open(os.path.join(p.job_dir(again), "fingerprint.json")) as f:
                assert (json.load(f)["gemm"] == ran) == (other == kept), other
        assert not differing(p.path("out"), p.path(kept)), differing(p.path("out"), p.path(kept))


def binding_threads_changes_no_byte_and_is_refused_with_too_few_processors():
    allowed = sorted(os.sched_getaffinity(0))
    threads = min(2, len(allowed))
    with Place() as p:
        free = demo_job("w3g64", **dict(SHORT, threads=threads))
        p.wait(p.submit("free", free))
        bound = dict(free, options=dict(free["options"], bind_threads=True, **{"signround.iters": 100000}))
        job = p.submit("long", bound)
        wait_until("its tuning", lambda: in_blocks(p.job_dir(job)))
        tasks = "/proc/%d/task" % p.ctl("show", job)["pid"]
        sets = [frozenset(os.sched_getaffinity(int(task))) for task in os.listdir(tasks)]
        assert {s for s in sets if len(s) == 1} == {frozenset([cpu]) for cpu in allowed[:threads]}, sets
        p.ctl("cancel", job)
        bound["options"]["signround.iters"] = SHORT["signround__iters"]
        p.wait(p.submit("bound", bound))
        assert not differing(p.path("free"), p.path("bound"))
        bound["options"]["threads"] = 2
        path = p.write_job("refused", dict(bound, output=p.path("refused")))
        said = p.run("taskset", "-c", str(allowed[0]), p.env["SRQ_WORKER"], "--spec", path, code=1)
        assert "2 threads cannot be bound to a processor each: the job may use 1" in said, said


def check_pauses(long):
    with Place() as p:
        p.wait(p.submit("calm", long))
        job = p.submit("paused", long)
        for _ in range(2):
            wait_until("a checkpoint", lambda: in_blocks(p.job_dir(job)))
            p.ctl("pause", job)
            wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")
            assert p.ctl("show", job)["pid"] is None and not os.path.exists(p.path("paused"))
            p.ctl("resume", job)
        p.wait(job)
        assert any("goes on at iteration" in e["text"] for e in events(p.job_dir(job), "log")), "it paused inside a block"
        assert not differing(p.path("calm"), p.path("paused")), differing(p.path("calm"), p.path("paused"))
        assert results_of(p.path("calm")) == results_of(p.path("paused"))


def a_pause_and_a_resume_leave_no_trace():
    check_pauses(demo_job("w3g64", evaluate=True, **dict(SMALL, signround__iters=40, eval__windows=4)))


def a_pause_and_a_resume_leave_no_trace_on_searched_scales():
    check_pauses(dict(demo_job("w2g64", ["fake"], **dict(SMALL, signround__iters=40, signround__alg_ext=True)),
                      layers=[{"pattern": "*.mlp.*", "scheme": "q3_k"}, {"pattern": "*.o_proj", "scheme": "q4_k"}]))


def a_pause_while_scales_are_tuned_end_to_end_leaves_no_trace():
    long = demo_job("w3g64", evaluate=True, **dict(SMALL, nsamples=16, signround__iters=4, eval__windows=4, refine=3))
    with Place() as p:
        p.wait(p.submit("calm", long))
        told = report(p.path("calm"))["refine"]
        assert told["kept"] and told["steps"] == 3 * 15 and told["loss_last"] < told["loss_first"], told
        plain = dict(long, options=dict(long["options"], refine=0))
        p.wait(p.submit("plain", plain))
        assert report(p.path("plain"))["refine"] is None
        assert report(p.path("calm"))["eval"]["after"]["kl"] < report(p.path("plain"))["eval"]["after"]["kl"]
        job = p.submit("paused", long)
        for how in (signal.SIGTERM, signal.SIGKILL):
            def steps():
                return [e for e in events(p.job_dir(job), "checkpoint") if e["block"] is None]
            before = len(steps())
            wait_until("a checkpoint of scales", lambda: len(steps()) > before)
            os.kill(p.ctl("show", job)["pid"], how)
            if how == signal.SIGTERM:
                wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")
                told = p.ctl("pin", job, "model.layers.5.mlp.down_proj", "w8g64", "--dry-run")["warnings"]
                assert any("tuned end to end again" in text for text in told), told
                p.ctl("resume", job)
        p.wait(job)
        said = [e["text"] for e in events(p.job_dir(job), "log")]
        assert sum("scales end to end goes on" in text for text in said) == 2, said
        assert sum("3 copies of each sample" in text for text in said) == 1, said  # drawn once, then taken from ckpt/
        assert not differing(p.path("calm"), p.path("paused")), differing(p.path("calm"), p.path("paused"))


def finish_exports_early_what_is_there_and_plain_rounding_for_the_rest():
    with Place() as p:
        long = demo_job("w4g64", **dict(SMALL, signround__iters=200))
        plain = {k: v for k, v in long.items() if k != "calib"}
        plain.update(method="rtn", options={"threads": 2})
        p.wait(p.submit("plain", plain))
        job = p.submit("early", long)
        wait_until("a block", lambda: events(p.job_dir(job), "block.end"))
        p.ctl("finish", job)
        p.wait(job)
        early, plain = (read_tensors(p.path(name, WEIGHTS)) for name in ("early", "plain"))
        assert early.keys() == plain.keys() and all(early[k][:2] == plain[k][:2] for k in early), "types and shapes"
        tuned = {k.split(".layers.")[1][0] for k in early if early[k] != plain[k]}
        assert "0" in tuned and "5" not in tuned, "blocks that are not plainly rounded: %s" % tuned
        assert p.ctl("eval", p.path("early"), "--eval", EVAL, "--set", "eval.windows=2", "--set",
                     "eval.seqlen=64")["perplexity"] < 200, "the shipped model has about 70"


def finish_keeps_what_the_running_block_has_learnt_and_says_so():
    """Also when the worker is killed right after it was told: the resume ends the block at the same iteration."""
    with Place() as p:
        job = p.submit("early", demo_job("w3g64", evaluate=True, **dict(SMALL, signround__iters=3000, eval__windows=4)))
        folder = p.job_dir(job)
        wait_until("iterations", lambda: [e for e in events(folder, "checkpoint") if e["iter"] > 20])
        p.ctl("finish", job)
        p.wait(job)
        r = report(p.path("early"))
        first, rest = r["blocks"][0], r["blocks"][1:]
        assert r["finish"]["block"] == 0 and r["finish"]["iteration"] > 20, r["finish"]
        assert first["iterations"] == r["finish"]["iteration"], (first, r["finish"])
        assert first["loss_best"] < first["loss_first"] and first["best_iteration"] > 0, first
        assert all(b["best_iteration"] is None and b["loss_best"] is None for b in rest), rest
        words = p.run(p.env["SRQ_CTL"], "report", job)
        assert "partly tuned" in words and "1 of 6 blocks are tuned, the others rounded plainly" in words, words
        page = p.path("page.html")
        p.run(p.env["SRQ_CTL"], "report", job, "-o", page)
        assert "partly tuned" in open(page).read() and "1 of 6 blocks are tuned" in open(page).read()


def finish_while_scales_are_tuned_end_to_end_keeps_what_they_have_come_to():
    """Also when the worker is killed right after it was told."""
    with Place() as p:
        long = demo_job("w3g64", evaluate=True, **dict(SMALL, nsamples=16, signround__iters=4, eval__windows=4, refine=200))
        p.wait(p.submit("plain", dict(long, options=dict(long["options"], refine=0))))
        plain = report(p.path("plain"))["eval"]["after"]["kl"]
        for kill in (False, True):
            name = "early%d" % kill
            job = p.submit(name, long)
            folder = p.job_dir(job)
            wait_until("steps", lambda: [e for e in events(folder, "stage.progress") if e["stage"] == "refine" and e["done"] > 20])
            pid = p.ctl("show", job)["pid"]
            p.ctl("finish", job)
            if kill:
                wait_until("its end", lambda: any("told to finish" in e["text"] for e in events(folder, "log")))
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            p.wait(job)
            r = report(p.path(name))
            steps = r["refine"]["steps"]
            assert r["refine"]["kept"] and 20 < steps < 200 * 15, r["refine"]
            assert r["finish"] == {"stage": "refine", "block": None, "name": None, "iteration": None, "step": steps}, r["finish"]
            assert r["eval"]["after"]["kl"] < plain, (r["eval"]["after"]["kl"], plain)
            assert "told to finish at step %d of stage refine" % steps in p.run(p.env["SRQ_CTL"], "report", job)
            stages = r["timing"]["stages"]
            assert {"load", "calibrate", "evaluate", "quantize", "refine", "export"} <= set(stages), stages
            assert 0.7 * r["timing"]["total_s"] < sum(stages.values()) < 1.05 * r["timing"]["total_s"], r["timing"]


def half_of(source, to):
    with open(source) as f:
        text = f.read()
    with open(to, "w") as f:
        f.write(text[len(text) // 2:])


class Inputs:
    """Copies of all that a job reads, so that a test may change each."""

    def __init__(self, place):
        self.model, self.plugins = place.path("model"), place.path("plugins")
        self.calib, self.eval = place.path("calib.txt"), place.path("eval.txt")
        self.output = place.path("out")
        shutil.copytree(MODEL, self.model)
        os.makedirs(self.plugins, exist_ok=True)
        for path in place.env["SRQ_PLUGIN_PATH"].split(":"):
            for name in os.listdir(path):
                if name == "signround.so":
                    shutil.copy(os.path.realpath(os.path.join(path, name)), os.path.join(self.plugins, name))
        shutil.copyfile(CALIB, self.calib)
        shutil.copyfile(EVAL, self.eval)
        self.place = place
        self.env = dict(place.env, SRQ_PLUGIN_PATH=self.plugins)

    def spec(self, **more):
        return dict(demo_job("w3g64", evaluate=True, **dict(SMALL, signround__iters=30, eval__windows=4)), model=self.model,
                    calib=[self.calib], eval=[self.eval], output=self.output, **more)

    def pause_inside(self, folder, **more):
        """Begins a job in `folder` and pauses it inside a block, its original and rounded model measured."""
        path = self.place.write_job("job", self.spec(**more))
        worker = subprocess.Popen([self.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=self.env,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("a checkpoint", lambda: in_blocks(folder) or worker.poll() is not None)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait() == 10, "it paused"

    def go_on(self, folder):
        return subprocess.run([self.env["SRQ_WORKER"], "--job", folder], env=self.env, capture_output=True, text=True)


def append(path, data):
    with open(path, "ab") as f:
        f.write(data)


def a_resume_is_refused_when_anything_has_changed_that_the_result_or_report_depends_on():
    """Each change alone, on the same paused job, taken back before the next."""
    with Place() as p:
        inputs = Inputs(p)
        folder = p.path("job")
        inputs.pause_inside(folder)
        changes = {
            "calibration": (inputs.calib, lambda path: half_of(CALIB, path)),
            "evaluation": (inputs.eval, lambda path: half_of(EVAL, path)),
            "files": (os.path.join(inputs.model, "generation_config.json"), lambda path: append(path, b"\n")),
            "model": (os.path.join(inputs.model, "config.json"), lambda path: append(path, b"\n")),
            "plugins": (os.path.join(inputs.plugins, "signround.so"), lambda path: append(path, b"\0")),
        }
        for field, (path, change) in changes.items():
            shutil.copy(path, p.path("before"))
            change(path)
            got = inputs.go_on(folder)
            assert got.returncode == 1 and "cannot go on as it began: %s was" % field in got.stdout + got.stderr, \
                (field, got.stdout[-500:] + got.stderr[-500:])
            assert not os.path.exists(inputs.output), field
            os.remove(path)  # a plugin may be mapped elsewhere
            shutil.copy(p.path("before"), path)
        got = inputs.go_on(folder)
        assert got.returncode == 0, got.stdout[-500:] + got.stderr[-500:]


def accepted_drift_measures_everything_again_on_what_there_is_now():
    with Place() as p:
        inputs = Inputs(p)
        folder = p.path("job")
        inputs.pause_inside(folder, accept_drift=True)
        half_of(EVAL, inputs.eval)
        got = inputs.go_on(folder)
        assert got.returncode == 0, got.stdout[-500:] + got.stderr[-500:]
        assert any("evaluation was" in e["text"] for e in events(folder, "log"))
        mixed = report(inputs.output)["eval"]
        inputs.output = p.path("fresh")
        p.env.update(SRQ_PLUGIN_PATH=inputs.plugins)
        p.run(p.env["SRQ_WORKER"], "--spec", p.write_job("fresh-job", inputs.spec()), "--dir", p.path("fresh-dir"))
        assert mixed == report(inputs.output)["eval"], "the same figures as of a job that never saw the other text"


def damaged_states_of_the_original_are_not_believed():
    with Place() as p:
        inputs = Inputs(p)
        inputs.pause_inside(p.path("job"))
        states = os.path.join(p.path("job"), "ckpt", "reference.bin")
        with open(states, "r+b") as f:
            f.seek(os.path.getsize(states) // 2)
            f.write(b"\x40" * 4096)
        assert inputs.go_on(p.path("job")).returncode == 0
        kl = report(inputs.output)["eval"]
        inputs.output = p.path("fresh")
        p.env.update(SRQ_PLUGIN_PATH=inputs.plugins)
        p.run(p.env["SRQ_WORKER"], "--spec", p.write_job("fresh-job", inputs.spec()), "--dir", p.path("fresh-dir"))
        assert kl == report(inputs.output)["eval"]


def damaged_figures_are_measured_again():
    with Place() as p:
        inputs = Inputs(p)
        inputs.pause_inside(p.path("job"))
        path = os.path.join(p.path("job"), "ckpt", "eval-rtn.json")
        with open(path) as f:
            text = f.read()
        kept = json.loads(text.split("\n")[0])
        with open(path, "w") as f:
            f.write(text.replace(str(kept["windows"][0])[:5], "1.000", 1))
        assert inputs.go_on(p.path("job")).returncode == 0
        assert report(inputs.output)["eval"]["rtn"]["windows"] == kept["windows"]


def the_daemon_tells_a_refused_resume_with_the_field_that_drifted():
    with Place() as p:
        text = p.path("text.txt")
        shutil.copyfile(CALIB, text)
        job = p.submit("out", dict(demo_job("w3g64", **dict(SMALL, signround__iters=100000)), calib=[text]))
        wait_until("a checkpoint", lambda: in_blocks(p.job_dir(job)))
        p.ctl("pause", job)
        wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")
        with open(text, "w") as f:
            f.write(open(CALIB).read()[5000:])
        p.ctl("resume", job)
        got = wait_until("the refusal", lambda: (lambda g: g if g["state"] == "failed" else None)(p.ctl("show", job)))
        assert "calibration was" in got["reason"], got["reason"]


def a_damaged_journal_is_the_reason_and_not_what_was_said_before():
    with Place() as p:
        job = p.submit("out", demo_job("w3g64", **dict(SMALL, signround__iters=100000)))
        wait_until("a checkpoint", lambda: in_blocks(p.job_dir(job)))
        p.ctl("pause", job)
        wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")
        with open(os.path.join(p.job_dir(job), "journal.ndjson"), "r+b") as f:
            f.seek(os.path.getsize(f.name) // 2)
            f.write(b"#")
        p.ctl("resume", job)
        got = wait_until("the failure", lambda: (lambda g: g if g["state"] == "failed" else None)(p.ctl("show", job)))
        assert "damaged behind line" in got["reason"], got["reason"]


if __name__ == "__main__":
    run_tests([
        two_runs_with_one_seed_are_identical_and_another_seed_differs,
        what_was_found_by_timing_is_kept,
        binding_threads_changes_no_byte_and_is_refused_with_too_few_processors,
        a_pause_and_a_resume_leave_no_trace,
        a_pause_and_a_resume_leave_no_trace_on_searched_scales,
        a_pause_while_scales_are_tuned_end_to_end_leaves_no_trace,
        finish_exports_early_what_is_there_and_plain_rounding_for_the_rest,
        finish_keeps_what_the_running_block_has_learnt_and_says_so,
        finish_while_scales_are_tuned_end_to_end_keeps_what_they_have_come_to,
        a_resume_is_refused_when_anything_has_changed_that_the_result_or_report_depends_on,
        accepted_drift_measures_everything_again_on_what_there_is_now,
        damaged_states_of_the_original_are_not_believed,
        damaged_figures_are_measured_again,
        the_daemon_tells_a_refused_resume_with_the_field_that_drifted,
        a_damaged_journal_is_the_reason_and_not_what_was_said_before,
    ])
