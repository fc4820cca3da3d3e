"""Whose mount namespace it is: by a container's first process, else by the tasks seen in it."""

from __future__ import annotations

from umtrace.owners.cgroup_paths import NOWHERE, Place
from umtrace.owners.knowledge import Knowledge, Known

#: units that unmount for others: what happens in their namespace is not their own
_MANAGERS = (
    *("docker.", "containerd.", "crio.", "podman", "kubelet.", "k3s", "rke2", "buildkit"),
    *("lxc", "lxd", "incus", "snap.", "libvirt", "virtlxc", "systemd-machined.", "nerdctl"),
    *("garden", "init.scope"),
)


class Namespaces:
    """Remembers in which mount namespaces the tasks of containers and units were seen."""

    def __init__(self, known: Knowledge) -> None:
        self._known = known
        self._seen: Known[int, tuple[Place, int] | None] = Known()  # None: of several owners

    def note(self, mntns: int, place: Place, cgroup_id: int) -> bool:
        """Note that a task of this cgroup unmounts there; return whether that is new."""
        if not mntns or mntns in self._known.hosts:
            return False
        if not (place.container or place.machine or self._own_unit(place)):
            return False
        if mntns not in self._seen:
            self._seen[mntns] = (place, cgroup_id)
            return True
        before = self._seen[mntns]
        if before is None or _whose(before[0]) == _whose(place):
            return False
        # The number of a namespace is given to another one when its owner is gone.
        self._seen[mntns] = (place, cgroup_id) if before[1] in self._known.gone else None
        return True

    def forget(self, mntns: int) -> bool:
        """Forget a namespace that has ended; return whether it was known."""
        known = mntns in self._seen or mntns in self._known.first_process
        self._seen.pop(mntns, None)
        self._known.first_process.pop(mntns, None)
        return known

    def owner(self, mntns: int) -> Place | None:
        """Return whose it is; `NOWHERE` if nobody is known, None if several were seen in it."""
        if not mntns or mntns in self._known.hosts:
            return NOWHERE
        first = self._known.first_process.get(mntns)
        seen = self._seen.get(mntns, (NOWHERE, 0))
        place = seen[0] if seen else None
        if first is None or (place and place.container == first.container):
            return place
        return Place(container=first.container, runtime=first.runtime, pod_uid=first.pod_uid)

    def _own_unit(self, place: Place) -> bool:
        """Whether the unit may have a namespace of its own; only if the host's is known."""
        managed = place.unit is None or place.unit.startswith(_MANAGERS)
        return bool(self._known.hosts) and not managed and place.serves is None


def _whose(place: Place) -> tuple[str | None, ...]:
    if place.container or place.machine:
        return (place.container, place.machine)
    return (place.unit,)
