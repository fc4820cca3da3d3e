"""A Markdown section with a table."""

from __future__ import annotations

from collections.abc import Sequence


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], below: str = "") -> str:
    """Return a heading, the table, and a sentence below it."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return "\n".join([f"## {title}", "", *lines, *(["", below] if below else []), ""])
