"""What a self test found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from umtrace.model.errors import UmtraceError


@dataclass(frozen=True, slots=True)
class Check:
    """One thing compared: what it should be, and what was seen."""

    what: str
    expected: object
    seen: object

    @property
    def ok(self) -> bool:
        """Whether the two agree."""
        return self.expected == self.seen


RUNS = "runs to its end"


def failed(error: Exception) -> Check:
    """Return the check that a tier failed instead of being compared."""
    said = str(error) if isinstance(error, UmtraceError) else f"{type(error).__name__}: {error}"
    return Check(RUNS, "yes", f"no: {said}")


def unlike(expected: Counter[tuple[object, ...]], seen: Counter[tuple[object, ...]]) -> str:
    """Say what one has and the other has not, the first of them by name; "none" if equal."""
    found = (("not seen", expected - seen), ("too many", seen - expected))
    said = [f"{less.total()} {what}, {next(iter(less))}" for what, less in found if less]
    return "; ".join(said) or "none"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome for one tier."""

    tier: str
    checks: tuple[Check, ...]
    clock_ratio: float | None  #: median of latency_ns over the exercise's own clock
    columns: tuple[str, ...]  #: those that were known of some successful umount(2)
    rcu_kinds: Mapping[str, int]  #: how many umounts waited for which; "null" is unknown
    seconds: float  #: how long it took

    @property
    def ok(self) -> bool:
        """Whether every check agrees."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two tiers said of the same umounts, traced by both at once.

    The RCU waits are no check: the probes of one tier lie inside what the other measures.
    """

    tiers: tuple[str, str]
    checks: tuple[Check, ...]
    waits: int  #: umounts whose RCU wait both measured
    rcu_ratio: float | None  #: median wait of the second over that of the first
    rcu_apart_ns: float | None  #: median of how far the two are apart, umount by umount
    lost: tuple[bool, bool]  #: whether they know of losses

    @property
    def ok(self) -> bool:
        """Whether every check agrees."""
        return all(check.ok for check in self.checks)
