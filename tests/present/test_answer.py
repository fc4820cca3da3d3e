from __future__ import annotations

import pytest

from tests.present.reports import of_rows
from tests.stats.rows import T0_NS, container_host, row
from umtrace.model.holders import Holder
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
    rows = [row(id=n, errno=16) for n in range(2)] + [row(id=2, latency_ns=1000)]
    assert said(rows, heading, windows).endswith(what)


def holder(kind="fd", detail="/mnt/data.log"):
    return Holder(kind=kind, pid=77, comm="sleep", detail=detail)


def busy(*holders, n=0, lasted=2_000_000):
    return EbusyWindow(
        begin_ns=T0_NS + n,
        end_ns=T0_NS + n + lasted,
        klass="held",
        spurious=False,
        path="/mnt",
        holders=holders,
        held_min_ns=lasted // 2,
        held_max_ns=lasted,
    )


REFUSED_TWICE = [row(id=n, errno=16, path="/mnt") for n in range(2)]


def test_a_busy_mount_that_took_longer_than_umount_comes_first(heading):
    rows = [*REFUSED_TWICE, row(id=2, latency_ns=1000, rcu_ns=600)]
    assert said(rows, heading, [busy(holder())]) == (
        "/mnt was busy for at least 1.00 ms, at most 2.00 ms: sleep (77) had data.log open; 2 "
        "umounts failed with EBUSY; 3 umounts, median latency 1.00 µs (of the 1 that did not "
        "fail); RCU wait takes 60.0 % of their time."
    )
    slow = [*REFUSED_TWICE, row(id=2, latency_ns=9_000_000)]
    assert said(slow, heading, [busy(holder())]).startswith("3 umounts, ")


@pytest.mark.parametrize(
    ("holders", "who"),
    [
        ([holder("cwd", "/mnt")], ": sleep (77) was in /mnt;"),
        ([holder("fd", "/mnt/" + "d" * 90)], ": sleep (77) had …" + "d" * 59 + " open;"),
        ([holder(), holder("cwd", "/mnt")], ": held by sleep 77 (fd, cwd);"),
        ([Holder(kind="loop", detail="/mnt/img")], ": held by /mnt/img (loop);"),
        ([], "2.00 ms; 2 umounts"),
    ],
)
def test_who_held_it(heading, holders, who):
    assert who in said([*REFUSED_TWICE, row(id=2, latency_ns=1)], heading, [busy(*holders)])


def test_windows_that_overlap_count_once(heading):
    windows = [busy(n=n * 1_000_000) for n in range(3)]
    text = said([*REFUSED_TWICE, row(id=2, latency_ns=1)], heading, windows)
    first = "/mnt was busy longest, for at least 1.00 ms, at most 2.00 ms; 2 umounts failed"
    assert text.startswith(first)
    assert "(3 windows: all real), for 4.00 ms together; 3 umounts" in text


def test_umounts_that_all_failed_have_no_phases(heading):
    assert said(REFUSED_TWICE, heading, [busy(holder())]) == (
        "2 umounts, which all failed with EBUSY (1 window: 1 real), held by sleep 77 (fd): /mnt."
    )
    rows = [row(id=0, errno=22, path="/a", other_ns=5, latency_ns=5)]
    assert said(rows, heading) == "1 umount, which failed with EINVAL: /a."
    text = said([*rows, *REFUSED_TWICE], heading)
    assert text == ("3 umounts, which all failed; 2 failed with EBUSY; 1 failed with EINVAL: /a.")


def test_a_failure_names_its_errno_and_path(heading):
    rows = [row(id=0, errno=22, path="/a"), row(id=1, errno=22, path="/b"), row(id=2)]
    assert said(rows, heading).endswith("; 2 failed with EINVAL: /a and 1 other path.")


def test_the_slowest_where_it_dominates(heading):
    rows = [row(id=n, latency_ns=ns, path=f"/{n}") for n, ns in enumerate((5000, 7000, 90_000))]
    assert "; the slowest took 90.0 µs: /2;" in said(rows, heading)
    assert "slowest" not in said(rows[:1], heading), "the only one"
    assert "slowest" not in said([*rows, row(id=3, latency_ns=90_000)], heading)


def test_at_most_is_not_below_the_median(heading):
    rows = [
        row(id=n, latency_ns=ns, latency_bound="upper")
        for n, ns in enumerate((1, 815_600, 815_700))
    ]
    number = float(said(rows, heading).partition("at most ")[2].partition(" µs")[0])
    assert 815.6 <= number < 815.6 * 1.008


def test_a_host(heading):
    assert said(container_host(40), heading).startswith("40 umounts, median latency ")
