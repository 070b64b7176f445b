#!/usr/bin/env python3
"""Bad input through the real programs: what each mistake is answered with, that it leaves nothing behind, and that the
daemon still answers. Every case prints the message it got."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.environ.get("top_srcdir", ".")
BUILD = os.environ.get("top_builddir", ".")
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from message_table import checker  # noqa: E402
from srqd_client import Client, Refused  # noqa: E402

OTHER_UID = 65534
REFUSED, USAGE, NO_JOB, DENIED, FAILED = 1, 2, 4, 5, 7
QUICK = ["--set", "nsamples=2", "--set", "seqlen=32", "--set", "threads=1"]


class Skip(Exception):
    pass


class House:
    """A daemon's places, folders to work in, and srqctl with them."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="srq-bad-")
        os.chmod(self.top, 0o755)
        self.work = self.folder("work")
        self.models = self.folder("models")
        self.plugins = self.folder("plugins")
        self.state = os.path.join(self.top, "state")
        self.socket = os.path.join(self.top, "s")
        self.programs = self.folder("programs")
        self.copy_programs()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SRQ_")}
        self.env.update(
            SRQ_SRQD=self.program("srqd"), SRQ_WORKER=self.program("srq-worker"),
            SRQ_PLUGIN_PATH=self.programs + ":" + self.plugins, SRQ_PLUGIN_DIR="/nonexistent", SRQ_SOCKET=self.socket,
            SRQ_STATE_DIR=self.state, SRQ_RUNTIME_DIR=os.path.join(self.top, "run"), HOME=self.top,
            OMP_WAIT_POLICY="passive", LC_ALL="C.UTF-8")
        os.mkdir(self.env["SRQ_RUNTIME_DIR"], 0o700)
        self.env["SRQ_CONFIG"] = self.text("srqd.conf", "[restart]\npauses_s = 0.05 0.1\n")
        self.calib = self.text("calib.txt", "The quick brown fox jumps over the lazy dog. " * 40)

    def program(self, name):
        return os.path.join(self.programs, name)

    def copy_programs(self):
        """Where every user may run them: the build tree may lie in a folder that only its owner may enter."""
        places = ["tui/srqctl/srqctl", "daemon/srqd/srqd", "daemon/srq-worker/srq-worker"]
        for name in os.listdir(os.path.join(BUILD, "plugins")):
            places.append(os.path.join("plugins", name, ".libs", name + ".so"))
        for place in places:
            path = os.path.join(BUILD, place)
            if os.path.exists(path):
                copy = os.path.join(self.programs, os.path.basename(place))
                shutil.copyfile(path, copy)
                os.chmod(copy, 0o755)

    def folder(self, name):
        path = os.path.join(self.top, name)
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def text(self, name, content):
        path = os.path.join(self.top, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def model(self, name, *args):
        """A small model, made once."""
        path = os.path.join(self.models, name)
        if not os.path.exists(path):
            subprocess.run([sys.executable, os.path.join(TOP, "tests/lib/make_model.py"), path, "--blocks", "1",
                            "--hidden", "64", "--mlp", "96", "--vocab", "288", *args], check=True)
        return path

    def broken(self, what):
        return self.model(what, "--break", what)

    def good(self):
        return self.model("good")

    def ctl(self, *args, uid=None, timeout=60):
        words = [self.program("srqctl"), *args]
        if uid is not None:
            words = ["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups", *words]
        return subprocess.run(words, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                              text=True, errors="replace", cwd=self.work)

    def json(self, *args, **kw):
        p = self.ctl("--json", *args, **kw)
        try:
            return json.loads(p.stdout)
        except ValueError:
            raise AssertionError("no JSON from %s: exit %d, %s%s" % (args, p.returncode, p.stdout, p.stderr)) from None

    def jobs(self):
        return [j["job"] for j in self.json("list", "--all")["jobs"]]

    def files(self):
        """Everything below the folders where outputs go and models lie."""
        return sorted(os.path.join(d, n) for top in (self.work, self.models) for d, dirs, names in os.walk(top)
                      for n in dirs + names)

    def job_folders(self):
        """Those of jobs; a deleted one's is renamed ID.del at once and goes in the background."""
        return sorted(n for n in os.listdir(os.path.join(self.state, "jobs")) if not n.endswith(".del"))

    def clear(self):
        """After a failure: nothing of it may disturb the next case."""
        for j in self.jobs():
            self.ctl("cancel", j)
            self.ctl("wait", j, "--timeout", "20")
            self.ctl("delete", j)
        for n in os.listdir(self.work):
            shutil.rmtree(os.path.join(self.work, n), ignore_errors=True)

    def close(self):
        try:
            for j in self.json("list", "--all")["jobs"]:
                if j["state"] not in ("done", "failed", "canceled"):
                    self.ctl("cancel", j["job"])
            self.ctl("daemon", "stop", "--jobs")
        finally:
            shutil.rmtree(self.top, ignore_errors=True)


def expect(p, code, words):
    said = (p.stdout + p.stderr).strip()
    print("# exit %d: %s" % (p.returncode, said.splitlines()[-1][:400] if said else "nothing"))
    assert p.returncode == code, "exit code %d, not %d: %s" % (p.returncode, code, said)
    for w in words:
        assert w in said, "\"%s\" is not in: %s" % (w, said)
    return said


def untouched(h, fn):
    """Runs fn; nothing is left behind, no job is there, and the daemon answers."""
    files, jobs, folders = h.files(), h.jobs(), h.job_folders()
    fn()
    assert h.files() == files, sorted(set(h.files()) ^ set(files))
    assert h.jobs() == jobs and h.job_folders() == folders
    assert h.json("daemon", "info")["pid"] > 0


TESTS = []


def add(name, fn):
    fn.__name__ = name
    TESTS.append(fn)


def test(fn):
    add(fn.__name__.replace("_", " "), fn)
    return fn


def refused(name, args, words, code=REFUSED, method="rtn", scheme="w4g32", calib=False):
    """srqctl submit MODEL ARGS is refused; args is a function of the house that gives [MODEL, ARG…]."""
    def run(h):
        h.good()
        given = args(h)
        line = ["submit", *given] + ([] if "-o" in given else ["-o", "out"])
        if method:
            line += ["-m", method]
        if scheme:
            line += ["-s", scheme]
        if calib:
            line += ["--calib", h.calib, *QUICK]
        wanted = [w(h) if callable(w) else w for w in words]
        untouched(h, lambda: expect(h.ctl(*line), code, wanted))
    add(name, run)


def fails(name, args, words, method="signround", calib=True):
    """The job is taken, since only its work can find the fault, and fails with the cause; no output is left."""
    def run(h):
        h.good()
        line = ["submit", *args(h), "-o", "out", "-m", method, "-s", "w4g32", *QUICK, "--wait"]
        if method == "signround":
            line += ["--set", "signround.iters=2"]
        if calib:
            line += ["--calib", h.calib]
        files, jobs = h.files(), h.jobs()
        expect(h.ctl(*line), FAILED, [w(h) if callable(w) else w for w in words])
        assert h.files() == files, sorted(set(h.files()) ^ set(files))
        new = [j for j in h.jobs() if j not in jobs]
        assert len(new) == 1 and h.json("show", new[0])["state"] == "failed"
        expect(h.ctl("delete", new[0]), 0, [])
        assert h.jobs() == jobs and new[0] not in h.job_folders()
        assert h.json("daemon", "info")["pid"] > 0
    add(name, run)


# ---- models ----------------------------------------------------------------------------------------------------------

VICTIM = "model.layers.0.mlp.up_proj.weight"
FILE = "model.safetensors"
for what, words in [
        ("truncated", ["truncated/" + FILE, "bytes"]),
        ("header-length", ["header-length/" + FILE, "1099511627776"]),
        ("overlap", ["overlap/" + FILE, VICTIM, "begins at byte"]),
        ("duplicate-key", ["duplicate-key/" + FILE, "duplicate object key"]),
        ("dtype", [VICTIM, "F4"]),
        ("shape", [VICTIM, "shape"]),
        ("missing-tensor", [VICTIM]),
        ("family", ["mamba9", "llama"]),
        ("quantized", ["bitsandbytes"]),
        ("auto-map", ["auto_map"]),
        ("config-json", ["config-json/config.json"]),
        ("heads", ["num_key_value_heads", "3"])]:
    refused("model: " + what, lambda h, what=what: [h.broken(what)], words)
refused("model: missing tokenizer", lambda h: [h.broken("no-tokenizer"), "--eval", h.calib],
        ["no-tokenizer holds no tokenizer.json"])
refused("model: missing tokenizer, to be tuned", lambda h: [h.broken("no-tokenizer")], ["no-tokenizer holds no tokenizer.json"],
        method="signround", calib=True)


def with_file(h, name, content):
    """A copy of the good model in which one file is another; content None: a FIFO, which nobody writes to."""
    path = os.path.join(h.models, "with-%s-%d" % (name, hash(content) % 997))
    if not os.path.exists(path):
        shutil.copytree(h.good(), path)
        if os.path.exists(os.path.join(path, name)):
            os.remove(os.path.join(path, name))
        if content is None:
            os.mkfifo(os.path.join(path, name))
        else:
            with open(os.path.join(path, name), "w") as f:
                f.write(content)
    return path


TOKENIZER = "tokenizer.json"
UNIGRAM = json.dumps({"version": "1.0", "added_tokens": [], "model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]]}})
refused("model: tokenizer that is broken JSON", lambda h: [with_file(h, TOKENIZER, '{"version":'), "--eval", h.calib],
        [TOKENIZER, "bad JSON at line 1"])
refused("model: tokenizer of a kind that is not read", lambda h: [with_file(h, TOKENIZER, UNIGRAM)], [TOKENIZER, "Unigram"],
        method="signround", calib=True)
for what in TOKENIZER, "config.json", FILE, "generation_config.json":
    refused("model: a FIFO as " + what, lambda h, what=what: [with_file(h, what, None)], [what, "is not a regular file"],
            method="signround", calib=True)
for what in ("nan", "inf"):
    fails("model: %s weight" % what, lambda h, what=what: [h.broken(what)], [VICTIM, "NaN or Inf", "element 3"])
    fails("model: %s weight under plain rounding" % what, lambda h, what=what: [h.broken(what)], [VICTIM, "NaN or Inf"],
          method="rtn", calib=False)
refused("model: tied output layer asked for", lambda h: [h.good(), "--lm-head"], ["lm_head", "tied"])
refused("model: missing path", lambda h: ["nosuch"], [lambda h: os.path.join(h.work, "nosuch")])
refused("model: a file", lambda h: [h.calib], [lambda h: h.calib])
refused("model: an empty folder", lambda h: [h.plugins], [lambda h: h.plugins])
refused("model: no path at all", lambda h: [], ["MODEL"], code=USAGE)


def unreadable(h):
    path = os.path.join(h.models, "unreadable")
    if not os.path.exists(path):
        shutil.copytree(h.good(), path)
        os.chmod(os.path.join(path, FILE), 0)
    return path


@test
def model_that_may_not_be_read_is_refused(h):
    uid = None
    if os.geteuid() == 0:
        uid = other_uid()
        h = other_house(h)
    expect(h.ctl("submit", unreadable(h), "-m", "rtn", "-s", "w4g32", "-o", os.path.join(h.work, "x"), uid=uid), DENIED,
           ["unreadable/" + FILE, "Permission denied"])
    assert h.jobs() == []


# ---- text ------------------------------------------------------------------------------------------------------------

def calib(h, name, content):
    return [h.good(), "--calib", h.text(name, content)]


def signround(name, args, words, **kw):
    refused(name, lambda h: [*args(h), *QUICK], words, method="signround", **kw)


signround("calibration: none given", lambda h: [h.good()], ["calib"])
signround("calibration: missing file", lambda h: [h.good(), "--calib", "nosuch.txt"],
          ["nosuch.txt", "No such file"])
signround("calibration: folder without text", lambda h: [h.good(), "--calib", h.plugins], ["plugins", ".txt"])
signround("calibration: empty text", lambda h: calib(h, "empty.txt", ""), ["empty.txt is empty"])
signround("calibration: .json", lambda h: calib(h, "rows.json", '[{"text": "one"}]'), ["rows.json", "give rows as .jsonl"])
signround("calibration: a device", lambda h: [h.good(), "--calib", "/dev/zero"], ["/dev/zero is not a regular file"])


def fifo(h):
    path = os.path.join(h.work, "fifo.txt")
    if not os.path.exists(path):
        os.mkfifo(path)
    return path


signround("calibration: a FIFO", lambda h: [h.good(), "--calib", fifo(h)], ["fifo.txt is not a regular file"])
refused("evaluation: a FIFO", lambda h: [h.good(), "--eval", fifo(h)], ["fifo.txt is not a regular file"])
fails("calibration: text shorter than one window", lambda h: calib(h, "short.txt", "short"), ["short.txt", "5 ids", "32"],
      calib=False)
fails("calibration: text that is not UTF-8", lambda h: calib(h, "latin.txt", b"fine " * 40 + b"\xff\xfe"),
      ["latin.txt", "UTF-8", "200"], calib=False)
fails("calibration: bad jsonl row", lambda h: calib(h, "rows.jsonl", '{"text": "short"}\n{"txt": 1}\n'),
      ["rows.jsonl:2", "text"], calib=False)
fails("calibration: jsonl that is not JSON", lambda h: calib(h, "broken.jsonl", '{"text": \n'), ["broken.jsonl:1"],
      calib=False)
refused("evaluation: missing file", lambda h: [h.good(), "--eval", "nosuch.txt"], ["evaluation", "nosuch.txt"])
fails("evaluation: text shorter than one window", lambda h: [h.good(), "--eval", h.text("short.txt", "short")],
      ["short.txt", "5 ids"], method="rtn", calib=False)

# ---- what is asked for -----------------------------------------------------------------------------------------------

GOOD = lambda *more: (lambda h: [h.good(), *more])  # noqa: E731
refused("method: unknown", GOOD(), ["nosuch", "signround", "rtn"], method="nosuch")
refused("method: a path", GOOD(), ["../x"], method="../x")
refused("method: two quantizers", GOOD(), ["rtn"], method="rtn,signround", calib=True)
refused("method: none", GOOD(), ["method"], method=None)
refused("option: unknown of the job", GOOD("--set", "nsample=3"), ["nsample", "nsamples"])
refused("option: unknown of a plugin", GOOD("--set", "signround.iter=3"), ["signround", "iter", "iters"],
        method="signround", calib=True)
refused("option: of a plugin that is not in the method", GOOD("--set", "signround.iters=3"), ["signround.iters", "\"signround\"", "method"])
refused("option: out of range", GOOD("--set", "signround.iters=-3"), ["iters", "-3"], method="signround", calib=True)
refused("option: wrong type", GOOD("--set", "seed=often"), ["seed", "often", "whole number", "9007199254740992"])
refused("option: wrong type of a plugin's", GOOD("--set", "signround.iters=many"), ["iters", "many", "whole number"],
        method="signround", calib=True)
refused("option: not one of the choices", GOOD("--set", "gemm=abacus"), ["gemm", "abacus", "openblas"])
refused("option: bad size", GOOD("--set", "max_memory=lots"), ["max_memory", "lots", "8G"])
refused("option: no value", GOOD("--set", "seed"), ["KEY=VALUE"], code=USAGE)
refused("scheme: nonsense", GOOD(), ["four bits", "w4g128"], scheme="four bits")
refused("scheme: too many bits", GOOD(), ["w9g32", "9 bits"], scheme="w9g32")
refused("scheme: not in this build", GOOD(), ["q4_1", "not in this build"], scheme="q4_1")
refused("scheme: a mix", GOOD(), ["q4_k_m", "mix", "budget"], scheme="q4_k_m")
refused("scheme: not for the format", GOOD(), ["mxfp4", "auto_round", "no layer could be quantized"], scheme="mxfp4")
refused("scheme: activations beside floating point", GOOD(), ["nvfp4a4", "activations"], scheme="nvfp4a4")
refused("scheme: quantized activations in a layout without them", GOOD("-F", "auto_gptq"),
        ["auto_gptq", "activations", "compressed-tensors"], scheme="w4g32a8")
refused("layers: a pattern that matches nothing", GOOD("-l", "model.layers.9.*=w8"), ["model.layers.9.*", "layers.0"])
refused("layers: bad regular expression", GOOD("-l", "re:(q_proj=w8"), ["(q_proj", "parenthes"])
refused("layers: no scheme", GOOD("-l", "q_proj"), ["PATTERN=SCHEME"], code=USAGE)
refused("format: unknown", GOOD("-F", "zip"), ["zip", "auto_round"])
refused("format: given twice", GOOD("-F", "fake,fake"), ["fake", "twice"])
refused("format: cannot carry the scheme, and is not to leave layers out",
        GOOD("-F", "auto_awq", "--incompatible", "refuse"), ["self_attn.q_proj", "w8g32", "AWQ", "4 bits"], scheme="w8g32")
refused("incompatible: neither keep nor refuse", GOOD("--incompatible", "maybe"), ["incompatible", "maybe", "refuse"], code=USAGE)
refused("priority: not a number", GOOD("-p", "high"), ["-p", "high"], code=USAGE)
refused("memory: too little", GOOD("--set", "max_memory=16K"), ["16.0 KiB", "memory", "codes of the largest block"])
refused("disk: too little", GOOD("--set", "max_disk=1K"), ["disk", "results of all blocks"])
refused("submit: unknown flag", GOOD("--mehtod=rtn"), ["--mehtod"], code=USAGE)

# ---- a job file ------------------------------------------------------------------------------------------------------

for name, text, words in [
        ("not JSON", "{", ["job.json", "JSON"]),
        ("an array", "[]", ["job.json", "object"]),
        ("key given twice", '{"scheme": "w4", "scheme": "w8"}', ["scheme"]),
        ("unknown key", '{"modell": "/"}', ["modell", "model"]),
        ("wrong type", '{"formats": 3}', ["formats"]),
        ("layer entry without a scheme", '{"layers": [{"pattern": "*"}]}', ["layers", "scheme"]),
        ("too deep", "[" * 40, ["job.json", "32"])]:
    refused("job file: " + name, lambda h, text=text: [h.good(), "--job", h.text("job.json", text)], words)
refused("job file: missing", GOOD("--job", "nosuch.json"), ["nosuch.json"])


# ---- output ----------------------------------------------------------------------------------------------------------

@test
def output_that_exists_needs_force_and_must_be_a_model(h):
    there = os.path.join(h.work, "there")
    os.mkdir(there)
    with open(os.path.join(there, "notes.txt"), "w") as f:
        f.write("mine")
    for more, word in ([], "--force"), (["--force"], "not a model folder"):
        untouched(h, lambda: expect(h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", there, *more), REFUSED,
                                    [there, word]))
    shutil.rmtree(there)


@test
def output_of_an_unfinished_job_is_refused_however_it_is_spelled(h):
    """Also a folder in it, the folder that it is in, and one that the other reads its model from."""
    os.symlink(h.work, os.path.join(h.work, "link"))
    os.mkdir(os.path.join(h.work, "dir"))
    job = h.json("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", os.path.join(h.work, "two"), "--paused")["job"]
    for name in "two", "./two", "/two/", "dir/../two", "link/two", "new/../two", "link/./link//two", "two/sub", ".":
        out = name if name.startswith(".") else h.work + "/" + name
        for more in [], ["--force"]:
            untouched(h, lambda: expect(h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", out, *more), REFUSED, []))
    said = expect(h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", "link/two"), REFUSED,
                  ["job %s is going to write %s already" % (job, os.path.join(h.work, "two"))])
    assert "link" not in said, said
    copy = os.path.join(h.work, "copy")
    shutil.copytree(h.good(), copy)
    reads = h.json("submit", copy, "-m", "rtn", "-s", "w4g32", "-o", os.path.join(h.work, "three"), "--paused")["job"]
    expect(h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", "link/copy", "--force"), REFUSED,
           ["job %s reads its model from %s" % (reads, copy)])
    expect(h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", os.path.join(h.state, "x")), REFUSED,
           ["where srqd keeps its jobs"])
    for j in job, reads:
        expect(h.ctl("cancel", j), 0, [])
        expect(h.ctl("delete", j), 0, [])
    shutil.rmtree(copy)
    os.rmdir(os.path.join(h.work, "dir"))
    os.unlink(os.path.join(h.work, "link"))


refused("output: the model itself", lambda h: [h.good(), "--force", "-o", h.good()], ["would replace the model"])
refused("output: inside the model", lambda h: [h.good(), "-o", os.path.join(h.good(), "sub", "out")],
        ["in the folder of the model"])
refused("output: below a file", lambda h: [h.good(), "-o", os.path.join(h.calib, "out")], ["calib.txt is not a folder"])


@test
def output_below_missing_folders_makes_them_with_the_modes_of_the_umask(h):
    out = os.path.join(h.work, "new", "deep", "out")
    expect(h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", out, "-F", "auto_round,fake", "--wait"), 0, [])
    mask = os.umask(0)
    os.umask(mask)
    for d, dirs, names in os.walk(os.path.join(h.work, "new")):
        for n in names:
            assert os.stat(os.path.join(d, n)).st_mode & 0o777 == 0o666 & ~mask, n
        assert os.stat(d).st_mode & 0o777 == 0o777 & ~mask, d
    assert os.path.exists(os.path.join(out, "report.json")) and os.path.exists(os.path.join(out, "fake", FILE))
    expect(h.ctl("delete", "@last"), 0, [])
    shutil.rmtree(os.path.join(h.work, "new"))


@test
def output_where_nothing_may_be_written_is_refused(h):
    uid = other_uid() if os.geteuid() == 0 else None
    house = other_house(h) if uid is not None else h
    closed = os.path.join(house.work, "closed")
    os.makedirs(closed, exist_ok=True)
    os.chmod(closed, 0o555)
    for out in (os.path.join(closed, "out"), os.path.join(closed, "a", "b", "out")):
        expect(house.ctl("submit", house.good(), "-m", "rtn", "-s", "w4g32", "-o", out, uid=uid), DENIED,
               [closed, "Permission denied"])
    assert house.jobs() == [] and os.listdir(closed) == []
    os.rmdir(closed)


@test
def output_on_a_full_disk_is_refused_before_or_fails_without_a_trace(h):
    if os.geteuid() != 0:
        raise Skip("mounting a small file system needs root")
    big, bigger = h.model("big"), h.model("bigger", "--mlp", "512")
    disk = os.path.join(h.top, "disk")
    os.makedirs(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], capture_output=True).returncode != 0:
        raise Skip("a tmpfs cannot be mounted here")
    try:
        out = os.path.join(disk, "a", "out")
        untouched(h, lambda: expect(h.ctl("submit", bigger, "-m", "rtn", "-s", "w8g32", "-o", out),
                                    REFUSED, ["the output needs", disk, "free"]))
        # Planned while there is room, filled by somebody else before the job writes.
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        job = h.json("submit", big, "-m", "rtn", "-s", "w8g32", "-o", out, "--paused")["job"]
        with open(os.path.join(disk, "neighbour"), "wb") as f:
            f.write(bytes(1000 * 1024))
        expect(h.ctl("resume", job), 0, [])
        expect(h.ctl("wait", job, "--timeout", "60"), FAILED, [])
        expect(h.ctl("show", job), 0, ["the output needs", disk, "free"])
        left = [n for _, _, names in os.walk(disk) for n in names]
        assert left == ["neighbour"], left
        expect(h.ctl("delete", job), 0, [])
    finally:
        subprocess.run(["umount", disk], check=True)


# ---- srqctl ----------------------------------------------------------------------------------------------------------

def says(name, args, code, words):
    add(name, lambda h: untouched(h, lambda: expect(h.ctl(*args), code, words)))


says("srqctl: unknown verb", ["sbumit"], USAGE, ["sbumit", "submit"])
says("srqctl: unknown flag", ["list", "--nosuch"], USAGE, ["--nosuch"])
says("srqctl: unknown job", ["show", "nosuchjob"], NO_JOB, ["nosuchjob"])
says("srqctl: unknown job to cancel", ["cancel", "nosuchjob"], NO_JOB, ["nosuchjob"])
says("srqctl: unknown plugin", ["plugin", "info", "nosuch"], REFUSED, ["nosuch", "rtn"])
says("srqctl: inspect of nothing", ["inspect", "nosuch"], REFUSED, ["nosuch"])
says("srqctl: eval without text", ["eval", "."], USAGE, ["--eval"])


@test
def beginning_of_two_ids_is_refused_as_ambiguous(h):
    jobs, common = [], ""
    while not common and len(jobs) < 40:  # ids are drawn at random
        new = h.json("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", "amb%d" % len(jobs), "--paused")["job"]
        common = new[0] if any(j[0] == new[0] for j in jobs) else ""
        jobs.append(new)
    assert common, jobs
    for verb in "show", "cancel", "delete":
        expect(h.ctl(verb, common), REFUSED, ["several jobs", "\"%s\"" % common])
    for j in jobs:
        expect(h.ctl("cancel", j), 0, [])
        expect(h.ctl("delete", j), 0, [])


# ---- the socket ------------------------------------------------------------------------------------------------------

HELLO = b'{"jsonrpc":"2.0","id":"1","method":"hello","params":{"major":1,"minor":0,"client":"t"}}\n'


def answer(h, data, hello=True):
    """What the daemon says to these bytes: the first answer without our hello's; None when it hangs up in silence."""
    c = Client(h.socket, hello=False, timeout=10)
    try:
        if hello:
            c.send_raw(HELLO)
            assert "result" in c.read_message()
        c.send_raw(data)
        c.sock.shutdown(socket.SHUT_WR)
        return c.read_message()
    except ConnectionError:  # it hung up while we were still sending; its last words may be there
        try:
            return c.read_message()
        except ConnectionError:
            return c.read_message()
    finally:
        c.close()


def request(method="job.get", **params):
    return json.dumps({"jsonrpc": "2.0", "id": "2", "method": method, "params": params}).encode() + b"\n"


def hostile(name, data, code, words, hello=True):
    def check(h):
        a = answer(h, data, hello)
        assert a is not None and "error" in a, a
        e = a["error"]
        print("# %s: %s" % (e["data"]["code"], e["message"]))
        assert e["data"]["code"] == code, e
        for w in words:
            assert w in e["message"], e
    add("socket: " + name, lambda h: untouched(h, lambda: check(h)))


hostile("not JSON", b"GET / HTTP/1.1\n", "format", ["JSON", "byte 0"])
hostile("an array", b"[1,2]\n", "protocol", ["object"])
hostile("an unfinished object", b'{"jsonrpc":"2.0"\n', "format", ["ends inside"])
hostile("too deep", b'{"jsonrpc":"2.0","id":"2","method":"job.get","params":' + b'{"a":' * 40 + b"1" + b"}" * 41 + b"\n",
        "limit", ["32"])
hostile("a member given twice", b'{"jsonrpc":"2.0","id":"2","id":"3","method":"daemon.info"}\n', "format", ["\"id\"", "twice"])
hostile("bad UTF-8", b'{"jsonrpc":"2.0","id":"2","method":"job.get","params":{"job":"\xff"}}\n', "format", ["UTF-8"])
hostile("a NUL byte", b'{"jsonrpc":"2.0","id":"2","method":"job.get","params":{"job":"a\0b"}}\n', "format", ["NUL"])
hostile("an escaped NUL", b'{"jsonrpc":"2.0","id":"2","method":"job.get","params":{"job":"a\\u0000b"}}\n', "format", ["NUL"])
hostile("a number out of all range", b'{"jsonrpc":"2.0","id":"2","method":"job.list","params":{"limit":1e999}}\n', "format",
        ["number"])
hostile("a number of too many digits", b'{"jsonrpc":"2.0","id":"2","method":"job.list","params":{"limit":' + b"9" * 99 + b"}}\n",
        "format", ["60 characters"])
hostile("an unknown method", request("job.explode"), "unsupported", ["job.explode"])
hostile("a method of the worker", request("worker.cancel"), "unsupported", ["worker.cancel"])
hostile("a missing parameter", request("job.get"), "invalid", ["\"job\" is missing"])
hostile("a parameter of the wrong type", request("job.get", job=7), "invalid", ["job must be of type string"])
hostile("an unknown parameter", request("job.get", job="x", uid=0), "invalid", ["unknown member \"uid\""])
hostile("parameters by position", b'{"jsonrpc":"2.0","id":"2","method":"job.get","params":["x"]}\n', "protocol", ["named members"])
hostile("a number as id", b'{"jsonrpc":"2.0","id":2,"method":"daemon.info"}\n', "protocol", ["id"])
hostile("a job that is no object", request("job.submit", spec="rtn"), "invalid", ["spec must be of type object"])
hostile("a job id with slashes", request("job.get", job="../../etc"), "not_found", ["../../etc"])
hostile("no hello first", request("daemon.info"), "protocol", ["first call is hello"], hello=False)
hostile("another protocol", HELLO.replace(b'"major":1', b'"major":9'), "protocol", ["speaks 9"], hello=False)
hostile("an oversized frame", b'{"jsonrpc":"2.0","id":"2","method":"job.get","params":{"job":"' + b"x" * (2 << 20) + b'"}}\n',
        "limit", ["1048576 bytes"])
hostile("a frame without end", b"x" * (5 << 20), "limit", ["1048576 bytes"])


# ---- workers ---------------------------------------------------------------------------------------------------------

@test
def worker_killed_three_times_without_progress_fails_the_job_with_the_cause(h):
    started = os.path.join(h.top, "endless.txt")
    with open(started, "w") as f:
        f.write("word " * 4000)
    job = h.json("submit", h.model("slow", "--hidden", "128"), "-m", "signround", "-s", "w4g32", "--calib", started, "-o",
                 "killed", "--set", "nsamples=32", "--set", "seqlen=128", "--set", "signround.iters=100000", "--set",
                 "threads=1", "--set", "checkpoint_s=3600")["job"]
    killed, until = set(), time.monotonic() + 60
    while time.monotonic() < until:
        j = h.json("show", job)
        if j["state"] == "failed":
            break
        if j["pid"] and j["pid"] not in killed and j["state"] == "running":
            killed.add(j["pid"])
            os.kill(j["pid"], signal.SIGKILL)
        time.sleep(0.05)
    print("# " + str(j["reason"]))
    assert j["state"] == "failed" and len(killed) == 3, (j, killed)
    for word in "3 times", "signal 9":
        assert word in j["reason"], j["reason"]
    assert not [f for f in h.files() if "killed" in f]
    expect(h.ctl("delete", job), 0, [])


# ---- plugins ---------------------------------------------------------------------------------------------------------

PLUGIN = """#include <srq/plugin.h>
static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h, (void)o, (void)err;
    *self = 0;
    return 0;
}
static void destroy(const struct srq_host *h, void *self)
{
    (void)h, (void)self;
}
static int quantize(const struct srq_host *h, void *self, struct srq_layer *l, struct srq_result *r, struct srq_error *err)
{
    (void)h, (void)self, (void)l, (void)r;
    return srq_fail(err, -SRQ_EINVAL, "never");
}
static const struct srq_oneshot oneshot = { .size = sizeof(oneshot), .quantize = quantize };
const struct srq_plugin %s = {
    .create = create, .destroy = destroy, .oneshot = %s,
    .magic = %s, .abi_major = %s, .abi_minor = %s, .size = %s,
    .name = "%s", .version = "1", .summary = "A fault.",
};
"""


def plugin(name, words, symbol="srq_plugin", magic="SRQ_PLUGIN_MAGIC", major="SRQ_ABI_MAJOR", minor="SRQ_ABI_MINOR",
           size="sizeof(struct srq_plugin)", source=None, calls_itself=None,
           oneshot="&oneshot"):
    def run(h):
        cc = (os.environ.get("CC") or "cc").split()
        if shutil.which(cc[0]) is None:
            raise Skip("there is no compiler " + cc[0])
        so = os.path.join(h.plugins, name + ".so")
        c = h.text(name + ".c", PLUGIN % (symbol, oneshot, magic, major, minor, size, calls_itself or name))
        if source is None:
            subprocess.run([*cc, "-std=c17", "-shared", "-fPIC", "-I", os.path.join(TOP, "core/include"), "-o", so, c],
                           check=True)
        else:
            with open(so, "wb") as f:
                f.write(source)
        try:
            untouched(h, lambda: expect(h.ctl("submit", h.good(), "-m", name, "-s", "w4g32", "-o", "out"), REFUSED,
                                        [so, *words]))
            listed = h.json("plugin", "list")
            assert {p["name"] for p in listed["plugins"]} >= {"rtn", "signround"}, listed
            assert len(listed["broken"]) == 1 and so in listed["broken"][0], listed
        finally:
            os.unlink(so)
    add("plugin: " + name, run)


plugin("other-major", ["ABI 99."], major="99")
plugin("newer-minor", ["newer"], minor="SRQ_ABI_MINOR + 1")
plugin("other-magic", ["magic number"], magic="0x12345678")
plugin("other-size", ["8 bytes"], size="8")
plugin("no-symbol", ["no symbol srq_plugin"], symbol="another_name")
plugin("other-name", ["calls itself \"somebody\""], calls_itself="somebody")
plugin("no-parts", ["oneshot, tunable, scorer, allocator, transform or trainer part"], oneshot="0")
plugin("no-object", ["cannot be loaded"], source=b"this is no shared object\n")


# ---- a second user ---------------------------------------------------------------------------------------------------

def other_uid():
    if os.geteuid() != 0:
        raise Skip("becoming another user needs root")
    if shutil.which("setpriv") is None:
        raise Skip("there is no setpriv")
    return OTHER_UID


_other = []


def other_house(h):
    """A daemon for the whole machine, in which root and another user have jobs. Made once."""
    if _other:
        return _other[0]
    o = House()
    os.chmod(o.work, 0o777)
    os.chmod(o.models, 0o755)
    o.text("srqd.conf", "[access]\nsocket_group = *\n")
    o.env["SRQ_RUNTIME_DIR"] = os.path.join(o.top, "workers")
    o.daemon = subprocess.Popen([o.env["SRQ_SRQD"], "--system", "--foreground"], env=o.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=open(os.path.join(o.top, "log"), "wb"))
    until = time.monotonic() + 20
    while o.ctl("daemon", "info").returncode != 0:
        with open(os.path.join(o.top, "log")) as f:
            assert time.monotonic() < until and o.daemon.poll() is None, f.read()
        time.sleep(0.05)
    probe = o.ctl("list", uid=OTHER_UID)
    if probe.returncode != 0:
        o.close()
        raise Skip("another user cannot run the programs here: " + probe.stderr.strip())
    _other.append(o)
    return o


@test
def job_of_another_user_is_neither_seen_nor_changed(h):
    uid = other_uid()
    o = other_house(h)
    job = o.json("submit", o.good(), "-m", "rtn", "-s", "w4g32", "-o", "roots", "--paused")["job"]
    assert o.json("list", "--all", uid=uid)["jobs"] == []
    for verb in ["show"], ["cancel"], ["pause"], ["resume"], ["priority", "--", "-1"], ["delete"], ["log"], ["finish"]:
        p = o.ctl(verb[0], job, *verb[1:], uid=uid)
        assert p.returncode in (NO_JOB, DENIED) and o.work not in p.stdout + p.stderr, (verb, p)
    print("# exit %d: %s" % (p.returncode, p.stderr.strip()))
    assert o.ctl("daemon", "drain", uid=uid).returncode == DENIED
    assert o.json("show", job)["state"] == "paused"
    expect(o.ctl("cancel", job), 0, [])
    expect(o.ctl("delete", job), 0, [])


@test
def job_of_another_user_runs_as_that_user(h):
    uid = other_uid()
    o = other_house(h)
    out = os.path.join(o.work, "theirs")
    expect(o.ctl("submit", o.good(), "-m", "rtn", "-s", "w4g32", "-o", out, "--wait", uid=uid), 0, [])
    assert os.stat(out).st_uid == uid and os.stat(os.path.join(out, FILE)).st_uid == uid
    expect(o.ctl("delete", "@last", uid=uid), 0, [])
    shutil.rmtree(out)


@test
def a_daemon_of_one_user_serves_no_other(h):
    uid = other_uid()
    other_house(h)  # or it is known by now that no other user can run the programs
    os.chmod(h.socket, 0o666)
    p = h.ctl("list", uid=uid)
    os.chmod(h.socket, 0o600)
    expect(p, DENIED, ["serves user 0 only"])


def main():
    names = sys.argv[1:]
    tests = [t for t in TESTS if not names or any(n in t.__name__ for n in names)]
    h = House()
    print("1..%d" % len(tests), flush=True)
    failed = False
    try:
        h.ctl("list")
        p = h.ctl("submit", h.good(), "-m", "rtn", "-s", "w4g32", "-o", "probe", "--dry-run")
        assert p.returncode == 0, p.stderr
        for n, t in enumerate(tests, 1):
            try:
                t(h)
                checker.done()
                print("ok %d - %s" % (n, t.__name__), flush=True)
            except Skip as why:
                print("ok %d - %s # SKIP %s" % (n, t.__name__, why), flush=True)
            except (AssertionError, OSError, KeyError, TypeError, IndexError, EOFError, Refused,
                    subprocess.SubprocessError) as e:
                failed = True
                print("not ok %d - %s\n# %s: %s" % (n, t.__name__, type(e).__name__, str(e).replace("\n", "\n# ")),
                      flush=True)
                h.clear()
    finally:
        for o in _other:
            o.close()
        h.close()
    sys.exit(failed)


main()
