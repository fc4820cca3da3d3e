"""How latency and RCU wait are distributed, as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from umtrace.present.bars import metric_bars, span_text
from umtrace.present.names import phase_name
from umtrace.present.report.section import Bars, Column, Kind, Section, Table
from umtrace.present.sections.phases import detailed
from umtrace.present.units import percent, plural
from umtrace.stats.groups import Key
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import Summary

_COLUMNS = (
    Column("duration", Kind.WORD),
    Column("group"),
    Column("low_ns", Kind.DURATION_NS),
    Column("high_ns", Kind.DURATION_NS),
    Column("count", Kind.COUNT),
)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The bars of one duration of one group; its key is empty for all groups together."""

    metric: str
    key: Key
    label: str
    bars: Bars


def section(summary: Summary) -> Section:
    """Return the histograms of up to three groups; of all together where there are more."""
    found = list(_found(summary))
    rows = [
        [each.metric, each.label, part.low_ns, part.high_ns, part.count]
        for each in found
        for part in each.bars.bins
    ]
    return Section(
        name="histograms",
        title="Histograms",
        line=_line(summary),
        weight=40,
        blocks=[*(each.bars for each in found), Table(_COLUMNS, rows, formats=("csv",))],
        data=[_data(summary.by, each) for each in found],
    )


def _found(summary: Summary) -> Iterator[_Drawn]:
    for name in (LATENCY, RCU):
        for group, label in detailed(summary):
            metric = group.metric(name)
            if metric.occurred.count:
                drawn = metric_bars(
                    f"{phase_name(name)} of {label}", metric, population=group.population
                )
                yield _Drawn(name, group.key, label, drawn)


def _data(by: Sequence[str], drawn: _Drawn) -> dict[str, Any]:
    bins = [[each.low_ns, each.high_ns, each.count] for each in drawn.bars.bins if each.count]
    return {"duration": drawn.metric, "key": dict(zip(by, drawn.key, strict=False)), "bins": bins}


def _line(summary: Summary) -> str:
    bins = metric_bars("", summary.total.metric(LATENCY)).bins
    if not bins:
        return "latency: known of no umount"
    fullest, whole = max(bins, key=lambda each: each.count), sum(each.count for each in bins)
    of = plural(whole, "umount") + summary.total.population
    return f"latency: {span_text(fullest)} in {percent(fullest.count / whole)} of {of}"
