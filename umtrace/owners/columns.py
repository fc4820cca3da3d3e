"""The columns of a row that say who unmounted, and whose mount it was."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import choice, fixed_or_null
from umtrace.owners.resolve import Asked, Owners, Told

#: column of a row -> where it is in `Told`
_TEXTS = {
    "actor_unit": "actor.unit",
    "actor_container": "actor.container",
    "actor_runtime": "actor.runtime",
    **{
        name: f"owner.{name}"
        for name in (
            *("owner", "owner_kind", "owner_by"),
            *("container", "container_name", "pod", "pod_uid", "image", "unit", "runtime"),
        )
    },
}
_FLAGS = {"owner_claimed": "owner.owner_claimed", "by_command": "by_command"}


def owner_columns(
    owners: Owners,
    *,
    cgroup: npt.NDArray[np.uint64],
    mntns: npt.NDArray[np.uint32],
    pid: npt.NDArray[np.uint32],
    ends: npt.NDArray[np.bool_],
    mountpoint: pa.Array,
    path: pa.Array,
    rows: bool = True,
) -> dict[str, pa.Array]:
    """Return the columns of n umounts.

    Parameters
    ----------
    owners : Owners
    cgroup, mntns, pid : ndarray, shape (n,)
        Of the tasks; 0 is not known.
    ends : ndarray of bool, shape (n,)
        Where the mount namespace ends with it.
    mountpoint, path : pyarrow.Array of n strings
        Where the mount was attached, and the path that was given.
    rows : bool
        False for umounts that become rows later.
    """
    where = [m or p for m, p in zip(mountpoint.to_pylist(), path.to_pylist(), strict=True)]
    columns = (cgroup.tolist(), mntns.tolist(), pid.tolist(), where, ends.tolist())
    asked = [
        Asked(cgroup_id=c, mntns=m, pid=p, path=at, ends=end)
        for c, m, p, at, end in zip(*columns, strict=True)
    ]
    told = owners.tell(asked, rows=rows)
    found = {name: _texts(told, place) for name, place in _TEXTS.items()}
    for name, place in _FLAGS.items():
        found[name] = fixed_or_null([attrgetter(place)(one) for one in told], pa.bool_())
    return found


def _texts(told: Sequence[Told], place: str) -> pa.Array:
    values = list(map(attrgetter(place), told))
    names = list(dict.fromkeys(values))
    if names == [None]:
        return pa.nulls(len(values), pa.string())
    number = {name: at for at, name in enumerate(names)}
    return choice(np.array([number[value] for value in values], np.int64), names)
