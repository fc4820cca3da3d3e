from __future__ import annotations

import os
from pathlib import Path

import pytest

from umtrace.kernel import cgroups
from umtrace.kernel.cgroups import CgroupPaths


@pytest.mark.kernel
def test_the_path_of_a_live_cgroup():
    root = cgroups.cgroup2_root()
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    directory, paths = Path(root) / "umtrace-test", CgroupPaths()
    directory.mkdir()
    try:
        cgroup_id = directory.stat().st_ino
        assert paths(cgroup_id) == "/umtrace-test"
        assert paths(Path(root).stat().st_ino) == "/"
    finally:
        directory.rmdir()
    assert paths(cgroup_id) is None
    paths.close()
    paths.close()
    assert paths(1) is None


def test_the_mounts_of_others_may_have_any_name(monkeypatch, tmp_path):
    odd = (
        "none /a\u0085b tmpfs rw 0 0\nnone /a\x0ccgroup2 tmpfs rw 0 0\nnone /\udcff tmpfs rw 0 0\n"
    )
    file = tmp_path / "mounts"
    file.write_bytes(os.fsencode(odd))
    monkeypatch.setattr(cgroups, "_MOUNTS", file)
    assert cgroups.cgroup2_root() is None
    file.write_bytes(os.fsencode(odd + "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"))
    assert cgroups.cgroup2_root() == "/sys/fs/cgroup"
