"""Whose mount lies at a path of the host: the places of each runtime.

Such a path counts only outside of containers, since within one it is the container's own. A path
that names a runtime's place but no container, such as a layer that nobody knows, has an owner that
is not known: nothing else may name one then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from umtrace.owners.cgroup_paths import POD_UID

_HEX = r"[0-9a-f]{64}"
_ID = r"[0-9a-zA-Z_.-]{1,128}"
_UNIT = r"[0-9a-zA-Z_.@:\\-]{1,255}"
_TASK = r"/io\.containerd\.runtime\.v2\.task"
_STORE = r"/containers/storage"
_POOLS = r"/(?:incus|lxd)/storage-pools/[^/]+/containers"

#: Groups: c is a container, l a layer or a network of docker, u the uid of a pod, n the namespace
#: of containerd, s a unit.
_PATTERNS = tuple(
    (runtime, re.compile(pattern + r"(?=/|$)", re.ASCII))
    for runtime, pattern in (
        ("docker", rf"^/var/lib/docker/containers/(?P<c>{_HEX})"),
        ("docker", rf"^/var/lib/docker/rootfs/[a-z0-9]+/(?P<c>{_HEX})"),
        ("docker", rf"^/var/lib/docker/overlay2/(?P<l>{_ID}?)(?:-init)?(?:/merged)?"),
        ("docker", r"^/run/docker/(?P<l>netns/[0-9a-f]{12})"),
        ("docker", rf"^/run/docker/runtime-runc/moby/(?P<c>{_HEX})"),
        ("docker", rf"^/run/docker/containerd/daemon{_TASK}/moby/(?P<c>{_HEX})"),
        ("containerd", rf"^/run/containerd{_TASK}/(?P<n>{_ID})/(?P<c>{_ID})"),
        ("containerd", rf"^/run/containerd/runc/(?P<n>{_ID})/(?P<c>{_ID})"),
        ("", rf"^/run/(?:user/\d+/)?(?:crun|runc)/(?P<c>{_HEX})"),
        ("crun", rf"^/run/crun/(?P<c>{_ID})"),
        ("runc", rf"^/run/runc/(?P<c>{_ID})"),
        ("containerd", rf"^/run/containerd/io\.containerd\.grpc\.v1\.cri/sandboxes/(?P<c>{_HEX})"),
        ("", rf"^/(?:run|var/lib){_STORE}/overlay-containers/(?P<c>{_HEX})"),
        ("", rf"^/var/lib{_STORE}/overlay/(?P<l>{_HEX})"),
        ("podman", rf"^/(?:home/[^/]+|root)/\.local/share{_STORE}/overlay/(?P<l>{_HEX})"),
        ("podman", rf"^/(?:home/[^/]+|root)/\.local/share{_STORE}/[a-z]+-containers/(?P<c>{_HEX})"),
        ("podman", rf"^/run/user/\d+/containers/[a-z]+-containers/(?P<c>{_HEX})"),
        ("", rf"^/var/lib/kubelet/pods/(?P<u>{POD_UID})"),
        ("lxc", rf"^/var/lib/lxc/(?P<c>{_ID})"),
        ("incus", rf"^/var/lib(?=/incus/){_POOLS}/(?P<c>{_ID})"),
        ("incus", rf"^/var/lib/incus/devices/(?P<c>{_ID})"),
        ("lxd", rf"^(?:/var/lib|/var/snap/lxd/common)(?=/lxd/){_POOLS}/(?P<c>{_ID})"),
        ("nspawn", rf"^/run/systemd/nspawn/(?:propagate|unix-export)/(?P<c>{_ID})"),
        ("", rf"^/run/credentials/(?P<s>{_UNIT}\.(?:service|socket|mount|swap))"),
    )
)
#: places of runtimes that name nobody
_NOBODY = re.compile(
    r"^/(?:var/lib/docker/(?:overlay2|volumes)|run/docker/netns|run/containerd|var/lib/containerd"
    r"|(?:run|var/lib)/containers/storage|(?:home/[^/]+|root)/\.local/share/containers/storage"
    r"|run/user/\d+/(?:containers|netns)|var/lib/kubelet|run/(?:docker/)?netns)(?=/|$)",
    re.ASCII,
)
#: the beginnings of all of these
_ANY = re.compile(
    r"/(?:var/)?(?:lib|run)/(?:docker|containerd|containers/storage|kubelet|lx|incus|user/|netns"
    r"|crun/|runc/|credentials/|systemd/nspawn/)|/var/snap/lxd/|/home/[^/]+/\.local/|/root/\.local/",
    re.ASCII,
)
may_be_spot = _ANY.match
_OF_A_USER = re.compile(r"^/run/user/(\d{1,10})(?=/|$)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What the place of a mount says; all None: it is a runtime's, and names nobody."""

    container: str | None = None
    layer: str | None = None  #: of an image store; a fact says whose
    pod_uid: str | None = None
    unit: str | None = None
    runtime: str | None = None


def spot_of(path: str | None) -> Spot | None:
    """Return what the path of a mount on the host says; None if it is no place of a runtime."""
    if not path or not path.startswith("/") or "/.." in path:
        return None
    path = plain(path)
    for runtime, pattern in _PATTERNS:
        if match := pattern.match(path):
            return _spot(runtime, match.groupdict())
    if _NOBODY.match(path):
        return Spot()
    if user := _OF_A_USER.match(path):
        manager = "user" if len(path) > user.end() + 1 else "user-runtime-dir"
        return Spot(unit=f"{manager}@{user[1]}.service")
    return None


def plain(path: str) -> str:
    """Return a path without the link from ``/var/run`` to ``/run``, which every host has."""
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _spot(runtime: str, found: dict[str, str | None]) -> Spot:
    if found.get("n") == "moby":
        runtime = "docker"
    uid = found.get("u")
    return Spot(
        container=found.get("c"),
        layer=found.get("l"),
        pod_uid=uid and uid.replace("_", "-"),
        unit=found.get("s"),
        runtime=runtime or None,
    )
