"""What a report says of a recording: gathers its umounts and EBUSY windows into sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from umtrace.ebusy.counters import COUNTED, WalkCounters
from umtrace.model.arrow import text
from umtrace.model.hangs import Hang
from umtrace.model.windows import SCHEMA, windows_from_arrow, windows_to_arrow
from umtrace.pipeline.offline import window_batches
from umtrace.pipeline.recorder import WITHIN
from umtrace.pipeline.running import NEEDED, hangs_at_the_end, running_rows
from umtrace.present.answer import answer
from umtrace.present.heading import Heading
from umtrace.present.lines import still_running
from umtrace.present.names import dash_notes
from umtrace.present.report.section import Report, Section
from umtrace.present.sections import ebusy, groups, histograms, phases, walkers
from umtrace.present.verdict import caveats, verdict
from umtrace.query.selection import Selection
from umtrace.query.window_filter import ROW_ID, WINDOW_ID, WindowFilter
from umtrace.recording import Recording
from umtrace.recording.tables import EBUSY
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import check_keys
from umtrace.stats.summarize import columns_for, summarize
from umtrace.stats.summary import Summary
from umtrace.stats.windows import TOTALLED, WindowTotals, longest

Batches = Iterator[pa.RecordBatch]
_LONGEST = 3
#: the columns that a line about a window needs
_IN_LINE = tuple(
    dict.fromkeys(
        (
            *TOTALLED,
            *("begin", "end", "first_success_ns", "held_min_ns", "held_max_ns"),
            *("path", "dev", "tier", "evidence", "holders", "walkers"),
        )
    )
)


class Windows:
    """The EBUSY windows that the umounts of a selection began.

    The recorder's own table is read where it answers the question: the recording was
    finished, the table is undamaged, and the threshold is that of the recording. Else they
    are worked out again from all rows, at some 80 us for each window.

    With a filter, ``rows_needed`` of the selection have to be seen before the windows are
    read; whoever reads the rows anyway hands them to `see`.
    """

    def __init__(self, selection: Selection, *, spurious_within_ns: int | None = None) -> None:
        self._selection = selection
        whole = selection.is_whole
        self._read = _source(selection, spurious_within_ns, keep=not whole)
        self._begun = None if whole else WindowFilter(self._read([WINDOW_ID]))

    @property
    def rows_needed(self) -> tuple[str, ...]:
        """Columns of the umount rows that `see` looks at."""
        return () if self._begun is None else (ROW_ID,)

    def see(self, rows: pa.RecordBatch) -> None:
        """Take note of some rows of the selection."""
        if self._begun is not None:
            self._begun.add(rows)

    def see_all(self) -> None:
        """Take note of all rows of the selection; reads nothing where none are needed."""
        if self._begun is not None:
            for rows in self._selection.batches(self.rows_needed):
                self._begun.add(rows)

    def batches(self, columns: Sequence[str] | None = None) -> Batches:
        """Yield the windows as rows of ``model.windows.SCHEMA``, in no order."""
        if self._begun is None:
            yield from self._read(columns)
            return
        names = list(columns or SCHEMA.names)
        for found in self._read(list(dict.fromkeys((*names, WINDOW_ID)))):
            yield self._begun.keep(found).select(names)


def windows_table(
    selection: Selection, spurious_within_ns: int | None = None, classes: Sequence[str] = ()
) -> pa.Table:
    """Return the EBUSY windows in the order of their begin; ``classes`` keeps only those."""
    windows = Windows(selection, spurious_within_ns=spurious_within_ns)
    windows.see_all()
    table = pa.Table.from_batches(windows.batches(), SCHEMA)
    if classes:
        table = table.filter(pc.is_in(table.column("class"), text(classes)))
    return table.sort_by("begin")


def walk_counters(selection: Selection) -> WalkCounters:
    """Count the walkers that met a dying mount."""
    counters = WalkCounters()
    for rows in selection.batches(COUNTED):
        counters.add(rows)
    return counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What was read for a report; ``longest`` are the windows that took longest."""

    summary: Summary
    counters: WalkCounters
    windows: WindowTotals
    longest: pa.RecordBatch
    hangs: Sequence[Hang] = ()  #: umounts that had not ended when the recording did


def gather(
    selection: Selection,
    by: Sequence[str],
    *,
    n_longest: int = _LONGEST,
    columns: Sequence[str] | None = _IN_LINE,
) -> Gathered:
    """Read what the sections need: the umount rows once.

    ``columns`` are those of the longest windows; None is all of them.
    """
    counters, windows = WalkCounters(), Windows(selection)
    needed = (*columns_for(check_keys(by)), *COUNTED, *windows.rows_needed)

    def counted() -> Batches:
        for rows in selection.batches(needed):
            counters.add(rows)
            windows.see(rows)
            yield rows

    summary = summarize(counted(), by=by)
    selection.keep(summary)
    totals, worst = _totals_and_longest(windows, n_longest, columns)
    hangs = _hangs(selection) if summary.total.n_incomplete else []
    return Gathered(summary=summary, hangs=hangs, counters=counters, windows=totals, longest=worst)


def _hangs(selection: Selection) -> list[Hang]:
    rows = [running_rows(batch) for batch in selection.batches(NEEDED)]
    return hangs_at_the_end(selection.recording, rows)


def sections_of(found: Gathered) -> list[Section]:
    """Return the sections of a report in their order: each file of `present.sections` has one."""
    longest = windows_from_arrow(found.longest.slice(0, _LONGEST))
    return [
        groups.section(found.summary),
        phases.section(found.summary),
        histograms.section(found.summary),
        ebusy.section(found.windows, longest, found.counters.to_dict()),
        walkers.section(found.counters, found.summary.total.count),
    ]


def report_of(found: Gathered, heading: Heading) -> Report:
    """Return the report; ``heading`` was made after the rows were read."""
    total = found.summary.total
    keys = [group.key for group in found.summary.groups]
    longest = windows_from_arrow(found.longest.slice(0, _LONGEST))
    return Report(
        heading=heading,
        n_rows=total.count,
        n_incomplete=total.n_incomplete,
        answer=answer(total, found.windows, longest),
        verdict=verdict(total) if total.count else (),
        notes=[*still_running(found.hangs), *caveats(total), *dash_notes(found.summary.by, keys)],
        sections=sections_of(found),
    )


def answer_of(recording: Recording) -> str:
    """Return the first sentence of a report of all umounts; empty without one."""
    found = gather(Selection(recording, RowFilter()), ())
    return answer(found.summary.total, found.windows, windows_from_arrow(found.longest))


def _totals_and_longest(
    windows: Windows, n: int, columns: Sequence[str] | None
) -> tuple[WindowTotals, pa.RecordBatch]:
    totals = WindowTotals()

    def totalled() -> Batches:
        for rows in windows.batches(columns):
            totals.add(rows)
            yield rows

    worst = longest(totalled(), n)
    return totals, windows_to_arrow([]) if worst is None else worst


def _source(
    selection: Selection, within_ns: int | None, *, keep: bool
) -> Callable[[Sequence[str] | None], Batches]:
    """Return what yields all windows with some columns; ``keep`` where it is called twice."""
    recording = selection.recording
    meta = recording.meta
    as_recorded = within_ns is None or within_ns == meta.extra.get(WITHIN)
    finished = not meta.is_open and EBUSY.name in meta.tables
    if as_recorded and finished and recording.is_readable(EBUSY.name):
        return lambda columns: recording.batches(EBUSY.name, columns=columns)
    made = window_batches(recording, spurious_within_ns=within_ns)
    again = list(made) if keep else made
    return lambda columns: (rows.select(columns or SCHEMA.names) for rows in again)
