"""Run a live source into sinks: one stream, any number of consumers.

The reader's priority, containers, the search for holders and the end of a run are here, once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.holders.worker import ScanWorker
from umtrace.kernel.cgroups import Containers
from umtrace.model.clock import ClockPair, monotonic_ns
from umtrace.model.stopping import StopSignals
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.pipeline.ticks import Tick, Totals, stream
from umtrace.sources.base import Source
from umtrace.sources.questions import Questions
from umtrace.stats.filters import RowFilter
from umtrace.stats.unseen import check_seen

READER_NICE = -15  # it sleeps nearly always; what it needs, it needs at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a sink may know of the run it belongs to.

    Attributes
    ----------
    source : Source
        Attached; detached before `Sink.finish`.
    row_filter : RowFilter
        Which rows reach the sinks.
    containers : Containers
        From cgroup ids to names, as far as they were met.
    spurious_within_ns : int
        Threshold of a spurious EBUSY.
    totals : Totals
        So far, up to and with the tick that is taken.
    end : callable
        Ends the run; what is under way still comes.
    """

    source: Source
    row_filter: RowFilter
    containers: Containers
    spurious_within_ns: int
    totals: Totals
    end: Callable[[], None]


class Sink(Protocol):
    """Takes the ticks of a run, in the process that reads the events.

    What a sink spends is spent by the reader: what computes or prints at length belongs into a
    process of its own (`umtrace.pipeline.consumer.ConsumerProcess`).
    """

    def opened(self, run: Run) -> AbstractContextManager[object]:
        """Prepare for ticks; the context is left after `finish`, and whatever happens."""

    def take(self, tick: Tick) -> None:
        """Take one tick; the first comes before the run is said to be ready."""

    def finish(self) -> None:
        """Do what is left, after the last tick and with nothing traced any more."""


class Until:
    """When a run ends: at a signal, after a duration, or when something else says so.

    Parameters
    ----------
    signals : StopSignals, optional
        The first of which ends the run.
    seconds : float, optional
        From `begin` on.
    also : callable, optional
        Asked each time.
    """

    def __init__(
        self,
        signals: StopSignals | None = None,
        seconds: float | None = None,
        also: Callable[[], bool] = lambda: False,
    ) -> None:
        self._signals, self._seconds, self._also = signals, seconds, also
        self._begun, self._end, self._ended = False, float("inf"), False

    def begin(self) -> None:
        """Let the time begin: the run is ready."""
        self._begun = True
        if self._seconds is not None:
            self._end = time.monotonic() + self._seconds

    def end(self) -> None:
        """Let it be over, whether it began or not."""
        self._ended = True

    def __call__(self) -> bool:
        """Whether it is over; not before it began."""
        if self._ended or not self._begun:
            return self._ended
        signalled = self._signals is not None and self._signals.received > 0
        return signalled or time.monotonic() >= self._end or self._also()


def run(
    source: Source,
    sinks: Sequence[Sink],
    *,
    until: Until,
    row_filter: RowFilter | None = None,
    on_ready: Callable[[], None] = lambda: None,
    spurious_within_ns: int = SPURIOUS_WITHIN_NS,
) -> Totals:
    """Hand the ticks of an attached source to every sink until it is over; return the totals.

    Parameters and errors are those of `steps`. From the first tick on this process runs ahead of
    others; what ``on_ready`` starts does not.
    """
    totals = Totals()
    ticks = steps(
        source,
        sinks,
        until=until,
        row_filter=row_filter,
        on_ready=on_ready,
        spurious_within_ns=spurious_within_ns,
        totals=totals,
    )
    with closing(ticks):
        if next(ticks, None) is not None:
            with _ahead_of_the_load():
                for _ in ticks:
                    pass
    return totals


def steps(
    source: Source,
    sinks: Sequence[Sink] = (),
    *,
    until: Until,
    row_filter: RowFilter | None = None,
    on_ready: Callable[[], None] = lambda: None,
    spurious_within_ns: int = SPURIOUS_WITHIN_NS,
    totals: Totals | None = None,
) -> Generator[Tick, None, None]:
    """Yield each tick of an attached source once the sinks have it; for several sources in turn.

    The source is detached before the sinks finish, and whatever happens. ``on_ready`` is called
    after the first tick, when what a first time costs is over for every stage and sink.

    Raises
    ------
    UsageError
        The filter asks for what the source's tier cannot see.
    UmtraceError, OSError
        As sources and sinks say. The error of one sink ends the run: a consumer that may fail
        belongs in a process of its own.
    """
    row_filter, totals = row_filter or RowFilter(), totals or Totals()
    with ExitStack() as stack:
        detach = stack.enter_context(ExitStack())
        detach.callback(source.close)
        check_seen(row_filter, source.tier)
        containers = stack.enter_context(closing(Containers()))
        about = Run(
            source=source,
            row_filter=row_filter,
            containers=containers,
            spurious_within_ns=spurious_within_ns,
            totals=totals,
            end=until.end,
        )
        for sink in sinks:
            stack.enter_context(sink.opened(about))
        ebusy = stack.enter_context(_finding_holders(source.clock, spurious_within_ns))
        for number, tick in enumerate(_counted(about, ebusy, until)):
            for sink in sinks:
                sink.take(tick)
            if number == 0:
                on_ready()
                until.begin()
            yield tick
        detach.close()
        for sink in sinks:
            sink.finish()


def _counted(run: Run, ebusy: EbusyStage, until: Until) -> Iterator[Tick]:
    """Yield the ticks of all stages; they are in the run's totals already."""
    began, questions = time.monotonic(), Questions()
    ticks = stream(
        run.source,
        row_filter=run.row_filter,
        container_of=run.containers,
        stop=until,
        ebusy=ebusy,
        questions=questions,
    )
    for tick in ticks:
        run.totals.add(tick)
        run.totals.seconds = time.monotonic() - began
        run.totals.questions = questions.left_out
        yield tick


@contextmanager
def _finding_holders(clock: ClockPair, spurious_within_ns: int) -> Iterator[EbusyStage]:
    """Make an EBUSY stage that looks for holders, on the clock of the rows."""

    def now() -> int:
        return monotonic_ns() + clock.offset_ns

    with closing(ScanWorker(now)) as worker:
        yield EbusyStage(
            offset_ns=clock.offset_ns, scanner=worker, spurious_within_ns=spurious_within_ns
        )


@contextmanager
def _ahead_of_the_load() -> Iterator[None]:
    """Let the reader run when it must: among 64 busy tasks its fair share loses events."""
    before = os.getpriority(os.PRIO_PROCESS, 0)  # of this thread, as Linux has it
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(before, READER_NICE))
    try:
        yield
    finally:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)
