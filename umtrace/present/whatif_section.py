"""The answers as a section of the HTML page."""

from __future__ import annotations

from umtrace.present.report.section import Column, Kind, Lines, Section, Table
from umtrace.present.whatif import as_dict, head, notes
from umtrace.present.whatif_sentence import sentence
from umtrace.whatif.answers import Answer, Quantile, WhatIf

_HTML = ("html",)
_P50, _P99 = 0.5, 0.99
_COLUMNS = (
    Column("design", Kind.WORD),
    Column("caller_p50_ns", Kind.DURATION_NS, "caller p50"),
    Column("caller_p99_ns", Kind.DURATION_NS, "caller p99"),
    Column("lazy_p50_ns", Kind.DURATION_NS, "lazy p50", roomy=True),
    Column("gone_p50_ns", Kind.DURATION_NS, "down p50"),
    Column("gone_p99_ns", Kind.DURATION_NS, "down p99", roomy=True),
    Column("waits", Kind.COUNT),
    Column("grace_periods", Kind.COUNT, "periods"),
    Column("promise", Kind.COUNT, "too soon"),
    Column("held_up", Kind.COUNT, "held up", roomy=True),
    Column("kept", Kind.COUNT, "mounts", roomy=True),
)


def section(found: WhatIf) -> Section:
    """Return the section: the sentence of ``umtrace whatif``, a table of the designs, and notes."""
    first, titles = sentence(found), [_title(each) for each in found.answers]
    return Section(
        name="whatif",
        title="Other designs of the RCU wait",
        line=first[:80],
        weight=0,
        blocks=[
            Lines([*([first] if first else []), head(found)], formats=_HTML),
            Table(_COLUMNS, [_row(each) for each in found.answers], formats=_HTML),
            Lines([*titles, *notes(found)], formats=_HTML),
        ],
        data=as_dict(found),
    )


def too_many(rows: int, most: int) -> Section:
    """Return the section where the rows are too many to hold."""
    text = f"{rows:,} umounts are not simulated for this page, {most:,} are at most: umtrace whatif"
    return Section(
        name="whatif",
        title="Other designs of the RCU wait",
        line=text[:80],
        weight=0,
        blocks=[Lines([text], formats=_HTML)],
        data=None,
    )


def _row(each: Answer) -> list[object]:
    return [
        each.design.name,
        _at(each.caller.get("all", ()), _P50),
        _at(each.caller.get("all", ()), _P99),
        _at(each.caller.get("lazy", ()), _P50),
        _at(each.gone, _P50),
        _at(each.gone, _P99),
        each.waits,
        each.grace_periods,
        None if each.waits is None else each.promise,
        each.held_up if each.design.defers else None,
        each.kept,
    ]


def _at(quantiles: tuple[Quantile, ...], q: float) -> int | None:
    return next((each.ns for each in quantiles if each.q == q), None)


def _title(each: Answer) -> str:
    return f"{each.design.name}: {each.design.title}"
