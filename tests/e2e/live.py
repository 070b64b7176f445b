#!/usr/bin/env python3
"""The plan of a job is changed while its worker runs: pending, running and finished layers, by name, glob and expression.

The worker is driven over its own control socket, and killed (SIGKILL) in the windows that matter: a change already on disk,
a block that begins again, one that is held, one that is tuned again. The same changes at the same places give the same
bytes, and the exported model has exactly the bits that were asked for."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, EVAL, SOURCE, Failed, Journal, Place, alive, differing, events, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors  # noqa: E402

BLOCKS = 5
ITERS = int(os.environ.get("SRQ_LIVE_ITERS", "150"))
RUNS_MAX = 5  # a change that came too late for its block on a busy machine: once more
LONGER_MAX = 4  # and then with blocks of twice the iterations


class Missed(Exception):
    """The block was over before the change came."""


class Refused(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["data"]["code"]
        self.field = error["data"]["field"]


class Job:
    """One job directory, and the worker on it, if any."""

    def __init__(self, place, name, spec):
        self.place = place
        self.folder = place.path(name + ".job")
        self.out = place.path(name)
        self.process = None
        self.kills = 0
        self.since = 0  # journal lines that this worker's predecessors wrote
        answer = json.loads(self.ask("--plan", dict(spec, output=self.out)))
        os.makedirs(self.folder)
        for file, value in (("spec.json", answer["spec"]), ("plan.json", answer["plan"])):
            with open(os.path.join(self.folder, file), "w") as f:
                json.dump(value, f)

    def ask(self, *words):
        """What srq-worker answers to a request on its standard input; Refused where it refuses."""
        p = subprocess.run([self.place.env["SRQ_WORKER"], *words[:-1]], input=json.dumps(words[-1]).encode(),
                           env=self.place.env, stdout=subprocess.PIPE, timeout=300)
        if p.returncode != 0:
            error = json.loads(p.stdout)["error"]
            raise Refused({"message": error["message"], "data": {"code": error["code"], "field": error["field"]}})
        return p.stdout.decode()

    def start(self):
        self.journal = Journal(self.folder)
        self.seen = []
        with open(self.folder + ".log", "ab") as log:
            self.process = subprocess.Popen([self.place.env["SRQ_WORKER"], "--job", self.folder], env=self.place.env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # not before it says that it runs: the journal may be older
        wait_until("the worker's socket", lambda: self.socket_path() or self.process.poll() is not None)

    def socket_path(self):
        """The socket of this very process: a killed one leaves its name behind."""
        try:
            with open(os.path.join(self.folder, "lock")) as f:
                lock = json.load(f)
            return lock["socket"] if lock["pid"] == self.process.pid and os.path.exists(lock["socket"]) else None
        except (OSError, ValueError):
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.kills += 1
        self.since = self.seq()
        self.start()

    def end(self, code=0):
        assert self.process.wait(300) == code, "the worker ended with %d" % self.process.returncode

    def until(self, what, condition):
        """Waits for a journal line since the start of this worker or of the journal; returns its data."""
        def look():
            self.seen += self.journal.read()
            found = [line for line in self.seen if condition(line)]
            if not found and self.process.poll() == 0:
                raise Missed("the job was over before %s" % what)
            if not found and self.process.poll() is not None:
                with open(self.folder + ".log") as f:
                    raise AssertionError("the worker ended before %s: %s" % (what, f.read()[-1000:]))
            return found
        return wait_until(what, look, pause=0.002)[-1]["data"]

    def begun(self, block, again=False, after=0):
        return self.until("block %d" % block, lambda line: line["event"] == "block.begin" and
                          line["data"]["block"] == block and line["data"]["again"] == again and line["seq"] > max(after, self.since))

    def call(self, method, params):
        path = self.socket_path()
        if path is None and self.process.wait(10) == 0:
            raise Missed("the job was over before %s" % method)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(120)
            s.connect(path)
            request = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
            s.sendall(json.dumps(request).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = s.recv(65536)
                assert more, "the worker hung up"
                data += more
        answer = json.loads(data)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def change(self, op, at, **params):
        """worker.change over the socket; `at`: the block that must be running."""
        result = self.call("worker.change", dict(params, op=op, by="tester"))
        if at is not None:
            place = events(self.folder, "plan.changed")[-1]["at"]
            if place["block"] != at:
                raise Missed("%s came at %s and not in block %d" % (op, place, at))
        return result

    def pin(self, at, pins, **more):
        return self.change("pin", at, pins=[{"pattern": p, "scheme": s} for p, s in pins.items()], **more)

    def seq(self):
        self.seen += self.journal.read()
        return self.seen[-1]["seq"] if self.seen else 0


def make_model(place, *words):
    where = place.path("model")
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), where, *words], check=True)
    return where


def spec(model, method="signround", iters=ITERS, **more):
    options = {"nsamples": 4, "seqlen": 48, "batch": 2, "threads": 1, "probe_every": 10, "probe_samples": 2,
               "checkpoint_s": 0.02, "seed": 7, "eval.windows": 2}
    if method == "signround":
        options["signround.iters"] = iters
    return dict({"model": model, "method": method, "scheme": "w4g32", "formats": ["auto_round"], "calib": [CALIB],
                 "options": options}, **more)


def name(block, module):
    return "model.layers.%d.%s" % (block, module)


# What the scenario asks for; everything else stays w4.
WANTED = {name(3, "mlp.down_proj"): 8, name(4, "self_attn.o_proj"): 8, name(0, "mlp.down_proj"): 3,
          name(2, "self_attn.o_proj"): 8, name(3, "self_attn.q_proj"): 3, name(3, "self_attn.k_proj"): 3,
          name(3, "self_attn.v_proj"): 3, "lm_head": 8}


def change_all(job, kill):
    """The changes, each in its block. `kill(where)` may kill the worker at a place; True: it did."""
    job.start()
    job.begun(2)
    first = job.pin(2, {name(3, "mlp.down_proj"): "w8g32", "re:layers\\.4\\..*o_proj$": "w8g32", "lm_head": "w8g32"})
    assert first["revision"] == 1 and first["matched"] == 3 and first["changed"] == 3, first
    assert {c["state"] for c in first["changes"]} == {"pending"} and first["retunes"] == [], first
    assert first["size"]["after_bytes"] != first["size_now"]["after_bytes"], first
    kill("pending")
    job.begun(2)
    again = job.pin(2, {"*.layers.0.mlp.down_*": "w3g32"})
    assert again["retunes"] == [0] and again["changes"][0]["state"] == "stale" and again["cost_s"] > 0, again
    at = job.seq()
    restart = job.pin(2, {name(2, "self_attn.o_proj"): "w8g32"})
    assert restart["restarts"] == 2 and restart["retunes"] == [], restart
    kill("restart")
    job.begun(2, after=at)
    kill("restarted")
    job.begun(3)
    held = job.pin(3, {name(3, "self_attn.k_proj"): "w3g32"}, running="after")
    assert held["restarts"] is None and held["retunes"] == [3] and held["changed"] == 3, held
    assert any("fuse" in w for w in held["warnings"]), held
    kill("held")
    job.begun(4)
    kill("after held")
    job.begun(0, again=True)
    kill("again")
    at = job.seq()
    job.begun(0, again=True)
    job.call("worker.checkpoint", {})
    job.until("a checkpoint of the block tuned again", lambda line: line["event"] in ("checkpoint", "block.end") and
              line["data"]["block"] == 0 and line["seq"] > at)
    if kill("again, later") and any(e["block"] == 0 and e["generation"] == 2 for e in events(job.folder, "block.end")):
        raise Missed("the block tuned again was over before it was killed")
    job.until("the end of the block tuned again", lambda line: line["event"] == "block.end" and
              line["data"]["block"] == 0 and line["data"]["generation"] == 2)
    kill("between")
    job.end()
    return held


def run(place, run_name, model, kills, iters):
    """One run of the scenario; its kills as far as they were asked for. Missed: one of its blocks was over too early."""
    job = Job(place, run_name, spec(model, iters=iters, eval=[EVAL]))

    def kill(where):
        if where in kills:
            job.kill()
        return where in kills

    try:
        last = change_all(job, kill)
    except Missed:
        job.process.kill()
        job.process.wait()
        raise
    assert job.kills == len(kills), "%d kills of %d" % (job.kills, len(kills))
    return job, last


def in_time(what):
    """what(iters, name) until every change came in its block: with blocks of twice the iterations after each that did not."""
    for longer in range(LONGER_MAX):
        try:
            return what(ITERS << longer, "x%d" % (1 << longer))
        except Missed as e:
            print("# %s" % e, flush=True)
    raise AssertionError("blocks of %d iterations were over before their change" % (ITERS << (LONGER_MAX - 1)))


def tensors(folder):
    """{name: (dtype, shape, bytes)} of a model folder."""
    found = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".safetensors"):
            continue
        found.update({key: (dtype, shape, len(data))
                      for key, (dtype, shape, data) in read_tensors(os.path.join(folder, file)).items()})
    return found


def packed_bits(found, layer, columns):
    """Bits of a code, from the shape of the packed words alone: [in * bits / 32, out]."""
    rows = found[layer + ".qweight"][1][0]
    assert rows * 32 % columns == 0, (layer, rows, columns)
    return rows * 32 // columns


def check_output(job, model, last):
    """Config, packed tensors and size are those that were asked for and forecast."""
    original, made = tensors(model), tensors(job.out)
    with open(os.path.join(job.out, "config.json")) as f:
        config = json.load(f)["quantization_config"]
    with open(os.path.join(job.out, "srq_plan.json")) as f:
        plan = {row["name"]: row for row in json.load(f)["layers"]}
    with open(os.path.join(job.out, "report.json")) as f:
        report = json.load(f)
    layers = [key[:-len(".qweight")] for key in made if key.endswith(".qweight")]
    assert len(layers) == 7 * BLOCKS + 1, layers
    for layer in layers:
        bits = WANTED.get(layer, 4)
        columns = original[layer + ".weight"][1][1]
        assert packed_bits(made, layer, columns) == bits, layer
        extra = config.get("extra_config", {}).get(layer, {})
        assert extra.get("bits", config["bits"]) == bits, (layer, extra)
        assert plan[layer]["scheme"] == "w%dg32" % bits, plan[layer]
        assert plan[layer]["source"] == ("pin" if layer in WANTED else "default"), plan[layer]
    # scales are F16, of which the forecast knows; the rest of the model is as it was
    size = sum(made[layer + part][2] for layer in layers for part in (".qweight", ".scales", ".qzeros"))
    size += sum(t[2] for key, t in original.items() if key[:-len(".weight")] not in layers)
    assert size == last["size"]["after_bytes"] == report["size"]["after_bytes"], (size, last["size"], report["size"])
    assert report["plan_revision"] == 4
    assert all(0 <= row["saturation"] < 1 for row in report["layers"]), report["layers"]
    assert report["eval"]["after"]["perplexity"] > 1 and report["eval"]["rtn"]["perplexity"] > 1


def changes_obey_and_kills_leave_the_same_bytes():
    with Place() as place:
        model = make_model(place, "--blocks", str(BLOCKS), "--untied")
        in_time(lambda iters, label: obeyed_and_killed(place, model, iters, label))


def obeyed_and_killed(place, model, iters, run_name):
    """The scenario in three runs: undisturbed, and killed at four places twice."""
    began = time.monotonic()
    calm, last = run(place, "calm-" + run_name, model, set(), iters)
    check_output(calm, model, last)
    ends = [e["block"] for e in events(calm.folder, "block.end")]
    assert ends == [0, 1, 2, 3, 4, 5, 0, 3], ends
    done = events(calm.folder, "layer.done")
    assert len(done) == 7 * (BLOCKS + 2) + 1 and [d["scheme"] for d in done if d["layer"] ==
                                                  name(3, "self_attn.q_proj")] == ["w4g32", "w3g32"]
    print("# undisturbed: %.1f s" % (time.monotonic() - began), flush=True)
    for n, kills in enumerate(({"pending", "restart", "held", "again"},
                               {"restarted", "after held", "again, later", "between"})):
        began = time.monotonic()
        killed, last = run(place, "killed%d-%s" % (n, run_name), model, kills, iters)
        check_output(killed, model, last)
        assert not differing(calm.out, killed.out), (kills, differing(calm.out, killed.out))
        ends = [e["block"] for e in events(killed.folder, "block.end")]
        assert ends == [0, 1, 2, 3, 4, 5, 0, 3], ends
        left = [f for f in os.listdir(place.env["SRQ_RUNTIME_DIR"]) if f.startswith("w")]
        assert not left, "sockets of killed workers: %s" % left
        if "again, later" in kills:
            assert any("goes on at iteration" in e["text"] for e in events(killed.folder, "log"))
        print("# killed at %s: %.1f s" % (", ".join(sorted(kills)), time.monotonic() - began), flush=True)


def what_follows_is_tuned_again_where_it_is_asked_for():
    with Place() as place:
        model = make_model(place, "--blocks", "3")
        for attempt in range(RUNS_MAX):
            iters = ITERS << min(attempt, LONGER_MAX - 1)
            job = Job(place, "p%d" % attempt, spec(model, iters=iters))
            job.start()
            job.begun(2)
            try:
                reply = job.pin(2, {name(0, "mlp.up_proj"): "w8g32"}, propagate=True)
                break
            except Missed as e:
                print("# %s" % e, flush=True)
                job.end()
        assert reply["retunes"] == [0, 1] and reply["restarts"] == 2, reply
        job.end()
        ends = [e["block"] for e in events(job.folder, "block.end")]
        assert ends == [0, 1, 0, 1, 2], ends
        # the very bytes of a job that had the pin from the start: every block saw the same inputs
        fresh = Job(place, "fresh", spec(model, iters=iters, layers=[{"pattern": name(0, "mlp.up_proj"), "scheme": "w8g32"}]))
        fresh.start()
        fresh.end()
        # but for the way there, which srq_plan.json tells
        assert differing(job.out, fresh.out) == ["srq_plan.json"], differing(job.out, fresh.out)
        one, other = (json.load(open(os.path.join(out, "srq_plan.json"))) for out in (job.out, fresh.out))
        assert (one["revision"], other["revision"], other["changes"]) == (1, 0, []), (one, other)
        assert one["layers"] == other["layers"]


def a_budget_is_solved_again_around_pins():
    with Place() as place:
        model = make_model(place, "--blocks", "4")
        budget = {"bits": 4.0, "candidates": ["w2g32", "w3g32", "w4g32", "w8g32"]}
        for attempt in range(RUNS_MAX):
            job = Job(place, "b%d" % attempt, spec(model, iters=ITERS << min(attempt, LONGER_MAX - 1), budget=budget))
            job.start()
            job.begun(1)
            try:
                pinned = job.pin(1, {name(3, "mlp.down_proj"): "w8g32"})
                looser = job.change("budget", 1, bits=5.5)
                break
            except Missed as e:
                print("# %s" % e, flush=True)
                job.end()
        assert pinned["size"]["average_bits"] <= 4.0 + 1e-9 and pinned["forecast"]["now"] > 0, pinned
        assert not any(c["layer"].startswith("model.layers.0.") for c in pinned["changes"] + looser["changes"])
        assert 4.0 < looser["size"]["average_bits"] <= 5.5 and looser["retunes"] == [], looser
        assert looser["forecast"]["then"] < looser["forecast"]["now"], looser["forecast"]
        job.kill()  # what is on disk is enough to go on
        job.end()
        changes = events(job.folder, "plan.changed")
        assert [c["op"] for c in changes] == ["allocate", "pin", "budget"], changes
        assert len(events(job.folder, "plan.allocated")) == 3
        with open(os.path.join(job.out, "report.json")) as f:
            report = json.load(f)
        assert report["size"]["after_bytes"] == looser["size"]["after_bytes"], (report["size"], looser["size"])
        assert report["allocation"]["target_bits"] == 5.5, report["allocation"]
        rows = {row["name"]: row for row in report["layers"]}
        assert rows[name(3, "mlp.down_proj")]["scheme"] == "w8g32" and rows[name(3, "mlp.down_proj")]["source"] == "pin"
        assert rows[name(2, "mlp.up_proj")]["source"] == "allocator" and rows[name(2, "mlp.up_proj")]["score"] > 0


def a_change_is_refused_in_words():
    with Place() as place:
        model = make_model(place, "--blocks", "2")
        job = Job(place, "refused", spec(model, "rtn"))
        request = {"op": "pin", "by": "tester", "pins": [{"pattern": name(0, "mlp.down_proj"), "scheme": "w8"}]}
        cases = [(dict(request, revision=3), "state", "revision", "revision 0 and no longer at 3"),
                 (dict(request, pins=[{"pattern": "model.layers.99.*", "scheme": "w8"}]), "not_found", "layers",
                  "matches nothing"),
                 ({"op": "budget", "by": "tester", "bits": 3.5}, "state", "bits", "has no sensitivity scores"),
                 (dict(request, pins=[{"pattern": name(0, "self_attn.q_proj"), "scheme": "w8"},
                                      {"pattern": name(0, "self_attn.k_proj"), "scheme": "w3g32"}]), "invalid", "pins",
                  "runtimes fuse them")]
        for params, code, field, words in cases:
            try:
                job.ask("--change", job.folder, params)
            except Refused as e:
                assert (e.code, e.field) == (code, field) and words in str(e), (e.code, e.field, str(e))
            else:
                raise AssertionError("not refused: %s" % params)
        dry = json.loads(job.ask("--change", job.folder, dict(request, dry_run=True)))
        assert not dry["applied"] and dry["revision"] == 0 and dry["changed"] == 1, dry
        assert json.loads(job.ask("--change", job.folder, request))["revision"] == 1
        job.start()
        job.end()
        assert events(job.folder, "plan.changed")[0]["changes"][0]["new"] == "w8"
        with open(os.path.join(job.out, "srq_plan.json")) as f:
            rows = {row["name"]: row["scheme"] for row in json.load(f)["layers"]}
        assert rows[name(0, "mlp.down_proj")] == "w8" and rows[name(1, "mlp.down_proj")] == "w4g32", rows
        try:
            job.ask("--change", job.folder, request)
        except Refused as e:
            assert e.code == "state" and "is done" in str(e), str(e)
        else:
            raise AssertionError("a done job's plan was changed")


if __name__ == "__main__":
    run_tests([a_change_is_refused_in_words, what_follows_is_tuned_again_where_it_is_asked_for,
               a_budget_is_solved_again_around_pins,
               changes_obey_and_kills_leave_the_same_bytes])
