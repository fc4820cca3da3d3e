"""Numbers to text: the only place where nanoseconds become something else."""

from __future__ import annotations

from umtrace.model.clock import utc

NULL = "-"

#: every duration below a year fits: `999 µs`, `1.23 ms`, `16.7 min`, `-`
DURATION_WIDTH = 8

NS_PER_S = 1_000_000_000
_UNITS = (("ns", 1), ("µs", 1_000), ("ms", 1_000_000), ("s", NS_PER_S))
_LARGER = (("min", 60 * NS_PER_S), ("h", 3_600 * NS_PER_S), ("d", 86_400 * NS_PER_S))
_DIGITS = 3
_FULL = 10**_DIGITS


def duration(ns: float | None) -> str:
    """Return a duration with three significant digits: `1.23 ms`, `12.3 µs`, `-` for None.

    Below 1 µs it is a whole number of ns; beyond 1000 s it goes on in min, h and d.
    """
    if ns is None:
        return NULL
    if ns < 0:
        return "-" + duration(-ns)
    if ns < _FULL and round(ns) < _FULL:
        return f"{round(ns)} ns"
    for unit, size in _UNITS[1:]:
        text = _three_digits(ns / size)
        if text:
            return f"{text} {unit}"
    unit, size = max((u for u in _LARGER if u[1] <= ns), key=lambda u: u[1])
    return f"{_three_digits(ns / size) or f'{ns / size:.3g}'} {unit}"


def padded(ns: float | None) -> str:
    """Return `duration`, right-aligned to `DURATION_WIDTH`."""
    return duration(ns).rjust(DURATION_WIDTH)


def bin_edge(ns: int) -> str:
    """Return a round duration without trailing zeros: `1 µs`, `500 ms`, `1.05 s`."""
    number, _, unit = duration(ns).partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}"


def clock(ns: int | None) -> str:
    """Return the time of day of a wall clock value, always in UTC: `16:06:40.322`, `-` for None."""
    if ns is None:
        return NULL
    when = utc(ns)
    return f"{when:%H:%M:%S}.{when.microsecond // 1000:03}"


def percent(part: float | None) -> str:
    """Return a fraction of 1 as percentage: `12 %`, `1.2 %`, `<0.1 %`, `-` for None."""
    if part is None:
        return NULL
    value = 100 * part
    if 0 < value < 0.05:  # noqa: PLR2004  would print as 0.0
        return "<0.1 %"
    if 99.95 <= value < 100:  # noqa: PLR2004  100 % means all of it
        return ">99.9 %"
    return f"{value:.1f} %" if value not in {0, 100} else f"{value:.0f} %"


def count(number: int | None) -> str:
    """Return a count with thousands separated: `12,345`, `-` for None."""
    return NULL if number is None else f"{number:,}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Return a count and its noun: `1 row`, `12,345 rows`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def _three_digits(value: float) -> str:
    """Return the value with three significant digits, empty if it takes more than that."""
    for decimals in (2, 1, 0):
        text = f"{value:.{decimals}f}"
        if len(text.replace(".", "")) <= _DIGITS:
            return text
    return ""
