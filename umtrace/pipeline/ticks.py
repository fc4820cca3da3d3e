"""The order of the stages, as code: source → correlate → filter → EBUSY, tick by tick."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import EventBatch
from umtrace.model.hangs import Hang
from umtrace.model.losses import LossReport
from umtrace.owners.facts import Fact
from umtrace.owners.resolve import Owners
from umtrace.pipeline.ebusy import EbusyStage, EbusyUpdate
from umtrace.pipeline.hangs import HangWatch
from umtrace.pipeline.pace import Pace
from umtrace.probes.on_demand import waits_always
from umtrace.sources.base import Source
from umtrace.sources.questions import Questions
from umtrace.stats.filters import RowFilter
from umtrace.stats.matching import without_internal
from umtrace.stats.unseen import Undecided


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of a running pipeline."""

    batch: EventBatch
    rows: pa.RecordBatch  #: completed rows that pass the filter
    losses: LossReport  #: of all stages, so far
    ebusy: EbusyUpdate = field(default_factory=EbusyUpdate)
    #: so far, by column of the filter: the rows left out because it is unknown, and all rows
    undecided: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    #: operations that have not ended 1 s, 10 s or 60 s after they began, once for each of these
    hangs: Sequence[Hang] = ()
    #: what was learnt of owners, for these rows and later ones
    facts: Sequence[Fact] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """What a live consumer did not get, because it was too slow or had ended."""

    ticks: int = 0
    rows: int = 0
    windows: int = 0

    def __add__(self, other: Missed) -> Missed:
        """Add up."""
        ticks, rows = self.ticks + other.ticks, self.rows + other.rows
        return Missed(ticks, rows, self.windows + other.windows)


@dataclass(slots=True)
class Totals:
    """The totals of a run, which grow while it runs."""

    rows: int = 0
    internal: int = 0  #: rows with origin mount-internal, which are not in ``rows``
    failed: int = 0
    incomplete: int = 0
    by_command: int = 0  #: rows of the recorded command
    of_others: int = 0  #: rows that are surely not of it
    events: int = 0
    seconds: float = 0.0
    windows: int = 0
    spurious: int = 0
    questions: int = 0  #: calls of `umtrace why --ask-kernel` that were left out
    undecided: Mapping[str, tuple[int, int]] = field(default_factory=dict)  #: as in `Tick`
    losses: LossReport = field(default_factory=LossReport)
    missed: dict[str, Missed] = field(default_factory=dict)  #: by the name of a live consumer

    def add(self, tick: Tick) -> None:
        """Count one tick."""
        rows = without_internal(tick.rows)
        self.rows += rows.num_rows
        self.internal += tick.rows.num_rows - rows.num_rows
        self.failed += sum(1 for errno in rows.column("errno").to_pylist() if errno)
        self.incomplete += rows.num_rows - (rows.column("complete").true_count if rows else 0)
        by_command = rows.column("by_command")
        self.by_command += by_command.true_count
        self.of_others += len(by_command) - by_command.null_count - by_command.true_count
        self.events += len(tick.batch.events)
        self.windows += len(tick.ebusy.windows)
        self.spurious += sum(window.spurious is True for window in tick.ebusy.windows)
        self.losses, self.undecided = tick.losses, tick.undecided


def stream(
    source: Source,
    *,
    row_filter: RowFilter | None = None,
    owners: Owners | None = None,
    stop: Callable[[], bool] = lambda: False,
    pace: Pace | None = None,
    ebusy: EbusyStage | None = None,
    questions: Questions | None = None,
    watch: HangWatch | None = None,
) -> Iterator[Tick]:
    """Read an open source until it ends or ``stop()``; the last tick has what was still open.

    ``stop`` is called before each read, so that what happened before it became true is read, too.
    ``questions`` leaves out the calls by which `umtrace why` asks the kernel. Without ``ebusy``
    there are no EBUSY windows. ``owners`` says whose umounts they are. ``pace`` says how long
    a read waits. ``watch`` finds the operations that hang.
    """
    pace, owners = pace or Pace(), owners or Owners()
    correlator = _correlator(source, owners)
    row_filter = row_filter or RowFilter()
    undecided, stopping = Undecided(row_filter), False
    while not stopping:
        stopping = stop()
        batch = source.read(0 if stopping else pace.wait_s)
        if batch is None:
            break
        busy = bool((batch.events["ret"] == -errno.EBUSY).any())
        pace.note(source.fill(), len(batch.events), busy=busy)
        if questions is not None:
            batch = questions.leave_out(batch)
        owners.born(batch.births)
        found = correlator.feed(batch)
        undecided.feed(found)
        rows = row_filter.apply(found)
        update = ebusy.feed(rows, batch.events, found) if ebusy else EbusyUpdate()
        losses = _lost(source, correlator, ebusy)
        hangs = watch.look(source, correlator, row_filter) if watch else ()
        learnt = owners.take_learnt()
        yield Tick(batch, rows, losses, update, undecided.counts, hangs, learnt)
    found = correlator.finish()
    undecided.feed(found)
    rest = row_filter.apply(found)
    last = ebusy.feed(rest) + ebusy.finish() if ebusy else EbusyUpdate()
    losses = _lost(source, correlator, ebusy)
    yield Tick(EventBatch(), rest, losses, last, undecided.counts, facts=owners.take_learnt())


def _correlator(source: Source, owners: Owners) -> UmountCorrelator:
    return UmountCorrelator(
        clock_offset_ns=source.clock.offset_ns,
        tier=source.tier,
        owners=owners,
        waits_always=waits_always(source.plan()),
    )


def _lost(source: Source, correlator: UmountCorrelator, ebusy: EbusyStage | None) -> LossReport:
    losses = source.losses() + correlator.losses()
    return losses + ebusy.losses() if ebusy else losses
