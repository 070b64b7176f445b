#!/usr/bin/env python3
"""The examples of every srqctl VERB --help, run as they stand by a shell, and the JSON of srq-job(5), parsed.

Files that they name are there, under those names; 3f2a and 77b0 are the beginnings of two jobs that are in the state that the
verb is for, as is the one that @last means."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import BUILD, CALIB, LIMIT_S, SOURCE, Place, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

PLAIN = os.path.join(SOURCE, "tests/reference/unets/plain")
LONG = ["-m", "signround", "--set", "nsamples=2", "--set", "seqlen=32", "--set", "batch=1", "--calib", CALIB]


class Bench(Place):
    """A place with what examples name, and jobs in the states that they want."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.env["HOME"] = self.top
        os.makedirs(self.path("bin"))
        os.makedirs(self.path(".zfunc"))
        os.symlink(os.path.abspath(self.env["SRQ_CTL"]), self.path("bin/srqctl"))
        self.script("deploy", "#!/bin/sh\n")
        self.script("bin/jq", "#!/bin/sh\nexec cat\n")
        self.env["PATH"] = self.path("bin") + ":" + self.env["PATH"]
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), self.path("llama"), "--blocks", "4",
                        "--hidden", "128", "--mlp", "128", "--positions", "64"], check=True)
        with open(CALIB) as f:
            text = f.read(5000)
        for name in ("text.txt", "c.txt", "t.txt"):
            with open(self.path(name), "w") as f:
                f.write(text)
        for name in ("ddpm", "ddpm-w8"):
            shutil.copytree(PLAIN, self.path(name))

    def script(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), 0o755)

    def job(self, *words, method=("-m", "rtn")):
        self.count += 1
        self.last = self.ctl("submit", "llama", "-s", "w4g32", "-o", self.path("out%d" % self.count), *method,
                             *words)["job"]
        return self.last

    def paused(self, *words):
        return self.job("--paused", *words)

    def done(self):
        job = self.job("--set", "nsamples=2", "--set", "seqlen=32", "--set", "signround.iters=2", "--set", "probe_every=1",
                       method=("-m", "signround", "--calib", CALIB))
        self.wait(job)
        return job

    def trained(self):
        """A job that trains a diffusion model, which waits."""
        self.count += 1
        self.last = self.ctl("submit", "ddpm", "-m", "diffusion-qat", "-s", "w8a8", "--paused", "-o",
                             self.path("out%d" % self.count))["job"]
        return self.last

    def canceled(self):
        job = self.paused()
        self.ctl("cancel", job)
        return job

    def queued(self):
        self.ctl("daemon", "drain")
        return self.job()

    def scored(self):
        """Its layers are scored, and it is paused while it tunes them."""
        job = self.job("--budget", "5", "--candidates", "w2g32,w8", "--set", "signround.iters=100000", method=LONG)
        wait_until("the tuning", lambda: self.ctl("show", job)["stage"] == "quantize")
        self.ctl("pause", job)
        wait_until("the pause", lambda: self.ctl("show", job)["state"] == "paused")
        return job

    def run_example(self, line):
        p = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", line], env=self.env, cwd=self.top, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S)
        assert p.returncode == 0, "%s: code %d: %s" % (line, p.returncode, p.stdout.decode(errors="replace")[-2000:])


def every_example_of_help_works():
    wanted = {"show": Bench.done, "watch": Bench.done, "wait": Bench.done, "log": Bench.done, "heatmap": Bench.done,
              "series": Bench.done, "report": Bench.done, "cancel": Bench.paused, "pause": Bench.queued,
              "resume": Bench.paused, "finish": Bench.paused, "priority": Bench.paused, "delete": Bench.canceled,
              "plan": Bench.paused, "pin": Bench.paused, "unpin": Bench.paused, "budget": Bench.scored,
              "retune": Bench.paused, "set": Bench.trained}
    shared = {}  # what an example only looks at serves the next as well
    with Bench() as p:
        for verb in p.ctl("help")["verbs"]:
            make = wanted.get(verb["name"])
            assert len(verb["examples"]) == 2, verb
            for line in verb["examples"]:
                names = re.findall("3f2a|77b0|@last", line)
                if names:
                    assert make, "no job for: " + line
                    for name in names:
                        job = shared.get(make) if make == Bench.done else None
                        if job is None or (name == "@last" and job != p.last):
                            job = make(p)
                        shared[make] = job
                        if name != "@last":
                            line = line.replace(name, job, 1 if "&&" not in line else -1)
                        if "&&" in line:
                            break
                if verb["name"].startswith("daemon "):
                    p.ctl("list")  # the example before may have stopped the daemon, and these start none
                p.run_example(line)
                if verb["name"] == "pause":
                    p.ctl("daemon", "drain", "--off")
        assert os.path.getsize(p.path("report.html")) and os.path.getsize(p.path(".zfunc/_srqctl"))


def blocks_of(page):
    """Literal displays of a page, as a reader sees them."""
    with open(page) as f:
        text = f.read()
    return [re.sub(r"\\e", r"\\", b) for b in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", text, re.M | re.S)]


def quoted_by(page):
    """What .Ql lines of a page say: a word that begins with a quotation mark loses it and its pair, as mdoc reads it."""
    with open(page) as f:
        lines = [line[4:].strip() for line in f if line.startswith(".Ql ")]
    for line in lines:
        words = re.findall(r'(?:^|(?<=\s))"([^"]*)"?|(\S+)', line)
        yield " ".join(a or b for a, b in words if (a or b) not in (",", ".")).replace("\\(dq", '"')


def the_pages_show_json_that_parses():
    seen = 0
    for page in ("srq-job.5", "srqctl.1", "srqd.conf.5", "srq-protocol.7", "srqtop.1"):
        path = os.path.join(BUILD, "man", page)
        for text in [*blocks_of(path), *quoted_by(path)]:
            if not text.lstrip().startswith("{"):
                continue
            seen += 1
            rows = [text] if text.count("\n") == text.strip().count("\n") or "\n  " in text else text.strip().split("\n")
            for row in rows:
                try:
                    json.loads(row)
                except ValueError as e:
                    raise AssertionError("%s: %s in: %s" % (page, e, row)) from e
    assert seen >= 5, seen


if __name__ == "__main__":
    run_tests([every_example_of_help_works, the_pages_show_json_that_parses])
