from __future__ import annotations

from dataclasses import replace

import pytest

from tests.present.reports import of_rows
from tests.stats.rows import batch_of, container_host, row
from umtrace.model.losses import LossReport
from umtrace.present.heading import heading_lines, kernel_text, loss_text, rcu_text
from umtrace.present.hist import histogram_text
from umtrace.present.report.as_text import report_text
from umtrace.stats.bins import EDGES_LOG2
from umtrace.stats.summarize import summarize


def _report(rows, heading, **options):
    return report_text(of_rows(rows, heading, **options))


def test_report_of_a_container_host(golden, heading):
    golden("container_host.txt", _report(container_host(), heading))


def test_report_by_several_keys(golden, heading):
    by = ("container", "mode", "errno")
    golden("by_container_mode_errno.txt", _report(container_host(), heading, by=by))


def test_report_with_everything_wrong(golden, heading):
    rows = [
        row(complete=False, latency_ns=None, errno=None, mode=None),
        row(latency_ns=2_000, latency_bound="upper", errno=2),
        row(latency_ns=2_000, other_ns=-7, errno=22, comm="evil\x1b[2J"),
        *(row(latency_ns=5_000, errno=16) for _ in range(3)),
    ]
    bad = replace(
        heading,
        losses=LossReport(ring_events=12, ring_names=0, probe_misses=1),
        problems=("umounts-0002.parquet: truncated, 512 rows skipped",),
        duration_ns=None,
        filtered="--comm evil*",
        recorded_only="--mode sync",
    )
    golden("everything_wrong.txt", _report(rows, bad, by=("mode", "comm")))


def test_report_of_one_umount(golden, heading):
    golden("one.txt", _report([row(rcu_ns=52_100, other_ns=400_000)], heading))


def test_report_of_nothing(golden, heading):
    golden("nothing.txt", _report([], heading))
    assert "passes the filter" in _report([], replace(heading, filtered="--pid 1"))


def test_what_cannot_be_read_is_not_called_nothing(heading):
    damaged = replace(heading, problems=("umounts-00001.parquet: damaged, skipped",))
    assert "could be read" in _report([], damaged)
    assert "No umount was recorded" not in _report([], damaged)
    filtered = " ".join(_report([], replace(damaged, filtered="--pid 1")).split())
    assert "could be read passes the filter; the damage is named above" in filtered


def test_histograms(golden, heading):
    summary = summarize([batch_of(container_host())], metrics=("rcu_ns", "lock_ns"))
    golden("hist_rcu.txt", histogram_text(summary, heading, "rcu_ns", EDGES_LOG2))
    golden("hist_lock.txt", histogram_text(summary, heading, "lock_ns"))


@pytest.mark.parametrize("by", [(), ("mode",), ("container",), ("comm", "fstype", "tier")])
def test_no_line_is_wider_than_80_and_no_number_is_cut(heading, by):
    rows = [
        row(
            mode=f"mode-of-an-unexpected-length-{n}",
            comm="[bold]" + "c" * 15,
            container="f" * 64,
            errno=16,
            latency_ns=123_456_789,
            rcu_ns=12_345_678,
        )
        for n in range(2)
    ]
    lines = _report(rows, heading, by=by).splitlines()
    assert max(map(len, lines)) <= 80
    table = "\n".join(line for line in lines if "latency " in line or "RCU wait " in line)
    assert table.count("123 ms") >= 4
    assert table.count("12.3 ms") >= 4


@pytest.mark.parametrize("length", [18, 25, 27, 64, 4000])
def test_a_long_key_leaves_room_for_every_column(heading, length):
    rows = [
        row(fstype="f" * length, latency_ns=4_090_000 + n, rcu_ns=4_010_000) for n in range(1368)
    ]
    text = _report(rows, heading, by=("fstype", "mode"))
    head = next(line for line in text.splitlines() if line.startswith("mode"))
    assert head.split()[-2:] == ["max", "share"]
    assert "98.0 %" in text[text.index(head) :].splitlines()[3]


def test_many_groups_are_cut_and_counted(heading):
    text = _report([row(comm=f"task-{n:02}") for n in range(25)], heading, by=("comm",))
    assert "and 5 groups more, 5 umounts; --format csv lists all" in text
    assert "task-19" in text
    assert "task-20" not in text


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row(latency_ns=5)], "RCU wait: not seen by this tier in 1 umount"),
        ([row(latency_ns=5, rcu_ns=0)], "RCU wait: none in 1 umount"),
        (
            [row(latency_ns=100, rcu_ns=12), row(latency_ns=100)],
            (
                "12.0 % of the time of 1 umount (seen in 1; median 12 ns, max 12 ns); "
                "unknown for 1 of 2 umounts"
            ),
        ),
        ([row(rcu_ns=12)], "RCU wait: 100 % of the time of 1 umount"),
        ([row(rcu_ns=12, latency_ns=None)], "RCU wait: share unknown (seen in 1;"),
        ([row(rcu_ns=1, shutdown_ns=9)], "Largest phase: fs shutdown, 90.0 % of the time"),
        ([row(errno=16), row(), row(errno=None)], "EBUSY: 1 of 2 umounts (50.0 %)"),
        ([row(latency_ns=None), row(latency_ns=9)], "latency is unknown for 1 of 2 umounts, which"),
        (
            [row(mode=None, origin="ns-exit"), row()],
            "mode -: no umount(2), for example the end of a mount namespace",
        ),
        (
            [row(latency_ns=9, latency_bound="upper")] * 2,
            "latency is an upper bound for all 2 umounts (to the next system call)",
        ),
        (
            [row(latency_ns=100), row(latency_ns=100, rcu_ns=9)],
            "share -: unknown for 1 of 2 umounts: RCU wait",
        ),
        (
            [row(latency_ns=9, latency_bound="upper")],
            "latency is an upper bound for 1 umount (to the next system call)",
        ),
    ],
)
def test_says_plainly_what_the_rows_say(heading, rows, sentence):
    assert sentence in " ".join(_report(rows, heading).split())


def test_losses_are_always_told(heading, no_losses):
    assert loss_text(no_losses) == "none"
    assert loss_text(LossReport()) == "not counted"
    assert loss_text(replace(no_losses, ring_events=1)) == "1 event dropped (event ring full)"
    by_cpu = replace(no_losses, ring_events=1007, ring_events_per_cpu=(7, 0, 1000))
    text = "1,007 events dropped (event ring full) [CPU 0: 7, CPU 2: 1,000]"
    assert loss_text(by_cpu) == text
    many = replace(no_losses, ring_events=9, ring_events_per_cpu=(1,) * 9)
    assert loss_text(many).endswith("CPU 7: 1, …]")
    skipped = {"um_return_path_umount": 1, "um_entry_cleanup_mnt": 3, "um_entry_mntput": 0}
    by_program = loss_text(replace(no_losses, probe_misses=4, probe_misses_by=skipped))
    assert by_program == (
        "4 probe hits skipped by the kernel [um_entry_cleanup_mnt: 3, um_return_path_umount: 1]"
    )
    partly = loss_text(replace(no_losses, probe_misses=None))
    assert partly == "none (not counted: probe hits skipped by the kernel)"
    lines = heading_lines(replace(heading, problems=("a\nb",)), 2, 5)
    assert "INCOMPLETE: 2 of 5 rows" in lines
    assert "DAMAGED: a?b" in lines


def test_kernel_is_short_but_says_rt():
    assert kernel_text("6.1.0-rt #1 SMP PREEMPT_RT Debian x86_64") == "6.1.0-rt PREEMPT_RT"
    assert kernel_text("") == ""


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"rcu_normal": 1, "preempt_rt": True}, "PREEMPT_RT sets rcu_normal"),
        ({"rcu_normal": 1, "preempt_rt": False}, "rcu_normal is set"),
        ({"rcu_normal": 0, "preempt_rt": False}, ""),
        ({"rcu_normal": None}, ""),
        (None, ""),
    ],
)
def test_why_grace_periods_are_normal(state, text):
    assert text in rcu_text(state)
    assert bool(rcu_text(state)) == bool(text)


def test_the_head_says_why_grace_periods_are_normal(heading):
    lines = heading_lines(replace(heading, rcu=rcu_text({"rcu_normal": 1})), 0, 5)
    assert "RCU grace periods normal, not expedited: rcu_normal is set" in lines
