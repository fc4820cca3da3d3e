"""Finds operations that have not ended for long, while they run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.clock import monotonic_ns
from umtrace.model.hangs import Hang, Standing
from umtrace.model.kinds import Kind
from umtrace.sources.base import Source
from umtrace.stats.filters import RowFilter

_S = 1_000_000_000
#: an operation is reported when it has run for each of these, ns
AFTER_NS = (1 * _S, 10 * _S, 60 * _S)
_EVERY_NS = _S // 4
_SWITCHES = {Kind.OFF_CPU, Kind.ON_CPU}
_TID = 0xFFFFFFFF  # of `Standing.task`
#: at one time; a host where thousands hang needs no line for each
MOST = 64


class HangWatch:
    """Reports each open operation once after each of ``AFTER_NS``.

    Parameters
    ----------
    clock : callable
        CLOCK_MONOTONIC in ns.
    """

    def __init__(self, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._next_ns = 0
        self._reported: dict[tuple[int, int], int] = {}  # by task and beginning: how often

    def look(
        self, source: Source, correlator: UmountCorrelator, row_filter: RowFilter
    ) -> Sequence[Hang]:
        """Return the operations that are due now and pass the filter, the oldest first."""
        now = self._clock()
        if not correlator.n_open or now < self._next_ns:
            return ()
        self._next_ns = now + _EVERY_NS
        rows, where = correlator.unfinished(now - AFTER_NS[0])
        due = self._due(where, now)
        if not due:
            return ()
        return _hangs(rows, _by_entries(source, where), due, row_filter, now)[:MOST]

    def _due(self, where: Sequence[Standing], now: int) -> set[int]:
        before, self._reported = self._reported, {}
        due = set()
        for number, one in enumerate(where):
            times = bisect_right(AFTER_NS, now - one.begun_ns)
            key = one.task, one.begun_ns
            if times > before.get(key, 0):
                due.add(number)
            self._reported[key] = times
        return due


def _by_entries(source: Source, where: Sequence[Standing]) -> Sequence[Standing]:
    """Return where the operations are by the source's own entries, where it has them."""
    known = {(one.tid, one.begun_ns): one for one in source.open_tasks() or ()}
    found = []
    for one in where:
        entry = known.get((one.task & _TID, one.begun_ns))
        if entry is None or (entry.kind in _SWITCHES and entry.phase == "other"):
            found.append(one)
        else:
            found.append(replace(one, phase=entry.phase, since_ns=entry.since_ns))
    return found


def _hangs(
    rows: pa.RecordBatch,
    where: Sequence[Standing],
    due: set[int],
    row_filter: RowFilter,
    now: int,
) -> list[Hang]:
    so_far = pa.array([now - one.begun_ns for one in where], pa.int64())
    aged = rows.set_column(rows.schema.get_field_index("latency_ns"), "latency_ns", so_far)
    passing = {*row_filter.apply(aged).column("id").to_pylist()} & due
    start = rows.schema.get_field_index("t_start")
    plain = rows.set_column(start, "t_start", rows.column(start).cast(pa.int64())).to_pylist()
    found = [
        Hang(
            row=plain[number],
            phase=where[number].phase,
            so_far_ns=now - where[number].begun_ns,
            phase_ns=now - where[number].since_ns,
        )
        for number in passing
    ]
    return sorted(found, key=lambda hang: -hang.so_far_ns)
