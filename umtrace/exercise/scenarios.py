"""The scenarios that the exercise does by itself, one call after the other."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from umtrace.exercise import syscalls
from umtrace.exercise.namespace import count_mounts
from umtrace.exercise.stage import Stage
from umtrace.exercise.walkers import umount_among, walking

_MS: Final = 1000.0
_SERIAL: Final = "serial"  # the slot of all mounts of which there is one at a time


def sync(stage: Stage) -> None:
    """Mount and unmount, `config.sync` times; walkers may be in the way."""

    def name(number: int) -> str:
        return f"sync/{number}"

    with walking(stage, lambda number: str(stage.root / name(number))) as walkers:
        for number in range(stage.config.sync):
            path = stage.prepare(_SERIAL, name(number))
            if stage.stop:
                return
            if walkers is None:
                stage.umount(path, "sync")
            else:
                walkers.aim(number)
                umount_among(stage, walkers, path, "sync")


def lazy(stage: Stage) -> None:
    """Mount and detach; with a hold, a file stays open that long after the return."""
    for number in range(stage.config.lazy):
        path = stage.prepare(_SERIAL, f"lazy/{number}")
        if stage.stop:
            return
        if stage.config.hold_ms:
            _detach_and_hold(stage, path)
        else:
            stage.umount(path, "lazy", syscalls.MNT_DETACH)


def propagate(stage: Stage) -> None:
    """Unmount one mount of a shared directory that has `config.propagate` peers."""
    if not stage.config.propagate:
        return
    top = stage.root / "propagate"
    shared = top / "shared"
    shared.mkdir(parents=True)
    syscalls.mount("umtrace-exercise", str(shared), "tmpfs")
    syscalls.mount("none", str(shared), flags=syscalls.MS_SHARED)
    (shared / "below").mkdir()
    for number in range(stage.config.propagate):
        if stage.stop:
            return
        _bind(shared, top / f"peer-{number}")
    before = count_mounts()
    path = stage.prepare(_SERIAL, "propagate/shared/below")
    if not stage.stop:
        stage.umount(path, "propagate", n_mounts=count_mounts() - before)


def busy(stage: Stage) -> None:
    """Unmount mounts with an open file, once each; they go with the namespace."""
    for number in range(stage.config.busy):
        path = stage.prepare(f"busy-{number}", f"busy/{number}")
        if stage.stop:
            return
        stage.held.callback(os.close, _open_inside(path))
        stage.umount(path, "busy")
    if stage.config.busy:
        stage.stop.sleep(stage.config.hold_ms / _MS)


def _bind(source: Path, target: Path) -> None:
    target.mkdir()
    syscalls.mount(str(source), str(target), flags=syscalls.MS_BIND)


def _open_inside(path: str) -> int:
    return os.open(f"{path}/held", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _detach_and_hold(stage: Stage, path: str) -> None:
    with ExitStack() as opened:
        opened.callback(os.close, _open_inside(path))
        stage.umount(path, "lazy", syscalls.MNT_DETACH)
        stage.stop.sleep(stage.config.hold_ms / _MS)
    stage.log.end_tail(time.perf_counter_ns() + stage.ledger.clock.offset_ns)
