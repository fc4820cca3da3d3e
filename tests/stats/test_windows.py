from __future__ import annotations

import pytest

from umtrace.model.errors import DamagedInputError
from umtrace.model.holders import Holder
from umtrace.model.windows import EbusyWindow, Walker, windows_from_arrow, windows_to_arrow
from umtrace.stats.windows import WindowTotals, longest


def _window(number, **values):
    given = {"klass": "held", "spurious": False, "begin_ns": number, "end_ns": number * 10}
    return EbusyWindow(**(given | {"umount_id": number, "attempts": 2} | values))


def test_arrow_and_back():
    windows = [
        _window(
            7,
            holders=(Holder(kind="fd", pid=1, fd=3),),
            walkers=(Walker(tid=4, comm="find", what="put", count=2),),
            evidence=("a", "b"),
        ),
        _window(8, spurious=None, end_ns=None, klass="unknown"),
    ]
    assert windows_from_arrow(windows_to_arrow(windows)) == windows


def test_columns_of_somebody_else_are_told():
    rows = windows_to_arrow([_window(1)])
    at = rows.schema.get_field_index("holders")
    odd = rows.set_column(
        at, "holders", windows_to_arrow([_window(1, evidence=("x",))])["evidence"]
    )
    with pytest.raises(DamagedInputError, match="holders"):
        windows_from_arrow(odd)


def test_totals_do_not_depend_on_the_batches():
    windows = [_window(n, klass="held" if n % 3 else "unknown") for n in range(1, 30)]
    windows += [_window(n, spurious=[True, None][n % 2], end_ns=None) for n in range(30, 40)]
    whole = WindowTotals.of([windows_to_arrow(windows)])
    split = WindowTotals.of([windows_to_arrow(windows[:11]), windows_to_arrow(windows[11:])])
    assert whole.rows() == split.rows()
    assert len(whole) == 39
    held = next(row for row in whole.rows() if row["class"] == "held" and row["spurious"] is False)
    mine = [w for w in windows if w.klass == "held" and w.spurious is False]
    assert held["windows"] == len(mine)
    assert held["attempts"] == 2 * len(mine)
    assert held["duration_ns"] == sum(w.duration_ns for w in mine)


def test_the_longest_come_first_and_the_endless_last():
    windows = [_window(n) for n in range(1, 20)] + [_window(50, end_ns=None)]
    batches = [windows_to_arrow(windows[at : at + 3]) for at in range(0, 20, 3)]
    assert longest(batches, 3)["umount_id"].to_pylist() == [19, 18, 17]
    assert longest([windows_to_arrow(windows)], 20)["umount_id"].to_pylist()[-1] == 50
    assert longest([], 3) is None


def test_a_late_retry_makes_no_window_longer():
    """The mount was free after at most 5 ns; somebody looked again after 1,000."""
    late = _window(1, end_ns=1001, first_success_ns=900, held_max_ns=5, spurious=True)
    busy = [_window(2, end_ns=102), _window(3, end_ns=63, first_success_ns=60)]
    after = _window(4, klass="lazy-tail", end_ns=84, held_max_ns=None)
    of_another = _window(5, klass="downstream", end_ns=5000)
    rows = windows_to_arrow([late, of_another, after, *busy])
    assert longest([rows], 9)["umount_id"].to_pylist() == [2, 4, 3, 1, 5]
