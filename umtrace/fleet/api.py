"""A fleet from Python: what `umtrace fleet` shows, as frames.

::

    fleet = umtrace.fleet.open("s3://bucket/summaries", by="kernel", where={"host": "web*"})
    fleet.groups  # a DataFrame
    fleet.hosts, fleet.owners, fleet.verdicts
    fleet.plot("hosts")
    fleet.compare(umtrace.fleet.open("other-week", by="kernel"))
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from umtrace import analysis
from umtrace.fleet.engine import run
from umtrace.fleet.items import tasks_in
from umtrace.fleet.mapping import Part, Query
from umtrace.fleet.report import FleetReport, summary_of_owners
from umtrace.fleet.text import written
from umtrace.model.errors import UsageError
from umtrace.stats.summarize import DEFAULT_METRICS

if TYPE_CHECKING:
    import os

    import pandas as pd
    from matplotlib.axes import Axes

    from umtrace.analysis import Compared

Where = Mapping[str, str | Sequence[str]]


class Fleet:
    """Hosts, read: every frame is one row per thing, and unknown is ``pd.NA``."""

    def __init__(self, folders: Sequence[str], query: Query, scheduler: str) -> None:
        self._folders, self.query, self._scheduler = folders, query, scheduler

    def __repr__(self) -> str:
        return f"<umtrace fleet {' '.join(self._folders)!r}>"

    @cached_property
    def part(self) -> Part:
        """What all hosts come to, as Arrow tables; read once, at first use."""
        return run(tasks_in(self._folders, self.query.span), self.query, self._scheduler)

    @cached_property
    def report(self) -> FleetReport:
        """What `umtrace fleet report` shows."""
        return FleetReport(self.part, self.query, " ".join(self._folders))

    @property
    def cells(self) -> pd.DataFrame:
        """Exact counts: one row per group, measure and bucket; see docs/fleet.md."""
        return analysis.rows_to_frame(self.part.cells)

    @property
    def groups(self) -> pd.DataFrame:
        """Counts, outcomes, latency and RCU wait, one row for each group; durations are ns."""
        return analysis.summary_frame(self.report.summary)

    @property
    def hosts(self) -> pd.DataFrame:
        """One row per host: umounts, losses, p50, p99 and maximum of the latency in ns."""
        frame: pd.DataFrame = analysis.rows_to_frame(self.part.hosts).set_index("host")
        return frame

    @property
    def owners(self) -> pd.DataFrame:
        """One row per owner, the most time in umounts first; durations are ns."""
        schema = pa.schema(
            [("owner", pa.string()), *((name, pa.int64()) for name in _OWNERS)]
        )  # fmt: skip
        rows = summary_of_owners(self.part)
        frame: pd.DataFrame = analysis.rows_to_frame(pa.Table.from_pylist(rows, schema))
        return frame.set_index("owner")  # type: ignore[no-any-return]

    @property
    def verdicts(self) -> pd.DataFrame:
        """What is wrong or worth knowing, one row each."""
        names = ("kind", "host", "where", "text")
        rows = [{name: getattr(v, name) for name in names} for v in self.report.verdicts]
        schema = pa.schema([(name, pa.string()) for name in names])
        return analysis.rows_to_frame(pa.Table.from_pylist(rows, schema))

    def plot(self, kind: str = "hosts") -> Axes:
        """Return the axes of a plot: ``hosts``, ``cdf``, ``hist`` or ``phases``."""
        from umtrace.fleet.figures import DRAW  # noqa: PLC0415 - an extra

        if kind not in DRAW:
            raise UsageError(f"no plot {kind!r}; there are: {', '.join(DRAW)}")
        return DRAW[kind](self.report)

    def compare(self, other: Fleet) -> Compared:
        """Return what is slower or faster in the other fleet, with the host as the unit."""
        from umtrace.fleet.compare import Side, compare, warnings  # noqa: PLC0415

        a, b = (
            Side(name=name, folder=" ".join(each._folders), query=each.query, part=each.part)  # noqa: SLF001
            for name, each in (("A", self), ("B", other))
        )
        if a.query.by != b.query.by:
            raise UsageError(f"grouped by {a.query.by} and by {b.query.by}")
        return analysis.Compared(compare(a, b), list(warnings(a, b)))

    def _repr_html_(self) -> str:
        from html import escape  # noqa: PLC0415

        table: str = self.groups._repr_html_()  # type: ignore[operator]
        return "<br>".join(map(escape, self.report.head())) + table

    def __str__(self) -> str:
        """Return the text of `umtrace fleet report`."""
        return written(self.report, "table")


_OWNERS = ("umounts", "failed", "time_ns", "mean_ns", "max_ns")


def open_fleet(
    *folders: str | os.PathLike[str],
    by: str | Sequence[str] = "kernel",
    where: Where | None = None,
    span: tuple[object, object] = (None, None),
    scheduler: str = "none",
) -> Fleet:
    """Open summaries or recordings of many hosts; nothing is read before it is asked for.

    Parameters
    ----------
    *folders : path or URL
        Folders of summaries or recordings, or URLs such as ``s3://bucket/summaries``.
    by : str or sequence of str
        Keys of the groups: host, kernel, tier, latency_bound, mode, origin, owner.
    where : mapping, optional
        Key to a shell pattern, or to several: ``{"host": "web*"}``.
    span : (begin, end), optional
        Hours that begin in it: ``("2026-01-05", None)``; UTC unless it says otherwise.
    scheduler : str
        ``none``, ``local`` or ``tcp://HOST:PORT``, as `umtrace.fleet.engine.run`.

    Raises
    ------
    UsageError
        There is no such key.
    """
    pairs = [
        (key, pattern)
        for key, given in (where or {}).items()
        for pattern in ([given] if isinstance(given, str) else given)
    ]
    begin, end = map(_ns, span)
    query = Query(
        by=(by,) if isinstance(by, str) else tuple(by),
        resample=DEFAULT_METRICS,
        where=tuple(pairs),
        span=(begin, end),
        owners=True,
        now_ns=time.time_ns(),
    )
    return Fleet([str(folder) for folder in folders], query, scheduler)


def _ns(when: object) -> int | None:
    if when is None:
        return None
    found = when if isinstance(when, datetime) else datetime.fromisoformat(str(when))
    zoned = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return int(zoned.timestamp()) * 1_000_000_000
