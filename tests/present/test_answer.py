from __future__ import annotations

import pytest

from tests.present.reports import of_rows
from tests.stats.rows import T0_NS, container_host, row
from umtrace.model.windows import EbusyWindow


def window(n, klass="held", *, spurious=False, **more):
    begin = T0_NS + n
    return EbusyWindow(begin_ns=begin, end_ns=begin + 5, klass=klass, spurious=spurious, **more)


def said(rows, heading, windows=()):
    return of_rows(rows, heading, windows=windows).answer


def test_nothing_is_said_of_nothing(heading):
    assert said([], heading) == ""


def test_what_takes_most_of_the_time(heading):
    rows = [row(id=n, latency_ns=1000, rcu_ns=600, tree_ns=100) for n in range(3)]
    text = said(rows, heading)
    assert text == "3 umounts, median latency 1.00 µs; RCU wait takes 60.0 % of the time."
    rows = [row(id=n, latency_ns=1000, rcu_ns=200, shutdown_ns=700) for n in range(3)]
    assert "fs shutdown takes 70.0 % and RCU wait 20.0 % of the time" in said(rows, heading)


def test_bounds_and_unknown(heading):
    rows = [row(id=0, latency_ns=1000, latency_bound="upper", rcu_ns=None)]
    text = said(rows, heading)
    assert "median latency at most 1.00 µs" in text
    assert "the RCU wait was not seen" in text
    assert "latency unknown" in said([row(id=0, latency_ns=None)], heading)


@pytest.mark.parametrize(
    ("windows", "what"),
    [
        ((), "2 failed with EBUSY."),
        ((window(0),), "2 failed with EBUSY (1 window: 1 real)."),
        ((window(0), window(1)), "2 failed with EBUSY (2 windows: all real)."),
        (
            (window(0), window(1, "unknown", spurious=None), window(2, "lazy-tail")),
            "2 failed with EBUSY (2 windows: 1 real, 1 of unknown cause).",
        ),
    ],
)
def test_busy(heading, windows, what):
    rows = [row(id=n, errno=16) for n in range(2)] + [row(id=2)]
    assert said(rows, heading, windows).endswith(what)


def test_a_host(heading):
    assert said(container_host(40), heading).startswith("40 umounts, median latency ")
