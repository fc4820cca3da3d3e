"""Whatever the kernel says, in whatever order, makes rows and never ends the recorder."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.ftrace.builders import translator
from umtrace.correlate.umounts import UmountCorrelator
from umtrace.model.events import Exit, Failed, GracePeriod, Kind, Returned, Unseen
from umtrace.sources.ftrace.drain import LOST_GATED
from umtrace.sources.ftrace.records import LOST, STACK, Record
from umtrace.sources.ftrace.static import StaticTranslator
from umtrace.sources.ftrace.task_tracker import TaskTracker

WORD, HALF = st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1)
SIGNED = st.integers(-(1 << 31), (1 << 31) - 1)
TASK = st.integers(1, 3)
TEXT = st.binary(max_size=300)
COMMON = {
    "mnt": st.sampled_from([0, 0x100, 0x200]) | WORD,
    "vfsmount": st.sampled_from([0, 0x120]) | WORD,
    "ret": SIGNED,
    "flags": SIGNED,
    "how": HALF,
    "caller": WORD,
    "mflags": HALF,
    "dev": HALF,
    "active": HALF,
    "ns": WORD,
    "inum": HALF,
    "id": SIGNED | WORD,
    "path": TEXT,
    "source": TEXT,
    "fstype": TEXT,
    "comm": TEXT,
    "pid": TASK,
    "clone_flags": HALF,
    "dst_root": st.sampled_from([0, 1]),
    "dst_id": WORD,
    "newcomm": TEXT,
    "until": st.integers(0, 3000),
    "on_stack": st.integers(0, 511),
    "next_pid": TASK,
    "prev_pid": TASK,
    "prev_state": st.sampled_from([0, 1, 2, 16, 32, 258]),
    "__name_val": TEXT,
}
BIRTHS = ["task_newtask", "sched_process_exit", "cgroup_attach_task", LOST]
FUNCTIONS = sorted(translator()._handlers)
#: those that put an operation inside another one
DEEP = ["um_enter", "um_name", "um_exit", "um_tree", "um_unlock", "um_unlock_exit", "um_cleanup",
        "um_cleanup_exit", "um_count", "um_counted"]  # fmt: skip
STATIC = ["sys_enter_umount", "sys_exit_umount", "sys_enter", "sched_switch", "task_rename", STACK,
          LOST_GATED]  # fmt: skip


def streams(names):
    record = st.builds(
        Record, st.integers(0, 3000), TASK, st.integers(0, 3), st.sampled_from(names),
        st.fixed_dictionaries(COMMON),
    )  # fmt: skip
    record = record.map(_as_fetched)
    return st.lists(record, max_size=60).map(lambda found: sorted(found, key=lambda r: r.ts_ns))


def _as_fetched(record):
    """The entry of the call and its path are two records."""
    if record.name.startswith("um_enter"):
        del record.fields["path"]
    return record


LISTED = {Kind.EXIT: set(Exit), Kind.RETURNED: set(Returned), Kind.FAILED: set(Failed)}


def check_words(events):
    """Every number of the words that are enums is one that the header lists."""
    for kind, listed in LISTED.items():
        assert set(events["a"][events["kind"] == kind].tolist()) <= listed
    waits = events["ret"][events["kind"] == Kind.RCU_EXIT]
    assert set(waits.tolist()) <= set(GracePeriod)
    bits = events["a"][events["kind"] == Kind.UNSEEN]
    assert all(word & ~int(~Unseen(0)) == 0 for word in bits.tolist())


def check_rows(tier, *batches):
    for batch in batches:
        check_words(batch.events)
    correlator = UmountCorrelator(clock_offset_ns=0, tier=tier)
    found = [row for batch in batches for row in correlator.feed(batch).to_pylist()]
    for row in found + correlator.finish().to_pylist():
        assert row["tid"] in (1, 2, 3)
        assert row["complete"] or row["latency_ns"] is None


@settings(max_examples=60)
@given(streams(FUNCTIONS + BIRTHS) | streams(DEEP))
def test_of_functions(records):
    told = translator(shift=0x20)
    check_rows("ftrace", told.feed(records), told.finish())


@settings(max_examples=60)
@given(streams(STATIC + BIRTHS))
def test_of_tracepoints(records):
    check_rows("ftrace-static", StaticTranslator(TaskTracker()).feed(records))
