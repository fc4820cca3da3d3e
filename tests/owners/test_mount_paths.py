"""The places of each runtime, and what names nobody."""

from __future__ import annotations

import pytest

from tests.owners.test_cgroup_paths import ID, UID
from umtrace.owners.columns import place_of_mount
from umtrace.owners.mount_paths import Spot, may_be_spot, spot_of

TASK = "/run/containerd/io.containerd.runtime.v2.task"
STORE = "/var/lib/containers/storage"
HOME = "/home/ann/.local/share/containers/storage"

PATHS = {
    f"/var/lib/docker/containers/{ID}/mounts/shm": Spot(container=ID, runtime="docker"),
    f"/var/lib/docker/rootfs/overlayfs/{ID}": Spot(container=ID, runtime="docker"),
    f"/var/lib/docker/overlay2/{ID}/merged": Spot(layer=ID, runtime="docker"),
    f"/var/lib/docker/overlay2/{ID}-init/merged": Spot(layer=ID, runtime="docker"),
    f"/var/lib/docker/overlay2/{ID}": Spot(layer=ID, runtime="docker"),
    f"/var/lib/docker/overlay2/{ID}-init": Spot(layer=ID, runtime="docker"),
    "/var/run/docker/netns/41ffb1481a5b": Spot(layer="netns/41ffb1481a5b", runtime="docker"),
    f"/var/run/docker/runtime-runc/moby/{ID}/runc.9o3FVW": Spot(container=ID, runtime="docker"),
    f"/run/containerd/runc/k8s.io/{ID}/runc.oxz": Spot(container=ID, runtime="containerd"),
    f"/run/containerd/runc/moby/{ID}/runc.oxz": Spot(container=ID, runtime="docker"),
    f"/run/runc/{ID}/runc.79R": Spot(container=ID),
    f"/run/user/1000/crun/{ID}/x": Spot(container=ID),
    "/run/runc/box/runc.79R": Spot(container="box", runtime="runc"),
    "/run/crun/box/x": Spot(container="box", runtime="crun"),
    f"{TASK}/moby/{ID}/rootfs": Spot(container=ID, runtime="docker"),
    f"/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{ID}/rootfs": Spot(
        container=ID, runtime="docker"
    ),
    f"{TASK}/k8s.io/{ID}/rootfs": Spot(container=ID, runtime="containerd"),
    f"/var{TASK}/default/redis/rootfs": Spot(container="redis", runtime="containerd"),
    f"/run/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/shm": Spot(
        container=ID, runtime="containerd"
    ),
    f"{STORE}/overlay/{ID}/merged": Spot(layer=ID),
    f"{STORE}/overlay-containers/{ID}/userdata/shm": Spot(container=ID),
    f"/run/containers/storage/overlay-containers/{ID}/userdata": Spot(container=ID),
    f"{HOME}/overlay/{ID}/merged": Spot(layer=ID, runtime="podman"),
    f"{HOME}/overlay-containers/{ID}/userdata/shm": Spot(container=ID, runtime="podman"),
    f"/run/user/1000/containers/overlay-containers/{ID}/userdata": Spot(
        container=ID, runtime="podman"
    ),
    f"/var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~projected/kube-api": Spot(pod_uid=UID),
    f"/var/lib/kubelet/pods/{UID}/volume-subpaths/data/app/0": Spot(pod_uid=UID),
    "/var/lib/lxc/web1/rootfs": Spot(container="web1", runtime="lxc"),
    "/var/lib/incus/storage-pools/default/containers/web": Spot(container="web", runtime="incus"),
    "/var/lib/incus/devices/web/disk.data": Spot(container="web", runtime="incus"),
    "/var/snap/lxd/common/lxd/storage-pools/p/containers/web": Spot(
        container="web", runtime="lxd"
    ),
    "/run/systemd/nspawn/propagate/build": Spot(container="build", runtime="nspawn"),
    "/run/credentials/web.service": Spot(unit="web.service"),
    "/run/credentials/run-docker-netns-6f25.mount": Spot(unit="run-docker-netns-6f25.mount"),
    "/run/user/1000": Spot(unit="user-runtime-dir@1000.service"),
    "/run/user/1000/doc": Spot(unit="user@1000.service"),
}  # fmt: skip

#: of a runtime, and nobody's: what unmounts there is no owner
NOBODY = [
    "/run/docker/netns/default",
    "/run/netns/cni-3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "/var/run/netns/cni-1",
    "/var/lib/containerd/tmpmounts/containerd-mount123",
    "/var/lib/docker/volumes/data/_data",
    f"{STORE}/volumes/data/_data",
    "/var/lib/kubelet/plugins/kubernetes.io/csi/ebs/0a/globalmount",
    "/var/lib/kubelet/pods/none",
    "/run/user/1000/netns/netns-1",
]

ELSEWHERE = [
    None,
    "",
    "merged",
    f"var/lib/docker/containers/{ID}/mounts/shm",
    "/mnt/data",
    f"/mnt/var/lib/docker/containers/{ID}",
    f"/var/lib/docker/containers/{ID[:12]}",
    "/proc/self/fd/7",
    "/var/lib/lxc",
    "/run/user/1000x",
    f"/run/docker/../../var/lib/docker/containers/{ID}/../x",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_place(path):
    assert spot_of(path) == PATHS[path]
    assert may_be_spot(path)


@pytest.mark.parametrize("path", NOBODY)
def test_a_place_of_nobody(path):
    assert spot_of(path) == Spot()


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_is_no_place_of_a_runtime(path):
    assert spot_of(path) is None


@pytest.mark.parametrize(
    ("mountpoint", "path", "place"),
    [
        ("/run/docker/netns/0a", "/var/run/docker/netns/0a", "/run/docker/netns/0a"),
        (None, "/mnt", "/mnt"),
        ("/mnt", ".", "/mnt"),
        ("/run", f"{TASK}/default/redis/rootfs", f"{TASK}/default/redis/rootfs"),
        ("/run", "/var/run/docker/netns/0a", "/var/run/docker/netns/0a"),
        ("/", "/mnt", "/mnt"),
        ("/run", "/running", "/run"),
        ("/run", "/var/running", "/run"),
        (None, None, None),
    ],
)
def test_a_path_that_is_no_mount_point_counts_more_than_the_mount_around_it(
    mountpoint, path, place
):
    assert place_of_mount(mountpoint, path) == place
