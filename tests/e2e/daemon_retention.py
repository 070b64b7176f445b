#!/usr/bin/env python3
"""srqd deletes ended jobs by its configuration, of its own accord, and no others."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from srqd_client import run_tests, spec, wait_state, wait_until, with_daemon  # noqa: E402

KEEP_ONE = "[retention]\nkeep_days = 0\nkeep_jobs = 1\n"


def jobs(c):
    return [j["job"] for j in c.call("job.list")["jobs"]]


@with_daemon("[limits]\nmax_running = 10\n" + KEEP_ONE)
def the_oldest_go_after_a_jobs_end_and_what_has_not_ended_stays(d):
    c = d.client()
    resting = c.call("job.submit", spec=spec(d.top, "resting"), paused=True)["job"]
    ended = []
    for n in range(3):
        job = c.call("job.submit", spec=spec(d.top, "out%d" % n, steps=1))["job"]
        ended.append(job)
        wait_state(c, job, "done")
    wait_until("the older ones to go", lambda: sorted(jobs(c)) == sorted([resting, ended[-1]]))
    wait_until("their folders to go", lambda: sorted(os.listdir(d.state + "/jobs")) == sorted([resting, ended[-1]]))


@with_daemon("")
def what_the_configuration_no_longer_keeps_goes_at_the_next_start(d):
    c = d.client()
    ended = []
    for n in range(2):
        ended.append(c.call("job.submit", spec=spec(d.top, "out%d" % n, steps=1))["job"])
        wait_state(c, ended[-1], "done")
    d.terminate()
    d.configure(KEEP_ONE)
    d.start()
    c = d.client()
    wait_until("the older one to go", lambda: jobs(c) == ended[1:])


run_tests([the_oldest_go_after_a_jobs_end_and_what_has_not_ended_stays,
           what_the_configuration_no_longer_keeps_goes_at_the_next_start])
