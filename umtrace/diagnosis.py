"""What `umtrace doctor` finds: the host's features, and each tier tried in earnest."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from typing import Any

from umtrace.kernel.config import options_off
from umtrace.kernel.function_tracing import REMEDY, switched_off
from umtrace.kernel.membarrier import IN_THE_ROWS, why_not
from umtrace.kernel.refusals import missing_privilege
from umtrace.kernel.symbols import Symbols
from umtrace.kernel.tracefs import Tracefs
from umtrace.model.activity import NOW
from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError
from umtrace.model.plan_line import PlanLine, without_reason
from umtrace.model.tiers import tier_named
from umtrace.probes.capabilities import WANTED, this_kernel
from umtrace.probes.features import Feature, features
from umtrace.probes.plan import inlined
from umtrace.sources.bpf.program_cache import VARIABLE, ProgramCache
from umtrace.sources.select import LIVE_TIERS, declined, open_source
from umtrace.sources.tracefs_guard import remove_leftovers


@dataclass(frozen=True, slots=True)
class TierResult:
    """Whether a tier attached; ``plan`` is its probes, ``reason`` why it did not.

    Attributes
    ----------
    works : bool
        Whether it, or the tier that stands in for it, attached.
    exit_code : int
        Of the error, where nothing attached.
    attached : str
        The tier that attached: this one or its stand-in. Empty where none did.
    unusable : str
        Why this tier itself cannot be used; empty where it can.
    remedy : str
        What would mend that; empty where nothing is known to.
    """

    tier: str
    works: bool
    reason: str
    plan: tuple[PlanLine, ...] = ()
    exit_code: int = 0
    attached: str = ""
    unusable: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything doctor prints."""

    features: tuple[Feature, ...]
    tiers: tuple[TierResult, ...]
    inlined: dict[str, str]  #: functions without a symbol here, and what stands for them

    @property
    def chosen(self) -> TierResult | None:
        """What ``--tier auto`` takes: the first tier that attaches as itself."""
        return next((tier for tier in self.tiers if tier.attached == tier.tier), None)

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
        return {"verdict": self._verdict(), **found}

    def _verdict(self) -> dict[str, Any]:
        """Return the tier of `umtrace record`, what it cannot see, and what would mend that."""
        chosen = self.chosen
        better = list(takewhile(lambda tier: tier is not chosen, self.tiers))
        fixes = [(tier.remedy, tier.tier) for tier in better]
        fixes += [(one.remedy, one.name) for one in self.features if one.ok is False]
        return {
            "tier": chosen and chosen.tier,
            "unusable": [
                {"tier": tier.tier, "reason": tier.unusable, "remedy": tier.remedy}
                for tier in better
            ],
            "unseen": _unseen(chosen) if chosen else [],
            "remedies": [
                {"remedy": fix, "for": [name for remedy, name in fixes if remedy == fix]}
                for fix in dict.fromkeys(remedy for remedy, _ in fixes)
                if fix
            ],
        }


def diagnose() -> Diagnosis:
    """Try everything; attaches each tier for a moment and detaches it."""
    offer = this_kernel(Symbols.load(wanted=WANTED))
    tiers = tuple(tried(tier) for tier in LIVE_TIERS)
    return Diagnosis((*features(), _normal_gp(), _kept_programs()), tiers, inlined(offer))


def _normal_gp() -> Feature:
    """Return how the length of normal grace periods comes into a recording, for what-if."""
    why, name = why_not(), "normal grace period"
    if not why:
        return Feature(name, True, "its length is measured by membarrier(2) while recording")
    return Feature(name, True if why == IN_THE_ROWS else None, why)


def _kept_programs() -> Feature:
    kept = ProgramCache.of_this_user()
    if kept.folder is None:
        return Feature("kept programs", True, f"none: {VARIABLE}=0, or no home directory")
    names = kept.names()
    if kept.remark:
        return Feature("kept programs", False, kept.remark, f"rm -r {kept.folder}")
    found = f"{len(names)} compiled ({kept.size() >> 10} KiB) in {kept.folder}"
    return Feature("kept programs", True, found)


def _unseen(result: TierResult) -> list[str]:
    """Return what a tier does not see here: of any kernel, then of this one."""
    lost = (without_reason(line.reason) for line in result.plan if line.state == "lost")
    # "nothing; ...": what stands in shows the same, at a cost.
    here = [what for what in lost if not what.startswith("nothing;")]
    return [*tier_named(result.tier).lacks, *dict.fromkeys(here)]


def tried(tier: str) -> TierResult:
    """Return what became of a tier: attaches it, reads once and detaches it; never raises."""
    NOW.note(f"trying tier {tier}")
    try:
        with closing(open_source(tier)) as source:
            source.read(0)
            plan = tuple(source.plan())
            if source.tier == tier:
                return TierResult(tier, True, "attaches", plan, attached=tier)
            why = declined(source, tier)
            reason = f"attaches as {source.tier}: {why}"
            found = TierResult(tier, True, reason, plan, attached=source.tier, unusable=why)
    except UmtraceError as error:
        why, lacking = str(error), missing_privilege()
        # What was tried first differs by tier; the privilege is one reason for all of them.
        unusable = lacking if lacking and lacking in why else why
        found = TierResult(tier, False, why, exit_code=error.exit_code, unusable=unusable)
    except Exception as error:
        why = f"fails: {type(error).__name__}: {error}"
        return TierResult(tier, False, why, unusable=why)
    return replace(found, remedy=_remedy(tier, found.exit_code))


def _remedy(tier: str, exit_code: int) -> str:
    """Return what would let a tier attach: a privilege, a switch, or a kernel with its options."""
    if switched_off(tier_named(tier).placement):
        return REMEDY
    if exit_code == NotPermittedError.exit_code and (lacking := missing_privilege()):
        return lacking.partition(": ")[2]
    off = options_off(tier_named(tier).options)
    return f"boot a kernel with {' and '.join(off)}" if off else ""


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
