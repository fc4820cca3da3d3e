"""A survey as at most 20 lines of ASCII, 72 columns: to be sent in a mail, and read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from umtrace.model.losses import LossReport
from umtrace.present.units import percent
from umtrace.present.wrapping import wrap
from umtrace.stats.histogram import Histogram
from umtrace.survey.bounded import cpus, number, time
from umtrace.survey.counts import KINDS, LAZY, Counts, Held
from umtrace.survey.host import Host
from umtrace.survey.share import share_interval

#: lines and columns of a survey at most
LINES, COLUMNS = 20, 72
#: the number of the format, raised when a reader of the old one would misread it
FORMAT = 1

_LABEL = 13
_MOST_VICTIMS = 1000
_LONG = 100
_NOTHING = "no umount succeeded"
_SOME, _TAIL = 0.5, 0.99


def lines(
    host: Host,
    counts: Counts,
    verdicts: Mapping[str, int],
    losses: LossReport,
    *,
    unseen: str,
    normal_gp_ns: Sequence[int] = (),
) -> list[str]:
    """Return the lines.

    Parameters
    ----------
    verdicts : mapping of str to int
        EBUSY windows by verdict: ``held``, ``spurious``, ``unknown``.
    unseen : str
        Why something is not known in any umount.
    normal_gp_ns : sequence of int
        Lengths of normal grace periods that were measured beside the umounts.
    """
    parts = [
        ("", f"umtrace survey {FORMAT}, umtrace {host.umtrace}"),
        *_host(host),
        ("umounts", _umounts(counts)),
        ("victims", _victims(counts, unseen)),
        *_held(counts, unseen),
        *_waits(counts, unseen, normal_gp_ns),
        *_designs(counts, unseen),
        ("EBUSY", _ebusy(verdicts)),
        ("losses", _losses(losses)),
    ]
    return [line for label, text in parts for line in _wrapped(label, text)]


def _wrapped(label: str, text: str) -> list[str]:
    first = label.ljust(_LABEL) if label else ""
    return wrap(text, COLUMNS, initial_indent=first, subsequent_indent=" " * _LABEL)


def _host(host: Host) -> Iterator[tuple[str, str]]:
    plural = "CPU" if host.cpus == 1 else "CPUs"
    how_many = "CPUs unknown" if host.cpus is None else f"{cpus(host.cpus)} {plural}"
    yield "kernel", f"{host.kernel}, {host.preempt}, {how_many}"
    switches = ("rcu_normal", host.rcu_normal), ("rcu_expedited", host.rcu_expedited)
    settings = [f"{name} {on}" for name, on in switches if on is not None]
    lasted = "unknown time" if host.seconds is None else f"{host.seconds:.3g} s"
    if host.seconds is not None and host.seconds >= _LONG:
        lasted = f"{host.seconds:.0f} s"
    yield "traced", ", ".join([lasted, f"tier {host.tier}", *settings])


def _umounts(counts: Counts) -> str:
    numbers = {kind: counts.held[kind].umounts for kind in KINDS} | {"failed": counts.failed}
    if counts.unfinished:
        numbers["unknown"] = counts.unfinished
    kinds = [f"{number(many)} {kind}" for kind, many in numbers.items()]
    return f"{number(counts.umounts)}: {', '.join(kinds)}"


def _victims(counts: Counts, unseen: str) -> str:
    seen = counts.victims
    if not seen.count:
        return unseen if counts.umounts else _NOTHING
    texts = [_bounded_victims(seen.quantile(q)) for q in (_SOME, _TAIL)]
    return f"mounts an umount: p50 {texts[0]}, p99 {texts[1]}"


def _bounded_victims(mounts: int | None) -> str:
    if mounts is None:
        return "-"
    if mounts >= _MOST_VICTIMS:
        return f"{_MOST_VICTIMS} or more"
    return str(mounts)


def _held(counts: Counts, unseen: str) -> Iterator[tuple[str, str]]:
    total = counts.all_held
    if not total.known:
        yield "nobody else", unseen if total.umounts else _NOTHING
        return
    free = total.known - total.held
    low, high = share_interval(free, total.known)
    text = f"{number(free)} of {number(total.known)} umounts had no victim that somebody "
    text += f"else held: {percent(free / total.known)} (95 %: {percent(low)} to {percent(high)})"
    yield "nobody else", text
    kinds = [f"{kind} {_free(held)}" for kind, held in counts.held.items() if held.known]
    if total.known < total.umounts:
        kinds.append(f"{number(total.umounts - total.known)} not known")
    yield "by kind", ", ".join(kinds)


def _free(held: Held) -> str:
    return f"{number(held.known - held.held)} of {number(held.known)}"


def _waits(counts: Counts, unseen: str, normal_gp_ns: Sequence[int]) -> Iterator[tuple[str, str]]:
    umount = counts.latency
    p50, p99 = (time(umount.quantile(q)) for q in (_SOME, _TAIL))
    yield "umount", f"p50 {p50}, p99 {p99}" if umount.count else _NOTHING
    normal = _normal(normal_gp_ns)
    if not counts.rcu.count:
        yield "RCU wait", unseen if umount.count else _NOTHING
        if normal:
            yield "grace period", normal
        return
    p50, p99 = (time(counts.rcu.quantile(q)) for q in (_SOME, _TAIL))
    share = percent(counts.rcu_ns / counts.latency_ns) if counts.latency_ns else "unknown part"
    yield "RCU wait", f"p50 {p50}, p99 {p99}, {share} of the time"
    kinds = [f"{number(many)} {kind}" for kind, many in counts.rcu_kinds.most_common()]
    told = [text for text in (", ".join(kinds), normal) if text]
    yield "grace period", "; ".join(told) or unseen


def _normal(lengths_ns: Sequence[int]) -> str:
    """Return how long a normal grace period is; empty if that was not measured."""
    if not lengths_ns:
        return ""
    found = Histogram()
    found.add(np.array(lengths_ns, np.int64))
    p50, p99 = (time(found.quantile(q)) for q in (_SOME, _TAIL))
    return f"a normal one lasts {p50} (p50), {p99} (p99)"


def _designs(counts: Counts, unseen: str) -> Iterator[tuple[str, str]]:
    total = counts.all_held
    if total.known and counts.known_rcu_ns:
        left = percent(counts.held_rcu_ns / counts.known_rcu_ns)
        waits = f"{number(total.held)} of {number(total.known)} umounts would wait"
        yield "on demand", f"{waits}; RCU wait left: {left}"
    else:
        yield "on demand", unseen if total.umounts else _NOTHING
    lazy = counts.held[LAZY].umounts
    if counts.rcu_ns:
        left = percent(counts.sync_rcu_ns / counts.rcu_ns)
        yield "deferred", f"umount -l would not wait ({number(lazy)} calls); RCU wait left: {left}"


def _ebusy(verdicts: Mapping[str, int]) -> str:
    known = [
        f"{number(verdicts[name])} {name}"
        for name in ("held", "spurious", "unknown")
        if verdicts.get(name)
    ]
    return ", ".join(known) or "none"


def _losses(losses: LossReport) -> str:
    lost = [f"{number(many)} {name}" for name, many in losses.lost().items()]
    return ", ".join(lost[:2]) + (", more" if lost[2:] else "") if lost else "none"
