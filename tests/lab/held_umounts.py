"""Umounts that stay in a phase: in the path lookup, before and under the lock, in the RCU wait, in
the shutdown of the file system. For tests of kills, in a guest of the lab.
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

PHASES = ("lookup", "shutdown", "rcu", "locked", "lock")
_RCU = "synchronize_rcu"
#: what is on the kernel stack of the task meanwhile
ON_STACK = {"lookup": "fuse_lookup", "shutdown": "fuse_", "rcu": _RCU}
#: each doubling takes as much memory as all before: 2^17 mounts are some 60 MB
DOUBLINGS = 17
RCU_NORMAL = Path("/sys/kernel/rcu_normal")
FIRST_LOOK = Path("/sys/module/rcutree/parameters/jiffies_till_first_fqs")
BEGINS_S = 60
MOST_JIFFIES = "250"  # a second: a grace period notices an idle CPU no earlier
FUSE_DESTROY = 38


def stack(pid):
    """Return the functions on the kernel stack of a task; empty while it runs, or is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stack").read_text()
    return ""


def in_phase(pid, phase):
    """Whether the umount of this task is in the phase, as the kernel says it."""
    if phase not in ON_STACK:  # whoever has the lock runs, and so may the one that waits for it
        return alive(pid) and _RCU not in stack(pid)
    return ON_STACK[phase] in stack(pid)


def alive(pid):
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def until(what, seconds=BEGINS_S):
    """Wait; return whether it came."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def umounter(path, flags=0, before=lambda: None):
    """Start a process that unmounts a path and ends with the errno; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        before()
        os._exit(syscalls.timed_umount(os.fsencode(path), flags)[2])
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


@contextmanager
def long_grace_periods():
    """Each grace period is a normal one, and takes a second while a CPU is idle."""
    before = {knob: knob.read_text() for knob in (RCU_NORMAL, FIRST_LOOK)}
    RCU_NORMAL.write_text("1")
    FIRST_LOOK.write_text(MOST_JIFFIES)
    try:
        yield
    finally:
        for knob, text in before.items():
            knob.write_text(text)


def big_tree(point, doublings=DOUBLINGS):
    """Make a tree of 2**doublings mounts; the caller has a mount namespace of its own."""
    Path("/proc/sys/fs/mount-max").write_text("1000000")
    point.mkdir(parents=True)
    syscalls.mount("tree", str(point), "tmpfs")
    syscalls.mount("none", str(point), flags=syscalls.MS_PRIVATE)
    for level in range(doublings):
        below = point / str(level)
        below.mkdir()
        syscalls.mount(str(point), str(below), flags=syscalls.MS_BIND | syscalls.MS_REC)


class Held:
    """An umount in each of some phases at once; ``pids`` has the task in each.

    Only in a guest: the wait for the lock takes a tree of many mounts, the RCU wait changes RCU.
    """

    def __init__(self, room, phases=PHASES):
        self.room = Path(room)
        self.phases = phases
        self.pids = {}
        self.ended = {}  #: wait status of each, when all have ended
        self._stack = ExitStack()
        self._go = {}

    def __enter__(self):
        self._servers = {}
        # First the one with a mount namespace of its own: a copy of a mount keeps its file system.
        for phase in sorted(self.phases, key=lambda phase: phase != "locked"):
            self._prepare(phase, self.room / phase)
        return self

    def _prepare(self, phase, point):
        if phase == "locked":
            self._waiting(phase, point, syscalls.MNT_DETACH, lambda: big_tree(point))
            return
        if phase in ("lookup", "shutdown"):
            self._servers[phase] = self._stack.enter_context(silent_server(point, phase))
        else:
            point.mkdir(parents=True)
            syscalls.mount(phase, str(point), "tmpfs")
        self._waiting(phase, point / "x" if phase == "lookup" else point)

    def _waiting(self, phase, path, flags=0, prepare=None):
        """Start the umounter of a phase; it waits for the word."""
        ready, go = os.pipe(), os.pipe()

        def before():
            if prepare:
                syscalls.unshare_mounts()
                syscalls.make_private()
                prepare()
            os.write(ready[1], b".")
            os.read(go[0], 1)

        self.pids[phase] = umounter(path, flags, before)
        assert os.read(ready[0], 1)
        self._go[phase] = go[1]

    def begin_all(self):
        """Let each umount begin; return which came into their phases."""
        if "rcu" in self.phases:  # not before, since mounts and loop devices wait for them, too
            self._stack.enter_context(long_grace_periods())
        return {phase: self._begin(phase) for phase in self.phases}

    def still(self):
        """Return which are in their phases now."""
        return {phase: in_phase(pid, phase) for phase, pid in self.pids.items()}

    def _begin(self, phase):
        os.write(self._go[phase], b".")
        if phase in self._servers:
            said = self._servers[phase].stdout
            came, _, _ = select.select([said], [], [], BEGINS_S)
            return bool(came) and said.readline() == "silent\n"
        return until(lambda: in_phase(self.pids[phase], phase))

    def __exit__(self, *_error):
        self._stack.close()
        for phase, pid in self.pids.items():
            self.ended[phase] = os.waitpid(pid, 0)[1]
