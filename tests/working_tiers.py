"""Which tiers work on this kernel."""

from __future__ import annotations

from functools import lru_cache

from umtrace.model.errors import UmtraceError
from umtrace.sources.select import LIVE_TIERS, open_source


@lru_cache
def works(tier: str) -> bool:
    """Return whether one tier attaches here."""
    try:
        source = open_source(tier)
    except UmtraceError:
        return False
    source.close()
    return source.tier == tier


def working_tiers() -> list[str]:
    """Return the live tiers that attach here.

    Raises
    ------
    UmtraceError
        None does; the first one's reason.
    """
    tiers: list[str] = []
    failures: list[UmtraceError] = []
    for tier in LIVE_TIERS:
        try:
            source = open_source(tier)
        except UmtraceError as error:  # noqa: PERF203 - a handful of tiers
            failures.append(error)
        else:
            source.close()
            tiers += [tier] * (source.tier == tier)
    if not tiers:
        raise failures[0]
    return tiers
