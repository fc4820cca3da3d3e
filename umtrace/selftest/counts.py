"""One tier: what it saw of a run of the exercise against the ledger, count by count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from statistics import median
from typing import Any

from umtrace.model.activity import NOW
from umtrace.model.errors import NoTierError, NotPermittedError, UsageError
from umtrace.model.losses import LossReport
from umtrace.model.tiers import Tier, tier_named
from umtrace.model.umounts import COLUMNS, PHASES
from umtrace.selftest.observe import Row, observe, rows_of
from umtrace.selftest.result import Check, Result, failed, unlike
from umtrace.sources.select import open_source

#: What a run does: every kind of umount that every tier sees, and those that only
#: function probes see.
WORKLOAD = ("--sync", "23", "--lazy", "11", "--busy", "7", "--propagate", "1000", "--ns-exit", "50")
FUNCTION_WORKLOAD = (*WORKLOAD, "--detach", "5", "--fd-close", "5")
HELD_WORKLOAD = ("--lazy", "3", "--hold", "100ms")
HELD_NS = 100_000_000

_EBUSY = 16
#: the least part of the ends of namespaces in which the task sleeps, even on a busy host
_SLEEP_MOSTLY = 0.5


def run(tier: str, probes: str = "full") -> Result:
    """Trace runs of the exercise under a tier and compare.

    A tier that attaches and then fails has a result that says so.

    Raises
    ------
    UsageError
        There is no such tier.
    NoTierError, NotPermittedError
        The tier cannot be attached.
    """
    NOW.note(f"recording known umounts in tier {tier}")
    began = time.monotonic()
    try:
        return _compared(tier, probes, began)
    except (NoTierError, NotPermittedError, UsageError):
        raise
    except Exception as error:
        checks = (failed(error),)
    return Result(tier, checks, None, (), {}, round(time.monotonic() - began, 1))


def _compared(tier: str, probes: str, began: float) -> Result:
    actual = _actual(tier_named(tier)).with_probes(probes)
    workloads = (FUNCTION_WORKLOAD, HELD_WORKLOAD) if actual.probes_functions else (WORKLOAD,)
    (ledger, *held), (seen,) = observe([actual.name], *workloads, probes=probes)
    mine = rows_of(ledger, seen.rows)
    checks = list(_checks(ledger, mine, seen.losses, actual))
    checks.append(_never_check(actual, seen.rows))
    if actual.probes_functions:
        checks += _function_checks(actual, ledger, mine)
        if actual.reads_dentries:
            checks.append(_mountpoint_check(mine))
        if "tail_ns" not in actual.never:
            checks += _held_checks(held[0], rows_of(held[0], seen.rows))
    done = [row for row in mine if row["origin"] == "umount" and not row["errno"]]
    return Result(
        tier=actual.name,
        checks=tuple(checks),
        clock_ratio=_clock_ratio(ledger, mine),
        columns=tuple(c.name for c in COLUMNS if any(row[c.name] is not None for row in done)),
        rcu_kinds=dict(Counter(row["rcu_kind"] or "null" for row in done if row["rcu_ns"])),
        seconds=round(time.monotonic() - began, 1),
    )


def _actual(tier: Tier) -> Tier:
    """Return the tier that stands in for one that cannot be had here, or the tier itself."""
    if not tier.stand_in:
        return tier
    with closing(open_source(tier.name)) as source:
        return tier_named(source.tier)


def _checks(
    ledger: Mapping[str, Any], rows: Sequence[Row], losses: LossReport, tier: Tier
) -> Iterable[Check]:
    """Compare what every tier sees."""
    umounts = [row for row in rows if row["origin"] == "umount"]
    what = "path" if tier.names_mounts else "tid"
    key: Callable[[Row], tuple[object, ...]] = lambda r: (r[what], r["mode"], r["errno"])  # noqa: E731
    expected, seen = Counter(map(key, ledger["umounts"])), Counter(map(key, umounts))
    for mode in ("sync", "lazy"):
        yield Check(f"{mode} umounts", _count(expected, 1, mode), _count(seen, 1, mode))
    yield Check("EBUSY", _count(expected, 2, _EBUSY), _count(seen, 2, _EBUSY))
    yield Check(f"{what}, mode or errno that differs", "none", unlike(expected, seen))
    if tier.names_mounts:
        exited = {(n["mntns"], n["tid"]) for n in ledger["ns_exits"]}
        exits = [r for r in rows if r["origin"] == "ns-exit" and (r["mntns"], r["tid"]) in exited]
        yield _exits_check(len(exited), len(exits), tier)
    yield Check("incomplete rows", "none", _reasons(rows))
    yield Check("rows whose phases do not sum up", 0, sum(map(_unbalanced, rows)))
    yield Check("events, names and stacks lost", False, losses.lost_anything)


def _reasons(rows: Sequence[Row]) -> str:
    """Say why rows are incomplete, and of which origin they are."""
    marked = (row for row in rows if not row["complete"])
    found = Counter(f"{row['incomplete_why']} ({row['origin']})" for row in marked)
    return ", ".join(f"{n} {what}" for what, n in sorted(found.items())) or "none"


def _exits_check(done: int, seen: int, tier: Tier) -> Check:
    """Without functions only those are seen in which the task sleeps: most, and none twice."""
    if tier.probes_functions or seen > done or seen < done * _SLEEP_MOSTLY:
        return Check("namespaces that exited", done, seen)
    return Check("namespaces that exited, and slept", seen, seen)


def _function_checks(tier: Tier, ledger: Mapping[str, Any], rows: Sequence[Row]) -> Iterable[Check]:
    """Compare what only function probes see: sizes, last puts, umounts without umount(2)."""
    sizes = {u["path"]: u["n_mounts"] for u in ledger["umounts"]}
    umounts = [row for row in rows if row["origin"] == "umount" and not row["errno"]]
    wrong = [row for row in umounts if row["n_mounts"] != sizes.get(row["path"])]
    yield Check("mounts taken down, propagated ones too", 0, len(wrong))
    largest = max((row["n_mounts"] or 0 for row in umounts), default=0)
    yield Check("mounts of the largest umount", max(sizes.values()), largest)
    if "final_put" not in tier.never:
        self_put = _having(umounts, "final_put", "self")
        yield Check("final put by the umounter itself", len(umounts), self_put)
    for origin in ("detach-on-unlink", "fd-close"):
        done = sum(other["origin"] == origin for other in ledger["others"])
        yield Check(f"origin {origin}", done, _having(rows, "origin", origin))
    own = [r for r in rows if (r["origin"], r["mntns"]) == ("ns-exit", ledger["mntns"])]
    yield Check("the exercise's own namespace", 1, len(own))
    if "refcount" not in tier.never:
        counts = Counter(row["refcount"] for row in rows if row["errno"] == _EBUSY)
        yield Check("reference count of the busy ones", {3: _failures(ledger)}, dict(counts))
    kinds = {row["rcu_kind"] for row in umounts}
    # Null: no function and no sleep showed whose it was, as with ftrace before 6.12.
    yield Check("more than one kind of grace period", False, len(kinds - {"piggybacked", None}) > 1)


def _never_check(tier: Tier, rows: Sequence[Row]) -> Check:
    """Hold the table of the tiers to what a tier says of itself."""
    known = sorted(name for name in tier.never if any(row[name] is not None for row in rows))
    return Check("columns it cannot know", "none", ", ".join(known) or "none")


def _mountpoint_check(rows: Sequence[Row]) -> Check:
    umounts = [row for row in rows if row["origin"] == "umount"]
    placed = sum(row["mountpoint"] == row["path"] for row in umounts)
    return Check("mountpoints", len(umounts), placed)


def _held_checks(ledger: Mapping[str, Any], rows: Sequence[Row]) -> Iterable[Check]:
    """Compare lazy umounts whose last reference is a file that is closed later."""
    held = [row for row in rows if row["mode"] == "lazy"]
    count = len(ledger["umounts"])
    yield Check("final put after the return", count, _having(held, "final_put", "other"))
    long = sum((row["tail_ns"] or 0) >= HELD_NS for row in held)
    yield Check("tails as long as the file was open", count, long)


def _having(rows: Sequence[Row], column: str, value: object) -> int:
    return sum(row[column] == value for row in rows)


def _failures(ledger: Mapping[str, Any]) -> int:
    return sum(umount["errno"] == _EBUSY for umount in ledger["umounts"])


def _count(counter: Counter[tuple[object, ...]], index: int, value: object) -> int:
    return sum(n for key, n in counter.items() if key[index] == value)


def _unbalanced(row: Row) -> bool:
    known = sum(row[phase] or 0 for phase in PHASES)
    return bool(row["complete"]) and known != row["latency_ns"]


def _clock_ratio(ledger: Mapping[str, Any], rows: Sequence[Row]) -> float | None:
    own = {(u["path"], u["retry"]): u["latency_ns"] for u in ledger["umounts"] if not u["errno"]}
    paths = Counter(path for path, _retry in own)
    ratios = [
        row["latency_ns"] / own[row["path"], 0]
        for row in rows
        if row["complete"] and paths[row["path"]] == 1 and (row["path"], 0) in own
    ]
    return median(ratios) if ratios else None
