"""The answers as one screen, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from umtrace.present.units import NULL, count, duration, plural
from umtrace.present.whatif_sentence import sentence
from umtrace.whatif.answers import Answer, Quantile, WhatIf

_COLUMNS = 80
_SHOWN = (0.5, 0.9, 0.99, 1.0)
_NAMES = ("p50", "p90", "p99", "max")
_CELL = 9
#: of the first column
_LABEL = 12
_NAME = 4  #: of a design


def lines(found: WhatIf) -> list[str]:
    """Return the screen: the answer, what callers wait, what comes after, and what is unknown."""
    first = sentence(found)
    return [
        *([*textwrap.wrap(first, _COLUMNS), ""] if first else []),
        *_load(found),
        "",
        *_callers(found),
        "",
        *_after(found),
        "",
        *_designs(found),
        *_notes(found),
    ]


def _load(found: WhatIf) -> list[str]:
    parts = [plural(found.umounts, "umount")]
    if found.failed:
        parts.append(f"{count(found.failed)} failed")
    if found.held_known:
        free = found.held_known - found.held
        parts.append(f"nobody else held a victim of {count(free)} of {count(found.held_known)}")
    if found.lengths:
        parts.append(
            f"normal grace period {duration(found.lengths[0].ns)} (median; {found.lengths_by})"
        )
    return textwrap.wrap("; ".join(parts), _COLUMNS)


def _callers(found: WhatIf) -> list[str]:
    head = ["caller waits", *_NAMES, "lazy p50", "waits"]
    return _table([head, *(_caller_row(each) for each in found.answers)])


def _caller_row(each: Answer) -> list[str]:
    lazy = each.caller.get("lazy", ())
    median = duration(lazy[0].ns) if lazy else NULL
    return [each.design.name, *_times(each.caller.get("all", ())), median, count(each.waits)]


def _after(found: WhatIf) -> list[str]:
    head = ["shut down", *_NAMES, "periods", "queue", "too soon"]
    return _table([head, *(_after_row(each) for each in found.answers)])


def _after_row(each: Answer) -> list[str]:
    queue = duration(each.queued_ns) if each.design.defers else NULL
    soon = NULL if each.waits is None else count(each.promise)
    return [each.design.name, *_times(each.gone), count(each.grace_periods), queue, soon]


def _designs(found: WhatIf) -> list[str]:
    return [f"{each.design.name:<{_NAME}}{each.design.title}" for each in found.answers]


def _notes(found: WhatIf) -> list[str]:
    notes = list(found.assumed)
    if found.left_out:
        notes.append(f"{plural(found.left_out, 'row')} without begin or end left out")
    notes += [f"- of {names}: {why}" for why, names in found.reasons.items()]
    wrapped = [textwrap.wrap(note, _COLUMNS, subsequent_indent="  ") for note in notes]
    return [line for each in wrapped for line in each]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        (row[0].ljust(_LABEL) + "".join(cell.rjust(_CELL) for cell in row[1:])).rstrip()
        for row in rows
    ]


def _times(quantiles: Sequence[Quantile]) -> list[str]:
    by_q = {each.q: each.ns for each in quantiles}
    return [duration(by_q.get(q)) for q in _SHOWN]


def as_dict(found: WhatIf) -> dict[str, Any]:
    """Return the answers, ready for JSON: times in ns, null is unknown."""
    return {
        "sentence": sentence(found),
        "umounts": found.umounts,
        "failed": found.failed,
        "left_out": found.left_out,
        "succeeded": dict(found.succeeded),
        "held": found.held,
        "held_known": found.held_known,
        "normal_gp_ns": [asdict(each) for each in found.lengths],
        "normal_gp_by": found.lengths_by or None,
        "unmeasured": found.unmeasured or None,
        "assumed": list(found.assumed),
        "designs": [_answer_dict(each) for each in found.answers],
    }


def _answer_dict(each: Answer) -> dict[str, Any]:
    values = asdict(each)
    values["design"] = each.design.name
    values["title"] = each.design.title
    return values
