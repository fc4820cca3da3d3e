"""Records of a ring buffer as Python tuples, sorted by time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from umtrace.probes.frames import FrameTable
from umtrace.sources.ftrace.formats import Format
from umtrace.sources.ftrace.pages import Walked, walk

LOST = "lost"  #: name of the record in place of those that a page reports as missing
STACK = "kernel_stack"  #: what the stacktrace trigger writes
_DEEPEST = 48  # frames that are read; the waits of an umount itself are no deeper than 25
_FAULT = b"(fault)"  # what the kernel stores for text that it could not read


class Record(NamedTuple):
    """One event: when, where, in which task, and its fields by name."""

    ts_ns: int
    tid: int
    cpu: int
    name: str
    fields: Mapping[str, Any]


class Decoder:
    """Turns pages into records of the formats it was given; others are left out.

    Parameters
    ----------
    formats : iterable of Format
    page_bytes : int
    frames : FrameTable or None
        The functions that are searched on stacks; a stack without any of them is left out.
    """

    def __init__(
        self, formats: Iterable[Format], page_bytes: int, frames: FrameTable | None = None
    ) -> None:
        self._formats = {one.id: one for one in formats}
        self._size = page_bytes
        self._frames = frames
        self._last_ns: dict[int, int] = {}  # by CPU, the time of its last record
        self.counts: Counter[str] = Counter()  #: records so far, by kind

    def decode(
        self,
        pages: Sequence[bytes],
        cpus: Sequence[int],
        tasks: Mapping[str, Collection[int]] | None = None,
    ) -> list[Record]:
        """Return the records of pages, in no special order.

        Parameters
        ----------
        pages : sequence of bytes
            The pages of one CPU are in the order in which they were read.
        cpus : sequence of int
            The CPU of each page.
        tasks : mapping, optional
            From the name of a field with a task id to the tasks that are wanted. The first of
            these fields that a record has decides; a record without any of them is wanted.
        """
        if not pages:
            return []
        walked = walk(pages, self._size)
        cpu_of_page = np.asarray(cpus)
        records = list(self._gaps(walked, cpu_of_page))
        ids = walked.data.view("<u2")[walked.at // 2]
        for number in np.unique(ids).tolist():
            form = self._formats.get(number)
            if form is None:
                continue
            which = np.flatnonzero(ids == number)
            self.counts[form.name] += len(which)
            if tasks is not None:
                which = _wanted(form, walked, which, tasks)
            cpu = cpu_of_page[walked.page[which]].tolist()
            if form.name == STACK and self._frames:
                records += _stacks(form, walked, which, cpu, self._frames)
            else:
                records += _records(form, walked, which, cpu)
        return records

    def _gaps(self, walked: Walked, cpu_of_page: np.ndarray[Any, Any]) -> Iterable[Record]:
        """Yield a record for each gap, at its begin; ``until`` is the time of its end."""
        last = np.searchsorted(walked.page, np.arange(len(cpu_of_page)), side="right") - 1
        first = np.searchsorted(walked.page, np.arange(len(cpu_of_page)))
        for page, cpu in enumerate(cpu_of_page.tolist()):
            until = int(walked.begin_ns[page])
            if walked.missed[page]:
                begin = self._last_ns.get(cpu, 0) + 1
                yield Record(min(begin, until), 0, cpu, LOST, {"until": until})
            if last[page] >= first[page]:
                self._last_ns[cpu] = int(walked.ts_ns[last[page]])


def _wanted(
    form: Format,
    walked: Walked,
    which: np.ndarray[Any, Any],
    tasks: Mapping[str, Collection[int]],
) -> np.ndarray[Any, Any]:
    """Return those of ``which`` that are about a wanted task, without Python objects for them."""
    name = next((name for name in tasks if name in (form.dtype.names or ())), None)
    if name is None:
        return which
    offset = form.dtype.fields[name][1] if form.dtype.fields else 0
    numbers = walked.data.view("<u4")[(walked.at[which] + offset) // 4]
    wanted: np.ndarray[Any, Any] = which[np.isin(numbers, list(tasks[name]))]
    return wanted


def _stacks(
    form: Format, walked: Walked, which: np.ndarray[Any, Any], cpus: list[int], frames: FrameTable
) -> Iterable[Record]:
    """Yield the stacks with any known function, each with the bits of these functions."""
    if not form.dtype.fields:
        return
    at, words = walked.at[which], walked.data.view("<u4")
    depth = np.minimum(words[(at + form.dtype.fields["size"][1]) // 4], _DEEPEST).astype(np.int64)
    # Like the records of the buffer, the addresses are aligned to 4 bytes only.
    place = (at[:, None] + form.dtype.fields["caller"][1]) // 4 + 2 * np.arange(_DEEPEST)
    place = np.minimum(place, len(words) - 2)
    low, high = words[place].astype(np.uint64), words[place + 1].astype(np.uint64)
    address = np.where(np.arange(_DEEPEST) < depth[:, None], high << np.uint64(32) | low, 0)
    found = frames.on_stack(address.astype(np.uint64))
    tids = words[(at + form.dtype.fields["common_pid"][1]) // 4]
    for index in np.flatnonzero(found).tolist():
        bits = {"on_stack": int(found[index])}
        yield Record(int(walked.ts_ns[which[index]]), int(tids[index]), cpus[index], STACK, bits)


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
