"""Messages that a test saw, held to the message table by tests/lib/check_messages. Nothing is waited for until done()."""
import json
import os
import subprocess
import threading

OF_A_SHAPE = 50  # messages with the same members and types that are looked at; loss points come by the ten thousand


class Checker:
    def __init__(self):
        self.process = None
        self.lock = threading.Lock()
        self.seen = {}
        self.checked = 0

    def start(self):
        build = os.environ.get("top_builddir", os.getcwd())
        self.process = subprocess.Popen([os.path.join(build, "tests/lib/check_messages")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.wrong = []
        self.marked = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            line = line.decode(errors="replace").rstrip("\n")
            if line == "done":
                self.marked.set()
            else:
                self.wrong.append(line)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def see(self, method, **body):
        """`result` of an answer, or `params` of an event."""
        members = next(iter(body.values()))
        shape = (method, tuple(sorted((k, type(v)) for k, v in members.items()))) if isinstance(members, dict) else method
        with self.lock:
            self.seen[shape] = self.seen.get(shape, 0) + 1
            if self.seen[shape] > OF_A_SHAPE:
                return
            if self.process is None:
                self.start()
            self.checked += 1
            self.send(dict(body, method=method))

    def done(self):
        """Raises when a message seen since the last time was none of the table's."""
        with self.lock:
            if self.process is None:
                return
            self.marked.clear()
            self.send({"mark": "done"})
            self.process.stdin.flush()
        if not self.marked.wait(60):
            raise TimeoutError("check_messages does not answer")
        wrong, self.wrong = self.wrong, []
        assert not wrong, "%d messages that the table does not allow: %s" % (len(wrong), wrong[:5])

    def unseen(self):
        """Optional members of replies and events that no message so far had a value in."""
        self.done()
        with self.lock:
            self.marked.clear()
            self.send({"unseen": True})
            self.send({"mark": "done"})
            self.process.stdin.flush()
        if not self.marked.wait(60):
            raise TimeoutError("check_messages does not answer")
        names, self.wrong = self.wrong, []
        return names


checker = Checker()
