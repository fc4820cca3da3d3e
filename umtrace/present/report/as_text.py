"""A report as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import JustifyMethod, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from umtrace.present.bars import bars
from umtrace.present.heading import Heading, heading_lines
from umtrace.present.report.cells import shown, stacked
from umtrace.present.report.section import (
    Bars,
    Block,
    Column,
    Kind,
    Lines,
    Report,
    Section,
    Table,
)
from umtrace.present.report.walk import walk
from umtrace.present.terminal import WIDTH, bar, clean, render
from umtrace.present.wrapping import wrap

_BAR_WIDTH = 18
_GAP = 2
_LEAST = 8
_Parts = list[RenderableType]


def report_text(report: Report, width: int = WIDTH) -> str:
    """Return the report, ending in a newline; of no umounts it says what to do.

    Parameters
    ----------
    width : int
        Columns; 80 is what it is made for.
    """
    head = heading_lines(report.heading, report.n_incomplete, report.n_rows)
    answer = [report.answer, ""] if report.answer else []
    first = [*answer, *head, "", *sentences(report)]
    parts: _Parts = [_folded(clean(line), width) for line in first]
    for written in walk(report.sections, TextFormat(width)):
        parts += ["", *written] if written else []
    return render(parts, width)


def sentences(report: Report) -> list[str]:
    """Return what the report comes to, and its notes; what to do where it has no umount."""
    if not report.n_rows:
        return [nothing(report.heading)]
    return [*report.verdict, *(f"Note: {note}" for note in report.notes)]


def nothing(heading: Heading) -> str:
    """Return why there is no umount, and what to do."""
    if heading.problems:
        passing = " passes the filter" if heading.filtered else ""
        return f"No umount in what could be read{passing}; the damage is named above."
    if heading.filtered:
        return "No umount in this recording passes the filter; try without it."
    return (
        "No umount was recorded. While `umtrace record` runs, umount something, "
        "or try `umtrace record -- umtrace exercise`."
    )


class TextFormat:
    """Lines of up to ``width`` characters; a section without any is left out."""

    name = "text"

    def __init__(self, width: int = WIDTH) -> None:
        self._width = width

    def lines(self, block: Lines) -> _Parts:
        """Return each sentence, to be wrapped."""
        return [_folded(line, self._width) for line in block.texts]

    def table(self, block: Table) -> _Parts:
        """Return a table under its title."""
        title = [Text(block.title)] if block.title else []
        return [*title, *([_table(block, self._width)] if block.rows else [])]

    def bars(self, block: Bars) -> _Parts:
        """Return a line for each bin, under the title."""
        return [Text(block.title), *map(Text, bars(block.bins, self._width))]

    def section(self, section: Section, parts: list[_Parts]) -> _Parts:
        """Join the blocks; one with a title stands apart from what is above it."""
        joined: _Parts = []
        for block, part in zip(section.blocks_of(self.name), parts, strict=True):
            joined += ["", *part] if joined and part and _has_title(block) else part
        return joined


def _folded(text: str, width: int) -> Text:
    return Text("\n".join(line for part in text.split("\n") for line in wrap(part, width) or [""]))


def _has_title(block: Block) -> bool:
    return not isinstance(block, Lines) and bool(block.title)


def _table(block: Table, width: int) -> RichTable:
    cells = [[_cell(c, v) for c, v in zip(block.columns, row, strict=True)] for row in block.rows]
    widths = [
        max(column.least, _widest([column.heading, *(row[place] for row in cells)]))
        for place, column in enumerate(block.columns)
    ]
    fixed = [n for n, c in zip(widths, block.columns, strict=True) if c.kind is not Kind.TEXT]
    gaps = len(widths) - 1
    gap = _GAP if width - sum(widths) >= _GAP * gaps else _GAP - 1
    # rich takes from every column at once, so the part of each text is worked out here.
    texts = [n for n, c in zip(widths, block.columns, strict=True) if c.kind is Kind.TEXT]
    most = iter(_shared(texts, width - sum(fixed) - (_GAP - 1) * gaps))
    # The box itself puts one blank between columns.
    table = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0)
    )
    for column, natural in zip(block.columns, widths, strict=True):
        side: JustifyMethod = "right" if column.is_right else "left"
        limits: dict[str, Any] = {"min_width": natural}  # a number cut short would be a wrong one
        if column.kind is Kind.TEXT:
            limits = {"max_width": next(most), "overflow": "ellipsis"}
        table.add_column(Text(column.heading), justify=side, no_wrap=True, **limits)
    for row in cells:
        table.add_row(*map(Text, row))  # Text: a task called "[red]" is not markup
    return table


def _cell(column: Column, value: Any) -> str:
    if column.kind is Kind.BAR:
        return bar(value or 0.0, _BAR_WIDTH)
    return "\n".join(shown(column.kind, part) for part in stacked(value))


def _widest(cells: Sequence[str]) -> int:
    return max(len(line) for cell in cells for line in cell.split("\n"))


def _shared(widths: Sequence[int], room: int) -> Iterator[int]:
    """Yield the most each text may take of the room: short ones leave theirs to the others."""
    left, most = room, {}
    for number, (natural, place) in enumerate(sorted((n, i) for i, n in enumerate(widths))):
        most[place] = max(min(natural, left // (len(widths) - number)), _LEAST)
        left -= most[place]
    yield from (most[place] for place in range(len(widths)))
