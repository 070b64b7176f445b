"""A Slurm of one node in a temporary folder, for tests as root: its own configuration, key, sockets and ports."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_S = 60
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue")
# Quick to schedule and to run a requeued job again (cred_expire: seconds it waits, 5 at least), and nothing that wants
# control groups.
CONFIG = """ClusterName=srqtest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={top}/munge/socket,cred_expire=5
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmctldPidFile={top}/slurmctld.pid
SlurmdPidFile={top}/slurmd.pid
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/spool
SlurmctldLogFile={top}/slurmctld.log
SlurmdLogFile={top}/slurmd.log
PlugStackConfig={top}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why there can be no cluster here; None: there can."""
    if os.geteuid() != 0:
        return "a Slurm of one's own is started by root alone"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    return "not installed: %s (Debian: slurm-wlm, munge)" % ", ".join(absent) if absent else None


class CannotStart(Exception):
    """The daemons are installed and do not come up here; their last words are the text."""


class Cluster:
    """Use with `with`; `env` is for what talks to it. The end cancels its jobs and ends every process it started."""

    def __init__(self, env):
        self.top = tempfile.mkdtemp(prefix="srq-slurm-")
        os.chmod(self.top, 0o755)  # munged wants its socket to be open to all
        self.daemons, self.up = [], False
        self.env = dict(env, SLURM_CONF=self.path("slurm.conf"),
                        PATH=env.get("PATH", "") + ":/usr/sbin:/sbin")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.up:
            self.run("scancel", "--full", "--signal=KILL", "--user=root", check=False)
            self.run("scancel", "--user=root", check=False)
            self.until(lambda: self.run("squeue", "--noheader", check=False).strip() == "", 20)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self.left_over():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.top, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.top, *parts)

    def left_over(self):
        """Processes with this cluster in their environment: steps and what they run."""
        wanted = b"SLURM_CONF=" + self.env["SLURM_CONF"].encode()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % name, "rb") as f:
                    if wanted in f.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                continue
        return found

    @staticmethod
    def until(what, limit_s):
        end = time.monotonic() + limit_s
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def run(self, *words, check=True):
        done = subprocess.run(words, env=self.env, cwd=self.top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, text=True, errors="replace")
        if check and done.returncode != 0:
            raise AssertionError("%s: %s" % (" ".join(words), done.stdout[-2000:]))
        return done.stdout

    def version(self):
        found = re.search(r"(\d+)\.(\d+)", self.run("slurmd", "-V", check=False))
        return tuple(int(n) for n in found.groups()) if found else (0, 0)

    def daemon(self, *words):
        with open(self.path(words[0] + ".out"), "wb") as out:
            self.daemons.append(subprocess.Popen(words, env=self.env, cwd=self.top, stdin=subprocess.DEVNULL, stdout=out,
                                                 stderr=subprocess.STDOUT))

    def wait_up(self, name, what):
        if self.until(lambda: self.daemons[-1].poll() is not None or what(), START_S) and self.daemons[-1].poll() is None:
            return
        words = ""
        for log in (name + ".out", name + ".log"):
            if os.path.exists(self.path(log)):
                with open(self.path(log), errors="replace") as f:
                    words += f.read()[-300:]
        raise CannotStart("%s does not come up here: %s" % (name, " ".join(words.split())[-300:]))

    def start(self):
        for folder, mode in (("munge", 0o755), ("state", 0o700), ("spool", 0o755)):
            os.mkdir(self.path(folder), mode)
        with open(os.open(self.path("munge", "key"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(os.urandom(128))
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            ports = one.getsockname()[1], two.getsockname()[1]
        host = socket.gethostname().split(".")[0]
        files = {"slurm.conf": CONFIG.format(host=host, top=self.top, port=ports[0], node_port=ports[1]),
                 "plugstack.conf": "",
                 "cgroup.conf": "CgroupPlugin=disabled\n" if self.version() >= (23, 11) else ""}
        for name, text in files.items():
            with open(self.path(name), "w") as f:
                f.write(text)
        self.daemon("munged", "--foreground", "--key-file=" + self.path("munge", "key"),
                    "--socket=" + self.path("munge", "socket"), "--pid-file=" + self.path("munge", "pid"),
                    "--log-file=" + self.path("munged.log"), "--seed-file=" + self.path("munge", "seed"))
        self.wait_up("munged", lambda: os.path.exists(self.path("munge", "socket")))
        self.daemon("slurmctld", "-D", "-f", self.path("slurm.conf"))
        self.wait_up("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False))
        self.daemon("slurmd", "-D", "-f", self.path("slurm.conf"))
        self.wait_up("slurmd", lambda: "State=IDLE" in self.run("scontrol", "show", "node", host, check=False))
        self.up = True

    # ---- jobs ----

    def submit(self, *words):
        """Hands it to sbatch; returns the number of the job."""
        return self.run("sbatch", "--parsable", *words).strip().split(";")[0]

    def show(self, job):
        """{"JobState": "RUNNING", …}"""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "show", "job", job)))
