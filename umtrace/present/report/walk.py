"""The walk over the sections of a report, the same for each format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from umtrace.present.report.section import Bars, Block, Lines, Section, Table

Part = TypeVar("Part")
Whole_co = TypeVar("Whole_co", covariant=True)


class Format(Protocol[Part, Whole_co]):
    """How a format writes each kind of block, and a section of what these became."""

    name: str

    def lines(self, block: Lines) -> Part:
        """Write sentences."""

    def table(self, block: Table) -> Part:
        """Write a table."""

    def bars(self, block: Bars) -> Part:
        """Write a histogram."""

    def section(self, section: Section, parts: list[Part]) -> Whole_co:
        """Join the parts of a section."""


def walk(sections: Sequence[Section], form: Format[Part, Whole_co]) -> list[Whole_co]:
    """Return each section as the format writes it."""
    return [
        form.section(section, [_written(block, form) for block in section.blocks_of(form.name)])
        for section in sections
    ]


def _written(block: Block, form: Format[Part, Whole_co]) -> Part:
    if isinstance(block, Lines):
        return form.lines(block)
    return form.table(block) if isinstance(block, Table) else form.bars(block)
