"""What a user of Python meets first: names, errors, the print of a recording, its frames."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

import umtrace

TOP = Path(__file__).parents[2]
LAB = TOP / "recordings" / "lab-ebusy.umt"


@pytest.fixture(scope="module")
def rec():
    return umtrace.load(LAB)


def test_the_package_offers_its_names_and_nothing_else():
    assert dir(umtrace) == sorted(umtrace.__all__)
    for name in umtrace.__all__:
        assert getattr(umtrace, name) is not None
    with pytest.raises(AttributeError):
        umtrace.annotations_of_nothing  # noqa: B018


def test_the_errors_are_caught_by_one_name():
    for name in ("UsageError", "DamagedInputError", "NotPermittedError", "NoTierError"):
        assert issubclass(getattr(umtrace, name), umtrace.UmtraceError)
    with pytest.raises(umtrace.UmtraceError):
        umtrace.load("/nothing/here")


def test_the_names_cost_no_import_of_pandas():
    code = "import sys, umtrace; umtrace.UmtraceError, umtrace.load; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_print_begins_with_the_answer(rec):
    first, *lines = str(rec).splitlines()
    assert first.startswith("/tmp/e/exe.0 was busy longest, for at most 912 ms: ")
    assert lines[-1] == "losses: none (not counted: evidence about EBUSY dropped)"


def test_completion_has_no_private_names(rec):
    assert not [name for name in dir(rec) if name.startswith("_") and name[1] != "_"]
    assert {"umounts", "holders", "evidence", "walkers", "plot"} <= set(dir(rec))


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": 1},
        {"ax": None},
        {"pid": "x"},
        {"pid": -1},
        {"pid": 2**70},
        {"pid": True},
        {"pid": 1.5},
        {"errno": 99_999},
        {"errno": "EFOO"},
        {"mode": 3},
        {"origin": "nothing"},
        {"comm": 5},
        {"container": b"x"},
        {"min_latency": "1 parsec"},
    ],
)
def test_a_filter_that_matches_nothing_by_its_type_is_an_error(rec, wrong):
    with pytest.raises(umtrace.UsageError) as error:
        rec.read_umounts(["id"], **wrong)
    assert "\n" not in str(error.value)


def test_filters_take_what_numpy_has(rec):
    pid = np.int64(rec.umounts["pid"].iloc[0])
    assert len(rec.read_umounts(["id"], pid=pid)) > 0
    assert len(rec.read_umounts(["id"], origin="umount")) > 0


def test_holders_are_columns(rec):
    holders = rec.holders()
    windows = rec.ebusy_windows
    assert len(holders) == sum(text.count('"kind"') for text in windows["holders"])
    one = holders[holders["kind"] == "exe"].iloc[0]
    assert (one["comm"], one["path"], one["class"]) == ("sleep", "/tmp/e/exe.0", "held")
    assert windows["path"].iloc[one["window"]] == one["path"]
    assert holders["pid"].dtype == "Int64"


def test_walkers_and_evidence_are_rows(rec):
    assert set(rec.walkers()["what"]) >= {"put", "legitimized"}
    facts = rec.evidence()
    assert facts.groupby("window").size().min() >= 2
    assert facts["fact"].str.contains("got EBUSY").any()


def test_filters_choose_the_windows_of_the_details(rec):
    some = rec.holders(comm="nobody-at-all")
    assert len(some) == 0
    assert list(some.columns) == list(rec.holders().columns)


def test_durations_in_another_unit(rec):
    frame = rec.read_umounts(["rcu_ns", "id", "tail_ns"])
    ms = umtrace.in_unit(frame, "ms")
    assert list(ms.columns) == ["rcu_ms", "id", "tail_ms"]
    assert ms["rcu_ms"].sum() * 1e6 == pytest.approx(frame["rcu_ns"].sum())
    assert ms["tail_ms"].isna().sum() == frame["tail_ns"].isna().sum() > 0
    assert frame.columns[0] == "rcu_ns"
    with pytest.raises(umtrace.UsageError, match="no unit 'lightyear'"):
        umtrace.in_unit(frame, "lightyear")


def test_failed_calls_are_told_apart_in_sql():
    """The query of docs/python.md: the waits of calls that failed are 0, which is no median."""
    text = (TOP / "docs" / "python.md").read_text()
    (query,) = re.findall(r'"(select mode, median.*)"', text)
    found = dict(duckdb.sql(query.replace("rec.umt", str(LAB))).fetchall())
    assert found["sync"] > 0


def test_the_analysis_of_the_readme_runs(monkeypatch, capsys):
    monkeypatch.chdir(TOP)
    code = (TOP / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "umounts, median latency" in said
    assert "umt-holder" in said
