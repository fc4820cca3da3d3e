"""A distribution that is installed with umtrace is one that it imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [*PROJECT["dependencies"], *EXTRAS["report"]]
NAMES = [re.split(r"[<>=~! ]", wanted)[0] for wanted in WANTED]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


@pytest.fixture(scope="module")
def modules():
    files = (ROOT / "umtrace").rglob("*.py")
    return {name.partition(".")[0] for file in files for name in imported(file)}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_imported(modules, name):
    assert name.replace("-", "_") in modules
