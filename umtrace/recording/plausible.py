"""Times and durations that nobody can have measured are unknown, whoever wrote them.

A negative duration, or one of centuries, would come out as a negative time or an overflow far
from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import Bools, fixed, integers, mask, text
from umtrace.model.events import Array
from umtrace.model.windows import JSON_ERRORS
from umtrace.recording.tables import TableKind

LAST_NS = 2**62  # 146 years; the sum of two fits into 63 bits
_NUMBERS = frozenset({"id", "umount_id"})

Parse = Callable[[str], object]
Int64 = npt.NDArray[np.int64]


def plausible(
    batch: pa.RecordBatch, kind: TableKind, problem: Callable[[str], None]
) -> pa.RecordBatch:
    """Return the rows with what cannot be as null; rows that know no null there are left out.

    ``problem`` is called with what was found, once for each column.
    """
    columns, keep = list(batch.columns), np.ones(batch.num_rows, np.bool_)
    for at, wrong in (*_wrong(batch), *_no_json(batch, kind.json), *_empty(batch, kind.known)):
        field = batch.schema.field(at)
        if field.nullable and field.name not in kind.known:
            problem(f"{field.name} has values that cannot be, read as unknown")
            columns[at] = _without(columns[at], wrong)
        else:
            problem(f"rows where {field.name} cannot be are skipped")
            keep &= ~wrong
    if not columns:
        return batch
    checked = pa.RecordBatch.from_arrays(columns, schema=batch.schema)
    return checked if keep.all() else checked.filter(fixed(keep, pa.bool_()))


def within_time(events: Array, offset_ns: int) -> Bools:
    """Say of each event or name whether its time can be, on both clocks."""
    least, last = max(-offset_ns, 0), min(LAST_NS - max(offset_ns, 0), LAST_NS)
    times = events["ts_ns"]
    if last < least:
        return np.zeros(len(events), np.bool_)
    inside: Bools = (times >= np.uint64(least)) & (times <= np.uint64(last))
    return inside


def _wrong(batch: pa.RecordBatch) -> Iterator[tuple[int, Bools]]:
    """Yield (column, where it cannot be) of columns with such values."""
    for at, field in enumerate(batch.schema):
        if not (pa.types.is_timestamp(field.type) or _counts(field)):
            continue
        values = integers(batch.column(at))
        ends = field.name == "end" and "begin" in batch.schema.names
        if not values.size or (not ends and values.min() >= 0 and values.max() <= LAST_NS):
            continue
        wrong: Bools = (values < 0) | (values > LAST_NS)
        if ends:
            wrong |= _before(values, batch)
        if wrong.any():
            yield at, wrong


def _empty(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[int, Bools]]:
    for at, name in enumerate(batch.schema.names):
        if name in names and batch.column(at).null_count:
            yield at, mask(batch.column(at).is_null())


def _without(column: pa.Array, wrong: Bools) -> pa.Array:
    if pa.types.is_string(column.type):
        kept = zip(column.to_pylist(), wrong, strict=True)
        return text([None if bad else value for value, bad in kept])
    return fixed(integers(column), column.type, wrong | mask(column.is_null()))


def _no_json(batch: pa.RecordBatch, json: Mapping[str, Parse]) -> Iterator[tuple[int, Bools]]:
    for at, name in enumerate(batch.schema.names):
        if name in json:
            known = {None: True}
            for cell in batch.column(at).unique().to_pylist():
                known.setdefault(cell, _parses(cell, json[name]))
            if not all(known.values()):
                cells = batch.column(at).to_pylist()
                yield at, np.array([not known[cell] for cell in cells], np.bool_)


def _parses(cell: str, parse: Parse) -> bool:
    try:
        parse(cell)
    except JSON_ERRORS:
        return False
    return True


def _counts(field: pa.Field) -> bool:
    named = field.name.endswith("_ns") or field.name in _NUMBERS
    return named and bool(field.type == pa.int64())


def _before(ends: Int64, batch: pa.RecordBatch) -> Bools:
    end, begin = (batch.column(batch.schema.get_field_index(n)) for n in ("end", "begin"))
    known = mask(end.is_valid()) & mask(begin.is_valid())
    before: Bools = known & (ends < integers(begin))
    return before
