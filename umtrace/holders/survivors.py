"""Finds what keeps superblocks alive when tracing has ended.

It reads the mount table of every namespace, so it must not run earlier.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from umtrace.holders import procfs
from umtrace.holders.namespaces import Namespaces
from umtrace.holders.others import Others
from umtrace.model.holders import Holder, HolderScan
from umtrace.model.windows import EbusyWindow

_BUDGET_S = 1.0
_MOST_WINDOWS = 64
_MOST_HOLDERS = 32


def survivors(
    windows: Iterable[EbusyWindow], clock: Callable[[], int] = time.time_ns
) -> list[HolderScan]:
    """Return a scan for each window of a superblock that is still alive; ``clock`` is in ns."""
    asked = [w for w in windows if w.dev is not None and w.umount_id is not None][:_MOST_WINDOWS]
    if not asked:
        return []
    begin = clock()
    spaces = Namespaces.read(_BUDGET_S)
    denied = [f"{len(spaces.denied)} processes (denied)"] if spaces.denied else []
    return [
        HolderScan(
            umount_id=window.umount_id or 0,
            path=window.path or "",
            begin_ns=begin,
            end_ns=clock(),
            dev=window.dev,
            holders=tuple(_mounts(spaces, window.dev or "")),
            blind=(*denied, *spaces.lost),
        )
        for window in asked
    ]


def _mounts(spaces: Namespaces, dev: str) -> list[Holder]:
    found = list(Others(spaces, None, dev).holders())[:_MOST_HOLDERS]
    return [
        replace(
            holder,
            detail=procfs.readable(holder.detail or ""),
            comm=holder.comm and procfs.readable(holder.comm),
            keeper=holder.keeper and procfs.readable(holder.keeper),
            enter=_readable(holder.enter),
            unmount=_readable(holder.unmount),
        )
        for holder in found
    ]


def _readable(words: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return words and tuple(procfs.readable(word) for word in words)
