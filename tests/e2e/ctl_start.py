#!/usr/bin/env python3
"""srqctl starts a daemon when none answers: at once, once, without its descriptors and with little of its environment."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

LIB = os.path.join(os.environ["top_srcdir"], "tests", "lib")
CTL = os.environ.get("SRQ_CTL") or os.path.join(os.environ["top_builddir"], "tui", "srqctl", "srqctl")
number = 0
failed = False
pids = []
places = []


def check(name, condition, seen=""):
    global number, failed
    number += 1
    print(f"{'ok' if condition else 'not ok'} {number} - {name}")
    if not condition:
        failed = True
        for line in str(seen).splitlines():
            print("#", line)
    sys.stdout.flush()


def place(**more):
    """A fresh place and its environment."""
    tmp = tempfile.mkdtemp(prefix="srqctl-")
    places.append(tmp)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SRQ_", "XDG_"))}
    env |= {"SRQ_SRQD": os.path.join(LIB, "fake_srqd.py"), "SRQ_STATE_DIR": tmp, "SRQ_SOCKET": tmp + "/s",
            "SECRET_TOKEN": "x", "SRQ_FAKE_LIFE": "20", **more}
    return tmp, {k: v for k, v in env.items() if v is not None}


def started(tmp):
    try:
        with open(os.path.join(tmp, "started.json")) as f:
            found = [json.loads(line) for line in f]
    except FileNotFoundError:
        return []
    pids.extend(d["pid"] for d in found)
    return found


tmp, env = place()
with open(os.path.join(tmp, "held"), "w") as held:
    before = time.monotonic()
    # As $(…) does: the call ends when nobody holds the pipe any more, and the daemon must not.
    r = subprocess.run([CTL, "submit", "m", "-o", "o", "--json"], env=env, capture_output=True, text=True, timeout=60,
                       pass_fds=[held.fileno()])
    took = time.monotonic() - before
check("$(srqctl submit --json) returns while the daemon that it started lives on",
      r.returncode == 0 and took < 15 and json.loads(r.stdout)["job"] == "7f3a90c1", (took, r))
d = started(tmp)
check("one daemon was started, in a session of its own and in /",
      len(d) == 1 and d[0]["directory"] == "/" and d[0]["session"] == d[0]["pid"], d)
check("it has none of our descriptors", d and all(
    x.startswith("/dev/null") or x.endswith("/srqd.log") or x.endswith("/started.json") or x.startswith("/proc/") or
    "fake_srqd.py" in x for x in d[0]["descriptors"]), d)
check("and nothing of our environment but what it may know",
      d and "SECRET_TOKEN" not in d[0]["environment"] and "SRQ_STATE_DIR" in d[0]["environment"] and
      "PATH" in d[0]["environment"], d)
r = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True, timeout=60)
check("the next verb uses it", r.returncode == 0 and len(started(tmp)) == 1, r)

tmp, env = place()
many = [subprocess.Popen([CTL, "list", "--json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)]
done = [(p.communicate(timeout=60), p.returncode) for p in many]
check("eight at once start one daemon", all(code == 0 for _, code in done) and len(started(tmp)) == 1, done)



def hanging_up(path, times):
    """A listener that hangs up on `times` clients, as a daemon that ends, and is gone then (None: never)."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(8)

    def accept():
        n = 0
        while times is None or n < times:
            try:
                server.accept()[0].close()
            except OSError:
                return
            n += 1
        os.unlink(path)
        server.close()

    threading.Thread(target=accept, daemon=True).start()


tmp, env = place()
hanging_up(tmp + "/s", 2)
r = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True, timeout=60)
check("who comes while a daemon ends gets the next one", r.returncode == 0 and len(started(tmp)) == 1, r)

tmp, env = place()
hanging_up(tmp + "/s", None)
r = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True, timeout=60)
check("one that hangs up for ever is exit code 3 and named",
      r.returncode == 3 and f"lost the daemon at {tmp}/s: " in r.stderr, r)

tmp, env = place()
r = subprocess.run([CTL, "daemon", "info"], env=env, capture_output=True, text=True, timeout=60)
check("daemon info starts none", r.returncode == 3 and started(tmp) == [], r)

tmp, env = place(SRQ_FAKE_DIES="1")
r = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True, timeout=60)
check("a daemon that dies at its start is exit code 3 with its last words and its log",
      r.returncode == 3 and "fatal: the store is broken" in r.stderr and "srqd.log" in r.stderr, r)
started(tmp)

tmp, env = place(SRQ_SRQD="/nonexistent/srqd")
r = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True, timeout=60)
check("a daemon that is not installed is named", r.returncode == 3 and "/nonexistent/srqd" in r.stderr, r)

tmp, env = place(SRQ_SOCKET=None)
env["XDG_RUNTIME_DIR"] = tmp
r = subprocess.run([CTL, "--user", "list"], env=env, capture_output=True, text=True, timeout=60)
mode = os.stat(os.path.join(tmp, "srq")).st_mode & 0o777 if os.path.exists(os.path.join(tmp, "srq")) else None
check("without SRQ_SOCKET the socket is in a private folder of the runtime directory",
      r.returncode == 0 and mode == 0o700 and os.path.exists(os.path.join(tmp, "srq", "srqd.sock")), (mode, r))
started(tmp)

tmp, env = place(SRQ_SOCKET=None)
env["XDG_RUNTIME_DIR"] = tmp
os.mkdir(os.path.join(tmp, "srq"))
os.chmod(os.path.join(tmp, "srq"), 0o777)
r = subprocess.run([CTL, "--user", "list"], env=env, capture_output=True, text=True, timeout=60)
check("a folder that others may write is refused with exit code 5",
      r.returncode == 5 and "is open to others" in r.stderr and started(tmp) == [], r)

tmp, env = place(SRQ_SOCKET="/tmp/" + "x" * 120)
r = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True, timeout=60)
check("a socket path that is too long is refused with its length", r.returncode == 3 and "107 bytes" in r.stderr, r)

tmp, env = place(SRQ_SOCKET=None)
env.pop("SRQ_SOCKET", None)
env.pop("SRQ_STATE_DIR", None)
env.update(XDG_RUNTIME_DIR="there", XDG_STATE_HOME="there")
r = subprocess.run([CTL, "--user", "doctor"], env=env, capture_output=True, text=True, timeout=60, cwd=tmp)
check("folders of the environment that are not absolute are ignored", "there/srq" not in r.stdout + r.stderr and
      f"/tmp/srq-{os.getuid()}/srqd.sock" in r.stdout + r.stderr, r)

gone = tmp + "/gone"
for words in (["submit", "m", "-o", "out"], ["inspect", "m"], ["eval", "m", "--eval", "t"], ["sample", "m"]):
    os.mkdir(gone)
    r = subprocess.run(["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", gone, CTL] + words, env=env,
                       capture_output=True, text=True, timeout=60)
    check(f"a lost working directory is called that by {words[0]}",
          "cannot tell where m is: the working directory was removed" in r.stderr, r)

for pid in set(pids):
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
for tmp in places:
    shutil.rmtree(tmp, ignore_errors=True)
print(f"1..{number}")
sys.exit(1 if failed else 0)
