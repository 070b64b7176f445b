#!/usr/bin/env python3
"""A scripted srqd for tests of clients: speaks the protocol, does what its script says, computes nothing.

As a module: FakeSrqd(path, job=…, events=…) serves in threads. As a program (SRQ_SRQD=fake_srqd.py): serves a job that
is done, and writes what it was started with to $SRQ_STATE_DIR/started.json.
"""
import json
import os
import socket
import sys
import threading
import time


class Refusal(Exception):
    def __init__(self, code, field, message):
        super().__init__(message)
        self.body = {"code": -32000, "message": message, "data": {"code": code, "field": field}}


def amounts(n):
    return {"rows": [{"name": "weights", "bytes": n}], "planned_bytes": n}


def summary(job, state, reason=None, last_seq=None):
    """A reply of job.get, complete as the catalogue wants it."""
    return {
        "job": job, "name": None, "owner": "someone", "uid": os.getuid(), "state": state, "reason": reason,
        "priority": 0, "position": None, "model": "/models/m", "method": "signround", "scheme": "w4g128",
        "output": "/models/m-w4", "submitted": 1000.0, "started": 1001.0, "ended": None, "stage": None, "done": None,
        "total": None, "unit": None, "rate": None, "eta_s": None, "before_bytes": 1 << 30, "after_bytes": 1 << 28,
        "average_bits": 4.25, "memory_bytes": 1 << 29, "threads": 2, "pid": None, "restarts": 0,
        "spec": {"model": "/models/m"}, "directory": "/state/jobs/" + job, "memory": amounts(1 << 29),
        "disk": amounts(1 << 20), "estimate_s": 12.0, "warnings": [], "exit_code": None, "signal": None,
        "attached": True, "last_seq": last_seq,
    }


REPORT = {
    "eval": {"before": {"perplexity": 27.44, "kl": None, "top1": None},
             "rtn": {"perplexity": 29.1, "kl": 0.0712, "top1": 0.831},
             "after": {"perplexity": 28.0, "kl": 0.0301, "top1": 0.889}},
    "size": {"before_bytes": 538968064, "after_bytes": 158334976, "average_bits": 4.25},
    "blocks": [{"name": "model.layers.0", "best_iteration": 50}], "finish": None,
    "timing": {"total_s": 192.0},
}


class FakeSrqd:
    """`events`: list of (name, data) that a subscription replays with seq 1…; `live_delay` seconds between them.
    `state`: of the job once all events were sent (before that "running"). `drop_after`: closes every connection once
    after so many events of a subscription, and stays away for `away` seconds. `unsent`: journal lines that job.get counts and no subscription brings.
    `layers`: rows of job.plan; the job is listed then. `warnings`: job.pin is answered, with these."""

    def __init__(self, path, job="7f3a90c1", events=(), state="done", reason=None, live_delay=0.0, drop_after=None,
                 away=0.0, major=1, list_jobs=0, hold=False, unsent=0, layers=None, revision=0,
                 warnings=None):
        self.path, self.job, self.events, self.final, self.reason = path, job, list(events), state, reason
        self.live_delay, self.drop_after, self.away, self.major = live_delay, drop_after, away, major
        self.list_jobs, self.hold, self.unsent = list_jobs, hold, unsent
        self.layers, self.revision, self.warnings = layers, revision, warnings
        self.requests, self.finished, self.closing = [], False, False
        self.lock, self.connections = threading.Lock(), []
        self.listen()

    def listen(self):
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(self.path)
        self.server.listen(8)
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def accept(self, server):
        while True:
            try:
                c, _ = server.accept()
            except OSError:
                return
            with self.lock:
                self.connections.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def close(self):
        self.closing = True
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        with self.lock:
            for c in self.connections:
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.connections = []

    def restart(self):
        """As `daemon stop` and a start `away` seconds later."""
        self.close()
        time.sleep(self.away)
        self.closing = False
        self.listen()

    def send(self, c, message):
        c.sendall((json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())

    def serve(self, c):
        try:
            for line in c.makefile("r", encoding="utf-8"):
                request = json.loads(line)
                self.requests.append((request["method"], request.get("params", {})))
                try:
                    result = self.answer(request["method"], request.get("params", {}))
                    self.send(c, {"id": request["id"], "result": result})
                except Refusal as r:
                    self.send(c, {"id": request["id"], "error": r.body})
                if request["method"] == "events.subscribe" and request["params"].get("job"):
                    threading.Thread(target=self.stream, args=(c, request["params"].get("since_seq", 0)),
                                     daemon=True).start()
        except (OSError, ValueError):
            pass

    def stream(self, c, since):
        try:
            for seq, (name, data) in enumerate(self.events, 1):
                if seq <= since:
                    continue
                if self.drop_after is not None and seq > self.drop_after:
                    self.drop_after = None
                    threading.Thread(target=self.restart, daemon=True).start()
                    return
                self.send(c, {"method": name, "params": {"job": self.job, "seq": seq, "time": 1001.0 + seq, **data}})
                time.sleep(self.live_delay)
            if self.hold:
                return
            self.finished = True
            self.send(c, {"method": "job.state", "params": {
                "job": self.job, "seq": None, "time": 2000.0, "state": self.final, "reason": self.reason}})
        except OSError:
            pass

    def find(self, typed):
        if typed == "@last" or self.job.startswith(typed):
            return self.job
        if typed == "forbidden":
            raise Refusal("permission", "job", "job forbidden belongs to root")
        raise Refusal("not_found", "job", f"no job {typed}")

    def answer(self, method, params):
        if method == "hello":
            return {"major": self.major, "minor": 0, "server": "srqd", "version": "0.1.0", "pid": os.getpid(),
                    "mode": "user", "uid": os.getuid(), "admin": True}
        if method == "daemon.info":
            nothing = {s: 0 for s in ("queued", "starting", "running", "paused", "done", "failed", "canceled")}
            return {"version": "0.1.0", "pid": os.getpid(), "uid": os.getuid(), "mode": "user", "socket": self.path,
                    "state_dir": "/state", "config": None, "worker": "/srq-worker", "started": 1000.0, "uptime_s": 192.0,
                    "draining": False, "refusing": None, "clients": 1, "jobs": nothing | {"done": 2},
                    "limits": {k: None for k in ("max_running", "max_threads", "max_memory_bytes", "user_max_running",
                                                 "user_max_threads", "user_max_memory_bytes", "user_max_queued")},
                    "in_use": {"running": 0, "threads": 0, "memory_bytes": 0}}
        if method == "job.submit":
            if "model" not in params["spec"]:
                raise Refusal("invalid", "model", "\"model\" is missing")
            s = summary(self.job, "queued")
            return {k: s[k] for k in ("job", "state", "reason", "directory", "memory", "disk", "estimate_s", "threads",
                                      "warnings")} | {"size": {"before_bytes": 1 << 30, "after_bytes": 1 << 28,
                                                               "average_bits": 4.25}}
        if method == "job.get":
            job = self.find(params["job"])
            return summary(job, self.final if self.finished else "running", self.reason if self.finished else None,
                           len(self.events) + self.unsent)
        if method == "job.report":
            return {"report": REPORT, "layers": [], "total": 0, "next_offset": None}
        if method == "job.list":
            jobs, at = [f"job{i:03}" for i in range(self.list_jobs)], int(params.get("offset", 0))
            if self.layers is not None:
                jobs.append(self.job)
            keys = [k for k in summary("x", "done") if k not in (
                "spec", "directory", "memory", "disk", "estimate_s", "warnings", "exit_code", "signal", "attached",
                "last_seq")]
            state = self.final if self.finished or self.layers is None else "running"
            page = [{k: summary(j, state)[k] for k in keys} for j in jobs[at:at + 3]]
            return {"jobs": page, "total": len(jobs), "next_offset": at + 3 if at + 3 < len(jobs) else None,
                    "counts": {s: 0 for s in ("queued", "starting", "running", "paused", "done", "failed",
                                              "canceled")}}
        if method == "job.plan" and self.layers is not None:
            self.find(params["job"])
            at = int(params.get("offset", 0))
            return {"revision": self.revision, "layers": self.layers[at:at + 100], "total": len(self.layers),
                    "next_offset": at + 100 if at + 100 < len(self.layers) else None}
        if method == "job.pin" and self.warnings is not None:
            return {"job": self.find(params["job"]), "revision": self.revision, "applied": not params.get("dry_run"),
                    "matched": len(params["pins"]), "changed": len(params["pins"]), "changes": [], "moved": 0,
                    "size": {"before_bytes": 1 << 30, "after_bytes": 1 << 28, "average_bits": 4.5},
                    "size_now": {"before_bytes": 1 << 30, "after_bytes": 1 << 28, "average_bits": 4.25},
                    "forecast": None, "forecast_missing": None, "restarts": None, "retunes": [], "cost_s": None,
                    "options": {"lr": None, "hp_first": None, "hp_last": None},
                    "warnings": self.warnings}
        if method == "events.subscribe":
            if params.get("job"):
                self.find(params["job"])
            return {"subscription": "1"}
        raise Refusal("unsupported", None, f"no method {method}")


def main():
    path = sys.argv[sys.argv.index("--socket") + 1]
    state = os.environ["SRQ_STATE_DIR"]
    with open(os.path.join(state, "started.json"), "a") as f:
        json.dump({"pid": os.getpid(), "environment": sorted(os.environ), "directory": os.getcwd(),
                   "session": os.getsid(0),
                   "descriptors": [os.readlink(f"/proc/self/fd/{n}") for n in sorted(os.listdir("/proc/self/fd"))
                                   if os.path.exists(f"/proc/self/fd/{n}")]}, f)
        f.write("\n")
    if os.environ.get("SRQ_FAKE_DIES"):
        print("fatal: the store is broken", file=sys.stderr)
        sys.exit(1)
    layers = [{"name": f"model.layers.{i}.mlp.down_proj", "block": i, "out": 8, "in": 8, "scheme": "w4g128",
               "source": "default"} for i in range(int(os.environ.get("SRQ_FAKE_LAYERS", "0")))]
    FakeSrqd(path, job="7f3a90c1", list_jobs=int(os.environ.get("SRQ_FAKE_JOBS", "0")), layers=layers or None)
    time.sleep(float(os.environ.get("SRQ_FAKE_LIFE", "30")))
    os.unlink(path)


if __name__ == "__main__":
    main()
