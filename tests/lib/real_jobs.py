"""The real programs of a build tree in a place of their own, for tests in Python: srqctl, the srqd that it starts, srq-worker."""
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("top_srcdir", os.getcwd())
BUILD = os.environ.get("top_builddir", os.getcwd())
MODEL = os.path.join(SOURCE, "share/models/demo-lm")
CALIB = os.path.join(SOURCE, "share/text/demo-calib.txt")
EVAL = os.path.join(SOURCE, "share/text/demo-eval.txt")


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from message_table import checker  # noqa: E402
from srqd_client import LIMIT_S, wait_until  # noqa: E402,F401


class Failed(Exception):
    """A program ended with another exit code than was wanted; its words are the text."""

    def __init__(self, code, text):
        super().__init__("exit code %d: %s" % (code, text.strip()))
        self.code = code
        self.text = text


class Place:
    """A temporary folder with socket, state and runtime directory. Use with `with`: the end takes everything away."""

    def __init__(self, config=""):
        self.top = tempfile.mkdtemp(prefix="srq-test-")
        self.socket = os.path.join(self.top, "s")
        self.env = dict(
            os.environ,
            SRQ_SRQD=os.path.join(BUILD, "daemon/srqd/srqd"),
            SRQ_WORKER=os.path.join(BUILD, "daemon/srq-worker/srq-worker"),
            SRQ_CTL=os.path.join(BUILD, "tui/srqctl/srqctl"),
            SRQ_PLUGIN_PATH=":".join(glob.glob(os.path.join(BUILD, "plugins/*/.libs"))),
            SRQ_PLUGIN_DIR="/nonexistent",
            SRQ_SOCKET=self.socket,
            SRQ_STATE_DIR=self.path("state"),
            SRQ_RUNTIME_DIR=self.path("run"), SRQ_CACHE_DIR=self.path("cache"),
            SRQ_CONFIG=self.path("srqd.conf"),
            OMP_WAIT_POLICY="passive",
        )
        for name in ("state", "run"):
            os.mkdir(self.path(name), 0o700)
        with open(self.path("srqd.conf"), "w") as f:
            f.write(config)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.env["SRQ_CTL"], "daemon", "stop"], env=self.env, cwd=self.top, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for pid in list(workers(self.top)):
            kill(pid)
        pid = daemon_pid(self.socket)
        if pid:
            kill(pid)
        shutil.rmtree(self.top, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.top, *parts)

    def run(self, *words, code=0):
        """Output and complaints of a program that must end with this exit code."""
        p = subprocess.run(words, env=self.env, cwd=self.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=LIMIT_S)
        out, complaints = p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")
        if p.returncode != code:
            raise Failed(p.returncode, out[-2000:] + complaints[-2000:])
        return out if code == 0 else out + complaints

    def ctl(self, *words):
        """What srqctl answers, from its JSON."""
        return json.loads(self.run(self.env["SRQ_CTL"], *words, "--json"))

    def write_job(self, name, job):
        path = self.path(name + ".json")
        with open(path, "w") as f:
            json.dump(job, f)
        return path

    def submit(self, name, job):
        """Queues `job` with output OUT = name; returns its id."""
        return self.ctl("submit", "--job", self.write_job(name, dict(job, output=self.path(name))))["job"]

    def wait(self, job):
        self.run(self.env["SRQ_CTL"], "wait", job, "--timeout", str(LIMIT_S))

    def job_dir(self, job):
        return self.path("state", "jobs", job)


def demo_job(scheme, formats=("auto_round",), evaluate=False, **options):
    """SignRound on the shipped model. Options' names have _ for the dots of PLUGIN.OPTION as __. Scales are not tuned end to
    end unless `refine` says so: in jobs as short as these that would take longer than all else."""
    options = dict({"refine": 0}, **options)
    job = {"model": MODEL, "method": "signround", "scheme": scheme, "formats": list(formats), "calib": [CALIB],
           "options": {k.replace("__", "."): v for k, v in options.items()}}
    if evaluate:
        job["eval"] = [EVAL]
    return job


def kill(pid, how=signal.SIGKILL):
    try:
        os.kill(pid, how)
        return True
    except ProcessLookupError:
        return False


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def workers(below):
    """{pid: job directory} of the workers whose job directory lies below this folder."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % name, "rb") as f:
                words = f.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "--job" in words and "srq-worker" in os.path.basename(words[0]):
            folder = words[words.index("--job") + 1]
            if folder.startswith(below):
                found[int(name)] = folder
    return found


def has_open(pid, path):
    try:
        return any(os.readlink(fd) == path for fd in map(str, glob.glob("/proc/%d/fd/*" % pid)) if os.path.islink(fd))
    except OSError:
        return False


def daemon_pid(path):
    """The process that listens on a socket; None where nobody does."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(path)
            return struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    except OSError:
        return None


class Journal:
    """A job's journal, read on while it grows. Only whole lines count: a torn tail is the next worker's to cut."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "journal.ndjson")
        self.offset = 0
        self.seq = 0

    def read(self):
        """The lines that came since. Their numbers must go up by one each."""
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self.offset += end
        lines = [json.loads(line) for line in data[:end].splitlines()]
        for line in lines:
            self.seq += 1
            if line["seq"] != self.seq:
                raise AssertionError("journal line %d where %d was due" % (line["seq"], self.seq))
            checker.see(line["event"], params=dict(line["data"], job="j", seq=line["seq"], time=line["time"]))
        checker.done()
        return lines


def events(folder, name):
    return [line["data"] for line in Journal(folder).read() if line["event"] == name]


def files_of(folder):
    """{relative path: content} of an output folder without its report, which holds times."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            relative = os.path.relpath(path, folder)
            if relative != "report.json":
                with open(path, "rb") as f:
                    found[relative] = f.read()
    return found


def differing(a, b):
    """Names of files that two output folders do not have in common, byte for byte."""
    a, b = files_of(a), files_of(b)
    assert a, "an output folder without a file"
    return sorted(name for name in set(a) | set(b) if a.get(name) != b.get(name))


def report(folder):
    with open(os.path.join(folder, "report.json")) as f:
        return json.load(f)


def results_of(folder):
    """What the report says of the result, without times and memory."""
    r = report(folder)
    for block in r["blocks"]:
        del block["elapsed_s"]
    return {k: r[k] for k in ("blocks", "layers", "eval", "size")}
