"""Who waited behind whom, on a real kernel: eight umounts behind one that takes 5,000 mounts."""

from __future__ import annotations

import json
import os

import pytest

from tests.lab.guest import end_of, in_guest
from tests.lab.lock_chain import BELOW, COPIES, HOLDER, WAITERS
from umtrace.present.waited import behind_text
from umtrace.query.selection import Selection
from umtrace.query.teardowns import each_teardown
from umtrace.recording import Recording
from umtrace.teardowns import behind

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL = os.environ.get("UMTRACE_LAB_KERNELS", "6.12").split(",")[0]
TIERS = ("fentry", "kprobe")
INSIDE = f"""
for tier in {" ".join(TIERS)}; do
	umtrace record -q --tier $tier -o $LAB_OUT/$tier.umt -- \\
		python tests/lab/lock_chain.py /tmp/$tier $LAB_OUT/$tier.json || exit
	umtrace teardowns $LAB_OUT/$tier.umt 4026 --all || exit
done
"""
WAITED_NS = 1_000_000
#: how long before and after the begin of a wait the lock has the same holder, for certain
SURE_NS = 500_000
GAP_NS = 60_000_000_000  # all rounds are one teardown


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("chains")
    done = in_guest(KERNEL, INSIDE, out=out)
    assert done.returncode == 0, end_of(done)
    return out, done.stdout


@pytest.fixture(params=TIERS)
def recorded(results, request):
    """(waits, rows, truth): the waits of the waiters during a hold of the holder."""
    out, _ = results
    truth = json.loads((out / f"{request.param}.json").read_text())
    scenes = list(each_teardown(Selection(Recording.open(out / f"{request.param}.umt")), GAP_NS))
    teardown = max(scenes, key=lambda each: len(each.rows))
    rows = teardown.scene
    waits = [
        wait
        for wait in behind(rows, teardown.mine, WAITED_NS)
        if (rows.text("path", wait.row) or "").startswith(truth["own"])
    ]
    return waits, rows, truth


def of_path(rows, path):
    """Return the rows of the umounts of a path."""
    return [n for n in range(len(rows)) if rows.text("path", n) == path]


def held_meanwhile(rows, wait, truth):
    """Return the rows of the holder that had the lock while a row waited."""
    begin, end = (edge[wait.row] for edge in rows.waits)
    low, high = rows.holds
    return [n for n in of_path(rows, truth["source"]) if low[n] <= end and high[n] > begin]


def test_each_waiter_names_the_holder(recorded):
    waits, rows, truth = recorded
    behind_it = [(wait, held_meanwhile(rows, wait, truth)) for wait in waits]
    behind_it = [(wait, held) for wait, held in behind_it if held]
    if len(behind_it) < WAITERS:
        pytest.skip(f"only {len(behind_it)} umounts came while the holder had the lock")
    for wait, held in behind_it:
        assert {wait.first, *wait.others} >= set(held)
        if wait.tid in truth["holders"]:
            assert wait.comm == HOLDER
            assert wait.first in held
            text = behind_text(wait, rows)
            assert f"behind umount of {truth['source']} by {HOLDER} ({wait.tid}) (its tree " in text
    for wait, held in behind_it:
        begin = rows.waits[0][wait.row]
        low, high = rows.holds
        if any(low[n] + SURE_NS < begin < high[n] - SURE_NS for n in held):
            assert wait.tid in truth["holders"]


def test_nobody_waits_behind_an_umount_that_did_not_have_the_lock(recorded):
    waits, rows, _ = recorded
    for wait in waits:
        begin, end = (edge[wait.row] for edge in rows.waits)
        for other in (wait.first, *wait.others):
            if other is not None:
                assert rows.holds[0][other] <= end
                assert begin < rows.holds[1][other] <= end


def test_the_holder_took_all_copies(recorded):
    _, rows, truth = recorded
    assert {rows.of("n_mounts")[n] for n in of_path(rows, truth["source"])} == {
        COPIES * (1 + BELOW)
    }


def test_the_timeline_says_so(results):
    out, said = results
    rows = [
        row
        for tier in TIERS
        for batch in Recording.open(out / f"{tier}.umt").batches("umounts")
        for row in batch.select(["lock_ns", "lock_holder_comm"]).to_pylist()
    ]
    if not any(row["lock_holder_comm"] == HOLDER and row["lock_ns"] > WAITED_NS for row in rows):
        pytest.skip("no umount came while the holder had the lock")
    assert f"by {HOLDER} (" in " ".join(said.split())
