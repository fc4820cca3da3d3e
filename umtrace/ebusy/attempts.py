"""The rows that matter, out of batches in which hardly any does."""

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
    """One umount row, as Python values; ``t_start`` in ns. The names are those of the row."""

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
        """When it was back in user mode."""
        return self.t_start + (self.latency_ns or 0)

    @property
    def checked_ns(self) -> int:
        """When the mount was found free or busy, at the latest.

        It may have waited before: the walk to the mount, or the lock. In tiers that see functions
        both are known from end to end; else the waits that come after the check are.
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
        """Whether nobody can have held the mount: a plain umount of it succeeded.

        Of whatever the same task unmounted, where the tier names no mount: that proves nothing.
        """
        named = self.mount_id is not None or self.path is not None
        return named and self.errno == 0 and not (self.flags or 0) & (MNT_DETACH | MNT_FORCE)

    @property
    def is_the_end(self) -> bool:
        """Whether the mount was gone after it, or before."""
        return self.errno in {0, ENOENT, EINVAL}

    @property
    def expiring(self) -> bool:
        """Whether it was an MNT_EXPIRE call."""
        return bool((self.flags or 0) & MNT_EXPIRE)

    @property
    def key(self) -> Key:
        """The mount as well as it is known: its id, or its path in a namespace."""
        if self.mount_id is not None:
            return ("mount", self.mount_id)
        if self.path is None:
            return ("task", self.tid)
        path = _normal(self.path)
        return ("path", self.mntns, path, None if path.startswith("/") else self.pid)

    @property
    def above(self) -> list[Key]:
        """The keys of what it may be mounted in, where its path is all that is known of it."""
        kind, *where = self.key
        if kind != "path" or self.errno != 0:
            return []
        return [(kind, where[0], path, None) for path in _parents(str(where[1]))]


_COLUMNS = tuple(field.name for field in fields(Attempt))


def _parents(path: str) -> Iterator[str]:
    """Yield the directories on an absolute path, but not the root and not the path itself."""
    while (path := path.rpartition("/")[0]).startswith("/"):
        yield path


def attempts(rows: pa.RecordBatch, wanted: Mask | None = None) -> Iterator[tuple[Attempt, int]]:
    """Yield the rows that are umount calls with a known outcome, in their order.

    Each comes with the latest begin of the rows of the batch before it, 0 for the first.
    Only the ``wanted`` ones are made Python values of, bool of shape (n,).
    """
    before = np.concatenate([[0], np.maximum.accumulate(_begins(rows))])[: len(rows)]
    rows = rows.select(_COLUMNS)
    if wanted is not None and not wanted.all():
        before = before[wanted]
        rows = rows.take(fixed(np.flatnonzero(wanted), pa.int64()))
    columns = (_plain(rows, name) for name in _COLUMNS)
    for latest, values in zip(before.tolist(), zip(*columns, strict=True), strict=True):
        attempt = Attempt(*values)
        if attempt.origin == "umount" and attempt.errno is not None and attempt.t_start is not None:
            yield attempt, latest


def candidate_rows(rows: pa.RecordBatch, open_keys: Collection[Key], tids: Collection[int]) -> Mask:
    """Return which rows may begin, end or be a window, and those of some tasks; a few more too.

    ``open_keys`` are the mounts with a window under way. Nearly all rows are none of it,
    and an `Attempt` costs microseconds.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

    busy = mask(pc.equal(rows.column("errno"), _BUSY))
    late = mask(pc.greater(rows.column("tail_ns"), _NO_TIME))
    put = mask(pc.is_in(rows.column("final_put"), _PUT_LATE))
    found: Mask = busy | late | put
    if tids:
        found |= np.isin(integers(rows.column("tid")), list(tids))
    if open_keys or busy.any():
        keys = {*open_keys, *(attempt.key for attempt, _ in attempts(rows, busy))}
        found |= _maybe_of(rows, keys)
    return found


def _maybe_of(rows: pa.RecordBatch, keys: Collection[Key]) -> Mask:
    """Return which rows may be of mounts with these keys, or below: same id, path, or task."""
    known: dict[object, set[object]] = {"mount": set(), "path": set(), "task": set()}
    for kind, *values in keys:
        known[kind].add(values[1] if kind == "path" else values[0])
    paths = rows.column("path").dictionary_encode()
    same = [_leads_to(path, known["path"]) for path in paths.dictionary.to_pylist()]
    codes = integers(paths.indices, len(same))
    found: Mask = np.array([*same, False], np.bool_)[codes]
    if known["mount"]:
        mounts = np.array([*known["mount"]], np.uint64).view(np.int64)  # as `integers` has them
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
    """Whether a row says EBUSY."""
    import pyarrow.compute as pc  # noqa: PLC0415 - no start should wait for it

    return bool(pc.any(pc.equal(rows.column("errno"), _BUSY)).as_py())


def latest_begin(rows: pa.RecordBatch) -> int:
    """Return when the latest of the rows began, ns; 0 for no rows."""
    return int(_begins(rows).max(initial=0))


def latest_end(rows: pa.RecordBatch) -> int:
    """Return when the latest of the rows was over, its tail included, ns."""
    ends = _begins(rows).copy()
    for name in ("latency_ns", "tail_ns"):
        ends += integers(rows.column(name))
    return int(ends.max(initial=0))


def _begins(rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
    return integers(rows.column("t_start").cast(pa.int64()))


def _plain(rows: pa.RecordBatch, name: str) -> list[Any]:
    column = rows.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())  # to_pylist would import pandas
    values: list[Any] = column.to_pylist()
    return values
