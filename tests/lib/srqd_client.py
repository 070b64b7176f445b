"""A daemon under test and a plain client of its socket, written against the protocol's description only."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LIMIT_S = float(os.environ.get("SRQ_TEST_TIMEOUT_S", "600"))  # for anything that a test waits for

try:
    from message_table import checker
except ImportError:  # as another user, who has only this file
    checker = None


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["data"]["code"]
        self.field = error["data"]["field"]
        self.text = error["message"]


class Client:
    def __init__(self, path, hello=True, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        until = time.monotonic() + timeout
        while True:
            try:
                self.sock.connect(path)
                break
            except BlockingIOError:  # the backlog is full
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
        self.buffer = b""
        self.events = []
        self.next_id = 0
        if hello:
            self.info = self.call("hello", major=1, minor=0, client="test")

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def read_message(self):
        """The next frame; None at the end of the stream."""
        while b"\n" not in self.buffer:
            chunk = self.sock.recv(65536)
            if not chunk:
                return None
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        message = json.loads(line)
        if checker and "method" in message:
            checker.see(message["method"], params=message["params"])
        return message

    def call(self, method, **params):
        self.next_id += 1
        wanted = str(self.next_id)
        request = {"jsonrpc": "2.0", "id": wanted, "method": method, "params": params}
        self.send_raw(json.dumps(request).encode() + b"\n")
        while True:
            message = self.read_message()
            if message is None:
                raise EOFError("connection closed during " + method)
            if "method" in message:
                self.events.append(message)
            elif message["id"] == wanted:
                if "error" in message:
                    raise Refused(message["error"])
                if checker:
                    checker.see(method, result=message["result"])
                return message["result"]
            elif message["id"] is None:
                raise Refused(message["error"])

    def event(self):
        return self.events.pop(0) if self.events else self.read_message()

    def wait_event(self, name, timeout=20, **members):
        """The next event of that name with these members."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            message = self.event()
            if message is None:
                raise EOFError("connection closed")
            if message["method"] == name and all(message["params"].get(k) == v for k, v in members.items()):
                return message["params"]
        raise TimeoutError("no %s %s" % (name, members))


class Daemon:
    """One srqd in directories of its own."""

    def __init__(self, config="", worker=None, args=(), env=None):
        self.top = tempfile.mkdtemp(prefix="srqd-test-")
        os.chmod(self.top, 0o755)
        self.socket = os.path.join(self.top, "s")
        self.state = os.path.join(self.top, "state")
        self.runtime = os.path.join(self.top, "run")
        self.config = os.path.join(self.top, "srqd.conf")
        self.args = list(args)
        self.process = None
        build = os.environ.get("top_builddir", os.getcwd())
        self.program = os.environ.get("SRQ_SRQD", os.path.join(build, "daemon/srqd/srqd"))
        self.worker = worker or os.path.join(build, "tests/lib/fake_worker")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SRQ_")}
        self.env.update(SRQ_WORKER=self.worker, SRQ_RUNTIME_DIR=self.runtime,
                        SRQ_CACHE_DIR=os.path.join(self.runtime, "cache"))
        self.env.update(env or {})
        self.configure(config)

    def configure(self, text):
        with open(self.config, "w") as f:
            f.write(text)

    def start(self):
        self.log = open(os.path.join(self.top, "log"), "ab")
        self.process = subprocess.Popen(
            [self.program, "--foreground", "--socket", self.socket, "--state-dir", self.state]
            + (["--config", self.config] if self.config else []) + self.args, env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        until = time.monotonic() + 20
        while True:
            try:
                self.client().close()
                return self
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError("srqd did not come up:\n" + self.read_log())
                time.sleep(0.02)

    def client(self, **kw):
        return Client(self.socket, **kw)

    def read_log(self):
        with open(os.path.join(self.top, "log"), errors="replace") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.terminate()
        return self.process.wait(timeout=20)

    def stop(self):
        """Ends the daemon and every worker it has, and removes the directories."""
        try:
            if self.process.poll() is None:
                c = self.client()
                for job in c.call("job.list", all=True)["jobs"]:
                    if job["pid"]:
                        try:
                            os.kill(job["pid"], signal.SIGKILL)
                        except OSError:
                            pass
                self.process.kill()
                self.process.wait()
        except (OSError, EOFError):
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.top, ignore_errors=True)


def spec(top, name="out", **options):
    return {"model": "/", "output": os.path.join(top, name),
            "options": {"fake." + k: v for k, v in options.items()}}


def wait_state(client, job, *states, timeout=20):
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        got = client.call("job.get", job=job)
        if got["state"] in states:
            return got
        time.sleep(0.02)
    raise TimeoutError("job %s is %s (%s), not %s" % (job, got["state"], got["reason"], states))


def wait_until(what, condition, timeout=LIMIT_S, pause=0.02):
    """What the condition gives once it is true."""
    until = time.monotonic() + timeout
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > until:
            raise TimeoutError("waited %g s for %s" % (timeout, what))
        time.sleep(pause)


def goes_on(d, job, points=1):
    """Waits for that many points that the job tunes from now on; the second tells that the first is in a checkpoint, where
    each step has one."""
    c = d.client(timeout=60)
    c.call("events.subscribe", job=job, events=["tune.point"])
    for _ in range(points):
        c.wait_event("tune.point", timeout=60)
    c.close()


def journal_lines(d, job):
    with open(os.path.join(d.state, "jobs", job, "journal.ndjson"), "rb") as f:
        return f.read().count(b"\n")


def children(pid, word):
    """Processes that `pid` started, with `word` among their arguments."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            with open("/proc/%s/cmdline" % name, "rb") as f:
                words = f.read().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid and word.encode() in words:
            found.append(int(name))
    return found


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


FAST = "[restart]\npauses_s = 0.05 0.1 0.2\n"


def with_daemon(config=FAST, start=True, **kw):
    """Runs a test with a daemon of its own, and shows its log when the test fails."""
    def wrap(fn):
        def test():
            d = Daemon(config, **kw)
            try:
                if start:
                    d.start()
                return fn(d)
            except BaseException:
                if os.path.exists(os.path.join(d.top, "log")):
                    print("".join("# log: " + l + "\n" for l in d.read_log().splitlines()[-40:]), end="")
                raise
            finally:
                if d.process is not None:
                    d.stop()
                shutil.rmtree(d.top, ignore_errors=True)
        test.__name__ = fn.__name__
        return test
    return wrap


def refused(client, code, part, method, /, **params):
    """Calls what must be refused with this code and these words; the refusal."""
    try:
        client.call(method, **params)
    except Refused as e:
        assert e.code == code and part in e.text, "got %s: %s" % (e.code, e.text)
        return e
    raise AssertionError("%s was not refused" % method)


def as_user(uid, code, d, *args):
    """Runs Python code as another user with a connected client `c`; its printed JSON."""
    # The other user may not be able to read our tree: the library travels on the command line.
    with open(__file__) as f:
        source = f.read()
    full = source + "\nimport sys, json\nc = Client(sys.argv[1])\n" + code
    out = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-c",
                          full, d.socket] + list(args), cwd="/", capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout.splitlines()[-1])


def second_user():
    """(uid, None), or (None, why there is none)."""
    if os.geteuid() != 0:
        return None, "needs root to become a second user"
    if shutil.which("setpriv") is None:
        return None, "needs setpriv"
    import pwd
    try:
        uid = pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return None, "there is no user nobody"
    tried = subprocess.run(["setpriv", "--reuid", str(uid), "--clear-groups", sys.executable, "-c", ""], cwd="/",
                           capture_output=True)
    return (uid, None) if tried.returncode == 0 else (None, "another user cannot run " + sys.executable)


def program_for_all(d):
    """The stand-in worker, its libraries resolved, where every user may execute it."""
    build = os.environ.get("top_builddir", ".")
    copy = os.path.join(d.top, "worker")
    real = os.path.join(build, "tests/lib/.libs/fake_worker")
    shutil.copy(real if os.path.exists(real) else os.path.join(build, "tests/lib/fake_worker"), copy)
    os.chmod(copy, 0o755)
    d.env["SRQ_WORKER"] = copy


def run_tests(tests):
    """TAP for functions named by what they show. One that returns a string was skipped for that reason."""
    names = sys.argv[1:]
    tests = [t for t in tests if not names or t.__name__ in names]
    print("1..%d" % len(tests), flush=True)
    failed = False
    for n, test in enumerate(tests, 1):
        begun = time.monotonic()
        try:
            reason = test()
            if checker:
                checker.done()
            print("ok %d - %s%s" % (n, test.__name__, " # SKIP " + reason if reason else ""), flush=True)
        except BaseException as e:
            failed = True
            import traceback
            print("not ok %d - %s" % (n, test.__name__))
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
            if isinstance(e, KeyboardInterrupt):
                break
        finally:
            print("# that took %.1f s" % (time.monotonic() - begun), flush=True)
    sys.exit(failed)
