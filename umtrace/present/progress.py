"""What `record` says on stderr: a status line on a terminal, and a summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from umtrace.model.losses import LossReport
from umtrace.present.heading import loss_text, questions_text
from umtrace.present.terminal import clean
from umtrace.present.units import count, plural
from umtrace.stats.unseen import sentences

_EVERY_S = 0.08  #: with the 0.25 s that an idle reader waits less than a third of a second


class Missed(Protocol):
    """What a live consumer was not given."""

    @property
    def rows(self) -> int:
        """Umounts."""

    @property
    def windows(self) -> int:
        """EBUSY windows that were over."""


class RunTotals(Protocol):
    """What a run amounted to so far."""

    rows: int
    failed: int
    incomplete: int
    by_command: int
    of_others: int
    events: int
    seconds: float
    windows: int
    spurious: int
    questions: int
    undecided: Mapping[str, tuple[int, int]]
    losses: LossReport

    @property
    def missed(self) -> Mapping[str, Missed]:
        """What live consumers were not given, by name."""


class Run(Protocol):
    """What the pipeline says of a run when it begins."""

    @property
    def totals(self) -> RunTotals:
        """So far."""


class Progress:
    """Writes to stderr; quiet says nothing, a pipe gets no status line."""

    def __init__(self, *, quiet: bool = False, shares_terminal: bool = False) -> None:
        """``shares_terminal``: a command writes there, too, and a line of ours is in its way."""
        self._quiet = quiet
        self._live = not quiet and not shares_terminal and sys.stderr.isatty()
        self._begun, self._shown = False, 0.0
        self._totals: RunTotals

    def say(self, text: str) -> None:
        """Say one line."""
        if not self._quiet:
            sys.stderr.write(clean(f"umtrace: {text}") + "\n")

    def start(self, path: Path | str, tier: str) -> None:
        """Say that the probes are attached."""
        self.begin(f"recording into {path} (tier {tier}); Ctrl-C ends it")

    def begin(self, text: str) -> None:
        """Say that the probes are attached, and show counts from now on."""
        self.say(text)
        self._begun = True

    def clear(self) -> None:
        """Remove the status line."""
        if self._live:
            sys.stderr.write("\r\033[K")

    @contextmanager
    def opened(self, run: Run) -> Iterator[None]:
        """Show the counts of this run from `start` on; a sink of the pipeline."""
        self._totals = run.totals
        yield

    def take(self, _tick: object) -> None:
        """Show the counts now and then."""
        now = time.monotonic()
        if self._live and self._begun and now - self._shown >= _EVERY_S:
            self._shown = now
            sys.stderr.write(f"\r\033[K{_counts(self._totals)}")
            sys.stderr.flush()

    def finish(self) -> None:
        """Show no counts any more: the summary has them."""

    def summary(self, path: Path | str, totals: RunTotals) -> None:
        """Say what was recorded and what was lost."""
        self.clear()
        self.say(f"{_counts(totals)}: {path}")
        if totals.by_command or totals.of_others:
            unknown = totals.rows - totals.by_command - totals.of_others
            said = f"; of {count(unknown)} it is not known" if unknown else ""
            self.say(
                f"{count(totals.by_command)} of {plural(totals.rows, 'umount')} "
                f"{'was' if totals.by_command == 1 else 'were'} by COMMAND{said}"
            )
        self.say(f"losses: {loss_text(totals.losses)}")
        for sentence in sentences(totals.undecided):
            self.say(sentence)
        if totals.questions:
            self.say(questions_text(totals.questions))
        for name, missed in totals.missed.items():
            if missed.rows or missed.windows:
                what = f"{plural(missed.rows, 'umount')}, {plural(missed.windows, 'EBUSY window')}"
                self.say(f"{name} missed {what}: it was too slow, or had ended")


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
