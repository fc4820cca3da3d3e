"""What every scenario works with: the private root, the log, and the calls that are logged."""

from __future__ import annotations

import gc
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from umtrace.exercise import syscalls
from umtrace.exercise.calls import Actor, CallLog
from umtrace.exercise.config import ExerciseConfig
from umtrace.exercise.interrupt import Stop
from umtrace.exercise.ledger import Ledger
from umtrace.exercise.sources import Sources

_FILES_PER_CHECK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The place of one run. `held` is closed just before the namespace is left."""

    config: ExerciseConfig
    root: Path
    actor: Actor
    ledger: Ledger
    sources: Sources
    held: ExitStack
    stop: Stop

    @property
    def log(self) -> CallLog:
        """The calls made so far."""
        return self.ledger.umounts

    @property
    def errors(self) -> Path:
        """The file in which children leave a line when they fail."""
        return self.root / "errors"

    def prepare(self, slot: str, name: str) -> str:
        """Mount the slot's source on a new directory, fill it, and return its path."""
        target = self.root / name
        target.mkdir(parents=True, exist_ok=True)
        self.sources.get(slot).mount(str(target))
        fill(target, self.config.files, self.stop)
        return str(target)

    def umount(
        self,
        path: str,
        scenario: str,
        flags: int = 0,
        *,
        retry: int = 0,
        n_mounts: int = 1,
        actor: Actor | None = None,
    ) -> int:
        """Unmount, log it, and return the errno.

        `n_mounts` is what goes if it succeeds; `actor` the calling task, else that of the stage.
        """
        context = self.log.context(path, scenario, actor or self.actor)
        begin, latency, failed = syscalls.timed_umount(os.fsencode(path), flags)
        self.log.add(
            context,
            t_start=begin + self.ledger.clock.offset_ns,
            latency_ns=latency,
            errno=failed,
            flags=flags,
            n_mounts=0 if failed else n_mounts,
            retry=retry,
        )
        return failed


def fill(directory: Path, files: int, stop: Stop) -> None:
    """Have `files` empty files in the directory, their inodes in memory."""
    if not files:
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number in range(files):
            with suppress(FileExistsError):  # an image keeps them from mount to mount
                os.mknod(f"f{number}", stat.S_IFREG | 0o600, dir_fd=fd)
            if number % _FILES_PER_CHECK == 0 and stop:
                return
    finally:
        os.close(fd)


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Keep the garbage collector out of the timed calls."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
