"""What `record` says on stderr: a status line on a terminal, and a summary."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Protocol

from umtrace.present.heading import loss_text, questions_text
from umtrace.present.terminal import clean
from umtrace.present.units import count, plural
from umtrace.records.losses import LossReport

_EVERY_S = 0.5


class RunTotals(Protocol):
    """What a run amounted to so far."""

    rows: int
    failed: int
    incomplete: int
    events: int
    seconds: float
    windows: int
    spurious: int
    questions: int
    losses: LossReport


class Progress:
    """Writes to stderr; quiet says nothing, a pipe gets no status line."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._shown = 0.0

    def start(self, path: Path, tier: str, declined: str = "", remark: str = "") -> None:
        """Say that the probes are attached, why it is not the tier asked for, and what else."""
        if declined:
            self._line(f"umtrace: tier {tier} instead: {declined}")
        if remark:
            self._line(f"umtrace: {remark}")
        self._line(f"umtrace: recording into {path} (tier {tier}); Ctrl-C ends it")

    def tick(self, totals: RunTotals) -> None:
        """Show the counts now and then."""
        now = time.monotonic()
        if self._live and now - self._shown >= _EVERY_S:
            self._shown = now
            sys.stderr.write(f"\r\033[K{_counts(totals)}")
            sys.stderr.flush()

    def finish(self, path: Path, totals: RunTotals) -> None:
        """Say what was recorded and what was lost."""
        if self._live:
            sys.stderr.write("\r\033[K")
        self._line(f"umtrace: {_counts(totals)}: {path}")
        self._line(f"umtrace: losses: {loss_text(totals.losses)}")
        if totals.questions:
            self._line(f"umtrace: {questions_text(totals.questions)}")

    def _line(self, text: str) -> None:
        if not self._quiet:
            sys.stderr.write(clean(text) + "\n")


def _counts(totals: RunTotals) -> str:
    parts = [plural(totals.rows, "umount")]
    if totals.failed:
        parts.append(f"{count(totals.failed)} failed")
    if totals.incomplete:
        parts.append(f"{count(totals.incomplete)} INCOMPLETE")
    if totals.windows:
        spurious = f" ({count(totals.spurious)} spurious)" if totals.spurious else ""
        parts.append(plural(totals.windows, "EBUSY window") + spurious)
    return f"{', '.join(parts)} in {totals.seconds:.1f} s"
