"""The answers on loads whose numbers are known on paper, and their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stats.rows import batch_of
from tests.whatif.loads import MS, lengths, load, umount
from umtrace.query.whose import READ, whose
from umtrace.whatif.answers import NO_OWNERS, NO_WALKERS
from umtrace.whatif.claims import NO_CLAIMS
from umtrace.whatif.designs import DESIGNS
from umtrace.whatif.load import load_of
from umtrace.whatif.peaks import most_at_once, shares
from umtrace.whatif.predict import what_if
from umtrace.whatif.simulate import Simulator, simulate

JIFFY = 4 * MS
GP = lengths(15 * MS)


def _owned(*rows):
    return load_of([batch_of(rows)], columns=READ, whose=whose)


def _found(rows, designs=tuple(DESIGNS), **given_):
    given_.setdefault("lengths", GP)
    return what_if(load(*rows), list(designs), jiffy_ns=JIFFY, **given_)


def test_three_that_share_one_grace_period_and_a_convoy():
    # The first begins a period; the other two ask during it, so they share the next.
    rows = [umount(n * MS, tid=n, mode="lazy", rcu=MS, shutdown=2 * MS) for n in range(3)]
    found = _found(rows)
    b, b2 = found["B"], found["B2"]
    assert (b.grace_periods, b.saved, b.shared) == (2, 1, 1)
    # Put at 15, 30 and 30; shut down a tick later: 19 to 21, 34 to 36, 36 to 38.
    assert [q.ns for q in b.gone] == [35 * MS, 36 * MS, 36 * MS, 36 * MS]
    assert (b.depth, b.at_once, b.held_up, b.queued_ns) == (3, 1, 1, 2 * MS)
    assert (b.longest_ns, b.age_ns, b.kept) == (2 * MS, 36 * MS, 3)
    # Side by side: 15 to 17, 30 to 32 twice.
    assert (b2.depth, b2.at_once, b2.held_up, b2.queued_ns) == (3, 2, 0, 0)
    assert b2.mount_ns == (17 + 31 + 30) * MS
    assert (found["A"].age_ns, found["A"].depth, found["A"].saved) == (None, 0, 0)


def test_mounts_are_kept_until_they_are_put():
    rows = [umount(0, tid=1, rcu=10 * MS, n_mounts=5), umount(MS, tid=2, rcu=10 * MS, n_mounts=7)]
    today = _found(rows, ["A"])["A"]
    assert (today.kept, today.mount_ns) == (12, (5 + 7) * 10 * MS)
    apart = [{**rows[0]}, umount(20 * MS, tid=2, rcu=10 * MS, n_mounts=7)]
    assert _found(apart, ["A"])["A"].kept == 7


def test_a_teardown_has_a_sum_and_the_time_in_which_it_is_busy():
    # Two tasks of one owner overlap from 2 to 10 ms; a third umount follows after a pause of 3.
    mine = {"owner": "web", "owner_kind": "container", "n_held": 0}
    rows = [
        umount(0, tid=1, rcu=10 * MS, **mine),
        umount(2 * MS, tid=2, rcu=10 * MS, **mine),
        umount(15 * MS, tid=2, rcu=5 * MS, **mine),
        umount(15 * MS, tid=9, rcu=MS, owner="db", owner_kind="container", n_held=1),
    ]
    found = what_if(_owned(*rows), ["D"], lengths=GP, jiffy_ns=JIFFY)
    assert found.teardowns == 2
    assert found.owners == {"web": 3, "db": 1}
    today, on_demand = found["A"], found["D"]
    assert [q.ns for q in (today.teardown_sum[0], today.teardown_sum[-1])] == [MS, 25 * MS]
    assert today.teardown_busy[-1].ns == 17 * MS
    assert today.owners["web"][0].ns == 10 * MS
    assert list(today.owners) == ["web", "db"], "who waited longest first"
    assert on_demand.teardown_sum[-1].ns == MS
    assert on_demand.waits_by["owner"] == {"db": 1}


def test_whose_umounts_still_wait_under_d():
    rows = [
        umount(n * MS, tid=n, rcu=MS, n_held=int(n % 3 == 0), fstype=["ext4", None][n % 2])
        for n in range(12)
    ]
    found = _found(rows, ["D"])
    assert found["D"].waits == 4
    assert found["D"].waits_by == {"owner": {"-": 4}, "fstype": {"ext4": 2, "-": 2}}


def test_walkers_that_meet_what_no_longer_waits():
    rows = [
        umount(0, tid=1, rcu=MS, n_held=0, n_discounted=3),
        umount(MS, tid=2, rcu=MS, n_held=1, n_legitimized=1),
        umount(2 * MS, tid=3, rcu=MS, n_held=0),
    ]
    found = _found(rows, ["D"])
    assert (found.met, found.met_known) == (2, 3)
    assert (found["A"].met, found["D"].met) == (0, 1)
    unseen = [{**row, "n_legitimized": None, "n_discounted": None} for row in rows]
    blind = _found(unseen, ["D"])["D"]
    assert (blind.met, blind.unknown["met"]) == (None, NO_WALKERS)


def test_what_no_recording_knows_has_its_reason():
    found = _found([umount(0, rcu=MS, mode="lazy")], ["B"])["B"]
    assert (found.claims, found.unknown["claims"]) == (None, NO_CLAIMS)
    assert found.teardown_sum == ()
    assert found.unknown["teardown_sum"] == NO_OWNERS


def test_intervals_are_around_the_numbers_and_narrower_with_more():
    def held(many):
        rows = [umount(n * 50 * MS, tid=n, rcu=MS, n_held=int(n % 10 == 0)) for n in range(many)]
        answer = _found(rows, ["D"])["D"]
        low, high = answer.intervals["waits"]
        assert low <= answer.waits <= high
        return (high - low) / many

    few, more = held(50), held(800)
    assert 0 < more < few / 2
    # A binomial of 800 with one in ten: 1.96 * sqrt(0.1 * 0.9 / 800), both sides.
    assert more == pytest.approx(0.0416, rel=0.25)


def test_the_calibration_is_part_of_the_uncertainty():
    rows = [umount(n * MS, tid=n, mode="lazy", rcu=MS, shutdown=MS) for n in range(40)]
    wide = _found(rows, ["B"], lengths=lengths(5 * MS, 15 * MS, 60 * MS, 8 * MS, 30 * MS))
    low, high = wide["B"].intervals["age_ns"]
    assert wide.replicates == 20
    assert low < wide["B"].age_ns <= high
    same = _found(rows, ["B"], lengths=GP)
    assert "age_ns" not in same["B"].intervals, "one length has no other draw"
    assert wide["A"].intervals.keys() == same["A"].intervals.keys()


def test_teardowns_are_drawn_as_a_whole():
    def interval(owners):
        rows = [
            umount(n * 2000 * MS, tid=n, rcu=MS, n_held=n // 10 % 2, owner=f"c{n % owners}",
                   owner_kind="container")
            for n in range(400)
        ]  # fmt: skip
        found = what_if(_owned(*rows), ["D"], lengths=GP, jiffy_ns=JIFFY)
        return found.drawn, found.teardowns

    assert interval(40) == ("teardowns", 400)
    assert interval(400)[0] == "teardowns"
    one = [umount(n * MS, tid=n, rcu=MS, owner="c", owner_kind="container") for n in range(40)]
    assert what_if(_owned(*one), [], lengths=GP, jiffy_ns=JIFFY).drawn == "umounts"


def test_designs_that_share_their_umounts_are_simulated_once():
    rows = [umount(n * MS, tid=n % 3, mode="lazy", rcu=MS, shutdown=MS) for n in range(30)]
    simulator = Simulator(load(*rows), jiffy_ns=JIFFY)
    b, b2 = (simulator.run(DESIGNS[name], lengths=GP, seed=3) for name in ("B", "B2"))
    assert b.unlocked is b2.unlocked
    alone = simulate(load(*rows), DESIGNS["B2"], lengths=GP, jiffy_ns=JIFFY, seed=3)
    assert alone.gone.tolist() == b2.gone.tolist()
    other = simulator.run(DESIGNS["B"], lengths=lengths(9 * MS), seed=3)
    assert other.gone.tolist() != b.gone.tolist()


def test_shares_of_a_grace_period_add_up_to_the_periods():
    assert shares(lengths(0, 1, 1, -1, 1)).tolist() == pytest.approx([1, 1 / 3, 1 / 3, 0, 1 / 3])
    assert shares(lengths()).tolist() == []


_SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(1, 4)))


@given(_SPANS)
def test_the_most_at_once_is_that_of_some_moment(spans):
    begin = np.array([b for b, _, _ in spans], np.int64)
    end = begin + np.array([d for _, d, _ in spans], np.int64)
    weight = np.array([w for _, _, w in spans], np.int64)
    moments = [int(weight[(begin <= t) & (t < end)].sum()) for t in range(71)]
    assert most_at_once(begin, end, weight) == max(moments)


_LOADS = st.lists(
    st.tuples(
        st.integers(0, 20), st.integers(1, 3), st.sampled_from(["sync", "lazy"]),
        st.sampled_from([None, 0, 1]), st.integers(0, 5), st.sampled_from([0, 0, 16]),
    ),
    min_size=1, max_size=15,
)  # fmt: skip


@settings(max_examples=40)
@given(_LOADS)
def test_work_is_conserved_whatever_the_design(drawn):
    begin, rows = 0, []
    for gap, tid, mode, held, down, errno in drawn:
        begin += gap * MS
        many = {} if errno else {"rcu": MS, "shutdown": down * MS}
        rows.append(umount(begin, tid=tid, mode=mode, n_held=held, errno=errno, **many))
    found = _found(rows, lengths=lengths(15 * MS, 9 * MS, 12 * MS))
    done = sum(not each[5] for each in drawn)
    for each in found.answers:
        if each.waits is None:
            continue
        spared = done - each.waits - each.deferred
        assert spared >= 0
        assert spared == 0 or each.design.on_demand
        assert each.depth <= each.deferred
        assert each.at_once <= max(each.depth, 1)
        assert each.held_up <= each.deferred
        assert each.shared == each.waits + each.deferred - each.grace_periods
        assert sum(each.waits_by["fstype"].values()) == each.waits
        assert found["A"].waits == done
        for name, (low, high) in each.intervals.items():
            assert low <= getattr(each, name) <= high
    assert found["B2"].queued_ns in {0, None}
    assert replace(found) == _found(rows, lengths=lengths(15 * MS, 9 * MS, 12 * MS))
