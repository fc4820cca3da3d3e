"""The head of every report: what was recorded, and what was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from umtrace.model.clock import date_time, utc
from umtrace.model.errors import UsageError
from umtrace.model.losses import LossReport
from umtrace.model.tiers import tier_named
from umtrace.present.terminal import clean
from umtrace.present.units import NS_PER_S, NULL, duration, plural
from umtrace.stats.filters import RowFilter
from umtrace.stats.unseen import sentences

if TYPE_CHECKING:
    from umtrace.model.clock import ClockPair
    from umtrace.recording import Meta, Recording

_FASTEST_DRIFT = 0.001  # twice what the kernel slews at
_MAX_SHOWN = 8  # more would fill the screen

_LOSSES = {
    "ring_events": ("event", "dropped (event ring full)"),
    "ring_names": ("name", "dropped (name ring full)"),
    "task_map_full": ("umount", "not traced (task map full)"),
    "stacks_lost": ("kernel stack", "not stored"),
    "probe_misses": ("probe hit", "skipped by the kernel"),
    "unmatched_events": ("event", "of no known umount"),
}
#: of the stages after the source; a recording of 0.1 did not count them, and says nothing of them
_STAGE_LOSSES = {
    "births_lost": ("birth or death", "of a cgroup not seen (ring full)"),
    "names_forgotten": ("name", "of no known umount"),
    "scans_refused": ("scan", "for holders left out (too many at once)"),
    "evidence_dropped": ("piece", "of evidence about EBUSY dropped (too much at once)"),
    "tails_forgotten": ("last put", "no longer traced (too many at once)"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a report says about the recording itself; None and empty mean unknown.

    ``problems`` are sentences about damaged chunks, ``filtered`` the filter options,
    ``recorded_only`` those that `umtrace record` was given, ``undecided`` which rows it left out
    because nobody knows whether they match.
    ``rcu`` says why grace periods were not expedited, where they were not.
    ``duration_ns`` is None for a recording that was cut short or is being written.
    ``clock`` says how the wall clock moved against the other one, where it did.
    ``questions`` says how many calls of umtrace itself were left out.
    ``imported`` is the trace that a recording was made of, which has no date; ``left_out`` says
    how many of its lines were not understood.
    """

    source: str
    kernel: str | None = None
    tier: str | None = None
    host: str | None = None
    start: datetime | None = None
    duration_ns: int | None = None
    losses: LossReport = field(default_factory=LossReport)
    problems: tuple[str, ...] = ()
    filtered: str = ""
    unknown: tuple[str, ...] = ()
    recorded_only: str = ""
    undecided: tuple[str, ...] = ()
    rcu: str = ""
    imported: str = ""
    left_out: str = ""
    questions: str = ""
    clock: str = ""


def heading_of(recording: Recording, filtered: str = "", unknown: Sequence[str] = ()) -> Heading:
    """Return the head for a recording, after its rows were read: problems show up then.

    ``unknown`` says which rows a filter left out because it could not decide.
    """
    meta = recording.meta
    return Heading(
        source=str(recording.path),
        kernel=meta.kernel or None,
        tier=meta.tier,
        host=meta.host or None,
        start=utc(meta.start_ns) if meta.start_ns else None,
        duration_ns=lasted_ns(meta),
        clock=clock_text(meta.clock, meta.clock_end),
        losses=recording.losses,
        problems=tuple(recording.problems),
        filtered=filtered,
        unknown=tuple(unknown),
        recorded_only=_recorded_only(meta.filters),
        undecided=tuple(undecided_texts(meta.extra.get("undecided"))),
        rcu=rcu_text(meta.extra.get("rcu")),
        imported=str(meta.extra.get("imported", "")),
        left_out=str(meta.extra.get("left_out", "")),
        questions=questions_text(meta.extra.get("questions")),
    )


def heading_lines(heading: Heading, n_incomplete: int, n_rows: int) -> list[str]:
    """Return the head of a report; the line of losses is always there.

    Parameters
    ----------
    n_incomplete, n_rows : int
        Of the rows that the report is about.
    """
    lines = [clean(line) for line in _about(heading)]
    lines.append(f"losses: {loss_text(heading.losses, heading.tier)}")
    if n_incomplete:
        lines.append(f"INCOMPLETE: {n_incomplete:,} of {plural(n_rows, 'row')}")
    lines += [f"DAMAGED: {clean(problem)}" for problem in heading.problems]
    return lines


def loss_text(losses: LossReport, tier: str | None = None) -> str:
    """Return what was lost, `none`, or what this tier, or an old umtrace, did not count."""
    kinds = {**_LOSSES, **_STAGE_LOSSES}
    counts: dict[str, int | None] = {name: getattr(losses, name) for name in kinds}
    lost = [
        f"{plural(counts[name] or 0, noun)} {fate}{_where(losses, name)}"
        for name, (noun, fate) in kinds.items()
        if counts[name]
    ]
    uncounted = [
        f"{noun}s {fate}" for name, (noun, fate) in _LOSSES.items() if counts[name] is None
    ]
    if len(uncounted) == len(_LOSSES) and not lost:
        return "not counted"
    if losses.evidence_dropped is None and tier and tier_named(tier).gives_evidence:
        uncounted.append("evidence about EBUSY dropped")
    text = "; ".join(lost) or "none"
    return f"{text} (not counted: {'; '.join(uncounted)})" if uncounted else text


def _where(losses: LossReport, name: str) -> str:
    """Return which CPUs or probes: a CPU that loses them all is a reader kept off it."""
    if name == "ring_events":
        counts = [(f"CPU {n}", lost) for n, lost in enumerate(losses.ring_events_per_cpu or ())]
    elif name == "probe_misses":
        found = losses.probe_misses_by or {}
        counts = sorted(found.items(), key=lambda item: -item[1])
    else:
        return ""
    lost = [f"{who}: {n:,}" for who, n in counts if n]
    more = ", …" if len(lost) > _MAX_SHOWN else ""
    return f" [{', '.join(lost[:_MAX_SHOWN])}{more}]" if lost else ""


def rcu_text(state: object) -> str:
    """Return why grace periods are normal; empty where they are expedited, or not known."""
    if not isinstance(state, Mapping) or not state.get("rcu_normal"):
        return ""
    why = "PREEMPT_RT sets rcu_normal" if state.get("preempt_rt") else "rcu_normal is set"
    return f"RCU grace periods normal, not expedited: {why}"


def clock_text(begin: ClockPair, end: ClockPair | None) -> str:
    """Return how the wall clock was set while recording; empty where it only drifted."""
    if end is None:
        return ""
    step = end.offset_ns - begin.offset_ns
    lasted = max(end.monotonic_ns - begin.monotonic_ns, 0)
    if abs(step) <= max(NS_PER_S, lasted * _FASTEST_DRIFT):
        return ""
    return (
        f"CLOCK: the wall clock moved by {'-' if step < 0 else '+'}{duration(abs(step))} while "
        "recording (it was set, or the host slept); later times are off by this much, "
        "durations are correct"
    )


def lasted_ns(meta: Meta) -> int | None:
    """Return how long a recording took, by the clock that nobody sets; None if not known."""
    if meta.clock_end is not None and meta.clock_end != meta.clock:
        return max(meta.clock_end.monotonic_ns - meta.clock.monotonic_ns, 0)
    if meta.end_ns is None or not meta.start_ns:
        return None
    return max(meta.end_ns - meta.start_ns, 0)


def questions_text(number: object) -> str:
    """Return what was left out because umtrace itself did it; empty if nothing was."""
    if not isinstance(number, int) or number < 1:
        return ""
    return f"left out: {plural(number, 'call')} of umtrace why --ask-kernel"


def undecided_texts(by_column: object) -> list[str]:
    """Return what the recorder's filter could not decide, a sentence for each column."""
    counts = {}
    for name, count in by_column.items() if isinstance(by_column, Mapping) else ():
        unknown, rows = (
            (count.get("unknown"), count.get("rows")) if isinstance(count, Mapping) else (0, 0)
        )
        if isinstance(unknown, int) and isinstance(rows, int):
            counts[str(name)] = (unknown, rows)
    return sentences(counts)


def kernel_text(kernel: str) -> str:
    """Return the release of an uname text, and the kind of preemption if it says so."""
    words = kernel.split()
    return " ".join([*words[:1], *(word for word in words[1:] if word.startswith("PREEMPT"))])


def _about(heading: Heading) -> Iterator[str]:
    kernel = kernel_text(heading.kernel or "") or NULL
    yield f"recording {heading.source}"
    yield f"host {heading.host or NULL} · Linux {kernel}"
    yield f"tier {heading.tier or NULL} · {_when(heading)}"
    if heading.left_out:
        yield f"left out: {heading.left_out}"
    if heading.rcu:
        yield heading.rcu
    if heading.clock:
        yield heading.clock
    if heading.questions:
        yield heading.questions
    if heading.recorded_only:
        yield f"recorded only: {heading.recorded_only}"
    yield from (f"unknown when recorded: {sentence}" for sentence in heading.undecided)
    if heading.filtered:
        yield f"only: {heading.filtered}"
    yield from (f"unknown: {sentence}" for sentence in heading.unknown)


def _when(heading: Heading) -> str:
    if heading.imported:
        return f"imported from {heading.imported}"
    start, ns = heading.start, heading.duration_ns
    how_long = "not finished," if ns is None else duration(ns)
    when = date_time(int(start.timestamp()) * NS_PER_S) if start else NULL
    return f"{how_long} from {when}"


def _recorded_only(filters: Mapping[str, Any]) -> str:
    try:
        return RowFilter.from_dict(filters).describe()
    except (UsageError, TypeError, ValueError):  # written by another version
        return str(dict(filters))
