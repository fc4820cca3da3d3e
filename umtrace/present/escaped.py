"""JSON that loses nothing and takes over no terminal.

JSON itself escapes what lies below U+0020. A terminal also obeys U+007F to U+009F, and shows text
backwards from U+202E on; programs that read lines may end one at U+2028.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from umtrace.model.clock import iso

_TIMES = {"begin", "end", "start"}
_SUSPECT = re.compile(r"[^ -~\n]")


def dumps(value: object, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """Return JSON text in which whatever cannot be printed is escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    return _SUSPECT.sub(_escaped, text)


def with_times(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object whose points in time have two names, as in every JSON of umtrace.

    ``begin`` (also ``end`` and ``start``) is ISO 8601 in UTC, ``begin_ns`` is ns since the epoch.
    In ``row`` it is ns, or None, which both are then.
    """
    named: dict[str, Any] = {}
    for name, value in row.items():
        is_time = name in _TIMES
        named[name] = iso(value) if is_time and value is not None else value
        if is_time:
            named[f"{name}_ns"] = value
    return named


def to_json(data: dict[str, Any]) -> str:
    """Return JSON text in ASCII for people too, ending in a newline."""
    return dumps(data, indent=2) + "\n"


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]
