#!/usr/bin/env python3
"""Every optional member of the message table occurs in a real answer or event, so that table and writers cannot drift
apart unseen: a member that the table does not know is refused by clients, and one that nobody writes is a promise."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, LIMIT_S, SOURCE, Place, wait_until  # noqa: E402
from message_table import checker  # noqa: E402
from srqd_client import Client, run_tests  # noqa: E402

Q = "model.layers.%d.self_attn.q_proj"
DOWN = "model.layers.%d.mlp.down_proj"
RARE = {
    # only for a client that reads slower than samples come: tests/e2e/daemon_clients.py
    "skipped",
    # only where a folder resisted: tests/e2e/daemon_folders.py
    "unremoved",
    # for a moment, and where a command fails: tests/e2e/ctl_jobs.py
    "wish",
    "on_end_failure",
    # only where the configuration has it: tests/e2e/daemon_jobs.py
    "user_max_disk_bytes",
}


def spec_of(place, **more):
    where = place.path("model")
    if not os.path.exists(where):
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), where, "--blocks", "3"], check=True)
    return dict({"model": where, "method": "rtn", "scheme": "w4g32", "formats": ["auto_round"], "output": place.path("out")},
                **more)


def kept_layers_are_in_the_plan_with_what_was_asked():
    """In a dry run, in the plan of a job, and for each reason: shape, format, split fused layers."""
    with Place() as place:
        place.ctl("plugin", "list")  # starts the daemon
        c = Client(place.socket, timeout=LIMIT_S)
        for asked, spec in (
                ("w8g32", spec_of(place, layers=[{"pattern": Q % 0, "scheme": "w8g32", "untied": True}])),
                ("w8g32", spec_of(place, formats=["auto_awq"], layers=[{"pattern": DOWN % 1, "scheme": "w8g32"}])),
                ("w4g96", spec_of(place, scheme="w4g96"))):
            dry = c.call("job.plan_spec", spec=spec)["layers"]
            kept = [l for l in dry if l.get("why")]
            assert kept and all(l["scheme"] == "bf16" for l in kept), kept
            assert asked in {l["asked"] for l in kept}, kept
            if "layers" in spec and spec["layers"][0].get("untied"):
                assert [l["name"] for l in dry if l.get("untied")] == [Q % 0], kept
            job = c.call("job.submit", spec=spec, paused=True)["job"]
            again = [l for l in c.call("job.plan", job=job)["layers"] if l["why"]]
            assert [(l["name"], l["asked"], l["why"]) for l in kept] == \
                   [(l["name"], l["asked"], l["why"]) for l in again], (kept, again)
            words = place.run(place.env["SRQ_CTL"], "plan", job)
            assert kept[0]["why"] in words, words
            c.call("job.cancel", job=job)


def diffusion(c, place):
    """A job on a diffusion model that is given pictures, so that its loss has all parts."""
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8, 8), }"
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    with open(place.path("pictures.npy"), "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(i * 37 % 256 for i in range(512)))
    return c.call("job.submit", spec=spec_of(
        place, model=os.path.join(SOURCE, "tests/reference/unets/plain"), method="diffusion-qat", scheme="w8a8",
        formats=["fake"], calib=[place.path("pictures.npy")], output=place.path("pictures"),
        options={"threads": 1, "samples": 2, "sample_steps": 4, "diffusion-qat.steps": 2, "diffusion-qat.batch": 2,
                 "diffusion-qat.warmup": 2, "diffusion-qat.kd_layers": "mid_block.*"}))["job"]


def told_while_it_stands_still(c, place, options):
    """A job whose worker is stopped does not come to what it is told: until then answers say what that is."""
    job = c.call("job.submit", spec=spec_of(place, method="signround", calib=[CALIB], output=place.path("stopped"),
                                            on_end="exit 3", options=dict(options, **{"signround.iters": 100000})))["job"]
    pid = wait_until("its worker", lambda: c.call("job.get", job=job)["attached"] and c.call("job.get", job=job)["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        for told, wish in (("finish", "finishing"), ("pause", "pausing"), ("cancel", "canceling")):
            assert c.call("job." + told, job=job)["wish"] == wish
        assert c.call("job.get", job=job)["wish"] == "canceling"
        assert [j["wish"] for j in c.call("job.list")["jobs"] if j["job"] == job] == ["canceling"]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until("its command's failure", lambda: c.call("job.get", job=job)["on_end_failure"])


def every_optional_member_is_seen():
    with Place() as place:
        broken = place.path("broken.so")
        with open(broken, "w") as f:
            f.write("not a plugin")
        place.env["SRQ_PLUGIN_PATH"] += ":" + place.top
        place.ctl("plugin", "list")
        c = Client(place.socket, timeout=LIMIT_S)
        c.call("daemon.info")
        c.call("plugin.list")
        for name in ("signround", "rtn"):
            c.call("plugin.info", name=name)
        options = {"nsamples": 4, "seqlen": 48, "batch": 2, "threads": 1, "probe_every": 10, "probe_samples": 2,
                   "signround.iters": 400}
        job = c.call("job.submit", spec=spec_of(
            place, method="deltaloss,knapsack,signround", budget={"bits": 5, "candidates": ["w2g32", "w4g32", "w8g32"]},
            calib=[CALIB], options=options))["job"]
        c.call("events.subscribe", job=job, since_seq=0)
        c.wait_event("block.end", timeout=LIMIT_S, block=0)
        c.wait_event("tune.point", timeout=LIMIT_S, block=1)
        c.call("job.pin", job=job, pins=[{"pattern": Q % 0, "scheme": "w8g32", "untied": True}])
        c.call("job.pin", job=job, pins=[{"pattern": DOWN % 1, "scheme": "w8g32"}], running="restart")
        c.call("job.plan", job=job)
        for bits in (None, 5):  # taken back and given again
            c.call("job.budget", job=job, bits=bits)
            assert c.call("job.plan", job=job)["budget"] == {"bits": bits, "candidates": ["w2g32", "w4g32", "w8g32"]}
        c.wait_event("job.state", timeout=LIMIT_S, state="done")
        scaled = c.call("job.submit", spec=spec_of(
            place, method="teq,rtn", calib=[CALIB], output=place.path("scaled"),
            options={"threads": 1, "teq.steps": 2, "teq.nsamples": 4, "teq.holdout": 2, "teq.seqlen": 48}))["job"]
        c.call("events.subscribe", job=scaled, since_seq=0)
        c.wait_event("job.state", timeout=LIMIT_S, job=scaled, state="done")
        c.call("events.subscribe", job=diffusion(c, place), since_seq=0)
        c.wait_event("sample.result", timeout=LIMIT_S, which="mixed")
        told_while_it_stands_still(c, place, options)
        wait_until("what its folder takes", lambda: c.call("job.get", job=scaled).get("disk_used_bytes"))
        c.call("job.list")
        c.call("daemon.info")
        left = [name for name in checker.unseen() if name.rsplit(".", 1)[1] not in RARE]
        assert not left, left


if __name__ == "__main__":
    run_tests([kept_layers_are_in_the_plan_with_what_was_asked, every_optional_member_is_seen])
