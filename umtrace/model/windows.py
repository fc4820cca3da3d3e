"""The EbusyWindow: a time in which a mount or its device said EBUSY, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umtrace.model.arrow import fixed, text
from umtrace.model.checked import built
from umtrace.model.errors import DamagedInputError
from umtrace.model.holders import Holder
from umtrace.model.umounts import Column

CLASSES = (
    "transient-ref",
    "held",
    "inherited-fd",
    "submount",
    "propagated-copy",
    "expire",
    "stolen-put",
    "lazy-tail",
    "shared-sb",
    "downstream",
    "unknown",
)
#: what is found after an umount that succeeded: nobody got EBUSY
AFTERWARDS = frozenset({"stolen-put", "lazy-tail", "shared-sb"})
#: classes of windows in which a call got EBUSY
REFUSED = frozenset(CLASSES) - AFTERWARDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Walker:
    """A task that held the mount for a moment; ``what`` as in ``model.evidence.Walk``, or seen."""

    tid: int
    comm: str | None
    what: str
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Walker:
        """Build one from ``to_dict``; ValueError or TypeError for what it does not write."""
        return built(cls, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class EbusyWindow:
    """One window; times are wall clock ns, null is not known. See ``COLUMNS``."""

    klass: str
    spurious: bool | None
    begin_ns: int
    end_ns: int | None
    path: str | None = None
    dev: str | None = None
    umount_id: int | None = None
    errno_site: str | None = None
    refcount: int | None = None
    refs: int | None = None
    refs_named: int | None = None
    holders: tuple[Holder, ...] = ()
    walkers: tuple[Walker, ...] = ()
    evidence: tuple[str, ...] = ()
    attempts: int = 1
    cost_ns: int | None = None
    first_success_ns: int | None = None
    first_success_bound: str | None = None
    held_min_ns: int | None = None
    held_max_ns: int | None = None
    pid: int | None = None
    comm: str | None = None
    container: str | None = None
    mntns: int | None = None
    tier: str | None = None

    @property
    def duration_ns(self) -> int | None:
        """How long it lasted; None where its end was not seen."""
        return None if self.end_ns is None else self.end_ns - self.begin_ns

    @property
    def hold(self) -> tuple[int | None, int | None]:
        """How long it was in use after its begin, at least and at most, ns; None is not known."""
        return hold(
            self.klass,
            (self.held_min_ns, self.held_max_ns),
            self.first_success_ns,
            self.duration_ns,
        )


def hold(
    klass: str,
    held_ns: tuple[int | None, int | None],
    first_success_ns: int | None,
    duration_ns: int | None,
) -> tuple[int | None, int | None]:
    """Return how long a mount was in use after the begin of a window, ns: at least, at most.

    The arguments are those of the columns. Recordings of umtrace before 0.3 do not have
    ``held_ns``: there, a retry that succeeded says how long it was at most.
    """
    if klass == "downstream":
        return None, None
    if klass in AFTERWARDS:
        return duration_ns, duration_ns
    return held_ns if held_ns[1] is not None else (held_ns[0], first_success_ns)


_STR, _INT, _TS = pa.string(), pa.int64(), pa.timestamp("ns", tz="UTC")

COLUMNS: tuple[Column, ...] = (
    Column("class", _STR, ", ".join(CLASSES)),
    Column("spurious", pa.bool_(), "true: nobody was really in there; null: not known"),
    Column("begin", _TS, "entry into the first call that said EBUSY, or return of the umount"),
    Column("end", _TS, "entry into the call that succeeded, end of the last one, or of the tail"),
    Column("duration_ns", _INT, "end less begin; without first_success_ns the mount stayed busy"),
    Column("path", _STR, "the path as given to umount(2)"),
    Column("dev", _STR, "major:minor of the superblock"),
    Column("umount_id", _INT, "id of the umount row it began with"),
    Column("errno_site", _STR, "where EBUSY was decided: refcount, submount, copy, expire"),
    Column("refcount", pa.int32(), "reference count at the first busy check"),
    Column("refs", pa.int32(), "references that umount does not allow, at the first busy check"),
    Column("refs_named", pa.int32(), "how many of refs are known to be those of the holders"),
    Column("holders", _STR, "JSON list: who held it"),
    Column("walkers", _STR, "JSON list: who held it for a moment"),
    Column("evidence", _STR, "JSON list of sentences"),
    Column("attempts", pa.int32(), "umount calls in it, the one that succeeded included"),
    Column("cost_ns", _INT, "time spent in these calls"),
    Column("first_success_ns", _INT, "after begin: when a retry would have succeeded"),
    Column("first_success_bound", _STR, "exact, or upper: it was no later than that"),
    Column("held_min_ns", _INT, "after begin: it was in use for at least so long"),
    Column("held_max_ns", _INT, "after begin: the hold that began it lasted for at most so long"),
    Column("pid", pa.int32(), "thread group id of the umounter"),
    Column("comm", _STR, "task name of the umounter"),
    Column("container", _STR, "container id of the umounter"),
    Column("mntns", pa.uint32(), "inode number of the umounter's mount namespace"),
    Column("tier", _STR, "probe tier"),
)

SCHEMA: pa.Schema = pa.schema(
    [pa.field(c.name, c.type, metadata={b"doc": c.doc.encode()}) for c in COLUMNS]
)
_ATTRIBUTES = {"class": "klass", "begin": "begin_ns", "end": "end_ns"}
#: JSON columns, and what makes an item of each
_LISTS: dict[str, Callable[[Any], Any]] = {
    "holders": Holder.from_dict,
    "walkers": Walker.from_dict,
    "evidence": str,
}


def _list(build: Callable[[Any], Any]) -> Callable[[str], tuple[Any, ...]]:
    def parse(text: str) -> tuple[Any, ...]:
        items = json.loads(text)
        if not isinstance(items, list):
            raise ValueError("no list")  # noqa: TRY004 - one kind of error
        return tuple(map(build, items))

    return parse


#: what reads the cells of each JSON column, and what it raises for others
JSON = {name: _list(build) for name, build in _LISTS.items()}
JSON_ERRORS = (AttributeError, TypeError, ValueError, RecursionError)


def windows_to_arrow(windows: Sequence[EbusyWindow]) -> pa.RecordBatch:
    """Return windows as rows of ``SCHEMA``."""
    columns = [_column([_value(w, f.name) for w in windows], f.type) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def windows_from_arrow(rows: pa.RecordBatch | pa.Table) -> list[EbusyWindow]:
    """Return the windows that ``windows_to_arrow`` was given; a missing column is null.

    Raises DamagedInputError where a JSON column holds something else.
    """
    names = [name for name in SCHEMA.names if name in rows.schema.names and name != "duration_ns"]
    columns = [_plain(rows.column(name), name) for name in names]
    fields = [_ATTRIBUTES.get(name, name) for name in names]
    return [
        EbusyWindow(**dict(zip(fields, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def window_dict(window: EbusyWindow) -> dict[str, Any]:
    """Return a window as a JSON object: columns, with the lists as lists, times in ns."""
    row: dict[str, Any] = {}
    for name in SCHEMA.names:
        value = _value(window, name)
        row[name] = json.loads(value) if name in _LISTS else value
    return row


def _plain(column: pa.Array, name: str) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())  # to_pylist would import pandas
    values: list[Any] = column.to_pylist()
    if name not in _LISTS:
        return values
    parse = JSON[name]
    try:
        return [parse(value or "[]") for value in values]
    except JSON_ERRORS:
        raise DamagedInputError(f"ebusy table: column {name} is not what umtrace writes") from None


def _value(window: EbusyWindow, name: str) -> Any:
    value = getattr(window, _ATTRIBUTES.get(name, name))
    if not isinstance(value, tuple):
        return value
    plain = [item if isinstance(item, str) else item.to_dict() for item in value]
    return json.dumps(plain, ensure_ascii=False)


def _column(values: list[Any], arrow_type: pa.DataType) -> pa.Array:
    if pa.types.is_string(arrow_type):
        return text(values)
    # What a damaged recording adds up to may fit into no column: then it is not known.
    most = 1 << max(arrow_type.bit_width - 1, 7)
    numbers = [None if value is None or not -most <= value < most else value for value in values]
    null = np.array([number is None for number in numbers], np.bool_)
    return fixed(np.array([number or 0 for number in numbers], np.int64), arrow_type, null)
