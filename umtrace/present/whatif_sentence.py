"""The answer in one sentence: what D saves, what B gives and takes, what C breaks."""

from __future__ import annotations

from collections.abc import Iterator

from umtrace.present.units import count, duration, percent, plural
from umtrace.whatif.answers import Answer, WhatIf

_CLEARLY = 1.5


def sentence(found: WhatIf) -> str:
    """Return the sentence; empty if nothing can be said."""
    parts = [part for each in (_on_demand, _lazy, _promise) for part in each(found)]
    if not parts:
        return ""
    return f"On this load {'; '.join(parts)}."


def _of(found: WhatIf, name: str) -> Answer | None:
    return next((each for each in found.answers if each.design.name == name), None)


def _on_demand(found: WhatIf) -> Iterator[str]:
    today, on_demand = found["A"], _of(found, "D")
    if on_demand is None or on_demand.waits is None or not today.waits:
        return
    share = percent(on_demand.waits / today.waits)
    yield (
        f"D would need {count(on_demand.waits)} of {plural(today.waits, 'wait')} for a grace "
        f"period ({share}{_within(on_demand, today.waits)})"
    )


def _within(answer: Answer, of: int) -> str:
    """Return the 95 % interval of the share of umounts that wait; empty if it is unknown."""
    if (ends := answer.intervals.get("waits")) is None:
        return ""
    low, high = (percent(min(end / of, 1.0)) for end in ends)
    return f"; 95 %: {low} to {high}"


def _lazy(found: WhatIf) -> Iterator[str]:
    today, deferred = found["A"], _of(found, "B")
    if deferred is None or not deferred.deferred:
        return
    before, after = today.caller["lazy"][0].ns, deferred.caller["lazy"][0].ns
    if after and before > _CLEARLY * after:
        yield (
            f"lazy umounts would return {before / after:.1f} x sooner under B (median "
            f"{duration(after)} instead of {duration(before)})"
        )
    if deferred.held_up and (queued := deferred.queued_ns):
        yield (
            f"but {plural(deferred.held_up, 'shutdown')} would have waited for those of others, up "
            f"to {duration(queued)}"
        )


def _promise(found: WhatIf) -> Iterator[str]:
    all_deferred = _of(found, "C")
    if all_deferred is not None and all_deferred.promise:
        yield (
            f"C would let {plural(all_deferred.promise, 'sync umount')} return before the file "
            "system is shut down"
        )
