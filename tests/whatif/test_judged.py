"""The comparison of what was predicted with what a kernel did, repeated from bundled recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scripts import load_script

ROOT = Path(__file__).parents[2]
JUDGED = ROOT / "lab/designs/judged.json"
BUNDLED = ROOT / "recordings/designs"
DESIGNS = ("A", "B", "B2", "C", "D")

judging = load_script("judging.py")
argument = load_script("argument.py")


@pytest.fixture(scope="module")
def raw():
    return json.loads(JUDGED.read_text())


@pytest.fixture(scope="module")
def runs():
    return {design: judging.Run(BUNDLED / design) for design in DESIGNS}


def committed(raw, seed, load, design):
    key = (seed, load, design)
    (row,) = [r for r in raw["results"] if (r["seed"], r["load"], r["design"]) == key]
    return row


@pytest.mark.parametrize("design", DESIGNS)
def test_the_bundled_recordings_give_the_same_numbers(raw, runs, design):
    seed = runs["A"].ledger["seed"]
    for load in runs["A"].loads:
        row = committed(raw, seed, load, design)
        assert judging.predicted(runs["A"], load, design) == row["predicted"]
        assert json.loads(json.dumps(judging.observed(runs[design], load))) == row["observed"]


@pytest.mark.parametrize("design", DESIGNS)
def test_the_bundled_recordings_are_of_their_design(runs, design):
    assert runs[design].ledger["design"] == design
    assert runs[design].ledger["seed"] == runs["A"].ledger["seed"]
    assert runs[design].recording.umounts["complete"].all()


@pytest.mark.parametrize("design", DESIGNS)
def test_who_waits_is_predicted_exactly(runs, design):
    for load in set(runs["A"].loads) - {"held"}:
        ours = judging.predicted(runs["A"], load, design)["counts"]["waits"]
        theirs = judging.observed(runs[design], load)["counts"]["waits"]
        assert ours == theirs, load


def test_n_held_is_what_the_kernel_counted(runs):
    for load in runs["D"].loads:
        compared, equal, differ = judging.held_beside_kernel(runs["D"], load)
        assert compared > 0
        assert (equal, differ) == (compared, [])


def test_the_page_is_made_of_the_committed_results(raw):
    on_rt = JUDGED.with_name("judged-rt.json")
    rt = json.loads(on_rt.read_text()) if on_rt.is_file() else None
    assert (ROOT / "docs/argument.md").read_text() == argument.page(raw, rt)


def test_a_tolerance_is_of_the_noise():
    assert judging.tolerance(0.02) == 0.15
    assert judging.tolerance(0.2) == 0.4
    assert judging.apart(90, 100) == pytest.approx(0.1)


def test_operations_that_only_one_has_are_no_agreement():
    assert list(judging._pairs([0, 0], [0])) == [(0, -1), (0, -1)]
    assert list(judging._pairs([0, 1], [0, 1])) == [(0, 0), (1, 1)]


def test_a_wrong_order_is_counted():
    def cell(design, ours, theirs):
        times = [{"lazy": dict.fromkeys(judging._names(), ns)} for ns in (ours, theirs)]
        both = {"predicted": {"times": times[0]}, "observed": {"times": times[1]}}
        return {"load": "one", "seed": 1, "design": design, **both}

    rows = [cell("A", 100, 100), cell("B", 10, 20), cell("C", 300, 50)]
    # A before C is predicted the wrong way round, for each of two quantities.
    assert judging.order_right(rows, {}) == (4, 6)
