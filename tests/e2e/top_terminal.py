#!/usr/bin/env python3
"""srqtop in a terminal against a scripted daemon: given back on every way out, resized, idle, without a daemon, --once."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests", "lib"))
from fake_srqd import FakeSrqd  # noqa: E402
from srqd_client import wait_until  # noqa: E402
from tmux import Terminal, Timeout  # noqa: E402

TOP = os.environ.get("SRQ_TOP") or os.path.join(os.environ["top_builddir"], "tui", "srqtop", "srqtop")
ENV = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
ENV["LC_ALL"] = "C.UTF-8"
JOB = "7f3a90c1"
SEED = 4
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


def attempt(name, do):
    try:
        seen = do()
        check(name, seen is None or seen is True, seen)
    except (Timeout, subprocess.SubprocessError, OSError, AssertionError) as e:
        check(name, False, repr(e))


def layers(blocks=4):
    modules = ["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj", "mlp.down_proj"]
    return [{"name": f"model.layers.{b}.{m}", "block": b, "module": m, "out": 64, "in": 64, "scheme": "w4g128",
             "source": "default"} for b in range(blocks) for m in modules]


def script(blocks=4, iters=40, running=1):
    """A job whose last `running` blocks are not finished."""
    events = []
    for b in range(blocks - running + (1 if running else 0)):
        names = [x["name"] for x in layers(blocks) if x["block"] == b]
        events.append(("block.begin", {"block": b, "name": f"model.layers.{b}", "layers": names, "iters": iters,
                                       "state": "running"}))
        for i in range(iters):
            events.append(("tune.point", {"block": b, "iter": i, "loss": 0.02 / (i + 1), "lr": 0.005}))
            if i % 10 == 0:
                events.append(("tune.probe", {"block": b, "iter": i, "loss": 0.02 / (i + 1), "best": 0.02 / (i + 1)}))
                events += [("layer.error", {"block": b, "layer": n, "iter": i, "error": 0.01 / (i + 1)}) for n in names]
        if b < blocks - running:
            events.append(("block.end", {"block": b, "name": f"model.layers.{b}", "loss_first": 0.02,
                                         "loss_best": 0.0005, "best_iteration": iters - 1, "elapsed_s": 4.2,
                                         "state": "finished"}))
    events.append(("log", {"level": "warning", "text": "a line for people \u001b[2J"}))
    return events


def once(socket, *args, env=ENV):
    return subprocess.run([TOP, "--socket", socket, "--once", *args], env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


def start(t, socket, *args):
    t.run("clear; " + " ".join([TOP, "--socket", socket, *args]))
    t.until(r"Queue.*Job")
    return t.children()[0]


def shell_is_back(t):
    t.until(r"^@ *$")


def state_of(t):
    """What of the terminal a program can leave behind: modes, screen, cursor, mouse, keypad."""
    return [t.output("stty -a")] + [t.get(n) for n in ("alternate_on", "cursor_flag", "mouse_any_flag", "keypad_flag",
                                                       "keypad_cursor_flag", "insert_flag", "wrap_flag")]


tmp = tempfile.mkdtemp(prefix="srqtop-")
s = os.path.join(tmp, "s")

# ---- --once, without a terminal
r = once(s)
check("--once without a daemon is exit code 3 with the socket named", r.returncode == 3 and s in r.stderr, r)
r = once(s, "--json")
check("with --json the error is JSON on standard output",
      r.returncode == 3 and json.loads(r.stdout)["error"]["code"] == "not_found" and r.stderr == "", r)
fake = FakeSrqd(s, events=script(), layers=layers(), hold=True, list_jobs=4)
r = once(s, "--json", "--job", "7f3a")
known = json.loads(r.stdout) if r.returncode == 0 else {"jobs": []}
job = next((j for j in known["jobs"] if j["job"] == JOB), None)
check("--once --json lists every job and knows the opened one's blocks, layers and curves",
      job is not None and len(known["jobs"]) == 5 and [b["state"] for b in job["blocks"]] ==
      ["finished"] * 3 + ["running"] and len(job["layers"]) == 16 and len(job["blocks"][3]["loss"]) == 40 and
      job["blocks"][0]["loss_best"] == 0.0005 and job["layers"][0]["errors"][-1][0] == 30, r)
check("unknown numbers are null", job is not None and job["eta_s"] is None and job["eval"]["after"]["kl"] is None, r)
r = once(s, "--json", "--job", "nosuch")
check("a job that does not exist is exit code 4", r.returncode == 4 and json.loads(r.stdout)["error"], r)
r = once(s, "--job", "forbidden")
check("a job of somebody else is exit code 5", r.returncode == 5 and "belongs to root" in r.stderr, r)
for w, h in ((80, 24), (40, 10), (200, 60), (1, 1)):
    r = once(s, "--job", "@last", "--width", str(w), "--height", str(h))
    lines = r.stdout.split("\n")
    check(f"--once fits {w} × {h}", r.returncode == 0 and len(lines) <= h + 1 and max(map(len, lines)) <= w, r)
r = once(s, env={**ENV, "COLUMNS": "60", "LINES": "12"})
check("without a terminal COLUMNS and LINES are its size",
      r.returncode == 0 and max(map(len, r.stdout.split("\n"))) <= 60 and r.stdout.count("\n") <= 12, r)
r = once(s, "--ascii", "--job", "@last")
check("--ascii prints ASCII", r.returncode == 0 and r.stdout.isascii() and "model.layers" in r.stdout, r)
r = once(s, "--job", "@last")
check("what is printed has no control characters", re.search("[\x00-\x09\x0b-\x1f\x7f]", r.stdout) is None, r)
r = subprocess.run([TOP, "--socket", s], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
check("without a terminal and without --once it says so", r.returncode == 1 and "--once" in r.stderr, r)
r = subprocess.run([TOP, "--frob"], env=ENV, capture_output=True, text=True, timeout=60)
check("a wrong option is exit code 2", r.returncode == 2 and "--frob" in r.stderr, r)

if not Terminal.there():
    print(f"ok {number + 1} - everything in a terminal # SKIP there is no tmux")
    print(f"1..{number + 1}")
    sys.exit(failed)

with Terminal(tmp, env=ENV) as t:
    before = state_of(t)

    # ---- ways out
    def leaves(*keys):
        def do():
            pid = start(t, s, "--job", "@last")
            t.until(r"model\.layers")
            for k in keys:
                t.keys(k)
            shell_is_back(t)
            after = state_of(t)
            return after == before and not os.path.exists(f"/proc/{pid}") or (before, after)
        return do
    attempt("q gives the terminal back", leaves("q"))
    attempt("Ctrl-C gives the terminal back", leaves("C-c"))
    attempt(":quit gives the terminal back", leaves(":", "q", "u", "i", "t", "Enter"))

    def dies(how):
        def do():
            pid = start(t, s, "--job", "@last")
            t.until(r"model\.layers")
            os.kill(pid, how)
            shell_is_back(t)
            code = t.output("echo code=$?")
            after = state_of(t)
            return after == before and not os.path.exists(f"/proc/{pid}") or (before, after, code)
        return do
    for how in ("TERM", "HUP", "INT", "QUIT", "SEGV", "BUS", "FPE", "ILL", "ABRT", "USR1", "ALRM", "SYS", "XCPU"):
        attempt(f"SIG{how} gives the terminal back", dies(getattr(signal, "SIG" + how)))

    def exit_code():
        pid = start(t, s)
        os.kill(pid, signal.SIGTERM)
        shell_is_back(t)
        t.run("echo code=$?")
        return True if "code=143" in t.until(r"^code=\d+") else t.screen()
    attempt("a signal still shows in the exit code", exit_code)

    def suspended():
        pid = start(t, s, "--job", "@last")
        t.until(r"model\.layers")
        t.keys("C-z")
        shell_is_back(t)
        stopped = state_of(t)
        t.run("fg")
        t.until(r"model\.layers")
        os.kill(pid, signal.SIGTSTP)
        shell_is_back(t)
        again = state_of(t)
        t.run("fg")
        t.until(r"model\.layers")
        t.keys("q")
        shell_is_back(t)
        return stopped == before and again == before or (before, stopped, again)
    attempt("Ctrl-Z and SIGTSTP give the terminal back, fg takes it again", suspended)

    # ---- sizes
    def resized():
        print(f"# seed {SEED}")
        chance = random.Random(SEED)
        pid = start(t, s, "--job", "@last")
        t.until(r"model\.layers")
        for i in range(60):
            t.resize(chance.choice([1, 2, 3, 5, 9, 20, 40, 80, 133, 250]), chance.choice([1, 2, 3, 4, 7, 10, 24, 60, 90]))
            if i % 3 == 0:
                t.keys(chance.choice(["Tab", "Down", "z", "?", "Escape", "Space", "l", "m", "PageDown", "F1", "F2"]))
            if i % 7 == 0:
                time.sleep(0.05)
        assert os.path.exists(f"/proc/{pid}"), "it died"
        t.resize(100, 30)
        t.keys("Escape", "Escape", "F2")
        seen = t.until(r"model\.layers", 10)
        t.keys("q")
        shell_is_back(t)
        return len(seen.rstrip("\n").split("\n")) <= 30 or seen
    attempt("any size at any moment: it lives, and the picture fits in the end", resized)
    t.resize(100, 30)

    # ---- the daemon goes and comes
    def comes_back():
        start(t, s, "--job", "@last")
        t.until(r"39/40")
        before_it = len([m for m, p in fake.requests if m == "events.subscribe" and p.get("job")])
        fake.close()
        t.until("trying again")
        fake.closing = False
        fake.listen()
        t.until("pid %d" % os.getpid(), 15)

        def subscriptions():
            return [p.get("since_seq") for m, p in fake.requests if m == "events.subscribe" and p.get("job")]
        wait_until("the subscription", lambda: len(subscriptions()) > before_it)
        since = subscriptions()
        t.keys("q")
        shell_is_back(t)
        return since[-1] == len(fake.events) or since
    attempt("after the daemon's return it goes on from the last line of the journal", comes_back)
    fake.close()

    def waits():
        start(t, s)
        t.until("no daemon answers at .*")
        t.until("trying again")
        again = FakeSrqd(s, events=script(), layers=layers(), hold=True)
        try:
            t.until("pid %d" % os.getpid(), 15)
        finally:
            t.keys("q")
            shell_is_back(t)
            again.close()
        return True
    attempt("without a daemon it says so, and goes on trying until there is one", waits)

    # ---- at rest
    quiet = FakeSrqd(s, events=script(running=0), layers=layers(), state="done", list_jobs=20)

    def rests():
        pid = start(t, s, "--job", "@last")
        t.until(r"model\.layers")

        def looks():
            return sum(m == "job.list" for m, _ in quiet.requests)

        def wakings():
            with open(f"/proc/{pid}/status") as f:
                return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", f.read(), re.M).group(1))
        counts = []
        for _ in range(2):  # from one look at the list to the next, which is all there is to do
            seen = looks()
            wait_until("the next look", lambda: looks() > seen)
            counts.append(wakings())
        t.keys("q")
        shell_is_back(t)
        print(f"# {counts[1] - counts[0]} times awake for one look at the list")
        return counts[1] - counts[0] < 60 or counts
    attempt("at rest it wakes for its looks at the list and for nothing else", rests)

    # ---- what must not happen by mistake
    def asks_first():
        start(t, s, "--job", "@last")
        t.until(r"model\.layers")
        t.type(":cancel")
        t.keys("Enter")
        t.until(r"cancel job 7f3a90c1.*\(y/n\)")
        t.keys("n")
        t.until("not done")
        assert not [m for m, _ in quiet.requests if m == "job.cancel"], "it was sent"
        t.type(":cancel")
        t.keys("Enter")
        t.until(r"\(y/n\)")
        t.keys("y")
        t.until("no method job.cancel")  # the scripted daemon's refusal
        t.keys("q")
        shell_is_back(t)
        return len([m for m, _ in quiet.requests if m == "job.cancel"]) == 1 or quiet.requests
    attempt("cancel is asked about before it is sent", asks_first)

    def completes():
        start(t, s, "--job", "@last")
        t.until(r"model\.layers")
        t.type(":unp")
        t.keys("Tab")
        t.type("model.layers.2.mlp.u")
        t.keys("Tab")
        seen = t.until(r":unpin model\.layers\.2\.mlp\.up_proj")
        t.keys("Escape", "q")
        shell_is_back(t)
        return True if seen else seen
    attempt("Tab completes verbs and layers", completes)
    quiet.close()

    # ---- pastes, split sequences, edits
    told = ["model.layers.0.mlp.up_proj stays in 16 bits: nothing here holds it", "a second warning"]
    running = FakeSrqd(s, events=script(), layers=layers(), hold=True, warnings=told)

    def sent(dry):
        return [p for m, p in running.requests if m == "job.pin" and bool(p.get("dry_run")) == dry]

    def at_layer(name="model.layers.0.mlp.up_proj", before=""):
        t.run("clear; %s %s --socket %s --job @last" % (before, TOP, s))
        t.until(r"model\.layers")
        t.type("/" + name)
        t.keys("Enter")
        t.until(r"▶.*mlp\.up_proj")

    def paste_is_no_key():
        at_layer()
        t.paste("8\n\nq:quit\n")
        t.until("a paste is no command")
        t.keys("8")
        t.until("1 edit ")
        t.keys("q")
        t.until(r"1 edit not committed.*\(y/n\)")
        t.paste("y\n")
        t.keys("n")
        t.until("the edits stay")
        t.type(":")
        t.paste("dro\np\x1b[A\n")
        t.until(r"^:dro p \[A")
        t.keys("Escape")
        t.keys("q")
        t.until(r"\(y/n\)")
        t.keys("y")
        shell_is_back(t)
        return sent(False) == [] or sent(False)
    attempt("a paste outside of a prompt does nothing, inside it is text, and it answers no question", paste_is_no_key)

    def brackets_are_off():
        t.run("clear; echo rea''dy; cat -v")
        t.until("ready")  # or what is echoed now would be cleared away
        t.paste("pasted\n")
        seen = t.until(r"pasted\s+pasted")  # what was typed, and what cat made of it
        t.keys("C-c")
        shell_is_back(t)
        return "200~" not in seen or seen
    attempt("bracketed paste is off again", brackets_are_off)

    def brackets_are_off_after_a_crash():
        pid = start(t, s, "--job", "@last")
        t.until(r"model\.layers")
        os.kill(pid, signal.SIGSEGV)
        shell_is_back(t)
        return brackets_are_off()
    attempt("also after a crash", brackets_are_off_after_a_crash)

    def split_is_one():
        at_layer(before="ESCDELAY=20000")  # however long a busy machine takes
        t.keys("8")
        t.until("1 edit ")
        t.bytes("\x1b")
        time.sleep(0.2)  # the slow line
        t.bytes("[")
        t.bytes("A")
        seen = t.until(r"▶.*self_attn\.k_proj")
        t.bytes("\x1b[<0;4")
        t.bytes(";1M")  # a click on the first panel's name
        t.until(r"▶ *1 Queue")
        t.keys("q")
        t.until(r"\(y/n\)")
        t.keys("y")
        shell_is_back(t)
        return "1 edit " in seen and "(y/n)" not in seen or seen
    attempt("a sequence that a slow line splits is one key, with the keyboard and with the mouse", split_is_one)

    def warnings_are_shown():
        at_layer()
        t.keys("8")
        seen = t.until("a second warning")
        t.resize(60, 9)
        t.until("2 warnings")
        small = t.until("w: 1 more line")
        t.keys("w")
        small += t.until("a second warning")
        t.resize(100, 30)
        t.keys("Escape")
        t.until(r"drop 1 edit\? \(y/n\)")
        t.keys("y")
        t.keys("q")
        shell_is_back(t)
        return "stays in 16 bits" in seen and "2 warnings" in seen and "second" in small and "holds it" in small or (seen, small)
    attempt("the preview shows every warning, on a small screen too", warnings_are_shown)

    def hidden_stays():
        at_layer()
        t.keys("Space")
        t.type("\\k_proj")
        t.keys("Enter")
        t.until('filter "k_proj"')
        t.keys("8")
        t.until("the filter hides all 1 tagged layers")
        t.type(":retune model.layers.0.*")
        t.keys("Enter")
        t.until(r"retune also reaches 3 layers that the filter hides.*\(y/n\)")
        t.keys("n")
        t.until("retune: not done")
        t.keys("q")
        shell_is_back(t)
        return not [m for m, _ in running.requests if m == "job.retune"] or running.requests
    attempt("nothing is done to what the filter hides unless asked about", hidden_stays)
    running.close()

shutil.rmtree(tmp, ignore_errors=True)
print(f"1..{number}")
sys.exit(failed)
