"""The groups of a fleet: latency and RCU wait, with the spread over hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umtrace.fleet.resampled import Resampled, Weighted, factor
from umtrace.present.names import key_label, key_texts
from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.times import times
from umtrace.present.units import NULL, plural
from umtrace.stats.groups import Key
from umtrace.stats.summary import GroupSummary, Summary

_MOST = 20
_SHOWN = {"latency_ns": "latency", "rcu_ns": "RCU wait"}
_QUANTILES = {"p50": 0.5, "p99": 0.99}
_PERCENT_UP_TO = 1.5
_NOTE = (
    "±: 95 % interval of the quantile, from hosts drawn again; xN: from 1/N to N times. "
    "“-”: fewer than 8 hosts."
)


def fleet_groups(summary: Summary, resampled: Resampled, by: Sequence[str]) -> Section:
    """Return the groups of a summary, whose keys are those of the resamples or fewer."""
    pairs = [(group, _weighted(group.key, summary.by, resampled, by)) for group in summary.groups]
    rest = len(pairs) - _MOST
    lines = [f"and {plural(rest, 'group')} more; --json lists all"] if rest > 0 else []
    people = ("text", "markdown", "html")
    return Section(
        name="groups",
        title="Groups",
        line="",
        weight=0,
        blocks=[
            *(_table(summary.by, pairs[:_MOST], name) for name in people),
            Lines([*lines, _NOTE] if pairs else ["No umount is counted."], people),
            _for_programs(summary.by, pairs),
        ],
        data=[_data(summary.by, group, weighted) for group, weighted in pairs],
    )


def error_text(times_off: float | None) -> str:
    """Return a factor as text: `±3 %`, `x2.1`, `-` for None."""
    if times_off is None:
        return NULL
    if times_off < _PERCENT_UP_TO:
        return f"±{100 * (times_off - 1):.0f} %"
    return f"x{times_off:.1f}"


_Pair = tuple[GroupSummary, dict[str, Weighted | None]]


def _weighted(
    key: Key, shown: Sequence[str], resampled: Resampled, by: Sequence[str]
) -> dict[str, Weighted | None]:
    """Return the resamples of a group: where a key is not shown, it has one value."""
    found: dict[str, Weighted | None] = dict.fromkeys(_SHOWN)
    given = dict(zip(shown, key, strict=True))
    for (whole, measure), weighted in resampled.cells.items():
        same = all(given.get(n, v) == v for n, v in zip(by, whole, strict=True))
        if same and measure in found:
            before = found[measure]
            found[measure] = weighted if before is None else before + weighted
    return found


def _table(by: Sequence[str], pairs: Sequence[_Pair], name: str) -> Table:
    key = [Column("key", title="\n".join(by) if name == "text" else "group")] if by else []
    columns = [
        *key, Column("umounts", Kind.COUNT), Column("failed", Kind.COUNT, roomy=True),
        Column("time", Kind.WORD), Column("p50_ns", Kind.DURATION_NS, "p50"),
        Column("p50_error", Kind.WORD, "±", right=True), Column("p99_ns", Kind.DURATION_NS, "p99"),
        Column("p99_error", Kind.WORD, "±", right=True),
    ]  # fmt: skip
    rows = []
    for group, weighted in pairs:
        label: Any = tuple(key_texts(by, group.key)) if name == "text" else key_label(by, group.key)
        cells: list[tuple[Any, ...]] = []
        for q in _QUANTILES.values():
            cells.append(tuple(group.metric(m).occurred.quantile(q) for m in _SHOWN))
            cells.append(tuple(error_text(factor(weighted[m], q)) for m in _SHOWN))
        start = [label] if by else []
        rows.append([*start, group.count, group.n_failed, tuple(_SHOWN.values()), *cells])
    return Table(columns, rows, formats=(name,))


def _data(by: Sequence[str], group: GroupSummary, weighted: dict[str, Weighted | None]) -> Any:
    return {
        "key": dict(zip(by, group.key, strict=True)),
        "count": group.count,
        "failed": group.n_failed,
        "incomplete": group.n_incomplete,
        "errno": dict(group.errnos),
        **{
            measure: {
                **times(group.metric(measure)),
                "share": group.share(measure),
                "hosts": each.hosts if (each := weighted[measure]) else None,
                **{f"{n}_factor": factor(weighted[measure], q) for n, q in _QUANTILES.items()},
            }
            for measure in _SHOWN
        },
    }


def _for_programs(by: Sequence[str], pairs: Sequence[_Pair]) -> Table:
    names = [*by, "count", "failed"]
    rows = []
    for group, weighted in pairs:
        row: list[Any] = [*group.key, group.count, group.n_failed]
        for measure in _SHOWN:
            values = group.metric(measure).occurred
            for q in _QUANTILES.values():
                row += [values.quantile(q), factor(weighted[measure], q)]
        rows.append(row)
    for measure in _SHOWN:
        for n in _QUANTILES:
            names += [
                f"{measure.removesuffix('_ns')}_{n}_ns",
                f"{measure.removesuffix('_ns')}_{n}_factor",
            ]
    return Table([Column(name) for name in names], rows, formats=("csv",))
