"""A machine of its own to administer: this one's files under an overlay, systemd as process 1 of new namespaces, no
network. Nothing of it stays."""
import os
import shutil
import subprocess
import tempfile
import time

INIT = "/lib/systemd/systemd"
PROGRAMS = ["unshare", "nsenter", "mount", "pivot_root", "busctl", "systemctl", "journalctl", "runuser", "useradd"]
BOOT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$top"
cd "$top"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for dir in "$@"; do
    mkdir -p "./$dir"
    mount --bind "$dir" "./$dir"
done
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=srq-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target
"""


def missing():
    """Why no such machine can be made here; None: it can be tried."""
    if os.geteuid() != 0:
        return "only root may make a machine of its own"
    lacks = [p for p in PROGRAMS if shutil.which(p) is None] + ([] if os.path.exists(INIT) else [INIT])
    return "there is no " + ", ".join(lacks) if lacks else None


class Machine:
    def __init__(self, *folders):
        """`folders`: bound into it at the same place, shared with this machine."""
        self.top = tempfile.mkdtemp(prefix="srq-machine-")
        self.log = open(os.path.join("/tmp", os.path.basename(self.top) + ".log"), "w+b")
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--net", "--fork", "--kill-child", "bash", "-c", BOOT,
             "boot"] + list(folders), env={"PATH": os.environ["PATH"], "top": self.top}, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True)
        self.pid = None

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def boot(self, timeout=90):
        """None once systemd says that it runs; else why it does not."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return "the machine did not start: " + self.said()
            children = open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)).read().split()
            if children and os.readlink("/proc/%s/exe" % children[0]).endswith("/systemd"):
                self.pid = int(children[0])
                state = self.run("systemctl is-system-running", check=False).stdout.strip()
                if state in ("running", "degraded"):
                    return None
            time.sleep(0.1)
        return "systemd did not come up: " + self.said()

    def run(self, script, user=None, check=True, timeout=600, **more):
        """A script of bash in it, as root or another user, from her home folder; its output. Fails as the script does."""
        inside = ["runuser", "-u", user, "--"] if user else []
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb", "LANG": "C.UTF-8",
               "HOME": "/home/" + user if user else "/root"}
        env.update(more)
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-p", "-m", "-C", "-u", "-i", "-n", "-r", "-w"] + inside +
            ["env", "-i"] + ["%s=%s" % kv for kv in env.items()] + ["bash", "-e", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
        assert not check or done.returncode == 0, "%s\n-> %d\n%s" % (script, done.returncode, done.stdout)
        return done

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()  # and its child, with all that it started
            self.process.wait()
        self.log.close()
        os.unlink(self.log.name)
        os.rmdir(self.top)
