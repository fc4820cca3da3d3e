"""Reasons why two recordings differ in more than their kernels or loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from umtrace.model.plan_line import BUFFER, PROGRAMS

if TYPE_CHECKING:
    from umtrace.recording import Recording
    from umtrace.stats.summary import GroupSummary, Summary


#: if the shares of failed calls differ by so much, that alone changes the quantiles
_MORE_FAILED = 0.05


def warnings(a: Recording, b: Recording, first: Summary, second: Summary) -> list[str]:
    """Return one sentence per reason; call it after the rows were read, which finds damage."""
    return [
        *_differences(a, b),
        *_outcomes(first.total, second.total),
        *_losses("A", a),
        *_losses("B", b),
    ]


def _outcomes(a: GroupSummary, b: GroupSummary) -> Iterator[str]:
    share_a, share_b = (side.n_failed / max(side.count, 1) for side in (a, b))
    if a.count and b.count and abs(share_a - share_b) >= _MORE_FAILED:
        yield (
            f"failed: {a.n_failed:,} of {a.count:,} in A, {b.n_failed:,} of {b.count:,} in B; "
            "a failed call ends early, and --errno ok leaves it out"
        )


def _differences(a: Recording, b: Recording) -> Iterator[str]:
    release_a, release_b = _release(a), _release(b)
    if release_a != release_b:
        yield f"different kernels: A {release_a}, B {release_b}"
    elif a.meta.kernel != b.meta.kernel:
        yield "the same kernel release in different builds"
    if a.meta.tier != b.meta.tier:
        yield (
            f"different tiers: A {a.meta.tier}, B {b.meta.tier}; "
            "they see different phases, and add different cost to a umount"
        )
    if _attached(a) != _attached(b) and a.meta.tier == b.meta.tier:
        yield "different probe plans: what one side could not attach to is in its other phases"
    if a.meta.filters != b.meta.filters:
        yield "recorded with different filters"
    state_a, state_b = a.meta.extra.get("rcu"), b.meta.extra.get("rcu")
    if state_a != state_b:
        yield f"different RCU settings: A {_settings(state_a)}, B {_settings(state_b)}"


def _losses(name: str, recording: Recording) -> Iterator[str]:
    losses = recording.losses
    if losses.lost_anything:
        yield f"{name} lost events: its quantiles are those of what was seen"
    if losses.incomplete_rows:
        yield f"{name} has {losses.incomplete_rows:,} incomplete rows"
    if recording.problems:
        yield f"{name} is damaged: {recording.problems[0]}"


def _attached(recording: Recording) -> set[tuple[str, str, str]]:
    # The source of compiled programs, the buffers of a run, and the reason against another tier
    # make no difference.
    lines = [line for line in recording.meta.plan if line.probe != "-"]
    probes = [one for one in lines if one.meaning.split()[:1] not in ([PROGRAMS], [BUFFER])]
    return {(one.meaning, one.probe, one.how) for one in probes}


def _release(recording: Recording) -> str:
    return (recording.meta.kernel.split() or ["unknown"])[0]


def _settings(state: object) -> str:
    if not isinstance(state, dict):
        return "unknown"
    return ", ".join(f"{name}={value}" for name, value in sorted(state.items()))
