"""The table of docs/engines.md, from the results of runs.

``python -m tests.lab.engines.table FILE…`` writes it; each FILE is an engines.jsonl.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "engines.md"
BEGIN, END = "<!-- table: engines -->\n", "<!-- end of table -->\n"
HEAD = """| engine | kernel | tier | containers | umounts | right owner | missing | wrong |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
"""


def read(paths):
    """Return the runs that ended, the last one of each kind."""
    runs = {}
    for path in paths:
        for line in Path(path).read_text().splitlines():
            run = json.loads(line)
            if "failed" not in run:
                key = (run["engine"], run["kernel"].split("-")[0], run["tier"], run["containers"])
                runs[key] = run
    return runs


def rows(runs):
    """Yield the lines of the table."""
    for (engine, kernel, tier, containers), run in sorted(runs.items()):
        total = run["right"] + run["missing"] + run["wrong"]
        share = f"{100 * run['right'] / total:.1f} %" if total else "-"
        cells = (engine, kernel, tier, containers, total, share, run["missing"], run["wrong"])
        yield "| " + " | ".join(map(str, cells)) + " |\n"


def write(paths, page=PAGE):
    """Put the table between its marks in the page."""
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    table = HEAD + "".join(rows(read(paths)))
    page.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
