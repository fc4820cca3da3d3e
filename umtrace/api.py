"""umtrace from Python: load a recording, make one, compare two.

::

    rec = umtrace.load("rec.umt")
    rec.umounts  # a DataFrame
    rec.histogram("rcu_ns", by="mode").quantile([0.5, 0.99])
    rec.plot.phases(by="mode")
"""

from __future__ import annotations

import os
import threading
import time
import warnings as warnings_of_python
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from umtrace import analysis
from umtrace.analysis.column_docs import described
from umtrace.analysis.spans import span_ns
from umtrace.model import windows
from umtrace.model.errors import UsageError
from umtrace.model.losses import LossReport
from umtrace.model.umounts import SCHEMA
from umtrace.model.writable import check_writable, free_path
from umtrace.query.comparability import warnings
from umtrace.query.selection import Selection
from umtrace.recording import Meta, Recording
from umtrace.stats.compare import compare as compare_summaries
from umtrace.stats.filters import RowFilter
from umtrace.stats.keywords import filter_of
from umtrace.stats.summarize import METRICS
from umtrace.teardown_frames import TeardownFrames
from umtrace.whatif_frames import WhatIfFrames

if TYPE_CHECKING:
    import pandas as pd

    from umtrace.analysis import Compared, Histograms, Plots
    from umtrace.analysis.accessor import By

Columns = str | Sequence[str] | None
Span = tuple[object, object]

_LARGE = 64 << 20  # bytes of rows from which on a notebook gets no table unasked


class LoadedRecording(TeardownFrames, WhatIfFrames):
    """A recording, opened: nothing but its ``meta.json`` is read until asked for.

    The frames of the properties are read once, whole, and kept. The ``read_`` methods
    read only some columns or a span of time, and keep nothing. Summaries, histograms and
    plots read in batches, so that they work on recordings larger than memory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._opened: Recording | None = None

    def __repr__(self) -> str:
        return f"<umtrace recording {str(self.path)!r}>"

    def __str__(self) -> str:
        """Return what it is, and the first sentence of its report; reads the rows it needs."""
        from umtrace.present.heading import heading_lines, heading_of  # noqa: PLC0415
        from umtrace.report_contents import answer_of  # noqa: PLC0415

        sentence = answer_of(self.recording)
        lines = heading_lines(heading_of(self.recording), self.losses.incomplete_rows or 0, 0)
        return "\n".join([sentence or "No umount was recorded.", *lines])

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_") or name[1] == "_"]

    @property
    def recording(self) -> Recording:
        """The reader beneath, for batches of Arrow instead of frames."""
        if self._opened is None:
            self._opened = Recording.open(self.path)
        return self._opened

    @property
    def meta(self) -> Meta:
        """What explains the recording: kernel, tier, probe plan, command, clock."""
        return self.recording.meta

    @property
    def losses(self) -> LossReport:
        """What was not seen; None is unknown, not zero."""
        return self.recording.losses

    @property
    def problems(self) -> list[str]:
        """What is damaged, one line each; grows as damage is met while reading."""
        return self.recording.problems

    @property
    def schema(self) -> pd.DataFrame:
        """Type, unit and meaning of every column: ``rec.schema.loc["umounts"]``."""
        first = ("umounts", "ebusy")
        tables = sorted(self.recording.tables, key=lambda name: name not in first)
        return analysis.schema_frame({name: self.recording.schema(name) for name in tables})

    @cached_property
    def umounts(self) -> pd.DataFrame:
        """All umounts, one row each; unknown is ``pd.NA``, never zero."""
        return self.read_umounts()

    @cached_property
    def ebusy_windows(self) -> pd.DataFrame:
        """All EBUSY windows, one row each; empty where the recording has no such table.

        ``holders``, ``walkers`` and ``evidence`` are JSON lists as text; the methods of these
        names have a row for each item.
        """
        return analysis.ebusy_frame(self.select())

    def holders(self, *, span: Span = (None, None), **where: object) -> pd.DataFrame:
        """Return who held a mount: one row for each holder of each EBUSY window.

        ``window`` is the row of `read_ebusy_windows` with the same ``span`` and filters, or of
        `ebusy_windows` without any.
        """
        return analysis.details_frame(self.select(span=span, **where), "holders")

    def walkers(self, *, span: Span = (None, None), **where: object) -> pd.DataFrame:
        """Return who held a mount for a moment, as `holders`."""
        return analysis.details_frame(self.select(span=span, **where), "walkers")

    def evidence(self, *, span: Span = (None, None), **where: object) -> pd.DataFrame:
        """Return the facts that a window's class rests on, one row each, as `holders`."""
        return analysis.details_frame(self.select(span=span, **where), "evidence")

    @cached_property
    def events(self) -> pd.DataFrame:
        """All raw events with their wall clock ``time``; see ``docs/events.md``."""
        return self.read_events()

    def read_umounts(
        self,
        columns: Columns = None,
        *,
        span: tuple[object, object] = (None, None),
        **where: object,
    ) -> pd.DataFrame:
        """Return some umounts.

        Parameters
        ----------
        columns : str or sequence of str, optional
            Only these, in this order; only they are read from the disk.
        span : (begin, end), optional
            Umounts that began in it: ``("2026-01-01 12:00", None)``. UTC unless it
            says otherwise; the end is outside.
        **where
            The filters of the command line: ``mode="lazy"``, ``errno="EBUSY"`` or 16,
            ``comm="runc*"``, ``min_latency="1ms"``, ``pid=(7, 8)`` for either, ...
        """
        selection = self.select(span=span, **where)
        schema = self.recording.schema("umounts", _names(columns))
        batches = (batch.select(schema.names) for batch in selection.batches(schema.names))
        return analysis.rows_to_frame(pa.Table.from_batches(batches, schema))

    def read_ebusy_windows(
        self,
        columns: Columns = None,
        *,
        span: tuple[object, object] = (None, None),
        **where: object,
    ) -> pd.DataFrame:
        """Return the EBUSY windows begun by some umounts, parameters as `read_umounts`."""
        return analysis.ebusy_frame(self.select(span=span, **where), _names(columns))

    def read_events(
        self, columns: Columns = None, *, span: tuple[object, object] = (None, None)
    ) -> pd.DataFrame:
        """Return some raw events, parameters as `read_umounts`; ``ts_ns`` is CLOCK_MONOTONIC.

        ``time`` is that on the wall clock; it comes first where ``ts_ns`` is read.
        """
        offset = self.meta.clock.offset_ns
        begin, end = (None if ns is None else ns - offset for ns in span_ns(span))
        names = _names(columns)
        stored = names and list(dict.fromkeys("ts_ns" if n == "time" else n for n in names))
        batches = self.recording.batches("events", columns=stored, span=(begin, end))
        schema = self.recording.schema("events", stored)
        frame = analysis.events_to_frame(pa.Table.from_batches(batches, schema), self.meta.clock)
        return frame[names] if names and "time" in names else frame

    def select(self, *, span: tuple[object, object] = (None, None), **where: object) -> Selection:
        """Return the rows that a filter and a span choose, for `umtrace.stats`.

        UsageError where no row can match because the tier does not see the column; a
        UserWarning where some rows are left out because theirs is unknown.
        """
        chosen = Selection(self.recording, filter_of(where), span_ns(span))
        for sentence in chosen.unknown():
            warnings_of_python.warn(sentence, UserWarning, stacklevel=3)
        return chosen

    def histogram(self, column: str, by: By = None, **where: object) -> Histograms:
        """Return histograms of a duration column, such as ``rcu_ns``, one for each group.

        They add up with those of other recordings, and their quantiles are within 0.4 %.
        Values are ns. UsageError for a column that is no duration.
        """
        if column not in METRICS:
            raise UsageError(f"no duration {column!r}; there are: {', '.join(METRICS)}")
        summary = self.select(**where).summary(_keys(by), (column,))  # type: ignore[arg-type]
        return analysis.Histograms.of(summary, column)

    def summary(self, by: By = "mode", **where: object) -> pd.DataFrame:
        """Return counts, outcomes, latency and RCU wait, one row for each group.

        Durations are ns, ``rcu_share`` is a fraction of the latency. ``by`` is one or more
        of the keys of ``umtrace report``, None for all rows together.
        """
        return analysis.summary_frame(self.select(**where).summary(_keys(by)))  # type: ignore[arg-type]

    def to_html(self, by: By = "mode", **where: object) -> str:
        """Return one self-contained page: summary, pictures, worst umounts, EBUSY, losses."""
        from umtrace.page import page_of  # noqa: PLC0415

        return page_of(self.select(**where), _keys(by))  # type: ignore[arg-type]

    @property
    def plot(self) -> Plots:
        """The plots: ``rec.plot.phases(by="mode")``."""
        return analysis.Plots(self.select)

    def _repr_html_(self) -> str:
        from umtrace.present.heading import heading_lines, heading_of  # noqa: PLC0415

        size = sum(file.stat().st_size for file in self.path.glob("**/umounts-*"))
        table = "" if size > _LARGE else self.summary()._repr_html_()  # type: ignore[operator]
        lines = heading_lines(heading_of(self.recording), self.losses.incomplete_rows or 0, 0)
        return "<br>".join(escape(line) for line in lines) + table


def in_unit(frame: pd.DataFrame, unit: str = "ms") -> pd.DataFrame:
    """Return a frame with its durations in us, ms, s or min: ``rcu_ns`` becomes ``rcu_ms``.

    They are ``Float64`` then; an unknown one stays ``pd.NA``. UsageError for another unit.
    """
    return analysis.in_unit(frame, unit)


def load(path: str | os.PathLike[str]) -> LoadedRecording:
    """Open a recording, even a huge one, at once.

    Raises
    ------
    UmtraceError
        There is none, or it cannot be read; the message says what to do.
    """
    loaded = LoadedRecording(path)
    loaded.meta  # noqa: B018  a wrong path is told here, not at first use
    return loaded


@contextmanager
def record(
    path: str | os.PathLike[str] | None = None,
    *,
    tier: str = "auto",
    force: bool = False,
    **where: object,
) -> Iterator[LoadedRecording]:
    """Record while the block runs; needs root, as ``umtrace record`` does.

    ::

        with umtrace.record(tier="auto") as rec:
            subprocess.run(["umount", "/mnt"])
        rec.umounts

    Parameters
    ----------
    path : path, optional
        Where; ``umtrace-DATE-TIMEZ.umt``, of UTC, in the working directory by default.
    tier, force, **where
        As the options of ``umtrace record``.

    Yields
    ------
    LoadedRecording
        Once the probes are attached. Complete after the block; inside it has what was
        written so far, and properties that are read inside are read again after it.
    """
    target = free_path(time.time_ns()) if path is None else Path(path)
    loaded = LoadedRecording(target)
    recorder = _Recorder(target, tier=tier, force=force, row_filter=filter_of(where))
    with recorder:
        yield loaded
    loaded.__dict__.clear()
    loaded.__init__(target)  # type: ignore[misc]


class _Recorder:
    """Runs the pipeline in a thread, from attached probes to the end of the block."""

    def __init__(self, path: Path, *, tier: str, force: bool, row_filter: RowFilter) -> None:
        self._stop, self._ready = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(path, tier, force, row_filter), name="umtrace-record"
        )

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.wait()
        self._raise()

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._raise()

    def _run(self, path: Path, tier: str, force: bool, row_filter: RowFilter) -> None:
        from umtrace import pipeline  # noqa: PLC0415
        from umtrace.sources.select import open_source  # noqa: PLC0415

        try:
            check_writable(path)
            pipeline.record(
                path,
                open_source(tier),
                force=force,
                row_filter=row_filter,
                until=pipeline.Until(also=self._stop.is_set),
                on_ready=self._ready.set,
            )
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._thread.join()
            raise error


def compare(
    a: LoadedRecording | str | os.PathLike[str],
    b: LoadedRecording | str | os.PathLike[str],
    by: By = "mode",
    **where: object,
) -> Compared:
    """Tell what is slower or faster in recording b than in a; see ``umtrace diff``.

    Parameters
    ----------
    a, b : LoadedRecording or path
        Before and after.
    by, **where
        Groups and filters, as in `LoadedRecording.summary`; the same on both sides.

    Returns
    -------
    Compared
        Ratios of quantiles, b over a, with intervals that hold together at 95 %;
        ``different`` has those whose interval excludes 1, ``warnings`` what else differs.
    """
    sides = [each if isinstance(each, LoadedRecording) else load(each) for each in (a, b)]
    first, second = (side.select(**where).summary(_keys(by)) for side in sides)  # type: ignore[arg-type]
    comparison = compare_summaries(first, second)
    before, after = (side.recording for side in sides)
    return analysis.Compared(comparison, warnings(before, after, first, second))


def _names(columns: Columns) -> list[str] | None:
    if columns is None:
        return None
    return [columns] if isinstance(columns, str) else list(columns)


def _keys(by: By) -> list[str]:
    return [by] if isinstance(by, str) else list(by or ())


def _document(name: str, schema: pa.Schema) -> None:
    """Put the meaning of the columns under the property's docstring, for ``help()``."""
    documented = vars(LoadedRecording)[name]
    documented.__doc__ = f"{documented.__doc__}\n\n{described(schema)}"


_document("umounts", SCHEMA)
_document("ebusy_windows", windows.SCHEMA)
