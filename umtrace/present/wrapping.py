"""Text in lines of a terminal: no path is cut at a hyphen, no number is parted from its unit."""

from __future__ import annotations

import re
import textwrap
from typing import Any

#: a control character that no text for a terminal has
_HELD = "\x1f"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:ns|µs|us|ms|s|min|h|d|%|x|MiB|GiB)(?!\w))")


def wrap(text: str, width: int, **how: Any) -> list[str]:
    """Return lines of at most ``width`` characters; ``how`` is of `textwrap.wrap`."""
    held = _BEFORE_UNIT.sub(_HELD, text)
    lines = textwrap.wrap(held, width, break_on_hyphens=False, **how)
    return [line.replace(_HELD, " ") for line in lines]
