"""Between which times the hold of a busy mount ended, by all that was seen of it."""

from __future__ import annotations

from collections.abc import Iterator

from umtrace.ebusy.releases import Release, freed_by
from umtrace.ebusy.runs import Run


def hold_of(run: Run, gone: Release | None, offset_ns: int) -> tuple[int | None, int | None]:
    """Return how long a mount was in use after the window's begin: at least and at most, ns.

    None is not known. Both are the same if the release of the last reference was seen.
    """
    begin = run.first.t_start
    ends = [at for at in _free(run, gone, offset_ns) if at >= begin]
    most = min(ends) if ends else None
    seen = [at for at in _in_use(run, gone, offset_ns) if most is None or at <= most]
    least = max(seen) - begin if seen else None
    return least or None, None if most is None else most - begin


def _free(run: Run, gone: Release | None, offset_ns: int) -> Iterator[int]:
    """Yield the times at which the references of the first busy check were gone."""
    if run.success is not None:
        yield run.success.t_start
    if (walk := freed_by(run, offset_ns)) is not None:
        yield walk.ts_ns + offset_ns
    if gone is not None and (gone.free or gone.accounted):
        yield gone.shown_ns


def _in_use(run: Run, gone: Release | None, offset_ns: int) -> Iterator[int]:
    """Yield the times at which the mount was seen to be in use."""
    yield run.last.t_start
    yield from (check.ts_ns + offset_ns for check in run.checks)
    for scan in run.timely_scans():
        if any(holder.stays for holder in scan.holders):
            yield scan.begin_ns
    if gone is not None:
        yield from (put.ts_ns + offset_ns for put in gone.earlier)
        if gone.stayed and gone.last is not None:
            yield gone.last.ts_ns + offset_ns
