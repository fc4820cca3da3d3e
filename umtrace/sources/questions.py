"""Leaves out the system calls of `umtrace why --ask-kernel`, which are no umounts by a user.

A file that only root can write to (holders/ask_kernel_child.py) lists them: the task, the begin and
the end of each. So a call of another program is never left out, whatever its flags and its name.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from umtrace.holders.ask_kernel import FOLDER
from umtrace.model.events import FOREIGN, Array, EventBatch, Kind

#: assumed for a call while the file has no end for it yet
_LONGEST_NS = 1_000_000_000
#: the return to user mode and the next system call are part of the call, too
_AFTER_NS = 20_000_000
#: not left out, since they may be evidence for other umounts
_KEPT = (Kind.WALK, Kind.PUT, Kind.SKIPPED)
_FIELDS = 5
_MAJOR_SHIFT = 20  # dev_t inside the kernel

_Mask: TypeAlias = npt.NDArray[np.bool_]


class Questions:
    """Leaves the events of these calls out of batches; ``left_out`` counts the calls."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self._asked: dict[tuple[int, int], tuple[int, str]] = {}  # (tid, begin) -> end, device
        self._met: set[tuple[int, int]] = set()

    @property
    def left_out(self) -> int:
        """Number of calls that were left out so far."""
        return len(self._met)

    def leave_out(self, batch: EventBatch) -> EventBatch:
        """Return a batch without them; for each batch it checks the file's time and size once."""
        events = batch.events
        if not len(events) or not self._read():
            return batch
        drop = np.zeros(len(events), np.bool_)
        first, last = int(events["ts_ns"].min()), int(events["ts_ns"].max())
        for (tid, begin), (end, dev) in self._asked.items():
            if end < first or begin > last:
                continue
            mine = _during(events, begin, end) & (events["tid"] == tid) & _of_a_call(events)
            if mine.any():
                self._met.add((tid, begin))
            drop |= mine | _refused_by_us(events, begin, end - _AFTER_NS, dev)
        return replace(batch, events=events[~drop]) if drop.any() else batch

    def _read(self) -> bool:
        """Read the file again if it has changed; return whether it lists any call."""
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            status = os.stat("asked", dir_fd=folder, follow_symlinks=False)
            if self._seen != (status.st_mtime_ns, status.st_size):
                self._seen = (status.st_mtime_ns, status.st_size)
                self._asked = self._parse(folder) if _roots_own(folder) else {}
        except OSError:
            return False
        finally:
            os.close(folder)
        return bool(self._asked)

    def _parse(self, folder: int) -> dict[tuple[int, int], tuple[int, str]]:
        file = os.open("asked", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        with open(file, encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            fields = [line.split() for line in lines]
        found: dict[tuple[int, int], tuple[int, str]] = {}
        for each in fields:
            if len(each) != _FIELDS or not (each[1].isdigit() and each[2].isdigit()):
                continue
            moment, tid, now = each[0], int(each[1]), int(each[2])
            dev = each[4] if each[3] == "device" else ""
            if moment == "begin":
                found[tid, now] = (now + _LONGEST_NS, dev)
            else:
                begun = max((key for key in found if key[0] == tid), default=None)
                if begun is not None:
                    found[begun] = (now + _AFTER_NS, dev)
        return found


def _roots_own(folder: int) -> bool:
    own = {0, os.geteuid()}
    file = os.stat("asked", dir_fd=folder, follow_symlinks=False)
    both = (os.fstat(folder), file)
    return stat.S_ISREG(file.st_mode) and all(
        status.st_uid in own and not status.st_mode & 0o022 for status in both
    )


def _during(events: Array, begin: int, end: int) -> _Mask:
    found: _Mask = (events["ts_ns"] >= begin) & (events["ts_ns"] <= end)
    return found


def _of_a_call(events: Array) -> _Mask:
    own = (events["cpu"] & FOREIGN) == 0
    found: _Mask = ~np.isin(events["kind"], _KEPT) & (own | (events["kind"] == Kind.FAILED))
    return found


def _refused_by_us(events: Array, begin: int, end: int, dev: str) -> _Mask:
    """Return the claims by other tasks that failed because of ours, not because of an umount."""
    if not dev:
        return np.zeros(len(events), np.bool_)
    major, _, minor = dev.partition(":")
    number = int(major) << _MAJOR_SHIFT | int(minor)
    refused: _Mask = (events["kind"] == Kind.FAILED) & (events["b"] == number)
    return refused & _during(events, begin, end)
