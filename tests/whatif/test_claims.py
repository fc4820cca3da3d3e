"""Claims that succeeded and would get EBUSY, on loads whose answer is known on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.rows import T0_NS
from tests.whatif.loads import MS, lengths, load
from tests.whatif.loads import umount as any_umount
from umtrace.whatif.claims import (
    LATER,
    NO_CLAIMS,
    NO_DEVICE,
    NO_ROW,
    NOT_ALL,
    WITHIN_NS,
    Claims,
    Shutdowns,
    paired,
    unknown,
)
from umtrace.whatif.designs import DESIGNS
from umtrace.whatif.predict import what_if

JIFFY = 4 * MS
GP = lengths(15 * MS)


def umount(begin, **given_):
    """Nobody else holds a victim."""
    return any_umount(begin, **{"n_held": 0, **given_})


def claims(*found, shutdowns=(), **given_):
    """Claims as (ns after the begin of the load, device); shutdowns have a task, too."""
    devs = sorted({dev for _, dev, *_ in (*found, *(shutdowns or ()))})

    def column(rows, place):
        return np.array([row[place] for row in rows], np.int64)

    def named(rows):
        return [(T0_NS + at, devs.index(dev), *rest) for at, dev, *rest in rows]

    claimed, down = named(found), named(shutdowns or ())
    if shutdowns is not None:
        ended = Shutdowns(at=column(down, 0), dev=column(down, 1), tid=column(down, 2))
        given_["shutdowns"] = ended
    return Claims(at=column(claimed, 0), dev=column(claimed, 1), devs=tuple(devs), **given_)


def answers(rows, found, **given_):
    given_.setdefault("lengths", GP)
    return what_if(load(*rows), list(DESIGNS), jiffy_ns=JIFFY, claims=found, **given_)


def of_each(found):
    return {each.design.name: each.claims for each in found.answers}


def test_a_device_that_is_claimed_at_once():
    # Under A both return, shut down, after 3 ms. Put after 15 ms, shut down in 2 (B: a tick later).
    rows = [
        umount(0, tid=1, rcu=MS, shutdown=2 * MS, dev="7:0", mode="sync"),
        umount(100 * MS, tid=1, rcu=MS, shutdown=2 * MS, dev="7:0", mode="lazy"),
    ]
    found = answers(rows, claims((4 * MS, "7:0"), (105 * MS, "7:0"), (140 * MS, "7:0")))
    assert of_each(found) == {"A": 0, "B": 1, "B2": 1, "C": 2, "D": 0}
    assert found.claimed == 3
    # The claim came 2 ms after the return; the lazy umount is shut down 15 + 4 + 2 ms after it.
    assert [q.ns for q in found["B"].busy] == [19 * MS] * 4
    assert found["B2"].busy[-1].ns == 15 * MS
    assert found["C"].busy[-1].ns == 20 * MS
    assert found["A"].busy == ()


def test_the_last_superblock_decides():
    # Two lazy umounts of the device: the second asks during the first period, so it needs the next.
    rows = [
        umount(0, tid=1, rcu=MS, mode="lazy", dev="7:0"),
        umount(MS, tid=2, rcu=MS, mode="lazy", dev="7:0"),
    ]
    found = answers(rows, claims((3 * MS, "7:0")))
    # The second returns at 1 ms and is shut down at 30; the claim came 1 ms after its return.
    assert found["B2"].claims == 1
    assert found["B2"].busy[0].ns == 28 * MS


@pytest.mark.parametrize("at", [-1, 3 * MS + WITHIN_NS + 1])
def test_a_claim_before_the_umount_or_much_later(at):
    rows = [umount(0, rcu=MS, shutdown=2 * MS, dev="7:0", mode="lazy")]
    assert answers(rows, claims((at, "7:0"))).claimed == 0


def test_another_device_and_an_umount_that_fails():
    rows = [
        umount(0, rcu=MS, dev="7:1", mode="lazy"),
        umount(0, tid=2, dev="7:0", mode="lazy", errno=16),
    ]
    assert of_each(answers(rows, claims((2 * MS, "7:0"))))["C"] == 0


def test_a_file_system_inside_a_tree():
    tree = umount(0, tid=5, rcu=MS, n_mounts=3, dev="0:44", origin="ns-exit", shutdown=MS)
    mine = claims((3 * MS, "7:0"), shutdowns=[(MS, "7:0", 5)])
    found = answers([tree], mine)
    assert (found["B"].claims, found["C"].claims) == (0, 1)
    # Without the superblocks it is not known what else was in the tree.
    blind = answers([tree], claims((3 * MS, "7:0"), shutdowns=None))
    assert (blind["B"].claims, blind["C"].claims) == (0, None)
    assert blind["C"].unknown["claims"] == NOT_ALL
    # Another task shut it down, of which there is no row.
    elsewhere = claims((3 * MS, "7:0"), shutdowns=[(MS, "7:0", 6)])
    lost = answers([tree], elsewhere)
    assert lost["C"].unknown["claims"] == NO_ROW
    assert lost.claimed is None
    part = claims((3 * MS, "7:0"), shutdowns=[(MS, "7:0", 6)], whole=False)
    assert answers([tree], part)["C"].claims == 0


def test_why_claims_are_unknown():
    lazy = {"rcu": MS, "mode": "lazy"}
    nothing = unknown(NO_CLAIMS)
    found = answers([umount(0, **lazy)], nothing)
    assert of_each(found) == {"A": 0, "B": None, "B2": None, "C": None, "D": 0}
    assert (found["B"].unknown["claims"], found.claimed) == (NO_CLAIMS, None)
    assert answers([umount(0, rcu=MS)], nothing)["B"].claims == 0, "nothing is put later"
    own = answers([umount(0, fstype="btrfs", dev="0:50", **lazy)], claims())
    assert own["B"].unknown["claims"] == NO_DEVICE
    slow = [umount(0, shutdown=WITHIN_NS, dev="7:0", **lazy)]
    assert answers(slow, claims())["B"].unknown["claims"] == LATER
    slow[0]["dev"] = "0:44"
    assert answers(slow, claims())["B"].claims == 0
    assert (
        "normal grace period"
        in answers([umount(0, **lazy)], claims(), lengths=None)["B"].unknown["claims"]
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400 * MS),
            st.sampled_from(["7:0", "7:1"]),
            st.sampled_from(["sync", "lazy"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.tuples(st.integers(0, 400 * MS), st.sampled_from(["7:0", "7:1"])), max_size=12),
)
def test_properties(umounts, claimed):
    rows = [
        umount(at, tid=n, rcu=MS, shutdown=MS, dev=dev, mode=mode)
        for n, (at, dev, mode) in enumerate(umounts)
    ]
    first = min((at for at, *_ in umounts), default=0)
    mine = claims(*((at, dev) for at, dev in claimed))
    found = answers(rows, mine)
    each = of_each(found)
    assert (each["A"], each["D"]) == (0, 0), "what is recorded is what happened"
    assert each["B2"] <= each["B"] <= found.claimed <= len(claimed)
    assert each["C"] <= found.claimed
    pairs = paired(load(*rows), mine)
    assert (pairs.after >= 0).all()
    assert found.claimed == len({n for n, (at, dev) in enumerate(claimed) for b, d, _ in umounts
                                 if d == dev and first <= b <= at})  # fmt: skip
