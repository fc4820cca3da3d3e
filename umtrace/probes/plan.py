"""The probe plan: what to probe on a kernel, as a pure function of what it offers.

``make_plan(offer, placement, probes)`` does not use the host. After an attempt to attach fails,
``offer.without(symbol, reason)`` gives the offer for a new plan.

For another source: ``make_plan(offer, "kprobe", probes)`` is the plan for everything that is placed
as a kprobe, including kprobe events in tracefs. For each of ``plan.probes``, place
``probe.symbol`` on ``probe.sides(entry_needed=True)``. The symbol has its suffix already:
kprobe_events accepts names such as ``a.isra.0``, but no dot in the name of an event. Fetch
arguments and return values by the prototype of ``probe.function``: if a handler reads arguments,
the plan never has a symbol with arguments that the compiler changed. ``umtrace doctor`` prints
``plan.lines()``.
"""

from __future__ import annotations

from dataclasses import dataclass

from umtrace.model.plan_line import PlanLine, State
from umtrace.probes.capabilities import Capabilities
from umtrace.probes.purposes import (
    FINAL_PUT,
    NORMAL_GP,
    PURPOSES,
    SHARED_GP,
    SUBSTITUTES,
    TASK_WORK,
    Candidate,
    Purpose,
)

#: those of ``--probes``
PROBE_SETS = ("full", "light", "adaptive")
NO_WALKS = "no-walks"  #: full, without the functions that path walks call
_PLANNED = ("full", "light", NO_WALKS)
PLACEMENTS = ("fentry", "kprobe", "")  #: the last: no function probes
_WHY_KPROBE = (
    "a kprobe: the kernel can preempt a fentry program here, and then skips it in other tasks"
)


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """One function to probe, at ``symbol``; ``candidate`` has what its handler needs."""

    meaning: Purpose
    candidate: Candidate
    symbol: str
    how: str  #: fentry or kprobe

    @property
    def function(self) -> str:
        """Name of the handler, without a compiler's suffix."""
        return self.candidate.function

    @property
    def hot(self) -> bool:
        """Whether path walks call it."""
        return self.meaning.hot

    def program(self, *, on_return: bool) -> str:
        """Return the name of its program in ``bpf/``."""
        return f"um_{'return' if on_return else 'entry'}_{self.function}"

    def sides(self, *, entry_needed: bool) -> list[bool]:
        """Return the sides to place it on: False its entry, True its return.

        Parameters
        ----------
        entry_needed : bool
            Whether a return probe does not see the arguments (kretprobes).
        """
        probe = self.candidate
        entry = probe.entry or (probe.kprobe_entry and entry_needed)
        return [side for side, wanted in ((False, entry), (True, probe.on_return)) if wanted]


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice for one meaning; ``probe`` is None if it is lost or not used."""

    meaning: Purpose
    probe: PlannedProbe | None
    reason: str = ""  #: what is lost and why; empty if nothing is
    state: State = "ok"

    @property
    def lost(self) -> bool:
        """Whether anything is not seen."""
        return self.state != "ok"


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices for one placement on one kernel, in the order of the meanings."""

    placement: str  #: one of PLACEMENTS
    choices: tuple[Choice, ...]
    light: bool = False  #: the programs of ``--probes light``

    @property
    def probes(self) -> tuple[PlannedProbe, ...]:
        """The probes to place, including hot ones."""
        return tuple(choice.probe for choice in self.choices if choice.probe)

    def probe_for(self, meaning: Purpose) -> PlannedProbe | None:
        """Return the probe that was chosen for a meaning."""
        return next((probe for probe in self.probes if probe.meaning is meaning), None)

    @property
    def last_function(self) -> str:
        """The function with whose return an operation ends."""
        return (TASK_WORK if self.light else FINAL_PUT).function

    @property
    def impossible(self) -> str:
        """Why a tier with these probes cannot work on this kernel; empty if it can."""
        for choice in self.choices:
            left_out = self.light and choice.meaning.not_light
            if choice.probe is None and choice.meaning.required and not left_out:
                return f"it would not see {choice.reason}"
        return ""

    def lines(self) -> list[PlanLine]:
        """Return the plan as ``doctor`` and ``meta.json`` have it."""
        return [self._line(choice) for choice in self.choices if choice.probe or choice.lost]

    def _line(self, choice: Choice) -> PlanLine:
        probe = choice.probe
        why = choice.meaning.why
        if probe and probe.hot and probe.how != self.placement:
            why += f"; {_WHY_KPROBE}"
        return PlanLine(
            meaning=choice.meaning.name,
            probe=probe.symbol if probe else choice.meaning.function,
            how=probe.how if probe else "-",
            state=choice.state,
            reason=choice.reason,
            why=why,
        )


def not_ended_by_work(offer: Capabilities, plan: Plan) -> str:
    """Return why a task's list of task work cannot show the end of its umount; empty if it can.

    If it cannot, the next system call shows the end, and every system call of the host is probed.
    """
    if plan.light:  # the end of the task work does
        return ""
    if plan.probe_for(FINAL_PUT) is None:
        return "cleanup_mnt is not probed"
    for member in ("task_struct.task_works", "mount.mnt_rcu"):
        if offer.offset(member) is None:
            return offer.btf_missing or f"BTF does not describe {member}"
    if "__cleanup_mnt" not in offer.symbols:
        return "the address of __cleanup_mnt is not known"
    return ""


def shows_grace_period(offer: Capabilities, plan: Plan) -> bool:
    """Whether functions show all that a stack in the RCU wait would."""
    # Where exp_funnel_lock is inlined, it is on no stack either. Then both show only whether the
    # task slept.
    inlined_there = offer.symbols_known and not offer.variants("exp_funnel_lock")
    sleeps_known = inlined_there and offer.offset("task_struct.nvcsw") is not None
    shared = plan.probe_for(SHARED_GP) is not None or sleeps_known
    return shared and plan.probe_for(NORMAL_GP) is not None


def needs_switches(offer: Capabilities, plan: Plan) -> str:
    """Return why context switches have to be probed; empty if functions show everything.

    A context switch shows what a task waits for, by its stack, and when an exiting task is dead.
    """
    if plan.light:
        return ""
    if not shows_grace_period(offer, plan):
        return "no function shows which grace period the task waits for"
    return not_ended_by_work(offer, plan)


def make_plan(offer: Capabilities, placement: str, probes: str = "full") -> Plan:
    """Decide what to probe.

    Parameters
    ----------
    offer : Capabilities
        What the kernel has, without the symbols where attaching failed.
    placement : str
        One of PLACEMENTS: ``placement`` of a tier (`model.tiers`).
    probes : str
        ``full``, ``light``, or NO_WALKS. ``adaptive`` is one of these, and what its source
        attaches later.
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"no placement {placement!r}")
    if probes not in _PLANNED:
        raise ValueError(f"no set of probes {probes!r}")
    light = bool(placement) and probes == "light"
    meanings = [one for one in PURPOSES if light or not one.only_light] if placement else []
    return Plan(
        placement=placement,
        choices=tuple(_choose(offer, placement, probes, meaning) for meaning in meanings),
        light=light,
    )


def _choose(offer: Capabilities, placement: str, probes: str, meaning: Purpose) -> Choice:
    if meaning.not_light and probes == "light":
        return Choice(meaning, None, f"{meaning.not_light} (off with --probes light)", "lost")
    if meaning.hot and probes == NO_WALKS:
        return _lost(meaning, "path walks are not probed")
    if meaning.needs_layout and "mount.mnt" not in offer.members:
        return _lost(meaning, "no BTF")
    refusals: list[str] = []
    how = "kprobe" if offer.preemptible and not meaning.skippable else placement
    for candidate in meaning.candidates:
        if candidate.kprobe_only and how != "kprobe":
            continue
        symbol, refusal = _symbol(offer, placement, candidate)
        if symbol:
            probe = PlannedProbe(meaning, candidate, symbol, how)
            if not candidate.lost:
                return Choice(meaning, probe)
            instead = "; ".join([*refusals, f"lost: {candidate.lost}"])
            return Choice(meaning, probe, instead, "substitute")
        refusals.append(refusal)
    return _lost(meaning, "; ".join(refusals))


def _lost(meaning: Purpose, why: str) -> Choice:
    return Choice(meaning, None, f"{meaning.lost} ({why})", "lost")


def _symbol(offer: Capabilities, placement: str, candidate: Candidate) -> tuple[str, str]:
    """Return the symbol to probe, or "" and why there is none."""
    function = candidate.function
    refusal = f"this kernel has no function {function} (inlined or renamed)"
    # With hidden addresses no names are read, so only attaching shows whether it exists.
    for symbol in offer.variants(function) if offer.symbols_known else [function]:
        refusal = _objection(offer, placement, candidate, symbol)
        if not refusal:
            return symbol, ""
    return "", refusal


def _objection(offer: Capabilities, placement: str, candidate: Candidate, symbol: str) -> str:
    """Return why a symbol cannot be probed; empty if it can."""
    suffix = symbol[len(candidate.function) :]
    if symbol in offer.refused:
        return offer.refused[symbol]
    if ".part." in suffix:
        return f"only {symbol}: the head of the function is inlined into its callers"
    if placement == "fentry" and offer.btf_missing:
        return offer.btf_missing
    if placement == "fentry" and (suffix or candidate.function not in offer.btf_functions):
        return f"BTF does not describe {symbol}"
    if suffix and candidate.needs_arguments:
        return f"{symbol}: the compiler changed its arguments"
    return ""


def inlined(offer: Capabilities) -> dict[str, str]:
    """Return the well-known functions without a symbol here, with their substitutes."""
    if not offer.symbols_known:
        return {}
    return {name: instead for name, instead in SUBSTITUTES if not offer.variants(name)}
