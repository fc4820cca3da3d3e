"""`umtrace stuck` of hangs that need a guest: phase, cause, and a remedy that ends each of them.

Some hangs are not here. With dirty data of a dead NFS server umount(2) returned at once on 6.12, so
nothing hung. While an umount takes a large tree, each path walk of the host spins until its end:
`umtrace stuck` sees nothing of it, as nobody does. `tests/stuck/test_hangs.py` has a worker that
waits for a FUSE server.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.lab.guest import end_of, in_guest

pytestmark = [pytest.mark.lab, pytest.mark.long]

KERNEL = "6.12"
SCENES = ("quiet", "nfs-lookup", "frozen", "lock", "worker", "grace-period")
INSIDE = f"""
modprobe -a nfs nfsv3 loop
ip link set lo up
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
python -m tests.lab.hang_scenes {" ".join(SCENES)}
"""


@pytest.fixture(scope="module")
def said():
    done = in_guest(KERNEL, INSIDE, timeout_s=900)
    assert done.returncode == 0, end_of(done)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = {line["scene"]: line for line in lines}
    assert set(found) == set(SCENES), end_of(done)
    return found


def task_of(scene):
    """Return the one task of a scene, after the checks that all scenes have in common."""
    (task,) = [each for each in scene["answer"]["tasks"] if each["pid"] in scene["pids"]]
    assert scene["answer"]["exit_code"] == 10
    assert scene["ran"] == [task["cause"]["command"]]
    assert scene["ended"]
    assert task["asleep_ns"] <= task["age_ns"]
    return task


def test_nothing_hangs(said):
    answer = said["quiet"]["answer"]
    assert (answer["tasks"], answer["blind"], answer["exit_code"]) == ([], [], 0)


def test_a_path_walk_at_a_dead_nfs_server(said):
    task = task_of(said["nfs-lookup"])
    assert (task["phase"], task["wait"], task["fstype"]) == ("lookup", "nfs", "nfs")
    assert task["path"] == "/tmp/hangs/nfs/absent/x"
    assert task["cause"]["text"] == "the NFS server of 127.0.0.1:/export"


def test_a_frozen_ext4(said):
    task = task_of(said["frozen"])
    assert (task["phase"], task["fstype"]) == ("shutdown", "ext4")
    assert re.fullmatch("/dev/loop[0-9]+", task["device"])  # not the disk of the guest
    assert task["cause"]["command"] == "fsfreeze -u /tmp/hangs/outer"


def test_each_waiter_names_the_holder_of_the_namespace_lock(said):
    scene = said["lock"]
    if not scene["held"]:
        pytest.skip("the bind was over before the answer")
    tasks = scene["answer"]["tasks"]
    assert sorted(task["pid"] for task in tasks) == sorted(scene["pids"])
    assert scene["answer"]["exit_code"] == 10
    assert scene["ended"]
    for task in tasks:
        assert (task["phase"], task["wait"], task["behind"]) == (
            "lock",
            "namespace-lock",
            [scene["holder"]],
        )
        assert f"held by python (pid {scene['holder']}) in mount(2) (" in task["cause"]["text"]
    assert {task["path"] for task in tasks} == {f"/tmp/hangs/own{n}" for n in range(len(tasks))}


def test_a_lazy_umount_that_ends_in_the_worker_at_a_frozen_ext4(said):
    task = task_of(said["worker"])
    assert task["comm"].startswith("kworker")
    assert (task["phase"], task["worker"], task["fstype"]) == ("shutdown", True, "ext4")
    assert task["cause"]["command"] == "fsfreeze -u /tmp/hangs/outer"
    assert task["cause"]["text"].startswith("/dev/loop")


def test_a_grace_period_whose_thread_gets_no_time(said):
    scene = said["grace-period"]
    task = task_of(scene)
    assert (task["phase"], task["wait"]) == ("rcu", "grace-period")
    assert task["cause"]["pids"] == [scene["hog"]]
    assert "gets no time on CPU 1" in task["cause"]["text"]
