"""Several tiers at once: whether they say the same of the same umounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from umtrace.model.tiers import tier_named
from umtrace.model.umounts import Use, columns_with
from umtrace.selftest.observe import Row, Seen, observe, rows_of
from umtrace.selftest.result import Agreement, Check, failed, unlike

WORKLOAD = ("--sync", "25", "--lazy", "25", "--busy", "5", "--ns-exit", "5")
_TWO = 2
#: what identifies an umount of the exercise: every path is used once
_KEY = ("path", "mode", "errno", "tid")
#: what is the same whoever looks; compared where both tiers know it
_SAME = columns_with(Use.SAME)


def run_together(tiers: Sequence[str], probes: str = "full") -> list[Agreement]:
    """Trace one run of the exercise under all tiers at once; compare each with the one before.

    Those that do not know paths are left out; nothing is done for less than two. One that
    fails beside the others is paired with itself in a check that says so.
    """
    tiers = [tier for tier in tiers if tier_named(tier).names_mounts]
    if len(tiers) < _TWO:
        return []
    try:
        (ledger,), seen = observe(tiers, WORKLOAD, probes=probes)
    except Exception as error:
        return [_failed((tiers[0], tiers[-1]), error)]
    named = list(zip(tiers, seen, strict=True))
    whole = [(tier, one) for tier, one in named if one.failure is None]
    broken = [_failed((tier, tier), one.failure) for tier, one in named if one.failure]
    return [_compared(ledger, first, second) for first, second in pairwise(whole)] + broken


def _failed(tiers: tuple[str, str], error: Exception) -> Agreement:
    return Agreement(tiers, (failed(error),), 0, None, None, (False, False))


def _compared(
    ledger: Mapping[str, Any], first: tuple[str, Seen], second: tuple[str, Seen]
) -> Agreement:
    umounts = [_umounts(ledger, seen) for _tier, seen in (first, second)]
    rows = [{_key(row): row for row in found} for found in umounts]
    pairs = [(rows[0][key], rows[1][key]) for key in rows[0].keys() & rows[1].keys()]
    keys = [Counter(map(_key, found)) for found in umounts]
    differing = sorted({column for pair in pairs for column in _differing(*pair)})
    checks = (
        Check("umounts that both saw", len(ledger["umounts"]), len(pairs)),
        Check("umounts that differ", "none", unlike(*keys)),
        Check("columns that differ where both know", "none", ", ".join(differing) or "none"),
    )
    waits = [(a["rcu_ns"], b["rcu_ns"]) for a, b in pairs if a["rcu_ns"] and b["rcu_ns"]]
    return Agreement(
        tiers=(first[0], second[0]),
        checks=checks,
        waits=len(waits),
        rcu_ratio=median(b for _, b in waits) / median(a for a, _ in waits) if waits else None,
        rcu_apart_ns=median(abs(a - b) for a, b in waits) if waits else None,
        lost=(first[1].losses.lost_anything, second[1].losses.lost_anything),
    )


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[column] for column in _KEY)


def _umounts(ledger: Mapping[str, Any], seen: Seen) -> list[Row]:
    return [row for row in rows_of(ledger, seen.rows) if row["origin"] == "umount"]


def _differing(a: Row, b: Row) -> list[str]:
    """Return the columns that both know and of which they say different things."""
    known = (column for column in _SAME if a[column] is not None and b[column] is not None)
    return [column for column in known if a[column] != b[column]]
