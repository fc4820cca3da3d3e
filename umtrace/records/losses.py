"""The ledger of everything that was not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """Counts of what was lost or left unfinished; null is not zero.

    A counter is None where the tier cannot know it. Reports add up field by field.
    """

    ring_events: int | None = None  #: events dropped because the event ring was full
    ring_names: int | None = None  #: name records dropped because the name ring was full
    task_map_full: int | None = None  #: operations not followed: task map full
    stacks_lost: int | None = None  #: waits whose kernel stack could not be stored
    probe_misses: int | None = None  #: probe hits that the kernel skipped (recursion guard)
    unmatched_events: int | None = None  #: events that belong to no known operation
    incomplete_rows: int | None = None  #: rows marked incomplete, whatever the reason

    @property
    def lost_anything(self) -> bool:
        """Whether any event, name or stack is known to be lost."""
        known = (
            self.ring_events,
            self.ring_names,
            self.task_map_full,
            self.stacks_lost,
            self.probe_misses,
        )
        return any(known)

    def __add__(self, other: LossReport) -> LossReport:
        """Add two ledgers; unknown plus known is known."""
        return LossReport(
            **{
                f.name: _add(getattr(self, f.name), getattr(other, f.name))
                for f in fields(LossReport)
            }
        )

    def to_dict(self) -> dict[str, int | None]:
        """Return the ledger as JSON-ready mapping."""
        return asdict(self)


def _add(left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return left if right is None else right
    return left + right
