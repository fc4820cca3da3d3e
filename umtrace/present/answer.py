"""The first sentence of a report: who was busy, how many umounts, how slow, where the time went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from umtrace.model.hangs import Hang
from umtrace.model.umounts import PHASES
from umtrace.model.windows import EbusyWindow
from umtrace.present.busy import begins_busy, ends_busy
from umtrace.present.lines import IN_PHASE
from umtrace.present.names import path_text, phase_name
from umtrace.present.units import count, duration, percent, plural
from umtrace.stats.notable import Notable
from umtrace.stats.summarize import LATENCY, RCU, errno_name
from umtrace.stats.summary import GroupSummary
from umtrace.stats.windows import WindowTotals

_HALF = 0.5
_HANGS_NS = 1_000_000_000  # one that began a moment before the end is no hang


def answer(
    total: GroupSummary,
    windows: WindowTotals,
    longest: Sequence[EbusyWindow],
    notable: Notable,
    hangs: Sequence[Hang] = (),
) -> str:
    """Return the sentence; empty without an umount.

    It begins with the umounts that hang. Then comes the busy mount, where EBUSY took longer than
    the umounts that succeeded. Of umounts that all failed it says why, and nothing of their phases.

    Parameters
    ----------
    longest : sequence of EbusyWindow
        The longest windows. A holder is named if they are all there are.
    hangs : sequence of Hang
        The umounts that had not ended, the longest first.
    """
    if not total.count:
        return ""
    hanging = list(_hanging(hangs))
    if hanging and total.count == len(hangs):
        return _sentence(hanging)
    failures = list(_failures(total, notable))
    if total.all_failed:
        failures = [*ends_busy(total, windows, longest), *failures]
        return _sentence(_all_failed(total, failures))
    spent = total.metric(LATENCY).histogram.sum
    numbers = [_number(total), *_slowest(total, notable), *_time(total)]
    if windows.n_refused and windows.busy_ns > spent:
        busy = begins_busy(total, windows, longest)
        return _sentence([*hanging, *busy, *numbers, *failures])
    return _sentence([*hanging, *numbers, *ends_busy(total, windows, longest), *failures])


def _sentence(parts: Sequence[str]) -> str:
    return "; ".join(parts) + "."


def _hanging(hangs: Sequence[Hang]) -> Iterator[str]:
    """Yield how many umounts had run for long at the end, and where the oldest of them was."""
    long = [hang for hang in hangs if hang.so_far_ns >= _HANGS_NS]
    if not long:
        return
    first = long[0]
    which = "" if len(long) == 1 else "the longest "
    yield (
        f"{plural(len(long), 'umount')} still ran at the end: {which}"
        f"{path_text(first.row['path'])}, for {duration(first.so_far_ns)}, {IN_PHASE[first.phase]}"
    )


def _all_failed(total: GroupSummary, failures: Sequence[str]) -> list[str]:
    """Return how many umounts there were, and why they failed; their number once if one errno."""
    text = f"{plural(total.count, 'umount')}, which {'all ' * (total.count > 1)}failed"
    if len(failures) > 1:
        return [text, *failures]
    return [text + failures[0].removeprefix(f"{count(total.count)} failed")]


def _number(total: GroupSummary) -> str:
    known = total.metric(LATENCY)
    text = plural(total.count, "umount")
    if not known.histogram.count:
        return f"{text}, latency unknown"
    times = known.histogram
    median = duration(times.quantile(0.5))
    if total.n_upper:
        median = f"at most {duration(times.quantile_at_most(0.5))}"
    of = f" (of the {count(total.n_timed)}{total.population})" if total.n_failed else ""
    return f"{text}, median latency {median}{of}"


def _slowest(total: GroupSummary, notable: Notable) -> Iterator[str]:
    """Yield the slowest umount where it took more than half of the time of several."""
    times, slowest = total.metric(LATENCY).histogram, notable.slowest
    if slowest is None or times.count < 2 or slowest.latency_ns <= times.sum * _HALF:  # noqa: PLR2004
        return
    bound = "at most " if total.n_upper else ""
    yield f"the slowest took {bound}{duration(slowest.latency_ns)}: {path_text(slowest.path)}"


def _time(total: GroupSummary) -> Iterator[str]:
    """Yield what took most of the time, and the RCU wait in any case."""
    shares = {name: share for name in PHASES if (share := total.share(name))}
    largest = sorted(shares, key=lambda name: -shares[name])[:1]
    named = list(dict.fromkeys([*largest, *(name for name in shares if name == RCU)]))
    of = "their time" if total.n_failed else "the time"
    if named:
        most, *rest = ((phase_name(name), percent(shares[name])) for name in named)
        yield (
            " and ".join([f"{most[0]} takes {most[1]}", *(" ".join(each) for each in rest)])
            + f" of {of}"
        )
    if RCU not in shares and not total.metric(RCU).histogram.count:
        yield "the RCU wait was not seen"


def _failures(total: GroupSummary, notable: Notable) -> Iterator[str]:
    """Yield how many failed with another errno than EBUSY, and one path of each."""
    for name, number in total.errnos.items():
        if name == "EBUSY":
            continue
        found = [path for errno, path in notable.failures if errno_name(errno) == name and path]
        where = f": {path_text(found[0])}" if found else ""
        more = f" and {plural(len(found) - 1, 'other path')}" if len(found) > 1 else ""
        yield f"{count(number)} failed with {name}{where}{more}"
