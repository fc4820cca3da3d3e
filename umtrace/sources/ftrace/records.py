"""Records of a ring buffer as Python tuples, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from umtrace.sources.ftrace.formats import Format
from umtrace.sources.ftrace.pages import Walked, walk

LOST = "lost"  #: name of the record that stands for those a page says are missing
_FAULT = b"(fault)"  # what the kernel stores for text that it could not read


class Record(NamedTuple):
    """One event: when, where, in which task, and its fields by name."""

    ts_ns: int
    tid: int
    cpu: int
    name: str
    fields: Mapping[str, Any]


class Decoder:
    """Turns pages into records of the formats it was given; others are left out."""

    def __init__(self, formats: Iterable[Format], page_bytes: int) -> None:
        self._formats = {one.id: one for one in formats}
        self._size = page_bytes

    def decode(self, pages: Sequence[bytes], cpus: Sequence[int]) -> list[Record]:
        """Return the records of pages, each of the CPU in ``cpus``; in no special order."""
        if not pages:
            return []
        walked = walk(pages, self._size)
        cpu_of_page = np.asarray(cpus)
        records = [
            Record(int(walked.begin_ns[page]), 0, int(cpu_of_page[page]), LOST, {})
            for page in np.flatnonzero(walked.missed)
        ]
        ids = walked.data.view("<u2")[walked.at // 2]
        for number in np.unique(ids).tolist():
            if number in self._formats:
                which = np.flatnonzero(ids == number)
                cpu = cpu_of_page[walked.page[which]].tolist()
                records += _records(self._formats[number], walked, which, cpu)
        return records


def _records(
    form: Format, walked: Walked, which: np.ndarray[Any, Any], cpus: list[int]
) -> Iterable[Record]:
    size = form.dtype.itemsize
    at = walked.at[which]
    inside = np.minimum(at[:, None] + np.arange(size), len(walked.data) - 1)
    rows = walked.data[inside].view(form.dtype)[:, 0]
    names = [name for name in rows.dtype.names or () if not name.startswith("common_")]
    columns = [_column(form, walked, at, rows, name) for name in names]
    tids, times = rows["common_pid"].tolist(), walked.ts_ns[which].tolist()
    if not columns:
        columns, names = [[None] * len(tids)], [""]
    for ts, tid, cpu, *values in zip(times, tids, cpus, *columns, strict=True):
        yield Record(ts, tid, cpu, form.name, dict(zip(names, values, strict=True)))


def _column(
    form: Format, walked: Walked, at: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], name: str
) -> list[Any]:
    values: list[Any] = rows[name].tolist()
    if name not in form.texts:
        return values
    return [_text(walked, begin, where) for begin, where in zip(at.tolist(), values, strict=True)]


def _text(walked: Walked, begin: int, where: int) -> bytes:
    start = begin + (where & 0xFFFF)
    text = walked.data[start : start + (where >> 16)].tobytes().partition(b"\0")[0]
    return b"" if text == _FAULT else text
