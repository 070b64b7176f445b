"""A terminal of its own for tests of full-screen programs: tmux, a shell in it, keys and pictures."""
import os
import re
import shutil
import subprocess
import time


class Timeout(Exception):
    pass


class Terminal:
    """A shell in a tmux of its own. Use with `with`: the end takes server and shell away."""

    def __init__(self, folder, width=100, height=30, env=None, term="tmux-256color"):
        self.socket = os.path.join(folder, "tmux-%d-%x" % (os.getpid(), id(self)))
        self.env = dict(os.environ if env is None else env, LC_ALL="C.UTF-8", TERM="xterm")
        self.env.pop("TMUX", None)
        self.asked = 0
        config = self.socket + ".conf"
        with open(config, "w") as f:
            # A user may have no shell that runs anything.
            f.write("set -g default-shell /bin/sh\nset -g default-terminal %s\nset -g status off\nset -s escape-time 0\nset -g remain-on-exit on\n" % term)
        self.base = ["tmux", "-f", config, "-S", self.socket]
        with open(self.socket + ".rc", "w") as f:
            f.write("PS1='@ '\n")
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height), "exec env ENV='%s.rc' sh" % self.socket)
        try:
            self.until(r"^@ *$")
        except Timeout:
            self.__exit__()
            raise

    @staticmethod
    def there():
        return shutil.which("tmux") is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(self.base + ["kill-server"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def tmux(self, *words):
        return subprocess.run(self.base + list(words), env=self.env, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60).stdout.decode(errors="replace")

    def get(self, name):
        """A variable of the pane: alternate_on, cursor_flag, mouse_any_flag, pane_pid, pane_width …"""
        return self.tmux("display-message", "-p", "#{%s}" % name).strip()

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def keys(self, *names):
        """Keys by their names in tmux: Enter, Escape, C-c, Up …"""
        self.tmux("send-keys", *names)

    def bytes(self, text):
        """Bytes as a terminal sends them: "\\033" is not followed by anything that tmux makes of a key."""
        self.tmux("send-keys", "-H", *["%02x" % b for b in text.encode()])

    def paste(self, text):
        """As a terminal pastes: in brackets where the program asked for them."""
        self.tmux("set-buffer", "--", text)
        self.tmux("paste-buffer", "-p", "-r")

    def run(self, line):
        """Types a line at the shell's prompt."""
        self.type(line)
        self.keys("Enter")

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def until(self, pattern, timeout=30.0):
        """Waits for a screen that has the pattern (lines); the screen."""
        end = time.monotonic() + timeout
        while True:
            seen = self.screen()
            if re.search(pattern, seen, re.M):
                return seen
            if time.monotonic() > end:
                raise Timeout("no %r within %g s on:\n%s" % (pattern, timeout, seen))
            time.sleep(0.05)

    def output(self, line, timeout=30.0):
        """What a command prints at the shell, with the screen cleared before."""
        self.asked += 1
        mark = "end-%d-of-it" % self.asked
        self.run("clear; %s; echo end-'%d'-of-it" % (line, self.asked))
        return self.until("^%s$" % mark, timeout).split(mark)[0]

    def children(self):
        """Processes that the shell started."""
        shell = self.get("pane_pid")
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % name) as f:
                    if f.read().rsplit(")", 1)[1].split()[1] == shell:
                        found.append(int(name))
            except OSError:
                pass
        return found
