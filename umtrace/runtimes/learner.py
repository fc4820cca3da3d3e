"""Learns live whose cgroups, mount points and namespaces umounts are of."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from umtrace.kernel.cgroups import CgroupPaths
from umtrace.model.events import BIRTH_TEXT, Array
from umtrace.owners import facts
from umtrace.owners.cgroup_paths import Place, place_of
from umtrace.owners.facts import Fact
from umtrace.owners.knowledge import Known
from umtrace.owners.mount_paths import Spot, spot_of
from umtrace.owners.resolve import Asked
from umtrace.runtimes.files import HostFiles
from umtrace.runtimes.names import Names
from umtrace.runtimes.tree import cgroups_below

#: before a file that is not there is read again; a busy host takes seconds to start a container
_PAUSES_S = (0.1, 1.0)
_AT_ONCE = 64  # files that one read of the ring may cause
_WAITING = 4096
_UNITS = (".service", ".slice", ".mount", ".socket", ".swap")  # of no container
_AGAIN_S = 0.2


class HostLearner:
    """Gives the facts of this host, each once, to the rows that can use them.

    Parameters
    ----------
    host_mntns : int
        Inode number of the host's mount namespace, 0 unknown.
    files : HostFiles, optional
    path_of : callable, optional
        From cgroup id to path, None for a cgroup that is gone.
    is_of_command : callable, optional
        From process id to whether it is of the recorded command, None if that is not known.
    """

    def __init__(
        self,
        host_mntns: int,
        *,
        files: HostFiles | None = None,
        path_of: Callable[[int], str | None] | None = None,
        is_of_command: Callable[[int], bool | None] | None = None,
    ) -> None:
        self._live = None if path_of else CgroupPaths()
        self._path_of: Callable[[int], str | None] = path_of or self._live or _no_path
        self._files = files or HostFiles()
        self._names = Names(self._files)
        self._is_of_command = is_of_command
        self._host_mntns = host_mntns
        self._paths: Known[int, str] = Known()
        self._gone: Known[int, bool] = Known()
        self._containers: Known[str, list[Fact]] = Known()
        self._of_cgroup: Known[str, tuple[str, str]] = Known()
        #: cgroups whose files are not there yet, how often they were looked for, when to again
        self._waiting: deque[tuple[str, int, float]] = deque(maxlen=_WAITING)
        self._look_at: Known[str, float] = Known()
        self._given: Known[tuple[str, object], Fact | None] = Known()

    def look_around(self) -> None:
        """Take in the cgroups that exist: once, when the probes are attached."""
        for cgroup_id, path in cgroups_below(self._files.root):
            self._note(cgroup_id, path)

    def born(self, births: Array) -> None:
        """Take cgroups that were made or removed."""
        # Of one field at a time: a record of numpy costs more than all that is done with it.
        columns = (births["id"].tolist(), births["gone"].tolist(), births["len"].tolist())
        text = births["path"].tobytes()
        for at, (cgroup_id, gone, size) in enumerate(zip(*columns, strict=True)):
            if gone:
                self._gone[cgroup_id] = True
            elif 0 < size < BIRTH_TEXT:
                path = text[at * BIRTH_TEXT : at * BIRTH_TEXT + size - 1]
                self._note(cgroup_id, path.decode("utf-8", "backslashreplace"))
        if self._waiting:
            self._read_files()

    def learn(self, first: int, asked: Sequence[Asked]) -> Iterator[Fact]:
        """Yield what is new before the rows from ``first`` on."""
        for fact in self._new(asked):
            yield replace(fact, at_row=first)

    def close(self) -> None:
        """Close what is open; may be called twice."""
        if self._live is not None:
            self._live.close()

    def _note(self, cgroup_id: int, path: str) -> None:
        self._gone.pop(cgroup_id, None)
        self._paths[cgroup_id] = path
        # Whether it is a container's is looked at later, by what has the time for it.
        if not path.endswith(_UNITS):
            self._waiting.append((path, 0, 0.0))

    def _read_files(self) -> None:
        """Read the names of new containers, while their files are there."""
        for _ in range(min(len(self._waiting), _AT_ONCE)):
            path, tries, due = self._waiting.popleft()
            now = time.monotonic()
            if now < due:
                self._waiting.append((path, tries, due))
            elif not self._read(path):
                if tries < len(_PAUSES_S):
                    self._waiting.append((path, tries + 1, now + _PAUSES_S[tries]))
            elif self._names.awaits_network(place_of(path).container or ""):
                self._waiting.append((path, tries, now + _AGAIN_S))

    def _read(self, path: str) -> bool:
        """Read whose cgroup it is; return whether the runtime's files say it."""
        place = place_of(path)
        if place.container:
            return bool(self._about(place.container, place.runtime))
        if place.pod_uid or place.serves or place.unit or path.count("/") > 2:  # noqa: PLR2004
            return True
        found = self._names.of_cgroup(path)
        if found is not None:
            self._of_cgroup[path] = found
            if found[1] == "containerd":
                self._containers[found[0]] = self._names.of_task(path.split("/")[1], found[0])
        return found is not None

    def _about(self, container: str, runtime: str | None) -> list[Fact]:
        known = self._containers.get(container) or []
        if not known and self._may_look(container):
            known = self._names.of_container(container, runtime)
            if known:
                self._containers[container] = known
                for fact in known:
                    if fact.layer:
                        self._containers["layer " + fact.layer] = known
        return known

    def _new(self, asked: Sequence[Asked]) -> Iterator[Fact]:
        if self._host_mntns:
            yield Fact(what=facts.HOST, mntns=self._host_mntns)
            self._host_mntns = 0
        for cgroup_id in dict.fromkeys(one.cgroup_id for one in asked):
            yield from self._of_a_cgroup(cgroup_id) if cgroup_id else ()
        for path in dict.fromkeys(one.path for one in asked):
            spot = spot_of(path)
            if spot is not None:
                yield from self._of_a_spot(spot)
        if self._is_of_command is not None:
            for pid in dict.fromkeys(one.pid for one in asked):
                said = self._is_of_command(pid)
                yield from self._once(Fact(what=facts.TASK, pid=pid, by_command=said), pid)

    def _of_a_cgroup(self, cgroup_id: int) -> Iterator[Fact]:
        path = self._paths.get(cgroup_id)
        if path is None and cgroup_id not in self._gone:
            path = self._path_of(cgroup_id)
            if path is not None:
                self._note(cgroup_id, path)
        if path is None:
            return
        place = place_of(path)
        if place == _NOWHERE and path not in self._of_cgroup:
            self._read(path)
        container, runtime = self._of_cgroup.get(path, (None, None))
        fact = Fact(
            what=facts.CGROUP, cgroup_id=cgroup_id, path=path, container=container, runtime=runtime
        )
        yield from self._once(fact, cgroup_id)
        if cgroup_id in self._gone:
            yield from self._once(Fact(what=facts.GONE, cgroup_id=cgroup_id), cgroup_id)
        yield from self._names_of(place, container)

    def _names_of(self, place: Place, confirmed: str | None) -> Iterator[Fact]:
        container = confirmed or place.container or place.serves
        if container:
            for fact in self._about(container, place.runtime):
                yield from self._once(fact, fact.layer or fact.container)
        if place.pod_uid:
            yield from self._of_a_pod(place.pod_uid)

    def _of_a_spot(self, spot: Spot) -> Iterator[Fact]:
        if spot.layer:
            listed = self._names.of_layer(spot.layer)
            known = self._containers.get("layer " + spot.layer)
            if known is None and listed and listed.container:
                known = self._about(listed.container, listed.runtime)
            for fact in (*(known or ()), *([listed] if listed else ())):
                yield from self._once(fact, fact.layer or fact.container)
        if spot.container:
            for fact in self._about(spot.container, spot.runtime):
                yield from self._once(fact, fact.layer or fact.container)
        if spot.pod_uid:
            yield from self._of_a_pod(spot.pod_uid)

    def _of_a_pod(self, uid: str) -> Iterator[Fact]:
        if self._given.get((facts.POD, uid)) is None and self._may_look(uid):
            pod = self._names.of_pod(uid)
            if pod is not None:
                yield from self._once(pod, uid)

    def _may_look(self, about: str) -> bool:
        """Whether to look for the files of something now: not again within a moment."""
        now = time.monotonic()
        if now < self._look_at.get(about, 0.0):
            return False
        self._look_at[about] = now + _AGAIN_S
        return True

    def _once(self, fact: Fact, about: object) -> Iterator[Fact]:
        """Yield a fact unless it was given already."""
        if self._given.get((fact.what, about)) != fact:
            self._given[(fact.what, about)] = fact
            yield fact


_NOWHERE = Place()


def _no_path(_cgroup_id: int) -> str | None:
    return None
