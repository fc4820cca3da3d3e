"""The groups of a report: outcomes, latency and RCU wait of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umtrace.model.umounts import PHASES
from umtrace.present.names import key_label, key_texts
from umtrace.present.report.section import BLANK, READ, Block, Column, Kind, Lines, Section, Table
from umtrace.present.times import QUANTILES, quantiles, times
from umtrace.present.units import NULL, count, duration, plural
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, MetricSummary, Summary

#: groups that are shown; Markdown, CSV and JSON have all
MOST = {"text": 20, "html": 20}
_LINES = 2
_LABELS = 3
_TIMES = [Column(f"{name}_ns", Kind.DURATION_NS, name) for name in (*QUANTILES, "max")]
_COUNTS = ("count", "incomplete", "upper_bound", "outcome_unknown", "failed")


def section(summary: Summary, n_running: int = 0) -> Section:
    """Return the groups of a summary that has latency and all phases.

    ``n_running`` umounts had not ended.
    """
    blocks = [block for name in READ for block in _blocks(summary, name, n_running)]
    return Section(
        name="groups",
        title="Groups",
        line=_line(summary),
        weight=90,
        blocks=[*blocks, _for_programs(summary)],
        data=[_data(summary.by, group) for group in summary.groups],
    )


def rest_line(summary: Summary, most: int) -> list[str]:
    """Return a line about the groups after the first ones; nothing if that is all."""
    rest = summary.groups[most:]
    rows = plural(sum(group.count for group in rest), "umount")
    more = f"and {plural(len(rest), 'group')} more, {rows}; --format csv lists all"
    return [more] if rest else []


def _blocks(summary: Summary, name: str, n_running: int) -> list[Block]:
    most = MOST.get(name, len(summary.groups))
    table = _stacked if name == "text" else _labelled
    shown = summary.groups[:most]
    lines = Lines(
        [*_dashes(shown), *_unknown(summary, n_running), *rest_line(summary, most)],
        formats=(name,),
    )
    return [table(summary.by, shown, name), lines]


def _dashes(groups: Sequence[GroupSummary]) -> list[str]:
    """Return what `-` means in a time of these groups, if there is one."""
    metrics = [group.metric(name) for group in groups for name in (LATENCY, RCU)]
    if all(metric.occurred.count for metric in metrics):
        return []
    return ["times -: no umount of the group took any, or they are unknown"]


def _unknown(summary: Summary, n_running: int) -> list[str]:
    """Return how many umounts are not known to have failed, nor to have succeeded."""
    unknown = sum(group.n_outcome_unknown for group in summary.groups)
    if not unknown:
        return []
    which = ""
    if n_running:
        some = f"{count(n_running)} of " if n_running < unknown else ""
        which = f", {some}which had not ended"
    return [f"outcome unknown: {plural(unknown, 'umount')}{which}"]


def _stacked(by: Sequence[str], groups: Sequence[GroupSummary], name: str) -> Table:
    """Return two lines per group, its latency and the RCU wait in it.

    Several keys stand below one another, so that the numbers keep their room::

        mode
        fstype  umounts  failed   time         p50      p90      p99      max   share
        sync         41  EBUSY 7  latency  1.23 ms  ...
        tmpfs        38           RCU wait 52.1 µs  ...                        12.0 %
    """
    key = [Column("key", title="\n".join(by))] if by else []
    rows = [
        [*([tuple(key_texts(by, group.key))] if by else []), *_cells(group, tuple(_failed(group)))]
        for group in groups
    ]
    return Table([*key, *_columns()], rows, formats=(name,))


def _labelled(by: Sequence[str], groups: Sequence[GroupSummary], name: str) -> Table:
    """Return the same with each key on one line."""
    rows = [[key_label(by, group.key), *_cells(group, _all_failed(group))] for group in groups]
    return Table([Column("group"), *_columns()], rows, formats=(name,))


def _columns() -> list[Column]:
    return [
        Column("umounts", Kind.COUNT),
        Column("failed", Kind.WORD, roomy=True),
        Column("time", Kind.WORD),
        *(Column(c.name, c.kind, c.title, roomy=c.title in {"p90", "max"}) for c in _TIMES),
        Column("share", Kind.PERCENT),
    ]


def _cells(group: GroupSummary, failed: object) -> list[Any]:
    latency, rcu = group.metric(LATENCY), group.metric(RCU)
    seen = rcu.occurred.count if rcu.histogram.count else None
    pairs = zip(quantiles(latency.histogram), quantiles(rcu.occurred), strict=True)
    share = (BLANK, group.share(RCU))
    return [(group.count, seen), failed, ("latency", "RCU wait"), *pairs, share]


def _failed(group: GroupSummary) -> list[str]:
    """Return one or two lines: the most frequent errno, and the next one or the rest."""
    outcomes = group.errnos
    lines = [f"{name} {count(number)}" for name, number in outcomes.items()] or [_none(group)]
    if len(lines) > _LINES:
        lines = [lines[0], f"others {count(sum(list(outcomes.values())[1:]))}"]
    return lines


def _all_failed(group: GroupSummary) -> str:
    outcomes = (f"{name} {count(number)}" for name, number in group.errnos.items())
    return ", ".join(outcomes) or _none(group)


def _none(group: GroupSummary) -> str:
    return "0" if group.n_outcome_unknown < group.count else NULL


def _for_programs(summary: Summary) -> Table:
    """Return one row per group: key, counts, and the times of each duration as columns."""
    parts = [*times(MetricSummary()), "share"]
    durations = [LATENCY, *PHASES]
    names = [*_COUNTS, "errno", *(f"{metric}_{part}" for metric in durations for part in parts)]
    rows = [
        [*group.key, *_counts(group), _errnos(group), *_all_times(group, durations)]
        for group in summary.groups
    ]
    return Table([Column(name) for name in (*summary.by, *names)], rows, formats=("csv",))


def _counts(group: GroupSummary) -> list[int]:
    unknown = group.n_outcome_unknown
    return [group.count, group.n_incomplete, group.n_upper, unknown, group.n_failed]


def _errnos(group: GroupSummary) -> str:
    return ";".join(f"{name}:{number}" for name, number in group.errnos.items())


def _all_times(group: GroupSummary, durations: Sequence[str]) -> list[Any]:
    return [
        value
        for name in durations
        for value in (*times(group.metric(name)).values(), group.share(name))
    ]


def _data(by: Sequence[str], group: GroupSummary) -> dict[str, Any]:
    phases = {name: group.metric(name) for name in PHASES}
    return {
        "key": dict(zip(by, group.key, strict=True)),
        "count": group.count,
        "incomplete": group.n_incomplete,
        "upper_bound": group.n_upper,
        "outcome_unknown": group.n_outcome_unknown,
        "errno": dict(group.errnos),
        LATENCY: times(group.metric(LATENCY)),
        RCU: times(group.metric(RCU)),
        "rcu_share": group.share(RCU),
        "phases": {name: {**times(m), "share": group.share(name)} for name, m in phases.items()},
    }


def _line(summary: Summary) -> str:
    total = summary.total
    if not total.count:
        return "umounts: none"
    times = total.metric(LATENCY).histogram
    if not times.count:
        return f"umounts: {count(total.count)}{_largest(summary)}; latency unknown"
    p50, _, p99, _ = quantiles(times)
    took = f"latency p50 {duration(p50)}, p99 {duration(p99)}"
    if total.n_upper:  # as the first sentence has it
        p50, p99 = (times.quantile_at_most(part) for part in (0.5, 0.99))
        took = f"latency p50 ≤ {duration(p50)}, p99 ≤ {duration(p99)}"
    return f"umounts: {count(total.count)}{_largest(summary)}; {took}"


def _largest(summary: Summary) -> str:
    """Return the largest groups by name: ` (sync 624, lazy 8, 2 groups more)`."""
    if not summary.by:
        return ""
    named = [f"{key_label(summary.by, g.key)} {count(g.count)}" for g in summary.groups[:_LABELS]]
    more = len(summary.groups) - len(named)
    return f" ({', '.join([*named, *([plural(more, 'group') + ' more'] if more else [])])})"
