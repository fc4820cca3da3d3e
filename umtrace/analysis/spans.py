"""Spans of time, as people give them in Python."""

from __future__ import annotations

from umtrace.model.errors import UsageError


def span_ns(span: tuple[object, object]) -> tuple[int | None, int | None]:
    """Return the begin and end of a span in ns of wall clock; None leaves an end open.

    Each is ns, or what pandas takes for a time; without a zone it is UTC.

    Raises
    ------
    UsageError
        It is no pair, or not of times.
    """
    if not isinstance(span, tuple | list) or len(span) != 2:  # noqa: PLR2004 - a pair
        raise UsageError(f"no span {span!r}; give a pair as ('2026-01-01 12:00', None), UTC")
    begin, end = span
    return _moment(begin), _moment(end)


def _moment(moment: object) -> int | None:
    if moment is None or isinstance(moment, int):
        return moment
    import pandas as pd  # noqa: PLC0415 - most spans need no pandas

    try:
        stamp = pd.Timestamp(moment)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise UsageError(f"no time {moment!r}; give one as '2026-01-01 12:00', UTC") from None
    stamp = stamp.tz_localize("UTC") if stamp.tz is None else stamp
    return int(stamp.as_unit("ns").value)
