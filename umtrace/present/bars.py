"""Histograms as bars of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umtrace.present.terminal import WIDTH, bar
from umtrace.present.units import DURATION_WIDTH, bin_edge, count, percent, plural
from umtrace.stats.bins import EDGES_125
from umtrace.stats.buckets import Int64
from umtrace.stats.histogram import Histogram
from umtrace.stats.summary import MetricSummary

_PERCENT_WIDTH = 7
_INDENT = "  "


def metric_bars(
    title: str, metric: MetricSummary, edges: Sequence[int] = EDGES_125, width: int = WIDTH
) -> list[str]:
    """Return a titled histogram of the rows in which the metric took any time.

    What the bars leave out is said: rows without it, and rows where it is unknown.
    """
    seen = metric.occurred
    notes = [plural(seen.count, "umount")]
    notes += [f"{count(metric.histogram.zeros)} without it"] if metric.histogram.zeros else []
    notes += [f"{count(metric.n_null)} unknown"] if metric.n_null else []
    return [f"{title}: {', '.join(notes)}", *bars(seen, edges, width)]


def bars(histogram: Histogram, edges: Sequence[int], width: int = WIDTH) -> Iterator[str]:
    """Yield one line per bin, from the first to the last that is not empty.

    A line has the bin's edges, count, percentage, and a bar relative to the fullest bin.
    """
    counts = histogram.rebin(edges)
    if not histogram.count:
        return
    first, last = _span(counts)
    fullest = int(counts.max())
    digits = max(len(count(fullest)), 5)
    for place in range(first, last + 1):
        number = int(counts[place])
        head = (
            f"{_INDENT}{_label(edges, place)} {count(number):>{digits}}"
            f" {percent(number / histogram.count):>{_PERCENT_WIDTH}}  "
        )
        yield (head + bar(number / fullest, width - len(head))).rstrip()


def _span(counts: Int64) -> tuple[int, int]:
    used = counts.nonzero()[0]
    return int(used[0]), int(used[-1])


def _label(edges: Sequence[int], place: int) -> str:
    low = bin_edge(edges[place - 1]) if place else "0 ns"
    high = bin_edge(edges[place]) if place < len(edges) else ""
    return f"{low:>{DURATION_WIDTH}} .. {high:<{DURATION_WIDTH}}"
