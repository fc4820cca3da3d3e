"""The way the data flows, as code: the only module that knows the order of the stages.

source → correlate → filter → (recording, present)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.kernel.cgroups import Containers
from umtrace.kernel.rcu import rcu_state
from umtrace.recording import Meta, Recording, RecordingWriter, RepairReport
from umtrace.recording import repair as recording_repair
from umtrace.records.clock import ClockPair
from umtrace.records.events import EventBatch
from umtrace.records.losses import LossReport
from umtrace.sources.base import Source
from umtrace.sources.replay import ReplaySource
from umtrace.sources.select import open_source
from umtrace.stats.filters import RowFilter

TICK_S = 0.05
FLUSH_S = 0.25  # what a kill -9 may take


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of a running pipeline."""

    batch: EventBatch
    rows: pa.RecordBatch  #: completed and passed by the filter
    losses: LossReport  #: so far, all stages together


@dataclass(slots=True)
class Totals:
    """What a run amounted to; grows as it runs."""

    rows: int = 0
    failed: int = 0
    incomplete: int = 0
    events: int = 0
    seconds: float = 0.0
    losses: LossReport = field(default_factory=LossReport)

    def add(self, tick: Tick) -> None:
        """Count one tick."""
        rows = tick.rows
        self.rows += rows.num_rows
        self.failed += sum(1 for errno in rows.column("errno").to_pylist() if errno)
        self.incomplete += rows.num_rows - (rows.column("complete").true_count if rows else 0)
        self.events += len(tick.batch.events)
        self.losses = tick.losses


def stream(
    source: Source,
    *,
    row_filter: RowFilter | None = None,
    container_of: Callable[[int], str | None] = lambda _id: None,
    stop: Callable[[], bool] = lambda: False,
    tick_s: float = TICK_S,
) -> Iterator[Tick]:
    """Drive an open source until it ends or ``stop()``; the last tick holds what was open.

    ``stop`` is asked before each read, so that what happened before it became true
    is drained.
    """
    correlator = UmountCorrelator(
        clock_offset_ns=source.clock.offset_ns, tier=source.tier, container_of=container_of
    )
    row_filter = row_filter or RowFilter()
    stopping = False
    while not stopping:
        stopping = stop()
        batch = source.read(0 if stopping else tick_s)
        if batch is None:
            break
        rows = row_filter.apply(correlator.feed(batch))
        yield Tick(batch, rows, source.losses() + correlator.losses())
    rest = row_filter.apply(correlator.finish())
    yield Tick(EventBatch(), rest, source.losses() + correlator.losses())


def live(
    tier: str,
    *,
    row_filter: RowFilter | None = None,
    stop: Callable[[], bool],
    on_ready: Callable[[], None] = lambda: None,
) -> Iterator[Tick]:
    """Trace without recording: attach, call ``on_ready``, yield ticks, detach."""
    with closing(open_source(tier)) as source, closing(Containers()) as containers:
        on_ready()
        yield from stream(source, row_filter=row_filter, container_of=containers, stop=stop)


def replay(path: Path, *, row_filter: RowFilter | None = None) -> Iterator[Tick]:
    """Run a recording's events through the pipeline again: the rows come out the same."""
    recording = Recording.open(path)
    recorded = RowFilter.from_dict(recording.meta.filters)
    with closing(ReplaySource(recording)) as source:
        source.open()
        ticks = stream(source, row_filter=recorded, container_of=_recorded_containers(recording))
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

    return recording_repair(path, rows_again)


def _recorded_containers(recording: Recording) -> Callable[[int], str | None]:
    known = recording.meta.extra.get("containers", {})
    return lambda cgroup_id: known.get(str(cgroup_id))


def record(
    path: Path,
    *,
    tier: str = "auto",
    row_filter: RowFilter | None = None,
    command: Sequence[str] = (),
    force: bool = False,
    stop: Callable[[], bool],
    on_ready: Callable[[], None] = lambda: None,
    on_tick: Callable[[Totals], None] = lambda _totals: None,
) -> Totals:
    """Record until ``stop()``; returns what was recorded.

    The writer claims the directory before anything is attached, and the probes are
    detached before the last chunk is compressed.
    """
    row_filter = row_filter or RowFilter()
    with ExitStack() as stack:
        _check_writable(path)
        source = open_source(tier)
        detach = stack.enter_context(ExitStack())
        detach.callback(source.close)
        meta = Meta.of_this_host(
            tier=source.tier,
            clock=source.clock,
            command=command,
            plan=source.plan(),
            filters=row_filter.to_dict(),
        )
        meta = replace(meta, extra={"rcu": rcu_state()})
        writer = stack.enter_context(RecordingWriter(path, meta, force=force))
        containers = stack.enter_context(closing(Containers()))
        on_ready()
        totals = _write_all(source, writer, containers, row_filter, stop, on_tick)
        detach.close()
        _note_containers(writer, containers)
        writer.close(losses=totals.losses, clock=ClockPair.now())
    return totals


def _check_writable(path: Path) -> None:
    """Fail before the probes are compiled rather than after."""
    parent = path.parent
    if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(13, "directory is not writable; choose another with -o", str(parent))


def _write_all(
    source: Source,
    writer: RecordingWriter,
    containers: Containers,
    row_filter: RowFilter,
    stop: Callable[[], bool],
    on_tick: Callable[[Totals], None],
) -> Totals:
    totals, began, flushed = Totals(), time.monotonic(), 0.0
    for tick in stream(source, row_filter=row_filter, container_of=containers, stop=stop):
        writer.write(tick.batch, tick.rows)
        totals.add(tick)
        now = time.monotonic()
        totals.seconds = now - began
        if now - flushed >= FLUSH_S:
            writer.flush()
            _note_containers(writer, containers)
            writer.update(losses=tick.losses)
            flushed = now
        on_tick(totals)
    return totals


def _note_containers(writer: RecordingWriter, containers: Containers) -> None:
    """Keep what cgroup ids meant: the cgroups are gone when the recording is replayed."""
    found = {str(cgroup_id): name for cgroup_id, name in containers.found.items()}
    if found != writer.meta.extra.get("containers", {}):
        writer.meta = replace(writer.meta, extra={**writer.meta.extra, "containers": found})
