"""A report within one screen of 24 lines and 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from umtrace.present.heading import heading_lines
from umtrace.present.report.as_text import report_text, sentences
from umtrace.present.report.section import Report
from umtrace.present.terminal import WIDTH, clean
from umtrace.present.units import plural
from umtrace.present.wrapping import wrap

#: 24 with the prompt below it
LINES = 23
_ABOUT = 8
_PROBLEMS = 10
_SENTENCES = 8
_SECTIONS = 3  # lines left for them, at least
_REST = "and {} more (--full)"


def short_text(report: Report) -> str:
    """Return the answer, the head, the lines of the heaviest sections, and what is left."""
    answer = [*_wrapped(report.answer), ""] if report.answer else []
    head = _head(report)
    room = LINES - len(answer) - len(head) - _SECTIONS - 3
    said = _cut(sentences(report), max(min(room, _SENTENCES), 1))
    lines = [*answer, *head, "", *said]
    if report.n_rows:
        lines += ["", *_sections(report, LINES - len(lines) - 2)]
        whole = report_text(report).count("\n")
        lines.append(f"The whole report has {plural(whole, 'line')}: --full")
    return "".join(f"{line}\n" for line in lines)


def _head(report: Report) -> list[str]:
    """Return what the recording is; what was lost or damaged goes first where room is short."""
    lines = heading_lines(report.heading, report.n_incomplete, report.n_rows)
    at = next(n for n, line in enumerate(lines) if line.startswith("losses: "))
    problems = _cut(lines[at:], _PROBLEMS)
    return [*_cut(lines[:at], min(_ABOUT, LINES // 2 - len(problems) + 1)), *problems]


def _sections(report: Report, room: int) -> list[str]:
    """Return the lines of as many sections as have room, in the order of their weights."""
    heaviest = sorted(report.sections, key=lambda section: -section.weight)
    return _cut([section.line for section in heaviest], room, "section")


def _cut(texts: Sequence[str], room: int, noun: str = "line") -> list[str]:
    """Return the texts, wrapped, of which whole ones are left out where there is no room."""
    wrapped = [_wrapped(text) for text in texts]
    if sum(map(len, wrapped)) <= room:
        return [line for lines in wrapped for line in lines]
    kept: list[str] = []
    for number, lines in enumerate(wrapped):
        if len(kept) + len(lines) > room - 1:
            return [*kept, _REST.format(plural(len(wrapped) - number, noun))]
        kept += lines
    return kept


def _wrapped(text: str) -> list[str]:
    return wrap(clean(text), WIDTH, subsequent_indent="  ") or [""]
