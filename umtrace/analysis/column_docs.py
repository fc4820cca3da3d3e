"""What the columns of a table mean, and in which unit they are."""

from __future__ import annotations

import re

import pyarrow as pa

_UNITS = {"_ns": "ns", "_bytes": "bytes", "_pct": "%"}


def described(schema: pa.Schema) -> str:
    """Return the columns as lines for a docstring."""
    lines = []
    for field in schema:
        unit = unit_of(field)
        lines.append(f"``{field.name}``{f' ({unit})' if unit else ''}: {description_of(field)}")
    return "\n".join(lines)


def description_of(field: pa.Field) -> str:
    """Return what a column means."""
    text: str = (field.metadata or {}).get(b"doc", b"").decode()
    return text


def unit_of(field: pa.Field) -> str:
    """Return the unit of a column, empty where it has none."""
    if pa.types.is_timestamp(field.type):
        return "UTC"
    match = re.search(r"_[a-z]+$", field.name)
    return _UNITS.get(match.group(), "") if match else ""
