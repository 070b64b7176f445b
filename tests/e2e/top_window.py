#!/usr/bin/env python3
"""What srqtop writes to a terminal beside the picture, byte by byte: synchronized output, progress, notifications, direct
colours. The terminal is the other end of a pseudo-terminal, the daemon a scripted one."""
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from fake_srqd import FakeSrqd  # noqa: E402
from srqd_client import LIMIT_S, run_tests  # noqa: E402

TOP = os.path.join(os.environ.get("top_builddir", "."), "tui/srqtop/srqtop")
JOB = "7f3a90c1"
LAYERS = [{"name": "model.layers.0.q", "block": 0, "module": "q", "out": 8, "in": 8, "scheme": "w4g128", "source": "default"}]
HALF = ("stage.progress", {"stage": "quantize", "done": 1, "total": 2, "unit": "blocks", "elapsed_s": 1, "rate": 1, "eta_s": 1,
                           "detail": None})
DIRECT = r"""srq-direct|xterm with direct colours,
	RGB, use=xterm-256color, colors#0x1000000, pairs#0x7fff, ccc@, initc@,
	setab=\E[%?%p1%{8}%<%t4%p1%d%e48\:2\:\:%p1%{65536}%/%d\:%p1%{256}%/%{255}%&%d\:%p1%{255}%&%d%;m,
	setaf=\E[%?%p1%{8}%<%t3%p1%d%e38\:2\:\:%p1%{65536}%/%d\:%p1%{256}%/%{255}%&%d\:%p1%{255}%&%d%;m,
"""


class Window:
    """srqtop in a terminal of ours."""

    def __init__(self, *words, term="xterm-256color"):
        self.top = tempfile.mkdtemp(prefix="srqtop-")
        self.fake = FakeSrqd(os.path.join(self.top, "s"), job=JOB, events=[HALF], hold=True, layers=LAYERS)
        self.seen = b""
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLORTERM")}
        env.update(TERM=term, LC_ALL="C.UTF-8", TERMINFO_DIRS=self.top + "/terminfo:", SRQ_SOCKET=self.fake.path)
        if term == "srq-direct":
            with open(os.path.join(self.top, "direct.ti"), "w") as f:
                f.write(DIRECT)
            subprocess.run(["tic", "-x", "-o", self.top + "/terminfo", f.name], check=True, stderr=subprocess.DEVNULL)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(TOP, [TOP, "--socket", self.fake.path, "--job", JOB, *words], env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        os.close(self.terminal)
        self.fake.close()
        shutil.rmtree(self.top, ignore_errors=True)

    def type(self, data):
        os.write(self.terminal, data)

    def until(self, part):
        """Reads on until `part` was written."""
        end = time.monotonic() + min(LIMIT_S, 60)
        while part not in self.seen:
            assert time.monotonic() < end, (part, self.seen[-2000:])
            if select.select([self.terminal], [], [], 1)[0]:
                self.seen += os.read(self.terminal, 65536)
        return self.seen

    def end_job(self):
        self.fake.finished = True
        with self.fake.lock:
            for c in self.fake.connections:
                try:
                    self.fake.send(c, {"method": "job.state", "params": {"job": JOB, "seq": None, "time": 2000.0, "state": "done",
                                                                         "reason": None}})
                except OSError:
                    pass


def pictures_are_synchronized_where_the_terminal_says_it_can():
    with Window() as w:
        w.until(b"\033[?2026$p")
        w.until(b"quantize")
        assert b"\033[?2026h" not in w.seen, w.seen  # not before it was said
        w.type(b"\033[?2026;2$y")
        w.type(b"?")
        w.until(b"\033[?2026h")
        at = w.seen.index(b"\033[?2026h")
        w.until(b"freeze the picture")
        w.type(b"q")
        w.type(b"q")
        w.until(b"\033[?2004l")
        rest = w.seen[at:]
        assert rest.count(b"\033[?2026l") >= rest.count(b"\033[?2026h"), rest


def a_terminal_that_says_no_gets_none():
    with Window() as w:
        w.until(b"\033[?2026$p")
        w.type(b"\033[?2026;0$y")
        w.until(b"quantize")  # the job is found, which shows its panel
        w.type(b"?")
        w.until(b"freeze the picture")
        w.type(b"q")
        w.until(b"\033[?2004l")
        assert b"\033[?2026h" not in w.seen, w.seen


def progress_and_the_end_are_told_on_request():
    with Window("--progress", "--notify") as w:
        w.until(b"\033]9;4;1;50\033\\")
        assert b"\a" not in w.seen
        w.end_job()
        w.until(b"\a\033]9;srqtop: " + JOB.encode() + b" done\033\\")
        w.until(b"\033]9;4;0\033\\")


def nothing_is_told_without_a_request():
    with Window() as w:
        w.until(b"quantize")
        w.end_job()
        w.until(b"done")
        w.type(b"q")
        w.until(b"\033[?2004l")
        assert b"\033]9;" not in w.seen and b"\a" not in w.seen, w.seen


def colours_are_right_where_their_numbers_are_direct():
    if not shutil.which("tic"):
        return "there is no tic"
    with Window(term="srq-direct") as w:
        seen = w.until(b"quantize")
        # the tab that is shown: 16 on 117 of the 256 colours, that is black on 135, 215, 255
        assert b"48:2::135:215:255" in seen, seen
        # the bar of keys: 250 on 236
        assert b"38:2::188:188:188" in seen and b"48:2::48:48:48" in seen, seen
        assert b":0:0:117" not in seen and b":0:0:250" not in seen, seen
    return None


if __name__ == "__main__":
    run_tests([pictures_are_synchronized_where_the_terminal_says_it_can, a_terminal_that_says_no_gets_none,
               progress_and_the_end_are_told_on_request, nothing_is_told_without_a_request,
               colours_are_right_where_their_numbers_are_direct])
