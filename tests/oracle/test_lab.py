"""What is kept of a run on kernels of the lab, and what is run again."""

from __future__ import annotations

import pytest

from tests.oracle.lab import Results, complete, tree

TIERS = ["fentry", "kprobe", "ftrace"]


class Guests:
    """Boots that end early: each runs the number of tiers that is its turn."""

    def __init__(self, *ends_after):
        self.asked = []
        self._ends = list(ends_after)

    def boot(self, tiers):
        self.asked.append(list(tiers))
        for tier in tiers[: self._ends.pop(0) if self._ends else None]:
            yield {"asked": tier, "differences": [], "seen": []}


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "new" / "6.12.jsonl", "this tree")


def test_a_guest_that_ends_early_is_followed_by_one_for_the_rest(results):
    guests = Guests(1)
    complete(TIERS, results, guests.boot)
    assert guests.asked == [TIERS, TIERS[1:]]
    assert list(results.of_this_tree()) == TIERS


def test_a_tier_that_ends_every_guest_is_left_out_after_two(results):
    guests = Guests(1, 0, 0)
    complete(TIERS, results, guests.boot)
    assert guests.asked == [TIERS, TIERS[1:], TIERS[1:], TIERS[2:]]
    assert list(results.of_this_tree()) == ["fentry", "ftrace"]


def test_what_is_kept_of_these_sources_is_not_run_again(results):
    complete(TIERS[:1], results, Guests().boot)
    guests = Guests()
    complete(TIERS, results, guests.boot)
    assert guests.asked == [TIERS[1:]]


def test_what_is_kept_of_other_sources_is_run_again(results):
    complete(TIERS, Results(results.file, "another tree"), Guests().boot)
    assert results.of_this_tree() == {}
    guests = Guests()
    complete(TIERS, results, guests.boot)
    assert guests.asked == [TIERS]


def test_other_probes_are_other_sources(tmp_path):
    (tmp_path / "bpf").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "bpf" / "tree.c").write_text("a")
    first = tree(tmp_path)
    (tmp_path / "docs" / "x.md").write_text("b")
    assert tree(tmp_path) == first
    (tmp_path / "bpf" / "tree.c").write_text("b")
    assert tree(tmp_path) != first
