"""Finds the few rows of a batch that may belong to an EBUSY window."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import fixed, integers, mask, number, text

MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
EBUSY = 16
ENOENT = 2
EINVAL = 22

_BUSY = number(EBUSY, pa.int32())
_NO_TIME = number(0, pa.int64())
_PUT_LATE = text(["pending", "other", "kworker"])


_normal = lru_cache(4096)(posixpath.normpath)
Key = tuple[object, ...]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One umount row as Python values; ``t_start`` in ns. The names are those of the columns."""

    id: int
    t_start: int
    latency_ns: int | None
    errno: int
    flags: int | None
    origin: str | None
    mode: str | None
    path: str | None
    dev: str | None
    mount_id: int | None
    mntns: int | None
    pid: int | None
    tid: int
    comm: str | None
    container: str | None
    refcount: int | None
    final_put: str | None
    final_put_comm: str | None
    tail_ns: int | None
    tier: str | None
    lookup_ns: int | None
    lock_ns: int | None
    rcu_ns: int | None
    shutdown_ns: int | None

    @property
    def end_ns(self) -> int:
        """The time at which the task was back in user mode, ns."""
        return self.t_start + (self.latency_ns or 0)

    @property
    def checked_ns(self) -> int:
        """The latest time at which the mount was found free or busy, ns.

        The task may have waited before that, in the path lookup or for the namespace lock. In the
        function tiers, both are fully known; in the others, the waits after the check are.
        """
        after = (self.rcu_ns or 0) + (self.shutdown_ns or 0)
        latest = max(self.end_ns - after, self.t_start)
        if self.mount_id is None or self.lookup_ns is None or self.lock_ns is None:
            return latest
        return min(latest, self.t_start + self.lookup_ns + self.lock_ns)

    @property
    def busy(self) -> bool:
        """Whether it got EBUSY."""
        return self.errno == EBUSY

    @property
    def proves_free(self) -> bool:
        """Whether it proves that the mount had no holder, since a plain umount of it succeeded.

        If the tier does not know the mount, this may be another mount of the task, and proves
        nothing.
        """
        named = self.mount_id is not None or self.path is not None
        return named and self.errno == 0 and not (self.flags or 0) & (MNT_DETACH | MNT_FORCE)

    @property
    def is_the_end(self) -> bool:
        """Whether the mount was unmounted by it, or before it."""
        return self.errno in {0, ENOENT, EINVAL}

    @property
    def expiring(self) -> bool:
        """Whether it was an MNT_EXPIRE call."""
        return bool((self.flags or 0) & MNT_EXPIRE)

    @property
    def key(self) -> Key:
        """The mount, as far as it is known: its id, or its path in a mount namespace."""
        if self.mount_id is not None:
            return ("mount", self.mount_id)
        if self.path is None:
            return ("task", self.tid)
        path = _normal(self.path)
        return ("path", self.mntns, path, None if path.startswith("/") else self.pid)

    @property
    def above(self) -> list[Key]:
        """The keys of mounts that it may be mounted in, if only its path is known."""
        kind, *where = self.key
        if kind != "path" or self.errno != 0:
            return []
        return [(kind, where[0], path, None) for path in _parents(str(where[1]))]


_COLUMNS = tuple(field.name for field in fields(Attempt))


def _parents(path: str) -> Iterator[str]:
    """Yield the parent directories of an absolute path, without the root."""
    while (path := path.rpartition("/")[0]).startswith("/"):
        yield path


def attempts(
    rows: pa.RecordBatch, wanted: Mask | None = None
) -> Iterator[tuple[Attempt, int, int]]:
    """Yield the rows that are umount calls with a known result, in their order.

    Each comes with the latest begin of the rows before it in the batch, 0 for the first, and with
    the latest end of the rows up to it, tails included, ns. Only the ``wanted`` ones, bool of shape
    (n,), are converted to Python values.
    """
    before = np.concatenate([[0], np.maximum.accumulate(_begins(rows))])[: len(rows)]
    until = np.maximum.accumulate(_ends(rows))
    rows = rows.select(_COLUMNS)
    if wanted is not None and not wanted.all():
        before, until = before[wanted], until[wanted]
        rows = rows.take(fixed(np.flatnonzero(wanted), pa.int64()))
    columns = zip(*(_plain(rows, name) for name in _COLUMNS), strict=True)
    for begin, end, values in zip(before.tolist(), until.tolist(), columns, strict=True):
        attempt = Attempt(*values)
        if attempt.origin == "umount" and attempt.errno is not None and attempt.t_start is not None:
            yield attempt, begin, end


def candidate_rows(rows: pa.RecordBatch, open_keys: Collection[Key], tids: Collection[int]) -> Mask:
    """Return which rows may begin or end a window, or be one, and the rows of some tasks.

    It may return a few rows too many. ``open_keys`` are the mounts with an open window. The
    selection saves time, since nearly no row is of interest, and an `Attempt` costs microseconds.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

    busy = mask(pc.equal(rows.column("errno"), _BUSY))
    late = mask(pc.greater(rows.column("tail_ns"), _NO_TIME))
    put = mask(pc.is_in(rows.column("final_put"), _PUT_LATE))
    found: Mask = busy | late | put
    if tids:
        found |= np.isin(integers(rows.column("tid")), list(tids))
    if open_keys or busy.any():
        keys = {*open_keys, *(attempt.key for attempt, *_ in attempts(rows, busy))}
        found |= _maybe_of(rows, keys)
    return found


def _maybe_of(rows: pa.RecordBatch, keys: Collection[Key]) -> Mask:
    """Return which rows may be of these mounts, or of mounts below: same id, path or task."""
    known: dict[object, set[object]] = {"mount": set(), "path": set(), "task": set()}
    for kind, *values in keys:
        known[kind].add(values[1] if kind == "path" else values[0])
    paths = rows.column("path").dictionary_encode()
    same = [_leads_to(path, known["path"]) for path in paths.dictionary.to_pylist()]
    codes = integers(paths.indices, len(same))
    found: Mask = np.array([*same, False], np.bool_)[codes]
    if known["mount"]:
        mounts = np.array([*known["mount"]], np.uint64).view(np.int64)  # the type of `integers`
        found |= np.isin(integers(rows.column("mount_id")), mounts)
    if known["task"]:
        found |= np.isin(integers(rows.column("tid")), np.array([*known["task"]], np.int64))
    return found


def _leads_to(path: str, known: set[object]) -> bool:
    if not known:
        return False
    path = _normal(path)
    return path in known or any(parent in known for parent in _parents(path))


def any_busy(rows: pa.RecordBatch) -> bool:
    """Whether any row has EBUSY."""
    import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

    return bool(pc.any(pc.equal(rows.column("errno"), _BUSY)).as_py())


def latest_begin(rows: pa.RecordBatch) -> int:
    """Return the latest begin of the rows, ns; 0 if there are no rows."""
    return int(_begins(rows).max(initial=0))


def latest_end(rows: pa.RecordBatch) -> int:
    """Return the latest end of the rows, including tails, ns."""
    return int(_ends(rows).max(initial=0))


def _ends(rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
    ends: npt.NDArray[np.int64] = _begins(rows).copy()
    for name in ("latency_ns", "tail_ns"):
        ends += integers(rows.column(name))
    return ends


def spans(rows: pa.RecordBatch) -> Iterator[tuple[int, int, int]]:
    """Return the task of each row, and when its call began and ended, ns."""
    begins = _begins(rows)
    ends = begins + integers(rows.column("latency_ns"))
    tids = integers(rows.column("tid"))
    return zip(tids.tolist(), begins.tolist(), ends.tolist(), strict=True)


def _begins(rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
    return integers(rows.column("t_start").cast(pa.int64()))


def _plain(rows: pa.RecordBatch, name: str) -> list[Any]:
    column = rows.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())  # to_pylist would import pandas
    values: list[Any] = column.to_pylist()
    return values
