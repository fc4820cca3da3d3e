"""Summaries of a running recorder: a sink that counts, and a thread that writes once an hour.

An hour is written when the next one has begun, and at the end. A row belongs to the hour in which
it began, so a file of an hour that is over is written again where a long umount of it ends later.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

import pyarrow as pa

from umtrace.fleet.about import About
from umtrace.fleet.counting import HOUR_NS, HourlyCounts, windows_columns
from umtrace.fleet.file import encode
from umtrace.fleet.storage import storage_of
from umtrace.fleet.summarize import about_recording, kernel_of
from umtrace.model.errors import UmtraceError
from umtrace.model.losses import LossReport
from umtrace.model.windows import windows_to_arrow
from umtrace.pipeline.run import Run
from umtrace.pipeline.ticks import Tick
from umtrace.recording import Meta
from umtrace.stats.matching import without_internal

#: hours of which the counts stay in memory; what ends later counts in the first of them
KEPT_HOURS = 24
_GRACE_NS = 60_000_000_000
_TO_END_S = 120.0

_Job = tuple[About, pa.Table]


class SummarySink:
    """Writes a summary for each hour of a run; see docs/fleet.md.

    Parameters
    ----------
    where : str
        Folder or URL.
    say : callable
        Takes a line about a file that could not be written; it is tried again an hour later.
    now_ns : callable
        The wall clock, ns.

    Raises
    ------
    UmtraceError
        From `finish`: files are missing in the end.
    """

    def __init__(
        self,
        where: str,
        *,
        say: Callable[[str], None] = lambda _line: None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._storage, self._say, self._now_ns = storage_of(where), say, now_ns
        self._jobs: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._failed: dict[str, _Job] = {}
        self._changed: set[int] = set()
        self._losses: dict[int, LossReport] = {}
        self._noted = LossReport()
        self._thread = threading.Thread(target=self._write, name="umtrace-summaries", daemon=True)
        self._meta: Meta
        self._counts: HourlyCounts
        self._due_ns = 0
        self._last = LossReport()

    @contextmanager
    def opened(self, run: Run) -> Iterator[None]:
        """Start the thread that writes."""
        source = run.source
        self._meta = Meta.of_this_host(
            tier=source.tier, clock=source.clock, filters=run.row_filter.to_dict()
        )
        self._counts = HourlyCounts(kernel_of(self._meta), self._meta.start_ns)
        self._due_ns = self._hour_of(self._now_ns()) + HOUR_NS + _GRACE_NS
        self._thread.start()
        try:
            yield
        finally:
            self._jobs.put(None)

    def take(self, tick: Tick) -> None:
        """Count one tick; once an hour hand over what has changed."""
        oldest = self._hour_of(self._now_ns()) - KEPT_HOURS * HOUR_NS
        rows = without_internal(tick.rows)
        if rows.num_rows:
            self._changed |= self._counts.add(rows, oldest)
        if tick.ebusy.windows:
            windows = windows_to_arrow(tick.ebusy.windows).select(windows_columns())
            self._changed |= self._counts.add_windows(windows, oldest)
        if self._now_ns() >= self._due_ns:
            self._note(tick.losses)
            self._hand_over(before=self._hour_of(self._now_ns() - _GRACE_NS))
            self._due_ns = self._hour_of(self._now_ns()) + HOUR_NS + _GRACE_NS
        self._last = tick.losses

    def finish(self) -> None:
        """Write what is left; UmtraceError where files are missing in the end."""
        self._note(self._last)
        self._hand_over(before=None)
        self._jobs.put(None)
        self._thread.join(_TO_END_S)
        if self._thread.is_alive():
            raise UmtraceError(f"{self._storage.where}: summaries could not be written in time")
        if self._failed:
            raise UmtraceError(
                f"{self._storage.where}: {len(self._failed)} summaries could not be written"
            )

    def _note(self, losses: LossReport) -> None:
        """Give the losses since the last time to the newest hour."""
        if not self._counts.hours:
            self._counts.begin(self._meta.start_ns)
        hour = self._counts.hours[-1]
        news = _since(losses, self._noted)
        if news.lost() or hour not in self._losses:
            self._losses[hour] = self._losses.get(hour, LossReport()) + news
            self._changed.add(hour)
        self._noted = losses

    def _hand_over(self, before: int | None) -> None:
        """Give the changed hours to the thread; None is all of them."""
        jobs: list[_Job] = []
        for hour in sorted(self._changed):
            if before is None or hour < before:
                table, folded = self._counts.cells(hour)
                about = replace(
                    about_recording(self._meta, hour),
                    rows=self._counts.rows(hour),
                    losses=self._losses.get(hour, LossReport()),
                    folded_owners=folded,
                )
                jobs.append((about, table))
                self._changed.discard(hour)
        oldest = self._hour_of(self._now_ns()) - KEPT_HOURS * HOUR_NS
        for hour in self._counts.hours:
            if hour < oldest and hour not in self._changed:
                self._counts.forget(hour)
        self._jobs.put(jobs)

    def _write(self) -> None:
        while (jobs := self._jobs.get()) is not None:
            again, self._failed = self._failed, {}
            for job in [*again.values(), *jobs]:
                self._put(*job)

    def _put(self, about: About, table: pa.Table) -> None:
        try:
            self._storage.put(about.place, encode(about, table))
        except (UmtraceError, OSError) as error:
            self._failed[about.place] = about, table
            self._say(f"summary of an hour not written, to be tried again: {error}")

    @staticmethod
    def _hour_of(time_ns: int) -> int:
        return time_ns // HOUR_NS * HOUR_NS


def _since(now: LossReport, before: LossReport) -> LossReport:
    """Return what was lost since; a counter that is unknown stays unknown."""
    counts = {}
    for field in fields(LossReport):
        count, old = getattr(now, field.name), getattr(before, field.name)
        if isinstance(count, int):
            counts[field.name] = count - (old or 0)
    return LossReport.from_dict(counts)
