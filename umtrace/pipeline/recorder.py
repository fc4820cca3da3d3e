"""The sink that writes a recording, in line with the reading of events.

There is no queue between the two. While the disk is slow, events wait in the kernel's ring, which
has a fixed size, and what does not fit is counted in ``losses``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from umtrace.ebusy.detector import SPURIOUS_WITHIN_NS
from umtrace.ebusy.shared import lives_on, with_survivors
from umtrace.holders.survivors import survivors
from umtrace.kernel.config import option_number
from umtrace.kernel.rcu import rcu_state
from umtrace.model.clock import ClockPair, monotonic_ns
from umtrace.model.holders import scans_to_arrow
from umtrace.model.identity import MountIdentities
from umtrace.model.windows import EbusyWindow, windows_to_arrow
from umtrace.owners.facts import facts_to_arrow
from umtrace.pipeline.run import Run, Sink, Until, run
from umtrace.pipeline.ticks import Tick, Totals
from umtrace.query.claims import KEY as CLAIMS
from umtrace.query.claims import within_of
from umtrace.query.normal_gp import HZ
from umtrace.query.normal_gp import KEY as NORMAL_GP
from umtrace.recording import Meta, RecordingWriter
from umtrace.recording.place import PlaceLostError
from umtrace.recording.tables import EBUSY, HOLDERS, OWNERS
from umtrace.sources.base import Source
from umtrace.stats.filters import RowFilter

FLUSH_S = 0.25  # how much a kill -9 may cost
#: key in meta.json: the threshold of spurious in the recorded EBUSY windows
WITHIN = "spurious_within_ns"
#: key in meta.json: how many calls of `umtrace why --ask-kernel` were left out
QUESTIONS = "questions"
#: key in meta.json: by column of the filter, the number of rows in which it is unknown, of how many
UNDECIDED = "undecided"
#: key in meta.json: how long the command ran, ns
COMMAND_NS = "command_ns"


class TickWriter:
    """Writes ticks into a recording; ``alive`` has the windows of superblocks that live on.

    These are written at the end, when their holders are known.
    """

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer = writer
        self.alive: list[EbusyWindow] = []
        self._identities = MountIdentities()
        self._flushed = 0.0

    def flush_if_due(self, tick: Tick, note: Callable[[], None] = lambda: None) -> None:
        """Flush four times a second, and note the losses and whatever ``note`` adds."""
        now = time.monotonic()
        if now - self._flushed >= FLUSH_S:
            self._flushed = now
            self.writer.flush()
            note()
            self.writer.update(losses=tick.losses)

    def write(self, tick: Tick) -> None:
        """Write one tick; the facts first, so that no row lacks what it was told by."""
        if tick.facts:
            self.writer.append(OWNERS.name, facts_to_arrow(tick.facts, time.time_ns()))
        self.writer.write(self._identities.hide(tick.batch), tick.rows)
        if tick.ebusy.scans:
            self.writer.append(HOLDERS.name, scans_to_arrow(tick.ebusy.scans))
        self.alive += filter(lives_on, tick.ebusy.windows)
        if over := [window for window in tick.ebusy.windows if not lives_on(window)]:
            self.append_windows(over)

    def append_windows(self, windows: Sequence[EbusyWindow]) -> None:
        """Write windows, if there are any."""
        if windows:
            self.writer.append(EBUSY.name, windows_to_arrow(list(windows)))

    def note(self, key: str, value: object) -> None:
        """Store a value under a key of its own in meta.json."""
        extra = self.writer.meta.extra
        if extra.get(key) != value:
            self.writer.meta = replace(self.writer.meta, extra={**extra, key: value})


class RecordingSink:
    """Writes a recording directory; see docs/recording.md.

    Parameters
    ----------
    path : Path
        The directory to make.
    command : sequence of str
        The command that runs during the recording, for meta.json.
    force : bool
        Whether to overwrite a recording.
    ran_ns : callable
        Returns at the end how long the command ran; None is not known.
    normal_gp : callable
        Returns what was measured of normal grace periods so far; None is nothing at all.
    """

    def __init__(
        self,
        path: Path,
        *,
        command: Sequence[str] = (),
        force: bool = False,
        ran_ns: Callable[[], int | None] = lambda: None,
        normal_gp: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        self._path, self._command, self._force = path, command, force
        self._ran_ns, self._normal_gp = ran_ns, normal_gp
        self._lost: PlaceLostError | None = None
        self._kept: int | None = None
        self._run: Run
        self._ticks: TickWriter

    @contextmanager
    def opened(self, run: Run) -> Iterator[None]:
        """Make the directory; UsageError or OSError if that is not possible."""
        self._run = run
        meta = Meta.of_this_host(
            tier=run.source.tier,
            clock=run.source.clock,
            command=self._command,
            plan=run.source.plan(),
            filters=run.row_filter.to_dict(),
        )
        host = {"rcu": rcu_state(), HZ: option_number("CONFIG_HZ")}
        claims = within_of(meta.plan, meta.tier)
        meta = replace(meta, extra={**host, WITHIN: run.spurious_within_ns, CLAIMS: claims})
        with RecordingWriter(self._path, meta, force=self._force) as writer:
            self._ticks = TickWriter(writer)
            yield

    def take(self, tick: Tick) -> None:
        """Write one tick; four times a second everything reaches the operating system.

        If another process removed or moved the directory, the run ends, and `finish` reports what
        is lost.
        """
        if self._lost is not None:
            return
        with self._ending_where_lost():
            self._write(tick)

    def _write(self, tick: Tick) -> None:
        self._ticks.write(tick)
        self._ticks.flush_if_due(tick, self._note)

    def finish(self) -> None:
        """Find the holders of superblocks that live on, compress the last chunk, and close.

        PlaceLostError if the directory was removed or moved, with what is left and what is lost.
        """
        if self._lost is None:
            with self._ending_where_lost():
                self._close()
        if self._lost is not None:
            raise self._lost.counted(self._kept, self._run.totals.rows)

    @contextmanager
    def _ending_where_lost(self) -> Iterator[None]:
        try:
            yield
        except PlaceLostError as lost:
            self._lost = lost
            if lost.kept is not None:  # without internal rows, which reports do not count
                self._kept = max(lost.kept - self._run.totals.internal, 0)
            self._run.end()

    def _close(self) -> None:
        writer, totals = self._ticks.writer, self._run.totals
        if totals.questions:
            self._ticks.note(QUESTIONS, totals.questions)
        if (ran_ns := self._ran_ns()) is not None:
            self._ticks.note(COMMAND_NS, ran_ns)
        # Again, since a probe may have got a substitute, or was not attached all the time.
        writer.meta = replace(writer.meta, plan=tuple(self._run.source.plan()))
        self._write_alive()
        self._note()
        writer.close(losses=totals.losses, clock=ClockPair.now())

    def _note(self) -> None:
        """Store the length of grace periods, and how many rows may match the filter, or not."""
        if (measured := self._normal_gp()) is not None:
            self._ticks.note(NORMAL_GP, measured)
        counts = {
            name: {"unknown": unknown, "rows": rows}
            for name, (unknown, rows) in self._run.totals.undecided.items()
            if unknown
        }
        if counts:
            self._ticks.note(UNDECIDED, counts)

    def _write_alive(self) -> None:
        """Find the holders of superblocks that live on, after tracing has ended."""
        offset_ns, alive = self._run.source.clock.offset_ns, self._ticks.alive

        def now() -> int:
            return monotonic_ns() + offset_ns

        scans = {}
        with suppress(OSError):
            scans = {scan.umount_id: scan for scan in survivors(alive, now)}
        if scans:
            self._ticks.writer.append(HOLDERS.name, scans_to_arrow(list(scans.values())))
        known = [with_survivors(window, scans.get(window.umount_id or 0)) for window in alive]
        self._ticks.append_windows(known)


def record(
    path: Path,
    source: Source,
    *,
    until: Until,
    sinks: Sequence[Sink] = (),
    row_filter: RowFilter | None = None,
    command: Sequence[str] = (),
    force: bool = False,
    on_ready: Callable[[], None] = lambda: None,
    spurious_within_ns: int = SPURIOUS_WITHIN_NS,
) -> Totals:
    """Record an attached source until its end; ``sinks`` get the same ticks."""
    return run(
        source,
        [RecordingSink(path, command=command, force=force), *sinks],
        until=until,
        row_filter=row_filter,
        on_ready=on_ready,
        spurious_within_ns=spurious_within_ns,
    )
