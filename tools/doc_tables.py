"""Write the parts of the documents that the code has as data; the tests hold them to it.

python tools/doc_tables.py           print which differ; exit status 1 if any does
python tools/doc_tables.py --write   write these
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # bench is not installed

from bench import readme  # noqa: E402
from umtrace.analysis.column_docs import description_of, unit_of  # noqa: E402
from umtrace.model.tiers import TIERS  # noqa: E402
from umtrace.model.umounts import COLUMNS, SCHEMA, Use  # noqa: E402
from umtrace.probes.purposes import PURPOSES  # noqa: E402
from umtrace.teardowns import SCHEMA as TEARDOWNS  # noqa: E402
from umtrace.whatif.tables import DESIGN_COLUMNS, TIME_COLUMNS  # noqa: E402


def tiers() -> str:
    """Return the table of the tiers."""
    lines = [(f"`{tier.name}`", ", ".join(tier.needs), tier.sees) for tier in TIERS]
    return table(("tier", "needs", "sees"), lines)


def costs() -> str:
    """Return the table of what umtrace costs beside other tools, from bench/results/."""
    return table(("what", "umtrace", "other tools", "command"), readme.costs())


def transcript(command: str, until: str = "") -> Callable[[], str]:
    """Return what makes a fenced block of a command and its answer, up to some text if given."""
    return lambda: _run(command.split(), until)


def _run(arguments: list[str], until: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "umtrace", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    shown, found, _rest = answer.partition(until) if until else (answer, "all", "")
    if not found:
        raise ValueError(f"umtrace {' '.join(arguments)}: no {until!r} in its answer")
    return f"```\n$ umtrace {' '.join(arguments)}\n{shown.rstrip()}\n```\n"


def columns() -> str:
    """Return the table of the columns of an umount."""
    lines = []
    for column, field in zip(COLUMNS, SCHEMA, strict=True):
        uses = column.use or Use.NOTHING
        never = [f"`{tier.name}`" for tier in TIERS if column.name in tier.never]
        if any(column.name in tier.never_light for tier in TIERS):
            never.append("`--probes light`")
        key = "yes" if Use.KEY in uses else ""
        cells = (
            f"`{column.name}`",
            str(field.type),
            unit_of(field),
            column.doc,
            key,
            ", ".join(never),
        )
        lines.append(cells)
    heads = ("column", "type", "unit", "meaning", "`--by`", "never known to")
    return table(heads, lines)


def purposes() -> str:
    """Return the table of what is probed, from the purposes that the plan chooses for."""
    lines = []
    for purpose in PURPOSES:
        functions = ", ".join(f"`{each.function}`" for each in purpose.candidates)
        cost = purpose.paid_by or ("each path walk" if purpose.hot else "")
        lines.append((purpose.name, functions, purpose.why, purpose.lost, cost))
    return table(("purpose", "functions", "why there", "unknown without it", "paid by"), lines)


def numbers(schema: pa.Schema) -> Callable[[], str]:
    """Return what makes the table of the columns of a schema."""
    lines = [(f"`{f.name}`", str(f.type), unit_of(f), description_of(f)) for f in schema]
    return lambda: table(("column", "type", "unit", "meaning"), lines)


_FIRST = "report recordings/first-look.umt"
_SLOW = "report recordings/lab-6.12-rt.umt"
_TRANSIENT = "ebusy recordings/lab-ebusy.umt --class transient-ref"
_DIFF = "diff recordings/lab-6.12.umt recordings/lab-6.12-rt.umt"
#: document, name of the part, what makes it
TABLES: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("README.md", "first run", transcript(_FIRST)),
    ("README.md", "tiers", tiers),
    ("README.md", "costs", costs),
    ("docs/events.md", "columns", columns),
    ("docs/probes.md", "purposes", purposes),
    ("docs/teardowns.md", "teardowns", numbers(TEARDOWNS)),
    ("docs/python.md", "designs", numbers(DESIGN_COLUMNS)),
    ("docs/python.md", "times", numbers(TIME_COLUMNS)),
    ("docs/use/slow-container.md", "report", transcript(f"{_SLOW} --full", "\nPhases of lazy")),
    (
        "docs/use/slow-container.md",
        "origins",
        transcript(f"{_FIRST} --full --by origin", "\nPhases of"),
    ),
    ("docs/use/busy.md", "transient", transcript(_TRANSIENT, "\n   3  16:06:55.539")),
    ("docs/use/compare.md", "diff", transcript(_DIFF, "\nlazy: 429 umounts")),
)


def table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    rows = [heads, ("---",) * len(heads), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def filled(text: str, name: str, content: str) -> str:
    """Return a document with new content between the two marks of that name."""
    begin, end = f"<!-- begin: {name}, by tools/doc_tables.py -->\n", f"<!-- end: {name} -->\n"
    before, _begin, rest = text.partition(begin)
    _old, _end, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def stale(*, write: bool = False) -> list[str]:
    """Return the parts that are not as the code has them, and write them if asked to."""
    found = []
    for document, name, make in TABLES:
        text = (ROOT / document).read_text()
        right = filled(text, name, make())
        if right != text:
            found.append(f"{document}: {name}")
            if write:
                (ROOT / document).write_text(right)
    return found


if __name__ == "__main__":
    differing = stale(write="--write" in sys.argv)
    print(*differing, sep="\n")
    sys.exit(bool(differing) and "--write" not in sys.argv)
