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
        ledger.umounts.append(UmountCall(**_ns(row)))
    ledger.ns_exits = [_teardown(row) for row in raw["ns_exits"]]
    ledger.others = [_teardown(row) for row in raw["others"]]
    ledger.holds = [Hold(**_ns(row)) for row in raw["holds"]]
    ledger.teardown = raw["teardown"] and _teardown(raw["teardown"])
    return ledger


def _teardown(row):
    names = {field.name for field in fields(Teardown)}
    return Teardown(**{key: value for key, value in _ns(row).items() if key in names})


def _ns(row):
    """Return a row with its points in time as ns alone."""
    points = {key for key in row if f"{key}_ns" in row}
    return {k.removesuffix("_ns") if k[:-3] in points else k: row[k] for k in row.keys() - points}
