#!/usr/bin/env python3
"""srqd's folders: who may write in them, what of the environment they follow, and how they go."""
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import SOURCE, Place  # noqa: E402
from srqd_client import (FAST, alive, as_user, children, program_for_all, run_tests, second_user, spec, wait_state,  # noqa: E402
                         wait_until, with_daemon)


def ends(d, *args, env=None, cwd=None):
    """(exit code, complaints) of a daemon that is to refuse."""
    out = subprocess.run([d.program, "--foreground"] + list(args), env=env or d.env, cwd=cwd or d.top,
                         capture_output=True, text=True, timeout=60)
    return out.returncode, out.stderr


# ---- who may write in them ------------------------------------------------------------------------------------------


@with_daemon(start=False)
def a_folder_that_others_can_write_is_refused_with_the_command_that_mends_it(d):
    """Who can put another srqd.db there has commands run as the daemon's user."""
    env = {k: v for k, v in d.env.items() if k != "SRQ_RUNTIME_DIR"}
    env.update(XDG_STATE_HOME=d.top + "/st", XDG_RUNTIME_DIR=d.top + "/rt", XDG_CONFIG_HOME=d.top + "/cfg")
    state = os.path.join(d.top, "st/srq", os.uname().nodename)
    for path in (d.top + "/st/srq", state, state + "/jobs", d.top + "/rt/srq"):
        for mode in (0o777, 0o770, 0o702):
            os.makedirs(path, 0o700)
            os.chmod(path, mode)
            code, said = ends(d, env=env)
            assert code == 1 and "others can write in %s (mode %03o); run: chmod go-w %s" % (path, mode, path) in said, said
            shutil.rmtree(d.top + "/st", ignore_errors=True)
            shutil.rmtree(d.top + "/rt", ignore_errors=True)
    os.makedirs(d.state, 0o700)
    with open(d.state + "/srqd.db", "w"):
        os.chmod(d.state + "/srqd.db", 0o666)
    code, said = ends(d, "--socket", d.socket, "--state-dir", d.state)
    assert code == 1 and "chmod go-w %s/srqd.db" % d.state in said, said
    os.chmod(d.state, 0o755)
    os.chmod(d.state + "/srqd.db", 0o644)
    d.start()  # others may read


@with_daemon(start=False)
def a_folder_of_somebody_else_is_refused(d):
    uid, reason = second_user()
    if reason:
        return reason
    os.makedirs(d.state + "/jobs", 0o700)
    os.chown(d.state + "/jobs", uid, -1)
    code, said = ends(d, "--socket", d.socket, "--state-dir", d.state)
    assert code == 1 and "%s/jobs belongs to uid %d, not to us (uid 0); run: chown 0 %s/jobs" % (d.state, uid, d.state) in \
        said, said


@with_daemon()
def a_state_folder_may_be_a_link_to_where_there_is_room(d):
    d.terminate()
    os.rename(d.state, d.top + "/elsewhere")
    os.symlink(d.top + "/elsewhere", d.state)
    d.start()


# ---- what of the environment they follow ----------------------------------------------------------------------------


@with_daemon(start=False)
def folders_of_the_environment_that_are_not_absolute_are_ignored(d):
    """As the XDG Base Directory Specification says."""
    home = d.top + "/home"
    os.makedirs(home + "/.config/srq")
    with open(home + "/.config/srq/srqd.conf", "w") as f:
        f.write("[nonsense]\n")
    env = {k: v for k, v in d.env.items() if k != "SRQ_RUNTIME_DIR"}
    env.update(HOME=home, XDG_STATE_HOME="there", XDG_CONFIG_HOME="there", XDG_RUNTIME_DIR="there")
    code, said = ends(d, "--socket", d.socket, env=env)
    assert code == 2 and home + "/.config/srq/srqd.conf: line 1: unknown section" in said, said
    assert os.path.isdir(os.path.join(home, ".local/state/srq", os.uname().nodename, "jobs"))
    assert not os.path.exists(d.top + "/there")


@with_daemon(start=False)
def a_lost_working_directory_is_called_that(d):
    os.mkdir(d.top + "/gone")
    for args in (["--socket", "s"], ["--socket", d.socket, "--state-dir", "st"],
                 ["--socket", d.socket, "--state-dir", d.state, "--config", "c"]):
        out = subprocess.run(["sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", d.top + "/gone", d.program,
                              "--foreground"] + args, env=d.env, capture_output=True, text=True, timeout=60)
        assert out.returncode == 1 and "cannot tell where %s is: the working directory was removed" % args[-1] in \
            out.stderr, out.stderr
        os.mkdir(d.top + "/gone")


# ---- how they go ----------------------------------------------------------------------------------------------------


def a_large_job(d, c, files):
    job = c.call("job.submit", spec=spec(d.top, "out%d" % files, steps=1))["job"]
    folder = wait_state(c, job, "done")["directory"]
    for n in range(files):
        if n % 1000 == 0:
            os.makedirs("%s/big/%d" % (folder, n // 1000))
        with open("%s/big/%d/%d" % (folder, n // 1000, n), "w"):
            pass
    return job, folder


@with_daemon(FAST)
def what_removes_a_folder_holds_nothing_of_the_daemon(d):
    """The removal is stopped in its middle, the daemon dies, and the next one comes up all the same."""
    for files in (20000, 60000, 180000):
        c = d.client(timeout=120)
        job, folder = a_large_job(d, c, files)
        c.call("job.delete", job=job)
        going = wait_until("the removal, or its end",
                           lambda: children(d.process.pid, "-rf") or not os.path.exists(folder + ".del"))
        if going is True:
            continue
        for pid in going:
            os.kill(pid, signal.SIGSTOP)
        if not os.path.exists(folder + ".del"):
            continue
        d.kill()
        d.start()
        assert all(alive(pid) for pid in going), "it is still at it"
        for pid in going:
            os.kill(pid, signal.SIGCONT)
        wait_until("the rest is removed", lambda: not os.path.exists(folder + ".del"))
        return
    raise AssertionError("no program was seen that removes 180000 files")


def as_daemon_of(d, uid):
    """The daemon under test as another user, whose programs and folders it can reach."""
    program_for_all(d)
    copy = os.path.join(d.top, "srqd")
    real = os.path.join(os.path.dirname(d.program), ".libs/srqd")
    shutil.copy(real if os.path.exists(real) else d.program, copy)
    os.chmod(copy, 0o755)
    d.program = os.path.join(d.top, "start")
    with open(d.program, "w") as f:
        f.write('#!/bin/sh\nexec setpriv --reuid %d --regid %d --clear-groups %s "$@"\n' % (uid, uid, copy))
    os.chmod(d.program, 0o755)
    os.chown(d.top, uid, uid)


@with_daemon(FAST, start=False)
def what_cannot_be_removed_is_told(d):
    uid, reason = second_user()
    if reason:
        return reason
    as_daemon_of(d, uid)
    d.start()
    folder = as_user(uid, """
c = Client(sys.argv[1])
job = c.call("job.submit", spec=spec(sys.argv[2], steps=1))["job"]
folder = wait_state(c, job, "done", timeout=60)
folder = c.call("job.get", job=job)["directory"]
os.makedirs(folder + "/shut/in")
os.chmod(folder + "/shut", 0)
c.call("job.delete", job=job)
print(json.dumps(folder))
""", d, d.top)
    gone = folder + ".del"
    wait_until("the word", lambda: d.client().call("daemon.info").get("unremoved") == [gone])
    assert "%s is not removed: cannot remove '%s/shut" % (gone, gone) in d.read_log(), d.read_log()
    os.chmod(gone + "/shut", 0o700)
    d.kill()
    d.start()
    wait_until("the next daemon's attempt", lambda: not os.path.exists(gone))
    assert "unremoved" not in d.client().call("daemon.info")


# ---- refusals that stay ---------------------------------------------------------------------------------------------


@with_daemon("[restart]\npauses_s = 3600\n")
def a_job_whose_folder_is_gone_fails_at_once(d):
    c = d.client()
    job = c.call("job.submit", spec=spec(d.top), paused=True)["job"]
    shutil.rmtree(c.call("job.get", job=job)["directory"])
    c.call("job.resume", job=job)
    got = wait_state(c, job, "failed")
    assert got["restarts"] == 0 and "cannot be started: cannot open" in got["reason"], got


def what_stands_in_the_way_of_an_archive_is_not_tried_again():
    with Place("[restart]\npauses_s = 3600\n") as p:
        model = p.path("model")
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), model], check=True)
        job = p.ctl("submit", model, "-m", "rtn", "-s", "w4g32", "-o", "out", "--set", "archive=tar", "--paused")["job"]
        os.mkdir(p.path("out.tar"))
        p.ctl("resume", job)
        wait_until("its end", lambda: p.ctl("show", job)["state"] == "failed")
        got = p.ctl("show", job)
        assert got["restarts"] == 0 and "Is a directory" in got["reason"], got


run_tests([a_folder_that_others_can_write_is_refused_with_the_command_that_mends_it, a_folder_of_somebody_else_is_refused,
           a_state_folder_may_be_a_link_to_where_there_is_room,
           folders_of_the_environment_that_are_not_absolute_are_ignored, a_lost_working_directory_is_called_that,
           what_removes_a_folder_holds_nothing_of_the_daemon, what_cannot_be_removed_is_told,
           a_job_whose_folder_is_gone_fails_at_once, what_stands_in_the_way_of_an_archive_is_not_tried_again])
