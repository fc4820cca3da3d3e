"""Joins the parts of a name, and stores the name until its operation completes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from umtrace.correlate.texts import Texts, of_list, of_records, select_texts
from umtrace.model.events import NAME_DTYPE, Array, NameKind

MAX_KEPT = 65536
_MAX_TABLES = 6

Key = tuple[int, int, int]  # task, kind, time of the event it belongs to
_U4 = npt.NDArray[np.uint32]
_U8 = npt.NDArray[np.uint64]
_I8 = npt.NDArray[np.int64]


class NameStore:
    """Texts by task, kind and the time of the event they belong to.

    Nearly every text has one part, in the batch in which its operation completes. Array code finds
    these. The rest is in a dictionary, which is bounded: ``forget`` drops the oldest of more than
    MAX_KEPT.
    """

    def __init__(self) -> None:
        self._whole: dict[Key, bytes] = {}
        self._begun: dict[tuple[int, int], tuple[int, list[bytes]]] = {}
        self._fresh = _Fresh(np.empty(0, NAME_DTYPE))
        self.forgotten = 0  #: names that were dropped before an operation needed them

    def add(self, names: Array) -> None:
        """Add name records, shape (n,), dtype NAME_DTYPE, in the order of the ring."""
        self._keep_fresh()
        single = (names["part"] == 0) & (names["more"] == 0)
        self._fresh = _Fresh(names if single.all() else names[single])
        self._keep(self._fresh.unplaced())
        for ts, tid, kind, part, length, more, text in names[~single].tolist():
            self._add_part((tid, kind), ts, part, text[:length], last=not more)

    def _add_part(
        self, owner: tuple[int, int], ts: int, part: int, text: bytes, *, last: bool
    ) -> None:
        """Append a part; if one is missing, the whole text is unknown."""
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
        """Return the texts of these events of these tasks, and forget them.

        An event with time 0 has none. A text is empty if the name was lost, incomplete, or
        unreadable in the task's memory.
        """
        if not times.any():
            return Texts(np.empty(0, np.uint8), np.zeros(len(tids), np.int64))
        record = self._fresh.find(kind, tids, times)
        fresh = self._fresh.take(record)
        kept = np.flatnonzero((record < 0) & (times > 0)) if self._whole else record[:0]
        if not kept.size:
            return fresh
        older = [
            self._whole.pop((tid, int(kind), ts), None)
            for tid, ts in zip(tids[kept].tolist(), times[kept].tolist(), strict=True)
        ]
        index = np.arange(len(tids))
        index[kept] = len(tids) + np.arange(kept.size)
        return select_texts([fresh, of_list(older)], index)

    def peek(self, kind: NameKind, tids: _U4, times: _U8) -> Texts:
        """Return the texts of these events, as `take` does, after `forget`; they stay here."""
        keys = zip(tids.tolist(), times.tolist(), strict=True)
        return of_list([self._whole.get((tid, int(kind), ts)) for tid, ts in keys])

    def forget(self) -> None:
        """Drop the oldest if there are too many: the beginning of their operations was not seen."""
        self._keep_fresh()
        self.forgotten += _shorten(self._whole) + _shorten(self._begun)

    def _keep_fresh(self) -> None:
        self._keep(self._fresh.rest())
        self._fresh = _Fresh(np.empty(0, NAME_DTYPE))

    def _keep(self, names: Array) -> None:
        keys = zip(*(names[name].tolist() for name in ("tid", "kind", "ts_ns")), strict=True)
        texts = zip(names["text"].tolist(), names["len"].tolist(), strict=True)
        self._whole.update(zip(keys, (text[:length] for text, length in texts), strict=True))


class _Fresh:
    """The names of one batch, which array code finds until they are taken.

    They are in hash tables. In the first one, the place of some 6 % is taken, and these are in the
    next one, where each has another place.
    """

    def __init__(self, names: Array) -> None:
        self._names = np.ascontiguousarray(names)
        self._ts, self._tid, self._kind = (names[n].copy() for n in ("ts_ns", "tid", "kind"))
        self._left = np.ones(len(names), np.bool_)
        self._tables: list[_I8] = []
        self._unplaced = np.arange(len(names))
        hashes = _hashed(self._kind, self._tid, self._ts)
        while self._unplaced.size and len(self._tables) < _MAX_TABLES:
            record = self._unplaced
            table = np.zeros(_size(record.size), np.int64)
            place = _place(hashes[record], table.size)
            table[place] = record
            self._tables.append(table)
            self._unplaced = record[table[place] != record]

    def unplaced(self) -> Array:
        """Return names that no table has, such as the second of two with the same key."""
        self._left[self._unplaced] = False
        return self._names[self._unplaced]

    def find(self, kind: NameKind, tids: _U4, times: _U8) -> _I8:
        """Return the position of each name, -1 where there is none."""
        found = np.full(len(tids), -1)
        hashes = _hashed(np.uint64(kind), tids, times)
        asked = np.arange(len(tids))
        for table in self._tables:
            record = table[_place(hashes[asked], table.size)]
            same = (self._ts[record] == times[asked]) & (self._tid[record] == tids[asked])
            same &= (self._kind[record] == kind) & self._left[record]
            found[asked[same]] = record[same]
            asked = asked[~same]
        return found

    def take(self, record: _I8) -> Texts:
        """Return texts, none for -1; a text can be taken once."""
        self._left[record[record >= 0]] = False
        return of_records(self._names, record)

    def rest(self) -> Array:
        """Return the names that were not taken."""
        rest: Array = self._names[self._left]
        return rest


def _hashed(kind: Array | np.uint64, tids: Array | _U4, times: Array | _U8) -> _U8:
    owner = (tids.astype(np.uint64) << np.uint64(2)) | np.asarray(kind, np.uint64)
    mixed: _U8 = times.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= owner * np.uint64(0xC2B2AE3D27D4EB4F)
    return mixed


def _size(n_names: int) -> int:
    """Return the size of a table, a power of two of some eight times the number of names."""
    return 8 << n_names.bit_length()


def _place(hashes: _U8, size: int) -> _I8:
    """Return the places in a table, which depend on its size."""
    mixed = hashes * np.uint64(0xD6E8FEB86659FD93 + size * 2)
    mixed >>= np.uint64(65 - size.bit_length())
    place: _I8 = mixed.view(np.int64)
    return place


def _shorten(kept: dict[Any, Any]) -> int:
    oldest = list(islice(kept, max(len(kept) - MAX_KEPT, 0)))
    for key in oldest:
        del kept[key]
    return len(oldest)
