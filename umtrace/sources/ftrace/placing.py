"""Chooses the symbol of each event: that of the probe plan, else the first that can be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from umtrace.kernel.symbols import Symbols
from umtrace.probes.plan import Plan
from umtrace.probes.purposes import NORMAL_GP, SYSTEM_CALL
from umtrace.sources.ftrace.events import Event

_SUFFIX = re.compile(r"(?:\.(?:isra|constprop)\.\d+)+")


@dataclass(frozen=True, slots=True)
class Placed:
    """An event on its symbol; if it has none, ``objection`` says why.

    If the plan has no symbol for it, ``lost`` says what is lost and why.
    """

    event: Event
    objection: str = ""
    lost: str = ""


def place(wanted: Sequence[Event], plan: Plan, symbols: Symbols) -> Iterator[Placed]:
    """Yield the events in their order, each on the symbol of its function.

    Parameters
    ----------
    wanted : sequence of Event
    plan : Plan
        The plan of the kprobe tier: its decision about a function holds for all events of it.
    symbols : Symbols
        For functions that are not in the plan. If addresses are unknown, the name of the function
        is used, and only the kernel's answer shows whether it is right.
    """
    decided = _decided(plan)
    variants = _variants({event.function for event in wanted}, symbols)
    for event in wanted:
        if event.function in decided:
            symbol, lost = decided[event.function]
            yield Placed(replace(event, symbol=symbol), lost, lost)
        else:
            symbol, objection = _first(event, variants.get(event.function, ()), symbols)
            yield Placed(replace(event, symbol=symbol), "" if symbol else objection)


def _decided(plan: Plan) -> dict[str, tuple[str, str]]:
    """Return the symbol of every function in the plan; if it has none, what is lost."""
    found: dict[str, tuple[str, str]] = {}
    for choice in plan.choices:
        if choice.meaning in (SYSTEM_CALL, NORMAL_GP):
            # The BPF tiers may use a tracepoint, or one of the functions; this tier needs each.
            continue
        if choice.probe and choice.probe.candidate.kprobe_only:
            continue  # this tier makes its own choice among the candidates
        for candidate in choice.meaning.candidates:
            taken = choice.probe is not None and choice.probe.function == candidate.function
            symbol = choice.probe.symbol if choice.probe and taken else ""
            instead = f"{choice.probe.symbol} is probed instead" if choice.probe else ""
            found[candidate.function] = symbol, "" if symbol else choice.reason or instead
    return found


def _variants(functions: set[str], symbols: Symbols) -> dict[str, list[str]]:
    """Return the symbols of each function, the plain one first."""
    found: dict[str, list[str]] = {}
    for name in _of(functions, symbols.names):
        base = name if name in functions else name.partition(".")[0]
        found.setdefault(base, []).append(name)
    return {base: sorted(set(names)) for base, names in found.items()}


def _of(functions: set[str], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        base, dot, _rest = name.partition(".")
        if name in functions or (
            dot and base in functions and _SUFFIX.fullmatch(name[len(base) :])
        ):
            yield name


def _first(event: Event, variants: Sequence[str], symbols: Symbols) -> tuple[str, str]:
    if not symbols.known:
        return event.function, ""
    for symbol in variants:
        if symbol == event.function or not event.reads_arguments:
            return symbol, ""
    if variants:
        return "", f"{variants[0]}: the compiler changed its arguments"
    return "", f"this kernel has no function {event.function} (inlined or renamed)"
