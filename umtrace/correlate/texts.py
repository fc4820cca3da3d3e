"""A column of texts from the kernel as two arrays, without a Python object for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.model.arrow import encoded_text, fixed, string_column
from umtrace.model.events import NAME_DTYPE, NAME_TEXT, Array

_TEXT_AT = NAME_DTYPE.fields["text"][1] if NAME_DTYPE.fields else 0
_ASCII = 128
_I8 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts one after the other; a length of 0 is unknown or empty, which is not distinguished."""

    data: npt.NDArray[np.uint8]
    lengths: _I8

    def to_list(self) -> list[bytes]:
        """Return a list of the texts."""
        whole, ends = self.data.tobytes(), np.cumsum(self.lengths)
        spans = zip((ends - self.lengths).tolist(), ends.tolist(), strict=True)
        return [whole[begin:end] for begin, end in spans]

    def to_arrow(self) -> pa.Array:
        """Return a string column; what is not UTF-8 is escaped."""
        if self.data.size and self.data.max() >= _ASCII:
            return encoded_text(self.to_list())
        return string_column(self.data, self.lengths, self.lengths == 0)


def of_list(texts: Sequence[bytes | None]) -> Texts:
    """Return the same texts as arrays."""
    lengths = np.fromiter((len(text or b"") for text in texts), np.int64, len(texts))
    return Texts(np.frombuffer(b"".join(text or b"" for text in texts), np.uint8), lengths)


def of_records(names: Array, index: _I8) -> Texts:
    """Return the texts of the name records ``names[index]``; an index of -1 has none.

    The records are taken as one array of bytes, in which every second item is a text.
    """
    names = np.ascontiguousarray(names)
    bounds = np.zeros(2 * len(names) + 1, np.int64)
    bounds[0:-1:2] = np.arange(_TEXT_AT, names.nbytes, NAME_DTYPE.itemsize)
    bounds[1::2] = bounds[0:-1:2] + np.minimum(names["len"], NAME_TEXT)
    bounds[-1] = bounds[-2:].max()
    return gather_texts(names, bounds, np.where(index < 0, -1, 2 * index))


def gather_texts(data: npt.NDArray[Any], bounds: _I8, index: _I8) -> Texts:
    """Return the items ``index`` of ``data``; an index of -1 has none.

    Item i has the bytes from ``bounds[i]`` to ``bounds[i + 1]``. Arrow copies each item as a whole.
    """
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    items = pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, buffers)
    _, ends, moved = items.take(fixed(index, pa.int64(), index < 0)).buffers()
    ends = np.frombuffer(ends, np.int64, len(index) + 1)
    return Texts(np.frombuffer(moved, np.uint8), ends[1:] - ends[:-1])


def select_texts(parts: Sequence[Texts], index: _I8) -> Texts:
    """Return the texts ``index``, counted through all parts; -1 has none."""
    lengths = np.concatenate([texts.lengths for texts in parts])
    data = np.concatenate([texts.data for texts in parts])
    return gather_texts(data, np.append(0, np.cumsum(lengths)), index)
