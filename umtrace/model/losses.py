"""Counts of everything that was not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from typing import TypeAlias

_Count: TypeAlias = "int | tuple[int, ...] | Mapping[str, int] | None"
_LISTED = frozenset({"ring_events_per_cpu", "probe_misses_by"})  #: fields that are no one count


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """Counts of what was lost or left unfinished; null is not zero.

    A counter is None where the tier cannot know it. Reports add up field by field.
    """

    ring_events: int | None = None  #: events dropped because the event ring was full
    ring_events_per_cpu: tuple[int, ...] | None = None  #: the same, by CPU
    ring_names: int | None = None  #: name records dropped because the name ring was full
    task_map_full: int | None = None  #: operations not followed: task map full
    births_lost: int | None = None  #: births and deaths of cgroups not seen: their ring was full
    stacks_lost: int | None = None  #: kernel stacks not stored: of waits, of callers
    probe_misses: int | None = None  #: probe hits that the kernel skipped (recursion guard)
    #: the same by program or event, if not 0; those that cannot affect a row are not in the sum
    probe_misses_by: Mapping[str, int] | None = None
    unmatched_events: int | None = None  #: events that belong to no known operation
    incomplete_rows: int | None = None  #: rows marked incomplete, whatever the reason
    names_forgotten: int | None = None  #: names whose operation was never seen
    scans_refused: int | None = None  #: EBUSYs without a scan for holders: too many at once
    scans_skipped: int | None = None  #: EBUSYs without a scan: their mount was just scanned
    evidence_dropped: int | None = None  #: evidence about EBUSYs that was dropped: too much
    tails_forgotten: int | None = None  #: last puts and living superblocks no longer followed

    @property
    def lost_anything(self) -> bool:
        """Whether any event, name, stack, scan or piece of evidence is known to be lost."""
        known = (
            self.ring_events,
            self.ring_names,
            self.task_map_full,
            self.births_lost,
            self.stacks_lost,
            self.probe_misses,
            self.scans_refused,
            self.evidence_dropped,
            self.tails_forgotten,
        )
        return any(known)

    def lost(self) -> dict[str, int]:
        """Return the counts that are not 0; a scan of a mount that was just scanned is no loss."""
        counts = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {n: c for n, c in counts if isinstance(c, int) and c and n != "scans_skipped"}

    def __add__(self, other: LossReport) -> LossReport:
        """Add two ledgers; unknown plus known is known."""
        sums = {f.name: _add(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return LossReport.from_dict(sums)

    @classmethod
    def from_dict(cls, counts: Mapping[str, object]) -> LossReport:
        """Build a ledger from a mapping; unknown keys and wrong types are left out."""
        report = cls()
        for f in fields(cls):
            value = counts.get(f.name)
            if f.name == "ring_events_per_cpu" and isinstance(value, list | tuple):
                value = tuple(int(v) for v in value)
            elif f.name == "probe_misses_by" and isinstance(value, Mapping):
                value = {str(name): int(n) for name, n in value.items()}
            elif f.name in _LISTED or not isinstance(value, int):
                continue
            object.__setattr__(report, f.name, value)
        return report

    def to_dict(self) -> dict[str, _Count]:
        """Return the ledger as JSON-ready mapping."""
        return asdict(self)


def _add(left: _Count, right: _Count) -> _Count:
    if left is None or right is None:
        return left if right is None else right
    if isinstance(left, tuple) and isinstance(right, tuple):
        return tuple(a + b for a, b in zip_longest(left, right, fillvalue=0))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = sorted(left.keys() | right.keys())
        return {name: left.get(name, 0) + right.get(name, 0) for name in names}
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    raise TypeError("counts of different kinds do not add up")
