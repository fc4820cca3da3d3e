"""The comparison of two recordings, for reading and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from umtrace.present.heading import Heading, heading_lines
from umtrace.present.names import dash_notes, key_label, phase_name
from umtrace.present.terminal import WIDTH, clean, render
from umtrace.present.units import NULL, count, duration, plural
from umtrace.stats.compare import Change, Comparison
from umtrace.stats.groups import Key

#: groups shown; the comparison has all of them
_GROUPS = 8
# ratios beyond these are told as that
_LEAST, _MOST = 0.01, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffPage:
    """A comparison and what must be read with it.

    Attributes
    ----------
    a, b : Heading or sequence of str
        What each side is; of several lines the first names it.
    legend : str
        How the intervals were made, if not from umounts that are independent.
    """

    comparison: Comparison
    a: Heading | Sequence[str]
    b: Heading | Sequence[str]
    warnings: Sequence[str] = ()
    legend: str = ""


def diff_text(page: DiffPage, width: int = WIDTH) -> str:
    """Return the comparison as plain text, ending in a newline."""
    return render(_parts(page), width)


def diff_dict(page: DiffPage) -> dict[str, Any]:
    """Return the comparison ready for JSON; null is unknown, durations are ns.

    ``verdict`` is ``slower``, ``faster`` or null; ``low`` and ``high`` are null where
    either side has fewer than ``needs`` values.
    """
    comparison = page.comparison
    by = comparison.by
    return {
        "a": page.a.source if isinstance(page.a, Heading) else page.a[0],
        "b": page.b.source if isinstance(page.b, Heading) else page.b[0],
        "alpha": comparison.alpha,
        "warnings": list(page.warnings),
        "groups": [
            {"key": dict(zip(by, key, strict=True)), "count_a": a, "count_b": b}
            for key, (a, b) in comparison.counts.items()
        ],
        "changes": [
            {
                "key": dict(zip(by, change.key, strict=True)),
                "metric": change.metric,
                "quantile": change.q,
                **{name: getattr(change, name) for name in _FIELDS},
            }
            for change in comparison.changes
        ],
    }


_LEGEND = (
    "They take the umounts of a recording as independent: a burst of load in one of them is not "
    "noise to them."
)
_FIELDS = ("n_a", "n_b", "a_ns", "b_ns", "ratio", "low", "high", "verdict", "needs")


def conclusion(comparison: Comparison) -> list[str]:
    """Return what the table says, in a sentence or a few."""
    found = comparison.different
    told = [change for change in comparison.changes if not change.too_few]
    if not comparison.changes:
        return ["Nothing to compare: no group has the same duration on both sides."]
    if not found:
        return [f"No difference shown in {plural(len(told), 'ratio')} that could be tested."]
    return [_sentence(comparison.by, change) for change in _headlines(found)]


def _headlines(found: Sequence[Change]) -> Iterator[Change]:
    """Yield the largest change of each group's latency; of any phase where it has none."""
    for _key, changes in groupby(found, key=lambda change: change.key):
        mine = list(changes)
        of_latency = [change for change in mine if change.metric == "latency_ns"]
        yield max(of_latency or mine, key=_size)


def _size(change: Change) -> float:
    ratio = change.ratio or 1.0
    return max(ratio, 1 / ratio)


def _sentence(by: Sequence[str], change: Change) -> str:
    ratio = change.ratio or 1.0
    what = f"{key_label(by, change.key)}: {phase_name(change.metric)} {_name(change.q)}"
    times = ratio if ratio >= 1 else 1 / ratio
    return (
        f"{what} is {times:.2f} times {'longer' if ratio >= 1 else 'shorter'} in B "
        f"({duration(change.a_ns)} against {duration(change.b_ns)})"
    )


def _parts(page: DiffPage) -> Iterator[RenderableType]:
    comparison = page.comparison
    yield from _about("A", page.a)
    yield from _about("B", page.b)
    for warning in page.warnings:
        yield Text(f"WARNING: {clean(warning)}")
    for note in dash_notes(comparison.by, comparison.counts):
        yield Text(f"Note: {note}")
    yield ""
    yield from map(Text, conclusion(comparison))
    for key in list(comparison.counts)[:_GROUPS]:
        yield ""
        yield from _group(comparison, key)
    rest = len(comparison.counts) - _GROUPS
    if rest > 0:
        yield Text(f"and {plural(rest, 'group')} more; --json lists all")
    if comparison.changes:
        yield ""
        yield Text(_legend(comparison, page.legend or _LEGEND))


def _about(name: str, side: Heading | Sequence[str]) -> Iterator[Text]:
    first, *rest = heading_lines(side, 0, 0) if isinstance(side, Heading) else map(clean, side)
    yield Text(f"{name}  {first}")
    yield from (Text(f"   {line}") for line in rest)


def _group(comparison: Comparison, key: Key) -> Iterator[RenderableType]:
    n_a, n_b = comparison.counts[key]
    label = key_label(comparison.by, key)
    yield Text(f"{label}: {plural(n_a, 'umount')} in A, {count(n_b)} in B")
    changes = [change for change in comparison.changes if change.key == key]
    if changes and all(_lacks_values(change) for change in changes):
        least = min(change.needs for change in changes)
        yield Text(f"  too few to compare: {count(least)} on both sides are needed for a median")
    elif changes:
        yield _table(changes)
    elif not n_a or not n_b:
        yield Text(f"  only in {'A' if n_a else 'B'}")
    else:
        yield Text("  no duration is known on both sides")


def _table(changes: Sequence[Change]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("phase", "", "n A", "n B", "A", "B", "B/A", "interval", ""):
        side = "left" if name in {"phase", ""} else "right"
        table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
    before = ""
    for change in changes:
        again = change.metric == before
        before = change.metric
        table.add_row(*(Text(cell) for cell in _cells(change, again=again)))
    return table


def _cells(change: Change, *, again: bool) -> list[str]:
    shared = ["", ""] if again else [count(change.n_a), count(change.n_b)]
    return [
        "" if again else phase_name(change.metric),
        _name(change.q),
        *shared,
        duration(change.a_ns),
        duration(change.b_ns),
        NULL if change.ratio is None else _times(change.ratio),
        interval_text(change),
        verdict_text(change),
    ]


def interval_text(change: Change) -> str:
    """Return the interval of the ratio, `-` where there is none."""
    if change.low is None or change.high is None:
        return NULL
    return f"{_times(change.low)} .. {_times(change.high)}"


def verdict_text(change: Change) -> str:
    """Return `slower`, `faster`, how many values are missing, or nothing."""
    return f"needs {change.needs:,}" if _lacks_values(change) else change.verdict or ""


def _lacks_values(change: Change) -> bool:
    """Whether the values are too few; an interval may be missing for another reason."""
    return change.too_few and min(change.n_a, change.n_b) < change.needs


def _times(ratio: float) -> str:
    if ratio < _LEAST:
        return f"<{_LEAST}"
    return f">{_MOST}" if ratio > _MOST else f"{ratio:.2f}"


def _name(q: float) -> str:
    return f"p{100 * q:g}"


def _legend(comparison: Comparison, how: str) -> str:
    few = any(_lacks_values(change) for change in comparison.changes)
    text = (
        f"Intervals: bootstrap; all of them together hold with {1 - comparison.alpha:.0%}, and "
        f"slower and faster stand only where 1 is outside. {how} Quantiles are of "
        "umounts in which the phase took any time."
    )
    return text + (" needs N: either side has fewer than N values." if few else "")
