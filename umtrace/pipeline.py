"""The way the data flows, as code: the only module that knows the order of the stages.

source → correlate → filter → ebusy → (recording, present); what is made of a recording
again is in ``umtrace.recorded``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.ebusy.live import EbusyStage, EbusyUpdate
from umtrace.ebusy.shared import lives_on, with_survivors
from umtrace.holders.survivors import survivors
from umtrace.holders.worker import ScanWorker
from umtrace.kernel.cgroups import Containers
from umtrace.kernel.rcu import rcu_state
from umtrace.recording import Meta, RecordingWriter
from umtrace.recording.tables import EBUSY, HOLDERS
from umtrace.records.clock import ClockPair, monotonic_ns
from umtrace.records.events import EventBatch
from umtrace.records.holders import scans_to_arrow
from umtrace.records.identity import MountIdentities
from umtrace.records.losses import LossReport
from umtrace.records.windows import EbusyWindow, windows_to_arrow
from umtrace.records.writable import check_writable
from umtrace.sources.base import Source
from umtrace.sources.ftrace.text import TextSource
from umtrace.sources.questions import Questions
from umtrace.stats.filters import RowFilter
from umtrace.stats.matching import without_internal
from umtrace.stats.unseen import check_seen

TICK_S = 0.05
READER_NICE = -15  # it sleeps nearly always; what it needs, it needs at once
FLUSH_S = 0.25  # what a kill -9 may take
#: key in meta.json: the threshold that the recorded EBUSY windows were judged by
WITHIN = "spurious_within_ns"
#: key in meta.json: how many calls of `umtrace why --ask-kernel` were left out
QUESTIONS = "questions"


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of a running pipeline."""

    batch: EventBatch
    rows: pa.RecordBatch  #: completed and passed by the filter
    losses: LossReport  #: so far, all stages together
    ebusy: EbusyUpdate = field(default_factory=EbusyUpdate)


@dataclass(slots=True)
class Totals:
    """What a run amounted to; grows as it runs."""

    rows: int = 0
    failed: int = 0
    incomplete: int = 0
    events: int = 0
    seconds: float = 0.0
    windows: int = 0
    spurious: int = 0
    questions: int = 0  #: calls of `umtrace why --ask-kernel` that were left out
    losses: LossReport = field(default_factory=LossReport)

    def add(self, tick: Tick) -> None:
        """Count one tick."""
        rows = without_internal(tick.rows)
        self.rows += rows.num_rows
        self.failed += sum(1 for errno in rows.column("errno").to_pylist() if errno)
        self.incomplete += rows.num_rows - (rows.column("complete").true_count if rows else 0)
        self.events += len(tick.batch.events)
        self.windows += len(tick.ebusy.windows)
        self.spurious += sum(window.spurious is True for window in tick.ebusy.windows)
        self.losses = tick.losses


def stream(
    source: Source,
    *,
    row_filter: RowFilter | None = None,
    container_of: Callable[[int], str | None] = lambda _id: None,
    stop: Callable[[], bool] = lambda: False,
    tick_s: float = TICK_S,
    ebusy: EbusyStage | None = None,
    questions: Questions | None = None,
) -> Iterator[Tick]:
    """Drive an open source until it ends or ``stop()``; the last tick holds what was open.

    ``stop`` is asked before each read, so that what happened before it became true
    is drained. ``questions`` leaves out what `umtrace why` asks the kernel meanwhile.
    """
    correlator = UmountCorrelator(
        clock_offset_ns=source.clock.offset_ns, tier=source.tier, container_of=container_of
    )
    row_filter = row_filter or RowFilter()
    ebusy = ebusy or EbusyStage(offset_ns=source.clock.offset_ns)
    stopping = False
    while not stopping:
        stopping = stop()
        batch = source.read(0 if stopping else tick_s)
        if batch is None:
            break
        if questions is not None:
            batch = questions.leave_out(batch)
        rows = row_filter.apply(correlator.feed(batch))
        yield Tick(
            batch, rows, source.losses() + correlator.losses(), ebusy.feed(rows, batch.events)
        )
    rest = row_filter.apply(correlator.finish())
    last = ebusy.feed(rest) + ebusy.finish()
    yield Tick(EventBatch(), rest, source.losses() + correlator.losses(), last)


def live(
    source: Source,
    *,
    row_filter: RowFilter | None = None,
    stop: Callable[[], bool],
    on_ready: Callable[[], None] = lambda: None,
    spurious_within_ns: int = SPURIOUS_WITHIN_NS,
) -> Generator[Tick, None, None]:
    """Trace an attached source without recording: ``on_ready``, ticks, detach."""
    with ExitStack() as stack:
        stack.enter_context(closing(source))
        check_seen(row_filter or RowFilter(), source.tier)
        containers = stack.enter_context(closing(Containers()))
        ebusy = stack.enter_context(_looking(source.clock, spurious_within_ns))
        ticks = stream(
            source,
            row_filter=row_filter,
            container_of=containers,
            stop=stop,
            ebusy=ebusy,
            questions=Questions(),
        )
        first = list(islice(ticks, 1))  # what a first time costs is over before anybody is told
        on_ready()
        yield from first
        yield from ticks


@contextmanager
def _looking(clock: ClockPair, spurious_within_ns: int) -> Iterator[EbusyStage]:
    """Make an EBUSY stage that looks for holders, on the clock of the rows."""

    def now() -> int:
        return monotonic_ns() + clock.offset_ns

    with closing(ScanWorker(now)) as worker:
        yield EbusyStage(
            offset_ns=clock.offset_ns, scanner=worker, spurious_within_ns=spurious_within_ns
        )


def record(
    path: Path,
    source: Source,
    *,
    row_filter: RowFilter | None = None,
    command: Sequence[str] = (),
    force: bool = False,
    stop: Callable[[], bool],
    on_ready: Callable[[], None] = lambda: None,
    on_tick: Callable[[Totals], None] = lambda _totals: None,
    spurious_within_ns: int = SPURIOUS_WITHIN_NS,
) -> Totals:
    """Record an attached source until ``stop()``; returns what was recorded.

    The probes are detached before the last chunk is compressed, and whatever happens.
    """
    row_filter = row_filter or RowFilter()
    with ExitStack() as stack:
        detach = stack.enter_context(ExitStack())
        detach.callback(source.close)
        check_seen(row_filter, source.tier)
        meta = Meta.of_this_host(
            tier=source.tier,
            clock=source.clock,
            command=command,
            plan=source.plan(),
            filters=row_filter.to_dict(),
        )
        meta = replace(meta, extra={"rcu": rcu_state(), WITHIN: spurious_within_ns})
        writer = stack.enter_context(RecordingWriter(path, meta, force=force))
        containers = stack.enter_context(closing(Containers()))
        ebusy = stack.enter_context(_looking(source.clock, spurious_within_ns))
        questions, begun = Questions(), False

        def tick(totals: Totals) -> None:
            nonlocal begun
            if not begun:  # what a first time costs, of each stage and of the file, is over
                on_ready()  # starts the command, which keeps the priority it was given
                stack.enter_context(_ahead_of_the_load())
                begun = True
            on_tick(totals)

        ticks = stream(
            source,
            row_filter=row_filter,
            container_of=containers,
            stop=lambda: begun and stop(),
            ebusy=ebusy,
            questions=questions,
        )
        alive: list[EbusyWindow] = []
        totals = _write_all(ticks, writer, containers, tick, alive)
        _note_questions(writer, totals, questions)
        # Once more: a probe may have had a substitute, or not have been attached all the time.
        writer.meta = replace(writer.meta, plan=tuple(source.plan()))
        detach.close()
        _write_alive(writer, alive, source.clock.offset_ns)
        _note_containers(writer, containers)
        writer.close(losses=totals.losses, clock=ClockPair.now())
    return totals


def import_trace(file: Path, path: Path, *, force: bool = False) -> Totals:
    """Make a recording of a trace that somebody else's tool took; see sources.ftrace.text."""
    with ExitStack() as stack:
        check_writable(path)
        source = stack.enter_context(closing(TextSource(file)))
        source.open()
        # A trace does not say of which host and kernel it is: not of this one, as a rule.
        meta = Meta(tier=source.tier, clock=source.clock, plan=tuple(source.plan()))
        name = "standard input" if str(file) == "-" else str(file)
        meta = replace(meta, extra={"imported": name, "left_out": source.left_out})
        writer = stack.enter_context(RecordingWriter(path, meta, force=force))
        containers = stack.enter_context(closing(Containers()))
        alive: list[EbusyWindow] = []
        totals = _write_all(stream(source), writer, containers, lambda _totals: None, alive)
        if alive:  # of another host, or of another time
            writer.append(EBUSY.name, windows_to_arrow(alive))
        writer.close(losses=totals.losses, clock=source.clock)
    return totals


@contextmanager
def _ahead_of_the_load() -> Iterator[None]:
    """Let the reader run when it must: among 64 busy tasks its fair share loses events."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(before, READER_NICE))
    try:
        yield
    finally:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


def _write_all(
    ticks: Iterator[Tick],
    writer: RecordingWriter,
    containers: Containers,
    on_tick: Callable[[Totals], None],
    alive: list[EbusyWindow],
) -> Totals:
    """Write all; ``alive`` grows by the windows of superblocks that live on, left to the end."""
    totals, began, flushed = Totals(), time.monotonic(), 0.0
    identities = MountIdentities()
    for tick in ticks:
        writer.write(identities.hide(tick.batch), tick.rows)
        if tick.ebusy.scans:
            writer.append(HOLDERS.name, scans_to_arrow(tick.ebusy.scans))
        alive += filter(lives_on, tick.ebusy.windows)
        if over := [window for window in tick.ebusy.windows if not lives_on(window)]:
            writer.append(EBUSY.name, windows_to_arrow(over))
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


def _write_alive(writer: RecordingWriter, alive: list[EbusyWindow], offset_ns: int) -> None:
    """Look who keeps those superblocks, now that nothing is traced any more."""

    def now() -> int:
        return monotonic_ns() + offset_ns

    scans = {}
    with suppress(OSError):
        scans = {scan.umount_id: scan for scan in survivors(alive, now)}
    if scans:
        writer.append(HOLDERS.name, scans_to_arrow(list(scans.values())))
    if alive:
        known = [with_survivors(window, scans.get(window.umount_id or 0)) for window in alive]
        writer.append(EBUSY.name, windows_to_arrow(known))


def _note_questions(writer: RecordingWriter, totals: Totals, questions: Questions) -> None:
    totals.questions = questions.left_out
    if totals.questions:
        extra = {**writer.meta.extra, QUESTIONS: totals.questions}
        writer.meta = replace(writer.meta, extra=extra)


def _note_containers(writer: RecordingWriter, containers: Containers) -> None:
    """Keep what cgroup ids meant: the cgroups are gone when the recording is replayed."""
    found = {str(cgroup_id): name for cgroup_id, name in containers.found.items()}
    if found != writer.meta.extra.get("containers", {}):
        writer.meta = replace(writer.meta, extra={**writer.meta.extra, "containers": found})
