#!/usr/bin/env python3
"""A path does not last: the runtime folder is taken away (at logout, by a cleaner) and made anew, and everybody still finds
everybody: clients the daemon, the daemon its workers."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, SOURCE, Place, alive, kill, wait_until, workers  # noqa: E402
from srqd_client import run_tests  # noqa: E402


class Login(Place):
    """A user's places by the XDG variables alone, as after a login."""

    def __init__(self):
        super().__init__()
        for name in ("SRQ_SOCKET", "SRQ_STATE_DIR", "SRQ_RUNTIME_DIR", "SRQ_CONFIG"):
            del self.env[name]
        for name, folder in (("XDG_RUNTIME_DIR", "xdg-run"), ("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")):
            self.env[name] = self.path(folder)
            os.makedirs(self.env[name], 0o700, exist_ok=True)
        self.socket = os.path.join(self.env["XDG_RUNTIME_DIR"], "srq", "srqd.sock")

    def logout_and_in(self):
        shutil.rmtree(self.env["XDG_RUNTIME_DIR"])
        os.mkdir(self.env["XDG_RUNTIME_DIR"], 0o700)

    def start_job(self):
        model = self.path("model")
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), model], check=True)
        spec = {"model": model, "method": "signround", "scheme": "w4g32", "calib": [CALIB], "output": self.path("out"),
                "options": {"nsamples": 4, "seqlen": 32, "batch": 2, "threads": 1, "signround.iters": 100000}}
        job = self.ctl("submit", "--job", self.write_job("job", spec))["job"]
        wait_until("its worker", lambda: self.ctl("show", job)["attached"])
        return job

    def daemon(self):
        return self.ctl("daemon", "info")["pid"]

    def folder(self, job):
        return self.ctl("show", job)["directory"]


def control_is_there(folder):
    with open(os.path.join(folder, "control")) as f:
        return os.path.exists(f.read().strip())


def a_daemon_listens_again_where_its_socket_was_taken_away():
    with Login() as p:
        job, pid = p.start_job(), p.daemon()
        p.logout_and_in()
        assert [j["job"] for j in p.ctl("list")["jobs"]] == [job], "the first call after it finds the daemon"
        assert p.daemon() == pid, "and no second one was started"
        assert p.ctl("pause", job)["job"] == job
        wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")


def a_worker_listens_again_and_tells_the_next_daemon_where():
    with Login() as p:
        job, pid = p.start_job(), p.daemon()
        folder, worker = p.folder(job), p.ctl("show", job)["pid"]
        p.logout_and_in()
        os.mkdir(os.path.dirname(p.socket), 0o700)
        wait_until("the worker's socket", lambda: control_is_there(folder))
        kill(pid)
        wait_until("its end", lambda: not alive(pid))
        assert p.ctl("show", job)["pid"] == worker, "the same worker"
        wait_until("the link", lambda: p.ctl("show", job)["attached"])
        p.ctl("pause", job)
        wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")
        assert not alive(worker)


def a_client_with_another_runtime_folder_finds_the_daemon_by_its_lock():
    """As from cron, where $XDG_RUNTIME_DIR is not what it was at login."""
    with Login() as p:
        job, pid = p.start_job(), p.daemon()
        other = p.path("other-run")
        os.mkdir(other, 0o700)
        seen = subprocess.run([p.env["SRQ_CTL"], "list", "--json"], env=dict(p.env, XDG_RUNTIME_DIR=other),
                              capture_output=True, text=True)
        assert [j["job"] for j in json.loads(seen.stdout)["jobs"]] == [job], seen
        assert p.daemon() == pid and len(workers(p.top)) == 1
        kill(pid, signal.SIGTERM)
        wait_until("its end", lambda: not alive(pid))
        seen = subprocess.run([p.env["SRQ_CTL"], "daemon", "info", "--json"], env=dict(p.env, XDG_RUNTIME_DIR=other),
                              capture_output=True, text=True)
        assert seen.returncode == 3, "a lock that nobody holds leads nowhere: %s" % seen


if __name__ == "__main__":
    run_tests([a_daemon_listens_again_where_its_socket_was_taken_away,
               a_worker_listens_again_and_tells_the_next_daemon_where,
               a_client_with_another_runtime_folder_finds_the_daemon_by_its_lock])
