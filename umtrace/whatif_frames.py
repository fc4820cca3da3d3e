"""The umounts of a loaded recording under other designs, as DataFrames and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from umtrace import analysis
from umtrace.analysis.column_docs import described
from umtrace.present.whatif import lines
from umtrace.present.whatif_sentence import sentence
from umtrace.query.whatif import Assumptions, simulated
from umtrace.whatif.answers import WhatIf
from umtrace.whatif.tables import DESIGN_COLUMNS, NUMBER_COLUMNS, TIME_COLUMNS, WAITING_COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from umtrace.query.selection import Selection


class Simulated:
    """A recorded load under some designs; docs/whatif.md says what they are.

    ``print`` shows what ``umtrace whatif`` does.
    """

    def __init__(self, found: WhatIf) -> None:
        self.answers = found  #: the numbers, without pandas

    def __repr__(self) -> str:
        names = ", ".join(each.design.name for each in self.answers.answers)
        return f"<Simulated: {self.answers.umounts} umounts under {names}>"

    def __str__(self) -> str:
        return "\n".join(lines(self.answers))

    def _repr_html_(self) -> str:
        table: str = self.designs._repr_html_()  # type: ignore[operator]
        return f"<p>{escape(self.sentence)}</p>{table}"

    @property
    def sentence(self) -> str:
        """The answer in one sentence; empty if nothing can be said."""
        return sentence(self.answers)

    @property
    def assumed(self) -> list[str]:
        """What the recording does not say and was assumed, one line each."""
        return list(self.answers.assumed)

    @cached_property
    def designs(self) -> pd.DataFrame:
        """One row per design, A first; an unknown number is ``pd.NA``, ``why`` has the reason."""
        return analysis.designs_frame(self.answers)

    @cached_property
    def times(self) -> pd.DataFrame:
        """One row per design, time, kind of umount and quantile, with its 95 % interval."""
        return analysis.times_frame(self.answers)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """One row per design and number of ``designs``, with its 95 % interval or the reason."""
        return analysis.numbers_frame(self.answers)

    @cached_property
    def waiting(self) -> pd.DataFrame:
        """Whose umounts wait for a grace period, and of which file systems, design by design."""
        return analysis.waiting_frame(self.answers)

    def plot(self, *, ax: Axes | None = None, figsize: tuple[float, float] | None = None) -> Axes:
        """Draw what callers wait and when file systems are shut down, design by design."""
        return analysis.plot_simulated(self.answers, ax=ax, figsize=figsize)


class WhatIfFrames:
    """What a loaded recording says of other designs."""

    def select(self, *, span: tuple[object, object] = (None, None), **where: object) -> Selection:
        """Return the rows that a filter and a span choose."""
        raise NotImplementedError

    def whatif(
        self,
        designs: str | Sequence[str] = "A,B,B2,C,D",
        *,
        normal_gp: str | Sequence[str] = (),
        hz: int | None = None,
        open_loop: bool = False,
        seed: int = 0,
        span: tuple[object, object] = (None, None),
        **where: object,
    ) -> Simulated:
        """Simulate the umounts under other designs of the RCU wait, as ``umtrace whatif`` does.

        Parameters
        ----------
        designs : str or sequence of str
            These; A, the kernel today, always.
        normal_gp : str or sequence of str, optional
            Lengths of normal grace periods to assume, such as ``"15ms"``.
        hz : int, optional
            Timer ticks a second on the recorded host; as recorded, else 250 are assumed.
        open_loop : bool
            Umounts begin when they were recorded, whatever the previous one of their task did.
        seed : int
            Of the order in which lengths of grace periods are drawn.
        span, **where
            As in `read_umounts`; what they leave out is not in the simulation.

        Returns
        -------
        Simulated
            ``designs`` and ``times`` are DataFrames; durations are ns, ``Int64``.

        Raises
        ------
        UsageError
            There is no such design, or an assumption is impossible.
        """
        lengths = normal_gp.split(",") if isinstance(normal_gp, str) else tuple(normal_gp)
        assume = Assumptions(normal_gp=lengths, hz=hz, open_loop=open_loop, seed=seed)
        return Simulated(simulated(self.select(span=span, **where), designs, assume))


_SCHEMAS = {
    "designs": DESIGN_COLUMNS,
    "times": TIME_COLUMNS,
    "numbers": NUMBER_COLUMNS,
    "waiting": WAITING_COLUMNS,
}
for _name, _schema in _SCHEMAS.items():
    _documented = vars(Simulated)[_name]
    _documented.__doc__ = f"{_documented.__doc__}\n\n{described(_schema)}"
