"""The findings of `umtrace doctor` as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WIDTH = 80
_NAME = 19


def doctor_text(findings: Mapping[str, Any]) -> str:
    """Return the report for ``Diagnosis.to_dict()``, at most 80 columns wide."""
    return "\n".join(_lines(findings)) + "\n"


def _lines(findings: Mapping[str, Any]) -> Iterator[str]:
    yield "This host"
    for feature in findings["features"]:
        yield from _item(feature["ok"], feature["name"], feature["detail"])
        if feature["remedy"]:
            yield from _wrapped(f"fix: {feature['remedy']}")
    yield from _inlined(findings.get("inlined", {}))
    for tier in findings["tiers"]:
        yield ""
        yield f"Tier {tier['tier']}: {'works' if tier['works'] else 'does not work'}"
        if tier["reason"] != "attaches":
            yield from _wrapped(tier["reason"])
        yield from _plan(tier["plan"])


def _plan(plan: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for probe in plan:
        ok = probe["state"] == "ok"
        yield from _item(ok, probe["meaning"], f"{probe['probe']} ({probe['how']})")
        said = probe.get("why", "") if ok else probe["reason"]
        yield from _wrapped(said)


def _inlined(found: Mapping[str, str]) -> Iterator[str]:
    if found:
        yield ""
        yield "Functions without a symbol in this kernel, and their substitutes"
    for function, instead in found.items():
        yield from _item(True, function, instead)


def _item(ok: bool, name: str, detail: str) -> Iterator[str]:
    head = f"  {'ok' if ok else '--'}  {name:<{_NAME}} "
    yield from textwrap.wrap(
        detail, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
    ) or [head]


def _wrapped(text: str) -> list[str]:
    indent = " " * (_NAME + 7)
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
