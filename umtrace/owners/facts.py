"""What was learnt about owners while recording: the rows of the table ``owners``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from umtrace.model.arrow import fixed_or_null, text

#: what a fact can be about
HOST, CGROUP, GONE, CONTAINER = "host", "cgroup", "gone", "container"
LAYER, POD, NAMESPACE, TASK = "layer", "pod", "mntns", "task"

#: texts of a recording that are longer are cut
LONGEST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that was learnt, and the first row that it was known for.

    Attributes
    ----------
    what : str
        ``host``: ``mntns`` is the host's. ``cgroup``: ``cgroup_id`` has ``path``, and is that of
        ``container`` where a runtime's file says so. ``gone``: ``cgroup_id`` was removed.
        ``container``: the names of ``container``. ``layer``: ``layer`` is that of ``container``.
        ``pod``: ``pod_uid`` is ``pod``. ``mntns``: that of the first process of ``container``.
        ``task``: whether ``pid`` is of the recorded command.
    at_row : int
        ``id`` of the first row.
    source : str or None
        Where it is from, for people.
    """

    what: str
    at_row: int = 0
    cgroup_id: int | None = None
    mntns: int | None = None
    pid: int | None = None
    path: str | None = None
    container: str | None = None
    name: str | None = None
    runtime: str | None = None
    pod: str | None = None
    pod_uid: str | None = None
    image: str | None = None
    layer: str | None = None
    by_command: bool | None = None
    source: str | None = None


_TYPES = {
    "at_row": pa.int64(),
    "cgroup_id": pa.uint64(),
    "mntns": pa.uint32(),
    "pid": pa.int32(),
    "by_command": pa.bool_(),
}
_NAMES = tuple(f.name for f in fields(Fact))
_MEANING = {
    "learnt": "when it was learnt, wall clock",
    "what": "what the fact is about: host, cgroup, gone, container, layer, pod, mntns, task",
    "at_row": "id of the first umount row that the fact counts for",
    "cgroup_id": "cgroup v2 id",
    "mntns": "inode number of a mount namespace",
    "pid": "thread group id",
    "path": "absolute path of the cgroup",
    "container": "id of the container",
    "name": "name of the container",
    "runtime": "container runtime",
    "pod": "namespace and name of the pod",
    "pod_uid": "uid of the pod",
    "image": "image of the container",
    "layer": "id of a layer or folder of the container's storage",
    "by_command": "whether the task is of the recorded command",
    "source": "file or tracepoint that it is from",
}


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, metadata={b"doc": _MEANING[name].encode()})


#: ``learnt`` is the time, UTC
SCHEMA: pa.Schema = pa.schema(
    [
        _field("learnt", pa.timestamp("ns", tz="UTC")),
        *(_field(name, _TYPES.get(name, pa.string())) for name in _NAMES),
    ]
)


def facts_to_arrow(facts: Sequence[Fact], learnt_ns: int) -> pa.RecordBatch:
    """Return facts as rows of `SCHEMA`; ``learnt_ns`` is CLOCK_REALTIME."""
    columns = [fixed_or_null([learnt_ns] * len(facts), SCHEMA.field("learnt").type)]
    for name in _NAMES:
        values = [getattr(fact, name) for fact in facts]
        kind = _TYPES.get(name)
        columns.append(text(values) if kind is None else fixed_or_null(values, kind))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def facts_from_arrow(rows: pa.RecordBatch) -> Iterator[Fact]:
    """Yield the facts of rows of `SCHEMA`, without those of a later version and senseless ones."""
    for row in rows.select(list(_NAMES)).to_pylist():
        key = _KEY.get(row["what"])
        if key and row["at_row"] is not None and row[key] is not None:
            cut: dict[str, Any] = {n: _cut(value) for n, value in row.items()}
            yield Fact(**cut)


def _cut(value: object) -> object:
    return value[:LONGEST] if isinstance(value, str) else value


#: what each kind of fact is about
_KEY = {
    HOST: "mntns",
    CGROUP: "cgroup_id",
    GONE: "cgroup_id",
    CONTAINER: "container",
    LAYER: "layer",
    POD: "pod_uid",
    NAMESPACE: "mntns",
    TASK: "pid",
}
