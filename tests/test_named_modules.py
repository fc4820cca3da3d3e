"""Scripts, texts of child processes and documents name modules that exist."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_KINDS = (".py", ".md", ".toml", ".c", ".h", ".ipynb", "")
_NAMED = re.compile(r"(?<![\w/.-])((?:umtrace|tests)(?:\.[a-z_]\w*){2,})(?<!\._)")
_FROM = re.compile(r"\bfrom (umtrace(?:\.\w+)*) import (\w+)")
_FILE = re.compile(r"(?<![\w/])((?:umtrace|tests|bench|lab|scripts|bpf)/[\w/]+\.(?:py|c|h))\b")
#: what is named as an example, or is no module
_NOT_OURS = {"umtrace/present/sections/NAME.py", "umtrace/says.py"}


def tracked():
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return [
        ROOT / name
        for name in names
        if Path(name).suffix in _KINDS and not name.startswith(("recordings/", "LICENSE"))
    ]


def texts():
    for path in tracked():
        if path.is_file() and path.name != "CHANGELOG.md":
            yield path.relative_to(ROOT), path.read_text(errors="replace")


@lru_cache
def exists(name):
    """Whether it is a module, or something in one; a test's name is not looked up."""
    parts = name.split(".")
    found = max((n for n in range(1, len(parts) + 1) if _is_module(".".join(parts[:n]))), default=0)
    if not found or found == len(parts):
        return bool(found)
    path = ROOT.joinpath(*parts[:found])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.is_file() and re.search(rf"\b{parts[found]}\b", file.read_text()) is not None


@lru_cache
def _is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


@pytest.fixture(scope="module")
def documents():
    return list(texts())


def test_modules(documents):
    missing = {
        f"{path}: {name}"
        for path, text in documents
        for name in _NAMED.findall(text)
        if not exists(name)
    }
    assert missing == set()


def test_what_is_imported_from_a_package(documents):
    missing = {
        f"{path}: {package}.{name}"
        for path, text in documents
        for package, name in _FROM.findall(text)
        if not _is_module(package) or (_is_package(package) and not _has(package, name))
    }
    assert missing == set()


def _is_package(name):
    return ROOT.joinpath(*name.split(".")).is_dir()


def _has(package, name):
    if _is_module(f"{package}.{name}"):
        return True
    return name in ROOT.joinpath(*package.split("."), "__init__.py").read_text()


def test_files(documents):
    missing = {
        f"{path}: {name}"
        for path, text in documents
        for name in _FILE.findall(text)
        if name not in _NOT_OURS and not (ROOT / name).exists()
    }
    assert missing == set()
