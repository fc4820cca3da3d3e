"""The conclusions of a summary, and the limits of its numbers, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from umtrace.model.umounts import PHASES
from umtrace.present.names import phase_name, timed_text
from umtrace.present.units import count, duration, percent, plural
from umtrace.stats.summarize import LATENCY, RCU
from umtrace.stats.summary import GroupSummary


def verdict(total: GroupSummary) -> list[str]:
    """Return the answer to "what did umount cost, and why" in up to three sentences."""
    if total.all_failed:  # a failed call ends before the phases that cost
        return _failures(total)
    largest = _largest_phase(total)
    return [_rcu(total), *([largest] if largest else []), *_failures(total)]


def caveats(total: GroupSummary) -> Iterator[str]:
    """Yield the limits of the numbers."""
    latency = total.metric(LATENCY)
    if total.n_upper:
        some = _of(total.n_upper, total.count)
        yield f"latency is an upper bound for {some} (to the next system call)"
    if latency.n_null:
        some = _of(latency.n_null, total.n_timed)
        yield f"latency is unknown for {some}, which its quantiles exclude"
    if total.n_failed:
        yield _failed(total)
    every = (*total.metrics.values(), *total.failed_metrics.values())
    negative = sum(metric.n_negative for metric in every)
    if negative:
        yield f"{plural(negative, 'negative duration')} excluded: please report a bug"


def _failed(total: GroupSummary) -> str:
    """Say which umounts the times are of, and how long the failed ones took."""
    if total.all_failed:
        return "all umounts failed: times are of failed calls"
    median = duration(total.failed_metrics[LATENCY].histogram.quantile(0.5))
    calls = plural(total.n_failed, "failed call")
    return f"times are of {timed_text(total)}; {calls} took {median} (median)"


def _rcu(total: GroupSummary) -> str:
    rcu = total.metric(RCU)
    if not rcu.histogram.count:
        return f"RCU wait: not seen by this tier in {timed_text(total)}"
    seen = rcu.occurred
    if not seen.count:
        return f"RCU wait: none in {plural(rcu.histogram.count, 'umount')}" + _unknown(total)
    details = f"median {duration(seen.quantile(0.5))}, max {duration(seen.max)}"
    what = f"{percent(rcu.share)} of the time of {plural(rcu.n_shared, 'umount')}"
    if rcu.share is None:
        what = "share unknown"
    return f"RCU wait: {what} (seen in {count(seen.count)}; {details})" + _unknown(total)


def _unknown(total: GroupSummary) -> str:
    n_null = total.metric(RCU).n_null
    return f"; unknown for {_of(n_null, total.n_timed)}" if n_null else ""


def _of(some: int, of: int) -> str:
    whole = plural(of, "umount")
    if some < of:
        return f"{count(some)} of {whole}"
    return whole if some == 1 else f"all {whole}"


def _largest_phase(total: GroupSummary) -> str | None:
    shares = {name: share for name in PHASES if (share := total.share(name))}
    if not shares:
        return None
    name = max(shares, key=lambda name: shares[name])
    if name == RCU:  # has its sentence already
        return None
    return f"Largest phase: {phase_name(name)}, {percent(shares[name])} of the time"


def _failures(total: GroupSummary) -> list[str]:
    known = total.count - total.n_outcome_unknown
    busy = total.errnos.get("EBUSY", 0)
    if not busy:
        return []
    return [f"EBUSY: {count(busy)} of {plural(known, 'umount')} ({percent(busy / known)})"]
