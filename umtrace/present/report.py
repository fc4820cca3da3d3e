"""The report of a recording, for reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from umtrace.present.bars import metric_bars
from umtrace.present.heading import Heading, heading_lines
from umtrace.present.names import key_label, phase_name
from umtrace.present.tables import groups_table, phases_table
from umtrace.present.terminal import WIDTH, render
from umtrace.present.units import count, plural
from umtrace.present.verdict import caveats, verdict
from umtrace.records.umounts import PHASES
from umtrace.stats.bins import EDGES_125
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, Summary

#: up to here each group gets its own phases and bars; beyond, all groups together
_DETAILED_GROUPS = 3
_TABLE_GROUPS = 20


def report_text(
    summary: Summary, heading: Heading, width: int = WIDTH, more: Sequence[str] = ()
) -> str:
    """Return the report as plain text, ending in a newline.

    Parameters
    ----------
    summary : Summary
        With latency and all phases; of no rows it says what to do.
    width : int
        Columns; 80 is what it is made for.
    more : sequence of str
        Lines of a section at the end.
    """
    parts = _parts(summary, heading, width)
    return render([*parts, *(Text(line) for line in ("", *more) if more)], width)


def histogram_text(
    summary: Summary,
    heading: Heading,
    metric: str,
    edges: Sequence[int] = EDGES_125,
    width: int = WIDTH,
) -> str:
    """Return a histogram of one duration column per group, as plain text."""
    total = summary.total
    parts = [*heading_lines(heading, total.n_incomplete, total.count), ""]
    if not total.count:
        parts.append(_nothing(heading))
    for group in summary.groups[:_TABLE_GROUPS]:
        title = f"{phase_name(metric)} of {key_label(summary.by, group.key)}"
        parts += [*metric_bars(title, group.metric(metric), edges, width), ""]
    return render([*map(Text, parts), *_rest(summary)], width).rstrip("\n") + "\n"


def _parts(summary: Summary, heading: Heading, width: int) -> Iterator[RenderableType]:
    total = summary.total
    yield from map(Text, heading_lines(heading, total.n_incomplete, total.count))
    yield ""
    if not total.count:
        yield Text(_nothing(heading))
        return
    yield from map(Text, verdict(total))
    yield from (Text(f"Note: {caveat}") for caveat in caveats(total))
    yield ""
    yield groups_table(summary.by, summary.groups[:_TABLE_GROUPS], width)
    yield from _rest(summary)
    for group, label in _detailed(summary):
        yield ""
        yield from _phases(group, label)
    for metric in (LATENCY, RCU):
        for group, label in _detailed(summary):
            yield from _bars(group, metric, label, width)


def _nothing(heading: Heading) -> str:
    if heading.filtered:
        return "No umount in this recording passes the filter; try without it."
    if heading.problems:
        return "No umount in what could be read; the damage is named above."
    return (
        "No umount was recorded. While `umtrace record` runs, umount something, "
        "or try `umtrace record -- umtrace exercise`."
    )


def _rest(summary: Summary) -> Iterator[RenderableType]:
    rest = summary.groups[_TABLE_GROUPS:]
    if rest:
        rows = plural(sum(group.count for group in rest), "umount")
        yield Text(f"and {plural(len(rest), 'group')} more, {rows}; --format csv lists all")


def _detailed(summary: Summary) -> list[tuple[GroupSummary, str]]:
    if len(summary.groups) <= _DETAILED_GROUPS:
        return [(group, key_label(summary.by, group.key)) for group in summary.groups]
    return [(summary.total, f"all {count(len(summary.groups))} groups")]


def _phases(group: GroupSummary, label: str) -> Iterator[RenderableType]:
    title = f"Phases of {label}, {plural(group.count, 'umount')}"
    seen = [name for name in PHASES if group.metric(name).histogram.count]
    if not seen:
        yield Text(f"{title}: none seen by this tier")
        return
    yield Text(title)
    yield phases_table(group, seen)
    partly = [phase_name(name) for name in seen if group.is_partly_known(name)]
    if partly:
        yield Text(f"no share: {', '.join(partly)} (known in a part of the umounts only)")
    unseen = [phase_name(name) for name in PHASES if name not in seen]
    if unseen:
        yield Text(f"not seen: {', '.join(unseen)} (unknown, not zero)")


def _bars(group: GroupSummary, metric: str, label: str, width: int) -> Iterator[RenderableType]:
    if group.metric(metric).occurred.count:
        yield ""
        title = f"{phase_name(metric)} of {label}"
        yield from map(Text, metric_bars(title, group.metric(metric), width=width))
