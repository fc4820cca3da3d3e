from __future__ import annotations

import os
from pathlib import Path

import pytest

from umtrace.kernel import cgroups
from umtrace.kernel.cgroups import Containers, container_in_path

ID = "0123456789abcdef" * 4

PATHS = {
    f"/system.slice/docker-{ID}.scope": ID,
    f"/docker/{ID}": ID,
    f"/system.slice/docker.service/docker/{ID}/init": ID,
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope": ID,
    f"/kubepods/besteffort/pod9b1a/{ID}": ID,
    f"/kubepods.slice/kubepods-pod9.slice/crio-{ID}.scope": ID,
    f"/machine.slice/libpod-{ID}.scope/container": ID,
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": ID,
    "/lxc.payload.web1/system.slice": "web1",
    "/lxc/web2": "web2",
    "/machine.slice/systemd-nspawn@build.service/payload": "build",
    "/machine.slice/machine-deb\\x2d12.scope": "deb-12",
    "/": None,
    "/init.scope": None,
    "/system.slice/containerd.service": None,
    f"/user.slice/notes-{ID[:32]}.scope": None,
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_container_in_path(path):
    assert container_in_path(path) == PATHS[path]


@pytest.mark.kernel
def test_a_live_cgroup_is_found_and_remembered_after_it_is_gone():
    containers = Containers()
    lines = Path("/proc/self/mounts").read_text().splitlines()
    roots = [line.split()[1] for line in lines if line.split()[2] == "cgroup2"]
    if not roots:
        pytest.skip("no cgroup2 file system is mounted")
    directory = Path(roots[0]) / f"docker-{ID}.scope"
    directory.mkdir()
    try:
        cgroup_id = directory.stat().st_ino
        assert containers(cgroup_id) == ID
    finally:
        directory.rmdir()
    assert containers(cgroup_id) == ID
    assert containers.found == {cgroup_id: ID}
    assert containers(1) is None
    containers.close()
    assert os.geteuid() == 0


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
