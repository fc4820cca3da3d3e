"""The columns of a row that say who unmounted, and whose mount it was."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import choice, fixed
from umtrace.owners.mount_paths import may_be_spot, plain
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
    where = [
        at if at and may_be_spot(at) else None
        for at in map(place_of_mount, mountpoint.to_pylist(), path.to_pylist())
    ]
    columns = (cgroup.tolist(), mntns.tolist(), pid.tolist(), where, ends.tolist())
    told = owners.tell(list(map(Asked._make, zip(*columns, strict=True))), rows=rows)
    # Few answers for many rows: each column is made of these.
    numbers: dict[int, int] = {}
    index = np.array([numbers.setdefault(id(one), len(numbers)) for one in told], np.int64)
    answers = {id(one): one for one in told}
    few = [answers[at] for at in numbers]
    found = {name: _texts(few, place, index) for name, place in _TEXTS.items()}
    for name, place in _FLAGS.items():
        found[name] = _flags(few, place, index)
    return found


def place_of_mount(mountpoint: str | None, path: str | None) -> str | None:
    """Return where the mount was; a path below is no mount point, and says more than what is."""
    if mountpoint and path and plain(path).startswith(mountpoint.rstrip("/") + "/"):
        return path
    return mountpoint or path


def _texts(few: Sequence[Told], place: str, index: npt.NDArray[np.int64]) -> pa.Array:
    values = list(map(attrgetter(place), few))
    names = list(dict.fromkeys(values))
    if names in ([None], []):
        return pa.nulls(len(index), pa.string())
    number = {name: at for at, name in enumerate(names)}
    return choice(np.array([number[value] for value in values], np.int64)[index], names)


def _flags(few: Sequence[Told], place: str, index: npt.NDArray[np.int64]) -> pa.Array:
    values = list(map(attrgetter(place), few))
    if not any(value is not None for value in values):
        return pa.nulls(len(index), pa.bool_())
    null = np.array([value is None for value in values], np.bool_)
    return fixed(np.array([bool(value) for value in values])[index], pa.bool_(), null[index])
