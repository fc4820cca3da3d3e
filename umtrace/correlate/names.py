"""Puts the parts of a name together and keeps it until its operation completes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from umtrace.correlate.texts import Texts, of_list, of_records, placed
from umtrace.records.events import NAME_DTYPE, Array, NameKind

MAX_KEPT = 65536

Key = tuple[int, int, int]  # task, kind, time of the event it belongs to
_U4 = npt.NDArray[np.uint32]
_U8 = npt.NDArray[np.uint64]


class NameStore:
    """Texts by task, kind and the time of the event they belong to.

    Nearly every text comes in one part, in the batch in which its operation completes:
    those are joined by array code. The rest is kept in a dictionary, bounded: ``forget``
    drops what came first of more than MAX_KEPT.
    """

    def __init__(self) -> None:
        self._whole: dict[Key, bytes] = {}
        self._begun: dict[tuple[int, int], tuple[int, list[bytes]]] = {}
        self._fresh = _Fresh(np.empty(0, NAME_DTYPE))

    def add(self, names: Array) -> None:
        """Take in name records, shape (n,), dtype NAME_DTYPE, in the order of the ring."""
        self._keep_fresh()
        single = (names["part"] == 0) & (names["more"] == 0)
        self._fresh = _Fresh(names if single.all() else names[single])
        if self._fresh.ambiguous:
            self._keep_fresh()
        for ts, tid, kind, part, length, more, text in names[~single].tolist():
            self._add_part((tid, kind), ts, part, text[:length], last=not more)

    def _add_part(
        self, owner: tuple[int, int], ts: int, part: int, text: bytes, *, last: bool
    ) -> None:
        """Append a part; one that is missing makes all of the text unknown."""
        if part == 0:
            self._begun.pop(owner, None)  # the youngest goes to the end
            self._begun[owner] = ts, []
        begun_ts, parts = self._begun.get(owner, (0, []))
        if begun_ts != ts or part != len(parts):
            return
        parts.append(text)
        if last:
            self._whole[owner[0], owner[1], ts] = b"".join(parts)
            del self._begun[owner]

    def take(self, kind: NameKind, tids: _U4, times: _U8) -> Texts:
        """Return the texts that belong to these events of these tasks, and forget them.

        A time of 0 has none. Empty where the name was lost, incomplete, or unreadable in the
        task's memory.
        """
        if not times.any():
            return Texts(np.empty(0, np.uint8), np.zeros(len(tids), np.int64))
        record = self._fresh.find(kind, tids, times)
        at = np.flatnonzero(record >= 0)
        fresh = self._fresh.take(record[at])
        kept = np.flatnonzero((record < 0) & (times > 0)) if self._whole else at[:0]
        if not kept.size and at.size == len(tids):
            return fresh
        older = [
            self._whole.pop((tid, int(kind), ts), None)
            for tid, ts in zip(tids[kept].tolist(), times[kept].tolist(), strict=True)
        ]
        return placed(len(tids), [(at, fresh), (kept, of_list(older))])

    def forget(self) -> None:
        """Drop the oldest of too many: names of operations that were never seen to begin."""
        self._keep_fresh()
        _shorten(self._whole)
        _shorten(self._begun)

    def _keep_fresh(self) -> None:
        names = self._fresh.rest()
        keys = zip(*(names[name].tolist() for name in ("tid", "kind", "ts_ns")), strict=True)
        texts = zip(names["text"].tolist(), names["len"].tolist(), strict=True)
        self._whole.update(zip(keys, (text[:length] for text, length in texts), strict=True))
        self._fresh = _Fresh(names[:0])


class _Fresh:
    """The names of one batch, found by array code until they are taken."""

    def __init__(self, names: Array) -> None:
        self._names = np.ascontiguousarray(names)
        keys = _hashed(names["kind"], names["tid"], names["ts_ns"])
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self._left = np.ones(len(names), np.bool_)
        #: two names with one key: only a dictionary tells them apart
        self.ambiguous = bool((self._keys[1:] == self._keys[:-1]).any())

    def find(self, kind: NameKind, tids: _U4, times: _U8) -> npt.NDArray[np.int64]:
        """Return the position of each name, -1 where there is none."""
        if not len(self._keys):
            return np.full(len(tids), -1)
        at = np.searchsorted(self._keys, _hashed(np.uint64(kind), tids, times))
        record = self._order[np.minimum(at, len(self._keys) - 1)]
        found = (self._names["ts_ns"][record] == times) & (self._names["tid"][record] == tids)
        found &= (self._names["kind"][record] == kind) & self._left[record]
        return np.where(found, record, -1)

    def take(self, record: npt.NDArray[np.int64]) -> Texts:
        """Return texts; they are not found again."""
        self._left[record] = False
        return of_records(self._names, record)

    def rest(self) -> Array:
        """Return the names that were not taken."""
        rest: Array = self._names[self._left]
        return rest


def _hashed(kind: Array | np.uint64, tids: Array | _U4, times: Array | _U8) -> _U8:
    """Return a key that is the same only for the same name, but for a chance in 2**64."""
    owner = (tids.astype(np.uint64) << np.uint64(2)) | np.asarray(kind, np.uint64)
    mixed: _U8 = times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= owner * np.uint64(0xC2B2AE3D27D4EB4F)
    return mixed


def _shorten(kept: dict[Any, Any]) -> None:
    for key in list(islice(kept, max(len(kept) - MAX_KEPT, 0))):
        del kept[key]
