"""How long a mount was in use, and of a window of unknown cause what to run next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from umtrace.model.tiers import tier_named
from umtrace.model.windows import AFTERWARDS, EbusyWindow
from umtrace.present.terminal import clean
from umtrace.present.units import NULL, duration

Bounds = tuple[int | None, int | None]


def held_short(bounds: Bounds) -> str:
    """Return a hold in 8 characters: `739 ms`, `≤ 739 ms`, `≥ 1.50 s`, `-`."""
    least, most = bounds
    if most is not None:
        return duration(most) if least == most else f"≤ {duration(most)}"
    return f"≥ {duration(least)}" if least else NULL


def held_words(bounds: Bounds) -> str:
    """Return a hold in words: `739 ms`, `at least 602 ms, at most 739 ms`, `end not seen`."""
    least, most = bounds
    if most is None:
        return f"at least {duration(least)}" if least else "end not seen"
    if least == most:
        return duration(most)
    first, last = duration(least), duration(most)
    return f"at least {first}, at most {last}" if least and first != last else f"at most {last}"


def hold_fact(window: EbusyWindow) -> str:
    """Return a sentence about the hold."""
    if window.klass == "downstream":
        return "it has no time in use of its own, but that of its cause"
    words = held_words(window.hold)
    since = "the return of umount" if window.klass in AFTERWARDS else "the first EBUSY"
    if window.hold == (None, None):
        return f"how long it was in use after {since} is not known: the end was not seen"
    return f"in use for {words}, counted from {since}"


def references_named(refs: int | None, named: int | None) -> str:
    """Return how many references the holders have, `3 of 4 references`; empty: none, or unknown."""
    if refs is None or not named:
        return ""
    return f"{named} of {refs} reference{'' if refs == 1 else 's'}"


def reason(window: EbusyWindow) -> str | None:
    """Return in one clause why the cause of a window is unknown; None if it is known."""
    if window.klass != "unknown" or not window.evidence:
        return None
    return clean(window.evidence[-1].partition("; not seen: ")[0])


def next_steps(windows: Sequence[EbusyWindow]) -> Iterator[str]:
    """Yield what to run to learn the causes of those that are unknown."""
    unknown = [window for window in windows if window.klass == "unknown"]
    paths = {window.path for window in unknown if (window.path or "").startswith("/")}
    if paths:
        path = shlex.quote(clean(paths.pop() or "")) if len(paths) == 1 else "PATH"
        yield f"while it is busy, umtrace why {path}"
    if any(not tier_named(window.tier or "").gives_evidence for window in unknown):
        yield "record with a function tier, which sees who releases it (umtrace doctor)"
    elif any(window.hold[1] is None for window in unknown):
        yield "record until a retry succeeds"
