"""Reads back what `umtrace exercise --json` printed."""

from __future__ import annotations

import json
from dataclasses import fields

from umtrace.exercise.calls import UmountCall
from umtrace.exercise.ledger import Hold, Ledger, Teardown
from umtrace.model.clock import ClockPair

_BUILT = {"umounts", "ns_exits", "others", "holds", "teardown", "clock"}
_PLAIN = {field.name for field in fields(Ledger)} - _BUILT


def read_ledger(text):
    """Return the ledger; KeyError or TypeError where something is missing or too much."""
    raw = json.loads(text)
    plain = {key: value for key, value in raw.items() if key in _PLAIN}
    ledger = Ledger(**plain, clock=ClockPair(**raw["clock"]))
    for row in raw["umounts"]:
        ledger.umounts.append(UmountCall(**row))
    ledger.ns_exits = [_teardown(row) for row in raw["ns_exits"]]
    ledger.others = [_teardown(row) for row in raw["others"]]
    ledger.holds = [Hold(**row) for row in raw["holds"]]
    ledger.teardown = raw["teardown"] and _teardown(raw["teardown"])
    return ledger


def _teardown(row):
    names = {field.name for field in fields(Teardown)}
    return Teardown(**{key: value for key, value in row.items() if key in names})
