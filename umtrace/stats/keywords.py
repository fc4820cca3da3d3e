"""Filters as keyword arguments of Python; texts are understood as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral

from umtrace.model.errors import UsageError
from umtrace.model.kinds import ORIGINS
from umtrace.stats.filters import MODES, RowFilter, parse_duration, parse_errno

_CHOICES = {"mode": tuple(MODES), "origin": tuple(ORIGINS)}
_MOST = {"errno": 4095, "pid": 2**31 - 1, "mntns": 2**32 - 1, "cgroup": 2**63 - 1}


def filter_of(where: Mapping[str, object]) -> RowFilter:
    """Return the filter of keyword arguments.

    Raises
    ------
    UsageError
        For a name that is no filter, and for a value that no row can have.
    """
    plain: dict[str, object] = {}
    for name, value in where.items():
        if name in {"min_latency", "min_latency_ns"}:
            plain["min_latency_ns"] = parse_duration(value) if isinstance(value, str) else value
        else:
            values = value if isinstance(value, tuple | list) else [value]
            plain[name] = [_meant(name, each) for each in values]
    return RowFilter.from_dict(plain)


def _meant(name: str, value: object) -> object:
    if name == "errno" and isinstance(value, str):
        return parse_errno(value)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"no {name} {value!r:.40}; there are: {', '.join(_CHOICES[name])}")
    if name not in _MOST:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        return value  # which the filter refuses
    number = int(value)  # of numpy, too
    if not 0 <= number <= _MOST[name]:
        raise UsageError(f"filter {name}: {number} is not from 0 to {_MOST[name]}")
    return number
