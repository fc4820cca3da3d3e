"""Run a live source into sinks: one stream, any number of consumers.

The reader's pace, owners, the search for holders and the end of a run are only here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.holders.worker import ScanWorker
from umtrace.model.clock import monotonic_ns
from umtrace.model.stopping import StopSignals
from umtrace.owners.resolve import Owners
from umtrace.pipeline.bell import raised_by
from umtrace.pipeline.ebusy import EbusyStage
from umtrace.pipeline.hangs import HangWatch
from umtrace.pipeline.pace import READER_NICE, LivePace, Pace, ReaderPriority
from umtrace.pipeline.ticks import Tick, Totals, stream
from umtrace.probes.constants import host_mntns
from umtrace.runtimes.learner import HostLearner
from umtrace.sources.base import Source
from umtrace.sources.questions import Questions
from umtrace.stats.filters import RowFilter
from umtrace.stats.unseen import check_seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a sink can use of its run.

    Attributes
    ----------
    source : Source
        Attached; detached before `Sink.finish`.
    row_filter : RowFilter
        Selects the rows for the sinks.
    spurious_within_ns : int
        Threshold of a spurious EBUSY.
    totals : Totals
        Totals so far, including the current tick.
    end : callable
        Ends the run; the last ticks still come.
    """

    source: Source
    row_filter: RowFilter
    spurious_within_ns: int
    totals: Totals
    end: Callable[[], None]


class Sink(Protocol):
    """Takes the ticks of a run, in the process that reads the events.

    The reader waits while a sink works. So a sink that computes or prints a lot needs a process of
    its own (`umtrace.pipeline.consumer.ConsumerProcess`).
    """

    def opened(self, run: Run) -> AbstractContextManager[object]:
        """Prepare for ticks; the context is left after `finish`, also after an error."""

    def take(self, tick: Tick) -> None:
        """Take one tick; the first comes before the run is ready."""

    def finish(self) -> None:
        """Do what is left after the last tick, when nothing is traced any more."""


class Until:
    """Decides when a run ends: at a signal, after a duration, or by another condition.

    Parameters
    ----------
    signals : StopSignals, optional
        The first signal ends the run.
    seconds : float, optional
        Duration, from `begin` on.
    also : callable, optional
        Another condition, which is called each time.
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
        """Start the time, since the run is ready."""
        self._begun = True
        if self._seconds is not None:
            self._end = time.monotonic() + self._seconds

    def end(self) -> None:
        """End the run, whether it has begun or not."""
        self._ended = True

    @property
    def left_s(self) -> float:
        """How many seconds the run lasts from now on, if nothing ends it earlier."""
        return max(self._end - time.monotonic(), 0.0)

    def __call__(self) -> bool:
        """Whether the run is over, which it cannot be before it has begun."""
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
    is_of_command: Callable[[int], bool | None] | None = None,
) -> Totals:
    """Give the ticks of an attached source to every sink, until the run ends; return the totals.

    Parameters and errors are those of `steps`. This process has a higher priority while the source
    fills, and sleeps longer while no event comes (`umtrace.pipeline.pace`).
    """
    totals, priority = Totals(), ReaderPriority()
    ticks = steps(
        source,
        sinks,
        until=until,
        row_filter=row_filter,
        on_ready=on_ready,
        spurious_within_ns=spurious_within_ns,
        is_of_command=is_of_command,
        totals=totals,
        pace=LivePace(priority, left_s=lambda: until.left_s),
    )
    with closing(priority), closing(ticks):
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
    is_of_command: Callable[[int], bool | None] | None = None,
    totals: Totals | None = None,
    pace: Pace | None = None,
) -> Generator[Tick, None, None]:
    """Yield each tick of an attached source after the sinks took it; sources can take turns.

    The source is detached before the sinks finish, also after an error. ``on_ready`` is called when
    each stage and sink has run once. ``is_of_command`` says it of a process id. Without ``pace``
    each read waits the same time.

    Raises
    ------
    UsageError
        The filter needs what the source's tier cannot see.
    UmtraceError, OSError
        From sources and sinks: what may fail by itself needs a process of its own.
    """
    row_filter, totals = row_filter or RowFilter(), totals or Totals()
    with ExitStack() as stack:
        detach = stack.enter_context(ExitStack())
        detach.callback(source.close)
        check_seen(row_filter, source.tier)
        about = Run(
            source=source,
            row_filter=row_filter,
            spurious_within_ns=spurious_within_ns,
            totals=totals,
            end=until.end,
        )
        _ = [stack.enter_context(sink.opened(about)) for sink in sinks]
        ebusy = stack.enter_context(_finding_holders(source, spurious_within_ns))
        owners = stack.enter_context(_finding_owners(is_of_command))
        for number, tick in enumerate(_counted(about, ebusy, until, pace or Pace(), owners)):
            for sink in sinks:
                sink.take(tick)
            if number == 0:
                on_ready()
                until.begin()
            yield tick
        detach.close()
        for sink in sinks:
            sink.finish()


def _counted(
    run: Run, ebusy: EbusyStage, until: Until, pace: Pace, owners: Owners
) -> Iterator[Tick]:
    """Yield the ticks of all stages, after they were added to the run's totals."""
    began, questions = time.monotonic(), Questions()
    ticks = stream(
        run.source,
        row_filter=run.row_filter,
        owners=owners,
        stop=until,
        pace=pace,
        ebusy=ebusy,
        questions=questions,
        watch=HangWatch(),
    )
    for tick in ticks:
        run.totals.add(tick)
        run.totals.seconds = time.monotonic() - began
        run.totals.questions = questions.left_out
        yield tick


@contextmanager
def _finding_owners(is_of_command: Callable[[int], bool | None] | None) -> Iterator[Owners]:
    """Make what finds owners on this host, after one look at the cgroups that exist."""
    with closing(HostLearner(host_mntns(), is_of_command=is_of_command)) as learner:
        learner.look_around()
        yield Owners(learner)


@contextmanager
def _finding_holders(source: Source, spurious_within_ns: int) -> Iterator[EbusyStage]:
    """Make an EBUSY stage that searches holders, with the clock of the rows."""
    offset_ns = source.clock.offset_ns

    def now() -> int:
        return monotonic_ns() + offset_ns

    worker = ScanWorker(now, nice=READER_NICE, walk=source.task_walk())
    with raised_by(source.bell()), closing(worker):
        yield EbusyStage(offset_ns=offset_ns, scanner=worker, spurious_within_ns=spurious_within_ns)
