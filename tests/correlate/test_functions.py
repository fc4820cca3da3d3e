"""Function-probe events: phases, identities, origins, and who put the mount last."""

from __future__ import annotations

import pytest

from tests.builders import EBUSY, Stream, split
from tests.correlate.test_umounts import correlate
from umtrace.model.events import (
    FOREIGN,
    IS_TARGET,
    NESTED,
    WALKERS_WATCHED,
    GracePeriod,
    Kind,
    NameKind,
    OnStack,
    Origin,
    Returned,
)
from umtrace.model.umounts import PHASES

MNT = 0xFFFF888000001000
NO_COUNT = 0xFFFFFFFFFFFFFFFF
DYING = 0x0A000000


class Functions(Stream):
    """Adds the events of the function tiers, in the order of the kernel."""

    def probed(self, tid, t0, *, steps, flags=0, opener=Kind.ENTER, ret=0, b=0):
        self.event(t0, tid, opener, ret=ret or flags, a=1, b=b, seq=t0, comm=b"umount")
        for seq, (ts, kind, fields) in enumerate(steps, t0 + 1):
            self.event(ts, tid, kind, seq=seq, **fields)
            if kind == Kind.MOUNT:
                self.events[-1] = (ts, MNT, *self.events[-1][2:])
                self.names.append((ts, tid, NameKind.SOURCE, 0, 5, 0, b"/dev/"))
        return self

    def inside(self, *events):
        """Events of an operation inside that of task 7: (time, kind, fields), numbered."""
        for number, (ts, kind, fields) in enumerate(events):
            self.event(ts, 7, kind, seq=9000 + number, cpu=NESTED, **fields)
        return self

    def foreign(self, ts, tid, kind, *, ret=0, a=0, comm=b"cat"):
        self.event(ts, tid, kind, ret=ret, a=a, cpu=FOREIGN, comm=comm)
        self.events[-1] = (ts, MNT, *self.events[-1][2:])
        return self


def sync_steps(*, cleanup=True, watched=True, returned=1100):
    flags = WALKERS_WATCHED if watched else 0
    steps = [
        (110, Kind.PATH_UMOUNT, {}),
        (112, Kind.MOUNT, {"ret": flags, "a": 42, "b": (8 << 20) + 1, "comm": b"ext4"}),
        (130, Kind.CHECK, {}),
        (135, Kind.CHECKED, {"a": 2}),
        (140, Kind.TREE, {"ret": 3}),
        (160, Kind.UNLOCK, {"a": 4}),
        (170, Kind.RCU, {}),
        (470, Kind.RCU_EXIT, {"ret": GracePeriod.OWN}),
        (480, Kind.UNLOCK_EXIT, {}),
        (500, Kind.PATH_UMOUNT_EXIT, {}),
        (510, Kind.EXIT, {}),
    ]
    if cleanup:
        steps += [
            (520, Kind.CLEANUP, {"ret": IS_TARGET}),
            (900, Kind.CLEANUP_EXIT, {}),
        ]
    return [*steps, (returned, Kind.RETURNED, {"a": 1})]


def one(stream):
    rows, _ = correlate(stream.batch())
    assert len(rows) == 1
    return rows[0]


def test_every_phase_of_a_sync_umount():
    row = one(Functions().probed(7, 100, steps=sync_steps()))
    phases = {phase: row[phase] for phase in PHASES}
    assert phases == {
        "lookup_ns": 10,
        "lock_ns": 20,
        "tree_ns": 30,
        "rcu_ns": 300,
        "put_ns": 30,
        "shutdown_ns": 400,
        "other_ns": 10,
    }
    assert (row["latency_ns"], row["latency_bound"], row["syscall_ns"]) == (800, "exact", 410)
    assert (row["fstype"], row["dev"], row["mount_id"]) == ("ext4", "8:1", 42)
    assert (row["source"], row["n_mounts"], row["refcount"]) == ("/dev/", 4, 2)
    assert (row["final_put"], row["tail_ns"], row["rcu_kind"]) == ("self", 0, "expedited")
    assert (row["n_legitimized"], row["n_discounted"]) == (0, 0)


def test_walkers_that_were_not_watched_are_unknown_not_zero():
    row = one(Functions().probed(7, 100, steps=sync_steps(watched=False)))
    assert (row["n_legitimized"], row["n_discounted"]) == (None, None)


def test_ebusy_has_a_reference_count_and_no_wait():
    steps = [
        (110, Kind.PATH_UMOUNT, {}),
        (112, Kind.MOUNT, {"comm": b"tmpfs"}),
        (130, Kind.CHECK, {}),
        (135, Kind.CHECKED, {"ret": 1, "a": 5}),
        (140, Kind.UNLOCK, {}),
        (150, Kind.UNLOCK_EXIT, {}),
        (160, Kind.PATH_UMOUNT_EXIT, {"ret": -EBUSY}),
        (170, Kind.EXIT, {"ret": -EBUSY}),
    ]
    row = one(Functions().probed(7, 100, steps=steps))
    assert (row["errno"], row["refcount"], row["rcu_ns"], row["rcu_kind"]) == (EBUSY, 5, 0, "none")
    assert (row["latency_ns"], row["n_mounts"], row["final_put"]) == (70, 0, None)


def test_an_umount_refused_under_the_lock_has_waited_for_it():
    steps = [
        (110, Kind.PATH_UMOUNT, {}),
        (150, Kind.UNLOCK, {}),
        (152, Kind.UNLOCK_EXIT, {}),
        (160, Kind.PATH_UMOUNT_EXIT, {"ret": -22}),
        (170, Kind.EXIT, {"ret": -22}),
    ]
    row = one(Functions().probed(7, 100, steps=steps))
    assert (row["complete"], row["lock_ns"], row["rcu_kind"]) == (True, 40, "none")


def test_a_busy_check_that_counted_nothing_has_no_count():
    steps = sync_steps()
    steps[3] = (135, Kind.CHECKED, {"ret": 1, "a": NO_COUNT})
    assert one(Functions().probed(7, 100, steps=steps))["refcount"] is None


def test_too_many_mounts_to_count_are_unknown():
    steps = sync_steps()
    steps[5] = (160, Kind.UNLOCK, {"a": NO_COUNT})
    assert one(Functions().probed(7, 100, steps=steps))["n_mounts"] is None


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin.NS_EXIT, "ns-exit"),
        (Origin.DETACH, "detach-on-unlink"),
        (Origin.EXPIRE, "expire"),
        (Origin.FD_CLOSE, "fd-close"),
        (Origin.FAILED_MOUNT, "failed-mount"),
        (Origin.MOUNT_INTERNAL, "mount-internal"),
        (len(Origin), "other"),  # of a newer umtrace
        (Origin.OTHER, "other"),
    ],
)
def test_umounts_without_umount(origin, name):
    steps = [
        (101, Kind.MOUNT, {"comm": b"tmpfs"}),
        (102, Kind.TREE, {}),
        (120, Kind.UNLOCK, {"a": 1}),
        (121, Kind.RCU, {}),
        (221, Kind.RCU_EXIT, {}),
        (230, Kind.UNLOCK_EXIT, {}),
        (240, Kind.CLEANUP, {"ret": IS_TARGET}),
        (250, Kind.CLEANUP_EXIT, {}),
        (900, Kind.RETURNED, {"a": 1}),
    ]
    stream = Functions().probed(7, 100, steps=steps, opener=Kind.TEARDOWN, ret=origin, b=77)
    row = one(stream)
    assert (row["origin"], row["mntns"], row["mode"], row["path"]) == (name, 77, None, None)
    assert (row["latency_ns"], row["latency_bound"]) == (150, "exact")
    assert (row["tree_ns"], row["rcu_ns"], row["put_ns"], row["shutdown_ns"]) == (20, 100, 9, 20)
    assert (row["lookup_ns"], row["lock_ns"], row["errno"]) == (None, None, 0)


def test_a_final_put_by_another_task_is_waited_for():
    stream = Functions().probed(7, 100, steps=sync_steps(cleanup=False), flags=2)
    stream.foreign(2000, 9, Kind.CLEANUP).foreign(2300, 9, Kind.CLEANUP_EXIT)
    row = one(stream)
    assert (row["final_put"], row["final_put_comm"], row["tail_ns"]) == ("other", "cat", 1790)
    assert row["latency_ns"] == 410


def test_a_final_put_by_a_kworker():
    stream = Functions().probed(7, 100, steps=sync_steps(cleanup=False))
    stream.foreign(2300, 9, Kind.CLEANUP_EXIT, comm=b"kworker/0:1")
    assert one(stream)["final_put"] == "kworker"


def test_a_final_put_by_another_before_the_return():
    stream = Functions().probed(7, 100, steps=sync_steps(cleanup=False))
    stream.foreign(505, 9, Kind.CLEANUP_EXIT)
    row = one(stream)
    assert (row["final_put"], row["tail_ns"]) == ("other", 0)


def test_a_final_put_that_never_comes_is_pending():
    row = one(Functions().probed(7, 100, steps=sync_steps(cleanup=False)))
    assert (row["final_put"], row["tail_ns"]) == ("pending", None)


def test_an_early_put_is_that_of_the_first_mount_at_its_address():
    stream = Functions().probed(7, 100, steps=sync_steps(cleanup=False))
    stream.foreign(505, 9, Kind.CLEANUP_EXIT)
    later = [(ts + 5000, kind, f) for ts, kind, f in sync_steps(cleanup=False)]
    stream.probed(8, 5100, steps=later)
    rows, _ = correlate(stream.batch())
    assert [(row["tid"], row["final_put"]) for row in rows] == [(7, "other"), (8, "pending")]


def test_a_held_row_goes_out_after_a_while():
    stream = Functions().probed(7, 100, steps=sync_steps(cleanup=False))
    stream.umount(8, 6_000_000_000)
    rows, _ = correlate(stream.batch(), finish=False)
    assert [row["final_put"] for row in rows] == ["pending", None]


def test_walkers_are_counted_by_what_they_got():
    stream = Functions().probed(7, 100, steps=sync_steps())
    for ts, ret in ((200, 1), (210, 1), (220, -1)):
        stream.foreign(ts, 9, Kind.WALK, ret=ret, a=DYING)
    row = one(stream)
    assert (row["n_legitimized"], row["n_discounted"]) == (1, 2)


def test_walkers_on_a_mount_that_was_only_busy_do_not_count():
    stream = Functions().probed(7, 100, steps=sync_steps())
    stream.foreign(200, 9, Kind.WALK, ret=0).foreign(210, 9, Kind.WALK, ret=-1)
    row = one(stream)
    assert (row["n_legitimized"], row["n_discounted"]) == (0, 0)


def waiting(*slept, told=GracePeriod.UNKNOWN):
    """The steps of an umount whose RCU wait slept with these bits on the stack."""
    steps = [step for step in sync_steps() if step[1] != Kind.RCU_EXIT]
    at = next(n for n, step in enumerate(steps) if step[1] == Kind.RCU) + 1
    sleeps = []
    for number, bits in enumerate(slept):
        ts, stack = 200 + 20 * number, OnStack.UNLOCK | OnStack.RCU | bits
        sleeps += [(ts, Kind.OFF_CPU, {"a": stack}), (ts + 10, Kind.ON_CPU, {})]
    return steps[:at] + sleeps + [(470, Kind.RCU_EXIT, {"ret": told})] + steps[at:]


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        (waiting(told=GracePeriod.OWN), "expedited"),
        (waiting(told=GracePeriod.JOINED), "piggybacked"),
        (waiting(OnStack.FUNNEL | OnStack.MUTEX, told=GracePeriod.JOINED), "piggybacked"),
        (waiting(OnStack.FUNNEL | OnStack.MUTEX, OnStack(0)), "expedited"),
        (waiting(OnStack(0)), "expedited"),
        (waiting(OnStack.FUNNEL), "piggybacked"),
        (waiting(OnStack.RCU_NORMAL), "normal"),
        (waiting(told=GracePeriod.NORMAL), "normal"),
        (waiting(told=GracePeriod.SLEPT), "expedited"),
        # Nobody saw which: it did not sleep, or only in the queue.
        (waiting(), None),
        (waiting(OnStack.FUNNEL | OnStack.MUTEX), None),
    ],
)
def test_whose_grace_period_it_was(steps, kind):
    row = one(Functions().probed(7, 100, steps=steps))
    assert (row["complete"], row["rcu_kind"], row["rcu_ns"]) == (True, kind, 300)


def test_an_umount_seen_from_path_umount_on_has_no_lookup():
    steps = [(ts, k, {**f, "a": 2} if k == Kind.EXIT else f) for ts, k, f in sync_steps()]
    row = one(Functions().probed(7, 100, steps=steps))
    assert (row["complete"], row["lookup_ns"], row["latency_bound"]) == (True, None, "approx")


def test_what_is_seen_asleep_in_the_grace_period_was_in_it():
    steps = [s for s in waiting(OnStack(0)) if s[1] not in {Kind.RCU, Kind.RCU_EXIT}]
    assert not one(Functions().probed(7, 100, steps=steps))["complete"]


SKIPPABLE = (
    Kind.PATH_UMOUNT,
    Kind.PATH_UMOUNT_EXIT,
    Kind.CHECK,
    Kind.CHECKED,
    Kind.UNLOCK,
    Kind.UNLOCK_EXIT,
    Kind.RCU,
    Kind.RCU_EXIT,
    Kind.CLEANUP,
    Kind.CLEANUP_EXIT,
)


def test_a_lazy_umount_whose_tree_was_missed_is_incomplete():
    lazy = [s for s in sync_steps() if s[1] not in {Kind.CHECK, Kind.CHECKED, Kind.TREE}]
    assert not one(Functions().probed(7, 100, steps=lazy, flags=2))["complete"]


@pytest.mark.parametrize(
    "pair",
    [
        {Kind.CHECK, Kind.CHECKED},
        {Kind.UNLOCK, Kind.UNLOCK_EXIT},
        {Kind.RCU, Kind.RCU_EXIT},
    ],
)
def test_what_was_missed_at_both_ends_is_implied_by_others(pair):
    steps = [step for step in sync_steps() if step[1] not in pair]
    assert not one(Functions().probed(7, 100, steps=steps))["complete"]


@pytest.mark.parametrize("kind", SKIPPABLE)
def test_a_hit_that_was_missed_makes_the_row_incomplete(kind):
    steps = [step for step in sync_steps() if step[1] != kind]
    row = one(Functions().probed(7, 100, steps=steps))
    assert (row["complete"], row["incomplete_why"]) == (False, "lost-events")
    assert all(row[phase] is None for phase in PHASES)


def test_any_split_gives_the_same_rows():
    stream = Functions().probed(7, 100, steps=sync_steps())
    stream.probed(8, 105, steps=sync_steps(cleanup=False, returned=1200), flags=2)
    stream.foreign(300, 9, Kind.WALK, ret=1, a=DYING).foreign(1500, 9, Kind.CLEANUP_EXIT)
    batch = stream.batch()
    whole, _ = correlate(batch)
    for cut in range(len(batch.events) + 1):
        parts, _ = correlate(*split(batch, [cut]))
        assert parts == whole, cut


def nested():
    """An umount whose cleanup_mnt puts the last reference to a namespace of two mounts."""
    steps = [*sync_steps()[:-1], (1500, Kind.RETURNED, {"a": Returned.OUTER})]
    stream = Functions().probed(7, 100, steps=steps)
    return stream.inside(
        (600, Kind.TEARDOWN, {"ret": Origin.NS_EXIT, "b": 77, "comm": b"umount"}),
        (610, Kind.TREE, {}),
        (620, Kind.UNLOCK, {"a": 2}),
        (630, Kind.RCU, {}),
        (730, Kind.RCU_EXIT, {"ret": GracePeriod.OWN}),
        (740, Kind.UNLOCK_EXIT, {}),
        (1000, Kind.CLEANUP, {"ret": IS_TARGET}),
        (1100, Kind.CLEANUP_EXIT, {}),
        (1200, Kind.CLEANUP, {}),
        (1400, Kind.CLEANUP_EXIT, {}),
        (1450, Kind.RETURNED, {"a": Returned.NO_WORK}),
    )


def test_an_operation_inside_another_one_is_a_row_of_its_own():
    rows, _losses = correlate(nested().batch())
    inner, outer = rows
    assert (inner["origin"], inner["mntns"], inner["n_mounts"]) == ("ns-exit", 77, 2)
    assert (inner["complete"], inner["latency_ns"], inner["rcu_ns"]) == (True, 800, 100)
    assert inner["shutdown_ns"] == 1400 - 740
    # The task is not back before what was taken down inside is cleaned up as well.
    assert (outer["origin"], outer["complete"], outer["latency_ns"]) == ("umount", True, 1400)
    assert (outer["rcu_ns"], outer["n_mounts"], outer["shutdown_ns"]) == (300, 4, 1000)


def test_operations_inside_others_in_any_split():
    batch = nested().batch()
    whole, _ = correlate(batch)
    for cut in range(len(batch.events) + 1):
        parts, _ = correlate(*split(batch, [cut]))
        assert parts == whole, cut
