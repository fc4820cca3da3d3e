"""The first sentence of a report: how many umounts, how slow, where the time went, who was busy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from umtrace.model.umounts import PHASES
from umtrace.model.windows import REFUSED, EbusyWindow
from umtrace.present.ebusy import holder_names
from umtrace.present.names import VERDICTS, phase_name
from umtrace.present.units import count, duration, percent, plural
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary
from umtrace.stats.windows import WindowTotals


def answer(total: GroupSummary, windows: WindowTotals, longest: Sequence[EbusyWindow]) -> str:
    """Return the sentence; empty without an umount.

    Parameters
    ----------
    longest : sequence of EbusyWindow
        The longest windows. A holder is named if they are all there are.
    """
    if not total.count:
        return ""
    parts = [_number(total), *_time(total), *_busy(total, windows, longest)]
    return "; ".join(parts) + "."


def _number(total: GroupSummary) -> str:
    known = total.metric(LATENCY)
    text = plural(total.count, "umount") + (", which all failed" if total.all_failed else "")
    if not known.histogram.count:
        return f"{text}, latency unknown"
    bound = "at most " if total.n_upper else ""
    some = total.n_failed and not total.all_failed
    of = f" (of the {count(total.n_timed)}{total.population})" if some else ""
    return f"{text}, median latency {bound}{duration(known.histogram.quantile(0.5))}{of}"


def _time(total: GroupSummary) -> Iterator[str]:
    """Yield what took most of the time, and the RCU wait in any case."""
    shares = {name: share for name in PHASES if (share := total.share(name))}
    largest = sorted(shares, key=lambda name: -shares[name])[:1]
    named = list(dict.fromkeys([*largest, *(name for name in shares if name == RCU)]))
    if named:
        most, *rest = ((phase_name(name), percent(shares[name])) for name in named)
        yield (
            " and ".join([f"{most[0]} takes {most[1]}", *(" ".join(each) for each in rest)])
            + " of the time"
        )
    if RCU not in shares and not total.metric(RCU).histogram.count:
        yield "the RCU wait was not seen"


def _busy(
    total: GroupSummary, windows: WindowTotals, longest: Sequence[EbusyWindow]
) -> Iterator[str]:
    calls = total.errnos.get("EBUSY", 0)
    if not calls:
        return
    found: Counter[bool | None] = Counter()
    for row in windows.rows():
        if row["class"] in REFUSED:
            found[row["spurious"]] += row["windows"]
    text = f"{count(calls)} failed with EBUSY"
    whats = [_of_verdict(verdict, number) for verdict, number in found.most_common()]
    if len(whats) == 1 and found.total() > 1:
        whats = [f"all {whats[0].partition(' ')[2]}"]
    if whats:
        text += f" ({plural(found.total(), 'window')}: {', '.join(whats)})"
    refused = [window for window in longest if window.klass in REFUSED]
    names = {holder_names(window) for window in refused}
    if len(refused) == found.total() and len(names) == 1 and (name := names.pop()):
        text += f", held by {name}"
    yield text


def _of_verdict(verdict: bool | None, number: int) -> str:
    if verdict is None:
        return f"{count(number)} of unknown cause"
    return f"{count(number)} {VERDICTS[verdict]}"
