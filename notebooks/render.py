"""Run the notebooks and write what they show as Markdown: `docs/notebooks/`.

.venv/bin/python notebooks/render.py
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
TARGET = HERE.parent / "docs" / "notebooks"
_STYLE = re.compile(r"<style.*?</style>|</?div[^>]*>|\n\s*(?=<)", re.DOTALL)


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(HERE)}}
        NotebookClient(notebook, timeout=300, resources=resources).execute()
        text = "\n\n".join(_parts(notebook.cells, path.stem)) + "\n"
        (TARGET / f"{path.stem}.md").write_text(text, encoding="utf-8")


def _parts(cells: list[Any], stem: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            yield cell.source
            continue
        yield f"```python\n{cell.source}\n```"
        for output in cell.outputs:
            yield _shown(output, f"{stem}-{number:02}.png")


def _shown(output: Any, picture: str) -> str:
    if output.output_type == "stream":
        return f"```\n{output.text.rstrip()}\n```"
    data = output.data
    if "image/png" in data:
        (TARGET / picture).write_bytes(base64.b64decode(data["image/png"]))
        return f"![]({picture})"
    if "text/html" in data:
        return _STYLE.sub("", data["text/html"]).strip()
    return f"```\n{data['text/plain'].rstrip()}\n```"


if __name__ == "__main__":
    main()
