"""Every bench runs, at a tiny size; nothing here looks at a time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bench import (
    calls,
    child,
    correlate,
    drain,
    loops,
    memory,
    page,
    programs,
    slowdown,
    startup,
    tools,
)

OURS = tools.umtrace("tracepoint")


@pytest.mark.parametrize("tier", ["tracepoint", "fentry"])
def test_all_ways_to_correlate_find_the_same_number_of_umounts(tier):
    found = {way: correlate.measure(way, tier, 5000) for way in correlate.WAYS}
    assert len({result["rows"] for result in found.values()}) == 1
    assert found["umtrace"]["rows"] > 0


def sleep(answer):
    answer.get()


def die(answer):
    raise SystemExit(3)


def test_a_measurement_that_hangs_or_dies_is_given_up():
    assert child.in_child(sleep, (), 0.2) == {"failed": "gave up after 0.2 s"}
    assert child.in_child(die, (), 60) == {"failed": "ended with 3"}


def test_what_a_compiler_notes_is_no_loss(tmp_path):
    note = "x.h:5:2: note: (skipping 1 expansions in backtrace; use -fmacro-backtrace-limit=0)"
    (tmp_path / "printed").write_text(f"{note}\n")
    assert calls._said_of_losses(tmp_path) == ""
    (tmp_path / "printed").write_text(f"{note}\nPossibly lost 11 samples\n")
    assert calls._said_of_losses(tmp_path) == "1 lines such as 'Possibly lost 11 samples'"


def test_a_process_that_is_gone_has_no_memory_instead_of_none():
    with subprocess.Popen(["true"]) as gone:
        pass
    with pytest.raises(tools.NotHereError, match="ended before"):
        memory.resident(gone.pid)


@pytest.mark.kernel
@pytest.mark.parametrize("way", drain.WAYS)
@pytest.mark.parametrize("rate", [0, 100_000])
def test_a_reader_handles_what_was_sent(way, rate):
    result = drain.measure(way, 0.3, rate)
    assert 0 < result["handled"] <= result["sent"]


@pytest.mark.kernel
def test_a_recorder_starts_and_its_memory_is_read():
    result = startup.ready(OURS, 1)
    assert result["rss_mib"] > result["anonymous_mib"] > 0
    assert result["median_s"] > 0


@pytest.mark.kernel
def test_a_pair_of_loops():
    pairs = list(slowdown.samples([OURS], {"stat": 100, "open": 100, "umount": 20}, 2))
    (row,) = slowdown.summary(pairs)
    assert row["pairs"] == 2
    assert set(row["loops"]) == {"stat", "open", "umount"}
    assert all(loop["least"] <= loop["ratio"] <= loop["most"] for loop in row["loops"].values())


@pytest.mark.kernel
def test_the_recorder_sees_every_umount_of_the_churn():
    (row,) = calls.measure([OURS], 16, 10)
    assert row["seen"] == [row["there_were"]] == [160]
    assert row["said"] == "losses: none"


@pytest.mark.kernel
def test_the_kernel_counts_the_runs_and_stops_counting():
    setting = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = setting.read_text()
    rows = list(programs.measure([OURS], {"umount": 50}))
    (enter,) = (row for row in rows if row["program"] == "um_enter")
    assert enter["runs_each"] >= 1
    assert enter["ns_a_run"] > 0
    assert setting.read_text() == before


def test_a_tool_that_is_not_there_says_so(tmp_path):
    tool = tools.Tool("x", ("no-such-tool-here",))
    (row,) = slowdown.summary(slowdown.samples([tool], {"stat": 10}, 3))
    assert row == {"tool": "x", "refused": "no-such-tool-here is not installed"}


def test_a_tool_that_ends_says_why():
    tool = tools.Tool("x", ("sh", "-c", "echo no such probe; exit 1"), "ready")
    (row,) = slowdown.summary(slowdown.samples([tool], {"stat": 10}, 3))
    assert row["refused"] == "no such probe"


def test_what_tools_print_is_counted(tmp_path):
    printed = {
        "funclatency-bpfcc namespace_unlock": (
            "     nsecs               : count     distribution\n"
            "       512 -> 1023       : 12       |****    |\n"
            "      1024 -> 2047       : 3        |        |\n"
        ),
        "perf ftrace latency -T namespace_unlock": (
            "#   DURATION     |      COUNT | GRAPH    |\n"
            "     0 - 1    us |         10 | ####     |\n"
            "     1 - 2    ms |          5 | ##       |\n"
        ),
    }
    for tool in tools.ONE_FUNCTION:
        (tmp_path / "printed").write_text(printed[tool.name])
        assert tool.seen(tmp_path) == 15


def tree(times):
    """Return a sample of the part `tree`, in which a tracer adds so many times what there is."""
    ends = {"copy-0": 10, "copy-1500": 3010, "own-0": 10, "own-1500": 3010}
    ends |= {"spread-0": 10, "spread-100": 210}
    plain, traced = {}, {}
    for loop, ns in ends.items():
        mounts = {"mounts": int(loop.partition("-")[2])}
        least = ns * (times + 1)
        plain[loop] = {**mounts, "least_ns": ns, "median_ns": ns, "mean_ns": ns}
        traced[loop] = {**mounts, "least_ns": least, "median_ns": 2 * ns, "mean_ns": 3 * ns}
    return {"tool": "a tool", "untraced": plain, "traced": traced}


def test_the_page_has_a_table_for_every_result(tmp_path):
    pair = {
        "tool": "a tool", "ready_s": 1.0, "rss_mib": 2.0, "anonymous_mib": 1.0,
        "untraced": {loop: {"least_ns": 10.0, "median_ns": 10} for loop in slowdown.COUNTS},
        "traced": {loop: {"least_ns": 12.5, "median_ns": 20} for loop in slowdown.COUNTS},
    }  # fmt: skip
    refused = {"tool": "another", "refused": "no kprobes here"}
    seen = {"tool": "a tool", "there_were": 100, "seen": [100, 90], "said": ""}
    host = {"cpus": 2, "cpu": "x", "kernel": "6", "python": "3", "day": "d", "load": 0.0}
    results = {
        "slowdown": [pair, refused], "calls": [seen],
        "correlate": [correlate.measure("umtrace", "fentry", 5000)],
        "startup": [startup.command(1, "--help")],
    }  # fmt: skip
    results["hosts"] = dict.fromkeys(results, host)
    (tmp_path / "host.json").write_text(json.dumps(results))
    starts = [
        {"what": tools.MOUNTSNOOP.name, "first_s": 9.0, "median_s": 6.0, "rss_mib": 150.0},
        {"what": f"ours{tools.KEPT}", "first_s": 8.0, "median_s": 2.0, "rss_mib": 100.0},
    ]
    lab = {"counts": [pair], "grace": [pair, refused], "starts": starts}
    lab["lab"] = {"kernel": "6.12", "days": {"counts": "d"}}
    lab["tree"] = [tree(1), refused]
    lab["records"] = [{
        "tool": "a tool", "umounts": 10, "records": 6.0, "ring_bytes": 1200.0, "events_rows": 15.0,
        "names_rows": 3.0, "umounts_bytes": 20.0, "events_bytes": 70.0, "names_bytes": 7.5,
        "wakes": 2, "wall_s": 0.08,
    }]  # fmt: skip
    (tmp_path / "lab-6.12.json").write_text(json.dumps(lab))
    page.write(tmp_path, tmp_path / "overhead.md")
    text = (tmp_path / "overhead.md").read_text()
    assert "| a tool | 1.25 (1.25 to 1.25), +2 ns |" in text
    assert "| another | did not run: no kprobes here |" in text
    assert "| a tool | 100 | 100, 90 | 90% to 100% | nothing |" in text
    assert "| fentry | umtrace |" in text
    assert "umtrace --help" in text
    assert "Instructions that a tracer adds" in text
    assert "| a tool | +10 (10), 2.00 x |" in text
    assert text.count("| a tool | +10 (10) | +2 (2) | 2.0 x, 3.0 x |") == 2
    assert "| a tool | +10 (10) | +210 (210) | +2 |" in text
    assert "| a tool | 6.0 | 1,200 | 15.0 | 3.0 | 97.5, 20.0 of them the row | 2 in" in text
    assert "| ours | 8.00 | 0.8 x | - |" in text
    assert "| ours, programs kept | 2.00 | 3.0 x | 100 MiB |" in text
    assert (tmp_path / "overhead.svg").read_text().startswith("<?xml")


def test_the_loops_measure_something(tmp_path):
    made = loops.Loops(tmp_path)
    for loop in loops.WALKS:
        result = made.run(loop, 1000)
        assert 0 < result["least_ns"] <= result["median_ns"]
