from __future__ import annotations

import pytest

from tests.sources.ftrace.builders import CLEANUP, MOUNT, record, rows, translator, umount
from umtrace.model.events import Exit, Kind, Origin, Returned, Unseen
from umtrace.probes import constants
from umtrace.sources.ftrace.events import events
from umtrace.sources.ftrace.records import LOST
from umtrace.sources.ftrace.task_tracker import TaskTracker
from umtrace.sources.ftrace.translate import Translator


def test_a_sync_umount_is_a_whole_row():
    (row,) = rows(translator(shift=0x20).feed(umount()))
    assert row["complete"]
    assert (row["path"], row["fstype"], row["source"]) == ("/mnt/a", "tmpfs", "none")
    assert (row["mntns"], row["mount_id"], row["n_mounts"]) == (4026531841, 55, 1)
    assert (row["final_put"], row["rcu_ns"], row["latency_bound"]) == ("self", 10, "exact")


def test_a_busy_one_has_its_reference_count():
    (row,) = rows(translator(shift=0x20).feed(umount(ret=-16)))
    assert (row["errno"], row["refcount"], row["complete"]) == (16, 3, True)


@pytest.mark.parametrize("cut", range(1, 19))
def test_any_split_gives_the_same_row(cut):
    records = umount()
    whole = rows(translator(shift=0x20).feed(records))
    halves = translator(shift=0x20)
    parts = rows(halves.feed(records[:cut]), halves.feed(records[cut:]), halves.finish())
    assert parts == whole


def test_lost_records_mark_what_is_under_way_and_nothing_else():
    first, second = umount(1000, tid=1), umount(5000, tid=2)
    lost = record(1050, LOST, tid=0)
    found = rows(translator(shift=0x20).feed([*first[:5], lost, *first[5:], *second]))
    assert [(row["tid"], row["incomplete_why"]) for row in found] == [
        (1, "lost-events"),
        (2, None),
    ]


def test_a_missed_return_marks_the_row():
    records = [r for r in umount() if r.name != "um_rcu_exit"]
    (row,) = rows(translator(shift=0x20).feed(records))
    assert row["incomplete_why"] == "lost-events"


def test_a_normal_grace_period_is_named():
    records = umount()
    at = next(i for i, r in enumerate(records) if r.name == "um_rcu") + 1
    nested = [
        record(records[at - 1].ts_ns + i, f"um_normal2{s}") for i, s in ((1, ""), (5, "_exit"))
    ]
    (row,) = rows(translator(shift=0x20).feed([*records[:at], *nested, *records[at:]]))
    assert row["rcu_kind"] == "normal"


def joined(records, ret):
    """Add what exp_funnel_lock() returned."""
    at = next(i for i, r in enumerate(records) if r.name == "um_rcu") + 1
    return [*records[:at], record(records[at - 1].ts_ns + 1, "um_joined", ret=ret), *records[at:]]


@pytest.mark.parametrize(("ret", "kind"), [(0, "expedited"), (1, "piggybacked")])
def test_the_funnel_lock_says_whose_grace_period_it_was(ret, kind):
    (row,) = rows(translator(shift=0x20).feed(joined(umount(), ret)))
    assert row["rcu_kind"] == kind


def test_whose_grace_period_it_was_is_unknown_where_no_function_says_it():
    (row,) = rows(translator(shift=0x20).feed(umount()))
    assert (row["complete"], row["rcu_ns"], row["rcu_kind"]) == (True, 10, None)


@pytest.mark.parametrize("ret", [0, -16])
def test_a_system_call_that_was_not_seen_has_no_lookup(ret):
    records = [r for r in umount(ret=ret) if r.name not in {"um_enter", "um_exit"}]
    batch = translator(shift=0x20).feed(records)
    told = batch.events[batch.events["kind"] == Kind.EXIT]
    assert told["a"].tolist() == [Exit.FROM_PATH]
    (row,) = rows(batch)
    assert (row["complete"], row["errno"], row["latency_bound"]) == (True, -ret, "approx")
    assert (row["lookup_ns"], row["syscall_ns"], row["path"]) == (None, None, None)


def test_the_system_call_of_a_32_bit_program_is_one():
    names = {"um_enter": "um_enter32", "um_exit": "um_exit32"}
    records = [r._replace(name=names.get(r.name, r.name)) for r in umount()]
    assert rows(translator(shift=0x20).feed(records)) == rows(translator(shift=0x20).feed(umount()))


def test_the_exit_of_a_call_that_path_umount_ended_is_no_second_one():
    records = [r for r in umount() if r.name != "um_enter"]
    found = rows(translator(shift=0x20).feed(records))
    assert [row["complete"] for row in found] == [True]


def test_a_function_without_a_probe_is_unknown():
    blind = Translator(
        TaskTracker(),
        lambda _address: Origin.OTHER,
        shift=0x20,
        watching=False,
        unseen=Unseen.CHECK,
    )
    records = [r for r in umount() if r.name not in {"um_check", "um_checked"}]
    (row,) = rows(blind.feed(records))
    assert (row["complete"], row["latency_bound"], row["rcu_ns"]) == (True, "exact", 10)
    assert (row["lock_ns"], row["tree_ns"], row["refcount"]) == (None, None, None)


def test_a_caller_without_a_name_is_unknown():
    hidden = Translator(TaskTracker(), lambda _address: None, shift=0x20, watching=False)
    records = [r for r in umount() if r.name not in {"um_enter", "um_exit"}]
    records = [r for r in records if not r.name.startswith(("um_path", "um_check"))]
    (row,) = rows(hidden.feed(records))
    assert (row["complete"], row["origin"]) == (True, None)


def test_a_return_says_what_shows_it():
    batch = translator(shift=0x20).feed(umount())
    told = batch.events[batch.events["kind"] == Kind.RETURNED]
    assert told["a"].tolist() == [Returned.CLEANED]


def test_a_mount_that_the_umounter_did_not_put_last_is_awaited():
    records = [r for r in umount() if "cleanup" not in r.name]
    last = max(i for i, r in enumerate(records) if r.name == "um_counted")
    records[last] = records[last]._replace(fields={"ret": 1})
    later = [
        record(9000, "um_cleanup", 9, **{**CLEANUP, "comm": b"holder"}),
        record(9900, "um_cleanup_exit", 9),
    ]
    (row,) = rows(translator(shift=0x20).feed(records + later))
    assert (row["final_put"], row["final_put_comm"]) == ("other", "holder")
    assert row["tail_ns"] > 8000


def test_a_path_longer_than_a_record_of_its_kind():
    path = b"/" + b"x" * 1000
    batch = translator(shift=0x20).feed(umount(path=path))
    assert len(batch.names) == 6
    (row,) = rows(batch)
    assert row["path"] == path.decode()


def test_threads_belong_to_their_process():
    birth = record(10, "task_newtask", 5, pid=7, clone_flags=0x10000)
    batch = translator(shift=0x20).feed([birth, *umount()])
    assert set(batch.events["tgid"][batch.events["kind"] == Kind.ENTER].tolist()) == {5}


def test_namespaces_of_mounts_that_have_none_are_unknown():
    records = umount()
    records[1].fields["ns"] = 0xFFFFFFFFFFFFFFEA  # an error pointer
    (row,) = rows(translator(shift=0x20).feed(records))
    assert row["mntns"] is None


def test_a_device_claimed_in_vain_is_told_with_its_device():
    claims = [
        record(10, "um_claim", 8, dev=0x700001),
        record(11, "um_claim", 9, dev=0x800001),
        record(12, "um_claimed", 8, ret=-16, comm=b"mkfs.ext4"),
    ]
    (event,) = translator().feed(claims).events
    assert (event["kind"], event["ret"], event["b"]) == (Kind.FAILED, -16, 0x700001)
    assert (event["a"], event["comm"], event["tid"]) == (1, b"mkfs.ext4", 8)


def test_a_refused_mount_has_the_device_of_the_superblock_that_it_dropped():
    mounts = [
        record(10, "um_dropped_sb", 8, active=2, dev=0x700001),
        record(11, "um_refused", 9, ret=-16, comm=b"mount"),  # for another reason
        record(12, "um_refused", 8, ret=-16, comm=b"mount"),
        record(13, "um_dropped_sb", 8, active=2, dev=0x700001),
        record(14, "um_refused", 8, ret=-22, comm=b"mount"),
        record(15, "um_refused", 8, ret=-16, comm=b"mount"),
    ]
    (event,) = translator().feed(mounts).events
    assert (event["kind"], event["ret"], event["b"]) == (Kind.FAILED, -16, 0x700001)
    assert (event["a"], event["comm"], event["ts_ns"]) == (2, b"mount", 12)


def test_a_walker_without_a_mount_is_nobody():
    walk = record(10, "um_walk", 8, mnt=0, ret=1, flags=0xFFFFFFFF, comm=b"stat")
    assert translator(shift=0x20).feed([walk]).events.size == 0


@pytest.mark.parametrize("number", [-1, -(1 << 40), 1 << 63, (1 << 64) - 1])
def test_numbers_that_were_fetched_from_nowhere_end_nothing(number):
    told = umount()
    for at, name in enumerate(("um_path", "um_cleanup")):
        fields = {**MOUNT, "mnt": 0x100, "active": number, "flags": 0, "vfsmount": 0x120,
                  "comm": b"umount", "id": number, "dev": number, "mflags": number}  # fmt: skip
        index = next(i for i, r in enumerate(told) if r.name == name)
        told[index] = record(told[index].ts_ns, name, **fields)
        assert rows(translator(shift=0x20).feed(told)), at


#: handlers without an event of this tier: of another tool's trace, of x86, or under three names
NO_EVENT = {"um_next", "um_enter32", "um_name32", "um_exit32", "um_normal", "um_normal_exit"}


def test_each_event_has_a_handler_and_each_handler_an_event():
    members = [
        *constants.MEMBERS,
        *constants.IDENTITY,
        *constants.PLACE,
        *(name for group in constants.EBUSY_GROUPS for name in group),
        "UM_OFF_BDEV_DEV",
    ]
    layout = {name: 8 * number for number, name in enumerate(members)}
    made = {event.name for event in events(layout, walkers=True)}
    assert len(made) > 20
    handlers = set(translator()._handlers)
    assert made <= handlers
    assert handlers - made <= NO_EVENT
