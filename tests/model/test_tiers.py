"""The table of the tiers: whole, true of the recordings there are, and in the documents."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.scripts import load_script
from umtrace.model.tiers import TIERS, names, tier_named
from umtrace.model.umounts import COLUMNS
from umtrace.probes.plan import PLACEMENTS
from umtrace.recording import Recording
from umtrace.sources import select

ROOT = Path(__file__).parents[2]
RECORDINGS = sorted((ROOT / "recordings").glob("*.umt"))
PROPERTIES = (
    "probes_functions", "probes_every_function", "counts_references", "gives_evidence",
    "reads_dentries", "names_mounts",
)  # fmt: skip
#: where a tier is made: its record, its source; fentry and kprobe are also ways to place a probe
MAKERS = ("model/tiers.py", "sources/", "probes/plan.py")
_WORDS = set(names())


@pytest.mark.parametrize("tier", TIERS, ids=names())
def test_a_tier_says_everything_of_itself(tier):
    assert all(isinstance(getattr(tier, name), bool) for name in PROPERTIES)
    assert tier.needs
    assert tier.sees
    assert tier.placement in PLACEMENTS
    assert bool(tier.placement) == tier.probes_functions
    assert tier.never <= {column.name for column in COLUMNS}
    assert tier.reads_dentries == ("mountpoint" not in tier.never)


def test_a_stand_in_is_another_tier_and_needs_less():
    for place, tier in enumerate(TIERS):
        if tier.stand_in:
            assert names().index(tier.stand_in) > place


def test_of_a_tier_that_is_not_known_nothing_is():
    tier = tier_named("newer")
    assert tier.name == "newer"
    assert [getattr(tier, name) for name in PROPERTIES] == [None] * len(PROPERTIES)
    assert not tier.never


def test_every_tier_has_a_source_and_every_source_a_tier():
    assert tuple(select.LIVE_TIERS) == names()
    assert set(select._MAKERS) == set(names())


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_know_nothing_that_their_tier_cannot(path):
    recording = Recording.open(path)
    never = sorted(tier_named(recording.meta.tier).never)
    for rows in recording.batches("umounts"):
        known = [name for name in never if rows.column(name).null_count < rows.num_rows]
        assert known == []


def test_nothing_but_its_record_and_its_source_asks_for_a_tier_by_name():
    asked = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "umtrace").rglob("*.py"))
        if not str(path.relative_to(ROOT / "umtrace")).startswith(MAKERS)
        for line in _names_a_tier(path)
    ]
    assert asked == []


def _names_a_tier(path):
    """Yield the lines that compare a tier with a name, or collect names of tiers."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            said = {ast.unparse(node.left).rpartition(".")[2]}
            against = {c.value for each in node.comparators for c in ast.walk(each) if _is_word(c)}
            if "tier" in said and against:
                yield node.lineno
        elif isinstance(node, ast.Set | ast.Tuple | ast.List | ast.Dict):
            inside = {c.value for c in ast.iter_child_nodes(node) if _is_word(c)}
            if len(inside) > 1 or inside & {"tracepoint", "ftrace", "ftrace-static"}:
                yield node.lineno


def _is_word(node):
    return isinstance(node, ast.Constant) and node.value in _WORDS


def test_the_documents_have_the_tables_as_they_are():
    assert load_script("doc_tables.py").stale() == [], "python tools/doc_tables.py --write"
