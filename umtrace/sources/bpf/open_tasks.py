"""Reads the operations that run out of the maps of the probe programs: bpf/task.h.

The array is mapped (BPF_F_MMAPABLE, Linux 5.5), so that no probe runs and no lock is taken. An
entry may change while it is read, so its task's id is read again after it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

import numpy as np

from umtrace.model.events import Array
from umtrace.model.kinds import OnStack
from umtrace.model.open_tasks import OpenTask
from umtrace.sources.bpf.bpf_syscall import entries, map_info

#: fields of struct um_task that are read, and their offsets; the rest of it may change
FIELDS = {
    "tid": ("u4", 0),
    "tgid": ("u4", 4),
    "phase": ("u2", 12),
    "begun_ns": ("u8", 24),
    "since_ns": ("u8", 32),
    "last_kind": ("u2", 40),
    "on_stack": ("u2", 42),
    "flags": ("u4", 44),
    "mnt": ("u8", 48),
}
#: enum um_phase
OPENING, EXITING = 0, 3


def task_dtype(size: int) -> np.dtype[np.void]:
    """Return the dtype of an entry that takes ``size`` bytes."""
    formats, offsets = zip(*FIELDS.values(), strict=True)
    return np.dtype(
        {"names": list(FIELDS), "formats": formats, "offsets": offsets, "itemsize": size}
    )


class OpenTasks:
    """The open operations of a BPF source.

    Parameters
    ----------
    map_fd : callable
        From the name of a map to its descriptor.
    by_function : bool
        Whether the functions of all phases are probed.
    """

    def __init__(self, map_fd: Callable[[str], int], *, by_function: bool) -> None:
        self._fd = map_fd
        self._by_function = by_function
        info = map_info(map_fd("tasks"))
        self._dtype = task_dtype(info.value_bytes)
        pages = -(-info.value_bytes * info.entries // mmap.PAGESIZE)
        self._memory = mmap.mmap(map_fd("tasks"), pages * mmap.PAGESIZE, prot=mmap.PROT_READ)
        self._slots = info.entries

    def read(self) -> list[OpenTask]:
        """Return the operations that run now."""
        slots = np.frombuffer(self._memory, self._dtype, self._slots)
        used = np.flatnonzero(slots["tid"])
        some = slots[used].copy()
        settled = some[slots["tid"][used] == some["tid"]]
        del slots  # close() cannot unmap what an array refers to
        found = self._opened(settled)
        for name, waits in (("displaced", False), ("parked", True)):
            values = b"".join(entries(self._fd(name), 4, self._dtype.itemsize))
            found += self._opened(np.frombuffer(values, self._dtype), waits=waits)
        return found

    def close(self) -> None:
        """Unmap; may be called twice."""
        self._memory.close()

    def _opened(self, some: Array, *, waits: bool = False) -> list[OpenTask]:
        running = some[(some["phase"] != OPENING) & (some["phase"] != EXITING)]
        return [
            OpenTask(
                tid=int(one["tid"]),
                pid=int(one["tgid"]),
                begun_ns=int(one["begun_ns"]),
                since_ns=int(one["since_ns"]),
                kind=int(one["last_kind"]),
                on_stack=OnStack(int(one["on_stack"]) & sum(OnStack)),
                mount=int(one["mnt"]) or None,
                flags=int(one["flags"]),
                by_function=self._by_function,
                waits=waits,
            )
            for one in running
        ]
