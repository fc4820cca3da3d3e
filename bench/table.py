"""A Markdown section with a table."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence


def wrapped(text: str) -> str:
    """Return a paragraph in lines of 100 characters; text in backticks stays in one line."""
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.fill(whole, 100, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], below: str = "") -> str:
    """Return a heading, the table, and a paragraph below it."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
    return "\n".join([f"## {title}", "", *lines, *(["", wrapped(below)] if below else []), ""])
