"""What the pipeline makes of a recording: rows once more, a repair, EBUSY windows, a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.ebusy.attempts import latest_end
from umtrace.ebusy.counters import COUNTED, WalkCounters
from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.ebusy.live import EbusyStage
from umtrace.pipeline import WITHIN, Tick, stream
from umtrace.recording import Recording, RepairReport
from umtrace.recording import repair as recording_repair
from umtrace.recording.rebuild import rebuild_locked
from umtrace.recording.tables import EBUSY, HOLDERS
from umtrace.records import windows
from umtrace.records.arrow import text
from umtrace.records.events import EVENT_DTYPE, Array, EventBatch
from umtrace.records.holders import HolderScan, scans_from_arrow
from umtrace.records.windows import EbusyWindow, windows_from_arrow, windows_to_arrow
from umtrace.sources.replay import ReplaySource
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import check_keys
from umtrace.stats.selection import Selection
from umtrace.stats.summarize import columns_for, summarize
from umtrace.stats.summary import Summary
from umtrace.stats.windows import TOTALLED, WindowTotals, longest

#: tiers whose events tell more of an EBUSY than the rows do
CLUE_TIERS = frozenset({"fentry", "kprobe", "ftrace", "synthetic"})
# Clues are kept for the last 4096 mounts: rows and events must keep step. And in a small
# batch few rows are of a mount that another row of it says is busy.
_ROWS_AT_ONCE = 512
#: few, since what is kept of one task's clues until its rows come is bounded
_ROWS_WITH_CLUES = 128


def replay(path: Path, *, row_filter: RowFilter | None = None) -> Iterator[Tick]:
    """Run a recording's events through the pipeline again: the rows come out the same."""
    recording = Recording.open(path)
    recorded = RowFilter.from_dict(recording.meta.filters)
    with closing(ReplaySource(recording)) as source:
        source.open()
        ticks = stream(
            source,
            row_filter=recorded,
            container_of=_recorded_containers(recording),
            ebusy=_stage(recording),
        )
        for tick in ticks:
            yield replace(tick, rows=(row_filter or RowFilter()).apply(tick.rows))


def repair(path: Path) -> RepairReport:
    """Finish a recording that was cut short; umounts in flight at its end become rows too."""
    recording = Recording.open(path)
    row_filter = RowFilter.from_dict(recording.meta.filters)

    def rows_again(batches: Iterator[EventBatch]) -> Iterator[pa.RecordBatch]:
        correlator = UmountCorrelator(
            clock_offset_ns=recording.meta.clock.offset_ns,
            tier=recording.meta.tier,
            container_of=_recorded_containers(recording),
        )
        for batch in batches:
            yield row_filter.apply(correlator.feed(batch))
        yield row_filter.apply(correlator.finish())

    report = recording_repair(path, rows_again)
    if report.changed:
        rebuild_locked(path, EBUSY, _batched(ebusy_windows(path)))
    return report


def ebusy_windows(
    path: Path,
    *,
    spurious_within_ns: int | None = None,
    row_filter: RowFilter | None = None,
) -> Iterator[EbusyWindow]:
    """Work out the EBUSY windows of a recording from its rows and the looks it recorded.

    With the threshold it was recorded with, the default, they are those of its ``ebusy``
    table. A filter leaves rows out before windows are made of them.
    """
    recording = Recording.open(path)
    stage = _stage(recording, spurious_within_ns, previews=False)
    row_filter = row_filter or RowFilter()
    for rows, events in _rows_with_events(recording):
        yield from stage.feed(row_filter.apply(rows), events).windows
    yield from stage.finish().windows


def window_batches(
    recording: Recording,
    row_filter: RowFilter | None = None,
    *,
    spurious_within_ns: int | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the EBUSY windows as rows of ``records.windows.SCHEMA``, in no order.

    The recorder's own table is read where it answers the question: the recording was
    finished, nothing is filtered, the threshold is that of the recording. Else they are
    worked out again, at some 80 us for each window.
    """
    if _is_stored(recording, row_filter or RowFilter(), spurious_within_ns):
        return recording.batches(EBUSY.name, columns=columns)
    found = ebusy_windows(
        recording.path, spurious_within_ns=spurious_within_ns, row_filter=row_filter
    )
    return (rows.select(columns or rows.schema.names) for rows in _batched(found))


def windows_table(
    recording: Recording,
    row_filter: RowFilter | None = None,
    *,
    spurious_within_ns: int | None = None,
    classes: Sequence[str] = (),
) -> pa.Table:
    """Return the EBUSY windows in the order of their begin; ``classes`` keeps only those."""
    batches = window_batches(recording, row_filter, spurious_within_ns=spurious_within_ns)
    table = pa.Table.from_batches(batches, windows.SCHEMA)
    if classes:
        table = table.filter(pc.is_in(table.column("class"), text(classes)))
    return table.sort_by("begin")


def walk_counters(recording: Recording, row_filter: RowFilter | None = None) -> WalkCounters:
    """Count the walkers that met a dying mount, over a whole recording."""
    counters = WalkCounters()
    for rows in Selection(recording, row_filter or RowFilter()).batches(COUNTED):
        counters.add(rows)
    return counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `umtrace report` shows; ``longest`` are the windows that took longest."""

    summary: Summary
    counters: WalkCounters
    windows: WindowTotals
    longest: list[EbusyWindow]


def report_of(recording: Recording, row_filter: RowFilter, by: Sequence[str]) -> Report:
    """Gather a report: the umount rows and the windows are read once each."""
    counters = WalkCounters()
    columns = (*columns_for(check_keys(by)), *COUNTED)

    def counted() -> Iterator[pa.RecordBatch]:
        for rows in Selection(recording, row_filter).batches(columns):
            counters.add(rows)
            yield rows

    summary = summarize(counted(), by=by)
    totals, worst = window_summary(recording, row_filter, 3, columns=_TOLD)
    shown = windows_from_arrow(worst)
    return Report(summary=summary, counters=counters, windows=totals, longest=shown)


def window_summary(
    recording: Recording, row_filter: RowFilter, n: int, *, columns: Sequence[str] | None = None
) -> tuple[WindowTotals, pa.RecordBatch]:
    """Return the totals of the EBUSY windows, and the n longest with these columns or all."""
    totals = WindowTotals()

    def totalled() -> Iterator[pa.RecordBatch]:
        for rows in window_batches(recording, row_filter, columns=columns):
            totals.add(rows)
            yield rows

    worst = longest(totalled(), n)
    return totals, windows_to_arrow([]) if worst is None else worst


#: the columns of a window that a line about it tells
_TOLD = tuple(dict.fromkeys((*TOTALLED, "begin", "end", "path", "dev", "holders", "walkers")))


def _is_stored(recording: Recording, row_filter: RowFilter, within_ns: int | None) -> bool:
    meta = recording.meta
    as_recorded = within_ns is None or within_ns == meta.extra.get(WITHIN)
    unfiltered = row_filter.is_empty or row_filter.to_dict() == meta.filters
    return as_recorded and unfiltered and not meta.is_open and EBUSY.name in meta.tables


def _stage(
    recording: Recording, within_ns: int | None = None, *, previews: bool = True
) -> EbusyStage:
    recorded = recording.meta.extra.get(WITHIN, SPURIOUS_WITHIN_NS)
    return EbusyStage(
        offset_ns=recording.meta.clock.offset_ns,
        recorded=_scans(recording),
        spurious_within_ns=recorded if within_ns is None else within_ns,
        previews=previews,
    )


def _rows_with_events(recording: Recording) -> Iterator[tuple[pa.RecordBatch, Array]]:
    """Yield rows, each with the events up to its end; none where the tier has no clues in them."""
    has_clues = recording.meta.tier in CLUE_TIERS
    batches = recording.event_batches() if has_clues else iter(())
    at_once = _ROWS_WITH_CLUES if has_clues else _ROWS_AT_ONCE
    ahead = np.empty(0, EVENT_DTYPE)
    for whole in recording.batches("umounts"):
        for rows in (whole.slice(at, at_once) for at in range(0, len(whole), at_once)):
            until = latest_end(rows) - recording.meta.clock.offset_ns
            while not (ahead.size and int(ahead["ts_ns"].max()) > until):
                batch = next(batches, None)
                if batch is None:
                    break
                ahead = np.concatenate([ahead, batch.events])
            later = ahead["ts_ns"].astype(np.int64) > until
            yield rows, ahead[~later]
            ahead = ahead[later]


def _scans(recording: Recording) -> Iterator[HolderScan]:
    for rows in recording.batches(HOLDERS.name):
        yield from scans_from_arrow(rows)


def _batched(found: Iterator[EbusyWindow]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(found, 4096)):
        yield windows_to_arrow(some)


def _recorded_containers(recording: Recording) -> Callable[[int], str | None]:
    known = recording.meta.extra.get("containers", {})
    return lambda cgroup_id: known.get(str(cgroup_id))
