"""The simulation on loads whose answer is known on paper, and what holds for any load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.whatif.loads import MS, lengths, load, umount
from umtrace.model.errors import DamagedInputError
from umtrace.whatif.answers import NO_HELD, NO_LENGTH
from umtrace.whatif.calibrate import recorded_lengths
from umtrace.whatif.designs import DESIGNS
from umtrace.whatif.grace import NormalGracePeriods, shut_down_in_turn
from umtrace.whatif.predict import what_if
from umtrace.whatif.simulate import simulate

JIFFY = 4 * MS


def _run(rows, design, **options):
    return simulate(load(*rows), DESIGNS[design], jiffy_ns=JIFFY, **options)


def test_two_umounts_share_the_next_grace_period():
    grace = NormalGracePeriods(lengths(10), seed=0)
    # The first begins one; two that ask during it share the next; the last finds none running.
    assert [grace.request(now) for now in (0, 1, 9, 25)] == [10, 20, 20, 35]
    assert grace.count == 3


def test_a_request_as_the_shared_one_runs_waits_for_another():
    grace = NormalGracePeriods(lengths(10), seed=0)
    assert [grace.request(now) for now in (0, 5, 12)] == [10, 20, 30]


def test_one_work_item_shuts_down_in_turn_after_a_jiffy():
    ends = shut_down_in_turn(lengths(0, 2, 6), lengths(3, 3, 3), 4)
    # The first two are one batch, from 4 on; the third comes while it runs and is due at 10.
    assert ends.tolist() == [7, 10, 13]


def test_a_hung_shutdown_is_a_convoy_under_b_and_not_under_b2():
    rows = [
        umount(n * MS, tid=n, mode="lazy", rcu=MS, shutdown=3000 * MS if n == 1 else MS)
        for n in (1, 2, 3)
    ]
    convoy = _run(rows, "B", lengths=lengths(15 * MS))
    assert convoy.caller.tolist() == [0, 0, 0]
    assert convoy.queued.max() > 2900 * MS
    alone = _run(rows, "B2", lengths=lengths(15 * MS))
    assert alone.queued.tolist() == [0, 0, 0]
    assert (alone.gone - alone.begin).tolist()[1:] == [30 * MS, 29 * MS]


def test_a_full_overlap_at_the_lock():
    rows = [umount(0, tid=n, lock=10 * n, tree=10, rcu=100) for n in range(3)]
    found = _run(rows, "A")
    assert found.unlocked.tolist() == [10, 20, 30]
    assert found.caller.tolist() == [110, 120, 130]
    assert _run(rows, "D").caller.tolist() == [110, 120, 130], "unknown holders wait"
    free = [{**each, "n_held": 0} for each in rows]
    assert _run(free, "D").caller.tolist() == [10, 20, 30]


def test_d_waits_for_what_somebody_holds():
    rows = [umount(n * 1000, tid=n, rcu=100, n_held=n % 2) for n in range(10)]
    found = _run(rows, "D")
    assert found.caller.tolist() == [0, 100] * 5
    assert found.grace_periods == 5


def test_a_task_goes_on_as_soon_as_it_has_returned():
    rows = [umount(n * 200, tid=7, rcu=100, n_held=0) for n in range(3)]
    assert _run(rows, "D").begin.tolist() == [0, 100, 200], "it pauses 100 between two"
    assert _run(rows, "D", closed=False).begin.tolist() == [0, 200, 400]


def test_c_lets_sync_umounts_return_too_soon():
    rows = [umount(0, tid=1, rcu=MS, shutdown=2 * MS), umount(0, tid=2, rcu=MS, mode="lazy")]
    found = what_if(load(*rows), ["C"], lengths=lengths(15 * MS), jiffy_ns=JIFFY)
    assert (found["C"].promise, found["C"].deferred, found["C"].waits) == (1, 2, 0)
    assert found["C"].gone[0].ns >= 15 * MS + JIFFY
    assert found["A"].promise == 0


def test_on_rt_a_sync_umount_waits_for_the_next_one_beside_a_deferred_one():
    normal = {"rcu_kind": "normal", "rcu": 15 * MS}
    rows = [
        umount(0, tid=1, mode="lazy", **normal),
        umount(MS, tid=2, **normal),
    ]
    found = _run(rows, "B", lengths=lengths(15 * MS))
    assert found.caller.tolist() == [0, 29 * MS], "14 ms are left of the first, then its own"


def test_what_is_not_known_is_not_there():
    rows = [umount(0, tid=1, rcu=MS, mode="lazy")]
    found = what_if(load(*rows), ["B", "D"], jiffy_ns=JIFFY)
    assert found["B"].gone == ()
    assert found["B"].grace_periods is None
    assert found["B"].why == (NO_LENGTH,)
    assert found["B"].caller["all"][0].ns == 0, "what the caller waits is known all the same"
    assert found["D"].why == (NO_HELD,)
    assert found["D"].waits is None
    empty = what_if(load(), ["B", "D"], jiffy_ns=JIFFY)
    assert empty.umounts == 0


def test_grace_periods_with_one_number_count_once():
    shared = [umount(n, tid=n, rcu=100, gp_seq=8) for n in range(3)]
    alone = umount(500, tid=9, rcu=100, gp_seq=12)
    joined = umount(600, tid=10, rcu=100, rcu_kind="piggybacked")
    assert _run([*shared, alone, joined], "A").grace_periods == 2


def test_lone_normal_waits_calibrate():
    rows = [umount(n * 100 * MS, tid=n, rcu=(10 + n) * MS, rcu_kind="normal") for n in range(6)]
    assert sorted(recorded_lengths(load(*rows)).tolist()) == [n * MS for n in range(10, 16)]
    crowd = [umount(n, tid=n, rcu=15 * MS, rcu_kind="normal") for n in range(9)]
    assert recorded_lengths(load(*crowd)) is None


_TIME = st.integers(0, 50 * MS)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "gap": _TIME,
            "tid": st.integers(1, 4),
            "lookup": _TIME,
            "tree": _TIME,
            "rcu": _TIME,
            "put": _TIME,
            "shutdown": _TIME,
            "mode": st.sampled_from(["sync", "lazy"]),
            "errno": st.sampled_from([0, 0, 0, 16]),
            "n_held": st.none() | st.integers(0, 2),
            "normal": st.booleans(),
        }
    ),
    max_size=25,
)


def _serial(drawn):
    """Return rows of tasks that unmount one after the other and queue for the lock in turn."""
    rows, free, ready = [], 0, dict.fromkeys(range(1, 5), 0)
    asks = 0
    for each in map(dict, drawn):
        gap, normal, tid = each.pop("gap"), each.pop("normal"), each["tid"]
        if each["errno"]:
            each.update(rcu=0, put=0, shutdown=0, tree=0)
        begin = max(ready[tid] + gap, asks - each["lookup"], 0)
        asks = begin + each["lookup"]
        lock = max(free - asks, 0)
        free = asks + lock + each["tree"]
        kind = "none" if not each["rcu"] else "normal" if normal else "expedited"
        rows.append(umount(begin, lock=lock, rcu_kind=kind, **each))
        ready[tid] = begin + rows[-1]["latency_ns"]
    return rows


@given(_ROWS)
def test_a_predicted_from_a_is_a(drawn):
    rows = _serial(drawn)
    recorded = load(*rows)
    found = simulate(recorded, DESIGNS["A"], jiffy_ns=JIFFY)
    assert found.begin.tolist() == recorded.begin.tolist()
    assert found.caller.tolist() == recorded.recorded.tolist()


@given(_ROWS, st.integers(0, 3))
def test_what_holds_for_any_load(drawn, seed):
    recorded = load(*_serial(drawn))
    gp = lengths(15 * MS, 22 * MS)
    found = {
        name: simulate(recorded, d, lengths=gp, jiffy_ns=JIFFY, closed=False, seed=seed)
        for name, d in DESIGNS.items()
    }
    assert (found["D"].caller <= found["A"].caller).all()
    assert (found["B2"].gone <= found["B"].gone).all(), "more at once is never later"
    assert (found["B2"].caller == found["B"].caller).all()
    for each in found.values():
        assert (each.gone >= each.unlocked).all()
        late = each.deferred
        work = (recorded.put + recorded.shutdown)[late].sum()
        if late.any():
            assert each.gone[late].max() - each.unlocked[late].min() >= gp.min()
            assert work == 0 or each.gone[late].max() > each.unlocked[late].min()
    again = simulate(recorded, DESIGNS["B"], lengths=gp, jiffy_ns=JIFFY, closed=False, seed=seed)
    assert again.gone.tolist() == found["B"].gone.tolist()


@given(_ROWS)
def test_the_rest_of_a_load_does_not_depend_on_the_order_of_the_rows(drawn):
    rows = _serial(drawn)
    one, other = load(*rows), load(*reversed(rows))
    first, second = (simulate(each, DESIGNS["D"], jiffy_ns=JIFFY) for each in (one, other))
    assert sorted(first.caller.tolist()) == sorted(second.caller.tolist())


@pytest.mark.parametrize("column", ["t_start", "latency_ns"])
def test_rows_without_begin_or_end_are_left_out_and_counted(column):
    found = load(umount(0, rcu=5), umount(10, **{column: None}))
    assert (len(found), found.left_out) == (1, 1)


def test_phases_that_a_tier_does_not_see_are_part_of_the_rest():
    unseen = dict.fromkeys(("lookup_ns", "lock_ns", "tree_ns", "put_ns"))
    found = load({**umount(0, rcu=5, shutdown=10), **unseen, "latency_ns": 100})
    assert found.rest.tolist() == [85]
    assert not found.sees_lock
    assert np.array_equal(simulate(found, DESIGNS["A"], jiffy_ns=JIFFY).caller, [100])


@pytest.mark.parametrize("field", ["latency_ns", "rcu_ns", "shutdown_ns"])
def test_times_that_no_host_has_are_refused(field):
    with pytest.raises(DamagedInputError, match="more than a year"):
        load(*(umount(n, **{field: 2**62}) for n in (0, 1)))


def test_what_was_measured_beside_the_load_serves_where_the_load_shows_nothing():
    rows = [umount(n, tid=n, rcu=MS, mode="lazy") for n in range(3)]
    beside = lengths(*[7 * MS] * 5)
    found = what_if(load(*rows), ["B"], measured=beside, jiffy_ns=JIFFY)
    assert (found.lengths[0].ns, found.lengths_by) == (7 * MS, "membarrier(2)")
    assert found["B"].grace_periods == 2, "the first, and one that the other two share"
    few = what_if(load(*rows), ["B"], measured=beside[:4], jiffy_ns=JIFFY)
    assert (few["B"].grace_periods, few.unmeasured) == (None, "fewer than five were measured")
    normal = [umount(n * 100 * MS, tid=n, rcu=9 * MS, rcu_kind="normal") for n in range(5)]
    waited = what_if(load(*normal), [], measured=beside, jiffy_ns=JIFFY)
    assert waited.lengths_by == "recorded waits"
    given = what_if(load(*normal), [], lengths=lengths(3), measured=beside, jiffy_ns=JIFFY)
    assert given.lengths_by == "assumed"
