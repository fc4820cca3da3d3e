"""What a report says of a recording: gathers its umounts and EBUSY windows into sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from umtrace.ebusy.counters import COUNTED, WalkCounters
from umtrace.model.arrow import text
from umtrace.model.hangs import Hang
from umtrace.model.windows import REFUSED, SCHEMA, windows_from_arrow, windows_to_arrow
from umtrace.pipeline.offline import window_batches
from umtrace.pipeline.recorder import COMMAND_NS, WITHIN
from umtrace.pipeline.running import NEEDED, hangs_at_the_end, running_rows
from umtrace.present.answer import answer
from umtrace.present.heading import Heading, rcu_text
from umtrace.present.insights import Evidence, insights
from umtrace.present.lines import still_running
from umtrace.present.names import dash_notes
from umtrace.present.report.section import Report, Section
from umtrace.present.sections import ebusy, groups, histograms, phases, walkers
from umtrace.present.sections import insights as insights_section
from umtrace.present.sections import teardowns as teardowns_section
from umtrace.present.verdict import caveats, verdict
from umtrace.present.waited import sees_holders
from umtrace.query.selection import Selection
from umtrace.query.teardowns import Teardowns
from umtrace.query.window_filter import ROW_ID, WINDOW_ID, WindowFilter
from umtrace.recording import Meta, Recording
from umtrace.recording.tables import EBUSY
from umtrace.stats.filters import RowFilter
from umtrace.stats.groups import check_keys
from umtrace.stats.notable import COUNTED as NOTABLE
from umtrace.stats.notable import Notable
from umtrace.stats.summarize import columns_for, summarize
from umtrace.stats.summary import Summary
from umtrace.stats.windows import RANKED, TOTALLED, WindowTotals, longest
from umtrace.teardowns import Teardown

Batches = Iterator[pa.RecordBatch]
_LONGEST = 3
#: the columns that a line about a window needs
_IN_LINE = tuple(
    dict.fromkeys(
        (
            *TOTALLED,
            *RANKED,
            WINDOW_ID,
            *("begin", "end", "held_min_ns"),
            *("path", "dev", "tier", "refs", "refs_named", "evidence", "holders", "walkers"),
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
    notable: Notable = field(default_factory=Notable)
    teardowns: Sequence[tuple[int, Teardown]] = ()  #: the longest, with their numbers
    n_teardowns: int = 0
    teardown_kinds: Mapping[str, int] = field(default_factory=dict)
    meta: Meta | None = None
    is_all: bool = False  #: whether nothing was filtered or lost: these are all umounts of the host


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
    counters, windows, notable = WalkCounters(), Windows(selection), Notable()
    downs = Teardowns(_LONGEST)
    needed = (*columns_for(check_keys(by)), *COUNTED, *windows.rows_needed, *NOTABLE)

    def counted() -> Batches:
        for rows in selection.batches((*needed, *downs.columns)):
            counters.add(rows)
            windows.see(rows)
            notable.add(rows)
            downs.add(rows)
            yield rows

    summary = summarize(counted(), by=by)
    selection.keep(summary)
    totals, worst = _totals_and_longest(windows, n_longest, columns)
    hangs = _hangs(selection) if summary.total.n_incomplete else []
    return Gathered(
        summary=summary,
        hangs=hangs,
        counters=counters,
        windows=totals,
        longest=worst,
        notable=notable,
        teardowns=downs.finish().longest(selection),
        n_teardowns=downs.count,
        teardown_kinds=downs.by_kind,
        meta=selection.recording.meta,
        is_all=_is_all(selection),
    )


def _is_all(selection: Selection) -> bool:
    """Whether the rows are all umounts that the host made while it was recorded."""
    meta, losses = selection.recording.meta, selection.recording.losses
    filtered = not selection.row_filter.is_empty or bool(meta.filters)
    return not filtered and selection.span == (None, None) and not losses.lost_anything


def _hangs(selection: Selection) -> list[Hang]:
    rows = [running_rows(batch) for batch in selection.batches(NEEDED)]
    return hangs_at_the_end(selection.recording, rows)


def sections_of(found: Gathered) -> list[Section]:
    """Return the sections of a report in their order: each file of `present.sections` has one."""
    longest = windows_from_arrow(found.longest.slice(0, _LONGEST))
    return [
        groups.section(found.summary, len(found.hangs)),
        phases.section(found.summary),
        histograms.section(found.summary),
        ebusy.section(found.windows, longest, found.counters.to_dict()),
        walkers.section(found.counters, found.summary.total.count),
        teardowns_section.section(
            found.teardowns,
            found.n_teardowns,
            found.teardown_kinds,
            seen=found.meta is None or sees_holders(found.meta.tier, found.meta.format),
        ),
        insights_section.section(insights(_evidence(found))),
    ]


def _evidence(found: Gathered) -> Evidence:
    """Return what insights are made of."""
    ids = [w.umount_id for w in windows_from_arrow(found.longest) if w.klass in REFUSED]
    # A command whose umounts all failed did not wait for them: why they failed is the answer.
    meta, whole = found.meta, found.is_all and not found.summary.total.all_failed
    return Evidence(
        notable=found.notable,
        windows=found.windows,
        window_ids=[each for each in ids if each is not None],
        teardowns=[each for _, each in found.teardowns],
        rcu=rcu_text(meta.extra.get("rcu")) if meta else "",
        command=meta.command if meta and whole else (),
        ran_ns=_ran_ns(meta) if meta and whole else None,
    )


def _ran_ns(meta: Meta) -> int | None:
    """Return how long the recorded command ran; None if that is not known."""
    found = meta.extra.get(COMMAND_NS)
    return found if isinstance(found, int) and found > 0 else None


def report_of(found: Gathered, heading: Heading) -> Report:
    """Return the report; ``heading`` was made after the rows were read."""
    total = found.summary.total
    keys = [group.key for group in found.summary.groups]
    longest = windows_from_arrow(found.longest.slice(0, _LONGEST))
    return Report(
        heading=heading,
        n_rows=total.count,
        n_incomplete=total.n_incomplete,
        answer=answer(total, found.windows, longest, found.notable, found.hangs),
        verdict=verdict(total) if total.count else (),
        notes=[*still_running(found.hangs), *caveats(total), *dash_notes(found.summary.by, keys)],
        sections=sections_of(found),
    )


def answer_of(recording: Recording) -> str:
    """Return the first sentence of a report of all umounts; empty without one."""
    found = gather(Selection(recording, RowFilter()), ())
    longest = windows_from_arrow(found.longest)
    return answer(found.summary.total, found.windows, longest, found.notable, found.hangs)


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
