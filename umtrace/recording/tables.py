"""The kinds of table that a recording holds, and the border check of their schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from umtrace.model import windows
from umtrace.model.events import EVENT_DTYPE, NAME_DTYPE
from umtrace.model.holders import SCAN_JSON, SCAN_SCHEMA
from umtrace.model.umounts import PHASES, SCHEMA
from umtrace.owners import facts

#: Schema metadata of a chunk: number of rows of its table that came before it.
FIRST_ROW = b"umtrace.first_row"
_DIGITS = 18  # more would not be a row number


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """A table: its name (lower case letters), its plain-typed schema, its time column.

    Columns that are not nullable and those in ``required`` must be in every chunk;
    another missing column reads as null, which is how a minor version adds one.
    ``delta`` names the columns that hardly ever repeat a value, times and durations: they are
    stored as differences, which takes a quarter of the time of looking for repetitions.
    """

    name: str
    schema: pa.Schema
    time: str
    required: tuple[str, ...] = ()
    delta: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  #: nullable as far as Arrow knows, but a row without it is damaged
    json: Mapping[str, Callable[[str], object]] = field(default_factory=dict)  #: by column


_MEANINGS = {
    "ts_ns": "CLOCK_MONOTONIC",
    "mnt": "number of the mount: the same in all events about it, 0 is unknown",
    "tid": "thread id",
    "tgid": "thread group id",
    "kind": "what happened: enum um_kind, or um_name_kind for a name, in bpf/event.h",
    "cpu": "where it was seen; for some kinds with flags in the two top bits",
    "ret": "return value or flags, by kind",
    "a": "a word that means something else for each kind: bpf/event.h",
    "b": "another one",
    "seq": "counts the events of one operation; a missing number is a lost event",
    "comm": "task name, NUL-padded; for some kinds other bytes",
    "part": "0, 1, 2, ... of a long text",
    "len": "bytes of text in this part",
    "more": "1 where another part follows",
    "text": "the path, source or mountpoint, as the kernel has it",
    "at_event": "number of the event that it must not come after",
}


def _column(dtype_name: str, arrow_type: pa.DataType) -> pa.Field:
    metadata = {b"doc": _MEANINGS[dtype_name].encode()}
    return pa.field(dtype_name, arrow_type, nullable=False, metadata=metadata)


_INTEGERS = {
    "<u2": pa.uint16(),
    "<u4": pa.uint32(),
    "<i4": pa.int32(),
    "<u8": pa.uint64(),
}

EVENTS = TableKind(
    name="events",
    schema=pa.schema(
        [
            _column(name, _INTEGERS.get(EVENT_DTYPE[name].str, pa.binary(16)))
            for name in EVENT_DTYPE.names or ()
        ]
    ),
    time="ts_ns",
    delta=("ts_ns", "seq"),
)

#: ``at_event`` is the number of the first event that came in the same batch or later:
#: whoever replays must hand the name out no later than that event.
NAMES = TableKind(
    name="names",
    schema=pa.schema(
        [
            *(
                _column(name, _INTEGERS.get(NAME_DTYPE[name].str, pa.binary()))
                for name in NAME_DTYPE.names or ()
            ),
            _column("at_event", pa.uint64()),
        ]
    ),
    time="ts_ns",
    delta=("ts_ns", "at_event"),
)

UMOUNTS = TableKind(
    name="umounts",
    schema=SCHEMA,
    time="t_start",
    required=("id", "t_start"),
    delta=("id", "t_start", "latency_ns", "syscall_ns", *PHASES, "tail_ns", "mount_id"),
)

#: Who was found holding a mount after an EBUSY: with the umount rows, these give the windows.
HOLDERS = TableKind(
    name="holders",
    schema=SCAN_SCHEMA,
    time="begin",
    delta=("umount_id", "begin", "end"),
    json=SCAN_JSON,
)

EBUSY = TableKind(
    name="ebusy",
    schema=windows.SCHEMA,
    time="begin",
    required=("class", "begin"),
    delta=(
        *("begin", "end", "duration_ns", "umount_id", "cost_ns"),
        *("first_success_ns", "held_min_ns", "held_max_ns"),
    ),
    known=("class", "begin", "attempts"),
    json=windows.JSON,
)

#: What was learnt of cgroups and containers, which may be gone: with the events, it gives the
#: owners of the umount rows.
OWNERS = TableKind(
    name="owners",
    schema=facts.SCHEMA,
    time="learnt",
    required=("what", "at_row"),
    delta=("learnt", "at_row"),
    known=("what", "at_row"),
)

TABLES: tuple[TableKind, ...] = (EVENTS, NAMES, UMOUNTS, HOLDERS, EBUSY, OWNERS)


def chunk_schema(kind: TableKind, first_row: int) -> pa.Schema:
    """Return the schema of a chunk that starts at row ``first_row`` of its table."""
    own = dict(kind.schema.metadata or {})
    return kind.schema.with_metadata({**own, FIRST_ROW: str(first_row).encode()})


def first_row_of(schema: pa.Schema) -> int | None:
    """Return where a chunk starts in its table; None when it does not say."""
    text = (schema.metadata or {}).get(FIRST_ROW, b"")
    return int(text) if text.isdigit() and len(text) <= _DIGITS else None


def check_schema(found: pa.Schema, kind: TableKind) -> None:
    """Raise ValueError when a chunk cannot be read as a table of this kind."""
    for column in kind.schema:
        at = found.get_field_index(column.name)
        if at < 0:  # none, or more than one
            if not column.nullable or column.name in kind.required:
                raise ValueError(f"column {column.name} is missing")
            if column.name in found.names:
                raise ValueError(f"column {column.name} is there twice")
        elif found.field(at).type != column.type:
            raise ValueError(f"column {column.name} is {found.field(at).type}, not {column.type}")


def selected(kind: TableKind, columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of these columns, in the order asked for; KeyError for a stranger."""
    if columns is None:
        return kind.schema
    return pa.schema([kind.schema.field(name) for name in columns])


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with exactly these columns, the missing ones null.

    Raises ValueError where a column that knows no null has one.
    """
    columns = []
    for known in schema:
        at = batch.schema.get_field_index(known.name)
        column = pa.nulls(batch.num_rows, known.type) if at < 0 else batch.column(at)
        if not known.nullable and column.null_count:
            raise ValueError(f"column {known.name} has empty cells")
        columns.append(column)
    if not columns:
        return batch.select([])
    return pa.RecordBatch.from_arrays(columns, schema=schema)
