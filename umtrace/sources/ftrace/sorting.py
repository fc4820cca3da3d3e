"""Sorts any number of records by time, with sorted runs in a temporary file."""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from typing import IO

from umtrace.sources.ftrace.records import Record

_RUN = 20_000
_BLOCK = 200  # records of a run that are in memory while runs are merged
_TIME = attrgetter("ts_ns")


class SortedRecords:
    """Takes records in any order and yields them sorted by time; the sort is stable."""

    def __init__(self) -> None:
        self._run: list[Record] = []
        self._runs: list[list[int]] = []  # of each run, the offsets of its blocks
        self._file: IO[bytes] | None = None  # None until there are too many for memory

    def add(self, records: Iterable[Record]) -> None:
        """Add some records."""
        self._run.extend(records)
        if len(self._run) >= _RUN:
            self._spill()

    def __iter__(self) -> Iterator[Record]:
        """Yield all records; call it after the last ``add``."""
        last = sorted(self._run, key=_TIME)
        return heapq.merge(*map(self._blocks, self._runs), last, key=_TIME)

    def close(self) -> None:
        """Drop them."""
        if self._file:
            self._file.close()

    def _spill(self) -> None:
        file = self._file
        if file is None:
            file = self._file = tempfile.TemporaryFile(prefix="umtrace-import-")  # noqa: SIM115 - closed above
        places, found = [], iter(sorted(self._run, key=_TIME))
        while block := list(map(tuple, islice(found, _BLOCK))):
            places.append(file.seek(0, 2))
            marshal.dump(block, file)
        self._runs.append(places)
        self._run = []

    def _blocks(self, places: list[int]) -> Iterator[Record]:
        return chain.from_iterable(map(self._block, places))

    def _block(self, place: int) -> list[Record]:
        if self._file is None:
            return []
        self._file.seek(place)
        # Safe to unmarshal: this process wrote it, above, to a file without a name.
        return [Record(*one) for one in marshal.load(self._file)]  # noqa: S302
