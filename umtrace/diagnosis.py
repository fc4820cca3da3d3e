"""What `umtrace doctor` finds: the host's features, and each tier tried in earnest."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from umtrace.kernel.refusals import missing_privilege
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError
from umtrace.model.plan_line import PlanLine
from umtrace.probes.capabilities import WANTED, this_kernel
from umtrace.probes.features import Feature, features
from umtrace.probes.plan import inlined
from umtrace.sources.bpf.program_cache import VARIABLE, ProgramCache
from umtrace.sources.select import LIVE_TIERS, declined, open_source
from umtrace.sources.tracefs_guard import remove_leftovers


@dataclass(frozen=True, slots=True)
class TierResult:
    """Whether a tier attached; ``plan`` is its probes, ``reason`` why it did not."""

    tier: str
    works: bool
    reason: str
    plan: tuple[PlanLine, ...] = ()
    exit_code: int = 0  #: of the error, where it did not attach


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything doctor prints."""

    features: tuple[Feature, ...]
    tiers: tuple[TierResult, ...]
    inlined: dict[str, str]  #: functions without a symbol here, and what stands for them

    @property
    def any_tier(self) -> bool:
        """Whether any live tier works."""
        return any(tier.works for tier in self.tiers)

    @property
    def exit_code(self) -> int:
        """Return 0 if a tier works, 3 where privileges are what every tier lacks, else 4."""
        if self.any_tier:
            return 0
        refused = all(tier.exit_code == NotPermittedError.exit_code for tier in self.tiers)
        error = NotPermittedError if refused or missing_privilege() else NoTierError
        return error.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        found = asdict(self)
        for tier, result in zip(found["tiers"], self.tiers, strict=True):
            tier["plan"] = [line.to_dict() for line in result.plan]
        return found


def diagnose() -> Diagnosis:
    """Try everything; attaches each tier for a moment and detaches it."""
    offer = this_kernel(Symbols.load(wanted=WANTED))
    tiers = tuple(_try(tier) for tier in LIVE_TIERS)
    return Diagnosis((*features(), _kept_programs()), tiers, inlined(offer))


def _kept_programs() -> Feature:
    kept = ProgramCache.of_this_user()
    if kept.folder is None:
        return Feature("kept programs", True, f"none: {VARIABLE}=0, or no home directory")
    names = kept.names()
    if kept.remark:
        return Feature("kept programs", False, kept.remark, f"rm -r {kept.folder}")
    return Feature("kept programs", True, f"{kept.folder}: {len(names)}, {kept.size() >> 10} KiB")


def _try(tier: str) -> TierResult:
    try:
        with closing(open_source(tier)) as source:
            source.read(0)
            instead = "" if source.tier == tier else f" as {source.tier}: {declined(source, tier)}"
            return TierResult(tier, True, f"attaches{instead}", tuple(source.plan()))
    except UmtraceError as error:
        return TierResult(tier, False, str(error), exit_code=error.exit_code)
    except Exception as error:
        return TierResult(tier, False, f"fails: {type(error).__name__}: {error}")


def clean_up() -> list[str]:
    """Remove what tracers that are gone left in tracefs; returns what it was.

    Never touches the instances and events of a living process, nor those of other tools.

    Raises
    ------
    UmtraceError
        tracefs cannot be reached.
    """
    with Tracefs() as tracefs:
        return remove_leftovers(tracefs)


def forget_programs() -> list[str]:
    """Remove the compiled programs that are kept; returns what it was."""
    kept = ProgramCache.of_this_user()
    dropped = kept.clear()
    return [f"{dropped} compiled programs in {kept.folder}"] if dropped else []


def working_tiers() -> list[str]:
    """Return the live tiers that attach here.

    Raises
    ------
    UmtraceError
        None does; the first one's reason.
    """
    tiers: list[str] = []
    failures: list[UmtraceError] = []
    for tier in LIVE_TIERS:
        try:
            source = open_source(tier)
        except UmtraceError as error:  # noqa: PERF203 - a handful of tiers
            failures.append(error)
        else:
            source.close()
            tiers += [tier] * (source.tier == tier)
    if not tiers:
        raise failures[0]
    return tiers
