"""Learns live whose cgroups umounts come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from umtrace.kernel.cgroups import CgroupPaths
from umtrace.owners import facts
from umtrace.owners.facts import Fact
from umtrace.owners.knowledge import Known
from umtrace.owners.resolve import Asked


class HostLearner:
    """Gives the facts of this host, each once.

    Parameters
    ----------
    host_mntns : int
        Inode number of the host's mount namespace, 0 unknown.
    path_of : callable, optional
        From cgroup id to path, None for a cgroup that is gone.
    """

    def __init__(self, host_mntns: int, path_of: Callable[[int], str | None] | None = None) -> None:
        self._paths = None if path_of else CgroupPaths()
        self._path_of: Callable[[int], str | None] = path_of or self._paths or _no_path
        self._host_mntns = host_mntns
        self._asked: Known[int, bool] = Known()

    def learn(self, first: int, asked: Sequence[Asked]) -> Iterator[Fact]:
        """Yield what is new before the rows from ``first`` on."""
        if self._host_mntns:
            yield Fact(what=facts.HOST, at_row=first, mntns=self._host_mntns)
            self._host_mntns = 0
        for cgroup_id in dict.fromkeys(one.cgroup_id for one in asked):
            if cgroup_id and cgroup_id not in self._asked:
                self._asked[cgroup_id] = True
                path = self._path_of(cgroup_id)
                if path is not None:
                    yield Fact(what=facts.CGROUP, at_row=first, cgroup_id=cgroup_id, path=path)

    def close(self) -> None:
        """Close what is open; may be called twice."""
        if self._paths is not None:
            self._paths.close()


def _no_path(_cgroup_id: int) -> str | None:
    return None
