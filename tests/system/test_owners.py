"""Owners of real umounts on this kernel, also of those whose cgroup is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.owners.test_cgroup_paths import ID, OTHER, UID
from umtrace.kernel.cgroups import cgroup2_root
from umtrace.pipeline.offline import replay
from umtrace.recording import Recording
from umtrace.runtimes.files import HostFiles
from umtrace.runtimes.tree import cgroups_below

pytestmark = pytest.mark.kernel

#: an umount in a cgroup that lives for some milliseconds, then one of the shell in its own
LIVES = """
    set -e
    mkdir -p {cgroup}
    sh -c 'echo $$ > {cgroup}/cgroup.procs; exec unshare -m sh -c "
        mount -t tmpfs own {place}; umount {place}; true"'
    until rmdir {cgroup} 2> /dev/null; do sleep 0.01; done
    mount -t tmpfs other {place}; umount {place}
"""


def umtrace(*words):
    return subprocess.run(
        [sys.executable, "-P", "-m", "umtrace", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109
    )  # fmt: skip


@pytest.fixture
def cgroups():
    root = cgroup2_root()
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    return root


@pytest.mark.parametrize(
    ("path", "owner"),
    [(f"/libpod_parent/libpod-{ID}", ID[:12]), (f"/kubepods/burstable/pod{UID}/{OTHER}", UID)],
)
def test_a_container_that_is_gone(cgroups, tmp_path, path, owner):
    place, to = tmp_path / "place", tmp_path / "r.umt"
    place.mkdir()
    script = textwrap.dedent(LIVES).format(cgroup=cgroups + path, place=place)
    done = umtrace("record", "-o", to, "--", "unshare", "-m", "bash", "-c", script)
    assert done.returncode == 0, done.stderr
    recording = Recording.open(to)
    rows = [r for r in recording.umounts().to_pylist() if r["path"] == str(place)]
    assert [r["owner"] for r in rows] == [owner, None], done.stderr
    assert rows[0]["owner_by"] in {"mntns", "actor"}
    assert all(r["by_command"] for r in rows)
    known = cgroups_below(HostFiles("/").root)
    assert rows[0]["cgroup_id"] not in dict(known)
    again = [row for tick in replay(recording) for row in tick.rows.to_pylist()]
    assert again == recording.umounts().to_pylist()


def test_only_what_the_command_unmounts(tmp_path):
    place, to = tmp_path / "place", tmp_path / "r.umt"
    place.mkdir()
    other = subprocess.Popen(
        ["unshare", "-m", "sh", "-c",
         f"while :; do mount -t tmpfs o {place}; umount {place}; sleep 0.01; done"]
    )  # fmt: skip
    try:
        script = f"sleep 0.3; for i in 1 2 3; do mount -t tmpfs c {place}; umount {place}; done"
        command = ["--", "unshare", "-m", "sh", "-c", script]
        done = umtrace("record", "-o", to, *command)
        assert "umounts were by COMMAND" in done.stderr, done.stderr
        alone = umtrace("record", "-o", tmp_path / "c.umt", "--only-command", *command)
    finally:
        other.kill()
        other.wait()
    assert alone.returncode == 0, alone.stderr
    rows = Recording.open(to).umounts(["origin", "by_command", "path"]).to_pylist()
    ours = [r for r in rows if r["by_command"]]
    assert [r["path"] for r in ours if r["origin"] == "umount"] == [str(place)] * 3
    assert len([r for r in rows if r["by_command"] is False]) > 3
    kept = Recording.open(tmp_path / "c.umt").umounts(["by_command"]).to_pylist()
    assert {r["by_command"] for r in kept} == {True}


def test_only_command_needs_a_command(tmp_path):
    done = umtrace("record", "-o", tmp_path / "r.umt", "--only-command", "-d", "1s")
    assert done.returncode == 2
    assert "--only-command needs a COMMAND" in done.stderr


def test_paths_that_no_pattern_knows_are_listed(cgroups):
    odd = f"{cgroups}/umtrace-odd"
    os.mkdir(odd)  # noqa: PTH102
    try:
        listed = json.loads(umtrace("doctor", "--paths", "--json").stdout)["paths"]
        assert "/umtrace-odd" in listed
        assert "/umtrace-odd\n" in umtrace("doctor", "--paths").stdout
    finally:
        os.rmdir(odd)  # noqa: PTH106
