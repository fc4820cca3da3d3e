"""Operations that have not ended: where they are, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an open operation is; times are CLOCK_MONOTONIC, ns.

    ``task`` is the thread id, with a higher bit if the operation is nested in another one.
    ``phase`` is lookup, lock, tree, rcu, put, shutdown or other.
    """

    task: int
    begun_ns: int
    phase: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """An operation that takes long and has not ended.

    ``row`` has the columns of ``model.umounts.SCHEMA`` as far as they are known, ``t_start`` in ns.
    ``so_far_ns`` is how long ago it began, ``phase_ns`` how long it has been in its phase.
    """

    row: Mapping[str, Any]
    phase: str
    so_far_ns: int
    phase_ns: int
