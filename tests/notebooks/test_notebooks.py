"""The notebooks run, on the recordings of the repository, and are stored without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
RENDERED = FOLDER.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _read(path):
    return nbformat.read(path, as_version=4)


def test_there_are_some():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_without_outputs_and_asks_one_question(path):
    cells = _read(path).cells
    assert cells[0].source.split("\n")[0].endswith("?")
    for cell in cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_rendered_as_it_is_now(path):
    """`python notebooks/render.py` writes docs/notebooks; forgotten, a text or cell differs."""
    rendered = (RENDERED / f"{path.stem}.md").read_text()
    for cell in _read(path).cells:
        assert cell.source in rendered
    for picture in re.findall(r"!\[\]\((.*?)\)", rendered):
        assert (RENDERED / picture).is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own threads and sockets
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path):
    notebook = _read(path)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}})
    client.execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    # A warning would be on stderr, and in everybody's copy of the notebook.
    assert not [o for o in outputs if o.get("name") == "stderr"]
