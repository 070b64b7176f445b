#!/usr/bin/env python3
"""srqctl against a scripted daemon: exit codes, plain lines on a pipe, one line on a terminal, Ctrl-C, a restart."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests", "lib"))
from fake_srqd import FakeSrqd  # noqa: E402

CTL = os.environ.get("SRQ_CTL") or os.path.join(os.environ["top_builddir"], "tui", "srqctl", "srqctl")
ENV = {**os.environ, "LC_ALL": "C.UTF-8"}
JOB = "7f3a90c1"
number = 0
failed = False


def check(name, condition, seen=""):
    global number, failed
    number += 1
    print(f"{'ok' if condition else 'not ok'} {number} - {name}")
    if not condition:
        failed = True
        for line in str(seen).splitlines():
            print("#", line)
    sys.stdout.flush()


def run(socket, *args, timeout=60):
    return subprocess.run([CTL, "--socket", socket, *args], env=ENV, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout)


def stage(name, done, total, unit="blocks", elapsed=1.0):
    return ("stage.progress", {"stage": name, "done": done, "total": total, "unit": unit, "elapsed_s": elapsed,
                               "rate": 2.0, "eta_s": 30.0, "detail": None})


def script(blocks=3, iters=20):
    events = [("job.state", {"state": "running", "reason": None}), stage("calibrate", 1, 1, "files")]
    for b in range(blocks):
        events.append(stage("quantize", b, blocks))
        events.append(("block.begin", {"block": b, "name": f"model.layers.{b}", "layers": [], "iters": iters}))
        for i in range(iters):
            events.append(("tune.point", {"block": b, "iter": i, "loss": 0.02 - i / 2000, "lr": 0.005}))
            if i % 10 == 0:
                events.append(("tune.probe", {"block": b, "iter": i, "loss": 0.0123 - i / 5000,
                                              "best": 0.0123 - i / 5000}))
        events.append(("block.end", {"block": b, "name": f"model.layers.{b}", "loss_first": 0.0123,
                                     "loss_best": 0.0103, "best_iteration": 10, "elapsed_s": 4.2}))
    events.append(("eval.result", {"which": "after", "perplexity": 28.0, "kl": 0.0301, "top1": 0.889,
                                   "tokens": 4096}))
    return events


class Terminal:
    """srqctl on a pseudo-terminal of its own."""

    def __init__(self, socket, *args, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(CTL, [CTL, "--socket", socket, *args], ENV)
        self.text = b""
        self.resize(columns)

    def resize(self, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self, until=None, timeout=20.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if until is not None and until in self.text:
                return True
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    return until is None
                self.text += data
        return False

    def exit_code(self):
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


tmp = tempfile.mkdtemp(prefix="srqctl-")
paths = (os.path.join(tmp, f"{i}.sock") for i in range(100))

# ---- exit codes
s = next(paths)
r = run(s, "daemon", "info")
check("no daemon is exit code 3 with its socket named", r.returncode == 3 and s in r.stderr and r.stdout == "", r)
r = run(s, "daemon", "info", "--json")
check("with --json the error is JSON on standard output with the same exit code",
      r.returncode == 3 and json.loads(r.stdout)["error"]["code"] == "not_found" and r.stderr == "", r)

s = next(paths)
fake = FakeSrqd(s, events=script())
r = run(s, "show", "nosuch")
check("no such job is exit code 4", r.returncode == 4 and r.stderr == "srqctl: no job nosuch\n", r)
r = run(s, "show", "forbidden", "--json")
check("a job of somebody else is exit code 5, its field in the JSON",
      r.returncode == 5 and json.loads(r.stdout) == {"error": {"code": "permission", "field": "job",
                                                               "message": "job forbidden belongs to root"}}, r)
r = run(s, "shwo", "x")
check("an unknown verb is exit code 2 and the near one is named",
      r.returncode == 2 and "did you mean show?" in r.stderr, r)
r = run(s, "submit", "--json", "m", "--set", "x")
check("an option that does not parse is exit code 2, as JSON too",
      r.returncode == 2 and json.loads(r.stdout)["error"]["field"] == "set", r)

# ---- pipes
r = run(s, "watch", "7f3a")
lines = r.stdout.splitlines()
check("watch on a pipe prints a line for each state, stage, block and measurement, then the table",
      r.returncode == 0 and lines[0] == "running" and
      [x for x in lines if x.startswith("block ")] == [
          f"block {b + 1} model.layers.{b}: loss 0.0123 → 0.0103 at iteration 10, 4.20s" for b in range(3)] and
      "tuned model: perplexity 28.0, KL 0.0301, top-1 88.9 % on 4096 tokens" in lines and
      lines[-1] == "time 3m12s, output /models/m-w4", r)
check("what goes to a pipe has no control characters", re.search("[\x00-\x09\x0b-\x1f]", r.stdout) is None, r)
r = run(s, "watch", "@last", "--json")
events = [json.loads(x) for x in r.stdout.splitlines()]
check("watch --json prints every event once, in order",
      [e["seq"] for e in events if e["seq"] is not None] == list(range(1, len(fake.events) + 1)) and
      events[-1]["state"] == "done", r)
r = run(s, "submit", "m", "-o", os.path.join(tmp, "o"), "--wait", "--json")
check("submit --wait --json prints one object with the job and its report",
      r.returncode == 0 and json.loads(r.stdout)["job"] == JOB and
      json.loads(r.stdout)["report"]["eval"]["after"]["perplexity"] == 28.0, r)
spec = [p["spec"] for m, p in fake.requests if m == "job.submit"][-1]
check("submit sends absolute paths", spec == {"model": os.path.join(os.getcwd(), "m"),
                                              "output": os.path.join(tmp, "o")}, spec)
fake.close()

s = next(paths)
fake = FakeSrqd(s, events=script(1), unsent=3)
r = run(s, "watch", JOB)
check("last events that never come do not keep watch from its end",
      r.returncode == 0 and r.stdout.splitlines()[-1] == "time 3m12s, output /models/m-w4", r)
fake.close()

# ---- how it ended
s = next(paths)
fake = FakeSrqd(s, events=script(1), state="failed", reason="three deaths: signal 9")
r = run(s, "wait", JOB)
check("wait on a job that fails is exit code 7 with the reason",
      r.returncode == 7 and "failed: three deaths: signal 9" in r.stderr, r)
r = run(s, "wait", JOB, "--json")
check("wait --json prints the job and keeps the exit code",
      r.returncode == 7 and json.loads(r.stdout)["state"] == "failed", r)
fake.close()
s = next(paths)
fake = FakeSrqd(s, events=script(1), state="canceled")
r = run(s, "watch", JOB)
check("a canceled job is exit code 7", r.returncode == 7 and "was canceled" in r.stderr, r)
fake.close()
s = next(paths)
fake = FakeSrqd(s, events=script(1), hold=True)
started = time.monotonic()
r = run(s, "wait", JOB, "--timeout", "0.6")
check("wait --timeout gives up with exit code 6", r.returncode == 6 and time.monotonic() - started < 20, r)

# ---- Ctrl-C
for args in (["watch", JOB], ["submit", "m", "-o", "o", "--wait"], ["wait", JOB]):
    fake.requests.clear()
    p = subprocess.Popen([CTL, "--socket", s, *args], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    while p.poll() is None and not any(m == "events.subscribe" for m, _ in fake.requests):
        time.sleep(0.02)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    check(f"Ctrl-C in {args[0]} says how to return and exits 130, the job untouched",
          p.returncode == 130 and f"srqctl watch {JOB}" in err and
          not any(m in ("job.cancel", "job.pause") for m, _ in fake.requests), (p.returncode, out, err))
fake.close()

# ---- a terminal
s = next(paths)
fake = FakeSrqd(s, events=script(3, 40), live_delay=0.05)
t = Terminal(s, "watch", JOB)
t.read(until=b"loss 0.0123")
t.resize(40)
mark = len(t.text)
t.read()
code = t.exit_code()
text = t.text.decode()
redraws = re.findall("\r([^\r\n]*)\033\\[K", text)
check("a terminal shows one line redrawn in place with stage, block, iteration and losses",
      code == 0 and any("quantize  block " in x and "/3 " in x and "iteration" in x and "loss 0.0123 → " in x
                        for x in redraws), text)
check("the line follows the terminal's width",
      max(map(len, re.findall("\r([^\r\n]*)\033\\[K", t.text[:mark].decode(errors="replace"))), default=0) > 40 and
      max(map(len, re.findall("\r([^\r\n]*)\033\\[K", t.text[mark + 200:].decode(errors="replace"))), default=99) <= 39,
      text)
check("blocks scroll no lines past on a terminal; the table is there at the end",
      "block 1 " not in text and "perplexity              27.4     29.1     28.0" in text, text)
check("no colour is written", re.search("\033\\[[0-9;]*m", text) is None, text)
fake.close()
s = next(paths)
fake = FakeSrqd(s, events=script(1), hold=True)
t = Terminal(s, "watch", JOB)
t.read(until=b"quantize")
os.write(t.fd, b"\003")
t.read()
code = t.exit_code()
check("Ctrl-C on a terminal clears the line and exits 130",
      code == 130 and b"\r\033[K" in t.text and f"srqctl watch {JOB}".encode() in t.text, (code, t.text))
fake.close()

# ---- a daemon that restarts in the middle
s = next(paths)
fake = FakeSrqd(s, events=script(), drop_after=30, away=1.0)
r = run(s, "watch", JOB, "--json")
seqs = [json.loads(x)["seq"] for x in r.stdout.splitlines()]
since = [p["since_seq"] for m, p in fake.requests if m == "events.subscribe"]
check("watch survives a restart of the daemon: it subscribes again from the last event that it saw",
      r.returncode == 0 and since == [0, 30], (since, r))
check("and prints no event twice and none is missing",
      [q for q in seqs if q is not None] == list(range(1, len(fake.events) + 1)), r)
fake.close()

# ---- pages and hostile daemons
s = next(paths)
fake = FakeSrqd(s, list_jobs=8)
r = run(s, "list", "--json")
check("list joins the pages of the answer",
      [j["job"] for j in json.loads(r.stdout)["jobs"]] == [f"job{i:03}" for i in range(8)] and
      "next_offset" not in json.loads(r.stdout), r)
r = run(s, "list")
check("list for people is a table of all of them", r.stdout.splitlines()[0].split()[:2] == ["job", "state"] and
      len(r.stdout.splitlines()) == 9, r)
fake.close()
s = next(paths)
fake = FakeSrqd(s, major=9)
r = run(s, "list")
check("a daemon of another protocol is exit code 3 with a clear sentence",
      r.returncode == 3 and "speaks another protocol than 1." in r.stderr, r)
fake.close()
for name, data in {"garbage": b"\xff\xfe{]\n", "an endless line": b"x" * (3 << 20), "silence and a close": b"",
                   "a reply without members": b'{"jsonrpc":"2.0","id":"1","result":{}}\n'}.items():
    s = next(paths)
    server = FakeSrqd(s)

    def talk(c, data=data):
        try:
            c.recv(65536)
            c.sendall(data)
        except OSError:
            pass
        c.close()

    server.serve = talk
    r = run(s, "list", "--json")
    check(f"a daemon that answers {name} is refused with exit code 3",
          r.returncode == 3 and json.loads(r.stdout)["error"]["message"] != "", r)
    server.close()

subprocess.run(["rm", "-rf", tmp], check=True)
print(f"1..{number}")
sys.exit(1 if failed else 0)
