"""A recording as a source, with the same interface as a live one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from umtrace.model.events import EventBatch
from umtrace.model.losses import LossReport
from umtrace.model.plan_line import PlanLine
from umtrace.model.tiers import tier_named
from umtrace.recording.reader import Recording

#: events at a time where they are evidence: what a stage keeps of it is bounded until the rows come
_AT_ONCE = 1024


class ReplaySource:
    """Delivers the events of a recording, as fast as they are read.

    What cannot be read is listed in ``recording.problems``; it raises no error.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.tier = recording.meta.tier
        self.clock = recording.meta.clock
        self._batches: Iterator[EventBatch] | None = None

    def open(self) -> None:
        """Start at the first event."""
        batches = self.recording.event_batches()
        has_evidence = tier_named(self.tier).gives_evidence is not False
        self._batches = _pieces(batches) if has_evidence else batches

    def read(self, timeout_s: float) -> EventBatch | None:
        """Return the next batch at once; None at the end, before ``open`` and after ``close``."""
        del timeout_s
        return next(self._batches, None) if self._batches else None

    def fill(self) -> float | None:
        """Return None: a file does not fill."""
        return None

    def open_tasks(self) -> None:
        """Return None: what is recorded has ended."""

    def follow_command(self) -> None:
        """Return None: what is recorded says it."""

    def bell(self) -> None:
        """Return None: no probe wakes the reader."""

    def task_walk(self) -> None:
        """Return None: what was open is in the recording, or lost."""

    def losses(self) -> LossReport:
        """Return what was lost while recording, without what the later stages count again."""
        return replace(
            self.recording.losses,
            unmatched_events=None,
            incomplete_rows=None,
            names_forgotten=None,
            evidence_dropped=None,
            tails_forgotten=None,
        )

    def plan(self) -> list[PlanLine]:
        """Return the probe plan that the recording was made with."""
        return list(self.recording.meta.plan)

    def close(self) -> None:
        """Release the recording's files."""
        self._batches = None


def _pieces(batches: Iterator[EventBatch]) -> Iterator[EventBatch]:
    """Yield small batches, as a live source does; names and births come with the first piece."""
    for batch in batches:
        yield replace(batch, events=batch.events[:_AT_ONCE])
        for begin in range(_AT_ONCE, len(batch.events), _AT_ONCE):
            yield EventBatch(batch.events[begin : begin + _AT_ONCE])
