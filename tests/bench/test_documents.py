"""docs/: each command parses, each link leads somewhere, the index lists each page."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from bench import page as costs
from tests.scripts import load_script
from umtrace.cli.main import umtrace

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "notebooks")
_FENCED = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
_TYPED = re.compile(r"(?:[#$] )?umtrace ([a-z]+)(.*)")


def name(page):
    return str(page.relative_to(DOCS))


def commands(page):
    """Return the umtrace commands in the fenced blocks of a page: name and arguments."""
    lines = [line for block in _FENCED.findall(page.read_text()) for line in block.splitlines()]
    found = filter(None, map(_TYPED.fullmatch, lines))
    return [(match[1], re.split(r" -- |; | [#>|]", match[2])[0].split()) for match in found]


def anchors(page):
    """Return the anchors that GitHub makes of the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", h)) for h in heads)
    return {f"#{word.strip().lower().replace(' ', '-')}" for word in words}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_parse(page):
    for command, arguments in commands(page):
        found = umtrace.get_command(click.Context(umtrace), command)
        assert found, f"{command} is no command"
        found.make_context(command, arguments)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_lead_somewhere(page):
    for link, anchor in _LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if link.startswith("http"):
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), f"{link}{anchor}"


@pytest.mark.parametrize("folder", [DOCS, DOCS / "decisions"], ids=name)
def test_the_index_lists_each_page(folder):
    index = folder / "README.md"
    listed = {(folder / link).resolve() for link, _ in _LINK.findall(index.read_text())}
    decisions = {page for page in PAGES if page.parent.name == "decisions"}
    pages = decisions if folder.name == "decisions" else set(PAGES) - decisions
    assert pages - {index} <= listed


def prose(page):
    """Return a page without its fenced blocks and without what is written by a script."""
    text = re.sub(r"<!-- begin: .*?<!-- end: [^>]*-->", "", page.read_text(), flags=re.DOTALL)
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_prose_is_wrapped_and_has_plain_words(page):
    lines = prose(page).splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []
    private = r"\b(told|tells?|untold|in vain|lets? go|whoever|who was)\b"
    assert re.findall(private, prose(page), re.IGNORECASE) == []


def test_the_page_of_costs_is_written_from_the_results(tmp_path):
    costs.write(ROOT / "bench/results", tmp_path / "overhead.md")
    assert (tmp_path / "overhead.md").read_text() == (DOCS / "overhead.md").read_text()


def test_the_page_on_kernels_has_the_prose_of_its_generator():
    script, text = load_script("kernels_table.py"), (DOCS / "kernels.md").read_text()
    parts = ("HEAD", "TOGETHER", "SHARE", "AFTER_SHARE", "PAIRS", "AFTER_PAIRS", "READS", "WITNESS")
    assert [part for part in parts if getattr(script, part).strip() not in text] == []
