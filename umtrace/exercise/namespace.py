"""A mount namespace of our own: nothing done inside reaches the host.

It ends inside setns, back into the namespace it was copied from, and not when a task
exits; so a run of the exercise adds no teardown by an exiting task.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.calls import Actor
from umtrace.exercise.ledger import Teardown
from umtrace.model.clock import ClockPair
from umtrace.model.errors import NotPermittedError, UmtraceError

PREFIX: Final = "umtrace-exercise-"
_MOUNTINFO: Final = Path("/proc/self/mountinfo")  # never held open
_TASKS: Final = Path("/proc/self/task")
_PATIENCE_S: Final = 30.0
_POLL_S: Final = 0.0005


class PrivateNamespace:
    """Where the exercise works; `teardown` is known once it has been left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.actor = Actor.current()
        self.teardown: Teardown | None = None

    def leave(self, origin_fd: int, clock: ClockPair) -> None:
        """Go back to the namespace of `origin_fd`; this one ends with that."""
        actor, n_mounts = Actor.current(), count_all_mounts()
        _wait_for_threads()
        begin = ClockPair.here().monotonic_ns
        syscalls.enter_mounts(origin_fd)
        end = ClockPair.here().monotonic_ns
        self.teardown = Teardown(
            how="setns",
            mntns=actor.mntns,
            pid=actor.pid,
            tid=actor.tid,
            comm=actor.comm,
            t_start=begin + clock.offset_ns,
            latency_ns=end - begin,
            n_mounts=n_mounts,
        )


@contextlib.contextmanager
def private_namespace(clock: ClockPair) -> Iterator[PrivateNamespace]:
    """Enter a private mount namespace with a private tmpfs on a new directory.

    Whatever is opened inside must be closed, and whoever is forked inside must be
    dead, before it is left: they would keep its mounts alive.
    """
    _sweep()
    with contextlib.ExitStack() as undo:
        root = undo.enter_context(_root_directory())
        origin, slash, cwd = (
            undo.enter_context(_opened(p)) for p in ("/proc/self/ns/mnt", "/", ".")
        )
        _unshare()
        space = PrivateNamespace(root)
        try:
            syscalls.make_private()
            syscalls.mount("umtrace-exercise", str(root), "tmpfs", data="mode=700")
            yield space
        finally:
            space.leave(origin, clock)
            _restore(slash, cwd)


def _wait_for_threads() -> None:
    """Wait until the threads that were joined have ended.

    A join returns in the kernel's exit_mm(). The thread shares our root and working directory
    until exit_fs(), and setns(2) answers EINVAL for so long.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while len(list(_TASKS.iterdir())) > 1 and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _unshare() -> None:
    try:
        syscalls.unshare_mounts()
    except OSError as error:
        if error.errno == errno.EPERM:
            raise NotPermittedError(
                "exercise makes mounts: needs root: run with sudo, or CAP_SYS_ADMIN"
            ) from error
        raise UmtraceError(f"cannot make a mount namespace: {error.strerror}") from error


def _restore(slash: int, cwd: int) -> None:
    # setns moved both to the root of the namespace; a chrooted caller was elsewhere.
    os.fchdir(slash)
    os.chroot(".")
    os.fchdir(cwd)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    flags = os.O_RDONLY if path.startswith("/proc/") else os.O_PATH
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _root_directory() -> Iterator[Path]:
    # The lock tells _sweep of an exercise in another pid namespace that this one
    # lives; removing its directory would take its mounts down.
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        with _opened_directory(root) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield root
    finally:
        with contextlib.suppress(OSError):
            root.rmdir()


@contextlib.contextmanager
def _opened_directory(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _sweep() -> None:
    """Remove the empty directories that killed runs have left."""
    for path in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            _remove_if_stale(path)


def _remove_if_stale(path: Path) -> None:
    pid = path.name.removeprefix(PREFIX).partition("-")[0]
    if not pid.isdecimal() or Path("/proc", pid).exists():
        return
    with _opened_directory(path) as fd:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rmdir()


def count_mounts() -> int:
    """Count the mounts that this task can see."""
    return _MOUNTINFO.read_bytes().count(b"\n")


def count_all_mounts() -> int:
    """Count the mounts that go with the namespace.

    That is what this task can see, and the parents of those mounts that no path
    leads to: mostly one, the initial rootfs under /.
    """
    split = [line.split(b" ", 2) for line in _MOUNTINFO.read_bytes().split(b"\n")[:-1]]
    ids = {words[0] for words in split}
    parents = {words[1] for words in split}
    return len(split) + len(parents - ids)
