"""The cells of a summary: exact counts by key, measure and bucket.

A table of cells has the columns of `SCHEMA`. Two tables add up cell by cell, in any order and
grouping, to the same table. In SQL this is ``sum(count) group by KEYS, measure, bucket``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from umtrace.model.errors import DamagedInputError
from umtrace.stats.buckets import BUCKETS

#: what cells are keyed by; null is unknown
KEYS = ("kernel", "tier", "latency_bound", "mode", "origin", "owner")
#: takes the place of a value that is one too many
OTHER = "(other)"
#: behind the measure of a duration: of the umounts that failed
FAILED = ".failed"
#: bucket of rows of which the value is unknown, in a measure that is no duration
UNKNOWN = -1

#: a sum of durations, ns: beyond int64
SUM = pa.decimal128(38, 0)
_VALUES = {
    "count": ("sum", pa.int64(), "umounts in this bucket; of a row without one, known values"),
    "unknown": ("sum", pa.int64(), "umounts of which the duration is unknown"),
    "sum_ns": ("sum", SUM, "sum of the known values"),
    "min_ns": ("min", pa.int64(), "least known value"),
    "max_ns": ("max", pa.int64(), "greatest known value"),
    "shared": ("sum", pa.int64(), "umounts in which this duration and the latency are known"),
    "shared_ns": ("sum", SUM, "sum of this duration over these"),
    "shared_latency_ns": ("sum", SUM, "sum of the latency over these"),
}
_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    *((name, pa.string(), "key; null is unknown") for name in KEYS),
    ("measure", pa.string(), "what is counted"),
    ("bucket", pa.int32(), "of a duration its log-linear bucket, null: totals; else a code"),
    *((name, kind, doc) for name, (_, kind, doc) in _VALUES.items()),
)
SCHEMA: pa.Schema = pa.schema(
    [pa.field(name, kind, metadata={b"doc": doc.encode()}) for name, kind, doc in _COLUMNS]
)

_MOST_COUNT = 1 << 50  # umounts of one host in an hour; far from what would overflow a sum
_MOST_TEXT = 256
_MOST_NS = 1 << 62
_CODES = 1 << 16  # errno and the like


def no_cells(by: Sequence[str] = KEYS) -> pa.Table:
    """Return cells of nothing."""
    return pa.schema([_field(name) for name in _columns(by)]).empty_table()


def add_up(tables: Iterable[pa.Table], by: Sequence[str] = KEYS) -> pa.Table:
    """Add cells that agree in the keys ``by``; the result is in order of keys.

    Parameters
    ----------
    tables : iterable of Table
        With the columns ``by`` and those of `SCHEMA` that are no keys; others are left out.
    by : sequence of str
        Keys of the result, from `KEYS`, and ``host``.
    """
    names = _columns(by)
    whole = pa.concat_tables([no_cells(by), *(table.select(names) for table in tables)])
    group = [*by, "measure", "bucket"]
    added = whole.group_by(group, use_threads=False).aggregate(
        [(name, how) for name, (how, _, _) in _VALUES.items()]
    )
    added = added.rename_columns([*added.column_names[: len(group)], *_VALUES])
    if added.column_names[: len(group)] != group:  # Arrow 17 and older have the values first
        raise AssertionError("group_by has another order of columns")
    ordered = added.sort_by([(name, "ascending") for name in group])
    return ordered.select(names).cast(no_cells(by).schema).combine_chunks()


def check(cells: pa.Table) -> None:
    """Raise DamagedInputError where cells of a stranger contradict themselves."""
    for name in (*KEYS, "measure"):
        longest = pc.max(pc.binary_length(cells[name])).as_py() or 0
        if longest > _MOST_TEXT:
            raise DamagedInputError(f"a {name} of {longest} bytes")
    limits = {
        "count": _MOST_COUNT, "unknown": _MOST_COUNT, "shared": _MOST_COUNT,
        "min_ns": _MOST_NS, "max_ns": _MOST_NS,
    }  # fmt: skip
    for name, most in limits.items():
        _check_range(cells, name, 0, most)
    for name in ("sum_ns", "shared_ns", "shared_latency_ns"):
        _check_range(cells, name, 0, _MOST_COUNT * _MOST_NS)
    if cells["measure"].null_count or cells["count"].null_count:
        raise DamagedInputError("a cell without a measure or a count")
    durations = is_duration(cells["measure"])
    _check_range(cells.filter(durations), "bucket", 0, BUCKETS - 1)
    _check_range(cells.filter(pc.invert(durations)), "bucket", UNKNOWN, _CODES)
    _check_totals(cells.filter(durations))


def checksum(cells: pa.Table, names: Iterable[str]) -> str:
    """Return a digest of the values of some columns, whatever their chunks and encoding.

    The pages of a Parquet file have checksums, its footer has none: one changed bit there can
    hide rows.
    """
    digest = hashlib.sha256()
    for name in names:
        none = pa.array([], cells.schema.field(name).type)
        for data in _content(pa.concat_arrays([none, *cells[name].chunks])):
            digest.update(f"{name} {len(data)} ".encode() + data)
    return digest.hexdigest()


def _content(column: pa.Array) -> Iterator[bytes]:
    """Yield which values are null, and the values."""
    yield _bytes(pc.is_null(column).cast(pa.int8()))
    if pa.types.is_integer(column.type):
        yield _bytes(pc.fill_null(column, 0))
        return
    texts = pc.fill_null(column.cast(pa.string()), "")
    yield _bytes(pc.binary_length(texts))
    yield "".join(texts.to_pylist()).encode()


def _bytes(column: pa.Array) -> bytes:
    data: bytes = column.to_numpy(zero_copy_only=False).tobytes()
    return data


def is_duration(measures: pa.ChunkedArray) -> pa.ChunkedArray:
    """Say of each measure whether it is a duration: `rcu_ns`, `ebusy_ns.held`."""
    return pc.match_substring_regex(measures, r"^[a-z_]+_ns(\.|$)")


def _check_range(cells: pa.Table, name: str, least: int, most: int) -> None:
    ends = pc.min_max(cells[name]).as_py()
    if ends["min"] is not None and not least <= ends["min"] <= ends["max"] <= most:
        raise DamagedInputError(f"{name} has a value that cannot be")


def _check_totals(cells: pa.Table) -> None:
    """Compare the counts of the buckets with the totals beside them."""
    counted = cells.append_column("is_total", pc.is_null(cells["bucket"]))
    sides = []
    for total in (False, True):
        side = counted.filter(pc.equal(counted["is_total"], total))
        side = side.filter(pc.greater(side["count"], 0))
        missing = total and any(side[name].null_count for name in ("sum_ns", "min_ns", "max_ns"))
        if missing:
            raise DamagedInputError("totals without a sum, a least or a greatest value")
        group = [*KEYS, "measure"]
        added = side.group_by(group, use_threads=False).aggregate([("count", "sum")])
        sides.append(added.sort_by([(name, "ascending") for name in group]).combine_chunks())
    if not sides[0].equals(sides[1]):
        raise DamagedInputError("counts and totals differ")


def _columns(by: Sequence[str]) -> list[str]:
    return [*by, "measure", "bucket", *_VALUES]


def _field(name: str) -> pa.Field:
    return pa.field(name, pa.string()) if name == "host" else SCHEMA.field(name).remove_metadata()
