"""The findings of `umtrace doctor` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from umtrace.model.tiers import names
from umtrace.present.wrapping import wrap

_WIDTH = 80
_NAME = 20
_MOST_NAMES = 3
_STATE = 10
_MARKS = {True: "ok", False: "--", None: "??"}
_LEGEND = (
    "The probes of each tier. ok: seen as meant; substitute: by another probe; in part: some of",
    "it is lost; lost: not seen; not used: a tier that cannot be used.",
)
_NTH = ("1st", "2nd", "3rd", "4th", "5th")
_REST = "The host, and the probes of each tier: umtrace doctor --full"
_Tier = Mapping[str, Any]


def doctor_text(findings: Mapping[str, Any], *, full: bool = True) -> str:
    """Return the report for ``Diagnosis.to_dict()``, at most 80 columns wide.

    Without ``full`` it is the verdict, and where the rest is.
    """
    if not full:
        lines = [*_verdict(findings.get("verdict")), _REST]
        return "".join(f"{line}\n" for line in lines)
    parts = [
        [*_verdict(findings.get("verdict"))],
        [*_host(findings["features"])],
        [*_inlined(findings.get("inlined", {}))],
        _wrapped(" ".join(_LEGEND), 0),
        *([*_tier(tier, findings["tiers"])] for tier in findings["tiers"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _verdict(verdict: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield which tier `umtrace record` uses, why no better one, and what would mend that."""
    if verdict is None:
        return
    tier = verdict["tier"]
    if tier is None:
        yield "`umtrace record` does not work here: no tier can be used."
    else:
        place = f"{_NTH[names().index(tier)]} of {len(names())}, best first"
        yield f"`umtrace record` works here, in tier {tier} ({place})."
    yield from _unusable(verdict["unusable"], better=tier is not None)
    if tier is not None:
        unseen = "; ".join(verdict["unseen"])
        all_of_it = f"Nothing is missing in tier {tier}."
        yield from _wrapped(f"Not seen in tier {tier}: {unseen}." if unseen else all_of_it, 0, 2)
    for each in verdict["remedies"]:
        which = ", ".join(each["for"]) if len(each["for"]) <= _MOST_NAMES else ""
        yield from _wrapped(f"fix{which and f' for {which}'}: {each['remedy']}", 0, 2)


def _unusable(found: Sequence[Mapping[str, str]], *, better: bool) -> Iterator[str]:
    if found and better:
        yield "Better tiers cannot be used:"
    for (reason, remedy), same in groupby(found, lambda each: (each["reason"], each["remedy"])):
        tiers = ", ".join(each["tier"] for each in same)
        # The remedy has a line of its own.
        why = reason.removesuffix(f": {remedy}") if remedy else reason
        yield from _wrapped(f"{tiers}: {why}", 2, 4)


def _host(features: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if features:
        yield "This host (ok: as it should be; --: missing; ??: not known)"
    for feature in features:
        head = f"  {_MARKS[feature['ok']]}  {feature['name']:<{_NAME}} "
        yield from _beside(head, feature["detail"])
        if feature["remedy"]:
            yield from _wrapped(f"fix: {feature['remedy']}", len(head))


def _inlined(found: Mapping[str, str]) -> Iterator[str]:
    if found:
        yield "Functions without a symbol in this kernel, and what is probed instead"
    for function, instead in found.items():
        yield from _beside(f"  {function:<{_NAME}} ", instead)


def _tier(tier: _Tier, tiers: Sequence[_Tier]) -> Iterator[str]:
    stand_in = tier.get("attached", "")
    if stand_in in {"", tier["tier"]}:
        yield f"Tier {tier['tier']}: {'works' if tier['works'] else 'does not work'}"
        if tier["reason"] != "attaches":
            yield from _wrapped(tier["reason"], 2)
        yield from _plan(tier["plan"])
        return
    yield f"Tier {tier['tier']}: cannot be used; {stand_in} takes its place"
    yield from _wrapped(tier["unusable"], 2)
    if any(other["tier"] == stand_in and other["plan"] for other in tiers):
        return  # which has the same plan
    yield from _plan(tier["plan"])


def _plan(plan: Sequence[Mapping[str, str]]) -> Iterator[str]:
    width = max([_NAME, *(len(probe["meaning"]) for probe in plan)])
    for probe in plan:
        what, probed = _probed(probe)
        state = _word(probe["state"], probed=probed)
        head = f"  {state:<{_STATE}} {probe['meaning']:<{width}} "
        said = probe.get("why", "") if probe["state"] == "ok" else probe["reason"]
        said = said.removeprefix(f"{state}: ")
        if not what:  # the reason is all that there is to say
            what, said = said, ""
        yield from _beside(head, what)
        yield from _wrapped(said, _STATE + 3)


def _probed(probe: Mapping[str, str]) -> tuple[str, bool]:
    """Return what is probed, in words, and whether anything is."""
    if probe["probe"] == "-":
        return "", False
    if probe["how"] == "-":
        return f"{probe['probe']} is not probed", False
    return f"{probe['probe']} ({probe['how']})", True


def _word(state: str, *, probed: bool) -> str:
    if state == "lost" and probed:
        return "in part"
    return "not used" if state == "declined" else state


def _beside(head: str, text: str) -> list[str]:
    indent = " " * len(head)
    lines = wrap(text, _WIDTH, initial_indent=head, subsequent_indent=indent)
    return lines or [head.rstrip()]


def _wrapped(text: str, indent: int, below: int | None = None) -> list[str]:
    """Return a text as lines that are indented, those after the first by ``below``."""
    first, rest = " " * indent, " " * (indent if below is None else below)
    return wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest)
