"""What is known of cgroups, containers and pods so far: facts, by what they are about."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

from umtrace.owners import facts
from umtrace.owners.cgroup_paths import NOWHERE, Place, place_of
from umtrace.owners.facts import Fact

#: things of one kind that are remembered; a new one takes the place of the oldest
MOST = 65536
_K = TypeVar("_K")
_V = TypeVar("_V")


class Known(OrderedDict[_K, _V]):
    """A mapping of at most `MOST` items."""

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > MOST:
            self.popitem(last=False)


class Knowledge:
    """Takes facts and answers from them; bounded.

    Attributes
    ----------
    places : mapping
        Cgroup id to what its path says.
    gone : mapping
        Ids of cgroups that were removed.
    containers, layers, pods : mapping
        Id of a container, id of a layer, uid of a pod: the fact about it.
    first_process : mapping
        Mount namespace of a container's first process: the fact about it.
    tasks : mapping
        Process id: whether it is of the recorded command.
    hosts : set of int
        The host's mount namespace, if it is known.
    """

    def __init__(self) -> None:
        self.places: Known[int, Place] = Known()
        self.gone: Known[int, bool] = Known()
        self.containers: Known[str, Fact] = Known()
        self.layers: Known[str, Fact] = Known()
        self.pods: Known[str, Fact] = Known()
        self.first_process: Known[int, Fact] = Known()
        self.tasks: Known[int, bool | None] = Known()
        self.hosts: set[int] = set()

    def place(self, cgroup_id: int) -> Place:
        """Return what is known of a cgroup."""
        return self.places.get(cgroup_id, NOWHERE)

    def names(self, container: str | None, runtime: str | None) -> Fact | None:
        """Return the names of a container, unless they are those of another runtime's."""
        found = self.containers.get(container) if container else None
        if found and runtime and found.runtime and found.runtime != runtime:
            return None
        return found

    def take(self, fact: Fact) -> None:
        """Learn a fact."""
        if fact.what == facts.CGROUP and fact.cgroup_id:
            self.places[fact.cgroup_id] = _place(fact)
            self.gone.pop(fact.cgroup_id, None)
        elif fact.what == facts.GONE and fact.cgroup_id:
            self.gone[fact.cgroup_id] = True
        elif fact.what == facts.CONTAINER and fact.container:
            self.containers[fact.container] = fact
        elif fact.what == facts.LAYER and fact.layer:
            self.layers[fact.layer] = fact
        elif fact.what == facts.POD and fact.pod_uid:
            self.pods[fact.pod_uid] = fact
        elif fact.what == facts.NAMESPACE and fact.mntns:
            self.first_process[fact.mntns] = fact
        elif fact.what == facts.TASK and fact.pid is not None:
            self.tasks[fact.pid] = fact.by_command
        elif fact.what == facts.HOST and fact.mntns:
            self.hosts = {fact.mntns}


def _place(fact: Fact) -> Place:
    place = place_of(fact.path or "")
    if fact.container is None:
        return place
    # A runtime's own file names this very cgroup, which no user can make it do.
    runtime = fact.runtime or place.runtime
    return replace(place, container=fact.container, runtime=runtime, claimed=False)
