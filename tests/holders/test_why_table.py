"""The table of the `why` matrix: read, changed by a run, and written."""

from __future__ import annotations

import sys

import pytest

from tests.scripts import SCRIPTS

sys.path.insert(0, str(SCRIPTS))

from why_table import Made, Result, merged, read, write

DOCUMENT = "before\n<!-- begin: matrix, by scripts/why-matrix -->\n<!-- end: matrix -->\nafter\n"
HELD = Result("cwd mount", "held (11)", "held (11)", "busy", "busy", "works")
SEEN_LESS = Result("**no**", "nobody-seen (14)", "held (11)", "busy", "busy", "**fails**")


@pytest.mark.parametrize(
    "table",
    [
        {"a": {"host": Made("6.18.44", HELD), "lab": Made("6.12.118", HELD)}},
        {"a": {"host": Made("6.18.44", HELD), "lab": Made("6.12.118", SEEN_LESS)}},
        {"a": {"host": Made("no mdadm"), "lab": Made("6.12.118", HELD)}},
        {"a": {"host": Made("no mdadm"), "lab": Made("no md")}},
        {"a": {"lab": Made("6.12.118", HELD)}, "b": {"host": Made("6.18.44", HELD)}},
    ],
)
def test_what_is_written_is_read_again(table):
    text = write(DOCUMENT, table)
    assert text.startswith("before\n")
    assert text.endswith("-->\nafter\n")
    assert read(text) == table
    assert write(text, table) == text


def test_sides_that_agree_share_a_line_and_others_have_one_each():
    same = {"a": {"host": Made("6.18.44", HELD), "lab": Made("6.12.118", HELD)}}
    unlike = {"a": {"host": Made("6.18.44", HELD), "lab": Made("6.12.118", SEEN_LESS)}}
    assert write(DOCUMENT, same).count("| a |") == 1
    text = write(DOCUMENT, unlike)
    assert text.count("| a |") == 2
    assert "Holders not named: 1. Remedies that fail: 1." in text


def test_a_kind_that_is_held_and_called_free_is_counted():
    wrong = Result("cwd mount", "held (11)", "free (0)", "free", "busy", "works")
    text = write(DOCUMENT, {"a": {"host": Made("6.18.44", wrong)}})
    assert "Held called free: 1." in text


def test_a_run_replaces_what_it_made_and_keeps_the_rest():
    had = {
        "a": {"host": Made("5.10.1", HELD), "lab": Made("6.12.1", HELD)},
        "b": {"host": Made("5.10.1", HELD)},
        "gone": {"host": Made("5.10.1", HELD)},
    }
    made = {"a": Made("6.18.44", SEEN_LESS), "b": Made("no mdadm"), "new": Made("no xfs")}
    assert merged(had, "host", made, ["a", "b", "new"]) == {
        "a": {"host": Made("6.18.44", SEEN_LESS), "lab": Made("6.12.1", HELD)},
        "b": {"host": Made("5.10.1", HELD)},
        "new": {"host": Made("no xfs")},
    }
