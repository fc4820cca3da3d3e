"""A comparison as a DataFrame, with what must be read beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from umtrace.stats.compare import Change, Comparison

_NUMBERS = {
    "n_a": "Int64",
    "n_b": "Int64",
    "a_ns": "Int64",
    "b_ns": "Int64",
    "ratio": "Float64",
    "low": "Float64",
    "high": "Float64",
    "verdict": "string",
    "needs": "Int64",
}


@dataclass(frozen=True, slots=True, repr=False)
class Compared:
    """Two recordings side by side.

    Attributes
    ----------
    comparison : Comparison
        Every ratio with its interval.
    warnings : sequence of str
        Why the difference may be another one than that looked for.
    """

    comparison: Comparison
    warnings: Sequence[str]

    @property
    def different(self) -> pd.DataFrame:
        """The rows of `to_frame` with a verdict."""
        return _frame(self.comparison, self.comparison.different)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per group, duration and quantile; ratios are b over a.

        ``low`` and ``high`` are the ends of the interval, missing where either side has
        fewer than ``needs`` values. All intervals together hold with 95 %.
        """
        return _frame(self.comparison, self.comparison.changes)

    def __repr__(self) -> str:
        found, told = len(self.comparison.different), len(self.comparison.changes)
        return f"<Compared: {found} of {told} ratios differ; {len(self.warnings)} warnings>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>warning: {escape(text)}</p>" for text in self.warnings)
        table: str = self.to_frame()._repr_html_()  # type: ignore[operator]
        return notes + table


def _frame(comparison: Comparison, changes: Sequence[Change]) -> pd.DataFrame:
    by = comparison.by
    rows = [
        [*change.key, change.metric, change.q, *(getattr(change, name) for name in _NUMBERS)]
        for change in changes
    ]
    names = [*by, "metric", "quantile", *_NUMBERS]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=names)
    typed: pd.DataFrame = frame.astype(_NUMBERS).set_index([*by, "metric", "quantile"])
    return typed
