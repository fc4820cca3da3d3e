"""Which rows of a batch hold wanted values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import fixed, integers
from umtrace.model.kinds import INTERNAL
from umtrace.stats.filters import ALSO
from umtrace.stats.groups import encode

_AT_LEAST = "latency_ns"
_PATTERNS = frozenset(
    {"comm", "container", "container_name", "fstype", "owner", "pod", "unit", "actor_unit", "image"}
)
_LEAST, _ID = 4, 64  # digits of the beginning of an id, and of an id


def matching(wanted: Mapping[str, Any], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows that match in every column, in order.

    Parameters
    ----------
    wanted : mapping
        Column to the values of which one must be there, or the least ``latency_ns``.
    batch : RecordBatch
    """
    for column, values in wanted.items():
        found = _matches(column, values, batch.column(column))
        for also in ALSO.get(column, ()):
            found |= _matches(also, values, batch.column(also))
        batch = batch.filter(fixed(found, pa.bool_()))
    return batch


def without_internal(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows but those of mounts that the kernel made and took down for itself."""
    codes, values = encode(batch.column("origin"))
    if INTERNAL not in values:
        return batch
    return batch.filter(fixed(codes != values.index(INTERNAL), pa.bool_()))


def _matches(name: str, wanted: Any, column: pa.Array) -> npt.NDArray[np.bool_]:
    if name == _AT_LEAST:
        return integers(column, -1) >= max(int(wanted), 0)
    matcher = _MATCHERS.get(name, _glob if name in _PATTERNS else _member)
    # Only distinct values are looked at one by one.
    codes, values = encode(column)
    return np.array([v is not None and matcher(v, wanted) for v in values], np.bool_)[codes]


def _glob(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _container(value: str, patterns: Sequence[str]) -> bool:
    """Whether an id matches: as a whole, or by its beginning, as engines take it."""
    begins = len(value) == _ID and any(
        len(pattern) >= _LEAST and value.startswith(pattern) for pattern in patterns
    )
    return begins or _glob(value, patterns)


def _pod(value: str, patterns: Sequence[str]) -> bool:
    return _glob(value, patterns) or _glob(value.partition("/")[2], patterns)


def _member(value: object, wanted: Sequence[object]) -> bool:
    return value in wanted


_MATCHERS = {"container": _container, "pod": _pod}
