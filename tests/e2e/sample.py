#!/usr/bin/env python3
"""srqctl sample with the real programs: pictures as PNG and as numbers, what changes them and what must not, refusals, and
what is left of a run that is stopped. And what inspect and eval say of models of pictures."""
import array
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import EVAL, LIMIT_S, MODEL, SOURCE, Failed, Place, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors, write_tensors  # noqa: E402

DDPM = os.path.join(SOURCE, "share/models/demo-ddpm")
UNETS = os.path.join(SOURCE, "tests/reference/unets")
PLAIN, NARROW, SHIFTED = (os.path.join(UNETS, name) for name in ("plain", "narrow", "shifted"))
GAP = 2  # white pixels around a picture of a sheet


def read_png(path):
    """(width, height, channels, rows of bytes) of 8 bits a sample, as libpng writes it."""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:8]
    at, packed, head = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0], kind
        head = struct.unpack(">IIBBBBB", body) if kind == b"IHDR" else head
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    width, height, bits, colour, _, _, interlaced = head
    assert kind == b"IEND" and bits == 8 and colour in (0, 2) and not interlaced, head
    channels = 3 if colour == 2 else 1
    raw, stride, rows = zlib.decompress(packed), width * channels, []
    before = bytes(stride)
    for y in range(height):
        how, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left = line[i - channels] if i >= channels else 0
            up, corner = before[i], before[i - channels] if i >= channels else 0
            near = min((left, up, corner), key=lambda v: abs(left + up - corner - v))
            line[i] = (line[i] + (0, left, up, (left + up) // 2, near)[how]) & 255
        rows.append(before := bytes(line))
    return width, height, channels, rows


def read_npy(path):
    """(rows, cols, values)"""
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<H", data[8:10])[0]
    shape = re.search(rb"'descr': '<f4'.*'shape': \((\d+), (\d+)\)", data[10:10 + size])
    values = array.array("f")
    values.frombytes(data[10 + size:])
    rows, cols = int(shape[1]), int(shape[2])
    assert len(values) == rows * cols, (len(values), rows, cols)
    return rows, cols, values


def byte_of(v):
    return 0 if v <= -1 else 255 if v >= 1 else (v + 1) * 127.5


def content(path):
    with open(path, "rb") as f:
        return f.read()


def numbers(place, name, *words):
    """The values of a run, as they are in the file."""
    place.ctl("sample", *words, "--npy", place.path(name))
    return content(place.path(name))


# ---- pictures --------------------------------------------------------------------------------------------------------

def a_sheet_shows_the_numbers():
    """Every pixel of every picture, enlarged, white between them, and nothing else."""
    for model, channels in (PLAIN, 1), (NARROW, 3):
        with Place() as p:
            answer = p.ctl("sample", model, "-n", "5", "--steps", "4", "--columns", "3", "--scale", "2", "-o", "s.png",
                           "--npy", "s.npy")
            n, cols, values = read_npy(p.path("s.npy"))
            assert (n, cols) == (5, 8 * 8 * channels), (n, cols)
            width, height, seen, rows = read_png(p.path("s.png"))
            assert (width, height, seen) == (GAP + 3 * (16 + GAP), GAP + 2 * (16 + GAP), channels), (width, height, seen)
            shown = [[255] * (width * channels) for _ in range(height)]
            for i in range(n):
                top, left = GAP + i // 3 * (16 + GAP), GAP + i % 3 * (16 + GAP)
                for y in range(16):
                    for x in range(16):
                        for c in range(channels):
                            shown[top + y][(left + x) * channels + c] = byte_of(
                                values[i * cols + (y // 2 * 8 + x // 2) * channels + c])
            worst = max(abs(a - b) for want, got in zip(shown, rows) for a, b in zip(want, got))
            assert worst <= 0.51, worst
            assert answer["output"] == p.path("s.png") and answer["npy"] == p.path("s.npy"), answer
            told = {k: answer[k] for k in ("model", "pictures", "height", "width", "channels", "steps", "sampler", "eta",
                                           "seed", "columns", "scale", "high", "hp_first", "hp_last", "high_dtype",
                                           "integer_layers", "int8_backend", "noise")}
            assert told == {"model": model, "pictures": 5, "height": 8, "width": 8, "channels": channels, "steps": 4,
                            "sampler": "ddim", "eta": 0, "seed": 0, "columns": 3, "scale": 2, "high": None,
                            "hp_first": None, "hp_last": None, "high_dtype": None, "integer_layers": 0, "int8_backend": None, "noise": None}, told
            assert answer["seconds"] > 0 and answer["threads"] >= 1 and answer["gemm_backend"], answer


def the_defaults_are_a_square_of_sixteen():
    with Place() as p:
        words = p.run(p.env["SRQ_CTL"], "sample", DDPM, "--steps", "5")
        assert re.search(r"^pictures +16$", words, re.M) and "sheet.png" in words and "npy" not in words, words
        assert read_png(p.path("sheet.png"))[:3] == (4 * (5 * 28 + GAP) + GAP, 4 * (5 * 28 + GAP) + GAP, 1)
        answer = p.ctl("sample", PLAIN, "--npy", "alone.npy")
        assert (answer["steps"], answer["output"], answer["columns"]) == (50, None, None), answer
        assert sorted(n for n in os.listdir(p.top) if "." in n) == ["alone.npy", "sheet.png", "srqd.conf"]


def what_pictures_begin_with_is_kept_on_request():
    with Place() as p:
        p.ctl("sample", PLAIN, "-n", "64", "--steps", "1", "--noise", "n.npy", "--npy", "p.npy", "--seed", "3")
        rows, cols, noise = read_npy(p.path("n.npy"))
        assert (rows, cols) == (64, 64)
        mean, square = sum(noise) / len(noise), sum(v * v for v in noise) / len(noise)
        assert abs(mean) < 0.06 and abs(square - 1) < 0.1, (mean, square)
        refused(p, 1, [p.path("x")], PLAIN, "--steps", "1", "-o", "x", "--noise", "./x")
        p.ctl("sample", PLAIN, "-n", "8", "--steps", "9", "--noise", "m.npy", "--npy", "q.npy", "--seed", "3")
        assert read_npy(p.path("m.npy"))[2] == noise[:8 * 64]


def pictures_do_not_depend_on_the_batch():
    with Place() as p:
        for model, sampler in (DDPM, "ddim"), (PLAIN, "ddpm"):
            words = [model, "-n", "5", "--steps", "5", "--sampler", sampler, "--force"]
            one = numbers(p, "one.npy", *words, "--batch", "1")
            assert one == numbers(p, "two.npy", *words, "--batch", "2")
            assert one == numbers(p, "all.npy", *words, "--batch", "1000")
            p.env["SRQ_GEMM"] = "plain"  # others may share a product out in another way
            alone = numbers(p, "alone.npy", *words, "--threads", "1", "--batch", "2")
            assert alone == numbers(p, "team.npy", *words, "--threads", "2", "--batch", "3")
            del p.env["SRQ_GEMM"]


def a_picture_is_its_seeds_and_its_place():
    """More pictures begin with the same ones; seed, steps, sampler and eta make others."""
    with Place() as p:
        words = [PLAIN, "--force"]
        four = read_npy_of(numbers(p, "four.npy", *words, "-n", "4"), p)
        two = read_npy_of(numbers(p, "two.npy", *words, "-n", "2"), p)
        assert four[:len(two)] == two
        others = [numbers(p, "o.npy", *words, "-n", "2", *more) for more in (
            [], ["--seed", "1"], ["--seed", "4294967296"], ["--steps", "25"], ["--sampler", "ddpm"], ["--eta", "1"],
            ["--eta", "0.5"])]
        assert len(set(others)) == len(others)


def read_npy_of(data, place):
    path = place.path("again.npy")
    with open(path, "wb") as f:
        f.write(data)
    return read_npy(path)[2]


def high_steps_are_the_other_models():
    """None of the first and last steps: the model's own pictures; all of them: the other's; some: neither's."""
    with Place() as p:
        other = p.path("other")
        shutil.copytree(PLAIN, other)
        path = os.path.join(other, "unet/diffusion_pytorch_model.safetensors")
        tensors = read_tensors(path)
        for t in tensors.values():  # every weight a little smaller
            words = "<%de" % (len(t[2]) // 2)
            t[2] = struct.pack(words, *[v * 0.75 for v in struct.unpack(words, t[2])])
        write_tensors(path, tensors)
        words = ["-n", "2", "--steps", "6", "--force"]
        own, others = numbers(p, "a.npy", PLAIN, *words), numbers(p, "b.npy", other, *words)
        mixed = [numbers(p, "c.npy", PLAIN, *words, "--high", other, *k) for k in (
            ["--hp-first", "1"], ["--hp-last", "1"], ["--hp-first", "1", "--hp-last", "1"])]
        assert len({own, others, *mixed}) == 5
        assert others == numbers(p, "d.npy", PLAIN, *words, "--high", other, "--hp-first", "3", "--hp-last", "3")
        assert others == numbers(p, "d.npy", PLAIN, *words, "--high", other, "--hp-first", "100")
        assert own == numbers(p, "d.npy", PLAIN, *words, "--high", PLAIN, "--hp-first", "2")
        answer = p.ctl("sample", PLAIN, "--high", other, "--hp-last", "2", "--steps", "6", "-o", "h.png")
        assert (answer["high"], answer["hp_first"], answer["hp_last"]) == (other, 0, 2), answer


# ---- refusals --------------------------------------------------------------------------------------------------------

def refused(place, code, parts, *words):
    """With this exit code, a sentence that has all parts, the same as JSON, and nothing new in the folder."""
    before = sorted(os.listdir(place.top))
    said = place.run(place.env["SRQ_CTL"], "sample", *words, code=code)
    told = json.loads(place.run(place.env["SRQ_CTL"], "sample", *words, "--json", code=code))["error"]
    for part in parts:
        assert part in said and part in told["message"], (part, said, told)
    assert said.startswith("srqctl: ") and said.count("\n") == 1, said
    assert sorted(os.listdir(place.top)) == before, os.listdir(place.top)


def options_that_make_no_sense_are_refused():
    with Place() as p:
        refused(p, 2, ["sample needs MODEL"])
        for option, value in (("--steps", "0"), ("--steps", "many"), ("--eta", "1.5"), ("--seed", "-1"), ("-n", "0"),
                              ("--columns", "0"), ("--scale", "0"), ("--batch", "0"), ("--threads", "0")):
            refused(p, 2, [option + " " + value], PLAIN, option, value)
        refused(p, 2, ["--seed 1.5 is not a whole number"], PLAIN, "--seed", "1.5")
        refused(p, 2, ["--sampler euler", "ddim", "ddpm"], PLAIN, "--sampler", "euler")
        refused(p, 2, ["--eta 0.5", "--sampler ddim"], PLAIN, "--sampler", "ddpm", "--eta", "0.5")
        for option, steps in ("--hp-first", "first 2 and last 0"), ("--hp-last", "first 0 and last 2"):
            refused(p, 1, [steps, PLAIN + " has none"], PLAIN, option, "2")
        refused(p, 2, ["--high-dtype f16", "bf16"], PLAIN, "--high", PLAIN, "--hp-first", "1", "--high-dtype", "f16")
        refused(p, 2, ["--high " + PLAIN, "--hp-first"], PLAIN, "--high", PLAIN)
        refused(p, 2, ["-o is empty"], PLAIN, "-o", "")
        refused(p, 1, ["1001", "1000", "num_train_timesteps", PLAIN], PLAIN, "--steps", "1001")


def models_that_make_no_pictures_are_refused():
    with Place() as p:
        refused(p, 1, [MODEL + " is a language model (llama)"], MODEL)
        refused(p, 1, [MODEL + " is a language model (llama)"], PLAIN, "--high", MODEL, "--hp-first", "1")
        refused(p, 1, [p.path("nosuch")], "nosuch")
        refused(p, 1, [NARROW, "3 channels", PLAIN], PLAIN, "--high", NARROW, "--hp-first", "1")
        refused(p, 1, [SHIFTED, "8 x 4 pixels", PLAIN], PLAIN, "--high", SHIFTED, "--hp-first", "1")
        bare = p.path("bare")
        shutil.copytree(PLAIN, bare)
        shutil.rmtree(os.path.join(bare, "scheduler"))
        refused(p, 1, [bare, "scheduler_config.json"], bare)
        os.mkdir(os.path.join(bare, "scheduler"))
        with open(os.path.join(bare, "scheduler", "scheduler_config.json"), "w") as f:
            f.write('{"_class_name": "DDPMScheduler", "beta_schedule": "cubic"}')
        refused(p, 1, [bare, "beta_schedule", "cubic"], bare)


def places_that_cannot_be_written_are_refused_before_the_work():
    with Place() as p:
        for name in "there.png", "there.npy":
            with open(p.path(name), "w") as f:
                f.write("mine")
        slow = [DDPM, "--steps", "1000", "-n", "1000"]
        refused(p, 1, [p.path("there.png"), "exists", "--force"], *slow, "-o", "there.png")
        refused(p, 1, [p.path("there.npy"), "exists", "--force"], *slow, "--npy", "there.npy")
        refused(p, 1, [p.path("no", "x.png"), "No such file"], *slow, "-o", "no/x.png")
        refused(p, 1, [p.path("there.png", "x.npy"), "Not a directory"], *slow, "--npy", "there.png/x.npy")
        refused(p, 1, [p.path("state"), "is a folder"], *slow, "-o", "state", "--force")
        refused(p, 1, [p.path("one")], *slow, "-o", "one", "--npy", "./one")
        refused(p, 1, [p.path("big.png"), "too large"], *slow, "-o", "big.png", "--scale", "1024")
        assert content(p.path("there.png")) == content(p.path("there.npy")) == b"mine"
        p.ctl("sample", PLAIN, "--steps", "1", "-n", "1", "-o", "there.png", "--npy", "there.npy", "--force")
        assert read_png(p.path("there.png"))[0] > 8 and read_npy(p.path("there.npy"))[:2] == (1, 64)


def a_request_of_the_worker_is_checked():
    with Place() as p:
        good = {"model": PLAIN, "output": p.path("w.png"), "steps": 2, "pictures": 1}
        for change, field in (({"model": None}, "model"), ({"model": "plain"}, "model"), ({"output": None}, "output"),
                              ({"steps": 2.5}, "steps"), ({"steps": "2"}, "steps"), ({"sampler": 1}, "sampler"),
                              ({"hp_first": 1}, "high"), ({"high": PLAIN}, "high"), ({"eta": 1, "sampler": "ddpm"}, "eta"),
                              ({"force": 1}, "force"), ({"high": PLAIN, "hp_first": 1, "high_dtype": "f16"}, "high_dtype"), ({"colour": 1}, "colour"), ({"pictures": 1e7}, "pictures")):
            r = subprocess.run([p.env["SRQ_WORKER"], "--sample"], input=json.dumps(dict(good, **change)), env=p.env,
                               capture_output=True, text=True, timeout=LIMIT_S)
            assert r.returncode == 1 and json.loads(r.stdout)["error"]["field"] == field, (change, r)
        assert not os.path.exists(p.path("w.png"))


# ---- while it runs ---------------------------------------------------------------------------------------------------

SLOW = [DDPM, "-n", "1000", "--steps", "500", "-o", "slow.png", "--npy", "slow.npy"]


def helpers(place):
    """Process ids of the place's workers that sample."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % name, "rb") as f:
                words = f.read().split(b"\0")
            with open("/proc/%s/environ" % name, "rb") as f:
                ours = place.top.encode() in f.read()
        except OSError:
            continue
        if ours and b"--sample" in words:
            found.append(int(name))
    return found


def nothing_is_left(place):
    wait_until("the worker's end", lambda: not helpers(place))
    left = [n for n in os.listdir(place.top) if "slow" in n]
    assert not left, left


def to_a_pipe_it_says_plain_lines():
    with Place() as p:
        r = subprocess.run([p.env["SRQ_CTL"], "sample", PLAIN, "-n", "2", "--steps", "3"], env=p.env, cwd=p.top,
                           capture_output=True, text=True, timeout=LIMIT_S)
        assert r.returncode == 0 and re.match(r"sample 0/6 picture-steps\n", r.stderr), r
        assert "\r" not in r.stderr and "\x1b" not in r.stdout + r.stderr, r
        r = subprocess.run([p.env["SRQ_CTL"], "sample", PLAIN, "-n", "2", "--steps", "3", "--json", "--force"], env=p.env,
                           cwd=p.top, capture_output=True, text=True, timeout=LIMIT_S)
        assert r.returncode == 0 and r.stderr == "" and json.loads(r.stdout)["pictures"] == 2, r


def an_interrupt_ends_it_and_leaves_nothing():
    for words in SLOW, [*SLOW, "--json"]:
        with Place() as p:
            run = subprocess.Popen([p.env["SRQ_CTL"], "sample", *words], env=p.env, cwd=p.top, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
            wait_until("a worker", lambda: helpers(p))
            time.sleep(0.5)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=LIMIT_S)
            assert run.returncode == 130, (run.returncode, out, err)
            if "--json" in words:
                assert json.loads(out)["error"]["code"] == "canceled" and err == "", (out, err)
            else:
                assert err.endswith("srqctl: sampling was interrupted; nothing was written\n") and out == "", (out, err)
            nothing_is_left(p)


def a_worker_whose_client_is_gone_ends():
    with Place() as p:
        run = subprocess.Popen([p.env["SRQ_CTL"], "sample", *SLOW], env=p.env, cwd=p.top, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        wait_until("a worker", lambda: helpers(p))
        run.kill()
        run.wait()
        nothing_is_left(p)


def in_terminal(place, words, stop):
    """Exit code and screen of srqctl in a terminal; what stop(screen so far) gives is typed once."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(place.top)
        os.execve(place.env["SRQ_CTL"], [place.env["SRQ_CTL"], *words], dict(place.env, TERM="xterm", COLUMNS="100"))
    seen, until = b"", time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        try:
            if select.select([fd], [], [], 0.5)[0]:
                seen += os.read(fd, 65536)
        except OSError:  # the other end has gone
            break
        key = stop(seen.decode(errors="replace"))
        if key:
            os.write(fd, key)
            stop = lambda screen: None  # noqa: E731
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return code, seen.decode(errors="replace")


def a_terminal_shows_share_rate_and_time_left_and_takes_control_c():
    line = re.compile(r"\rsample  \d+/500000 picture-steps  [^\r]* left  [\d.k]+/s")
    with Place() as p:
        code, screen = in_terminal(p, ["sample", *SLOW], lambda s: b"\x03" if line.search(s) else None)
        assert code == 130 and line.search(screen), (code, screen)
        assert "sampling was interrupted; nothing was written" in screen, screen
        nothing_is_left(p)
        code, screen = in_terminal(p, ["sample", PLAIN, "--steps", "2", "-n", "2", "-o", "t.png"], lambda s: None)
        assert code == 0 and "t.png" in screen and read_png(p.path("t.png")), (code, screen)


# ---- other verbs -----------------------------------------------------------------------------------------------------

def inspect_tells_what_pictures_a_model_makes():
    with Place() as p:
        seen = p.ctl("inspect", SHIFTED)
        assert seen["pictures"] == {"height": 4, "width": 8, "channels": 1, "out_channels": 1}, seen["pictures"]
        for name in "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "max_positions", "tied_head":
            assert name in seen and seen[name] is None, (name, seen[name])
        kernels = {layer["name"]: layer["kernel"] for layer in seen["layers"]}
        assert kernels["conv_in"] == 3 and kernels["time_embedding.linear_1"] is None, kernels
        words = p.run(p.env["SRQ_CTL"], "inspect", SHIFTED)
        assert re.search(r"^pictures +8 x 4, 1 channel$", words, re.M) and "vocab" not in words, words
        assert re.search(r"conv_in +8x1x3x3 ", words) and "linear_1 " in words, words
        words = p.ctl("inspect", MODEL)
        assert words["pictures"] is None and words["hidden"] == 256 and words["layers"][0]["kernel"] is None
        assert "pictures" not in p.run(p.env["SRQ_CTL"], "inspect", MODEL)


def eval_refuses_a_model_of_pictures():
    with Place() as p:
        for words in ["eval", DDPM, "--eval", EVAL], ["eval", MODEL, "--eval", EVAL, "--reference", DDPM]:
            try:
                p.run(p.env["SRQ_CTL"], *words)
            except Failed as e:
                assert e.code == 1 and DDPM + " is a diffusion model (UNet2DModel)" in e.text, e.text
            else:
                raise AssertionError("%s was measured" % words)


if __name__ == "__main__":
    run_tests([a_sheet_shows_the_numbers, the_defaults_are_a_square_of_sixteen,
               what_pictures_begin_with_is_kept_on_request, pictures_do_not_depend_on_the_batch,
               a_picture_is_its_seeds_and_its_place, high_steps_are_the_other_models,
               options_that_make_no_sense_are_refused, models_that_make_no_pictures_are_refused,
               places_that_cannot_be_written_are_refused_before_the_work, a_request_of_the_worker_is_checked,
               to_a_pipe_it_says_plain_lines, an_interrupt_ends_it_and_leaves_nothing, a_worker_whose_client_is_gone_ends,
               a_terminal_shows_share_rate_and_time_left_and_takes_control_c, inspect_tells_what_pictures_a_model_makes,
               eval_refuses_a_model_of_pictures])
