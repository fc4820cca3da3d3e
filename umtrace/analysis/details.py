"""What an EBUSY window rests on, as frames: a row for each holder, walker or piece of evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from umtrace.analysis.frames import rows_to_frame
from umtrace.model.errors import DamagedInputError
from umtrace.model.windows import JSON, JSON_ERRORS
from umtrace.model.windows import SCHEMA as WINDOWS
from umtrace.query.selection import Selection
from umtrace.query.window_filter import chosen_windows

_OF_THE_WINDOW = ("begin", "class", "path")
_TEXT, _INT, _BOOL = pa.string(), pa.int64(), pa.bool_()
_FIELDS: dict[str, dict[str, pa.DataType]] = {
    "holders": {
        **dict.fromkeys(("kind", "of", "comm", "detail", "match", "note", "keeper"), _TEXT),
        **dict.fromkeys(("pid", "tid", "fd", "mnt_id", "mntns", "seen", "looks", "ref"), _INT),
        "writes": _BOOL,
    },
    "walkers": {"tid": _INT, "comm": _TEXT, "what": _TEXT, "count": _INT},
    "evidence": {"fact": _TEXT},
}


def details_frame(selection: Selection, name: str) -> pd.DataFrame:
    """Return a row for each item of a list of the windows that the selected umounts began.

    Parameters
    ----------
    name : str
        holders, walkers or evidence.

    Returns
    -------
    DataFrame
        ``window`` is the row of `ebusy_frame`, from 0; then ``begin``, ``class`` and ``path`` of
        that window, and the fields of the item. Missing values are ``pd.NA``.
    """
    of_the_window = [WINDOWS.field(each) for each in _OF_THE_WINDOW]
    fields = [pa.field(field, kind) for field, kind in _FIELDS[name].items()]
    whole = pa.schema([pa.field("window", _INT), *of_the_window, *fields])
    if "ebusy" not in selection.recording.meta.tables:
        return rows_to_frame(whole.empty_table())
    rows = [_within(row, whole) for row in _items(selection, name)]
    return rows_to_frame(pa.Table.from_pylist(rows, whole))


def _items(selection: Selection, name: str) -> Iterator[dict[str, Any]]:
    number = 0
    for batch in chosen_windows(selection, [*_OF_THE_WINDOW, name]):
        times = batch.column("begin").cast(_INT).to_pylist()
        others = (batch.column(each).to_pylist() for each in ("class", "path", name))
        for begin, klass, path, text in zip(times, *others, strict=True):
            of = {"window": number, "begin": begin, "class": klass, "path": path}
            for item in _parsed(name, text):
                yield {**of, **item}
            number += 1


def _parsed(name: str, text: str | None) -> list[Mapping[str, Any]]:
    """Return the items of a cell; DamagedInputError for what umtrace does not write."""
    try:
        JSON[name](text or "[]")
        items = json.loads(text or "[]")
    except JSON_ERRORS:
        raise DamagedInputError(f"ebusy table: column {name} is not what umtrace writes") from None
    return [{"fact": item} if isinstance(item, str) else item for item in items]


def _within(row: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Return a row without numbers that no column of 64 bits holds."""
    return {
        field.name: None
        if isinstance(value := row.get(field.name), int) and not -(2**63) <= value < 2**63
        else value
        for field in schema
    }
