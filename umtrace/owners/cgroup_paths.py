"""What the path of a cgroup says about the tasks in it: container, pod, unit, runtime.

Each container runtime and each cgroup driver has its own layout. All of them are in this file, so
that a new one is a line here and a line in the table of its test. A path that no pattern knows
gives nothing, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

_HEX = r"[0-9a-f]{64}"
_NAME = r"[0-9a-zA-Z_.@:+\\-]{1,128}"
#: uid of a pod, in a regular expression
POD_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{4,12}"
_KUBE = r"/kubepods(?:/(?:burstable|besteffort))?/pod[^/]+"
_SCOPES = r"docker|cri-containerd|crio|libpod|nerdctl|buildkit"
#: prefix of a scope or cgroup -> runtime
_RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
    "nerdctl": "nerdctl",
    "buildkit": "buildkit",
}

#: Groups: c is a container, m the container that a monitor serves, v a virtual machine, p a prefix
#: in `_RUNTIMES`. Of several patterns, the one that matches first in the path is the outermost.
_PATTERNS = tuple(
    (runtime, re.compile(pattern + r"(?=/|$)", re.ASCII))
    for runtime, pattern in (
        ("", rf"/(?P<p>{_SCOPES})-(?P<c>{_HEX})\.scope"),
        ("", rf"/(?P<p>crio|libpod)-conmon-(?P<m>{_HEX})(?:\.scope)?"),
        ("", rf"/[^/:]*:(?P<p>{_SCOPES}):(?P<c>{_HEX})"),
        ("podman", rf"/libpod-payload-(?P<c>{_HEX})"),
        ("podman", rf"/libpod_parent/(?:{_HEX}/)?libpod-(?P<c>{_HEX})"),
        ("cri-o", rf"{_KUBE}/crio-(?P<c>{_HEX})"),
        ("", rf"{_KUBE}/(?P<c>{_HEX})"),
        ("docker", rf"/docker/(?P<c>{_HEX})"),
        ("buildkit", r"(?:^|/docker)/buildkit/(?P<c>[0-9a-z]{25})"),
        ("", rf"^/(?:containerd|actions_job)/(?P<c>{_HEX})"),
        ("", rf"^/ecs/[^/]+/(?P<c>{_HEX})"),
        ("garden", rf"/garden/(?P<c>{_GUID})"),
        ("lxc", rf"/lxc\.payload[./](?P<c>{_NAME})"),
        ("lxc", rf"/lxc\.monitor[./](?P<m>{_NAME})"),
        ("lxc", rf"^/lxc/(?P<c>{_NAME})"),
        ("nspawn", rf"/machine\.slice/systemd-nspawn@(?P<m>{_NAME})\.service/supervisor"),
        ("nspawn", rf"/machine\.slice/systemd-nspawn@(?P<c>{_NAME})\.service"),
        ("", rf"/machine\.slice/systemd-vmspawn@(?P<v>{_NAME})\.service"),
        ("qemu", rf"/machine\.slice/machine-qemu\\x2d(?P<v>{_NAME})\.scope"),
        ("nspawn", rf"/machine\.slice/machine-(?P<m>{_NAME})\.scope/supervisor"),
        ("", rf"/machine\.slice/machine-(?P<c>{_NAME})\.scope"),
    )
)
_POD = re.compile(
    rf"/(?:[^/]*-)?kubepods(?:-[a-z]+)?-pod(?P<uid>{POD_UID})\.slice(?=[/:]|$)"
    rf"|/kubepods(?:/(?:burstable|besteffort))?/pod(?P<bare>{POD_UID})(?=/|$)"
    rf"|/machine-libpod_pod_(?P<podman>{_HEX})\.slice(?=/|$)"
)
_UNIT = re.compile(r"/([^/]+\.(?:service|scope|socket|mount|swap))(?=/|$)")
_USERS = re.compile(r"/(user@\d+\.service)/")
#: below such a unit, who it is delegated to chooses the names
_DELEGATED = re.compile(r"\.(?:service|scope)/")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the path of a cgroup says; None is not known, or there is none.

    Attributes
    ----------
    container : str or None
        Id of the container that the task is in; its name where the runtime has no ids.
    serves : str or None
        The container that the task serves from outside: it is a conmon, or a monitor of LXC.
    machine : str or None
        The virtual machine that the task belongs to.
    pod_uid : str or None
        Uid of the Kubernetes pod, or id of the podman pod.
    unit : str or None
        Systemd unit around the container, or of the task; one of a user's own manager begins with
        ``user@UID.service/``.
    runtime : str or None
        What made the container.
    claimed : bool
        Somebody else than root may have chosen the name.
    """

    container: str | None = None
    serves: str | None = None
    machine: str | None = None
    pod_uid: str | None = None
    unit: str | None = None
    runtime: str | None = None
    claimed: bool = False


NOWHERE = Place()


@lru_cache(maxsize=4096)
def place_of(path: str) -> Place:
    """Return what the path of a cgroup, from the root of its hierarchy, says."""
    match, place = _outermost(path)
    around = path[: _begin(match)] if match else path
    pod = _POD.search(around)
    if pod:
        place = replace(place, pod_uid=_uid(pod))
    unit, of_a_user = _unit_in(around)
    named_at = min((found.start() for found in (match, pod) if found), default=0)
    below = bool(_DELEGATED.search(path[: named_at + 1]))
    return replace(place, unit=unit, claimed=below or of_a_user)


def place_of_task(text: str) -> Place:
    """Return what ``/proc/PID/cgroup`` says: of several hierarchies, the one with a container."""
    places = [place_of(line.split(":", 2)[-1]) for line in text.splitlines() if line.count(":") > 1]
    return next((place for place in places if place.container), NOWHERE)


def _outermost(path: str) -> tuple[re.Match[str] | None, Place]:
    """Return the container, monitor or machine that is the outermost one in a path."""
    first: re.Match[str] | None = None
    place = NOWHERE
    for runtime, pattern in _PATTERNS:
        match = pattern.search(path)
        if match and (first is None or match.start() < first.start()):
            first, place = match, _place(runtime, match)
    return first, place


def _place(runtime: str, match: re.Match[str]) -> Place:
    groups = match.groupdict()
    prefix = groups.get("p")
    return Place(
        container=_plain(groups.get("c")),
        serves=_plain(groups.get("m")),
        machine=_plain(groups.get("v")),
        runtime=(_RUNTIMES[prefix] if prefix else runtime) or None,
    )


def _plain(name: str | None) -> str | None:
    """Return a name without the escapes of systemd."""
    return name and _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def _begin(match: re.Match[str]) -> int:
    """Return where what is around a container ends: its own scope is no unit of anybody's."""
    if ":" in match[0]:  # the slice is in the same name
        return match.start("p")
    if ".service" in match[0]:
        return match.end()
    named = max(match.start(name) for name in match.re.groupindex if match[name])
    return match.string.rindex("/", 0, named)


def _uid(pod: re.Match[str]) -> str:
    uid = pod["uid"] or pod["bare"]
    return uid.replace("_", "-") if uid else str(pod["podman"])


def _unit_in(path: str) -> tuple[str | None, bool]:
    """Return the innermost systemd unit of a path, and whether a user's manager named it."""
    units = _UNIT.findall(path)
    if not units:
        return None, False
    manager = _USERS.search(path)
    if manager and units[-1] != manager[1]:
        return f"{manager[1]}/{units[-1]}", True
    return units[-1], False
