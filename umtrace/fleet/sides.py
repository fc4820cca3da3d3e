"""The comparison of two sides of a fleet, as a page that `umtrace diff` has, too."""

from __future__ import annotations

import pyarrow.compute as pc

from umtrace.fleet.compare import Side, compare, warnings
from umtrace.model.clock import date_time
from umtrace.present.diff import DiffPage
from umtrace.present.units import plural

_LEGEND = "A host is the unit: hosts are drawn again, not umounts."


def page_of(a: Side, b: Side) -> DiffPage:
    """Return the page of two sides, whose queries have the same keys."""
    return DiffPage(
        comparison=compare(a, b),
        a=_about(a),
        b=_about(b),
        warnings=list(warnings(a, b)),
        legend=_LEGEND,
    )


def _about(side: Side) -> list[str]:
    hosts, query = side.part.hosts, side.query
    umounts = pc.sum(hosts["umounts"]).as_py() or 0
    chosen = " ".join(f"{key}={pattern}" for key, pattern in query.where)
    begin, end = (None if ns is None else date_time(ns) for ns in query.span)
    span = " ".join(filter(None, (begin and f"from {begin}", end and f"before {end}")))
    lines = [
        f"fleet {side.folder}",
        f"{plural(hosts.num_rows, 'host')} · {plural(umounts, 'umount')}",
    ]
    if chosen or span:
        lines.append(f"only: {' '.join(filter(None, (chosen, span)))}")
    return lines
