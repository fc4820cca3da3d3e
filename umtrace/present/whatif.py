"""The answers as one screen, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from umtrace.present.terminal import clean
from umtrace.present.units import NULL, count, duration, plural
from umtrace.present.whatif_sentence import sentence
from umtrace.present.wrapping import wrap
from umtrace.whatif.answers import Answer, Quantile, WhatIf

_COLUMNS = 80
_SHOWN = (0.5, 0.9, 0.99, 1.0)
_NAMES = ("p50", "p90", "p99", "max")
_CELL = 9
#: of the first column
_LABEL = 12
_NAMED = 3  #: owners and file systems in a line
_NAME_CHARS = 20
_LEGEND = (
    "Too soon: sync umounts back before the shutdown. Put later: last references that are dropped "
    "after the return: most in the queue, age of the oldest, longest shutdown."
)


def lines(found: WhatIf) -> list[str]:
    """Return the screen: the answer, what callers wait, what comes after, and what is unknown."""
    first = sentence(found)
    return [
        *([*wrap(first, _COLUMNS), ""] if first else []),
        *wrap(head(found), _COLUMNS),
        "",
        *_callers(found),
        "",
        *_after(found),
        "",
        *_behind(found),
        *_designs(found),
        *_notes(found),
    ]


def head(found: WhatIf) -> str:
    """Return what is known of the load, and of the length of a normal grace period."""
    parts = [plural(found.umounts, "umount")]
    if found.failed:
        parts.append(f"{count(found.failed)} failed")
    if found.held_known:
        free = found.held_known - found.held
        parts.append(f"nobody else held a victim of {count(free)} of {count(found.held_known)}")
    if found.met_known:
        met = f"{count(found.met)} of {count(found.met_known)}"
        parts.append(f"path walkers met a dying mount of {met}")
    if found.lengths:
        parts.append(
            f"normal grace period {duration(found.lengths[0].ns)} (median; {found.lengths_by})"
        )
    return "; ".join(parts)


def _callers(found: WhatIf) -> list[str]:
    head = ["caller waits", *_NAMES, "lazy p50", "waits"]
    rows = [[*_caller_row(each), *_teardown(found, each)] for each in found.answers]
    return _table([[*head, *(["teardown"] if found.teardowns else [])], *rows])


def _caller_row(each: Answer) -> list[str]:
    lazy = each.caller.get("lazy", ())
    median = duration(lazy[0].ns) if lazy else NULL
    return [each.design.name, *_times(each.caller.get("all", ())), median, count(each.waits)]


def _teardown(found: WhatIf, each: Answer) -> list[str]:
    """Return the median time of a teardown, if there is any."""
    if not found.teardowns:
        return []
    return [duration(each.teardown_busy[0].ns) if each.teardown_busy else NULL]


def _after(found: WhatIf) -> list[str]:
    head = ["shut down", *_NAMES, "periods", "saved", "too soon"]
    return _table([head, *(_after_row(each) for each in found.answers)])


def _after_row(each: Answer) -> list[str]:
    soon = NULL if each.waits is None else count(each.promise)
    saved = NULL if each.saved is None else f"{each.saved:,}"  # a design may need more
    return [each.design.name, *_times(each.gone), count(each.grace_periods), saved, soon]


def _behind(found: WhatIf) -> list[str]:
    """Return what deferring designs leave behind; nothing where it is unknown of all of them."""
    known = [each for each in found.answers if each.design.defers and each.age_ns is not None]
    if not known:
        return []
    head = ["put later", "most", "at once", "oldest", "longest", "held up", "for", "mounts"]
    return [*_table([head, *(_behind_row(each) for each in known)]), ""]


def _behind_row(each: Answer) -> list[str]:
    times = [duration(each.age_ns), duration(each.longest_ns)]
    held_up = [count(each.held_up), duration(each.queued_ns)]
    return [each.design.name, count(each.depth), count(each.at_once), *times, *held_up,
            count(each.kept)]  # fmt: skip


def _designs(found: WhatIf) -> list[str]:
    named = [f"{each.design.name}: {each.design.title}" for each in found.answers]
    return [*wrap("; ".join(named), _COLUMNS), *wrap(_LEGEND, _COLUMNS)]


def notes(found: WhatIf) -> list[str]:
    """Return who still waits, what is assumed, and why something is unknown."""
    texts = [*_in_row(found), *_claims(found), *_waiting(found), *found.assumed]
    if found.left_out:
        texts.append(f"{plural(found.left_out, 'row')} without begin or end left out")
    if any(each.caller.get("all") and not each.caller.get("lazy") for each in found.answers):
        texts.append("lazy p50 -: no lazy umount")
    return texts + [f"- of {names}: {why}" for why, names in found.reasons.items()]


def _notes(found: WhatIf) -> list[str]:
    wrapped = [wrap(note, _COLUMNS, subsequent_indent="  ") for note in notes(found)]
    return [line for each in wrapped for line in each]


def _waiting(found: WhatIf) -> list[str]:
    """Return whose umounts D lets wait."""
    on_demand = next((each for each in found.answers if each.design.on_demand), None)
    if on_demand is None or not on_demand.waits:
        return []
    texts = [_most(on_demand.waits_by[name]) for name in ("owner", "fstype")]
    return [f"D still waits: by owner {texts[0]}; by file system {texts[1]}"]


def _in_row(found: WhatIf) -> list[str]:
    """Return how many grace periods a teardown waits for in a row, where there is a teardown."""
    known = [each for each in found.answers if each.in_row is not None]
    if not any(each.in_row for each in known):
        return []
    row = ", ".join(f"{each.design.name} {count(each.in_row)}" for each in known)
    calls = ", ".join(f"{each.design.name} {duration(each.teardown_path[0].ns)}" for each in known)
    return [
        f"grace periods in a row on the critical path of a teardown, at most: {row}",
        f"time in the calls on the critical path of a teardown, median: {calls}",
    ]


def _claims(found: WhatIf) -> list[str]:
    """Return which claims of devices would get EBUSY, and for how long, where there is any."""
    later = [each for each in found.answers if each.design.defers]
    if not found.claimed or not later:
        return []
    texts = [f"{each.design.name} {count(each.claims)}{_busy(each)}" for each in later]
    of = plural(found.claimed, "claim")
    return [f"EBUSY instead, of {of} of a device soon after its umount: {', '.join(texts)}"]


def _busy(each: Answer) -> str:
    return f" (for {duration(each.busy[0].ns)}, median)" if each.busy else ""


def _most(counts: Mapping[str, int]) -> str:
    named = [f"{clean(name)[:_NAME_CHARS]} {count(n)}" for name, n in list(counts.items())[:_NAMED]]
    rest = sum(list(counts.values())[_NAMED:])
    return ", ".join([*named, *([f"others {count(rest)}"] if rest else [])])


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
        "teardowns": found.teardowns,
        "held": found.held,
        "held_known": found.held_known,
        "met": found.met,
        "met_known": found.met_known,
        "claimed": found.claimed,
        "normal_gp_ns": [asdict(each) for each in found.lengths],
        "normal_gp_by": found.lengths_by or None,
        "unmeasured": found.unmeasured or None,
        "replicates": found.replicates,
        "drawn": found.drawn,
        "assumed": list(found.assumed),
        "designs": [_answer_dict(each) for each in found.answers],
    }


def _answer_dict(each: Answer) -> dict[str, Any]:
    values = asdict(each)
    values["design"] = each.design.name
    values["title"] = each.design.title
    values["intervals"] = {
        name: [round(end) for end in ends] if name.endswith("_ns") else ends
        for name, ends in values["intervals"].items()
    }
    return values
