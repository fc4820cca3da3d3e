"""``rec.whatif()``: frames with ns as integers, and unknown numbers with their reason."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import umtrace
from tests.api.conftest import write_recording
from tests.whatif.loads import MS, umount
from umtrace.cli.main import umtrace as command_line

RECORDINGS = Path(__file__).parents[2] / "recordings"
STORM = RECORDINGS / "storm.umt"


@pytest.fixture(scope="module")
def assumed():
    return umtrace.load(STORM).whatif(normal_gp=["12ms", "15ms"], hz=1000)


@pytest.fixture(scope="module")
def recorded():
    return umtrace.load(STORM).whatif()


def test_the_frames_are_what_the_command_prints(assumed):
    options = ["--json", "--normal-gp", "12ms,15ms", "--hz", "1000"]
    done = CliRunner().invoke(command_line, ["whatif", str(STORM), *options])
    printed = json.loads(done.stdout)
    assert assumed.sentence == printed["sentence"]
    assert assumed.assumed == printed["assumed"]
    for each in printed["designs"]:
        row = assumed.designs.loc[each["design"]]
        for name in ("waits", "grace_periods", "depth", "queued_ns", "wait_ns"):
            assert (None if pd.isna(row[name]) else row[name]) == each[name], (each["design"], name)
        times = assumed.times[assumed.times["design"] == each["design"]]
        shut = times[times["time"] == "shut down"]
        assert shut["value_ns"].dropna().tolist() == [q["ns"] for q in each["gone"]]
        lazy = times[(times["time"] == "caller") & (times["umounts"] == "lazy")]
        assert lazy["value_ns"].dropna().tolist() == [
            q["ns"] for q in each["caller"].get("lazy", [])
        ]


def test_ns_are_integers(assumed):
    numbers = assumed.designs.drop(columns=["title", "why", "mount_ns"])
    assert set(numbers.dtypes.astype(str)) == {"Int64"}
    assert str(assumed.designs["mount_ns"].dtype) == "Float64"
    times = assumed.times
    assert {str(times[name].dtype) for name in ("n", "value_ns", "low_ns", "high_ns")} == {"Int64"}
    known = times.dropna(subset=["value_ns", "low_ns", "high_ns"])
    assert (known["low_ns"] <= known["value_ns"]).all()
    assert (known["value_ns"] <= known["high_ns"]).all()
    assert len(known) > 20


def test_each_number_has_its_interval_or_none_and_a_reason_if_it_is_unknown(assumed, recorded):
    numbers = assumed.numbers
    assert {str(numbers[name].dtype) for name in ("value", "low", "high")} == {"Float64"}
    known = numbers.dropna(subset=["low", "high"])
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()
    assert set(known.loc[known["design"] == "C", "number"]) >= {"depth", "age_ns", "grace_periods"}
    for name in assumed.designs.index:
        of_design = numbers[numbers["design"] == name].set_index("number")["value"]
        row = assumed.designs.loc[name, of_design.index]
        assert of_design.dropna().tolist() == row.dropna().tolist()
    for frame in (numbers, recorded.numbers):
        assert frame.loc[frame["value"].isna(), "why"].notna().all()
        assert frame.loc[frame["value"].notna(), "why"].isna().all()


def test_whose_umounts_wait_adds_up(assumed):
    waiting = assumed.waiting
    for (design, _), rows in waiting.groupby(["design", "by"]):
        assert rows["waits"].sum() == assumed.designs.loc[design, "waits"]
    assert set(waiting["design"]) == {"A", "B", "B2"}, "none waits under C, and D is unknown"


def test_teardowns_and_owners_have_times(assumed):
    times = assumed.times
    busy = times[times["time"] == "teardown busy"].set_index(["design", "quantile"])["value_ns"]
    whole = times[times["time"] == "teardown sum"].set_index(["design", "quantile"])["value_ns"]
    assert (busy.dropna() <= whole.dropna()).all()
    owned = times[times["umounts"] == "owner"]
    assert owned["owner"].notna().all()
    assert owned["n"].iloc[0] == assumed.answers.succeeded["all"]


def test_what_is_unknown_has_its_reason(recorded):
    designs = recorded.designs
    assert "normal grace period" in designs.loc["B", "why"]
    assert "n_held" in designs.loc["D", "why"]
    assert pd.isna(designs.loc["A", "why"])
    unknown = recorded.times[recorded.times["value_ns"].isna()]
    assert unknown["why"].notna().all()
    assert recorded.times[recorded.times["value_ns"].notna()]["why"].isna().all()
    absent = unknown[(unknown["design"] == "B") & (unknown["umounts"] == "teardown")]
    assert set(absent["why"]) == {"no such umount"}


def test_print_is_the_screen_and_a_notebook_shows_the_table(recorded):
    done = CliRunner().invoke(command_line, ["whatif", str(STORM)])
    assert str(recorded) == done.stdout.rstrip("\n")
    assert repr(recorded) == "<Simulated: 8017 umounts under A, B, B2, C, D>"
    assert recorded.sentence.split(";")[0] in recorded._repr_html_()
    assert "``waits``: umounts that wait" in type(recorded).designs.__doc__


def test_a_filter_leaves_the_others_out(tmp_path):
    rows = [umount(n * MS, tid=n, rcu=MS, mode=["sync", "lazy"][n % 2]) for n in range(6)]
    found = umtrace.load(write_recording(tmp_path / "r.umt", rows)).whatif("b", mode="lazy")
    assert found.designs.loc["A", "waits"] == 3
    assert found.designs.index.tolist() == ["A", "B"]
    assert found.designs.loc["B", "deferred"] == 3


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"designs": "A,E"}, "no design 'E'"),
        ({"normal_gp": "often"}, "no duration"),
        ({"normal_gp": ["0ms"]}, "takes time"),
        ({"hz": 0}, "timer ticks"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_impossible_assumptions(wrong, complaint):
    with pytest.raises(umtrace.UsageError, match=complaint):
        umtrace.load(STORM).whatif(**wrong)
