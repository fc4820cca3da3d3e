"""What a design would change, in numbers: of the outcome of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from umtrace.model.arrow import Bools
from umtrace.stats.buckets import Int64
from umtrace.stats.intervals import rank_interval
from umtrace.whatif.calibrate import lengths_of
from umtrace.whatif.designs import DESIGNS, Design
from umtrace.whatif.load import HELD, LAZY, SYNC, TEARDOWN, UNKNOWN, Load
from umtrace.whatif.simulate import Outcome, simulate

QUANTILES = (0.5, 0.9, 0.99, 1.0)
KINDS = {"sync": SYNC, "lazy": LAZY, "teardown": TEARDOWN}
_CONFIDENCE = 0.95

NO_LENGTH = "no length of a normal grace period is known; --normal-gp 15ms assumes one"
TOO_FEW = "fewer than five were measured"
NO_HELD = "n_held is in no row: umtrace records it since 0.3, in tiers with function probes"


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
    gone : tuple of Quantile
        Time from the begin until the file system is shut down.
    waits, deferred : int
        Umounts that wait for a grace period in the call; that are put by a work item.
    wait_ns : int
        Sum of what the callers wait, all umounts that succeeded.
    promise : int
        Calls without MNT_DETACH that return before the file system is shut down.
    grace_periods : int
        How many are needed.
    depth : int
        The most umounts that are returned and not shut down, at one time.
    queued_ns : int
        The longest time that a shutdown waits for those of others.
    mount_ns : int
        Mounts times the time for which they stay in memory after the unlock.
    """

    design: Design
    caller: Mapping[str, tuple[Quantile, ...]] = field(default_factory=dict)
    gone: tuple[Quantile, ...] = ()
    waits: int | None = None
    deferred: int = 0
    wait_ns: int | None = None
    promise: int = 0
    grace_periods: int | None = None
    depth: int | None = None
    queued_ns: int | None = None
    mount_ns: int | None = None
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
    held, held_known : int
        Umounts of which somebody else held a victim, of how many that is known.
    lengths : tuple of Quantile
        Of normal grace periods; empty is unknown.
    lengths_by : str
        How these are known: ``assumed``, ``recorded waits``, ``membarrier(2)``; or empty.
    unmeasured : str
        Why their length was not measured on the host; empty if it was, or is known otherwise.
    assumed : tuple of str
        What the user or umtrace assumed.
    """

    answers: tuple[Answer, ...]
    umounts: int
    failed: int
    left_out: int
    succeeded: Mapping[str, int]
    held: int
    held_known: int
    lengths: tuple[Quantile, ...]
    lengths_by: str
    unmeasured: str
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


def what_if(
    load: Load,
    designs: Sequence[str],
    *,
    lengths: Int64 | None = None,
    measured: Int64 | None = None,
    unmeasured: str = "",
    jiffy_ns: int,
    closed: bool = True,
    seed: int = 0,
    assumed: Sequence[str] = (),
) -> WhatIf:
    """Return what each design does with a load; A is always among them.

    Parameters
    ----------
    lengths : ndarray of int64, optional
        Lengths of normal grace periods, ns, instead of those that the load shows.
    measured : ndarray of int64, optional
        Lengths that were measured beside the load, for one that shows too few.
    unmeasured : str
        Why there are none of these, or no more.
    jiffy_ns, closed, seed
        As of `simulate`.
    """
    beside = lengths_of(load, lengths, measured)
    known = load.succeeded & (load.held != UNKNOWN)
    how = {"lengths": beside.ns, "jiffy_ns": jiffy_ns, "closed": closed, "seed": seed}
    return WhatIf(
        answers=tuple(
            answer(load, design, simulate(load, design, **how))  # type: ignore[arg-type]
            for name, design in DESIGNS.items()
            if name in {"A", *designs}
        ),
        umounts=len(load),
        failed=int(np.count_nonzero(~load.succeeded)),
        left_out=load.left_out,
        succeeded={name: int(np.count_nonzero(which)) for name, which in _by_kind(load).items()},
        held=int(np.count_nonzero(known & (load.held == HELD))),
        held_known=int(np.count_nonzero(known)),
        lengths=() if beside.ns is None else quantiles(beside.ns),
        lengths_by=beside.by,
        unmeasured="" if beside.ns is not None else unmeasured or TOO_FEW,
        assumed=tuple(assumed),
    )


def answer(load: Load, design: Design, outcome: Outcome) -> Answer:
    """Return what an outcome says of a design."""
    if design.on_demand and not load.sees_held:
        return Answer(design=design, why=(NO_HELD,))
    done = load.succeeded
    complete = not (outcome.gone[done] < 0).any()
    late = outcome.deferred & done
    return Answer(
        design=design,
        caller={name: quantiles(outcome.caller[at]) for name, at in _by_kind(load).items()},
        gone=quantiles((outcome.gone - outcome.begin)[done]) if complete else (),
        waits=int(np.count_nonzero(outcome.waits & done)),
        deferred=int(np.count_nonzero(late)),
        wait_ns=int(outcome.caller[done].astype(object).sum()),
        promise=int(np.count_nonzero(late & (load.kind == SYNC))),
        grace_periods=outcome.grace_periods,
        depth=_depth(outcome, late) if complete else None,
        queued_ns=int(outcome.queued[late].max()) if complete and late.any() else None,
        mount_ns=_mount_ns(load, outcome, done) if complete else None,
        why=() if complete else (NO_LENGTH,),
    )


def _by_kind(load: Load) -> dict[str, Bools]:
    """Return which umounts succeeded: all, and of each kind."""
    done = load.succeeded
    return {"all": done} | {name: done & (load.kind == kind) for name, kind in KINDS.items()}


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


def _depth(outcome: Outcome, late: Bools) -> int:
    """Return the most umounts that have returned, or at least unlocked, and wait to be put."""
    if not late.any():
        return 0
    times = np.concatenate((outcome.unlocked[late], outcome.gone[late]))
    steps = np.repeat(np.array([1, -1], np.int64), int(late.sum()))
    order = np.lexsort((steps, times))  # at one time, ends first
    return int(np.cumsum(steps[order]).max())


def _mount_ns(load: Load, outcome: Outcome, done: Bools) -> int:
    kept = (outcome.gone - outcome.unlocked)[done]
    return int((kept.astype(object) * load.mounts[done]).sum()) if kept.size else 0
