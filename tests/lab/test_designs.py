"""What umtrace says on a kernel whose umounts wait, defer or leave the grace period out."""

from __future__ import annotations

import json

import pytest

import umtrace
from lab import built, cache
from lab.errors import LabError
from tests.lab.guest import end_of, in_guest

pytestmark = [pytest.mark.lab, pytest.mark.long]

DESIGNS = ("A", "B", "B2", "C", "D")
LOAD = "umtrace exercise --sync 20 --lazy 20 --propagate 20 --ns-exit 4 --busy 3"
INSIDE = f"""
for design in {" ".join(DESIGNS)}; do
	echo $design > /proc/sys/fs/umount-design || exit
	echo 0 > /proc/fs/umount-design
	umtrace record -q --tier fentry -o $LAB_OUT/$design.umt -- {LOAD} || exit
	sleep 1
	cp /proc/fs/umount-design $LAB_OUT/$design.counts
done
"""
#: who waits, and who puts later
WAITS = {"A": {"sync", "lazy", "exit"}, "B": {"sync", "exit"}, "B2": {"sync", "exit"}}
DEFERS = {"B": {"lazy"}, "B2": {"lazy"}, "C": {"sync", "lazy", "exit"}}


def skip_unless_built(kernel):
    try:
        built.find(cache.folder(), kernel)
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    skip_unless_built("designs")
    out = tmp_path_factory.mktemp("designs")
    done = in_guest("designs", INSIDE, timeout_s=1200, out=out)
    assert done.returncode == 0, end_of(done)
    return out


@pytest.fixture(params=DESIGNS)
def under(recorded, request):
    rows = umtrace.load(recorded / f"{request.param}.umt").umounts
    lines = (recorded / f"{request.param}.counts").read_text().splitlines()
    counts = {key: int(value) for key, value in map(str.split, lines) if key != "design"}
    return request.param, rows, counts


def kinds_of(rows):
    """The rows of each kind of teardown; those that failed are in none."""
    done = rows[rows["errno"] == 0]
    umount = done["origin"] == "umount"
    return {
        "sync": done[umount & (done["mode"] == "sync")],
        "lazy": done[umount & (done["mode"] == "lazy")],
        "exit": done[done["origin"] == "ns-exit"],
    }


def test_no_row_is_incomplete_for_a_wait_that_is_left_out(under):
    _, rows, _ = under
    assert rows["complete"].all()
    assert {name: len(of) >= 4 for name, of in kinds_of(rows).items()} == {
        "sync": True, "lazy": True, "exit": True,
    }  # fmt: skip


def test_the_kind_of_grace_period(under):
    design, rows, _ = under
    for kind, of in kinds_of(rows).items():
        if kind in WAITS.get(design, ()):
            assert of["rcu_kind"].isin(["expedited", "piggybacked"]).all(), kind
            assert (of["rcu_ns"] > 0).all()
        else:
            # Of D: nobody else holds a mount of the exercise.
            assert (of["rcu_kind"] == "none").all(), kind
            assert (of["rcu_ns"] == 0).all()


def test_who_puts_last_and_how_much_later(under):
    design, rows, _ = under
    for kind, of in kinds_of(rows).items():
        if kind in DEFERS.get(design, ()):
            assert (of["final_put"] == "kworker").all(), kind
            assert (of["tail_ns"] > 0).all()
        else:
            assert (of["final_put"] == "self").all(), kind
            assert (of["tail_ns"] == 0).all()


def test_the_waits_are_those_that_the_kernel_counted(under):
    _, rows, counts = under
    assert int((rows["rcu_ns"] > 0).sum()) == counts["waits"]
    taken_down = rows[(rows["errno"] == 0) & (rows["n_mounts"] > 0)]
    assert len(taken_down) == counts["operations"]
    assert int(taken_down["n_mounts"].sum()) == counts["mounts"]


def test_only_the_kernel_that_can_leave_waits_out_is_said_to(recorded):
    plan = json.loads((recorded / "D.umt" / "meta.json").read_text())["plan"]
    (line,) = [line for line in plan if line["meaning"] == "grace period on demand"]
    assert line["probe"] == "mntput_unmounted"


@pytest.mark.parametrize("kernel", ["designs", "designs-rt"])
def test_each_tier_counts_what_was_unmounted(kernel):
    skip_unless_built(kernel)
    done = in_guest(kernel, "umtrace selftest", timeout_s=1500)
    assert done.returncode == 0, end_of(done)
