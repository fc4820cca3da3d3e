"""The answers for a load: simulates each design and counts what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from umtrace.stats.buckets import Int64
from umtrace.whatif.answers import (
    NO_HELD,
    NO_LENGTH,
    NO_OWNERS,
    NO_WALKERS,
    TOO_FEW,
    Answer,
    WhatIf,
    quantiles,
)
from umtrace.whatif.calibrate import lengths_of
from umtrace.whatif.claims import NO_CLAIMS, Claims, Pairs, paired, still_busy, unknown, why_unknown
from umtrace.whatif.designs import DESIGNS, Design
from umtrace.whatif.load import HELD, LAZY, SYNC, TEARDOWN, UNKNOWN, Load
from umtrace.whatif.path import paths
from umtrace.whatif.peaks import contributions, exact, is_complete, peaks, which
from umtrace.whatif.simulate import Outcome, Simulator
from umtrace.whatif.uncertain import Peaks, Resampling, Sums, outcomes, replicates
from umtrace.whatif.whose import by_owner, counted, of_teardowns, waits_by

_OF_TEARDOWNS = ("teardown_sum", "teardown_busy", "teardown_path", "in_row")
KINDS = {"sync": SYNC, "lazy": LAZY, "teardown": TEARDOWN}


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
    claims: Claims | None = None,
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
        As of `Simulator`.
    claims : Claims, optional
        Claims of devices that succeeded beside the load; unknown by default.
    """
    beside = lengths_of(load, lengths, measured)
    simulator = Simulator(load, jiffy_ns=jiffy_ns, closed=closed)
    again, answers = Resampling(load, seed), list[Answer]()
    pairs = paired(load, claims or unknown(NO_CLAIMS))
    for name in DESIGNS:
        if name in {"A", *designs}:
            found = _answer(simulator, DESIGNS[name], again, beside.ns, seed, pairs)
            answers.append(_saved(found, answers[0] if answers else found))
    return WhatIf(
        answers=tuple(answers),
        lengths=() if beside.ns is None else quantiles(beside.ns),
        lengths_by=beside.by,
        unmeasured="" if beside.ns is not None else unmeasured or TOO_FEW,
        replicates=replicates(load, beside.ns),
        drawn=again.drawn,
        assumed=tuple(assumed),
        claimed=None if pairs.why else int(np.unique(pairs.claim).size),
        **_counts(load),
    )


def _counts(load: Load) -> dict[str, Any]:
    """Return what is known of the load itself."""
    held = load.succeeded & (load.held != UNKNOWN)
    seen = load.succeeded & (load.walkers >= 0)
    return {
        "umounts": len(load),
        "failed": int(np.count_nonzero(~load.succeeded)),
        "left_out": load.left_out,
        "succeeded": {name: int(np.count_nonzero(at)) for name, at in which(load, KINDS).items()},
        "owners": counted(load.owner[load.succeeded], load.owners, len(load.owners)),
        "teardowns": int(np.unique(load.teardown[load.teardown >= 0]).size),
        "held": int(np.count_nonzero(held & (load.held == HELD))),
        "held_known": int(np.count_nonzero(held)),
        "met": int(np.count_nonzero(seen & (load.walkers > 0))),
        "met_known": int(np.count_nonzero(seen)),
    }


def _answer(
    simulator: Simulator,
    design: Design,
    again: Resampling,
    lengths: Int64 | None,
    seed: int,
    pairs: Pairs,
) -> Answer:
    load = simulator.load
    if design.on_demand and not load.sees_held:
        return Answer(design=design, why=(NO_HELD,), unknown={"waits": NO_HELD})
    outcome = simulator.run(design, lengths=lengths, seed=seed)
    others = list(outcomes(simulator, design, lengths, seed))
    sums, tops = contributions(load, outcome), peaks(load, outcome)
    found = _found(load, design, outcome, sums, tops)
    found = replace(found, intervals=again.intervals(sums, tops, others))
    return _claimed(found, load, outcome, pairs)


def _found(load: Load, design: Design, outcome: Outcome, sums: Sums, tops: Peaks) -> Answer:
    """Return what an outcome says of a design, without intervals of sums."""
    done, complete = load.succeeded, is_complete(load, outcome)
    periods = outcome.grace_periods
    need = int(np.count_nonzero(outcome.waits | outcome.deferred))
    whole, busy = of_teardowns(load, outcome)
    path = paths(load, outcome)
    return Answer(
        design=design,
        caller={name: quantiles(outcome.caller[at]) for name, at in which(load, KINDS).items()},
        owners=by_owner(load, outcome),
        teardown_sum=quantiles(whole),
        teardown_busy=quantiles(busy),
        teardown_path=quantiles(path.calls),
        in_row=int(path.in_row.max()) if path.in_row.size else None,
        gone=quantiles((outcome.gone - outcome.begin)[done]) if complete else (),
        waits=exact(sums, "waits"),
        deferred=exact(sums, "deferred") or 0,
        waits_by=waits_by(load, outcome.waits & done),
        wait_ns=int(outcome.caller[done].astype(object).sum()),
        promise=exact(sums, "promise") or 0,
        grace_periods=periods,
        shared=None if periods is None else need - periods,
        held_up=exact(sums, "held_up"),
        mount_ns=_mount_ns(load, outcome) if complete else None,
        met=_met(load, outcome),
        unknown=_unknown(load, complete=complete),
        why=() if complete else (NO_LENGTH,),
        **tops,  # type: ignore[arg-type]
    )


def _claimed(found: Answer, load: Load, outcome: Outcome, pairs: Pairs) -> Answer:
    """Add the claims that would get EBUSY, or why they are unknown."""
    complete = is_complete(load, outcome)
    why = why_unknown(load, found.design, outcome, pairs) if complete else NO_LENGTH
    if why:
        return replace(found, unknown={**found.unknown, "claims": why})
    busy = still_busy(pairs, outcome)
    return replace(found, claims=int(busy.size), busy=quantiles(busy))


def _saved(found: Answer, today: Answer) -> Answer:
    if found.grace_periods is None or today.grace_periods is None:
        return found
    return replace(found, saved=today.grace_periods - found.grace_periods)


def _met(load: Load, outcome: Outcome) -> int | None:
    seen = load.succeeded & (load.walkers >= 0)
    if not seen.any():
        return None
    spared = seen & load.waited & ~outcome.waits & (load.walkers > 0)
    return int(np.count_nonzero(spared))


def _mount_ns(load: Load, outcome: Outcome) -> int:
    done = load.succeeded
    kept = (outcome.gone - outcome.unlocked)[done]
    return int((kept.astype(object) * load.mounts[done]).sum()) if kept.size else 0


def _unknown(load: Load, *, complete: bool) -> dict[str, str]:
    found = dict[str, str]()
    if not complete:
        late = ("gone", "grace_periods", "saved", "shared", "depth", "at_once", "age_ns")
        more = ("queued_ns", "held_up", "longest_ns", "mount_ns", "kept")
        found |= dict.fromkeys((*late, *more), NO_LENGTH)
    if not (load.walkers[load.succeeded] >= 0).any():
        found["met"] = NO_WALKERS
    if not (load.teardown >= 0).any():
        found |= dict.fromkeys((*_OF_TEARDOWNS, "owners"), NO_OWNERS)
    return found
