"""Finds the records in pages of the kernel's ring buffer, with array code.

All pages are walked at the same time: step i finds the i-th record of each page. The layout is
given by ``events/header_page`` and ``events/header_event``: a word with 5 bits of type or length
and 27 bits of time since the last record, then the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MISSED = 1 << 31  # RB_MISSED_EVENTS in the word of the committed length
_LENGTH = 0xFFFFF
_DATA = 16  # bytes before the first record
_PADDING, _EXTEND, _STAMP = 29, 30, 31

_I8 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Walked:
    """The records of some pages.

    Attributes
    ----------
    data : ndarray of uint8
        All pages, one after the other.
    at, ts_ns, page : ndarray of int64, shape (n,)
        The offset of each record in ``data``, its time and its page; in the order of the pages.
    missed : ndarray of bool, shape (number of pages,)
        Whether records before the page were overwritten.
    begin_ns : ndarray of int64, shape (number of pages,)
    """

    data: npt.NDArray[np.uint8]
    at: _I8
    ts_ns: _I8
    page: _I8
    missed: npt.NDArray[np.bool_]
    begin_ns: _I8


def walk(pages: Sequence[bytes], size: int) -> Walked:
    """Find the records of pages of ``size`` bytes; shorter ones are filled up."""
    data = np.frombuffer(b"".join(p.ljust(size, b"\0") for p in pages), np.uint8)
    words = data.view("<u4").reshape(len(pages), size // 4).astype(np.int64)
    time = words[:, 0] | words[:, 1] << 32
    end = np.minimum(_DATA + (words[:, 2] & _LENGTH), size) // 4
    found = list(_steps(words, end, time))
    at, ts, page = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _none()
    order = np.argsort(page, kind="stable")
    missed = (words[:, 2] & _MISSED) != 0
    return Walked(data, at[order], ts[order], page[order], missed, time)


def _none() -> tuple[_I8, _I8, _I8]:
    empty = np.empty(0, np.int64)
    return empty, empty, empty


def _steps(words: _I8, end: _I8, time: _I8) -> Iterator[tuple[_I8, _I8, _I8]]:
    """Yield (place, time, page) of the i-th record of every page that has one."""
    page = np.arange(len(words))
    at = np.full(len(words), _DATA // 4)
    time = time.copy()
    width = words.shape[1]
    while True:
        inside = at < end
        if not inside.any():
            return
        page, at, time, end = page[inside], at[inside], time[inside], end[inside]
        head, follower = words[page, at], words[page, np.minimum(at + 1, width - 1)]
        kind, delta = head & 31, head >> 5
        long = kind == 0
        length = np.where(long, 1 + (follower + 3) // 4, 1 + kind)
        length = np.where(kind == _PADDING, 1 + (follower + 3) // 4, length)
        length = np.where(kind > _PADDING, 2, length)
        wide = follower << 27
        time = np.where(kind == _STAMP, wide + delta, time + delta)
        time = np.where(kind == _EXTEND, time + wide, time)
        data = kind < _PADDING
        place = page * width + at + np.where(long, 2, 1)
        yield place[data] * 4, time[data], page[data]
        last = (kind == _PADDING) & (delta == 0)
        at = np.where(last, width, at + length)
