"""The two tables of a report: groups, and phases of a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from umtrace.present.names import key_texts, phase_name
from umtrace.present.terminal import WIDTH, bar
from umtrace.present.units import NULL, count, duration, percent
from umtrace.records.umounts import PHASES
from umtrace.stats.histogram import Histogram
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary, MetricSummary

_QUANTILES = (0.5, 0.9, 0.99)
_BAR_WIDTH = 18
_TIME_WIDTH = 7
_GAP = 2
_GROUP_COLUMNS = ("umounts", "failed", "time", "p50", "p90", "p99", "max", "share")
_LINES = 2
_LEAST_KEY = 8


def groups_table(by: Sequence[str], groups: Sequence[GroupSummary], width: int = WIDTH) -> Table:
    """Return two lines per group: its latency, and the RCU wait in it.

    Several keys stand below one another, so that the numbers keep their room::

        mode
        fstype  umounts  failed   time         p50      p90      p99      max   share
        sync         41  EBUSY 7  latency  1.23 ms  ...
        tmpfs        38           RCU wait 52.1 µs  ...                        12.0 %
    """
    keys = [key_texts(by, group.key) for group in groups]
    cells = [_group_cells(group) for group in groups]
    widths = [_widest(column) for column in zip(_GROUP_COLUMNS, *cells, strict=True)]
    label = _widest("\n".join(parts) for parts in (by, *keys))
    room = width - sum(widths) - label
    table = _table(_GAP if room >= _GAP * len(widths) else _GAP - 1)
    if by:
        # rich takes from every column at once, so the key's part is worked out here.
        most = max(width - sum(widths) - (_GAP - 1) * len(widths), _LEAST_KEY)
        table.add_column("\n".join(by), no_wrap=True, overflow="ellipsis", max_width=most)
    for name, least in zip(_GROUP_COLUMNS, widths, strict=True):
        # Only the key gives way: a number cut short would be a wrong number.
        side: JustifyMethod = "left" if name in {"failed", "time"} else "right"
        table.add_column(name, justify=side, no_wrap=True, min_width=least)
    for parts, row in zip(keys, cells, strict=True):
        _add(table, *(["\n".join(parts)] if by else []), *row)
    return table


def _group_cells(group: GroupSummary) -> list[str]:
    latency, rcu = group.metric(LATENCY), group.metric(RCU)
    seen = count(rcu.occurred.count) if rcu.histogram.count else NULL
    times = zip(_times(latency.histogram), _times(rcu.occurred), strict=True)
    return [
        f"{count(group.count)}\n{seen}",
        "\n".join(_failed(group)),
        "latency\nRCU wait",
        *("\n".join(pair) for pair in times),
        f"\n{percent(group.share(RCU))}",
    ]


def phases_table(group: GroupSummary, phases: Sequence[str] = PHASES) -> Table:
    """Return one line per phase in the order of time; `-` where the tier cannot see it.

    ``seen in`` counts the umounts in which the phase took any time; where the phase is
    known for a part of the group only, it says of how many.
    """
    table = _table(_GAP)
    table.add_column("phase", no_wrap=True)
    table.add_column("seen in", justify="right", no_wrap=True)
    for name in ("p50", "p99", "max", "share"):
        table.add_column(name, justify="right", no_wrap=True, min_width=_TIME_WIDTH)
    table.add_column("", no_wrap=True)
    for name in phases:
        metric = group.metric(name)
        p50, _, p99, most = _times(metric.occurred)
        share_bar = bar(group.share(name) or 0.0, _BAR_WIDTH)
        seen = _seen(metric, group.count)
        _add(table, phase_name(name), seen, p50, p99, most, percent(group.share(name)), share_bar)
    return table


def _table(gap: int) -> Table:
    # The box itself puts one blank between columns.
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))


def _add(table: Table, *cells: str) -> None:
    # Text: a task called "[red]" is not markup.
    table.add_row(*(Text(cell) for cell in cells))


def _times(histogram: Histogram) -> list[str]:
    return [
        *(duration(histogram.quantile(q)) for q in _QUANTILES),
        duration(histogram.max),
    ]


def _seen(metric: MetricSummary, n_rows: int) -> str:
    known = metric.histogram.count
    if not known:
        return NULL
    seen = count(metric.occurred.count)
    return seen if known == n_rows else f"{seen} of {count(known)}"


def _widest(cells: Iterable[str]) -> int:
    return max((len(line) for cell in cells for line in cell.split("\n")), default=0)


def _failed(group: GroupSummary) -> list[str]:
    """Return one or two lines: the most frequent errno, and the next one or the rest."""
    outcomes = dict(group.errnos)
    if group.n_outcome_unknown:
        outcomes["unknown"] = group.n_outcome_unknown
    lines = [f"{name} {count(number)}" for name, number in outcomes.items()] or ["0"]
    if len(lines) > _LINES:
        lines = [lines[0], f"others {count(sum(list(outcomes.values())[1:]))}"]
    return lines
