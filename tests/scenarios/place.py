"""Mounts and helper processes for scenarios in which umount finds a mount busy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from umtrace.exercise import syscalls
from umtrace.exercise.children import fork_child, reap

EBUSY = 16
_RETRIES = 2000


@dataclass(slots=True)
class Place:
    """A directory in the caller's own mount namespace; ``calls`` is every umount made."""

    root: Path
    calls: list[tuple[str, int, int]] = field(default_factory=list)  #: path, flags, errno
    #: the first umount that said EBUSY: when it began, when it was back, CLOCK_MONOTONIC
    first_busy_ns: tuple[int, int] = (0, 0)
    in_the_way_ns: int = 0  #: how long after that a walker who was inside then was out again

    def mount(self, name: str, fstype: str = "tmpfs", data: str = "") -> Path:
        """Mount at a new directory, with one file ``x`` in it."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        syscalls.mount("umtrace-ebusy", str(path), fstype, data=data)
        (path / "x").write_text("x" * 4096)
        return path

    def umount(self, path: Path, flags: int = 0) -> int:
        """Unmount once and return the errno."""
        begin, took, failed = syscalls.timed_umount(os.fsencode(path), flags)
        self.calls.append((str(path), flags, failed))
        if failed == EBUSY and not any(self.first_busy_ns):
            self.first_busy_ns = (begin, begin + took)
        return failed

    def umount_retrying(self, path: Path, pause_s: float) -> int:
        """Unmount until it is not EBUSY any more; return how many were."""
        for busy in range(_RETRIES):
            if self.umount(path) != EBUSY:
                return busy
            time.sleep(pause_s)
        raise TimeoutError(f"{path}: still busy after {_RETRIES} calls")

    @contextmanager
    def helper(
        self, begin: Callable[[], object], loop: Callable[[], object] | None = None
    ) -> Iterator[int]:
        """Have a child that did ``begin``, and repeats ``loop``, for as long as the block runs.

        What ``begin`` returns is kept.
        """
        ready, tell = os.pipe()
        gone, stay = os.pipe()

        def body() -> None:
            os.close(stay)
            kept = begin()
            os.write(tell, b"r")
            while loop is not None:
                loop()  # until it is killed
            os.read(gone, 1)
            del kept

        pid = fork_child("umt-holder", self.root / "errors", body)
        os.close(tell)
        os.close(gone)
        try:
            if os.read(ready, 1) != b"r":
                raise RuntimeError((self.root / "errors").read_text())
            yield pid
        finally:
            os.close(ready)
            os.close(stay)
            if loop is not None:
                os.kill(pid, 9)
            reap([pid])
