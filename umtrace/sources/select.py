"""Opens the live source of a tier, or of the first tier that works."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import NoTierError, UmtraceError, UsageError
from umtrace.model.plan_line import PROGRAMS, PlanLine
from umtrace.model.tiers import TIERS, tier_named
from umtrace.sources.base import Source
from umtrace.sources.tracefs_guard import remove_leftovers

Plan = list[PlanLine]
Meanwhile = Callable[[], object]


def _bpf(tier: str, probes: str, declined: Plan, meanwhile: Meanwhile) -> Source:
    from umtrace.sources.bpf.source import BpfSource  # noqa: PLC0415 - bcc only when it is used

    return BpfSource(tier, probes=probes, declined=declined, meanwhile=meanwhile)


def _ftrace(_tier: str, probes: str, declined: Plan, meanwhile: Meanwhile) -> Source:
    meanwhile()
    from umtrace.sources.ftrace.source import FtraceSource  # noqa: PLC0415 - when it is used

    return FtraceSource(probes=probes, declined=declined)


def _ftrace_static(_tier: str, _probes: str, declined: Plan, meanwhile: Meanwhile) -> Source:
    meanwhile()
    from umtrace.sources.ftrace.static_source import StaticSource  # noqa: PLC0415 - when used

    return StaticSource(declined=declined)


Maker = Callable[[str, str, Plan, Meanwhile], Source]
_MAKERS: dict[str, Maker] = {
    "fentry": _bpf,
    "kprobe": _bpf,
    "ftrace": _ftrace,
    "tracepoint": _bpf,
    "ftrace-static": _ftrace_static,
}
#: tier -> maker, in the order of preference of ``auto``
LIVE_TIERS: dict[str, Maker] = {tier.name: _MAKERS[tier.name] for tier in TIERS}


def open_source(tier: str, probes: str = "full", meanwhile: Meanwhile = lambda: None) -> Source:
    """Return an attached source of that tier; ``auto`` takes the first that attaches.

    First it removes what killed runs left in tracefs, since that slows the host down.

    A tier that fails is replaced by its stand-in, if it has one. The tiers that failed come first
    in the source's plan, with the reasons. ``meanwhile`` is called once or more before anything is
    attached; if a compiler runs, while it works.

    Raises
    ------
    UsageError
        There is no such tier.
    UmtraceError
        From the ``open`` of the tier; for ``auto``, from that of the last tier.
    """
    if tier not in ("auto", *LIVE_TIERS):
        raise UsageError(f"no tier '{tier}'; the tiers are auto, {', '.join(LIVE_TIERS)}")
    with suppress(UmtraceError, OSError), Tracefs() as tracefs:
        remove_leftovers(tracefs)
    if tier == "auto":
        return _first_that_opens(LIVE_TIERS, probes, meanwhile)
    if stand_in := tier_named(tier).stand_in:
        return _first_that_opens((tier, stand_in), probes, meanwhile)
    return _opened(tier, probes, [], meanwhile)


def _first_that_opens(tiers: Iterable[str], probes: str, meanwhile: Meanwhile) -> Source:
    declined: Plan = []
    failure: UmtraceError = NoTierError("no live tier")
    for name in tiers:
        try:
            return _opened(name, probes, declined, meanwhile)
        except UmtraceError as error:  # noqa: PERF203 - a handful of tiers
            failure = error
            declined.append(PlanLine(meaning=f"tier {name}", state="declined", reason=str(error)))
    raise failure


def _opened(tier: str, probes: str, declined: Plan, meanwhile: Meanwhile) -> Source:
    source = LIVE_TIERS[tier](tier, probes, declined, meanwhile)
    source.open()
    return source


def declined(source: Source, tier: str) -> str:
    """Return why a source is not of the tier that was asked for; empty if it is.

    With ``auto`` only the last tier has a reason: that of the tier before it.
    """
    if source.tier == tier or (tier == "auto" and source.tier != TIERS[-1].name):
        return ""
    reasons = [line.reason for line in source.plan() if line.state == "declined"]
    return reasons[-1] if reasons else ""


def remark(source: Source) -> str:
    """Return why the cache of compiled programs was not used, or not written."""
    return next((line.reason for line in source.plan() if line.meaning == PROGRAMS), "")
