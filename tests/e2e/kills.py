#!/usr/bin/env python3
"""A job whose worker and daemon are killed (SIGKILL) fifty times at random moments of every stage.

It is never lost, never run by two workers at once, goes on inside blocks, and gives the bytes of an undisturbed run.
SRQ_KILLS: how many kills. SRQ_SEED: of the moments; the one used is printed."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import (Journal, LIMIT_S, Place, alive, daemon_pid, demo_job, differing, events, has_open, kill,  # noqa: E402
                       results_of, wait_until, workers)
from srqd_client import run_tests  # noqa: E402

KILLS = int(os.environ.get("SRQ_KILLS", "50"))
SEED = int(os.environ.get("SRQ_SEED", "20261201"))
RUNS_MAX = 6
CONFIG = "[restart]\npauses_s = 0.05\ndeaths_max = 1000\n"
JOB = demo_job("w3g128", ["auto_round", "fake"], evaluate=True, nsamples=16, seqlen=128, batch=4, threads=2,
               checkpoint_s=0.2, eval__windows=16, signround__iters=40, refine=2)

# What a worker comes to, in this order; the evaluate stage comes before and after tuning.
WAY = ["start", "load", "calibrate", "evaluate", "quantize", "refine", "evaluate after", "export", "end"]
STAGES = ["load", "calibrate", "evaluate", "quantize", "refine", "export"]
# One run's targets: early ones, then those inside blocks mixed with the stages that every restart passes, then the late ones.
EARLY = ["load", "calibrate", "evaluate", "start", "load", "calibrate", "evaluate", "calibrate", "evaluate"]
MIDDLE = ["quantize", "quantize", "calibrate", "checkpoint", "quantize", "load", "checkpoint", "start"] * 3 + ["quantize", "checkpoint"] * 2
LATE = ["refine", "refine", "evaluate after", "export", "export", "evaluate after", "export", "evaluate after", "export", "export", "export"]


class Life:
    """Where the worker is, from what it journals."""

    def __init__(self, folder):
        self.folder = folder
        self.journal = Journal(folder)
        self.count = 0   # of workers that got to the journal
        self.deaths = 0  # the count when one was killed last
        self.at = "start"
        self.checkpoints = 0
        self.blocks_done = 0

    def look(self):
        for line in self.journal.read():
            data = line["data"]
            if line["event"] == "job.state" and data["state"] == "running":
                self.count += 1
                self.at = "start"
                self.checkpoints = 0
            elif line["event"] == "job.state":
                assert data["state"] == "done", "the worker says %s" % data
                self.at = "end"
            elif line["event"] == "stage.progress":
                late = data["stage"] == "evaluate" and self.blocks_done == 6
                self.at = "evaluate after" if late else data["stage"]
            elif line["event"] == "block.end":
                self.blocks_done += 1
            elif line["event"] == "checkpoint":
                self.checkpoints += 1
        return WAY.index(self.at)

    def come_to(self, target):
        here = self.look()
        if self.at == "end":
            return True
        if self.count == self.deaths:  # the next worker has not said anything yet
            return target == "start"
        if target == "checkpoint":
            return here > WAY.index("quantize") or (self.at == "quantize" and self.checkpoints > 0)
        return here >= WAY.index(target)


class Killer:
    def __init__(self, place, rng, spans):
        self.place, self.rng, self.spans = place, rng, spans
        self.landed = {stage: 0 for stage in WAY}  # worker's place at each kill
        self.worker_landed = {stage: 0 for stage in STAGES}
        self.worker_kills = self.daemon_kills = 0
        self.next_scan = 0

    @property
    def kills(self):
        return self.worker_kills + self.daemon_kills

    def scan(self, folder):
        """The workers of a job; at most one of them may have its journal open."""
        pids = [pid for pid, where in workers(self.place.top).items() if where == folder]
        journal = os.path.join(folder, "journal.ndjson")
        holders = [pid for pid in pids if has_open(pid, journal)]
        if len(holders) > 1:
            time.sleep(0.05)  # a killed one closes its files before it is gone
            holders = [pid for pid in holders if has_open(pid, journal)]
        assert len(holders) <= 1, "processes %s run one job at once" % holders
        return [pid for pid in pids if alive(pid)]

    def listed(self, job):
        """The daemon, started by this very call where none was left, has the job."""
        found = {j["job"]: j["state"] for j in self.place.ctl("list")["jobs"]}
        assert found.get(job) in ("starting", "running", "done"), "job %s after a restart of the daemon: %s" % (job, found)

    def kill_worker(self, life, pid):
        """`pid` was the worker a moment ago: loading takes less time than another look at all processes."""
        if not kill(pid):
            return
        while alive(pid):
            time.sleep(0.0005)
        life.look()
        at = life.at if life.count > life.deaths else "start"
        life.deaths = life.count
        self.worker_kills += 1
        self.landed[at] += 1
        stage = at.split()[0]
        if stage in self.worker_landed:
            self.worker_landed[stage] += 1

    def kill_daemon(self, life, job):
        pid = daemon_pid(self.place.socket)
        if pid is None:
            return
        life.look()
        self.landed[life.at if life.count > life.deaths else "start"] += 1
        self.daemon_kills += 1
        kill(pid)
        while alive(pid):
            time.sleep(0.001)
        time.sleep(self.rng.uniform(0, 0.1))
        self.scan(life.folder)
        self.listed(job)

    def wait_for(self, life, target, until):
        """Until the worker has come there, or the job is done: false."""
        while not life.come_to(target):
            now = time.monotonic()
            assert now < until, "the job stays at %s" % life.at
            if now >= self.next_scan:
                self.scan(life.folder)
                self.next_scan = now + 0.1
            time.sleep(0.001)
        return life.at != "end"

    def run(self, name, targets, job):
        """One run of the job with kills at these targets. Returns its journal's state."""
        job = self.place.submit(name, job)
        life = Life(self.place.job_dir(job))
        until = time.monotonic() + LIMIT_S
        first = set()
        for target in targets:
            if self.kills >= KILLS and all(self.worker_landed.values()):
                break
            pids = wait_until("a worker", lambda: self.scan(life.folder) or life.come_to("end"), pause=0.003)
            if life.at == "end":
                break
            self.next_scan = time.monotonic() + 0.1
            if target == "start":
                time.sleep(self.rng.uniform(0, self.spans["start"]))
            elif not self.wait_for(life, target, until):
                break
            elif self.kills < KILLS:  # beyond that only stages are left that chance has missed, short ones: at once
                time.sleep(self.rng.uniform(0, self.spans[target]))
            whom = "worker" if target not in first else self.rng.choice(["worker", "worker", "daemon", "both"])
            first.add(target)
            if whom != "daemon":
                self.kill_worker(life, pids[0])
            if whom != "worker":
                self.kill_daemon(life, job)
        self.place.wait(job)
        life.look()
        return life


def spans_of(folder):
    """Seconds that an undisturbed run spends in each stage, as spans for random moments."""
    came, blocks = {}, 0
    for line in Journal(folder).read():
        blocks += line["event"] == "block.end"
        if line["event"] == "stage.progress":
            stage = line["data"]["stage"]
            stage = "evaluate after" if stage == "evaluate" and blocks else stage
            came.setdefault(stage, [line["time"], 0])[1] = line["time"]
    spans = {stage: 0.7 * (end - begin) for stage, (begin, end) in came.items()}
    spans["quantize"] = min(spans["quantize"] / 20, 0.4)
    spans["checkpoint"] = spans["quantize"]
    spans["start"] = 0.05
    spans["load"] *= 0.5
    return spans


def fifty_kills_in_every_stage_leave_the_bytes_of_an_undisturbed_run():
    print("# seed %d" % SEED, flush=True)
    rng = random.Random(SEED)
    with Place(CONFIG) as place:
        began = time.monotonic()
        calm = place.submit("calm", JOB)
        place.wait(calm)
        spans = spans_of(place.job_dir(calm))
        print("# undisturbed: %.1f s" % (time.monotonic() - began), flush=True)
        killer, inside, runs = Killer(place, rng, spans), 0, 0
        while (killer.kills < KILLS or not all(killer.worker_landed.values())) and runs < RUNS_MAX:
            runs += 1
            name = "killed%d" % runs
            missed = [stage for stage, n in killer.worker_landed.items() if n == 0]
            targets = EARLY + MIDDLE + LATE
            if killer.kills >= KILLS:  # only for what no kill has landed in
                targets = [t for t in targets if t.split()[0] in missed]
            life = killer.run(name, targets, JOB)
            folder = life.folder
            assert not differing(place.path("calm"), place.path(name)), differing(place.path("calm"), place.path(name))
            assert results_of(place.path("calm")) == results_of(place.path(name)), "reports differ"
            assert len(events(folder, "block.end")) == 6, "every block ends once in the journal"
            inside += sum("goes on at iteration" in e["text"] and not e["text"].endswith(" 0")
                          for e in events(folder, "log"))
        print("# %d kills (%d of the worker, %d of the daemon) in %d runs, %.1f s; by stage: %s; %d restarts inside a block"
              % (killer.kills, killer.worker_kills, killer.daemon_kills, runs, time.monotonic() - began,
                 ", ".join("%s %d" % kv for kv in killer.landed.items()), inside), flush=True)
        assert killer.kills >= KILLS, killer.kills
        assert all(killer.worker_landed.values()), killer.worker_landed
        assert inside > 0, "no restart at an iteration above 0"


if __name__ == "__main__":
    run_tests([fifty_kills_in_every_stage_leave_the_bytes_of_an_undisturbed_run])
