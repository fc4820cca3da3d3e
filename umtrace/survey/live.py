"""The sink of a survey: counts rows and EBUSY windows, keeps none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from umtrace.model.losses import LossReport
from umtrace.model.windows import REFUSED
from umtrace.pipeline.run import Run
from umtrace.pipeline.ticks import Tick
from umtrace.stats.matching import without_internal
from umtrace.survey.counts import Counts

_VERDICTS = {True: "spurious", False: "held", None: "unknown"}


class SurveySink:
    """Counts the ticks of a run, or of a replay."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.verdicts: Counter[str] = Counter()
        self.losses = LossReport()
        self.normal_gp_ns: Sequence[int] = ()  #: measured lengths of normal grace periods

    @contextmanager
    def opened(self, _run: Run) -> Iterator[None]:
        """Nothing is to be opened."""
        yield

    def take(self, tick: Tick) -> None:
        """Count one tick."""
        self.counts.add(without_internal(tick.rows))
        self.verdicts.update(
            _VERDICTS[window.spurious] for window in tick.ebusy.windows if window.klass in REFUSED
        )
        self.losses = tick.losses

    def finish(self) -> None:
        """Nothing is left."""
