"""What a report is made of: sections of lines, tables and bars that know no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeAlias

from umtrace.present.heading import Heading

#: the formats that walk the blocks; JSON takes a section's ``data``
BLOCK_FORMATS = ("text", "markdown", "csv", "html")
#: the formats for people
READ = ("text", "markdown", "html")
#: a cell with nothing in it; None is unknown
BLANK = ""


class Kind(Enum):
    """What the values of a column are, and so how each format writes them.

    None in a column of any kind is unknown: `-` for people, empty in CSV.
    """

    TEXT = "text"  #: gives way where a line has no room
    WORD = "word"  #: short text, never cut
    COUNT = "count"
    DURATION_NS = "duration_ns"
    PERCENT = "percent"  #: a share, 0 to 1
    BAR = "bar"  #: a share, 0 to 1, drawn; CSV has no such column
    PHASE = "phase"  #: the column of a phase, as `rcu_ns`
    VERDICT = "verdict"  #: whether an EBUSY was spurious; None is a verdict too


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a `Table`.

    Attributes
    ----------
    name : str
        What CSV calls it, with its unit: `rcu_ns`.
    title : str, optional
        What people read; by default the name without its unit. Its lines stand below one another.
    least : int
        Characters that it takes at least in text.
    right : bool, optional
        Whether it is flush right; by default what is no text is.
    roomy : bool
        Whether a narrow screen leaves it out.
    """

    name: str
    kind: Kind = Kind.TEXT
    title: str | None = None
    least: int = 0
    right: bool | None = None
    roomy: bool = False

    @property
    def heading(self) -> str:
        """The title, or the name without its unit."""
        if self.title is None:
            return self.name.removesuffix("_ns").replace("_", " ")
        return self.title

    @property
    def is_right(self) -> bool:
        """Whether the column is flush right."""
        if self.right is None:
            return self.kind not in {Kind.TEXT, Kind.WORD, Kind.PHASE, Kind.BAR, Kind.VERDICT}
        return self.right


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one a line."""

    texts: Sequence[str]
    formats: Sequence[str] = READ


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of raw values; a tuple is several values, one below the other."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    formats: Sequence[str] = BLOCK_FORMATS


@dataclass(frozen=True, slots=True)
class Bin:
    """How many durations are in ``[low_ns, high_ns)``; None is no limit."""

    low_ns: int | None
    high_ns: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram of durations, its bins in order and without a gap."""

    title: str
    bins: Sequence[Bin]
    formats: Sequence[str] = READ


Block: TypeAlias = Lines | Table | Bars


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One subject of a report, in every format.

    Each of `BLOCK_FORMATS` has a block of it, CSV just one; tests/present/test_sections.py sees
    to that.

    Attributes
    ----------
    name : str
        The key in JSON, the word for ``--section``, and the name of the section's file.
    line : str
        All of it in one line, for a short page; at best 80 characters.
    weight : int
        The heaviest sections are on a short page.
    data
        What JSON has under the name; null is unknown.
    """

    name: str
    title: str
    line: str
    weight: int
    blocks: Sequence[Block]
    data: Any

    def blocks_of(self, name: str) -> list[Block]:
        """Return the blocks for a format."""
        return [block for block in self.blocks if name in block.formats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A head and its sections.

    Attributes
    ----------
    n_rows, n_incomplete : int
        Umounts that the report is about; those that lost an event.
    answer : str
        One sentence that answers; it stands above all else.
    verdict, notes : sequence of str
        What it all means, and what a reader must know before trusting it.
    """

    heading: Heading
    n_rows: int
    n_incomplete: int
    answer: str = ""
    verdict: Sequence[str] = ()
    notes: Sequence[str] = ()
    sections: Sequence[Section] = field(default_factory=tuple)

    def only(self, names: Sequence[str]) -> Report:
        """Return the report with these sections alone, in its order; all for no names."""
        if not names:
            return self
        return replace(self, sections=[each for each in self.sections if each.name in names])
