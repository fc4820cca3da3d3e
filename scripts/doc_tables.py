"""Write the tables of the documents that the code has as data; the tests hold them to it.

python scripts/doc_tables.py           print which differ; exit status 1 if any does
python scripts/doc_tables.py --write   write these
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from umtrace.records.tiers import TIERS

ROOT = Path(__file__).parent.parent


def tiers() -> str:
    """Return the table of the tiers."""
    lines = [(f"`{tier.name}`", ", ".join(tier.needs), tier.sees) for tier in TIERS]
    return table(("tier", "needs", "sees"), lines)


#: document, name of its table, what makes it
TABLES: tuple[tuple[str, str, Callable[[], str]], ...] = (("README.md", "tiers", tiers),)


def table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    rows = [heads, ("---",) * len(heads), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def filled(text: str, name: str, content: str) -> str:
    """Return a document with the content between the two marks of that name."""
    begin, end = f"<!-- begin: {name}, by scripts/doc_tables.py -->\n", f"<!-- end: {name} -->\n"
    before, _begin, rest = text.partition(begin)
    _old, _end, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def stale(*, write: bool = False) -> list[str]:
    """Return the tables that are not as the code has them; written first if asked for."""
    found = []
    for document, name, make in TABLES:
        text = (ROOT / document).read_text()
        right = filled(text, name, make())
        if right != text:
            found.append(f"{document}: the table of the {name}")
            if write:
                (ROOT / document).write_text(right)
    return found


if __name__ == "__main__":
    differing = stale(write="--write" in sys.argv)
    print(*differing, sep="\n")
    sys.exit(bool(differing) and "--write" not in sys.argv)
