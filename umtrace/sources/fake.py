"""A source of events that were made up: for tests, of umtrace and of what is built on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from umtrace.model.clock import ClockPair
from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.open_tasks import OpenTask
from umtrace.model.plan_line import PlanLine


class FakeSource:
    """Delivers batches of events as a live source does, without a kernel.

    ::

        from umtrace.pipeline import Until, run
        from umtrace.sources.fake import FakeSource

        run(FakeSource(batches), [my_sink], until=Until())

    Parameters
    ----------
    batches : iterable of EventBatch
        One for each read, in order of time; see docs/events.md and ``tests/builders.py``.
    tier : str
        The tier that the events are of.
    clock : ClockPair, optional
        CLOCK_MONOTONIC and wall clock at the same moment; ns.
    losses : LossReport, optional
        The losses that it reports.
    plan : sequence of PlanLine
        The lines of its probe plan.
    fills : iterable of float
        What `fill` returns after each read; 0 after the last of them. Without it, None.
    open_tasks : sequence of OpenTask, optional
        What `open_tasks` returns. Without it, None.
    endless : bool
        Whether reads go on with empty batches after the last one, as those of an idle host.
    """

    def __init__(
        self,
        batches: Iterable[EventBatch] = (),
        *,
        tier: str = "fentry",
        clock: ClockPair | None = None,
        losses: LossReport | None = None,
        plan: Sequence[PlanLine] = (),
        fills: Iterable[float] | None = None,
        open_tasks: Sequence[OpenTask] | None = None,
        endless: bool = False,
    ) -> None:
        self.tier = tier
        self.clock = clock or ClockPair(0, 0)
        self.is_open = False
        self._batches: Iterator[EventBatch] = iter(batches)
        self._losses = losses or LossReport(ring_events=0)
        self._plan = list(plan)
        self._fills = None if fills is None else iter(fills)
        self._fill: float | None = None if fills is None else 0.0
        self._open_tasks = open_tasks
        self._endless = endless

    def open(self) -> None:
        """Start; nothing is attached."""
        self.is_open = True

    def read(self, timeout_s: float) -> EventBatch | None:
        """Return the next batch at once; after the last None, or, if endless, wait for nothing."""
        batch = next(self._batches, None)
        if self._fills is not None:
            self._fill = next(self._fills, 0.0)
        if batch is None and self._endless:
            time.sleep(timeout_s)
            return EventBatch()
        return batch

    def fill(self) -> float | None:
        """Return the fill of the last read, as it was made up."""
        return self._fill

    def open_tasks(self) -> list[OpenTask] | None:
        """Return the open operations it was made with."""
        return None if self._open_tasks is None else list(self._open_tasks)

    def follow_command(self) -> None:
        """Return None: there is no command."""

    def bell(self) -> None:
        """Return None: no probe wakes the reader."""

    def task_walk(self) -> None:
        """Return None: there are no tasks."""

    def losses(self) -> LossReport:
        """Return the losses it was made with."""
        return self._losses

    def plan(self) -> list[PlanLine]:
        """Return the plan it was made with."""
        return list(self._plan)

    def close(self) -> None:
        """End; may be called twice."""
        self.is_open = False
