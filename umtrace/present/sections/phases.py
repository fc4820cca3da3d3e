"""The phases of an umount: where its time goes."""

from __future__ import annotations

from typing import Any

from umtrace.model.umounts import PHASES
from umtrace.present.names import key_label, phase_name, timed_text
from umtrace.present.report.section import Block, Column, Kind, Lines, Section, Table
from umtrace.present.terminal import WIDTH
from umtrace.present.times import QUANTILES, quantiles, times
from umtrace.present.units import NULL, count, percent
from umtrace.stats.summary import GroupSummary, MetricSummary, Summary

#: up to here each group gets its own phases and bars; beyond, all groups together
_DETAILED_GROUPS = 3
_SHARES = 3
_SHUTDOWN = "shutdown_ns"
_WORTH = 0.01  # what is left out below it goes without a word
_TIME_WIDTH = 7
_NOTE = (
    "Times are of the umounts in which the phase took time. “-” is unknown, not zero; "
    "so is the share of a phase that is known in a part of the umounts only."
)


def section(summary: Summary) -> Section:
    """Return the phases: of each group to read in text, of all umounts elsewhere."""
    total = summary.total
    blocks = [block for group, label in detailed(summary) for block in _of_group(group, label)]
    return Section(
        name="phases",
        title="Phases of all umounts",
        line=_line(total),
        weight=88,
        blocks=[*blocks, *_of_all(total), _for_programs(total)],
        data={name: {**times(total.metric(name)), "share": total.share(name)} for name in PHASES},
    )


def detailed(summary: Summary) -> list[tuple[GroupSummary, str]]:
    """Return the groups that get phases and bars of their own, each with its label."""
    if len(summary.groups) <= _DETAILED_GROUPS:
        return [(group, key_label(summary.by, group.key)) for group in summary.groups]
    return [(summary.total, f"all {count(len(summary.groups))} groups")]


def _of_group(group: GroupSummary, label: str) -> list[Block]:
    """Return one line per phase in the order of time, those that the tier sees.

    ``seen in`` counts the umounts in which the phase took any time; where the phase is
    known for a part of the group only, it says of how many.
    """
    title = f"Phases of {label}, {timed_text(group)}"
    seen = [name for name in PHASES if group.metric(name).histogram.count]
    if not seen:
        return [Table((), (), f"{title}: none seen by this tier", ("text",))]
    columns = [
        Column("phase", Kind.PHASE),
        Column("seen in", Kind.WORD, right=True),
        *(Column(f"{n}_ns", Kind.DURATION_NS, n, _TIME_WIDTH) for n in ("p50", "p99", "max")),
        Column("share", Kind.PERCENT, least=_TIME_WIDTH),
        Column("bar", Kind.BAR, title=""),
    ]
    rows = [_row(group, name) for name in seen]
    title += "; shares of their time"
    return [Table(columns, rows, title, ("text",)), Lines(_left_out(group, seen), ("text",))]


def _row(group: GroupSummary, name: str) -> list[Any]:
    metric, share = group.metric(name), group.share(name)
    p50, _, p99, most = quantiles(metric.occurred)
    return [name, _seen(metric, group.n_timed), p50, p99, most, share, share]


def _left_out(group: GroupSummary, seen: list[str]) -> list[str]:
    partly: dict[int, list[str]] = {}
    for name in filter(group.is_partly_known, seen):
        partly.setdefault(group.metric(name).n_null, []).append(phase_name(name))
    whole = timed_text(group)
    lines = [
        f"share -: unknown for {count(n)} of {whole}: {', '.join(names)}"
        for n, names in partly.items()
    ]
    if any(not group.metric(name).occurred.count for name in seen):
        lines.append("p50, p99, max -: it took time in no umount")
    if group.n_upper and _SHUTDOWN in seen:
        name = phase_name(_SHUTDOWN)
        lines.append(f"{name}: at most, to the next system call; a file system in use lives on")
    unseen = [phase_name(name) for name in PHASES if name not in seen]
    if unseen:
        lines.append(f"not seen: {', '.join(unseen)} (unknown, not zero)")
    return lines


def _of_all(total: GroupSummary) -> list[Block]:
    formats = ("markdown", "html")
    if not total.count:
        return []
    shown = [
        Column(f"{n}_ns", Kind.DURATION_NS, n, roomy=n in {"p90", "max"})
        for n in (*QUANTILES, "max")
    ]
    columns = [
        Column("phase", Kind.PHASE),
        Column("seen in", Kind.COUNT),
        Column("known in", Kind.COUNT, roomy=True),
        *shown,
        Column("share", Kind.PERCENT),
        Column("bar", Kind.BAR, title="", roomy=True),
    ]
    rows = [_row_of_all(total, name) for name in PHASES]
    return [Table(columns, rows, formats=formats), Lines([_NOTE], formats)]


def _row_of_all(total: GroupSummary, name: str) -> list[Any]:
    metric, share = total.metric(name), total.share(name)
    known = metric.histogram.count
    seen = metric.occurred.count if known else None
    return [name, seen, known, *quantiles(metric.occurred), share, share]


def _for_programs(total: GroupSummary) -> Table:
    names = ("phase", *times(MetricSummary()), "share")
    rows = [
        [name, *times(total.metric(name)).values(), total.share(name)]
        for name in PHASES
        if total.count
    ]
    return Table([Column(name) for name in names], rows, formats=("csv",))


def _seen(metric: MetricSummary, n_rows: int) -> str:
    known = metric.histogram.count
    if not known:
        return NULL
    seen = count(metric.occurred.count)
    return seen if known == n_rows else f"{seen} of {count(known)}"


def _line(total: GroupSummary) -> str:
    shares = {name: share for name in PHASES if (share := total.share(name)) is not None}
    if total.all_failed:
        return "phases: no umount succeeded"
    if not shares:
        return "phases: shares of the time unknown"
    texts = (_largest(shares, number) for number in range(_SHARES, 0, -1))
    return next((text for text in texts if len(text) <= WIDTH), _largest(shares, 1))


def _largest(shares: dict[str, float], number: int) -> str:
    """Return the largest shares, and what the others come to unless that is next to nothing."""
    order = sorted(shares, key=lambda name: -shares[name])
    parts = [f"{phase_name(name)} {percent(shares[name])}" for name in order[:number]]
    rest = 1 - sum(shares[name] for name in order[:number])
    if rest >= _WORTH:  # of phases with a smaller share, or with one that is not known
        parts.append(f"the rest {percent(rest)}")
    return f"phases: {', '.join(parts)} of the time"
