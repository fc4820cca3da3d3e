"""From the cgroup, the mount namespace and the path of an umount to its actor and its owner.

Pure and bounded: the same facts and the same rows in the same order give the same owners, however
the rows are split. So a replay gives what was recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from umtrace.model.events import Array
from umtrace.owners.cgroup_paths import Place
from umtrace.owners.facts import Fact
from umtrace.owners.knowledge import Knowledge
from umtrace.owners.mount_paths import Spot, spot_of
from umtrace.owners.namespaces import Namespaces

_SHORT = 12  # digits of an id, as docker and podman show it
_ID = 64
_MOST_ANSWERS = 4096
#: the evidence for an owner, the best first
BY_PATH, BY_NAMESPACE, BY_ACTOR = "mountpoint", "mntns", "actor"


class Asked(NamedTuple):
    """What the owner of one umount is found from; None and 0 are not known.

    Attributes
    ----------
    cgroup_id, mntns, pid : int
        Of the task.
    path : str or None
        Where the mount was attached.
    ends : bool
        Whether the mount namespace ends with it.
    """

    cgroup_id: int = 0
    mntns: int = 0
    pid: int = 0
    path: str | None = None
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The owner of a mount, as in the columns of a row; all None if it is not known."""

    owner: str | None = None
    owner_kind: str | None = None
    owner_by: str | None = None
    owner_claimed: bool | None = None
    container: str | None = None
    container_name: str | None = None
    pod: str | None = None
    pod_uid: str | None = None
    image: str | None = None
    unit: str | None = None
    runtime: str | None = None


NOBODY = Owner()


class Told(NamedTuple):
    """The answer for one umount: where the task is, whose mount it was."""

    actor: Place
    owner: Owner
    by_command: bool | None = None


class Learner(Protocol):
    """Gives facts, live from the host or from a recording."""

    def learn(self, first: int, asked: Sequence[Asked]) -> Iterable[Fact]:
        """Return what is new before the rows ``first``, ``first + 1``, … are told their owners.

        ``at_row`` of a fact says before which of them it counts; it never decreases.
        """

    def born(self, births: Array) -> None:
        """Take cgroups that were made or removed, ``BIRTH_DTYPE``."""


class KnowsNothing:
    """Gives no facts."""

    def born(self, births: Array) -> None:
        """Ignore them."""

    def learn(self, first: int, asked: Sequence[Asked]) -> Iterable[Fact]:
        """Return nothing."""
        del first, asked
        return ()


class Owners:
    """Tells umounts their owners, in the order of the rows.

    Parameters
    ----------
    learner : Learner, optional
    """

    def __init__(self, learner: Learner | None = None) -> None:
        self._learner = learner or KnowsNothing()
        self._next = 0
        self._pending: deque[Fact] = deque()
        self._learnt: list[Fact] = []
        self._answers: dict[tuple[object, ...], Told] = {}
        self._known = Knowledge()
        self._namespaces = Namespaces(self._known)

    def born(self, births: Array) -> None:
        """Take cgroups that were made or removed, ``BIRTH_DTYPE``, before the rows that follow."""
        self._learner.born(births)

    def tell(self, asked: Sequence[Asked], *, rows: bool = True) -> list[Told]:
        """Return the actor and the owner of each umount.

        Without ``rows`` it is a preview of umounts that become rows later.
        """
        learnt = list(self._learner.learn(self._next, asked))
        self._pending += learnt
        self._learnt += learnt
        told = []
        for one in asked:
            if self._pending:
                self._take_pending()
            # Most rows are told what an earlier one was, as long as nothing is learnt.
            key = (one[0], one[1], one[3], one[4], rows)
            answer = self._answers.get(key)
            if answer is None:
                answer = self._tell(one, rows=rows)
                self._answers[key] = answer
            if self._known.tasks and (by := self._known.tasks.get(one[2])) is not None:
                answer = answer._replace(by_command=by)
            told.append(answer)
            self._next += rows
        return told

    def _take_pending(self) -> None:
        while self._pending and self._pending[0].at_row <= self._next:
            self._known.take(self._pending.popleft())
            self._answers.clear()

    def take_learnt(self) -> list[Fact]:
        """Return the facts that were learnt since the last call."""
        learnt, self._learnt = self._learnt, []
        return learnt

    def _tell(self, one: Asked, *, rows: bool) -> Told:
        place = self._known.place(one.cgroup_id)
        changed = rows and self._namespaces.note(one.mntns, place, one.cgroup_id)
        owner = self._owner(place, one)
        if rows and one.ends:
            changed |= self._namespaces.forget(one.mntns)
        if changed or len(self._answers) > _MOST_ANSWERS:
            self._answers.clear()
        return Told(actor=place, owner=owner)

    def _owner(self, place: Place, one: Asked) -> Owner:
        inside = self._namespaces.owner(one.mntns)
        if inside is None:
            return NOBODY
        if inside.container or inside.machine:  # a path in there is its own
            return self._named(inside, BY_NAMESPACE)
        spot = spot_of(one.path)
        if spot is not None:
            owner = self._at(spot, self._is_foreign(one.mntns))
            # A monitor unmounts for its container alone, also what no file names.
            return self._of_actor(place) if place.serves and owner.owner is None else owner
        return self._named(inside, BY_NAMESPACE) if inside.unit else self._of_actor(place)

    def _is_foreign(self, mntns: int) -> bool | None:
        """Whether it is not the host's mount namespace, in which a user can make any path."""
        return mntns not in self._known.hosts if mntns and self._known.hosts else None

    def _at(self, spot: Spot, claimed: bool | None) -> Owner:
        layer = self._known.layers.get(spot.layer) if spot.layer else None
        place = Place(
            container=layer.container if layer else spot.container,
            runtime=layer.runtime if layer else spot.runtime,
            pod_uid=spot.pod_uid,
            unit=spot.unit,
        )
        return replace(self._named(place, BY_PATH), owner_claimed=claimed)

    def _of_actor(self, place: Place) -> Owner:
        if place.serves and not place.container:
            place = replace(place, container=place.serves)
        of_unit = place.unit is not None and place.unit.endswith(".mount")
        if place.container or place.machine or place.pod_uid or of_unit:
            return self._named(place, BY_ACTOR)
        return NOBODY

    def _named(self, place: Place, by: str) -> Owner:
        """Return an owner with all the names that are known of it."""
        names = self._known.names(place.container, place.runtime)
        uid = place.pod_uid or (names.pod_uid if names else None)
        pod = self._known.pods.get(uid) if uid else None
        of_pod = names.pod if names and names.pod else pod.pod if pod else None
        name = names.name if names else None
        kind, printed = _printed(place, of_pod, name, uid)
        if printed is None:
            return Owner(runtime=place.runtime)
        return Owner(
            owner=printed,
            owner_kind=kind,
            owner_by=by,
            owner_claimed=place.claimed,
            container=place.container,
            container_name=name,
            pod=of_pod,
            pod_uid=uid,
            image=names.image if names else None,
            unit=place.unit,
            runtime=place.runtime or (names.runtime if names else None),
        )


def _printed(
    place: Place, pod: str | None, name: str | None, uid: str | None
) -> tuple[str | None, str | None]:
    """Return the kind of an owner and its one printable name."""
    if pod or (uid and len(uid) != _ID and not name):
        return "pod", pod or uid
    if place.container:
        is_id = len(place.container) == _ID
        return "container", name or (place.container[:_SHORT] if is_id else place.container)
    if place.machine:
        return "machine", place.machine
    return ("unit", place.unit) if place.unit else (None, None)
