"""Umounts that hang until they are released: in the path lookup, and in the shutdown of the file
system. For tests of kills.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from umtrace.exercise import syscalls

#: what is on the kernel stack of the task meanwhile
ON_STACK = {"lookup": "fuse_lookup", "shutdown": "fuse_"}
PHASES = tuple(ON_STACK)
BEGINS_S = 60


def in_phase(pid, phase):
    """Whether the umount of this task is in the phase, as the kernel says it."""
    with suppress(OSError):
        return ON_STACK[phase] in Path(f"/proc/{pid}/stack").read_text()
    return False


def until(what, seconds=BEGINS_S):
    """Wait; return whether it came."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def umounter(path, go):
    """Start a process that waits for the word, unmounts a path and ends with the errno."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.read(go, 1)
        os._exit(syscalls.timed_umount(os.fsencode(path), 0)[2])
    finally:
        os._exit(255)


@contextmanager
def silent_server(point, phase):
    """A FUSE server that does not answer what the phase asks; yields its process."""
    point.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.lab.silent_fuse", str(point), phase]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline() == "serves\n"
            point.stat()  # it has answered the first question
            yield server
        finally:
            server.kill()


class Held:
    """An umount in each phase at once; ``pids`` has the task in each.

    The caller has a mount namespace of its own.
    """

    def __init__(self, room):
        self.room = Path(room)
        self.pids = {}
        self.ended = {}  #: wait status of each, when all have ended
        self._stack = ExitStack()
        self._servers = {}
        self._go = {}

    def __enter__(self):
        for phase in PHASES:
            point = self.room / phase
            self._servers[phase] = self._stack.enter_context(silent_server(point, phase))
            go, self._go[phase] = os.pipe()
            self.pids[phase] = umounter(point / "x" if phase == "lookup" else point, go)
            os.close(go)
        return self

    def begin_all(self):
        """Let each umount begin; return which came into their phases."""
        return {phase: self._begin(phase) for phase in PHASES}

    def still(self):
        """Return which are in their phases now."""
        return {phase: in_phase(pid, phase) for phase, pid in self.pids.items()}

    def _begin(self, phase):
        os.write(self._go[phase], b".")
        said = self._servers[phase].stdout
        came, _, _ = select.select([said], [], [], BEGINS_S)
        return bool(came) and said.readline() == "silent\n"

    def __exit__(self, *_error):
        self._stack.close()
        for phase, pid in self.pids.items():
            self.ended[phase] = os.waitpid(pid, 0)[1]
