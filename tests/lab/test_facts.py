"""What an umount's row says of holders, grace periods and the namespace lock, on real kernels.

UMTRACE_LAB_KERNELS=5.10,6.12,6.1-rt,7 chooses the kernels.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import datetime

import pytest

from tests.lab.facts_workload import TOGETHER
from tests.lab.guest import in_guests

pytestmark = pytest.mark.lab

KERNELS = os.environ.get("UMTRACE_LAB_KERNELS", "6.12").split(",")
TIERS = ("fentry", "kprobe")
SLACK_NS = 1_000_000
INSIDE = f"""
for tier in {" ".join(TIERS)}; do
	umtrace record -qf --tier $tier -o /tmp/$tier.umt -- \\
		python tests/lab/facts_workload.py /tmp/$tier $LAB_OUT/$tier.ledger || exit
	umtrace export /tmp/$tier.umt --to jsonl -o $LAB_OUT/$tier.jsonl || exit
	cp /tmp/$tier.umt/meta.json $LAB_OUT/$tier.json
	python -m tests.lab.task_walk $tier /tmp/walk-$tier > $LAB_OUT/$tier.walk || exit
done
"""
#: where a program can load from a number (6.2), so that it counts in large trees, too
LOADS = {kernel for kernel in KERNELS if kernel.startswith(("6.12", "6.18", "7"))}
#: where a loop may be long (5.17)
LOOPS = {kernel for kernel in KERNELS if not kernel.startswith("5.10")}
HELD = ("alone", "by-a-cwd", "busy", "namespace", "descriptor", "none-of-7", "3-of-7")
EACH = [(kernel, tier) for kernel in KERNELS for tier in TIERS]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the guests left: one boot for each kernel, two at a time."""
    out = tmp_path_factory.mktemp("facts")
    done = in_guests(KERNELS, INSIDE, out, timeout_s=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return out


def lock_taken(row):
    """When an umount had namespace_sem, in ns."""
    second, _, fraction = row["t_start"].rstrip("Z").partition(".")
    began = int(datetime.fromisoformat(f"{second}+00:00").timestamp()) * 1_000_000_000
    return began + int(fraction.ljust(9, "0")) + row["lookup_ns"] + row["lock_ns"]


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def said(results, kernel, tier, case):
    """What the workload says of a case, and the rows of the recording."""
    (truth,) = [t for t in lines(results / kernel / f"{tier}.ledger") if t["case"] == case]
    del truth["case"]
    rows = lines(results / kernel / f"{tier}.jsonl")
    return truth, [row for row in rows if row["complete"]]


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_the_kernel_refuses_no_program(results, kernel, tier):
    meta = json.loads((results / kernel / f"{tier}.json").read_text())
    assert meta["tier"] == tier
    assert "refuses" not in json.dumps(meta["plan"])


@pytest.mark.parametrize("case", [*HELD, "10-of-1000"])
@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_as_many_are_held_as_the_workload_holds(results, kernel, tier, case):
    truth, rows = said(results, kernel, tier, case)
    if case not in HELD and kernel not in LOADS:
        truth["n_held"] = None
    held = truth.pop("n_held")
    found = [row for row in rows if all(row[name] == value for name, value in truth.items())]
    assert [row["n_held"] for row in found] == [held]


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_a_tree_of_thousands_is_counted_to_its_end(results, kernel, tier):
    truth, rows = said(results, kernel, tier, "long")
    if kernel not in LOOPS:
        truth["n_mntns"] = None
    (row,) = [row for row in rows if row["path"] == truth["path"]]
    assert {name: row[name] for name in truth} == truth


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_the_namespaces_that_a_tree_spread_to_are_counted(results, kernel, tier):
    truth, rows = said(results, kernel, tier, "spread")
    largest = truth.pop("largest")
    (row,) = [row for row in rows if row["path"] == truth["path"]]
    assert {name: row[name] for name in truth} == truth
    assert row["mntns_top"].startswith(largest)
    assert len(row["mntns_top"].split()) == 3


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_umounts_at_once_share_grace_periods_and_the_numbers_rise(results, kernel, tier):
    truth, rows = said(results, kernel, tier, "together")
    rows = [row for row in rows if (row["path"] or "").startswith(truth["folder"])]
    rows.sort(key=lambda row: row["t_start"])
    numbers = [row["gp_seq"] for row in rows]
    known = [number for number in numbers if number is not None]
    assert len(known) >= len(rows) * 2 // 3
    assert all(number % 4 == 0 for number in known)
    firsts = [n for n in numbers[::TOGETHER] if n is not None]
    assert firsts == sorted(firsts)
    assert max(Counter(known).values()) > 1
    # One task drives an expedited grace period, and the others join it.
    own = Counter(row["gp_seq"] for row in rows if row["rcu_kind"] == "expedited" and row["gp_seq"])
    if any(row["rcu_kind"] == "piggybacked" for row in rows):
        assert set(own.values()) == {1}


@pytest.mark.long  # who waits for whom is up to the scheduler of a slow guest
@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_who_holds_the_lock_is_named(results, kernel, tier):
    truth, rows = said(results, kernel, tier, "behind-a-holder")
    rows = [row for row in rows if (row["path"] or "").startswith(truth["folder"])]
    named = [row for row in rows if row["lock_holder_tid"] is not None]
    assert named
    assert {row["lock_holder_tid"] for row in named} == {truth["holder"]}
    assert {row["lock_holder_comm"] for row in named} == {truth["comm"]}
    does = {row["lock_holder_op"] for row in named}
    assert does <= {"mount", "umount"}
    taken = [lock_taken(row) for row in said(results, kernel, tier, "behind-a-holder")[1]
             if row["tid"] == truth["holder"] and row["lock_ns"] is not None]  # fmt: skip
    for row in named:
        if row["lock_held_ns"] is not None:  # it was read after path_umount began
            assert row["lock_holder_op"] == "umount"
            since = lock_taken(row) - row["lock_ns"] - row["lock_held_ns"]
            assert any(since - SLACK_NS <= at <= since + row["lock_ns"] for at in taken)
    # Of those who wait longest, some may have come before the holder, or wait for a CPU.
    longest = sorted(rows, key=lambda row: row["lock_ns"] or 0)[-5:]
    assert any(row["lock_holder_tid"] for row in longest)


@pytest.mark.parametrize(("kernel", "tier"), EACH)
def test_the_kernel_names_who_has_something_open(results, kernel, tier):
    (found,) = lines(results / kernel / f"{tier}.walk")
    if kernel not in LOOPS:
        assert (found["plan"], found["walked"]) == ("substitute", None)
        return
    assert found["plan"] == "ok"
    assert found["walked"] == found["true"]
    assert found["unused"] == []
    assert found["pids"] == sorted(pid for pid, _places, _files in found["true"])
