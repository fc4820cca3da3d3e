"""Every layout of every runtime, and what must not be taken for one."""

from __future__ import annotations

import pytest

from umtrace.owners.cgroup_paths import NOWHERE, Place, place_of

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
UID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
UID_ = UID.replace("-", "_")
STATIC = "0123456789abcdef" * 2
BUILD = "abcdefghijklmnopqrstuvwx1"
GUID = "0e0d4e8a-5c5b-4c2a-6a3f-c4c0"
KUBE = "/kubepods.slice/kubepods-burstable.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"


def place(container=None, runtime=None, **rest):
    return Place(container=container, runtime=runtime, **rest)


PATHS = {
    f"/system.slice/docker-{ID}.scope": place(ID, "docker"),
    f"/docker/{ID}": place(ID, "docker"),
    f"/docker/{ID}/kubelet.slice/kubelet-kubepods.slice/cri-containerd-{OTHER}.scope": place(
        ID, "docker"
    ),
    f"/docker/buildkit/{BUILD}": place(BUILD, "buildkit"),
    f"/system.slice:docker:{ID}": place(ID, "docker"),
    f"{KUBE}/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope": place(
        ID, "containerd", pod_uid=UID
    ),
    f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope": place(
        ID, "containerd", pod_uid=UID
    ),
    f"/kubepods.slice/kubepods-pod{STATIC}.slice/crio-{ID}.scope/container": place(
        ID, "cri-o", pod_uid=STATIC
    ),
    f"{KUBE}/kubepods-burstable-pod{UID_}.slice": place(pod_uid=UID),
    f"{KUBE}/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}": place(
        ID, "containerd", pod_uid=UID
    ),
    f"/kubepods-besteffort-pod{UID_}.slice:cri-containerd:{ID}": place(
        ID, "containerd", pod_uid=UID
    ),
    f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID_}.slice": place(pod_uid=UID),
    f"/kubepods/burstable/pod{UID}/{ID}": place(ID, pod_uid=UID),
    f"/kubepods/pod{STATIC}/{ID}": place(ID, pod_uid=STATIC),
    f"/kubepods/besteffort/pod{UID}": place(pod_uid=UID),
    f"/kubepods/besteffort/pod9b1a/{ID}": place(ID),
    f"/kubepods/burstable/pod{UID}/crio-{ID}": place(ID, "cri-o", pod_uid=UID),
    f"/kubepods/burstable/pod{UID}/crio-conmon-{ID}": place(
        None, "cri-o", serves=ID, pod_uid=UID
    ),
    f"{KUBE}/kubepods-burstable-pod{UID_}.slice/crio-conmon-{ID}.scope": place(
        None, "cri-o", serves=ID, pod_uid=UID
    ),
    f"/system.slice/nerdctl-{ID}.scope": place(ID, "nerdctl"),
    f"/machine.slice/libpod-{ID}.scope/container": place(ID, "podman"),
    f"/machine.slice/libpod-conmon-{ID}.scope": place(None, "podman", serves=ID),
    f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope": place(
        ID, "podman", pod_uid=OTHER
    ),
    f"{USER}/user.slice/libpod-{ID}.scope": place(
        ID, "podman", unit="user@1000.service", claimed=True
    ),
    f"/system.slice/web.service/libpod-payload-{ID}": place(
        ID, "podman", unit="web.service", claimed=True
    ),
    f"/libpod_parent/libpod-{ID}": place(ID, "podman"),
    f"/libpod_parent/{OTHER}/libpod-{ID}": place(ID, "podman"),
    f"/ecs/task1/{ID}": place(ID),
    f"/actions_job/{ID}": place(ID),
    f"/garden/{GUID}": place(GUID, "garden"),
    "/lxc.payload.web1": place("web1", "lxc"),
    "/lxc.payload.web1/system.slice/nginx.service": place("web1", "lxc"),
    f"/lxc.payload.web1/system.slice/docker-{ID}.scope": place("web1", "lxc"),
    "/lxc.monitor.web1": place(None, "lxc", serves="web1"),
    "/lxc/web2": place("web2", "lxc"),
    "/machine.slice/systemd-nspawn@build.service/payload": place(
        "build", "nspawn", unit="systemd-nspawn@build.service"
    ),
    "/machine.slice/systemd-nspawn@build.service/supervisor": place(
        None, "nspawn", serves="build", unit="systemd-nspawn@build.service"
    ),
    "/machine.slice/machine-deb\\x2d12.scope/payload": place("deb-12"),
    "/machine.slice/machine-deb\\x2d12.scope/supervisor": place(None, "nspawn", serves="deb-12"),
    "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope": place(None, "qemu", machine="1-vm"),
    "/machine.slice/systemd-vmspawn@vm.service": place(
        None, machine="vm", unit="systemd-vmspawn@vm.service"
    ),
    "/system.slice/nginx.service": place(unit="nginx.service"),
    "/system.slice/nginx.service/worker": place(unit="nginx.service"),
    "/system.slice/mnt-data.mount": place(unit="mnt-data.mount"),
    "/system.slice/system-getty.slice/getty@tty1.service": place(unit="getty@tty1.service"),
    "/init.scope": place(unit="init.scope"),
    "/user.slice/user-1000.slice/session-3.scope": place(unit="session-3.scope"),
    USER: place(unit="user@1000.service"),
    f"{USER}/app.slice/notes.service": place(unit="user@1000.service/notes.service", claimed=True),
}  # fmt: skip

#: a user, or a service that is delegated its cgroup, chose these names
CLAIMED = {
    f"{USER}/app.slice/docker-{ID}.scope": ID,
    f"{USER}/docker/{ID}": ID,
    f"/system.slice/docker.service/docker/{ID}/init": ID,
    f"/user.slice/user-7.slice/session-1.scope/lxc.payload.{STATIC}": STATIC,
}

UNKNOWN = [
    "",
    "/",
    "/default/redis",
    f"/default/{ID}",
    "/redis",
    f"/{ID}",
    f"/pods/{ID}",
    "/libpod_parent",
    "/libpod_parent/conmon",
    "/libpod_parent/libpod-short",
    f"/docker/{ID[:32]}",
    f"/docker/{ID}0",
    f"/docker-{ID}.scope.d",
    "/docker/buildkit/short",
    "/lxc.monitor",
    "/lxc.pivot",
    "/kubepods",
    "/kubepods.slice/kubepods-burstable.slice",
    "/kubepods/burstable/podnone/x",
    "/machine.slice",
    f"/user.slice/user-1000.slice/docker-{ID}",
    f"/cri-containerd:{ID}",
    "/garden/notes",
    f"/jobs/docker/{ID}.old",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_layout(path):
    assert place_of(path) == PATHS[path]


@pytest.mark.parametrize("path", CLAIMED)
def test_a_name_that_root_did_not_give(path):
    found = place_of(path)
    assert (found.container, found.claimed) == (CLAIMED[path], True)


@pytest.mark.parametrize("path", UNKNOWN)
def test_what_no_pattern_knows(path):
    assert place_of(path) == NOWHERE


def test_a_hostile_name_takes_no_time():
    assert place_of("/" + "a-" * 2000 + "/docker-" * 500).container is None
