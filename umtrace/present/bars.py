"""Histograms as bars of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umtrace.present.report.section import Bars, Bin
from umtrace.present.terminal import WIDTH, bar
from umtrace.present.units import DURATION_WIDTH, bin_edge, count, percent, plural
from umtrace.stats.bins import EDGES_125
from umtrace.stats.histogram import Histogram
from umtrace.stats.summary import MetricSummary

_PERCENT_WIDTH = 7
_INDENT = "  "


def metric_bars(
    title: str, metric: MetricSummary, edges: Sequence[int] = EDGES_125, population: str = ""
) -> Bars:
    """Return a titled histogram of the rows in which the metric took any time.

    What the bars leave out is said: rows without it, and rows where it is unknown. ``population``
    says which umounts these are, to follow their number.
    """
    seen = metric.occurred
    whole = metric.histogram.count + metric.n_null + metric.n_negative
    some = "" if seen.count == whole else f"{count(seen.count)} of "
    notes = [some + plural(whole, "umount") + population]
    notes += [f"{count(metric.histogram.zeros)} without it"] if metric.histogram.zeros else []
    notes += [f"unknown for {count(metric.n_null)}"] if metric.n_null else []
    return Bars(f"{title}: {', '.join(notes)}", bins_of(seen, edges))


def bins_of(histogram: Histogram, edges: Sequence[int]) -> list[Bin]:
    """Return the bins from the first to the last that is not empty; none for no values."""
    if not histogram.count:
        return []
    counts = histogram.rebin(edges)
    used = counts.nonzero()[0]
    first, last = int(used[0]), int(used[-1])
    bounds = [None, *edges, None]
    return [
        Bin(bounds[place], bounds[place + 1], int(counts[place]))
        for place in range(first, last + 1)
    ]


def bars(bins: Sequence[Bin], width: int = WIDTH) -> Iterator[str]:
    """Yield one line per bin: its edges, count, percentage, and a bar.

    The bar is relative to the fullest bin.
    """
    fullest = max((each.count for each in bins), default=0)
    whole = sum(each.count for each in bins)
    digits = max(len(count(fullest)), 5)
    for each in bins:
        head = (
            f"{_INDENT}{_label(each)} {count(each.count):>{digits}}"
            f" {percent(each.count / whole):>{_PERCENT_WIDTH}}  "
        )
        yield (head + bar(each.count / fullest, width - len(head))).rstrip()


def span_text(each: Bin) -> str:
    """Return the edges of a bin: `200 µs .. 500 µs`."""
    return " ".join(_label(each).split())


def _label(each: Bin) -> str:
    low = bin_edge(each.low_ns) if each.low_ns is not None else "0 ns"
    high = bin_edge(each.high_ns) if each.high_ns is not None else ""
    return f"{low:>{DURATION_WIDTH}} .. {high:<{DURATION_WIDTH}}"
