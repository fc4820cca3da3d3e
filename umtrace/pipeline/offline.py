"""The pipeline on a recording: replay it, repair it, find its EBUSY windows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.ebusy.attempts import latest_end
from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.model.errors import DamagedInputError, UsageError
from umtrace.model.events import EVENT_DTYPE, Array, EventBatch, Kind
from umtrace.model.holders import HolderScan, scans_from_arrow
from umtrace.model.tiers import tier_named
from umtrace.model.windows import EbusyWindow, windows_to_arrow
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.pipeline.owned import recorded_owners
from umtrace.pipeline.recorder import WITHIN
from umtrace.pipeline.ticks import Tick, stream
from umtrace.recording import Recording, RepairReport
from umtrace.recording import repair as recording_repair
from umtrace.recording.rebuild import rebuild_locked
from umtrace.recording.tables import EBUSY, HOLDERS
from umtrace.sources.fake import FakeSource
from umtrace.sources.replay import ReplaySource
from umtrace.stats.filters import RowFilter
from umtrace.stats.unseen import Undecided

# In a small batch, few rows are of a mount that is busy in another row of it.
_ROWS_AT_ONCE = 512
#: few, since evidence takes room from its batch until its rows
_ROWS_WITH_EVIDENCE = 32


def replay(
    recording: Recording,
    *,
    row_filter: RowFilter | None = None,
    spurious_within_ns: int | None = None,
) -> Iterator[Tick]:
    """Run the events of a recording through the pipeline again, which gives the same rows.

    A filter selects rows, and the EBUSY windows that began with them. What cannot be read is
    listed in ``recording.problems``.
    """
    recorded = _filters_of(recording)
    with closing(ReplaySource(recording)) as source:
        source.open()
        ticks = stream(
            source,
            row_filter=recorded,
            owners=recorded_owners(recording),
            ebusy=_stage(recording, spurious_within_ns),
        )
        if row_filter is None or row_filter.is_empty:
            yield from ticks
        else:
            yield from _chosen(ticks, row_filter)


def _filters_of(recording: Recording) -> RowFilter:
    """Return the filters of the recording; DamagedInputError if they are invalid."""
    try:
        return RowFilter.from_dict(recording.meta.filters)
    except UsageError as error:
        raise DamagedInputError(f"{recording.path}: meta.json: {error}") from error


def _chosen(ticks: Iterator[Tick], row_filter: RowFilter) -> Iterator[Tick]:
    kept: set[int | None] = set()  # ids of the rows so far
    undecided = Undecided(row_filter)
    for tick in ticks:
        undecided.feed(tick.rows)
        rows = row_filter.apply(tick.rows)
        kept.update(rows.column("id").to_pylist())
        found = tick.ebusy
        windows = [window for window in found.windows if window.umount_id in kept]
        news = [window for window in found.news if window.umount_id in kept]
        ebusy = replace(found, windows=windows, news=news)
        yield replace(tick, rows=rows, ebusy=ebusy, undecided=undecided.counts)


def repair(path: Path) -> RepairReport:
    """Finish a recording that was cut short; umounts that were open at its end become rows, too."""
    recording = Recording.open(path)
    row_filter = _filters_of(recording)

    def rows_again(batches: Iterator[EventBatch]) -> Iterator[pa.RecordBatch]:
        source = FakeSource(batches, tier=recording.meta.tier, clock=recording.meta.clock)
        owners = recorded_owners(recording)
        # Windows are made of the repaired rows, below.
        for tick in stream(source, row_filter=row_filter, owners=owners):
            yield tick.rows

    report = recording_repair(path, rows_again)
    if report.changed:
        rebuild_locked(path, EBUSY, window_batches(path, spurious_within_ns=None))
    return report


def ebusy_windows(
    source: Path | Recording,
    *,
    spurious_within_ns: int | None = None,
) -> Iterator[EbusyWindow]:
    """Return the EBUSY windows of a recording, from its rows, its events and its scans.

    With the threshold of the recording, the default, they are those of its ``ebusy`` table. What
    cannot be read is listed in the recording's ``problems``.
    """
    recording = source if isinstance(source, Recording) else Recording.open(source)
    stage = _stage(recording, spurious_within_ns, previews=False)
    for rows, events in _rows_with_events(recording):
        yield from stage.feed(rows, events).windows
    yield from stage.finish().windows


def window_batches(
    source: Path | Recording, *, spurious_within_ns: int | None
) -> Iterator[pa.RecordBatch]:
    """Yield the windows of `ebusy_windows` as rows of ``model.windows.SCHEMA``."""
    return _batched(ebusy_windows(source, spurious_within_ns=spurious_within_ns))


def _stage(
    recording: Recording, within_ns: int | None = None, *, previews: bool = True
) -> EbusyStage:
    recorded = recording.meta.extra.get(WITHIN, SPURIOUS_WITHIN_NS)
    if not isinstance(recorded, int):
        raise DamagedInputError(f"{recording.path}: meta.json is damaged: {WITHIN} is no number")
    return EbusyStage(
        offset_ns=recording.meta.clock.offset_ns,
        recorded=_scans(recording),
        spurious_within_ns=recorded if within_ns is None else within_ns,
        previews=previews,
    )


def _rows_with_events(recording: Recording) -> Iterator[tuple[pa.RecordBatch, Array]]:
    """Yield rows, each with the events up to its end; no events if the tier has no evidence."""
    # The events of an unknown tier are read, since they may have some.
    has_evidence = tier_named(recording.meta.tier).gives_evidence is not False
    batches = recording.event_batches() if has_evidence else iter(())
    at_once = _ROWS_WITH_EVIDENCE if has_evidence else _ROWS_AT_ONCE
    ahead = np.empty(0, EVENT_DTYPE)
    for whole in recording.batches("umounts"):
        for rows in (whole.slice(at, at_once) for at in range(0, len(whole), at_once)):
            until = latest_end(rows) - recording.meta.clock.offset_ns
            while not _reaches(ahead, until):
                batch = next(batches, None)
                if batch is None:
                    break
                ahead = np.concatenate([ahead, batch.events])
            later = _moments(ahead) > until
            yield rows, ahead[~later]
            ahead = ahead[later]


def _reaches(events: Array, until: int) -> bool:
    """Whether an event of a probe is later; an event of a loss may come before older ones."""
    return bool((_moments(events[events["kind"] != Kind.SKIPPED]) > until).any())


def _moments(events: Array) -> npt.NDArray[np.int64]:
    """Return the time of each event; of a loss, the earliest possible one.

    The event of a loss has the time of reading, which may be minutes after the lost events.
    """
    lost = events["kind"] == Kind.SKIPPED
    return np.where(lost, events["a"], events["ts_ns"]).astype(np.int64)


def _scans(recording: Recording) -> Iterator[HolderScan]:
    for rows in recording.batches(HOLDERS.name):
        yield from scans_from_arrow(rows)


def _batched(found: Iterator[EbusyWindow]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(found, 4096)):
        yield windows_to_arrow(some)
