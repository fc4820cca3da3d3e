"""docs/glossary.md: not too many terms, and every name in it exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from umtrace.model import umounts, windows
from umtrace.model.kinds import ORIGINS
from umtrace.model.tiers import names
from umtrace.present.times import QUANTILES

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/glossary.md").read_text().splitlines()
    if line.startswith("| ")
][2:]
_COLUMNS = {
    "umounts": {column.name for column in umounts.COLUMNS},
    "windows": {column.name for column in windows.COLUMNS},
}
_C = {
    word for path in (ROOT / "bpf").glob("*.[ch]") for word in re.findall(r"\w+", path.read_text())
}


def _names(cell):
    return [] if cell == "-" else re.findall(r"`([^`]+)`", cell)


def test_there_are_at_most_36_terms_in_order():
    terms = [row[0] for row in ROWS]
    assert 20 <= len(terms) <= 36
    assert terms == sorted(set(terms), key=str.lower)
    assert all(len(row) == 4 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_names_exist(row):
    _term, _meaning, c, python = row
    assert c == "-" or _names(c)
    assert python == "-" or _names(python)
    for name in _names(c):
        assert name in _C, f"no {name} in bpf/"
    for name in _names(python):
        module, _, last = name.rpartition(".")
        if module in _COLUMNS:
            assert last in _COLUMNS[module], f"no column {last}"
        else:
            assert hasattr(importlib.import_module(f"umtrace.{module}"), last), name


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("phase", [umounts.WORDS[name] for name in umounts.PHASES]),
        ("tier", names()),
        ("origin", ORIGINS),
        ("probe plan", ["ok", "substitute", "in part", "lost", "not used"]),
        ("mode", ["sync", "lazy", "`-`"]),
        ("spurious", ["spurious", "real"]),
        ("p50, p90, p99", QUANTILES),
        ("path walk, walker", ["walker"]),
    ],
)
def test_what_a_report_or_doctor_prints_is_explained(term, words):
    ((_, meaning, *_),) = [row for row in ROWS if row[0] == term]
    assert [word for word in words if word not in f"{term} {meaning}"] == []


@pytest.mark.parametrize(
    "name",
    ["README.md", "CHANGELOG.md", *(f"docs/{n}.md" for n in ("python", "analysis", "recording"))],
)
def test_documents_use_plain_words(name):
    text = (ROOT / name).read_text()
    private = r"\b(told|tells?|untold|in vain|lets? go|who(?:ever)? (?:was|holds)|looks)\b"
    assert not re.findall(private, text, re.IGNORECASE)
    fenced = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    lines = [line for line in fenced.sub("", text).splitlines() if not line.startswith(("|", "!["))]
    assert [line for line in lines if len(line) > 100] == []
