"""A file has at most 400 lines, a function at most 50 with its decorators: no exceptions."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("umtrace", "lab", "bench", "tools", "scripts", "tests", "bpf")
MOST_OF_A_FILE = 400
MOST_OF_A_FUNCTION = 50


def _code(name):
    """Whether a tracked file is code: by its suffix, or a program by its first line."""
    path = ROOT / name
    if path.suffix in {".py", ".c", ".h", ".sh", ".html"}:
        return path.is_file()
    return not path.suffix and path.is_file() and path.read_bytes().startswith(b"#!")


@pytest.fixture(scope="module")
def code():
    """The text of each file of code, by its name."""
    names = subprocess.check_output(["git", "ls-files", *FOLDERS], cwd=ROOT, text=True)
    return {name: (ROOT / name).read_text() for name in names.splitlines() if _code(name)}


def _is_python(name, text):
    return name.endswith(".py") or "python" in text.split("\n", 1)[0]


def _functions(text):
    """Yield name and number of lines of each function, from its first decorator on."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(line.lineno for line in node.decorator_list)])
            yield node.name, node.end_lineno - first + 1


def test_files(code):
    lines = {name: len(text.splitlines()) for name, text in code.items()}
    assert {name: n for name, n in lines.items() if n > MOST_OF_A_FILE} == {}


def test_functions(code):
    lengths = [
        (name, function, n)
        for name, text in code.items()
        if _is_python(name, text)
        for function, n in _functions(text)
    ]
    assert len(lengths) > 1000  # they are found at all
    assert [each for each in lengths if each[-1] > MOST_OF_A_FUNCTION] == []
