"""The table of the `why` matrix in docs/why.md: what each kind came to, on the host and in the lab."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

SIDES = ("host", "lab")
NOT_MADE = "not made: "
_BEGIN, _END = "<!-- begin: matrix, by scripts/why-matrix -->\n", "<!-- end: matrix -->\n"
_HEAD = (
    "| holder | seen | `why` | with `--ask-kernel` | kernel | truth | remedy | host | lab |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one kind came to on one kernel, as the columns of the table have it."""

    seen: str
    plain: str
    asked: str
    kernel: str
    truth: str
    remedy: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns from left to right."""
        return tuple(getattr(self, each.name) for each in fields(self))

    @property
    def held_called_free(self) -> bool:
        """The one that must never be."""
        return self.truth == "busy" and "free (0)" in (self.plain, self.asked)


@dataclass(frozen=True, slots=True)
class Made:
    """A result and the Linux version it is of; without a result, why there is none."""

    linux: str
    result: Result | None = None

    @property
    def cell(self) -> str:
        """What the column of the side says."""
        return self.linux if self.result else f"{NOT_MADE}{self.linux}"


#: by kind and side
Table = dict[str, dict[str, Made]]


def read(text: str) -> Table:
    """Return what the table between the marks of a document has."""
    found: Table = {}
    for row in _between(text)[1].splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 9 or cells[0] in ("holder", "---"):
            continue
        result = Result(*cells[1:7]) if cells[1] else None
        sides = found.setdefault(cells[0], {})
        for side, cell in zip(SIDES, cells[7:], strict=True):
            if cell.startswith(NOT_MADE):
                sides[side] = Made(cell.removeprefix(NOT_MADE))
            elif cell:
                sides[side] = Made(cell, result)
    return found


def merged(had: Table, side: str, made: Mapping[str, Made], order: Iterable[str]) -> Table:
    """Return the table with what was made; what was not keeps the result that it ``had``."""
    table: Table = {}
    for name in order:
        table[name] = dict(had.get(name, {}))
        old, new = table[name].get(side), made.get(name)
        if new and (new.result or not old or not old.result):
            table[name][side] = new
    return table


def write(text: str, table: Table) -> str:
    """Return the document with the table in it."""
    head, _, rest = _between(text)
    body = "\n".join([_summary(table), "", _HEAD, *_rows(table), ""])
    return f"{head}{_BEGIN}{body}{_END}{rest}"


def _between(text: str) -> tuple[str, str, str]:
    head, _, rest = text.partition(_BEGIN)
    inside, _, rest = rest.partition(_END)
    return head, inside, rest


def _rows(table: Table) -> Iterator[str]:
    for name, sides in table.items():
        results = dict.fromkeys(made.result for made in sides.values())
        if any(results):  # what was not made has no line of its own beside one that was
            results.pop(None, None)
        for number, result in enumerate(results):
            cells = result.cells if result else ("",) * 6
            shown = {
                side: made.cell
                for side, made in sides.items()
                if made.result == result or (made.result is None and number == 0)
            }
            yield f"| {' | '.join((name, *cells, *(shown.get(side, '') for side in SIDES)))} |"


def _summary(table: Table) -> str:
    results = [made.result for sides in table.values() for made in sides.values() if made.result]
    count = {
        side: sum(bool(s.get(side) and s[side].result) for s in table.values()) for side in SIDES
    }
    return (
        f"{len(table)} kinds of holders: {count['host']} made on the host, {count['lab']} in the lab.\n"
        f"Held called free: {sum(r.held_called_free for r in results)}. "
        f"Holders not named: {sum(r.seen == '**no**' for r in results)}. "
        f"Remedies that fail: {sum(r.remedy == '**fails**' for r in results)}."
    )
