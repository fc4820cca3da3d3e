"""Text in lines of a terminal: no path is cut at a hyphen, no number is parted from its unit."""

from __future__ import annotations

import re
import textwrap
from typing import Any

#: a control character that no text for a terminal has
_HELD = "\x1f"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:ns|µs|us|ms|s|min|h|d|%|x|MiB|GiB)(?!\w))")
_IN_PART = re.compile(r"(?<!,) ")


def wrap(text: str, width: int, **how: Any) -> list[str]:
    """Return lines of at most ``width`` characters; ``how`` is of `textwrap.wrap`."""
    return _lines(_BEFORE_UNIT.sub(_HELD, text), width, how)


def wrap_list(text: str, width: int, **how: Any) -> list[str]:
    """Return lines as `wrap`, which end at a comma only: each part of the list stays whole."""
    return _lines(_IN_PART.sub(_HELD, text), width, how)


def _lines(held: str, width: int, how: dict[str, Any]) -> list[str]:
    lines = textwrap.wrap(held, width, break_on_hyphens=False, **how)
    return [line.replace(_HELD, " ") for line in lines]
