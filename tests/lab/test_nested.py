"""Namespaces that end inside an umount, and what btrfs takes down in a mount: complete rows."""

from __future__ import annotations

import json

import pytest

from tests.lab.guest import end_of, in_guest
from tests.lab.nested_workload import CASES
from umtrace.model.losses import LossReport

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL = "6.12"
THREE = "in-another-end"
TIERS = ("fentry", "kprobe", "ftrace")
INSIDE = f"""
modprobe -a loop btrfs || exit
for tier in {" ".join(TIERS)}; do
	umtrace record -q --tier $tier -o /tmp/$tier.umt -- \\
		python tests/lab/nested_workload.py /tmp/$tier $LAB_OUT/$tier.ledger || exit
	umtrace export /tmp/$tier.umt --to jsonl -o $LAB_OUT/$tier.jsonl || exit
	cp /tmp/$tier.umt/meta.json $LAB_OUT/$tier.json
done
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("nested")
    done = in_guest(KERNEL, INSIDE, out=out)
    assert done.returncode == 0, end_of(done)
    return out


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def rows_of(results, tier, case):
    """What the case's task did, and its rows."""
    (did,) = [line for line in lines(results / f"{tier}.ledger") if line["case"] == case]
    rows = [row for row in lines(results / f"{tier}.jsonl") if row["tid"] == did["tid"]]
    rows = sorted(rows, key=lambda row: row["t_start"])
    assert [row["origin"] for row in rows] == CASES[case][1]
    return did, rows


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_is_lost_but_the_third_of_three_at_a_time(results, tier):
    meta = json.loads((results / f"{tier}.json").read_text())
    assert meta["tier"] == tier
    lost = LossReport.from_dict(meta["losses"]).lost()
    assert lost == {"task_map_full": 1, "incomplete_rows": 1}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("case", [case for case in CASES if case != THREE])
def test_each_operation_has_a_complete_row(results, tier, case):
    did, rows = rows_of(results, tier, case)
    for row in rows:
        assert row["complete"], row
        assert row["latency_bound"] == "exact", row
        assert row["rcu_ns"] is not None, row
        assert row["shutdown_ns"] is not None, row
        assert 0 < row["rcu_ns"] <= row["latency_ns"] <= did["end"] - did["begin"], row
    kind = "btrfs" if case.startswith("btrfs") else "nsfs"
    for row in rows:
        if row["origin"] == "umount":
            assert (row["errno"], row["fstype"], row["n_mounts"]) == (0, kind, 1)


@pytest.mark.parametrize("tier", TIERS)
def test_the_mode_of_each_umount(results, tier):
    modes = {
        case: [row["mode"] for row in rows_of(results, tier, case)[1] if row["origin"] == "umount"]
        for case in CASES
    }
    assert modes.pop("in-lazy-umount") == ["lazy"]
    assert modes.pop("in-two-umounts") == ["sync", "lazy"]
    assert all(each == ["sync"] for each in modes.values())


@pytest.mark.parametrize("tier", TIERS)
def test_the_row_that_has_a_third_inside_is_marked(results, tier):
    _did, (umount, end) = rows_of(results, tier, THREE)
    assert umount["complete"]
    assert (end["complete"], end["incomplete_why"]) == (False, "lost-events")
