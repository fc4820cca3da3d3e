"""A column of the Umount row is in all that is made of rows: what is forgotten fails here."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.scripts import load_script
from umtrace.analysis import style
from umtrace.cli import hist
from umtrace.cli.main import umtrace
from umtrace.model.umounts import COLUMNS, PHASES, WORDS, Use, columns_with
from umtrace.stats.groups import KEYS
from umtrace.stats.placement import PLACED

DURATIONS = [column.name for column in COLUMNS if column.name.endswith("_ns")]


@pytest.mark.parametrize("column", COLUMNS, ids=[column.name for column in COLUMNS])
def test_a_column_says_what_it_means_and_what_it_is_for(column):
    assert column.doc
    assert column.use is not None, "decide its use, Use.NOTHING if there is none"
    assert bool(column.word) == (column.name in DURATIONS)
    if Use.PHASE in column.use:
        assert column.name in DURATIONS
    if column.use & (Use.KEY | Use.CATEGORY):
        assert column.name not in DURATIONS


def test_every_duration_can_be_drawn_as_a_histogram():
    assert [f"{name}_ns" for name in hist._PHASES] == list(WORDS)


def test_every_phase_is_drawn():
    assert list(style.PHASES) == list(PHASES)
    assert sorted(PLACED) == sorted(PHASES)


def test_every_phase_has_a_colour_in_the_page():
    template = (load_script("doc_tables.py").ROOT / "umtrace/page/templates/page.html").read_text()
    assert [name for name in PHASES if f'"{name}"' not in template] == []


def test_the_help_names_every_key():
    text = CliRunner().invoke(umtrace, ["report", "--help"]).stdout
    said = " ".join(text.split())
    assert [key for key in KEYS if key not in said] == []


def test_what_tiers_must_agree_on_is_nothing_that_they_measure():
    assert not set(columns_with(Use.SAME)) & set(DURATIONS)


def test_the_table_of_the_groups_of_columns_has_columns():
    groups = load_script("kernels_table.py").COLUMNS
    assert {name for _group, names in groups for name in names} <= {c.name for c in COLUMNS}
