"""Cgroups of version 1 have ids of their own: none of them may give an owner."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.owners.test_cgroup_paths import ID
from tests.system.test_owners import umtrace
from umtrace.kernel.cgroups import cgroup2_root
from umtrace.recording import Recording

pytestmark = pytest.mark.kernel

MOST = 20_000  #: cgroups that are made until two have the same id
#: an umount in a v2 cgroup whose v1 twin is that of a container and has the task in it, too: with
#: twins that are there at the start, and with twins that are born meanwhile
UMOUNTS = """
    set -e
    umount_in_twins() {{
        echo $$ > {old}/cgroup.procs
        echo $$ > {new}/cgroup.procs
        mount -t tmpfs of-v1 $1; umount $1
        echo $$ > {hierarchy}/cgroup.procs
        echo $$ > {root}/cgroup.procs
    }}
    id() {{ stat -c %i $1; }}
    again() {{ until rmdir $1; do sleep 0.01; done; mkdir $1; }}
    umount_in_twins {place}/first
    again {old}
    again {new}
    for ((n = 0; n < 1000; n++)); do
        if (($(id {old}) < $(id {new}))); then again {old}
        elif (($(id {old}) > $(id {new}))); then again {new}
        else break; fi
    done
    umount_in_twins {place}/second
"""


@pytest.fixture
def hierarchy(tmp_path):
    """A hierarchy of version 1, without a controller."""
    place = tmp_path / "v1"
    place.mkdir()
    options = ["-o", "none,name=umtrace-test"]
    done = subprocess.run(
        ["mount", "-t", "cgroup", *options, "none", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no cgroup v1 hierarchy can be mounted: {done.stderr.strip()}")
    try:
        yield place
    finally:
        for folder, _, _ in os.walk(place, topdown=False):
            if folder != str(place):
                Path(folder).rmdir()
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def twins(hierarchy):
    """A container's cgroup of version 1, and one of version 2 whose path says nothing: one id."""
    root = cgroup2_root()
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    containers = hierarchy / "docker"
    containers.mkdir()
    # The kernel counts ids of each hierarchy upwards, by as many as a cgroup has files.
    old, new = containers / ID, Path(root, "umtrace-unified")
    old.mkdir()
    new.mkdir()
    try:
        for _ in range(MOST):
            ids = old.stat().st_ino, new.stat().st_ino
            if ids[0] == ids[1]:
                break
            behind = old if ids[0] < ids[1] else new
            behind.rmdir()
            behind.mkdir()
        else:
            pytest.skip(f"no cgroups of both versions have the same id: they reached {ids}")
        yield old, new
    finally:
        new.rmdir()


def test_a_cgroup_of_the_other_version_with_the_same_id(twins, hierarchy, tmp_path):
    old, new = twins
    place, to = tmp_path / "place", tmp_path / "r.umt"
    for name in ("first", "second"):
        (place / name).mkdir(parents=True)
    first_id = new.stat().st_ino
    script = UMOUNTS.format(old=old, new=new, hierarchy=hierarchy, root=new.parent, place=place)
    done = umtrace("record", "-o", to, "--", "unshare", "-m", "bash", "-c", script)
    assert done.returncode == 0, done.stderr
    second_id = new.stat().st_ino
    assert old.stat().st_ino == second_id != first_id
    recording = Recording.open(to)
    rows = [r for r in recording.umounts().to_pylist() if (r["path"] or "").startswith(str(place))]
    assert [row["cgroup_id"] for row in rows] == [first_id, second_id]
    told = ("owner", "owner_by", "container", "runtime", "actor_container", "actor_runtime")
    for row in rows:
        assert {name: row[name] for name in told} == dict.fromkeys(told)
    facts = str([batch.to_pylist() for batch in recording.batches("owners")])
    assert new.name in facts
    assert ID not in facts
