#!/usr/bin/env python3
"""The chapter ADMINISTRATION of srqd(8), carried out as written on a machine with systemd: every command in order, by
root, anna and bert; and what the chapter promises of them."""
import os
import re
import sys
import time

SOURCE = os.path.abspath(os.environ.get("top_srcdir", "."))
BUILD = os.path.abspath(os.environ.get("top_builddir", SOURCE))
sys.path.insert(0, os.path.join(SOURCE, "tests/lib"))
from machine import Machine, missing  # noqa: E402
from srqd_client import run_tests  # noqa: E402

LONG = ("srqctl submit /usr/local/share/srq/models/demo-lm -m signround -s w4g128 -o ~/long --name long "
        "--calib /usr/local/share/srq/text/demo-calib.txt --set signround.iters=100000 --set threads=1")


def chapter():
    """[(subsection, user or None, commands)] of all displays, in order."""
    out, section, lines = [], None, None
    with open(os.path.join(SOURCE, "man/srqd.8")) as f:
        text = f.read()
    text = text[text.index(".Sh ADMINISTRATION\n"):]
    for line in text[:text.index(".Sh ENVIRONMENT\n")].split("\n"):
        if line.startswith(".Ss "):
            section = line[4:]
        elif line.startswith(".Bd -literal"):
            lines = []
        elif line.startswith(".Ed"):
            user = re.match(r"# as (\w+)$", lines[0])
            out.append((section, user and user.group(1), "\n".join(lines)))
            lines = None
        elif lines is not None:
            lines.append(line.replace("\\e", "\\"))
    return out


def wait_for(machine, what, script, wanted, user=None):
    until = time.monotonic() + 120
    while True:
        said = machine.run(script, user=user, check=False).stdout
        if re.search(wanted, said):
            return said
        assert time.monotonic() < until, "%s: %s" % (what, said)
        time.sleep(0.2)


def look_after(machine, section, user, said):
    """What the page says of the commands just carried out."""
    if section == "Configuration":
        assert "srqd.conf: ok" in said, said
    if section == "Start":
        assert re.search(r"ok +state +/var/lib/srq, ", said), said
        assert "system service" in said and "/run/srq/srqd.sock" in said, said
    if section == "A user's first job":
        assert "first" in said and "done" in said and re.search(r"directory +/var/lib/srq/jobs/", said), said
        assert machine.run("stat -c '%U %n' /home/anna/demo-w4/model.safetensors").stdout.startswith("anna "), "not hers"
    if section == "Logs":
        assert ("job " in said and "anna" in said) if user is None else said != "", said
    if section == "Share of the machine":
        assert "srq.slice" in said and re.search(r"srq-job-\w+-\d+\.scope", said), said
    if section == "Upgrade":
        assert "draining" not in said.split("srqd ")[-1], said
    if section == "Removal":
        assert machine.run("systemctl is-active srqd", check=False).stdout.strip() == "inactive"
        assert not os.path.exists("/proc/%d/root/usr/local/sbin/srqd" % machine.pid)


def before(machine, section, kept):
    """What has to be there for what comes."""
    if section == "Users":
        machine.run("useradd -m -s /bin/bash anna; useradd -m -s /bin/bash bert; useradd -m -s /bin/bash carl")
    if section == "Share of the machine":  # a job that runs, in a scope of its own
        machine.run(LONG, user="anna")
        kept["pid"] = int(re.search(r"process (\d+)", wait_for(machine, "its worker", "srqctl show long",
                                                               r"running(.|\n)*process \d+", "anna")).group(1))
        wait_for(machine, "its scope", "cat /proc/%d/cgroup" % kept["pid"], r"/srq\.slice/srq-job-\w+-%d\.scope" % kept["pid"])
    if section == "Removal":  # it ran through the upgrade and the backup
        said = wait_for(machine, "the worker found again", "srqctl show long", r"running(.|\n)*process \d+", "anna")
        assert "process %d" % kept["pid"] in said, (kept, said)
        assert "srqd/store" not in machine.run("tar -tf /root/srq-backup.tar").stdout
        assert "srq/srqd.db" in machine.run("tar -tf /root/srq-backup.tar").stdout


def administer(machine):
    kept, done = {}, set()
    for section, user, script in chapter():
        if section not in done:
            before(machine, section, kept)
            done.add(section)
        said = machine.run(("cd %s; " % SOURCE if "make -C build" in script else "cd; ") +
                           script.replace("make -C build", "make -s -C " + BUILD), user=user).stdout
        if os.environ.get("SRQ_TEST_SHOW"):
            print("# %s%s\n%s" % (section, ", as " + user if user else "", said), file=sys.stderr)
        if (section, user) == ("A user's first job", "bert"):
            assert "first" in said and "anna" in said, said
        else:
            look_after(machine, section, user, said)
        if section == "A user's first job" and user == "anna":
            refused = machine.run("srqctl list", user="carl", check=False)
            assert refused.returncode != 0 or "first" not in refused.stdout, "carl is in no group: " + refused.stdout
    assert len(done) >= 10, done


def the_chapter_is_carried_out_as_written():
    reason = missing()
    if reason is None and not os.access(os.path.join(BUILD, "Makefile"), os.R_OK):
        reason = "there is no build to install"
    if reason is None and "\nprefix = /usr/local\n" not in open(os.path.join(BUILD, "Makefile")).read():
        reason = "this build is for another prefix than the page's"
    if reason is not None:
        return reason
    machine = Machine(*dict.fromkeys([SOURCE, BUILD]))
    try:
        reason = machine.boot()
        if reason is None:
            administer(machine)
        return reason
    finally:
        machine.stop()


if __name__ == "__main__":
    run_tests([the_chapter_is_carried_out_as_written])
