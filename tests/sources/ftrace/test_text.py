"""Text of other tools as a source of rows."""

from __future__ import annotations

import shutil

import pytest

from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.errors import DamagedInputError, UsageError
from umtrace.pipeline.imported import import_trace
from umtrace.present.heading import heading_lines, heading_of
from umtrace.recording import Recording
from umtrace.sources.ftrace.text import TextSource

REPORT = """\
      umount-100 [001]   100.000000: sys_enter_umount:     name: 0x7ffd, flags: 0x00000002
      umount-100 [001]   100.000010: funcgraph_entry:                   |  path_umount() {
      umount-100 [001]   100.000012: funcgraph_entry:        0.512 us   |    umount_tree();
      umount-100 [001]   100.000013: funcgraph_entry:                   |    namespace_unlock() {
      umount-100 [001]   100.000014: funcgraph_entry:      + 50.0 us    |      RCU();
      umount-100 [001]   100.000070: funcgraph_exit:       + 60.5 us    |    }
      umount-100 [001]   100.000072: funcgraph_exit:       + 70.5 us    |  }
      umount-100 [001]   100.000073: sys_exit_umount:      0x0
      umount-100 [001]   100.000080: funcgraph_entry:      + 20.0 us    |  cleanup_mnt();
      my-task 2-101 [000] ..... 100.000200: sys_umount(name: 0x7f "/mnt/b", flags: 0x0)
      my-task 2-101 [000] 100.000210: funcgraph_entry:                |  path_umount() {
      my-task 2-101 [000] 100.000211: funcgraph_entry:      1.000 us  | propagate_mount_busy();
      my-task 2-101 [000] 100.000213: funcgraph_exit:     + 3.5 us    |  }
      my-task 2-101 [000] 100.000214: sys_umount -> 0xfffffffffffffff0
""".replace("RCU()", "synchronize_rcu_expedited()")

GRAPH = """\
# tracer: function_graph
 100.000010 |   0)  umount-100  |               |  path_umount() {
 100.000013 |   0)  umount-100  |               |    namespace_unlock() {
 100.000014 |   0)  umount-100  | + 50.000 us   |      synchronize_rcu_expedited();
 100.000070 |   0)  umount-100  | + 57.000 us   |    }
 100.000072 |   0)  umount-100  | + 62.000 us   |  } /* path_umount */
"""


def test_a_trace_says_nothing_of_this_host(tmp_path):
    (tmp_path / "trace.txt").write_text(REPORT)
    import_trace(tmp_path / "trace.txt", tmp_path / "r")
    opened = Recording.open(tmp_path / "r")
    assert (opened.meta.host, opened.meta.kernel, opened.meta.boot_id) == ("", "", "")
    head = "\n".join(heading_lines(heading_of(opened), 0, 2))
    assert f"imported from {tmp_path}/trace.txt" in head
    assert "not finished" not in head


def test_a_line_of_no_possible_task_is_left_out(tmp_path):
    strange = "".join(line for line in REPORT.splitlines(True) if "-100 " in line)
    strange = strange.replace("-100 ", "-99999999999 ")
    assert rows(tmp_path, REPORT + strange) == rows(tmp_path, REPORT)


def rows(tmp_path, text):
    path = tmp_path / "trace.txt"
    path.write_text(text)
    source = TextSource(path)
    source.open()
    correlator = UmountCorrelator(clock_offset_ns=0, tier=source.tier)
    found = correlator.feed(source.read(0)).to_pylist() + correlator.finish().to_pylist()
    assert source.read(0) is None
    return sorted(found, key=lambda row: row["t_start"])


def test_a_report_of_function_graph(tmp_path):
    lazy, busy = rows(tmp_path, REPORT)
    assert (lazy["mode"], lazy["errno"], lazy["rcu_ns"], lazy["path"]) == ("lazy", 0, 50_000, None)
    assert (lazy["latency_ns"], lazy["shutdown_ns"]) == (100_000, 28_000)
    assert lazy["final_put"] == "self"
    assert (busy["errno"], busy["path"], busy["comm"], busy["tid"]) == (
        16,
        "/mnt/b",
        "my-task 2",
        101,
    )
    assert lazy["complete"]
    assert busy["complete"]


def test_no_function_returns_after_its_caller(tmp_path):
    """The end of the RCU wait, as time and duration give it, is after those of its two callers."""
    late = REPORT.replace("+ 50.0 us ", "+ 58.5 us ").replace("1.000 us", "3.000 us")
    lazy, busy = rows(tmp_path, late)
    assert (lazy["complete"], busy["complete"]) == (True, True)
    assert (lazy["rcu_ns"], lazy["latency_ns"], busy["errno"]) == (56_000, 100_000, 16)


def test_the_last_line_of_a_task_shows_a_return(tmp_path):
    (row,) = rows(tmp_path, "".join(REPORT.splitlines(True)[:9]))
    assert (row["complete"], row["shutdown_ns"]) == (True, 28_000)


def test_a_line_out_of_its_order_moves_no_return(tmp_path):
    lines = REPORT.splitlines(True)
    lines.insert(5, lines.pop(0))
    assert rows(tmp_path, "".join(lines)) == rows(tmp_path, REPORT)


def test_text_of_tracefs_without_the_system_call(tmp_path):
    (row,) = rows(tmp_path, GRAPH)
    assert (row["rcu_ns"], row["latency_ns"], row["complete"]) == (50_000, 62_000, True)
    assert (row["shutdown_ns"], row["latency_bound"]) == (None, "approx")


NESTED = """\
  umount-100 [001]   100.000000: sys_enter_umount:     name: 0x7ffd, flags: 0x00000000
  umount-100 [001]   100.000010: funcgraph_entry:                   |  path_umount() {
  umount-100 [001]   100.000012: funcgraph_entry:        1.000 us   |    umount_tree();
  umount-100 [001]   100.000014: funcgraph_entry:      + 20.000 us  |    namespace_unlock();
  umount-100 [001]   100.000040: funcgraph_exit:       + 30.000 us  |  }
  umount-100 [001]   100.000041: sys_exit_umount:      0x0
  umount-100 [001]   100.000050: funcgraph_entry:                   |  cleanup_mnt() {
  umount-100 [001]   100.000060: funcgraph_entry:        1.000 us   |    umount_tree();
  umount-100 [001]   100.000065: funcgraph_entry:                   |    namespace_unlock() {
  umount-100 [001]   100.000066: funcgraph_entry:      + 50.000 us  |      RCU();
  umount-100 [001]   100.000120: funcgraph_exit:       + 55.000 us  |    }
  umount-100 [001]   100.000130: funcgraph_exit:       + 80.000 us  |  }
  umount-100 [001]   100.000140: funcgraph_entry:      + 20.000 us  |  cleanup_mnt();
""".replace("RCU()", "synchronize_rcu_expedited()")
NEXT = "  umount-100 [001]   100.000200: sys_enter:            NR 3 (3, 0, 0, 0, 0, 0)\n"


@pytest.mark.parametrize(
    ("end", "last"),
    [("", (100_000, "approx", None)), (NEXT, (140_000, "approx", 80_000))],
    ids=["the end", "a system call"],
)
def test_a_namespace_that_ends_inside_an_umount_is_a_row_of_its_own(tmp_path, end, last):
    outer, inner = rows(tmp_path, NESTED + end)
    assert (outer["mode"], outer["complete"], outer["rcu_ns"]) == ("sync", True, 0)
    assert (outer["origin"], outer["latency_ns"], outer["shutdown_ns"]) == (
        "umount",
        160_000,
        120_000,
    )
    assert (inner["origin"], inner["complete"], inner["rcu_ns"]) == (None, True, 50_000)
    assert (inner["latency_ns"], inner["latency_bound"], inner["shutdown_ns"]) == last
    assert (inner["path"], inner["n_mounts"], inner["final_put"]) == (None, None, None)
    assert outer["final_put"] == "self"


def test_what_follows_a_cleanup_is_no_part_of_it(tmp_path):
    after = NESTED.replace("  umount-100 [001]   100.000130", "  umount-100 [001]   100.000055")
    lines = sorted(after.splitlines(keepends=True), key=lambda line: line.split()[2])
    found = rows(tmp_path, "".join(lines))
    assert [(row["origin"], row["complete"]) for row in found] == [("umount", True), (None, True)]
    assert found[0]["latency_ns"] == 55_000


CALLS = """\
          umount-101   [000] .....   100.000000: sys_umount(name: 0x55b7015c92e0, flags: 0)
          umount-101   [000] .....   100.000300: sys_umount -> 0x0
"""


def test_the_system_call_alone_tells_no_end(tmp_path):
    (row,) = rows(tmp_path, CALLS)
    assert (row["complete"], row["errno"], row["syscall_ns"]) == (True, 0, 300_000)
    assert (row["latency_bound"], row["shutdown_ns"], row["rcu_ns"]) == ("approx", None, None)


@pytest.mark.parametrize(
    "line",
    [
        "umount-101 [000] ..... 100.000500: sys_close(fd: 3)",
        "umount-101 [000] ..... 100.000500: sys_enter: NR 3 (3, 1, 1, 6, 0, 5)",
        "umount-101 [000] 100.000500: sys_enter_close:       fd: 0x00000003",
        "umount-101 [000] 100.000500: sched_process_exit:   comm=umount pid=101 prio=120",
        "umount-101 [000] 100.000500: sched_process_exit:   comm=umount prio=120",
    ],
)
def test_the_next_system_call_is_an_upper_bound(tmp_path, line):
    (row,) = rows(tmp_path, CALLS + line + "\n")
    assert (row["complete"], row["latency_ns"], row["shutdown_ns"]) == (True, 500_000, 200_000)
    assert row["latency_bound"] == "upper"


def test_the_exit_of_a_system_call_is_none(tmp_path):
    line = "umount-101 [000] 100.000500: sys_exit_close:       0x0\n"
    (row,) = rows(tmp_path, CALLS + line)
    assert row["latency_bound"] == "approx"


def without(function):
    return "".join(ln for ln in REPORT.splitlines(keepends=True) if f"{function}()" not in ln)


def test_a_function_that_was_not_traced_is_no_zero(tmp_path):
    lazy, busy = rows(tmp_path, without("synchronize_rcu_expedited"))
    assert (lazy["rcu_ns"], lazy["put_ns"], lazy["rcu_kind"]) == (None, None, None)
    assert (lazy["shutdown_ns"], lazy["latency_bound"]) == (28_000, "exact")
    lazy, busy = rows(tmp_path, without("cleanup_mnt"))
    assert (lazy["rcu_ns"], lazy["shutdown_ns"], lazy["latency_bound"]) == (50_000, None, "approx")
    assert (busy["latency_bound"], busy["complete"]) == ("exact", True)


FUNCTIONS_ALONE = """\
      umount-1234  [001] 100.000100: funcgraph_entry: | path_umount() {
      umount-1234  [001] 100.000110: funcgraph_entry: | umount_tree() {
      umount-1234  [001] 100.000120: funcgraph_exit: | }
      umount-1234  [001] 100.000130: funcgraph_entry: | namespace_unlock() {
      umount-1234  [001] 100.000131: funcgraph_entry: | synchronize_rcu_expedited() {
      umount-1234  [001] 100.000231: funcgraph_exit: | }
      umount-1234  [001] 100.000240: funcgraph_exit: | }
      umount-1234  [001] 100.000250: funcgraph_exit: | }
      umount-1234  [001] 100.000260: funcgraph_entry: | cleanup_mnt() {
      umount-1234  [001] 100.000290: funcgraph_exit: | }
"""


def test_functions_alone_say_nothing_of_the_call_around_them(tmp_path):
    (row,) = rows(tmp_path, FUNCTIONS_ALONE)
    assert (row["complete"], row["rcu_ns"], row["shutdown_ns"]) == (True, 100_000, 40_000)
    assert (row["latency_ns"], row["latency_bound"]) == (190_000, "approx")
    known = {name for name, value in row.items() if value is not None}
    assert known == {
        "id", "t_start", "latency_ns", "latency_bound", "origin", "tid", "comm", "rcu_ns", "put_ns",
        "shutdown_ns", "other_ns", "final_put", "complete", "tier",
    }  # fmt: skip


CALL = [
    'sys_enter_umount: name: 0x7ffd "/mnt/a", flags: 0x00000000',
    "path_umount() {",
    "propagate_mount_busy();",
    "umount_tree();",
    "namespace_unlock() {",
    "synchronize_rcu_expedited() {",
    "synchronize_rcu_normal();",
    "synchronize_rcu_expedited }",
    "namespace_unlock }",
    "path_umount }",
    "sys_exit_umount: 0x0",
    "cleanup_mnt() {",
    "cleanup_mnt }",
    "sys_enter_close: fd: 0x3",
]
LAZY = [
    'sys_enter_umount: name: 0x7ffd "/mnt/a", flags: 0x00000002',
    *(step for step in CALL[1:] if "propagate_mount_busy" not in step),
]


def steps_without(absent, steps):
    """Return the text of a trace that lacks everything that ``absent`` matches."""
    lines = []
    for number, step in enumerate(steps):
        if any(name in step for name in absent):
            continue
        at = f"100.{number * 10:06}"
        if step.endswith(" }"):
            what = "funcgraph_exit: | }"
        elif step.endswith("();"):
            what = f"funcgraph_entry: 2.000 us | {step}"
        elif step.endswith("{"):
            what = f"funcgraph_entry: | {step}"
        else:
            what = step
        lines.append(f"  umount-7 (  5) [001] ..... {at}: {what}\n")
    return "".join(lines)


#: columns that need what is named, in a sync umount; and those that need it in a lazy one too
NEEDS = {
    ("sys_enter_umount", "sys_exit_umount"): (
        "path", "flags", "mode", "errno", "lookup_ns", "syscall_ns",
    ),
    ("sys_enter_umount",): ("path", "flags", "mode", "lookup_ns", "syscall_ns"),
    ("sys_exit_umount",): ("errno", "syscall_ns"),
    ("path_umount",): ("lookup_ns", "lock_ns", "put_ns", "shutdown_ns"),
    ("propagate_mount_busy",): ("lock_ns", "tree_ns"),
    ("umount_tree",): (),
    ("namespace_unlock",): ("tree_ns", "rcu_ns", "put_ns", "rcu_kind"),
    ("synchronize_rcu_expedited",): ("rcu_ns", "put_ns", "rcu_kind"),
    ("synchronize_rcu_normal",): ("rcu_kind",),
    ("cleanup_mnt",): ("final_put",),
}  # fmt: skip
NEEDS_LAZY = {
    **NEEDS,
    ("propagate_mount_busy",): (),
    ("umount_tree",): ("lock_ns", "tree_ns"),
    # Whether the first thing under the lock was traced depends on the flags.
    ("sys_enter_umount",): (*NEEDS[("sys_enter_umount",)], "lock_ns", "tree_ns"),
    ("sys_enter_umount", "sys_exit_umount"): (
        *NEEDS[("sys_enter_umount", "sys_exit_umount")], "lock_ns", "tree_ns",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["sync", "lazy"])
@pytest.mark.parametrize("absent", NEEDS, ids="+".join)
def test_a_column_is_null_where_what_it_needs_was_not_traced(tmp_path, absent, mode):
    steps, needs = (CALL, NEEDS) if mode == "sync" else (LAZY, NEEDS_LAZY)
    (whole,) = rows(tmp_path, steps_without((), steps))
    (row,) = rows(tmp_path, steps_without(absent, steps))
    assert whole["complete"]
    assert row["complete"]
    assert (whole["latency_bound"], whole["rcu_kind"], whole["pid"]) == ("exact", "normal", 5)
    nulls = {name for name in row if row[name] is None and whole[name] is not None}
    assert nulls == set(needs[absent])
    # A start or an end that was seen late is no exact one.
    blind = {"sys_enter_umount": "approx", "sys_exit_umount": "approx", "cleanup_mnt": "upper"}
    assert row["latency_bound"] == next((blind[n] for n in absent if n in blind), "exact")


def test_the_number_of_mounts_is_no_zero_where_umount_tree_was_not_traced(tmp_path):
    for absent in ((), ("umount_tree",)):
        (row,) = rows(tmp_path, steps_without(absent, CALL))
        assert row["n_mounts"] is None


def test_who_called_umount_tree_is_unknown(tmp_path):
    (row,) = rows(tmp_path, steps_without(("path_umount", "sys_"), LAZY))
    assert (row["complete"], row["origin"], row["mode"]) == (True, None, None)


def test_a_process_is_unknown_where_the_trace_has_no_column_for_it(tmp_path):
    text = steps_without((), CALL)
    for column in ("", "(-----) "):
        (row,) = rows(tmp_path, text.replace("(  5) ", column))
        assert (row["complete"], row["tid"], row["pid"]) == (True, 7, None)


def test_entries_alone_make_no_numbers(tmp_path):
    (row,) = rows(
        tmp_path, "  umount-100  [001] .....  100.000010: path_umount <-__x64_sys_umount\n"
    )
    assert (row["complete"], row["latency_ns"]) == (False, None)


def test_what_the_trace_says_was_lost_marks_the_row(tmp_path):
    cut = REPORT.splitlines(keepends=True)
    first, _second = rows(tmp_path, "".join([*cut[:4], "CPU:1 [LOST 12 EVENTS]\n", *cut[4:]]))
    assert first["incomplete_why"] == "lost-events"


@pytest.mark.parametrize("text", ["", "nothing of the kind\n", "\x00\x01\x02" * 100])
def test_a_file_without_umounts_is_one_clear_error(tmp_path, text):
    with pytest.raises(DamagedInputError, match="no umount in it"):
        rows(tmp_path, text)


@pytest.mark.parametrize(
    "line",
    [
        "u-1 [000] 100.000001: sys_exit_umount: hello",
        "u-1 [000] 100.000001: sys_enter_umount: name: 0x7f, flags: zz",
        "u-1 [000] 99999999999999999999.000001: sys_enter_umount: name: 0x7f, flags: 0",
        "u-1 [40000] 100.000001: sys_enter_umount: name: 0x7f, flags: 0",
        "u-1 [000] 100.000001: funcgraph_entry: 1.2.3 us | path_umount();",
        f"u-1 [000] 100.000001: funcgraph_entry: {'9' * 30} us | path_umount();",
        f"[LOST {'9' * 30} EVENTS]",
    ],
)
def test_a_number_that_no_kernel_prints_makes_a_line_none_of_a_trace(tmp_path, line):
    (tmp_path / "trace").write_text(f"{line}\n")
    with pytest.raises(DamagedInputError, match="no umount in it"):
        import_trace(tmp_path / "trace", tmp_path / "r")
    (tmp_path / "trace").write_text(f"{REPORT}{line}\n")
    assert import_trace(tmp_path / "trace", tmp_path / "r").rows == 2


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        TextSource(tmp_path / "absent").open()


def test_a_trace_cmd_file_needs_trace_cmd(tmp_path, monkeypatch):
    path = tmp_path / "trace.dat"
    path.write_bytes(b"\x17\x08Dtracing6\0")
    if shutil.which("trace-cmd"):
        with pytest.raises(DamagedInputError, match="trace-cmd cannot read it"):
            TextSource(path).open()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt-get install trace-cmd"):
        TextSource(path).open()
