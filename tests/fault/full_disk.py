#!/usr/bin/env python3
"""A disk that fills up while a job writes: checkpoints, the journal, the output. The message names the file and the reason,
no half of an output is left, and the job goes on from where it was once there is space, to the same bytes."""
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import Failed, Journal, Place, demo_job, differing, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

NO_SPACE = "No space left on device"


def mounting(test):
    """Skips `test` where this user cannot mount a small file system."""
    @functools.wraps(test)
    def run():
        with tempfile.TemporaryDirectory() as d:
            if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", d], capture_output=True).returncode:
                return "a small file system cannot be mounted here (root can)"
            subprocess.run(["umount", d], check=True)
        return test()
    return run


@contextlib.contextmanager
def small_disk(place, name, size):
    """A tmpfs of `size`, and a function that fills it up but for `left` bytes, or with None takes the filling away."""
    folder = place.path(name)
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", folder], check=True)

    def fill(left):
        path = os.path.join(folder, "neighbour")
        if left is None:
            os.unlink(path)
            return
        with open(path, "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(4096))
            f.truncate(max(0, f.tell() - left))

    try:
        yield folder, fill
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def job(place, name, iters, out=None, **options):
    """A job of six blocks that checkpoints before every iteration."""
    return place.write_job(name, dict(
        demo_job("w4g64", nsamples=2, seqlen=16, batch=1, threads=1, probe_samples=1, signround__iters=iters,
                 checkpoint_s=0, **options), output=out or place.path(name)))


def begins(place, path, folder):
    """Starts a worker and returns it when its third block has begun."""
    log = open(place.path("log"), "wb")
    p = subprocess.Popen([place.env["SRQ_WORKER"], "--spec", path, "--dir", folder], env=place.env, cwd=place.top,
                         stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    journal, blocks = Journal(folder), set()

    def third():
        assert p.poll() is None, "the worker ended early: %s" % said(place)
        blocks.update(e["data"]["block"] for e in journal.read() if e["event"] == "tune.point")
        return len(blocks) >= 3

    wait_until("the third block", third, pause=0.005)
    return p


def said(place):
    with open(place.path("log"), errors="replace") as f:
        return f.read()


def undisturbed(place, iters):
    place.run(place.env["SRQ_WORKER"], "--spec", job(place, "whole", iters))
    return place.path("whole")


def goes_on(place, path, folder):
    try:
        place.run(place.env["SRQ_WORKER"], "--spec", path, "--dir", folder)
    except Failed as e:
        raise AssertionError("it does not go on: %s" % e)


@mounting
def a_job_directory_that_fills_up_stops_the_job_and_loses_nothing():
    with Place() as p, small_disk(p, "disk", "24m") as (disk, fill):
        iters, folder = 60, os.path.join(disk, "job")
        path = job(p, "filled", iters, keep_checkpoints=True)
        worker = begins(p, path, folder)
        fill(0)
        assert worker.wait(timeout=120) == 1, worker.returncode
        text = said(p)
        print("# %s" % text.strip().splitlines()[-1])
        assert NO_SPACE in text and folder in text, text
        assert not os.path.exists(p.path("filled")), "no output"
        left = [n for n in os.listdir(os.path.join(folder, "ckpt")) if ".tmp" in n]
        assert left == [], left
        done = [n for n in os.listdir(os.path.join(folder, "ckpt")) if n.startswith("block-")]
        assert len(done) >= 2, "finished blocks are kept: %s" % done
        fill(None)
        before = {n: os.stat(os.path.join(folder, "ckpt", n)).st_ino for n in done}
        goes_on(p, path, folder)
        assert before == {n: os.stat(os.path.join(folder, "ckpt", n)).st_ino for n in done}, "none was made again"
        assert differing(undisturbed(p, iters), p.path("filled")) == []


@mounting
def a_journal_alone_that_cannot_grow_is_cut_where_it_was_whole():
    with Place() as p, small_disk(p, "disk", "24m") as (disk, fill):
        iters, folder = 60, os.path.join(disk, "job")
        path = job(p, "journal", iters)
        worker = begins(p, path, folder)
        fill(0)
        assert worker.wait(timeout=120) == 1, worker.returncode
        with open(os.path.join(folder, "journal.ndjson"), "rb") as f:
            lines = f.read().split(b"\n")
        assert lines[-1] == b"" and all(json.loads(line)["seq"] == i + 1 for i, line in enumerate(lines[:-1]))
        # Still full: it says so again and changes nothing.
        try:
            p.run(p.env["SRQ_WORKER"], "--spec", path, "--dir", folder)
            raise AssertionError("it ended well on a full disk")
        except Failed as e:
            assert e.code == 1 and NO_SPACE in e.text, e
        fill(None)
        goes_on(p, path, folder)
        assert differing(undisturbed(p, iters), p.path("journal")) == []


def fails(place, id, disk, words):
    """The job fails for this reason and leaves no half of an output."""
    place.run(place.env["SRQ_CTL"], "wait", id, "--timeout", "120", code=7)
    shown = place.ctl("show", id)
    print("# %s" % shown["reason"])
    assert shown["state"] == "failed" and words in shown["reason"] and disk in shown["reason"], shown["reason"]
    files = [n for _, _, names in os.walk(disk) for n in names]
    assert files == ["neighbour"], files


@mounting
def an_output_that_does_not_fit_any_more_fails_the_job_and_a_resume_writes_it():
    with Place() as p, small_disk(p, "disk", "12m") as (disk, fill):
        def tunes(name, iters):
            id = p.ctl("submit", "--job", job(p, name, iters, out=out))["job"]
            journal = Journal(p.job_dir(id))
            wait_until("a block", lambda: any(e["event"] == "tune.point" for e in journal.read()), pause=0.005)
            return id

        iters, out = 60, os.path.join(disk, "a", "out")
        id = tunes("exported", iters)
        fill(1 << 20)  # the weights take more
        fails(p, id, disk, "bytes are needed and 1048576 are free")
        fill(None)
        other = tunes("beside", 20)
        fill(2900 << 10)  # enough for them, but not for the small files beside them
        fails(p, other, disk, NO_SPACE)
        p.run(p.env["SRQ_CTL"], "resume", id)  # which is seen before any work
        fails(p, id, disk, "the output needs")
        fill(None)
        p.run(p.env["SRQ_CTL"], "resume", id)
        p.wait(id)
        began = [e["data"]["block"] for e in Journal(p.job_dir(id)).read() if e["event"] == "block.begin"]
        assert sorted(began) == list(range(6)), "no block was tuned twice: %s" % began
        assert differing(undisturbed(p, iters), out) == []


if __name__ == "__main__":
    run_tests([
        a_job_directory_that_fills_up_stops_the_job_and_loses_nothing,
        a_journal_alone_that_cannot_grow_is_cut_where_it_was_whole,
        an_output_that_does_not_fit_any_more_fails_the_job_and_a_resume_writes_it,
    ])
