"""JSON that loses nothing and takes over no terminal.

JSON itself escapes what lies below U+0020. A terminal also obeys U+007F to U+009F, and shows text
backwards from U+202E on; programs that read lines may end one at U+2028.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SUSPECT = re.compile(r"[^ -~\n]")


def dumps(value: object, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """Return JSON text in which whatever cannot be printed is escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    return _SUSPECT.sub(_escaped, text)


def to_json(data: dict[str, Any]) -> str:
    """Return JSON text in ASCII for people too, ending in a newline."""
    return dumps(data, indent=2) + "\n"


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]
