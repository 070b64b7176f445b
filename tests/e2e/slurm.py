#!/usr/bin/env python3
"""Jobs under a batch system: SIGUSR1 takes a checkpoint and ends srq-worker with 75, and the batch script of srq(7) goes back
to the queue on that. With a fake scontrol everywhere; under a real Slurm of one node where it is installed."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import LIMIT_S, SOURCE, Place, demo_job, differing, events, report, results_of, wait_until  # noqa: E402
from slurm_cluster import CannotStart, Cluster, missing  # noqa: E402
from srqd_client import run_tests  # noqa: E402

SCRIPT = os.path.join(SOURCE, "share/slurm/srq.sbatch")
SMALL = dict(nsamples=8, seqlen=64, batch=4, checkpoint_s=0.1, probe_samples=4, signround__iters=60)
LONG = dict(SMALL, signround__iters=100000)
THREADS = "2"


def write_job(p, name, **options):
    """The file of a job with output OUT = name; its directory is OUT.srq-job."""
    return p.write_job(name, dict(demo_job("w3g64", **options), output=p.path(name)))


def worker(p, *words):
    return subprocess.Popen([p.env["SRQ_WORKER"], *words], env=p.env, cwd=p.top, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ended(process):
    _, complaints = process.communicate(timeout=LIMIT_S)
    return process.returncode, complaints.decode(errors="replace")[-2000:]


def wait_tuning(p, name, ended_early=lambda: None):
    """Until a checkpoint of the running block was taken, whatever earlier runs left."""
    def checkpoints():
        return sum(e["iter"] > 0 for e in events(p.path(name + ".srq-job"), "checkpoint"))
    before = checkpoints()
    wait_until("a checkpoint", lambda: checkpoints() > before or ended_early())
    assert not ended_early(), ended_early()


def run_calmly(p, name, options):
    """The same job without a batch system; the script's threads are given as it gives them."""
    code, complaints = ended(worker(p, "--spec", write_job(p, name, **options), "--set", "threads=" + THREADS))
    assert code == 0, complaints


def check_same(p, calm, other):
    assert not differing(p.path(calm), p.path(other)), differing(p.path(calm), p.path(other))
    assert results_of(p.path(calm)) == results_of(p.path(other))
    assert any("goes on at iteration" in e["text"] for e in events(p.path(other + ".srq-job"), "log")), "stopped in a block"


def usr1_ends_with_75_and_the_same_command_goes_on_to_the_same_bytes():
    with Place() as p:
        run_calmly(p, "calm", SMALL)
        words = "--spec", write_job(p, "told", **SMALL), "--set", "threads=" + THREADS
        for _ in range(2):
            process = worker(p, *words)
            wait_tuning(p, "told", process.poll)
            process.send_signal(signal.SIGUSR1)
            code, complaints = ended(process)
            assert code == 75 and "the same command goes on" in complaints, (code, complaints)
            assert events(p.path("told.srq-job"), "job.state")[-1]["state"] == "paused"
            assert not os.path.exists(p.path("told"))
        code, complaints = ended(worker(p, *words))
        assert code == 0, complaints
        check_same(p, "calm", "told")


def the_sigterm_of_a_batch_system_after_usr1_waits_for_the_checkpoint():
    with Place() as p:
        process = worker(p, "--spec", write_job(p, "told", **LONG))
        wait_tuning(p, "told", process.poll)
        for sig in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM):
            process.send_signal(sig)
        code, complaints = ended(process)
        assert code == 75, (code, complaints)


def sigterm_alone_still_ends_with_10():
    with Place() as p:
        process = worker(p, "--spec", write_job(p, "told", **LONG))
        wait_tuning(p, "told", process.poll)
        process.terminate()
        assert ended(process)[0] == 10


def what_is_set_beside_a_job_wins_over_its_file():
    with Place() as p:
        plain = dict(demo_job("w4g64"), method="rtn", output=p.path("out"), options={"threads": 2, "seed": 5})
        del plain["calib"]
        path = p.write_job("job", plain)
        code, complaints = ended(worker(p, "--spec", path, "--set", "threads=1", "--set", "checkpoint_s=7"))
        assert code == 0, complaints
        assert report(p.path("out"))["threads"] == 1 and report(p.path("out"))["seed"] == 5
        with open(p.path("out.srq-job", "spec.json")) as f:
            assert json.load(f)["options"]["checkpoint_s"] == 7
        del plain["options"]
        path = p.write_job("other", dict(plain, output=p.path("other")))
        code, complaints = ended(worker(p, "--spec", path, "--set", "threads=many"))
        assert code == 1 and "threads" in complaints and not os.path.exists(p.path("other")), (code, complaints)
        code, complaints = ended(worker(p, "--spec", path, "--set", "threads"))
        assert code == 1 and "--set threads is not KEY=VALUE" in complaints, (code, complaints)
        code, complaints = ended(worker(p, "--plan", "--set", "threads=1"))
        assert code == 2 and "--set goes with --spec" in complaints, (code, complaints)


# ---- the script ----

def put_on_path(p):
    """srq-worker by its name, as for a user."""
    os.mkdir(p.path("bin"))
    os.symlink(p.env["SRQ_WORKER"], p.path("bin", "srq-worker"))
    p.env["PATH"] = p.path("bin") + ":" + p.env["PATH"]


def the_page_shows_the_script_that_is_installed():
    with open(os.path.join(SOURCE, "man/srq.7")) as f:
        displays = f.read().split(".Bd -literal -offset indent\n")[1:]
    with open(SCRIPT) as f:
        script = f.read()
    shown = [d.split(".Ed\n")[0].replace("\\e", "\\") for d in displays]
    assert script in shown, "srq(7) shows another script than share/slurm/srq.sbatch"
    for line in ("#SBATCH --requeue", "#SBATCH --signal=B:USR1@30", "#SBATCH --open-mode=append"):
        assert line in script.split("\n"), line


def the_script_asks_for_a_requeue_on_75_alone():
    """With a scontrol that only writes down what it was asked for."""
    with Place() as p:
        put_on_path(p)
        with open(p.path("bin", "scontrol"), "w") as f:
            f.write("#!/bin/sh\necho \"$@\" >>%s\n" % p.path("asked"))
        os.chmod(p.path("bin", "scontrol"), 0o755)
        env = dict(p.env, SLURM_JOB_ID="17", SLURM_CPUS_PER_TASK=THREADS, SLURM_MEM_PER_NODE="2000")
        run_calmly(p, "calm", SMALL)
        job = write_job(p, "told", **SMALL)

        def script(*words):
            return subprocess.Popen(["bash", SCRIPT, *words], env=env, cwd=p.top, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        shell = script(job)
        wait_tuning(p, "told", shell.poll)
        shell.send_signal(signal.SIGUSR1)
        code, complaints = ended(shell)
        assert code == 75, (code, complaints)
        with open(p.path("asked")) as f:
            assert f.read() == "requeue 17\n"
        with open(p.path("told.srq-job", "spec.json")) as f:
            assert json.load(f)["options"]["max_memory"] == 1800 << 20
        code, complaints = ended(script(job))
        assert code == 0, complaints
        check_same(p, "calm", "told")
        code, complaints = ended(script(p.path("nothing.json")))
        assert code == 1 and "nothing.json" in complaints, (code, complaints)
        with open(p.path("asked")) as f:
            assert f.read() == "requeue 17\n"


# ---- Slurm ----

OVER = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED")


class Slurm:
    """A Place and a Cluster with the script's limits lowered to what the cluster has."""

    def __init__(self, p, cluster):
        self.p, self.cluster = p, cluster

    def submit(self, name, *more, **options):
        return self.cluster.submit("--cpus-per-task=" + THREADS, "--mem=2000", "--output=" + self.log(name),
                                   "--chdir=" + self.p.top, *more, SCRIPT, write_job(self.p, name, **options))

    def log(self, name):
        return self.p.path(name + ".log")

    def said(self, name):
        if not os.path.exists(self.log(name)):
            return ""
        with open(self.log(name), errors="replace") as f:
            return f.read()

    def state(self, job):
        return self.cluster.show(job)["JobState"]

    def over(self, job, name):
        """None while it is queued or runs."""
        state = self.state(job)
        return "%s: %s" % (state, self.said(name)[-1000:]) if state in OVER else None

    def wait_requeued(self, job, name, times):
        wait_until("the requeue", lambda: int(self.cluster.show(job)["Restarts"]) >= times or self.over(job, name))
        assert not self.over(job, name), self.over(job, name)
        assert self.said(name).count("exit code 75, stopped with a checkpoint") == times, self.said(name)[-1000:]


def with_slurm(test):
    def run():
        if missing():
            return missing()
        with Place() as p:
            put_on_path(p)
            try:
                with Cluster(p.env) as cluster:
                    test(p, Slurm(p, cluster))
            except CannotStart as e:
                return str(e)
        return None
    run.__name__ = test.__name__
    return run


@with_slurm
def a_job_that_slurm_requeues_gives_the_same_bytes(p, slurm):
    options = dict(SMALL, signround__iters=300)  # some seconds, so that both signals find it at work
    run_calmly(p, "calm", options)
    job = slurm.submit("queued", **options)
    for times in (1, 2):
        wait_tuning(p, "queued", lambda: slurm.over(job, "queued"))
        slurm.cluster.run("scancel", "--signal=USR1", "--batch", job)
        slurm.wait_requeued(job, "queued", times)
    wait_until("the end", lambda: slurm.over(job, "queued"))
    shown = slurm.cluster.show(job)
    assert (shown["JobState"], shown["ExitCode"], shown["Restarts"]) == ("COMPLETED", "0:0", "2"), \
        (shown, slurm.said("queued")[-1000:])
    check_same(p, "calm", "queued")


@with_slurm
def slurm_signals_ahead_of_the_time_limit_and_the_job_goes_on(p, slurm):
    job = slurm.submit("limited", **LONG)
    wait_tuning(p, "limited", lambda: slurm.over(job, "limited"))
    slurm.cluster.run("scontrol", "update", "JobId=" + job, "TimeLimit=1")  # 1 minute: the signal is due
    slurm.wait_requeued(job, "limited", 1)
    wait_tuning(p, "limited", lambda: slurm.over(job, "limited"))
    assert slurm.state(job) == "RUNNING"
    assert any("goes on at iteration" in e["text"] for e in events(p.path("limited.srq-job"), "log"))


if __name__ == "__main__":
    run_tests([
        usr1_ends_with_75_and_the_same_command_goes_on_to_the_same_bytes,
        the_sigterm_of_a_batch_system_after_usr1_waits_for_the_checkpoint,
        sigterm_alone_still_ends_with_10,
        what_is_set_beside_a_job_wins_over_its_file,
        the_page_shows_the_script_that_is_installed,
        the_script_asks_for_a_requeue_on_75_alone,
        a_job_that_slurm_requeues_gives_the_same_bytes,
        slurm_signals_ahead_of_the_time_limit_and_the_job_goes_on,
    ])
