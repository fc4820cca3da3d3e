"""A column of texts from the kernel as two arrays: no Python object for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from umtrace.records.arrow import encoded_text, string_column
from umtrace.records.events import NAME_DTYPE, NAME_TEXT, Array

_TEXT_AT = NAME_DTYPE.fields["text"][1] if NAME_DTYPE.fields else 0
_ASCII = 128


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts one after the other; a length of 0 is unknown, or empty, which means the same."""

    data: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]

    def to_list(self) -> list[bytes]:
        """Return each by itself."""
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


def of_records(names: Array, index: npt.NDArray[np.int64]) -> Texts:
    """Return the texts of the name records ``names[index]``."""
    lengths = np.minimum(names["len"][index], NAME_TEXT).astype(np.int64)
    longest = int(lengths.max(initial=0))
    table = names.view(np.uint8).reshape(len(names), NAME_DTYPE.itemsize)
    texts = table[:, _TEXT_AT : _TEXT_AT + longest][index]
    return Texts(texts[np.arange(longest) < lengths[:, None]], lengths)


def placed(size: int, parts: Sequence[tuple[npt.NDArray[np.int64], Texts]]) -> Texts:
    """Return ``size`` texts of which each part fills the positions given with it."""
    lengths = np.zeros(size, np.int64)
    for at, texts in parts:
        lengths[at] = texts.lengths
    begins = np.cumsum(lengths) - lengths
    data = np.zeros(int(lengths.sum()), np.uint8)
    for at, texts in parts:
        within = np.arange(texts.data.size) - np.repeat(
            np.cumsum(texts.lengths) - texts.lengths, texts.lengths
        )
        data[np.repeat(begins[at], texts.lengths) + within] = texts.data
    return Texts(data, lengths)
