"""The layout of an event's record, from the kernel's ``events/*/format``."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_ID = re.compile(r"^ID: (\d+)", re.MULTILINE)
_FIELD = re.compile(
    r"field:(?P<what>[^;]*?)(?P<name>\w+)(?P<array>\[\d*\])?;\s*offset:(?P<offset>\d+);"
    r"\s*size:(?P<size>\d+);\s*signed:(?P<signed>[01]);"
)


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of record.

    Attributes
    ----------
    dtype : dtype
        The fixed part, with each field at its offset; a text of variable length is an ``u4``
        of (length << 16 | offset).
    texts : frozenset of str
        The fields with texts of variable length.
    """

    name: str
    id: int
    dtype: np.dtype[np.void]
    texts: frozenset[str]


def parse_format(name: str, text: str) -> Format:
    """Parse a format file; ValueError where it is not one."""
    number = _ID.search(text)
    if number is None:
        raise ValueError(f"no format of {name}")
    names, formats, offsets, texts, end = [], [], [], set(), 0
    for match in _FIELD.finditer(text):
        what, size = match["what"] + (match["array"] or ""), int(match["size"])
        end = max(end, int(match["offset"]) + size)
        if "__data_loc" in what:
            texts.add(match["name"])
        names.append(match["name"])
        formats.append(_numpy(what, size, signed=match["signed"] == "1"))
        offsets.append(int(match["offset"]))
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": end}
    return Format(name, int(number[1]), np.dtype(layout), frozenset(texts))  # type: ignore[call-overload]


def _numpy(what: str, size: int, *, signed: bool) -> str:
    if "__data_loc" in what:
        return "<u4"
    if "char" in what and "[" in what:
        return f"S{size}"
    if size in (1, 2, 4, 8):
        return f"<{'i' if signed else 'u'}{size}"
    return f"V{size}"
