"""What a design would change, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.stats.intervals import rank_interval
from umtrace.whatif.designs import Design

QUANTILES = (0.5, 0.9, 0.99, 1.0)
_CONFIDENCE = 0.95

NO_LENGTH = "no length of a normal grace period is known; --normal-gp 15ms assumes one"
TOO_FEW = "fewer than five were measured"
NO_HELD = "n_held is in no row: umtrace records it since 0.3, in tiers with function probes"
NO_WALKERS = "path walkers are in no row: it takes --probes full in a tier with function probes"
NO_OWNERS = "no umount has a known owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A quantile in ns and its 95 % interval; an end that n values do not bound is None."""

    q: float
    ns: int
    low_ns: int | None
    high_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one design does with a load; None and empty are unknown, ``why`` has the reason.

    Attributes
    ----------
    caller : dict of str to tuple of Quantile
        Time until an umount that succeeded has returned, by kind, and of ``all``.
    owners : dict of str to tuple of Quantile
        The same of the owners whose umounts waited longest in all, as recorded.
    teardown_sum, teardown_busy : tuple of Quantile
        Of each teardown: the sum of its callers' times, and the time in which any of them is in
        its call.
    teardown_path : tuple of Quantile
        Of each teardown: the time in calls on its critical path.
    gone : tuple of Quantile
        Time from the begin until the file system is shut down.
    waits, deferred : int
        Umounts that wait for a grace period in the call; that are put by a work item.
    waits_by : dict of str to dict of str to int
        ``owner`` and ``fstype``: whose umounts still wait, and of which file systems, the most
        first.
    wait_ns : int
        Sum of what the callers wait, all umounts that succeeded.
    promise : int
        Calls without MNT_DETACH that return before the file system is shut down.
    grace_periods, saved, shared : int
        How many are needed, how many fewer than under A, and how many umounts share that of
        another one.
    depth, at_once : int
        The most umounts that are returned and not shut down, at one time; the most deferred
        shutdowns that run at one time.
    age_ns : int
        The longest time from a return until the file system is shut down.
    queued_ns, held_up, longest_ns : int
        The longest time that a deferred shutdown waits for those of others, how many do, and how
        long the longest of them takes by itself.
    mount_ns, kept : int
        Mounts times the time for which they stay in memory after the unlock; the most at a time.
    met : int
        Umounts that a path walker met while they waited, as recorded, and that would not wait.
    claims : int
        Claims of devices that succeeded, and would have got EBUSY.
    busy : tuple of Quantile
        How long each of these would go on to get it: from the claim until the device is free.
    in_row : int
        The most grace periods that one teardown waits for one after the other.
    intervals : dict of str to (float, float)
        Of these numbers, 95 %; docs/whatif.md says from what.
    unknown : dict of str to str
        Why one of these numbers is None.
    """

    design: Design
    caller: Mapping[str, tuple[Quantile, ...]] = field(default_factory=dict)
    owners: Mapping[str, tuple[Quantile, ...]] = field(default_factory=dict)
    teardown_sum: tuple[Quantile, ...] = ()
    teardown_busy: tuple[Quantile, ...] = ()
    teardown_path: tuple[Quantile, ...] = ()
    gone: tuple[Quantile, ...] = ()
    waits: int | None = None
    deferred: int = 0
    waits_by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    wait_ns: int | None = None
    promise: int = 0
    grace_periods: int | None = None
    saved: int | None = None
    shared: int | None = None
    depth: int | None = None
    at_once: int | None = None
    age_ns: int | None = None
    queued_ns: int | None = None
    held_up: int | None = None
    longest_ns: int | None = None
    mount_ns: int | None = None
    kept: int | None = None
    met: int | None = None
    claims: int | None = None
    busy: tuple[Quantile, ...] = ()
    in_row: int | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The answers for a load, A first.

    Attributes
    ----------
    umounts, failed, left_out : int
        In the load; of these failed; rows without begin or end, which are not in it.
    succeeded : dict of str to int
        Umounts that succeeded: ``all``, and by kind.
    owners : dict of str to int
        How many of these are whose.
    teardowns : int
        How many there are.
    held, held_known : int
        Umounts of which somebody else held a victim, of how many that is known.
    met, met_known : int
        Umounts of which a path walker met a dying mount, of how many that is known.
    claimed : int or None
        Claims of devices that succeeded soon after an umount of them; None is unknown.
    lengths : tuple of Quantile
        Of normal grace periods; empty is unknown.
    lengths_by : str
        How these are known: ``assumed``, ``recorded waits``, ``membarrier(2)``; or empty.
    unmeasured : str
        Why their length was not measured on the host; empty if it was, or is known otherwise.
    replicates : int
        Simulations with other draws of these lengths, from which intervals are.
    drawn : str
        What is drawn again for the intervals of sums: ``teardowns`` or ``umounts``.
    assumed : tuple of str
        What the user or umtrace assumed.
    """

    answers: tuple[Answer, ...]
    umounts: int
    failed: int
    left_out: int
    succeeded: Mapping[str, int]
    owners: Mapping[str, int]
    teardowns: int
    held: int
    held_known: int
    met: int
    met_known: int
    claimed: int | None
    lengths: tuple[Quantile, ...]
    lengths_by: str
    unmeasured: str
    replicates: int
    drawn: str
    assumed: tuple[str, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Why something is unknown, and of which designs: ``B, C``."""
        names: dict[str, list[str]] = {}
        for each in self.answers:
            for why in each.why:
                cause = f" ({self.unmeasured})" if why == NO_LENGTH and self.unmeasured else ""
                names.setdefault(why + cause, []).append(each.design.name)
        return {why: ", ".join(some) for why, some in names.items()}

    def __getitem__(self, name: str) -> Answer:
        """Return the answer for a design."""
        return next(answer for answer in self.answers if answer.design.name == name)


def quantiles(values: Int64) -> tuple[Quantile, ...]:
    """Return the quantiles of values in ns, shape (n,); empty for none."""
    if not values.size:
        return ()
    ordered = np.sort(values)
    return tuple(_quantile(ordered, q) for q in QUANTILES)


def _quantile(ordered: Int64, q: float) -> Quantile:
    n = int(ordered.size)
    rank = min(max(int(np.ceil(q * n)), 1), n)
    low, high = rank_interval(n, q, _CONFIDENCE)
    return Quantile(
        q=q,
        ns=int(ordered[rank - 1]),
        low_ns=int(ordered[low - 1]) if low >= 1 else None,
        high_ns=int(ordered[high - 1]) if high <= n else None,
    )
