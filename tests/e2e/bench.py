#!/usr/bin/env python3
"""The benchmark's answers are well-formed: all blocks, methods and operations, with work that follows from shapes, and a
picture. What takes how long is nobody's concern here."""
import glob
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import BUILD, CALIB, MODEL, SOURCE  # noqa: E402
from srqd_client import run_tests  # noqa: E402

PROGRAM = os.path.join(BUILD, "tests/bench/bench")
ENV = dict(os.environ, SRQ_PLUGIN_PATH=":".join(glob.glob(os.path.join(BUILD, "plugins/*/.libs"))))
MEASURED = [("demo", "signround"), ("demo", "teq"), ("demo", "diffusion-qat"), ("smollm2", "signround"),
            ("smollm2", "teq")]
DECODER = {"linear", "linear, dx", "weight gradient", "rmsnorm", "rmsnorm, back", "rope", "attention", "attention, back",
           "swiglu", "swiglu, back", "add", "weights", "step", "everything else"}
OPERATIONS = {"signround": DECODER | {"mse"}, "teq": DECODER | {"dot", "head"},
              "diffusion-qat": {"conv", "conv, dx", "patches", "patches, back", "group norm", "group norm, back", "silu",
                                "silu, back", "attention", "round", "round, back", "weight gradient", "linear", "dot",
                                "weights", "step", "everything else"}}
result = {}


def run(*words):
    return subprocess.run([PROGRAM, "--models", os.path.join(SOURCE, "share/models"), *words], env=ENV, text=True,
                          capture_output=True, check=False)


def measured():
    """What one run of all that is measured by default said, and its picture."""
    if not result:
        with tempfile.TemporaryDirectory(prefix="srq-test-") as tmp:
            png = os.path.join(tmp, "roof.png")
            answer = run("--quick", "--json", "--png", png)
            assert answer.returncode == 0, answer.stderr
            with open(png, "rb") as f:
                result.update(json=json.loads(answer.stdout), png=f.read())
    return result["json"]


def shape(name):
    return next(s for s in measured()["shapes"] if s["name"] == name)


def layers(s):
    """[(out, in, whether its input has a gradient in the block)]"""
    q, kv = s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"]
    return [(q, s["hidden"], False), (kv, s["hidden"], False), (kv, s["hidden"], False), (s["hidden"], q, True),
            (s["inner"], s["hidden"], True), (s["inner"], s["hidden"], True), (s["hidden"], s["inner"], True)]


def every_block_is_measured_with_every_method_that_has_it():
    blocks = measured()["blocks"]
    assert [(b["block"], b["method"]) for b in blocks] == MEASURED, blocks
    assert (measured()["block"]["block"], measured()["block"]["method"]) == ("smollm2", "signround")


def an_iteration_is_the_sum_of_its_operations():
    for b in measured()["blocks"]:
        names = [o["name"] for o in b["operations"]]
        assert OPERATIONS[b["method"]] <= set(names) and len(set(names)) == len(names), (b["method"], names)
        total = sum(o["seconds"] for o in b["operations"])
        assert 0.99 * b["mean_s"] < total <= 1.01 * b["mean_s"], (b["method"], total, b["mean_s"])
        for o in b["operations"]:
            known = o["bytes"] is not None or o["flops"] is not None
            assert (o["roof_share"] is not None) == known, o
            assert (o["gflops"] is None) == (o["flops"] is None), o


def the_work_of_products_follows_from_shapes():
    for b in measured()["blocks"]:
        if b["method"] != "signround":
            continue
        s = shape(b["block"])
        tokens, size = s["batch"] * s["seq"], 2 if b["dtype"] == "BF16" else 4
        work = {o["name"]: o for o in b["operations"]}
        forward = sum(2 * tokens * n * k for n, k, _ in layers(s))
        back = sum(2 * tokens * n * k for n, k, dx in layers(s) if dx)
        moved = sum(size * (tokens * (n + k) + n * k) for n, k, _ in layers(s))
        assert work["linear"]["flops"] == work["weight gradient"]["flops"] == forward, (work["linear"], forward)
        assert work["linear, dx"]["flops"] == back, (work["linear, dx"], back)
        assert work["linear"]["bytes"] == moved, (work["linear"], moved)
        assert b["gemm_flops"] == 2 * forward + back, (b["gemm_flops"], forward, back)


def every_layer_is_multiplied_by_every_backend():
    rows = measured()["gemm"]
    ways = {(r["backend"], r["dtype"]) for r in rows}
    assert {("openblas", "F32"), ("plain", "F32")} <= ways and "BF16" in {d for _, d in ways}, ways
    for name in ("demo", "smollm2"):
        wanted = {(n, k) for n, k, _ in layers(shape(name))}
        for way in ways:
            got = [(r["out"], r["in"]) for r in rows if r["block"] == name and (r["backend"], r["dtype"]) == way]
            assert sorted(got) == sorted(wanted), (name, way, got)
    assert all(r[k] > 0 for r in rows for k in ("y_gflops", "dx_gflops", "dw_gflops"))


def the_demo_block_has_the_shapes_of_the_shipped_model():
    with open(os.path.join(SOURCE, "share/models/demo-lm/config.json"), encoding="utf-8") as f:
        config = json.load(f)
    s = shape("demo")
    assert [s[k] for k in ("hidden", "heads", "kv_heads", "head_dim", "inner")] == [
        config[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim",
                            "intermediate_size")], s


def limits_and_teams_are_told():
    limits, scaling = measured()["limits"], measured()["scaling"]
    assert limits["memory_bytes_a_s"] > 0 and limits["region_s"] > 0, limits
    assert all(i["gflops"] > 0 and i["dtype"] in ("F32", "BF16", "F16") for i in limits["instructions"]), limits
    teams = [t["threads"] for t in scaling["teams"]]
    assert teams == sorted(set(teams)) and teams[0] == 1 and teams[-1] == measured()["threads"], scaling
    assert all(t[k] > 0 for t in scaling["teams"] for k in ("median_s", "fastest_s", "speed_up", "region_s")), scaling


def the_roofline_is_a_picture_with_a_chart_for_each_iteration():
    measured()
    png, at, data, size = result["png"], 8, b"", None
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body), kind
        size = struct.unpack(">IIBB", body[:10]) if kind == b"IHDR" else size
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    assert kind == b"IEND" and size[2:] == (8, 2), size
    pixels = zlib.decompress(data)
    assert len(pixels) == size[1] * (1 + 3 * size[0]), (len(pixels), size)
    assert size[1] % len(MEASURED) == 0 and len(set(pixels)) > 10, size


def compared(base, seconds):
    """peer.py beside a program that says it took so many seconds, and so many more for each iteration."""
    with tempfile.TemporaryDirectory(prefix="srq-test-") as tmp:
        fake, told = os.path.join(tmp, "peer"), os.path.join(tmp, "told.json")
        with open(fake, "w", encoding="utf-8") as f:
            f.write("import sys\n"
                    f"took = {base} + {seconds} * int(sys.argv[sys.argv.index('--iters') + 1])\n"
                    "print('RESULT {\"quantize_s\": %g, \"blocks\": 4, \"peak_rss_mib\": 1e6}' % took)\n")
        env = dict(ENV, SRQ_WORKER=os.path.join(BUILD, "daemon/srq-worker/srq-worker"))
        run = subprocess.run([sys.executable, os.path.join(SOURCE, "tests/bench/peer.py"), MODEL, "--calib", CALIB,
                              "--nsamples", "8", "--seqlen", "32", "--iters", "1,9", "--rounds", "1", "--whole", "2",
                              "--modes", "eager", "--threads", "1", "--json", told,
                              "--peer", f"{sys.executable} {fake}"], env=env, text=True, capture_output=True, check=False)
        lines = [line.split(" - ")[0] for line in run.stdout.splitlines() if not line.startswith("#")]
        with open(told, encoding="utf-8") as f:
            return run.returncode, lines, json.load(f)


def another_implementation_is_compared_by_iteration_and_as_a_whole():
    code, lines, told = compared(3, 1000)
    assert code == 0 and lines == ["1..3", "ok 1", "ok 2", "ok 3"], (code, lines)
    assert told["rounds"][0]["eager"]["peer_s"] == 250 and told["eager"]["whole"]["peer_s"] == 2003, told
    assert told["eager"]["whole"]["srq_s"] > 0 and told["rounds"][0]["srq_s"] > 0, told
    code, lines, told = compared(1e-3, 1e-9)
    assert code == 1 and lines == ["1..3", "not ok 1", "not ok 2", "ok 3"], (code, lines, told)


def what_cannot_be_measured_is_refused():
    for words in (["--block", "none"], ["--method", "none"], ["--block", "7b", "--method", "diffusion-qat"], ["--png"],
                  ["--iterations", "0"], ["--threads", "x"]):
        answer = run(*words)
        assert answer.returncode == 2 and answer.stderr.startswith("usage: ") and not answer.stdout, (words, answer)


run_tests([every_block_is_measured_with_every_method_that_has_it, an_iteration_is_the_sum_of_its_operations,
           the_work_of_products_follows_from_shapes, every_layer_is_multiplied_by_every_backend,
           the_demo_block_has_the_shapes_of_the_shipped_model, limits_and_teams_are_told,
           the_roofline_is_a_picture_with_a_chart_for_each_iteration,
           another_implementation_is_compared_by_iteration_and_as_a_whole, what_cannot_be_measured_is_refused])
