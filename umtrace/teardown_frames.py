"""The teardowns of a loaded recording, and its waits for the namespace lock, as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umtrace import analysis
from umtrace.analysis.column_docs import described
from umtrace.stats.filters import parse_duration
from umtrace.teardowns import SCHEMA, WAITS

if TYPE_CHECKING:
    import pandas as pd

    from umtrace.query.selection import Selection


class TeardownFrames:
    """What a loaded recording knows of teardowns; docs/teardowns.md defines the terms."""

    def select(self, *, span: tuple[object, object] = (None, None), **where: object) -> Selection:
        """Return the rows that a filter and a span choose."""
        raise NotImplementedError

    def teardowns(
        self, gap: str = "1s", *, span: tuple[object, object] = (None, None), **where: object
    ) -> pd.DataFrame:
        """Return one row per teardown: umounts of one owner that belong together.

        Parameters
        ----------
        gap : str
            The longest pause within a teardown.
        span, **where
            As in `read_umounts`; what they leave out is in no teardown.
        """
        return analysis.teardowns_frame(self.select(span=span, **where), parse_duration(gap))

    def lock_waits(
        self, least: str = "100us", *, span: tuple[object, object] = (None, None), **where: object
    ) -> pd.DataFrame:
        """Return one row per wait for the namespace lock of at least ``least``: behind whom.

        An umount of which no owner is known is not in it. Parameters as in `teardowns`.
        """
        return analysis.lock_waits_frame(self.select(span=span, **where), parse_duration(least))


for _method, _schema in ((TeardownFrames.teardowns, SCHEMA), (TeardownFrames.lock_waits, WAITS)):
    _method.__doc__ = f"{_method.__doc__}\n\n{described(_schema)}"
